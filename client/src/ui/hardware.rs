//! Camera, microphone and speaker behind the window, or what stands in for them.
//!
//! ```text
//! engine thread: Hardware (Maker) --- calls' sources and sinks, ringing --+
//!                                                                         +--> Eye, sound::Devices
//! main thread:   Panel (Studio) ----- preview, level, check, test tone ---+       |
//!      ^                                                                          |
//!      +-- waker <------------------- news thread <------------------ what changed
//! ```

use std::{io, sync::Arc};

use super::{
    eye::Eye,
    pictures::Cell,
    scenes::{Pictures, Plan, SOUND_RATE, Voice},
    screens::Check,
    studio::{Own, Seen, Studio},
    waker::Waker,
    window::{Desk, Equipment},
};
use crate::{
    app::{
        devices::Devices,
        media::{Files, Maker, Ring},
        settings::Settings,
    },
    call::{Camera, Microphone},
    playback::{PictureSink, Silent, SoundSink},
    sound::{self, CheckState, Role, Tune, level::FLOOR_DB},
    thread::{Stage, Urgency},
};

/// Joins the devices that `plan` asks for to the window.
///
/// # Errors
///
/// If the system gives no threads.
pub fn equip(plan: Plan, settings: &Settings, desk: &Desk) -> io::Result<Equipment> {
    let eye = match plan.pictures {
        Pictures::Camera => Some(Eye::start(&settings.camera, desk.clock, &desk.own)?),
        Pictures::File(_) | Pictures::Scene { .. } => None,
    };
    let listens = plan.voice == Voice::Microphone;
    let sound = if listens || plan.aloud { Some(Arc::new(sound::Devices::start(desk.clock)?)) } else { None };
    if let Some(sound) = &sound {
        sound.apply(&settings.sound);
    }
    let news = news(eye.as_ref(), sound.as_deref(), desk.waker.clone())?;
    let panel = Panel {
        eye: eye.clone(),
        sound: sound.clone(),
        listens,
        listening: None,
        checking: None,
        nothing_heard: false,
        _news: news,
    };
    let hardware = Hardware { plan, eye, sound, remote: desk.remote.clone(), own: desk.own.clone(), ring: None };
    Ok(Equipment { maker: Box::new(hardware), studio: Box::new(panel) })
}

/// Wakes the window whenever something about the devices has changed.
fn news(eye: Option<&Eye>, sound: Option<&sound::Devices>, waker: Waker) -> io::Result<Stage> {
    let (mut eye, mut sound) = (eye.map(Eye::news), sound.map(sound::Devices::status));
    Stage::spawn("visavis-news", Urgency::Usual, move || async move {
        loop {
            let seen = async {
                match &mut eye {
                    Some(eye) => eye.changed().await,
                    None => std::future::pending().await,
                }
            };
            let heard = async {
                let changed = match &mut sound {
                    Some(sound) => sound.changed().await.is_ok(),
                    None => false,
                };
                if !changed {
                    std::future::pending().await
                }
            };
            tokio::select! {
                () = seen => {}
                () = heard => {}
            }
            waker.state();
        }
    })
}

/// Makes calls' media. Engine thread.
struct Hardware {
    plan: Plan,
    eye: Option<Eye>,
    sound: Option<Arc<sound::Devices>>,
    remote: Cell,
    own: Cell,
    /// What rings now.
    ring: Option<Ring>,
}

impl Maker for Hardware {
    fn camera(&mut self, settings: &Settings) -> anyhow::Result<Option<Camera>> {
        match &self.eye {
            Some(eye) => {
                let rate = f64::from(settings.camera.max_fps);
                Ok(Some(Camera::h264_of(eye.source()?, rate, settings.camera.video_rate())?))
            }
            None => self.plan.camera(&settings.camera, &self.own),
        }
    }

    fn microphone(&mut self, _settings: &Settings) -> anyhow::Result<Option<Microphone>> {
        match &self.sound {
            Some(sound) if self.plan.voice == Voice::Microphone => {
                sound.look();
                Ok(Some(Microphone { source: sound.microphone(), rate: SOUND_RATE }))
            }
            _ => self.plan.microphone(),
        }
    }

    fn screen(&mut self) -> Box<dyn PictureSink> {
        Box::new(self.remote.sink())
    }

