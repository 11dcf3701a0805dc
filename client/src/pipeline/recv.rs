//! From the network thread to the eye and the ear: `queue -> gate -> decode -> lip-sync -> sink`, and the same for
//! sound through its adaptive playout.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use tokio::sync::mpsc;
use visavis_codec::{
    Picture, h264,
    opus::{self, FRAME_SAMPLES, SAMPLE_RATE_HZ},
    stretch,
};
use visavis_proto::{
    ids::FrameNumber,
    media::{
        gate::{Admission, RecoveryRequest, ReferenceGate},
        lipsync,
        playout::{self, AudioPlayout, Step, Stretch},
        reassemble::LostFrames,
    },
    time::Timestamp,
    wire::media::FrameHeader,
};

use super::control::SendControl;
use crate::{
    capture::sound::Block,
    clock::Clock,
    playback::{PictureSink, Shown, SoundSink, Want},
    stats::{
        self, Open,
        record::{Counter, Drop, Fate, Note},
    },
};

/// Pictures between the network thread and the decoder: half a second, for a keyframe of a decoder that is starting.
pub const PICTURES_TO_DECODE: usize = 16;

/// Blocks of sound between the network thread and the sound thread: more than playout ever buffers.
pub const SOUND_TO_DECODE: usize = 128;

/// Pleas for a recovery point on their way to the network thread; the gate repeats what finds no room.
pub const PLEAS: usize = 4;

/// Decoded pictures that wait for their sound: the longest hold at 60 frames per second.
const HELD_PICTURES: usize = 10;

/// A whole, opened frame.
#[derive(Debug)]
pub struct IncomingFrame {
    /// As it came.
    pub header: FrameHeader,
    /// The coded bytes.
    pub payload: Vec<u8>,
    /// Its stage times so far, and what becomes of it.
    pub record: Open,
}

impl IncomingFrame {
    /// When it was captured, by this device's clock.
    pub fn captured(&self) -> Timestamp {
        Timestamp::from_nanos(self.record.captured_ns.unwrap_or_default())
    }
}

/// What the decoder's queue carries.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "nearly every item is a picture; the queue holds sixteen")]
pub enum ToDecode {
    /// A picture.
    Frame(IncomingFrame),
    /// Pictures that will not come.
    Lost(LostFrames),
}

/// Decodes pictures. A seam: H.264, or a model of it in a simulated world.
pub trait Decoder: Send {
    /// What it reads, by the name that people know.
    fn codec(&self) -> &'static str;

    /// Decodes one frame into `out`. Answers how long a model of a decoder wants to have taken (zero for a real one),
    /// or `None` if the frame gave no picture.
    ///
    /// # Errors
    ///
    /// What the decoder says; it goes on with the next recovery point.
    fn decode(&mut self, payload: &[u8], out: &mut Picture) -> Result<Option<Duration>, h264::Error>;
}

impl Decoder for h264::Decoder {
    fn codec(&self) -> &'static str {
        h264::NAME
    }

    fn decode(&mut self, payload: &[u8], out: &mut Picture) -> Result<Option<Duration>, h264::Error> {
        Self::decode(self, payload, out).map(|picture| picture.then_some(Duration::ZERO))
    }
}

/// The delay of the sound that plays now, capture to speaker; the sound stage writes, the picture stage reads.
#[derive(Debug, Clone)]
pub struct SoundDelay(Arc<AtomicI64>);

impl SoundDelay {
    const SILENT: i64 = i64::MIN;

    fn set(&self, nanos: Option<i64>) {
        self.0.store(nanos.unwrap_or(Self::SILENT), Ordering::Relaxed);
    }

    fn get(&self) -> Option<i64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|&nanos| nanos != Self::SILENT)
    }
}

/// Nothing sounds yet.
impl Default for SoundDelay {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(Self::SILENT)))
    }
}

/// Everything the picture stage needs.
pub struct PictureStage {
    /// Whole frames and losses.
    pub queue: mpsc::Receiver<ToDecode>,
    /// The decoder.
    pub decoder: Box<dyn Decoder>,
    /// The eye.
    pub sink: Box<dyn PictureSink>,
    /// What the ear hears.
    pub sound_delay: SoundDelay,
    /// Pleas for a recovery point, to the network thread.
    pub recover: mpsc::Sender<RecoveryRequest>,
    /// Time.
    pub clock: Clock,
}

/// A decoded picture that waits for its sound.
struct Held {
    at: Timestamp,
    picture: Picture,
    record: Open,
}

