//! Both ends' records of a hop's packets, and the reports between them.
//!
//! ```text
//! SentLog::sent ── packet ──> ArrivalLog::record
//! SentLog::handle_feedback <── Feedback ── ArrivalLog::poll_feedback
//! ```
//!
//! Each packet is covered by two reports, so that one lost report loses nothing, and a packet that was overtaken has
//! until the second to come. What both say did not come is lost, or what one says if the other was lost itself.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use super::sequence::Unwrapper;
use crate::{
    time::Timestamp,
    units::DataSize,
    wire::{
        datagram::MAX_MEDIA_BYTES,
        feedback::{Feedback, MAX_ENTRIES},
    },
};

/// Least time between two reports: fresh enough for a frame of 33 ms, and 50 small packets a second against the
/// several hundred that they report on.
pub const INTERVAL: Duration = Duration::from_millis(20);

/// Most packets remembered by the sending end: over a second at 30 Mbit/s. Beyond it the oldest is forgotten.
const MAX_SENT: usize = 4_096;

/// A packet that no report has settled after this long never will be.
const FORGET: Duration = Duration::from_secs(2);

/// The window of [`SentLog::loss_share`]: long enough to hold hundreds of packets, short enough to act on.
const LOSS_WINDOW: Duration = Duration::from_secs(1);

/// Most reports told apart within [`LOSS_WINDOW`]: four times what [`INTERVAL`] allows, since the network bunches them.
/// What more of them settle counts as settled by the newest of these.
const MAX_REPORTS: usize = 200;

/// The receiving end: when packets arrived.
#[derive(Debug, Default)]
pub struct ArrivalLog {
    unwrapper: Unwrapper,
    /// Sequence number of the first entry.
    base: u64,
    /// Arrivals from `base` on; at most [`MAX_ENTRIES`], the oldest leave first.
    arrivals: VecDeque<Option<Timestamp>>,
    /// First sequence number that no report has covered.
    unreported: u64,
    fresh: bool,
    last_report: Option<Timestamp>,
}

impl ArrivalLog {
    /// Nothing arrived yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A packet of this hop arrived.
    pub fn record(&mut self, sequence: u32, now: Timestamp) {
        let number = self.unwrapper.unwrap(sequence);
        let end = self.base + self.arrivals.len() as u64;
        if self.arrivals.is_empty() || number >= end + MAX_ENTRIES as u64 {
            self.arrivals.clear();
            self.base = number.max(self.base);
            self.unreported = self.base;
        }
        let Some(index) = number.checked_sub(self.base) else {
            return;
        };
        let index = index as usize;
        if index >= self.arrivals.len() {
            self.arrivals.resize(index + 1, None);
        }
        let entry = &mut self.arrivals[index];
        if entry.is_none() {
            *entry = Some(now);
            self.fresh = true;
        }
        let excess = self.arrivals.len().saturating_sub(MAX_ENTRIES);
        self.forget(excess);
    }

    /// A report, if something arrived since the last one and that is [`INTERVAL`] ago.
    pub fn poll_feedback(&mut self, now: Timestamp) -> Option<Feedback> {
        if self.poll_timeout()? > now {
            return None;
        }
        let mut feedback = self.report();
        while feedback.encode().len() > MAX_MEDIA_BYTES {
            // Wildly spread arrivals take more bytes each; the newest are the ones that matter.
            self.forget(self.arrivals.len().div_ceil(4));
            feedback = self.report();
        }
        let covered_before = self.unreported.saturating_sub(self.base) as usize;
        self.unreported = self.base + self.arrivals.len() as u64;
        self.forget(covered_before);
        self.fresh = false;
        self.last_report = Some(now);
        Some(feedback)
    }

    /// When the next report is due, if there is anything to report; in the past if it already is.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.fresh.then(|| self.last_report.map_or(Timestamp::ZERO, |last| last + INTERVAL))
    }

    fn report(&self) -> Feedback {
        let earliest = self.arrivals.iter().flatten().min().copied().unwrap_or_default();
        let reference = Timestamp::from_micros(earliest.as_micros());
        let after = |at: &Timestamp| u32::try_from(at.as_micros() - reference.as_micros()).ok();
        let arrivals = self.arrivals.iter().map(|entry| entry.as_ref().and_then(after)).collect();
        Feedback { base: self.base as u32, reference, arrivals }
    }

    fn forget(&mut self, count: usize) {
        let count = count.min(self.arrivals.len());
        self.arrivals.drain(..count);
        self.base += count as u64;
    }
}

