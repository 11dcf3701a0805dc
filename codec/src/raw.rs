//! From the layouts that cameras deliver to planar 4:2:0.
//!
//! The `yuv` crate does RGB, and YUYV as far as it goes: it leaves out the last row of an odd height, and one whose
//! padding is missing. It has no way from NV12 or GREY; those are copied in loops that the compiler vectorises.

use yuv::{
    BufferStoreMut, YuvConversionMode, YuvPackedImage, YuvPlanarImageMut, YuvRange, YuvStandardMatrix, bgr_to_yuv420,
    rgb_to_yuv420, yuyv422_to_yuv420,
};

use crate::Picture;

/// How a camera lays out uncompressed samples. Four-letter names as in V4L2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layout {
    /// YUYV: 4:2:2, two samples in four bytes.
    Yuyv,
    /// NV12: luma plane, then one plane of blue and red differences in turns.
    Nv12,
    /// YU12, also called I420: three planes.
    Yu12,
    /// GREY: luma alone.
    Grey,
    /// RGB3: red, green, blue.
    Rgb,
    /// BGR3: blue, green, red.
    Bgr,
}

impl Layout {
    /// Bytes of one row of the first plane, without padding.
    #[must_use]
    pub const fn row_bytes(self, width: usize) -> usize {
        match self {
            Self::Yuyv => width.div_ceil(2) * 4,
            Self::Nv12 | Self::Yu12 | Self::Grey => width,
            Self::Rgb | Self::Bgr => width * 3,
        }
    }
}

/// The planes of a picture somewhere in memory, for instance shared with another process.
#[derive(Debug)]
pub struct PlanesMut<'a> {
    /// Width in luma samples.
    pub width: usize,
    /// Height in luma samples.
    pub height: usize,
    /// As [`Picture::y`].
    pub y: &'a mut [u8],
    /// As [`Picture::u`].
    pub u: &'a mut [u8],
    /// As [`Picture::v`].
    pub v: &'a mut [u8],
}

impl<'a> PlanesMut<'a> {
    /// The bytes that the three planes of this size take together.
    #[must_use]
    pub const fn bytes(width: usize, height: usize) -> usize {
        width * height + 2 * width.div_ceil(2) * height.div_ceil(2)
    }

    /// The three planes, one after the other, at the beginning of `bytes`; `None` if they do not fit.
    #[must_use]
    pub fn within(bytes: &'a mut [u8], width: usize, height: usize) -> Option<Self> {
        let chroma = width.div_ceil(2) * height.div_ceil(2);
        let (y, rest) = bytes.split_at_mut_checked(width * height)?;
        let (u, rest) = rest.split_at_mut_checked(chroma)?;
        let (v, _) = rest.split_at_mut_checked(chroma)?;
        Some(Self { width, height, y, u, v })
    }

    /// The planes of a picture.
    #[must_use]
    pub fn of(picture: &'a mut Picture) -> Self {
        let Picture { width, height, y, u, v } = picture;
        Self { width: *width as usize, height: *height as usize, y, u, v }
    }
}

/// The camera delivered fewer bytes than its picture has, or a row that is shorter than its samples.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
#[error("{bytes} bytes in rows of {stride} are too few for a {layout:?} picture of {width}x{height}")]
pub struct TooShort {
    layout: Layout,
    width: usize,
    height: usize,
    stride: usize,
    bytes: usize,
}

/// Converts a camera's picture of the size of `out`. `stride` is the distance of rows in bytes, as the driver tells it
/// (`bytesperline`); the chroma planes of YU12 have half of it. The last row need not be padded.
///
/// # Errors
///
/// [`TooShort`]; `out` is then partly written.
pub fn convert(layout: Layout, bytes: &[u8], stride: usize, out: &mut PlanesMut<'_>) -> Result<(), TooShort> {
    let (width, height) = (out.width, out.height);
    let short = TooShort { layout, width, height, stride, bytes: bytes.len() };
    if width == 0 || height == 0 || stride < layout.row_bytes(width) {
        return Err(short);
    }
    let (chroma_width, chroma_height) = (width.div_ceil(2), height.div_ceil(2));
    match layout {
        Layout::Yuyv => yuyv(bytes, stride, out).ok_or(short),
        Layout::Grey => {
            out.u.fill(128);
            out.v.fill(128);
            plane(bytes, stride, width, height, out.y).ok_or(short)
        }
        Layout::Nv12 => (|| {
            plane(bytes, stride, width, height, out.y)?;
            let pairs = bytes.get(stride * height..)?;
            // Drivers with odd widths round the row of pairs up.
            let stride = stride.max(2 * chroma_width);
            let targets = out.u.chunks_exact_mut(chroma_width).zip(out.v.chunks_exact_mut(chroma_width));
            for (row, (u, v)) in (0..chroma_height).zip(targets) {
                let pairs = pairs.get(row * stride..row * stride + 2 * chroma_width)?;
                for ((u, v), pair) in u.iter_mut().zip(v).zip(pairs.as_chunks::<2>().0) {
                    [*u, *v] = *pair;
                }
            }
            Some(())
        })()
        .ok_or(short),
        Layout::Yu12 => (|| {
            plane(bytes, stride, width, height, out.y)?;
            let chroma_stride = (stride / 2).max(chroma_width);
            let blue = bytes.get(stride * height..)?;
            plane(blue, chroma_stride, chroma_width, chroma_height, out.u)?;
            plane(blue.get(chroma_stride * chroma_height..)?, chroma_stride, chroma_width, chroma_height, out.v)
        })()
        .ok_or(short),
        Layout::Rgb | Layout::Bgr => rgb(layout, bytes, stride, out).ok_or(short),
    }
}

