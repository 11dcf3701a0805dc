//! WAV files: any usual one in, as 48 kHz mono; 48 kHz mono out.
//!
//! Stands in for a microphone and a loudspeaker in headless clients, tests and the bench. Reading happens once,
//! before a call, so it may be slow and thorough; writing streams, so that a recording of a call that ends
//! badly is still a file that plays.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler};

/// Samples per second of everything this module gives out.
pub const SAMPLE_RATE_HZ: u32 = 48_000;
/// Longest recording that is read, in seconds.
pub const MAX_SECONDS: u64 = 3600;
/// Most sample data that is read, in bytes: an hour of 48 kHz stereo in 32 bits has 1.3 GiB.
const MAX_DATA_BYTES: u64 = 2 << 30;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading or writing failed.
    #[error("wav: {0}")]
    Io(#[from] io::Error),
    /// It does not begin with `RIFF....WAVE`.
    #[error("not a WAV file: it does not begin with RIFF and WAVE")]
    Magic,
    /// A chunk that must be there is not.
    #[error("wav: the file has no {0:?} chunk")]
    Missing(&'static str),
    /// The format chunk is too short or contradicts itself.
    #[error("wav: the format chunk is damaged")]
    Format,
    /// A sample format that is not read.
    #[error(
        "wav: {bits}-bit samples of format {tag:#06x} are not supported; 16, 24 and 32 bit PCM and 32 bit float are"
    )]
    Encoding {
        /// Format tag, after looking through `WAVE_FORMAT_EXTENSIBLE`.
        tag: u16,
        /// Bits per sample.
        bits: u16,
    },
    /// A sample rate that is not read.
    #[error("wav: {0} Hz is not supported; 4,000 to 384,000 Hz is")]
    Rate(u32),
    /// No channels, or absurdly many.
    #[error("wav: {0} channels are not supported; 1 to 64 are")]
    Channels(u16),
    /// The file ends inside its sample data.
    #[error("wav: the file ends {missing} bytes before its sample data should; it is truncated")]
    Truncated {
        /// Bytes that the header promises and the file does not have.
        missing: u64,
    },
    /// There are no samples.
    #[error("wav: the file has no samples")]
    Empty,
    /// It is longer than [`MAX_SECONDS`].
    #[error("wav: the recording is longer than an hour")]
    TooLong,
    /// Resampling failed.
    #[error("wav: resampling failed: {0}")]
    Resample(String),
}

/// Reads a WAV file as 48 kHz mono: channels are averaged, other rates resampled (FFT, offline quality).
///
/// # Errors
///
/// One of [`Error`] that says what is wrong with the file.
pub fn read_mono_48k(path: impl AsRef<Path>) -> Result<Vec<i16>, Error> {
    read_mono_48k_from(BufReader::new(File::open(path)?))
}