/// A packet that arrived, as the sending end knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AckedPacket {
    /// Its hop sequence number.
    pub sequence: u32,
    /// How large it was.
    pub size: DataSize,
    /// When it was sent, by this end's clock.
    pub sent: Timestamp,
    /// When it arrived, by the other end's clock, in whole microseconds.
    pub arrived: Timestamp,
}

/// What one report was news of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Acked {
    /// Packets first reported as arrived, in the order they were sent.
    pub received: Vec<AckedPacket>,
    /// Packets now known not to have arrived.
    pub lost: Vec<u32>,
}

/// The sending end: what was sent, until a report settles it.
#[derive(Debug, Default)]
pub struct SentLog {
    unwrapper: Unwrapper,
    /// Ascending; at most [`MAX_SENT`]. The first is open; what was settled behind it stays until it is the first, so
    /// that a report costs as much as it is long, and not as much as is in flight.
    packets: VecDeque<Sent>,
    /// Numbers of open packets that one report has said had not arrived.
    missed: BTreeSet<u64>,
    /// Per report: when it came, how many packets it settled as received and as lost. Older than [`LOSS_WINDOW`] go; at
    /// most [`MAX_REPORTS`].
    settled: VecDeque<(Timestamp, u64, u64)>,
    in_flight: u64,
    unsettled: u64,
}

#[derive(Debug, Clone, Copy)]
struct Sent {
    number: u64,
    size: DataSize,
    at: Timestamp,
    open: bool,
}

impl SentLog {
    /// Nothing sent yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A packet was handed to the socket. Sequence numbers rise by one.
    pub fn sent(&mut self, sequence: u32, size: DataSize, now: Timestamp) {
        let number = self.unwrapper.unwrap(sequence);
        if self.packets.back().is_some_and(|last| last.number >= number) {
            return;
        }
        let expired = |packet: &Sent| packet.at + FORGET <= now;
        while self.packets.len() >= MAX_SENT || self.packets.front().is_some_and(expired) {
            let Some(packet) = self.packets.pop_front() else { break };
            if packet.open {
                self.missed.remove(&packet.number);
                self.in_flight -= packet.size.as_bytes();
                self.unsettled += 1;
            }
        }
        self.in_flight += size.as_bytes();
        self.packets.push_back(Sent { number, size, at: now, open: true });
    }

    /// A report came. Reports for packets that were never sent are ignored.
    pub fn handle_feedback(&mut self, feedback: &Feedback, now: Timestamp) -> Acked {
        let base = self.unwrapper.extend(feedback.base);
        let mut acked = Acked::default();
        // No later report covers these: one that missed them once settles them. What none has covered stays open until
        // it is forgotten.
        while let Some(number) = self.missed.first().copied().filter(|&number| number < base) {
            self.missed.remove(&number);
            if let Ok(index) = self.packets.binary_search_by_key(&number, |packet| packet.number) {
                self.settle(index);
                acked.lost.push(number as u32);
            }
        }
        for (number, arrival) in (base..).zip(&feedback.arrivals) {
            let Ok(index) = self.packets.binary_search_by_key(&number, |packet| packet.number) else { continue };
            let Sent { size, at: sent, open, .. } = self.packets[index];
            match arrival {
                _ if !open => {}
                Some(after) => {
                    self.missed.remove(&number);
                    self.settle(index);
                    let arrived = feedback.reference + Duration::from_micros(u64::from(*after));
                    acked.received.push(AckedPacket { sequence: number as u32, size, sent, arrived });
                }
                None if self.missed.remove(&number) => {
                    self.settle(index);
                    acked.lost.push(number as u32);
                }
                None => {
                    self.missed.insert(number);
                }
            }
        }
        while self.packets.front().is_some_and(|packet| !packet.open) {
            self.packets.pop_front();
        }
        self.count(now, acked.received.len() as u64, acked.lost.len() as u64);
        acked
    }

    /// The packet is known to have arrived, or not to have.
    fn settle(&mut self, index: usize) {
        let packet = &mut self.packets[index];
        packet.open = false;
        self.in_flight -= packet.size.as_bytes();
    }

    fn count(&mut self, now: Timestamp, received: u64, lost: u64) {
        while self.settled.front().is_some_and(|&(at, ..)| at + LOSS_WINDOW <= now) {
            self.settled.pop_front();
        }
        let is_full = self.settled.len() >= MAX_REPORTS;
        match self.settled.back_mut() {
            Some(newest) if is_full => {
                newest.1 += received;
                newest.2 += lost;
            }
            _ => self.settled.push_back((now, received, lost)),
        }
    }

    /// Lost packets among those settled in the last second of reports, 0 to 1; `None` before any was settled.
    pub fn loss_share(&self) -> Option<f64> {
        let (received, lost) =
            self.settled.iter().fold((0, 0), |(received, lost), (_, r, l)| (received + r, lost + l));
        (received + lost > 0).then(|| lost as f64 / (received + lost) as f64)
    }

