//! `visavis` and `visavis LINK`: the window.

use std::{path::PathBuf, time::Duration};

use super::{claim, talk};
use crate::{
    app::{media::Files, settings::Settings},
    equipment::{
        self, Desk,
        plan::{Pictures, Plan, Voice},
    },
    profile,
    ui::{
        self,
        pilot::{Orders, Pilot},
    },
};

/// What is said about a LINK that is none.
const NO_LINK: &str = "it is neither a command nor an invite link (visavis://...): see visavis --help";

#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
#[group(id = "window")]
pub struct Arguments {
    /// An invite link, to join with in the window; `visavis` alone opens the window as well.
    #[arg(value_name = "LINK", value_parser = parse_link)]
    link: Option<String>,

    /// In the window's calls, show this y4m file instead of what the camera sees.
    #[arg(long, value_name = "FILE.y4m")]
    video: Option<PathBuf>,

    /// In the window's calls, say this wav file instead of what the microphone hears.
    #[arg(long, value_name = "FILE.wav")]
    audio: Option<PathBuf>,

    /// In the window's calls, use no devices: show a generated scene, say a generated voice, and play nothing.
    #[arg(long)]
    scene: bool,

    /// Size of the generated scene.
    #[arg(long, hide = true, value_name = "WIDTHxHEIGHT", default_value = "1280x720", value_parser = super::media::parse_size)]
    size: (u32, u32),

    /// Pictures per second of the file or the scene.
    #[arg(long, hide = true, value_parser = clap::value_parser!(u32).range(1..=60))]
    fps: Option<u32>,

    /// Write one JSON line a frame of the last call.
    #[arg(long, hide = true, value_name = "FILE.jsonl")]
    stats: Option<PathBuf>,

    /// Write the report of the last call.
    #[arg(long, hide = true, value_name = "FILE.json")]
    report: Option<PathBuf>,

    /// Call this person as soon as they can be reached.
    #[arg(long, hide = true, value_name = "NAME")]
    call: Option<String>,

    /// Take every call.
    #[arg(long, hide = true)]
    answer_automatically: bool,

    /// Hang up after this many seconds.
    #[arg(long, hide = true, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    duration: Option<u64>,

    /// Close the window when the first call is over.
    #[arg(long, hide = true)]
    leave_after_call: bool,

    /// Print what the window shows as JSON lines to standard output, for programs.
    #[arg(long, hide = true)]
    state_json: bool,
}

impl Arguments {
    /// Opens the window and stays until it is closed.
    pub fn run(self, folder: PathBuf) -> anyhow::Result<()> {
        // Its lock is there from the first start on: two windows must not join at once.
        profile::make_folder(&folder)?;
        let _alone = match claim(&folder) {
            Err(_) if ui::door::knock(&folder, self.link.as_deref()) => {
                println!("Visavis is open already: its window comes to the front.");
                return Ok(());
            }
            other => other?,
        };
        let seed = if self.answer_automatically { talk::CALLEE_SEED } else { talk::CALLER_SEED };
        let plan = Plan {
            pictures: match self.video {
                Some(path) => Pictures::File(path),
                None if self.scene => Pictures::Scene { size: self.size, seed },
                None => Pictures::Camera,
            },
            voice: match self.audio {
                Some(path) => Voice::File(path),
                None if self.scene => Voice::Scene(seed),
                None => Voice::Microphone,
            },
            aloud: !self.scene,
            frames_per_second: self.fps.map(f64::from),
            files: Files { stats: self.stats, report: self.report },
        };
        plan.verify()?;
        let orders = Orders {
            call: self.call,
            answer: self.answer_automatically,
            duration: self.duration.map(Duration::from_secs),
            leave: self.leave_after_call,
        };
        let pilot = Pilot::new(orders);
        let options = ui::Options { folder, link: self.link, pilot, tell: self.state_json };
        let equip = |settings: &Settings, desk: &Desk| equipment::equip(plan, settings, desk);
        Ok(ui::run(options, equip, talk::interrupted)?)
    }
}

/// As typed: the welcome screen shows it, and says what is wrong with it.
fn parse_link(text: &str) -> Result<String, String> {
    if text.starts_with("visavis:") { Ok(text.to_owned()) } else { Err(NO_LINK.to_owned()) }
}
