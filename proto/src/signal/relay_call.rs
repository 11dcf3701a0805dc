//! The relay's side of calls: who rings whom, who may send media to whom, and how every call ends.
//!
//! One [`Switchboard`] holds all calls of a relay. It is fed with what devices did and when, and drained with
//! [`Switchboard::poll_output`]; [`Switchboard::poll_timeout`] says when it wants to be called next and why.
//!
//! ```text
//!            accept                    end, or 30 s of silence
//! ringing ------------> live --------------------------------------> gone
//!    | cancel, decline, 45 s, caller lost 5 s, merged, draining        ^
//!    +-----------------------------------------------------------------+
//! ```
//!
//! A person is in at most one call, ringing or live, so that a device never is in two. Somebody who is engaged is busy
//! for everybody else, with one exception: two people who ring each other get one call (see [`Switchboard::call`]).
//!
//! A device whose connection was lost keeps its place in its call until the grace is over, but gets it back only by
//! [`Switchboard::resume`]: a program that was started again connects as the same device and knows nothing of the call.
//! If such a device calls somebody instead, its old call ends at once.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use crate::{
    ids::{CallId, DeviceKey, StreamId},
    time::Timestamp,
    wire::control::EndReason,
};

mod types;

pub use types::{Live, Offer, Opening, Output, PersonId, Published, Reason, Record, Refusal};

/// How long a call rings. The issue's figure; a telephone's is about the same.
pub const RING_TIME: Duration = Duration::from_secs(45);

/// How long a live device may be silent before the other is told. Clients probe the clock each second.
pub const SILENCE_TIME: Duration = Duration::from_secs(2);

/// How long a live call waits for a silent device to come back: a train tunnel, a laptop that changes networks.
pub const LIVE_GRACE: Duration = Duration::from_secs(30);

/// How long it goes on ringing for a caller of whom nothing is heard: long enough for a change of network.
pub const CALLER_GRACE: Duration = Duration::from_secs(5);

/// All calls of a relay.
#[derive(Clone, Debug, Default)]
pub struct Switchboard {
    calls: BTreeMap<CallId, Call>,
    engaged: BTreeMap<PersonId, CallId>,
    online: BTreeMap<DeviceKey, PersonId>,
    output: VecDeque<Output>,
    next_stream: u32,
}

#[derive(Clone, Debug)]
struct Call {
    caller: Party,
    callee: PersonId,
    opening: Opening,
    began: Timestamp,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    /// Every device that was rung and has not been told an end.
    Ringing {
        rung: Vec<DeviceKey>,
    },
    Live {
        answered: Party,
        accepted: Timestamp,
        streams: Vec<Published>,
        payload: Vec<u8>,
    },
}

/// A device's place in a call.
#[derive(Clone, Copy, Debug)]
struct Party {
    device: DeviceKey,
    person: PersonId,
    heard: Timestamp,
    /// Its connection was lost and it has not resumed.
    lost: bool,
    /// The other side was told that it is silent.
    silent: bool,
}

impl Party {
    const fn new(device: DeviceKey, person: PersonId, now: Timestamp) -> Self {
        Self { device, person, heard: now, lost: false, silent: false }
    }
}

impl Call {
    fn answered(&self) -> Option<&Party> {
        match &self.state {
            State::Live { answered, .. } => Some(answered),
            State::Ringing { .. } => None,
        }
    }

    fn rung(&self) -> &[DeviceKey] {
        match &self.state {
            State::Ringing { rung } => rung,
            State::Live { .. } => &[],
        }
    }

    fn party_mut(&mut self, device: DeviceKey) -> Option<&mut Party> {
        if self.caller.device == device {
            return Some(&mut self.caller);
        }
        match &mut self.state {
            State::Live { answered, .. } if answered.device == device => Some(answered),
            _ => None,
        }
    }

    /// The other device of a live call.
    fn peer_of(&self, device: DeviceKey) -> Option<&Party> {
        let answered = self.answered()?;
        if answered.device == device {
            Some(&self.caller)
        } else if self.caller.device == device {
            Some(answered)
        } else {
            None
        }
    }

