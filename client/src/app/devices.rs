//! The devices that can be chosen, as plain data: whoever finds them fills it, the window lists it.

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

impl Device {
    /// A device by its id and name.
    pub fn new(id: impl Into<String>, name: impl Into<String>) -> Self {
        Self { id: id.into(), name: name.into() }
    }
}
