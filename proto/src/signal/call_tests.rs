//! Tests of the client's call state machine: the ways a person meets, and every short sequence of inputs.

use super::*;

const MINE: CallId = CallId([1; 16]);
const THEIRS: CallId = CallId([2; 16]);
const PEER: DeviceKey = DeviceKey([9; 32]);

fn incoming(call: CallId) -> relay::Body {
    relay::Body::Incoming(control::Incoming { call: call.to_vec(), caller: "bob".into(), ..Default::default() })
}

fn connected(call: CallId) -> relay::Body {
    let stream =
        |stream, device: Vec<u8>| control::Stream { stream, device, index: 1, kind: StreamKind::Camera.into() };
    relay::Body::Connected(control::Connected {
        call: call.to_vec(),
        peer: "bob".into(),
        device: PEER.to_vec(),
        streams: vec![stream(10, PEER.to_vec()), stream(11, vec![7; 32])],
        ..Default::default()
    })
}

fn ended(call: CallId, reason: EndReason, merged_into: &[u8]) -> relay::Body {
    relay::Body::CallState(control::CallState {
        call: call.to_vec(),
        ended: reason.into(),
        merged_into: merged_into.to_vec(),
        ..Default::default()
    })
}

fn events(calls: &mut Calls) -> Vec<Event> {
    std::iter::from_fn(|| calls.poll_event()).collect()
}

fn messages(calls: &mut Calls) -> Vec<client::Body> {
    std::iter::from_fn(|| calls.poll_message()).collect()
}

#[test]
fn a_call_that_is_answered_becomes_live_with_its_streams() {
    let mut calls = Calls::default();
    calls.call(MINE, "bob", vec![], vec![]).expect("idle");
    assert!(matches!(&messages(&mut calls)[..], [client::Body::Call(_)]));
    calls.handle(&connected(MINE));
    let [Event::Connected(live)] = &events(&mut calls)[..] else { panic!("one event") };
    assert_eq!(live.received[0].id, StreamId(10));
    assert_eq!(live.published[0].id, StreamId(11));
    assert_eq!(calls.call(THEIRS, "carol", vec![], vec![]), Err(RequestError::InCall));
}

#[test]
fn nothing_becomes_live_before_this_person_accepts() {
    let mut calls = Calls::default();
    calls.handle(&incoming(THEIRS));
    calls.handle(&connected(THEIRS));
    assert!(matches!(&events(&mut calls)[..], [Event::Incoming { .. }]));
    assert_eq!(calls.state(THEIRS), Some(State::RingingIn));
    calls.accept(THEIRS, vec![], vec![]).expect("it rings");
    calls.handle(&connected(THEIRS));
    assert_eq!(calls.state(THEIRS), Some(State::Live));
}

#[test]
fn two_who_call_each_other_are_in_one_call_without_being_asked() {
    let mut calls = Calls::default();
    calls.call(THEIRS, "bob", vec![StreamOffer { index: 1, kind: StreamKind::Camera.into() }], vec![]).expect("idle");
    calls.handle(&incoming(MINE));
    calls.handle(&ended(THEIRS, EndReason::Merged, &MINE.0));
    let sent = messages(&mut calls);
    assert!(matches!(&sent[1], client::Body::Accept(accept) if accept.call == MINE.0 && accept.streams.len() == 1));
    calls.handle(&connected(MINE));
    assert_eq!(calls.state(MINE), Some(State::Live));
    assert!(!events(&mut calls).iter().any(|event| matches!(event, Event::Incoming { .. })));
}

#[test]
fn the_half_of_a_crossed_call_that_is_given_up_is_not_missed() {
    let mut calls = Calls::default();
    calls.call(MINE, "bob", vec![], vec![]).expect("idle");
    calls.handle(&incoming(THEIRS));
    calls.handle(&ended(THEIRS, EndReason::AnsweredElsewhere, &[]));
    let told = events(&mut calls);
    assert!(matches!(told[..], [Event::Ended { call: THEIRS, missed: false, goes_on_as: None, .. }]), "{told:?}");
    calls.handle(&connected(MINE));
    assert_eq!(calls.state(MINE), Some(State::Live));
}

#[test]
fn a_call_that_came_in_while_this_one_rang_out_is_told_once_this_one_is_cancelled() {
    let mut calls = Calls::default();
    calls.call(MINE, "bob", vec![], vec![]).expect("idle");
    calls.handle(&incoming(THEIRS));
    assert_eq!(events(&mut calls), []);
    calls.end(MINE);
    assert!(matches!(&events(&mut calls)[..], [Event::Ended { .. }, Event::Incoming { .. }]));
}

#[test]
fn what_the_other_device_says_before_its_call_is_known_is_kept() {
    let mut calls = Calls::default();
    let message = PeerMessage { body: Some(control::peer::Body::Handshake(vec![1])) };
    calls.handle(&relay::Body::CallData(control::CallData {
        call: THEIRS.to_vec(),
        device: PEER.to_vec(),
        payload: prost::Message::encode_to_vec(&message),
    }));
    assert_eq!(events(&mut calls), []);
    calls.handle(&incoming(THEIRS));
    assert!(matches!(&events(&mut calls)[..], [Event::Incoming { .. }, Event::Peer { .. }]));
}

