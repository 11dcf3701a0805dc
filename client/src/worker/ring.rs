//! Three slots in shared memory: one being written, one that is newest, one being read. Nobody ever waits.
//!
//! ```text
//!           writer                 reader
//! FREE ---> WRITING ---> READY ---> READING ---> FREE
//!              ^___________| the oldest, when none is free
//! ```
//!
//! Depth 1, full-policy: the newest replaces the waiting one, which is counted as replaced. A writer that dies at any
//! point leaves at worst a slot in WRITING; its successor gets memory of its own.

use std::{
    io,
    os::fd::OwnedFd,
    sync::atomic::{AtomicU64, Ordering},
};

use super::memory::Memory;

/// Words about a picture that travel with it; their meaning is the user's.
pub type Notes = [u64; 8];

const SLOTS: usize = 3;

/// The head of the memory: of each slot its state and its notes. A page, so that slots begin on pages.
const HEAD_BYTES: usize = 4_096;

/// Words between two slots' states: 128 bytes, so that two processes never write to the same pair of cache lines.
const STATE_WORDS: usize = 16;

const FREE: u64 = 0;
const WRITING: u64 = 2;
const READING: u64 = 3;

/// A slot whose content is complete: its sequence number above the two lowest bits, which say READY.
const fn ready(sequence: u64) -> u64 {
    sequence << 2 | 1
}

/// The sequence number of a slot that is READY.
const fn sequence_of(state: u64) -> Option<u64> {
    if state & 3 == 1 { Some(state >> 2) } else { None }
}

/// Makes the memory for contents of at most `bytes`: the end that reads, and the file for the one that writes.
pub fn create(bytes: usize) -> io::Result<(Reader, OwnedFd)> {
    let slot = bytes.next_multiple_of(4_096);
    let (memory, file) = Memory::create(HEAD_BYTES + SLOTS * slot)?;
    Ok((Reader { slots: Slots { memory, slot }, last: 0 }, file))
}

/// The end that writes. One at a time.
#[derive(Debug)]
pub struct Writer {
    slots: Slots,
    next: u64,
}

/// The end that reads. One at a time.
#[derive(Debug)]
pub struct Reader {
    slots: Slots,
    last: u64,
}

#[derive(Debug)]
struct Slots {
    memory: Memory,
    /// Bytes of one slot.
    slot: usize,
}

impl Slots {
    fn state(&self, slot: usize) -> &AtomicU64 {
        self.memory.word(slot * STATE_WORDS)
    }

    fn note(&self, slot: usize, index: usize) -> &AtomicU64 {
        self.memory.word(slot * STATE_WORDS + 1 + index)
    }

    fn offset(&self, slot: usize) -> usize {
        HEAD_BYTES + slot * self.slot
    }

