//! The lock-free way between a device's callback and a stage: samples one way, time stamps beside them.
//!
//! The callback's ends ([`CaptureWriter`], [`PlaybackReader`]) never allocate, lock, log or call the system. Samples in
//! the rings are mono at the device's rate; channels are mixed and spread in the callback, where they are in cache.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use cpal::{FromSample, Sample};
use rtrb::{Consumer, Producer, RingBuffer};

use visavis_proto::time::Timestamp;

use super::{
    shortfall::Shortfall,
    timeline::{self, Timeline},
};

/// Sound that a ring holds: a stage that was not run for so long has lost the conversation anyway.
const CAPACITY_MS: usize = 250;

/// Stamps that a ring holds: as many callbacks as fill [`CAPACITY_MS`] at 2 ms each.
const STAMPS: usize = 128;

/// What a stream's callbacks count, for whoever looks.
#[derive(Debug, Default)]
pub struct Counters {
    /// Callbacks so far; a watchdog sees by it that a device is alive.
    pub callbacks: AtomicU64,
    /// Samples dropped because the stage did not take them (capture).
    pub overrun_samples: AtomicU64,
    /// Samples of silence put in because the stage had given none (playback).
    pub underrun_samples: AtomicU64,
    /// Over- and underruns of the device or the server: reported, or seen by their `Shortfall`.
    pub device_xruns: AtomicU64,
    /// Other errors that a stream went on after.
    pub errors: AtomicU64,
    /// Samples that a late stage skipped to be up to date (capture).
    pub skipped_samples: AtomicU64,
}

impl Counters {
    /// A callback was served, and whether sound was lost before it.
    fn called(&self, lost: bool) {
        self.device_xruns.fetch_add(u64::from(lost), Relaxed);
        self.callbacks.fetch_add(1, Relaxed);
    }
}

/// What a callback tells of itself.
#[derive(Debug, Clone, Copy)]
struct Stamp {
    /// Count of the device's samples before this callback, silence that was put in included.
    position: u64,
    /// How many of them were silence that was put in (playback).
    silence: u64,
    /// When the first of its samples passes the air.
    air: Timestamp,
    /// When it was called.
    called: Timestamp,
    /// Samples that it took or gave.
    samples: usize,
}

/// Both ends of a microphone's ring, for a device of this rate.
pub fn capture(rate_hz: u32) -> (CaptureWriter, CaptureReader) {
    let (samples_in, samples) = RingBuffer::new(rate_hz as usize * CAPACITY_MS / 1_000);
    let (stamps_in, stamps) = RingBuffer::new(STAMPS);
    let counters = Arc::<Counters>::default();
    let writer = CaptureWriter {
        samples: samples_in,
        stamps: stamps_in,
        position: 0,
        shortfall: Shortfall::new(rate_hz),
        counters: counters.clone(),
    };
    let times = Times { stamps, timeline: Timeline::new(rate_hz), last: None };
    (writer, CaptureReader { rate_hz, samples, times, position: 0, counters })
}

/// Both ends of a speaker's ring, for a device of this rate.
pub fn playback(rate_hz: u32) -> (PlaybackWriter, PlaybackReader) {
    let (samples, samples_out) = RingBuffer::new(rate_hz as usize * CAPACITY_MS / 1_000);
    let (stamps_in, stamps) = RingBuffer::new(STAMPS);
    let counters = Arc::<Counters>::default();
    let reader = PlaybackReader {
        samples: samples_out,
        stamps: stamps_in,
        position: 0,
        silence: 0,
        shortfall: Shortfall::new(rate_hz),
        counters: counters.clone(),
    };
    let times = Times { stamps, timeline: Timeline::new(rate_hz), last: None };
    (PlaybackWriter { rate_hz, samples, times, position: 0, counters }, reader)
}

/// The callback's end of a microphone's ring.
#[derive(Debug)]
pub struct CaptureWriter {
    samples: Producer<f32>,
    stamps: Producer<Stamp>,
    position: u64,
    shortfall: Shortfall,
    counters: Arc<Counters>,
}

impl CaptureWriter {
    /// Takes what the device captured: interleaved, its first sample at `captured`.
    pub fn write<T>(&mut self, data: &[T], channels: usize, captured: Timestamp, now: Timestamp)
    where
        T: Sample,
        f32: FromSample<T>,
    {
        let frames = data.len() / channels.max(1);
        let taken = frames.min(self.samples.slots());
        let stamp = Stamp { position: self.position, silence: 0, air: captured, called: now, samples: taken };
        // Before the samples, so that whoever sees them can know their time. If it does not fit, the line goes on
        // without it.
        let _full = self.stamps.push(stamp);
        if let Ok(chunk) = self.samples.write_chunk_uninit(taken) {
            chunk.fill_from_iter(data.chunks_exact(channels.max(1)).map(mono));
        }
        self.position += taken as u64;
        self.counters.overrun_samples.fetch_add((frames - taken) as u64, Relaxed);
        self.counters.called(self.shortfall.is_seen(now, frames));
    }

