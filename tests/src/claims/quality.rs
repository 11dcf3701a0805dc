//! One long call on loopback: its delays from the report, its pictures against their source by ffmpeg, its sound
//! against its source by STOI.
//!
//! The recorded pictures are matched with the source by capture number. The figure to compare with is the same source
//! through the same encoder settings and the decoder with nothing in between, on the very same pictures.

use std::{
    fs::File,
    io::{BufReader, BufWriter, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, ensure};
use visavis::{
    capture::video::{Reel, Y4mFile},
    pipeline::send::{Encoder, H264},
    stats::report::Report,
};
use visavis_codec::{Picture, h264, scene::Scene, y4m};
use visavis_proto::{time::Timestamp, units::Bitrate};

use crate::demo;

/// What to measure.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Pictures of both sides.
    pub video: PathBuf,
    /// Sound of both sides.
    pub audio: PathBuf,
    /// How long.
    pub seconds: u64,
    /// Thousand bits per second of pictures.
    pub kbps: u64,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// The call's report.
    pub report: Report,
    /// Per receiving person.
    pub sides: Vec<Side>,
}

/// One receiving person's pictures and sound.
#[derive(Debug)]
pub struct Side {
    /// Who received.
    pub name: &'static str,
    /// Pictures compared.
    pub pictures: usize,
    /// Mean SSIM (all planes, ffmpeg) of what was shown against the source.
    pub ssim_call: f64,
    /// The same of the same pictures, encoded and decoded with no network between.
    pub ssim_codec: f64,
    /// The least SSIM of any picture: one under a wrong number would stand out.
    pub lowest_ssim: f64,
    /// The most SSIM that one picture has less than the same picture with no network between: a torn one would stand out.
    pub largest_deficit: f64,
    /// Short-time objective intelligibility, 0 to 1.
    pub stoi: f64,
}

const FRAMES_PER_SECOND: u32 = 30;

/// Runs the call and the comparisons in `folder`.
///
/// # Errors
///
/// Whatever failed first.
pub fn run(plan: &Plan, folder: &Path, mut tell: impl FnMut(&str)) -> anyhow::Result<Outcome> {
    let kept = folder.join("kept");
    std::fs::create_dir_all(&kept)?;
    let call = demo::Plan {
        seconds: plan.seconds,
        video: Some(plan.video.clone()),
        audio: Some(plan.audio.clone()),
        client_flags: vec![format!("--video-rate={}", plan.kbps), format!("--fps={FRAMES_PER_SECOND}")],
        keep: Some(kept.clone()),
        windows: false,
    };
    let report = demo::run(&call, folder, &mut tell, |_| {})?.report;
    let mut sides = Vec::new();
    for name in ["alice", "bob"] {
        tell(&format!("comparing what {name} saw and heard with what was sent"));
        let recorded = kept.join(format!("{name}.y4m"));
        let captures = captures(&recorded)?;
        let reference = folder.join("reference.y4m");
        encode_without_network(plan, &captures, &reference)?;
        let of_call = ssim(plan, &captures, &recorded)?;
        let of_codec = ssim(plan, &captures, &reference)?;
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let lowest_ssim = of_call.iter().copied().fold(f64::INFINITY, f64::min);
        let deficits = of_codec.iter().zip(&of_call).map(|(codec, call)| codec - call);
        let largest_deficit = deficits.fold(f64::NEG_INFINITY, f64::max);
        let stoi = stoi(&plan.audio, &kept.join(format!("{name}.wav")), folder)?;
        sides.push(Side {
            name,
            pictures: captures.len(),
            ssim_call: mean(&of_call),
            ssim_codec: mean(&of_codec),
            lowest_ssim,
            largest_deficit,
            stoi,
        });
        std::fs::remove_file(&recorded)?;
    }
    Ok(Outcome { report, sides })
}

/// Ten seconds of the project's own scene at 1280x720, as a file.
///
/// # Errors
///
/// If the disk is full.
pub fn generated_clip(folder: &Path) -> anyhow::Result<PathBuf> {
    let path = folder.join("scene.y4m");
    let header = y4m::Header { width: 1_280, height: 720, rate: (FRAMES_PER_SECOND, 1) };
    let mut writer = y4m::Writer::new(BufWriter::new(File::create(&path)?), header)?;
    let mut scene = Scene::new(header.width, header.height, 1);
    let mut picture = Picture::new(header.width, header.height);
    for frame in 0..u64::from(10 * FRAMES_PER_SECOND) {
        scene.render(frame, &mut picture);
        writer.write(&picture)?;
    }
    writer.finish()?;
    Ok(path)
}

/// A few sentences, spoken by espeak-ng.
///
/// # Errors
///
/// If espeak-ng is not there.
pub fn spoken_clip(folder: &Path) -> anyhow::Result<PathBuf> {
    const SENTENCES: &str = "The birch canoe slid on the smooth planks. Glue the sheet to the dark blue background. \
        It is easy to tell the depth of a well. These days a chicken leg is a rare dish. Rice is often served in round \
        bowls. The juice of lemons makes fine punch.";
    let path = folder.join("speech.wav");
    let status = Command::new("espeak-ng")
        .arg("-w")
        .arg(&path)
        .arg(SENTENCES)
        .status()
        .context("espeak-ng is needed for this: cargo xtask setup installs it")?;
    ensure!(status.success(), "espeak-ng failed");
    Ok(path)
}

