//! Motion JPEG, as webcams send it: each picture a JPEG of its own.
//!
//! Decoded by `zune-jpeg` (pure Rust, SIMD): nokhwa's own decoder is mozjpeg, which is C and under the IJG licence.

use yuv::{BufferStoreMut, YuvConversionMode, YuvPlanarImageMut, YuvRange, YuvStandardMatrix, rgb_to_yuv420};
use zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions};
use zune_jpeg::JpegDecoder;

use crate::raw::PlanesMut;

/// Why a picture was not decoded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its bytes are damaged or cut off.
    #[error("damaged: {0}")]
    Damaged(String),
    /// It is not of the size that was agreed.
    #[error("it is {width}x{height}")]
    Size {
        /// Its width.
        width: usize,
        /// Its height.
        height: usize,
    },
}

/// A decoder, for the memory that it keeps from picture to picture.
#[derive(Debug, Default)]
pub struct Decoder {
    rgb: Vec<u8>,
    whole: Vec<u8>,
}

impl Decoder {
    /// Decodes a picture of the size of `out`. Damaged pictures are refused rather than shown torn.
    ///
    /// # Errors
    ///
    /// Any [`Error`]; `out` is then as it was.
    pub fn decode(&mut self, bytes: &[u8], out: &mut PlanesMut<'_>) -> Result<(), Error> {
        let damaged = |error: zune_jpeg::errors::DecodeErrors| Error::Damaged(error.to_string());
        let bytes = with_tables(trimmed(bytes), &mut self.whole);
        let options = DecoderOptions::default().set_strict_mode(true).jpeg_set_out_colorspace(ColorSpace::RGB);
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
        decoder.decode_headers().map_err(damaged)?;
        let (width, height) = decoder.dimensions().unwrap_or_default();
        if (width, height) != (out.width, out.height) {
            return Err(Error::Size { width, height });
        }
        self.rgb.resize(width * height * 3, 0);
        decoder.decode_into(&mut self.rgb).map_err(damaged)?;
        // Checked above: a JPEG is at most 65,535 samples wide and high.
        let (width, height) = (width as u32, height as u32);
        let mut planes = YuvPlanarImageMut {
            y_plane: BufferStoreMut::Borrowed(out.y),
            y_stride: width,
            u_plane: BufferStoreMut::Borrowed(out.u),
            u_stride: width.div_ceil(2),
            v_plane: BufferStoreMut::Borrowed(out.v),
            v_stride: width.div_ceil(2),
            width,
            height,
        };
        let (range, matrix) = (YuvRange::Limited, YuvStandardMatrix::Bt601);
        rgb_to_yuv420(&mut planes, &self.rgb, width * 3, range, matrix, YuvConversionMode::Balanced)
            .map_err(|error| Error::Damaged(error.to_string()))
    }
}

/// Without the zeros that drivers leave after the end.
fn trimmed(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &bytes[..end]
}

/// The picture with Huffman tables: many webcams leave the standard ones out (as AVI does, but without saying so).
fn with_tables<'a>(bytes: &'a [u8], whole: &'a mut Vec<u8>) -> &'a [u8] {
    let Some(scan) = start_of_scan(bytes) else { return bytes };
    whole.clear();
    whole.extend_from_slice(&bytes[..scan]);
    for (class, counts, symbols) in STANDARD_TABLES {
        whole.extend_from_slice(&[0xFF, 0xC4, 0, (3 + 16 + symbols.len()) as u8, class]);
        whole.extend_from_slice(counts);
        whole.extend_from_slice(symbols);
    }
    whole.extend_from_slice(&bytes[scan..]);
    whole
}

/// Where the scan begins, unless Huffman tables come before it.
fn start_of_scan(bytes: &[u8]) -> Option<usize> {
    let mut at = 2;
    loop {
        let [0xFF, marker, high, low] = *bytes.get(at..at + 4)? else { return None };
        match marker {
            0xC4 => return None,
            0xDA => return Some(at),
            _ => at += 2 + usize::from(u16::from_be_bytes([high, low])),
        }
    }
}

