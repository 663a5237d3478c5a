//! Medians, their intervals, and means of ratios.
//!
//! The interval of a median is a percentile bootstrap. A draw takes as many values as there are, with replacement, and
//! has a median; the middle 95 % of 2000 such medians are the interval. The draws repeat in every run, so a result is a
//! function of its samples.

/// Fewest values that have an interval.
const FEWEST: usize = 6;

/// Sets of values drawn for one interval.
const DRAWS: usize = 2000;

/// The middle value, or the mean of the middle two.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.len().checked_sub(1)? / 2, values.len() / 2);
    Some((values[low] + values[high]) / 2.0)
}

/// The 95 % interval of the median of these values; `None` for fewer than six, whose whole range holds the median with
/// less than 95 %.
pub(crate) fn median_interval(values: &[f64]) -> Option<[f64; 2]> {
    if values.len() < FEWEST {
        return None;
    }
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut pick = || {
        // Marsaglia's xorshift64.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        values[((random >> 32) as usize * values.len()) >> 32]
    };
    let mut medians: Vec<f64> =
        (0..DRAWS).filter_map(|_| median(values.iter().map(|_| pick()).collect())).collect();
    medians.sort_by(f64::total_cmp);
    Some([0.025, 0.975].map(|share| medians[((DRAWS - 1) as f64 * share).round() as usize]))
}

/// The geometric mean of ratios, in which twice and half cancel out.
pub(crate) fn geometric_mean(ratios: &[f64]) -> f64 {
    let sum: f64 = ratios.iter().map(|ratio| ratio.ln()).sum();
    (sum / ratios.len() as f64).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_means() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0]), Some(3.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert!((geometric_mean(&[0.5, 2.0, 8.0, 0.125]) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn an_interval_holds_its_median_and_narrows_with_more_values() {
        let few: Vec<f64> = (0..7).map(f64::from).collect();
        let many: Vec<f64> = (0..70).map(|n| f64::from(n) / 10.0).collect();
        let [low, high] = median_interval(&few).expect("seven are enough");
        assert!(low < 3.0 && 3.0 < high, "{low} {high}");
        let [lower, higher] = median_interval(&many).expect("seventy are enough");
        assert!(higher - lower < high - low);
        assert_eq!(median_interval(&few), Some([low, high]), "the same in every run");
        assert_eq!(median_interval(&[1.0, 2.0, 3.0, 4.0, 5.0]), None);
        assert_eq!(median_interval(&[5.0; 9]), Some([5.0, 5.0]));
    }
}
