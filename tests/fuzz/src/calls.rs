//! The call state machines of both ends, with people and peers who do anything in any order.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use prost::Message as _;
use visavis_proto::{
    ids::{CallId, DeviceKey},
    signal::{
        call::{Calls, Event, State},
        relay_call::{Offer, Opening, Output, PersonId, Switchboard},
    },
    wire::{
        control::{
            self, CallState, Connected, EndReason, Incoming, MAX_STREAMS, MediaState, PeerMessage, RelayMessage,
            StreamKind, StreamOffer, client, peer, relay,
        },
        framing,
    },
};

use super::{START, Script};

/// A client's calls, under a relay that says anything: no call is live that this person did not ask for, each ends
/// once, and no more are known than fit.
pub fn client_calls(data: &[u8]) {
    let mut script = Script(data);
    let mut client = Client { calls: Calls::default(), wanted: BTreeSet::new(), known: BTreeSet::new() };
    let mut now = START;
    while let Some(operation) = script.operation() {
        let id = CallId([script.byte() % 6; 16]);
        let offer = vec![StreamOffer { index: 0, kind: StreamKind::Microphone.into() }];
        match operation % 16 {
            0 | 1 => {
                if client.calls.call(id, "bo", offer, Vec::new()).is_ok() {
                    client.wanted.insert(id);
                    client.known.insert(id);
                }
            }
            2 | 3 => {
                if client.calls.accept(id, offer, Vec::new()).is_ok() {
                    client.wanted.insert(id);
                }
            }
            4 => client.calls.end(id),
            5 => {
                let body = Some(peer::Body::MediaState(MediaState { muted: true, camera_off: false }));
                client.calls.say(id, None, &PeerMessage { body });
            }
            6 => client.calls.disconnected(now),
            7 => client.calls.reconnected(),
            8 => client.calls.refused(id),
            9 => {
                now += Duration::from_secs(u64::from(operation >> 4) * 3);
                client.calls.handle_timeout(now);
                assert!(client.calls.poll_timeout().is_none_or(|at| at > now));
            }
            10 => {
                // Whatever else a relay may say.
                let mut reader = framing::Reader::default();
                reader.push(script.bytes());
                let Ok(Some(RelayMessage { body: Some(body), .. })) = reader.next() else { continue };
                client.hear(&body);
            }
            _ => {
                let body = script_news(&mut script, operation, id);
                client.hear(&body);
            }
        }
        client.drain();
    }
}

struct Client {
    calls: Calls,
    /// Calls that the person made or accepted, until they end.
    wanted: BTreeSet<CallId>,
    /// Calls that are known, until they end.
    known: BTreeSet<CallId>,
}

impl Client {
    fn hear(&mut self, body: &relay::Body) {
        // Of two people who call each other one call survives, and being in it was this person's wish.
        if let relay::Body::CallState(CallState { call, ended, merged_into, .. }) = body
            && *ended == EndReason::Merged as i32
            && let (Ok(call), Ok(survivor)) = (CallId::try_from(&call[..]), CallId::try_from(&merged_into[..]))
            && self.calls.state(call) == Some(State::RingingOut)
            && self.calls.state(survivor) == Some(State::RingingIn)
        {
            self.wanted.insert(survivor);
        }
        self.calls.handle(body);
        self.known.extend(self.calls.ids());
    }

