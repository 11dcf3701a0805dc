//! A store that forgets when the process ends: for simulated worlds and tests. It answers at once.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use visavis_proto::{
    ids::{AccountKey, DeviceKey},
    signal::relay_call::{PersonId, Record},
    time::Timestamp,
    wire::control::EndReason,
};

use super::{
    Admission, Answer, Credentials, DeviceList, Error, Invite, KEPT_CALLS, KeptCall, Note, PastCall, Person,
    Registered, Registration, Store, TokenHash, fold,
};

/// Everything in maps.
#[derive(Debug, Default)]
pub struct Memory(Mutex<Tables>);

#[derive(Debug, Default)]
struct Tables {
    secrets: Option<Vec<u8>>,
    people: BTreeMap<PersonId, Row>,
    invites: BTreeMap<TokenHash, (Invite, bool)>,
    calls: Vec<KeptCall>,
    running: Timestamp,
    revision: i64,
}

#[derive(Debug)]
struct Row {
    person: Person,
    record: Vec<u8>,
    sealed_key: Vec<u8>,
    list: DeviceList,
    history_seen_ms: u64,
}

impl Memory {
    /// A store in which these people, each with an account key and devices, are enrolled already. They have no
    /// password.
    pub fn with_people<'a>(people: impl IntoIterator<Item = (&'a str, AccountKey, Vec<DeviceKey>)>) -> Self {
        let store = Self::default();
        for (name, account_key, devices) in people {
            store.tables().insert(name, account_key, Vec::new(), Vec::new(), unsigned_list(devices));
        }
        store
    }

    /// Every call that has ended, in order.
    pub fn records(&self) -> Vec<Record> {
        self.tables().calls.iter().filter_map(record).collect()
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tables {
    fn insert(&mut self, name: &str, key: AccountKey, record: Vec<u8>, sealed_key: Vec<u8>, list: DeviceList) {
        let id = PersonId(self.people.len() as i64 + 1);
        let person = Person {
            id,
            name: name.to_owned(),
            account_key: key,
            disabled: false,
            last_seen_ms: 0,
            devices: list.devices.clone(),
        };
        self.people.insert(id, Row { person, record, sealed_key, list, history_seen_ms: 0 });
    }

    fn by_name(&self, folded_name: &str) -> Option<&Row> {
        self.people.values().find(|row| fold(&row.person.name) == folded_name)
    }

    /// The person whose password an invite replaces, if it does; or why it is no good.
    fn check(&self, name: &str, invite: Option<TokenHash>, now_ms: u64) -> Result<Option<PersonId>, Admission> {
        let holder = self.by_name(&fold(name)).map(|row| row.person.id);
        let Some(hash) = invite else {
            return holder.map_or(Ok(None), |_| Err(Admission::NameTaken));
        };
        match self.invites.get(&hash) {
            Some((invite, false)) if invite.expires_ms > now_ms => {
                if invite.name.as_ref().is_some_and(|bound| fold(bound) != fold(name)) {
                    return Err(Admission::InviteInvalid);
                }
                match (holder, invite.person) {
                    (Some(holder), Some(person)) if holder == person => Ok(Some(person)),
                    (_, Some(_)) => Err(Admission::InviteInvalid),
                    (Some(_), None) => Err(Admission::NameTaken),
                    (None, None) => Ok(None),
                }
            }
            _ => Err(Admission::InviteInvalid),
        }
    }

    fn device_is_free(&self, device: DeviceKey, person: Option<PersonId>) -> bool {
        self.people.values().all(|row| Some(row.person.id) == person || !row.person.devices.contains(&device))
    }

    fn register(&mut self, new: Registration) -> Registered {
        let replaces = match self.check(&new.name, new.invite, new.now_ms) {
            Ok(replaces) => replaces,
            Err(Admission::NameTaken) => return Registered::NameTaken,
            Err(_) => return Registered::InviteInvalid,
        };
        if !new.list.devices.iter().all(|&device| self.device_is_free(device, replaces)) {
            return Registered::DeviceTaken;
        }
        if let Some((_, used)) = new.invite.and_then(|hash| self.invites.get_mut(&hash)) {
            *used = true;
        }
        self.revision += 1;
        match replaces.and_then(|person| self.people.get_mut(&person)) {
            Some(row) => {
                row.person.account_key = new.account_key;
                row.person.devices = new.list.devices.clone();
                (row.record, row.sealed_key, row.list) = (new.record, new.sealed_key, new.list);
                Registered::Done(row.person.id)
            }
            None => {
                self.insert(&new.name, new.account_key, new.record, new.sealed_key, new.list);
                Registered::Done(PersonId(self.people.len() as i64))
            }
        }
    }

    fn past(&self, person: PersonId) -> impl Iterator<Item = PastCall> + '_ {
        let calls = self.calls.iter().rev().filter_map(record);
        calls.filter(move |call| call.caller == person || call.callee == person).map(move |call| {
            let peer = if call.caller == person { call.callee } else { call.caller };
            PastCall {
                call: call.call,
                peer: self.people.get(&peer).map(|row| row.person.name.clone()).unwrap_or_default(),
                outgoing: call.caller == person,
                began_ms: call.began.as_millis(),
                accepted_ms: call.accepted.map_or(0, |at| at.as_millis()),
                ended_ms: call.ended.as_millis(),
                reason: call.reason,
            }
        })
    }

    fn keep(&mut self, call: KeptCall) {
        let is_open = |kept: &&mut KeptCall| kept.call == call.call && kept.end.is_none();
        if let Some(open) = self.calls.iter_mut().find(is_open) {
            open.end = call.end;
            return;
        }
        self.calls.push(call);
        let is_between = |kept: &KeptCall| {
            [(call.caller, call.callee), (call.callee, call.caller)].contains(&(kept.caller, kept.callee))
        };
        if self.calls.iter().filter(|kept| is_between(kept)).count() > KEPT_CALLS
            && let Some(oldest) = self.calls.iter().position(is_between)
        {
            self.calls.remove(oldest);
        }
    }
}

