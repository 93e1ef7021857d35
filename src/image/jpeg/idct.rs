//! The inverse DCT, in the integers of libjpeg's "slow" one.
//!
//! The flow graph is that of C. Loeffler, A. Ligtenberg and G. S. Moschytz, "Practical fast 1-D DCT
//! algorithms with 11 multiplications" (ICASSP 1989), which needs one more multiplication when no
//! product may follow another. Both passes work with constants of 13 fractional bits; the columns
//! come first and leave 2 fractional bits, the rows take those and the factor 8 away. Each pass
//! rounds half up, once.
//!
//! Products of the odd part are gathered by input, so that each is a sum of two products of 16
//! bits, which registers have an instruction for; integers do not mind.
//!
//! Damaged files may hold values that no encoder writes, and libjpeg-turbo shows them without a
//! warning; so what passes 16 bits goes as in its x86-64 registers. Dequantised values and sums of
//! inputs wrap; between the passes and at the end, values are cut to what fits, but where no row
//! after the first has a coefficient, the columns are not transformed, and shifting them wraps.

use super::Block;

/// Fractional bits of the constants.
const CONSTANT_BITS: i32 = 13;
/// Fractional bits between the passes.
const PASS_BITS: i32 = 2;
/// What each pass shifts away.
const COLUMN_SHIFT: i32 = CONSTANT_BITS - PASS_BITS;
const ROW_SHIFT: i32 = CONSTANT_BITS + PASS_BITS + 3;

const fn fixed(x: f64) -> i16 {
    let scaled = x * (1 << CONSTANT_BITS) as f64;
    (scaled + 0.5) as i16
}

// The names say which input each factor is for, and in which sum.
/// sqrt(2) c6
const E: i16 = fixed(0.541196100);
/// sqrt(2) (c2 - c6), sqrt(2) (c2 + c6)
const EVEN_2: i16 = E + fixed(0.765366865);
const EVEN_6: i16 = E - fixed(1.847759065);
/// sqrt(2) c3
const O: i16 = fixed(1.175875602);
const ODD_37: i16 = O - fixed(1.961570560);
const ODD_15: i16 = O - fixed(0.390180644);
const P: i16 = -fixed(0.899976223);
const ODD_7: i16 = P + fixed(0.298631336);
const ODD_1: i16 = P + fixed(1.501321110);
const Q: i16 = -fixed(2.562915447);
const ODD_5: i16 = Q + fixed(2.053119869);
const ODD_3: i16 = Q + fixed(3.072711026);

/// Writes the 8 x 8 samples of a block: row `y` at `out[y * stride..]`, from the coefficients and
/// their quantisation (both row by row).
#[inline(always)]
pub(super) fn idct(block: &Block, quantisation: &Block, out: &mut [u8], stride: usize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE2 is part of x86-64, and the function asks for nothing else.
    unsafe {
        registers::idct(block, quantisation, out, stride);
    }
    #[cfg(not(target_arch = "x86_64"))]
    portable::idct(block, quantisation, out, stride);
}

/// [`idct`] of a block that has no coefficient but its first.
#[inline(always)]
pub(super) fn idct_flat(first: i16, quantisation: i16, out: &mut [u8], stride: usize) {
    let first = i32::from(first.wrapping_mul(quantisation) << PASS_BITS);
    let value = (first + (1 << (PASS_BITS + 2))) >> (PASS_BITS + 3);
    put(out, stride, [[sample(value); 8]; 8]);
}

/// Whether only the first row has coefficients, so that every column is flat.
#[inline(always)]
fn flat_columns(block: &Block) -> bool {
    block[8..].iter().fold(0, |any, value| any | value) == 0
}

/// Cut to 16 bits.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn saturated(value: i32) -> i32 {
    value.clamp(i32::from(i16::MIN), i32::from(i16::MAX))
}

/// A sample from its distance from the middle.
fn sample(value: i32) -> u8 {
    (value.clamp(-128, 127) + 128) as u8
}

#[inline(always)]
fn put(out: &mut [u8], stride: usize, rows: [[u8; 8]; 8]) {
    for (to, row) in out.chunks_mut(stride).zip(rows) {
        to[..8].copy_from_slice(&row);
    }
}

/// For machines without the registers below, and to test these against.
#[cfg(any(test, not(target_arch = "x86_64")))]
mod portable {
    use super::*;

