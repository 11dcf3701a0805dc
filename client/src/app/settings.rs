//! What a person has chosen, kept in `settings.toml` beside the profile. Unknown keys are an error, missing ones take
//! their default.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
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

/// The sizes that can be chosen, by their lines.
pub const HEIGHTS: [u32; 4] = [360, 480, 720, 1_080];

/// The picture rates that can be chosen.
pub const RATES: [u32; 4] = [15, 24, 30, 60];

/// The least and the most thousand bits per second of pictures.
pub const KBPS: std::ops::RangeInclusive<u32> = 100..=20_000;

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
        Bitrate::from_kbps(u64::from(self.max_kbps.clamp(*KBPS.start(), *KBPS.end())))
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
    #[error("{} is not understood: {reason}. Mend that line, or remove the file to begin with the defaults", path.display())]
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
        toml::from_str(&text).map_err(|error| Error::Damaged { path, reason: error.to_string() })
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
        assert!(error.contains("max_hight") && error.contains("Mend that line"), "{error}");
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
