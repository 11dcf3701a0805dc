//! Pictures on their way to the encoder: a [`Source`] pushes them, each with the time at which it was captured, through
//! its [`Outlet`]. Files and generated scenes are [`Reel`]s, which [`Paced`] makes a source of; the other source is the
//! camera.

use std::{
    fs::File,
    future::Future,
    io::BufReader,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use visavis_codec::{Picture, scene::Scene, y4m};
use visavis_proto::time::Timestamp;

use crate::{
    chan::latest,
    clock::Clock,
    pipeline::control::SendControl,
    stats::{
        self, Open,
        record::{Drop, Fate, FrameRecord, Media, Side},
    },
};

/// A picture and when it was captured.
#[derive(Debug)]
pub struct Captured {
    /// The picture; goes back to the [`Pool`] after use.
    pub picture: Picture,
    /// Count of captured pictures, starting at 0 and going on whether or not a call is live.
    pub number: u32,
    /// When it was captured: the driver's time for a camera, the moment of the hand-over for anything else.
    pub at: Timestamp,
    /// What becomes of it; counts if the call wanted pictures when it was captured.
    pub record: Open,
}

/// Gives pictures when it has them. A seam: a camera, or a [`Paced`] file or scene.
pub trait Source: Send {
    /// Width and height, in pixels, to be expected. Pictures may come in other sizes, and change theirs.
    fn size(&self) -> (u32, u32);

    /// Gives pictures until nobody takes them any more.
    fn run(self: Box<Self>, out: Outlet) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// Sees every captured picture, as the person does in their self view. Runs on the capture thread and must not block.
pub type Preview = Box<dyn FnMut(&Picture) + Send>;

/// Where a source's pictures go: numbers them and opens their records.
pub struct Outlet {
    /// Where pictures come from and go back to.
    pub pool: Pool,
    /// Time.
    pub clock: Clock,
    cell: latest::Writer<Captured>,
    control: SendControl,
    stats: stats::Sender,
    preview: Option<Preview>,
    next: u32,
    last: Option<Timestamp>,
}

impl Outlet {
    /// An outlet into `cell`; whether a picture counts for the call is `control`'s to say.
    pub fn new(
        cell: latest::Writer<Captured>,
        pool: Pool,
        clock: Clock,
        control: SendControl,
        stats: stats::Sender,
        preview: Option<Preview>,
    ) -> Self {
        Self { pool, clock, cell, control, stats, preview, next: 0, last: None }
    }

    /// Nobody takes pictures any more.
    pub fn is_closed(&self) -> bool {
        self.cell.is_closed()
    }

    /// Waits until nobody takes pictures any more. Cancel-safe.
    pub fn closed(&self) -> impl Future<Output = ()> + Send {
        self.cell.closed()
    }

    /// Hands over a picture that was captured `at`; it replaces one that still waits. Captures go forward in time: one
    /// that is said to be older than the one before it is taken for its immediate successor.
    pub fn give(&mut self, picture: Picture, at: Timestamp) {
        let at = self.last.map_or(at, |last| at.max(last + STEP));
        self.last = Some(at);
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        if let Some(preview) = &mut self.preview {
            preview(&picture);
        }
        let record = FrameRecord {
            capture: Some(number),
            captured_ns: Some(at.as_nanos()),
            ..FrameRecord::new(Side::Sender, Media::Video, Fate::InFlight)
        };
        let record = Open::new(record, &self.stats);
        let record = if self.control.sending_video() { record } else { record.unless_counted() };
        if let Some(replaced) = self.cell.put(Captured { picture, number, at, record }) {
            replaced.record.end(Fate::Dropped(Drop::Replaced));
            self.pool.put(replaced.picture);
        }
    }
}

/// The least time between two captures, as it travels with them.
const STEP: Duration = Duration::from_micros(1);

/// Pictures that can be asked for by their number. A seam: files, generated scenes.
pub trait Reel: Send {
    /// Width and height in pixels.
    fn size(&self) -> (u32, u32);

    /// Draws or reads picture `number` into `out`. Called with 0, 1, 2 and so on.
    ///
    /// # Errors
    ///
    /// A sentence for a person.
    fn read(&mut self, number: u32, out: &mut Picture) -> Result<(), Error>;
}

/// Why a source gives no pictures.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be opened or read.
    #[error("cannot read {}: {source}. Check the path", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is a pipe or a device, which cannot be played backwards.
    #[error("cannot use {} as video: it is a pipe or a device. Name a y4m file", path.display())]
    NoFile {
        /// Which.
        path: PathBuf,
    },
    /// Its rate is none at which a call sends.
    #[error(
        "cannot use {} as video: {}, and a call sends 1 to 60. Say with --fps how fast to play it, or convert it, for \
         example: ffmpeg -i INPUT -r 30 -pix_fmt yuv420p OUTPUT.y4m",
        path.display(),
        match rate {
            Some(rate) => format!("it has {rate} pictures a second"),
            None => "it does not tell its pictures a second (F0:0)".to_owned(),
        }
    )]
    Rate {
        /// Which.
        path: PathBuf,
        /// Pictures per second, if the file tells.
        rate: Option<f64>,
    },
    /// The file is not usable video.
    #[error(
        "cannot use {} as video: {source}. Convert it, for example: ffmpeg -i INPUT{} -pix_fmt yuv420p OUTPUT.y4m",
        path.display(),
        filter(source)
    )]
    Y4m {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: y4m::Error,
    },
}

