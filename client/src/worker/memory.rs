//! Memory that two processes see: the one place of the client with unsafe code, but for the ring's promise to it.
//!
//! Nothing is assumed of what the other process writes. It can change any byte at any time, so no reference into the
//! memory is ever made except to atomics; bytes are copied out before they are looked at. The size is sealed, so the
//! other process cannot take pages away either, which would kill this one at its next access.

#![allow(unsafe_code, reason = "mapped memory cannot be had otherwise; every block says why it is sound")]

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    ptr::NonNull,
    sync::atomic::AtomicU64,
};

use rustix::{
    fs::{MemfdFlags, SealFlags},
    mm::{MapFlags, ProtFlags},
};

/// A mapping of shared memory, unmapped when dropped.
#[derive(Debug)]
pub struct Memory {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread; access is by atomics and by copies.
unsafe impl Send for Memory {}

impl Memory {
    /// Makes memory of this size, all zeros, and the file to hand to the other process. Pages that are never touched
    /// cost nothing.
    pub fn create(bytes: usize) -> io::Result<(Self, OwnedFd)> {
        let file = rustix::fs::memfd_create("visavis-frames", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        rustix::fs::ftruncate(&file, bytes as u64)?;
        rustix::fs::fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        Ok((Self::map(&file)?, file))
    }

    /// Maps the whole of a file that the other process made. It must be sealed against shrinking.
    pub fn map(file: impl AsFd) -> io::Result<Self> {
        if !rustix::fs::fcntl_get_seals(&file)?.contains(SealFlags::SHRINK) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "shared memory that may shrink"));
        }
        let bytes = usize::try_from(rustix::fs::fstat(&file)?.st_size).map_err(io::Error::other)?;
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping, at an address of the kernel's choice, of a file that cannot shrink (checked above).
        let start = unsafe { rustix::mm::mmap(std::ptr::null_mut(), bytes, access, MapFlags::SHARED, &file, 0)? };
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, bytes })
    }

    /// The size.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The eight bytes at `index * 8`.
    ///
    /// # Panics
    ///
    /// If they lie outside.
    pub fn word(&self, index: usize) -> &AtomicU64 {
        assert!(index < self.bytes / 8, "a word inside the memory");
        // SAFETY: inside the mapping and aligned, as the mapping is by pages; any bits are a valid value, and both
        // processes use these bytes only as atomics.
        unsafe { AtomicU64::from_ptr(self.start.as_ptr().cast::<u64>().add(index)) }
    }

    /// Copies bytes out.
    ///
    /// # Panics
    ///
    /// If they lie outside.
    pub fn copy_to(&self, offset: usize, out: &mut [u8]) {
        assert!(offset.checked_add(out.len()).is_some_and(|end| end <= self.bytes), "bytes inside the memory");
        // SAFETY: inside the mapping, and `out` is elsewhere. If the other process breaks the protocol and writes
        // meanwhile, the bytes are garbage, but they are only ever pixels.
        unsafe { std::ptr::copy_nonoverlapping(self.start.as_ptr().add(offset), out.as_mut_ptr(), out.len()) }
    }

    /// Bytes to be written in place.
    ///
    /// # Panics
    ///
    /// If they lie outside.
    ///
    /// # Safety
    ///
    /// Nobody else touches them meanwhile. The other process is trusted in this: only a helper calls this, and whoever
    /// reads is the program that started it.
    pub unsafe fn slice_mut(&mut self, offset: usize, bytes: usize) -> &mut [u8] {
        assert!(offset.checked_add(bytes).is_some_and(|end| end <= self.bytes), "bytes inside the memory");
        // SAFETY: inside the mapping; exclusive by the caller's promise and, in this process, by `&mut self`.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr().add(offset), bytes) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: this very mapping, and no reference into it outlives `self`.
        let unmapped = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.bytes) };
        debug_assert!(unmapped.is_ok(), "a mapping of our own can be unmapped");
    }
}
