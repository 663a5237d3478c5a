//! Puts names beside points, so that none hides another.
//!
//! Points come in the order of their weight: the first gets the best place. A name that finds no
//! place is left out; the caller says where else it can be read.

use plotters::style::text_anchor::HPos;
use std::ops::Range;

pub(super) struct Place {
    /// Middle of the text's height, at its anchor.
    pub(super) at: (i32, i32),
    pub(super) anchor: HPos,
    /// Whether it is so far from its point that a line should join them.
    pub(super) is_far: bool,
}

#[derive(Clone, Copy)]
struct Field {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

/// Distances from the point that are tried, in pixels.
const DISTANCES: [f64; 7] = [10.0, 18.0, 28.0, 40.0, 54.0, 70.0, 90.0];
/// From this on it is far.
const FAR: f64 = 18.0;
/// Directions that are tried, in parts of a full turn: to the right, to the left, and between.
const TURNS: [f64; 16] =
    [0.0, 0.5, 0.94, 0.06, 0.56, 0.44, 0.88, 0.12, 0.62, 0.38, 0.82, 0.18, 0.68, 0.32, 0.75, 0.25];
/// Around a point, nothing is written.
const RADIUS: f64 = 6.0;

/// A place for each point's name, given where the point is and how wide the name, in a field of so
/// many pixels across and down.
pub(super) fn place(
    points: &[((i32, i32), f64)],
    pixels: f64,
    (across, down): (Range<i32>, Range<i32>),
) -> Vec<Option<Place>> {
    let bounds = Field {
        left: f64::from(across.start),
        top: f64::from(down.start),
        right: f64::from(across.end),
        bottom: f64::from(down.end),
    };
    let marks: Vec<Field> = points.iter().map(|(at, _)| around(*at)).collect();
    let mut names: Vec<Field> = Vec::new();
    let mut lines: Vec<[(f64, f64); 2]> = Vec::new();
    let mut places = Vec::new();
    for (at, width) in points {
        let found = candidates(*at, *width, pixels).find(|(_, field, line)| {
            let free = |other: &Field| !field.meets(other);
            field.is_in(&bounds)
                && names.iter().all(free)
                && marks.iter().all(free)
                && !lines.iter().any(|line| field.is_crossed(line))
                && !names.iter().any(|name| name.is_crossed(line))
        });
        places.push(found.map(|(place, field, line)| {
            names.push(field);
            if place.is_far {
                lines.push(line);
            }
            place
        }));
    }
    places
}

/// Places for a name, from the nearest on: each with its field, and its line to the point.
fn candidates(
    (x, y): (i32, i32),
    width: f64,
    pixels: f64,
) -> impl Iterator<Item = (Place, Field, [(f64, f64); 2])> {
    let all = DISTANCES.into_iter().flat_map(|far| TURNS.into_iter().map(move |turn| (far, turn)));
    all.map(move |(distance, turn)| {
        let (sin, cos) = (turn * std::f64::consts::TAU).sin_cos();
        let point = (f64::from(x), f64::from(y));
        let at = (point.0 + distance * cos, point.1 + distance * sin);
        let (anchor, left) = match cos {
            cos if cos > 0.3 => (HPos::Left, at.0),
            cos if cos < -0.3 => (HPos::Right, at.0 - width),
            _ => (HPos::Center, at.0 - width / 2.0),
        };
        let half = 0.62 * pixels;
        let (left, right) = (left - 2.0, left + width + 2.0);
        let field = Field { left, right, top: at.1 - half, bottom: at.1 + half };
        let place = Place { at: (at.0 as i32, at.1 as i32), anchor, is_far: distance >= FAR };
        (place, field, [point, at])
    })
}

fn around((x, y): (i32, i32)) -> Field {
    let (x, y) = (f64::from(x), f64::from(y));
    Field { left: x - RADIUS, top: y - RADIUS, right: x + RADIUS, bottom: y + RADIUS }
}

impl Field {
    fn meets(&self, other: &Self) -> bool {
        self.left < other.right
            && other.left < self.right
            && self.top < other.bottom
            && other.top < self.bottom
    }

    fn is_in(&self, outer: &Self) -> bool {
        self.left >= outer.left
            && self.right <= outer.right
            && self.top >= outer.top
            && self.bottom <= outer.bottom
    }

    fn holds(&self, (x, y): (f64, f64)) -> bool {
        (self.left..self.right).contains(&x) && (self.top..self.bottom).contains(&y)
    }

    /// Whether a line runs over it; its ends, which touch what it joins, do not count.
    fn is_crossed(&self, [from, to]: &[(f64, f64); 2]) -> bool {
        (1..16).map(|n| f64::from(n) / 16.0).any(|share| {
            self.holds((from.0 + share * (to.0 - from.0), from.1 + share * (to.1 - from.1)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_place_go_around_it() {
        let points = [((100, 100), 20.0), ((101, 100), 50.0), ((100, 102), 40.0)];
        let places = place(&points, 12.0, (0..400, 0..200));
        let at: Vec<_> = places.into_iter().flatten().map(|place| place.at).collect();
        assert_eq!(at.len(), 3);
        assert!(at[0] != at[1] && at[1] != at[2] && at[0] != at[2], "{at:?}");
    }

    #[test]
    fn a_name_without_room_is_left_out() {
        let places = place(&[((5, 5), 140.0)], 12.0, (0..40, 0..40));
        assert!(places[0].is_none());
    }
}
