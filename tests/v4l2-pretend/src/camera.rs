//! One opened camera: the driver's side of V4L2 streaming, with its queues, its clock and its faults.
//!
//! Frames fall due at the interval whether or not a buffer waits for them, go into the buffers in the order in which
//! these were queued, and stay there until fetched: a program that is slow gets old frames first, as from a driver.

mod offers;

use std::{
    collections::VecDeque,
    ffi::{c_int, c_ulong, c_void},
    fs::File,
    mem::size_of,
    os::{fd::FromRawFd, unix::fs::FileExt},
    path::PathBuf,
    time::Duration,
};

use v4l2_sys_mit::{
    V4L2_CAP_TIMEPERFRAME, v4l2_buf_type_V4L2_BUF_TYPE_VIDEO_CAPTURE as VIDEO_CAPTURE, v4l2_buffer, v4l2_capability,
    v4l2_fmtdesc, v4l2_format, v4l2_frmivalenum, v4l2_frmsizeenum, v4l2_memory_V4L2_MEMORY_MMAP as MEMORY_MMAP,
    v4l2_pix_format, v4l2_requestbuffers, v4l2_streamparm,
};

use crate::{
    device::{Device, Fault, Format, Interval, Mode},
    jpeg,
    scene::Scene,
};

/// Whether a frame can be fetched.
pub enum Readiness {
    /// Now.
    Frame,
    /// Never: the device is gone or does not stream.
    Error,
    /// Look again after this time.
    In(Duration),
}

/// An opened camera.
pub struct Camera {
    file: PathBuf,
    /// What its file said last.
    device: Device,
    nonblocking: bool,
    format: Format,
    size: (u32, u32),
    interval: Interval,
    /// The memory that the program maps: the same file that it holds open.
    memory: File,
    buffers: u32,
    /// Indices of buffers waiting for a frame.
    queued: VecDeque<u32>,
    /// Frames waiting to be fetched.
    done: VecDeque<Done>,
    /// Held while buffers exist: one program at a time.
    claim: Option<File>,
    streaming: Option<Streaming>,
}

struct Done {
    buffer: u32,
    number: u32,
    /// `CLOCK_MONOTONIC`.
    due: Duration,
}

struct Streaming {
    start: Duration,
    /// The next frame to fall due.
    next: u32,
}

type Answer<T> = Result<T, c_int>;

