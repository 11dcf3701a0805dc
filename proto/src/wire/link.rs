//! The link that a relay prints and a person pastes: `visavis://host:port/#<key hash>&t=<token>`.
//!
//! The part behind `#` never leaves the person's machine when such a link is opened by a browser. Without a key hash
//! the relay's certificate must be one that the system's authorities vouch for.

use std::{fmt, str::FromStr};

use crate::{
    DEFAULT_PORT,
    hex::{self, Hex},
};

/// Bytes of an invite's token.
pub const TOKEN_BYTES: usize = 16;

/// Where a relay is and how to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Host name, IPv4 address, or IPv6 address without brackets.
    pub host: String,
    /// UDP port.
    pub port: u16,
    /// SHA-256 of the relay's public key (its certificate's SubjectPublicKeyInfo).
    pub pin: Option<[u8; 32]>,
    /// An invite.
    pub token: Option<[u8; TOKEN_BYTES]>,
}

/// What is wrong with a link.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// It begins differently.
    #[error("a relay's link begins with visavis://: copy the whole line that the relay printed")]
    Scheme,
    /// No host in front of the port.
    #[error("the host is missing or malformed: the link should look like visavis://HOST:PORT/#KEY")]
    Host,
    /// Not a number from 1 to 65535.
    #[error("the port {0:?} is not a number from 1 to 65535")]
    Port(String),
    /// Not 64 hexadecimal digits.
    #[error("the key behind # is not 64 hexadecimal digits: the link was cut or changed when it was copied")]
    Pin,
    /// Not 32 hexadecimal digits.
    #[error("the invite behind t= is not 32 hexadecimal digits: the link was cut or changed when it was copied")]
    Token,
}

impl Link {
    /// The same relay without the invite, as a profile keeps it.
    pub fn without_token(&self) -> Self {
        Self { token: None, ..self.clone() }
    }
}

impl FromStr for Link {
    type Err = LinkError;

    fn from_str(text: &str) -> Result<Self, LinkError> {
        let rest = text.trim().strip_prefix("visavis://").ok_or(LinkError::Scheme)?;
        let (place, fragment) = rest.split_once('#').unwrap_or((rest, ""));
        let place = place.strip_suffix('/').unwrap_or(place);
        let (host, port) = match place.strip_prefix('[') {
            Some(bracketed) => {
                let (host, after) = bracketed.split_once(']').ok_or(LinkError::Host)?;
                match after.strip_prefix(':') {
                    None if !after.is_empty() => return Err(LinkError::Host),
                    port => (host, port),
                }
            }
            None => match place.rsplit_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (place, None),
            },
        };
        let misplaced = |c: char| matches!(c, '/' | '?' | '@' | '[' | ']') || c.is_whitespace() || c.is_control();
        if host.is_empty() || host.contains(misplaced) {
            return Err(LinkError::Host);
        }
        let port = match port {
            None => DEFAULT_PORT,
            Some(digits) => match digits.parse() {
                // Numbers may be written with a plus sign, ports may not.
                Ok(port) if port != 0 && !digits.starts_with('+') => port,
                _ => return Err(LinkError::Port(digits.to_owned())),
            },
        };
        let (mut pin, mut token) = (None, None);
        for part in fragment.split('&').filter(|part| !part.is_empty()) {
            match part.strip_prefix("t=") {
                Some(digits) => token = Some(hex::decode(digits).ok_or(LinkError::Token)?),
                // Further parameters belong to later versions.
                None if part.contains('=') => {}
                None => pin = Some(hex::decode(part).ok_or(LinkError::Pin)?),
            }
        }
        Ok(Self { host: host.to_owned(), port, pin, token })
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "visavis://[{}]:{}/", self.host, self.port)?;
        } else {
            write!(f, "visavis://{}:{}/", self.host, self.port)?;
        }
        if self.pin.is_some() || self.token.is_some() {
            f.write_str("#")?;
        }
        if let Some(pin) = self.pin {
            Hex(&pin).fmt(f)?;
        }
        if let Some(token) = self.token {
            write!(f, "&t={}", Hex(&token))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_people_paste() {
        let link: Link = " visavis://relay.example.org\n".parse().expect("bare host");
        assert_eq!((link.host.as_str(), link.port, link.pin), ("relay.example.org", 4433, None));
        let link: Link = "visavis://[::1]:99/".parse().expect("bracketed");
        assert_eq!((link.host.as_str(), link.port), ("::1", 99));
        let later: Link = "visavis://h/#v=2&x=1".parse().expect("unknown parameters are skipped");
        assert_eq!(later.pin, None);
        for (text, error) in [
            ("https://h", LinkError::Scheme),
            ("visavis://", LinkError::Host),
            ("visavis://:1", LinkError::Host),
            ("visavis://a]b:1", LinkError::Host),
            ("visavis://[[::1]:1", LinkError::Host),
            ("visavis://[::1]99", LinkError::Host),
            ("visavis://two words", LinkError::Host),
            ("visavis://h:0", LinkError::Port("0".into())),
            ("visavis://h:+1", LinkError::Port("+1".into())),
            ("visavis://h/#abc", LinkError::Pin),
            ("visavis://h/#&t=xyz", LinkError::Token),
            ("visavis://h/#&t=+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1", LinkError::Token),
        ] {
            assert_eq!(text.parse::<Link>(), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn round_trip(host in "[a-z]{1,9}(\\.[a-z]{1,9}){0,2}|::1|fe80::1", port in 1..=u16::MAX,
                      pin in any::<Option<[u8; 32]>>(), token in any::<Option<[u8; 16]>>()) {
            let link = Link { host, port, pin, token };
            prop_assert_eq!(link.to_string().parse(), Ok(link));
        }

        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,80}") {
            let _ = text.parse::<Link>();
        }
    }
}
