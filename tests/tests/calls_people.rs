//! Who is there, who called, which devices belong to whom, and how an operator lets people in and out: with real
//! binaries.

use anyhow::{Context, ensure};
use visavis_tests::real::{PASSWORD, Person, Relay, SMALL, Setup, live_call};

/// What a command that goes well prints.
fn prints(person: &Person, arguments: &[&str]) -> anyhow::Result<Vec<String>> {
    let (status, lines) = person.run(arguments)?;
    ensure!(status.success(), "{arguments:?}: {status}: {lines:#?}");
    Ok(lines)
}

/// What a command that fails says.
fn fails(person: &Person, arguments: &[&str], sentence: &str) -> anyhow::Result<()> {
    let (status, lines) = person.run(arguments)?;
    ensure!(status.code() == Some(1), "{arguments:?}: {status}: {lines:#?}");
    ensure!(lines.iter().any(|line| line.contains(sentence)), "not said: {sentence:?}, but: {lines:#?}");
    Ok(())
}

#[test]
fn presence_is_told_as_it_changes() -> anyhow::Result<()> {
    let Setup { relay, people: [alice, bob, carol], folder } = Setup::new(["alice", "bob", "carol"])?;
    let mut watcher = carol.start(&["people", "--watch"])?;
    watcher.wait_for("alice ")?;
    let line = watcher.wait_for("bob ")?;
    ensure!(line.contains("last seen"), "{line}");
    let (caller, callee) = live_call(&alice, &bob)?;
    for (who, state) in [("bob", "online"), ("alice", "online")] {
        let line = watcher.wait_for(&format!("{who} "))?;
        ensure!(line.contains(state), "{line}");
    }
    // Both states of a call change together, in no promised order.
    let mut in_call = [watcher.wait_for("in a call")?, watcher.wait_for("in a call")?];
    in_call.sort();
    ensure!(in_call[0].starts_with("alice") && in_call[1].starts_with("bob"), "{in_call:?}");
    caller.signal("INT")?;
    for process in [caller, callee] {
        process.finish()?;
    }
    for _ in 0..2 {
        watcher.wait_for("last seen")?;
    }
    Person::new(folder.path(), "dave").join(&relay.link, &[])?;
    watcher.wait_for("dave ")?;
    watcher.signal("INT")?;
    let (status, lines) = watcher.finish()?;
    ensure!(status.success(), "{status}: {lines:?}");
    Ok(())
}

#[test]
fn a_second_device_joins_by_password_and_then_comes_in_alone() -> anyhow::Result<()> {
    let Setup { relay, people: [alice, bob], folder: _folder } = Setup::new(["alice", "bob"])?;
    let laptop = alice.on_another_device();
    laptop.join(&relay.link, &["--existing", "--device-name", "laptop"])?;
    let account = |person| -> anyhow::Result<String> {
        let lines = prints(person, &["whoami"])?;
        let account = lines.iter().find_map(|line| line.strip_prefix("account  "));
        Ok(account.with_context(|| format!("no account in {lines:?}"))?.to_owned())
    };
    ensure!(account(&alice)? == account(&laptop)?, "one person has one account key");
    ensure!(account(&alice)? != account(&bob)?);
    // No password is asked for any more: standard input says nothing.
    let mut there = laptop.start(&[&["answer", "--auto"], &SMALL[..]].concat())?;
    there.wait_for("alice is online")?;
    let devices = prints(&alice, &["devices"])?;
    let has = |name: &str, state: &str| devices.iter().any(|line| line.contains(name) && line.contains(state));
    let listed = devices.iter().filter(|line| line.contains(" added ")).count();
    ensure!(listed == 2 && has("laptop", "online") && has("", "this device"), "{devices:?}");
    let mut caller = bob.start(&[&["call", "alice"], &SMALL[..]].concat())?;
    caller.wait_for("In a call with alice.")?;
    there.wait_for("In a call with bob.")?;
    caller.signal("INT")?;
    there.wait_for("bob hung up.")?;
    Ok(())
}

#[test]
fn one_profile_calls_once_and_looks_things_up_meanwhile() -> anyhow::Result<()> {
    let Setup { relay: _relay, people: [alice, bob], folder: _folder } = Setup::new(["alice", "bob"])?;
    let (mut caller, _callee) = live_call(&alice, &bob)?;
    fails(&alice, &["answer"], "another visavis calls or answers with the profile in")?;
    let people = prints(&alice, &["people"])?;
    ensure!(people.iter().any(|line| line.starts_with("bob") && line.ends_with("in a call")), "{people:?}");
    prints(&alice, &["history"])?;
    caller.wait_for("delay_ms")?;
    ensure!(!caller.said().contains("reconnecting"), "the call was disturbed: {}", caller.said());
    Ok(())
}

