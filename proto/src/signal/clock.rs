//! Two clocks in step: the relay's time as a client knows it, from probes on the same connection.
//!
//! Four timestamps per probe, as in NTP (RFC 5905 section 8). The true offset lies within half the round trip of what a
//! probe says, so the fewer microseconds a probe spent in queues, the more it weighs; a line through the weighted
//! probes of the last minute follows the drift between the two oscillators. What is handed out moves towards that line
//! slowly, so that converted times never run backwards.
//!
//! A path that is slower in one direction shifts the estimate by half the difference. Nothing can measure that from
//! one end; [`ClockSync::bound`] says how large it can be.

use std::{collections::VecDeque, time::Duration};

use crate::{
    time::Timestamp,
    wire::clock::{Ping, Pong},
};

/// Probes at the start, and how far apart: within half a second the best of eight is a good one.
const QUICK_PROBES: u32 = 8;
const QUICK_INTERVAL: Duration = Duration::from_millis(50);

/// Afterwards one a second: two packets of 30 bytes, and a minute of them pins the drift to a few parts per million.
const INTERVAL: Duration = Duration::from_secs(1);

/// Probes older than this are not used: oscillators keep their rate over a minute, not over many.
const WINDOW: Duration = Duration::from_secs(60);

/// Most probes kept; the window holds fewer.
const MAX_SAMPLES: usize = 80;

/// Most unanswered probes remembered: an answer that comes later than eight seconds says nothing.
const MAX_PENDING: usize = 8;

/// Quartz is off by at most some 100 parts per million, so two of them by 200.
const MAX_DRIFT: f64 = 200e-6;

/// How sure the drift is before anything was measured, as a standard deviation: an ordinary pair of machines.
const DRIFT_PRIOR: f64 = 50e-6;

/// Error of a probe that met no queue at all, in nanoseconds: timers, interrupts, whole microseconds on the wire.
const FLOOR_NANOS: f64 = 100_000.0;

/// How fast the offset handed out moves towards the estimate: 2 ms a second. Faster than the estimate ever moves by
/// itself, and slow enough that no playout notices.
const SLEW: f64 = 2e-3;

/// A probe that contradicts the estimate by more than this beyond both their bounds means that a clock was set or the
/// machine slept: what was known is worthless.
const JUMP_NANOS: f64 = 20e6;

/// A client's knowledge of its relay's clock.
#[derive(Debug, Default)]
pub struct ClockSync {
    next_id: u32,
    next_ping: Option<Timestamp>,
    quick_sent: u32,
    pending: VecDeque<(u32, Timestamp)>,
    samples: VecDeque<Sample>,
    line: Option<Line>,
    /// When the line was last replaced, and how far the offset handed out stood above it then, in nanoseconds.
    anchor: (Timestamp, f64),
    smoothed_rtt: Option<Duration>,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    /// Local time half way through the probe.
    at: Timestamp,
    /// Relay minus local.
    offset_nanos: i64,
    rtt: Duration,
}

/// Relay minus local: `offset_nanos` at `at`, changing by `drift` per unit of local time.
#[derive(Debug, Clone, Copy)]
struct Line {
    at: Timestamp,
    offset_nanos: i64,
    fraction: f64,
    drift: f64,
}

impl Line {
    /// The offset at `now`, as whole nanoseconds and a rest, so that large offsets keep their precision.
    fn offset(&self, now: Timestamp) -> (i64, f64) {
        (self.offset_nanos, self.fraction + self.drift * now.nanos_from(self.at) as f64)
    }
}

impl ClockSync {
    /// Knows nothing, and probes at once.
    pub fn new() -> Self {
        Self::default()
    }

    /// The path or a clock has changed: forgets everything, and probes quickly again.
    pub fn reset(&mut self) {
        *self = Self { next_id: self.next_id, ..Self::default() };
    }

    /// The probe to send now, if one is due.
    pub fn poll_ping(&mut self, now: Timestamp) -> Option<Ping> {
        if self.poll_timeout() > now {
            return None;
        }
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        if self.pending.len() == MAX_PENDING {
            self.pending.pop_front();
        }
        self.pending.push_back((id, now));
        self.quick_sent = self.quick_sent.saturating_add(1);
        self.next_ping = Some(now + if self.quick_sent < QUICK_PROBES { QUICK_INTERVAL } else { INTERVAL });
        Some(Ping { id })
    }

    /// When the next probe is due; in the past if it already is.
    pub fn poll_timeout(&self) -> Timestamp {
        self.next_ping.unwrap_or(Timestamp::ZERO)
    }

    /// An answer came at `now`. One that matches no probe, or that says it took longer at the relay than the whole
    /// round trip, is ignored; returns whether it was used.
    pub fn handle_pong(&mut self, pong: Pong, now: Timestamp) -> bool {
        let Some(index) = self.pending.iter().position(|&(id, _)| id == pong.id) else {
            return false;
        };
        let Some((_, sent)) = self.pending.remove(index) else {
            return false;
        };
        let round = now.since(sent);
        // Whole microseconds on the wire can make the relay's part one longer than it was.
        let Some(rtt) = (round + Duration::from_micros(1)).checked_sub(pong.sent.since(pong.received)) else {
            return false;
        };
        let there = pong.received.nanos_from(sent);
        let back = pong.sent.nanos_from(now);
        let offset_nanos = ((i128::from(there) + i128::from(back)) / 2) as i64;
        let at = sent + round / 2;
        self.take(Sample { at, offset_nanos, rtt }, now);
        true
    }

