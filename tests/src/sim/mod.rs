//! The simulated world: a real relay and real clients with real quinn, in virtual time over seeded links.
//!
//! ```text
//!  person 0 --- up, down ---\                 /--- up, down --- person 1
//!  client: net::actor and    >--- relay -----<     the same
//!  the pipeline's stages    /   (in memory)   \
//!  as tasks, a codec model                     \--- ...
//! ```
//!
//! One thread, one tokio runtime whose clock stands still while anything has work: two minutes of a call pass in a few
//! seconds, and the same seed gives the same [`log`], byte by byte. What is random beyond the seeds (key exchange,
//! nonces, quinn's connection ids) changes what is in packets, never their size, number or time.
//!
//! | file | role |
//! |---|---|
//! | [`time`] | virtual time, exact to the nanosecond for packets, to tokio's tick for timers |
//! | [`link`] | what one direction of a path does to packets |
//! | [`net`] | sockets, addresses, quinn's runtime |
//! | [`codec`] | models of camera, H.264 and screen; the proof that no torn frame is decoded |
//! | [`stages`] | a call's stages as tasks, and its figures |
//! | [`world`] | relay, people, and what a scenario can do |
//! | [`log`] | everything that happened |

pub mod codec;
pub mod link;
pub mod log;
pub mod net;
pub mod stages;
pub mod time;
pub mod world;

pub use link::{Bursts, Conditions};
pub use net::{Site, Way};
pub use stages::{Figures, Media};
pub use world::{Plan, World, run};
