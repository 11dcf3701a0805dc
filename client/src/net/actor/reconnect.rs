//! Without a connection: trying again, while calls wait out their grace and the person may still hang up.

use std::time::Duration;

use visavis_proto::{signal::call::Event as CallEvent, wire::control};

use super::{Actor, Command, Event};
use crate::net::{
    control::Error as ControlError,
    session::{self, Session},
};

/// Waits between two attempts to reach the relay again: quick at first, for a network that just changed.
const RECONNECT_AFTER: [Duration; 5] = [
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
];

impl Actor {
    /// Tries again and again; answers `None` when told to stop or refused for good.
    pub(super) async fn reconnect(&mut self) -> Option<Session> {
        for attempt in 0usize.. {
            let wait = RECONNECT_AFTER[attempt.min(RECONNECT_AFTER.len() - 1)];
            let dial = self.dial.clone();
            let connecting = async move {
                tokio::time::sleep(wait).await;
                session::connect(&dial).await
            };
            tokio::pin!(connecting);
            let result = loop {
                let grace = self.calls.poll_timeout().map(|at| self.clock.instant(at));
                tokio::select! {
                    biased; // a person's command is obeyed before a connection is made
                    command = self.commands.recv() => match command {
                        None | Some(Command::Stop) => {
                            self.end_everything();
                            return None;
                        }
                        Some(command) => self.handle_offline(command),
                    },
                    result = &mut connecting => break result,
                    () = sleep_until(grace) => {
                        self.calls.handle_timeout(self.clock.now());
                        self.drain_calls();
                    }
                }
            };
            match result {
                Ok(session) => {
                    self.clocks.reset();
                    self.last_heard = self.clock.now();
                    self.calls.reconnected();
                    self.tell(Event::Reconnected { missed: session.welcome.missed_calls });
                    return Some(session);
                }
                Err(error) if error.is_final() => {
                    self.calls.give_up(control::EndReason::Revoked);
                    self.drain_calls();
                    self.tell(Event::Refused(error.to_string()));
                    return None;
                }
                Err(error) => tracing::debug!(%error, attempt, "the relay cannot be reached yet"),
            }
        }
        None
    }

    /// Only what needs no relay is obeyed without one.
    fn handle_offline(&mut self, command: Command) {
        match command {
            Command::End(call) => {
                self.calls.end(call);
                self.drain_calls();
            }
            Command::Call { callee, call, .. } => self.tell(Event::Call(CallEvent::Ended {
                call,
                peer: callee,
                reason: control::EndReason::RelayLost,
                missed: false,
                goes_on_as: None,
            })),
            Command::Ask(_, answer) => {
                // Whoever asked may have stopped waiting.
                let _ = answer.send(Err(ControlError::Lost("there is no connection to the relay just now".into())));
            }
            Command::Accept { .. } | Command::MediaState(_) | Command::Rebind | Command::Stop => {}
        }
    }
}

async fn sleep_until(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
