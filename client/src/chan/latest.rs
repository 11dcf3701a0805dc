//! A cell that holds the newest value: the writer never waits, the reader never sees an old one.
//!
//! Depth 1, full-policy: the new value replaces the waiting one, which goes back to the writer so that it can be
//! counted and its memory used again.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::Notify;

/// Makes the two ends.
pub fn latest<T>() -> (Writer<T>, Reader<T>) {
    let shared = Arc::new(Shared {
        value: Mutex::new(None),
        closed: AtomicBool::new(false),
        changed: Notify::new(),
        abandoned: Notify::new(),
    });
    (Writer(shared.clone()), Reader(shared))
}

/// The end that writes. Dropping it closes the cell.
#[derive(Debug)]
pub struct Writer<T>(Arc<Shared<T>>);

/// The end that reads. Dropping it closes the cell.
#[derive(Debug)]
pub struct Reader<T>(Arc<Shared<T>>);

#[derive(Debug)]
struct Shared<T> {
    value: Mutex<Option<T>>,
    closed: AtomicBool,
    /// For the reader: there is a value, or the writer is gone.
    changed: Notify,
    /// For the writer: the reader is gone.
    abandoned: Notify,
}

impl<T> Writer<T> {
    /// Puts a value in. Answers the one that it replaced, unread.
    pub fn put(&self, value: T) -> Option<T> {
        let replaced = self.0.lock(|slot| slot.replace(value));
        self.0.changed.notify_one();
        replaced
    }

    /// Nobody reads any more.
    pub fn is_closed(&self) -> bool {
        self.0.closed.load(Ordering::Acquire)
    }

    /// Waits until nobody reads any more. Cancel-safe.
    pub async fn closed(&self) {
        while !self.is_closed() {
            // A notice that came before it was waited for is kept.
            self.0.abandoned.notified().await;
        }
    }
}

impl<T> Reader<T> {
    /// Waits for a value and takes the newest; `None` once the writer is gone and nothing is left. Cancel-safe.
    pub async fn take(&mut self) -> Option<T> {
        loop {
            // The waiter is registered before the look, so that a value put in between wakes it.
            let changed = self.0.changed.notified();
            let closed = self.0.closed.load(Ordering::Acquire);
            if let Some(value) = self.0.lock(Option::take) {
                return Some(value);
            }
            if closed {
                return None;
            }
            changed.await;
        }
    }

    /// Takes the newest value if there is one.
    pub fn try_take(&mut self) -> Option<T> {
        self.0.lock(Option::take)
    }
}

impl<T> Shared<T> {
    /// A poisoned lock is used all the same: every critical section is one move, which cannot be half done.
    fn lock<R>(&self, act: impl FnOnce(&mut Option<T>) -> R) -> R {
        act(&mut self.value.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.changed.notify_one();
        self.abandoned.notify_one();
    }
}

impl<T> Drop for Writer<T> {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl<T> Drop for Reader<T> {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_newest_wins_and_the_replaced_one_comes_back() {
        let (writer, mut reader) = latest();
        assert_eq!(writer.put(1), None);
        assert_eq!(writer.put(2), Some(1));
        assert_eq!(reader.take().await, Some(2));
        assert_eq!(reader.try_take(), None);
        writer.put(3);
        drop(writer);
        assert_eq!(reader.take().await, Some(3));
        assert_eq!(reader.take().await, None);
    }

    #[tokio::test]
    async fn a_writer_learns_that_nobody_reads() {
        let (writer, reader) = latest::<u8>();
        let waiting = tokio::spawn(async move { writer.closed().await });
        tokio::task::yield_now().await;
        drop(reader);
        waiting.await.expect("no panic");
    }

    #[tokio::test]
    async fn a_waiting_reader_is_woken() {
        let (writer, mut reader) = latest();
        let waiting = tokio::spawn(async move { reader.take().await });
        tokio::task::yield_now().await;
        writer.put(7);
        assert_eq!(waiting.await.expect("no panic"), Some(7));
    }
}
