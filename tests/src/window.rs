//! Somebody before a window of their own: a screen that nobody sees, keyboard and mouse, and what the window tells.

use std::{ffi::OsStr, path::Path};

use anyhow::Context;
use serde_json::Value;

use crate::{
    real::{PATIENCE, Person, Process},
    screen::Screen,
};

/// Of the screen, and of the window on it, in pixels.
const WIDTH: u32 = 1_120;
/// See [`WIDTH`].
const HEIGHT: u32 = 720;

/// Flags of a window without devices, with a small picture.
pub const SCENE: [&str; 2] = ["--scene", "--size=640x360"];

/// Somebody before a window of their own.
#[derive(Debug)]
pub struct Somebody {
    /// Who.
    pub name: &'static str,
    /// Their screen, keyboard and mouse.
    pub screen: Screen,
    /// The client.
    pub window: Process,
    /// The newest that it told.
    shown: Value,
}

impl Somebody {
    /// Opens the window of the person of this name, whose profile lies in `folder`, with these arguments and variables of
    /// the environment.
    ///
    /// # Errors
    ///
    /// If no window comes up.
    pub fn sits_down(
        folder: &Path,
        name: &'static str,
        arguments: &[&str],
        environment: &[(&str, &OsStr)],
    ) -> anyhow::Result<Self> {
        Self::sits_down_at(Screen::start(WIDTH, HEIGHT)?, folder, name, arguments, environment)
    }

    /// As [`Self::sits_down`], at this screen.
    ///
    /// # Errors
    ///
    /// If no window comes up.
    pub fn sits_down_at(
        screen: Screen,
        folder: &Path,
        name: &'static str,
        arguments: &[&str],
        environment: &[(&str, &OsStr)],
    ) -> anyhow::Result<Self> {
        let flags = [&["--state-json"], arguments].concat();
        let window = Person::new(folder, name).start_window(&screen.display, &flags, environment)?;
        screen.focus("Visavis")?;
        Ok(Self { name, screen, window, shown: Value::Null })
    }

    /// Reads what the window tells until it shows what is expected.
    ///
    /// # Errors
    ///
    /// If it never does.
    pub fn sees(&mut self, what: &str, such: impl Fn(&Value) -> bool) -> anyhow::Result<&Value> {
        if !such(&self.shown) {
            let mut last = Value::Null;
            let found = self.window.wait_until(PATIENCE, |line| {
                let shown: Value = serde_json::from_str(line).ok()?;
                if such(&shown) {
                    return Some(shown);
                }
                last = shown;
                None
            });
            self.shown = found.with_context(|| format!("{}'s window never showed {what}, but {last}", self.name))?;
        }
        Ok(&self.shown)
    }

    /// Waits for a phase of the call.
    ///
    /// # Errors
    ///
    /// If it never comes.
    pub fn sees_phase(&mut self, phase: &str) -> anyhow::Result<&Value> {
        self.sees(phase, |shown| shown["call"]["phase"] == phase)
    }

    /// Moves the keyboard's focus on by so many widgets, one after the other: within one drawing it moves only once.
    ///
    /// # Errors
    ///
    /// If it does not move.
    pub fn tabs(&mut self, widgets: usize) -> anyhow::Result<()> {
        for _ in 0..widgets {
            let before = self.shown["focus"].clone();
            self.screen.press(&["Tab"])?;
            self.sees("another widget in focus", |shown| shown["focus"] != before && !shown["focus"].is_null())?;
        }
        Ok(())
    }

    /// Clicks the button, menu row or switch of this name, as soon as there is one.
    ///
    /// # Errors
    ///
    /// If there never is.
    pub fn clicks(&mut self, button: &str) -> anyhow::Result<()> {
        // What was told until now counts: buttons move from screen to screen.
        while let Some(line) = self.window.try_line() {
            self.shown = serde_json::from_str(&line).unwrap_or_else(|_| self.shown.take());
        }
        let shown = self.sees(button, |shown| !shown["buttons"][button].is_null())?;
        let place = serde_json::from_value(shown["buttons"][button].clone())?;
        self.screen.click("Visavis", place)
    }

    /// Types the form of the first screen from the present field on.
    ///
    /// # Errors
    ///
    /// If that does not lead in.
    pub fn joins(&mut self, fields: &[&str]) -> anyhow::Result<()> {
        for (index, field) in fields.iter().enumerate() {
            if index > 0 {
                self.screen.press(&["Tab"])?;
            }
            self.screen.write(field)?;
        }
        self.keeps("form")?;
        self.screen.press(&["Return"])?;
        self.sees("being online", |shown| shown["access"] == "member" && shown["connection"] == "online")?;
        Ok(())
    }

    /// Keeps what is on the screen in the folder `VISAVIS_SHOTS`, if that is set.
    ///
    /// # Errors
    ///
    /// If it cannot be kept.
    pub fn keeps(&self, step: &str) -> anyhow::Result<()> {
        if let Some(folder) = std::env::var_os("VISAVIS_SHOTS") {
            self.screen.look()?.save(&Path::new(&folder).join(format!("{}-{step}.ppm", self.name)))?;
        }
        Ok(())
    }
}
