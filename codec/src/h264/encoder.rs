//! Encodes pictures for a call. Runs on the encode thread; one picture in, one access unit out, at once.
//!
//! The encoder thread asks for a QP from the [rate model](super::rate) (or is told one by the frame budget),
//! gives it to openh264 for this very frame, and tells truthfully what came out: layer, references, size.
//!
//! # Measurements behind the settings
//!
//! 720p, 2.5 Mbit/s, 30 frames/s, 300 frames of hand-held camera footage, two cores that other work shared; run
//! `examples/measure` to repeat it. Encode and decode in milliseconds, p50 / p99:
//!
//! | entropy coding, complexity | encode | decode | SSIM | keyframe |
//! |---|---|---|---|---|
//! | **CAVLC, low** | 6.5 / 11.6 | 2.8 / 7.2 | 0.9698 | 25.3 kB |
//! | CABAC, low | 7.3 / 14 | 4.0 / 10 | 0.9722 | 22.2 kB |
//! | CAVLC, medium | 7.9 / 15 | 3.0 / 8 | 0.9702 | 24.3 kB |
//! | CABAC, medium | 8.5 / 17 | 4.2 / 10 | 0.9725 | 21.2 kB |
//!
//! CAVLC at low complexity: CABAC's 0.0024 of SSIM is not worth 2 ms on the way of every frame, and it takes the
//! High profile, for which openh264's decoder holds each picture back in case it must be reordered (the decoder
//! here asks for it at once, so such streams do decode without delay). Two threads instead of one gained 0.3 ms
//! on a busy two-core machine and cost the other work there a core; on a machine with idle cores, use two.

use super::ffi::{RawEncoder, Settings};
use super::rate::{Analyser, Kind, RateModel};
use super::{Error, MAX_HEIGHT, MAX_WIDTH, nal};
use crate::Picture;

/// What an [`Encoder`] is made for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EncoderConfig {
    /// Width of the pictures that will come, 16..=1920. An odd width loses its last column: H.264 4:2:0 has even
    /// sizes only.
    pub width: u32,
    /// Height of the pictures that will come, 16..=1088. An odd height loses its last row.
    pub height: u32,
    /// Frames per second that are expected; the timestamps of the requests are what counts.
    pub frames_per_second: f32,
    /// Bit rate to hold, in bits per second; see [`Encoder::set_bitrate`].
    pub bitrate_bps: u32,
    /// Threads (and slices) per picture, 1..=4; 0 counts as 1.
    pub threads: u16,
}

/// What is wanted of one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FrameRequest {
    /// Code an IDR picture with parameter sets: decodable alone. The first frame always is one.
    pub keyframe: bool,
    /// QP of this frame, 0..=51; `None` lets the rate model pick.
    pub qp: Option<u8>,
    /// Capture time in microseconds, any epoch, rising.
    pub timestamp_us: u64,
}

/// What one encoded frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncodedInfo {
    /// An IDR picture.
    pub keyframe: bool,
    /// 0 for the base layer, 1 for the upper layer.
    pub temporal_layer: u8,
    /// No other frame will ever refer to this one; dropping it does no damage.
    pub discardable: bool,
    /// Luma QP of the frame.
    pub qp: u8,
    /// The frames that this one needs in order to be decoded.
    pub references: References,
}

/// Distances to the frames that a frame refers to, in frames that this encoder coded: 1 is the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct References {
    distances: [u32; 4],
    length: u8,
}

impl References {
    /// No references: a keyframe.
    pub const NONE: Self = Self { distances: [0; 4], length: 0 };

    /// One reference, `distance` encoded frames back.
    #[must_use]
    pub const fn one(distance: u32) -> Self {
        Self { distances: [distance, 0, 0, 0], length: 1 }
    }

    /// The distances, each at least 1.
    #[must_use]
    pub fn distances(&self) -> &[u32] {
        &self.distances[..usize::from(self.length)]
    }
}

/// An H.264 encoder for one stream at one size. A new size takes a new encoder (and so a keyframe).
pub struct Encoder {
    config: EncoderConfig,
    settings: Settings,
    /// `None` after openh264 failed, until the next frame.
    raw: Option<RawEncoder>,
    model: RateModel,
    analyser: Analyser,
    /// Frames coded since the last keyframe, that one included; 0 means that a keyframe comes next.
    since_keyframe: u64,
}

impl Encoder {
    /// Makes an encoder.
    ///
    /// # Errors
    ///
    /// [`Error::Size`] for a size outside 16x16..=1920x1088, [`Error::Rate`] for a frame rate or bit rate that is
    /// not positive, [`Error::Start`] when openh264 fails (out of memory).
    pub fn new(config: EncoderConfig) -> Result<Self, Error> {
        let EncoderConfig { width, height, frames_per_second, bitrate_bps, threads } = config;
        if width < 16 || height < 16 || width > MAX_WIDTH || height > MAX_HEIGHT {
            return Err(Error::Size { width, height });
        }
        let usable_rate = frames_per_second.is_finite() && frames_per_second > 0.0;
        if !usable_rate || bitrate_bps == 0 {
            return Err(Error::Rate);
        }
        let settings = Settings {
            width: width & !1,
            height: height & !1,
            frames_per_second: frames_per_second.clamp(1.0, 60.0),
            // Only the level is chosen by it; 20 Mbit/s is more than any call is given.
            bitrate_bps: bitrate_bps.min(20_000_000),
            threads: threads.clamp(1, 4),
        };
        let raw = RawEncoder::new(settings).map_err(|code| Error::Start { code })?;
        let pixels = u64::from(settings.width) * u64::from(settings.height);
        Ok(Self {
            config,
            settings,
            raw: Some(raw),
            model: RateModel::new(bitrate_bps, frames_per_second, pixels),
            analyser: Analyser::default(),
            since_keyframe: 0,
        })
    }

