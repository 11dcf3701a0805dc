//! `visavis people [--watch]`: who is there, and who comes and goes.

use std::{collections::BTreeMap, path::Path};

use visavis_proto::wire::control::{People, Person};

use super::{Outcome, visit};
use crate::{
    app::people,
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
    let mut there = BTreeMap::new();
    let first = client.queries().people().await?;
    let mut more = first.more;
    merge(&mut there, first);
    while more {
        match events.recv().await {
            Some(Event::People(page)) => {
                more = page.more;
                merge(&mut there, page);
            }
            Some(_) => {}
            None => anyhow::bail!("the connection to the relay ended before everybody was listed: try again"),
        }
    }
    if there.is_empty() {
        println!("Nobody else is registered at this relay yet.");
    }
    for person in there.values() {
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
                Some(Event::Reconnected { .. }) => {
                    println!("(connected again)");
                    let mut people = client.queries().people().await?.people;
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
    format!("{:<24} {}", person.name, people::describe(person, now_ms))
}
