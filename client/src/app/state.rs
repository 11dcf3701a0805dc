//! Everything that a person can see, as plain data, and how news changes it. Pure: no clock, no network, no window.

use std::collections::BTreeMap;

use visavis_proto::{
    ids::CallId,
    signal::call::Event as CallEvent,
    time::Timestamp,
    wire::control::{EndReason, PastCall, People, Person, StreamKind, fold_name, peer},
};

use crate::{net::actor::Event, sentence, stats::collector::Live};

/// What the window shows. Cheap enough to clone at every change, which is a few times a second at most.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    /// Whether this device belongs to somebody yet.
    pub access: Access,
    /// How things stand with the relay.
    pub connection: Connection,
    /// Everybody else at the relay, by folded name.
    pub people: BTreeMap<String, Person>,
    /// Past calls, newest first.
    pub history: Vec<PastCall>,
    /// There may be earlier ones.
    pub earlier: bool,
    /// Calls that were missed and not looked at yet.
    pub missed: u64,
    /// The call, while it rings, lives, or has just ended.
    pub call: Option<Call>,
    /// One sentence for the person, until it is dismissed or replaced.
    pub notice: Option<Notice>,
}

/// Whether this device belongs to somebody yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Access {
    /// Nobody: a link is asked for.
    #[default]
    Welcome,
    /// Registering or logging in.
    Joining,
    /// An enrolled device.
    Member {
        /// The person's name.
        name: String,
        /// The relay's host.
        host: String,
        /// The relay's link, without an invite.
        link: String,
    },
}

/// How things stand with the relay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Connection {
    /// Not there yet.
    #[default]
    Connecting,
    /// Calls come and go.
    Online,
    /// Nothing has been heard for some seconds; nobody has closed it yet.
    Silent,
    /// Gone; it is being looked for.
    Lost(String),
    /// For good: the relay no longer lets this device in.
    Refused(String),
}

/// How a notice should look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Good to know.
    Info,
    /// Something failed.
    Problem,
}

/// One sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What happened, and what to do.
    pub text: String,
    /// How it should look.
    pub tone: Tone,
}

/// A call as the person sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Which.
    pub id: CallId,
    /// With whom.
    pub peer: String,
    /// Where it stands.
    pub phase: Phase,
    /// This person's microphone is off.
    pub muted: bool,
    /// This person's camera is off.
    pub camera_off: bool,
    /// The other person's microphone is off.
    pub peer_muted: bool,
    /// The other person's camera is off.
    pub peer_camera_off: bool,
    /// The other side has a camera, or something in its place, as it said when it accepted or called.
    pub peer_sends_pictures: bool,
    /// The other side is not heard by the relay.
    pub peer_silent: bool,
    /// The newest figures.
    pub live: Option<Live>,
}

/// Where a call stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// This person calls; `devices` of the other one ring, once the relay has said so.
    RingingOut {
        /// How many devices ring.
        devices: Option<u32>,
    },
    /// Somebody calls.
    RingingIn,
    /// Accepted here; the relay has not confirmed yet.
    Connecting,
    /// Since when.
    Live(Timestamp),
    /// Over, and why, in a sentence; can be called again.
    Over(String),
}

impl Call {
    /// A call that begins.
    pub fn new(id: CallId, peer: String, phase: Phase) -> Self {
        Self {
            id,
            peer,
            phase,
            muted: false,
            camera_off: false,
            peer_muted: false,
            peer_camera_off: false,
            peer_sends_pictures: true,
            peer_silent: false,
            live: None,
        }
    }

    /// It rings, connects or lives.
    pub const fn going(&self) -> bool {
        !matches!(self.phase, Phase::Over(_))
    }

    /// It is live.
    pub const fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Live(_))
    }
}

impl Notice {
    /// Good to know.
    pub fn info(text: impl Into<String>) -> Self {
        Self { text: text.into(), tone: Tone::Info }
    }

    /// Something failed.
    pub fn problem(text: impl Into<String>) -> Self {
        Self { text: text.into(), tone: Tone::Problem }
    }
}

/// What the engine should do about news, beyond showing it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Duty {
    /// Get camera and microphone ready for a call that rings in.
    Prepare(CallId),
    /// The call that crossed another one goes on under that one's id, with the media that it has.
    GoOnAs(CallId),
    /// Media flows: tell the other side what is switched off.
    WentLive,
    /// Let go of the call's media.
    Release(CallId),
    /// The history has changed.
    RefreshHistory,
    /// Presence has to be asked for again.
    RefreshPeople,
    /// Nobody will hear any more: the connection is given up.
    GiveUp,
}

impl State {
    /// A call rings, connects or lives.
    pub fn in_call(&self) -> bool {
        self.call.as_ref().is_some_and(Call::going)
    }

