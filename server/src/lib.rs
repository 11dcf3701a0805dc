//! The relay of Visavis: one UDP port for login, presence, ringing, call control and media.
//!
//! It is blind to media: it reads packet headers, and nothing it holds could open what they carry. See
//! [`Relay::start`] for running one inside another program, as tests do; the binary does the same behind a command
//! line.
//!
//! | module | role |
//! |---|---|
//! | [`core`] | decisions: presence, forwarding, limits; no socket, clock or lock |
//! | [`net`] | quinn endpoint, one task per client, fan-out |
//! | [`db`] | what is remembered; all SQL |
//! | [`config`], [`cli`] | the binary: settings and commands |
//! | [`identity`], [`opaque`] | the relay's key and certificate; passwords that it never sees |

pub mod cli;
pub mod config;
pub mod core;
pub mod db;
pub mod identity;
pub mod net;
pub mod opaque;

mod clock;

pub use clock::Clock;
pub use net::{Relay, RelayConfig, Snapshot, Socket, StartError};
