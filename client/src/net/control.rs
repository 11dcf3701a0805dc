//! The control stream: numbered requests with their answers, and the relay's news in between.

use std::time::Duration;

use quinn::{Connection, ReadError, RecvStream, SendStream};
use visavis_proto::wire::{
    control::{ClientMessage, ErrorCode, Refused, RelayMessage, client, relay},
    framing,
};

use super::online::ended;

/// How long an answer may take before the relay counts as unreachable.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Why the conversation with a relay failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection ended.
    #[error("the connection to the relay ended: {0}. Check your network, and try again")]
    Lost(String),
    /// The relay breaks the protocol.
    #[error(
        "the relay sent something that this version does not understand: {0}. One of the two is probably too old: update \
         it"
    )]
    Protocol(String),
    /// A request was refused.
    #[error("{}", refusal(.0))]
    Refused(Refused),
    /// No answer in time.
    #[error(
        "the relay did not answer within {} s: it is overloaded, or the network in between is. Try again in a minute",
        ANSWER_TIMEOUT.as_secs()
    )]
    Silent,
}

impl Error {
    /// The refusal's code, if it is one.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused(refused) => Some(refused.code()),
            _ => None,
        }
    }
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Online: calls ring here. The relay keeps one such connection a device.
    Reachable,
    /// Looks something up beside the reachable one, and is not seen by anybody.
    Visiting,
}

/// Both halves of the stream.
#[derive(Debug)]
pub struct Control {
    /// Reads what the relay says.
    pub reader: Reader,
    /// Says things.
    pub writer: Writer,
    next_request: u32,
}

/// The half that reads.
#[derive(Debug)]
pub struct Reader {
    stream: RecvStream,
    buffer: framing::Reader,
}

/// The half that writes.
#[derive(Debug)]
pub struct Writer {
    stream: SendStream,
}

impl Control {
    /// Opens the stream and says hello. The relay's answer is [`relay::Body::Greeting`] or
    /// [`relay::Body::Welcome`].
    ///
    /// # Errors
    ///
    /// Any [`Error`].
    pub async fn open(connection: &Connection, presence: Presence) -> Result<(Self, relay::Body), Error> {
        let (send, receive) = connection.open_bi().await.map_err(|error| Error::Lost(error.to_string()))?;
        let reader = Reader { stream: receive, buffer: framing::Reader::default() };
        let mut control = Self { reader, writer: Writer { stream: send }, next_request: 1 };
        let hello = client::Body::Hello(visavis_proto::wire::control::Hello {
            agent: crate::AGENT.to_owned(),
            visiting: presence == Presence::Visiting,
        });
        let answer = control.request(hello).await?;
        Ok((control, answer))
    }

    /// Asks and waits for the answer, skipping news. Only for use before an actor owns the connection.
    ///
    /// # Errors
    ///
    /// Any [`Error`]; a refusal is one.
    pub async fn request(&mut self, body: client::Body) -> Result<relay::Body, Error> {
        let number = self.next_request;
        self.next_request += 1;
        self.writer.write(&framing::encode(&ClientMessage::new(number, body))).await?;
        let answer = async {
            loop {
                let message = self.reader.next().await?;
                if message.request == number {
                    return Ok(message.body);
                }
            }
        };
        match tokio::time::timeout(ANSWER_TIMEOUT, answer).await {
            Err(_) => Err(Error::Silent),
            Ok(Err(error)) => Err(error),
            Ok(Ok(Some(relay::Body::Refused(refused)))) => Err(Error::Refused(refused)),
            Ok(Ok(Some(body))) => Ok(body),
            Ok(Ok(None)) => Err(Error::Protocol("an empty answer".into())),
        }
    }
}

impl Reader {
    /// The relay's next message. Not cancel-safe between bytes of one read, safe between messages: what was read stays
    /// in the buffer.
    ///
    /// # Errors
    ///
    /// [`Error::Lost`] at the end of the connection, [`Error::Protocol`] for bytes that are no message.
    pub async fn next(&mut self) -> Result<RelayMessage, Error> {
        loop {
            if let Some(message) = self.buffer.next().map_err(|error| Error::Protocol(error.to_string()))? {
                return Ok(message);
            }
            match self.stream.read_chunk(64 * 1024, true).await {
                Ok(Some(chunk)) => self.buffer.push(&chunk.bytes),
                Ok(None) => return Err(Error::Lost("the relay closed the conversation".into())),
                Err(ReadError::ConnectionLost(error)) => return Err(Error::Lost(ended(&error))),
                Err(error) => return Err(Error::Lost(error.to_string())),
            }
        }
    }
}

impl Writer {
    /// Writes framed bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Lost`].
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.stream.write_all(bytes).await.map_err(|error| Error::Lost(error.to_string()))
    }

    /// Nothing more will be said; waits until what was said has been acknowledged, or the connection is gone.
    pub async fn finish(&mut self) {
        // Errors mean that the connection is gone, and with it whoever could hear.
        if self.stream.finish().is_ok() {
            let _ = self.stream.stopped().await;
        }
    }
}

/// What a person should know and do about a refusal.
fn refusal(refused: &Refused) -> String {
    let text = match refused.code() {
        ErrorCode::InviteRequired => {
            "this relay registers people by invite only: ask its operator for an invite link (visavis-relay invite makes \
             one; put it in quotes, or the shell cuts it at the &), or say that you have an account here, if this is \
             another device of yours (--existing)"
        }
        ErrorCode::InviteInvalid => {
            "this invite is not valid: it was used already, has expired, or is for another name. Ask for a new one, or \
             say that you have an account here, if this is another device of yours (--existing)"
        }
        ErrorCode::NameTaken => {
            "somebody here has this name already: choose another, or say that you have an account here, if it is you on \
             another device (--existing)"
        }
        ErrorCode::NameInvalid => {
            "this name cannot be used: it begins with a letter or digit, has letters and digits of one script, spaces and \
             - _ . ', and is at most 40 characters long, fewer where letters take more than one byte"
        }
        ErrorCode::LoginFailed => crate::opaque::WRONG_PASSWORD,
        ErrorCode::Disabled => "this account has been disabled: ask the relay's operator",
        ErrorCode::TooMany => "too many requests: wait a minute and try again",
        ErrorCode::NotLoggedIn => {
            "this device is not enrolled at the relay: join it first (visavis join LINK --name YOU)"
        }
        ErrorCode::DeviceListInvalid => {
            "the relay refused this account's list of devices: another device may have changed it meanwhile, so try again"
        }
        ErrorCode::NoSuchCall => "that call has ended already",
        ErrorCode::Draining => "the relay is shutting down: try again in a minute",
        ErrorCode::Unsupported => "the relay is older than this program and does not know this request",
        ErrorCode::Internal => "the relay failed inside: its operator finds the reason in its log",
        ErrorCode::BadRequest | ErrorCode::Unspecified => "the relay refused the request",
    };
    // Elsewhere the detail says the same in fewer words.
    let vague =
        matches!(refused.code(), ErrorCode::BadRequest | ErrorCode::Unspecified | ErrorCode::DeviceListInvalid);
    if vague && !refused.detail.is_empty() { format!("{text} ({})", refused.detail) } else { text.to_owned() }
}
