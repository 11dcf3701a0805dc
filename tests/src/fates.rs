//! What became of every frame of a call, by the records of both ends: the check that `--stats` leaves nothing out.

use std::{collections::BTreeSet, fmt::Write as _};

use visavis::stats::record::{Fate, FrameRecord, Media, Side};

/// Everything captured has exactly one record where it was captured, everything that left at most one where it was to be
/// shown, and what has none there was on its way when the call ended: captured = shown + dropped by cause + in flight.
/// Answers the sums in words.
///
/// # Panics
///
/// If it does not hold.
pub fn every_frame_has_one(sender: &[FrameRecord], receiver: &[FrameRecord]) -> String {
    let mut said = String::new();
    for (media, frames_a_second) in [(Media::Video, 30), (Media::Audio, 100)] {
        let of = |records: &[FrameRecord], side| -> Vec<FrameRecord> {
            records.iter().filter(|record| record.media == media && record.side == side).cloned().collect()
        };
        let (sent, came) = (of(sender, Side::Sender), of(receiver, Side::Receiver));
        let numbers = |records: &[FrameRecord], fits: fn(Fate) -> bool| -> BTreeSet<u32> {
            records.iter().filter(|record| fits(record.fate)).filter_map(|record| record.frame).collect()
        };
        let captures: BTreeSet<u32> = sent.iter().filter_map(|record| record.capture).collect();
        assert_eq!(captures.len(), sent.len(), "{media:?}: captured once, recorded once");
        let span = captures.last().zip(captures.first()).map_or(0, |(last, first)| last - first + 1);
        assert_eq!(span as usize, captures.len(), "{media:?}: a capture was passed over");
        assert!(sent.iter().all(|record| record.fate != Fate::Shown), "{media:?}: shown where it was captured");
        assert!(came.iter().all(|record| record.fate != Fate::Sent), "{media:?}: sent where it was received");

        let left = numbers(&sent, |fate| fate == Fate::Sent);
        let ended = numbers(&came, |_| true);
        assert_eq!(ended.len(), came.len(), "{media:?}: one end, one record");
        assert!(ended.is_subset(&numbers(&sent, |_| true)), "{media:?}: what comes was encoded");
        assert!(numbers(&came, |fate| fate == Fate::Shown).is_subset(&left), "{media:?}: what is shown was sent");

        // Without a record at the receiver is only what was on its way at the end, no more than a second of it.
        let without_end: BTreeSet<u32> = left.difference(&ended).copied().collect();
        if let Some((first, last)) = without_end.first().zip(left.last()) {
            assert!(last - first < frames_a_second, "{media:?}: {without_end:?} met no end, {last} was the last");
        }
        let in_flight = |records: &[FrameRecord]| numbers_of(records, Fate::InFlight);
        let (here, there) = (in_flight(&sent), in_flight(&came));
        assert!(here + there < frames_a_second as usize, "{media:?}: {here} and {there} were on their way");
        let shown = numbers_of(&came, Fate::Shown);
        let under_way = without_end.len() + here + there;
        let _ = writeln!(said, "{media:?}: {} captured, {shown} shown, {under_way} on their way", captures.len());
    }
    said
}

fn numbers_of(records: &[FrameRecord], fate: Fate) -> usize {
    records.iter().filter(|record| record.fate == fate).count()
}
