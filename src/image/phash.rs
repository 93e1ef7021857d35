//! The perceptual hash: `imagehash.phash` with its defaults.

use super::dct::{POINTS, dct2};
use super::resize::resample;
use super::{Gray, decode, luma};
use crate::error::Result;

/// Bits on a side of the hash.
const SIDE: usize = 8;

/// The 64-bit perceptual hash of an image file's bytes.
///
/// Equal to `imagehash.phash(Image.open(file))` (hash size 8, high-frequency factor 4) on the same
/// pixels: grey, Lanczos to 32 x 32, DCT-II down and across, and of the lowest 8 x 8 frequencies the
/// ones above their median. Bits go row by row, the first one highest, so `{:016x}` prints what
/// imagehash prints. Taken on the pixels as stored, before any EXIF rotation.
///
/// # Errors
/// Those of [`decode`].
pub fn phash(bytes: &[u8]) -> Result<u64> {
    Ok(phash_gray(&luma(&decode(bytes)?)))
}

/// The perceptual hash of a grey image; see [`phash`]. An image without pixels counts as black.
pub fn phash_gray(gray: &Gray) -> u64 {
    let small = if gray.pixels().is_empty() {
        Gray::from_parts(POINTS, POINTS, vec![0; POINTS * POINTS])
    } else {
        resample(gray, POINTS, POINTS)
    };
    let low = low_frequencies(&small);
    let median = median(low);
    low.iter()
        .fold(0, |bits, value| bits << 1 | u64::from(*value > median))
}

/// The lowest 8 x 8 coefficients of the two-dimensional DCT-II, row by row.
///
/// Down the columns first, then across, as in `dct(dct(pixels, axis=0), axis=1)`.
fn low_frequencies(gray: &Gray) -> [f64; SIDE * SIDE] {
    let mut rows = [[0.0; POINTS]; SIDE];
    for x in 0..POINTS {
        let mut column = [0.0; POINTS];
        for (value, row) in column.iter_mut().zip(gray.pixels().chunks_exact(POINTS)) {
            *value = f64::from(row[x]);
        }
        dct2(&mut column);
        for (row, value) in rows.iter_mut().zip(column) {
            row[x] = value;
        }
    }
    let mut low = [0.0; SIDE * SIDE];
    for (out, row) in low.chunks_exact_mut(SIDE).zip(&mut rows) {
        dct2(row);
        out.copy_from_slice(&row[..SIDE]);
    }
    low
}

/// The mean of the two middle values.
fn median(mut values: [f64; SIDE * SIDE]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    (values[middle - 1] + values[middle]) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bit by bit: noise about zero decides the hashes of flat and symmetric pictures.
    #[test]
    fn coefficients_equal_scipys() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/data/phash");
        let text = std::fs::read_to_string(format!("{folder}/coefficients.txt")).unwrap();
        let mut compared = 0;
        for line in text.lines() {
            let (name, bits) = line.split_once(' ').unwrap();
            let file = std::fs::read(format!("{folder}/{name}")).unwrap();
            let small = resample(&luma(&decode(&file).unwrap()), POINTS, POINTS);
            let got = low_frequencies(&small);
            assert_eq!(bits.len(), 16 * got.len());
            for (place, value) in got.iter().enumerate() {
                let want = u64::from_str_radix(&bits[16 * place..][..16], 16).unwrap();
                assert!(
                    value.to_bits() == want || (*value == 0.0 && want << 1 == 0),
                    "{name} {place}: {value:e}, not {:e}",
                    f64::from_bits(want)
                );
            }
            compared += 1;
        }
        assert!(compared >= 70, "{compared}");
    }

    #[test]
    fn the_median_is_the_mean_of_the_middle_two() {
        let mut values = [0.0; SIDE * SIDE];
        for (i, value) in values.iter_mut().enumerate() {
            *value = ((i * 37) % 64) as f64;
        }
        assert_eq!(median(values), 31.5);
    }

    #[test]
    fn no_pixels_count_as_black() {
        let none = Gray::new(0, 5, Vec::new()).unwrap();
        let black = Gray::new(3, 3, vec![0; 9]).unwrap();
        assert_eq!(phash_gray(&none), phash_gray(&black));
    }
}
