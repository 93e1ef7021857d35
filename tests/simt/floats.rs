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
