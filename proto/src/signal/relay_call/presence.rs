//! Devices that come, go, fall silent and are heard again, and what that means for their calls.

use super::{Output, PersonId, Refusal, SILENCE_TIME, State, Switchboard};
use crate::{
    ids::{CallId, DeviceKey},
    time::Timestamp,
};

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
        if let State::Ringing { rung, .. } = &mut call.state {
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

    pub(super) fn mark_silent(&mut self, id: CallId, now: Timestamp) {
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
}
