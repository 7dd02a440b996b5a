//! Pixels to tensors: letterboxed scaling for detectors, and warped crops for what they found.
//!
//! Scaling down averages the covered area, scaling up interpolates linearly; both as OpenCV's `INTER_AREA` and
//! `INTER_LINEAR`, which the models were trained with. Buffers are kept between frames.

use crate::frame::Frame;
use crate::geometry::{Point, Rect};
use crate::manifest::{Channels, Input};

/// The grey of the unused part of a letterboxed input, before normalisation.
const FILL: u8 = 114;
/// More sub-samples per axis than this gain nothing visible.
const MAX_SAMPLES: u32 = 4;

/// How a frame was fitted into a network's input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Fit {
    /// Height and width of the whole input.
    pub(crate) canvas: [usize; 2],
    /// Height and width of the frame within it, at the top left.
    scaled: [usize; 2],
    scale_x: f32,
    scale_y: f32,
}

impl Fit {
    pub(crate) fn new(frame: &Frame, input: &Input) -> Self {
        let (width, height) = (frame.width() as f32, frame.height() as f32);
        let scale = match (input.size, input.max_side) {
            (Some([h, w]), _) => (h as f32 / height).min(w as f32 / width),
            (None, side) => side.unwrap_or(640) as f32 / width.max(height),
        };
        let scaled = [height, width].map(|side| ((side * scale).round() as usize).max(1));
        let canvas = input.size.unwrap_or_else(|| {
            let multiple = input.multiple_of.unwrap_or(1);
            scaled.map(|side| side.div_ceil(multiple) * multiple)
        });
        let scaled = [scaled[0].min(canvas[0]), scaled[1].min(canvas[1])];
        Self { canvas, scaled, scale_x: scaled[1] as f32 / width, scale_y: scaled[0] as f32 / height }
    }

    /// A point of the input as a point of the frame.
    pub(crate) fn to_frame(self, point: Point) -> Point {
        Point::new(point.x / self.scale_x, point.y / self.scale_y)
    }

    pub(crate) fn rect_to_frame(self, rect: Rect) -> Rect {
        let corner = self.to_frame(Point::new(rect.x, rect.y));
        Rect { x: corner.x, y: corner.y, width: rect.width / self.scale_x, height: rect.height / self.scale_y }
    }
}

/// Scales frames into input tensors.
#[derive(Debug, Default)]
pub(crate) struct Letterbox {
    columns: Axis,
    rows: Axis,
    line: Vec<f32>,
    pixels: Vec<[f32; 3]>,
}

impl Letterbox {
    /// Writes `frame` as `fit` says into `tensor`, as normalised planes.
    pub(crate) fn fill(&mut self, frame: &Frame, input: &Input, fit: Fit, tensor: &mut Vec<f32>) {
        let [canvas_height, canvas_width] = fit.canvas;
        let [height, width] = fit.scaled;
        let stride = frame.width() as usize * 3;
        let plane = canvas_height * canvas_width;
        let planes = Planes::new(input);
        tensor.resize(plane * planes.count, 0.0);
        for p in 0..planes.count {
            tensor[p * plane..(p + 1) * plane].fill(planes.value(p, [f32::from(FILL); 3]));
        }
        self.columns.prepare(frame.width() as usize, width);
        self.rows.prepare(frame.height() as usize, height);
        self.line.resize(stride, 0.0);
        for y in 0..height {
            self.blend_rows(frame, y);
            self.blend_columns(width);
            for p in 0..planes.count {
                let row = &mut tensor[p * plane + y * canvas_width..][..width];
                for (value, rgb) in row.iter_mut().zip(&self.pixels) {
                    *value = planes.value(p, *rgb);
                }
            }
        }
    }

