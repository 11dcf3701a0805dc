//! Makes calls' media from the devices, or from what stands in for them.

use std::sync::Arc;

use super::{
    eye::Eye,
    plan::{Plan, SOUND_RATE, Voice},
};
use crate::{
    app::{
        media::{Files, Maker, Ring},
        pictures::Cell,
        settings::Settings,
    },
    call::{Camera, Microphone},
    playback::{PictureSink, Silent, SoundSink},
    sound::{Devices, Tune},
};

/// Makes calls' media. Engine thread.
pub(super) struct Hardware {
    pub plan: Plan,
    pub eye: Option<Eye>,
    pub sound: Option<Arc<Devices>>,
    pub remote: Cell,
    pub own: Cell,
    /// What rings now.
    pub ring: Option<Ring>,
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
