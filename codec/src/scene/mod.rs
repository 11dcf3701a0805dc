//! A generated picture and a generated voice, for when there is no camera or microphone, and for tests.
//!
//! Both are deterministic: the same seed and position give the same samples on every machine (integer
//! arithmetic for the picture, plain IEEE operations for the voice), on whatever thread asks.
//!
//! They are made to be *like a call* for the codecs: the picture has texture everywhere, moves all the time and
//! has the noise of a cheap sensor, so that it can neither be skipped nor coded for free; the voice has pitch,
//! formants, syllables, hissing and pauses, so that voice detection, concealment and time-stretching have to
//! do their work.

mod picture;
mod speech;

pub use picture::Scene;
pub use speech::Speech;

/// A small, fast, well-mixed generator (SplitMix64; Steele, Lea, Flood, "Fast splittable pseudorandom number
/// generators", 2014). Not for secrets.
#[derive(Debug, Clone)]
struct Random(u64);

impl Random {
    const fn new(seed: u64) -> Self {
        Self(seed)
    }

    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0..`bound`; `bound` is not 0.
    const fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// -1.0..1.0
    fn signed(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
}
