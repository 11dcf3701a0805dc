//! `cargo xtask setup`: everything the other commands and the checks would install, and nothing else.

use std::ffi::OsString;
use std::process::ExitCode;

use crate::packages::{self, Purpose};
use crate::{process, tools};

pub const COMMAND: crate::Command = crate::Command {
    name: "setup",
    takes: "",
    about: "Only installs: system packages and cargo tools that building, testing and the checks\n\
            of .ci/run need. The other commands do their own share of this by themselves.",
    run,
};

fn run(args: &[OsString]) -> Result<ExitCode, String> {
    process::no_arguments("setup", args)?;
    packages::ensure(&[Purpose::Build, Purpose::Checks])?;
    tools::ensure(&tools::NEXTEST)?;
    tools::ensure(&tools::DENY)?;
    process::say("setup is done");
    Ok(ExitCode::SUCCESS)
}