/// Decodes and shows until the network side is gone. What waits for its sound then is not shown any more.
pub async fn decode_pictures(mut stage: PictureStage) {
    let mut gate = ReferenceGate::new();
    let mut held: VecDeque<Held> = VecDeque::new();
    let mut spare = Picture::new(2, 2);
    loop {
        let due = [held.front().map(|first| first.at), gate.poll_timeout()].into_iter().flatten().min();
        let wait = due.map_or(Duration::from_secs(1), |at| stage.clock.until(at));
        tokio::select! {
            biased; // a picture whose time has come is shown before another is decoded
            () = tokio::time::sleep(wait), if due.is_some() => {}
            item = stage.queue.recv() => match item {
                None => return,
                Some(ToDecode::Lost(lost)) => gate.lost(&lost),
                Some(ToDecode::Frame(frame)) => {
                    if let Some(decoded) = stage.decode(frame, &mut gate, &mut spare).await {
                        held.push_back(decoded);
                    }
                }
            },
        }
        let now = stage.clock.now();
        while held.front().is_some_and(|first| first.at <= now || held.len() > HELD_PICTURES) {
            if let Some(first) = held.pop_front() {
                spare = stage.show(first);
            }
        }
        if let Some(request) = gate.needs_recovery(now) {
            // A full queue means that the plea before this one has not left either.
            let _ = stage.recover.try_send(request);
        }
    }
}

impl PictureStage {
    async fn decode(&mut self, frame: IncomingFrame, gate: &mut ReferenceGate, spare: &mut Picture) -> Option<Held> {
        let captured = frame.captured();
        let IncomingFrame { header, payload, mut record } = frame;
        match gate.admit(&header) {
            Admission::Decode => {}
            Admission::MissingReference(_) => {
                record.end(Fate::Dropped(Drop::ReferenceMissing));
                return None;
            }
            Admission::AlreadyPassed => {
                record.end(Fate::Dropped(Drop::Late));
                return None;
            }
        }
        let mut picture = std::mem::replace(spare, Picture::new(2, 2));
        let result = self.decoder.decode(&payload, &mut picture);
        let Ok(Some(simulated)) = result else {
            if let Err(error) = result {
                tracing::warn!(%error, frame = header.number.0, "a picture could not be decoded");
            }
            gate.failed(header.number);
            record.end(Fate::Dropped(Drop::DecodeFailed));
            *spare = picture;
            return None;
        };
        if !simulated.is_zero() {
            tokio::time::sleep(simulated).await;
        }
        gate.decoded(header.number);
        let decoded = self.clock.now();
        let at = lipsync::present(self.sound_delay.get(), captured, decoded).at;
        record.decoded_ns = Some(decoded.as_nanos());
        (record.width, record.height) = (picture.width, picture.height);
        Some(Held { at, picture, record })
    }

    /// Hands a picture to the eye, which gives one back, to be drawn over.
    fn show(&mut self, held: Held) -> Picture {
        let Held { picture, record, .. } = held;
        let about = Shown {
            capture: record.capture.unwrap_or_default(),
            frame: record.frame.unwrap_or_default(),
            captured: Timestamp::from_nanos(record.captured_ns.unwrap_or_default()),
            presented: self.clock.now(),
        };
        self.sink.show(picture, about, record)
    }
}

/// Everything the sound stage needs.
pub struct SoundStage {
    /// Whole frames.
    pub queue: mpsc::Receiver<IncomingFrame>,
    /// The decoder.
    pub decoder: opus::Decoder,
    /// The ear.
    pub sink: Box<dyn SoundSink>,
    /// Tells the picture stage.
    pub sound_delay: SoundDelay,
    /// Whether the call is live: before, there is nothing to hear.
    pub control: SendControl,
    /// Time.
    pub clock: Clock,
    /// Where it is told how much had to be invented.
    pub stats: stats::Sender,
}

/// Sound between arrival and ear: the records of frames that wait in the playout, and samples that are decoded.
#[derive(Default)]
struct Decoded {
    samples: VecDeque<i16>,
    /// Where in `samples` a frame begins, counted from the front, and its record.
    marks: VecDeque<(usize, Open)>,
    /// Records of frames that the playout holds; at most [`SOUND_TO_DECODE`], beyond it the oldest is dropped.
    waiting: BTreeMap<FrameNumber, Open>,
    /// The last frame that was taken from the playout.
    played: Option<FrameNumber>,
}

/// Plays 10 ms whenever the ear wants them, until the network side is gone. What waits for its turn then is not played
/// any more.
pub async fn play_sound(mut stage: SoundStage) {
    let mut playout = AudioPlayout::new();
    let mut decoded = Decoded::default();
    let mut told = playout.stats();
    while stage.until_wanted(&mut playout, &mut decoded).await {
        while decoded.samples.len() < FRAME_SAMPLES {
            stage.decode_block(&mut playout, &mut decoded);
        }
        let block: Block = std::array::from_fn(|_| decoded.samples.pop_front().unwrap_or_default());
        let now = stage.clock.now();
        let heard = stage.sink.play(stage.control.is_live().then_some(&block), now);
        decoded.advance(heard);
        stage.sound_delay.set(playout.delay_nanos().map(|delay| delay + heard.nanos_from(now)));
        let stats = playout.stats();
        if stats.played + stats.concealed + stats.fec_recovered
            >= told.played + told.concealed + told.fec_recovered + 50
        {
            stage.tell(&mut told, stats);
        }
    }
    stage.tell(&mut told, playout.stats());
}