    pub(super) fn idct(block: &Block, quantisation: &Block, out: &mut [u8], stride: usize) {
        let mut work = [[0i16; 8]; 8];
        for (x, column) in work.iter_mut().enumerate() {
            let given: [i16; 8] =
                std::array::from_fn(|y| block[8 * y + x].wrapping_mul(quantisation[8 * y + x]));
            *column = if flat_columns(block) {
                [given[0] << PASS_BITS; 8]
            } else {
                pass(given, COLUMN_SHIFT).map(|v| saturated(v) as i16)
            };
        }
        let row = |y: usize| {
            let given: [i16; 8] = std::array::from_fn(|x| work[x][y]);
            pass(given, ROW_SHIFT).map(sample)
        };
        put(out, stride, std::array::from_fn(row));
    }

    /// Eight outputs from eight frequencies.
    fn pass(x: [i16; 8], shift: i32) -> [i32; 8] {
        let product = |a: i16, fa: i16, b: i16, fb: i16| {
            i32::from(a) * i32::from(fa) + i32::from(b) * i32::from(fb)
        };
        let half = 1 << (shift - 1);
        let sum = (i32::from(x[0].wrapping_add(x[4])) << CONSTANT_BITS) + half;
        let difference = (i32::from(x[0].wrapping_sub(x[4])) << CONSTANT_BITS) + half;
        let low = product(x[2], EVEN_2, x[6], E);
        let high = product(x[2], E, x[6], EVEN_6);
        let even = [
            sum.wrapping_add(low),
            difference.wrapping_add(high),
            difference.wrapping_sub(high),
            sum.wrapping_sub(low),
        ];
        let (s, t) = (x[7].wrapping_add(x[3]), x[5].wrapping_add(x[1]));
        let s_part = product(s, ODD_37, t, O);
        let t_part = product(s, O, t, ODD_15);
        let odd = [
            product(x[1], ODD_1, x[7], P).wrapping_add(t_part),
            product(x[3], ODD_3, x[5], Q).wrapping_add(s_part),
            product(x[5], ODD_5, x[3], Q).wrapping_add(t_part),
            product(x[7], ODD_7, x[1], P).wrapping_add(s_part),
        ];
        std::array::from_fn(|i| {
            let (e, o) = (even[i.min(7 - i)], odd[i.min(7 - i)]);
            let exact = if i < 4 {
                e.wrapping_add(o)
            } else {
                e.wrapping_sub(o)
            };
            exact >> shift
        })
    }
}

/// Eight columns at a time, in the registers that every x86-64 has.
#[cfg(target_arch = "x86_64")]
mod registers {
    use std::arch::x86_64::*;

    use super::*;

    #[inline]
    #[target_feature(enable = "sse2")]
    pub(super) fn idct(block: &Block, quantisation: &Block, out: &mut [u8], stride: usize) {
        let (values, _) = block.as_chunks::<8>();
        let (steps, _) = quantisation.as_chunks::<8>();
        let rows: [__m128i; 8] = std::array::from_fn(|y| {
            _mm_mullo_epi16(bytemuck::cast(values[y]), bytemuck::cast(steps[y]))
        });
        let worked = if flat_columns(block) {
            [_mm_slli_epi16::<PASS_BITS>(rows[0]); 8]
        } else {
            pass::<COLUMN_SHIFT>(rows)
        };
        let columns = transposed(worked);
        put(out, stride, samples(pass::<ROW_SHIFT>(columns)));
    }

    /// Pairs of factors, for the lower and the higher input of a pair.
    #[inline]
    #[target_feature(enable = "sse2")]
    fn factors(low: i16, high: i16) -> __m128i {
        _mm_set1_epi32(i32::from(high) << 16 | i32::from(low as u16))
    }

    /// Eight sums of 32 bits: the first four, the last four.
    type Wide = (__m128i, __m128i);

