//! Many clients in one process.

use std::time::Duration;

use visavis_tests::sim::{Conditions, Plan, Site, run};

#[test]
fn ten_clients_hold_five_calls_at_once_and_none_disturbs_another() {
    let link = Conditions { jitter: Duration::from_millis(2), ..Conditions::delayed(Duration::from_millis(15)) };
    let ending = run(Plan::alike(1, 10, link), async |world| {
        for pair in 0..5 {
            world.connect(Site(2 * pair), Site(2 * pair + 1)).await?;
        }
        world.sleep(Duration::from_secs(20)).await;
        assert_eq!(world.calls(), 5);
        let relay = world.relay();
        println!("{relay:?}");
        assert_eq!((relay.unroutable, relay.malformed, relay.packets_dropped), (0, 0, 0));
        Ok((0..10).map(|site| world.figures(Site(site)).remove(0)).collect::<Vec<_>>())
    });
    let everybody = ending.expect("all calls become live").result;
    for (site, figures) in everybody.iter().enumerate() {
        let direction = &figures.direction;
        println!(
            "{} to {}: {:?}, {:.2} fps",
            direction.from, direction.to, direction.frame_delay_ms, direction.fps_shown
        );
        assert_eq!(direction.from, format!("person {}", site ^ 1));
        assert_eq!(figures.findings.offences, [] as [String; 0]);
        assert!(direction.frames.dropped.is_empty(), "{:?}", direction.frames);
        assert!(direction.fps_shown > 29.9);
        // Encoding, pacing and decoding take 9 ms, the links 30 ms and their jitter.
        assert!((40.0..46.0).contains(&direction.frame_delay_ms.p50), "{:?}", direction.frame_delay_ms);
        assert_eq!(direction.audio.concealed_share, 0.0);
    }
}
