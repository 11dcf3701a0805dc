//! The messages of the control stream (protobuf, written as types; no schema compiler is needed to build).
//!
//! A client's message carries a request number of its own choosing, 1 or more; the relay's answer repeats it. What the
//! relay says unasked carries 0. Unknown fields are skipped, and a message whose body is unknown is answered with
//! [`ErrorCode::Unsupported`] and otherwise ignored, so that both ends can grow.

use prost::{Enumeration, Message};

/// Longest name of a person, in bytes of UTF-8.
pub const MAX_NAME_BYTES: usize = 40;

/// Longest name of a device, in bytes of UTF-8.
pub const MAX_DEVICE_NAME_BYTES: usize = 60;

/// Largest opaque payload between two devices of a call; holds any one flight of a TLS handshake.
pub const MAX_PAYLOAD_BYTES: usize = 16 * 1024;

/// Most streams that one device may publish in a call.
pub const MAX_STREAMS: usize = 4;

/// Most devices of one person that may be enrolled, and so ring.
pub const MAX_DEVICES: usize = 8;

/// Most entries in one page of people or of history.
pub const MAX_PAGE: usize = 200;

/// From a client to its relay.
#[derive(Clone, PartialEq, Message)]
pub struct ClientMessage {
    /// Number that the answer repeats.
    #[prost(uint32, tag = "1")]
    pub request: u32,
    /// What is said.
    #[prost(oneof = "client::Body", tags = "2, 3, 4, 5, 6, 7, 10, 11, 12, 13, 14, 20, 21, 22, 23")]
    pub body: Option<client::Body>,
}

impl ClientMessage {
    /// A message with a body.
    pub const fn new(request: u32, body: client::Body) -> Self {
        Self { request, body: Some(body) }
    }
}

/// From a relay to a client.
#[derive(Clone, PartialEq, Message)]
pub struct RelayMessage {
    /// The request that this answers, 0 for news.
    #[prost(uint32, tag = "1")]
    pub request: u32,
    /// What is said.
    #[prost(oneof = "relay::Body", tags = "2, 3, 4, 5, 6, 7, 10, 11, 12, 13, 14, 15, 20, 21, 22")]
    pub body: Option<relay::Body>,
}

impl RelayMessage {
    /// The answer to a request.
    pub const fn answer(request: u32, body: relay::Body) -> Self {
        Self { request, body: Some(body) }
    }

    /// News.
    pub const fn news(body: relay::Body) -> Self {
        Self { request: 0, body: Some(body) }
    }
}

/// What a client says.
pub mod client {
    use super::*;

    /// One of these a message.
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Body {
        /// The first message of a connection.
        #[prost(message, tag = "2")]
        Hello(Hello),
        /// OPAQUE registration, first message.
        #[prost(message, tag = "3")]
        RegisterStart(RegisterStart),
        /// OPAQUE registration, last message.
        #[prost(message, tag = "4")]
        RegisterFinish(RegisterFinish),
        /// OPAQUE login of a device that is not enrolled, first message.
        #[prost(message, tag = "5")]
        LoginStart(LoginStart),
        /// OPAQUE login, last message.
        #[prost(message, tag = "6")]
        LoginFinish(LoginFinish),
        /// Adds this connection's device to the person that just logged in.
        #[prost(message, tag = "7")]
        Enrol(Enrol),
        /// Call somebody.
        #[prost(message, tag = "10")]
        Call(Call),
        /// Take a ringing call.
        #[prost(message, tag = "11")]
        Accept(Accept),
        /// Refuse it, cancel it or hang it up.
        #[prost(message, tag = "12")]
        End(End),
        /// Opaque bytes for the other device of a call.
        #[prost(message, tag = "13")]
        CallData(CallData),
        /// After a new connection: this device is still in that call.
        #[prost(message, tag = "14")]
        Resume(Resume),
        /// Ask for everybody's presence; changes follow by themselves.
        #[prost(message, tag = "20")]
        PeopleQuery(PeopleQuery),
        /// Ask for a page of history.
        #[prost(message, tag = "21")]
        HistoryQuery(HistoryQuery),
        /// Ask for one's own devices.
        #[prost(message, tag = "22")]
        DevicesQuery(DevicesQuery),
        /// Replace one's device list; devices that are no longer in it are revoked.
        #[prost(message, tag = "23")]
        DevicesUpdate(DevicesUpdate),
    }
}

