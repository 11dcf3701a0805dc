//! `visavis audio [--tone | --check]`: which microphones and speakers there are, and whether one hears and is heard.

use anyhow::Context;

use super::{Outcome, sound::chosen, talk};
use crate::{
    app::devices::Device,
    clock::Clock,
    sound::{CheckState, Devices, Role, Tune, Use},
};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Play a test tone.
    #[arg(long, conflicts_with = "check")]
    tone: bool,

    /// Record four seconds of what somebody called would hear, and play them back.
    #[arg(long)]
    check: bool,

    /// The microphone to try, by its name or a part of it; the system's own choice otherwise.
    #[arg(long, value_name = "NAME", requires = "check")]
    microphone: Option<String>,

    /// The speaker to try, likewise.
    #[arg(long, value_name = "NAME")]
    speaker: Option<String>,
}

pub async fn run(arguments: Arguments) -> anyhow::Result<Outcome> {
    let clock = Clock::system();
    let devices = Devices::start(clock).context("the sound devices cannot be used")?;
    devices.choose(Role::Microphone, chosen(arguments.microphone.as_deref()));
    devices.choose(Role::Speaker, chosen(arguments.speaker.as_deref()));
    if arguments.tone {
        return tone(&devices).await;
    }
    if arguments.check {
        return check(&devices).await;
    }
    let mut status = devices.status();
    status.changed().await.context("the sound devices cannot be listed")?;
    let status = status.borrow().clone();
    if let Some(trouble) = &status.of(Role::Speaker).trouble {
        anyhow::bail!("{trouble}");
    }
    let list = |title: &str, listed: &[Device], default: Option<&String>| {
        println!("{title}");
        for device in listed {
            let mark = if Some(&device.id) == default { "*" } else { " " };
            println!("{mark} {}    {}", device.name, device.id);
        }
        if listed.is_empty() {
            println!("  none");
        }
    };
    list("Microphones:", &status.microphones, status.default_microphone.as_ref());
    list("Speakers:", &status.speakers, status.default_speaker.as_ref());
    if status.default_microphone.is_some() || status.default_speaker.is_some() {
        println!("* is the system's own choice. Names and ids go to --microphone=NAME and --speaker=NAME.");
    }
    Ok(Outcome::Done)
}

async fn tone(devices: &Devices) -> anyhow::Result<Outcome> {
    let mut status = devices.status();
    devices.play(Some(Tune::Test)).context("the test tone")?;
    let mut told = Use::default();
    // The device is open from the first sound to the last.
    loop {
        tokio::select! {
            biased; // Ctrl-C is obeyed first
            () = talk::interrupted() => return Ok(Outcome::Done),
            changed = status.changed() => changed.context("the sound devices are gone")?,
        }
        let now = status.borrow_and_update().of(Role::Tone).clone();
        if now == told {
            continue;
        }
        match (&now.device, &now.trouble) {
            (None, Some(trouble)) => anyhow::bail!("{trouble}"),
            (Some(device), _) => println!("A tone of three notes comes from {device}."),
            (None, None) => return Ok(Outcome::Done),
        }
        told = now;
    }
}

async fn check(devices: &Devices) -> anyhow::Result<Outcome> {
    let mut checking = devices.check().context("the check")?;
    let mut status = devices.status();
    println!("Say something for four seconds ...");
    let mut state = CheckState::Recording;
    while matches!(state, CheckState::Recording | CheckState::Playing) {
        tokio::select! {
            biased; // Ctrl-C is obeyed first
            () = talk::interrupted() => return Ok(Outcome::Done),
            changed = checking.state.changed() => {
                // The thread ends when it is done.
                state = *checking.state.borrow_and_update();
                if state == CheckState::Playing {
                    println!("This is how you sound:");
                }
                if changed.is_err() {
                    break;
                }
            }
            Ok(()) = status.changed() => {
                let now = status.borrow_and_update();
                for role in [Role::Microphone, Role::Tone] {
                    if let Use { device: None, trouble: Some(trouble) } = now.of(role) {
                        anyhow::bail!("{trouble}");
                    }
                }
            }
        }
    }
    match state {
        CheckState::NothingHeard => anyhow::bail!(
            "nothing was heard: check that the microphone is switched on and not muted, or try another one with \
             --microphone NAME"
        ),
        _ => Ok(Outcome::Done),
    }
}
