//! Recordings: pictures as y4m with their frame numbers and times beside, sound as wav with its times beside.
//!
//! Each recording writes on a thread of its own, so that a slow disk cannot hold up the call; what finds the queue full
//! is not recorded, and how much that was is told at the end. A recording that cannot be written any further says so at
//! once and ends, keeping what is whole; the call goes on. The files are emptied when there is something to write.

use std::{
    fs::File,
    io::{Seek, Write},
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    thread::JoinHandle,
    time::Duration,
};

use visavis_codec::{Picture, wav, y4m};
use visavis_proto::time::Timestamp;

use super::{Pace, PictureSink, Shown, SoundSink, Want, output};
use crate::{
    capture::{
        sound::{BLOCK, Block},
        video::Pool,
    },
    chan::failures::Reporter,
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
    /// Tells the thread at the end whether a call went live.
    went_live: SyncSender<bool>,
    thread: JoinHandle<Result<(), Error>>,
}

impl Recording {
    /// Waits until everything is on disk. Call it after the sink was dropped. A call that `went_live` and showed or played
    /// nothing leaves an empty recording; of one that did not the files are as they were.
    ///
    /// # Errors
    ///
    /// Any [`Error`]; it was told when it happened.
    pub fn finish(self, went_live: bool) -> Result<(), Error> {
        let Self { path, went_live: tell, thread } = self;
        // A recording that failed has ended already.
        let _ = tell.try_send(went_live);
        let panicked = |_| Err(Error::Write { path, reason: "the recording thread panicked".into() });
        thread.join().unwrap_or_else(panicked)
    }
}

/// Records pictures to `path`, and `capture,frame,captured_ns,presented_ns` of each to `path` with `.csv` appended; both
/// are emptied at the first picture. Pictures of another size than the first are left out, since y4m has one size. The
/// rate in the header is that at which the recorded pictures were captured. If the disk fails, `reporter` is told.
///
/// # Errors
///
/// [`Error::Begin`] if the system gives no thread.
pub fn video(path: &Path, reporter: Reporter) -> Result<(Pictures, Recording), Error> {
    let (queue, receiver) = sync_channel(PICTURES);
    let pool = Pool::default();
    let written = pool.clone();
    let body = move |path: &Path, live: &Receiver<bool>| write_video(path, &receiver, live, &written);
    let recording = spawn("visavis-record-video", path, reporter, body)?;
    Ok((Pictures { queue: Some(queue), pool, dropped: 0 }, recording))
}

/// Records sound to `path`, 48 kHz mono, and to `path` with `.csv` appended when it was heard: a line
/// `first_sample,first_sample_ns` where the recording begins, and another one after each jump in time. Both are emptied at
/// the first sound. If the disk fails, `reporter` is told.
///
/// # Errors
///
/// [`Error::Begin`] if the system gives no thread.
pub fn sound(path: &Path, reporter: Reporter) -> Result<(Sound, Recording), Error> {
    let (queue, receiver) = sync_channel(BLOCKS);
    let recording =
        spawn("visavis-record-sound", path, reporter, move |path, live| write_sound(path, &receiver, live))?;
    Ok((Sound { queue: Some(queue), dropped: 0, pace: Pace::default() }, recording))
}

/// Where the table beside a recording lies.
pub fn table(recording: &Path) -> PathBuf {
    let mut beside = recording.as_os_str().to_owned();
    beside.push(".csv");
    beside.into()
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
    pace: Pace,
}

impl SoundSink for Sound {
    fn poll(&mut self, now: Timestamp) -> Want {
        self.pace.poll(now)
    }

