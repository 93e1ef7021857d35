//! Exponentials, logarithms and the activations of the catalogue, a vector at a time.
//!
//! Functions over [`Lanes`]: inlined into the kernels that use them. NaN gives NaN, and infinities
//! give what the f64 formulas of [`crate::device::naive`] give.

use super::lanes::Lanes;
use crate::device::op::Act;

/// Runs an expression with a name bound to a constant [`Act`], one copy of the code an activation,
/// so that [`activate`] inside of its loops does not ask which one it is.
macro_rules! with_act {
    ($act:expr, $name:ident => $body:expr) => {
        match $act {
            $crate::device::op::Act::None => {
                const $name: $crate::device::op::Act = $crate::device::op::Act::None;
                $body
            }
            $crate::device::op::Act::Relu => {
                const $name: $crate::device::op::Act = $crate::device::op::Act::Relu;
                $body
            }
            $crate::device::op::Act::Silu => {
                const $name: $crate::device::op::Act = $crate::device::op::Act::Silu;
                $body
            }
            $crate::device::op::Act::Gelu => {
                const $name: $crate::device::op::Act = $crate::device::op::Act::Gelu;
                $body
            }
            $crate::device::op::Act::Mish => {
                const $name: $crate::device::op::Act = $crate::device::op::Act::Mish;
                $body
            }
            $crate::device::op::Act::Sigmoid => {
                const $name: $crate::device::op::Act = $crate::device::op::Act::Sigmoid;
                $body
            }
        }
    };
}
pub(crate) use with_act;

/// An activation: within 3e-7 of the larger of 1 and the true value's size, for every input.
///
/// # Safety
/// The machine has the instructions of `L`.
#[inline(always)]
pub(crate) unsafe fn activate<L: Lanes>(act: Act, v: L::V) -> L::V {
    // SAFETY: the caller has the unit; nothing here touches memory.
    unsafe {
        match act {
            Act::None => v,
            // In this order a NaN comes back.
            Act::Relu => L::max(L::splat(0.0), v),
            Act::Silu => L::div(v, one_and_exp_of_minus::<L>(v)),
            Act::Gelu => gelu::<L>(v),
            Act::Mish => mish::<L>(v),
            Act::Sigmoid => L::div(L::splat(1.0), one_and_exp_of_minus::<L>(v)),
        }
    }
}

/// `e^x`, relative error 1.5e-7 where the result is normal; infinity from 88.73 on, gradually zero
/// below -87.33.
///
/// # Safety
/// The machine has the instructions of `L`.
#[inline(always)]
pub(crate) unsafe fn exp<L: Lanes>(x: L::V) -> L::V {
    // SAFETY: the caller has the unit.
    unsafe { exp_from::<L>(-104.0, x) }
}

/// `x^p` for `x >= 2^-126`: relative error about `1e-7 * max(1, |p|)`. NaN gives NaN.
///
/// # Safety
/// The machine has the instructions of `L`.
#[inline(always)]
pub(crate) unsafe fn pow<L: Lanes>(x: L::V, p: L::V) -> L::V {
    // SAFETY: the caller has the unit.
    unsafe {
        let (m, e) = L::split2(x);
        // x^p = 2^(p e) * 2^(p log2 m); whole powers of two come off exactly, for the high half of
        // `p` times the eight bits of `e` is exact even where nothing is fused.
        let spread = L::mul(p, L::splat(4097.0));
        let high = L::sub(spread, L::sub(spread, p));
        let whole = L::round(L::mul(p, e));
        let rest = L::sub(L::mul(high, e), whole);
        let rest = L::fma(L::sub(p, high), e, rest);
        let rest = L::fma(p, log2_near_one::<L>(m), rest);
        let more = L::round(rest);
        let small = L::mul(L::sub(rest, more), L::splat(std::f32::consts::LN_2));
        let n = L::add(whole, more);
        let n = L::max(L::splat(-252.0), L::min(L::splat(252.0), n));
        let nan = L::min(L::splat(0.0), x);
        L::add(L::scale2(exp_near_zero::<L>(small), n), nan)
    }
}

