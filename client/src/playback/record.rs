//! Recordings: pictures as y4m with their frame numbers and times beside, sound as wav with its times beside.
//!
//! Each recording writes on a thread of its own, so that a slow disk cannot hold up the call; what finds the queue full
//! is not recorded, and how much that was is told at the end. A recording that cannot be written any further says so at
//! once and ends, keeping what it has; the call goes on.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    thread::JoinHandle,
};

use visavis_codec::{Picture, wav, y4m};
use visavis_proto::time::Timestamp;

use super::{PictureSink, Shown, SoundSink};
use crate::{
    capture::{sound::Block, video::Pool},
    chan::failures::Reporter,
    pipeline::send::BLOCK,
    stats::Open,
};

/// Pictures on their way to the disk: half a second.
const PICTURES: usize = 16;

/// Blocks of sound on their way to the disk: 10 s.
const BLOCKS: usize = 1_000;

/// A recording that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be begun.
    #[error("cannot record to {}: {reason}. Check that the folder exists, is writable and has room", path.display())]
    Begin {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// It could not go on.
    #[error("the recording in {} ended early: {reason}. Make room there, or record to another place", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
}

/// A recording's thread. Finishing it tells how it went.
#[derive(Debug)]
pub struct Recording {
    path: PathBuf,
    thread: JoinHandle<Result<(), Error>>,
}

impl Recording {
    /// Waits until everything is on disk. Call it after the sink was dropped.
    ///
    /// # Errors
    ///
    /// [`Error::Write`], which was told when it happened.
    pub fn finish(self) -> Result<(), Error> {
        let panicked = |_| Err(Error::Write { path: self.path, reason: "the recording thread panicked".into() });
        self.thread.join().unwrap_or_else(panicked)
    }
}

/// Records pictures to `path`, and `capture,frame,captured_ns,presented_ns` of each to `path` with `.csv` appended.
/// Pictures of another size than the first are left out, since y4m has one size. If the disk fails, `reporter` is told.
///
/// # Errors
///
/// [`Error::Begin`] if a file cannot be made.
pub fn video(path: &Path, frames_per_second: u32, reporter: Reporter) -> Result<(Pictures, Recording), Error> {
    let pictures = create(path)?;
    let (table_path, table) = create_table(path)?;
    let (queue, receiver) = sync_channel(PICTURES);
    let files = VideoFiles { path: path.to_owned(), pictures, table_path, table };
    let pool = Pool::default();
    let written = pool.clone();
    let body = move || write_video(&receiver, frames_per_second, files, &written);
    let recording = spawn("visavis-record-video", path, reporter, body)?;
    Ok((Pictures { queue: Some(queue), pool, dropped: 0 }, recording))
}

/// Records sound to `path`, 48 kHz mono, and to `path` with `.csv` appended when it was heard: a line
/// `first_sample,first_sample_ns` where the recording begins, and another one after each jump in time. If the disk fails,
/// `reporter` is told.
///
/// # Errors
///
/// [`Error::Begin`] if a file cannot be made.
pub fn sound(path: &Path, reporter: Reporter) -> Result<(Sound, Recording), Error> {
    let wrong = |error: wav::Error| Error::Begin { path: path.to_owned(), reason: error.to_string() };
    let writer = wav::Writer::new(BufWriter::new(create(path)?)).map_err(wrong)?;
    let (table_path, table) = create_table(path)?;
    let (queue, receiver) = sync_channel(BLOCKS);
    let files = SoundFiles { path: path.to_owned(), writer, table_path, table };
    let recording = spawn("visavis-record-sound", path, reporter, move || write_sound(&receiver, files))?;
    Ok((Sound { queue: Some(queue), dropped: 0 }, recording))
}

/// Takes pictures for a recording.
#[derive(Debug)]
pub struct Pictures {
    /// Gone once the recording has ended.
    queue: Option<SyncSender<(Picture, Shown)>>,
    /// Pictures that have been written.
    pool: Pool,
    dropped: u64,
}

