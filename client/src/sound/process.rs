//! Echo, noise, gain and rumble: `sonora`, WebRTC's audio processing in Rust, on blocks of 10 ms.
//!
//! Runs on the sound-out thread, which alone owns it: the far-end signal is fed right before the captured block that it
//! belongs to, one for one, so the canceller sees neither jitter of calls nor a growing queue.

use std::time::Duration;

use sonora::{
    AudioProcessing, Config, StreamConfig,
    config::{
        AdaptiveDigital, GainController2, HighPassFilter, MaxProcessingRate, NoiseSuppression, NoiseSuppressionLevel,
        Pipeline,
    },
};

use super::{
    SAMPLE_RATE_HZ, Samples,
    canceller::{self, Canceller},
};

/// What is to be done to the microphone's sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switches {
    /// Take out what comes back from the speaker.
    pub echo: bool,
    /// Take out steady noise.
    pub noise: bool,
    /// Bring every voice to the same level.
    pub gain: bool,
    /// Take out what lies below a voice: rumble, hum, steps.
    pub high_pass: bool,
}

impl Switches {
    /// Nothing is done.
    pub const OFF: Self = Self { echo: false, noise: false, gain: false, high_pass: false };

    /// What the filter banks hold back, measured with sonora 0.2.0 (the tests measure it again).
    const fn delay(self) -> Duration {
        Duration::from_millis(match (self.echo, self.noise) {
            (true, true) => 14,
            (true, false) => 7,
            (false, true) => 7,
            (false, false) => 0,
        })
    }
}

impl Default for Switches {
    fn default() -> Self {
        Self { echo: true, noise: true, gain: true, high_pass: true }
    }
}

/// Processes one microphone.
#[derive(Debug)]
pub struct Processor {
    canceller: Option<Canceller>,
    rest: AudioProcessing,
    switches: Switches,
}

impl Processor {
    /// Starts with these.
    pub fn new(switches: Switches) -> Self {
        let stream = StreamConfig::new(SAMPLE_RATE_HZ, 1);
        let rest = AudioProcessing::builder().config(config(switches)).capture_config(stream).build();
        Self { canceller: switches.echo.then(Canceller::new), rest, switches }
    }

    /// Switches parts on or off. It allocates, takes 1 ms, and the canceller begins to learn afresh (1 s).
    pub fn switch(&mut self, switches: Switches) {
        if switches != self.switches {
            self.switches = switches;
            self.rest.apply_config(config(switches));
            self.forget_echo();
        }
    }

    /// The device was changed: the room is another one, or is heard from elsewhere.
    pub fn reset(&mut self) {
        let stream = StreamConfig::new(SAMPLE_RATE_HZ, 1);
        self.rest.initialize(stream, stream, stream, stream);
        self.forget_echo();
    }

    fn forget_echo(&mut self) {
        self.canceller = self.switches.echo.then(Canceller::new);
    }

    /// Processes a captured block; `far` is its reference.
    pub fn process(&mut self, far: &Samples, near: &mut Samples) {
        if self.switches == Switches::OFF {
            return;
        }
        if let Some(canceller) = &mut self.canceller {
            canceller.cancel(far, near);
        }
        let captured = *near;
        let fed = self.rest.process_capture_f32(&[&captured], &mut [near]);
        debug_assert!(fed.is_ok(), "one channel of 48 kHz is always right: {fed:?}");
    }

    /// By how much what comes out lies behind what went in.
    pub const fn delay(&self) -> Duration {
        self.switches.delay()
    }

    /// How the canceller does, where it is on.
    pub fn stats(&self) -> Option<canceller::Stats> {
        self.canceller.as_ref().map(Canceller::stats)
    }
}

/// The most that a voice is raised: what a quiet speaker two arms' lengths from a laptop lacks. sonora's own 50 dB raise
/// what the canceller has left of an echo to the loudness of a voice: -30 dBFS were measured at the end of a sentence.
const MAX_GAIN_DB: f32 = 18.0;

