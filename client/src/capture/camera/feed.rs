//! A camera kept for a program's life: closed unless a call or a preview wants it, and open without a break when the one
//! becomes the other.
//!
//! ```text
//! feed thread: Source -> Outlet -+-> preview: the window
//!                                +-> newest -> Tap, the call's source -> the call's Outlet (capture thread)
//! ```
//!
//! The newest cell has depth 1, full-policy: a picture that no call took in time is replaced.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::watch;
use visavis_proto::units::Bitrate;

use super::{Choice, Control, Status, source};
use crate::{
    app::settings,
    capture::video::{self, Captured, Outlet, Pool, Preview},
    chan::latest::{self, latest},
    clock::Clock,
    pipeline::control::SendControl,
    stats,
    thread::{Stage, Urgency},
};

/// The camera. Dropping it closes it.
#[derive(Debug)]
pub struct Feed {
    shared: Arc<Shared>,
    _thread: Stage,
}

#[derive(Debug)]
struct Shared {
    control: Control,
    wishes: Mutex<Wishes>,
    newest: tokio::sync::Mutex<latest::Reader<Captured>>,
    pool: Pool,
}

/// Who wants which camera.
#[derive(Debug)]
struct Wishes {
    choice: Choice,
    preview: bool,
    /// The tap that counts, by its number: a call's threads may end after the next call's have begun.
    call: Option<u64>,
    off: bool,
    taps: u64,
}

impl Feed {
    /// Begins with a closed camera. `preview` sees its pictures whenever it is open.
    ///
    /// # Errors
    ///
    /// If the system gives no thread.
    pub fn start(settings: &settings::Camera, clock: Clock, preview: Preview) -> io::Result<Self> {
        let (source, control) = source(None);
        let (writer, newest) = latest();
        let pool = Pool::default();
        let given = pool.clone();
        let thread = Stage::spawn("visavis-camera", Urgency::Usual, move || {
            // What belongs to a call is counted where the call takes it.
            let (stats, _uncounted) = stats::channel();
            let outlet =
                Outlet::new(writer, given, clock, SendControl::new(Bitrate::default()), stats, Some(preview));
            video::Source::run(Box::new(source), outlet)
        })?;
        let wishes = Wishes { choice: settings.into(), preview: false, call: None, off: false, taps: 0 };
        let shared = Shared { control, wishes: Mutex::new(wishes), newest: tokio::sync::Mutex::new(newest), pool };
        Ok(Self { shared: Arc::new(shared), _thread: thread })
    }

    /// What is told to the person: the latest.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.shared.control.status()
    }

    /// Takes over what a person has set; another camera is opened at once if one is open.
    pub fn apply(&self, settings: &settings::Camera) {
        self.shared.change(|wishes| wishes.choice = settings.into());
    }

    /// Opens the camera for its preview, or lets go of it.
    pub fn want_preview(&self, wanted: bool) {
        self.shared.change(|wishes| wishes.preview = wanted);
    }

    /// Closes the camera during a call, or opens it again.
    pub fn set_off(&self, off: bool) {
        self.shared.change(|wishes| wishes.off = off);
    }

    /// The camera as the source of a call: open until that is dropped. It takes the place of the one before.
    pub fn tap(&self) -> Tap {
        let mut tap = Tap { shared: self.shared.clone(), number: 0, size: (0, 0) };
        self.shared.change(|wishes| {
            wishes.taps += 1;
            (wishes.call, wishes.off) = (Some(wishes.taps), false);
            (tap.number, tap.size) = (wishes.taps, wishes.choice.wish.size);
        });
        tap
    }
}

impl Shared {
    fn change(&self, change: impl FnOnce(&mut Wishes)) {
        // A poisoned lock is used all the same: what is chosen follows from the wishes anew.
        let mut wishes = self.wishes.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut wishes);
        let open = wishes.preview || wishes.call.is_some() && !wishes.off;
        self.control.choose(open.then(|| wishes.choice.clone()));
    }
}

