//! Calls through a real relay: signals, media, lost and replaced connections, the end of the relay.

mod support;

use std::sync::Arc;

use support::{Client, Device, account, device, refusal, relay};
use visavis_proto::{
    ids::{FrameNumber, StreamId},
    time::Timestamp,
    wire::{
        clock::Ping,
        control::{
            Accept, Call, CallData, CloseCode, Connected, EndReason, ErrorCode, HistoryQuery, PeopleQuery, Resume,
            StreamKind, StreamOffer, client, relay::Body,
        },
        datagram::Datagram,
        media::{FrameHeader, HopHeader, Packet, References},
    },
};
use visavis_relay::{RelayConfig, db::memory::Memory};

const CALL: [u8; 16] = [7; 16];

fn ann() -> Device {
    device(1)
}

fn bo() -> Device {
    device(2)
}

fn store() -> Arc<Memory> {
    let people = [
        ("Ann", account(11).key, vec![ann().1]),
        ("Bo", account(12).key, vec![bo().1]),
        ("Cy", account(13).key, vec![device(3).1]),
    ];
    Arc::new(Memory::with_people(people))
}

fn streams() -> Vec<StreamOffer> {
    vec![StreamOffer { index: 0, kind: StreamKind::Microphone.into() }]
}

fn call(callee: &str) -> client::Body {
    client::Body::Call(Call {
        call: CALL.to_vec(),
        callee: callee.into(),
        streams: streams(),
        payload: b"first flight".to_vec(),
    })
}

fn accept() -> client::Body {
    client::Body::Accept(Accept { call: CALL.to_vec(), streams: streams(), payload: b"second".to_vec() })
}

fn connected(body: Body) -> Option<Connected> {
    match body {
        Body::Connected(connected) => Some(connected),
        _ => None,
    }
}

fn ended(body: Body) -> Option<EndReason> {
    match body {
        Body::CallState(state) if state.ended != 0 => Some(state.ended()),
        _ => None,
    }
}

/// A live call between the two; what each was told.
async fn live(one: &mut Client, two: &mut Client) -> (Connected, Connected) {
    let Body::CallState(state) = one.ask(call("bo")).await else { panic!("it rings") };
    assert_eq!((state.ended, state.ringing_devices), (0, 1));
    let incoming = two
        .until(|body| match body {
            Body::Incoming(incoming) => Some(incoming),
            _ => None,
        })
        .await;
    assert_eq!((incoming.caller.as_str(), &incoming.payload[..]), ("Ann", &b"first flight"[..]));
    let Body::Connected(at_two) = two.ask(accept()).await else { panic!("it is live") };
    let at_one = one.until(connected).await;
    assert_eq!((&at_one.payload[..], &at_two.payload[..]), (&b"second"[..], &b""[..]));
    assert_eq!(at_one.streams, at_two.streams);
    (at_one, at_two)
}

fn frame(stream: u32, number: u32, sequence: u32) -> Vec<u8> {
    let hop = HopHeader {
        stream: StreamId(stream),
        sequence,
        index: 0,
        retransmission: false,
        dropped: None,
        sent_after_us: 3,
        relayed: None,
    };
    let frame = FrameHeader {
        stream_index: 0,
        audio: true,
        key: true,
        recovery_point: false,
        discardable: true,
        layer: 0,
        number: FrameNumber(number),
        references: References::NONE,
        capture_time: Timestamp::ZERO,
        capture_number: number,
        encoded_after_us: 2,
        bytes: 100,
        packets: 1,
    };
    Packet { hop, frame, payload: &[0x5a; 100] }.encode()
}

/// The stream that a device publishes.
fn own(connected: &Connected) -> u32 {
    connected.streams.iter().find(|stream| stream.device != connected.device).expect("one each").stream
}

