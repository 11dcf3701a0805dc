//! Where a picture goes within its widget, and with which colours: pure arithmetic, no GPU.

use bytemuck::{Pod, Zeroable};

/// How a picture of one shape is shown in a widget of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scale {
    /// All of it is seen, with bars beside or above.
    #[default]
    Fit,
    /// The widget is covered, and what stands out is cut off.
    Fill,
}

/// The colour matrix of a picture. Both are limited range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Matrix {
    /// ITU-R BT.601: what webcams deliver, and H.264 without a colour description is taken to be.
    #[default]
    Bt601,
    /// ITU-R BT.709.
    Bt709,
}

/// How a widget shows its picture.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Look {
    /// Fitted or filled.
    pub scale: Scale,
    /// As in a mirror: how people know themselves.
    pub mirrored: bool,
    /// Radius of the corners, in points.
    pub radius: f32,
    /// Colours.
    pub matrix: Matrix,
}

/// Width and height in pixels.
pub type Size = (u32, u32);

/// What the shader is told; the layout is that of `Uniforms` in `video.wgsl`.
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Uniforms {
    matrix: [[f32; 4]; 3],
    half_size: [f32; 2],
    half_viewport: [f32; 2],
    chroma_scale: [f32; 2],
    mirror: f32,
    radius: f32,
    pixel: [f32; 2],
    taps: f32,
    padding: f32,
}

impl Uniforms {
    /// A picture of `picture` pixels in a widget of `widget` pixels of the screen, of which `pixels_per_point` make a
    /// point. Neither size may be zero.
    pub fn new(picture: Size, widget: Size, pixels_per_point: f32, look: Look) -> Self {
        let [picture_size, widget_size] = [picture, widget].map(|(width, height)| [width as f32, height as f32]);
        let ratio = [0, 1].map(|axis| widget_size[axis] / picture_size[axis]);
        let scale = match look.scale {
            Scale::Fit => ratio[0].min(ratio[1]),
            Scale::Fill => ratio[0].max(ratio[1]),
        };
        let odd = |side: u32| side as f32 / (side.div_ceil(2) * 2) as f32;
        Self {
            matrix: look.matrix.rows(),
            half_size: [0, 1].map(|axis| scale / ratio[axis]),
            half_viewport: widget_size.map(|side| side / 2.0),
            chroma_scale: [odd(picture.0), odd(picture.1)],
            mirror: if look.mirrored { -1.0 } else { 1.0 },
            radius: look.radius * pixels_per_point,
            pixel: picture_size.map(|side| 1.0 / (side * scale)),
            // A bilinear sample sees two texels; beyond 8:1 the rest is left to the eye.
            taps: (0.5 / scale).ceil().clamp(1.0, 4.0),
            padding: 0.0,
        }
    }

    /// Whether the shader's cheap variant would be seen to be one.
    pub const fn is_fine(&self) -> bool {
        self.taps > 1.0 || self.radius > 0.0
    }
}

impl Matrix {
    /// Red, green and blue as sums over (y, u, v, 1), for samples in 0..=1.
    fn rows(self) -> [[f32; 4]; 3] {
        // The weights of red and blue in luma: BT.601 section 2.5.1, BT.709 item 3.2.
        let (red, blue) = match self {
            Self::Bt601 => (0.299, 0.114),
            Self::Bt709 => (0.2126, 0.0722),
        };
        let green = 1.0 - red - blue;
        let (luma, chroma) = (255.0 / 219.0, 255.0 / 112.0);
        let row = |of_u: f32, of_v: f32| {
            let (u, v) = (of_u * chroma, of_v * chroma);
            [luma, u, v, -(luma * 16.0 + (u + v) * 128.0) / 255.0]
        };
        [row(0.0, 1.0 - red), row(-(1.0 - blue) * blue / green, -(1.0 - red) * red / green), row(1.0 - blue, 0.0)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(picture: Size, widget: Size, scale: Scale) -> Uniforms {
        Uniforms::new(picture, widget, 1.0, Look { scale, ..Look::default() })
    }

    #[test]
    fn fitting_leaves_bars_and_filling_cuts_off() {
        let fitted = place((1280, 720), (1000, 1000), Scale::Fit);
        assert_eq!(fitted.half_size, [1.0, 0.5625]);
        let filled = place((1280, 720), (900, 900), Scale::Fill);
        assert_eq!(filled.half_size, [16.0 / 9.0, 1.0]);
        assert_eq!(place((1280, 720), (640, 360), Scale::Fit).half_size, [1.0, 1.0]);
    }

    #[test]
    fn more_samples_are_taken_where_the_picture_is_made_smaller() {
        let taps = |widget| place((1280, 720), widget, Scale::Fit).taps;
        assert_eq!(taps((1920, 1080)), 1.0);
        assert_eq!(taps((640, 360)), 1.0);
        assert_eq!(taps((240, 135)), 3.0);
        assert_eq!(taps((16, 9)), 4.0);
    }

    #[test]
    fn chroma_of_odd_sizes_reaches_beyond_the_picture() {
        assert_eq!(place((3, 4), (30, 40), Scale::Fit).chroma_scale, [0.75, 1.0]);
    }

    #[test]
    fn black_white_and_red_come_out_as_such() {
        for (matrix, red) in [(Matrix::Bt601, [81, 90, 240]), (Matrix::Bt709, [63, 102, 240])] {
            for (yuv, rgb) in [([16, 128, 128], [0, 0, 0]), ([235, 128, 128], [255, 255, 255]), (red, [255, 0, 0])] {
                let sample = [yuv[0] as f32 / 255.0, yuv[1] as f32 / 255.0, yuv[2] as f32 / 255.0, 1.0];
                for (row, want) in matrix.rows().iter().zip(rgb) {
                    let got: f32 = row.iter().zip(sample).map(|(weight, value)| weight * value).sum();
                    assert!((got * 255.0 - want as f32).abs() < 2.5, "{matrix:?} {yuv:?}: {got}, not {want}");
                }
            }
        }
    }
}
