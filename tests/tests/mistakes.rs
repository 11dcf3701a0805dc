//! What people and operators get wrong: each mistake is told in a sentence that names what to do, ends with an exit
//! code that is not zero, panics nowhere, and loses nothing.

use std::{
    fs,
    io::BufReader,
    net::{Ipv4Addr, UdpSocket},
    path::Path,
    process::{Command, ExitStatus},
};

use anyhow::{Context, ensure};
use visavis_codec::y4m;
use visavis_tests::real::{PASSWORD, Person, Process, Relay, SMALL, Setup, binary};

/// A failed command's lines, checked for what every failure has in common.
fn failed((status, lines): (ExitStatus, Vec<String>)) -> anyhow::Result<String> {
    let said = lines.join("\n");
    // 1 is the project's own failure, 2 the command line's; a panic would be 101, a signal none at all.
    ensure!(matches!(status.code(), Some(1 | 2)), "{status}: {said}");
    ensure!(!said.contains("panicked") && !said.contains("RUST_BACKTRACE"), "{said}");
    Ok(said)
}

/// Fails, and says all of `parts`: what happened, and what to do.
fn tells(outcome: (ExitStatus, Vec<String>), parts: &[&str]) -> anyhow::Result<()> {
    let said = failed(outcome)?;
    println!("{said}\n");
    for part in parts {
        ensure!(said.contains(part), "{part:?} is missing in: {said}");
    }
    Ok(())
}

/// A relay's command that is expected to fail.
fn relay_command(arguments: &[&str], data: &Path) -> anyhow::Result<(ExitStatus, Vec<String>)> {
    let mut command = Command::new(binary("visavis-relay")?);
    command.args(arguments).arg("--data").arg(data);
    Process::start("the relay's command", &mut command)?.finish()
}

fn serve(data: &Path) -> anyhow::Result<(ExitStatus, Vec<String>)> {
    relay_command(&["serve", "--listen", "127.0.0.1:0", "--public-host", "127.0.0.1"], data)
}

/// The profile and the relay still work: nothing was lost.
fn still_works(person: &Person) -> anyhow::Result<()> {
    let (status, lines) = person.run(&["people"])?;
    ensure!(status.success(), "{} can no longer connect: {status}: {lines:?}", person.name);
    Ok(())
}

#[test]
fn a_wrong_password_and_an_unknown_name_are_told_alike() -> anyhow::Result<()> {
    let Setup { relay, people: [alice], folder } = Setup::new(["alice"])?;
    let laptop = alice.on_another_device();
    let wrong = failed(laptop.try_join(&relay.link, "not the password", &["--existing"])?)?;
    let nobody = Person::new(folder.path(), "nobody");
    let unknown = failed(nobody.try_join(&relay.link, PASSWORD, &["--existing"])?)?;
    ensure!(wrong == unknown, "{wrong:?} and {unknown:?} tell who is registered");
    ensure!(wrong.contains("wrong name or password"), "{wrong}");
    tells(Person::new(folder.path(), "bob").try_join(&relay.link, "short", &[])?, &["too short", "at least 8"])?;
    still_works(&alice)?;
    laptop.join(&relay.link, &["--existing"])?;
    still_works(&laptop)
}

#[test]
fn an_invite_that_is_used_or_expired_is_told_and_a_taken_name_only_with_a_valid_one() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let relay = Relay::start_with::<&str>(&folder.path().join("relay"), &[])?;
    let [alice, bob] = ["alice", "bob"].map(|name| Person::new(folder.path(), name));
    let used = relay.invite()?;
    alice.join(&used, &[])?;
    let invalid = ["this invite is not valid", "Ask for a new one"];
    tells(bob.try_join(&used, PASSWORD, &[])?, &invalid)?;

    let other_alice = bob.under_the_name("Alice");
    let with_used = failed(other_alice.try_join(&used, PASSWORD, &[])?)?;
    ensure!(!with_used.contains("already: choose another"), "a used invite tells who is registered: {with_used}");
    let valid = relay.invite()?;
    tells(other_alice.try_join(&valid, PASSWORD, &[])?, &["somebody here has this name already", "--existing"])?;

    let short = relay.run(&["invite", "--expires", "1s"])?.pop().context("an invite")?;
    // Whether it has expired is read off the relay's own answer to a name that is taken: as long as the invite is
    // valid the name is told.
    let expired = loop {
        let said = failed(other_alice.try_join(&short, PASSWORD, &[])?)?;
        if !said.contains("somebody here has this name already") {
            break said;
        }
    };
    ensure!(invalid.iter().all(|part| expired.contains(part)), "{expired}");
    // The refusals have used nothing up.
    bob.join(&valid, &[])?;
    still_works(&alice)
}

