//! The engine: commands and news in, [`State`] out; owns the client and the call's stages. A thread of its own.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use tokio::sync::{mpsc, watch};
use visavis_proto::{
    ids::CallId,
    wire::control::{PastCall, People},
};
use zeroize::Zeroizing;

use super::{
    beginning::{begin, member, opened},
    media::{Maker, Ring},
    running::{Media, News},
    settings::Settings,
    state::{Access, Call, Connection, Duty, Notice, Phase, State},
};
use crate::{
    client::{Client, Events, Queries},
    clock::Clock,
    net::{actor::Event, control::Error as QueryError, media::Ports, session},
    profile::Profile,
    sentence,
    stats::collector::Live,
    thread::{Stage, Urgency},
};

/// Commands on their way to the engine: a person cannot give more at once.
const COMMANDS: usize = 32;

/// Answers of background work on their way to the engine; senders wait.
const ANSWERS: usize = 16;

/// Past calls that are asked for at once; the relay gives up to 200.
const HISTORY: u32 = 100;

/// Waits between attempts to reach a relay that did not answer at the start.
const RETRY: Duration = Duration::from_secs(5);

/// Told, on any thread, that there is a newer state.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// What a person does.
#[derive(Debug)]
pub enum Command {
    /// Register, or enrol this device.
    Join(Join),
    /// Call somebody.
    Call(String),
    /// Take the call that rings in.
    Accept {
        /// With one's own picture.
        camera: bool,
    },
    /// Decline, cancel or hang up the call that is shown.
    End,
    /// Microphone off or on.
    Mute(bool),
    /// Camera off or on.
    CameraOff(bool),
    /// New settings, in force at once and kept.
    Settings(Box<Settings>),
    /// The missed calls have been looked at.
    SeenMissed,
    /// Past calls before those that are shown.
    EarlierCalls,
    /// The notice, or a call that is over, has been read.
    Dismiss,
    /// Another attempt to reach the relay, now.
    Retry,
    /// Join again on a device that the relay does not let in any more.
    JoinAgain,
    /// An invite link was opened while a profile is there.
    OpenLink(String),
}

/// What it takes to get in.
#[derive(Debug)]
pub struct Join {
    /// As pasted.
    pub link: String,
    /// The name to be known by.
    pub name: String,
    /// Their password.
    pub password: Zeroizing<String>,
    /// They have an account already.
    pub existing: bool,
}

/// What an engine needs.
pub struct Options {
    /// The profile's folder.
    pub folder: PathBuf,
    /// What was chosen before.
    pub settings: Settings,
    /// The invite link that was opened, which is of use where there is no profile.
    pub link: Option<String>,
    /// Something to be said at the beginning.
    pub notice: Option<Notice>,
    /// Time.
    pub clock: Clock,
    /// Makes calls' media.
    pub maker: Box<dyn Maker>,
    /// Called at every new state.
    pub wake: Wake,
}

/// A running engine. Dropping it ends the call, says goodbye and joins the thread.
#[derive(Debug)]
pub struct App {
    commands: mpsc::Sender<Command>,
    state: watch::Receiver<Arc<State>>,
    thread: Option<Stage>,
}

impl App {
    /// Starts the engine; goes online if the folder holds a profile.
    ///
    /// # Errors
    ///
    /// If the system gives no thread.
    pub fn start(options: Options) -> io::Result<Self> {
        let (commands, queue) = mpsc::channel(COMMANDS);
        let (first, profile) = begin(&options);
        let (publish, state) = watch::channel(Arc::new(first.clone()));
        let thread = Stage::spawn("visavis-app", Urgency::Usual, move || {
            Engine::new(options, first, publish).run(profile, queue)
        })?;
        Ok(Self { commands, state, thread: Some(thread) })
    }

    /// The newest state.
    pub fn state(&self) -> Arc<State> {
        self.state.borrow().clone()
    }

    /// A receiver of states, for a program that waits for one.
    pub fn states(&self) -> watch::Receiver<Arc<State>> {
        self.state.clone()
    }

    /// Does what a person asks for. A full queue drops the command: nobody clicks 32 times ahead of a live engine.
    pub fn command(&self, command: Command) {
        if let Err(error) = self.commands.try_send(command) {
            tracing::warn!(%error, "a command found no room");
        }
    }

