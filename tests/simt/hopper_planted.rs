//! Bugs on purpose in how kernels use Hopper's primitives: each must be caught in some schedule of some
//! library, and sound kernels in none.

use doppel::device::gpu::driver::{Launch, Swizzle};
use doppel::device::gpu::driver_simt::Schedule;
use half::f16;

use crate::card::{Card, Dice, block, hopper};
use crate::planted::{Case, O, Outcome, X, bug, check_table, sound};

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
    sound("planted_tile", tile),
    bug("planted_tile_no_fence", tile, [X, X, X]),
    bug("planted_tile_no_barrier", tile, [O, O, X]),
    bug("planted_tile_read_early", tile, [X, X, X]),
    bug("planted_tile_written_in_flight", tile, [X, X, X]),
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

fn tile(card: &Card, kernel: &'static str) -> Outcome {
    let mut dice = Dice(79);
    let values: Vec<f16> = (0..72 * 16).map(|_| f16::from_f32(dice.float())).collect();
    let (from, out) = (card.put(&values), card.room::<f32>(128 * 4));
    let args = [from.address, out.address];
    Outcome::of(card.run(kernel, block(128, 72 * 32), &args), || {
        // Pieces of 8 rows x 8 values: two along k, then the next eight rows.
        let value = |row: usize, k: usize| {
            values[row / 8 * 128 + k / 8 * 64 + row % 8 * 8 + k % 8].to_f64()
        };
        let near = |(at, got): (usize, f32)| {
            let (thread, i) = (at / 4, at % 4);
            let row = thread / 32 * 16 + thread % 32 / 4 + i / 2 * 8;
            let column = 64 + thread % 4 * 2 + i % 2;
            let sum: f64 = (0..16).map(|k| value(row, k) * value(column, k)).sum();
            (f64::from(got) - sum).abs() < 1e-5
        };
        out.get().into_iter().enumerate().all(near)
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

#[test]
fn messages_say_what_is_wrong_and_where() {
    let Some(card) = hopper() else { return };
    // Which block is named first depends on their order.
    card.driver.set_schedule(Schedule::default());
    let said = |run: fn(&Card, &'static str) -> Outcome, kernel| match run(&card, kernel) {
        Outcome::Refused(message) => message,
        other => format!("{other:?}"),
    };
    let cases: [(String, &str); 6] = [
        (
            said(tile, "planted_tile_no_fence"),
            "have written since the last fence_async_shared: row 0 of A, at byte 0",
        ),
        (
            said(tile, "planted_tile_written_in_flight"),
            "accumulator 0 was written while wgmma was under way",
        ),
        (
            said(cluster, "planted_cluster_ends_early"),
            "the shared memory of block (0,0,0), which has ended",
        ),
        (said(product, "planted_tma_overwritten"), "was overwritten"),
        (
            said(product, "planted_tma_part_of_group"),
            "for a wgmma that 96 of 128 threads have brought",
        ),
        (
            said(with_output, "planted_registers_too_many"),
            "from 168 to 240 registers (128 of 128 threads ask, 7168 registers",
        ),
    ];
    for (said, expected) in cases {
        // Under a sanitizer another fault may come first.
        let other = card.driver.build() != "plain" && said.contains("Sanitizer");
        assert!(other || said.contains(expected), "{said}, not {expected}");
    }
}
