//! Calls with a camera: real programs, and a driver that is pretended.

#![cfg(target_os = "linux")]

use std::{fs::File, io::BufReader};

use anyhow::{Context, ensure};
use visavis::stats::collector::Live;
use visavis_codec::{Picture, y4m};
use visavis_tests::{
    cameras::{Machine, is_placeholder, number},
    real::{PATIENCE, Process, Setup},
};

/// What DroidCam has on Linux: YU12 and nothing else.
const DROIDCAM: &str = "mode = YU12 320x240 1/30";

/// Waits until pictures come fluently.
fn sees_pictures(process: &mut Process) -> anyhow::Result<()> {
    let live = |line: &str| serde_json::from_str::<Live>(line).ok().filter(|live| live.fps >= 15.0);
    process.wait_until(PATIENCE, live).context("waiting for pictures").map(drop)
}

#[test]
fn a_camera_that_is_unplugged_in_a_call_is_told_replaced_and_comes_back() -> anyhow::Result<()> {
    let Setup { relay: _relay, people: [alice, bob], folder } = Setup::new(["alice", "bob"])?;
    let machine = Machine::new()?;
    machine.plug(0, DROIDCAM)?;
    let recording = folder.path().join("seen.y4m");
    let record = format!("--record-video={}", recording.display());
    let mut answering = bob.start(&["answer", "--auto", "--live-json", "--no-video", &record])?;
    answering.wait_for("waiting for a call")?;
    let flags = ["call", "bob", "--live-json", "--camera=Camera 0", "--size=320x240", "--video-rate=1000"];
    let mut calling = alice.start_with(&flags, &machine.environment())?;
    answering.wait_for("In a call with")?;
    sees_pictures(&mut answering)?;

    machine.unplug(0)?;
    calling.wait_for("Camera 0 is gone: plug it in")?;
    // Sound goes on, and so does the call; pictures come once a second.
    let still = |line: &str| serde_json::from_str::<Live>(line).ok().filter(|live| live.fps < 5.0 && live.fps > 0.0);
    answering.wait_until(PATIENCE, still).context("waiting for placeholders")?;

    machine.plug(0, DROIDCAM)?;
    calling.wait_for("Camera 0 works again.")?;
    sees_pictures(&mut answering)?;
    calling.signal("INT")?;
    for process in [calling, answering] {
        let (status, lines) = process.finish()?;
        ensure!(status.success(), "{status}: {lines:#?}");
    }

    let mut seen = y4m::Reader::new(BufReader::new(File::open(recording)?))?;
    let mut picture = Picture::new(0, 0);
    let mut kinds = Vec::new();
    for index in 0..seen.frames() {
        seen.read(index, &mut picture)?;
        // What is neither is a picture that the encoder had to begin coarsely.
        let kind = number(&picture).map(|_| "camera").or(is_placeholder(&picture).then_some("placeholder"));
        kinds.extend(kind);
    }
    kinds.dedup();
    ensure!(kinds == ["camera", "placeholder", "camera"], "{kinds:?}");
    Ok(())
}

#[test]
fn cameras_are_listed_on_the_command_line() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let person = visavis_tests::real::Person::new(folder.path(), "alice");
    let machine = Machine::new()?;
    let lists = |sentence: &str| -> anyhow::Result<()> {
        let (status, lines) = person.start_with(&["cameras"], &machine.environment())?.finish()?;
        ensure!(status.success() && lines.iter().any(|line| line.contains(sentence)), "{sentence}: {lines:#?}");
        Ok(())
    };
    lists("There is no camera here")?;
    machine.plug(3, &format!("{DROIDCAM}\nmode = MJPG 640x480 1/15"))?;
    lists("Camera 3")?;
    lists("id: 1-3:1.0/Camera 3")?;
    lists("YU12: up to 320x240, 30 pictures a second")?;
    lists("MJPG: up to 640x480, 15 pictures a second")
}
