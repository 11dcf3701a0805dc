//! Who there is, which device is whose, who is online, and what of it has changed since somebody was told.
//!
//! A copy of the store's people in memory: a relay serves one group, family or firm, and with everybody at hand neither
//! a login by device key nor a call waits for a database.

use std::collections::{BTreeMap, BTreeSet};

use visavis_proto::{ids::DeviceKey, signal::relay_call::PersonId, wire::control};

use crate::db::{self, fold};

/// Everybody, with their presence.
#[derive(Debug, Default)]
pub struct Directory {
    people: BTreeMap<PersonId, Entry>,
    by_name: BTreeMap<String, PersonId>,
    by_device: BTreeMap<DeviceKey, PersonId>,
    changed: BTreeSet<PersonId>,
    gone: Vec<String>,
}

#[derive(Debug)]
struct Entry {
    person: db::Person,
    connections: usize,
    in_call: bool,
}

impl Entry {
    fn as_wire(&self) -> control::Person {
        control::Person {
            name: self.person.name.clone(),
            account_key: self.person.account_key.to_vec(),
            online: self.connections > 0,
            in_call: self.in_call,
            last_seen_ms: if self.connections > 0 { 0 } else { self.person.last_seen_ms },
        }
    }
}

impl Directory {
    /// Takes over what the store says now. Presence stays. Answers which devices are nobody's any more, or somebody's
    /// who is locked out.
    pub fn replace(&mut self, people: Vec<db::Person>) -> Vec<DeviceKey> {
        let mut old = std::mem::take(&mut self.people);
        let old_devices = std::mem::take(&mut self.by_device);
        self.by_name.clear();
        for mut person in people {
            let before = old.remove(&person.id);
            let (connections, in_call) = before.as_ref().map_or((0, false), |e| (e.connections, e.in_call));
            if let Some(before) = &before {
                person.last_seen_ms = person.last_seen_ms.max(before.person.last_seen_ms);
            }
            let looks_new = before.as_ref().is_none_or(|before| {
                before.person.account_key != person.account_key || before.person.disabled != person.disabled
            });
            if looks_new && person.disabled {
                self.gone.push(person.name.clone());
            } else if looks_new {
                self.changed.insert(person.id);
            }
            self.by_name.insert(fold(&person.name), person.id);
            if !person.disabled {
                self.by_device.extend(person.devices.iter().map(|&device| (device, person.id)));
            }
            self.people.insert(person.id, Entry { person, connections, in_call });
        }
        self.gone.extend(old.into_values().map(|entry| entry.person.name));
        old_devices
            .into_iter()
            .filter(|(device, owner)| self.by_device.get(device) != Some(owner))
            .map(|(device, _)| device)
            .collect()
    }

    /// Whose device it is; nobody's if they are locked out.
    pub fn owner(&self, device: DeviceKey) -> Option<&db::Person> {
        self.person(*self.by_device.get(&device)?)
    }

    /// Whether it is enrolled with somebody who is locked out.
    pub fn is_locked_out(&self, device: DeviceKey) -> bool {
        self.people.values().any(|entry| entry.person.disabled && entry.person.devices.contains(&device))
    }

    /// Somebody who may be called.
    pub fn by_name(&self, name: &str) -> Option<PersonId> {
        let id = *self.by_name.get(&fold(name))?;
        self.person(id).filter(|person| !person.disabled).map(|person| person.id)
    }

    /// Somebody.
    pub fn person(&self, id: PersonId) -> Option<&db::Person> {
        self.people.get(&id).map(|entry| &entry.person)
    }

    /// Another device of somebody is connected.
    pub fn arrived(&mut self, id: PersonId) {
        let Some(entry) = self.people.get_mut(&id) else { return };
        entry.connections += 1;
        if entry.connections == 1 {
            self.changed.insert(id);
        }
    }

    /// A device of somebody has gone; whether it was the last.
    pub fn left(&mut self, id: PersonId, now_ms: u64) -> bool {
        let Some(entry) = self.people.get_mut(&id) else { return false };
        entry.connections = entry.connections.saturating_sub(1);
        let last = entry.connections == 0;
        if last {
            entry.person.last_seen_ms = now_ms;
            self.changed.insert(id);
        }
        last
    }

    /// Somebody is in a call now, or no longer.
    pub fn set_in_call(&mut self, id: PersonId, in_call: bool) {
        let Some(entry) = self.people.get_mut(&id) else { return };
        if std::mem::replace(&mut entry.in_call, in_call) != in_call {
            self.changed.insert(id);
        }
    }

    /// Everybody but `but`, as they are now.
    pub fn everybody(&self, but: PersonId) -> Vec<control::Person> {
        let listed = |entry: &&Entry| entry.person.id != but && !entry.person.disabled;
        self.people.values().filter(listed).map(Entry::as_wire).collect()
    }

    /// What has changed since this was asked last: people as they are now, and names that are gone.
    pub fn take_changes(&mut self) -> (Vec<(PersonId, control::Person)>, Vec<String>) {
        let changed = std::mem::take(&mut self.changed);
        let people = changed.iter().filter_map(|id| self.people.get(id)).filter(|entry| !entry.person.disabled);
        let people = people.map(|entry| (entry.person.id, entry.as_wire())).collect();
        (people, std::mem::take(&mut self.gone))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use visavis_proto::ids::AccountKey;

    const ANN: PersonId = PersonId(1);

    fn person(id: i64, name: &str, disabled: bool, devices: &[u8]) -> db::Person {
        db::Person {
            id: PersonId(id),
            name: name.into(),
            account_key: AccountKey([id as u8; 32]),
            disabled,
            last_seen_ms: 0,
            devices: devices.iter().map(|&byte| DeviceKey([byte; 32])).collect(),
        }
    }

    fn names(changes: &[(PersonId, control::Person)]) -> Vec<(&str, bool)> {
        changes.iter().map(|(_, person)| (person.name.as_str(), person.online)).collect()
    }

    #[test]
    fn somebody_with_two_devices_leaves_when_the_last_one_does() {
        let mut directory = Directory::default();
        directory.replace(vec![person(1, "Ann", false, &[1, 2])]);
        directory.take_changes();
        directory.arrived(ANN);
        directory.arrived(ANN);
        assert_eq!(names(&directory.take_changes().0), [("Ann", true)]);
        assert!(!directory.left(ANN, 5));
        assert_eq!(names(&directory.take_changes().0), []);
        assert!(directory.left(ANN, 7));
        let (changes, _) = directory.take_changes();
        assert_eq!((names(&changes), changes[0].1.last_seen_ms), (vec![("Ann", false)], 7));
    }

    #[test]
    fn a_new_list_says_whose_devices_must_go() {
        let mut directory = Directory::default();
        directory.replace(vec![person(1, "Ann", false, &[1, 2]), person(2, "Bo", false, &[3])]);
        directory.take_changes();
        assert_eq!(directory.by_name("ANN"), Some(ANN));
        let gone = directory.replace(vec![person(1, "Ann", false, &[2]), person(2, "Bo", true, &[3])]);
        assert_eq!(gone, [DeviceKey([1; 32]), DeviceKey([3; 32])]);
        assert_eq!(directory.take_changes().1, ["Bo"]);
        assert!(directory.is_locked_out(DeviceKey([3; 32])));
        assert_eq!(directory.by_name("bo"), None);
        assert_eq!(directory.everybody(PersonId(9)).len(), 1);
    }
}
