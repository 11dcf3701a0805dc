//! A connected client: commands in, events out. The handle that both the command line and the window hold.

use std::{io, sync::Arc, thread::JoinHandle};

use tokio::sync::{mpsc, oneshot};
use visavis_proto::{
    ids::CallId,
    wire::{
        control::{self, client, relay},
        link::Link,
    },
};

use crate::{
    clock::Clock,
    identity::Key,
    net::{
        actor::{Actor, COMMANDS, Command, EVENTS, Event},
        control::{Error as ControlError, Presence},
        media::Ports,
        session::{self, Dial, Session},
        transport::Network,
    },
    thread::Urgency,
};

/// A client whose network loop runs. Dropping it ends its calls, says goodbye and joins the network thread.
#[derive(Debug)]
pub struct Client {
    commands: mpsc::Sender<Command>,
    thread: Option<JoinHandle<()>>,
    /// Who one is.
    pub welcome: control::Welcome,
}

/// Events of a client, in order.
pub type Events = mpsc::Receiver<Event>;

impl Client {
    /// Connects an enrolled device on a network thread of its own: it is online, and calls ring here.
    ///
    /// # Errors
    ///
    /// Any [`session::Error`]; [`session::Error::Address`] also if the system gives no thread.
    pub async fn connect(link: Link, device: Arc<Key>, clock: Clock) -> Result<(Self, Events), session::Error> {
        Self::on_a_thread(Dial { network: Network::System, link, device, presence: Presence::Reachable }, clock).await
    }

    /// The same to look something up only, beside a connection of the same device that may be in a call.
    ///
    /// # Errors
    ///
    /// As [`Self::connect`].
    pub async fn visit(link: Link, device: Arc<Key>, clock: Clock) -> Result<(Self, Events), session::Error> {
        Self::on_a_thread(Dial { network: Network::System, link, device, presence: Presence::Visiting }, clock).await
    }

    /// The same within a simulated world: the loop is a task of the runtime that this is called on.
    ///
    /// # Errors
    ///
    /// Any [`session::Error`].
    pub async fn connect_within(
        network: Network,
        link: Link,
        device: Arc<Key>,
        clock: Clock,
    ) -> Result<(Self, Events), session::Error> {
        let dial = Dial { network, link, device, presence: Presence::Reachable };
        let session = session::connect(&dial).await?;
        let parts = prepare(dial, clock, session);
        tokio::task::spawn(parts.actor.run(parts.session));
        Ok((Self { commands: parts.commands, thread: None, welcome: parts.welcome }, parts.events))
    }

    async fn on_a_thread(dial: Dial, clock: Clock) -> Result<(Self, Events), session::Error> {
        let host = dial.link.host.clone();
        let no_thread = |source: io::Error| session::Error::Address { link: host.clone(), source };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(no_thread)?;
        let (ready, connected) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("visavis-net".into())
            .spawn(move || {
                Urgency::Prompt.apply();
                runtime.block_on(async move {
                    match session::connect(&dial).await {
                        Err(error) => drop(ready.send(Err(error))),
                        Ok(session) => {
                            let parts = prepare(dial, clock, session);
                            if ready.send(Ok((parts.commands, parts.events, parts.welcome))).is_ok() {
                                parts.actor.run(parts.session).await;
                            }
                        }
                    }
                });
            })
            .map_err(no_thread)?;
        let gone = || no_thread(io::Error::other("the network thread ended early"));
        let (commands, events, welcome) = connected.await.map_err(|_| gone())??;
        Ok((Self { commands, thread: Some(thread), welcome }, events))
    }

    /// Rings somebody. What becomes of it comes as events.
    pub async fn call(&self, callee: &str, ports: Ports) -> CallId {
        let call = CallId(rand::random());
        self.call_as(call, callee, ports).await;
        call
    }

    /// The same under an id that was drawn elsewhere, once: the seeded one of a simulated world.
    pub async fn call_as(&self, call: CallId, callee: &str, ports: Ports) {
        self.command(Command::Call { callee: callee.to_owned(), call, ports }).await;
    }

