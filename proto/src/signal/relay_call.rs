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
//!
//! | file | |
//! |---|---|
//! | `ringing` | how a call begins |
//! | `presence` | devices that come, go and fall silent |
//! | `endings` | how it ends, and who is told what |

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use crate::{
    ids::{CallId, DeviceKey},
    time::Timestamp,
    wire::control::{EndReason, MAX_PAYLOAD_BYTES},
};

mod endings;
mod presence;
mod ringing;
mod types;

pub use types::{Accepted, Live, Offer, Opening, Output, PersonId, Published, Reason, Record, Refusal};

/// How long a call rings. The issue's figure; a telephone's is about the same.
pub const RING_TIME: Duration = Duration::from_secs(45);

/// How long a live device may be silent before the other is told. Clients probe the clock each second.
pub const SILENCE_TIME: Duration = Duration::from_secs(2);

/// How long a live call waits for a silent device to come back: a train tunnel, a laptop that changes networks.
pub const LIVE_GRACE: Duration = Duration::from_secs(30);

/// How long it goes on ringing for a caller of whom nothing is heard: long enough for a change of network.
pub const CALLER_GRACE: Duration = Duration::from_secs(5);

/// Messages that either side may send to the other before the call is accepted, when nobody there has agreed to hear
/// anything: few against what waits for a device, and several for each of the eight that may ring.
pub const RINGING_MESSAGES: usize = 64;

/// Their bytes: the largest flight of a handshake for each of these devices.
pub const RINGING_BYTES: usize = 8 * MAX_PAYLOAD_BYTES;

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
        from_caller: Allowance,
        from_callee: Allowance,
    },
    Live {
        answered: Party,
        accepted: Timestamp,
        streams: Vec<Published>,
        payload: Vec<u8>,
    },
}

/// What one side may still send while it rings.
#[derive(Clone, Copy, Debug)]
struct Allowance {
    messages: usize,
    bytes: usize,
}

impl Allowance {
    const FULL: Self = Self { messages: RINGING_MESSAGES, bytes: RINGING_BYTES };

    /// Takes a message of so many bytes if there is that much left.
    fn take(&mut self, bytes: usize) -> Result<(), Refusal> {
        let (messages, bytes) = (self.messages.checked_sub(1), self.bytes.checked_sub(bytes));
        let (Some(messages), Some(bytes)) = (messages, bytes) else { return Err(Refusal::TooMuchData) };
        *self = Self { messages, bytes };
        Ok(())
    }
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
            State::Ringing { rung, .. } => rung,
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
    /// Opaque bytes for one device of a call, or for all on its other side.
    ///
    /// # Errors
    ///
    /// [`Refusal::NoSuchCall`] unless both devices are in that call, on different sides; [`Refusal::TooMuchData`] if it
    /// still rings and this side has sent [`RINGING_MESSAGES`] or [`RINGING_BYTES`].
    pub fn data(
        &mut self,
        from: DeviceKey,
        id: CallId,
        to: Option<DeviceKey>,
        payload: Vec<u8>,
    ) -> Result<(), Refusal> {
        let call = self.calls.get_mut(&id).ok_or(Refusal::NoSuchCall)?;
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
        if let State::Ringing { from_caller, from_callee, .. } = &mut call.state {
            let allowance = if call.caller.device == from { from_caller } else { from_callee };
            allowance.take(payload.len())?;
        }
        for to in chosen {
            self.output.push_back(Output::Data { to, from, call: id, payload: payload.clone() });
        }
        Ok(())
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
        let publishes = streams.iter().filter(|published| published.device == device).copied().collect();
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

    fn due(&self, now: Timestamp) -> Option<(CallId, Reason)> {
        let (id, (at, reason)) =
            self.calls.iter().map(|(&id, call)| (id, call.deadline())).min_by_key(|&(id, (at, _))| (at, id))?;
        (at <= now).then_some((id, reason))
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

#[cfg(test)]
mod tests;
