//! A running relay reads everybody anew when people have changed, whoever changed them, and only then.

mod support;

use std::{path::Path, process::Command, sync::Arc, time::Duration};

use support::{
    Client, account,
    calls::{ann, bo, live},
    relay,
};
use tokio::sync::watch;
use visavis_proto::{ids::AccountKey, signal::relay_call::PersonId, wire::control::CloseCode};
use visavis_relay::{
    RelayConfig,
    db::{
        Admission, Answer, Credentials, DeviceList, Invite, Note, PastCall, Person, Registered, Registration, Store,
        TokenHash, sqlite::Sqlite,
    },
};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often a relay has done what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Done {
    looks: u32,
    readings: u32,
    heartbeats: u32,
}

/// A store that counts what is asked of it.
struct Watched {
    store: Sqlite,
    done: watch::Sender<Done>,
}

impl Store for Watched {
    fn people(&self) -> Answer<'_, Vec<Person>> {
        self.done.send_modify(|done| done.readings += 1);
        self.store.people()
    }

    fn revision(&self) -> Answer<'_, i64> {
        self.done.send_modify(|done| done.looks += 1);
        self.store.revision()
    }

    fn note(&self, note: Note) -> Answer<'_, ()> {
        let heartbeat = matches!(note, Note::Running(_));
        Box::pin(async move {
            self.store.note(note).await?;
            self.done.send_modify(|done| done.heartbeats += u32::from(heartbeat));
            Ok(())
        })
    }

    fn secrets(&self, fresh: Vec<u8>) -> Answer<'_, Vec<u8>> {
        self.store.secrets(fresh)
    }

    fn credentials(&self, folded_name: &str) -> Answer<'_, Option<Credentials>> {
        self.store.credentials(folded_name)
    }

    fn admission(&self, name: &str, invite: Option<TokenHash>, now_ms: u64) -> Answer<'_, Admission> {
        self.store.admission(name, invite, now_ms)
    }

    fn register(&self, registration: Registration) -> Answer<'_, Registered> {
        self.store.register(registration)
    }

    fn devices(&self, person: PersonId) -> Answer<'_, Option<DeviceList>> {
        self.store.devices(person)
    }

    fn set_devices(&self, person: PersonId, account: AccountKey, list: DeviceList) -> Answer<'_, bool> {
        self.store.set_devices(person, account, list)
    }

    fn close_open_calls(&self) -> Answer<'_, u64> {
        self.store.close_open_calls()
    }

    fn history(&self, person: PersonId, before_ms: u64, limit: usize) -> Answer<'_, Vec<PastCall>> {
        self.store.history(person, before_ms, limit)
    }

    fn history_seen(&self, person: PersonId, now_ms: u64) -> Answer<'_, ()> {
        self.store.history_seen(person, now_ms)
    }

    fn missed(&self, person: PersonId) -> Answer<'_, u32> {
        self.store.missed(person)
    }

    fn add_invite(&self, invite: Invite) -> Answer<'_, ()> {
        self.store.add_invite(invite)
    }

    fn set_disabled(&self, folded_name: &str, disabled: bool) -> Answer<'_, bool> {
        self.store.set_disabled(folded_name, disabled)
    }

    fn close(&self) -> Answer<'_, ()> {
        self.store.close()
    }
}

/// Waits until the relay has done so much.
async fn until(done: &mut watch::Receiver<Done>, enough: impl FnMut(&Done) -> bool) -> Done {
    *tokio::time::timeout(PATIENCE, done.wait_for(enough)).await.expect("in time").expect("the relay runs")
}

/// What an operator does in a process of its own.
fn operator(data: &Path, arguments: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_visavis-relay"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("VISAVIS_RELAY_") {
            command.env_remove(name);
        }
    }
    let output = command.env("VISAVIS_RELAY_DATA", data).args(arguments).output().expect("runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_is_no_change_of_people_and_an_operators_command_is() {
    let data = tempfile::tempdir().expect("temporary folder");
    operator(data.path(), &["init"]);
    let store = Sqlite::open(&data.path().join("relay.db")).await.expect("opens");
    for (name, key, device) in [("Ann", 11, ann()), ("bo", 12, bo())] {
        let list = DeviceList { version: 1, list: vec![], signature: vec![], devices: vec![device.1] };
        let (account_key, sealed_key, record) = (account(key).key, vec![2], vec![1]);
        let registration =
            Registration { name: name.into(), invite: None, record, account_key, sealed_key, list, now_ms: 1 };
        assert!(matches!(store.register(registration).await, Ok(Registered::Done(_))));
    }
    let (count, mut done) = watch::channel(Done::default());
    let (relay, address) = relay(Arc::new(Watched { store, done: count }), RelayConfig::default()).await;
    let mut ann = Client::enrolled(address, &ann()).await;
    let mut bo = Client::enrolled(address, &bo()).await;
    live(&mut ann, &mut bo).await;

    let before = *done.borrow();
    let beaten = until(&mut done, |done| done.heartbeats > before.heartbeats).await;
    // One look may have been on its way; the second comes after the heartbeat.
    let looked = until(&mut done, |done| done.looks >= beaten.looks + 2).await;
    assert_eq!(looked.readings, before.readings, "a call costs no reading of everybody");

    let folder = data.path().to_owned();
    tokio::task::spawn_blocking(move || operator(&folder, &["user", "disable", "bo"])).await.expect("no panic");
    until(&mut done, |done| done.readings > looked.readings).await;
    assert_eq!(bo.closed().await, CloseCode::Disabled as u64);
    relay.drain().await;
}

/// What the relay writes of calls, people's comings and goings, and what they have looked at, is no change of people.
#[tokio::test]
async fn only_people_and_devices_have_revisions() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let file = folder.path().join("relay.db");
    let store = Sqlite::open(&file).await.expect("opens");
    let other = Sqlite::open(&file).await.expect("opens twice");
    store.secrets(vec![1]).await.expect("kept");
    let revision = async || store.revision().await.expect("read");
    let list = |version, device: &support::Device| DeviceList {
        version,
        list: vec![],
        signature: vec![],
        devices: vec![device.1],
    };
    let mut known = revision().await;
    let mut changes = async || {
        let before = std::mem::replace(&mut known, revision().await);
        known != before
    };

    let account_key = account(11).key;
    let registration = Registration {
        name: "Ann".into(),
        invite: None,
        record: vec![1],
        account_key,
        sealed_key: vec![2],
        list: list(1, &ann()),
        now_ms: 1,
    };
    let Ok(Registered::Done(id)) = other.register(registration).await else { panic!("new") };
    assert!(changes().await, "somebody new");
    assert!(other.set_devices(id, account_key, list(2, &bo())).await.expect("written"));
    assert!(changes().await, "another device");
    assert!(other.set_disabled("ann", true).await.expect("written"));
    assert!(changes().await, "locked out");

    for note in [Note::Running(5), Note::LastSeen(id, 6)] {
        other.note(note).await.expect("written");
    }
    other.history_seen(id, 7).await.expect("written");
    let invite = Invite { token_hash: [1; 32], name: None, person: None, expires_ms: 9 };
    other.add_invite(invite).await.expect("written");
    assert!(!changes().await, "nobody is another than before");
}
