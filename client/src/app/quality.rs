//! How good a call is, in words. Pure: figures in, one sentence out.

use super::state::{Call, Connection};
use crate::stats::collector::{Live, STAGES};

/// How it feels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing to say.
    Good,
    /// One notices.
    Fair,
    /// It disturbs.
    Poor,
    /// Nothing comes through.
    Gone,
}

/// A level and its cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quality {
    /// How it feels.
    pub level: Level,
    /// The cause, in words.
    pub cause: String,
}

/// Above this share of lost packets every second picture or so is hurt (a picture is about ten packets).
const LOSS_POOR: f64 = 0.05;

/// Above this, one picture in ten.
const LOSS_FAIR: f64 = 0.01;

/// Conversation turns awkward above 150 ms one way (ITU-T G.114), and is hard above 400 ms.
const DELAY_FAIR_MS: f64 = 150.0;

/// See [`DELAY_FAIR_MS`].
const DELAY_POOR_MS: f64 = 400.0;

/// A picture rate below this is seen as jerky; 15 is what one who wants few may choose.
const FPS_FAIR: f64 = 13.0;

/// Below this, nobody's camera goes.
const FPS_HARDLY: f64 = 3.0;

/// Seconds of a call after which a picture should have come: a slow camera opens in less.
const WAITED_S: f64 = 5.0;

/// Share of one's own pictures that the encoder leaves out, or of the other's that the window does. One of thirty in a second is a moment of other work, and
/// nobody sees it; at one in ten the encoder needs longer than the camera's interval, so that every picture waits as well.
const SKIPPED_FAIR: f64 = 0.1;

/// The stages on the way to the relay and from it, as indices into [`STAGES`].
const RELAY: usize = 2;

/// See [`RELAY`].
const RECEIVE: usize = 3;

/// What a person should know about a live call; the worst cause first.
pub fn of(call: &Call, connection: &Connection) -> Quality {
    let say = |level, cause: &str| Quality { level, cause: cause.to_owned() };
    if matches!(connection, Connection::Lost(_)) {
        return say(Level::Gone, "Your connection was lost: reconnecting …");
    }
    if *connection == Connection::Silent {
        return say(Level::Gone, "The relay is not heard: waiting …");
    }
    if call.peer_silent {
        return Quality { level: Level::Gone, cause: format!("{} cannot be heard: waiting for them …", call.peer) };
    }
    let Some(live) = &call.live else { return say(Level::Good, "Connected") };
    let pictures = live.fps > 0.0;
    let delay = live.delay_ms;
    let skipped = live.sent.skipped.unwrap_or_default();
    match () {
        () if live.loss >= LOSS_POOR => lossy(live, Level::Poor),
        () if pictures && delay >= DELAY_POOR_MS => slow(live, Level::Poor),
        () if live.loss >= LOSS_FAIR => lossy(live, Level::Fair),
        () if pictures && delay >= DELAY_FAIR_MS => slow(live, Level::Fair),
        () if live.fps == 0.0 && call.peer_sends_pictures && !call.peer_camera_off && live.seconds >= WAITED_S => {
            say(Level::Poor, "No pictures arrive")
        }
        () if skipped >= SKIPPED_FAIR => {
            let cause =
                format!("Your computer is too slow to send every picture ({:.0} % left out)", skipped * 100.0);
            Quality { level: Level::Fair, cause }
        }
        () if live.superseded.is_some_and(|share| share >= SKIPPED_FAIR) => {
            let share = live.superseded.unwrap_or_default() * 100.0;
            let cause = format!("This computer is too slow to show every picture ({share:.0} % left out)");
            Quality { level: Level::Fair, cause }
        }
        () if pictures && live.fps < FPS_HARDLY => {
            // As the placeholder comes that is sent in the place of a camera that does not work.
            Quality { level: Level::Fair, cause: format!("{} sends hardly any pictures", call.peer) }
        }
        () if pictures && live.fps < FPS_FAIR => {
            Quality { level: Level::Fair, cause: format!("Few pictures arrive ({:.0} a second)", live.fps) }
        }
        () => say(Level::Good, "Good connection"),
    }
}

fn lossy(live: &Live, level: Level) -> Quality {
    Quality { level, cause: format!("The network loses packets ({:.0} %)", live.loss * 100.0) }
}

/// Who is slow, as far as it can be known: the stages at the sender and at the receiver are measured by one clock each,
/// those between them by two.
fn slow(live: &Live, level: Level) -> Quality {
    let stage = slowest(live);
    let cause = match STAGES[stage] {
        "encode" => "Their computer is slow: the picture is late",
        "send" => "Their side is slow to send: the picture is late",
        "decode" | "present" => "This computer is slow: the picture is late",
        _ if is_far(live, stage) => "The relay is far from you: the picture takes long",
        "receive" if is_ours(live) => "Your network is slow: the picture is late",
        _ => "The network is slow: the picture is late",
    };
    Quality { level, cause: cause.to_owned() }
}

/// Distance makes up at least half of that stage: the shortest way from the relay, which has no queue in it, is so long.
fn is_far(live: &Live, stage: usize) -> bool {
    live.bound_ms.is_some_and(|one_way_ms| one_way_ms >= live.stages_ms[stage] / 2.0)
}

/// The way from the relay is slower than the one to it by more than this device's clock may be off.
fn is_ours(live: &Live) -> bool {
    live.bound_ms.is_some_and(|bound_ms| live.stages_ms[RECEIVE] - live.stages_ms[RELAY] > bound_ms)
}

