//! The dense search for more neighbours than `launch_topk` finds: `kernels/neighbours/topk_large.cu`;
//! and what any dense search takes.

use std::sync::Arc;

use super::driver::{Kernel, Launch, Stream};
use super::launch::{Args, blocks};
use super::launch_topk::{
    self, Asked, CAPACITY, DEPTH, PREPARE, Side, THREADS, TILE, TopKTuning, kernel,
};
use super::memory::Card;
use super::search_plan::{Found, SearchPlan, slab};
use crate::error::Result;
use crate::lists::Lists;

const SCAN: Kernel = kernel("topk_scan_large");
const RESCORE: Kernel = kernel("topk_rescore_large");
const BRUTE: Kernel = kernel("topk_brute_large");
pub(super) const KERNELS: [Kernel; 4] = [PREPARE, SCAN, RESCORE, BRUTE];

/// Words of shared memory of a radix select: `radix::WORDS`.
pub(super) const RADIX_WORDS: usize = 2048 + 16;
/// Three stages of two tiles of 128 lines of 40 halves; a threshold and a count for each of 128 rows.
const SCAN_SHARED: usize = 3 * 2 * 128 * 40 * 2 + 128 * 8 + 4 * RADIX_WORDS;
/// Rows that are scored exactly: `ROOM` of the kernels.
pub(super) const ROOM: usize = 4096;
const LIST_SHARED: usize = ROOM * 12 + 4 * RADIX_WORDS;
/// The most bytes of candidates of a slab.
const SLAB_BYTES: usize = 512 << 20;
/// More parts of a gallery than this cost more memory than they gain.
const MOST_CHUNKS: usize = 4;

/// Candidates that a query's buffer holds: pruned to k and what near-ties add, it is filled by two
/// further tiles at least.
pub(super) fn capacity(k: usize) -> usize {
    (3 * k).next_multiple_of(256) + 256
}

/// What a dense search takes on a card with so many multiprocessors: `queries` rows of `dims` values,
/// against `gallery` others or among themselves.
pub fn plan_dense(
    queries: usize,
    gallery: Option<usize>,
    dims: usize,
    k: usize,
    multiprocessors: u32,
    tuning: &TopKTuning,
) -> SearchPlan {
    let others = gallery.unwrap_or(queries);
    let large = k > launch_topk::MOST_K;
    let capacity = if large { capacity(k) } else { CAPACITY };
    let chunks = |slab: usize| {
        let (rows, columns) = (slab.div_ceil(TILE), others.div_ceil(TILE).max(1));
        let chunks = launch_topk::chunks(rows.max(1), columns, multiprocessors, tuning.chunks);
        match tuning.chunks {
            None if large => chunks.min(MOST_CHUNKS),
            _ => chunks,
        }
    };
    let wanted = tuning.slab.clamp(1, queries.max(1)).next_multiple_of(TILE);
    let (slab, chunks) = match large {
        true => {
            let slab = slab(
                queries,
                wanted,
                capacity * 8 + Found::bytes(k),
                SLAB_BYTES,
                TILE,
            );
            // Parts share the memory that fewer queries leave.
            let spare = SLAB_BYTES / (slab * (capacity * 8 + Found::bytes(k)));
            (slab, chunks(slab).clamp(1, spare.max(1)))
        }
        false => (wanted, chunks(wanted)),
    };
    let depth = dims.next_multiple_of(DEPTH);
    let rows = queries + gallery.unwrap_or(0);
    let mut buffers = vec![
        ("embeddings", rows * dims * 4),
        ("unit rows", rows * depth * 2),
        ("norms", rows * 8),
        ("candidates", slab * chunks * capacity * 8),
        ("counts", slab * chunks * 4),
        ("flags", slab * 4),
    ];
    buffers.extend(Found::buffers(slab, k));
    SearchPlan {
        rows: queries,
        slab,
        chunks,
        launches: [1 + usize::from(gallery.is_some()), 3],
        buffers,
    }
}

/// The lists of all rows of `left` among those of `right`, which is `left` unless `apart`.
pub(super) fn search(
    card: &Arc<Card>,
    left: &Side,
    right: &Side,
    apart: bool,
    asked: &Asked,
    tuning: &TopKTuning,
    stream: Stream,
) -> Result<Lists> {
    let multiprocessors = card.driver.info().multiprocessors;
    let others = apart.then_some(right.rows);
    let plan = plan_dense(
        left.rows,
        others,
        asked.dims,
        asked.k,
        multiprocessors,
        tuning,
    );
    let candidates = plan.memory(card, "candidates")?;
    let counts = plan.memory(card, "counts")?;
    let flags = plan.memory(card, "flags")?;
    let found = Found::new(&plan, card, asked.k)?;
    let (k, dims, capacity) = (asked.k, asked.dims, capacity(asked.k));
    let mut lists = Lists::with_capacity(left.rows, k.min(right.rows));
    for (first, count) in plan.cuts() {
        let args = Args::default()
            .address(left.unit.at() + (first * asked.depth * 2) as u64)
            .address(right.unit.at())
            .address(candidates.at())
            .address(counts.at())
            .int(count)?
            .int(right.rows)?
            .int(asked.depth)?
            .int(k)?
            .float(asked.slack())
            .float(asked.floor())
            .int(plan.chunks)?
            .int(capacity)?;
        let tiles = blocks(count.div_ceil(TILE) * plan.chunks)?;
        let how = Launch::linear(tiles, THREADS as u32, SCAN_SHARED);
        // SAFETY: the arguments are those of topk_scan_large: unit rows of `count` queries from `first`
        // (memory and lines are aligned to 16 bytes) and of the gallery, and room for every query of a
        // slab and every chunk.
        unsafe { card.launch(SCAN, &how, args, stream) }?;

        let sides = || {
            Args::default()
                .address(left.raw + (first * dims * 4) as u64)
                .address(left.norms.at() + (first * 8) as u64)
                .address(right.raw)
                .address(right.norms.at())
        };
        let results = |args: Args| {
            args.address(flags.at())
                .address(found.rows.at())
                .address(found.scores.at())
                .address(found.found.at())
        };
        let args = results(sides().address(candidates.at()).address(counts.at()))
            .int(dims)?
            .int(k)?
            .int(plan.chunks)?
            .int(capacity)?
            .float(asked.slack())
            .double(asked.min_score);
        let each = Launch::linear(blocks(count)?, THREADS as u32, LIST_SHARED);
        // SAFETY: the arguments are those of topk_rescore_large: both sides' rows and norms, what the
        // scan left, and room for k neighbours of every query.
        unsafe { card.launch(RESCORE, &each, args, stream) }?;
        let args = results(sides())
            .int(right.rows)?
            .int(dims)?
            .int(k)?
            .double(asked.min_score);
        // SAFETY: the arguments are those of topk_brute_large, on the same memory.
        unsafe { card.launch(BRUTE, &each, args, stream) }?;
        found.append(card, count, stream, &mut lists)?;
    }
    Ok(lists)
}
