//! The command line: the window without a command, else a command. Each command is one file; what a call's commands share is in `media` and `talk`.
//!
//! Exit codes: 0 all went well; 1 something failed; 2 wrong usage; 3 the call was not taken; 4 the call was lost.

mod account;
mod answer;
mod audio;
mod call;
mod cameras;
mod devices;
mod join;
mod media;
mod password;
mod people;
mod sound;
mod talk;
mod window;

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, ensure};
use clap::{CommandFactory, Parser, Subcommand, error::ErrorKind};
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    layer::{Layer, SubscriberExt},
    util::SubscriberInitExt,
};

use crate::{
    client::{Client, Events},
    clock::Clock,
    profile::{self, Profile},
    sentence::{self, Outcome},
};

pub use talk::describe as describe_live;

/// The level of the log, for this program and its helpers.
const LOG: &str = "VISAVIS_LOG";

/// What `--help` ends with: the way from nothing to a call.
const FIRST_STEPS: &str = "\
Without a command, the window opens. First steps without it:
  visavis join 'visavis://HOST:PORT/#KEY&t=INVITE' --name YOU   once; the relay's operator gives you the link
  visavis people                                                who is there
  visavis call NAME                                             Ctrl-C hangs up
  visavis answer                                                be called

Another device of yours joins with the link, your name, your password and --existing.
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the call was not taken, 4 the call was lost.";

/// Video calls through a relay of your own.
#[derive(Debug, Parser)]
#[command(name = "visavis", version, about, max_term_width = 100, after_help = FIRST_STEPS)]
#[command(subcommand_negates_reqs = true, override_usage = USAGE)]
struct Arguments {
    /// The folder with this device's key and relay.
    #[arg(long, global = true, value_name = "FOLDER", env = "VISAVIS_PROFILE")]
    profile: Option<PathBuf>,

    /// How much to log to standard error: off, error, warn, info, debug or trace.
    #[arg(long, global = true, value_name = "LEVEL", default_value = "warn", env = LOG)]
    log: LevelFilter,

    #[command(flatten)]
    window: window::Arguments,

    #[command(subcommand)]
    command: Option<Command>,
}

const USAGE: &str = "visavis [OPTIONS] [LINK]\n       visavis [OPTIONS] COMMAND ...";

#[derive(Debug, Subcommand)]
enum Command {
    /// Register at a relay with an invite link, or add this device to an account that exists.
    Join(join::Arguments),
    /// Show who is there.
    People(people::Arguments),
    /// Call somebody.
    Call(call::Arguments),
    /// Wait for a call and take it.
    Answer(answer::Arguments),
    /// Show past and missed calls.
    History(account::HistoryArguments),
    /// Show your devices, or shut one of them out.
    Devices(devices::Arguments),
    /// Show the microphones and speakers, or try them.
    Audio(audio::Arguments),
    /// Show who this device is, and where.
    Whoami,
    /// Show this machine's cameras and what they offer.
    #[cfg(target_os = "linux")]
    Cameras,
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    if let Some(ended) = help() {
        return ended;
    }
    let arguments = Arguments::parse();
    log(arguments.log);
    let folder = arguments.profile.unwrap_or_else(profile::default_folder);
    let result = match arguments.command {
        None => arguments.window.run(folder).map(|()| Outcome::Done),
        Some(command) => {
            if arguments.window != Arguments::parse_from(["visavis"]).window {
                let text = "flags of a command belong after its name; see visavis COMMAND --help";
                Arguments::command().error(ErrorKind::ArgumentConflict, text).exit()
            }
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .context("the system gives no runtime")
                .and_then(|runtime| runtime.block_on(run(&folder, command)))
        }
    };
    match result {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::NotTaken) => ExitCode::from(3),
        Ok(Outcome::Lost) => ExitCode::from(4),
        Err(error) => {
            eprintln!("visavis: {}", sentence::explain(&error));
            ExitCode::FAILURE
        }
    }
}

