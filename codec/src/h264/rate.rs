//! Picks the QP of every frame from the bit rate. Pure arithmetic: no codec, no clock, no randomness.
//!
//! openh264's own rate control clips QP steps and the QP of keyframes, so it cannot hit the size that the
//! network has room for; it is off. This model knows three things:
//!
//! 1. **Bits against QP.** The bits of a frame halve about every [`QP_PER_HALVING`] steps of QP. What remains is
//!    the frame's *complexity*, the base-2 logarithm of the bits it would take at QP 0. It is tracked apart for
//!    keyframes, base and upper frames, because they refer to different pictures at different distances.
//! 2. **What the picture itself tells beforehand** ([`Analysis`]): its texture predicts a keyframe's size before
//!    there ever was one, and its difference to the picture before announces motion and cuts one frame earlier
//!    than the sizes do.
//! 3. **A debt** of bits sent beyond the rate, repaid over [`REPAY_FRAMES`] frames. It is what holds the average:
//!    rounding, keyframes and mispredictions all end up in it.
//!
//! A base and an upper frame are budgeted as a pair at one QP ([`UPPER_QP_OFFSET`]) rather than each at half the
//! bits: the base frame is twice as far from its reference, and forcing it into the same size would let quality
//! flicker at half the frame rate.

use crate::Picture;

/// Lowest QP picked. Below it a call gains nothing that people see, and single frames get very large.
pub const MIN_QP: u8 = 14;
/// Highest QP picked. Above it there is little left to save and nothing left to see.
pub const MAX_QP: u8 = 48;
/// QP steps that halve the bits of a frame. The quantiser step doubles every 6; measured slopes on camera
/// footage lie between 4.5 and 7, and the debt absorbs the rest.
pub const QP_PER_HALVING: f64 = 6.0;
/// How much coarser the upper layer is coded. Nothing refers to it, so bits are better spent on the base layer:
/// 2 gains 0.003 of SSIM. But it makes base frames larger: measured at 720p and 2.5 Mbit/s on hand-held camera
/// footage, 95 of 100 frames stay below 19.5 kB with 2, 17.8 kB with 1 and 16.5 kB with 0. A frame's size is its
/// delay, and 10 ms are worth more here than 0.003.
pub const UPPER_QP_OFFSET: u8 = 0;
/// Frames over which the debt is repaid: two thirds of a second at 30 frames/s. Faster shows as QP that swings.
pub const REPAY_FRAMES: f64 = 20.0;
/// How much of a wanted change of QP is made at the next pair. A frame finer than its reference must code anew
/// what the reference left out, a coarser one gets it for nothing, so sizes answer to a *change* of QP at more
/// than twice the steady slope; taking the whole step makes frames swing between a third and three times the
/// mean (seen at 2.5 Mbit/s on camera footage).
const CAUTION: f64 = 0.3;
/// Time on the wire that a keyframe may take, in seconds at the current rate.
pub const KEYFRAME_SECONDS: f64 = 0.1;

/// What a frame is to the reference structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// IDR picture.
    Key,
    /// Base layer, referred to by the next two frames.
    Base,
    /// Upper layer, referred to by none.
    Upper,
}

/// What the model learns from a picture before it is coded; see [`Analyser`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Analysis {
    /// Mean absolute difference between neighbouring luma samples: how much texture there is. 0..=255.
    pub texture: f64,
    /// Mean absolute difference to the luma of the picture before. 0..=255; 0 for the first.
    pub difference: f64,
}

/// Picks QPs and learns from the sizes that came of them.
#[derive(Debug, Clone)]
pub struct RateModel {
    rate_bps: f64,
    nominal_interval_s: f64,
    /// Smoothed time between encoded frames.
    interval_s: f64,
    last_timestamp_us: Option<u64>,
    pixels: f64,
    /// Bits sent beyond the rate; negative when bits were left over.
    debt_bits: f64,
    key: Option<KeyHistory>,
    base: Option<f64>,
    upper: Option<f64>,
    /// Smoothed [`Analysis::difference`].
    usual_difference: Option<f64>,
    /// QP of base frames, with its fraction; upper frames follow it.
    pair_qp: Option<f64>,
}

#[derive(Debug, Clone, Copy)]
struct KeyHistory {
    complexity: f64,
    texture: f64,
}

