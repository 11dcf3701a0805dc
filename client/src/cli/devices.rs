//! `visavis devices [list | revoke ID]`: the devices of one's account, and shutting one of them out.
//!
//! The list is signed by the account's key, which only the password opens: whoever finds a device without its owner
//! cannot shut out the others. So revoking takes two connections: a stranger's, which proves the password and hands out
//! the sealed key, and this device's, which brings the new list.

use std::path::Path;

use anyhow::{bail, ensure};
use visavis_proto::{
    hex,
    ids::DeviceKey,
    wire::control::{Device, DeviceList, ErrorCode, SignedDevices},
};

use super::{Outcome, password};
use crate::{
    app::people::duration,
    clock::Clock,
    identity::{self, Key},
    net::{
        control::{Error as ControlError, Presence},
        session::{self, Credentials, Dial, Guest, Session},
        transport::Network,
    },
    profile::Profile,
};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show them, with their ids (the same as without a word).
    List,
    /// Shut a device out: a lost one, or one that is no longer yours. It is logged out at once, and comes back only with
    /// your name and password.
    Revoke(RevokeArguments),
}

#[derive(Debug, clap::Args)]
struct RevokeArguments {
    /// The device's id as visavis devices shows it, or its beginning, or the device's name if no other has it.
    #[arg(value_name = "ID")]
    device: String,

    /// Revoke even the device that this is run on, and delete its profile.
    #[arg(long)]
    this_device: bool,

    /// Read the password from the first line of standard input instead of asking for it.
    #[arg(long)]
    password_stdin: bool,
}

pub async fn run(folder: &Path, arguments: Arguments) -> anyhow::Result<Outcome> {
    let profile = Profile::load(folder)?;
    match arguments.action {
        None | Some(Action::List) => list(&profile).await,
        Some(Action::Revoke(arguments)) => revoke(folder, profile, &arguments).await,
    }
}

async fn list(profile: &Profile) -> anyhow::Result<Outcome> {
    let mut session = visit(profile).await?;
    let devices = session.devices().await?;
    session.leave().await;
    let now_ms = Clock::system().now().as_millis();
    for device in verified(profile, &devices.devices.unwrap_or_default())?.devices {
        let state = match (is_own(profile, &device), devices.online.contains(&device.key)) {
            (true, _) => "this device",
            (false, true) => "online",
            (false, false) => "offline",
        };
        let age = duration(now_ms.saturating_sub(device.added_ms) / 1_000);
        println!("{}  {:<32} {state:<12} added {age} ago", id(&device), printable(&device.name));
    }
    println!("A lost one is shut out with: visavis devices revoke ID");
    Ok(Outcome::Done)
}

async fn revoke(folder: &Path, profile: Profile, arguments: &RevokeArguments) -> anyhow::Result<Outcome> {
    let mut session = visit(&profile).await?;
    let current = session.devices().await?;
    let signed = current.devices.unwrap_or_default();
    let list = verified(&profile, &signed)?;
    let device = find(&list, &arguments.device)?;
    let own = is_own(&profile, device);
    let (name, shown) = (&session.welcome.name, format!("{} ({})", printable(&device.name), id(device)));
    ensure!(
        !own || arguments.this_device,
        "{shown} is the device that you are using: revoking it logs you out here and deletes the profile in {}. If that \
         is what you want, add --this-device",
        folder.display()
    );
    ensure!(
        own || !arguments.this_device,
        "{shown} is not the device that you are using: leave out --this-device to revoke it, or name {}",
        profile.device.device()
    );
    eprintln!(
        "{shown} of {name} will be shut out: it is logged out at once, a call on it ends, and it comes back only with \
         {name}'s password. Ctrl-C leaves everything as it is."
    );
    let who = Credentials {
        name: name.clone(),
        password: password::known(arguments.password_stdin)?,
        device_name: String::new(),
        now_ms: Clock::system().now().as_millis(),
    };
    let guest = Guest::arrive(&Network::System, &profile.link, &Key::generate()?).await?;
    let account = guest.log_in(&who).await?.leave().await;
    let next = account.remove_device(&signed, DeviceKey::try_from(&device.key[..])?)?;
    match session.update_devices(next).await {
        Err(session::Error::Control(ControlError::Refused(refused)))
            if refused.code() == ErrorCode::DeviceListInvalid =>
        {
            bail!("your list of devices has changed meanwhile: look at it (visavis devices), and try again")
        }
        other => other?,
    }
    if own {
        profile.delete(folder)?;
        println!(
            "This device, {shown}, is no longer yours, and its profile in {} is deleted. To come back: visavis join \
             LINK --name YOU --existing",
            folder.display()
        );
    } else {
        session.leave().await;
        println!("{shown} is no longer yours: it has been logged out, and its key opens nothing any more.");
    }
    Ok(Outcome::Done)
}

