//! What is shared of one logged-in connection: the queue of what it is to be told, and its two ends of media.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use quinn::Connection;
use tokio::sync::mpsc;
use visavis_proto::{
    ids::{DeviceKey, StreamId},
    signal::relay_call::{PersonId, Published},
    time::Timestamp,
    wire::control::{CloseCode, RelayMessage},
};

use super::stats::Stats;
use crate::core::{feedback::Books, forward::Downlink, news::DropNews};

/// Control messages that wait for a client. A client that lets so many pile up does not read, and is disconnected:
/// dropping single ones would leave it with a wrong picture of its calls.
pub(super) const CONTROL_QUEUE: usize = 512;

/// Something for a client's writer.
#[derive(Debug)]
pub(super) enum Outgoing {
    Message(RelayMessage),
    /// Say what is queued, then close.
    Close(CloseCode),
}

/// A device that is logged in, on one connection.
#[derive(Debug)]
pub(super) struct Session {
    /// Tells a connection from the one that replaces it.
    pub id: u64,
    pub device: DeviceKey,
    pub person: PersonId,
    pub outlet: Arc<Outlet>,
    /// Only looks something up: no part of presence and calls.
    pub visiting: bool,
    queue: mpsc::Sender<Outgoing>,
    routes: RwLock<Arc<Routes>>,
    heard_nanos: AtomicU64,
}

/// Where media for a device goes.
#[derive(Debug)]
pub(super) struct Outlet {
    pub connection: Connection,
    /// Nothing has been heard from it for a while: sending would only fill queues on the way.
    pub silent: AtomicBool,
    downlink: Mutex<Link>,
}

/// A subscriber's hop, as the relay sends on it.
#[derive(Debug, Default)]
pub(super) struct Link {
    pub forward: Downlink,
    pub books: Books,
    pub news: DropNews,
}

/// What a device may send, and to whom it goes: replaced as a whole when a call changes.
#[derive(Debug, Default)]
pub(super) struct Routes {
    pub publishes: Vec<Published>,
    pub subscribers: Vec<Arc<Outlet>>,
}

impl Session {
    pub fn new(
        id: u64,
        device: DeviceKey,
        person: PersonId,
        connection: Connection,
        queue: mpsc::Sender<Outgoing>,
        visiting: bool,
        now: Timestamp,
    ) -> Self {
        let outlet = Outlet { connection, silent: AtomicBool::new(false), downlink: Mutex::default() };
        Self {
            id,
            device,
            person,
            outlet: Arc::new(outlet),
            queue,
            visiting,
            routes: RwLock::default(),
            heard_nanos: AtomicU64::new(now.as_nanos()),
        }
    }

    /// Queues a message.
    pub fn tell(&self, message: RelayMessage, stats: &Stats) {
        if self.queue.try_send(Outgoing::Message(message)).is_err() && !self.queue.is_closed() {
            stats.too_slow.add(1);
            self.outlet.connection.close(code(CloseCode::TooSlow), b"control messages are not read");
        }
    }

    /// Closes the connection once what is queued has been said.
    pub fn close(&self, reason: CloseCode) {
        if self.queue.try_send(Outgoing::Close(reason)).is_err() {
            self.outlet.connection.close(code(reason), format!("{reason:?}").as_bytes());
        }
    }

    /// Remembers that something came. Whether the client had been silent until now.
    pub fn heard(&self, now: Timestamp) -> bool {
        self.heard_nanos.store(now.as_nanos(), Relaxed);
        self.outlet.silent.load(Relaxed)
    }

    pub fn last_heard(&self) -> Timestamp {
        Timestamp::from_nanos(self.heard_nanos.load(Relaxed))
    }

    pub fn routes(&self) -> Arc<Routes> {
        self.routes.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set_routes(&self, routes: Routes) {
        *self.routes.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(routes);
    }
}

impl Outlet {
    /// Bytes that may be sent now.
    pub fn room(&self) -> usize {
        if self.silent.load(Relaxed) { 0 } else { self.connection.datagram_send_buffer_space() }
    }

    pub fn downlink(&self) -> MutexGuard<'_, Link> {
        self.downlink.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn keep_only(&self, streams: &BTreeSet<StreamId>) {
        self.downlink().forward.keep_only(streams);
    }
}

pub(super) fn code(reason: CloseCode) -> quinn::VarInt {
    quinn::VarInt::from_u32(reason as u32)
}