impl RateModel {
    /// A model for pictures of `pixels` luma samples at about `frames_per_second`, spending `rate_bps`.
    #[must_use]
    pub fn new(rate_bps: u32, frames_per_second: f32, pixels: u64) -> Self {
        let interval = 1.0 / f64::from(frames_per_second).clamp(1.0, 240.0);
        Self {
            rate_bps: f64::from(rate_bps.max(1)),
            nominal_interval_s: interval,
            interval_s: interval,
            last_timestamp_us: None,
            pixels: pixels as f64,
            debt_bits: 0.0,
            key: None,
            base: None,
            upper: None,
            usual_difference: None,
            pair_qp: None,
        }
    }

    /// Sets the rate in bits per second; the next pick obeys it.
    pub fn set_rate(&mut self, rate_bps: u32) {
        let before = std::mem::replace(&mut self.rate_bps, f64::from(rate_bps.max(1)));
        // A lower rate is obeyed at once; a higher one is grown into, frame by frame.
        if let Some(qp) = &mut self.pair_qp {
            *qp += QP_PER_HALVING * (before / self.rate_bps).log2().max(0.0);
        }
        self.limit_debt();
    }

    /// Bits that a keyframe should not exceed.
    #[must_use]
    pub fn keyframe_budget_bits(&self) -> f64 {
        self.rate_bps * KEYFRAME_SECONDS
    }

    /// The QP for the next frame, captured at `timestamp_us` (any epoch; the time since the frame before is what
    /// it may spend). Call [`RateModel::record`] once the frame is coded.
    pub fn pick(&mut self, kind: Kind, analysis: Analysis, timestamp_us: u64) -> u8 {
        self.advance(timestamp_us);
        let qp = match kind {
            Kind::Key => qp_for(self.key_complexity(analysis), self.keyframe_budget_bits()),
            Kind::Base => self.pair_qp(analysis).max(self.surge_qp(kind, analysis)),
            Kind::Upper => {
                // Decided with its base frame, whose surplus must not be taken out on it.
                let pair = self.pair_qp.unwrap_or_else(|| self.pair_qp(analysis));
                (pair.round() + f64::from(UPPER_QP_OFFSET)).max(self.surge_qp(kind, analysis))
            }
        };
        qp.round().clamp(f64::from(MIN_QP), f64::from(MAX_QP)) as u8
    }

    /// Learns that the frame just picked took `bits` at `qp` (the QP may be another than the one picked).
    pub fn record(&mut self, kind: Kind, analysis: Analysis, qp: u8, bits: u64) {
        self.debt_bits += bits as f64;
        self.limit_debt();
        let complexity = complexity(qp, bits as f64);
        match kind {
            Kind::Key => self.key = Some(KeyHistory { complexity, texture: analysis.texture }),
            Kind::Base => learn(&mut self.base, complexity),
            Kind::Upper => learn(&mut self.upper, complexity),
        }
        if kind != Kind::Key {
            let usual = self.usual_difference.get_or_insert(analysis.difference);
            *usual += 0.2 * (analysis.difference - *usual);
        }
    }

    /// A QP at which a keyframe that took `bits` at `qp` would fit its budget, if it was far too large.
    #[must_use]
    pub fn retry_keyframe(&self, qp: u8, bits: u64) -> Option<u8> {
        /// Coding a keyframe again costs some 10 ms; a keyframe at half as much again costs 50 ms of the wire.
        const TOLERANCE: f64 = 1.5;
        let budget = self.keyframe_budget_bits();
        if bits as f64 <= budget * TOLERANCE || qp >= MAX_QP {
            return None;
        }
        let better = qp_for(complexity(qp, bits as f64), budget).ceil();
        Some(better.clamp(f64::from(qp) + 1.0, f64::from(MAX_QP)) as u8)
    }

