//! Opus for calls: 48 kHz, mono, 10 ms frames. Runs on the audio codec thread of each end.
//!
//! # Delay
//!
//! A frame is 10 ms, and the encoder looks ahead 6.5 ms ([`Encoder::lookahead_samples`], 312 samples), so the
//! codec's share of mouth-to-ear is 16.5 ms: 10 ms to gather the frame and 6.5 ms that the decoded sound lags
//! behind it.
//!
//! The application is "VoIP", knowingly: the low-delay one would look ahead 2.5 ms instead, but it is CELT only,
//! and in-band error correction lives in SILK. 4 ms are less than what one more packet of jitter buffer would
//! cost to hide the same loss. While the expected loss is 0 libopus codes as it thinks best; from 1 % it uses
//! SILK (or SILK and CELT) for speech and puts a coarse copy of each frame into the next packet.
//!
//! A frame of 10 ms rather than 20 saves 10 ms and costs some quality per bit; below 1 Mbit/s the network layer
//! puts two frames into a datagram, which saves the headers without giving the decoder longer frames to lose.
//!
//! Encoding takes 0.1 ms a frame, decoding 0.02 ms (`examples/measure_sound`).

use ::opus as libopus;

/// Samples per second, in and out.
pub const SAMPLE_RATE_HZ: u32 = 48_000;
/// Samples per frame: 10 ms.
pub const FRAME_SAMPLES: usize = 480;
/// Room that [`Encoder::encode`] wants in `out`: Opus frames are never longer than this (RFC 6716 section 3.4).
pub const MAX_PACKET_BYTES: usize = 1275;

/// Why sound was not encoded or decoded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// libopus refused.
    #[error("Opus: {0}")]
    Opus(#[from] libopus::Error),
    /// The samples given are not one frame.
    #[error("an Opus frame here is {FRAME_SAMPLES} samples, not {0}")]
    FrameLength(usize),
    /// The packet is well formed but holds another duration than one frame.
    #[error("the Opus packet holds {0} samples instead of {FRAME_SAMPLES}")]
    PacketDuration(usize),
    /// The packet has no bytes, or more than an Opus packet can have.
    #[error("an Opus packet of {0} bytes")]
    PacketLength(usize),
}

/// Encodes one voice.
#[derive(Debug)]
pub struct Encoder {
    inner: libopus::Encoder,
}

impl Encoder {
    /// An encoder at `bitrate_bps` (6,000..=510,000; values outside are brought into that range), with in-band
    /// error correction allowed and no loss expected yet.
    ///
    /// # Errors
    ///
    /// [`Error::Opus`] when libopus is out of memory.
    pub fn new(bitrate_bps: u32) -> Result<Self, Error> {
        let mut inner = libopus::Encoder::new(SAMPLE_RATE_HZ, libopus::Channels::Mono, libopus::Application::Voip)?;
        inner.set_signal(libopus::Signal::Voice)?;
        inner.set_inband_fec(true)?;
        inner.set_packet_loss_perc(0)?;
        // Constrained VBR: quality where it is needed, yet no packet that the pacer has not reckoned with.
        inner.set_vbr(true)?;
        inner.set_vbr_constraint(true)?;
        // No discontinuous transmission: its gaps look like loss to the congestion controller.
        inner.set_dtx(false)?;
        // 9 of 10 takes 0.1 ms a frame at 32 kbit/s; there is nothing to save by less.
        inner.set_complexity(9)?;
        let mut this = Self { inner };
        this.set_bitrate(bitrate_bps)?;
        Ok(this)
    }

    /// Encodes one frame of exactly [`FRAME_SAMPLES`] samples into `out` (give it [`MAX_PACKET_BYTES`]; with less
    /// room the packet gets worse to fit) and returns its length in bytes.
    ///
    /// # Errors
    ///
    /// [`Error::FrameLength`] for another number of samples, [`Error::Opus`] when `out` is too short.
    pub fn encode(&mut self, pcm: &[i16], out: &mut [u8]) -> Result<usize, Error> {
        if pcm.len() != FRAME_SAMPLES {
            return Err(Error::FrameLength(pcm.len()));
        }
        let room = out.len().min(MAX_PACKET_BYTES);
        Ok(self.inner.encode(pcm, &mut out[..room])?)
    }

