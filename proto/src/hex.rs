//! Bytes as hexadecimal digits, two a byte, where a person copies them: links and profiles.

use std::fmt;

/// `bytes` in lower-case hexadecimal.
pub fn encode(bytes: &[u8]) -> String {
    Hex(bytes).to_string()
}

/// Exactly `N` bytes from `2 N` digits of either case, with nothing around or between them.
pub fn decode<const N: usize>(digits: &str) -> Option<[u8; N]> {
    if digits.len() != 2 * N || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(digits.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(out)
}

/// Shows bytes as [`encode`] writes them, without making a string.
#[derive(Debug, Clone, Copy)]
pub struct Hex<'a>(pub &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_digits_of_the_right_number_are_bytes() {
        assert_eq!(decode("00fFA0"), Some([0, 255, 160]));
        assert_eq!(decode::<0>(""), Some([]));
        // Numbers may be written with a plus sign, bytes may not.
        for text in ["", "0", "00ff", "00ffa0b", "+1+1+1", "0x00ff", " 0ffa0", "00ffä", "zzzzzz"] {
            assert_eq!(decode::<3>(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn round_trip(bytes in any::<[u8; 5]>()) {
            prop_assert_eq!(decode(&encode(&bytes)), Some(bytes));
        }

        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,12}") {
            let _ = decode::<3>(&text);
        }
    }
}
