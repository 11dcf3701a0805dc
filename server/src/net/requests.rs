//! What clients ask for on their control stream, answered one after the other.
//!
//! A connection starts with a device key that its handshake has proved and nothing else. It becomes a session when
//! that device is somebody's: because it is enrolled already, or by a registration or a login on this connection
//! (`admission`).

use std::sync::Arc;

use quinn::Connection;
use tokio::sync::{mpsc, watch};
use tracing::{debug, error, info};
use visavis_proto::{
    ids::{CallId, DeviceKey},
    signal::relay_call::{PersonId, Refusal},
    time::Timestamp,
    wire::control::{
        Call, CallData, ClientMessage, CloseCode, Devices, EndReason, ErrorCode, History, HistoryQuery, MAX_PAGE,
        MAX_PAYLOAD_BYTES, PastCall, Refused, RelayMessage, SignedDevices, client, relay::Body,
    },
};

use super::{
    hub::{self, Answering, Hub},
    relay::{Shared, Stranger},
    session::{Outgoing, Session},
};
use crate::{
    core::devices,
    db::{self, Credentials, TokenHash},
    opaque::PendingLogin,
};

mod admission;

/// Passwords tried on one connection without success; the next try needs a new one, and those are rationed by
/// neighbourhood. Counted when a try starts: the relay's reply tells a guesser whether it was right, and they need not
/// say so.
const LOGIN_TRIES: u32 = 5;