    fn drain(&mut self) {
        while let Some(message) = self.calls.poll_message() {
            match message {
                client::Body::Call(control::Call { call, .. })
                | client::Body::Accept(control::Accept { call, .. }) => {
                    let id = CallId::try_from(&call[..]).expect("own id");
                    assert!(self.wanted.contains(&id), "nobody asked for {id}");
                }
                client::Body::End(_) | client::Body::CallData(_) | client::Body::Resume(_) => {}
                other => panic!("{other:?} is no business of calls"),
            }
        }
        while let Some(event) = self.calls.poll_event() {
            match event {
                Event::Connected(connected) => {
                    assert!(self.wanted.contains(&connected.call), "live without having been accepted");
                    assert!(connected.published.len() <= MAX_STREAMS && connected.received.len() <= MAX_STREAMS);
                    assert!(connected.published.iter().chain(&connected.received).all(|stream| stream.index < 16));
                }
                Event::Ended { call, .. } => {
                    assert!(self.known.remove(&call), "{call} ended twice");
                    self.wanted.remove(&call);
                }
                Event::Incoming { .. } | Event::RingingOut { .. } | Event::PeerSilent { .. } => {}
                Event::Peer { .. } | Event::FramesDropped(_) => {}
            }
        }
        let ids = self.calls.ids();
        assert!(ids.len() <= 4 && ids.is_empty() == self.calls.is_idle());
        for &id in &ids {
            let state = self.calls.state(id).expect("listed");
            assert!(
                state == State::RingingIn || self.wanted.contains(&id),
                "{state:?} without having been asked for"
            );
        }
        assert_eq!(self.known, ids.into_iter().collect(), "every call that is gone has been told");
        let engaged = self.known.iter().filter(|&&id| self.calls.state(id) != Some(State::RingingIn)).count();
        assert!(engaged <= 1, "in {engaged} calls at once");
    }
}

fn script_news(script: &mut Script<'_>, operation: u8, id: CallId) -> relay::Body {
    let detail = script.byte();
    let call = id.to_vec();
    match operation % 16 {
        11 => relay::Body::Incoming(Incoming { call, caller: "ann".into(), ..Incoming::default() }),
        12 => {
            let stream = |n: u8| control::Stream {
                stream: u32::from(n),
                device: vec![n % 2; 32],
                index: u32::from(n) * u32::from(detail & 15),
                kind: 1 + i32::from(n % 3),
            };
            relay::Body::Connected(Connected {
                call,
                peer: "ann".into(),
                device: vec![1; if detail == 0 { 3 } else { 32 }],
                streams: (0..detail >> 4).map(stream).collect(),
                ..Connected::default()
            })
        }
        13 => relay::Body::CallState(CallState {
            call,
            ringing_devices: u32::from(detail >> 5),
            ended: i32::from(detail % 20),
            merged_into: vec![script.byte() % 6; 16],
        }),
        14 => {
            let message = PeerMessage { body: Some(peer::Body::Handshake(vec![detail])) };
            let payload = if detail == 255 { vec![0xff] } else { message.encode_to_vec() };
            relay::Body::CallData(control::CallData { call, device: vec![1; 32], payload })
        }
        _ => relay::Body::PeerPresence(control::PeerPresence { call, silent: detail.is_multiple_of(2) }),
    }
}

/// All calls of a relay, with devices that do anything: both sides of a live call agreed to it and see each other,
/// nobody is in two, and every device hears of an end once.
pub fn relay_calls(data: &[u8]) {
    let mut script = Script(data);
    let mut relay = Relay::default();
    let mut now = START;
    while let Some(operation) = script.operation() {
        let who = script.byte();
        let (from, id) = (device(who % DEVICES), CallId([who >> 4 & 3; 16]));
        let board = &mut relay.board;
        match operation % 16 {
            0..=2 => board.attach(from, owner(from), now),
            3 => board.detach(from, now),
            4 => board.revoke(from, now),
            5 | 6 => {
                let callee = (script.byte() % 4).checked_sub(1).map(|n| PersonId(n.into()));
                if board.call(from, id, callee, opening(), now).is_ok() {
                    relay.begin(from, id);
                }
            }
            7 | 8 => {
                if board.accept(from, id, opening(), now).is_ok() {
                    relay.agreed.insert((from, id));
                }
            }
            9 => {
                let _ = board.end(from, id, now);
            }
            10 => {
                let to = Some(device(script.byte() % DEVICES)).filter(|_| operation & 0x10 != 0);
                let _ = board.data(from, id, to, vec![operation]);
            }
            11 => {
                let _ = board.resume(from, id, now);
            }
            12 | 13 => board.heard(from, now),
            14 if operation == 0xfe => board.drain(now),
            _ => {
                now += Duration::from_millis(u64::from(who) * 16);
                board.handle_timeout(now);
                assert!(board.poll_timeout().is_none_or(|(at, _)| at > now), "what is due has been done");
            }
        }
        relay.drain();
    }
    // Whatever was going on, silence ends it.
    relay.board.handle_timeout(now + Duration::from_secs(120));
    relay.drain();
    assert!(relay.board.is_empty(), "a call outlived everybody's silence");
}