    /// Tells how much loss to prepare for, in per cent (more than 100 counts as 100). From 1 on, frames of speech
    /// carry a copy of the frame before; the more loss, the better the copy.
    ///
    /// # Errors
    ///
    /// [`Error::Opus`], which libopus has no reason for.
    pub fn set_expected_loss(&mut self, percent: u8) -> Result<(), Error> {
        Ok(self.inner.set_packet_loss_perc(i32::from(percent.min(100)))?)
    }

    /// Sets the bit rate in bits per second (brought into 6,000..=510,000), from the next frame on.
    ///
    /// # Errors
    ///
    /// [`Error::Opus`], which libopus has no reason for.
    pub fn set_bitrate(&mut self, bitrate_bps: u32) -> Result<(), Error> {
        let bitrate = bitrate_bps.clamp(6_000, 510_000) as i32;
        Ok(self.inner.set_bitrate(libopus::Bitrate::Bits(bitrate))?)
    }

    /// How far the decoded sound lags behind what was encoded, in samples.
    ///
    /// # Errors
    ///
    /// [`Error::Opus`], which libopus has no reason for.
    pub fn lookahead_samples(&mut self) -> Result<usize, Error> {
        Ok(usize::try_from(self.inner.get_lookahead()?).unwrap_or(0))
    }
}

/// Decodes one voice. For every 10 ms call exactly one of the three methods, in order.
#[derive(Debug)]
pub struct Decoder {
    inner: libopus::Decoder,
}

impl Decoder {
    /// A decoder that has heard nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Opus`] when libopus is out of memory.
    pub fn new() -> Result<Self, Error> {
        Ok(Self { inner: libopus::Decoder::new(SAMPLE_RATE_HZ, libopus::Channels::Mono)? })
    }

    /// Decodes a packet that arrived.
    ///
    /// # Errors
    ///
    /// An error for bytes that are no Opus packet of one frame's duration; the decoder stays usable, and the
    /// caller should [conceal](Self::conceal) instead.
    pub fn decode(&mut self, packet: &[u8], out: &mut [i16; FRAME_SAMPLES]) -> Result<(), Error> {
        self.check(packet)?;
        self.run(packet, out, false)
    }

    /// Recovers a frame whose own packet was lost from the copy in the packet after it. Then decode that packet
    /// itself. When it carries no copy this is the same as [`Self::conceal`].
    ///
    /// # Errors
    ///
    /// As [`Self::decode`].
    pub fn decode_fec(&mut self, next_packet: &[u8], out: &mut [i16; FRAME_SAMPLES]) -> Result<(), Error> {
        self.check(next_packet)?;
        self.run(next_packet, out, true)
    }

    /// Invents a frame from what was heard before. Over some hundred milliseconds it fades to the background
    /// noise that libopus has heard, not to silence; who wants silence after a long loss stops calling.
    ///
    /// # Errors
    ///
    /// [`Error::Opus`], which libopus has no reason for.
    pub fn conceal(&mut self, out: &mut [i16; FRAME_SAMPLES]) -> Result<(), Error> {
        self.run(&[], out, false)
    }

    fn check(&self, packet: &[u8]) -> Result<(), Error> {
        if packet.is_empty() || packet.len() > MAX_PACKET_BYTES {
            return Err(Error::PacketLength(packet.len()));
        }
        let samples = self.inner.get_nb_samples(packet)?;
        if samples == FRAME_SAMPLES { Ok(()) } else { Err(Error::PacketDuration(samples)) }
    }

    fn run(&mut self, packet: &[u8], out: &mut [i16; FRAME_SAMPLES], fec: bool) -> Result<(), Error> {
        let samples = self.inner.decode(packet, out, fec)?;
        out[samples.min(FRAME_SAMPLES)..].fill(0);
        Ok(())
    }
}
