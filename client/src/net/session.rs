//! Getting in: connecting to a relay, registering, logging in, enrolling a device.

use std::{io, sync::Arc, time::Duration};

use quinn::{Connection, ConnectionError, Endpoint, TransportErrorCode};
use visavis_proto::{
    ids::AccountKey,
    wire::{
        control::{self, CloseCode, Device, DeviceList, ErrorCode, SignedDevices, Welcome, client, relay},
        link::Link,
    },
};

use super::{
    control::{Control, Error as ControlError, Presence},
    online::closed_with,
    tls::{Refusal, WrongPin, client_config},
    transport::Network,
};
use crate::{
    identity::{self, Key},
    opaque,
};

/// How long a relay may take to answer a connection attempt.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a good-bye may take.
const HANG_UP_TIME: Duration = Duration::from_secs(1);

/// Why one did not get in.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The host's name means nothing here, or no socket can be opened.
    #[error("cannot reach {link}: {source}. Check the link's host name and this machine's network")]
    Address {
        /// The relay without its secrets.
        link: String,
        /// What the system says.
        source: io::Error,
    },
    /// Nothing answers.
    #[error(
        "no answer from the relay at {0} within {seconds} s: check that it is running, that the link's host and port are right, \
         and that no firewall between here and there drops UDP",
        seconds = CONNECT_TIMEOUT.as_secs()
    )]
    Unreachable(String),
    /// The relay takes no more connections just now.
    #[error(
        "the relay at {0} takes no more connections just now, or none from this network: wait a few seconds and try again"
    )]
    Busy(String),
    /// The relay's key is not the promised one.
    #[error(transparent)]
    WrongPin(#[from] WrongPin),
    /// TLS or QUIC failed.
    #[error(
        "the relay at {0} refused the connection: {1}. Check that the port is a relay's, and that this program and the \
         relay are of versions that go together"
    )]
    Handshake(String, String),
    /// The link names no key, and no authority vouches for the relay's.
    #[error(
        "the relay at {0} cannot be trusted by this link: {1}. The link has no key in it; if it has lost the part behind \
         #, ask for the whole link as the relay prints it"
    )]
    NoPin(String, String),
    /// This device's key cannot be used.
    #[error("this device's key cannot be used: {0}")]
    Tls(#[from] rustls::Error),
    /// The relay does not know this device.
    #[error(
        "the relay at {0} does not know this device: it was revoked, or the relay was set up anew. Join again \
         (visavis join LINK --name YOU --existing)"
    )]
    NotEnrolled(String),
    /// The device is enrolled already.
    #[error("this device is enrolled as {0} already: there is nothing to join")]
    AlreadyEnrolled(String),
    /// The relay was asked to let the device in, and whether it has is not known.
    #[error(
        "the relay did not confirm the registration ({0}), but may have made it: do the same once more, which finds out \
         and goes on from there"
    )]
    Unconfirmed(ControlError),
    /// The relay refused, or spoke nonsense.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The password exchange failed.
    #[error(transparent)]
    Opaque(#[from] opaque::Error),
    /// A key failed.
    #[error(transparent)]
    Identity(#[from] identity::Error),
}

impl Error {
    /// Trying again will not help: the person has to do something first.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Address { .. } | Self::Unreachable(_) | Self::Busy(_) | Self::Handshake(..) => false,
            Self::Control(error) => {
                let passing = [ErrorCode::Draining, ErrorCode::TooMany, ErrorCode::Internal];
                error.code().is_some_and(|code| !passing.contains(&code))
            }
            _ => true,
        }
    }
}

/// A connection on which the relay knows who one is.
#[derive(Debug)]
pub struct Session {
    /// Its socket; kept so that it can be rebound when the network changes.
    pub endpoint: Endpoint,
    /// QUIC.
    pub connection: Connection,
    /// The control stream.
    pub control: Control,
    /// Who one is.
    pub welcome: Welcome,
}

