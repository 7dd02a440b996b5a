//! Points, boxes and the two transforms recognition needs: similarity (faces) and perspective (plates).
//!
//! Coordinates are pixels of the frame, x to the right, y down; the first pixel covers 0..1 in both directions, so its
//! centre is at 0.5.

/// A position in a frame, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Point {
    /// To the right.
    pub x: f32,
    /// Down.
    pub y: f32,
}

impl Point {
    /// The point that lies `right` and `down` from here.
    pub(crate) fn moved(self, right: f32, down: f32) -> Self {
        Self::new(self.x + right, self.y + down)
    }

    /// A point at `x`, `y`.
    pub const fn new(x: f32, y: f32) -> Self {
        Self { x, y }
    }

    /// The Euclidean distance to `other`, in pixels.
    pub fn distance(self, other: Self) -> f32 {
        (self.x - other.x).hypot(self.y - other.y)
    }
}

/// An upright box, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rect {
    /// Left edge.
    pub x: f32,
    /// Top edge.
    pub y: f32,
    /// Extent to the right.
    pub width: f32,
    /// Extent down.
    pub height: f32,
}

impl Rect {
    /// The rectangle that lies `right` and `down` from here.
    pub(crate) fn moved(self, right: f32, down: f32) -> Self {
        Self { x: self.x + right, y: self.y + down, ..self }
    }

    /// The smallest box around `points`; empty for no points.
    pub fn around(points: &[Point]) -> Self {
        let Some(first) = points.first() else { return Self::default() };
        let (mut low, mut high) = (*first, *first);
        for point in points {
            low = Point::new(low.x.min(point.x), low.y.min(point.y));
            high = Point::new(high.x.max(point.x), high.y.max(point.y));
        }
        Self { x: low.x, y: low.y, width: high.x - low.x, height: high.y - low.y }
    }

    /// Area in square pixels.
    pub fn area(&self) -> f32 {
        self.width.max(0.0) * self.height.max(0.0)
    }

    /// Intersection over union, 0 to 1.
    pub fn iou(&self, other: &Self) -> f32 {
        let width = (self.x + self.width).min(other.x + other.width) - self.x.max(other.x);
        let height = (self.y + self.height).min(other.y + other.height) - self.y.max(other.y);
        let shared = width.max(0.0) * height.max(0.0);
        let union = self.area() + other.area() - shared;
        if union > 0.0 { shared / union } else { 0.0 }
    }
}

/// Rotation, uniform scale and shift: `(x, y) -> (a·x - b·y + tx, b·x + a·y + ty)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Similarity {
    a: f32,
    b: f32,
    tx: f32,
    ty: f32,
}

impl Similarity {
    /// The least-squares similarity that takes `from` to `to`, without reflection.
    ///
    /// In the plane the estimate of Umeyama (1991) has this closed form. `None` when the points do not determine one
    /// (different counts, fewer than two, all in one place, not finite).
    pub fn estimate(from: &[Point], to: &[Point]) -> Option<Self> {
        if from.len() != to.len() || from.len() < 2 {
            return None;
        }
        let (centre_from, centre_to) = (centroid(from), centroid(to));
        let (mut dot, mut cross, mut spread) = (0.0_f64, 0.0_f64, 0.0_f64);
        for (source, target) in from.iter().zip(to) {
            let (sx, sy) = (f64::from(source.x) - centre_from.0, f64::from(source.y) - centre_from.1);
            let (tx, ty) = (f64::from(target.x) - centre_to.0, f64::from(target.y) - centre_to.1);
            dot += sx * tx + sy * ty;
            cross += sx * ty - sy * tx;
            spread += sx * sx + sy * sy;
        }
        let (a, b) = (dot / spread, cross / spread);
        let shift =
            (centre_to.0 - a * centre_from.0 + b * centre_from.1, centre_to.1 - b * centre_from.0 - a * centre_from.1);
        let found = Self { a: a as f32, b: b as f32, tx: shift.0 as f32, ty: shift.1 as f32 };
        (found.scale().is_normal() && found.tx.is_finite() && found.ty.is_finite()).then_some(found)
    }

    /// How much lengths grow.
    pub fn scale(&self) -> f32 {
        self.a.hypot(self.b)
    }

    /// Where `point` goes.
    pub fn apply(&self, point: Point) -> Point {
        Point::new(self.a * point.x - self.b * point.y + self.tx, self.b * point.x + self.a * point.y + self.ty)
    }

    /// The transform back.
    pub fn inverse(&self) -> Self {
        let square = self.a * self.a + self.b * self.b;
        let (a, b) = (self.a / square, -self.b / square);
        Self { a, b, tx: -(a * self.tx - b * self.ty), ty: -(b * self.tx + a * self.ty) }
    }
}

fn centroid(points: &[Point]) -> (f64, f64) {
    let n = points.len() as f64;
    let sum = points.iter().fold((0.0, 0.0), |sum, p| (sum.0 + f64::from(p.x), sum.1 + f64::from(p.y)));
    (sum.0 / n, sum.1 / n)
}

/// The perspective map from the unit square to a quadrangle (Heckbert, 1989).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Perspective {
    rows: [[f32; 3]; 3],
}

