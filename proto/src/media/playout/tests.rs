//! Playout against scripted arrivals, in virtual time.

use super::*;

/// What came of a stretch of the script.
#[derive(Debug)]
struct Heard {
    stats: Stats,
    /// Mean, least and largest milliseconds from capture to play.
    mean_ms: f64,
    min_ms: f64,
    max_ms: f64,
    silent: u64,
}

/// A sender, a path and a sink that stretches by half a block.
struct World {
    playout: AudioPlayout,
    /// Arrival, number, capture; sorted by arrival.
    arrivals: Vec<(Timestamp, u32, Timestamp)>,
    now: Timestamp,
    played: Vec<u32>,
    /// Blocks that the sink asks for at once.
    batch: u32,
}

const START: Timestamp = Timestamp::from_micros(1_000_000);

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

impl World {
    /// `path` says how many milliseconds frame `n` takes, or that it is lost.
    fn new(frames: u32, frame_nanos: u64, path: impl FnMut(u32) -> Option<f64>) -> Self {
        Self::captured(frames, |n| START + Duration::from_nanos(u64::from(n) * frame_nanos), path)
    }

    fn captured(frames: u32, capture: impl Fn(u32) -> Timestamp, mut path: impl FnMut(u32) -> Option<f64>) -> Self {
        let mut arrivals: Vec<_> = (0..frames)
            .filter_map(|n| path(n).map(|delay| (capture(n) + Duration::from_secs_f64(delay / 1e3), n, capture(n))))
            .collect();
        arrivals.sort();
        // The sink's blocks fall somewhere within the sender's.
        let now = START + Duration::from_micros(3_700);
        Self { playout: AudioPlayout::new(), arrivals, now, played: Vec::new(), batch: 1 }
    }

    fn run(&mut self, time: Duration) -> Heard {
        let end = self.now + time;
        let before = self.playout.stats();
        let (mut sum, mut count, mut min_ms, mut max_ms, mut silent) = (0.0, 0u32, f64::MAX, f64::MIN, 0);
        let mut asked = 0;
        let mut ahead = Duration::ZERO;
        while self.now < end {
            let come = self.arrivals.partition_point(|&(at, ..)| at <= self.now);
            for (at, number, capture) in self.arrivals.drain(..come) {
                self.playout.handle_frame(FrameNumber(number), capture, at, vec![number as u8]);
            }
            let captures = |playout: &AudioPlayout, number: u32| playout.buffer.get(&number).map(|f| f.capture);
            let next = self.playout.expected.or_else(|| self.playout.buffer.keys().next().copied());
            let capture = next.and_then(|number| captures(&self.playout, number));
            let block = self.playout.next(self.now);
            match block.step {
                Step::Play { number, payload } => {
                    assert_eq!(payload, [number.0 as u8]);
                    self.played.push(number.0);
                    if let Some(capture) = capture.filter(|_| next == Some(number.0)) {
                        let delay = (self.now + ahead).nanos_from(capture) as f64 / 1e6;
                        (sum, count) = (sum + delay, count + 1);
                        (min_ms, max_ms) = (min_ms.min(delay), max_ms.max(delay));
                    }
                }
                Step::PlayWithFecOf { number, next_payload } => {
                    assert_eq!(next_payload, [(number.0 + 1) as u8]);
                    self.played.push(number.0);
                }
                Step::Conceal => {}
                Step::Silence => silent += 1,
            }
            ahead += match block.stretch {
                Stretch::None => ms(10),
                Stretch::Accelerate => ms(5),
                Stretch::Expand => ms(15),
            };
            asked += 1;
            if asked == self.batch {
                self.now += std::mem::take(&mut ahead);
                asked = 0;
            }
        }
        assert!(self.played.is_sorted_by(|a, b| a < b), "each frame once and in order");
        let after = self.playout.stats();
        let stats = Stats {
            played: after.played - before.played,
            concealed: after.concealed - before.concealed,
            fec_recovered: after.fec_recovered - before.fec_recovered,
            late: after.late - before.late,
            duplicates: after.duplicates - before.duplicates,
            skipped: after.skipped - before.skipped,
            accelerated: after.accelerated - before.accelerated,
            expanded: after.expanded - before.expanded,
        };
        Heard { stats, mean_ms: sum / f64::from(count.max(1)), min_ms, max_ms, silent }
    }
}

/// A small generator of reproducible noise (Numerical Recipes' constants), uniform in 0..1.
fn noise(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / (1u64 << 31) as f64
    }
}

const FRAME: u64 = 10_000_000;

