//! What the relay knows of a downlink: which of the packets it sent arrived, and when. The seam where a congestion
//! controller of the downlink belongs; today it keeps the books. (Of its clients' uplinks the relay is the receiving
//! end, and an [`ArrivalLog`](visavis_proto::cc::feedback::ArrivalLog) is all there is to it.)

use visavis_proto::{cc::feedback::SentLog, time::Timestamp, units::DataSize, wire::feedback::Feedback};

/// The sending end of one downlink.
#[derive(Debug)]
pub struct Books {
    sent: SentLog,
    lost: u64,
}

impl Default for Books {
    fn default() -> Self {
        Self { sent: SentLog::new(), lost: 0 }
    }
}

impl Books {
    /// A packet was handed to the socket.
    pub fn sent(&mut self, sequence: u32, bytes: usize, now: Timestamp) {
        self.sent.sent(sequence, DataSize::from_bytes(bytes as u64), now);
    }

    /// The subscriber reports. Answers how many packets are now known to be lost that were not before.
    pub fn handle_feedback(&mut self, feedback: &Feedback, now: Timestamp) -> u64 {
        let lost = self.sent.handle_feedback(feedback, now).lost.len() as u64;
        self.lost += lost;
        lost
    }

    /// Share of packets lost in the last second of reports, 0 to 1.
    pub fn loss_share(&self) -> Option<f64> {
        self.sent.loss_share()
    }
}
