//! The network side of a client: one QUIC connection to its relay, on an OS thread of its own.
//!
//! | file | role |
//! |---|---|
//! | [`tls`] | who is at the other end |
//! | [`transport`] | how quinn is set up, and why |
//! | [`control`] | the control stream: requests, answers and news |
//! | [`session`] | joining: registration, login, enrolment |
//! | [`actor`] | the loop that owns the connection while it lives |
//! | `online` | a live connection as the loop holds it: what goes out, how it ends |
//! | [`media`], [`uplink`], [`downlink`] | a live call's media on its way out and in |

pub mod actor;
pub mod control;
pub mod downlink;
pub mod media;
mod online;
pub mod session;
pub mod tls;
pub mod transport;
pub mod uplink;
