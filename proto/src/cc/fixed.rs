//! The rate and the encode gate, at a rate that somebody chose.
//!
//! Stands where the congestion controller will stand, with the methods it will have: a target rate for the encoder, a
//! pacing rate, and the encode gate. It hears no feedback, so it is for benches and for links known to be wide enough.

use std::time::Duration;

use crate::{
    time::Timestamp,
    units::{Bitrate, DataSize},
};

/// Most time that what is queued may still need to leave when the next frame is encoded: a frame and a bit at 30
/// frames per second, so one late frame does not skip the next, but two never pile up.
pub const DELAY_TARGET: Duration = Duration::from_millis(40);

/// The train of one frame leaves in an eighth of a frame's time: its last packet, which decides when it can be
/// decoded, leaves at most 4 ms after its first at 30 frames per second. Wide enough links take that; others need
/// the controller that this stands in for.
const TRAIN_FACTOR: u64 = 8;

/// Below it a train of a small frame would be stretched for nothing: at 20 Mbit/s a packet takes 0.5 ms, which a
/// timer cannot place more finely anyway.
const MIN_PACING: Bitrate = Bitrate::from_kbps(20_000);

/// A fixed target rate.
#[derive(Debug)]
pub struct FixedRate {
    target: Bitrate,
    skipped: u64,
}

impl FixedRate {
    /// Sends at `target`, whatever the network does.
    pub const fn new(target: Bitrate) -> Self {
        Self { target, skipped: 0 }
    }

    /// What the encoders should produce together.
    pub const fn target(&self) -> Bitrate {
        self.target
    }

    /// Changes the target.
    pub const fn set_target(&mut self, target: Bitrate) {
        self.target = target;
    }

    /// The rate within a frame's train.
    pub fn pacing_rate(&self) -> Bitrate {
        Bitrate::from_bps(self.target.as_bps().saturating_mul(TRAIN_FACTOR)).max(MIN_PACING)
    }

    /// The encode gate: whether a frame captured now may be encoded, with `queued` not yet handed to the socket.
    /// Refusals are counted.
    pub fn may_encode(&mut self, _now: Timestamp, queued: DataSize) -> bool {
        let free = self.pacing_rate().time_for(queued) <= DELAY_TARGET;
        self.skipped += u64::from(!free);
        free
    }

    /// How many frames the gate refused.
    pub const fn skipped(&self) -> u64 {
        self.skipped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gate_closes_at_the_delay_target() {
        let mut rate = FixedRate::new(Bitrate::from_kbps(1_000));
        assert_eq!(rate.pacing_rate(), Bitrate::from_kbps(20_000));
        let limit = rate.pacing_rate().size_in(DELAY_TARGET);
        assert!(rate.may_encode(Timestamp::ZERO, limit));
        assert!(!rate.may_encode(Timestamp::ZERO, limit.plus(DataSize::from_bytes(10))));
        assert_eq!(rate.skipped(), 1);
        rate.set_target(Bitrate::from_kbps(5_000));
        assert_eq!(rate.pacing_rate(), Bitrate::from_kbps(40_000));
        assert!(rate.may_encode(Timestamp::ZERO, limit.plus(limit)));
    }
}