impl SoundStage {
    /// Hands what arrives to the playout until the ear wants a block. `false` once the network side is gone.
    async fn until_wanted(&mut self, playout: &mut AudioPlayout, decoded: &mut Decoded) -> bool {
        loop {
            let want = self.sink.poll(self.clock.now());
            let wait = async {
                if let Want::Wait(at) = want {
                    tokio::time::sleep_until(self.clock.instant(at)).await;
                }
            };
            tokio::select! {
                biased; // late frames are better than none, so the queue is emptied before a block is made
                frame = self.queue.recv() => match frame {
                    None => return false,
                    Some(frame) => {
                        let (number, captured) = (frame.header.number, frame.captured());
                        decoded.expect(number, frame.record);
                        playout.handle_frame(number, captured, self.clock.now(), frame.payload);
                    }
                },
                () = wait => if want == Want::Block {
                    return true;
                },
            }
        }
    }

    /// Tells what has happened since it was last told.
    fn tell(&self, told: &mut playout::Stats, stats: playout::Stats) {
        let before = std::mem::replace(told, stats);
        let since = |now: u64, before: u64| u32::try_from(now - before).unwrap_or(u32::MAX);
        self.stats.note(Note::Audio {
            played: since(stats.played, before.played),
            recovered: since(stats.fec_recovered, before.fec_recovered),
            concealed: since(stats.concealed, before.concealed),
        });
        let counts = [
            (Counter::SkippedSound, stats.skipped - before.skipped),
            (Counter::ShortenedSound, stats.accelerated - before.accelerated),
            (Counter::LengthenedSound, stats.expanded - before.expanded),
        ];
        for (what, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            self.stats.note(Note::Counted(what, count));
        }
    }

    /// Adds one block, or what is left of it after stretching, to the decoded samples.
    fn decode_block(&mut self, playout: &mut AudioPlayout, decoded: &mut Decoded) {
        let stretch = self.decode_frame(playout, decoded);
        if stretch == Stretch::None {
            return;
        }
        // Stretching looks at 24 ms; what the playout has already is decoded ahead for it.
        while decoded.samples.len() < stretch::NEEDED_SAMPLES && playout.buffered() > 0 {
            self.decode_frame(playout, decoded);
        }
        match stretch {
            Stretch::Accelerate => {
                let removed = stretch::accelerate(&mut decoded.samples);
                decoded.marks.iter_mut().for_each(|(at, _)| *at = at.saturating_sub(removed));
            }
            Stretch::Expand => {
                let added = stretch::expand(&mut decoded.samples);
                decoded.marks.iter_mut().filter(|(at, _)| *at > 0).for_each(|(at, _)| *at += added);
            }
            Stretch::None => {}
        }
    }

    fn decode_frame(&mut self, playout: &mut AudioPlayout, decoded: &mut Decoded) -> Stretch {
        let now = self.clock.now();
        let block = playout.next(now);
        let mut samples = [0; FRAME_SAMPLES];
        let result = match &block.step {
            Step::Play { payload, .. } => self.decoder.decode(payload, &mut samples),
            Step::PlayWithFecOf { next_payload, .. } => self.decoder.decode_fec(next_payload, &mut samples),
            Step::Conceal => self.decoder.conceal(&mut samples),
            Step::Silence => Ok(()),
        };
        if let Err(error) = &result {
            tracing::warn!(%error, "a block of sound could not be decoded");
        }
        if let Step::Play { number, .. } = block.step
            && let Some(mut record) = decoded.take(number)
        {
            if result.is_ok() {
                record.decoded_ns = Some(now.as_nanos());
                decoded.marks.push_back((decoded.samples.len(), record));
            } else {
                record.end(Fate::Dropped(Drop::DecodeFailed));
            }
        }
        decoded.samples.extend(samples);
        block.stretch
    }
}

impl Decoded {
    /// A frame goes into the playout; its record waits here.
    fn expect(&mut self, number: FrameNumber, record: Open) {
        if self.played.is_some_and(|played| number <= played) {
            return record.end(Fate::Dropped(Drop::Late));
        }
        self.waiting.insert(number, record);
        if self.waiting.len() > SOUND_TO_DECODE
            && let Some((_, oldest)) = self.waiting.pop_first()
        {
            oldest.end(Fate::Dropped(Drop::Overflow));
        }
    }

    /// A frame comes out of the playout: those before it never will.
    fn take(&mut self, number: FrameNumber) -> Option<Open> {
        self.played = Some(number);
        let later = self.waiting.split_off(&number);
        for (_, passed) in std::mem::replace(&mut self.waiting, later) {
            passed.end(Fate::Dropped(Drop::Late));
        }
        self.waiting.remove(&number)
    }

    /// The next 10 ms are heard at `first`: the frames that begin in them are, each from its first sample.
    fn advance(&mut self, first: Timestamp) {
        while let Some((at, mut record)) = self.marks.pop_front_if(|(at, _)| *at < FRAME_SAMPLES) {
            let heard = first + Duration::from_nanos(at as u64 * 1_000_000_000 / u64::from(SAMPLE_RATE_HZ));
            record.presented_ns = Some(heard.as_nanos());
            record.end(Fate::Shown);
        }
        self.marks.iter_mut().for_each(|(at, _)| *at -= FRAME_SAMPLES);
    }
}

#[cfg(test)]
mod tests;
