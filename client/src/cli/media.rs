//! What the commands of a call share: sources, sinks, rates, reports.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use visavis_codec::h264;
use visavis_proto::{units::Bitrate, wire::control::MAX_STREAMS};

use crate::{
    call::{Camera, Microphone, Options, Stages},
    capture::{sound, video},
    chan::failures::{Failures, failures},
    clock::Clock,
    net::media::Ports,
    playback::{
        Nowhere, PictureSink, SoundSink,
        record::{self, Recording},
    },
    sentence::explain,
    stats::{self, run::Running},
};

#[derive(Debug, Clone, clap::Args)]
// clap names a group after its type, and the commands' own arguments have the same name.
#[group(id = "media")]
pub struct Arguments {
    /// Send this y4m file, forwards then backwards, over and over; a generated scene otherwise.
    #[arg(long, value_name = "FILE.y4m")]
    video: Option<PathBuf>,

    /// Send no pictures.
    #[arg(long, conflicts_with = "video")]
    no_video: bool,

    /// Size of the generated scene.
    #[arg(long, value_name = "WIDTHxHEIGHT", default_value = "1280x720", value_parser = parse_size)]
    size: (u32, u32),

    /// Pictures per second.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=60))]
    fps: u32,

    /// Thousand bits per second of pictures.
    #[arg(long, value_name = "KBPS", default_value_t = 2_500, value_parser = clap::value_parser!(u64).range(50..=50_000))]
    video_rate: u64,

    /// Send this wav file, over and over; generated speech-like sound otherwise.
    #[arg(long, value_name = "FILE.wav")]
    audio: Option<PathBuf>,

    /// Send no sound.
    #[arg(long, conflicts_with = "audio")]
    no_audio: bool,

    /// Thousand bits per second of sound.
    #[arg(long, value_name = "KBPS", default_value_t = 48, value_parser = clap::value_parser!(u64).range(6..=510))]
    audio_rate: u64,

    /// Record the pictures that come from the moment the call is live; frame numbers and times go to FILE.y4m.csv.
    #[arg(long, value_name = "FILE.y4m")]
    record_video: Option<PathBuf>,

    /// Record the sound that comes from the moment the call is live; when that was goes to FILE.wav.csv.
    #[arg(long, value_name = "FILE.wav")]
    record_audio: Option<PathBuf>,

    /// Write one JSON line a frame: its stage times and its fate; the last line counts what tells of trouble.
    #[arg(long, value_name = "FILE.jsonl")]
    stats: Option<PathBuf>,

    /// Write the call report.
    #[arg(long, value_name = "FILE.json")]
    report: Option<PathBuf>,

    /// Hang up after this many seconds.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub duration: Option<u64>,

    /// Print the live figures as JSON lines to standard output, for programs.
    #[arg(long, hide = true)]
    pub live_json: bool,
}

/// A call's media, ready before it rings.
pub struct Prepared {
    /// Threads.
    pub stages: Stages,
    /// For the network thread.
    pub ports: Ports,
    /// Statistics and recordings.
    pub rest: Rest,
}

/// What outlives the call's threads.
pub struct Rest {
    recordings: Vec<Recording>,
    /// The collector.
    pub collector: Running,
    /// What goes wrong with recordings and statistics while the call lasts.
    pub failures: Failures,
    clock: Clock,
}

impl Arguments {
    /// Opens every file, so that a wrong one is told before anybody's telephone rings.
    pub fn prepare(&self, clock: Clock, seed: u64) -> anyhow::Result<Prepared> {
        let pictures: Option<Box<dyn video::Source>> = match &self.video {
            _ if self.no_video => None,
            Some(path) => Some(Box::new(video::Y4mFile::open(path)?)),
            None => Some(Box::new(video::Generated::new(self.size.0, self.size.1, seed))),
        };
        let sound: Option<Box<dyn sound::Source>> = match &self.audio {
            _ if self.no_audio => None,
            Some(path) => Some(Box::new(sound::WavFile::open(path)?)),
            None => Some(Box::new(sound::Generated::new(seed))),
        };
        let (reporter, failures) = failures();
        let mut recordings = Vec::new();
        let picture_sink: Box<dyn PictureSink> = match &self.record_video {
            None => Box::new(Nowhere),
            Some(path) => {
                let (sink, recording) = record::video(path, self.fps, reporter.clone())?;
                recordings.push(recording);
                Box::new(sink)
            }
        };
        let sound_sink: Box<dyn SoundSink> = match &self.record_audio {
            None => Box::new(Nowhere),
            Some(path) => {
                let (sink, recording) = record::sound(path, reporter.clone())?;
                recordings.push(recording);
                Box::new(sink)
            }
        };
        if let Some(path) = &self.report {
            // Made now and filled at the end, so that an unwritable place is told before the call.
            std::fs::write(path, b"").with_context(|| unwritable(path))?;
        }
        let (sender, queue) = stats::channel();
        let collector = stats::run::start(queue, clock, self.stats.as_deref(), reporter)?;
        let video_rate = Bitrate::from_kbps(self.video_rate);
        let camera = pictures.map(|source| Camera::h264(source, f64::from(self.fps), video_rate)).transpose()?;
        let microphone = sound.map(|source| Microphone { source, rate: Bitrate::from_kbps(self.audio_rate) });
        let decoder = Box::new(h264::Decoder::new()?);
        let options = Options { camera, microphone, video_rate, decoder, picture_sink, sound_sink };
        let (stages, ports) = Stages::start(options, clock, &sender)?;
        debug_assert!(ports.offers.len() <= MAX_STREAMS);
        Ok(Prepared { stages, ports, rest: Rest { recordings, collector, failures, clock } })
    }

    /// The time after which to hang up.
    pub fn limit(&self) -> Option<Duration> {
        self.duration.map(Duration::from_secs)
    }

    /// Closes the recordings and writes the report, each whether or not the others could be written. Call it once the
    /// stages are gone.
    pub fn conclude(&self, rest: Rest) -> anyhow::Result<()> {
        let mut failed = Vec::new();
        for recording in rest.recordings {
            failed.extend(recording.finish().err().map(anyhow::Error::from));
        }
        let (mut collector, lines) = rest.collector.finish()?;
        failed.extend(lines.err().map(anyhow::Error::from));
        if let Some(path) = &self.report {
            let report = collector.report(rest.clock.now(), "visavis");
            let text = serde_json::to_string_pretty(&report)?;
            failed.extend(std::fs::write(path, text + "\n").with_context(|| unwritable(path)).err());
        }
        if failed.is_empty() {
            return Ok(());
        }
        let failed: Vec<String> = failed.iter().map(explain).collect();
        anyhow::bail!("not everything was written: {}", failed.join("; "))
    }
}

fn unwritable(path: &Path) -> String {
    format!("cannot write the report to {}: check that the folder exists, is writable and has room", path.display())
}

/// A size such as 1280x720.
pub fn parse_size(text: &str) -> Result<(u32, u32), String> {
    let wrong = || format!("{text:?} is not a size such as 1280x720, from 16x16 to 1920x1080");
    let (width, height) = text.split_once('x').ok_or_else(wrong)?;
    let size = (width.parse().map_err(|_| wrong())?, height.parse().map_err(|_| wrong())?);
    if (16..=1_920).contains(&size.0) && (16..=1_080).contains(&size.1) { Ok(size) } else { Err(wrong()) }
}
