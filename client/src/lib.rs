//! A Visavis client: headless library, and the commands and the window ([`ui`] over [`app`]) on top of it.
//!
//! ```text
//! main thread: Client (commands in, events out)
//!      |                    network thread: net::actor, one QUIC connection
//!      |                     ^ encoded frames      | whole frames
//! capture -> latest -> encode thread         decode thread -> sink
//! microphone -> sound-out thread             sound-in thread -> sink
//! ```
//!
//! Nothing here is global: any number of clients live in one process. [`pipeline`] is the map of the media's way.

pub mod app;
pub mod call;
pub mod capture;
pub mod chan;
pub mod cli;
pub mod client;
pub mod clock;
pub mod equipment;
pub mod identity;
pub mod join;
pub mod net;
pub mod opaque;
pub mod pipeline;
pub mod playback;
pub mod profile;
pub mod sentence;
pub mod sound;
pub mod stats;
pub mod thread;
pub mod ui;
#[cfg(target_os = "linux")]
pub mod worker;

/// Name and version, as told to the relay.
pub const AGENT: &str = concat!("visavis/", env!("CARGO_PKG_VERSION"));
