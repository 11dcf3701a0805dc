//! Pictures and sound: everything between raw samples and coded bytes. No network, no devices, no clock.
//!
//! ```text
//! camera / scene / y4m -> Picture -> h264::Encoder -> bytes -> h264::Decoder -> Picture -> color -> window
//! microphone / Speech / wav -> [i16] -> opus::Encoder -> bytes -> opus::Decoder -> [i16] -> stretch -> speaker
//! ```
//!
//! Every type here is plain data or a state machine that is called from one thread at a time; all of them are
//! `Send`, none of them blocks, sleeps or reads a clock. Bytes that came from the network may be anything: no
//! decoder here panics on them.
//!
//! Sound is 48 kHz, mono, signed 16 bit throughout; pictures are planar 4:2:0, 8 bit ([`Picture`]).
//!
//! Unsafe code is in `h264::ffi` alone, because the encoder and decoder options that low latency needs are
//! hidden by the safe wrappers of openh264.

#![deny(unsafe_code)]

pub mod color;
pub mod h264;
pub mod measure;
pub mod mjpeg;
pub mod opus;
pub mod picture;
pub mod raw;
pub mod scale;
pub mod scene;
pub mod stretch;
pub mod wav;
pub mod y4m;

pub use picture::Picture;