/// What a relay says.
pub mod relay {
    use super::*;

    /// One of these a message.
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Body {
        /// The answer to [`Hello`]: nobody is logged in yet on this connection.
        #[prost(message, tag = "2")]
        Greeting(Greeting),
        /// This connection is a person's device. The answer to whatever proved it.
        #[prost(message, tag = "3")]
        Welcome(Welcome),
        /// OPAQUE registration, the relay's message.
        #[prost(message, tag = "4")]
        RegisterReply(OpaqueReply),
        /// OPAQUE login, the relay's message.
        #[prost(message, tag = "5")]
        LoginReply(OpaqueReply),
        /// The password was right: what is needed to enrol a device.
        #[prost(message, tag = "6")]
        LoggedIn(LoggedIn),
        /// A request was refused.
        #[prost(message, tag = "7")]
        Refused(Refused),
        /// The answer to [`Call`]: it rings, or it has ended already.
        #[prost(message, tag = "10")]
        CallState(CallState),
        /// Somebody calls.
        #[prost(message, tag = "11")]
        Incoming(Incoming),
        /// The call is live: who is in it, and the relay's numbers for their streams.
        #[prost(message, tag = "12")]
        Connected(Connected),
        /// Opaque bytes from the other device of a call.
        #[prost(message, tag = "13")]
        CallData(CallData),
        /// The other device has gone silent, or is back.
        #[prost(message, tag = "14")]
        PeerPresence(PeerPresence),
        /// Frames of one of this client's streams that the relay dropped for a receiver.
        #[prost(message, tag = "15")]
        FramesDropped(FramesDropped),
        /// A page of people, or a change.
        #[prost(message, tag = "20")]
        People(People),
        /// A page of history.
        #[prost(message, tag = "21")]
        History(History),
        /// One's own devices.
        #[prost(message, tag = "22")]
        Devices(Devices),
    }
}

/// Opens the conversation.
#[derive(Clone, PartialEq, Message)]
pub struct Hello {
    /// The program and its version, for the relay's log.
    #[prost(string, tag = "1")]
    pub agent: String,
    /// An enrolled device that only looks something up: it does not ring, does not count as online, takes no part in
    /// calls, and leaves the device's other connection alone.
    #[prost(bool, tag = "2")]
    pub visiting: bool,
}

/// Most visiting connections of one device at a time.
pub const MAX_VISITS: usize = 8;

/// OPAQUE registration request.
#[derive(Clone, PartialEq, Message)]
pub struct RegisterStart {
    /// The name to be known by.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The invite's token; empty at a relay with open registration.
    #[prost(bytes = "vec", tag = "2")]
    pub invite: Vec<u8>,
    /// OPAQUE `RegistrationRequest`.
    #[prost(bytes = "vec", tag = "3")]
    pub opaque: Vec<u8>,
}

/// OPAQUE registration record and the person's keys.
#[derive(Clone, PartialEq, Message)]
pub struct RegisterFinish {
    /// OPAQUE `RegistrationUpload`.
    #[prost(bytes = "vec", tag = "1")]
    pub opaque: Vec<u8>,
    /// The person's Ed25519 public key.
    #[prost(bytes = "vec", tag = "2")]
    pub account_key: Vec<u8>,
    /// The account's private key, sealed under OPAQUE's export key; the relay cannot open it.
    #[prost(bytes = "vec", tag = "3")]
    pub sealed_account_key: Vec<u8>,
    /// The first device list, holding this connection's device.
    #[prost(message, optional, tag = "4")]
    pub devices: Option<SignedDevices>,
}

/// OPAQUE credential request.
#[derive(Clone, PartialEq, Message)]
pub struct LoginStart {
    /// Who wants in.
    #[prost(string, tag = "1")]
    pub name: String,
    /// OPAQUE `CredentialRequest`.
    #[prost(bytes = "vec", tag = "2")]
    pub opaque: Vec<u8>,
}

/// OPAQUE credential finalization.
#[derive(Clone, PartialEq, Message)]
pub struct LoginFinish {
    /// OPAQUE `CredentialFinalization`.
    #[prost(bytes = "vec", tag = "1")]
    pub opaque: Vec<u8>,
}

/// The device list with this connection's device added.
#[derive(Clone, PartialEq, Message)]
pub struct Enrol {
    /// One version above the list that [`LoggedIn`] carried.
    #[prost(message, optional, tag = "1")]
    pub devices: Option<SignedDevices>,
}

