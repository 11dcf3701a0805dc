//! `visavis join LINK --name NAME`: registers with an invite, or enrols this device beside the person's others.

use std::{path::Path, sync::Arc};

use anyhow::{Context, ensure};
use visavis_proto::{
    ids::AccountKey,
    wire::{
        control::{MAX_DEVICE_NAME_BYTES, fold_name, valid_device_name, valid_name},
        link::Link,
    },
};

use super::{Outcome, password};
use crate::{
    clock::Clock,
    identity::Key,
    net::{
        control::Presence,
        session::{self, Credentials, Dial, Guest, Session},
        transport::Network,
    },
    profile::{self, Joining, Place, Profile},
};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The link that the relay's operator gave you, in quotes: visavis://...
    link: Link,

    /// The name to be known by; other people call you by it.
    #[arg(long)]
    name: String,

    /// This is another device of an account that exists: log in instead of registering.
    #[arg(long)]
    existing: bool,

    /// What to call this device in the list of your devices, instead of the machine's name.
    #[arg(long, value_name = "NAME")]
    device_name: Option<String>,

    /// Read the password from the first line of standard input instead of asking for it.
    #[arg(long)]
    password_stdin: bool,
}

pub async fn run(folder: &Path, arguments: Arguments) -> anyhow::Result<Outcome> {
    ensure!(
        valid_name(&arguments.name),
        "the name {:?} cannot be used: 1 to 40 bytes of letters and digits of one script, spaces and - _ . ' are \
         allowed, with a letter or digit first. Choose another with --name",
        arguments.name
    );
    let device_name = arguments.device_name.clone().unwrap_or_else(host_name);
    ensure!(
        valid_device_name(&device_name),
        "the device's name {device_name:?} cannot be used: take at most {MAX_DEVICE_NAME_BYTES} bytes without control \
         characters for --device-name"
    );
    let device = match profile::inspect(folder)? {
        Place::Vacant => Arc::new(Key::generate()?),
        Place::Unfinished(joining) => match settle(folder, *joining).await? {
            Some(profile) if is_meant(&profile, &arguments) => return Ok(done(&profile)),
            Some(profile) => return Err(taken(folder, profile)),
            None => Arc::new(Key::generate()?),
        },
        Place::Taken(profile) => shut_out(folder, *profile, &arguments).await?,
    };
    let who = Credentials {
        name: arguments.name.clone(),
        password: if arguments.existing {
            password::known(arguments.password_stdin)?
        } else {
            password::chosen(arguments.password_stdin)?
        },
        device_name,
        now_ms: Clock::system().now().as_millis(),
    };
    let keep = |account: AccountKey| {
        let profile = Profile {
            link: arguments.link.without_token(),
            name: who.name.clone(),
            account,
            device_name: who.device_name.clone(),
            device: Arc::clone(&device),
        };
        Joining::begin(folder, profile).context("nothing was registered")
    };
    let guest = Guest::arrive(&Network::System, &arguments.link, &device).await?;
    let (joining, entered) = if arguments.existing {
        let member = guest.log_in(&who).await?;
        (keep(member.account().account())?, member.enrol(&device, &who).await)
    } else {
        let account = Key::generate()?;
        (keep(account.account())?, guest.register(&device, &account, &who).await)
    };
    let (session, profile) = finish(joining, entered)?;
    session.leave().await;
    Ok(done(&profile))
}

/// After the relay's last word: what was kept becomes the profile, is taken back, or waits for another join.
fn finish(joining: Joining, entered: Result<Session, session::Error>) -> anyhow::Result<(Session, Profile)> {
    match entered {
        Ok(session) => {
            let profile = joining.commit().context(
                "you are registered, but this device's profile could not be finished; run the same command again",
            )?;
            Ok((session, profile))
        }
        Err(error @ session::Error::Unconfirmed(_)) => {
            joining.keep();
            Err(error.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// Asks the relay what became of an interrupted join: the finished profile, or `None` if it came to nothing.
async fn settle(folder: &Path, joining: Joining) -> anyhow::Result<Option<Profile>> {
    let (link, device) = (joining.profile.link.clone(), Arc::clone(&joining.profile.device));
    match session::connect(&Dial { network: Network::System, link, device, presence: Presence::Visiting }).await {
        Ok(session) => {
            let profile = joining.commit()?;
            session.leave().await;
            println!("An earlier visavis join was interrupted after the relay had registered this device.");
            Ok(Some(profile))
        }
        Err(session::Error::NotEnrolled(_)) => Ok(None),
        Err(error) => {
            joining.keep();
            Err(error).context(format!(
                "an earlier visavis join was interrupted, and only the relay knows whether it registered this device; \
                 run this again once it can be reached, or name another folder than {} with --profile",
                folder.display()
            ))
        }
    }
}

/// The key of a profile that its relay no longer knows, so that the device can join again where it was.
async fn shut_out(folder: &Path, profile: Profile, arguments: &Arguments) -> anyhow::Result<Arc<Key>> {
    if !is_meant(&profile, arguments) {
        return Err(taken(folder, profile));
    }
    let (link, device) = (profile.link.clone(), Arc::clone(&profile.device));
    match session::connect(&Dial { network: Network::System, link, device, presence: Presence::Visiting }).await {
        Ok(session) => {
            session.leave().await;
            Err(taken(folder, profile))
        }
        Err(session::Error::NotEnrolled(_)) => Ok(profile.device),
        Err(error) => Err(error.into()),
    }
}

/// Whether the profile is of the person and the relay that were asked for.
fn is_meant(profile: &Profile, arguments: &Arguments) -> bool {
    profile.link == arguments.link.without_token() && fold_name(&profile.name) == fold_name(&arguments.name)
}

fn taken(folder: &Path, profile: Profile) -> anyhow::Error {
    profile::Error::Exists { folder: folder.to_owned(), name: profile.name }.into()
}

fn done(profile: &Profile) -> Outcome {
    println!(
        "You are {} at {}. See who is there: visavis people. Call somebody: visavis call NAME. Be called: visavis answer",
        profile.name, profile.link.host
    );
    Outcome::Done
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let name: String = name.trim().chars().filter(|c| !c.is_control()).collect();
    // The longest beginning of at most 32 bytes.
    let end = (0..=name.len().min(32)).rev().find(|&end| name.is_char_boundary(end)).unwrap_or(0);
    if end == 0 { "device".to_owned() } else { name[..end].to_owned() }
}