/// What ffmpeg is to do, beside converting the colours, so that the file can be used.
fn filter(error: &y4m::Error) -> &'static str {
    match error {
        // Fits the largest size, whichever side is too long or too short.
        y4m::Error::Size { .. } => " -vf scale=1920:1080:force_original_aspect_ratio=decrease",
        y4m::Error::Interlaced(_) => " -vf yadif",
        _ => "",
    }
}

impl Error {
    fn new(path: &Path, error: y4m::Error) -> Self {
        let path = path.to_owned();
        match error {
            // A file that ends too early is there, and is damaged.
            y4m::Error::Io(source) if source.kind() != std::io::ErrorKind::UnexpectedEof => {
                Self::Read { path, source }
            }
            source => Self::Y4m { path, source },
        }
    }
}

/// The project's own moving picture.
#[derive(Debug)]
pub struct Generated {
    scene: Scene,
    size: (u32, u32),
}

impl Generated {
    /// A scene of this size; the same seed draws the same pictures.
    pub fn new(width: u32, height: u32, seed: u64) -> Self {
        Self { scene: Scene::new(width, height, seed), size: (width, height) }
    }
}

impl Reel for Generated {
    fn size(&self) -> (u32, u32) {
        self.size
    }

    fn read(&mut self, number: u32, out: &mut Picture) -> Result<(), Error> {
        self.scene.render(u64::from(number), out);
        Ok(())
    }
}

/// Pictures per second that a call sends.
const RATES: RangeInclusive<f64> = 1.0..=60.0;

/// A y4m file, played forwards then backwards, so that a short clip has no cuts.
pub struct Y4mFile {
    reader: y4m::Reader<BufReader<File>>,
    path: PathBuf,
    order: y4m::PingPong,
    size: (u32, u32),
}

impl Y4mFile {
    /// Opens a file and checks that its first picture can be read.
    ///
    /// # Errors
    ///
    /// Any [`Error`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        let unread = |source| Error::Read { path: path.to_owned(), source };
        // Opening a pipe would wait for somebody to write to it.
        let kind = std::fs::metadata(path).map_err(unread)?.file_type();
        if !kind.is_file() && !kind.is_dir() {
            return Err(Error::NoFile { path: path.to_owned() });
        }
        let file = File::open(path).map_err(unread)?;
        let wrong = |error| Error::new(path, error);
        let mut reader = y4m::Reader::new(BufReader::new(file)).map_err(wrong)?;
        let header = reader.header();
        let size = (header.width, header.height);
        reader.read(0, &mut Picture::new(size.0, size.1)).map_err(wrong)?;
        let order = y4m::PingPong::new(reader.frames());
        Ok(Self { reader, path: path.to_owned(), order, size })
    }

    /// Pictures per second, 1 to 60, as the file says.
    ///
    /// # Errors
    ///
    /// [`Error::Rate`] if it says another rate, or none.
    pub fn frames_per_second(&self) -> Result<f64, Error> {
        let rate = self.reader.header().frames_per_second();
        rate.filter(|rate| RATES.contains(rate)).ok_or_else(|| Error::Rate { path: self.path.clone(), rate })
    }
}

