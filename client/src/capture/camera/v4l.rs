//! Cameras on Linux, by the `v4l` crate.
//!
//! Not through nokhwa, a layer over this very crate that takes away what a call needs: see [`super`].
//! The crate panics where a driver says something new (a colour space, a name that is not UTF-8) or something wrong (a
//! stop that fails), so everything here runs in the helper process, and a stream is never dropped in it: the process
//! ends, and the kernel cleans up.

use std::{
    collections::HashMap,
    mem::ManuallyDrop,
    path::{Path, PathBuf},
    time::Duration,
};

use v4l::{
    Device, Format as PixelFormat, FourCC, Fraction,
    buffer::{Flags, Type},
    capability::Flags as Capability,
    frameinterval::FrameIntervalEnum,
    framesize::FrameSizeEnum,
    io::{
        mmap,
        traits::{CaptureStream, Stream},
    },
    video::{Capture, capture::Parameters},
};
use visavis_codec::raw::Layout;

use super::{
    mode::{Format, Interval, Mode, Offer, Wish, offers},
    serve::{self, Failure, Frame, Listed},
};

/// The cameras of this machine, in the order of their nodes.
#[must_use]
pub fn list() -> Vec<Listed> {
    cameras().into_iter().map(|node| node.listed).collect()
}

/// A camera's place, before it is opened.
#[derive(Debug)]
pub struct Node {
    path: PathBuf,
    listed: Listed,
}

impl Node {
    /// The camera with this id or name; or the first one that has colour, or else the first one: a laptop's other
    /// camera sees in infrared for its lock, and a loopback that nothing feeds offers nothing.
    ///
    /// # Errors
    ///
    /// [`Failure::Gone`] if there is none.
    pub fn find(id: Option<&str>) -> Result<Self, Failure> {
        let found = match id {
            None => cameras().into_iter().min_by_key(|node| {
                let grey = Format::Raw(Layout::Grey).name();
                !node.listed.offers.iter().any(|offer| offer.format != grey)
            }),
            // Nothing is asked of any other: one that hangs holds up nobody.
            Some(id) => nodes()
                .into_iter()
                .map(|(number, path)| Self { path, listed: describe(number, Vec::new()) })
                .find(|node| node.listed.is(id) && is_first(&node.path)),
        };
        found.ok_or(Failure::Gone)
    }

    /// What a person calls it.
    pub fn name(&self) -> &str {
        &self.listed.name
    }
}

/// The nodes that are cameras. All are asked at once, each by a thread: one that hangs costs a second, and ends with
/// this process.
fn cameras() -> Vec<Node> {
    let (tell, told) = std::sync::mpsc::channel();
    for (number, path) in nodes() {
        let tell = tell.clone();
        // Without a thread there is no answer, which is one that is known how to take.
        let _asking = std::thread::Builder::new().spawn(move || {
            let _nobody_waits_any_more = tell.send((number, ask(&path)));
        });
    }
    drop(tell);
    let mut answers = HashMap::new();
    while let Ok((number, answer)) = told.recv_timeout(ANSWER) {
        answers.insert(number, answer);
    }
    let camera = |(number, path): (u32, PathBuf)| match answers.remove(&number).flatten() {
        Some(answer) => answer.captures.then(|| Node { path, listed: describe(number, answer.offers) }),
        // One that cannot be asked may be a camera in use.
        None => is_first(&path).then(|| Node { path, listed: describe(number, Vec::new()) }),
    };
    nodes().into_iter().filter_map(camera).collect()
}

/// Of a device's nodes the first is the one with pictures.
fn is_first(path: &Path) -> bool {
    let number = path.to_str().and_then(|path| path.strip_prefix(NODE)?.parse().ok());
    number.and_then(|number| attribute(number, "index")).is_none_or(|index| index == "0")
}

/// Opening a node and asking it takes milliseconds, some tens of them when the device sleeps.
const ANSWER: Duration = Duration::from_secs(1);

/// What the paths of nodes begin with.
const NODE: &str = "/dev/video";

/// `/dev/videoN`, sorted. `v4l::context::enum_devices` panics on other names that begin with "video".
fn nodes() -> Vec<(u32, PathBuf)> {
    let entries = std::fs::read_dir("/dev").into_iter().flatten().flatten();
    let mut nodes: Vec<_> = entries
        .filter_map(|entry| {
            let number = entry.file_name().to_str()?.strip_prefix("video")?.parse().ok()?;
            Some((number, format!("{NODE}{number}").into()))
        })
        .collect();
    nodes.sort_unstable();
    nodes
}

