//! What another moment, another camera or another cable would have made of the same photograph: small seeded changes of
//! aim, exposure, focus, noise and compression. They turn one photograph into many reads, which are not independent.

use cardea_models::{Frame, FrameError, Point, Rect};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// One way to see a photograph again.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Perturbation {
    /// Clockwise, in radians: at most 2.5 degrees.
    turn: f32,
    /// 1 is as it was; within 5 %.
    scale: f32,
    /// Share of the frame's sides; within 3 %.
    shift: [f32; 2],
    /// Contrast around mid-grey, 0.8 to 1.2.
    contrast: f32,
    /// Added to each value of 0 to 255, within 20.
    brightness: f32,
    /// Share each neighbour gets in one pass of a three-pixel blur, and the number of passes.
    blur: (f32, usize),
    /// Standard deviation of each pixel's noise, in values of 0 to 255.
    noise: f32,
    /// Of the JPEG encoder.
    quality: u8,
    seed: u64,
}

impl Perturbation {
    /// Number `index` of the perturbations of photograph number `photo`.
    pub(crate) fn draw(seed: u64, photo: u64, index: u64) -> Self {
        let mixed = seed ^ photo.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ index.wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
        let mut rng = StdRng::seed_from_u64(mixed);
        Self {
            turn: rng.random_range(-2.5_f32..=2.5).to_radians(),
            scale: rng.random_range(0.95..=1.05),
            shift: [rng.random_range(-0.03..=0.03), rng.random_range(-0.03..=0.03)],
            contrast: rng.random_range(0.8..=1.2),
            brightness: rng.random_range(-20.0..=20.0),
            blur: (rng.random_range(0.0..=0.25), rng.random_range(0..=2)),
            noise: rng.random_range(0.0..=8.0),
            quality: rng.random_range(40..=95),
            seed: rng.random(),
        }
    }

    /// `frame` seen so.
    pub(crate) fn apply(&self, frame: &Frame) -> Result<Frame, FrameError> {
        let mut rgb = self.moved(frame);
        for _ in 0..self.blur.1 {
            blur(&mut rgb, frame.width() as usize, self.blur.0);
        }
        self.expose(&mut rgb);
        let seen = Frame::from_rgb(frame.width(), frame.height(), rgb)?;
        Frame::decode(&seen.to_jpeg(self.quality)?)
    }

    /// Where a box of the photograph is afterwards: the upright box around its moved corners.
    pub(crate) fn map(&self, area: &Rect, frame: &Frame) -> Rect {
        let (right, bottom) = (area.x + area.width, area.y + area.height);
        let corners = [(area.x, area.y), (right, area.y), (right, bottom), (area.x, bottom)];
        let middle = Point::new(frame.width() as f32 / 2.0, frame.height() as f32 / 2.0);
        let (sin, cos) = self.turn.sin_cos();
        let moved = corners.map(|(x, y)| {
            let (dx, dy) = ((x - middle.x) * self.scale, (y - middle.y) * self.scale);
            Point::new(
                middle.x + cos * dx - sin * dy + self.shift[0] * frame.width() as f32,
                middle.y + sin * dx + cos * dy + self.shift[1] * frame.height() as f32,
            )
        });
        Rect::around(&moved)
    }

    /// Turned, scaled and shifted, with bilinear sampling; what comes from outside repeats the edge.
    fn moved(&self, frame: &Frame) -> Vec<u8> {
        let (width, height) = (frame.width() as usize, frame.height() as usize);
        let (middle_x, middle_y) = (width as f32 / 2.0, height as f32 / 2.0);
        let (sin, cos) = self.turn.sin_cos();
        let (a, b) = (cos / self.scale, sin / self.scale);
        let source = frame.rgb();
        let mut rgb = Vec::with_capacity(source.len());
        for y in 0..height {
            let dy = y as f32 + 0.5 - middle_y - self.shift[1] * height as f32;
            for x in 0..width {
                let dx = x as f32 + 0.5 - middle_x - self.shift[0] * width as f32;
                let at_x = (middle_x + a * dx + b * dy - 0.5).clamp(0.0, (width - 1) as f32);
                let at_y = (middle_y - b * dx + a * dy - 0.5).clamp(0.0, (height - 1) as f32);
                let (left, top) = (at_x as usize, at_y as usize);
                let (share_x, share_y) = (at_x - left as f32, at_y - top as f32);
                let (right, below) = ((left + 1).min(width - 1), (top + 1).min(height - 1));
                for c in 0..3 {
                    let value = |row: usize, column: usize| f32::from(source[(row * width + column) * 3 + c]);
                    let upper = value(top, left) * (1.0 - share_x) + value(top, right) * share_x;
                    let lower = value(below, left) * (1.0 - share_x) + value(below, right) * share_x;
                    rgb.push((upper * (1.0 - share_y) + lower * share_y + 0.5) as u8);
                }
            }
        }
        rgb
    }

