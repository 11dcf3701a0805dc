//! One record a frame: its stage times from capture to screen, and its fate.
//!
//! Times are Unix nanoseconds by this device's clock. What another machine stamped is converted through the clock
//! synchronisation; how far that may be off is [`FrameRecord::clock_bound_ns`].

use serde::{Deserialize, Serialize};
use visavis_proto::time::Timestamp;

/// Which end wrote the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The device that captured the frame.
    Sender,
    /// The device that was to show it.
    Receiver,
}

/// Sound or picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Media {
    /// A block of sound.
    Audio,
    /// A picture.
    Video,
}

/// How a frame ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// Left this device, as far as it knows.
    Sent,
    /// Handed to the screen or the speaker (or the file in their place).
    Shown,
    /// Never got there.
    Dropped(Drop),
}

/// Where and why a frame was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Drop {
    /// At the sender, before encoding: a newer capture took its place while the encoder was busy.
    Replaced,
    /// At the sender, before encoding: what is queued already would delay it beyond the target.
    NoBudget,
    /// At the sender: the encoder failed.
    EncodeFailed,
    /// At the sender: the connection had no room for the whole frame.
    SendBufferFull,
    /// In the network: a packet did not arrive in time.
    Lost,
    /// At the relay or the sender's hop, on purpose, and announced.
    DroppedByHop,
    /// At the receiver: complete, but after newer frames had been shown.
    Late,
    /// At the receiver: a frame it refers to is missing.
    ReferenceMissing,
    /// At the receiver: the reassembly's memory bound was reached.
    Overflow,
    /// At the receiver: failed authentication.
    Forged,
    /// At the receiver: the decoder refused it.
    DecodeFailed,
    /// At the receiver: the decoder's queue was full.
    DecodeQueueFull,
    /// At the receiver: decoded, but replaced by a newer picture before it was its turn.
    Superseded,
}

/// One frame's way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FrameRecord {
    /// Which end wrote it.
    pub side: Side,
    /// Sound or picture.
    pub media: Media,
    /// Count of encoded frames; absent if it never was encoded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame: Option<u32>,
    /// Count of captured frames; absent at a receiver that never saw the frame's header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capture: Option<u32>,
    /// Handed over by the camera; for sound, the first sample of the block.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub captured_ns: Option<u64>,
    /// Encoded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoded_ns: Option<u64>,
    /// Last packet handed to the socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_ns: Option<u64>,
    /// Taken from its socket by the relay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relay_received_ns: Option<u64>,
    /// Forwarded by the relay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relay_sent_ns: Option<u64>,
    /// Whole at the receiver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received_ns: Option<u64>,
    /// Decoded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decoded_ns: Option<u64>,
    /// Handed to the screen or the speaker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presented_ns: Option<u64>,
    /// Sealed bytes.
    pub bytes: u32,
    /// Packets it was cut into.
    pub packets: u16,
    /// Temporal layer.
    pub layer: u8,
    /// Decodes on its own.
    pub key: bool,
    /// Pixels across; 0 if not known, and for sound.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Half the shortest round trips of both clock synchronisations: how far another machine's stamps may be off.
    pub clock_bound_ns: u64,
    /// How it ended.
    pub fate: Fate,
}

impl FrameRecord {
    /// A record of which only end, medium and fate are known.
    pub const fn new(side: Side, media: Media, fate: Fate) -> Self {
        Self {
            side,
            media,
            frame: None,
            capture: None,
            captured_ns: None,
            encoded_ns: None,
            sent_ns: None,
            relay_received_ns: None,
            relay_sent_ns: None,
            received_ns: None,
            decoded_ns: None,
            presented_ns: None,
            bytes: 0,
            packets: 0,
            layer: 0,
            key: false,
            width: 0,
            height: 0,
            clock_bound_ns: 0,
            fate,
        }
    }

    /// When it was last seen: orders records in time.
    pub fn last_seen(&self) -> Option<Timestamp> {
        [self.presented_ns, self.decoded_ns, self.received_ns, self.sent_ns, self.encoded_ns, self.captured_ns]
            .into_iter()
            .flatten()
            .next()
            .map(Timestamp::from_nanos)
    }
}

/// News for the collector that is not about one frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// A call went live between these two; the report begins.
    Live {
        /// This person.
        me: String,
        /// The other person.
        peer: String,
        /// When this person accepted, or learned that the other did.
        accepted: Timestamp,
        /// When it went live.
        at: Timestamp,
    },
    /// Sound that had to be invented or squeezed, in blocks of 10 ms since the last note.
    Audio {
        /// Played as sent.
        played: u32,
        /// Recovered from in-band FEC.
        recovered: u32,
        /// Concealed.
        concealed: u32,
    },
    /// Packets of this device's downlink since the last note.
    Packets {
        /// Arrived.
        received: u64,
        /// Did not, and will not.
        lost: u64,
    },
    /// The call is over.
    Over {
        /// When.
        at: Timestamp,
    },
}
