//! The relay's binary: reads the command line, sets up the log, runs.

use std::{
    io::{IsTerminal as _, stderr},
    process::ExitCode,
};

use clap::Parser as _;
use tracing_subscriber::EnvFilter;
use visavis_relay::cli::Arguments;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("visavis-relay: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let arguments = Arguments::parse().with_file()?;
    let filter = EnvFilter::try_new(arguments.log())
        .map_err(|error| anyhow::anyhow!("the log filter {:?} is wrong: {error}", arguments.log()))?;
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(stderr().is_terminal()).with_writer(stderr).init();
    tokio::runtime::Runtime::new()?.block_on(arguments.run())
}
