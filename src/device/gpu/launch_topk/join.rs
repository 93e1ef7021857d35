//! The join, `kernels/neighbours/topk_wave.cu` and its twin for Hopper: a search of rows among themselves
//! that computes each pair once; and the waves that first passes are cut into.

use std::sync::Arc;

use super::{Asked, CAPACITY, JOIN, MOST_K, SETTLE, START, Side, THREADS, TILE, TopKTuning, sm90};
use crate::device::gpu::driver::{Launch, Stream};
use crate::device::gpu::launch::{Args, blocks};
use crate::device::gpu::memory::{Card, CardMem};
use crate::device::gpu::search_plan::SearchPlan;
use crate::error::Result;

/// Rows from which the join is used: half the product, but some more launches. A guess, until a card has
/// measured it.
pub(in crate::device::gpu) const LEAST_JOINED: usize = 16_384;
/// Halves of a row's buffer, of [`CAPACITY`] each: `PLACES` of the kernel.
pub(in crate::device::gpu) const HALVES: usize = 2;
/// Three stages of two tiles of 128 lines of 40 halves; 160 staged candidates of 12 bytes for each of 8
/// warps.
const SHARED: usize = 3 * 2 * 128 * 40 * 2 + 8 * 160 * 12;
/// Thresholds are read by whole tiles of this many: the larger of the two kernels'.
const PLACES: usize = 256;
const _: () = assert!(PLACES.is_multiple_of(TILE) && PLACES.is_multiple_of(sm90::WIDTH));
const _: () = assert!(
    HALVES * CAPACITY >= sm90::WIDTH + MOST_K,
    "the first wave fits"
);
/// Blocks for each multiprocessor that a wave is cut into, so that the last of them leave little idle.
const ROUNDS: usize = 16;

/// Whether a search is done by the join.
pub(in crate::device::gpu) fn pays(
    rows: usize,
    gallery: Option<usize>,
    k: usize,
    tuning: &TopKTuning,
) -> bool {
    let asked = tuning.join.unwrap_or(rows >= LEAST_JOINED);
    gallery.is_none() && k <= MOST_K && rows > 0 && asked
}

/// Places of the thresholds of so many rows.
pub(in crate::device::gpu) fn places(rows: usize) -> usize {
    rows.next_multiple_of(PLACES)
}

/// A step that spreads rows: row p * step modulo `rows` is at place p, so that a run of rows lies at
/// places a golden section of all apart, evenly however long it is.
pub(in crate::device::gpu) fn spread(rows: usize) -> usize {
    let n = rows as i64;
    let apart = (rows as f64 * 0.618_033_988_749_895).round() as i64;
    let suits = (apart.max(1)..n).find_map(|a| inverse(a, n));
    suits.unwrap_or(1) as usize
}

/// The number that times `a` is 1 modulo `n`, where there is one.
fn inverse(a: i64, n: i64) -> Option<i64> {
    let (mut r, mut next_r, mut t, mut next_t) = (n, a, 0i64, 1i64);
    while next_r != 0 {
        let q = r / next_r;
        (r, next_r) = (next_r, r - q * next_r);
        (t, next_t) = (next_t, t - q * next_t);
    }
    (r == 1).then(|| t.rem_euclid(n))
}

/// How many others a wave may add for each that a row has seen: k of them are expected to pass for each
/// time as many, and half of the buffer's room is left to chance and near-ties.
fn growth(k: usize, capacity: usize) -> f64 {
    (capacity.saturating_sub(k) as f64 / (2 * k) as f64).min(2.0)
}

/// First and last number of squares of each wave of a join; see the kernel.
pub(in crate::device::gpu) fn waves(rows: usize, square: usize, k: usize) -> Vec<[usize; 2]> {
    let (end, grow) = (rows.div_ceil(square) / 2 + 1, growth(k, HALVES * CAPACITY));
    let mut waves = vec![[0, 1]];
    let mut last = 1;
    while last < end {
        // Both ways round, and the square itself.
        let seen = 2 * last - 1;
        let more = ((grow * seen as f64 / 2.0) as usize).max(1);
        waves.push([last, (last + more).min(end)]);
        last = (last + more).min(end);
    }
    waves
}

/// First and last tile of each wave over a gallery of so many tiles.
pub(in crate::device::gpu) fn gallery_waves(
    tiles: usize,
    width: usize,
    capacity: usize,
    k: usize,
) -> Vec<[usize; 2]> {
    let grow = growth(k, capacity);
    let mut waves = Vec::new();
    let mut last = 0;
    while last < tiles {
        let more = match last {
            0 => capacity / width,
            seen => (grow * seen as f64) as usize,
        };
        waves.push([last, (last + more.max(1)).min(tiles)]);
        last = (last + more.max(1)).min(tiles);
    }
    waves
}

/// Parts that the tiles of a wave are cut into.
pub(in crate::device::gpu) fn parts(
    card: &Card,
    row_tiles: usize,
    wave: [usize; 2],
    asked: Option<usize>,
) -> usize {
    let wanted = (card.driver.info().multiprocessors as usize * ROUNDS).div_ceil(row_tiles.max(1));
    asked.unwrap_or(wanted).clamp(1, wave[1] - wave[0])
}