/// A list of devices and the account's signature over it.
#[derive(Clone, PartialEq, Message)]
pub struct SignedDevices {
    /// An encoded [`DeviceList`].
    #[prost(bytes = "vec", tag = "1")]
    pub list: Vec<u8>,
    /// Ed25519 by the account key over [`DEVICE_LIST_CONTEXT`] followed by `list`.
    #[prost(bytes = "vec", tag = "2")]
    pub signature: Vec<u8>,
}

/// Put in front of a device list before it is signed, so that the signature means nothing elsewhere.
pub const DEVICE_LIST_CONTEXT: &[u8] = b"visavis device list v1\0";

/// A person's devices.
#[derive(Clone, PartialEq, Message)]
pub struct DeviceList {
    /// Rises by one with every change.
    #[prost(uint64, tag = "1")]
    pub version: u64,
    /// At most [`MAX_DEVICES`].
    #[prost(message, repeated, tag = "2")]
    pub devices: Vec<Device>,
}

/// One device.
#[derive(Clone, PartialEq, Message)]
pub struct Device {
    /// Its Ed25519 public key.
    #[prost(bytes = "vec", tag = "1")]
    pub key: Vec<u8>,
    /// What its owner calls it.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Unix time in milliseconds.
    #[prost(uint64, tag = "3")]
    pub added_ms: u64,
}

/// Sound or picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum StreamKind {
    /// Not said.
    Unspecified = 0,
    /// Sound.
    Microphone = 1,
    /// Picture.
    Camera = 2,
}

/// A stream that a device will publish.
#[derive(Clone, PartialEq, Message)]
pub struct StreamOffer {
    /// The sender's index, as in the media header (0 to 15).
    #[prost(uint32, tag = "1")]
    pub index: u32,
    /// What it carries.
    #[prost(enumeration = "StreamKind", tag = "2")]
    pub kind: i32,
}

/// Rings somebody.
#[derive(Clone, PartialEq, Message)]
pub struct Call {
    /// 16 random bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub call: Vec<u8>,
    /// The name to ring.
    #[prost(string, tag = "2")]
    pub callee: String,
    /// What the caller will publish.
    #[prost(message, repeated, tag = "3")]
    pub streams: Vec<StreamOffer>,
    /// Opaque, for the ringing devices: carries the first flight of the handshake.
    #[prost(bytes = "vec", tag = "4")]
    pub payload: Vec<u8>,
}

/// Takes a call.
#[derive(Clone, PartialEq, Message)]
pub struct Accept {
    /// Which call.
    #[prost(bytes = "vec", tag = "1")]
    pub call: Vec<u8>,
    /// What the callee will publish.
    #[prost(message, repeated, tag = "2")]
    pub streams: Vec<StreamOffer>,
    /// Opaque, for the caller.
    #[prost(bytes = "vec", tag = "3")]
    pub payload: Vec<u8>,
}

/// Ends one's part in a call, whatever its state: the relay knows whether that declines, cancels or hangs up.
#[derive(Clone, PartialEq, Message)]
pub struct End {
    /// Which call.
    #[prost(bytes = "vec", tag = "1")]
    pub call: Vec<u8>,
}

/// Opaque bytes between two devices of one call, in order.
#[derive(Clone, PartialEq, Message)]
pub struct CallData {
    /// Which call.
    #[prost(bytes = "vec", tag = "1")]
    pub call: Vec<u8>,
    /// To the relay: the device it is for; empty for the other side's only one, or all that ring. From the relay: the
    /// device it is from.
    #[prost(bytes = "vec", tag = "2")]
    pub device: Vec<u8>,
    /// At most [`MAX_PAYLOAD_BYTES`].
    #[prost(bytes = "vec", tag = "3")]
    pub payload: Vec<u8>,
}

/// Still in a call, after a new connection.
#[derive(Clone, PartialEq, Message)]
pub struct Resume {
    /// Which call.
    #[prost(bytes = "vec", tag = "1")]
    pub call: Vec<u8>,
}

/// Asks for presence. Has no fields.
#[derive(Clone, PartialEq, Message)]
pub struct PeopleQuery {}

