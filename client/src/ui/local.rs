//! What only the window knows: text being typed, what is open, a minute of figures. No call logic.

use std::collections::VecDeque;

use egui::Vec2;
use visavis_proto::{ids::CallId, time::Timestamp};
use zeroize::Zeroizing;

use crate::{
    app::{
        Command, Join,
        state::{Access, Phase, State},
    },
    stats::collector::Live,
};

/// Seconds for which keys do not take a call that has begun to ring: what is typed at that moment was meant for
/// something else, and a camera must not go on by accident.
const GUARD_S: f64 = 0.7;

/// Seconds that the small plots show.
pub const TREND: usize = 60;

/// The window's own state.
#[derive(Debug, Default)]
pub struct Local {
    /// What is typed on the first screen.
    pub form: Form,
    /// What is typed into the search.
    pub search: String,
    /// Which list is seen.
    pub tab: Tab,
    /// Who is chosen by the arrow keys, by their place in the list.
    pub chosen: Option<usize>,
    /// Which past call is.
    pub past: Option<usize>,
    /// The settings are open.
    pub settings: bool,
    /// The list of keys is open.
    pub keys: bool,
    /// The figures of the call are open.
    pub stats: bool,
    /// Closing waits for an answer.
    pub closing: bool,
    /// A minute of the call's figures.
    pub trend: Trend,
    /// How far the self view has been dragged from its corner.
    pub(super) dragged: Option<Vec2>,
    /// When the pointer or the keyboard was last used, by egui's clock in seconds.
    pub(super) active_s: f64,
    /// Since when the call rings that is shown, by egui's clock: the keys of what one did before must not take it.
    pub(super) rings: Option<(CallId, f64)>,
    /// Missed calls that the engine was told are seen.
    pub(super) seen: u64,
    /// The first field has had its focus once.
    pub(super) begun: bool,
    /// What the first screen last said is wrong: it is scrolled to once.
    pub(super) told: String,
    /// Troubles that were read and put away, for as long as they last.
    pub(super) put_away: Vec<String>,
}

/// Which list is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tab {
    /// Everybody.
    #[default]
    People,
    /// Past calls.
    History,
}

/// What is typed on the first screen.
#[derive(Debug, Default)]
pub struct Form {
    /// The invite link.
    pub link: String,
    /// The name.
    pub name: String,
    /// The password.
    pub password: Zeroizing<String>,
    /// The password again, where it is chosen.
    pub again: Zeroizing<String>,
    /// There is an account already.
    pub existing: bool,
    /// It was sent once: what is missing is told from now on.
    pub tried: bool,
}

/// A field of the form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// The invite link.
    Link,
    /// The name.
    Name,
    /// The password.
    Password,
    /// The password again.
    Again,
}

impl Form {
    /// The first thing that is missing, and the sentence that says so. What a name or a password must be beyond that is
    /// for those to say who check it.
    pub fn missing(&self) -> Option<(Field, &'static str)> {
        if self.link.trim().is_empty() {
            return Some((Field::Link, "Paste the invite link that you were given."));
        }
        if self.name.trim().is_empty() {
            return Some((Field::Name, "Enter a name."));
        }
        if self.password.is_empty() {
            return Some((Field::Password, "Enter a password."));
        }
        if !self.existing && *self.password != *self.again {
            return Some((Field::Again, "The two passwords are not the same."));
        }
        None
    }

    /// Whoever was at a relay logs in there again.
    pub fn begin_again(&mut self, name: &str, link: &str) {
        *self = Self { link: link.to_owned(), name: name.to_owned(), existing: true, ..Self::default() };
    }

    /// What goes to the engine.
    pub fn join(&self) -> Command {
        Command::Join(Join {
            link: self.link.trim().to_owned(),
            name: self.name.trim().to_owned(),
            password: self.password.clone(),
            existing: self.existing,
        })
    }
}

/// The last [`TREND`] seconds of a call's figures.
#[derive(Debug, Default)]
pub struct Trend {
    call: Option<CallId>,
    last: Option<Timestamp>,
    seconds: VecDeque<Live>,
}

impl Trend {
    /// One figure over time; `None` where it is not known.
    pub fn values(&self, figure: impl Fn(&Live) -> Option<f32>) -> Vec<Option<f32>> {
        self.seconds.iter().map(figure).collect()
    }

