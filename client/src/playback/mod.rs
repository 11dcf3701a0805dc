//! Where pictures and sound end: the window (`ui::pictures`), recordings, or nowhere.

pub mod output;
pub mod record;

use visavis_codec::Picture;
use visavis_proto::time::Timestamp;

use crate::{capture::sound::Block, stats::Open};

/// What is known of a picture that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// Count of captured pictures at the sender.
    pub capture: u32,
    /// Count of encoded pictures at the sender.
    pub frame: u32,
    /// When it was captured, by this device's clock.
    pub captured: Timestamp,
    /// When it is handed to the sink, which for a sink without a screen is when it is shown.
    pub presented: Timestamp,
}

/// Shows pictures. A seam: a recording, a window, nothing. Must not block: it runs on the decode thread.
pub trait PictureSink: Send {
    /// Takes a picture that is due, and gives back any picture, to be drawn over: pictures are moved, never copied.
    ///
    /// `record` is the sink's to end: [`Open::shown`] once the picture is seen, [`Drop::Superseded`] if a newer one was
    /// there first.
    ///
    /// [`Drop::Superseded`]: crate::stats::record::Drop::Superseded
    fn show(&mut self, picture: Picture, about: Shown, record: Open) -> Picture;
}

/// Plays sound. A seam: a recording, a speaker, nothing. Must not block: it runs on the sound thread.
pub trait SoundSink: Send {
    /// Plays 10 ms, the first sample of which is due `at` (by this device's clock). Called from the moment that the call
    /// is live, about every 10 ms; `at` advances by the length of a block, but for jumps after the thread was held up.
    fn play(&mut self, block: &Block, at: Timestamp);
}

/// Shows and plays nothing.
#[derive(Debug, Clone, Copy)]
pub struct Nowhere;

impl PictureSink for Nowhere {
    fn show(&mut self, picture: Picture, about: Shown, record: Open) -> Picture {
        record.shown(about.presented);
        picture
    }
}

impl SoundSink for Nowhere {
    fn play(&mut self, _block: &Block, _at: Timestamp) {}
}
