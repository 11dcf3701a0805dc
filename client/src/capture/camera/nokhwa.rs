//! Cameras by nokhwa, for systems other than Linux; so far it runs on Linux alone, in tests.
//!
//! It tells no stride (rows are taken as tight), no number of used bytes, intervals of 1/n only, and errors as text.

use std::time::{Duration, SystemTime};

use nokhwa::{
    NokhwaError, query,
    utils::{ApiBackend, CameraFormat, CameraIndex, FrameFormat, RequestedFormat, RequestedFormatType, Resolution},
};
use visavis_codec::raw::Layout;

use super::{
    mode::{Format, Interval, Mode, Wish},
    serve::{self, Failure, Frame, Listed},
};

/// Ours and nokhwa's names. On macOS its YUYV is really UYVY on some cameras; nothing tells.
const FORMATS: [(FrameFormat, Format); 6] = [
    (FrameFormat::MJPEG, Format::Mjpeg),
    (FrameFormat::YUYV, Format::Raw(Layout::Yuyv)),
    (FrameFormat::NV12, Format::Raw(Layout::Nv12)),
    (FrameFormat::GRAY, Format::Raw(Layout::Grey)),
    (FrameFormat::RAWRGB, Format::Raw(Layout::Rgb)),
    (FrameFormat::RAWBGR, Format::Raw(Layout::Bgr)),
];

fn found() -> Vec<(Listed, CameraIndex)> {
    let cameras = query(ApiBackend::Auto).unwrap_or_default();
    cameras
        .into_iter()
        .map(|camera| {
            // `misc` is the system's unique id where there is one, and empty elsewhere.
            let (name, unique) = (camera.human_name(), camera.misc());
            (Listed { id: format!("{unique}/{name}"), name, offers: Vec::new() }, camera.index().clone())
        })
        .collect()
}

/// A running camera.
pub struct Camera {
    camera: nokhwa::Camera,
    mode: Mode,
}

impl Camera {
    /// Opens the camera with this identity, or the first, in the mode that serves the wish best.
    ///
    /// # Errors
    ///
    /// Any [`Failure`].
    pub fn open(id: Option<&str>, wish: &Wish) -> Result<Self, Failure> {
        let mut cameras = found().into_iter();
        let (_, index) = cameras.find(|(listed, _)| id.is_none_or(|id| listed.is(id))).ok_or(Failure::Gone)?;
        let names = FORMATS.map(|(name, _)| name);
        let first = RequestedFormat::with_formats(RequestedFormatType::None, &names);
        let mut camera = nokhwa::Camera::new(index, first).map_err(failure)?;
        let offered = camera.compatible_camera_formats().map_err(failure)?;
        let modes = wish.order(offered.iter().filter_map(mode).collect());
        let best = *modes.first().ok_or(Failure::NoFormat)?;
        let format = offered.into_iter().find(|format| mode(format) == Some(best)).ok_or(Failure::NoFormat)?;
        let exact = RequestedFormat::with_formats(RequestedFormatType::Exact(format), &names);
        camera.set_camera_requset(exact).map_err(failure)?;
        camera.open_stream().map_err(failure)?;
        let mode = mode(&camera.camera_format()).unwrap_or(best);
        Ok(Self { camera, mode })
    }
}

impl serve::Device for Camera {
    fn mode(&self) -> Mode {
        self.mode
    }

    fn next<T>(&mut self, look: impl FnOnce(Frame<'_>) -> T) -> Result<T, Failure> {
        let buffer = self.camera.frame().map_err(failure)?;
        let stride = match self.mode.format {
            Format::Raw(layout) => layout.row_bytes(self.mode.size.0 as usize),
            Format::Mjpeg => 0,
        };
        let captured = buffer.capture_timestamp().and_then(monotonic);
        Ok(look(Frame { bytes: buffer.buffer(), stride, captured, damaged: false }))
    }
}

/// nokhwa turns the driver's time into wall time; this is the way back.
#[expect(clippy::disallowed_methods, reason = "the two clocks are compared at this moment")]
fn monotonic(wall: Duration) -> Option<Duration> {
    let age = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?.checked_sub(wall)?;
    serve::monotonic().checked_sub(age)
}

fn mode(format: &CameraFormat) -> Option<Mode> {
    let (_, known) = FORMATS.into_iter().find(|(name, _)| *name == format.format())?;
    let Resolution { width_x, height_y } = format.resolution();
    Some(Mode { format: known, size: (width_x, height_y), interval: Interval::new(1, format.frame_rate())? })
}

/// What can be told from nokhwa's words, which end in the system's.
fn failure(error: NokhwaError) -> Failure {
    let text = error.to_string();
    match () {
        () if text.contains("os error 16") || text.contains("in use") => Failure::Busy,
        () if text.contains("os error 13") || text.contains("os error 1)") => Failure::Refused,
        () if text.contains("os error 19") || text.contains("os error 2)") => Failure::Gone,
        () if text.contains("os error 28") => Failure::NoRoom,
        () => Failure::Other(text),
    }
}
