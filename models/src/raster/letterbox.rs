//! Whole frames scaled into detectors' inputs.

use fearless_simd::{Level, dispatch};

use zeroize::Zeroizing;

use super::axis::Axis;
use super::planes::Planes;
use super::room;
use crate::frame::Frame;
use crate::geometry::{Point, Rect};
use crate::manifest::Input;

/// The grey of the unused part of a letterboxed input, before normalisation.
const FILL: u8 = 114;

/// Longest side of the squares that [`sum_squares`] sums.
pub(super) const MAX_SQUARE: usize = 4;

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

    /// How many frame pixels make one input pixel along both axes, where that is a small whole number.
    fn shrink(self, frame: &Frame) -> Option<usize> {
        let [height, width] = self.scaled;
        let shrink = frame.width() as usize / width;
        let exact = shrink * width == frame.width() as usize && shrink * height == frame.height() as usize;
        (exact && shrink <= MAX_SQUARE).then_some(shrink)
    }
}

/// Scales frames into input tensors. Its buffers are kept from frame to frame.
#[derive(Debug, Default)]
pub(crate) struct Letterbox {
    columns: Axis,
    rows: Axis,
    /// Sums of source rows, for a whole shrink.
    sums: Zeroizing<Vec<u16>>,
    /// A blend of source rows, for any other.
    line: Zeroizing<Vec<f32>>,
    /// Red, green and blue of one target row.
    rgb: Zeroizing<[Vec<f32>; 3]>,
}

impl Letterbox {
    /// Writes `frame` as `fit` says into `tensor`, as normalised planes.
    pub(crate) fn fill(&mut self, frame: &Frame, input: &Input, fit: Fit, tensor: &mut Vec<f32>) {
        let planes = Planes::new(input);
        let [canvas_height, canvas_width] = fit.canvas;
        let [height, width] = fit.scaled;
        let plane = canvas_height * canvas_width;
        room(tensor, plane * planes.count());
        for (p, values) in tensor.chunks_exact_mut(plane).enumerate() {
            let grey = planes.grey(p, FILL);
            values[height * canvas_width..].fill(grey);
            if width < canvas_width {
                values.chunks_exact_mut(canvas_width).take(height).for_each(|row| row[width..].fill(grey));
            }
        }
        let stride = frame.width() as usize * 3;
        for channel in self.rgb.iter_mut() {
            room(channel, width);
        }
        let shrink = fit.shrink(frame);
        if shrink.is_some() {
            room(&mut self.sums, stride);
        } else {
            self.columns.prepare(frame.width() as usize, width);
            self.rows.prepare(frame.height() as usize, height);
            room(&mut self.line, stride);
        }
        let level = Level::new();
        for y in 0..height {
            if let Some(shrink) = shrink {
                let rows = frame.rgb()[y * shrink * stride..][..shrink * stride].chunks_exact(stride);
                dispatch!(level, _ => sum_squares(shrink, rows, &mut self.sums, &mut self.rgb));
            } else {
                let (first, weights) = self.rows.taps(y);
                dispatch!(level, _ => blend_rows(&frame.rgb()[first * stride..], weights, &mut self.line));
                blend_columns(&self.columns, &self.line, &mut self.rgb);
            }
            let unit = shrink.map_or(1.0, |shrink| (shrink * shrink) as f32);
            let [red, green, blue] = &*self.rgb;
            for p in 0..planes.count() {
                let row = &mut tensor[p * plane + y * canvas_width..][..width];
                dispatch!(level, _ => planes.write(p, [red, green, blue], unit, row));
            }
        }
    }
}

/// The sums over squares of `side` pixels, 1 to 4, of as many `rows`, by channel; `sums` has room for one of the rows.
#[inline(always)]
pub(super) fn sum_squares<'a>(
    side: usize,
    mut rows: impl Iterator<Item = &'a [u8]>,
    sums: &mut [u16],
    rgb: &mut [Vec<f32>; 3],
) {
    if let Some(row) = rows.next() {
        for (sum, value) in sums.iter_mut().zip(row) {
            *sum = u16::from(*value);
        }
    }
    for row in rows {
        for (sum, value) in sums.iter_mut().zip(row) {
            *sum += u16::from(*value);
        }
    }
    // the lengths are known when this is compiled
    match side {
        1 => sum_columns::<3>(sums, rgb),
        2 => sum_columns::<6>(sums, rgb),
        3 => sum_columns::<9>(sums, rgb),
        _ => sum_columns::<12>(sums, rgb),
    }
}

/// The sums over groups of `VALUES / 3` pixels, by channel.
#[inline(always)]
fn sum_columns<const VALUES: usize>(sums: &[u16], [red, green, blue]: &mut [Vec<f32>; 3]) {
    let (groups, _) = sums.as_chunks::<VALUES>();
    for (((group, red), green), blue) in groups.iter().zip(red).zip(green).zip(blue) {
        let mut sum = [0_u16; 3];
        for pixel in group.chunks_exact(3) {
            sum[0] += pixel[0];
            sum[1] += pixel[1];
            sum[2] += pixel[2];
        }
        (*red, *green, *blue) = (f32::from(sum[0]), f32::from(sum[1]), f32::from(sum[2]));
    }
}

