//! YUV4MPEG2 files: raw pictures with a one-line header. Clips in, recordings out.
//!
//! Runs wherever a file stands in for a camera or a window: the capture thread reads, a test or the bench
//! writes. Only 8-bit 4:2:0 is read (`C420`, `C420jpeg`, `C420mpeg2`, `C420paldv`, or no `C` at all, which means
//! the same); where the chroma samples sit is ignored, a call shows the same picture either way.
//!
//! The reader finds every frame first, so that a file is refused before a call starts and not in its middle.

use std::io::{self, BufRead, Read, Seek, SeekFrom, Write};

use crate::Picture;

/// How every such file begins.
const MAGIC: &[u8] = b"YUV4MPEG2";
/// Longest header line that is read, in bytes; real ones have some 80.
const MAX_LINE_BYTES: usize = 1024;
/// Sizes that are read: the smallest that H.264 codes, and the largest that a call carries.
const MIN_SIDE: u32 = 16;
const MAX_SIZE: (u32, u32) = (1920, 1080);

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading or writing failed.
    #[error("y4m: {0}")]
    Io(#[from] io::Error),
    /// It does not begin with `YUV4MPEG2`.
    #[error("not a y4m file: it does not begin with YUV4MPEG2")]
    Magic,
    /// The header line is longer than any real one, or never ends.
    #[error("y4m: the header line does not end within {MAX_LINE_BYTES} bytes")]
    LongLine,
    /// A header parameter cannot be read.
    #[error("y4m: the header parameter {0:?} is not valid")]
    Parameter(String),
    /// Width, height or frame rate is missing.
    #[error("y4m: the header does not give the {0}")]
    Missing(&'static str),
    /// The size is outside what a call carries.
    #[error("y4m: {width}x{height} pictures are not supported; 16x16 to 1920x1080 are")]
    Size {
        /// Width in the header.
        width: u32,
        /// Height in the header.
        height: u32,
    },
    /// Another chroma format or bit depth.
    #[error("y4m: the chroma format C{0} is not supported; convert the clip to 8-bit 4:2:0 (C420)")]
    Chroma(String),
    /// Interlaced.
    #[error("y4m: interlaced clips (I{0}) are not supported; deinterlace it first")]
    Interlaced(String),
    /// A frame does not begin with `FRAME`.
    #[error("y4m: frame {0} does not begin with FRAME; the file is damaged")]
    FrameHeader(u64),
    /// The file ends inside a frame.
    #[error("y4m: the file ends inside frame {0}; it is truncated")]
    Truncated(u64),
    /// There is no frame at all.
    #[error("y4m: the file has no frames")]
    Empty,
    /// A frame that is not there was asked for.
    #[error("y4m: there is no frame {index}, the file has {frames}")]
    NoSuchFrame {
        /// The frame asked for, from 0.
        index: u64,
        /// How many there are.
        frames: u64,
    },
    /// The picture to write has another size than the file.
    #[error("y4m: a {width}x{height} picture does not fit this file")]
    WrongSize {
        /// Width of the picture.
        width: u32,
        /// Height of the picture.
        height: u32,
    },
}

/// What the header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Width in luma samples, any parity.
    pub width: u32,
    /// Height in luma samples, any parity.
    pub height: u32,
    /// Frames per second as a fraction, 1/10 to 1000; 0/0 if the file does not know it.
    pub rate: (u32, u32),
}

impl Header {
    /// Frames per second; `None` if the file does not know it.
    #[must_use]
    pub fn frames_per_second(&self) -> Option<f64> {
        (self.rate.1 > 0).then(|| f64::from(self.rate.0) / f64::from(self.rate.1))
    }
}

/// A clip of which any frame can be read.
#[derive(Debug)]
pub struct Reader<R> {
    source: R,
    header: Header,
    /// Where the samples of each frame begin.
    offsets: Vec<u64>,
}

