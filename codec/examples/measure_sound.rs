//! Measures Opus and time-stretching on the generated voice: time per frame, bit rate, delay.
//!
//! `cargo run --release -p visavis-codec --example measure_sound`

#![allow(clippy::disallowed_methods, reason = "measuring time is what this program is for")]

use std::collections::VecDeque;
use std::error::Error;
use std::time::Instant;

use visavis_codec::opus::{Decoder, Encoder, FRAME_SAMPLES, MAX_PACKET_BYTES};
use visavis_codec::scene::Speech;
use visavis_codec::stretch;

fn main() -> Result<(), Box<dyn Error>> {
    let mut sound = vec![0; 30 * 48_000];
    Speech::new(1).fill(&mut sound);
    for (bitrate_bps, loss) in [(16_000, 0), (24_000, 0), (32_000, 0), (32_000, 5), (32_000, 20), (64_000, 0)] {
        let (mut encoder, mut decoder) = (Encoder::new(bitrate_bps)?, Decoder::new()?);
        encoder.set_expected_loss(loss)?;
        let (mut packet, mut out) = ([0; MAX_PACKET_BYTES], [0; FRAME_SAMPLES]);
        let (mut encode, mut decode, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
        for frame in sound.chunks_exact(FRAME_SAMPLES) {
            let start = Instant::now();
            let length = encoder.encode(frame, &mut packet)?;
            encode.push(start.elapsed().as_secs_f64() * 1e3);
            sizes.push(length as f64);
            let start = Instant::now();
            decoder.decode(&packet[..length], &mut out)?;
            decode.push(start.elapsed().as_secs_f64() * 1e3);
        }
        let rate = sizes.iter().sum::<f64>() * 8.0 / 30.0;
        println!("opus at {bitrate_bps} bit/s expecting {loss} % loss: {rate:.0} bit/s");
        print_distribution("  encode ms", &mut encode);
        print_distribution("  decode ms", &mut decode);
        print_distribution("  bytes", &mut sizes);
    }
    println!("lookahead {} samples", Encoder::new(32_000)?.lookahead_samples()?);
    let mut times = Vec::new();
    for piece in sound.chunks_exact(1_920) {
        let mut buffer: VecDeque<i16> = piece.iter().copied().collect();
        let start = Instant::now();
        stretch::accelerate(&mut buffer);
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    print_distribution("stretch ms", &mut times);
    Ok(())
}

fn print_distribution(name: &str, values: &mut [f64]) {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values[((values.len() - 1) as f64 * share) as usize];
    println!("{name:<11} p50 {:.3} p95 {:.3} p99 {:.3} max {:.3}", at(0.5), at(0.95), at(0.99), at(1.0));
}
