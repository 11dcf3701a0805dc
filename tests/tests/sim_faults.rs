//! What happens to a live call when its network changes or goes away.

use std::time::Duration;

use visavis::net::actor::Event;
use visavis_proto::{signal::call::Event as CallEvent, time::Timestamp, wire::control::EndReason};
use visavis_tests::sim::{Conditions, Figures, Plan, Site, World, run, world::is_end};

const STAYING: Site = Site(0);
const MOVING: Site = Site(1);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn plan(seed: u64) -> Plan {
    Plan::alike(seed, 2, Conditions::delayed(Duration::from_millis(20)))
}

/// What both saw, with what must hold of it in any case.
fn figures(world: &World) -> [Figures; 2] {
    [STAYING, MOVING].map(|site| {
        let mut calls = world.figures(site);
        assert_eq!(calls.len(), 1, "nobody rang a second time");
        let figures = calls.remove(0);
        let direction = &figures.direction;
        println!(
            "{}: longest gap {:.0} ms, {:.2} fps, {:?}, concealed {:.4}",
            direction.to,
            direction.longest_freeze_ms,
            direction.fps_shown,
            direction.frames,
            direction.audio.concealed_share
        );
        assert_eq!(figures.findings.offences, [] as [String; 0]);
        figures
    })
}

/// How a person's call ended, and how long after `since`.
fn ending(world: &World, site: Site, since: Timestamp) -> Option<(Duration, EndReason)> {
    let events = world.events(site);
    let (at, event) = events.into_iter().find(|(_, event)| is_end(event))?;
    let Event::Call(CallEvent::Ended { reason, .. }) = event else { return None };
    println!("{} is told {reason:?} after {:?}", site.0, at.since(since));
    Some((at.since(since), reason))
}

#[test]
fn a_call_goes_on_when_an_address_changes_and_nobody_was_told() {
    let world = run(plan(1), async |world| {
        let call = world.connect(STAYING, MOVING).await?;
        world.sleep(seconds(10)).await;
        world.change_address(MOVING);
        world.sleep(seconds(10)).await;
        assert!(ending(world, STAYING, world.now()).is_none() && ending(world, MOVING, world.now()).is_none());
        world.hang_up(STAYING, call).await;
        Ok(figures(world))
    });
    let [staying, moving] = world.expect("the call becomes live").result;
    // Up nothing is lost. Down it is what was on its way to the old address, and a keyframe mends the picture.
    assert!(staying.direction.frames.dropped.is_empty());
    assert!(moving.direction.longest_freeze_ms < 400.0);
    assert!(moving.direction.frames.dropped.values().sum::<u64>() < 15);
}

#[test]
fn a_call_loses_nothing_when_a_client_moves_to_another_port() {
    let world = run(plan(2), async |world| {
        let call = world.connect(STAYING, MOVING).await?;
        world.sleep(seconds(10)).await;
        world.rebind(MOVING).await;
        world.sleep(seconds(10)).await;
        world.hang_up(STAYING, call).await;
        Ok(figures(world))
    });
    for figures in world.expect("the call becomes live").result {
        assert!(figures.direction.frames.dropped.is_empty());
        assert!(figures.direction.longest_freeze_ms < 100.0);
    }
}

#[test]
fn a_peer_that_vanishes_is_told_of_and_then_given_up() {
    let world = run(plan(3), async |world| {
        world.connect(STAYING, MOVING).await?;
        world.sleep(seconds(10)).await;
        let cut = world.now();
        world.cut(MOVING, true);
        let silent = |event: &Event| matches!(event, Event::Call(CallEvent::PeerSilent { silent: true, .. }));
        let told = world.wait(STAYING, cut, seconds(5), silent).await.expect("told within 5 s");
        println!("told after {:?}", told.since(cut));
        world.sleep(seconds(40)).await;
        let (after, reason) = ending(world, STAYING, cut).expect("given up");
        assert_eq!(reason, EndReason::PeerLost);
        assert!((seconds(30)..seconds(31)).contains(&after), "{after:?}");
        // Behind the dead path: told at once, and not left waiting for long after the relay has ended the call.
        let waiting = world.wait(MOVING, cut, seconds(0), |event| *event == Event::Silent(true)).await;
        assert!(waiting.is_some_and(|at| at.since(cut) < seconds(3)));
        let (after, reason) = ending(world, MOVING, cut).expect("given up");
        assert_eq!(reason, EndReason::RelayLost);
        assert!((seconds(30)..seconds(36)).contains(&after), "{after:?}");
        assert_eq!(world.calls(), 0);
        Ok(())
    });
    world.expect("the call becomes live");
}

#[test]
fn a_peer_that_comes_back_within_the_grace_is_seen_again_at_once() {
    for away in [3, 12, 29] {
        let world = run(plan(4), async |world| {
            let call = world.connect(STAYING, MOVING).await?;
            world.sleep(seconds(5)).await;
            world.cut(MOVING, true);
            world.sleep(seconds(away)).await;
            world.cut(MOVING, false);
            world.sleep(seconds(5)).await;
            assert!(ending(world, STAYING, world.now()).is_none() && ending(world, MOVING, world.now()).is_none());
            world.hang_up(STAYING, call).await;
            Ok(figures(world))
        });
        for figures in world.expect("the call becomes live").result {
            let gap = Duration::from_secs_f64(figures.direction.longest_freeze_ms / 1e3);
            assert!(gap < seconds(away) + Duration::from_millis(500), "{gap:?} for {away} s away");
        }
    }
}
