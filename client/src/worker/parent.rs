//! The end that starts a helper, listens to it, and ends it. Runs on the thread of whoever owns the [`Worker`].

use std::{
    ffi::OsStr,
    io::{self, IoSlice, Write},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::Path,
    process::{Child, Command, Stdio},
};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde::{Serialize, de::DeserializeOwned};
use tokio::io::BufReader;

use super::{COMMAND, LINE_BYTES, lines::Lines, ring};

/// A running helper. Dropping it kills and reaps it.
#[derive(Debug)]
pub struct Worker {
    child: Option<Child>,
    lines: Lines<BufReader<tokio::net::UnixStream>>,
    /// What it shows.
    pub pictures: ring::Reader,
}

impl Worker {
    /// Starts `program` as a helper of this kind, with memory for contents of `bytes`. To be called within a tokio
    /// runtime, on a thread that lives as long as the helper is to.
    ///
    /// # Errors
    ///
    /// If the system gives no process or memory.
    pub fn start(program: &Path, kind: &str, bytes: usize, job: &impl Serialize) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let (pictures, memory) = ring::create(bytes)?;
        let mut child = Command::new(program)
            .args([OsStr::new(COMMAND), OsStr::new(kind)])
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .spawn()?;
        let told = hand_over(&ours, &memory, job).and_then(|()| {
            ours.set_nonblocking(true)?;
            tokio::net::UnixStream::from_std(ours)
        });
        match told {
            Ok(socket) => {
                Ok(Self { child: Some(child), lines: Lines::new(BufReader::new(socket), LINE_BYTES), pictures })
            }
            Err(error) => {
                let _ended_already = child.kill();
                reap(child);
                Err(error)
            }
        }
    }

    /// The next thing that it says; `None` once it has ended. Cancel-safe.
    ///
    /// # Errors
    ///
    /// If it says something that makes no sense.
    pub async fn heard<M: DeserializeOwned>(&mut self) -> io::Result<Option<M>> {
        match self.lines.next().await {
            Ok(Some(line)) => serde_json::from_slice(&line).map(Some).map_err(io::Error::from),
            Ok(None) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            if let Err(error) = child.kill() {
                tracing::debug!(%error, "a helper could not be killed");
            }
            reap(child);
        }
    }
}

/// Waits for a killed child where nobody else does: one that hangs inside a driver ends when the driver lets it.
fn reap(mut child: Child) {
    if matches!(child.try_wait(), Ok(Some(_))) {
        return;
    }
    let reaper = std::thread::Builder::new().name("visavis-reaper".to_owned()).spawn(move || child.wait());
    if let Err(error) = reaper {
        tracing::debug!(%error, "no thread to wait for a helper: it stays in the table of processes");
    }
}

/// Sends the memory with the first byte, then the job.
fn hand_over(mut socket: &UnixStream, memory: &OwnedFd, job: &impl Serialize) -> io::Result<()> {
    let files = [memory.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let fits = ancillary.push(SendAncillaryMessage::ScmRights(&files));
    debug_assert!(fits, "the space is made for one file");
    sendmsg(socket, &[IoSlice::new(b"M")], &mut ancillary, SendFlags::empty())?;
    let mut line = serde_json::to_vec(job)?;
    line.push(b'\n');
    socket.write_all(&line)
}