    fn deadline(&self) -> (Timestamp, Reason) {
        let mut first = match &self.state {
            State::Ringing { .. } => (self.began + RING_TIME, Reason::RingEnds),
            State::Live { answered, .. } => live_deadline(answered),
        };
        first = first.min(match &self.state {
            State::Ringing { .. } => (self.caller.heard + CALLER_GRACE, Reason::CallerGone),
            State::Live { .. } => live_deadline(&self.caller),
        });
        first
    }
}

fn live_deadline(party: &Party) -> (Timestamp, Reason) {
    if party.silent {
        (party.heard + LIVE_GRACE, Reason::PeerGone)
    } else {
        (party.heard + SILENCE_TIME, Reason::Silence)
    }
}

impl Switchboard {
    /// A device is connected and known. If it was connected already, that connection has been replaced.
    pub fn attach(&mut self, device: DeviceKey, person: PersonId, now: Timestamp) {
        if self.online.contains_key(&device) {
            self.detach(device, now);
        }
        self.online.insert(device, person);
        let Some(&id) = self.engaged.get(&person) else { return };
        let Some(call) = self.calls.get_mut(&id) else { return };
        if call.callee != person {
            return;
        }
        if let State::Ringing { rung } = &mut call.state {
            if !rung.contains(&device) {
                rung.push(device);
            }
            let incoming = Output::Incoming {
                to: device,
                call: id,
                caller: call.caller.person,
                device: call.caller.device,
                opening: call.opening.clone(),
            };
            self.output.push_back(incoming);
            self.tell_ringing(id);
        }
    }

    /// A device's connection is gone.
    pub fn detach(&mut self, device: DeviceKey, now: Timestamp) {
        let Some(person) = self.online.remove(&device) else { return };
        let Some(id) = self.engaged.get(&person).copied() else { return };
        let Some(call) = self.calls.get_mut(&id) else { return };
        let peer = call.peer_of(device).map(|peer| peer.device);
        let Some(party) = call.party_mut(device) else {
            // A ringing device that is gone may come back; the caller sees one less.
            if call.rung().contains(&device) {
                self.tell_ringing(id);
            }
            return;
        };
        party.lost = true;
        party.heard = party.heard.max(now);
        let told = std::mem::replace(&mut party.silent, peer.is_some());
        if let Some(peer) = peer {
            if !told {
                self.output.push_back(Output::Peer { to: peer, about: device, call: id, silent: true });
            }
            self.output.push_back(Output::Routes { devices: [device, peer] });
        }
    }

    /// A device is no longer its person's: its part in any call ends at once.
    pub fn revoke(&mut self, device: DeviceKey, now: Timestamp) {
        let Some(person) = self.online.remove(&device) else { return };
        let Some(id) = self.engaged.get(&person).copied() else { return };
        let Some(call) = self.calls.get_mut(&id) else { return };
        if call.party_mut(device).is_some() {
            self.finish(id, now, |live| if live { EndReason::PeerLost } else { EndReason::CallerLost });
        } else if let State::Ringing { rung } = &mut call.state
            && let Some(place) = rung.iter().position(|&ringing| ringing == device)
        {
            rung.remove(place);
            self.tell_end(device, id, EndReason::Cancelled);
            self.tell_ringing(id);
        }
    }

