//! Length-prefixed messages on the control stream: a 32-bit big-endian length, then that many bytes of protobuf.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;

/// Most bytes of one control message. The largest are pages of people and of history.
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024;

/// Why the control stream cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A length above [`MAX_MESSAGE_BYTES`].
    #[error("a control message of {0} bytes, at most {MAX_MESSAGE_BYTES} are allowed")]
    TooLong(usize),
    /// Not the protobuf message that belongs here.
    #[error("a malformed control message: {0}")]
    Malformed(#[from] prost::DecodeError),
}

/// One message with its length in front, ready to be written.
pub fn encode(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut out = BytesMut::with_capacity(4 + length);
    out.put_u32(length as u32);
    message.encode_raw(&mut out);
    out.freeze()
}

/// Cuts a byte stream into messages. Holds at most one message more than it was fed.
#[derive(Debug, Default)]
pub struct Reader {
    buffer: BytesMut,
}

impl Reader {
    /// Bytes as they came from the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message, or `None` until more bytes come.
    ///
    /// # Errors
    ///
    /// After any error the stream has lost its framing and must be closed.
    #[allow(
        clippy::should_implement_trait,
        reason = "the caller names the message's type, and errors end the stream"
    )]
    pub fn next<M: Message + Default>(&mut self) -> Result<Option<M>, Error> {
        let Some(mut prefix) = self.buffer.get(..4) else { return Ok(None) };
        let length = prefix.get_u32() as usize;
        if length > MAX_MESSAGE_BYTES {
            return Err(Error::TooLong(length));
        }
        if self.buffer.len() < 4 + length {
            return Ok(None);
        }
        self.buffer.advance(4);
        Ok(Some(M::decode(self.buffer.split_to(length))?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::control::{ClientMessage, client};
    use proptest::prelude::*;

    #[test]
    fn messages_come_out_whole_however_they_are_cut() {
        let message = ClientMessage::new(7, client::Body::PeopleQuery(Default::default()));
        let bytes = [encode(&message), encode(&message)].concat();
        let mut reader = Reader::default();
        let mut seen = 0;
        for byte in bytes {
            reader.push(&[byte]);
            while let Some(next) = reader.next::<ClientMessage>().expect("well-formed") {
                assert_eq!(next, message);
                seen += 1;
            }
        }
        assert_eq!(seen, 2);
    }

    #[test]
    fn an_endless_message_is_refused_by_its_length() {
        let mut reader = Reader::default();
        reader.push(&u32::MAX.to_be_bytes());
        assert!(matches!(reader.next::<ClientMessage>(), Err(Error::TooLong(_))));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut reader = Reader::default();
            reader.push(&bytes);
            while let Ok(Some(_)) = reader.next::<ClientMessage>() {}
        }
    }
}
