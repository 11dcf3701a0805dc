//! The helper's end: its parent, as it sees it. Runs on the helper's main thread.

use std::{
    io::{self, BufRead, BufReader, IoSliceMut, Read, Write},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde::{Serialize, de::DeserializeOwned};

use super::{LINE_BYTES, ring};

/// The process that started this one.
#[derive(Debug)]
pub struct Parent {
    socket: UnixStream,
    /// Where pictures go.
    pub pictures: ring::Writer,
}

impl Parent {
    /// Meets the parent and takes the job. From here on this process ends when its parent does.
    ///
    /// # Errors
    ///
    /// If this process was not started as a helper.
    pub fn meet<J: DeserializeOwned>() -> io::Result<(Self, J)> {
        // The parent's thread may end before this line: the socket's end, watched below, covers that.
        #[cfg(target_os = "linux")]
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        let pictures = ring::Writer::open(&receive(&socket)?)?;
        let mut reader = BufReader::new(socket.try_clone()?);
        let mut line = Vec::new();
        reader.by_ref().take(LINE_BYTES as u64).read_until(b'\n', &mut line)?;
        let job = serde_json::from_slice(&line)?;
        std::thread::Builder::new().name("visavis-parent".to_owned()).spawn(move || {
            // Nothing more is said to a helper; what is waited for is the end.
            let _ended = io::copy(&mut reader.by_ref(), &mut io::sink());
            std::process::exit(0);
        })?;
        Ok((Self { socket, pictures }, job))
    }

    /// Says something. A parent that does not listen holds this up, after some thousands of messages.
    ///
    /// # Errors
    ///
    /// If the parent is gone.
    pub fn say(&mut self, message: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        self.socket.write_all(&line)
    }
}

/// The memory that comes with the first byte.
fn receive(socket: &UnixStream) -> io::Result<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut first = [0];
    recvmsg(socket, &mut [IoSliceMut::new(&mut first)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    ancillary
        .drain()
        .find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut files) => files.next(),
            _ => None,
        })
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "helpers are started by visavis itself"))
}
