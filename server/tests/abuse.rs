//! What an unknown and a logged-in client can throw at a relay without anybody else noticing.

#![expect(clippy::disallowed_methods, reason = "the delay of a live call is measured here, in real time")]

mod support;

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use support::{
    Client, Device, account,
    calls::{live, own, sound},
    device, relay,
};
use tokio::time::Instant as Virtual;
use visavis_proto::wire::{
    clock::Ping,
    control::{self, Accept, ClientMessage, CloseCode, client},
    datagram::Datagram,
    framing,
};
use visavis_relay::{RelayConfig, db::memory::Memory};

/// Datagrams that the two attackers offer together; whoever was thrown out and not let in again wastes some of his.
const FLOOD: u32 = 1_000_000;

/// A small generator (xorshift): repeatable nonsense.
fn noise(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// Sends its share of a million bad datagrams, as fast as they go, and bad messages between them. Comes back when it
/// is thrown out, for as long as the relay lets it.
async fn attack(address: SocketAddr, device: Device, count: u32, stream: u32) {
    let mut state = 0x9e37_79b9_7f4a_7c15;
    let good = sound(stream, 7, 7);
    let (mut client, _) = Client::hello(address, &device).await;
    for index in 0..count {
        let mut bytes = good.clone();
        match noise(&mut state) % 4 {
            0 => {
                let place = noise(&mut state) as usize % bytes.len();
                bytes[place] ^= noise(&mut state) as u8;
            }
            1 => bytes.truncate(noise(&mut state) as usize % bytes.len()),
            2 => {
                let number = noise(&mut state) as u32;
                bytes = sound(stream, number, number);
            }
            _ => bytes.iter_mut().for_each(|byte| *byte = noise(&mut state) as u8),
        }
        if client.connection.send_datagram_wait(bytes.into()).await.is_err() {
            let back = tokio::time::timeout(Duration::from_secs(2), Client::try_hello(address, &device)).await;
            let Ok(Some(back)) = back else { continue };
            client = back;
        }
        if index % 1_000 == 0 {
            // Out of order, unknown, for calls that are not theirs. The relay reads them at its own pace.
            let body = match index / 1_000 % 3 {
                0 => client::Body::Accept(Accept { call: vec![7; 16], streams: vec![], payload: vec![] }),
                1 => client::Body::End(control::End { call: vec![1, 2, 3] }),
                _ => client::Body::LoginFinish(control::LoginFinish { opaque: vec![0; 64] }),
            };
            let message = framing::encode(&ClientMessage::new(1, body));
            drop(tokio::time::timeout(Duration::from_millis(1), client.send.write_all(&message)).await);
        }
    }
}

#[tokio::test]
async fn an_enrolled_device_gets_in_past_any_number_of_strangers() {
    // With places for a few of the strangers, and for one, where every address must prove itself.
    for (max_strangers, say_hello) in [(16, false), (16, true), (1, false), (1, true)] {
        let people = [("Ann", account(11).key, vec![device(1).1])];
        let config = RelayConfig { max_strangers, ..RelayConfig::default() };
        let (relay, address) = relay(Arc::new(Memory::with_people(people)), config).await;
        let stranger = async || match say_hello {
            true => Client::hello(address, &device(2)).await.0,
            false => Client::connect(address, &device(2)).await,
        };
        let mut strangers = Vec::new();
        for _ in 0..30 {
            strangers.push(stranger().await);
        }
        let ann = Client::enrolled(address, &device(1)).await;
        assert_eq!(strangers[0].closed().await, CloseCode::NotLoggedIn as u64);
        assert!(relay.stats().evicted >= 30 - max_strangers as u64);
        // Whoever has logged in has a place that nobody takes.
        for _ in 0..10 {
            strangers.push(stranger().await);
        }
        assert!(relay.is_online(device(1).1) && ann.connection.close_reason().is_none());
        relay.drain().await;
    }
}

/// How long the relay keeps a connection, from when it was made. From here on time is tokio's, and flies.
async fn time_until_closed(client: &Client) -> Duration {
    let connected = Virtual::now();
    tokio::time::pause();
    let closed = tokio::time::timeout(Duration::from_secs(600), client.connection.closed()).await.is_ok();
    let kept = connected.elapsed();
    assert!(closed, "still open after {kept:?}");
    assert_eq!(client.closed().await, CloseCode::NotLoggedIn as u64);
    kept
}

#[tokio::test]
async fn who_does_not_say_hello_has_ten_seconds() {
    let (relay, address) = relay(Arc::new(Memory::default()), RelayConfig::default()).await;
    // One opens no control stream, and one begins a message there.
    let mut client = Client::connect(address, &device(1)).await;
    let kept = time_until_closed(&client).await;
    assert!((9..12).contains(&kept.as_secs()), "{kept:?}");
    tokio::time::resume();
    client = Client::connect(address, &device(1)).await;
    client.send.write_all(&[0, 0]).await.expect("written");
    let kept = time_until_closed(&client).await;
    assert!((9..12).contains(&kept.as_secs()), "{kept:?}");
    assert_eq!(relay.stats().never_logged_in, 2);
    relay.drain().await;
}

#[tokio::test]
async fn who_says_hello_and_does_not_log_in_has_a_minute() {
    let (relay, address) = relay(Arc::new(Memory::default()), RelayConfig::default()).await;
    let (client, _) = Client::hello(address, &device(1)).await;
    let kept = time_until_closed(&client).await;
    assert!((58..62).contains(&kept.as_secs()), "{kept:?}");
    assert_eq!(relay.stats().never_logged_in, 1);
    relay.drain().await;
}

/// Run it with `--release`: the flood is as fast as this machine makes datagrams.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_bad_packets_leave_a_live_call_undisturbed() {
    let people = [
        ("Ann", account(11).key, vec![device(1).1]),
        ("Bo", account(12).key, vec![device(2).1]),
        ("Mallory", account(13).key, vec![device(3).1]),
    ];
    let (relay, address) = relay(Arc::new(Memory::with_people(people)), RelayConfig::default()).await;
    let mut one = Client::enrolled(address, &device(1)).await;
    let mut two = Client::enrolled(address, &device(2)).await;
    let stream = own(&live(&mut one, &mut two).await.0);

    let floods = tokio::spawn(async move {
        let attack = |seed| attack(address, device(seed), FLOOD / 2, stream);
        tokio::join!(attack(3), attack(4));
    });

    // The call goes on: a sound packet each 10 ms, all of which must come, and soon.
    let listener = tokio::spawn({
        let connection = two.connection.clone();
        async move {
            let mut arrivals = Vec::new();
            while let Ok(bytes) = connection.read_datagram().await {
                if let Ok(Datagram::Media(packet)) = Datagram::decode(&bytes) {
                    arrivals.push((packet.frame.number.0, Instant::now()));
                }
            }
            arrivals
        }
    });
    let mut sent = Vec::new();
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    while !floods.is_finished() {
        tick.tick().await;
        if sent.len().is_multiple_of(50) {
            // Clients in a call probe the clock, or the relay takes them for lost.
            for client in [&one, &two] {
                client.connection.send_datagram(Ping { id: 1 }.encode().into()).expect("sent");
            }
        }
        sent.push(Instant::now());
        let number = sent.len() as u32 - 1;
        one.connection.send_datagram(sound(stream, number, number).into()).expect("sent");
    }
    floods.await.expect("the attackers ran");
    let stats = relay.stats();
    assert_eq!(relay.calls(), 1);
    relay.drain().await;
    let arrivals = listener.await.expect("the listener ran");
    let mut delays: Vec<_> = arrivals.iter().map(|&(number, at)| at - sent[number as usize]).collect();
    delays.sort();
    let late = delays[delays.len() * 99 / 100];
    println!("{} of {} came, p99 {late:?}; {stats:?}", arrivals.len(), sent.len());
    // All parties share this machine and the system's small socket buffers, where some packets are lost before any
    // program sees them. More than that would be the relay's doing.
    assert!(arrivals.len() * 20 >= sent.len() * 19, "{} of {} came", arrivals.len(), sent.len());
    assert!(late < Duration::from_millis(200), "the slowest of a hundred took {late:?}");
    assert!(arrivals.windows(2).all(|pair| pair[0].0 < pair[1].0), "nobody else's packets got in");
    assert!(stats.malformed + stats.over_limit + stats.unroutable + stats.from_strangers > 1_000);
}
