//! The loop that owns the connection to the relay, on the network thread.
//!
//! ```text
//! datagrams, control messages -\                          /-> datagrams, control messages
//! encoded frames, commands ------> calls, uplink, downlink --> frames to decode, events
//! timers, reconnection ---------/                          \-> records
//! ```
//!
//! Decisions are the state machines'; this file moves bytes and keeps time. What becomes of calls is in `calls`, what
//! happens without a connection in `reconnect`.

mod calls;
mod reconnect;

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use quinn::{Connection, Endpoint};
use tokio::sync::{mpsc, oneshot};
use visavis_proto::{
    ids::CallId,
    signal::{
        call::{Calls, Event as CallEvent},
        clock::ClockSync,
    },
    time::Timestamp,
    wire::{
        control::{self, RelayMessage, client, peer, relay},
        datagram::Datagram,
        feedback::Feedback,
    },
};

use super::{
    control::Error as ControlError,
    media::Media,
    online::{Online, dismissed, ended, has_room, send},
    session::{Dial, Session},
};
use crate::{clock::Clock, net::media::Ports};

/// Commands on their way to the network thread; a person cannot give more at once.
pub const COMMANDS: usize = 32;

/// Events on their way to whoever shows them. When full the newest is lost: whoever stopped listening hears no more.
pub const EVENTS: usize = 1_024;

/// Datagrams of a call that is not confirmed yet: media may overtake the message that announces it. 128 are the first
/// keyframe and what follows it; beyond it the newest is dropped.
const EARLY_DATAGRAMS: usize = 128;

/// Without a packet for this long in a call, a person is told that the relay is not heard.
const SILENT_IN_CALL: Duration = Duration::from_secs(2);

/// As [`SILENT_IN_CALL`] at other times: of the clock's probes, one a second, four in a row went unanswered.
const SILENT_AFTER: Duration = Duration::from_secs(5);

/// What a person, or a program in their place, asks for.
#[derive(Debug)]
pub enum Command {
    /// Ring somebody.
    Call {
        /// Whom.
        callee: String,
        /// The call's id, freshly drawn.
        call: CallId,
        /// Where media comes from and goes to, once it is live.
        ports: Ports,
    },
    /// Take a ringing call.
    Accept {
        /// Which.
        call: CallId,
        /// Where media comes from and goes to, once it is live.
        ports: Ports,
    },
    /// Decline, cancel or hang up.
    End(CallId),
    /// Tell the other side what is switched off.
    MediaState(control::MediaState),
    /// Ask the relay something.
    Ask(client::Body, oneshot::Sender<Result<relay::Body, ControlError>>),
    /// Move to a fresh local port, as after a change of network.
    Rebind,
    /// Say goodbye and stop.
    Stop,
}

/// What a person is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// About a call.
    Call(CallEvent),
    /// People whose presence changed.
    People(control::People),
    /// The relay has not been heard for two seconds in a call, or is heard again.
    Silent(bool),
    /// The connection was lost; calls wait.
    Disconnected(String),
    /// There is a connection again.
    Reconnected {
        /// Calls that were missed and not looked at.
        missed: u32,
    },
    /// The relay no longer lets this device in: there will be no reconnection.
    Refused(String),
}

/// Everything that the loop owns.
pub struct Actor {
    dial: Dial,
    clock: Clock,
    name: String,
    commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<Event>,
    calls: Calls,
    /// Who rings here.
    ringing: BTreeMap<CallId, String>,
    clocks: ClockSync,
    /// Ports of calls that are not live yet.
    waiting: BTreeMap<CallId, (Ports, Option<Timestamp>)>,
    media: Option<Media>,
    early: Vec<(Timestamp, Bytes)>,
    next_request: u32,
    pending: BTreeMap<u32, Pending>,
    last_heard: Timestamp,
    silent: bool,
    malformed: u64,
}

/// Who waits for an answer.
enum Pending {
    /// A caller of [`Command::Ask`].
    Ask(oneshot::Sender<Result<relay::Body, ControlError>>),
    /// A request about a call.
    Call(CallId),
}

/// Why a connection's loop ended.
enum Exit {
    Stop,
    Lost(String),
}

impl Actor {
    /// An actor for a device that just connected.
    pub fn new(
        dial: Dial,
        clock: Clock,
        name: String,
        commands: mpsc::Receiver<Command>,
        events: mpsc::Sender<Event>,
    ) -> Self {
        let now = clock.now();
        Self {
            dial,
            clock,
            name,
            commands,
            events,
            calls: Calls::default(),
            ringing: BTreeMap::new(),
            clocks: ClockSync::new(),
            waiting: BTreeMap::new(),
            media: None,
            early: Vec::new(),
            next_request: FIRST_REQUEST,
            pending: BTreeMap::new(),
            last_heard: now,
            silent: false,
            malformed: 0,
        }
    }

