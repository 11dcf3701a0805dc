//! Real binaries on loopback: starts them, reads what they print, and ends them with its own end.

use std::{
    collections::VecDeque,
    ffi::OsStr,
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use visavis_proto::wire::link::Link;

/// How long anything on loopback may take before it counts as hung. Far above what it takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The password of everybody in tests and demonstrations.
pub const PASSWORD: &str = "correct horse battery";

/// Flags for a call whose media cost little.
pub const SMALL: [&str; 2] = ["--size=160x120", "--video-rate=100"];

/// Whether a test cannot run here, since something is missing: then it says so. With `CI` set it fails instead, since
/// there everything is installed.
pub fn skipped(missing: Option<&str>) -> bool {
    let Some(what) = missing else { return false };
    assert!(std::env::var_os("CI").is_none(), "{what} is not installed, and CI is to run every test");
    println!("SKIPPED: {what} is not installed here; cargo xtask setup installs it.");
    true
}

/// The path of one of the workspace's binaries, beside the running one.
///
/// # Errors
///
/// If it has not been built.
pub fn binary(name: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("this program does not know where it is")?;
    let mut folder = own.parent().context("this program lies nowhere")?;
    if folder.ends_with("deps") {
        folder = folder.parent().unwrap_or(folder);
    }
    let path = folder.join(name).with_extension(std::env::consts::EXE_EXTENSION);
    ensure!(path.exists(), "{} has not been built: run cargo build --workspace --bins", path.display());
    Ok(path)
}

/// The path of a library that pretends hardware, of the crate of this name; they lie beside the binaries.
///
/// # Errors
///
/// If it has not been built.
pub fn pretending_library(name: &str) -> anyhow::Result<PathBuf> {
    let path = binary("visavis")?.with_file_name(format!("lib{}.so", name.replace('-', "_")));
    ensure!(path.exists(), "{} has not been built: run cargo build -p {name}", path.display());
    Ok(path)
}

/// A process whose lines are read as they come. Killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    lines: Receiver<String>,
    /// The last lines, for messages.
    seen: VecDeque<String>,
}

