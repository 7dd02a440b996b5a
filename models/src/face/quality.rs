//! How good a picture of a face is to compare.

use super::detector::FaceDetection;
use crate::geometry::Point;

/// The sharpness at which that part of the quality is one half: a portrait in focus has more.
const MIDDLING_SHARPNESS: f32 = 0.01;

/// Quality of a detected face whose aligned crop has its eyes `eye_distance_px` apart and this [`super::sharpness`]; 0 to 1:
/// the geometric mean of its size (whether the frame has as many pixels of it as the crop), its sharpness and how frontally
/// it is seen. It only ranks pictures of one face.
pub fn quality(face: &FaceDetection, eye_distance_px: f32, sharpness: f32) -> f32 {
    let size = face.eye_distance_px() / eye_distance_px;
    let quality = size.clamp(0.0, 1.0) * frontality(&face.landmarks) * sharpness / (sharpness + MIDDLING_SHARPNESS);
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

    #[test]
    fn near_frontal_and_sharp_is_better() {
        let best = quality(&seen(40.0, 0.5), 35.0, 0.2);
        assert!(best > quality(&seen(15.0, 0.5), 35.0, 0.2), "far");
        assert!(best > quality(&seen(40.0, 0.8), 35.0, 0.2), "turned away");
        assert!(best > quality(&seen(40.0, 0.5), 35.0, 0.002), "blurred");
        assert!((0.0..=1.0).contains(&best));
    }

    #[test]
    fn what_makes_no_face_has_no_quality() {
        assert_eq!(quality(&seen(0.0, 0.5), 35.0, 0.2), 0.0);
        assert_eq!(quality(&seen(40.0, 1.2), 35.0, 0.2), 0.0);
        assert_eq!(quality(&seen(40.0, 0.5), 35.0, 0.0), 0.0);
    }
}
