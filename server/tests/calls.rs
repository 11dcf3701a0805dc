//! Calls through a real relay: signals, media, lost and replaced connections, the end of the relay.

mod support;

use std::sync::Arc;

use support::{
    Client, account,
    calls::{CALL, accept, ann, bo, call, call_as, connected, ended, live, media, own, sound},
    device, refusal, relay,
};
use visavis_proto::{
    signal::relay_call::RINGING_MESSAGES,
    wire::{
        clock::Ping,
        control::{
            CallData, CloseCode, EndReason, ErrorCode, HistoryQuery, PeopleQuery, Resume, client, relay::Body,
        },
        datagram::Datagram,
    },
};
use visavis_relay::{
    RelayConfig,
    db::{Store as _, memory::Memory},
};

fn store() -> Arc<Memory> {
    let people = [
        ("Ann", account(11).key, vec![ann().1]),
        ("Bo", account(12).key, vec![bo().1]),
        ("Cy", account(13).key, vec![device(3).1]),
    ];
    Arc::new(Memory::with_people(people))
}

#[tokio::test]
async fn media_flows_in_a_call_that_both_accepted_and_only_there() {
    let (relay, address) = relay(store(), RelayConfig::default()).await;
    let (mut one, mut two) = (Client::enrolled(address, &ann()).await, Client::enrolled(address, &bo()).await);
    let (at_one, at_two) = live(&mut one, &mut two).await;
    assert_ne!(own(&at_one), own(&at_two));

    one.connection.send_datagram(sound(own(&at_one), 0, 500).into()).expect("sent");
    let (hop, number) = media(&two).await;
    assert_eq!((hop.stream.0, hop.sequence, number, hop.sent_after_us), (own(&at_one), 0, 0, 3));
    assert!(hop.relayed.is_some());

    // Somebody else's stream, also that of the other side, leads nowhere.
    one.connection.send_datagram(sound(own(&at_two), 1, 501).into()).expect("sent");
    one.connection.send_datagram(sound(own(&at_one), 2, 502).into()).expect("sent");
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
    one.connection.send_datagram(sound(own(&at_one), 3, 503).into()).expect("sent");
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
    again.connection.send_datagram(sound(own(&at_one), 9, 0).into()).expect("sent");
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
    let Body::History(history) =
        two.ask(client::Body::HistoryQuery(HistoryQuery { before_ms: 0, limit: 10, unseen: false })).await
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

#[tokio::test]
async fn media_that_is_not_what_its_stream_was_announced_as_goes_nowhere() {
    let (relay, address) = relay(store(), RelayConfig::default()).await;
    let (mut one, mut two) = (Client::enrolled(address, &ann()).await, Client::enrolled(address, &bo()).await);
    let (at_one, _) = live(&mut one, &mut two).await;
    let announced = sound(own(&at_one), 1, 0);
    let Ok(Datagram::Media(packet)) = Datagram::decode(&announced) else { panic!("media") };
    let (mut picture, mut other_index) = (packet.clone(), packet.clone());
    picture.frame.audio = false;
    other_index.frame.stream_index = 1;
    for bytes in [picture.encode(), other_index.encode(), announced.clone()] {
        one.connection.send_datagram(bytes.into()).expect("sent");
    }
    assert_eq!(media(&two).await.1, 1);
    assert_eq!((relay.stats().mislabelled, relay.stats().unroutable, relay.stats().forwarded), (2, 0, 1));
    relay.drain().await;
}

#[tokio::test]
async fn whoever_is_disabled_in_a_call_is_told_so_and_so_is_the_other() {
    let memory = store();
    let (relay, address) = relay(memory.clone(), RelayConfig::default()).await;
    let (mut one, mut two) = (Client::enrolled(address, &ann()).await, Client::enrolled(address, &bo()).await);
    live(&mut one, &mut two).await;
    assert!(memory.set_disabled("bo", true).await.expect("written"));
    relay.reload_people().await.expect("read");
    assert_eq!(one.until(ended).await, EndReason::PeerRevoked);
    assert_eq!(two.until(ended).await, EndReason::Revoked);
    assert_eq!(two.closed().await, CloseCode::Disabled as u64);
    relay.drain().await;
    let reasons: Vec<_> = memory.records().iter().map(|record| record.reason).collect();
    assert_eq!(reasons, [EndReason::PeerRevoked]);
}

#[tokio::test]
async fn calling_somebody_who_is_not_there_again_and_again_is_refused() {
    let (relay, address) = relay(store(), RelayConfig::default()).await;
    let mut one = Client::enrolled(address, &ann()).await;
    let mut tries = 0u8;
    let answer = loop {
        match one.ask(call_as([tries; 16], "Bo")).await {
            Body::CallState(state) => assert_eq!(state.ended(), EndReason::Offline),
            other => break other,
        }
        tries += 1;
    };
    let Body::Refused(refused) = answer else { panic!("refused: {answer:?}") };
    assert_eq!(refused.code(), ErrorCode::TooMany);
    assert!(refused.detail.contains("10 s"), "{}", refused.detail);
    assert!((30..35).contains(&tries), "{tries}");
    // Somebody else may call, and be called.
    let mut two = Client::enrolled(address, &bo()).await;
    assert!(matches!(two.ask(call("Ann")).await, Body::CallState(state) if state.ringing_devices == 1));
    assert_eq!(relay.stats().calls_refused, 1);
    relay.drain().await;
}

#[tokio::test]
async fn what_is_sent_before_the_call_is_accepted_has_an_end() {
    let (relay, address) = relay(store(), RelayConfig::default()).await;
    let (mut one, mut two) = (Client::enrolled(address, &ann()).await, Client::enrolled(address, &bo()).await);
    one.ask(call("bo")).await;
    let data = |what| client::Body::CallData(CallData { call: CALL.to_vec(), device: vec![], payload: vec![what] });
    for _ in 0..RINGING_MESSAGES {
        one.say(data(1)).await;
    }
    assert_eq!(refusal(one.ask(data(1)).await), ErrorCode::TooMany);
    assert_eq!(relay.stats().ringing_data_refused, 1);
    // The call is none the worse for it.
    two.say(accept()).await;
    one.until(connected).await;
    one.say(data(2)).await;
    let mut early = 0;
    let mut came = |body| match body {
        Body::CallData(data) if data.payload == [2] => Some(()),
        Body::CallData(_) => {
            early += 1;
            None
        }
        _ => None,
    };
    two.until(&mut came).await;
    assert_eq!(early, RINGING_MESSAGES);
    relay.drain().await;
}