/// The capture numbers of a recording, in order.
fn captures(recorded: &Path) -> anyhow::Result<Vec<u32>> {
    let table = recorded.with_extension("y4m.csv");
    let text = std::fs::read_to_string(&table).with_context(|| format!("cannot read {}", table.display()))?;
    let captures: Result<Vec<u32>, _> =
        text.lines().skip(1).map(|line| line.split(',').next().unwrap_or_default().parse()).collect();
    let captures = captures.with_context(|| format!("{} is not a table of pictures", table.display()))?;
    ensure!(!captures.is_empty(), "nothing was recorded");
    Ok(captures)
}

/// Walks through the source as the sender did and hands each picture of `captures` to `act`.
fn replay(
    plan: &Plan,
    captures: &[u32],
    mut act: impl FnMut(u32, &Picture) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut source = Y4mFile::open(&plan.video)?;
    let mut picture = Picture::new(2, 2);
    let mut wanted = captures.iter().peekable();
    for number in 0.. {
        let Some(&&next) = wanted.peek() else { return Ok(()) };
        source.read(number, &mut picture)?;
        if next == number {
            wanted.next();
            act(number, &picture)?;
        }
    }
    Ok(())
}

/// The same pictures through the same encoder and decoder, as fast as they go.
fn encode_without_network(plan: &Plan, captures: &[u32], target: &Path) -> anyhow::Result<()> {
    let source = Y4mFile::open(&plan.video)?;
    let (width, height) = source.size();
    let rate = Bitrate::from_kbps(plan.kbps);
    let mut encoder = H264::new((width, height), f64::from(FRAMES_PER_SECOND), rate)?;
    let mut decoder = h264::Decoder::new()?;
    let header = y4m::Header { width, height, rate: (FRAMES_PER_SECOND, 1) };
    let mut writer = y4m::Writer::new(BufWriter::new(File::create(target)?), header)?;
    let mut decoded = Picture::new(2, 2);
    let mut coded = Vec::new();
    let mut first = true;
    replay(plan, captures, |number, picture| {
        let captured = Timestamp::from_micros(u64::from(number) * 1_000_000 / u64::from(FRAMES_PER_SECOND));
        encoder.encode(picture, captured, rate, std::mem::take(&mut first), &mut coded)?;
        ensure!(decoder.decode(&coded, &mut decoded)?, "picture {number} was not decoded");
        Ok(writer.write(&decoded)?)
    })?;
    writer.finish()?;
    Ok(())
}

/// SSIM (all planes) of each picture of a recording against the source pictures of `captures`, by ffmpeg.
fn ssim(plan: &Plan, captures: &[u32], recorded: &Path) -> anyhow::Result<Vec<f64>> {
    let per_frame = recorded.with_extension("ssim");
    let mut ffmpeg = Command::new("ffmpeg")
        .args(["-hide_banner", "-nostats", "-loglevel", "error", "-f", "yuv4mpegpipe", "-i", "-", "-i"])
        .arg(recorded)
        .arg("-lavfi")
        .arg(format!("ssim=stats_file={}", per_frame.display()))
        .args(["-f", "null", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .context("ffmpeg is needed for this: cargo xtask setup installs it")?;
    let input = ffmpeg.stdin.take().context("ffmpeg has no input")?;
    let reader = y4m::Reader::new(BufReader::new(File::open(&plan.video)?))?;
    // ffmpeg matches by time, so both have to say the same rate: the recording says what was measured.
    let rate = y4m::Reader::new(BufReader::new(File::open(recorded)?))?.header().rate;
    let header = y4m::Header { rate, ..reader.header() };
    let mut writer = y4m::Writer::new(BufWriter::new(input), header)?;
    replay(plan, captures, |_, picture| Ok(writer.write(picture)?))?;
    drop(writer.finish()?);
    ensure!(ffmpeg.wait()?.success(), "ffmpeg failed");
    let text = std::fs::read_to_string(&per_frame)?;
    let values: Vec<f64> = text
        .lines()
        .filter_map(|line| line.split_whitespace().find_map(|field| field.strip_prefix("All:")))
        .filter_map(|value| value.parse().ok())
        .collect();
    ensure!(values.len() == captures.len(), "ffmpeg compared {} of {} pictures", values.len(), captures.len());
    Ok(values)
}

/// STOI of a recording against its source, which was played over and over, by the pystoi library.
fn stoi(source: &Path, recorded: &Path, folder: &Path) -> anyhow::Result<f64> {
    let script = folder.join("stoi.py");
    File::create(&script)?.write_all(include_bytes!("stoi.py"))?;
    let python = std::env::var_os("VISAVIS_PYTHON").unwrap_or_else(|| "python3".into());
    let output = Command::new(python).arg(&script).arg(source).arg(recorded).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success(),
        "the sound could not be compared (python3 with numpy, scipy and pystoi is needed): {}",
        String::from_utf8_lossy(&output.stderr)
    );
    said.trim().parse().with_context(|| format!("{said:?} is not a number"))
}
