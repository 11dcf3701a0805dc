//! The media of the call that is shown: its stages from the first ring to the end, and what they tell.

use std::path::{Path, PathBuf};

use tokio::sync::watch;
use visavis_codec::h264;
use visavis_proto::ids::CallId;

use super::{
    media::{Files, Maker},
    settings::Settings,
};
use crate::{
    call::{self, Stages},
    chan::failures::{Failures, failures},
    clock::Clock,
    net::media::Ports,
    pipeline::control::SendControl,
    sentence,
    stats::{self, collector::Live},
};

/// The media of one call.
pub(super) struct Media {
    /// Which.
    pub call: CallId,
    /// Its switches.
    pub control: SendControl,
    stages: Stages,
    /// Until the network thread has them.
    ports: Option<Ports>,
    collector: stats::run::Running,
    figures: watch::Receiver<Option<Live>>,
    failures: Failures,
    /// Where the report goes, if it is wanted.
    report: Option<PathBuf>,
}

/// What a call's media tell.
pub(super) enum News {
    Figures(Option<Box<Live>>),
    Failure(String),
}

impl Media {
    /// Gets encoders and devices ready. Also answers what keeps a device from being used, in sentences; the call goes on
    /// without that.
    ///
    /// # Errors
    ///
    /// If there is no codec or no thread.
    pub fn start(
        call: CallId,
        maker: &mut dyn Maker,
        settings: &Settings,
        clock: Clock,
    ) -> anyhow::Result<(Self, Vec<String>)> {
        let mut troubles = Vec::new();
        let mut told = |error: anyhow::Error| troubles.push(sentence::capitalised(&sentence::explain(&error)));
        let camera = maker.camera(settings).unwrap_or_else(|error| {
            told(error);
            None
        });
        let microphone = maker.microphone(settings).unwrap_or_else(|error| {
            told(error);
            None
        });
        let options = call::Options {
            camera,
            microphone,
            video_rate: settings.camera.video_rate(),
            decoder: Box::new(h264::Decoder::new()?),
            picture_sink: maker.screen(),
            sound_sink: maker.speaker(settings),
        };
        let (reporter, failures) = failures();
        let (sender, queue) = stats::channel();
        let Files { stats: lines, report } = maker.files();
        let collector = stats::run::start(queue, clock, lines.as_deref(), reporter)?;
        let (stages, ports) = Stages::start(options, clock, &sender)?;
        let (control, figures) = (ports.control.clone(), collector.live());
        Ok((Self { call, control, stages, ports: Some(ports), collector, figures, failures, report }, troubles))
    }

    /// The network thread's ends of the stages, once.
    pub fn take_ports(&mut self) -> Option<Ports> {
        self.ports.take()
    }

    /// The next thing that they tell. Cancel-safe.
    pub async fn news(&mut self) -> News {
        tokio::select! {
            biased; // what fails is told before figures
            text = self.failures.next() => News::Failure(text),
            Ok(()) = self.figures.changed() => News::Figures(self.figures.borrow_and_update().clone().map(Box::new)),
            else => std::future::pending().await,
        }
    }

    /// Lets go of devices and threads, and writes the report. Blocks until they have ended.
    pub fn finish(self, clock: Clock) {
        let Self { stages, ports, collector, report, .. } = self;
        drop(ports);
        stages.finish();
        if let Err(error) = conclude(collector, report.as_deref(), clock) {
            tracing::warn!("the call's figures are lost: {error:#}");
        }
    }
}

/// The call's last figures, and its report.
fn conclude(collector: stats::run::Running, report: Option<&Path>, clock: Clock) -> anyhow::Result<()> {
    let (mut collector, _told_when_it_happened) = collector.finish()?;
    if let Some(path) = report {
        let report = collector.report(clock.now(), "visavis");
        std::fs::write(path, serde_json::to_string_pretty(&report)? + "\n")?;
    }
    Ok(())
}
