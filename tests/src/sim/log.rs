//! Everything that happened in a world, with virtual times only: the same seed gives the same bytes.

use std::{
    fmt::Write as _,
    sync::{Mutex, MutexGuard, PoisonError},
};

use visavis::{net::actor::Event, stats::record::FrameRecord};
use visavis_proto::time::Timestamp;

use super::{
    link::Fate,
    net::{Site, Way},
};

/// One thing that happened.
#[derive(Debug, Clone)]
pub enum Entry {
    /// A packet was handed to a link.
    Packet {
        /// Whose link; `None` for a packet to an address that nobody has.
        site: Option<Site>,
        /// Which of the two.
        way: Way,
        /// UDP payload in bytes.
        size: usize,
        /// What became of it; `None` without a link.
        fate: Option<Fate>,
    },
    /// Somebody was told something.
    Event(Site, Event),
    /// Somebody's client accounted for a frame.
    Frame(Site, FrameRecord),
    /// The scenario did something.
    Script(String),
}

/// The events of a world, in order.
#[derive(Debug, Default)]
pub struct Log(Mutex<Vec<(Timestamp, Entry)>>);

impl Log {
    /// Adds what happens at `now`.
    pub fn add(&self, now: Timestamp, entry: Entry) {
        self.lock().push((now, entry));
    }

    /// Everything so far.
    pub fn entries(&self) -> Vec<(Timestamp, Entry)> {
        self.lock().clone()
    }

    /// One line each: nanoseconds since the beginning, and what happened.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (at, entry) in self.lock().iter() {
            let _ = write!(text, "{} ", at.as_nanos());
            let _ = match entry {
                Entry::Packet { site, way, size, fate } => {
                    let site = site.map_or_else(|| "nowhere".to_owned(), |site| site.0.to_string());
                    let fate = fate.map_or_else(|| "no such address".to_owned(), |fate| fate.to_string());
                    writeln!(text, "{site} {way} {size} {fate}")
                }
                Entry::Event(site, event) => writeln!(text, "{} {event:?}", site.0),
                Entry::Frame(site, record) => writeln!(text, "{} {record:?}", site.0),
                Entry::Script(what) => writeln!(text, "script {what}"),
            };
        }
        text
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Timestamp, Entry)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A short name for a text, for people to compare: FNV-1a, 64 bits.
pub fn fingerprint(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}
