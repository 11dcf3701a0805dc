//! People and their past calls.

use prost::Message;

use super::calls::EndReason;

/// Asks for presence. Has no fields.
#[derive(Clone, PartialEq, Message)]
pub struct PeopleQuery {}

/// Asks for history, newest first.
#[derive(Clone, PartialEq, Message)]
pub struct HistoryQuery {
    /// Only calls that began before this Unix time in milliseconds; 0 for the newest.
    #[prost(uint64, tag = "1")]
    pub before_ms: u64,
    /// At most this many, and [`MAX_PAGE`](super::MAX_PAGE).
    #[prost(uint32, tag = "2")]
    pub limit: u32,
    /// A program asks: what was missed is still to be seen by the person.
    #[prost(bool, tag = "3")]
    pub unseen: bool,
}

/// One person.
#[derive(Clone, PartialEq, Message)]
pub struct Person {
    /// Their name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Their account key.
    #[prost(bytes = "vec", tag = "2")]
    pub account_key: Vec<u8>,
    /// At least one device is connected.
    #[prost(bool, tag = "3")]
    pub online: bool,
    /// In a call now.
    #[prost(bool, tag = "4")]
    pub in_call: bool,
    /// Unix time in milliseconds when they were last connected; 0 if never, or online.
    #[prost(uint64, tag = "5")]
    pub last_seen_ms: u64,
}

/// People, all but oneself.
#[derive(Clone, PartialEq, Message)]
pub struct People {
    /// New or changed people; at most [`MAX_PAGE`](super::MAX_PAGE).
    #[prost(message, repeated, tag = "1")]
    pub people: Vec<Person>,
    /// Names that are gone.
    #[prost(string, repeated, tag = "2")]
    pub gone: Vec<String>,
    /// More pages of the same answer follow.
    #[prost(bool, tag = "3")]
    pub more: bool,
}

/// One past call.
#[derive(Clone, PartialEq, Message)]
pub struct PastCall {
    /// Which call.
    #[prost(bytes = "vec", tag = "1")]
    pub call: Vec<u8>,
    /// The other person.
    #[prost(string, tag = "2")]
    pub peer: String,
    /// This person called.
    #[prost(bool, tag = "3")]
    pub outgoing: bool,
    /// Unix time in milliseconds when it began to ring.
    #[prost(uint64, tag = "4")]
    pub began_ms: u64,
    /// Unix time in milliseconds when it was accepted, 0 if never.
    #[prost(uint64, tag = "5")]
    pub accepted_ms: u64,
    /// Unix time in milliseconds when it ended.
    #[prost(uint64, tag = "6")]
    pub ended_ms: u64,
    /// How it ended, as seen from the caller.
    #[prost(enumeration = "EndReason", tag = "7")]
    pub reason: i32,
}

impl PastCall {
    /// Somebody rang, and no device of this person answered or declined.
    pub fn missed(&self) -> bool {
        !self.outgoing && self.accepted_ms == 0 && self.reason() != EndReason::Declined
    }
}

/// A page of history, newest first.
#[derive(Clone, PartialEq, Message)]
pub struct History {
    /// At most [`MAX_PAGE`](super::MAX_PAGE).
    #[prost(message, repeated, tag = "1")]
    pub calls: Vec<PastCall>,
}
