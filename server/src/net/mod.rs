//! The relay on the network: sockets, tasks and time. Decisions are made in [`crate::core`] and in `visavis-proto`.
//!
//! ```text
//!                       endpoint: accepts, one task per client
//!                                     |
//!   client task:  writer <- bounded queue <-----------+
//!                 control -> requests -> shared ------+--> hub (directory, calls, sessions; one short lock)
//!                 media   -> route snapshot -> outlet of each subscriber (its own short lock)
//!                                     |
//!   keeper tasks:  call timer;  notes -> store;  store revision -> directory;  "still running" -> store;  counters -> log
//! ```

mod client;
mod endpoint;
mod hub;
mod media;
mod relay;
mod requests;
mod session;
mod stats;
mod tls;
mod transport;

pub use relay::{Relay, RelayConfig, Socket, StartError};
pub use stats::Snapshot;
