//! The reassembler against lossy, reordered, doubled and forged packets.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{
    ids::{FrameNumber, StreamId},
    media::packetise,
    wire::media::{HopHeader, References},
};

const HOLD: Duration = Config::VIDEO.hold;

fn at(ms: u64) -> Timestamp {
    Timestamp::from_micros(1_000_000 + ms * 1_000)
}

fn header(number: u32, distances: &[u32], bytes: u32) -> FrameHeader {
    FrameHeader {
        stream_index: 1,
        audio: false,
        key: distances.is_empty(),
        recovery_point: false,
        discardable: false,
        layer: 0,
        number: FrameNumber(number),
        references: References::from_distances(distances).expect("few distances"),
        capture_time: at(u64::from(number) * 33),
        capture_number: number,
        encoded_after_us: 0,
        bytes,
        packets: packetise::slices(bytes),
    }
}

fn payload(header: &FrameHeader) -> Vec<u8> {
    (0..header.bytes).map(|n| (n ^ header.number.0.wrapping_mul(31)) as u8).collect()
}

const fn hop(index: u16) -> HopHeader {
    HopHeader {
        stream: StreamId(1),
        sequence: 0,
        index,
        retransmission: false,
        dropped: None,
        sent_after_us: 7_000,
        relayed: None,
    }
}

/// Hands over packet `index` of a frame.
fn give(reassembler: &mut Reassembler, header: &FrameHeader, index: u16, now: Timestamp) -> Outcome {
    give_with(reassembler, header, hop(index), now)
}

fn give_with(reassembler: &mut Reassembler, header: &FrameHeader, hop: HopHeader, now: Timestamp) -> Outcome {
    let sealed = payload(header);
    let range = header.slice_range(hop.index).unwrap_or(0..header.slice_bytes());
    reassembler.handle_packet(&Packet { hop, frame: header.clone(), payload: &sealed[range] }, now)
}

fn give_whole(reassembler: &mut Reassembler, header: &FrameHeader, now: Timestamp) {
    (0..header.packets).for_each(|index| assert_eq!(give(reassembler, header, index, now), Outcome::Stored));
}

fn numbers(reassembler: &mut Reassembler) -> Vec<u32> {
    std::iter::from_fn(|| reassembler.poll_frame()).map(|frame| frame.header.number.0).collect()
}

fn losses(reassembler: &mut Reassembler) -> Vec<(u32, u32, LossCause, bool)> {
    std::iter::from_fn(|| reassembler.poll_loss())
        .map(|lost| (lost.first.0, lost.last.0, lost.cause, lost.needed))
        .collect()
}

#[test]
fn a_frame_is_whole_in_any_order_of_its_packets() {
    let mut reassembler = Reassembler::new(Config::VIDEO);
    let key = header(0, &[], 3_000);
    assert_eq!(key.packets, 3);
    assert_eq!(give(&mut reassembler, &key, 2, at(0)), Outcome::Stored);
    assert_eq!(give(&mut reassembler, &key, 2, at(1)), Outcome::Duplicate);
    assert_eq!(give(&mut reassembler, &key, 0, at(2)), Outcome::Stored);
    assert_eq!(reassembler.poll_frame(), None);
    let last = HopHeader { sent_after_us: 9_000, retransmission: true, ..hop(1) };
    assert_eq!(give_with(&mut reassembler, &key, last, at(3)), Outcome::Stored);
    let frame = reassembler.poll_frame().expect("it is whole");
    assert_eq!(frame.payload, payload(&key));
    assert_eq!((frame.first_received, frame.received), (at(0), at(3)));
    assert_eq!((frame.sent_after_us, frame.duplicates, frame.retransmitted), (9_000, 1, 1));
    assert_eq!(give(&mut reassembler, &key, 0, at(4)), Outcome::Duplicate);
    assert_eq!(reassembler.in_flight(), (0, 0));
}

#[test]
fn a_late_packet_within_the_hold_saves_its_frame_and_those_that_need_it() {
    let mut reassembler = Reassembler::new(Config::VIDEO);
    give_whole(&mut reassembler, &header(0, &[], 100), at(0));
    give_whole(&mut reassembler, &header(2, &[1], 100), at(66));
    assert_eq!(numbers(&mut reassembler), [0]);
    assert_eq!(reassembler.poll_timeout(), Some(at(66) + HOLD));
    reassembler.handle_timeout(at(131));
    give_whole(&mut reassembler, &header(1, &[1], 100), at(131));
    assert_eq!(numbers(&mut reassembler), [1, 2]);
    assert_eq!(losses(&mut reassembler), []);
    assert_eq!(reassembler.poll_timeout(), None);
}

