//! The state machines that media passes: what they promise about frames, packets, memory and time.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use visavis_proto::{
    cc::feedback::{ArrivalLog, SentLog},
    ids::{FrameNumber, StreamId},
    media::{
        gate::{Admission, ReferenceGate},
        packetise,
        playout::{AudioPlayout, Step, Stretch},
        reassemble::{Config, Reassembler},
    },
    signal::clock::ClockSync,
    time::Timestamp,
    units::DataSize,
    wire::{
        clock::Pong,
        datagram::{Datagram, MAX_MEDIA_BYTES},
        feedback::{Feedback, MAX_ENTRIES},
        media::{FrameHeader, HopHeader, Packet, References},
    },
};
use visavis_relay::core::forward::{self, Downlink, QUEUE_BYTES, Verdict};

use super::{START, Script};

/// Both ends of a hop: every packet has one verdict, reports fit a datagram, and forged reports do no harm.
pub fn feedback(data: &[u8]) {
    let mut script = Script(data);
    let (mut sent, mut arrived) = (SentLog::new(), ArrivalLog::new());
    let mut sequence = u32::from(script.byte()).wrapping_mul(0x0101_0101);
    let (mut now, mut on_the_way) = (START, VecDeque::new());
    let mut settled = BTreeSet::new();
    while let Some(operation) = script.operation() {
        let mut settle = |sent: &mut SentLog, report: &Feedback, now| {
            let acked = sent.handle_feedback(report, now);
            for number in acked.received.iter().map(|packet| packet.sequence).chain(acked.lost.iter().copied()) {
                assert!(settled.insert(number), "packet {number} has two verdicts");
            }
        };
        match operation % 8 {
            0..=2 => {
                for _ in 0..=operation / 64 {
                    sent.sent(sequence, DataSize::from_bytes(1 + u64::from(operation)), now);
                    if operation % 8 != 2 {
                        arrived.record(sequence, now.offset_nanos(i64::from(script.byte()) * 100_000));
                    }
                    sequence = sequence.wrapping_add(1);
                }
            }
            3 => arrived.record(sequence.wrapping_sub(u32::from(script.byte())), now),
            4 => arrived.record(script.number(), now),
            5 => {
                if let Some(report) = arrived.poll_feedback(now) {
                    let bytes = report.encode();
                    assert!(bytes.len() <= MAX_MEDIA_BYTES && report.arrivals.len() <= MAX_ENTRIES);
                    assert_eq!(Datagram::decode(&bytes), Ok(Datagram::Feedback(report.clone())));
                    assert_eq!(arrived.poll_feedback(now), None, "reports are spaced");
                    on_the_way.push_back(report);
                }
            }
            6 => {
                let lost = script.byte() % 4 == 0;
                if let Some(report) = on_the_way.pop_front().filter(|_| !lost) {
                    settle(&mut sent, &report, now);
                }
            }
            _ => {
                // A forged or a stray report.
                if let Ok(Datagram::Feedback(report)) = Datagram::decode(script.bytes()) {
                    settle(&mut sent, &report, now);
                }
            }
        }
        now += Duration::from_micros(u64::from(operation) * 97);
        let share = sent.loss_share().unwrap_or_default();
        assert!((0.0..=1.0).contains(&share));
    }
    assert!(sent.in_flight() <= DataSize::from_bytes(4_096 * 256));
}