impl Session {
    /// This person's devices, as signed, and the keys of those that are online.
    ///
    /// # Errors
    ///
    /// Any [`Error`].
    pub async fn devices(&mut self) -> Result<control::Devices, Error> {
        match self.control.request(client::Body::DevicesQuery(control::DevicesQuery {})).await? {
            relay::Body::Devices(devices) => Ok(devices),
            other => Err(unexpected(&other)),
        }
    }

    /// Replaces the list of this person's devices; those no longer in it are logged out at once.
    ///
    /// # Errors
    ///
    /// Any [`Error`]. Being logged out by it oneself is none.
    pub async fn update_devices(&mut self, devices: SignedDevices) -> Result<(), Error> {
        let update = control::DevicesUpdate { devices: Some(devices) };
        match self.control.request(client::Body::DevicesUpdate(update)).await {
            Ok(relay::Body::Devices(_)) => Ok(()),
            Ok(other) => Err(unexpected(&other)),
            // The connection ends before the answer to a list without this device.
            Err(ControlError::Lost(_)) if closed_with(&self.connection).await == Some(CloseCode::Revoked) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Leaves in good order: what was said is delivered, and the relay knows at once.
    pub async fn leave(mut self) {
        self.control.writer.finish().await;
        hang_up(&self.endpoint, &self.connection).await;
    }
}

/// What a person answers when they join.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The name to register, or to log in as.
    pub name: String,
    /// Never stored.
    pub password: zeroize::Zeroizing<String>,
    /// What to call this device.
    pub device_name: String,
    /// Unix time in milliseconds, for the device list.
    pub now_ms: u64,
}

/// How an enrolled device reaches its relay, now and after every loss of the connection.
#[derive(Debug, Clone)]
pub struct Dial {
    /// Where packets go.
    pub network: Network,
    /// The relay.
    pub link: Link,
    /// The device's key.
    pub device: Arc<Key>,
    /// What the connection is for.
    pub presence: Presence,
}

/// Connects with an enrolled device.
///
/// # Errors
///
/// Any [`Error`]; [`Error::NotEnrolled`] if the relay does not know the device.
pub async fn connect(how: &Dial) -> Result<Session, Error> {
    let (endpoint, connection) = dial(&how.network, &how.link, &how.device).await?;
    let error = match Control::open(&connection, how.presence).await {
        Ok((control, relay::Body::Welcome(welcome))) => {
            return Ok(Session { endpoint, connection, control, welcome });
        }
        Ok((_, relay::Body::Greeting(_))) => Error::NotEnrolled(place(&how.link)),
        Ok((_, other)) => unexpected(&other),
        Err(error) => error.into(),
    };
    hang_up(&endpoint, &connection).await;
    Err(error)
}

/// Registers a new person with the link's invite and enrols this device as their first, in one step.
///
/// # Errors
///
/// Any [`Error`].
pub async fn register(network: &Network, link: &Link, device: &Key, who: &Credentials) -> Result<Session, Error> {
    Guest::arrive(network, link, device).await?.register(device, &Key::generate()?, who).await
}

/// A connection of a device that is nobody's yet.
#[derive(Debug)]
pub struct Guest {
    endpoint: Endpoint,
    connection: Connection,
    control: Control,
    link: Link,
}

impl Guest {
    /// Connects with a device that the relay is not supposed to know yet.
    ///
    /// # Errors
    ///
    /// Any [`Error`]; [`Error::AlreadyEnrolled`] if it does.
    pub async fn arrive(network: &Network, link: &Link, device: &Key) -> Result<Self, Error> {
        let (endpoint, connection) = dial(network, link, device).await?;
        let error = match Control::open(&connection, Presence::Reachable).await {
            Ok((control, relay::Body::Greeting(_))) => {
                return Ok(Self { endpoint, connection, control, link: link.clone() });
            }
            Ok((_, relay::Body::Welcome(welcome))) => Error::AlreadyEnrolled(welcome.name),
            Ok((_, other)) => unexpected(&other),
            Err(error) => error.into(),
        };
        hang_up(&endpoint, &connection).await;
        Err(error)
    }

