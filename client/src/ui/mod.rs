//! The window: what is seen and clicked. No call logic: decisions are [`crate::app`]'s.
//!
//! ```text
//! State, Settings, Devices ---> screens::show ---> Action: a Command for the engine, or something of the window's
//!                 Local <-----> (pure: input       Layout: where the pictures belong
//!      (fields, open panels)     in, shapes out)
//! ```
//!
//! [`theme`] has colours, type and spacing, [`icons`] and [`widgets`] what is drawn with them, [`screens`] the rest.

pub mod icons;
pub mod local;
pub mod screens;
pub mod theme;
pub mod times;
pub mod widgets;
