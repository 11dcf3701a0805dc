//! The client's only reading of time. Everything else takes a [`Timestamp`].

use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use visavis_proto::time::Timestamp;

/// A source of timestamps that advances monotonically from one reading of the wall clock.
///
/// tokio's clock underneath is what lets a simulated world pause it.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
    origin_time: Timestamp,
}

impl Clock {
    /// Begins at the system's wall clock.
    #[expect(clippy::disallowed_methods, reason = "the driver's one reading of the clocks")]
    pub fn system() -> Self {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { origin: Instant::now(), origin_time: Timestamp::ZERO + since_epoch }
    }

    /// Begins at a given time, for simulated worlds.
    pub fn starting_at(origin_time: Timestamp) -> Self {
        Self { origin: Instant::now(), origin_time }
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        self.origin_time + self.origin.elapsed()
    }

    /// The runtime's instant for a timestamp; the past becomes now at the latest.
    pub fn instant(&self, at: Timestamp) -> Instant {
        self.origin + at.since(self.origin_time)
    }

    /// How long from now until `at`; zero if it has passed.
    pub fn until(&self, at: Timestamp) -> Duration {
        at.since(self.now())
    }
}
