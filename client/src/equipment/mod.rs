//! Camera, microphone and speaker of the application, or what stands in for them.
//!
//! ```text
//! engine thread: Hardware (Maker) --- calls' sources and sinks, ringing --+
//!                                                                         +--> Eye, sound::Devices
//! main thread:   Panel (Studio) ----- preview, level, check, test tone ---+       |
//!      ^                                                                          |
//!      +-- wake <------------------- news thread <------------------- what changed
//! ```

mod eye;
mod maker;
mod panel;
pub mod plan;

use std::{io, sync::Arc};

use self::{
    eye::Eye,
    maker::Hardware,
    panel::Panel,
    plan::{Pictures, Plan, Voice},
};
use crate::{
    app::{Wake, media::Maker, pictures::Cell, settings::Settings, studio::Studio},
    clock::Clock,
    sound,
    thread::{Stage, Urgency},
};

/// What devices are joined to.
pub struct Desk {
    /// The other's pictures.
    pub remote: Cell,
    /// One's own pictures.
    pub own: Cell,
    /// Tells that something about the devices has changed.
    pub wake: Wake,
    /// Time.
    pub clock: Clock,
}

/// What is joined to them.
pub struct Equipment {
    /// Makes calls' media; moves to the engine's thread.
    pub maker: Box<dyn Maker>,
    /// The same devices as the window sees them.
    pub studio: Box<dyn Studio>,
}

/// Joins the devices that `plan` asks for to the window.
///
/// # Errors
///
/// If the system gives no threads.
pub fn equip(plan: Plan, settings: &Settings, desk: &Desk) -> io::Result<Equipment> {
    let eye = match plan.pictures {
        Pictures::Camera => Some(Eye::start(&settings.camera, desk.clock, &desk.own)?),
        Pictures::File(_) | Pictures::Scene { .. } => None,
    };
    let listens = plan.voice == Voice::Microphone;
    let sound = if listens || plan.aloud { Some(Arc::new(sound::Devices::start(desk.clock)?)) } else { None };
    if let Some(sound) = &sound {
        sound.apply(&settings.sound);
    }
    let news = news(eye.as_ref(), sound.as_deref(), desk.wake.clone())?;
    let panel = Panel {
        eye: eye.clone(),
        sound: sound.clone(),
        listens,
        listening: None,
        checking: None,
        nothing_heard: false,
        _news: news,
    };
    let hardware = Hardware { plan, eye, sound, remote: desk.remote.clone(), own: desk.own.clone(), ring: None };
    Ok(Equipment { maker: Box::new(hardware), studio: Box::new(panel) })
}

/// Wakes the window whenever something about the devices has changed.
fn news(eye: Option<&Eye>, sound: Option<&sound::Devices>, wake: Wake) -> io::Result<Stage> {
    let (mut eye, mut sound) = (eye.map(Eye::news), sound.map(sound::Devices::status));
    Stage::spawn("visavis-news", Urgency::Usual, move || async move {
        loop {
            let seen = async {
                match &mut eye {
                    Some(eye) => eye.changed().await,
                    None => std::future::pending().await,
                }
            };
            let heard = async {
                let changed = match &mut sound {
                    Some(sound) => sound.changed().await.is_ok(),
                    None => false,
                };
                if !changed {
                    std::future::pending().await
                }
            };
            tokio::select! {
                () = seen => {}
                () = heard => {}
            }
            wake();
        }
    })
}
