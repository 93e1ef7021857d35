//! The exact kernel: dot products of `f32` rows, accumulated in `f64` in one fixed order.
//!
//! The product of two `f32` has at most 48 significant bits and an exponent that `f64` holds, so
//! it is exact in `f64` (subnormal inputs included); a fused multiply-add and a multiply followed
//! by an add therefore give the same bits. Only the order of the additions matters, and that is
//! fixed: element `t` goes to lane `t % 32`, each lane adds in ascending `t`, and the lanes are
//! folded in halves (lane `l` takes lane `l + 16`, then `l + 8`, `l + 4`, `l + 2`, `l + 1`).

use super::kernel::{Kernel, Level};

/// How many partial sums run side by side.
pub const LANES: usize = 32;

/// `sum a[t] * b[t]` in the order that the module's documentation fixes; the shorter length counts.
///
/// The result is within `len * 2^-53 * |a| * |b|` of the true value, is the same bits whichever
/// `kernel` runs, and does not change when `a` and `b` change places.
#[inline]
pub fn dot(kernel: Kernel, a: &[f32], b: &[f32]) -> f64 {
    let length = a.len().min(b.len());
    let (a, b) = (&a[..length], &b[..length]);
    match kernel.level() {
        Level::Portable => lanes(a, b, |x, y, sum| x * y + sum),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a `Kernel` of this level exists only where AVX2 and FMA were detected.
        Level::Avx2 => unsafe { dot_avx2(a, b) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a `Kernel` of these levels exists only where AVX-512 F was detected; both slices
        // have `length` elements.
        Level::Avx512 | Level::Avx512Vnni => unsafe { dot_avx512(a, b) },
    }
}

/// Asks for a row to be brought near, so that a [`dot`] with it soon after need not wait. Where
/// rows are picked all over a large matrix this is worth a factor of two.
#[inline]
pub fn prefetch(row: &[f32]) {
    #[cfg(target_arch = "x86_64")]
    for line in row.chunks(16) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch touches no memory that the program can see, and SSE is part of x86-64.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = row;
}

/// The order itself; `fma(x, y, sum)` is `x * y + sum`, fused or not.
#[inline(always)]
fn lanes(a: &[f32], b: &[f32], fma: impl Fn(f64, f64, f64) -> f64) -> f64 {
    let mut sums = [0f64; LANES];
    let whole = a.len() / LANES * LANES;
    let chunks = a[..whole]
        .chunks_exact(LANES)
        .zip(b[..whole].chunks_exact(LANES));
    for (x, y) in chunks {
        for l in 0..LANES {
            sums[l] = fma(f64::from(x[l]), f64::from(y[l]), sums[l]);
        }
    }
    for (l, (x, y)) in a[whole..].iter().zip(&b[whole..]).enumerate() {
        sums[l] = fma(f64::from(*x), f64::from(*y), sums[l]);
    }
    fold(sums)
}

#[inline(always)]
fn fold(mut sums: [f64; LANES]) -> f64 {
    let mut half = LANES / 2;
    while half > 0 {
        for l in 0..half {
            sums[l] += sums[l + half];
        }
        half /= 2;
    }
    sums[0]
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn dot_avx2(a: &[f32], b: &[f32]) -> f64 {
    lanes(a, b, f64::mul_add)
}

/// `lanes` in four registers of eight lanes. `b` must have at least `a.len()` elements.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn dot_avx512(a: &[f32], b: &[f32]) -> f64 {
    use std::arch::x86_64::*;
    assert!(b.len() >= a.len(), "two rows of one length");
    let mut sums = [_mm512_setzero_pd(); 4];
    let whole = a.len() / LANES * LANES;
    let mut t = 0;
    while t < whole {
        for (r, sum) in sums.iter_mut().enumerate() {
            // SAFETY: t + 32 <= whole <= a.len() <= b.len(), and r < 4.
            let (x, y) = unsafe {
                (
                    _mm256_loadu_ps(a.as_ptr().add(t + 8 * r)),
                    _mm256_loadu_ps(b.as_ptr().add(t + 8 * r)),
                )
            };
            *sum = _mm512_fmadd_pd(_mm512_cvtps_pd(x), _mm512_cvtps_pd(y), *sum);
        }
        t += LANES;
    }
    if whole < a.len() {
        // The rest, with zeros behind it: adding 0 * 0 changes no sum (none of them is -0.0,
        // since 0.0 + -0.0 is 0.0).
        let (mut x, mut y) = ([0f32; LANES], [0f32; LANES]);
        x[..a.len() - whole].copy_from_slice(&a[whole..]);
        y[..a.len() - whole].copy_from_slice(&b[whole..a.len()]);
        for (r, sum) in sums.iter_mut().enumerate() {
            // SAFETY: both arrays have 32 elements and r < 4.
            let (x, y) = unsafe {
                (
                    _mm256_loadu_ps(x.as_ptr().add(8 * r)),
                    _mm256_loadu_ps(y.as_ptr().add(8 * r)),
                )
            };
            *sum = _mm512_fmadd_pd(_mm512_cvtps_pd(x), _mm512_cvtps_pd(y), *sum);
        }
    }
    let half = [
        _mm512_add_pd(sums[0], sums[2]),
        _mm512_add_pd(sums[1], sums[3]),
    ];
    let eight = _mm512_add_pd(half[0], half[1]);
    let four = _mm256_add_pd(
        _mm512_castpd512_pd256(eight),
        _mm512_extractf64x4_pd::<1>(eight),
    );
    let two = _mm_add_pd(
        _mm256_castpd256_pd128(four),
        _mm256_extractf128_pd::<1>(four),
    );
    _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The documented order, written as naively as it reads.
    fn by_the_book(a: &[f32], b: &[f32]) -> f64 {
        let lane = |l: usize| {
            (l..a.len())
                .step_by(32)
                .fold(0.0, |sum, t| sum + a[t] as f64 * b[t] as f64)
        };
        let mut sums: Vec<f64> = (0..32).map(lane).collect();
        while sums.len() > 1 {
            let half = sums.len() / 2;
            sums = (0..half).map(|l| sums[l] + sums[l + half]).collect();
        }
        sums[0]
    }

    #[test]
    fn every_form_gives_the_documented_bits() {
        let mut rng = fastrand::Rng::with_seed(3);
        for length in (0..100).chain([511, 512, 513, 1537]) {
            for scale in [1.0f32, 1e-30, 1e30, 1e-42] {
                let mut draw = || -> Vec<f32> {
                    (0..length)
                        .map(|_| (rng.f32() - 0.5) * scale * 10f32.powi(rng.i32(-3..3)))
                        .collect()
                };
                let (a, b) = (draw(), draw());
                let want = by_the_book(&a, &b);
                for kernel in Kernel::available() {
                    assert_eq!(dot(kernel, &a, &b).to_bits(), want.to_bits(), "{kernel:?}");
                    assert_eq!(dot(kernel, &b, &a).to_bits(), want.to_bits(), "{kernel:?}");
                }
            }
        }
    }

    #[test]
    fn negative_zeros_and_the_shorter_length() {
        let (a, b) = ([-0.0f32, 1.0, 2.0], [1.0f32, 3.0]);
        for kernel in Kernel::available() {
            assert_eq!(dot(kernel, &a, &b), 3.0);
            assert_eq!(dot(kernel, &a[..1], &b).to_bits(), 0f64.to_bits());
            assert_eq!(dot(kernel, &[], &b).to_bits(), 0f64.to_bits());
        }
    }
}
