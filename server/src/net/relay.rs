//! A running relay: what starts it, what its tasks share, and what ends it.

use std::{
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use quinn::{AsyncUdpSocket, Endpoint, Runtime, TokioRuntime};
use rand::{SeedableRng as _, rngs::StdRng};
use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    task::JoinHandle,
    time::timeout,
};
use tracing::{error, info, warn};
use visavis_proto::{ids::DeviceKey, signal::relay_call::PersonId, time::Timestamp, wire::control::CloseCode};

use super::{
    endpoint,
    hub::Hub,
    session::code,
    stats::{Snapshot, Stats},
    tls, transport,
};
use crate::{
    Clock,
    core::limits::{Doors, Guesses, Strangers},
    db::{self, Note, Store},
    identity::Identity,
    opaque::Secrets,
};

/// Calls that may end while the store is stuck; beyond that they are missing in the history.
const NOTE_QUEUE: usize = 4_096;

/// How often it is looked whether an operator's command has changed the store. The look reads one row.
const REVISION_INTERVAL: Duration = Duration::from_secs(1);

/// How often the store learns that the relay is running while there are calls: a call that ends with a killed relay is
/// kept with a length that is at most so much too short.
const RUNNING_INTERVAL: Duration = Duration::from_secs(2);

/// How often the counters are logged, if they have changed.
const COUNTERS_INTERVAL: Duration = Duration::from_secs(60);

/// How long draining waits for clients to take the news.
const DRAIN_TIME: Duration = Duration::from_secs(3);

/// How a relay behaves.
#[derive(Debug, Clone)]
pub struct RelayConfig {
    /// Anybody may register, without an invite.
    pub open_registration: bool,
    /// Most connections at a time, logged in or not.
    pub max_connections: usize,
    /// Most connections of which nobody has logged in yet.
    pub max_strangers: usize,
    /// Makes the relay's own randomness repeatable (tests); `None` takes it from the system.
    pub seed: Option<[u8; 32]>,
}

impl Default for RelayConfig {
    fn default() -> Self {
        Self { open_registration: false, max_connections: 4_096, max_strangers: 256, seed: None }
    }
}

/// Where packets come from.
pub enum Socket {
    /// The operating system's.
    Udp(UdpSocket),
    /// Anything else, with the runtime that quinn takes its time from.
    Abstract(Arc<dyn AsyncUdpSocket>, Arc<dyn Runtime>),
}

