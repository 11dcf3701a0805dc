//! What Visavis says on the wire, and every decision about it: sans-IO.
//!
//! Nothing here opens a socket, reads a clock, starts a thread or awaits. State machines take their input with the
//! time it happened, and are then drained (`poll_*`) until they answer with the next time they want to be called.
//! That is what lets a two-minute call run as a one-second deterministic test. See `PROTOCOL.md` beside this crate
//! for the same protocol in prose.
//!
//! | module | role |
//! |---|---|
//! | [`time`], [`units`], [`ids`] | the types every other module counts in |
//! | [`hex`] | bytes as digits that a person copies |
//! | [`wire`] | bytes to types and back, stateless |
//! | [`media`] | frames to packets and back, reference gate, playout, loss accounting |
//! | [`cc`] | per-hop feedback, pacing and the frame budget |
//! | [`signal`] | clock synchronisation, presence and the call state machines of both ends |
//! | [`e2ee`] | the seal and open step on whole frames |

#![forbid(unsafe_code)]

pub mod cc;
pub mod e2ee;
pub mod hex;
pub mod ids;
pub mod media;
pub mod signal;
pub mod time;
pub mod units;
pub mod wire;

/// The application protocol both ends must agree on during the TLS handshake. It carries the wire version.
pub const ALPN: &[u8] = b"visavis/1";

/// The port a relay listens on unless told otherwise (UDP).
pub const DEFAULT_PORT: u16 = 4433;
