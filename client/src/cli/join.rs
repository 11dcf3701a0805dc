//! `visavis join LINK --name NAME`: registers with an invite, or enrols this device beside the person's others.

use std::{io::BufRead, path::Path};

use anyhow::{Context, bail, ensure};
use visavis_proto::wire::{control::valid_name, link::Link};
use zeroize::Zeroizing;

use super::Outcome;
use crate::{
    clock::Clock,
    identity::Key,
    net::{
        session::{self, Credentials},
        transport::Network,
    },
    profile::{self, Profile},
};

/// Shorter passwords are guessed by whoever steals the relay's database.
const MIN_PASSWORD_CHARACTERS: usize = 8;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The link that the relay's operator gave you.
    link: Link,

    /// The name to be known by.
    #[arg(long)]
    name: String,

    /// This is another device of an account that exists: log in instead of registering.
    #[arg(long)]
    existing: bool,

    /// What to call this device.
    #[arg(long, value_name = "NAME")]
    device_name: Option<String>,

    /// Read the password from the first line of standard input instead of asking for it.
    #[arg(long)]
    password_stdin: bool,
}

pub async fn run(folder: &Path, arguments: Arguments) -> anyhow::Result<Outcome> {
    ensure!(
        valid_name(&arguments.name),
        "the name {:?} cannot be used: 1 to 40 bytes of letters and digits of one script, spaces and - _ . ' are allowed",
        arguments.name
    );
    profile::prepare(folder)?;
    let who = Credentials {
        name: arguments.name,
        password: read_password(arguments.password_stdin, arguments.existing)?,
        device_name: arguments.device_name.unwrap_or_else(host_name),
        now_ms: Clock::system().now().as_millis(),
    };
    let device = Key::generate()?;
    let session = if arguments.existing {
        session::enrol(&Network::System, &arguments.link, &device, &who).await?
    } else {
        session::register(&Network::System, &arguments.link, &device, &who).await?
    };
    let profile = Profile {
        link: arguments.link.without_token(),
        name: session.welcome.name.clone(),
        account: session::account_of(&session.welcome)?,
        device_name: who.device_name,
        device,
    };
    profile
        .save(folder)
        .context("you are registered, but this device's key could not be kept; join again with --existing")?;
    session.leave().await;
    println!("You are {} at {}. Call somebody: visavis call NAME", profile.name, profile.link.host);
    Ok(Outcome::Done)
}

fn read_password(from_stdin: bool, existing: bool) -> anyhow::Result<Zeroizing<String>> {
    let password = if from_stdin {
        let mut line = Zeroizing::new(String::new());
        std::io::stdin().lock().read_line(&mut line).context("cannot read the password from standard input")?;
        Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned())
    } else {
        let ask = |prompt| {
            rpassword::prompt_password(prompt)
                .map(Zeroizing::new)
                .context("cannot ask for the password: run this in a terminal, or use --password-stdin")
        };
        let password = ask("Password: ")?;
        if !existing && *ask("The same again: ")? != *password {
            bail!("the two passwords differ: try again");
        }
        password
    };
    ensure!(
        existing || password.chars().count() >= MIN_PASSWORD_CHARACTERS,
        "the password is too short: take at least {MIN_PASSWORD_CHARACTERS} characters"
    );
    Ok(password)
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let name = name.trim();
    let end = name.char_indices().map(|(at, _)| at).nth(32).unwrap_or(name.len());
    if name.is_empty() { "device".to_owned() } else { name[..end].to_owned() }
}
