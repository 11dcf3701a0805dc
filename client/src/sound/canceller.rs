//! Takes out what comes back from the speaker: AEC3, WebRTC's echo canceller, as `sonora-aec3` has ported it.
//!
//! sonora's `AudioProcessing` lets nobody set the canceller. WebRTC's settings trust its adaptive filter with 6 dB at
//! most and gate the rest, so that whoever speaks while the other does is gated away with the echo. Here the parts that
//! sonora makes public are put together anew, and two cancellers run side by side:
//!
//! ```text
//! far  ─▶ three bands ─▶ blocks of 4 ms ─┬──▶ careful: WebRTC's settings ──┐
//!                                        ├──▶ open: settings of our own ───┴▶ one of both ─▶ one band ─▶ near
//! near ─▶ high-pass ─▶ three bands ─▶ blocks                                  by `Trust`
//! ```
//!
//! The open one trusts the filter, which it may as long as the echo's way stays as it is: then it leaves a voice beside
//! the echo as it was. Where a sound server drops or inserts samples the way changes by a step, and until the filter has
//! followed, the open one lets the echo through and the careful one does not. That is what [`Trust`] judges.

use sonora::{high_pass_filter::HighPassFilter, three_band_filter_bank::ThreeBandFilterBank};
use sonora_aec3::{
    block::Block,
    block_processor::BlockProcessor,
    common::BLOCK_SIZE,
    config::{EchoCanceller3Config, MaskingThresholds},
};

use super::{BLOCK_SAMPLES, SAMPLE_RATE_HZ, Samples, echo};

const BANDS: usize = 3;

/// Samples of a band in a block of ours: a band has 16 kHz.
const BAND_SAMPLES: usize = BLOCK_SAMPLES / BANDS;

/// What is held back so that there is always a block to give: 160 samples come at a time, and leave in blocks of 64.
const HELD: usize = 32;

/// AEC3 reckons in samples of 16 bits.
const FULL_SCALE: f32 = 32_768.0;

/// A sample this large has been cut off by the microphone.
const CLIPPED: f32 = 32_700.0 / FULL_SCALE;

type Bands = [[f32; BAND_SAMPLES]; BANDS];

/// How the canceller does.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Stats {
    /// What the echo lost on its way through the room, in dB.
    pub echo_return_loss_db: f64,
    /// What the linear part of the canceller took off it, in dB.
    pub enhancement_db: f64,
    /// By how much the canceller finds the echo behind its reference, in ms.
    pub delay_ms: i32,
    /// How often that changed.
    pub steps: u64,
}

/// Takes the echo of one speaker out of one microphone.
#[derive(Debug)]
pub struct Canceller {
    far: Side,
    near: Side,
    rumble: HighPassFilter,
    filtered: Vec<Vec<f32>>,
    careful: BlockProcessor,
    open: BlockProcessor,
    opened: Block,
    trust: Trust,
    /// Per band, what is done and not given yet.
    done: [Vec<f32>; BANDS],
}

/// A signal on its way into blocks.
#[derive(Debug)]
struct Side {
    bank: ThreeBandFilterBank,
    bands: Bands,
    /// Per band, what makes no whole block yet.
    rest: [Vec<f32>; BANDS],
    block: Block,
}

impl Canceller {
    /// Knows nothing of the room yet.
    pub fn new() -> Self {
        let processor = |settings: &EchoCanceller3Config| {
            let mut processor = BlockProcessor::new(settings, SAMPLE_RATE_HZ as usize, 1, 1);
            processor.set_audio_buffer_delay(echo::LEAD.as_millis() as i32);
            processor
        };
        Self {
            far: Side::new(),
            near: Side::new(),
            rumble: HighPassFilter::new(SAMPLE_RATE_HZ as i32, 1),
            filtered: vec![vec![0.0; BLOCK_SAMPLES]],
            careful: processor(&EchoCanceller3Config::default()),
            open: processor(&settings()),
            opened: Block::new(BANDS, 1),
            trust: Trust::default(),
            done: std::array::from_fn(|_| {
                let mut done = Vec::with_capacity(BAND_SAMPLES + BLOCK_SIZE);
                done.resize(HELD, 0.0);
                done
            }),
        }
    }

