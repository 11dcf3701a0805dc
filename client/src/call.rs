//! One call's stages: their threads, and the queues between them and the network thread.

use std::{io, sync::Arc};

use tokio::sync::mpsc;
use visavis_codec::{h264, opus};
use visavis_proto::units::Bitrate;

use crate::{
    capture::{sound, video},
    chan::latest::latest,
    clock::Clock,
    net::media::Ports,
    pipeline::{
        control::SendControl,
        recv::{self, SoundDelay},
        send,
    },
    playback::{PictureSink, SoundSink},
    stats,
    thread::{Stage, Urgency},
};

/// What a person wants to send and to receive.
pub struct Options {
    /// Pictures to send, if any.
    pub pictures: Option<Box<dyn video::Source>>,
    /// Pictures per second.
    pub frames_per_second: f64,
    /// Sound to send, if any.
    pub sound: Option<Box<dyn sound::Source>>,
    /// Bits per second of pictures; stands in for the congestion controller.
    pub video_rate: Bitrate,
    /// Bits per second of sound.
    pub sound_rate: Bitrate,
    /// The eye.
    pub picture_sink: Box<dyn PictureSink>,
    /// The ear.
    pub sound_sink: Box<dyn SoundSink>,
}

/// Why a call's stages could not be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// openh264 refuses.
    #[error("video cannot be coded: {0}")]
    Video(#[from] h264::Error),
    /// libopus refuses.
    #[error("sound cannot be coded: {0}")]
    Sound(#[from] opus::Error),
    /// No thread.
    #[error("the system gives no more threads: {0}")]
    Thread(#[from] io::Error),
}

/// The running stages of a call. Dropping it stops them.
pub struct Stages {
    /// Sources first, so that they stop before what they feed.
    _sources: Vec<Stage>,
    receivers: Vec<Stage>,
    /// Switches and wishes.
    pub control: SendControl,
}

impl Stages {
    /// Builds encoders and decoders and starts every thread of a call, while it still rings: the first picture then
    /// follows the accept at once. Nothing is encoded before the network side says that the call is live.
    ///
    /// # Errors
    ///
    /// Any [`Error`].
    pub fn start(options: Options, clock: Clock, stats: &stats::Sender) -> Result<(Self, Ports), Error> {
        let control = SendControl::new(options.video_rate);
        let offers = send::offers(options.sound.is_some(), options.pictures.is_some());
        let (encoded_pictures, pictures) = mpsc::channel(send::ENCODED_PICTURES);
        let (encoded_sound, sound) = mpsc::channel(send::ENCODED_SOUND);
        let (pictures_out, pictures_to_decode) = mpsc::channel(recv::PICTURES_TO_DECODE);
        let (sound_out, sound_to_decode) = mpsc::channel(recv::SOUND_TO_DECODE);
        let (pleas, recover) = mpsc::channel(recv::PLEAS);
        let mut sources = Vec::new();

        if let Some(source) = options.pictures {
            let (writer, cell) = latest();
            let pool = video::Pool::default();
            let encoder = send::H264::new(source.size(), options.frames_per_second, options.video_rate)?;
            let stage = send::PictureStage {
                cell,
                pool: pool.clone(),
                encoder: Box::new(encoder),
                control: control.clone(),
                clock,
                queue: encoded_pictures,
                stats: stats.clone(),
            };
            let capture =
                video::run(source, options.frames_per_second, clock, pool, writer, control.clone(), stats.clone());
            sources.push(Stage::spawn("visavis-capture", Urgency::Usual, move || capture)?);
            sources.push(Stage::spawn("visavis-encode", Urgency::Usual, move || send::encode_pictures(stage))?);
        }
        if let Some(source) = options.sound {
            let encoder = opus::Encoder::new(u32::try_from(options.sound_rate.as_bps()).unwrap_or(u32::MAX))?;
            let stage = send::SoundStage {
                source,
                encoder,
                control: control.clone(),
                clock,
                queue: encoded_sound,
                overflow: Arc::default(),
            };
            sources.push(Stage::spawn("visavis-sound-out", Urgency::Prompt, move || send::encode_sound(stage))?);
        }

        let sound_delay = SoundDelay::default();
        let picture_stage = recv::PictureStage {
            queue: pictures_to_decode,
            decoder: Box::new(h264::Decoder::new()?),
            sink: options.picture_sink,
            sound_delay: sound_delay.clone(),
            recover: pleas,
            clock,
            stats: stats.clone(),
        };
        let sound_stage = recv::SoundStage {
            queue: sound_to_decode,
            decoder: opus::Decoder::new()?,
            sink: options.sound_sink,
            sound_delay,
            clock,
            stats: stats.clone(),
        };
        let receivers = vec![
            Stage::spawn("visavis-decode", Urgency::Usual, move || recv::decode_pictures(picture_stage))?,
            Stage::spawn("visavis-sound-in", Urgency::Prompt, move || recv::play_sound(sound_stage))?,
        ];

        let ports = Ports {
            offers,
            sound,
            pictures,
            sound_out,
            pictures_out,
            recover,
            control: control.clone(),
            target: options.video_rate,
            stats: stats.clone(),
        };
        Ok((Self { _sources: sources, receivers, control }, ports))
    }

    /// After the call has ended: lets the receiving stages finish what they hold, and stops everything.
    pub fn finish(mut self) {
        for receiver in std::mem::take(&mut self.receivers) {
            receiver.finish();
        }
    }
}
