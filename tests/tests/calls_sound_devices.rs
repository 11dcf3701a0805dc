//! Microphones and speakers that are tried before a call, and that come and go in one: real programs, and a PulseAudio
//! server of the test's own.

use std::{path::PathBuf, process::Command, time::Duration};

use anyhow::{Context, ensure};
use visavis_codec::wav;
use visavis_tests::{
    hearing::{RATE_HZ, TEST_HZ, level_db, matches, median, share_of_notes},
    pulse::{Place, Pulse},
    real::{PATIENCE, Process, binary, now},
    voices::speech,
};

/// No break is longer.
const LONGEST_BREAK: Duration = Duration::from_secs(1);

/// A quarter of a minute of a steady sound of two notes.
fn chord(place: &Place, hertz: [f64; 2]) -> anyhow::Result<PathBuf> {
    let path = place.file(&format!("chord-{}.wav", hertz[0]));
    let mut writer = wav::Writer::create(&path)?;
    let note = |n: usize, hertz: f64| (n as f64 / RATE_HZ as f64 * hertz * std::f64::consts::TAU).sin() * 4_000.0;
    let samples: Vec<i16> =
        (0..15 * RATE_HZ).map(|n| hertz.iter().map(|hertz| note(n, *hertz)).sum::<f64>() as i16).collect();
    writer.write(&samples)?;
    writer.finish()?;
    Ok(path)
}

/// The longest silence in what was recorded at several places at once, after the first sound in any. The server may let
/// a recording go on elsewhere when its device goes: what counts is that one of them has sound.
fn longest_break(recordings: &[PathBuf]) -> anyhow::Result<Duration> {
    const PIECE: usize = RATE_HZ / 100;
    let recordings: Result<Vec<Vec<i16>>, _> = recordings.iter().map(wav::read_mono_48k).collect();
    let recordings = recordings?;
    let pieces = recordings.iter().map(|samples| samples.len() / PIECE).max().unwrap_or_default();
    let sounds = |piece: usize| {
        let at = |samples: &Vec<i16>| {
            samples.get(piece * PIECE..(piece + 1) * PIECE).is_some_and(|it| level_db(it) > -40.0)
        };
        recordings.iter().any(at)
    };
    let sounds: Vec<bool> = (0..pieces).map(sounds).skip_while(|sounds| !sounds).collect();
    ensure!(!sounds.is_empty(), "nothing was heard");
    let longest = sounds.split(|sounds| *sounds).map(<[bool]>::len).max().unwrap_or_default();
    Ok(Duration::from_millis(longest as u64 * 10))
}

fn ends_well(process: Process) -> anyhow::Result<()> {
    let (status, lines) = process.finish()?;
    ensure!(status.success(), "{status}: {lines:?}");
    Ok(())
}

fn hang_up(caller: Process, callee: Process) -> anyhow::Result<()> {
    caller.signal("INT")?;
    ends_well(caller)?;
    ends_well(callee)
}

/// Ends a room's listening, and judges what it heard.
fn unbroken(what: &str, listener: Process, recordings: &[PathBuf]) -> anyhow::Result<()> {
    ends_well(listener)?;
    let longest = longest_break(recordings)?;
    println!("{what}: silent for {longest:?}");
    ensure!(longest < LONGEST_BREAK, "{what}: a break of {longest:?}");
    Ok(())
}

#[test]
fn a_speaker_may_be_unplugged_and_the_server_restarted_in_a_call() -> anyhow::Result<()> {
    let Some(mut place) = Place::new(&[("Spare", 44_100), ("Far", 48_000)])? else { return Ok(()) };
    let chord = chord(&place, [300.0, 400.0])?.display().to_string();
    let (calls, mut answers) = place.call(&["--audio", &chord], &["--no-audio", "--speaker=Far"])?;
    answers.wait_for("The speaker is Far")?;

    let recordings = [place.file("far.wav"), place.file("spare.wav")];
    let pulse = &mut place.pulse;
    let record = |sink: &str, at: usize| format!("--record=Monitor of {sink}={}", recordings[at].display());
    let (mut listener, _) = pulse.start_room(&["--seconds=6", &record("Far", 0), &record("Spare", 1)])?;
    listener.wait_for("Monitor of Far sounds")?;
    pulse.unplug("Far")?;
    answers.wait_for("Spare stands in until it is there again")?;
    unbroken("the speaker is unplugged", listener, &recordings)?;

    let (mut listener, _) = pulse.start_room(&["--seconds=6", &record("Spare", 1)])?;
    listener.wait_for("Monitor of Spare sounds")?;
    pulse.plug("Far", 48_000)?;
    answers.wait_for("The speaker is Far")?;
    ends_well(listener)?;

    pulse.restart()?;
    let up = now();
    answers.wait_for("The speaker is Far")?;
    let after = up.elapsed();
    println!("the server is back: the speaker is used again after {after:?}");
    ensure!(after < LONGEST_BREAK, "not used for {after:?} after the server was back");
    let (mut listener, _) = pulse.start_room(&["--seconds=3", &record("Far", 0)])?;
    listener.wait_for("Monitor of Far sounds")?;
    unbroken("after the server came back", listener, &recordings[..1])?;
    hang_up(calls, answers)
}

