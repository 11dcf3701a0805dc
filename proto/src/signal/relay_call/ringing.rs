//! How a call begins: who is rung, who is busy, two calls that meet, and the one device that takes it.

use super::{
    Accepted, Allowance, Call, Opening, Output, Party, PersonId, Published, Record, Refusal, State, Switchboard,
};
use crate::{
    ids::{CallId, DeviceKey, StreamId},
    time::Timestamp,
    wire::control::EndReason,
};

impl Switchboard {
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
            self.tell_missed(from, person, id, callee, &opening);
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
            State::Ringing { rung, .. } if rung.contains(&from) => std::mem::take(rung),
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
        let (caller, callee) = (call.caller.person, call.callee);
        let kept = Accepted { call: id, caller, callee, began: call.began, accepted: now };
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
        self.output.push_back(Output::Accepted(kept));
        Ok(())
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
        let state = State::Ringing { rung, from_caller: Allowance::FULL, from_callee: Allowance::FULL };
        self.calls.insert(id, Call { caller, callee, opening, began: now, state });
        self.tell_ringing(id);
    }

    /// The callee's devices hear of a call that did not ring as of one that ended at once: their person missed it.
    fn tell_missed(&mut self, from: DeviceKey, caller: PersonId, id: CallId, callee: PersonId, opening: &Opening) {
        for to in self.devices_of(callee) {
            let opening = opening.clone();
            self.output.push_back(Output::Incoming { to, call: id, caller, device: from, opening });
            self.tell_end(to, id, EndReason::Cancelled);
        }
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
        // Nothing is missed: the person it rang for talks to its caller.
        for ringing in rung {
            self.tell_end(ringing, other, EndReason::AnsweredElsewhere);
        }
    }

    fn engage(&mut self, person: PersonId, id: CallId) {
        self.engaged.insert(person, id);
        self.output.push_back(Output::Engaged { person, engaged: true });
    }
}

fn merged(to: DeviceKey, call: CallId, survivor: CallId) -> Output {
    Output::Ended { to, call, reason: EndReason::Merged, merged_into: Some(survivor) }
}