/// `log2 m` for `m` within 0.7..1.42, by `ln m = 2 artanh((m - 1) / (m + 1))`.
#[inline(always)]
unsafe fn log2_near_one<L: Lanes>(m: L::V) -> L::V {
    // SAFETY: the caller has the unit.
    unsafe {
        let one = L::splat(1.0);
        let s = L::div(L::sub(m, one), L::add(m, one));
        let z = L::mul(s, s);
        let series = [1.0 / 9.0, 1.0 / 7.0, 0.2, 1.0 / 3.0, 1.0];
        let sum = polynomial::<L, 5>(z, series);
        L::mul(L::mul(s, L::splat(2.0 * std::f32::consts::LOG2_E)), sum)
    }
}

/// A polynomial, the coefficient of the highest power first.
#[inline(always)]
unsafe fn polynomial<L: Lanes, const N: usize>(x: L::V, coefficients: [f32; N]) -> L::V {
    // SAFETY: the caller has the unit.
    unsafe {
        let mut sum = L::splat(coefficients[0]);
        for &c in &coefficients[1..] {
            sum = L::fma(sum, x, L::splat(c));
        }
        sum
    }
}

/// `e^r` for `|r| <= 0.35`: a minimax fit, relative error 4e-9 before rounding.
#[inline(always)]
unsafe fn exp_near_zero<L: Lanes>(r: L::V) -> L::V {
    const FIT: [f32; 7] = [
        0.001_381_45,
        0.008_368_75,
        0.041_668_39,
        0.166_665_2,
        0.499_999_93,
        1.0,
        1.0,
    ];
    // SAFETY: the caller has the unit.
    unsafe { polynomial::<L, 7>(r, FIT) }
}

/// `e^x` for `x >= lowest`, and `e^lowest` below: -104 for a true zero, -87 for no subnormals.
#[inline(always)]
unsafe fn exp_from<L: Lanes>(lowest: f32, x: L::V) -> L::V {
    // ln 2 in two parts; products of the first with whole numbers below 2^15 are exact.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    // SAFETY: the caller has the unit.
    unsafe {
        let x = L::max(L::splat(lowest), L::min(L::splat(89.0), x));
        let n = L::round(L::mul(x, L::splat(std::f32::consts::LOG2_E)));
        let r = L::fma(n, L::splat(-LN_2_HIGH), x);
        let r = L::fma(n, L::splat(-LN_2_LOW), r);
        L::scale2(exp_near_zero::<L>(r), n)
    }
}

/// `1 + e^-x`
#[inline(always)]
unsafe fn one_and_exp_of_minus<L: Lanes>(x: L::V) -> L::V {
    // SAFETY: the caller has the unit.
    unsafe {
        let e = exp_from::<L>(-87.0, L::sub(L::splat(0.0), x));
        L::add(L::splat(1.0), e)
    }
}

/// `x tanh(ln(1 + e^x))`, which is `x n / (n + 2)` with `n = e^x (e^x + 2)`.
#[inline(always)]
unsafe fn mish<L: Lanes>(x: L::V) -> L::V {
    // SAFETY: the caller has the unit.
    unsafe {
        let two = L::splat(2.0);
        // From 20 on the fraction is one.
        let e = exp::<L>(L::min(L::splat(20.0), x));
        let n = L::mul(e, L::add(e, two));
        L::mul(x, L::div(n, L::add(n, two)))
    }
}

