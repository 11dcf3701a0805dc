//! Everything that clients have in common, behind one lock that is held for microseconds and never across an await:
//! who is connected, their calls, whom to tell what. Media does not pass here.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering::Relaxed},
};

use tracing::info;
use visavis_proto::{
    ids::{CallId, DeviceKey, StreamId},
    signal::relay_call::{Live, Offer, Opening, Output, PersonId, Published, Switchboard},
    time::Timestamp,
    wire::control::{
        CallData, CallState, CloseCode, Connected, EndReason, Incoming, MAX_PAGE, MAX_VISITS, PeerPresence, People,
        RelayMessage, Stream, StreamOffer, relay::Body,
    },
};

use super::{
    session::{Routes, Session},
    stats::Stats,
};
use crate::{
    core::{directory::Directory, limits::Attempts},
    db::Note,
};

/// The relay's shared state.
#[derive(Default)]
pub(super) struct Hub {
    pub directory: Directory,
    pub switchboard: Switchboard,
    /// Calls that people try.
    pub attempts: Attempts,
    pub draining: bool,
    sessions: BTreeMap<DeviceKey, Arc<Session>>,
    /// Connections that only look something up, by number.
    visitors: BTreeMap<u64, Arc<Session>>,
    /// Connections that asked for people and are told of changes, by number.
    watchers: BTreeMap<u64, Arc<Session>>,
    answering: Option<Answering>,
}

/// A request that is being handled: the first news of that call for that device is its answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answering {
    pub device: DeviceKey,
    pub call: CallId,
    pub request: u32,
}

impl Hub {
    /// A connection has become a person's device. Replaces the device's earlier connection.
    pub fn join(&mut self, session: &Arc<Session>, welcome: RelayMessage, stats: &Stats, now: Timestamp) {
        if let Some(old) = self.sessions.insert(session.device, session.clone()) {
            self.forget(&old, now);
            old.close(CloseCode::Replaced);
        }
        session.tell(welcome, stats);
        self.directory.arrived(session.person);
        self.switchboard.attach(session.device, session.person, now);
    }

    /// A connection of a person's device only looks something up. `false` if the device has too many of them.
    pub fn visit(&mut self, session: &Arc<Session>, welcome: RelayMessage, stats: &Stats) -> bool {
        let visits = self.visitors.values().filter(|other| other.device == session.device).count();
        if visits >= MAX_VISITS {
            return false;
        }
        self.visitors.insert(session.id, session.clone());
        session.tell(welcome, stats);
        true
    }

    /// A connection is gone; the person, if it was their last.
    pub fn leave(&mut self, session: &Session, now: Timestamp) -> Option<PersonId> {
        if self.visitors.remove(&session.id).is_some() {
            self.watchers.remove(&session.id);
            return None;
        }
        let is_current = self.sessions.get(&session.device).is_some_and(|current| current.id == session.id);
        if !is_current {
            return None;
        }
        self.sessions.remove(&session.device);
        self.forget(session, now)
    }

    fn forget(&mut self, session: &Session, now: Timestamp) -> Option<PersonId> {
        self.watchers.remove(&session.id);
        session.set_routes(Routes::default());
        self.switchboard.detach(session.device, now);
        self.directory.left(session.person, now.as_millis()).then_some(session.person)
    }

    /// Devices that are nobody's any more, or somebody's who is locked out.
    pub fn revoke(&mut self, devices: &[DeviceKey], stats: &Stats, notes: &mut Vec<Note>, now: Timestamp) {
        for &device in devices {
            self.switchboard.revoke(device, now);
        }
        // How their calls ended is queued before the good-byes.
        self.flush(stats, notes);
        for &device in devices {
            let locked_out = self.directory.is_locked_out(device);
            let visitors = self.visitors.values().filter(|visitor| visitor.device == device);
            for session in self.sessions.get(&device).into_iter().chain(visitors) {
                session.close(if locked_out { CloseCode::Disabled } else { CloseCode::Revoked });
            }
        }
    }

    pub fn is_online(&self, device: DeviceKey) -> bool {
        self.sessions.contains_key(&device)
    }

