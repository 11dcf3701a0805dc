//! quinn, set up for media: what its defaults would cost is in each comment.

use std::{
    any::Any,
    net::{SocketAddr, ToSocketAddrs},
    sync::Arc,
    time::{Duration, Instant},
};

use quinn::{
    AckFrequencyConfig, ClientConfig, Endpoint, EndpointConfig, IdleTimeout, TransportConfig, VarInt,
    congestion::{Controller, ControllerFactory},
};
use visavis_proto::wire::link::Link;

/// Where packets go: the system's UDP, or a simulated world.
#[derive(Clone)]
pub enum Network {
    /// A UDP socket of the system, on any port.
    System,
    /// Sockets and a runtime that somebody made: the simulated world.
    Simulated {
        /// Binds a fresh port; called once for each connection and each change of port.
        bind: Arc<Bind>,
        /// Timers and tasks.
        runtime: Arc<dyn quinn::Runtime>,
        /// Makes connection ids repeatable.
        seed: [u8; 32],
        /// Where the relay is; names are not looked up.
        relay: SocketAddr,
    },
}

/// Makes a socket of a simulated world.
pub type Bind = dyn Fn() -> std::io::Result<Arc<dyn quinn::AsyncUdpSocket>> + Send + Sync;

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::System => "System",
            Self::Simulated { .. } => "Simulated",
        })
    }
}

impl Network {
    /// An endpoint of this network that speaks `tls`, and the relay's address.
    ///
    /// # Errors
    ///
    /// If the name does not resolve or no socket can be opened.
    pub fn endpoint(&self, link: &Link, tls: rustls::ClientConfig) -> std::io::Result<(Endpoint, SocketAddr)> {
        let (mut endpoint, address) = match self {
            Self::System => {
                let address = (link.host.as_str(), link.port)
                    .to_socket_addrs()?
                    .next()
                    .ok_or_else(|| std::io::Error::other("the name has no address"))?;
                let any: SocketAddr = match address {
                    SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
                    SocketAddr::V6(_) => ([0u16; 8], 0).into(),
                };
                (Endpoint::client(any)?, address)
            }
            Self::Simulated { bind, runtime, seed, relay } => {
                let mut config = EndpointConfig::default();
                config.rng_seed(Some(*seed));
                let endpoint = Endpoint::new_with_abstract_socket(config, None, bind()?, runtime.clone())?;
                (endpoint, *relay)
            }
        };
        let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(tls).map_err(std::io::Error::other)?;
        let mut config = ClientConfig::new(Arc::new(crypto));
        config.transport_config(Arc::new(transport_config()));
        endpoint.set_default_client_config(config);
        Ok((endpoint, address))
    }

    /// Moves an endpoint of this network to a fresh local port.
    ///
    /// # Errors
    ///
    /// If no socket can be opened; the endpoint keeps its port.
    pub fn rebind(&self, endpoint: &Endpoint) -> std::io::Result<()> {
        match self {
            Self::System => {
                let v6 = endpoint.local_addr().is_ok_and(|address| address.is_ipv6());
                let any: SocketAddr = if v6 { ([0u16; 8], 0).into() } else { ([0, 0, 0, 0], 0).into() };
                endpoint.rebind(std::net::UdpSocket::bind(any)?)
            }
            Self::Simulated { bind, .. } => endpoint.rebind_abstract(bind()?),
        }
    }
}

/// The window that quinn's sender sees: as good as none, since what may be sent is decided above it, frame by frame.
/// Just below `u32::MAX`, where quinn keeps its pacer but the pacer never has to wait at any rate we send.
const OPEN_WINDOW_BYTES: u64 = u32::MAX as u64 - 1;

/// Room for two frames of 5 Mbit/s video at 30 per second, cut into datagrams. quinn's default is 1 MiB: seconds of
/// stale picture, from which it would drop the oldest packet and so tear a frame.
pub const DATAGRAM_SEND_BUFFER_BYTES: usize = 64 * 1024;

/// Room for what arrives while this thread is not scheduled: 100 ms at 20 Mbit/s.
const DATAGRAM_RECEIVE_BUFFER_BYTES: usize = 256 * 1024;

/// A connection ends after this long without a packet: a call outlives 30 s of that.
pub(super) const IDLE: Duration = Duration::from_secs(35);

fn transport_config() -> TransportConfig {
    let mut config = TransportConfig::default();
    config.congestion_controller_factory(Arc::new(OpenWindow));
    config.datagram_send_buffer_size(DATAGRAM_SEND_BUFFER_BYTES);
    config.datagram_receive_buffer_size(Some(DATAGRAM_RECEIVE_BUFFER_BYTES));
    // Every second datagram would be acknowledged: a packet and a system call each at the relay.
    let mut acks = AckFrequencyConfig::default();
    acks.ack_eliciting_threshold(VarInt::from_u32(10)).max_ack_delay(Some(Duration::from_millis(25)));
    config.ack_frequency_config(Some(acks));
    // Address translators keep the port open.
    config.max_idle_timeout(IdleTimeout::try_from(IDLE).ok());
    config.keep_alive_interval(Some(Duration::from_secs(10)));
    config.max_concurrent_uni_streams(VarInt::from_u32(0));
    config.max_concurrent_bidi_streams(VarInt::from_u32(0));
    config
}

/// A congestion controller that never holds anything back.
#[derive(Debug, Clone, Copy)]
struct OpenWindow;

impl ControllerFactory for OpenWindow {
    fn build(self: Arc<Self>, _now: Instant, _current_mtu: u16) -> Box<dyn Controller> {
        Box::new(*self)
    }
}

impl Controller for OpenWindow {
    fn on_congestion_event(&mut self, _now: Instant, _sent: Instant, _persistent: bool, _lost_bytes: u64) {}

    fn on_mtu_update(&mut self, _new_mtu: u16) {}

    fn window(&self) -> u64 {
        OPEN_WINDOW_BYTES
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(*self)
    }

    fn initial_window(&self) -> u64 {
        OPEN_WINDOW_BYTES
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
