//! What the two ends of a hop tell each other about arrivals. Of its clients' uplinks the relay is the receiving end:
//! [`Arrivals`]. Of its downlinks it is the sending end: [`Reception`], the seam where a congestion controller of the
//! downlink belongs; today it counts.

use std::{collections::VecDeque, time::Duration};

use visavis_proto::{
    time::Timestamp,
    wire::feedback::{Feedback, MAX_ENTRIES},
};

/// How often a report may leave: about once a frame.
const INTERVAL: Duration = Duration::from_millis(20);

/// What came of the packets that a client sent: makes the reports that its congestion controller lives on.
#[derive(Debug, Default)]
pub struct Arrivals {
    base: u32,
    entries: VecDeque<Option<Timestamp>>,
    started: bool,
    due: Option<Timestamp>,
    last_report: Timestamp,
}

impl Arrivals {
    /// A media packet came.
    pub fn record(&mut self, sequence: u32, now: Timestamp) {
        if !self.started {
            (self.started, self.base) = (true, sequence);
        }
        let place = sequence.wrapping_sub(self.base);
        // The lower half is ahead, the upper half lies behind and has been reported as missing already.
        if place >= u32::MAX / 2 {
            return;
        }
        if place as usize >= MAX_ENTRIES {
            // A jump: the sender has started again, or most of a second was lost. Nothing before it matters.
            self.entries.clear();
            self.base = sequence;
        }
        let place = sequence.wrapping_sub(self.base) as usize;
        if place >= self.entries.len() {
            self.entries.resize(place + 1, None);
        }
        self.entries[place] = Some(now);
        self.due.get_or_insert((self.last_report + INTERVAL).max(now));
    }

    /// When the next report is due, if any.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.due
    }

    /// The report, if one is due.
    pub fn poll(&mut self, now: Timestamp) -> Option<Feedback> {
        self.due.filter(|&due| due <= now)?;
        self.due = None;
        self.last_report = now;
        let reference = self.entries.iter().flatten().min().copied()?;
        let after = |at: Timestamp| u32::try_from(at.since(reference).as_micros()).unwrap_or(u32::MAX);
        let arrivals: Vec<_> = self.entries.drain(..).map(|entry| entry.map(after)).collect();
        let base = self.base;
        self.base = base.wrapping_add(arrivals.len() as u32);
        Some(Feedback { base, reference, arrivals })
    }
}

/// What came of the packets of one downlink.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Reception {
    /// Reports that came.
    pub reports: u64,
    /// Packets reported as arrived; a packet may be reported more than once.
    pub arrived: u64,
    /// Packets reported as missing, likewise.
    pub missing: u64,
}

impl Reception {
    /// Takes in one report.
    pub fn add(&mut self, feedback: &Feedback) {
        let arrived = feedback.arrivals.iter().flatten().count() as u64;
        self.reports += 1;
        self.arrived += arrived;
        self.missing += feedback.arrivals.len() as u64 - arrived;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_are_reported_once_with_their_gaps_and_not_too_often() {
        let at = |ms| Timestamp::from_micros(ms * 1_000);
        let mut arrivals = Arrivals::default();
        for (sequence, ms) in [(u32::MAX, 1_000), (1, 1_005)] {
            arrivals.record(sequence, at(ms));
        }
        let report = arrivals.poll(at(1_005)).expect("the first is due at once");
        assert_eq!((report.base, report.reference), (u32::MAX, at(1_000)));
        assert_eq!(report.arrivals, [Some(0), None, Some(5_000)]);
        arrivals.record(2, at(1_006));
        arrivals.record(0, at(1_007));
        assert_eq!((arrivals.poll(at(1_024)), arrivals.poll_timeout()), (None, Some(at(1_025))));
        let report = arrivals.poll(at(1_025)).expect("20 ms later");
        assert_eq!((report.base, report.arrivals.len()), (2, 1));
        arrivals.record(2_000_000_000, at(1_100));
        assert_eq!(arrivals.entries.len(), 1);
    }

    #[test]
    fn losses_are_counted() {
        let mut reception = Reception::default();
        let arrivals = vec![Some(1), None, Some(2), Some(3)];
        reception.add(&Feedback { base: u32::MAX, reference: Timestamp::ZERO, arrivals });
        assert_eq!(reception, Reception { reports: 1, arrived: 3, missing: 1 });
    }
}
