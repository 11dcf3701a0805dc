//! When each block of sound is played, concealed or stretched. Pure policy; decoding and stretching are the sink's.
//!
//! ```text
//! frames -> buffer, by number -> Play | PlayWithFecOf | Conceal | Silence   (one a block of 10 ms)
//!        -> arrival percentile -> target delay -> Stretch
//! ```
//!
//! The audio codec thread asks [`AudioPlayout::next`] whenever its output runs below one block. A sink that shortens
//! sound therefore asks again sooner, and one that lengthens it later, which is how stretching moves the delay; it
//! need not report what it did. A sink that cannot stretch may drop a block instead of shortening it, and play one
//! twice instead of lengthening it.
//!
//! The delay aimed at is capture to play: the percentile of capture to arrival, and a margin. When a frame is not there
//! in time, the block is concealed and its frame still owed: if it comes after all it is played, later than planned,
//! and the excess is stretched away; if a later frame comes without it, the concealment stood in for it and the delay
//! stays as it was.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use super::arrival::Arrivals;
use crate::{ids::FrameNumber, time::Timestamp};

/// The length of a frame and of a block.
pub const BLOCK: Duration = Duration::from_millis(10);

/// Added to the arrival percentile: half a block, for timers of the sink that wake late.
const MARGIN: i64 = 5 * MS;

/// How far above the target the delay may stand before sound is shortened. Where a block's time falls within its
/// frame's is chance, so one block cannot be called an error.
const ABOVE: i64 = 10 * MS;

/// How far below the target it may stand before sound is lengthened: 2 ms before the margin is used up, so that drift is
/// stretched away and never concealed.
const BELOW: i64 = 3 * MS;

/// How far above the target it may stand at all; beyond it frames are skipped. Shortening takes about 1 s for this
/// much, and a conversation suffers more from the delay than from the skip.
const FAR_ABOVE: i64 = 100 * MS;

/// The target stays within this of the fastest arrival: past half a second people talk into each other, and holes are
/// the lesser evil.
const MAX_SPREAD: i64 = 500 * MS;

/// After this many concealed blocks in a row there is silence: Opus's concealment has faded out by then, and whoever
/// muted their microphone is not to be heard humming.
const MAX_CONCEALED: u32 = 10;

/// How long sound is not shortened after a frame came late. A step in the path's delay shows as one late frame first,
/// and reaches the percentile only after 3 % of its window.
const SETTLE: Duration = Duration::from_millis(500);

/// The delay acted on is the least of this many blocks, so that a sink that asks for several blocks at once, up to
/// 40 ms, is given the delay that its last one needs.
const RECENT: usize = 4;

/// Most frames kept: 1 s, above any delay that is ever aimed at. Beyond it the oldest is dropped.
const MAX_FRAMES: usize = 100;

const MS: i64 = 1_000_000;

/// What to put out for one block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Decode and play this frame.
    Play {
        /// Which frame.
        number: FrameNumber,
        /// Its bytes, as they were given.
        payload: Vec<u8>,
    },
    /// Frame `number` is missing: recover it from the in-band FEC of the frame after it, which stays in the buffer.
    PlayWithFecOf {
        /// The missing frame.
        number: FrameNumber,
        /// The bytes of the frame after it.
        next_payload: Vec<u8>,
    },
    /// Let the decoder conceal a block.
    Conceal,
    /// Nothing is being said: not started, muted, or gone.
    Silence,
}

/// How the block should be changed on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stretch {
    /// As it is.
    None,
    /// Shorten it, by a pitch period or up to half of it.
    Accelerate,
    /// Lengthen it likewise.
    Expand,
}

/// One block's decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Where its sound comes from.
    pub step: Step,
    /// How to change it; only ever asked of a frame that is played.
    pub stretch: Stretch,
}