impl Reel for Y4mFile {
    fn size(&self) -> (u32, u32) {
        self.size
    }

    fn read(&mut self, _number: u32, out: &mut Picture) -> Result<(), Error> {
        let index = self.order.next().unwrap_or_default();
        self.reader.read(index, out).map_err(|error| Error::new(&self.path, error))
    }
}

/// Pictures that were used, to be used again: a 720p picture is 1.4 MB, and fresh memory of that size costs page
/// faults at every frame. Keeps at most four; more are freed.
#[derive(Debug, Clone, Default)]
pub struct Pool(Arc<Mutex<Vec<Picture>>>);

impl Pool {
    const KEPT: usize = 4;

    /// A picture of any size and content.
    pub fn take(&self) -> Picture {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_else(|| Picture::new(2, 2))
    }

    /// Gives one back.
    pub fn put(&self, picture: Picture) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < Self::KEPT {
            kept.push(picture);
        }
    }
}

/// A reel as a source: at a steady rate. A picture is read ahead of its time and stamped when it is handed over, as a
/// camera's driver does.
pub struct Paced {
    /// What is shown.
    pub reel: Box<dyn Reel>,
    /// How fast.
    pub frames_per_second: f64,
}

impl Source for Paced {
    fn size(&self) -> (u32, u32) {
        self.reel.size()
    }

    fn run(self: Box<Self>, out: Outlet) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(pace(*self, out))
    }
}

async fn pace(Paced { mut reel, frames_per_second }: Paced, mut out: Outlet) {
    let interval = Duration::from_secs_f64(1.0 / frames_per_second);
    let mut due = out.clock.now();
    for number in 0.. {
        let mut picture = out.pool.take();
        if let Err(error) = reel.read(number, &mut picture) {
            tracing::error!(%error, "the video source ended: the call goes on without pictures");
            return;
        }
        tokio::time::sleep_until(out.clock.instant(due)).await;
        if out.is_closed() {
            return;
        }
        let at = out.clock.now();
        out.give(picture, at);
        due += interval;
        // After a stall the missed pictures are not made up for: a camera would have dropped them too.
        if at.since(due) > interval {
            due = at + interval;
        }
    }
}

#[cfg(test)]
mod tests {
    use visavis_proto::units::Bitrate;

    use super::*;
    use crate::{chan::latest::latest, stats::Item};

    #[test]
    fn captures_are_numbered_seen_by_the_preview_and_go_forward_in_time() {
        let (stats, mut records) = stats::channel();
        let control = SendControl::new(Bitrate::from_kbps(100));
        control.set_live(Some(Timestamp::ZERO));
        let (writer, mut cell) = latest();
        let seen = Arc::<Mutex<Vec<u32>>>::default();
        let preview: Preview = Box::new({
            let seen = seen.clone();
            move |picture| seen.lock().expect("no panic").push(picture.width)
        });
        let (pool, clock) = (Pool::default(), Clock::starting_at(Timestamp::ZERO));
        let mut out = Outlet::new(writer, pool, clock, control, stats, Some(preview));
        let at = Timestamp::from_micros(5_000);
        out.give(Picture::new(16, 16), at);
        out.give(Picture::new(32, 32), at - Duration::from_millis(1));
        let captured = cell.try_take().expect("the newest");
        assert_eq!((captured.number, captured.at), (1, at + STEP));
        assert_eq!(*seen.lock().expect("no panic"), [16, 32]);
        let Some(Item::Frame(record)) = records.try_recv() else { panic!("the replaced one has a record") };
        assert_eq!((record.capture, record.fate), (Some(0), Fate::Dropped(Drop::Replaced)));
    }
}