    /// Lets time pass: the debt shrinks by what the link carried meanwhile.
    fn advance(&mut self, timestamp_us: u64) {
        /// Longest gap that counts in full, in nominal intervals. After a longer one (the network was full, or
        /// the camera stalled) unspent bits are gone: sending them at once would only queue.
        const LONGEST_GAP: f64 = 4.0;
        /// Frames grow with the time between them up to this many nominal intervals: a camera in the dark gives 15
        /// frames/s instead of 30, and each may take twice the bits. Rarer frames mean that the network is full,
        /// and then each must not take longer on the wire.
        const LONGEST_INTERVAL: f64 = 2.0;
        let elapsed = self.last_timestamp_us.and_then(|last| timestamp_us.checked_sub(last));
        let gap = match elapsed {
            Some(us) if us > 0 => (us as f64 / 1e6).min(LONGEST_GAP * self.nominal_interval_s),
            _ => self.nominal_interval_s,
        };
        self.last_timestamp_us = Some(timestamp_us);
        self.interval_s += 0.1 * (gap.min(LONGEST_INTERVAL * self.nominal_interval_s) - self.interval_s);
        self.debt_bits -= self.rate_bps * gap;
        self.limit_debt();
    }

    fn limit_debt(&mut self) {
        /// A cut or a keyframe may cost this long to repay, in seconds of the rate; beyond it old sins are
        /// forgotten, or the picture would stay bad for long.
        const MOST_DEBT_SECONDS: f64 = 0.5;
        /// Unspent bits that are kept, in frames: enough to even out rounding, too little for a burst.
        const MOST_CREDIT_FRAMES: f64 = 3.0;
        let credit = MOST_CREDIT_FRAMES * self.rate_bps * self.interval_s;
        self.debt_bits = self.debt_bits.clamp(-credit, MOST_DEBT_SECONDS * self.rate_bps);
    }

    /// The QP of base frames such that a base and an upper frame together take what a pair may.
    fn pair_qp(&mut self, analysis: Analysis) -> f64 {
        let frame = self.rate_bps * self.interval_s;
        let pair = 2.0 * frame;
        // `advance` has already credited this frame's own share, so a model in balance stands at minus a frame.
        let owed = self.debt_bits + frame;
        let target = (pair - 2.0 * owed / REPAY_FRAMES).clamp(0.4 * pair, 1.6 * pair);
        let (base, upper) = self.pair_complexity(analysis);
        let upper = upper - f64::from(UPPER_QP_OFFSET) / QP_PER_HALVING;
        let together = (base.exp2() + upper.exp2()).log2();
        let qp = match self.pair_qp {
            None => qp_for(together, target),
            Some(last) => last + CAUTION * (qp_for(together, target) - last),
        };
        let qp = qp.clamp(f64::from(MIN_QP), f64::from(MAX_QP));
        self.pair_qp = Some(qp);
        qp
    }

    fn pair_complexity(&self, analysis: Analysis) -> (f64, f64) {
        /// A predicted frame takes about a third of a keyframe's bits at the same QP, until one was coded.
        const PREDICTED_AGAINST_KEY: f64 = -1.6;
        /// An upper frame is half as far from its reference as a base frame.
        const UPPER_AGAINST_BASE: f64 = -0.4;
        let base = self.base.unwrap_or_else(|| self.key_complexity(analysis) + PREDICTED_AGAINST_KEY);
        (base, self.upper.unwrap_or(base + UPPER_AGAINST_BASE))
    }

    /// The QP that a frame must not go below, because what the picture shows beforehand says that it would be
    /// very large: a cut, or sudden motion.
    fn surge_qp(&self, kind: Kind, analysis: Analysis) -> f64 {
        /// Size of a single frame, against the mean, that is still let through.
        const LARGEST_FRAME: f64 = 2.5;
        let Some(usual) = self.usual_difference else { return 0.0 };
        let (base, upper) = self.pair_complexity(analysis);
        let own = if kind == Kind::Upper { upper } else { base };
        let expected = if is_cut(analysis.difference, usual) {
            self.key_complexity(analysis).max(own)
        } else {
            // Motion compensation finds most of a moving picture again, so bits follow the difference weakly.
            own + 0.5 * ((analysis.difference + 1.0) / (usual + 1.0)).log2().clamp(0.0, 2.0)
        };
        qp_for(expected, LARGEST_FRAME * self.rate_bps * self.interval_s)
    }

    fn key_complexity(&self, analysis: Analysis) -> f64 {
        match self.key {
            Some(key) => key.complexity + ((analysis.texture + 0.5) / (key.texture + 0.5)).log2(),
            None => self.pixels.max(1.0).log2() + key_bits_per_pixel_log2(analysis.texture),
        }
    }
}

