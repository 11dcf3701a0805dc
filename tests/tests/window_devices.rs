//! The window with devices: a driver that is pretended, on a screen that nobody sees.

#![cfg(target_os = "linux")]

use std::{
    ffi::{OsStr, OsString},
    path::Path,
};

use anyhow::{Context, ensure};
use visavis::stats::collector::Live;
use visavis_tests::{
    cameras::Machine,
    hearing::{RING_HZ, RINGBACK_HZ, TEST_HZ, level_db, share_of_notes},
    pulse::{self, Pulse},
    real::{PATIENCE, Process, Setup, skipped},
    screen::{self, Screen},
    voices::speech,
    window::Somebody,
};

/// What DroidCam has on Linux: YU12 and nothing else.
const DROIDCAM: &str = "mode = YU12 320x240 1/30";

/// What every webcam has.
const WEBCAM: &str = "mode = YUYV 320x240 1/30";

/// Waits until as many pictures a second come as are wanted.
fn sees_pictures(process: &mut Process, wanted: impl Fn(f64) -> bool) -> anyhow::Result<()> {
    let live = |line: &str| serde_json::from_str::<Live>(line).ok().filter(|live| wanted(live.fps));
    process.wait_until(PATIENCE, live).context("waiting for pictures").map(drop)
}

#[test]
fn a_camera_is_seen_before_it_is_used_changed_lost_and_back() -> anyhow::Result<()> {
    if skipped(screen::missing()) {
        return Ok(());
    }
    let Setup { relay: _relay, people: [_, bob], folder } = Setup::new(["alice", "bob"])?;
    let machine = Machine::new()?;
    machine.plug(0, DROIDCAM)?;
    let mut alice = Somebody::sits_down(folder.path(), "alice", &[], &machine.environment())?;
    alice.sees("the camera found, and closed", |shown| {
        shown["devices"]["cameras"] == serde_json::json!(["Camera 0"]) && shown["devices"]["camera"].is_null()
    })?;

    // The settings show what it sees; another one that is plugged in is there the next time, and is chosen.
    alice.screen.press(&["ctrl+comma"])?;
    alice.sees("a preview", |shown| shown["own"] == "here" && shown["devices"]["camera"] == "Camera 0")?;
    alice.screen.press(&["Escape"])?;
    alice.sees("the camera closed", |shown| shown["settings"] == false && shown["devices"]["camera"].is_null())?;
    machine.plug(1, WEBCAM)?;
    alice.screen.press(&["ctrl+comma"])?;
    alice
        .sees("another camera", |shown| shown["devices"]["cameras"] == serde_json::json!(["Camera 0", "Camera 1"]))?;
    alice.keeps("camera-settings")?;
    // Back, the best available, the first, the second.
    alice.tabs(4)?;
    alice.screen.press(&["space"])?;
    alice.sees("the other camera", |shown| shown["own"] == "here" && shown["devices"]["camera"] == "Camera 1")?;
    alice.screen.press(&["Escape"])?;
    alice.sees("the camera closed", |shown| shown["settings"] == false && shown["devices"]["camera"].is_null())?;

    let mut answering = bob.start(&["answer", "--auto", "--live-json", "--no-video"])?;
    answering.wait_for("waiting for a call")?;
    alice.sees("bob online", |shown| shown["online"] == serde_json::json!(["bob"]))?;
    alice.screen.press(&["Down", "Return"])?;
    alice.sees_phase("live")?;
    alice.sees("oneself", |shown| shown["own"] == "here" && shown["devices"]["camera"] == "Camera 1")?;
    sees_pictures(&mut answering, |fps| fps >= 15.0)?;

    // The call goes on without it, says why, and has it back.
    machine.unplug(1)?;
    let shown = alice.sees("what happened", |shown| shown["own"] == "fault")?;
    let sentence = shown["own_fault"].as_str().context("no sentence")?;
    ensure!(sentence.starts_with("Camera 1 is gone: plug it in"), "{sentence}");
    sees_pictures(&mut answering, |fps| fps < 5.0)?;
    alice.keeps("camera-gone")?;
    machine.plug(1, WEBCAM)?;
    alice.sees("oneself again", |shown| shown["own"] == "here")?;
    sees_pictures(&mut answering, |fps| fps >= 15.0)?;

    // Switched off, its light goes out.
    alice.screen.press(&["v"])?;
    alice.sees("the camera closed", |shown| {
        shown["call"]["camera_off"] == true && shown["devices"]["camera"].is_null()
    })?;
    alice.screen.press(&["v"])?;
    alice.sees("the camera open", |shown| shown["devices"]["camera"] == "Camera 1")?;
    alice.screen.press(&["ctrl+h"])?;
    alice.sees("the camera closed after the call", |shown| {
        shown["call"]["phase"] == "over" && shown["devices"]["camera"].is_null()
    })?;
    let (status, lines) = answering.finish()?;
    ensure!(status.success(), "{status}: {lines:#?}");
    Ok(())
}

