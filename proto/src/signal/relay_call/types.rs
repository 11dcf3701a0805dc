//! What the switchboard is told, and what it says.

use crate::{
    ids::{CallId, DeviceKey, StreamId},
    time::Timestamp,
    wire::{
        control::{EndReason, StreamKind},
        media::FrameHeader,
    },
};

/// A person, by the relay's own number: it outlives their keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonId(pub i64);

/// A stream that a device will publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The sender's own index (0 to 15).
    pub index: u8,
    /// What it carries.
    pub kind: StreamKind,
}

/// An offered stream with the relay's number for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// Unique among the calls of this relay.
    pub stream: StreamId,
    /// Who sends it.
    pub device: DeviceKey,
    /// What was offered.
    pub offer: Offer,
}

impl Published {
    /// Whether a frame's header agrees with what was announced.
    pub fn agrees_with(&self, frame: &FrameHeader) -> bool {
        frame.stream_index == self.offer.index && frame.audio == (self.offer.kind == StreamKind::Microphone)
    }
}

/// What a device brings into a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opening {
    /// What it will publish.
    pub streams: Vec<Offer>,
    /// Opaque, for the other side.
    pub payload: Vec<u8>,
}

/// Why something that a device asked for was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such call, or the device is not in it.
    #[error("no such call")]
    NoSuchCall,
    /// Another device of the same person was faster; it was or is being told so.
    #[error("answered on another device")]
    AnsweredElsewhere,
    /// Two calls cannot have one id.
    #[error("a call with this id exists already")]
    DuplicateCall,
    /// Nobody has agreed to hear more.
    #[error("too much was sent in a call that is not accepted yet")]
    TooMuchData,
}

/// What the relay must do next, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Tell the caller on how many devices it rings.
    Ringing {
        /// The caller's device.
        to: DeviceKey,
        /// Which call.
        call: CallId,
        /// Devices of the callee that are connected.
        devices: u32,
    },
    /// Ring a device. May be repeated to a device that connected again; the same id is the same call.
    Incoming {
        /// The callee's device.
        to: DeviceKey,
        /// Which call.
        call: CallId,
        /// Who calls.
        caller: PersonId,
        /// From which device.
        device: DeviceKey,
        /// What the caller brings.
        opening: Opening,
    },
    /// The call is live, or still is after a resumption.
    Connected {
        /// One of its two devices.
        to: DeviceKey,
        /// Which call.
        call: CallId,
        /// The other person.
        peer: PersonId,
        /// The other device.
        device: DeviceKey,
        /// Both devices' streams.
        streams: Vec<Published>,
        /// What the callee sent with its accept; empty for the callee.
        payload: Vec<u8>,
    },
    /// Opaque bytes.
    Data {
        /// Whom for.
        to: DeviceKey,
        /// From whom.
        from: DeviceKey,
        /// Which call.
        call: CallId,
        /// The bytes.
        payload: Vec<u8>,
    },
    /// The other device has gone silent, or is back.
    Peer {
        /// Whom to tell.
        to: DeviceKey,
        /// The other device.
        about: DeviceKey,
        /// Which call.
        call: CallId,
        /// Nothing is heard from it.
        silent: bool,
    },
    /// A device's part in a call is over. Told once to every device that was in it.
    Ended {
        /// Whom to tell.
        to: DeviceKey,
        /// Which call.
        call: CallId,
        /// Why, as seen from that device.
        reason: EndReason,
        /// With [`EndReason::Merged`], the call that goes on.
        merged_into: Option<CallId>,
    },
    /// Who may send media to whom has changed: look at [`Switchboard::live`](super::Switchboard::live) again for both devices.
    Routes {
        /// The devices of the call.
        devices: [DeviceKey; 2],
    },
    /// Somebody is in a call now, or no longer.
    Engaged {
        /// Who.
        person: PersonId,
        /// In a call, ringing or live.
        engaged: bool,
    },
    /// A call is live: keep this now, since a relay that is killed keeps nothing. Its [`Output::Record`] follows.
    Accepted(Accepted),
    /// A call is over: keep this.
    Record(Record),
}

/// A live call, as kept until it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Which call.
    pub call: CallId,
    /// Who called.
    pub caller: PersonId,
    /// Whom.
    pub callee: PersonId,
    /// When it began to ring.
    pub began: Timestamp,
    /// When it was accepted.
    pub accepted: Timestamp,
}

/// A past call, as kept for both people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Which call.
    pub call: CallId,
    /// Who called.
    pub caller: PersonId,
    /// Whom.
    pub callee: PersonId,
    /// When it began to ring.
    pub began: Timestamp,
    /// When it was accepted.
    pub accepted: Option<Timestamp>,
    /// When it ended.
    pub ended: Timestamp,
    /// How, as seen from the caller.
    pub reason: EndReason,
}

/// What [`Switchboard::poll_timeout`](super::Switchboard::poll_timeout) waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// A call has rung long enough.
    RingEnds,
    /// A caller has been away while it rang.
    CallerGone,
    /// A live device has said nothing for a while.
    Silence,
    /// A live device has been away for too long.
    PeerGone,
}

/// Two devices of a live call that are both there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// Which call.
    pub call: CallId,
    /// The other device.
    pub peer: DeviceKey,
    /// What this device may send.
    pub publishes: Vec<Published>,
}
