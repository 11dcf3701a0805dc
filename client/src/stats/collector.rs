//! Turns records into the lines of `--stats`, the live line and the call report. Pure: records in, figures out.

use std::{collections::BTreeMap, io::Write, time::Duration};

use visavis_proto::time::Timestamp;

pub use super::live::{Live, Sending};
use super::{
    distribution::Distribution,
    live::{Window, ages},
    record::{Counter, Drop, Fate, FrameRecord, Media, Note, Side},
    report::{self, Age, Audio, Direction, Frames, Report, Sent, Stage, Stages},
};

/// A gap between two shown pictures above this is a freeze.
const FREEZE: Duration = Duration::from_millis(200);

/// The names of the stages, in order.
pub const STAGES: [&str; 6] = ["encode", "send", "relay", "receive", "decode", "present"];

/// Sums of one call.
#[derive(Debug, Default)]
pub struct Collector {
    me: String,
    peer: String,
    accepted: Option<Timestamp>,
    live: Option<Timestamp>,
    over: Option<Timestamp>,
    first_decoded: Option<Timestamp>,
    delay: Distribution,
    stages: [Distribution; 6],
    age: Distribution,
    mouth_to_ear: Distribution,
    shown: u64,
    shown_bytes: u64,
    last_shown: Option<(Timestamp, Timestamp)>,
    frozen: Duration,
    longest_gap: Duration,
    captures: Option<(u32, u32)>,
    frames: Option<(u32, u32)>,
    dropped: BTreeMap<Drop, u64>,
    in_flight: u64,
    own: OwnPictures,
    blocks: AudioBlocks,
    counters: BTreeMap<Counter, u64>,
    /// What pictures are coded in: those that are sent, if any are, and those that come.
    codecs: Option<(Option<&'static str>, &'static str)>,
    window: Window,
}

/// Pictures of this device's camera: each has one record when it leaves or is given up.
#[derive(Debug, Default)]
struct OwnPictures {
    captured: u64,
    encoded: u64,
    dropped: BTreeMap<Drop, u64>,
    /// Of those that were sent, the relay dropped these. Not in the report: the other side counts them there.
    dropped_by_relay: u64,
}

/// Blocks of sound by how they came to be.
#[derive(Debug, Default, Clone, Copy)]
struct AudioBlocks {
    played: u64,
    concealed: u64,
}

impl Collector {
    /// Takes one frame's record; `line` gets it as a JSON line if it is given.
    ///
    /// # Errors
    ///
    /// Whatever `line` answers.
    pub fn record(&mut self, record: &FrameRecord, line: Option<&mut dyn Write>) -> std::io::Result<()> {
        match (record.side, record.media) {
            (Side::Receiver, Media::Video) => self.received_video(record),
            (Side::Receiver, Media::Audio) => {
                if let (Fate::Shown, Some(captured), Some(presented)) =
                    (record.fate, record.captured_ns, record.presented_ns)
                {
                    self.mouth_to_ear.add_nanos(presented.saturating_sub(captured));
                }
            }
            (Side::Sender, Media::Video) => {
                self.own.add(record);
                self.window.sent_picture(record);
            }
            // The report has no counts of sound blocks that were sent.
            (Side::Sender, Media::Audio) => {}
        }
        match line {
            None => Ok(()),
            Some(out) => {
                serde_json::to_writer(&mut *out, record)?;
                out.write_all(b"\n")
            }
        }
    }

    /// Takes news that is not about one frame.
    pub fn note(&mut self, note: Note) {
        match note {
            Note::Live { me, peer, accepted, at } => {
                (self.me, self.peer) = (me, peer);
                self.accepted.get_or_insert(accepted);
                self.live.get_or_insert(at);
            }
            Note::Audio { played, recovered, concealed } => {
                self.blocks.played += u64::from(played) + u64::from(recovered);
                self.blocks.concealed += u64::from(concealed);
            }
            Note::Packets { received, lost } => self.window.packets(received, lost),
            Note::Path { round_trip, bound } => self.window.path(round_trip, bound),
            Note::Codecs { sent, received } => self.codecs = Some((sent, received)),
            Note::DroppedByRelay(count) => {
                self.own.dropped_by_relay = self.own.dropped_by_relay.saturating_add(count);
            }
            Note::Counted(_, 0) => {}
            Note::Counted(what, count) => *self.counters.entry(what).or_default() += count,
            Note::Over { at } => {
                if self.over.is_none() {
                    self.close_gap(at);
                    self.over = Some(at);
                }
            }
        }
    }

