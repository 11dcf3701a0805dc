//! One direction of a network path: delay, jitter, rate, queue, loss, reordering, duplication, corruption.
//!
//! A pure state machine: a packet and the time in, its fate out. Randomness is the link's own and seeded, so what one
//! link does never depends on another.
//!
//! ```text
//! packet -> cut? -> lost? -> queue (drop-tail) -> serialised at the rate -> delay + jitter -> arrival
//!                                                                       \-> a second copy, a flipped bit, held back
//! ```

use std::{collections::VecDeque, fmt, time::Duration};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use visavis_proto::{
    time::Timestamp,
    units::{Bitrate, DataSize},
};

/// IPv4 and UDP headers, which a bottleneck carries as well.
const HEADERS_BYTES: usize = 28;

/// First byte that corruption may touch. Before it lie connection ids, which are random: a flipped bit there could
/// read as anything, and the same seed would no longer give the same world.
const CORRUPTIBLE_FROM: usize = 64;

/// What a link does to packets. The default is a perfect link without delay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conditions {
    /// From the end of serialisation to arrival.
    pub delay: Duration,
    /// Added to the delay, uniform from zero; never changes the order.
    pub jitter: Duration,
    /// The bottleneck; `None` serialises in no time.
    pub rate: Option<Bitrate>,
    /// Most packets that wait for the bottleneck or pass it; one more is dropped.
    pub queue_packets: usize,
    /// Most bytes of the same, headers included.
    pub queue_bytes: usize,
    /// Share of packets lost, each by itself (0 to 1).
    pub loss: f64,
    /// Losses that come in bursts.
    pub bursts: Option<Bursts>,
    /// Share of packets that are held back and overtaken.
    pub reorder: f64,
    /// For how long they are.
    pub reorder_by: Duration,
    /// Share of packets that arrive twice.
    pub duplicate: f64,
    /// Share of packets that arrive with one bit flipped.
    pub corrupt: f64,
    /// Nothing passes.
    pub cut: bool,
}

/// The Gilbert-Elliott model: a good state without loss and a bad one, changed between packet by packet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bursts {
    /// Probability of going from good to bad at a packet.
    pub begin: f64,
    /// Probability of going from bad to good at a packet: its inverse is the mean length of a burst.
    pub end: f64,
    /// Share of packets lost in the bad state.
    pub loss: f64,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            rate: None,
            queue_packets: usize::MAX,
            queue_bytes: usize::MAX,
            loss: 0.0,
            bursts: None,
            reorder: 0.0,
            reorder_by: Duration::ZERO,
            duplicate: 0.0,
            corrupt: 0.0,
            cut: false,
        }
    }
}

impl Conditions {
    /// A perfect link of this delay.
    pub fn delayed(delay: Duration) -> Self {
        Self { delay, ..Self::default() }
    }
}

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Arrives, once or twice.
    Passed {
        /// When.
        at: Timestamp,
        /// When its copy does.
        again: Option<Timestamp>,
        /// It was held back for others to overtake.
        late: bool,
        /// One bit of it is flipped.
        corrupt: bool,
    },
    /// Lost on its own.
    Lost,
    /// Lost in a burst.
    LostInBurst,
    /// The queue was full.
    QueueFull,
    /// The link is cut.
    Cut,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed { at, again, late, corrupt } => {
                write!(f, "arrives {}", at.as_nanos())?;
                if let Some(again) = again {
                    write!(f, " again {}", again.as_nanos())?;
                }
                f.write_str(if *late { " late" } else { "" })?;
                f.write_str(if *corrupt { " corrupt" } else { "" })
            }
            Self::Lost => f.write_str("lost"),
            Self::LostInBurst => f.write_str("lost in a burst"),
            Self::QueueFull => f.write_str("queue full"),
            Self::Cut => f.write_str("cut"),
        }
    }
}

/// Packets of a link by fate, since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Handed to the link.
    pub offered: u64,
    /// Their bytes.
    pub offered_bytes: u64,
    /// Lost, in bursts or not.
    pub lost: u64,
    /// Found the queue full.
    pub queue_full: u64,
    /// Held back.
    pub late: u64,
    /// Arrived twice.
    pub duplicated: u64,
    /// Arrived corrupt.
    pub corrupt: u64,
}

