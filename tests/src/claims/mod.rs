//! The figures that the project claims, measured with the real binaries on this machine: `cargo xtask claims`.
//!
//! | module | question |
//! |---|---|
//! | [`quality`] | how late, how sharp, how intelligible is a call on loopback? |
//! | [`setup`] | how soon after the accept is the first picture there? |
//! | [`load`] | what do idle clients and concurrent calls cost the relay? |
//! | [`window`] | how soon does a window show a decoded picture, and what does it cost? |

pub mod load;
pub mod quality;
pub mod setup;
pub mod window;

/// Measured figures held against what is claimed of them.
#[derive(Debug, Default)]
pub struct Verdicts {
    lines: Vec<String>,
    missed: usize,
}

impl Verdicts {
    /// `figure` must be at most `bound`.
    pub fn at_most(&mut self, what: &str, figure: f64, bound: f64) {
        self.add(what, figure, "at most", bound, figure <= bound);
    }

    /// `figure` must be at least `bound`.
    pub fn at_least(&mut self, what: &str, figure: f64, bound: f64) {
        self.add(what, figure, "at least", bound, figure >= bound);
    }

    /// A line a claim, and whether all hold.
    pub fn conclude(self) -> (String, bool) {
        (self.lines.join("\n"), self.missed == 0)
    }

    fn add(&mut self, what: &str, figure: f64, relation: &str, bound: f64, holds: bool) {
        self.missed += usize::from(!holds);
        let verdict = if holds { "holds" } else { "MISSED" };
        self.lines.push(format!("{verdict:>7}  {what}: {figure:.4}, claimed {relation} {bound}"));
    }
}

/// The value at a share (0 to 1) of the sorted values, nearest rank; 0 of none.
pub fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (share * values.len() as f64).ceil() as usize;
    values.get(rank.saturating_sub(1).min(values.len().saturating_sub(1))).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[test]
    fn one_missed_claim_is_enough() {
        let mut verdicts = super::Verdicts::default();
        verdicts.at_most("delay", 1.0, 2.0);
        verdicts.at_least("pictures", 28.0, 29.0);
        let (text, all_hold) = verdicts.conclude();
        assert!(!all_hold && text.contains("MISSED  pictures"), "{text}");
    }

    #[test]
    fn percentiles_are_values_that_occur() {
        let mut values = [5.0, 1.0, 3.0, 2.0, 4.0];
        assert_eq!(super::percentile(&mut values, 0.5), 3.0);
        assert_eq!(super::percentile(&mut values, 0.95), 5.0);
        assert_eq!(super::percentile(&mut [], 0.5), 0.0);
    }
}
