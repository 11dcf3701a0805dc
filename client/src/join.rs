//! Getting in: a link, a name and a password become the profile of this device. Whatever fails or is cut off on the way
//! costs no invite and leaves nothing behind, or what the next attempt finishes.

use std::{path::Path, sync::Arc};

use anyhow::{Context, ensure};
use visavis_proto::{
    ids::AccountKey,
    wire::{
        control::{MAX_DEVICE_NAME_BYTES, fold_name, valid_device_name, valid_name},
        link::Link,
    },
};
use zeroize::Zeroizing;

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

/// Shorter passwords are guessed by whoever steals the relay's database.
pub const MIN_PASSWORD_CHARACTERS: usize = 8;

/// Whoever wants to get in.
#[derive(Debug, Clone)]
pub struct Request {
    /// Where, with the invite if one registers.
    pub link: Link,
    /// The name to be known by.
    pub name: String,
    /// There is an account already: this is another device of it.
    pub existing: bool,
    /// What to call this device; the machine's name if absent.
    pub device_name: Option<String>,
}

/// How one got in.
#[derive(Debug)]
pub enum Joined {
    /// The relay has let this device in.
    Now(Profile),
    /// It had done so before, and the attempt of then was cut off.
    Before(Profile),
}

/// Gets in. The password is asked for once everything else is known to be in order.
///
/// # Errors
///
/// Sentences for a person.
pub async fn join(
    folder: &Path,
    request: &Request,
    password: impl FnOnce() -> anyhow::Result<Zeroizing<String>>,
) -> anyhow::Result<Joined> {
    ensure!(
        valid_name(&request.name),
        "the name {:?} cannot be used: at most 40 letters and digits of one script, spaces and - _ . ' (fewer outside the Latin script) are \
         allowed, with a letter or digit first. Choose another",
        request.name
    );
    let device_name = request.device_name.clone().unwrap_or_else(host_name);
    ensure!(
        valid_device_name(&device_name),
        "the device's name {device_name:?} cannot be used: take at most {MAX_DEVICE_NAME_BYTES} bytes without control \
         characters (--device-name)"
    );
    let device = match profile::inspect(folder)? {
        Place::Vacant => Arc::new(Key::generate()?),
        Place::Unfinished(joining) => match settle(folder, *joining).await? {
            Some(profile) if is_meant(&profile, request) => return Ok(Joined::Before(profile)),
            Some(profile) => return Err(taken(folder, profile)),
            None => Arc::new(Key::generate()?),
        },
        Place::Taken(profile) => shut_out(folder, *profile, request).await?,
    };
    let who = Credentials {
        name: request.name.clone(),
        password: password()?,
        device_name,
        now_ms: Clock::system().now().as_millis(),
    };
    ensure!(
        request.existing || who.password.chars().count() >= MIN_PASSWORD_CHARACTERS,
        "the password is too short: take at least {MIN_PASSWORD_CHARACTERS} characters"
    );
    let keep = |account: AccountKey| {
        let profile = Profile {
            link: request.link.without_token(),
            name: who.name.clone(),
            account,
            device_name: who.device_name.clone(),
            device: Arc::clone(&device),
        };
        Joining::begin(folder, profile).context("nothing was registered")
    };
    let guest = Guest::arrive(&Network::System, &request.link, &device).await?;
    let (joining, entered) = if request.existing {
        let member = guest.log_in(&who).await?;
        (keep(member.account().account())?, member.enrol(&device, &who).await)
    } else {
        let account = Key::generate()?;
        (keep(account.account())?, guest.register(&device, &account, &who).await)
    };
    let (session, profile) = finish(joining, entered)?;
    session.leave().await;
    Ok(Joined::Now(profile))
}

/// After the relay's last word: what was kept becomes the profile, is taken back, or waits for another join.
fn finish(joining: Joining, entered: Result<Session, session::Error>) -> anyhow::Result<(Session, Profile)> {
    match entered {
        Ok(session) => {
            let profile = joining.commit().context(
                "you are registered, but this device's profile could not be finished: do the same once more",
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

/// The key of a profile that its relay no longer knows, so that the device can join again, there or elsewhere.
async fn shut_out(folder: &Path, profile: Profile, request: &Request) -> anyhow::Result<Arc<Key>> {
    let (link, device) = (profile.link.clone(), Arc::clone(&profile.device));
    match session::connect(&Dial { network: Network::System, link, device, presence: Presence::Visiting }).await {
        Ok(session) => {
            session.leave().await;
            Err(taken(folder, profile))
        }
        Err(session::Error::NotEnrolled(_)) => Ok(profile.device),
        // The relay was set up anew, and its operator gave a new link to it.
        Err(session::Error::WrongPin(_)) if profile.link.host == request.link.host => Ok(profile.device),
        Err(error) if is_meant(&profile, request) => Err(error.into()),
        Err(_) => Err(taken(folder, profile)),
    }
}

/// Whether the profile is of the person and the relay that were asked for.
fn is_meant(profile: &Profile, request: &Request) -> bool {
    profile.link == request.link.without_token() && fold_name(&profile.name) == fold_name(&request.name)
}

fn taken(folder: &Path, profile: Profile) -> anyhow::Error {
    profile::Error::Exists { folder: folder.to_owned(), name: profile.name }.into()
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let name: String = name.trim().chars().filter(|c| !c.is_control()).collect();
    // The longest beginning of at most 32 bytes.
    let end = (0..=name.len().min(32)).rev().find(|&end| name.is_char_boundary(end)).unwrap_or(0);
    if end == 0 { "device".to_owned() } else { name[..end].to_owned() }
}
