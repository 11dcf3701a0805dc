//! How calls begin: two people who call each other at once, and bad luck on the way.

use std::time::Duration;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use visavis_tests::sim::{Conditions, Plan, Site, run, world::is_live};

const BOTH: [Site; 2] = [Site(0), Site(1)];

/// Worlds for each test.
const SEEDS: u64 = 50;

fn up_to_ms(random: &mut StdRng, ms: u64) -> Duration {
    Duration::from_micros(random.gen_range(0..ms * 1_000))
}

/// Two people whose four links are drawn one by one.
fn two(seed: u64, mut link: impl FnMut() -> Conditions) -> Plan {
    Plan { sites: vec![(link(), link()), (link(), link())], ..Plan::alike(seed, 0, Conditions::default()) }
}

#[test]
fn two_people_who_call_each_other_at_once_are_in_one_call() {
    let mut slowest = Duration::ZERO;
    for seed in 0..SEEDS {
        let mut random = StdRng::seed_from_u64(seed);
        let mut plan = two(seed, || Conditions::delayed(up_to_ms(&mut random, 150)));
        // Who is rung before they have dialled themselves answers.
        plan.answer_after = Some(Duration::from_millis(300));
        let apart = up_to_ms(&mut random, 200);
        let world = run(plan, async |world| {
            let since = world.now();
            world.call(Site(0), Site(1)).await?;
            world.sleep(apart).await;
            world.call(Site(1), Site(0)).await?;
            for site in BOTH {
                let live = world.wait(site, since, Duration::from_secs(5), is_live).await;
                let live = live.unwrap_or_else(|| panic!("seed {seed}: {site:?} is not in a call"));
                slowest = slowest.max(live.since(since));
            }
            world.sleep(Duration::from_secs(1)).await;
            assert_eq!(world.calls(), 1, "seed {seed}");
            for site in BOTH {
                let lives = world.events(site).iter().filter(|(_, event)| is_live(event)).count();
                assert_eq!(lives, 1, "seed {seed}: {site:?}");
                let shown: u64 = world.figures(site).iter().map(|figures| figures.findings.shown).sum();
                assert!(shown > 15, "seed {seed}: {site:?} sees {shown} pictures in a second");
            }
            Ok(())
        });
        world.unwrap_or_else(|error| panic!("seed {seed}: {error:#}"));
    }
    println!("live after {slowest:?} at the latest");
}

#[test]
fn every_call_becomes_live_whatever_the_links_do_to_its_packets() {
    let mut slowest = Duration::ZERO;
    for seed in 0..SEEDS {
        let mut random = StdRng::seed_from_u64(1_000 + seed);
        let mut plan = two(seed, || Conditions {
            delay: up_to_ms(&mut random, 200),
            jitter: up_to_ms(&mut random, 40),
            loss: random.gen_range(0.0..0.1),
            reorder: random.gen_range(0.0..0.2),
            reorder_by: up_to_ms(&mut random, 50),
            duplicate: random.gen_range(0.0..0.1),
            corrupt: random.gen_range(0.0..0.02),
            ..Conditions::default()
        });
        let ringing = up_to_ms(&mut random, 1_000);
        plan.answer_after = Some(ringing);
        let world = run(plan, async |world| {
            let since = world.now();
            world.connect(Site(0), Site(1)).await?;
            slowest = slowest.max(world.now().since(since).saturating_sub(ringing));
            world.sleep(Duration::from_secs(2)).await;
            assert_eq!(world.calls(), 1, "seed {seed}");
            for site in BOTH {
                let figures = world.figures(site).remove(0);
                assert_eq!(figures.findings.offences, [] as [String; 0], "seed {seed}");
                let heard = figures.direction.audio.mouth_to_ear_ms.p50;
                assert!(heard > 0.0, "seed {seed}: {site:?} hears nothing");
            }
            Ok(())
        });
        world.unwrap_or_else(|error| panic!("seed {seed}: {error:#}"));
    }
    println!("live after {slowest:?} beyond the ringing at the latest");
    assert!(slowest < Duration::from_secs(5));
}
