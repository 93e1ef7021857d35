//! The inner loops: a few pixels against a panel of filters, everything in registers.

#[cfg(target_arch = "x86_64")]
use super::super::lanes::{Avx2, Avx512};
use super::super::lanes::{Lanes, Portable};
use super::super::math::{activate, with_act};
use super::super::shape::Tail;
use super::view::MOST;
use crate::device::op::Act;

/// What a tile multiplies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Factors {
    /// `[tap][pixel]`: the runs of the first group.
    pub runs: *const *const f32,
    /// Runs of a pixel.
    pub taps: usize,
    /// Floats of a run.
    pub run: usize,
    /// Floats from a run of the first group to that of this one.
    pub shift: usize,
    /// `[tap][channel][lane]`: the panel.
    pub weights: *const f32,
}

/// Where a tile's results go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// `[pixel][lane]`: room for the sums, where the epilogue is not simple.
    pub sums: *mut f32,
    /// Floats of a row of them.
    pub width: usize,
    /// Pixels.
    pub pixels: usize,
    /// The first filter.
    pub filter: usize,
    /// Filters.
    pub columns: usize,
    /// Whether the epilogue is done in registers (full vectors, nothing but `max` for an activation);
    /// otherwise [`Unit::finish`] follows.
    pub simple: bool,
    /// The first pixel's first float within the result (and the residual), at filter 0.
    pub start: usize,
    /// Floats of a pixel of the result.
    pub line: usize,
    pub tail: &'a Tail<'a>,
    /// The result.
    pub y: *mut f32,
}

/// The first `n` floats.
///
/// # Safety
/// As [`Lanes::load_n`].
#[inline(always)]
unsafe fn load<L: Lanes>(p: *const f32, n: usize) -> L::V {
    // SAFETY: the caller's contract.
    unsafe {
        if n == L::N {
            L::load(p)
        } else {
            L::load_n(p, n)
        }
    }
}

/// Writes the first `n` lanes.
///
/// # Safety
/// As [`Lanes::store_n`].
#[inline(always)]
unsafe fn store<L: Lanes>(p: *mut f32, n: usize, v: L::V) {
    // SAFETY: the caller's contract.
    unsafe {
        if n == L::N {
            L::store(p, v)
        } else {
            L::store_n(p, n, v)
        }
    }
}

/// The end of a tile: the epilogue where it is simple, the sums as they are where it is not.
///
/// Loops over all of the sums and nothing else, one after the other: they are unrolled only while
/// they are short, and the sums stay in registers only when all are unrolled.
///
/// # Safety
/// The unit is there; the pointers of `p` are valid for what its fields say; `y` is nobody else's
/// there.
#[inline(always)]
unsafe fn settle<L: Lanes, const NV: usize, const MR: usize>(
    mut sums: [[L::V; NV]; MR],
    p: &Place<'_>,
) {
    // SAFETY: the caller's contract: `NV` vectors of filters from `filter` on have scale and bias
    // where the epilogue is simple, and `MR` lines of the residual and the result hold them.
    unsafe {
        if !p.simple {
            for (r, sums) in sums.iter().enumerate() {
                for (v, sum) in sums.iter().enumerate() {
                    L::store(p.sums.add((r * NV + v) * L::N), *sum);
                }
            }
            return;
        }
        let mut scale = [L::splat(1.0); NV];
        if let Some(from) = p.tail.scale {
            for (v, scale) in scale.iter_mut().enumerate() {
                *scale = L::load(from.as_ptr().add(p.filter + v * L::N));
            }
        }
        let mut bias = [L::splat(0.0); NV];
        if let Some(from) = p.tail.bias {
            for (v, bias) in bias.iter_mut().enumerate() {
                *bias = L::load(from.as_ptr().add(p.filter + v * L::N));
            }
        }
        for sums in &mut sums {
            for v in 0..NV {
                sums[v] = L::fma(sums[v], scale[v], bias[v]);
            }
        }
        let start = p.start + p.filter;
        if let Some(residual) = p.tail.residual {
            let from = residual.as_ptr().add(start);
            for (r, sums) in sums.iter_mut().enumerate() {
                for (v, sum) in sums.iter_mut().enumerate() {
                    *sum = L::add(*sum, L::load(from.add(r * p.line + v * L::N)));
                }
            }
        }
        if matches!(p.tail.act, Act::Relu) {
            for sums in &mut sums {
                for sum in sums {
                    *sum = activate::<L>(Act::Relu, *sum);
                }
            }
        }
        let to = p.y.add(start);
        for (r, sums) in sums.iter().enumerate() {
            for (v, sum) in sums.iter().enumerate() {
                L::store(to.add(r * p.line + v * L::N), *sum);
            }
        }
    }
}

