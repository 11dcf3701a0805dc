//! A call's pictures and sound over links that are clean, lossy, or too narrow.

use std::time::Duration;

use anyhow::Context;
use visavis_proto::units::{Bitrate, DataSize};
use visavis_tests::fates;
use visavis_tests::sim::{Bursts, Conditions, Figures, Plan, Site, Way, link::Counts, run};

const BOTH: [Site; 2] = [Site(0), Site(1)];

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// What a call of two left behind.
struct Left {
    figures: [Figures; 2],
    down: [Counts; 2],
}

/// A call of `seconds`; what each of the two saw.
fn call(plan: Plan, seconds: u64) -> Left {
    let ending = run(plan, async |world| {
        let call = world.connect(Site(0), Site(1)).await?;
        world.sleep(Duration::from_secs(seconds)).await;
        world.hang_up(Site(0), call).await;
        let figures = BOTH.map(|site| world.figures(site).remove(0));
        Ok(Left { figures, down: BOTH.map(|site| world.counts(site, Way::Down)) })
    });
    let left = ending.expect("the call becomes live").result;
    for (figures, down) in left.figures.iter().zip(&left.down) {
        print(figures, *down);
        assert_eq!(figures.findings.offences, [] as [String; 0], "nothing torn, wrong or without its reference");
        let frames = &figures.direction.frames;
        assert_eq!(figures.findings.shown, frames.shown);
        let fates = frames.shown + frames.dropped.values().sum::<u64>() + frames.in_flight;
        assert_eq!(fates, frames.encoded, "each frame has one fate");
    }
    let [one, other] = &left.figures;
    for (sender, receiver) in [(one, other), (other, one)] {
        println!("{}", fates::every_frame_has_one(&sender.records, &receiver.records));
    }
    left
}

fn print(figures: &Figures, down: Counts) {
    let direction = &figures.direction;
    println!(
        "{} to {}: {:.1} s, first picture {:.0?} ms, delay {:.1?}, age p50 {:.1} p95 {:.1}, {:.2} fps, freeze {:.4} longest {:.0} ms, \
         {:.0} kbit/s, keyframes {}, {:?}, mouth to ear {:.1?}, concealed {:.4}, {down:?}",
        direction.from,
        direction.to,
        figures.seconds,
        figures.first_picture_ms,
        direction.frame_delay_ms,
        direction.age_ms.p50,
        direction.age_ms.p95,
        direction.fps_shown,
        direction.freeze_share,
        direction.longest_freeze_ms,
        direction.bitrate_bps / 1e3,
        figures.findings.keyframes,
        direction.frames,
        direction.audio.mouth_to_ear_ms,
        direction.audio.concealed_share,
    );
}

#[test]
fn a_clean_link_shows_every_picture_as_late_as_the_arithmetic_says() {
    let left = call(Plan::alike(1, 2, Conditions::delayed(ms(20))), 120);
    // Encoding 5 ms, the rest of the train behind the pacer's burst about 2 ms, two hops of 20 ms, decoding 2 ms.
    let arithmetic = 5.0 + 2.0 + 20.0 + 20.0 + 2.0;
    for figures in &left.figures {
        let direction = &figures.direction;
        assert!((direction.frame_delay_ms.p50 - arithmetic).abs() < 3.0, "{:?}", direction.frame_delay_ms);
        assert!(direction.frame_delay_ms.p99 < arithmetic + 8.0, "{:?}", direction.frame_delay_ms);
        assert!(direction.frames.dropped.is_empty(), "{:?}", direction.frames);
        assert_eq!(direction.frames.shown, direction.frames.captured);
        assert!(direction.fps_shown > 29.9);
        assert_eq!(direction.audio.concealed_share, 0.0);
        assert_eq!(figures.findings.keyframes, 1);
        assert_eq!(direction.freeze_share, 0.0);
        assert!(figures.first_picture_ms.is_some_and(|first| first < 200.0), "{:?}", figures.first_picture_ms);
    }
}

/// What the window and the command line tell once a second, against what the world is made of.
#[test]
fn a_second_of_a_clean_link_is_told_as_it_is() {
    let ending = run(Plan::alike(5, 2, Conditions::delayed(ms(20))), async |world| {
        world.connect(Site(0), Site(1)).await?;
        world.sleep(Duration::from_secs(10)).await;
        let [one, other] = [world.live(Site(0)).await, world.live(Site(1)).await];
        anyhow::Ok([one.context("live")?, other.context("live")?])
    });
    let [one, other] = ending.expect("the call becomes live").result;
    for (live, peer) in [(&one, &other), (&other, &one)] {
        println!("{live:?}");
        let near = |value: Option<f64>, truth: f64, by: f64| value.is_some_and(|value| (value - truth).abs() < by);
        assert!(near(live.round_trip_ms, 40.0, 3.0) && near(live.bound_ms, 20.0, 0.5), "{live:?}");
        assert!(near(Some(live.fps), 30.0, 1.1) && near(Some(live.sent.fps), 30.0, 1.1), "{live:?}");
        // A picture is as old as its delay when it is shown, and a picture's time older when the next one is.
        assert!(near(live.age_ms, live.delay_ms + 1e3 / 60.0, 2.0), "{live:?}");
        assert!(near(Some(live.sent.bitrate_bps), peer.bitrate_bps, 0.2 * peer.bitrate_bps), "{live:?}");
        assert_eq!((live.loss, live.sent.skipped), (0.0, Some(0.0)));
        assert!(live.dropped.is_empty() && live.sent.dropped.is_empty(), "{live:?}");
        assert_eq!((live.codec.as_deref(), live.sent.codec.as_deref()), (Some("model"), Some("model")));
        assert_eq!(live.size, live.sent.size);
    }
}

