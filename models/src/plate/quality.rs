//! How good a picture of a plate is to read from.

use super::detector::PlateDetection;

/// Width over height of a one-line plate seen from the front (GOST R 50577 type 1: 520 x 112 mm).
const FRONTAL_ASPECT: f32 = 4.64;
/// The sharpness at which that part of the quality is one half.
const MIDDLING_SHARPNESS: f32 = 0.05;

/// Quality of a detected plate whose rectified crop is `crop_width_px` wide and has this
/// [`sharpness`](crate::face::sharpness), 0 to 1: the geometric mean of its size (whether the frame has as many pixels of it
/// as the crop), its sharpness and how frontally it is seen. It only ranks pictures of one plate.
pub fn quality(detection: &PlateDetection, crop_width_px: f32, sharpness: f32) -> f32 {
    let [tl, tr, br, bl] = detection.corners;
    let (width, height) = (detection.width_px(), f32::midpoint(tl.distance(bl), tr.distance(br)));
    let size = width / crop_width_px;
    let pose = width / (height * FRONTAL_ASPECT);
    let quality = size.clamp(0.0, 1.0) * pose.clamp(0.0, 1.0) * sharpness / (sharpness + MIDDLING_SHARPNESS);
    if quality.is_finite() { quality.cbrt() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Point;

    fn seen(width: f32, height: f32) -> PlateDetection {
        let corners = [(0.0, 0.0), (width, 0.0), (width, height), (0.0, height)].map(|(x, y)| Point::new(x, y));
        PlateDetection { corners, score: 0.9 }
    }

    #[test]
    fn near_frontal_and_sharp_is_better() {
        let best = quality(&seen(140.0, 30.0), 128.0, 0.3);
        assert!(best > quality(&seen(60.0, 13.0), 128.0, 0.3), "far");
        assert!(best > quality(&seen(140.0, 60.0), 128.0, 0.3), "from the side");
        assert!(best > quality(&seen(140.0, 30.0), 128.0, 0.01), "blurred");
        assert!((0.0..=1.0).contains(&best));
    }

    #[test]
    fn what_has_no_area_or_no_detail_has_no_quality() {
        assert_eq!(quality(&seen(0.0, 0.0), 128.0, 0.3), 0.0);
        assert_eq!(quality(&seen(100.0, 20.0), 128.0, 0.0), 0.0);
    }
}
