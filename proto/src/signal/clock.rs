//! Two clocks in step: the relay's time as a client knows it, from probes on the same connection.
//!
//! Four timestamps per probe, as in NTP (RFC 5905 section 8). The true offset lies within half the round trip of what a
//! probe says, so the fewer microseconds a probe spent in queues, the more it weighs; a line through the weighted
//! probes of the last minutes follows the drift between the two oscillators. What is handed out moves towards that line
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

/// Afterwards one a second: two packets of 30 bytes, and three minutes of them pin the drift to a few parts per million.
const INTERVAL: Duration = Duration::from_secs(1);

/// Probes older than this are not used. Simulated with 0 to 20 ms of jitter each way and 100 ppm of drift, one minute
/// errs by up to 2.1 ms, three by 0.5 ms, five no less; oscillators keep their rate to well under 1 ppm over three.
const WINDOW: Duration = Duration::from_secs(180);

/// Most probes kept; the window holds fewer.
const MAX_SAMPLES: usize = 200;

/// Most unanswered probes remembered: an answer that comes later than eight seconds says nothing.
const MAX_PENDING: usize = 8;

/// Quartz is off by at most some 100 parts per million, so two of them by 200.
const MAX_DRIFT: f64 = 200e-6;

/// How sure the drift is before anything was measured, as a standard deviation. Smaller helps ordinary pairs of machines
/// by a tenth in the first minute and harms a pair that is 100 ppm apart by half.
const DRIFT_PRIOR: f64 = 100e-6;

/// Error of a probe that met no queue at all, in nanoseconds: timers, interrupts, whole microseconds on the wire.
const FLOOR_NANOS: f64 = 100_000.0;

