//! One's own camera, where there are cameras to be used: on Linux, so far.

use std::io;

use crate::{
    app::{devices::Device, pictures::Cell, settings, studio::Own},
    capture::video,
    clock::Clock,
};

#[cfg(target_os = "linux")]
pub use linux::Eye;
#[cfg(not(target_os = "linux"))]
pub use nowhere::Eye;

#[cfg(target_os = "linux")]
mod linux {
    use std::sync::Arc;

    use tokio::sync::watch;

    use super::{Cell, Clock, Device, Own, io, settings, video};
    use crate::capture::camera::{self, Feed, Status, state::State};

    /// The camera and the list of those to choose from. Cheap to clone; the last clone closes it.
    #[derive(Clone)]
    pub struct Eye {
        feed: Arc<Feed>,
        devices: Arc<camera::Devices>,
    }

    /// Tells when something about the camera has changed.
    pub struct News {
        status: watch::Receiver<Status>,
        cameras: watch::Receiver<Vec<Device>>,
    }

    impl Eye {
        /// Begins with a closed camera, whose pictures will be seen in `own`.
        ///
        /// # Errors
        ///
        /// If the system gives no thread.
        pub fn start(settings: &settings::Camera, clock: Clock, own: &Cell) -> io::Result<Self> {
            let feed = Arc::new(Feed::start(settings, clock, own.preview())?);
            Ok(Self { feed, devices: Arc::new(camera::devices()?) })
        }

        /// Its pictures, for a call.
        ///
        /// # Errors
        ///
        /// None here.
        #[expect(clippy::unnecessary_wraps, reason = "elsewhere there are no cameras")]
        pub fn source(&self) -> anyhow::Result<Box<dyn video::Source>> {
            Ok(Box::new(self.feed.tap()))
        }

        /// Takes over what a person has set.
        pub fn apply(&self, settings: &settings::Camera) {
            self.feed.apply(settings);
        }

        /// Opens it without a call, or lets go of it.
        pub fn want_preview(&self, wanted: bool) {
            if wanted {
                self.devices.look();
            }
            self.feed.want_preview(wanted);
        }

        /// Closes it during a call, or opens it again.
        pub fn set_off(&self, off: bool) {
            self.feed.set_off(off);
        }

        /// What can be chosen.
        pub fn devices(&self) -> Vec<Device> {
            self.devices.cameras().borrow().clone()
        }

        /// How it is.
        pub fn own(&self) -> Own {
            let status = self.feed.status();
            let status = status.borrow();
            match status.state {
                State::Live => Own::Live,
                State::Off | State::Opening => Own::Starting,
                _ => status.sentence().map_or(Own::Starting, Own::Fault),
            }
        }

        /// The name of the camera whose pictures come.
        pub fn name(&self) -> Option<String> {
            let status = self.feed.status();
            let status = status.borrow();
            status.camera.clone().filter(|_| status.state == State::Live)
        }

        /// Whoever waits for changes.
        pub fn news(&self) -> News {
            News { status: self.feed.status(), cameras: self.devices.cameras() }
        }
    }

    impl News {
        /// Waits for a change. Cancel-safe.
        pub async fn changed(&mut self) {
            tokio::select! {
                Ok(()) = self.status.changed() => {}
                Ok(()) = self.cameras.changed() => {}
                else => std::future::pending().await,
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod nowhere {
    use super::{Cell, Clock, Device, Own, io, settings, video};

    const SENTENCE: &str =
        "Cameras can be used on Linux only, so far: others hear you, and see a file given with --video.";

    /// No camera.
    #[derive(Clone)]
    pub struct Eye;

    /// Tells nothing.
    pub struct News;

    impl Eye {
        /// Nothing.
        ///
        /// # Errors
        ///
        /// None.
        pub fn start(_settings: &settings::Camera, _clock: Clock, _own: &Cell) -> io::Result<Self> {
            Ok(Self)
        }

        /// None.
        ///
        /// # Errors
        ///
        /// Always: a sentence says that there are no cameras here.
        pub fn source(&self) -> anyhow::Result<Box<dyn video::Source>> {
            anyhow::bail!(SENTENCE)
        }

        /// Nothing to take over.
        pub fn apply(&self, _settings: &settings::Camera) {}

        /// Nothing to open.
        pub fn want_preview(&self, _wanted: bool) {}

        /// Nothing to close.
        pub fn set_off(&self, _off: bool) {}

        /// None.
        pub fn devices(&self) -> Vec<Device> {
            Vec::new()
        }

        /// That there are none.
        pub fn own(&self) -> Own {
            Own::Fault(SENTENCE.to_owned())
        }

        /// None.
        pub fn name(&self) -> Option<String> {
            None
        }

        /// Nothing will change.
        pub fn news(&self) -> News {
            News
        }
    }

    impl News {
        /// Never.
        pub async fn changed(&mut self) {
            std::future::pending().await
        }
    }
}
