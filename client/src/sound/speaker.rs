//! The stage's side of a speaker: asks for blocks of 48 kHz as its device takes them, and tells when each is heard.
//!
//! Runs on the sound-in thread. As little as is safe lies ahead of the device: a margin that grows when a callback
//! found too little or nearly did, and shrinks while none does. While there is no device, blocks are asked for by the
//! clock, so that the playout goes on and the delay does not pile up.

use std::time::Duration;

use visavis_proto::time::Timestamp;

use super::{BLOCK_SAMPLES, SAMPLE_RATE_HZ, Samples, convert::Converter, ring::PlaybackWriter, timeline};
use crate::{capture::sound::BLOCK, chan::latest, playback::Want};

/// Plays through whichever device is open now.
#[derive(Debug)]
pub struct Speaker {
    devices: latest::Reader<PlaybackWriter>,
    line: Option<Line>,
    /// When the next block is due while no device asks.
    due: Option<Timestamp>,
}

#[derive(Debug)]
struct Line {
    writer: PlaybackWriter,
    converter: Converter,
    /// Samples as the device takes them.
    raw: Vec<f32>,
    margin: Duration,
    underruns: u64,
    /// The margin was reached once: before, what is missing is missing because it begins.
    steady: bool,
    calm_since: Timestamp,
}

/// The margin at first: tokio's timers wake up to 1 ms late, and on the build machine with both cores busy a thread of
/// raised priority runs another 2 ms later at the 99th percentile.
const MARGIN: Duration = Duration::from_millis(4);

/// The least margin: the granularity of tokio's timers and a callback's own time.
const LEAST_MARGIN: Duration = Duration::from_millis(2);

/// The most: beyond it the machine is too busy for any margin.
const MOST_MARGIN: Duration = Duration::from_millis(30);

/// What an underrun adds.
const MORE_MARGIN: Duration = Duration::from_millis(2);

/// When less than this part of the margin was left, it has nearly been too small.
const NEARLY: f64 = 0.1;

/// After so long without an underrun the margin shrinks by [`LESS_MARGIN`].
const CALM: Duration = Duration::from_secs(20);

/// See [`CALM`].
const LESS_MARGIN: Duration = Duration::from_micros(500);

/// A device that has not called for so long is not there: longer than any device's period, shorter than what the
/// playout holds.
const PATIENCE: Duration = Duration::from_millis(100);

impl Speaker {
    /// Takes the devices that the manager opens.
    pub const fn new(devices: latest::Reader<PlaybackWriter>) -> Self {
        Self { devices, line: None, due: None }
    }

    /// Whether a block is wanted.
    pub fn poll(&mut self, now: Timestamp) -> Want {
        if let Some(writer) = self.devices.try_take() {
            self.line = Line::new(writer, now);
        }
        if let Some(line) = &mut self.line
            && !line.writer.is_silent(now, PATIENCE)
        {
            self.due = None;
            return line.poll(now);
        }
        let due = *self.due.get_or_insert(now);
        if now >= due { Want::Block } else { Want::Wait(due) }
    }

    /// Takes a block, and answers when its first sample is heard; now, if there is nothing to hear it through.
    pub fn play(&mut self, block: &Samples, now: Timestamp) -> Timestamp {
        if let Some(due) = &mut self.due {
            // After a stall the lost time is not made up for.
            *due = if now.since(*due) > BLOCK * 4 { now + BLOCK } else { *due + BLOCK };
            return now;
        }
        self.line.as_mut().and_then(|line| line.play(block)).unwrap_or(now)
    }
}

impl Line {
    /// `None` for a device whose rate cannot be converted, which the device layer does not open.
    fn new(writer: PlaybackWriter, now: Timestamp) -> Option<Self> {
        let converter = Converter::taking(BLOCK_SAMPLES, SAMPLE_RATE_HZ, writer.rate_hz())
            .inspect_err(|error| tracing::error!(%error, rate_hz = writer.rate_hz(), "the speaker's rate"))
            .ok()?;
        let raw = vec![0.0; converter.most_given()];
        Some(Self { writer, converter, raw, margin: MARGIN, underruns: 0, steady: false, calm_since: now })
    }

