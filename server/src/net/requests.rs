//! What clients ask for on their control stream, answered one after the other.
//!
//! A connection starts with a device key that its handshake has proved and nothing else. It becomes a session when
//! that device is somebody's: because it is enrolled already, or by a registration or a login on this connection.

use std::sync::{Arc, PoisonError};

use quinn::Connection;
use tokio::sync::{mpsc, watch};
use tracing::{debug, error, info};
use visavis_proto::{
    ids::{AccountKey, CallId, DeviceKey},
    signal::relay_call::{PersonId, Refusal},
    time::Timestamp,
    wire::control::{
        Call, CallData, ClientMessage, CloseCode, Devices, EndReason, Enrol, ErrorCode, Greeting, History,
        HistoryQuery, LoggedIn, LoginFinish, LoginStart, MAX_PAGE, MAX_PAYLOAD_BYTES, OpaqueReply, PastCall, Refused,
        RegisterFinish, RegisterStart, RelayMessage, SignedDevices, Welcome, client, relay::Body, valid_name,
    },
};

use super::{
    hub::{self, Answering, Hub},
    relay::{Shared, Stranger},
    session::{Outgoing, Session},
};
use crate::{
    core::devices,
    db::{self, Admission, Credentials, Registered, Registration, TokenHash, fold, token_hash},
    opaque::{self, PendingLogin},
};

/// What the relay says of itself.
const AGENT: &str = concat!("visavis-relay/", env!("CARGO_PKG_VERSION"));

/// Passwords tried on one connection without success; the next try needs a new one, and those are rationed by
/// neighbourhood. Counted when a try starts: the relay's reply tells a guesser whether it was right, and they need not
/// say so.
const LOGIN_TRIES: u32 = 5;

