//! In a person's place: calls, answers and hangs up by itself, for demos and measurements. Pure policy; time is an
//! argument.

use std::time::Duration;

use visavis_proto::{ids::CallId, time::Timestamp, wire::control::fold_name};

use crate::app::{
    Command,
    state::{Connection, Phase, State},
};

/// What is to be done without anybody clicking. By default nothing.
#[derive(Debug, Clone, Default)]
pub struct Orders {
    /// Call this person once, as soon as they can be reached.
    pub call: Option<String>,
    /// Take every call.
    pub answer: bool,
    /// Hang up after this long.
    pub duration: Option<Duration>,
    /// Close the window when the first call is over.
    pub leave: bool,
}

/// Follows its orders.
#[derive(Debug, Clone, Default)]
pub struct Pilot {
    orders: Orders,
    answered: Option<CallId>,
    ended: Option<CallId>,
}

/// What a pilot does.
#[derive(Debug)]
pub enum Step {
    /// As a person would.
    Do(Command),
    /// Closes the window.
    Close,
}

impl Pilot {
    /// One with these orders.
    pub fn new(orders: Orders) -> Self {
        Self { orders, ..Self::default() }
    }

    /// Looks at `state` at `now`. The call's figures change it once a second, which is as exact as hanging up gets.
    pub fn follow(&mut self, state: &State, now: Timestamp) -> Option<Step> {
        let Some(call) = &state.call else {
            let there = |name: &mut String| state.people.get(&fold_name(name)).is_some_and(|person| person.online);
            let name = self.orders.call.take_if(|name| state.connection == Connection::Online && there(name))?;
            return Some(Step::Do(Command::Call(name)));
        };
        let once = |done: &mut Option<CallId>| done.replace(call.id) != Some(call.id);
        match call.phase {
            Phase::RingingIn if self.orders.answer && once(&mut self.answered) => {
                Some(Step::Do(Command::Accept { camera: true }))
            }
            Phase::Live(since)
                if self.orders.duration.is_some_and(|limit| now.since(since) >= limit) && once(&mut self.ended) =>
            {
                Some(Step::Do(Command::End))
            }
            Phase::Over(_) if self.orders.leave => Some(Step::Close),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use visavis_proto::wire::control::Person;

    use super::*;
    use crate::app::state::Call;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::ZERO + Duration::from_secs(seconds)
    }

    fn in_phase(phase: Phase) -> State {
        State { call: Some(Call::new(CallId([1; 16]), "bob".into(), phase)), ..State::default() }
    }

    #[test]
    fn a_person_is_called_once_and_not_before_they_are_there() {
        let mut pilot = Pilot::new(Orders { call: Some("Bob".into()), ..Orders::default() });
        let mut state = State { connection: Connection::Online, ..State::default() };
        assert!(pilot.follow(&state, at(0)).is_none());
        let bob = Person { name: "bob".into(), online: true, ..Person::default() };
        state.people.insert("bob".into(), bob);
        assert!(matches!(pilot.follow(&state, at(0)), Some(Step::Do(Command::Call(name))) if name == "Bob"));
        assert!(pilot.follow(&state, at(1)).is_none());
    }

    #[test]
    fn a_call_is_taken_once_ended_once_and_then_the_window_closes() {
        let duration = Some(Duration::from_secs(5));
        let mut pilot = Pilot::new(Orders { answer: true, duration, leave: true, ..Orders::default() });
        let taken = pilot.follow(&in_phase(Phase::RingingIn), at(0));
        assert!(matches!(taken, Some(Step::Do(Command::Accept { camera: true }))));
        assert!(pilot.follow(&in_phase(Phase::RingingIn), at(0)).is_none());
        let live = in_phase(Phase::Live(at(10)));
        assert!(pilot.follow(&live, at(14)).is_none());
        assert!(matches!(pilot.follow(&live, at(15)), Some(Step::Do(Command::End))));
        assert!(pilot.follow(&live, at(16)).is_none());
        assert!(matches!(pilot.follow(&in_phase(Phase::Over("over".into())), at(17)), Some(Step::Close)));
    }

    #[test]
    fn without_orders_nothing_is_done() {
        let mut pilot = Pilot::default();
        for phase in [Phase::RingingIn, Phase::Live(at(0)), Phase::Over("over".into())] {
            assert!(pilot.follow(&in_phase(phase), at(1_000)).is_none());
        }
    }
}
