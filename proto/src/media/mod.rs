//! Frames to packets and back, and when what came is played.
