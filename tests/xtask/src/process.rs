//! Running cargo and other programs, and saying what is going on.
//!
//! The working folder is never changed: paths a person types, and a relative `CARGO_TARGET_DIR`, mean what they
//! meant in the person's shell.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// Tells the person at the terminal what happens next.
pub fn say(text: &str) {
    eprintln!("xtask: {text}");
}

/// A cargo of the toolchain that built this program, in the environment that this program was started from.
pub fn cargo() -> Command {
    clean(Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into())))
}

/// Where the workspace's `Cargo.toml` lies.
pub fn workspace_root() -> PathBuf {
    // At run time first: two checkouts may share one target folder, and then the compiled-in path may be the
    // other checkout's.
    let manifest_dir = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    PathBuf::from(manifest_dir).join("../..")
}

/// The path of a program that cargo has built, in the profile folder (`debug`, `release`) named.
///
/// This program lies in a profile folder itself; its neighbour is right for every way in which a target folder can
/// be configured.
pub fn built(profile: &str, name: &str) -> Result<PathBuf, String> {
    let own = env::current_exe().map_err(|error| format!("Cannot tell where this program lies: {error}."))?;
    let target = own.ancestors().nth(2).ok_or("This program does not lie in a target folder: start it by cargo.")?;
    let program = target.join(profile).join(format!("{name}{}", env::consts::EXE_SUFFIX));
    if program.is_file() {
        Ok(program)
    } else {
        Err(format!("The build went well, but {} is not there.", program.display()))
    }
}

/// Runs a program to its end. If it fails, the error is `when_failed`.
pub fn run(command: &mut Command, when_failed: &str) -> Result<(), String> {
    let status = command.status().map_err(|error| cannot_start(command, &error))?;
    if status.success() { Ok(()) } else { Err(when_failed.to_owned()) }
}

/// What a program prints, which must succeed.
pub fn output(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| cannot_start(command, &error))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{} failed ({}):\n{complaint}", command_line(command), output.status));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("{} did not print text.", command_line(command)))
}

/// Ends this program and runs another in its place, so that Ctrl-C, signals and the exit code are the other's.
pub fn hand_over(command: &mut Command) -> Result<ExitCode, String> {
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt;
        let error = command.exec();
        Err(cannot_start(command, &error))
    }
    #[cfg(not(unix))]
    {
        let status = command.status().map_err(|error| cannot_start(command, &error))?;
        Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Whether a program of this name is on the search path.
pub fn is_on_path(program: &str) -> bool {
    let file = format!("{program}{}", env::consts::EXE_SUFFIX);
    env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(&file).is_file()))
}

/// For commands that take none.
pub fn no_arguments(command: &str, args: &[OsString]) -> Result<(), String> {
    match args.first() {
        None => Ok(()),
        Some(arg) => Err(format!("`{command}` takes no arguments, but got '{}'.", arg.display())),
    }
}

/// Takes away what `cargo run` told this program about this program's own package: build scripts below would
/// see it, take it for a change, and build again.
fn clean(mut command: Command) -> Command {
    for (name, _) in env::vars_os() {
        let about_us = name.to_str().is_some_and(|name| {
            ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"]
                .iter()
                .any(|prefix| name.starts_with(prefix))
        });
        if about_us {
            command.env_remove(name);
        }
    }
    command
}

fn cannot_start(command: &Command, error: &std::io::Error) -> String {
    format!("Cannot start {}: {error}.", command_line(command))
}

fn command_line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