    fn poll(&mut self, now: Timestamp) -> Want {
        let Some(ahead) = self.writer.ahead(now) else { return Want::Wait(now + BLOCK) };
        let ahead = ahead / f64::from(self.writer.rate_hz());
        self.adapt(ahead, now);
        let spare = ahead - self.margin.as_secs_f64();
        if spare <= 0.0 { Want::Block } else { Want::Wait(now + Duration::from_secs_f64(spare)) }
    }

    /// Grows the margin when sound broke off, and when it nearly did: this thread woke so late that little was left.
    fn adapt(&mut self, ahead_s: f64, now: Timestamp) {
        let underruns = self.writer.underruns();
        let margin_s = self.margin.as_secs_f64();
        self.steady |= ahead_s > margin_s;
        let nearly = self.steady && ahead_s < margin_s * NEARLY;
        if underruns != self.underruns || (nearly && now.since(self.calm_since) > BLOCK) {
            self.margin = (self.margin + MORE_MARGIN).min(MOST_MARGIN);
            self.calm_since = now;
        } else if now.since(self.calm_since) > CALM {
            self.margin = self.margin.saturating_sub(LESS_MARGIN).max(LEAST_MARGIN);
            self.calm_since = now;
        }
        self.underruns = underruns;
    }

    fn play(&mut self, block: &Samples) -> Option<Timestamp> {
        let given = self.converter.convert(block, &mut self.raw);
        let delay = timeline::duration(self.converter.delay_samples(), self.writer.rate_hz());
        self.writer.write(&self.raw[..given]).map(|heard| heard + delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{chan::latest::latest, sound::ring};

    fn at(micros: u64) -> Timestamp {
        Timestamp::from_micros(10_000_000 + micros)
    }

    #[test]
    fn without_a_device_the_clock_asks() {
        let (_devices, cell) = latest();
        let mut speaker = Speaker::new(cell);
        let block = [0.0; BLOCK_SAMPLES];
        assert_eq!(speaker.poll(at(0)), Want::Block);
        speaker.play(&block, at(0));
        assert_eq!(speaker.poll(at(1)), Want::Wait(at(10_000)));
        assert_eq!(speaker.poll(at(10_000)), Want::Block);
    }

    #[test]
    fn a_device_is_kept_just_ahead_of() {
        let (devices, cell) = latest();
        let mut speaker = Speaker::new(cell);
        let (writer, mut device) = ring::playback(48_000);
        devices.put(writer);
        let block = [0.5; BLOCK_SAMPLES];
        let mut data = [0.0_f32; 480];
        let (mut most, mut asked, mut silent) = (Duration::ZERO, 0, 0);
        // Callbacks of 5 ms for 2 s, 10 ms ahead of the air; the stage looks every millisecond.
        for millis in 0..2_000 {
            if millis % 5 == 0 {
                device.read(&mut data, 2, at(millis * 1_000 + 10_000), at(millis * 1_000));
                silent += u32::from(data[479] != 0.5);
            }
            while speaker.poll(at(millis * 1_000 + 500)) == Want::Block {
                let heard = speaker.play(&block, at(millis * 1_000 + 500));
                asked += 1;
                if millis > 200 {
                    most = most.max(heard.since(at(millis * 1_000 + 500)));
                }
            }
        }
        assert!((199..=202).contains(&asked), "{asked} blocks");
        assert!(silent <= 2, "{silent} callbacks had nothing to play");
        let underrun = device.counters().underrun_samples.load(std::sync::atomic::Ordering::Relaxed);
        assert!(underrun <= 240, "{underrun} samples were missing");
        assert!(most <= Duration::from_millis(20), "{most:?}");
    }
}
