//! Datagrams to whole frames: `reassemble -> open`, with the arrival log that feedback is made of. Sans-IO.

use std::{collections::VecDeque, time::Duration};

use visavis_proto::{
    cc::feedback::ArrivalLog,
    e2ee::Opener,
    ids::StreamId,
    media::{
        loss::{HopLoss, LossCounter},
        reassemble::{Config, LossCause, LostFrames, Reassembler, ReceivedFrame, Stats as ReassemblyStats},
    },
    signal::clock::ClockSync,
    time::Timestamp,
    wire::{
        control::StreamKind,
        feedback::Feedback,
        media::{FrameHeader, Packet},
    },
};

use crate::stats::record::{Counter, Drop, Fate, FrameRecord, Media, Side};

/// Most records of lost frames at once: ten seconds of sound, and half of what may wait for the collector. Whoever numbers
/// frames may leave out four billion of them with one packet; beyond this many, frames are counted and not told one by one.
const LOST_RECORDS: u32 = 1_024;

/// A stream's frames are at least this far apart; so many more records of lost ones there may be with time.
const FRAME_INTERVAL: Duration = Duration::from_millis(5);

/// What one device receives in one call.
#[derive(Debug)]
pub struct Downlink {
    streams: Vec<Incoming>,
    arrivals: ArrivalLog,
    loss: LossCounter,
    unknown: u64,
    /// What [`Self::take_counts`] answered so far: packets of unknown streams, and the streams' own counts.
    told: (u64, ReassemblyStats),
    output: VecDeque<Output>,
}

/// What comes out.
#[derive(Debug)]
pub enum Output {
    /// A whole, opened frame: its header, its bytes, and its stage times so far.
    Frame(FrameHeader, Vec<u8>, FrameRecord),
    /// Pictures that will not come.
    LostPictures(LostFrames),
    /// The fate of a frame that ends here.
    Record(FrameRecord),
}

/// One stream.
#[derive(Debug)]
struct Incoming {
    id: StreamId,
    index: u8,
    media: Media,
    reassembler: Reassembler,
    opener: Opener,
    /// Records of lost frames that may be told, as of a time.
    allowance: (u32, Timestamp),
    /// Lost frames that were not told one by one.
    untold: u64,
}

impl Downlink {
    /// Receives these streams: the relay's number, the sender's index and the kind.
    pub fn new(streams: impl IntoIterator<Item = (StreamId, u8, StreamKind)>) -> Self {
        let streams = streams.into_iter().filter_map(|(id, index, kind)| {
            let (media, config) = match kind {
                StreamKind::Microphone => (Media::Audio, Config::AUDIO),
                StreamKind::Camera => (Media::Video, Config::VIDEO),
                StreamKind::Unspecified => return None,
            };
            Some(Incoming {
                id,
                index,
                media,
                reassembler: Reassembler::new(config),
                opener: Opener::default(),
                allowance: (LOST_RECORDS, Timestamp::ZERO),
                untold: 0,
            })
        });
        Self {
            streams: streams.collect(),
            arrivals: ArrivalLog::default(),
            loss: LossCounter::new(),
            unknown: 0,
            told: Default::default(),
            output: VecDeque::new(),
        }
    }

    /// Takes a media packet.
    pub fn handle_packet(&mut self, packet: &Packet<'_>, clocks: &ClockSync, now: Timestamp) {
        let belongs = |stream: &&mut Incoming| {
            stream.id == packet.hop.stream
                && stream.index == packet.frame.stream_index
                && (stream.media == Media::Audio) == packet.frame.audio
        };
        let Some(stream) = self.streams.iter_mut().find(belongs) else {
            self.unknown += 1;
            return;
        };
        self.arrivals.record(packet.hop.sequence, now);
        self.loss.handle_packet(packet.hop.sequence);
        stream.reassembler.handle_packet(packet, now);
        stream.drain(clocks, now, &mut self.output);
    }

    /// Gives up what waited too long.
    pub fn handle_timeout(&mut self, clocks: &ClockSync, now: Timestamp) {
        for stream in &mut self.streams {
            stream.reassembler.handle_timeout(now);
            stream.drain(clocks, now, &mut self.output);
        }
    }

