//! Where pictures and sound come from: files and generated scenes; cameras and microphones come with the window.

pub mod sound;
pub mod video;
