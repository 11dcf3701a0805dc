//! What the relay decides, without a socket, a clock or a lock: time and room are arguments.
//!
//! | file | decides |
//! |---|---|
//! | [`directory`] | who there is, which device is whose, who is online and whom to tell |
//! | [`forward`] | which frames a subscriber gets, and their hop headers |
//! | [`news`] | when a sender is told of what was dropped |
//! | [`feedback`] | what a hop's two ends tell each other about arrivals |
//! | [`limits`] | how much one connection, or one neighbourhood, may ask for |
//! | [`devices`] | whether a signed device list is good |
//!
//! The state machine of calls is [`visavis_proto::signal::relay_call`].

pub mod devices;
pub mod directory;
pub mod feedback;
pub mod forward;
pub mod limits;
pub mod news;
