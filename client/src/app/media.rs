//! A call's media, made from the settings of the moment. A seam: devices behind the window, generated scenes and files
//! in demos and tests.

use std::path::PathBuf;

use crate::{
    call,
    playback::{PictureSink, SoundSink},
};

use super::settings::Settings;

/// Makes what a call needs. Runs on the engine's thread; must not block for longer than it takes to make threads:
/// devices open behind the sources that are handed over.
pub trait Maker: Send {
    /// Pictures of this person, also shown to themselves.
    ///
    /// # Errors
    ///
    /// A sentence for the person; the call goes on without.
    fn camera(&mut self, settings: &Settings) -> anyhow::Result<Option<call::Camera>>;

    /// This person's voice.
    ///
    /// # Errors
    ///
    /// A sentence for the person; the call goes on without.
    fn microphone(&mut self, settings: &Settings) -> anyhow::Result<Option<call::Microphone>>;

    /// Where the other's pictures are shown.
    fn screen(&mut self) -> Box<dyn PictureSink>;

    /// Where the other is heard.
    fn speaker(&mut self, settings: &Settings) -> Box<dyn SoundSink>;

    /// Settings have changed, perhaps during a call: devices are switched.
    fn apply(&mut self, settings: &Settings);

    /// The camera of the call is switched off, or on again; a call begins with it on.
    fn set_camera_off(&mut self, off: bool);

    /// It begins or ceases to ring here.
    fn ring(&mut self, ring: Option<Ring>);

    /// Where the figures of the next call go.
    fn files(&self) -> Files {
        Files::default()
    }
}

/// Where the figures of a call go, if they are wanted; those of a later call take their place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    /// One JSON line a frame.
    pub stats: Option<PathBuf>,
    /// The call report.
    pub report: Option<PathBuf>,
}

/// What rings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ring {
    /// Somebody calls.
    Incoming,
    /// This person calls: the tone that says that it rings there.
    Outgoing,
}
