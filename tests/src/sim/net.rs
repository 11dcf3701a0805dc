//! The network of a simulated world: sockets in memory, joined by seeded [`Link`]s, and quinn's runtime in virtual time.
//!
//! A star: the relay in the middle, a site for each person around it. A site is a home behind an address translator,
//! with an uplink and a downlink; every socket that is bound there has a public address of its own, which may change.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Instant,
};

use quinn::{
    AsyncTimer, AsyncUdpSocket, Runtime, UdpPoller,
    udp::{EcnCodepoint, RecvMeta, Transmit},
};

use super::{
    link::{Conditions, Counts, Fate, Link},
    log::{Entry, Log},
    time::Timeline,
};

/// Where the relay is.
pub const RELAY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)), 4433);

/// Packets that wait in a socket for its endpoint, as in a system's socket buffer; more are dropped.
const INBOX: usize = 4_096;

/// A person's end of the star.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Site(pub usize);

/// A direction of a site's access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// To the relay.
    Up,
    /// From the relay.
    Down,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Up => "up",
            Self::Down => "down",
        })
    }
}

/// All links and sockets.
pub struct Net {
    timeline: Arc<Timeline<Arrival>>,
    log: Arc<Log>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    links: BTreeMap<(Site, Way), Link>,
    sockets: BTreeMap<SocketId, Port>,
    next_socket: SocketId,
    next_port: u16,
}

type SocketId = u64;

/// A bound socket.
struct Port {
    site: Option<Site>,
    /// As the rest of the world sees it.
    address: SocketAddr,
    inbox: VecDeque<Packet>,
    reader: Option<Waker>,
}

/// A packet on its way.
#[derive(Debug, Clone)]
struct Packet {
    from: SocketAddr,
    ecn: Option<EcnCodepoint>,
    bytes: Vec<u8>,
}

/// A packet that has got through.
pub struct Arrival {
    to: SocketAddr,
    packet: Packet,
}

impl Net {
    /// A network without sites.
    pub fn new(timeline: Arc<Timeline<Arrival>>, log: Arc<Log>) -> Arc<Self> {
        let state = State { next_port: 50_000, ..State::default() };
        Arc::new(Self { timeline, log, state: Mutex::new(state) })
    }

    /// Adds a site; `seed` decides the luck of its two links.
    pub fn add_site(&self, site: Site, up: Conditions, down: Conditions, seed: u64) {
        let mut state = self.lock();
        state.links.insert((site, Way::Up), Link::new(up, seed.wrapping_mul(2)));
        state.links.insert((site, Way::Down), Link::new(down, seed.wrapping_mul(2).wrapping_add(1)));
    }

    /// Changes a link from now on.
    pub fn change(&self, site: Site, way: Way, change: impl FnOnce(&mut Conditions)) {
        if let Some(link) = self.lock().links.get_mut(&(site, way)) {
            let mut conditions = link.conditions();
            change(&mut conditions);
            link.set(conditions);
        }
    }

    /// Packets of a link so far.
    pub fn counts(&self, site: Site, way: Way) -> Counts {
        self.lock().links.get(&(site, way)).map(Link::counts).unwrap_or_default()
    }

    /// The site's address translator forgets everything: its sockets have other addresses now, and nobody told them.
    pub fn change_address(&self, site: Site) {
        let mut state = self.lock();
        let mut next_port = state.next_port;
        for port in state.sockets.values_mut().filter(|port| port.site == Some(site)) {
            port.address = public_address(site, next_port);
            next_port += 1;
        }
        state.next_port = next_port;
    }

    /// Binds the relay's socket.
    pub fn bind_relay(self: &Arc<Self>) -> Arc<dyn AsyncUdpSocket> {
        self.bind(None, RELAY)
    }

    /// Binds a socket at a site.
    pub fn bind_at(self: &Arc<Self>, site: Site) -> Arc<dyn AsyncUdpSocket> {
        let port = {
            let mut state = self.lock();
            state.next_port += 1;
            state.next_port - 1
        };
        self.bind(Some(site), public_address(site, port))
    }

