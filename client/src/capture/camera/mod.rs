//! The camera: a source that gives pictures whatever the camera does. Linux alone, so far (see [`crate::worker`]).
//!
//! ```text
//! helper process: v4l::Camera -> thin -> raw, mjpeg -> scale -> look -> ring
//!                                                                        |
//! capture thread: stage <- Worker::heard <-------------------------------+
//!                   |  state::Watch: what is the matter, when to start again
//!                   v
//!                Outlet -> latest cell -> encode
//! ```
//!
//! # Why not nokhwa
//!
//! nokhwa (0.10, with nokhwa-bindings-linux 0.1.4) is a layer over the `v4l` crate, which is used here directly. Read in
//! its source: it refuses a camera whose *current* format it does not know (YU12, which is all that DroidCam has), or
//! whose current interval is not 1/n, whatever else the camera offers; leaves out intervals that are not 1/n, and GREY,
//! which it spells GRAY; knows no stride, so that padded rows come out sheared without an error; copies the whole buffer,
//! whatever part of it the frame fills; and tells errors as text. Tried: YU12, GREY, 1001/30000 and 2/15 are refused, and
//! a 720p frame comes 3 ms later. What it can do, the direct way must be able to do in any case.
//!
//! It is kept behind the feature `nokhwa`, off by default, as the way to cameras on other systems once the helper runs
//! there; with the feature, `cargo nextest run -p visavis-tests --features nokhwa` runs it on Linux, as CI does. Not in
//! every build, because it brings 20 crates more (`image` and its colour management among them), 104 s of processor time in a clean build, as
//! much as `v4l` and the generator of its bindings.

mod devices;
pub mod feed;
pub mod look;
pub mod mode;
#[cfg(feature = "nokhwa")]
mod nokhwa;
pub mod placeholder;
pub mod plugs;
pub mod serve;
mod stage;
pub mod state;
mod thin;
mod v4l;

use std::{
    future::Future,
    io,
    path::{Path, PathBuf},
    pin::Pin,
    time::Duration,
};

use tokio::sync::watch;

use self::{
    mode::Wish,
    serve::{Job, Listed, Said, Through},
    state::State,
};
use super::video::{self, Outlet};
use crate::{
    app::settings,
    worker::{self, Worker},
};

pub use devices::{Devices, devices, follow};
pub use feed::Feed;

/// The helper's kind, after [`worker::COMMAND`].
pub const KIND: &str = "camera";

/// Which camera, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// By which library.
    pub through: Through,
    /// The [`Listed::id`] of the camera, or its name; none is the first that has colour.
    pub id: Option<String>,
    /// What the call wants of it.
    pub wish: Wish,
}

impl Choice {
    /// A camera by its id or name, or the first.
    pub fn new(id: Option<String>, wish: Wish) -> Self {
        Self { through: Through::default(), id, wish }
    }
}

impl From<&settings::Camera> for Choice {
    fn from(settings: &settings::Camera) -> Self {
        Self::new(settings.device.clone(), Wish::capped(settings.max_height, settings.max_fps))
    }
}

/// What is told to the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// What the camera is doing.
    pub state: State,
    /// Its name, once it is known.
    pub camera: Option<String>,
}

impl Status {
    /// One sentence: what happened, and what to do. `None` while all is well.
    pub fn sentence(&self) -> Option<String> {
        self.state.sentence(self.camera.as_deref())
    }
}

/// The camera as a source of pictures. It follows what [`Control::choose`] says; while no camera is chosen, none is
/// open and nothing is given.
#[derive(Debug)]
pub struct Source {
    program: PathBuf,
    choice: watch::Receiver<Option<Choice>>,
    status: watch::Sender<Status>,
}

/// The person's side of a [`Source`]. Without it, the source goes on as it was told last.
#[derive(Debug)]
pub struct Control {
    choice: watch::Sender<Option<Choice>>,
    status: watch::Receiver<Status>,
}

/// A source for a choice, which runs its helpers out of this very program.
pub fn source(choice: Option<Choice>) -> (Source, Control) {
    source_by(worker::own_program(), choice)
}

/// As [`source`], with another program that knows [`worker::COMMAND`].
pub fn source_by(program: PathBuf, choice: Option<Choice>) -> (Source, Control) {
    let (choose, choice) = watch::channel(choice);
    let (told, status) = watch::channel(Status { state: State::Opening, camera: None });
    (Source { program, choice, status: told }, Control { choice: choose, status })
}

impl Control {
    /// Takes another camera, or the same in another way, or none: that one is closed, and its light goes out.
    pub fn choose(&self, choice: Option<Choice>) {
        self.choice.send_if_modified(|chosen| {
            let differs = *chosen != choice;
            *chosen = choice;
            differs
        });
    }

    /// What is told to the person: the latest.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }
}

impl video::Source for Source {
    fn size(&self) -> (u32, u32) {
        self.choice.borrow().as_ref().map_or(Wish::default().size, |choice| choice.wish.size)
    }

    fn run(self: Box<Self>, out: Outlet) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(stage::run(*self, out))
    }
}

/// The cameras of this machine, asked by a helper: a driver that hangs holds up nobody. To be called within a tokio
/// runtime.
///
/// # Errors
///
/// If there is no helper, or no answer in time.
pub async fn list(program: &Path) -> io::Result<Vec<Listed>> {
    let mut worker = Worker::start(program, KIND, 1, &Job::List)?;
    match tokio::time::timeout(LISTING, worker.heard()).await {
        Ok(Ok(Some(Said::Cameras(cameras)))) => Ok(cameras),
        Ok(Err(error)) => Err(error),
        Ok(Ok(_)) => Err(io::Error::other("the helper ended without an answer")),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Opening a node takes milliseconds, some tens of them when the device sleeps; one that hangs is given up after one
/// second by the helper.
const LISTING: Duration = Duration::from_secs(5);
