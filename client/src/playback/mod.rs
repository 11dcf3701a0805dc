//! Where pictures and sound end: the window ([`crate::app::pictures`]), the speaker ([`crate::sound`]), recordings, or nowhere.

pub mod output;
pub mod record;

use visavis_codec::Picture;
use visavis_proto::time::Timestamp;

use crate::{
    capture::sound::{BLOCK, Block},
    stats::Open,
};

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

/// What an ear answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// A block now.
    Block,
    /// None before this time.
    Wait(Timestamp),
}

/// Plays sound. A seam: a recording, a speaker, nothing. Must not block: it runs on the sound thread.
///
/// It is asked when it wants a block, because a device has a clock of its own; what is no device goes by the time that
/// is passed in.
pub trait SoundSink: Send {
    /// Whether the next 10 ms are wanted.
    fn poll(&mut self, now: Timestamp) -> Want;

    /// Plays the 10 ms that were wanted; `None` before the call is live, when there is nothing to hear. Answers when
    /// their first sample is heard.
    fn play(&mut self, block: Option<&Block>, now: Timestamp) -> Timestamp;
}

/// Blocks by the clock, for what is no device: the first one 10 ms after it was first asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pace {
    due: Option<Timestamp>,
}

impl Pace {
    /// Whether the next block is due.
    pub fn poll(&mut self, now: Timestamp) -> Want {
        let due = *self.due.get_or_insert(now + BLOCK);
        if now < due { Want::Wait(due) } else { Want::Block }
    }

    /// A block was taken. Answers when it was due: that advances by the length of a block, but for jumps after the
    /// thread was held up, since lost time is not played in a rush.
    pub fn advance(&mut self, now: Timestamp) -> Timestamp {
        let due = self.due.unwrap_or(now);
        self.due = Some(if now.since(due) > BLOCK * 4 { now } else { due } + BLOCK);
        due
    }
}

/// Shows nothing.
#[derive(Debug, Clone, Copy)]
pub struct Nowhere;

impl PictureSink for Nowhere {
    fn show(&mut self, picture: Picture, about: Shown, record: Open) -> Picture {
        record.shown(about.presented);
        picture
    }
}

/// Plays nothing, by the clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent(Pace);

impl SoundSink for Silent {
    fn poll(&mut self, now: Timestamp) -> Want {
        self.0.poll(now)
    }

    fn play(&mut self, _block: Option<&Block>, now: Timestamp) -> Timestamp {
        self.0.advance(now);
        now
    }
}
