//! The part of a picture that matters.

use crate::frame::Frame;

/// A region of interest, in shares of the frame's width and height. A detector scales what it sees to its input, so the
/// smaller the region, the more pixels a plate at the far end of the drive has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Area {
    left: f32,
    top: f32,
    right: f32,
    bottom: f32,
}

/// No region is smaller than this share of the frame along either axis: a detector needs surroundings.
const LEAST: f32 = 0.1;

impl Area {
    /// Everything.
    pub const WHOLE: Self = Self { left: 0.0, top: 0.0, right: 1.0, bottom: 1.0 };

    /// The smallest region around `points` (`x` and `y` from 0 at the top left to 1) with `margin`, a share of the frame, on
    /// every side. Everything, where there is no point or one is not a number.
    pub fn around(points: impl IntoIterator<Item = (f32, f32)>, margin: f32) -> Self {
        let (mut low, mut high) = ((f32::INFINITY, f32::INFINITY), (f32::NEG_INFINITY, f32::NEG_INFINITY));
        for (x, y) in points {
            if !(x.is_finite() && y.is_finite()) {
                return Self::WHOLE;
            }
            low = (low.0.min(x), low.1.min(y));
            high = (high.0.max(x), high.1.max(y));
        }
        if low.0 > high.0 || !margin.is_finite() {
            return Self::WHOLE;
        }
        let side = |low: f32, high: f32| {
            let (low, high) = ((low - margin).clamp(0.0, 1.0 - LEAST), (high + margin).clamp(LEAST, 1.0));
            (low, high.max(low + LEAST))
        };
        let ((left, right), (top, bottom)) = (side(low.0, high.0), side(low.1, high.1));
        Self { left, top, right, bottom }
    }

    pub(crate) fn is_whole(self) -> bool {
        self == Self::WHOLE
    }

    /// Left, top, width and height in whole pixels of `frame`.
    pub(crate) fn pixels(self, frame: &Frame) -> [u32; 4] {
        let side = |low: f32, high: f32, length: u32| {
            let low = (low * length as f32).round() as u32;
            let high = ((high * length as f32).round() as u32).min(length);
            (low, high.saturating_sub(low).max(1))
        };
        let (left, width) = side(self.left, self.right, frame.width());
        let (top, height) = side(self.top, self.bottom, frame.height());
        [left, top, width, height]
    }
}

impl Default for Area {
    fn default() -> Self {
        Self::WHOLE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_encloses_its_points_with_a_margin() {
        let area = Area::around([(0.2, 0.5), (0.6, 0.9), (0.3, 0.7)], 0.05);
        assert_eq!(area.pixels(&Frame::filled(1000, 100, [0; 3])), [150, 45, 500, 50]);
        let edge = Area::around([(0.0, 0.0), (0.98, 0.99)], 0.05);
        assert!(edge.is_whole() && edge.pixels(&Frame::filled(640, 480, [0; 3])) == [0, 0, 640, 480]);
    }

    #[test]
    fn what_is_no_region_is_everything_and_none_is_too_small() {
        assert!(Area::around([], 0.1).is_whole());
        assert!(Area::around([(0.2, f32::NAN)], 0.1).is_whole());
        for point in [(0.0, 0.0), (1.0, 1.0), (0.5, 0.5), (-3.0, 7.0)] {
            let [left, top, width, height] = Area::around([point], 0.0).pixels(&Frame::filled(640, 480, [0; 3]));
            assert!(width >= 64 && height >= 48 && left + width <= 640 && top + height <= 480, "{point:?}");
        }
    }
}
