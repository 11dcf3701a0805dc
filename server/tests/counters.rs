//! What an operator reads in the log of what the relay has counted.

mod support;

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use support::{Client, account, calls::ann, relay};
use visavis_relay::{RelayConfig, db::memory::Memory};

/// What is logged on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// The lines about counters.
    fn counted(&self) -> Vec<String> {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = String::from_utf8_lossy(&bytes).into_owned();
        lines.lines().filter(|line| line.contains("counted since the start")).map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn counters_are_logged_once_a_minute_when_they_changed_and_at_the_end() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let people = [("Ann", account(11).key, vec![ann().1])];
    let (relay, address) = relay(Arc::new(Memory::with_people(people)), RelayConfig::default()).await;
    let client = Client::enrolled(address, &ann()).await;
    client.connection.close(0u32.into(), b"");
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(61)).await;
    let lines = log.counted();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        ["connections=1", "sessions=1", "requests=1"].iter().all(|counter| lines[0].contains(counter)),
        "{lines:?}"
    );
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(log.counted().len(), 1, "nothing has changed");
    tokio::time::resume();
    relay.drain().await;
    assert_eq!(log.counted().len(), 2);
}
