//! The source's life: a helper for the camera that is chosen, its pictures passed on, a placeholder while there are none.
//! Runs on the capture thread.

use std::{path::PathBuf, time::Duration};

use tokio::time::sleep_until;
use visavis_codec::{Picture, scale};
use visavis_proto::time::Timestamp;

use super::{
    Choice, KIND, Source, Status,
    look::Look,
    placeholder::placeholder,
    serve::{self, Job, Note, Said},
    state::{Action, Event, State, Watch},
};
use crate::{
    capture::video::{Outlet, Pool},
    clock::Clock,
    worker::Worker,
};

/// Placeholders a second apart keep the peer's picture fresh, and the encoder nearly idle.
const PLACEHOLDER_EVERY: Duration = Duration::from_secs(1);

/// Gives pictures until nobody takes them.
pub(super) async fn run(source: Source, mut out: Outlet) {
    let Source { program, mut choice, status } = source;
    let mut size = None;
    while !out.is_closed() {
        let chosen = choice.borrow_and_update().clone();
        let changed = async {
            if choice.changed().await.is_err() {
                // Nobody is left to choose: it stays as it is.
                std::future::pending::<()>().await;
            }
        };
        let Some(chosen) = chosen else {
            status.send_replace(Status { state: State::Off, camera: None });
            tokio::select! {
                biased; // the end comes first
                () = out.closed() => return,
                () = changed => continue,
            }
        };
        let size = size.get_or_insert(chosen.wish.size);
        *size = scale::fitted(*size, chosen.wish.size);
        // The old helper is killed before the new one opens: it may be the same camera in another mode.
        let mut camera = Camera::new(program.clone(), chosen, *size, out.clock.now());
        tokio::pin!(changed);
        // A camera that opens in time needs none.
        let mut placeholder_due = out.clock.now() + PLACEHOLDER_EVERY;
        loop {
            camera.obey(&out.clock);
            let state = camera.watch.state();
            status.send_if_modified(|told| {
                let news = Status { state, camera: camera.name.clone() };
                if told.state != state && state != State::Opening {
                    placeholder_due = out.clock.now();
                }
                let is_news = *told != news;
                *told = news;
                is_news
            });
            let deadline = out.clock.instant(camera.watch.timeout().0);
            tokio::select! {
                biased; // the end, then the person's choice; a picture is passed on before time is looked at
                () = out.closed() => return,
                () = &mut changed => break,
                heard = camera.hear(&out.pool, &out.clock) => match heard {
                    Heard::Event(event) => camera.watch.handle(event, out.clock.now()),
                    Heard::Picture { picture, at, look } => {
                        camera.watch.handle(Event::Picture(look), out.clock.now());
                        if camera.watch.state() == State::Live {
                            out.give(picture, at);
                        } else {
                            out.pool.put(picture);
                        }
                    }
                },
                () = sleep_until(deadline) => camera.watch.handle_timeout(out.clock.now()),
                () = sleep_until(out.clock.instant(placeholder_due)), if state != State::Live => {
                    let now = out.clock.now();
                    placeholder_due = now + PLACEHOLDER_EVERY;
                    out.give(placeholder(camera.size), now);
                }
            }
        }
        *size = camera.size;
    }
}

/// A camera with its helper, if one runs.
struct Camera {
    program: PathBuf,
    choice: Choice,
    /// What it is called, as far as that is known.
    name: Option<String>,
    watch: Watch,
    worker: Option<Worker>,
    /// Of its pictures, or of the placeholder until one is known.
    size: (u32, u32),
}

enum Heard {
    Event(Event),
    Picture { picture: Picture, at: Timestamp, look: Look },
}

impl Camera {
    fn new(program: PathBuf, choice: Choice, size: (u32, u32), now: Timestamp) -> Self {
        // An id ends in the camera's name.
        let name = choice.id.as_deref().map(|id| id.split_once('/').map_or(id, |(_, name)| name).to_owned());
        Self { program, choice, name, watch: Watch::new(now), worker: None, size }
    }

    /// Does what the watch wants.
    fn obey(&mut self, clock: &Clock) {
        while let Some(action) = self.watch.poll() {
            self.worker = None;
            if action == Action::Kill {
                continue;
            }
            let job = Job::Run { through: self.choice.through, id: self.choice.id.clone(), wish: self.choice.wish };
            let event = match Worker::start(&self.program, KIND, serve::PICTURE_BYTES, &job) {
                Ok(worker) => {
                    self.worker = Some(worker);
                    Event::Started
                }
                Err(error) => {
                    tracing::warn!(%error, "the camera's helper cannot be started");
                    Event::Died
                }
            };
            self.watch.handle(event, clock.now());
        }
    }

    /// The next thing that the helper says. Cancel-safe.
    async fn hear(&mut self, pool: &Pool, clock: &Clock) -> Heard {
        let Some(worker) = &mut self.worker else { return std::future::pending().await };
        loop {
            match worker.heard().await {
                Ok(Some(Said::Picture)) => match take(worker, pool, clock) {
                    Some((picture, at, look)) => {
                        self.size = (picture.width, picture.height);
                        return Heard::Picture { picture, at, look };
                    }
                    // Taken already with one that was told before it.
                    None => continue,
                },
                Ok(Some(Said::Chosen(camera))) => {
                    self.name = Some(camera);
                    continue;
                }
                Ok(Some(Said::Opened { size, interval, format })) => {
                    tracing::info!(?size, rate = interval.per_second(), format, "the camera runs");
                    return Heard::Event(Event::Opened(interval.duration()));
                }
                Ok(Some(Said::Damaged)) => return Heard::Event(Event::Damaged),
                Ok(Some(Said::Failed(failure))) => {
                    tracing::info!(?failure, "the camera gives no pictures");
                    return Heard::Event(Event::Failed(failure));
                }
                Ok(Some(Said::Cameras(_))) => continue,
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "the camera's helper talks nonsense"),
            }
            return Heard::Event(Event::Died);
        }
    }
}

/// Copies the newest picture out of the ring.
fn take(worker: &mut Worker, pool: &Pool, clock: &Clock) -> Option<(Picture, Timestamp, Look)> {
    let taken = worker.pictures.take()?;
    let note = Note::from_words(taken.notes)?;
    let mut picture = pool.take();
    picture.resize(note.size.0, note.size.1);
    let (luma, chroma) = (picture.y.len(), picture.u.len());
    let whole = taken.copy_to(0, &mut picture.y)
        && taken.copy_to(luma, &mut picture.u)
        && taken.copy_to(luma + chroma, &mut picture.v);
    let at = timestamp(note.captured, serve::monotonic(), clock.now());
    whole.then_some((picture, at, note.look))
}

/// The driver's time by our clock. Both advance alike, so only the distance to now is taken over; a driver that is off
/// by more than a second counts by another clock, and its frame as captured now.
fn timestamp(captured: Duration, monotonic: Duration, now: Timestamp) -> Timestamp {
    let age = monotonic.checked_sub(captured).filter(|age| *age <= Duration::from_secs(1));
    now - age.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drivers_time_is_ours_less_its_age() {
        let now = Timestamp::from_micros(5_000_000);
        let at = |captured_ms: u64| timestamp(Duration::from_millis(captured_ms), Duration::from_secs(70), now);
        assert_eq!(at(69_980), Timestamp::from_micros(4_980_000));
        assert_eq!(at(70_020), now, "a frame from the future");
        assert_eq!(at(3_000), now, "another clock");
    }
}
