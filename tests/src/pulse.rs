//! A PulseAudio server of a test's own: nobody's speakers play, and nobody's microphone listens.
//!
//! Its sinks play nowhere; what one plays can be heard from its monitor, which is a microphone to everybody else.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};
use visavis_codec::wav;

use crate::real::{PATIENCE, Person, Process, SMALL, Setup, binary, skipped};

/// What real sound under test needs and this machine lacks, by name.
pub fn missing() -> Option<&'static str> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = |program: &&str| std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    ["pulseaudio", "pactl", "paplay", "espeak-ng"].into_iter().find(|program| !on_path(program))
}

/// What ALSA needs to lead to a server and this machine lacks, by name.
pub fn missing_for_alsa() -> Option<&'static str> {
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let mut plugins = folders.map(|folder| folder.path().join("alsa-lib/libasound_module_pcm_pulse.so"));
    let there = plugins.any(|plugin| plugin.is_file());
    missing().or((!there).then_some("libasound2-plugins"))
}

/// Alice, Bob, a relay for them, and a server with their devices.
#[derive(Debug)]
pub struct Place {
    /// Alice, Bob and their relay.
    pub setup: Setup<2>,
    /// The server.
    pub pulse: Pulse,
}

impl Place {
    /// Sets everything up, with these sinks; `None`, having said so, where what real sound needs is not installed.
    ///
    /// # Errors
    ///
    /// Whatever went wrong first.
    pub fn new(sinks: &[(&str, u32)]) -> anyhow::Result<Option<Self>> {
        if skipped(missing()) {
            return Ok(None);
        }
        let setup = Setup::new(["alice", "bob"])?;
        let pulse = Pulse::start(&setup.folder.path().join("pulse"), sinks)?;
        Ok(Some(Self { setup, pulse }))
    }

    /// Alice calls Bob, who waits for it, each with these arguments; answers both processes, hers first.
    ///
    /// # Errors
    ///
    /// If there is no call.
    pub fn call(&self, alices: &[&str], bobs: &[&str]) -> anyhow::Result<(Process, Process)> {
        let [alice, bob] = &self.setup.people;
        let mut answers = self.pulse.start_client(bob, &[&["answer", "--auto"], bobs].concat())?;
        answers.wait_for("waiting for a call")?;
        let mut calls = self.pulse.start_client(alice, &[&["call", "bob"], alices].concat())?;
        calls.wait_for("In a call with")?;
        Ok((calls, answers))
    }

    /// Where something of this name is kept.
    pub fn file(&self, name: &str) -> PathBuf {
        self.setup.folder.path().join(name)
    }

    /// The same, as an argument.
    pub fn text(&self, name: &str) -> String {
        self.file(name).display().to_string()
    }
}

/// A running server. Ended when dropped.
#[derive(Debug)]
pub struct Pulse {
    process: Process,
    folder: PathBuf,
    sinks: Vec<(String, u32)>,
}