    /// Records it as heard when it was due.
    fn play(&mut self, block: Option<&Block>, now: Timestamp) -> Timestamp {
        let due = self.pace.advance(now);
        if let Some(block) = block
            && let Offered::Full(_) = offer(&mut self.queue, (*block, due))
        {
            self.dropped += 1;
        }
        now
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

fn spawn(
    name: &str,
    path: &Path,
    reporter: Reporter,
    body: impl FnOnce(&Path, &Receiver<bool>) -> Result<(), Error> + Send + 'static,
) -> Result<Recording, Error> {
    let (went_live, live) = sync_channel(1);
    let place = path.to_owned();
    let thread = std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || body(&place, &live).inspect_err(|error| reporter.tell(error)))
        .map_err(|error| Error::Begin { path: path.to_owned(), reason: error.to_string() })?;
    Ok(Recording { path: path.to_owned(), went_live, thread })
}

/// A file that is written in pieces, and keeps whole ones only.
struct Pieces {
    path: PathBuf,
    file: File,
    /// Where the last whole piece ends, in bytes.
    whole: u64,
}

impl Pieces {
    fn begin(path: PathBuf) -> Result<Self, Error> {
        match output::begin(&path) {
            Ok(file) => Ok(Self { path, file, whole: 0 }),
            Err(error) => Err(Error::Begin { path, reason: error.to_string() }),
        }
    }

    /// Another handle of the file, with the same position.
    fn handle(&self) -> Result<File, Error> {
        self.file.try_clone().map_err(|error| self.failed(error))
    }

    fn write(&mut self, piece: &str) -> Result<(), Error> {
        self.file.write_all(piece.as_bytes()).map_err(|error| self.failed(error))
    }

    /// What was written so far is whole.
    fn mark(&mut self) {
        // A device has no position, and nothing that could be cut.
        self.whole = self.file.stream_position().unwrap_or_default();
    }

    /// Leaves out what is not whole. That needs no room, and fails for devices only.
    fn cut(&self) {
        let _ = self.file.set_len(self.whole);
    }

    fn failed<E: std::fmt::Display>(&self, error: E) -> Error {
        Error::Write { path: self.path.clone(), reason: error.to_string() }
    }
}

fn write_video(
    path: &Path,
    receiver: &Receiver<(Picture, Shown)>,
    live: &Receiver<bool>,
    pool: &Pool,
) -> Result<(), Error> {
    let mut video: Option<Video> = None;
    while let Ok((picture, about)) = receiver.recv() {
        let video = match &mut video {
            Some(video) => video,
            None => video.insert(Video::begin(path)?),
        };
        video.append(&picture, about)?;
        pool.put(picture);
    }
    match video {
        Some(mut video) => video.tell_rate(),
        None if live.recv() == Ok(true) => Video::begin(path).map(drop),
        None => Ok(()),
    }
}

/// A recording of pictures, and the table beside it, with a line for each picture. Neither is buffered: a picture is large,
/// and so what was written is on disk, and the two agree, when there is no room for more.
struct Video {
    pictures: Pieces,
    table: Pieces,
    /// From the first picture on.
    writer: Option<y4m::Writer<File>>,
    /// The first and the last picture that were written: their numbers among the captured ones, and when that was.
    written: Option<[(u32, Timestamp); 2]>,
}

impl Video {
    fn begin(path: &Path) -> Result<Self, Error> {
        let pictures = Pieces::begin(path.to_owned())?;
        let mut table = Pieces::begin(table(path))?;
        table.write("capture,frame,captured_ns,presented_ns\n")?;
        table.mark();
        Ok(Self { pictures, table, writer: None, written: None })
    }

    fn append(&mut self, picture: &Picture, about: Shown) -> Result<(), Error> {
        if let Err(error) = self.try_append(picture, about) {
            self.pictures.cut();
            self.table.cut();
            // The first failure is the one to be told.
            let _ = self.tell_rate();
            return Err(error);
        }
        self.pictures.mark();
        self.table.mark();
        Ok(())
    }

    fn try_append(&mut self, picture: &Picture, about: Shown) -> Result<(), Error> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => {
                let header = y4m::Header { width: picture.width, height: picture.height, rate: UNKNOWN_RATE };
                let writer = y4m::Writer::new(self.pictures.handle()?, header);
                let writer = writer.map_err(|error| self.pictures.failed(error))?;
                self.pictures.mark();
                self.writer.insert(writer)
            }
        };
        match writer.write(picture) {
            Err(y4m::Error::WrongSize { .. }) => return Ok(()),
            written => written.map_err(|error| self.pictures.failed(error))?,
        }
        let (captured, presented) = (about.captured.as_nanos(), about.presented.as_nanos());
        self.table.write(&format!("{},{},{captured},{presented}\n", about.capture, about.frame))?;
        let last = (about.capture, about.captured);
        let [first, _] = self.written.unwrap_or([last; 2]);
        self.written = Some([first, last]);
        Ok(())
    }

    /// Puts the rate into the header, which is known now. That needs no room: the header is as long as it was.
    fn tell_rate(&mut self) -> Result<(), Error> {
        let (Some(writer), Some([first, last])) = (&mut self.writer, self.written) else { return Ok(()) };
        // Pictures that are missing here were captured all the same: without them the rate would be that of no clip.
        let Some(rate) = rate(last.0.saturating_sub(first.0), last.1.since(first.1)) else { return Ok(()) };
        writer.set_rate(rate).map_err(|error| self.pictures.failed(error))
    }
}

