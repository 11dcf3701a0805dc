//! The call report: one JSON form, versioned, written by `--report`.
//!
//! A client reports the direction it receives, for only the receiving end can tell a frame's delay, and under `sent`
//! what became of its own pictures before they left; the demonstration and the bench put two such reports together with
//! [`Direction::count_sent`]. All delays are milliseconds between capture (the driver's hand-over;
//! for sound the first sample of a block) and hand-over to the sink, of shown frames.
//!
//! | field | meaning |
//! |---|---|
//! | `version` | 1; rises when a field changes its meaning |
//! | `git` | the commit this was built from, or `unknown` |
//! | `machine` | processor, cores, system |
//! | `seconds` | from live to the end |
//! | `accept_to_first_picture_ms` | from this person's accept, or from learning of the other's, to the first decoded picture |
//! | `stages_ms` | `encode` captured to encoded; `send` to the last packet's hand-over to the socket; `relay` to the relay's forwarding; `receive` to the whole frame; `decode`; `present` to the sink |
//! | `age_ms` | now minus capture time of the picture on screen, sampled every millisecond |
//! | `freeze_share` | share of the time spent in gaps of more than 200 ms between shown pictures |
//! | `bitrate_bps` | sealed bits of shown frames, per second |
//! | `frames.captured`, `frames.encoded` | a client alone knows them from the first to the last that it heard of; put together, they are the sender's own counts |
//! | `frames.dropped` | count by cause; put together, the sender's causes too |
//! | `frames.in_flight` | neither shown nor given up when the call ended: a client alone knows of those that had reached it; put together, `captured` = `shown` + all `dropped` + `in_flight` |
//! | `sent` | a client's own report only: `captured` pictures of its camera that met their fate there during the call, those that were `encoded`, and those `dropped` before they left, by cause |
//! | `counters` | what tells of trouble beside the fates of pictures; what never happened is left out |
//! | `mouth_to_ear_ms` | capture of a sample to its hand-over to the speaker, codec look-ahead included |
//! | `concealed_share` | share of 10 ms blocks that were invented |

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

/// The current form.
pub const VERSION: u32 = 1;

/// A whole call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`VERSION`].
    pub version: u32,
    /// The commit this was built from.
    pub git: String,
    /// Processor, cores, system.
    pub machine: String,
    /// Live to end.
    pub seconds: f64,
    /// Accept to first remote picture decoded; absent if none came.
    pub accept_to_first_picture_ms: Option<f64>,
    /// One entry for each direction that is known.
    pub directions: Vec<Direction>,
    /// This device's own pictures; absent where two reports were put together, and in reports of before it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<Sent>,
    /// What tells of trouble beside the fates of pictures, by the names of [`super::record::Counter`]; what never
    /// happened is left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counters: BTreeMap<String, u64>,
    /// What it cost.
    pub processes: Vec<Process>,
}

/// One direction of a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Direction {
    /// Who was seen and heard.
    pub from: String,
    /// Who saw and heard.
    pub to: String,
    /// Capture to shown.
    pub frame_delay_ms: Spread,
    /// The same by stages.
    pub stages_ms: Stages,
    /// Age of the picture on screen.
    pub age_ms: Age,
    /// Shown pictures per second.
    pub fps_shown: f64,
    /// Share of the time frozen (0 to 1).
    pub freeze_share: f64,
    /// The longest gap between two shown pictures.
    pub longest_freeze_ms: f64,
    /// Video payload of shown frames.
    pub bitrate_bps: f64,
    /// Counts.
    pub frames: Frames,
    /// Sound.
    pub audio: Audio,
}

/// Four figures of a distribution.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Spread {
    /// Median.
    pub p50: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Largest.
    pub max: f64,
}

/// Two figures of a distribution.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Stage {
    /// Median.
    pub p50: f64,
    /// 99th percentile.
    pub p99: f64,
}

/// Two figures of a distribution.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Age {
    /// Median.
    pub p50: f64,
    /// 95th percentile.
    pub p95: f64,
}

/// Delay by stages.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Stages {
    /// Captured to encoded.
    pub encode: Stage,
    /// To the socket.
    pub send: Stage,
    /// To the relay's forwarding.
    pub relay: Stage,
    /// To the whole frame at the receiver.
    pub receive: Stage,
    /// To the decoded picture.
    pub decode: Stage,
    /// To the sink.
    pub present: Stage,
}

/// Frame counts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Frames {
    /// Captured at the sender: from the first to the last that was heard of, or its own count after
    /// [`Direction::count_sent`].
    pub captured: u64,
    /// Encoded at the sender, likewise.
    pub encoded: u64,
    /// Shown.
    pub shown: u64,
    /// Not shown, by cause.
    pub dropped: BTreeMap<String, u64>,
    /// On their way when the call ended: those that had reached the receiver, or all after
    /// [`Direction::count_sent`].
    #[serde(default)]
    pub in_flight: u64,
}

/// What became of a sender's pictures before they left it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sent {
    /// Captured while the call was live and the camera on, and the one that waited for it.
    pub captured: u64,
    /// Encoded.
    pub encoded: u64,
    /// Did not leave, by cause.
    pub dropped: BTreeMap<String, u64>,
}

