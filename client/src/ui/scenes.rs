//! Files and generated scenes in place of devices: for demos, tests, and computers without a camera.

use std::path::PathBuf;

use visavis_proto::units::Bitrate;

use super::{
    pictures::Cell,
    screens::{Check, Picture},
    studio::Studio,
};
use crate::{
    app::{
        devices::Devices,
        media::{Files, Maker, Ring},
        settings::Settings,
    },
    call::{Camera, Microphone},
    capture::{sound, video},
    playback::{PictureSink, Silent, SoundSink},
};

/// Bits per second of sound.
const SOUND_RATE: Bitrate = Bitrate::from_kbps(48);

/// What is shown and said.
#[derive(Debug, Clone)]
pub struct Plan {
    /// A y4m file; a generated scene otherwise.
    pub video: Option<PathBuf>,
    /// A wav file; a generated voice otherwise.
    pub audio: Option<PathBuf>,
    /// Width and height of the generated scene, in pixels.
    pub size: (u32, u32),
    /// Pictures per second.
    pub frames_per_second: u32,
    /// The same seed draws the same scene and speaks the same sounds.
    pub seed: u64,
    /// Where the figures of calls go.
    pub files: Files,
}

/// Makes calls' media from a plan. What the other says is not played: there is no speaker.
pub struct Scenes {
    plan: Plan,
    remote: Cell,
    own: Cell,
}

impl Scenes {
    /// Shows the other's pictures in `remote` and one's own in `own`.
    pub const fn new(plan: Plan, remote: Cell, own: Cell) -> Self {
        Self { plan, remote, own }
    }
}

impl Maker for Scenes {
    fn camera(&mut self, settings: &Settings) -> anyhow::Result<Option<Camera>> {
        let (width, height) = self.plan.size;
        let reel: Box<dyn video::Reel> = match &self.plan.video {
            Some(path) => Box::new(video::Y4mFile::open(path)?),
            None => Box::new(video::Generated::new(width, height, self.plan.seed)),
        };
        let rate = settings.camera.video_rate();
        let camera = Camera::h264(reel, f64::from(self.plan.frames_per_second), rate)?;
        Ok(Some(Camera { preview: Some(self.own.preview()), ..camera }))
    }

    fn microphone(&mut self, _settings: &Settings) -> anyhow::Result<Option<Microphone>> {
        let source: Box<dyn sound::Source> = match &self.plan.audio {
            Some(path) => Box::new(sound::WavFile::open(path)?),
            None => Box::new(sound::Generated::new(self.plan.seed)),
        };
        Ok(Some(Microphone { source, rate: SOUND_RATE }))
    }

    fn screen(&mut self) -> Box<dyn PictureSink> {
        Box::new(self.remote.sink())
    }

    fn speaker(&mut self, _settings: &Settings) -> Box<dyn SoundSink> {
        Box::<Silent>::default()
    }

    fn apply(&mut self, _settings: &Settings) {
        // Files and scenes are what they are.
    }

    fn ring(&mut self, _ring: Option<Ring>) {
        // Seen, not heard.
    }

    fn files(&self) -> Files {
        self.plan.files.clone()
    }
}

/// No device at all.
#[derive(Debug, Clone, Copy)]
pub struct NoDevices;

impl Studio for NoDevices {
    fn devices(&self) -> Devices {
        Devices::default()
    }

    fn camera(&self) -> Picture<'_> {
        Picture::Fault("In calls, a file or a generated scene is shown instead of a camera.")
    }

    fn level(&self) -> Option<f32> {
        None
    }

    fn check(&self) -> Check {
        Check::Idle
    }

    fn want(&mut self, _wanted: bool, _settings: &Settings) {}

    fn test_tone(&mut self, _settings: &Settings) {}

    fn start_check(&mut self, _settings: &Settings) {}

    fn stop_check(&mut self) {}
}
