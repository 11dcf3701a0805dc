//! What is kept of calls: also of those that a relay was killed in, and never without bound.

mod support;

use std::{sync::Arc, time::Duration};

use support::{account, device};
use visavis_proto::{
    ids::CallId,
    signal::relay_call::{Accepted, PersonId, Record},
    time::Timestamp,
    wire::control::EndReason,
};
use visavis_relay::db::{
    DeviceList, KEPT_CALLS, Note, PastCall, Registered, Registration, Store, memory::Memory, sqlite::Sqlite,
};

const START: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

fn at(seconds: u64) -> Timestamp {
    START + Duration::from_secs(seconds)
}

/// Both stores, each with Ann, Bo and Cy.
async fn stores() -> (tempfile::TempDir, Vec<(Arc<dyn Store>, [PersonId; 3])>) {
    let folder = tempfile::tempdir().expect("temporary folder");
    let sqlite = Sqlite::open(&folder.path().join("relay.db")).await.expect("opens");
    let mut stores = Vec::new();
    for store in [Arc::new(Memory::default()) as Arc<dyn Store>, Arc::new(sqlite)] {
        store.secrets(vec![1]).await.expect("kept");
        let mut people = Vec::new();
        for (seed, name) in [(1, "Ann"), (2, "Bo"), (3, "Cy")] {
            let list = DeviceList { version: 1, list: vec![], signature: vec![], devices: vec![device(seed).1] };
            let registration = Registration {
                name: name.into(),
                invite: None,
                record: vec![1],
                account_key: account(seed).key,
                sealed_key: vec![2],
                list,
                now_ms: 1,
            };
            let Registered::Done(id) = store.register(registration).await.expect("written") else { panic!("new") };
            people.push(id);
        }
        stores.push((store, people.try_into().expect("three")));
    }
    (folder, stores)
}

fn id(number: u32) -> CallId {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&number.to_be_bytes());
    CallId(id)
}

fn offline(number: u32, caller: PersonId, callee: PersonId) -> Note {
    let began = at(u64::from(number));
    Note::Ended(Record {
        call: id(number),
        caller,
        callee,
        began,
        accepted: None,
        ended: began,
        reason: EndReason::Offline,
    })
}

async fn history(store: &dyn Store, person: PersonId) -> Vec<PastCall> {
    store.history(person, 0, 10_000).await.expect("read")
}

#[tokio::test]
async fn a_call_that_was_open_when_the_relay_was_killed_is_kept_as_lost_with_it() {
    for (store, [ann, bo, _]) in stores().await.1 {
        let accepted =
            |call, began| Accepted { call, caller: ann, callee: bo, began: at(began), accepted: at(began + 5) };
        let note = async |note| store.note(note).await.expect("written");
        // One that ends as it should, one that the relay is known to have run on in, and one of which nothing is known.
        note(Note::Accepted(accepted(id(1), 10))).await;
        assert!(history(store.as_ref(), ann).await.is_empty(), "a live call is no past one");
        assert_eq!(store.missed(bo).await.expect("read"), 0);
        note(Note::Ended(Record {
            call: id(1),
            caller: ann,
            callee: bo,
            began: at(10),
            accepted: Some(at(15)),
            ended: at(40),
            reason: EndReason::HungUp,
        }))
        .await;
        note(Note::Accepted(accepted(id(2), 50))).await;
        note(Note::Running(at(90).as_millis())).await;
        note(Note::Accepted(accepted(id(3), 95))).await;
        assert_eq!(store.close_open_calls().await.expect("written"), 2);
        assert_eq!(store.close_open_calls().await.expect("written"), 0);
        for person in [ann, bo] {
            let calls = history(store.as_ref(), person).await;
            let told: Vec<_> =
                calls.iter().map(|call| (call.call, call.accepted_ms, call.ended_ms, call.reason)).collect();
            let expected = [
                (id(3), at(100), at(100), EndReason::RelayLost),
                (id(2), at(55), at(90), EndReason::RelayLost),
                (id(1), at(15), at(40), EndReason::HungUp),
            ];
            assert_eq!(told, expected.map(|(call, from, to, how)| (call, from.as_millis(), to.as_millis(), how)));
        }
    }
}

#[tokio::test]
async fn a_call_of_which_only_the_end_was_noted_is_kept_once() {
    for (store, [ann, bo, _]) in stores().await.1 {
        let record = |call, ended| Record {
            call,
            caller: ann,
            callee: bo,
            began: at(1),
            accepted: Some(at(2)),
            ended: at(ended),
            reason: EndReason::HungUp,
        };
        store.note(Note::Ended(record(id(1), 3))).await.expect("written");
        // A caller may draw the same id again; that is another call.
        let again = Accepted { call: id(1), caller: ann, callee: bo, began: at(1), accepted: at(2) };
        store.note(Note::Accepted(again)).await.expect("written");
        store.note(Note::Ended(record(id(1), 9))).await.expect("written");
        let calls = history(store.as_ref(), ann).await;
        let mut ends: Vec<_> = calls.iter().map(|call| call.ended_ms).collect();
        ends.sort_unstable();
        assert_eq!(ends, [at(3).as_millis(), at(9).as_millis()]);
    }
}

#[tokio::test]
async fn of_each_two_people_the_last_calls_are_kept_and_nobody_pushes_out_anothers() {
    for (store, [ann, bo, cy]) in stores().await.1 {
        store.note(offline(0, cy, bo)).await.expect("written");
        let calls = KEPT_CALLS as u32 + 20;
        for number in 1..=calls {
            // Whoever calls.
            let (caller, callee) = if number % 2 == 0 { (ann, bo) } else { (bo, ann) };
            store.note(offline(number, caller, callee)).await.expect("written");
        }
        let of_ann = history(store.as_ref(), ann).await;
        assert_eq!(of_ann.len(), KEPT_CALLS);
        assert_eq!((of_ann[0].call, of_ann[KEPT_CALLS - 1].call), (id(calls), id(21)));
        let of_bo = history(store.as_ref(), bo).await;
        assert_eq!(of_bo.len(), KEPT_CALLS + 1);
        assert_eq!((of_bo[KEPT_CALLS].call, of_bo[KEPT_CALLS].peer.as_str()), (id(0), "Cy"));
    }
}