#[test]
fn a_clean_link_costs_about_a_block() {
    let mut world = World::new(3_000, FRAME, |_| Some(20.0));
    let heard = world.run(ms(29_000));
    assert_eq!((heard.stats.concealed, heard.stats.fec_recovered, heard.stats.late), (0, 0, 0), "{heard:?}");
    assert_eq!((heard.stats.accelerated, heard.stats.expanded), (0, 0), "{heard:?}");
    assert!((25.0..=35.0).contains(&heard.mean_ms), "{heard:?}");
    let shown = world.playout.delay_nanos().expect("it plays") as f64 / 1e6;
    assert!((shown - heard.mean_ms).abs() < 1.0, "{shown} ms against {heard:?}");
}

#[test]
fn jitter_is_waited_for_and_no_longer_than_needed() {
    let mut random = noise(1);
    let mut world = World::new(6_000, FRAME, |_| Some(20.0 + 60.0 * random()));
    world.run(ms(5_000));
    let heard = world.run(ms(50_000));
    assert!(heard.stats.concealed_share() < 0.02, "{heard:?}");
    assert!((78.0..=105.0).contains(&heard.mean_ms), "{heard:?}");
}

#[test]
fn single_losses_are_mended_and_do_not_grow_the_delay() {
    let mut random = noise(2);
    let mut world = World::new(6_000, FRAME, |_| (random() >= 0.05).then_some(20.0));
    world.run(ms(1_000));
    let heard = world.run(ms(50_000));
    assert!((25.0..=42.0).contains(&heard.mean_ms), "{heard:?}");
    let lost = heard.stats.concealed + heard.stats.fec_recovered;
    assert!((0.04..0.065).contains(&(lost as f64 / 5_000.0)), "as many blocks as losses: {heard:?}");
    assert_eq!(heard.stats.late, 0, "{heard:?}");
}

#[test]
fn with_a_buffer_single_losses_are_recovered_from_the_next_frame() {
    let mut random = noise(3);
    let mut world = World::new(6_000, FRAME, |_| if random() < 0.05 { None } else { Some(20.0 + 30.0 * random()) });
    world.run(ms(5_000));
    let heard = world.run(ms(50_000));
    assert!(heard.stats.fec_recovered > 150, "{heard:?}");
    assert!(heard.stats.concealed_share() < 0.03, "{heard:?}");
    assert!((48.0..=75.0).contains(&heard.mean_ms), "{heard:?}");
}

#[test]
fn a_stalled_path_is_caught_up_with() {
    // Nothing arrives from 10.0 s to 10.3 s, then all of it at once.
    let mut world = World::new(3_000, FRAME, |n| {
        let capture = f64::from(n) * 10.0;
        Some(if (9_980.0..10_280.0).contains(&capture) { 10_300.0 - capture } else { 20.0 })
    });
    world.run(ms(9_900));
    let stall = world.run(ms(1_000));
    assert!(stall.stats.concealed <= 12, "{stall:?}");
    assert!(stall.max_ms < 320.0, "{stall:?}");
    let after = world.run(ms(8_000));
    assert!(after.stats.concealed_share() < 0.005, "{after:?}");
    let calm = world.run(ms(5_000));
    assert!(calm.mean_ms < 40.0, "back to a block of delay: {calm:?}");
}

#[test]
fn a_lost_burst_is_concealed_and_the_delay_stays() {
    let mut world = World::new(3_000, FRAME, |n| (!(1_000..1_006).contains(&n)).then_some(20.0));
    world.run(ms(9_900));
    let heard = world.run(ms(1_000));
    assert!((5..=7).contains(&heard.stats.concealed), "{heard:?}");
    assert!(heard.max_ms < 45.0, "{heard:?}");
}

#[test]
fn a_step_up_in_the_paths_delay_loses_no_sound() {
    let mut world = World::new(4_000, FRAME, |n| Some(if n < 1_000 { 20.0 } else { 80.0 }));
    world.run(ms(9_500));
    let step = world.run(ms(2_000));
    assert_eq!((step.stats.late, step.stats.skipped, step.stats.accelerated), (0, 0, 0), "{step:?}");
    assert!((5..=8).contains(&step.stats.concealed), "{step:?}");
    let after = world.run(ms(20_000));
    assert_eq!(after.stats.concealed, 0, "{after:?}");
    assert!((82.0..=97.0).contains(&after.mean_ms), "{after:?}");
}

#[test]
fn a_step_down_is_followed_once_the_window_has_forgotten() {
    let mut world = World::new(4_000, FRAME, |n| Some(if n < 1_000 { 100.0 } else { 40.0 }));
    world.run(ms(17_000));
    let heard = world.run(ms(20_000));
    assert_eq!((heard.stats.concealed, heard.stats.skipped), (0, 0), "{heard:?}");
    assert!((45.0..=56.0).contains(&heard.mean_ms), "{heard:?}");
}

