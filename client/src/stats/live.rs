//! One second of a call: what is known of it, told once a second. Pure.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use visavis_proto::time::Timestamp;

use super::{
    distribution::Distribution,
    record::{Drop, Fate, FrameRecord},
};

/// One second of a call, for a person's eye and for machines: what comes, and under [`Live::sent`] what is sent. What is
/// not known is absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Live {
    /// Seconds since the call went live.
    pub seconds: f64,
    /// Median capture-to-shown delay, in milliseconds; 0 if nothing was shown.
    pub delay_ms: f64,
    /// The medians of its stages, in milliseconds, in the order of [`STAGES`](super::collector::STAGES).
    pub stages_ms: [f64; 6],
    /// Pictures shown per second.
    pub fps: f64,
    /// Share of the pictures that were decoded in time and not shown, because a newer one came before this computer had
    /// drawn them (0 to 1); absent if none were decoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superseded: Option<f64>,
    /// Bits per second of shown pictures, as sealed.
    pub bitrate_bps: f64,
    /// Share of downlink packets lost (0 to 1).
    pub loss: f64,
    /// Median age of the picture on screen, in milliseconds: now minus its capture time, sampled every millisecond. Goes
    /// on rising while a picture stands still, and while none are sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_ms: Option<f64>,
    /// There and back between this device and the relay, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round_trip_ms: Option<f64>,
    /// How far this device's estimate of the relay's clock may be off, in milliseconds: half the least round trip of the
    /// last minutes. The delay may be off by this and by as much as the other device's estimate is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound_ms: Option<f64>,
    /// Width and height of the newest picture that was shown, in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<(u32, u32)>,
    /// What it was coded in, by the name that people know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codec: Option<String>,
    /// Pictures that came, or should have come, and were not shown: by cause, since the call began.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dropped: BTreeMap<Drop, u64>,
    /// This device's own pictures.
    #[serde(default)]
    pub sent: Sending,
}

/// What is sent: the pictures of this device's camera.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sending {
    /// Pictures sent per second.
    pub fps: f64,
    /// Bits per second of them, as sealed.
    pub bitrate_bps: f64,
    /// Share of the captured pictures that were never encoded because the encoder was busy with one before (0 to 1);
    /// absent if none were captured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<f64>,
    /// Width and height of the newest one, in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<(u32, u32)>,
    /// What it was coded in, by the name that people know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codec: Option<String>,
    /// Captured, and dropped before they left or by the relay: by cause, since the call began. What the network loses
    /// behind the relay, and what the other device does not show, is known there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dropped: BTreeMap<Drop, u64>,
}

/// The sums of a second in the making.
#[derive(Debug, Default)]
pub(super) struct Window {
    from: Timestamp,
    shown: Pictures,
    sent: Pictures,
    captured: u64,
    replaced: u64,
    superseded: u64,
    delay: Distribution,
    stages: [Distribution; 6],
    age: Distribution,
    packets_received: u64,
    packets_lost: u64,
    path: Option<(Duration, Option<Duration>)>,
}

/// Pictures in one direction.
#[derive(Debug, Default)]
struct Pictures {
    count: u64,
    bytes: u64,
    size: Option<(u32, u32)>,
}

impl Pictures {
    fn add(&mut self, record: &FrameRecord) {
        self.count += 1;
        self.bytes += u64::from(record.bytes);
        // 0 where it is not known.
        self.size = Some((record.width, record.height)).filter(|&(width, height)| width > 0 && height > 0);
    }
}

impl Window {
    /// Nothing yet; what was on screen before `from` is of another window.
    pub(super) fn starting_at(from: Timestamp) -> Self {
        Self { from, ..Self::default() }
    }

    /// A picture was shown, `delay` nanoseconds after its capture.
    pub(super) fn shown_picture(&mut self, record: &FrameRecord, delay: u64, stages: [Option<u64>; 6]) {
        self.shown.add(record);
        self.delay.add_nanos(delay);
        for (stage, length) in self.stages.iter_mut().zip(stages) {
            length.into_iter().for_each(|length| stage.add_nanos(length));
        }
    }

    /// The picture that was `captured` and `shown` then was on screen until `until`.
    pub(super) fn stayed(&mut self, captured: Timestamp, shown: Timestamp, until: Timestamp) {
        let from = self.from.max(shown);
        if from <= until {
            ages(captured, from, until).for_each(|age| self.age.add(age));
        }
    }

    /// A picture was decoded, and a newer one was drawn instead.
    pub(super) const fn superseded_picture(&mut self) {
        self.superseded += 1;
    }

