//! The blocks from one sample to the next: a number whose distribution is geometric, about. So no rhythm of a program
//! escapes the samples.
//!
//! Never: touches memory.

/// Bits behind the binary point.
const POINT: u32 = 16;
/// The natural logarithm of 2.
const LN_2: u64 = 45_426;

/// The next state of a generator of random numbers (Marsaglia's xorshift); never 0.
pub(crate) const fn next(state: u64) -> u64 {
    let state = if state == 0 { 0x9E37_79B9_7F4A_7C15 } else { state };
    let state = state ^ state << 13;
    let state = state ^ state >> 7;
    state ^ state << 17
}

/// A gap of `mean` blocks on average, of a random number; at least 1.
pub(crate) fn gap(mean: u32, random: u64) -> u32 {
    let blocks = (u64::from(mean.max(1)) - 1) * exponential((random >> 32) as u32 | 1);
    // Rounded by chance, so that short gaps keep their mean.
    let whole = (blocks + (random & ((1 << POINT) - 1))) >> POINT;
    u32::try_from(whole + 1).unwrap_or(u32::MAX)
}

/// The negative natural logarithm of a number divided by 2^32, which is above 0.
const fn exponential(number: u32) -> u64 {
    let logarithm = (u32::BITS as u64) << POINT;
    ((logarithm - log2(number)) * LN_2) >> POINT
}

/// The binary logarithm of a number above 0.
const fn log2(number: u32) -> u64 {
    let shift = number.leading_zeros();
    let mut logarithm = (31 - shift) as u64;
    // From 1 to below 2, with 31 bits behind the point. Its square is above 2 exactly if the next bit is 1.
    let mut rest = (number as u64) << shift;
    let mut bit = 0;
    while bit < POINT {
        rest = (rest * rest) >> 31;
        logarithm <<= 1;
        if rest >> 32 != 0 {
            rest >>= 1;
            logarithm |= 1;
        }
        bit += 1;
    }
    logarithm
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_is_exact_to_its_last_bits() {
        for number in [1, 2, 3, 10, 1000, 65_535, 1 << 31, u32::MAX] {
            let exact = f64::from(number).log2() * f64::from(1 << POINT);
            assert!((log2(number) as f64 - exact).abs() < 3.0, "{number}");
        }
    }

    #[test]
    fn gaps_have_their_mean_and_the_spread_of_chance() {
        for mean in [1, 2, 10, 5000, 1_000_000] {
            const COUNT: u32 = 100_000;
            let mut random = 1;
            let mut gaps: Vec<u32> = (0..COUNT)
                .map(|_| {
                    random = next(random);
                    gap(mean, random)
                })
                .collect();
            let sum: u64 = gaps.iter().map(|gap| u64::from(*gap)).sum();
            let measured = sum as f64 / f64::from(COUNT);
            let wanted = f64::from(mean);
            assert!((measured - wanted).abs() < 0.02 * wanted, "{mean}: {measured}");
            assert!(gaps.iter().all(|gap| *gap >= 1));
            // Half of all are shorter than 69 % of the mean.
            gaps.sort_unstable();
            let median = f64::from(gaps[gaps.len() / 2]);
            assert!(mean < 100 || (median / wanted - 0.693).abs() < 0.02, "{mean}: {median}");
        }
    }
}
