//! A client's view of its calls, as a pure state machine.
//!
//! ```text
//!            call()                    Connected
//!   idle ------------> ringing out -----------------> live
//!     \                                               ^  |
//!      \ Incoming            accept()      Connected /   | end(), CallState{ended}
//!       +---------> ringing in -------> connecting -+    v
//!                                                      ended(reason)
//! ```
//!
//! News that arrives early is kept, never lost and never an error: `CallData` ahead of its `Incoming` waits for it, and
//! an incoming call may arrive while another rings out, which is how two people who call each other at once end up in
//! one call (the relay merges them and names the survivor, which this end then accepts by itself).

use std::{collections::VecDeque, time::Duration};

use crate::{
    ids::{AccountKey, CallId, DeviceKey, StreamId},
    time::Timestamp,
    wire::control::{self, EndReason, PeerMessage, StreamKind, StreamOffer, client, relay},
};

/// Most calls known at once: one live, one that rings out while another rings in, and some room for a race.
const MAX_CALLS: usize = 4;

/// Most early messages kept for calls not yet heard of.
const MAX_EARLY: usize = 16;

/// How long a call survives without a connection to the relay; the relay's own grace for a lost peer.
pub const GRACE: Duration = Duration::from_secs(30);

/// Every call that a device knows of.
#[derive(Debug, Default)]
pub struct Calls {
    calls: Vec<Call>,
    early: VecDeque<control::CallData>,
    messages: VecDeque<client::Body>,
    events: VecDeque<Event>,
    disconnected: Option<Timestamp>,
}

/// One call.
#[derive(Debug, Clone)]
struct Call {
    id: CallId,
    peer: String,
    state: State,
    streams: Vec<StreamOffer>,
    /// Kept back while this device rings out itself.
    unannounced: Option<Event>,
}

/// Where a call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// This device called; the other person has not answered.
    RingingOut,
    /// Somebody calls; this person has not answered.
    RingingIn,
    /// This person accepted; the relay has not confirmed.
    Connecting,
    /// Media flows.
    Live,
}

/// What a person is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The other person's devices ring.
    RingingOut {
        /// Which call.
        call: CallId,
        /// How many devices.
        devices: u32,
    },
    /// Somebody calls.
    Incoming {
        /// Which call.
        call: CallId,
        /// Their name.
        caller: String,
        /// Their account key, if well-formed.
        account: Option<AccountKey>,
    },
    /// Media may flow.
    Connected(Connected),
    /// The other end went silent, or came back.
    PeerSilent {
        /// Which call.
        call: CallId,
        /// Silent now.
        silent: bool,
    },
    /// The other device says something.
    Peer {
        /// Which call.
        call: CallId,
        /// Which device; while it rings, several may speak.
        device: DeviceKey,
        /// What.
        message: PeerMessage,
    },
    /// The relay dropped frames that this device sent.
    FramesDropped(control::FramesDropped),
    /// It is over.
    Ended {
        /// Which call.
        call: CallId,
        /// The other person's name.
        peer: String,
        /// How.
        reason: EndReason,
        /// It rang in here and nobody answered or declined.
        missed: bool,
        /// With [`EndReason::Merged`], the call that this one goes on as: both people called each other. It has an end of
        /// its own.
        goes_on_as: Option<CallId>,
    },
}

/// A live call's particulars.
#[derive(Debug, Clone, PartialEq)]
pub struct Connected {
    /// Which call.
    pub call: CallId,
    /// The other person's name.
    pub peer: String,
    /// Their device.
    pub device: DeviceKey,
    /// What this device publishes: its own index, the relay's number, and the kind.
    pub published: Vec<Stream>,
    /// What the other device publishes.
    pub received: Vec<Stream>,
    /// The same call was live before a reconnection.
    pub resumed: bool,
}

/// A numbered stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    /// The relay's number.
    pub id: StreamId,
    /// The publisher's index.
    pub index: u8,
    /// Sound or picture.
    pub kind: StreamKind,
}

