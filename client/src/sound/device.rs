//! What sound devices there are, and how one is opened: format, rate and buffer for the least delay.
//!
//! Everything here may block for as long as a driver or a sound server likes, so only the manager's thread calls it.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use cpal::{
    BufferSize, FromSample, InputCallbackInfo, OutputCallbackInfo, Sample, SampleFormat, SizedSample, StreamConfig,
    SupportedBufferSize, SupportedStreamConfigRange,
    traits::{DeviceTrait, HostTrait, StreamTrait},
};

use super::ring::{self, CaptureReader, CaptureWriter, Counters, PlaybackReader, PlaybackWriter};
use crate::{app::devices::Device, clock::Clock};

/// Microphone or speaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// A microphone.
    Input,
    /// A speaker.
    Output,
}

/// Which device a person wants.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Choice {
    /// Whatever the system's default is, and again when it changes.
    #[default]
    Default,
    /// The device of this id, as [`Device::id`] gave it, or the first whose name is this, or else holds it.
    Device(String),
}

/// Why a device cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system has neither microphone nor speaker.
    #[error("no sound device was found: connect a headset or a speaker, and it is used at once")]
    Nothing,
    /// The system has none.
    #[error("no {} was found: connect one, and it is used at once", noun(*.0))]
    None(Direction),
    /// The chosen one is not there.
    #[error("the chosen {} is not connected: connect it, and it is used at once", noun(*.0))]
    Missing(Direction),
    /// It has no format that can be used.
    #[error("the {} offers no usable format: choose another one", noun(*.0))]
    Format(Direction),
    /// The system or its driver refuses.
    #[error(
        "the {} cannot be used: {}. Check that no other program holds it, or choose another one",
        noun(*direction),
        source.to_string().trim_end_matches('.')
    )]
    System {
        /// Which.
        direction: Direction,
        /// The system's own words.
        source: cpal::Error,
    },
}

/// What people call it.
pub const fn noun(direction: Direction) -> &'static str {
    match direction {
        Direction::Input => "microphone",
        Direction::Output => "speaker",
    }
}

/// Time between callbacks that is asked for at first, in microseconds; cpal's buffers are two of them. 5 ms: half a
/// block. Of 2.5, 5 and 10 ms, measured through PulseAudio: 2.5 ms saves 3 ms and costs underruns on a busy machine,
/// 10 ms costs 11 ms.
pub const PERIOD_US: u32 = 5_000;

/// An open device.
pub struct Open {
    /// Dropping it closes the device.
    _stream: cpal::Stream,
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Its format, for the log.
    pub format: String,
    /// What its callbacks count.
    pub counters: Arc<Counters>,
}

/// The system's sound.
pub struct System {
    host: cpal::Host,
    clock: Clock,
}

impl System {
    /// cpal's first host that answers: on Linux that is a sound server before bare devices. On a desktop the server
    /// holds the devices and knows their names.
    pub fn connect(clock: Clock) -> Self {
        #[cfg(target_os = "linux")]
        super::cookie::provide();
        let answers = cpal::available_hosts().into_iter().find_map(|id| cpal::host_from_id(id).ok());
        Self { host: answers.unwrap_or_else(cpal::default_host), clock }
    }

    /// The same host anew: a sound server that was started again is a new one, and old connections never answer. `None`
    /// while it is not there.
    pub fn again(&self) -> Option<Self> {
        cpal::host_from_id(self.host.id()).ok().map(|host| Self { host, clock: self.clock })
    }

    /// Whether another host would be better: a sound server has come.
    pub fn is_second_choice(&self) -> bool {
        cpal::available_hosts().first().is_some_and(|best| *best != self.host.id())
    }

