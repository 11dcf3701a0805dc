//! Measures what a camera's frames cost before they are encoded: converting 720p from each layout, decoding JPEG files of
//! any size, scaling 1080p to 720p.
//!
//! `cargo run --release -p visavis-codec --example measure_cameras -- [FILE.jpg ...]` prints one line per figure. How much a
//! format is worth to the client's choice of a camera's mode rests on its output.

#![allow(clippy::disallowed_methods, reason = "measuring time is what this program is for")]

use std::error::Error;
use std::time::{Duration, Instant};

use visavis_codec::raw::{self, Layout, PlanesMut};
use visavis_codec::scale::Scaler;
use visavis_codec::{Picture, mjpeg};

const ROUNDS: usize = 301;

fn main() -> Result<(), Box<dyn Error>> {
    let (width, height) = (1_280_usize, 720_usize);
    let mut picture = Picture::new(1_280, 720);
    let noise: Vec<u8> = (0..width * height * 4).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for layout in [Layout::Yu12, Layout::Nv12, Layout::Yuyv, Layout::Grey, Layout::Rgb] {
        for padding in [0, 64] {
            let stride = layout.row_bytes(width) + padding;
            measure(&format!("{layout:?}, rows padded by {padding}"), || {
                Ok(raw::convert(layout, &noise, stride, &mut PlanesMut::of(&mut picture))?)
            })?;
        }
    }
    let mut large = Picture::new(1_920, 1_080);
    large.y.iter_mut().zip(noise.iter().cycle()).for_each(|(sample, noise)| *sample = *noise);
    let mut scaler = Scaler::default();
    measure("scaling 1080p to 720p", || Ok(scaler.scale(&large, &mut PlanesMut::of(&mut picture))?))?;
    for file in std::env::args().skip(1) {
        let bytes = std::fs::read(&file)?;
        let mut decoder = mjpeg::Decoder::default();
        let size = match decoder.decode(&bytes, &mut PlanesMut::of(&mut Picture::new(2, 2))) {
            Err(mjpeg::Error::Size { width, height }) => (width as u32, height as u32),
            other => other.map(|()| (2, 2))?,
        };
        let mut picture = Picture::new(size.0, size.1);
        let name = format!("{file}, {} bytes, {size:?}", bytes.len());
        measure(&name, || Ok(decoder.decode(&bytes, &mut PlanesMut::of(&mut picture))?))?;
    }
    Ok(())
}

fn measure(name: &str, mut work: impl FnMut() -> Result<(), Box<dyn Error>>) -> Result<(), Box<dyn Error>> {
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        work()?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let [p5, p50, p95] = [ROUNDS / 20, ROUNDS / 2, ROUNDS * 19 / 20].map(|rank| ms(times[rank]));
    println!("{name:40} p50 {p50:.3} ms, p5 {p5:.3} ms, p95 {p95:.3} ms");
    Ok(())
}
