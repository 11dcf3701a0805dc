//! One hop's sending: what came, when the next packet may leave, whether another frame fits.
//!
//! | module | role |
//! |---|---|
//! | [`sequence`] | hop sequence numbers without their wrap |
//! | [`feedback`] | both ends' records of a hop's packets, and the reports between them |
//! | [`pacer`] | when the next packet may leave |
//! | [`fixed`] | the rate and the encode gate, at a rate that somebody chose |

pub mod feedback;
pub mod fixed;
pub mod pacer;
pub mod sequence;
