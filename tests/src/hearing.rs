//! Judging recorded sound as an ear would: how late it is, how alike, how well understood.

use std::f64::consts::PI;

/// Samples per second of what is judged.
pub const RATE_HZ: usize = 48_000;

/// RMS of samples, in dB relative to full scale; -120 for silence.
pub fn level_db(samples: &[i16]) -> f64 {
    let power = samples.iter().map(|&sample| (f64::from(sample) / 32_768.0).powi(2)).sum::<f64>();
    10.0 * (power / samples.len().max(1) as f64).max(1e-12).log10()
}

/// The notes of the tone that a speaker is tried with, in Hz.
pub const TEST_HZ: [f64; 3] = [523.25, 659.26, 783.99];

/// The notes that tell somebody that they are called, in Hz.
pub const RING_HZ: [f64; 4] = [523.25, 659.26, 783.99, 1_046.5];

/// What tells a caller that it rings there, in Hz.
pub const RINGBACK_HZ: [f64; 1] = [425.0];

/// How much of the power of some samples, of [`RATE_HZ`], is at these notes: 1 if nothing else is heard.
pub fn share_of_notes(samples: &[i16], hertz: &[f64]) -> f64 {
    // A tenth of a second tells notes 10 Hz apart.
    const PIECE: usize = RATE_HZ / 10;
    let (mut at_notes, mut whole) = (0.0, 0.0);
    for piece in samples.chunks_exact(PIECE) {
        whole += piece.iter().map(|&sample| f64::from(sample).powi(2)).sum::<f64>();
        for hertz in hertz {
            let (mut cosine, mut sine) = (0.0, 0.0);
            for (n, &sample) in piece.iter().enumerate() {
                let angle = 2.0 * PI * hertz * n as f64 / RATE_HZ as f64;
                cosine += f64::from(sample) * angle.cos();
                sine += f64::from(sample) * angle.sin();
            }
            at_notes += (cosine * cosine + sine * sine) * 2.0 / PIECE as f64;
        }
    }
    at_notes / whole.max(1.0)
}

/// How a piece of what was said is found again in what was heard.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Match {
    /// Where the piece begins, in seconds of what was said.
    pub at_s: f64,
    /// By how much it was heard later, in seconds.
    pub delay_s: f64,
    /// How alike both are then: the correlation of their waveforms, 0 to 1.
    pub alike: f64,
}

/// Samples per second at which pieces are compared: enough for a voice's fundamental and first formants, which carry
/// nearly all of its energy.
const MATCH_HZ: usize = 8_000;

/// The length of a piece, in seconds: a syllable or two. Longer ones are pulled apart where the playout stretches time,
/// shorter ones are found where they are not.
const PIECE_S: f64 = 0.25;

/// A piece that is quieter than this is a pause, in dB relative to full scale.
const PAUSE_DB: f64 = -40.0;

/// Finds each piece of `said` that is not a pause again in `heard`, at most `most_s` seconds later. Both are of
/// [`RATE_HZ`] and begin at the same time.
pub fn matches(said: &[i16], heard: &[i16], most_s: f64) -> Vec<Match> {
    let (piece, most) = ((PIECE_S * MATCH_HZ as f64) as usize, (most_s * MATCH_HZ as f64) as usize);
    let thick = RATE_HZ / MATCH_HZ;
    let loud: Vec<bool> = said.chunks_exact(piece * thick).map(|piece| level_db(piece) > PAUSE_DB).collect();
    let (said, heard) = (resample(said, MATCH_HZ), resample(heard, MATCH_HZ));
    let pieces = said.chunks_exact(piece).zip(loud).enumerate().filter(|(_, (_, loud))| *loud);
    let found = pieces.filter_map(|(number, (said, _))| {
        let from = number * piece;
        let window = heard.get(from..from + piece + most)?;
        let likeness = |lag: usize| correlation(said, &window[lag..lag + piece]);
        let (lag, alike) = (0..most).map(|lag| (lag, likeness(lag))).max_by(|a, b| a.1.total_cmp(&b.1))?;
        Some(Match { at_s: from as f64 / MATCH_HZ as f64, delay_s: lag as f64 / MATCH_HZ as f64, alike })
    });
    found.collect()
}

