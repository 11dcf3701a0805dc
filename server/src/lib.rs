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
//!
//! # Decisions
//!
//! - A client in a call, ringing or live, must say something each second (a clock probe does): the other side is told
//!   of silence after 2 s, nothing is forwarded to who is silent, and a silent caller stops ringing after 5 s. QUIC
//!   itself would notice a killed process only after its idle time of 35 s.
//! - A new connection of a device does not take its place in a call by itself; `Resume` does. A program that was started
//!   again knows nothing of the call, and would hold the other person in a ghost of it.
//! - All people are kept in memory, so that neither a login by device key nor a call waits for the store. Commands that
//!   write beside a running relay are noticed within a second by a count that triggers keep.
//! - A device list may add only the device that brings it: nobody can claim a key that they have not proved.
//! - `user passwd-reset` changes nothing until its link is used; then the account key, the password and the device list
//!   are replaced at once. Who must be kept out meanwhile is to be disabled.
//! - QUIC's congestion window is out of the way (see `net/transport.rs`); a downlink has no congestion controller yet.
//!   Its place is `core/feedback.rs`. Until then frames are dropped only where the socket does not take them.
//! - A client that sends more than 4,000 datagrams a second for long, or any number before it has logged in, is
//!   disconnected: all clients share one socket buffer, and a flood costs others their place in it.
//! - A call is written down when it is accepted, and open until it is over. One that a killed relay leaves open is closed
//!   at the next start, as lost with the relay. Each 2 s with calls the relay notes that it is running: the length of
//!   such a call is known to so much. Of each two people the last 500 calls are kept, so that a flood of calls pushes
//!   nobody else's out of a history.
//! - A person who calls in vain again and again is held back (30 calls, then one each 10 s); an accepted call costs
//!   nothing.
//! - All counters of the relay (`net/stats.rs`) are logged at its end, and once a minute if they have changed.
//! - History is written by one task from a bounded queue. An entry is lost, loudly, only if the store stands still for
//!   thousands of calls.

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