    #[inline]
    #[target_feature(enable = "sse2")]
    fn add(a: Wide, b: Wide) -> Wide {
        (_mm_add_epi32(a.0, b.0), _mm_add_epi32(a.1, b.1))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn sub(a: Wide, b: Wide) -> Wide {
        (_mm_sub_epi32(a.0, b.0), _mm_sub_epi32(a.1, b.1))
    }

    /// Numbers of two registers side by side.
    #[inline]
    #[target_feature(enable = "sse2")]
    fn pairs(a: __m128i, b: __m128i) -> Wide {
        (_mm_unpacklo_epi16(a, b), _mm_unpackhi_epi16(a, b))
    }

    /// `a * fa + b * fb` for each pair.
    #[inline]
    #[target_feature(enable = "sse2")]
    fn product(pairs: Wide, fa: i16, fb: i16) -> Wide {
        let factors = factors(fa, fb);
        (
            _mm_madd_epi16(pairs.0, factors),
            _mm_madd_epi16(pairs.1, factors),
        )
    }

    /// Each number times the constants' one, and half of the last bit kept, for rounding.
    #[inline]
    #[target_feature(enable = "sse2")]
    fn scaled<const SHIFT: i32>(x: __m128i) -> Wide {
        let half = _mm_set1_epi32(1 << (SHIFT - 1));
        let high = pairs(_mm_setzero_si128(), x);
        let low = |x| _mm_add_epi32(_mm_srai_epi32::<{ 16 - CONSTANT_BITS }>(x), half);
        (low(high.0), low(high.1))
    }

    /// Cut to 16 bits after the shift.
    #[inline]
    #[target_feature(enable = "sse2")]
    fn narrowed<const SHIFT: i32>(x: Wide) -> __m128i {
        _mm_packs_epi32(_mm_srai_epi32::<SHIFT>(x.0), _mm_srai_epi32::<SHIFT>(x.1))
    }

    /// Eight outputs from eight frequencies, in each of eight lanes.
    #[inline]
    #[target_feature(enable = "sse2")]
    fn pass<const SHIFT: i32>(x: [__m128i; 8]) -> [__m128i; 8] {
        let sum = scaled::<SHIFT>(_mm_add_epi16(x[0], x[4]));
        let difference = scaled::<SHIFT>(_mm_sub_epi16(x[0], x[4]));
        let x26 = pairs(x[2], x[6]);
        let low = product(x26, EVEN_2, E);
        let high = product(x26, E, EVEN_6);
        let even = [
            add(sum, low),
            add(difference, high),
            sub(difference, high),
            sub(sum, low),
        ];
        let st = pairs(_mm_add_epi16(x[7], x[3]), _mm_add_epi16(x[5], x[1]));
        let s_part = product(st, ODD_37, O);
        let t_part = product(st, O, ODD_15);
        let x17 = pairs(x[1], x[7]);
        let x35 = pairs(x[3], x[5]);
        let odd = [
            add(product(x17, ODD_1, P), t_part),
            add(product(x35, ODD_3, Q), s_part),
            add(product(x35, Q, ODD_5), t_part),
            add(product(x17, P, ODD_7), s_part),
        ];
        [
            narrowed::<SHIFT>(add(even[0], odd[0])),
            narrowed::<SHIFT>(add(even[1], odd[1])),
            narrowed::<SHIFT>(add(even[2], odd[2])),
            narrowed::<SHIFT>(add(even[3], odd[3])),
            narrowed::<SHIFT>(sub(even[3], odd[3])),
            narrowed::<SHIFT>(sub(even[2], odd[2])),
            narrowed::<SHIFT>(sub(even[1], odd[1])),
            narrowed::<SHIFT>(sub(even[0], odd[0])),
        ]
    }

    /// Rows for columns.
    #[inline]
    #[target_feature(enable = "sse2")]
    fn transposed(x: [__m128i; 8]) -> [__m128i; 8] {
        // Each step puts the elements of rows four, two and one apart side by side.
        let mut x = x;
        for _ in 0..3 {
            x = [
                _mm_unpacklo_epi16(x[0], x[4]),
                _mm_unpackhi_epi16(x[0], x[4]),
                _mm_unpacklo_epi16(x[1], x[5]),
                _mm_unpackhi_epi16(x[1], x[5]),
                _mm_unpacklo_epi16(x[2], x[6]),
                _mm_unpackhi_epi16(x[2], x[6]),
                _mm_unpacklo_epi16(x[3], x[7]),
                _mm_unpackhi_epi16(x[3], x[7]),
            ];
        }
        x
    }

    /// Rows of samples from columns of their distances from the middle.
    #[inline]
    #[target_feature(enable = "sse2")]
    fn samples(x: [__m128i; 8]) -> [[u8; 8]; 8] {
        // Columns in the order 0 2, 1 3, 4 6, 5 7, cut to 8 bits.
        let a = _mm_packs_epi16(x[0], x[2]);
        let b = _mm_packs_epi16(x[1], x[3]);
        let c = _mm_packs_epi16(x[4], x[6]);
        let d = _mm_packs_epi16(x[5], x[7]);
        let (c01, c23) = (_mm_unpacklo_epi8(a, b), _mm_unpackhi_epi8(a, b));
        let (c45, c67) = (_mm_unpacklo_epi8(c, d), _mm_unpackhi_epi8(c, d));
        let upper = (_mm_unpacklo_epi16(c01, c23), _mm_unpacklo_epi16(c45, c67));
        let lower = (_mm_unpackhi_epi16(c01, c23), _mm_unpackhi_epi16(c45, c67));
        let middle = _mm_set1_epi8(-128);
        let two = |x| -> [[u8; 8]; 2] { bytemuck::cast(_mm_xor_si128(x, middle)) };
        let [r0, r1] = two(_mm_unpacklo_epi32(upper.0, upper.1));
        let [r2, r3] = two(_mm_unpackhi_epi32(upper.0, upper.1));
        let [r4, r5] = two(_mm_unpacklo_epi32(lower.0, lower.1));
        let [r6, r7] = two(_mm_unpackhi_epi32(lower.0, lower.1));
        [r0, r1, r2, r3, r4, r5, r6, r7]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(work: impl Fn(&mut [u8], usize)) -> Vec<u8> {
        let mut out = vec![7; 8 * 11];
        work(&mut out, 11);
        let rows = out.chunks(11);
        assert!(rows.clone().all(|row| row[8..] == [7; 3]));
        rows.flat_map(|row| &row[..8]).copied().collect()
    }

    #[test]
    fn registers_and_plain_integers_agree_on_any_block() {
        let mut random = fastrand::Rng::with_seed(8);
        for round in 0..20_000 {
            let bits = round % 17;
            let dense = random.u8(0..10);
            let mut number = |bits: i32| {
                if random.u8(0..10) > dense {
                    return 0;
                }
                (random.i32(..) >> (32 - bits).min(31)) as i16
            };
            let rows = if round % 5 == 0 { 1 } else { 8 };
            let block: Block = std::array::from_fn(|i| if i < 8 * rows { number(bits) } else { 0 });
            let steps: Block = std::array::from_fn(|_| number(9).wrapping_abs());
            let got = samples(|out, stride| idct(&block, &steps, out, stride));
            let want = samples(|out, stride| portable::idct(&block, &steps, out, stride));
            assert_eq!(got, want, "{block:?}");
        }
    }

    #[test]
    fn flat_blocks_are_what_the_whole_transform_makes_of_them() {
        for first in (i16::MIN..=i16::MAX).step_by(7) {
            for step in [1, 3, 16, 255, -1] {
                let (mut block, mut steps) = ([0; 64], [9; 64]);
                (block[0], steps[0]) = (first, step);
                let got = samples(|out, stride| idct_flat(first, step, out, stride));
                let want = samples(|out, stride| portable::idct(&block, &steps, out, stride));
                assert_eq!(got, want, "{first} {step}");
            }
        }
    }

    /// The definition (T.81, A.3.3) in f64: never off by more than the rounding of 13 bits allows.
    #[test]
    fn samples_are_near_the_exact_ones() {
        let mut random = fastrand::Rng::with_seed(9);
        let cosine = |x: usize, u: usize| {
            let scale = if u == 0 { 0.5f64.sqrt() } else { 1.0 };
            scale * ((2 * x + 1) as f64 * u as f64 * std::f64::consts::PI / 16.0).cos() / 2.0
        };
        for _ in 0..300 {
            let block: Block = std::array::from_fn(|_| random.i16(-60..=60));
            let got = samples(|out, stride| idct(&block, &[1; 64], out, stride));
            for (place, got) in got.into_iter().enumerate() {
                let (y, x) = (place / 8, place % 8);
                let exact: f64 = (0..64)
                    .map(|i| f64::from(block[i]) * cosine(y, i / 8) * cosine(x, i % 8))
                    .sum();
                let apart = (exact + 128.0).clamp(0.0, 255.0) - f64::from(got);
                assert!(apart.abs() < 0.6, "{apart}");
            }
        }
    }
}