    /// Runs until it is told to stop or the relay refuses this device.
    pub async fn run(mut self, session: Session) {
        let mut session = Some(session);
        while let Some(connected) = session.take() {
            let mut online = Online::new(connected);
            let exit = self.converse(&mut online).await;
            match exit {
                Exit::Stop => {
                    self.end_everything();
                    self.flush(&mut online);
                    online.say_goodbye().await;
                    return;
                }
                Exit::Lost(reason) => {
                    tracing::info!(%reason, "connection to the relay lost");
                    if let Some((end, reason)) = dismissed(&online.connection).await {
                        self.calls.give_up(end);
                        self.drain_calls();
                        self.tell(Event::Refused(reason.to_owned()));
                        return;
                    }
                    online.connection.close(0u32.into(), b"lost");
                    self.pending.clear();
                    // The grace counts from the last sign of life: QUIC notices a dead path only after 35 s, when the
                    // relay has ended the call long since.
                    self.calls.disconnected(self.last_heard);
                    self.tell(Event::Disconnected(reason));
                    self.drain_calls();
                    session = self.reconnect().await;
                }
            }
        }
    }

    /// One connection's life.
    async fn converse(&mut self, online: &mut Online) -> Exit {
        self.flush(online);
        loop {
            self.drain_calls();
            if !self.flush(online) {
                return Exit::Lost("the relay stopped reading".into());
            }
            self.transmit(&online.connection);
            let wake = self.clock.instant(self.next_wake(&online.connection));
            let (pictures, sound, pleas) = match &mut self.media {
                Some(Media { ports, .. }) => {
                    (Some(&mut ports.pictures), Some(&mut ports.sound), Some(&mut ports.recover))
                }
                None => (None, None, None),
            };
            tokio::select! {
                // Arrivals first: their times are measurements. Then what the relay says, since it says where media
                // belongs; then what is to be sent, sound before pictures; then the person; then timers.
                biased;
                datagram = online.connection.read_datagram() => match datagram {
                    Ok(datagram) => self.handle_datagram(&datagram, &online.connection),
                    Err(error) => return Exit::Lost(ended(&error)),
                },
                message = online.reader.next() => match message {
                    Ok(message) => self.handle_message(message),
                    Err(error) => return Exit::Lost(error.to_string()),
                },
                Some(frame) = receive(sound) => self.send_frame(frame),
                Some(frame) = receive(pictures) => self.send_frame(frame),
                command = self.commands.recv() => match command {
                    None | Some(Command::Stop) => return Exit::Stop,
                    Some(Command::Rebind) => self.rebind(&online.endpoint),
                    Some(command) => self.handle_command(command, online),
                },
                Some(request) = receive(pleas) => self.ask_for_recovery(request),
                () = tokio::time::sleep_until(wake) => {}
            }
            self.handle_timeouts(&online.connection);
        }
    }

    fn next_wake(&self, connection: &Connection) -> Timestamp {
        let media = self.media.as_ref();
        let times = [
            Some(self.clocks.poll_timeout()),
            media.and_then(Media::poll_timeout),
            self.calls.poll_timeout(),
            (!self.silent).then(|| self.last_heard + self.patience()),
        ];
        let now = self.clock.now();
        let next = times.into_iter().flatten().min().unwrap_or_else(|| now + Duration::from_secs(1));
        // With no room in the connection, what waits to be sent is no reason to wake at once; acknowledgements are.
        if has_room(connection) { next } else { next.max(now + FULL_WAIT) }
    }

    /// How long the relay may be silent.
    const fn patience(&self) -> Duration {
        if self.media.is_some() { SILENT_IN_CALL } else { SILENT_AFTER }
    }

    fn handle_timeouts(&mut self, connection: &Connection) {
        let now = self.clock.now();
        if let Some(ping) = self.clocks.poll_ping(now) {
            send(connection, ping.encode().into());
        }
        if let Some(media) = &mut self.media {
            media.handle_timeout(&self.clocks, connection.rtt(), now);
        }
        if !self.silent && now.since(self.last_heard) >= self.patience() {
            self.silent = true;
            self.tell(Event::Silent(true));
        }
        self.calls.handle_timeout(now);
    }

    fn handle_datagram(&mut self, bytes: &Bytes, connection: &Connection) {
        let now = self.clock.now();
        self.heard(now);
        match Datagram::decode(bytes) {
            Ok(Datagram::Media(packet)) => match &mut self.media {
                Some(media) => media.handle_packet(&packet, &self.clocks, now),
                None if !self.waiting.is_empty() && self.early.len() < EARLY_DATAGRAMS => {
                    self.early.push((now, bytes.clone()));
                }
                None => self.malformed += 1,
            },
            Ok(Datagram::Feedback(feedback)) => self.handle_feedback(&feedback, now),
            Ok(Datagram::ClockPong(pong)) => {
                self.clocks.handle_pong(pong, now);
            }
            Ok(Datagram::ClockPing(ping)) => {
                let pong = visavis_proto::wire::clock::Pong { id: ping.id, received: now, sent: self.clock.now() };
                send(connection, pong.encode().into());
            }
            Ok(Datagram::Padding(_)) => {}
            Err(_) => self.malformed += 1,
        }
    }

