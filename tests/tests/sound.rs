//! Real sound: two clients with microphones and speakers of a private PulseAudio server, a relay between them.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, ensure};
use visavis::stats::record::{Fate, FrameRecord, Media, Side};
use visavis_codec::{opus::FRAME_SAMPLES, scene::Speech, wav};
use visavis_tests::{
    pulse::Pulse,
    real::{Person, Process, SMALL, Setup, binary, now},
};

/// Samples per second of recordings.
const RATE: usize = 48_000;

/// Starts a client that uses the server's devices.
fn start(pulse: &Pulse, person: &Person, arguments: &[&str]) -> anyhow::Result<Process> {
    let mut command = Command::new(binary("visavis")?);
    command.args(arguments).args(SMALL).arg("--profile").arg(person.profile());
    Process::start(&person.name, pulse.serve(&mut command))
}

/// Starts what speaks, listens and echoes.
fn room(pulse: &Pulse, arguments: &[&str]) -> anyhow::Result<Process> {
    let mut command = Command::new(binary("visavis-room")?);
    let mut room = Process::start("the room", pulse.serve(command.args(arguments)))?;
    room.wait_for("the room is ready")?;
    Ok(room)
}

/// Ends a call.
fn hang_up(caller: Process, callee: Process) -> anyhow::Result<()> {
    caller.signal("INT")?;
    for process in [caller, callee] {
        let (status, lines) = process.finish()?;
        ensure!(status.success(), "{status}: {lines:?}");
    }
    Ok(())
}

/// Half a minute of speech: by espeak-ng, or where that is not installed the project's own.
fn speech(folder: &Path) -> anyhow::Result<PathBuf> {
    let path = folder.join("speech.wav");
    let spoken = Command::new("espeak-ng").arg("-w").arg(&path).arg(TEXT).status();
    if !spoken.is_ok_and(|status| status.success()) {
        let mut speech = Speech::new(7);
        let mut writer = wav::Writer::create(&path)?;
        let mut block = [0; FRAME_SAMPLES];
        for _ in 0..3_000 {
            speech.fill(&mut block);
            writer.write(&block)?;
        }
        writer.finish()?;
    }
    Ok(path)
}

const TEXT: &str = "The north wind and the sun were disputing which was the stronger, when a traveller came along \
     wrapped in a warm cloak. They agreed that the one who first succeeded in making the traveller take his cloak off \
     should be considered stronger than the other. Then the north wind blew as hard as he could, but the more he blew, \
     the more closely did the traveller fold his cloak around him.";

/// A steady chord.
fn chord(folder: &Path) -> anyhow::Result<PathBuf> {
    let path = folder.join("chord.wav");
    let mut writer = wav::Writer::create(&path)?;
    let note = |n: usize, hertz: f64| (n as f64 / RATE as f64 * hertz * std::f64::consts::TAU).sin() * 4_000.0;
    // A whole number of periods, so that it has no seam.
    let samples: Vec<i16> = (0..RATE).map(|n| (note(n, 300.0) + note(n, 400.0)) as i16).collect();
    writer.write(&samples)?;
    writer.finish()?;
    Ok(path)
}

/// Every sixth sample, the mean of six: 8 kHz, enough to compare voices.
fn thin(samples: &[i16]) -> Vec<f64> {
    samples.chunks_exact(6).map(|six| six.iter().map(|&sample| f64::from(sample)).sum::<f64>() / 6.0).collect()
}

/// By how many samples of 8 kHz `heard` lies behind `said`, and how alike they are then, 0 to 1.
fn delay(said: &[f64], heard: &[f64], most: usize) -> (usize, f64) {
    let length = said.len().min(heard.len()) - most;
    let norm = |samples: &[f64]| samples.iter().map(|sample| sample * sample).sum::<f64>().sqrt();
    let said = &said[..length];
    (0..most)
        .map(|lag| {
            let heard = &heard[lag..lag + length];
            let product: f64 = said.iter().zip(heard).map(|(said, heard)| said * heard).sum();
            (lag, product / (norm(said) * norm(heard)).max(1.0))
        })
        .max_by(|one, other| one.1.total_cmp(&other.1))
        .unwrap_or_default()
}

/// Power of each 100 ms, in dB relative to full scale.
fn levels(samples: &[i16]) -> Vec<f64> {
    samples.chunks_exact(RATE / 10).map(decibel).collect()
}

fn decibel(samples: &[i16]) -> f64 {
    let power = samples.iter().map(|&sample| (f64::from(sample) / 32_768.0).powi(2)).sum::<f64>();
    10.0 * (power / samples.len() as f64).max(1e-12).log10()
}

