//! Sample rates: a device's to 48 kHz and back, by rubato.
//!
//! A windowed sinc whose delay is half its length (0.7 ms at 44.1 kHz); rubato's FFT resampler would hold back a
//! whole block more. The ratio is fixed: clocks that drift apart are the playout's business, which stretches time
//! where it is not heard, and the echo reference's.

use rubato::{
    Async, FixedAsync, Resampler, ResamplerConstructionError, SincInterpolationParameters, SincInterpolationType,
    WindowFunction, audioadapter_buffers::direct::InterleavedSlice,
};

/// The length of the sinc, in samples of the lower rate: enough to keep what a voice has of it and to put images below
/// hearing. Twice as many cost twice the time and delay for the last tenth of the band.
const TAPS: usize = 64;

/// Converts from one fixed rate to another, in chunks whose one side is constant.
pub struct Converter {
    /// `None` when there is nothing to convert.
    inner: Option<Async<f32>>,
    fixed: usize,
}

impl Converter {
    /// Gives `samples` for each call, and takes as many as that needs.
    ///
    /// # Errors
    ///
    /// If a rate is not usable.
    pub fn giving(samples: usize, from_hz: u32, to_hz: u32) -> Result<Self, ResamplerConstructionError> {
        Self::new(samples, from_hz, to_hz, FixedAsync::Output)
    }

    /// Takes `samples` with each call, and gives as many as come of it.
    ///
    /// # Errors
    ///
    /// If a rate is not usable.
    pub fn taking(samples: usize, from_hz: u32, to_hz: u32) -> Result<Self, ResamplerConstructionError> {
        Self::new(samples, from_hz, to_hz, FixedAsync::Input)
    }

    fn new(fixed: usize, from_hz: u32, to_hz: u32, side: FixedAsync) -> Result<Self, ResamplerConstructionError> {
        let taps = (TAPS * from_hz.div_ceil(to_hz.max(1)) as usize).next_multiple_of(8);
        let parameters = SincInterpolationParameters::new(taps, WindowFunction::BlackmanHarris2)
            .oversampling_factor(128)
            .interpolation(SincInterpolationType::Linear);
        let ratio = f64::from(to_hz) / f64::from(from_hz);
        let inner =
            (from_hz != to_hz).then(|| Async::new_sinc(ratio, 1.0, &parameters, fixed, 1, side)).transpose()?;
        Ok(Self { inner, fixed })
    }

    /// Samples that the next call takes.
    pub fn needs(&self) -> usize {
        self.inner.as_ref().map_or(self.fixed, Resampler::input_frames_next)
    }

    /// Most samples that any call takes.
    pub fn most_needed(&self) -> usize {
        self.inner.as_ref().map_or(self.fixed, Resampler::input_frames_max)
    }

    /// Most samples that any call gives.
    pub fn most_given(&self) -> usize {
        self.inner.as_ref().map_or(self.fixed, Resampler::output_frames_max)
    }

    /// By how many samples of the output it delays.
    pub fn delay_samples(&self) -> usize {
        self.inner.as_ref().map_or(0, Resampler::output_delay)
    }

    /// Converts [`needs`](Self::needs) samples; `out` has room for [`most_given`](Self::most_given). Answers how many
    /// came of it.
    pub fn convert(&mut self, input: &[f32], out: &mut [f32]) -> usize {
        let Some(inner) = &mut self.inner else {
            let samples = input.len().min(out.len());
            out[..samples].copy_from_slice(&input[..samples]);
            return samples;
        };
        let (taken, room) = (input.len(), out.len());
        let (Ok(input), Ok(mut output)) =
            (InterleavedSlice::new(input, 1, taken), InterleavedSlice::new_mut(out, 1, room))
        else {
            return 0;
        };
        // It fails on buffers that are too short, which is the caller's promise; silence is then the least harm.
        inner.process_into_buffer(&input, &mut output, None).map_or(0, |(_, given)| given)
    }
}

impl std::fmt::Debug for Converter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Converter").field("fixed", &self.fixed).field("converts", &self.inner.is_some()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(rate_hz: f64, samples: usize, from: usize) -> Vec<f32> {
        (from..from + samples).map(|n| (n as f64 * 1_000.0 * std::f64::consts::TAU / rate_hz).sin() as f32).collect()
    }

    #[test]
    fn a_tone_survives_every_rate_there_and_back() {
        for rate in [8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 88_200, 96_000, 192_000] {
            let mut to_ours = Converter::giving(480, rate, 48_000).expect("converter");
            let mut out = vec![0.0; to_ours.most_given()];
            let (mut position, mut all) = (0, Vec::new());
            for _ in 0..50 {
                let needs = to_ours.needs();
                let given = to_ours.convert(&sine(f64::from(rate), needs, position), &mut out);
                assert_eq!(given, 480, "{rate} Hz");
                position += needs;
                all.extend_from_slice(&out[..given]);
            }
            let mut back = Converter::taking(480, 48_000, rate).expect("converter");
            let mut out = vec![0.0; back.most_given()];
            let mut returned = Vec::new();
            for block in all.chunks_exact(480) {
                let given = back.convert(block, &mut out);
                returned.extend_from_slice(&out[..given]);
            }
            let seconds = returned.len() as f64 / f64::from(rate);
            assert!((seconds - 0.5).abs() < 0.002, "{rate} Hz: {seconds} s");
            let settled = &returned[returned.len() / 2..];
            let power = settled.iter().map(|s| s * s).sum::<f32>() / settled.len() as f32;
            assert!((power - 0.5).abs() < 0.01, "{rate} Hz: power {power}");
        }
    }
}
