//! The thread that keeps a call's statistics: drains the queue, writes lines, tells the live figures once a second.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::sync::{oneshot, watch};

use super::{
    Item, Queue,
    collector::{Collector, Live},
    record::{Counter, Note},
};
use crate::{
    chan::failures::Reporter,
    clock::Clock,
    playback::output,
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

/// What goes wrong with statistics.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file of `--stats` could not be written, or not any further.
    #[error("the statistics in {} ended early: {source}. Make room there, or choose another place", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The system gives no thread.
    #[error("the system gives no more threads: {0}")]
    Thread(io::Error),
    /// A fault of ours.
    #[error("the statistics are lost: their thread panicked")]
    Panicked,
}

/// Starts collecting from `queue`, with a JSON line a frame in `lines` if it is given. That file is emptied at the first of
/// them, or at the end of a call that had none. If it cannot be written, `reporter` is told, and the sums go on.
///
/// # Errors
///
/// [`Error::Thread`].
pub fn start(queue: Queue, clock: Clock, lines: Option<&Path>, reporter: Reporter) -> Result<Running, Error> {
    let lines = lines.map(|path| Lines { path: path.to_owned(), file: None, reporter });
    let (live_sender, live) = watch::channel(None);
    let (finished, done) = oneshot::channel();
    let stage = Stage::spawn("visavis-stats", Urgency::Usual, move || async move {
        // Nobody waits for the figures of a call that was given up.
        let _ = finished.send(collect(queue, clock, lines, &live_sender).await);
    })
    .map_err(Error::Thread)?;
    Ok(Running { stage, live, done })
}

impl Running {
    /// The live figures, a change a second.
    pub fn live(&self) -> watch::Receiver<Option<Live>> {
        self.live.clone()
    }

    /// Waits until every sender is gone and all lines are written; answers the sums, and whether all lines could be
    /// written: [`Error::Write`] was told when it happened.
    ///
    /// # Errors
    ///
    /// [`Error::Panicked`].
    pub fn finish(mut self) -> Result<(Collector, Result<(), Error>), Error> {
        self.stage.finish();
        self.done.try_recv().map_err(|_| Error::Panicked)
    }
}

/// The file of `--stats`.
struct Lines {
    path: PathBuf,
    /// From the first line on.
    file: Option<BufWriter<File>>,
    reporter: Reporter,
}

impl Lines {
    fn file(&mut self) -> io::Result<&mut BufWriter<File>> {
        match &mut self.file {
            Some(file) => Ok(file),
            none => Ok(none.insert(BufWriter::new(output::begin(&self.path)?))),
        }
    }

    /// The file could not be written: tells it.
    fn fail(self, source: io::Error) -> Error {
        let error = Error::Write { path: self.path, source };
        self.reporter.tell(&error);
        error
    }
}

/// The last line of the file.
#[derive(serde::Serialize)]
struct LastLine {
    counters: BTreeMap<String, u64>,
}

async fn collect(
    mut queue: Queue,
    clock: Clock,
    mut lines: Option<Lines>,
    live: &watch::Sender<Option<Live>>,
) -> (Collector, Result<(), Error>) {
    let mut collector = Collector::default();
    let mut result = Ok(());
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
                    let out = lines.as_mut().map(Lines::file).transpose();
                    let written = match out {
                        Ok(out) => collector.record(&record, out.map(|file| file as &mut dyn Write)),
                        Err(error) => collector.record(&record, None).and(Err(error)),
                    };
                    if let Err(error) = written {
                        result = lines.take().map_or(Ok(()), |lines| Err(lines.fail(error)));
                    }
                }
            },
        }
    }
    collector.note(Note::Counted(Counter::LostRecords, queue.lost()));
    if let Some(mut lines) = lines
        && (lines.file.is_some() || collector.went_live())
        && let Err(error) = lines.file().and_then(|file| write_last(file, &collector))
    {
        result = Err(lines.fail(error));
    }
    (collector, result)
}

fn write_last(file: &mut BufWriter<File>, collector: &Collector) -> io::Result<()> {
    serde_json::to_writer(&mut *file, &LastLine { counters: collector.counters() })?;
    file.write_all(b"\n")?;
    file.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        chan::failures::failures,
        stats::{
            self,
            record::{Fate, FrameRecord, Media, Side},
        },
    };

    fn picture(number: u32) -> FrameRecord {
        FrameRecord {
            frame: Some(number),
            capture: Some(number),
            ..FrameRecord::new(Side::Receiver, Media::Video, Fate::InFlight)
        }
    }

    #[test]
    fn the_last_line_holds_the_counters() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("stats.jsonl");
        let (sender, queue) = stats::channel();
        let running = start(queue, Clock::system(), Some(&path), failures().0).expect("starts");
        sender.record(picture(0));
        sender.note(Note::Counted(Counter::RefusedPackets, 3));
        drop(sender);
        let (_, written) = running.finish().expect("no panic");
        written.expect("written");
        let text = std::fs::read_to_string(&path).expect("a file");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert_eq!(serde_json::from_str::<FrameRecord>(lines[0]).expect("a record"), picture(0));
        assert_eq!(lines[1], r#"{"counters":{"refused_packets":3}}"#);
    }

    #[test]
    fn records_without_room_are_counted() {
        let (sender, queue) = stats::channel();
        for number in 0..stats::RECORDS as u32 + 7 {
            sender.record(picture(number));
        }
        drop(sender);
        let running = start(queue, Clock::system(), None, failures().0).expect("starts");
        let (collector, _) = running.finish().expect("no panic");
        assert_eq!(collector.counters(), [("lost_records".to_owned(), 7)].into());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_full_disk_is_told_at_once_and_the_sums_go_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("full.jsonl");
        std::os::unix::fs::symlink("/dev/full", &path).expect("a link");
        let (reporter, mut told) = failures();
        let (sender, queue) = stats::channel();
        let running = start(queue, Clock::system(), Some(&path), reporter).expect("starts");
        // More than the buffer before the disk holds.
        for number in 0..100 {
            sender.record(picture(number));
        }
        let said = told.next().await;
        assert!(said.contains("full.jsonl") && said.contains("No space left"), "{said}");
        for number in 100..200 {
            sender.record(picture(number));
        }
        drop(sender);
        let (mut collector, written) = running.finish().expect("no panic");
        assert_eq!(written.expect_err("not all is written").to_string(), said);
        assert_eq!(collector.report(Clock::system().now(), "test").directions[0].frames.in_flight, 200);
    }
}
