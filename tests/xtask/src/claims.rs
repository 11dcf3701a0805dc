//! `cargo xtask claims`: measures what the project claims.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use crate::packages::{self, Purpose};
use crate::{demo, process};

pub const COMMAND: crate::Command = crate::Command {
    name: "claims",
    takes: "quality|setup|window|load [--help]",
    about: "Measures a claim with the real programs and prints the figures: delay, sharpness and\n\
            intelligibility of a call (quality), accept to first picture (setup), the window's\n\
            start, delay and cost (window), what clients and calls cost a relay (load). Nothing\n\
            else should run meanwhile.",
    run,
};

const PROGRAM: &str = "visavis-claims";

/// What the comparison of sound needs; pystoi is the field's usual implementation of STOI.
const PYTHON_PACKAGES: [&str; 3] = ["numpy", "scipy", "pystoi"];

fn run(args: &[OsString]) -> Result<ExitCode, String> {
    packages::ensure(&[Purpose::Build, Purpose::Checks])?;
    let program = demo::build(PROGRAM)?;
    let mut command = Command::new(&program);
    if args.first().is_some_and(|claim| claim == "quality") {
        command.env("VISAVIS_PYTHON", python(&program.with_file_name("claims-python"))?);
    }
    process::hand_over(command.args(args))
}

/// A Python of our own beside the programs, so that nothing of the system's is touched.
fn python(folder: &std::path::Path) -> Result<PathBuf, String> {
    let python = folder.join("bin/python3");
    let has_all = |python: &PathBuf| {
        let mut check = Command::new(python);
        check.args(["-c", &format!("import {}", PYTHON_PACKAGES.join(", "))]);
        process::output(&mut check).is_ok()
    };
    if !has_all(&python) {
        process::say("installing numpy, scipy and pystoi beside the programs, to compare sound");
        process::run(
            Command::new("python3").args(["-m", "venv"]).arg(folder),
            "Python could not make an environment; on Debian that needs: apt-get install python3-venv",
        )?;
        let mut install = Command::new(&python);
        install.args(["-m", "pip", "install", "--quiet"]).args(PYTHON_PACKAGES);
        process::run(&mut install, "The Python packages could not be installed.")?;
    }
    Ok(python)
}