/// The life of a helper process, if this is to be one: it has no runtime, and its log's level comes from the environment.
#[cfg(target_os = "linux")]
fn help() -> Option<ExitCode> {
    use crate::{capture::camera, worker};

    let mut words = std::env::args_os().skip(1);
    if words.next()? != worker::COMMAND {
        return None;
    }
    let level = std::env::var(LOG).ok().and_then(|level| level.parse().ok());
    log(level.unwrap_or(LevelFilter::WARN));
    if words.next().is_some_and(|kind| kind == camera::KIND) {
        return Some(camera::serve::run());
    }
    eprintln!("visavis: this command is for visavis itself; see visavis --help for yours");
    Some(ExitCode::from(2))
}

fn log(level: LevelFilter) {
    // Libraries warn of what is nothing to a person, such as a desktop that keeps no settings.
    let others = if level == LevelFilter::WARN { LevelFilter::ERROR } else { level };
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    let filter = Targets::new().with_default(others).with_target("visavis", level);
    tracing_subscriber::registry().with(layer.with_filter(filter)).init();
}

async fn run(folder: &Path, command: Command) -> anyhow::Result<Outcome> {
    let _alone = match &command {
        Command::Call(_) | Command::Answer(_) => claim(folder)?,
        _ => None,
    };
    match command {
        Command::Join(join) => join::run(folder, join).await,
        Command::People(people) => people::run(folder, people).await,
        Command::Call(call) => call::run(folder, call).await,
        Command::Answer(answer) => answer::run(folder, answer).await,
        Command::History(history) => account::history(folder, history).await,
        Command::Devices(devices) => devices::run(folder, devices).await,
        Command::Audio(audio) => audio::run(audio).await,
        Command::Whoami => account::whoami(folder),
        #[cfg(target_os = "linux")]
        Command::Cameras => cameras::run().await,
    }
}

/// The relay keeps one reachable connection a device: a second one would end the first one's call.
fn claim(folder: &Path) -> anyhow::Result<Option<File>> {
    let Ok(lock) = File::create(folder.join(".lock")) else {
        // Without a profile there is nothing to share, and one that cannot be written to can still be used.
        return Ok(None);
    };
    ensure!(
        !matches!(lock.try_lock(), Err(TryLockError::WouldBlock)),
        "another visavis calls or answers with the profile in {}: end it first, or make this one a device of its own \
         (visavis join LINK --existing --profile ANOTHER_FOLDER)",
        folder.display()
    );
    Ok(Some(lock))
}

/// Goes online with the profile of `folder`.
async fn connect(folder: &Path, clock: Clock) -> anyhow::Result<(Client, Events)> {
    let profile = Profile::load(folder)?;
    Ok(Client::connect(profile.link, profile.device, clock).await?)
}

/// Connects with the profile of `folder` to look something up.
async fn visit(folder: &Path, clock: Clock) -> anyhow::Result<(Client, Events)> {
    let profile = Profile::load(folder)?;
    Ok(Client::visit(profile.link, profile.device, clock).await?)
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    #[test]
    fn the_command_line_is_consistent() {
        super::Arguments::command().debug_assert();
    }

    #[test]
    fn a_name_after_a_device_flag_is_whom_to_call() {
        let parse = |flags: &[&str]| super::Arguments::try_parse_from([&["visavis", "call"], flags].concat());
        assert!(parse(&["--microphone", "bob", "--speaker"]).is_ok());
        assert!(parse(&["--microphone=Headset", "--speaker=Headset", "bob"]).is_ok());
        assert!(parse(&["--microphone", "--speaker"]).is_err(), "nobody is called");
        assert!(parse(&["bob", "--microphone", "--audio", "file.wav"]).is_err(), "two sources of sound");
        assert!(parse(&["bob", "--raw-microphone"]).is_err(), "no microphone");
    }
}
