//! Calls: ringing, their end, their streams, and what two devices of one say to each other.

use prost::{Enumeration, Message};

/// Sound or picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum StreamKind {
    /// Not said.
    Unspecified = 0,
    /// Sound.
    Microphone = 1,
    /// Picture.
    Camera = 2,
}

/// A stream that a device will publish.
#[derive(Clone, PartialEq, Message)]
pub struct StreamOffer {
    /// The sender's index, as in the media header (0 to 15).
    #[prost(uint32, tag = "1")]
    pub index: u32,
    /// What it carries.
    #[prost(enumeration = "StreamKind", tag = "2")]
    pub kind: i32,
}

/// Rings somebody.
#[derive(Clone, PartialEq, Message)]
pub struct Call {
    /// 16 random bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub call: Vec<u8>,
    /// The name to ring.
    #[prost(string, tag = "2")]
    pub callee: String,
    /// What the caller will publish.
    #[prost(message, repeated, tag = "3")]
    pub streams: Vec<StreamOffer>,
    /// Opaque, for the ringing devices: carries the first flight of the handshake.
    #[prost(bytes = "vec", tag = "4")]
    pub payload: Vec<u8>,
}

/// Takes a call.
#[derive(Clone, PartialEq, Message)]
pub struct Accept {
    /// Which call.
    #[prost(bytes = "vec", tag = "1")]
    pub call: Vec<u8>,
    /// What the callee will publish.
    #[prost(message, repeated, tag = "2")]
    pub streams: Vec<StreamOffer>,
    /// Opaque, for the caller.
    #[prost(bytes = "vec", tag = "3")]
    pub payload: Vec<u8>,
}

/// Ends one's part in a call, whatever its state: the relay knows whether that declines, cancels or hangs up.
#[derive(Clone, PartialEq, Message)]
pub struct End {
    /// Which call.
    #[prost(bytes = "vec", tag = "1")]
    pub call: Vec<u8>,
}

/// Opaque bytes between two devices of one call, in order.
#[derive(Clone, PartialEq, Message)]
pub struct CallData {
    /// Which call.
    #[prost(bytes = "vec", tag = "1")]
    pub call: Vec<u8>,
    /// To the relay: the device it is for; empty for the other side's only one, or all that ring. From the relay: the
    /// device it is from.
    #[prost(bytes = "vec", tag = "2")]
    pub device: Vec<u8>,
    /// At most [`MAX_PAYLOAD_BYTES`](super::MAX_PAYLOAD_BYTES).
    #[prost(bytes = "vec", tag = "3")]
    pub payload: Vec<u8>,
}

/// Still in a call, after a new connection.
#[derive(Clone, PartialEq, Message)]
pub struct Resume {
    /// Which call.
    #[prost(bytes = "vec", tag = "1")]
    pub call: Vec<u8>,
}

/// Somebody calls.
#[derive(Clone, PartialEq, Message)]
pub struct Incoming {
    /// Which call.
    #[prost(bytes = "vec", tag = "1")]
    pub call: Vec<u8>,
    /// The caller.
    #[prost(string, tag = "2")]
    pub caller: String,
    /// The caller's account key.
    #[prost(bytes = "vec", tag = "3")]
    pub account_key: Vec<u8>,
    /// The caller's device.
    #[prost(bytes = "vec", tag = "4")]
    pub device: Vec<u8>,
    /// What the caller will publish.
    #[prost(message, repeated, tag = "5")]
    pub streams: Vec<StreamOffer>,
    /// Opaque, from the caller.
    #[prost(bytes = "vec", tag = "6")]
    pub payload: Vec<u8>,
}

/// How a call ended, as seen from the device it is told to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum EndReason {
    /// Has not ended.
    Unspecified = 0,
    /// This device hung up.
    HungUp = 1,
    /// The other person hung up.
    PeerHungUp = 2,
    /// The callee declined.
    Declined = 3,
    /// The caller gave up before anybody answered.
    Cancelled = 4,
    /// The callee is in another call.
    Busy = 5,
    /// Nobody answered in time.
    TimedOut = 6,
    /// Another device of the callee answered.
    AnsweredElsewhere = 7,
    /// Another device of the callee declined.
    DeclinedElsewhere = 8,
    /// The caller's connection was lost while it rang.
    CallerLost = 9,
    /// The other person's connection was lost for longer than the grace.
    PeerLost = 10,
    /// The callee has no device online.
    Offline = 11,
    /// There is nobody of that name.
    UnknownPerson = 12,
    /// Both called each other, and the other call goes on instead: see [`CallState::merged_into`].
    Merged = 13,
    /// The relay is shutting down.
    RelayDraining = 14,
    /// One cannot call oneself.
    Yourself = 15,
    /// This person's other device is in a call already.
    AlreadyInCall = 16,
    /// The connection to the relay was lost for longer than the grace: never sent, only concluded. In the history: the
    /// relay was stopped without warning while the call was live.
    RelayLost = 17,
    /// This device may not use the relay any more: it was removed from its account, or its person was disabled.
    Revoked = 18,
    /// The same, of the other person's device.
    PeerRevoked = 19,
}

