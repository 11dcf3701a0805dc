//! The window with devices: a driver that is pretended, on a screen that nobody sees.

#![cfg(target_os = "linux")]

use anyhow::{Context, ensure};
use visavis::stats::collector::Live;
use visavis_tests::{
    cameras::Machine,
    real::{PATIENCE, Process, Setup},
    window::{Somebody, skipped},
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
    if skipped("a_camera_is_seen_before_it_is_used_changed_lost_and_back") {
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
