//! `visavis join LINK --name NAME`: registers with an invite, or enrols this device beside the person's others.

use std::path::Path;

use visavis_proto::wire::link::Link;

use super::{Outcome, password};
use crate::join::{self, Joined, Request};

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
    let Arguments { link, name, existing, device_name, password_stdin } = arguments;
    let request = Request { link, name, existing, device_name };
    let ask = || if existing { password::known(password_stdin) } else { password::chosen(password_stdin) };
    let profile = match join::join(folder, &request, ask).await? {
        Joined::Now(profile) => profile,
        Joined::Before(profile) => {
            println!("An earlier visavis join was interrupted after the relay had registered this device.");
            profile
        }
    };
    println!(
        "You are {} at {}. See who is there: visavis people. Call somebody: visavis call NAME. Be called: visavis answer",
        profile.name, profile.link.host
    );
    Ok(Outcome::Done)
}
