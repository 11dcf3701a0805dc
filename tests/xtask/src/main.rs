//! The project's chores as one program, started as `cargo xtask COMMAND`.
//!
//! It installs what is missing, builds, and hands over to the real binaries; nothing of Visavis itself is here. It
//! has no dependencies, so on a new machine it is there a second after `cargo` is. A command is one file, and one
//! line in [`COMMANDS`]:
//!
//! | file | role |
//! |---|---|
//! | `demo`, `test`, `claims`, `setup`, `check_deps` | the commands |
//! | `packages` | system packages: what is needed and why, how it gets here |
//! | `tools` | the cargo tools that are installed from source |
//! | `process` | running cargo and other programs, and saying what is going on |

#![forbid(unsafe_code)]

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;

mod check_deps;
mod claims;
mod demo;
mod packages;
mod process;
mod setup;
mod test;
mod tools;

/// A subcommand of `cargo xtask`.
struct Command {
    /// What is typed after `cargo xtask`.
    name: &'static str,
    /// What it takes, in the notation of a usage line.
    takes: &'static str,
    /// What it does, for the help: a few lines of plain text.
    about: &'static str,
    /// Does it. An error is a text for a person: what happened, and what to do next.
    run: fn(&[OsString]) -> Result<ExitCode, String>,
}

const COMMANDS: &[Command] = &[demo::COMMAND, test::COMMAND, claims::COMMAND, setup::COMMAND, check_deps::COMMAND];

fn main() -> ExitCode {
    let args: Vec<OsString> = env::args_os().skip(1).collect();
    let Some((name, rest)) = args.split_first() else {
        print!("{}", help());
        return ExitCode::SUCCESS;
    };
    if ["help", "--help", "-h"].iter().any(|word| name == word) {
        print!("{}", help());
        return ExitCode::SUCCESS;
    }
    let Some(command) = COMMANDS.iter().find(|command| name == command.name) else {
        eprint!("xtask: there is no command '{}'.\n\n{}", name.display(), help());
        return ExitCode::from(2);
    };
    (command.run)(rest).unwrap_or_else(|error| {
        eprintln!("xtask: {error}");
        ExitCode::FAILURE
    })
}

fn help() -> String {
    let mut text = String::from(
        "Visavis: build it, try it, check it.\n\n\
         New here? `cargo xtask demo` holds a video call between two people on this machine.\n\
         Changed something? `cargo xtask test` runs every test.\n\n\
         Usage: cargo xtask COMMAND [ARGUMENTS]\n",
    );
    for command in COMMANDS {
        text += &format!("\n  {}\n", usage(command));
        for line in command.about.lines() {
            text += &format!("      {line}\n");
        }
    }
    text
}

fn usage(command: &Command) -> String {
    format!("{} {}", command.name, command.takes).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_tells_every_command_with_what_it_takes() {
        let text = help();
        for command in COMMANDS {
            assert!(text.contains(&format!("\n  {}\n", usage(command))), "{}", command.name);
        }
        assert!(text.lines().all(|line| line.chars().count() <= 100), "a line does not fit a terminal");
    }
}
