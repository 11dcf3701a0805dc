//! From the camera to the network thread: `captured -> gate -> encode -> queue`, and the same for sound.

use std::time::Duration;

use tokio::sync::mpsc::{self, error::TrySendError};
use visavis_codec::{
    Picture, h264,
    opus::{self, FRAME_SAMPLES, SAMPLE_RATE_HZ},
};
use visavis_proto::{
    ids::FrameNumber, time::Timestamp, units::Bitrate, wire::control::StreamKind, wire::media::References,
};

use super::control::SendControl;
use crate::{
    capture::{
        sound::{self, Next},
        video::{Captured, Pool},
    },
    chan::latest,
    clock::Clock,
    stats::{
        self, Open,
        record::{Drop, Fate, FrameRecord, Media, Side},
    },
};

/// Pictures between the encoder and the network thread: one that leaves and one that waits. More would be delay.
pub const ENCODED_PICTURES: usize = 2;

/// Blocks of sound between the encoder and the network thread: 80 ms, for a network thread that was not scheduled.
pub const ENCODED_SOUND: usize = 8;

/// The sender's index of its microphone.
pub const MICROPHONE: u8 = 0;

/// The sender's index of its camera.
pub const CAMERA: u8 = 1;

/// One encoded frame on its way to the network thread.
#[derive(Debug)]
pub struct EncodedFrame {
    /// Sound or picture.
    pub media: Media,
    /// The sender's index of the stream.
    pub stream_index: u8,
    /// Count of encoded frames of the stream.
    pub number: FrameNumber,
    /// Decodes on its own.
    pub key: bool,
    /// No later frame refers to it.
    pub discardable: bool,
    /// Temporal layer.
    pub layer: u8,
    /// What it refers to.
    pub references: References,
    /// Count of captured frames.
    pub capture_number: u32,
    /// When it was captured, by this device's clock; for sound its first sample, the codec's look-ahead included.
    pub captured: Timestamp,
    /// When it was encoded.
    pub encoded: Timestamp,
    /// The coded bytes.
    pub payload: Vec<u8>,
    /// What becomes of it.
    pub record: Open,
}

/// What is known of a freshly encoded picture.
#[derive(Debug, Clone, Copy)]
pub struct EncodedPicture {
    /// Decodes on its own.
    pub key: bool,
    /// No later frame refers to it.
    pub discardable: bool,
    /// Temporal layer.
    pub layer: u8,
    /// What it refers to.
    pub references: References,
    /// Time that a model of an encoder wants to have taken; zero for an encoder that took it.
    pub simulated: Duration,
}

/// Encodes pictures. A seam: H.264, or a model of it in a simulated world.
pub trait Encoder: Send {
    /// What it makes, by the name that people know.
    fn codec(&self) -> &'static str;

    /// Encodes one picture into `out`, aiming at `target`.
    ///
    /// # Errors
    ///
    /// A sentence for the log; the picture is then dropped and the next one is a keyframe.
    fn encode(
        &mut self,
        picture: &Picture,
        captured: Timestamp,
        target: Bitrate,
        keyframe: bool,
        out: &mut Vec<u8>,
    ) -> Result<EncodedPicture, h264::Error>;
}

/// openh264 behind the seam. Follows the size of the pictures: another one takes a new encoder, and so a keyframe.
pub struct H264 {
    encoder: h264::Encoder,
    config: h264::EncoderConfig,
}

impl H264 {
    /// An encoder for pictures that are `size` at first, at about `frames_per_second`.
    ///
    /// # Errors
    ///
    /// If openh264 refuses the size.
    pub fn new(size: (u32, u32), frames_per_second: f64, target: Bitrate) -> Result<Self, h264::Error> {
        let config = h264::EncoderConfig {
            width: size.0,
            height: size.1,
            frames_per_second: frames_per_second as f32,
            bitrate_bps: bits_per_second(target),
            threads: ENCODER_THREADS,
        };
        Ok(Self { encoder: h264::Encoder::new(config)?, config })
    }