/// Asks for history, newest first.
#[derive(Clone, PartialEq, Message)]
pub struct HistoryQuery {
    /// Only calls that began before this Unix time in milliseconds; 0 for the newest.
    #[prost(uint64, tag = "1")]
    pub before_ms: u64,
    /// At most this many, and [`MAX_PAGE`].
    #[prost(uint32, tag = "2")]
    pub limit: u32,
}

/// Asks for one's own devices. Has no fields.
#[derive(Clone, PartialEq, Message)]
pub struct DevicesQuery {}

/// A new device list.
#[derive(Clone, PartialEq, Message)]
pub struct DevicesUpdate {
    /// One version above the current list.
    #[prost(message, optional, tag = "1")]
    pub devices: Option<SignedDevices>,
}

/// The relay introduces itself to a device that it does not know.
#[derive(Clone, PartialEq, Message)]
pub struct Greeting {
    /// The program and its version.
    #[prost(string, tag = "1")]
    pub agent: String,
    /// Anybody may register.
    #[prost(bool, tag = "2")]
    pub open_registration: bool,
}

/// Who one is.
#[derive(Clone, PartialEq, Message)]
pub struct Welcome {
    /// The person's name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Their account key.
    #[prost(bytes = "vec", tag = "2")]
    pub account_key: Vec<u8>,
    /// The relay's program and version.
    #[prost(string, tag = "3")]
    pub agent: String,
    /// Calls missed since this person last asked for their history.
    #[prost(uint32, tag = "4")]
    pub missed_calls: u32,
}

/// An OPAQUE message from the relay.
#[derive(Clone, PartialEq, Message)]
pub struct OpaqueReply {
    /// OPAQUE `RegistrationResponse` or `CredentialResponse`.
    #[prost(bytes = "vec", tag = "1")]
    pub opaque: Vec<u8>,
}

/// What a new device needs once the password was right.
#[derive(Clone, PartialEq, Message)]
pub struct LoggedIn {
    /// As uploaded at registration.
    #[prost(bytes = "vec", tag = "1")]
    pub sealed_account_key: Vec<u8>,
    /// The current device list.
    #[prost(message, optional, tag = "2")]
    pub devices: Option<SignedDevices>,
}

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum ErrorCode {
    /// Not said.
    Unspecified = 0,
    /// The message is malformed or breaks a limit; a bug in the client.
    BadRequest = 1,
    /// This version does not know the request.
    Unsupported = 2,
    /// Log in first.
    NotLoggedIn = 3,
    /// Registration needs an invite.
    InviteRequired = 4,
    /// The invite is unknown, used or expired.
    InviteInvalid = 5,
    /// Somebody else has the name.
    NameTaken = 6,
    /// The name is empty, too long or has characters that names may not have.
    NameInvalid = 7,
    /// Name or password is wrong; which of them is never told.
    LoginFailed = 8,
    /// The account has been disabled by the operator.
    Disabled = 9,
    /// Too many requests.
    TooMany = 10,
    /// The signature or the version of a device list is wrong, or it is full.
    DeviceListInvalid = 11,
    /// There is no such call, or one is not in it.
    NoSuchCall = 12,
    /// The relay failed inside.
    Internal = 13,
    /// The relay is shutting down.
    Draining = 14,
}

/// Why a relay closed a connection, as its QUIC application error code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum CloseCode {
    /// Nothing is wrong.
    Done = 0,
    /// The relay is shutting down; try again later.
    Draining = 1,
    /// The same device has connected again, and this is the old connection; do not reconnect because of it.
    Replaced = 2,
    /// This device is no longer one of its person's; log in again.
    Revoked = 3,
    /// The client did not read what the relay said.
    TooSlow = 4,
    /// The client broke the protocol.
    Protocol = 5,
    /// The account is disabled.
    Disabled = 6,
    /// Nobody logged in for too long, or the password was wrong too often.
    NotLoggedIn = 7,
}

/// A refusal.
#[derive(Clone, PartialEq, Message)]
pub struct Refused {
    /// Why.
    #[prost(enumeration = "ErrorCode", tag = "1")]
    pub code: i32,
    /// The same in words, for a log.
    #[prost(string, tag = "2")]
    pub detail: String,
}

