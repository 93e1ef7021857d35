//! Rows as 16-bit integers, packed for the tile kernels.
//!
//! A row `a` is kept as `q = round(S * a / |a|)`, `S = 32767`: integers of at most 16 bits whose
//! dot products are **exact** in 32 bits. By Cauchy-Schwarz every partial sum of such a product is
//! at most `|q_a| |q_b| <= (S + sqrt(d) / 2)^2`, which is below `2^31` for every `d` that
//! [`MAX_DIMS`](crate::limits::MAX_DIMS) allows. So the only error of the fast pass is that of the
//! rounding, and that is measured, row by row, when the row is packed.

use crate::limits;

/// The scale `S`: a unit row becomes integers of length `S`.
pub const SCALE: f64 = 32767.0;
/// Rows of a panel.
pub const PANEL: usize = 16;

const _: () = {
    // sqrt(d) <= d / 2^8 + 2^6 for every d (it is (sqrt(d) / 2^4 - 2^3)^2 >= 0).
    let longest = 32767 + ((limits::MAX_DIMS >> 8) + 64) / 2 + 1;
    assert!(
        longest * longest < i32::MAX as usize,
        "a dot product of two packed rows must fit 32 bits"
    );
};

/// What one step of a tile kernel reads: two consecutive dimensions of the 16 rows of a panel,
/// `[row][2]`, one cache line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Line(pub [i16; 2 * PANEL]);

/// How many [`Line`]s a panel of rows of `dims` dimensions takes.
pub fn depth(dims: usize) -> usize {
    dims.div_ceil(2)
}

/// Writes `q = round(S * a / |a|)` into `q` and returns an upper bound on `e = |a / |a| - q / S|`.
///
/// `norm2` is `|a|^2` as [`dot`](super::dot::dot) gives it, positive and finite. The bound is the
/// measured length of the rounding errors, and `2^-31` on top for the rounding of the measurement
/// itself: the norm is off by a relative `(d + 2) 2^-53 < 2^-36`, each `v` by a few times
/// `2^-53 * |v|`, and their squares, below 1/4 each, are summed over at most `2^16` terms.
pub fn quantise(a: &[f32], norm2: f64, q: &mut [i16]) -> f64 {
    /// Adding it leaves the nearest integer (ties to even) in the low bits of the sum, two's
    /// complement, for every value that an `i16` holds: one unit in its last place is 1.
    const ROUND: f64 = (1u64 << 52) as f64 * 1.5;
    let scale = SCALE / norm2.sqrt();
    let mut lost = [0f64; 8];
    let one = |x: f32, lost: &mut f64| -> i16 {
        // |x| <= |a| up to rounding, so |v| <= S up to rounding: it rounds to 32767 at most.
        let v = f64::from(x) * scale;
        let shifted = v + ROUND;
        let off = v - (shifted - ROUND);
        *lost += off * off;
        shifted.to_bits() as i16
    };
    let whole = a.len() / 8 * 8;
    for (x, q) in a[..whole].chunks_exact(8).zip(q.chunks_exact_mut(8)) {
        for l in 0..8 {
            q[l] = one(x[l], &mut lost[l]);
        }
    }
    for t in whole..a.len() {
        q[t] = one(a[t], &mut lost[t - whole]);
    }
    lost.iter().sum::<f64>().sqrt() / SCALE + (-31f64).exp2()
}

/// Puts row `r` (of 16) of a panel, as integers, into the panel's lines. `q` has two values a line.
pub fn place(q: &[i16], r: usize, panel: &mut [Line]) {
    for (line, pair) in panel.iter_mut().zip(q.chunks_exact(2)) {
        line.0[2 * r] = pair[0];
        line.0[2 * r + 1] = pair[1];
    }
}

/// A bound on `|s - s'|`, where `s` is the cosine of `a` and `b` and `s' = <q_a, q_b> / S^2`.
///
/// With unit vectors `a`, `b` and `a' = q_a / S`, `b' = q_b / S`, `|a - a'| <= e_a`, `|b - b'| <= e_b`:
///
/// ```text
/// |<a, b> - <a', b'>| = |<a - a', b> + <a', b - b'>|
///                    <= |a - a'| |b| + |a'| |b - b'|      (Cauchy-Schwarz)
///                    <= e_a + (1 + e_a) e_b
/// ```
///
/// `<q_a, q_b>` itself is exact. The last term covers the cosine that is ranked, which is computed
/// in `f64`: its dot product is off by `d 2^-53 < 2^-36` of `|a| |b|`, its norms by as much, and
/// clamping it to `[-1, 1]` only brings it nearer to the true cosine.
pub fn bound(e_a: f64, e_b: f64) -> f64 {
    e_a + e_b + e_a * e_b + (-31f64).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::cpu::Kernel;
    use crate::device::cpu::dot::dot;

    #[test]
    fn rounds_to_nearest_and_measures_what_it_lost() {
        let a = [3.0f32, 4.0, 0.0];
        let mut q = [7i16; 4];
        let e = quantise(&a, 25.0, &mut q);
        // 0.6 * 32767 = 19660.2, 0.8 * 32767 = 26213.6; the padding stays as it was.
        assert_eq!(q, [19660, 26214, 0, 7]);
        let lost = (0.2f64.powi(2) + 0.4f64.powi(2)).sqrt() / SCALE;
        assert!((e - lost - (-31f64).exp2()).abs() < 1e-15, "{e} {lost}");
    }

    #[test]
    fn one_hot_rows_of_either_sign_and_any_size_lose_nothing() {
        for x in [1e-45f32, 1e-30, 1.0, 3e38] {
            let mut q = [0i16; 2];
            let norm2 = dot(Kernel::best(), &[-x, 0.0], &[-x, 0.0]);
            let e = quantise(&[-x, 0.0], norm2, &mut q);
            assert_eq!(q, [-32767, 0]);
            assert!(e < 1e-9, "{e}");
        }
    }

    #[test]
    fn a_panel_holds_pairs_of_dimensions_row_by_row() {
        let mut panel = [Line([0; 32]); 2];
        place(&[1, 2, 3, 4], 5, &mut panel);
        assert_eq!(panel[0].0[10..12], [1, 2]);
        assert_eq!(panel[1].0[10..12], [3, 4]);
        assert_eq!(panel[0].0.iter().filter(|&&x| x != 0).count(), 2);
    }
}
