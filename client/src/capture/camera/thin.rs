//! Leaves out frames of a camera that gives more in a second than are wanted. Pure.

use std::time::Duration;

/// Decides frame by frame.
#[derive(Debug)]
pub struct Thin {
    /// Between frames that are wanted; none if all of them are.
    interval: Option<Duration>,
    /// When the next frame is wanted.
    due: Option<Duration>,
}

/// A camera that is faster than wished by no more than this gives every frame: now and then one less would be seen.
const TOLERANCE: f64 = 1.2;

impl Thin {
    /// For a camera and a wish, both in frames per second.
    pub fn new(camera: f64, wished: f64) -> Self {
        let too_fast = camera > wished * TOLERANCE;
        Self { interval: too_fast.then(|| Duration::from_secs_f64(1.0 / wished.clamp(1.0, 240.0))), due: None }
    }

    /// Whether the frame that was captured `at` is wanted. It may be early by a quarter of the interval: no camera is as
    /// steady as it says.
    pub fn wants(&mut self, at: Duration) -> bool {
        let Some(interval) = self.interval else { return true };
        if self.due.is_some_and(|due| at + interval / 4 < due && due < at + 2 * interval) {
            return false;
        }
        // One that is late puts off those behind it; time that jumps begins anew.
        let due = self.due.filter(|due| due.abs_diff(at) < interval).unwrap_or(at);
        self.due = Some(due + interval);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(camera: f64, wished: f64, jitter_ms: u64) -> usize {
        let mut thin = Thin::new(camera, wished);
        let frames = (0..600_u64).map(|number| {
            Duration::from_secs_f64(number as f64 / camera) + Duration::from_millis(number * 5 % (jitter_ms + 1))
        });
        frames.filter(|at| thin.wants(*at)).count()
    }

    #[test]
    fn a_camera_at_the_wished_rate_loses_nothing() {
        for jitter_ms in [0, 6] {
            assert_eq!(kept(30.0, 30.0, jitter_ms), 600);
            assert_eq!(kept(15.0, 30.0, jitter_ms), 600);
            assert_eq!(kept(29.97, 30.0, jitter_ms), 600);
            assert_eq!(kept(31.0, 30.0, jitter_ms), 600);
        }
    }

    #[test]
    fn a_faster_camera_is_thinned_to_the_wished_rate() {
        for (camera, wished) in [(60.0, 30.0), (30.0, 15.0), (30.0, 24.0), (90.0, 30.0)] {
            let expected = (600.0 * wished / camera) as usize;
            assert!(kept(camera, wished, 3).abs_diff(expected) <= expected / 20, "{camera} to {wished}");
        }
    }

    #[test]
    fn time_that_jumps_stops_nothing() {
        let mut thin = Thin::new(60.0, 30.0);
        assert!(thin.wants(Duration::from_secs(1_000)));
        assert!(thin.wants(Duration::from_secs(5)), "another clock");
        assert!(thin.wants(Duration::from_secs(7)));
    }
}