/// What the header says until enough pictures were captured.
const UNKNOWN_RATE: (u32, u32) = (30, 1);

/// The rate of `pictures` in `time` as a fraction: a whole number or 1000/1001 of one, as in television, if it is as near
/// as the moments of capture are exact; else in thousandths. `None` if it is none that y4m files have.
fn rate(pictures: u32, time: Duration) -> Option<(u32, u32)> {
    let rate = f64::from(pictures) / time.as_secs_f64();
    if !(0.1..=1_000.0).contains(&rate) {
        return None;
    }
    let near = |(numerator, denominator): &(u32, u32)| {
        (f64::from(*numerator) / f64::from(*denominator) / rate - 1.0).abs() < EXACT_SHARE
    };
    let whole = rate.round() as u32;
    let television = ((rate * 1.001).round() as u32 * 1_000, 1_001);
    [(whole, 1), television].into_iter().find(near).or(Some(((rate * 1_000.0).round() as u32, 1_000)))
}

/// How near is the same rate: less than half of what lies between 30 and 30000/1001, 0.1 %.
const EXACT_SHARE: f64 = 0.000_4;

fn write_sound(path: &Path, receiver: &Receiver<(Block, Timestamp)>, live: &Receiver<bool>) -> Result<(), Error> {
    let mut heard: Option<Heard> = None;
    while let Ok((block, at)) = receiver.recv() {
        let heard = match &mut heard {
            Some(heard) => heard,
            None => heard.insert(Heard::begin(path)?),
        };
        heard.append(&block, at)?;
    }
    match heard {
        Some(heard) => heard.finish(),
        None if live.recv() == Ok(true) => Heard::begin(path)?.finish(),
        None => Ok(()),
    }
}

/// A recording of sound, and the table beside it. Not buffered, as [`Video`].
struct Heard {
    sound: Pieces,
    table: Pieces,
    writer: wav::Writer<File>,
    /// Samples that were written.
    samples: usize,
    /// When the next block is due, if time does not jump.
    expected: Option<Timestamp>,
}

impl Heard {
    fn begin(path: &Path) -> Result<Self, Error> {
        let mut sound = Pieces::begin(path.to_owned())?;
        let mut table = Pieces::begin(table(path))?;
        let writer = wav::Writer::new(sound.handle()?).map_err(|error| sound.failed(error))?;
        sound.mark();
        table.write("first_sample,first_sample_ns\n")?;
        table.mark();
        Ok(Self { sound, table, writer, samples: 0, expected: None })
    }

    fn append(&mut self, block: &Block, at: Timestamp) -> Result<(), Error> {
        if let Err(error) = self.try_append(block, at) {
            // The writer puts the length in the header right when it is dropped.
            self.sound.cut();
            self.table.cut();
            return Err(error);
        }
        self.sound.mark();
        self.table.mark();
        Ok(())
    }

    fn try_append(&mut self, block: &Block, at: Timestamp) -> Result<(), Error> {
        if self.expected != Some(at) {
            self.table.write(&format!("{},{}\n", self.samples, at.as_nanos()))?;
        }
        self.writer.write(block).map_err(|error| self.sound.failed(error))?;
        self.expected = Some(at + BLOCK);
        self.samples += block.len();
        Ok(())
    }

    fn finish(self) -> Result<(), Error> {
        let Self { sound, writer, .. } = self;
        writer.finish().map_err(|error| sound.failed(error))
    }
}