    /// Sent and not yet settled.
    pub const fn in_flight(&self) -> DataSize {
        DataSize::from_bytes(self.in_flight)
    }

    /// Packets forgotten before a report settled them.
    pub const fn unsettled(&self) -> u64 {
        self.unsettled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIZE: DataSize = DataSize::from_bytes(1_000);

    const fn at(us: u64) -> Timestamp {
        Timestamp::from_micros(5_000_000 + us)
    }

    fn report(log: &mut ArrivalLog, now: Timestamp) -> Feedback {
        log.poll_feedback(now).expect("a report is due")
    }

    #[test]
    fn reports_are_spaced_and_only_of_news() {
        let mut log = ArrivalLog::new();
        assert_eq!(log.poll_feedback(at(0)), None);
        log.record(7, at(0));
        assert_eq!(report(&mut log, at(0)), Feedback { base: 7, reference: at(0), arrivals: vec![Some(0)] });
        log.record(9, at(400));
        assert_eq!(log.poll_timeout(), Some(at(20_000)));
        assert_eq!(log.poll_feedback(at(19_999)), None);
        let second = report(&mut log, at(20_000));
        assert_eq!((second.base, &second.arrivals[..]), (7, &[Some(0), None, Some(400)][..]));
        log.record(9, at(30_000));
        assert_eq!(log.poll_timeout(), None, "a duplicate is no news");
        log.record(10, at(50_000));
        let third = report(&mut log, at(50_000));
        assert_eq!((third.base, third.arrivals.len()), (8, 3), "what two reports covered is dropped");
    }

    #[test]
    fn everything_sent_is_settled_across_the_wrap() {
        let (mut sent, mut arrived) = (SentLog::new(), ArrivalLog::new());
        let lost = [3, 50, 51, 52];
        let (mut received, mut missing) = (Vec::new(), Vec::new());
        for n in 0..200u32 {
            let sequence = (u32::MAX - 99).wrapping_add(n);
            let now = at(u64::from(n) * 3_000);
            sent.sent(sequence, SIZE, now);
            if !lost.contains(&n) {
                arrived.record(sequence, now + Duration::from_millis(1));
            }
            if let Some(feedback) = arrived.poll_feedback(now + Duration::from_millis(1)) {
                let acked = sent.handle_feedback(&feedback, now + Duration::from_millis(2));
                for packet in acked.received {
                    assert_eq!(packet.arrived.since(packet.sent), Duration::from_millis(1));
                    received.push(packet.sequence.wrapping_sub(u32::MAX - 99));
                }
                missing.extend(acked.lost.iter().map(|lost| lost.wrapping_sub(u32::MAX - 99)));
            }
        }
        assert_eq!(missing, lost);
        assert!(received.is_sorted_by(|a, b| a < b) && received.len() > 185);
        assert!(sent.in_flight() <= DataSize::from_bytes(8 * SIZE.as_bytes()));
        let share = sent.loss_share().expect("much was settled");
        assert!((0.015..0.03).contains(&share), "{share}");
    }

    #[test]
    fn an_overtaken_packet_has_until_the_second_report() {
        let (mut sent, mut arrived) = (SentLog::new(), ArrivalLog::new());
        (0..4).for_each(|sequence| sent.sent(sequence, SIZE, at(0)));
        [0, 3].iter().for_each(|&sequence| arrived.record(sequence, at(1_000)));
        let acked = sent.handle_feedback(&report(&mut arrived, at(1_000)), at(2_000));
        assert_eq!((acked.received.len(), acked.lost.len()), (2, 0));
        arrived.record(1, at(1_500));
        let acked = sent.handle_feedback(&report(&mut arrived, at(21_000)), at(22_000));
        assert_eq!((acked.received[0].sequence, acked.lost), (1, vec![2]));
        assert_eq!((sent.in_flight(), sent.loss_share()), (DataSize::ZERO, Some(0.25)));
    }

    #[test]
    fn one_lost_report_loses_nothing() {
        let (mut sent, mut arrived) = (SentLog::new(), ArrivalLog::new());
        let mut received = 0;
        for n in 0..100u32 {
            let now = at(u64::from(n) * 5_000);
            sent.sent(n, SIZE, now);
            arrived.record(n, now);
            if let Some(feedback) = arrived.poll_feedback(now)
                && n % 8 != 0
            {
                received += sent.handle_feedback(&feedback, now).received.len();
            }
        }
        assert!(received > 92, "{received}");
        assert_eq!(sent.loss_share(), Some(0.0));
    }

    #[test]
    fn logs_are_bounded() {
        let (mut sent, mut arrived) = (SentLog::new(), ArrivalLog::new());
        for n in 0..10_000 {
            sent.sent(n, SIZE, at(0));
            arrived.record(n, at(u64::from(n % 3) * 4_000_000_000));
        }
        assert_eq!(sent.in_flight(), DataSize::from_bytes(MAX_SENT as u64 * 1_000));
        let feedback = report(&mut arrived, at(0));
        assert!(feedback.arrivals.len() <= MAX_ENTRIES && feedback.encode().len() <= MAX_MEDIA_BYTES);
        sent.sent(10_000, SIZE, at(3_000_000));
        assert_eq!(sent.in_flight(), SIZE, "what is too old is forgotten");
    }

    #[test]
    fn more_reports_than_are_told_apart_still_count() {
        let mut sent = SentLog::new();
        let reports = MAX_REPORTS as u32 * 3;
        for n in 0..reports {
            sent.sent(n, SIZE, at(0));
            let arrivals = vec![Some(0)];
            // One in four is reported missing twice.
            if n % 4 == 0 {
                let feedback = Feedback { base: n, reference: at(0), arrivals: vec![None] };
                (0..2).for_each(|_| drop(sent.handle_feedback(&feedback, at(u64::from(n)))));
            } else {
                sent.handle_feedback(&Feedback { base: n, reference: at(0), arrivals }, at(u64::from(n)));
            }
        }
        assert_eq!(sent.settled.len(), MAX_REPORTS);
        assert_eq!((sent.loss_share(), sent.in_flight()), (Some(0.25), DataSize::ZERO));
        assert!(sent.packets.is_empty() && sent.missed.is_empty());
        // A second later none of them counts.
        sent.handle_feedback(&Feedback { base: reports, reference: at(0), arrivals: vec![] }, at(1_100_000));
        assert_eq!((sent.settled.len(), sent.loss_share()), (1, None));
    }

    #[test]
    fn a_packet_that_no_report_covers_holds_up_none_behind_it() {
        let mut sent = SentLog::new();
        (0..8).for_each(|n| sent.sent(n, SIZE, at(0)));
        let report = |base, arrivals| Feedback { base, reference: at(0), arrivals };
        let acked = sent.handle_feedback(&report(2, vec![Some(0), None, Some(0), None]), at(1));
        assert_eq!((acked.received.len(), acked.lost.len(), sent.in_flight()), (2, 0, DataSize::from_bytes(6_000)));
        // A report from before it, then one that no longer covers what the first one missed.
        let acked = sent.handle_feedback(&report(0, vec![Some(0)]), at(2));
        assert_eq!((acked.received.len(), acked.lost.len(), sent.in_flight()), (1, 0, DataSize::from_bytes(5_000)));
        let acked = sent.handle_feedback(&report(5, vec![None, Some(0), Some(0)]), at(3));
        assert_eq!((acked.received.len(), acked.lost, sent.in_flight()), (2, vec![3, 5], SIZE));
        assert_eq!(sent.unsettled(), 0);
        sent.sent(8, SIZE, at(2_000_000));
        assert_eq!((sent.unsettled(), sent.in_flight()), (1, SIZE), "what nothing covered is forgotten");
    }

    #[test]
    fn a_jump_ahead_starts_a_new_report() {
        let mut log = ArrivalLog::new();
        log.record(1, at(0));
        log.record(1_000_000, at(1));
        assert_eq!(report(&mut log, at(1)).base, 1_000_000);
        log.record(1, at(2));
        assert_eq!(log.poll_timeout(), None, "older than what is reported on");
    }

    proptest! {
        #[test]
        fn arbitrary_input_never_panics(
            sequences in prop::collection::vec(any::<u32>(), 0..300), near in any::<bool>(), base in any::<u32>(),
            arrivals in prop::collection::vec(prop::option::of(any::<u32>()), 0..MAX_ENTRIES),
        ) {
            let (mut sent, mut arrived) = (SentLog::new(), ArrivalLog::new());
            for (n, sequence) in sequences.iter().enumerate() {
                let sequence = if near { sequence % 600 } else { *sequence };
                let now = at(n as u64 * 1_000);
                sent.sent(sequence, SIZE, now);
                arrived.record(sequence, now);
                if let Some(feedback) = arrived.poll_feedback(now) {
                    prop_assert!(feedback.encode().len() <= MAX_MEDIA_BYTES);
                    prop_assert!(feedback.arrivals.len() <= MAX_ENTRIES);
                    sent.handle_feedback(&feedback, now);
                }
            }
            sent.handle_feedback(&Feedback { base, reference: at(0), arrivals }, at(1));
        }
    }
}