/// A refusal, as it travels.
type Answer = Result<Option<Body>, (ErrorCode, &'static str)>;

/// One connection's requests.
pub(super) struct Requests {
    shared: Arc<Shared>,
    connection: Connection,
    device: DeviceKey,
    queue: mpsc::Sender<Outgoing>,
    joined: watch::Sender<Option<Arc<Session>>>,
    stranger: Option<Stranger>,
    state: State,
    tries: u32,
}

enum State {
    /// Nothing has been said.
    Silent,
    /// The device is nobody's.
    Greeted,
    /// Between the two messages of a registration.
    Registering { name: String, invite: Option<TokenHash> },
    /// Between the two messages of a login.
    LoggingIn { pending: PendingLogin, name: TokenHash, credentials: Option<Box<Credentials>> },
    /// The password was right, the device is still nobody's.
    Proven(Box<Credentials>),
    /// The device is somebody's.
    In(Arc<Session>),
}

impl Requests {
    pub fn new(
        shared: Arc<Shared>,
        connection: Connection,
        device: DeviceKey,
        queue: mpsc::Sender<Outgoing>,
        joined: watch::Sender<Option<Arc<Session>>>,
        stranger: Stranger,
    ) -> Self {
        let stranger = Some(stranger);
        Self { shared, connection, device, queue, joined, stranger, state: State::Silent, tries: 0 }
    }

    pub const fn is_logged_in(&self) -> bool {
        matches!(self.state, State::In(_))
    }

    pub const fn is_silent(&self) -> bool {
        matches!(self.state, State::Silent)
    }

    /// Answers one message; whether the conversation goes on.
    pub async fn handle(&mut self, message: ClientMessage) -> bool {
        let request = message.request;
        let Some(body) = message.body else {
            self.refuse(request, ErrorCode::Unsupported, "this relay does not know the request");
            return true;
        };
        if let State::In(session) = &self.state {
            // Every message shows that its sender lives.
            if session.heard(self.shared.clock.now()) {
                self.shared.hub(|hub, now| hub.switchboard.heard(self.device, now));
            }
        }
        let answer = match &self.state {
            State::In(session) => self.serve(session.clone(), request, body).await,
            _ => self.admit(request, body).await,
        };
        match answer {
            Ok(None) => true,
            Ok(Some(body)) => {
                self.say(RelayMessage::answer(request, body));
                true
            }
            Err((code, detail)) => {
                self.refuse(request, code, detail);
                self.goes_on_after(code)
            }
        }
    }

    /// What a person's device may ask.
    async fn serve(&self, session: Arc<Session>, request: u32, body: client::Body) -> Answer {
        match body {
            client::Body::Hello(_)
            | client::Body::RegisterStart(_)
            | client::Body::RegisterFinish(_)
            | client::Body::LoginStart(_)
            | client::Body::LoginFinish(_)
            | client::Body::Enrol(_) => Err((ErrorCode::BadRequest, "this device is logged in already")),
            client::Body::Call(_)
            | client::Body::Accept(_)
            | client::Body::End(_)
            | client::Body::Resume(_)
            | client::Body::CallData(_)
                if session.visiting =>
            {
                Err((ErrorCode::BadRequest, "a visit takes no part in calls"))
            }
            client::Body::Call(call) => self.call(request, session.person, call),
            client::Body::Accept(accept) => {
                let opening = hub::opening(&accept.streams, accept.payload).ok_or(BAD_OFFER)?;
                self.in_call(request, &accept.call, |hub, device, call, now| {
                    hub.switchboard.accept(device, call, opening, now)
                })
            }
            client::Body::End(end) => {
                self.in_call(request, &end.call, |hub, device, call, now| hub.switchboard.end(device, call, now))
            }
            client::Body::Resume(resume) => self
                .in_call(request, &resume.call, |hub, device, call, now| hub.switchboard.resume(device, call, now)),
            client::Body::CallData(data) => self.data(request, data),
            client::Body::PeopleQuery(_) => {
                self.shared.hub(|hub, _| hub.watch(&session, request, &self.shared.stats));
                Ok(None)
            }
            client::Body::HistoryQuery(query) => self.history(session.person, &query).await,
            client::Body::DevicesQuery(_) => self.devices(session.person).await,
            client::Body::DevicesUpdate(update) => {
                self.update_devices(session.person, &update.devices.unwrap_or_default()).await
            }
        }
    }

    fn call(&self, request: u32, person: PersonId, call: Call) -> Answer {
        let opening = hub::opening(&call.streams, call.payload).ok_or(BAD_OFFER)?;
        if !self.shared.hub(|hub, now| hub.attempts.take(person, now)) {
            self.shared.stats.calls_refused.add(1);
            return Err((ErrorCode::TooMany, "too many calls that nobody answered: one more is allowed every 10 s"));
        }
        self.in_call(request, &call.call, |hub, device, id, now| {
            let callee = hub.directory.by_name(&call.callee);
            info!(call = %id, %device, known = callee.is_some(), "calls");
            hub.switchboard.call(device, id, callee, opening, now)
        })
    }

    fn data(&self, request: u32, data: CallData) -> Answer {
        if data.payload.len() > MAX_PAYLOAD_BYTES {
            return Err((ErrorCode::BadRequest, "the payload is too long"));
        }
        let to = match &data.device[..] {
            [] => None,
            key => Some(DeviceKey::try_from(key).map_err(|_| (ErrorCode::BadRequest, "malformed device key"))?),
        };
        self.in_call(request, &data.call, |hub, device, call, _| hub.switchboard.data(device, call, to, data.payload))
    }

    /// Does something with a call. What comes of it is queued there and then, the answer among it.
    fn in_call(
        &self,
        request: u32,
        call: &[u8],
        act: impl FnOnce(&mut Hub, DeviceKey, CallId, Timestamp) -> Result<(), Refusal>,
    ) -> Answer {
        let call = CallId::try_from(call).map_err(|_| (ErrorCode::BadRequest, "malformed call id"))?;
        let device = self.device;
        let done = self.shared.hub_noting(|hub, now, notes| {
            if hub.draining {
                return Err((ErrorCode::Draining, "the relay is shutting down"));
            }
            let answering = Answering { device, call, request };
            Ok(hub.answer(answering, &self.shared.stats, notes, |hub| act(hub, device, call, now)))
        })?;
        match done {
            Ok(()) => Ok(None),
            Err(Refusal::AnsweredElsewhere) => Ok(Some(hub::ended(call, EndReason::AnsweredElsewhere, None))),
            Err(Refusal::NoSuchCall) => {
                Err((ErrorCode::NoSuchCall, "there is no such call, or this device is not in it"))
            }
            Err(Refusal::TooMuchData) => {
                self.shared.stats.ringing_data_refused.add(1);
                Err((ErrorCode::TooMany, "too much was sent in a call that is not accepted yet"))
            }
            Err(Refusal::DuplicateCall) => Err((ErrorCode::BadRequest, "a call with this id exists already")),
        }
    }

    async fn history(&self, person: PersonId, query: &HistoryQuery) -> Answer {
        let limit = usize::try_from(query.limit).unwrap_or(MAX_PAGE).min(MAX_PAGE);
        let store = &self.shared.store;
        self.shared.noted().await;
        let calls = store.history(person, query.before_ms, limit).await.map_err(internal)?;
        if !query.unseen {
            store.history_seen(person, self.shared.clock.now().as_millis()).await.map_err(internal)?;
        }
        Ok(Some(Body::History(History { calls: calls.into_iter().map(past_call).collect() })))
    }

    async fn devices(&self, person: PersonId) -> Answer {
        let list = self.shared.store.devices(person).await.map_err(internal)?;
        let list = list.ok_or((ErrorCode::Internal, "there is no device list"))?;
        let is_online = |device: &&DeviceKey| self.shared.hub(|hub, _| hub.is_online(**device));
        let online = list.devices.iter().filter(is_online).map(|device| device.to_vec()).collect();
        Ok(Some(Body::Devices(Devices { devices: Some(signed_devices(&list)), online })))
    }

    async fn update_devices(&self, person: PersonId, signed: &SignedDevices) -> Answer {
        let current = self.shared.store.devices(person).await.map_err(internal)?;
        let current = current.ok_or((ErrorCode::Internal, "there is no device list"))?;
        let account = self.shared.hub(|hub, _| hub.directory.person(person).map(|person| person.account_key));
        let account = account.ok_or((ErrorCode::Internal, "there is no such person"))?;
        let list = devices::check(signed, account, Some(&current), self.device).map_err(list_refusal)?;
        if !self
            .shared
            .writing_people(self.shared.store.set_devices(person, account, list))
            .await
            .map_err(internal)?
        {
            return Err((ErrorCode::DeviceListInvalid, "the list has changed meanwhile"));
        }
        self.devices(person).await
    }

    fn say(&self, message: RelayMessage) {
        match &self.state {
            State::In(session) => session.tell(message, &self.shared.stats),
            // Requests are answered one after the other, so an answer always finds room here.
            _ => drop(self.queue.try_send(Outgoing::Message(message))),
        }
    }

    fn refuse(&self, request: u32, code: ErrorCode, detail: &str) {
        self.shared.stats.refused.add(1);
        debug!(device = %self.device, request, ?code, detail, "refused");
        let refused = Refused { code: code.into(), detail: detail.into() };
        self.say(RelayMessage::answer(request, Body::Refused(refused)));
    }

    fn goes_on_after(&self, code: ErrorCode) -> bool {
        let farewell = match code {
            ErrorCode::Disabled => CloseCode::Disabled,
            ErrorCode::LoginFailed | ErrorCode::TooMany if self.tries >= LOGIN_TRIES => CloseCode::NotLoggedIn,
            _ => return true,
        };
        drop(self.queue.try_send(Outgoing::Close(farewell)));
        false
    }
}

const BAD_OFFER: (ErrorCode, &str) = (ErrorCode::BadRequest, "the offered streams or the payload break a limit");

fn internal(error: db::Error) -> (ErrorCode, &'static str) {
    error!(%error, "a request failed");
    (ErrorCode::Internal, "the relay failed inside; its log says why")
}

fn list_refusal(error: devices::Error) -> (ErrorCode, &'static str) {
    let detail = match error {
        devices::Error::Malformed => "the device list is malformed",
        devices::Error::Signature => "the device list is not signed by the account's key",
        devices::Error::Version => "the device list is not one version above the last",
        devices::Error::TooMany => "the device list is full",
        devices::Error::Devices => "this device is not in the list, or one is twice in it",
        devices::Error::Stranger => "the device list adds a device other than this one",
    };
    (ErrorCode::DeviceListInvalid, detail)
}

fn signed_devices(list: &db::DeviceList) -> SignedDevices {
    SignedDevices { list: list.list.clone(), signature: list.signature.clone() }
}

fn past_call(past: db::PastCall) -> PastCall {
    PastCall {
        call: past.call.to_vec(),
        peer: past.peer,
        outgoing: past.outgoing,
        began_ms: past.began_ms,
        accepted_ms: past.accepted_ms,
        ended_ms: past.ended_ms,
        reason: past.reason.into(),
    }
}