    fn speaker(&mut self, _settings: &Settings) -> Box<dyn SoundSink> {
        match &self.sound {
            Some(sound) if self.plan.aloud => sound.speaker(),
            _ => Box::<Silent>::default(),
        }
    }

    fn apply(&mut self, settings: &Settings) {
        if let Some(eye) = &self.eye {
            eye.apply(&settings.camera);
        }
        if let Some(sound) = &self.sound {
            sound.apply(&settings.sound);
        }
    }

    fn set_camera_off(&mut self, off: bool) {
        if let Some(eye) = &self.eye {
            eye.set_off(off);
        }
    }

    fn ring(&mut self, ring: Option<Ring>) {
        if std::mem::replace(&mut self.ring, ring) == ring {
            return;
        }
        let Some(sound) = self.sound.as_ref().filter(|_| self.plan.aloud) else { return };
        let tune = ring.map(|ring| match ring {
            Ring::Incoming => Tune::Incoming,
            Ring::Outgoing => Tune::Outgoing,
        });
        if let Err(error) = sound.play(tune) {
            tracing::warn!(%error, "the ring tone cannot be played");
        }
    }

    fn files(&self) -> Files {
        self.plan.files.clone()
    }
}

/// The devices as the window sees them. Main thread.
struct Panel {
    eye: Option<Eye>,
    sound: Option<Arc<sound::Devices>>,
    /// There is a microphone to be listened to.
    listens: bool,
    listening: Option<sound::Listening>,
    checking: Option<sound::Checking>,
    /// The last check was in vain.
    nothing_heard: bool,
    _news: Stage,
}

impl Studio for Panel {
    fn look(&mut self) -> Seen {
        let mut devices = Devices::default();
        if let Some(eye) = &self.eye {
            (devices.cameras, devices.camera) = (eye.devices(), eye.name());
        }
        if let Some(sound) = &self.sound {
            let status = sound.status();
            let status = status.borrow();
            devices.microphones.clone_from(&status.microphones);
            devices.speakers.clone_from(&status.speakers);
            devices.microphone = status.of(Role::Microphone).clone();
            devices.speaker = status.of(Role::Speaker).clone();
        }
        let own = self.eye.as_ref().map_or(Own::StandIn, Eye::own);
        let open = devices.microphone.device.is_some();
        let level = self.sound.as_ref().filter(|_| open).map(|sound| 1.0 - sound.level_db() / FLOOR_DB);
        Seen { devices, own, level, check: self.check() }
    }

    fn want(&mut self, wanted: bool) {
        if let Some(eye) = &self.eye {
            eye.want_preview(wanted);
        }
        self.listening = None;
        self.checking = self.checking.take().filter(|_| wanted);
        self.nothing_heard = false;
        if wanted {
            if let Some(sound) = &self.sound {
                sound.look();
            }
            if self.checking.is_none() {
                self.listen();
            }
        }
    }

    fn test_tone(&mut self) {
        if let Some(sound) = &self.sound
            && let Err(error) = sound.play(Some(Tune::Test))
        {
            tracing::warn!(%error, "the test tone cannot be played");
        }
    }

    fn start_check(&mut self) {
        let Some(sound) = self.sound.as_ref().filter(|_| self.listens) else { return };
        (self.listening, self.nothing_heard) = (None, false);
        match sound.check() {
            Ok(checking) => self.checking = Some(checking),
            Err(error) => tracing::warn!(%error, "the sound check cannot be made"),
        }
    }

    fn stop_check(&mut self) {
        self.checking = None;
        self.listen();
    }
}

impl Panel {
    fn listen(&mut self) {
        let Some(sound) = self.sound.as_ref().filter(|_| self.listens) else { return };
        match sound.listen() {
            Ok(listening) => self.listening = Some(listening),
            Err(error) => tracing::warn!(%error, "the microphone's level cannot be shown"),
        }
    }

    /// How the check goes; one that is over makes room for the level again.
    fn check(&mut self) -> Check {
        let state = self.checking.as_ref().map(|checking| *checking.state.borrow());
        match state {
            Some(CheckState::Recording) => return Check::Recording,
            Some(CheckState::Playing) => return Check::Playing,
            Some(state @ (CheckState::Done | CheckState::NothingHeard)) => {
                self.nothing_heard = state == CheckState::NothingHeard;
                self.stop_check();
            }
            None => {}
        }
        if self.nothing_heard { Check::NothingHeard } else { Check::Idle }
    }
}
