//! Calls with microphones and speakers of a private PulseAudio server: what is heard, how late, and what of it echoes.

use std::path::Path;

use anyhow::{Context, ensure};
use rand::{Rng, SeedableRng, rngs::StdRng};
use visavis::stats::record::{Fate, FrameRecord, Media, Side};
use visavis_codec::wav;
use visavis_tests::{
    hearing::{RATE_HZ, level_db, matches, median, understood},
    pulse::{Place, missing_for_alsa},
    real::{Process, skipped},
    voices::speech,
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

/// Where two people speak and hear, with rates of all kinds.
const PLACES: [(&str, u32); 4] =
    [("AliceMouth", 48_000), ("AliceEar", 44_100), ("BobMouth", 16_000), ("BobEar", 48_000)];

#[test]
fn voices_are_heard_at_the_other_ends_and_their_delays_are_as_told() -> anyhow::Result<()> {
    let Some(place) = Place::new(&PLACES)? else { return Ok(()) };
    let (alices, bobs) = (place.text("alice.jsonl"), place.text("bob.jsonl"));
    let alice_has =
        ["--microphone=Monitor of AliceMouth", "--raw-microphone", "--speaker=AliceEar", "--stats", &alices];
    let bob_has = ["--microphone=Monitor of BobMouth", "--speaker=BobEar", "--stats", &bobs];
    let (calls, mut answers) = place.call(&alice_has, &bob_has)?;
    answers.wait_for("In a call with")?;
    converse(&place, calls, answers)
}

#[test]
fn voices_are_heard_through_alsa_where_there_is_no_sound_server() -> anyhow::Result<()> {
    if skipped(missing_for_alsa()) {
        return Ok(());
    }
    let Some(place) = Place::new(&PLACES)? else { return Ok(()) };
    let [alice, bob] = &place.setup.people;
    let bob_has = ["answer", "--auto", "--microphone", "--speaker", "--stats", &place.text("bob.jsonl")];
    let mut answers = place.pulse.start_client_of_alsa(bob, ["BobMouth", "BobEar"], &bob_has)?;
    answers.wait_for("waiting for a call")?;
    let stats = place.text("alice.jsonl");
    let alice_has = ["call", "bob", "--microphone", "--raw-microphone", "--speaker", "--stats", &stats];
    let mut calls = place.pulse.start_client_of_alsa(alice, ["AliceMouth", "AliceEar"], &alice_has)?;
    calls.wait_for("In a call with")?;
    answers.wait_for("In a call with")?;
    converse(&place, calls, answers)
}

/// Both speak, one after the other. What is heard is held against what was said, and against what the clients tell.
fn converse(place: &Place, calls: Process, answers: Process) -> anyhow::Result<()> {
    let pulse = &place.pulse;
    let [alices, bobs] = ["en-gb", "en-us"].map(|voice| speech(place.setup.folder.path(), voice, 100));
    let (alices, bobs) = (alices?, bobs?);
    let mut began_at = Vec::new();
    for (says, mouth, hears, ear, speech) in
        [("alice", "AliceMouth", "bob", "BobEar", &alices), ("bob", "BobMouth", "alice", "AliceEar", &bobs)]
    {
        let record = |device: &str, who: &str, what: &str| {
            format!("--record=Monitor of {device}={}", place.text(&format!("{who}-{what}.wav")))
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
            let mut samples = wav::read_mono_48k(place.file(&name))?;
            samples.drain(..samples.len().min(SETTLING_S * RATE_HZ));
            Ok(samples)
        };
        let (said, heard) = (recorded(format!("{says}-said.wav"))?, recorded(format!("{hears}-heard.wav"))?);
        let found = matches(&said, &heard, 0.5);
        let told = told(&place.file(&format!("{hears}.jsonl")))?;
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

/// Samples per second of the room. The server reverberates 512 samples at a time, which is to be less than the 10 ms that
/// a client keeps ahead.
const ROOM_HZ: u32 = 64_000;

/// The direct way of an echo, in samples: 2.7 m.
const WAY: usize = 512;

/// Reflections come for so long after, in samples: 150 ms, by when they are 36 dB weaker.
const REFLECTIONS: usize = 9_600;

/// What a room of 250 ms of reverberation makes of a click.
fn write_reverberation(path: &Path) -> anyhow::Result<()> {
    let mut random = StdRng::seed_from_u64(1);
    let mut click = vec![0.0; WAY + REFLECTIONS];
    click[WAY] = 0.25;
    for _ in 0..300 {
        let later = random.gen_range(128..REFLECTIONS);
        click[WAY + later] += random.gen_range(-0.03..0.03) * 10_f32.powf(-3.0 * later as f32 / 16_000.0);
    }
    let mut writer = wav::Writer::create(path)?;
    writer.write(&click.iter().map(|sample| (sample * 32_767.0) as i16).collect::<Vec<_>>())?;
    writer.finish()?;
    // The writer's files have 48 kHz, and the server cannot convert what it reverberates with: the header says the rate.
    let mut file = std::fs::read(path)?;
    file[24..28].copy_from_slice(&ROOM_HZ.to_le_bytes());
    file[28..32].copy_from_slice(&(2 * ROOM_HZ).to_le_bytes());
    Ok(std::fs::write(path, file)?)
}

/// Where Bob's microphone hears his speaker through a room.
fn echoing() -> anyhow::Result<Option<Place>> {
    let Some(place) = Place::new(&[("Ear", 48_000), ("Voice", 48_000), ("Room", ROOM_HZ)])? else { return Ok(None) };
    let reverberation = place.file("room.wav");
    write_reverberation(&reverberation)?;
    place.pulse.resound("Far", "Room", &reverberation)?;
    Ok(Some(place))
}

/// Where something is heard first, in samples.
fn beginning(samples: &[i16]) -> anyhow::Result<usize> {
    let tenth = RATE_HZ / 10;
    let first = samples.chunks_exact(tenth).position(|tenth| level_db(tenth) > -45.0);
    Ok(first.context("nothing was heard")? * tenth)
}

#[test]
fn what_the_room_echoes_is_taken_out_of_what_goes_back() -> anyhow::Result<()> {
    let Some(place) = echoing()? else { return Ok(()) };
    let alice_has = ["--microphone=Monitor of Voice", "--raw-microphone", "--speaker=Ear"];
    let (calls, mut answers) = place.call(&alice_has, &["--microphone=Monitor of Room", "--speaker=Far"])?;
    answers.wait_for("In a call with")?;
    let [microphone, returned] = ["microphone.wav", "returned.wav"].map(|name| place.file(name));
    let far = speech(place.setup.folder.path(), "en-gb", 100)?;
    let (room, _) = place.pulse.start_room(&[
        "--seconds=15",
        &format!("--record=Monitor of Room={}", microphone.display()),
        &format!("--record=Monitor of Ear={}", returned.display()),
    ])?;
    let _far = place.pulse.play(&far, "Voice")?;
    hear_out(room)?;
    hang_up(calls, answers)?;
    let (echo, returned) = (wav::read_mono_48k(microphone)?, wav::read_mono_48k(returned)?);
    let begins = beginning(&echo)?;
    let part = |samples: &[i16], from: usize, to: usize| {
        level_db(
            &samples[(begins + from * RATE_HZ).min(samples.len() - 1)..(begins + to * RATE_HZ).min(samples.len())],
        )
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
