//! The thread that owns the sound devices: opens what is chosen, follows the default, and opens again what has failed.
//!
//! It sleeps until a command or a stream's error comes. While something is open it also looks every `TICK` whether
//! callbacks still come, and every `LOOK` whether the default is another device or the chosen one is back: cpal's
//! ALSA and PulseAudio hosts tell neither.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread::JoinHandle,
    time::Duration,
};

use tokio::sync::watch;
use visavis_proto::time::Timestamp;

use super::{
    device::{Choice, Direction, Error, Open, System},
    line::Line,
    ring::{CaptureReader, PlaybackWriter},
    vigil::Vigil,
};
use crate::{app::devices::Device, chan::latest, clock::Clock, thread::Urgency};

/// How often callbacks are looked for.
const TICK: Duration = Duration::from_millis(50);

/// How often the default and the list are asked for: round trips to the sound server, together below 1 ms.
const LOOK: Duration = Duration::from_secs(1);

/// How long after a failure to try again at first, so that a break is short.
const RETRY_SOON: Duration = Duration::from_millis(100);

/// How long a failure is taken for a server that is being started again. Meanwhile no other host is tried: to open the
/// bare device then would keep the server from having it.
const RESTART: Duration = Duration::from_secs(3);

/// How long after a failure to try again once it has lasted for [`RESTART`].
const RETRY_LATER: Duration = Duration::from_secs(1);

/// A sound system that has not answered for so long hangs: opening a device takes a tenth of it at most.
const HANGS: Duration = Duration::from_secs(2);

/// How long the devices are waited for at the end. One that hangs closes when its server does, or as the program ends.
const FAREWELL: Duration = Duration::from_secs(1);

/// What a device is used for; its number is the index of its `Line`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The person's voice.
    Microphone,
    /// The other's voice.
    Speaker,
    /// What rings, and what tries a speaker.
    Tone,
}

impl Role {
    const ALL: [Self; 3] = [Self::Microphone, Self::Speaker, Self::Tone];

    pub(super) const fn direction(self) -> Direction {
        match self {
            Self::Microphone => Direction::Input,
            Self::Speaker | Self::Tone => Direction::Output,
        }
    }
}

/// What there is and what is used, for people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// Microphones to choose from.
    pub microphones: Vec<Device>,
    /// Speakers and headphones to choose from.
    pub speakers: Vec<Device>,
    /// The id of the system's own choice of a microphone.
    pub default_microphone: Option<String>,
    /// The id of the system's own choice of a speaker.
    pub default_speaker: Option<String>,
    /// By [`Role`]: its device.
    in_use: [Use; 3],
    /// What holds for every role while the sound system does not answer.
    hangs: Option<Use>,
}

/// What is known of a role's device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Use {
    /// The name of the device that is open.
    pub device: Option<String>,
    /// What is wrong with it, as a sentence without its full stop.
    pub trouble: Option<String>,
}

impl Status {
    /// What is known of a role's device.
    pub const fn of(&self, role: Role) -> &Use {
        match &self.hangs {
            Some(hangs) => hangs,
            None => &self.in_use[role as usize],
        }
    }

    fn set_hangs(&mut self, hangs: bool) {
        let trouble = "the sound system does not answer, so nothing is heard: it is used again as soon as it answers, or \
                       else restart it";
        self.hangs = hangs.then(|| Use { device: None, trouble: Some(trouble.to_owned()) });
    }
}

/// Where an open device's end goes. Closed by its reader: then the device is closed too.
#[derive(Debug)]
pub enum Outlet {
    /// To a [`Microphone`](super::microphone::Microphone).
    Input(latest::Writer<CaptureReader>),
    /// To a [`Speaker`](super::speaker::Speaker).
    Output(latest::Writer<PlaybackWriter>),
}

impl Outlet {
    fn is_closed(&self) -> bool {
        match self {
            Self::Input(cell) => cell.is_closed(),
            Self::Output(cell) => cell.is_closed(),
        }
    }
}

#[derive(Debug)]
enum Command {
    Choose(Role, Choice),
    Use(Role, Outlet),
    Sleep(bool),
    Look,
    Broken(Role, u64, String),
    Stop,
}

/// The running manager. It never holds up who asks it for something, whatever its thread waits for. Dropping it closes
/// the devices and ends its thread.
#[derive(Debug)]
pub struct Manager {
    /// A person's clicks, and a report for each stream that fails: so few that no bound is needed.
    commands: Sender<Command>,
    status: watch::Receiver<Status>,
    thread: Option<JoinHandle<()>>,
    /// Closed when the thread ends. Locked by nobody: it makes the manager one that threads can share.
    ended: Mutex<Receiver<()>>,
}