    /// The frame's rows behind row `y` of the target, as one line. Two rows, the common case, are blended in one pass.
    fn blend_rows(&mut self, frame: &Frame, y: usize) {
        let stride = self.line.len();
        let (first, weights) = self.rows.taps(y);
        let mut rows = frame.rgb()[first * stride..].chunks_exact(stride);
        if let ([a, b], (Some(upper), Some(lower))) = (weights, (rows.next(), rows.next())) {
            for ((value, upper), lower) in self.line.iter_mut().zip(upper).zip(lower) {
                *value = a * f32::from(*upper) + b * f32::from(*lower);
            }
            return;
        }
        self.line.fill(0.0);
        for (row, weight) in frame.rgb()[first * stride..].chunks_exact(stride).zip(weights) {
            for (sum, value) in self.line.iter_mut().zip(row) {
                *sum += weight * f32::from(*value);
            }
        }
    }

    /// The line as `width` pixels of the target.
    fn blend_columns(&mut self, width: usize) {
        self.pixels.clear();
        for x in 0..width {
            let (first, weights) = self.columns.taps(x);
            let line = &self.line[first * 3..];
            self.pixels.push(match (weights, line.first_chunk::<6>()) {
                ([a, b], Some(p)) => [a * p[0] + b * p[3], a * p[1] + b * p[4], a * p[2] + b * p[5]],
                _ => line.chunks_exact(3).zip(weights).fold([0.0; 3], |sum, (pixel, weight)| {
                    [sum[0] + weight * pixel[0], sum[1] + weight * pixel[1], sum[2] + weight * pixel[2]]
                }),
            });
        }
    }
}

/// Writes a crop that already has the input's size into `tensor`, as normalised planes.
pub(crate) fn fill_exact(crop: &Frame, input: &Input, tensor: &mut Vec<f32>) {
    let planes = Planes::new(input);
    let pixels = crop.width() as usize * crop.height() as usize;
    tensor.resize(pixels * planes.count, 0.0);
    for p in 0..planes.count {
        for (value, rgb) in tensor[p * pixels..].iter_mut().zip(crop.rgb().chunks_exact(3)) {
            *value = planes.value(p, [f32::from(rgb[0]), f32::from(rgb[1]), f32::from(rgb[2])]);
        }
    }
}

/// Colour mixing and normalisation of each plane, folded into four factors.
struct Planes {
    count: usize,
    factors: [[f32; 4]; 3],
}

impl Planes {
    fn new(input: &Input) -> Self {
        let mixes: &[[f32; 3]] = match input.channels {
            Channels::Rgb => &[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
            Channels::Bgr => &[[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]],
            Channels::Gray => &[[0.299, 0.587, 0.114]],
        };
        let mut factors = [[0.0; 4]; 3];
        for ((factor, mix), (mean, std)) in factors.iter_mut().zip(mixes).zip(input.mean.iter().zip(&input.std)) {
            *factor = [mix[0] / std, mix[1] / std, mix[2] / std, -mean / std];
        }
        Self { count: mixes.len(), factors }
    }

    #[inline]
    fn value(&self, plane: usize, rgb: [f32; 3]) -> f32 {
        let [r, g, b, offset] = self.factors[plane];
        r * rgb[0] + g * rgb[1] + b * rgb[2] + offset
    }
}

/// The source pixels and weights behind each target pixel of one axis.
#[derive(Debug, Default)]
struct Axis {
    lengths: (usize, usize),
    /// First source pixel, and where its weights begin.
    starts: Vec<(usize, usize)>,
    weights: Vec<f32>,
}

impl Axis {
    fn prepare(&mut self, from: usize, to: usize) {
        if self.lengths == (from, to) {
            return;
        }
        self.lengths = (from, to);
        self.starts.clear();
        self.weights.clear();
        let step = from as f64 / to as f64;
        for i in 0..to {
            if step > 1.0 {
                let (low, high) = (i as f64 * step, ((i + 1) as f64 * step).min(from as f64));
                let first = low.floor() as usize;
                self.starts.push((first, self.weights.len()));
                for pixel in first..(high.ceil() as usize).min(from) {
                    let covered = high.min((pixel + 1) as f64) - low.max(pixel as f64);
                    self.weights.push((covered / (high - low)) as f32);
                }
            } else {
                let centre = ((i as f64 + 0.5) * step - 0.5).clamp(0.0, (from - 1) as f64);
                let first = centre.floor() as usize;
                let share = (centre - first as f64) as f32;
                self.starts.push((first, self.weights.len()));
                self.weights.push(1.0 - share);
                if first + 1 < from {
                    self.weights.push(share);
                }
            }
        }
        self.starts.push((0, self.weights.len()));
    }

