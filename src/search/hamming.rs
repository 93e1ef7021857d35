//! Exact top-k by Hamming distance over 64-bit hashes.

use super::TopK;
use super::dense_join::{Source, Tuning, join};
use super::dense_rows::Classes;
use crate::device::cpu::bits;
use crate::device::cpu::tile::Hit;
use crate::error::Result;
use crate::lists::Lists;
use std::ops::Range;

/// Bits of a hash.
const BITS: f64 = 64.0;

/// The `k` best neighbours of every hash among all hashes, itself included: higher score first,
/// then lower row. The score is `1 - bits / 64`, where `bits` is the number of bits that differ.
/// A row without a hash has no neighbours and is nobody's.
///
/// The result is that of a brute force over all pairs, for any number of threads. Memory is
/// `O(rows * k)`.
///
/// # Errors
/// As [`TopK`]'s bounds say.
///
/// ```
/// use doppel::search::{TopK, hamming};
///
/// let hashes = [Some(0b1111), None, Some(0b0111), Some(u64::MAX)];
/// let lists = hamming(&hashes, &TopK { k: 10, min_score: Some(0.9) })?;
/// assert_eq!(lists.row(2).rows, [2, 0]);
/// assert_eq!(lists.row(2).scores, [1.0, 1.0 - 1.0 / 64.0]);
/// assert!(lists.row(1).is_empty());
/// # Ok::<(), doppel::Error>(())
/// ```
pub fn hamming(hashes: &[Option<u64>], opt: &TopK) -> Result<Lists> {
    hamming_tuned(hashes, None, opt, &Tuning::default())
}

/// The `k` best neighbours of every query among the gallery's hashes; otherwise as [`hamming`].
///
/// # Errors
/// As [`hamming`].
pub fn hamming_against(
    queries: &[Option<u64>],
    gallery: &[Option<u64>],
    opt: &TopK,
) -> Result<Lists> {
    hamming_tuned(queries, Some(gallery), opt, &Tuning::default())
}

/// For every row the rows with the very same hash, itself included, in row order, with score 1:
/// the first `cap` of them, so a row behind `cap` equal ones is not in its own list. A row without
/// a hash has no neighbours. `O(rows * (cap + log rows))`.
pub fn equal_hashes(hashes: &[Option<u64>], cap: usize) -> Lists {
    let classes = Classes::fold(hashes, |_, _| true);
    let itself: Vec<(u32, f64)> = (0..classes.len() as u32).map(|c| (c, 1.0)).collect();
    classes.unfold(|class| &itself[class..=class], &classes, cap)
}

/// [`hamming`] (without a gallery) and [`hamming_against`] with a tuning.
#[doc(hidden)]
pub fn hamming_tuned(
    queries: &[Option<u64>],
    gallery: Option<&[Option<u64>]>,
    opt: &TopK,
    tuning: &Tuning,
) -> Result<Lists> {
    opt.check()?;
    let (left, left_hashes) = fold(queries);
    let right = gallery.map(fold);
    let (right, right_hashes) = match &right {
        Some((classes, hashes)) => (classes, hashes),
        None => (&left, &left_hashes),
    };
    let pairs = Hashes {
        left: &left_hashes,
        right: right_hashes,
        tuning,
    };
    let joined = join(&pairs, gallery.is_none(), opt.k, opt.min_score, tuning);
    Ok(left.unfold(|class| joined.row(class), right, opt.k))
}

/// The distinct hashes, in the order of their first rows.
fn fold(hashes: &[Option<u64>]) -> (Classes, Vec<u64>) {
    let classes = Classes::fold(hashes, |_, _| true);
    let distinct = classes
        .firsts()
        .iter()
        .filter_map(|&i| hashes[i as usize])
        .collect();
    (classes, distinct)
}

/// A scan score is the number of equal bits.
struct Hashes<'a> {
    left: &'a [u64],
    right: &'a [u64],
    tuning: &'a Tuning,
}

impl Source for Hashes<'_> {
    const EXACT: bool = true;
    const GROUP: usize = bits::GROUP;

    fn shape(&self) -> (usize, usize) {
        (self.left.len(), self.right.len())
    }

    fn scan(
        &self,
        rows: Range<usize>,
        row_floors: &[i32],
        first_col: usize,
        col_floors: &[i32],
        hits: &mut Vec<Hit>,
    ) {
        let (left, right) = (self.left, self.right);
        let kernel = self.tuning.kernel;
        bits::scan(
            kernel, left, rows, row_floors, right, first_col, col_floors, hits,
        );
    }

    fn score_all(
        &self,
        row: usize,
        cols: impl Iterator<Item = u32>,
        min_score: f64,
        out: &mut Vec<(u32, f64)>,
    ) {
        let scored = cols.map(|col| {
            let different = (self.left[row] ^ self.right[col as usize]).count_ones();
            (col, 1.0 - f64::from(different) / BITS)
        });
        out.extend(scored.filter(|pair| pair.1 >= min_score));
    }

    fn slack(&self, _row: usize) -> i32 {
        0
    }

    fn floor(&self, _row: usize, score: f64) -> i32 {
        // score = equal / 64 and the product are exact.
        (score * BITS).ceil() as i32
    }
}
