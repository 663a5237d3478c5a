//! Figures as text: rounded for people. What is no number is [`NONE`], never `NaN`.

use crate::ledger::model::Change;

/// Where there is nothing to show.
pub(super) const NONE: &str = "–";

/// With as many digits as can be read: about three that count.
pub(super) fn plain(value: f64) -> String {
    let digits = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 1.0 => 1,
        size if size >= 0.1 => 2,
        size if size > 0.0 => 3,
        _ => 0,
    };
    if value.is_finite() { minus(&format!("{value:.digits$}")) } else { NONE.to_owned() }
}

/// A number without a fraction, its thousands apart.
pub(super) fn whole(value: f64) -> String {
    let sign = if value < 0.0 { "−" } else { "" };
    format!("{sign}{}", count(value.abs() as u64))
}

/// A figure that somebody gave, in no more digits than they gave.
pub(super) fn said(value: f64) -> String {
    if value.fract() == 0.0 { whole(value) } else { plain(value) }
}

/// From, to, likewise.
pub(super) fn said_range([low, high]: [f64; 2]) -> String {
    format!("{}\u{2009}…\u{2009}{}", said(low), said(high))
}

/// A change in percent, with its sign.
pub(super) fn percent(value: f64) -> String {
    let digits = if value.abs() >= 100.0 { 0 } else { 1 };
    if value.is_finite() { minus(&format!("{value:+.digits$} %")) } else { NONE.to_owned() }
}

/// A share in percent.
pub(super) fn share(value: f64) -> String {
    if value.is_finite() { minus(&format!("{value:.0} %")) } else { NONE.to_owned() }
}

/// From, to.
pub(super) fn range([low, high]: [f64; 2]) -> String {
    format!("{}\u{2009}…\u{2009}{}", plain(low), plain(high))
}

/// From, to, both with their sign.
pub(super) fn percent_range([low, high]: [f64; 2]) -> String {
    if !low.is_finite() || !high.is_finite() {
        return NONE.to_owned();
    }
    let digits = if low.abs().max(high.abs()) >= 10.0 { 0 } else { 1 };
    minus(&format!("{low:+.digits$}\u{2009}…\u{2009}{high:+.digits$} %"))
}

/// A count, its thousands apart.
pub(super) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// What is there by `show`, or [`NONE`].
pub(super) fn or_none<T>(value: Option<T>, show: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| NONE.to_owned(), show)
}

pub(super) fn mib(kib: f64) -> String {
    plain(kib / 1024.0)
}

/// The figure after a change, and the change in percent.
pub(super) fn change(change: Change, show: impl Fn(f64) -> String) -> String {
    let by = change.percent().map(|by| format!(" ({})", percent(by))).unwrap_or_default();
    format!("{}{by}", show(change.to))
}

/// With a minus sign that is as wide as a plus, and no negative zero.
fn minus(text: &str) -> String {
    let is_zero = !text.contains(|c: char| c.is_ascii_digit() && c != '0');
    let sign = if is_zero { "" } else { "−" };
    text.replace('-', sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds() {
        let shown = [1234.5, 45.67, -3.21, 0.123, 0.0123, 0.0, f64::NAN, f64::INFINITY].map(plain);
        assert_eq!(shown, ["1234", "45.7", "−3.2", "0.12", "0.012", "0", NONE, NONE]);
        assert_eq!(percent(-4.25), "−4.2 %");
        assert_eq!(percent(0.04), "+0.0 %");
        assert_eq!(percent(-0.04), "0.0 %");
        assert_eq!(percent(f64::NAN), NONE);
    }

    #[test]
    fn thousands_are_apart() {
        assert_eq!(count(999), "999");
        assert_eq!(count(1_561_356), "1\u{202f}561\u{202f}356");
    }
}
