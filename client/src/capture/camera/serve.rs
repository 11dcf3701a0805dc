//! The helper's side of the camera: opens it, converts each frame into shared memory, says what happens.

use std::{io, process::ExitCode, time::Duration};

use serde::{Deserialize, Serialize};
use visavis_codec::{
    Picture, mjpeg,
    raw::{self, PlanesMut},
    scale::{Scaler, fitted},
};

#[cfg(feature = "nokhwa")]
use super::nokhwa;
use super::{
    look::Look,
    mode::{Format, Interval, Mode, Offer, Wish},
    thin::Thin,
    v4l,
};
use crate::worker::{Parent, ring::Notes};

/// What the helper is asked to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Job {
    /// Say which cameras there are.
    List,
    /// Run a camera.
    Run {
        /// By which library.
        through: Through,
        /// Its [`Listed::id`] or its name; none is the first.
        id: Option<String>,
        /// What the call wants of it.
        wish: Wish,
    },
}

/// The library that speaks with the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Through {
    /// `v4l`.
    #[default]
    V4l,
    /// nokhwa, which speaks with every system.
    #[cfg(feature = "nokhwa")]
    Nokhwa,
}

/// A running camera. A seam: `v4l`, or nokhwa.
pub trait Device {
    /// What it really does, which may differ from what was asked.
    fn mode(&self) -> Mode;

    /// Waits for a frame and lets `look` see the newest that is ready.
    ///
    /// # Errors
    ///
    /// Any [`Failure`]; [`Failure::Silent`] when none comes in time.
    fn next<T>(&mut self, look: impl FnOnce(Frame<'_>) -> T) -> Result<T, Failure>;
}

/// What the helper says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Said {
    /// The cameras of this machine.
    Cameras(Vec<Listed>),
    /// This camera, by its name, is what the job means.
    Chosen(String),
    /// The camera runs, in this mode.
    Opened {
        /// Pixels across and down.
        size: (u32, u32),
        /// Time between frames, as the driver says.
        interval: Interval,
        /// For the log.
        format: String,
    },
    /// A picture lies in the ring.
    Picture,
    /// A frame came, but was damaged.
    Damaged,
    /// It is over; the helper ends.
    Failed(Failure),
}

/// A camera that can be chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Its place on the bus and its name: the same when it is plugged in again at the same place.
    pub id: String,
    /// What a person calls it.
    pub name: String,
    /// The best that it offers in each format; empty if it does not answer.
    pub offers: Vec<Offer>,
}

impl Listed {
    /// Whether this is the camera that a person means.
    #[must_use]
    pub fn is(&self, wanted: &str) -> bool {
        self.id == wanted || self.name.to_lowercase() == wanted.to_lowercase()
    }
}

/// Why a camera gives no pictures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// Another program has it.
    Busy,
    /// It is not there, or not any more.
    Gone,
    /// This person may not use it.
    Refused,
    /// It has nothing that we understand.
    NoFormat,
    /// The bus has no room for this mode.
    NoRoom,
    /// No frame came in time.
    Silent,
    /// Something else, in the system's words.
    Other(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        use rustix::io::Errno;
        let errno = Errno::from_io_error(&error);
        match errno {
            Some(Errno::BUSY) => Self::Busy,
            Some(Errno::ACCESS | Errno::PERM) => Self::Refused,
            Some(Errno::NODEV | Errno::NOENT | Errno::NXIO) => Self::Gone,
            Some(Errno::NOSPC) => Self::NoRoom,
            Some(Errno::INVAL) => Self::NoFormat,
            _ if error.kind() == io::ErrorKind::TimedOut => Self::Silent,
            _ => Self::Other(error.to_string()),
        }
    }
}

/// A frame as the driver gave it.
#[derive(Debug)]
pub struct Frame<'a> {
    /// What the camera sent.
    pub bytes: &'a [u8],
    /// Distance of rows in bytes.
    pub stride: usize,
    /// When, by the system's monotonic clock, if the driver says.
    pub captured: Option<Duration>,
    /// The driver says that it is.
    pub damaged: bool,
}

/// What is noted with a picture in the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Note {
    /// Pixels across and down.
    pub size: (u32, u32),
    /// When it was captured, by the system's monotonic clock, which all processes share.
    pub captured: Duration,
    /// A glance at it.
    pub look: Look,
}

impl Note {
    fn to_words(self) -> Notes {
        let captured = u64::try_from(self.captured.as_nanos()).unwrap_or(u64::MAX);
        let (width, height) = (u64::from(self.size.0), u64::from(self.size.1));
        [width, height, captured, u64::from(self.look.black), self.look.digest, 0, 0, 0]
    }

    /// `None` for what no helper of ours writes.
    #[must_use]
    pub fn from_words(words: Notes) -> Option<Self> {
        let [width, height, captured, black, digest, ..] = words;
        let size = (u32::try_from(width).ok()?, u32::try_from(height).ok()?);
        let fits = (1..=MAX_SIDE).contains(&size.0) && (1..=MAX_SIDE).contains(&size.1);
        let captured = Duration::from_nanos(captured);
        fits.then_some(Self { size, captured, look: Look { black: black != 0, digest } })
    }
}