/// Slices in any order to frames: each frame number has at most one fate, memory is bounded, nothing waits for ever,
/// and nothing comes out that the decoder cannot take.
pub fn reassembler(data: &[u8]) {
    let mut script = Script(data);
    let config = if script.byte() % 2 == 0 { Config::VIDEO } else { Config::AUDIO };
    let mut fates = Fates { reassembler: Reassembler::new(config), config, ..Fates::new() };
    let base = if script.byte() % 4 == 0 { script.number() } else { 0 };
    let mut now = START;
    while let Some(operation) = script.operation() {
        match operation % 4 {
            0..=2 => {
                let Some(packet) = script_packet(&mut script, operation, base) else { continue };
                // What the wire does not let through never gets here.
                let bytes = packet.encode();
                let Ok(Datagram::Media(packet)) = Datagram::decode(&bytes) else { continue };
                fates.reassembler.handle_packet(&packet, now);
            }
            _ => {
                now += Duration::from_millis(u64::from(operation / 4));
                fates.reassembler.handle_timeout(now);
                let next = fates.reassembler.poll_timeout();
                assert!(next.is_none_or(|at| at > now), "what is due has been done");
            }
        }
        fates.drain();
    }
    fates.reassembler.handle_timeout(now + Duration::from_secs(60));
    fates.drain();
    let (frames, _) = fates.reassembler.in_flight();
    assert!(frames <= 1, "{frames} frames wait for ever; only the newest may");
}

struct Fates {
    reassembler: Reassembler,
    config: Config,
    /// First and last frame of every range that came out or was given up.
    decided: BTreeMap<u32, u32>,
    delivered: BTreeSet<FrameNumber>,
    gate: ReferenceGate,
}

impl Fates {
    fn new() -> Self {
        Self {
            reassembler: Reassembler::new(Config::VIDEO),
            config: Config::VIDEO,
            decided: BTreeMap::new(),
            delivered: BTreeSet::new(),
            gate: ReferenceGate::new(),
        }
    }

    fn drain(&mut self) {
        while let Some(lost) = self.reassembler.poll_loss() {
            self.decide(lost.first.0, lost.last.0);
            self.gate.lost(&lost);
        }
        while let Some(frame) = self.reassembler.poll_frame() {
            let (header, number) = (&frame.header, frame.header.number);
            assert_eq!(frame.payload.len(), header.bytes as usize);
            if self.config.ordered {
                assert!(self.delivered.last().is_none_or(|last| *last < number), "out of order");
            }
            for reference in header.referred() {
                let reference = reference.expect("none before the first frame");
                assert!(self.delivered.contains(&reference), "{number:?} needs {reference:?}");
            }
            self.decide(number.0, number.0);
            self.delivered.insert(number);
            if self.gate.admit(header) == Admission::Decode {
                self.gate.decoded(number);
            }
        }
        while let Some(lost) = self.reassembler.poll_loss() {
            self.decide(lost.first.0, lost.last.0);
        }
        let (frames, bytes) = self.reassembler.in_flight();
        assert!(frames <= self.config.max_frames && bytes <= self.config.max_bytes);
        assert_eq!(self.reassembler.stats().reports_dropped, 0);
    }

    fn decide(&mut self, first: u32, last: u32) {
        assert!(first <= last);
        let before = self.decided.range(..=last).next_back();
        assert!(before.is_none_or(|(_, &end)| end < first), "two fates for a frame of {first}..={last}");
        self.decided.insert(first, last);
    }
}