#[test]
fn a_copied_profile_ends_the_first_connection_with_a_reason() -> anyhow::Result<()> {
    let Setup { relay: _relay, people: [alice], folder } = Setup::new(["alice"])?;
    let copy = Person::new(folder.path(), "copy");
    std::fs::create_dir(copy.profile())?;
    for file in ["profile.toml", "device.key"] {
        std::fs::copy(alice.profile().join(file), copy.profile().join(file))?;
    }
    let mut first = alice.start(&["answer"])?;
    first.wait_for("alice is online")?;
    let mut second = copy.start(&["answer"])?;
    second.wait_for("alice is online")?;
    let (status, lines) = first.finish()?;
    ensure!(status.code() == Some(1), "{status}: {lines:?}");
    ensure!(lines.iter().any(|line| line.contains("this device has connected a second time")), "{lines:?}");
    // And the second stays: the two do not push each other out in turns.
    let third = copy.start(&["whoami"])?;
    third.finish()?;
    ensure!(second.try_line().is_none(), "{}", second.said());
    Ok(())
}

#[test]
fn a_disabled_person_is_sent_away_until_enabled() -> anyhow::Result<()> {
    let Setup { relay, people: [alice, bob], folder: _folder } = Setup::new(["alice", "bob"])?;
    let mut there = bob.start(&["answer"])?;
    there.wait_for("bob is online")?;
    relay.run(&["user", "disable", "bob"])?;
    let (status, lines) = there.finish()?;
    let sentence = "this account has been disabled: ask the relay's operator";
    ensure!(status.code() == Some(1) && lines.iter().any(|line| line.contains(sentence)), "{status}: {lines:?}");
    fails(&bob, &["people"], sentence)?;
    let laptop = bob.on_another_device();
    let (status, lines) = laptop.try_join(&relay.link, PASSWORD, &["--existing"])?;
    ensure!(!status.success() && lines.iter().any(|line| line.contains("wrong name or password")), "{lines:?}");
    let list = relay.run(&["user", "list"])?;
    ensure!(list.iter().any(|line| line.starts_with("bob\tdisabled")), "{list:?}");

    let mut watcher = alice.start(&["people", "--watch"])?;
    watcher.wait_for("Nobody else")?;
    relay.run(&["user", "enable", "bob"])?;
    watcher.wait_for("bob ")?;
    watcher.signal("INT")?;
    watcher.finish()?;
    let mut there = bob.start(&[&["answer", "--auto"], &SMALL[..]].concat())?;
    there.wait_for("bob is online")?;
    let mut caller = alice.start(&[&["call", "bob"], &SMALL[..]].concat())?;
    caller.wait_for("In a call with bob.")?;
    Ok(())
}

#[test]
fn somebody_disabled_in_a_call_is_out_of_it() -> anyhow::Result<()> {
    let Setup { relay, people: [alice, bob], folder: _folder } = Setup::new(["alice", "bob"])?;
    let (caller, callee) = live_call(&alice, &bob)?;
    relay.run(&["user", "disable", "bob"])?;
    let (status, lines) = caller.finish()?;
    ensure!(status.code() == Some(4), "{status}: {lines:?}");
    ensure!(
        lines.iter().any(|line| line.contains("bob was shut out of the relay, which ended the call")),
        "{lines:?}"
    );
    let (status, lines) = callee.finish()?;
    ensure!(!status.success(), "{status}: {lines:?}");
    Ok(())
}

#[test]
fn a_lost_password_is_replaced_by_the_operators_link() -> anyhow::Result<()> {
    let Setup { relay, people: [alice, bob], folder: _folder } = Setup::new(["alice", "bob"])?;
    let link = relay.run(&["user", "passwd-reset", "bob"])?.pop().context("a link")?;
    let again = bob.on_another_device();
    let (status, lines) = again.try_join(&link, "another good password", &[])?;
    ensure!(status.success(), "{lines:?}");
    // What the old key and the old password opened is closed.
    fails(&bob, &["people"], "does not know this device")?;
    let third = Person::new(again.profile(), "bob");
    let (status, lines) = third.try_join(&relay.link, PASSWORD, &["--existing"])?;
    ensure!(!status.success() && lines.iter().any(|line| line.contains("wrong name or password")), "{lines:?}");
    let mut there = again.start(&[&["answer", "--auto"], &SMALL[..]].concat())?;
    there.wait_for("bob is online")?;
    let mut caller = alice.start(&[&["call", "bob"], &SMALL[..]].concat())?;
    caller.wait_for("In a call with bob.")?;
    Ok(())
}

#[test]
fn an_invite_lets_in_one_person_once() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let relay = Relay::start_with::<&str>(&folder.path().join("relay"), &[])?;
    let person = |name: &str| Person::new(folder.path(), name);
    let refused = |who: &str, link: &str, sentence: &str| -> anyhow::Result<()> {
        let (status, lines) = person(who).try_join(link, PASSWORD, &[])?;
        ensure!(status.code() == Some(1), "{status}: {lines:?}");
        ensure!(lines.iter().any(|line| line.contains(sentence)), "not said: {sentence:?}, but: {lines:?}");
        Ok(())
    };
    let invite = relay.invite()?;
    person("alice").join(&invite, &[])?;
    refused(
        "bob",
        &invite,
        "this invite is not valid: it was used already, has expired, or is for another name. Ask for a new one",
    )?;
    refused("bob", &relay.link, "this relay registers people by invite only")?;
    let for_bob = relay.run(&["user", "add", "bob"])?.pop().context("a link")?;
    refused("carol", &for_bob, "this invite is not valid")?;
    person("bob").join(&for_bob, &[])?;
    let list = relay.run(&["user", "list"])?;
    ensure!(list.len() == 2, "{list:?}");
    Ok(())
}
