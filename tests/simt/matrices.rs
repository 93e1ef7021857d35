//! ldmatrix and mma.sync against the PTX ISA's description of their fragments, element by element.

use half::{bf16, f16};

use crate::card::{Card, Dice, block, card, schedules};

/// The row and column of element `i` of a lane's fragment of A, 16 x 16 (PTX ISA, m16n8k16).
fn place_in_a(lane: usize, i: usize) -> (usize, usize) {
    let (group, thread) = (lane >> 2, lane % 4);
    let row = if (0..2).contains(&i) || (4..6).contains(&i) {
        group
    } else {
        group + 8
    };
    let column = thread * 2 + (i & 1) + if i >= 4 { 8 } else { 0 };
    (row, column)
}

/// Of B, 16 x 8.
fn place_in_b(lane: usize, i: usize) -> (usize, usize) {
    let (group, thread) = (lane >> 2, lane % 4);
    (thread * 2 + (i & 1) + if i >= 2 { 8 } else { 0 }, group)
}

/// Of C and D, 16 x 8.
fn place_in_c(lane: usize, i: usize) -> (usize, usize) {
    let (group, thread) = (lane >> 2, lane % 4);
    (if i < 2 { group } else { group + 8 }, thread * 2 + (i & 1))
}

struct Product {
    a: [[f32; 16]; 16],
    b: [[f32; 8]; 16],
    c: [[f32; 8]; 16],
}

/// Runs one mma.sync; elements become 16 bits by `bits`.
fn multiply(card: &Card, p: &Product, bfloat: bool, bits: impl Fn(f32) -> u16) -> [[f32; 8]; 16] {
    let (mut a, mut b, mut d) = (Vec::new(), Vec::new(), Vec::new());
    for lane in 0..32 {
        a.extend(
            (0..8)
                .map(|i| place_in_a(lane, i))
                .map(|(r, c)| bits(p.a[r][c])),
        );
        b.extend(
            (0..4)
                .map(|i| place_in_b(lane, i))
                .map(|(r, c)| bits(p.b[r][c])),
        );
        d.extend((0..4).map(|i| place_in_c(lane, i)).map(|(r, c)| p.c[r][c]));
    }
    let (a, b, d) = (card.put(&a), card.put(&b), card.put(&d));
    let args = [bfloat.into(), a.address, b.address, d.address];
    card.run("selftest_mma", block(32, 0), &args).unwrap();
    let got = d.get();
    let mut out = [[f32::NAN; 8]; 16];
    for lane in 0..32 {
        for i in 0..4 {
            let (r, c) = place_in_c(lane, i);
            out[r][c] = got[lane * 4 + i];
        }
    }
    out
}

fn check(card: &Card, p: &Product, bfloat: bool) {
    let half = |v: f32| f16::from_f32(v);
    let brain = |v: f32| bf16::from_f32(v);
    let bits = |v| {
        if bfloat {
            brain(v).to_bits()
        } else {
            half(v).to_bits()
        }
    };
    let value = |v| {
        if bfloat {
            brain(v).to_f64()
        } else {
            half(v).to_f64()
        }
    };
    let got = multiply(card, p, bfloat, bits);
    for (r, row) in got.iter().enumerate() {
        for (c, got) in row.iter().enumerate() {
            let terms = (0..16).map(|k| value(p.a[r][k]) * value(p.b[k][c]));
            let (sum, size) = terms.fold((0.0, 0.0), |(s, z), t| (s + t, z + t.abs()));
            let (sum, size) = (
                sum + f64::from(p.c[r][c]),
                size + f64::from(p.c[r][c].abs()),
            );
            // Sixteen additions of f32, each within half a unit in the last place.
            let error = (f64::from(*got) - sum).abs();
            assert!(
                error <= 17.0 * f64::from(f32::EPSILON) * size,
                "({r},{c}): {error}"
            );
        }
    }
}

#[test]
fn products_of_fragments_equal_f64() {
    let Some(card) = card() else { return };
    let mut dice = Dice(17);
    for schedule in schedules(&card) {
        card.driver.set_schedule(schedule);
        for bfloat in [false, true] {
            let mut p = Product {
                a: [[0.0; 16]; 16],
                b: [[0.0; 8]; 16],
                c: [[0.0; 8]; 16],
            };
            // Distinct small integers first: every sum is exact, and every element has its place.
            for r in 0..16 {
                (0..16).for_each(|k| p.a[r][k] = (r * 16 + k) as f32 % 128.0);
                (0..8).for_each(|c| p.b[r][c] = (r * 8 + c) as f32);
                (0..8).for_each(|c| p.c[r][c] = (r * 1000 + c) as f32);
            }
            check(&card, &p, bfloat);
            p.a.as_flattened_mut()
                .iter_mut()
                .for_each(|v| *v = dice.float() * 30.0);
            p.b.as_flattened_mut()
                .iter_mut()
                .for_each(|v| *v = dice.float());
            p.c.as_flattened_mut()
                .iter_mut()
                .for_each(|v| *v = dice.float());
            check(&card, &p, bfloat);
        }
    }
}

#[test]
fn accumulators_keep_f32_where_16_bits_would_not_hold() {
    let Some(card) = card() else { return };
    // 16 products of 60000 x 60000: far over f16's largest, exact in f32's range.
    let p = Product {
        a: [[60_000.0; 16]; 16],
        b: [[60_000.0; 8]; 16],
        c: [[1.0; 8]; 16],
    };
    check(&card, &p, false);
    let tiny = Product {
        a: [[6e-8; 16]; 16],
        b: [[6e-8; 8]; 16],
        c: [[0.0; 8]; 16],
    };
    check(&card, &tiny, false);
}

#[test]
fn matrices_load_by_rows_and_by_columns() {
    let Some(card) = card() else { return };
    // Element (m, r, c) is its own number.
    let matrices: Vec<u16> = (0..4 * 64).collect();
    let from = card.put(&matrices);
    for schedule in schedules(&card) {
        card.driver.set_schedule(schedule);
        for count in [1usize, 2, 4] {
            for transposed in [false, true] {
                let out = card.room::<[u16; 2]>(32 * count);
                let args = [count as u64, transposed.into(), from.address, out.address];
                card.run("selftest_ldmatrix", block(32, 512), &args)
                    .unwrap();
                for (i, got) in out.get().into_iter().enumerate() {
                    let (lane, m) = (i / count, i % count);
                    // "Thread 4r + t holds elements 2t and 2t + 1 of row r"; transposed, of column r.
                    let (major, minor) = (lane / 4, lane % 4 * 2);
                    let element = |e: usize| {
                        let (r, c) = if transposed { (e, major) } else { (major, e) };
                        matrices[m * 64 + r * 8 + c]
                    };
                    assert_eq!(
                        got,
                        [element(minor), element(minor + 1)],
                        "x{count} lane {lane}"
                    );
                }
            }
        }
    }
}