    /// Takes the echo of `far`, which comes now or up to half a second later, out of `near`.
    pub fn cancel(&mut self, far: &Samples, near: &mut Samples) {
        let clipped = near.iter().any(|sample| sample.abs() >= CLIPPED);
        self.filtered[0].copy_from_slice(near);
        self.rumble.process_channels(&mut self.filtered);
        near.copy_from_slice(&self.filtered[0]);
        self.far.split(far);
        self.near.split(near);
        while self.far.fill_block() && self.near.fill_block() {
            self.cancel_block(clipped);
        }
        for (band, done) in self.near.bands.iter_mut().zip(&mut self.done) {
            for (out, sample) in band.iter_mut().zip(done.drain(..BAND_SAMPLES)) {
                *out = sample / FULL_SCALE;
            }
        }
        self.near.bank.synthesis(&self.near.bands, near);
    }

    fn cancel_block(&mut self, clipped: bool) {
        let (far, careful, open) = (&self.far.block, &mut self.near.block, &mut self.opened);
        for band in 0..BANDS {
            open.view_mut(band, 0).copy_from_slice(careful.view(band, 0));
        }
        self.careful.buffer_render(far);
        self.careful.process_capture(false, clipped, None, careful);
        self.open.buffer_render(far);
        self.open.process_capture(false, clipped, None, open);
        let share = self.trust.judge(far.view(0, 0), self.careful.get_metrics().delay_ms);
        for (band, done) in self.done.iter_mut().enumerate() {
            let pairs = careful.view(band, 0).iter().zip(open.view(band, 0));
            done.extend(pairs.map(|(careful, open)| careful + share * (open - careful)));
        }
    }

    /// How it does.
    pub fn stats(&self) -> Stats {
        let metrics = self.open.get_metrics();
        Stats {
            echo_return_loss_db: metrics.echo_return_loss,
            enhancement_db: metrics.echo_return_loss_enhancement,
            delay_ms: metrics.delay_ms,
            steps: self.trust.steps,
        }
    }
}

/// How far the open canceller may be trusted: fully once the echo's way has been the same for long.
#[derive(Debug, Default)]
struct Trust {
    /// How late the echo comes, as was found last.
    delay_ms: i32,
    /// Blocks with an echo since that was another one.
    steady: u32,
    share: f32,
    steps: u64,
}

/// So many blocks of 4 ms with something that echoes make a way that stays: 12 s, which are 25 s of speech with its
/// pauses. A PulseAudio whose machine is too busy was seen to change the way every 3 to 15 s.
const STEADY: u32 = 3_000;

/// Blocks from one canceller to the other: 40 ms, in which no step is heard.
const CHANGE_OVER: f32 = 10.0;

/// What is played counts as something that echoes from this mean square on: -50 dBFS.
const AUDIBLE: f32 = 1e-5 * FULL_SCALE * FULL_SCALE;

impl Trust {
    /// One block more, whose echo is found so late; answers the open canceller's share of what is given.
    fn judge(&mut self, far: &[f32], delay_ms: i32) -> f32 {
        if far.iter().map(|sample| sample * sample).sum::<f32>() >= AUDIBLE * far.len() as f32 {
            self.steady += 1;
        }
        if delay_ms != self.delay_ms {
            self.steps += 1;
            (self.delay_ms, self.steady) = (delay_ms, 0);
        }
        let step = if self.steady >= STEADY { 1.0 } else { -1.0 } / CHANGE_OVER;
        self.share = (self.share + step).clamp(0.0, 1.0);
        self.share
    }
}

