//! Crops out of frames: turned, scaled and seen from the front.
//!
//! Each pixel of a crop is the mean of a few samples, spread evenly over the part of the frame it covers, and each sample
//! is interpolated linearly. Where a crop pixel covers several frame pixels both ways, the part of the frame behind the
//! crop is first reduced by averaging squares; so there are never many samples, and none of the picture goes unseen.

use std::ops::Range;

use fearless_simd::{Level, dispatch};
use zeroize::Zeroizing;

use super::crop::Crop;
use super::letterbox::{MAX_SQUARE, sum_squares};
use super::{Border, room};
use crate::frame::Frame;
use crate::geometry::Point;

/// More samples per axis than this gain nothing visible.
const MAX_SAMPLES: usize = 4;

/// Cuts crops. Its buffers are kept from crop to crop, and overwritten when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Warper {
    /// The part of the frame behind a crop, reduced or in brightness only.
    window: Zeroizing<Vec<u8>>,
    /// Sums of squares of the frame, and of rows of it.
    rgb: Zeroizing<[Vec<f32>; 3]>,
    rows: Zeroizing<Vec<u16>>,
    /// Where the samples of one row lie in the source.
    xs: Vec<f32>,
    ys: Vec<f32>,
    /// Sums of the samples of one row.
    sums: Zeroizing<Vec<f32>>,
}

/// Where the pixels of a crop come from.
#[derive(Debug, Clone)]
pub(crate) struct Cut {
    /// Rows and columns of the crop that are filled.
    pub(crate) rows: Range<usize>,
    pub(crate) columns: Range<usize>,
    /// What lies outside the frame.
    pub(crate) border: Border,
    /// How many frame pixels one crop pixel covers, across and down.
    pub(crate) shrink: [f32; 2],
}

/// A picture to sample: a frame, or a window of one.
struct Source<'a, const C: usize> {
    pixels: &'a [u8],
    width: usize,
    height: usize,
    /// Frame coordinates of its corner, and frame pixels per pixel.
    origin: [f32; 2],
    reduction: f32,
}

impl Warper {
    /// Fills the part of `crop` that `cut` names; `map` says where in the frame a point of that part lies, the corner of its
    /// first pixel being (0, 0).
    pub(crate) fn warp(&mut self, frame: &Frame, crop: &mut Crop, cut: &Cut, map: impl Fn(Point) -> Point) {
        let [height, width] = [cut.rows.len() as f32, cut.columns.len() as f32];
        let most = MAX_SQUARE.min(frame.width() as usize).min(frame.height() as usize);
        let reduction = (cut.shrink[0].min(cut.shrink[1]) as usize).clamp(1, most);
        let samples = cut.shrink.map(|shrink| ((shrink / reduction as f32).round() as usize).clamp(1, MAX_SAMPLES));
        let corners = [(0.0, 0.0), (width, 0.0), (width, height), (0.0, height)].map(|(x, y)| map(Point::new(x, y)));
        let xs = span(corners.map(|p| p.x), frame.width() as usize, reduction);
        let ys = span(corners.map(|p| p.y), frame.height() as usize, reduction);
        let origin = [xs.start as f32, ys.start as f32];
        let size = [xs.len() / reduction, ys.len() / reduction];
        // taken out, so that the window can be read while the other buffers are written
        let mut window = std::mem::take(&mut self.window);
        if crop.channels() == 1 {
            room(&mut window, size[0] * size[1]);
            self.reduce::<1>(frame, xs, ys, reduction, &mut window);
            let source =
                Source { pixels: &window, width: size[0], height: size[1], origin, reduction: reduction as f32 };
            self.sample::<1>(&source, crop, cut, samples, map);
        } else if reduction > 1 {
            room(&mut window, size[0] * size[1] * 3);
            self.reduce::<3>(frame, xs, ys, reduction, &mut window);
            let source =
                Source { pixels: &window, width: size[0], height: size[1], origin, reduction: reduction as f32 };
            self.sample::<3>(&source, crop, cut, samples, map);
        } else {
            let [width, height] = [frame.width(), frame.height()].map(|side| side as usize);
            let source = Source { pixels: frame.rgb(), width, height, origin: [0.0; 2], reduction: 1.0 };
            self.sample::<3>(&source, crop, cut, samples, map);
        }
        self.window = window;
    }

