//! What the commands of a call share: sources, sinks, rates, reports.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use visavis_codec::h264;
use visavis_proto::{units::Bitrate, wire::control::MAX_STREAMS};

use super::cameras::Camera;
use super::sound::{Sound, chosen};
use crate::{
    call::{self, Microphone, Options, Stages},
    capture::{sound, video},
    chan::failures::{Failures, failures},
    clock::Clock,
    net::media::Ports,
    playback::{
        Nowhere, PictureSink, Silent, SoundSink,
        output::{self, Named},
        record::{self, Recording},
    },
    sentence::explain,
    sound::{Devices, Role, Switches, Tune},
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

    /// Send what a camera sees: the one of this name or id (see `visavis cameras`), or the first one.
    #[cfg(target_os = "linux")]
    #[arg(
        long,
        value_name = "NAME_OR_ID",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "",
        conflicts_with_all = ["video", "no_video"]
    )]
    camera: Option<String>,

    /// Size of the generated scene; of a camera, the largest.
    #[arg(long, value_name = "WIDTHxHEIGHT", default_value = "1280x720", value_parser = parse_size)]
    size: (u32, u32),

    /// Pictures per second, 1 to 60, instead of the y4m file's own rate; 30 of the generated scene, and the most of a camera.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=60))]
    fps: Option<u32>,

    /// Thousand bits per second of pictures.
    #[arg(long, value_name = "KBPS", default_value_t = 2_500, value_parser = clap::value_parser!(u64).range(50..=50_000))]
    video_rate: u64,

    /// Send this wav file, over and over; generated speech-like sound otherwise.
    #[arg(long, value_name = "FILE.wav")]
    audio: Option<PathBuf>,

    /// Send no sound.
    #[arg(long, conflicts_with = "audio")]
    no_audio: bool,

    /// Send what this microphone hears, without echo and noise; see visavis audio for its names.
    #[arg(
        long,
        value_name = "NAME",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "",
        conflicts_with_all = ["audio", "no_audio"]
    )]
    microphone: Option<String>,

    /// Send what the microphone hears as it is: with echo, noise and rumble, as loud as it comes.
    #[arg(long, requires = "microphone")]
    raw_microphone: bool,

    /// Thousand bits per second of sound.
    #[arg(long, value_name = "KBPS", default_value_t = 48, value_parser = clap::value_parser!(u64).range(6..=510))]
    audio_rate: u64,

    /// Play the sound that comes, and ring, through this speaker; see visavis audio for its names.
    #[arg(
        long,
        value_name = "NAME",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "",
        conflicts_with = "record_audio"
    )]
    speaker: Option<String>,

    /// Record the pictures that come from the moment the call is live; frame numbers and times go to FILE.y4m.csv. Like
    /// every file that is written, these are emptied when a call goes live, and stay as they are if none does.
    #[arg(long, value_name = "FILE.y4m")]
    record_video: Option<PathBuf>,

    /// Record the sound that comes from the moment the call is live; when that was goes to FILE.wav.csv.
    #[arg(long, value_name = "FILE.wav")]
    record_audio: Option<PathBuf>,

    /// Write one JSON line a frame: its stage times and its fate; the last line counts what tells of trouble.
    #[arg(long, value_name = "FILE.jsonl")]
    stats: Option<PathBuf>,

    /// Write the call report when the call has ended.
    #[arg(long, value_name = "FILE.json")]
    report: Option<PathBuf>,

    /// Hang up after this many seconds.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub duration: Option<u64>,

    /// Print the live figures as JSON lines to standard output, for programs.
    #[arg(long, hide = true)]
    pub live_json: bool,
}

/// What is to be sent, opened and checked.
pub struct Sources {
    pictures: Option<Pictures>,
    camera: Camera,
    sound: Option<Box<dyn sound::Source>>,
    devices: Option<Sound>,
}

/// A source of pictures, and how many a second.
type Pictures = (Box<dyn video::Source>, f64);

/// A call's media, ready before it is called or accepted.
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
    /// The camera; it is closed until [`Self::wake`].
    pub camera: Camera,
    /// The collector.
    pub collector: Running,
    /// What goes wrong with recordings and statistics while the call lasts.
    pub failures: Failures,
    /// Microphone and speaker, if they are used; they sleep until [`Self::wake`].
    pub devices: Option<Sound>,
    clock: Clock,
}

impl Rest {
    /// It begins to ring: the devices open.
    pub fn wake(&self) {
        self.camera.open();
        if let Some(sound) = &self.devices {
            sound.devices.sleep(false);
        }
    }

    /// Plays a tune, if there is a speaker to play it.
    pub fn ring(&self, tune: Option<Tune>) {
        if let Some(sound) = &self.devices {
            sound.ring(tune);
        }
    }
}

