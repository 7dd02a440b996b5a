//! A detected face turned upright and scaled, so that its landmarks meet the embedder's template.

use zeroize::Zeroizing;

use crate::frame::Frame;
use crate::geometry::{Point, Similarity};
use crate::manifest::Channels;
use crate::raster::{Border, Crop, Cut, Warper};

/// Cuts a `size` (height, width) crop in which `landmarks` lie, as nearly as a similarity allows, on `template` (pixels
/// of the crop). `None` for landmarks that coincide or are not finite.
pub fn align(
    frame: &Frame,
    landmarks: &[Point; 5],
    template: &[Point; 5],
    size: [usize; 2],
) -> Option<Zeroizing<Frame>> {
    let mut crop = Crop::default();
    crop.reset(size, Channels::Rgb);
    cut(&mut Warper::default(), frame, landmarks, template, &mut crop)?;
    crop.into_frame().map(Zeroizing::new)
}

/// The same into a `crop` that has its size. `None`, and nothing done, where [`align`] gives nothing.
pub(super) fn cut(
    warper: &mut Warper,
    frame: &Frame,
    landmarks: &[Point; 5],
    template: &[Point; 5],
    crop: &mut Crop,
) -> Option<()> {
    let to_frame = Similarity::estimate(landmarks, template)?.inverse();
    // landmarks and templates come from tools that count from pixel centres: half a pixel less than our coordinates
    let map = |p: Point| {
        let q = to_frame.apply(Point::new(p.x - 0.5, p.y - 0.5));
        Point::new(q.x + 0.5, q.y + 0.5)
    };
    let [height, width] = crop.size();
    let whole = Cut { rows: 0..height, columns: 0..width, border: Border::Black, shrink: [to_frame.scale(); 2] };
    warper.warp(frame, crop, &whole, map);
    Some(())
}

/// How much a face with these landmarks is enlarged on its way into the crop, by all five of them: the eyes of a turned head
/// are close together, however near it is. `None` for landmarks that coincide or are not finite.
pub(super) fn enlargement(landmarks: &[Point; 5], template: &[Point; 5]) -> Option<f32> {
    Similarity::estimate(landmarks, template).map(|to_crop| to_crop.scale())
}

/// Sharpness of a crop: the variance of the Laplacian of its brightness (Pech-Pacheco et al., 2000), relative to the
/// variance of the brightness itself, so that a dim picture is not taken for a blurred one. 0 for a blank crop.
pub fn sharpness(picture: &Frame) -> f32 {
    let mut crop = Crop::default();
    crop.copy(picture);
    crop.sharpness()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const TEMPLATE: [Point; 5] = [
        Point::new(38.0, 52.0),
        Point::new(74.0, 52.0),
        Point::new(56.0, 72.0),
        Point::new(42.0, 92.0),
        Point::new(70.0, 92.0),
    ];

    #[test]
    fn landmarks_land_on_the_template() {
        // a face twice as large, turned by 20 degrees, with a white 5x5 spot on each landmark
        let (sin, cos) = 20.0_f32.to_radians().sin_cos();
        let landmarks =
            TEMPLATE.map(|p| Point::new(150.0 + 2.0 * (cos * p.x - sin * p.y), 40.0 + 2.0 * (sin * p.x + cos * p.y)));
        let mut frame = Frame::filled(400, 400, [0; 3]);
        for p in landmarks {
            for i in 0..25 {
                frame.set_pixel(p.x.round() as u32 + i % 5 - 2, p.y.round() as u32 + i / 5 - 2, [255; 3]);
            }
        }
        let crop = align(&frame, &landmarks, &TEMPLATE, [112, 112]).unwrap();
        for p in TEMPLATE {
            assert!(crop.pixel(p.x as u32, p.y as u32).unwrap()[0] > 200, "no spot at {p:?}");
        }
        assert_eq!(crop.pixel(56, 52), Some([0; 3]));
        assert!(align(&frame, &[Point::default(); 5], &TEMPLATE, [112, 112]).is_none());
    }

    #[test]
    fn a_turned_head_is_not_a_distant_one() {
        let half = TEMPLATE.map(|p| Point::new(0.5 * p.x, 0.5 * p.y));
        assert!((enlargement(&half, &TEMPLATE).unwrap() - 2.0).abs() < 1e-3);
        // turned by 63 degrees: the eyes are 8 pixels apart, which alone would look 4.4 times as far away
        let turned = half.map(|p| Point::new(0.45 * p.x, p.y));
        assert!(enlargement(&turned, &TEMPLATE).unwrap() < 2.5);
        assert!(enlargement(&[Point::default(); 5], &TEMPLATE).is_none());
    }

    #[test]
    fn blur_and_not_darkness_lowers_sharpness() {
        let stripes = |period: u32, gain: u8| {
            let mut crop = Frame::filled(64, 64, [0; 3]);
            for i in 0..64 * 64 {
                let phase = (i % 64) % period;
                let level = if phase * 2 < period { phase } else { period - phase };
                crop.set_pixel(i % 64, i / 64, [(level * 2 * u32::from(gain) / period) as u8; 3]);
            }
            crop
        };
        assert!(sharpness(&stripes(4, 200)) > 3.0 * sharpness(&stripes(16, 200)));
        assert!((sharpness(&stripes(4, 200)) / sharpness(&stripes(4, 60)) - 1.0).abs() < 0.1);
        assert_eq!(sharpness(&Frame::filled(64, 64, [90; 3])), 0.0);
    }
}