/// `MR` pixels against `NV` vectors of filters.
///
/// # Safety
/// The unit is there; the pointers of `f` are valid for what its fields say.
#[inline(always)]
unsafe fn product<L: Lanes, const NV: usize, const MR: usize>(f: &Factors, p: &Place<'_>) {
    // SAFETY: the caller's contract: `taps * MR` runs of `run` floats at `shift`, as many weights
    // of `NV` vectors, room for `MR * NV` vectors of sums.
    unsafe {
        let mut sums = [[L::splat(0.0); NV]; MR];
        let mut weights = f.weights;
        for tap in 0..f.taps {
            let mut runs = [f.weights; MR];
            for (r, run) in runs.iter_mut().enumerate() {
                *run = (*f.runs.add(tap * MR + r)).add(f.shift);
            }
            for k in 0..f.run {
                let mut w = [L::splat(0.0); NV];
                for (v, w) in w.iter_mut().enumerate() {
                    *w = L::load(weights.add(v * L::N));
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    let x = L::splat(*runs[r].add(k));
                    for v in 0..NV {
                        sums[v] = L::fma(x, w[v], sums[v]);
                    }
                }
                weights = weights.add(NV * L::N);
            }
        }
        settle::<L, NV, MR>(sums, p);
    }
}

/// `MR` pixels of one vector of channels in groups of `G`, each against its own filters.
///
/// # Safety
/// As [`product`]; a run is at most a vector.
#[inline(always)]
unsafe fn crossed<L: Lanes, const G: usize, const MR: usize>(f: &Factors, p: &Place<'_>) {
    // SAFETY: the caller's contract: `taps * MR` runs of `live` floats at `shift`, `taps * G`
    // vectors of weights, room for `MR` vectors of sums.
    unsafe {
        let live = f.run;
        let mut sums = [[L::splat(0.0); G]; MR];
        for tap in 0..f.taps {
            let mut x = [L::splat(0.0); MR];
            for (r, x) in x.iter_mut().enumerate() {
                *x = load::<L>((*f.runs.add(tap * MR + r)).add(f.shift), live);
            }
            for g in 0..G {
                let w = L::load(f.weights.add((tap * G + g) * L::N));
                for (r, sums) in sums.iter_mut().enumerate() {
                    sums[g] = L::fma(x[r], w, sums[g]);
                }
            }
        }
        let mut home = [[L::splat(0.0)]; MR];
        for (r, home) in home.iter_mut().enumerate() {
            let s = &mut sums[r];
            if G > 4 {
                for g in 0..4 {
                    s[g] = L::add(s[g], L::swap4(s[(g + 4) % G]));
                }
            }
            if G > 2 {
                for g in 0..2 {
                    s[g] = L::add(s[g], L::swap2(s[(g + 2) % G]));
                }
            }
            home[0] = L::add(s[0], L::swap1(s[1]));
        }
        settle::<L, 1, MR>(home, p);
    }
}

/// `act(sum * scale + bias + residual)` of a tile.
///
/// # Safety
/// The unit is there; the pointers of `p` are valid for what its fields say; `y` is nobody else's
/// there.
#[inline(always)]
unsafe fn finish<L: Lanes>(p: &Place<'_>, act: Act) {
    let scale = p.tail.scale.map(<[f32]>::as_ptr);
    let bias = p.tail.bias.map(<[f32]>::as_ptr);
    let residual = p.tail.residual.map(<[f32]>::as_ptr);
    let mut column = 0;
    while column < p.columns {
        let n = L::N.min(p.columns - column);
        let filter = p.filter + column;
        // SAFETY: the caller's contract: `columns` filters from `filter` on have scale and bias,
        // and `pixels` lines of the residual and the result hold them.
        unsafe {
            let scale = scale.map(|p| load::<L>(p.add(filter), n));
            let bias = bias.map(|p| load::<L>(p.add(filter), n));
            for r in 0..p.pixels {
                let at = p.start + r * p.line + filter;
                let mut v = L::load(p.sums.add(r * p.width + column));
                v = match (scale, bias) {
                    (Some(s), Some(b)) => L::fma(v, s, b),
                    (Some(s), None) => L::mul(v, s),
                    (None, Some(b)) => L::add(v, b),
                    (None, None) => v,
                };
                if let Some(residual) = residual {
                    v = L::add(v, load::<L>(residual.add(at), n));
                }
                store::<L>(p.y.add(at), n, activate::<L>(act, v));
            }
        }
        column += L::N;
    }
}

/// `to[k] = from[k] * gate[k]`, `wide` vectors for each `k`.
///
/// # Safety
/// The unit is there; `gate.len() * wide` vectors are at `from` and `to`.
#[inline(always)]
unsafe fn gated<L: Lanes>(wide: usize, gate: &[f32], from: *const f32, to: *mut f32) {
    for (k, gate) in gate.iter().enumerate() {
        for v in k * wide..(k + 1) * wide {
            // SAFETY: the caller's contract.
            unsafe {
                let w = L::mul(L::load(from.add(v * L::N)), L::splat(*gate));
                L::store(to.add(v * L::N), w);
            }
        }
    }
}