impl Pulse {
    /// Starts a server in `folder` with sinks of these names and rates in Hz; the first one is the default. With none,
    /// it has no device at all.
    ///
    /// # Errors
    ///
    /// If it does not come up.
    pub fn start(folder: &Path, sinks: &[(&str, u32)]) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let sinks: Vec<(String, u32)> = sinks.iter().map(|(name, rate)| ((*name).to_owned(), *rate)).collect();
        let process = run(folder, &sinks)?;
        Ok(Self { process, folder: folder.to_owned(), sinks })
    }

    /// What leads a process to this server and to none that the machine itself has.
    pub fn environment(&self) -> [(&'static str, OsString); 6] {
        environment(&self.folder)
    }

    /// Lets a command use this server.
    pub fn serve<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        within(&self.folder, command)
    }

    /// Starts a call's end for somebody who uses this server's devices.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn start_client(&self, person: &Person, arguments: &[&str]) -> anyhow::Result<Process> {
        let mut command = Command::new(binary("visavis")?);
        command.args(arguments).args(SMALL).arg("--profile").arg(person.profile());
        Process::start(&person.name, self.serve(&mut command))
    }

    /// Starts a call's end for somebody whose client finds no sound server and uses ALSA: its default devices are this
    /// server's sink `speaker` and what the sink `microphone` plays.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn start_client_of_alsa(
        &self,
        person: &Person,
        [microphone, speaker]: [&str; 2],
        arguments: &[&str],
    ) -> anyhow::Result<Process> {
        let home = self.folder.join(format!("home-of-{}", person.name));
        std::fs::create_dir_all(&home)?;
        let server = format!("unix:{}", self.folder.join("native").display());
        let device = |name: &str| format!("{{ type pulse server \"{server}\" device \"{name}\" }}");
        let configuration = format!(
            "pcm.!default {{ type asym playback.pcm {} capture.pcm {} }}\n",
            device(speaker),
            device(&format!("{microphone}.monitor"))
        );
        std::fs::write(home.join(".asoundrc"), configuration)?;
        let mut command = Command::new(binary("visavis")?);
        command.args(arguments).args(SMALL).arg("--profile").arg(person.profile());
        command.env_remove("PULSE_SERVER").env("HOME", &home).env("XDG_RUNTIME_DIR", &home).env("LC_ALL", "C");
        Process::start(&person.name, &mut command)
    }

    /// Starts what listens and echoes; answers when its recordings begin as well, in Unix nanoseconds.
    ///
    /// # Errors
    ///
    /// If a device is not there.
    pub fn start_room(&self, arguments: &[&str]) -> anyhow::Result<(Process, u64)> {
        let mut command = Command::new(binary("visavis-room")?);
        let mut room = Process::start("the room", self.serve(command.args(arguments)))?;
        let began = |line: &str| line.strip_prefix("the room is ready since ")?.parse().ok();
        let began = room.wait_until(PATIENCE, began)?;
        Ok((room, began))
    }

    /// Begins to record what these sinks play, from now on for so many seconds.
    ///
    /// # Errors
    ///
    /// If one of them is not there.
    pub fn hear<const N: usize>(&self, sinks: [&str; N], seconds: u64) -> anyhow::Result<Heard<N>> {
        let files = sinks.map(|sink| self.folder.join(format!("heard-{sink}.wav")));
        let mut arguments = vec![format!("--seconds={seconds}")];
        let records = sinks.iter().zip(&files);
        arguments.extend(records.map(|(sink, file)| format!("--record=Monitor of {sink}={}", file.display())));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (room, began_ns) = self.start_room(&arguments)?;
        Ok(Heard { room, began_ns, files })
    }

    /// Plays a wav file once, until it ends or what is answered is dropped. At its leisure, so that the server has time
    /// for those whose delay counts.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn play(&self, file: &Path, sink: &str) -> anyhow::Result<Process> {
        let mut command = Command::new("paplay");
        command.args(["--latency-msec=100", "--device", sink]).arg(file);
        Process::start("paplay", self.serve(&mut command))
    }

    /// Makes a sink and its monitor the system's own choice.
    ///
    /// # Errors
    ///
    /// If there is none of that name.
    pub fn make_default(&self, sink: &str) -> anyhow::Result<()> {
        self.ask(&["set-default-sink", sink])?;
        self.make_default_microphone(sink)
    }

    /// Makes what a sink plays the system's own choice of a microphone.
    ///
    /// # Errors
    ///
    /// If there is none of that name.
    pub fn make_default_microphone(&self, sink: &str) -> anyhow::Result<()> {
        self.ask(&["set-default-source", &format!("{sink}.monitor")]).map(drop)
    }

    /// Takes a sink away, as if its plug were pulled.
    ///
    /// # Errors
    ///
    /// If there is none of that name.
    pub fn unplug(&self, sink: &str) -> anyhow::Result<()> {
        let modules = self.ask(&["list", "short", "modules"])?;
        let wanted = format!("sink_name={sink} ");
        let line = modules.lines().find(|line| line.contains(&wanted)).with_context(|| format!("no {sink}"))?;
        let module = line.split_whitespace().next().context("no module")?;
        self.ask(&["unload-module", module]).map(drop)
    }

    /// Puts a sink back.
    ///
    /// # Errors
    ///
    /// If the server refuses.
    pub fn plug(&self, sink: &str, rate_hz: u32) -> anyhow::Result<()> {
        let arguments = sink_arguments(sink, rate_hz);
        let mut command = vec!["load-module"];
        command.extend(arguments.iter().map(String::as_str));
        self.ask(&command).map(drop)
    }

    /// Stops the server, which then answers nobody and hangs up on nobody, or lets it go on.
    ///
    /// # Errors
    ///
    /// If it has gone.
    pub fn hang(&self, hangs: bool) -> anyhow::Result<()> {
        self.process.signal(if hangs { "STOP" } else { "CONT" })
    }

    /// Ends the server as a crash would, and starts it again.
    ///
    /// # Errors
    ///
    /// If it does not come up.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.process.signal("KILL")?;
        self.process.finish_within(PATIENCE)?;
        self.process = run(&self.folder, &self.sinks)?;
        Ok(())
    }

    /// Adds a sink whose sound is in another one's with the reverberation that a wav file holds. The server itself does
    /// it, so that the way between both is as constant as in a room. Its loudness is the server's choice.
    ///
    /// # Errors
    ///
    /// If the server refuses.
    pub fn resound(&self, sink: &str, into: &str, reverberation: &Path) -> anyhow::Result<()> {
        let rates = self.sinks.iter().find(|(name, _)| name == into);
        let (_, rate_hz) = rates.with_context(|| format!("no {into}"))?;
        let arguments = [
            "load-module".to_owned(),
            "module-virtual-surround-sink".to_owned(),
            format!("sink_name={sink}"),
            format!("sink_master={into}"),
            format!("hrir={}", reverberation.display()),
            format!("rate={rate_hz}"),
            "channels=1".to_owned(),
            "channel_map=mono".to_owned(),
            format!("sink_properties=device.description={sink}"),
        ];
        self.ask(&arguments.each_ref().map(String::as_str)).map(drop)
    }

    fn ask(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new("pactl");
        let output = self.serve(command.args(arguments)).output()?;
        ensure!(output.status.success(), "pactl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// What some sinks play, while it is recorded.
#[derive(Debug)]
pub struct Heard<const N: usize> {
    room: Process,
    /// When the recordings begin, in Unix nanoseconds.
    pub began_ns: u64,
    files: [PathBuf; N],
}

impl<const N: usize> Heard<N> {
    /// Waits for the end of the recordings; answers their samples, of 48 kHz.
    ///
    /// # Errors
    ///
    /// If something was not recorded.
    pub fn finish(self) -> anyhow::Result<[Vec<i16>; N]> {
        let (status, lines) = self.room.finish()?;
        ensure!(status.success(), "{status}: {lines:?}");
        let mut heard = [const { Vec::new() }; N];
        for (samples, file) in heard.iter_mut().zip(self.files) {
            *samples = wav::read_mono_48k(file)?;
        }
        Ok(heard)
    }
}

fn run(folder: &Path, sinks: &[(String, u32)]) -> anyhow::Result<Process> {
    let socket = folder.join("native");
    let _none_of_a_server_before = std::fs::remove_file(&socket);
    let _likewise = std::fs::remove_file(folder.join("pid"));
    let mut command = Command::new("pulseaudio");
    within(folder, &mut command);
    command.args(["-n", "-v", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", "--log-target=stderr"]);
    for (name, rate_hz) in sinks {
        command.arg("-L").arg(sink_arguments(name, *rate_hz).join(" "));
    }
    // Last, as everywhere: whoever comes finds the devices.
    command.arg("-L").arg(format!("module-native-protocol-unix auth-anonymous=1 socket={}", socket.display()));
    let mut process = Process::start("PulseAudio", &mut command)?;
    process.wait_for("Daemon startup complete")?;
    Ok(process)
}

/// Nothing is found of the servers that the machine itself has, nor of their cookie.
fn within<'a>(folder: &Path, command: &'a mut Command) -> &'a mut Command {
    command.env_remove("PULSE_COOKIE").envs(environment(folder))
}

fn environment(folder: &Path) -> [(&'static str, OsString); 6] {
    [
        ("HOME", folder.into()),
        ("PULSE_SERVER", format!("unix:{}", folder.join("native").display()).into()),
        ("PULSE_RUNTIME_PATH", folder.into()),
        ("XDG_RUNTIME_DIR", folder.into()),
        ("XDG_CONFIG_HOME", folder.into()),
        ("LC_ALL", "C".into()),
    ]
}

/// A sink is described by its name; its monitor is then called "Monitor of" it. Without `norewinds` an idle sink renders
/// two seconds ahead, and what is played then is missing from what its monitor has told already.
fn sink_arguments(name: &str, rate_hz: u32) -> [String; 5] {
    [
        "module-null-sink".to_owned(),
        format!("sink_name={name}"),
        format!("rate={rate_hz}"),
        "norewinds=1".to_owned(),
        format!("sink_properties=device.description={name}"),
    ]
}
