//! QUIC variable-length integers (RFC 9000 section 16), shortest form only.

use bytes::{Buf, BufMut};

use super::DecodeError;

/// The largest value that can be written: 2^62 - 1.
pub const MAX: u64 = (1 << 62) - 1;

/// Appends `value`, clamped to [`MAX`], in its shortest form (1, 2, 4 or 8 bytes).
pub fn write(out: &mut impl BufMut, value: u64) {
    let value = value.min(MAX);
    match length(value) {
        1 => out.put_u8(value as u8),
        2 => out.put_u16(value as u16 | 0x4000),
        4 => out.put_u32(value as u32 | 0x8000_0000),
        _ => out.put_u64(value | 0xc000_0000_0000_0000),
    }
}

/// Reads one number; refuses one that a shorter form could have carried.
pub fn read(input: &mut impl Buf) -> Result<u64, DecodeError> {
    if !input.has_remaining() {
        return Err(DecodeError::Truncated);
    }
    let bytes = 1usize << (input.chunk()[0] >> 6);
    if input.remaining() < bytes {
        return Err(DecodeError::Truncated);
    }
    let value = match bytes {
        1 => u64::from(input.get_u8()),
        2 => u64::from(input.get_u16() & 0x3fff),
        4 => u64::from(input.get_u32() & 0x3fff_ffff),
        _ => input.get_u64() & MAX,
    };
    if length(value) == bytes { Ok(value) } else { Err(DecodeError::NotCanonical) }
}

/// Reads one number that must fit 32 bits; `field` names it in the error.
pub fn read_u32(input: &mut impl Buf, field: &'static str) -> Result<u32, DecodeError> {
    u32::try_from(read(input)?).map_err(|_| DecodeError::OutOfRange(field))
}

/// Bytes that [`write()`] takes for `value`.
pub const fn length(value: u64) -> usize {
    match value {
        0..=0x3f => 1,
        0x40..=0x3fff => 2,
        0x4000..=0x3fff_ffff => 4,
        _ => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn golden_bytes_of_rfc_9000_appendix_a() {
        for (bytes, value) in [
            (&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c][..], 151_288_809_941_952_652),
            (&[0x9d, 0x7f, 0x3e, 0x7d][..], 494_878_333),
            (&[0x7b, 0xbd][..], 15_293),
            (&[0x25][..], 37),
        ] {
            let mut out = Vec::new();
            write(&mut out, value);
            assert_eq!(out, bytes);
            assert_eq!(read(&mut &bytes[..]), Ok(value));
        }
        assert_eq!(read(&mut &[0x40, 0x25][..]), Err(DecodeError::NotCanonical));
        assert_eq!(read(&mut &[0x40][..]), Err(DecodeError::Truncated));
    }

    proptest! {
        #[test]
        fn round_trip(value in 0..=MAX) {
            let mut out = Vec::new();
            write(&mut out, value);
            prop_assert_eq!(out.len(), length(value));
            prop_assert_eq!(read(&mut &out[..]), Ok(value));
        }
    }
}
