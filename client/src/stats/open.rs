//! A frame's record while the frame is on its way; it travels with the frame, through every queue and thread.
//!
//! That every frame has exactly one record holds by construction: whoever decides a frame's fate ends its record, and a
//! frame that is dropped without such a decision, in whatever queue it stood, was on its way when the call ended.

use std::ops::{Deref, DerefMut};

use visavis_proto::time::Timestamp;

use super::{
    Sender,
    record::{Fate, FrameRecord},
};

/// A record that has not met its fate. Dropping it says that the call ended first.
#[derive(Debug)]
pub struct Open {
    record: FrameRecord,
    stats: Sender,
    /// Whether the call has anything to do with the frame.
    counts: bool,
}

impl Open {
    /// Opens a record that will be told to `stats`.
    pub fn new(record: FrameRecord, stats: &Sender) -> Self {
        Self { record: FrameRecord { fate: Fate::InFlight, ..record }, stats: stats.clone(), counts: true }
    }

    /// The record of a frame that nobody needs to hear of unless [`Self::count`] says otherwise later.
    #[must_use]
    pub fn unless_counted(mut self) -> Self {
        self.counts = false;
        self
    }

    /// The frame is of the call after all.
    pub fn count(&mut self) {
        self.counts = true;
    }

    /// The picture was seen, or handed to what stands for an eye, at `at`.
    pub fn shown(mut self, at: Timestamp) {
        self.record.presented_ns = Some(at.as_nanos());
        self.end(Fate::Shown);
    }

    /// The frame's fate is known.
    pub fn end(mut self, fate: Fate) {
        self.record.fate = fate;
    }
}

impl Deref for Open {
    type Target = FrameRecord;

    fn deref(&self) -> &FrameRecord {
        &self.record
    }
}

impl DerefMut for Open {
    fn deref_mut(&mut self) -> &mut FrameRecord {
        &mut self.record
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.counts {
            self.stats.record(self.record.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{
        self, Item, Queue,
        record::{Drop, Media, Side},
    };

    fn fates(queue: &mut Queue) -> Vec<Fate> {
        std::iter::from_fn(|| queue.try_recv())
            .filter_map(|item| match item {
                Item::Frame(record) => Some(record.fate),
                Item::Note(_) => None,
            })
            .collect()
    }

    #[test]
    fn a_record_is_told_once_whatever_becomes_of_its_frame() {
        let (stats, mut queue) = stats::channel();
        let open = || Open::new(FrameRecord::new(Side::Sender, Media::Video, Fate::Shown), &stats);
        open().end(Fate::Sent);
        open().end(Fate::Dropped(Drop::NoBudget));
        drop(open());
        drop(open().unless_counted());
        open().unless_counted().end(Fate::Dropped(Drop::Replaced));
        let mut counted = open().unless_counted();
        counted.count();
        drop(counted);
        let expected = [Fate::Sent, Fate::Dropped(Drop::NoBudget), Fate::InFlight, Fate::InFlight];
        assert_eq!(fates(&mut queue), expected);
    }
}