impl Direction {
    /// Completes the receiver's view with its sender's counts. Afterwards `captured` = `shown` + all `dropped` +
    /// `in_flight`.
    pub fn count_sent(&mut self, sent: &Sent) {
        let frames = &mut self.frames;
        // What the sender dropped after encoding is a gap to the receiver, which has counted it as one of these.
        let mut twice = sent.dropped.get(DROPPED_ENCODED).copied().unwrap_or(0);
        for cause in GAP_CAUSES {
            if let Some(count) = frames.dropped.get_mut(cause) {
                let taken = twice.min(*count);
                (twice, *count) = (twice - taken, *count - taken);
            }
        }
        frames.dropped.retain(|_, count| *count > 0);
        for (cause, count) in &sent.dropped {
            *frames.dropped.entry(cause.clone()).or_default() += count;
        }
        let known = frames.shown + frames.dropped.values().sum::<u64>();
        // Less than what is known of happens only if records found no room at the sender's collector.
        frames.captured = sent.captured.max(known);
        frames.encoded = sent.encoded;
        frames.in_flight = frames.captured - known;
    }
}

/// The sender's only cause after encoding.
const DROPPED_ENCODED: &str = "send_buffer_full";

/// What a receiver calls a frame that never came, the likeliest first.
const GAP_CAUSES: [&str; 4] = ["lost", "reference_missing", "late", "overflow"];

/// Sound figures.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Audio {
    /// First sample to speaker.
    pub mouth_to_ear_ms: Age,
    /// Share of blocks invented (0 to 1).
    pub concealed_share: f64,
}

/// One process's cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Which.
    pub name: String,
    /// User and system time.
    pub cpu_seconds: f64,
    /// Largest resident set.
    pub peak_rss_bytes: u64,
}

impl Process {
    /// This process so far; zeros where the system does not tell.
    pub fn this(name: &str) -> Self {
        let nothing = || Self { name: name.to_owned(), cpu_seconds: 0.0, peak_rss_bytes: 0 };
        Self::of(name, "self").unwrap_or_else(nothing)
    }

    /// A process that still runs, by its number in `/proc` (or `self`); `None` where the system does not tell.
    pub fn of(name: &str, pid: &str) -> Option<Self> {
        let (cpu, peak_rss_bytes) = usage(pid)?;
        Some(Self { name: name.to_owned(), cpu_seconds: cpu.as_secs_f64(), peak_rss_bytes })
    }
}

/// Processor, cores and system in one line.
pub fn machine() -> String {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name").and_then(|rest| rest.split_once(':')))
        .map_or("unknown processor", |(_, name)| name.trim());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{model}, {cores} cores, {} {}", std::env::consts::OS, std::env::consts::ARCH)
}

/// The commit this was built from.
pub fn git() -> String {
    env!("VISAVIS_GIT").to_owned()
}

/// Processor time and peak resident set from `/proc`, in the kernel's usual 100 ticks a second.
fn usage(pid: &str) -> Option<(Duration, u64)> {
    const TICKS_PER_SECOND: u64 = 100;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field, the program's name, may hold spaces; it ends at the last parenthesis.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = peak.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some((Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND), kibibytes * 1_024))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(counts: &[(&str, u64)]) -> BTreeMap<String, u64> {
        counts.iter().map(|&(cause, count)| (cause.to_owned(), count)).collect()
    }

    fn direction(shown: u64, dropped: &[(&str, u64)]) -> Direction {
        let nothing = Stage::default();
        Direction {
            from: "bob".into(),
            to: "alice".into(),
            frame_delay_ms: Spread::default(),
            stages_ms: Stages {
                encode: nothing,
                send: nothing,
                relay: nothing,
                receive: nothing,
                decode: nothing,
                present: nothing,
            },
            age_ms: Age::default(),
            fps_shown: 30.0,
            freeze_share: 0.0,
            longest_freeze_ms: 0.0,
            bitrate_bps: 0.0,
            frames: Frames { captured: shown, encoded: shown, shown, dropped: counts(dropped), in_flight: 0 },
            audio: Audio::default(),
        }
    }

    #[test]
    fn every_captured_picture_is_shown_dropped_or_in_flight() {
        // The receiver saw 4 gaps: 3 that the sender gave up after encoding and one that the network lost.
        let mut both = direction(80, &[("lost", 4), ("late", 2)]);
        let dropped = counts(&[("replaced", 5), ("no_budget", 6), ("send_buffer_full", 3)]);
        both.count_sent(&Sent { captured: 100, encoded: 89, dropped });
        let expected = Frames {
            captured: 100,
            encoded: 89,
            shown: 80,
            dropped: counts(&[("lost", 1), ("late", 2), ("replaced", 5), ("no_budget", 6), ("send_buffer_full", 3)]),
            in_flight: 3,
        };
        assert_eq!(both.frames, expected);
    }

    #[test]
    fn a_report_of_before_the_senders_counts_is_read() {
        let text = r#"{ "captured": 3, "encoded": 3, "shown": 3, "dropped": {} }"#;
        assert_eq!(serde_json::from_str::<Frames>(text).expect("parses").in_flight, 0);
    }
}