    #[inline]
    fn taps(&self, i: usize) -> (usize, &[f32]) {
        let (first, begin) = self.starts[i];
        (first, &self.weights[begin..self.starts[i + 1].1])
    }
}

/// What lies outside the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Border {
    /// The nearest pixel inside.
    Replicate,
    /// Black.
    Black,
}

/// Builds a `width` x `height` crop; `map` says where in the frame a point of the crop lies, `shrink` how many frame
/// pixels one crop pixel covers per axis (so that enough of them are averaged).
pub(crate) fn warp(
    frame: &Frame,
    width: u32,
    height: u32,
    border: Border,
    shrink: f32,
    map: impl Fn(Point) -> Point,
) -> Frame {
    let samples = (shrink.round() as u32).clamp(1, MAX_SAMPLES);
    let share = 1.0 / (samples * samples) as f32;
    let offsets: Vec<(f32, f32)> = (0..samples * samples)
        .map(|i| (((i % samples) as f32 + 0.5) / samples as f32, ((i / samples) as f32 + 0.5) / samples as f32))
        .collect();
    let mut rgb = Vec::with_capacity(width as usize * height as usize * 3);
    for y in 0..height {
        for x in 0..width {
            let mut sum = [0.0_f32; 3];
            for (dx, dy) in &offsets {
                let colour = bilinear(frame, map(Point::new(x as f32 + dx, y as f32 + dy)), border);
                for (total, value) in sum.iter_mut().zip(colour) {
                    *total += value;
                }
            }
            rgb.extend(sum.map(|total| (total * share + 0.5) as u8));
        }
    }
    Frame::from_rgb(width, height, rgb).unwrap_or_else(|_| Frame::filled(width, height, [0; 3]))
}

#[inline]
fn bilinear(frame: &Frame, at: Point, border: Border) -> [f32; 3] {
    let (x, y) = (at.x - 0.5, at.y - 0.5);
    let (left, top) = (x.floor(), y.floor());
    let (right_share, bottom_share) = (x - left, y - top);
    let inside = left >= 0.0 && top >= 0.0 && left + 1.0 < frame.width() as f32 && top + 1.0 < frame.height() as f32;
    let [top_left, top_right, bottom_left, bottom_right] = if inside {
        let stride = frame.width() as usize * 3;
        let first = top as usize * stride + left as usize * 3;
        let (upper, lower) = (&frame.rgb()[first..first + 6], &frame.rgb()[first + stride..first + stride + 6]);
        [
            [upper[0], upper[1], upper[2]],
            [upper[3], upper[4], upper[5]],
            [lower[0], lower[1], lower[2]],
            [lower[3], lower[4], lower[5]],
        ]
    } else {
        [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)].map(|(dx, dy)| fetch(frame, left + dx, top + dy, border))
    };
    std::array::from_fn(|c| {
        let upper = f32::from(top_left[c]) * (1.0 - right_share) + f32::from(top_right[c]) * right_share;
        let lower = f32::from(bottom_left[c]) * (1.0 - right_share) + f32::from(bottom_right[c]) * right_share;
        upper * (1.0 - bottom_share) + lower * bottom_share
    })
}

