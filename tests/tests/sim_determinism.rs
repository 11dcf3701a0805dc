//! The same seed gives the same world, byte by byte; another seed gives another.

use std::time::Duration;

use visavis_tests::sim::{Bursts, Conditions, Plan, Site, log::fingerprint, run};

/// Everything that a link can do to packets, at once.
fn rough() -> Conditions {
    Conditions {
        delay: Duration::from_millis(25),
        jitter: Duration::from_millis(8),
        loss: 0.01,
        bursts: Some(Bursts { begin: 0.002, end: 0.3, loss: 0.8 }),
        reorder: 0.02,
        reorder_by: Duration::from_millis(6),
        duplicate: 0.005,
        corrupt: 0.005,
        ..Conditions::default()
    }
}

/// Twenty seconds of a call, with a change of address on the way.
fn world(seed: u64) -> String {
    let ending = run(Plan::alike(seed, 2, rough()), async |world| {
        let call = world.connect(Site(0), Site(1)).await?;
        world.sleep(Duration::from_secs(10)).await;
        world.change_address(Site(1));
        world.sleep(Duration::from_secs(10)).await;
        world.hang_up(Site(0), call).await;
        Ok(())
    });
    ending.expect("the call goes on").log.text()
}

#[test]
fn a_seed_gives_the_same_event_log_each_time() {
    let (first, second) = (world(7), world(7));
    let difference = first.lines().zip(second.lines()).enumerate().find(|(_, (one, other))| one != other);
    println!(
        "seed 7: {:016x} and {:016x}, {} lines",
        fingerprint(&first),
        fingerprint(&second),
        first.lines().count()
    );
    assert_eq!(difference, None, "the first line that differs");
    assert_eq!(first.len(), second.len());
    assert!(first.lines().count() > 20_000, "a call of 20 s leaves more than {} lines", first.lines().count());
    let other = world(8);
    println!("seed 8: {:016x}", fingerprint(&other));
    assert_ne!(fingerprint(&first), fingerprint(&other));
}