/// The base-2 logarithm of a keyframe's bits per pixel, extrapolated to QP 0, before any keyframe was coded.
/// Fitted to camera footage and to the generated scene, at 360p and 720p; within a factor of three of both, on the safe side.
fn key_bits_per_pixel_log2(texture: f64) -> f64 {
    2.4 + (texture + 0.5).log2()
}

/// A difference this large and this sudden is another picture, not motion.
fn is_cut(difference: f64, usual: f64) -> bool {
    difference > 20.0 && difference > 4.0 * usual
}

fn complexity(qp: u8, bits: f64) -> f64 {
    bits.max(64.0).log2() + f64::from(qp) / QP_PER_HALVING
}

fn qp_for(complexity: f64, bits: f64) -> f64 {
    (complexity - bits.max(64.0).log2()) * QP_PER_HALVING
}

/// Moves what is known towards what was seen: three frames of a layer, a fifth of a second, to follow a change.
fn learn(known: &mut Option<f64>, complexity: f64) {
    match known {
        Some(known) => *known += 0.3 * (complexity - *known),
        None => *known = Some(complexity),
    }
}

/// Measures texture and change on a sparse grid of luma samples: about 0.1 ms of work on a 720p picture.
#[derive(Debug, Clone, Default)]
pub struct Analyser {
    previous: Vec<u8>,
    current: Vec<u8>,
}

