//! YCbCr to RGB with AVX2, 32 pixels at a time: the integers of [`super::colour`], in registers of
//! 16 bits.
//!
//! A factor above one half is taken as a whole number and a remainder that fits 16 bits, with a
//! sign: `1.402 c` is `c` and 26345 / 65536 of it, `1.772 c` is `2 c` less 14942 / 65536 of it, and
//! `-0.71414 c` is `-c` and 18734 / 65536 of it. Whole numbers pass a rounding unchanged.

use std::arch::x86_64::*;

use super::colour::{CB_TO_BLUE, CB_TO_GREEN, CR_TO_GREEN, CR_TO_RED};

const ONE: i32 = 1 << 16;
const RED: i16 = (CR_TO_RED - ONE) as i16;
const BLUE: i16 = (CB_TO_BLUE - 2 * ONE) as i16;
const GREEN_CB: i16 = CB_TO_GREEN as i16;
const GREEN_CR: i16 = (CR_TO_GREEN + ONE) as i16;

/// Pixels at a time.
const PIXELS: usize = 32;

/// Makes the first pixels of a row, as many as go in whole registers; how many.
#[target_feature(enable = "avx2")]
pub(super) fn to_rgb([y, cb, cr]: [&[u8]; 3], out: &mut [[u8; 3]]) -> usize {
    let [y, cb, cr] = [y, cb, cr].map(|samples| samples.as_chunks::<PIXELS>().0);
    let (out, _) = out.as_chunks_mut::<PIXELS>();
    let count = out.len().min(y.len()).min(cb.len()).min(cr.len());
    for (((y, cb), cr), out) in y.iter().zip(cb).zip(cr).zip(out) {
        let colours = colours(bytemuck::cast(*y), bytemuck::cast(*cb), bytemuck::cast(*cr));
        let bytes: &mut [u8] = out.as_flattened_mut();
        for (part, (low, high)) in interleaved(colours).into_iter().enumerate() {
            bytes[16 * part..][..16].copy_from_slice(&low);
            bytes[48 + 16 * part..][..16].copy_from_slice(&high);
        }
    }
    count * PIXELS
}

/// The samples of red, green and blue of 32 pixels.
#[inline]
#[target_feature(enable = "avx2")]
fn colours(y: __m256i, cb: __m256i, cr: __m256i) -> [__m256i; 3] {
    let zero = _mm256_setzero_si256();
    let middle = _mm256_set1_epi16(128);
    // Pixels 0 to 7 and 16 to 23, and the others; packing puts them in order again.
    let low = sums(
        _mm256_unpacklo_epi8(y, zero),
        _mm256_sub_epi16(_mm256_unpacklo_epi8(cb, zero), middle),
        _mm256_sub_epi16(_mm256_unpacklo_epi8(cr, zero), middle),
    );
    let high = sums(
        _mm256_unpackhi_epi8(y, zero),
        _mm256_sub_epi16(_mm256_unpackhi_epi8(cb, zero), middle),
        _mm256_sub_epi16(_mm256_unpackhi_epi8(cr, zero), middle),
    );
    [
        _mm256_packus_epi16(low[0], high[0]),
        _mm256_packus_epi16(low[1], high[1]),
        _mm256_packus_epi16(low[2], high[2]),
    ]
}

/// Red, green and blue before they are cut to 8 bits.
#[inline]
#[target_feature(enable = "avx2")]
fn sums(y: __m256i, cb: __m256i, cr: __m256i) -> [__m256i; 3] {
    let red = _mm256_add_epi16(_mm256_add_epi16(y, cr), part(cr, RED));
    let twice = _mm256_add_epi16(cb, cb);
    let blue = _mm256_add_epi16(_mm256_add_epi16(y, twice), part(cb, BLUE));
    let factors = _mm256_set1_epi32(i32::from(GREEN_CR) << 16 | i32::from(GREEN_CB as u16));
    let half = _mm256_set1_epi32(1 << 15);
    let product = |pairs| {
        let sum = _mm256_add_epi32(_mm256_madd_epi16(pairs, factors), half);
        _mm256_srai_epi32::<16>(sum)
    };
    let both = _mm256_packs_epi32(
        product(_mm256_unpacklo_epi16(cb, cr)),
        product(_mm256_unpackhi_epi16(cb, cr)),
    );
    let green = _mm256_add_epi16(_mm256_sub_epi16(y, cr), both);
    [red, green, blue]
}

/// `factor / 65536` of each number, rounded half up.
#[inline]
#[target_feature(enable = "avx2")]
fn part(x: __m256i, factor: i16) -> __m256i {
    let twice = _mm256_add_epi16(x, x);
    let doubled = _mm256_mulhi_epi16(twice, _mm256_set1_epi16(factor));
    _mm256_srai_epi16::<1>(_mm256_add_epi16(doubled, _mm256_set1_epi16(1)))
}

/// For each third of 48 bytes the places of a colour's samples there, -1 for other colours' bytes.
const fn places(colour: usize) -> [[i8; 16]; 3] {
    let mut places = [[-1; 16]; 3];
    let mut pixel = 0;
    while pixel < 16 {
        let at = 3 * pixel + colour;
        places[at / 16][at % 16] = pixel as i8;
        pixel += 1;
    }
    places
}

const PLACES: [[[i8; 16]; 3]; 3] = [places(0), places(1), places(2)];

/// The bytes of the pixels 0 to 15 and 16 to 31, a third after the other.
#[inline]
#[target_feature(enable = "avx2")]
fn interleaved(colours: [__m256i; 3]) -> [([u8; 16], [u8; 16]); 3] {
    let third = |number: usize| {
        let of = |colour: usize| {
            let places = _mm256_broadcastsi128_si256(bytemuck::cast(PLACES[colour][number]));
            _mm256_shuffle_epi8(colours[colour], places)
        };
        let bytes: [[u8; 16]; 2] =
            bytemuck::cast(_mm256_or_si256(_mm256_or_si256(of(0), of(1)), of(2)));
        (bytes[0], bytes[1])
    };
    [third(0), third(1), third(2)]
}

#[cfg(test)]
mod tests {
    use super::super::colour::{Space, to_rgb};

    /// Every pair of chroma samples with every 15th luminance, and each luminance with some.
    #[test]
    fn registers_and_plain_integers_agree_on_all_colours() {
        if !is_x86_feature_detected!("avx2") {
            return;
        }
        let all: Vec<u8> = (0..=255).collect();
        let mut got = vec![[0; 3]; 256];
        let mut want = vec![0; 3 * 256];
        let mut check = |y: &[u8], cb: &[u8], cr: &[u8]| {
            // SAFETY: the machine has just said that it has AVX2.
            assert_eq!(unsafe { super::to_rgb([y, cb, cr], &mut got) }, 256);
            to_rgb(Space::YCbCr, [y, cb, cr], &[], &mut want, 0);
            assert_eq!(got.as_flattened(), want);
        };
        for cr in 0..=255 {
            for y in (0..=255).step_by(15) {
                check(&[y; 256], &all, &[cr; 256]);
            }
            for cb in [0, 1, 90, 128, 200, 255] {
                check(&all, &[cb; 256], &[cr; 256]);
            }
        }
    }
}