#[test]
fn reordering_and_duplicates_alone_cost_no_picture() {
    let shuffling = Conditions {
        jitter: ms(5),
        reorder: 0.1,
        reorder_by: ms(10),
        duplicate: 0.05,
        ..Conditions::delayed(ms(20))
    };
    for figures in &call(Plan::alike(2, 2, shuffling), 20).figures {
        let direction = &figures.direction;
        assert!(direction.frames.dropped.is_empty(), "{:?}", direction.frames);
        // Jitter and the holding back on both hops, at most.
        assert!(direction.frame_delay_ms.p99 < 49.0 + 2.0 * (5.0 + 10.0) + 5.0, "{:?}", direction.frame_delay_ms);
        assert!(direction.audio.concealed_share < 0.005, "{}", direction.audio.concealed_share);
    }
}

/// Two percent from end to end hit every sixth base picture of twelve packets, and every second keyframe of thirty. With
/// keyframes as the only recovery that leaves a third of the pictures: the bounds say what is, for the repair to come.
#[test]
fn loss_and_reordering_cost_pictures_but_never_tear_one() {
    let lossy =
        Conditions { jitter: ms(5), loss: 0.01, reorder: 0.01, reorder_by: ms(4), ..Conditions::delayed(ms(20)) };
    for figures in &call(Plan::alike(2, 2, lossy), 60).figures {
        let direction = &figures.direction;
        assert!(figures.seconds > 59.0);
        assert!(direction.fps_shown > 9.0, "{}", direction.fps_shown);
        assert!(direction.longest_freeze_ms < 3_000.0, "{}", direction.longest_freeze_ms);
        assert!(direction.audio.concealed_share < 0.01, "in-band FEC: {}", direction.audio.concealed_share);
        assert!(figures.findings.keyframes > 40, "asked for, coded, decoded: {}", figures.findings.keyframes);
        // What is shown is shown in time.
        assert!(direction.frame_delay_ms.p95 < 49.0 + 2.0 * (5.0 + 4.0) + 10.0, "{:?}", direction.frame_delay_ms);
    }
}

#[test]
fn bursts_of_loss_are_recovered_from_by_keyframes() {
    let bursty =
        Conditions { bursts: Some(Bursts { begin: 0.002, end: 0.1, loss: 0.9 }), ..Conditions::delayed(ms(20)) };
    for figures in &call(Plan::alike(3, 2, bursty), 60).figures {
        let direction = &figures.direction;
        assert!(direction.fps_shown > 18.0, "{}", direction.fps_shown);
        assert!(direction.longest_freeze_ms < 1_500.0, "{}", direction.longest_freeze_ms);
        assert!(direction.audio.concealed_share < 0.05, "{}", direction.audio.concealed_share);
        assert!(figures.findings.keyframes > 30, "{}", figures.findings.keyframes);
    }
}

/// Without congestion control a sender of 2.5 Mbit/s keeps on filling a downlink of 1 Mbit/s. What this shows: hardly
/// any picture gets through whole, and with a queue shorter than a keyframe none does; sound is cut into but lives; and
/// nothing is later than the queue makes it. The other direction is not touched.
#[test]
fn a_narrow_downlink_loses_whole_pictures_and_piles_up_no_more_than_its_queue() {
    let rate = Bitrate::from_kbps(1_000);
    for (queue_packets, starved) in [(20, true), (60, false)] {
        let mut plan = Plan::alike(4, 2, Conditions::delayed(ms(20)));
        plan.sites[1].1 = Conditions { rate: Some(rate), queue_packets, ..Conditions::delayed(ms(20)) };
        let left = call(plan, 30);
        let [free, narrow] = &left.figures.map(|figures| figures.direction);
        // The largest packet of quinn's with its headers.
        let queue_ms = rate.time_for(DataSize::from_bytes(1_252 * queue_packets as u64)).as_secs_f64() * 1e3;
        assert_eq!(narrow.frames.shown == 0, starved, "{:?}", narrow.frames);
        assert!(narrow.fps_shown < 2.0, "{}: if this got better, say by how much", narrow.fps_shown);
        assert!(narrow.frame_delay_ms.max < 70.0 + queue_ms, "{:?}", narrow.frame_delay_ms);
        assert!(narrow.audio.mouth_to_ear_ms.p95 < 80.0 + queue_ms, "{:?}", narrow.audio);
        assert!(narrow.audio.concealed_share < 0.25, "{:?}", narrow.audio);
        assert!(left.down[1].queue_full > 0 && left.down[0].queue_full == 0);
        assert!(
            free.fps_shown > 29.0 && free.frames.dropped.is_empty() && free.frame_delay_ms.p99 < 70.0,
            "{free:?}"
        );
    }
}
