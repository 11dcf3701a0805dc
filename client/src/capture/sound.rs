//! Sound in blocks of 10 ms: a file or a generated voice. A microphone is in [`crate::sound`].

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use visavis_codec::{
    opus::{FRAME_SAMPLES, SAMPLE_RATE_HZ},
    scene::Speech,
    wav,
};
use visavis_proto::time::Timestamp;

/// 10 ms of sound: 48 kHz, mono.
pub type Block = [i16; FRAME_SAMPLES];

/// 10 ms.
pub const BLOCK: Duration = Duration::from_millis(1_000 * FRAME_SAMPLES as u64 / SAMPLE_RATE_HZ as u64);

/// What a source answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// A block was put into the buffer; when its first sample was captured.
    Block(Timestamp),
    /// There is none before this time.
    Wait(Timestamp),
}

/// A source of blocks. A seam: files, a generated voice, a microphone.
///
/// It is asked rather than read from, because a device has a clock of its own: it paces the stage, and a file is paced
/// by the time that is passed in. Must not block: it runs on the sound-out thread.
pub trait Source: Send {
    /// The next block, or when to ask again.
    fn poll(&mut self, now: Timestamp, out: &mut Block) -> Next;
}

/// Blocks by the clock: the first one is whole 10 ms after it was first asked for.
#[derive(Debug, Clone, Copy, Default)]
struct Pace {
    due: Option<Timestamp>,
}

impl Pace {
    /// When a block is due, the one after it is 10 ms later, however late this one was taken.
    fn poll(&mut self, now: Timestamp) -> Next {
        let due = *self.due.get_or_insert(now + BLOCK);
        if now < due {
            return Next::Wait(due);
        }
        self.due = Some(due + BLOCK);
        Next::Block(due - BLOCK)
    }
}

/// Why a sound file cannot be used.
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
    /// It is a pipe or a device, which could keep the call waiting.
    #[error("cannot use {} as sound: it is a pipe or a device. Name a wav file", path.display())]
    NoFile {
        /// Which.
        path: PathBuf,
    },
    /// The file is not usable sound.
    #[error("cannot use {} as sound: {source}. Convert it, for example: ffmpeg -i INPUT OUTPUT.wav", path.display())]
    Wav {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: wav::Error,
    },
}

impl Error {
    fn new(path: &Path, error: wav::Error) -> Self {
        let path = path.to_owned();
        match error {
            // A file that ends too early is there, and is damaged.
            wav::Error::Io(source) if source.kind() != std::io::ErrorKind::UnexpectedEof => {
                Self::Read { path, source }
            }
            source => Self::Wav { path, source },
        }
    }
}

/// The project's own voice-like sound.
#[derive(Debug)]
pub struct Generated {
    speech: Speech,
    pace: Pace,
}

impl Generated {
    /// The same seed speaks the same sounds.
    pub fn new(seed: u64) -> Self {
        Self { speech: Speech::new(seed), pace: Pace::default() }
    }
}

impl Source for Generated {
    fn poll(&mut self, now: Timestamp, out: &mut Block) -> Next {
        let next = self.pace.poll(now);
        if let Next::Block(_) = next {
            self.speech.fill(out);
        }
        next
    }
}

/// A wav file, over and over.
#[derive(Debug)]
pub struct WavFile {
    samples: Vec<i16>,
    position: usize,
    pace: Pace,
}

impl WavFile {
    /// Reads a whole file and converts it to 48 kHz mono.
    ///
    /// # Errors
    ///
    /// [`Error`] says what is wrong with the file.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let unread = |source| Error::Read { path: path.to_owned(), source };
        // Opening a pipe would wait for somebody to write to it.
        let kind = std::fs::metadata(path).map_err(unread)?.file_type();
        if !kind.is_file() && !kind.is_dir() {
            return Err(Error::NoFile { path: path.to_owned() });
        }
        let samples = wav::read_mono_48k(path).map_err(|error| Error::new(path, error))?;
        Ok(Self { samples, position: 0, pace: Pace::default() })
    }
}

impl Source for WavFile {
    fn poll(&mut self, now: Timestamp, out: &mut Block) -> Next {
        let next = self.pace.poll(now);
        if let Next::Block(_) = next {
            for sample in out {
                *sample = self.samples.get(self.position).copied().unwrap_or(0);
                self.position = if self.position + 1 >= self.samples.len() { 0 } else { self.position + 1 };
            }
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_paces_what_is_no_device_and_nothing_is_lost_by_being_late() {
        let start = Timestamp::from_micros(1_000_000);
        let mut source = Generated::new(1);
        let mut block = [0; FRAME_SAMPLES];
        assert_eq!(source.poll(start, &mut block), Next::Wait(start + BLOCK));
        assert_eq!(source.poll(start + BLOCK, &mut block), Next::Block(start));
        assert_eq!(source.poll(start + BLOCK, &mut block), Next::Wait(start + BLOCK * 2));
        for late in 1..5 {
            assert_eq!(source.poll(start + BLOCK * 5, &mut block), Next::Block(start + BLOCK * late));
        }
        assert_eq!(source.poll(start + BLOCK * 5, &mut block), Next::Wait(start + BLOCK * 6));
    }
}