/// Counts since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Blocks played from their own frame.
    pub played: u64,
    /// Blocks concealed.
    pub concealed: u64,
    /// Blocks recovered from the next frame's FEC.
    pub fec_recovered: u64,
    /// Frames that came after their block had been given up.
    pub late: u64,
    /// Frames that came before.
    pub duplicates: u64,
    /// Frames skipped to catch up, or for want of room.
    pub skipped: u64,
    /// Blocks to shorten.
    pub accelerated: u64,
    /// Blocks to lengthen.
    pub expanded: u64,
}

impl Stats {
    /// Concealed blocks among those that sound was expected for, 0 to 1.
    pub fn concealed_share(&self) -> f64 {
        match self.played + self.concealed + self.fec_recovered {
            0 => 0.0,
            blocks => self.concealed as f64 / blocks as f64,
        }
    }
}

/// Plays one stream of sound.
#[derive(Debug, Default)]
pub struct AudioPlayout {
    buffer: BTreeMap<u32, Buffered>,
    /// The next frame to play, once anything was played: earlier ones are late.
    expected: Option<u32>,
    running: bool,
    /// Blocks concealed for frames that may yet come.
    owed: u32,
    /// Blocks concealed in a row.
    concealed_run: u32,
    arrivals: Arrivals,
    /// Delays of the last blocks, in nanoseconds; at most [`RECENT`].
    recent: VecDeque<i64>,
    delay: Option<i64>,
    settled_at: Timestamp,
    stats: Stats,
}

#[derive(Debug)]
struct Buffered {
    capture: Timestamp,
    payload: Vec<u8>,
}

impl AudioPlayout {
    /// Silent until frames come.
    pub fn new() -> Self {
        Self::default()
    }

    /// A frame came. `capture` is its capture time by the local clock, as far as that is known.
    pub fn handle_frame(&mut self, number: FrameNumber, capture: Timestamp, now: Timestamp, payload: Vec<u8>) {
        if self.buffer.contains_key(&number.0) {
            self.stats.duplicates += 1;
            return;
        }
        self.arrivals.record(now.nanos_from(capture));
        if self.expected.is_some_and(|expected| number.0 < expected) {
            self.stats.late += 1;
            return;
        }
        self.buffer.insert(number.0, Buffered { capture, payload });
        if self.buffer.len() > MAX_FRAMES {
            self.buffer.pop_first();
            self.stats.skipped += 1;
        }
    }

    /// What to put out for the block that begins now.
    pub fn next(&mut self, now: Timestamp) -> Block {
        self.catch_up(now);
        if !self.running && !self.start(now) {
            return Block { step: Step::Silence, stretch: Stretch::None };
        }
        let step = self.step(now);
        match &step {
            Step::Play { .. } => self.stats.played += 1,
            Step::PlayWithFecOf { .. } => self.stats.fec_recovered += 1,
            Step::Conceal => self.stats.concealed += 1,
            Step::Silence => {}
        }
        let stretch = match step {
            Step::Play { .. } => self.advise(now),
            _ => Stretch::None,
        };
        Block { step, stretch }
    }

    /// Nanoseconds from capture to play, averaged over the last blocks; `None` until something was played. Shifted by
    /// the error of the clock estimate, as the delays of pictures are.
    pub const fn delay_nanos(&self) -> Option<i64> {
        self.delay
    }

    /// Nanoseconds from capture to play that are aimed at; `None` until something came.
    pub fn target_nanos(&self) -> Option<i64> {
        let percentile = self.arrivals.percentile()?;
        let most = self.arrivals.least()?.saturating_add(MAX_SPREAD);
        Some(percentile.min(most).saturating_add(MARGIN))
    }

    /// Counts since the start.
    pub const fn stats(&self) -> Stats {
        self.stats
    }

    /// Frames in the buffer.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// Begins with the freshest frame that has waited long enough.
    fn start(&mut self, now: Timestamp) -> bool {
        let Some(target) = self.target_nanos() else {
            return false;
        };
        let Some(first) = self.freshest_due(now, target) else {
            return false;
        };
        self.skip_to(first);
        self.running = true;
        true
    }