impl Process {
    /// Starts `command`; standard output and standard error are read line by line, mixed.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn start(name: &str, command: &mut Command) -> anyhow::Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let (sender, lines) = channel();
        let outputs: [Option<Box<dyn Read + Send>>; 2] =
            [child.stdout.take().map(|out| Box::new(out) as _), child.stderr.take().map(|out| Box::new(out) as _)];
        for output in outputs.into_iter().flatten() {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            });
        }
        Ok(Self { child, name: name.to_owned(), lines, seen: VecDeque::new() })
    }

    /// The next line, or `None` once the process has closed its outputs.
    ///
    /// # Errors
    ///
    /// If none comes before `deadline`.
    pub fn line_before(&mut self, deadline: Instant) -> anyhow::Result<Option<String>> {
        match self.lines.recv_timeout(deadline.saturating_duration_since(now())) {
            Ok(line) => {
                if self.seen.len() == 40 {
                    self.seen.pop_front();
                }
                self.seen.push_back(line.clone());
                Ok(Some(line))
            }
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) => bail!("{} says nothing more. It said:\n{}", self.name, self.said()),
        }
    }

    /// Reads until a line holds `text`, and answers that line.
    ///
    /// # Errors
    ///
    /// If the process ends or falls silent before.
    pub fn wait_for(&mut self, text: &str) -> anyhow::Result<String> {
        self.wait_for_within(text, PATIENCE)
    }

    /// As [`Self::wait_for`], with a patience of its own.
    ///
    /// # Errors
    ///
    /// If the process ends before, or does not say it in time.
    pub fn wait_for_within(&mut self, text: &str, patience: Duration) -> anyhow::Result<String> {
        let found = self.wait_until(patience, |line| line.contains(text).then(|| line.to_owned()));
        found.with_context(|| format!("waiting for {text:?}"))
    }

    /// Reads until `look` finds in a line what it looks for.
    ///
    /// # Errors
    ///
    /// If the process ends before, or does not say it in time.
    pub fn wait_until<T>(
        &mut self,
        patience: Duration,
        mut look: impl FnMut(&str) -> Option<T>,
    ) -> anyhow::Result<T> {
        let deadline = now() + patience;
        loop {
            match self.line_before(deadline)?.as_deref().map(&mut look) {
                Some(Some(found)) => return Ok(found),
                Some(None) => {}
                None => bail!("{} ended too early. It said:\n{}", self.name, self.said()),
            }
        }
    }

    /// The next line if there is one already.
    pub fn try_line(&mut self) -> Option<String> {
        self.line_before(now()).ok().flatten()
    }

    /// Waits for the end of the process; answers how it ended and all lines that were not read before.
    ///
    /// # Errors
    ///
    /// If it does not end.
    pub fn finish(mut self) -> anyhow::Result<(ExitStatus, Vec<String>)> {
        self.finish_within(PATIENCE)
    }

    /// As [`Self::finish`], with a patience of its own.
    ///
    /// # Errors
    ///
    /// If it does not end.
    pub fn finish_within(&mut self, patience: Duration) -> anyhow::Result<(ExitStatus, Vec<String>)> {
        let deadline = now() + patience;
        let mut lines = Vec::new();
        while let Some(line) = self.line_before(deadline)? {
            lines.push(line);
        }
        Ok((self.child.wait()?, lines))
    }

    /// Types a line.
    ///
    /// # Errors
    ///
    /// If the process does not read.
    pub fn type_line(&mut self, line: &str) -> anyhow::Result<()> {
        let input = self.child.stdin.as_mut().context("its input is closed")?;
        writeln!(input, "{line}").context("it does not read its input")
    }

    /// Sends a signal by name, such as `TERM`, `INT` or `KILL`.
    ///
    /// # Errors
    ///
    /// If there is no shell to send it with.
    pub fn signal(&self, signal: &str) -> anyhow::Result<()> {
        let pid = self.child.id();
        let status = Command::new("sh").arg("-c").arg(format!("kill -{signal} {pid}")).status()?;
        ensure!(status.success(), "{} could not be signalled", self.name);
        Ok(())
    }

    /// The process's number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The last lines it said.
    pub fn said(&self) -> String {
        self.seen.iter().map(|line| format!("    {line}\n")).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; either way nothing is left behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A relay process on a free port of loopback.
#[derive(Debug)]
pub struct Relay {
    /// The process.
    pub process: Process,
    /// The link it printed, without an invite.
    pub link: String,
    data: PathBuf,
}

impl Relay {
    /// Starts a relay with its data in `folder`, open to everybody.
    ///
    /// # Errors
    ///
    /// If it does not come up.
    pub fn start(folder: &Path) -> anyhow::Result<Self> {
        Self::start_with(folder, &["--open-registration"])
    }

    /// Starts a relay with more flags.
    ///
    /// # Errors
    ///
    /// If it does not come up.
    pub fn start_with<S: AsRef<OsStr>>(folder: &Path, flags: &[S]) -> anyhow::Result<Self> {
        Self::start_at("127.0.0.1:0", folder, flags)
    }

    /// Starts a relay at an address.
    ///
    /// # Errors
    ///
    /// If it does not come up.
    pub fn start_at<S: AsRef<OsStr>>(address: &str, folder: &Path, flags: &[S]) -> anyhow::Result<Self> {
        let mut command = Command::new(binary("visavis-relay")?);
        command.args(["serve", "--listen", address, "--public-host", "127.0.0.1", "--data"]).arg(folder);
        command.args(flags);
        let mut process = Process::start("the relay", &mut command)?;
        let link = process.wait_for("visavis://")?.trim().to_owned();
        Ok(Self { process, link, data: folder.to_owned() })
    }

    /// Runs another command of the relay's program on the same data, and answers its lines.
    ///
    /// # Errors
    ///
    /// If it fails.
    pub fn run(&self, arguments: &[&str]) -> anyhow::Result<Vec<String>> {
        let mut command = Command::new(binary("visavis-relay")?);
        command.args(arguments).arg("--data").arg(&self.data);
        let (status, lines) = Process::start("the relay's command", &mut command)?.finish()?;
        ensure!(status.success(), "{arguments:?} failed: {lines:?}");
        Ok(lines)
    }

    /// A fresh invite.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn invite(&self) -> anyhow::Result<String> {
        self.run(&["invite"])?.pop().context("the relay printed no invite")
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// If its link is none.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        let link: Link = self.link.parse()?;
        Ok((Ipv4Addr::LOCALHOST, link.port).into())
    }

    /// Where it keeps its data.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Asks it to stop in good order.
    ///
    /// # Errors
    ///
    /// If it does not, or not with exit code 0.
    pub fn stop(self) -> anyhow::Result<()> {
        self.process.signal("TERM")?;
        let (status, lines) = self.process.finish()?;
        ensure!(status.success(), "the relay ended with {status}: {lines:?}");
        Ok(())
    }
}

/// Somebody with a profile folder.
#[derive(Debug, Clone)]
pub struct Person {
    /// Their name.
    pub name: String,
    profile: PathBuf,
}

