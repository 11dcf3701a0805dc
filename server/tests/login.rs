//! Ways in: an enrolled device, an invite, a password; and everything that must not be one.

mod support;

use std::{sync::Arc, time::Duration};

use support::{Client, account, device, refusal, relay};
use visavis_proto::wire::control::{
    self, CloseCode, DevicesQuery, DevicesUpdate, Enrol, ErrorCode, PeopleQuery, client, relay::Body,
};
use visavis_relay::{
    Clock, RelayConfig,
    db::{self, Invite, Store, memory::Memory, sqlite::Sqlite, token_hash},
};

const TOKEN: &[u8] = b"sixteen bytes...";
const PASSWORD: &str = "correct horse";

async fn invite(store: &dyn Store, token: &[u8], name: Option<&str>, seconds: i64) {
    let now = Clock::real().now();
    let expires = now.offset_nanos(seconds * 1_000_000_000);
    let person = None;
    let name = name.map(str::to_owned);
    let invite = Invite { token_hash: token_hash(token), name, person, expires_ms: expires.as_millis() };
    store.add_invite(invite).await.expect("kept");
}

async fn sqlite() -> (tempfile::TempDir, Arc<Sqlite>) {
    let folder = tempfile::tempdir().expect("temporary folder");
    let store = Sqlite::open(&folder.path().join("relay.db")).await.expect("opens");
    (folder, Arc::new(store))
}

/// A relay on which Ann has registered with her first device.
async fn with_ann(store: Arc<dyn Store>) -> (visavis_relay::Relay, std::net::SocketAddr, Client) {
    invite(store.as_ref(), TOKEN, None, 60).await;
    let (relay, address) = relay(store, RelayConfig::default()).await;
    let (mut client, greeting) = Client::hello(address, &device(1)).await;
    assert!(matches!(greeting, Body::Greeting(_)));
    let Ok(Body::Welcome(welcome)) = client.register("Ann", PASSWORD, TOKEN, &account(11), &[device(1).1]).await
    else {
        panic!("registers");
    };
    assert_eq!((welcome.name.as_str(), &welcome.account_key[..]), ("Ann", &account(11).key.0[..]));
    (relay, address, client)
}

#[tokio::test]
async fn who_registered_comes_back_by_device_key_alone_also_after_a_restart() {
    let (folder, store) = sqlite().await;
    let (relay, _, _client) = with_ann(store).await;
    relay.drain().await;
    let store = Sqlite::open(&folder.path().join("relay.db")).await.expect("opens again");
    let (relay, address) = support::relay(Arc::new(store), RelayConfig::default()).await;
    let (_client, answer) = Client::hello(address, &device(1)).await;
    assert!(matches!(answer, Body::Welcome(welcome) if welcome.name == "Ann"));
    relay.drain().await;
}

#[tokio::test]
async fn a_password_enrols_a_second_device_and_the_first_can_revoke_it() {
    let (_folder, store) = sqlite().await;
    let (relay, address, mut first) = with_ann(store).await;
    let (mut second, _) = Client::hello(address, &device(2)).await;
    assert_eq!(second.login("Ann", "wrong").await, Err(ErrorCode::LoginFailed));
    assert_eq!(second.login("nobody", PASSWORD).await, Err(ErrorCode::LoginFailed));
    let logged_in = second.login("ANN", PASSWORD).await.expect("names know no case");
    assert_eq!(logged_in.sealed_account_key, b"sealed");
    assert_eq!(logged_in.devices, Some(account(11).sign(1, &[device(1).1])));
    // The password alone is no session.
    let people = || client::Body::PeopleQuery(PeopleQuery {});
    assert_eq!(refusal(second.ask(people()).await), ErrorCode::NotLoggedIn);
    // Somebody else's signature, and then the right one.
    let both = [device(1).1, device(2).1];
    let enrol = |owner: u8| client::Body::Enrol(Enrol { devices: Some(account(owner).sign(2, &both)) });
    assert_eq!(refusal(second.ask(enrol(12)).await), ErrorCode::DeviceListInvalid);
    assert!(matches!(second.ask(enrol(11)).await, Body::Welcome(_)));

    let Body::Devices(devices) = first.ask(client::Body::DevicesQuery(DevicesQuery {})).await else {
        panic!("devices");
    };
    assert_eq!(devices.online.len(), 2);
    let update = |version, keys: &[_]| {
        client::Body::DevicesUpdate(DevicesUpdate { devices: Some(account(11).sign(version, keys)) })
    };
    let stale = update(2, &[device(1).1]);
    assert_eq!(refusal(first.ask(stale).await), ErrorCode::DeviceListInvalid);
    assert!(matches!(first.ask(update(3, &[device(1).1])).await, Body::Devices(_)));
    assert_eq!(second.closed().await, CloseCode::Revoked as u64);
    let (_stranger, answer) = Client::hello(address, &device(2)).await;
    assert!(matches!(answer, Body::Greeting(_)));
    relay.drain().await;
}

