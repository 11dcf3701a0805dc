//! Bytes to types and back. Stateless; every decoder refuses what its encoder could not have written.

pub mod clock;
pub mod control;
pub mod datagram;
pub mod feedback;
pub mod framing;
pub mod link;
pub mod media;
pub mod varint;

use crate::time::Timestamp;

/// A time that travelled, in microseconds. Refused beyond what a [`Timestamp`] holds (the year 2554): kept as less, it
/// would not be written again as it was read.
fn timestamp(micros: u64) -> Result<Timestamp, DecodeError> {
    let time = Timestamp::from_micros(micros);
    if time.as_micros() == micros { Ok(time) } else { Err(DecodeError::OutOfRange("time")) }
}

/// Why bytes from the network were refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The datagram ended in the middle of a field.
    #[error("truncated")]
    Truncated,
    /// A kind or a flag that this version does not know.
    #[error("unknown kind or flag {0:#04x}")]
    Unknown(u8),
    /// A field outside its range; names the field.
    #[error("{0} out of range")]
    OutOfRange(&'static str),
    /// A number that was not written in its shortest form: the header would not be byte-identical when written again.
    #[error("number not in its shortest form")]
    NotCanonical,
    /// Bytes left over behind a complete value.
    #[error("{0} bytes left over")]
    Trailing(usize),
}
