//! Templates as 8-bit codes, with what is needed to know when a code decides.
//!
//! A row is coded twice over with 4 bits a value: the coarse plane codes the row itself, the fine plane what the coarse
//! one leaves out. The coarse plane of all rows is read for each search, half as many bytes as whole codes; the fine
//! plane only where the coarse one does not decide. A probe is coded with 8 bits a value.
//!
//! By the Cauchy-Schwarz inequality, with `p'`, `r'` for the values the codes stand for,
//! `|p·r - p'·r'| <= ‖p'‖ ‖r - r'‖ + ‖p - p'‖ ‖r‖`. The norms of the errors are measured when the codes are made, so
//! `p'·r'` plus that bound is never less than the score: a row below the floor by this measure need not be compared
//! exactly, and leaving it out changes no result.

use fearless_simd::Level;
use zeroize::Zeroizing;

use super::dots::{CHUNK, Chunk, ProbeChunk, dots};
use super::rows::Rows;
use super::template::{DIMENSIONS, LENGTH_TOLERANCE};

/// Rows looked at in one go.
const BLOCK: usize = 64;
/// Largest code of a probe.
const PROBE_PEAK: f32 = 127.0;
/// Codes of a row are -8 to 7, and stored with this added.
const BIAS: i32 = 8;
/// Largest code of either sign.
const ROW_PEAK: f32 = 7.0;
/// Largest values, as shares of the row's largest, that are tried for the coarse code: a few cut values make all others
/// finer.
const CUTS: [f32; 8] = [1.0, 0.93, 0.86, 0.79, 0.72, 0.65, 0.58, 0.51];
/// Chunks of the longest template.
const MAX_CHUNKS: usize = DIMENSIONS.end().div_ceil(CHUNK);

/// The codes of a gallery's rows.
pub(super) struct Codes {
    coarse: Plane,
    fine: Plane,
}

/// One code of each row.
struct Plane {
    values: Rows<Chunk>,
    /// What a code of 1 stands for.
    scale: Rows<f32>,
    /// Norm of what this plane, with those before it, leaves out.
    error: Rows<f32>,
}

impl Codes {
    /// No rows yet, of `dimensions` values each.
    pub(super) fn new(dimensions: usize) -> Self {
        let plane =
            || Plane { values: Rows::new(dimensions.div_ceil(CHUNK)), scale: Rows::new(1), error: Rows::new(1) };
        Self { coarse: plane(), fine: plane() }
    }

    /// Appends the codes of a vector of about unit length.
    pub(super) fn push(&mut self, vector: &[f32]) {
        let largest = peak(vector) / ROW_PEAK;
        let tried = CUTS.map(|share| (share * largest, loss(vector, share * largest)));
        let best = tried.into_iter().reduce(|best, other| if other.1 < best.1 { other } else { best });
        let mut rest = Zeroizing::new([0.0; *DIMENSIONS.end()]);
        let rest = &mut rest[..vector.len()];
        rest.copy_from_slice(vector);
        self.coarse.push(rest, best.map_or(largest, |(scale, _)| scale));
        self.fine.push(rest, peak(rest) / ROW_PEAK);
    }

    /// Removes row `i` and puts the last row in its place.
    pub(super) fn swap_remove(&mut self, i: usize) {
        for plane in [&mut self.coarse, &mut self.fine] {
            plane.values.swap_remove(i);
            plane.scale.swap_remove(i);
            plane.error.swap_remove(i);
        }
    }

