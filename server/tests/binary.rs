//! The binary as an operator meets it: what it prints, how it stops, what it says when it cannot start.

mod support;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::{Ipv4Addr, UdpSocket},
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};
use support::{
    Client, account,
    calls::{CALL, live},
    device,
};
use visavis_proto::wire::{
    control::{CloseCode, EndReason, HistoryQuery, PeopleQuery, client, relay::Body},
    link::Link,
};

fn relay(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_visavis-relay"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("VISAVIS_RELAY_") {
            command.env_remove(name);
        }
    }
    command.env("VISAVIS_RELAY_DATA", data).stdin(Stdio::null());
    command
}

/// A relay that is ready, and the lines that it printed first.
fn serve(data: &Path, lines: usize) -> (Child, Vec<Link>) {
    serve_at(data, 0, lines)
}

fn serve_at(data: &Path, port: u16, lines: usize) -> (Child, Vec<Link>) {
    let mut child = relay(data)
        .args(["serve", "--listen", &format!("127.0.0.1:{port}")])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    let out = BufReader::new(child.stdout.take().expect("piped"));
    let links = out.lines().take(lines).map(|line| line.expect("read").parse().expect("a link")).collect();
    (child, links)
}

fn terminate(mut child: Child) -> Option<i32> {
    let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill runs");
    assert!(killed.success());
    child.wait().expect("it ends").code()
}

fn run(command: &mut Command) -> (bool, String) {
    let Output { status, stdout, stderr } = command.output().expect("runs");
    let said = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(!said.contains("panicked"), "{said}");
    (status.success(), said)
}

#[cfg(unix)]
#[test]
fn it_prints_its_link_stops_when_told_and_is_the_same_relay_afterwards() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let (child, first) = serve(folder.path(), 2);
    assert_eq!((first[0].host.as_str(), first[0].token), ("127.0.0.1", None));
    assert!(first[0].pin.is_some() && first[1].token.is_some());
    assert_eq!(first[1].without_token(), first[0]);
    // Commands work beside it, and their links lead to it.
    let (fine, said) = run(relay(folder.path()).args(["invite", "--count", "2", "--expires", "1h"]));
    let invites: Vec<Link> = said.lines().map(|line| line.parse().expect("a link")).collect();
    assert!(fine && invites.len() == 2 && invites[0] != invites[1]);
    assert_eq!(invites[0].without_token(), first[0]);
    let (fine, said) = run(relay(folder.path()).args(["serve", "--listen", "127.0.0.1:0"]));
    assert!(!fine && said.contains("another relay is running"), "{said}");
    assert_eq!(terminate(child), Some(0));
    let (child, again) = serve(folder.path(), 1);
    assert_eq!(again[0].pin, first[0].pin);
    assert_eq!(terminate(child), Some(0));
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_who_has_not_logged_in_holds_up_the_end() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let (child, links) = serve(folder.path(), 1);
    let address = (Ipv4Addr::LOCALHOST, links[0].port).into();
    let silent = Client::connect(address, &device(1)).await;
    let (greeted, _) = Client::hello(address, &device(2)).await;
    let ended = tokio::task::spawn_blocking(|| terminate(child));
    for client in [silent, greeted] {
        let reason = tokio::time::timeout(Duration::from_secs(5), client.connection.closed()).await.expect("at once");
        let quinn::ConnectionError::ApplicationClosed(close) = reason else { panic!("{reason}") };
        assert_eq!(u64::from(close.error_code), CloseCode::Draining as u64);
    }
    assert_eq!(ended.await.expect("ends"), Some(0));
}

#[cfg(unix)]
#[tokio::test]
async fn clients_of_a_relay_that_was_killed_learn_it_from_the_next_one() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let (mut child, links) = serve(folder.path(), 1);
    let port = links[0].port;
    let (mut client, _) = Client::hello((Ipv4Addr::LOCALHOST, port).into(), &device(1)).await;
    child.kill().expect("killed");
    child.wait().expect("it ends");
    let (child, again) = serve_at(folder.path(), port, 1);
    assert_eq!(again, links);
    client.say(client::Body::PeopleQuery(PeopleQuery {})).await;
    let reason = tokio::time::timeout(Duration::from_secs(5), client.connection.closed()).await.expect("at once");
    assert_eq!(reason, quinn::ConnectionError::Reset);
    assert_eq!(terminate(child), Some(0));
}

