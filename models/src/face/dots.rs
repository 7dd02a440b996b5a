//! Inner products of packed 4-bit rows with an 8-bit probe, in whatever vector instructions this processor has.
//!
//! One [`Chunk`] holds 128 values of a row: byte `j` has value `j` in its low and value `64 + j` in its high half. So a
//! row is unpacked with a mask and a shift, and no value is moved. All arithmetic is of integers and never overflows,
//! hence every variant gives the same result.

use fearless_simd::Level;
use zeroize::DefaultIsZeroes;

/// Values in a chunk.
pub(super) const CHUNK: usize = 128;

/// 128 values of 0 to 15, two to a byte, in one cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Chunk(pub(super) [u8; CHUNK / 2]);

impl Default for Chunk {
    fn default() -> Self {
        Self([0; CHUNK / 2])
    }
}

impl DefaultIsZeroes for Chunk {}

/// 128 values of a probe, -127 to 127, in their own order.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct ProbeChunk(pub(super) [i8; CHUNK]);

impl Default for ProbeChunk {
    fn default() -> Self {
        Self([0; CHUNK])
    }
}

impl DefaultIsZeroes for ProbeChunk {}

/// Writes the inner products of `probe` with the `picked` rows of `rows` (as many chunks each as the probe has) to `out`,
/// in that order. At most 32 chunks to a row, so that every sum fits.
pub(super) fn dots(level: Level, rows: &[Chunk], picked: &[usize], probe: &[ProbeChunk], out: &mut [i32]) {
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512(token) => x86::avx512(token, rows, picked, probe, out),
        #[cfg(target_arch = "x86_64")]
        Level::Avx2(token) => x86::avx2(token, rows, picked, probe, out),
        #[cfg(target_arch = "aarch64")]
        Level::Neon(token) => arm::neon(token, rows, picked, probe, out),
        _ => plain(rows, picked, probe, out),
    }
}