#[test]
fn a_microphone_may_be_unplugged_in_a_call() -> anyhow::Result<()> {
    let sinks = [("Spare", 44_100), ("Mouth", 48_000), ("Ear", 48_000)];
    let Some(place) = Place::new(&sinks)? else { return Ok(()) };
    let pulse = &place.pulse;
    let alice_has = ["--microphone=Monitor of Mouth", "--raw-microphone"];
    let (mut calls, mut answers) = place.call(&alice_has, &["--no-audio", "--speaker=Ear"])?;
    answers.wait_for("The speaker is Ear")?;

    // Both microphones hear something; what plays to the one that goes is moved to the other one by the server.
    let notes = [chord(&place, [300.0, 400.0])?, chord(&place, [500.0, 700.0])?];
    let _sounding = [pulse.play(&notes[0], "Mouth")?, pulse.play(&notes[1], "Spare")?];
    let recordings = [place.file("ear.wav")];
    let record = format!("--record=Monitor of Ear={}", recordings[0].display());
    let (mut room, _) = pulse.start_room(&["--seconds=5", &record])?;
    room.wait_for("Monitor of Ear sounds")?;
    pulse.unplug("Mouth")?;
    calls.wait_for("Monitor of Spare stands in until it is there again")?;
    unbroken("the microphone is unplugged", room, &recordings)?;
    pulse.plug("Mouth", 48_000)?;
    calls.wait_for("The microphone is Monitor of Mouth")?;
    hang_up(calls, answers)
}

#[test]
fn the_systems_own_choice_is_followed_in_a_call() -> anyhow::Result<()> {
    let Some(place) = Place::new(&[("One", 48_000), ("Two", 16_000)])? else { return Ok(()) };
    let pulse = &place.pulse;
    let chord = chord(&place, [300.0, 400.0])?.display().to_string();
    let (calls, mut answers) = place.call(&["--audio", &chord], &["--no-audio", "--speaker"])?;
    answers.wait_for("The speaker is One")?;
    let recordings = [place.file("one.wav"), place.file("two.wav")];
    let (mut listener, _) = pulse.start_room(&[
        "--seconds=6",
        &format!("--record=Monitor of One={}", recordings[0].display()),
        &format!("--record=Monitor of Two={}", recordings[1].display()),
    ])?;
    listener.wait_for("Monitor of One sounds")?;
    pulse.make_default("Two")?;
    answers.wait_for("The speaker is Two")?;
    listener.wait_for("Monitor of Two sounds")?;
    unbroken("another default", listener, &recordings)?;
    hang_up(calls, answers)
}

#[test]
fn a_call_without_any_device_says_so_and_goes_on() -> anyhow::Result<()> {
    let Some(place) = Place::new(&[])? else { return Ok(()) };
    let [alice, bob] = &place.setup.people;
    let mut answers = place.pulse.start_client(bob, &["answer", "--auto"])?;
    answers.wait_for("waiting for a call")?;
    let mut calls = place.pulse.start_client(alice, &["call", "bob", "--microphone", "--speaker", "--duration=5"])?;
    let mut said = Vec::new();
    calls.wait_until(PATIENCE, |line| {
        said.push(line.to_owned());
        line.starts_with("In a call with").then_some(())
    })?;
    answers.wait_for("In a call with")?;
    let (status, lines) = calls.finish()?;
    ensure!(status.success(), "{status}: {lines:?}");
    let sentences: Vec<&String> = said.iter().chain(&lines).filter(|line| line.starts_with("Sound: ")).collect();
    let one = "Sound: no sound device was found: connect a headset or a speaker, and it is used at once.";
    ensure!(sentences == [one], "{sentences:#?}");
    ends_well(answers)
}