#[test]
fn a_link_that_is_wrong_is_refused() -> anyhow::Result<()> {
    let Setup { relay, people: [alice], folder } = Setup::new(["alice"])?;
    let bob = Person::new(folder.path(), "bob");
    let (place, pin) = relay.link.split_once('#').context("a pinned link")?;
    let flipped = if pin.starts_with('0') { "1" } else { "0" };
    let changed = format!("{place}#{flipped}{}", &pin[1..]);
    let promised = format!("{flipped}{}", &pin[1..]);
    tells(bob.try_join(&changed, PASSWORD, &[])?, &["key has changed", &promised, pin, "ask its operator"])?;
    tells(bob.try_join(&relay.link[..relay.link.len() - 3], PASSWORD, &[])?, &["cut or changed when it was copied"])?;
    tells(bob.try_join(&format!("{}&t=12", relay.link), PASSWORD, &[])?, &["cut or changed when it was copied"])?;
    tells(bob.try_join("https://example.org/", PASSWORD, &[])?, &["visavis://"])?;
    let named = bob.under_the_name("bo/b");
    tells(named.try_join(&relay.link, PASSWORD, &[])?, &["letters and digits of one script, spaces"])?;
    bob.join(&relay.link, &[])?;
    still_works(&alice)
}

#[test]
fn a_relay_that_does_not_answer_is_told() -> anyhow::Result<()> {
    let Setup { relay, people: [alice], folder: _folder } = Setup::new(["alice"])?;
    relay.stop()?;
    tells(
        alice.run(&["people"])?,
        &["no answer from the relay at 127.0.0.1:", "check that it is running", "firewall"],
    )
}

#[test]
fn a_host_without_an_address_is_told() -> anyhow::Result<()> {
    let Setup { relay, people: [_], folder } = Setup::new(["alice"])?;
    let link = relay.link.replace("127.0.0.1", "no-such-host.invalid");
    let bob = Person::new(folder.path(), "bob");
    tells(bob.try_join(&link, PASSWORD, &[])?, &["cannot reach no-such-host.invalid", "Check the link's host name"])
}

/// A y4m clip of grey pictures, 30 a second.
fn clip(width: usize, height: usize, frames: usize) -> Vec<u8> {
    clip_at("30:1", width, height, frames)
}

/// The same at another rate.
fn clip_at(rate: &str, width: usize, height: usize, frames: usize) -> Vec<u8> {
    let mut bytes = format!("YUV4MPEG2 W{width} H{height} F{rate} Ip A1:1 C420\n").into_bytes();
    for frame in 0..frames {
        bytes.extend_from_slice(b"FRAME\n");
        let chroma = width.div_ceil(2) * height.div_ceil(2);
        bytes.extend((0..width * height).map(|at| (at * 7 + frame * 31) as u8));
        bytes.extend(std::iter::repeat_n(128, 2 * chroma));
    }
    bytes
}