/// The gain before a voice was heard, which is what the first echo is raised by.
const INITIAL_GAIN_DB: f32 = 6.0;

fn config(switches: Switches) -> Config {
    Config {
        // The default of 32 kHz would cut a voice at 16 kHz.
        pipeline: Pipeline { maximum_internal_processing_rate: MaxProcessingRate::Rate48kHz, ..Pipeline::default() },
        // The canceller has one of its own.
        high_pass_filter: (switches.high_pass && !switches.echo).then(HighPassFilter::default),
        // Moderate takes off 12 dB. What is higher takes off consonants as well.
        noise_suppression: switches
            .noise
            .then(|| NoiseSuppression { level: NoiseSuppressionLevel::Moderate, ..NoiseSuppression::default() }),
        gain_controller2: switches.gain.then(|| GainController2 {
            adaptive_digital: Some(AdaptiveDigital {
                max_gain_db: MAX_GAIN_DB,
                initial_gain_db: INITIAL_GAIN_DB,
                ..AdaptiveDigital::default()
            }),
            ..GainController2::default()
        }),
        ..Config::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sound::BLOCK_SAMPLES;

    /// A voice-like sound: noise through a resonance, in syllables of 200 ms.
    fn voice(samples: usize) -> Vec<f32> {
        let (mut seed, mut one, mut two) = (1_u32, 0.0_f32, 0.0_f32);
        let syllable = |n: usize| if (n / 9_600).is_multiple_of(2) { 1.0 } else { 0.05 };
        (0..samples)
            .map(|n| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let noise = (seed >> 8) as f32 / 8_388_608.0 - 1.0;
                (one, two) = (1.9 * one - 0.93 * two + 0.01 * noise, one);
                one * syllable(n)
            })
            .collect()
    }

    fn processed(switches: Switches, near: &[f32], far: &[f32]) -> Vec<f32> {
        let mut processor = Processor::new(switches);
        let mut out = Vec::new();
        for (near, far) in near.chunks_exact(BLOCK_SAMPLES).zip(far.chunks_exact(BLOCK_SAMPLES)) {
            let (mut block, mut reference) = ([0.0; BLOCK_SAMPLES], [0.0; BLOCK_SAMPLES]);
            block.copy_from_slice(near);
            reference.copy_from_slice(far);
            processor.process(&reference, &mut block);
            out.extend(block);
        }
        out
    }

    fn power(samples: &[f32]) -> f32 {
        samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len() as f32
    }

    #[test]
    fn what_comes_out_is_as_late_as_it_is_said_to_be() {
        let near = voice(144_000);
        let far = vec![0.0; near.len()];
        for (echo, noise) in [(true, true), (true, false), (false, true), (false, false)] {
            let switches = Switches { echo, noise, gain: false, high_pass: false };
            let out = processed(switches, &near, &far);
            let from = 96_000;
            let alike = |lag: usize| -> f32 {
                near[from - lag..from + 40_000 - lag].iter().zip(&out[from..from + 40_000]).map(|(a, b)| a * b).sum()
            };
            let best = (0..1_440).max_by(|&a, &b| alike(a).total_cmp(&alike(b))).expect("some") as f64 / 48.0;
            let said = switches.delay().as_secs_f64() * 1e3;
            assert!((best - said).abs() <= 1.0, "{switches:?}: {best} ms instead of {said} ms");
        }
    }

    #[test]
    fn an_echo_is_taken_out() {
        let far = voice(48_000 * 6);
        // 40 ms of buffers, then 8 ms of way, weaker by 12 dB.
        let way = 1_920 + 384;
        let near: Vec<f32> = (0..far.len()).map(|n| if n < way { 0.0 } else { far[n - way] * 0.25 }).collect();
        let out = processed(Switches { gain: false, ..Switches::default() }, &near, &far);
        let gone_db = 10.0 * (power(&near[192_000..]) / power(&out[192_000..]).max(1e-12)).log10();
        assert!(gone_db > 25.0, "{gone_db} dB");
    }
}
