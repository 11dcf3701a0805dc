//! How alike two pictures are. For tests and the bench; not on the way of a frame.
//!
//! SSIM here is the mean over 8x8 windows of luma, stepping 4 samples both ways, with the constants of Wang et
//! al., "Image quality assessment: from error visibility to structural similarity" (2004): K1 = 0.01, K2 = 0.03,
//! L = 255, population variances. x264 and ffmpeg's `ssim` filter use the same windows, so figures compare.

use crate::Picture;

/// Mean SSIM of the luma planes, -1..=1; 1 means identical.
///
/// # Panics
///
/// When the sizes differ or either side is under 8 samples: the comparison would mean nothing.
#[must_use]
pub fn ssim_luma(a: &Picture, b: &Picture) -> f64 {
    const WINDOW: usize = 8;
    const STEP: usize = 4;
    assert_same_shape(a, b);
    let (width, height) = (a.width as usize, a.height as usize);
    assert!(width >= WINDOW && height >= WINDOW, "SSIM needs at least {WINDOW}x{WINDOW} samples");
    let (mut sum, mut windows) = (0.0, 0u64);
    for top in (0..=height - WINDOW).step_by(STEP) {
        for left in (0..=width - WINDOW).step_by(STEP) {
            let mut totals = Totals::default();
            for row in top..top + WINDOW {
                let at = row * width + left;
                totals.add(&a.y[at..at + WINDOW], &b.y[at..at + WINDOW]);
            }
            sum += totals.ssim((WINDOW * WINDOW) as f64);
            windows += 1;
        }
    }
    sum / windows as f64
}

/// Peak signal-to-noise ratio of the luma planes in decibels; infinite for identical pictures.
///
/// # Panics
///
/// When the sizes differ.
#[must_use]
pub fn psnr_luma(a: &Picture, b: &Picture) -> f64 {
    assert_same_shape(a, b);
    let squares: u64 = a.y.iter().zip(&b.y).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum();
    let mean = squares as f64 / a.y.len().max(1) as f64;
    10.0 * (255.0 * 255.0 / mean).log10()
}

fn assert_same_shape(a: &Picture, b: &Picture) {
    assert_eq!((a.width, a.height), (b.width, b.height), "pictures of different sizes cannot be compared");
    assert!(a.is_consistent() && b.is_consistent(), "the planes must fit the size");
}

#[derive(Default)]
struct Totals {
    a: u32,
    b: u32,
    aa: u32,
    bb: u32,
    ab: u32,
}

impl Totals {
    fn add(&mut self, a: &[u8], b: &[u8]) {
        for (&a, &b) in a.iter().zip(b) {
            let (a, b) = (u32::from(a), u32::from(b));
            self.a += a;
            self.b += b;
            self.aa += a * a;
            self.bb += b * b;
            self.ab += a * b;
        }
    }

    fn ssim(&self, count: f64) -> f64 {
        const C1: f64 = (0.01 * 255.0) * (0.01 * 255.0);
        const C2: f64 = (0.03 * 255.0) * (0.03 * 255.0);
        let (mean_a, mean_b) = (f64::from(self.a) / count, f64::from(self.b) / count);
        let variance_a = f64::from(self.aa) / count - mean_a * mean_a;
        let variance_b = f64::from(self.bb) / count - mean_b * mean_b;
        let covariance = f64::from(self.ab) / count - mean_a * mean_b;
        let luminance = (2.0 * mean_a * mean_b + C1) / (mean_a * mean_a + mean_b * mean_b + C1);
        luminance * (2.0 * covariance + C2) / (variance_a + variance_b + C2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::Scene;

    #[test]
    fn identical_pictures_are_perfect_and_damage_lowers_both_measures() {
        let mut picture = Picture::new(64, 48);
        Scene::new(64, 48, 1).render(0, &mut picture);
        assert!((ssim_luma(&picture, &picture) - 1.0).abs() < 1e-12);
        assert!(psnr_luma(&picture, &picture).is_infinite());
        let mut slightly = picture.clone();
        slightly.y.iter_mut().step_by(7).for_each(|y| *y ^= 4);
        let mut badly = picture.clone();
        badly.y.iter_mut().step_by(2).for_each(|y| *y ^= 64);
        assert!(ssim_luma(&picture, &badly) < ssim_luma(&picture, &slightly));
        assert!(ssim_luma(&picture, &slightly) < 1.0);
        assert!(psnr_luma(&picture, &badly) < psnr_luma(&picture, &slightly));
    }

    #[test]
    fn a_shift_of_one_level_everywhere_is_48_decibels() {
        let grey = Picture::new(16, 16);
        let mut lighter = grey.clone();
        lighter.y.iter_mut().for_each(|y| *y += 1);
        assert!((psnr_luma(&grey, &lighter) - 48.13).abs() < 0.01);
    }
}
