//! Between [`Picture`] and packed RGB: the first step after a camera, the last before a window.
//!
//! BT.601, limited range, both ways: what webcams deliver and what H.264 without a colour description is taken
//! to be. The arithmetic is the `yuv` crate's (SIMD).

use yuv::{
    BufferStoreMut, YuvConversionMode, YuvPlanarImage, YuvPlanarImageMut, YuvRange, YuvStandardMatrix, rgb_to_yuv420,
    yuv420_to_rgba,
};

use crate::Picture;

/// The buffer given does not fit the picture.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
#[error("a {width}x{height} picture does not fit a buffer of {bytes} bytes")]
pub struct WrongLength {
    /// Width of the picture.
    pub width: u32,
    /// Height of the picture.
    pub height: u32,
    /// Length of the buffer.
    pub bytes: usize,
}

/// Converts `picture` to RGBA, 4 bytes a sample, rows without padding, alpha 255.
///
/// # Errors
///
/// [`WrongLength`] when `out` is not `width * height * 4` bytes or the picture's planes do not fit its size.
pub fn to_rgba(picture: &Picture, out: &mut [u8]) -> Result<(), WrongLength> {
    let wrong = WrongLength { width: picture.width, height: picture.height, bytes: out.len() };
    if out.len() != picture.width as usize * picture.height as usize * 4 || !picture.is_consistent() {
        return Err(wrong);
    }
    let planes = YuvPlanarImage {
        y_plane: &picture.y,
        y_stride: picture.width,
        u_plane: &picture.u,
        u_stride: picture.chroma_width(),
        v_plane: &picture.v,
        v_stride: picture.chroma_width(),
        width: picture.width,
        height: picture.height,
    };
    yuv420_to_rgba(&planes, out, picture.width * 4, YuvRange::Limited, YuvStandardMatrix::Bt601).map_err(|_| wrong)
}

/// Converts packed RGB, 3 bytes a sample, rows without padding, to `out`, which becomes `width` x `height`.
///
/// # Errors
///
/// [`WrongLength`] when `rgb` is not `width * height * 3` bytes.
pub fn from_rgb(rgb: &[u8], width: u32, height: u32, out: &mut Picture) -> Result<(), WrongLength> {
    let wrong = WrongLength { width, height, bytes: rgb.len() };
    if rgb.len() != width as usize * height as usize * 3 || width == 0 || height == 0 {
        return Err(wrong);
    }
    out.resize(width, height);
    let chroma_width = out.chroma_width();
    let mut planes = YuvPlanarImageMut {
        y_plane: BufferStoreMut::Borrowed(&mut out.y),
        y_stride: width,
        u_plane: BufferStoreMut::Borrowed(&mut out.u),
        u_stride: chroma_width,
        v_plane: BufferStoreMut::Borrowed(&mut out.v),
        v_stride: chroma_width,
        width,
        height,
    };
    let mode = YuvConversionMode::Balanced;
    rgb_to_yuv420(&mut planes, rgb, width * 3, YuvRange::Limited, YuvStandardMatrix::Bt601, mode).map_err(|_| wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_survive_the_way_there_and_back() {
        for colour in [[0, 0, 0], [255, 255, 255], [200, 30, 40], [20, 180, 60], [30, 40, 220]] {
            for (width, height) in [(16, 16), (17, 15)] {
                let rgb: Vec<u8> = colour.iter().copied().cycle().take(width * height * 3).collect();
                let mut picture = Picture::new(0, 0);
                from_rgb(&rgb, width as u32, height as u32, &mut picture).expect("fits");
                let mut rgba = vec![0; width * height * 4];
                to_rgba(&picture, &mut rgba).expect("fits");
                for pixel in rgba.chunks(4) {
                    assert_eq!(pixel[3], 255);
                    for (got, want) in pixel.iter().zip(colour) {
                        assert!(got.abs_diff(want) <= 4, "{pixel:?} for {colour:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn buffers_that_do_not_fit_are_refused() {
        let picture = Picture::new(16, 16);
        assert!(to_rgba(&picture, &mut [0; 16 * 16 * 4 - 1]).is_err());
        assert!(from_rgb(&[0; 5], 2, 1, &mut Picture::new(0, 0)).is_err());
    }
}