/// What a node says of itself.
struct Answer {
    /// It gives pictures; a webcam has another node, which does not.
    captures: bool,
    offers: Vec<Offer>,
}

/// Asks a node; `None` if it does not say.
fn ask(path: &Path) -> Option<Answer> {
    let asked = std::panic::catch_unwind(|| {
        let device = Device::with_path(path)?;
        let capabilities = device.query_caps()?.capabilities;
        let captures = capabilities.contains(Capability::VIDEO_CAPTURE | Capability::STREAMING);
        let modes = if captures { modes(&device, &LARGEST) } else { Vec::new() };
        std::io::Result::Ok(Answer { captures, offers: offers(&modes) })
    });
    asked.ok()?.ok()
}

/// More pixels than any camera has, so that a range of sizes is told by its upper end; of a range of rates, what a call
/// would take.
const LARGEST: Wish = Wish { size: (16_384, 16_384), frames_per_second: 30.0 };

/// Name and identity from sysfs, which answers also while the camera is in use.
fn describe(number: u32, offers: Vec<Offer>) -> Listed {
    let name = attribute(number, "name").unwrap_or_else(|| format!("Camera {number}"));
    // The place on the bus: stays when other cameras come and go, unlike the number. Virtual ones have none.
    let place = std::fs::read_link(format!("/sys/class/video4linux/video{number}/device"))
        .ok()
        .and_then(|path| path.file_name().map(|place| place.to_string_lossy().into_owned()))
        .unwrap_or_else(|| format!("video{number}"));
    Listed { id: format!("{place}/{name}"), name, offers }
}

fn attribute(number: u32, name: &str) -> Option<String> {
    let text = std::fs::read(format!("/sys/class/video4linux/video{number}/{name}")).ok()?;
    Some(String::from_utf8_lossy(&text).trim().to_owned())
}

/// A running camera.
pub struct Camera {
    stream: ManuallyDrop<mmap::Stream<'static>>,
    mode: Mode,
    stride: usize,
}

impl Camera {
    /// Opens a camera in the mode that serves the wish best.
    ///
    /// # Errors
    ///
    /// Any [`Failure`].
    pub fn open(node: &Node, wish: &Wish) -> Result<Self, Failure> {
        let device = Device::with_path(&node.path)?;
        let modes = wish.order(modes(&device, wish));
        let mut last = Failure::NoFormat;
        for mode in modes.into_iter().take(ATTEMPTS) {
            match Self::start(&device, mode) {
                Ok(camera) => return Ok(camera),
                // Another mode may fit on the bus, or be one that the driver really has.
                Err(failure @ (Failure::NoRoom | Failure::NoFormat)) => last = failure,
                Err(failure) => return Err(failure),
            }
        }
        Err(last)
    }

    fn start(device: &Device, mode: Mode) -> Result<Self, Failure> {
        let code = Format::ALL.iter().find(|(format, _)| *format == mode.format).map_or([0; 4], |(_, code)| *code);
        let wanted = PixelFormat::new(mode.size.0, mode.size.1, FourCC::new(&code));
        let got = device.set_format(&wanted)?;
        if got.fourcc.repr != code {
            return Err(Failure::NoFormat);
        }
        // Drivers without a rate of their own (loopbacks) refuse to be asked: then it is what it is.
        let fraction = Fraction::new(mode.interval.numerator, mode.interval.denominator);
        let interval = device.set_params(&Parameters::new(fraction)).or_else(|_| device.params()).ok();
        let interval = interval.and_then(|told| Interval::new(told.interval.numerator, told.interval.denominator));
        let mode = Mode { size: (got.width, got.height), interval: interval.unwrap_or(mode.interval), ..mode };
        let least = match mode.format {
            Format::Raw(layout) => layout.row_bytes(got.width as usize),
            Format::Mjpeg => 0,
        };
        // Zero is what drivers say that do not know.
        let stride = if got.stride == 0 { least } else { got.stride as usize };
        let mut stream = ManuallyDrop::new(mmap::Stream::with_buffers(device, Type::VideoCapture, BUFFERS)?);
        stream.set_timeout(FIRST_FRAME.max(4 * mode.interval.duration()));
        match begin(&mut stream) {
            Ok(()) => Ok(Self { stream, mode, stride }),
            Err(failure) => {
                // Let another mode try. A stop that fails would panic, and a new helper comes.
                drop(ManuallyDrop::into_inner(stream));
                Err(failure)
            }
        }
    }
}

