//! Which cameras there are, kept up to date as they are plugged in and out.

use std::{io, path::Path, sync::Arc};

use tokio::sync::{Notify, watch};

use super::{list, plugs::Plugs, serve::Listed};
use crate::{
    app::devices::Device,
    thread::{Stage, Urgency},
    worker,
};

/// Where the nodes of cameras lie.
const NODES: &str = "/dev";

/// The cameras of this machine, looked after by a thread of its own. Dropping it stops the thread.
#[derive(Debug)]
pub struct Devices {
    cameras: watch::Receiver<Vec<Device>>,
    asked: Arc<Notify>,
    _thread: Stage,
}

impl Devices {
    /// The latest list, in the order in which it is to be shown; empty until the first look is over.
    pub fn cameras(&self) -> watch::Receiver<Vec<Device>> {
        self.cameras.clone()
    }

    /// Looks anew, for a list that is about to be seen: not every system tells what is plugged in.
    pub fn look(&self) {
        self.asked.notify_one();
    }
}

/// Begins to look after the cameras of this machine.
///
/// # Errors
///
/// If the system gives no thread.
pub fn devices() -> io::Result<Devices> {
    let (tell, cameras) = watch::channel(Vec::new());
    let asked = Arc::new(Notify::new());
    let look = asked.clone();
    let thread = Stage::spawn("visavis-plugs", Urgency::Usual, move || async move {
        let (listed, mut found) = watch::channel(Vec::<Listed>::new());
        let told = async {
            while found.changed().await.is_ok() {
                let found = found.borrow_and_update();
                tell.send_replace(found.iter().map(|camera| Device::new(&camera.id, &camera.name)).collect());
            }
        };
        let program = worker::own_program();
        let (followed, ()) = tokio::join!(follow(&program, Path::new(NODES), &look, listed), told);
        if let Err(error) = followed {
            tracing::warn!(%error, "cameras that are plugged in are no longer noticed");
        }
    })?;
    Ok(Devices { cameras, asked, _thread: thread })
}

/// Keeps `cameras` the list of what is there, until nobody looks at it: asks `program` at first, whenever something changes
/// among the nodes in `folder`, and when it is `asked`. To be called within a tokio runtime.
///
/// # Errors
///
/// If the system watches over no more folders.
pub async fn follow(
    program: &Path,
    folder: &Path,
    asked: &Notify,
    cameras: watch::Sender<Vec<Listed>>,
) -> io::Result<()> {
    // Begun before the first look, so that nothing happens unseen in between.
    let mut plugs = Plugs::watch(folder)?;
    loop {
        match list(program).await {
            Ok(found) => {
                cameras.send_if_modified(|known| {
                    let differs = *known != found;
                    *known = found;
                    differs
                });
            }
            Err(error) => tracing::warn!(%error, "the cameras cannot be listed"),
        }
        tokio::select! {
            biased; // nothing is looked up for nobody
            () = cameras.closed() => return Ok(()),
            changed = plugs.changed() => changed?,
            () = asked.notified() => {}
        }
    }
}
