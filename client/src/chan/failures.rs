//! What goes wrong beside a call and does not end it, such as a disk that is full: told to the person at once.
//!
//! Bounded: a few sentences, of which each of a call's outputs tells at most one. One that finds no room is not lost: who
//! tells it also answers it at the end of the call.

use std::fmt::Display;

use tokio::sync::mpsc;

/// Sentences that wait to be read: a call has three outputs, and one to spare.
const FAILURES: usize = 4;

/// Makes the two ends.
pub fn failures() -> (Reporter, Failures) {
    let (sender, receiver) = mpsc::channel(FAILURES);
    (Reporter(sender), Failures(receiver))
}

/// The end that tells; never waits, any thread may use it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reporter(mpsc::Sender<String>);

impl Reporter {
    /// Tells a sentence.
    pub fn tell(&self, failure: &impl Display) {
        // Nobody reads any more, or enough has been told: the same failure is answered at the end.
        let _ = self.0.try_send(failure.to_string());
    }
}

/// The end that reads.
#[derive(Debug)]
pub struct Failures(mpsc::Receiver<String>);

impl Failures {
    /// The next sentence; waits for ever if nothing goes wrong. Cancel-safe.
    pub async fn next(&mut self) -> String {
        match self.0.recv().await {
            Some(failure) => failure,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_told_is_read_in_order_and_too_much_of_it_holds_up_nobody() {
        let (reporter, mut failures) = failures();
        for number in 0..FAILURES + 2 {
            reporter.tell(&number);
        }
        for number in 0..FAILURES {
            assert_eq!(failures.next().await, number.to_string());
        }
    }
}