/// The one device that `wanted` means.
fn find<'a>(list: &'a DeviceList, wanted: &str) -> anyhow::Result<&'a Device> {
    let digits = wanted.to_lowercase();
    let begins = |device: &&Device| !digits.is_empty() && hex::encode(&device.key).starts_with(&digits);
    let mut found: Vec<_> = list.devices.iter().filter(begins).collect();
    if found.is_empty() {
        found = list.devices.iter().filter(|device| device.name == wanted).collect();
    }
    match found[..] {
        [device] => Ok(device),
        [] => bail!("none of your devices has the id or name {wanted:?}: visavis devices shows them"),
        _ => {
            let ids: Vec<_> = found.into_iter().map(id).collect();
            bail!("{wanted:?} fits several of your devices: name one of {} instead", ids.join(", "))
        }
    }
}

/// Connects beside whatever the device is doing.
async fn visit(profile: &Profile) -> Result<Session, session::Error> {
    let (link, device) = (profile.link.clone(), profile.device.clone());
    session::connect(&Dial { network: Network::System, link, device, presence: Presence::Visiting }).await
}

fn verified(profile: &Profile, signed: &SignedDevices) -> Result<DeviceList, identity::Error> {
    identity::verify_devices(profile.account, signed)
}

fn is_own(profile: &Profile, device: &Device) -> bool {
    device.key == profile.device.public()
}

/// A name from the relay, without what a terminal would obey.
fn printable(name: &str) -> String {
    name.replace(char::is_control, "\u{fffd}")
}

/// Enough of the key to tell a person's few devices apart.
fn id(device: &Device) -> String {
    DeviceKey::try_from(&device.key[..]).map(|key| key.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_gives_the_terminal_no_orders() {
        assert_eq!(printable("a\u{1b}[2J\nb\u{9b}"), "a\u{fffd}[2J\u{fffd}b\u{fffd}");
        assert_eq!(printable("Zoë's phone"), "Zoë's phone");
    }

    #[test]
    fn a_device_is_found_by_the_beginning_of_its_id_or_by_its_name() {
        let device = |byte: u8, name: &str| Device { key: vec![byte; 32], name: name.into(), added_ms: 0 };
        let list =
            DeviceList { version: 1, devices: vec![device(0x1a, "phone"), device(0x1b, "ab"), device(0xab, "ab")] };
        let found = |wanted| find(&list, wanted).map(|device| device.key[0]).map_err(|error| error.to_string());
        assert_eq!(found("1a1a1a1a"), Ok(0x1a));
        assert_eq!(found("1B"), Ok(0x1b));
        assert_eq!(found("phone"), Ok(0x1a));
        assert_eq!(found("ab"), Ok(0xab), "an id before a name");
        for (wanted, says) in
            [("1", "name one of 1a1a1a1a, 1b1b1b1b"), ("laptop", "visavis devices shows"), ("", "none")]
        {
            let said = found(wanted).expect_err(wanted);
            assert!(said.contains(says), "{said}");
        }
    }
}
