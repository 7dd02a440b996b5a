//! The part of the picture where a track counts.
//!
//! A plate in the background, or that of a parked car, must not move the gate: a track counts only inside the zone that
//! the installer drew. Coordinates are normalised to the frame, `x` and `y` in 0..=1 from the top left corner, so that a
//! change of the camera's resolution keeps the zone.

/// A point of the picture, normalised.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Point {
    /// From the left edge (0) to the right edge (1).
    pub x: f32,
    /// From the top edge (0) to the bottom edge (1).
    pub y: f32,
}

/// A simple polygon with at least three corners; its edge belongs to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone(Vec<Point>);

/// Why corners do not make a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ZoneError {
    /// Fewer than three corners.
    #[error("a zone needs at least three corners")]
    TooFewCorners,
    /// A corner outside the picture, or not a number; counted from zero.
    #[error("corner {0} of the zone (counted from 0) is not within 0..=1 of the picture")]
    OutsidePicture(usize),
    /// All corners on a line.
    #[error("the corners of the zone enclose no area")]
    NoArea,
    /// Two sides cross.
    #[error("the sides of the zone starting at corners {0} and {1} (counted from 0) cross: list the corners in order")]
    Crosses(usize, usize),
}

impl Zone {
    /// A zone of these corners, in order around it, either way.
    pub fn new(corners: Vec<Point>) -> Result<Self, ZoneError> {
        let n = corners.len();
        if n < 3 {
            return Err(ZoneError::TooFewCorners);
        }
        if let Some(i) = corners.iter().position(|p| !((0.0..=1.0).contains(&p.x) && (0.0..=1.0).contains(&p.y))) {
            return Err(ZoneError::OutsidePicture(i));
        }
        for i in 0..n {
            for j in i + 2..n {
                let neighbours = i == 0 && j == n - 1;
                if !neighbours && cross(corners[i], corners[i + 1], corners[j], corners[(j + 1) % n]) {
                    return Err(ZoneError::Crosses(i, j));
                }
            }
        }
        let twice_area: f32 =
            (0..n).map(|i| (corners[i], corners[(i + 1) % n])).map(|(a, b)| a.x * b.y - b.x * a.y).sum();
        if twice_area.abs() < 1e-6 {
            return Err(ZoneError::NoArea);
        }
        Ok(Self(corners))
    }

    /// The whole picture.
    pub fn whole() -> Self {
        Self([(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)].map(|(x, y)| Point { x, y }).to_vec())
    }

    /// The corners in order.
    pub fn corners(&self) -> &[Point] {
        &self.0
    }

    /// Whether `p` lies inside or on the edge. A point that is not a number lies nowhere.
    pub fn contains(&self, p: Point) -> bool {
        let n = self.0.len();
        let mut inside = false;
        for i in 0..n {
            let (a, b) = (self.0[i], self.0[(i + 1) % n]);
            if on_segment(a, b, p) {
                return true;
            }
            if (a.y > p.y) != (b.y > p.y) && p.x < (b.x - a.x) * (p.y - a.y) / (b.y - a.y) + a.x {
                inside = !inside;
            }
        }
        inside
    }

    /// Whether all of `points` lie inside: the corners of a plate, the box of a face. No points lie nowhere.
    pub fn contains_all(&self, points: &[Point]) -> bool {
        !points.is_empty() && points.iter().all(|p| self.contains(*p))
    }
}

/// Twice the signed area of the triangle `a b p`.
fn side(a: Point, b: Point, p: Point) -> f32 {
    (b.x - a.x) * (p.y - a.y) - (b.y - a.y) * (p.x - a.x)
}

fn on_segment(a: Point, b: Point, p: Point) -> bool {
    side(a, b, p).abs() <= 1e-7
        && (a.x.min(b.x)..=a.x.max(b.x)).contains(&p.x)
        && (a.y.min(b.y)..=a.y.max(b.y)).contains(&p.y)
}

/// Whether the segments `a b` and `c d` meet.
fn cross(a: Point, b: Point, c: Point, d: Point) -> bool {
    let apart = side(a, b, c) * side(a, b, d) < 0.0 && side(c, d, a) * side(c, d, b) < 0.0;
    apart || on_segment(a, b, c) || on_segment(a, b, d) || on_segment(c, d, a) || on_segment(c, d, b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points<const N: usize>(xy: [(f32, f32); N]) -> Vec<Point> {
        xy.map(|(x, y)| Point { x, y }).to_vec()
    }

    /// An L: the right half of the top is missing.
    fn l_shape() -> Zone {
        Zone::new(points([(0.0, 0.0), (0.5, 0.0), (0.5, 0.5), (1.0, 0.5), (1.0, 1.0), (0.0, 1.0)])).unwrap()
    }

    #[test]
    fn inside_outside_and_edge() {
        let zone = l_shape();
        for (x, y, inside) in [
            (0.25, 0.25, true),
            (0.75, 0.75, true),
            (0.75, 0.25, false),
            (0.5, 0.25, true),
            (0.0, 0.0, true),
            (1.0, 0.75, true),
            (1.1, 0.75, false),
            (f32::NAN, 0.5, false),
        ] {
            assert_eq!(zone.contains(Point { x, y }), inside, "{x} {y}");
        }
    }

    #[test]
    fn all_points_of_a_plate_must_be_inside() {
        let zone = l_shape();
        assert!(zone.contains_all(&points([(0.1, 0.6), (0.3, 0.6), (0.3, 0.7), (0.1, 0.7)])));
        assert!(!zone.contains_all(&points([(0.4, 0.4), (0.6, 0.4), (0.6, 0.5), (0.4, 0.5)])));
        assert!(!zone.contains_all(&[]));
        assert!(Zone::whole().contains_all(&points([(0.0, 0.0), (1.0, 1.0)])));
    }

    #[test]
    fn impossible_zones_are_refused() {
        assert_eq!(Zone::new(points([(0.0, 0.0), (1.0, 1.0)])), Err(ZoneError::TooFewCorners));
        assert_eq!(Zone::new(points([(0.0, 0.0), (1.0, 0.0), (0.5, 1.2)])), Err(ZoneError::OutsidePicture(2)));
        assert_eq!(Zone::new(points([(0.0, 0.0), (f32::NAN, 0.0), (0.5, 1.0)])), Err(ZoneError::OutsidePicture(1)));
        assert_eq!(Zone::new(points([(0.0, 0.0), (0.5, 0.5), (1.0, 1.0)])), Err(ZoneError::NoArea));
        let bow_tie = points([(0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.0, 1.0)]);
        assert_eq!(Zone::new(bow_tie), Err(ZoneError::Crosses(0, 2)));
    }
}
