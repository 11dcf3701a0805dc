//! Counters of the whole relay. Relaxed atomics: they are looked at, never decided upon.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counted since the start.
        #[derive(Debug, Default)]
        pub(crate) struct Stats { $(pub $name: Counter,)* }

        /// All counters at one moment.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct Snapshot { $($(#[$doc])* pub $name: u64,)* }

        impl Stats {
            pub fn snapshot(&self) -> Snapshot {
                Snapshot { $($name: self.$name.0.load(Relaxed),)* }
            }
        }
    };
}

/// One of them.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }
}

counters! {
    /// Connections that finished their handshake.
    connections,
    /// Connection attempts turned away: too many, or from a neighbourhood that asks too often.
    turned_away,
    /// Sessions that began: a device was known or enrolled.
    sessions,
    /// Datagrams that came before anybody had logged in.
    from_strangers,
    /// Datagrams that came from logged-in clients.
    datagrams,
    /// Of these, beyond what one connection may send.
    over_limit,
    /// Of these, not decodable, or of a kind that clients do not send.
    malformed,
    /// Of these, media of a stream that the device does not publish in a live call.
    unroutable,
    /// Of these, media whose header disagrees with what the stream was announced as: another index, or sound for
    /// picture.
    mislabelled,
    /// Of these, padding.
    padding,
    /// Media packets forwarded.
    forwarded,
    /// Media packets of frames that were dropped for a subscriber.
    packets_dropped,
    /// Frames dropped for a subscriber.
    frames_dropped,
    /// Media packets that subscribers' reports show to be lost.
    downlink_lost,
    /// Control messages that came.
    requests,
    /// Requests refused.
    refused,
    /// Of these, bytes for the other side of a call that nobody has accepted yet, beyond what it takes.
    ringing_data_refused,
    /// Connections closed because the client did not read its control messages.
    too_slow,
    /// Notes for the store that were lost because it was too slow or failed.
    notes_lost,
}
