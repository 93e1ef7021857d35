//! Bugs on purpose in how kernels use Hopper's primitives: each must be caught in some schedule of some
//! library, and sound kernels in none.

use doppel::device::gpu::driver::{Launch, Swizzle};
use half::f16;

use crate::card::{Card, Dice, block, hopper};
use crate::planted::{Case, Outcome, X, bug, check_table, sound};

/// Columns: plain, asan, tsan.
const CASES: &[Case] = &[
    sound("planted_tma", product),
    bug("planted_tma_no_full_wait", product, [X, X, X]),
    bug("planted_tma_wrong_parity", product, [X, X, X]),
    bug("planted_tma_released_early", product, [X, X, X]),
    bug("planted_tma_wait_off_by_one", product, [X, X, X]),
    bug("planted_tma_few_bytes", product, [X, X, X]),
    bug("planted_tma_many_bytes", product, [X, X, X]),
    bug("planted_tma_wrong_swizzle", product, [X, X, X]),
    bug("planted_tma_no_matrix_fence", product, [X, X, X]),
    bug("planted_tma_no_store_fence", product, [X, X, X]),
    bug("planted_tma_store_not_read", product, [X, X, X]),
    bug("planted_tma_part_of_group", product, [X, X, X]),
    bug("planted_tma_not_shown", product, [X, X, X]),
    bug("planted_tma_no_init", product, [X, X, X]),
    bug("planted_tma_overwritten", product, [X, X, X]),
    sound("planted_cluster", cluster),
    bug("planted_cluster_ends_early", cluster, [X, X, X]),
    bug("planted_cluster_no_sync", cluster, [X, X, X]),
    bug("planted_cluster_two_arrivals", cluster, [X, X, X]),
    bug("planted_cluster_wrong_block", cluster, [X, X, X]),
    bug("planted_mbarrier_over_arrival", alone, [X, X, X]),
    bug("planted_mbarrier_no_barrier", with_output, [X, X, X]),
    bug("planted_mbarrier_too_few", alone, [X, X, X]),
    bug("planted_registers_too_many", with_output, [X, X, X]),
    bug("planted_registers_part", with_output, [X, X, X]),
];

/// Six stages of depth, so that the ring of two is gone round three times.
fn product(card: &Card, kernel: &'static str) -> Outcome {
    let (m, n, k) = (64, 128, 6 * 64);
    let mut dice = Dice(71);
    let mut matrix =
        |rows: usize| -> Vec<f16> { (0..rows * k).map(|_| f16::from_f32(dice.float())).collect() };
    let (a, b) = (matrix(m), matrix(n));
    let (left, right) = (card.put(&a), card.put(&b));
    let out = card.room::<f16>(m * n);
    let maps = [
        (left.address, [m, k, k]),
        (right.address, [n, k, k]),
        (out.address, [m, n, n]),
    ]
    .map(|(at, sizes)| card.matrix_map(at, sizes, [64, 64], Swizzle::B128));
    let how = Launch {
        grid: [2, 1, 1],
        block: [256, 1, 1],
        shared: 5 * 8192 + 1024,
        cluster: [1, 1, 1],
    };
    Outcome::of(card.run_mapped(kernel, how, &maps, &[k as u64]), || {
        let entry = |i: usize| -> f64 {
            let (r, c) = (i / n * k, i % n * k);
            (0..k).map(|x| a[r + x].to_f64() * b[c + x].to_f64()).sum()
        };
        let near = |i: usize, v: f16| (v.to_f64() - entry(i)).abs() < 0.02;
        out.get().into_iter().enumerate().all(|(i, v)| near(i, v))
    })
}

fn cluster(card: &Card, kernel: &'static str) -> Outcome {
    let x = Dice(73).floats(8 * 64);
    let (from, out) = (card.put(&x), card.room::<f32>(8 * 64));
    let how = Launch {
        cluster: [4, 1, 1],
        ..Launch::linear(8, 64, 256)
    };
    Outcome::of(card.run(kernel, how, &[from.address, out.address]), || {
        let next = |i: usize| i / 256 * 256 + (i + 64) % 256;
        (0..512).all(|i| out.get()[i] == x[next(i)])
    })
}

fn alone(card: &Card, kernel: &'static str) -> Outcome {
    Outcome::of(card.run(kernel, block(64, 64), &[]), || true)
}

fn with_output(card: &Card, kernel: &'static str) -> Outcome {
    let out = card.room::<f32>(384);
    let launched = card.run(kernel, block(384, 64), &[out.address]);
    Outcome::of(launched, || out.get() == [1.0; 384])
}

#[test]
fn every_planted_bug_of_hopper_is_caught_and_no_sound_kernel_is() {
    let Some(card) = hopper() else { return };
    check_table(&card, CASES);
}
