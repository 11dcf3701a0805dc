//! Makes buffered sound a little shorter or longer without changing its pitch, for adaptive playout.
//!
//! The playout buffer calls this on the samples it holds when it has more, or less, than the network asks for.
//! It is one step of waveform-similarity overlap-add (WSOLA; Verhelst and Roelands, ICASSP 1993): find the lag
//! at which the sound resembles itself best, which for a voice is a whole number of pitch periods, and take out
//! or put in exactly one lag, cross-faded. Both ends of the buffer keep their samples, so what was played before
//! and what comes after fit on.
//!
//! ```text
//! accelerate:  [ A ][ B ] rest  ->  [A fading into B] rest         one lag shorter
//! expand:      [ A ][ B ] rest  ->  [ A ][B fading into A][ B ] rest   one lag longer
//! ```
//!
//! Where the sound does not resemble itself (a consonant, two voices) and is not quiet, nothing is done: the
//! caller tries again 10 ms later. Pure functions; 0.05 ms (`examples/measure_sound`).

use std::collections::VecDeque;

/// Shortest piece taken out or put in, in samples: 2.5 ms, the pitch period of a 400 Hz voice.
pub const MIN_LAG_SAMPLES: usize = 120;
/// Longest piece taken out or put in, in samples: 12 ms, the pitch period of an 83 Hz voice.
pub const MAX_LAG_SAMPLES: usize = 576;
/// Samples that must be in the buffer for anything to happen: 24 ms.
pub const NEEDED_SAMPLES: usize = 2 * MAX_LAG_SAMPLES;

/// Takes about one pitch period out of the front of `samples` and returns how many samples that was: 0 (nothing
/// changed) or [`MIN_LAG_SAMPLES`]..=[`MAX_LAG_SAMPLES`].
pub fn accelerate(samples: &mut VecDeque<i16>) -> usize {
    let Some(lag) = find_lag(samples.make_contiguous()) else { return 0 };
    let front = samples.make_contiguous();
    for at in 0..lag {
        front[lag + at] = fade(front[at], front[lag + at], at, lag);
    }
    samples.drain(..lag);
    lag
}

/// Puts about one pitch period into the front of `samples` and returns how many samples that was: 0 (nothing
/// changed) or [`MIN_LAG_SAMPLES`]..=[`MAX_LAG_SAMPLES`].
pub fn expand(samples: &mut VecDeque<i16>) -> usize {
    let front = samples.make_contiguous();
    let Some(lag) = find_lag(front) else { return 0 };
    let bridge: Vec<i16> = (0..lag).map(|at| fade(front[lag + at], front[at], at, lag)).collect();
    let rest = samples.split_off(lag);
    samples.extend(bridge);
    samples.extend(rest);
    lag
}

/// The cross-fade at `at` of `length`: `from` at the start, `to` at the end.
fn fade(from: i16, to: i16, at: usize, length: usize) -> i16 {
    let (at, length) = (at as i32, length as i32);
    ((i32::from(from) * (length - at) + i32::from(to) * at) / length) as i16
}

/// The lag at which the front of `samples` resembles itself best, or `None` when it does not.
fn find_lag(samples: &[i16]) -> Option<usize> {
    /// Below this the splice would be heard as a click or a flutter. 1 is identity, 0 is unrelated.
    const GOOD_ENOUGH: f32 = 0.75;
    /// Mean square of one sample below which no splice is heard: 50 dB below full scale.
    const QUIET: f32 = 100.0 * 100.0;
    /// Coarse search first, then every lag around the best. Voices have little above 6 kHz, so eight steps of a
    /// 48 kHz sample cannot jump over a peak of the correlation, let alone four.
    const STEP: usize = 4;
    let samples = samples.get(..NEEDED_SAMPLES)?;
    let best_of = |lags: &mut dyn Iterator<Item = usize>| {
        lags.map(|lag| (lag, similarity(samples, lag))).max_by(|a, b| a.1.total_cmp(&b.1))
    };
    let (coarse, _) = best_of(&mut (MIN_LAG_SAMPLES..=MAX_LAG_SAMPLES).step_by(STEP))?;
    let around = coarse.saturating_sub(STEP - 1).max(MIN_LAG_SAMPLES)..=(coarse + STEP - 1).min(MAX_LAG_SAMPLES);
    let (lag, similarity) = best_of(&mut around.into_iter())?;
    if similarity >= GOOD_ENOUGH {
        return Some(lag);
    }
    let energy: f32 = samples.iter().map(|&s| f32::from(s) * f32::from(s)).sum();
    (energy < QUIET * samples.len() as f32).then_some(MAX_LAG_SAMPLES)
}

/// Normalised correlation of the samples that a splice at `lag` would fade into each other, -1..=1.
fn similarity(samples: &[i16], lag: usize) -> f32 {
    let (mut product, mut first, mut second) = (0.0f32, 0.0f32, 0.0f32);
    for (&a, &b) in samples[..lag].iter().zip(&samples[lag..2 * lag]) {
        let (a, b) = (f32::from(a), f32::from(b));
        product += a * b;
        first += a * a;
        second += b * b;
    }
    let energy = (first * second).sqrt();
    if energy > 0.0 { product / energy } else { 0.0 }
}
