//! What the page looks like: its colours, once for light and once for dark, and the sizes of text.
//!
//! A chart carries the light colours as attributes. The style sheet made here replaces each by a
//! variable, which is another colour where the reader prefers dark.

use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontStyle, IntoFont, RGBColor, TextStyle};
use std::fmt::Write as _;

pub(super) const PAPER: RGBColor = RGBColor(0xFF, 0xFF, 0xFF);
pub(super) const INK: RGBColor = RGBColor(0x1B, 0x1F, 0x24);
pub(super) const MUTED: RGBColor = RGBColor(0x57, 0x60, 0x6A);
pub(super) const GRID: RGBColor = RGBColor(0xDF, 0xE3, 0xE8);
/// Lines that carry the eye: zero, the floor, the control.
pub(super) const AXIS: RGBColor = RGBColor(0x7D, 0x86, 0x90);
/// Ours, the one that a program gets; and what saves.
pub(super) const OURS: RGBColor = RGBColor(0x0B, 0x5F, 0xA5);
/// Our other variants.
pub(super) const VARIANT: RGBColor = RGBColor(0x5B, 0x97, 0xC9);
/// Other allocators; and what costs.
pub(super) const PEER: RGBColor = RGBColor(0xB8, 0x4E, 0x08);
/// What was said, not measured.
pub(super) const SAID: RGBColor = RGBColor(0x8A, 0x6D, 0x9E);

/// Name in the style sheet, in light, in dark.
const PALETTE: [(&str, RGBColor, RGBColor); 9] = [
    ("paper", PAPER, RGBColor(0x14, 0x18, 0x1D)),
    ("ink", INK, RGBColor(0xE6, 0xE9, 0xED)),
    ("muted", MUTED, RGBColor(0xA6, 0xAF, 0xB9)),
    ("grid", GRID, RGBColor(0x30, 0x37, 0x3F)),
    ("axis", AXIS, RGBColor(0x8A, 0x94, 0x9E)),
    ("ours", OURS, RGBColor(0x5A, 0xB0, 0xF5)),
    ("variant", VARIANT, RGBColor(0x3F, 0x7C, 0xB0)),
    ("peer", PEER, RGBColor(0xF0, 0x92, 0x4A)),
    ("said", SAID, RGBColor(0xB8, 0x9B, 0xCC)),
];

/// One of the two sizes in which every chart is drawn: the page shows the one that fits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Size {
    /// The class that the style sheet knows it by.
    pub(super) class: &'static str,
    pub(super) width: u32,
    /// Of text, in pixels.
    pub(super) text: f64,
    pub(super) small: f64,
    /// Numbers on an axis, at most about.
    pub(super) ticks: usize,
}

pub(super) const SIZES: [Size; 2] = [
    Size { class: "wide", width: 860, text: 13.0, small: 12.0, ticks: 9 },
    Size { class: "narrow", width: 360, text: 12.0, small: 11.5, ticks: 5 },
];

impl Size {
    pub(super) fn is_narrow(self) -> bool {
        self.width < 500
    }
}

/// The style sheet, colours and all.
pub(super) fn css() -> String {
    let mut css = String::new();
    for (dark, head, tail) in
        [(false, ":root{", "}\n"), (true, "@media(prefers-color-scheme:dark){:root{", "}}\n")]
    {
        css += head;
        for (name, light_colour, dark_colour) in PALETTE {
            let colour = if dark { dark_colour } else { light_colour };
            let _ = write!(css, "--{name}:{};", hex(colour));
        }
        css += tail;
    }
    for (name, light, _) in PALETTE {
        let mark = hex(light);
        let _ = writeln!(
            css,
            "svg [fill=\"{mark}\"]{{fill:var(--{name})}} \
             svg [stroke=\"{mark}\"]{{stroke:var(--{name})}}"
        );
    }
    css + include_str!("style.css")
}

/// As the plotting library writes it.
fn hex(RGBColor(red, green, blue): RGBColor) -> String {
    format!("#{red:02X}{green:02X}{blue:02X}")
}

/// Text of so many pixels, anchored at its middle height.
pub(super) fn text(pixels: f64, colour: RGBColor, anchor: HPos) -> TextStyle<'static> {
    styled(pixels, colour, anchor, FontStyle::Normal)
}

pub(super) fn bold(pixels: f64, colour: RGBColor, anchor: HPos) -> TextStyle<'static> {
    styled(pixels, colour, anchor, FontStyle::Bold)
}

fn styled(pixels: f64, colour: RGBColor, anchor: HPos, style: FontStyle) -> TextStyle<'static> {
    // The library takes a font's height, and writes the size of its letters.
    let font = ("sans-serif", pixels * 1.24).into_font().style(style);
    TextStyle { font, color: colour.to_backend_color(), pos: Pos::new(anchor, VPos::Center) }
}

/// About how wide a text will be: fonts differ, so this is that of a wide one.
pub(super) fn text_width(text: &str, pixels: f64) -> f64 {
    text.chars().count() as f64 * pixels * 0.61
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_told_apart_by_their_marks() {
        for (at, (name, light, _)) in PALETTE.iter().enumerate() {
            assert!(!PALETTE[..at].iter().any(|(_, other, _)| other == light), "{name}");
        }
    }
}