/// The stage that takes longest, as an index into [`STAGES`].
pub fn slowest(live: &Live) -> usize {
    let by_time = |&a: &usize, &b: &usize| live.stages_ms[a].total_cmp(&live.stages_ms[b]);
    (0..STAGES.len()).max_by(by_time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use visavis_proto::{ids::CallId, time::Timestamp};

    use super::*;
    use crate::{app::state::Phase, stats::collector::Sending};

    fn call(live: Option<Live>) -> Call {
        let phase = Phase::Live(Timestamp::from_nanos(1));
        Call { live, ..Call::new(CallId([1; 16]), "bob".into(), phase) }
    }

    fn live(delay_ms: f64, fps: f64, loss: f64, slow_stage: usize) -> Live {
        let mut stages_ms = [1.0; 6];
        stages_ms[slow_stage] = delay_ms;
        Live { seconds: 1.0, delay_ms, stages_ms, fps, bitrate_bps: 1e6, loss, ..Live::default() }
    }

    #[test]
    fn each_cause_has_its_words() {
        let online = Connection::Online;
        let level_and = |figures| {
            let quality = of(&call(Some(figures)), &online);
            (quality.level, quality.cause)
        };
        assert_eq!(level_and(live(20.0, 30.0, 0.0, 0)).0, Level::Good);
        assert!(level_and(live(20.0, 30.0, 0.1, 0)).1.contains("loses packets (10 %)"));
        assert!(level_and(live(200.0, 30.0, 0.0, 0)).1.contains("Their computer"));
        assert!(level_and(live(200.0, 30.0, 0.0, 4)).1.contains("This computer"));
        assert_eq!(
            level_and(live(500.0, 30.0, 0.02, 2)),
            (Level::Poor, "The network is slow: the picture is late".into())
        );
        assert!(level_and(live(200.0, 30.0, 0.0, 1)).1.contains("Their side"));
        assert!(level_and(live(20.0, 8.0, 0.0, 0)).1.contains("Few pictures arrive (8"));
        assert_eq!(level_and(live(20.0, 15.0, 0.0, 0)).0, Level::Good, "as somebody has chosen");
        assert!(level_and(live(20.0, 1.0, 0.0, 0)).1.contains("bob sends hardly any pictures"));
        assert_eq!(level_and(live(0.0, 0.0, 0.0, 0)).0, Level::Good, "the first picture is on its way");
    }

    #[test]
    fn pictures_that_do_not_come_are_told_unless_none_is_sent() {
        let mut call = call(Some(Live { seconds: 9.0, ..live(0.0, 0.0, 0.0, 0) }));
        let quality = of(&call, &Connection::Online);
        assert_eq!((quality.level, quality.cause.as_str()), (Level::Poor, "No pictures arrive"));
        call.peer_camera_off = true;
        assert_eq!(of(&call, &Connection::Online).level, Level::Good);
        (call.peer_camera_off, call.peer_sends_pictures) = (false, false);
        assert_eq!(of(&call, &Connection::Online).level, Level::Good);
    }

    #[test]
    fn a_slow_way_from_the_relay_is_a_queue_or_a_distance() {
        let cause = |stage, bound_ms| {
            let figures = Live { bound_ms, ..live(200.0, 30.0, 0.0, stage) };
            of(&call(Some(figures)), &Connection::Online).cause
        };
        assert!(cause(RECEIVE, Some(10.0)).contains("Your network is slow"));
        assert!(cause(RECEIVE, Some(120.0)).contains("The relay is far"));
        assert!(cause(RELAY, Some(10.0)).contains("The network is slow"), "whose is not known");
        assert!(cause(RECEIVE, None).contains("The network is slow"), "without a clock nothing is claimed");
        let mut both = live(300.0, 30.0, 0.0, RECEIVE);
        (both.stages_ms[RELAY], both.stages_ms[RECEIVE], both.bound_ms) = (145.0, 150.0, Some(10.0));
        let cause = of(&call(Some(both)), &Connection::Online).cause;
        assert!(cause.contains("The network is slow"), "the clocks may be off by more than that: {cause}");
    }

    #[test]
    fn pictures_that_are_left_out_here_are_this_computers_fault() {
        let with = |skipped, delay_ms| {
            let sent = Sending { skipped, ..Sending::default() };
            of(&call(Some(Live { sent, ..live(delay_ms, 30.0, 0.0, 0) })), &Connection::Online)
        };
        assert_eq!(with(Some(1.0 / 30.0), 20.0).level, Level::Good, "a moment of other work");
        let slow = with(Some(0.25), 20.0);
        assert_eq!(slow.level, Level::Fair);
        assert!(slow.cause.contains("too slow to send") && slow.cause.contains("25 %"), "{}", slow.cause);
        let hidden = Live { superseded: Some(0.4), ..live(20.0, 18.0, 0.0, 0) };
        let hidden = of(&call(Some(hidden)), &Connection::Online);
        assert!(hidden.cause.contains("too slow to show") && hidden.cause.contains("40 %"), "{}", hidden.cause);
        assert!(with(Some(0.25), 500.0).cause.contains("Their computer"), "what disturbs more comes first");
        assert_eq!(with(None, 20.0).level, Level::Good);
    }

    #[test]
    fn silence_outranks_figures() {
        let mut silent = call(Some(live(20.0, 30.0, 0.5, 0)));
        silent.peer_silent = true;
        assert_eq!(of(&silent, &Connection::Online).level, Level::Gone);
        assert!(of(&silent, &Connection::Lost("x".into())).cause.contains("reconnecting"));
    }
}