    /// Somebody calls somebody. Whatever comes of it is said to the caller: that it rings, or how it has ended.
    ///
    /// If the callee is ringing the caller at this moment, exactly one of the two calls survives: the one with the
    /// lower id, unless the callee's device has lost its connection, when the call that rings already is the one. The
    /// device whose call was given up learns the other's id and is expected to accept it.
    ///
    /// # Errors
    ///
    /// [`Refusal::DuplicateCall`]; [`Refusal::NoSuchCall`] if the device is not attached.
    pub fn call(
        &mut self,
        from: DeviceKey,
        id: CallId,
        callee: Option<PersonId>,
        opening: Opening,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let person = *self.online.get(&from).ok_or(Refusal::NoSuchCall)?;
        if self.calls.contains_key(&id) {
            return Err(Refusal::DuplicateCall);
        }
        self.forget_lost(from, person, now);
        let Some(callee) = callee else {
            self.tell_end(from, id, EndReason::UnknownPerson);
            return Ok(());
        };
        if callee == person {
            self.tell_end(from, id, EndReason::Yourself);
            return Ok(());
        }
        let record = |reason| {
            Output::Record(Record {
                call: id,
                caller: person,
                callee,
                began: now,
                accepted: None,
                ended: now,
                reason,
            })
        };
        match self.engaged.get(&person).copied() {
            Some(other) if self.rings_between(other, callee, person) => {
                self.glare(from, person, id, other, opening, now);
                return Ok(());
            }
            Some(_) => {
                self.tell_end(from, id, EndReason::AlreadyInCall);
                return Ok(());
            }
            None => {}
        }
        if self.engaged.contains_key(&callee) {
            self.tell_end(from, id, EndReason::Busy);
            self.output.push_back(record(EndReason::Busy));
        } else if self.devices_of(callee).is_empty() {
            self.tell_end(from, id, EndReason::Offline);
            self.output.push_back(record(EndReason::Offline));
        } else {
            self.engage(person, id);
            self.engage(callee, id);
            self.ring(Party::new(from, person, now), id, callee, opening, now);
        }
        Ok(())
    }

    /// A ringing device takes the call.
    ///
    /// # Errors
    ///
    /// [`Refusal::AnsweredElsewhere`] if another device was faster, [`Refusal::NoSuchCall`] if it does not ring here.
    pub fn accept(&mut self, from: DeviceKey, id: CallId, opening: Opening, now: Timestamp) -> Result<(), Refusal> {
        let person = *self.online.get(&from).ok_or(Refusal::NoSuchCall)?;
        let call = self.calls.get_mut(&id).ok_or(Refusal::NoSuchCall)?;
        let rung = match &mut call.state {
            State::Live { answered, .. } if answered.device == from => return self.resume(from, id, now),
            State::Live { .. } if call.callee == person => return Err(Refusal::AnsweredElsewhere),
            State::Live { .. } => return Err(Refusal::NoSuchCall),
            State::Ringing { rung } if rung.contains(&from) => std::mem::take(rung),
            State::Ringing { .. } => return Err(Refusal::NoSuchCall),
        };
        let mut streams = Vec::new();
        for (device, offers) in [(call.caller.device, &call.opening.streams), (from, &opening.streams)] {
            for &offer in offers {
                streams.push(Published { stream: StreamId(self.next_stream), device, offer });
                self.next_stream = self.next_stream.wrapping_add(1);
            }
        }
        call.state =
            State::Live { answered: Party::new(from, person, now), accepted: now, streams, payload: opening.payload };
        let caller = call.caller.device;
        let lost = call.caller.lost;
        call.caller.silent = lost;
        self.tell_connected(caller, id);
        self.tell_connected(from, id);
        if lost {
            self.output.push_back(Output::Peer { to: from, about: caller, call: id, silent: true });
        }
        for other in rung.into_iter().filter(|&other| other != from) {
            self.tell_end(other, id, EndReason::AnsweredElsewhere);
        }
        self.output.push_back(Output::Routes { devices: [caller, from] });
        Ok(())
    }

    /// A device wants no more of a call: cancels, declines or hangs up.
    ///
    /// # Errors
    ///
    /// [`Refusal::NoSuchCall`].
    pub fn end(&mut self, from: DeviceKey, id: CallId, now: Timestamp) -> Result<(), Refusal> {
        let call = self.calls.get(&id).ok_or(Refusal::NoSuchCall)?;
        if call.rung().contains(&from) {
            self.decline(from, id, now);
        } else if call.caller.device == from && call.answered().is_none() {
            self.finish(id, now, |_| EndReason::Cancelled);
        } else if call.peer_of(from).is_some() {
            self.hang_up(from, id, now);
        } else {
            return Err(Refusal::NoSuchCall);
        }
        Ok(())
    }