/// One direction.
#[derive(Debug)]
pub struct Link {
    conditions: Conditions,
    random: StdRng,
    /// Departures of what the bottleneck still holds, and their sizes.
    queue: VecDeque<(Timestamp, usize)>,
    queued_bytes: usize,
    last_arrival: Timestamp,
    in_burst: bool,
    counts: Counts,
}

impl Link {
    /// A link whose randomness is `seed`'s.
    pub fn new(conditions: Conditions, seed: u64) -> Self {
        Self {
            conditions,
            random: StdRng::seed_from_u64(seed),
            queue: VecDeque::new(),
            queued_bytes: 0,
            last_arrival: Timestamp::ZERO,
            in_burst: false,
            counts: Counts::default(),
        }
    }

    /// What it does now.
    pub const fn conditions(&self) -> Conditions {
        self.conditions
    }

    /// Changes what it does, for packets that come from now on.
    pub const fn set(&mut self, conditions: Conditions) {
        self.conditions = conditions;
    }

    /// Packets so far.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Takes a packet and decides everything about it. A corrupt one is changed in place.
    pub fn carry(&mut self, packet: &mut [u8], now: Timestamp) -> Fate {
        self.counts.offered += 1;
        self.counts.offered_bytes += packet.len() as u64;
        let fate = self.decide(packet, now);
        match fate {
            Fate::Passed { again, late, corrupt, .. } => {
                self.counts.duplicated += u64::from(again.is_some());
                self.counts.late += u64::from(late);
                self.counts.corrupt += u64::from(corrupt);
            }
            Fate::Lost | Fate::LostInBurst | Fate::Cut => self.counts.lost += 1,
            Fate::QueueFull => self.counts.queue_full += 1,
        }
        fate
    }

