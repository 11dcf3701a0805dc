//! What happened to every frame, and what that amounts to.
//!
//! A frame carries its [`Open`] record along; the thread that decides the frame's fate ends it, which hands the
//! [`record::FrameRecord`] to a bounded channel. One thread drains that, writes the JSON lines of `--stats`, and keeps
//! the sums behind the live line and the call report.

pub mod collector;
mod distribution;
mod live;
pub mod open;
pub mod record;
pub mod report;
pub mod run;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::mpsc;

pub use open::Open;
use record::{FrameRecord, Note};

/// Records between the threads that write them and the one that keeps them: four seconds of a call. When it is full
/// the newest is lost and counted; a call never waits for its statistics.
pub const RECORDS: usize = 2_048;

/// What travels to the collector.
#[derive(Debug, Clone)]
pub enum Item {
    /// One frame's fate.
    Frame(FrameRecord),
    /// Other news.
    Note(Note),
}

/// Hands records to the collector. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Sender {
    queue: mpsc::Sender<Item>,
    lost: Arc<AtomicU64>,
}

impl Sender {
    /// One frame's fate.
    pub fn record(&self, record: FrameRecord) {
        self.send(Item::Frame(record));
    }

    /// Other news.
    pub fn note(&self, note: Note) {
        self.send(Item::Note(note));
    }

    fn send(&self, item: Item) {
        if self.queue.try_send(item).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The collector's end of the queue.
#[derive(Debug)]
pub struct Queue {
    items: mpsc::Receiver<Item>,
    lost: Arc<AtomicU64>,
}

impl Queue {
    /// The next item; `None` once every sender, and every frame on its way, is gone. Cancel-safe.
    pub async fn recv(&mut self) -> Option<Item> {
        self.items.recv().await
    }

    /// The next item, if there is one already.
    pub fn try_recv(&mut self) -> Option<Item> {
        self.items.try_recv().ok()
    }

    /// Items that found no room.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

/// A queue of [`RECORDS`] records.
pub fn channel() -> (Sender, Queue) {
    let (queue, items) = mpsc::channel(RECORDS);
    let lost = Arc::<AtomicU64>::default();
    (Sender { queue, lost: lost.clone() }, Queue { items, lost })
}
