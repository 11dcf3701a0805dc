//! What a camera is said to be: the text of its file.
//!
//! ```text
//! name = Pretend HD Webcam
//! driver = uvcvideo
//! bus = usb-0000:00:14.0-1
//! mode = YUYV 640x480 1/30 1/15
//! mode = MJPG 1280x720 1/30 1001/30000
//! mode = YU12 160x120-1920x1080/2x2 1/30
//! padding = 64
//! fault = black busy-stream
//! ```
//!
//! A mode is a four-letter format (MJPG, YUYV, NV12, GREY, RGB3, YU12), a size or a range of sizes with its steps, and
//! the frame intervals in seconds. The first mode is the one that the device comes up in. `padding` is added to every
//! row of every plane. Unknown keys, formats and faults are an error: the device then does not exist.

use std::str::FromStr;

/// A frame interval: numerator and denominator of seconds.
pub type Interval = (u32, u32);

/// One described camera.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Device {
    pub name: String,
    pub driver: String,
    pub bus: String,
    pub modes: Vec<Mode>,
    /// Bytes after each row.
    pub padding: u32,
    pub faults: Vec<Fault>,
}

/// Sizes of one format, and how fast they come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mode {
    pub format: Format,
    pub smallest: (u32, u32),
    pub largest: (u32, u32),
    pub step: (u32, u32),
    pub intervals: Vec<Interval>,
}

impl Mode {
    /// One size only.
    pub fn is_discrete(&self) -> bool {
        self.smallest == self.largest
    }
}

/// A pixel format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Mjpeg,
    Yuyv,
    Nv12,
    Grey,
    Rgb3,
    Yu12,
}

impl Format {
    const ALL: [(Self, &str); 6] = [
        (Self::Mjpeg, "MJPG"),
        (Self::Yuyv, "YUYV"),
        (Self::Nv12, "NV12"),
        (Self::Grey, "GREY"),
        (Self::Rgb3, "RGB3"),
        (Self::Yu12, "YU12"),
    ];

    /// The four letters.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(format, _)| *format == self).map_or("", |(_, name)| name)
    }

    /// The four letters as V4L2 packs them.
    pub fn code(self) -> u32 {
        self.name().bytes().rev().fold(0, |code, letter| code << 8 | u32::from(letter))
    }
}

macro_rules! faults {
    ($($(#[$doc:meta])* $fault:ident = $name:literal,)*) => {
        /// What is wrong with a camera.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Fault {
            $($(#[$doc])* $fault,)*
        }

        impl FromStr for Fault {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($name => Ok(Self::$fault),)*
                    _ => Err(format!("no fault is called {text}")),
                }
            }
        }
    };
}

faults! {
    /// `open`: permission denied.
    Refused = "refused",
    /// `open`: in use.
    BusyOpen = "busy-open",
    /// Setting the format: in use.
    BusyFormat = "busy-format",
    /// Starting the stream: in use.
    BusyStream = "busy-stream",
    /// Starting the stream: no room on the bus, except for MJPEG.
    NoBandwidth = "no-bandwidth",
    /// `open` does not return.
    HangOpen = "hang-open",
    /// Setting the format does not return.
    HangFormat = "hang-format",
    /// No frame becomes ready.
    HangFrames = "hang-frames",
    /// A frame is ready, but fetching it does not return.
    HangDequeue = "hang-dequeue",
    /// Pictures are black.
    Black = "black",
    /// The picture does not change.
    Frozen = "frozen",
    /// Bytes are damaged.
    Corrupt = "corrupt",
    /// Every second frame is flagged as damaged by the driver, and is.
    Flagged = "flagged",
    /// Half of each frame's bytes are missing.
    Truncated = "truncated",
    /// MJPEG without its Huffman tables, as many webcams send it.
    NoTables = "no-tables",
    /// Frames carry no time.
    NoTimestamps = "no-timestamps",
    /// Stopping the stream fails.
    StopFails = "stop-fails",
    /// The name is not UTF-8.
    StrangeName = "strange-name",
    /// A colour space that no header knows yet.
    StrangeColours = "strange-colours",
    /// The program dies at the next frame.
    Crash = "crash",
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut device = Self::default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (key, value) = line.split_once('=').ok_or_else(|| format!("no '=' in {line}"))?;
            let value = value.trim();
            match key.trim() {
                "name" => value.clone_into(&mut device.name),
                "driver" => value.clone_into(&mut device.driver),
                "bus" => value.clone_into(&mut device.bus),
                "mode" => device.modes.push(value.parse()?),
                "padding" => device.padding = number(value)?,
                "fault" => device.faults = value.split_whitespace().map(str::parse).collect::<Result<_, _>>()?,
                other => return Err(format!("no key is called {other}")),
            }
        }
        if device.modes.is_empty() { Err("a device needs a mode".to_owned()) } else { Ok(device) }
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let name = words.next().unwrap_or_default();
        let (format, _) =
            Format::ALL.into_iter().find(|(_, known)| *known == name).ok_or_else(|| format!("no format {name}"))?;
        let sizes = words.next().ok_or("a mode needs a size")?;
        let (sizes, step) = sizes
            .split_once('/')
            .map_or(Ok((sizes, (1, 1))), |(sizes, step)| Ok::<_, String>((sizes, pair(step, 'x')?)))?;
        let (smallest, largest) = sizes.split_once('-').unwrap_or((sizes, sizes));
        let intervals = words.map(|word| pair(word, '/')).collect::<Result<Vec<_>, _>>()?;
        if intervals.is_empty() {
            return Err("a mode needs a frame interval".to_owned());
        }
        Ok(Self { format, smallest: pair(smallest, 'x')?, largest: pair(largest, 'x')?, step, intervals })
    }
}

fn pair(text: &str, between: char) -> Result<(u32, u32), String> {
    let (first, second) = text.split_once(between).ok_or_else(|| format!("no '{between}' in {text}"))?;
    Ok((number(first)?, number(second)?))
}

fn number(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("{text} is no number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_says_what_the_camera_is() {
        let text = "name = A\nmode = YUYV 640x480 1/30 2/15\nmode=YU12 2x2-64x64/2x4 1/1\nfault = black busy-open\n";
        let device: Device = text.parse().expect("valid");
        assert_eq!(device.name, "A");
        assert_eq!(device.modes[0].intervals, [(1, 30), (2, 15)]);
        assert!(device.modes[0].is_discrete());
        assert_eq!((device.modes[1].largest, device.modes[1].step), ((64, 64), (2, 4)));
        assert_eq!(device.faults, [Fault::Black, Fault::BusyOpen]);
        assert_eq!(Format::Yuyv.code(), 0x5659_5559);
    }

    #[test]
    fn mistakes_are_told() {
        for text in ["", "name = A", "mode = ABCD 2x2 1/1", "mode = YUYV 2x2", "mode = YUYV 2x2 1/1\nfault = none"] {
            assert!(text.parse::<Device>().is_err(), "{text}");
        }
    }
}
