//! 16-bit floats and scalar intrinsics, against the `half` crate and f64.

use doppel::device::gpu::driver::Launch;
use half::{bf16, f16};

use crate::card::{Dice, block, card};

/// Equal bits, or NaN both: which NaN is the card's own affair.
fn same(got: f32, expected: f32) -> bool {
    got.to_bits() == expected.to_bits() || (got.is_nan() && expected.is_nan())
}

#[test]
fn every_16_bit_float_widens_exactly() {
    let Some(card) = card() else { return };
    let (halves, bfloats) = (card.room::<f32>(1 << 16), card.room::<f32>(1 << 16));
    let args = [halves.address, bfloats.address];
    card.run("selftest_from_16_bits", Launch::linear(256, 256, 0), &args)
        .unwrap();
    let (halves, bfloats) = (halves.get(), bfloats.get());
    for bits in 0..=u16::MAX {
        let i = usize::from(bits);
        assert!(
            same(halves[i], f16::from_bits(bits).to_f32()),
            "{bits:04x}: {}",
            halves[i]
        );
        assert!(
            same(bfloats[i], bf16::from_bits(bits).to_f32()),
            "{bits:04x}: {}",
            bfloats[i]
        );
    }
}

#[test]
fn narrowing_rounds_to_nearest_and_ties_to_even() {
    let Some(card) = card() else { return };
    let mut x = Vec::new();
    // Around every 16-bit float: itself, the midpoint to the next, and the f32 on either side.
    for bits in (0..=u16::MAX).step_by(3) {
        for (here, next) in [
            (
                f16::from_bits(bits).to_f32(),
                f16::from_bits(bits.wrapping_add(1)).to_f32(),
            ),
            (
                bf16::from_bits(bits).to_f32(),
                bf16::from_bits(bits.wrapping_add(1)).to_f32(),
            ),
        ] {
            let middle = ((f64::from(here) + f64::from(next)) / 2.0) as f32;
            for v in [here, middle] {
                x.extend([v, f32::from_bits(v.to_bits() ^ 1), -v]);
            }
        }
    }
    let mut dice = Dice(5);
    x.extend((0..20_000).map(|_| f32::from_bits(dice.next() as u32)));
    x.extend([
        65_519.996,
        65_520.0,
        -65_520.0,
        f32::MAX,
        f32::INFINITY,
        f32::NAN,
        f32::from_bits(1),
    ]);
    let n = x.len();
    let from = card.put(&x);
    let (halves, bfloats) = (card.room::<u16>(n), card.room::<u16>(n));
    let args = [from.address, halves.address, bfloats.address, n as u64];
    card.run(
        "selftest_to_16_bits",
        Launch::linear(n.div_ceil(256) as u32, 256, 0),
        &args,
    )
    .unwrap();
    for ((v, half), bfloat) in x.iter().zip(halves.get()).zip(bfloats.get()) {
        let (half, bfloat) = (f16::from_bits(half), bf16::from_bits(bfloat));
        assert!(
            same(half.to_f32(), f16::from_f32(*v).to_f32()),
            "{v:e}: {half}"
        );
        assert!(
            same(bfloat.to_f32(), bf16::from_f32(*v).to_f32()),
            "{v:e}: {bfloat}"
        );
    }
}

#[test]
fn scalar_intrinsics_are_near_their_f64_values() {
    let Some(card) = card() else { return };
    let x = [1e-30f32, 0.25, 1.0, 3.5, 17.0, 88.0, 1e-3];
    let (from, out) = (card.put(&x), card.room::<[f32; 4]>(x.len()));
    card.run(
        "selftest_scalars",
        block(32, 0),
        &[from.address, out.address, x.len() as u64],
    )
    .unwrap();
    for (v, [exp, root, fma, ones]) in x.iter().zip(out.get()) {
        let wide = f64::from(*v);
        let near = |got: f32, expected: f64| (f64::from(got) / expected - 1.0).abs() < 1e-6;
        assert!(near(exp, wide.exp()), "exp {v}: {exp}");
        assert!(near(root, 1.0 / wide.sqrt()), "rsqrt {v}: {root}");
        assert!(near(fma, wide * wide + 1.0), "fma {v}: {fma}");
        assert_eq!(ones as u32, v.to_bits().count_ones());
    }
}

/// Exact sums, as integers in units of 2^-1100: what no rounding can get wrong.
mod exact {
    const LIMBS: usize = 64;

    /// A finite number is `mantissa * 2^exponent`.
    fn split(v: f64) -> (i128, i32) {
        let bits = v.to_bits();
        let (e, m) = (
            (bits >> 52 & 2047) as i32,
            i128::from(bits & ((1 << 52) - 1)),
        );
        let (m, e) = if e == 0 {
            (m, -1074)
        } else {
            (m | 1 << 52, e - 1075)
        };
        (if v < 0.0 { -m } else { m }, e)
    }

