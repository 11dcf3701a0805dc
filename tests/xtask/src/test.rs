//! `cargo xtask test`: every test, or the ones that its arguments select.

use std::ffi::OsString;
use std::process::ExitCode;

use crate::packages::{self, Purpose};
use crate::{process, tools};

pub const COMMAND: crate::Command = crate::Command {
    name: "test",
    takes: "[NEXTEST ARGUMENTS]",
    about: "Runs every test: beside the code, in the simulated world, with real programs, and the\n\
            examples in the docs. Installs and builds what it needs first. Arguments go to\n\
            `cargo nextest run` and narrow it down: `cargo xtask test -p visavis-proto`,\n\
            `cargo xtask test glare`, `cargo xtask test --no-capture hang_up`.",
    run,
};

fn run(args: &[OsString]) -> Result<ExitCode, String> {
    packages::ensure(&[Purpose::Build, Purpose::Checks])?;
    tools::ensure(&tools::NEXTEST)?;

    // One build for programs and tests: asked for separately, dependencies would be built twice wherever a
    // dev-dependency turns on a feature. The programs are there because the end-to-end tests start them, the libraries
    // because one of them is loaded into programs, to pretend cameras.
    process::say("building the programs and the tests");
    let mut build = process::cargo();
    build.args(["build", "--workspace", "--locked", "--lib", "--bins", "--tests"]);
    process::run(&mut build, "The build failed; the compiler's message is above.")?;

    // Before the tests, so that the tests' summary is the last thing on the screen.
    let examples = if args.is_empty() { examples() } else { Ok(()) };

    process::say("running the tests");
    let mut nextest = process::cargo();
    nextest.args(["nextest", "run", "--locked"]);
    if !names_a_package(args) {
        nextest.arg("--workspace");
    }
    nextest.args(args);
    process::run(&mut nextest, "Not every test passed; the list is above.")?;
    examples.map(|()| ExitCode::SUCCESS)
}

fn examples() -> Result<(), String> {
    process::say("running the examples in the docs");
    let mut doc = process::cargo();
    doc.args(["test", "--quiet", "--workspace", "--locked", "--doc"]);
    process::run(&mut doc, "An example in the docs failed: see further above, before the tests.")
}

/// Whether the person chose packages; `--workspace` beside a choice would override it.
fn names_a_package(args: &[OsString]) -> bool {
    args.iter().filter_map(|arg| arg.to_str()).take_while(|arg| *arg != "--").any(|arg| {
        arg == "--package" || arg.starts_with("--package=") || (arg.starts_with("-p") && !arg.starts_with("--"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_of_packages_is_seen_in_every_spelling() {
        let chooses = |line: &str| names_a_package(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert!(chooses("-p visavis-proto"));
        assert!(chooses("glare -pvisavis-proto"));
        assert!(chooses("--package visavis"));
        assert!(chooses("--package=visavis"));
        assert!(!chooses("glare --profile ci"));
        assert!(!chooses("glare -- -p visavis"));
    }
}