impl PictureSink for Pictures {
    fn show(&mut self, picture: Picture, about: Shown, record: Open) -> Picture {
        record.shown(about.presented);
        match offer(&mut self.queue, (picture, about)) {
            Offered::Taken => self.pool.take(),
            Offered::Full((picture, _)) => {
                self.dropped += 1;
                picture
            }
            Offered::Ended((picture, _)) => picture,
        }
    }
}

impl Drop for Pictures {
    fn drop(&mut self) {
        if self.dropped > 0 {
            tracing::warn!(pictures = self.dropped, "the disk was too slow: pictures are missing in the recording");
        }
    }
}

/// Takes sound for a recording.
#[derive(Debug)]
pub struct Sound {
    /// Gone once the recording has ended.
    queue: Option<SyncSender<(Block, Timestamp)>>,
    dropped: u64,
}

impl SoundSink for Sound {
    fn play(&mut self, block: &Block, at: Timestamp) {
        if let Offered::Full(_) = offer(&mut self.queue, (*block, at)) {
            self.dropped += 1;
        }
    }
}

impl Drop for Sound {
    fn drop(&mut self) {
        if self.dropped > 0 {
            tracing::warn!(blocks = self.dropped, "the disk was too slow: sound is missing in the recording");
        }
    }
}

/// What became of an item that was offered to the disk's thread.
enum Offered<T> {
    Taken,
    /// The disk is too slow.
    Full(T),
    /// The recording has ended, for which the disk is not too slow.
    Ended(T),
}

fn offer<T>(queue: &mut Option<SyncSender<T>>, item: T) -> Offered<T> {
    let Some(open) = queue else { return Offered::Ended(item) };
    match open.try_send(item) {
        Ok(()) => Offered::Taken,
        Err(TrySendError::Full(item)) => Offered::Full(item),
        Err(TrySendError::Disconnected(item)) => {
            *queue = None;
            Offered::Ended(item)
        }
    }
}

fn create(path: &Path) -> Result<File, Error> {
    File::create(path).map_err(|error| Error::Begin { path: path.to_owned(), reason: error.to_string() })
}

fn create_table(path: &Path) -> Result<(PathBuf, File), Error> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".csv");
    let beside = PathBuf::from(beside);
    let table = create(&beside)?;
    Ok((beside, table))
}

fn spawn(
    name: &str,
    path: &Path,
    reporter: Reporter,
    body: impl FnOnce() -> Result<(), Error> + Send + 'static,
) -> Result<Recording, Error> {
    let thread = std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || body().inspect_err(|error| reporter.tell(error)))
        .map_err(|error| Error::Begin { path: path.to_owned(), reason: error.to_string() })?;
    Ok(Recording { path: path.to_owned(), thread })
}

fn failed<E: std::fmt::Display>(path: &Path) -> impl Fn(E) -> Error {
    move |error| Error::Write { path: path.to_owned(), reason: error.to_string() }
}

struct VideoFiles {
    path: PathBuf,
    pictures: File,
    table_path: PathBuf,
    table: File,
}

fn write_video(
    receiver: &Receiver<(Picture, Shown)>,
    frames_per_second: u32,
    files: VideoFiles,
    pool: &Pool,
) -> Result<(), Error> {
    let VideoFiles { path, pictures, table_path, table } = files;
    let mut table = BufWriter::new(table);
    writeln!(table, "capture,frame,captured_ns,presented_ns").map_err(failed(&table_path))?;
    let mut pictures = Some(BufWriter::new(pictures));
    let mut writer = None;
    while let Ok((picture, about)) = receiver.recv() {
        let size = (picture.width, picture.height);
        if let Some(target) = pictures.take() {
            let header = y4m::Header { width: size.0, height: size.1, rate: (frames_per_second, 1) };
            writer = Some((y4m::Writer::new(target, header).map_err(failed(&path))?, size));
        }
        if let Some((writer, first_size)) = &mut writer
            && *first_size == size
        {
            writer.write(&picture).map_err(failed(&path))?;
            let (captured, presented) = (about.captured.as_nanos(), about.presented.as_nanos());
            writeln!(table, "{},{},{captured},{presented}", about.capture, about.frame)
                .map_err(failed(&table_path))?;
        }
        pool.put(picture);
    }
    table.flush().map_err(failed(&table_path))?;
    match writer {
        Some((writer, _)) => writer.finish().map(drop).map_err(failed(&path)),
        None => Ok(()),
    }
}