/// Devices, two a person.
const DEVICES: u8 = 6;

const fn device(n: u8) -> DeviceKey {
    DeviceKey([n; 32])
}

fn owner(device: DeviceKey) -> PersonId {
    PersonId(i64::from(device.0[0] / 2))
}

fn opening() -> Opening {
    Opening { streams: vec![Offer { index: 3, kind: StreamKind::Camera }], payload: vec![7] }
}

#[derive(Default)]
struct Relay {
    board: Switchboard,
    /// Who called or accepted which call.
    agreed: BTreeSet<(DeviceKey, CallId)>,
    /// Who has been told of a call, and not yet of its end.
    open: BTreeSet<(DeviceKey, CallId)>,
    recorded: BTreeSet<CallId>,
    engaged: BTreeMap<PersonId, bool>,
}

impl Relay {
    /// Ids are drawn at random and never come back; here they do, once a call is over.
    fn begin(&mut self, from: DeviceKey, id: CallId) {
        self.agreed.retain(|&(_, known)| known != id);
        self.agreed.insert((from, id));
        self.open.retain(|&(_, known)| known != id);
        self.open.insert((from, id));
        self.recorded.remove(&id);
    }

    fn drain(&mut self) {
        while let Some(output) = self.board.poll_output() {
            match output {
                Output::Incoming { to, call, caller, device, .. } => {
                    assert!(owner(to) != caller && owner(device) == caller);
                    self.open.insert((to, call));
                }
                Output::Ringing { to, call, .. } => assert!(self.open.contains(&(to, call))),
                Output::Connected { to, call, device, streams, .. } => {
                    assert!(self.agreed.contains(&(to, call)) && self.agreed.contains(&(device, call)));
                    let numbers: BTreeSet<_> = streams.iter().map(|published| published.stream).collect();
                    assert_eq!(numbers.len(), 2, "one stream of each side, numbered apart");
                }
                Output::Data { to, from, call, .. } => {
                    assert!(owner(to) != owner(from) && self.open.contains(&(to, call)));
                }
                Output::Peer { to, about, call, .. } => {
                    assert!(self.agreed.contains(&(to, call)) && self.agreed.contains(&(about, call)));
                }
                Output::Ended { to, call, reason, merged_into } => {
                    assert!(self.open.remove(&(to, call)), "an end is told once");
                    assert_eq!(reason == EndReason::Merged, merged_into.is_some());
                    assert!(!matches!(reason, EndReason::Unspecified | EndReason::RelayLost));
                }
                Output::Routes { devices: [one, two] } => assert_ne!(one, two),
                Output::Engaged { person, engaged } => drop(self.engaged.insert(person, engaged)),
                Output::Accepted(kept) => assert!(!self.recorded.contains(&kept.call) && kept.began <= kept.accepted),
                Output::Record(record) => {
                    assert!(self.recorded.insert(record.call), "one entry in the history a call");
                    assert!(record.began <= record.ended && record.caller != record.callee);
                }
            }
        }
        self.check();
    }

    fn check(&self) {
        for (person, &engaged) in &self.engaged {
            assert_eq!(self.board.is_engaged(*person), engaged, "{person:?}");
        }
        let engaged = (0..3).filter(|&n| self.board.is_engaged(PersonId(n))).count();
        assert_eq!(engaged, 2 * self.board.len(), "two people a call, and one call a person");
        assert_eq!(self.board.poll_timeout().is_none(), self.board.is_empty());
        for one in (0..DEVICES).map(device) {
            let Some(live) = self.board.live(one) else { continue };
            let back = self.board.live(live.peer).expect("live for both or for nobody");
            assert_eq!((back.call, back.peer), (live.call, one));
            assert!(self.agreed.contains(&(one, live.call)), "media without having agreed");
            assert!(live.publishes.iter().all(|stream| !back.publishes.contains(stream)));
        }
    }
}
