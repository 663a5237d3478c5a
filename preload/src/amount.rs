//! Amounts in the environment: a number with a unit behind it, such as `512M` or `100ms`.

/// A unit: its name as users write it, in lower case, and what it multiplies by.
type Unit = (&'static [u8], usize);

/// Units of bytes. No name means bytes.
const BYTES: [Unit; 5] =
    [(b"", 1), (b"k", 1 << 10), (b"m", 1 << 20), (b"g", 1 << 30), (b"t", 1 << 40)];
/// Units of time, in milliseconds. No name means seconds.
const TIMES: [Unit; 3] = [(b"", 1000), (b"s", 1000), (b"ms", 1)];

/// Bytes. `None` if the text is no such amount, or too large for a number.
pub(crate) fn bytes(text: &[u8]) -> Option<usize> {
    amount(text, &BYTES)
}

/// Milliseconds. `None` if the text is no such amount, or too large for a number.
pub(crate) fn milliseconds(text: &[u8]) -> Option<usize> {
    amount(text, &TIMES)
}

fn amount(text: &[u8], units: &[Unit]) -> Option<usize> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, unit) = text.split_at_checked(digits)?;
    if digits.is_empty() {
        return None;
    }
    let digit = |number: usize, digit: &u8| {
        number.checked_mul(10)?.checked_add(usize::from(digit.wrapping_sub(b'0')))
    };
    let number = digits.iter().try_fold(0, digit)?;
    let (_, by) = units.iter().find(|(name, _)| unit.eq_ignore_ascii_case(name))?;
    number.checked_mul(*by)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_units() {
        assert_eq!((bytes(b"0"), bytes(b"4096"), bytes(b"3k")), (Some(0), Some(4096), Some(3072)));
        assert_eq!((bytes(b"512M"), bytes(b"2G")), (Some(512 << 20), Some(2 << 30)));
        assert_eq!((bytes(b"1T"), bytes(b"16777215T")), (Some(1 << 40), Some(0xFF_FFFF << 40)));
        assert_eq!((milliseconds(b"2"), milliseconds(b"100ms")), (Some(2000), Some(100)));
        assert_eq!(milliseconds(b"3s"), Some(3000));
    }

    #[test]
    fn what_is_no_amount() {
        for text in
            ["", "M", "-1", "1.5G", "1 M", "1MB", "99999999999999999999", "20000000T", "1e3"]
        {
            assert_eq!(bytes(text.as_bytes()), None, "{text}");
        }
        assert_eq!((milliseconds(b"1m"), milliseconds(b"ms")), (None, None));
    }
}
