//! What these cameras see: cells of 8x8 samples that move, and the frame's number.
//!
//! The first 16 cells of the top row are the bits of the frame number, lowest first: bright is one. Every other cell's
//! luma moves with the number. Chroma is constant in each half, so that swapped or shifted planes show: (90, 170) left
//! of the middle, (170, 90) right of it, in steps of 16 samples. All of it in BT.601 limited range.

use crate::{device::Format, jpeg};

/// Picture `number` of a size.
#[derive(Debug, Clone, Copy)]
pub struct Scene {
    pub width: u32,
    pub height: u32,
    pub number: u32,
    /// Nothing but black.
    pub black: bool,
}

impl Scene {
    /// Luma of the cell at `column`, `row`.
    pub fn luma(&self, column: u32, row: u32) -> u8 {
        if self.black {
            return 16;
        }
        if row == 0 && column < 16 {
            return if self.number >> column & 1 == 1 { 220 } else { 30 };
        }
        // At most 40 + 159.
        40 + (column.wrapping_mul(7).wrapping_add(row.wrapping_mul(5)).wrapping_add(self.number.wrapping_mul(3))
            % 160) as u8
    }

    /// Blue and red difference at a chroma cell of 16 luma samples' width.
    pub fn chroma(&self, column: u32) -> (u8, u8) {
        match self.black {
            true => (128, 128),
            false if column * 16 < self.width / 2 => (90, 170),
            false => (170, 90),
        }
    }

    /// The bytes of the picture, `padding` of them after each row of each plane.
    pub fn draw(&self, format: Format, padding: usize) -> Vec<u8> {
        let (width, height) = (self.width as usize, self.height as usize);
        let (chroma_width, chroma_height) = (width.div_ceil(2), height.div_ceil(2));
        let mut out = Vec::new();
        match format {
            Format::Mjpeg => return jpeg::encode(self, true),
            Format::Yuyv => rows(&mut out, height, 8, padding, |cell| {
                (0..chroma_width)
                    .flat_map(|pair| {
                        let (u, v) = self.chroma(pair as u32 / 8);
                        let second = (2 * pair + 1).min(width - 1);
                        [self.luma(pair as u32 / 4, cell), u, self.luma(second as u32 / 8, cell), v]
                    })
                    .collect()
            }),
            Format::Grey => self.luma_plane(&mut out, padding),
            Format::Rgb3 => rows(&mut out, height, 8, padding, |cell| {
                (0..width as u32)
                    .flat_map(|x| {
                        let (u, v) = self.chroma(x / 16);
                        rgb(self.luma(x / 8, cell), u, v)
                    })
                    .collect()
            }),
            Format::Nv12 => {
                self.luma_plane(&mut out, padding);
                rows(&mut out, chroma_height, chroma_height, padding, |_| {
                    (0..chroma_width).flat_map(|x| <[u8; 2]>::from(self.chroma(x as u32 / 8))).collect()
                });
            }
            Format::Yu12 => {
                self.luma_plane(&mut out, padding);
                // V4L2 halves the luma stride for the chroma planes.
                let rest = (width + padding) / 2 - width / 2;
                let rest = rest.saturating_sub(width % 2);
                rows(&mut out, chroma_height, chroma_height, rest, |_| {
                    (0..chroma_width).map(|x| self.chroma(x as u32 / 8).0).collect()
                });
                rows(&mut out, chroma_height, chroma_height, rest, |_| {
                    (0..chroma_width).map(|x| self.chroma(x as u32 / 8).1).collect()
                });
            }
        }
        out
    }

    fn luma_plane(&self, out: &mut Vec<u8>, padding: usize) {
        rows(out, self.height as usize, 8, padding, |cell| (0..self.width).map(|x| self.luma(x / 8, cell)).collect());
    }
}

/// Appends `height` rows, of which each `same` are alike; the padding is garbage, as it is in life.
fn rows(out: &mut Vec<u8>, height: usize, same: usize, padding: usize, draw: impl Fn(u32) -> Vec<u8>) {
    for first in (0..height).step_by(same.max(1)) {
        let mut row = draw((first / same.max(1)) as u32);
        row.resize(row.len() + padding, 0xA5);
        for _ in first..height.min(first + same) {
            out.extend_from_slice(&row);
        }
    }
}

/// BT.601, limited range, to full-range RGB.
fn rgb(y: u8, u: u8, v: u8) -> [u8; 3] {
    let (y, u, v) = (1.164 * (f32::from(y) - 16.0), f32::from(u) - 128.0, f32::from(v) - 128.0);
    [y + 1.596 * v, y - 0.392 * u - 0.813 * v, y + 2.017 * u].map(|value| value.clamp(0.0, 255.0) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_has_the_bytes_that_its_size_and_padding_ask_for() {
        let scene = Scene { width: 35, height: 17, number: 5, black: false };
        assert_eq!(scene.draw(Format::Yuyv, 0).len(), 36 * 2 * 17);
        assert_eq!(scene.draw(Format::Grey, 3).len(), 38 * 17);
        assert_eq!(scene.draw(Format::Rgb3, 1).len(), (35 * 3 + 1) * 17);
        assert_eq!(scene.draw(Format::Nv12, 0).len(), 35 * 17 + 36 * 9);
        assert_eq!(scene.draw(Format::Yu12, 0).len(), 35 * 17 + 2 * 18 * 9);
    }
}
