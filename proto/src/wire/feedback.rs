//! Feedback datagrams: which packets of a hop arrived, and when, from its receiving end to its sending end.

use bytes::{Buf, BufMut};

use super::{DecodeError, datagram::kind, timestamp, varint};
use crate::time::Timestamp;

/// Most packets that one report covers: 2 s of a 3 Mbit/s stream, within one datagram.
pub const MAX_ENTRIES: usize = 400;

/// Arrival of the packets `base..base + arrivals.len()` of a hop (sequence numbers wrap).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feedback {
    /// The first hop sequence number covered.
    pub base: u32,
    /// The receiver's time, in whole microseconds, that arrivals are counted from.
    pub reference: Timestamp,
    /// For each packet, microseconds after `reference`, or `None` if it had not arrived.
    pub arrivals: Vec<Option<u32>>,
}

impl Feedback {
    /// The datagram. Entries beyond [`MAX_ENTRIES`] are cut.
    pub fn encode(&self) -> Vec<u8> {
        let entries = &self.arrivals[..self.arrivals.len().min(MAX_ENTRIES)];
        let mut out = Vec::with_capacity(16 + entries.len() * 3);
        out.put_u8(kind::FEEDBACK);
        out.put_u32(self.base);
        varint::write(&mut out, self.reference.as_micros());
        varint::write(&mut out, entries.len() as u64);
        // Arrivals are mostly in order: each is written as the signed distance to the one before, zigzag, plus one;
        // zero stands for a packet that did not arrive.
        let mut previous = 0i64;
        for entry in entries {
            match entry {
                None => varint::write(&mut out, 0),
                Some(after) => {
                    let difference = i64::from(*after) - previous;
                    previous = i64::from(*after);
                    varint::write(&mut out, zigzag(difference) + 1);
                }
            }
        }
        out
    }

    pub(super) fn decode(mut input: &[u8]) -> Result<Self, DecodeError> {
        if input.remaining() < 4 {
            return Err(DecodeError::Truncated);
        }
        let base = input.get_u32();
        let reference = timestamp(varint::read(&mut input)?)?;
        let count = varint::read(&mut input)? as usize;
        if count > MAX_ENTRIES {
            return Err(DecodeError::OutOfRange("feedback entries"));
        }
        let mut arrivals = Vec::with_capacity(count);
        let mut previous = 0i64;
        for _ in 0..count {
            let value = varint::read(&mut input)?;
            if value == 0 {
                arrivals.push(None);
                continue;
            }
            previous = previous
                .checked_add(unzigzag(value - 1))
                .filter(|&after| u32::try_from(after).is_ok())
                .ok_or(DecodeError::OutOfRange("arrival"))?;
            arrivals.push(u32::try_from(previous).ok());
        }
        match input.len() {
            0 => Ok(Self { base, reference, arrivals }),
            more => Err(DecodeError::Trailing(more)),
        }
    }
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::datagram::Datagram;
    use proptest::prelude::*;

    #[test]
    fn golden_bytes() {
        let feedback = Feedback {
            base: 9,
            reference: Timestamp::from_micros(1_000),
            arrivals: vec![Some(0), None, Some(30), Some(20)],
        };
        assert_eq!(feedback.encode(), [2, 0, 0, 0, 9, 0x43, 0xe8, 4, 1, 0, 61, 20]);
        assert_eq!(Datagram::decode(&feedback.encode()), Ok(Datagram::Feedback(feedback)));
    }

    proptest! {
        #[test]
        fn round_trip(base in any::<u32>(), us in 0..varint::MAX / 1000,
                      arrivals in proptest::collection::vec(proptest::option::of(any::<u32>()), 0..MAX_ENTRIES)) {
            let feedback = Feedback { base, reference: Timestamp::from_micros(us), arrivals };
            let bytes = feedback.encode();
            prop_assert_eq!(Datagram::decode(&bytes), Ok(Datagram::Feedback(feedback)));
        }

        #[test]
        fn arbitrary_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 1..200)) {
            bytes[0] = kind::FEEDBACK;
            let _ = Datagram::decode(&bytes);
        }
    }
}
