//! The window: what is seen and clicked. No call logic: decisions are [`crate::app`]'s, devices [`crate::equipment`]'s.
//!
//! ```text
//! decode thread --- pictures (newest wins) ---+
//! capture thread -- pictures (newest wins) ---+--> window: winit's loop --> schedule: draw now, later, not
//! engine ---------- waker (newer State) ------+       |                         |
//! desktop --------- waker (light, dark) ------+       |                         +--> open: screens laid out, then
//!                                                     |                              gpu: egui's pass, video in it
//!      Command for the engine  <---- Action ----------+
//!
//! State, Settings, Devices ---> screens::show ---> Action: a Command for the engine, or something of the window's
//!                 Local <-----> (pure: input       Layout: where the pictures belong
//!      (fields, open panels)     in, shapes out)
//! ```
//!
//! Main thread, which sleeps unless something happened. No other thread waits for it: pictures come through cells in
//! which the newest wins, so dragging, resizing or covering the window costs drawings and never media.
//!
//! [`theme`] has colours, type and spacing, [`icons`] and [`widgets`] what is drawn with them, [`screens`] the rest.

pub mod desktop;
pub mod door;
pub mod fonts;
pub mod gpu;
pub mod icons;
pub mod local;
mod logo;
mod open;
pub mod pilot;
pub mod schedule;
pub mod screens;
mod tell;
pub mod theme;
pub mod times;
pub mod video;
pub mod waker;
pub mod widgets;
pub mod window;

pub use window::{Options, run};
