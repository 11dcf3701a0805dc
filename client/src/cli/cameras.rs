//! `visavis cameras`, and what a call's camera has to say.

#[cfg(target_os = "linux")]
use crate::capture::camera::{Choice, Control, Source, list, mode::Wish, source, state::State};

/// `visavis cameras`: the cameras of this machine with what they offer.
#[cfg(target_os = "linux")]
pub async fn run() -> anyhow::Result<super::Outcome> {
    use anyhow::Context;

    let cameras = list(&crate::worker::own_program()).await.context(
        "the cameras cannot be listed: a driver does not answer. Unplug cameras that do not work, and try again",
    )?;
    if cameras.is_empty() {
        println!("There is no camera here: plug one in, or start the program behind it.");
    }
    for camera in cameras {
        println!("{}\n    id: {}", camera.name, camera.id);
        for offer in &camera.offers {
            let (width, height) = offer.size;
            let rate = (offer.interval.per_second() * 100.0).round() / 100.0;
            println!("    {}: up to {width}x{height}, {rate} pictures a second", offer.format);
        }
        if camera.offers.is_empty() {
            println!("    it does not say what it offers; another program may be using it");
        }
    }
    Ok(super::Outcome::Done)
}

/// The camera of a call, or none.
#[derive(Default)]
pub struct Camera {
    #[cfg(target_os = "linux")]
    chosen: Option<Chosen>,
}

#[cfg(target_os = "linux")]
struct Chosen {
    choice: Choice,
    control: Control,
    status: tokio::sync::watch::Receiver<crate::capture::camera::Status>,
    /// Something was the matter, and was told.
    troubled: bool,
}

#[cfg(target_os = "linux")]
impl Camera {
    /// A source for a camera by its name or id, the first one if that is empty; it is opened by [`Camera::open`].
    pub fn new(name: &str, size: (u32, u32), frames_per_second: f64) -> (Source, Self) {
        let id = Some(name.to_owned()).filter(|name| !name.is_empty());
        let choice = Choice::new(id, Wish { size, frames_per_second });
        let (source, control) = source(None);
        let status = control.status();
        (source, Self { chosen: Some(Chosen { choice, control, status, troubled: false }) })
    }
}

impl Camera {
    /// The call begins to ring: the camera's light goes on.
    pub fn open(&self) {
        #[cfg(target_os = "linux")]
        if let Some(chosen) = &self.chosen {
            chosen.control.choose(Some(chosen.choice.clone()));
        }
    }

    /// The next sentence for the person; waits for ever if nothing happens. Cancel-safe.
    pub async fn says(&mut self) -> String {
        #[cfg(target_os = "linux")]
        if let Some(chosen) = &mut self.chosen {
            while chosen.status.changed().await.is_ok() {
                let status = chosen.status.borrow_and_update().clone();
                let sentence = status.sentence().filter(|_| status.state != State::Opening);
                match sentence {
                    Some(sentence) => {
                        chosen.troubled = true;
                        return sentence;
                    }
                    None if status.state == State::Live && std::mem::take(&mut chosen.troubled) => {
                        return format!("{} works again.", status.camera.as_deref().unwrap_or("The camera"));
                    }
                    None => {}
                }
            }
        }
        std::future::pending().await
    }
}
