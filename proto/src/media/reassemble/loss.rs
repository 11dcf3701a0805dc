//! What became of frames that were given up, told in ranges: a burst of loss is one report, not hundreds.

use std::collections::VecDeque;

use crate::ids::FrameNumber;

/// Why a frame was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LossCause {
    /// Some or all of it did not come in time.
    Lost,
    /// This hop's sender said that it dropped it.
    DroppedByHop,
    /// Some of it came, but a later frame was delivered first.
    Late,
    /// It needs, perhaps through others, this frame, which is gone.
    ReferenceMissing(FrameNumber),
    /// Too much was in flight.
    Overflow,
}

/// A range of frames, each given up once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LostFrames {
    /// The first frame.
    pub first: FrameNumber,
    /// The last frame.
    pub last: FrameNumber,
    /// Why, for all of them.
    pub cause: LossCause,
    /// Later frames are known to need them: their headers say so, or a later frame does. Frames of which nothing came
    /// are not known to be needed until a [`LossCause::ReferenceMissing`] names them.
    pub needed: bool,
}

/// Most loss reports kept for somebody who does not fetch them; beyond it the oldest is dropped and counted.
const MAX_REPORTS: usize = 256;

/// Reports on their way to whoever asks for frames again.
#[derive(Debug, Default)]
pub(super) struct Reports {
    queue: VecDeque<LostFrames>,
    dropped: u64,
}

impl Reports {
    /// Adds the frames from `first` to `last`, to the newest report if they continue it.
    pub fn add(&mut self, first: u64, last: u64, cause: LossCause, needed: bool) {
        let (first, last) = (frame_number(first), frame_number(last));
        if let Some(open) = self.queue.back_mut()
            && (open.last.next(), open.cause, open.needed) == (first, cause, needed)
        {
            open.last = last;
            return;
        }
        if self.queue.len() == MAX_REPORTS {
            self.queue.pop_front();
            self.dropped += 1;
        }
        self.queue.push_back(LostFrames { first, last, cause, needed });
    }

    /// The oldest report.
    pub fn pop(&mut self) -> Option<LostFrames> {
        self.queue.pop_front()
    }

    /// Reports that nobody fetched in time.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// The number as it travels, from the widened one that arithmetic is done on.
pub(super) fn frame_number(number: u64) -> FrameNumber {
    FrameNumber(u32::try_from(number).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_one_report_and_the_oldest_makes_room() {
        let mut reports = Reports::default();
        for number in [0, 1, 2, 5] {
            reports.add(number, number, LossCause::Lost, true);
        }
        reports.add(6, 6, LossCause::Late, true);
        let lost = |first, last, cause| {
            Some(LostFrames { first: FrameNumber(first), last: FrameNumber(last), cause, needed: true })
        };
        assert_eq!(reports.pop(), lost(0, 2, LossCause::Lost));
        assert_eq!(reports.pop(), lost(5, 5, LossCause::Lost));
        assert_eq!(reports.pop(), lost(6, 6, LossCause::Late));
        assert_eq!(reports.pop(), None);
        let many = MAX_REPORTS as u64 + 3;
        (0..many).for_each(|number| reports.add(2 * number, 2 * number, LossCause::Lost, true));
        assert_eq!(reports.dropped(), 3);
        assert_eq!(reports.pop(), lost(6, 6, LossCause::Lost));
    }
}
