//! Pictures at a steady rate, each stamped at the moment it is handed over.

use std::{
    fs::File,
    io::BufReader,
    ops::RangeInclusive,
    path::{Path, PathBuf},
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
    /// The moment of the hand-over.
    pub at: Timestamp,
    /// What becomes of it; counts if the call wanted pictures when it was captured.
    pub record: Open,
}

/// A source that can be asked for its n-th picture. A seam: files, generated scenes, later cameras.
pub trait Source: Send {
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

impl Source for Generated {
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

impl Source for Y4mFile {
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

/// Reads `source` at `frames_per_second` into the cell until nobody reads it any more. A picture is read ahead of its
/// time and stamped when it is handed over, as a camera's driver does.
pub async fn run(
    mut source: Box<dyn Source>,
    frames_per_second: f64,
    clock: Clock,
    pool: Pool,
    cell: latest::Writer<Captured>,
    control: SendControl,
    stats: stats::Sender,
) {
    let interval = Duration::from_secs_f64(1.0 / frames_per_second);
    let mut due = clock.now();
    for number in 0.. {
        let mut picture = pool.take();
        if let Err(error) = source.read(number, &mut picture) {
            tracing::error!(%error, "the video source ended: the call goes on without pictures");
            return;
        }
        tokio::time::sleep_until(clock.instant(due)).await;
        if cell.is_closed() {
            return;
        }
        let at = clock.now();
        let record = FrameRecord {
            capture: Some(number),
            captured_ns: Some(at.as_nanos()),
            ..FrameRecord::new(Side::Sender, Media::Video, Fate::InFlight)
        };
        let record = Open::new(record, &stats);
        let record = if control.sending_video() { record } else { record.unless_counted() };
        if let Some(replaced) = cell.put(Captured { picture, number, at, record }) {
            replaced.record.end(Fate::Dropped(Drop::Replaced));
            pool.put(replaced.picture);
        }
        due += interval;
        // After a stall the missed pictures are not made up for: a camera would have dropped them too.
        if at.since(due) > interval {
            due = at + interval;
        }
    }
}
