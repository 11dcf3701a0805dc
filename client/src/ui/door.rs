//! A second start of the window on the same profile: the window that is open comes to the front, and takes the link.
//!
//! ```text
//! visavis LINK (second) -- datagram: the link, or nothing --> FOLDER/.window -- Wake::Knock --> the first one's window
//! ```
//!
//! The socket lies in the profile's folder, where only its owner reaches it. Whoever holds the profile's lock has it; what a
//! crash has left is replaced. Where there is none, as on systems other than Unix, a second start says that it cannot be.

use std::path::Path;

use super::waker::{Wake, Waker};
use crate::thread::{Stage, Urgency};

#[cfg(unix)]
const FILE: &str = ".window";

/// Bytes of a link that are taken: more than any link has.
#[cfg(unix)]
const LONGEST: usize = 4_096;

/// Listens until it is dropped; `None` where that cannot be.
#[cfg(unix)]
pub fn open(folder: &Path, waker: Waker) -> Option<Stage> {
    let path = folder.join(FILE);
    // Left by one that crashed: this process alone uses the profile.
    let _none = std::fs::remove_file(&path);
    let socket = std::os::unix::net::UnixDatagram::bind(&path)
        .and_then(|socket| socket.set_nonblocking(true).map(|()| socket))
        .inspect_err(|error| tracing::debug!(%error, "nobody can knock at the window"))
        .ok()?;
    let listen = move || async move {
        let Ok(socket) = tokio::net::UnixDatagram::from_std(socket) else { return };
        let mut bytes = [0; LONGEST];
        while let Ok(length) = socket.recv(&mut bytes).await {
            waker.send(Wake::Knock(String::from_utf8_lossy(&bytes[..length]).into_owned()));
        }
    };
    Stage::spawn("visavis-door", Urgency::Usual, listen).ok()
}

/// Calls the window that is open with the profile of `folder`. Whether there is one.
#[cfg(unix)]
pub fn knock(folder: &Path, link: Option<&str>) -> bool {
    let socket = std::os::unix::net::UnixDatagram::unbound();
    socket.and_then(|socket| socket.send_to(link.unwrap_or_default().as_bytes(), folder.join(FILE))).is_ok()
}

/// Nobody can be heard.
#[cfg(not(unix))]
pub fn open(_folder: &Path, _waker: Waker) -> Option<Stage> {
    None
}

/// Nobody hears.
#[cfg(not(unix))]
pub fn knock(_folder: &Path, _link: Option<&str>) -> bool {
    false
}