/// A mono wav file of 16-bit samples at 48 kHz, whose header promises `promised` bytes of them.
fn wav(samples: usize, promised: u32) -> Vec<u8> {
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + promised).to_le_bytes());
    bytes.extend(b"WAVEfmt ");
    bytes.extend(16u32.to_le_bytes());
    bytes.extend([1u16, 1].into_iter().flat_map(u16::to_le_bytes));
    bytes.extend([48_000u32, 96_000].into_iter().flat_map(u32::to_le_bytes));
    bytes.extend([2u16, 16].into_iter().flat_map(u16::to_le_bytes));
    bytes.extend(b"data");
    bytes.extend(promised.to_le_bytes());
    bytes.extend(std::iter::repeat_n(0x10, 2 * samples));
    bytes
}

#[test]
fn a_clip_that_cannot_be_used_is_told_before_anything_rings() -> anyhow::Result<()> {
    let Setup { relay: _relay, people: [alice, bob], folder } = Setup::new(["alice", "bob"])?;
    let mut callee = bob.start(&[&["answer", "--auto"], &SMALL[..]].concat())?;
    callee.wait_for("waiting for a call")?;
    let path = folder.path().join("clip.y4m");
    let name = path.display().to_string();
    let whole = clip(64, 48, 4);
    let mut torn = whole.clone();
    let second = torn.windows(6).skip(100).position(|window| window == b"FRAME\n").context("a second frame")? + 100;
    torn[second..second + 5].copy_from_slice(b"fRaMe");
    let cases: [(&str, &[u8]); 9] = [
        ("does not begin with YUV4MPEG2", b"this is no clip\n"),
        ("y4m", b""),
        ("truncated", &whole[..whole.len() - 100]),
        ("truncated", &whole[..200]),
        ("no frames", &clip(64, 48, 0)),
        ("damaged", &torn),
        ("not supported", &clip(8, 8, 1)),
        ("C444 is not supported", &[b"YUV4MPEG2 W64 H48 F30:1 C444\nFRAME\n", &[0; 64 * 48 * 3][..]].concat()),
        ("\"Wx\" is not valid", b"YUV4MPEG2 Wx H48 F30:1\n"),
    ];
    for (reason, bytes) in cases {
        fs::write(&path, bytes)?;
        tells(alice.run(&["call", "bob", "--video", &name])?, &[&name, reason, "ffmpeg"])?;
    }
    fs::write(&path, clip(1_922, 1_080, 1))?;
    tells(alice.run(&["call", "bob", "--video", &name])?, &["1922x1080", "ffmpeg", "-vf scale=1920:1080"])?;
    for (rate, reason) in [("120:1", "120 pictures a second"), ("0:0", "does not tell")] {
        fs::write(&path, clip_at(rate, 64, 48, 4))?;
        tells(alice.run(&["call", "bob", "--video", &name])?, &[&name, reason, "1 to 60", "--fps", "ffmpeg"])?;
    }
    fs::remove_file(&path)?;
    tells(alice.run(&["call", "bob", "--video", &name])?, &["cannot read", &name, "Check the path"])?;
    let place = folder.path().display().to_string();
    tells(
        alice.run(&["call", "bob", "--video", &place])?,
        &["cannot read", &place, "Is a directory", "Check the path"],
    )?;
    ensure!(callee.try_line().is_none(), "it rang: {}", callee.said());

    // An odd size, which H.264 has not, loses its last column and row; the rate is the clip's.
    fs::write(&path, clip_at("10000:1001", 63, 49, 5))?;
    let recorded = folder.path().join("seen.y4m");
    drop(callee);
    let recording = recorded.display().to_string();
    let mut callee = bob.start(&[&["answer", "--auto", "--record-video", &recording], &SMALL[..]].concat())?;
    callee.wait_for("waiting for a call")?;
    let (status, lines) = alice.run(&["call", "bob", "--video", &name, "--duration", "2"])?;
    ensure!(status.success(), "{status}: {lines:?}");
    let (status, lines) = callee.finish()?;
    ensure!(status.success(), "{status}: {lines:?}");
    let header = fs::read(&recorded)?;
    let header = String::from_utf8_lossy(&header[..header.len().min(40)]).into_owned();
    println!("63x49 arrives as {header:?}");
    ensure!(header.starts_with("YUV4MPEG2 W62 H48"), "{header:?}");
    let seen = y4m::Reader::new(BufReader::new(fs::File::open(&recorded)?))?;
    let rate = seen.header().frames_per_second().context("a rate")?;
    ensure!((7.0..12.0).contains(&rate), "{rate} pictures a second");
    Ok(())
}