    /// Moves a slot from a state that it was seen in, unless the other end was sooner.
    fn claim(&self, slot: usize, seen: u64, state: u64) -> bool {
        self.state(slot).compare_exchange(seen, state, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

impl Writer {
    /// The other end of memory that [`create`] made.
    pub fn open(file: &OwnedFd) -> io::Result<Self> {
        let memory = Memory::map(file)?;
        let slot = memory.bytes().saturating_sub(HEAD_BYTES) / SLOTS;
        Ok(Self { slots: Slots { memory, slot }, next: 1 })
    }

    /// The most that a content can have.
    pub fn capacity(&self) -> usize {
        self.slots.slot
    }

    /// Lets `fill` write a content and publishes it with its notes, unless `fill` gives it up.
    pub fn write(&mut self, fill: impl FnOnce(&mut [u8]) -> Option<Notes>) -> bool {
        let slot = self.begin();
        let (offset, bytes) = (self.slots.offset(slot), self.slots.slot);
        // SAFETY: the slot is in WRITING, which the reader leaves alone.
        #[allow(unsafe_code, reason = "the slot's state is what makes it exclusive")]
        let content = unsafe { self.slots.memory.slice_mut(offset, bytes) };
        let Some(notes) = fill(content) else {
            self.slots.state(slot).store(FREE, Ordering::Release);
            return false;
        };
        for (index, note) in notes.into_iter().enumerate() {
            self.slots.note(slot, index).store(note, Ordering::Relaxed);
        }
        self.slots.state(slot).store(ready(self.next), Ordering::Release);
        self.next += 1;
        true
    }

    /// Takes a slot to write to: a free one, else the oldest that waits.
    fn begin(&self) -> usize {
        loop {
            let states = std::array::from_fn::<_, SLOTS, _>(|slot| self.slots.state(slot).load(Ordering::Acquire));
            let free = states.iter().position(|state| *state == FREE);
            let oldest =
                (0..SLOTS).filter(|slot| sequence_of(states[*slot]).is_some()).min_by_key(|slot| states[*slot]);
            // One is read and none is written, so at least two are free or waiting, unless the reader moved just now.
            if let Some(slot) = free.or(oldest)
                && self.slots.claim(slot, states[slot], WRITING)
            {
                return slot;
            }
        }
    }
}

impl Reader {
    /// Takes the newest content, if there is one that was not taken.
    pub fn take(&mut self) -> Option<Taken<'_>> {
        // Bounded, since the other process is not trusted to leave the states alone.
        for _ in 0..16 {
            let states = std::array::from_fn::<_, SLOTS, _>(|slot| self.slots.state(slot).load(Ordering::Acquire));
            let is_ready = |slot: &usize| sequence_of(states[*slot]).is_some();
            let slot = (0..SLOTS).filter(is_ready).max_by_key(|slot| states[*slot])?;
            // The states are not seen at one moment: a content may have become ready behind the look that found the one
            // after it, which was taken. It comes too late.
            if sequence_of(states[slot]).is_some_and(|sequence| sequence <= self.last) {
                for late in (0..SLOTS).filter(is_ready) {
                    self.slots.claim(late, states[late], FREE);
                }
                continue;
            }
            if !self.slots.claim(slot, states[slot], READING) {
                continue;
            }
            for older in (0..SLOTS).filter(|older| *older != slot && sequence_of(states[*older]).is_some()) {
                self.slots.claim(older, states[older], FREE);
            }
            let sequence = sequence_of(states[slot]).unwrap_or_default();
            let replaced = sequence.saturating_sub(self.last + 1);
            self.last = sequence;
            let notes = std::array::from_fn(|index| self.slots.note(slot, index).load(Ordering::Relaxed));
            return Some(Taken { slots: &self.slots, slot, notes, replaced });
        }
        None
    }
}

/// A content being read. Dropping it frees its slot.
#[derive(Debug)]
pub struct Taken<'a> {
    slots: &'a Slots,
    slot: usize,
    /// What the writer said of it. From another process: to be checked before use.
    pub notes: Notes,
    /// How many contents were replaced before anybody took them.
    pub replaced: u64,
}

impl Taken<'_> {
    /// Copies bytes out, beginning at `offset`; `false` if the content cannot hold them.
    #[must_use]
    pub fn copy_to(&self, offset: usize, out: &mut [u8]) -> bool {
        let fits = offset.checked_add(out.len()).is_some_and(|end| end <= self.slots.slot);
        if fits {
            self.slots.memory.copy_to(self.slots.offset(self.slot) + offset, out);
        }
        fits
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.slots.state(self.slot).store(FREE, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Reader, Writer) {
        let (reader, file) = create(5_000).expect("memory");
        (reader, Writer::open(&file).expect("the same memory"))
    }

    fn put(writer: &mut Writer, number: u64) {
        assert!(writer.write(|content| {
            content.fill(number as u8);
            Some([number; 8])
        }));
    }

    #[test]
    fn the_newest_wins_and_the_replaced_are_counted() {
        let (mut reader, mut writer) = pair();
        assert!(reader.take().is_none());
        (1..=5).for_each(|number| put(&mut writer, number));
        let taken = reader.take().expect("a content");
        assert_eq!((taken.notes, taken.replaced), ([5; 8], 4));
        drop(taken);
        assert!(reader.take().is_none());
    }

    #[test]
    fn what_is_being_read_is_not_written_to() {
        let (mut reader, mut writer) = pair();
        put(&mut writer, 1);
        let taken = reader.take().expect("a content");
        (2..=9).for_each(|number| put(&mut writer, number));
        let mut bytes = [0; 5_000];
        assert!(taken.copy_to(0, &mut bytes));
        assert_eq!(bytes, [1; 5_000]);
        assert!(!taken.copy_to(8_000, &mut bytes), "outside its slot");
        drop(taken);
        assert_eq!(reader.take().expect("a content").notes, [9; 8]);
    }

    #[test]
    fn a_content_that_is_given_up_is_never_seen() {
        let (mut reader, mut writer) = pair();
        assert!(!writer.write(|_| None));
        assert!(reader.take().is_none());
    }

    #[test]
    fn a_content_that_became_ready_behind_the_look_is_too_late() {
        let (mut reader, mut writer) = pair();
        (1..=2).for_each(|number| put(&mut writer, number));
        drop(reader.take());
        // As if the first had become ready after its slot was looked at, and before that of the second.
        writer.slots.state(0).store(ready(1), Ordering::Release);
        assert!(reader.take().is_none());
        put(&mut writer, 3);
        assert_eq!(reader.take().map(|taken| taken.notes), Some([3; 8]));
    }

    #[test]
    fn both_ends_at_full_speed_never_tear_a_content() {
        let (mut reader, mut writer) = pair();
        let writing = std::thread::spawn(move || (1..=20_000).for_each(|number| put(&mut writer, number)));
        let mut bytes = [0; 5_000];
        let mut last = 0;
        while last < 20_000 {
            let Some(taken) = reader.take() else { continue };
            assert!(taken.copy_to(0, &mut bytes));
            assert!(taken.notes[0] > last, "contents come in order");
            last = taken.notes[0];
            assert_eq!(bytes, [last as u8; 5_000]);
        }
        writing.join().expect("no panic");
    }
}
