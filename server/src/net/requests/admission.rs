//! Ways in: an enrolled device, a registration, a password that enrols a device.

use std::sync::{Arc, PoisonError};

use tracing::info;
use visavis_proto::{
    ids::AccountKey,
    signal::relay_call::PersonId,
    wire::control::{
        Enrol, ErrorCode, Greeting, LoggedIn, LoginFinish, LoginStart, OpaqueReply, RegisterFinish, RegisterStart,
        RelayMessage, Welcome, client, relay::Body, valid_name,
    },
};

use super::{Answer, LOGIN_TRIES, Requests, State, internal, list_refusal, signed_devices};
use crate::{
    core::devices,
    db::{Admission, Credentials, Registered, Registration, TokenHash, fold, token_hash},
    net::session::Session,
    opaque::{self, PendingLogin},
};

/// What the relay says of itself.
const AGENT: &str = concat!("visavis-relay/", env!("CARGO_PKG_VERSION"));

/// Longest sealed account key: a key of 32 bytes, a nonce, a tag, and room for another way to seal it.
const MAX_SEALED_KEY_BYTES: usize = 1_024;

impl Requests {
    /// What a device may ask before it is somebody's.
    pub(super) async fn admit(&mut self, request: u32, body: client::Body) -> Answer {
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
            return Err((
                ErrorCode::NameInvalid,
                "names are 1 to 40 bytes of letters, digits, blanks and - _ . ', a letter or digit first",
            ));
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
}

fn admission_refusal(admission: Admission) -> Result<(), (ErrorCode, &'static str)> {
    match admission {
        Admission::Welcome => Ok(()),
        Admission::InviteInvalid => {
            Err((ErrorCode::InviteInvalid, "the invite is unknown, used, expired or for another name"))
        }
        Admission::NameTaken => Err((ErrorCode::NameTaken, "somebody else has the name")),
    }
}