#[test]
fn sound_that_cannot_be_used_is_told_before_anything_rings() -> anyhow::Result<()> {
    let Setup { relay: _relay, people: [alice], folder } = Setup::new(["alice"])?;
    let path = folder.path().join("sound.wav");
    let name = path.display().to_string();
    let mut strange = wav(480, 960);
    strange[20] = 0x55;
    let cases: [(&str, Vec<u8>); 6] = [
        ("not a WAV file", b"these are no sounds".to_vec()),
        ("not a WAV file", Vec::new()),
        ("truncated", wav(480, 96_000)),
        ("no samples", wav(0, 0)),
        ("not supported", strange),
        ("no \"data\" chunk", wav(0, 0)[..36].to_vec()),
    ];
    for (reason, bytes) in cases {
        fs::write(&path, bytes)?;
        tells(alice.run(&["call", "bob", "--no-video", "--audio", &name])?, &[&name, reason, "ffmpeg"])?;
    }
    fs::remove_file(&path)?;
    let place = folder.path().display().to_string();
    for (path, reason) in [(&name, "No such file"), (&place, "Is a directory")] {
        let said = failed(alice.run(&["call", "bob", "--no-video", "--audio", path])?)?;
        println!("{said}");
        ensure!([path, reason, "Check the path"].iter().all(|part| said.contains(part)), "{said}");
        ensure!(!said.contains("ffmpeg"), "there is nothing to convert: {said}");
    }
    Ok(())
}

#[test]
fn a_demo_that_cannot_read_its_clip_says_so_in_one_line() -> anyhow::Result<()> {
    let mut command = Command::new(binary("visavis-demo")?);
    command.args(["--seconds", "1", "--video", "/nonexistent.y4m"]);
    let said = failed(Process::start("the demo", &mut command)?.finish()?)?;
    println!("{said}");
    ensure!(said.starts_with("visavis-demo: cannot read /nonexistent.y4m: ") && said.lines().count() == 1, "{said}");
    ensure!(said.matches("No such file").count() == 1, "{said}");
    Ok(())
}

#[test]
fn a_file_that_would_overwrite_another_is_refused_untouched() -> anyhow::Result<()> {
    let Setup { relay: _relay, people: [alice], folder } = Setup::new(["alice"])?;
    let place = |name: &str| folder.path().join(name).display().to_string();
    fs::write(place("odd.y4m"), clip(64, 48, 2))?;
    fs::write(place("seen.csv"), clip(64, 48, 2))?;
    fs::write(place("voice.wav"), wav(480, 960))?;
    let names = || -> anyhow::Result<Vec<_>> {
        let mut names: Vec<_> =
            fs::read_dir(folder.path())?.map(|entry| Ok(entry?.file_name())).collect::<anyhow::Result<_>>()?;
        names.sort();
        Ok(names)
    };
    let before = names()?;
    let cases = [
        ["--video", "odd.y4m", "--record-video", "./odd.y4m"],
        ["--video", "seen.csv", "--record-video", "seen"],
        ["--audio", "voice.wav", "--report", "voice.wav"],
        ["--record-video", "new", "--stats", "./new"],
        ["--record-audio", "new", "--report", "new.csv"],
    ];
    for [one, one_name, other, other_name] in cases {
        let outcome = alice.run(&["call", "bob", one, &place(one_name), other, &place(other_name)])?;
        tells(outcome, &[one, other, "name the same file", "Choose another place"])?;
    }
    ensure!(fs::read(place("odd.y4m"))? == clip(64, 48, 2) && fs::read(place("voice.wav"))? == wav(480, 960));
    ensure!(names()? == before, "{:?}", names()?);
    Ok(())
}