    /// Whether both are the same system.
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.host.id() == other.host.id()
    }

    /// Whether it can be asked for its devices, of which it may have none. A sound server that has gone cannot.
    pub fn answers(&self) -> bool {
        self.host.devices().is_ok()
    }

    /// What can be chosen; what a speaker plays can be a microphone too, and comes last.
    pub fn list(&self, direction: Direction) -> Vec<Device> {
        let mut listed: Vec<Device> = self
            .all(direction)
            .filter_map(|device| Some(Device::new(device.id().ok()?.to_string(), name(&device))))
            .filter(|listed| is_meant_for_people(&listed.id))
            .collect();
        listed.sort_by_key(|listed| listed.id.ends_with(".monitor"));
        listed
    }

    /// The id of the default device, to see whether it is another one now.
    pub fn default_id(&self, direction: Direction) -> Option<String> {
        self.default(direction)?.id().ok().map(|id| id.to_string())
    }

    /// The id of the chosen device, if it is there.
    pub fn chosen_id(&self, direction: Direction, choice: &Choice) -> Option<String> {
        match choice {
            Choice::Default => self.default_id(direction),
            Choice::Device(wanted) => {
                let listed = self.list(direction);
                let is = |test: &dyn Fn(&Device) -> bool| listed.iter().find(|device| test(device));
                let lower = wanted.to_lowercase();
                is(&|device| device.id == *wanted)
                    .or_else(|| is(&|device| device.name.to_lowercase() == lower))
                    .or_else(|| is(&|device| device.name.to_lowercase().contains(&lower)))
                    .map(|device| device.id.clone())
            }
        }
    }

    /// Opens a microphone. `on_error` is called by cpal's threads.
    ///
    /// # Errors
    ///
    /// Any [`Error`].
    pub fn open_input(
        &self,
        choice: &Choice,
        period_us: u32,
        on_error: impl FnMut(cpal::Error) + Send + 'static,
    ) -> Result<(Open, CaptureReader), Error> {
        let (device, config, format) = self.find(Direction::Input, choice, period_us)?;
        let (writer, reader) = ring::capture(config.sample_rate);
        let counters = writer.counters();
        let on_error = counting(on_error, counters.clone());
        let stream = match format {
            SampleFormat::I16 => input::<i16>(&device, config, writer, self.clock, on_error),
            SampleFormat::I32 => input::<i32>(&device, config, writer, self.clock, on_error),
            SampleFormat::I24 => input::<cpal::I24>(&device, config, writer, self.clock, on_error),
            SampleFormat::U8 => input::<u8>(&device, config, writer, self.clock, on_error),
            _ => input::<f32>(&device, config, writer, self.clock, on_error),
        };
        Ok((opened(Direction::Input, &device, stream, counters, config, format)?, reader))
    }

    /// Opens a speaker. `on_error` is called by cpal's threads.
    ///
    /// # Errors
    ///
    /// Any [`Error`].
    pub fn open_output(
        &self,
        choice: &Choice,
        period_us: u32,
        on_error: impl FnMut(cpal::Error) + Send + 'static,
    ) -> Result<(Open, PlaybackWriter), Error> {
        // A connection of its own: cpal gives all streams of one the same synchronisation number, and PulseAudio then
        // refuses the second while the first plays. Made only for what is there: an unused one is never closed.
        let mut found = self.find(Direction::Output, choice, period_us)?;
        if let Some(own) = self.again() {
            found = own.find(Direction::Output, choice, period_us)?;
        }
        let (device, config, format) = found;
        let (writer, reader) = ring::playback(config.sample_rate);
        let counters = reader.counters();
        let on_error = counting(on_error, counters.clone());
        let stream = match format {
            SampleFormat::I16 => output::<i16>(&device, config, reader, self.clock, on_error),
            SampleFormat::I32 => output::<i32>(&device, config, reader, self.clock, on_error),
            SampleFormat::I24 => output::<cpal::I24>(&device, config, reader, self.clock, on_error),
            SampleFormat::U8 => output::<u8>(&device, config, reader, self.clock, on_error),
            _ => output::<f32>(&device, config, reader, self.clock, on_error),
        };
        Ok((opened(Direction::Output, &device, stream, counters, config, format)?, writer))
    }

    fn all(&self, direction: Direction) -> impl Iterator<Item = cpal::Device> {
        self.host.devices().into_iter().flatten().filter(move |device| match direction {
            Direction::Input => device.supports_input(),
            Direction::Output => device.supports_output(),
        })
    }

    fn default(&self, direction: Direction) -> Option<cpal::Device> {
        match direction {
            Direction::Input => self.host.default_input_device(),
            Direction::Output => self.host.default_output_device(),
        }
    }

    /// There is no default device.
    fn none(&self, direction: Direction) -> Error {
        let any =
            [Direction::Input, Direction::Output].into_iter().any(|direction| self.default(direction).is_some());
        if any { Error::None(direction) } else { Error::Nothing }
    }

    fn find(
        &self,
        direction: Direction,
        choice: &Choice,
        period_us: u32,
    ) -> Result<(cpal::Device, StreamConfig, SampleFormat), Error> {
        let device = match choice {
            Choice::Default => self.default(direction).ok_or_else(|| self.none(direction))?,
            Choice::Device(_) => {
                let id = self.chosen_id(direction, choice).and_then(|id| id.parse().ok());
                id.and_then(|id| self.host.device_by_id(&id)).ok_or(Error::Missing(direction))?
            }
        };
        let system = |source| Error::System { direction, source };
        let (preferred, all) = match direction {
            Direction::Input => (device.default_input_config(), device.supported_input_configs().map(Vec::from_iter)),
            Direction::Output => {
                (device.default_output_config(), device.supported_output_configs().map(Vec::from_iter))
            }
        };
        let (preferred, all) = (preferred.map_err(system)?, all.map_err(system)?);
        let rate_hz = preferred.sample_rate();
        let best = all
            .into_iter()
            .filter(|range| range.contains_rate(rate_hz) && format_rank(range.sample_format()).is_some())
            .max_by_key(|range| (format_rank(range.sample_format()), channels_rank(direction, range.channels())))
            .ok_or(Error::Format(direction))?;
        let config = StreamConfig {
            channels: best.channels(),
            sample_rate: rate_hz,
            buffer_size: buffer_size(&best, rate_hz, period_us),
        };
        Ok((device, config, best.sample_format()))
    }
}