    /// Ends calls, says goodbye and waits until that is done.
    pub fn stop(mut self) {
        if let Some(thread) = self.thread.take() {
            // The engine ends as its commands do.
            let (closed, _) = mpsc::channel(1);
            drop(std::mem::replace(&mut self.commands, closed));
            thread.finish();
        }
    }
}

/// What background work answers.
enum Answer {
    Joined(Result<Profile, String>),
    Connected(Result<(Client, Events), session::Error>),
    People(Result<People, QueryError>),
    History(Result<Vec<PastCall>, QueryError>),
    Earlier(Result<Vec<PastCall>, QueryError>),
    Retry,
}

struct Engine {
    options: Options,
    publish: watch::Sender<Arc<State>>,
    state: State,
    client: Option<Client>,
    events: Option<Events>,
    media: Option<Media>,
    answers: mpsc::Sender<Answer>,
    answered: mpsc::Receiver<Answer>,
    connecting: bool,
    /// Another attempt comes by itself.
    waiting: bool,
}

impl Engine {
    fn new(options: Options, state: State, publish: watch::Sender<Arc<State>>) -> Self {
        let (answers, answered) = mpsc::channel(ANSWERS);
        Self {
            options,
            publish,
            state,
            client: None,
            events: None,
            media: None,
            answers,
            answered,
            connecting: false,
            waiting: false,
        }
    }

    async fn run(mut self, profile: Option<Profile>, mut commands: mpsc::Receiver<Command>) {
        if let Some(profile) = profile {
            self.enter(profile);
        }
        loop {
            self.tell();
            tokio::select! {
                biased; // what a person does comes first, what they merely see last
                command = commands.recv() => match command {
                    Some(command) => self.obey(command).await,
                    None => break,
                },
                Some(answer) = self.answered.recv() => self.take(answer).await,
                event = next(&mut self.events) => match event {
                    Some(event) => self.hear(event).await,
                    None => self.offline(),
                },
                news = told(&mut self.media) => match news {
                    News::Figures(live) => self.look(live.map(|live| *live)),
                    News::Failure(text) => self.state.notice = Some(Notice::problem(text)),
                },
            }
        }
        self.release();
        if let Some(client) = self.client.take() {
            client.stop().await;
        }
    }

    /// Tells the window, if something changed.
    fn tell(&self) {
        let changed = self.publish.send_if_modified(|shown| {
            let changed = **shown != self.state;
            if changed {
                *shown = Arc::new(self.state.clone());
            }
            changed
        });
        if changed {
            (self.options.wake)();
        }
    }

    /// This device belongs to somebody: goes online.
    fn enter(&mut self, profile: Profile) {
        self.state.access = member(&profile);
        self.connect(profile);
    }

    fn connect(&mut self, profile: Profile) {
        if std::mem::replace(&mut self.connecting, true) {
            return;
        }
        self.state.connection = Connection::Connecting;
        let clock = self.options.clock;
        self.work(async move { Answer::Connected(Client::connect(profile.link, profile.device, clock).await) });
    }

    /// Something that takes a while and must not hold up the person; its answer comes back to [`Self::take`].
    fn work(&self, work: impl Future<Output = Answer> + Send + 'static) {
        let answers = self.answers.clone();
        tokio::spawn(async move {
            // Nobody takes it once the engine is gone; a client says goodbye as it is dropped.
            let _ = answers.send(work.await).await;
        });
    }

    async fn take(&mut self, answer: Answer) {
        match answer {
            Answer::Joined(Ok(profile)) => {
                self.state.notice = None;
                self.enter(profile);
            }
            Answer::Joined(Err(reason)) => {
                self.state.access = Access::Welcome;
                self.state.notice = Some(Notice::problem(reason));
            }
            Answer::Connected(Ok((client, events))) => {
                self.connecting = false;
                self.state.connection = Connection::Online;
                self.state.missed = u64::from(client.welcome.missed_calls);
                (self.client, self.events) = (Some(client), Some(events));
                self.fulfil(vec![Duty::RefreshPeople, Duty::RefreshHistory]).await;
            }
            Answer::Connected(Err(error)) => {
                self.connecting = false;
                let told = sentence::in_window(&error.to_string());
                self.state.connection = match error.is_final() {
                    true => Connection::Refused(told),
                    false => Connection::Lost(told),
                };
                // One wait at a time, however often somebody tries meanwhile.
                if !error.is_final() && !std::mem::replace(&mut self.waiting, true) {
                    let clock = self.options.clock;
                    self.work(async move {
                        tokio::time::sleep_until(clock.instant(clock.now() + RETRY)).await;
                        Answer::Retry
                    });
                }
            }
            Answer::Retry => {
                self.waiting = false;
                self.retry();
            }
            Answer::People(Ok(people)) => self.state.merge(people),
            Answer::History(Ok(calls)) => {
                let all = calls.len() < HISTORY as usize;
                self.state.newest_calls(calls, all);
            }
            Answer::Earlier(Ok(calls)) => {
                let all = calls.len() < HISTORY as usize;
                self.state.earlier_calls(calls, all);
            }
            // The connection that failed tells of itself; the lists stay as they are until it is back.
            Answer::People(Err(error)) | Answer::History(Err(error)) | Answer::Earlier(Err(error)) => {
                tracing::info!(%error, "a list could not be refreshed");
            }
        }
    }

