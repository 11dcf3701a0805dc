//! Counters of the whole relay, for its log and for tests. Relaxed atomics: they are looked at, never decided upon.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counted since the start.
        #[derive(Debug, Default)]
        pub(crate) struct Stats { $(pub $name: Counter,)* }

        /// All counters at one moment.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct Snapshot { $($(#[$doc])* pub $name: u64,)* }

        /// Those that are not zero.
        impl fmt::Display for Snapshot {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let counters = [$((stringify!($name), self.$name),)*];
                let mut separator = "";
                for (name, count) in counters.into_iter().filter(|&(_, count)| count > 0) {
                    write!(f, "{separator}{name}={count}")?;
                    separator = " ";
                }
                if separator.is_empty() { f.write_str("nothing") } else { Ok(()) }
            }
        }

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
    /// Connections whose handshake failed or took too long.
    handshakes_failed,
    /// Connections of which nobody had logged in that made room for others.
    evicted,
    /// Connections that were closed because nobody logged in in time.
    never_logged_in,
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
    /// Media packets that a subscriber's connection did not take.
    packets_unsendable,
    /// Frames dropped for a subscriber whose downlink was full.
    frames_downlink_full,
    /// Frames dropped for a subscriber because they refer to a dropped one.
    frames_reference_missing,
    /// Ranges of dropped frames that their sender was not told of, because it was owed too many.
    drop_news_lost,
    /// Media packets that subscribers' reports show to be lost.
    downlink_lost,
    /// Control messages that came.
    requests,
    /// Requests refused.
    refused,
    /// Of these, calls of people who had called in vain too often.
    calls_refused,
    /// Of these, bytes for the other side of a call that nobody has accepted yet, beyond what it takes.
    ringing_data_refused,
    /// Connections closed because the client did not read its control messages.
    too_slow,
    /// Notes for the store that were lost because it was too slow or failed.
    notes_lost,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_shows_what_was_counted_and_nothing_else() {
        let stats = Stats::default();
        assert_eq!(stats.snapshot().to_string(), "nothing");
        stats.connections.add(2);
        stats.malformed.add(1);
        assert_eq!(stats.snapshot().to_string(), "connections=2 malformed=1");
    }
}
