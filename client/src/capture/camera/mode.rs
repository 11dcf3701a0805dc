//! What a camera can deliver, and which of it is best for a call. Pure.

use std::{cmp::Ordering, time::Duration};

use serde::{Deserialize, Serialize};
use visavis_codec::raw::Layout;

/// What bytes a camera sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Samples as they are.
    Raw(Layout),
    /// A JPEG each.
    Mjpeg,
}

impl Format {
    /// Formats and their four letters in V4L2, cheapest first.
    pub const ALL: [(Self, [u8; 4]); 7] = [
        (Self::Raw(Layout::Yu12), *b"YU12"),
        (Self::Raw(Layout::Nv12), *b"NV12"),
        (Self::Raw(Layout::Yuyv), *b"YUYV"),
        (Self::Raw(Layout::Rgb), *b"RGB3"),
        (Self::Raw(Layout::Bgr), *b"BGR3"),
        (Self::Mjpeg, *b"MJPG"),
        (Self::Raw(Layout::Grey), *b"GREY"),
    ];

    /// Its four letters.
    #[must_use]
    pub fn name(self) -> String {
        let code = Self::ALL.iter().find(|(format, _)| *format == self).map_or([b'?'; 4], |(_, code)| *code);
        String::from_utf8_lossy(&code).into_owned()
    }

    /// How good a picture of it is beside an uncompressed one: what converting costs, and what is lost before.
    ///
    /// Measured at 720p here: rearranging 0.1-0.3 ms, RGB 0.4 ms, decoding a JPEG several ms, after the camera took as
    /// long to encode it. So MJPEG is taken where it is a sixth better in size and rate, which is where USB 2 has no
    /// room for samples (about 25 MB/s). GREY has no colour, and is for cameras that have nothing else.
    const fn worth(self) -> f64 {
        match self {
            Self::Raw(Layout::Yu12 | Layout::Nv12) => 1.0,
            Self::Raw(Layout::Yuyv) => 0.99,
            Self::Raw(Layout::Rgb | Layout::Bgr) => 0.97,
            Self::Mjpeg => 0.85,
            Self::Raw(Layout::Grey) => 0.3,
        }
    }
}

/// Time between frames, as drivers count it: a fraction of seconds, not always 1/n.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interval {
    /// Seconds times the denominator.
    pub numerator: u32,
    /// Never zero.
    pub denominator: u32,
}

impl Interval {
    /// A fraction of seconds; `None` for what is no time.
    #[must_use]
    pub fn new(numerator: u32, denominator: u32) -> Option<Self> {
        (numerator > 0 && denominator > 0).then_some(Self { numerator, denominator })
    }

    /// Frames in a second.
    #[must_use]
    pub fn per_second(self) -> f64 {
        f64::from(self.denominator) / f64::from(self.numerator)
    }

    /// As a time.
    #[must_use]
    pub fn duration(self) -> Duration {
        Duration::from_secs(1) * self.numerator / self.denominator
    }
}

/// One way to run a camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode {
    /// What it sends.
    pub format: Format,
    /// Pixels across and down.
    pub size: (u32, u32),
    /// Time between frames.
    pub interval: Interval,
}

/// What a call wants of a camera.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Wish {
    /// Pixels across and down; more are of no use.
    pub size: (u32, u32),
    /// Frames a second; more are of no use.
    pub frames_per_second: f64,
}

impl Default for Wish {
    fn default() -> Self {
        Self { size: (1_280, 720), frames_per_second: 30.0 }
    }
}

impl Wish {
    /// Pictures of at most so many lines, as wide as 16:9 makes them, and no more than so many a second.
    #[must_use]
    pub fn capped(lines: u32, frames_per_second: u32) -> Self {
        let width = (lines.saturating_mul(16) / 9).next_multiple_of(2);
        Self { size: (width, lines), frames_per_second: f64::from(frames_per_second.max(1)) }
    }

    /// How well a mode serves, between 0 and 1: the share of the wished pixels, times the share of the wished rate to
    /// the power of 1.5 (a call is motion first: 720p at 10 a second is worse than 480p at 30), times the format's
    /// worth. What exceeds the wish costs: pixels are scaled down and frames left out, after having been paid for.
    fn score(&self, mode: &Mode) -> f64 {
        let pixels = |(width, height): (u32, u32)| f64::from(width) * f64::from(height);
        let share = |got: f64, wished: f64, excess: f64| {
            let ratio = got / wished;
            if ratio <= 1.0 { ratio } else { excess / ratio }
        };
        let fits = mode.size.0 <= self.size.0 && mode.size.1 <= self.size.1;
        let size = pixels(mode.size) / pixels(self.size);
        let size = if fits { size } else { 0.6 / size.max(1.0) };
        let rate = share(mode.interval.per_second(), self.frames_per_second, 0.95);
        size * rate.powf(1.5) * mode.format.worth()
    }