/// Why a request of this person was refused here, before it reached the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// There is a call already.
    #[error("there is a call already: hang it up first")]
    InCall,
    /// No such call, or not in a state for this.
    #[error("there is no such call to answer")]
    NoSuchCall,
}

impl Calls {
    /// Rings `callee` under the freshly drawn id `call`, offering `streams`. `payload` is for the devices that ring: the
    /// first flight of the handshake, an encoded [`PeerMessage`], or empty.
    ///
    /// # Errors
    ///
    /// [`RequestError::InCall`] while another call rings or lives.
    pub fn call(
        &mut self,
        call: CallId,
        callee: &str,
        streams: Vec<StreamOffer>,
        payload: Vec<u8>,
    ) -> Result<(), RequestError> {
        if !self.calls.is_empty() {
            return Err(RequestError::InCall);
        }
        self.messages.push_back(client::Body::Call(control::Call {
            call: call.to_vec(),
            callee: callee.to_owned(),
            streams: streams.clone(),
            payload,
        }));
        self.calls.push(Call {
            id: call,
            peer: callee.to_owned(),
            state: State::RingingOut,
            streams,
            unannounced: None,
        });
        Ok(())
    }

    /// Accepts a ringing call, offering `streams`. `payload` is for the caller's device, as in [`Self::call`].
    ///
    /// # Errors
    ///
    /// [`RequestError::NoSuchCall`] if it does not ring in; [`RequestError::InCall`] while this device rings out or is in
    /// a call.
    pub fn accept(&mut self, call: CallId, streams: Vec<StreamOffer>, payload: Vec<u8>) -> Result<(), RequestError> {
        if self.calls.iter().any(|other| other.id != call && other.state != State::RingingIn) {
            return Err(RequestError::InCall);
        }
        let ringing = self.calls.iter_mut().find(|known| known.id == call && known.state == State::RingingIn);
        let known = ringing.ok_or(RequestError::NoSuchCall)?;
        known.state = State::Connecting;
        known.streams = streams.clone();
        self.messages.push_back(client::Body::Accept(control::Accept { call: call.to_vec(), streams, payload }));
        Ok(())
    }

    /// Declines, cancels or hangs up, whichever fits the state. Ending what has ended does nothing.
    pub fn end(&mut self, call: CallId) {
        let Some(position) = self.calls.iter().position(|known| known.id == call) else { return };
        self.messages.push_back(client::Body::End(control::End { call: call.to_vec() }));
        let reason = match self.calls[position].state {
            State::RingingOut => EndReason::Cancelled,
            State::RingingIn => EndReason::Declined,
            State::Connecting | State::Live => EndReason::HungUp,
        };
        self.finish(position, reason);
    }

    /// The relay is not to be reached any more: every call has ended for this reason.
    pub fn give_up(&mut self, reason: EndReason) {
        while !self.calls.is_empty() {
            self.finish(0, reason);
        }
    }

    /// Says something to the device `to` of the other person, or to all of theirs that ring or talk; also while it rings.
    pub fn say(&mut self, call: CallId, to: Option<DeviceKey>, message: &PeerMessage) {
        if self.state(call).is_some() {
            self.messages.push_back(client::Body::CallData(control::CallData {
                call: call.to_vec(),
                device: to.map(DeviceKey::to_vec).unwrap_or_default(),
                payload: prost::Message::encode_to_vec(message),
            }));
        }
    }

    /// Takes a message of the relay that concerns calls; others are not touched and answer `false`.
    pub fn handle(&mut self, body: &relay::Body) -> bool {
        match body {
            relay::Body::CallState(state) => self.handle_state(state),
            relay::Body::Incoming(incoming) => self.handle_incoming(incoming),
            relay::Body::Connected(connected) => self.handle_connected(connected),
            relay::Body::CallData(data) => self.handle_data(data.clone()),
            relay::Body::PeerPresence(presence) => {
                if let Some(call) = self.known(&presence.call) {
                    self.events.push_back(Event::PeerSilent { call, silent: presence.silent });
                }
            }
            relay::Body::FramesDropped(dropped) => self.events.push_back(Event::FramesDropped(dropped.clone())),
            _ => return false,
        }
        true
    }

