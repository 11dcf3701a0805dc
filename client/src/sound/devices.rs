//! The door to the sound devices: owned by the program for its life, asked by each call for its two ends.

use std::{
    io,
    sync::{Mutex, PoisonError},
};

use tokio::sync::watch;

use super::{
    BLOCK_SAMPLES, Choice, Role, Status, Switches, Tune,
    check::{self, Check},
    ends::{Between, Ear, Level, Voice},
    manager::{Manager, Outlet},
    microphone::Microphone,
    speaker::Speaker,
    tone::Tones,
};
use crate::{
    app::settings,
    capture::sound::{Next, Source},
    chan::latest::latest,
    clock::Clock,
    playback::{SoundSink, Want},
    thread::{Stage, Urgency},
};

/// Microphones and speakers. Dropping it closes them.
#[derive(Debug)]
pub struct Devices {
    manager: Manager,
    switches: watch::Sender<Switches>,
    between: Between,
    level: Level,
    tune: Mutex<Tuning>,
    clock: Clock,
}

/// What is played beside calls.
#[derive(Debug, Default)]
struct Tuning {
    /// The speaker and the ring device that were chosen.
    speaker: Choice,
    ring: Choice,
    playing: Option<Stage>,
}

/// Keeps the microphone open, so that its level is known, until it is dropped.
#[derive(Debug)]
pub struct Listening(#[expect(dead_code, reason = "its drop ends the thread")] Stage);

/// A check before a call: what is said is recorded and then played back. Dropping it ends it.
#[derive(Debug)]
pub struct Checking {
    /// What it is at.
    pub state: watch::Receiver<check::State>,
    _stage: Stage,
}

impl Devices {
    /// Starts the thread that keeps the devices; none is opened before somebody wants to hear or to be heard.
    ///
    /// # Errors
    ///
    /// If the system gives no thread.
    pub fn start(clock: Clock) -> io::Result<Self> {
        Ok(Self {
            manager: Manager::start(clock)?,
            switches: watch::Sender::new(Switches::default()),
            between: Between::default(),
            level: Level::default(),
            tune: Mutex::default(),
            clock,
        })
    }

    /// What can be chosen, what is in use, and what is wrong with it, whenever that changes. While a device is in use
    /// it is kept up to date; else [`look`](Self::look) does that.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.manager.status()
    }

    /// Looks anew what can be chosen.
    pub fn look(&self) {
        self.manager.look();
    }

    /// Uses another device, at once if one is in use: [`Role::Tone`] is what rings.
    pub fn choose(&self, role: Role, choice: Choice) {
        let mut tune = self.tune.lock().unwrap_or_else(PoisonError::into_inner);
        match role {
            Role::Microphone => {}
            Role::Speaker => tune.speaker = choice.clone(),
            Role::Tone => {
                // Told when it rings: meanwhile a speaker may be tried.
                tune.ring = choice;
                return;
            }
        }
        self.manager.choose(role, choice);
    }

    /// Takes over what a person has set.
    pub fn apply(&self, settings: &settings::Sound) {
        let choice = |id: &Option<String>| id.clone().map_or(Choice::Default, Choice::Device);
        self.choose(Role::Microphone, choice(&settings.microphone));
        self.choose(Role::Speaker, choice(&settings.speaker));
        self.choose(Role::Tone, choice(settings.ring.as_ref().map_or(&settings.speaker, |_| &settings.ring)));
        self.switch(Switches {
            echo: settings.cancel_echo,
            noise: settings.suppress_noise,
            gain: settings.control_gain,
            high_pass: true,
        });
    }

    /// Switches what is done to the microphone's sound, at once if it is in use.
    pub fn switch(&self, switches: Switches) {
        self.switches.send_if_modified(|now| std::mem::replace(now, switches) != switches);
    }

    /// The microphone's level in dB relative to full scale, -60 to 0, before anything is done to it. -60 while nobody
    /// listens.
    pub fn level_db(&self) -> f32 {
        self.level.db()
    }

    /// Closes every device, whatever was handed out, or opens them again: nothing listens while nobody calls.
    pub fn sleep(&self, asleep: bool) {
        self.manager.sleep(asleep);
    }

    /// A call's microphone. It takes the place of one that was handed out before.
    pub fn microphone(&self) -> Box<dyn Source> {
        Box::new(self.voice(Some(self.between.clone())))
    }

    /// A call's speaker. It takes the place of one that was handed out before, and the microphone of the call does not
    /// hear it.
    pub fn speaker(&self) -> Box<dyn SoundSink> {
        let (outlet, devices) = latest();
        self.manager.employ(Role::Speaker, Outlet::Output(outlet));
        Box::new(Ear::new(Speaker::new(devices), &self.between))
    }

    /// Plays a tune instead of the one before; `None` ends it. What rings for a call that comes in has a device of its
    /// own; the others come from the speaker, where the other will be heard.
    ///
    /// # Errors
    ///
    /// If the system gives no thread.
    pub fn play(&self, tune: Option<Tune>) -> io::Result<()> {
        let mut tuning = self.tune.lock().unwrap_or_else(PoisonError::into_inner);
        tuning.playing = None;
        let Some(tune) = tune else { return Ok(()) };
        let choice = if tune == Tune::Incoming { &tuning.ring } else { &tuning.speaker };
        let (mut speaker, clock) = (self.tone(choice.clone()), self.clock);
        tuning.playing = Some(Stage::spawn("visavis-tone", Urgency::Prompt, move || async move {
            let mut tones = Tones::new(tune);
            let mut block = [0.0; BLOCK_SAMPLES];
            loop {
                let now = clock.now();
                match speaker.poll(now) {
                    Want::Wait(at) => tokio::time::sleep_until(clock.instant(at)).await,
                    Want::Block => {
                        let more = tones.fill(&mut block);
                        let heard = speaker.play(&block, now);
                        if !more {
                            // The device is closed once the last of it was heard.
                            return tokio::time::sleep_until(clock.instant(heard)).await;
                        }
                    }
                }
            }
        })?);
        Ok(())
    }

    /// Listens to the microphone, for its level; for use without a call.
    ///
    /// # Errors
    ///
    /// If the system gives no thread.
    pub fn listen(&self) -> io::Result<Listening> {
        let (mut voice, clock) = (self.voice(None), self.clock);
        Ok(Listening(Stage::spawn("visavis-listen", Urgency::Usual, move || async move {
            let mut block = [0.0; BLOCK_SAMPLES];
            loop {
                if let Next::Wait(at) = voice.poll(clock.now(), &mut block) {
                    tokio::time::sleep_until(clock.instant(at)).await;
                }
            }
        })?))
    }

    /// Records four seconds of what the other would hear, and plays them back; for use without a call.
    ///
    /// # Errors
    ///
    /// If the system gives no thread.
    pub fn check(&self) -> io::Result<Checking> {
        let choice = self.tune.lock().unwrap_or_else(PoisonError::into_inner).speaker.clone();
        let (mut voice, mut speaker, clock) = (self.voice(None), self.tone(choice), self.clock);
        let (sender, state) = watch::channel(check::State::Recording);
        let stage = Stage::spawn("visavis-check", Urgency::Prompt, move || async move {
            let mut check = Check::default();
            let mut block = [0.0; BLOCK_SAMPLES];
            while matches!(check.state(), check::State::Recording | check::State::Playing) {
                let now = clock.now();
                let wait = match check.state() {
                    check::State::Recording => match voice.poll(now, &mut block) {
                        Next::Wait(at) => Some(at),
                        Next::Block(_) => {
                            check.record(&block);
                            None
                        }
                    },
                    _ => match speaker.poll(now) {
                        Want::Wait(at) => Some(at),
                        Want::Block => {
                            check.play(&mut block);
                            speaker.play(&block, now);
                            None
                        }
                    },
                };
                sender.send_if_modified(|state| std::mem::replace(state, check.state()) != check.state());
                if let Some(at) = wait {
                    tokio::time::sleep_until(clock.instant(at)).await;
                }
            }
        })?;
        Ok(Checking { state, _stage: stage })
    }

    fn voice(&self, between: Option<Between>) -> Voice {
        let (outlet, devices) = latest();
        self.manager.employ(Role::Microphone, Outlet::Input(outlet));
        Voice::new(Microphone::new(devices), self.switches.subscribe(), between, self.level.clone())
    }

    fn tone(&self, choice: Choice) -> Speaker {
        let (outlet, devices) = latest();
        self.manager.choose(Role::Tone, choice);
        self.manager.employ(Role::Tone, Outlet::Output(outlet));
        Speaker::new(devices)
    }
}