    /// Contrast, brightness and noise.
    fn expose(&self, rgb: &mut [u8]) {
        let mut rng = StdRng::seed_from_u64(self.seed);
        // four bytes summed are nearly normal, with a standard deviation of 147.8
        let unit = self.noise / 147.8;
        for pixel in rgb.chunks_exact_mut(3) {
            let [a, b, c, d] = rng.random::<u32>().to_le_bytes().map(f32::from);
            let noise = (a + b + c + d - 510.0) * unit;
            for value in pixel {
                let exposed = (f32::from(*value) - 127.5) * self.contrast + 127.5 + self.brightness + noise;
                *value = (exposed + 0.5) as u8;
            }
        }
    }
}

/// One pass of a separable three-pixel blur that gives each neighbour `share`.
fn blur(rgb: &mut [u8], width: usize, share: f32) {
    let stride = width * 3;
    // in eighths of a per mille: integers, twice as fast
    let side = (share * 1_024.0) as u32;
    let own = 1_024 - 2 * side;
    let mix = |before: u8, value: u8, after: u8| {
        ((u32::from(before) * side + u32::from(value) * own + u32::from(after) * side + 512) >> 10) as u8
    };
    for row in rgb.chunks_exact_mut(stride) {
        let copy = row.to_vec();
        for i in 0..stride {
            let before = if i >= 3 { i - 3 } else { i };
            let after = if i + 3 < stride { i + 3 } else { i };
            row[i] = mix(copy[before], copy[i], copy[after]);
        }
    }
    let mut before = rgb[..stride].to_vec();
    for y in 0..rgb.len() / stride {
        let own_row = rgb[y * stride..(y + 1) * stride].to_vec();
        for i in 0..stride {
            let after = rgb.get((y + 1) * stride + i).copied().unwrap_or(own_row[i]);
            rgb[y * stride + i] = mix(before[i], own_row[i], after);
        }
        before = own_row;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scene() -> Frame {
        let mut frame = Frame::filled(200, 120, [90; 3]);
        for i in 0..40 * 20 {
            frame.set_pixel(120 + i % 40, 70 + i / 40, [250, 240, 30]);
        }
        frame
    }

    fn still(quality: u8) -> Perturbation {
        Perturbation {
            turn: 0.0,
            scale: 1.0,
            shift: [0.0; 2],
            contrast: 1.0,
            brightness: 0.0,
            blur: (0.0, 0),
            noise: 0.0,
            quality,
            seed: 1,
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_picture() {
        let (frame, one) = (scene(), Perturbation::draw(5, 3, 1));
        assert!(one.apply(&frame).unwrap() == Perturbation::draw(5, 3, 1).apply(&frame).unwrap());
        for other in [Perturbation::draw(6, 3, 1), Perturbation::draw(5, 4, 1), Perturbation::draw(5, 3, 2)] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn doing_nothing_is_compression_alone() {
        let (frame, seen) = (scene(), still(95).apply(&scene()).unwrap());
        let apart = frame.rgb().iter().zip(seen.rgb()).filter(|(a, b)| a.abs_diff(**b) > 24).count();
        assert!(apart < 600, "{apart} values differ");
    }

    #[test]
    fn a_box_moves_with_what_is_in_it() {
        let frame = scene();
        let area = Rect { x: 120.0, y: 70.0, width: 40.0, height: 20.0 };
        for index in 0..20 {
            let change = Perturbation { blur: (0.0, 0), noise: 0.0, quality: 95, ..Perturbation::draw(9, 0, index) };
            let (seen, found) = (change.apply(&frame).unwrap(), change.map(&area, &frame));
            let bright =
                |x: f32, y: f32| seen.pixel(x as u32, y as u32).is_some_and(|p| i32::from(p[0]) > i32::from(p[2]) + 60);
            let (x, y) = (found.x + found.width / 2.0, found.y + found.height / 2.0);
            assert!(bright(x, y), "{change:?}: nothing at {x} {y}");
            assert!(!bright(found.x - 6.0, y) && !bright(found.x + found.width + 6.0, y), "{change:?}");
            assert!(!bright(x, found.y - 6.0) && !bright(x, found.y + found.height + 6.0), "{change:?}");
        }
    }

    #[test]
    fn a_blur_keeps_the_mean_and_lowers_the_contrast() {
        let mut rgb: Vec<u8> =
            (0..60 * 60).flat_map(|i| [if (i % 60 / 2 + i / 60 / 2) % 2 == 0 { 40 } else { 200 }; 3]).collect();
        blur(&mut rgb, 60, 0.25);
        let mean = rgb.iter().map(|v| f64::from(*v)).sum::<f64>() / rgb.len() as f64;
        assert!((mean - 120.0).abs() < 1.5, "{mean}");
        let inside = || (2..58).flat_map(|y| &rgb[(y * 60 + 2) * 3..(y * 60 + 58) * 3]);
        assert!(inside().max() < Some(&170) && inside().min() > Some(&70));
    }
}
