//! An axis: a range of numbers, straight or by powers, and the round ones of them to write down.

use super::number;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use std::ops::Range;

/// More than this from the least to the most, and an axis goes by powers.
const SPREAD: f64 = 12.0;

#[derive(Clone, Debug)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    by_powers: bool,
}

impl Axis {
    /// From zero, for bars.
    pub(super) fn from_zero(values: impl IntoIterator<Item = f64>) -> Self {
        let (low, high) = ends(values);
        Self::straight(low.min(0.0), high.max(0.0))
    }

    /// Around the values, for points.
    pub(super) fn around(values: impl IntoIterator<Item = f64>) -> Self {
        let (low, high) = ends(values);
        if low > 0.0 && high / low > SPREAD {
            return Self { low: low * 0.8, high: high * 1.25, by_powers: true };
        }
        let room = 0.08 * (high - low).max(0.1 * high.abs()).max(f64::MIN_POSITIVE);
        let floor = if low >= 0.0 { 0.0 } else { f64::NEG_INFINITY };
        Self::straight((low - room).max(floor), high + room)
    }

    /// Neither more nor less.
    pub(super) fn exactly(low: f64, high: f64) -> Self {
        Self { low, high, by_powers: false }
    }

    fn straight(low: f64, high: f64) -> Self {
        let high = if high > low { high } else { low + 1.0 };
        Self::exactly(low, high + 0.03 * (high - low))
    }

    pub(super) fn is_by_powers(&self) -> bool {
        self.by_powers
    }

    /// Where a value is, from 0 to 1.
    fn share(&self, value: f64) -> f64 {
        let value = value.clamp(self.low, self.high);
        if self.by_powers {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        }
    }

    fn ticks(&self, most: usize) -> Vec<f64> {
        if self.by_powers { self.powers(most) } else { self.steps(most) }
    }

    /// Multiples of the least round step that gives few enough.
    fn steps(&self, most: usize) -> Vec<f64> {
        let rough = (self.high - self.low) / most.max(2) as f64;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|round| round * power);
        let step = step.into_iter().find(|step| *step >= rough).unwrap_or(10.0 * power);
        let first = (self.low / step).ceil() as i64;
        let last = (self.high / step).floor() as i64;
        (first..=last).map(|n| n as f64 * step).collect()
    }

    /// 1, 2, 5, 10, … or, where these are too many, fewer, down to every other power of ten.
    fn powers(&self, most: usize) -> Vec<f64> {
        let choose = |digits: &[f64], every: usize| -> Vec<f64> {
            let decades = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
            let all =
                decades.step_by(every).flat_map(|n| digits.iter().map(move |d| d * 10_f64.powi(n)));
            all.filter(|value| (self.low..=self.high).contains(value)).collect()
        };
        [&[1.0, 2.0, 5.0][..], &[1.0, 3.0], &[1.0]]
            .into_iter()
            .map(|digits| choose(digits, 1))
            .find(|ticks| ticks.len() <= most.max(2))
            .unwrap_or_else(|| choose(&[1.0], 2))
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        from + (self.share(*value) * f64::from(to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        self.ticks(hint.max_num_points())
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        let whole = self.by_powers || self.high - self.low >= 4.0;
        if whole { number::said(*value) } else { number::plain(*value) }
    }
}

/// The least and the most of the numbers among the values.
fn ends(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let numbers = values.into_iter().filter(|value| value.is_finite());
    let (low, high) = numbers.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    if low <= high { (low, high) } else { (0.0, 1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(Axis::from_zero([70.0]).ticks(5), [0.0, 20.0, 40.0, 60.0]);
        assert_eq!(Axis::from_zero([-40.0, 7.0]).ticks(5), [-40.0, -30.0, -20.0, -10.0, 0.0]);
        let wide = Axis::around([20.0, 20_000.0]);
        assert!(wide.is_by_powers());
        assert_eq!(wide.ticks(5), [100.0, 1000.0, 10_000.0]);
        for axis in [Axis::around([f64::NAN]), Axis::around([3.0]), Axis::from_zero([])] {
            assert!((2..=6).contains(&axis.ticks(5).len()), "{axis:?}");
        }
    }

    #[test]
    fn a_value_lands_where_it_belongs() {
        let axis = Axis::around([10.0, 1000.0]);
        assert!(axis.share(10.0) < axis.share(100.0));
        assert_eq!(axis.map(&f64::MAX, (0, 100)), 100);
        assert_eq!(axis.map(&0.0, (0, 100)), 0);
    }
}
