//! Lines of bounded length from a helper that may be broken.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// Reads lines of at most `most` bytes, their ends not counted.
#[derive(Debug)]
pub struct Lines<R> {
    reader: R,
    /// What has come of the next line.
    begun: Vec<u8>,
    most: usize,
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    /// Lines out of `reader`.
    pub const fn new(reader: R, most: usize) -> Self {
        Self { reader, begun: Vec::new(), most }
    }

    /// The next line; `None` at the end, which also ends a line that was begun. Cancel-safe.
    ///
    /// # Errors
    ///
    /// The reader's, or that a line is too long; nothing that is read after that makes sense.
    pub async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let bytes = self.reader.fill_buf().await?;
            if bytes.is_empty() {
                return Ok(None);
            }
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let part = &bytes[..end.unwrap_or(bytes.len())];
            if self.begun.len() + part.len() > self.most {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a line that is too long"));
            }
            self.begun.extend_from_slice(part);
            let taken = part.len() + usize::from(end.is_some());
            self.reader.consume(taken);
            if end.is_some() {
                return Ok(Some(std::mem::take(&mut self.begun)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::BufReader;

    use super::*;

    #[tokio::test]
    async fn lines_come_whole_whatever_pieces_they_come_in() {
        let text = &b"one\n\nthree, longer than the buffer\nbegun"[..];
        let mut lines = Lines::new(BufReader::with_capacity(4, text), 29);
        for expected in [&b"one"[..], b"", b"three, longer than the buffer"] {
            assert_eq!(lines.next().await.expect("read").as_deref(), Some(expected));
        }
        assert_eq!(lines.next().await.expect("read"), None);
    }

    #[tokio::test]
    async fn a_line_without_an_end_is_an_error_before_it_takes_memory() {
        let mut lines = Lines::new(BufReader::new(tokio::io::repeat(b'x')), 10_000);
        let error = lines.next().await.expect_err("too long");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(lines.begun.len() <= 10_000);
    }
}
