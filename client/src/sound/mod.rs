//! Sound devices: from a microphone's callback to blocks of 10 ms, and from blocks to a speaker's callback.
//!
//! ```text
//! callback -> ring::Capture -> Microphone (convert) -> Processor (sonora) -> Opus      sound-out thread
//!                                                          ^ Reference
//! callback <- ring::Playback <- Speaker (convert) <-------------- playout              sound-in thread
//!
//! manager thread: owns the streams, opens them again when a device goes or the default changes
//! ```
//!
//! [`Devices`] is the door: it lives as long as the program and gives each call its
//! [`Source`](crate::capture::sound::Source) and its [`SoundSink`](crate::playback::SoundSink). The pipeline knows of
//! neither devices nor echo.
//!
//! | queue | capacity | when full |
//! |---|---|---|
//! | [`ring`] capture | 250 ms | the newest samples are dropped and counted; a stage that was late skips to the newest |
//! | [`ring`] playback | 250 ms | the writer asks for room first, so never |
//! | [`echo`] reference | 32 blocks | the newest is dropped: that block's echo is not cancelled |
//! | [`manager`] commands | none | a person's clicks, and one report a stream: they do not pile up |

mod canceller;
mod check;
mod convert;
#[cfg(target_os = "linux")]
mod cookie;
pub mod device;
mod devices;
pub mod echo;
mod ends;
pub mod level;
mod line;
pub mod manager;
pub mod microphone;
pub mod process;
pub mod ring;
mod shortfall;
pub mod speaker;
pub mod timeline;
mod tone;
mod vigil;

use visavis_codec::opus;

pub use check::State as CheckState;
pub use device::Choice;
pub use devices::{Checking, Devices, Listening};
pub use manager::{Role, Status, Use};
pub use process::Switches;
pub use tone::Tune;

/// Samples per second inside the client.
pub const SAMPLE_RATE_HZ: u32 = opus::SAMPLE_RATE_HZ;

/// Samples of a block of 10 ms.
pub const BLOCK_SAMPLES: usize = opus::FRAME_SAMPLES;

/// 10 ms of sound: 48 kHz, mono, full scale at 1.
pub type Samples = [f32; BLOCK_SAMPLES];
