//! Recordings: pictures as y4m with their frame numbers and times beside, sound as wav.
//!
//! Each recording writes on a thread of its own, so that a slow disk cannot hold up the call; a picture that finds the
//! queue full is not recorded, and how many that were is told at the end.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::JoinHandle,
};

use visavis_codec::{Picture, wav, y4m};

use super::{PictureSink, Shown, SoundSink};
use crate::capture::sound::Block;

/// Pictures on their way to the disk: half a second.
const PICTURES: usize = 16;

/// Blocks of sound on their way to the disk: 10 s.
const BLOCKS: usize = 1_000;

/// A recording that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot record to {}: {reason}. Check that the folder exists, is writable and has room", path.display())]
pub struct Error {
    path: PathBuf,
    reason: String,
}

/// A recording's thread. Finishing it tells how it went.
#[derive(Debug)]
pub struct Recording {
    thread: JoinHandle<Result<(), Error>>,
}

impl Recording {
    /// Waits until everything is on disk. Call it after the sink was dropped.
    ///
    /// # Errors
    ///
    /// The first error of the disk.
    pub fn finish(self) -> Result<(), Error> {
        self.thread
            .join()
            .unwrap_or_else(|_| Err(Error { path: PathBuf::new(), reason: "the recording thread panicked".into() }))
    }
}

/// Records pictures to `path`, and `capture,frame,captured_ns,presented_ns` of each to `path` with `.csv` appended.
/// Pictures of another size than the first are left out, since y4m has one size.
///
/// # Errors
///
/// If a file cannot be made.
pub fn video(path: &Path, frames_per_second: u32) -> Result<(Pictures, Recording), Error> {
    let wrong = |error: &dyn std::fmt::Display| Error { path: path.to_owned(), reason: error.to_string() };
    let pictures = File::create(path).map_err(|error| wrong(&error))?;
    let mut beside = path.as_os_str().to_owned();
    beside.push(".csv");
    let table = File::create(&beside).map_err(|error| wrong(&error))?;
    let (queue, receiver) = sync_channel(PICTURES);
    let owned = path.to_owned();
    let thread = spawn("visavis-record-video", path, move || {
        write_video(&receiver, frames_per_second, BufWriter::new(pictures), BufWriter::new(table))
            .map_err(|reason| Error { path: owned, reason })
    })?;
    Ok((Pictures { queue, dropped: 0 }, Recording { thread }))
}

/// Records sound to `path`, 48 kHz mono.
///
/// # Errors
///
/// If the file cannot be made.
pub fn sound(path: &Path) -> Result<(Sound, Recording), Error> {
    let wrong = |error: wav::Error| Error { path: path.to_owned(), reason: error.to_string() };
    let mut writer = wav::Writer::create(path).map_err(wrong)?;
    let (queue, receiver) = sync_channel::<Block>(BLOCKS);
    let owned = path.to_owned();
    let thread = spawn("visavis-record-sound", path, move || {
        let wrong = |error: wav::Error| Error { path: owned.clone(), reason: error.to_string() };
        while let Ok(block) = receiver.recv() {
            writer.write(&block).map_err(wrong)?;
        }
        writer.finish().map_err(wrong)
    })?;
    Ok((Sound { queue, dropped: 0 }, Recording { thread }))
}

/// Takes pictures for a recording.
#[derive(Debug)]
pub struct Pictures {
    queue: SyncSender<(Picture, Shown)>,
    dropped: u64,
}

impl PictureSink for Pictures {
    fn show(&mut self, picture: &Picture, about: Shown) {
        if self.queue.try_send((picture.clone(), about)).is_err() {
            self.dropped += 1;
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
    queue: SyncSender<Block>,
    dropped: u64,
}

impl SoundSink for Sound {
    fn play(&mut self, block: &Block) {
        if self.queue.try_send(*block).is_err() {
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

fn spawn(
    name: &str,
    path: &Path,
    body: impl FnOnce() -> Result<(), Error> + Send + 'static,
) -> Result<JoinHandle<Result<(), Error>>, Error> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map_err(|error| Error { path: path.to_owned(), reason: error.to_string() })
}

fn write_video(
    receiver: &Receiver<(Picture, Shown)>,
    frames_per_second: u32,
    pictures: BufWriter<File>,
    mut table: BufWriter<File>,
) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    writeln!(table, "capture,frame,captured_ns,presented_ns").map_err(|error| text(&error))?;
    let mut pictures = Some(pictures);
    let mut writer = None;
    while let Ok((picture, about)) = receiver.recv() {
        let size = (picture.width, picture.height);
        if let Some(target) = pictures.take() {
            let header = y4m::Header { width: size.0, height: size.1, rate: (frames_per_second, 1) };
            writer = Some((y4m::Writer::new(target, header).map_err(|error| text(&error))?, size));
        }
        if let Some((writer, first_size)) = &mut writer
            && *first_size == size
        {
            writer.write(&picture).map_err(|error| text(&error))?;
            let (captured, presented) = (about.captured.as_nanos(), about.presented.as_nanos());
            writeln!(table, "{},{},{captured},{presented}", about.capture, about.frame)
                .map_err(|error| text(&error))?;
        }
    }
    table.flush().map_err(|error| text(&error))?;
    match writer {
        Some((writer, _)) => writer.finish().map(drop).map_err(|error| text(&error)),
        None => Ok(()),
    }
}