/// Delays of the sound that a file of `--stats` says was heard, in milliseconds, sorted.
fn told_delays(path: &Path) -> anyhow::Result<Vec<f64>> {
    let text = std::fs::read_to_string(path)?;
    let records = text.lines().filter_map(|line| serde_json::from_str::<FrameRecord>(line).ok());
    let heard = records
        .filter(|record| record.media == Media::Audio && record.side == Side::Receiver && record.fate == Fate::Shown);
    let mut delays: Vec<f64> =
        heard.filter_map(|record| Some((record.presented_ns? as f64 - record.captured_ns? as f64) / 1e6)).collect();
    delays.sort_by(f64::total_cmp);
    Ok(delays)
}

#[test]
fn a_voice_is_heard_at_the_other_end_and_its_delay_is_as_told() -> anyhow::Result<()> {
    if !Pulse::is_installed() {
        println!("SKIPPED: there is no PulseAudio here");
        return Ok(());
    }
    let Setup { relay: _relay, people: [alice, bob], folder } = Setup::new(["alice", "bob"])?;
    let place = |name: &str| folder.path().join(name);
    let text = |name: &str| place(name).display().to_string();
    let pulse = Pulse::start(&place("pulse"), &[("Spare", 48_000), ("Voice", 48_000), ("Far", 44_100)])?;
    let speech = speech(folder.path())?.display().to_string();
    let mut answers =
        start(&pulse, &bob, &["answer", "--auto", "--no-audio", "--speaker=Far", "--stats", &text("bob.jsonl")])?;
    answers.wait_for("waiting for a call")?;
    let mut calls = start(&pulse, &alice, &["call", "bob", "--microphone=Monitor of Voice", "--raw-microphone"])?;
    answers.wait_for("The speaker is Far")?;
    calls.wait_for("In a call with")?;
    let room = room(
        &pulse,
        &[
            "--seconds=9",
            &format!("--play={speech}=Voice"),
            &format!("--record=Monitor of Voice={}", text("said.wav")),
            &format!("--record=Monitor of Far={}", text("heard.wav")),
        ],
    )?;
    let (status, lines) = room.finish()?;
    ensure!(status.success(), "{lines:?}");
    hang_up(calls, answers)?;

    let (said, heard) = (wav::read_mono_48k(place("said.wav"))?, wav::read_mono_48k(place("heard.wav"))?);
    // The playout settles in the first seconds.
    let (said, heard) = (thin(&said[RATE * 4..]), thin(&heard[RATE * 4..]));
    let (lag, alike) = delay(&said, &heard, 4_000);
    let measured_ms = lag as f64 / 8.0;
    let told = told_delays(&place("bob.jsonl"))?;
    let told_ms = told.get(told.len() / 2).copied().context("nothing was heard")?;
    println!("mouth to ear {measured_ms:.1} ms, told {told_ms:.1} ms (median of {}), alike {alike:.3}", told.len());
    ensure!(alike > 0.7, "what is heard is not what was said");
    ensure!(measured_ms < 250.0, "the voice is late");
    ensure!((measured_ms - told_ms).abs() < 40.0, "the delay is told wrongly");
    Ok(())
}

