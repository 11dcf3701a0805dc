//! What the project's tests, checks and demonstration have in common.
//!
//! | module | role |
//! |---|---|
//! | [`real`] | real binaries on loopback: a relay process, people with profiles, calls |
//! | [`cameras`] | a folder that stands in for a machine with cameras |
//! | [`claims`] | the figures that the project claims, measured |
//! | [`demo`] | a whole call with real binaries, shown while it runs and summed up at its end |
//! | [`fates`] | whether the records of a call leave no frame out |
//! | [`hearing`] | judging recorded sound: how late, how alike, how well understood |
//! | [`pulse`] | a PulseAudio server of a test's own |
//! | [`screen`] | a screen of its own for a window under test, with keyboard and mouse |
//! | [`sim`] | the simulated world: real relay, real clients, real quinn, in virtual time over seeded links |
//! | [`voices`] | what is said in tests of sound |
//! | [`window`] | somebody before a window of their own |

#[cfg(target_os = "linux")]
pub mod cameras;
pub mod claims;
pub mod demo;
pub mod fates;
pub mod hearing;
pub mod pulse;
pub mod real;
pub mod screen;
pub mod sim;
pub mod voices;
pub mod window;
