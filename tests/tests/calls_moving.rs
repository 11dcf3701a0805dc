//! A client whose address changes in the middle of a call, as a telephone's does on the way from one network to the
//! next: the call goes on and nothing rings again.
//!
//! ```text
//! alice --> one port of the forwarder ... another port of the forwarder --> relay <-- bob
//!                                          ^ changes in mid-call
//! ```

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, ensure};
use visavis::stats::collector::Live;
use visavis_proto::wire::link::Link;
use visavis_tests::real::{PATIENCE, Person, Process, Setup, live_call};

/// How long a forwarding thread listens before it looks whether it is still wanted.
const LISTEN: Duration = Duration::from_millis(100);

/// Forwards one client's packets to the relay, from an address that can be changed.
struct Forwarder {
    shared: Arc<Shared>,
    relay: SocketAddr,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    front: UdpSocket,
    client: Mutex<Option<SocketAddr>>,
    back: Mutex<Arc<Back>>,
    stopped: AtomicBool,
}

/// The socket that the relay sees.
struct Back {
    socket: UdpSocket,
    closed: AtomicBool,
    /// Packets from the relay.
    received: AtomicU64,
}

impl Forwarder {
    fn start(relay: SocketAddr) -> io::Result<Self> {
        let front = bind()?;
        let shared = Arc::new(Shared {
            front,
            client: Mutex::default(),
            back: Mutex::new(Arc::new(Back::new()?)),
            stopped: AtomicBool::new(false),
        });
        let mut forwarder = Self { shared: shared.clone(), relay, threads: Vec::new() };
        forwarder.threads.push(std::thread::spawn(move || to_relay(&shared, relay)));
        forwarder.listen();
        Ok(forwarder)
    }

    fn port(&self) -> io::Result<u16> {
        Ok(self.shared.front.local_addr()?.port())
    }

    /// From now on the relay sees another address, and nothing listens at the old one.
    fn move_away(&mut self) -> io::Result<()> {
        let fresh = Arc::new(Back::new()?);
        let old = std::mem::replace(&mut *lock(&self.shared.back), fresh);
        old.closed.store(true, Relaxed);
        self.listen();
        Ok(())
    }

    /// Packets that came to the present address.
    fn received(&self) -> u64 {
        lock(&self.shared.back).received.load(Relaxed)
    }

    fn listen(&mut self) {
        let (shared, back) = (self.shared.clone(), lock(&self.shared.back).clone());
        self.threads.push(std::thread::spawn(move || to_client(&shared, &back)));
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Back {
    fn new() -> io::Result<Self> {
        Ok(Self { socket: bind()?, closed: AtomicBool::new(false), received: AtomicU64::new(0) })
    }
}

fn bind() -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_read_timeout(Some(LISTEN))?;
    Ok(socket)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn to_relay(shared: &Shared, relay: SocketAddr) {
    let mut packet = [0; 2_048];
    while !shared.stopped.load(Relaxed) {
        let Ok((length, from)) = shared.front.recv_from(&mut packet) else { continue };
        *lock(&shared.client) = Some(from);
        let back = lock(&shared.back).clone();
        let _ = back.socket.send_to(&packet[..length], relay);
    }
}

fn to_client(shared: &Shared, back: &Back) {
    let mut packet = [0; 2_048];
    while !shared.stopped.load(Relaxed) && !back.closed.load(Relaxed) {
        let Ok((length, _)) = back.socket.recv_from(&mut packet) else { continue };
        back.received.fetch_add(1, Relaxed);
        if let Some(client) = *lock(&shared.client) {
            let _ = shared.front.send_to(&packet[..length], client);
        }
    }
}

/// Waits until the other side's pictures have been shown for `more` seconds beyond the first figure that is read.
/// Nothing may be said in between: a call that goes on needs no words.
fn sees_pictures_for(process: &mut Process, more: f64) -> anyhow::Result<Vec<f64>> {
    let mut rates = Vec::new();
    let mut first = None;
    let mut said = None;
    process.wait_until(PATIENCE, |line| {
        let Ok(live) = serde_json::from_str::<Live>(line) else {
            said = Some(line.to_owned());
            return Some(());
        };
        rates.push(live.fps);
        (live.seconds >= *first.get_or_insert(live.seconds) + more).then_some(())
    })?;
    ensure!(said.is_none(), "a call that goes on in silence said {said:?}");
    Ok(rates)
}

#[test]
fn a_change_of_address_leaves_the_call_alone() -> anyhow::Result<()> {
    let Setup { relay, people: [bob], folder } = Setup::new(["bob"])?;
    let link: Link = relay.link.parse()?;
    let mut forwarder = Forwarder::start(relay.address()?)?;
    let alice = Person::new(folder.path(), "alice");
    alice.join(&Link { port: forwarder.port()?, ..link }.to_string(), &[])?;

    let (mut caller, mut callee) = live_call(&alice, &bob)?;
    let fluent = |line: &str| serde_json::from_str::<Live>(line).ok().filter(|live| live.fps >= 15.0);
    for side in [&mut caller, &mut callee] {
        side.wait_until(PATIENCE, fluent).context("waiting for pictures")?;
    }
    forwarder.move_away()?;
    let rates = [sees_pictures_for(&mut caller, 6.0)?, sees_pictures_for(&mut callee, 6.0)?];
    println!("pictures per second: alice {:.1?}, bob {:.1?}", rates[0], rates[1]);
    for rates in &rates {
        // The second of the move itself may have a gap.
        let slow = rates.iter().filter(|&&rate| rate < 15.0).count();
        ensure!(slow <= 1, "too few pictures after the move: {rates:.1?}");
    }
    ensure!(forwarder.received() > 100, "the relay sent {} packets to the new address", forwarder.received());
    let relay_port = forwarder.relay.port();
    println!("the relay at {relay_port} sent {} packets to the new address", forwarder.received());
    caller.signal("INT")?;
    for (process, sentence) in [(caller, "You hung up."), (callee, "alice hung up.")] {
        let (status, lines) = process.finish()?;
        ensure!(status.success() && lines.iter().any(|line| line.contains(sentence)), "{status}: {lines:?}");
        let again = ["Ringing", "econnect", "goes on", "cannot be heard"];
        ensure!(!lines.iter().any(|line| again.iter().any(|word| line.contains(word))), "{lines:?}");
    }
    Ok(())
}