fn plain(rows: &[Chunk], picked: &[usize], probe: &[ProbeChunk], out: &mut [i32]) {
    for (sum, row) in out.iter_mut().zip(picked) {
        *sum = 0;
        for (chunk, probe) in rows[row * probe.len()..][..probe.len()].iter().zip(probe) {
            let (low, high) = probe.0.split_at(CHUNK / 2);
            for ((packed, low), high) in chunk.0.iter().zip(low).zip(high) {
                *sum += i32::from(packed & 15) * i32::from(*low) + i32::from(packed >> 4) * i32::from(*high);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use fearless_simd::prelude::*;
    use fearless_simd::{i8x32, i8x64, kernel, u8x32, u8x64};

    use super::{CHUNK, Chunk, ProbeChunk};

    // The processors with AVX-512 that matter (Ice Lake, Zen 4 and later) multiply and add four bytes at once (VNNI).
    kernel!(
        pub(super) fn avx512(token: Avx512, rows: &[Chunk], picked: &[usize], probe: &[ProbeChunk], out: &mut [i32]) {
            let mask = _mm512_set1_epi8(15);
            for (out, row) in out.iter_mut().zip(picked) {
                let (mut low_sum, mut high_sum) = (_mm512_setzero_si512(), _mm512_setzero_si512());
                for (chunk, probe) in rows[row * probe.len()..][..probe.len()].iter().zip(probe) {
                    let (low, high) = probe.0.split_at(CHUNK / 2);
                    let packed = u8x64::from_slice(token, &chunk.0).into();
                    let low_values = _mm512_and_si512(packed, mask);
                    let high_values = _mm512_and_si512(_mm512_srli_epi16::<4>(packed), mask);
                    low_sum = _mm512_dpbusd_epi32(low_sum, low_values, i8x64::from_slice(token, low).into());
                    high_sum = _mm512_dpbusd_epi32(high_sum, high_values, i8x64::from_slice(token, high).into());
                }
                *out = _mm512_reduce_add_epi32(_mm512_add_epi32(low_sum, high_sum));
            }
        }
    );

    kernel!(
        pub(super) fn avx2(token: Avx2, rows: &[Chunk], picked: &[usize], probe: &[ProbeChunk], out: &mut [i32]) {
            let mask = _mm256_set1_epi8(15);
            let ones = _mm256_set1_epi16(1);
            for (out, row) in out.iter_mut().zip(picked) {
                let mut sum = _mm256_setzero_si256();
                for (chunk, probe) in rows[row * probe.len()..][..probe.len()].iter().zip(probe) {
                    let (low, high) = probe.0.split_at(CHUNK / 2);
                    // a 16-bit lane sums eight products: at most 8 * 15 * 127, half of what fits
                    let mut products = _mm256_setzero_si256();
                    for half in [0, 32] {
                        let packed = u8x32::from_slice(token, &chunk.0[half..half + 32]).into();
                        let low = i8x32::from_slice(token, &low[half..half + 32]).into();
                        let high = i8x32::from_slice(token, &high[half..half + 32]).into();
                        let low_values = _mm256_and_si256(packed, mask);
                        let high_values = _mm256_and_si256(_mm256_srli_epi16::<4>(packed), mask);
                        products = _mm256_add_epi16(products, _mm256_maddubs_epi16(low_values, low));
                        products = _mm256_add_epi16(products, _mm256_maddubs_epi16(high_values, high));
                    }
                    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(products, ones));
                }
                let sum = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
                let sum = _mm_add_epi32(sum, _mm_shuffle_epi32::<0b01_00_11_10>(sum));
                let sum = _mm_add_epi32(sum, _mm_shuffle_epi32::<0b10_11_00_01>(sum));
                *out = _mm_cvtsi128_si32(sum);
            }
        }
    );
}

#[cfg(target_arch = "aarch64")]
mod arm {
    use std::arch::aarch64::*;

    use fearless_simd::prelude::*;
    use fearless_simd::{i8x16, kernel, u8x16};

    use super::{CHUNK, Chunk, ProbeChunk};

    kernel!(
        pub(super) fn neon(token: Neon, rows: &[Chunk], picked: &[usize], probe: &[ProbeChunk], out: &mut [i32]) {
            let mask = vdupq_n_u8(15);
            for (out, row) in out.iter_mut().zip(picked) {
                let mut sum = vdupq_n_s32(0);
                for (chunk, probe) in rows[row * probe.len()..][..probe.len()].iter().zip(probe) {
                    let (low, high) = probe.0.split_at(CHUNK / 2);
                    // a 16-bit lane sums eight products: at most 8 * 15 * 127, half of what fits
                    let (mut first, mut second) = (vdupq_n_s16(0), vdupq_n_s16(0));
                    for quarter in [0, 16, 32, 48] {
                        let packed = u8x16::from_slice(token, &chunk.0[quarter..quarter + 16]).into();
                        let low = i8x16::from_slice(token, &low[quarter..quarter + 16]).into();
                        let high = i8x16::from_slice(token, &high[quarter..quarter + 16]).into();
                        let low_values = vreinterpretq_s8_u8(vandq_u8(packed, mask));
                        let high_values = vreinterpretq_s8_u8(vshrq_n_u8::<4>(packed));
                        first = vmlal_s8(first, vget_low_s8(low_values), vget_low_s8(low));
                        first = vmlal_s8(first, vget_low_s8(high_values), vget_low_s8(high));
                        second = vmlal_high_s8(second, low_values, low);
                        second = vmlal_high_s8(second, high_values, high);
                    }
                    sum = vpadalq_s16(vpadalq_s16(sum, first), second);
                }
                *out = vaddvq_s32(sum);
            }
        }
    );
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn both(rows: &[Chunk], probe: &[ProbeChunk]) {
        // backwards, and the first row once more
        let picked: Vec<usize> = (0..rows.len() / probe.len()).rev().chain([0]).collect();
        let mut expected = vec![0; picked.len()];
        plain(rows, &picked, probe, &mut expected);
        for level in levels() {
            let mut found = vec![0; picked.len()];
            dots(level, rows, &picked, probe, &mut found);
            assert_eq!(found, expected, "{level:?}");
        }
    }

    /// Every level of this processor that has code of its own.
    fn levels() -> Vec<Level> {
        let best = Level::new();
        #[cfg(target_arch = "x86_64")]
        let lesser = best.as_avx2().map(Level::Avx2);
        #[cfg(not(target_arch = "x86_64"))]
        let lesser = None;
        [Some(best), lesser].into_iter().flatten().collect()
    }

    proptest! {
        #[test]
        fn every_variant_gives_the_same_sums(
            chunks in 1_usize..5,
            bytes in proptest::collection::vec(any::<u8>(), 5 * 4 * 64),
            values in proptest::collection::vec(-127_i8..=127, 4 * CHUNK),
        ) {
            let rows: Vec<Chunk> = bytes.chunks_exact(64).take(5 * chunks).map(|b| Chunk(std::array::from_fn(|i| b[i]))).collect();
            let probe: Vec<ProbeChunk> =
                values.chunks_exact(CHUNK).take(chunks).map(|v| ProbeChunk(std::array::from_fn(|i| v[i]))).collect();
            both(&rows, &probe);
        }
    }

    #[test]
    fn the_largest_sums_fit() {
        for extreme in [-127, 127] {
            both(&[Chunk([255; 64]); 64], &[ProbeChunk([extreme; CHUNK]); 32]);
        }
    }

    #[test]
    fn values_lie_where_the_layout_says() {
        let mut row = Chunk::default();
        row.0[3] = 0x52;
        let mut probe = ProbeChunk::default();
        probe.0[3] = 10;
        probe.0[64 + 3] = -1;
        let mut sum = [0];
        dots(Level::new(), &[row], &[0], &[probe], &mut sum);
        assert_eq!(sum, [2 * 10 - 5]);
    }
}
