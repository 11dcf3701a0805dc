//! When a picture is shown, given the delay of the sound. Pure; the client's main thread asks it per decoded picture.
//!
//! Pictures are shown as soon as they are decoded, unless that would put them ahead of their sound by more than people
//! accept. The range is that of ITU-R BT.1359-1, the threshold of detectability: sound up to 45 ms early or 125 ms
//! late. Sound is never made to wait for pictures.

use std::time::Duration;

use crate::time::Timestamp;

/// How far sound may lead its picture.
pub const MAX_SOUND_LEAD: Duration = Duration::from_millis(45);

/// How far sound may lag its picture.
pub const MAX_SOUND_LAG: Duration = Duration::from_millis(125);

/// The longest that a decoded picture is kept back. Sound that needs more than this is already 275 ms late; by then a
/// fresher picture is worth more than lips in step, and kept pictures cost memory.
pub const MAX_HOLD: Duration = Duration::from_millis(150);

/// When to show a picture, and how it will then stand to the sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presentation {
    /// When to show it: `decoded`, or later by at most [`MAX_HOLD`].
    pub at: Timestamp,
    /// Nanoseconds that the sound lags the picture shown at `at`, negative where it leads; `None` without sound.
    pub sound_lag_nanos: Option<i64>,
}

/// Decides when to show a picture captured at `capture` (local time) and decoded at `decoded`, while sound plays
/// `sound_delay_nanos` after its capture (by the same clock, so that an error of the clock offset cancels).
pub fn present(sound_delay_nanos: Option<i64>, capture: Timestamp, decoded: Timestamp) -> Presentation {
    let Some(sound_delay) = sound_delay_nanos else {
        return Presentation { at: decoded, sound_lag_nanos: None };
    };
    let lag = sound_delay.saturating_sub(decoded.nanos_from(capture));
    let hold = lag.saturating_sub(nanos(MAX_SOUND_LAG)).clamp(0, nanos(MAX_HOLD));
    Presentation { at: decoded.offset_nanos(hold), sound_lag_nanos: Some(lag.saturating_sub(hold)) }
}

/// Whether lips and voice are further apart than [`MAX_SOUND_LEAD`] or [`MAX_SOUND_LAG`].
pub fn out_of_step(sound_lag_nanos: i64) -> bool {
    !(-nanos(MAX_SOUND_LEAD)..=nanos(MAX_SOUND_LAG)).contains(&sound_lag_nanos)
}

const fn nanos(time: Duration) -> i64 {
    time.as_nanos() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    /// Milliseconds held and sound lag for pictures decoded `video_ms` after capture.
    fn held(sound_ms: i64, video_ms: i64) -> (i64, i64) {
        let capture = Timestamp::from_micros(10_000_000);
        let decoded = capture.offset_nanos(video_ms * MS);
        let shown = present(Some(sound_ms * MS), capture, decoded);
        (shown.at.nanos_from(decoded) / MS, shown.sound_lag_nanos.expect("there is sound") / MS)
    }

    #[test]
    fn shown_at_once_while_in_range() {
        assert_eq!(held(60, 40), (0, 20));
        assert_eq!(held(40, 85), (0, -45));
        assert_eq!(held(165, 40), (0, 125));
    }

    #[test]
    fn held_just_long_enough_when_ahead_of_the_sound() {
        assert_eq!(held(200, 40), (35, 125));
        assert!(!out_of_step(125 * MS));
    }

    #[test]
    fn a_late_picture_is_shown_at_once() {
        assert_eq!(held(40, 300), (0, -260));
        assert!(out_of_step(-260 * MS));
    }

    #[test]
    fn holding_has_an_end() {
        assert_eq!(held(500, 40), (150, 310));
    }

    #[test]
    fn without_sound_nothing_waits() {
        let decoded = Timestamp::from_micros(7);
        let shown = present(None, Timestamp::ZERO, decoded);
        assert_eq!(shown, Presentation { at: decoded, sound_lag_nanos: None });
    }

    #[test]
    fn an_error_of_the_clock_offset_cancels() {
        // Both delays measured 300 ms too short, so that both are negative.
        assert_eq!(held(200 - 300, 40 - 300), held(200, 40));
    }
}