    /// Registers a new person, known by the fresh key `account`, with the link's invite, and enrols `device` as their
    /// first.
    ///
    /// # Errors
    ///
    /// Any [`Error`]. After [`Error::Unconfirmed`] the person may be registered, after every other one is not.
    pub async fn register(mut self, device: &Key, account: &Key, who: &Credentials) -> Result<Session, Error> {
        match self.last_word_of_registration(device, account, who).await {
            Ok(finish) => self.enter(client::Body::RegisterFinish(finish)).await,
            Err(error) => Err(self.give_up(error).await),
        }
    }

    async fn last_word_of_registration(
        &mut self,
        device: &Key,
        account: &Key,
        who: &Credentials,
    ) -> Result<control::RegisterFinish, Error> {
        let (registration, request) = opaque::Registration::start(&who.password)?;
        let start = control::RegisterStart {
            name: who.name.clone(),
            invite: self.link.token.map(|token| token.to_vec()).unwrap_or_default(),
            opaque: request,
        };
        let reply = match self.control.request(client::Body::RegisterStart(start)).await? {
            relay::Body::RegisterReply(reply) => reply,
            other => return Err(unexpected(&other)),
        };
        let (upload, export_key) = registration.finish(&reply.opaque)?;
        let list = DeviceList { version: 1, devices: vec![this_device(device, who)] };
        Ok(control::RegisterFinish {
            opaque: upload,
            account_key: account.public().to_vec(),
            sealed_account_key: account.seal(&export_key)?,
            devices: Some(account.sign_devices(&list)),
        })
    }

    /// Proves the password of an account that exists.
    ///
    /// # Errors
    ///
    /// Any [`Error`]; [`opaque::Error::WrongPassword`] for a wrong password and for an unknown name alike.
    pub async fn log_in(mut self, who: &Credentials) -> Result<Member, Error> {
        match self.prove_password(who).await {
            Ok((account, devices)) => Ok(Member { guest: self, account, devices }),
            Err(error) => Err(self.give_up(error).await),
        }
    }

    /// The account's key and its devices, for its password.
    async fn prove_password(&mut self, who: &Credentials) -> Result<(Key, SignedDevices), Error> {
        let (login, request) = opaque::Login::start(&who.password)?;
        let start = control::LoginStart { name: who.name.clone(), opaque: request };
        let reply = match self.control.request(client::Body::LoginStart(start)).await? {
            relay::Body::LoginReply(reply) => reply,
            other => return Err(unexpected(&other)),
        };
        let (finish, export_key) = login.finish(&reply.opaque)?;
        match self.control.request(client::Body::LoginFinish(control::LoginFinish { opaque: finish })).await? {
            relay::Body::LoggedIn(logged_in) => {
                let account = Key::unseal(&logged_in.sealed_account_key, &export_key)?;
                Ok((account, logged_in.devices.unwrap_or_default()))
            }
            other => Err(unexpected(&other)),
        }
    }

    /// Says the last word, after which the relay knows the device.
    async fn enter(mut self, body: client::Body) -> Result<Session, Error> {
        let error = match self.control.request(body).await {
            Ok(relay::Body::Welcome(welcome)) => {
                let Self { endpoint, connection, control, link: _ } = self;
                return Ok(Session { endpoint, connection, control, welcome });
            }
            Err(error) if is_plain_refusal(&error) => error.into(),
            Err(error) => Error::Unconfirmed(error),
            Ok(other) => match unexpected(&other) {
                Error::Control(error) => Error::Unconfirmed(error),
                other => other,
            },
        };
        Err(self.give_up(error).await)
    }

