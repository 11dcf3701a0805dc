//! What is the matter with the camera, what to tell the person, and when to try again. Pure: time is an argument.
//!
//! ```text
//! Opening -> Live <-> Black, Frozen, Damaged      the helper runs
//!    ^         |
//!    |         v
//!    +-- Busy, Vanished, Refused, Stuck, Crowded, Unusable, Failing, Crashed    it is ended, and started again after a while
//! ```
//!
//! Every state but Live shows a placeholder, and every one leads back to Live by itself.

use std::time::Duration;

use visavis_proto::time::Timestamp;

use super::{look::Look, serve::Failure};

/// What the camera is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// None is chosen, and none is open.
    Off,
    /// Being opened.
    Opening,
    /// Pictures come.
    Live,
    /// Another program has it.
    Busy,
    /// It was unplugged, or its program ended.
    Vanished,
    /// This person may not use it.
    Refused,
    /// Pictures come, and are black.
    Black,
    /// The same picture comes over and over.
    Frozen,
    /// Frames come, and cannot be shown.
    Damaged,
    /// It does not answer, or sends nothing.
    Stuck,
    /// Its bus has no room for its pictures.
    Crowded,
    /// It has no format that we understand.
    Unusable,
    /// It fails in some other way.
    Failing,
    /// The helper died of the driver.
    Crashed,
}

impl State {
    /// One sentence for the person about the camera of this name: what happened, and what to do. `None` while all is
    /// well.
    #[must_use]
    pub fn sentence(self, camera: Option<&str>) -> Option<String> {
        let (name, begin) = (camera.unwrap_or("the camera"), camera.unwrap_or("The camera"));
        Some(match self {
            Self::Live | Self::Off => return None,
            Self::Opening => format!("{begin} is starting."),
            Self::Busy => {
                format!("{begin} is used by another program: close that one, and your picture comes back.")
            }
            Self::Vanished if camera.is_none() => {
                "There is no camera: plug one in, or start the program behind it, and your picture comes.".to_owned()
            }
            Self::Vanished => {
                format!("{begin} is gone: plug it in, or start the program behind it, and your picture comes back.")
            }
            Self::Refused => format!(
                "You may not use {name}: ask for access to it (on Linux, membership in the group \"video\"), and your \
                 picture comes back."
            ),
            Self::Black => {
                format!(
                    "{begin} sends only black: open its cover, or turn on its source, and your picture comes back."
                )
            }
            Self::Frozen => format!(
                "{begin} sends the same picture over and over: check the app or phone behind it, or plug it in again."
            ),
            Self::Damaged => {
                format!("{begin} sends damaged pictures: plug it in again, with another cable or at another port.")
            }
            Self::Stuck => {
                format!("{begin} does not answer: it is started again; if that does not help, plug it in again.")
            }
            Self::Crowded => format!(
                "{begin} finds no room on its USB bus: plug it in at another port, or unplug other cameras, and your \
                 picture comes back."
            ),
            Self::Failing => format!(
                "{begin} fails: plug it in again, or start the program behind it anew; if that does not help, choose \
                 another camera."
            ),
            Self::Unusable => format!(
                "{begin} has no kind of picture that can be used here: choose another camera, or another mode in its app."
            ),
            Self::Crashed => {
                format!("The driver of {name} crashed: it is started again; if that repeats, choose another camera.")
            }
        })
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The helper was started.
    Started,
    /// It opened the camera, which gives a frame in each such time.
    Opened(Duration),
    /// It delivered a picture.
    Picture(Look),
    /// It got a frame that cannot be shown.
    Damaged,
    /// It gave up.
    Failed(Failure),
    /// It ended without a word, or could not be started.
    Died,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Start a helper.
    Start,
    /// Kill the helper.
    Kill,
}

/// Why [`Watch::timeout`] is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Try again.
    Retry,
    /// The camera should have opened by now.
    Opening,
    /// A frame should have come by now.
    NoFrame,
}