impl Camera {
    /// Opens what `file` describes.
    pub fn open(file: PathBuf, nonblocking: bool) -> Answer<(c_int, Self)> {
        let device = read(&file).ok_or(libc::ENOENT)?;
        if device.faults.contains(&Fault::Refused) {
            return Err(libc::EACCES);
        }
        if device.faults.contains(&Fault::BusyOpen) {
            return Err(libc::EBUSY);
        }
        let Mode { format, largest, ref intervals, .. } = device.modes[0];
        let interval = intervals[0];
        // SAFETY: a C string and valid flags; the two descriptors are this function's own.
        let (fd, memory) = unsafe {
            let fd = libc::memfd_create(c"pretended-camera".as_ptr(), libc::MFD_CLOEXEC);
            (fd, File::from_raw_fd(libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0)))
        };
        let mut camera = Self {
            file,
            device,
            nonblocking,
            format,
            size: largest,
            interval,
            memory,
            buffers: 0,
            queued: VecDeque::new(),
            done: VecDeque::new(),
            claim: None,
            streaming: None,
        };
        camera.hang(Fault::HangOpen)?;
        Ok((fd, camera))
    }

    /// Reads the description again.
    fn refresh(&mut self) -> Answer<()> {
        self.device = read(&self.file).ok_or(libc::ENODEV)?;
        Ok(())
    }

    fn has(&self, fault: Fault) -> bool {
        self.device.faults.contains(&fault)
    }

    /// Does not return while the fault lasts.
    fn hang(&mut self, fault: Fault) -> Answer<()> {
        while self.has(fault) {
            std::thread::sleep(Duration::from_millis(10));
            self.refresh()?;
        }
        Ok(())
    }

    /// Answers a request.
    ///
    /// # Safety
    ///
    /// `argument` points to the structure that `request` names.
    pub unsafe fn control(&mut self, request: c_ulong, argument: *mut c_void) -> Answer<()> {
        self.refresh()?;
        // The request's number and its structure's size: what the kernel, too, tells requests apart by.
        let (kind, number, size) = (request >> 8 & 0xFF, request & 0xFF, (request >> 16 & 0x3FFF) as usize);
        if kind != c_ulong::from(b'V') {
            return Err(libc::ENOTTY);
        }
        macro_rules! argument {
            ($structure:ty) => {{
                if size != size_of::<$structure>() || argument.is_null() {
                    return Err(libc::ENOTTY);
                }
                // SAFETY: the caller's promise; the size was compared.
                unsafe { &mut *argument.cast::<$structure>() }
            }};
        }
        match number {
            0 => self.capabilities(argument!(v4l2_capability)),
            2 => self.enumerate_formats(argument!(v4l2_fmtdesc)),
            4 => self.describe(argument!(v4l2_format)),
            5 => self.set_format(argument!(v4l2_format)),
            8 => self.request_buffers(argument!(v4l2_requestbuffers)),
            9 => self.query_buffer(argument!(v4l2_buffer)),
            15 => self.queue(argument!(v4l2_buffer)),
            17 => self.dequeue(argument!(v4l2_buffer)),
            18 => self.start(),
            19 => self.stop(),
            21 => self.parameters(argument!(v4l2_streamparm)),
            22 => self.set_parameters(argument!(v4l2_streamparm)),
            74 => self.enumerate_sizes(argument!(v4l2_frmsizeenum)),
            75 => self.enumerate_intervals(argument!(v4l2_frmivalenum)),
            // Controls: there are none.
            27 | 28 | 36 | 37 | 71 | 72 | 103 => Err(libc::EINVAL),
            _ => Err(libc::ENOTTY),
        }
    }

    fn describe(&self, out: &mut v4l2_format) -> Answer<()> {
        if out.type_ != VIDEO_CAPTURE {
            return Err(libc::EINVAL);
        }
        let (width, height) = self.size;
        let padding = self.device.padding;
        let bytesperline = padding
            + match self.format {
                Format::Mjpeg => 0,
                Format::Yuyv => width.next_multiple_of(2) * 2,
                Format::Rgb3 => width * 3,
                Format::Nv12 | Format::Grey | Format::Yu12 => width,
            };
        out.fmt.pix = v4l2_pix_format {
            width,
            height,
            pixelformat: self.format.code(),
            field: 1,
            bytesperline: if self.format == Format::Mjpeg { 0 } else { bytesperline },
            sizeimage: self.picture_bytes(),
            colorspace: if self.has(Fault::StrangeColours) { 99 } else { 8 },
            // SAFETY: integers.
            ..unsafe { std::mem::zeroed() }
        };
        Ok(())
    }

    fn picture_bytes(&self) -> u32 {
        let (width, height) = self.size;
        match self.format {
            // Drivers claim room for the worst case.
            Format::Mjpeg => width * height * 2,
            format => {
                let scene = Scene { width, height, number: 0, black: true };
                scene.draw(format, self.device.padding as usize).len() as u32
            }
        }
    }

    fn set_format(&mut self, wanted: &mut v4l2_format) -> Answer<()> {
        self.hang(Fault::HangFormat)?;
        if self.has(Fault::BusyFormat) || self.buffers > 0 {
            return Err(libc::EBUSY);
        }
        // SAFETY: integers; the type says that this one is meant.
        let pix = unsafe { wanted.fmt.pix };
        // A driver never refuses: it gives the nearest that it has.
        let modes = &self.device.modes;
        let same = |mode: &&Mode| mode.format.code() == pix.pixelformat;
        let mode = self
            .mode(pix.pixelformat, (pix.width, pix.height))
            .or_else(|| modes.iter().filter(same).min_by_key(|mode| mode.largest.0.abs_diff(pix.width)))
            .unwrap_or(&modes[0]);
        let size = (
            nearest(pix.width, mode.smallest.0, mode.largest.0, mode.step.0),
            nearest(pix.height, mode.smallest.1, mode.largest.1, mode.step.1),
        );
        (self.format, self.size, self.interval) = (mode.format, size, mode.intervals[0]);
        self.describe(wanted)
    }

    fn parameters(&self, out: &mut v4l2_streamparm) -> Answer<()> {
        // SAFETY: integers; the type says that this one is meant.
        let capture = unsafe { &mut out.parm.capture };
        capture.capability = V4L2_CAP_TIMEPERFRAME;
        capture.timeperframe = v4l2_sys_mit::v4l2_fract { numerator: self.interval.0, denominator: self.interval.1 };
        Ok(())
    }

    fn set_parameters(&mut self, wanted: &mut v4l2_streamparm) -> Answer<()> {
        // SAFETY: integers; the type says that this one is meant.
        let time = unsafe { wanted.parm.capture.timeperframe };
        let seconds = |(numerator, denominator): Interval| f64::from(numerator) / f64::from(denominator.max(1));
        let wish = seconds((time.numerator, time.denominator));
        let distance = |interval: &&Interval| ((seconds(**interval) - wish).abs() * 1e9) as u64;
        if let Some(mode) = self.mode(self.format.code(), self.size)
            && let Some(interval) = mode.intervals.iter().min_by_key(distance)
        {
            self.interval = *interval;
        }
        self.parameters(wanted)
    }

    fn request_buffers(&mut self, request: &mut v4l2_requestbuffers) -> Answer<()> {
        if request.memory != MEMORY_MMAP {
            return Err(libc::EINVAL);
        }
        self.streaming = None;
        self.queued.clear();
        self.done.clear();
        if request.count == 0 {
            (self.buffers, self.claim) = (0, None);
            return Ok(());
        }
        let claim = File::open(&self.file).map_err(|_| libc::ENODEV)?;
        claim.try_lock().map_err(|_| libc::EBUSY)?;
        self.claim = Some(claim);
        self.buffers = request.count.min(32);
        request.count = self.buffers;
        let bytes = u64::from(self.buffers) * u64::from(self.buffer_bytes());
        self.memory.set_len(bytes).map_err(|_| libc::ENOMEM)
    }

    /// Whole pages, since each is mapped by itself.
    fn buffer_bytes(&self) -> u32 {
        self.picture_bytes().next_multiple_of(4_096)
    }

    fn query_buffer(&self, buffer: &mut v4l2_buffer) -> Answer<()> {
        if buffer.index >= self.buffers {
            return Err(libc::EINVAL);
        }
        buffer.length = self.buffer_bytes();
        buffer.m.offset = buffer.index * self.buffer_bytes();
        Ok(())
    }

    fn queue(&mut self, buffer: &mut v4l2_buffer) -> Answer<()> {
        if buffer.index >= self.buffers || self.queued.contains(&buffer.index) {
            return Err(libc::EINVAL);
        }
        // Frames that fell due before found the queue as it was then.
        self.advance();
        self.queued.push_back(buffer.index);
        Ok(())
    }

    fn start(&mut self) -> Answer<()> {
        if self.has(Fault::BusyStream) {
            return Err(libc::EBUSY);
        }
        if self.has(Fault::NoBandwidth) && self.format != Format::Mjpeg {
            return Err(libc::ENOSPC);
        }
        if self.buffers == 0 {
            return Err(libc::EINVAL);
        }
        self.streaming = Some(Streaming { start: now(), next: 0 });
        Ok(())
    }

    fn stop(&mut self) -> Answer<()> {
        if self.has(Fault::StopFails) {
            return Err(libc::EIO);
        }
        self.streaming = None;
        self.queued.clear();
        self.done.clear();
        Ok(())
    }

    /// Moves frames that fell due since the last look into waiting buffers, or drops them.
    fn advance(&mut self) {
        let hangs = self.has(Fault::HangFrames);
        let Some(streaming) = &mut self.streaming else { return };
        let interval = Duration::from_secs(1) * self.interval.0 / self.interval.1.max(1);
        let now = now();
        while streaming.start + interval * (streaming.next + 1) <= now {
            let due = streaming.start + interval * (streaming.next + 1);
            if !hangs && let Some(buffer) = self.queued.pop_front() {
                self.done.push_back(Done { buffer, number: streaming.next, due });
            }
            streaming.next += 1;
        }
    }

    /// Whether a frame can be fetched.
    pub fn readiness(&mut self) -> Readiness {
        if self.refresh().is_err() || self.streaming.is_none() {
            return Readiness::Error;
        }
        self.advance();
        match &self.streaming {
            _ if !self.done.is_empty() => Readiness::Frame,
            Some(streaming) => {
                let interval = Duration::from_secs(1) * self.interval.0 / self.interval.1.max(1);
                Readiness::In((streaming.start + interval * (streaming.next + 1)).saturating_sub(now()))
            }
            None => Readiness::Error,
        }
    }

    fn dequeue(&mut self, buffer: &mut v4l2_buffer) -> Answer<()> {
        self.hang(Fault::HangDequeue)?;
        if self.has(Fault::Crash) {
            std::process::abort();
        }
        let done = loop {
            match self.readiness() {
                Readiness::Frame => {}
                Readiness::Error => return Err(if self.refresh().is_err() { libc::ENODEV } else { libc::EINVAL }),
                Readiness::In(_) if self.nonblocking => return Err(libc::EAGAIN),
                Readiness::In(time) => std::thread::sleep(time.min(Duration::from_millis(5))),
            }
            if let Some(done) = self.done.pop_front() {
                break done;
            }
        };
        let bytes = self.draw(done.number);
        let offset = u64::from(done.buffer) * u64::from(self.buffer_bytes());
        self.memory.write_all_at(&bytes, offset).map_err(|_| libc::EIO)?;
        buffer.index = done.buffer;
        buffer.bytesused = bytes.len() as u32;
        buffer.flags = V4L2_BUF_FLAG_MAPPED | V4L2_BUF_FLAG_DONE;
        if self.has(Fault::Flagged) && done.number % 2 == 1 {
            buffer.flags |= V4L2_BUF_FLAG_ERROR;
        }
        buffer.field = 1;
        buffer.sequence = done.number;
        if !self.has(Fault::NoTimestamps) {
            buffer.flags |= V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
            buffer.timestamp.tv_sec = done.due.as_secs() as _;
            buffer.timestamp.tv_usec = done.due.subsec_micros().into();
        }
        buffer.length = self.buffer_bytes();
        buffer.m.offset = offset as u32;
        Ok(())
    }

    fn draw(&self, number: u32) -> Vec<u8> {
        let shown = if self.has(Fault::Frozen) { 0 } else { number };
        let scene = Scene { width: self.size.0, height: self.size.1, number: shown, black: self.has(Fault::Black) };
        let mut bytes = match (self.format, self.has(Fault::NoTables)) {
            (Format::Mjpeg, true) => jpeg::encode(&scene, false),
            (format, _) => scene.draw(format, self.device.padding as usize),
        };
        if self.has(Fault::Corrupt) || self.has(Fault::Flagged) && number % 2 == 1 {
            let mut seed = number | 1;
            for byte in &mut bytes {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if seed >> 24 < 8 {
                    *byte = (seed >> 16) as u8;
                }
            }
        }
        if self.has(Fault::Truncated) {
            bytes.truncate(bytes.len() / 2);
        }
        bytes
    }
}

/// Flags of a buffer (`videodev2.h`), where bindgen gives them no type that fits.
const V4L2_BUF_FLAG_MAPPED: u32 = 0x1;
const V4L2_BUF_FLAG_DONE: u32 = 0x4;
const V4L2_BUF_FLAG_ERROR: u32 = 0x40;
const V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC: u32 = 0x2000;

fn read(file: &PathBuf) -> Option<Device> {
    let text = std::fs::read_to_string(file).ok()?;
    match text.parse() {
        Ok(device) => Some(device),
        Err(mistake) => {
            eprintln!("v4l2-pretend: {}: {mistake}", file.display());
            None
        }
    }
}

fn nearest(wanted: u32, smallest: u32, largest: u32, step: u32) -> u32 {
    let clamped = wanted.clamp(smallest, largest);
    smallest + (clamped - smallest) / step.max(1) * step.max(1)
}

fn write_text<const N: usize>(out: &mut [u8; N], text: &[u8]) {
    let length = text.len().min(N - 1);
    out.fill(0);
    out[..length].copy_from_slice(&text[..length]);
}

/// `CLOCK_MONOTONIC`: what drivers stamp frames with.
fn now() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a valid place to write to.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
