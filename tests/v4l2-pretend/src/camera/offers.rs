//! What the camera says that it is and can do.

use v4l2_sys_mit::{
    V4L2_CAP_DEVICE_CAPS, V4L2_CAP_STREAMING, V4L2_CAP_VIDEO_CAPTURE, v4l2_capability, v4l2_fmtdesc,
    v4l2_frmivalenum, v4l2_frmsizeenum,
};

use super::{Answer, Camera, VIDEO_CAPTURE, write_text};
use crate::device::{Fault, Format, Mode};

impl Camera {
    pub(super) fn capabilities(&self, out: &mut v4l2_capability) -> Answer<()> {
        write_text(&mut out.driver, self.device.driver.as_bytes());
        write_text(&mut out.card, self.device.name.as_bytes());
        write_text(&mut out.bus_info, self.device.bus.as_bytes());
        if self.has(Fault::StrangeName) {
            out.card[0] = 0xFF;
        }
        out.version = 6 << 16 | 1 << 8;
        out.device_caps = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
        out.capabilities = out.device_caps | V4L2_CAP_DEVICE_CAPS;
        Ok(())
    }

    /// The formats in the order in which they are first described.
    fn formats(&self) -> Vec<Format> {
        let mut formats = Vec::new();
        for mode in &self.device.modes {
            if !formats.contains(&mode.format) {
                formats.push(mode.format);
            }
        }
        formats
    }

    pub(super) fn enumerate_formats(&self, out: &mut v4l2_fmtdesc) -> Answer<()> {
        let format = *self.formats().get(out.index as usize).ok_or(libc::EINVAL)?;
        if out.type_ != VIDEO_CAPTURE {
            return Err(libc::EINVAL);
        }
        out.flags = u32::from(format == Format::Mjpeg);
        write_text(&mut out.description, format.name().as_bytes());
        out.pixelformat = format.code();
        Ok(())
    }

    pub(super) fn enumerate_sizes(&self, out: &mut v4l2_frmsizeenum) -> Answer<()> {
        let mut modes = self.device.modes.iter().filter(|mode| mode.format.code() == out.pixel_format);
        let mode = modes.nth(out.index as usize).ok_or(libc::EINVAL)?;
        if mode.is_discrete() {
            out.type_ = v4l2_sys_mit::v4l2_frmsizetypes_V4L2_FRMSIZE_TYPE_DISCRETE;
            out.__bindgen_anon_1.discrete =
                v4l2_sys_mit::v4l2_frmsize_discrete { width: mode.largest.0, height: mode.largest.1 };
        } else {
            out.type_ = v4l2_sys_mit::v4l2_frmsizetypes_V4L2_FRMSIZE_TYPE_STEPWISE;
            out.__bindgen_anon_1.stepwise = v4l2_sys_mit::v4l2_frmsize_stepwise {
                min_width: mode.smallest.0,
                max_width: mode.largest.0,
                step_width: mode.step.0,
                min_height: mode.smallest.1,
                max_height: mode.largest.1,
                step_height: mode.step.1,
            };
        }
        Ok(())
    }

    pub(super) fn enumerate_intervals(&self, out: &mut v4l2_frmivalenum) -> Answer<()> {
        let mode = self.mode(out.pixel_format, (out.width, out.height)).ok_or(libc::EINVAL)?;
        let (numerator, denominator) = *mode.intervals.get(out.index as usize).ok_or(libc::EINVAL)?;
        out.type_ = v4l2_sys_mit::v4l2_frmivaltypes_V4L2_FRMIVAL_TYPE_DISCRETE;
        out.__bindgen_anon_1.discrete = v4l2_sys_mit::v4l2_fract { numerator, denominator };
        Ok(())
    }

    /// The mode of this format that holds this size.
    pub(super) fn mode(&self, code: u32, (width, height): (u32, u32)) -> Option<&Mode> {
        self.device.modes.iter().find(|mode| {
            mode.format.code() == code
                && (mode.smallest.0..=mode.largest.0).contains(&width)
                && (mode.smallest.1..=mode.largest.1).contains(&height)
        })
    }
}
