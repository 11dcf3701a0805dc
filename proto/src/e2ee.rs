//! The seal and open step on whole frames.
//!
//! Every frame passes through [`Sealer::seal`] once before it is cut into packets, and through [`Opener::open`] once
//! after it is whole again; nothing else touches payload bytes. The cipher (RFC 9605) is not in yet: these two pass
//! bytes through, and no release is made before they do not. They are types rather than nothing so that the cipher
//! changes this file only.

use crate::wire::media::FrameHeader;

/// Seals what one sender publishes in one call.
#[derive(Debug, Default)]
pub struct Sealer {}

/// Opens what one sender published in one call.
#[derive(Debug, Default)]
pub struct Opener {}

/// A frame that is not what its sender sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame failed authentication")]
pub struct Forged;

/// How many bytes sealing adds.
pub const OVERHEAD_BYTES: usize = 0;

impl Sealer {
    /// Seals an encoded frame in place. `header` is the associated data; its `bytes` already count the sealed frame.
    #[allow(clippy::ptr_arg, reason = "the cipher will append its tag")]
    pub fn seal(&mut self, header: &FrameHeader, frame: &mut Vec<u8>) {
        debug_assert_eq!(header.bytes as usize, frame.len() + OVERHEAD_BYTES);
    }
}

impl Opener {
    /// Opens a sealed frame in place.
    ///
    /// # Errors
    ///
    /// [`Forged`] if header or payload are not what the sender sealed.
    #[allow(clippy::ptr_arg, reason = "the cipher will take its tag off")]
    pub fn open(&mut self, header: &FrameHeader, frame: &mut Vec<u8>) -> Result<(), Forged> {
        if header.bytes as usize == frame.len() { Ok(()) } else { Err(Forged) }
    }
}
