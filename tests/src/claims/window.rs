//! The window's call beside the same call without a window: how soon a window can be used, how soon a decoded picture is
//! given to the display, and what the window costs.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;
use visavis::stats::collector::Live;

use crate::{
    demo::cost_of,
    real::{PATIENCE, Person, Process, Relay, now},
    screen::Screen,
};

/// Where the time of a drawing goes: the wait for the display, which still has the picture before; until drawing begins;
/// until everything is recorded; and within the submit and present calls, where a software driver draws.
const PARTS: [&str; 4] = ["display", "woken", "recorded", "driver"];

/// What to measure.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Pictures of both sides, instead of the generated scene.
    pub video: Option<PathBuf>,
    /// How long each call is measured, in seconds.
    pub seconds: f64,
}

/// What one call in a window came to.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// The program's start to the first picture of the window with its person online, in milliseconds.
    pub usable_ms: f64,
    /// The middle of each of the parts of a drawing, in milliseconds: the wait for the display, until drawing begins,
    /// recording, and the time in the driver.
    pub drawing_p50_ms: [f64; PARTS.len()],
    /// Pictures that came, a second.
    pub fps: f64,
    /// Of a core, while the call is live: the client with a window, and the one without.
    pub processor: [f64; 2],
}

/// A call's first seconds are left out: devices open, and everything is used for the first time.
const SETTLING_S: f64 = 3.0;

/// The window's screen, in pixels: larger than the picture.
const SCREEN: (u32, u32) = (1_400, 900);

/// Holds both calls, one after the other, with their data in `folder`.
///
/// # Errors
///
/// Whatever failed first.
pub fn run(plan: &Plan, folder: &Path) -> anyhow::Result<Outcome> {
    let relay = Relay::start(&folder.join("relay"))?;
    let [alice, bob] = ["alice", "bob"].map(|name| Person::new(folder, name));
    [&alice, &bob].into_iter().try_for_each(|person| person.join(&relay.link, &[]))?;
    let pictures: Vec<String> =
        plan.video.iter().flat_map(|path| ["--video".to_owned(), path.display().to_string()]).collect();
    let arguments = |first: &[&str]| -> Vec<String> {
        first.iter().map(|&argument| argument.to_owned()).chain(pictures.iter().cloned()).collect()
    };

    let mut answers = bob.start(&arguments(&["answer", "--auto"]))?;
    answers.wait_for("waiting for a call")?;
    let mut calls = alice.start(&arguments(&["call", "bob", "--live-json"]))?;
    let live = |line: &str| serde_json::from_str::<Live>(line).ok();
    let (without, _) = share_of_core(&mut calls, plan.seconds, |line| live(line).map(|live| (live.seconds, ())))?;
    calls.signal("INT")?;
    calls.finish()?;
    answers.finish()?;

    let mut answers = bob.start(&arguments(&["answer", "--auto"]))?;
    answers.wait_for("waiting for a call")?;
    let screen = Screen::start(SCREEN.0, SCREEN.1)?;
    let begun = now();
    let flags = ["--scene", "--state-json", "--call", "bob", "--leave-after-call"];
    let mut window = alice.start_window(&screen.display, &arguments(&flags), &[])?;
    window.wait_until(PATIENCE, |line| {
        let shown: Value = serde_json::from_str(line).ok()?;
        (shown["connection"] == "online").then_some(())
    })?;
    let usable_ms = begun.elapsed().as_secs_f64() * 1e3;
    let (with, shown) = share_of_core(&mut window, plan.seconds, |line| {
        let shown: Value = serde_json::from_str(line).ok()?;
        Some((shown["call"]["live"]["seconds"].as_f64()?, shown))
    })?;
    answers.signal("INT")?;
    answers.finish()?;
    window.finish()?;
    relay.stop()?;
    Ok(Outcome {
        usable_ms,
        drawing_p50_ms: PARTS.map(|part| shown["drawing_p50_ms"][part].as_f64().unwrap_or(f64::NAN)),
        fps: shown["call"]["live"]["fps"].as_f64().context("no figures came")?,
        processor: [with, without],
    })
}

/// What a process takes of a core during so many seconds of its call, and what it told last. `told` makes a line into
/// seconds of the call.
fn share_of_core<T>(
    process: &mut Process,
    seconds: f64,
    told: impl Fn(&str) -> Option<(f64, T)>,
) -> anyhow::Result<(f64, T)> {
    let cost = |process: &Process| Some(cost_of("client", process.id())?.cpu_seconds);
    let after = |process: &mut Process, second: f64| {
        process.wait_until(PATIENCE, |line| told(line).filter(|told| told.0 >= second))
    };
    let (from, _) = after(process, SETTLING_S)?;
    let before = cost(process).context("the client is gone")?;
    let (to, last) = after(process, from + seconds)?;
    let spent = cost(process).context("the client is gone")? - before;
    Ok((spent / (to - from), last))
}