impl Person {
    /// A person whose profile will lie in `folder`.
    pub fn new(folder: &Path, name: &str) -> Self {
        Self { name: name.to_owned(), profile: folder.join(name) }
    }

    /// The same person on another device.
    pub fn on_another_device(&self) -> Self {
        Self { name: self.name.clone(), profile: self.profile.with_extension("other") }
    }

    /// The same folder for somebody of another name.
    pub fn under_the_name(&self, name: &str) -> Self {
        Self { name: name.to_owned(), profile: self.profile.clone() }
    }

    /// Where this device's profile lies.
    pub fn profile(&self) -> &Path {
        &self.profile
    }

    /// Joins by `link`, with more flags.
    ///
    /// # Errors
    ///
    /// What the client said, if it failed.
    pub fn join(&self, link: &str, flags: &[&str]) -> anyhow::Result<()> {
        let (status, lines) = self.try_join(link, PASSWORD, flags)?;
        ensure!(status.success(), "{} could not join: {lines:?}", self.name);
        Ok(())
    }

    /// Tries to join with a password; answers how it ended and what was said.
    ///
    /// # Errors
    ///
    /// If the client cannot be run or hangs.
    pub fn try_join(&self, link: &str, password: &str, flags: &[&str]) -> anyhow::Result<(ExitStatus, Vec<String>)> {
        let mut arguments = vec!["join", link, "--name", &self.name, "--password-stdin"];
        arguments.extend(flags);
        let mut process = self.start(&arguments)?;
        // A client that refuses the link does not read so far; what it says about that is the outcome.
        let _ = process.type_line(password);
        process.finish()
    }

    /// Starts a command of the client's program with this person's profile.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn start<S: AsRef<OsStr>>(&self, arguments: &[S]) -> anyhow::Result<Process> {
        self.start_with(arguments, &[])
    }

    /// As [`Self::start`], with variables of the environment.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn start_with<S: AsRef<OsStr>>(
        &self,
        arguments: &[S],
        environment: &[(&str, &OsStr)],
    ) -> anyhow::Result<Process> {
        let mut command = Command::new(binary("visavis")?);
        command.args(arguments).arg("--profile").arg(&self.profile).envs(environment.iter().copied());
        Process::start(&self.name, &mut command)
    }

    /// Opens the client's window on an X display, with these arguments and variables of the environment.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn start_window<S: AsRef<OsStr>>(
        &self,
        display: &str,
        arguments: &[S],
        environment: &[(&str, &OsStr)],
    ) -> anyhow::Result<Process> {
        let mut command = Command::new(binary("visavis")?);
        command.args(arguments).arg("--profile").arg(&self.profile).envs(environment.iter().copied());
        command.env("DISPLAY", display).env_remove("WAYLAND_DISPLAY").env_remove("WAYLAND_SOCKET");
        Process::start(&self.name, &mut command)
    }

    /// Runs a command to its end.
    ///
    /// # Errors
    ///
    /// If it cannot be run or hangs.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> anyhow::Result<(ExitStatus, Vec<String>)> {
        self.start(arguments)?.finish()
    }
}

/// A relay that is open to everybody, and people who have joined it.
#[derive(Debug)]
pub struct Setup<const N: usize> {
    /// The relay.
    pub relay: Relay,
    /// The people.
    pub people: [Person; N],
    /// Everybody's folder; gone when dropped.
    pub folder: tempfile::TempDir,
}

impl<const N: usize> Setup<N> {
    /// Starts the relay and registers everybody.
    ///
    /// # Errors
    ///
    /// Whatever went wrong first.
    pub fn new(names: [&str; N]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let relay = Relay::start(&folder.path().join("relay"))?;
        let people = names.map(|name| Person::new(folder.path(), name));
        people.iter().try_for_each(|person| person.join(&relay.link, &[]))?;
        Ok(Self { relay, people, folder })
    }
}

/// Brings two people into a call with small pictures and live figures; answers the caller's process and the callee's.
///
/// # Errors
///
/// If there is no call.
pub fn live_call(caller: &Person, callee: &Person) -> anyhow::Result<(Process, Process)> {
    let mut answering = callee.start(&[&["answer", "--auto", "--live-json"], &SMALL[..]].concat())?;
    answering.wait_for("waiting for a call")?;
    let mut calling = caller.start(&[&["call", &callee.name, "--live-json"], &SMALL[..]].concat())?;
    calling.wait_for("In a call with")?;
    answering.wait_for("In a call with")?;
    Ok((calling, answering))
}

/// The one clock of tests with real processes.
#[expect(clippy::disallowed_methods, reason = "real processes live in real time")]
pub fn now() -> Instant {
    Instant::now()
}
