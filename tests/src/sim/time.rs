//! Virtual time: tokio's paused clock, made fine enough for packets.
//!
//! A paused tokio runtime jumps to its next timer whenever every task waits. Its timers, like the real ones, tick once
//! a millisecond; packets of one frame arrive closer than that. So packets wait on a [`Timeline`] of their own, and a
//! driver moves the clock within a tick to the next of them. Two rules keep tokio's timers right:
//!
//! - the clock moves within a tick only when every task waits, which the runtime's park hook tells;
//! - it comes to every tick's end exactly, and the timers due there run before it moves on.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    runtime::Runtime,
    sync::Notify,
    time::{Instant, sleep_until},
};
use visavis_proto::time::Timestamp;

/// tokio's timers have this resolution.
const TICK: Duration = Duration::from_millis(1);

/// Things that happen at an exact time. [`Timestamp`]s of the world count from its beginning.
pub struct Timeline<T> {
    inner: Mutex<Inner<T>>,
    /// Something earlier than before was added.
    earlier: Notify,
    /// Every task waits.
    idle: Notify,
}

struct Inner<T> {
    start: Option<Instant>,
    next_number: u64,
    entries: BinaryHeap<Reverse<Entry<T>>>,
}

/// Ordered by time, then by the order in which they were added.
struct Entry<T> {
    at: Timestamp,
    number: u64,
    what: T,
}

impl<T: Send + 'static> Timeline<T> {
    /// An empty one, with a runtime whose clock it drives.
    ///
    /// # Errors
    ///
    /// The system gives no runtime.
    pub fn with_runtime() -> std::io::Result<(Arc<Self>, Runtime)> {
        let inner = Inner { start: None, next_number: 0, entries: BinaryHeap::new() };
        let timeline = Arc::new(Self { inner: Mutex::new(inner), earlier: Notify::new(), idle: Notify::new() });
        let hook = Arc::downgrade(&timeline);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .on_thread_park(move || {
                if let Some(timeline) = hook.upgrade() {
                    timeline.idle.notify_waiters();
                }
            })
            .build()?;
        runtime.block_on(async { timeline.lock().start = Some(Instant::now()) });
        Ok((timeline, runtime))
    }

    /// The time now, counted from the beginning.
    pub fn now(&self) -> Timestamp {
        self.lock().start.map_or(Timestamp::ZERO, |start| Timestamp::ZERO + start.elapsed())
    }

    /// Has `what` come out of [`Self::drive`] at `at`.
    pub fn add(&self, at: Timestamp, what: T) {
        let mut inner = self.lock();
        let is_earlier = inner.entries.peek().is_none_or(|Reverse(first)| at < first.at);
        let number = inner.next_number;
        inner.next_number += 1;
        inner.entries.push(Reverse(Entry { at, number, what }));
        drop(inner);
        if is_earlier {
            self.earlier.notify_one();
        }
    }

    /// Moves the clock and hands out what is due, for ever.
    pub async fn drive(&self, mut act: impl FnMut(T)) {
        loop {
            let now = self.now();
            while let Some(what) = self.take_due(now) {
                act(what);
            }
            let next = self.lock().entries.peek().map(|Reverse(first)| first.at);
            let into_tick = Duration::from_nanos(now.as_nanos() % TICK.as_nanos() as u64);
            if into_tick.is_zero() {
                let Some(next) = next else {
                    self.earlier.notified().await;
                    continue;
                };
                let tick = next - Duration::from_nanos(next.as_nanos() % TICK.as_nanos() as u64);
                if tick > now {
                    self.sleep_to(tick).await;
                } else {
                    self.step_when_idle(now, next).await;
                }
            } else {
                let end = now + (TICK - into_tick);
                let moved = self.step_when_idle(now, next.map_or(end, |next| next.min(end))).await;
                if moved && next.is_none_or(|next| end <= next) {
                    // Whatever is due at this tick runs before the clock moves on.
                    sleep_until(self.instant(end)).await;
                }
            }
        }
    }

    /// Sleeps through whole ticks, or until something earlier is added.
    async fn sleep_to(&self, tick: Timestamp) {
        tokio::select! {
            biased; // what is earlier decides anew how long to sleep
            () = self.earlier.notified() => {}
            () = sleep_until(self.instant(tick)) => {}
        }
    }

    /// Moves the clock from `now` to `to`, less than a tick ahead, as soon as every task waits. `false` if something
    /// was added first.
    async fn step_when_idle(&self, now: Timestamp, to: Timestamp) -> bool {
        tokio::select! {
            biased; // what is earlier decides anew where to go
            () = self.earlier.notified() => false,
            () = self.idle.notified() => {
                tokio::time::advance(to.since(now)).await;
                true
            }
        }
    }

    fn take_due(&self, now: Timestamp) -> Option<T> {
        let mut inner = self.lock();
        let due = inner.entries.peek().is_some_and(|Reverse(first)| first.at <= now);
        due.then(|| inner.entries.pop()).flatten().map(|Reverse(first)| first.what)
    }

    fn instant(&self, at: Timestamp) -> Instant {
        self.lock().start.unwrap_or_else(Instant::now) + at.since(Timestamp::ZERO)
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn us(us: u64) -> Timestamp {
        Timestamp::from_micros(us)
    }

    #[test]
    fn entries_come_out_at_their_exact_time_among_timers_that_keep_their_ticks() {
        let (timeline, runtime) = Timeline::with_runtime().expect("a runtime");
        let log = Arc::new(Mutex::new(Vec::new()));
        let note = {
            let (timeline, log) = (timeline.clone(), log.clone());
            move |what: &'static str| log.lock().expect("no panic").push((timeline.now().as_micros(), what))
        };
        runtime.block_on(async {
            for (at, what) in [(10_700, "late"), (10_300, "early"), (10_300, "second"), (12_000, "on a tick")] {
                timeline.add(us(at), what);
            }
            let driver = tokio::spawn({
                let (timeline, note) = (timeline.clone(), note.clone());
                async move { timeline.drive(note).await }
            });
            let timer = |at, what| {
                let (timeline, note) = (timeline.clone(), note.clone());
                tokio::spawn(async move {
                    sleep_until(timeline.instant(us(at))).await;
                    note(what);
                })
            };
            let timers = [
                timer(10_000, "timer"),
                timer(10_500, "rounded up"),
                timer(12_000, "same tick"),
                timer(13_000, "last"),
            ];
            for timer in timers {
                timer.await.expect("no panic");
            }
            // Something that is added within a tick for the same tick.
            timeline.add(us(20_250), "again");
            sleep_until(timeline.instant(us(20_000))).await;
            timeline.add(us(20_125), "sooner");
            sleep_until(timeline.instant(us(21_000))).await;
            note("end");
            driver.abort();
        });
        let log = log.lock().expect("no panic").clone();
        let mut sorted = log.clone();
        sorted.sort_by_key(|(at, _)| *at);
        assert_eq!(log, sorted);
        let expected = [
            (10_000, "timer"),
            (10_300, "early"),
            (10_300, "second"),
            (10_700, "late"),
            (11_000, "rounded up"),
            (12_000, "on a tick"),
            (12_000, "same tick"),
            (13_000, "last"),
            (20_125, "sooner"),
            (20_250, "again"),
            (21_000, "end"),
        ];
        for entry in expected {
            assert!(log.contains(&entry), "{entry:?} in {log:?}");
        }
        assert_eq!(log.len(), expected.len());
    }
}
