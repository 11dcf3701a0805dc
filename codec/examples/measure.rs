//! Measures the H.264 encoder and decoder on a clip or on the generated scene: time, rate, size and quality.
//!
//! `cargo run --release -p visavis-codec --example measure -- [clip.y4m|WIDTHxHEIGHT] [bit/s] [frames] [threads] [out.264]`
//! prints one line per figure (one per frame with FRAMES=1 in the environment). The decisions in `h264` rest on its output.

#![allow(clippy::disallowed_methods, reason = "measuring time is what this program is for")]

use std::error::Error;
use std::fs::File;
use std::io::{BufReader, Write};
use std::time::Instant;

use visavis_codec::h264::{Decoder, Encoder, EncoderConfig, FrameRequest};
use visavis_codec::scene::Scene;
use visavis_codec::{Picture, measure, y4m};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |at: usize, default: &str| arguments.get(at).map_or(default, String::as_str).to_owned();
    let pictures = load(&argument(0, "1280x720"))?;
    let bitrate_bps = argument(1, "2500000").parse()?;
    let frames: u64 = argument(2, "300").parse()?;
    let threads = argument(3, "1").parse()?;
    let mut stream = arguments.get(4).map(File::create).transpose()?;
    let config = EncoderConfig {
        width: pictures[0].width,
        height: pictures[0].height,
        frames_per_second: 30.0,
        bitrate_bps,
        threads,
    };
    let (mut encoder, mut decoder) = (Encoder::new(config)?, Decoder::new()?);
    let (mut bytes, mut decoded) = (Vec::new(), Picture::new(0, 0));
    let (mut encode, mut decode, mut sizes, mut ssim) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (n, index) in (0..frames).zip(y4m::PingPong::new(pictures.len() as u64)) {
        let picture = &pictures[index as usize];
        let request = FrameRequest { timestamp_us: n * 33_333, ..FrameRequest::default() };
        let start = Instant::now();
        let info = encoder.encode(picture, request, &mut bytes)?;
        encode.push(start.elapsed().as_secs_f64() * 1e3);
        if let Some(stream) = &mut stream {
            stream.write_all(&bytes)?;
        }
        let start = Instant::now();
        decoder.decode(&bytes, &mut decoded)?;
        decode.push(start.elapsed().as_secs_f64() * 1e3);
        let quality = if decoded.width == picture.width && decoded.height == picture.height {
            measure::ssim_luma(picture, &decoded)
        } else {
            f64::NAN
        };
        ssim.push(quality);
        sizes.push(bytes.len() as f64);
        if std::env::var_os("FRAMES").is_some() {
            println!("{n} layer {} qp {} bytes {} ssim {quality:.4}", info.temporal_layer, info.qp, bytes.len());
        }
    }
    let rate = sizes.iter().sum::<f64>() * 8.0 * 30.0 / sizes.len() as f64;
    println!("rate        {:.0} bit/s of {bitrate_bps}", rate);
    println!("keyframe    {:.0} bytes, {:.0} ms of the rate", sizes[0], sizes[0] * 8e3 / f64::from(bitrate_bps));
    print_distribution("encode ms", &mut encode);
    print_distribution("decode ms", &mut decode);
    print_distribution("bytes", &mut sizes[1..]);
    println!("ssim mean   {:.4}", ssim.iter().sum::<f64>() / ssim.len() as f64);
    Ok(())
}

fn load(source: &str) -> Result<Vec<Picture>, Box<dyn Error>> {
    let mut pictures = Vec::new();
    let size = source.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    if let Some((width, height)) = size {
        let mut scene = Scene::new(width, height, 1);
        let start = Instant::now();
        for frame in 0..150 {
            let mut picture = Picture::new(width, height);
            scene.render(frame, &mut picture);
            pictures.push(picture);
        }
        println!("scene       {:.2} ms a frame", start.elapsed().as_secs_f64() * 1e3 / 150.0);
    } else {
        let mut reader = y4m::Reader::new(BufReader::new(File::open(source)?))?;
        for index in 0..reader.frames() {
            let mut picture = Picture::new(0, 0);
            reader.read(index, &mut picture)?;
            pictures.push(picture);
        }
    }
    Ok(pictures)
}

fn print_distribution(name: &str, values: &mut [f64]) {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values[((values.len() - 1) as f64 * share) as usize];
    println!("{name:<11} p50 {:.2} p95 {:.2} p99 {:.2} max {:.2}", at(0.5), at(0.95), at(0.99), at(1.0));
}
