//! The messages of the control stream (protobuf, written as types; no schema compiler is needed to build).
//!
//! A client's message carries a request number of its own choosing, 1 or more; the relay's answer repeats it. What the
//! relay says unasked carries 0. Unknown fields are skipped, and a message whose body is unknown is answered with
//! [`ErrorCode::Unsupported`] and otherwise ignored, so that both ends can grow.

use prost::Message;
use unicode_security::{GeneralSecurityProfile, RestrictionLevel, RestrictionLevelDetection};

mod account;
mod calls;
mod people;

pub use account::*;
pub use calls::*;
pub use people::*;

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

/// Checks a person's name: 1 to [`MAX_NAME_BYTES`] bytes of letters and digits of any script and ` -_.'`, the first of
/// them a letter or digit, so that no name is taken for an option; single blanks and none at the end.
///
/// Characters that identifiers should not have (invisible, full-width, ligatures) are refused, and so are scripts that do
/// not belong together, by Unicode Technical Standard 39 (identifier status, and "highly restrictive" mixing). A name
/// written wholly in look-alikes of another script is not caught: only its account key tells two people apart.
pub fn valid_name(name: &str) -> bool {
    let punctuation = |c| matches!(c, ' ' | '-' | '_' | '.' | '\'');
    let letters: String = name.chars().filter(|&c| !punctuation(c)).collect();
    (1..=MAX_NAME_BYTES).contains(&name.len())
        && name.starts_with(char::is_alphanumeric)
        && !name.ends_with(' ')
        && !name.contains("  ")
        && letters.chars().all(|c| c.is_alphanumeric() && c.identifier_allowed())
        && letters.check_restriction_level(RestrictionLevel::HighlyRestrictive)
}

/// Checks a device's name: at most [`MAX_DEVICE_NAME_BYTES`] bytes, no control characters.
pub fn valid_device_name(name: &str) -> bool {
    name.len() <= MAX_DEVICE_NAME_BYTES && !name.contains(char::is_control)
}

/// The form in which names are compared: no two people's differ by case alone.
pub fn fold_name(name: &str) -> String {
    name.to_lowercase()
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
        let tricks = ["\u{ff41}lice", "alice\u{3164}", "\u{3164}", "\u{430}lice", "al\u{456}ce", "\u{fb01}n"];
        assert!(tricks.iter().all(|name| !valid_name(name)));
        for bad in [
            "",
            " a",
            "a ",
            "al  ice",
            "-",
            ".",
            "-x",
            "--help",
            "_a",
            "'a",
            ".a",
            "a\nb",
            "a\u{202e}b",
            "a/b",
            "a@b",
            &long,
        ] {
            assert!(!valid_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn device_names() {
        let long = "x".repeat(MAX_DEVICE_NAME_BYTES + 1);
        assert!(["laptop", "Zoë's phone (old)", &long[1..]].iter().all(|name| valid_device_name(name)));
        assert!(["a\nb", "\u{1b}[2J", "a\u{7f}", "\u{9b}", &long].iter().all(|name| !valid_device_name(name)));
    }
}
