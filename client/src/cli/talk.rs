//! A call from its ring to its end, on the command line: events as sentences, figures as a live line.

use std::{io::IsTerminal, time::Duration};

use tokio::time::Instant;
use visavis_proto::{ids::CallId, signal::call::Event as CallEvent, wire::control::EndReason};

use super::{
    Outcome,
    media::{self, Rest},
    sound,
};
use crate::{
    app::quality,
    client::{Client, Events},
    net::actor::Event,
    sentence,
    sound::Tune,
    stats::collector::{Live, STAGES},
};

/// The two ends of a call show different generated scenes.
pub const CALLER_SEED: u64 = 1;
/// See [`CALLER_SEED`].
pub const CALLEE_SEED: u64 = 2;

/// Completes at Ctrl-C or when the system asks this process to end.
pub async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminated) = signal(SignalKind::terminate()) {
            tokio::select! {
                biased; // either is the same
                _ = tokio::signal::ctrl_c() => {}
                _ = terminated.recv() => {}
            }
            return;
        }
    }
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}

/// Follows a call until it has ended, hanging up when the person or the clock says so.
pub async fn until_over(
    client: &Client,
    events: &mut Events,
    call: CallId,
    arguments: &media::Arguments,
    rest: &mut Rest,
) -> anyhow::Result<(EndReason, String)> {
    let mut live_figures = rest.collector.live();
    let mut hang_up_at: Option<Instant> = None;
    let mut current = call;
    let interrupted = interrupted();
    tokio::pin!(interrupted);
    let mut asked_to_end = false;
    loop {
        tokio::select! {
            biased; // what happened is told before the figures, and Ctrl-C is obeyed before either
            () = &mut interrupted, if !asked_to_end => {
                asked_to_end = true;
                client.end(current).await;
            }
            event = events.recv() => match event {
                None => anyhow::bail!("the connection to the relay ended"),
                Some(Event::Refused(reason)) => anyhow::bail!(reason),
                Some(Event::Silent(true)) => say("The relay cannot be heard: waiting for the network ..."),
                Some(Event::Silent(false)) => say("The relay is heard again."),
                Some(Event::Disconnected(_)) => say("The connection was lost: reconnecting ..."),
                Some(Event::Reconnected { .. }) => say("Connected again."),
                Some(Event::People(_)) => {}
                Some(Event::Call(event)) => match event {
                    CallEvent::RingingOut { devices, .. } => {
                        rest.ring(Some(Tune::Outgoing));
                        say(&format!("Ringing on {devices} {}.", if devices == 1 { "device" } else { "devices" }));
                    }
                    CallEvent::Connected(connected) => {
                        rest.ring(None);
                        current = connected.call;
                        if asked_to_end {
                            // It was asked for under the id of a call that has been merged into this one.
                            client.end(current).await;
                        } else if connected.resumed {
                            say(&format!("The call with {} goes on.", connected.peer));
                        } else {
                            say(&format!("In a call with {}. Ctrl-C hangs up.", connected.peer));
                            hang_up_at = arguments.limit().map(|limit| Instant::now() + limit);
                        }
                    }
                    CallEvent::PeerSilent { silent, .. } => say(if silent {
                        "The other side cannot be heard: waiting for them ..."
                    } else {
                        "The other side is heard again."
                    }),
                    CallEvent::Ended { reason: EndReason::Merged, peer, goes_on_as, .. } => {
                        say(&sentence::ended(EndReason::Merged, &peer).0);
                        current = goes_on_as.unwrap_or(current);
                        if asked_to_end {
                            client.end(current).await;
                        }
                    }
                    CallEvent::Ended { call: ended, reason, peer, .. } if ended == current => {
                        rest.ring(None);
                        return Ok((reason, peer));
                    }
                    CallEvent::Ended { peer, missed: true, .. } => {
                        say(&format!("{peer} called while you were in a call."));
                    }
                    // Whoever calls meanwhile has been told that one is busy, or their call and this one become one.
                    CallEvent::Ended { .. } | CallEvent::Incoming { .. } => {}
                    CallEvent::Peer { .. } | CallEvent::FramesDropped(_) => {}
                },
            },
            failure = rest.failures.next() => say(&format!("{}. The call goes on.", sentence::capitalised(&failure))),
            sentence = rest.camera.says() => say(&sentence),
            sentence = sound::next(&mut rest.devices) => say(&sentence),
            () = sleep_until(hang_up_at) => {
                hang_up_at = None;
                client.end(current).await;
            }
            Ok(()) = live_figures.changed() => {
                if let Some(live) = live_figures.borrow_and_update().as_ref() {
                    show(live, arguments.live_json);
                }
            }
        }
    }
}

