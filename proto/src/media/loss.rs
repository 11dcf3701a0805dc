//! What a hop lost, doubled and reordered, from its sequence numbers.
//!
//! A packet counts as lost once [`REORDER`] later ones came without it, not at the first gap; so figures lag a little
//! and are exact.

use crate::cc::sequence::Unwrapper;

/// How many later packets may overtake one before it counts as lost. Paths that reorder do so by a few packets; 128
/// is also over 100 ms of a 10 Mbit/s stream.
pub const REORDER: u64 = 128;

/// A jump of more than this, forward or back, is a new sender or a forgery, not a loss: counting starts again.
const RESTART: u64 = 10_000;

/// Counts of one hop, since its start or of one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HopLoss {
    /// Different packets that came.
    pub received: u64,
    /// Packets that did not come.
    pub lost: u64,
    /// Packets that came again.
    pub duplicated: u64,
    /// Packets that came after a later one.
    pub reordered: u64,
    /// Runs of consecutive lost packets, so that `lost / bursts` is the mean burst length.
    pub bursts: u64,
    /// Packets so old that nothing is known of them any more, not counted elsewhere.
    pub ancient: u64,
}

impl HopLoss {
    /// Lost over sent, 0 to 1; 0 before the first packet.
    pub fn share(&self) -> f64 {
        match self.received + self.lost {
            0 => 0.0,
            sent => self.lost as f64 / sent as f64,
        }
    }

    fn minus(self, earlier: Self) -> Self {
        Self {
            received: self.received - earlier.received,
            lost: self.lost - earlier.lost,
            duplicated: self.duplicated - earlier.duplicated,
            reordered: self.reordered - earlier.reordered,
            bursts: self.bursts - earlier.bursts,
            ancient: self.ancient - earlier.ancient,
        }
    }
}

/// Follows the sequence numbers of one hop.
#[derive(Debug, Default)]
pub struct LossCounter {
    unwrapper: Unwrapper,
    newest: Option<u64>,
    /// Bit `n`: packet `newest - n` came.
    seen: u128,
    /// How many packets below `newest` the counter answers for (it starts in the middle of a stream).
    known: u64,
    last_was_lost: bool,
    total: HopLoss,
    window_start: HopLoss,
}

impl LossCounter {
    /// Counts nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A packet of the hop came.
    pub fn handle_packet(&mut self, sequence: u32) {
        let extended = self.unwrapper.extend(sequence);
        let Some(newest) = self.newest else {
            self.restart(sequence);
            return;
        };
        if extended.abs_diff(newest) > RESTART {
            self.restart(sequence);
            return;
        }
        self.unwrapper.unwrap(sequence);
        if extended > newest {
            (newest..extended).for_each(|_| self.advance());
            self.newest = Some(extended);
            self.seen |= 1;
            self.total.received += 1;
            return;
        }
        let behind = newest - extended;
        if behind > self.known {
            self.total.ancient += 1;
        } else if self.seen & 1 << behind != 0 {
            self.total.duplicated += 1;
        } else {
            self.seen |= 1 << behind;
            self.total.received += 1;
            self.total.reordered += 1;
        }
    }

    /// Counts since the start.
    pub const fn total(&self) -> HopLoss {
        self.total
    }

    /// Counts since the last call.
    pub fn take_window(&mut self) -> HopLoss {
        let window = self.total.minus(self.window_start);
        self.window_start = self.total;
        window
    }

    fn restart(&mut self, sequence: u32) {
        self.unwrapper = Unwrapper::default();
        self.newest = Some(self.unwrapper.unwrap(sequence));
        self.seen = 1;
        self.known = 0;
        self.last_was_lost = false;
        self.total.received += 1;
    }

    /// Moves the window on by one packet and settles the one that leaves it.
    fn advance(&mut self) {
        if self.known == REORDER - 1 {
            let lost = self.seen >> (REORDER - 1) & 1 == 0;
            self.total.lost += u64::from(lost);
            self.total.bursts += u64::from(lost && !self.last_was_lost);
            self.last_was_lost = lost;
        } else {
            self.known += 1;
        }
        self.seen <<= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn count(sequences: impl IntoIterator<Item = u32>) -> LossCounter {
        let mut counter = LossCounter::new();
        sequences.into_iter().for_each(|sequence| counter.handle_packet(sequence));
        counter
    }

    #[test]
    fn clean_across_the_wrap() {
        let counter = count((0..1_000).map(|n| (u32::MAX - 500).wrapping_add(n)));
        assert_eq!(counter.total(), HopLoss { received: 1_000, ..HopLoss::default() });
    }

    #[test]
    fn losses_and_their_bursts() {
        let gone = [10, 11, 12, 40, 70, 71];
        let total = count((0..400).filter(|n| !gone.contains(n))).total();
        assert_eq!((total.lost, total.bursts, total.received), (6, 3, 394));
        assert!((total.share() - 0.015).abs() < 1e-9);
    }

    #[test]
    fn swapped_and_doubled_packets_are_not_lost() {
        let mut order: Vec<u32> = (0..400).collect();
        order.swap(50, 53);
        order.insert(200, 180);
        let total = count(order).total();
        assert_eq!((total.lost, total.duplicated, total.received), (0, 1, 400));
        assert_eq!(total.reordered, 3);
    }

    #[test]
    fn windows_add_up_and_a_jump_starts_again() {
        let mut counter = count(0..300);
        assert_eq!(counter.take_window().received, 300);
        counter.handle_packet(1_000_000);
        assert_eq!(counter.take_window(), HopLoss { received: 1, ..HopLoss::default() });
        assert_eq!(counter.take_window(), HopLoss::default());
    }

    proptest! {
        #[test]
        fn every_packet_is_counted_once(sequences in proptest::collection::vec(any::<u32>(), 0..300), near in any::<bool>()) {
            let sequences: Vec<u32> = sequences.iter().map(|n| if near { n % 400 } else { *n }).collect();
            let total = count(sequences.iter().copied()).total();
            prop_assert_eq!(total.received + total.duplicated + total.ancient, sequences.len() as u64);
        }
    }
}