    /// Takes the newest figures of `state`, if they are newer than the ones before.
    fn observe(&mut self, state: &State) {
        let Some(call) = &state.call else { return };
        let Phase::Live(since) = call.phase else { return };
        if self.call != Some(call.id) || self.last != Some(since) {
            // Calls that crossed are one under a new id, but a live call keeps its beginning.
            if self.last != Some(since) {
                self.seconds.clear();
            }
            (self.call, self.last) = (Some(call.id), Some(since));
        }
        let Some(live) = &call.live else { return };
        if self.seconds.back().is_none_or(|newest| newest.seconds < live.seconds) {
            if self.seconds.len() == TREND {
                self.seconds.pop_front();
            }
            self.seconds.push_back(live.clone());
        }
    }
}

impl Local {
    /// With the link from the command line, if there was one.
    pub fn new(link: Option<String>) -> Self {
        Self { form: Form { link: link.unwrap_or_default(), ..Form::default() }, ..Self::default() }
    }

    /// The person wants to close the window: `true` if it may close at once, else they are asked.
    pub fn may_close(&mut self, state: &State) -> bool {
        self.closing = state.in_call();
        !self.closing
    }

    /// Whether a call rings in, and has for long enough that a key may take it.
    pub(super) fn keys_answer(&self, now_s: f64) -> bool {
        self.rings.is_some_and(|(_, since)| now_s - since >= GUARD_S)
    }

    /// A dialog lies over the screen and has the keys for itself.
    pub(super) const fn is_covered(&self) -> bool {
        self.closing || self.keys
    }

    /// Follows the state: what is no longer needed is forgotten, figures are kept.
    pub(super) fn follow(&mut self, state: &State, now_s: f64) {
        self.trend.observe(state);
        if matches!(state.access, Access::Member { .. }) && !self.form.password.is_empty() {
            // Zeroized as they are dropped.
            self.form = Form::default();
        }
        self.closing &= state.in_call();
        self.dragged = self.dragged.filter(|_| state.in_call());
        let ringing = state.call.as_ref().filter(|call| call.phase == Phase::RingingIn).map(|call| call.id);
        if self.rings.map(|(call, _)| call) != ringing {
            self.rings = ringing.map(|call| (call, now_s));
            // Nobody should miss a call behind the settings.
            (self.settings, self.keys) = (self.settings && ringing.is_none(), self.keys && ringing.is_none());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::state::Call;

    fn at_second(second: usize, since_ms: u64) -> State {
        let since = Timestamp::from_nanos(since_ms * 1_000_000);
        let live = Some(Live { seconds: second as f64, fps: second as f64, ..Live::default() });
        let call = Call { live, ..Call::new(CallId([1; 16]), "bob".into(), Phase::Live(since)) };
        State { call: Some(call), ..State::default() }
    }

    #[test]
    fn a_minute_of_figures_is_kept_each_second_once_and_of_one_call() {
        let mut local = Local::default();
        for second in 0..100 {
            local.follow(&at_second(second, 1), 0.0);
            local.follow(&at_second(second, 1), 0.0);
        }
        let values = local.trend.values(|live| Some(live.fps as f32));
        assert_eq!((values.len(), values[0], values[59]), (TREND, Some(40.0), Some(99.0)));
        local.follow(&at_second(1, 2), 0.0);
        assert_eq!(local.trend.values(|live| Some(live.fps as f32)), [Some(1.0)], "another call");
    }

    #[test]
    fn what_is_missing_is_told_in_the_order_of_the_fields() {
        let mut form = Form::default();
        let field = |form: &Form| form.missing().map(|(field, _)| field);
        assert_eq!(field(&form), Some(Field::Link));
        form.link = "visavis://x".into();
        assert_eq!(field(&form), Some(Field::Name));
        form.name = "ada".into();
        assert_eq!(field(&form), Some(Field::Password));
        *form.password = "secret".into();
        assert_eq!(field(&form), Some(Field::Again));
        form.existing = true;
        assert_eq!(field(&form), None);
    }

    #[test]
    fn a_password_is_forgotten_once_it_has_done_its_work() {
        let mut local = Local::default();
        *local.form.password = "secret".into();
        local.follow(&State::default(), 0.0);
        assert!(!local.form.password.is_empty(), "a refused one can be mended");
        let access = Access::Member { name: "ada".into(), host: "here".into(), link: String::new() };
        local.follow(&State { access, ..State::default() }, 0.0);
        assert!(local.form.password.is_empty());
    }

    #[test]
    fn only_a_call_holds_the_window_open() {
        let mut local = Local::default();
        assert!(local.may_close(&State::default()));
        assert!(!local.may_close(&at_second(1, 1)) && local.closing);
        local.follow(&State::default(), 0.0);
        assert!(!local.closing, "the question is gone with the call");
    }
}
