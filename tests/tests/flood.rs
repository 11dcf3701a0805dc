//! A live call goes on undisturbed while two others, one enrolled and one unknown, feed the relay a million malformed or
//! out-of-order datagrams and control messages.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, ensure};
use bytes::Bytes;
use quinn::{Connection, Endpoint};
use rand::{Rng, RngCore, SeedableRng, rngs::StdRng};
use tokio::time::{Interval, interval, timeout};
use visavis::{
    clock::Clock,
    identity::Key,
    net::{
        session::{self, Credentials},
        tls::{Refusal, client_config},
        transport::Network,
    },
    stats::collector::Live,
};
use visavis_proto::{
    ids::{FrameNumber, StreamId},
    time::Timestamp,
    wire::{
        control::{self, ClientMessage, client},
        framing,
        link::Link,
        media::{FrameHeader, HopHeader, Packet, References},
    },
};
use visavis_tests::{
    demo::cost_of,
    real::{PASSWORD, PATIENCE, Setup, live_call, now},
};

/// Datagrams and control messages of each of the two.
const SHARE: u64 = 500_000;

/// Each of the two sends this many every [`TICK`], 9,000 a second: twice what the relay lets a client send, and little
/// enough that on two cores it is the relay that is tested and not the scheduler.
const BATCH: u64 = 90;
const TICK: Duration = Duration::from_millis(10);

/// Datagrams on one connection, if the relay does not end it before.
const ON_ONE_CONNECTION: u64 = 20_000;

/// Control messages on one connection: more than the relay takes at once.
const MESSAGES: u64 = 450;

/// So many calls that nobody answers may be made at once, and another one each so many seconds: see `PROTOCOL.md`.
const CALLS: f64 = 30.0;

/// See [`CALLS`].
const CALL_EVERY_S: f64 = 10.0;

/// Most of the live call's packets that one second may lose, as a share: the relay's socket is shared, and on two cores
/// a burst may find it full.
const LOSS: f64 = 0.01;

/// Most that the median of the live call's delays may be: a call that nobody disturbs has 20 ms here, people begin to
/// notice at 200.
const DELAY_MS: f64 = 100.0;

/// What a flood amounted to.
#[derive(Debug, Default)]
struct Tally {
    datagrams: u64,
    messages: u64,
    connections: u64,
    /// Connections that the relay ended.
    sent_away: u64,
    /// Attempts that the relay did not let in.
    turned_away: u64,
}

struct Flooder {
    endpoint: Endpoint,
    relay: SocketAddr,
    host: String,
    random: StdRng,
    ticks: Interval,
    tally: Tally,
}

impl Flooder {
    fn new(link: &Link, device: &Key, seed: u64) -> anyhow::Result<Self> {
        let (endpoint, relay) =
            Network::System.endpoint(link, client_config(device, link.pin, Refusal::default())?)?;
        let random = StdRng::seed_from_u64(seed);
        Ok(Self { endpoint, relay, host: link.host.clone(), random, ticks: interval(TICK), tally: Tally::default() })
    }

    /// Goes on, on as many connections as it takes.
    async fn flood(mut self) -> anyhow::Result<Tally> {
        while self.tally.datagrams + self.tally.messages < SHARE {
            self.ticks.tick().await;
            let Ok(connection) = self.endpoint.connect(self.relay, &self.host)?.await else {
                self.tally.turned_away += 1;
                continue;
            };
            self.tally.connections += 1;
            let messages = self.abuse(&connection).await;
            self.tally.messages += messages;
            self.tally.datagrams += connection.stats().frame_tx.datagram;
            self.tally.sent_away += u64::from(connection.close_reason().is_some());
            connection.close(0u32.into(), b"");
        }
        Ok(self.tally)
    }

