//! The client's own concurrency primitive. Everything else that crosses threads is a bounded queue of the standard
//! library or of tokio, with its capacity named where it is made.

pub mod latest;
