//! Clock probes: four timestamps, as in NTP (RFC 5905 section 8), in microseconds since the Unix epoch.

use bytes::{Buf, BufMut};

use super::{DecodeError, datagram::kind, timestamp};
use crate::time::Timestamp;

/// Asks the other end for its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ping {
    /// Matches the answer to the question.
    pub id: u32,
}

/// The answer to a [`Ping`], by the clock of the end that answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pong {
    /// The id of the ping.
    pub id: u32,
    /// When the ping arrived.
    pub received: Timestamp,
    /// When this answer was sent.
    pub sent: Timestamp,
}

impl Ping {
    /// The datagram.
    pub fn encode(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(5);
        out.put_u8(kind::CLOCK_PING);
        out.put_u32(self.id);
        out
    }

    pub(super) fn decode(mut body: &[u8]) -> Result<Self, DecodeError> {
        expect_length(body, 4)?;
        Ok(Self { id: body.get_u32() })
    }
}

impl Pong {
    /// The datagram. Times are cut to whole microseconds.
    pub fn encode(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(21);
        out.put_u8(kind::CLOCK_PONG);
        out.put_u32(self.id);
        out.put_u64(self.received.as_micros());
        out.put_u64(self.sent.as_micros());
        out
    }

    pub(super) fn decode(mut body: &[u8]) -> Result<Self, DecodeError> {
        expect_length(body, 20)?;
        let id = body.get_u32();
        let received = timestamp(body.get_u64())?;
        let sent = timestamp(body.get_u64())?;
        if sent < received {
            return Err(DecodeError::OutOfRange("clock answer"));
        }
        Ok(Self { id, received, sent })
    }
}

fn expect_length(body: &[u8], length: usize) -> Result<(), DecodeError> {
    match body.len() {
        actual if actual < length => Err(DecodeError::Truncated),
        actual if actual > length => Err(DecodeError::Trailing(actual - length)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::datagram::Datagram;

    #[test]
    fn golden_bytes() {
        let ping = Ping { id: 0x0102_0304 };
        assert_eq!(ping.encode(), [3, 1, 2, 3, 4]);
        assert_eq!(Datagram::decode(&ping.encode()), Ok(Datagram::ClockPing(ping)));
        let pong = Pong { id: 7, received: Timestamp::from_micros(0x10), sent: Timestamp::from_micros(0x1ff) };
        assert_eq!(pong.encode(), [4, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 1, 0xff]);
        assert_eq!(Datagram::decode(&pong.encode()), Ok(Datagram::ClockPong(pong)));
        assert_eq!(Datagram::decode(&[3, 1, 2, 3, 4, 5]), Err(DecodeError::Trailing(1)));
        assert_eq!(Datagram::decode(&[4, 1]), Err(DecodeError::Truncated));
        let mut late = pong.encode();
        late[13..].fill(0xff);
        assert_eq!(Datagram::decode(&late), Err(DecodeError::OutOfRange("time")));
    }
}