#[cfg(test)]
mod tests {
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
        let mut now = Timestamp::from_micros(990_000);
        for number in 0..30 {
            assert_eq!(sink.poll(now), Want::Wait(now + BLOCK));
            now += BLOCK;
            // Before the tenth block the thread is held up, which is seen once that is played.
            let late = if number == 9 { Duration::from_millis(75) } else { Duration::ZERO };
            now += late;
            assert_eq!(sink.poll(now), Want::Block);
            assert_eq!(sink.play(Some(&[number; FRAME_SAMPLES]), now), now);
        }
        drop(sink);
        recording.finish(true).expect("written");
        let table = std::fs::read_to_string(folder.path().join("heard.wav.csv")).expect("a table");
        assert_eq!(table, "first_sample,first_sample_ns\n0,1000000000\n4800,1175000000\n");
        let samples = wav::read_mono_48k(&path).expect("a wav");
        assert_eq!(samples.len(), 30 * FRAME_SAMPLES);
        assert_eq!((samples[0], samples[4_800], samples[14_399]), (0, 10, 29));
    }

    #[test]
    fn a_recording_is_as_it_was_until_a_call_goes_live() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("seen.y4m");
        std::fs::write(&path, "precious").expect("written");
        let (sink, recording) = video(&path, failures().0).expect("begins");
        drop(sink);
        recording.finish(false).expect("nothing to write");
        assert_eq!(std::fs::read(&path).expect("still there"), b"precious");
        assert!(!table(&path).exists());
        // A call in which no picture was seen is the last call all the same.
        let (sink, recording) = video(&path, failures().0).expect("begins");
        drop(sink);
        recording.finish(true).expect("written");
        assert_eq!(std::fs::read(&path).expect("still there"), b"");
        assert_eq!(std::fs::read_to_string(table(&path)).expect("a table").lines().count(), 1);
    }

    #[test]
    fn the_rate_in_the_header_is_that_of_the_pictures() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("seen.y4m");
        let (stats, _records) = stats::channel();
        for (interval_us, rate) in [(40_000, (25, 1)), (33_367, (30_000, 1_001)), (70_000, (14_286, 1_000))] {
            let (mut sink, recording) = video(&path, failures().0).expect("begins");
            for number in 0..10 {
                let captured = Timestamp::from_micros(1_000_000 + u64::from(number) * interval_us);
                let about = Shown { capture: number, frame: number, captured, presented: captured };
                let record = FrameRecord::new(Side::Receiver, Media::Video, Fate::InFlight);
                sink.show(Picture::new(16, 16), about, Open::new(record, &stats));
            }
            drop(sink);
            recording.finish(true).expect("written");
            let file = std::io::BufReader::new(File::open(&path).expect("a file"));
            let reader = y4m::Reader::new(file).expect("a clip");
            assert_eq!((reader.header().rate, reader.frames()), (rate, 10));
        }
        assert_eq!(rate(1, Duration::ZERO), None);
        assert_eq!(rate(0, Duration::from_secs(1)), None);
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
        let at = Timestamp::ZERO;
        // More than the buffer before the disk holds: 8 KiB are nine blocks.
        for _ in 0..20 {
            sink.play(Some(&[0; FRAME_SAMPLES]), at);
        }
        let said = told.next().await;
        assert!(said.contains("full.wav") && said.contains("No space left"), "{said}");
        // The thread ends though the sink is still there; what is played from now on is no fault of the disk's speed.
        assert_eq!(recording.finish(true).expect_err("not all is written").to_string(), said);
        sink.play(Some(&[0; FRAME_SAMPLES]), at);
        assert!(sink.queue.is_none() && sink.dropped == 0);

        let path = full_disk(folder.path(), "full.y4m");
        let (mut sink, recording) = video(&path, reporter).expect("begins");
        let about = Shown { capture: 0, frame: 0, captured: at, presented: at };
        let (stats, _records) = stats::channel();
        let record = Open::new(FrameRecord::new(Side::Receiver, Media::Video, Fate::InFlight), &stats);
        sink.show(Picture::new(640, 360), about, record);
        let said = told.next().await;
        assert!(said.contains("full.y4m") && said.contains("No space left"), "{said}");
        drop(sink);
        recording.finish(true).expect_err("not all is written");
    }
}