/// Why a relay did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The certificate and the key do not go together, or TLS does not like them.
    #[error("the certificate cannot be used: {0}")]
    Tls(#[from] rustls::Error),
    /// The socket cannot be used.
    #[error("the socket cannot be used: {0}")]
    Socket(#[from] io::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] db::Error),
    /// What the store keeps as OPAQUE secrets is something else.
    #[error("the relay's password secrets are damaged: restore the data folder from a backup")]
    Secrets,
}

/// A running relay. Dropping it leaves the tasks running until the runtime ends: call [`Self::drain`].
#[derive(Debug)]
pub struct Relay {
    shared: Arc<Shared>,
    endpoint: Endpoint,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
    keepers: Vec<JoinHandle<()>>,
    writer: JoinHandle<()>,
}

/// What all tasks of a relay share.
pub(super) struct Shared {
    pub config: RelayConfig,
    pub clock: Clock,
    pub store: Arc<dyn Store>,
    pub secrets: Secrets,
    pub stats: Stats,
    pub doors: Mutex<Doors>,
    pub guesses: Mutex<Guesses>,
    hub: Mutex<Hub>,
    random: Mutex<StdRng>,
    notes: Mutex<Option<mpsc::Sender<Entry>>>,
    /// Held by whoever writes people or reads all of them, so that an old reading never undoes a new writing.
    people: tokio::sync::Mutex<()>,
    next_session: AtomicU64,
    rearm: Notify,
    strangers: Places,
}

/// What the writer of the history is given, in this order.
enum Entry {
    Note(Note),
    /// All before it is written: somebody wants to read.
    Mark(oneshot::Sender<()>),
}

type Places = Arc<Mutex<Strangers<oneshot::Sender<CloseCode>>>>;

/// A connection of which nobody has logged in yet; it has a place for as long as this lives.
pub(super) struct Stranger {
    places: Places,
    number: u64,
}

impl Stranger {
    /// It has said Hello, and keeps its place until its time is over.
    pub fn said_hello(&self) {
        self.places.lock().unwrap_or_else(PoisonError::into_inner).said_hello(self.number);
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.places.lock().unwrap_or_else(PoisonError::into_inner).leave(self.number);
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Relay {
    /// Starts a relay on the current tokio runtime. It serves at once.
    ///
    /// # Errors
    ///
    /// See [`StartError`].
    pub async fn start(
        config: RelayConfig,
        store: Arc<dyn Store>,
        identity: &Identity,
        socket: Socket,
        clock: Clock,
    ) -> Result<Self, StartError> {
        let mut random = config.seed.map_or_else(StdRng::from_entropy, StdRng::from_seed);
        let secrets = store.secrets(Secrets::generate(&mut random)).await?;
        let secrets = Secrets::from_bytes(&secrets).map_err(|_| StartError::Secrets)?;
        let endpoint_config = transport::endpoint_config(identity, config.seed);
        let server_config = Some(transport::server_config(tls::server_config(identity)?));
        let endpoint = match socket {
            Socket::Udp(socket) => {
                widen(&socket);
                Endpoint::new(endpoint_config, server_config, socket, Arc::new(TokioRuntime))?
            }
            Socket::Abstract(socket, runtime) => {
                Endpoint::new_with_abstract_socket(endpoint_config, server_config, socket, runtime)?
            }
        };
        let (notes, noted) = mpsc::channel(NOTE_QUEUE);
        let shared = Arc::new(Shared {
            config,
            clock,
            store,
            secrets,
            stats: Stats::default(),
            doors: Mutex::default(),
            guesses: Mutex::default(),
            hub: Mutex::default(),
            random: Mutex::new(random),
            notes: Mutex::new(Some(notes)),
            people: tokio::sync::Mutex::default(),
            next_session: AtomicU64::new(1),
            rearm: Notify::new(),
            strangers: Arc::default(),
        });
        let lost = shared.store.close_open_calls().await?;
        if lost > 0 {
            warn!(calls = lost, "the relay was stopped without warning while these were live: the history says so");
        }
        // Asked before reading, so that no change falls between the two.
        let revision = shared.store.revision().await?;
        shared.reload_people().await?;
        let (stop, stopped) = watch::channel(false);
        let accepting = tokio::spawn(endpoint::accept(shared.clone(), endpoint.clone(), stopped));
        let keepers = vec![
            tokio::spawn(keep_time(shared.clone())),
            tokio::spawn(keep_people(shared.clone(), revision)),
            tokio::spawn(keep_running(shared.clone())),
            tokio::spawn(keep_counting(shared.clone())),
        ];
        let writer = tokio::spawn(keep_notes(shared.clone(), noted));
        Ok(Self { shared, endpoint, stop, accepting, keepers, writer })
    }

    /// The address of the relay's socket.
    ///
    /// # Errors
    ///
    /// The socket does not know.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// The counters now.
    pub fn stats(&self) -> Snapshot {
        self.shared.stats.snapshot()
    }

    /// Calls that ring or are live.
    pub fn calls(&self) -> usize {
        self.shared.hub(|hub, _| hub.switchboard.len())
    }

    /// Whether a device is logged in now.
    pub fn is_online(&self, device: DeviceKey) -> bool {
        self.shared.hub(|hub, _| hub.is_online(device))
    }

    /// Reads the store again, as an operator's commands change it. A running relay does so by itself within a second.
    ///
    /// # Errors
    ///
    /// The store failed.
    pub async fn reload_people(&self) -> Result<(), db::Error> {
        self.shared.reload_people().await
    }

    /// Ends every call, tells every client, closes every connection, writes everything down. Takes a few seconds at
    /// most, whatever clients do.
    pub async fn drain(self) {
        info!("draining: calls end, clients are told");
        self.shared.hub(|hub, now| {
            hub.draining = true;
            hub.switchboard.drain(now);
        });
        // The news is queued by now; good-byes come behind it.
        self.shared.hub(|hub, _| hub.close_all(CloseCode::Draining));
        let _ = self.stop.send(true);
        if timeout(DRAIN_TIME, self.accepting).await.is_err() {
            warn!("some clients did not take leave in time");
        }
        self.endpoint.close(code(CloseCode::Draining), b"the relay is shutting down");
        let _ = timeout(Duration::from_secs(1), self.endpoint.wait_idle()).await;
        for keeper in self.keepers {
            keeper.abort();
        }
        self.shared.notes.lock().unwrap_or_else(PoisonError::into_inner).take();
        if self.writer.await.is_err() {
            error!("the writer of the history has failed");
        }
        if let Err(error) = self.shared.store.close().await {
            error!(%error, "the store did not close");
        }
        info!("stopped; counted since the start: {}", self.shared.stats.snapshot());
    }
}

/// All clients share one socket: a burst of one must not push out another's packets. As large as the system allows;
/// what it does not allow is no reason not to run. Measured on loopback with two clients flooding: with the system's
/// 208 KiB 6 to 10 % of a third client's packets were lost there, with 4 MiB none, but some waited 100 ms. The size is
/// between the two: a wait of 100 ms hurts a call more than a packet that is sent again.
fn widen(socket: &UdpSocket) {
    // 8 ms of a gigabit a second.
    const BUFFER_BYTES: usize = 1 << 20;
    let socket = socket2::SockRef::from(socket);
    let _ = socket.set_recv_buffer_size(BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(BUFFER_BYTES);
}

impl Shared {
    /// Does something with the state that clients share, and passes on what came of it.
    pub fn hub<T>(&self, act: impl FnOnce(&mut Hub, Timestamp) -> T) -> T {
        self.hub_noting(|hub, now, _| act(hub, now))
    }

    /// The same, for what writes notes by itself.
    pub fn hub_noting<T>(&self, act: impl FnOnce(&mut Hub, Timestamp, &mut Vec<Note>) -> T) -> T {
        let mut notes = Vec::new();
        let now = self.clock.now();
        let mut hub = self.hub.lock().unwrap_or_else(PoisonError::into_inner);
        let before = hub.switchboard.poll_timeout();
        let result = act(&mut hub, now, &mut notes);
        hub.flush(&self.stats, &mut notes);
        let after = hub.switchboard.poll_timeout();
        // Before the hub is free: see `noted`.
        notes.into_iter().for_each(|note| self.note(note));
        drop(hub);
        if before != after {
            self.rearm.notify_one();
        }
        result
    }

    /// Draws from the relay's randomness.
    pub fn random<T>(&self, draw: impl FnOnce(&mut StdRng) -> T) -> T {
        draw(&mut self.random.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A place for a connection, and what is told when another needs it more.
    pub fn stranger(&self, from: IpAddr) -> (Stranger, oneshot::Receiver<CloseCode>) {
        let (evict, evicted) = oneshot::channel();
        let mut places = self.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        let (number, other) = places.enter(from, self.config.max_strangers, evict);
        if let Some(other) = other {
            self.stats.evicted.add(1);
            // It may have gone by itself.
            let _ = other.send(CloseCode::NotLoggedIn);
        }
        (Stranger { places: self.strangers.clone(), number }, evicted)
    }

    /// Nobody logs in any more.
    pub fn dismiss_strangers(&self, reason: CloseCode) {
        for stranger in self.strangers.lock().unwrap_or_else(PoisonError::into_inner).evict_all() {
            // It may have gone by itself.
            let _ = stranger.send(reason);
        }
    }

    pub fn strangers(&self) -> usize {
        self.strangers.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub fn session_id(&self) -> u64 {
        self.next_session.fetch_add(1, Relaxed)
    }

    /// Somebody's last device has gone.
    pub fn note_last_seen(&self, person: PersonId) {
        self.note(Note::LastSeen(person, self.clock.now().as_millis()));
    }

    fn note(&self, note: Note) {
        let sender = self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if sender.is_none_or(|sender| sender.try_send(Entry::Note(note)).is_err()) {
            self.stats.notes_lost.add(1);
            error!("the store is too slow: an entry of the history is lost");
        }
    }

    /// Waits until all that was noted is in the store: whoever hears that a call has ended finds it in the history.
    pub async fn noted(&self) {
        // Who tells of an end holds the hub until the end is noted: what was told before now is noted after this.
        drop(self.hub.lock().unwrap_or_else(PoisonError::into_inner));
        let sender = self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (mark, written) = oneshot::channel();
        if let Some(sender) = sender
            && sender.send(Entry::Mark(mark)).await.is_ok()
        {
            // A writer that is gone has written what it will.
            let _ = written.await;
        }
    }

    /// Runs something that writes people, and takes over what it wrote.
    pub async fn writing_people<T>(&self, write: impl Future<Output = Result<T, db::Error>>) -> Result<T, db::Error> {
        let _alone = self.people.lock().await;
        let result = write.await?;
        let people = self.store.people().await?;
        self.take_over(people);
        Ok(result)
    }

    async fn reload_people(&self) -> Result<(), db::Error> {
        self.writing_people(std::future::ready(Ok(()))).await
    }

    fn take_over(&self, people: Vec<db::Person>) {
        self.hub_noting(|hub, now, notes| {
            let revoked = hub.directory.replace(people);
            hub.revoke(&revoked, &self.stats, notes, now);
        });
    }
}

/// Calls time out.
async fn keep_time(shared: Arc<Shared>) {
    loop {
        let next = shared.hub(|hub, _| hub.switchboard.poll_timeout());
        let timer = async {
            match next {
                Some((at, _)) => tokio::time::sleep_until(shared.clock.instant(at)).await,
                None => std::future::pending().await,
            }
        };
        // A change of the timetable goes first: the timer it replaces may be one that no longer matters.
        tokio::select! {
            biased;
            () = shared.rearm.notified() => continue,
            () = timer => {}
        }
        shared.hub(|hub, now| {
            hub.listen();
            hub.switchboard.handle_timeout(now);
        });
    }
}

/// Operators' commands write to the store while the relay runs.
async fn keep_people(shared: Arc<Shared>, mut known: i64) {
    loop {
        tokio::time::sleep(REVISION_INTERVAL).await;
        let result = async {
            let revision = shared.store.revision().await?;
            if known != revision {
                shared.reload_people().await?;
                known = revision;
            }
            Ok::<_, db::Error>(())
        };
        if let Err(error) = result.await {
            warn!(%error, "the store cannot be read");
        }
    }
}

/// Calls that are going on are known to have lasted until now, whatever happens next.
async fn keep_running(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(RUNNING_INTERVAL).await;
        if shared.hub(|hub, _| !hub.switchboard.is_empty()) {
            shared.note(Note::Running(shared.clock.now().as_millis()));
        }
    }
}

/// The counters are logged.
async fn keep_counting(shared: Arc<Shared>) {
    let mut logged = Snapshot::default();
    loop {
        tokio::time::sleep(COUNTERS_INTERVAL).await;
        let counters = shared.stats.snapshot();
        if counters != logged {
            info!("counted since the start: {counters}");
            logged = counters;
        }
    }
}

/// History is written behind everybody's back.
async fn keep_notes(shared: Arc<Shared>, mut noted: mpsc::Receiver<Entry>) {
    while let Some(entry) = noted.recv().await {
        let note = match entry {
            Entry::Note(note) => note,
            Entry::Mark(mark) => {
                // Whoever asked may have left.
                let _ = mark.send(());
                continue;
            }
        };
        let lasting = !matches!(note, Note::Running(_));
        if let Err(error) = shared.store.note(note).await
            && lasting
        {
            shared.stats.notes_lost.add(1);
            error!(%error, "an entry of the history is lost");
        }
    }
}