fn fetch(frame: &Frame, x: f32, y: f32, border: Border) -> [u8; 3] {
    let (right, bottom) = ((frame.width() - 1) as f32, (frame.height() - 1) as f32);
    let outside = x < 0.0 || y < 0.0 || x > right || y > bottom;
    if outside && border == Border::Black {
        return [0; 3];
    }
    frame.pixel(x.clamp(0.0, right) as u32, y.clamp(0.0, bottom) as u32).unwrap_or([0; 3])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    fn input(channels: Channels, size: Option<[usize; 2]>) -> Input {
        let planes = channels.count();
        let dynamic = size.is_none();
        Input {
            channels,
            mean: vec![0.0; planes],
            std: vec![1.0; planes],
            layout: crate::manifest::Layout::Nchw,
            dtype: crate::manifest::ElementType::F32,
            aspect: crate::manifest::Aspect::Stretch,
            size,
            multiple_of: dynamic.then_some(32),
            max_side: dynamic.then_some(64),
        }
    }

    fn noise(width: u32, height: u32) -> Frame {
        let rgb = (0..width * height * 3).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        Frame::from_rgb(width, height, rgb).unwrap()
    }

    #[test]
    fn halving_averages_two_by_two() {
        let frame = noise(128, 64);
        let input = input(Channels::Rgb, None);
        let fit = Fit::new(&frame, &input);
        assert_eq!((fit.canvas, fit.scaled), ([32, 64], [32, 64]));
        let mut tensor = Vec::new();
        Letterbox::default().fill(&frame, &input, fit, &mut tensor);
        let expected = [(20, 14), (21, 14), (20, 15), (21, 15)]
            .map(|(x, y)| f32::from(frame.pixel(x, y).unwrap()[1]))
            .iter()
            .sum::<f32>()
            / 4.0;
        assert!((tensor[32 * 64 + 7 * 64 + 10] - expected).abs() < 1e-3);
    }

    #[test]
    fn the_rest_of_the_canvas_is_grey_and_planes_are_in_order() {
        let frame = Frame::filled(100, 40, [10, 20, 30]);
        let mut bgr = input(Channels::Bgr, None);
        bgr.mean = vec![1.0, 2.0, 3.0];
        let fit = Fit::new(&frame, &bgr);
        assert_eq!((fit.canvas, fit.scaled), ([32, 64], [26, 64]));
        let mut tensor = Vec::new();
        Letterbox::default().fill(&frame, &bgr, fit, &mut tensor);
        let plane = 32 * 64;
        for (p, value) in [29.0, 18.0, 7.0].into_iter().enumerate() {
            assert!((tensor[p * plane] - value).abs() < 1e-4);
            assert!((tensor[p * plane + 25 * 64 + 63] - value).abs() < 1e-4);
            assert!((tensor[p * plane + 26 * 64] - (114.0 - (p + 1) as f32)).abs() < 1e-4);
        }
        let corner = fit.to_frame(Point::new(64.0, 26.0));
        assert!(corner.distance(Point::new(100.0, 40.0)) < 1e-3);
    }

    #[test]
    fn a_crop_of_the_input_size_passes_unchanged() {
        let frame = noise(16, 8);
        let gray = input(Channels::Gray, Some([8, 16]));
        let (mut exact, mut boxed) = (Vec::new(), Vec::new());
        fill_exact(&frame, &gray, &mut exact);
        Letterbox::default().fill(&frame, &gray, Fit::new(&frame, &gray), &mut boxed);
        assert!(exact.iter().zip(&boxed).all(|(a, b)| (a - b).abs() < 1e-3));
        assert!(exact.iter().zip(frame.luma()).all(|(a, b)| (a - b).abs() < 1e-3));
    }

    #[test]
    fn warping_by_nothing_changes_nothing() {
        let frame = noise(9, 7);
        assert_eq!(warp(&frame, 9, 7, Border::Black, 1.0, |p| p), frame);
        let away = |p: Point| Point::new(p.x - 100.0, p.y);
        assert_eq!(warp(&frame, 9, 7, Border::Black, 1.0, away), Frame::filled(9, 7, [0; 3]));
        assert_eq!(warp(&frame, 9, 7, Border::Replicate, 1.0, away).pixel(3, 2), frame.pixel(0, 2));
    }

    proptest! {
        #[test]
        fn weights_sum_to_one_inside_the_source(from in 1_usize..400, to in 1_usize..400) {
            let mut axis = Axis::default();
            axis.prepare(from, to);
            for i in 0..to {
                let (first, weights) = axis.taps(i);
                prop_assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-4);
                prop_assert!(first + weights.len() <= from);
            }
        }
    }
}
