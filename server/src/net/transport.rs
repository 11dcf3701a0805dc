//! How QUIC is set up at the relay, and why.

use std::{
    any::Any,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use aws_lc_rs::hmac;
use quinn::{
    AckFrequencyConfig, ConnectionId, ConnectionIdGenerator, EndpointConfig, IdleTimeout, MtuDiscoveryConfig,
    ServerConfig, TransportConfig, VarInt,
    congestion::{Controller, ControllerFactory},
    crypto::rustls::QuicServerConfig,
};
use rand::{RngCore as _, rngs::OsRng};

use crate::{core::forward::QUEUE_BYTES, identity::Identity};

/// A connection outlives a call's grace of 30 s without a packet.
const IDLE_MS: u32 = 35_000;

/// What a client may send before anybody reads it: 200 ms of 20 Mbit/s. Older datagrams are dropped first.
const DATAGRAM_RECEIVE_BYTES: usize = 512 * 1024;

/// Control messages in flight in either direction; two of the largest.
const CONTROL_WINDOW_BYTES: u32 = 128 * 1024;

/// Handshakes that may be under way and not yet accepted, and what their first packets may hold in memory.
const INCOMING: usize = 1_024;
const INCOMING_BYTES: u64 = 16 * 1024;
const INCOMING_TOTAL_BYTES: u64 = 8 << 20;

/// Above `u32::MAX`, so that quinn's pacer is off: the sender has paced its frames already, and a second pacer would
/// add to every frame what it holds back. Far below what overflows when it is multiplied by times in quinn.
const OPEN_WINDOW_BYTES: u64 = 1 << 40;

/// A relay that was killed and started again knows none of its old connections. Their clients believe it all the same:
/// the key of stateless resets (RFC 9000 section 10.3) comes from the relay's own, so that a client learns with its
/// next packet that it must connect again, rather than after its idle time. Resets are shorter than what they answer,
/// and quinn sends no more than 50 a second.
pub(super) fn endpoint_config(identity: &Identity, seed: Option<[u8; 32]>) -> EndpointConfig {
    let reset_key = identity.derive(b"visavis-relay stateless reset");
    let mut config = EndpointConfig::new(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &reset_key)));
    config.cid_generator(|| Box::new(AnyId)).rng_seed(seed);
    config
}

/// Random connection ids. Quinn's own carry a mark of the process that made them, and it resets no others.
#[derive(Debug)]
struct AnyId;

/// As long as quinn's: enough that nobody guesses one, and eight bytes of each packet.
const ID_BYTES: usize = 8;

impl ConnectionIdGenerator for AnyId {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut id = [0; ID_BYTES];
        OsRng.fill_bytes(&mut id);
        ConnectionId::new(&id)
    }

    fn cid_len(&self) -> usize {
        ID_BYTES
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

pub(super) fn server_config(crypto: QuicServerConfig) -> ServerConfig {
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config
        .transport_config(Arc::new(transport_config()))
        .migration(true)
        .max_incoming(INCOMING)
        .incoming_buffer_size(INCOMING_BYTES)
        .incoming_buffer_size_total(INCOMING_TOTAL_BYTES);
    config
}

fn transport_config() -> TransportConfig {
    let mut ack_frequency = AckFrequencyConfig::default();
    // Every second datagram acknowledged is a packet and a system call each at the relay; media needs no
    // acknowledgement, and control messages are not in a hurry of 25 ms.
    ack_frequency.ack_eliciting_threshold(VarInt::from_u32(10)).max_ack_delay(Some(Duration::from_millis(25)));
    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(IDLE_MS))))
        // Who wants to stay connected says so: clients do.
        .keep_alive_interval(None)
        .stream_receive_window(VarInt::from_u32(CONTROL_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(CONTROL_WINDOW_BYTES))
        .send_window(u64::from(CONTROL_WINDOW_BYTES))
        .datagram_receive_buffer_size(Some(DATAGRAM_RECEIVE_BYTES))
        .datagram_send_buffer_size(QUEUE_BYTES)
        .initial_mtu(1_200)
        .mtu_discovery_config(Some(MtuDiscoveryConfig::default()))
        .ack_frequency_config(Some(ack_frequency))
        .congestion_controller_factory(Arc::new(OpenFactory));
    config
}

/// Lets everything through up to a window that somebody else owns. Congestion control is the senders', above QUIC.
#[derive(Debug, Clone)]
struct Open {
    window: Arc<AtomicU64>,
}

struct OpenFactory;

impl ControllerFactory for OpenFactory {
    fn build(self: Arc<Self>, _now: Instant, _current_mtu: u16) -> Box<dyn Controller> {
        Box::new(Open { window: Arc::new(AtomicU64::new(OPEN_WINDOW_BYTES)) })
    }
}

impl Controller for Open {
    fn on_congestion_event(&mut self, _now: Instant, _sent: Instant, _persistent: bool, _lost_bytes: u64) {}

    fn on_mtu_update(&mut self, _new_mtu: u16) {}

    fn window(&self) -> u64 {
        self.window.load(Relaxed)
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        self.window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