    /// Skips frames if the next one stands far above the target.
    fn catch_up(&mut self, now: Timestamp) {
        let (Some(target), Some((_, next))) = (self.target_nanos(), self.buffer.first_key_value()) else {
            return;
        };
        if now.nanos_from(next.capture) > target.saturating_add(FAR_ABOVE)
            && let Some(first) = self.freshest_due(now, target)
        {
            self.skip_to(first);
        }
    }

    fn step(&mut self, now: Timestamp) -> Step {
        let (Some(expected), Some(target)) = (self.expected, self.target_nanos()) else {
            return Step::Silence;
        };
        let Some((&first, next)) = self.buffer.first_key_value() else {
            return self.conceal(expected, true);
        };
        let delay = now.nanos_from(next.capture);
        // What was owed and did not come before its successor is lost, and has been concealed already.
        let covered = self.owed.min(first - expected);
        self.owed -= covered;
        let expected = expected + covered;
        if self.owed > 0 && first == expected && delay < target - BELOW {
            // The sender paused: after the gap its first frame waits like any other.
            return self.conceal(expected, true);
        }
        if first == expected {
            if self.owed > 0 {
                self.settled_at = now + SETTLE;
                self.owed = 0;
            }
            return self.play(first, delay);
        }
        if first == expected + 1 {
            let next_payload = next.payload.clone();
            self.concealed_run = 0;
            self.expected = Some(first);
            return Step::PlayWithFecOf { number: FrameNumber(expected), next_payload };
        }
        self.conceal(expected, false)
    }

    fn play(&mut self, number: u32, delay: i64) -> Step {
        let Some(frame) = self.buffer.remove(&number) else {
            return Step::Conceal;
        };
        self.expected = Some(number.saturating_add(1));
        self.concealed_run = 0;
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(delay);
        // An eighth per block follows a stretch within 100 ms and hides a sink's batches.
        self.delay = Some(self.delay.map_or(delay, |mean| mean + (delay - mean) / 8));
        Step::Play { number: FrameNumber(number), payload: frame.payload }
    }

    /// Conceals a block for frame `expected`, which may yet come (`owed`) or is given up.
    fn conceal(&mut self, expected: u32, owed: bool) -> Step {
        self.concealed_run += 1;
        self.expected = Some(if owed { expected } else { expected.saturating_add(1) });
        self.owed += u32::from(owed);
        if self.concealed_run > MAX_CONCEALED {
            self.running = false;
            self.owed = 0;
            self.concealed_run = 0;
            self.recent.clear();
            return Step::Silence;
        }
        Step::Conceal
    }

    fn advise(&mut self, now: Timestamp) -> Stretch {
        let (Some(target), Some(&least)) = (self.target_nanos(), self.recent.iter().min()) else {
            return Stretch::None;
        };
        if self.recent.len() < RECENT {
            return Stretch::None;
        }
        let stretch = if least > target + ABOVE && now >= self.settled_at {
            self.stats.accelerated += 1;
            Stretch::Accelerate
        } else if least < target - BELOW {
            self.stats.expanded += 1;
            Stretch::Expand
        } else {
            return Stretch::None;
        };
        // Its effect is to be seen before the next one.
        self.recent.clear();
        stretch
    }

    /// The last frame of those that have waited for the target, in an unbroken row from the first.
    fn freshest_due(&self, now: Timestamp, target: i64) -> Option<u32> {
        let due = |frame: &Buffered| now.nanos_from(frame.capture) >= target;
        self.buffer.iter().take_while(|(_, frame)| due(frame)).last().map(|(&number, _)| number)
    }

    fn skip_to(&mut self, first: u32) {
        while self.buffer.first_key_value().is_some_and(|(&number, _)| number < first) {
            self.buffer.pop_first();
            self.stats.skipped += 1;
        }
        self.expected = Some(first);
        self.owed = 0;
        self.concealed_run = 0;
    }
}

#[cfg(test)]
mod tests;
