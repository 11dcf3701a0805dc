//! The stage's side of a microphone: whole blocks of 48 kHz with the time of their first sample, whatever the device.
//!
//! Runs on the sound-out thread. It is asked rather than waited for: [`Microphone::poll`] answers a block or the time
//! to ask again, so the device's clock paces the stage, and a simulated world can pace it by its own.

use visavis_proto::time::Timestamp;

use super::{BLOCK_SAMPLES, Samples, convert::Converter, ring::CaptureReader, timeline};
use crate::{
    capture::sound::{BLOCK, Next},
    chan::latest,
};

/// Blocks from whichever device is open now. While there is none, nothing comes.
#[derive(Debug)]
pub struct Microphone {
    devices: latest::Reader<CaptureReader>,
    line: Option<Line>,
    opened: u64,
}

#[derive(Debug)]
struct Line {
    reader: CaptureReader,
    converter: Converter,
    /// Samples as the device gave them.
    raw: Vec<f32>,
}

impl Microphone {
    /// Takes the devices that the manager opens.
    pub const fn new(devices: latest::Reader<CaptureReader>) -> Self {
        Self { devices, line: None, opened: 0 }
    }

    /// Devices that were used so far.
    pub const fn opened(&self) -> u64 {
        self.opened
    }

    /// The next block, or when to ask again.
    pub fn poll(&mut self, now: Timestamp, out: &mut Samples) -> Next {
        if let Some(reader) = self.devices.try_take() {
            self.line = Line::new(reader);
            self.opened += 1;
        }
        let Some(line) = self.line.as_mut().filter(|line| !line.reader.is_abandoned() || line.has_block()) else {
            self.line = None;
            return Next::Wait(now + BLOCK);
        };
        line.poll(now, out)
    }
}

/// More than this waiting means that the stage was late. Sound is cheap to skip and dear to delay: what waits is cut to
/// the newest block.
const STALE: std::time::Duration = std::time::Duration::from_millis(60);

impl Line {
    /// `None` for a device whose rate cannot be converted, which the device layer does not open.
    fn new(reader: CaptureReader) -> Option<Self> {
        let converter = Converter::giving(BLOCK_SAMPLES, reader.rate_hz(), super::SAMPLE_RATE_HZ)
            .inspect_err(|error| tracing::error!(%error, rate_hz = reader.rate_hz(), "the microphone's rate"))
            .ok()?;
        let raw = vec![0.0; converter.most_needed()];
        Some(Self { reader, converter, raw })
    }

    fn has_block(&self) -> bool {
        self.reader.available() >= self.converter.needs()
    }

    fn poll(&mut self, now: Timestamp, out: &mut Samples) -> Next {
        let needs = self.converter.needs();
        let available = self.reader.available();
        if available < needs {
            return Next::Wait(self.reader.expected(needs - available, now));
        }
        if timeline::duration(available - needs, self.reader.rate_hz()) > STALE {
            self.reader.skip(available - needs);
        }
        let captured = self.reader.read(&mut self.raw[..needs]).unwrap_or(now - BLOCK);
        self.converter.convert(&self.raw[..needs], out);
        Next::Block(captured - timeline::duration(self.converter.delay_samples(), super::SAMPLE_RATE_HZ))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{chan::latest::latest, sound::ring};

    fn at(micros: u64) -> Timestamp {
        Timestamp::from_micros(10_000_000 + micros)
    }

    #[test]
    fn the_device_paces_the_blocks() {
        let (devices, cell) = latest();
        let mut microphone = Microphone::new(cell);
        let mut block = [0.0; BLOCK_SAMPLES];
        assert_eq!(microphone.poll(at(0), &mut block), Next::Wait(at(0) + BLOCK));

        let (mut device, reader) = ring::capture(48_000);
        devices.put(reader);
        device.write(&[0.1_f32; 240], 1, at(0), at(5_500));
        let Next::Wait(again) = microphone.poll(at(5_600), &mut block) else { panic!("a block too early") };
        assert!(again > at(10_400) && again < at(11_000), "{again:?}");
        device.write(&[0.1_f32; 240], 1, at(5_000), at(10_500));
        assert_eq!(microphone.poll(again, &mut block), Next::Block(at(0)));
        assert_eq!(block[479], 0.1);

        drop(device);
        assert!(matches!(microphone.poll(at(20_000), &mut block), Next::Wait(_)));
    }

    #[test]
    fn a_late_stage_goes_on_with_the_newest_block() {
        let (devices, cell) = latest();
        let mut microphone = Microphone::new(cell);
        let (mut device, reader) = ring::capture(48_000);
        devices.put(reader);
        for callback in 0..40 {
            device.write(&[0.0_f32; 240], 1, at(callback * 5_000), at((callback + 1) * 5_000));
        }
        let mut block = [0.0; BLOCK_SAMPLES];
        let Next::Block(captured) = microphone.poll(at(200_000), &mut block) else { panic!("no block") };
        assert_eq!(at(200_000).since(captured), Duration::from_millis(10));
    }
}
