//! `visavis-demo`: one call on this machine, from registration to hang-up, with its figures. See `cargo xtask demo`.

use std::{
    fs::File,
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::Parser;
use visavis_tests::demo::{self, Plan};

/// One call on this machine: a relay, two people, live picture and sound both ways.
#[derive(Debug, Parser)]
#[command(max_term_width = 100)]
struct Arguments {
    /// Open no windows, although there is a display.
    #[arg(long)]
    headless: bool,

    /// How long the call lasts.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,

    /// Send this y4m file both ways instead of the generated scene.
    #[arg(long, value_name = "FILE.y4m")]
    video: Option<PathBuf>,

    /// Send this wav file both ways instead of the generated sound.
    #[arg(long, value_name = "FILE.wav")]
    audio: Option<PathBuf>,

    /// Write the call report here.
    #[arg(long, value_name = "FILE.json")]
    report: Option<PathBuf>,

    /// Keep per-frame statistics of both sides in this folder, and recordings as well unless there are windows.
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,

    /// More flags for both clients, such as --size=640x360.
    #[arg(last = true)]
    client_flags: Vec<String>,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("visavis-demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    let plan = Plan {
        seconds: arguments.seconds,
        windows: !arguments.headless && has_display(),
        video: arguments.video,
        audio: arguments.audio,
        client_flags: arguments.client_flags,
        keep: arguments.keep,
    };
    if let Some(keep) = &plan.keep {
        std::fs::create_dir_all(keep).with_context(|| format!("cannot make {}", keep.display()))?;
    }
    // Opened now and filled at the end, so that a wrong place is told before anything is started.
    let mut report = match &arguments.report {
        None => None,
        Some(path) => Some((path, File::create(path).with_context(|| unwritable(path))?)),
    };
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let terminal = std::io::stdout().is_terminal();
    let result = demo::run(
        &plan,
        folder.path(),
        |progress| println!("{}{progress}", if terminal { "\r\x1b[K" } else { "" }),
        |figures| {
            let line = demo::live_line(figures);
            if terminal {
                print!("\r\x1b[K{line}");
                // A terminal that cannot be written to ends the process at the next line anyway.
                let _ = std::io::stdout().flush();
            } else {
                println!("{line}");
            }
        },
    )?;
    println!("\n{}", demo::table(&result.report));
    if let Some((path, file)) = &mut report {
        let text = serde_json::to_string_pretty(&result.report)?;
        file.write_all((text + "\n").as_bytes()).with_context(|| unwritable(path))?;
        println!("The report is in {}.", path.display());
    }
    Ok(())
}

/// Whether windows can be opened.
fn has_display() -> bool {
    let set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !cfg!(target_os = "linux") || ["WAYLAND_DISPLAY", "DISPLAY"].iter().any(set)
}

fn unwritable(path: &Path) -> String {
    format!("cannot write the report to {}: check that the folder exists, is writable and has room", path.display())
}