#[test]
fn past_the_hold_a_lost_frame_takes_those_that_need_it_along() {
    let mut reassembler = Reassembler::new(Config::VIDEO);
    give_whole(&mut reassembler, &header(0, &[], 100), at(0));
    let torn = header(1, &[1], 2_000);
    give(&mut reassembler, &torn, 0, at(33));
    give_whole(&mut reassembler, &header(2, &[1], 100), at(66));
    give_whole(&mut reassembler, &header(3, &[1], 100), at(99));
    assert_eq!(numbers(&mut reassembler), [0]);
    reassembler.handle_timeout(at(66) + HOLD);
    let root = LossCause::ReferenceMissing(FrameNumber(1));
    assert_eq!(losses(&mut reassembler), [(1, 1, LossCause::Lost, true), (2, 3, root, true)]);
    assert_eq!(give(&mut reassembler, &torn, 1, at(140)), Outcome::Late);
    assert_eq!(give(&mut reassembler, &header(4, &[1], 100), 0, at(140)), Outcome::Unusable);
    // A recovery frame that refers to what did come ends it.
    give_whole(&mut reassembler, &header(5, &[5], 100), at(150));
    assert_eq!(numbers(&mut reassembler), [5]);
}

#[test]
fn nothing_waits_for_a_frame_it_does_not_need() {
    let mut reassembler = Reassembler::new(Config::VIDEO);
    give_whole(&mut reassembler, &header(0, &[], 100), at(0));
    let upper = FrameHeader { discardable: true, layer: 1, ..header(1, &[1], 2_000) };
    give(&mut reassembler, &upper, 0, at(33));
    give_whole(&mut reassembler, &header(2, &[2], 100), at(66));
    assert_eq!(numbers(&mut reassembler), [0, 2]);
    assert_eq!(losses(&mut reassembler), [(1, 1, LossCause::Late, false)]);
    assert_eq!(give(&mut reassembler, &upper, 1, at(67)), Outcome::Late);
}

#[test]
fn a_frame_that_still_trickles_in_is_not_given_up() {
    let mut reassembler = Reassembler::new(Config::VIDEO);
    let key = header(0, &[], 40_000);
    for index in 0..key.packets {
        let now = at(u64::from(index) * 10);
        reassembler.handle_timeout(now);
        assert_eq!(give(&mut reassembler, &key, index, now), Outcome::Stored);
        // The next frame's packets are interleaved by the second half.
        if index == 10 {
            give(&mut reassembler, &header(1, &[1], 2_000), 0, now);
        }
    }
    assert_eq!(numbers(&mut reassembler), [0]);
}

#[test]
fn what_the_hop_dropped_is_not_waited_for() {
    let mut reassembler = Reassembler::new(Config::VIDEO);
    give_whole(&mut reassembler, &header(0, &[], 100), at(0));
    let announcing = HopHeader { dropped: Some((FrameNumber(1), FrameNumber(2))), ..hop(0) };
    give_with(&mut reassembler, &header(3, &[3], 100), announcing, at(99));
    assert_eq!(losses(&mut reassembler), [(1, 2, LossCause::DroppedByHop, false)]);
    assert_eq!(reassembler.poll_timeout(), None);
    assert_eq!(numbers(&mut reassembler), [0, 3]);
}

#[test]
fn a_packet_cannot_announce_its_own_frame_or_later_ones_as_dropped() {
    let mut reassembler = Reassembler::new(Config::VIDEO);
    let announcing = HopHeader { dropped: Some((FrameNumber(0), FrameNumber(u32::MAX))), ..hop(0) };
    give_with(&mut reassembler, &header(0, &[], 100), announcing, at(0));
    give(&mut reassembler, &header(2, &[], 2_000), 0, at(33));
    give_with(&mut reassembler, &header(1, &[1], 100), announcing, at(34));
    assert_eq!(numbers(&mut reassembler), [0, 1]);
    assert_eq!(reassembler.in_flight(), (1, 2_000));
}