    /// What is counted.
    pub fn counters(&self) -> Arc<Counters> {
        self.counters.clone()
    }
}

/// The mean of the first two channels: microphones are mono or a pair, and an interface's further inputs are seldom
/// meant.
fn mono<T>(frame: &[T]) -> f32
where
    T: Sample,
    f32: FromSample<T>,
{
    match frame {
        [left, right, ..] => (left.to_sample::<f32>() + right.to_sample::<f32>()) * 0.5,
        [only] => only.to_sample::<f32>(),
        [] => 0.0,
    }
}

/// Stamps as they come out of a ring.
#[derive(Debug)]
struct Times {
    stamps: Consumer<Stamp>,
    timeline: Timeline,
    last: Option<Stamp>,
}

impl Times {
    fn update(&mut self) {
        while let Ok(stamp) = self.stamps.pop() {
            self.timeline.observe(stamp.position, stamp.air);
            self.last = Some(stamp);
        }
    }
}

/// The stage's end of a microphone's ring.
#[derive(Debug)]
pub struct CaptureReader {
    rate_hz: u32,
    samples: Consumer<f32>,
    times: Times,
    position: u64,
    counters: Arc<Counters>,
}

impl CaptureReader {
    /// Samples per second of the device.
    pub const fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    /// Samples that wait.
    pub fn available(&self) -> usize {
        self.samples.slots()
    }

    /// Takes `out.len()` samples, and answers when the first of them was captured. `None` if there are not so many.
    pub fn read(&mut self, out: &mut [f32]) -> Option<Timestamp> {
        self.samples.pop_entire_slice(out).ok()?;
        self.times.update();
        let captured = self.times.timeline.at(self.position);
        self.position += out.len() as u64;
        captured
    }

    /// Skips the oldest samples, because they are too old to be sent.
    pub fn skip(&mut self, samples: usize) {
        if let Ok(chunk) = self.samples.read_chunk(samples.min(self.samples.slots())) {
            self.position += chunk.len() as u64;
            self.counters.skipped_samples.fetch_add(chunk.len() as u64, Relaxed);
            chunk.commit_all();
        }
    }

    /// When `missing` more samples are likely to be there.
    pub fn expected(&mut self, missing: usize, now: Timestamp) -> Timestamp {
        self.times.update();
        let soon = now + WAKE_AGAIN;
        let Some(last) = self.times.last.filter(|last| last.samples > 0) else {
            return now + timeline::duration(missing, self.rate_hz);
        };
        let callbacks = missing.div_ceil(last.samples);
        let due = last.called + timeline::duration(callbacks * last.samples, self.rate_hz) + CALLBACK_TAKES;
        due.max(soon)
    }

    /// The device is gone, or its stream was closed: nobody will write any more.
    pub fn is_abandoned(&self) -> bool {
        self.samples.is_abandoned()
    }
}

/// How soon to look again when a callback is late. A look costs 1 us.
const WAKE_AGAIN: std::time::Duration = std::time::Duration::from_millis(1);

/// A callback writes its samples so long after it has been called, at most.
const CALLBACK_TAKES: std::time::Duration = std::time::Duration::from_micros(200);

/// The callback's end of a speaker's ring.
#[derive(Debug)]
pub struct PlaybackReader {
    samples: Consumer<f32>,
    stamps: Producer<Stamp>,
    position: u64,
    silence: u64,
    shortfall: Shortfall,
    counters: Arc<Counters>,
}

impl PlaybackReader {
    /// Gives what the device asks for: interleaved, its first sample to be heard at `heard`. What is missing is
    /// silence.
    pub fn read<T>(&mut self, data: &mut [T], channels: usize, heard: Timestamp, now: Timestamp)
    where
        T: Sample + FromSample<f32>,
    {
        let channels = channels.max(1);
        let frames = data.len() / channels;
        let given = frames.min(self.samples.slots());
        let stamp =
            Stamp { position: self.position, silence: self.silence, air: heard, called: now, samples: frames };
        let _full = self.stamps.push(stamp);
        let (full, empty) = data.split_at_mut(given * channels);
        if let Ok(chunk) = self.samples.read_chunk(given) {
            for (frame, sample) in full.chunks_exact_mut(channels).zip(chunk) {
                spread(frame, sample);
            }
        }
        empty.fill(T::EQUILIBRIUM);
        let silence = (frames - given) as u64;
        // Before the first sound, silence is what is wanted.
        if self.position > self.silence || given > 0 {
            self.counters.underrun_samples.fetch_add(silence, Relaxed);
        }
        self.position += frames as u64;
        self.silence += silence;
        self.counters.called(self.shortfall.is_seen(now, frames));
    }