/// A call's news.
#[derive(Clone, PartialEq, Message)]
pub struct CallState {
    /// Which call.
    #[prost(bytes = "vec", tag = "1")]
    pub call: Vec<u8>,
    /// How many devices ring, while it rings.
    #[prost(uint32, tag = "2")]
    pub ringing_devices: u32,
    /// Set once it has ended.
    #[prost(enumeration = "EndReason", tag = "3")]
    pub ended: i32,
    /// With [`EndReason::Merged`]: the call that this device should accept, since its owner wants to talk anyway.
    #[prost(bytes = "vec", tag = "4")]
    pub merged_into: Vec<u8>,
}

/// A stream of a live call, numbered by the relay.
#[derive(Clone, PartialEq, Message)]
pub struct Stream {
    /// The relay's number, used in the hop header on both hops.
    #[prost(uint32, tag = "1")]
    pub stream: u32,
    /// Its publisher's device.
    #[prost(bytes = "vec", tag = "2")]
    pub device: Vec<u8>,
    /// The publisher's index.
    #[prost(uint32, tag = "3")]
    pub index: u32,
    /// What it carries.
    #[prost(enumeration = "StreamKind", tag = "4")]
    pub kind: i32,
}

/// The call is live.
#[derive(Clone, PartialEq, Message)]
pub struct Connected {
    /// Which call.
    #[prost(bytes = "vec", tag = "1")]
    pub call: Vec<u8>,
    /// The other person's name.
    #[prost(string, tag = "2")]
    pub peer: String,
    /// Their account key.
    #[prost(bytes = "vec", tag = "3")]
    pub account_key: Vec<u8>,
    /// Their device in this call.
    #[prost(bytes = "vec", tag = "4")]
    pub device: Vec<u8>,
    /// Everybody's streams, this device's own among them.
    #[prost(message, repeated, tag = "5")]
    pub streams: Vec<Stream>,
    /// Opaque, from the callee's [`Accept`]; empty for the callee.
    #[prost(bytes = "vec", tag = "6")]
    pub payload: Vec<u8>,
}

/// The other side's connection.
#[derive(Clone, PartialEq, Message)]
pub struct PeerPresence {
    /// Which call.
    #[prost(bytes = "vec", tag = "1")]
    pub call: Vec<u8>,
    /// Nothing has been heard from the other device for a while.
    #[prost(bool, tag = "2")]
    pub silent: bool,
}

/// Why a relay dropped frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum DropCause {
    /// Not said.
    Unspecified = 0,
    /// The receiver's downlink could not take the frame in time.
    DownlinkFull = 1,
    /// A frame that it refers to was dropped before.
    ReferenceMissing = 2,
}

/// Frames of one's own stream that a receiver will not get.
#[derive(Clone, PartialEq, Message)]
pub struct FramesDropped {
    /// Which stream.
    #[prost(uint32, tag = "1")]
    pub stream: u32,
    /// The first frame.
    #[prost(uint32, tag = "2")]
    pub first: u32,
    /// The last frame.
    #[prost(uint32, tag = "3")]
    pub last: u32,
    /// Why.
    #[prost(enumeration = "DropCause", tag = "4")]
    pub cause: i32,
}

/// What two devices of a call say to each other inside [`CallData`]; opaque to the relay.
#[derive(Clone, PartialEq, Message)]
pub struct PeerMessage {
    /// What is said.
    #[prost(oneof = "peer::Body", tags = "1, 2, 3")]
    pub body: Option<peer::Body>,
}

/// What a device says to another.
pub mod peer {
    use super::*;

    /// One of these a message.
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Body {
        /// Mute and camera switches.
        #[prost(message, tag = "1")]
        MediaState(MediaState),
        /// The receiver's decoder needs a recovery point.
        #[prost(message, tag = "2")]
        Recover(Recover),
        /// Bytes of the key exchange.
        #[prost(bytes = "vec", tag = "3")]
        Handshake(Vec<u8>),
    }
}

/// What a device sends just now.
#[derive(Clone, PartialEq, Message)]
pub struct MediaState {
    /// The microphone is muted.
    #[prost(bool, tag = "1")]
    pub muted: bool,
    /// The camera is off.
    #[prost(bool, tag = "2")]
    pub camera_off: bool,
}

/// A plea for a frame that decodes without what was lost.
#[derive(Clone, PartialEq, Message)]
pub struct Recover {
    /// The sender's index of the stream.
    #[prost(uint32, tag = "1")]
    pub index: u32,
    /// The last frame that was decoded, if any was.
    #[prost(uint32, optional, tag = "2")]
    pub last_decoded: Option<u32>,
    /// The first frame that is missing.
    #[prost(uint32, tag = "3")]
    pub first_missing: u32,
}
