//! Which frames a subscriber gets. One [`Downlink`] belongs to one connection and decides for whole frames: at the
//! first packet of a frame that it sees it looks at the room that is left, and sticks to that.
//!
//! A frame that others refer to takes them with it: [`FrameHeader::references`] tells which, so dropping goes on up to
//! the next frame that needs nothing of what was dropped, a keyframe or a recovery point. Sound outranks picture.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use visavis_proto::{
    ids::{FrameNumber, StreamId},
    media::packetise::stamp_us,
    time::Timestamp,
    wire::{
        control::DropCause,
        media::{FrameHeader, HopHeader, RelayStamp},
    },
};

/// Bytes of quinn's datagram queue per subscriber: at 4 Mbit/s a quarter of a second, which only ever fills when the
/// socket or the circuit breaker holds packets back. It must hold two large frames, since a frame is taken or left as
/// a whole.
pub const QUEUE_BYTES: usize = 128 * 1024;

/// Room that pictures leave for sound: 200 ms of two 10 ms Opus streams at 64 kbit/s with their headers, rounded up.
const SOUND_RESERVE_BYTES: usize = 8 * 1024;

/// A frame larger than this needs no more room than this: the queue drains while its packets still come in.
const LARGEST_CLAIM_BYTES: usize = QUEUE_BYTES / 2;

/// Header bytes of one packet, at most, for the claim of a frame.
const PACKET_OVERHEAD_BYTES: usize = 64;

/// Frames of a stream whose verdict is remembered: over a second at 30 fps, longer than packets are late.
const REMEMBERED_FRAMES: usize = 48;

/// Dropped frames of a stream that later frames are checked against: long-term references reach this far back.
const REMEMBERED_DROPS: usize = 1_024;

/// One subscriber's side of the forwarding.
#[derive(Debug, Default)]
pub struct Downlink {
    sequence: u32,
    streams: BTreeMap<StreamId, Stream>,
}

#[derive(Debug, Default)]
struct Stream {
    recent: VecDeque<Decision>,
    dropped: BTreeSet<FrameNumber>,
    /// Frames dropped since the last that was forwarded.
    unannounced: Option<(FrameNumber, FrameNumber)>,
}

#[derive(Debug, Clone, Copy)]
struct Decision {
    number: FrameNumber,
    forward: bool,
    announce: Option<(FrameNumber, FrameNumber)>,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Send it with this header.
    Forward(HopHeader),
    /// Leave it. Where a frame has been given up just now, its sender is to be told.
    Drop(Option<Drop>),
}

/// A frame that was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drop {
    /// Of which stream.
    pub stream: StreamId,
    /// Which frame.
    pub frame: FrameNumber,
    /// Why.
    pub cause: DropCause,
}

impl Downlink {
    /// Decides about one packet of `datagram_bytes`, given the bytes that the subscriber's queue can still take.
    pub fn decide(
        &mut self,
        hop: &HopHeader,
        frame: &FrameHeader,
        datagram_bytes: usize,
        room_bytes: usize,
        stamp: RelayStamp,
    ) -> Verdict {
        let stream = self.streams.entry(hop.stream).or_default();
        let (decision, fresh) = match stream.recent.iter().position(|known| known.number == frame.number) {
            Some(place) => {
                let known = &mut stream.recent[place];
                let torn = known.forward && room_bytes < datagram_bytes + PACKET_OVERHEAD_BYTES;
                if torn {
                    known.forward = false;
                }
                (*known, torn.then_some(DropCause::DownlinkFull))
            }
            None => stream.decide(frame, room_bytes),
        };
        if !decision.forward {
            let given_up = fresh.map(|cause| {
                stream.forget_frame(frame.number);
                Drop { stream: hop.stream, frame: frame.number, cause }
            });
            return Verdict::Drop(given_up);
        }
        let sequence = self.sequence;
        self.sequence = self.sequence.wrapping_add(1);
        Verdict::Forward(HopHeader {
            stream: hop.stream,
            sequence,
            index: hop.index,
            retransmission: false,
            dropped: decision.announce,
            sent_after_us: hop.sent_after_us,
            relayed: Some(stamp),
        })
    }

    /// Forgets all streams but these.
    pub fn keep_only(&mut self, streams: &BTreeSet<StreamId>) {
        self.streams.retain(|id, _| streams.contains(id));
    }
}

