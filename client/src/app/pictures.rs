//! Pictures on their way to whoever draws them: one cell a place, in which the newest wins.
//!
//! ```text
//! decode thread:  Sink::show ----put--> cell ---take--> main thread: upload, present, end the record
//! capture thread: preview    ----put--> cell      +---- pool of used pictures <----+
//! ```
//!
//! Depth 1, full-policy: the newer picture replaces the waiting one, whose record ends as [`Dropped::Superseded`] and whose
//! memory goes back to the writer. No thread waits for another for longer than a move takes.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use visavis_codec::Picture;

use super::Wake;
use crate::{
    capture::video::{Pool, Preview},
    playback::{PictureSink, Shown},
    stats::{
        Open,
        record::{Drop as Dropped, Fate},
    },
};

/// A picture that waits to be drawn.
#[derive(Debug)]
pub struct Arrived {
    /// The picture; goes back by [`Cell::give_back`].
    pub picture: Picture,
    /// What becomes of it; one's own pictures are no part of the call's figures.
    pub record: Option<Open>,
}

/// The newest picture of one place in the window. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Cell(Arc<Shared>);

struct Shared {
    wake: Wake,
    pool: Pool,
    content: Mutex<Content>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Shared").field("content", &self.content).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Content {
    /// Which writer is the present one: a call's threads may end after the next call's have begun.
    writer: u64,
    newest: Option<Arrived>,
    /// The present writer has given a picture.
    here: bool,
}

impl Cell {
    /// An empty cell; `wake` is called whenever it has changed.
    pub fn new(wake: Wake) -> Self {
        Self(Arc::new(Shared { wake, pool: Pool::default(), content: Mutex::default() }))
    }

    /// Where a call's decoded pictures go. A sink made before is cut off.
    pub fn sink(&self) -> Sink {
        Sink(self.writer())
    }

    /// Shows a sender what they send: for a source's outlet, on the capture thread. What was made before is cut off.
    pub fn preview(&self) -> Preview {
        let writer = self.writer();
        Box::new(move |picture| {
            let mut copy = writer.cell.0.pool.take();
            copy.resize(picture.width, picture.height);
            for (to, from) in [(&mut copy.y, &picture.y), (&mut copy.u, &picture.u), (&mut copy.v, &picture.v)] {
                to.copy_from_slice(from);
            }
            let spare = writer.put(copy, None);
            writer.cell.give_back(spare);
        })
    }

    /// The present writer has given a picture, and is still there.
    pub fn here(&self) -> bool {
        self.with(|content| content.here)
    }

    /// Takes the newest picture, if it was not taken yet.
    pub fn take(&self) -> Option<Arrived> {
        self.with(|content| content.newest.take())
    }

    /// What was drawn is gone, with the graphics device that had it: there is no picture until the next one.
    pub fn lost(&self) {
        self.with(|content| content.here = content.newest.is_some());
    }

    /// Takes a used picture back, so that its memory is used again.
    pub fn give_back(&self, picture: Picture) {
        self.0.pool.put(picture);
    }

    fn writer(&self) -> Writer {
        let number = self.with(|content| {
            *content = Content { writer: content.writer + 1, ..Content::default() };
            content.writer
        });
        (self.0.wake)();
        Writer { cell: self.clone(), number }
    }

