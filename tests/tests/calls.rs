//! Every way in which a call ends, produced by real binaries, and what each person is told about it.

use std::{path::Path, time::Duration};

use anyhow::{Context, ensure};
use visavis::stats::{collector::Live, report::Report};
use visavis_tests::real::{PATIENCE, Person, Process, Relay, SMALL, Setup, live_call, now};

/// Exit codes of the client: a call that nobody took, a call or a relay that was lost.
const NOT_TAKEN: i32 = 3;
const LOST: i32 = 4;

/// Pictures come at 30 a second; a machine that builds something beside the tests shows a few less.
const FLUENT_FPS: f64 = 15.0;

/// The end of a process: its exit code, and a sentence among the lines that were not read before.
fn ends(process: Process, code: i32, sentence: &str) -> anyhow::Result<()> {
    ends_within(process, PATIENCE, code, sentence)
}

fn ends_within(mut process: Process, patience: Duration, code: i32, sentence: &str) -> anyhow::Result<()> {
    let (status, lines) = process.finish_within(patience)?;
    ensure!(lines.iter().all(|line| !line.contains("panicked")), "a panic: {lines:#?}");
    ensure!(lines.iter().any(|line| line.contains(sentence)), "not said: {sentence:?}, but: {lines:#?}");
    ensure!(status.code() == Some(code), "{status} instead of {code} after: {lines:#?}");
    Ok(())
}

/// Waits until pictures come fluently.
fn sees_pictures(process: &mut Process) -> anyhow::Result<Live> {
    let live = |line: &str| serde_json::from_str::<Live>(line).ok().filter(|live| live.fps >= FLUENT_FPS);
    process.wait_until(PATIENCE, live).context("waiting for pictures")
}

fn calls(person: &Person, callee: &str) -> anyhow::Result<Process> {
    person.start(&[&["call", callee, "--live-json"], &SMALL[..]].concat())
}

/// Waits for a call with these flags of `answer`.
fn waits(person: &Person, flags: &[&str]) -> anyhow::Result<Process> {
    let mut process = person.start(&[&["answer"], flags, &SMALL[..]].concat())?;
    process.wait_for("waiting for a call")?;
    Ok(process)
}

/// The newest line of somebody's history.
fn newest(person: &Person) -> anyhow::Result<String> {
    let (status, lines) = person.run(&["history", "--limit", "1"])?;
    ensure!(status.success(), "{lines:?}");
    lines.into_iter().next().context("no history")
}

fn remembers(person: &Person, direction: &str, peer: &str, what: &str) -> anyhow::Result<()> {
    let line = newest(person)?;
    let fits = [direction, peer, what].iter().all(|part| line.contains(part));
    ensure!(fits, "{}'s history says {line:?} instead of {direction} {peer} {what}", person.name);
    Ok(())
}

fn second_device(person: &Person, relay: &Relay) -> anyhow::Result<Person> {
    let other = person.on_another_device();
    other.join(&relay.link, &["--existing"])?;
    Ok(other)
}

fn report(path: &Path) -> anyhow::Result<Report> {
    Ok(serde_json::from_str(&std::fs::read_to_string(path)?)?)
}

#[test]
fn an_accepted_call_shows_pictures_until_the_caller_hangs_up() -> anyhow::Result<()> {
    let Setup { relay: _relay, people: [alice, bob], folder } = Setup::new(["alice", "bob"])?;
    let reports = ["alice.json", "bob.json"].map(|name| folder.path().join(name).display().to_string());
    let callee = waits(&bob, &["--auto", "--live-json", "--report", &reports[1]])?;
    let caller = alice.start(&[&["call", "bob", "--live-json", "--report", &reports[0]], &SMALL[..]].concat())?;
    let mut sides = [caller, callee];
    for (side, peer) in sides.iter_mut().zip(["bob", "alice"]) {
        side.wait_for(&format!("In a call with {peer}. Ctrl-C hangs up."))?;
    }
    for side in &mut sides {
        sees_pictures(side)?;
    }
    let [caller, callee] = sides;
    caller.signal("INT")?;
    ends(caller, 0, "You hung up.")?;
    ends(callee, 0, "alice hung up.")?;
    for path in reports {
        let report = report(path.as_ref())?;
        let direction = report.directions.first().context("a direction")?;
        ensure!(direction.frames.shown > 10, "{} frames were shown", direction.frames.shown);
        println!("{}: {} frames shown", direction.to, direction.frames.shown);
    }
    remembers(&alice, "to", "bob", "talked for")?;
    remembers(&bob, "from", "alice", "talked for")
}

