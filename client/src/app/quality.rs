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

/// A picture rate below this is seen as jerky.
const FPS_FAIR: f64 = 20.0;

/// What a person should know about a live call; the worst cause first.
pub fn of(call: &Call, connection: &Connection) -> Quality {
    let say = |level, cause: &str| Quality { level, cause: cause.to_owned() };
    if matches!(connection, Connection::Lost(_)) {
        return say(Level::Gone, "Your connection was lost: reconnecting …");
    }
    if call.relay_silent {
        return say(Level::Gone, "Your network is silent: waiting for it …");
    }
    if call.peer_silent {
        return Quality { level: Level::Gone, cause: format!("{} cannot be heard: waiting for them …", call.peer) };
    }
    let Some(live) = &call.live else { return say(Level::Good, "Connected") };
    let pictures = live.fps > 0.0;
    let delay = live.delay_ms;
    match () {
        () if live.loss >= LOSS_POOR => Quality {
            level: Level::Poor,
            cause: format!("The network loses {:.0} % of the packets", live.loss * 100.0),
        },
        () if pictures && delay >= DELAY_POOR_MS => slow(live, Level::Poor),
        () if live.loss >= LOSS_FAIR => Quality {
            level: Level::Fair,
            cause: format!("The network loses {:.0} % of the packets", live.loss * 100.0),
        },
        () if pictures && delay >= DELAY_FAIR_MS => slow(live, Level::Fair),
        () if pictures && live.fps < FPS_FAIR => {
            Quality { level: Level::Fair, cause: format!("Only {:.0} pictures a second arrive", live.fps) }
        }
        () => say(Level::Good, "Good connection"),
    }
}

fn slow(live: &Live, level: Level) -> Quality {
    let cause = match STAGES[slowest(live)] {
        "encode" => "Their computer is slow: the picture is late",
        "decode" | "present" => "This computer is slow: the picture is late",
        _ => "The network is slow: the picture is late",
    };
    Quality { level, cause: cause.to_owned() }
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
    use crate::app::state::Phase;

    fn call(live: Option<Live>) -> Call {
        let phase = Phase::Live(Timestamp::from_nanos(1));
        Call { live, ..Call::new(CallId([1; 16]), "bob".into(), phase) }
    }

    fn live(delay_ms: f64, fps: f64, loss: f64, slow_stage: usize) -> Live {
        let mut stages_ms = [1.0; 6];
        stages_ms[slow_stage] = delay_ms;
        Live { seconds: 1.0, delay_ms, stages_ms, fps, bitrate_bps: 1e6, loss }
    }

    #[test]
    fn each_cause_has_its_words() {
        let online = Connection::Online;
        let level_and = |figures| {
            let quality = of(&call(Some(figures)), &online);
            (quality.level, quality.cause)
        };
        assert_eq!(level_and(live(20.0, 30.0, 0.0, 0)).0, Level::Good);
        assert!(level_and(live(20.0, 30.0, 0.1, 0)).1.contains("loses 10 %"));
        assert!(level_and(live(200.0, 30.0, 0.0, 0)).1.contains("Their computer"));
        assert!(level_and(live(200.0, 30.0, 0.0, 4)).1.contains("This computer"));
        assert_eq!(
            level_and(live(500.0, 30.0, 0.02, 2)),
            (Level::Poor, "The network is slow: the picture is late".into())
        );
        assert!(level_and(live(20.0, 8.0, 0.0, 0)).1.contains("Only 8"));
        assert_eq!(level_and(live(0.0, 0.0, 0.0, 0)).0, Level::Good, "a call without pictures is no bad call");
    }

    #[test]
    fn silence_outranks_figures() {
        let mut silent = call(Some(live(20.0, 30.0, 0.5, 0)));
        silent.peer_silent = true;
        assert_eq!(of(&silent, &Connection::Online).level, Level::Gone);
        assert!(of(&silent, &Connection::Lost("x".into())).cause.contains("reconnecting"));
    }
}