    /// Whether a call went live.
    pub fn went_live(&self) -> bool {
        self.live.is_some()
    }

    /// The figures since the last call of this, `None` before the call is live.
    pub fn live(&mut self, now: Timestamp, since: Duration) -> Option<Live> {
        let live = self.live?;
        if let Some((captured, shown)) = self.last_shown {
            self.window.stayed(captured, shown, now);
        }
        let window = std::mem::replace(&mut self.window, Window::starting_at(now));
        let mut figures = window.figures(since);
        figures.seconds = now.since(live).as_secs_f64();
        figures.dropped.clone_from(&self.dropped);
        figures.sent.dropped = self.own.all_dropped();
        // Pictures have a codec as soon as there are any.
        let (sent, received) = self.codecs.map_or((None, None), |(sent, received)| (sent, Some(received)));
        figures.codec = figures.size.and(received).map(str::to_owned);
        figures.sent.codec = figures.sent.size.and(sent).map(str::to_owned);
        Some(figures)
    }

    /// The report, as known up to `now`.
    pub fn report(&mut self, now: Timestamp, process: &str) -> Report {
        self.note(Note::Over { at: now });
        let (live, over) = (self.live.unwrap_or(now), self.over.unwrap_or(now));
        let seconds = over.since(live).as_secs_f64();
        let per_second = |amount: f64| if seconds > 0.0 { amount / seconds } else { 0.0 };
        let span = |range: Option<(u32, u32)>| range.map_or(0, |(first, last)| u64::from(last - first) + 1);
        let stage = |index: usize| Stage {
            p50: self.stages[index].quantile_ms(0.5),
            p99: self.stages[index].quantile_ms(0.99),
        };
        let blocks = self.blocks.played + self.blocks.concealed;
        let direction = Direction {
            from: self.peer.clone(),
            to: self.me.clone(),
            frame_delay_ms: self.delay.spread(),
            stages_ms: Stages {
                encode: stage(0),
                send: stage(1),
                relay: stage(2),
                receive: stage(3),
                decode: stage(4),
                present: stage(5),
            },
            age_ms: Age { p50: self.age.quantile_ms(0.5), p95: self.age.quantile_ms(0.95) },
            fps_shown: per_second(self.shown as f64),
            freeze_share: per_second(self.frozen.as_secs_f64()),
            longest_freeze_ms: self.longest_gap.as_secs_f64() * 1e3,
            bitrate_bps: per_second(self.shown_bytes as f64 * 8.0),
            frames: Frames {
                captured: span(self.captures),
                encoded: span(self.frames),
                shown: self.shown,
                dropped: by_name(&self.dropped),
                in_flight: self.in_flight,
            },
            audio: Audio {
                mouth_to_ear_ms: Age {
                    p50: self.mouth_to_ear.quantile_ms(0.5),
                    p95: self.mouth_to_ear.quantile_ms(0.95),
                },
                concealed_share: if blocks == 0 { 0.0 } else { self.blocks.concealed as f64 / blocks as f64 },
            },
        };
        let first = self.first_decoded.zip(self.accepted);
        Report {
            version: report::VERSION,
            git: report::git(),
            machine: report::machine(),
            seconds,
            accept_to_first_picture_ms: first.map(|(first, accepted)| first.since(accepted).as_secs_f64() * 1e3),
            directions: vec![direction],
            sent: Some(Sent {
                captured: self.own.captured,
                encoded: self.own.encoded,
                dropped: by_name(&self.own.dropped),
            }),
            counters: self.counters(),
            processes: vec![report::Process::this(process)],
        }
    }

    /// What tells of trouble, by the names of [`Counter`]; what never happened is left out.
    pub fn counters(&self) -> BTreeMap<String, u64> {
        by_name(&self.counters)
    }