#[test]
fn what_needs_a_dropped_frame_goes_with_it_at_once() {
    let mut reassembler = Reassembler::new(Config::VIDEO);
    give_whole(&mut reassembler, &header(0, &[], 100), at(0));
    give_whole(&mut reassembler, &header(2, &[1], 100), at(66));
    let announcing = HopHeader { dropped: Some((FrameNumber(1), FrameNumber(1))), ..hop(0) };
    give_with(&mut reassembler, &header(3, &[3], 2_000), announcing, at(99));
    let root = LossCause::ReferenceMissing(FrameNumber(1));
    assert_eq!(losses(&mut reassembler), [(1, 1, LossCause::DroppedByHop, false), (2, 2, root, true)]);
    assert_eq!(reassembler.in_flight(), (2, 2_100));
}

#[test]
fn a_packet_that_disagrees_is_refused() {
    let mut reassembler = Reassembler::new(Config::VIDEO);
    let key = header(0, &[], 2_000);
    give(&mut reassembler, &key, 0, at(0));
    let forged = FrameHeader { capture_number: 9, ..key.clone() };
    assert_eq!(give(&mut reassembler, &forged, 1, at(1)), Outcome::Refused);
    let short = Packet { hop: hop(1), frame: key.clone(), payload: &[1] };
    assert_eq!(reassembler.handle_packet(&short, at(1)), Outcome::Refused);
    let huge = FrameHeader { bytes: u32::MAX, packets: u16::MAX, ..header(1, &[], 1) };
    assert_eq!(
        reassembler.handle_packet(&Packet { hop: hop(0), frame: huge, payload: &[] }, at(1)),
        Outcome::Refused
    );
    assert_eq!(give(&mut reassembler, &key, 2, at(1)), Outcome::Parity);
    give(&mut reassembler, &key, 1, at(2));
    assert_eq!(numbers(&mut reassembler), [0]);
    assert_eq!(reassembler.stats().refused, 3);
}

#[test]
fn the_oldest_makes_room() {
    let mut reassembler = Reassembler::new(Config { max_frames: 2, ..Config::VIDEO });
    for number in 0..3 {
        give(&mut reassembler, &header(number, &[], 2_000), 0, at(0));
    }
    assert_eq!(losses(&mut reassembler), [(0, 0, LossCause::Overflow, true)]);
    assert_eq!(reassembler.in_flight(), (2, 4_000));
}

#[test]
fn joining_late_owes_nothing_from_before() {
    let mut reassembler = Reassembler::new(Config::VIDEO);
    assert_eq!(give(&mut reassembler, &header(5_000, &[1], 100), 0, at(0)), Outcome::Unusable);
    let root = LossCause::ReferenceMissing(FrameNumber(4_999));
    assert_eq!(losses(&mut reassembler), [(5_000, 5_000, root, true)]);
    give_whole(&mut reassembler, &header(5_001, &[], 100), at(33));
    assert_eq!(numbers(&mut reassembler), [5_001]);
}

#[test]
fn a_long_gap_is_one_report() {
    let mut reassembler = Reassembler::new(Config::VIDEO);
    give_whole(&mut reassembler, &header(0, &[], 100), at(0));
    assert_eq!(numbers(&mut reassembler), [0]);
    give_whole(&mut reassembler, &header(u32::MAX, &[], 100), at(9));
    assert_eq!(numbers(&mut reassembler), [u32::MAX]);
    assert_eq!(losses(&mut reassembler), [(1, u32::MAX - 1, LossCause::Lost, false)]);
}

#[test]
fn a_reference_before_the_first_frame_cannot_be_had() {
    let mut reassembler = Reassembler::new(Config::VIDEO);
    give_whole(&mut reassembler, &header(0, &[], 100), at(0));
    assert_eq!(give(&mut reassembler, &header(1, &[2], 100), 0, at(1)), Outcome::Unusable);
}