impl Perspective {
    /// Takes (0,0), (1,0), (1,1), (0,1) to `corners`. `None` for a quadrangle without area.
    pub fn onto(corners: &[Point; 4]) -> Option<Self> {
        let [p0, p1, p2, p3] = corners.map(|p| (f64::from(p.x), f64::from(p.y)));
        let (dx1, dy1) = (p1.0 - p2.0, p1.1 - p2.1);
        let (dx2, dy2) = (p3.0 - p2.0, p3.1 - p2.1);
        let (sx, sy) = (p0.0 - p1.0 + p2.0 - p3.0, p0.1 - p1.1 + p2.1 - p3.1);
        let denominator = dx1 * dy2 - dx2 * dy1;
        if !denominator.is_finite() || denominator.abs() < 1e-6 {
            return None;
        }
        let g = (sx * dy2 - dx2 * sy) / denominator;
        let h = (dx1 * sy - sx * dy1) / denominator;
        let rows = [
            [p1.0 - p0.0 + g * p1.0, p3.0 - p0.0 + h * p3.0, p0.0],
            [p1.1 - p0.1 + g * p1.1, p3.1 - p0.1 + h * p3.1, p0.1],
            [g, h, 1.0],
        ];
        Some(Self { rows: rows.map(|row| row.map(|v| v as f32)) })
    }

    /// Where the point `u`, `v` of the unit square lies in the quadrangle.
    pub fn apply(&self, u: f32, v: f32) -> Point {
        let mapped = self.rows.map(|row| row[0] * u + row[1] * v + row[2]);
        Point::new(mapped[0] / mapped[2], mapped[1] / mapped[2])
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    const TEMPLATE: [Point; 5] = [
        Point::new(38.3, 51.7),
        Point::new(73.5, 51.5),
        Point::new(56.0, 71.7),
        Point::new(41.5, 92.4),
        Point::new(70.7, 92.2),
    ];

    proptest! {
        #[test]
        fn a_similarity_is_recovered_exactly(angle in -3.1_f32..3.1, scale in 0.05_f32..20.0, tx in -900.0_f32..900.0, ty in -900.0_f32..900.0) {
            let truth = Similarity { a: scale * angle.cos(), b: scale * angle.sin(), tx, ty };
            let moved = TEMPLATE.map(|p| truth.apply(p));
            let found = Similarity::estimate(&TEMPLATE, &moved).unwrap();
            for point in TEMPLATE {
                prop_assert!(found.apply(point).distance(truth.apply(point)) < 1e-2);
                prop_assert!(found.inverse().apply(truth.apply(point)).distance(point) < 1e-2 * (1.0 + 1.0 / scale));
            }
            prop_assert!((found.scale() / scale - 1.0).abs() < 1e-4);
        }

        #[test]
        fn the_estimate_is_the_least_squares_optimum(noise in proptest::array::uniform10(-4.0_f32..4.0), da in -0.05_f32..0.05, db in -0.05_f32..0.05, dx in -1.0_f32..1.0, dy in -1.0_f32..1.0) {
            let mut noisy = TEMPLATE.map(|p| Point::new(1.7 * p.x - 0.4 * p.y + 9.0, 0.4 * p.x + 1.7 * p.y - 5.0));
            for (i, p) in noisy.iter_mut().enumerate() {
                p.x += noise[2 * i];
                p.y += noise[2 * i + 1];
            }
            let best = Similarity::estimate(&TEMPLATE, &noisy).unwrap();
            let other = Similarity { a: best.a + da, b: best.b + db, tx: best.tx + dx, ty: best.ty + dy };
            let cost = |s: &Similarity| TEMPLATE.iter().zip(&noisy).map(|(p, q)| s.apply(*p).distance(*q).powi(2)).sum::<f32>();
            prop_assert!(cost(&best) <= cost(&other) + 1e-2);
        }

        #[test]
        fn the_perspective_meets_the_corners(jitter in proptest::array::uniform8(-12.0_f32..12.0)) {
            let corners = [
                Point::new(100.0 + jitter[0], 80.0 + jitter[1]),
                Point::new(220.0 + jitter[2], 90.0 + jitter[3]),
                Point::new(215.0 + jitter[4], 130.0 + jitter[5]),
                Point::new(105.0 + jitter[6], 120.0 + jitter[7]),
            ];
            let map = Perspective::onto(&corners).unwrap();
            for (corner, (u, v)) in corners.iter().zip([(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]) {
                prop_assert!(map.apply(u, v).distance(*corner) < 0.05);
            }
        }
    }

    #[test]
    fn nothing_is_made_of_degenerate_points() {
        let one_place = [Point::new(3.0, 4.0); 5];
        assert_eq!(Similarity::estimate(&one_place, &TEMPLATE), None);
        assert_eq!(Similarity::estimate(&TEMPLATE, &one_place), None);
        assert_eq!(Similarity::estimate(&TEMPLATE[..1], &TEMPLATE[..1]), None);
        assert_eq!(Similarity::estimate(&TEMPLATE, &[Point::new(f32::NAN, 0.0); 5]), None);
        assert_eq!(Perspective::onto(&[Point::new(1.0, 1.0); 4]), None);
    }

    #[test]
    fn overlap_of_boxes() {
        let a = Rect { x: 0.0, y: 0.0, width: 10.0, height: 10.0 };
        let b = Rect { x: 5.0, y: 0.0, width: 10.0, height: 10.0 };
        assert!((a.iou(&b) - 1.0 / 3.0).abs() < 1e-6);
        assert_eq!(a.iou(&Rect { x: 20.0, ..a }), 0.0);
        assert_eq!(Rect::default().iou(&Rect::default()), 0.0);
    }
}
