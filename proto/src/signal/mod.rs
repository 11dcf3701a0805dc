//! What the two ends of a control connection keep in step: clocks, people, calls.

pub mod call;
pub mod clock;
pub mod relay_call;
