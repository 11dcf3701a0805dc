//! `visavis people [--watch]`: who is there, and who comes and goes.

use std::{collections::BTreeMap, path::Path};

use visavis_proto::wire::control::{People, Person};

use super::{Outcome, visit};
use crate::{
    client::{Client, Events},
    clock::Clock,
    net::actor::Event,
};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Stay, and print every change.
    #[arg(long)]
    watch: bool,
}

pub async fn run(folder: &Path, arguments: Arguments) -> anyhow::Result<Outcome> {
    let clock = Clock::system();
    let (client, mut events) = visit(folder, clock).await?;
    let mut people = BTreeMap::new();
    let first = client.people().await?;
    let mut more = first.more;
    merge(&mut people, first);
    while more {
        match events.recv().await {
            Some(Event::People(page)) => {
                more = page.more;
                merge(&mut people, page);
            }
            Some(_) => {}
            None => anyhow::bail!("the connection to the relay ended before everybody was listed: try again"),
        }
    }
    if people.is_empty() {
        println!("Nobody else is registered at this relay yet.");
    }
    for person in people.values() {
        println!("{}", describe(person, clock.now().as_millis()));
    }
    if arguments.watch {
        watch(&client, &mut events, clock).await?;
    }
    client.stop().await;
    Ok(Outcome::Done)
}

/// Prints every change until interrupted.
async fn watch(client: &Client, events: &mut Events, clock: Clock) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            biased; // Ctrl-C is obeyed first
            () = super::talk::interrupted() => return Ok(()),
            event = events.recv() => match event {
                Some(Event::People(change)) => {
                    for person in &change.people {
                        println!("{}", describe(person, clock.now().as_millis()));
                    }
                    change.gone.iter().for_each(|name| println!("{name:<24} gone"));
                }
                Some(Event::Disconnected(_)) => println!("(no connection to the relay: trying again)"),
                Some(Event::Reconnected) => {
                    println!("(connected again)");
                    let mut people = client.people().await?.people;
                    people.sort_by(|one, other| one.name.cmp(&other.name));
                    for person in &people {
                        println!("{}", describe(person, clock.now().as_millis()));
                    }
                }
                Some(Event::Refused(reason)) => anyhow::bail!(reason),
                Some(_) => {}
                None => anyhow::bail!("the connection to the relay ended"),
            },
        }
    }
}

fn merge(people: &mut BTreeMap<String, Person>, page: People) {
    people.extend(page.people.into_iter().map(|person| (person.name.clone(), person)));
    page.gone.iter().for_each(|name| drop(people.remove(name)));
}

fn describe(person: &Person, now_ms: u64) -> String {
    let state = match (person.online, person.in_call, person.last_seen_ms) {
        (true, true, _) => "in a call".to_owned(),
        (true, false, _) => "online".to_owned(),
        (false, _, 0) => "offline".to_owned(),
        (false, _, last) => format!("last seen {} ago", duration(now_ms.saturating_sub(last) / 1_000)),
    };
    format!("{:<24} {state}", person.name)
}

/// Seconds as people say them.
pub fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h {:02} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d", seconds / 86_400),
    }
}