struct SoundFiles {
    path: PathBuf,
    writer: wav::Writer<BufWriter<File>>,
    table_path: PathBuf,
    table: File,
}

fn write_sound(receiver: &Receiver<(Block, Timestamp)>, files: SoundFiles) -> Result<(), Error> {
    let SoundFiles { path, mut writer, table_path, mut table } = files;
    // Lines are few, and not buffered: those of a recording that ends badly are there.
    let mut line = |line: String| table.write_all(line.as_bytes()).map_err(failed(&table_path));
    line("first_sample,first_sample_ns\n".to_owned())?;
    let mut samples = 0;
    let mut expected = None;
    while let Ok((block, at)) = receiver.recv() {
        if expected != Some(at) {
            line(format!("{samples},{}\n", at.as_nanos()))?;
        }
        expected = Some(at + BLOCK);
        samples += block.len();
        writer.write(&block).map_err(failed(&path))?;
    }
    writer.finish().map_err(failed(&path))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use visavis_codec::opus::FRAME_SAMPLES;

    use super::*;
    use crate::{
        chan::failures::failures,
        stats::{
            self,
            record::{Fate, FrameRecord, Media, Side},
        },
    };

    #[test]
    fn a_table_beside_the_sound_says_when_it_begins_and_where_time_jumps() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("heard.wav");
        let (mut sink, recording) = sound(&path, failures().0).expect("begins");
        let mut at = Timestamp::from_micros(1_000_000);
        for (number, pause) in (0..30).zip([0; 10].into_iter().chain([75; 1]).chain([0; 19])) {
            at += Duration::from_millis(pause);
            sink.play(&[number; FRAME_SAMPLES], at);
            at += BLOCK;
        }
        drop(sink);
        recording.finish().expect("written");
        let table = std::fs::read_to_string(folder.path().join("heard.wav.csv")).expect("a table");
        assert_eq!(table, "first_sample,first_sample_ns\n0,1000000000\n4800,1175000000\n");
        let samples = wav::read_mono_48k(&path).expect("a wav");
        assert_eq!(samples.len(), 30 * FRAME_SAMPLES);
        assert_eq!((samples[0], samples[4_800], samples[14_399]), (0, 10, 29));
    }

    /// Everything that is written there fails for want of room.
    #[cfg(target_os = "linux")]
    fn full_disk(folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(name);
        std::os::unix::fs::symlink("/dev/full", &path).expect("a link");
        path
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_full_disk_is_told_while_the_recording_goes_on_and_is_not_called_slow() {
        let folder = tempfile::tempdir().expect("a folder");
        let (reporter, mut told) = failures();
        let path = full_disk(folder.path(), "full.wav");
        let (mut sink, recording) = sound(&path, reporter.clone()).expect("begins");
        let mut at = Timestamp::ZERO;
        // More than the buffer before the disk holds: 8 KiB are nine blocks.
        for _ in 0..20 {
            sink.play(&[0; FRAME_SAMPLES], at);
            at += BLOCK;
        }
        let said = told.next().await;
        assert!(said.contains("full.wav") && said.contains("No space left"), "{said}");
        // The thread ends though the sink is still there; what is played from now on is no fault of the disk's speed.
        assert_eq!(recording.finish().expect_err("not all is written").to_string(), said);
        sink.play(&[0; FRAME_SAMPLES], at);
        assert!(sink.queue.is_none() && sink.dropped == 0);

        let path = full_disk(folder.path(), "full.y4m");
        let (mut sink, recording) = video(&path, 30, reporter).expect("begins");
        let about = Shown { capture: 0, frame: 0, captured: at, presented: at };
        let (stats, _records) = stats::channel();
        let record = Open::new(FrameRecord::new(Side::Receiver, Media::Video, Fate::InFlight), &stats);
        sink.show(Picture::new(640, 360), about, record);
        let said = told.next().await;
        assert!(said.contains("full.y4m") && said.contains("No space left"), "{said}");
        drop(sink);
        recording.finish().expect_err("not all is written");
    }
}
