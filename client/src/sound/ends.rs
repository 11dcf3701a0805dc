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
    between: Option<Between>,
    reference: Option<Reference>,
    meter: Meter,
    level: Level,
    /// Devices that were used.
    opened: u64,
}

impl Voice {
    /// Takes out what the switches say, from now on and when they change. `between` brings what the speaker plays;
    /// there is no echo without one.
    pub fn new(
        microphone: Microphone,
        mut switches: watch::Receiver<Switches>,
        between: Option<Between>,
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
        if let Some(reference) = self.between.as_ref().and_then(Between::take) {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{capture::sound::BLOCK, chan::latest::latest, sound::ring};

    /// A callback's worth: 5 ms.
    const PERIOD: usize = 240;

    fn at(samples: usize) -> Timestamp {
        Timestamp::from_micros(1_000_000_000) + Duration::from_nanos(samples as u64 * 1_000_000_000 / 48_000)
    }

    fn decibel(samples: &[f32]) -> f32 {
        let power = samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len() as f32;
        10.0 * power.max(1e-12).log10()
    }

    #[test]
    fn what_comes_back_through_the_room_is_not_sent() {
        let (speakers, speaker) = latest();
        let (microphones, microphone) = latest();
        let between = Between::default();
        let switches = watch::Sender::new(Switches { gain: false, ..Switches::default() });
        let mut ear = Ear::new(Speaker::new(speaker), &between);
        let mut voice =
            Voice::new(Microphone::new(microphone), switches.subscribe(), Some(between), Level::default());
        let (writer, mut loudspeaker) = ring::playback(48_000);
        let (mut capsule, reader) = ring::capture(48_000);
        assert!(speakers.put(writer).is_none() && microphones.put(reader).is_none());

        // What is in the air, by the time at which it is heard; the loudspeaker's buffer is 20 ms, the way 8 ms.
        let (buffer, way) = (960, 384);
        let seconds = 6;
        let mut air = vec![0.0_f32; 48_000 * seconds + 2 * buffer];
        let mut speech = visavis_codec::scene::Speech::new(3);
        let (mut sent, mut echo) = (Vec::new(), Vec::new());
        let (mut block, mut stereo) = ([0; BLOCK_SAMPLES], [0.0_f32; 2 * PERIOD]);
        for period in 1..48_000 * seconds / PERIOD {
            let samples = period * PERIOD;
            loudspeaker.read(&mut stereo, 2, at(samples + buffer), at(samples));
            for (n, frame) in stereo.chunks_exact(2).enumerate() {
                air[samples + buffer + n] = frame[0];
            }
            let near: Vec<f32> =
                (samples - PERIOD..samples).map(|n| n.checked_sub(way).map_or(0.0, |n| air[n] * 0.25)).collect();
            capsule.write(&near, 1, at(samples - PERIOD), at(samples));
            echo.extend(near);
            // Both stages look every millisecond.
            for millis in 0..5 {
                let now = at(samples + 48 * millis + 24);
                while ear.poll(now) == Want::Block {
                    speech.fill(&mut block);
                    let heard = ear.play(Some(&block), now);
                    assert!(heard.since(now) < BLOCK * 10);
                }
                let mut out = [0; BLOCK_SAMPLES];
                while let Next::Block(captured) = Source::poll(&mut voice, now, &mut out) {
                    assert!(now.since(captured) < BLOCK * 5, "{:?}", now.since(captured));
                    sent.extend(out.map(|sample| f32::from(sample) / 32_768.0));
                }
            }
        }
        let (echo_db, sent_db) = (decibel(&echo[144_000..]), decibel(&sent[144_000..]));
        assert!(echo_db > -50.0, "there was an echo: {echo_db} dB");
        assert!(echo_db - sent_db >= 25.0, "{echo_db} dB of echo, {sent_db} dB sent");
    }
}