/// ALSA lists its plug-ins, and every card half a dozen times; of those, the one that converts stays.
fn is_meant_for_people(id: &str) -> bool {
    const PLUGINS: [&str; 12] = [
        "null",
        "lavrate",
        "samplerate",
        "speexrate",
        "jack",
        "oss",
        "speex",
        "upmix",
        "vdownmix",
        "usbstream",
        "hw",
        "sysdefault",
    ];
    const TWICE: [&str; 8] = ["front", "rear", "center_lfe", "side", "surround", "iec958", "dmix", "dsnoop"];
    let Some(pcm) = id.strip_prefix("alsa:") else { return true };
    let plugin = pcm.split(':').next().unwrap_or(pcm);
    !PLUGINS.contains(&plugin) && !TWICE.iter().any(|prefix| plugin.starts_with(prefix))
}

fn name(device: &cpal::Device) -> String {
    device.description().map_or_else(|_| "unnamed".to_owned(), |description| description.name().to_owned())
}

/// Floats need no conversion and no dither; then by resolution. `None` cannot be used.
const fn format_rank(format: SampleFormat) -> Option<u8> {
    match format {
        SampleFormat::F32 => Some(5),
        SampleFormat::I32 => Some(4),
        SampleFormat::I24 => Some(3),
        SampleFormat::I16 => Some(2),
        SampleFormat::U8 => Some(1),
        _ => None,
    }
}

/// A microphone in mono, a speaker in stereo, else the fewest channels that hold a pair.
fn channels_rank(direction: Direction, channels: u16) -> i32 {
    match (direction, channels) {
        (Direction::Input, 1) | (Direction::Output, 2) => 2,
        (Direction::Input, 2) | (Direction::Output, 1) => 1,
        (_, channels) => -i32::from(channels),
    }
}

fn buffer_size(range: &SupportedStreamConfigRange, rate_hz: u32, period_us: u32) -> BufferSize {
    let frames = (u64::from(rate_hz) * u64::from(period_us) / 1_000_000) as u32;
    match range.buffer_size() {
        SupportedBufferSize::Range { min, max } if min <= max => BufferSize::Fixed(frames.clamp(*min, *max)),
        _ => BufferSize::Default,
    }
}

/// Over- and underruns are counted, what else a stream says goes to whoever can act.
fn counting(
    mut on_error: impl FnMut(cpal::Error) + Send + 'static,
    counters: Arc<Counters>,
) -> impl FnMut(cpal::Error) + Send + 'static {
    move |error| {
        match error.kind() {
            cpal::ErrorKind::Xrun => {
                counters.device_xruns.fetch_add(1, Relaxed);
            }
            // The stream is over.
            cpal::ErrorKind::DeviceNotAvailable
            | cpal::ErrorKind::StreamInvalidated
            | cpal::ErrorKind::HostUnavailable
            | cpal::ErrorKind::PermissionDenied => on_error(error),
            // It goes on, or the watchdog sees that it does not: the host has moved it by itself, or gave it no
            // priority, or, as ALSA's PulseAudio plug-in does after each underrun, does not know its delay for a
            // moment.
            _ => {
                counters.errors.fetch_add(1, Relaxed);
            }
        }
        throttle();
    }
}

