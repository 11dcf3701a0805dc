//! The application behind the window, without a window: what a person can do, and everything they can see.
//!
//! ```text
//! window (ui/) --- Command ---> engine (its own thread) ---> Client, the call's stages, devices
//!      ^                             |
//!      +-- wake + newest State <-----+        pictures go past it, straight to the window's cells
//! ```
//!
//! The engine decides; the window draws. Tests drive the same engine without a window.

mod beginning;
pub mod devices;
mod engine;
pub mod history;
mod join;
pub mod media;
pub mod people;
pub mod pictures;
pub mod quality;
mod running;
pub mod settings;
pub mod state;
pub mod studio;

pub use engine::{App, Command, Join, Options, Wake};
