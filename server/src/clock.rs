//! The one place of this crate that reads a clock. Everything else is told the time.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use visavis_proto::time::Timestamp;

/// Makes [`Timestamp`]s: a fixed base plus what tokio's clock has counted since, so that it never jumps, and that it
/// stands still where a test has paused tokio.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    base: Timestamp,
    started: Instant,
}

impl Clock {
    /// The machine's time, read once.
    pub fn real() -> Self {
        #[expect(clippy::disallowed_methods, reason = "this is the driver that makes time for everybody else")]
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self::simulated(Timestamp::ZERO + since_epoch)
    }

    /// A clock that shows `base` now.
    pub fn simulated(base: Timestamp) -> Self {
        Self { base, started: Instant::now() }
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        self.base + self.started.elapsed()
    }

    /// The moment for a timer; far moments are cut to a year, which is longer than any timer here.
    pub(crate) fn instant(&self, at: Timestamp) -> Instant {
        const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
        self.started + at.since(self.base).min(self.started.elapsed() + YEAR)
    }
}