#[test]
fn somebody_who_waits_with_a_wrong_file_does_not_come_online() -> anyhow::Result<()> {
    let Setup { relay: _relay, people: [bob], folder } = Setup::new(["bob"])?;
    let missing = folder.path().join("missing/file").display().to_string();
    for flag in ["--video", "--audio", "--record-video", "--report"] {
        let said = failed(bob.run(&["answer", "--auto", flag, &missing])?)?;
        ensure!(said.contains(&missing) && !said.contains("online"), "{said}");
    }
    Ok(())
}

#[test]
fn nobody_is_called_by_what_cannot_be_a_name() -> anyhow::Result<()> {
    let Setup { relay: _relay, people: [alice], folder: _folder } = Setup::new(["alice"])?;
    for name in ["", " ", "bo/b"] {
        tells(alice.run(&["call", name])?, &["nobody can have the name", "visavis people"])?;
    }
    Ok(())
}

#[cfg(unix)]
#[test]
fn a_pipe_is_refused_at_once() -> anyhow::Result<()> {
    let Setup { relay: _relay, people: [alice], folder } = Setup::new(["alice"])?;
    let pipe = folder.path().join("pipe").display().to_string();
    ensure!(Command::new("mkfifo").arg(&pipe).status()?.success());
    for flag in ["--video", "--audio", "--record-video", "--stats"] {
        tells(alice.run(&["call", "bob", flag, &pipe])?, &[&pipe, "it is a pipe", "Name a"])?;
    }
    Ok(())
}

#[test]
fn a_demo_that_cannot_write_its_report_does_not_begin() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let place = folder.path().join("no such folder").join("report.json").display().to_string();
    let mut command = Command::new(binary("visavis-demo")?);
    command.args(["--seconds", "1", "--report", &place]);
    let said = failed(Process::start("the demo", &mut command)?.finish()?)?;
    ensure!([&place, "No such file", "heck that the folder exists"].iter().all(|part| said.contains(part)), "{said}");
    ensure!(!said.contains("relay"), "it had begun: {said}");
    Ok(())
}

#[test]
fn a_place_that_cannot_be_written_is_told_before_anything_rings() -> anyhow::Result<()> {
    let Setup { relay, people: [alice], folder } = Setup::new(["alice"])?;
    let file = folder.path().join("file");
    fs::write(&file, b"precious")?;
    let below = file.join("below");
    let place = below.display().to_string();
    for flag in ["--record-video", "--record-audio", "--stats", "--report"] {
        let outcome = alice.run(&[&["call", "bob", flag, &place], &SMALL[..]].concat())?;
        tells(outcome, &[&place, "heck that the folder exists"])?;
    }
    let bob = Person::new(&file, "bob");
    tells(bob.try_join(&relay.link, PASSWORD, &[])?, &["cannot", "file", "belongs to you"])?;
    tells(serve(&below)?, &["cannot write to the data folder", &place, "--data"])?;
    ensure!(fs::read(&file)? == b"precious");
    still_works(&alice)
}

