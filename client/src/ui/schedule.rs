//! When to draw: pure policy, time is an argument.
//!
//! A picture is drawn at once. What the pointer and the widgets want is drawn at once as well, unless the last drawing
//! is younger than `SHORTEST`: a 1,000 Hz mouse would otherwise keep the GPU busy with drawings that no screen shows
//! and let a picture wait behind them. An animation or a clock asks for a moment ahead, and the loop sleeps until it.

use std::time::{Duration, Instant};

/// Between two drawings that only widgets want: above the refresh of most screens (8.3 ms at 120 Hz), so that nothing
/// is seen of it.
const SHORTEST: Duration = Duration::from_millis(8);

/// What the event loop should do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Draw.
    Draw,
    /// Sleep until then, or until something happens.
    Until(Instant),
    /// Sleep until something happens.
    Sleep,
}

/// What is wanted, and when the last drawing was.
#[derive(Debug, Clone, Copy, Default)]
pub struct Schedule {
    picture: bool,
    /// When the widgets want to be laid out and drawn.
    widgets: Option<Instant>,
    drawn: Option<Instant>,
}

impl Schedule {
    /// A newer picture is there.
    pub fn picture(&mut self) {
        self.picture = true;
    }

    /// The widgets want to be drawn at `at`. An earlier wish stands.
    pub fn widgets(&mut self, at: Instant) {
        self.widgets = Some(self.widgets.map_or(at, |wish| wish.min(at)));
    }

    /// What to do at `now`.
    pub fn next(&self, now: Instant) -> Next {
        if self.picture {
            return Next::Draw;
        }
        let Some(wish) = self.widgets else {
            return Next::Sleep;
        };
        let at = self.drawn.map_or(wish, |drawn| wish.max(drawn + SHORTEST));
        if at <= now { Next::Draw } else { Next::Until(at) }
    }

    /// Everything wanted is drawn at `now`. Answers whether the widgets are to be laid out, or the picture alone is new.
    pub fn draw(&mut self, now: Instant) -> bool {
        self.picture = false;
        self.drawn = Some(now);
        self.widgets.take_if(|wish| *wish <= now).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "an instant has no other beginning; it is only added to")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_picture_is_drawn_at_once_and_widgets_are_not_laid_out_for_it() {
        let now = start();
        let mut schedule = Schedule::default();
        assert_eq!(schedule.next(now), Next::Sleep);
        schedule.picture();
        assert_eq!(schedule.next(now), Next::Draw);
        assert!(!schedule.draw(now));
        assert_eq!(schedule.next(now), Next::Sleep);
        schedule.picture();
        assert_eq!(schedule.next(now), Next::Draw, "however young the last drawing");
    }

    #[test]
    fn a_fast_mouse_does_not_draw_faster_than_screens_show() {
        let now = start();
        let mut schedule = Schedule::default();
        schedule.widgets(now);
        assert_eq!(schedule.next(now), Next::Draw);
        assert!(schedule.draw(now));
        let moved = now + Duration::from_millis(1);
        schedule.widgets(moved);
        assert_eq!(schedule.next(moved), Next::Until(now + SHORTEST));
        assert_eq!(schedule.next(now + SHORTEST), Next::Draw);
    }

    #[test]
    fn the_sooner_of_two_wishes_stands_and_a_later_one_survives_a_drawing() {
        let now = start();
        let tick = now + Duration::from_secs(1);
        let mut schedule = Schedule::default();
        schedule.widgets(tick);
        schedule.widgets(tick + SHORTEST);
        assert_eq!(schedule.next(now), Next::Until(tick));
        schedule.picture();
        assert!(!schedule.draw(now));
        assert_eq!(schedule.next(now), Next::Until(tick));
    }
}
