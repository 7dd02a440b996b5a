//! Templates as 8-bit codes, with what is needed to know when a code decides.
//!
//! A row `r` becomes `scale * q` with whole numbers `q` of -119 to 119, stored as two 4-bit planes: `q = 16 h + l` with
//! `h` of -7 to 7 and `l` of -8 to 7. The coarse plane alone is a 4-bit code of the row, half as many bytes to read; the
//! fine plane is looked at only where the coarse one does not decide. A probe `p` becomes an 8-bit code as well.
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
/// Largest code of a row: the largest whose high half still fits 4 bits.
const ROW_PEAK: f32 = 119.0;
/// Largest code of a probe.
const PROBE_PEAK: f32 = 127.0;
/// What is added to a half so that it becomes 0 to 15.
const BIAS: i32 = 8;
/// Chunks of the longest template.
const MAX_CHUNKS: usize = DIMENSIONS.end().div_ceil(CHUNK);

/// The codes of a gallery's rows.
pub(super) struct Codes {
    coarse: Rows<Chunk>,
    fine: Rows<Chunk>,
    scale: Rows<f32>,
    /// Norm of what the coarse plane leaves out.
    coarse_error: Rows<f32>,
    /// Norm of what both planes leave out.
    fine_error: Rows<f32>,
}

impl Codes {
    /// No rows yet, of `dimensions` values each.
    pub(super) fn new(dimensions: usize) -> Self {
        let chunks = dimensions.div_ceil(CHUNK);
        Self {
            coarse: Rows::new(chunks),
            fine: Rows::new(chunks),
            scale: Rows::new(1),
            coarse_error: Rows::new(1),
            fine_error: Rows::new(1),
        }
    }

    /// Appends the codes of a vector of about unit length.
    pub(super) fn push(&mut self, vector: &[f32]) {
        let scale = peak(vector) / ROW_PEAK;
        let mut coarse = Zeroizing::new([Chunk::default(); MAX_CHUNKS]);
        let mut fine = Zeroizing::new([Chunk::default(); MAX_CHUNKS]);
        let (mut coarse_error, mut fine_error) = (0.0, 0.0);
        for (i, value) in vector.iter().enumerate() {
            let code = (value / scale).round().clamp(-ROW_PEAK, ROW_PEAK) as i32;
            let high = (code + BIAS) >> 4;
            let low = code - 16 * high;
            let (chunk, at) = (i / CHUNK, i % (CHUNK / 2));
            let shift = if i % CHUNK < CHUNK / 2 { 0 } else { 4 };
            coarse[chunk].0[at] |= ((high + BIAS) as u8) << shift;
            fine[chunk].0[at] |= ((low + BIAS) as u8) << shift;
            coarse_error += (f64::from(*value) - f64::from(16 * high) * f64::from(scale)).powi(2);
            fine_error += (f64::from(*value) - f64::from(code) * f64::from(scale)).powi(2);
        }
        let chunks = vector.len().div_ceil(CHUNK);
        self.coarse.push(&coarse[..chunks]);
        self.fine.push(&fine[..chunks]);
        self.scale.push(&[scale]);
        self.coarse_error.push(&[upwards(coarse_error.sqrt())]);
        self.fine_error.push(&[upwards(fine_error.sqrt())]);
    }

    /// Removes row `i` and puts the last row in its place.
    pub(super) fn swap_remove(&mut self, i: usize) {
        self.coarse.swap_remove(i);
        self.fine.swap_remove(i);
        for values in [&mut self.scale, &mut self.coarse_error, &mut self.fine_error] {
            values.swap_remove(i);
        }
    }

    /// Calls `compare` with the number of each row, in order, whose score may reach the floor; `compare` returns the floor
    /// from then on. The first floor lets every row through.
    pub(super) fn scan(&self, probe: &ProbeCode, mut compare: impl FnMut(usize) -> f32) {
        let level = Level::new();
        let chunks = probe.codes();
        let mut floor = f32::NEG_INFINITY;
        let mut sums = [0; BLOCK];
        let mut possible = [0; BLOCK];
        let blocks = self.coarse.all().chunks(BLOCK * chunks.len());
        let measures = self.scale.all().chunks(BLOCK).zip(self.coarse_error.all().chunks(BLOCK));
        for (block, (rows, (scales, errors))) in blocks.zip(measures).enumerate() {
            let sums = &mut sums[..scales.len()];
            dots(level, rows, chunks, sums);
            let mut count = 0;
            for (i, ((sum, scale), error)) in sums.iter().zip(scales).zip(errors).enumerate() {
                possible[count] = i;
                count += usize::from(probe.highest(16 * (sum - probe.offset), *scale, *error) >= floor);
            }
            for i in &possible[..count] {
                let row = block * BLOCK + i;
                let mut low = [0];
                dots(level, self.fine.row(row), chunks, &mut low);
                let sum = 16 * (sums[*i] - probe.offset) + low[0] - probe.offset;
                if probe.highest(sum, scales[*i], self.fine_error.row(row)[0]) >= floor {
                    floor = compare(row);
                }
            }
        }
    }
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
        // section 3.1); the other half covers the few steps of `highest`.
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

    /// An upper bound of the score of a row with inner product `sum`.
    fn highest(&self, sum: i32, scale: f32, error: f32) -> f32 {
        sum as f32 * (scale * self.scale) + (self.norm * error + self.slack)
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
        values.iter_mut().for_each(|v| *v /= length);
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
            let mut high = [0];
            let mut low = [0];
            dots(Level::new(), codes.coarse.row(0), code.codes(), &mut high);
            dots(Level::new(), codes.fine.row(0), code.codes(), &mut low);
            let scale = codes.scale.row(0)[0];
            let (high, low) = (high[0] - code.offset, low[0] - code.offset);
            let coarse = code.highest(16 * high, scale, codes.coarse_error.row(0)[0]);
            let fine = code.highest(16 * high + low, scale, codes.fine_error.row(0)[0]);
            let exact = dot(&row, &probe);
            prop_assert!(coarse >= exact && fine >= exact, "{exact} is above {coarse} or {fine}");
            // both errors are at most half a step in each dimension
            let steps = (row.len() as f32).sqrt() * 0.5 * (scale + code.scale);
            prop_assert!(fine - exact <= 2.0 * steps * 1.01 + 1e-3, "{fine} is far above {exact}");
        }

        #[test]
        fn the_two_planes_are_the_row((row, _) in units()) {
            let mut codes = Codes::new(row.len());
            codes.push(&row);
            let scale = codes.scale.row(0)[0];
            for (i, value) in row.iter().enumerate() {
                let half = |plane: &Rows<Chunk>| {
                    let byte = plane.row(0)[i / CHUNK].0[i % 64];
                    i32::from(if i % CHUNK < 64 { byte & 15 } else { byte >> 4 }) - BIAS
                };
                let (high, low) = (half(&codes.coarse), half(&codes.fine));
                prop_assert!((-7..=7).contains(&high) && (-8..=7).contains(&low));
                prop_assert!((value - scale * (16 * high + low) as f32).abs() <= 0.5001 * scale);
            }
        }
    }
}