/// Copies rows of `width` bytes.
fn plane(bytes: &[u8], stride: usize, width: usize, height: usize, out: &mut [u8]) -> Option<()> {
    if stride == width {
        out.copy_from_slice(bytes.get(..width * height)?);
        return Some(());
    }
    for (row, out) in (0..height).zip(out.chunks_exact_mut(width)) {
        out.copy_from_slice(bytes.get(row * stride..row * stride + width)?);
    }
    Some(())
}

/// Pairs of rows: by the `yuv` crate as many as it takes (three times as fast), the rest one by one.
fn yuyv(bytes: &[u8], stride: usize, out: &mut PlanesMut<'_>) -> Option<()> {
    let (width, chroma_width) = (out.width, out.width.div_ceil(2));
    let pairs = (bytes.len() / stride).min(out.height) / 2;
    if pairs > 0 {
        let (luma, chroma) = (2 * pairs * width, pairs * chroma_width);
        let rows = u32::try_from(2 * pairs).ok()?;
        let packed = YuvPackedImage {
            yuy: &bytes[..2 * pairs * stride],
            yuy_stride: u32::try_from(stride).ok()?,
            width: u32::try_from(width).ok()?,
            height: rows,
        };
        let mut planes = YuvPlanarImageMut {
            y_plane: BufferStoreMut::Borrowed(&mut out.y[..luma]),
            y_stride: packed.width,
            u_plane: BufferStoreMut::Borrowed(&mut out.u[..chroma]),
            u_stride: packed.width.div_ceil(2),
            v_plane: BufferStoreMut::Borrowed(&mut out.v[..chroma]),
            v_stride: packed.width.div_ceil(2),
            width: packed.width,
            height: rows,
        };
        yuyv422_to_yuv420(&mut planes, &packed).ok()?;
    }
    yuyv_from(pairs, bytes, stride, out)
}

/// The pairs of rows from the `first` on; their chroma is averaged.
fn yuyv_from(first: usize, bytes: &[u8], stride: usize, out: &mut PlanesMut<'_>) -> Option<()> {
    let (width, height, chroma_width) = (out.width, out.height, out.width.div_ceil(2));
    let row_at = |row: usize| bytes.get(row * stride..row * stride + 4 * chroma_width);
    let chroma = out.u.chunks_exact_mut(chroma_width).zip(out.v.chunks_exact_mut(chroma_width));
    for ((pair, y), (u, v)) in out.y.chunks_mut(2 * width).enumerate().zip(chroma).skip(first) {
        let upper = row_at(2 * pair)?;
        let lower = row_at((2 * pair + 1).min(height - 1))?;
        for (y, row) in y.chunks_exact_mut(width).zip([upper, lower]) {
            for (y, sample) in y.iter_mut().zip(row.as_chunks::<2>().0) {
                *y = sample[0];
            }
        }
        for ((u, v), (upper, lower)) in
            u.iter_mut().zip(v).zip(upper.as_chunks::<4>().0.iter().zip(lower.as_chunks::<4>().0))
        {
            *u = upper[1].midpoint(lower[1]);
            *v = upper[3].midpoint(lower[3]);
        }
    }
    Some(())
}