impl Side {
    fn new() -> Self {
        Self {
            bank: ThreeBandFilterBank::new(),
            bands: [[0.0; BAND_SAMPLES]; BANDS],
            rest: std::array::from_fn(|_| Vec::with_capacity(BAND_SAMPLES + BLOCK_SIZE)),
            block: Block::new(BANDS, 1),
        }
    }

    fn split(&mut self, samples: &Samples) {
        self.bank.analysis(samples, &mut self.bands);
        for (rest, band) in self.rest.iter_mut().zip(&self.bands) {
            rest.extend(band.iter().map(|sample| sample * FULL_SCALE));
        }
    }

    /// The next block, if there is one.
    fn fill_block(&mut self) -> bool {
        if self.rest[0].len() < BLOCK_SIZE {
            return false;
        }
        for (band, rest) in self.rest.iter_mut().enumerate() {
            for (sample, next) in self.block.view_mut(band, 0).iter_mut().zip(rest.drain(..BLOCK_SIZE)) {
                *sample = next;
            }
        }
        true
    }
}

/// What is set otherwise than WebRTC has it, found by a search among 50 sets for the one that leaves most of a near voice
/// while every echo loses 25 dB. Measured by `tests/tests/double_talk.rs`: two voices of espeak-ng, the echo 12 dB below
/// what is played and the near voice 2 dB below the echo; STOI of the near voice while both speak:
///
/// | | WebRTC's | these | nothing done | echo taken out by these |
/// |---|---|---|---|---|
/// | room with a reverberation of 0.25 s | 0.51 | 0.79 | 0.70 | 46 dB |
/// | live room: 0.5 s | 0.52 | 0.75 | 0.71 | 33 dB |
/// | echo louder by 6 dB | 0.48 | 0.69 | 0.52 | 48 dB |
/// | clocks that drift apart by 40 ppm | 0.52 | 0.65 | 0.70 | 39 dB |
///
/// Both together take 0.4 ms of a core for a block of 10 ms.
fn settings() -> EchoCanceller3Config {
    let mut settings = EchoCanceller3Config::default();
    // Blocks of 4 ms that the adaptive filter models: 80 ms of a room instead of 52. More learns more slowly, and what it
    // learns wrongly from a steady vowel echoes at the vowel's end.
    let filter = &mut settings.filter;
    (filter.refined.length_blocks, filter.refined_initial.length_blocks) = (20, 20);
    (filter.coarse.length_blocks, filter.coarse_initial.length_blocks) = (20, 20);
    // How much of what the filter takes off is believed, as power: 18 dB in the lower bands and 15 in the higher, instead
    // of 6 and 1.8.
    (settings.erle.max_l, settings.erle.max_h) = (64.0, 32.0);
    // How much of the reverberation is left from one block to the next, until it has been measured: 0.7 instead of 0.83.
    (settings.ep_strength.default_len, settings.ep_strength.nearend_len) = (0.7, 0.7);
    // How much stronger than the near voice an echo is let through, and from which on none is, as power.
    let let_through = |mask: &mut MaskingThresholds, (transparent, suppressed): (f32, f32)| {
        (mask.enr_transparent, mask.enr_suppress) = (transparent, suppressed);
    };
    let suppressor = &mut settings.suppressor;
    let_through(&mut suppressor.normal_tuning.mask_lf, (1.0, 1.33));
    let_through(&mut suppressor.normal_tuning.mask_hf, (0.15, 0.21));
    let_through(&mut suppressor.nearend_tuning.mask_lf, (2.0, 2.02));
    let_through(&mut suppressor.nearend_tuning.mask_hf, (0.3, 0.9));
    // When the near voice is taken for the stronger one: in 6 blocks of 4 ms instead of 12, with less of a difference.
    let near = &mut suppressor.dominant_nearend_detection;
    (near.enr_threshold, near.snr_threshold, near.trigger_threshold) = (0.7, 15.0, 6);
    let valid = settings.validate();
    debug_assert!(valid, "the settings are within AEC3's bounds");
    settings
}