    /// Takes a ringing call.
    pub async fn accept(&self, call: CallId, ports: Ports) {
        self.command(Command::Accept { call, ports }).await;
    }

    /// Declines, cancels or hangs up.
    pub async fn end(&self, call: CallId) {
        self.command(Command::End(call)).await;
    }

    /// Switches microphone and camera, and tells the other side.
    pub async fn set_media_state(&self, muted: bool, camera_off: bool) {
        self.command(Command::MediaState(control::MediaState { muted, camera_off })).await;
    }

    /// Moves to a fresh local port.
    pub async fn rebind(&self) {
        self.command(Command::Rebind).await;
    }

    /// Asks questions apart from the handle, so that waiting for an answer holds up nothing else.
    pub fn queries(&self) -> Queries {
        Queries { commands: self.commands.clone() }
    }

    /// Ends calls, says goodbye, and waits until that is done.
    pub async fn stop(mut self) {
        self.command(Command::Stop).await;
        if let Some(thread) = self.thread.take() {
            // The network thread ends by itself within two seconds of the goodbye.
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                tracing::error!("the network thread panicked");
            }
        }
    }

    async fn command(&self, command: Command) {
        // An error means that the loop has ended, which its last event told.
        let _ = self.commands.send(command).await;
    }
}

/// Asks the relay. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Queries {
    commands: mpsc::Sender<Command>,
}

impl Queries {
    /// Asks for everybody's presence; pages and later changes come as events.
    ///
    /// # Errors
    ///
    /// Any [`ControlError`].
    pub async fn people(&self) -> Result<control::People, ControlError> {
        match self.ask(client::Body::PeopleQuery(control::PeopleQuery {})).await? {
            relay::Body::People(people) => Ok(people),
            _ => Err(unexpected()),
        }
    }

    /// The newest calls, at most `limit`, before `before_ms` (Unix milliseconds; 0 for now). With `unseen`, those that
    /// were missed still count as not looked at.
    ///
    /// # Errors
    ///
    /// Any [`ControlError`].
    pub async fn history(
        &self,
        before_ms: u64,
        limit: u32,
        unseen: bool,
    ) -> Result<Vec<control::PastCall>, ControlError> {
        match self.ask(client::Body::HistoryQuery(control::HistoryQuery { before_ms, limit, unseen })).await? {
            relay::Body::History(history) => Ok(history.calls),
            _ => Err(unexpected()),
        }
    }

    /// This person's devices, as signed, and the keys of those that are online.
    ///
    /// # Errors
    ///
    /// Any [`ControlError`].
    pub async fn devices(&self) -> Result<control::Devices, ControlError> {
        match self.ask(client::Body::DevicesQuery(control::DevicesQuery {})).await? {
            relay::Body::Devices(devices) => Ok(devices),
            _ => Err(unexpected()),
        }
    }

    async fn ask(&self, body: client::Body) -> Result<relay::Body, ControlError> {
        let (answer, answered) = oneshot::channel();
        // An error means that the loop has ended, which the answer that never comes tells.
        let _ = self.commands.send(Command::Ask(body, answer)).await;
        match tokio::time::timeout(crate::net::control::ANSWER_TIMEOUT, answered).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(ControlError::Lost("it was lost before the answer came".into())),
            Err(_) => Err(ControlError::Silent),
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.commands.try_send(Command::Stop);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the network thread panicked");
        }
    }
}

/// A loop that is ready to run, and its handle's parts.
struct Parts {
    actor: Actor,
    session: Session,
    commands: mpsc::Sender<Command>,
    events: Events,
    welcome: control::Welcome,
}

fn prepare(dial: Dial, clock: Clock, session: Session) -> Parts {
    let (commands, command_queue) = mpsc::channel(COMMANDS);
    let (event_queue, events) = mpsc::channel(EVENTS);
    let welcome = session.welcome.clone();
    let actor = Actor::new(dial, clock, welcome.name.clone(), command_queue, event_queue);
    Parts { actor, session, commands, events, welcome }
}

fn unexpected() -> ControlError {
    ControlError::Protocol("the answer does not fit the question".into())
}