impl Manager {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// If the system gives no threads.
    pub fn start(clock: Clock) -> io::Result<Self> {
        let (commands, received) = mpsc::channel();
        let (alive, ended) = mpsc::channel();
        let (status, watched) = watch::channel(Status::default());
        let status = Arc::new(status);
        let told = status.clone();
        let vigil = Vigil::keep(HANGS, move |hangs| {
            tracing::warn!(hangs, "the sound system's answer");
            told.send_modify(|status| status.set_hangs(hangs));
        })?;
        let reports = commands.clone();
        let thread = std::thread::Builder::new().name("visavis-devices".to_owned()).spawn(move || {
            // Before anything is opened: the threads that call back inherit it.
            Urgency::Prompt.apply();
            let _alive: Sender<()> = alive;
            let work = vigil.begin();
            let system = System::connect(clock);
            drop(work);
            let lines = Role::ALL.map(|_| Line::default());
            let keeper =
                Keeper { system, clock, status, vigil, lines, reports, asleep: false, looked: Timestamp::ZERO };
            keeper.run(&received);
        })?;
        Ok(Self { commands, status: watched, thread: Some(thread), ended: Mutex::new(ended) })
    }

    /// Uses this device for a role, at once if it is in use.
    pub fn choose(&self, role: Role, choice: Choice) {
        self.command(Command::Choose(role, choice));
    }

    /// Opens the role's device into this outlet, in the place of the one before, until the outlet is closed.
    pub fn employ(&self, role: Role, outlet: Outlet) {
        self.command(Command::Use(role, outlet));
    }

    /// Closes every device, or opens again what is employed.
    pub fn sleep(&self, asleep: bool) {
        self.command(Command::Sleep(asleep));
    }

    /// Looks anew what there is.
    pub fn look(&self) {
        self.command(Command::Look);
    }

    /// What there is and what is used, whenever it changes.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    fn command(&self, command: Command) {
        // The thread is gone only after a panic, which its join reports.
        let _gone = self.commands.send(command);
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        self.command(Command::Stop);
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        if ended.recv_timeout(FAREWELL) == Err(RecvTimeoutError::Timeout) {
            return tracing::warn!("the sound system does not answer: its devices are left to it");
        }
        if let Some(thread) = self.thread.take()
            && let Err(panic) = thread.join()
        {
            tracing::error!(?panic, "the sound devices' thread panicked");
        }
    }
}

struct Keeper {
    system: System,
    clock: Clock,
    status: Arc<watch::Sender<Status>>,
    vigil: Vigil,
    lines: [Line; 3],
    reports: Sender<Command>,
    asleep: bool,
    looked: Timestamp,
}