/// Reads datagrams until media comes; its hop header and frame number.
async fn media(client: &Client) -> (HopHeader, u32) {
    loop {
        let bytes = client.connection.read_datagram().await.expect("the connection lasts");
        if let Ok(Datagram::Media(packet)) = Datagram::decode(&bytes) {
            return (packet.hop, packet.frame.number.0);
        }
    }
}

#[tokio::test]
async fn media_flows_in_a_call_that_both_accepted_and_only_there() {
    let (relay, address) = relay(store(), RelayConfig::default()).await;
    let (mut one, mut two) = (Client::enrolled(address, &ann()).await, Client::enrolled(address, &bo()).await);
    let (at_one, at_two) = live(&mut one, &mut two).await;
    assert_ne!(own(&at_one), own(&at_two));

    one.connection.send_datagram(frame(own(&at_one), 0, 500).into()).expect("sent");
    let (hop, number) = media(&two).await;
    assert_eq!((hop.stream.0, hop.sequence, number, hop.sent_after_us), (own(&at_one), 0, 0, 3));
    assert!(hop.relayed.is_some());

    // Somebody else's stream, also that of the other side, leads nowhere.
    one.connection.send_datagram(frame(own(&at_two), 1, 501).into()).expect("sent");
    one.connection.send_datagram(frame(own(&at_one), 2, 502).into()).expect("sent");
    assert_eq!(media(&two).await.1, 2);
    assert_eq!(relay.stats().unroutable, 1);

    // The uplink's reports say what came.
    let mut reported = 0;
    while reported < 3 {
        let bytes = one.connection.read_datagram().await.expect("reports");
        if let Ok(Datagram::Feedback(feedback)) = Datagram::decode(&bytes) {
            reported += feedback.arrivals.iter().flatten().count();
        }
    }

    two.say(client::Body::End(visavis_proto::wire::control::End { call: CALL.to_vec() })).await;
    assert_eq!(two.until(ended).await, EndReason::HungUp);
    assert_eq!(one.until(ended).await, EndReason::PeerHungUp);
    one.connection.send_datagram(frame(own(&at_one), 3, 503).into()).expect("sent");
    one.connection.send_datagram(Ping { id: 5 }.encode().into()).expect("sent");
    while !matches!(
        Datagram::decode(&one.connection.read_datagram().await.expect("pong")),
        Ok(Datagram::ClockPong(pong)) if pong.id == 5
    ) {}
    assert_eq!((relay.stats().unroutable, relay.stats().forwarded), (2, 2));
    relay.drain().await;
}

#[tokio::test]
async fn strangers_to_a_call_cannot_touch_it() {
    let (relay, address) = relay(store(), RelayConfig::default()).await;
    let (mut one, mut two) = (Client::enrolled(address, &ann()).await, Client::enrolled(address, &bo()).await);
    let mut three = Client::enrolled(address, &device(3)).await;
    live(&mut one, &mut two).await;
    let data = CallData { call: CALL.to_vec(), device: bo().1.to_vec(), payload: b"hello".to_vec() };
    for body in [
        accept(),
        client::Body::End(visavis_proto::wire::control::End { call: CALL.to_vec() }),
        client::Body::Resume(Resume { call: CALL.to_vec() }),
        client::Body::CallData(data.clone()),
    ] {
        assert_eq!(refusal(three.ask(body).await), ErrorCode::NoSuchCall);
    }
    assert_eq!(refusal(three.ask(call("Ann")).await), ErrorCode::BadRequest);
    one.say(client::Body::CallData(data)).await;
    let from = two
        .until(|body| match body {
            Body::CallData(data) => Some(data.device),
            _ => None,
        })
        .await;
    assert_eq!(from, ann().1.to_vec());
    assert_eq!(relay.calls(), 1);
    relay.drain().await;
}