    /// One of this device's own pictures has met its fate here.
    pub(super) fn sent_picture(&mut self, record: &FrameRecord) {
        self.captured += 1;
        match record.fate {
            Fate::Sent => self.sent.add(record),
            Fate::Dropped(Drop::Replaced) => self.replaced += 1,
            Fate::Dropped(_) | Fate::InFlight | Fate::Shown => {}
        }
    }

    /// Packets of the downlink.
    pub(super) const fn packets(&mut self, received: u64, lost: u64) {
        self.packets_received += received;
        self.packets_lost += lost;
    }

    /// The way to the relay.
    pub(super) const fn path(&mut self, round_trip: Duration, bound: Option<Duration>) {
        self.path = Some((round_trip, bound));
    }

    /// What it amounts to after so long. What is of the whole call is left empty.
    pub(super) fn figures(&self, length: Duration) -> Live {
        let seconds = length.as_secs_f64().max(f64::EPSILON);
        let share = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
        let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
        Live {
            delay_ms: self.delay.quantile_ms(0.5),
            stages_ms: std::array::from_fn(|stage| self.stages[stage].quantile_ms(0.5)),
            fps: self.shown.count as f64 / seconds,
            superseded: share(self.superseded, self.shown.count + self.superseded),
            bitrate_bps: self.shown.bytes as f64 * 8.0 / seconds,
            loss: share(self.packets_lost, self.packets_received + self.packets_lost).unwrap_or_default(),
            age_ms: (!self.age.is_empty()).then(|| self.age.quantile_ms(0.5)),
            round_trip_ms: self.path.map(|(round_trip, _)| ms(round_trip)),
            bound_ms: self.path.and_then(|(_, bound)| bound).map(ms),
            size: self.shown.size,
            sent: Sending {
                fps: self.sent.count as f64 / seconds,
                bitrate_bps: self.sent.bytes as f64 * 8.0 / seconds,
                skipped: share(self.replaced, self.captured),
                size: self.sent.size,
                ..Sending::default()
            },
            ..Live::default()
        }
    }
}