#[test]
fn sound_is_delivered_as_it_comes() {
    let mut reassembler = Reassembler::new(Config::AUDIO);
    let sound = |number| FrameHeader { audio: true, ..header(number, &[], 80) };
    for number in [0, 2, 3, 1] {
        give_whole(&mut reassembler, &sound(number), at(0));
    }
    give_whole(&mut reassembler, &sound(5), at(10));
    assert_eq!(numbers(&mut reassembler), [0, 1, 2, 3, 5]);
    reassembler.handle_timeout(at(510));
    assert_eq!(losses(&mut reassembler), [(4, 4, LossCause::Lost, false)]);
}

/// What happens to one packet on its way.
#[derive(Debug, Clone)]
struct Event {
    frame: prop::sample::Index,
    packet: u16,
    wait_ms: u64,
    forged: bool,
    dropped: Option<(u32, u32)>,
}

prop_compose! {
    fn any_event()(
        frame in any::<prop::sample::Index>(), packet in 0..6u16, wait_ms in prop_oneof![4 => 0..3u64, 1 => 0..150u64],
        forged in prop::bool::weighted(0.05), dropped in prop::option::weighted(0.05, (0..80u32, 0..5u32)),
    ) -> Event {
        Event { frame, packet, wait_ms, forged, dropped }
    }
}

prop_compose! {
    fn any_stream()(shapes in prop::collection::vec((1..5_000u32, 0..5u32, any::<bool>()), 1..80)) -> Vec<FrameHeader> {
        (0..).zip(shapes).map(|(number, (bytes, distance, discardable))| {
            let distances = if distance == 0 { &[][..] } else { &[distance][..] };
            FrameHeader { discardable, ..header(number, distances, bytes) }
        }).collect()
    }
}

proptest! {
    /// Mostly in order, as a network has it: each event picks its frame near a position that moves on.
    #[test]
    fn every_frame_has_one_fate(
        stream in any_stream(), events in prop::collection::vec(any_event(), 0..400), ordered in any::<bool>(),
        near in any::<bool>(),
    ) {
        let config = Config { ordered, max_frames: 6, max_bytes: 16_000, ..Config::VIDEO };
        let mut reassembler = Reassembler::new(config);
        let mut fates = BTreeMap::new();
        let mut now = at(0);
        let mut delivered = Vec::new();
        for (step, event) in events.iter().enumerate() {
            let position = step * stream.len() / events.len();
            let frame = if near { (position + event.frame.index(4)).min(stream.len() - 1) } else { event.frame.index(stream.len()) };
            let mut header = stream[frame].clone();
            let packet = event.packet % (header.packets + 1);
            if event.forged { header.encoded_after_us += 1; }
            let dropped = event.dropped.map(|(first, more)| (FrameNumber(first), FrameNumber(first + more)));
            now += Duration::from_millis(event.wait_ms);
            reassembler.handle_timeout(now);
            give_with(&mut reassembler, &header, HopHeader { dropped, ..hop(packet) }, now);
            let (frames, bytes) = reassembler.in_flight();
            prop_assert!(frames <= 6 && bytes <= 16_000);
            while let Some(frame) = reassembler.poll_frame() {
                let number = frame.header.number.0;
                prop_assert_eq!(&frame.payload, &payload(&stream[number as usize]));
                let decodable = needs(&frame.header).all(|needed| fates.get(&(needed as u32)) == Some(&true));
                prop_assert!(decodable, "frame {} came before what it needs", number);
                prop_assert_eq!(fates.insert(number, true), None, "frame {} had a fate", number);
                delivered.push(number);
            }
            while let Some(lost) = reassembler.poll_loss() {
                for number in lost.first.0..=lost.last.0 {
                    prop_assert_eq!(fates.insert(number, false), None, "frame {} had a fate", number);
                }
            }
        }
        prop_assert!(!ordered || delivered.is_sorted());
        // A frame far ahead settles all that came before it.
        give(&mut reassembler, &header(2_000, &[], 10), 0, now);
        while reassembler.poll_frame().is_some() {}
        reassembler.handle_timeout(now + HOLD);
        while let Some(lost) = reassembler.poll_loss() {
            for number in lost.first.0..=lost.last.0 {
                prop_assert_eq!(fates.insert(number, false), None, "frame {} had a fate", number);
            }
        }
        let first = fates.keys().next().copied().unwrap_or(2_000);
        prop_assert!(fates.keys().copied().eq(first..2_000), "every frame before the last has a fate");
        prop_assert_eq!(reassembler.in_flight(), (0, 0));
    }
}