/// What windows with sound need and this machine lacks, by name.
fn missing() -> Option<&'static str> {
    screen::missing().or_else(pulse::missing)
}

/// What a window has that uses the devices of this machine and of this server.
fn devices<'a>(machine: &'a Machine, server: &'a [(&'static str, OsString)]) -> Vec<(&'a str, &'a OsStr)> {
    machine.environment().into_iter().chain(server.iter().map(|(name, value)| (*name, value.as_os_str()))).collect()
}

/// Louder than this is heard, in dB relative to full scale.
const HEARD_DB: f64 = -40.0;

/// Quieter than this is silence.
const SILENCE_DB: f64 = -70.0;

/// Alice speaks for a few seconds. Answers what was heard of it at these sinks of Bob's; that she spoke is certain.
fn alice_speaks<const N: usize>(
    alice: &Pulse,
    bob: &Pulse,
    speech: &Path,
    sinks: [&str; N],
) -> anyhow::Result<[f64; N]> {
    const SECONDS: u64 = 4;
    let (said, heard) = (alice.hear(["Mouth"], SECONDS)?, bob.hear(sinks, SECONDS + 1)?);
    let speaking = alice.play(speech, "Mouth")?;
    let [said] = said.finish()?;
    // Her last word is on its way for less than a second.
    drop(speaking);
    let heard = heard.finish()?;
    ensure!(level_db(&said) > HEARD_DB, "nothing was said");
    let levels = heard.map(|heard| level_db(&heard));
    println!("said at {:.1} dBFS, heard at {levels:.1?} dBFS", level_db(&said));
    Ok(levels)
}