    /// Takes packets out of the links, for ever.
    pub async fn run(self: Arc<Self>) {
        self.timeline.drive(|arrival| self.arrive(arrival)).await;
    }

    fn bind(self: &Arc<Self>, site: Option<Site>, address: SocketAddr) -> Arc<dyn AsyncUdpSocket> {
        let mut state = self.lock();
        let id = state.next_socket;
        state.next_socket += 1;
        state.sockets.insert(id, Port { site, address, inbox: VecDeque::new(), reader: None });
        drop(state);
        Arc::new(Socket { net: self.clone(), id })
    }

    fn send(&self, from: SocketId, transmit: &Transmit<'_>) {
        let now = self.timeline.now();
        let mut state = self.lock();
        let Some(port) = state.sockets.get(&from) else { return };
        let (site, address) = (port.site, port.address);
        let way = if site.is_some() { Way::Up } else { Way::Down };
        let site = site.or_else(|| state.site_of(transmit.destination));
        let mut bytes = transmit.contents.to_vec();
        let size = bytes.len();
        let link = site.and_then(|site| state.links.get_mut(&(site, way)));
        let fate = link.map(|link| link.carry(&mut bytes, now));
        drop(state);
        self.log.add(now, Entry::Packet { site, way, size, fate });
        if let Some(Fate::Passed { at, again, .. }) = fate {
            let packet = Packet { from: address, ecn: transmit.ecn, bytes };
            for at in again.into_iter().chain([at]) {
                self.timeline.add(at, Arrival { to: transmit.destination, packet: packet.clone() });
            }
        }
    }

    fn arrive(&self, arrival: Arrival) {
        let mut state = self.lock();
        let Some(port) = state.sockets.values_mut().find(|port| port.address == arrival.to) else { return };
        if port.inbox.len() < INBOX {
            port.inbox.push_back(arrival.packet);
        }
        let reader = port.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn site_of(&self, address: SocketAddr) -> Option<Site> {
        self.sockets.values().find(|port| port.address == address).and_then(|port| port.site)
    }
}

impl fmt::Debug for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Net")
    }
}

/// Every site is a neighbourhood of its own, so that the relay does not ration them together.
fn public_address(site: Site, port: u16) -> SocketAddr {
    let octet = u8::try_from(site.0 + 1).unwrap_or(u8::MAX);
    SocketAddr::new(Ipv4Addr::new(203, 0, octet, 7).into(), port)
}

/// A socket; unbound when it is dropped.
#[derive(Debug)]
struct Socket {
    net: Arc<Net>,
    id: SocketId,
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.net.lock().sockets.remove(&self.id);
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(AlwaysWritable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.net.send(self.id, transmit);
        Ok(())
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [io::IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.net.lock();
        let Some(port) = state.sockets.get_mut(&self.id) else { return Poll::Pending };
        let mut received = 0;
        for (buffer, meta) in buffers.iter_mut().zip(metas) {
            let Some(packet) = port.inbox.pop_front() else { break };
            let length = packet.bytes.len().min(buffer.len());
            buffer[..length].copy_from_slice(&packet.bytes[..length]);
            *meta = RecvMeta { addr: packet.from, len: length, stride: length, ecn: packet.ecn, dst_ip: None };
            received += 1;
        }
        if received == 0 {
            port.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(received))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        let state = self.net.lock();
        state.sockets.get(&self.id).map(|port| port.address).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn may_fragment(&self) -> bool {
        false
    }
}

/// Links drop; they never push back.
#[derive(Debug)]
struct AlwaysWritable;

impl UdpPoller for AlwaysWritable {
    fn poll_writable(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// quinn's view of a paused tokio: its time, its timers, its tasks, and no sockets of the system.
#[derive(Debug)]
pub struct VirtualTime;

impl Runtime for VirtualTime {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        quinn::TokioRuntime.new_timer(at)
    }

    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        tokio::spawn(task);
    }

    fn wrap_udp_socket(&self, _socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        Err(io::Error::other("there are no sockets of the system in a simulated world"))
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}
