//! A PulseAudio server of a test's own: nobody's speakers play, and nobody's microphone listens.
//!
//! Its sinks play nowhere; what one plays can be heard from its monitor, which is a microphone to everybody else.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, ensure};

use crate::real::{PATIENCE, Process};

/// A running server. Ended when dropped.
#[derive(Debug)]
pub struct Pulse {
    process: Process,
    folder: PathBuf,
    sinks: Vec<(String, u32)>,
}

impl Pulse {
    /// Whether there is a PulseAudio to start.
    pub fn is_installed() -> bool {
        let runs = |program: &str| {
            let mut version = Command::new(program);
            version.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            version.status().is_ok_and(|status| status.success())
        };
        runs("pulseaudio") && runs("pactl")
    }

    /// Starts a server in `folder` with sinks of these names and rates in Hz; the first one is the default.
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

    /// Lets a command use this server.
    pub fn serve<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        within(&self.folder, command)
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
        let [module, name, rate, properties] = sink_arguments(sink, rate_hz);
        self.ask(&["load-module", &module, &name, &rate, &properties]).map(drop)
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

    fn ask(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new("pactl");
        let output = self.serve(command.args(arguments)).output()?;
        ensure!(output.status.success(), "pactl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
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

fn within<'a>(folder: &Path, command: &'a mut Command) -> &'a mut Command {
    command
        .env("PULSE_SERVER", format!("unix:{}", folder.join("native").display()))
        .env("PULSE_RUNTIME_PATH", folder)
        .env("XDG_RUNTIME_DIR", folder)
        .env("XDG_CONFIG_HOME", folder)
        .env("LC_ALL", "C")
}

/// A sink is described by its name; its monitor is then called "Monitor of" it.
fn sink_arguments(name: &str, rate_hz: u32) -> [String; 4] {
    [
        "module-null-sink".to_owned(),
        format!("sink_name={name}"),
        format!("rate={rate_hz}"),
        format!("sink_properties=device.description={name}"),
    ]
}
