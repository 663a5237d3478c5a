//! Sizes and alignments of requests, as an input chooses them.

use arbitrary::{Arbitrary, Result, Unstructured};

/// A size from 1 to 4 MiB. Small ones and the edges of the size classes come up most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size(pub(crate) usize);

impl Arbitrary<'_> for Size {
    fn arbitrary(input: &mut Unstructured<'_>) -> Result<Self> {
        let word = usize::from(u16::arbitrary(input)?);
        let (kind, number) = (word % 8, word / 8);
        Ok(Self(match kind {
            0..=3 => 1 + number % 2100,
            4 => near_a_power(number),
            5 => 1 + 5 * number,
            6 => 1 + 128 * number,
            _ => 1 + 512 * number,
        }))
    }
}

/// 2^n - 1, 2^n or 2^n + 1, from 1 to 4 MiB.
fn near_a_power(number: usize) -> usize {
    ((1 << (number / 3 % 23)) + number % 3).saturating_sub(1).max(1)
}

/// A power of two up to 4 MiB; mostly at most 16.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Align(pub(crate) usize);

impl Arbitrary<'_> for Align {
    fn arbitrary(input: &mut Unstructured<'_>) -> Result<Self> {
        let byte = u8::arbitrary(input)?;
        Ok(Self(1 << if byte < 128 { byte % 5 } else { byte % 23 }))
    }
}

/// A number that a C program may ask for: a [`Size`], 0, or one that no machine can serve.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Number(pub(crate) usize);

/// No request above it can be served: programs have fewer addresses.
pub(crate) const HOPELESS: usize = 1 << 47;

impl Arbitrary<'_> for Number {
    fn arbitrary(input: &mut Unstructured<'_>) -> Result<Self> {
        let byte = u8::arbitrary(input)?;
        let far = usize::from(byte % 24);
        Ok(Self(match byte {
            0..24 => usize::MAX - far,
            24..48 => isize::MAX as usize + 12 - far,
            48..64 => HOPELESS << (far % 17),
            64..80 => 0,
            _ => Size::arbitrary(input)?.0,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_is_from_1_to_4_mib_and_the_edges_are_there() {
        let sizes: Vec<usize> = (0..=u16::MAX)
            .map(|word| Size::arbitrary(&mut Unstructured::new(&word.to_le_bytes())))
            .map(|size| size.expect("two bytes are enough").0)
            .collect();
        assert!(sizes.iter().all(|size| (1..=(4 << 20) + 1).contains(size)));
        for size in [1, 16, 17, 1024, 1025, 32 << 10, (32 << 10) + 1, 512 << 10, 4 << 20] {
            assert!(sizes.contains(&size), "{size}");
        }
    }
}