/// Watches over one camera.
#[derive(Debug)]
pub struct Watch {
    state: State,
    deadline: (Timestamp, Reason),
    /// Grows with every failure in a row.
    failures: u32,
    frame_patience: Duration,
    /// When the camera last began to be well.
    live_since: Option<Timestamp>,
    black_since: Option<Timestamp>,
    same_since: Option<(u64, Timestamp)>,
    damaged: u32,
    action: Option<Action>,
    begun: Timestamp,
}

/// The helper before, of the same camera in another mode, was killed a moment ago: drivers take up to some tenths of a
/// second to stop for it. For so long, a camera that is busy is not told but asked again, that often.
const LETTING_GO: Duration = Duration::from_secs(1);
const RETRY_LETTING_GO: Duration = Duration::from_millis(100);

/// Opening takes a webcam up to two seconds, and so does its first frame; either may take this long.
const OPENING: Duration = Duration::from_secs(6);

/// A frame that is this late will not come: the shortest patience, and in frames. Autoexposure in the dark halves rates.
const FRAME_PATIENCE: Duration = Duration::from_secs(2);
const FRAME_PATIENCE_FRAMES: u32 = 8;

/// Black for this long is no cut between scenes and no autoexposure.
const BLACK_FOR: Duration = Duration::from_secs(2);

/// The same picture for this long is no slow source: screens as cameras repeat a frame for a second or two.
const FROZEN_FOR: Duration = Duration::from_secs(5);

/// So many damaged frames in a row are no accident: a second of them.
const DAMAGED_IN_A_ROW: u32 = 30;

/// The first retry after a crash or a hang, doubled each time up to the longest.
const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_LONGEST: Duration = Duration::from_secs(8);

/// What a person does something about is asked for at this steady pace: soon enough to seem at once.
const RETRY_STEADY: Duration = Duration::from_secs(1);

/// A camera that was well for this long has its failures forgiven.
const FORGIVEN: Duration = Duration::from_secs(10);