    /// Calls `compare` with the number of each row, in order, whose score may reach the floor; `compare` returns the floor
    /// from then on. The first floor lets every row through.
    pub(super) fn scan(&self, probe: &ProbeCode, mut compare: impl FnMut(usize) -> f32) {
        let (level, chunks) = (Level::new(), probe.codes());
        let (coarse, fine) = (&self.coarse, &self.fine);
        let mut floor = f32::NEG_INFINITY;
        let in_order: [usize; BLOCK] = std::array::from_fn(|i| i);
        let (mut sums, mut low_sums, mut scores) = ([0; BLOCK], [0; BLOCK], [0.0; BLOCK]);
        let mut possible = [0; BLOCK];
        let blocks =
            coarse.values.all().chunks(BLOCK * chunks.len()).zip(fine.values.all().chunks(BLOCK * chunks.len()));
        let measures = coarse.scale.all().chunks(BLOCK).zip(coarse.error.all().chunks(BLOCK));
        for (block, ((rows, fine_rows), (scales, errors))) in blocks.zip(measures).enumerate() {
            let sums = &mut sums[..scales.len()];
            dots(level, rows, &in_order, chunks, sums);
            for ((score, sum), scale) in scores.iter_mut().zip(sums).zip(scales) {
                *score = probe.score(*sum, *scale);
            }
            let mut count = 0;
            for (i, (score, error)) in scores.iter().zip(errors).enumerate() {
                possible[count] = i;
                count += usize::from(probe.highest(*score, *error) >= floor);
            }
            let possible = &possible[..count];
            dots(level, fine_rows, possible, chunks, &mut low_sums[..count]);
            for (i, sum) in possible.iter().zip(&low_sums) {
                let row = block * BLOCK + i;
                let score = scores[*i] + probe.score(*sum, fine.scale.row(row)[0]);
                if probe.highest(score, fine.error.row(row)[0]) >= floor {
                    floor = compare(row);
                }
            }
        }
    }
}

impl Plane {
    /// Appends the code of `rest` by `scale`, and leaves in `rest` what it does not express.
    fn push(&mut self, rest: &mut [f32], scale: f32) {
        let mut code = Zeroizing::new([Chunk::default(); MAX_CHUNKS]);
        let mut error = 0.0;
        for (i, value) in rest.iter_mut().enumerate() {
            let nearest = nearest(*value, scale);
            *value -= nearest * scale;
            error += f64::from(*value).powi(2);
            let shift = if i % CHUNK < CHUNK / 2 { 0 } else { 4 };
            code[i / CHUNK].0[i % (CHUNK / 2)] |= ((nearest as i32 + BIAS) as u8) << shift;
        }
        self.values.push(&code[..rest.len().div_ceil(CHUNK)]);
        self.scale.push(&[scale]);
        self.error.push(&[upwards(error.sqrt())]);
    }
}

/// The code of a row that is nearest to `value`.
#[inline]
fn nearest(value: f32, scale: f32) -> f32 {
    // adding and subtracting what leaves no room for fractions rounds without a call to a library
    const WHOLE: f32 = 12_582_912.0;
    ((value / scale).clamp(-ROW_PEAK - 1.0, ROW_PEAK) + WHOLE) - WHOLE
}

/// About the square of the norm of what a code by `scale` leaves out.
fn loss(vector: &[f32], scale: f32) -> f32 {
    let mut lanes = [0.0; 16];
    for values in vector.chunks(lanes.len()) {
        for (sum, value) in lanes.iter_mut().zip(values) {
            *sum += (value - nearest(*value, scale) * scale).powi(2);
        }
    }
    lanes.iter().sum()
}

/// The code of a probe.
pub(super) struct ProbeCode {
    chunks: Zeroizing<[ProbeChunk; MAX_CHUNKS]>,
    count: usize,
    /// What the bias of the rows' halves adds to each inner product.
    offset: i32,
    scale: f32,
    /// Length of the coded vector.
    norm: f32,
    /// What the probe's own error, and the rounding of every step here and in the exact score, can amount to.
    slack: f32,
}

impl ProbeCode {
    /// The code of a vector of about unit length.
    pub(super) fn new(vector: &[f32]) -> Self {
        let scale = peak(vector) / PROBE_PEAK;
        let mut chunks = Zeroizing::new([ProbeChunk::default(); MAX_CHUNKS]);
        let (mut offset, mut norm, mut error) = (0, 0.0, 0.0);
        for (i, value) in vector.iter().enumerate() {
            let code = (value / scale).round().clamp(-PROBE_PEAK, PROBE_PEAK);
            chunks[i / CHUNK].0[i % CHUNK] = code as i8;
            offset += BIAS * code as i32;
            let coded = f64::from(code) * f64::from(scale);
            norm += coded.powi(2);
            error += (f64::from(*value) - coded).powi(2);
        }
        // A sum of n products in f32 is off by at most n/2 EPSILON times the lengths of both vectors (Higham, 2002,
        // section 3.1); the rest is more than the few steps here and in coding a row add to that.
        let rounding = (vector.len() + 16) as f32 * f32::EPSILON;
        Self {
            chunks,
            count: vector.len().div_ceil(CHUNK),
            offset,
            scale,
            norm: upwards(norm.sqrt()),
            slack: upwards(error.sqrt()) * (1.0 + LENGTH_TOLERANCE) + rounding,
        }
    }

