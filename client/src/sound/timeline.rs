//! When each sample of a device passes the air: a line through the time stamps of its callbacks. Pure.
//!
//! Stamps jitter with the scheduler and with the sound server's arithmetic; the device's own clock does not. A
//! sample's time is therefore read off a line that follows the median of the last stamps slowly, and is set anew where
//! that jumps: after a gap, or when a server has changed its buffers.

use std::time::Duration;

use visavis_proto::time::Timestamp;

/// The line follows the median of so many stamps: 160 ms at a callback every 5 ms. cpal's PulseAudio host tells the
/// latency of up to 100 ms ago, so that every stamp in a row may be wrong by 10 ms for that long.
const RECENT: usize = 32;

/// A median further than this from the line begins a new one: above the jitter of a busy machine, which is never long
/// on one side for most of [`RECENT`] stamps.
const JUMP: i64 = 20_000_000;

/// How much of the median's distance is taken over with each stamp, as a divisor: at 200 callbacks a second the line
/// forgets in 0.3 s, which follows 100 ppm of drift within 40 us. At first it is less, so that the line settles soon.
const FOLLOW: i64 = 64;

/// Sample positions of one stream, and their times.
#[derive(Debug, Clone)]
pub struct Timeline {
    rate_hz: u32,
    line: Option<Line>,
    jumps: u64,
}

#[derive(Debug, Clone)]
struct Line {
    /// The first stamp.
    position: u64,
    at: Timestamp,
    /// By how much the line lies behind one through the first stamp at the nominal rate, in nanoseconds.
    shift: i64,
    /// The same of the last stamps, the newest at `next` - 1.
    recent: [i64; RECENT],
    next: usize,
    /// Stamps of this line, up to [`FOLLOW`].
    stamps: i64,
}

impl Timeline {
    /// Knows nothing yet.
    pub const fn new(rate_hz: u32) -> Self {
        Self { rate_hz, line: None, jumps: 0 }
    }

    /// Sample `position` passes the air at `at`, says a callback.
    pub fn observe(&mut self, position: u64, at: Timestamp) {
        let Some(line) = &mut self.line else {
            self.line = Some(Line { position, at, shift: 0, recent: [0; RECENT], next: 1, stamps: 1 });
            return;
        };
        line.recent[line.next % RECENT] = at.nanos_from(line.at) - nanos(position, line.position, self.rate_hz);
        line.next += 1;
        line.stamps = (line.stamps + 1).min(FOLLOW);
        let off = line.median() - line.shift;
        if off.abs() > JUMP {
            self.jumps += 1;
            line.shift += off;
            line.stamps = 1;
        } else {
            line.shift += off / line.stamps;
        }
    }

    /// When a sample passes the air; `None` before the first stamp.
    pub fn at(&self, position: u64) -> Option<Timestamp> {
        let line = self.line.as_ref()?;
        Some(line.at.offset_nanos(line.shift.saturating_add(nanos(position, line.position, self.rate_hz))))
    }

    /// Which sample passes the air at a time, in samples and parts of one; `None` before the first stamp.
    pub fn position_at(&self, at: Timestamp) -> Option<f64> {
        let line = self.line.as_ref()?;
        let since = at.nanos_from(line.at.offset_nanos(line.shift));
        Some(line.position as f64 + since as f64 * f64::from(self.rate_hz) / 1e9)
    }

    /// Lines begun after the first.
    pub const fn jumps(&self) -> u64 {
        self.jumps
    }
}

impl Line {
    fn median(&self) -> i64 {
        let mut sorted = self.recent;
        let known = &mut sorted[..self.next.min(RECENT)];
        *known.select_nth_unstable(known.len() / 2).1
    }
}

/// The time from one sample to another at a nominal rate, in nanoseconds.
fn nanos(position: u64, from: u64, rate_hz: u32) -> i64 {
    let samples = i128::from(position) - i128::from(from);
    i64::try_from(samples * 1_000_000_000 / i128::from(rate_hz)).unwrap_or(0)
}

/// The time that `samples` take.
pub fn duration(samples: usize, rate_hz: u32) -> Duration {
    Duration::from_nanos(samples as u64 * 1_000_000_000 / u64::from(rate_hz))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    #[test]
    fn jitter_is_smoothed_and_drift_followed() {
        let mut line = Timeline::new(48_000);
        let start = Timestamp::from_nanos(1_000_000_000_000);
        let mut worst = 0;
        for callback in 0..4_000_u64 {
            // The device is 100 ppm slow, and every stamp is up to 3 ms late.
            let truth = start.offset_nanos((callback as f64 * 5e6 * 1.000_1) as i64);
            let late = (callback * 7_919 % 3_000) as i64 * 1_000;
            line.observe(callback * 240, truth.offset_nanos(late));
            if callback > 1_000 {
                let error = line.at(callback * 240).expect("observed").nanos_from(truth) - 1_500_000;
                worst = worst.max(error.abs());
            }
        }
        assert!(worst < MS / 3, "{worst} ns");
        assert_eq!(line.jumps(), 0);
    }

    #[test]
    fn a_gap_begins_a_new_line() {
        let mut line = Timeline::new(48_000);
        let start = Timestamp::from_nanos(1_000_000_000_000);
        for callback in 0..32 {
            line.observe(callback * 240, start.offset_nanos(callback as i64 * 5 * MS));
        }
        let after = |callback: i64| start.offset_nanos((500 + callback * 5) * MS);
        for callback in 32..48 {
            assert_eq!(line.jumps(), 0);
            line.observe(callback * 240, after(callback as i64));
        }
        line.observe(48 * 240, after(48));
        assert_eq!(line.jumps(), 1);
        assert_eq!(line.at(48 * 240), Some(after(48)));
        assert_eq!(line.position_at(after(50)), Some(12_000.0));
    }

    #[test]
    fn a_latency_that_is_told_late_does_not_shift_the_line() {
        let mut line = Timeline::new(48_000);
        let start = Timestamp::from_nanos(1_000_000_000_000);
        let mut worst = 0;
        for callback in 0..2_000_u64 {
            let truth = start.offset_nanos(callback as i64 * 5 * MS);
            // Every 250 ms the next 12 stamps are 10 ms late.
            let late = if callback % 50 < 12 && callback > 50 { 10 * MS } else { 0 };
            line.observe(callback * 240, truth.offset_nanos(late));
            worst = worst.max(line.at(callback * 240).expect("observed").nanos_from(truth).abs());
        }
        assert!(worst < MS / 10, "{worst} ns");
    }
}