    fn decide(&mut self, packet: &mut [u8], now: Timestamp) -> Fate {
        let conditions = self.conditions;
        if conditions.cut {
            return Fate::Cut;
        }
        if self.chance(conditions.loss) {
            return Fate::Lost;
        }
        if self.lost_in_burst() {
            return Fate::LostInBurst;
        }
        let Some(departure) = self.enqueue(packet.len() + HEADERS_BYTES, now) else { return Fate::QueueFull };
        let jitter = conditions.jitter.mul_f64(self.random.r#gen::<f64>());
        let in_order = (departure + conditions.delay + jitter).max(self.last_arrival);
        let late = self.chance(conditions.reorder);
        let at = if late {
            in_order + conditions.reorder_by
        } else {
            self.last_arrival = in_order;
            in_order
        };
        let again = self.chance(conditions.duplicate).then_some(at);
        let corrupt = self.chance(conditions.corrupt) && self.flip_a_bit(packet);
        Fate::Passed { at, again, late, corrupt }
    }

    fn lost_in_burst(&mut self) -> bool {
        let Some(bursts) = self.conditions.bursts else { return false };
        let change = self.chance(if self.in_burst { bursts.end } else { bursts.begin });
        self.in_burst ^= change;
        self.in_burst && self.chance(bursts.loss)
    }

    /// When the packet has left the bottleneck; `None` if there is no room for it.
    fn enqueue(&mut self, bytes: usize, now: Timestamp) -> Option<Timestamp> {
        while let Some((_, size)) = self.queue.pop_front_if(|(departure, _)| *departure <= now) {
            self.queued_bytes -= size;
        }
        let Some(rate) = self.conditions.rate else { return Some(now) };
        let full = self.queue.len() >= self.conditions.queue_packets
            || self.queued_bytes + bytes > self.conditions.queue_bytes;
        if full {
            return None;
        }
        let start = self.queue.back().map_or(now, |(departure, _)| *departure);
        let departure = start + rate.time_for(DataSize::from_bytes(bytes as u64));
        self.queue.push_back((departure, bytes));
        self.queued_bytes += bytes;
        Some(departure)
    }

    fn flip_a_bit(&mut self, packet: &mut [u8]) -> bool {
        if packet.len() <= CORRUPTIBLE_FROM {
            return false;
        }
        let byte = self.random.gen_range(CORRUPTIBLE_FROM..packet.len());
        packet[byte] ^= 1 << self.random.gen_range(0..8u8);
        true
    }

    /// Draws even where the answer is sure, so that one changed condition does not shift all other luck.
    fn chance(&mut self, probability: f64) -> bool {
        self.random.r#gen::<f64>() < probability
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn at(ms: u64) -> Timestamp {
        Timestamp::ZERO + MS * u32::try_from(ms).expect("small")
    }

    fn arrivals(link: &mut Link, packets: u32, apart: Duration) -> Vec<Fate> {
        (0..packets).map(|n| link.carry(&mut [0; 972], at(1_000) + apart * n)).collect()
    }

    #[test]
    fn the_bottleneck_serialises_and_its_queue_drops_what_comes_too_much() {
        let conditions = Conditions {
            delay: 10 * MS,
            rate: Some(Bitrate::from_kbps(8_000)),
            queue_packets: 5,
            ..Conditions::default()
        };
        let mut link = Link::new(conditions, 1);
        let fates = arrivals(&mut link, 7, Duration::ZERO);
        // 1,000 bytes with headers take 1 ms each.
        for (n, fate) in (1..).zip(&fates[..5]) {
            assert_eq!(*fate, Fate::Passed { at: at(1_010 + n), again: None, late: false, corrupt: false });
        }
        assert_eq!(fates[5..], [Fate::QueueFull; 2]);
        assert!(matches!(link.carry(&mut [0; 972], at(1_002)), Fate::Passed { .. }), "two have left by then");
        assert_eq!(link.counts().queue_full, 2);
    }

    #[test]
    fn jitter_keeps_the_order_and_reordering_does_not() {
        let jittery = Conditions { delay: 20 * MS, jitter: 15 * MS, ..Conditions::default() };
        let order = |conditions| {
            let fates = arrivals(&mut Link::new(conditions, 7), 2_000, MS);
            let times = fates.into_iter().map(|fate| match fate {
                Fate::Passed { at, .. } => at,
                other => panic!("{other}"),
            });
            times.collect::<Vec<_>>()
        };
        assert!(order(jittery).is_sorted());
        let reordering = Conditions { reorder: 0.05, reorder_by: 5 * MS, ..jittery };
        assert!(!order(reordering).is_sorted());
    }

    #[test]
    fn losses_have_their_rate_and_their_bursts_their_length() {
        let mut even = Link::new(Conditions { loss: 0.02, ..Conditions::default() }, 3);
        arrivals(&mut even, 50_000, MS);
        assert!((900..1_100).contains(&even.counts().lost), "{:?}", even.counts());

        let bursts = Bursts { begin: 0.01, end: 0.25, loss: 1.0 };
        let mut bursty = Link::new(Conditions { bursts: Some(bursts), ..Conditions::default() }, 3);
        let fates = arrivals(&mut bursty, 50_000, MS);
        let lost = fates.iter().filter(|fate| **fate == Fate::LostInBurst).count();
        let began = fates.windows(2).filter(|two| two[0] != Fate::LostInBurst && two[1] == Fate::LostInBurst).count();
        // In the long run 0.01 / (0.01 + 0.25) of the packets, four at a time.
        assert!((1_600..2_300).contains(&lost), "{lost}");
        assert!((3.5..4.5).contains(&(lost as f64 / began as f64)), "{lost} in {began} bursts");
    }

    #[test]
    fn a_corrupt_packet_differs_in_one_bit_behind_its_head() {
        let mut link = Link::new(Conditions { corrupt: 1.0, duplicate: 1.0, ..Conditions::default() }, 5);
        let mut packet = [0; 200];
        let fate = link.carry(&mut packet, at(1));
        assert!(matches!(fate, Fate::Passed { again: Some(_), corrupt: true, .. }), "{fate}");
        assert_eq!(packet.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
        assert!(packet[..CORRUPTIBLE_FROM].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn a_seed_is_a_fate() {
        let rough = Conditions { loss: 0.1, jitter: MS, reorder: 0.1, reorder_by: MS, ..Conditions::default() };
        let run = |seed| arrivals(&mut Link::new(rough, seed), 500, MS);
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }
}