/// ITU-T T.81 annex K.3: class and index, codes of each length, symbols.
const STANDARD_TABLES: [(u8, &[u8; 16], &[u8]); 4] = [
    (0x00, &[0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
    (0x01, &[0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
    (0x10, &[0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7D], &LUMA_SYMBOLS),
    (0x11, &[0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 0x77], &CHROMA_SYMBOLS),
];

#[rustfmt::skip]
const LUMA_SYMBOLS: [u8; 162] = [
    0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07, 0x22, 0x71,
    0x14, 0x32, 0x81, 0x91, 0xA1, 0x08, 0x23, 0x42, 0xB1, 0xC1, 0x15, 0x52, 0xD1, 0xF0, 0x24, 0x33, 0x62, 0x72,
    0x82, 0x09, 0x0A, 0x16, 0x17, 0x18, 0x19, 0x1A, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2A, 0x34, 0x35, 0x36, 0x37,
    0x38, 0x39, 0x3A, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4A, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59,
    0x5A, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6A, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7A, 0x83,
    0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0xA2, 0xA3,
    0xA4, 0xA5, 0xA6, 0xA7, 0xA8, 0xA9, 0xAA, 0xB2, 0xB3, 0xB4, 0xB5, 0xB6, 0xB7, 0xB8, 0xB9, 0xBA, 0xC2, 0xC3,
    0xC4, 0xC5, 0xC6, 0xC7, 0xC8, 0xC9, 0xCA, 0xD2, 0xD3, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8, 0xD9, 0xDA, 0xE1, 0xE2,
    0xE3, 0xE4, 0xE5, 0xE6, 0xE7, 0xE8, 0xE9, 0xEA, 0xF1, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF7, 0xF8, 0xF9, 0xFA,
];

#[rustfmt::skip]
const CHROMA_SYMBOLS: [u8; 162] = [
    0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71, 0x13, 0x22,
    0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xA1, 0xB1, 0xC1, 0x09, 0x23, 0x33, 0x52, 0xF0, 0x15, 0x62, 0x72, 0xD1,
    0x0A, 0x16, 0x24, 0x34, 0xE1, 0x25, 0xF1, 0x17, 0x18, 0x19, 0x1A, 0x26, 0x27, 0x28, 0x29, 0x2A, 0x35, 0x36,
    0x37, 0x38, 0x39, 0x3A, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4A, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58,
    0x59, 0x5A, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6A, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7A,
    0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A,
    0xA2, 0xA3, 0xA4, 0xA5, 0xA6, 0xA7, 0xA8, 0xA9, 0xAA, 0xB2, 0xB3, 0xB4, 0xB5, 0xB6, 0xB7, 0xB8, 0xB9, 0xBA,
    0xC2, 0xC3, 0xC4, 0xC5, 0xC6, 0xC7, 0xC8, 0xC9, 0xCA, 0xD2, 0xD3, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8, 0xD9, 0xDA,
    0xE2, 0xE3, 0xE4, 0xE5, 0xE6, 0xE7, 0xE8, 0xE9, 0xEA, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF7, 0xF8, 0xF9, 0xFA,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Picture;

    /// Grey, 16x8, 4:2:2, without Huffman tables: two blocks of luma and one of each chroma, all coefficients zero.
    fn grey() -> Vec<u8> {
        let mut bytes = vec![0xFF, 0xD8, 0xFF, 0xDB, 0, 67, 0];
        bytes.extend([8; 64]);
        bytes.extend([0xFF, 0xC0, 0, 17, 8, 0, 8, 0, 16, 3, 1, 0x21, 0, 2, 0x11, 0, 3, 0x11, 0]);
        bytes.extend([0xFF, 0xDA, 0, 12, 3, 1, 0x00, 2, 0x11, 3, 0x11, 0, 63, 0]);
        // Luma: no difference (00), no more (1010), twice; chroma: 00 00, twice; filled up with ones.
        bytes.extend([0b0010_1000, 0b1010_0000, 0b0000_1111, 0xFF, 0xD9]);
        bytes
    }

    fn decode(bytes: &[u8], size: (u32, u32)) -> Result<Picture, Error> {
        let mut picture = Picture::new(size.0, size.1);
        Decoder::default().decode(bytes, &mut PlanesMut::of(&mut picture)).map(|()| picture)
    }

    #[test]
    fn a_picture_without_tables_and_with_zeros_behind_it_is_decoded() {
        let mut bytes = grey();
        bytes.resize(bytes.len() + 100, 0);
        let picture = decode(&bytes, (16, 8)).expect("whole");
        assert!(picture.y.iter().all(|y| y.abs_diff(126) <= 1), "{:?}", picture.y);
        assert!(picture.u.iter().chain(&picture.v).all(|chroma| chroma.abs_diff(128) <= 1));
    }

    #[test]
    fn another_size_is_refused_before_memory_is_taken_for_it() {
        let mut bytes = grey();
        assert!(matches!(decode(&bytes, (32, 8)), Err(Error::Size { width: 16, height: 8 })));
        let size = bytes.windows(2).position(|marker| marker == [0xFF, 0xC0]).expect("a frame's head") + 5;
        bytes[size..size + 4].fill(0xFF);
        assert!(decode(&bytes, (16, 8)).is_err());
    }

    #[test]
    fn nothing_that_is_cut_off_or_changed_panics() {
        let whole = grey();
        for end in 0..whole.len() {
            let _refused_or_not = decode(&whole[..end], (16, 8));
            for value in [0, 1, 0x7F, 0xC4, 0xDA, 0xFF] {
                let mut changed = whole.clone();
                changed[end] = value;
                let _refused_or_not = decode(&changed, (16, 8));
            }
        }
        assert!(decode(&whole[..whole.len() / 2], (16, 8)).is_err());
    }
}
