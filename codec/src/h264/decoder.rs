//! Decodes whole access units, one in, one picture out. Runs on the decode thread of a remote video.
//!
//! The decoder trusts its caller to feed only frames whose references it has (the network layer knows them from
//! the frame header), and trusts nothing else: what comes in is looked over before openh264 sees it, and after
//! any failure nothing but a keyframe is taken, with a fresh openh264 decoder, so that no damage lives on.

use super::ffi::RawDecoder;
use super::{Error, MAX_ACCESS_UNIT_BYTES, nal};
use crate::Picture;

/// A decoder for one stream. It holds no picture back and conceals nothing.
pub struct Decoder {
    /// `None` after a failure, until the next keyframe.
    raw: Option<RawDecoder>,
    has_keyframe: bool,
}

impl Decoder {
    /// A decoder that waits for a keyframe.
    ///
    /// # Errors
    ///
    /// [`Error::Start`] when openh264 cannot be created (out of memory).
    pub fn new() -> Result<Self, Error> {
        Ok(Self { raw: Some(RawDecoder::new()?), has_keyframe: false })
    }

    /// Decodes one access unit (Annex B: NAL units with start codes) into `out`, resizing it when the size of
    /// the stream changed, and says whether it made a picture. It always does, unless the access unit has no
    /// slice (parameter sets alone; those are not kept, a keyframe brings its own).
    ///
    /// # Errors
    ///
    /// [`Error::NeedsKeyframe`] when it is no keyframe and the decoder has none to start from;
    /// [`Error::Malformed`] and [`Error::Size`] when the bytes are refused before decoding;
    /// [`Error::Decode`] when openh264 refused them. After the latter three, a keyframe is needed. `out` may
    /// then hold an older or a black picture, never half a new one.
    pub fn decode(&mut self, annex_b: &[u8], out: &mut Picture) -> Result<bool, Error> {
        let result = self.try_decode(annex_b, out);
        if result.as_ref().is_err_and(|error| *error != Error::NeedsKeyframe) {
            self.has_keyframe = false;
            self.raw = None;
        }
        result
    }

    fn try_decode(&mut self, annex_b: &[u8], out: &mut Picture) -> Result<bool, Error> {
        if annex_b.len() > MAX_ACCESS_UNIT_BYTES {
            return Err(Error::Malformed("too long"));
        }
        let unit = nal::inspect(annex_b)?;
        if !unit.keyframe && !self.has_keyframe {
            return Err(Error::NeedsKeyframe);
        }
        if !unit.has_slice {
            return Ok(false);
        }
        let raw = match &mut self.raw {
            Some(raw) => raw,
            None => self.raw.insert(RawDecoder::new()?),
        };
        let produced = raw.decode(annex_b, out)?;
        if !produced {
            // Slices went in and nothing came out: the frame was torn. Showing nothing now and the rest later
            // is what openh264 would do; a torn frame is an error here.
            return Err(Error::Malformed("slices without a picture"));
        }
        self.has_keyframe = true;
        Ok(true)
    }
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder").field("has_keyframe", &self.has_keyframe).finish_non_exhaustive()
    }
}