#[tokio::test]
async fn invites_are_for_one_person_for_a_time() {
    for store in [Arc::new(Memory::default()) as Arc<dyn Store>, sqlite().await.1] {
        let (relay, address, _ann) = with_ann(store.clone()).await;
        invite(store.as_ref(), b"expired", None, -1).await;
        invite(store.as_ref(), b"for bo", Some("Bo"), 60).await;
        invite(store.as_ref(), b"open", None, 60).await;
        let (mut client, _) = Client::hello(address, &device(2)).await;
        let devices = [device(2).1];
        let mut register = async |name: &str, token: &[u8]| {
            client.register(name, PASSWORD, token, &account(12), &devices).await.map(drop)
        };
        assert_eq!(register("Bo", b"").await, Err(ErrorCode::InviteRequired));
        assert_eq!(register("Bo", TOKEN).await, Err(ErrorCode::InviteInvalid));
        assert_eq!(register("Bo", b"expired").await, Err(ErrorCode::InviteInvalid));
        assert_eq!(register("Cy", b"for bo").await, Err(ErrorCode::InviteInvalid));
        assert_eq!(register("b/o", b"for bo").await, Err(ErrorCode::NameInvalid));
        // Only who holds a good invite learns that a name is taken.
        assert_eq!(register("ANN", TOKEN).await, Err(ErrorCode::InviteInvalid));
        assert_eq!(register("ANN", b"open").await, Err(ErrorCode::NameTaken));
        assert_eq!(register("bo", b"for bo").await, Ok(()));
        relay.drain().await;
    }
}

#[tokio::test]
async fn a_device_list_with_somebody_elses_device_is_refused() {
    let (_folder, store) = sqlite().await;
    let (relay, address, _ann) = with_ann(store.clone()).await;
    invite(store.as_ref(), b"second", None, 60).await;
    let (mut client, _) = Client::hello(address, &device(2)).await;
    let devices = [device(1).1, device(2).1];
    let answer = client.register("Bo", PASSWORD, b"second", &account(12), &devices).await;
    assert_eq!(answer, Err(ErrorCode::DeviceListInvalid));
    assert!(client.register("Bo", PASSWORD, b"second", &account(12), &devices[1..]).await.is_ok());
    relay.drain().await;
}

#[tokio::test]
async fn whoever_is_disabled_is_thrown_out_and_looks_like_a_wrong_password() {
    let (_folder, store) = sqlite().await;
    let (relay, address, first) = with_ann(store.clone()).await;
    // As the operator's command does it: another process on the same file. The relay notices by itself.
    let path = _folder.path().join("relay.db");
    let operator = Sqlite::open(&path).await.expect("opens beside the relay");
    assert!(operator.set_disabled("ann", true).await.expect("written"));
    assert_eq!(first.closed().await, CloseCode::Disabled as u64);
    let (client, answer) = Client::hello(address, &device(1)).await;
    assert_eq!(refusal(answer), ErrorCode::Disabled);
    assert_eq!(client.closed().await, CloseCode::Disabled as u64);
    let (mut second, _) = Client::hello(address, &device(2)).await;
    assert_eq!(second.login("Ann", PASSWORD).await, Err(ErrorCode::LoginFailed));
    assert!(operator.set_disabled("ann", false).await.expect("written"));
    relay.reload_people().await.expect("read");
    assert!(second.login("Ann", PASSWORD).await.is_ok());
    relay.drain().await;
}