    /// A poisoned lock is used all the same: every critical section is a few moves.
    fn with<R>(&self, act: impl FnOnce(&mut Content) -> R) -> R {
        act(&mut self.0.content.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The one that may write; what it has put in goes with it.
#[derive(Debug)]
struct Writer {
    cell: Cell,
    number: u64,
}

impl Writer {
    /// Puts a picture in, and answers one to be drawn over.
    fn put(&self, picture: Picture, record: Option<Open>) -> Picture {
        let arrived = Arrived { picture, record };
        let replaced = self.cell.with(|content| {
            if content.writer != self.number {
                return Some(arrived);
            }
            content.here = true;
            content.newest.replace(arrived)
        });
        (self.cell.0.wake)();
        let Some(Arrived { picture, record }) = replaced else { return self.cell.0.pool.take() };
        if let Some(record) = record {
            record.end(Fate::Dropped(Dropped::Superseded));
        }
        picture
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // What nobody saw was on its way when the call ended; its record must not outlive the call.
        let unseen = self.cell.with(|content| {
            let mine = content.writer == self.number;
            content.here &= !mine;
            if mine { content.newest.take() } else { None }
        });
        drop(unseen);
        (self.cell.0.wake)();
    }
}

/// The window as an eye for a call's pictures. Runs on the decode thread.
#[derive(Debug)]
pub struct Sink(Writer);

impl PictureSink for Sink {
    fn show(&mut self, picture: Picture, _about: Shown, record: Open) -> Picture {
        self.0.put(picture, Some(record))
    }
}

#[cfg(test)]
mod tests {
    use visavis_codec::scene::Scene;
    use visavis_proto::time::Timestamp;

    use super::*;
    use crate::stats::{
        self, Item,
        record::{FrameRecord, Media, Side},
    };

    const ABOUT: Shown = Shown { capture: 0, frame: 0, captured: Timestamp::ZERO, presented: Timestamp::ZERO };

    fn nobody() -> Wake {
        Arc::new(|| ())
    }

    fn record(stats: &stats::Sender) -> Open {
        Open::new(FrameRecord::new(Side::Receiver, Media::Video, Fate::InFlight), stats)
    }

    fn fates(queue: &mut stats::Queue) -> Vec<Fate> {
        let records = std::iter::from_fn(|| queue.try_recv());
        records
            .filter_map(|item| match item {
                Item::Frame(record) => Some(record.fate),
                Item::Note(_) => None,
            })
            .collect()
    }

    #[test]
    fn a_picture_that_nobody_saw_in_time_is_superseded_and_its_memory_is_used_again() {
        let (stats, mut records) = stats::channel();
        let cell = Cell::new(nobody());
        let mut sink = cell.sink();
        assert!(!cell.here());
        sink.show(Picture::new(640, 360), ABOUT, record(&stats));
        let spare = sink.show(Picture::new(320, 180), ABOUT, record(&stats));
        assert_eq!((spare.width, cell.here()), (640, true));
        assert_eq!(fates(&mut records), [Fate::Dropped(Dropped::Superseded)]);
        let arrived = cell.take().expect("the newest");
        assert_eq!(arrived.picture.width, 320);
        assert!(cell.take().is_none() && cell.here(), "it is still the one to be seen");
        arrived.record.expect("a call's").shown(Timestamp::ZERO);
        assert_eq!(fates(&mut records), [Fate::Shown]);
        cell.give_back(arrived.picture);
        assert_eq!(sink.show(Picture::new(2, 2), ABOUT, record(&stats)).width, 320);
    }

    #[test]
    fn what_was_drawn_is_gone_with_the_graphics_device() {
        let (stats, _records) = stats::channel();
        let cell = Cell::new(nobody());
        let mut sink = cell.sink();
        sink.show(Picture::new(2, 2), ABOUT, record(&stats));
        cell.lost();
        assert!(cell.here(), "it was not drawn yet");
        let drawn = cell.take();
        cell.lost();
        assert!(drawn.is_some() && !cell.here());
        sink.show(Picture::new(2, 2), ABOUT, record(&stats));
        assert!(cell.here());
    }

    #[test]
    fn what_waits_when_the_call_ends_was_on_its_way_and_the_next_call_is_not_disturbed() {
        let (stats, mut records) = stats::channel();
        let cell = Cell::new(nobody());
        let mut before = cell.sink();
        before.show(Picture::new(2, 2), ABOUT, record(&stats));
        let mut next = cell.sink();
        assert_eq!(fates(&mut records), [Fate::InFlight]);
        next.show(Picture::new(4, 4), ABOUT, record(&stats));
        drop(before);
        assert!(cell.here(), "the threads of the call before end late");
        drop(next);
        assert!(!cell.here() && cell.take().is_none());
        assert_eq!(fates(&mut records), [Fate::InFlight]);
    }

    #[test]
    fn one_sees_what_one_sends() {
        let cell = Cell::new(nobody());
        let mut sent = Picture::new(64, 48);
        Scene::new(64, 48, 1).render(0, &mut sent);
        cell.preview()(&sent);
        assert_eq!(cell.take().map(|arrived| arrived.picture), None, "the writer is gone, and its picture with it");
        let mut preview = cell.preview();
        preview(&sent);
        assert_eq!(cell.take().expect("a picture").picture, sent);
    }
}