    /// Makes the encoder one for this size and rate, if it is not already.
    fn follow(&mut self, size: (u32, u32), target: Bitrate) -> Result<(), h264::Error> {
        let config = h264::EncoderConfig {
            width: size.0,
            height: size.1,
            bitrate_bps: bits_per_second(target),
            ..self.config
        };
        if size != (self.config.width, self.config.height) {
            tracing::info!(?size, "pictures come in another size");
            self.encoder = h264::Encoder::new(config)?;
        } else if config.bitrate_bps != self.config.bitrate_bps {
            self.encoder.set_bitrate(config.bitrate_bps);
        }
        self.config = config;
        Ok(())
    }
}

/// One: a second thread saves less than it costs when two calls' ends share two cores, and it splits the picture into
/// slices, which costs bits.
const ENCODER_THREADS: u16 = 1;

impl Encoder for H264 {
    fn codec(&self) -> &'static str {
        h264::NAME
    }

    fn encode(
        &mut self,
        picture: &Picture,
        captured: Timestamp,
        target: Bitrate,
        keyframe: bool,
        out: &mut Vec<u8>,
    ) -> Result<EncodedPicture, h264::Error> {
        self.follow((picture.width, picture.height), target)?;
        let request = h264::FrameRequest { keyframe, qp: None, timestamp_us: captured.as_micros() };
        let info = self.encoder.encode(picture, request, out)?;
        Ok(EncodedPicture {
            key: info.keyframe,
            discardable: info.discardable,
            layer: info.temporal_layer,
            references: References::from_distances(info.references.distances()).unwrap_or_default(),
            simulated: Duration::ZERO,
        })
    }
}

/// Everything the picture stage needs.
pub struct PictureStage {
    /// Where pictures come from.
    pub cell: latest::Reader<Captured>,
    /// Where used pictures go.
    pub pool: Pool,
    /// The encoder.
    pub encoder: Box<dyn Encoder>,
    /// The network side's wishes.
    pub control: SendControl,
    /// Time.
    pub clock: Clock,
    /// Where encoded frames go.
    pub queue: mpsc::Sender<EncodedFrame>,
}

/// Encodes the newest picture whenever the gate is open, until either end is gone.
pub async fn encode_pictures(mut stage: PictureStage) {
    let mut next = FrameNumber::default();
    let mut waiting: Option<Captured> = None;
    loop {
        tokio::select! {
            biased; // nothing is encoded for nobody, and the newest picture is taken before an older one is encoded
            () = stage.queue.closed() => return,
            newer = stage.cell.take() => {
                let Some(newer) = newer else { return };
                if let Some(older) = waiting.replace(newer) {
                    older.record.end(Fate::Dropped(Drop::NoBudget));
                    stage.pool.put(older.picture);
                }
            }
            permit = ready(&stage.control, &stage.queue), if waiting.is_some() => {
                let (Some(permit), Some(captured)) = (permit, waiting.take()) else { return };
                if !stage.control.accepted(captured.at) {
                    // It was waiting when the person accepted, and shows what was before: no part of the call.
                    drop(captured.record.unless_counted());
                    stage.pool.put(captured.picture);
                    continue;
                }
                if let Some(frame) = stage.encode(next, captured).await {
                    next = next.next();
                    permit.send(frame);
                }
            }
        }
    }
}

/// The gate is open and the queue has room. `None` once the network side is gone.
async fn ready(control: &SendControl, queue: &mpsc::Sender<EncodedFrame>) -> Option<mpsc::OwnedPermit<EncodedFrame>> {
    control.gate().await;
    queue.clone().reserve_owned().await.ok()
}

impl PictureStage {
    async fn encode(&mut self, number: FrameNumber, captured: Captured) -> Option<EncodedFrame> {
        let Captured { picture, number: capture_number, at, mut record } = captured;
        let (target, keyframe) = self.control.next_picture(at);
        let mut payload = Vec::new();
        let result = self.encoder.encode(&picture, at, target, keyframe, &mut payload);
        (record.width, record.height) = (picture.width, picture.height);
        self.pool.put(picture);
        let coded = match result {
            Ok(coded) => coded,
            Err(error) => {
                tracing::warn!(%error, capture = capture_number, "a picture could not be encoded");
                self.control.want_keyframe();
                record.end(Fate::Dropped(Drop::EncodeFailed));
                return None;
            }
        };
        // The picture that waited for the call is the call's first.
        record.count();
        if !coded.simulated.is_zero() {
            tokio::time::sleep(coded.simulated).await;
        }
        if coded.key {
            self.control.keyframe_coded(at);
        }
        let encoded = self.clock.now();
        record.frame = Some(number.0);
        record.encoded_ns = Some(encoded.as_nanos());
        (record.layer, record.key) = (coded.layer, coded.key);
        Some(EncodedFrame {
            media: Media::Video,
            stream_index: CAMERA,
            number,
            key: coded.key,
            discardable: coded.discardable,
            layer: coded.layer,
            references: coded.references,
            capture_number,
            captured: at,
            encoded,
            payload,
            record,
        })
    }
}

