//! One call's stages as tasks: the client's own, with models in place of camera, H.264 and screen, and real Opus.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use visavis::{
    call,
    capture::{sound, video},
    clock::Clock,
    net::media::Ports,
    playback::Silent,
    stats::{
        self, Item, Queue,
        collector::{Collector, Live},
        record::FrameRecord,
        report::Direction,
    },
};
use visavis_proto::{time::Timestamp, units::Bitrate};

use super::{
    codec::{Findings, ModelDecoder, ModelEncoder, ModelEye, ModelSource, Proof},
    log::{Entry, Log},
    net::{Arrival, Site},
    time::Timeline,
};

/// What everybody in a world sends.
#[derive(Debug, Clone, Copy)]
pub struct Media {
    /// Pictures per second; 0 sends none.
    pub frames_per_second: f64,
    /// Bits per second of pictures.
    pub video_rate: Bitrate,
    /// Bits per second of sound; `None` sends none.
    pub sound_rate: Option<Bitrate>,
}

impl Default for Media {
    fn default() -> Self {
        Self {
            frames_per_second: 30.0,
            video_rate: Bitrate::from_kbps(2_500),
            sound_rate: Some(Bitrate::from_kbps(32)),
        }
    }
}

/// What one person saw and heard of one call.
#[derive(Debug, Clone)]
pub struct Figures {
    /// The direction towards this person.
    pub direction: Direction,
    /// Accept, or learning of it, to the first decoded picture.
    pub first_picture_ms: Option<f64>,
    /// Length of the call.
    pub seconds: f64,
    /// The decoder's findings.
    pub findings: Findings,
    /// Every frame of both directions that this end accounted for.
    pub records: Vec<FrameRecord>,
}

/// A call's books; filled by a task while it lasts.
#[derive(Debug, Clone, Default)]
pub struct Books {
    proof: Proof,
    sums: Arc<Mutex<(Collector, Vec<FrameRecord>)>>,
}

impl Books {
    /// The figures up to `now`, by the clock of whose books these are.
    pub fn figures(&self, now: Timestamp) -> Figures {
        let mut sums = self.lock();
        let mut report = sums.0.report(now, "simulated");
        Figures {
            direction: report.directions.remove(0),
            first_picture_ms: report.accept_to_first_picture_ms,
            seconds: report.seconds,
            findings: self.proof.findings(),
            records: sums.1.clone(),
        }
    }

    /// The live figures up to `now` of the time `since` this was asked last; `None` before the call is live.
    pub fn live(&self, now: Timestamp, since: Duration) -> Option<Live> {
        self.lock().0.live(now, since)
    }

    fn lock(&self) -> MutexGuard<'_, (Collector, Vec<FrameRecord>)> {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whose stages these are.
pub struct Whose {
    /// Their site.
    pub site: Site,
    /// Their clock.
    pub clock: Clock,
    /// Decides sizes and sounds.
    pub seed: u64,
    /// The world's log.
    pub log: Arc<Log>,
    /// The world's time.
    pub timeline: Arc<Timeline<Arrival>>,
}

/// Starts every stage of a call. They end as their queues close, when the call does.
///
/// # Errors
///
/// libopus refuses.
pub fn start(media: Media, whose: Whose) -> anyhow::Result<(Ports, Books)> {
    let Whose { site, clock, seed, log, timeline } = whose;
    let books = Books::default();
    let (stats, records) = stats::channel();
    let rate = media.frames_per_second;
    let options = call::Options {
        camera: (rate > 0.0).then(|| call::Camera {
            source: Box::new(video::Paced { reel: Box::new(ModelSource), frames_per_second: rate }),
            encoder: Box::new(ModelEncoder::new(rate, seed)),
            preview: None,
        }),
        microphone: media
            .sound_rate
            .map(|rate| call::Microphone { source: Box::new(sound::Generated::new(seed)), rate }),
        video_rate: media.video_rate,
        decoder: Box::new(ModelDecoder::new(books.proof.clone())),
        picture_sink: Box::new(ModelEye::new(books.proof.clone())),
        sound_sink: Box::<Silent>::default(),
    };
    let (parts, ports) = call::wire(options, clock, &stats)?;
    for part in parts {
        tokio::spawn(part.run);
    }
    tokio::spawn(keep(records, books.clone(), site, log, timeline));
    Ok((ports, books))
}

/// Enters every record into the books and the log.
async fn keep(mut records: Queue, books: Books, site: Site, log: Arc<Log>, timeline: Arc<Timeline<Arrival>>) {
    while let Some(item) = records.recv().await {
        match item {
            Item::Frame(record) => {
                log.add(timeline.now(), Entry::Frame(site, record.clone()));
                let mut sums = books.lock();
                // Only a writer of lines could fail, and there is none.
                let _ = sums.0.record(&record, None);
                sums.1.push(record);
            }
            Item::Note(note) => {
                log.add(timeline.now(), Entry::Script(format!("{} {note:?}", site.0)));
                books.lock().0.note(note);
            }
        }
    }
}
