//! Hop sequence numbers without their wrap.

/// Extends 32-bit sequence numbers, each taken to be the nearest to the largest one seen.
#[derive(Debug, Default)]
pub struct Unwrapper {
    newest: Option<u64>,
}

impl Unwrapper {
    /// The extended number, remembered if it is the largest yet. Numbers before the first one stay above zero
    /// because extension starts one wrap up.
    pub fn unwrap(&mut self, sequence: u32) -> u64 {
        let extended = self.extend(sequence);
        self.newest = Some(self.newest.map_or(extended, |newest| newest.max(extended)));
        extended
    }

    /// The extended number, without remembering it.
    pub fn extend(&self, sequence: u32) -> u64 {
        match self.newest {
            None => u64::from(sequence) + (1 << 32),
            Some(newest) => {
                let ahead = sequence.wrapping_sub(newest as u32) as i32;
                newest.saturating_add_signed(i64::from(ahead))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wraps_forward_and_looks_back() {
        let mut unwrapper = Unwrapper::default();
        let last = unwrapper.unwrap(u32::MAX);
        assert_eq!(unwrapper.unwrap(0), last + 1);
        assert_eq!(unwrapper.unwrap(u32::MAX - 1), last - 1);
        assert_eq!(unwrapper.unwrap(2), last + 3);
        assert_eq!(unwrapper.extend(u32::MAX), last);
    }

    #[test]
    fn numbers_before_the_first_are_not_lost() {
        let mut unwrapper = Unwrapper::default();
        let first = unwrapper.unwrap(0);
        assert_eq!(unwrapper.unwrap(u32::MAX), first - 1);
    }
}
