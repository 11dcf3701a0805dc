//! What the speaker plays, laid beside what the microphone hears: the far-end signal of the echo canceller.
//!
//! Both sides know when each of their samples passes the air, so the reference for a captured block is cut out of what
//! was played *by time*: what is heard [`LEAD`] after the block's first sample, and so on. Whatever lies in the
//! devices' buffers, the echo then comes [`LEAD`] and the sound's way through the room after its reference, and the
//! canceller is told so. Two devices' clocks drift apart; the reference, which nobody hears, is stretched to follow.
//!
//! ```text
//! sound-in thread: Speaker::play -> heard -> Player -- ring --> Reference::cut(captured) -> Processor: sound-out thread
//! ```

use std::time::Duration;

use rtrb::{Consumer, Producer, RingBuffer};

use visavis_proto::time::Timestamp;

use super::{BLOCK_SAMPLES, SAMPLE_RATE_HZ, Samples, timeline::Timeline};

/// How much earlier than its echo the reference comes, at least: twice the error of the devices' time stamps that was
/// seen through PulseAudio (5 ms). More would ask for sound that the playout has not yet given out.
pub const LEAD: Duration = Duration::from_millis(10);

/// Blocks between the threads: the sound-out thread takes them every 10 ms, unless it hangs.
const BLOCKS: usize = 32;

/// Samples that are kept: most that is played ahead of the air (200 ms for a Bluetooth speaker) and that is captured
/// behind it.
const KEPT: usize = SAMPLE_RATE_HZ as usize;

/// The reference's position is left alone within this of where it should be, in samples: 2.5 ms, the wobble of time
/// stamps on a busy machine. The canceller finds a constant error by itself, and needs it constant: with a reference that
/// followed each wobble its linear part took off 0.2 dB.
const TOLERANCE: f64 = 120.0;

/// Further off than this it is set anew: 20 ms, from which on a [`Timeline`] too takes a wobble for a gap.
const JUMP: f64 = 960.0;

/// Further off than this for [`PATIENCE`] blocks it is set anew as well: after a gap, or when the time stamps have found a
/// better line: to stretch so much away takes longer than the canceller needs to learn. Half of [`LEAD`], beyond which
/// the echo would come before its reference.
const OFF: f64 = 240.0;

/// See [`OFF`]: a second.
const PATIENCE: u32 = 100;

/// So many blocks in a row whose reference has not been played yet are no late playout: the time stamps are off, since
/// nothing echoes before it is played. The reference then comes sooner by what was missing in all of them.
const SHORT: u32 = 5;

/// And by this more, in samples: 1 ms.
const SPARE: f64 = 48.0;

/// Stretching by this at most: 300 ppm. Crystals are within 100 ppm.
const MOST_STRETCH: f64 = 3e-4;

#[derive(Debug, Clone)]
struct Played {
    heard: Timestamp,
    samples: Samples,
}

/// Both ends.
pub fn reference() -> (Player, Reference) {
    let (blocks_in, blocks) = RingBuffer::new(BLOCKS);
    let reference = Reference {
        blocks,
        kept: vec![0.0; KEPT].into_boxed_slice(),
        written: 0,
        timeline: Timeline::new(SAMPLE_RATE_HZ),
        cursor: None,
        drift: 0.0,
        off: 0,
        sooner: 0.0,
        short: (0, f64::INFINITY),
        missing_blocks: 0,
        jumps: 0,
    };
    (Player(blocks_in), reference)
}

/// The sound-in thread's end.
#[derive(Debug)]
pub struct Player(Producer<Played>);

impl Player {
    /// A block is on its way to the ear. If nobody takes it, its echo is not cancelled.
    pub fn played(&mut self, samples: &Samples, heard: Timestamp) {
        let _full = self.0.push(Played { heard, samples: *samples });
    }
}