#[test]
fn the_callee_may_hang_up_as_well() -> anyhow::Result<()> {
    let Setup { relay: _relay, people: [alice, bob], folder: _folder } = Setup::new(["alice", "bob"])?;
    let (mut caller, callee) = live_call(&alice, &bob)?;
    sees_pictures(&mut caller)?;
    callee.signal("TERM")?;
    ends(callee, 0, "You hung up.")?;
    ends(caller, 0, "bob hung up.")
}

#[test]
fn a_person_who_is_asked_takes_the_call_or_not() -> anyhow::Result<()> {
    let Setup { relay: _relay, people: [alice, bob], folder: _folder } = Setup::new(["alice", "bob"])?;
    let mut callee = waits(&bob, &["--stay", "--live-json"])?;
    for (answer, said_to_alice, code) in
        [("y", "You hung up.", 0), ("n", "The call with bob was declined.", NOT_TAKEN)]
    {
        let mut caller = calls(&alice, "bob")?;
        callee.wait_for("Take it?")?;
        callee.type_line(answer)?;
        if answer == "y" {
            sees_pictures(&mut caller)?;
            caller.signal("INT")?;
        }
        ends(caller, code, said_to_alice)?;
        callee.wait_for("Waiting for the next call.")?;
    }
    callee.signal("INT")?;
    let (status, lines) = callee.finish()?;
    ensure!(status.success(), "{status}: {lines:?}");
    Ok(())
}

#[test]
fn a_call_is_declined() -> anyhow::Result<()> {
    let Setup { relay: _relay, people: [alice, bob], folder: _folder } = Setup::new(["alice", "bob"])?;
    let callee = waits(&bob, &["--decline"])?;
    ends(calls(&alice, "bob")?, NOT_TAKEN, "The call with bob was declined.")?;
    ends(callee, NOT_TAKEN, "The call with alice was declined.")?;
    remembers(&alice, "to", "bob", "declined")?;
    remembers(&bob, "from", "alice", "declined")
}

#[test]
fn a_call_is_cancelled_and_counts_as_missed() -> anyhow::Result<()> {
    let Setup { relay: _relay, people: [alice, bob], folder: _folder } = Setup::new(["alice", "bob"])?;
    let mut callee = waits(&bob, &[])?;
    let mut caller = calls(&alice, "bob")?;
    caller.wait_for("Ringing on 1 device.")?;
    callee.wait_for("Take it?")?;
    caller.signal("INT")?;
    ends(caller, NOT_TAKEN, "The call with bob was cancelled before it was answered.")?;
    // Nothing was typed, and nothing has to be.
    ends(callee, NOT_TAKEN, "The call with alice was cancelled before it was answered.")?;
    remembers(&alice, "to", "bob", "cancelled")?;
    let mut later = bob.start(&["answer"])?;
    later.wait_for("You missed 1 call")?;
    drop(later);
    let (_, missed) = bob.run(&["history", "--missed"])?;
    ensure!(missed.len() == 1 && missed[0].contains("alice") && missed[0].contains("missed"), "{missed:?}");
    let mut seen = waits(&bob, &[])?;
    ensure!(
        seen.try_line().is_none_or(|line| !line.contains("missed")),
        "what was seen in the history is told again"
    );
    Ok(())
}

#[test]
fn ctrl_c_declines_a_call_that_rings() -> anyhow::Result<()> {
    let Setup { relay: _relay, people: [alice, bob], folder: _folder } = Setup::new(["alice", "bob"])?;
    let mut callee = waits(&bob, &["--stay"])?;
    let caller = calls(&alice, "bob")?;
    callee.wait_for("Take it?")?;
    callee.signal("INT")?;
    ends(caller, NOT_TAKEN, "The call with bob was declined.")?;
    ends(callee, NOT_TAKEN, "The call with alice was declined.")
}

