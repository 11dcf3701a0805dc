//! Who one is: greeting, registration, login, devices, refusals.

use prost::{Enumeration, Message};

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
    /// At most [`MAX_DEVICES`](super::MAX_DEVICES).
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
