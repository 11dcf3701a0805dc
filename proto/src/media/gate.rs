//! Never a frame to the decoder whose references it lacks; and the plea for recovery when the chain is broken.
//!
//! Lives on the decode thread, in front of the decoder: [`ReferenceGate::admit`], then decode, then
//! [`ReferenceGate::decoded`] or [`ReferenceGate::failed`]. It also hears which frames the reassembler gave up.

use std::{collections::VecDeque, time::Duration};

use super::reassemble::{LossCause, LostFrames};
use crate::{ids::FrameNumber, time::Timestamp, wire::media::FrameHeader};

/// How many decoded frames are remembered as possible references: 34 s at 30 frames per second, longer than a sender
/// keeps a long-term reference without marking a new one.
const WINDOW: usize = 1_024;

/// A plea is repeated this much later if nothing has decoded since: about a round trip to the sender with its encode,
/// so that it is rarely repeated while the answer is on its way.
pub const REPEAT: Duration = Duration::from_millis(150);

/// What to do with a whole frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Feed it to the decoder.
    Decode,
    /// Drop it: it refers, directly, to this frame, which was not decoded. Before the first keyframe this is the
    /// frame itself, since all of what came before it is missing.
    MissingReference(FrameNumber),
    /// Drop it: it or a later frame has been admitted.
    AlreadyPassed,
}

/// A plea for a frame that decodes without what is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecoveryRequest {
    /// The last frame that was decoded, if any was.
    pub last_decoded: Option<FrameNumber>,
    /// The first frame that is missing.
    pub first_missing: FrameNumber,
}

/// Stands before one decoder.
#[derive(Debug, Default)]
pub struct ReferenceGate {
    /// Decoded frames since the last keyframe, ascending; at most [`WINDOW`], the oldest leave first.
    decoded: VecDeque<FrameNumber>,
    admitted: Option<Admitted>,
    last_decoded: Option<FrameNumber>,
    /// The first missing frame of a broken chain.
    missing: Option<FrameNumber>,
    asked: Option<Timestamp>,
    requests: u64,
}

#[derive(Debug, Clone, Copy)]
struct Admitted {
    number: FrameNumber,
    key: bool,
    discardable: bool,
}

impl ReferenceGate {
    /// A gate that lets only a keyframe through.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the decoder can take a frame. Frames come in the order in which they are to be decoded.
    pub fn admit(&mut self, header: &FrameHeader) -> Admission {
        let number = header.number;
        if self.admitted.is_some_and(|admitted| number <= admitted.number) {
            return Admission::AlreadyPassed;
        }
        if !header.key
            && let Some(missing) = self.first_lacking(header)
        {
            self.broken_at(missing);
            return Admission::MissingReference(missing);
        }
        self.admitted = Some(Admitted { number, key: header.key, discardable: header.discardable });
        Admission::Decode
    }

    /// The decoder took the admitted frame `number` without an error.
    pub fn decoded(&mut self, number: FrameNumber) {
        let Some(admitted) = self.admitted.filter(|admitted| admitted.number == number) else {
            return;
        };
        if self.last_decoded.is_some_and(|last| last >= number) {
            return;
        }
        if admitted.key {
            self.decoded.clear();
        }
        if self.decoded.len() == WINDOW {
            self.decoded.pop_front();
        }
        self.decoded.push_back(number);
        self.last_decoded = Some(number);
        // A discardable frame says nothing about the frames that the next ones build on.
        if admitted.key || !admitted.discardable && self.missing.is_some_and(|missing| number > missing) {
            self.missing = None;
            self.asked = None;
        }
    }

    /// Frame `number` is whole but useless: the decoder or the seal refused it.
    pub fn failed(&mut self, number: FrameNumber) {
        self.broken_at(number);
    }

    /// The reassembler gave frames up. Only those that later frames are known to need break the chain.
    pub fn lost(&mut self, lost: &LostFrames) {
        if lost.needed {
            self.broken_at(match lost.cause {
                LossCause::ReferenceMissing(root) => root,
                _ => lost.first,
            });
        }
    }

