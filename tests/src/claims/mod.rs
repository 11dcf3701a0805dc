//! The figures that the project claims, measured with the real binaries on this machine: `cargo xtask claims`.
//!
//! | module | question |
//! |---|---|
//! | [`quality`] | how late, how sharp, how intelligible is a call on loopback? |
//! | [`setup`] | how soon after the accept is the first picture there? |
//! | [`load`] | what do idle clients and concurrent calls cost the relay? |

pub mod load;
pub mod quality;
pub mod setup;

/// The value at a share (0 to 1) of the sorted values, nearest rank; 0 of none.
pub fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (share * values.len() as f64).ceil() as usize;
    values.get(rank.saturating_sub(1).min(values.len().saturating_sub(1))).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[test]
    fn percentiles_are_values_that_occur() {
        let mut values = [5.0, 1.0, 3.0, 2.0, 4.0];
        assert_eq!(super::percentile(&mut values, 0.5), 3.0);
        assert_eq!(super::percentile(&mut values, 0.95), 5.0);
        assert_eq!(super::percentile(&mut [], 0.5), 0.0);
    }
}
