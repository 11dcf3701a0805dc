//! What is played beside voices: a tone to try a speaker with, a melody for who is called, and the tone that tells who
//! calls that it rings there. Made here, so that nothing has to be installed. Pure.

use std::f32::consts::TAU;

use super::{SAMPLE_RATE_HZ, Samples};

/// What can be played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tune {
    /// Three notes that nobody takes for a fault, once.
    Test,
    /// Somebody calls: a melody, over and over.
    Incoming,
    /// It rings there: 425 Hz, one second in five, as European exchanges do (ITU-T E.180).
    Outgoing,
}

/// A note's beginning and how it dies away.
struct Note {
    at_ms: u32,
    hertz: f32,
    shape: Shape,
}

enum Shape {
    /// Up in 10 ms, down with a time constant of a quarter of a second.
    Bell,
    /// As loud for so many milliseconds, with edges of 10 ms.
    Steady(u32),
}

struct Score {
    notes: &'static [Note],
    length_ms: u32,
    repeats: bool,
}

const fn bell(at_ms: u32, hertz: f32) -> Note {
    Note { at_ms, hertz, shape: Shape::Bell }
}

/// A C major triad, in the range that every laptop's speaker has.
const TEST: Score =
    Score { notes: &[bell(0, 523.25), bell(250, 659.26), bell(500, 783.99)], length_ms: 1_500, repeats: false };

/// The triad up and down again, in every three seconds.
const INCOMING: Score = Score {
    notes: &[
        bell(0, 523.25),
        bell(180, 659.26),
        bell(360, 783.99),
        bell(540, 1_046.5),
        bell(900, 783.99),
        bell(1_080, 1_046.5),
    ],
    length_ms: 3_000,
    repeats: true,
};

const OUTGOING: Score =
    Score { notes: &[Note { at_ms: 0, hertz: 425.0, shape: Shape::Steady(1_000) }], length_ms: 5_000, repeats: true };

/// A tenth of full scale for each note: heard in a room, no shock in a headset.
const LOUDNESS: f32 = 0.1;

/// How long edges take, in seconds: without, they click.
const EDGE_S: f32 = 0.01;

/// Within so long before its end a score fades out, in seconds.
const FADE_S: f32 = 0.25;

/// A tune as it is played.
#[derive(Debug, Clone, Copy)]
pub struct Tones {
    tune: Tune,
    /// Samples since the score began.
    position: u32,
    over: bool,
}

impl Tones {
    /// From its beginning.
    pub const fn new(tune: Tune) -> Self {
        Self { tune, position: 0, over: false }
    }

    /// Writes the next block; `false` once the tune is over, and the rest of the block is silence.
    pub fn fill(&mut self, block: &mut Samples) -> bool {
        let score = self.tune.score();
        for sample in block.iter_mut() {
            *sample = if self.over { 0.0 } else { score.sample(self.position) };
            self.position += 1;
            if self.position == score.length_ms * PER_MS {
                (self.position, self.over) = (0, !score.repeats);
            }
        }
        !self.over
    }
}

/// Samples in a millisecond.
const PER_MS: u32 = SAMPLE_RATE_HZ / 1_000;

impl Tune {
    const fn score(self) -> &'static Score {
        match self {
            Self::Test => &TEST,
            Self::Incoming => &INCOMING,
            Self::Outgoing => &OUTGOING,
        }
    }
}

impl Score {
    fn sample(&self, position: u32) -> f32 {
        let left_s = (self.length_ms * PER_MS - position) as f32 / SAMPLE_RATE_HZ as f32;
        let end = (left_s / FADE_S).min(1.0);
        let note = |note: &Note| {
            let since = position.checked_sub(note.at_ms * PER_MS)? as f32 / SAMPLE_RATE_HZ as f32;
            let rise = (since / EDGE_S).min(1.0);
            let fall = match note.shape {
                Shape::Bell => (-since / 0.25).exp(),
                Shape::Steady(lasts_ms) => ((lasts_ms as f32 / 1_000.0 - since) / EDGE_S).clamp(0.0, 1.0),
            };
            Some(rise * fall * end * (since * note.hertz * TAU).sin())
        };
        LOUDNESS * self.notes.iter().filter_map(note).sum::<f32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sound::BLOCK_SAMPLES;

    /// Blocks until it is over, at most a minute's; the loudest sample, and the greatest step.
    fn play(tune: Tune) -> (usize, f32, f32) {
        let mut tones = Tones::new(tune);
        let mut block = [0.0; BLOCK_SAMPLES];
        let (mut blocks, mut loudest, mut step, mut last) = (0, 0.0_f32, 0.0_f32, 0.0);
        loop {
            let more = tones.fill(&mut block);
            blocks += 1;
            for sample in block {
                (loudest, step, last) = (loudest.max(sample.abs()), step.max((sample - last).abs()), sample);
            }
            if !more || blocks == 6_000 {
                return (blocks, loudest, step);
            }
        }
    }

    #[test]
    fn tunes_are_heard_and_do_not_click() {
        for (tune, blocks) in [(Tune::Test, 150), (Tune::Incoming, 6_000), (Tune::Outgoing, 6_000)] {
            let (played, loudest, step) = play(tune);
            assert_eq!(played, blocks, "{tune:?}");
            assert!((0.08..0.35).contains(&loudest), "{tune:?} is as loud as {loudest}");
            assert!(step < 0.06, "{tune:?} clicks: {step}");
        }
    }

    #[test]
    fn the_ringback_is_a_second_in_five() {
        let mut tones = Tones::new(Tune::Outgoing);
        let mut block = [0.0; BLOCK_SAMPLES];
        let sounds: Vec<bool> = (0..1_000)
            .map(|_| {
                tones.fill(&mut block);
                block.iter().any(|sample| sample.abs() > 1e-6)
            })
            .collect();
        assert_eq!(sounds.iter().filter(|sounds| **sounds).count(), 200);
        assert!(sounds[0] && !sounds[100] && !sounds[499] && sounds[500]);
    }
}
