//! How good a picture of a plate is to read from.

use super::detector::PlateDetection;
use crate::face::sharpness;
use crate::frame::Frame;

/// Width over height of a one-line plate seen from the front (GOST R 50577 type 1: 520 x 112 mm).
const FRONTAL_ASPECT: f32 = 4.64;
/// The sharpness at which that part of the quality is one half.
const MIDDLING_SHARPNESS: f32 = 0.05;

/// Quality of a detected plate and its rectified `crop`, 0 to 1: the geometric mean of its size (whether the frame has as
/// many pixels of it as the crop), its sharpness and how frontally it is seen. It only ranks pictures of one plate.
pub fn quality(detection: &PlateDetection, crop: &Frame) -> f32 {
    let [tl, tr, br, bl] = detection.corners;
    let (width, height) = (detection.width_px(), f32::midpoint(tl.distance(bl), tr.distance(br)));
    let size = width / crop.width() as f32;
    let pose = width / (height * FRONTAL_ASPECT);
    let sharp = sharpness(crop);
    let quality = size.clamp(0.0, 1.0) * pose.clamp(0.0, 1.0) * sharp / (sharp + MIDDLING_SHARPNESS);
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

    fn stripes(period: u32) -> Frame {
        let mut crop = Frame::filled(128, 32, [0; 3]);
        for i in 0..128 * 32 {
            let phase = (i % 128) % period;
            let level = if phase * 2 < period { phase } else { period - phase } * 400 / period;
            crop.set_pixel(i % 128, i / 128, [level as u8; 3]);
        }
        crop
    }

    #[test]
    fn near_frontal_and_sharp_is_better() {
        let (sharp, blurred) = (stripes(4), stripes(32));
        let best = quality(&seen(140.0, 30.0), &sharp);
        assert!(best > quality(&seen(60.0, 13.0), &sharp), "far");
        assert!(best > quality(&seen(140.0, 60.0), &sharp), "from the side");
        assert!(best > quality(&seen(140.0, 30.0), &blurred), "blurred");
        assert!((0.0..=1.0).contains(&best));
    }

    #[test]
    fn what_has_no_area_or_no_detail_has_no_quality() {
        assert_eq!(quality(&seen(0.0, 0.0), &stripes(4)), 0.0);
        assert_eq!(quality(&seen(100.0, 20.0), &Frame::filled(128, 32, [9; 3])), 0.0);
    }
}
