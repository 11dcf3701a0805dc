//! When the next packet may leave: a frame goes as one paced train, sound between its packets.
//!
//! The network thread asks [`Pacer::ready`] before each packet of video, sends sound without asking, and tells
//! [`Pacer::sent`] about both, so that sound pushes the train back instead of adding to it.

use std::time::Duration;

use crate::{
    time::Timestamp,
    units::{Bitrate, DataSize},
};

/// How far ahead of the rate packets may leave. Timers wake about 1 ms late, so half of this is lost to them and the
/// rate still holds; more would put visible bursts into a home router's queue.
pub const BURST: Duration = Duration::from_millis(2);

/// Most time that one packet costs, so that a rate near zero cannot block the hop after the rate has risen again.
const MAX_COST: Duration = Duration::from_millis(500);

/// Paces one hop.
#[derive(Debug)]
pub struct Pacer {
    rate: Bitrate,
    /// When everything sent so far would have left at exactly the rate.
    drained: Timestamp,
}

impl Pacer {
    /// A pacer that may send at once.
    pub const fn new(rate: Bitrate) -> Self {
        Self { rate, drained: Timestamp::ZERO }
    }

    /// The pacing rate.
    pub const fn rate(&self) -> Bitrate {
        self.rate
    }

    /// Changes the rate for what is sent from now on.
    pub const fn set_rate(&mut self, rate: Bitrate) {
        self.rate = rate;
    }

    /// Whether a packet may leave now.
    pub fn ready(&self, now: Timestamp) -> bool {
        self.next_send() <= now
    }

    /// When the next packet may leave; in the past if it already may.
    pub fn next_send(&self) -> Timestamp {
        self.drained - BURST
    }

    /// A packet of `size`, paced or not, was handed to the socket.
    pub fn sent(&mut self, size: DataSize, now: Timestamp) {
        self.drained = self.drained.max(now) + self.rate.time_for(size).min(MAX_COST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: DataSize = DataSize::from_bytes(1_140);

    /// Sends as much as the pacer lets out until `end`, waking `late` after each time it asked for.
    fn send_until(pacer: &mut Pacer, start: Timestamp, end: Timestamp, late: Duration) -> u64 {
        let mut now = start;
        let mut bytes = 0;
        while now < end {
            while pacer.ready(now) {
                pacer.sent(PACKET, now);
                bytes += PACKET.as_bytes();
            }
            now = pacer.next_send() + late;
        }
        bytes
    }

    #[test]
    fn the_rate_holds_with_timers_that_wake_late() {
        let start = Timestamp::from_micros(1_000_000);
        for late_us in [0, 500, 1_000, 1_500] {
            let mut pacer = Pacer::new(Bitrate::from_kbps(20_000));
            let bytes = send_until(&mut pacer, start, start + Duration::from_secs(1), Duration::from_micros(late_us));
            let rate = bytes * 8;
            assert!((19_800_000..=20_200_000).contains(&rate), "{rate} bit/s with timers {late_us} us late");
        }
    }

    #[test]
    fn a_burst_is_two_milliseconds_of_the_rate() {
        let now = Timestamp::from_micros(1_000_000);
        let mut pacer = Pacer::new(Bitrate::from_kbps(20_000));
        let mut packets = 0;
        while pacer.ready(now) {
            pacer.sent(PACKET, now);
            packets += 1;
        }
        // 2 ms at 20 Mbit/s are 5,000 bytes, and the packet that crosses them is let out.
        assert_eq!(packets, 5);
    }

    #[test]
    fn sound_that_did_not_ask_pushes_the_train_back() {
        let now = Timestamp::from_micros(1_000_000);
        let mut pacer = Pacer::new(Bitrate::from_kbps(1_000));
        pacer.sent(PACKET, now);
        let before = pacer.next_send();
        pacer.sent(DataSize::from_bytes(125), now);
        assert_eq!(pacer.next_send(), before + Duration::from_millis(1));
    }

    #[test]
    fn a_rate_of_zero_does_not_block_for_ever() {
        let now = Timestamp::from_micros(1_000_000);
        let mut pacer = Pacer::new(Bitrate::default());
        pacer.sent(PACKET, now);
        assert!(!pacer.ready(now));
        assert!(pacer.ready(now + Duration::from_millis(500)));
    }
}
