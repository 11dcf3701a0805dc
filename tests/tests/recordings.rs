//! What a call writes to files, with real binaries: recordings that can be put together, statistics that leave no frame
//! out, and disks that fill up while the call goes on.

use std::{
    fs,
    io::BufReader,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};
use visavis::{
    clock::Clock,
    stats::{
        collector::Live,
        record::{Fate, FrameRecord, Media, Side},
        report::Report,
    },
};
use visavis_codec::{wav, y4m};
use visavis_tests::{
    fates,
    real::{PATIENCE, Process, SMALL, Setup, binary},
};

/// Waits until pictures come.
fn sees_pictures(process: &mut Process) -> anyhow::Result<()> {
    let live = |line: &str| serde_json::from_str::<Live>(line).ok().filter(|live| live.fps >= 15.0);
    process.wait_until(PATIENCE, live).context("waiting for pictures").map(drop)
}

/// The records of a file of `--stats`, and its last line.
fn records(path: &Path) -> anyhow::Result<(Vec<FrameRecord>, String)> {
    let text = fs::read_to_string(path)?;
    let mut lines: Vec<&str> = text.lines().collect();
    let last = lines.pop().context("no last line")?.to_owned();
    Ok((lines.into_iter().map(serde_json::from_str).collect::<Result<_, _>>()?, last))
}

/// The columns of a table beside a recording, without its head.
fn table(recording: &Path, head: &str) -> anyhow::Result<Vec<Vec<u64>>> {
    let text = fs::read_to_string(format!("{}.csv", recording.display()))?;
    let mut lines = text.lines();
    ensure!(lines.next() == Some(head), "{text}");
    lines.map(|line| line.split(',').map(|cell| Ok(cell.parse()?)).collect()).collect()
}

#[test]
fn recordings_begin_with_the_call_and_share_a_clock_and_every_frame_has_one_record() -> anyhow::Result<()> {
    let Setup { relay: _relay, people: [alice, bob], folder } = Setup::new(["alice", "bob"])?;
    let file = |name: &str| folder.path().join(name);
    let place = |name: &str| file(name).display().to_string();
    let (seen, heard) = (file("seen.y4m"), file("heard.wav"));
    let recording =
        ["--record-video", &place("seen.y4m"), "--record-audio", &place("heard.wav"), "--stats", &place("bob.jsonl")];
    let mut callee = bob.start(&[&["answer"], &recording[..], &SMALL[..]].concat())?;
    callee.wait_for("waiting for a call")?;
    let stats = place("alice.jsonl");
    let caller = alice.start(&[&["call", "bob", "--duration", "3", "--stats", &stats], &SMALL[..]].concat())?;
    callee.wait_for("Take it?")?;
    let accepted = Clock::system().now().as_nanos();
    callee.type_line("y")?;
    for process in [caller, callee] {
        let (status, lines) = process.finish()?;
        ensure!(status.success(), "{status}: {lines:?}");
    }

    let (sent, last) = records(stats.as_ref())?;
    let (came, other_last) = records(&file("bob.jsonl"))?;
    println!("{last}\n{other_last}\n{}", fates::every_frame_has_one(&sent, &came));
    println!("{}", fates::every_frame_has_one(&came, &sent));
    ensure!(last.starts_with("{\"counters\":{") && !last.contains("lost_records"), "{last}");

    let shown = |media: Media| -> Vec<u64> {
        let shown = came.iter().filter(|record| record.media == media && record.fate == Fate::Shown);
        shown.filter(|record| record.side == Side::Receiver).filter_map(|record| record.presented_ns).collect()
    };
    let pictures = table(&seen, "capture,frame,captured_ns,presented_ns")?;
    let times: Vec<u64> = pictures.iter().map(|row| row[3]).collect();
    ensure!(times == shown(Media::Video), "the table of the pictures and the statistics differ");
    let sound = table(&heard, "first_sample,first_sample_ns")?;
    let samples = wav::read_mono_48k(&heard)?.len() as u64;
    println!("{} pictures; {samples} samples from {sound:?}; accepted {accepted}", pictures.len());
    ensure!(sound[0][0] == 0 && sound[0][1] >= accepted, "the sound begins before the call");
    ensure!(sound.windows(2).all(|rows| rows[0][0] < rows[1][0] && rows[0][1] < rows[1][1]), "{sound:?}");
    // Each block that was shown is in the recording, where the table says.
    let (last_row, heard_at) = (&sound[sound.len() - 1], shown(Media::Audio));
    let end = last_row[1] + (samples - last_row[0]) * 1_000_000_000 / 48_000;
    let (first, last) = (heard_at.iter().min().context("nothing heard")?, heard_at.iter().max().context("nothing")?);
    ensure!(*first >= sound[0][1], "heard at {first}, recorded from {}", sound[0][1]);
    // A thread that wakes late hands a block over up to four blocks after it was due.
    ensure!(*last < end + 50_000_000, "heard until {last}, recorded until {end}");
    Ok(())
}

