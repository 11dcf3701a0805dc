//! Calls with microphones and speakers of a private PulseAudio server: what is heard, and how late.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};
use visavis::stats::record::{Fate, FrameRecord, Media, Side};
use visavis_codec::wav;
use visavis_tests::{
    hearing::{RATE_HZ, matches, median, understood},
    pulse::{Pulse, missing},
    real::{Process, Setup},
};

/// Ends a call.
fn hang_up(caller: Process, callee: Process) -> anyhow::Result<()> {
    caller.signal("INT")?;
    for process in [caller, callee] {
        let (status, lines) = process.finish()?;
        ensure!(status.success(), "{status}: {lines:?}");
    }
    Ok(())
}

/// Lets a room go on to its end.
fn hear_out(room: Process) -> anyhow::Result<()> {
    let (status, lines) = room.finish()?;
    ensure!(status.success(), "{status}: {lines:?}");
    Ok(())
}

/// Half a minute of speech, spoken by espeak-ng; `loudness` is 100 for full scale.
fn speech(folder: &Path, voice: &str, loudness: u32) -> anyhow::Result<PathBuf> {
    const TEXT: &str = "The north wind and the sun were disputing which was the stronger, when a traveller came along \
         wrapped in a warm cloak. They agreed that the one who first succeeded in making the traveller take his cloak \
         off should be considered stronger than the other. Then the north wind blew as hard as he could, but the more \
         he blew, the more closely did the traveller fold his cloak around him.";
    let path = folder.join(format!("{voice}.wav"));
    let mut espeak = Command::new("espeak-ng");
    espeak.args(["-v", voice, "-a", &loudness.to_string(), "-w"]).arg(&path).arg(TEXT);
    ensure!(espeak.status()?.success(), "espeak-ng failed");
    Ok(path)
}

/// Sound that a file of `--stats` says was heard: when it was captured, in Unix nanoseconds, and how many seconds later
/// it was heard.
fn told(path: &Path) -> anyhow::Result<Vec<(u64, f64)>> {
    let text = std::fs::read_to_string(path)?;
    let records = text.lines().filter_map(|line| serde_json::from_str::<FrameRecord>(line).ok());
    let heard = records
        .filter(|record| record.media == Media::Audio && record.side == Side::Receiver && record.fate == Fate::Shown);
    let delay = |record: FrameRecord| {
        let (captured, presented) = (record.captured_ns?, record.presented_ns?);
        Some((captured, (presented as f64 - captured as f64) / 1e9))
    };
    Ok(heard.filter_map(delay).collect())
}

/// The delay that was told of sound captured within a quarter of a second, in seconds.
fn told_at(told: &[(u64, f64)], captured_ns: u64) -> Option<f64> {
    let within = told.iter().filter(|(at, _)| (captured_ns..captured_ns + 250_000_000).contains(at));
    median(within.map(|(_, delay_s)| *delay_s))
}

/// What is left out at the beginning, in seconds: devices open, and the playout learns.
const SETTLING_S: usize = 3;

#[test]
fn voices_are_heard_at_the_other_ends_and_their_delays_are_as_told() -> anyhow::Result<()> {
    if let Some(what) = missing() {
        println!("SKIPPED: {what} is not installed here");
        return Ok(());
    }
    let Setup { relay: _relay, people: [alice, bob], folder } = Setup::new(["alice", "bob"])?;
    let place = |name: &str| folder.path().join(name);
    let text = |name: &str| place(name).display().to_string();
    let sinks = [("AliceMouth", 48_000), ("AliceEar", 44_100), ("BobMouth", 16_000), ("BobEar", 48_000)];
    let pulse = Pulse::start(&place("pulse"), &sinks)?;
    let [alices, bobs] = ["en-gb", "en-us"].map(|voice| speech(folder.path(), voice, 100));
    let (alices, bobs) = (alices?, bobs?);
    let bob_has = ["answer", "--auto", "--microphone=Monitor of BobMouth", "--speaker=BobEar"];
    let mut answers = pulse.start_client(&bob, &[&bob_has[..], &["--stats", &text("bob.jsonl")]].concat())?;
    answers.wait_for("waiting for a call")?;
    let alice_has = ["call", "bob", "--microphone=Monitor of AliceMouth", "--raw-microphone", "--speaker=AliceEar"];
    let mut calls = pulse.start_client(&alice, &[&alice_has[..], &["--stats", &text("alice.jsonl")]].concat())?;
    answers.wait_for("In a call with")?;
    calls.wait_for("In a call with")?;
    let mut began_at = Vec::new();
    for (says, mouth, hears, ear, speech) in
        [("alice", "AliceMouth", "bob", "BobEar", &alices), ("bob", "BobMouth", "alice", "AliceEar", &bobs)]
    {
        let record = |device: &str, who: &str, what: &str| {
            format!("--record=Monitor of {device}={}", text(&format!("{who}-{what}.wav")))
        };
        let listens = ["--seconds=12", &record(mouth, says, "said"), &record(ear, hears, "heard")];
        let (room, began) = pulse.start_room(&listens)?;
        let speaking = pulse.play(speech, mouth)?;
        hear_out(room)?;
        drop(speaking);
        began_at.push((says, hears, began));
    }
    hang_up(calls, answers)?;

    for (says, hears, began) in began_at {
        let recorded = |name: String| -> anyhow::Result<Vec<i16>> {
            let mut samples = wav::read_mono_48k(place(&name))?;
            samples.drain(..samples.len().min(SETTLING_S * RATE_HZ));
            Ok(samples)
        };
        let (said, heard) = (recorded(format!("{says}-said.wav"))?, recorded(format!("{hears}-heard.wav"))?);
        let found = matches(&said, &heard, 0.5);
        let told = told(&place(&format!("{hears}.jsonl")))?;
        let at_ns = |at_s: f64| began + ((at_s + SETTLING_S as f64) * 1e9) as u64;
        let wrong = found.iter().filter_map(|found| Some(told_at(&told, at_ns(found.at_s))? - found.delay_s));
        let wrong_ms = median(wrong).context("no delay was told")? * 1e3;
        let alike = median(found.iter().map(|found| found.alike)).context("nothing was said")?;
        let measured_ms = median(found.iter().map(|found| found.delay_s)).context("nothing was said")? * 1e3;
        let understood = understood(&said, &heard, 0.5).context("nothing was heard")?;
        println!(
            "{says} to {hears}: mouth to ear {measured_ms:.1} ms, told {wrong_ms:+.1} ms; alike {alike:.3}, understood \
             {understood:.3} ({} pieces)",
            found.len()
        );
        ensure!(found.len() > 15, "hardly anything was said");
        // What noise suppression and gain make of a voice has another waveform.
        ensure!(alike > 0.7 || says == "bob", "what is heard is not what was said");
        ensure!(understood > 0.85, "what is heard is not understood");
        ensure!(measured_ms < 250.0, "the voice is late");
        ensure!(wrong_ms.abs() < 20.0, "the delay is told wrongly");
    }
    Ok(())
}