    /// Says good-bye to everybody.
    pub fn close_all(&mut self, reason: CloseCode) {
        for session in self.sessions.values().chain(self.visitors.values()) {
            session.close(reason);
        }
    }

    /// Everybody's presence, and from now on every change.
    pub fn watch(&mut self, session: &Arc<Session>, request: u32, stats: &Stats) {
        let everybody = self.directory.everybody(session.person);
        let mut pages = everybody.chunks(MAX_PAGE).peekable();
        if pages.peek().is_none() {
            session.tell(RelayMessage::answer(request, Body::People(People::default())), stats);
        }
        while let Some(page) = pages.next() {
            let people = People { people: page.to_vec(), gone: Vec::new(), more: pages.peek().is_some() };
            session.tell(RelayMessage::answer(request, Body::People(people)), stats);
        }
        self.watchers.insert(session.id, session.clone());
    }

    /// Does something with a call on behalf of a request.
    pub fn answer<T>(
        &mut self,
        answering: Answering,
        stats: &Stats,
        notes: &mut Vec<Note>,
        act: impl FnOnce(&mut Self) -> T,
    ) -> T {
        self.answering = Some(answering);
        let done = act(self);
        self.flush(stats, notes);
        self.answering = None;
        done
    }

    /// Feeds the calls with what was heard of the devices in them.
    pub fn listen(&mut self) {
        let watched: Vec<_> = self.switchboard.watched().collect();
        for device in watched {
            if let Some(session) = self.sessions.get(&device) {
                self.switchboard.heard(device, session.last_heard());
            }
        }
    }

    /// Passes on everything that has been decided.
    pub fn flush(&mut self, stats: &Stats, notes: &mut Vec<Note>) {
        while let Some(output) = self.switchboard.poll_output() {
            self.carry_out(output, stats, notes);
        }
        let (changed, gone) = self.directory.take_changes();
        if changed.is_empty() && gone.is_empty() {
            return;
        }
        for session in self.watchers.values() {
            let others = changed.iter().filter(|(id, _)| *id != session.person).map(|(_, person)| person.clone());
            let others: Vec<_> = others.collect();
            for page in others.chunks(MAX_PAGE) {
                let people = People { people: page.to_vec(), ..People::default() };
                session.tell(RelayMessage::news(Body::People(people)), stats);
            }
            for page in gone.chunks(MAX_PAGE) {
                let people = People { gone: page.to_vec(), ..People::default() };
                session.tell(RelayMessage::news(Body::People(people)), stats);
            }
        }
    }

    fn carry_out(&mut self, output: Output, stats: &Stats, notes: &mut Vec<Note>) {
        match output {
            Output::Ringing { to, call, devices } => {
                let state = CallState { call: call.to_vec(), ringing_devices: devices, ..CallState::default() };
                self.tell(to, call, Body::CallState(state), stats);
            }
            Output::Incoming { to, call, caller, device, opening } => {
                info!(%call, %device, to = %to, "rings");
                let Some(caller) = self.directory.person(caller) else { return };
                let incoming = Incoming {
                    call: call.to_vec(),
                    caller: caller.name.clone(),
                    account_key: caller.account_key.to_vec(),
                    device: device.to_vec(),
                    streams: opening.streams.iter().map(wire_offer).collect(),
                    payload: opening.payload,
                };
                // News even where it answers a call: the call's own answer follows.
                self.tell_news(to, Body::Incoming(incoming), stats);
            }
            Output::Connected { to, call, peer, device, streams, payload } => {
                info!(%call, device = %to, "live");
                let Some(peer) = self.directory.person(peer) else { return };
                let connected = Connected {
                    call: call.to_vec(),
                    peer: peer.name.clone(),
                    account_key: peer.account_key.to_vec(),
                    device: device.to_vec(),
                    streams: streams.iter().map(wire_stream).collect(),
                    payload,
                };
                self.tell(to, call, Body::Connected(connected), stats);
            }
            Output::Data { to, from, call, payload } => {
                let data = CallData { call: call.to_vec(), device: from.to_vec(), payload };
                self.tell_news(to, Body::CallData(data), stats);
            }
            Output::Peer { to, about, call, silent } => {
                info!(%call, device = %about, silent, "presence in the call");
                if let Some(session) = self.sessions.get(&about) {
                    session.outlet.silent.store(silent, Relaxed);
                }
                self.tell_news(to, Body::PeerPresence(PeerPresence { call: call.to_vec(), silent }), stats);
            }
            Output::Ended { to, call, reason, merged_into } => {
                info!(%call, device = %to, ?reason, "ended");
                self.tell(to, call, ended(call, reason, merged_into), stats);
            }
            Output::Routes { devices } => devices.into_iter().for_each(|device| self.route(device)),
            Output::Engaged { person, engaged } => self.directory.set_in_call(person, engaged),
            Output::Accepted(accepted) => {
                self.attempts.give_back(accepted.caller);
                notes.push(Note::Accepted(accepted));
            }
            Output::Record(record) => notes.push(Note::Ended(record)),
        }
    }