/// Says how it ended and writes what is to be written.
pub fn conclude(
    arguments: &media::Arguments,
    rest: Rest,
    result: anyhow::Result<(EndReason, String)>,
) -> anyhow::Result<Outcome> {
    let ended = result.map(|(reason, peer)| {
        let (text, outcome) = sentence::ended(reason, &peer);
        say(&text);
        outcome
    });
    match (ended, arguments.conclude(rest)) {
        (Err(lost), Err(unwritten)) => Err(lost.context(unwritten)),
        (ended, written) => written.and(ended),
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// A sentence on a line of its own.
fn say(text: &str) {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K");
    }
    println!("{text}");
}

/// The live line: over itself in a terminal, as JSON for programs, else not at all.
fn show(live: &Live, json: bool) {
    if json {
        if let Ok(text) = serde_json::to_string(live) {
            println!("{text}");
        }
    } else if std::io::stderr().is_terminal() {
        let minutes = Duration::from_secs_f64(live.seconds).as_secs();
        let time = format!("{:02}:{:02}  ", minutes / 60, minutes % 60);
        let room = columns().map_or(usize::MAX, |columns| columns.saturating_sub(time.len() + 1));
        eprint!("\r\x1b[K{time}{}", fitting(live, room));
    }
}

/// Delay by stages, fps, bitrate, loss; round trip to the relay, bitrate sent.
pub fn describe(live: &Live) -> String {
    fitting(live, usize::MAX)
}

/// The same in at most so many columns: a line that is wrapped cannot be written over. What is rarest needed goes first.
fn fitting(live: &Live, columns: usize) -> String {
    let stage = |index: usize| format!("{} {:.1}", STAGES[index], live.stages_ms[index]);
    let all = (0..STAGES.len()).map(stage).collect::<Vec<_>>().join(", ");
    let slowest = stage(quality::slowest(live));
    let round_trip = live.round_trip_ms.map_or_else(String::new, |ms| format!("  rtt {ms:.0} ms"));
    let more = format!("{round_trip}  {:.2} Mbit/s sent", live.sent.bitrate_bps / 1e6);
    let line = |stages: &str, more: &str| {
        format!(
            "{:5.1} ms ({stages})  {:4.1} fps  {:5.2} Mbit/s  {:.1} % lost{more}",
            live.delay_ms,
            live.fps,
            live.bitrate_bps / 1e6,
            live.loss * 100.0
        )
    };
    let lines = [line(&all, &more), line(&slowest, &more), line(&slowest, &round_trip), line(&slowest, "")];
    let [.., shortest] = &lines;
    let fits = lines.iter().find(|line| line.chars().count() <= columns).unwrap_or(shortest);
    fits.chars().take(columns).collect()
}

/// The terminal's width, if it tells.
fn columns() -> Option<usize> {
    #[cfg(unix)]
    {
        let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok()?;
        Some(usize::from(size.ws_col)).filter(|&columns| columns > 0)
    }
    #[cfg(not(unix))]
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::collector::Sending;

    #[test]
    fn the_live_line_has_room_in_any_terminal() {
        let live = Live {
            delay_ms: 51.3,
            stages_ms: [6.2, 2.4, 9.4, 21.5, 3.1, 7.9],
            fps: 29.7,
            bitrate_bps: 1.84e6,
            round_trip_ms: Some(38.2),
            sent: Sending { bitrate_bps: 1.21e6, ..Sending::default() },
            ..Live::default()
        };
        let whole = describe(&live);
        assert!(whole.contains("encode 6.2") && whole.ends_with("rtt 38 ms  1.21 Mbit/s sent"), "{whole}");
        let narrow = fitting(&live, 72);
        assert!(narrow.contains("(receive 21.5)") && narrow.ends_with("rtt 38 ms"), "{narrow}");
        for columns in 0..200 {
            assert!(fitting(&live, columns).chars().count() <= columns);
        }
        let unknown = describe(&Live { round_trip_ms: None, ..live });
        assert!(!unknown.contains("rtt"), "what is not known is not told: {unknown}");
    }
}
