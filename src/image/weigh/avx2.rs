//! With AVX2: sums of two products of 16 bits.
//!
//! A weight is two digits to the base 2^14: the upper one has the sign, the lower one has none.

use std::arch::x86_64::*;

use super::super::filter::{FRACTION_BITS, Window};
use super::Rows;

const DIGIT_BITS: i32 = 14;

/// Two weights' upper digits and their lower digits, each pair as a sum of products takes it.
fn pair(first: i32, second: i32) -> [i32; 2] {
    let upper = |weight: i32| weight >> DIGIT_BITS;
    let lower = |weight: i32| weight & ((1 << DIGIT_BITS) - 1);
    let both = |first: i32, second: i32| second << 16 | (first & 0xFFFF);
    [
        both(upper(first), upper(second)),
        both(lower(first), lower(second)),
    ]
}

/// The rounded sums of the digits' sums.
#[inline]
#[target_feature(enable = "avx2")]
fn joined([upper, lower]: [__m256i; 2]) -> __m256i {
    let half = _mm256_set1_epi32(1 << (FRACTION_BITS - 1));
    let sum = _mm256_add_epi32(_mm256_slli_epi32::<DIGIT_BITS>(upper), lower);
    _mm256_srai_epi32::<{ FRACTION_BITS as i32 }>(_mm256_add_epi32(sum, half))
}

/// Bytes in a register.
const WIDTH: usize = 32;

/// See [`super::down`].
#[target_feature(enable = "avx2")]
pub(super) fn down(rows: Rows<'_>, weights: &[i32], out: &mut [u8]) {
    let (strips, _) = out.as_chunks_mut::<WIDTH>();
    let done = strips.len() * WIDTH;
    let zero = _mm256_setzero_si256();
    for (number, strip) in strips.iter_mut().enumerate() {
        let load = |row: &[u8]| {
            let bytes = row[number * WIDTH..].first_chunk::<WIDTH>();
            bytes.map_or(zero, |bytes| bytemuck::cast(*bytes))
        };
        // Digits' sums of the columns 0 to 3, 4 to 7, 8 to 11 and 12 to 15 of each 16.
        let mut sums = [[zero; 2]; 4];
        let mut each = rows.each(weights.len());
        for two in weights.chunks(2) {
            let a = each.next().map_or(zero, load);
            let (second, b) = match two.get(1) {
                Some(weight) => (*weight, each.next().map_or(zero, load)),
                None => (0, zero),
            };
            let factors = pair(two[0], second).map(|pair| _mm256_set1_epi32(pair));
            let (low, high) = (_mm256_unpacklo_epi8(a, b), _mm256_unpackhi_epi8(a, b));
            let samples = [
                _mm256_unpacklo_epi8(low, zero),
                _mm256_unpackhi_epi8(low, zero),
                _mm256_unpacklo_epi8(high, zero),
                _mm256_unpackhi_epi8(high, zero),
            ];
            for (sums, samples) in sums.iter_mut().zip(samples) {
                for (sum, factor) in sums.iter_mut().zip(factors) {
                    *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(samples, factor));
                }
            }
        }
        let [a, b, c, d] = sums.map(|sums| joined(sums));
        let value = _mm256_packus_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
        *strip = bytemuck::cast(value);
    }
    super::portable_down(rows, weights, out, done);
}

/// The factors of two weights for each of two output pixels: upper digits, lower digits; four lanes
/// for each pixel.
type Factors = [[i32; 8]; 2];

/// Two output pixels.
struct Two {
    /// The first bytes that they need.
    bases: [usize; 2],
    /// Where their factors are, and how many sets of two weights they have.
    factors: usize,
    pairs: usize,
}

/// Tables for the sums along a row.
pub(super) struct Across {
    twos: Vec<Two>,
    factors: Vec<Factors>,
}

impl Across {
    pub(super) fn new(windows: &[Window]) -> Self {
        let mut across = Across {
            twos: Vec::new(),
            factors: Vec::new(),
        };
        for [left, right] in windows.as_chunks::<2>().0 {
            let pairs = left.weights.len().max(right.weights.len()).div_ceil(2);
            across.twos.push(Two {
                bases: [3 * left.first, 3 * right.first],
                factors: across.factors.len(),
                pairs,
            });
            for number in 0..pairs {
                let of = |window: &Window| {
                    let weight = |at: usize| window.weights.get(at).copied().unwrap_or(0);
                    pair(weight(2 * number), weight(2 * number + 1))
                };
                let (left, right) = (of(left), of(right));
                across.factors.push([0, 1].map(|digit| {
                    std::array::from_fn(|lane| if lane < 4 { left[digit] } else { right[digit] })
                }));
            }
        }
        across
    }

    /// Makes the pixels for which whole registers can be read and written; how many.
    #[target_feature(enable = "avx2")]
    pub(super) fn run(&self, row: &[u8], out: &mut [u8]) -> usize {
        // The three colours of two pixels as pairs of 16 bits; the fourth lane is of no use.
        const PAIRS: [i8; 16] = [0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1];
        let pairs = _mm256_broadcastsi128_si256(bytemuck::cast(PAIRS));
        let half = |at: usize| -> Option<__m128i> {
            let eight: [u8; 8] = *row.get(at..)?.first_chunk()?;
            Some(_mm_cvtsi64_si128(i64::from_le_bytes(eight)))
        };
        for (number, two) in self.twos.iter().enumerate() {
            let mut sums = [_mm256_setzero_si256(); 2];
            let [mut left, mut right] = two.bases;
            for factors in &self.factors[two.factors..][..two.pairs] {
                let (Some(a), Some(b)) = (half(left), half(right)) else {
                    return 2 * number;
                };
                let both = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(a), b);
                let samples = _mm256_shuffle_epi8(both, pairs);
                for (sum, factor) in sums.iter_mut().zip(factors) {
                    let products = _mm256_madd_epi16(samples, bytemuck::cast(*factor));
                    *sum = _mm256_add_epi32(*sum, products);
                }
                left += 6;
                right += 6;
            }
            let value = joined(sums);
            let value = _mm256_packs_epi32(value, value);
            let value: [u8; 32] = bytemuck::cast(_mm256_packus_epi16(value, value));
            let Some(to) = out.get_mut(6 * number..6 * number + 6) else {
                return 2 * number;
            };
            to[..3].copy_from_slice(&value[..3]);
            to[3..].copy_from_slice(&value[16..19]);
        }
        2 * self.twos.len()
    }
}