impl Stream {
    fn decide(&mut self, frame: &FrameHeader, room_bytes: usize) -> (Decision, Option<DropCause>) {
        let cause = if frame.referred().flatten().any(|number| self.dropped.contains(&number)) {
            Some(DropCause::ReferenceMissing)
        } else if fits(frame, room_bytes) {
            None
        } else {
            Some(DropCause::DownlinkFull)
        };
        let forward = cause.is_none();
        let announce = if forward { self.unannounced.take() } else { None };
        let decision = Decision { number: frame.number, forward, announce };
        if self.recent.len() == REMEMBERED_FRAMES {
            self.recent.pop_front();
        }
        self.recent.push_back(decision);
        (decision, cause)
    }

    fn forget_frame(&mut self, number: FrameNumber) {
        self.dropped.insert(number);
        if self.dropped.len() > REMEMBERED_DROPS {
            self.dropped.pop_first();
        }
        let (first, last) = self.unannounced.unwrap_or((number, number));
        self.unannounced = Some((first.min(number), last.max(number)));
    }
}

fn fits(frame: &FrameHeader, room_bytes: usize) -> bool {
    let claim = frame.bytes as usize + usize::from(frame.packets) * PACKET_OVERHEAD_BYTES;
    let reserve = if frame.audio { 0 } else { SOUND_RESERVE_BYTES };
    claim.min(LARGEST_CLAIM_BYTES) + reserve <= room_bytes
}