/// Pixels on a side: what a 4K camera has, with some to spare.
const MAX_SIDE: u32 = 4_096;

/// Room for the largest picture. Costs nothing until a camera delivers one.
pub const PICTURE_BYTES: usize = PlanesMut::bytes(3_840, 2_160);

/// The helper's whole life.
#[must_use]
pub fn run() -> ExitCode {
    // `v4l` panics where a driver surprises it; the parent hears of an end of the helper anyway.
    std::panic::set_hook(Box::new(|panic| tracing::warn!(%panic, "the camera's driver surprised its library")));
    let (mut parent, job) = match Parent::meet() {
        Ok(met) => met,
        Err(error) => {
            tracing::error!(%error, "this command is for visavis itself");
            return ExitCode::FAILURE;
        }
    };
    let told = match job {
        Job::List => parent.say(&Said::Cameras(v4l::list())),
        Job::Run { through, id, wish } => {
            let (id, wish) = (id.as_deref(), &wish);
            let failure = match through {
                Through::V4l => v4l::Node::find(id).map(|node| {
                    // A parent that is gone is noticed soon enough.
                    let _gone = parent.say(&Said::Chosen(node.name().to_owned()));
                    v4l::Camera::open(&node, wish)
                        .map_or_else(|failure| failure, |camera| serve(camera, wish, &mut parent))
                }),
                #[cfg(feature = "nokhwa")]
                Through::Nokhwa => Ok(nokhwa::Camera::open(id, wish)
                    .map_or_else(|failure| failure, |camera| serve(camera, wish, &mut parent))),
            };
            parent.say(&Said::Failed(failure.unwrap_or_else(|failure| failure)))
        }
    };
    // A parent that is gone needs to hear nothing.
    if told.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Delivers pictures until the camera fails or the parent is gone.
fn serve(mut camera: impl Device, wish: &Wish, parent: &mut Parent) -> Failure {
    let mode = camera.mode();
    let Mode { format, size, interval } = mode;
    if parent.say(&Said::Opened { size, interval, format: format.name() }).is_err() {
        return Failure::Gone;
    }
    let mut converter = Converter::new(mode, wish);
    let mut thin = Thin::new(interval.per_second(), wish.frames_per_second);
    loop {
        let pictures = &mut parent.pictures;
        let shown = camera.next(|frame| {
            let captured = frame.captured.unwrap_or_else(monotonic);
            if !thin.wants(captured) {
                return Outcome::Unwanted;
            }
            let shown = !frame.damaged
                && pictures.write(|content| {
                    let (size, look) = converter.convert(&frame, content)?;
                    Some(Note { size, captured, look }.to_words())
                });
            if shown { Outcome::Shown } else { Outcome::Damaged }
        });
        let told = match shown {
            Ok(Outcome::Shown) => parent.say(&Said::Picture),
            Ok(Outcome::Damaged) => parent.say(&Said::Damaged),
            Ok(Outcome::Unwanted) => Ok(()),
            Err(failure) => return failure,
        };
        if told.is_err() {
            return Failure::Gone;
        }
    }
}

/// What became of a frame.
enum Outcome {
    Shown,
    Damaged,
    Unwanted,
}

/// From frames as they come to planes of the size that is sent.
struct Converter {
    mode: Mode,
    /// The size that is sent: the camera's, or what fits the wish.
    size: (u32, u32),
    decoder: mjpeg::Decoder,
    scaler: Scaler,
    /// The picture in the camera's size, if that is not the one that is sent.
    whole: Picture,
}

impl Converter {
    fn new(mode: Mode, wish: &Wish) -> Self {
        let size = fitted(mode.size, wish.size);
        let whole = if size == mode.size { Picture::new(0, 0) } else { Picture::new(mode.size.0, mode.size.1) };
        Self { mode, size, decoder: mjpeg::Decoder::default(), scaler: Scaler::default(), whole }
    }

    /// Writes a frame's planes to the beginning of `content`; `None` for one that is damaged.
    fn convert(&mut self, frame: &Frame<'_>, content: &mut [u8]) -> Option<((u32, u32), Look)> {
        let Self { mode, size, decoder, scaler, whole } = self;
        let mut planes = PlanesMut::within(content, size.0 as usize, size.1 as usize)?;
        if *size == mode.size {
            decode(mode.format, decoder, frame, &mut planes)?;
        } else {
            decode(mode.format, decoder, frame, &mut PlanesMut::of(whole))?;
            scaler.scale(whole, &mut planes).ok()?;
        }
        Some((*size, Look::at(planes.y, planes.width)))
    }
}

fn decode(format: Format, decoder: &mut mjpeg::Decoder, frame: &Frame<'_>, out: &mut PlanesMut<'_>) -> Option<()> {
    match format {
        Format::Raw(layout) => raw::convert(layout, frame.bytes, frame.stride, out).ok(),
        Format::Mjpeg => decoder.decode(frame.bytes, out).ok(),
    }
}

/// The clock of drivers.
#[must_use]
pub fn monotonic() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or_default())
}