/// Somebody calls.
#[derive(Clone, PartialEq, Message)]
pub struct Incoming {
    /// Which call.
    #[prost(bytes = "vec", tag = "1")]
    pub call: Vec<u8>,
    /// The caller.
    #[prost(string, tag = "2")]
    pub caller: String,
    /// The caller's account key.
    #[prost(bytes = "vec", tag = "3")]
    pub account_key: Vec<u8>,
    /// The caller's device.
    #[prost(bytes = "vec", tag = "4")]
    pub device: Vec<u8>,
    /// What the caller will publish.
    #[prost(message, repeated, tag = "5")]
    pub streams: Vec<StreamOffer>,
    /// Opaque, from the caller.
    #[prost(bytes = "vec", tag = "6")]
    pub payload: Vec<u8>,
}

/// How a call ended, as seen from the device it is told to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum EndReason {
    /// Has not ended.
    Unspecified = 0,
    /// This device hung up.
    HungUp = 1,
    /// The other person hung up.
    PeerHungUp = 2,
    /// The callee declined.
    Declined = 3,
    /// The caller gave up before anybody answered.
    Cancelled = 4,
    /// The callee is in another call.
    Busy = 5,
    /// Nobody answered in time.
    TimedOut = 6,
    /// Another device of the callee answered.
    AnsweredElsewhere = 7,
    /// Another device of the callee declined.
    DeclinedElsewhere = 8,
    /// The caller's connection was lost while it rang.
    CallerLost = 9,
    /// The other person's connection was lost for longer than the grace.
    PeerLost = 10,
    /// The callee has no device online.
    Offline = 11,
    /// There is nobody of that name.
    UnknownPerson = 12,
    /// Both called each other, and the other call goes on instead: see [`CallState::merged_into`].
    Merged = 13,
    /// The relay is shutting down.
    RelayDraining = 14,
    /// One cannot call oneself.
    Yourself = 15,
    /// This person's other device is in a call already.
    AlreadyInCall = 16,
    /// The connection to the relay was lost for longer than the grace; never sent, only concluded.
    RelayLost = 17,
}

/// A call's news.
#[derive(Clone, PartialEq, Message)]
pub struct CallState {
    /// Which call.
    #[prost(bytes = "vec", tag = "1")]
    pub call: Vec<u8>,
    /// How many devices ring, while it rings.
    #[prost(uint32, tag = "2")]
    pub ringing_devices: u32,
    /// Set once it has ended.
    #[prost(enumeration = "EndReason", tag = "3")]
    pub ended: i32,
    /// With [`EndReason::Merged`]: the call that this device should accept, since its owner wants to talk anyway.
    #[prost(bytes = "vec", tag = "4")]
    pub merged_into: Vec<u8>,
}

/// A stream of a live call, numbered by the relay.
#[derive(Clone, PartialEq, Message)]
pub struct Stream {
    /// The relay's number, used in the hop header on both hops.
    #[prost(uint32, tag = "1")]
    pub stream: u32,
    /// Its publisher's device.
    #[prost(bytes = "vec", tag = "2")]
    pub device: Vec<u8>,
    /// The publisher's index.
    #[prost(uint32, tag = "3")]
    pub index: u32,
    /// What it carries.
    #[prost(enumeration = "StreamKind", tag = "4")]
    pub kind: i32,
}

/// The call is live.
#[derive(Clone, PartialEq, Message)]
pub struct Connected {
    /// Which call.
    #[prost(bytes = "vec", tag = "1")]
    pub call: Vec<u8>,
    /// The other person's name.
    #[prost(string, tag = "2")]
    pub peer: String,
    /// Their account key.
    #[prost(bytes = "vec", tag = "3")]
    pub account_key: Vec<u8>,
    /// Their device in this call.
    #[prost(bytes = "vec", tag = "4")]
    pub device: Vec<u8>,
    /// Everybody's streams, this device's own among them.
    #[prost(message, repeated, tag = "5")]
    pub streams: Vec<Stream>,
    /// Opaque, from the callee's [`Accept`]; empty for the callee.
    #[prost(bytes = "vec", tag = "6")]
    pub payload: Vec<u8>,
}

/// The other side's connection.
#[derive(Clone, PartialEq, Message)]
pub struct PeerPresence {
    /// Which call.
    #[prost(bytes = "vec", tag = "1")]
    pub call: Vec<u8>,
    /// Nothing has been heard from the other device for a while.
    #[prost(bool, tag = "2")]
    pub silent: bool,
}

