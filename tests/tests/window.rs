//! The window, on a screen that nobody sees: two people join, see each other, talk and hang up, by keyboard.
//!
//! What each window shows is asserted by what it tells (`--state-json`) and by what is on the screen. With
//! `VISAVIS_SHOTS=FOLDER` every step's screen is kept there, to be looked at. Windows with devices are in `window_devices.rs`.

use std::{ffi::OsStr, process::Command};

use anyhow::{Context, ensure};
use serde_json::Value;
use visavis_tests::{
    real::{PASSWORD, PATIENCE, Person, Process, Relay, binary, pretending_library, skipped},
    screen::{Screen, missing},
    window::{SCENE, Somebody},
};

#[test]
fn a_whole_life_by_keyboard() -> anyhow::Result<()> {
    if skipped(missing()) {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let relay = Relay::start(&folder.path().join("relay"))?;

    // Alice pastes the link, Bob was started with it.
    let mut alice = Somebody::sits_down(folder.path(), "alice", &SCENE, &[])?;
    alice.sees("the first screen", |shown| shown["access"] == "welcome")?;
    alice.keeps("welcome")?;
    alice.joins(&[&relay.link, "alice", PASSWORD, PASSWORD])?;
    let mut bob = Somebody::sits_down(folder.path(), "bob", &[&SCENE[..], &[relay.link.as_str()]].concat(), &[])?;
    bob.joins(&["bob", PASSWORD, PASSWORD])?;

    // They see each other, and Alice calls the one that she chooses.
    bob.sees("alice online", |shown| shown["online"] == serde_json::json!(["alice"]))?;
    alice.sees("bob online", |shown| shown["online"] == serde_json::json!(["bob"]))?;
    alice.keeps("people")?;
    alice.screen.press(&["Down", "Return"])?;
    alice.sees_phase("ringing_out")?;
    bob.sees_phase("ringing_in")?;
    // What was typed for something else does not take a call.
    bob.sees("that keys answer", |shown| shown["call"]["keys_answer"] == true)?;
    alice.keeps("ringing-out")?;
    bob.keeps("ringing-in")?;
    bob.screen.press(&["Return"])?;

    // Pictures come both ways, and are drawn.
    for person in [&mut alice, &mut bob] {
        person.sees_phase("live")?;
        person.sees("the other's picture and one's own", |shown| {
            shown["remote"] == "here" && shown["own"] == "here" && shown["call"]["live"]["fps"].as_f64() > Some(1.0)
        })?;
        person.keeps("call")?;
        let colors = person.screen.look()?.colors_in_the_middle();
        ensure!(colors > 100, "{}'s window shows {colors} colours where the other should be", person.name);
    }

    // What Alice switches off is told to Bob.
    alice.screen.press(&["m"])?;
    alice.sees("muted", |shown| shown["call"]["muted"] == true)?;
    bob.sees("alice muted", |shown| shown["call"]["peer_muted"] == true)?;
    alice.screen.press(&["v"])?;
    alice.sees("the camera off", |shown| shown["call"]["camera_off"] == true)?;
    bob.sees("alice's camera off", |shown| shown["call"]["peer_camera_off"] == true)?;
    bob.keeps("camera-off")?;
    alice.screen.press(&["v", "m", "F3"])?;
    bob.sees("alice's camera on", |shown| {
        shown["call"]["peer_camera_off"] == false && shown["call"]["peer_muted"] == false
    })?;
    alice.sees("the figures", |shown| shown["stats"] == true)?;
    alice.keeps("figures")?;
    alice.screen.press(&["ctrl+comma"])?;
    alice.sees("the settings", |shown| shown["settings"] == true)?;
    alice.keeps("settings")?;
    alice.screen.press(&["Escape"])?;
    alice.sees("the call again", |shown| shown["settings"] == false)?;

    // Bob hangs up; both have a past call.
    bob.screen.press(&["ctrl+h"])?;
    bob.sees_phase("over")?;
    let over = alice.sees_phase("over")?;
    ensure!(over["call"]["why"] == "bob hung up.", "{}", over["call"]["why"]);
    alice.keeps("over")?;
    for person in [&mut alice, &mut bob] {
        person.screen.press(&["Escape"])?;
        person.sees("a past call", |shown| shown["call"].is_null() && shown["past_calls"] == 1)?;
        person.screen.press(&["ctrl+2"])?;
    }
    // The list is drawn by the time that the settings are.
    alice.screen.press(&["ctrl+comma"])?;
    alice.sees("the settings", |shown| shown["settings"] == true)?;
    alice.screen.press(&["Escape"])?;
    alice.sees("the list", |shown| shown["settings"] == false)?;
    alice.keeps("history")?;

    // Asked by the system, they end in order.
    for Somebody { name, mut window, .. } in [alice, bob] {
        window.signal("TERM")?;
        let (status, lines) = window.finish_within(PATIENCE)?;
        ensure!(status.success(), "{name}'s window ended with {status}: {lines:?}");
    }
    relay.stop()
}

#[test]
fn a_window_that_is_resized_dragged_and_covered_stalls_no_media() -> anyhow::Result<()> {
    if skipped(missing()) {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let relay = Relay::start(&folder.path().join("relay"))?;
    let people = ["alice", "bob"].map(|name| Person::new(folder.path(), name));
    people.iter().try_for_each(|person| person.join(&relay.link, &[]))?;
    let mut bob =
        Somebody::sits_down(folder.path(), "bob", &[&SCENE[..], &["--answer-automatically"]].concat(), &[])?;
    bob.sees("being online", |shown| shown["connection"] == "online")?;
    let report = folder.path().join("alice.json");
    let path = report.to_str().context("a path")?;
    let mut alice = people[0].start(&["call", "bob", "--size=320x180", "--duration=600", "--report", path])?;
    bob.sees("the other's picture", |shown| shown["remote"] == "here")?;
    for step in 0..60_u32 {
        let (width, height) = (500 + step * 97 % 600, 480 + step * 61 % 240);
        bob.screen.xdotool(&[
            "search",
            "--onlyvisible",
            "--name",
            "Visavis",
            "windowsize",
            &width.to_string(),
            &height.to_string(),
        ])?;
    }
    let size = serde_json::json!([500 + 59 * 97 % 600, 480 + 59 * 61 % 240]);
    bob.sees("the last size", |shown| shown["size"] == size)?;
    for step in 0..60_u32 {
        let [x, y] = [step * 37 % 400, step * 53 % 300].map(|place| place.to_string());
        bob.screen.xdotool(&["search", "--onlyvisible", "--name", "Visavis", "windowmove", &x, &y])?;
    }
    let cover = bob.screen.cover()?;
    let seconds = |shown: &Value| shown["call"]["live"]["seconds"].as_f64().unwrap_or_default();
    let begun = seconds(bob.sees("figures", |shown| seconds(shown) > 0.0)?);
    // Bob's side goes on taking Alice's pictures, although nobody sees them.
    let last = bob.sees("pictures under another window", |shown| {
        seconds(shown) >= begun + 3.0 && shown["call"]["live"]["fps"].as_f64() > Some(20.0)
    })?;
    ensure!(last["call"]["phase"] == "live", "the call did not outlive it: {last}");
    drop(cover);
    bob.screen.press(&["ctrl+h"])?;
    alice.wait_for("bob hung up.")?;
    let (status, lines) = alice.finish()?;
    ensure!(status.success(), "{lines:?}");
    bob.sees_phase("over")?;
    // What Bob's side sent meanwhile arrived without a gap.
    let report: Value = serde_json::from_str(&std::fs::read_to_string(report)?)?;
    let longest = report["directions"][0]["longest_freeze_ms"].as_f64().context("a figure")?;
    println!("bob's pictures stood still for {longest:.0} ms at most");
    ensure!(longest < 500.0, "bob's pictures stood still for {longest} ms at alice's");
    relay.stop()
}

/// The number that the screen has for a window.
fn x11_window(shown: &Value) -> anyhow::Result<u32> {
    Ok(shown["window"].as_u64().context("no window is told")?.try_into()?)
}

#[test]
fn closing_the_window_in_a_call_asks_first() -> anyhow::Result<()> {
    if skipped(missing()) {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let relay = Relay::start(&folder.path().join("relay"))?;
    let people = ["alice", "bob"].map(|name| Person::new(folder.path(), name));
    people.iter().try_for_each(|person| person.join(&relay.link, &[]))?;
    let flags = [&SCENE[..], &["--answer-automatically"]].concat();
    let mut bob = Somebody::sits_down(folder.path(), "bob", &flags, &[])?;
    bob.sees("being online", |shown| shown["connection"] == "online")?;
    let mut alice = people[0].start(&["call", "bob", "--size=320x180", "--duration=600"])?;
    let live = bob.sees("the other's picture", |shown| shown["remote"] == "here")?;
    let window = x11_window(live)?;
    bob.screen.ask_to_close(window)?;
    bob.sees("the question", |shown| shown["closing"] == true)?;
    bob.keeps("closing")?;
    bob.screen.press(&["Escape"])?;
    let stays = bob.sees("the call again", |shown| shown["closing"] == false)?;
    ensure!(stays["call"]["phase"] == "live", "{stays}");
    bob.screen.ask_to_close(window)?;
    bob.sees("the question again", |shown| shown["closing"] == true)?;
    bob.screen.press(&["Return"])?;
    let (status, lines) = bob.window.finish_within(PATIENCE)?;
    ensure!(status.success(), "{status}: {lines:?}");
    alice.wait_for("bob hung up")?;

    // Without a call nobody is asked.
    let mut bob = Somebody::sits_down(folder.path(), "bob", &SCENE, &[])?;
    let window = x11_window(bob.sees("being online", |shown| shown["connection"] == "online")?)?;
    bob.screen.ask_to_close(window)?;
    let (status, lines) = bob.window.finish_within(PATIENCE)?;
    ensure!(status.success(), "{status}: {lines:?}");
    relay.stop()
}

#[test]
fn a_relay_that_is_silent_is_told_and_nobody_calls_into_the_void() -> anyhow::Result<()> {
    if skipped(missing()) {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let relay = Relay::start(&folder.path().join("relay"))?;
    let people = ["alice", "bob"].map(|name| Person::new(folder.path(), name));
    people.iter().try_for_each(|person| person.join(&relay.link, &[]))?;
    let mut bob = Somebody::sits_down(folder.path(), "bob", &SCENE, &[])?;
    bob.sees("being online", |shown| shown["connection"] == "online")?;
    relay.process.signal("STOP")?;
    bob.sees("silence", |shown| shown["connection"] == "silent")?;
    bob.keeps("silent")?;
    bob.screen.press(&["Down", "Return", "ctrl+comma"])?;
    bob.sees("that the keys were heard", |shown| shown["settings"] == true)?;
    bob.screen.press(&["Escape"])?;
    relay.process.signal("CONT")?;
    let again = bob.sees("being online again", |shown| shown["connection"] == "online")?;
    ensure!(again["call"].is_null(), "somebody was called through a relay that does not answer: {again}");
    relay.stop()
}

#[test]
fn a_graphics_driver_that_loses_its_device_costs_a_moment_and_one_that_goes_on_doing_so_is_told() -> anyhow::Result<()>
{
    if skipped(missing()) {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let relay = Relay::start(&folder.path().join("relay"))?;
    let people = ["alice", "bob"].map(|name| Person::new(folder.path(), name));
    people.iter().try_for_each(|person| person.join(&relay.link, &[]))?;
    let library = pretending_library("vulkan-pretend")?;
    let manifest = serde_json::json!({
        "file_format_version": "1.1.0",
        "layer": {
            "name": "VK_LAYER_VISAVIS_pretend", "type": "GLOBAL", "library_path": library, "api_version": "1.3.0",
            "implementation_version": "1", "description": "loses the device when it is told to",
        },
    });
    std::fs::write(folder.path().join("layer.json"), manifest.to_string())?;
    let lose = folder.path().join("lose");
    let layer = [
        ("VK_LAYER_PATH", folder.path().as_os_str()),
        ("VK_INSTANCE_LAYERS", OsStr::new("VK_LAYER_VISAVIS_pretend")),
        ("VISAVIS_LOSE_DEVICE", lose.as_os_str()),
    ];
    let flags = [&SCENE[..], &["--answer-automatically"]].concat();
    let mut bob = Somebody::sits_down(folder.path(), "bob", &flags, &layer)?;
    bob.sees("being online", |shown| shown["connection"] == "online")?;
    let mut alice = people[0].start(&["call", "bob", "--size=320x180", "--duration=600"])?;
    let before = bob.sees("the other's picture", |shown| shown["remote"] == "here")?["window"].clone();
    std::fs::write(&lose, "")?;
    let after =
        bob.sees("the call in another window", |shown| shown["window"] != before && shown["remote"] == "here")?;
    ensure!(after["call"]["phase"] == "live" && after["size"] == serde_json::json!([1_120, 720]), "{after}");
    let seconds = |shown: &Value| shown["call"]["live"]["seconds"].as_f64().unwrap_or_default();
    let anew = seconds(after);
    bob.sees("pictures drawn there", |shown| {
        seconds(shown) >= anew + 2.0 && shown["call"]["live"]["fps"].as_f64() > Some(1.0)
    })?;
    let colors = bob.screen.look()?.colors_in_the_middle();
    ensure!(colors > 100, "the new window shows {colors} colours where the other should be");
    std::fs::write(&lose, "")?;
    let (status, lines) = bob.window.finish_within(PATIENCE)?;
    let told = lines.iter().any(|line| line.contains("the graphics driver failed while drawing"));
    ensure!(status.code() == Some(1) && told, "{status}: {lines:?}");
    alice.wait_for("bob hung up")?;
    relay.stop()
}

#[test]
fn a_second_start_calls_the_window_that_is_open() -> anyhow::Result<()> {
    if skipped(missing()) {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let relay = Relay::start(&folder.path().join("relay"))?;
    let person = Person::new(folder.path(), "alice");
    person.join(&relay.link, &[])?;
    let mut alice = Somebody::sits_down(folder.path(), "alice", &SCENE, &[])?;
    alice.sees("being online", |shown| shown["connection"] == "online")?;
    let mut again = person.start_window(&alice.screen.display, &[&relay.link], &[])?;
    let (status, lines) = again.finish_within(PATIENCE)?;
    ensure!(status.success() && lines == ["Visavis is open already: its window comes to the front."], "{lines:?}");
    alice.sees("what became of the link", |shown| {
        shown["notice"] == "You have joined 127.0.0.1 already, as alice." && shown["access"] == "member"
    })?;

    // So it is at the first start of all, when there is no profile yet: the link is filled in.
    let mut bob = Somebody::sits_down(folder.path(), "bob", &SCENE, &[])?;
    bob.sees("the first screen", |shown| shown["access"] == "welcome")?;
    let mut again = Person::new(folder.path(), "bob").start_window(&bob.screen.display, &[&relay.link], &[])?;
    let (status, lines) = again.finish_within(PATIENCE)?;
    ensure!(status.success() && lines == ["Visavis is open already: its window comes to the front."], "{lines:?}");
    bob.tabs(1)?;
    bob.joins(&["bob", PASSWORD, PASSWORD])?;
    relay.stop()
}

#[test]
fn the_demo_opens_two_windows_in_a_call() -> anyhow::Result<()> {
    if skipped(missing()) {
        return Ok(());
    }
    let screen = Screen::start(1_280, 800)?;
    let mut command = Command::new(binary("visavis-demo")?);
    command.env("DISPLAY", &screen.display).env_remove("WAYLAND_DISPLAY").env_remove("WAYLAND_SOCKET");
    let mut demo = Process::start("visavis-demo", command.args(["--seconds=5", "--", "--size=640x360"]))?;
    for sight in ["alice sees", "bob sees"] {
        demo.wait_for(sight)?;
    }
    let windows = screen.windows("Visavis")?;
    ensure!(windows == 2, "{windows} windows are open");
    let colors = screen.look()?.colors_in_the_middle();
    ensure!(colors > 100, "the windows show {colors} colours where the other should be");
    let (status, lines) = demo.finish()?;
    let told = |what: &str| lines.iter().any(|line| line.contains(what));
    ensure!(status.success() && told("alice -> bob") && told("bob -> alice"), "{status}: {lines:#?}");
    Ok(())
}

#[test]
fn without_a_display_one_sentence_says_what_to_do() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut command = Command::new(binary("visavis")?);
    command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY").env_remove("WAYLAND_SOCKET");
    command.arg("--profile").arg(folder.path());
    let (status, lines) = Process::start("visavis", &mut command)?.finish()?;
    ensure!(status.code() == Some(1), "{status}: {lines:?}");
    let [sentence] = &lines[..] else { anyhow::bail!("not one sentence: {lines:?}") };
    ensure!(sentence.contains("there is no display") && sentence.contains("visavis --help"), "{sentence}");
    let (status, lines) = Process::start("visavis", command.env("DISPLAY", ":65000"))?.finish()?;
    let said = lines.join("\n");
    let told = said.contains("the display does not answer (") && said.contains("visavis --help");
    ensure!(status.code() == Some(1) && told && !said.contains(".rs"), "{status}: {said}");
    Ok(())
}
