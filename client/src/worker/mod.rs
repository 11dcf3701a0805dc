//! Helper processes: the same program, started with a hidden command, doing what may hang or crash.
//!
//! ```text
//! parent                                        child: `visavis __worker camera`
//! Worker::start ---- shared memory, job -------> Parent::meet
//! Worker::heard <--- lines of JSON ------------- Parent::say
//! ring::Reader  <--- pictures ------------------ ring::Writer
//! drop: kill, reap                               ends with its parent
//! ```
//!
//! One socket pair, which is the child's standard input, carries everything but pictures; the shared memory comes with
//! its first byte. The child ends when the socket does, and on Linux also by the kernel's hand when the parent's
//! *thread* that started it ends, however it ends. A child serves one job: another device is another child, so what a
//! driver left behind never matters.
//!
//! Neither end trusts what it hears: a line is at most [`LINE_BYTES`] long, and what lies in the memory is copied out
//! before it is looked at. Linux alone, so far: the memory's size is sealed, which is not to be had elsewhere.

mod child;
mod lines;
mod memory;
mod parent;
pub mod ring;

pub use child::Parent;
pub use parent::Worker;

/// The hidden command.
pub const COMMAND: &str = "__worker";

/// The longest line that either end takes: a list of every camera that a machine can have, with room to spare.
pub const LINE_BYTES: usize = 64 * 1_024;

/// This very program, also while a newer one lies in its place.
pub fn own_program() -> std::path::PathBuf {
    "/proc/self/exe".into()
}