    /// A request about `call` was refused: there is nothing left to wait for.
    pub fn refused(&mut self, call: CallId) {
        if let Some(position) = self.calls.iter().position(|known| known.id == call) {
            self.finish(position, EndReason::RelayLost);
        }
    }

    /// The connection to the relay is gone. Live calls wait for [`GRACE`]; ringing ones end.
    pub fn disconnected(&mut self, now: Timestamp) {
        self.disconnected.get_or_insert(now);
        while let Some(position) = self.calls.iter().position(|call| call.state != State::Live) {
            self.finish(position, EndReason::RelayLost);
        }
    }

    /// There is a connection again, and this device is logged in on it.
    pub fn reconnected(&mut self) {
        self.disconnected = None;
        for call in &self.calls {
            self.messages.push_back(client::Body::Resume(control::Resume { call: call.id.to_vec() }));
        }
    }

    /// Ends what the grace has run out for.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        if self.disconnected.is_some_and(|since| now.since(since) >= GRACE) {
            self.give_up(EndReason::RelayLost);
        }
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.disconnected.filter(|_| !self.calls.is_empty()).map(|since| since + GRACE)
    }

    /// The next message for the relay.
    pub fn poll_message(&mut self) -> Option<client::Body> {
        self.messages.pop_front()
    }

    /// The next event for the person.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Where a call stands; `None` once it has ended.
    pub fn state(&self, call: CallId) -> Option<State> {
        self.calls.iter().find(|known| known.id == call).map(|known| known.state)
    }

    /// Every call that has not ended.
    pub fn ids(&self) -> Vec<CallId> {
        self.calls.iter().map(|call| call.id).collect()
    }

    /// There is no call.
    pub fn is_idle(&self) -> bool {
        self.calls.is_empty()
    }

    fn handle_state(&mut self, state: &control::CallState) {
        let Ok(id) = CallId::try_from(&state.call[..]) else { return };
        let Some(position) = self.calls.iter().position(|known| known.id == id) else { return };
        match state.ended() {
            // An end that this version does not know is an end all the same.
            EndReason::Unspecified if state.ended == 0 => {
                self.events.push_back(Event::RingingOut { call: id, devices: state.ringing_devices });
            }
            EndReason::Merged if self.calls[position].state == State::RingingOut => {
                let survivor = CallId::try_from(&state.merged_into[..]).ok();
                match survivor.filter(|&survivor| self.state(survivor) == Some(State::RingingIn)) {
                    // This person wanted to talk to the caller anyway: the surviving call is accepted with the streams
                    // that were offered for this one.
                    Some(survivor) => {
                        let streams = self.calls[position].streams.clone();
                        self.finish_as(position, EndReason::Merged, Some(survivor));
                        let accepted = self.accept(survivor, streams, Vec::new());
                        debug_assert!(accepted.is_ok(), "it rings, and this one has ended: {accepted:?}");
                    }
                    // Its caller gave up, and this device heard of that first.
                    None => self.finish(position, EndReason::Cancelled),
                }
            }
            reason => self.finish(position, reason),
        }
    }

    fn handle_incoming(&mut self, incoming: &control::Incoming) {
        let Ok(id) = CallId::try_from(&incoming.call[..]) else { return };
        if self.state(id).is_some() {
            return;
        }
        if self.calls.len() >= MAX_CALLS {
            self.messages.push_back(client::Body::End(control::End { call: incoming.call.clone() }));
            return;
        }
        self.calls.push(Call {
            id,
            peer: incoming.caller.clone(),
            state: State::RingingIn,
            streams: Vec::new(),
            unannounced: Some(Event::Incoming {
                call: id,
                caller: incoming.caller.clone(),
                account: AccountKey::try_from(&incoming.account_key[..]).ok(),
            }),
        });
        self.announce();
        self.handle_payload(&incoming.call, &incoming.device, &incoming.payload);
        let (mine, others) = std::mem::take(&mut self.early).into_iter().partition(|data| data.call == incoming.call);
        self.early = others;
        let mine: VecDeque<_> = mine;
        mine.into_iter().for_each(|data| self.handle_data(data));
    }

    fn handle_connected(&mut self, connected: &control::Connected) {
        let Ok(id) = CallId::try_from(&connected.call[..]) else { return };
        let Ok(device) = DeviceKey::try_from(&connected.device[..]) else { return };
        let Some(call) = self.calls.iter_mut().find(|known| known.id == id) else { return };
        // A call that this person has not accepted does not become live, whatever the relay says.
        if call.state == State::RingingIn {
            return;
        }
        let resumed = call.state == State::Live;
        call.state = State::Live;
        call.peer.clone_from(&connected.peer);
        let streams = |theirs: bool| {
            let of_side = connected.streams.iter().filter(|stream| (stream.device == connected.device) == theirs);
            of_side
                .filter_map(|stream| {
                    let index = u8::try_from(stream.index).ok().filter(|&index| index < 16)?;
                    Some(Stream { id: StreamId(stream.stream), index, kind: stream.kind() })
                })
                .take(control::MAX_STREAMS)
                .collect()
        };
        self.events.push_back(Event::Connected(Connected {
            call: id,
            peer: connected.peer.clone(),
            device,
            published: streams(false),
            received: streams(true),
            resumed,
        }));
        self.handle_payload(&connected.call, &connected.device, &connected.payload);
    }

    /// What came along with the news of a call is heard as if it had come right behind it.
    fn handle_payload(&mut self, call: &[u8], device: &[u8], payload: &[u8]) {
        if !payload.is_empty() {
            let (call, device, payload) = (call.to_vec(), device.to_vec(), payload.to_vec());
            self.handle_data(control::CallData { call, device, payload });
        }
    }

    fn handle_data(&mut self, data: control::CallData) {
        let Ok(id) = CallId::try_from(&data.call[..]) else { return };
        match self.state(id) {
            None => {
                if self.early.len() == MAX_EARLY {
                    self.early.pop_front();
                }
                self.early.push_back(data);
            }
            Some(_) => {
                let device = DeviceKey::try_from(&data.device[..]);
                if let (Ok(device), Ok(message)) = (device, prost::Message::decode(&data.payload[..])) {
                    self.events.push_back(Event::Peer { call: id, device, message });
                }
            }
        }
    }

    fn finish(&mut self, position: usize, reason: EndReason) {
        self.finish_as(position, reason, None);
    }

    fn finish_as(&mut self, position: usize, reason: EndReason, goes_on_as: Option<CallId>) {
        let call = self.calls.remove(position);
        let missed = call.state == State::RingingIn
            && !matches!(reason, EndReason::Declined | EndReason::Merged)
            && !matches!(reason, EndReason::AnsweredElsewhere | EndReason::DeclinedElsewhere);
        self.events.push_back(Event::Ended { call: call.id, peer: call.peer, reason, missed, goes_on_as });
        if reason != EndReason::Merged {
            self.announce();
        }
    }

    /// Tells the person of incoming calls, unless this device rings out: then an incoming call is one half of a glare,
    /// and the relay says next which half survives.
    fn announce(&mut self) {
        if self.calls.iter().all(|call| call.state != State::RingingOut) {
            let ringing = self.calls.iter_mut().filter(|call| call.state == State::RingingIn);
            self.events.extend(ringing.filter_map(|call| call.unannounced.take()));
        }
    }

    fn known(&self, call: &[u8]) -> Option<CallId> {
        let id = CallId::try_from(call).ok()?;
        self.state(id).map(|_| id)
    }
}

#[cfg(test)]
#[path = "call_tests.rs"]
mod tests;
