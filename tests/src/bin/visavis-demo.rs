//! `visavis-demo`: one call on this machine, from registration to hang-up, with its figures. See `cargo xtask demo`.

use std::{
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::Parser;
use visavis::{
    capture::{sound::WavFile, video::Y4mFile},
    playback::output::{self, Named},
};
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

    /// Pictures per second, 1 to 60, instead of the y4m file's own rate.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=60))]
    fps: Option<u32>,

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
            eprintln!("visavis-demo: {}", visavis::sentence::explain(&error));
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
        client_flags: arguments
            .fps
            .map(|fps| format!("--fps={fps}"))
            .into_iter()
            .chain(arguments.client_flags)
            .collect(),
        keep: arguments.keep,
    };
    if let Some(keep) = &plan.keep {
        std::fs::create_dir_all(keep).with_context(|| format!("cannot make {}", keep.display()))?;
    }
    check(&plan, arguments.report.as_deref())?;
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
    if let Some(path) = &arguments.report {
        let text = serde_json::to_string_pretty(&result.report)?;
        std::fs::write(path, text + "\n").with_context(|| unwritable(path))?;
        println!("The report is in {}.", path.display());
    }
    Ok(())
}

/// What the clients would refuse is told before anything is started.
fn check(plan: &Plan, report: Option<&Path>) -> anyhow::Result<()> {
    if let Some(path) = &plan.video {
        let file = Y4mFile::open(path)?;
        if !plan.client_flags.iter().any(|flag| flag.starts_with("--fps")) {
            file.frames_per_second()?;
        }
    }
    if let Some(path) = &plan.audio {
        WavFile::open(path)?;
    }
    let named = |option, path: Option<&Path>| path.map(|path| Named::new(option, path));
    let inputs = [named("--video", plan.video.as_deref()), named("--audio", plan.audio.as_deref())];
    let inputs: Vec<Named> = inputs.into_iter().flatten().collect();
    Ok(output::check(&inputs, named("--report", report).as_slice())?)
}

/// Whether windows can be opened.
fn has_display() -> bool {
    let set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !cfg!(target_os = "linux") || ["WAYLAND_DISPLAY", "DISPLAY"].iter().any(set)
}

fn unwritable(path: &Path) -> String {
    format!("cannot write the report to {}: check that the folder exists, is writable and has room", path.display())
}
