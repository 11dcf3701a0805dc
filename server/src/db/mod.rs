//! What the relay remembers: people, devices, invites, history. The only folder that knows SQL.
//!
//! [`Store`] is a seam with two sides: [`sqlite::Sqlite`] is what relays run on, [`memory::Memory`] is what simulated
//! worlds run on, where a database's own threads would let real time in. The media path never waits for either.

use std::{future::Future, pin::Pin};

pub use visavis_proto::wire::control::fold_name as fold;
use visavis_proto::{
    ids::{AccountKey, CallId, DeviceKey},
    signal::relay_call::{Accepted, PersonId, Record},
    time::Timestamp,
    wire::control::EndReason,
};

pub mod memory;
pub mod sqlite;

/// An answer that is on its way.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// Calls that are kept of each two people; the oldest are forgotten. More than anybody scrolls through, and a bound that
/// nobody can use to push out of somebody's history the calls with others.
pub const KEPT_CALLS: usize = 500;

/// SHA-256 of an invite's token.
pub type TokenHash = [u8; 32];

/// Why the store did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no room on the disk.
    #[error(
        "the disk that holds the relay's data is full, so nothing was changed: make room there, and do it again. A \
         running relay goes on by itself"
    )]
    Full,
    /// The database refused or failed.
    #[error(transparent)]
    Database(sqlx::Error),
    /// The database is from a later version, or is damaged.
    #[error(transparent)]
    Migration(sqlx::migrate::MigrateError),
    /// Something in it does not read as it was written.
    #[error("the database holds a damaged {0}")]
    Damaged(&'static str),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        if is_full(&error) { Self::Full } else { Self::Database(error) }
    }
}

impl From<sqlx::migrate::MigrateError> for Error {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        use sqlx::migrate::MigrateError::{Execute, ExecuteMigration};
        match &error {
            Execute(cause) | ExecuteMigration(cause, _) if is_full(cause) => Self::Full,
            _ => Self::Migration(error),
        }
    }
}

/// Whether it failed for want of room. SQLite calls it an error of reading and writing where it cannot make the file
/// that its processes share.
fn is_full(error: &sqlx::Error) -> bool {
    const SQLITE_FULL: &str = "13";
    const SQLITE_IOERR_SHMSIZE: &str = "4874";
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| [SQLITE_FULL, SQLITE_IOERR_SHMSIZE].contains(&&*code))
}

/// Everything about a person that the relay keeps in its own memory while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The relay's number.
    pub id: PersonId,
    /// As they wrote it.
    pub name: String,
    /// Their account key.
    pub account_key: AccountKey,
    /// The operator has locked them out.
    pub disabled: bool,
    /// Unix milliseconds, 0 if never.
    pub last_seen_ms: u64,
    /// Enrolled devices.
    pub devices: Vec<DeviceKey>,
}

/// What a password login needs.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// Whose.
    pub person: PersonId,
    /// Locked out.
    pub disabled: bool,
    /// The OPAQUE record.
    pub record: Vec<u8>,
    /// The account's private key, sealed by the client.
    pub sealed_key: Vec<u8>,
    /// The account's public key.
    pub account_key: AccountKey,
    /// The current device list.
    pub list: DeviceList,
}

/// A signed device list, opaque but for what the relay checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceList {
    /// Its version.
    pub version: u64,
    /// As signed.
    pub list: Vec<u8>,
    /// Over it.
    pub signature: Vec<u8>,
    /// The keys in it.
    pub devices: Vec<DeviceKey>,
}

/// A person to be.
#[derive(Debug, Clone)]
pub struct Registration {
    /// As they write it.
    pub name: String,
    /// What the relay was shown; `None` under open registration.
    pub invite: Option<TokenHash>,
    /// The OPAQUE record.
    pub record: Vec<u8>,
    /// The account's public key.
    pub account_key: AccountKey,
    /// The account's private key, sealed.
    pub sealed_key: Vec<u8>,
    /// The first device list.
    pub list: DeviceList,
    /// Unix milliseconds.
    pub now_ms: u64,
}

/// What came of a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registered {
    /// There is somebody new, or a person has a new password.
    Done(PersonId),
    /// The invite is unknown, used, expired, or for another name.
    InviteInvalid,
    /// Somebody has that name.
    NameTaken,
    /// Somebody has that device.
    DeviceTaken,
}

/// An invite to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invite {
    /// SHA-256 of its token.
    pub token_hash: TokenHash,
    /// The only name it is good for.
    pub name: Option<String>,
    /// The person whose password it replaces.
    pub person: Option<PersonId>,
    /// Unix milliseconds.
    pub expires_ms: u64,
}