/// The ages of a picture that was on screen in that time, one for every millisecond; at least one, so that no picture is
/// passed over, and at most ten minutes of them.
pub(super) fn ages(captured: Timestamp, from: Timestamp, until: Timestamp) -> impl Iterator<Item = Duration> {
    let milliseconds = u64::try_from(until.since(from).as_millis()).unwrap_or(u64::MAX).clamp(1, 600_000);
    (0..milliseconds).map(move |millisecond| from.since(captured) + Duration::from_millis(millisecond))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{
        collector::Collector,
        record::{Media, Note, Side},
    };

    const SECOND: Duration = Duration::from_secs(1);

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_nanos(ms * 1_000_000)
    }

    /// A picture that was shown 20 ms after its capture.
    fn shown(captured_ms: u64) -> FrameRecord {
        FrameRecord {
            captured_ns: Some(at(captured_ms).as_nanos()),
            presented_ns: Some(at(captured_ms + 20).as_nanos()),
            bytes: 1_250,
            width: 640,
            height: 360,
            ..FrameRecord::new(Side::Receiver, Media::Video, Fate::Shown)
        }
    }

    /// One of this device's own.
    fn own(fate: Fate) -> FrameRecord {
        let (width, height) = (1_280, 720);
        FrameRecord { bytes: 2_500, width, height, ..FrameRecord::new(Side::Sender, Media::Video, fate) }
    }

    fn began_with(records: impl IntoIterator<Item = FrameRecord>) -> Collector {
        let mut collector = Collector::default();
        collector.note(Note::Codecs { sent: Some("H.264"), received: "H.265" });
        collector.note(Note::Live { me: "a".into(), peer: "b".into(), accepted: at(0), at: at(0) });
        for record in records {
            collector.record(&record, None).expect("no writer");
        }
        collector
    }

    #[test]
    fn a_second_tells_both_directions_apart() {
        let superseded = FrameRecord::new(Side::Receiver, Media::Video, Fate::Dropped(Drop::Superseded));
        let received = (0..10).map(|n| shown(n * 100)).chain([superseded.clone(), superseded]);
        let lost = FrameRecord::new(Side::Receiver, Media::Video, Fate::Dropped(Drop::Lost));
        let sent = (0..20).map(|_| own(Fate::Sent));
        let replaced = (0..5).map(|_| own(Fate::Dropped(Drop::Replaced)));
        let mut collector = began_with(received.chain([lost]).chain(sent).chain(replaced));
        collector.note(Note::Packets { received: 99, lost: 1 });
        let (round_trip, bound) = (Duration::from_micros(30_500), Some(Duration::from_millis(12)));
        collector.note(Note::Path { round_trip, bound });
        collector.note(Note::DroppedByRelay(4));
        let live = collector.live(at(1_000), SECOND).expect("it is live");
        assert_eq!((live.seconds, live.fps, live.bitrate_bps, live.loss), (1.0, 10.0, 100_000.0, 0.01));
        assert_eq!((live.round_trip_ms, live.bound_ms), (Some(30.5), Some(12.0)));
        assert_eq!((live.size, live.codec.as_deref()), (Some((640, 360)), Some("H.265")));
        assert_eq!(live.superseded, Some(2.0 / 12.0));
        assert_eq!(live.dropped, [(Drop::Lost, 1), (Drop::Superseded, 2)].into());
        let sent = live.sent;
        assert_eq!((sent.fps, sent.bitrate_bps, sent.skipped), (20.0, 400_000.0, Some(0.2)));
        assert_eq!((sent.size, sent.codec.as_deref()), (Some((1_280, 720)), Some("H.264")));
        assert_eq!(sent.dropped, [(Drop::Replaced, 5), (Drop::DroppedByHop, 4)].into());
    }

    #[test]
    fn a_second_without_news_claims_nothing_and_forgets_no_drops() {
        let mut collector = began_with([shown(0), own(Fate::Sent), own(Fate::Dropped(Drop::NoBudget))]);
        collector.note(Note::Path { round_trip: SECOND, bound: None });
        let first = collector.live(at(1_000), SECOND).expect("it is live");
        assert_eq!((first.round_trip_ms, first.bound_ms), (Some(1_000.0), None), "no answer of the clock yet");
        let second = collector.live(at(2_000), SECOND).expect("it is live");
        assert_eq!((second.round_trip_ms, second.bound_ms, second.size, second.codec), (None, None, None, None));
        assert_eq!((second.sent.skipped, second.sent.size, second.sent.codec), (None, None, None));
        assert_eq!(second.sent.dropped, [(Drop::NoBudget, 1)].into(), "since the call began");
        assert!(Collector::default().live(at(1_000), SECOND).is_none(), "no call");
    }

    #[test]
    fn a_picture_that_stands_still_grows_old_and_the_report_says_the_same() {
        let mut collector = began_with((0..10).map(|n| shown(n * 100)));
        let mut age =
            |until_ms| collector.live(at(until_ms), SECOND).and_then(|live| live.age_ms).expect("a picture");
        // From 20 to 120 ms, ten times.
        assert!((65.0..75.0).contains(&age(1_000)), "{}", age(1_000));
        // The last was captured at 900 ms: from 100 to 1,100 ms.
        let still = age(2_000);
        assert!((595.0..605.0).contains(&still), "{still}");
        assert!((1_595.0..1_605.0).contains(&age(3_000)));
        let mut collector = began_with((0..10).map(|n| shown(n * 100)));
        let live = collector.live(at(1_000), SECOND).and_then(|live| live.age_ms).expect("a picture");
        let report = collector.report(at(1_000), "test");
        assert!((live - report.directions[0].age_ms.p50).abs() < 1.0, "{live}");
    }

    #[test]
    fn nobody_s_picture_has_no_age() {
        let mut collector = began_with([own(Fate::Sent)]);
        assert_eq!(collector.live(at(1_000), SECOND).expect("it is live").age_ms, None);
    }

    #[test]
    fn programs_read_what_programs_write_and_lines_of_before_there_was_so_much() {
        let mut live =
            began_with([shown(0), own(Fate::Dropped(Drop::Replaced))]).live(at(1_000), SECOND).expect("live");
        live.dropped.insert(Drop::ReferenceMissing, 2);
        let text = serde_json::to_string(&live).expect("JSON");
        assert!(text.contains(r#""dropped":{"reference_missing":2}"#) && !text.contains("null"), "{text}");
        assert_eq!(serde_json::from_str::<Live>(&text).expect("a line"), live);
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(serde_json::from_value::<Live>(value).expect("within another object"), live);
        let old =
            r#"{"seconds":1.0,"delay_ms":2.0,"stages_ms":[1,1,1,1,1,1],"fps":30.0,"bitrate_bps":1e6,"loss":0.0}"#;
        let read: Live = serde_json::from_str(old).expect("a line");
        assert_eq!((read.fps, read.age_ms, read.sent), (30.0, None, Sending::default()));
    }
}