#[tokio::test]
async fn a_reset_password_is_a_new_account_key_and_no_old_device() {
    for store in [Arc::new(Memory::default()) as Arc<dyn Store>, sqlite().await.1] {
        let (relay, address, first) = with_ann(store.clone()).await;
        let ann = store.people().await.expect("read").remove(0);
        let expires_ms = (Clock::real().now() + Duration::from_secs(60)).as_millis();
        let (name, person) = (Some(ann.name), Some(ann.id));
        store.add_invite(Invite { token_hash: token_hash(b"reset"), name, person, expires_ms }).await.expect("kept");
        // The old password is proven before the reset and used after it.
        let (mut thief, _) = Client::hello(address, &device(4)).await;
        assert!(thief.login("Ann", PASSWORD).await.is_ok());
        let (mut second, _) = Client::hello(address, &device(2)).await;
        let answer = second.register("Ann", "new password", b"reset", &account(21), &[device(2).1]).await;
        assert!(matches!(answer, Ok(Body::Welcome(welcome)) if welcome.account_key == account(21).key.0));
        assert_eq!(first.closed().await, CloseCode::Revoked as u64);
        let stale = account(11).sign(2, &[device(4).1]);
        let list = db::DeviceList {
            version: 2,
            list: stale.list.clone(),
            signature: stale.signature.clone(),
            devices: vec![device(4).1],
        };
        let enrol = client::Body::Enrol(Enrol { devices: Some(stale) });
        assert_eq!(refusal(thief.ask(enrol).await), ErrorCode::NotLoggedIn);
        assert!(!store.set_devices(ann.id, account(11).key, list).await.expect("answered"));
        assert!(store.people().await.expect("read")[0].devices == [device(2).1]);
        let (mut third, answer) = Client::hello(address, &device(1)).await;
        assert!(matches!(answer, Body::Greeting(_)));
        assert_eq!(third.login("Ann", PASSWORD).await, Err(ErrorCode::LoginFailed));
        assert!(third.login("Ann", "new password").await.is_ok());
        relay.drain().await;
    }
}

#[tokio::test]
async fn open_registration_needs_no_invite_and_guessing_ends_the_connection() {
    let config = RelayConfig { open_registration: true, ..RelayConfig::default() };
    let (relay, address) = relay(Arc::new(Memory::default()), config).await;
    let (mut client, answer) = Client::hello(address, &device(1)).await;
    assert!(matches!(answer, Body::Greeting(greeting) if greeting.open_registration));
    assert!(client.register("Ann", PASSWORD, b"", &account(11), &[device(1).1]).await.is_ok());
    let (mut guesser, _) = Client::hello(address, &device(2)).await;
    for _ in 0..5 {
        assert_eq!(guesser.login("Ann", "guess").await, Err(ErrorCode::LoginFailed));
    }
    assert_eq!(guesser.closed().await, CloseCode::NotLoggedIn as u64);
    relay.drain().await;
}

#[tokio::test]
async fn guessing_without_ever_finishing_ends_the_connection_and_then_the_tries_for_the_name() {
    let (relay, address, first) = with_ann(Arc::new(Memory::default())).await;
    for name in ["Ann", "nobody"] {
        for _ in 0..2 {
            let (mut guesser, _) = Client::hello(address, &device(2)).await;
            for _ in 0..5 {
                assert_eq!(guesser.guess(name).await, Ok(()));
            }
            assert_eq!(guesser.guess(name).await, Err(ErrorCode::TooMany));
            assert_eq!(guesser.closed().await, CloseCode::NotLoggedIn as u64);
        }
        // A new connection does not help, nor does another spelling; another name has tries of its own.
        let (mut guesser, _) = Client::hello(address, &device(3)).await;
        assert_eq!(guesser.guess(&name.to_uppercase()).await, Err(ErrorCode::TooMany));
        assert_eq!(guesser.guess(&format!("{name} else")).await, Ok(()));
    }
    // Ann's own device needs no password.
    drop(first);
    let (_ann, answer) = Client::hello(address, &device(1)).await;
    assert!(matches!(answer, Body::Welcome(_)));
    relay.drain().await;
}

#[tokio::test]
async fn nothing_goes_before_hello_and_nothing_unknown_breaks_the_conversation() {
    let (relay, address) = relay(Arc::new(Memory::default()), RelayConfig::default()).await;
    let mut client = Client::connect(address, &device(1)).await;
    let people = || client::Body::PeopleQuery(PeopleQuery {});
    assert_eq!(refusal(client.ask(people()).await), ErrorCode::BadRequest);
    // A message that this version does not know: a request number alone.
    client.send.write_all(&[0, 0, 0, 2, 8, 9]).await.expect("written");
    let answer = client.next().await.expect("answered");
    assert_eq!((answer.request, answer.body.map(refusal)), (9, Some(ErrorCode::Unsupported)));
    let hello = client::Body::Hello(control::Hello { agent: "test".into(), visiting: false });
    assert!(matches!(client.ask(hello).await, Body::Greeting(_)));
    client.send.write_all(&[0xff; 8]).await.expect("written");
    assert_eq!(client.closed().await, CloseCode::Protocol as u64);
    relay.drain().await;
}