    /// Leaves because of `error`.
    async fn give_up(self, error: Error) -> Error {
        hang_up(&self.endpoint, &self.connection).await;
        error
    }
}

/// Whether the relay has certainly not done what it was asked. It may fail or shut down after it has.
fn is_plain_refusal(error: &ControlError) -> bool {
    use control::ErrorCode::{Draining, Internal, Unspecified};
    error.code().is_some_and(|code| !matches!(code, Draining | Internal | Unspecified))
}

/// Somebody who has proved their password, on a device that is not theirs yet.
#[derive(Debug)]
pub struct Member {
    guest: Guest,
    account: Key,
    devices: SignedDevices,
}

impl Member {
    /// The account's key, which only the password opens.
    pub const fn account(&self) -> &Key {
        &self.account
    }

    /// Enrols `device` beside the person's others.
    ///
    /// # Errors
    ///
    /// Any [`Error`]. After [`Error::Unconfirmed`] the device may be enrolled, after every other one is not.
    pub async fn enrol(self, device: &Key, who: &Credentials) -> Result<Session, Error> {
        let devices = match self.account.add_device(&self.devices, this_device(device, who)) {
            Ok(devices) => devices,
            Err(error) => return Err(self.guest.give_up(error.into()).await),
        };
        self.guest.enter(client::Body::Enrol(control::Enrol { devices: Some(devices) })).await
    }

    /// Leaves without a device; the account's key serves to sign what an enrolled one brings.
    pub async fn leave(self) -> Key {
        hang_up(&self.guest.endpoint, &self.guest.connection).await;
        self.account
    }
}

/// Closes a connection so that the relay hears of it: a process that merely ends leaves it waiting.
async fn hang_up(endpoint: &Endpoint, connection: &Connection) {
    connection.close(0u32.into(), b"bye");
    // Who cannot be told finds out by themselves.
    let _ = tokio::time::timeout(HANG_UP_TIME, endpoint.wait_idle()).await;
}

async fn dial(network: &Network, link: &Link, device: &Key) -> Result<(Endpoint, Connection), Error> {
    let wrong = Refusal::default();
    let tls = client_config(device, link.pin, Arc::clone(&wrong))?;
    let address = |source| Error::Address { link: place(link), source };
    let (endpoint, relay) = network.endpoint(link, tls).map_err(address)?;
    let connecting = endpoint.connect(relay, &link.host).map_err(|error| address(io::Error::other(error)))?;
    match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
        Ok(Ok(connection)) => Ok((endpoint, connection)),
        Err(_) | Ok(Err(ConnectionError::TimedOut)) => Err(Error::Unreachable(place(link))),
        Ok(Err(ConnectionError::ConnectionClosed(close)))
            if close.error_code == TransportErrorCode::CONNECTION_REFUSED =>
        {
            Err(Error::Busy(place(link)))
        }
        Ok(Err(error)) => match wrong.get() {
            Some(&wrong) => Err(wrong.into()),
            None if link.pin.is_none() => Err(Error::NoPin(place(link), error.to_string())),
            None => Err(Error::Handshake(place(link), error.to_string())),
        },
    }
}

fn this_device(device: &Key, who: &Credentials) -> Device {
    Device { key: device.public().to_vec(), name: who.device_name.clone(), added_ms: who.now_ms }
}

/// The account key of a welcome.
///
/// # Errors
///
/// [`ControlError::Protocol`] if it is not a key.
pub fn account_of(welcome: &Welcome) -> Result<AccountKey, Error> {
    AccountKey::try_from(&welcome.account_key[..])
        .map_err(|error| Error::Control(ControlError::Protocol(error.to_string())))
}

/// Host and port, without key and token.
fn place(link: &Link) -> String {
    format!("{}:{}", link.host, link.port)
}

fn unexpected(body: &relay::Body) -> Error {
    // The body's own fields may hold secrets; its kind is enough.
    let text = format!("{body:?}");
    let kind = text.split('(').next().unwrap_or_default();
    Error::Control(ControlError::Protocol(format!("{kind} does not belong here")))
}
