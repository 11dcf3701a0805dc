//! Who and what: identifiers with a type each, shortened where they are logged.

use std::fmt;

use crate::hex;

/// A call: 128 random bits drawn by the caller. Knowing it authorises nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub [u8; 16]);

/// A device: its Ed25519 public key, which its TLS connection proves.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceKey(pub [u8; 32]);

/// A person: the Ed25519 public key that signs their list of devices, and that contacts pin.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountKey(pub [u8; 32]);

/// A published stream, as numbered by the relay for as long as its call lasts; the same on both hops.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u32);

/// The count of encoded frames of one stream, starting at 0, without gaps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FrameNumber(pub u32);

impl FrameNumber {
    /// The frame `distance` before this one, if there is one.
    pub const fn back(self, distance: u32) -> Option<Self> {
        match self.0.checked_sub(distance) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The next frame.
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

/// A byte string of the wrong length where an identifier belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an identifier of {actual} bytes where {expected} belong")]
pub struct WrongLength {
    expected: usize,
    actual: usize,
}

macro_rules! byte_identifier {
    ($name:ident, $length:literal) => {
        impl TryFrom<&[u8]> for $name {
            type Error = WrongLength;
            fn try_from(bytes: &[u8]) -> Result<Self, WrongLength> {
                <[u8; $length]>::try_from(bytes)
                    .map(Self)
                    .map_err(|_| WrongLength { expected: $length, actual: bytes.len() })
            }
        }

        impl $name {
            /// The bytes, as they travel.
            pub fn to_vec(self) -> Vec<u8> {
                self.0.to_vec()
            }

            /// All of it in lower-case hexadecimal.
            pub fn to_hex(self) -> String {
                hex::encode(&self.0)
            }
        }

        /// The first four bytes: enough to tell two apart in a log.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                hex::Hex(&self.0[..4]).fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

byte_identifier!(CallId, 16);
byte_identifier!(DeviceKey, 32);
byte_identifier!(AccountKey, 32);

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stream {}", self.0)
    }
}

impl fmt::Debug for FrameNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_refuse_the_wrong_length_and_are_short_in_logs() {
        assert_eq!(CallId::try_from(&[0; 15][..]), Err(WrongLength { expected: 16, actual: 15 }));
        let key = DeviceKey([0xab; 32]);
        assert_eq!(key.to_string(), "abababab");
        assert_eq!(DeviceKey::try_from(&key.to_vec()[..]), Ok(key));
    }
}