/// A place where everything that is written fails for want of room, as on a disk that is full.
#[cfg(target_os = "linux")]
fn full(folder: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let path = folder.join(name);
    std::os::unix::fs::symlink("/dev/full", &path)?;
    Ok(path)
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_fills_up_is_told_at_once_and_the_call_and_its_report_go_on() -> anyhow::Result<()> {
    let Setup { relay: _relay, people: [alice, bob], folder } = Setup::new(["alice", "bob"])?;
    let mut flags = vec!["call".to_owned(), "bob".to_owned(), "--live-json".to_owned()];
    let places = [("--record-video", "full.y4m"), ("--record-audio", "full.wav"), ("--stats", "full.jsonl")];
    for (flag, name) in places {
        flags.extend([flag.to_owned(), full(folder.path(), name)?.display().to_string()]);
    }
    let report = folder.path().join("report.json");
    flags.extend(["--report".to_owned(), report.display().to_string()]);
    flags.extend(SMALL.map(str::to_owned));
    let mut callee = bob.start(&[&["answer", "--auto", "--live-json"], &SMALL[..]].concat())?;
    callee.wait_for("waiting for a call")?;
    let mut caller = alice.start(&flags)?;
    let mut missing: Vec<&str> = places.map(|(_, name)| name).to_vec();
    caller.wait_until(PATIENCE, |line| {
        missing.retain(|name| {
            !(line.contains(name) && line.contains("No space left") && line.contains("The call goes on."))
        });
        missing.is_empty().then_some(())
    })?;
    // The call does not care, in either direction.
    sees_pictures(&mut caller)?;
    sees_pictures(&mut callee)?;
    caller.signal("INT")?;
    let (status, lines) = caller.finish()?;
    let said = lines.join("\n");
    println!("{said}");
    ensure!(status.code() == Some(1), "{status} though not everything was written");
    ensure!(said.contains("You hung up.") && said.contains("not everything was written"), "{said}");
    ensure!(places.iter().all(|(_, name)| said.contains(name)), "{said}");
    ensure!(said.contains("Make room") && !said.contains("too slow") && !said.contains("panicked"), "{said}");
    let report: Report = serde_json::from_str(&fs::read_to_string(&report)?)?;
    ensure!(report.directions[0].frames.shown > 10, "{:?}", report.directions[0].frames);
    let (status, lines) = callee.finish()?;
    ensure!(status.success(), "{status}: {lines:?}");
    Ok(())
}

#[cfg(target_os = "linux")]
#[test]
fn a_report_without_room_leaves_the_rest_whole() -> anyhow::Result<()> {
    let Setup { relay: _relay, people: [alice, bob], folder } = Setup::new(["alice", "bob"])?;
    let report = full(folder.path(), "full.json")?.display().to_string();
    let stats = folder.path().join("stats.jsonl");
    let stats_place = stats.display().to_string();
    let mut callee = bob.start(&[&["answer", "--auto"], &SMALL[..]].concat())?;
    callee.wait_for("waiting for a call")?;
    let flags = ["call", "bob", "--duration", "1", "--report", &report, "--stats", &stats_place];
    let (status, lines) = alice.run(&[&flags[..], &SMALL[..]].concat())?;
    let said = lines.join("\n");
    ensure!(status.code() == Some(1), "{status}: {said}");
    ensure!(said.contains("You hung up.") && said.contains("full.json") && said.contains("No space left"), "{said}");
    ensure!(records(&stats)?.0.len() > 10, "the statistics were given up too");
    Ok(())
}

/// What `answer` and `call` can be asked to write, in `folder`.
const WRITTEN: [(&str, &str); 4] = [
    ("--record-video", "seen.y4m"),
    ("--record-audio", "heard.wav"),
    ("--stats", "frames.jsonl"),
    ("--report", "report.json"),
];

fn writing(folder: &Path) -> Vec<String> {
    WRITTEN.iter().flat_map(|(flag, name)| [(*flag).to_owned(), folder.join(name).display().to_string()]).collect()
}

fn with<'a>(parts: &[&'a str], more: &'a [String]) -> Vec<&'a str> {
    parts.iter().copied().chain(more.iter().map(String::as_str)).chain(SMALL).collect()
}

/// Whether the files in `folder` are those of a whole call.
fn are_of_a_call(folder: &Path) -> anyhow::Result<()> {
    let pictures = table(&folder.join("seen.y4m"), "capture,frame,captured_ns,presented_ns")?.len() as u64;
    let clip = y4m::Reader::new(BufReader::new(fs::File::open(folder.join("seen.y4m"))?))?;
    ensure!(clip.frames() == pictures && pictures > 5, "{pictures} lines for {} pictures", clip.frames());
    ensure!(wav::read_mono_48k(folder.join("heard.wav"))?.len() > 4_800, "the sound is missing");
    ensure!(records(&folder.join("frames.jsonl"))?.0.len() > 10, "the statistics are missing");
    let report: Report = serde_json::from_str(&fs::read_to_string(folder.join("report.json"))?)?;
    ensure!(report.directions[0].frames.shown > 5, "{:?}", report.directions[0].frames);
    Ok(())
}

