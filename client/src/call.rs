//! One call's stages, and the queues between them and the network thread.
//!
//! [`wire`] lays them out once for everybody: [`Stages`] runs each on a thread, a simulated world as a task.

use std::{future::Future, io, pin::Pin};

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
        recv::{self, Decoder, SoundDelay},
        send::{self, Encoder},
    },
    playback::{PictureSink, SoundSink},
    stats::{self, record::Note},
    thread::{Stage, Urgency},
};

/// What a person wants to send and to receive.
pub struct Options {
    /// Pictures to send, if any.
    pub camera: Option<Camera>,
    /// Sound to send, if any.
    pub microphone: Option<Microphone>,
    /// Bits per second of pictures; stands in for the congestion controller.
    pub video_rate: Bitrate,
    /// Decodes the pictures that come.
    pub decoder: Box<dyn Decoder>,
    /// The eye.
    pub picture_sink: Box<dyn PictureSink>,
    /// The ear.
    pub sound_sink: Box<dyn SoundSink>,
}

/// Pictures to send.
pub struct Camera {
    /// Where they come from.
    pub source: Box<dyn video::Source>,
    /// What encodes them.
    pub encoder: Box<dyn Encoder>,
    /// What else sees them, at no cost if nothing does.
    pub preview: Option<video::Preview>,
}

impl Camera {
    /// A file or a scene at a steady rate, with an H.264 encoder.
    ///
    /// # Errors
    ///
    /// If openh264 refuses the size.
    pub fn h264(reel: Box<dyn video::Reel>, frames_per_second: f64, rate: Bitrate) -> Result<Self, Error> {
        Self::h264_of(Box::new(video::Paced { reel, frames_per_second }), frames_per_second, rate)
    }

    /// A source with an H.264 encoder, which follows the size of its pictures; their rate need not be known well.
    ///
    /// # Errors
    ///
    /// If openh264 refuses the size that is expected.
    pub fn h264_of(source: Box<dyn video::Source>, frames_per_second: f64, rate: Bitrate) -> Result<Self, Error> {
        let encoder = Box::new(send::H264::new(source.size(), frames_per_second, rate)?);
        Ok(Self { source, encoder, preview: None })
    }
}

/// Sound to send.
pub struct Microphone {
    /// Where it comes from.
    pub source: Box<dyn sound::Source>,
    /// Bits per second.
    pub rate: Bitrate,
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

/// A stage that is ready to run: ends by itself when the queues around it close.
pub struct Part {
    /// The name of its thread.
    pub name: &'static str,
    /// How soon it should run when it is ready.
    pub urgency: Urgency,
    /// It makes what is sent, rather than taking what comes.
    pub sends: bool,
    /// The stage.
    pub run: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// Lays out every stage of a call and the queues between them.
///
/// # Errors
///
/// [`Error::Sound`].
pub fn wire(options: Options, clock: Clock, stats: &stats::Sender) -> Result<(Vec<Part>, Ports), Error> {
    let control = SendControl::new(options.video_rate);
    let sent = options.camera.as_ref().map(|camera| camera.encoder.codec());
    stats.note(Note::Codecs { sent, received: options.decoder.codec() });
    let offers = send::offers(options.microphone.is_some(), options.camera.is_some());
    let (encoded_pictures, pictures) = mpsc::channel(send::ENCODED_PICTURES);
    let (encoded_sound, sound) = mpsc::channel(send::ENCODED_SOUND);
    let (pictures_out, pictures_to_decode) = mpsc::channel(recv::PICTURES_TO_DECODE);
    let (sound_out, sound_to_decode) = mpsc::channel(recv::SOUND_TO_DECODE);
    let (pleas, recover) = mpsc::channel(recv::PLEAS);
    let mut parts = Vec::new();
    let mut add = |name, urgency, sends, run| parts.push(Part { name, urgency, sends, run });

    if let Some(Camera { source, encoder, preview }) = options.camera {
        let (writer, cell) = latest();
        let pool = video::Pool::default();
        let encode = send::PictureStage {
            cell,
            pool: pool.clone(),
            encoder,
            control: control.clone(),
            clock,
            queue: encoded_pictures,
        };
        let outlet = video::Outlet::new(writer, pool, clock, control.clone(), stats.clone(), preview);
        add("visavis-capture", Urgency::Usual, true, source.run(outlet));
        add("visavis-encode", Urgency::Usual, true, Box::pin(send::encode_pictures(encode)) as _);
    }
    if let Some(Microphone { source, rate }) = options.microphone {
        let encode = send::SoundStage {
            source,
            encoder: opus::Encoder::new(u32::try_from(rate.as_bps()).unwrap_or(u32::MAX))?,
            control: control.clone(),
            clock,
            queue: encoded_sound,
            stats: stats.clone(),
        };
        add("visavis-sound-out", Urgency::Prompt, true, Box::pin(send::encode_sound(encode)) as _);
    }

    let sound_delay = SoundDelay::default();
    let decode = recv::PictureStage {
        queue: pictures_to_decode,
        decoder: options.decoder,
        sink: options.picture_sink,
        sound_delay: sound_delay.clone(),
        recover: pleas,
        clock,
    };
    let play = recv::SoundStage {
        queue: sound_to_decode,
        decoder: opus::Decoder::new()?,
        sink: options.sound_sink,
        sound_delay,
        control: control.clone(),
        clock,
        stats: stats.clone(),
    };
    add("visavis-decode", Urgency::Usual, false, Box::pin(recv::decode_pictures(decode)) as _);
    add("visavis-sound-in", Urgency::Prompt, false, Box::pin(recv::play_sound(play)) as _);

    let target = options.video_rate;
    let stats = stats.clone();
    Ok((parts, Ports { offers, sound, pictures, sound_out, pictures_out, recover, control, target, stats }))
}

/// The running stages of a call, a thread each. Dropping it stops them.
pub struct Stages {
    /// Sources first, so that they stop before what they feed.
    sources: Vec<Stage>,
    receivers: Vec<Stage>,
    /// Switches and wishes.
    pub control: SendControl,
}

impl Stages {
    /// Starts every thread of a call, while it still rings: the first picture then follows the accept at once. Nothing
    /// is encoded before the network side says that the call is live.
    ///
    /// # Errors
    ///
    /// Any [`Error`].
    pub fn start(options: Options, clock: Clock, stats: &stats::Sender) -> Result<(Self, Ports), Error> {
        let (parts, ports) = wire(options, clock, stats)?;
        let mut stages = Self { sources: Vec::new(), receivers: Vec::new(), control: ports.control.clone() };
        for part in parts {
            let side = if part.sends { &mut stages.sources } else { &mut stages.receivers };
            side.push(Stage::spawn(part.name, part.urgency, move || part.run)?);
        }
        Ok((stages, ports))
    }

    /// After the call has ended and its ports are gone: lets every stage finish what it holds, and waits for it.
    pub fn finish(self) {
        self.sources.into_iter().chain(self.receivers).for_each(Stage::finish);
    }
}