    /// Opaque bytes for one device of a call, or for all on its other side.
    ///
    /// # Errors
    ///
    /// [`Refusal::NoSuchCall`] unless both devices are in that call, on different sides.
    pub fn data(
        &mut self,
        from: DeviceKey,
        id: CallId,
        to: Option<DeviceKey>,
        payload: Vec<u8>,
    ) -> Result<(), Refusal> {
        let call = self.calls.get(&id).ok_or(Refusal::NoSuchCall)?;
        let others = match call.peer_of(from) {
            Some(peer) => vec![peer.device],
            None if call.answered().is_some() => return Err(Refusal::NoSuchCall),
            None if call.caller.device == from => call.rung().to_vec(),
            None if call.rung().contains(&from) => vec![call.caller.device],
            None => return Err(Refusal::NoSuchCall),
        };
        let chosen: Vec<_> = others.into_iter().filter(|&other| to.is_none_or(|to| to == other)).collect();
        if chosen.is_empty() && to.is_some() {
            return Err(Refusal::NoSuchCall);
        }
        for to in chosen {
            self.output.push_back(Output::Data { to, from, call: id, payload: payload.clone() });
        }
        Ok(())
    }

    /// A device is still in a call after a new connection: it gets its place back.
    ///
    /// # Errors
    ///
    /// [`Refusal::NoSuchCall`].
    pub fn resume(&mut self, from: DeviceKey, id: CallId, now: Timestamp) -> Result<(), Refusal> {
        if !self.online.contains_key(&from) {
            return Err(Refusal::NoSuchCall);
        }
        let call = self.calls.get_mut(&id).ok_or(Refusal::NoSuchCall)?;
        if call.rung().contains(&from) {
            let incoming = Output::Incoming {
                to: from,
                call: id,
                caller: call.caller.person,
                device: call.caller.device,
                opening: call.opening.clone(),
            };
            self.output.push_back(incoming);
            return Ok(());
        }
        let party = call.party_mut(from).ok_or(Refusal::NoSuchCall)?;
        party.lost = false;
        party.heard = now;
        let was_silent = std::mem::replace(&mut party.silent, false);
        match call.peer_of(from).copied() {
            None => self.tell_ringing(id),
            Some(peer) => {
                self.tell_connected(from, id);
                if peer.silent {
                    self.output.push_back(Output::Peer { to: from, about: peer.device, call: id, silent: true });
                }
                if was_silent {
                    self.output.push_back(Output::Peer { to: peer.device, about: from, call: id, silent: false });
                }
                self.output.push_back(Output::Routes { devices: [from, peer.device] });
            }
        }
        Ok(())
    }

    /// Something came from a device, lately or just now. Only matters for devices in a call.
    pub fn heard(&mut self, device: DeviceKey, at: Timestamp) {
        let Some(id) = self.online.get(&device).and_then(|person| self.engaged.get(person)).copied() else { return };
        let Some(call) = self.calls.get_mut(&id) else { return };
        let peer = call.peer_of(device).map(|peer| peer.device);
        let Some(party) = call.party_mut(device) else { return };
        if party.lost || at <= party.heard {
            return;
        }
        party.heard = at;
        let was_silent = std::mem::replace(&mut party.silent, false);
        if let (true, Some(peer)) = (was_silent, peer) {
            self.output.push_back(Output::Peer { to: peer, about: device, call: id, silent: false });
        }
    }

    /// The relay is going down: every call ends.
    pub fn drain(&mut self, now: Timestamp) {
        for id in self.calls.keys().copied().collect::<Vec<_>>() {
            self.finish(id, now, |_| EndReason::RelayDraining);
        }
    }

