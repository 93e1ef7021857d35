//! With AVX-512, its byte permutations (VBMI) and its sums of four byte products (VNNI).
//!
//! A weight is three signed digits to the base 256, so that four weights of a sum are taken in three
//! instructions, for sixteen sums at once.

use std::arch::x86_64::*;

use super::super::filter::{FRACTION_BITS, Window};
use super::Rows;

/// Weights that an instruction takes at once.
const QUAD: usize = 4;
/// Sums in a register.
const LANES: usize = 16;
/// Bytes in a register.
const WIDTH: usize = 64;

/// Bytes of a register, by lane and weight.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Bytes([u8; WIDTH]);

impl Bytes {
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn load(&self) -> __m512i {
        // SAFETY: the array has 64 bytes, aligned to 64.
        unsafe { _mm512_load_si512(self.0.as_ptr().cast()) }
    }
}

/// The digits of a weight to the base 256, lowest first, each from -128 to 127.
///
/// Weights have 22 fractional bits and do not pass 1.5, so that the last digit has room for what
/// the others left.
fn digits(weight: i32) -> [i8; 3] {
    let low = weight as i8;
    let rest = (weight - i32::from(low)) >> 8;
    let middle = rest as i8;
    let high = (rest - i32::from(middle)) >> 8;
    debug_assert!(i8::try_from(high).is_ok(), "{weight}");
    [low, middle, high as i8]
}

/// The sum of the digits' sums.
#[inline]
#[target_feature(enable = "avx512f")]
fn joined(sums: [__m512i; 3]) -> __m512i {
    let high = _mm512_add_epi32(_mm512_slli_epi32::<8>(sums[2]), sums[1]);
    _mm512_add_epi32(_mm512_slli_epi32::<8>(high), sums[0])
}

/// Sums before the first term; the lowest digit's has what rounds.
#[inline]
#[target_feature(enable = "avx512f")]
fn start() -> [__m512i; 3] {
    let zero = _mm512_setzero_si512();
    [_mm512_set1_epi32(1 << (FRACTION_BITS - 1)), zero, zero]
}

/// The first `count` bits of a mask.
#[inline(always)]
fn first(count: usize) -> u64 {
    if count >= WIDTH { !0 } else { (1 << count) - 1 }
}

/// Loads the first 64 bytes, or as many as there are and zeros.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn load(bytes: &[u8]) -> __m512i {
    if let Some(whole) = bytes.first_chunk::<WIDTH>() {
        // SAFETY: the array has 64 bytes.
        return unsafe { _mm512_loadu_si512(whole.as_ptr().cast()) };
    }
    // SAFETY: only bytes of the slice have a bit in the mask; others are not touched.
    unsafe { _mm512_maskz_loadu_epi8(first(bytes.len()), bytes.as_ptr().cast()) }
}

/// Stores the first 64 bytes, or as many as there is room for.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn store(bytes: &mut [u8], value: __m512i) {
    // Whole registers are stored as such: stores under a mask of bytes are slow on some machines.
    if let Some(whole) = bytes.first_chunk_mut::<WIDTH>() {
        // SAFETY: the array has room for 64 bytes.
        unsafe { _mm512_storeu_si512(whole.as_mut_ptr().cast(), value) };
        return;
    }
    let mask = first(bytes.len());
    // SAFETY: only bytes of the slice have a bit in the mask; others are not touched.
    unsafe { _mm512_mask_storeu_epi8(bytes.as_mut_ptr().cast(), mask, value) }
}

/// See [`super::down`].
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn down(rows: Rows<'_>, weights: &[i32], out: &mut [u8]) {
    for (number, strip) in out.chunks_mut(WIDTH).enumerate() {
        let place = number * WIDTH;
        // Digits' sums of the columns 0 to 3, 4 to 7, 8 to 11 and 12 to 15 of each 16.
        let mut sums = [start(); 4];
        let mut each = rows.each(weights.len());
        for quad in weights.chunks(QUAD) {
            let mut part = |weight: Option<&i32>| match (weight, each.next()) {
                (Some(_), Some(row)) => load(&row[place..]),
                _ => _mm512_setzero_si512(),
            };
            let [a, b, c, d] = [
                part(quad.first()),
                part(quad.get(1)),
                part(quad.get(2)),
                part(quad.get(3)),
            ];
            let (ab, cd) = (_mm512_unpacklo_epi8(a, b), _mm512_unpacklo_epi8(c, d));
            let low = [_mm512_unpacklo_epi16(ab, cd), _mm512_unpackhi_epi16(ab, cd)];
            let (ab, cd) = (_mm512_unpackhi_epi8(a, b), _mm512_unpackhi_epi8(c, d));
            let high = [_mm512_unpacklo_epi16(ab, cd), _mm512_unpackhi_epi16(ab, cd)];
            let factors = factors(quad);
            for (sums, samples) in sums.iter_mut().zip([low[0], low[1], high[0], high[1]]) {
                for (sum, factor) in sums.iter_mut().zip(factors) {
                    *sum = _mm512_dpbusd_epi32(*sum, samples, factor);
                }
            }
        }
        let [a, b, c, d] = sums.map(|sums| _mm512_srai_epi32::<{ FRACTION_BITS }>(joined(sums)));
        let value = _mm512_packus_epi16(_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d));
        store(strip, value);
    }
}