    /// Writes the part `xs` x `ys` of a frame into `window`, in means of squares of `reduction` pixels; in brightness for one
    /// channel, in colours for three.
    fn reduce<const C: usize>(
        &mut self,
        frame: &Frame,
        xs: Range<usize>,
        ys: Range<usize>,
        reduction: usize,
        window: &mut [u8],
    ) {
        let (level, stride) = (Level::new(), frame.width() as usize * 3);
        let pixels = |y: usize| &frame.rgb()[y * stride + xs.start * 3..y * stride + xs.end * 3];
        let width = xs.len() / reduction;
        room(&mut self.rows, xs.len() * 3);
        for channel in self.rgb.iter_mut() {
            room(channel, width);
        }
        let share = 1.0 / (reduction * reduction) as f32;
        for (y, row) in ys.step_by(reduction).zip(window.chunks_exact_mut(width * C)) {
            if C == 1 && reduction == 1 {
                dispatch!(level, _ => brightness(pixels(y), row));
                continue;
            }
            let rows = (y..y + reduction).map(pixels);
            dispatch!(level, _ => {
                sum_squares(reduction, rows.clone(), &mut self.rows, &mut self.rgb);
                means::<C>(&self.rgb, share, row);
            });
        }
    }

    fn sample<const C: usize>(
        &mut self,
        source: &Source<'_, C>,
        crop: &mut Crop,
        cut: &Cut,
        [across, down]: [usize; 2],
        map: impl Fn(Point) -> Point,
    ) {
        let width = cut.columns.len();
        room(&mut self.xs, width);
        room(&mut self.ys, width);
        room(&mut self.sums, width * C);
        let share = 1.0 / (across * down) as f32;
        for (y, row) in cut.rows.clone().enumerate() {
            self.sums.fill(0.0);
            for i in 0..across * down {
                let (dx, dy) = ((i % across) as f32 + 0.5, (i / across) as f32 + 0.5);
                let (dx, y) = (dx / across as f32, y as f32 + dy / down as f32);
                for (x, (to_x, to_y)) in self.xs.iter_mut().zip(&mut self.ys).enumerate() {
                    let point = map(Point::new(x as f32 + dx, y));
                    // from here on in pixels of the source, counted from the centre of its first
                    *to_x = (point.x - source.origin[0]) / source.reduction - 0.5;
                    *to_y = (point.y - source.origin[1]) / source.reduction - 0.5;
                }
                source.add(&self.xs, &self.ys, cut.border, &mut self.sums);
            }
            let row = &mut crop.row_mut(row)[cut.columns.start * C..cut.columns.end * C];
            for (value, sum) in row.iter_mut().zip(self.sums.iter()) {
                *value = (sum * share + 0.5) as u8;
            }
        }
    }
}

impl<const C: usize> Source<'_, C> {
    /// Adds the samples at `xs`, `ys` to `sums`.
    fn add(&self, xs: &[f32], ys: &[f32], border: Border, sums: &mut [f32]) {
        let (right, bottom) = ((self.width - 1) as f32, (self.height - 1) as f32);
        let all_within = |values: &[f32], last: f32| values.iter().all(|v| (0.0..=last).contains(v));
        let whole = border == Border::Replicate || (all_within(xs, right) && all_within(ys, bottom));
        let (sums, _) = sums.as_chunks_mut::<C>();
        if !whole || self.width < 2 || self.height < 2 {
            for ((x, y), sum) in xs.iter().zip(ys).zip(sums) {
                self.add_at_border(*x, *y, border, sum);
            }
            return;
        }
        let stride = self.width * C;
        for ((x, y), sum) in xs.iter().zip(ys).zip(sums) {
            // moving a sample to the nearest pixel inside is what replicating the border means
            let (x, y) = (x.max(0.0).min(right), y.max(0.0).min(bottom));
            let (left, top) = ((x as u32 as usize).min(self.width - 2), (y as u32 as usize).min(self.height - 2));
            let (right_share, bottom_share) = (x - left as f32, y - top as f32);
            let at = top * stride + left * C;
            let (upper, lower) = (&self.pixels[at..at + 2 * C], &self.pixels[at + stride..at + stride + 2 * C]);
            for c in 0..C {
                let between = |a: u8, b: u8| f32::from(a) + (f32::from(b) - f32::from(a)) * right_share;
                let (upper, lower) = (between(upper[c], upper[C + c]), between(lower[c], lower[C + c]));
                sum[c] += upper + (lower - upper) * bottom_share;
            }
        }
    }

    /// The same for one sample, any of whose four pixels may be missing.
    #[cold]
    fn add_at_border(&self, x: f32, y: f32, border: Border, sum: &mut [f32; C]) {
        let (right, bottom) = ((self.width - 1) as f32, (self.height - 1) as f32);
        let (left, top) = (x.floor(), y.floor());
        let (right_share, bottom_share) = (x - left, y - top);
        for (dx, dy, share) in [
            (0.0, 0.0, (1.0 - right_share) * (1.0 - bottom_share)),
            (1.0, 0.0, right_share * (1.0 - bottom_share)),
            (0.0, 1.0, (1.0 - right_share) * bottom_share),
            (1.0, 1.0, right_share * bottom_share),
        ] {
            let (x, y) = (left + dx, top + dy);
            let outside = !(0.0..=right).contains(&x) || !(0.0..=bottom).contains(&y);
            if outside && border == Border::Black {
                continue;
            }
            let (x, y) = (x.max(0.0).min(right) as usize, y.max(0.0).min(bottom) as usize);
            let at = (y * self.width + x) * C;
            for (sum, value) in sum.iter_mut().zip(&self.pixels[at..at + C]) {
                *sum += share * f32::from(*value);
            }
        }
    }
}