/// The middle one of some figures; `None` of none.
pub fn median(figures: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = figures.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

/// The cosine of the angle between two waveforms: 1 if they are the same but for their loudness.
fn correlation(one: &[f64], other: &[f64]) -> f64 {
    let (mut product, mut one_power, mut other_power) = (0.0, 0.0, 0.0);
    for (one, other) in one.iter().zip(other) {
        product += one * other;
        one_power += one * one;
        other_power += other * other;
    }
    product / (one_power * other_power).sqrt().max(1.0)
}

/// From [`RATE_HZ`] to a lower rate, full scale at 32,768: a windowed sinc over eight of the output's samples each way.
fn resample(samples: &[i16], to_hz: usize) -> Vec<f64> {
    let ratio = RATE_HZ as f64 / to_hz as f64;
    let reach = 8.0 * ratio;
    let outputs = (samples.len() as f64 / ratio) as usize;
    // Nine tenths of the band: what lies above has room to fall off.
    let cutoff = 0.9 / ratio;
    let weight = |distance: f64| {
        let window = 0.5 + 0.5 * (PI * distance / reach).cos();
        let angle = PI * distance * cutoff;
        window * cutoff * if angle == 0.0 { 1.0 } else { angle.sin() / angle }
    };
    let output = |number: usize| {
        let center = number as f64 * ratio;
        let first = (center - reach).ceil().max(0.0) as usize;
        let last = ((center + reach).floor() as usize).min(samples.len().saturating_sub(1));
        (first..=last).map(|at| f64::from(samples[at]) * weight(at as f64 - center)).sum()
    };
    (0..outputs).map(output).collect()
}

/// How much of what was said is understood, 0 to 1: the short-time objective intelligibility measure (Taal, Hendriks,
/// Heusdens, Jensen: An Algorithm for Intelligibility Prediction of Time-Frequency Weighted Noisy Speech, 2011). Both
/// are of [`RATE_HZ`] and aligned to within a few milliseconds. `None` if less than half a second is not silent.
pub fn intelligibility(said: &[i16], heard: &[i16]) -> Option<f64> {
    let length = said.len().min(heard.len());
    let (said, heard) = (resample(&said[..length], STOI_HZ), resample(&heard[..length], STOI_HZ));
    let (said, heard) = without_silence(&said, &heard);
    let spectrum = Spectrum::new();
    let (said, heard) = (spectrum.bands(&said), spectrum.bands(&heard));
    let mut scores = Vec::new();
    for end in SEGMENT..=said.len() {
        for band in 0..BANDS {
            let of = |frames: &[[f64; BANDS]]| -> Vec<f64> {
                frames[end - SEGMENT..end].iter().map(|frame| frame[band]).collect()
            };
            scores.push(segment_score(&of(&said), &of(&heard)));
        }
    }
    (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64)
}

/// As [`intelligibility`], of a voice that is heard up to `most_s` seconds later, through a playout that stretches time:
/// the mean over pieces of three seconds, each aligned by its [`matches()`]. `None` if nothing is found again.
pub fn understood(said: &[i16], heard: &[i16], most_s: f64) -> Option<f64> {
    let found = matches(said, heard, most_s);
    let length = 3 * RATE_HZ;
    let scores: Vec<f64> = (0..said.len() / length)
        .filter_map(|piece| {
            let within = |found: &&Match| (found.at_s * RATE_HZ as f64) as usize / length == piece;
            let delay_s = median(found.iter().filter(within).map(|found| found.delay_s))?;
            let from = piece * length;
            let late = from + (delay_s * RATE_HZ as f64) as usize;
            intelligibility(&said[from..from + length], heard.get(late..late + length)?)
        })
        .collect();
    (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64)
}

/// Samples per second of the measure.
const STOI_HZ: usize = 10_000;

/// A frame of the measure, in samples; frames overlap by half.
const FRAME: usize = 256;

/// Points of a frame's spectrum.
const POINTS: usize = 512;

/// Frames of a segment that is scored: 384 ms.
const SEGMENT: usize = 30;

/// Bands of a third of an octave, the lowest around 150 Hz.
const BANDS: usize = 15;

/// Frames this much quieter than the loudest one are silence, in dB.
const SILENCE_DB: f64 = 40.0;

/// What is heard counts as no further below what was said than this, in dB.
const LOWEST_RATIO_DB: f64 = -15.0;

/// How alike the envelopes of a band are, once what is heard is made as loud as what was said, and clipped.
fn segment_score(said: &[f64], heard: &[f64]) -> f64 {
    let norm = |samples: &[f64]| samples.iter().map(|sample| sample * sample).sum::<f64>().sqrt();
    let gain = norm(said) / norm(heard).max(f64::MIN_POSITIVE);
    let ceiling = 1.0 + 10_f64.powf(-LOWEST_RATIO_DB / 20.0);
    let heard: Vec<f64> = heard.iter().zip(said).map(|(heard, said)| (heard * gain).min(said * ceiling)).collect();
    let centered = |samples: &[f64]| -> Vec<f64> {
        let mean = samples.iter().sum::<f64>() / samples.len() as f64;
        samples.iter().map(|sample| sample - mean).collect()
    };
    let (said, heard) = (centered(said), centered(&heard));
    let product: f64 = said.iter().zip(&heard).map(|(said, heard)| said * heard).sum();
    product / (norm(&said) * norm(&heard)).max(f64::MIN_POSITIVE)
}

/// Hann's window without its zeros at both ends.
fn window() -> [f64; FRAME] {
    std::array::from_fn(|n| 0.5 - 0.5 * (2.0 * PI * (n + 1) as f64 / (FRAME + 1) as f64).cos())
}

/// Joins the frames in which something is said.
fn without_silence(said: &[f64], heard: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let window = window();
    let starts: Vec<usize> = (0..(said.len() + 1).saturating_sub(FRAME)).step_by(FRAME / 2).collect();
    let windowed =
        |samples: &[f64], start: usize| -> [f64; FRAME] { std::array::from_fn(|n| samples[start + n] * window[n]) };
    let power_db = |start: usize| {
        let power: f64 = windowed(said, start).iter().map(|sample| sample * sample).sum();
        10.0 * power.max(1e-12).log10()
    };
    let powers: Vec<f64> = starts.iter().map(|&start| power_db(start)).collect();
    let loudest = powers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let spoken = || starts.iter().zip(&powers).filter(|(_, power)| **power > loudest - SILENCE_DB);
    let joined = |samples: &[f64]| {
        let mut out = vec![0.0; (spoken().count() + 1) * FRAME / 2];
        for (number, (&start, _)) in spoken().enumerate() {
            let place = &mut out[number * FRAME / 2..][..FRAME];
            place.iter_mut().zip(windowed(samples, start)).for_each(|(out, sample)| *out += sample);
        }
        out
    };
    (joined(said), joined(heard))
}

/// Discrete Fourier transform at the points that the bands are made of.
struct Spectrum {
    window: [f64; FRAME],
    /// The first point of each band, and the first after the last one.
    edges: [usize; BANDS + 1],
    /// Cosine and sine of a whole turn.
    turn: Vec<(f64, f64)>,
}

impl Spectrum {
    fn new() -> Self {
        let edge = |band: usize| 150.0 * 2_f64.powf((2.0 * band as f64 - 1.0) / 6.0);
        let edges = std::array::from_fn(|band| (edge(band) * POINTS as f64 / STOI_HZ as f64).round() as usize);
        let turn = (0..POINTS)
            .map(|n| {
                let angle = 2.0 * PI * n as f64 / POINTS as f64;
                (angle.cos(), angle.sin())
            })
            .collect();
        Self { window: window(), edges, turn }
    }

    /// The amplitude of each band in each frame.
    fn bands(&self, samples: &[f64]) -> Vec<[f64; BANDS]> {
        let starts = (0..(samples.len() + 1).saturating_sub(FRAME)).step_by(FRAME / 2);
        let frame = |start: usize| {
            let frame: [f64; FRAME] = std::array::from_fn(|n| samples[start + n] * self.window[n]);
            std::array::from_fn(|band| {
                (self.edges[band]..self.edges[band + 1]).map(|point| self.power(&frame, point)).sum::<f64>().sqrt()
            })
        };
        starts.map(frame).collect()
    }

    fn power(&self, frame: &[f64; FRAME], point: usize) -> f64 {
        let (mut real, mut imaginary) = (0.0, 0.0);
        for (n, sample) in frame.iter().enumerate() {
            let (cosine, sine) = self.turn[n * point % POINTS];
            real += sample * cosine;
            imaginary += sample * sine;
        }
        real * real + imaginary * imaginary
    }
}

#[cfg(test)]
mod tests {
    use visavis_codec::{opus::FRAME_SAMPLES, scene::Speech};

    use super::*;

    /// Seconds of the project's own voice.
    fn voice(seed: u64, seconds: usize) -> Vec<i16> {
        let mut speech = Speech::new(seed);
        let mut block = [0; FRAME_SAMPLES];
        let blocks = (0..seconds * 100).flat_map(|_| {
            speech.fill(&mut block);
            block
        });
        blocks.collect()
    }

    /// The louder voice, and the other one this much quieter.
    fn mixed(one: &[i16], other: &[i16], quieter_db: f64) -> Vec<i16> {
        let gain = 10_f64.powf((level_db(one) - level_db(other) - quieter_db) / 20.0);
        one.iter().zip(other).map(|(one, other)| (f64::from(*one) + f64::from(*other) * gain) as i16).collect()
    }

    #[test]
    fn a_delay_is_found_to_the_sample_though_it_changes() {
        let said = voice(1, 4);
        let mut heard = vec![0; 4_800];
        heard.extend(&said[..96_000]);
        // Stretched by 10 ms in the middle.
        heard.extend(&said[95_520..]);
        let found = matches(&said, &heard, 0.3);
        assert!(found.len() >= 8, "{found:?}");
        let delay = |part: &dyn Fn(&Match) -> bool| {
            median(found.iter().filter(|found| part(found)).map(|found| found.delay_s)).expect("found")
        };
        assert!((delay(&|found| found.at_s < 1.7) - 0.1).abs() < 2e-4);
        assert!((delay(&|found| found.at_s > 2.1) - 0.11).abs() < 2e-4);
        assert!(median(found.iter().map(|found| found.alike)).expect("found") > 0.99);
    }

    #[test]
    fn notes_are_told_apart() {
        let note = |hertz: f64| -> Vec<i16> {
            let sample = |n: usize| (n as f64 / RATE_HZ as f64 * hertz * 2.0 * PI).sin() * 3_000.0;
            (0..RATE_HZ).map(|n| sample(n) as i16).collect()
        };
        assert!(share_of_notes(&note(425.0), &RINGBACK_HZ) > 0.99);
        assert!(share_of_notes(&note(523.25), &RINGBACK_HZ) < 0.02);
        assert!(share_of_notes(&voice(1, 4), &RINGBACK_HZ) < 0.2);
        assert_eq!(share_of_notes(&[0; RATE_HZ], &RINGBACK_HZ), 0.0);
    }

    #[test]
    fn what_was_not_said_is_not_found() {
        let (said, heard) = (voice(1, 4), voice(2, 4));
        let alike = median(matches(&said, &heard, 0.3).iter().map(|found| found.alike)).expect("pieces");
        assert!(alike < 0.7, "{alike}");
    }

    #[test]
    fn the_more_another_voice_covers_the_less_is_understood() {
        let (said, other) = (voice(1, 6), voice(2, 6));
        let score = |heard: &[i16]| intelligibility(&said, heard).expect("six seconds");
        assert!(score(&said) > 0.999);
        let quieter: Vec<i16> = said.iter().map(|sample| sample / 4).collect();
        assert!(score(&quieter) > 0.99, "loudness does not count");
        let covered = [20.0, 10.0, 0.0, -10.0].map(|quieter_db| score(&mixed(&said, &other, quieter_db)));
        assert!(covered.is_sorted_by(|one, next| one > next), "{covered:?}");
        assert!(covered[0] > 0.9 && covered[3] < 0.6, "{covered:?}");
        assert_eq!(intelligibility(&said[..10_000], &said[..10_000]), None);
    }
}
