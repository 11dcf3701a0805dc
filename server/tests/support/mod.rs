//! A client of a few lines, to talk to a relay over real QUIC on loopback.
#![allow(dead_code, reason = "each test file uses its own part of it")]

use std::{
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use opaque_ke::{
    ClientLogin, ClientLoginFinishParameters, ClientLoginStartResult, ClientRegistration,
    ClientRegistrationFinishParameters, CredentialResponse, RegistrationResponse, rand::rngs::OsRng,
};
use prost::Message as _;
use quinn::{Connection, Endpoint, RecvStream, SendStream, crypto::rustls::QuicClientConfig};
use rustls::{
    DigitallySignedStruct, Error, SignatureScheme,
    client::{
        AlwaysResolvesClientRawPublicKeys,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls13_signature},
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use visavis_proto::{
    ALPN,
    ids::{AccountKey, DeviceKey},
    wire::{
        control::{
            self, ClientMessage, DEVICE_LIST_CONTEXT, ErrorCode, Hello, RelayMessage, SignedDevices, client,
            relay::Body,
        },
        framing,
    },
};
use visavis_relay::{Clock, Relay, RelayConfig, Socket, db::Store, identity::Identity, opaque::Suite};

pub mod calls;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A relay on loopback.
pub async fn relay(store: Arc<dyn Store>, config: RelayConfig) -> (Relay, SocketAddr) {
    let identity = Identity::from_seed([9; 32]).expect("identity");
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let relay = Relay::start(config, store, &identity, Socket::Udp(socket), Clock::real()).await.expect("starts");
    let address = relay.local_addr().expect("bound");
    (relay, address)
}

/// A device: a key pair that belongs to a seed.
#[derive(Clone)]
pub struct Device(Arc<CertifiedKey>, pub DeviceKey);

pub fn device(seed: u8) -> Device {
    let key = account(seed).key;
    let mut der = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
    der.extend_from_slice(&[seed; 32]);
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let signer =
        provider.key_provider.load_private_key(PrivatePkcs8KeyDer::from(der).into()).expect("an Ed25519 key");
    let public = CertificateDer::from(signer.public_key().expect("public part").to_vec());
    Device(Arc::new(CertifiedKey::new(vec![public], signer)), DeviceKey(key.0))
}

pub struct Account {
    pair: Ed25519KeyPair,
    pub key: AccountKey,
}

pub fn account(seed: u8) -> Account {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("any seed");
    let key = AccountKey::try_from(pair.public_key().as_ref()).expect("32 bytes");
    Account { pair, key }
}

impl Account {
    pub fn sign(&self, version: u64, devices: &[DeviceKey]) -> SignedDevices {
        let devices = devices.iter().map(|key| control::Device { key: key.to_vec(), name: "d".into(), added_ms: 1 });
        let list = control::DeviceList { version, devices: devices.collect() }.encode_to_vec();
        let signature = self.pair.sign(&[DEVICE_LIST_CONTEXT, &list].concat()).as_ref().to_vec();
        SignedDevices { list, signature }
    }
}

/// A connection with its control stream.
pub struct Client {
    pub connection: Connection,
    pub send: SendStream,
    receive: RecvStream,
    reader: framing::Reader,
    next_request: u32,
    _endpoint: Endpoint,
}

impl Client {
    pub async fn connect(address: SocketAddr, device: &Device) -> Self {
        let mut endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).expect("a port");
        endpoint.set_default_client_config(client_config(device));
        let connecting = endpoint.connect(address, "relay").expect("valid");
        let connection = tokio::time::timeout(PATIENCE, connecting).await.expect("in time").expect("handshake");
        let (send, receive) = connection.open_bi().await.expect("control stream");
        Self { connection, send, receive, reader: framing::Reader::default(), next_request: 1, _endpoint: endpoint }
    }

    /// Connects and says hello; the answer.
    pub async fn hello(address: SocketAddr, device: &Device) -> (Self, Body) {
        let mut client = Self::connect(address, device).await;
        let answer = client.ask(client::Body::Hello(Hello { agent: "test".into(), visiting: false })).await;
        (client, answer)
    }

    /// The same, where the relay may not want to.
    pub async fn try_hello(address: SocketAddr, device: &Device) -> Option<Self> {
        let mut endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).ok()?;
        endpoint.set_default_client_config(client_config(device));
        let connection = endpoint.connect(address, "relay").ok()?.await.ok()?;
        let (mut send, receive) = connection.open_bi().await.ok()?;
        let hello = client::Body::Hello(Hello { agent: "test".into(), visiting: false });
        send.write_all(&framing::encode(&ClientMessage::new(1, hello))).await.ok()?;
        let reader = framing::Reader::default();
        Some(Self { connection, send, receive, reader, next_request: 2, _endpoint: endpoint })
    }

    /// Connects as a device that is enrolled.
    pub async fn enrolled(address: SocketAddr, device: &Device) -> Self {
        let (client, answer) = Self::hello(address, device).await;
        assert!(matches!(answer, Body::Welcome(_)), "{answer:?}");
        client
    }

    pub async fn say(&mut self, body: client::Body) -> u32 {
        let request = self.next_request;
        self.next_request += 1;
        let bytes = framing::encode(&ClientMessage::new(request, body));
        self.send.write_all(&bytes).await.expect("the relay reads");
        request
    }

    /// The answer to a request; news that come first are skipped.
    pub async fn ask(&mut self, body: client::Body) -> Body {
        let request = self.say(body).await;
        loop {
            let message = self.next().await.expect("an answer");
            if message.request == request {
                return message.body.expect("known to this version");
            }
        }
    }

    /// The next message; `None` once the relay has finished.
    pub async fn next(&mut self) -> Option<RelayMessage> {
        loop {
            if let Some(message) = self.reader.next().expect("well-formed") {
                return Some(message);
            }
            let chunk = tokio::time::timeout(PATIENCE, self.receive.read_chunk(65_536, true)).await.expect("in time");
            match chunk {
                Ok(Some(chunk)) => self.reader.push(&chunk.bytes),
                _ => return None,
            }
        }
    }

    /// Reads until something is what is waited for.
    pub async fn until<T>(&mut self, mut wanted: impl FnMut(Body) -> Option<T>) -> T {
        loop {
            let message = self.next().await.expect("the connection lasts");
            if let Some(found) = message.body.and_then(&mut wanted) {
                return found;
            }
        }
    }

    /// Why the relay closed the connection.
    pub async fn closed(&self) -> u64 {
        match tokio::time::timeout(PATIENCE, self.connection.closed()).await.expect("in time") {
            quinn::ConnectionError::ApplicationClosed(close) => close.error_code.into_inner(),
            other => panic!("closed otherwise: {other}"),
        }
    }

    /// Registers a person whose first device this connection is.
    pub async fn register(
        &mut self,
        name: &str,
        password: &str,
        invite: &[u8],
        owner: &Account,
        devices: &[DeviceKey],
    ) -> Result<Body, ErrorCode> {
        let start = ClientRegistration::<Suite>::start(&mut OsRng, password.as_bytes()).expect("starts");
        let answer = self
            .ask(client::Body::RegisterStart(control::RegisterStart {
                name: name.into(),
                invite: invite.to_vec(),
                opaque: start.message.serialize().to_vec(),
            }))
            .await;
        let Body::RegisterReply(reply) = answer else { return Err(refusal(answer)) };
        let reply = RegistrationResponse::deserialize(&reply.opaque).expect("well-formed");
        let parameters = ClientRegistrationFinishParameters::default();
        let finish = start.state.finish(&mut OsRng, password.as_bytes(), reply, parameters).expect("finishes");
        let answer = self
            .ask(client::Body::RegisterFinish(control::RegisterFinish {
                opaque: finish.message.serialize().to_vec(),
                account_key: owner.key.to_vec(),
                sealed_account_key: b"sealed".to_vec(),
                devices: Some(owner.sign(1, devices)),
            }))
            .await;
        match answer {
            Body::Welcome(_) => Ok(answer),
            other => Err(refusal(other)),
        }
    }

    /// Tries a password as a guesser does, who reads off the reply whether it was right.
    pub async fn guess(&mut self, name: &str) -> Result<(), ErrorCode> {
        let start = ClientLogin::<Suite>::start(&mut OsRng, b"guess").expect("starts");
        match self.ask(login_start(name, &start)).await {
            Body::LoginReply(_) => Ok(()),
            other => Err(refusal(other)),
        }
    }

    /// Proves a password; what is needed to enrol.
    pub async fn login(&mut self, name: &str, password: &str) -> Result<control::LoggedIn, ErrorCode> {
        let start = ClientLogin::<Suite>::start(&mut OsRng, password.as_bytes()).expect("starts");
        let answer = self.ask(login_start(name, &start)).await;
        let Body::LoginReply(reply) = answer else { return Err(refusal(answer)) };
        let reply = CredentialResponse::deserialize(&reply.opaque).expect("well-formed");
        let parameters = ClientLoginFinishParameters::default();
        // A wrong password shows here already; the relay must find out too, so something is sent in any case.
        let opaque = match start.state.finish(&mut OsRng, password.as_bytes(), reply, parameters) {
            Ok(finish) => finish.message.serialize().to_vec(),
            Err(_) => vec![0; 64],
        };
        match self.ask(client::Body::LoginFinish(control::LoginFinish { opaque })).await {
            Body::LoggedIn(logged_in) => Ok(logged_in),
            other => Err(refusal(other)),
        }
    }
}

fn login_start(name: &str, start: &ClientLoginStartResult<Suite>) -> client::Body {
    let opaque = start.message.serialize().to_vec();
    client::Body::LoginStart(control::LoginStart { name: name.into(), opaque })
}

pub fn refusal(body: Body) -> ErrorCode {
    match body {
        Body::Refused(refused) => refused.code(),
        other => panic!("expected a refusal: {other:?}"),
    }
}

fn client_config(device: &Device) -> quinn::ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyRelay(provider)))
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(device.0.clone())));
    config.alpn_protocols = vec![ALPN.to_vec()];
    let mut config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).expect("TLS 1.3")));
    let mut transport = quinn::TransportConfig::default();
    // Small, so that what a connection has taken has also been sent, but for the last moment.
    transport.datagram_send_buffer_size(256 << 10);
    // As clients do.
    transport.keep_alive_interval(Some(Duration::from_secs(10)));
    config.transport_config(Arc::new(transport));
    config
}

#[derive(Debug)]
struct AnyRelay(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyRelay {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("not offered".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
