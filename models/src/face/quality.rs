//! How good a picture of a face is to compare.

use super::align::sharpness;
use super::detector::FaceDetection;
use crate::frame::Frame;
use crate::geometry::Point;

/// The sharpness at which that part of the quality is one half: a portrait in focus has more.
const MIDDLING_SHARPNESS: f32 = 0.01;

/// Quality of a detected face and its aligned `crop`, in which the eyes are `eye_distance_px` apart; 0 to 1: the geometric
/// mean of its size (whether the frame has as many pixels of it as the crop), its sharpness and how frontally it is seen.
/// It only ranks pictures of one face.
pub fn quality(face: &FaceDetection, crop: &Frame, eye_distance_px: f32) -> f32 {
    let size = face.eye_distance_px() / eye_distance_px;
    let sharp = sharpness(crop);
    let quality = size.clamp(0.0, 1.0) * frontality(&face.landmarks) * sharp / (sharp + MIDDLING_SHARPNESS);
    if quality.is_finite() { quality.cbrt() } else { 0.0 }
}

/// 1 where the nose is midway between the eyes, 0 where it is below one of them or beyond.
fn frontality([left_eye, right_eye, nose, ..]: &[Point; 5]) -> f32 {
    let (x, y) = (right_eye.x - left_eye.x, right_eye.y - left_eye.y);
    let along = ((nose.x - left_eye.x) * x + (nose.y - left_eye.y) * y) / (x * x + y * y);
    (1.0 - 2.0 * (along - 0.5).abs()).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Rect;

    fn seen(eyes: f32, nose: f32) -> FaceDetection {
        let landmarks = [(0.0, 0.0), (eyes, 0.0), (nose * eyes, 20.0), (5.0, 40.0), (eyes - 5.0, 40.0)];
        FaceDetection {
            bbox: Rect { x: 0.0, y: 0.0, width: 2.0 * eyes, height: 2.0 * eyes },
            landmarks: landmarks.map(|(x, y)| Point::new(x, y)),
            score: 0.9,
        }
    }

    fn stripes(period: u32) -> Frame {
        let mut crop = Frame::filled(112, 112, [0; 3]);
        for i in 0..112 * 112 {
            let phase = (i % 112) % period;
            let level = if phase * 2 < period { phase } else { period - phase } * 400 / period;
            crop.set_pixel(i % 112, i / 112, [level as u8; 3]);
        }
        crop
    }

    #[test]
    fn near_frontal_and_sharp_is_better() {
        let best = quality(&seen(40.0, 0.5), &stripes(4), 35.0);
        assert!(best > quality(&seen(15.0, 0.5), &stripes(4), 35.0), "far");
        assert!(best > quality(&seen(40.0, 0.8), &stripes(4), 35.0), "turned away");
        assert!(best > quality(&seen(40.0, 0.5), &stripes(28), 35.0), "blurred");
        assert!((0.0..=1.0).contains(&best));
    }

    #[test]
    fn what_makes_no_face_has_no_quality() {
        assert_eq!(quality(&seen(0.0, 0.5), &stripes(4), 35.0), 0.0);
        assert_eq!(quality(&seen(40.0, 1.2), &stripes(4), 35.0), 0.0);
        assert_eq!(quality(&seen(40.0, 0.5), &Frame::filled(112, 112, [9; 3]), 35.0), 0.0);
    }
}
