//! `visavis call NAME`.

use std::path::Path;

use anyhow::ensure;
use visavis_proto::wire::control::valid_name;

use super::{Outcome, connect, media, talk};
use crate::clock::Clock;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Whom to call.
    name: String,

    #[command(flatten)]
    media: media::Arguments,
}

pub async fn run(folder: &Path, arguments: Arguments) -> anyhow::Result<Outcome> {
    let clock = Clock::system();
    ensure!(
        valid_name(&arguments.name),
        "nobody can have the name {:?}: a name is at most 40 letters and digits of one script, spaces and - _ . ' (fewer outside the Latin script), \
         with a letter or digit first. See visavis people for who is there",
        arguments.name
    );
    let sources = arguments.media.open(talk::CALLER_SEED, clock)?;
    let mut prepared = arguments.media.prepare(sources, clock)?;
    let (client, mut events) = connect(folder, clock).await?;
    println!("Calling {} ...", arguments.name);
    prepared.rest.wake();
    let call = client.call(&arguments.name, prepared.ports).await;
    let result = talk::until_over(&client, &mut events, call, &arguments.media, &mut prepared.rest).await;
    client.stop().await;
    prepared.stages.finish();
    talk::conclude(&arguments.media, prepared.rest, result)
}