#[test]
fn whoever_is_in_a_call_is_busy_for_others() -> anyhow::Result<()> {
    let Setup { relay: _relay, people: [alice, bob, carol], folder: _folder } =
        Setup::new(["alice", "bob", "carol"])?;
    let (mut caller, mut callee) = live_call(&alice, &bob)?;
    ends(calls(&carol, "bob")?, NOT_TAKEN, "bob is in another call: try again later.")?;
    callee.wait_for("carol called while you were in a call.")?;
    ends(calls(&carol, "alice")?, NOT_TAKEN, "alice is in another call: try again later.")?;
    caller.wait_for("carol called while you were in a call.")?;
    sees_pictures(&mut caller)?;
    sees_pictures(&mut callee)?;
    callee.signal("INT")?;
    ends(caller, 0, "bob hung up.")?;
    remembers(&carol, "to", "alice", "busy")?;
    remembers(&alice, "from", "carol", "missed")
}

#[test]
fn a_call_that_nobody_answers_ends_after_45_seconds() -> anyhow::Result<()> {
    let Setup { relay: _relay, people: [alice, bob], folder: _folder } = Setup::new(["alice", "bob"])?;
    let callee = waits(&bob, &[])?;
    let mut caller = calls(&alice, "bob")?;
    caller.wait_for("Ringing on 1 device.")?;
    let began = now();
    ends(caller, NOT_TAKEN, "Nobody answered the call with bob.")?;
    let seconds = began.elapsed().as_secs_f64();
    println!("rang for {seconds:.1} s");
    ensure!((43.0..50.0).contains(&seconds), "it rang for {seconds:.1} s");
    ends(callee, NOT_TAKEN, "Nobody answered the call with alice.")?;
    remembers(&alice, "to", "bob", "not answered")?;
    remembers(&bob, "from", "alice", "missed")
}

#[test]
fn two_people_who_call_each_other_are_in_one_call() -> anyhow::Result<()> {
    let Setup { relay, people: [alice, bob], folder: _folder } = Setup::new(["alice", "bob"])?;
    // Both are online, so that neither call finds nobody.
    let elsewhere = [&alice, &bob].map(|person| second_device(person, &relay));
    let _elsewhere = elsewhere.into_iter().map(|other| waits(&other?, &[])).collect::<anyhow::Result<Vec<_>>>()?;
    let (mut one, mut other) = (calls(&alice, "bob")?, calls(&bob, "alice")?);
    one.wait_for("In a call with bob.")?;
    other.wait_for("In a call with alice.")?;
    sees_pictures(&mut one)?;
    sees_pictures(&mut other)?;
    one.signal("INT")?;
    ends(one, 0, "You hung up.")?;
    ends(other, 0, "alice hung up.")?;
    let (_, lines) = alice.run(&["history"])?;
    ensure!(lines.iter().filter(|line| line.contains("talked for")).count() == 1, "{lines:?}");
    Ok(())
}

#[test]
fn calling_somebody_who_rings_here_takes_their_call() -> anyhow::Result<()> {
    let Setup { relay, people: [alice, bob], folder: _folder } = Setup::new(["alice", "bob"])?;
    let mut telephone = waits(&second_device(&bob, &relay)?, &[])?;
    let mut one = calls(&alice, "bob")?;
    telephone.wait_for("alice calls.")?;
    let mut other = calls(&bob, "alice")?;
    one.wait_for("In a call with bob.")?;
    other.wait_for("In a call with alice.")?;
    telephone.wait_for("alice was")?;
    sees_pictures(&mut one)?;
    sees_pictures(&mut other)?;
    other.signal("INT")?;
    ends(one, 0, "bob hung up.")
}

#[test]
fn a_call_is_answered_or_declined_on_another_device() -> anyhow::Result<()> {
    let Setup { relay, people: [alice, bob], folder: _folder } = Setup::new(["alice", "bob"])?;
    let laptop = second_device(&bob, &relay)?;
    for (answer, code, elsewhere) in [
        ("y", 0, "The call with alice was answered on another of your devices."),
        ("n", NOT_TAKEN, "The call with alice was declined on another of your devices."),
    ] {
        let (mut one, mut other) = (waits(&bob, &["--live-json"])?, waits(&laptop, &[])?);
        let mut caller = calls(&alice, "bob")?;
        caller.wait_for("Ringing on 2 devices.")?;
        one.wait_for("Take it?")?;
        other.wait_for("Take it?")?;
        one.type_line(answer)?;
        ends(other, NOT_TAKEN, elsewhere)?;
        if answer == "y" {
            sees_pictures(&mut one)?;
            caller.signal("INT")?;
        }
        let (status, lines) = caller.finish()?;
        ensure!(status.code() == Some(code), "{status}: {lines:?}");
    }
    Ok(())
}