/// When a packet passed, relative to a capture time that its sender claims; clamped where the claim is absurd.
pub fn stamp(capture: Timestamp, received: Timestamp, now: Timestamp) -> RelayStamp {
    RelayStamp { received_after_us: stamp_us(capture, received), held_us: stamp_us(received, now) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use visavis_proto::{media::packetise::MAX_STAMP_US, wire::media::References};

    const STREAM: StreamId = StreamId(4);
    const STAMP: RelayStamp = RelayStamp { received_after_us: 9, held_us: 1 };

    fn frame(number: u32, distances: &[u32]) -> FrameHeader {
        FrameHeader {
            stream_index: 1,
            audio: false,
            key: distances.is_empty(),
            recovery_point: distances.is_empty(),
            discardable: false,
            layer: 0,
            number: FrameNumber(number),
            references: References::from_distances(distances).expect("few"),
            capture_time: Timestamp::from_micros(1),
            capture_number: number,
            encoded_after_us: 5,
            bytes: 3_000,
            packets: 3,
        }
    }

    fn hop(sequence: u32, index: u16) -> HopHeader {
        HopHeader {
            stream: STREAM,
            sequence,
            index,
            retransmission: true,
            dropped: None,
            sent_after_us: 7,
            relayed: None,
        }
    }

    /// The verdicts on the three packets of a frame.
    fn pass(downlink: &mut Downlink, frame: &FrameHeader, room: usize) -> [Verdict; 3] {
        [0, 1, 2].map(|index| downlink.decide(&hop(100, index), frame, 1_064, room, STAMP))
    }

    fn is_whole(verdicts: &[Verdict]) -> bool {
        verdicts.iter().all(|verdict| matches!(verdict, Verdict::Forward(_)))
    }

    fn is_gone(verdicts: &[Verdict], cause: DropCause) -> bool {
        matches!(verdicts[0], Verdict::Drop(Some(drop)) if drop.cause == cause)
            && verdicts[1..].iter().all(|verdict| *verdict == Verdict::Drop(None))
    }

    #[test]
    fn the_hop_header_is_the_subscribers_own() {
        let mut downlink = Downlink::default();
        pass(&mut downlink, &frame(0, &[]), QUEUE_BYTES);
        let Verdict::Forward(header) = downlink.decide(&hop(900, 2), &frame(1, &[1]), 1_064, QUEUE_BYTES, STAMP)
        else {
            panic!("there is room");
        };
        assert_eq!((header.stream, header.sequence, header.index), (STREAM, 3, 2));
        assert_eq!((header.retransmission, header.sent_after_us, header.relayed), (false, 7, Some(STAMP)));
    }

    #[test]
    fn a_frame_is_dropped_whole_and_told_once() {
        let mut downlink = Downlink::default();
        assert!(is_gone(&pass(&mut downlink, &frame(0, &[]), SOUND_RESERVE_BYTES + 2_000), DropCause::DownlinkFull));
        // Room that comes back in the middle changes nothing.
        assert_eq!(downlink.decide(&hop(0, 1), &frame(0, &[]), 1_064, QUEUE_BYTES, STAMP), Verdict::Drop(None));
    }

    #[test]
    fn dependants_go_with_it_up_to_the_next_frame_that_needs_none_of_them() {
        let mut downlink = Downlink::default();
        assert!(is_whole(&pass(&mut downlink, &frame(0, &[]), QUEUE_BYTES)));
        assert!(is_gone(&pass(&mut downlink, &frame(1, &[1]), 0), DropCause::DownlinkFull));
        assert!(is_gone(&pass(&mut downlink, &frame(2, &[1]), QUEUE_BYTES), DropCause::ReferenceMissing));
        assert!(is_gone(&pass(&mut downlink, &frame(3, &[1]), QUEUE_BYTES), DropCause::ReferenceMissing));
        let recovery = pass(&mut downlink, &frame(4, &[4]), QUEUE_BYTES);
        for verdict in recovery {
            let Verdict::Forward(header) = verdict else { panic!("frame 0 was forwarded") };
            assert_eq!(header.dropped, Some((FrameNumber(1), FrameNumber(3))));
        }
        let after = pass(&mut downlink, &frame(5, &[1]), QUEUE_BYTES);
        assert!(matches!(after[0], Verdict::Forward(header) if header.dropped.is_none()));
    }

    #[test]
    fn a_dropped_upper_layer_hurts_nobody() {
        let mut downlink = Downlink::default();
        pass(&mut downlink, &frame(0, &[]), QUEUE_BYTES);
        assert!(is_gone(&pass(&mut downlink, &frame(1, &[1]), 0), DropCause::DownlinkFull));
        assert!(is_whole(&pass(&mut downlink, &frame(2, &[2]), QUEUE_BYTES)));
    }

    #[test]
    fn sound_uses_the_room_that_pictures_leave() {
        let mut downlink = Downlink::default();
        let room = SOUND_RESERVE_BYTES;
        assert!(!is_whole(&pass(&mut downlink, &frame(0, &[]), room)));
        let sound = FrameHeader { audio: true, bytes: 160, packets: 1, ..frame(0, &[]) };
        let on_its_own = HopHeader { stream: StreamId(5), ..hop(0, 0) };
        assert!(matches!(downlink.decide(&on_its_own, &sound, 200, room, STAMP), Verdict::Forward(_)));
    }

    #[test]
    fn a_frame_that_no_longer_fits_is_given_up_rather_than_torn_further() {
        let mut downlink = Downlink::default();
        let key = frame(0, &[]);
        assert!(matches!(downlink.decide(&hop(0, 0), &key, 1_064, QUEUE_BYTES, STAMP), Verdict::Forward(_)));
        let Verdict::Drop(Some(drop)) = downlink.decide(&hop(1, 1), &key, 1_064, 500, STAMP) else {
            panic!("no room for the second packet");
        };
        assert_eq!((drop.frame, drop.cause), (FrameNumber(0), DropCause::DownlinkFull));
        assert_eq!(downlink.decide(&hop(2, 2), &key, 1_064, QUEUE_BYTES, STAMP), Verdict::Drop(None));
        assert!(is_gone(&pass(&mut downlink, &frame(1, &[1]), QUEUE_BYTES), DropCause::ReferenceMissing));
    }

    #[test]
    fn absurd_capture_times_saturate() {
        let now = Timestamp::from_micros(1_700_000_000_000_000);
        assert_eq!(stamp(Timestamp::ZERO, now, now).received_after_us, MAX_STAMP_US);
        assert_eq!(stamp(Timestamp::from_nanos(u64::MAX), now, now).received_after_us, 0);
    }

    #[test]
    fn memory_is_bounded_whatever_is_sent() {
        let mut downlink = Downlink::default();
        for number in 0..10_000u32 {
            pass(&mut downlink, &frame(number.wrapping_mul(2_654_435_761), &[1]), 0);
        }
        let stream = &downlink.streams[&STREAM];
        assert!(stream.recent.len() <= REMEMBERED_FRAMES && stream.dropped.len() <= REMEMBERED_DROPS);
    }
}
