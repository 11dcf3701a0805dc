//! Accepts connections, one task each, and turns away what would cost more than it may.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use quinn::{Endpoint, Incoming};
use tokio::{sync::watch, task::JoinSet, time::timeout};
use tracing::debug;

use super::{client, relay::Shared, tls};

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
                    if let Some(time) = door(&shared, &incoming, endpoint.open_connections()) {
                        clients.spawn(welcome(shared.clone(), incoming, time));
                    }
                    else { turn_away(&shared, incoming); }
                }
            }
        }
    }
    endpoint.set_server_config(None);
    while clients.join_next().await.is_some() {}
}

/// How long the handshake may take, or nothing if there is to be none. Charged before any cryptography.
fn door(shared: &Shared, incoming: &Incoming, connections: usize) -> Option<Duration> {
    let now = shared.clock.now();
    let admitted =
        shared.doors.lock().unwrap_or_else(PoisonError::into_inner).admit(incoming.remote_address().ip(), now);
    if !admitted || connections >= shared.config.max_connections {
        return None;
    }
    let strangers = shared.strangers();
    if strangers >= shared.config.max_strangers {
        return None;
    }
    Some(if strangers * 2 > shared.config.max_strangers { CROWDED_HANDSHAKE_TIME } else { HANDSHAKE_TIME })
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

async fn welcome(shared: Arc<Shared>, incoming: Incoming, time: Duration) {
    let address = incoming.remote_address();
    let stranger = shared.stranger();
    let connecting = match incoming.accept() {
        Ok(connecting) => connecting,
        Err(error) => return debug!(%address, %error, "refused"),
    };
    let connection = match timeout(time, connecting).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return debug!(%address, %error, "the handshake failed"),
        Err(_) => return debug!(%address, "the handshake took too long"),
    };
    let Some(device) = tls::device_of(&connection) else {
        return debug!(%address, "no device key: the verifier should have refused it");
    };
    shared.stats.connections.add(1);
    client::serve(shared, connection, device, stranger).await;
}
