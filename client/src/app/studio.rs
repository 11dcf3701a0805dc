//! What the window needs of cameras, microphones and speakers beside calls: their names, a preview, a level, a sound
//! check. A seam: devices behind it, or none. Main thread.

use super::devices::Devices;

/// The devices as the window sees them. Nothing here may block; whoever has news wakes the window.
pub trait Studio {
    /// How things are, for the next drawing.
    fn look(&mut self) -> Seen;

    /// Camera and microphone are wanted, or no longer, although nobody is in a call: for the preview and the level.
    fn want(&mut self, wanted: bool);

    /// A tone on the chosen speaker.
    fn test_tone(&mut self);

    /// Records a few seconds and plays them back.
    fn start_check(&mut self);

    /// Ends that.
    fn stop_check(&mut self);
}

/// How things are.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// What can be chosen, and what is wrong with it.
    pub devices: Devices,
    /// How things are with one's own picture.
    pub own: Own,
    /// How loud the microphone is, 0 to 1, while it is open.
    pub level: Option<f32>,
    /// How the sound check goes.
    pub check: Check,
}

/// The sound check before a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Check {
    /// Not running.
    #[default]
    Idle,
    /// Speak now.
    Recording,
    /// This is how one is heard.
    Playing,
    /// The last one heard nothing but silence.
    NothingHeard,
}

/// How things are with one's own picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Own {
    /// Pictures come.
    Live,
    /// The camera is closed, or is being opened: what came before is not shown any more.
    Starting,
    /// Something keeps pictures from coming: one sentence says what, and what to do.
    Fault(String),
    /// Something else is shown instead of a camera, in calls alone.
    StandIn,
}
