//! Sound in blocks of 10 ms: a file or a generated voice.

use std::path::{Path, PathBuf};

use visavis_codec::{opus::FRAME_SAMPLES, scene::Speech, wav};

/// 10 ms of sound: 48 kHz, mono.
pub type Block = [i16; FRAME_SAMPLES];

/// A source of blocks. A seam: files, a generated voice, later microphones.
pub trait Source: Send {
    /// The next block.
    fn read(&mut self, out: &mut Block);
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
pub struct Generated(Speech);

impl Generated {
    /// The same seed speaks the same sounds.
    pub fn new(seed: u64) -> Self {
        Self(Speech::new(seed))
    }
}

impl Source for Generated {
    fn read(&mut self, out: &mut Block) {
        self.0.fill(out);
    }
}

/// A wav file, over and over.
#[derive(Debug)]
pub struct WavFile {
    samples: Vec<i16>,
    position: usize,
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
        Ok(Self { samples, position: 0 })
    }
}

impl Source for WavFile {
    fn read(&mut self, out: &mut Block) {
        for sample in out {
            *sample = self.samples.get(self.position).copied().unwrap_or(0);
            self.position = if self.position + 1 >= self.samples.len() { 0 } else { self.position + 1 };
        }
    }
}