    fn retry(&mut self) {
        if self.client.is_none()
            && let Ok(profile) = Profile::load(&self.options.folder)
        {
            self.connect(profile);
        }
    }

    async fn hear(&mut self, event: Event) {
        let duties = self.state.handle(event, self.options.clock.now());
        self.fulfil(duties).await;
        self.update_ring();
    }

    /// The client's loop has ended by itself, after its last words.
    fn offline(&mut self) {
        (self.client, self.events) = (None, None);
        if !matches!(self.state.connection, Connection::Refused(_)) {
            self.retry();
        }
    }

    async fn fulfil(&mut self, duties: Vec<Duty>) {
        for duty in duties {
            match duty {
                Duty::Prepare(call) => self.prepare(call),
                Duty::GoOnAs(survivor) => {
                    if let Some(media) = &mut self.media {
                        media.call = survivor;
                    }
                }
                Duty::WentLive => self.went_live().await,
                Duty::Release(call) => {
                    if self.media.as_ref().is_some_and(|media| media.call == call) {
                        self.release();
                    }
                }
                Duty::RefreshHistory => self.refresh_history(true),
                Duty::RefreshPeople => {
                    self.refresh(|queries| async move { Answer::People(queries.people().await) });
                }
                Duty::GiveUp => self.release(),
            }
        }
    }

    /// With `unseen`, what was missed still is to be looked at.
    fn refresh_history(&self, unseen: bool) {
        self.refresh(move |queries| async move { Answer::History(queries.history(0, HISTORY, unseen).await) });
    }