    /// The configuration, with the bit rate as last set.
    #[must_use]
    pub const fn config(&self) -> &EncoderConfig {
        &self.config
    }

    /// Sets the bit rate in bits per second, from the next frame on, without a keyframe. 0 counts as 1.
    pub fn set_bitrate(&mut self, bps: u32) {
        self.config.bitrate_bps = bps.max(1);
        self.model.set_rate(bps);
    }

    /// Encodes one picture. `out` is cleared and then holds the access unit in Annex B form.
    ///
    /// Frames are counted as they are encoded: a picture that was never given to the encoder does not exist for
    /// layers and references.
    ///
    /// # Errors
    ///
    /// [`Error::SizeChanged`] and [`Error::Planes`] for a picture that does not fit; nothing has changed then.
    /// [`Error::Encode`] or [`Error::Start`] when openh264 failed; the next frame starts anew with a keyframe.
    pub fn encode(
        &mut self,
        picture: &Picture,
        request: FrameRequest,
        out: &mut Vec<u8>,
    ) -> Result<EncodedInfo, Error> {
        out.clear();
        self.check(picture)?;
        let kind = match self.since_keyframe {
            _ if request.keyframe => Kind::Key,
            0 => Kind::Key,
            n if n % 2 == 0 => Kind::Base,
            _ => Kind::Upper,
        };
        let analysis = self.analyser.analyse(picture);
        let picked = self.model.pick(kind, analysis, request.timestamp_us);
        let mut qp = request.qp.map_or(picked, |qp| qp.min(HIGHEST_QP));
        self.code(picture, kind, qp, request.timestamp_us, out)?;
        let coarser = match (kind, request.qp) {
            (Kind::Key, None) => self.model.retry_keyframe(qp, bits(out)),
            _ => None,
        };
        if let Some(coarser) = coarser {
            // The first try is thrown away; the second is an IDR picture again and refers to nothing.
            qp = coarser;
            out.clear();
            self.code(picture, kind, qp, request.timestamp_us, out)?;
        }
        self.model.record(kind, analysis, qp, bits(out));
        self.since_keyframe = if kind == Kind::Key { 1 } else { self.since_keyframe + 1 };
        Ok(EncodedInfo {
            keyframe: kind == Kind::Key,
            temporal_layer: u8::from(kind == Kind::Upper),
            discardable: kind == Kind::Upper,
            qp,
            references: match kind {
                Kind::Key => References::NONE,
                Kind::Base => References::one(2),
                Kind::Upper => References::one(1),
            },
        })
    }

    fn check(&self, picture: &Picture) -> Result<(), Error> {
        let EncoderConfig { width, height, .. } = self.config;
        if (picture.width, picture.height) != (width, height) {
            return Err(Error::SizeChanged {
                width: picture.width,
                height: picture.height,
                expected_width: width,
                expected_height: height,
            });
        }
        if picture.is_consistent() { Ok(()) } else { Err(Error::Planes) }
    }

    /// One run of openh264. On failure openh264 is thrown away: it frees its state behind some errors and would
    /// crash at the next frame.
    fn code(
        &mut self,
        picture: &Picture,
        kind: Kind,
        qp: u8,
        timestamp_us: u64,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let raw = match &mut self.raw {
            Some(raw) => raw,
            None => self.raw.insert(RawEncoder::new(self.settings).map_err(|code| Error::Start { code })?),
        };
        let timestamp_ms = i64::try_from(timestamp_us / 1000).unwrap_or(0);
        let coded = raw.encode(picture, layer_qp(kind, qp), kind == Kind::Key, timestamp_ms, out);
        let failure = match coded {
            Ok(coded) if is_as_planned(kind, coded.keyframe, coded.temporal_layer, out) => return Ok(()),
            // Never seen; but a frame whose references are not what the header says must not leave.
            Ok(_) => Error::Encode { code: 0 },
            Err(code) => Error::Encode { code },
        };
        self.raw = None;
        self.since_keyframe = 0;
        out.clear();
        Err(failure)
    }
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Highest QP that H.264 knows.
const HIGHEST_QP: u8 = 51;

/// With two temporal layers openh264 codes the base layer three steps finer than it is told
/// (`RcCalculateCascadingQp` in its `ratectl.cpp`), keyframes included.
fn layer_qp(kind: Kind, qp: u8) -> u8 {
    match kind {
        Kind::Key | Kind::Base => qp + 3,
        Kind::Upper => qp,
    }
}

/// Whether openh264 coded what the layer structure says it must have coded.
fn is_as_planned(kind: Kind, keyframe: bool, temporal_layer: u8, bytes: &[u8]) -> bool {
    let Ok(unit) = nal::inspect(bytes) else { return false };
    let upper = kind == Kind::Upper;
    keyframe == (kind == Kind::Key)
        && unit.keyframe == keyframe
        && unit.discardable == upper
        && (temporal_layer > 0) == upper
}

fn bits(bytes: &[u8]) -> u64 {
    bytes.len() as u64 * 8
}