/// Starts the stream, which finds out whether the bus has room, without waiting for a frame.
fn begin(stream: &mut mmap::Stream<'static>) -> Result<(), Failure> {
    // Buffer 0 is left to `next`, which hands it in when it is first called on a started stream. How many buffers the
    // driver gave is not told: it refuses the first that it did not.
    let _refused = (1..MAX_BUFFERS).try_for_each(|index| CaptureStream::queue(stream, index));
    Ok(stream.start()?)
}

/// `VIDEO_MAX_FRAME` of V4L2.
const MAX_BUFFERS: usize = 32;

impl serve::Device for Camera {
    fn mode(&self) -> Mode {
        self.mode
    }

    fn next<T>(&mut self, look: impl FnOnce(Frame<'_>) -> T) -> Result<T, Failure> {
        let handle = self.stream.handle();
        let mut older = 0;
        loop {
            let (bytes, meta) = self.stream.next()?;
            // Buffers come back oldest first: after a pause the newest is the last one that is ready.
            if older < BUFFERS && handle.poll(READABLE, 0)? > 0 {
                older += 1;
                continue;
            }
            // `v4l` gives the whole buffer; what lies behind the used bytes is an older frame's.
            let used = (meta.bytesused as usize).min(bytes.len());
            let time = Duration::from_secs(meta.timestamp.sec.unsigned_abs())
                + Duration::from_micros(meta.timestamp.usec.unsigned_abs());
            let monotonic = meta.flags & Flags::TIMESTAMP_MASK == Flags::TIMESTAMP_MONOTONIC && !time.is_zero();
            return Ok(look(Frame {
                bytes: &bytes[..used],
                stride: self.stride,
                captured: monotonic.then_some(time),
                damaged: meta.flags.contains(Flags::ERROR),
            }));
        }
    }
}

/// `POLLIN`.
const READABLE: i16 = 1;

/// Buffers in the driver's hands: one being filled, one ready, two for a helper that was not scheduled. More would
/// only hold older frames.
const BUFFERS: u32 = 4;

/// Modes that are tried before a camera counts as unusable.
const ATTEMPTS: usize = 8;

/// Webcams take up to two seconds to their first frame (exposure, USB), virtual ones until their source runs.
const FIRST_FRAME: Duration = Duration::from_secs(4);

/// Everything that the camera says it can do.
fn modes(device: &Device, wish: &Wish) -> Vec<Mode> {
    let mut modes = Vec::new();
    for (format, code) in Format::ALL {
        let code = FourCC::new(&code);
        // A format that the camera does not have gives an error here.
        for size in device.enum_framesizes(code).unwrap_or_default() {
            let size = match size.size {
                FrameSizeEnum::Discrete(size) => (size.width, size.height),
                FrameSizeEnum::Stepwise(step) => (
                    nearest(wish.size.0, step.min_width, step.max_width, step.step_width),
                    nearest(wish.size.1, step.min_height, step.max_height, step.step_height),
                ),
            };
            let told = device.enum_frameintervals(code, size.0, size.1).unwrap_or_default();
            let mut intervals: Vec<_> = told.into_iter().filter_map(|told| interval(&told.interval, wish)).collect();
            if intervals.is_empty() {
                // Loopbacks often tell none: the wish is then as good a guess as any.
                intervals.extend(Interval::new(1_000, (wish.frames_per_second * 1_000.0) as u32));
            }
            modes.extend(intervals.into_iter().map(|interval| Mode { format, size, interval }));
        }
    }
    modes
}

fn interval(told: &FrameIntervalEnum, wish: &Wish) -> Option<Interval> {
    match told {
        FrameIntervalEnum::Discrete(one) => Interval::new(one.numerator, one.denominator),
        FrameIntervalEnum::Stepwise(range) => {
            let shortest = Interval::new(range.min.numerator, range.min.denominator)?;
            let longest = Interval::new(range.max.numerator, range.max.denominator)?;
            let wished = Interval::new(1_000, (wish.frames_per_second * 1_000.0) as u32)?;
            Some(if wished.per_second() > shortest.per_second() {
                shortest
            } else if wished.per_second() < longest.per_second() {
                longest
            } else {
                wished
            })
        }
    }
}

/// The size in a range of steps that is nearest to the wished one, from below where there is one.
fn nearest(wished: u32, smallest: u32, largest: u32, step: u32) -> u32 {
    let clamped = wished.clamp(smallest, largest.max(smallest));
    smallest + (clamped - smallest) / step.max(1) * step.max(1)
}
