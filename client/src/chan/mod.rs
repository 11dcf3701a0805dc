//! What crosses threads in the client beyond the bounded queues of the standard library and of tokio, each with its
//! capacity named where it is made.

pub mod failures;
pub mod latest;
