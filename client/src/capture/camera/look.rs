//! A glance at each picture: is it black, is it the one before? Pure.
//!
//! One sample in 64 is looked at: 14,400 at 720p. A sensor's noise changes some of those in every frame, so a picture
//! that is exactly the one before comes from no lens.

use serde::{Deserialize, Serialize};

/// What a glance saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// Nearly every sample is darker than anything a lens sees in a lit room.
    pub black: bool,
    /// Equal for equal pictures.
    pub digest: u64,
}

/// Luma up to here is black: 16 is, and a covered sensor's noise adds a few.
const BLACK: u8 = 24;

/// One sample in this many may be brighter: hot pixels, a logo's edge.
const BRIGHT_SHARE: usize = 200;

impl Look {
    /// Glances at a luma plane.
    #[must_use]
    pub fn at(luma: &[u8], width: usize) -> Self {
        let (mut bright, mut count, mut digest) = (0, 0, FNV_OFFSET);
        for row in luma.chunks_exact(width.max(1)).step_by(8) {
            for sample in row.iter().step_by(8) {
                count += 1;
                bright += usize::from(*sample > BLACK);
                digest = (digest ^ u64::from(*sample)).wrapping_mul(FNV_PRIME);
            }
        }
        Self { black: bright * BRIGHT_SHARE <= count, digest }
    }
}

/// FNV-1a, 64 bits.
const FNV_OFFSET: u64 = 0xCBF2_9CE4_8422_2325;
const FNV_PRIME: u64 = 0x100_0000_01B3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn black_is_black_with_noise_and_dim_is_not() {
        let noisy: Vec<u8> = (0..64 * 64).map(|at| 16 + (at % 7) as u8).collect();
        assert!(Look::at(&noisy, 64).black);
        let dim: Vec<u8> = (0..64 * 64).map(|at| 16 + (at % 64) as u8 / 4).collect();
        assert!(!Look::at(&dim, 64).black);
    }

    #[test]
    fn a_changed_sample_changes_the_digest() {
        let mut picture = vec![100; 64 * 64];
        let before = Look::at(&picture, 64);
        assert_eq!(Look::at(&picture, 64), before);
        picture[8] = 101;
        assert_ne!(Look::at(&picture, 64), before);
    }
}