/// The digits of up to four weights, in every lane.
#[inline]
#[target_feature(enable = "avx512f")]
fn factors(quad: &[i32]) -> [__m512i; 3] {
    let mut lane = [[0u8; QUAD]; 3];
    for (place, weight) in quad.iter().enumerate() {
        for (lane, digit) in lane.iter_mut().zip(digits(*weight)) {
            lane[place] = digit as u8;
        }
    }
    lane.map(|lane| _mm512_set1_epi32(i32::from_le_bytes(lane)))
}

/// Sixteen samples of the output.
struct Group {
    /// The first byte of the row that they need.
    base: usize,
    /// Where their bytes are from there on.
    places: Bytes,
    /// Where their digits are among the factors, and how many sets of four weights they have.
    factors: usize,
    quads: usize,
}

/// Tables for the sums along a row.
pub(super) struct Across {
    groups: Vec<Group>,
    factors: Vec<[Bytes; 3]>,
    pixels: usize,
}

impl Across {
    /// `None` where sixteen samples need bytes that lie further apart than a register is wide: where
    /// a row gets about three times shorter or more.
    pub(super) fn new(windows: &[Window]) -> Option<Self> {
        let mut across = Across {
            groups: Vec::new(),
            factors: Vec::new(),
            pixels: windows.len(),
        };
        for start in (0..3 * windows.len()).step_by(LANES) {
            let lanes: Vec<(&Window, usize)> = (start..start + LANES)
                .filter_map(|sample| Some((windows.get(sample / 3)?, sample % 3)))
                .collect();
            across.add(&lanes)?;
        }
        Some(across)
    }

    /// Adds a group; a lane is a window and a colour.
    fn add(&mut self, lanes: &[(&Window, usize)]) -> Option<()> {
        let nearest = lanes.iter().map(|(window, _)| window.first).min()?;
        let taps = lanes.iter().map(|(window, _)| window.weights.len()).max()?;
        let quads = taps.div_ceil(QUAD);
        let mut places = Bytes([0; WIDTH]);
        for (lane, (window, colour)) in lanes.iter().enumerate() {
            for tap in 0..QUAD {
                let place = 3 * (window.first - nearest + tap) + colour;
                if place >= WIDTH {
                    return None;
                }
                places.0[QUAD * lane + tap] = place as u8;
            }
        }
        self.groups.push(Group {
            base: 3 * nearest,
            places,
            factors: self.factors.len(),
            quads,
        });
        for quad in 0..quads {
            let mut set = [Bytes([0; WIDTH]); 3];
            for (lane, (window, _)) in lanes.iter().enumerate() {
                let weights = window.weights.iter().skip(QUAD * quad).take(QUAD);
                for (tap, weight) in weights.enumerate() {
                    for (bytes, digit) in set.iter_mut().zip(digits(*weight)) {
                        bytes.0[QUAD * lane + tap] = digit as u8;
                    }
                }
            }
            self.factors.push(set);
        }
        Some(())
    }

    /// Makes a row of pixels; how many.
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vnni")]
    pub(super) fn run(&self, row: &[u8], out: &mut [u8]) -> usize {
        for (group, to) in self.groups.iter().zip(out.chunks_mut(LANES)) {
            let places = group.places.load();
            let mut sums = start();
            let mut rest = &row[group.base..];
            for set in &self.factors[group.factors..][..group.quads] {
                let samples = _mm512_permutexvar_epi8(places, load(rest));
                for (sum, factor) in sums.iter_mut().zip(set) {
                    *sum = _mm512_dpbusd_epi32(*sum, samples, factor.load());
                }
                rest = rest.get(3 * QUAD..).unwrap_or_default();
            }
            let value = _mm512_srai_epi32::<{ FRACTION_BITS }>(joined(sums));
            let value = _mm512_max_epi32(value, _mm512_setzero_si512());
            let bytes: [u8; LANES] = bytemuck::cast(_mm512_cvtusepi32_epi8(value));
            match to.first_chunk_mut() {
                Some(whole) => *whole = bytes,
                None => to.copy_from_slice(&bytes[..to.len()]),
            }
        }
        self.pixels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_of_the_weight() {
        for weight in (-(3 << 21)..=(3 << 21))
            .step_by(37)
            .chain([0, 1, -1, 127, 128, -129])
        {
            let [low, middle, high] = digits(weight).map(i32::from);
            assert_eq!(low + (middle << 8) + (high << 16), weight);
        }
    }
}