#[test]
fn a_profile_that_is_missing_damaged_or_there_already_is_told_and_kept() -> anyhow::Result<()> {
    let Setup { relay, people: [alice], folder } = Setup::new(["alice"])?;
    let nobody = Person::new(folder.path(), "nobody");
    for command in ["people", "history", "devices", "whoami", "answer"] {
        tells(nobody.run(&[command])?, &["there is no profile in", "visavis join LINK", "--profile"])?;
    }
    let other = alice.under_the_name("bob");
    tells(other.try_join(&relay.link, PASSWORD, &[])?, &["holds the profile of alice already", "--profile"])?;
    for name in ["profile.toml", "device.key"] {
        let path = alice.profile().join(name);
        let whole = fs::read(&path)?;
        for damage in
            [b"".to_vec(), whole[..whole.len() / 2].to_vec(), vec![0xff; 40], b"colour = \"red\"\n".to_vec()]
        {
            fs::write(&path, &damage)?;
            tells(alice.run(&["people"])?, &[name, "is damaged", "Restore it from a copy", "join again"])?;
            // Joining must not write over what may still be repaired.
            tells(alice.try_join(&relay.link, PASSWORD, &["--existing"])?, &[name, "is damaged"])?;
            ensure!(fs::read(&path)? == damage, "{name} was changed");
        }
        fs::write(&path, whole)?;
        still_works(&alice)?;
    }
    fs::rename(alice.profile().join("device.key"), folder.path().join("kept.key"))?;
    tells(alice.run(&["people"])?, &["device.key", "No such file"])?;
    fs::rename(folder.path().join("kept.key"), alice.profile().join("device.key"))?;
    still_works(&alice)
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_costs_no_invite_and_leaves_nothing_behind() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let relay = Relay::start_with::<&str>(&folder.path().join("relay"), &[])?;
    let invite = relay.invite()?;
    let disk = folder.path().join("disk");
    fs::create_dir(&disk)?;
    // Runs a script where `disk` is a small file system of its own, which vanishes with the process.
    let on_a_disk = |options: &str, script: &str| -> anyhow::Result<(ExitStatus, Vec<String>)> {
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-c"])
            .arg(format!("mount -t tmpfs -o {options} tmpfs {disk} || exit 77\n{script}", disk = disk.display()));
        Process::start("a command on a small disk", &mut command)?.finish()
    };
    let (probe, said) = on_a_disk("size=64k", "exit 0")?;
    if !probe.success() {
        println!("skipped: this user may not mount a file system of its own ({probe}: {said:?})");
        return Ok(());
    }
    let join = format!(
        "echo '{PASSWORD}' | {visavis} join '{invite}' --name bob --password-stdin --profile {disk}/a/b\n\
         code=$?; echo left: $(ls -A {disk}); exit $code",
        visavis = binary("visavis")?.display(),
        disk = disk.display()
    );
    let says = ["No space left on device", "Free some space there", "--profile"];
    // No room for a byte: found out before the password is asked for.
    let (status, lines) =
        on_a_disk("size=64k", &format!("cat /dev/zero > {}/full 2>/dev/null\n{join}", disk.display()))?;
    ensure!(lines.iter().any(|line| line == "left: full"), "{status}: {lines:?}");
    tells((status, lines), &says)?;
    // Room for one file beside the root and the two folders, and so not for the key beside the profile: found out after
    // the relay was asked, before it has registered anybody.
    let (status, lines) = on_a_disk("nr_inodes=4", &join)?;
    ensure!(lines.iter().any(|line| line == "left:"), "{status}: {lines:?}");
    tells((status, lines), &[&says[..], &["nothing was registered", "device.key"]].concat())?;
    // The invite is as good as new.
    let bob = Person::new(folder.path(), "bob");
    bob.join(&invite, &[])?;
    still_works(&bob)
}

#[test]
fn a_join_that_fails_leaves_no_folder() -> anyhow::Result<()> {
    let Setup { relay, people: [alice], folder } = Setup::new(["alice"])?;
    let deep = folder.path().join("not/there");
    let taken = Person::new(&deep, "alice");
    tells(taken.try_join(&relay.link, PASSWORD, &[])?, &["somebody here has this name already", "--existing"])?;
    tells(taken.try_join(&relay.link, "not the password", &["--existing"])?, &["wrong name or password"])?;
    let long = "x".repeat(61);
    tells(taken.try_join(&relay.link, PASSWORD, &["--device-name", &long])?, &["at most 60", "--device-name"])?;
    ensure!(!folder.path().join("not").exists(), "it left a folder behind");
    still_works(&alice)
}

#[test]
fn a_port_that_is_taken_is_told() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let holder = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = holder.local_addr()?.to_string();
    let outcome = relay_command(&["serve", "--listen", &address], folder.path())?;
    tells(outcome, &["cannot listen on UDP", &address, "another program has the port", "--listen ADDRESS:PORT"])
}