#[test]
fn a_handshake_fits_into_ringing_and_accepting() {
    let words = |byte| PeerMessage { body: Some(control::peer::Body::Handshake(vec![byte])) };
    let mut callee = Calls::default();
    let relay::Body::Incoming(mut ring) = incoming(THEIRS) else { panic!("incoming") };
    ring.device = PEER.to_vec();
    ring.payload = prost::Message::encode_to_vec(&words(1));
    callee.handle(&relay::Body::Incoming(ring));
    let heard = events(&mut callee);
    assert!(matches!(&heard[1], Event::Peer { device: PEER, message, .. } if *message == words(1)), "{heard:?}");
    callee.say(THEIRS, Some(PEER), &words(2));
    callee.accept(THEIRS, vec![], vec![3]).expect("it rings");
    let sent = messages(&mut callee);
    assert!(matches!(&sent[0], client::Body::CallData(data) if data.device == PEER.0), "{sent:?}");
    assert!(matches!(&sent[1], client::Body::Accept(accept) if accept.payload == [3]), "{sent:?}");
}

#[test]
fn a_live_call_outlives_the_connection_for_the_grace_and_no_longer() {
    let mut calls = Calls::default();
    calls.call(MINE, "bob", vec![], vec![]).expect("idle");
    calls.handle(&connected(MINE));
    let now = Timestamp::from_micros(5);
    calls.disconnected(now);
    assert_eq!(calls.poll_timeout(), Some(now + GRACE));
    calls.reconnected();
    assert!(matches!(messages(&mut calls).last(), Some(client::Body::Resume(_))));
    calls.disconnected(now);
    calls.handle_timeout(now + GRACE);
    assert!(matches!(events(&mut calls).last(), Some(Event::Ended { reason: EndReason::RelayLost, .. })));
}

#[test]
fn a_ring_that_nobody_answered_is_missed_and_a_declined_one_is_not() {
    for (reason, missed) in [
        (EndReason::Cancelled, true),
        (EndReason::TimedOut, true),
        (EndReason::CallerLost, true),
        (EndReason::PeerRevoked, true),
        (EndReason::AnsweredElsewhere, false),
        (EndReason::DeclinedElsewhere, false),
    ] {
        let mut calls = Calls::default();
        calls.handle(&incoming(THEIRS));
        calls.handle(&ended(THEIRS, reason, &[]));
        let Some(Event::Ended { missed: told, .. }) = events(&mut calls).pop() else { panic!("ended") };
        assert_eq!(told, missed, "{reason:?}");
    }
}

#[test]
fn an_end_of_a_kind_that_this_version_does_not_know_ends_the_call() {
    let mut calls = Calls::default();
    calls.handle(&incoming(THEIRS));
    let state = control::CallState { call: THEIRS.to_vec(), ended: 1_000, ..Default::default() };
    calls.handle(&relay::Body::CallState(state));
    let last = events(&mut calls).pop();
    assert!(matches!(last, Some(Event::Ended { reason: EndReason::Unspecified, .. })), "{last:?}");
    assert_eq!(calls.state(THEIRS), None);
}

/// Every sequence of six inputs, from the person and from a relay that may say anything: a call is live only if this
/// person asked for it, and what ended stays ended.
#[test]
fn every_short_sequence_keeps_the_rules() {
    const STEPS: usize = 9;
    for sequence in 0..STEPS.pow(6) {
        let mut calls = Calls::default();
        let mut wanted = Vec::new();
        let mut rest = sequence;
        for _ in 0..6 {
            match rest % STEPS {
                0 => {
                    if calls.call(MINE, "bob", vec![], vec![]).is_ok() {
                        wanted.push(MINE);
                    }
                }
                1 => {
                    if calls.accept(THEIRS, vec![], vec![]).is_ok() {
                        wanted.push(THEIRS);
                    }
                }
                2 => calls.end(MINE),
                3 => calls.end(THEIRS),
                4 => drop(calls.handle(&incoming(THEIRS))),
                5 => drop(calls.handle(&connected(THEIRS))),
                6 => drop(calls.handle(&connected(MINE))),
                7 => {
                    let merging = calls.state(MINE) == Some(State::RingingOut);
                    calls.handle(&ended(MINE, EndReason::Merged, &THEIRS.0));
                    if merging {
                        wanted.push(THEIRS);
                    }
                }
                _ => drop(calls.handle(&ended(THEIRS, EndReason::Cancelled, &[]))),
            }
            for call in [MINE, THEIRS] {
                assert!(calls.state(call) != Some(State::Live) || wanted.contains(&call), "{sequence}");
            }
            let live = [MINE, THEIRS].iter().filter(|&&call| calls.state(call) >= Some(State::Connecting)).count();
            assert!(live <= 1, "{sequence}");
            rest /= STEPS;
        }
        let ends = events(&mut calls).iter().filter(|event| matches!(event, Event::Ended { .. })).count();
        assert!(ends <= 6);
    }
}