    fn codes(&self) -> &[ProbeChunk] {
        &self.chunks[..self.count]
    }

    /// The score with a plane of a row, by the inner product of the codes and the plane's scale.
    fn score(&self, sum: i32, scale: f32) -> f32 {
        (sum - self.offset) as f32 * (scale * self.scale)
    }

    /// An upper bound of a row's score, by its coded score and the norm of what the code leaves out.
    fn highest(&self, score: f32, error: f32) -> f32 {
        score + (self.norm * error + self.slack)
    }
}

fn peak(vector: &[f32]) -> f32 {
    vector.iter().fold(f32::MIN_POSITIVE, |peak, value| peak.max(value.abs()))
}

/// As `f32`, and not less.
fn upwards(value: f64) -> f32 {
    (value as f32).next_up()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::template::dot;
    use super::*;

    fn unit(mut values: Vec<f32>) -> Vec<f32> {
        let length = values.iter().map(|v| v * v).sum::<f32>().sqrt();
        for value in &mut values {
            *value /= length;
        }
        values
    }

    fn units() -> impl Strategy<Value = (Vec<f32>, Vec<f32>)> {
        // a cube makes a few values large and most small, which quantises badly
        let value = || (-1.0_f32..1.0, any::<bool>()).prop_map(|(v, cubed)| if cubed { v.powi(3) } else { v } + 1e-3);
        (16_usize..600).prop_flat_map(move |n| {
            let vector = || proptest::collection::vec(value(), n).prop_map(unit);
            (vector(), vector())
        })
    }

    proptest! {
        #[test]
        fn the_bounds_hold_and_are_close((row, probe) in units()) {
            let mut codes = Codes::new(row.len());
            codes.push(&row);
            let code = ProbeCode::new(&probe);
            let exact = dot(&row, &probe);
            let (mut score, mut bounds) = (0.0, Vec::new());
            for plane in [&codes.coarse, &codes.fine] {
                let mut sum = [0];
                dots(Level::new(), plane.values.all(), &[0], code.codes(), &mut sum);
                score += code.score(sum[0], plane.scale.row(0)[0]);
                bounds.push(code.highest(score, plane.error.row(0)[0]));
            }
            prop_assert!(bounds.iter().all(|bound| *bound >= exact), "{exact} is above one of {bounds:?}");
            // both the row's and the probe's error are at most half a step in each dimension
            let steps = (row.len() as f32).sqrt() * 0.5 * (codes.fine.scale.row(0)[0] + code.scale);
            prop_assert!(bounds[1] - exact <= 2.02 * steps + 1e-3, "{} is far above {exact}", bounds[1]);
        }

        #[test]
        fn the_two_planes_are_the_row((row, _) in units()) {
            let mut codes = Codes::new(row.len());
            codes.push(&row);
            let coded = |plane: &Plane, i: usize| {
                let byte = plane.values.row(0)[i / CHUNK].0[i % 64];
                let half = if i % CHUNK < 64 { byte & 15 } else { byte >> 4 };
                (i32::from(half) - BIAS) as f32 * plane.scale.row(0)[0]
            };
            let step = codes.fine.scale.row(0)[0];
            for (i, value) in row.iter().enumerate() {
                prop_assert!((value - coded(&codes.coarse, i) - coded(&codes.fine, i)).abs() <= 0.501 * step + 1e-6);
            }
            prop_assert!(codes.fine.error.row(0)[0] <= codes.coarse.error.row(0)[0]);
        }
    }
}