    /// What is counted.
    pub fn counters(&self) -> Arc<Counters> {
        self.counters.clone()
    }
}

/// The same to the left and to the right; silence to whatever else there is.
fn spread<T>(frame: &mut [T], sample: f32)
where
    T: Sample + FromSample<f32>,
{
    for (channel, out) in frame.iter_mut().enumerate() {
        *out = if channel < 2 { T::from_sample(sample) } else { T::EQUILIBRIUM };
    }
}

/// The stage's end of a speaker's ring.
#[derive(Debug)]
pub struct PlaybackWriter {
    rate_hz: u32,
    samples: Producer<f32>,
    times: Times,
    position: u64,
    counters: Arc<Counters>,
}

impl PlaybackWriter {
    /// Samples per second of the device.
    pub const fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    /// Puts samples in, and answers when the first of them will be heard; `None` before the device has begun. What does
    /// not fit is lost.
    pub fn write(&mut self, samples: &[f32]) -> Option<Timestamp> {
        self.times.update();
        let silence = self.times.last.map_or(0, |last| last.silence);
        let heard = self.times.timeline.at(self.position + silence);
        let (written, _lost) = self.samples.push_partial_slice(samples);
        self.position += written.len() as u64;
        heard
    }

    /// Samples by which the ring is ahead of a device that takes them one by one. It takes a callback's worth at once,
    /// so the ring suffices while this is above zero. `None` before its first callback.
    pub fn ahead(&mut self, now: Timestamp) -> Option<f64> {
        self.times.update();
        let last = self.times.last?;
        let held = self.samples.buffer().capacity() - self.samples.slots();
        let since = now.since(last.called).as_secs_f64() * f64::from(self.rate_hz);
        // A callback that is late takes no more for it.
        Some(held as f64 - since.min(last.samples as f64 * 1.5))
    }

    /// Nothing was called for as long as `patience`: the device is not there, or hangs.
    pub fn is_silent(&mut self, now: Timestamp, patience: std::time::Duration) -> bool {
        self.times.update();
        self.samples.is_abandoned() || self.times.last.is_none_or(|last| now.since(last.called) > patience)
    }

    /// How often so far the sound broke off for want of samples: samples of silence that the device was given, and
    /// underruns that it reported itself.
    pub fn underruns(&self) -> u64 {
        self.counters.underrun_samples.load(Relaxed) + self.counters.device_xruns.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: u64) -> Timestamp {
        Timestamp::from_micros(1_000_000 + micros)
    }

    #[test]
    fn captured_samples_keep_their_time() {
        let (mut writer, mut reader) = capture(48_000);
        writer.write(&[0.5_f32; 480], 2, at(0), at(6_000));
        writer.write(&[-0.5_f32; 480], 2, at(5_000), at(11_000));
        let mut out = [0.0; 360];
        assert_eq!(reader.read(&mut out), Some(at(0)));
        assert_eq!((out[0], out[239], out[240]), (0.5, 0.5, -0.5));
        assert_eq!(reader.read(&mut out[..120]), Some(at(7_500)));
        assert_eq!(reader.read(&mut out), None);
        assert!(reader.expected(480, at(12_000)) >= at(21_000));
    }

    #[test]
    fn a_full_capture_ring_drops_and_counts() {
        let (mut writer, reader) = capture(1_000);
        writer.write(&[1_i16; 300], 1, at(0), at(0));
        assert_eq!(reader.available(), 250);
        assert_eq!(writer.counters().overrun_samples.load(Relaxed), 50);
    }

    #[test]
    fn a_speaker_without_sound_is_given_silence() {
        let (mut writer, mut reader) = playback(48_000);
        let mut data = [1_i16; 480];
        writer.write(&[0.25; 100]);
        reader.read(&mut data, 2, at(20_000), at(10_000));
        assert_eq!((data[0], data[199], data[200]), (8192, 8192, 0));
        assert_eq!(reader.counters().underrun_samples.load(Relaxed), 140);
        // The next block begins where the device's next callback begins.
        assert_eq!(writer.write(&[0.0; 10]), Some(at(20_000) + timeline::duration(100, 48_000)));
    }
}
