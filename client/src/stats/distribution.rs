//! A distribution of durations, for medians and percentiles.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::report::Spread;

/// Durations, to three digits, in bounded memory.
#[derive(Debug)]
pub(super) struct Distribution(Histogram<u64>);

impl Default for Distribution {
    fn default() -> Self {
        // One microsecond to ten minutes; what is longer counts as ten minutes.
        Self(Histogram::new_with_bounds(1, 600_000_000, 3).expect("bounds and digits are in range"))
    }
}

impl Distribution {
    /// Nothing was added.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes one more; less than a microsecond counts as one.
    pub(super) fn add(&mut self, duration: Duration) {
        self.0.saturating_record(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }

    /// The same in nanoseconds.
    pub(super) fn add_nanos(&mut self, nanos: u64) {
        self.add(Duration::from_nanos(nanos));
    }

    /// Below this many milliseconds lies that share (0 to 1) of them; 0 if there are none.
    pub(super) fn quantile_ms(&self, quantile: f64) -> f64 {
        if self.0.is_empty() { 0.0 } else { self.0.value_at_quantile(quantile) as f64 / 1e3 }
    }

    /// The four that a report names.
    pub(super) fn spread(&self) -> Spread {
        Spread {
            p50: self.quantile_ms(0.5),
            p95: self.quantile_ms(0.95),
            p99: self.quantile_ms(0.99),
            max: if self.0.is_empty() { 0.0 } else { self.0.max() as f64 / 1e3 },
        }
    }
}
