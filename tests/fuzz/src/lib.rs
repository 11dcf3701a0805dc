//! What the fuzz targets do with their bytes, and what must hold whatever the bytes are.
//!
//! One function a target, of the same name. `fuzz_targets/` hands them what libFuzzer invents; `tests/tests/corpus.rs`
//! includes this file too, and hands them the seeds that are checked in. They panic where a promise is broken, and only there. Nothing here reads a
//! clock or draws a random number, so bytes that fail once fail always.
//!
//! Stateless decoders take the bytes as they are. State machines take them as a script: [`Script`] reads one operation
//! after the other until the bytes run out, from small sets of calls, devices and frames, so that operations meet.

mod calls;
mod files;
mod media;
mod wire;

pub use calls::{client_calls, relay_calls};
pub use files::{h264, opus_packet, wav, y4m};
pub use media::{clock_sync, feedback, playout, reassembler, relay_forward};
pub use wire::{control_client, control_relay, datagram, link};

use visavis_proto::time::Timestamp;

/// Where scripts begin: a time of this decade, so that differences in both directions fit.
const START: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

/// Reads a script. What is missing at its end reads as zero.
struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    /// The next operation's byte; `None` at the end.
    fn operation(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    fn byte(&mut self) -> u8 {
        self.operation().unwrap_or(0)
    }

    fn number(&mut self) -> u32 {
        u32::from_be_bytes([self.byte(), self.byte(), self.byte(), self.byte()])
    }

    fn long(&mut self) -> u64 {
        u64::from(self.number()) << 32 | u64::from(self.number())
    }

    /// Up to 255 bytes, as many as the next byte says and are left.
    fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte()).min(self.0.len());
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }
}
