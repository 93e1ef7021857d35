//! The vector units of a CPU behind one trait, so that a kernel of the encoders is written once.
//!
//! A kernel is an `#[inline(always)]` function over `L: Lanes`; a thin function with
//! `#[target_feature]` for each unit calls it, so that everything is inlined there and compiled with
//! the unit's instructions. Forms of one kernel agree up to rounding: the portable one has no fused
//! multiply-add.

use super::Kernel;
use super::kernel::Level;

/// A vector unit.
///
/// # Safety
/// Every function asks that the machine has the unit's instructions (a [`super::Kernel`] of its
/// level is the proof), and that pointers are valid for the [`Lanes::N`] (or `n`) floats they name;
/// they need no alignment.
pub(crate) trait Lanes: Copy {
    /// Floats of a vector.
    const N: usize;
    /// A vector.
    type V: Copy;

    /// All lanes `x`.
    unsafe fn splat(x: f32) -> Self::V;
    /// Lane `i` is lane `i ^ 1`.
    unsafe fn swap1(a: Self::V) -> Self::V;
    /// Lane `i` is lane `i ^ 2`.
    unsafe fn swap2(a: Self::V) -> Self::V;
    /// Lane `i` is lane `i ^ 4`.
    unsafe fn swap4(a: Self::V) -> Self::V;
    /// Lane `i` is lane `i ^ 8`; the vector as it is where there are only eight.
    unsafe fn swap8(a: Self::V) -> Self::V;
    /// `N` floats.
    unsafe fn load(p: *const f32) -> Self::V;
    /// The first `n <= N` floats, the rest zero; no other is touched.
    unsafe fn load_n(p: *const f32, n: usize) -> Self::V;
    /// Writes `N` floats.
    unsafe fn store(p: *mut f32, v: Self::V);
    /// Writes the first `n <= N` lanes and touches nothing else.
    unsafe fn store_n(p: *mut f32, n: usize, v: Self::V);
    /// `a + b`
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    /// `a - b`
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    /// `a * b`
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    /// `a / b`
    unsafe fn div(a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`, fused where the unit can.
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// The larger, lane by lane; `b` where `a` is NaN.
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    /// The smaller, lane by lane; `b` where `a` is NaN.
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V;
    /// The larger, lane by lane; NaN where either is.
    unsafe fn max_nan(a: Self::V, b: Self::V) -> Self::V;
    /// To the nearest integer, ties to even.
    unsafe fn round(a: Self::V) -> Self::V;
    /// `a * 2^n` for whole `n` within -252..=252: infinity above, gradually zero below, NaN stays.
    unsafe fn scale2(a: Self::V, n: Self::V) -> Self::V;
    /// `(m, e)` with `a = m * 2^e`, `m` within 0.7071..1.4142, `e` whole; for finite normal `a > 0`.
    /// Infinity gives a large `e`; the parts of anything else mean nothing.
    unsafe fn split2(a: Self::V) -> (Self::V, Self::V);
    /// The transpose of a block: lane `r` of the vector at `to + c * line` is float `c` of the row at
    /// `from + r * step`, for each `c` of `columns <= N`; lanes from `rows <= N` on are zero.
    unsafe fn transpose(
        from: *const f32,
        step: usize,
        rows_columns: (usize, usize),
        to: *mut f32,
        line: usize,
    );
}

/// The bits of the smallest `m` of [`Lanes::split2`], the square root of 1/2.
const SPLIT_AT: i32 = 0x3f35_04f3;

/// Plain Rust: eight lanes, which compilers turn into what the target has.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

/// `f` of every lane.
#[inline(always)]
fn each(f: impl Fn(usize) -> f32) -> [f32; 8] {
    // Not `array::from_fn`, which is not always inlined.
    let mut v = [0.0; 8];
    for (i, v) in v.iter_mut().enumerate() {
        *v = f(i);
    }
    v
}

impl Lanes for Portable {
    const N: usize = 8;
    type V = [f32; 8];

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::V {
        [x; 8]
    }
    #[inline(always)]
    unsafe fn swap1(a: Self::V) -> Self::V {
        each(|i| a[i ^ 1])
    }
    #[inline(always)]
    unsafe fn swap2(a: Self::V) -> Self::V {
        each(|i| a[i ^ 2])
    }
    #[inline(always)]
    unsafe fn swap4(a: Self::V) -> Self::V {
        each(|i| a[i ^ 4])
    }
    #[inline(always)]
    unsafe fn swap8(a: Self::V) -> Self::V {
        a
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self::V {
        // SAFETY: the trait's contract: eight floats are there.
        unsafe { p.cast::<[f32; 8]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn load_n(p: *const f32, n: usize) -> Self::V {
        // SAFETY: the trait's contract: `n` floats are there.
        each(|i| if i < n { unsafe { *p.add(i) } } else { 0.0 })
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: Self::V) {
        // SAFETY: the trait's contract: room for eight floats.
        unsafe { p.cast::<[f32; 8]>().write_unaligned(v) }
    }
    #[inline(always)]
    unsafe fn store_n(p: *mut f32, n: usize, v: Self::V) {
        for (i, x) in v.into_iter().enumerate().take(n) {
            // SAFETY: the trait's contract: room for `n` floats.
            unsafe { *p.add(i) = x }
        }
    }
    #[inline(always)]
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
        each(|i| a[i] + b[i])
    }
    #[inline(always)]
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V {
        each(|i| a[i] - b[i])
    }
    #[inline(always)]
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V {
        each(|i| a[i] * b[i])
    }
    #[inline(always)]
    unsafe fn div(a: Self::V, b: Self::V) -> Self::V {
        each(|i| a[i] / b[i])
    }
    #[inline(always)]
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        each(|i| a[i] * b[i] + c[i])
    }
    #[inline(always)]
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V {
        each(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V {
        each(|i| if a[i] < b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    unsafe fn max_nan(a: Self::V, b: Self::V) -> Self::V {
        each(|i| match a[i] > b[i] || a[i].is_nan() {
            true => a[i],
            false => b[i],
        })
    }
    #[inline(always)]
    unsafe fn round(a: Self::V) -> Self::V {
        each(|i| a[i].round_ties_even())
    }
    #[inline(always)]
    unsafe fn scale2(a: Self::V, n: Self::V) -> Self::V {
        each(|i| {
            let n = n[i] as i32;
            let half = n >> 1;
            let power = |n: i32| f32::from_bits((n.wrapping_add(127) as u32) << 23);
            a[i] * power(half) * power(n - half)
        })
    }
    #[inline(always)]
    unsafe fn split2(a: Self::V) -> (Self::V, Self::V) {
        let e = |i: usize| (a[i].to_bits() as i32).wrapping_sub(SPLIT_AT) >> 23;
        let m = |i: usize| f32::from_bits((a[i].to_bits() as i32).wrapping_sub(e(i) << 23) as u32);
        (each(m), each(|i| e(i) as f32))
    }
    #[inline(always)]
    unsafe fn transpose(
        from: *const f32,
        step: usize,
        (rows, columns): (usize, usize),
        to: *mut f32,
        line: usize,
    ) {
        for c in 0..columns {
            // SAFETY: the trait's contract: `rows` rows of `columns` floats, room for as many vectors.
            unsafe {
                let column = each(|r| {
                    if r < rows {
                        *from.add(r * step + c)
                    } else {
                        0.0
                    }
                });
                Self::store(to.add(c * line), column);
            }
        }
    }
}

/// All lanes joined by `f`, which asks for no order of its arguments; every lane has the result.
///
/// # Safety
/// The machine has the instructions of `L`.
#[inline(always)]
pub(crate) unsafe fn all<L: Lanes>(v: L::V, f: impl Fn(L::V, L::V) -> L::V) -> L::V {
    // SAFETY: the caller's.
    unsafe {
        let v = if L::N > 8 { f(v, L::swap8(v)) } else { v };
        let v = f(v, L::swap4(v));
        let v = f(v, L::swap2(v));
        f(v, L::swap1(v))
    }
}

/// [`Lanes::load_n`], by an unmasked load where all lanes are there.
///
/// # Safety
/// That of [`Lanes::load_n`].
#[inline(always)]
pub(crate) unsafe fn load_some<L: Lanes>(p: *const f32, n: usize) -> L::V {
    // SAFETY: the caller's.
    unsafe {
        match n == L::N {
            true => L::load(p),
            false => L::load_n(p, n),
        }
    }
}

/// [`Lanes::store_n`], by an unmasked store where all lanes are there.
///
/// # Safety
/// That of [`Lanes::store_n`].
#[inline(always)]
pub(crate) unsafe fn store_some<L: Lanes>(p: *mut f32, n: usize, v: L::V) {
    // SAFETY: the caller's.
    unsafe {
        match n == L::N {
            true => L::store(p, v),
            false => L::store_n(p, n, v),
        }
    }
}

/// Work written once for every vector unit; [`run`] picks the unit.
pub(crate) trait Job {
    /// Does it. Implementations are `#[inline(always)]`, so that they are compiled for the unit.
    ///
    /// # Safety
    /// The machine has the instructions of `L`, and what the job's own constructor asks holds.
    unsafe fn run<L: Lanes>(self);
}

/// Runs a job on the vector unit of a kernel.
///
/// # Safety
/// What the job asks of its fields holds.
#[inline]
pub(crate) unsafe fn run<J: Job>(kernel: Kernel, job: J) {
    // SAFETY: the caller answers for the job, and a `Kernel` is the proof of its instructions.
    unsafe {
        match kernel.level() {
            Level::Portable => job.run::<Portable>(),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => on_avx2(job),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 | Level::Avx512Vnni => on_avx512(job),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn on_avx2<J: Job>(job: J) {
    // SAFETY: the caller has the unit and answers for the job.
    unsafe { job.run::<Avx2>() }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,avx512f,avx512bw")]
unsafe fn on_avx512<J: Job>(job: J) {
    // SAFETY: the caller has the unit and answers for the job.
    unsafe { job.run::<Avx512>() }
}

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Lanes, SPLIT_AT, load_some};
    use std::arch::x86_64::*;

    /// 256-bit vectors: AVX2 and FMA.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx2;

    /// 512-bit vectors: AVX-512 F.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx512;

    /// A mask of the first `n` of eight lanes.
    #[inline(always)]
    unsafe fn first(n: usize) -> __m256i {
        // SAFETY: the caller has AVX2.
        unsafe {
            let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
            _mm256_cmpgt_epi32(_mm256_set1_epi32(n as i32), lanes)
        }
    }

    /// One line of the trait: the intrinsic that does it.
    macro_rules! through {
        ($name:ident($($arg:ident),*) -> $out:ty, $call:expr) => {
            #[inline(always)]
            unsafe fn $name($($arg: Self::V),*) -> $out {
                // SAFETY: the trait's contract: the machine has the unit's instructions.
                unsafe { $call }
            }
        };
    }

    impl Lanes for Avx2 {
        const N: usize = 8;
        type V = __m256;

        #[inline(always)]
        unsafe fn swap8(a: __m256) -> __m256 {
            a
        }

        through!(swap1(a) -> __m256, _mm256_permute_ps::<0b10_11_00_01>(a));
        through!(swap2(a) -> __m256, _mm256_permute_ps::<0b01_00_11_10>(a));
        through!(swap4(a) -> __m256, _mm256_permute2f128_ps::<1>(a, a));

        #[inline(always)]
        unsafe fn splat(x: f32) -> __m256 {
            // SAFETY: the trait's contract.
            unsafe { _mm256_set1_ps(x) }
        }
        #[inline(always)]
        unsafe fn load(p: *const f32) -> __m256 {
            // SAFETY: the trait's contract.
            unsafe { _mm256_loadu_ps(p) }
        }
        #[inline(always)]
        unsafe fn load_n(p: *const f32, n: usize) -> __m256 {
            // SAFETY: the trait's contract; masked lanes are not touched.
            unsafe { _mm256_maskload_ps(p, first(n)) }
        }
        #[inline(always)]
        unsafe fn store(p: *mut f32, v: __m256) {
            // SAFETY: the trait's contract.
            unsafe { _mm256_storeu_ps(p, v) }
        }
        #[inline(always)]
        unsafe fn store_n(p: *mut f32, n: usize, v: __m256) {
            // SAFETY: the trait's contract; masked lanes are not touched.
            unsafe { _mm256_maskstore_ps(p, first(n), v) }
        }
        through!(add(a, b) -> __m256, _mm256_add_ps(a, b));
        through!(sub(a, b) -> __m256, _mm256_sub_ps(a, b));
        through!(mul(a, b) -> __m256, _mm256_mul_ps(a, b));
        through!(div(a, b) -> __m256, _mm256_div_ps(a, b));
        through!(fma(a, b, c) -> __m256, _mm256_fmadd_ps(a, b, c));
        through!(max(a, b) -> __m256, _mm256_max_ps(a, b));
        through!(min(a, b) -> __m256, _mm256_min_ps(a, b));
        through!(max_nan(a, b) -> __m256, {
            let nan = _mm256_cmp_ps::<_CMP_UNORD_Q>(a, a);
            _mm256_blendv_ps(_mm256_max_ps(a, b), a, nan)
        });
        through!(round(a) -> __m256, _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a));
        through!(scale2(a, n) -> __m256, {
            let n = _mm256_cvtps_epi32(n);
            let half = _mm256_srai_epi32::<1>(n);
            let bias = _mm256_set1_epi32(127);
            let first = _mm256_slli_epi32::<23>(_mm256_add_epi32(half, bias));
            let second = _mm256_add_epi32(_mm256_sub_epi32(n, half), bias);
            let second = _mm256_slli_epi32::<23>(second);
            let a = _mm256_mul_ps(a, _mm256_castsi256_ps(first));
            _mm256_mul_ps(a, _mm256_castsi256_ps(second))
        });
        through!(split2(a) -> (__m256, __m256), {
            let bits = _mm256_castps_si256(a);
            let e = _mm256_srai_epi32::<23>(_mm256_sub_epi32(bits, _mm256_set1_epi32(SPLIT_AT)));
            let m = _mm256_sub_epi32(bits, _mm256_slli_epi32::<23>(e));
            (_mm256_castsi256_ps(m), _mm256_cvtepi32_ps(e))
        });

        #[inline(always)]
        unsafe fn transpose(
            from: *const f32,
            step: usize,
            (rows, columns): (usize, usize),
            to: *mut f32,
            line: usize,
        ) {
            // SAFETY: the trait's contract; rows beyond `rows` and floats beyond `columns` are not
            // touched.
            unsafe {
                let mut r = [_mm256_setzero_ps(); 8];
                for (i, row) in r.iter_mut().enumerate() {
                    if i < rows {
                        *row = load_some::<Self>(from.add(i * step), columns);
                    }
                }
                // Of four rows each: block `b` of `u[4 g + j]` is column `4 b + j`.
                let mut u = [_mm256_setzero_pd(); 8];
                for g in [0, 4] {
                    for (i, low, high) in [(0, r[g], r[g + 1]), (1, r[g + 2], r[g + 3])] {
                        u[g + i] = _mm256_castps_pd(_mm256_unpacklo_ps(low, high));
                        u[g + 2 + i] = _mm256_castps_pd(_mm256_unpackhi_ps(low, high));
                    }
                    let t = [u[g], u[g + 1], u[g + 2], u[g + 3]];
                    u[g] = _mm256_unpacklo_pd(t[0], t[1]);
                    u[g + 1] = _mm256_unpackhi_pd(t[0], t[1]);
                    u[g + 2] = _mm256_unpacklo_pd(t[2], t[3]);
                    u[g + 3] = _mm256_unpackhi_pd(t[2], t[3]);
                }
                for j in 0..4 {
                    let (a, b) = (_mm256_castpd_ps(u[j]), _mm256_castpd_ps(u[4 + j]));
                    if j < columns {
                        Self::store(to.add(j * line), _mm256_permute2f128_ps::<0x20>(a, b));
                    }
                    if 4 + j < columns {
                        let v = _mm256_permute2f128_ps::<0x31>(a, b);
                        Self::store(to.add((4 + j) * line), v);
                    }
                }
            }
        }
    }

    impl Lanes for Avx512 {
        const N: usize = 16;
        type V = __m512;

        through!(swap1(a) -> __m512, _mm512_permute_ps::<0b10_11_00_01>(a));
        through!(swap2(a) -> __m512, _mm512_permute_ps::<0b01_00_11_10>(a));
        through!(swap4(a) -> __m512, _mm512_shuffle_f32x4::<0b10_11_00_01>(a, a));
        through!(swap8(a) -> __m512, _mm512_shuffle_f32x4::<0b01_00_11_10>(a, a));

        #[inline(always)]
        unsafe fn splat(x: f32) -> __m512 {
            // SAFETY: the trait's contract.
            unsafe { _mm512_set1_ps(x) }
        }
        #[inline(always)]
        unsafe fn load(p: *const f32) -> __m512 {
            // SAFETY: the trait's contract.
            unsafe { _mm512_loadu_ps(p) }
        }
        #[inline(always)]
        unsafe fn load_n(p: *const f32, n: usize) -> __m512 {
            // SAFETY: the trait's contract; masked lanes are not touched.
            unsafe { _mm512_maskz_loadu_ps(((1u32 << n) - 1) as u16, p) }
        }
        #[inline(always)]
        unsafe fn store(p: *mut f32, v: __m512) {
            // SAFETY: the trait's contract.
            unsafe { _mm512_storeu_ps(p, v) }
        }
        #[inline(always)]
        unsafe fn store_n(p: *mut f32, n: usize, v: __m512) {
            // SAFETY: the trait's contract; masked lanes are not touched.
            unsafe { _mm512_mask_storeu_ps(p, ((1u32 << n) - 1) as u16, v) }
        }
        through!(add(a, b) -> __m512, _mm512_add_ps(a, b));
        through!(sub(a, b) -> __m512, _mm512_sub_ps(a, b));
        through!(mul(a, b) -> __m512, _mm512_mul_ps(a, b));
        through!(div(a, b) -> __m512, _mm512_div_ps(a, b));
        through!(fma(a, b, c) -> __m512, _mm512_fmadd_ps(a, b, c));
        through!(max(a, b) -> __m512, _mm512_max_ps(a, b));
        through!(min(a, b) -> __m512, _mm512_min_ps(a, b));
        through!(max_nan(a, b) -> __m512, {
            let nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(a, a);
            _mm512_mask_mov_ps(_mm512_max_ps(a, b), nan, a)
        });
        through!(round(a) -> __m512, _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a));
        through!(scale2(a, n) -> __m512, _mm512_scalef_ps(a, n));
        through!(split2(a) -> (__m512, __m512), {
            let bits = _mm512_castps_si512(a);
            let e = _mm512_srai_epi32::<23>(_mm512_sub_epi32(bits, _mm512_set1_epi32(SPLIT_AT)));
            let m = _mm512_sub_epi32(bits, _mm512_slli_epi32::<23>(e));
            (_mm512_castsi512_ps(m), _mm512_cvtepi32_ps(e))
        });

        #[inline(always)]
        unsafe fn transpose(
            from: *const f32,
            step: usize,
            (rows, columns): (usize, usize),
            to: *mut f32,
            line: usize,
        ) {
            // SAFETY: the trait's contract; rows beyond `rows` and floats beyond `columns` are not
            // touched.
            unsafe {
                let mut r = [_mm512_setzero_ps(); 16];
                for (i, row) in r.iter_mut().enumerate() {
                    if i < rows {
                        *row = load_some::<Self>(from.add(i * step), columns);
                    }
                }
                // Of four rows each: block `b` of `u[4 g + j]` is column `4 b + j`.
                let mut u = [_mm512_setzero_pd(); 16];
                for g in [0, 4, 8, 12] {
                    for (i, low, high) in [(0, r[g], r[g + 1]), (1, r[g + 2], r[g + 3])] {
                        u[g + i] = _mm512_castps_pd(_mm512_unpacklo_ps(low, high));
                        u[g + 2 + i] = _mm512_castps_pd(_mm512_unpackhi_ps(low, high));
                    }
                    let t = [u[g], u[g + 1], u[g + 2], u[g + 3]];
                    u[g] = _mm512_unpacklo_pd(t[0], t[1]);
                    u[g + 1] = _mm512_unpackhi_pd(t[0], t[1]);
                    u[g + 2] = _mm512_unpacklo_pd(t[2], t[3]);
                    u[g + 3] = _mm512_unpackhi_pd(t[2], t[3]);
                }
                for j in 0..4 {
                    let u = |g: usize| _mm512_castpd_ps(u[4 * g + j]);
                    let a = _mm512_shuffle_f32x4::<0x44>(u(0), u(1));
                    let b = _mm512_shuffle_f32x4::<0x44>(u(2), u(3));
                    let c = _mm512_shuffle_f32x4::<0xee>(u(0), u(1));
                    let d = _mm512_shuffle_f32x4::<0xee>(u(2), u(3));
                    let four = [
                        _mm512_shuffle_f32x4::<0x88>(a, b),
                        _mm512_shuffle_f32x4::<0xdd>(a, b),
                        _mm512_shuffle_f32x4::<0x88>(c, d),
                        _mm512_shuffle_f32x4::<0xdd>(c, d),
                    ];
                    for (i, v) in four.into_iter().enumerate() {
                        if 4 * i + j < columns {
                            Self::store(to.add((4 * i + j) * line), v);
                        }
                    }
                }
            }
        }
    }
}
