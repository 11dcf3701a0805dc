//! How loud it is, for a meter that people read. Pure.

use super::Samples;

/// What the meter calls silence, in dB below full scale.
pub const FLOOR_DB: f32 = -60.0;

/// How fast the bar falls, in dB a block: 20 dB a second, as the eye follows (IEC 60268-10 type I falls 20 dB in
/// 1.7 s, made for music).
const FALL_DB: f32 = 0.2;

/// How long the peak mark stays, in blocks: 1 s.
const HOLD_BLOCKS: u32 = 100;

/// A level meter.
#[derive(Debug, Clone, Copy)]
pub struct Meter {
    level_db: f32,
    peak_db: f32,
    held: u32,
    clipped: bool,
}

impl Default for Meter {
    fn default() -> Self {
        Self { level_db: FLOOR_DB, peak_db: FLOOR_DB, held: 0, clipped: false }
    }
}

impl Meter {
    /// Takes a block: rises at once, falls slowly.
    pub fn measure(&mut self, block: &Samples) {
        let power = block.iter().map(|sample| sample * sample).sum::<f32>() / block.len() as f32;
        let peak = block.iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
        self.clipped = peak >= 0.999;
        self.level_db = decibel(power.sqrt()).max(self.level_db - FALL_DB);
        if decibel(peak) >= self.peak_db {
            (self.peak_db, self.held) = (decibel(peak), 0);
        } else if self.held < HOLD_BLOCKS {
            self.held += 1;
        } else {
            self.peak_db = (self.peak_db - FALL_DB).max(FLOOR_DB);
        }
    }

    /// The bar, in dB relative to full scale, [`FLOOR_DB`] to 0.
    pub const fn level_db(&self) -> f32 {
        self.level_db
    }

    /// The peak mark, likewise.
    pub const fn peak_db(&self) -> f32 {
        self.peak_db
    }

    /// The last block touched full scale: the microphone is too loud.
    pub const fn clipped(&self) -> bool {
        self.clipped
    }
}

fn decibel(amplitude: f32) -> f32 {
    (20.0 * amplitude.max(1e-6).log10()).clamp(FLOOR_DB, 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sound::BLOCK_SAMPLES;

    #[test]
    fn it_rises_at_once_and_falls_slowly() {
        let mut meter = Meter::default();
        meter.measure(&[0.1; BLOCK_SAMPLES]);
        assert!((meter.level_db() + 20.0).abs() < 0.01);
        for _ in 0..50 {
            meter.measure(&[0.0; BLOCK_SAMPLES]);
        }
        assert!((meter.level_db() + 30.0).abs() < 0.1);
        assert!((meter.peak_db() + 20.0).abs() < 0.01);
        meter.measure(&[1.0; BLOCK_SAMPLES]);
        assert!(meter.clipped());
    }
}