/// The inner loops, compiled for a unit.
///
/// # Safety
/// As for [`Lanes`], and as the generic functions of this module say.
pub(super) trait Unit: Lanes {
    /// The most pixels of a tile of 1, 2 and 3 vectors.
    const PIXELS: [usize; 3];
    /// The most pixels of a tile of the crossed form with groups of 2, 4 and 8.
    const CROSSED: [usize; 3];

    unsafe fn product<const NV: usize, const MR: usize>(f: &Factors, p: &Place<'_>);
    unsafe fn crossed<const G: usize, const MR: usize>(f: &Factors, p: &Place<'_>);
    unsafe fn finish(p: &Place<'_>);
    unsafe fn gated(wide: usize, gate: &[f32], from: *const f32, to: *mut f32);
}

/// Calls `$f::<$a, n>` for the `n` that equals `$mr`.
macro_rules! pixels {
    ($mr:expr, $unit:ident :: $f:ident :: <$a:literal>, $f1:expr, $p1:expr, $($n:literal)*) => {
        match $mr {
            $($n => $unit::$f::<$a, $n>($f1, $p1),)*
            _ => unreachable!("a tile of {} pixels", $mr),
        }
    };
}

/// `pixels <= L::PIXELS[wide - 1]` pixels against `wide` vectors.
///
/// # Safety
/// As [`product`].
pub(super) unsafe fn tile<U: Unit>(wide: usize, pixels: usize, f: &Factors, p: &Place<'_>) {
    // SAFETY: the caller's contract.
    unsafe {
        match wide {
            1 => pixels!(pixels, U::product::<1>, f, p, 1 2 3 4 5 6 7 8 9 10 11 12 13 14),
            2 => pixels!(pixels, U::product::<2>, f, p, 1 2 3 4 5 6 7 8 9 10 11 12),
            _ => pixels!(pixels, U::product::<3>, f, p, 1 2 3 4 5 6 7 8),
        }
    }
}

/// `pixels <= L::CROSSED[bits - 1]` pixels of one vector of the crossed form.
///
/// # Safety
/// As [`crossed`].
pub(super) unsafe fn cross<U: Unit>(bits: u32, pixels: usize, f: &Factors, p: &Place<'_>) {
    // SAFETY: the caller's contract.
    unsafe {
        match bits {
            1 => pixels!(pixels, U::crossed::<2>, f, p, 1 2 3 4 5 6 7 8),
            2 => pixels!(pixels, U::crossed::<4>, f, p, 1 2 3 4 5 6),
            _ => pixels!(pixels, U::crossed::<8>, f, p, 1 2 3),
        }
    }
}

/// The functions of [`Unit`] for one unit.
macro_rules! compile {
    ($unit:ident, $pixels:expr, $crossed:expr $(, $feature:literal)?) => {
        impl Unit for $unit {
            const PIXELS: [usize; 3] = $pixels;
            const CROSSED: [usize; 3] = $crossed;

            $(#[target_feature(enable = $feature)])?
            unsafe fn product<const NV: usize, const MR: usize>(f: &Factors, p: &Place<'_>) {
                // SAFETY: the caller's contract.
                unsafe {
                    if MR <= $pixels[NV - 1] {
                        product::<$unit, NV, MR>(f, p)
                    }
                }
            }
            $(#[target_feature(enable = $feature)])?
            unsafe fn crossed<const G: usize, const MR: usize>(f: &Factors, p: &Place<'_>) {
                // SAFETY: the caller's contract.
                unsafe {
                    if MR <= $crossed[G.ilog2() as usize - 1] {
                        crossed::<$unit, G, MR>(f, p)
                    }
                }
            }
            $(#[target_feature(enable = $feature)])?
            unsafe fn finish(p: &Place<'_>) {
                // SAFETY: the caller's contract.
                unsafe { with_act!(p.tail.act, ACT => finish::<$unit>(p, ACT)) }
            }
            $(#[target_feature(enable = $feature)])?
            unsafe fn gated(wide: usize, gate: &[f32], from: *const f32, to: *mut f32) {
                // SAFETY: the caller's contract.
                unsafe { gated::<$unit>(wide, gate, from, to) }
            }
        }
    };
}

compile!(Portable, [8, 4, 2], [4, 2, 1]);
#[cfg(target_arch = "x86_64")]
compile!(Avx2, [12, 6, 4], [6, 3, 1], "avx2,fma");
#[cfg(target_arch = "x86_64")]
compile!(Avx512, [14, 12, 8], [8, 6, 3], "avx512f");

const _: () = assert!(MOST >= 14);