    fn received_video(&mut self, record: &FrameRecord) {
        widen(&mut self.captures, record.capture);
        widen(&mut self.frames, record.frame);
        if let Some(decoded) = record.decoded_ns {
            self.first_decoded.get_or_insert(Timestamp::from_nanos(decoded));
        }
        match record.fate {
            Fate::Dropped(cause) => {
                *self.dropped.entry(cause).or_default() += 1;
                if cause == Drop::Superseded {
                    self.window.superseded_picture();
                }
            }
            Fate::InFlight => self.in_flight += 1,
            Fate::Sent | Fate::Shown => {}
        }
        let (Fate::Shown, Some(captured), Some(presented)) = (record.fate, record.captured_ns, record.presented_ns)
        else {
            return;
        };
        self.shown += 1;
        self.shown_bytes += u64::from(record.bytes);
        let (delay, stages) = (presented.saturating_sub(captured), record.stages_ns());
        self.delay.add_nanos(delay);
        for (stage, length) in self.stages.iter_mut().zip(stages) {
            length.into_iter().for_each(|length| stage.add_nanos(length));
        }
        self.window.shown_picture(record, delay, stages);
        let (captured, presented) = (Timestamp::from_nanos(captured), Timestamp::from_nanos(presented));
        self.close_gap(presented);
        self.last_shown = Some((captured, presented));
    }

    /// Accounts for the time that the last picture stayed on screen, until `now`. The wait for the first picture is
    /// not a freeze: `accept_to_first_picture_ms` tells it.
    fn close_gap(&mut self, now: Timestamp) {
        let Some((captured, shown)) = self.last_shown else { return };
        let gap = now.since(shown);
        self.longest_gap = self.longest_gap.max(gap);
        if gap > FREEZE {
            self.frozen += gap;
        }
        ages(captured, shown, now).for_each(|age| self.age.add(age));
        self.window.stayed(captured, shown, now);
    }
}

impl OwnPictures {
    fn add(&mut self, record: &FrameRecord) {
        self.captured += 1;
        self.encoded += u64::from(record.frame.is_some());
        if let Fate::Dropped(cause) = record.fate {
            *self.dropped.entry(cause).or_default() += 1;
        }
    }

    /// Not shown, as far as is known here.
    fn all_dropped(&self) -> BTreeMap<Drop, u64> {
        let mut dropped = self.dropped.clone();
        if self.dropped_by_relay > 0 {
            *dropped.entry(Drop::DroppedByHop).or_default() += self.dropped_by_relay;
        }
        dropped
    }
}

fn by_name<T: serde::Serialize>(counts: &BTreeMap<T, u64>) -> BTreeMap<String, u64> {
    counts.iter().map(|(what, &count)| (name(what), count)).collect()
}

