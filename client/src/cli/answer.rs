//! `visavis answer [--auto] [--stay]`: waits for a call and takes it.

use std::path::Path;

use visavis_proto::{ids::CallId, signal::call::Event as CallEvent};

use super::{Outcome, connect, media, sentence, talk};
use crate::{
    client::{Client, Events},
    clock::Clock,
    net::actor::Event,
};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Take the call without asking.
    #[arg(long, conflicts_with = "decline")]
    auto: bool,

    /// Decline the call without asking.
    #[arg(long)]
    decline: bool,

    /// After a call, wait for the next one; recordings and reports are of the last call then.
    #[arg(long)]
    stay: bool,

    #[command(flatten)]
    media: media::Arguments,
}

pub async fn run(folder: &Path, arguments: Arguments) -> anyhow::Result<Outcome> {
    let clock = Clock::system();
    let (client, mut events) = connect(folder, clock).await?;
    println!("{} is online: waiting for a call.", client.welcome.name);
    if client.welcome.missed_calls > 0 {
        println!("You missed {} calls: see visavis history.", client.welcome.missed_calls);
    }
    loop {
        let outcome = answer_one(&client, &mut events, &arguments, clock).await?;
        match outcome {
            Some(_) if arguments.stay => println!("Waiting for the next call."),
            Some(outcome) => {
                client.stop().await;
                return Ok(outcome);
            }
            None => {
                client.stop().await;
                return Ok(Outcome::Done);
            }
        }
    }
}

/// Waits for one call and holds it. `None` if the person interrupted.
async fn answer_one(
    client: &Client,
    events: &mut Events,
    arguments: &Arguments,
    clock: Clock,
) -> anyhow::Result<Option<Outcome>> {
    // Encoders and files are ready before it rings: the first picture then follows the accept at once.
    let prepared = arguments.media.prepare(clock, talk::CALLEE_SEED)?;
    let Some((call, caller)) = wait_for_call(events).await? else { return Ok(None) };
    println!("{caller} calls.");
    let accepted = if arguments.auto || arguments.decline {
        Answer::Person(arguments.auto)
    } else {
        ask(events, call, &caller).await?
    };
    match accepted {
        Answer::Person(true) => client.accept(call, prepared.ports).await,
        Answer::Person(false) => client.end(call).await,
        Answer::Ended(outcome) => return Ok(Some(outcome)),
    }
    let result = talk::until_over(client, events, call, &arguments.media, &prepared.rest).await;
    prepared.stages.finish();
    talk::conclude(&arguments.media, prepared.rest, result).map(Some)
}

async fn wait_for_call(events: &mut Events) -> anyhow::Result<Option<(CallId, String)>> {
    loop {
        tokio::select! {
            biased; // Ctrl-C is obeyed first
            _ = talk::interrupted() => return Ok(None),
            event = events.recv() => match event {
                Some(Event::Call(CallEvent::Incoming { call, caller, .. })) => return Ok(Some((call, caller))),
                Some(Event::Refused(reason)) => anyhow::bail!(reason),
                Some(_) => {}
                None => anyhow::bail!("the connection to the relay ended"),
            },
        }
    }
}

/// What came of asking.
enum Answer {
    Person(bool),
    Ended(Outcome),
}

/// Asks the person, unless the call ends first.
async fn ask(events: &mut Events, call: CallId, caller: &str) -> anyhow::Result<Answer> {
    println!("Take it? [y/N] ");
    let line = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map(|_| line)
    });
    tokio::pin!(line);
    loop {
        tokio::select! {
            biased; // a call that has ended is not accepted any more
            event = events.recv() => match event {
                Some(Event::Call(CallEvent::Ended { call: ended, reason, .. })) if ended == call => {
                    let (text, outcome) = sentence::ended(reason, caller);
                    println!("{text}");
                    return Ok(Answer::Ended(outcome));
                }
                Some(_) => {}
                None => anyhow::bail!("the connection to the relay ended"),
            },
            line = &mut line => return Ok(Answer::Person(line??.trim().eq_ignore_ascii_case("y"))),
        }
    }
}
