//! One's devices, with real binaries: who may shut out which, and what the one that was shut out is told.

use std::{fs, process::ExitStatus};

use anyhow::{Context, ensure};
use visavis_tests::real::{PASSWORD, Person, Setup};

/// Runs `visavis devices revoke` with a password.
fn revoke(person: &Person, password: &str, arguments: &[&str]) -> anyhow::Result<(ExitStatus, String)> {
    let mut process = person.start(&[&["devices", "revoke", "--password-stdin"], arguments].concat())?;
    // A command that is refused before the password is needed does not read it.
    let _ = process.type_line(password);
    let (status, lines) = process.finish()?;
    println!("{status}: {}", lines.join("\n"));
    Ok((status, lines.join("\n")))
}

/// The lines of `visavis devices` about devices.
fn devices(person: &Person) -> anyhow::Result<Vec<String>> {
    let (status, lines) = person.run(&["devices"])?;
    ensure!(status.success(), "{status}: {lines:?}");
    Ok(lines.into_iter().filter(|line| line.contains(" added ")).collect())
}

/// Somebody with two devices, the other one called phone.
fn with_a_phone() -> anyhow::Result<(Setup<1>, Person)> {
    let setup = Setup::new(["alice"])?;
    let phone = setup.people[0].on_another_device();
    phone.join(&setup.relay.link, &["--existing", "--device-name", "phone"])?;
    Ok((setup, phone))
}

#[test]
fn a_revoked_device_is_dropped_at_once_and_refused_from_then_on() -> anyhow::Result<()> {
    let (Setup { relay, people: [alice], folder: _folder }, phone) = with_a_phone()?;
    let mut connected = phone.start(&["answer"])?;
    connected.wait_for("waiting for a call")?;
    let before = devices(&alice)?;
    ensure!(before.len() == 2, "{before:?}");
    let line = before.iter().find(|line| line.contains("phone")).context("the phone")?;
    ensure!(line.contains("online"), "{line}");
    let id = line.split_whitespace().next().context("an id")?;

    let (status, said) = revoke(&alice, PASSWORD, &[id])?;
    ensure!(status.success() && said.contains("phone") && said.contains("logged out"), "{status}: {said}");
    let (status, lines) = connected.finish()?;
    let said = lines.join("\n");
    ensure!(!status.success() && said.contains("was removed from its account"), "{status}: {said}");

    let (status, lines) = phone.run(&["people"])?;
    let said = lines.join("\n");
    for part in ["does not know this device", "revoked", "visavis join LINK", "--existing"] {
        ensure!(!status.success() && said.contains(part), "{part:?} is missing in {said}");
    }
    let after = devices(&alice)?;
    ensure!(after.len() == 1 && after[0].contains("this device"), "{after:?}");

    // It comes back as it was told to, in the folder where it was.
    phone.join(&relay.link, &["--existing", "--device-name", "phone"])?;
    ensure!(devices(&phone)?.len() == 2);
    Ok(())
}

#[test]
fn only_the_password_revokes_and_the_present_device_only_when_it_is_named() -> anyhow::Result<()> {
    let (Setup { relay, people: [alice], folder: _folder }, phone) = with_a_phone()?;
    let own = devices(&phone)?.iter().find(|line| line.contains("this device")).context("its own")?.clone();
    let own = own.split_whitespace().next().context("an id")?.to_owned();
    for (password, arguments, says) in [
        ("not the password", &["phone", "--this-device"][..], "wrong name or password"),
        (PASSWORD, &[&own], "add --this-device"),
        (PASSWORD, &["tablet"], "none of your devices has the id or name \"tablet\""),
        (PASSWORD, &[""], "visavis devices shows them"),
    ] {
        let (status, said) = revoke(&phone, password, arguments)?;
        ensure!(status.code() == Some(1) && said.contains(says), "{says:?} is missing in {said}");
    }
    let (status, said) = revoke(&alice, PASSWORD, &["phone", "--this-device"])?;
    ensure!(status.code() == Some(1) && said.contains("leave out --this-device"), "{said}");
    ensure!(devices(&alice)?.len() == 2, "a refused command has revoked something");

    let (status, said) = revoke(&phone, PASSWORD, &[&own, "--this-device"])?;
    ensure!(status.success() && said.contains("no longer yours"), "{status}: {said}");
    ensure!(!phone.profile().join("device.key").exists(), "the key is of no use and still there");
    let (_, lines) = phone.run(&["whoami"])?;
    ensure!(lines.join("\n").contains("there is no profile in"), "{lines:?}");
    ensure!(devices(&alice)?.len() == 1);
    phone.join(&relay.link, &["--existing"])?;
    ensure!(devices(&alice)?.len() == 2);
    Ok(())
}

#[test]
fn a_join_that_was_interrupted_is_finished_by_the_next_one() -> anyhow::Result<()> {
    let (Setup { relay, people: [alice], folder: _folder }, phone) = with_a_phone()?;
    let interrupt =
        || fs::rename(phone.profile().join("profile.toml"), phone.profile().join("profile.new")).context("a profile");

    // After the relay had registered the device: no password is needed.
    interrupt()?;
    let (status, lines) = phone.run(&["people"])?;
    let said = lines.join("\n");
    ensure!(!status.success() && said.contains("interrupted") && said.contains("same visavis join"), "{said}");
    let (status, lines) = phone.try_join(&relay.link, "not the password", &["--existing"])?;
    let said = lines.join("\n");
    ensure!(status.success() && said.contains("interrupted after the relay had registered"), "{status}: {said}");
    ensure!(devices(&phone)?.len() == 2);

    // Before: what it left is taken away, and joining goes on as usual.
    let (status, said) = revoke(&alice, PASSWORD, &["phone"])?;
    ensure!(status.success(), "{said}");
    interrupt()?;
    phone.join(&relay.link, &["--existing"])?;
    ensure!(!phone.profile().join("profile.new").exists());
    ensure!(devices(&phone)?.len() == 2);

    // Without a relay nobody knows, and nothing is lost.
    interrupt()?;
    let link = relay.link.clone();
    relay.stop()?;
    let (status, lines) = phone.try_join(&link, PASSWORD, &["--existing"])?;
    let said = lines.join("\n");
    ensure!(!status.success() && said.contains("only the relay knows"), "{status}: {said}");
    ensure!(phone.profile().join("profile.new").exists() && phone.profile().join("device.key").exists());
    Ok(())
}
