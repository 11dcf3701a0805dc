//! Where pictures and sound come from: cameras, files and generated scenes; microphones come with the window.

#[cfg(target_os = "linux")]
pub mod camera;
pub mod sound;
pub mod video;