#[test]
fn files_are_of_the_last_call_while_the_next_is_awaited_rings_and_is_missed() -> anyhow::Result<()> {
    let Setup { relay: _relay, people: [alice, bob], folder } = Setup::new(["alice", "bob"])?;
    let files = writing(folder.path());
    // Longer than a call's, so that what is left of it would be found.
    for (_, name) in WRITTEN {
        fs::write(folder.path().join(name), vec![b'x'; 10_000_000])?;
    }
    let mut callee = bob.start(&with(&["answer", "--stay"], &files))?;
    callee.wait_for("waiting for a call")?;
    let mut caller = alice.start(&with(&["call", "bob", "--duration", "2"], &[]))?;
    callee.wait_for("Take it?")?;
    callee.type_line("y")?;
    caller.wait_for("In a call with")?;
    callee.wait_for("Waiting for the next call.")?;
    are_of_a_call(folder.path()).context("right after the call")?;
    caller.finish()?;

    let missed = alice.start(&with(&["call", "bob"], &[]))?;
    callee.wait_for("Take it?")?;
    missed.signal("INT")?;
    missed.finish()?;
    callee.wait_for("Waiting for the next call.")?;
    are_of_a_call(folder.path()).context("after a call that was missed")?;
    callee.signal("INT")?;
    callee.finish()?;
    are_of_a_call(folder.path()).context("at the end")
}

#[test]
fn a_call_that_does_not_go_live_changes_no_file_and_leaves_none() -> anyhow::Result<()> {
    let Setup { relay: _relay, people: [alice, _bob], folder } = Setup::new(["alice", "bob"])?;
    let (old, new) = (folder.path().join("old"), folder.path().join("new"));
    fs::create_dir(&old)?;
    fs::create_dir(&new)?;
    for (_, name) in WRITTEN {
        fs::write(old.join(name), b"precious")?;
    }
    for place in [&old, &new] {
        let (status, lines) = alice.run(&with(&["call", "bob"], &writing(place)))?;
        ensure!(status.code() == Some(3) && lines.join("\n").contains("not online"), "{status}: {lines:?}");
    }
    for (_, name) in WRITTEN {
        ensure!(fs::read(old.join(name))? == b"precious", "{name} was changed");
    }
    ensure!(fs::read_dir(&old)?.count() == WRITTEN.len(), "something was left beside the files");
    ensure!(fs::read_dir(&new)?.next().is_none(), "something was left behind");
    Ok(())
}

#[cfg(target_os = "linux")]
#[test]
fn recordings_without_room_keep_what_is_whole_and_agree_with_their_tables() -> anyhow::Result<()> {
    let Setup { relay: _relay, people: [alice, bob], folder } = Setup::new(["alice", "bob"])?;
    let (seen, heard) = (folder.path().join("seen.y4m"), folder.path().join("heard.wav"));
    let mut callee = bob.start(&[&["answer", "--auto"], &SMALL[..]].concat())?;
    callee.wait_for("waiting for a call")?;
    // No file may be longer than 100 KiB: three pictures and a bit, one second of sound and a bit.
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f 200; exec \"$@\"", "sh"]).arg(binary("visavis")?);
    command.args(["call", "bob", "--duration", "4"]).args(SMALL).arg("--profile").arg(alice.profile());
    command.arg("--record-video").arg(&seen).arg("--record-audio").arg(&heard);
    let (status, lines) = Process::start("alice", &mut command)?.finish()?;
    let said = lines.join("\n");
    ensure!(status.code() == Some(1), "{status}: {said}");
    ensure!(said.contains("seen.y4m ended early") && said.contains("heard.wav ended early"), "{said}");

    let clip = y4m::Reader::new(BufReader::new(fs::File::open(&seen)?)).context("the clip")?;
    let pictures = table(&seen, "capture,frame,captured_ns,presented_ns")?;
    ensure!(clip.frames() == 3 && pictures.len() == 3, "{} pictures, {pictures:?}", clip.frames());
    let samples = wav::read_mono_48k(&heard).context("the sound")?.len() as u64;
    let sound = table(&heard, "first_sample,first_sample_ns")?;
    println!("{samples} samples from {sound:?}");
    // Whole blocks of 480, as many as fit.
    ensure!(samples == (200 * 512 - 44) / 960 * 480, "{samples} samples");
    ensure!(sound.iter().all(|row| row[0] < samples), "{sound:?}");
    Ok(())
}
