//! `visavis answer [--auto] [--stay]`: waits for a call and takes it.

use std::path::Path;

use tokio::sync::mpsc;
use visavis_proto::{ids::CallId, signal::call::Event as CallEvent};

use super::{
    Outcome, connect,
    media::{self, Sources},
    talk,
};
use crate::{
    client::{Client, Events},
    clock::Clock,
    net::actor::Event,
    sentence,
    sound::Tune,
};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Take the call without asking.
    #[arg(long, conflicts_with = "decline")]
    auto: bool,

    /// Decline the call without asking.
    #[arg(long)]
    decline: bool,

    /// After a call, wait for the next one; recordings, statistics and report are of the last call then.
    #[arg(long)]
    stay: bool,

    #[command(flatten)]
    media: media::Arguments,
}

pub async fn run(folder: &Path, arguments: Arguments) -> anyhow::Result<Outcome> {
    let clock = Clock::system();
    // Before anybody can ring.
    let mut sources = arguments.media.open(talk::CALLEE_SEED, clock)?;
    let (client, mut events) = connect(folder, clock).await?;
    println!("{} is online: waiting for a call.", client.welcome.name);
    match client.welcome.missed_calls {
        0 => {}
        1 => println!("You missed 1 call: see visavis history."),
        missed => println!("You missed {missed} calls: see visavis history."),
    }
    let mut typed = if arguments.auto || arguments.decline { None } else { Some(read_lines()?) };
    loop {
        let ended = answer_one(&client, &mut events, &arguments, sources, typed.as_mut(), clock).await?;
        match ended {
            Some((_, GoOn(true))) if arguments.stay => {
                sources = arguments.media.open(talk::CALLEE_SEED, clock)?;
                println!("Waiting for the next call.");
            }
            Some((outcome, _)) => {
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

/// Whether to wait for another call, if that was asked for.
struct GoOn(bool);

/// Lines typed on standard input.
type Lines = mpsc::Receiver<String>;

/// Waits for one call and holds it. `None` if the person interrupted before it rang.
async fn answer_one(
    client: &Client,
    events: &mut Events,
    arguments: &Arguments,
    sources: Sources,
    typed: Option<&mut Lines>,
    clock: Clock,
) -> anyhow::Result<Option<(Outcome, GoOn)>> {
    let Some((call, caller)) = wait_for_call(events).await? else { return Ok(None) };
    println!("{caller} calls.");
    // Encoders are ready before it is accepted: the first picture then follows at once.
    let mut prepared = arguments.media.prepare(sources, clock)?;
    prepared.rest.wake();
    let answer = match typed {
        None => Answer::Person(arguments.auto),
        Some(typed) => {
            prepared.rest.ring(Some(Tune::Incoming));
            let answer = ask(events, call, &caller, typed).await;
            prepared.rest.ring(None);
            answer?
        }
    };
    let go_on = GoOn(!matches!(answer, Answer::Interrupted));
    match answer {
        Answer::Person(true) => client.accept(call, prepared.ports).await,
        Answer::Person(false) | Answer::Interrupted => {
            // The stages end as their queues close.
            drop(prepared.ports);
            client.end(call).await;
        }
        Answer::Ended(outcome) => return Ok(Some((outcome, go_on))),
    }
    let result = talk::until_over(client, events, call, &arguments.media, &mut prepared.rest).await;
    prepared.stages.finish();
    let outcome = talk::conclude(&arguments.media, prepared.rest, result)?;
    Ok(Some((outcome, go_on)))
}

async fn wait_for_call(events: &mut Events) -> anyhow::Result<Option<(CallId, String)>> {
    loop {
        tokio::select! {
            biased; // Ctrl-C is obeyed first
            _ = talk::interrupted() => return Ok(None),
            event = events.recv() => match event {
                Some(Event::Call(CallEvent::Incoming { call, caller, .. })) => return Ok(Some((call, caller))),
                Some(Event::Refused(reason)) => anyhow::bail!(reason),
                Some(Event::Disconnected(_)) => println!("The connection was lost: reconnecting ..."),
                Some(Event::Reconnected { .. }) => println!("Connected again."),
                Some(_) => {}
                None => anyhow::bail!("the connection to the relay ended"),
            },
        }
    }
}

/// What came of asking.
enum Answer {
    Person(bool),
    Interrupted,
    Ended(Outcome),
}

/// Asks the person, unless the call ends first.
async fn ask(events: &mut Events, call: CallId, caller: &str, typed: &mut Lines) -> anyhow::Result<Answer> {
    // What was typed before the question does not answer it.
    while typed.try_recv().is_ok() {}
    println!("Take it? [y/N] ");
    loop {
        tokio::select! {
            biased; // a call that has ended is not accepted any more
            event = events.recv() => match event {
                Some(Event::Call(CallEvent::Ended { call: ended, reason, .. })) if ended == call => {
                    let (text, outcome) = sentence::ended(reason, caller);
                    println!("{text}");
                    return Ok(Answer::Ended(outcome));
                }
                Some(Event::Refused(reason)) => anyhow::bail!(reason),
                Some(_) => {}
                None => anyhow::bail!("the connection to the relay ended"),
            },
            _ = talk::interrupted() => return Ok(Answer::Interrupted),
            line = typed.recv() => {
                // The end of the input is no yes.
                return Ok(Answer::Person(line.is_some_and(|line| line.trim().eq_ignore_ascii_case("y"))));
            }
        }
    }
}

/// Reads standard input on a thread of its own: a read cannot be given up, and a process whose call has ended must not
/// wait for somebody to press return.
fn read_lines() -> anyhow::Result<Lines> {
    let (sender, lines) = mpsc::channel(LINES);
    std::thread::Builder::new().name("visavis-stdin".into()).spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if let Err(mpsc::error::TrySendError::Closed(_)) = sender.try_send(line) {
                return;
            }
        }
    })?;
    Ok(lines)
}

/// One answer to one question; what is typed beyond it before it is read is dropped.
const LINES: usize = 1;