impl Keeper {
    fn run(mut self, commands: &Receiver<Command>) {
        self.look();
        // Also when there is nothing: somebody waits to know.
        self.status.send_modify(|_| {});
        loop {
            let idle = self.asleep || self.lines.iter().all(|line| line.outlet.is_none());
            let command = if idle {
                commands.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                commands.recv_timeout(TICK)
            };
            match command {
                Ok(Command::Choose(role, choice)) => {
                    if std::mem::replace(&mut self.line(role).choice, choice.clone()) != choice {
                        self.reopen(role);
                    }
                }
                Ok(Command::Use(role, outlet)) => {
                    self.line(role).outlet = Some(outlet);
                    self.reopen(role);
                }
                Ok(Command::Sleep(asleep)) => {
                    if std::mem::replace(&mut self.asleep, asleep) != asleep {
                        Role::ALL.into_iter().for_each(|role| self.reopen(role));
                    }
                }
                Ok(Command::Look) => self.look(),
                Ok(Command::Broken(role, generation, why)) => {
                    if self.line(role).generation == generation && self.line(role).open.is_some() {
                        tracing::info!(?role, why, "a sound device failed");
                        self.reopen(role);
                    }
                }
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.watch();
        }
    }

    const fn line(&mut self, role: Role) -> &mut Line {
        &mut self.lines[role as usize]
    }

    fn watch(&mut self) {
        let now = self.clock.now();
        let look = now.since(self.looked) >= LOOK;
        if look {
            self.look();
        }
        for role in Role::ALL {
            let line = self.line(role);
            let closed = line.outlet.as_ref().is_some_and(Outlet::is_closed);
            if closed {
                line.outlet = None;
            }
            if closed
                || line.wants_longer_period(now)
                || line.is_stalled(now)
                || line.retry_at.is_some_and(|at| now >= at)
                || (look && self.is_another_one_meant(role))
            {
                self.reopen(role);
            } else if look && self.is_chosen_back(role) {
                self.come_back(role);
            }
        }
    }

    /// Sees what there is now.
    fn look(&mut self) {
        let _work = self.vigil.begin();
        self.looked = self.clock.now();
        if self.system.is_second_choice() {
            let better = System::connect(self.clock);
            if !better.is_same_as(&self.system) {
                tracing::info!("a sound server has come");
                self.system = better;
                Role::ALL.into_iter().for_each(|role| self.reopen(role));
            }
        }
        let found = Status {
            microphones: self.system.list(Direction::Input),
            speakers: self.system.list(Direction::Output),
            default_microphone: self.system.default_id(Direction::Input),
            default_speaker: self.system.default_id(Direction::Output),
            ..Status::default()
        };
        self.status.send_if_modified(|status| {
            let found = Status { in_use: status.in_use.clone(), hangs: status.hangs.clone(), ..found };
            let changed = *status != found;
            *status = found;
            changed
        });
    }

    /// The default is another device now, or the chosen one has gone and the server plays elsewhere.
    fn is_another_one_meant(&mut self, role: Role) -> bool {
        let _work = self.vigil.begin();
        let line = &self.lines[role as usize];
        let Some(open) = &line.open else { return false };
        let meant = self.system.chosen_id(role.direction(), &line.choice);
        match (&line.choice, meant) {
            (Choice::Default, meant) => meant.is_some_and(|id| id != open.id),
            (Choice::Device(_), Some(_)) => false,
            (Choice::Device(_), None) => !line.stands_in,
        }
    }

    /// The chosen device, for which another one stands in, is there again.
    fn is_chosen_back(&self, role: Role) -> bool {
        let line = &self.lines[role as usize];
        if line.open.is_none() || !line.stands_in {
            return false;
        }
        let _work = self.vigil.begin();
        self.system.chosen_id(role.direction(), &line.choice).is_some()
    }

    /// Opens the chosen device beside the one that stands in, and changes over once it is open: a device that is there
    /// and refuses breaks nothing off.
    fn come_back(&mut self, role: Role) {
        let _work = self.vigil.begin();
        let now = self.clock.now();
        self.line(role).generation += 1;
        let choice = self.line(role).choice.clone();
        match self.open(role, &choice) {
            Ok(open) => {
                let told = self.line(role).take(role, open, false, now);
                self.tell(role, told);
            }
            Err(error) => {
                tracing::debug!(?role, %error, "the chosen sound device refuses");
                self.line(role).generation -= 1;
            }
        }
    }

    /// Closes a role's device and opens what is meant now, if it is wanted.
    fn reopen(&mut self, role: Role) {
        let _work = self.vigil.begin();
        let (now, asleep) = (self.clock.now(), self.asleep);
        let line = self.line(role);
        // A device may allow only one stream: the old one is closed first.
        line.open = None;
        line.retry_at = None;
        line.generation += 1;
        if line.outlet.is_none() || asleep {
            line.failed_since = None;
            return self.tell(role, Use::default());
        }
        let choice = line.choice.clone();
        let opened = self.open(role, &choice).map(|open| (open, false)).or_else(|error| match choice {
            Choice::Default => Err(error),
            // Any device is better than none while the chosen one is away.
            Choice::Device(_) => self.open(role, &Choice::Default).map(|open| (open, true)).map_err(|_| error),
        });
        let told = match opened {
            Ok((open, stands_in)) => self.line(role).take(role, open, stands_in, now),
            Err(error) => {
                let line = self.line(role);
                let lasts = now.since(*line.failed_since.get_or_insert(now));
                line.retry_at = Some(now + if lasts < RESTART { RETRY_SOON } else { RETRY_LATER });
                if !self.system.answers() {
                    let other = || (lasts >= RESTART).then(|| System::connect(self.clock));
                    if let Some(system) = self.system.again().or_else(other) {
                        self.system = system;
                        if lasts < RESTART {
                            self.line(role).retry_at = Some(now + TICK);
                        }
                    }
                }
                Use { device: None, trouble: Some(error.to_string()) }
            }
        };
        self.tell(role, told);
    }

    fn tell(&self, role: Role, told: Use) {
        self.status.send_if_modified(|status| {
            let known = &mut status.in_use[role as usize];
            let changed = *known != told;
            *known = told;
            changed
        });
    }

    fn open(&self, role: Role, choice: &Choice) -> Result<Open, Error> {
        let Line { generation, period_us, outlet, .. } = &self.lines[role as usize];
        let reports = self.reports.clone();
        let generation = *generation;
        let mut told = false;
        let on_error = move |error: cpal::Error| {
            // Once: cpal's ALSA host repeats an error until the stream is dropped.
            if !told {
                told = reports.send(Command::Broken(role, generation, error.to_string())).is_ok();
            }
        };
        match outlet {
            Some(Outlet::Input(cell)) => {
                let (open, reader) = self.system.open_input(choice, *period_us, on_error)?;
                cell.put(reader);
                Ok(open)
            }
            Some(Outlet::Output(cell)) => {
                let (open, writer) = self.system.open_output(choice, *period_us, on_error)?;
                cell.put(writer);
                Ok(open)
            }
            None => Err(Error::Missing(role.direction())),
        }
    }
}
