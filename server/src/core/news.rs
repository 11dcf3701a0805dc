//! Tells a sender what was dropped: the first frame at once, and what goes on being dropped as ranges.
//!
//! A subscriber that is not heard for half a minute would otherwise cost its sender a message a frame.

use std::{collections::VecDeque, time::Duration};

use visavis_proto::{time::Timestamp, wire::control::FramesDropped};

use super::forward::Drop;

/// Least time between two reports about one subscriber: three pictures, and short beside the time a sender needs to act.
const INTERVAL: Duration = Duration::from_millis(100);

/// Most ranges that wait. They are broken only by frames that went through, so a few are many; when there are more, the
/// oldest is forgotten: the receiver learns of it from the packets themselves.
const MAX_RANGES: usize = 16;

/// What one subscriber was not sent, as its sender is to learn it.
#[derive(Debug, Default)]
pub struct DropNews {
    ranges: VecDeque<FramesDropped>,
    told: Option<Timestamp>,
}

impl DropNews {
    /// A frame was given up. `false` if an older report was forgotten for it.
    pub fn add(&mut self, drop: Drop) -> bool {
        let (number, cause) = (drop.frame.0, i32::from(drop.cause));
        let follows = |range: &&mut FramesDropped| {
            range.stream == drop.stream.0 && range.cause == cause && range.last.checked_add(1) == Some(number)
        };
        if let Some(range) = self.ranges.iter_mut().find(follows) {
            range.last = number;
            return true;
        }
        let is_full = self.ranges.len() == MAX_RANGES;
        if is_full {
            self.ranges.pop_front();
        }
        self.ranges.push_back(FramesDropped { stream: drop.stream.0, first: number, last: number, cause });
        !is_full
    }

    /// The report that is due.
    pub fn poll(&mut self, now: Timestamp) -> Option<FramesDropped> {
        if self.told.is_some_and(|told| now.since(told) < INTERVAL) {
            return None;
        }
        let range = self.ranges.pop_front()?;
        // Several ranges leave one after the other; the pause follows the last.
        self.told = self.ranges.is_empty().then_some(now).or(self.told);
        Some(range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use visavis_proto::{
        ids::{FrameNumber, StreamId},
        wire::control::DropCause,
    };

    fn drop(stream: u32, frame: u32) -> Drop {
        Drop { stream: StreamId(stream), frame: FrameNumber(frame), cause: DropCause::DownlinkFull }
    }

    #[test]
    fn the_first_is_told_at_once_and_the_rest_as_ranges() {
        let mut news = DropNews::default();
        let start = Timestamp::from_micros(1);
        news.add(drop(1, 5));
        assert_eq!(news.poll(start).map(|range| (range.first, range.last)), Some((5, 5)));
        for frame in 6..9 {
            news.add(drop(1, frame));
            news.add(drop(2, frame + 100));
            assert_eq!(news.poll(start + INTERVAL / 2), None);
        }
        // Frame 9 went through.
        news.add(drop(1, 10));
        let told: Vec<_> = std::iter::from_fn(|| news.poll(start + INTERVAL)).collect();
        let ranges: Vec<_> = told.iter().map(|range| (range.stream, range.first, range.last)).collect();
        assert_eq!(ranges, [(1, 6, 8), (2, 106, 108), (1, 10, 10)]);
    }

    #[test]
    fn what_is_never_fetched_does_not_grow() {
        let mut news = DropNews::default();
        let kept = (0..1_000).filter(|&frame| news.add(drop(1, 2 * frame))).count();
        assert_eq!(kept, MAX_RANGES);
        assert_eq!(news.ranges.len(), MAX_RANGES);
    }
}
