//! Accepts connections, one task each, and turns away what would cost more than it may.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use quinn::{Endpoint, Incoming};
use tokio::{
    sync::{oneshot, watch},
    task::JoinSet,
    time::timeout,
};
use tracing::debug;
use visavis_proto::wire::control::CloseCode;

use super::{
    client,
    relay::{Shared, Stranger},
    session::code,
    tls,
};

/// A handshake over a bad satellite link with two losses still makes it.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// The same while strangers crowd the door.
const CROWDED_HANDSHAKE_TIME: Duration = Duration::from_secs(2);

/// Runs until told to stop, and then until every client's task has ended.
pub(super) async fn accept(shared: Arc<Shared>, endpoint: Endpoint, mut stop: watch::Receiver<bool>) {
    let mut clients = JoinSet::new();
    loop {
        // Stopping goes first; ended tasks are swept up before new ones start.
        tokio::select! {
            biased;
            _ = stop.changed() => break,
            Some(_) = clients.join_next() => {}
            incoming = endpoint.accept() => match incoming {
                None => break,
                Some(incoming) => {
                    if let Some(entry) = door(&shared, &incoming, endpoint.open_connections()) {
                        clients.spawn(welcome(shared.clone(), incoming, entry));
                    }
                    else { turn_away(&shared, incoming); }
                }
            }
        }
    }
    endpoint.set_server_config(None);
    shared.dismiss_strangers(CloseCode::Draining);
    while clients.join_next().await.is_some() {}
}

/// What a connection comes in with.
struct Entry {
    handshake_time: Duration,
    stranger: Stranger,
    evicted: oneshot::Receiver<CloseCode>,
}

/// A way in, or nothing if there is to be none. Charged before any cryptography.
fn door(shared: &Shared, incoming: &Incoming, connections: usize) -> Option<Entry> {
    let now = shared.clock.now();
    let admitted =
        shared.doors.lock().unwrap_or_else(PoisonError::into_inner).admit(incoming.remote_address().ip(), now);
    if !admitted || connections >= shared.config.max_connections {
        return None;
    }
    let crowded = shared.strangers() * 2 > shared.config.max_strangers;
    // In a crowd nobody takes another's place from an address that they may not have.
    if crowded && !incoming.remote_address_validated() && incoming.may_retry() {
        return None;
    }
    let (stranger, evicted) = shared.stranger(incoming.remote_address().ip());
    let handshake_time = if crowded { CROWDED_HANDSHAKE_TIME } else { HANDSHAKE_TIME };
    Some(Entry { handshake_time, stranger, evicted })
}

/// Under pressure an address must prove that it is one before it costs a handshake; the rest is refused.
fn turn_away(shared: &Shared, incoming: Incoming) {
    shared.stats.turned_away.add(1);
    if incoming.remote_address_validated() || !incoming.may_retry() {
        incoming.refuse();
    } else {
        let _ = incoming.retry();
    }
}

async fn welcome(shared: Arc<Shared>, incoming: Incoming, entry: Entry) {
    let Entry { handshake_time, stranger, evicted } = entry;
    let address = incoming.remote_address();
    let evicted = async move {
        // Who has logged in is a stranger no more, and is told nothing.
        match evicted.await {
            Ok(reason) => reason,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::pin!(evicted);
    let connecting = match incoming.accept() {
        Ok(connecting) => connecting,
        Err(error) => return debug!(%address, %error, "refused"),
    };
    // Who has lost their place goes, also if they are through this very moment.
    let handshake = tokio::select! {
        biased;
        reason = &mut evicted => return debug!(%address, ?reason, "sent away in its handshake"),
        handshake = timeout(handshake_time, connecting) => handshake,
    };
    let connection = match handshake {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => {
            shared.stats.handshakes_failed.add(1);
            return debug!(%address, %error, "the handshake failed");
        }
        Err(_) => {
            shared.stats.handshakes_failed.add(1);
            return debug!(%address, "the handshake took too long");
        }
    };
    let Some(device) = tls::device_of(&connection) else {
        return debug!(%address, "no device key: the verifier should have refused it");
    };
    shared.stats.connections.add(1);
    let ousted = async {
        let reason = evicted.await;
        let text: &[u8] = match reason {
            CloseCode::Draining => b"the relay is shutting down",
            _ => b"made room for another stranger",
        };
        connection.close(code(reason), text);
        // The client's task notices, and tidies up.
        std::future::pending::<()>().await;
    };
    // The client's task goes first: it ends whatever happens.
    tokio::select! {
        biased;
        () = client::serve(shared, connection.clone(), device, stranger) => {}
        () = ousted => {}
    }
}