impl<R: BufRead + Seek> Reader<R> {
    /// Reads the header and finds all frames.
    ///
    /// # Errors
    ///
    /// One of [`Error`] that says what is wrong with the file; a truncated last frame names its number.
    pub fn new(mut source: R) -> Result<Self, Error> {
        // Before the line is read: a file of another kind need not have lines at all.
        if !source.fill_buf()?.starts_with(MAGIC) {
            return Err(Error::Magic);
        }
        let line = read_line(&mut source)?.ok_or(Error::Magic)?;
        let header = parse_header(&line)?;
        let picture_bytes = frame_bytes(header);
        let start = source.stream_position()?;
        let end = source.seek(SeekFrom::End(0))?;
        source.seek(SeekFrom::Start(start))?;
        let mut offsets = Vec::new();
        loop {
            let index = offsets.len() as u64;
            let Some(line) = read_line(&mut source).map_err(|error| in_frame(error, index))? else { break };
            // A parameter may follow the word; none changes how the samples lie.
            if line != b"FRAME" && !line.starts_with(b"FRAME ") {
                return Err(Error::FrameHeader(index));
            }
            let offset = source.stream_position()?;
            if end.saturating_sub(offset) < picture_bytes {
                return Err(Error::Truncated(index));
            }
            offsets.push(offset);
            source.seek(SeekFrom::Start(offset + picture_bytes))?;
        }
        if offsets.is_empty() { Err(Error::Empty) } else { Ok(Self { source, header, offsets }) }
    }

    /// What the header says.
    #[must_use]
    pub const fn header(&self) -> Header {
        self.header
    }

    /// Number of frames, at least 1.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.offsets.len() as u64
    }

    /// Reads frame `index`, counted from 0, into `out`, resizing it if need be.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchFrame`] past the end, [`Error::Io`] when reading fails.
    pub fn read(&mut self, index: u64, out: &mut Picture) -> Result<(), Error> {
        let frames = self.frames();
        let offset = usize::try_from(index).ok().and_then(|index| self.offsets.get(index));
        let offset = *offset.ok_or(Error::NoSuchFrame { index, frames })?;
        out.resize(self.header.width, self.header.height);
        self.source.seek(SeekFrom::Start(offset))?;
        for plane in [&mut out.y, &mut out.u, &mut out.v] {
            self.source.read_exact(plane)?;
        }
        Ok(())
    }
}

/// Reads up to a line feed, which is left out. `None` at the end of the file.
fn read_line<R: BufRead>(source: &mut R) -> Result<Option<Vec<u8>>, Error> {
    let mut line = Vec::new();
    source.by_ref().take(MAX_LINE_BYTES as u64).read_until(b'\n', &mut line)?;
    match line.pop() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(line)),
        Some(_) => Err(Error::LongLine),
    }
}

/// A frame's header line that never ends is a damaged or a truncated frame.
fn in_frame(error: Error, index: u64) -> Error {
    match error {
        Error::LongLine => Error::FrameHeader(index),
        other => other,
    }
}

fn parse_header(line: &[u8]) -> Result<Header, Error> {
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ').filter(|word| !word.is_empty());
    if words.next() != Some("YUV4MPEG2") {
        return Err(Error::Magic);
    }
    let (mut width, mut height, mut rate) = (None, None, None);
    for word in words {
        let invalid = || Error::Parameter(word.to_owned());
        let (key, value) = word.split_at_checked(1).ok_or_else(invalid)?;
        match key {
            "W" => width = Some(value.parse::<u32>().map_err(|_| invalid())?),
            "H" => height = Some(value.parse::<u32>().map_err(|_| invalid())?),
            "F" => rate = Some(parse_rate(value).ok_or_else(invalid)?),
            "I" if !matches!(value, "p" | "?") => return Err(Error::Interlaced(value.to_owned())),
            "C" if !matches!(value, "420" | "420jpeg" | "420mpeg2" | "420paldv") => {
                return Err(Error::Chroma(value.to_owned()));
            }
            // Aspect ratio (A), comments (X) and whatever else: nothing that changes how samples are read.
            _ => {}
        }
    }
    let width = width.ok_or(Error::Missing("width (W)"))?;
    let height = height.ok_or(Error::Missing("height (H)"))?;
    let rate = rate.ok_or(Error::Missing("frame rate (F)"))?;
    if width < MIN_SIDE || height < MIN_SIDE || width > MAX_SIZE.0 || height > MAX_SIZE.1 {
        return Err(Error::Size { width, height });
    }
    Ok(Header { width, height, rate })
}