#[test]
fn a_whole_life_by_mouse_with_real_devices() -> anyhow::Result<()> {
    if skipped(missing()) {
        return Ok(());
    }
    let Setup { relay: _relay, people: _people, folder } = Setup::new(["alice", "bob"])?;
    let server = |name: &str, sinks: &[(&str, u32)]| -> anyhow::Result<Pulse> {
        let server = Pulse::start(&folder.path().join(name).join("pulse"), sinks)?;
        server.make_default_microphone("Mouth")?;
        Ok(server)
    };
    let alices = server("alice", &[("Ear", 48_000), ("Mouth", 48_000)])?;
    let bobs = server("bob", &[("Ear", 48_000), ("Mouth", 16_000), ("Headset", 44_100)])?;
    let machines = [Machine::new()?, Machine::new()?];
    machines[0].plug(0, DROIDCAM)?;
    machines[1].plug(0, WEBCAM)?;
    let servers = [alices.environment(), bobs.environment()];
    let mut alice = Somebody::sits_down(folder.path(), "alice", &[], &devices(&machines[0], &servers[0]))?;
    let mut bob = Somebody::sits_down(folder.path(), "bob", &[], &devices(&machines[1], &servers[1]))?;

    // Who calls hears that it rings there, who is called hears it ring.
    alice.sees("bob online", |shown| shown["online"] == serde_json::json!(["bob"]))?;
    alice.clicks("Call bob")?;
    alice.sees_phase("ringing_out")?;
    bob.sees_phase("ringing_in")?;
    let (ringback, ring) = (alices.hear(["Ear"], 6)?, bobs.hear(["Ear"], 6)?);
    let ([ringback], [ring]) = (ringback.finish()?, ring.finish()?);
    for (who, heard, notes) in [("alice", &ringback, &RINGBACK_HZ[..]), ("bob", &ring, &RING_HZ)] {
        let (level, share) = (level_db(heard), share_of_notes(heard, notes));
        println!("{who} hears it ring at {level:.1} dBFS, {share:.2} of it at the notes");
        ensure!(level > HEARD_DB && share > 0.7, "{who} hears {level} dBFS, {share} of it at {notes:?} Hz");
    }
    bob.clicks("Accept")?;

    // They see each other.
    for person in [&mut alice, &mut bob] {
        person.sees_phase("live")?;
        person.sees("the other's picture and one's own", |shown| {
            let live = &shown["call"]["live"];
            let here =
                shown["remote"] == "here" && shown["own"] == "here" && shown["devices"]["camera"] == "Camera 0";
            here && live["fps"].as_f64() > Some(10.0)
        })?;
        person.sees("microphone and speaker", |shown| {
            shown["devices"]["microphone"]["name"] == "Monitor of Mouth"
                && shown["devices"]["speaker"]["name"] == "Ear"
        })?;
        person.keeps("devices-call")?;
        let colors = person.screen.look()?.colors_in_the_middle();
        ensure!(colors > 100, "{}'s window shows {colors} colours where the other should be", person.name);
    }

    // Alice is heard, but not while she is muted.
    let speech = speech(folder.path(), "en-gb", 100)?;
    let [heard] = alice_speaks(&alices, &bobs, &speech, ["Ear"])?;
    ensure!(heard > HEARD_DB, "alice is heard at {heard} dBFS");
    alice.clicks("Mute")?;
    alice.sees("muted", |shown| shown["call"]["muted"] == true)?;
    bob.sees("alice muted", |shown| shown["call"]["peer_muted"] == true)?;
    let [heard] = alice_speaks(&alices, &bobs, &speech, ["Ear"])?;
    ensure!(heard < SILENCE_DB, "alice is muted and heard at {heard} dBFS");
    alice.clicks("Unmute")?;
    bob.sees("alice no longer muted", |shown| shown["call"]["peer_muted"] == false)?;
    let [heard] = alice_speaks(&alices, &bobs, &speech, ["Ear"])?;
    ensure!(heard > HEARD_DB, "alice is heard at {heard} dBFS after she was muted");

    // Bob puts his headset on.
    bob.clicks("Devices")?;
    bob.sees("the headset in the menu", |shown| !shown["buttons"]["Headset"].is_null())?;
    bob.keeps("devices-menu")?;
    bob.clicks("Headset")?;
    bob.sees("the headset in use", |shown| shown["devices"]["speaker"]["name"] == "Headset")?;
    bob.keeps("devices-menu-chosen")?;
    bob.clicks("Devices")?;
    bob.sees("the menu closed", |shown| shown["buttons"]["Headset"].is_null())?;
    let [ear, headset] = alice_speaks(&alices, &bobs, &speech, ["Ear", "Headset"])?;
    ensure!(headset > HEARD_DB, "alice is heard at {headset} dBFS in the headset");
    ensure!(ear < SILENCE_DB, "alice is still heard at {ear} dBFS where the headset is not");

    // Alice hangs up; both have a past call, and their devices are closed.
    alice.clicks("Hang up")?;
    bob.sees_phase("over")?;
    for person in [&mut alice, &mut bob] {
        person.sees_phase("over")?;
        person.clicks("Close")?;
        person.sees("a past call, and devices closed", |shown| {
            let devices = &shown["devices"];
            let closed = [&devices["camera"], &devices["microphone"]["name"], &devices["speaker"]["name"]];
            shown["call"].is_null() && shown["past_calls"] == 1 && closed.iter().all(|device| device.is_null())
        })?;
        person.keeps("devices-after")?;
    }
    Ok(())
}

