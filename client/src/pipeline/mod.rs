//! The way of a frame, both directions: [`send`] and [`recv`] read like the way itself.
//!
//! ```text
//! send:  capture -> latest -> gate -> encode ------> uplink (seal, packetise, pace) -> datagrams
//! recv:  datagrams -> downlink (reassemble, open) -> gate -> decode -> lip-sync -> sink
//! ```
//!
//! | queue | capacity | when full |
//! |---|---|---|
//! | captured pictures | 1 | the newest replaces the waiting one |
//! | encoded pictures | [`send::ENCODED_PICTURES`] | nothing is encoded |
//! | encoded sound | [`send::ENCODED_SOUND`] | the newest block is dropped |
//! | pictures to decode | [`recv::PICTURES_TO_DECODE`] | the newest is dropped, the reference gate asks for recovery |
//! | sound to decode | [`recv::SOUND_TO_DECODE`] | the newest block is dropped: playout conceals it |
//!
//! Every frame carries its [`Open`](crate::stats::Open) record along, so each that is dropped has a record that says where.

pub mod control;
pub mod recv;
pub mod send;
