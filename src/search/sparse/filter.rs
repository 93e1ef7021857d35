//! The `f32` filter: sums of products that decide which rows are scored exactly.

use super::index::Index;

/// Marks a group that no list has brought up yet. A sum never becomes `-0.0`: see [`add`].
pub(super) const UNTOUCHED: f32 = -0.0;
/// Stands in the sum of a group that has its exact score: it stays what it is whatever is added,
/// and is not above any bound.
pub(super) const SCORED: f32 = f32::NAN;

/// The most that a cosine summed in `f32` over at most `terms` common terms is away from the same
/// cosine in exact arithmetic, with everything that the filter adds to it.
///
/// With `u = 2^-24`: each unit value carries a relative error of `u` (times `1 + 2^-28` for the
/// division and root in `f64`), their product another `u`, and each of `terms` additions one more,
/// so the sum is off by at most `(terms + 3) u / (1 - (terms + 3) u)` times the sum of the absolute
/// products, which Cauchy and Schwarz bound by 1. The bound `rest * heavy` and the comparison cost
/// less than `4 u` more. `2 (terms + 8) u` is above both for up to 2^20 terms, and products below
/// the normal range of `f32` (2^-150 each) vanish in it; for more terms the filter is switched off.
pub(super) fn margin(terms: usize) -> f64 {
    if terms > 1 << 20 {
        return f64::INFINITY;
    }
    2.0 * (terms as f64 + 8.0) * 2f64.powi(-24)
}

/// A product more in a sum. Adding 0.0 last turns a `-0.0` into `0.0`, so that no touched group
/// looks untouched.
#[inline(always)]
pub(super) fn add(sum: f32, product: f32) -> f32 {
    (sum + product) + 0.0
}

/// Whether a sum is that of a group that no list has brought up.
#[inline(always)]
pub(super) fn is_untouched(sum: f32) -> bool {
    sum.to_bits() == UNTOUCHED.to_bits()
}

/// The k-th highest of some sums, or minus infinity when there are fewer than `k`. `high` is
/// something to write on.
pub(super) fn kth_highest(
    sums: impl ExactSizeIterator<Item = f32>,
    k: usize,
    high: &mut Vec<f32>,
) -> f32 {
    if sums.len() < k {
        return f32::NEG_INFINITY;
    }
    let descending = |a: &f32, b: &f32| b.total_cmp(a);
    let mut lowest = f32::NEG_INFINITY;
    high.clear();
    for sum in sums {
        if sum > lowest || high.len() < k {
            high.push(sum);
            if high.len() >= 3 * k + 64 {
                lowest = *high.select_nth_unstable_by(k - 1, descending).1;
                high.truncate(k);
            }
        }
    }
    *high.select_nth_unstable_by(k - 1, descending).1
}

/// What terms left out can still add to each sum: their norm in the query times the group's norm
/// over their bands, or nothing when no term was left out.
#[derive(Clone, Copy)]
pub(super) struct Reach<'a> {
    rest: f32,
    heavy: &'a [u8],
}

impl<'a> Reach<'a> {
    /// For terms of the query whose norm is `rest`, none of them beyond `band`.
    pub fn new(rest: f64, index: &'a Index, band: usize) -> Self {
        Reach {
            rest: (rest * Index::step()) as f32,
            heavy: index.heavy(band),
        }
    }

    /// For no terms at all.
    pub fn nothing() -> Self {
        Reach {
            rest: 0.0,
            heavy: &[],
        }
    }

    /// The most that group `g` can come to from `sum`.
    #[inline(always)]
    pub fn most(&self, g: usize, sum: f32) -> f32 {
        sum + self.rest * f32::from(self.heavy.get(g).copied().unwrap_or(0))
    }
}

/// Adds to `found` the touched groups that can come to `low`; `sums` are those from group `first`.
pub(super) fn scan(sums: &[f32], first: usize, reach: Reach, low: f32, found: &mut Vec<u32>) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, as was just asked.
        return unsafe { scan_avx2(sums, first, reach, low, found) };
    }
    scan_any(sums, first, reach, low, found);
}

/// [`scan_any`] compiled for AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn scan_avx2(sums: &[f32], first: usize, reach: Reach, low: f32, found: &mut Vec<u32>) {
    scan_any(sums, first, reach, low, found);
}

#[inline(always)]
fn scan_any(sums: &[f32], first: usize, reach: Reach, low: f32, found: &mut Vec<u32>) {
    const WIDTH: usize = 16;
    let mut list = |chunk: &[f32], start: usize| {
        for (i, &sum) in chunk.iter().enumerate() {
            if reach.most(start + i, sum) >= low && !is_untouched(sum) {
                found.push((start + i) as u32);
            }
        }
    };
    let (chunks, tail) = sums.as_chunks::<WIDTH>();
    let starts = (first..).step_by(WIDTH);
    match reach.heavy.get(first..first + sums.len()) {
        Some(heavy) => {
            let (heavy, _) = heavy.as_chunks::<WIDTH>();
            for ((chunk, heavy), start) in chunks.iter().zip(heavy).zip(starts) {
                let mut any = false;
                for (&sum, &h) in chunk.iter().zip(heavy) {
                    any |= sum + reach.rest * f32::from(h) >= low;
                }
                if any {
                    list(chunk, start);
                }
            }
        }
        None => {
            for (chunk, start) in chunks.iter().zip(starts) {
                if chunk.iter().fold(false, |any, &sum| any | (sum >= low)) {
                    list(chunk, start);
                }
            }
        }
    }
    list(tail, first + sums.len() - tail.len());
}
