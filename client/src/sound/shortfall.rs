//! Whether a device gives or takes fewer samples than time passes: sound was lost on the way. Pure.
//!
//! Not every host tells of over- and underruns: cpal's PulseAudio host passes neither on. PulseAudio throws away what a
//! microphone has captured when its main thread is late by more than a callback's worth, and holds a speaker's stream
//! while nothing has come from it. Either way the samples of the callbacks fall behind the clock, for good, while a
//! callback that is only late is made up for by the next ones. So the least by which they lie behind within
//! [`WINDOW`] is compared with the least of the window before.

use std::time::Duration;

use visavis_proto::time::Timestamp;

/// Callbacks of so long are judged together: two hundred, of which at least one is in time on any machine that can hold
/// a call.
const WINDOW: Duration = Duration::from_secs(1);

/// More than this is lost sound, in nanoseconds. Clocks drift by 0.1 ms in a window, and the lateness of the most
/// punctual callback of a busy machine was seen to change by 1 ms.
const LOST: i64 = 4_000_000;

/// Compares one stream's samples with time.
#[derive(Debug, Clone)]
pub struct Shortfall {
    rate_hz: u32,
    /// The first callback of the window.
    begun: Option<Timestamp>,
    /// Samples since then.
    samples: u64,
    /// By how much the samples lie behind the clock, at the least: in this window and in the one before.
    least: i64,
    before: Option<i64>,
}

impl Shortfall {
    /// Knows nothing yet.
    pub const fn new(rate_hz: u32) -> Self {
        Self { rate_hz, begun: None, samples: 0, least: i64::MAX, before: None }
    }

    /// A callback of so many samples comes now. Whether sound was lost within a window that it ends.
    pub fn is_seen(&mut self, now: Timestamp, samples: usize) -> bool {
        let begun = *self.begun.get_or_insert(now);
        let due = (u128::from(self.samples) * 1_000_000_000 / u128::from(self.rate_hz.max(1))) as i64;
        let passed = now.nanos_from(begun);
        self.least = self.least.min(passed - due);
        self.samples += samples as u64;
        if passed < WINDOW.as_nanos() as i64 {
            return false;
        }
        // Both windows are measured from this one's beginning.
        let lost = self.before.is_some_and(|before| self.least - before > LOST);
        self.before = Some(self.least - passed + due);
        (self.begun, self.samples, self.least) = (Some(now), samples as u64, i64::MAX);
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often a loss is seen in ten seconds of callbacks of 5 ms, each so many microseconds late and of so many
    /// samples; the first second is the device's own.
    fn losses(callback: impl Fn(u64) -> (u64, usize)) -> u32 {
        let mut shortfall = Shortfall::new(48_000);
        let seen = (0..2_000).filter(|&number| {
            let (late_us, samples) = callback(number);
            shortfall.is_seen(Timestamp::from_micros(1_000_000 + number * 5_000 + late_us), samples)
        });
        seen.count() as u32
    }

    #[test]
    fn a_steady_device_loses_nothing() {
        assert_eq!(losses(|_| (0, 240)), 0);
        assert_eq!(losses(|number| (number / 2, 240)), 0, "100 ppm slow");
        assert_eq!(losses(|number| (number * 7_919 % 9_000, 240)), 0, "late by up to 9 ms");
    }

    #[test]
    fn callbacks_that_come_at_once_after_a_pause_have_lost_nothing() {
        // Every 50th and the nine after it come together.
        let late = |number: u64| if number % 50 < 10 { (10 - number % 50) * 5_000 } else { 0 };
        assert_eq!(losses(|number| (late(number), 240)), 0);
    }

    #[test]
    fn what_is_lost_is_seen_once_a_window() {
        assert_eq!(losses(|number| (0, if number == 700 { 0 } else { 240 })), 1);
        let twice_a_second = |number: u64| if number % 100 == 50 { 0 } else { 240 };
        assert_eq!(losses(|number| (0, twice_a_second(number))), 8);
    }
}