/// As it appears in the JSON.
fn name(what: &impl serde::Serialize) -> String {
    serde_json::to_value(what).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn widen(range: &mut Option<(u32, u32)>, value: Option<u32>) {
    if let Some(value) = value {
        let (first, last) = range.get_or_insert((value, value));
        (*first, *last) = ((*first).min(value), (*last).max(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn shown(capture: u32, captured_ms: u64, presented_ms: u64) -> FrameRecord {
        FrameRecord {
            frame: Some(capture),
            capture: Some(capture),
            captured_ns: Some(captured_ms * MS),
            presented_ns: Some(presented_ms * MS),
            bytes: 1_250,
            ..FrameRecord::new(Side::Receiver, Media::Video, Fate::Shown)
        }
    }

    #[test]
    fn the_four_figures_come_from_the_same_pictures() {
        let mut collector = Collector::default();
        let at = |ms| Timestamp::from_nanos(ms * MS);
        collector.note(Note::Live { me: "a".into(), peer: "b".into(), accepted: at(0), at: at(0) });
        // Ten pictures 100 ms apart, 20 ms old when shown; the last stays for 500 ms.
        for n in 0..10 {
            let ms = u64::from(n) * 100;
            collector.record(&shown(n, ms, ms + 20), None).expect("no writer");
        }
        collector.note(Note::Over { at: at(1_420) });
        let report = collector.report(at(9_999), "test");
        let direction = &report.directions[0];
        assert_eq!((direction.from.as_str(), direction.to.as_str()), ("b", "a"));
        assert!((direction.frame_delay_ms.p50 - 20.0).abs() < 0.1, "{:?}", direction.frame_delay_ms);
        assert!((direction.longest_freeze_ms - 500.0).abs() < 0.1);
        assert!((direction.freeze_share - 500.0 / 1_420.0).abs() < 0.001);
        assert!((direction.fps_shown - 10.0 / 1.42).abs() < 0.01);
        assert!((direction.bitrate_bps - 10_000.0 * 10.0 / 1.42).abs() < 1.0);
        // 900 ms of ages spread over 20..120, 500 ms over 20..520.
        assert!((60.0..100.0).contains(&direction.age_ms.p50), "{:?}", direction.age_ms);
        assert!((400.0..500.0).contains(&direction.age_ms.p95), "{:?}", direction.age_ms);
        assert_eq!((direction.frames.captured, direction.frames.shown), (10, 10));
    }

    #[test]
    fn a_senders_pictures_are_counted_by_what_became_of_them() {
        let mut collector = Collector::default();
        let sent = |frame, fate| FrameRecord { frame, ..FrameRecord::new(Side::Sender, Media::Video, fate) };
        let records = [
            sent(Some(0), Fate::Sent),
            sent(None, Fate::Dropped(Drop::Replaced)),
            sent(None, Fate::Dropped(Drop::Replaced)),
            sent(Some(1), Fate::Dropped(Drop::SendBufferFull)),
            sent(None, Fate::InFlight),
            FrameRecord::new(Side::Sender, Media::Audio, Fate::Sent),
        ];
        for record in &records {
            collector.record(record, None).expect("no writer");
        }
        let report = collector.report(Timestamp::from_nanos(MS), "test");
        let dropped = [("replaced".to_owned(), 2), ("send_buffer_full".to_owned(), 1)].into();
        assert_eq!(report.sent, Some(Sent { captured: 5, encoded: 2, dropped }));
        assert_eq!(report.directions[0].frames, Frames::default(), "what came is counted apart");
    }

    #[test]
    fn a_picture_on_its_way_at_the_end_was_neither_shown_nor_dropped() {
        let mut collector = Collector::default();
        collector.record(&shown(0, 0, 20), None).expect("no writer");
        collector.record(&FrameRecord { fate: Fate::InFlight, ..shown(1, 33, 0) }, None).expect("no writer");
        let frames = &collector.report(Timestamp::from_nanos(MS), "test").directions[0].frames;
        assert_eq!((frames.captured, frames.shown, frames.in_flight), (2, 1, 1));
        assert!(frames.dropped.is_empty());
    }

    #[test]
    fn trouble_is_counted_by_name_and_its_absence_is_not_mentioned() {
        let mut collector = Collector::default();
        for (what, count) in [(Counter::LatePackets, 2), (Counter::RefusedPackets, 0), (Counter::LatePackets, 1)] {
            collector.note(Note::Counted(what, count));
        }
        let report = collector.report(Timestamp::from_nanos(MS), "test");
        assert_eq!(report.counters, [("late_packets".to_owned(), 3)].into());
        let text = serde_json::to_string(&Collector::default().report(Timestamp::ZERO, "test")).expect("JSON");
        assert!(!text.contains("counters"), "{text}");
    }

    #[test]
    fn a_record_is_one_json_line_without_what_is_not_known() {
        let mut out = Vec::new();
        let record = FrameRecord {
            capture: Some(3),
            ..FrameRecord::new(Side::Sender, Media::Video, Fate::Dropped(Drop::NoBudget))
        };
        Collector::default().record(&record, Some(&mut out)).expect("memory");
        let text = String::from_utf8(out).expect("JSON");
        assert!(text.ends_with("\"fate\":{\"dropped\":\"no_budget\"}}\n"), "{text}");
        assert!(!text.contains("sent_ns"));
        assert_eq!(serde_json::from_str::<FrameRecord>(&text).expect("parses"), record);
    }
}
