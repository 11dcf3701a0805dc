//! One record a frame: its stage times from capture to screen, and its fate.
//!
//! Times are Unix nanoseconds by this device's clock. What another machine stamped is converted through the clock
//! synchronisation, so it is an estimate: for the relay's stamps, the truth lies within [`FrameRecord::clock_bound_ns`] of
//! it. A record keeps the estimates as they are, so a frame may seem to be received before it was relayed, by no more than
//! that bound while the clocks are right. Stages of a bar cannot be shorter than nothing: [`FrameRecord::stages_ns`].

use std::time::Duration;

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
    /// On its way when the call ended: neither sent or shown, nor given up.
    InFlight,
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
    /// At the sender: encoded, but the network thread took no more.
    SendQueueFull,
    /// At the sender: the relay has not given its stream a number.
    NotPublished,
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
    /// At the receiver: the bound of the reassembly's memory, or of the sound that waits to be played, was reached.
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
    /// Half the least round trip of this device's clock synchronisation: how far the relay's stamps may be off here.
    /// What the sender stamped may be off by as much again as its own synchronisation allows, which is not known here.
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

    /// The lengths of the stages from capture to presentation, in the order of [`super::collector::STAGES`]; `None`
    /// where one of a stage's ends is not known.
    ///
    /// For this, what other machines stamped between the capture and the arrival is moved, as little as needed, into
    /// the order of the stages: no stage is negative, and together they are as long as capture to presentation,
    /// unless the capture itself seems to lie after the arrival.
    pub fn stages_ns(&self) -> [Option<u64>; 6] {
        let mut elsewhere = [self.encoded_ns, self.sent_ns, self.relay_sent_ns];
        let mut floor = self.captured_ns.unwrap_or(0);
        let ceiling = self.received_ns.unwrap_or(u64::MAX);
        for stamp in elsewhere.iter_mut().flatten() {
            floor = floor.max(*stamp);
            *stamp = floor.min(ceiling);
        }
        let [encoded, sent, relayed] = elsewhere;
        let times = [self.captured_ns, encoded, sent, relayed, self.received_ns, self.decoded_ns, self.presented_ns];
        std::array::from_fn(|stage| Some(times[stage + 1]?.saturating_sub(times[stage]?)))
    }
}

/// What is counted because it tells of trouble, beside the fates of frames; the names are those of the JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counter {
    /// Datagrams from the relay that are not of the protocol, or media without a call to belong to.
    UnusableDatagrams,
    /// Media packets of streams that the call does not have.
    UnknownStreamPackets,
    /// Media packets that disagree with others of their frame.
    RefusedPackets,
    /// Media packets that came twice.
    DuplicatePackets,
    /// Media packets of frames that had been given up.
    LatePackets,
    /// Lost frames beyond what a stream can have had: counted, and not told one by one.
    UntoldLosses,
    /// Blocks of sound that were skipped to catch up.
    SkippedSound,
    /// Blocks of sound that were shortened to catch up.
    ShortenedSound,
    /// Blocks of sound that were lengthened to wait.
    LengthenedSound,
    /// Records that found no room on their way to the collector: what is told of frames is not complete.
    LostRecords,
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
    /// Something that should not happen did, this many times since the last note of it.
    Counted(Counter, u64),
    /// Packets of this device's downlink since the last note.
    Packets {
        /// Arrived.
        received: u64,
        /// Did not, and will not.
        lost: u64,
    },
    /// The way between this device and the relay, as it is now; told twice a second.
    Path {
        /// There and back, as QUIC measures it: smoothed over about the last eight acknowledgements (RFC 9002).
        round_trip: Duration,
        /// How far the estimate of the relay's clock may be off: half the least round trip of the last minutes. `None`
        /// before the first answer.
        bound: Option<Duration>,
    },
    /// What this call's pictures are coded in, by the names that people know.
    Codecs {
        /// Those that are sent; `None` if none are.
        sent: Option<&'static str>,
        /// Those that come, if any do.
        received: &'static str,
    },
    /// So many more pictures that this device had sent were dropped by the relay, which said so.
    DroppedByRelay(u64),
    /// The call is over.
    Over {
        /// When.
        at: Timestamp,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Captured, encoded, sent, relayed, received; 10 to decode, 5 to present.
    fn stages([captured, encoded, sent, relayed, received]: [u64; 5]) -> [u64; 6] {
        let record = FrameRecord {
            captured_ns: Some(captured),
            encoded_ns: Some(encoded),
            sent_ns: Some(sent),
            relay_sent_ns: Some(relayed),
            received_ns: Some(received),
            decoded_ns: Some(received + 10),
            presented_ns: Some(received + 15),
            ..FrameRecord::new(Side::Receiver, Media::Video, Fate::Shown)
        };
        record.stages_ns().map(|stage| stage.expect("both ends are known"))
    }

    #[test]
    fn stages_are_what_lies_between_the_stamps() {
        assert_eq!(stages([100, 110, 130, 160, 200]), [10, 20, 30, 40, 10, 5]);
    }

    #[test]
    fn no_stage_is_negative_and_all_make_up_the_delay_though_clocks_disagree() {
        assert_eq!(stages([100, 110, 130, 120, 200]), [10, 20, 0, 70, 10, 5], "relayed before it was sent");
        assert_eq!(stages([100, 110, 130, 260, 200]), [10, 20, 70, 0, 10, 5], "relayed after it was received");
        assert_eq!(stages([100, 210, 230, 190, 200]), [100, 0, 0, 0, 10, 5], "sent after it was received");
        assert_eq!(stages([100, 90, 95, 120, 200]), [0, 0, 20, 80, 10, 5], "encoded before it was captured");
        assert_eq!(stages([300, 310, 330, 360, 200]), [0, 0, 0, 0, 10, 5], "captured after it was received");
    }

    #[test]
    fn a_stage_without_both_ends_is_not_known() {
        let record = FrameRecord {
            captured_ns: Some(1),
            received_ns: Some(5),
            decoded_ns: Some(7),
            ..FrameRecord::new(Side::Receiver, Media::Video, Fate::Shown)
        };
        assert_eq!(record.stages_ns(), [None, None, None, None, Some(2), None]);
    }
}