#[test]
fn an_unplugged_speaker_and_a_restarted_server_break_the_call_for_less_than_a_second() -> anyhow::Result<()> {
    if !Pulse::is_installed() {
        println!("SKIPPED: there is no PulseAudio here");
        return Ok(());
    }
    let Setup { relay: _relay, people: [alice, bob], folder } = Setup::new(["alice", "bob"])?;
    let place = |name: &str| folder.path().join(name);
    let text = |name: &str| place(name).display().to_string();
    let mut pulse = Pulse::start(&place("pulse"), &[("Spare", 44_100), ("Far", 48_000)])?;
    let chord = chord(folder.path())?.display().to_string();
    let mut answers = start(&pulse, &bob, &["answer", "--auto", "--no-audio", "--speaker=Far"])?;
    answers.wait_for("waiting for a call")?;
    let mut calls = start(&pulse, &alice, &["call", "bob", "--audio", &chord])?;
    answers.wait_for("The speaker is Far")?;
    calls.wait_for("In a call with")?;
    let mut listener = room(
        &pulse,
        &[
            "--seconds=8",
            &format!("--record=Monitor of Far={}", text("far.wav")),
            &format!("--record=Monitor of Spare={}", text("spare.wav")),
        ],
    )?;
    listener.wait_for("Monitor of Far sounds")?;
    pulse.unplug("Far")?;
    answers.wait_for("Spare stands in until it is there again")?;
    let (status, lines) = listener.finish()?;
    ensure!(status.success(), "{lines:?}");
    let sounds = |name: &str| -> anyhow::Result<Vec<bool>> {
        let samples = wav::read_mono_48k(place(name))?;
        Ok(samples.chunks_exact(RATE / 100).map(|ten| decibel(ten) > -40.0).collect())
    };
    // The server may let the first recording go on at the second speaker: what counts is that either has sound.
    let (far, spare) = (sounds("far.wav")?, sounds("spare.wav")?);
    ensure!(spare.iter().any(|sounds| *sounds), "nothing came from the second speaker");
    let heard = (0..far.len().max(spare.len()))
        .map(|n| [&far, &spare].iter().any(|recording| recording.get(n).is_some_and(|sounds| *sounds)));
    let silences = heard.scan(None, |since: &mut Option<usize>, sounds| {
        // Before the first sound there is nothing to break.
        *since = if sounds { Some(0) } else { since.map(|since| since + 1) };
        Some(since.unwrap_or(0))
    });
    let silences: Vec<usize> = silences.collect();
    let tail = silences.last().copied().unwrap_or_default();
    let longest = silences.iter().copied().max().unwrap_or_default();
    println!("unplugged: silent for {} ms", longest * 10);
    ensure!(longest < 100, "a break of {} ms", longest * 10);
    ensure!(tail < 20, "silent at the end");

    pulse.plug("Far", 48_000)?;
    answers.wait_for("The speaker is Far")?;

    pulse.restart()?;
    let up = now();
    answers.wait_for("The speaker is Far")?;
    let after = up.elapsed();
    println!("the server is back: heard again after {after:?}");
    ensure!(after < Duration::from_secs(1), "silent for {after:?} after the server was back");
    hang_up(calls, answers)
}

#[test]
fn what_the_room_echoes_is_taken_out_of_what_goes_back() -> anyhow::Result<()> {
    if !Pulse::is_installed() {
        println!("SKIPPED: there is no PulseAudio here");
        return Ok(());
    }
    let Setup { relay: _relay, people: [alice, bob], folder } = Setup::new(["alice", "bob"])?;
    let place = |name: &str| folder.path().join(name);
    let text = |name: &str| place(name).display().to_string();
    let sinks = [("Ear", 48_000), ("Voice", 48_000), ("Far", 48_000), ("Room", 48_000)];
    let pulse = Pulse::start(&place("pulse"), &sinks)?;
    let speech = speech(folder.path())?.display().to_string();
    let mut answers = start(&pulse, &bob, &["answer", "--auto", "--microphone=Monitor of Room", "--speaker=Far"])?;
    answers.wait_for("waiting for a call")?;
    let mut calls = start(
        &pulse,
        &alice,
        &["call", "bob", "--microphone=Monitor of Voice", "--raw-microphone", "--speaker=Ear"],
    )?;
    calls.wait_for("In a call with")?;
    let room = room(
        &pulse,
        &[
            "--seconds=15",
            &format!("--play={speech}=Voice"),
            "--room=Monitor of Far=Room",
            &format!("--record=Monitor of Room={}", text("echo.wav")),
            &format!("--record=Monitor of Ear={}", text("returned.wav")),
        ],
    )?;
    let (status, lines) = room.finish()?;
    ensure!(status.success(), "{lines:?}");
    hang_up(calls, answers)?;

    let (echo, returned) = (wav::read_mono_48k(place("echo.wav"))?, wav::read_mono_48k(place("returned.wav"))?);
    let begins = levels(&echo).iter().position(|level| *level > -45.0).context("nothing was echoed")? * RATE / 10;
    let part = |samples: &[i16], from: usize, to: usize| {
        decibel(&samples[(begins + from * RATE).min(samples.len() - 1)..(begins + to * RATE).min(samples.len())])
    };
    for (from, to) in [(0, 1), (1, 2), (2, 3), (3, 6), (6, 12)] {
        let (echo, returned) = (part(&echo, from, to), part(&returned, from, to));
        println!(
            "{from}-{to} s: echo {echo:.1} dBFS, returned {returned:.1} dBFS, taken out {:.1} dB",
            echo - returned
        );
    }
    let taken_out = part(&echo, 3, 12) - part(&returned, 3, 12);
    ensure!(taken_out >= 25.0, "only {taken_out:.1} dB of the echo are taken out");
    Ok(())
}