/// Longest sealed account key: a key of 32 bytes, a nonce, a tag, and room for another way to seal it.
const MAX_SEALED_KEY_BYTES: usize = 1_024;

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

    /// What a device may ask before it is somebody's.
    async fn admit(&mut self, request: u32, body: client::Body) -> Answer {
        let state = std::mem::replace(&mut self.state, State::Greeted);
        match (state, body) {
            (State::Silent, client::Body::Hello(hello)) => {
                let agent: String = hello.agent.chars().filter(|c| !c.is_control()).take(60).collect();
                info!(device = %self.device, address = %self.connection.remote_address(), agent, "hello");
                if let Some(stranger) = &self.stranger {
                    stranger.said_hello();
                }
                self.hello(request, hello.visiting).await
            }
            (State::Silent, _) => {
                self.state = State::Silent;
                Err((ErrorCode::BadRequest, "the first message must be Hello"))
            }
            (_, client::Body::RegisterStart(start)) => self.register_start(start).await,
            (State::Registering { name, invite }, client::Body::RegisterFinish(finish)) => {
                self.register_finish(request, name, invite, finish).await
            }
            (_, client::Body::LoginStart(start)) => self.login_start(start).await,
            (State::LoggingIn { pending, name, credentials }, client::Body::LoginFinish(finish)) => {
                self.login_finish(pending, name, credentials, &finish)
            }
            (State::Proven(credentials), client::Body::Enrol(enrol)) => {
                self.enrol(request, *credentials, enrol).await
            }
            (
                _,
                client::Body::Hello(_)
                | client::Body::RegisterFinish(_)
                | client::Body::LoginFinish(_)
                | client::Body::Enrol(_),
            ) => Err((ErrorCode::BadRequest, "out of order")),
            (state, _) => {
                self.state = state;
                Err((ErrorCode::NotLoggedIn, "log in first"))
            }
        }
    }

    async fn hello(&mut self, request: u32, visiting: bool) -> Answer {
        enum Known {
            As(PersonId),
            LockedOut,
            No,
        }
        let known = self.shared.hub(|hub, _| match hub.directory.owner(self.device) {
            Some(person) => Known::As(person.id),
            None if hub.directory.is_locked_out(self.device) => Known::LockedOut,
            None => Known::No,
        });
        match known {
            Known::As(person) => self.join(request, person, visiting).await,
            Known::LockedOut => Err((ErrorCode::Disabled, "the account is disabled")),
            Known::No => Ok(Some(Body::Greeting(Greeting {
                agent: AGENT.into(),
                open_registration: self.shared.config.open_registration,
            }))),
        }
    }

    async fn register_start(&mut self, start: RegisterStart) -> Answer {
        let invite = (!start.invite.is_empty()).then(|| token_hash(&start.invite));
        if invite.is_none() && !self.shared.config.open_registration {
            return Err((ErrorCode::InviteRequired, "registration needs an invite"));
        }
        if !valid_name(&start.name) {
            return Err((ErrorCode::NameInvalid, "names are 1 to 40 bytes of letters, digits, blanks and - _ . '"));
        }
        let now_ms = self.shared.clock.now().as_millis();
        let admission = self.shared.store.admission(&start.name, invite, now_ms).await.map_err(internal)?;
        admission_refusal(admission)?;
        let opaque = self
            .shared
            .secrets
            .register(&start.opaque, &fold(&start.name))
            .map_err(|_| (ErrorCode::BadRequest, "malformed OPAQUE request"))?;
        self.state = State::Registering { name: start.name, invite };
        Ok(Some(Body::RegisterReply(OpaqueReply { opaque })))
    }

    async fn register_finish(
        &mut self,
        request: u32,
        name: String,
        invite: Option<TokenHash>,
        finish: RegisterFinish,
    ) -> Answer {
        let record =
            opaque::record(&finish.opaque).map_err(|_| (ErrorCode::BadRequest, "malformed OPAQUE upload"))?;
        let account_key = AccountKey::try_from(&finish.account_key[..])
            .map_err(|_| (ErrorCode::BadRequest, "malformed account key"))?;
        if finish.sealed_account_key.len() > MAX_SEALED_KEY_BYTES {
            return Err((ErrorCode::BadRequest, "the sealed account key is too long"));
        }
        let signed = finish.devices.unwrap_or_default();
        let list = devices::check(&signed, account_key, None, self.device).map_err(list_refusal)?;
        let registration = Registration {
            name,
            invite,
            record,
            account_key,
            sealed_key: finish.sealed_account_key,
            list,
            now_ms: self.shared.clock.now().as_millis(),
        };
        let registered = self.shared.store.register(registration);
        match self.shared.writing_people(registered).await.map_err(internal)? {
            Registered::Done(person) => {
                info!(device = %self.device, person = person.0, "registered");
                self.join(request, person, false).await
            }
            Registered::InviteInvalid => Err((ErrorCode::InviteInvalid, "the invite is unknown, used or expired")),
            Registered::NameTaken => Err((ErrorCode::NameTaken, "somebody else has the name")),
            Registered::DeviceTaken => Err((ErrorCode::DeviceListInvalid, "somebody else has that device")),
        }
    }

    async fn login_start(&mut self, start: LoginStart) -> Answer {
        let folded_name = fold(&start.name);
        let name = token_hash(folded_name.as_bytes());
        self.tries += 1;
        let now = self.shared.clock.now();
        let allowed = self.tries <= LOGIN_TRIES
            && self.shared.guesses.lock().unwrap_or_else(PoisonError::into_inner).take(name, now);
        if !allowed {
            info!(device = %self.device, address = %self.connection.remote_address(), "too many passwords were tried");
            return Err((ErrorCode::TooMany, "too many passwords were tried: wait a minute"));
        }
        let credentials = self.shared.store.credentials(&folded_name).await.map_err(internal)?;
        let record = credentials.as_ref().map(|credentials| &credentials.record[..]);
        let (opaque, pending) = self
            .shared
            .random(|random| self.shared.secrets.login(random, record, &start.opaque, &folded_name))
            .map_err(|_| (ErrorCode::BadRequest, "malformed OPAQUE request"))?;
        self.state = State::LoggingIn { pending, name, credentials: credentials.map(Box::new) };
        Ok(Some(Body::LoginReply(OpaqueReply { opaque })))
    }

    fn login_finish(
        &mut self,
        pending: PendingLogin,
        name: TokenHash,
        credentials: Option<Box<Credentials>>,
        finish: &LoginFinish,
    ) -> Answer {
        let right = pending.finish(&finish.opaque).is_ok();
        // Locked out, unknown, wrong: all the same to whoever asks.
        let Some(credentials) = credentials.filter(|credentials| right && !credentials.disabled) else {
            return Err((ErrorCode::LoginFailed, "wrong name or password"));
        };
        self.tries = self.tries.saturating_sub(1);
        self.shared.guesses.lock().unwrap_or_else(PoisonError::into_inner).give_back(name);
        let logged_in = LoggedIn {
            sealed_account_key: credentials.sealed_key.clone(),
            devices: Some(signed_devices(&credentials.list)),
        };
        self.state = State::Proven(credentials);
        Ok(Some(Body::LoggedIn(logged_in)))
    }

    async fn enrol(&mut self, request: u32, credentials: Credentials, enrol: Enrol) -> Answer {
        let signed = enrol.devices.unwrap_or_default();
        let person = credentials.person;
        let account = credentials.account_key;
        let current = self.shared.hub(|hub, _| hub.directory.person(person).map(|person| person.account_key));
        if current != Some(account) {
            return Err((ErrorCode::NotLoggedIn, "the password was reset meanwhile: log in with the new one"));
        }
        let list = devices::check(&signed, account, Some(&credentials.list), self.device);
        let list = match list {
            Ok(list) => list,
            Err(error) => {
                // The password stays proven: a client that was out of date may sign another list.
                self.state = State::Proven(Box::new(credentials));
                return Err(list_refusal(error));
            }
        };
        if !self
            .shared
            .writing_people(self.shared.store.set_devices(person, account, list))
            .await
            .map_err(internal)?
        {
            return Err((ErrorCode::DeviceListInvalid, "the list has changed meanwhile, or the device is taken"));
        }
        info!(device = %self.device, person = person.0, "enrolled");
        self.join(request, person, false).await
    }

    /// From now on this connection is a person's device, or a visit of it.
    async fn join(&mut self, request: u32, person: PersonId, visiting: bool) -> Answer {
        let missed_calls = self.shared.store.missed(person).await.map_err(internal)?;
        let session = Arc::new(Session::new(
            self.shared.session_id(),
            self.device,
            person,
            self.connection.clone(),
            self.queue.clone(),
            visiting,
            self.shared.clock.now(),
        ));
        self.shared.hub(|hub, now| {
            if hub.draining {
                return Err((ErrorCode::Draining, "the relay is shutting down"));
            }
            // It may have been revoked while the store was asked.
            let person = hub.directory.owner(self.device).filter(|owner| owner.id == person);
            let person = person.ok_or((ErrorCode::NotLoggedIn, "the device is no longer enrolled"))?;
            let welcome = Welcome {
                name: person.name.clone(),
                account_key: person.account_key.to_vec(),
                agent: AGENT.into(),
                missed_calls,
            };
            let welcome = RelayMessage::answer(request, Body::Welcome(welcome));
            if !visiting {
                hub.join(&session, welcome, &self.shared.stats, now);
            } else if !hub.visit(&session, welcome, &self.shared.stats) {
                return Err((ErrorCode::TooMany, "the device looks up too many things at a time"));
            }
            Ok(())
        })?;
        self.shared.stats.sessions.add(1);
        self.stranger = None;
        self.joined.send_replace(Some(session.clone()));
        self.state = State::In(session);
        Ok(None)
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
            client::Body::Call(call) => self.call(request, call),
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

    fn call(&self, request: u32, call: Call) -> Answer {
        let opening = hub::opening(&call.streams, call.payload).ok_or(BAD_OFFER)?;
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
        let calls = store.history(person, query.before_ms, limit).await.map_err(internal)?;
        store.history_seen(person, self.shared.clock.now().as_millis()).await.map_err(internal)?;
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

fn admission_refusal(admission: Admission) -> Result<(), (ErrorCode, &'static str)> {
    match admission {
        Admission::Welcome => Ok(()),
        Admission::InviteInvalid => {
            Err((ErrorCode::InviteInvalid, "the invite is unknown, used, expired or for another name"))
        }
        Admission::NameTaken => Err((ErrorCode::NameTaken, "somebody else has the name")),
    }
}

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