#[test]
fn a_peer_that_is_killed_is_noticed_within_5_seconds_and_given_up_after_30() -> anyhow::Result<()> {
    let Setup { relay: _relay, people: [alice, bob], folder: _folder } = Setup::new(["alice", "bob"])?;
    let (mut caller, callee) = live_call(&alice, &bob)?;
    sees_pictures(&mut caller)?;
    let killed = now();
    callee.signal("KILL")?;
    caller.wait_for_within("The other side cannot be heard: waiting for them ...", Duration::from_secs(5))?;
    println!("told after {:.2} s", killed.elapsed().as_secs_f64());
    ends(caller, LOST, "bob could not be reached any more: their connection was lost for too long.")?;
    let seconds = killed.elapsed().as_secs_f64();
    println!("given up after {seconds:.1} s");
    ensure!((28.0..34.0).contains(&seconds), "given up after {seconds:.1} s");
    remembers(&alice, "to", "bob", "talked for")
}

#[test]
fn a_caller_who_is_lost_while_it_rings_is_given_up() -> anyhow::Result<()> {
    let Setup { relay: _relay, people: [alice, bob], folder: _folder } = Setup::new(["alice", "bob"])?;
    let mut callee = waits(&bob, &[])?;
    let caller = calls(&alice, "bob")?;
    callee.wait_for("Take it?")?;
    caller.signal("KILL")?;
    let killed = now();
    ends(callee, NOT_TAKEN, "alice called, but lost the connection before you answered.")?;
    println!("given up after {:.1} s", killed.elapsed().as_secs_f64());
    remembers(&bob, "from", "alice", "missed")
}

#[test]
fn a_relay_that_is_stopped_tells_everybody() -> anyhow::Result<()> {
    let sentence = "The relay is being shut down by its operator: try again in a few minutes.";
    let Setup { relay, people: [alice, bob, carol, dave], folder: _folder } =
        Setup::new(["alice", "bob", "carol", "dave"])?;
    let (mut caller, callee) = live_call(&alice, &bob)?;
    sees_pictures(&mut caller)?;
    let mut rung = waits(&dave, &[])?;
    let mut rings = calls(&carol, "dave")?;
    rings.wait_for("Ringing on")?;
    rung.wait_for("Take it?")?;
    let began = now();
    relay.stop()?;
    println!("stopped within {:.2} s", began.elapsed().as_secs_f64());
    for process in [caller, callee, rings, rung] {
        ends(process, LOST, sentence)?;
    }
    Ok(())
}

#[test]
fn whoever_waits_for_a_call_hears_of_a_relay_that_goes_and_comes_back() -> anyhow::Result<()> {
    let Setup { relay, people: [alice, bob], folder: _folder } = Setup::new(["alice", "bob"])?;
    let mut callee = waits(&bob, &["--auto", "--live-json"])?;
    let mut watcher = alice.start(&["people", "--watch"])?;
    watcher.wait_for("online")?;
    let place = relay.link.trim_start_matches("visavis://").split('/').next().context("a place")?.to_owned();
    let data = relay.data().to_owned();
    relay.stop()?;
    callee.wait_for("The connection was lost: reconnecting ...")?;
    watcher.wait_for("no connection to the relay")?;
    let _relay = Relay::start_at(&place, &data, &["--open-registration"])?;
    callee.wait_for("Connected again.")?;
    watcher.wait_for("connected again")?;
    drop(watcher);
    let mut caller = calls(&alice, "bob")?;
    sees_pictures(&mut caller)?;
    sees_pictures(&mut callee)?;
    Ok(())
}

#[test]
fn a_call_to_nobody_ends_at_once() -> anyhow::Result<()> {
    let Setup { relay: _relay, people: [alice, bob], folder: _folder } = Setup::new(["alice", "bob"])?;
    ends(calls(&alice, "bob")?, NOT_TAKEN, "bob is not online: they will see that you called.")?;
    ends(
        calls(&alice, "zoe")?,
        NOT_TAKEN,
        "There is nobody called zoe at this relay (visavis people shows who is).",
    )?;
    ends(calls(&alice, "alice")?, NOT_TAKEN, "You cannot call yourself.")?;
    remembers(&alice, "to", "bob", "was not online")?;
    remembers(&bob, "from", "alice", "missed")
}