    fn handle_feedback(&mut self, feedback: &Feedback, now: Timestamp) {
        if let Some(media) = &mut self.media {
            media.uplink.handle_feedback(feedback, now);
        }
    }

    fn handle_message(&mut self, message: RelayMessage) {
        self.heard(self.clock.now());
        let Some(body) = message.body else { return };
        match self.pending.remove(&message.request) {
            Some(Pending::Ask(answer)) => {
                let result = match body {
                    relay::Body::Refused(refused) => Err(ControlError::Refused(refused)),
                    body => Ok(body),
                };
                // Whoever asked may have stopped waiting.
                let _ = answer.send(result);
                return;
            }
            Some(Pending::Call(call)) => {
                if let relay::Body::Refused(refused) = &body {
                    tracing::info!(%call, code = ?refused.code(), detail = refused.detail, "the relay refused");
                    self.calls.refused(call);
                    return;
                }
            }
            None => {}
        }
        match body {
            relay::Body::People(people) => self.tell(Event::People(people)),
            body => {
                self.calls.handle(&body);
            }
        }
    }

    fn handle_command(&mut self, command: Command, online: &Online) {
        match command {
            Command::Call { callee, call, ports } => self.call(call, callee, ports),
            Command::Accept { call, ports } => self.accept(call, ports),
            Command::End(call) => self.calls.end(call),
            Command::MediaState(state) => {
                if let Some(media) = &mut self.media {
                    media.ports.control.set_muted(state.muted);
                    media.ports.control.set_camera_off(state.camera_off);
                    let message = control::PeerMessage { body: Some(peer::Body::MediaState(state)) };
                    self.calls.say(media.call, None, &message);
                }
            }
            Command::Ask(body, answer) => {
                let request = self.next_request();
                self.pending.insert(request, Pending::Ask(answer));
                if !online.put(request, body) {
                    self.pending.remove(&request);
                }
            }
            Command::Rebind | Command::Stop => {}
        }
    }

    fn send_frame(&mut self, frame: crate::pipeline::send::EncodedFrame) {
        if let Some(media) = &mut self.media {
            media.uplink.handle_frame(frame, &self.clocks);
        }
    }

    /// Hands the connection every datagram that may leave now.
    fn transmit(&mut self, connection: &Connection) {
        let Some(media) = &mut self.media else { return };
        // quinn would make room by dropping the oldest packet, and so tear a frame.
        while has_room(connection) {
            let Some(datagram) = media.poll_datagram(self.clock.now()) else { break };
            send(connection, datagram);
        }
        media.update_gate(self.clock.now());
    }

    /// Writes what the calls have to say. `false` if the relay does not read.
    fn flush(&mut self, online: &mut Online) -> bool {
        while let Some(body) = self.calls.poll_message() {
            let request = self.next_request();
            let call = match &body {
                client::Body::Call(control::Call { call, .. })
                | client::Body::Accept(control::Accept { call, .. })
                | client::Body::Resume(control::Resume { call }) => CallId::try_from(&call[..]).ok(),
                _ => None,
            };
            if let Some(call) = call {
                self.pending.insert(request, Pending::Call(call));
            }
            if !online.put(request, body) {
                return false;
            }
        }
        true
    }

    fn heard(&mut self, now: Timestamp) {
        self.last_heard = now;
        if std::mem::take(&mut self.silent) {
            self.tell(Event::Silent(false));
        }
    }

    fn tell(&self, event: Event) {
        if self.events.try_send(event).is_err() {
            tracing::debug!("nobody listens to events");
        }
    }

    fn rebind(&self, endpoint: &Endpoint) {
        match self.dial.network.rebind(endpoint) {
            Ok(()) => tracing::info!("moved to a fresh port"),
            Err(error) => tracing::warn!(%error, "no fresh port: the old one stays"),
        }
    }

    fn next_request(&mut self) -> u32 {
        let number = self.next_request;
        self.next_request = self.next_request.checked_add(1).unwrap_or(FIRST_REQUEST);
        number
    }
}

/// How long to wait for room: the runtime's timers tick once a millisecond.
const FULL_WAIT: Duration = Duration::from_millis(1);

/// Above the numbers that joining used on the same stream.
const FIRST_REQUEST: u32 = 1_000;

/// The next item of a queue that may not be there.
async fn receive<T>(queue: Option<&mut mpsc::Receiver<T>>) -> Option<T> {
    match queue {
        Some(queue) => queue.recv().await,
        None => std::future::pending().await,
    }
}