/// The sound-out thread's end.
#[derive(Debug)]
pub struct Reference {
    blocks: Consumer<Played>,
    /// The last [`KEPT`] samples, each at its position modulo their number.
    kept: Box<[f32]>,
    written: u64,
    timeline: Timeline,
    /// Where the next cut begins, in samples and parts of one.
    cursor: Option<f64>,
    /// How much faster the speaker's clock runs than the microphone's.
    drift: f64,
    /// Blocks in a row that were further off than [`OFF`].
    off: u32,
    /// How much sooner than by the time stamps the reference comes, in samples.
    sooner: f64,
    /// Blocks in a row that were not there, and the least that was missing of them in samples.
    short: (u32, f64),
    missing_blocks: u64,
    jumps: u64,
}

impl Reference {
    /// Cuts out what belongs to a block captured at `captured`; silence where nothing was played.
    pub fn cut(&mut self, captured: Timestamp, out: &mut Samples) {
        while let Ok(block) = self.blocks.pop() {
            self.take(&block);
        }
        let Some(wanted) = self.timeline.position_at(captured + LEAD) else {
            out.fill(0.0);
            return;
        };
        let (cursor, stretch) = self.steer(wanted - self.sooner);
        let cursor = self.hold_back(cursor);
        for (n, sample) in out.iter_mut().enumerate() {
            *sample = self.sample_at(cursor + n as f64 * (1.0 + stretch));
        }
        self.cursor = Some(cursor + BLOCK_SAMPLES as f64 * (1.0 + stretch));
    }

    /// Blocks whose reference was not, or not wholly, there: nothing is being played, or the playout is late.
    pub const fn missing_blocks(&self) -> u64 {
        self.missing_blocks
    }

    /// How often the reference was set anew.
    pub const fn jumps(&self) -> u64 {
        self.jumps
    }

    /// How much faster the speaker's clock runs than the microphone's, in parts per million.
    pub fn drift_ppm(&self) -> f64 {
        self.drift * 1e6
    }

    fn take(&mut self, block: &Played) {
        // What is heard later than the line says comes after a gap: silence fills it, so that the line stays one.
        if let Some(expected) = self.timeline.at(self.written) {
            let gap = block.heard.nanos_from(expected) * i64::from(SAMPLE_RATE_HZ) / 1_000_000_000;
            if (GAP..KEPT as i64).contains(&gap) {
                for _ in 0..gap {
                    self.keep(0.0);
                }
            }
        }
        self.timeline.observe(self.written, block.heard);
        for &sample in &block.samples {
            self.keep(sample);
        }
    }

    fn keep(&mut self, sample: f32) {
        let slot = self.written as usize % KEPT;
        self.kept[slot] = sample;
        self.written += 1;
    }

    /// Moves a cut back that would be of what is not played yet, once that is no accident.
    fn hold_back(&mut self, cursor: f64) -> f64 {
        let missing = cursor + BLOCK_SAMPLES as f64 - self.written as f64;
        if missing <= 0.0 {
            self.short = (0, f64::INFINITY);
            return cursor;
        }
        self.missing_blocks += 1;
        self.short = (self.short.0 + 1, self.short.1.min(missing));
        let (blocks, least) = self.short;
        // Where all is missing, nothing is being played.
        if blocks < SHORT || least > JUMP {
            return cursor;
        }
        self.short = (0, f64::INFINITY);
        self.jumps += 1;
        self.sooner += least + SPARE;
        cursor - least - SPARE
    }

    /// Where to cut, and how much to stretch, so as to stay at `wanted`. A slow proportional-integral loop.
    fn steer(&mut self, wanted: f64) -> (f64, f64) {
        let off = |cursor: f64| (wanted - cursor).abs();
        self.off = if self.cursor.is_some_and(|cursor| off(cursor) > OFF) { self.off + 1 } else { 0 };
        let Some(cursor) = self.cursor.filter(|&cursor| off(cursor) < JUMP && self.off < PATIENCE) else {
            self.jumps += u64::from(self.cursor.is_some());
            self.off = 0;
            return (wanted, self.drift);
        };
        let off = wanted - cursor;
        let beyond = off - off.clamp(-TOLERANCE, TOLERANCE);
        // A millisecond beyond is made up for in 20 s, and known as drift within minutes: the canceller's linear part can
        // follow a few samples a second.
        self.drift = (self.drift + beyond * 2e-10).clamp(-MOST_STRETCH, MOST_STRETCH);
        (cursor, (self.drift + beyond * 1e-6).clamp(-MOST_STRETCH, MOST_STRETCH))
    }

