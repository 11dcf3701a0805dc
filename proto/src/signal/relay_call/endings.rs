//! How a call ends, and who is told what of it.

use super::{Call, Output, PersonId, Record, Refusal, State, Switchboard};
use crate::{
    ids::{CallId, DeviceKey},
    time::Timestamp,
    wire::control::EndReason,
};

impl Switchboard {
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
            self.leave(from, id, [EndReason::HungUp, EndReason::PeerHungUp], now);
        } else {
            return Err(Refusal::NoSuchCall);
        }
        Ok(())
    }

    /// A device is no longer its person's: its part in any call ends at once.
    pub fn revoke(&mut self, device: DeviceKey, now: Timestamp) {
        self.online.remove(&device);
        // Also of one that has lost its connection: it will not come back.
        let mut calls = self.calls.iter_mut();
        let takes_part = |call: &mut Call| call.party_mut(device).is_some() || call.rung().contains(&device);
        let Some((&id, call)) = calls.find_map(|(id, call)| takes_part(call).then_some((id, call))) else { return };
        if call.party_mut(device).is_some() {
            self.leave(device, id, [EndReason::Revoked, EndReason::PeerRevoked], now);
        } else if let State::Ringing { rung, .. } = &mut call.state
            && let Some(place) = rung.iter().position(|&ringing| ringing == device)
        {
            rung.remove(place);
            self.tell_end(device, id, EndReason::Revoked);
            self.tell_ringing(id);
        }
    }

    /// The relay is going down: every call ends.
    pub fn drain(&mut self, now: Timestamp) {
        for id in self.calls.keys().copied().collect::<Vec<_>>() {
            self.finish(id, now, |_| EndReason::RelayDraining);
        }
    }

    /// Ends the call that `device` had before it lost its connection and its memory.
    pub(super) fn forget_lost(&mut self, device: DeviceKey, person: PersonId, now: Timestamp) {
        let Some(&id) = self.engaged.get(&person) else { return };
        let Some(call) = self.calls.get_mut(&id) else { return };
        if call.party_mut(device).is_some_and(|party| party.lost) {
            self.finish(id, now, |live| if live { EndReason::PeerLost } else { EndReason::CallerLost });
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

    /// Ends a call through the caller's or the answering device: for one reason there, for the other elsewhere.
    fn leave(&mut self, from: DeviceKey, id: CallId, [here, elsewhere]: [EndReason; 2], now: Timestamp) {
        let by_caller = self.calls.get(&id).is_some_and(|call| call.caller.device == from);
        let as_caller_sees = if by_caller { here } else { elsewhere };
        let Some(call) = self.remove(id, as_caller_sees, now) else { return };
        self.tell_end(from, id, here);
        for &ringing in call.rung() {
            self.tell_end(ringing, id, elsewhere);
        }
        if let Some(peer) = call.peer_of(from).map(|peer| peer.device) {
            self.tell_end(peer, id, elsewhere);
            self.output.push_back(Output::Routes { devices: [from, peer] });
        }
    }

    /// Ends a call for the same reason for everybody; the reason may depend on whether it was live.
    pub(super) fn finish(&mut self, id: CallId, now: Timestamp, reason: impl Fn(bool) -> EndReason) {
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
}
