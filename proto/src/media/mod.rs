//! Frames to packets and back, and when what came is played.
//!
//! | module | role |
//! |---|---|
//! | [`packetise`] | a sealed frame to equal slices |
//! | [`reassemble`] | slices to frames, each frame number with exactly one fate |
//! | [`gate`] | never a frame to the decoder whose references it lacks; asks for recovery |
//! | [`playout`] | when each block of sound is played, concealed or stretched |
//! | [`arrival`] | how long sound takes to arrive, as a percentile |
//! | [`lipsync`] | when a picture is shown, given the delay of the sound |
//! | [`loss`] | what a hop lost, doubled and reordered |

pub mod arrival;
pub mod gate;
pub mod lipsync;
pub mod loss;
pub mod packetise;
pub mod playout;
pub mod reassemble;