    /// The relay's clock minus the local one, in nanoseconds; `None` before the first answer.
    pub fn offset_nanos(&self, now: Timestamp) -> Option<i64> {
        let line = self.line?;
        let (whole, rest) = line.offset(now);
        Some(whole.saturating_add((rest + self.excess(now)).round() as i64))
    }

    /// The relay's time at local time `local`.
    pub fn to_relay(&self, local: Timestamp) -> Option<Timestamp> {
        self.offset_nanos(local).map(|offset| local.offset_nanos(offset))
    }

    /// The local time at the relay's time `relay`.
    pub fn to_local(&self, relay: Timestamp) -> Option<Timestamp> {
        // The offset is known by local time; what the first guess is off by changes it by a ten-thousandth of that.
        let anchor = self.offset_nanos(self.line?.at)?;
        let mut local = relay.offset_nanos(anchor.saturating_neg());
        for _ in 0..2 {
            local = relay.offset_nanos(self.offset_nanos(local)?.saturating_neg());
        }
        Some(local)
    }

    /// How far the estimate can be from the truth on an asymmetric path: half the least round trip. `None` before the
    /// first answer.
    pub fn bound(&self) -> Option<Duration> {
        self.min_rtt().map(|rtt| rtt / 2)
    }

    /// The round trip, smoothed as TCP does (RFC 6298: an eighth of each new one).
    pub const fn rtt(&self) -> Option<Duration> {
        self.smoothed_rtt
    }

    /// The least round trip of the last minute.
    pub fn min_rtt(&self) -> Option<Duration> {
        self.samples.iter().map(|sample| sample.rtt).min()
    }

    /// The drift of the relay's clock against the local one, in parts per million.
    pub fn drift_ppm(&self) -> Option<f64> {
        self.line.map(|line| line.drift * 1e6)
    }

    fn take(&mut self, sample: Sample, now: Timestamp) {
        if self.contradicts(&sample) {
            self.samples.clear();
            self.line = None;
            self.smoothed_rtt = None;
            self.quick_sent = 0;
            self.next_ping = Some(now);
        }
        self.smoothed_rtt = Some(self.smoothed_rtt.map_or(sample.rtt, |smoothed| (smoothed * 7 + sample.rtt) / 8));
        if self.samples.len() == MAX_SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
        self.samples.retain(|old| old.at + WINDOW >= sample.at);
        let before = self.offset_nanos(now);
        let line = fit(&self.samples, sample);
        // While the first probes come in the estimate may step; nobody has built on it yet.
        let settled = self.samples.len() > QUICK_PROBES as usize;
        let (whole, rest) = line.offset(now);
        let excess = before.filter(|_| settled).map_or(0.0, |before| before.saturating_sub(whole) as f64 - rest);
        self.anchor = (now, excess);
        self.line = Some(line);
    }

    fn contradicts(&self, sample: &Sample) -> bool {
        let (Some(line), Some(bound)) = (self.line, self.bound()) else {
            return false;
        };
        let (whole, rest) = line.offset(sample.at);
        let error = sample.offset_nanos.saturating_sub(whole) as f64 - rest;
        error.abs() > (bound + sample.rtt / 2).as_nanos() as f64 + JUMP_NANOS
    }

    /// How far the offset handed out stands above the line, shrinking from the anchor on.
    fn excess(&self, now: Timestamp) -> f64 {
        let (since, excess) = self.anchor;
        let slewed = SLEW * now.since(since).as_nanos() as f64;
        excess.signum() * (excess.abs() - slewed).max(0.0)
    }
}

/// The weighted least-squares line through the samples, in time and offset relative to `newest`.
///
/// A probe that was queued for `q` is off by at most `q / 2`, so its weight is the inverse square of that; the drift
/// is drawn towards zero as if by one more measurement of it.
fn fit(samples: &VecDeque<Sample>, newest: Sample) -> Line {
    let least = samples.iter().map(|sample| sample.rtt).min().unwrap_or(newest.rtt);
    let points = samples.iter().map(|sample| {
        let error = FLOOR_NANOS + (sample.rtt - least).as_nanos() as f64 / 2.0;
        let x = sample.at.nanos_from(newest.at) as f64;
        let y = sample.offset_nanos.saturating_sub(newest.offset_nanos) as f64;
        (1.0 / (error * error), x, y)
    });
    let (weight, x_sum, y_sum) =
        points.clone().fold((0.0, 0.0, 0.0), |(w, x, y), (pw, px, py)| (w + pw, x + pw * px, y + pw * py));
    let (x_mean, y_mean) = (x_sum / weight, y_sum / weight);
    let (sxx, sxy) = points.fold((0.0, 0.0), |(sxx, sxy), (w, x, y)| {
        (sxx + w * (x - x_mean) * (x - x_mean), sxy + w * (x - x_mean) * (y - y_mean))
    });
    let drift = (sxy / (sxx + 1.0 / (DRIFT_PRIOR * DRIFT_PRIOR))).clamp(-MAX_DRIFT, MAX_DRIFT);
    Line { at: newest.at, offset_nanos: newest.offset_nanos, fraction: y_mean - drift * x_mean, drift }
}