    /// Takes news of the client at `now`, and answers what has to be done about it.
    pub fn handle(&mut self, event: Event, now: Timestamp) -> Vec<Duty> {
        match event {
            Event::Call(event) => self.handle_call(event, now),
            Event::People(people) => {
                self.merge(people);
                Vec::new()
            }
            Event::Silent(silent) => {
                self.connection = match (silent, &self.connection) {
                    (true, Connection::Online) => Connection::Silent,
                    (false, Connection::Silent) => Connection::Online,
                    _ => return Vec::new(),
                };
                Vec::new()
            }
            Event::Disconnected(reason) => {
                self.connection = Connection::Lost(sentence::in_window(&reason));
                Vec::new()
            }
            Event::Reconnected { missed } => {
                self.missed = u64::from(missed);
                self.connection = Connection::Online;
                vec![Duty::RefreshPeople, Duty::RefreshHistory]
            }
            Event::Refused(reason) => {
                self.connection = Connection::Refused(sentence::in_window(&reason));
                vec![Duty::GiveUp]
            }
        }
    }

    /// Takes a page of people, or a change.
    pub fn merge(&mut self, change: People) {
        self.people.extend(change.people.into_iter().map(|person| (fold_name(&person.name), person)));
        for name in &change.gone {
            self.people.remove(&fold_name(name));
        }
    }

    /// Takes the newest past calls; `all` if there are no earlier ones. Those that are known from before stay.
    pub fn newest_calls(&mut self, mut calls: Vec<PastCall>, all: bool) {
        let oldest = calls.last().map_or(0, |call| call.began_ms);
        let before = std::mem::take(&mut self.history);
        let known = calls.len();
        if !all {
            calls.extend(before.into_iter().filter(|call| call.began_ms < oldest));
        }
        // Known earlier ones were asked for, with their own answer to whether there are more.
        self.earlier = !all && (calls.len() == known || self.earlier);
        self.history = calls;
    }

    /// Takes past calls before those that are known; `all` if there are none before them.
    pub fn earlier_calls(&mut self, calls: Vec<PastCall>, all: bool) {
        let oldest = self.history.last().map_or(u64::MAX, |call| call.began_ms);
        self.history.extend(calls.into_iter().filter(|call| call.began_ms < oldest));
        self.earlier = !all;
    }

    fn handle_call(&mut self, event: CallEvent, now: Timestamp) -> Vec<Duty> {
        match event {
            CallEvent::RingingOut { call, devices } => {
                if let Some(known) = self.known(call)
                    && matches!(known.phase, Phase::RingingOut { .. })
                {
                    known.phase = Phase::RingingOut { devices: Some(devices) };
                }
                Vec::new()
            }
            CallEvent::Incoming { call, caller, .. } => self.handle_incoming(call, caller),
            CallEvent::Connected(connected) => {
                let known = self
                    .call
                    .get_or_insert_with(|| Call::new(connected.call, connected.peer.clone(), Phase::Connecting));
                known.peer_sends_pictures = connected.received.iter().any(|stream| stream.kind == StreamKind::Camera);
                (known.id, known.peer) = (connected.call, connected.peer);
                known.peer_silent = false;
                if !known.is_live() {
                    known.phase = Phase::Live(now);
                }
                vec![Duty::WentLive]
            }
            CallEvent::PeerSilent { call, silent } => {
                if let Some(known) = self.known(call) {
                    known.peer_silent = silent;
                }
                Vec::new()
            }
            CallEvent::Peer { call, message, .. } => {
                if let (Some(known), Some(peer::Body::MediaState(state))) = (self.known(call), message.body) {
                    (known.peer_muted, known.peer_camera_off) = (state.muted, state.camera_off);
                }
                Vec::new()
            }
            CallEvent::FramesDropped(_) => Vec::new(),
            CallEvent::Ended { call, goes_on_as: Some(survivor), .. } => {
                let Some(known) = self.known(call) else { return Vec::new() };
                (known.id, known.phase) = (survivor, Phase::Connecting);
                vec![Duty::GoOnAs(survivor)]
            }
            CallEvent::Ended { call, peer, reason, missed, .. } => self.handle_end(call, &peer, reason, missed),
        }
    }

    fn handle_incoming(&mut self, call: CallId, caller: String) -> Vec<Duty> {
        // In a call, either this person calls the caller at this moment, which becomes one call, or the relay has told
        // the caller that they are busy, and says so next.
        if self.in_call() {
            return Vec::new();
        }
        self.call = Some(Call::new(call, caller, Phase::RingingIn));
        vec![Duty::Prepare(call)]
    }

