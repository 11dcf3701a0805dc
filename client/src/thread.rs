//! Named threads that stop and are joined when their guard is dropped.
//!
//! A stage is an async function. In the client it runs alone on a thread of its own with a runtime of its own, so a
//! slow encoder holds up nobody; in a simulated world the same function is a task.

use std::{future::Future, io, thread::JoinHandle};

use tokio::sync::oneshot;

/// How soon a thread that has become ready should run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// Short work whose time counts: packets, whose arrival times are measurements, and sound, whose lateness is heard.
    Prompt,
    /// Everything else.
    Usual,
}

impl Urgency {
    /// Applies to the calling thread, as far as the system allows; a call works without.
    pub fn apply(self) {
        // The niceness that desktop sound servers give their threads.
        #[cfg(target_os = "linux")]
        if self == Self::Prompt
            && let Err(error) = rustix::process::setpriority_process(None, PROMPT_NICENESS)
        {
            tracing::debug!(%error, "this system grants no higher priority");
        }
    }
}

/// See [`Urgency::apply`]. On Linux it is a property of the thread.
#[cfg(target_os = "linux")]
const PROMPT_NICENESS: i32 = -11;

/// A running stage. Dropping it asks the stage to stop at its next await and joins the thread.
#[derive(Debug)]
pub struct Stage {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Stage {
    /// Starts `stage` on a thread called `name`, to be run with this urgency.
    ///
    /// # Errors
    ///
    /// If the system gives no thread or no timer.
    pub fn spawn<F, S>(name: &str, urgency: Urgency, stage: S) -> io::Result<Self>
    where
        F: Future<Output = ()>,
        S: FnOnce() -> F + Send + 'static,
    {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            urgency.apply();
            runtime.block_on(async {
                tokio::select! {
                    biased; // a stop is obeyed before more work is begun
                    _ = stopped => {}
                    () = stage() => {}
                }
            });
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }

    /// Lets the stage end by itself and waits for it.
    pub fn finish(mut self) {
        if let Some(stop) = self.stop.take() {
            // Kept alive, so that it does not stop the stage, until the thread has ended.
            self.join();
            drop(stop);
        }
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take()
            && let Err(panic) = thread.join()
        {
            tracing::error!(?panic, "a stage of the call panicked");
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.join();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropping_the_guard_stops_a_stage_that_would_never_end() {
        let stage = Stage::spawn("endless", Urgency::Usual, std::future::pending).expect("thread");
        drop(stage);
    }

    #[test]
    fn finishing_waits_for_the_stage() {
        let (send, receive) = std::sync::mpsc::channel();
        let stage =
            Stage::spawn("short", Urgency::Prompt, move || async move { send.send(1).expect("receiver lives") })
                .expect("thread");
        stage.finish();
        assert_eq!(receive.try_recv(), Ok(1));
    }
}