/// As [`read_mono_48k`], from anything that can be read and sought.
///
/// # Errors
///
/// As [`read_mono_48k`].
pub fn read_mono_48k_from<R: Read + Seek>(mut source: R) -> Result<Vec<i16>, Error> {
    let end = source.seek(SeekFrom::End(0))?;
    source.seek(SeekFrom::Start(0))?;
    let mut riff = [0; 12];
    if read_up_to(&mut source, &mut riff)? < riff.len() || &riff[..4] != b"RIFF" || &riff[8..] != b"WAVE" {
        return Err(Error::Magic);
    }
    let mut format = None;
    loop {
        let mut head = [0; 8];
        if read_up_to(&mut source, &mut head)? < head.len() {
            return Err(Error::Missing(if format.is_some() { "data" } else { "fmt " }));
        }
        let length = u64::from(u32::from_le_bytes([head[4], head[5], head[6], head[7]]));
        match &head[..4] {
            b"fmt " => format = Some(read_format(&mut source, length)?),
            b"data" => {
                let format = format.ok_or(Error::Missing("fmt "))?;
                let left = end.saturating_sub(source.stream_position()?);
                let length = data_length(length, left)?;
                return to_48k(&read_data(&mut source, length, format)?, format.rate);
            }
            _ => {
                // Chunks are padded to even lengths.
                let skip = i64::try_from(length + length % 2).map_err(|_| Error::Format)?;
                source.seek(SeekFrom::Current(skip))?;
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Format {
    encoding: Encoding,
    channels: u16,
    rate: u32,
}

#[derive(Debug, Clone, Copy)]
enum Encoding {
    Pcm16,
    Pcm24,
    Pcm32,
    Float32,
}

impl Encoding {
    const fn bytes(self) -> usize {
        match self {
            Self::Pcm16 => 2,
            Self::Pcm24 => 3,
            Self::Pcm32 | Self::Float32 => 4,
        }
    }

    /// One sample, -1..=1. Whatever a float file holds beyond that (or not a number) stays finite.
    fn sample(self, b: &[u8]) -> f32 {
        match self {
            Self::Pcm16 => f32::from(i16::from_le_bytes([b[0], b[1]])) / 32768.0,
            Self::Pcm24 => (i32::from_le_bytes([0, b[0], b[1], b[2]]) >> 8) as f32 / 8_388_608.0,
            Self::Pcm32 => i32::from_le_bytes([b[0], b[1], b[2], b[3]]) as f32 / 2_147_483_648.0,
            Self::Float32 => {
                let value = f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
                if value.is_nan() { 0.0 } else { value.clamp(-1.0, 1.0) }
            }
        }
    }
}

fn read_format<R: Read + Seek>(source: &mut R, length: u64) -> Result<Format, Error> {
    const PCM: u16 = 1;
    const FLOAT: u16 = 3;
    const EXTENSIBLE: u16 = 0xfffe;
    /// What follows the format tag in the sub-format of an extensible header (RFC 2361, appendix A).
    const GUID_TAIL: [u8; 14] = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71];
    let mut bytes = [0; 40];
    let wanted = usize::try_from(length).unwrap_or(usize::MAX).min(bytes.len());
    if wanted < 16 || read_up_to(source, &mut bytes[..wanted])? < wanted {
        return Err(Error::Format);
    }
    let skip = i64::try_from(length + length % 2 - wanted as u64).map_err(|_| Error::Format)?;
    source.seek(SeekFrom::Current(skip))?;
    let word = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
    let (mut tag, channels, bits) = (word(0), word(2), word(14));
    let rate = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
    if tag == EXTENSIBLE {
        if wanted < 40 || bytes[26..40] != GUID_TAIL {
            return Err(Error::Format);
        }
        tag = word(24);
    }
    let encoding = match (tag, bits) {
        (PCM, 16) => Encoding::Pcm16,
        (PCM, 24) => Encoding::Pcm24,
        (PCM, 32) => Encoding::Pcm32,
        (FLOAT, 32) => Encoding::Float32,
        _ => return Err(Error::Encoding { tag, bits }),
    };
    if !(1..=64).contains(&channels) {
        return Err(Error::Channels(channels));
    }
    if !(4_000..=384_000).contains(&rate) {
        return Err(Error::Rate(rate));
    }
    if usize::from(word(12)) != encoding.bytes() * usize::from(channels) {
        return Err(Error::Format);
    }
    Ok(Format { encoding, channels, rate })
}

/// How much sample data there really is. A header that was never patched says 0 or the largest number.
fn data_length(promised: u64, left: u64) -> Result<u64, Error> {
    match promised {
        0 | 0xffff_ffff => Ok(left),
        promised if promised > left => Err(Error::Truncated { missing: promised - left }),
        promised => Ok(promised),
    }
}

fn read_data<R: Read>(source: &mut R, length: u64, format: Format) -> Result<Vec<f32>, Error> {
    let sample = format.encoding.bytes();
    let frame = sample * usize::from(format.channels);
    let frames = length / frame as u64;
    if frames == 0 {
        return Err(Error::Empty);
    }
    if frames > MAX_SECONDS * u64::from(format.rate) || length > MAX_DATA_BYTES {
        return Err(Error::TooLong);
    }
    let mut mono = Vec::with_capacity(usize::try_from(frames).map_err(|_| Error::TooLong)?);
    let mut bytes = vec![0; frame];
    for _ in 0..frames {
        source.read_exact(&mut bytes)?;
        let sum: f32 = bytes.chunks_exact(sample).map(|bytes| format.encoding.sample(bytes)).sum();
        mono.push(sum / f32::from(format.channels));
    }
    Ok(mono)
}

fn to_48k(mono: &[f32], rate: u32) -> Result<Vec<i16>, Error> {
    if rate == SAMPLE_RATE_HZ {
        return Ok(mono.iter().copied().map(to_i16).collect());
    }
    let failed = |error: &dyn std::fmt::Display| Error::Resample(error.to_string());
    let mut resampler = Fft::<f32>::new(rate as usize, SAMPLE_RATE_HZ as usize, 1024, 1, FixedSync::Both)
        .map_err(|error| failed(&error))?;
    let input = InterleavedSlice::new(mono, 1, mono.len()).map_err(|error| failed(&error))?;
    let output = resampler.process_all(&input, mono.len(), None).map_err(|error| failed(&error))?;
    Ok(output.take_data().into_iter().map(to_i16).collect())
}

fn to_i16(sample: f32) -> i16 {
    (sample * 32768.0).round().clamp(-32768.0, 32767.0) as i16
}

/// Fills as much of `out` as the file still has; returns how much.
fn read_up_to<R: Read>(source: &mut R, out: &mut [u8]) -> Result<usize, Error> {
    let mut filled = 0;
    while filled < out.len() {
        match source.read(&mut out[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(filled)
}

/// Writes 48 kHz mono 16-bit PCM as it comes.
///
/// The sizes in the header are put right by [`Writer::finish`], and by dropping the writer (which has nobody to
/// tell about errors). A recording of more than 4 GiB keeps all its samples but says the largest size.
#[derive(Debug)]
pub struct Writer<W: Write + Seek> {
    target: W,
    data_bytes: u64,
    finished: bool,
}

impl Writer<BufWriter<File>> {
    /// Creates or overwrites the file at `path`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn create(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::new(BufWriter::new(File::create(path)?))
    }
}

impl<W: Write + Seek> Writer<W> {
    /// Writes the header. Give it something that is empty.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn new(mut target: W) -> Result<Self, Error> {
        target.write_all(&header(0))?;
        Ok(Self { target, data_bytes: 0, finished: false })
    }

    /// Appends samples, in one piece. What could not be written does not count for the header.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn write(&mut self, samples: &[i16]) -> Result<(), Error> {
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        self.target.write_all(&bytes)?;
        self.data_bytes += samples.len() as u64 * 2;
        Ok(())
    }

    /// Puts the sizes right and flushes.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn finish(mut self) -> Result<(), Error> {
        self.patch()
    }

    fn patch(&mut self) -> Result<(), Error> {
        self.finished = true;
        let end = self.target.stream_position()?;
        self.target.seek(SeekFrom::Start(0))?;
        self.target.write_all(&header(self.data_bytes))?;
        self.target.seek(SeekFrom::Start(end))?;
        Ok(self.target.flush()?)
    }
}

impl<W: Write + Seek> Drop for Writer<W> {
    fn drop(&mut self) {
        if !self.finished {
            // Nobody is left to tell; `finish` is for those who want to know.
            let _ = self.patch();
        }
    }
}

/// The 44 bytes before the samples.
fn header(data_bytes: u64) -> [u8; 44] {
    let size = |bytes: u64| u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes();
    let mut bytes = [0; 44];
    bytes[..4].copy_from_slice(b"RIFF");
    bytes[4..8].copy_from_slice(&size(data_bytes + 36));
    bytes[8..16].copy_from_slice(b"WAVEfmt ");
    bytes[16..20].copy_from_slice(&16u32.to_le_bytes());
    bytes[20..22].copy_from_slice(&1u16.to_le_bytes());
    bytes[22..24].copy_from_slice(&1u16.to_le_bytes());
    bytes[24..28].copy_from_slice(&SAMPLE_RATE_HZ.to_le_bytes());
    bytes[28..32].copy_from_slice(&(SAMPLE_RATE_HZ * 2).to_le_bytes());
    bytes[32..34].copy_from_slice(&2u16.to_le_bytes());
    bytes[34..36].copy_from_slice(&16u16.to_le_bytes());
    bytes[36..40].copy_from_slice(b"data");
    bytes[40..].copy_from_slice(&size(data_bytes));
    bytes
}