#[tokio::test]
async fn a_new_connection_of_a_device_replaces_the_old_one_and_resumes_the_call() {
    let (relay, address) = relay(store(), RelayConfig::default()).await;
    let (mut one, mut two) = (Client::enrolled(address, &ann()).await, Client::enrolled(address, &bo()).await);
    let (at_one, _) = live(&mut one, &mut two).await;

    let mut again = Client::enrolled(address, &ann()).await;
    assert_eq!(one.closed().await, CloseCode::Replaced as u64);
    let silent = |body| match body {
        Body::PeerPresence(presence) => Some(presence.silent),
        _ => None,
    };
    assert!(two.until(silent).await);
    let Body::Connected(resumed) = again.ask(client::Body::Resume(Resume { call: CALL.to_vec() })).await else {
        panic!("the place is kept");
    };
    assert_eq!(resumed.streams, at_one.streams);
    assert!(!two.until(silent).await);
    again.connection.send_datagram(frame(own(&at_one), 9, 0).into()).expect("sent");
    assert_eq!(media(&two).await.1, 9);
    relay.drain().await;
}

#[tokio::test]
async fn draining_tells_everybody_and_keeps_the_history() {
    let memory = store();
    let (relay, address) = relay(memory.clone(), RelayConfig::default()).await;
    let (mut one, mut two) = (Client::enrolled(address, &ann()).await, Client::enrolled(address, &bo()).await);
    live(&mut one, &mut two).await;
    tokio::join!(relay.drain(), async {
        for client in [&mut one, &mut two] {
            assert_eq!(client.until(ended).await, EndReason::RelayDraining);
            assert_eq!(client.closed().await, CloseCode::Draining as u64);
        }
    });
    let records = memory.records();
    assert_eq!(records.len(), 1);
    assert_eq!((records[0].reason, records[0].accepted.is_some()), (EndReason::RelayDraining, true));
}

#[tokio::test]
async fn missed_calls_are_counted_until_the_history_was_asked_for() {
    let (relay, address) = relay(store(), RelayConfig::default()).await;
    let mut one = Client::enrolled(address, &ann()).await;
    assert_eq!(ended(one.ask(call("Bo")).await), Some(EndReason::Offline));
    assert_eq!(ended(one.ask(call("nobody")).await), Some(EndReason::UnknownPerson));
    assert_eq!(ended(one.ask(call("ann")).await), Some(EndReason::Yourself));
    let missed = || async {
        let (client, answer) = Client::hello(address, &bo()).await;
        let Body::Welcome(welcome) = answer else { panic!("enrolled") };
        (client, welcome.missed_calls)
    };
    // The history is written behind the answer's back: ask again until it is there.
    let (mut two, mut count) = missed().await;
    while count == 0 {
        (two, count) = missed().await;
    }
    assert_eq!(count, 1);
    let Body::History(history) = two.ask(client::Body::HistoryQuery(HistoryQuery { before_ms: 0, limit: 10 })).await
    else {
        panic!("history");
    };
    assert_eq!((history.calls.len(), history.calls[0].missed()), (1, true));
    assert_eq!(missed().await.1, 0);
    relay.drain().await;
}

#[tokio::test]
async fn presence_is_pushed_to_those_who_asked() {
    let (relay, address) = relay(store(), RelayConfig::default()).await;
    let mut one = Client::enrolled(address, &ann()).await;
    let Body::People(people) = one.ask(client::Body::PeopleQuery(PeopleQuery {})).await else { panic!("people") };
    let names: Vec<_> = people.people.iter().map(|person| (person.name.as_str(), person.online)).collect();
    assert_eq!((names, people.more), (vec![("Bo", false), ("Cy", false)], false));
    let mut change = async || {
        one.until(|body| match body {
            Body::People(people) => people.people.into_iter().next().map(|p| (p.name, p.online)),
            _ => None,
        })
        .await
    };
    let two = Client::enrolled(address, &bo()).await;
    assert_eq!(change().await, ("Bo".into(), true));
    two.connection.close(0u32.into(), b"");
    assert_eq!(change().await, ("Bo".into(), false));
    relay.drain().await;
}
