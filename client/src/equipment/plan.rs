//! What stands in for devices: files, and generated scenes; for demos, tests, and computers without a camera.

use std::path::PathBuf;

use visavis_proto::units::Bitrate;

use crate::{
    app::{media::Files, pictures::Cell, settings},
    call::{Camera, Microphone},
    capture::{sound, video},
};

/// Bits per second of sound.
pub const SOUND_RATE: Bitrate = Bitrate::from_kbps(48);

/// Pictures per second of a scene.
const SCENE_RATE: f64 = 30.0;

/// What calls show and say.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What others see.
    pub pictures: Pictures,
    /// What others hear.
    pub voice: Voice,
    /// Others are heard, and it rings.
    pub aloud: bool,
    /// Pictures per second of files and scenes, instead of their own.
    pub frames_per_second: Option<f64>,
    /// Where the figures of calls go.
    pub files: Files,
}

/// What others see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pictures {
    /// What the camera sees.
    Camera,
    /// A y4m file.
    File(PathBuf),
    /// A generated scene.
    Scene {
        /// Width and height in pixels.
        size: (u32, u32),
        /// The same draws the same.
        seed: u64,
    },
}

/// What others hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Voice {
    /// What the microphone hears.
    Microphone,
    /// A wav file.
    File(PathBuf),
    /// A generated voice; the same seed says the same.
    Scene(u64),
}

impl Plan {
    /// Looks whether the files are there and can be used, before a call needs them.
    ///
    /// # Errors
    ///
    /// A sentence for the person if one cannot be used.
    pub fn verify(&self) -> anyhow::Result<()> {
        if let Pictures::File(path) = &self.pictures {
            video::Y4mFile::open(path)?;
        }
        if let Voice::File(path) = &self.voice {
            sound::WavFile::open(path)?;
        }
        Ok(())
    }

    /// What stands in for the camera, seen in `own` too; `None` if the camera is to be used.
    ///
    /// # Errors
    ///
    /// A sentence for the person if the file cannot be used.
    pub fn camera(&self, settings: &settings::Camera, own: &Cell) -> anyhow::Result<Option<Camera>> {
        let (reel, rate): (Box<dyn video::Reel>, f64) = match &self.pictures {
            Pictures::Camera => return Ok(None),
            Pictures::File(path) => {
                let file = video::Y4mFile::open(path)?;
                let rate = self.frames_per_second.map_or_else(|| file.frames_per_second(), Ok)?;
                (Box::new(file), rate)
            }
            Pictures::Scene { size: (width, height), seed } => {
                let scene = video::Generated::new(*width, *height, *seed);
                (Box::new(scene), self.frames_per_second.unwrap_or(SCENE_RATE))
            }
        };
        let camera = Camera::h264(reel, rate, settings.video_rate())?;
        Ok(Some(Camera { preview: Some(own.preview()), ..camera }))
    }

    /// What stands in for the microphone; `None` if that is to be used.
    ///
    /// # Errors
    ///
    /// A sentence for the person if the file cannot be used.
    pub fn microphone(&self) -> anyhow::Result<Option<Microphone>> {
        let source: Box<dyn sound::Source> = match &self.voice {
            Voice::Microphone => return Ok(None),
            Voice::File(path) => Box::new(sound::WavFile::open(path)?),
            Voice::Scene(seed) => Box::new(sound::Generated::new(*seed)),
        };
        Ok(Some(Microphone { source, rate: SOUND_RATE }))
    }
}