impl Watch {
    /// Begins with a helper to be started.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self {
            state: State::Opening,
            deadline: (now + OPENING, Reason::Opening),
            failures: 0,
            frame_patience: FRAME_PATIENCE,
            live_since: None,
            black_since: None,
            same_since: None,
            damaged: 0,
            action: Some(Action::Start),
            begun: now,
        }
    }

    /// What the camera is doing.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// What is to be done now.
    pub fn poll(&mut self) -> Option<Action> {
        self.action.take()
    }

    /// When to call [`Self::handle_timeout`], and why.
    #[must_use]
    pub fn timeout(&self) -> (Timestamp, Reason) {
        self.deadline
    }

    /// Something happened.
    pub fn handle(&mut self, event: Event, now: Timestamp) {
        match event {
            Event::Started => self.deadline = (now + OPENING, Reason::Opening),
            Event::Opened(interval) => {
                self.frame_patience = FRAME_PATIENCE.max(interval * FRAME_PATIENCE_FRAMES);
                self.deadline = (now + OPENING, Reason::NoFrame);
            }
            Event::Picture(look) => self.picture(look, now),
            Event::Damaged => {
                self.deadline = (now + self.frame_patience, Reason::NoFrame);
                self.damaged += 1;
                if self.damaged >= DAMAGED_IN_A_ROW {
                    self.state = State::Damaged;
                }
            }
            Event::Failed(Failure::Busy) if self.state == State::Opening && now.since(self.begun) < LETTING_GO => {
                self.deadline = (now + RETRY_LETTING_GO, Reason::Retry);
                self.action = Some(Action::Kill);
            }
            Event::Failed(failure) => self.fail(
                match failure {
                    Failure::Busy => State::Busy,
                    Failure::Gone => State::Vanished,
                    Failure::Refused => State::Refused,
                    Failure::Silent => State::Stuck,
                    Failure::NoFormat => State::Unusable,
                    Failure::NoRoom => State::Crowded,
                    Failure::Other(_) => State::Failing,
                },
                now,
            ),
            Event::Died => self.fail(State::Crashed, now),
        }
    }

    /// The time of [`Self::timeout`] has come.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        if now < self.deadline.0 {
            return;
        }
        match self.deadline.1 {
            // The sentence stays until something better is known.
            Reason::Retry => {
                self.deadline = (now + OPENING, Reason::Opening);
                self.action = Some(Action::Start);
            }
            Reason::Opening | Reason::NoFrame => self.fail(State::Stuck, now),
        }
    }

    fn picture(&mut self, look: Look, now: Timestamp) {
        self.deadline = (now + self.frame_patience, Reason::NoFrame);
        self.damaged = 0;
        let black_since = look.black.then(|| self.black_since.unwrap_or(now));
        let same_since = match self.same_since {
            Some((digest, since)) if digest == look.digest => since,
            _ => now,
        };
        self.black_since = black_since;
        self.same_since = Some((look.digest, same_since));
        // A black picture does not change either: black says more.
        let black_long = black_since.is_some_and(|since| now.since(since) >= BLACK_FOR);
        let was_black = self.state == State::Black && look.black;
        self.state = if black_long || was_black {
            State::Black
        } else if !look.black && now.since(same_since) >= FROZEN_FOR {
            State::Frozen
        } else if look.black && self.state != State::Live {
            // After an error, black is not yet a picture that came back.
            self.state
        } else {
            State::Live
        };
        if self.state == State::Live {
            let since = *self.live_since.get_or_insert(now);
            if now.since(since) >= FORGIVEN {
                self.failures = 0;
            }
        }
    }

    /// The helper is of no more use; another is started after a while.
    fn fail(&mut self, state: State, now: Timestamp) {
        let wait = match state {
            State::Stuck | State::Crashed | State::Unusable | State::Failing => {
                RETRY_FIRST.saturating_mul(1 << self.failures.min(8)).min(RETRY_LONGEST)
            }
            _ => RETRY_STEADY,
        };
        self.failures += 1;
        (self.state, self.deadline) = (state, (now + wait, Reason::Retry));
        (self.live_since, self.black_since, self.same_since, self.damaged) = (None, None, None, 0);
        self.action = Some(Action::Kill);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Duration = Duration::from_millis(33);

    struct Run {
        watch: Watch,
        now: Timestamp,
    }

    impl Run {
        fn live() -> Self {
            let now = Timestamp::from_micros(1_000_000);
            let mut run = Self { watch: Watch::new(now), now };
            assert_eq!(run.watch.poll(), Some(Action::Start));
            run.watch.handle(Event::Opened(FRAME), now);
            run.pictures(Duration::from_secs(1), |number| Look { black: false, digest: number });
            assert_eq!(run.watch.state(), State::Live);
            run
        }

        fn pictures(&mut self, time: Duration, look: impl Fn(u64) -> Look) {
            let end = self.now + time;
            for number in 0.. {
                if self.now >= end {
                    return;
                }
                self.now += FRAME;
                self.watch.handle(Event::Picture(look(number)), self.now);
            }
        }

        fn wait(&mut self) -> Reason {
            let (at, reason) = self.watch.timeout();
            self.now = at;
            self.watch.handle_timeout(at);
            reason
        }
    }

    #[test]
    fn every_failure_leads_back_to_a_picture() {
        let failures = [
            (Event::Failed(Failure::Busy), State::Busy),
            (Event::Failed(Failure::Gone), State::Vanished),
            (Event::Failed(Failure::Refused), State::Refused),
            (Event::Failed(Failure::Silent), State::Stuck),
            (Event::Failed(Failure::NoFormat), State::Unusable),
            (Event::Failed(Failure::NoRoom), State::Crowded),
            (Event::Failed(Failure::Other("input/output error".into())), State::Failing),
            (Event::Died, State::Crashed),
        ];
        for (event, state) in failures {
            let mut run = Run::live();
            run.watch.handle(event, run.now);
            assert_eq!((run.watch.state(), run.watch.poll()), (state, Some(Action::Kill)));
            assert_eq!((run.wait(), run.watch.poll()), (Reason::Retry, Some(Action::Start)));
            assert_eq!(run.watch.state(), state, "the sentence stays while it is tried again");
            run.watch.handle(Event::Opened(FRAME), run.now);
            run.pictures(FRAME, |digest| Look { black: false, digest });
            assert_eq!(run.watch.state(), State::Live);
        }
    }

    #[test]
    fn a_camera_that_the_helper_before_lets_go_of_is_not_told_as_busy() {
        let mut now = Timestamp::from_micros(1_000_000);
        let mut watch = Watch::new(now);
        assert_eq!(watch.poll(), Some(Action::Start));
        let end = now + LETTING_GO;
        while now < end {
            watch.handle(Event::Failed(Failure::Busy), now);
            assert_eq!((watch.state(), watch.poll()), (State::Opening, Some(Action::Kill)));
            now = watch.timeout().0;
            watch.handle_timeout(now);
            assert_eq!(watch.poll(), Some(Action::Start));
        }
        watch.handle(Event::Failed(Failure::Busy), now);
        assert_eq!(watch.state(), State::Busy, "somebody else has it");
    }

    #[test]
    fn a_camera_that_falls_silent_is_killed_and_tried_ever_more_slowly() {
        let mut run = Run::live();
        assert_eq!(run.wait(), Reason::NoFrame);
        assert_eq!((run.watch.state(), run.watch.poll()), (State::Stuck, Some(Action::Kill)));
        let mut waits = Vec::new();
        for _ in 0..8 {
            let before = run.now;
            assert_eq!((run.wait(), run.watch.poll()), (Reason::Retry, Some(Action::Start)));
            waits.push(run.now.since(before));
            assert_eq!((run.wait(), run.watch.poll()), (Reason::Opening, Some(Action::Kill)));
        }
        assert!(waits.is_sorted());
        assert_eq!((waits[0], waits[7]), (RETRY_FIRST, RETRY_LONGEST));
    }

    #[test]
    fn black_and_frozen_are_told_and_end_with_the_first_good_picture() {
        let mut run = Run::live();
        run.pictures(Duration::from_secs(1), |_| Look { black: true, digest: 1 });
        assert_eq!(run.watch.state(), State::Live, "a moment of black is none");
        run.pictures(Duration::from_secs(2), |_| Look { black: true, digest: 1 });
        assert_eq!(run.watch.state(), State::Black);
        run.pictures(Duration::from_secs(6), |_| Look { black: false, digest: 2 });
        assert_eq!(run.watch.state(), State::Frozen);
        run.pictures(FRAME, |_| Look { black: false, digest: 3 });
        assert_eq!(run.watch.state(), State::Live);
        assert_eq!(run.watch.poll(), None, "nothing was restarted for that");
    }

    #[test]
    fn damaged_frames_are_told_when_they_do_not_stop() {
        let mut run = Run::live();
        for _ in 0..DAMAGED_IN_A_ROW {
            assert_eq!(run.watch.state(), State::Live);
            run.now += FRAME;
            run.watch.handle(Event::Damaged, run.now);
        }
        assert_eq!(run.watch.state(), State::Damaged);
        run.pictures(FRAME, |digest| Look { black: false, digest });
        assert_eq!(run.watch.state(), State::Live);
    }

    #[test]
    fn every_trouble_has_a_sentence() {
        use State::{
            Black, Busy, Crashed, Crowded, Damaged, Failing, Frozen, Opening, Refused, Stuck, Unusable, Vanished,
        };
        let failed = [Busy, Vanished, Refused, Stuck, Crowded, Unusable, Failing, Crashed];
        for state in [Opening, Black, Frozen, Damaged].into_iter().chain(failed) {
            let about = |camera| state.sentence(camera).expect("a sentence");
            assert!(about(Some("Desk camera")).contains("Desk camera"));
            let nameless = about(None);
            assert!(nameless.starts_with(char::is_uppercase) && nameless.contains("camera"), "{nameless}");
        }
        assert_eq!([State::Live, State::Off].map(|state| state.sentence(Some("Desk camera"))), [None, None]);
    }
}