    /// Does what is due. Feed [`Self::heard`] first.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        while let Some((id, reason)) = self.due(now) {
            match reason {
                Reason::RingEnds => self.finish(id, now, |_| EndReason::TimedOut),
                Reason::CallerGone => self.finish(id, now, |_| EndReason::CallerLost),
                Reason::PeerGone => self.finish(id, now, |_| EndReason::PeerLost),
                Reason::Silence => self.mark_silent(id, now),
            }
        }
    }

    /// When [`Self::handle_timeout`] wants to be called, and what for.
    pub fn poll_timeout(&self) -> Option<(Timestamp, Reason)> {
        self.calls.values().map(Call::deadline).min()
    }

    /// The next thing to do, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.output.pop_front()
    }

    /// The device's live call, if both its devices are there.
    pub fn live(&self, device: DeviceKey) -> Option<Live> {
        let id = *self.engaged.get(self.online.get(&device)?)?;
        let call = self.calls.get(&id)?;
        let State::Live { answered, streams, .. } = &call.state else { return None };
        let peer = call.peer_of(device)?.device;
        if call.caller.lost || answered.lost {
            return None;
        }
        let publishes = streams.iter().filter(|published| published.device == device).map(|s| s.stream).collect();
        Some(Live { call: id, peer, publishes })
    }

    /// Devices in calls whose silence matters now: feed [`Self::heard`] for these.
    pub fn watched(&self) -> impl Iterator<Item = DeviceKey> + '_ {
        self.calls.values().flat_map(|call| {
            [Some(&call.caller), call.answered()].into_iter().flatten().filter(|party| !party.lost).map(|p| p.device)
        })
    }

    /// Whether a person is in a call, ringing or live.
    pub fn is_engaged(&self, person: PersonId) -> bool {
        self.engaged.contains_key(&person)
    }

    /// Calls, ringing and live.
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// There is no call.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    fn devices_of(&self, person: PersonId) -> Vec<DeviceKey> {
        self.online.iter().filter(|&(_, owner)| *owner == person).map(|(&device, _)| device).collect()
    }

    /// Whether `id` is a call from `caller` that rings at `callee`.
    fn rings_between(&self, id: CallId, caller: PersonId, callee: PersonId) -> bool {
        let matches =
            |call: &Call| call.answered().is_none() && call.caller.person == caller && call.callee == callee;
        self.calls.get(&id).is_some_and(matches)
    }

    fn ring(&mut self, caller: Party, id: CallId, callee: PersonId, opening: Opening, now: Timestamp) {
        let rung = self.devices_of(callee);
        for &to in &rung {
            self.output.push_back(Output::Incoming {
                to,
                call: id,
                caller: caller.person,
                device: caller.device,
                opening: opening.clone(),
            });
        }
        self.calls.insert(id, Call { caller, callee, opening, began: now, state: State::Ringing { rung } });
        self.tell_ringing(id);
    }

    /// `from` calls a person who rings `from`'s person with `other` at this moment.
    fn glare(
        &mut self,
        from: DeviceKey,
        person: PersonId,
        id: CallId,
        other: CallId,
        opening: Opening,
        now: Timestamp,
    ) {
        let Some(rival) = self.calls.get(&other) else { return };
        if other < id || rival.caller.lost {
            // It rings here already: every device that is online was rung when it connected.
            self.output.push_back(merged(from, id, other));
            return;
        }
        let (device, callee) = (rival.caller.device, rival.caller.person);
        let rung = rival.rung().to_vec();
        self.calls.remove(&other);
        self.engaged.insert(person, id);
        self.engaged.insert(callee, id);
        self.ring(Party::new(from, person, now), id, callee, opening, now);
        self.output.push_back(merged(device, other, id));
        for ringing in rung {
            self.tell_end(ringing, other, EndReason::Cancelled);
        }
    }

    /// Ends the call that `device` had before it lost its connection and its memory.
    fn forget_lost(&mut self, device: DeviceKey, person: PersonId, now: Timestamp) {
        let Some(&id) = self.engaged.get(&person) else { return };
        let Some(call) = self.calls.get_mut(&id) else { return };
        if call.party_mut(device).is_some_and(|party| party.lost) {
            self.finish(id, now, |live| if live { EndReason::PeerLost } else { EndReason::CallerLost });
        }
    }

    fn due(&self, now: Timestamp) -> Option<(CallId, Reason)> {
        let (id, (at, reason)) =
            self.calls.iter().map(|(&id, call)| (id, call.deadline())).min_by_key(|&(id, (at, _))| (at, id))?;
        (at <= now).then_some((id, reason))
    }

    fn mark_silent(&mut self, id: CallId, now: Timestamp) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let State::Live { answered, .. } = &mut call.state else { return };
        let (one, two) = (call.caller.device, answered.device);
        for (party, peer) in [(&mut call.caller, two), (answered, one)] {
            if !party.silent && party.heard + SILENCE_TIME <= now {
                party.silent = true;
                self.output.push_back(Output::Peer { to: peer, about: party.device, call: id, silent: true });
            }
        }
    }

    fn decline(&mut self, from: DeviceKey, id: CallId, now: Timestamp) {
        let Some(call) = self.remove(id, EndReason::Declined, now) else { return };
        self.tell_end(call.caller.device, id, EndReason::Declined);
        for &ringing in call.rung() {
            let reason = if ringing == from { EndReason::Declined } else { EndReason::DeclinedElsewhere };
            self.tell_end(ringing, id, reason);
        }
    }

    fn hang_up(&mut self, from: DeviceKey, id: CallId, now: Timestamp) {
        let by_caller = self.calls.get(&id).is_some_and(|call| call.caller.device == from);
        let as_caller_sees = if by_caller { EndReason::HungUp } else { EndReason::PeerHungUp };
        let Some(call) = self.remove(id, as_caller_sees, now) else { return };
        let Some(peer) = call.peer_of(from).map(|peer| peer.device) else { return };
        self.tell_end(from, id, EndReason::HungUp);
        self.tell_end(peer, id, EndReason::PeerHungUp);
        self.output.push_back(Output::Routes { devices: [from, peer] });
    }

    /// Ends a call for the same reason for everybody; the reason may depend on whether it was live.
    fn finish(&mut self, id: CallId, now: Timestamp, reason: impl Fn(bool) -> EndReason) {
        let Some(live) = self.calls.get(&id).map(|call| call.answered().is_some()) else { return };
        let reason = reason(live);
        let Some(call) = self.remove(id, reason, now) else { return };
        self.tell_end(call.caller.device, id, reason);
        for &ringing in call.rung() {
            self.tell_end(ringing, id, reason);
        }
        if let Some(answered) = call.answered() {
            self.tell_end(answered.device, id, reason);
            self.output.push_back(Output::Routes { devices: [call.caller.device, answered.device] });
        }
    }

    fn remove(&mut self, id: CallId, reason: EndReason, now: Timestamp) -> Option<Call> {
        let call = self.calls.remove(&id)?;
        let accepted = match call.state {
            State::Live { accepted, .. } => Some(accepted),
            State::Ringing { .. } => None,
        };
        let (caller, callee) = (call.caller.person, call.callee);
        for person in [caller, callee] {
            self.engaged.remove(&person);
            self.output.push_back(Output::Engaged { person, engaged: false });
        }
        let record = Record { call: id, caller, callee, began: call.began, accepted, ended: now, reason };
        self.output.push_back(Output::Record(record));
        Some(call)
    }

    fn engage(&mut self, person: PersonId, id: CallId) {
        self.engaged.insert(person, id);
        self.output.push_back(Output::Engaged { person, engaged: true });
    }

    fn tell_end(&mut self, to: DeviceKey, call: CallId, reason: EndReason) {
        self.output.push_back(Output::Ended { to, call, reason, merged_into: None });
    }

    fn tell_ringing(&mut self, id: CallId) {
        let Some(call) = self.calls.get(&id) else { return };
        let devices = call.rung().iter().filter(|&device| self.online.contains_key(device)).count() as u32;
        self.output.push_back(Output::Ringing { to: call.caller.device, call: id, devices });
    }

    fn tell_connected(&mut self, to: DeviceKey, id: CallId) {
        let Some(call) = self.calls.get(&id) else { return };
        let State::Live { streams, payload, .. } = &call.state else { return };
        let Some(peer) = call.peer_of(to) else { return };
        let payload = if call.caller.device == to { payload.clone() } else { Vec::new() };
        let (peer, device, streams) = (peer.person, peer.device, streams.clone());
        self.output.push_back(Output::Connected { to, call: id, peer, device, streams, payload });
    }
}

fn merged(to: DeviceKey, call: CallId, survivor: CallId) -> Output {
    Output::Ended { to, call, reason: EndReason::Merged, merged_into: Some(survivor) }
}

#[cfg(test)]
mod tests;
