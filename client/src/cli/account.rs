//! `visavis history | whoami`: what the relay and the profile know about this person.

use std::path::Path;

use visavis_proto::wire::control::PastCall;

use super::{Outcome, visit};
use crate::{
    app::{history::outcome, people::duration},
    clock::Clock,
    profile::Profile,
};

#[derive(Debug, clap::Args)]
pub struct HistoryArguments {
    /// At most this many calls, newest first.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: u32,

    /// Only calls that nobody here answered.
    #[arg(long)]
    missed: bool,
}

pub async fn history(folder: &Path, arguments: HistoryArguments) -> anyhow::Result<Outcome> {
    let clock = Clock::system();
    let (client, _events) = visit(folder, clock).await?;
    let mut calls = client.queries().history(0, arguments.limit, false).await?;
    calls.retain(|call| !arguments.missed || call.missed());
    if calls.is_empty() {
        println!("No calls yet.");
    }
    for call in &calls {
        println!("{}", describe(call, clock.now().as_millis()));
    }
    client.stop().await;
    Ok(Outcome::Done)
}

pub fn whoami(folder: &Path) -> anyhow::Result<Outcome> {
    let profile = Profile::load(folder)?;
    println!("name     {}", profile.name);
    println!("relay    {}", profile.link);
    println!("account  {}", profile.account.to_hex());
    println!("device   {} ({})", profile.device.device().to_hex(), profile.device_name);
    Ok(Outcome::Done)
}

fn describe(call: &PastCall, now_ms: u64) -> String {
    let ago = duration(now_ms.saturating_sub(call.began_ms) / 1_000);
    let direction = if call.outgoing { "to  " } else { "from" };
    let what = outcome(call);
    format!("{ago:>12} ago  {direction} {:<24} {what}", call.peer)
}