/// Everything the sound stage needs.
pub struct SoundStage {
    /// Where blocks come from.
    pub source: Box<dyn sound::Source>,
    /// The encoder.
    pub encoder: opus::Encoder,
    /// The network side's wishes.
    pub control: SendControl,
    /// Time.
    pub clock: Clock,
    /// Where encoded blocks go.
    pub queue: mpsc::Sender<EncodedFrame>,
    /// Where fates are told.
    pub stats: stats::Sender,
}

/// Encodes a block of 10 ms whenever the source has one, until the network side is gone. While nothing is sent, because
/// the call is not live yet or the microphone is muted, what comes is thrown away.
pub async fn encode_sound(mut stage: SoundStage) {
    let lookahead = stage.encoder.lookahead_samples().unwrap_or(0) as u64;
    let lookahead = Duration::from_nanos(lookahead * 1_000_000_000 / u64::from(SAMPLE_RATE_HZ));
    let mut block = [0; FRAME_SAMPLES];
    let mut packet = [0; MAX_OPUS_BYTES];
    let mut number = FrameNumber::default();
    for capture_number in 0.. {
        let captured = loop {
            match stage.source.poll(stage.clock.now(), &mut block) {
                Next::Block(captured) => break captured - lookahead,
                Next::Wait(at) => tokio::time::sleep_until(stage.clock.instant(at)).await,
            }
            if stage.queue.is_closed() {
                return;
            }
        };
        if !stage.control.sending_sound() {
            continue;
        }
        if !stage.control.accepted(captured) {
            continue;
        }
        let record = FrameRecord {
            capture: Some(capture_number),
            captured_ns: Some(captured.as_nanos()),
            ..FrameRecord::new(Side::Sender, Media::Audio, Fate::InFlight)
        };
        let mut record = Open::new(record, &stage.stats);
        let bytes = match stage.encoder.encode(&block, &mut packet) {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::warn!(%error, "a block of sound could not be encoded");
                record.end(Fate::Dropped(Drop::EncodeFailed));
                continue;
            }
        };
        let encoded = stage.clock.now();
        record.frame = Some(number.0);
        record.encoded_ns = Some(encoded.as_nanos());
        record.key = true;
        let frame = EncodedFrame {
            media: Media::Audio,
            stream_index: MICROPHONE,
            number,
            key: true,
            discardable: true,
            layer: 0,
            references: References::NONE,
            capture_number,
            captured,
            encoded,
            payload: packet[..bytes].to_vec(),
            record,
        };
        number = number.next();
        match stage.queue.try_send(frame) {
            Ok(()) => {}
            Err(TrySendError::Full(frame)) => frame.record.end(Fate::Dropped(Drop::SendQueueFull)),
            Err(TrySendError::Closed(_)) => return,
        }
    }
}

/// The largest packet that Opus makes of one frame (RFC 6716 section 3.2.1).
const MAX_OPUS_BYTES: usize = 1_275;

/// What a device that sends these offers to publish.
pub fn offers(sound: bool, pictures: bool) -> Vec<visavis_proto::wire::control::StreamOffer> {
    let offer = |index: u8, kind: StreamKind| visavis_proto::wire::control::StreamOffer {
        index: u32::from(index),
        kind: kind.into(),
    };
    [sound.then(|| offer(MICROPHONE, StreamKind::Microphone)), pictures.then(|| offer(CAMERA, StreamKind::Camera))]
        .into_iter()
        .flatten()
        .collect()
}

fn bits_per_second(rate: Bitrate) -> u32 {
    u32::try_from(rate.as_bps()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