/// A packet near frame `base`: small numbers, so that packets of one frame and references meet.
fn script_packet(script: &mut Script<'_>, operation: u8, base: u32) -> Option<Packet<'static>> {
    static PAYLOAD: [u8; 2_048] = [0x5a; 2_048];
    let (number, shape, flags) = (script.byte(), script.byte(), script.byte());
    let far = if operation & 0x80 == 0 { 0 } else { u32::from(script.byte()) << 8 };
    let number = base.wrapping_add(u32::from(number)).wrapping_add(far);
    let mut distances = Vec::new();
    for _ in 0..flags & 3 {
        distances.push(u32::from(script.byte()));
    }
    // Up to 256 kB, mostly one to three packets; the frame's number settles the size, so that its packets agree.
    let bytes = match flags >> 6 {
        0 => 1 + number % 3_000,
        1 => 1 + u32::from(shape),
        2 => 1_000 * (1 + number % 256),
        _ => 200_000,
    };
    let frame = FrameHeader {
        stream_index: 0,
        audio: false,
        key: distances.is_empty(),
        recovery_point: false,
        discardable: flags & 4 != 0,
        layer: 0,
        number: FrameNumber(number),
        references: References::from_distances(&distances)?,
        capture_time: START,
        capture_number: number,
        encoded_after_us: 0,
        bytes,
        packets: packetise::slices(bytes),
    };
    let index = u16::from(shape) % (frame.packets + 1);
    let length = frame.slice_range(index).map_or(frame.slice_bytes(), |range| range.len());
    let dropped = (flags & 8 != 0).then(|| {
        let first = number.saturating_sub(u32::from(script.byte()));
        (FrameNumber(first), FrameNumber(first.saturating_add(u32::from(script.byte()))))
    });
    let hop = HopHeader {
        stream: StreamId(0),
        sequence: 0,
        index,
        retransmission: flags & 16 != 0,
        dropped,
        sent_after_us: 0,
        relayed: None,
    };
    Some(Packet { hop, frame, payload: PAYLOAD.get(..length)? })
}

/// The relay's forwarding: a frame that was given up stays so, one that needs it follows, and what is forwarded is
/// numbered without gaps and decodes.
pub fn relay_forward(data: &[u8]) {
    let mut script = Script(data);
    let mut downlink = Downlink::default();
    let mut streams: BTreeMap<StreamId, Seen> = BTreeMap::new();
    let mut expected = 0;
    let base = if script.byte() % 4 == 0 { script.number() } else { 0 };
    while let Some(operation) = script.operation() {
        let raw = script.0;
        let bytes = if operation % 8 == 7 {
            script.bytes().to_vec()
        } else {
            let Some(mut packet) = script_packet(&mut script, operation, base) else { continue };
            packet.hop.stream = StreamId(u32::from(operation >> 3 & 1));
            packet.frame.audio = operation & 0x20 != 0;
            packet.encode()
        };
        let Ok(Datagram::Media(packet)) = Datagram::decode(&bytes) else { continue };
        let room = match operation % 4 {
            0 | 1 => QUEUE_BYTES,
            2 => usize::from(script.byte()) * 64,
            _ => 0,
        };
        let received = START.offset_nanos(raw.len() as i64 * 1_000);
        let stamp = forward::stamp(packet.frame.capture_time, received, received);
        let verdict = downlink.decide(&packet.hop, &packet.frame, bytes.len(), room, stamp);
        streams.entry(packet.hop.stream).or_default().note(&packet, &verdict);
        if let Verdict::Forward(hop) = verdict {
            assert_eq!(hop.sequence, expected, "hop sequence numbers have no gaps");
            expected = expected.wrapping_add(1);
            assert!(bytes.len() <= room, "more than fits was sent");
            let copy = Packet { hop, ..packet.clone() }.encode();
            let Ok(Datagram::Media(copied)) = Datagram::decode(&copy) else { panic!("a copy that nobody can read") };
            assert_eq!((&copied.frame, copied.payload), (&packet.frame, packet.payload));
        }
    }
}

/// How many frames of a stream the relay certainly remembers. Beyond it a packet that comes very late is decided anew.
const REMEMBERED: usize = 48;

#[derive(Default)]
struct Seen {
    /// Every frame, and whether it was given up.
    frames: BTreeMap<FrameNumber, bool>,
}

impl Seen {
    fn note(&mut self, packet: &Packet<'_>, verdict: &Verdict) {
        let number = packet.frame.number;
        let is_gone = |number: &FrameNumber| self.frames.get(number) == Some(&true);
        match verdict {
            Verdict::Forward(hop) => {
                assert!(hop.dropped.is_none_or(|(first, last)| first <= last));
                if self.frames.len() <= REMEMBERED {
                    assert!(!is_gone(&number), "{number:?} was given up before");
                    let is_first = !self.frames.contains_key(&number);
                    let needs_gone = packet.frame.referred().flatten().any(|needed| is_gone(&needed));
                    assert!(!is_first || !needs_gone, "{number:?} needs what was given up");
                }
            }
            Verdict::Drop(given_up) => {
                assert!(given_up.is_none_or(|drop| drop.frame == number && drop.stream == packet.hop.stream));
            }
        }
        *self.frames.entry(number).or_default() |= matches!(verdict, Verdict::Drop(_));
    }
}

/// Two clocks, with an honest relay or a lying one: no panic, a drift that quartz can have, and conversion there and
/// back.
pub fn clock_sync(data: &[u8]) {
    let mut script = Script(data);
    let mut clock = ClockSync::new();
    let offset = i64::from(script.number() as i32) * 1_000_000;
    let (mut now, mut pings) = (START, VecDeque::new());
    while let Some(operation) = script.operation() {
        match operation % 4 {
            0 => {
                if let Some(ping) = clock.poll_ping(now) {
                    assert!(clock.poll_timeout() > now, "probes are spaced");
                    pings.push_back((ping.id, now));
                }
            }
            1 => {
                // An honest answer, after a while on the way there and back.
                let (there, back) = (i64::from(script.byte()) * 200_000, u64::from(script.byte()) * 200_000);
                if let Some((id, sent)) = pings.pop_front() {
                    let received = Timestamp::from_micros(sent.offset_nanos(there + offset).as_micros());
                    now = now.max(sent.offset_nanos(there)) + Duration::from_nanos(back);
                    clock.handle_pong(Pong { id, received, sent: received }, now);
                }
            }
            2 => {
                let id = pings.pop_front().map_or_else(|| script.number(), |(id, _)| id);
                let received = Timestamp::from_micros(script.long());
                let sent = received + Duration::from_micros(u64::from(script.byte()));
                clock.handle_pong(Pong { id, received, sent }, now);
            }
            _ => now += Duration::from_millis(u64::from(script.byte()) << (operation >> 4)),
        }
        let drift = clock.drift_ppm().unwrap_or_default();
        assert!(drift.abs() <= 200.001, "{drift} ppm");
        assert_eq!(clock.offset_nanos(now).is_some(), clock.bound().is_some());
        assert!(clock.min_rtt().is_none_or(|least| clock.rtt().is_some() && clock.bound() == Some(least / 2)));
        if let Some(relay) = clock.to_relay(now)
            && relay > Timestamp::ZERO
            && relay < Timestamp::from_nanos(u64::MAX)
        {
            let local = clock.to_local(relay).expect("there is an estimate");
            assert!(local.nanos_from(now).abs() < 1_000_000, "there and back is {} ns off", local.nanos_from(now));
        }
    }
}

/// Sound: a frame is played once at most and in order, holes end in silence, and memory is bounded.
pub fn playout(data: &[u8]) {
    let mut script = Script(data);
    let mut playout = AudioPlayout::new();
    let base = if script.byte() % 4 == 0 { script.number() } else { 0 };
    let (mut now, mut last, mut concealed) = (START, None, 0);
    while let Some(operation) = script.operation() {
        match operation % 4 {
            0 | 1 => {
                let number = base.saturating_add(u32::from(script.byte()));
                let delay = i64::from(script.byte() as i8) * (1 << (operation >> 3));
                playout.handle_frame(
                    FrameNumber(number),
                    now.offset_nanos(-delay * 100_000),
                    now,
                    number_bytes(number),
                );
            }
            2 => {
                now += Duration::from_millis(10);
                let block = playout.next(now);
                assert!(block.stretch == Stretch::None || matches!(block.step, Step::Play { .. }));
                concealed = if block.step == Step::Conceal { concealed + 1 } else { 0 };
                assert!(concealed <= 10, "holes end in silence");
                let (number, payload) = match block.step {
                    Step::Play { number, payload } => (number, payload == number_bytes(number.0)),
                    Step::PlayWithFecOf { number, next_payload } => {
                        (number, next_payload == number_bytes(number.0.wrapping_add(1)))
                    }
                    Step::Conceal | Step::Silence => continue,
                };
                assert!(payload, "the bytes of another frame");
                // The last number there is may come again: nobody talks for a year and four months.
                assert!(last.is_none_or(|last| last < number || number.0 == u32::MAX), "{last:?}, then {number:?}");
                last = Some(number);
            }
            _ => now += Duration::from_millis(u64::from(operation >> 2)),
        }
        assert!(playout.buffered() <= 100);
    }
}

fn number_bytes(number: u32) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}