#[test]
fn a_second_relay_on_the_same_folder_is_refused() -> anyhow::Result<()> {
    let Setup { relay, people: [alice], folder: _folder } = Setup::new(["alice"])?;
    tells(serve(relay.data())?, &["another relay is running on the data folder", "--data"])?;
    still_works(&alice)
}

#[test]
fn settings_that_are_wrong_are_told_with_their_line() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("relay.toml");
    let name = file.display().to_string();
    for (text, what) in [
        ("lisen = \"127.0.0.1:0\"\n", "lisen"),
        ("listen = \"127.0.0.1\"\n", "listen"),
        ("max_connections = \"many\"\n", "max_connections"),
        ("listen = [\n", "line 1"),
        ("log = \"visavis_relay=loud\"\n", "visavis_relay=loud"),
    ] {
        fs::write(&file, text)?;
        tells(serve(folder.path())?, &[what])?;
        if !text.starts_with("log") {
            tells(serve(folder.path())?, &[&name, "correct or remove"])?;
        }
    }
    fs::write(&file, [0xff, 0xfe, 0x00])?;
    tells(serve(folder.path())?, &[&name, "UTF-8", "move it away"])?;
    let elsewhere = folder.path().join("elsewhere.toml").display().to_string();
    tells(
        relay_command(&["serve", "--config", &elsewhere], folder.path())?,
        &[&elsewhere, "cannot read the settings", "name another with --config"],
    )?;
    tells(relay_command(&["invite", "--expires", "soon"], folder.path())?, &["12h or 7d"])?;
    tells(
        relay_command(&["serve", "--certificate", "x.pem"], folder.path()).and_then(|outcome| {
            fs::remove_file(&file)?;
            Ok(outcome)
        })?,
        &["relay.toml"],
    )?;
    tells(
        relay_command(&["serve", "--certificate", "x.pem"], folder.path())?,
        &["certificate and key belong together"],
    )?;
    let both = ["serve", "--certificate", "x.pem", "--key", "y.pem"];
    tells(relay_command(&both, folder.path())?, &["x.pem", "cannot read"])?;
    Relay::start(folder.path())?.stop()
}

#[test]
fn an_operators_typing_errors_are_told() -> anyhow::Result<()> {
    let Setup { relay, people: [alice], folder: _folder } = Setup::new(["alice"])?;
    for command in ["disable", "enable", "passwd-reset"] {
        tells(relay_command(&["user", command, "alcie"], relay.data())?, &["nobody called \"alcie\"", "user list"])?;
    }
    tells(relay_command(&["user", "add", "Alice"], relay.data())?, &["already", "choose another name"])?;
    tells(relay_command(&["user", "add", "a/b"], relay.data())?, &["cannot be a name"])?;
    still_works(&alice)
}

#[test]
fn a_damaged_data_folder_is_told_and_left_alone() -> anyhow::Result<()> {
    let Setup { relay, people: [alice], folder: _folder } = Setup::new(["alice"])?;
    let (data, link) = (relay.data().to_owned(), relay.link.clone());
    let address = link.trim_start_matches("visavis://").split('/').next().context("an address")?.to_owned();
    relay.stop()?;
    for (name, hint) in [("relay.db", "restore it from a backup"), ("relay.key", "no identity without its key")] {
        let path = data.join(name);
        let whole = fs::read(&path)?;
        let mut scribbled = whole.clone();
        scribbled[..64.min(whole.len())].fill(b'x');
        for damage in [scribbled, b"nonsense".to_vec(), whole[..whole.len() / 2].to_vec()] {
            fs::write(&path, &damage)?;
            tells(serve(&data)?, &[name, hint])?;
            tells(relay_command(&["invite"], &data)?, &[name, hint])?;
            ensure!(fs::read(&path)? == damage, "{name} was changed");
        }
        fs::write(&path, whole)?;
    }
    let relay = Relay::start_at(&address, &data, &["--open-registration"])?;
    ensure!(relay.link == link, "another key: {} instead of {link}", relay.link);
    still_works(&alice)
}