#[cfg(unix)]
#[tokio::test]
async fn a_live_call_of_a_relay_that_was_killed_is_in_the_history_of_the_next_one() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let (mut child, links) = serve(folder.path(), 2);
    let address = (Ipv4Addr::LOCALHOST, links[0].port).into();
    let (fine, said) = run(relay(folder.path()).arg("invite"));
    assert!(fine, "{said}");
    let second: Link = said.trim().parse().expect("a link");
    let mut people = Vec::new();
    for (seed, name, link) in [(1, "Ann", &links[1]), (2, "Bo", &second)] {
        let (mut client, _) = Client::hello(address, &device(seed)).await;
        let token = link.token.expect("an invite");
        let owner = account(seed + 10);
        client.register(name, "a password", &token, &owner, &[device(seed).1]).await.expect("registers");
        people.push(client);
    }
    let mut bo = people.pop().expect("two");
    let mut ann = people.pop().expect("one");
    // The history is written behind everybody's back: it is there when the file has the call.
    let options = SqliteConnectOptions::new().filename(folder.path().join("relay.db"));
    let mut file = SqliteConnection::connect_with(&options).await.expect("opens beside the relay");
    live(&mut ann, &mut bo).await;
    loop {
        let calls = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM calls").fetch_one(&mut file);
        if calls.await.expect("read") == 1 {
            break;
        }
    }
    file.close().await.expect("closes");
    child.kill().expect("killed");
    child.wait().expect("it ends");

    let (child, again) = serve(folder.path(), 1);
    let mut ann = Client::enrolled((Ipv4Addr::LOCALHOST, again[0].port).into(), &device(1)).await;
    let query = client::Body::HistoryQuery(HistoryQuery { before_ms: 0, limit: 10, unseen: false });
    let Body::History(history) = ann.ask(query).await else { panic!("history") };
    let [past] = &history.calls[..] else { panic!("one call: {history:?}") };
    assert_eq!((past.call.as_slice(), past.peer.as_str(), past.outgoing), (&CALL[..], "Bo", true));
    assert_eq!(past.reason(), EndReason::RelayLost);
    assert!(past.accepted_ms >= past.began_ms && past.began_ms > 0 && past.ended_ms >= past.accepted_ms);
    assert_eq!(terminate(child), Some(0));
}

#[test]
fn only_serve_and_init_make_a_relay() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let data = folder.path().join("none");
    for command in [&["invite"][..], &["user", "list"], &["user", "add", "Ann"]] {
        let (fine, said) = run(relay(&data).args(command));
        let name = data.display().to_string();
        assert!(!fine && ["there is no relay in", &name, "--data"].iter().all(|word| said.contains(word)), "{said}");
        assert!(!data.exists());
    }
    assert!(run(relay(&data).arg("init")).0);
    assert!(run(relay(&data).arg("invite")).0);
}

#[test]
fn what_keeps_it_from_starting_is_explained() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let holder = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let taken = holder.local_addr().expect("bound").to_string();
    let fails = |command: &mut Command, words: &[&str]| {
        let (fine, said) = run(command);
        assert!(!fine && words.iter().all(|word| said.contains(word)), "{said}");
    };
    fails(relay(folder.path()).args(["serve", "--listen", &taken]), &[&taken, "--listen"]);
    fails(relay(folder.path()).args(["serve", "--certificate", "x"]), &["belong together"]);
    fails(relay(folder.path()).args(["user", "disable", "Zoe"]), &["Zoe", "user list"]);
    fails(relay(folder.path()).args(["user", "add", "a/b"]), &["cannot be a name"]);
    fails(
        relay(folder.path()).args(["user", "add", "--", "--help"]),
        &["cannot be a name", "a letter or digit first"],
    );

    let file = folder.path().join("relay.toml");
    fs::write(&file, "lisen = \"[::]:1\"\n").expect("write");
    fails(relay(folder.path()).arg("serve"), &["relay.toml", "lisen"]);
    assert_eq!(fs::read_to_string(&file).expect("still there"), "lisen = \"[::]:1\"\n");
    fs::remove_file(&file).expect("remove");

    let in_the_way = folder.path().join("file");
    fs::write(&in_the_way, "").expect("write");
    fails(relay(&in_the_way).arg("serve"), &["data folder", "--data"]);

    let database = folder.path().join("relay.db");
    assert!(!folder.path().join("relay.db-wal").exists(), "commands tidy up, also when they refuse");
    fs::write(&database, "scribble".repeat(1_000)).expect("write");
    fails(relay(folder.path()).arg("serve"), &["relay.db", "backup"]);
    assert_eq!(fs::read_to_string(&database).expect("still there").len(), 8_000);
}

#[test]
fn init_writes_settings_once() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let (fine, said) = run(relay(folder.path()).args(["init", "--public-host", "relay.example.org"]));
    assert!(fine && said.contains("visavis://relay.example.org:4433/#"), "{said}");
    let file = folder.path().join("relay.toml");
    fs::write(&file, "log = \"warn\"\n").expect("write");
    assert!(run(relay(folder.path()).arg("init")).0);
    assert_eq!(fs::read_to_string(&file).expect("kept"), "log = \"warn\"\n");
}