/// `x Phi(x)`: with `q = Phi(-|x|)`, `x - |x| q` on the right and `-|x| q` on the left, so that small
/// values keep their relative precision.
#[inline(always)]
unsafe fn gelu<L: Lanes>(x: L::V) -> L::V {
    // q = 1 / (2 fit(|x|)^8), a minimax fit of (2 q)^(-1/8) for 0..7 of the kind of Abramowitz and
    // Stegun 7.1.28: relative error of q 4e-8 up to 3.2, absolute error of x q 2e-8 beyond.
    const FIT: [f32; 11] = [
        0.000_000_073_663_74,
        -0.000_000_859_665_7,
        0.000_006_214_459,
        -0.000_018_179_333,
        0.000_073_574_134,
        0.000_186_547_81,
        0.000_877_939_46,
        0.008_662_992,
        0.044_765_03,
        0.099_735_37,
        1.0,
    ];
    // SAFETY: the caller has the unit.
    unsafe {
        let zero = L::splat(0.0);
        // Far out q is zero; the bound keeps infinity times zero off the right side.
        let a = L::max(L::sub(zero, x), L::min(L::splat(1e3), x));
        let root = polynomial::<L, 11>(a, FIT);
        let root = L::mul(root, root);
        let root = L::mul(root, root);
        let q = L::div(L::splat(-0.5), L::mul(root, root));
        L::fma(a, q, L::max(zero, x))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::cpu::Kernel;
    use crate::device::cpu::lanes::{Job, run};
    use crate::device::naive;

    /// The function of a test, over a slice; the last few lanes through `load_n` and `store_n`.
    #[derive(Clone, Copy)]
    enum What {
        Act(Act),
        Exp,
        Pow(f32),
    }

    struct Map<'a>(What, &'a [f32], &'a mut [f32]);

    impl Job for Map<'_> {
        #[inline(always)]
        unsafe fn run<L: Lanes>(self) {
            let Map(what, x, y) = self;
            for (x, y) in x.chunks(L::N).zip(y.chunks_mut(L::N)) {
                // SAFETY: `run` found the unit; the chunks are `x.len() <= N` long.
                unsafe {
                    let v = L::load_n(x.as_ptr(), x.len());
                    let v = match what {
                        What::Act(act) => with_act!(act, A => activate::<L>(A, v)),
                        What::Exp => exp::<L>(v),
                        What::Pow(p) => pow::<L>(v, L::splat(p)),
                    };
                    L::store_n(y.as_mut_ptr(), x.len(), v);
                }
            }
        }
    }

    fn map(kernel: Kernel, what: What, x: &[f32]) -> Vec<f32> {
        let mut y = vec![f32::from_bits(0x7fa0_0000); x.len()];
        // SAFETY: the slices are of one length.
        unsafe { run(kernel, Map(what, x, &mut y)) };
        y
    }

    const ACTS: [Act; 6] = [
        Act::None,
        Act::Relu,
        Act::Silu,
        Act::Gelu,
        Act::Mish,
        Act::Sigmoid,
    ];

    /// Dense between -110 and 110, denser near zero, and powers of ten of both signs.
    fn sweep() -> Vec<f32> {
        let mut x: Vec<f32> = (-110_000..=110_000).map(|i| i as f32 * 1e-3).collect();
        x.extend((-60_003..60_000).map(|i| i as f32 * 1.7e-4));
        for e in -45..=38 {
            let power = 10f64.powi(e) as f32;
            x.extend([power, -power, 3.3 * power, -3.3 * power]);
        }
        x.extend([0.0, -0.0, f32::MAX, f32::MIN, f32::MIN_POSITIVE]);
        x
    }

    #[test]
    fn activations_follow_the_f64_formulas() {
        let x = sweep();
        for kernel in Kernel::available() {
            for act in ACTS {
                let y = map(kernel, What::Act(act), &x);
                for (&x, &y) in x.iter().zip(&y) {
                    let want = naive::activate(act, f64::from(x));
                    let off = (f64::from(y) - want).abs();
                    let bound = match act {
                        Act::None | Act::Relu => 0.0,
                        _ => 3e-7 * want.abs().max(1.0),
                    };
                    let form = kernel.name();
                    assert!(off <= bound, "{act:?}({x}) = {y}, not {want}, {form}");
                }
            }
        }
    }

    #[test]
    fn small_values_of_activations_keep_their_relative_precision() {
        for kernel in Kernel::available() {
            for (act, lowest, bound) in [
                (Act::Silu, -80.0, 4e-7),
                (Act::Mish, -80.0, 6e-7),
                (Act::Sigmoid, -80.0, 4e-7),
                (Act::Gelu, -3.0, 2e-6),
            ] {
                let x: Vec<f32> = (1..8000).map(|i| lowest * i as f32 / 8000.0).collect();
                for (&x, &y) in x.iter().zip(&map(kernel, What::Act(act), &x)) {
                    let want = naive::activate(act, f64::from(x));
                    let off = (f64::from(y) / want - 1.0).abs();
                    assert!(off <= bound, "{act:?}({x}) = {y}, not {want}");
                }
            }
        }
    }

    #[test]
    fn activations_of_nan_and_infinity() {
        let x = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -f32::NAN];
        for kernel in Kernel::available() {
            for act in ACTS {
                let y = map(kernel, What::Act(act), &x);
                assert!(y[0].is_nan() && y[3].is_nan(), "{act:?} {}", kernel.name());
                for i in [1, 2] {
                    let want = naive::activate(act, f64::from(x[i])) as f32;
                    let same = y[i] == want || (y[i].is_nan() && want.is_nan());
                    assert!(same, "{act:?}({}) = {}, not {want}", x[i], y[i]);
                }
            }
        }
    }

    #[test]
    fn far_ends_of_activations() {
        let x = [-100.0, -200.0, 50.0, 1e30, -1e30];
        for kernel in Kernel::available() {
            let silu = map(kernel, What::Act(Act::Silu), &x);
            assert!(silu[0].abs() < 1e-36 && silu[1].abs() < 1e-36 && silu[4].abs() < 1e-36);
            assert_eq!((silu[2], silu[3]), (50.0, 1e30));
            let sigmoid = map(kernel, What::Act(Act::Sigmoid), &x);
            assert_eq!(sigmoid[1..], [0.0, 1.0, 1.0, 0.0]);
            let mish = map(kernel, What::Act(Act::Mish), &x);
            assert!(mish[0].abs() < 1e-36 && mish[4] == 0.0);
            assert_eq!((mish[2], mish[3]), (50.0, 1e30));
            let gelu = map(kernel, What::Act(Act::Gelu), &x);
            assert_eq!(gelu, [0.0, 0.0, 50.0, 1e30, 0.0]);
        }
    }

    #[test]
    fn exponentials() {
        let x = sweep();
        let tiny = f64::from(f32::MIN_POSITIVE);
        for kernel in Kernel::available() {
            for (&x, &y) in x.iter().zip(&map(kernel, What::Exp, &x)) {
                let want = f64::from(x).exp();
                let form = kernel.name();
                match want as f32 {
                    w if w.is_infinite() => assert!(y.is_infinite(), "{x} {y} {form}"),
                    _ if want < tiny => {
                        assert!(
                            (f64::from(y) - want).abs() < 3e-45 + 2e-7 * want,
                            "{x} {y} {form}"
                        )
                    }
                    _ => {
                        let off = (f64::from(y) / want - 1.0).abs();
                        assert!(off < 1.5e-7, "exp({x}) = {y}, not {want}, {form}");
                    }
                }
            }
            let ends = [f32::INFINITY, f32::NEG_INFINITY, 0.0];
            assert_eq!(map(kernel, What::Exp, &ends), [f32::INFINITY, 0.0, 1.0]);
            assert!(map(kernel, What::Exp, &[f32::NAN])[0].is_nan());
        }
    }

    #[test]
    fn powers() {
        let mut x: Vec<f32> = (1..20_000).map(|i| i as f32 * 1.3e-3).collect();
        x.extend((-37..=38).map(|e| 2.7 * 10f64.powi(e) as f32 / 3.0));
        x.extend([
            f32::MIN_POSITIVE,
            1.0,
            f32::MAX,
            std::f32::consts::FRAC_1_SQRT_2,
            std::f32::consts::SQRT_2,
        ]);
        for kernel in Kernel::available() {
            for p in [3.0f32, 1.0, 0.5, 2.924_1, -1.5, 6.6, 0.0, 10.0] {
                for (&x, &y) in x.iter().zip(&map(kernel, What::Pow(p), &x)) {
                    let want = f64::from(x).powf(f64::from(p));
                    if want as f32 == f32::INFINITY {
                        assert!(y > 3.4e38, "{x}^{p} = {y}");
                    } else if want < f64::from(f32::MIN_POSITIVE) {
                        assert!(y < 1.18e-38, "{x}^{p} = {y}");
                    } else {
                        let off = (f64::from(y) / want - 1.0).abs();
                        let bound = 2.5e-7 * f64::from(p.abs().max(1.0));
                        assert!(off < bound, "{x}^{p} = {y}, not {want}, {}", kernel.name());
                    }
                }
                assert!(map(kernel, What::Pow(p), &[f32::NAN])[0].is_nan());
            }
            assert_eq!(
                map(kernel, What::Pow(3.0), &[f32::INFINITY]),
                [f32::INFINITY]
            );
        }
    }
}