    /// When there is something to give up or to report.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let streams = self.streams.iter().filter_map(|stream| stream.reassembler.poll_timeout());
        streams.chain(self.arrivals.poll_timeout()).min()
    }

    /// The feedback that is due.
    pub fn poll_feedback(&mut self, now: Timestamp) -> Option<Feedback> {
        self.arrivals.poll_feedback(now)
    }

    /// The next frame or fate.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.output.pop_front()
    }

    /// What tells of trouble, since the last call of this.
    pub fn take_counts(&mut self) -> [(Counter, u64); 5] {
        let mut sum = ReassemblyStats::default();
        for stats in self.streams.iter().map(|stream| stream.reassembler.stats()) {
            sum.refused += stats.refused;
            sum.duplicates += stats.duplicates;
            sum.late += stats.late;
        }
        let untold = self.streams.iter_mut().map(|stream| std::mem::take(&mut stream.untold)).sum();
        let told = std::mem::replace(&mut self.told, (self.unknown, sum));
        [
            (Counter::UnknownStreamPackets, self.unknown - told.0),
            (Counter::RefusedPackets, sum.refused - told.1.refused),
            (Counter::DuplicatePackets, sum.duplicates - told.1.duplicates),
            (Counter::LatePackets, sum.late - told.1.late),
            (Counter::UntoldLosses, untold),
        ]
    }

    /// Packets of this hop since the last call of this.
    pub fn take_loss(&mut self) -> HopLoss {
        self.loss.take_window()
    }
}

impl Incoming {
    fn drain(&mut self, clocks: &ClockSync, now: Timestamp, output: &mut VecDeque<Output>) {
        // Losses first: a frame that comes out may have waited for the verdict on one before it.
        while let Some(lost) = self.reassembler.poll_loss() {
            let cause = match lost.cause {
                LossCause::Lost => Drop::Lost,
                LossCause::DroppedByHop => Drop::DroppedByHop,
                LossCause::Late => Drop::Late,
                LossCause::ReferenceMissing(_) => Drop::ReferenceMissing,
                LossCause::Overflow => Drop::Overflow,
            };
            for number in self.told_losses(&lost, now) {
                let record = FrameRecord::new(Side::Receiver, self.media, Fate::Dropped(cause));
                output.push_back(Output::Record(FrameRecord { frame: Some(number), ..record }));
            }
            if self.media == Media::Video {
                output.push_back(Output::LostPictures(lost));
            }
        }
        while let Some(frame) = self.reassembler.poll_frame() {
            output.push_back(self.open(frame, clocks));
        }
    }

    /// The numbers of lost frames that are told one by one: all of them, but for more than there can have been.
    fn told_losses(&mut self, lost: &LostFrames, now: Timestamp) -> impl Iterator<Item = u32> + use<> {
        let (left, since) = self.allowance;
        let frames = u32::try_from(now.since(since).as_nanos() / FRAME_INTERVAL.as_nanos()).unwrap_or(u32::MAX);
        let since = if frames == 0 { since } else { now };
        let left = left.saturating_add(frames).min(LOST_RECORDS);
        let all = u64::from(lost.last.0.saturating_sub(lost.first.0)) + 1;
        // The newest: what came before them is long past.
        let told = all.min(u64::from(left)) as u32;
        self.untold += all - u64::from(told);
        self.allowance = (left - told, since);
        (0..told).map({
            let last = lost.last.0;
            move |n| last - (told - 1 - n)
        })
    }

    fn open(&mut self, mut frame: ReceivedFrame, clocks: &ClockSync) -> Output {
        let record = describe(self.media, &frame, clocks);
        match self.opener.open(&frame.header, &mut frame.payload) {
            Ok(()) => Output::Frame(frame.header, frame.payload, record),
            Err(_) => Output::Record(FrameRecord { fate: Fate::Dropped(Drop::Forged), ..record }),
        }
    }
}

/// The stage times of a frame that has just become whole, by this device's clock.
fn describe(media: Media, frame: &ReceivedFrame, clocks: &ClockSync) -> FrameRecord {
    let captured = clocks.to_local(frame.header.capture_time).unwrap_or(frame.header.capture_time);
    let after = |us: u32| Some(captured.as_nanos().saturating_add(u64::from(us) * 1_000));
    let bound = clocks.bound().unwrap_or_default();
    FrameRecord {
        frame: Some(frame.header.number.0),
        capture: Some(frame.header.capture_number),
        captured_ns: Some(captured.as_nanos()),
        encoded_ns: after(frame.header.encoded_after_us),
        sent_ns: after(frame.sent_after_us),
        relay_received_ns: frame.relayed.and_then(|stamp| after(stamp.received_after_us)),
        relay_sent_ns: frame.relayed.and_then(|stamp| after(stamp.received_after_us.saturating_add(stamp.held_us))),
        received_ns: Some(frame.received.as_nanos()),
        bytes: frame.header.bytes,
        packets: frame.header.packets,
        layer: frame.header.layer,
        key: frame.header.key,
        clock_bound_ns: u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX),
        ..FrameRecord::new(Side::Receiver, media, Fate::InFlight)
    }
}