impl Analyser {
    /// Looks at the next picture. A picture of another size counts as the first.
    pub fn analyse(&mut self, picture: &Picture) -> Analysis {
        /// Every fourth sample of every fourth row: motion of a sixteenth of the samples is motion enough.
        const STEP: usize = 4;
        let width = picture.width as usize;
        std::mem::swap(&mut self.previous, &mut self.current);
        self.current.clear();
        let (mut texture, mut pairs) = (0u64, 0u64);
        if width > STEP {
            for row in picture.y.chunks_exact(width).step_by(STEP) {
                for pair in row.chunks_exact(STEP) {
                    texture += u64::from(pair[0].abs_diff(pair[1]));
                    self.current.push(pair[0]);
                }
                pairs += (width / STEP) as u64;
            }
        }
        let difference = if self.previous.len() == self.current.len() && !self.current.is_empty() {
            let sum: u64 = self.previous.iter().zip(&self.current).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
            sum as f64 / self.current.len() as f64
        } else {
            0.0
        };
        Analysis { texture: texture as f64 / pairs.max(1) as f64, difference }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALM: Analysis = Analysis { texture: 6.0, difference: 2.0 };

    /// A picture source whose frames take exactly what the model believes, at a complexity it must find out.
    struct Source {
        model: RateModel,
        frame: u64,
        key: f64,
        base: f64,
        upper: f64,
    }

    impl Source {
        fn new(rate_bps: u32) -> Self {
            let model = RateModel::new(rate_bps, 30.0, 1280 * 720);
            Self { model, frame: 0, key: 22.5, base: 20.5, upper: 20.0 }
        }

        /// Codes the next frame; returns its QP and bits.
        fn next(&mut self, analysis: Analysis) -> (u8, u64) {
            let (kind, complexity) = match self.frame {
                0 => (Kind::Key, self.key),
                n if n % 2 == 0 => (Kind::Base, self.base),
                _ => (Kind::Upper, self.upper),
            };
            let qp = self.model.pick(kind, analysis, self.frame * 33_333);
            let bits = (complexity - f64::from(qp) / QP_PER_HALVING).exp2() as u64;
            self.model.record(kind, analysis, qp, bits);
            self.frame += 1;
            (qp, bits)
        }

        fn total(&mut self, frames: usize) -> u64 {
            (0..frames).map(|_| self.next(CALM).1).sum()
        }
    }

    fn within(bits: u64, rate_bps: f64, frames: f64, tolerance: f64) -> bool {
        let expected = rate_bps * frames / 30.0;
        (bits as f64 / expected - 1.0).abs() < tolerance
    }

    #[test]
    fn the_rate_is_held_over_a_second_whatever_the_content() {
        for complexity_offset in [-1.0, 0.0, 2.0] {
            let mut source = Source::new(2_500_000);
            source.base += complexity_offset;
            source.upper += complexity_offset;
            source.total(60);
            let bits = source.total(30);
            assert!(within(bits, 2.5e6, 30.0, 0.03), "offset {complexity_offset}: {bits}");
        }
    }

    #[test]
    fn a_new_rate_is_obeyed_by_the_next_frame() {
        let mut source = Source::new(2_500_000);
        let before = source.total(60) / 60;
        source.model.set_rate(800_000);
        let pair = source.next(CALM).1 + source.next(CALM).1;
        assert!(pair / 2 < before / 2, "{pair} after {before}");
        source.total(10);
        assert!(within(source.total(30), 0.8e6, 30.0, 0.05));
    }

    #[test]
    fn a_pause_in_encoding_is_not_followed_by_a_burst() {
        let mut source = Source::new(2_500_000);
        source.total(60);
        let usual = (source.next(CALM).1 + source.next(CALM).1) / 2;
        source.frame += 90;
        for _ in 0..4 {
            let bits = source.next(CALM).1;
            assert!(bits < usual * 2, "{bits} after a usual {usual}");
        }
    }

    #[test]
    fn half_the_frame_rate_means_twice_the_bits_each() {
        let mut model = RateModel::new(2_500_000, 30.0, 1280 * 720);
        let mut bits = Vec::new();
        for n in 0..90u64 {
            let kind = if n % 2 == 0 { Kind::Base } else { Kind::Upper };
            let qp = model.pick(kind, CALM, n * 66_667);
            bits.push((20.5 - f64::from(qp) / QP_PER_HALVING).exp2());
            model.record(kind, CALM, qp, bits[n as usize] as u64);
        }
        let mean = bits[45..].iter().sum::<f64>() / 45.0;
        assert!((mean / (2.5e6 / 15.0) - 1.0).abs() < 0.05, "{mean}");
    }

    #[test]
    fn frames_that_the_network_holds_back_do_not_grow_without_end() {
        let mut model = RateModel::new(2_500_000, 30.0, 1280 * 720);
        let mut largest = 0.0f64;
        for n in 0..90u64 {
            let kind = if n % 2 == 0 { Kind::Base } else { Kind::Upper };
            let qp = model.pick(kind, CALM, n * 200_000);
            let bits = (20.5 - f64::from(qp) / QP_PER_HALVING).exp2();
            model.record(kind, CALM, qp, bits as u64);
            largest = largest.max(bits);
        }
        assert!(largest < 4.0 * 2.5e6 / 30.0, "{largest} bits at five frames a second");
    }

    #[test]
    fn a_cut_is_met_with_a_higher_qp_before_its_size_is_known() {
        let mut source = Source::new(2_500_000);
        source.total(60);
        let calm = source.next(CALM).0;
        let cut = source.next(Analysis { texture: 6.0, difference: 60.0 }).0;
        assert!(cut >= calm + 5, "{cut} after {calm}");
    }

    #[test]
    fn a_keyframe_far_over_budget_is_tried_again_coarser() {
        let model = RateModel::new(1_000_000, 30.0, 1280 * 720);
        assert_eq!(model.retry_keyframe(26, 120_000), None);
        assert_eq!(model.retry_keyframe(26, 200_000), Some(32));
        assert_eq!(model.retry_keyframe(MAX_QP, 900_000), None);
    }

    #[test]
    fn qp_stays_in_range_for_absurd_rates() {
        for rate in [0, 1, u32::MAX] {
            let mut source = Source::new(rate);
            for _ in 0..40 {
                let (qp, _) = source.next(CALM);
                assert!((MIN_QP..=MAX_QP).contains(&qp));
            }
        }
    }

    #[test]
    fn the_analyser_sees_texture_and_change() {
        let mut analyser = Analyser::default();
        let flat = Picture::new(64, 64);
        assert_eq!(analyser.analyse(&flat), Analysis { texture: 0.0, difference: 0.0 });
        let mut striped = flat.clone();
        striped.y.iter_mut().skip(1).step_by(2).for_each(|y| *y = 36);
        let seen = analyser.analyse(&striped);
        assert_eq!(seen.texture, 20.0);
        assert_eq!(seen.difference, 0.0);
        striped.y.iter_mut().for_each(|y| *y += 8);
        assert_eq!(analyser.analyse(&striped).difference, 8.0);
        assert_eq!(analyser.analyse(&Picture::new(32, 32)).difference, 0.0);
        analyser.analyse(&Picture::new(1, 1));
    }
}