fn parse_rate(value: &str) -> Option<(u32, u32)> {
    let (numerator, denominator) = value.split_once(':')?;
    let rate = (numerator.parse::<u32>().ok()?, denominator.parse::<u32>().ok()?);
    let known = rate.1 > 0 && (0.1..=1000.0).contains(&(f64::from(rate.0) / f64::from(rate.1)));
    // 0:0 is how a file says that it does not know.
    (known || rate == (0, 0)).then_some(rate)
}

fn frame_bytes(header: Header) -> u64 {
    let chroma = u64::from(header.width.div_ceil(2)) * u64::from(header.height.div_ceil(2));
    u64::from(header.width) * u64::from(header.height) + 2 * chroma
}

/// Writes a clip, frame after frame.
#[derive(Debug)]
pub struct Writer<W: Write> {
    target: W,
    header: Header,
}

impl<W: Write> Writer<W> {
    /// Writes the header. Each plane is then written in one piece.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when writing fails.
    pub fn new(mut target: W, header: Header) -> Result<Self, Error> {
        target.write_all(header_line(header).as_bytes())?;
        Ok(Self { target, header })
    }

    /// Appends a picture.
    ///
    /// # Errors
    ///
    /// [`Error::WrongSize`] when it does not fit the header, [`Error::Io`] when writing fails.
    pub fn write(&mut self, picture: &Picture) -> Result<(), Error> {
        let (width, height) = (picture.width, picture.height);
        if (width, height) != (self.header.width, self.header.height) || !picture.is_consistent() {
            return Err(Error::WrongSize { width, height });
        }
        self.target.write_all(b"FRAME\n")?;
        for plane in [&picture.y, &picture.u, &picture.v] {
            self.target.write_all(plane)?;
        }
        Ok(())
    }

    /// Flushes and gives the target back. Without it a buffered target flushes on drop and hides errors.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when flushing fails.
    pub fn finish(mut self) -> Result<W, Error> {
        self.target.flush()?;
        Ok(self.target)
    }
}

impl<W: Write + Seek> Writer<W> {
    /// Changes the rate in the header, for recordings of which it is known at the end only.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when writing fails.
    pub fn set_rate(&mut self, rate: (u32, u32)) -> Result<(), Error> {
        let line = header_line(Header { rate, ..self.header });
        if line.len() != header_line(self.header).len() {
            return Err(Error::Parameter(format!("F{}:{}", rate.0, rate.1)));
        }
        let end = self.target.stream_position()?;
        self.target.seek(SeekFrom::Start(0))?;
        self.target.write_all(line.as_bytes())?;
        self.target.seek(SeekFrom::Start(end))?;
        self.header.rate = rate;
        Ok(())
    }
}

/// The header, with blanks after the rate, so that it stays as long when another rate takes its place.
fn header_line(Header { width, height, rate }: Header) -> String {
    let rate = format!("{}:{}", rate.0, rate.1);
    format!("YUV4MPEG2 W{width} H{height} F{rate:<12} Ip A1:1 C420jpeg\n")
}

/// Frame numbers that run forwards, then backwards, and so on: `0, 1, .. n-1, n-2, .. 1, 0, 1, ..`, so that a
/// short clip goes on for ever without a cut.
#[derive(Debug, Clone)]
pub struct PingPong {
    frames: u64,
    position: u64,
}

impl PingPong {
    /// For a clip of `frames` frames; 0 counts as 1.
    #[must_use]
    pub fn new(frames: u64) -> Self {
        Self { frames: frames.max(1), position: 0 }
    }
}

impl Iterator for PingPong {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let period = (2 * (self.frames - 1)).max(1);
        let position = self.position;
        self.position = (position + 1) % period;
        Some(if position < self.frames { position } else { period - position })
    }
}