/// A call's share of the camera.
#[derive(Debug)]
pub struct Tap {
    shared: Arc<Shared>,
    number: u64,
    size: (u32, u32),
}

impl video::Source for Tap {
    fn size(&self) -> (u32, u32) {
        self.size
    }

    fn run(self: Box<Self>, out: Outlet) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(pass_on(*self, out))
    }
}

/// Gives the camera's pictures until nobody takes them.
async fn pass_on(tap: Tap, mut out: Outlet) {
    let begun = out.clock.now();
    let mut newest = tokio::select! {
        biased; // the end comes first
        () = out.closed() => return,
        newest = tap.shared.newest.lock() => newest,
    };
    loop {
        let captured = tokio::select! {
            biased; // the end comes first
            () = out.closed() => return,
            captured = newest.take() => captured,
        };
        let Some(Captured { picture, at, .. }) = captured else { return };
        if at < begun {
            // It has lain there since the camera was last open.
            tap.shared.pool.put(picture);
            continue;
        }
        // Memory goes round, though it belongs to two.
        tap.shared.pool.put(out.pool.take());
        out.give(picture, at);
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.shared.change(|wishes| {
            wishes.call.take_if(|call| *call == self.number);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared() -> (Shared, watch::Receiver<Option<Choice>>) {
        let (source, control) = source(None);
        let (_writer, newest) = latest();
        let choice = Choice::from(&settings::Camera::default());
        let wishes = Wishes { choice, preview: false, call: None, off: false, taps: 0 };
        let newest = tokio::sync::Mutex::new(newest);
        (Shared { control, wishes: Mutex::new(wishes), newest, pool: Pool::default() }, source.choice)
    }

    fn tap(shared: &Arc<Shared>, number: u64) -> Tap {
        shared.change(|wishes| wishes.call = Some(number));
        Tap { shared: shared.clone(), number, size: (16, 16) }
    }

    #[test]
    fn the_camera_is_open_while_somebody_wants_it() {
        let (shared, choice) = shared();
        let (shared, is_open) = (Arc::new(shared), || choice.borrow().is_some());
        assert!(!is_open());
        shared.change(|wishes| wishes.preview = true);
        assert!(is_open());
        let call = tap(&shared, 1);
        shared.change(|wishes| wishes.preview = false);
        assert!(is_open(), "the call has it now");
        shared.change(|wishes| wishes.off = true);
        assert!(!is_open(), "its light goes out");
        shared.change(|wishes| wishes.off = false);
        drop(call);
        assert!(!is_open());
    }

    #[test]
    fn a_call_that_ends_late_does_not_close_the_camera_of_the_next() {
        let (shared, choice) = shared();
        let shared = Arc::new(shared);
        let (first, second) = (tap(&shared, 1), tap(&shared, 2));
        drop(first);
        assert!(choice.borrow().is_some());
        drop(second);
        assert!(choice.borrow().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_gets_pictures_of_its_own_time_with_their_times() {
        let clock = Clock::system();
        let (writer, newest) = latest();
        let (mut inner, _choice) = shared();
        inner.newest = tokio::sync::Mutex::new(newest);
        let shared = Arc::new(inner);
        let (stats, _records) = stats::channel();
        let outlet = |writer| {
            let control = SendControl::new(Bitrate::default());
            Outlet::new(writer, Pool::default(), clock, control, stats.clone(), None)
        };
        let mut camera = outlet(writer);
        let old = clock.now() - std::time::Duration::from_secs(60);
        camera.give(visavis_codec::Picture::new(16, 16), old);
        let (call_writer, mut call) = latest();
        let passing = tokio::spawn(pass_on(tap(&shared, 1), outlet(call_writer)));
        let fresh = clock.now() + std::time::Duration::from_secs(1);
        tokio::task::yield_now().await;
        camera.give(visavis_codec::Picture::new(32, 16), fresh);
        let captured = call.take().await.expect("a picture");
        assert_eq!((captured.picture.width, captured.at), (32, fresh));
        drop(call);
        passing.await.expect("it ends with the call");
    }
}
