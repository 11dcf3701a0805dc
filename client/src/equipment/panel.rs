//! The devices as the window sees them.

use std::sync::Arc;

use super::eye::Eye;
use crate::{
    app::{
        devices::Devices,
        studio::{Check, Own, Seen, Studio},
    },
    sound::{self, CheckState, Role, Tune, level::FLOOR_DB},
    thread::Stage,
};

/// The devices as the window sees them. Main thread.
pub(super) struct Panel {
    pub eye: Option<Eye>,
    pub sound: Option<Arc<sound::Devices>>,
    /// There is a microphone to be listened to.
    pub listens: bool,
    pub listening: Option<sound::Listening>,
    pub checking: Option<sound::Checking>,
    /// The last check was in vain.
    pub nothing_heard: bool,
    pub _news: Stage,
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