#[test]
fn devices_are_tried_in_the_settings_and_appear_there() -> anyhow::Result<()> {
    if skipped(missing()) {
        return Ok(());
    }
    // All devices in the settings are seen at once.
    const SIZE: (u32, u32) = (800, 1_900);
    let Setup { relay: _relay, people: _people, folder } = Setup::new(["alice"])?;
    let server = Pulse::start(&folder.path().join("alice").join("pulse"), &[("Ear", 48_000), ("Mouth", 48_000)])?;
    server.make_default_microphone("Mouth")?;
    let machine = Machine::new()?;
    machine.plug(0, WEBCAM)?;
    let environment = server.environment();
    let screen = Screen::start(SIZE.0, SIZE.1)?;
    let mut alice = Somebody::sits_down_at(screen, folder.path(), "alice", &[], &devices(&machine, &environment))?;
    let (width, height) = (SIZE.0.to_string(), SIZE.1.to_string());
    alice.screen.xdotool(&["search", "--onlyvisible", "--name", "Visavis", "windowsize", &width, &height])?;
    alice.sees("all of the screen", |shown| shown["size"] == serde_json::json!([SIZE.0, SIZE.1]))?;
    alice.clicks("Settings")?;
    alice.sees("what camera and microphone give", |shown| {
        shown["own"] == "here" && shown["devices"]["microphone"]["name"] == "Monitor of Mouth"
    })?;

    // A headset that is connected is there at once, and can be chosen.
    server.plug("Headset", 44_100)?;
    alice.sees("the headset", |shown| {
        shown["devices"]["speakers"] == serde_json::json!(["Ear", "Mouth", "Headset"])
            && !shown["buttons"]["Headset"].is_null()
            && !shown["buttons"]["Monitor of Headset"].is_null()
    })?;
    alice.clicks("Headset")?;
    let heard = server.hear(["Ear", "Headset"], 4)?;
    alice.clicks("Play a test tone")?;
    let [ear, headset] = heard.finish()?;
    let (level, share) = (level_db(&headset), share_of_notes(&headset, &TEST_HZ));
    println!("the tone: {level:.1} dBFS, {share:.2} of it at its notes");
    ensure!(level > HEARD_DB && share > 0.7, "the tone is heard at {level} dBFS, {share} of it at its notes");
    ensure!(level_db(&ear) < SILENCE_DB, "the tone is heard where the headset is not");
    alice.keeps("all-settings")?;

    // One hears oneself.
    let speech = speech(folder.path(), "en-gb", 100)?;
    let speaking = server.play(&speech, "Mouth")?;
    alice.clicks("Record and play back")?;
    alice.sees("that it is recorded", |shown| shown["check"] == "recording")?;
    alice.sees("that it is played", |shown| shown["check"] == "playing")?;
    let heard = server.hear(["Headset"], 2)?;
    drop(speaking);
    let [headset] = heard.finish()?;
    let level = level_db(&headset);
    println!("one hears oneself at {level:.1} dBFS");
    ensure!(level > HEARD_DB, "one hears oneself at {level} dBFS");
    alice.sees("that it is over", |shown| shown["check"] == "idle")?;

    // Unplugged, it is gone from the list, and stays chosen.
    server.unplug("Headset")?;
    alice.sees("that the headset is gone", |shown| {
        shown["devices"]["speakers"] == serde_json::json!(["Ear", "Mouth"])
            && !shown["buttons"]["Chosen device (not connected)"].is_null()
    })?;
    alice.keeps("headset-gone")?;
    Ok(())
}