/// What an invite's token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// The name can be had.
    Welcome,
    /// The token is unknown, used, expired, or for another name.
    InviteInvalid,
    /// Somebody has that name.
    NameTaken,
}

/// One past call, as one of its two people sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastCall {
    /// Which call.
    pub call: CallId,
    /// The other person's name.
    pub peer: String,
    /// This person called.
    pub outgoing: bool,
    /// Unix milliseconds.
    pub began_ms: u64,
    /// Unix milliseconds, 0 if never.
    pub accepted_ms: u64,
    /// Unix milliseconds.
    pub ended_ms: u64,
    /// As seen from the caller.
    pub reason: EndReason,
}

/// A call as a store keeps it: open while it is live.
#[derive(Debug, Clone, Copy)]
struct KeptCall {
    call: CallId,
    caller: PersonId,
    callee: PersonId,
    began: Timestamp,
    accepted: Option<Timestamp>,
    /// When and how, as seen from the caller.
    end: Option<(Timestamp, EndReason)>,
}

impl From<Accepted> for KeptCall {
    fn from(Accepted { call, caller, callee, began, accepted }: Accepted) -> Self {
        Self { call, caller, callee, began, accepted: Some(accepted), end: None }
    }
}

impl From<Record> for KeptCall {
    fn from(Record { call, caller, callee, began, accepted, ended, reason }: Record) -> Self {
        Self { call, caller, callee, began, accepted, end: Some((ended, reason)) }
    }
}

/// What is written behind the callers' backs, in order, by one task.
#[derive(Debug, Clone)]
pub enum Note {
    /// A call is live.
    Accepted(Accepted),
    /// A call is over; completes what was kept when it was accepted, if it was.
    Ended(Record),
    /// The relay is running, at this Unix time in milliseconds: calls that are open now have lasted until now.
    Running(u64),
    /// Somebody's last device left.
    LastSeen(PersonId, u64),
}

/// Where the relay's memory is.
pub trait Store: Send + Sync + 'static {
    /// The relay's OPAQUE secrets; keeps `fresh` if there are none yet.
    fn secrets(&self, fresh: Vec<u8>) -> Answer<'_, Vec<u8>>;

    /// Everybody.
    fn people(&self) -> Answer<'_, Vec<Person>>;

    /// A number that changes when people or their devices have, also by another process. What is noted does not count.
    fn revision(&self) -> Answer<'_, i64>;

    /// What a login of that folded name needs.
    fn credentials(&self, folded_name: &str) -> Answer<'_, Option<Credentials>>;

    /// Whether a registration of that name would be let in now.
    fn admission(&self, name: &str, invite: Option<TokenHash>, now_ms: u64) -> Answer<'_, Admission>;

    /// Makes a person, or gives one a new password, and uses up the invite: all of it or nothing.
    fn register(&self, registration: Registration) -> Answer<'_, Registered>;

    /// A person's device list.
    fn devices(&self, person: PersonId) -> Answer<'_, Option<DeviceList>>;

    /// Replaces a person's device list if `account` is still their account key, `list` is exactly one version above
    /// the current one, and no other person has one of the devices; whether it did. A list that was checked before
    /// a password reset must not come after it, and versions alone do not tell: they start anywhere.
    fn set_devices(&self, person: PersonId, account: AccountKey, list: DeviceList) -> Answer<'_, bool>;

    /// Writes down something that nobody waits for.
    fn note(&self, note: Note) -> Answer<'_, ()>;

    /// Ends the calls that a relay before this left open: as lost with the relay, when it was last known to run. How
    /// many there were.
    fn close_open_calls(&self) -> Answer<'_, u64>;

    /// Calls that are over, newest first; those that began before `before_ms` (0: no bound).
    fn history(&self, person: PersonId, before_ms: u64, limit: usize) -> Answer<'_, Vec<PastCall>>;

    /// The person has looked at their history now.
    fn history_seen(&self, person: PersonId, now_ms: u64) -> Answer<'_, ()>;

    /// Calls missed since the person last looked at their history.
    fn missed(&self, person: PersonId) -> Answer<'_, u32>;

    /// Keeps an invite.
    fn add_invite(&self, invite: Invite) -> Answer<'_, ()>;

    /// Locks a person out, or in again; whether there is such a person.
    fn set_disabled(&self, folded_name: &str, disabled: bool) -> Answer<'_, bool>;

    /// Closes what is open; nothing that was noted is lost.
    fn close(&self) -> Answer<'_, ()>;
}

/// The form in which a token is kept.
pub fn token_hash(token: &[u8]) -> TokenHash {
    let mut hash = [0; 32];
    hash.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token).as_ref());
    hash
}
