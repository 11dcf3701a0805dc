//! The thread that keeps a call's statistics: drains the queue, writes lines, tells the live figures once a second.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::sync::{mpsc, oneshot, watch};

use super::{
    Item,
    collector::{Collector, Live},
};
use crate::{
    clock::Clock,
    thread::{Stage, Urgency},
};

/// How often the live figures are told.
const LIVE_INTERVAL: Duration = Duration::from_secs(1);

/// A running collector.
#[derive(Debug)]
pub struct Running {
    stage: Stage,
    live: watch::Receiver<Option<Live>>,
    done: oneshot::Receiver<(Collector, Result<(), Error>)>,
}

/// The file of `--stats` cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write statistics to {}: {source}. Check that the folder exists, is writable and has room", path.display())]
pub struct Error {
    path: PathBuf,
    source: std::io::Error,
}

/// Starts collecting from `queue`, with a JSON line a frame in `lines` if it is given.
///
/// # Errors
///
/// If the file cannot be made, or the system gives no thread.
pub fn start(queue: mpsc::Receiver<Item>, clock: Clock, lines: Option<&Path>) -> Result<Running, Error> {
    let wrong = |source| Error { path: lines.unwrap_or(Path::new("")).to_owned(), source };
    let file = lines.map(File::create).transpose().map_err(wrong)?.map(BufWriter::new);
    let path = lines.map(Path::to_owned).unwrap_or_default();
    let (live_sender, live) = watch::channel(None);
    let (finished, done) = oneshot::channel();
    let stage = Stage::spawn("visavis-stats", Urgency::Usual, move || async move {
        let mut collector = Collector::default();
        let result = collect(queue, clock, file, &live_sender, &mut collector).await;
        let result = result.map_err(|source| Error { path, source });
        // Nobody waits for the figures of a call that was given up.
        let _ = finished.send((collector, result));
    })
    .map_err(wrong)?;
    Ok(Running { stage, live, done })
}

impl Running {
    /// The live figures, a change a second.
    pub fn live(&self) -> watch::Receiver<Option<Live>> {
        self.live.clone()
    }

    /// Waits until every sender is gone and all lines are written; answers the sums.
    ///
    /// # Errors
    ///
    /// If a line could not be written; the sums are lost then too, since nobody should trust half of them.
    pub fn finish(mut self) -> Result<Collector, Error> {
        self.stage.finish();
        match self.done.try_recv() {
            Ok((collector, Ok(()))) => Ok(collector),
            Ok((_, Err(error))) => Err(error),
            Err(_) => Err(Error { path: PathBuf::new(), source: std::io::Error::other("its thread panicked") }),
        }
    }
}

async fn collect(
    mut queue: mpsc::Receiver<Item>,
    clock: Clock,
    mut lines: Option<BufWriter<File>>,
    live: &watch::Sender<Option<Live>>,
    collector: &mut Collector,
) -> std::io::Result<()> {
    let mut told = clock.now();
    loop {
        tokio::select! {
            biased; // the live figures come on time even if records never stop
            () = tokio::time::sleep_until(clock.instant(told + LIVE_INTERVAL)) => {
                let now = clock.now();
                live.send_replace(collector.live(now, now.since(told)));
                told = now;
            }
            item = queue.recv() => match item {
                None => break,
                Some(Item::Note(note)) => collector.note(note),
                Some(Item::Frame(record)) => {
                    collector.record(&record, lines.as_mut().map(|lines| lines as &mut dyn Write))?;
                }
            },
        }
    }
    lines.map_or(Ok(()), |mut lines| lines.flush())
}
