//! The Hamming kernel: equal bits of 64-bit hashes, compared with floors on the way.

use super::kernel::{Kernel, Level};
use super::tile::Hit;
use std::ops::Range;

/// Columns of a group.
pub const GROUP: usize = 64;

/// Appends to `hits` every pair `(i, j)`, `i` in `rows`, `j` in `first_col..first_col + GROUP`
/// (as far as `right` goes), whose number of **equal** bits, 0 to 64, is at least
/// `min(row_floors[i - rows.start], col_floors[j - first_col])`.
///
/// Rows come in ascending order, columns ascending within a row. Panics when a range or a floor is
/// missing, as indexing a slice does.
#[allow(clippy::too_many_arguments, reason = "two operands, three arrays each")]
pub fn scan(
    kernel: Kernel,
    left: &[u64],
    rows: Range<usize>,
    row_floors: &[i32],
    right: &[u64],
    first_col: usize,
    col_floors: &[i32],
    hits: &mut Vec<Hit>,
) {
    let left = &left[rows.clone()];
    let row_floors = &row_floors[..rows.len()];
    let right = &right[first_col..right.len().min(first_col + GROUP)];
    let col_floors = &col_floors[..right.len()];
    let at = (rows.start as u32, first_col as u32);
    match kernel.level() {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 | Level::Avx512Vnni
            if std::arch::is_x86_feature_detected!("avx512vpopcntdq") =>
        {
            // SAFETY: AVX-512 F (by the kernel's level) and VPOPCNTDQ (just now) were detected.
            unsafe { scan_avx512(left, row_floors, right, col_floors, at, hits) }
        }
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 | Level::Avx512 | Level::Avx512Vnni => {
            // SAFETY: a `Kernel` of these levels exists only where POPCNT was detected.
            unsafe { scan_popcnt(left, row_floors, right, col_floors, at, hits) }
        }
        Level::Portable => scan_each(left, row_floors, right, col_floors, at, hits),
    }
}

#[inline(always)]
fn scan_each(
    left: &[u64],
    row_floors: &[i32],
    right: &[u64],
    col_floors: &[i32],
    (row, col): (u32, u32),
    hits: &mut Vec<Hit>,
) {
    for (i, (a, row_floor)) in left.iter().zip(row_floors).enumerate() {
        for (j, (b, col_floor)) in right.iter().zip(col_floors).enumerate() {
            let dot = (a ^ b).count_zeros() as i32;
            if dot >= *row_floor.min(col_floor) {
                hits.push(Hit {
                    row: row + i as u32,
                    col: col + j as u32,
                    dot,
                });
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "popcnt")]
fn scan_popcnt(
    left: &[u64],
    row_floors: &[i32],
    right: &[u64],
    col_floors: &[i32],
    at: (u32, u32),
    hits: &mut Vec<Hit>,
) {
    scan_each(left, row_floors, right, col_floors, at, hits);
}

/// Eight registers of eight columns stay put while the rows pass.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vpopcntdq")]
fn scan_avx512(
    left: &[u64],
    row_floors: &[i32],
    right: &[u64],
    col_floors: &[i32],
    (row, col): (u32, u32),
    hits: &mut Vec<Hit>,
) {
    use std::arch::x86_64::*;
    const WIDE: usize = GROUP / 8;
    assert!(right.len() <= GROUP && col_floors.len() == right.len());
    let mut hashes = [0u64; GROUP];
    hashes[..right.len()].copy_from_slice(right);
    // The most different bits with which a column is hit: none at all where no column is.
    let mut limits = [-1i64; GROUP];
    for (limit, floor) in limits.iter_mut().zip(col_floors) {
        *limit = 64 - i64::from(*floor);
    }
    let valid = u64::MAX.checked_shr(64 - right.len() as u32).unwrap_or(0);
    // SAFETY: both arrays have WIDE registers of eight 64-bit elements.
    let (b, limits): ([__m512i; WIDE], [__m512i; WIDE]) = unsafe {
        (
            hashes.as_ptr().cast::<[__m512i; WIDE]>().read_unaligned(),
            limits.as_ptr().cast::<[__m512i; WIDE]>().read_unaligned(),
        )
    };
    for (i, (hash, floor)) in left.iter().zip(row_floors).enumerate() {
        let a = _mm512_set1_epi64(*hash as i64);
        let limit = _mm512_set1_epi64(64 - i64::from(*floor));
        let mut mask = 0u64;
        for p in 0..WIDE {
            let bits = _mm512_popcnt_epi64(_mm512_xor_si512(a, b[p]));
            let near = _mm512_cmple_epi64_mask(bits, _mm512_max_epi64(limit, limits[p]));
            mask |= u64::from(near) << (8 * p);
        }
        mask &= valid;
        while mask != 0 {
            let j = mask.trailing_zeros() as usize;
            mask &= mask - 1;
            hits.push(Hit {
                row: row + i as u32,
                col: col + j as u32,
                dot: (hash ^ hashes[j % GROUP]).count_zeros() as i32,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_counts_equal_bits() {
        let mut rng = fastrand::Rng::with_seed(5);
        let left: Vec<u64> = (0..40).map(|_| rng.u64(..)).collect();
        let mut right: Vec<u64> = (0..150).map(|_| rng.u64(..)).collect();
        right[70] = left[9];
        right[71] = !left[9];
        let shapes = [
            (0..40, 0),
            (8..16, 64),
            (3..4, 128),
            (5..5, 0),
            (0..40, 149),
            (0..9, 150),
        ];
        for (rows, first_col) in shapes {
            for (row_floor, col_floor) in [(0, 65), (65, 0), (65, 65), (36, 38), (64, 65), (-7, 99)]
            {
                let row_floors: Vec<i32> = rows.clone().map(|i| row_floor + i as i32 % 3).collect();
                let col_floors: Vec<i32> = (0..64).map(|j| col_floor - j % 4).collect();
                let mut want = Vec::new();
                for i in rows.clone() {
                    for j in first_col..right.len().min(first_col + GROUP) {
                        let dot = 64 - (left[i] ^ right[j]).count_ones() as i32;
                        if dot >= row_floors[i - rows.start] || dot >= col_floors[j - first_col] {
                            want.push(Hit {
                                row: i as u32,
                                col: j as u32,
                                dot,
                            });
                        }
                    }
                }
                for kernel in Kernel::available() {
                    let mut hits = Vec::new();
                    scan(
                        kernel,
                        &left,
                        rows.clone(),
                        &row_floors,
                        &right,
                        first_col,
                        &col_floors,
                        &mut hits,
                    );
                    assert_eq!(hits, want, "{kernel:?} {rows:?} {first_col}");
                }
            }
        }
    }
}