/// Why a relay dropped frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum DropCause {
    /// Not said.
    Unspecified = 0,
    /// The receiver's downlink could not take the frame in time.
    DownlinkFull = 1,
    /// A frame that it refers to was dropped before.
    ReferenceMissing = 2,
}

/// Frames of one's own stream that a receiver will not get.
#[derive(Clone, PartialEq, Message)]
pub struct FramesDropped {
    /// Which stream.
    #[prost(uint32, tag = "1")]
    pub stream: u32,
    /// The first frame.
    #[prost(uint32, tag = "2")]
    pub first: u32,
    /// The last frame.
    #[prost(uint32, tag = "3")]
    pub last: u32,
    /// Why.
    #[prost(enumeration = "DropCause", tag = "4")]
    pub cause: i32,
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
    /// New or changed people; at most [`MAX_PAGE`].
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
    /// At most [`MAX_PAGE`].
    #[prost(message, repeated, tag = "1")]
    pub calls: Vec<PastCall>,
}

/// One's own devices.
#[derive(Clone, PartialEq, Message)]
pub struct Devices {
    /// As signed.
    #[prost(message, optional, tag = "1")]
    pub devices: Option<SignedDevices>,
    /// Keys of those that are connected now.
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub online: Vec<Vec<u8>>,
}

/// What two devices of a call say to each other inside [`CallData`]; opaque to the relay.
#[derive(Clone, PartialEq, Message)]
pub struct PeerMessage {
    /// What is said.
    #[prost(oneof = "peer::Body", tags = "1, 2, 3")]
    pub body: Option<peer::Body>,
}

/// What a device says to another.
pub mod peer {
    use super::*;

    /// One of these a message.
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Body {
        /// Mute and camera switches.
        #[prost(message, tag = "1")]
        MediaState(MediaState),
        /// The receiver's decoder needs a recovery point.
        #[prost(message, tag = "2")]
        Recover(Recover),
        /// Bytes of the key exchange.
        #[prost(bytes = "vec", tag = "3")]
        Handshake(Vec<u8>),
    }
}

/// What a device sends just now.
#[derive(Clone, PartialEq, Message)]
pub struct MediaState {
    /// The microphone is muted.
    #[prost(bool, tag = "1")]
    pub muted: bool,
    /// The camera is off.
    #[prost(bool, tag = "2")]
    pub camera_off: bool,
}

/// A plea for a frame that decodes without what was lost.
#[derive(Clone, PartialEq, Message)]
pub struct Recover {
    /// The sender's index of the stream.
    #[prost(uint32, tag = "1")]
    pub index: u32,
    /// The last frame that was decoded, if any was.
    #[prost(uint32, optional, tag = "2")]
    pub last_decoded: Option<u32>,
    /// The first frame that is missing.
    #[prost(uint32, tag = "3")]
    pub first_missing: u32,
}

/// Checks a person's name: 1 to [`MAX_NAME_BYTES`] bytes, no control characters, no white space at the ends, and no
/// characters that would let two names look alike by direction or width tricks.
pub fn valid_name(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len())
        && name.trim() == name
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_' | '.' | '\''))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        let message = ClientMessage::new(
            3,
            client::Body::Call(Call {
                call: vec![1, 2],
                callee: "bo".into(),
                streams: vec![StreamOffer { index: 1, kind: StreamKind::Camera.into() }],
                payload: vec![],
            }),
        );
        let bytes = message.encode_to_vec();
        assert_eq!(bytes, [8, 3, 82, 14, 10, 2, 1, 2, 18, 2, b'b', b'o', 26, 4, 8, 1, 16, 2]);
        assert_eq!(ClientMessage::decode(&bytes[..]), Ok(message));
    }

    #[test]
    fn unknown_fields_are_skipped() {
        // Field 15 of ClientMessage, varint 1, does not exist in this version.
        let bytes = [8, 3, 120, 1];
        assert_eq!(ClientMessage::decode(&bytes[..]), Ok(ClientMessage { request: 3, body: None }));
    }

    #[test]
    fn names() {
        for good in ["alice", "Zoë", "Jean-Luc P.", "李雷", "o'neil_2"] {
            assert!(valid_name(good), "{good}");
        }
        let long = "x".repeat(MAX_NAME_BYTES + 1);
        for bad in ["", " a", "a ", "a\nb", "a\u{202e}b", "a/b", "a@b", &long] {
            assert!(!valid_name(bad), "{bad:?}");
        }
    }
}
