//! Tells when a camera is plugged in or out, so that a menu of cameras can be made anew. Runs where it is awaited.

use std::{io, mem::MaybeUninit, path::Path};

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::net::unix::pipe::Receiver;

/// A watch over the folder of device nodes.
///
/// To tokio it is a pipe, which is what it reads like; tokio's type for any file wants unsafe code.
#[derive(Debug)]
pub struct Plugs(Receiver);

impl Plugs {
    /// Watches a folder: `/dev`. To be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// If the system has no more watches to give.
    pub fn watch(folder: &Path) -> io::Result<Self> {
        let file = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        // The attributes too: a node is made for root alone, and then given to the group.
        let what = WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::ATTRIB | WatchFlags::MOVED_TO;
        inotify::add_watch(&file, folder, what)?;
        Ok(Self(Receiver::from_owned_fd_unchecked(file)?))
    }

    /// Waits for a change among the cameras. Cancel-safe.
    ///
    /// # Errors
    ///
    /// If the system takes the watch away.
    pub async fn changed(&mut self) -> io::Result<()> {
        loop {
            self.0.readable().await?;
            let mut space = [MaybeUninit::uninit(); 4_096];
            let mut events = inotify::Reader::new(&self.0, &mut space);
            let mut camera = false;
            loop {
                match events.next() {
                    Ok(event) => {
                        camera |= event.file_name().is_some_and(|name| name.to_bytes().starts_with(b"video"));
                    }
                    Err(rustix::io::Errno::AGAIN) => break,
                    Err(error) => return Err(error.into()),
                }
            }
            // Tells tokio that all is read. An event that came just now is lost here, so it counts as a change.
            if camera || self.0.try_read(&mut [0; 4_096]).is_ok() {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_new_node_and_a_gone_one_are_told_and_others_are_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut plugs = Plugs::watch(folder.path()).expect("a watch");
        std::fs::write(folder.path().join("video0"), "").expect("written");
        plugs.changed().await.expect("told");
        std::fs::remove_file(folder.path().join("video0")).expect("removed");
        plugs.changed().await.expect("told");
        std::fs::write(folder.path().join("tty0"), "").expect("written");
        let told = tokio::time::timeout(std::time::Duration::from_millis(50), plugs.changed()).await;
        assert!(told.is_err(), "a terminal is no camera");
    }
}