/// Queues what sets thresholds and counts before the first wave.
pub(in crate::device::gpu) fn start(
    card: &Card,
    least: &CardMem,
    counts: u64,
    rows: usize,
    floor: f32,
    stream: Stream,
) -> Result<()> {
    let args = Args::default()
        .address(least.at())
        .address(counts)
        .int(rows)?
        .int(places(rows))?
        .float(floor);
    let how = Launch::linear(blocks(places(rows).div_ceil(THREADS))?, THREADS as u32, 0);
    // SAFETY: the arguments are those of topk_wave_start: a threshold for each place, a count a row.
    unsafe { card.launch(START, &how, args, stream) }
}

/// Queues the first pass of all rows of `side` among themselves: what is left of it is `buffers`,
/// [row][half][[`CAPACITY`]] and [row][half], as from `topk_scan`.
pub(super) fn run(
    card: &Arc<Card>,
    side: &Side,
    asked: &Asked,
    plan: &SearchPlan,
    [candidates, halves]: [&CardMem; 2],
    chunks: Option<usize>,
    stream: Stream,
) -> Result<()> {
    let rows = side.rows;
    let hopper = sm90::has_waves(card);
    let square = if hopper { sm90::WIDTH } else { TILE };
    let [least, counts] = ["thresholds", "put"].map(|name| plan.memory(card, name));
    let (least, counts) = (least?, counts?);
    start(card, &least, counts.at(), rows, asked.floor(), stream)?;
    for wave in waves(rows, square, asked.k) {
        let parts = parts(card, rows.div_ceil(TILE), wave, chunks);
        if hopper {
            let ring = sm90::Wave {
                sides: [side, side],
                least: [least.at(), least.at()],
                candidates: candidates.at(),
                counts: counts.at(),
                queries: (0, rows),
                capacity: HALVES * CAPACITY,
                squares: rows.div_ceil(square),
            };
            ring.queue(card, asked.depth, wave, parts, stream)?;
        } else {
            let args = Args::default()
                .address(side.unit.at())
                .address(least.at())
                .address(candidates.at())
                .address(counts.at())
                .int(rows)?
                .int(asked.depth)?
                .int(side.step)?
                .int(HALVES * CAPACITY)?
                .int(wave[0])?
                .int(wave[1])?
                .int(parts)?;
            let tiles = blocks(rows.div_ceil(TILE) * parts)?;
            let how = Launch::linear(tiles, THREADS as u32, SHARED);
            // SAFETY: the arguments are those of topk_join: unit rows (memory and lines are aligned to 16
            // bytes), a threshold for each place of whole tiles, and a buffer and a count for every row.
            unsafe { card.launch(JOIN, &how, args, stream) }?;
        }
        let args = Args::default()
            .address(candidates.at())
            .address(counts.at())
            .address(halves.at())
            .address(least.at())
            .int(rows)?
            .int(side.step)?
            .int(asked.k)?
            .float(asked.slack())
            .float(asked.floor());
        let warps = blocks(rows.div_ceil(THREADS / 32))?;
        let how = Launch::linear(warps, THREADS as u32, 0);
        // SAFETY: the arguments are those of topk_wave_settle, on the same memory.
        unsafe { card.launch(SETTLE, &how, args, stream) }?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waves_cover_every_square_once_and_few_are_needed() {
        for rows in [1, 128, 129, 256, 257, 511, 513, 70_000, 1_000_000] {
            for square in [TILE, sm90::WIDTH] {
                let waves = waves(rows, square, 50);
                assert_eq!(waves[0], [0, 1]);
                assert!(
                    waves
                        .windows(2)
                        .all(|w| w[0][1] == w[1][0] && w[1][0] < w[1][1])
                );
                let end = rows.div_ceil(square) / 2 + 1;
                assert_eq!(waves.last().unwrap()[1], end, "{rows} {square}");
                assert!(waves.len() <= 10, "{rows} {square}: {waves:?}");
            }
        }
        let large = gallery_waves(274, 256, 3328, 1024);
        assert_eq!(large[0], [0, 13]);
        assert_eq!(large.last().unwrap()[1], 274);
        assert!(large.len() <= 6, "{large:?}");
        assert_eq!(gallery_waves(1, 256, 512, 65), [[0, 1]]);
    }

    #[test]
    fn every_row_has_one_place_and_runs_of_rows_are_spread() {
        for rows in [1, 2, 3, 4, 6, 30, 127, 128, 1000, 70_000] {
            let step = spread(rows);
            let mut place = vec![usize::MAX; rows];
            for p in 0..rows {
                place[p * step % rows] = p;
            }
            assert!(place.iter().all(|&p| p < rows), "{rows}: {step}");
            if rows < 1000 {
                continue;
            }
            // Of 100 rows that stand together no tenth of the places has more than a few above its share.
            for run in place.chunks_exact(100) {
                let mut tenths = [0; 10];
                run.iter().for_each(|&p| tenths[p * 10 / rows] += 1);
                assert!(tenths.iter().all(|&t| t <= 14), "{rows}: {tenths:?}");
            }
        }
    }
}
