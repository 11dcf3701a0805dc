//! The program's sign, for the window's frame and the task bar: two who face each other.

use super::theme::DARK;

/// Pixels across and down.
pub const SIDE: u32 = 64;

/// The sign as rows of red, green, blue and opacity, top row first; [`SIDE`] x [`SIDE`] pixels.
pub fn rgba() -> Vec<u8> {
    let unit = SIDE as f32 / 64.0;
    let mut pixels = Vec::with_capacity((SIDE * SIDE * 4) as usize);
    for row in 0..SIDE {
        for column in 0..SIDE {
            let (x, y) = (column as f32 + 0.5 - SIDE as f32 / 2.0, row as f32 + 0.5 - SIDE as f32 / 2.0);
            let mut color = [DARK.accent.r(), DARK.accent.g(), DARK.accent.b()].map(f32::from);
            // The later one lies on the other.
            for (side, opacity) in [(-1.0, 1.0), (1.0, 0.55)] {
                let cover = coverage((x - side * 9.0 * unit).hypot(y) - 12.0 * unit) * opacity;
                color = color.map(|channel| channel + (255.0 - channel) * cover);
            }
            pixels.extend(color.map(|channel| channel.round() as u8));
            pixels.push((coverage(rounded(x, y, SIDE as f32 / 2.0, 18.0 * unit)) * 255.0).round() as u8);
        }
    }
    pixels
}

/// Distance from a square with rounded corners around the origin; negative within.
fn rounded(x: f32, y: f32, half: f32, radius: f32) -> f32 {
    let (x, y) = (x.abs() - half + radius, y.abs() - half + radius);
    x.max(0.0).hypot(y.max(0.0)) + x.max(y).min(0.0) - radius
}

/// How much of a pixel lies within a shape whose edge is this far from its centre.
const fn coverage(distance: f32) -> f32 {
    (0.5 - distance).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_corners_are_clear_and_two_circles_face_each_other() {
        let pixels = rgba();
        let at = |x: usize, y: usize| &pixels[(y * SIDE as usize + x) * 4..][..4];
        assert_eq!(pixels.len(), (SIDE * SIDE * 4) as usize);
        assert_eq!(at(0, 0)[3], 0);
        assert_eq!(at(17, 32), [255; 4]);
        assert_eq!(at(32, 4), [DARK.accent.r(), DARK.accent.g(), DARK.accent.b(), 255]);
        assert!(at(46, 32)[0] < 255 && at(46, 32)[0] > DARK.accent.r());
    }
}