#[cfg(test)]
mod tests {
    use visavis_proto::{
        ids::FrameNumber,
        wire::media::{HopHeader, References},
    };

    use super::*;

    /// A picture of two packets.
    fn frame(bytes: u32) -> FrameHeader {
        FrameHeader {
            stream_index: 1,
            audio: false,
            key: true,
            recovery_point: true,
            discardable: false,
            layer: 0,
            number: FrameNumber(0),
            references: References::NONE,
            capture_time: Timestamp::ZERO,
            capture_number: 0,
            encoded_after_us: 0,
            bytes,
            packets: 2,
        }
    }

    /// The first packet of a picture of `bytes` bytes comes.
    fn come(downlink: &mut Downlink, (stream, sequence): (u32, u32), number: u32, bytes: u32, now: Timestamp) {
        let frame = FrameHeader { number: FrameNumber(number), ..frame(bytes) };
        let payload = vec![0; frame.slice_range(0).expect("two packets").len()];
        let hop = HopHeader {
            stream: StreamId(stream),
            sequence,
            index: 0,
            retransmission: false,
            dropped: None,
            sent_after_us: 0,
            relayed: None,
        };
        downlink.handle_packet(&Packet { hop, frame, payload: &payload }, &ClockSync::new(), now);
    }

    #[test]
    fn whoever_leaves_out_billions_of_frames_costs_no_memory() {
        let mut downlink = Downlink::new([(StreamId(7), 1, StreamKind::Camera)]);
        let told = |downlink: &mut Downlink| {
            let records = std::iter::from_fn(|| downlink.poll_output());
            let numbers: Vec<u32> = records
                .filter_map(|output| match output {
                    Output::Record(record) => record.frame,
                    Output::Frame(..) | Output::LostPictures(_) => None,
                })
                .collect();
            (numbers.len() as u32, numbers.last().copied())
        };
        come(&mut downlink, (7, 0), 0, 1_500, Timestamp::ZERO);
        come(&mut downlink, (7, 1), 4_000_000_000, 1_500, Timestamp::ZERO);
        let (first, last) = told(&mut downlink);
        assert!(first <= LOST_RECORDS && last.is_some_and(|last| last > 3_999_000_000), "{first}, {last:?}");
        come(&mut downlink, (7, 2), 4_100_000_000, 1_500, Timestamp::ZERO + FRAME_INTERVAL * 3);
        assert!(told(&mut downlink).0 <= LOST_RECORDS - first + 3, "and not again until there can have been more");
        let untold = downlink.take_counts()[4];
        assert!(untold.0 == Counter::UntoldLosses && untold.1 > 4_099_000_000, "{untold:?}");
        assert_eq!(downlink.take_counts()[4].1, 0);
    }

    #[test]
    fn packets_that_tell_of_trouble_are_counted_once_and_then_anew() {
        let mut downlink = Downlink::new([(StreamId(7), 1, StreamKind::Camera)]);
        for (sequence, (stream, bytes)) in (0..).zip([(7, 1_500), (7, 1_500), (8, 1_500), (7, 1_502), (8, 1_500)]) {
            come(&mut downlink, (stream, sequence), 0, bytes, Timestamp::ZERO);
        }
        let counts = |unknown, refused, duplicate| {
            [
                (Counter::UnknownStreamPackets, unknown),
                (Counter::RefusedPackets, refused),
                (Counter::DuplicatePackets, duplicate),
                (Counter::LatePackets, 0),
                (Counter::UntoldLosses, 0),
            ]
        };
        assert_eq!(downlink.take_counts(), counts(2, 1, 1));
        come(&mut downlink, (8, 5), 0, 1_500, Timestamp::ZERO);
        assert_eq!(downlink.take_counts(), counts(1, 0, 0));
    }
}