impl Arguments {
    /// Opens every file that is sent, and checks that every file can be written without touching one, so that a wrong one
    /// is told before anybody's telephone rings.
    pub fn open(&self, seed: u64, clock: Clock) -> anyhow::Result<Sources> {
        let (pictures, camera) = self.pictures(seed)?;
        let devices = self.devices(clock)?;
        let sound: Option<Box<dyn sound::Source>> = match &self.audio {
            _ if self.no_audio => None,
            _ if self.microphone.is_some() => devices.as_ref().map(|sound| sound.devices.microphone()),
            Some(path) => Some(Box::new(sound::WavFile::open(path)?)),
            None => Some(Box::new(sound::Generated::new(seed))),
        };
        let named = |(option, path): (&'static str, Option<&Path>)| path.map(|path| Named::new(option, path));
        let inputs = [("--video", self.video.as_deref()), ("--audio", self.audio.as_deref())];
        let tables = [&self.record_video, &self.record_audio].map(|path| path.as_deref().map(record::table));
        let outputs = [
            ("--record-video", self.record_video.as_deref()),
            ("the table beside --record-video", tables[0].as_deref()),
            ("--record-audio", self.record_audio.as_deref()),
            ("the table beside --record-audio", tables[1].as_deref()),
            ("--stats", self.stats.as_deref()),
            ("--report", self.report.as_deref()),
        ];
        let [inputs, outputs] =
            [&inputs[..], &outputs[..]].map(|files| files.iter().copied().filter_map(named).collect::<Vec<_>>());
        output::check(&inputs, &outputs)?;
        Ok(Sources { pictures, camera, sound, devices })
    }

    /// Starts encoders and whoever writes.
    pub fn prepare(&self, sources: Sources, clock: Clock) -> anyhow::Result<Prepared> {
        let Sources { pictures, camera, sound, devices } = sources;
        let (reporter, failures) = failures();
        let mut recordings = Vec::new();
        let picture_sink: Box<dyn PictureSink> = match &self.record_video {
            None => Box::new(Nowhere),
            Some(path) => {
                let (sink, recording) = record::video(path, reporter.clone())?;
                recordings.push(recording);
                Box::new(sink)
            }
        };
        let sound_sink: Box<dyn SoundSink> = match (&self.record_audio, &devices) {
            (None, Some(sound)) if self.speaker.is_some() => sound.devices.speaker(),
            (None, _) => Box::<Silent>::default(),
            (Some(path), _) => {
                let (sink, recording) = record::sound(path, reporter.clone())?;
                recordings.push(recording);
                Box::new(sink)
            }
        };
        let (sender, queue) = stats::channel();
        let collector = stats::run::start(queue, clock, self.stats.as_deref(), reporter)?;
        let video_rate = Bitrate::from_kbps(self.video_rate);
        let pictures = pictures.map(|(source, rate)| call::Camera::h264_of(source, rate, video_rate)).transpose()?;
        let microphone = sound.map(|source| Microphone { source, rate: Bitrate::from_kbps(self.audio_rate) });
        let decoder = Box::new(h264::Decoder::new()?);
        let options = Options { camera: pictures, microphone, video_rate, decoder, picture_sink, sound_sink };
        let (stages, ports) = Stages::start(options, clock, &sender)?;
        debug_assert!(ports.offers.len() <= MAX_STREAMS);
        Ok(Prepared { stages, ports, rest: Rest { recordings, camera, devices, collector, failures, clock } })
    }

    /// Where pictures come from, if any are sent, how many a second, and the camera if it is one.
    fn pictures(&self, seed: u64) -> anyhow::Result<(Option<Pictures>, Camera)> {
        #[cfg(target_os = "linux")]
        if let Some(name) = &self.camera {
            let rate = self.fps.map_or(GENERATED_RATE, f64::from);
            let (source, camera) = Camera::new(name, self.size, rate);
            return Ok((Some((Box::new(source), rate)), camera));
        }
        let (reel, rate): (Box<dyn video::Reel>, f64) = match &self.video {
            _ if self.no_video => return Ok((None, Camera::default())),
            Some(path) => {
                let file = video::Y4mFile::open(path)?;
                let rate = self.fps.map_or_else(|| file.frames_per_second(), |rate| Ok(f64::from(rate)))?;
                (Box::new(file), rate)
            }
            None => {
                let scene = video::Generated::new(self.size.0, self.size.1, seed);
                (Box::new(scene), self.fps.map_or(GENERATED_RATE, f64::from))
            }
        };
        let source = video::Paced { reel, frames_per_second: rate };
        Ok((Some((Box::new(source), rate)), Camera::default()))
    }

    /// The microphone and the speaker that were asked for. They sleep until somebody calls.
    fn devices(&self, clock: Clock) -> anyhow::Result<Option<Sound>> {
        if self.microphone.is_none() && self.speaker.is_none() {
            return Ok(None);
        }
        let devices = Devices::start(clock).context("the sound devices cannot be used")?;
        devices.sleep(true);
        devices.choose(Role::Microphone, chosen(self.microphone.as_deref()));
        for role in [Role::Speaker, Role::Tone] {
            devices.choose(role, chosen(self.speaker.as_deref()));
        }
        if self.raw_microphone {
            devices.switch(Switches::OFF);
        }
        Ok(Some(Sound::new(devices, self.speaker.is_some())))
    }

    /// The time after which to hang up.
    pub fn limit(&self) -> Option<Duration> {
        self.duration.map(Duration::from_secs)
    }

    /// Closes the recordings and writes the report, each whether or not the others could be written; nothing of a call that
    /// did not go live. Call it once the stages are gone.
    pub fn conclude(&self, rest: Rest) -> anyhow::Result<()> {
        let (mut collector, lines) = rest.collector.finish()?;
        let went_live = collector.went_live();
        let mut failed = Vec::new();
        for recording in rest.recordings {
            failed.extend(recording.finish(went_live).err().map(anyhow::Error::from));
        }
        failed.extend(lines.err().map(anyhow::Error::from));
        if let Some(path) = self.report.as_ref().filter(|_| went_live) {
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

/// Pictures per second of the generated scene.
const GENERATED_RATE: f64 = 30.0;

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
