//! The first byte of every datagram says what follows.

use super::{DecodeError, clock, feedback::Feedback, media};

/// The largest datagram that carries media, headers included. It fits every hop's QUIC packet with room for an
/// acknowledgement beside it, so that a relay never has to cut one again.
pub const MAX_MEDIA_BYTES: usize = 1_140;

/// Datagram kinds, as their first byte.
pub(crate) mod kind {
    pub const MEDIA: u8 = 0x01;
    pub const FEEDBACK: u8 = 0x02;
    pub const CLOCK_PING: u8 = 0x03;
    pub const CLOCK_PONG: u8 = 0x04;
    pub const PADDING: u8 = 0x05;
}

/// One decoded datagram. Media keeps a view into the bytes it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Datagram<'a> {
    /// A slice of a sealed frame.
    Media(media::Packet<'a>),
    /// Arrival times of packets, from the receiving end of a hop.
    Feedback(Feedback),
    /// A clock probe.
    ClockPing(clock::Ping),
    /// Its answer.
    ClockPong(clock::Pong),
    /// Bytes that only probe the path; the length counts, the content does not.
    Padding(usize),
}

impl<'a> Datagram<'a> {
    /// Decodes a whole datagram.
    ///
    /// # Errors
    ///
    /// Any [`DecodeError`]; the datagram is then to be dropped and counted.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let (&first, rest) = bytes.split_first().ok_or(DecodeError::Truncated)?;
        match first {
            kind::MEDIA => media::Packet::decode(bytes).map(Self::Media),
            kind::FEEDBACK => Feedback::decode(rest).map(Self::Feedback),
            kind::CLOCK_PING => clock::Ping::decode(rest).map(Self::ClockPing),
            kind::CLOCK_PONG => clock::Pong::decode(rest).map(Self::ClockPong),
            kind::PADDING => Ok(Self::Padding(bytes.len())),
            other => Err(DecodeError::Unknown(other)),
        }
    }
}