    /// The plea to send now, if the chain is broken and none was sent within [`REPEAT`].
    pub fn needs_recovery(&mut self, now: Timestamp) -> Option<RecoveryRequest> {
        let first_missing = self.missing?;
        if self.asked.is_some_and(|asked| now < asked + REPEAT) {
            return None;
        }
        self.asked = Some(now);
        self.requests += 1;
        Some(RecoveryRequest { last_decoded: self.last_decoded, first_missing })
    }

    /// When [`Self::needs_recovery`] next has something to say; in the past if it already has.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.missing.map(|_| self.asked.map_or(Timestamp::ZERO, |asked| asked + REPEAT))
    }

    /// How many pleas were sent.
    pub const fn requests(&self) -> u64 {
        self.requests
    }

    fn first_lacking(&self, header: &FrameHeader) -> Option<FrameNumber> {
        if self.decoded.is_empty() {
            return Some(header.number);
        }
        header
            .referred()
            .find(|reference| reference.is_none_or(|number| self.decoded.binary_search(&number).is_err()))
            .map(|reference| reference.unwrap_or(header.number))
    }

    fn broken_at(&mut self, missing: FrameNumber) {
        self.missing = Some(self.missing.map_or(missing, |earlier| earlier.min(missing)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ids::StreamId,
        media::{
            packetise,
            reassemble::{self, Reassembler},
        },
        wire::media::{HopHeader, Packet, References},
    };

    fn header(number: u32, distances: &[u32]) -> FrameHeader {
        FrameHeader {
            stream_index: 1,
            audio: false,
            key: distances.is_empty(),
            recovery_point: false,
            discardable: false,
            layer: 0,
            number: FrameNumber(number),
            references: References::from_distances(distances).expect("few distances"),
            capture_time: Timestamp::ZERO,
            capture_number: number,
            encoded_after_us: 0,
            bytes: 1,
            packets: 1,
        }
    }

    fn pass(gate: &mut ReferenceGate, header: &FrameHeader) {
        assert_eq!(gate.admit(header), Admission::Decode);
        gate.decoded(header.number);
    }

    const fn at(ms: u64) -> Timestamp {
        Timestamp::from_micros(1_000_000 + ms * 1_000)
    }

    #[test]
    fn only_a_keyframe_opens_it() {
        let mut gate = ReferenceGate::new();
        assert_eq!(gate.needs_recovery(at(0)), None, "nothing came, nothing is missing");
        assert_eq!(gate.admit(&header(5, &[1])), Admission::MissingReference(FrameNumber(5)));
        let request = RecoveryRequest { last_decoded: None, first_missing: FrameNumber(5) };
        assert_eq!(gate.needs_recovery(at(0)), Some(request));
        pass(&mut gate, &header(6, &[]));
        assert_eq!(gate.needs_recovery(at(500)), None);
        pass(&mut gate, &header(7, &[1]));
    }

    #[test]
    fn a_lost_reference_stops_the_chain_until_a_frame_that_does_without() {
        let mut gate = ReferenceGate::new();
        pass(&mut gate, &header(0, &[]));
        pass(&mut gate, &header(1, &[1]));
        assert_eq!(gate.admit(&header(3, &[1])), Admission::MissingReference(FrameNumber(2)));
        assert_eq!(gate.admit(&header(4, &[1])), Admission::MissingReference(FrameNumber(3)));
        let request = RecoveryRequest { last_decoded: Some(FrameNumber(1)), first_missing: FrameNumber(2) };
        assert_eq!(gate.needs_recovery(at(0)), Some(request));
        assert_eq!(gate.needs_recovery(at(149)), None);
        assert_eq!(gate.poll_timeout(), Some(at(150)));
        assert_eq!(gate.needs_recovery(at(150)), Some(request));
        pass(&mut gate, &header(5, &[4]));
        assert_eq!(gate.needs_recovery(at(400)), None);
        assert_eq!(gate.poll_timeout(), None);
        assert_eq!(gate.requests(), 2);
    }

    #[test]
    fn what_the_decoder_refused_is_no_reference() {
        let mut gate = ReferenceGate::new();
        pass(&mut gate, &header(0, &[]));
        assert_eq!(gate.admit(&header(1, &[1])), Admission::Decode);
        gate.failed(FrameNumber(1));
        assert!(gate.needs_recovery(at(0)).is_some());
        assert_eq!(gate.admit(&header(2, &[1])), Admission::MissingReference(FrameNumber(1)));
    }

    #[test]
    fn a_lost_frame_that_nobody_needs_asks_for_nothing() {
        let mut gate = ReferenceGate::new();
        pass(&mut gate, &header(0, &[]));
        let lost = LostFrames { first: FrameNumber(1), last: FrameNumber(1), cause: LossCause::Lost, needed: false };
        gate.lost(&lost);
        assert_eq!(gate.needs_recovery(at(0)), None);
        pass(&mut gate, &header(2, &[2]));
        let root = FrameNumber(3);
        gate.lost(&LostFrames {
            first: FrameNumber(5),
            last: FrameNumber(6),
            cause: LossCause::ReferenceMissing(root),
            needed: true,
        });
        assert_eq!(gate.needs_recovery(at(0)).map(|request| request.first_missing), Some(root));
    }

    #[test]
    fn an_upper_layer_frame_does_not_end_the_plea() {
        let mut gate = ReferenceGate::new();
        pass(&mut gate, &header(0, &[]));
        assert_eq!(gate.admit(&header(2, &[1])), Admission::MissingReference(FrameNumber(1)));
        pass(&mut gate, &FrameHeader { discardable: true, ..header(3, &[3]) });
        assert!(gate.needs_recovery(at(0)).is_some());
    }

    #[test]
    fn frames_pass_once_and_in_order() {
        let mut gate = ReferenceGate::new();
        pass(&mut gate, &header(3, &[]));
        assert_eq!(gate.admit(&header(3, &[])), Admission::AlreadyPassed);
        assert_eq!(gate.admit(&header(2, &[])), Admission::AlreadyPassed);
        pass(&mut gate, &header(9, &[]));
        assert_eq!(
            gate.admit(&header(10, &[7])),
            Admission::MissingReference(FrameNumber(3)),
            "a keyframe ends what was before it"
        );
    }

    /// A stream of one layer over a hop that loses every seventeenth packet, whose sender answers a plea 60 ms later
    /// with a frame that refers to the last decoded one.
    #[test]
    fn a_lossy_hop_recovers_within_a_few_frames() {
        let mut reassembler = Reassembler::new(reassemble::Config::VIDEO);
        let mut gate = ReferenceGate::new();
        let mut answers = VecDeque::new();
        let (mut sequence, mut shown, mut longest_gap, mut last_shown) = (0u32, 0, 0, at(0));
        for number in 0..1_000u32 {
            let now = at(u64::from(number) * 33);
            let answer = answers.pop_front_if(|(due, _)| *due <= now).map(|(_, decoded): (_, u32)| number - decoded);
            let mut frame = if number == 0 { header(0, &[]) } else { header(number, &[answer.unwrap_or(1)]) };
            (frame.bytes, frame.packets) = (4_000, packetise::slices(4_000));
            let sealed = [7; 4_000];
            for (index, payload) in packetise::packets(&frame, &sealed) {
                sequence += 1;
                if sequence % 17 != 0 || number == 0 {
                    let hop = hop(sequence, index);
                    reassembler.handle_packet(&Packet { hop, frame: frame.clone(), payload }, now);
                }
            }
            reassembler.handle_timeout(now);
            while let Some(whole) = reassembler.poll_frame() {
                assert_eq!(gate.admit(&whole.header), Admission::Decode, "the reassembler lets nothing useless out");
                gate.decoded(whole.header.number);
                longest_gap = longest_gap.max(now.since(last_shown).as_millis());
                (shown, last_shown) = (shown + 1, now);
            }
            while let Some(lost) = reassembler.poll_loss() {
                gate.lost(&lost);
            }
            if let Some(request) = gate.needs_recovery(now) {
                let decoded = request.last_decoded.expect("the first frame came");
                answers.push_back((now + Duration::from_millis(60), decoded.0));
            }
        }
        assert!(shown > 200, "{shown} frames shown");
        assert!(longest_gap <= 500, "{longest_gap} ms");
    }

    const fn hop(sequence: u32, index: u16) -> HopHeader {
        HopHeader {
            stream: StreamId(1),
            sequence,
            index,
            retransmission: false,
            dropped: None,
            sent_after_us: 0,
            relayed: None,
        }
    }
}