    /// The modes, best first. All of them: a bus may have no room for the best.
    #[must_use]
    pub fn order(&self, mut modes: Vec<Mode>) -> Vec<Mode> {
        modes.sort_by(|a, b| self.score(b).partial_cmp(&self.score(a)).unwrap_or(Ordering::Equal));
        modes
    }
}

/// What a camera offers in one format, for a list that a person reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Its four letters.
    pub format: String,
    /// The largest picture.
    pub size: (u32, u32),
    /// The shortest time between frames at that size.
    pub interval: Interval,
}

/// The best of each format, in the order in which the formats come.
#[must_use]
pub fn offers(modes: &[Mode]) -> Vec<Offer> {
    let rank = |mode: &&Mode| (mode.size.0 * mode.size.1, std::cmp::Reverse(mode.interval.duration()));
    let mut offers = Vec::<Offer>::new();
    for Mode { format, .. } in modes {
        let name = format.name();
        let best = modes.iter().filter(|mode| mode.format == *format).max_by_key(rank);
        if let Some(Mode { size, interval, .. }) = best.filter(|_| offers.iter().all(|known| known.format != name)) {
            offers.push(Offer { format: name, size: *size, interval: *interval });
        }
    }
    offers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cap_in_lines_is_a_size() {
        let sizes = [360, 480, 720, 1_080].map(|lines| Wish::capped(lines, 30).size);
        assert_eq!(sizes, [(640, 360), (854, 480), (1_280, 720), (1_920, 1_080)]);
    }

    #[test]
    fn a_list_tells_the_best_of_each_format() {
        let modes = [
            mode(YUYV, (640, 480), (1, 30)),
            mode(YUYV, (1_280, 720), (1, 10)),
            mode(YUYV, (1_280, 720), (1, 5)),
            mode(Format::Mjpeg, (1_280, 720), (1, 30)),
        ];
        let told = offers(&modes).into_iter().map(|offer| (offer.format, offer.size, offer.interval.per_second()));
        let expected = [("YUYV".to_owned(), (1_280, 720), 10.0), ("MJPG".to_owned(), (1_280, 720), 30.0)];
        assert_eq!(told.collect::<Vec<_>>(), expected);
    }

    fn mode(format: Format, size: (u32, u32), interval: (u32, u32)) -> Mode {
        Mode { format, size, interval: Interval::new(interval.0, interval.1).expect("a time") }
    }

    fn best(modes: &[Mode]) -> Mode {
        Wish::default().order(modes.to_vec())[0]
    }

    const YUYV: Format = Format::Raw(Layout::Yuyv);

    #[test]
    fn a_usb_2_webcam_runs_as_jpeg_at_full_rate() {
        let jpeg = mode(Format::Mjpeg, (1_280, 720), (1, 30));
        assert_eq!(best(&[mode(YUYV, (1_280, 720), (1, 10)), mode(YUYV, (640, 480), (1, 30)), jpeg]), jpeg);
    }

    #[test]
    fn a_usb_3_webcam_runs_uncompressed() {
        let raw = mode(YUYV, (1_280, 720), (1, 30));
        assert_eq!(best(&[mode(Format::Mjpeg, (1_280, 720), (1, 30)), raw]), raw);
        let odd = mode(YUYV, (1_280, 720), (1_001, 30_000));
        assert_eq!(best(&[mode(Format::Mjpeg, (1_280, 720), (1, 30)), odd]), odd);
    }

    #[test]
    fn caps_hold_where_they_can() {
        let wished = mode(YUYV, (1_280, 720), (1, 30));
        assert_eq!(best(&[mode(YUYV, (1_920, 1_080), (1, 30)), mode(YUYV, (1_280, 720), (1, 60)), wished]), wished);
        let only = mode(Format::Mjpeg, (1_920, 1_080), (2, 15));
        assert_eq!(best(&[only]), only);
    }

    #[test]
    fn colour_is_worth_a_smaller_picture() {
        let colour = mode(YUYV, (640, 480), (1, 30));
        assert_eq!(best(&[mode(Format::Raw(Layout::Grey), (1_280, 720), (1, 30)), colour]), colour);
    }
}
