//! The devices that can be chosen, as plain data: whoever finds them fills it, the window lists it.

use crate::sentence::capitalised;
pub use crate::sound::Use;

/// What there is now. Lists are in the order in which they are to be shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Devices {
    /// Cameras.
    pub cameras: Vec<Device>,
    /// Microphones.
    pub microphones: Vec<Device>,
    /// Speakers and headphones.
    pub speakers: Vec<Device>,
    /// The name of the camera whose pictures come.
    pub camera: Option<String>,
    /// The microphone while it is open.
    pub microphone: Use,
    /// The speaker while it is open.
    pub speaker: Use,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Stable across starts and plugs, as kept in the settings.
    pub id: String,
    /// As a person knows it.
    pub name: String,
}

impl Devices {
    /// What is wrong with microphone and speaker, in sentences; what is wrong with both alike, once.
    pub fn troubles(&self) -> Vec<String> {
        let [microphone, speaker] = [&self.microphone, &self.speaker].map(|device| device.trouble.as_deref());
        if let (Some(one), Some(other)) = (microphone, speaker)
            && let (Some(what), Some(same)) =
                (one.strip_prefix("the microphone "), other.strip_prefix("the speaker "))
            && what == same
        {
            return vec![format!("The microphone and the speaker {what}.")];
        }
        let mut sentences: Vec<String> = [microphone, speaker].into_iter().flatten().map(sentence).collect();
        // No device at all is one trouble of both.
        sentences.dedup();
        sentences
    }
}

fn sentence(trouble: &str) -> String {
    format!("{}.", capitalised(trouble))
}

impl Device {
    /// A device by its id and name.
    pub fn new(id: impl Into<String>, name: impl Into<String>) -> Self {
        Self { id: id.into(), name: name.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_both_devices_is_told_once() {
        let told = |microphone: Option<&str>, speaker: Option<&str>| {
            let [microphone, speaker] =
                [microphone, speaker].map(|trouble| Use { device: None, trouble: trouble.map(str::to_owned) });
            Devices { microphone, speaker, ..Devices::default() }.troubles()
        };
        assert!(told(None, None).is_empty());
        assert_eq!(told(Some("no device was found"), Some("no device was found")), ["No device was found."]);
        assert_eq!(
            told(Some("the microphone cannot be used: EBUSY"), Some("the speaker cannot be used: EBUSY")),
            ["The microphone and the speaker cannot be used: EBUSY."]
        );
        assert_eq!(
            told(Some("the microphone is gone"), Some("the speaker hangs")),
            ["The microphone is gone.", "The speaker hangs."]
        );
    }
}
