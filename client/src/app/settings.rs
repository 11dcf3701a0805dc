//! What a person has chosen, kept in `settings.toml` beside the profile. Unknown keys are an error, missing ones take
//! their default.

use std::{
    fs, io,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use visavis_codec::h264;
use visavis_proto::units::Bitrate;

/// Everything that can be chosen.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Camera and what it may cost.
    pub camera: Camera,
    /// Microphone, speaker and what is done to the sound.
    pub sound: Sound,
    /// How the window looks.
    pub window: Window,
}

/// Camera and what it may cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Camera {
    /// The device's stable id; the best one there is if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// No larger pictures are sent than this many lines.
    pub max_height: u32,
    /// No more pictures per second.
    pub max_fps: u32,
    /// No more thousand bits per second of pictures.
    pub max_kbps: u32,
}

/// Microphone, speaker and what is done to the sound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sound {
    /// The device's stable id; the system's default, followed when it changes, if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub microphone: Option<String>,
    /// As for the microphone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speaker: Option<String>,
    /// Where it rings; the speaker's if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ring: Option<String>,
    /// Takes the speaker's sound out of the microphone's.
    pub cancel_echo: bool,
    /// Takes out steady noise.
    pub suppress_noise: bool,
    /// Evens out how loud one speaks.
    pub control_gain: bool,
}

/// How the window looks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Window {
    /// Light or dark.
    pub theme: Theme,
    /// The other's picture fills the window and is cut at the edges, instead of being whole between bars.
    pub fill: bool,
    /// One's own picture is shown.
    pub self_view: bool,
    /// Where.
    pub self_view_corner: Corner,
}

/// Light or dark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Theme {
    /// As the system has it.
    #[default]
    System,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

/// A corner of the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Corner {
    /// Top left.
    TopLeft,
    /// Top right.
    #[default]
    TopRight,
    /// Bottom left.
    BottomLeft,
    /// Bottom right.
    BottomRight,
}

/// The sizes that the window offers, by their lines; the file may name others.
pub const HEIGHTS: [u32; 4] = [360, 480, 720, 1_080];

/// The least and the most lines of a picture, as the encoder takes them.
pub const LINES: RangeInclusive<u32> = 16..=h264::MAX_HEIGHT;

/// The picture rates that the window offers; the file may name others.
pub const RATES: [u32; 4] = [15, 24, 30, 60];

/// The least and the most pictures per second.
pub const FPS: RangeInclusive<u32> = 1..=120;

/// The least and the most thousand bits per second of pictures.
pub const KBPS: RangeInclusive<u32> = 100..=20_000;

impl Default for Camera {
    fn default() -> Self {
        Self { device: None, max_height: 720, max_fps: 30, max_kbps: 2_500 }
    }
}

impl Default for Sound {
    fn default() -> Self {
        Self {
            microphone: None,
            speaker: None,
            ring: None,
            cancel_echo: true,
            suppress_noise: true,
            control_gain: true,
        }
    }
}

impl Default for Window {
    fn default() -> Self {
        Self { theme: Theme::System, fill: false, self_view: true, self_view_corner: Corner::TopRight }
    }
}

impl Camera {
    /// The rate of pictures.
    pub fn video_rate(&self) -> Bitrate {
        Bitrate::from_kbps(u64::from(self.max_kbps))
    }

    /// What is out of its range, and the range.
    fn out_of_range(&self) -> Option<String> {
        let values = [
            ("max_height", self.max_height, LINES),
            ("max_fps", self.max_fps, FPS),
            ("max_kbps", self.max_kbps, KBPS),
        ];
        let (name, value, range) = values.into_iter().find(|(_, value, range)| !range.contains(value))?;
        Some(format!("{name} in [camera] is {value}, but {} to {} are possible", range.start(), range.end()))
    }
}

/// Why settings could not be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refused.
    #[error("cannot {action} {}: {source}. Check that the folder exists, belongs to you and has room", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Not settings.
    #[error("{} is not understood: {reason}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

const FILE: &str = "settings.toml";