    /// The sign of a sum of numbers below 2^300.
    fn sign(terms: [f64; 4]) -> i32 {
        let mut limbs = [0i64; LIMBS];
        for (m, e) in terms.map(split) {
            let at = (e + 1100) as usize;
            let wide = m << (at % 32);
            let mask = 0xffff_ffff;
            limbs[at / 32] += (wide & mask) as i64;
            limbs[at / 32 + 1] += (wide >> 32 & mask) as i64;
            limbs[at / 32 + 2] += (wide >> 64) as i64;
        }
        for i in 0..LIMBS - 1 {
            limbs[i + 1] += limbs[i] >> 32;
            limbs[i] &= 0xffff_ffff;
        }
        match limbs[LIMBS - 1] {
            ..0 => -1,
            _ => i32::from(limbs.iter().any(|l| *l != 0)),
        }
    }

    /// Whether `got`, whose last bit is `odd`, is the nearest to `a + b` among it and its neighbours,
    /// ties to even.
    pub fn is_nearest(a: f64, b: f64, got: f64, [below, above]: [f64; 2], odd: bool) -> bool {
        // On which side of the middle between `got` and a neighbour the sum is.
        let side = |neighbour: f64| sign([2.0 * a, 2.0 * b, -got, -neighbour]);
        let (low, high) = (side(below), side(above));
        (low > 0 || (low == 0 && !odd)) && (high < 0 || (high == 0 && !odd))
    }
}

/// Neighbours of a 16-bit float by its bits.
fn neighbours(bits: u16, value: impl Fn(u16) -> f64) -> [f64; 2] {
    let step = |up: bool| {
        let negative = bits & 0x8000 != 0;
        match (bits & 0x7fff, negative == up) {
            (0, _) => value(if up { 1 } else { 0x8001 }),
            (_, true) => value(bits - 1),
            (_, false) => value(bits + 1),
        }
    };
    [step(false), step(true)]
}

fn check_arithmetic(symbol: &'static str, value: impl Fn(u16) -> f64, seed: u64) {
    let Some(card) = card() else { return };
    let mut dice = Dice(seed);
    let n = 40_000usize;
    let finite = |dice: &mut Dice| loop {
        let bits = dice.next() as u16;
        if value(bits).is_finite() {
            return bits;
        }
    };
    let mut columns: [Vec<u16>; 3] = Default::default();
    for i in 0..n {
        let (a, b, c) = (finite(&mut dice), finite(&mut dice), finite(&mut dice));
        columns[0].push(a);
        // Near in size to the first, or any; the third near the product's.
        columns[1].push(if i % 3 == 0 {
            (a ^ b & 0x83ff) & 0xfbff
        } else {
            b
        });
        columns[2].push(c);
    }
    let [x, y, z] = columns.each_ref().map(|c| card.put(c));
    let (pairs, singles) = (card.room::<u16>(6 * n), card.room::<u16>(3 * n));
    let args = [
        x.address,
        y.address,
        z.address,
        pairs.address,
        singles.address,
        n as u64,
    ];
    card.run(
        symbol,
        Launch::linear(n.div_ceil(256) as u32, 256, 0),
        &args,
    )
    .unwrap();
    let (pairs, singles) = (pairs.get(), singles.get());
    let overflow = value(neighbour_of_infinity(&value));
    for i in 0..n {
        let [a, b, c] = columns.each_ref().map(|c| value(c[i]));
        for (k, terms) in [[a, b], [a, -b], [a * b, 0.0], [a * b, c]]
            .into_iter()
            .enumerate()
        {
            let got = pairs[k * n + i];
            let place = format!("{symbol} {k} of {a:e} {b:e} {c:e}: {:e}", value(got));
            if let Some(single) = [Some(0), None, Some(1), Some(2)][k] {
                assert_eq!(singles[single * n + i], got, "{place}");
            }
            let sum = terms[0] + terms[1];
            if !value(got).is_finite() {
                assert!(
                    sum.abs() > overflow && (sum < 0.0) == (got & 0x8000 != 0),
                    "{place}"
                );
                continue;
            }
            let mut around = neighbours(got, &value);
            for end in &mut around {
                // One step beyond the largest, where infinity begins half-way.
                if end.is_infinite() {
                    *end = 2.0 * value(got)
                        - neighbours(got, &value)
                            .into_iter()
                            .find(|v| v.is_finite())
                            .unwrap_or(0.0);
                }
            }
            let right = exact::is_nearest(terms[0], terms[1], value(got), around, got & 1 != 0);
            assert!(right, "{place}");
        }
        assert_eq!(value(pairs[4 * n + i]), a.max(b));
        assert_eq!(value(pairs[5 * n + i]), a.min(b));
    }
}

/// The bits of the largest finite number.
fn neighbour_of_infinity(value: impl Fn(u16) -> f64) -> u16 {
    (0..0x7fffu16)
        .rev()
        .find(|b| value(*b).is_finite())
        .unwrap_or(0)
}

#[test]
fn sixteen_bit_arithmetic_rounds_once() {
    check_arithmetic(
        "selftest_half_arithmetic",
        |b| f16::from_bits(b).to_f64(),
        89,
    );
    check_arithmetic(
        "selftest_bfloat_arithmetic",
        |b| bf16::from_bits(b).to_f64(),
        97,
    );
}
