//! Notices that the sound system does not answer. Its calls have no limit of time: a server that hangs (a stopped
//! process, a driver that waits) holds its caller for as long as it hangs.
//!
//! ```text
//! manager thread: Vigil::begin ... Work dropped ── marks ──▶ vigil thread ── on_change(hangs) ──▶ whoever tells people
//! ```

use std::{
    io,
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    time::Duration,
};

enum Mark {
    Begun,
    Done,
}

/// The watched thread's end. The watching thread ends once this and all [`Work`] are dropped.
#[derive(Debug)]
pub struct Vigil(Sender<Mark>);

/// Something that may hang, until it is dropped.
#[derive(Debug)]
pub struct Work(Sender<Mark>);

impl Vigil {
    /// Starts the thread that watches: it calls `on_change` with `true` once work has taken `limit`, and with `false`
    /// when it is done after all.
    ///
    /// # Errors
    ///
    /// If the system gives no thread.
    pub fn keep(limit: Duration, on_change: impl Fn(bool) + Send + 'static) -> io::Result<Self> {
        let (marks, received) = mpsc::channel();
        std::thread::Builder::new()
            .name("visavis-vigil".to_owned())
            .spawn(move || watch(&received, limit, on_change))?;
        Ok(Self(marks))
    }

    /// Work begins; within other work it is a part of it.
    pub fn begin(&self) -> Work {
        let _ended = self.0.send(Mark::Begun);
        Work(self.0.clone())
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let _ended = self.0.send(Mark::Done);
    }
}

fn watch(marks: &Receiver<Mark>, limit: Duration, on_change: impl Fn(bool)) {
    let (mut depth, mut hangs) = (0_u32, false);
    loop {
        let mark = if depth > 0 && !hangs {
            marks.recv_timeout(limit)
        } else {
            marks.recv().map_err(|_| RecvTimeoutError::Disconnected)
        };
        match mark {
            Ok(Mark::Begun) => depth += 1,
            Ok(Mark::Done) => depth = depth.saturating_sub(1),
            Err(RecvTimeoutError::Timeout) => {
                hangs = true;
                on_change(true);
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
        // Any mark is a sign of life.
        if std::mem::take(&mut hangs) {
            on_change(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hangs_is_told_once_and_so_is_its_end() {
        let (told, changes) = mpsc::channel();
        let vigil = Vigil::keep(Duration::from_millis(1), move |hangs| {
            let _test_over = told.send(hangs);
        })
        .expect("a thread");
        drop(vigil.begin());
        for _ in 0..2 {
            let work = vigil.begin();
            while changes.recv() != Ok(true) {}
            drop(work);
            assert_eq!(changes.recv(), Ok(false));
        }
    }
}