    fn refresh<F: Future<Output = Answer> + Send + 'static>(&self, ask: impl FnOnce(Queries) -> F) {
        if let Some(client) = &self.client {
            self.work(ask(client.queries()));
        }
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Join(join) => self.join(join),
            Command::Call(name) => self.call(name).await,
            Command::Accept { camera } => self.accept(camera).await,
            Command::End => {
                if let (Some(call), Some(client)) =
                    (self.state.call.as_ref().filter(|call| call.going()), &self.client)
                {
                    client.end(call.id).await;
                }
            }
            Command::Mute(muted) => self.switch(|call| call.muted = muted).await,
            Command::CameraOff(off) => self.switch(|call| call.camera_off = off).await,
            Command::Settings(settings) => {
                self.options.maker.apply(&settings);
                if let Some(media) = &self.media {
                    media.control.set_target(settings.camera.video_rate());
                }
                if let Err(error) = settings.save(&self.options.folder) {
                    self.state.notice = Some(Notice::problem(error.to_string()));
                }
                self.options.settings = *settings;
            }
            Command::SeenMissed => {
                self.state.missed = 0;
                self.refresh_history(false);
            }
            Command::EarlierCalls => {
                let before_ms = self.state.history.last().map_or(0, |call| call.began_ms);
                self.refresh(move |queries| async move {
                    Answer::Earlier(queries.history(before_ms, HISTORY, true).await)
                });
            }
            Command::Dismiss => {
                self.state.notice = None;
                self.state.call.take_if(|call| !call.going());
            }
            Command::Retry => self.retry(),
            Command::OpenLink(link) => {
                if let Ok(profile) = Profile::load(&self.options.folder) {
                    self.state.notice = opened(&link, &profile);
                }
            }
            Command::JoinAgain => {
                if matches!(self.state.connection, Connection::Refused(_)) {
                    // Whoever was at that relay is not to be seen at another.
                    self.state = State::default();
                }
            }
        }
        self.update_ring();
    }

    fn join(&mut self, join: Join) {
        if matches!(self.state.access, Access::Welcome) {
            self.state.access = Access::Joining;
            self.state.notice = None;
            let folder = self.options.folder.clone();
            self.work(async move { Answer::Joined(super::join::enter(&folder, join).await) });
        }
    }

    async fn call(&mut self, name: String) {
        if self.state.in_call() {
            return;
        }
        if self.client.is_none() {
            self.state.notice = Some(Notice::problem("You are not connected to the relay: wait until you are."));
            return;
        }
        let id = CallId(rand::random());
        self.state.call = Some(Call::new(id, name.clone(), Phase::RingingOut { devices: None }));
        self.prepare(id);
        let ports = self.ports();
        match (&self.client, ports) {
            (Some(client), Some(ports)) => client.call_as(id, &name, ports).await,
            // Why it cannot be held is told.
            _ => self.state.call = None,
        }
    }

    async fn accept(&mut self, camera: bool) {
        let Some(call) = self.state.call.as_mut().filter(|call| call.phase == Phase::RingingIn) else { return };
        (call.phase, call.camera_off) = (Phase::Connecting, !camera);
        let id = call.id;
        if let Some(media) = &self.media {
            media.control.set_camera_off(!camera);
        }
        if !camera {
            self.options.maker.set_camera_off(true);
        }
        let ports = self.ports();
        match (&self.client, ports) {
            (Some(client), Some(ports)) => client.accept(id, ports).await,
            // Why it cannot be held is told.
            (Some(client), None) => client.end(id).await,
            (None, _) => {}
        }
    }

    /// Changes a switch, here and at the other side.
    async fn switch(&mut self, change: impl FnOnce(&mut Call)) {
        let Some(call) = self.state.call.as_mut().filter(|call| call.going()) else { return };
        let was_off = call.camera_off;
        change(call);
        if call.camera_off != was_off {
            self.options.maker.set_camera_off(call.camera_off);
        }
        if let Some(media) = &self.media {
            media.control.set_muted(call.muted);
            media.control.set_camera_off(call.camera_off);
        }
        if let Some(client) = self.client.as_ref().filter(|_| call.is_live()) {
            client.set_media_state(call.muted, call.camera_off).await;
        }
    }

    /// The other side learns what is switched off, and what not.
    async fn went_live(&mut self) {
        let Some(call) = &self.state.call else { return };
        // Also that nothing is: the call may have been resumed, and what was switched meanwhile was not told.
        if let Some(client) = &self.client {
            client.set_media_state(call.muted, call.camera_off).await;
        }
    }

    /// Gets encoders and devices ready while it rings: the first picture then follows the accept at once.
    fn prepare(&mut self, call: CallId) {
        self.release();
        let Options { maker, settings, clock, .. } = &mut self.options;
        match Media::start(call, &mut **maker, settings, *clock) {
            Ok((media, troubles)) => {
                self.media = Some(media);
                if !troubles.is_empty() {
                    self.state.notice = Some(Notice::problem(troubles.join(" ")));
                }
            }
            Err(error) => {
                self.state.notice =
                    Some(Notice::problem(format!("The call cannot be held: {}.", sentence::explain(&error))));
            }
        }
    }

    fn ports(&mut self) -> Option<Ports> {
        self.media.as_mut()?.take_ports()
    }

    /// Lets go of the call's devices and threads.
    fn release(&mut self) {
        let Some(media) = self.media.take() else { return };
        let clock = self.options.clock;
        // Threads are joined beside the engine: a driver that closes slowly holds up nobody.
        tokio::task::spawn_blocking(move || media.finish(clock));
    }

    /// New figures of the call.
    fn look(&mut self, live: Option<Live>) {
        if let Some(call) = self.state.call.as_mut().filter(|call| call.is_live()) {
            call.live = live;
        }
    }

    fn update_ring(&mut self) {
        let ring = match self.state.call.as_ref().map(|call| &call.phase) {
            Some(Phase::RingingIn) => Some(Ring::Incoming),
            Some(Phase::RingingOut { devices: Some(_) }) => Some(Ring::Outgoing),
            _ => None,
        };
        self.options.maker.ring(ring);
    }
}

/// The client's next news; never without a client.
async fn next(events: &mut Option<Events>) -> Option<Event> {
    match events {
        Some(events) => events.recv().await,
        None => std::future::pending().await,
    }
}

/// What a call's media tell; never without one.
async fn told(media: &mut Option<Media>) -> News {
    match media {
        Some(media) => media.news().await,
        None => std::future::pending().await,
    }
}
