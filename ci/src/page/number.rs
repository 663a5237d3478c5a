//! Figures as text, rounded for people. A value that is no number is [`NONE`], never `NaN`.

use crate::ledger::model::Change;

/// The text for a figure that is missing.
pub(super) const NONE: &str = "–";

/// About three significant digits.
pub(super) fn plain(value: f64) -> String {
    let digits = match value.abs() {
        size if size >= 100.0 || size.fract() == 0.0 => 0,
        size if size >= 1.0 => 1,
        size if size >= 0.1 => 2,
        _ => 3,
    };
    if value.is_finite() { minus(&format!("{value:.digits$}")) } else { NONE.to_owned() }
}

/// A change in percent, with its sign.
pub(super) fn percent(value: f64) -> String {
    let digits = if value.abs() >= 100.0 { 0 } else { 1 };
    if value.is_finite() { minus(&format!("{value:+.digits$} %")) } else { NONE.to_owned() }
}

/// A range, or one number if both ends are equal.
pub(super) fn range(ends: [f64; 2]) -> String {
    let [low, high] = ends.map(plain);
    if low == high { low } else { format!("{low}\u{2009}…\u{2009}{high}") }
}

/// A range, both ends with their sign.
pub(super) fn percent_range(ends: [f64; 2]) -> String {
    let [low, high] = ends.map(percent);
    format!("{}\u{2009}…\u{2009}{high}", low.trim_end_matches(" %"))
}

/// A count, with its thousands separated.
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

/// A value by `show`, or [`NONE`].
pub(super) fn or_none<T>(value: Option<T>, show: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| NONE.to_owned(), show)
}

/// The figure after a change, and the change in percent.
pub(super) fn change(change: Change, show: impl Fn(f64) -> String) -> String {
    let by = change.percent().map(|by| format!(" ({})", percent(by))).unwrap_or_default();
    format!("{}{by}", show(change.to))
}

/// Uses a minus sign that is as wide as a plus, and no negative zero.
fn minus(text: &str) -> String {
    let is_zero = !text.contains(|c: char| c.is_ascii_digit() && c != '0');
    text.replace('-', if is_zero { "" } else { "−" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds() {
        let shown = [1234.5, 45.67, -3.21, 0.123, 0.0123, 0.0, f64::NAN, f64::INFINITY].map(plain);
        assert_eq!(shown, ["1234", "45.7", "−3.2", "0.12", "0.012", "0", NONE, NONE]);
        let shown = [-4.25, 0.04, -0.04, f64::NAN].map(percent);
        assert_eq!(shown, ["−4.2 %", "+0.0 %", "0.0 %", NONE]);
        assert_eq!([999, 1_561_356].map(count), ["999", "1\u{202f}561\u{202f}356"]);
    }
}
