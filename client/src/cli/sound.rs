//! Microphone and speaker during a call on the command line: asleep until it rings, and told of when they change.

use tokio::sync::watch;

use crate::sound::{Choice, Devices, Role, Status, Tune, Use};

/// The device of `--microphone[=NAME]` and `--speaker[=NAME]`.
pub fn chosen(name: Option<&str>) -> Choice {
    match name {
        None | Some("") => Choice::Default,
        Some(name) => Choice::Device(name.to_owned()),
    }
}

/// The devices of a call.
pub struct Sound {
    /// The devices.
    pub devices: Devices,
    rings: bool,
    status: watch::Receiver<Status>,
    told: [Use; 2],
}

impl Sound {
    /// With `rings`, tunes are played.
    pub fn new(devices: Devices, rings: bool) -> Self {
        Self { rings, status: devices.status(), told: Default::default(), devices }
    }

    /// Plays a tune, if the speaker was asked for.
    pub fn ring(&self, tune: Option<Tune>) {
        if self.rings
            && let Err(error) = self.devices.play(tune)
        {
            tracing::warn!(%error, "the ring tone");
        }
    }

    /// The next sentence about the devices. Cancel-safe.
    pub async fn next(&mut self) -> String {
        loop {
            for (role, noun) in [(Role::Microphone, "microphone"), (Role::Speaker, "speaker")] {
                let now = self.status.borrow_and_update().of(role).clone();
                if now == self.told[role as usize] {
                    continue;
                }
                // What is wrong with both is said once.
                let known = self.told.iter().any(|told| told.trouble == now.trouble);
                let Use { device, trouble } = now.clone();
                self.told[role as usize] = now;
                match (trouble, device) {
                    (Some(trouble), _) if !known => return format!("Sound: {trouble}."),
                    (None, Some(device)) => return format!("The {noun} is {device}."),
                    _ => {}
                }
            }
            if self.status.changed().await.is_err() {
                // Only a panic of the devices' thread, which is told where it is joined.
                return std::future::pending().await;
            }
        }
    }
}

/// The next sentence about devices that may not be used at all.
pub async fn next(sound: &mut Option<Sound>) -> String {
    match sound {
        Some(sound) => sound.next().await,
        None => std::future::pending().await,
    }
}
