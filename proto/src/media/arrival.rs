//! How long sound takes from capture to arrival, as a percentile of what came lately.
//!
//! Times are signed nanoseconds: capture times come through a clock estimate, whose error shifts all of them alike and
//! cancels where they are used.

use std::collections::VecDeque;

/// How many arrivals are remembered: 5 s of 10 ms frames. A link's bad moments recur within seconds; remembering
/// longer keeps the delay up after they are over.
const WINDOW: usize = 500;

/// Of every hundred frames, this many come within the delay that the percentile gives. The others are not lost:
/// playout conceals for a block and plays them late. Each per cent above this costs far more delay than it saves
/// concealment, since the tail of a mobile link is long.
const PER_CENT: usize = 97;

/// A sliding window of transit times.
#[derive(Debug, Default)]
pub struct Arrivals {
    transits: VecDeque<i64>,
    scratch: Vec<i64>,
    percentile: i64,
    least: i64,
}

impl Arrivals {
    /// Remembers one arrival, `transit_nanos` after its capture.
    pub fn record(&mut self, transit_nanos: i64) {
        if self.transits.len() == WINDOW {
            self.transits.pop_front();
        }
        self.transits.push_back(transit_nanos);
        self.scratch.clear();
        self.scratch.extend(&self.transits);
        // With fewer than 33 arrivals this is the largest: little is known, so caution.
        let rank = self.scratch.len() * PER_CENT / 100;
        let rank = rank.min(self.scratch.len() - 1);
        let (below, percentile, _) = self.scratch.select_nth_unstable(rank);
        self.percentile = *percentile;
        self.least = below.iter().copied().min().unwrap_or(self.percentile);
    }

    /// The percentile of the window, in nanoseconds; `None` before the first arrival.
    pub fn percentile(&self) -> Option<i64> {
        (!self.transits.is_empty()).then_some(self.percentile)
    }

    /// The least of the window, in nanoseconds; `None` before the first arrival.
    pub fn least(&self) -> Option<i64> {
        (!self.transits.is_empty()).then_some(self.least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentile_and_least_follow_the_window() {
        let mut arrivals = Arrivals::default();
        assert_eq!((arrivals.percentile(), arrivals.least()), (None, None));
        (0..WINDOW as i64).for_each(|n| arrivals.record(n * 7 % WINDOW as i64));
        assert_eq!((arrivals.percentile(), arrivals.least()), (Some(485), Some(0)));
        (0..16).for_each(|_| arrivals.record(10_000));
        assert_eq!(arrivals.percentile(), Some(10_000), "up within 160 ms");
        (0..WINDOW - 16).for_each(|_| arrivals.record(-3));
        assert_eq!(arrivals.least(), Some(-3));
        (0..2).for_each(|_| arrivals.record(-3));
        assert_eq!(arrivals.percentile(), Some(-3), "down once fewer than 3 % are left");
    }
}
