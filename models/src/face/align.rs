//! A detected face turned upright and scaled, so that its landmarks meet the embedder's template.

use zeroize::Zeroizing;

use crate::frame::Frame;
use crate::geometry::{Point, Similarity};
use crate::raster::{Border, warp};

/// Cuts a `size` (height, width) crop in which `landmarks` lie, as nearly as a similarity allows, on `template` (pixels
/// of the crop). `None` for landmarks that coincide or are not finite.
pub fn align(
    frame: &Frame,
    landmarks: &[Point; 5],
    template: &[Point; 5],
    size: [usize; 2],
) -> Option<Zeroizing<Frame>> {
    let to_frame = Similarity::estimate(landmarks, template)?.inverse();
    // landmarks and templates come from tools that count from pixel centres: half a pixel less than our coordinates
    let map = |p: Point| {
        let q = to_frame.apply(Point::new(p.x - 0.5, p.y - 0.5));
        Point::new(q.x + 0.5, q.y + 0.5)
    };
    Some(Zeroizing::new(warp(frame, size[1] as u32, size[0] as u32, Border::Black, to_frame.scale(), map)))
}

/// Sharpness of a crop: the variance of the Laplacian of its brightness (Pech-Pacheco et al., 2000), relative to the
/// variance of the brightness itself, so that a dim picture is not taken for a blurred one. 0 for a blank crop.
pub fn sharpness(crop: &Frame) -> f32 {
    let luma = Zeroizing::new(crop.luma().collect::<Vec<f32>>());
    let (width, height) = (crop.width() as usize, crop.height() as usize);
    let mut edges = Moments::default();
    let mut tones = Moments::default();
    for y in 1..height.saturating_sub(1) {
        for x in 1..width.saturating_sub(1) {
            let at = y * width + x;
            edges.add(luma[at - 1] + luma[at + 1] + luma[at - width] + luma[at + width] - 4.0 * luma[at]);
            tones.add(luma[at]);
        }
    }
    if tones.variance() > 1.0 { edges.variance() / tones.variance() } else { 0.0 }
}

#[derive(Default)]
struct Moments {
    count: f64,
    sum: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, value: f32) {
        let value = f64::from(value);
        self.count += 1.0;
        self.sum += value;
        self.squares += value * value;
    }

    fn variance(&self) -> f32 {
        if self.count == 0.0 {
            return 0.0;
        }
        (self.squares / self.count - (self.sum / self.count).powi(2)) as f32
    }
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