    /// Abuses one connection until it ends or enough was sent; answers how many control messages were.
    async fn abuse(&mut self, connection: &Connection) -> u64 {
        let manners = self.tally.connections % 4;
        let Ok((mut stream, _answers)) = connection.open_bi().await else { return 0 };
        let mut written = 0;
        // What breaks the framing ends the connection at once, so it comes last; what is merely wrong comes first.
        if manners < 2 {
            for number in 0..MESSAGES {
                let body = if number == 0 && manners == 1 { hello() } else { self.out_of_order() };
                let message = framing::encode(&ClientMessage::new(self.random.r#gen(), body));
                // A relay that reads no further is right, and nothing to wait for.
                let Ok(Ok(())) = timeout(TICK, stream.write_all(&message)).await else { break };
                written += 1;
            }
        } else if stream.write_all(&framing::encode(&ClientMessage::new(1, hello()))).await.is_ok() {
            written += 1;
        }
        let mut sent = 0;
        while sent < ON_ONE_CONNECTION && connection.close_reason().is_none() {
            self.ticks.tick().await;
            for _ in 0..BATCH {
                let datagram = self.datagram();
                if connection.send_datagram_wait(datagram).await.is_err() {
                    return written;
                }
            }
            sent += BATCH;
            if manners >= 2 && sent >= ON_ONE_CONNECTION / 4 {
                let mut nonsense = vec![0; self.random.gen_range(4..2_000)];
                self.random.fill_bytes(&mut nonsense);
                let length = if manners == 2 { u32::MAX } else { nonsense.len() as u32 - 4 };
                nonsense[..4].copy_from_slice(&length.to_be_bytes());
                written += u64::from(stream.write_all(&nonsense).await.is_ok());
                // The relay ends the connection when it reads this.
                let _ = timeout(PATIENCE, connection.closed()).await;
            }
        }
        written
    }

    /// Anything but what belongs there.
    fn datagram(&mut self) -> Bytes {
        let mut bytes = match self.random.gen_range(0..6) {
            0 => {
                let mut bytes = vec![0; self.random.gen_range(0..200)];
                self.random.fill_bytes(&mut bytes);
                return bytes.into();
            }
            // Right in form, for streams that belong to others or to nobody.
            1 => return self.media().into(),
            2 => {
                let mut bytes = self.media();
                bytes.truncate(self.random.gen_range(0..bytes.len()));
                return bytes.into();
            }
            // Every kind of datagram there is, and some that there are not, with nonsense behind it.
            3 => {
                let mut bytes = vec![0; self.random.gen_range(1..60)];
                self.random.fill_bytes(&mut bytes);
                bytes[0] = self.random.gen_range(0..8);
                return bytes.into();
            }
            _ => self.media(),
        };
        for _ in 0..self.random.gen_range(1..4) {
            let at = self.random.gen_range(0..bytes.len().min(60));
            bytes[at] ^= 1 << self.random.gen_range(0..8);
        }
        bytes.into()
    }

    /// A well-formed packet of somebody's picture. The relay numbers streams from 0, so these hit the live call's.
    fn media(&mut self) -> Vec<u8> {
        let payload = [0x5a; 40];
        let hop = HopHeader {
            stream: StreamId(self.random.gen_range(0..8)),
            sequence: self.random.r#gen(),
            index: 0,
            retransmission: self.random.r#gen(),
            dropped: None,
            sent_after_us: 1_000,
            relayed: None,
        };
        let frame = FrameHeader {
            stream_index: 1,
            audio: self.random.r#gen(),
            key: self.random.r#gen(),
            recovery_point: false,
            discardable: false,
            layer: 0,
            number: FrameNumber(self.random.r#gen()),
            references: References::NONE,
            capture_time: Timestamp::from_micros(self.random.gen_range(0..1 << 50)),
            capture_number: self.random.r#gen(),
            encoded_after_us: 5_000,
            bytes: payload.len() as u32,
            packets: 1,
        };
        Packet { hop, frame, payload: &payload }.encode()
    }

    /// A well-formed message that does not belong here now.
    fn out_of_order(&mut self) -> client::Body {
        let mut call = vec![0; if self.random.gen_bool(0.9) { 16 } else { 7 }];
        self.random.fill_bytes(&mut call);
        let payload = vec![0x5a; self.random.gen_range(0..100)];
        match self.random.gen_range(0..12) {
            0 => hello(),
            1 => client::Body::Enrol(control::Enrol::default()),
            2 => client::Body::LoginFinish(control::LoginFinish { opaque: payload }),
            3 => client::Body::RegisterFinish(control::RegisterFinish { opaque: payload, ..Default::default() }),
            4 => client::Body::LoginStart(control::LoginStart { name: "alice".into(), opaque: payload }),
            5 => client::Body::RegisterStart(control::RegisterStart { opaque: payload, ..Default::default() }),
            6 => client::Body::Call(control::Call { call, callee: "alice".into(), payload, ..Default::default() }),
            7 => client::Body::Accept(control::Accept { call, payload, ..Default::default() }),
            8 => client::Body::End(control::End { call }),
            9 => client::Body::Resume(control::Resume { call }),
            10 => client::Body::CallData(control::CallData { call, device: Vec::new(), payload }),
            _ => client::Body::HistoryQuery(control::HistoryQuery { before_ms: 1, limit: u32::MAX, unseen: false }),
        }
    }
}

fn hello() -> client::Body {
    client::Body::Hello(control::Hello { agent: "flooder".repeat(20), visiting: false })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_wrong_datagrams_and_messages_leave_a_live_call_alone() -> anyhow::Result<()> {
    let Setup { relay, people: [alice, bob], folder: _folder } = Setup::new(["alice", "bob"])?;
    let link: Link = relay.link.parse()?;
    let (enrolled, unknown) = (Key::generate()?, Key::generate()?);
    let who = Credentials {
        name: "mallory".into(),
        password: PASSWORD.to_owned().into(),
        device_name: "flood".into(),
        now_ms: Clock::system().now().as_millis(),
    };
    session::register(&Network::System, &link, &enrolled, &who).await?.leave().await;

    let (mut caller, mut callee) = live_call(&alice, &bob)?;
    let fluent = |line: &str| serde_json::from_str::<Live>(line).ok().filter(|live| live.fps >= 25.0);
    for side in [&mut caller, &mut callee] {
        side.wait_until(PATIENCE, fluent).context("waiting for pictures")?;
    }
    let rss = || cost_of("relay", relay.process.id()).map(|cost| cost.peak_rss_bytes).context("no /proc");
    let before = rss()?;
    let began = now();
    let floods = [Flooder::new(&link, &enrolled, 1)?.flood(), Flooder::new(&link, &unknown, 2)?.flood()];
    let [enrolled, unknown] = floods.map(tokio::spawn);
    let (enrolled, unknown) = (enrolled.await??, unknown.await??);
    let seconds = began.elapsed().as_secs_f64();
    println!("enrolled: {enrolled:?}\nunknown:  {unknown:?}\nin {seconds:.0} s");

    // The figures of the whole flood are in the pipes by now.
    let mut worst = f64::INFINITY;
    for (name, side) in [("alice", &mut caller), ("bob", &mut callee)] {
        let mut rates = Vec::new();
        let mut delays = Vec::new();
        let mut loss: f64 = 0.0;
        let mut missed = 0.0;
        while let Some(line) = side.try_line() {
            // A call among the flood that is in order is told as what it is, as often as a person may call.
            if line == "mallory called while you were in a call." {
                missed += 1.0;
                continue;
            }
            let live: Live =
                serde_json::from_str(&line).with_context(|| format!("{name} was told something: {line}"))?;
            rates.push(live.fps);
            delays.push(live.delay_ms);
            loss = loss.max(live.loss);
        }
        let mean = rates.iter().sum::<f64>() / rates.len().max(1) as f64;
        delays.sort_by(f64::total_cmp);
        let delay = delays.get(delays.len() / 2).copied().context("no figures")?;
        let least = rates.iter().copied().fold(f64::INFINITY, f64::min);
        println!(
            "{name}: {} figures, {mean:.2} fps, at least {least:.1}, {delay:.1} ms, {:.2} % lost at most",
            rates.len(),
            loss * 100.0
        );
        ensure!(missed <= CALLS + seconds / CALL_EVERY_S, "{name} was called {missed} times in {seconds:.0} s");
        ensure!(rates.len() as f64 > seconds * 0.8, "{} figures in {seconds:.0} s", rates.len());
        ensure!(mean >= 28.0, "{name} saw {mean:.1} pictures a second");
        ensure!(delay <= DELAY_MS, "{name} saw pictures that were {delay:.0} ms old");
        ensure!(loss <= LOSS, "{name} lost {:.2} % of the packets of a second", loss * 100.0);
        worst = worst.min(least);
    }
    let after = rss()?;
    println!("the relay's memory: {} KiB before, {} KiB at most", before >> 10, after >> 10);
    ensure!(enrolled.datagrams + enrolled.messages + unknown.datagrams + unknown.messages >= 2 * SHARE);
    ensure!(enrolled.sent_away > 0 && unknown.sent_away > 0, "nobody was sent away");
    ensure!(worst >= 20.0, "{worst:.1} pictures in a second");
    ensure!(after < before + (48 << 20), "the relay has grown from {before} to {after} bytes");
    caller.signal("INT")?;
    for (process, sentence) in [(caller, "You hung up."), (callee, "alice hung up.")] {
        let (status, lines) = process.finish()?;
        ensure!(status.success() && lines.iter().any(|line| line.contains(sentence)), "{status}: {lines:?}");
    }
    relay.stop()
}