/// cpal's ALSA host tries again at once after an error, as fast as the core allows and with our priority; this callback
/// is where it can be made to wait. No sound is due until it succeeds.
#[expect(clippy::disallowed_methods, reason = "the driver's own loop is slowed down; there is nothing to wait for")]
fn throttle() {
    std::thread::sleep(std::time::Duration::from_millis(1));
}

fn input<T>(
    device: &cpal::Device,
    config: StreamConfig,
    writer: CaptureWriter,
    clock: Clock,
    on_error: impl FnMut(cpal::Error) + Send + 'static,
) -> Result<cpal::Stream, cpal::Error>
where
    T: SizedSample,
    f32: FromSample<T>,
{
    device.build_input_stream(config, capturing::<T>(writer, config.channels, clock), on_error, Some(OPEN_TIMEOUT))
}

/// What a microphone calls with what it has captured. It never allocates, locks, logs or calls the system: a clock is
/// read without.
pub fn capturing<T>(
    mut writer: CaptureWriter,
    channels: u16,
    clock: Clock,
) -> impl FnMut(&[T], &InputCallbackInfo) + Send + 'static
where
    T: SizedSample,
    f32: FromSample<T>,
{
    move |data, info| {
        let (now, time) = (clock.now(), info.timestamp());
        // The host's clocks have origins of their own: only the difference is of use.
        let captured = now - time.callback.duration_since(time.capture);
        writer.write(data, usize::from(channels), captured, now);
    }
}

fn output<T>(
    device: &cpal::Device,
    config: StreamConfig,
    reader: PlaybackReader,
    clock: Clock,
    on_error: impl FnMut(cpal::Error) + Send + 'static,
) -> Result<cpal::Stream, cpal::Error>
where
    T: SizedSample + Sample + FromSample<f32>,
{
    device.build_output_stream(config, playing::<T>(reader, config.channels, clock), on_error, Some(OPEN_TIMEOUT))
}

/// What a speaker calls for what it is to play; see [`capturing`].
pub fn playing<T>(
    mut reader: PlaybackReader,
    channels: u16,
    clock: Clock,
) -> impl FnMut(&mut [T], &OutputCallbackInfo) + Send + 'static
where
    T: SizedSample + Sample + FromSample<f32>,
{
    move |data, info| {
        let (now, time) = (clock.now(), info.timestamp());
        let heard = now + time.playback.duration_since(time.callback);
        reader.read(data, usize::from(channels), heard, now);
    }
}

/// How long a sound server may take, where cpal can tell. On ALSA it is how often an idle stream looks at its state.
const OPEN_TIMEOUT: std::time::Duration = std::time::Duration::from_millis(500);

fn opened(
    direction: Direction,
    device: &cpal::Device,
    stream: Result<cpal::Stream, cpal::Error>,
    counters: Arc<Counters>,
    config: StreamConfig,
    format: SampleFormat,
) -> Result<Open, Error> {
    let system = |source| Error::System { direction, source };
    let stream = stream.map_err(system)?;
    stream.play().map_err(system)?;
    let period = stream.buffer_size().unwrap_or_default();
    Ok(Open {
        id: device.id().map(|id| id.to_string()).unwrap_or_default(),
        name: name(device),
        format: format!(
            "{} Hz, {} channels of {format}, {period} samples a callback",
            config.sample_rate, config.channels
        ),
        _stream: stream,
        counters,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alsa_plugins_are_not_offered() {
        for hidden in ["alsa:null", "alsa:hw:CARD=PCH,DEV=0", "alsa:surround51:CARD=PCH,DEV=0", "alsa:dmix:CARD=PCH"]
        {
            assert!(!is_meant_for_people(hidden), "{hidden}");
        }
        for shown in ["alsa:default", "alsa:pulse", "alsa:plughw:CARD=PCH,DEV=0", "pulseaudio:null", "coreaudio:x"] {
            assert!(is_meant_for_people(shown), "{shown}");
        }
    }
}
