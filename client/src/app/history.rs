//! Past calls in words, for the command line and the window alike.

use visavis_proto::wire::control::{EndReason, PastCall};

use super::people::duration;

/// What became of a call: "missed", "talked for 3 min".
pub fn outcome(call: &PastCall) -> String {
    match (call.missed(), call.accepted_ms, call.reason()) {
        (true, ..) => "missed".to_owned(),
        (false, 0, EndReason::Declined) => "declined".to_owned(),
        (false, 0, EndReason::Busy) => "busy".to_owned(),
        (false, 0, EndReason::Offline) => "was not online".to_owned(),
        (false, 0, EndReason::Cancelled) => "cancelled".to_owned(),
        (false, 0, _) => "not answered".to_owned(),
        (false, accepted, reason) => {
            let cut_off = if reason == EndReason::RelayLost { ", then the relay failed" } else { "" };
            format!("talked for {}{cut_off}", duration(call.ended_ms.saturating_sub(accepted) / 1_000))
        }
    }
}