    /// Cubic through the four samples around; the canceller models the lowest 8 kHz, where its error is under -60 dB.
    fn sample_at(&self, position: f64) -> f32 {
        let whole = position.floor();
        let part = (position - whole) as f32;
        let [a, b, c, d] = std::array::from_fn(|n| self.sample(whole as i64 + n as i64 - 1));
        if part == 0.0 {
            return b;
        }
        let (left, right) = ((c - a) * 0.5, (d - b) * 0.5);
        let (square, cube) = (part * part, part * part * part);
        b + left * part + (3.0 * (c - b) - 2.0 * left - right) * square + (2.0 * (b - c) + left + right) * cube
    }

    fn sample(&self, position: i64) -> f32 {
        let oldest = self.written.saturating_sub(KEPT as u64) as i64;
        if position < oldest || position >= self.written as i64 {
            return 0.0;
        }
        self.kept[position as usize % KEPT]
    }
}

/// A gap of so many samples, 15 ms, is a gap; less is the jitter of time stamps.
const GAP: i64 = 720;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::sound::BLOCK;

    fn at(micros: u64) -> Timestamp {
        Timestamp::from_micros(10_000_000 + micros)
    }

    fn tone(position: f64) -> f32 {
        (position * 440.0 * std::f64::consts::TAU / 48_000.0).sin() as f32
    }

    #[test]
    fn the_reference_is_what_is_heard_a_lead_later() {
        let (mut player, mut reference) = reference();
        let mut out = [0.0; BLOCK_SAMPLES];
        for block in 0..20_usize {
            let samples = std::array::from_fn(|n| tone((block * 480 + n) as f64));
            player.played(&samples, at(block as u64 * 10_000));
        }
        reference.cut(at(50_000), &mut out);
        // 50 ms and the lead: sample 2,880 of the tone.
        for (n, &sample) in out.iter().enumerate() {
            assert!((sample - tone((2_880 + n) as f64)).abs() < 1e-4);
        }
        assert_eq!(reference.missing_blocks(), 0);
        reference.cut(at(190_000), &mut out);
        assert_eq!((out[0], out[479]), (0.0, 0.0));
    }

    #[test]
    fn drift_is_followed_without_a_jump() {
        let (mut player, mut reference) = reference();
        let mut out = [0.0; BLOCK_SAMPLES];
        // For four minutes the speaker's clock is 80 ppm slower than the microphone's.
        for block in 0..24_000_u64 {
            player.played(&[0.1; BLOCK_SAMPLES], at((block as f64 * 10_000.8) as u64) + BLOCK * 2);
            reference.cut(at(block * 10_000), &mut out);
        }
        assert_eq!(reference.jumps(), 0);
        assert!((reference.drift_ppm() + 80.0).abs() < 20.0, "{} ppm", reference.drift_ppm());
    }

    #[test]
    fn what_is_not_played_yet_is_not_waited_for() {
        let (mut player, mut reference) = reference();
        let mut out = [0.0; BLOCK_SAMPLES];
        // The last block that was played ends 8 ms before the reference that the time stamps ask for.
        for block in 0..200_u64 {
            player.played(&[0.5; BLOCK_SAMPLES], at(block * 10_000));
            reference.cut(at(block * 10_000) + BLOCK - LEAD - Duration::from_millis(2), &mut out);
        }
        assert_eq!((reference.missing_blocks(), reference.jumps()), (u64::from(SHORT), 1));
        assert!(out.iter().all(|&sample| sample == 0.5));
    }

    #[test]
    fn a_pause_is_silence_and_the_line_goes_on() {
        let (mut player, mut reference) = reference();
        let mut out = [0.0; BLOCK_SAMPLES];
        player.played(&[0.5; BLOCK_SAMPLES], at(20_000));
        player.played(&[0.5; BLOCK_SAMPLES], at(130_000));
        reference.cut(at(50_000), &mut out);
        assert!(out.iter().all(|&sample| sample == 0.0));
        reference.cut(at(121_000), &mut out);
        assert!(out.iter().take(400).all(|&sample| sample == 0.5));
    }
}
