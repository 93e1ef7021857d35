//! The transforms of F(4, 3): four values of a correlation with three taps from six products.
//!
//! Winograd's construction (Lavin and Gray 2015, section 4.1) over the points 0, ±A, ±B and infinity:
//! with `M(x) = x (x² - A²) (x² - B²)`, row `p` of the transform of the image holds the coefficients of
//! `M(x) / (x - p)`, that of the filter `[1, p, p²] / M'(p)`, that of the result the powers of `p`.
//! Points of 5/8 and 3/2 lose about half as much as the usual 1 and 2 (measured; their squares and
//! their products are exact in f32).

use super::super::lanes::Lanes;

/// Values of a transformed row.
pub(super) const POINTS: usize = 6;
/// Values of a result's row.
pub(super) const SIDE: usize = 4;

const A: f64 = 0.625;
const B: f64 = 1.5;
const A2: f64 = A * A;
const B2: f64 = B * B;

/// The filter's transform, `[point][tap]`.
fn filter_rows() -> [[f64; 3]; POINTS] {
    let row = |p: f64, by: f64| [1.0 / by, p / by, p * p / by];
    let (a, b) = (2.0 * A2 * (A2 - B2), 2.0 * B2 * (B2 - A2));
    [
        row(0.0, A2 * B2),
        row(A, a),
        row(-A, a),
        row(B, b),
        row(-B, b),
        [0.0, 0.0, 1.0],
    ]
}

/// A filter of 3 by 3 at the 36 pairs of points, computed in f64 and rounded once.
pub(super) fn filter(taps: &[f32]) -> [f32; POINTS * POINTS] {
    let g = filter_rows();
    let mut to = [0.0; POINTS * POINTS];
    for i in 0..POINTS {
        let mut row = [0.0; 3];
        for (l, row) in row.iter_mut().enumerate() {
            *row = (0..3).map(|k| g[i][k] * f64::from(taps[k * 3 + l])).sum();
        }
        for j in 0..POINTS {
            let sum: f64 = (0..3).map(|l| row[l] * g[j][l]).sum();
            to[i * POINTS + j] = sum as f32;
        }
    }
    to
}

/// Six values of the image at the six points.
///
/// # Safety
/// The machine has the instructions of `L`.
#[inline(always)]
pub(super) unsafe fn image<L: Lanes>(d: [L::V; POINTS]) -> [L::V; POINTS] {
    // SAFETY: the caller has the unit; nothing here touches memory.
    unsafe {
        let (both, sum) = (L::splat((A2 * B2) as f32), L::splat(-(A2 + B2) as f32));
        let (a2, b2) = (L::splat(-A2 as f32), L::splat(-B2 as f32));
        let (a, b) = (L::splat(A as f32), L::splat(B as f32));
        let (less_a, less_b) = (L::splat(-A as f32), L::splat(-B as f32));
        let (even_a, odd_a) = (L::fma(b2, d[2], d[4]), L::fma(b2, d[1], d[3]));
        let (even_b, odd_b) = (L::fma(a2, d[2], d[4]), L::fma(a2, d[1], d[3]));
        [
            L::fma(both, d[0], L::fma(sum, d[2], d[4])),
            L::fma(a, odd_a, even_a),
            L::fma(less_a, odd_a, even_a),
            L::fma(b, odd_b, even_b),
            L::fma(less_b, odd_b, even_b),
            L::fma(both, d[1], L::fma(sum, d[3], d[5])),
        ]
    }
}

/// Four values of the result from six products.
///
/// # Safety
/// The machine has the instructions of `L`.
#[inline(always)]
pub(super) unsafe fn result<L: Lanes>(m: [L::V; POINTS]) -> [L::V; SIDE] {
    // SAFETY: the caller has the unit; nothing here touches memory.
    unsafe {
        let (sum_a, sum_b) = (L::add(m[1], m[2]), L::add(m[3], m[4]));
        let (less_a, less_b) = (L::sub(m[1], m[2]), L::sub(m[3], m[4]));
        let power = |p: f64| L::splat(p as f32);
        [
            L::add(m[0], L::add(sum_a, sum_b)),
            L::fma(power(A), less_a, L::mul(power(B), less_b)),
            L::fma(power(A2), sum_a, L::mul(power(B2), sum_b)),
            L::fma(power(A2 * A), less_a, L::fma(power(B2 * B), less_b, m[5])),
        ]
    }
}