fn rgb(layout: Layout, bytes: &[u8], stride: usize, out: &mut PlanesMut<'_>) -> Option<()> {
    let whole = stride * (out.height - 1) + out.width * 3;
    let bytes = bytes.get(..(stride * out.height).min(bytes.len())).filter(|bytes| bytes.len() >= whole)?;
    let size = |value: usize| u32::try_from(value).ok();
    let chroma_width = size(out.width.div_ceil(2))?;
    let (width, height) = (size(out.width)?, size(out.height)?);
    let mut planes = YuvPlanarImageMut {
        y_plane: BufferStoreMut::Borrowed(out.y),
        y_stride: width,
        u_plane: BufferStoreMut::Borrowed(out.u),
        u_stride: chroma_width,
        v_plane: BufferStoreMut::Borrowed(out.v),
        v_stride: chroma_width,
        width,
        height,
    };
    let convert = if layout == Layout::Rgb { rgb_to_yuv420 } else { bgr_to_yuv420 };
    let (range, matrix) = (YuvRange::Limited, YuvStandardMatrix::Bt601);
    convert(&mut planes, bytes, size(stride)?, range, matrix, YuvConversionMode::Balanced).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Luma 40 + x + y, chroma 90 and 170, rows padded with garbage.
    fn camera(layout: Layout, width: usize, height: usize, padding: usize) -> (Vec<u8>, usize) {
        let luma = |x: usize, y: usize| (40 + x + y) as u8;
        let stride = layout.row_bytes(width) + padding;
        let mut bytes = Vec::new();
        for y in 0..height {
            for x in 0..layout.row_bytes(width) {
                bytes.push(match layout {
                    Layout::Yuyv if x % 2 == 0 => luma((x / 2).min(width - 1), y),
                    Layout::Yuyv => [90, 170][x / 2 % 2],
                    Layout::Rgb | Layout::Bgr => 128,
                    _ => luma(x, y),
                });
            }
            bytes.resize(bytes.len() + padding, 0xA5);
        }
        for _ in 0..height.div_ceil(2) {
            match layout {
                Layout::Nv12 => {
                    bytes.extend([90, 170].repeat(width.div_ceil(2)));
                    bytes.resize(bytes.len() + stride.saturating_sub(width.div_ceil(2) * 2), 0xA5);
                }
                Layout::Yu12 => bytes.resize(bytes.len() + (stride / 2).max(width.div_ceil(2)), 90),
                _ => {}
            }
        }
        if layout == Layout::Yu12 {
            bytes.resize(bytes.len() + (stride / 2).max(width.div_ceil(2)) * height.div_ceil(2), 170);
        }
        (bytes, stride)
    }

    #[test]
    fn every_layout_comes_out_the_same_at_any_size_and_stride() {
        for layout in [Layout::Yuyv, Layout::Nv12, Layout::Yu12, Layout::Grey] {
            for (width, height) in [(64, 48), (34, 18), (33, 17), (1, 1)] {
                for padding in [0, 32] {
                    let (bytes, stride) = camera(layout, width, height, padding);
                    let mut picture = Picture::new(width as u32, height as u32);
                    convert(layout, &bytes, stride, &mut PlanesMut::of(&mut picture)).expect("fits");
                    let chroma = if layout == Layout::Grey { (128, 128) } else { (90, 170) };
                    for (at, y) in picture.y.iter().enumerate() {
                        assert_eq!(*y, (40 + at % width + at / width) as u8, "{layout:?} {width}x{height}+{padding}");
                    }
                    assert!(picture.u.iter().all(|u| *u == chroma.0), "{layout:?} {width}x{height}+{padding}");
                    assert!(picture.v.iter().all(|v| *v == chroma.1), "{layout:?} {width}x{height}+{padding}");
                }
            }
        }
    }

    #[test]
    fn grey_in_rgb_is_grey_at_any_size_and_stride() {
        for layout in [Layout::Rgb, Layout::Bgr] {
            for (width, height) in [(64, 48), (33, 17)] {
                let (bytes, stride) = camera(layout, width, height, 7);
                let mut picture = Picture::new(width as u32, height as u32);
                convert(layout, &bytes, stride, &mut PlanesMut::of(&mut picture)).expect("fits");
                assert!(picture.y.iter().all(|y| y.abs_diff(126) <= 1), "{layout:?} {width}x{height}");
                assert!(picture.u.iter().chain(&picture.v).all(|c| c.abs_diff(128) <= 1));
            }
        }
    }

    #[test]
    fn missing_bytes_are_an_error() {
        for layout in [Layout::Yuyv, Layout::Nv12, Layout::Yu12, Layout::Grey, Layout::Rgb] {
            let (bytes, stride) = camera(layout, 33, 17, 0);
            let mut picture = Picture::new(33, 17);
            let half = &bytes[..bytes.len() / 2];
            assert!(convert(layout, half, stride, &mut PlanesMut::of(&mut picture)).is_err(), "{layout:?}");
            assert!(convert(layout, &bytes, 3, &mut PlanesMut::of(&mut picture)).is_err(), "{layout:?}");
        }
    }
}