#[test]
fn a_server_that_hangs_is_told_of_and_holds_up_nobody() -> anyhow::Result<()> {
    let Some(place) = Place::new(&[("Far", 48_000)])? else { return Ok(()) };
    let pulse = &place.pulse;
    let (calls, mut answers) = place.call(&[], &["--microphone", "--speaker"])?;
    answers.wait_for("The speaker is Far")?;
    pulse.hang(true)?;
    answers.wait_for("Sound: the sound system does not answer")?;
    pulse.hang(false)?;
    answers.wait_for("The speaker is Far")?;
    pulse.hang(true)?;
    answers.wait_for("Sound: the sound system does not answer")?;
    // The call goes on, and ends as every call does.
    hang_up(calls, answers)?;

    let mut command = Command::new(binary("visavis")?);
    let audio = Process::start("visavis audio", pulse.serve(command.arg("audio")))?;
    let (status, lines) = audio.finish()?;
    let told = lines.iter().any(|line| line.contains("the sound system does not answer"));
    ensure!(!status.success() && told, "{status}: {lines:?}");
    Ok(())
}

/// Starts `visavis audio` with these arguments.
fn audio(pulse: &Pulse, arguments: &[&str]) -> anyhow::Result<Process> {
    let mut command = Command::new(binary("visavis")?);
    Process::start("visavis audio", pulse.serve(command.arg("audio").args(arguments)))
}

#[test]
fn a_speaker_is_tried_by_a_tone() -> anyhow::Result<()> {
    let Some(place) = Place::new(&[("Usual", 48_000), ("Far", 44_100)])? else { return Ok(()) };
    let heard = place.pulse.hear(["Far", "Usual"], 4)?;
    let mut tone = audio(&place.pulse, &["--tone", "--speaker=Far"])?;
    tone.wait_for("A tone of three notes comes from Far.")?;
    ends_well(tone)?;
    let [far, usual] = heard.finish()?;
    let (level, share) = (level_db(&far), share_of_notes(&far, &TEST_HZ));
    println!("the tone: {level:.1} dBFS, {share:.2} of it at its notes");
    ensure!(level > -40.0 && share > 0.7, "the tone is heard at {level} dBFS, {share} of it at its notes");
    ensure!(level_db(&usual) < -70.0, "something is heard where nobody chose to hear it");
    Ok(())
}

#[test]
fn what_is_said_in_a_check_is_played_back() -> anyhow::Result<()> {
    let sinks = [("Usual", 48_000), ("Mouth", 16_000), ("Ear", 44_100)];
    let Some(place) = Place::new(&sinks)? else { return Ok(()) };
    let pulse = &place.pulse;
    let speech = speech(place.setup.folder.path(), "en-gb", 100)?;
    let heard = pulse.hear(["Mouth", "Ear", "Usual"], 12)?;
    let _speaking = pulse.play(&speech, "Mouth")?;
    let mut check = audio(pulse, &["--check", "--microphone=Monitor of Mouth", "--speaker=Ear"])?;
    check.wait_for("Say something for four seconds")?;
    check.wait_for("This is how you sound:")?;
    ends_well(check)?;
    let [said, heard, elsewhere] = heard.finish()?;
    // The four seconds come back after four seconds; what is said before and after them does not. What comes back was
    // cleared of noise, which changes a waveform.
    let found = matches(&said, &heard, 5.0);
    let alike = found.iter().filter(|found| found.alike > 0.5);
    let delay_s = median(alike.map(|found| found.delay_s)).context("nothing of what was said comes back")?;
    let back = found.iter().filter(|found| found.alike > 0.5 && (found.delay_s - delay_s).abs() < 0.05);
    let alike = median(back.clone().map(|found| found.alike)).context("pieces")?;
    let back = back.count();
    println!("{back} of {} pieces come back, {delay_s:.2} s later, alike by {alike:.2}", found.len());
    ensure!(
        back >= 10 && alike > 0.6 && delay_s > 3.9,
        "of 16 pieces {back} come back, {delay_s:.2} s later: {found:.2?}"
    );
    ensure!(level_db(&heard) > -40.0, "it is played back at {} dBFS", level_db(&heard));
    ensure!(level_db(&elsewhere) < -70.0, "something is heard where nobody chose to hear it");
    Ok(())
}

#[test]
fn a_check_of_a_microphone_that_hears_nothing_says_so() -> anyhow::Result<()> {
    let Some(place) = Place::new(&[("Ear", 48_000), ("Mouth", 48_000)])? else { return Ok(()) };
    let check = audio(&place.pulse, &["--check", "--microphone=Monitor of Mouth", "--speaker=Ear"])?;
    let (status, lines) = check.finish()?;
    let told = lines.iter().any(|line| line.contains("nothing was heard: check that the microphone is switched on"));
    ensure!(status.code() == Some(1) && told, "{status}: {lines:?}");
    Ok(())
}