    fn handle_end(&mut self, call: CallId, peer: &str, reason: EndReason, missed: bool) -> Vec<Duty> {
        if missed {
            self.missed += 1;
        }
        let mut duties = vec![Duty::RefreshHistory];
        if let Some(known) = self.known(call) {
            let own = matches!(
                (&known.phase, reason),
                (Phase::RingingOut { .. }, EndReason::Cancelled) | (Phase::RingingIn, EndReason::Declined)
            );
            known.phase = Phase::Over(sentence::in_window(&sentence::ended(reason, peer).0));
            if own {
                // Whoever has just cancelled or declined need not be told so.
                self.call = None;
            }
            duties.push(Duty::Release(call));
        } else if missed {
            self.notice = Some(Notice::info(format!("{peer} called while you were in a call.")));
        }
        duties
    }

    fn known(&mut self, call: CallId) -> Option<&mut Call> {
        self.call.as_mut().filter(|known| known.id == call)
    }
}

#[cfg(test)]
mod tests {
    use visavis_proto::{
        ids::{DeviceKey, StreamId},
        signal::call::{Connected, Stream},
        wire::control::{MediaState, PeerMessage},
    };

    use super::*;

    const ME: CallId = CallId([1; 16]);
    const THEIRS: CallId = CallId([2; 16]);
    const DEVICE: DeviceKey = DeviceKey([7; 32]);

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_nanos(ms * 1_000_000)
    }

    fn incoming(call: CallId, caller: &str) -> Event {
        Event::Call(CallEvent::Incoming { call, caller: caller.into(), account: None })
    }

    fn connected(call: CallId, resumed: bool) -> Event {
        sending(call, &[], resumed)
    }

    /// The other side sends these.
    fn sending(call: CallId, kinds: &[StreamKind], resumed: bool) -> Event {
        let stream = |(number, &kind)| Stream { id: StreamId(u32::from(number)), index: number, kind };
        let (published, received) = (Vec::new(), (0u8..).zip(kinds).map(stream).collect());
        let peer = "bob".into();
        Event::Call(CallEvent::Connected(Connected { call, peer, device: DEVICE, published, received, resumed }))
    }

    fn ended(call: CallId, reason: EndReason) -> Event {
        let missed = reason == EndReason::Cancelled;
        Event::Call(CallEvent::Ended { call, peer: "bob".into(), reason, missed, goes_on_as: None })
    }

    fn crossed(call: CallId, survivor: CallId) -> Event {
        let (reason, goes_on_as) = (EndReason::Merged, Some(survivor));
        Event::Call(CallEvent::Ended { call, peer: "bob".into(), reason, missed: false, goes_on_as })
    }

    #[test]
    fn a_call_that_rings_in_is_prepared_lives_and_ends_with_a_sentence() {
        let mut state = State::default();
        assert_eq!(state.handle(incoming(ME, "bob"), at(0)), [Duty::Prepare(ME)]);
        assert_eq!(state.handle(connected(ME, false), at(10)), [Duty::WentLive]);
        assert_eq!(state.call.as_ref().map(|call| call.phase.clone()), Some(Phase::Live(at(10))));
        assert_eq!(state.handle(connected(ME, true), at(99)), [Duty::WentLive]);
        assert_eq!(state.call.as_ref().map(|call| call.phase.clone()), Some(Phase::Live(at(10))), "it went on");
        let duties = state.handle(ended(ME, EndReason::PeerHungUp), at(100));
        assert_eq!(duties, [Duty::RefreshHistory, Duty::Release(ME)]);
        assert_eq!(state.call.as_ref().map(|call| call.phase.clone()), Some(Phase::Over("bob hung up.".into())));
        assert!(!state.in_call());
    }

    #[test]
    fn two_who_call_each_other_keep_their_media_for_the_one_call() {
        let call = Call::new(ME, "Bob".into(), Phase::RingingOut { devices: None });
        let mut state = State { call: Some(call), ..State::default() };
        assert_eq!(state.handle(incoming(THEIRS, "bob"), at(0)), []);
        assert_eq!(state.handle(crossed(ME, THEIRS), at(1)), [Duty::GoOnAs(THEIRS)]);
        assert_eq!(state.handle(connected(THEIRS, false), at(2)), [Duty::WentLive]);
        assert_eq!(state.call.as_ref().map(|call| (call.id, call.is_live())), Some((THEIRS, true)));
    }

    #[test]
    fn a_crossed_call_may_end_before_it_is_connected() {
        let call = Call::new(ME, "Bob".into(), Phase::RingingOut { devices: None });
        let mut state = State { call: Some(call), ..State::default() };
        state.handle(incoming(THEIRS, "bob"), at(0));
        // The half that rang here is given up: this one goes on.
        state.handle(ended(THEIRS, EndReason::AnsweredElsewhere), at(1));
        assert!(state.in_call());
        state.handle(crossed(ME, THEIRS), at(1));
        assert!(state.in_call());
        let duties = state.handle(ended(THEIRS, EndReason::PeerLost), at(2));
        assert!(!state.in_call() && duties.contains(&Duty::Release(THEIRS)));
    }

    #[test]
    fn whoever_calls_during_a_call_was_missed() {
        let mut state = State::default();
        state.handle(incoming(ME, "alice"), at(0));
        state.handle(connected(ME, false), at(1));
        assert_eq!(state.handle(incoming(THEIRS, "bob"), at(2)), []);
        assert_eq!(state.handle(ended(THEIRS, EndReason::Cancelled), at(2)), [Duty::RefreshHistory]);
        assert_eq!((state.missed, state.in_call()), (1, true));
        assert_eq!(state.notice, Some(Notice::info("bob called while you were in a call.")));
        // What was missed while there was no connection is known as it comes back.
        state.handle(Event::Reconnected { missed: 3 }, at(4));
        assert_eq!(state.missed, 3);
    }

    #[test]
    fn the_other_sides_switches_and_silences_are_shown() {
        let mut state = State { connection: Connection::Online, ..State::default() };
        state.handle(incoming(ME, "bob"), at(0));
        state.handle(connected(ME, false), at(1));
        let message =
            PeerMessage { body: Some(peer::Body::MediaState(MediaState { muted: true, camera_off: true })) };
        state.handle(Event::Call(CallEvent::Peer { call: ME, device: DEVICE, message }), at(2));
        state.handle(Event::Call(CallEvent::PeerSilent { call: ME, silent: true }), at(3));
        state.handle(Event::Silent(true), at(4));
        let call = state.call.expect("a call");
        assert!(call.peer_muted && call.peer_camera_off && call.peer_silent);
        assert_eq!(state.connection, Connection::Silent);
        state.call = None;
        state.handle(Event::Silent(false), at(5));
        assert_eq!(state.connection, Connection::Online);
    }

    #[test]
    fn ones_own_cancel_and_decline_need_no_reading() {
        let call = Call::new(ME, "Bob".into(), Phase::RingingOut { devices: None });
        let mut state = State { call: Some(call), ..State::default() };
        assert!(state.handle(ended(ME, EndReason::Cancelled), at(0)).contains(&Duty::Release(ME)));
        assert_eq!(state.call, None);
        state.handle(incoming(THEIRS, "bob"), at(1));
        state.handle(ended(THEIRS, EndReason::Declined), at(2));
        assert_eq!(state.call, None);
        state.handle(incoming(ME, "bob"), at(3));
        state.handle(ended(ME, EndReason::Cancelled), at(4));
        assert!(state.call.is_some_and(|call| !call.going()), "somebody else's is told");
    }

    #[test]
    fn earlier_calls_are_kept_as_new_ones_come() {
        let calls = |began: std::ops::RangeInclusive<u64>| -> Vec<PastCall> {
            began.rev().map(|began_ms| PastCall { began_ms, ..PastCall::default() }).collect()
        };
        let began = |state: &State| state.history.iter().map(|call| call.began_ms).collect::<Vec<_>>();
        let mut state = State::default();
        state.newest_calls(calls(7..=9), false);
        assert!(state.earlier);
        state.earlier_calls(calls(4..=6), true);
        assert_eq!((began(&state), state.earlier), (vec![9, 8, 7, 6, 5, 4], false));
        state.newest_calls(calls(8..=10), false);
        assert_eq!((began(&state), state.earlier), (vec![10, 9, 8, 7, 6, 5, 4], false));
        state.newest_calls(calls(1..=2), true);
        assert_eq!((began(&state), state.earlier), (vec![2, 1], false), "another account, or a relay set up anew");
    }

    #[test]
    fn whether_pictures_are_to_be_waited_for_is_known_as_the_call_goes_live() {
        for (kinds, pictures) in [
            (&[StreamKind::Microphone, StreamKind::Camera][..], true),
            (&[StreamKind::Microphone], false),
            (&[StreamKind::Camera], true),
        ] {
            let mut state = State::default();
            state.handle(incoming(ME, "bob"), at(0));
            state.handle(sending(ME, kinds, false), at(1));
            assert_eq!(state.call.map(|call| call.peer_sends_pictures), Some(pictures), "{kinds:?}");
        }
    }

    #[test]
    fn people_are_one_person_whatever_the_case_of_their_name() {
        let mut state = State::default();
        let person = |name: &str, online| Person { name: name.into(), online, ..Person::default() };
        state.merge(People { people: vec![person("Bob", false), person("carol", true)], ..People::default() });
        state.merge(People { people: vec![person("bob", true)], gone: vec!["Carol".into()], more: false });
        let names: Vec<_> = state.people.values().map(|person| (person.name.as_str(), person.online)).collect();
        assert_eq!(names, [("bob", true)]);
    }
}