#[test]
fn drift_of_the_sample_clocks_is_stretched_away() {
    for frame_nanos in [FRAME + 1_000, FRAME - 1_000] {
        let mut world = World::new(61_000, frame_nanos, |_| Some(20.0));
        world.run(ms(1_000));
        let heard = world.run(ms(600_000));
        assert!(heard.stats.concealed <= 12, "60 ms of drift: {heard:?}");
        assert!(heard.stats.accelerated + heard.stats.expanded >= 5, "{heard:?}");
        assert!((20.0..=36.0).contains(&heard.mean_ms) && heard.max_ms < 42.0, "{heard:?}");
        assert_eq!((heard.stats.late, heard.stats.skipped), (0, 0), "{heard:?}");
    }
}

#[test]
fn a_muted_sender_is_silence_and_comes_back_whole() {
    let capture = |n: u32| START + ms(u64::from(n) * 10 + if n >= 500 { 3_000 } else { 0 });
    let mut world = World::captured(1_000, capture, |_| Some(20.0));
    world.run(ms(4_900));
    let pause = world.run(ms(3_000));
    assert!(pause.stats.concealed <= 10 && pause.silent > 250, "{pause:?}");
    let back = world.run(ms(4_000));
    assert_eq!((back.stats.concealed, back.stats.late, back.stats.skipped), (0, 0, 0), "{back:?}");
    assert!((25.0..=36.0).contains(&back.mean_ms), "{back:?}");
    assert!(world.played.contains(&500), "the first syllable is heard");
}

#[test]
fn after_a_short_pause_the_buffer_is_there_again() {
    let capture = |n: u32| START + ms(u64::from(n) * 10 + if n >= 500 { 60 } else { 0 });
    // Every other frame comes 40 ms late, but not the one that ends the pause.
    let mut world = World::captured(1_000, capture, |n| Some(if n % 2 == 1 { 60.0 } else { 20.0 }));
    world.run(ms(4_900));
    let pause = world.run(ms(1_000));
    assert!(pause.min_ms >= 62.0, "{pause:?}");
    assert!((5..=7).contains(&pause.stats.concealed), "{pause:?}");
}

#[test]
fn a_sink_that_stood_still_catches_up() {
    let mut world = World::new(1_500, FRAME, |_| Some(20.0));
    world.run(ms(5_000));
    world.now += ms(400);
    let heard = world.run(ms(1_000));
    assert!((35..=40).contains(&heard.stats.skipped), "{heard:?}");
    assert!(heard.max_ms < 45.0, "{heard:?}");
}

#[test]
fn a_sink_that_takes_four_blocks_at_once_is_given_what_it_needs() {
    let mut world = World::new(4_000, FRAME, |_| Some(20.0));
    world.batch = 4;
    world.run(ms(2_000));
    let heard = world.run(ms(30_000));
    assert!(heard.stats.concealed_share() < 0.002, "{heard:?}");
    assert!(heard.mean_ms < 80.0, "{heard:?}");
}

#[test]
fn reordered_and_doubled_frames_are_heard_once() {
    let mut playout = AudioPlayout::new();
    for n in [0, 2, 1, 1, 3] {
        playout.handle_frame(FrameNumber(n), START + ms(u64::from(n) * 10), START + ms(40), vec![n as u8]);
    }
    assert_eq!(playout.stats().duplicates, 1);
    let numbers: Vec<_> = (0..4)
        .filter_map(|n| match playout.next(START + ms(45 + n * 10)).step {
            Step::Play { number, .. } => Some(number.0),
            _ => None,
        })
        .collect();
    assert_eq!(numbers, [0, 1, 2, 3]);
    playout.handle_frame(FrameNumber(2), START + ms(20), START + ms(90), vec![]);
    assert_eq!(playout.stats().late, 1);
}

#[test]
fn memory_is_bounded_when_nobody_plays() {
    let mut playout = AudioPlayout::new();
    for n in 0..10_000 {
        playout.handle_frame(FrameNumber(n), START, START, vec![0; 100]);
    }
    assert_eq!(playout.buffered(), MAX_FRAMES);
    // Numbers at the end of their range do not overflow.
    playout.handle_frame(FrameNumber(u32::MAX), START, START, vec![]);
    (0..50).for_each(|n| drop(playout.next(START + ms(n * 10))));
}

#[test]
fn the_delay_has_a_limit() {
    let mut random = noise(4);
    let mut world = World::new(3_000, FRAME, |_| Some(20.0 + 2_000.0 * random()));
    world.run(ms(5_000));
    let heard = world.run(ms(20_000));
    assert!(heard.max_ms < 20.0 + 500.0 + 5.0 + 100.0 + 25.0, "{heard:?}");
}