/// The pixels of one axis behind a crop whose corners lie at `corners`, with what their interpolation needs, in whole
/// squares from the frame's corner, so that a crop moves over the frame without flicker; at least one, whatever the corners
/// are. What is left of the frame behind its last whole square is not used.
fn span(corners: [f32; 4], length: usize, reduction: usize) -> Range<usize> {
    let margin = 2.0 * reduction as f32;
    let low = corners.into_iter().fold(f32::INFINITY, f32::min) - margin;
    let high = corners.into_iter().fold(f32::NEG_INFINITY, f32::max) + margin;
    let squares = length / reduction;
    let start = (low.max(0.0) as usize / reduction).min(squares - 1);
    let last = (high.max(0.0) as usize / reduction).clamp(start, squares - 1);
    start * reduction..(last + 1) * reduction
}

/// Rec. 601 brightness in 256ths.
#[inline(always)]
fn brightness(rgb: &[u8], row: &mut [u8]) {
    let (pixels, _) = rgb.as_chunks::<3>();
    for (value, [red, green, blue]) in row.iter_mut().zip(pixels) {
        *value = ((77 * u16::from(*red) + 150 * u16::from(*green) + 29 * u16::from(*blue) + 128) >> 8) as u8;
    }
}

/// Colours or brightness of sums that count `share` each.
#[inline(always)]
fn means<const C: usize>([red, green, blue]: &[Vec<f32>; 3], share: f32, row: &mut [u8]) {
    let (row, _) = row.as_chunks_mut::<C>();
    for (((pixel, red), green), blue) in row.iter_mut().zip(red).zip(green).zip(blue) {
        if C == 1 {
            pixel[0] = ((0.299 * red + 0.587 * green + 0.114 * blue) * share + 0.5) as u8;
        } else {
            for (value, sum) in pixel.iter_mut().zip([red, green, blue]) {
                *value = (sum * share + 0.5) as u8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::super::tests::noise;
    use super::*;
    use crate::manifest::Channels;

    fn cut(
        frame: &Frame,
        size: [usize; 2],
        channels: Channels,
        border: Border,
        shrink: [f32; 2],
        map: impl Fn(Point) -> Point,
    ) -> Frame {
        let mut crop = Crop::default();
        crop.reset(size, channels);
        Warper::default().warp(frame, &mut crop, &Cut { rows: 0..size[0], columns: 0..size[1], border, shrink }, map);
        crop.into_frame().unwrap()
    }

    /// The specification: one sample after the other, pixel by pixel.
    fn plainly(frame: &Frame, at: Point, border: Border) -> [f32; 3] {
        let (x, y) = (at.x - 0.5, at.y - 0.5);
        let mut sum = [0.0; 3];
        for (dx, dy) in [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)] {
            let (px, py) = (x.floor() + dx, y.floor() + dy);
            let share = (1.0 - (x - px).abs()) * (1.0 - (y - py).abs());
            let (right, bottom) = (frame.width() as f32 - 1.0, frame.height() as f32 - 1.0);
            let inside = (0.0..=right).contains(&px) && (0.0..=bottom).contains(&py);
            if inside || border == Border::Replicate {
                let colour = frame.pixel(px.clamp(0.0, right) as u32, py.clamp(0.0, bottom) as u32).unwrap();
                (0..3).for_each(|c| sum[c] += share * f32::from(colour[c]));
            }
        }
        sum
    }

    proptest! {
        #[test]
        fn samples_are_interpolated_from_the_four_pixels_around(
            (width, height) in (1_u32..40, 1_u32..40),
            (angle, scale) in (-3.0_f32..3.0, 0.3_f32..2.0),
            (x, y) in (-30.0_f32..50.0, -30.0_f32..50.0),
            black in any::<bool>(),
        ) {
            let frame = noise(width, height);
            let border = if black { Border::Black } else { Border::Replicate };
            let (sin, cos) = angle.sin_cos();
            let map = |p: Point| Point::new(x + scale * (cos * p.x - sin * p.y), y + scale * (sin * p.x + cos * p.y));
            let colours = cut(&frame, [12, 17], Channels::Rgb, border, [1.0; 2], map);
            let greys = cut(&frame, [12, 17], Channels::Gray, border, [1.0; 2], map);
            for i in 0..12 * 17 {
                let (column, row) = (i % 17, i / 17);
                let expected = plainly(&frame, map(Point::new(column as f32 + 0.5, row as f32 + 0.5)), border);
                let found = colours.pixel(column, row).unwrap();
                for c in 0..3 {
                    prop_assert!((f32::from(found[c]) - expected[c]).abs() <= 0.52, "{found:?} {expected:?}");
                }
                let luma = 0.299 * expected[0] + 0.587 * expected[1] + 0.114 * expected[2];
                let found = greys.pixel(column, row).unwrap()[0];
                prop_assert!((f32::from(found) - luma).abs() <= 1.6, "{found} {luma}");
            }
        }

        #[test]
        fn a_reduced_crop_is_the_mean_of_what_it_covers(shrink in 2_u32..=4, gray in any::<bool>()) {
            let frame = noise(40 * shrink, 20 * shrink);
            let channels = if gray { Channels::Gray } else { Channels::Rgb };
            let scale = shrink as f32;
            // away from the edges, and aligned with the frame
            let map = |p: Point| Point::new(scale * (p.x + 4.0), scale * (p.y + 4.0));
            let crop = cut(&frame, [8, 16], channels, Border::Replicate, [scale; 2], map);
            for i in 0..8 * 16 {
                let (x, y) = (i % 16, i / 16);
                let mut mean = [0.0; 3];
                for j in 0..shrink * shrink {
                    let colour = frame.pixel((x + 4) * shrink + j % shrink, (y + 4) * shrink + j / shrink).unwrap();
                    (0..3).for_each(|c| mean[c] += f32::from(colour[c]) / (shrink * shrink) as f32);
                }
                if gray {
                    mean = [0.299 * mean[0] + 0.587 * mean[1] + 0.114 * mean[2]; 3];
                }
                let found = crop.pixel(x, y).unwrap();
                (0..3).for_each(|c| assert!((f32::from(found[c]) - mean[c]).abs() <= 1.6, "{found:?} {mean:?}"));
            }
        }

        #[test]
        fn nothing_a_detector_says_makes_it_panic(
            values in proptest::array::uniform4(prop_oneof![any::<f32>(), -1e4_f32..1e4]),
            shrink in proptest::array::uniform2(prop_oneof![any::<f32>(), 0.0_f32..20.0]),
            (width, height) in (1_u32..20, 1_u32..20),
            gray in any::<bool>(),
        ) {
            let [a, b, c, d] = values;
            let channels = if gray { Channels::Gray } else { Channels::Rgb };
            for border in [Border::Black, Border::Replicate] {
                let crop = cut(&noise(width, height), [5, 6], channels, border, shrink, |p| Point::new(a * p.x + b, c * p.y + d));
                prop_assert_eq!((crop.width(), crop.height()), (6, 5));
            }
        }
    }

    #[test]
    fn warping_by_nothing_changes_nothing() {
        let frame = noise(9, 7);
        let same = |border, map: fn(Point) -> Point| cut(&frame, [7, 9], Channels::Rgb, border, [1.0; 2], map);
        assert_eq!(same(Border::Black, |p| p), frame);
        let away = |p: Point| Point::new(p.x - 100.0, p.y);
        assert_eq!(same(Border::Black, away), Frame::filled(9, 7, [0; 3]));
        assert_eq!(same(Border::Replicate, away).pixel(3, 2), frame.pixel(0, 2));
    }

    #[test]
    fn a_crop_is_filled_part_by_part() {
        let frame = Frame::filled(20, 20, [200; 3]);
        let mut crop = Crop::default();
        crop.reset([4, 10], Channels::Gray);
        crop.fill(7);
        let mut warper = Warper::default();
        let part = Cut { rows: 1..3, columns: 3..5, border: Border::Black, shrink: [1.0; 2] };
        warper.warp(&frame, &mut crop, &part, |p| Point::new(p.x + 1.0, p.y + 1.0));
        assert_eq!(crop.row_mut(2), [7, 7, 7, 200, 200, 7, 7, 7, 7, 7]);
        assert_eq!([crop.row_mut(0)[3], crop.row_mut(1)[3], crop.row_mut(3)[3]], [7, 200, 7]);
    }
}