/// A call that is over.
fn record(&KeptCall { call, caller, callee, began, accepted, end }: &KeptCall) -> Option<Record> {
    let (ended, reason) = end?;
    Some(Record { call, caller, callee, began, accepted, ended, reason })
}

fn unsigned_list(devices: Vec<DeviceKey>) -> DeviceList {
    DeviceList { version: 1, list: Vec::new(), signature: Vec::new(), devices }
}

fn now<T: Send + 'static>(value: T) -> Answer<'static, T> {
    Box::pin(std::future::ready(Ok::<T, Error>(value)))
}

impl Store for Memory {
    fn secrets(&self, fresh: Vec<u8>) -> Answer<'_, Vec<u8>> {
        now(self.tables().secrets.get_or_insert(fresh).clone())
    }

    fn people(&self) -> Answer<'_, Vec<Person>> {
        now(self.tables().people.values().map(|row| row.person.clone()).collect())
    }

    fn revision(&self) -> Answer<'_, i64> {
        now(self.tables().revision)
    }

    fn credentials(&self, folded_name: &str) -> Answer<'_, Option<Credentials>> {
        now(self.tables().by_name(folded_name).filter(|row| !row.record.is_empty()).map(|row| Credentials {
            person: row.person.id,
            disabled: row.person.disabled,
            record: row.record.clone(),
            sealed_key: row.sealed_key.clone(),
            account_key: row.person.account_key,
            list: row.list.clone(),
        }))
    }

    fn admission(&self, name: &str, invite: Option<TokenHash>, now_ms: u64) -> Answer<'_, Admission> {
        now(self.tables().check(name, invite, now_ms).map_or_else(|refusal| refusal, |_| Admission::Welcome))
    }

    fn register(&self, registration: Registration) -> Answer<'_, Registered> {
        now(self.tables().register(registration))
    }

    fn devices(&self, person: PersonId) -> Answer<'_, Option<DeviceList>> {
        now(self.tables().people.get(&person).map(|row| row.list.clone()))
    }

    fn set_devices(&self, person: PersonId, account: AccountKey, list: DeviceList) -> Answer<'_, bool> {
        let mut tables = self.tables();
        let free = list.devices.iter().all(|&device| tables.device_is_free(device, Some(person)));
        let Some(row) = tables.people.get_mut(&person) else { return now(false) };
        if !free || row.person.account_key != account || row.list.version.checked_add(1) != Some(list.version) {
            return now(false);
        }
        row.person.devices = list.devices.clone();
        row.list = list;
        tables.revision += 1;
        now(true)
    }

    fn note(&self, note: Note) -> Answer<'_, ()> {
        let mut tables = self.tables();
        match note {
            Note::Accepted(call) => tables.keep(call.into()),
            Note::Ended(record) => tables.keep(record.into()),
            Note::Running(at_ms) => tables.running = Timestamp::ZERO + Duration::from_millis(at_ms),
            Note::LastSeen(person, at_ms) => {
                if let Some(row) = tables.people.get_mut(&person) {
                    row.person.last_seen_ms = at_ms;
                }
            }
        }
        now(())
    }

    fn close_open_calls(&self) -> Answer<'_, u64> {
        let mut tables = self.tables();
        let running = tables.running;
        let mut closed = 0;
        for call in tables.calls.iter_mut().filter(|call| call.end.is_none()) {
            call.end = Some((running.max(call.accepted.unwrap_or(call.began)), EndReason::RelayLost));
            closed += 1;
        }
        now(closed)
    }

    fn history(&self, person: PersonId, before_ms: u64, limit: usize) -> Answer<'_, Vec<PastCall>> {
        let tables = self.tables();
        let mut calls: Vec<_> =
            tables.past(person).filter(|call| before_ms == 0 || call.began_ms < before_ms).collect();
        calls.sort_by_key(|call| std::cmp::Reverse(call.began_ms));
        calls.truncate(limit);
        now(calls)
    }

    fn history_seen(&self, person: PersonId, now_ms: u64) -> Answer<'_, ()> {
        if let Some(row) = self.tables().people.get_mut(&person) {
            row.history_seen_ms = now_ms;
        }
        now(())
    }

    fn missed(&self, person: PersonId) -> Answer<'_, u32> {
        let tables = self.tables();
        let since = tables.people.get(&person).map_or(0, |row| row.history_seen_ms);
        let missed = |call: &PastCall| {
            !call.outgoing && call.accepted_ms == 0 && call.reason != EndReason::Declined && call.ended_ms >= since
        };
        now(tables.past(person).filter(missed).count() as u32)
    }

    fn add_invite(&self, invite: Invite) -> Answer<'_, ()> {
        self.tables().invites.insert(invite.token_hash, (invite, false));
        now(())
    }

    fn set_disabled(&self, folded_name: &str, disabled: bool) -> Answer<'_, bool> {
        let mut tables = self.tables();
        tables.revision += 1;
        let row = tables.people.values_mut().find(|row| fold(&row.person.name) == folded_name);
        now(row.map(|row| row.person.disabled = disabled).is_some())
    }

    fn close(&self) -> Answer<'_, ()> {
        now(())
    }
}
