//! A call's two ends of the devices: the pipeline's source and its sink, with the echo's reference between them.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU32, Ordering::Relaxed},
};

use tokio::sync::watch;
use visavis_proto::time::Timestamp;

use super::{
    BLOCK_SAMPLES, Samples,
    echo::{self, Player, Reference},
    level::{FLOOR_DB, Meter},
    microphone::Microphone,
    process::{Processor, Switches},
    speaker::Speaker,
};
use crate::{
    capture::sound::{Block, Next, Source},
    playback::{SoundSink, Want},
};

/// What the speaker's end has made for the microphone's end, which takes it at its next block.
#[derive(Debug, Clone, Default)]
pub struct Between(Arc<Mutex<Option<Reference>>>);

impl Between {
    fn put(&self, reference: Reference) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(reference);
    }

    fn take(&self) -> Option<Reference> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The microphone's level, for whoever shows it.
#[derive(Debug, Clone)]
pub struct Level(Arc<AtomicU32>);

impl Default for Level {
    fn default() -> Self {
        Self(Arc::new(AtomicU32::new(FLOOR_DB.to_bits())))
    }
}

impl Level {
    /// In dB relative to full scale, [`FLOOR_DB`] to 0.
    pub fn db(&self) -> f32 {
        f32::from_bits(self.0.load(Relaxed))
    }

    fn set(&self, db: f32) {
        self.0.store(db.to_bits(), Relaxed);
    }
}

/// A microphone whose echo and noise are taken out.
#[derive(Debug)]
pub struct Voice {
    microphone: Microphone,
    processor: Processor,
    switches: watch::Receiver<Switches>,
    between: Between,
    reference: Option<Reference>,
    meter: Meter,
    level: Level,
    /// Devices that were used.
    opened: u64,
}

impl Voice {
    /// Takes out what the switches say, from now on and when they change.
    pub fn new(
        microphone: Microphone,
        mut switches: watch::Receiver<Switches>,
        between: Between,
        level: Level,
    ) -> Self {
        let processor = Processor::new(*switches.borrow_and_update());
        Self { microphone, processor, switches, between, reference: None, meter: Meter::default(), level, opened: 0 }
    }

    /// The next block in floating point, or when to ask again. What was captured is told with what the processing holds
    /// back taken off.
    pub fn poll(&mut self, now: Timestamp, out: &mut Samples) -> Next {
        let captured = match self.microphone.poll(now, out) {
            Next::Block(captured) => captured,
            wait @ Next::Wait(_) => return wait,
        };
        self.meter.measure(out);
        self.level.set(self.meter.level_db());
        if self.microphone.opened() != self.opened {
            self.opened = self.microphone.opened();
            self.processor.reset();
        }
        if self.switches.has_changed().unwrap_or(false) {
            self.processor.switch(*self.switches.borrow_and_update());
        }
        if let Some(reference) = self.between.take() {
            self.reference = Some(reference);
        }
        let mut far = [0.0; BLOCK_SAMPLES];
        if let Some(reference) = &mut self.reference {
            reference.cut(captured, &mut far);
        }
        self.processor.process(&far, out);
        Next::Block(captured - self.processor.delay())
    }
}

impl Drop for Voice {
    fn drop(&mut self) {
        self.level.set(FLOOR_DB);
        if let Some(reference) = &self.reference {
            let (missing_blocks, jumps, drift_ppm) =
                (reference.missing_blocks(), reference.jumps(), reference.drift_ppm());
            tracing::debug!(missing_blocks, jumps, drift_ppm, echo = ?self.processor.stats(), "the echo's reference");
        }
    }
}

impl Source for Voice {
    fn poll(&mut self, now: Timestamp, out: &mut Block) -> Next {
        let mut samples = [0.0; BLOCK_SAMPLES];
        let next = Self::poll(self, now, &mut samples);
        if let Next::Block(_) = next {
            for (out, sample) in out.iter_mut().zip(samples) {
                // A cast saturates.
                *out = (sample * 32_768.0).round() as i16;
            }
        }
        next
    }
}

/// A speaker that tells the microphone's end what it plays.
#[derive(Debug)]
pub struct Ear {
    speaker: Speaker,
    player: Player,
}

impl Ear {
    /// From now on, `between` has what is played here.
    pub fn new(speaker: Speaker, between: &Between) -> Self {
        let (player, reference) = echo::reference();
        between.put(reference);
        Self { speaker, player }
    }
}

impl SoundSink for Ear {
    fn poll(&mut self, now: Timestamp) -> Want {
        self.speaker.poll(now)
    }

    fn play(&mut self, block: Option<&Block>, now: Timestamp) -> Timestamp {
        let samples = block.map_or([0.0; BLOCK_SAMPLES], |block| block.map(|sample| f32::from(sample) / 32_768.0));
        let heard = self.speaker.play(&samples, now);
        self.player.played(&samples, heard);
        heard
    }
}
