//! H.264 for calls: one picture in, one access unit out, and back, with nothing held between.
//!
//! * `encoder`: [`Encoder`], two temporal layers, a QP for every frame, keyframes only on request.
//! * `rate`: the model that picks that QP from the bit rate; pure arithmetic.
//! * `decoder`: [`Decoder`], refuses what it cannot decode whole, never conceals.
//! * `nal`: Annex B and parameter-set parsing, enough to know a keyframe and a picture's size beforehand.
//! * `ffi`: the only unsafe code of the crate.
//!
//! # What the reference structure is
//!
//! Read in openh264's `ref_list_mgr_svc.cpp` and held by a test that decodes with frames left out: counting
//! *encoded* frames from the last keyframe (0), even frames are base layer and refer to the base frame two
//! before, odd frames are upper layer, refer to the base frame just before, and nothing ever refers to them
//! (`nal_ref_idc` 0). So every upper frame may be dropped by anybody without damage.
//!
//! ```text
//! key(0) <-- base(2) <-- base(4) <-- base(6)
//!    ^-- upper(1) ^-- upper(3) ^-- upper(5)
//! ```
//!
//! # Decisions, with what they rest on
//!
//! See [`encoder`](self::Encoder) for the settings and the measurements behind them.

mod decoder;
mod encoder;
#[allow(unsafe_code, reason = "openh264 is C++; its low-latency options have no safe wrapper")]
mod ffi;
mod nal;
pub mod rate;

pub use decoder::Decoder;
pub use encoder::{EncodedInfo, Encoder, EncoderConfig, FrameRequest, References};

/// The format's name among people.
pub const NAME: &str = "H.264";
/// Largest picture width that is encoded or decoded, in luma samples.
pub const MAX_WIDTH: u32 = 1920;
/// Largest picture height that is encoded or decoded, in luma samples (1080 rounded up to whole macroblocks).
pub const MAX_HEIGHT: u32 = 1088;
/// Largest access unit that [`Decoder::decode`] looks at, in bytes. A 1080p keyframe at the lowest QP that the
/// rate model picks stays below it.
pub const MAX_ACCESS_UNIT_BYTES: usize = 1 << 20;

/// Why encoding or decoding did not happen.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum Error {
    /// The picture size cannot be coded.
    #[error(
        "{width}x{height} cannot be coded as H.264 here: both sides must be at least 16, at most {MAX_WIDTH}x{MAX_HEIGHT}"
    )]
    Size {
        /// Offending width.
        width: u32,
        /// Offending height.
        height: u32,
    },
    /// The picture handed to the encoder has another size than the encoder was made for; make a new encoder.
    #[error("the encoder was made for {expected_width}x{expected_height} but was given {width}x{height}")]
    SizeChanged {
        /// Width of the picture that came.
        width: u32,
        /// Height of the picture that came.
        height: u32,
        /// Width in the encoder's configuration.
        expected_width: u32,
        /// Height in the encoder's configuration.
        expected_height: u32,
    },
    /// The planes of the picture are shorter or longer than its size says.
    #[error("the planes of the picture do not fit its size")]
    Planes,
    /// Frame rate or bit rate is zero, negative or not a number.
    #[error("frame rate and bit rate must be positive")]
    Rate,
    /// openh264 could not be created or refused the settings.
    #[error("openh264 could not start: code {code}")]
    Start {
        /// openh264's return code.
        code: i64,
    },
    /// openh264 failed to encode this picture. The encoder starts anew with a keyframe at the next one.
    #[error("openh264 could not encode the picture: code {code}; the next frame will be a keyframe")]
    Encode {
        /// openh264's return code (`CM_RETURN`).
        code: i64,
    },
    /// The bytes are not an access unit that may be given to the decoder.
    #[error("not a decodable access unit: {0}")]
    Malformed(&'static str),
    /// openh264 could not decode the access unit. The decoder waits for a keyframe now.
    #[error("openh264 could not decode the access unit: state {state:#x}; a keyframe is needed")]
    Decode {
        /// openh264's `DECODING_STATE` bits.
        state: i32,
    },
    /// A keyframe is needed first: the decoder is new, or an earlier access unit failed.
    #[error("the decoder needs a keyframe first")]
    NeedsKeyframe,
}