/// The first rows of `pixels` by their weights, as one line. Two rows, the common case, are blended in one pass.
#[inline(always)]
fn blend_rows(pixels: &[u8], weights: &[f32], line: &mut [f32]) {
    let mut rows = pixels.chunks_exact(line.len());
    if let ([a, b], (Some(upper), Some(lower))) = (weights, (rows.next(), rows.next())) {
        for ((value, upper), lower) in line.iter_mut().zip(upper).zip(lower) {
            *value = a * f32::from(*upper) + b * f32::from(*lower);
        }
        return;
    }
    line.fill(0.0);
    for (row, weight) in pixels.chunks_exact(line.len()).zip(weights) {
        for (sum, value) in line.iter_mut().zip(row) {
            *sum += weight * f32::from(*value);
        }
    }
}

/// The line as pixels of the target, by channel.
fn blend_columns(columns: &Axis, line: &[f32], [red, green, blue]: &mut [Vec<f32>; 3]) {
    for (x, ((red, green), blue)) in red.iter_mut().zip(green).zip(blue).enumerate() {
        let (first, weights) = columns.taps(x);
        let line = &line[first * 3..];
        [*red, *green, *blue] = match (weights, line.first_chunk::<6>()) {
            ([a, b], Some(p)) => [a * p[0] + b * p[3], a * p[1] + b * p[4], a * p[2] + b * p[5]],
            _ => line.chunks_exact(3).zip(weights).fold([0.0; 3], |sum, (pixel, weight)| {
                [sum[0] + weight * pixel[0], sum[1] + weight * pixel[1], sum[2] + weight * pixel[2]]
            }),
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::{input, noise};
    use super::*;
    use crate::manifest::Channels;

    fn filled(frame: &Frame, input: &Input) -> (Vec<f32>, Fit) {
        let fit = Fit::new(frame, input);
        let mut tensor = Vec::new();
        Letterbox::default().fill(frame, input, fit, &mut tensor);
        (tensor, fit)
    }

    proptest! {
        #[test]
        fn a_whole_shrink_averages_squares(shrink in 1_u32..6, width in 1_u32..40, height in 1_u32..20) {
            let frame = noise(width * shrink, height * shrink);
            let mut rgb = input(Channels::Rgb, Some([height as usize, width as usize]));
            rgb.mean = vec![3.0; 3];
            rgb.std = vec![2.0; 3];
            let (tensor, fit) = filled(&frame, &rgb);
            prop_assert_eq!(fit.canvas, fit.scaled);
            for i in 0..width * height {
                let (x, y) = (i % width, i / width);
                for c in 0..3 {
                    let sum: f32 = (0..shrink * shrink)
                        .filter_map(|j| frame.pixel(x * shrink + j % shrink, y * shrink + j / shrink))
                        .map(|colour| f32::from(colour[c]))
                        .sum();
                    let expected = (sum / (shrink * shrink) as f32 - 3.0) / 2.0;
                    prop_assert!((tensor[c * (width * height) as usize + i as usize] - expected).abs() < 1e-3);
                }
            }
        }

        #[test]
        fn a_plain_colour_stays_what_it_is_at_any_size(width in 1_u32..200, height in 1_u32..200) {
            let frame = Frame::filled(width, height, [10, 20, 30]);
            let (tensor, fit) = filled(&frame, &input(Channels::Bgr, None));
            let [canvas_height, canvas_width] = fit.canvas;
            for (i, value) in tensor.iter().enumerate() {
                let (x, y) = (i % canvas_width, i / canvas_width % canvas_height);
                let inside = y < fit.scaled[0] && x < fit.scaled[1];
                let colour = [30.0, 20.0, 10.0][i / (canvas_width * canvas_height)];
                let expected = if inside { colour } else { f32::from(FILL) };
                prop_assert!((value - expected).abs() < 1e-3);
            }
        }
    }

    #[test]
    fn buffers_serve_frames_of_any_size_one_after_another() {
        let mut letterbox = Letterbox::default();
        let input = input(Channels::Rgb, None);
        let mut tensor = Vec::new();
        for (width, height) in [(128, 64), (1000, 70), (64, 64), (90, 200), (128, 64)] {
            let frame = noise(width, height);
            let fit = Fit::new(&frame, &input);
            letterbox.fill(&frame, &input, fit, &mut tensor);
            assert_eq!(tensor, filled(&frame, &input).0, "{width}x{height}");
        }
    }

    #[test]
    fn the_rest_of_the_canvas_is_grey_and_planes_are_in_order() {
        let frame = Frame::filled(100, 40, [10, 20, 30]);
        let mut bgr = input(Channels::Bgr, None);
        bgr.mean = vec![1.0, 2.0, 3.0];
        let (tensor, fit) = filled(&frame, &bgr);
        assert_eq!((fit.canvas, fit.scaled), ([32, 64], [26, 64]));
        let plane = 32 * 64;
        for (p, value) in [29.0, 18.0, 7.0].into_iter().enumerate() {
            assert!((tensor[p * plane] - value).abs() < 1e-4);
            assert!((tensor[p * plane + 25 * 64 + 63] - value).abs() < 1e-4);
            assert!((tensor[p * plane + 26 * 64] - (114.0 - (p + 1) as f32)).abs() < 1e-4);
        }
        let corner = fit.to_frame(Point::new(64.0, 26.0));
        assert!(corner.distance(Point::new(100.0, 40.0)) < 1e-3);
    }
}
