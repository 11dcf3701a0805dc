//! Two voices at once in one room: what is sent of the one in front of the microphone, and how it is understood.
//!
//! The whole processing of a microphone, with devices that lose nothing: on a busy machine PulseAudio does, the canceller
//! is careful then, and a voice beside an echo is understood as badly as WebRTC lets it (STOI 0.4 to 0.5).

use anyhow::{Context, ensure};
use rand::{Rng, SeedableRng, rngs::StdRng};
use visavis::sound::process::{Processor, Switches};
use visavis_codec::wav;
use visavis_tests::{
    hearing::{RATE_HZ, level_db, understood},
    pulse::missing,
    real::skipped,
    voices::speech,
};

/// Samples that are processed at a time: 10 ms.
const BLOCK: usize = RATE_HZ / 100;

/// The voice in front of the microphone begins so late, in seconds: the echo is known by then.
const NEAR_AT_S: usize = 36;

/// So long it is listened to, in seconds.
const NEAR_S: usize = 14;

/// What is between a speaker and a microphone.
struct Room {
    name: &'static str,
    seed: u64,
    /// Time in which a sound dies away by 60 dB, in seconds.
    reverberation_s: f32,
    /// How loud the echo is as a whole, in dB relative to what is played.
    echo_db: f32,
    /// Speaker's and microphone's clocks, in parts per million.
    drift_ppm: f64,
}

impl Room {
    /// What the microphone hears of what is played: 18 ms of way, the 10 ms that a reference comes ahead included, and
    /// 150 ms of reflections.
    fn echo(&self, played: &[f32]) -> Vec<f32> {
        const WAY: usize = 18 * RATE_HZ / 1_000;
        const REFLECTIONS: usize = 150 * RATE_HZ / 1_000;
        let mut random = StdRng::seed_from_u64(self.seed);
        let mut ways = vec![(WAY, 1.0_f32)];
        ways.extend((0..300).map(|_| {
            let later = random.gen_range(96..REFLECTIONS);
            let left = 10_f32.powf(-3.0 * later as f32 / (self.reverberation_s * RATE_HZ as f32));
            (WAY + later, random.gen_range(-0.12..0.12) * left)
        }));
        let power: f32 = ways.iter().map(|(_, gain)| gain * gain).sum();
        let whole = 10_f32.powf(self.echo_db / 20.0) / power.sqrt();
        let mut echo = vec![0.0; played.len()];
        for (later, gain) in ways {
            for (echo, played) in echo[later..].iter_mut().zip(played) {
                *echo += played * gain * whole;
            }
        }
        let drifted = |n: usize| {
            let at = n as f64 * (1.0 - self.drift_ppm * 1e-6);
            let (whole, part) = (at as usize, at.fract() as f32);
            echo[whole] * (1.0 - part) + echo.get(whole + 1).unwrap_or(&0.0) * part
        };
        (0..played.len()).map(drifted).collect()
    }
}

/// What is sent of what a microphone hears beside what is played.
fn sent(played: &[f32], heard: &[f32]) -> Vec<f32> {
    let mut processor = Processor::new(Switches::default());
    let mut sent = Vec::with_capacity(heard.len());
    for (played, heard) in played.as_chunks::<BLOCK>().0.iter().zip(heard.as_chunks::<BLOCK>().0) {
        let mut block = *heard;
        processor.process(played, &mut block);
        sent.extend(block);
    }
    sent
}

fn floats(samples: &[i16]) -> Vec<f32> {
    samples.iter().map(|&sample| f32::from(sample) / 32_768.0).collect()
}

fn whole(samples: &[f32]) -> Vec<i16> {
    samples.iter().map(|sample| (sample * 32_768.0) as i16).collect()
}

/// The level of some seconds, in dB relative to full scale.
fn level(samples: &[f32], [from_s, to_s]: [usize; 2]) -> f64 {
    level_db(&whole(&samples[from_s * RATE_HZ..to_s * RATE_HZ]))
}

/// What an echo loses while nobody else speaks, in dB, and how the voice beside it is understood, as it is heard and as
/// it is sent.
struct Judged {
    taken_out_db: f64,
    understood: [f64; 2],
}

fn judge(room: &Room, far: &[i16], near: &[i16]) -> anyhow::Result<Judged> {
    let played: Vec<f32> = floats(far).into_iter().cycle().take((NEAR_AT_S + NEAR_S) * RATE_HZ).collect();
    let near = &near[..near.len().min(NEAR_S * RATE_HZ)];
    let mut heard = room.echo(&played);
    for (heard, near) in heard[NEAR_AT_S * RATE_HZ..].iter_mut().zip(floats(near)) {
        *heard += near;
    }
    let sent = sent(&played, &heard);
    let before = [3, NEAR_AT_S - 1];
    let taken_out_db = level(&heard, before) - level(&sent, before);
    let [heard, sent] = [&heard, &sent].map(|samples| understood(near, &whole(&samples[NEAR_AT_S * RATE_HZ..]), 0.2));
    let judged = Judged { taken_out_db, understood: [heard.context("silence")?, sent.context("nothing is sent")?] };
    println!(
        "{:28} {:5.1} dB taken out; understood {:.3} with the echo, {:.3} as sent",
        room.name, judged.taken_out_db, judged.understood[0], judged.understood[1]
    );
    Ok(judged)
}

#[test]
fn whoever_speaks_while_the_other_does_is_understood() -> anyhow::Result<()> {
    if skipped(missing()) {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let far = speech(folder.path(), "en-gb", 100)?;
    // As loud in the microphone as the echo, within 2 dB.
    let near = speech(folder.path(), "en-us", 23)?;
    let (far, near) = (wav::read_mono_48k(far)?, wav::read_mono_48k(near)?);
    let usual = Room { name: "a room as usual", seed: 1, reverberation_s: 0.25, echo_db: -12.0, drift_ppm: 0.0 };
    let rooms = [
        Room { name: "a live room", seed: 3, reverberation_s: 0.5, ..usual },
        Room { name: "the speaker 6 dB louder", echo_db: -6.0, ..usual },
        Room { name: "clocks that drift by 40 ppm", drift_ppm: 40.0, ..usual },
        usual,
    ];
    for room in rooms {
        let judged = judge(&room, &far, &near)?;
        ensure!(judged.taken_out_db >= 25.0, "the echo comes back");
        ensure!(judged.understood[1] >= 0.6, "a voice beside another is not understood");
    }
    Ok(())
}