    /// Gives a device the routes of its call, or none.
    fn route(&self, device: DeviceKey) {
        let Some(session) = self.sessions.get(&device) else { return };
        session.outlet.silent.store(false, Relaxed);
        let Some(live) = self.switchboard.live(device) else {
            session.set_routes(Routes::default());
            session.outlet.keep_only(&BTreeSet::new());
            return;
        };
        let subscriber = self.sessions.get(&live.peer).map(|peer| peer.outlet.clone());
        let coming: BTreeSet<StreamId> =
            self.switchboard.live(live.peer).map(|peer| streams_of(&peer)).unwrap_or_default();
        session.outlet.keep_only(&coming);
        session.set_routes(Routes { publishes: live.publishes, subscribers: subscriber.into_iter().collect() });
    }

    fn tell(&mut self, to: DeviceKey, call: CallId, body: Body, stats: &Stats) {
        let is_answer = |asked: &mut Answering| asked.device == to && asked.call == call;
        let request = self.answering.take_if(is_answer).map_or(0, |asked| asked.request);
        if let Some(session) = self.sessions.get(&to) {
            session.tell(RelayMessage::answer(request, body), stats);
        }
    }

    fn tell_news(&self, to: DeviceKey, body: Body, stats: &Stats) {
        if let Some(session) = self.sessions.get(&to) {
            session.tell(RelayMessage::news(body), stats);
        }
    }
}

/// The message that a call has ended.
pub(super) fn ended(call: CallId, reason: EndReason, merged_into: Option<CallId>) -> Body {
    Body::CallState(CallState {
        call: call.to_vec(),
        ringing_devices: 0,
        ended: reason.into(),
        merged_into: merged_into.map(CallId::to_vec).unwrap_or_default(),
    })
}

/// What a device brings into a call, if it keeps to the limits.
pub(super) fn opening(streams: &[StreamOffer], payload: Vec<u8>) -> Option<Opening> {
    use visavis_proto::wire::control::{MAX_PAYLOAD_BYTES, MAX_STREAMS, StreamKind};
    if streams.len() > MAX_STREAMS || payload.len() > MAX_PAYLOAD_BYTES {
        return None;
    }
    let mut offers: Vec<Offer> = Vec::with_capacity(streams.len());
    for stream in streams {
        let index = u8::try_from(stream.index).ok().filter(|index| *index < 16)?;
        if stream.kind() == StreamKind::Unspecified || offers.iter().any(|offer| offer.index == index) {
            return None;
        }
        offers.push(Offer { index, kind: stream.kind() });
    }
    Some(Opening { streams: offers, payload })
}

fn streams_of(live: &Live) -> BTreeSet<StreamId> {
    live.publishes.iter().map(|published| published.stream).collect()
}

fn wire_offer(offer: &Offer) -> StreamOffer {
    StreamOffer { index: offer.index.into(), kind: offer.kind.into() }
}

fn wire_stream(published: &Published) -> Stream {
    Stream {
        stream: published.stream.0,
        device: published.device.to_vec(),
        index: published.offer.index.into(),
        kind: published.offer.kind.into(),
    }
}
