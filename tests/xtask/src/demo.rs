//! `cargo xtask demo`: a whole call on this machine, from nothing but a Rust toolchain.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use crate::packages::{self, Purpose};
use crate::process;

pub const COMMAND: crate::Command = crate::Command {
    name: "demo",
    takes: "[--headless] [--seconds N] [--video FILE.y4m] [--audio FILE.wav] [--report FILE.json]",
    about: "Starts a relay and two people, lets one call the other, and shows how late their\n\
            pictures and voices arrive: in two windows, unless there is no display or with\n\
            --headless. Installs and builds what it needs first. Without\n\
            --video and --audio it makes a scene and speech-like sound of its own.",
    run,
};

/// The program that holds the call; everything after `demo` is its arguments.
const PROGRAM: &str = "visavis-demo";

/// The packages whose programs take part: the demo starts the relay and the clients from its own folder.
const PARTS: [&str; 3] = ["visavis-relay", "visavis", "visavis-tests"];

fn run(args: &[OsString]) -> Result<ExitCode, String> {
    packages::ensure(&[Purpose::Build])?;
    let program = build(PROGRAM)?;
    process::hand_over(Command::new(program).args(args))
}

/// Builds every program that takes part, and answers the path of one of them.
pub fn build(program: &str) -> Result<PathBuf, String> {
    process::say("building the relay, the client and the demo (the first time takes some minutes)");
    let mut build = process::cargo();
    build.args(["build", "--release", "--locked", "--bins"]);
    build.args(PARTS.iter().flat_map(|part| ["-p", part]));
    process::run(&mut build, "The build failed; the compiler's message is above.")?;
    process::built("release", program)
}
