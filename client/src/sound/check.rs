//! Before a call: say something, hear it back. Pure; its driver feeds captured blocks and plays what it gives.

use super::{BLOCK_SAMPLES, Samples, level::Meter};

/// How long is recorded, in blocks: 4 s, a sentence.
const RECORDED: usize = 400;

/// Below this peak nothing was said, or the microphone is off, in dB relative to full scale: 10 dB above a quiet
/// room through a laptop's microphone.
const HEARD_DB: f32 = -45.0;

/// What a check is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Speak now.
    Recording,
    /// It is being played back.
    Playing,
    /// It was played back: was it heard?
    Done,
    /// Nothing came from the microphone but silence.
    NothingHeard,
}

/// A recording that is played back.
#[derive(Debug)]
pub struct Check {
    samples: Vec<f32>,
    played: usize,
    meter: Meter,
    loudest_db: f32,
}

impl Default for Check {
    fn default() -> Self {
        let samples = Vec::with_capacity(RECORDED * BLOCK_SAMPLES);
        Self { samples, played: 0, meter: Meter::default(), loudest_db: f32::NEG_INFINITY }
    }
}

impl Check {
    /// Takes what the microphone gave.
    pub fn record(&mut self, block: &Samples) {
        if self.state() == State::Recording {
            self.samples.extend_from_slice(block);
            self.meter.measure(block);
            self.loudest_db = self.loudest_db.max(self.meter.peak_db());
        }
    }

    /// Gives what the speaker is to play; silence when there is nothing.
    pub fn play(&mut self, block: &mut Samples) {
        block.fill(0.0);
        if self.state() == State::Playing
            && let Some(samples) = self.samples.get(self.played..self.played + BLOCK_SAMPLES)
        {
            block.copy_from_slice(samples);
            self.played += BLOCK_SAMPLES;
        }
    }

    /// What it is at.
    pub fn state(&self) -> State {
        if self.samples.len() < RECORDED * BLOCK_SAMPLES {
            State::Recording
        } else if self.loudest_db < HEARD_DB {
            State::NothingHeard
        } else if self.played < self.samples.len() {
            State::Playing
        } else {
            State::Done
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_comes_back() {
        let mut check = Check::default();
        let mut block = [0.0; BLOCK_SAMPLES];
        for n in 0..RECORDED {
            assert_eq!(check.state(), State::Recording);
            check.play(&mut block);
            assert_eq!(block[0], 0.0);
            check.record(&[n as f32 / 1_000.0; BLOCK_SAMPLES]);
        }
        for n in 0..RECORDED {
            assert_eq!(check.state(), State::Playing);
            check.play(&mut block);
            assert_eq!(block[7], n as f32 / 1_000.0);
        }
        assert_eq!(check.state(), State::Done);
    }

    #[test]
    fn a_microphone_that_is_off_is_told() {
        let mut check = Check::default();
        for _ in 0..RECORDED {
            check.record(&[0.001; BLOCK_SAMPLES]);
        }
        assert_eq!(check.state(), State::NothingHeard);
    }
}