/// Which of the round trips, from the least, tells how far the least itself is from one without queues. In the
/// simulation above, without it the worst error is 1.7 times as large, and it grows again from the eighth on.
const RUNNER_UP: usize = 3;

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

    /// The least round trip of the last three minutes.
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
/// A probe that was queued for `q` is off by at most `q / 2`, so its weight is the inverse square of that. Even the
/// quickest was queued a little: by about as much as separates it from the next few. The drift is drawn towards zero
/// as if by one more measurement of it.
fn fit(samples: &VecDeque<Sample>, newest: Sample) -> Line {
    let mut trips: Vec<Duration> = samples.iter().map(|sample| sample.rtt).collect();
    trips.sort_unstable();
    let least = trips.first().copied().unwrap_or(newest.rtt);
    let spread = trips.get(RUNNER_UP).or(trips.last()).map_or(Duration::ZERO, |&trip| trip - least);
    let points = samples.iter().map(|sample| {
        let error = FLOOR_NANOS + (sample.rtt - least + spread).as_nanos() as f64 / 2.0;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A relay whose clock stands `offset_nanos` ahead and runs `drift` faster, over a path of chosen delays.
    struct World {
        clock: ClockSync,
        offset_nanos: i64,
        drift: f64,
        now: Timestamp,
    }

    const START: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

    fn ms(ms: f64) -> Duration {
        Duration::from_secs_f64(ms / 1e3)
    }

    /// A small generator of reproducible noise, uniform in 0..1.
    fn noise(seed: u64) -> impl FnMut() -> f64 {
        let mut state = seed;
        move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as f64 / (1u64 << 31) as f64
        }
    }

    impl World {
        fn new(offset_nanos: i64, drift_ppm: f64) -> Self {
            Self { clock: ClockSync::new(), offset_nanos, drift: drift_ppm * 1e-6, now: START }
        }

        fn relay_time(&self, local: Timestamp) -> Timestamp {
            let drifted = (self.drift * local.nanos_from(START) as f64) as i64;
            local.offset_nanos(self.offset_nanos + drifted)
        }

        /// Probes for `seconds`; `path` gives a probe's milliseconds there and back, or loses it. Calls `check` with
        /// the error in milliseconds every 10 ms, once there is an estimate.
        fn run(&mut self, seconds: u64, mut path: impl FnMut() -> Option<(f64, f64)>, mut check: impl FnMut(f64)) {
            let end = self.now + Duration::from_secs(seconds);
            let mut previous = Timestamp::ZERO;
            while self.now < end {
                if let Some(ping) = self.clock.poll_ping(self.now)
                    && let Some((there, back)) = path()
                {
                    let received = self.now + ms(there);
                    let held = Duration::from_micros(80);
                    let pong = Pong {
                        id: ping.id,
                        received: Timestamp::from_micros(self.relay_time(received).as_micros()),
                        sent: Timestamp::from_micros(self.relay_time(received + held).as_micros()),
                    };
                    assert!(self.clock.handle_pong(pong, received + held + ms(back)));
                }
                self.now += ms(10.0);
                if let Some(relay) = self.clock.to_relay(self.now) {
                    assert!(relay > previous || self.now.since(START) < ms(600.0), "time runs on");
                    previous = relay;
                    check(relay.nanos_from(self.relay_time(self.now)) as f64 / 1e6);
                    let local = self.clock.to_local(relay).expect("there is an estimate");
                    assert!(local.nanos_from(self.now).abs() < 1_000, "there and back");
                }
            }
        }
    }

    fn worst(errors: &[f64]) -> f64 {
        errors.iter().fold(0.0, |worst, error| worst.max(error.abs()))
    }

    #[test]
    fn symmetric_jitter_cancels() {
        for seed in 0..20 {
            let mut random = noise(seed);
            let mut world = World::new(-3_600_000_000_000, 20.0);
            let mut errors = Vec::new();
            let mut path = || Some((10.0 + 20.0 * random() * random(), 10.0 + 20.0 * random() * random()));
            world.run(60, &mut path, |_| ());
            world.run(180, &mut path, |error| errors.push(error));
            assert!(worst(&errors) < 1.0, "{} ms", worst(&errors));
            let bound = world.clock.bound().expect("answers came");
            assert!((ms(10.0)..ms(13.0)).contains(&bound), "{bound:?}");
            assert!(world.clock.rtt() > world.clock.min_rtt());
        }
    }

    #[test]
    fn the_first_half_second_is_good_to_a_few_milliseconds() {
        let mut random = noise(5);
        let mut world = World::new(77_000_000, 0.0);
        let mut errors = Vec::new();
        let mut path = || Some((10.0 + 20.0 * random(), 10.0 + 20.0 * random()));
        world.run(1, &mut path, |_| ());
        world.run(5, &mut path, |error| errors.push(error));
        assert!(worst(&errors) < 6.0, "{} ms", worst(&errors));
    }

    #[test]
    fn an_asymmetric_path_shifts_by_half_and_stays_within_the_bound() {
        let mut world = World::new(5_000_000, 0.0);
        let mut errors = Vec::new();
        world.run(30, || Some((40.0, 10.0)), |error| errors.push(error));
        assert!(errors.iter().all(|error| (error - 15.0).abs() < 0.1), "{}", worst(&errors));
        assert!(ms(worst(&errors)) <= world.clock.bound().expect("answers came"));
    }

    #[test]
    fn a_better_estimate_is_approached_without_running_backwards() {
        let mut world = World::new(0, 0.0);
        world.run(20, || Some((60.0, 10.0)), |_| ());
        let mut errors = Vec::new();
        world.run(30, || Some((10.0, 10.0)), |error| errors.push(error));
        assert!((20.0..26.0).contains(&errors[0]), "{} ms", errors[0]);
        assert!(worst(&errors[2_000..]) < 0.5, "{} ms", worst(&errors[2_000..]));
    }

    #[test]
    fn drift_is_followed_for_ten_minutes() {
        for drift in [100.0, -100.0] {
            let mut random = noise(6);
            let mut world = World::new(0, drift);
            let mut errors = Vec::new();
            let mut path = || Some((15.0 + 5.0 * random(), 15.0 + 5.0 * random()));
            world.run(600, &mut path, |error| errors.push(error));
            for (from_s, limit_ms) in [(0, 3.0), (20, 1.0), (180, 0.5)] {
                let worst = worst(&errors[from_s * 100..]);
                assert!(worst < limit_ms, "{worst} ms after {from_s} s");
            }
            let measured = world.clock.drift_ppm().expect("answers came");
            assert!((measured - drift).abs() < 30.0, "{measured}");
        }
    }

    #[test]
    fn lost_answers_only_slow_it_down() {
        let mut random = noise(7);
        let mut world = World::new(1_000_000_000, 30.0);
        let mut errors = Vec::new();
        let mut path = || (random() < 0.5).then_some((20.0, 20.0));
        world.run(5, &mut path, |_| ());
        world.run(120, &mut path, |error| errors.push(error));
        assert!(worst(&errors) < 0.5, "{} ms", worst(&errors));
    }

    #[test]
    fn a_clock_that_was_set_is_noticed() {
        let mut world = World::new(0, 0.0);
        world.run(30, || Some((20.0, 20.0)), |_| ());
        world.offset_nanos = 500_000_000;
        let mut errors = Vec::new();
        world.run(2, || Some((20.0, 20.0)), |_| ());
        world.run(10, || Some((20.0, 20.0)), |error| errors.push(error));
        assert!(worst(&errors) < 0.5, "{} ms", worst(&errors));
    }

    #[test]
    fn probes_come_quickly_at_first_and_again_after_a_reset() {
        let mut clock = ClockSync::new();
        let count = |clock: &mut ClockSync, from: u64, to: u64| {
            (from..to).filter(|n| clock.poll_ping(START + ms(*n as f64)).is_some()).count()
        };
        assert_eq!(count(&mut clock, 0, 400), 8);
        assert_eq!(count(&mut clock, 400, 10_400), 10);
        clock.reset();
        assert_eq!(count(&mut clock, 10_400, 10_800), 8);
        assert_eq!(clock.offset_nanos(START), None);
    }

    #[test]
    fn answers_that_match_no_probe_are_ignored() {
        let mut clock = ClockSync::new();
        let ping = clock.poll_ping(START).expect("the first is due");
        let pong = Pong { id: ping.id, received: START, sent: START };
        assert!(!clock.handle_pong(Pong { id: ping.id + 1, ..pong }, START + ms(1.0)));
        assert!(clock.handle_pong(pong, START + ms(1.0)));
        assert!(!clock.handle_pong(pong, START + ms(2.0)), "a duplicate");
        let ping = clock.poll_ping(START + ms(50.0)).expect("the second is due");
        let impossible = Pong { id: ping.id, received: START, sent: START + ms(900.0) };
        assert!(!clock.handle_pong(impossible, START + ms(60.0)), "held longer than the round trip");
        clock.reset();
        assert!(!clock.handle_pong(Pong { id: ping.id, ..pong }, START + ms(70.0)), "asked before the reset");
    }
}
