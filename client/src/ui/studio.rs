//! What the window needs of cameras, microphones and speakers beside calls: their names, a preview, a level, a sound
//! check. A seam: devices behind it, or none. Main thread.

use super::screens::{Check, Picture};
use crate::app::{devices::Devices, settings::Settings};

/// The devices as the window sees them. Nothing here may block; whoever has news wakes the window
/// ([`super::waker::Waker::state`]).
pub trait Studio {
    /// What can be chosen.
    fn devices(&self) -> Devices;

    /// How things are with one's own picture, while none has come.
    fn camera(&self) -> Picture<'_>;

    /// How loud the microphone is, 0 to 1, while it is open.
    fn level(&self) -> Option<f32>;

    /// How the sound check goes.
    fn check(&self) -> Check;

    /// Camera and microphone are wanted, or no longer, although nobody is in a call: for the preview and the level.
    /// Called whenever that or the settings change.
    fn want(&mut self, wanted: bool, settings: &Settings);

    /// A tone on the chosen speaker.
    fn test_tone(&mut self, settings: &Settings);

    /// Records a few seconds and plays them back.
    fn start_check(&mut self, settings: &Settings);

    /// Ends that.
    fn stop_check(&mut self);
}