impl Settings {
    /// Reads them from a profile's folder; the defaults if there are none yet.
    ///
    /// # Errors
    ///
    /// Any [`Error`].
    pub fn load(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(FILE);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(Error::Io { action: "read", path, source }),
            Ok(bytes) => String::from_utf8(bytes)
                .map_err(|error| Error::Damaged { path: path.clone(), reason: error.utf8_error().to_string() })?,
        };
        let settings: Self = toml::from_str(&text)
            .map_err(|error| Error::Damaged { path: path.clone(), reason: told(&error, &text) })?;
        match settings.camera.out_of_range() {
            Some(reason) => Err(Error::Damaged { path, reason }),
            None => Ok(settings),
        }
    }

    /// Keeps a file that is not understood as `settings.toml.old`: what is chosen from now on does not replace it. Answers
    /// that file's path.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn put_aside(folder: &Path) -> Result<PathBuf, Error> {
        let path = folder.join(FILE);
        let old = path.with_extension("toml.old");
        fs::rename(&path, &old).map_err(|source| Error::Io { action: "move away", path, source })?;
        Ok(old)
    }

    /// Keeps them: the old file or the new one, never half of either.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn save(&self, folder: &Path) -> Result<(), Error> {
        let path = folder.join(FILE);
        let text = toml::to_string(self)
            .map_err(|error| Error::Damaged { path: path.clone(), reason: error.to_string() })?;
        let beside = path.with_extension("new");
        fs::write(&beside, text).and_then(|()| fs::rename(&beside, &path)).map_err(|source| Error::Io {
            action: "write",
            path,
            source,
        })
    }
}

/// What is wrong, in one line.
fn told(error: &toml::de::Error, text: &str) -> String {
    let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    let line = line.map_or_else(String::new, |line| format!("line {line}: "));
    format!("{line}{}", error.message().replace('\n', ", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_kept_and_damage_is_named() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let mut settings = Settings::load(folder.path()).expect("defaults");
        assert_eq!(settings, Settings::default());
        settings.camera.device = Some("usb-1".into());
        settings.window.self_view_corner = Corner::BottomLeft;
        settings.save(folder.path()).expect("kept");
        assert_eq!(Settings::load(folder.path()).expect("read"), settings);
        fs::write(folder.path().join(FILE), "[camera]\nmax_hight = 3\n").expect("written");
        let error = Settings::load(folder.path()).expect_err("unknown key").to_string();
        assert!(error.contains("line 2: ") && error.contains("max_hight") && !error.contains('\n'), "{error}");
        for (line, told) in [
            ("max_height = 9999", "max_height in [camera] is 9999, but 16 to 1088 are possible"),
            ("max_fps = 0", "max_fps in [camera] is 0, but 1 to 120 are possible"),
            ("max_kbps = 99", "max_kbps in [camera] is 99, but 100 to 20000 are possible"),
        ] {
            fs::write(folder.path().join(FILE), format!("[camera]\n{line}\n")).expect("written");
            let error = Settings::load(folder.path()).expect_err(line).to_string();
            assert!(error.contains(told), "{error}");
        }
        let old = Settings::put_aside(folder.path()).expect("put aside");
        assert_eq!(fs::read_to_string(old).expect("kept"), "[camera]\nmax_kbps = 99\n");
        assert_eq!(Settings::load(folder.path()).expect("none"), Settings::default());
        fs::write(folder.path().join(FILE), "[camera]\nmax_height = 600\n").expect("written");
        assert_eq!(Settings::load(folder.path()).expect("between two choices").camera.max_height, 600);
        fs::write(folder.path().join(FILE), [0xff, 0xfe]).expect("written");
        assert!(matches!(Settings::load(folder.path()), Err(Error::Damaged { .. })));
    }

    #[test]
    fn a_few_keys_are_enough() {
        let settings: Settings = toml::from_str("[sound]\ncancel_echo = false\n").expect("parses");
        assert!(!settings.sound.cancel_echo && settings.sound.suppress_noise);
        assert_eq!(settings.camera, Camera::default());
    }
}
