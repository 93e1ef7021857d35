//! The dense search for more neighbours than `launch_topk` finds: `kernels/neighbours/topk_large.cu`;
//! and what any dense search takes.

use std::sync::Arc;

use super::driver::{Kernel, Launch, Stream};
use super::launch::{Args, blocks};
use super::launch_topk::{
    self, Asked, CAPACITY, DEPTH, LEAST_SLAB, PREPARE, START, Side, THREADS, TILE, TopKTuning,
    join, kernel, prepare, sm90,
};
use super::memory::{Card, CardMem};
use super::search_plan::{Found, SearchPlan, fitting, slab};
use crate::device::desc::Buf;
use crate::error::Result;
use crate::lists::Lists;

const SCAN: Kernel = kernel("topk_scan_large");
const SETTLE: Kernel = kernel("topk_wave_settle_large");
const RESCORE: Kernel = kernel("topk_rescore_large");
const BRUTE: Kernel = kernel("topk_brute_large");
pub(super) const KERNELS: [Kernel; 6] = [PREPARE, SCAN, START, SETTLE, RESCORE, BRUTE];

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
    let mut plan = plan_slabs(queries, gallery, dims, k, multiprocessors, tuning);
    if !join::pays(queries, gallery, k, tuning) {
        return plan;
    }
    // All rows fill their buffers at a time; lists are made slab by slab.
    plan.chunks = join::HALVES;
    plan.launches = [2 + 2 * join::waves(queries, TILE, k).len(), 2];
    for (name, bytes) in &mut plan.buffers {
        match *name {
            "candidates" => *bytes = queries * join::HALVES * CAPACITY * 8,
            "counts" => *bytes = queries * join::HALVES * 4,
            _ => {}
        }
    }
    plan.buffers.push(("thresholds", join::places(queries) * 4));
    plan.buffers.push(("put", queries * 4));
    plan
}

/// The same without the join.
pub(super) fn plan_slabs(
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
    if large {
        buffers.push(("thresholds", join::places(slab) * 4));
    }
    SearchPlan {
        rows: queries,
        slab,
        chunks,
        launches: [1 + usize::from(gallery.is_some()), 3],
        buffers,
    }
}

/// The lists of all rows of `queries` among those of `gallery`, or among themselves.
pub(super) fn search(
    card: &Arc<Card>,
    queries: &Buf,
    gallery: Option<&Buf>,
    asked: &Asked,
    tuning: &TopKTuning,
    stream: Stream,
) -> Result<Lists> {
    let (rows, others) = (queries.desc.dims[0], gallery.map(|g| g.desc.dims[0]));
    let (dims, k) = (asked.dims, asked.k);
    let multiprocessors = card.driver.info().multiprocessors;
    let plan = fitting(card.left()?, tuning.slab, LEAST_SLAB, |slab, parts| {
        let tuning = TopKTuning {
            slab,
            chunks: parts.or(tuning.chunks),
            join: Some(false),
        };
        plan_slabs(rows, others, dims, k, multiprocessors, &tuning)
    });
    // Waves of a gallery take its rows in an order of their own, if it is not the queries too.
    let hopper = sm90::has_waves(card);
    let what = ["an embedding", "a query"][usize::from(gallery.is_some())];
    let left = prepare(card, queries, asked, 1, what, stream)?;
    let right = match gallery {
        Some(g) => {
            let step = if hopper {
                join::spread(g.desc.dims[0])
            } else {
                1
            };
            Some(prepare(card, g, asked, step, "a gallery row", stream)?)
        }
        None => None,
    };
    let work = Work {
        left: &left,
        right: right.as_ref().unwrap_or(&left),
        asked,
        candidates: plan.memory(card, "candidates")?,
        counts: plan.memory(card, "counts")?,
        least: plan.memory(card, "thresholds")?,
        flags: plan.memory(card, "flags")?,
        found: Found::new(&plan, card, k)?,
        chunks: plan.chunks,
    };
    let mut lists = Lists::with_capacity(rows, k.min(work.right.rows));
    for (first, count) in plan.cuts() {
        let parts = match hopper {
            true => work.waves(card, first, count, tuning.chunks, stream)?,
            false => work.scan(card, first, count, stream)?,
        };
        work.rescore(card, first, count, parts, stream)?;
        work.found.append(card, count, stream, &mut lists)?;
    }
    Ok(lists)
}

/// Parts that a query's candidates are in, and how many each holds.
#[derive(Clone, Copy)]
struct Parts {
    chunks: usize,
    capacity: usize,
}

/// One search: its sides, and the buffers that slabs share.
struct Work<'a> {
    left: &'a Side,
    right: &'a Side,
    asked: &'a Asked,
    candidates: Arc<CardMem>,
    counts: Arc<CardMem>,
    least: Arc<CardMem>,
    flags: Arc<CardMem>,
    found: Found,
    chunks: usize,
}

impl Work<'_> {
    /// The first pass for the queries `first .. first + count`.
    fn scan(&self, card: &Card, first: usize, count: usize, stream: Stream) -> Result<Parts> {
        let (asked, capacity) = (self.asked, capacity(self.asked.k));
        let args = Args::default()
            .address(self.left.unit.at() + (first * asked.depth * 2) as u64)
            .address(self.right.unit.at())
            .address(self.candidates.at())
            .address(self.counts.at())
            .int(count)?
            .int(self.right.rows)?
            .int(asked.depth)?
            .int(asked.k)?
            .float(asked.slack())
            .float(asked.floor())
            .int(self.chunks)?
            .int(capacity)?;
        let tiles = blocks(count.div_ceil(TILE) * self.chunks)?;
        let how = Launch::linear(tiles, THREADS as u32, SCAN_SHARED);
        // SAFETY: the arguments are those of topk_scan_large: unit rows of `count` queries from `first`
        // (memory and lines are aligned to 16 bytes) and of the gallery, and room for every query of a
        // slab and every chunk.
        unsafe { card.launch(SCAN, &how, args, stream) }?;
        Ok(Parts {
            chunks: self.chunks,
            capacity,
        })
    }

    /// The same by Hopper's waves, which share a query's buffer however many blocks fill it.
    fn waves(
        &self,
        card: &Card,
        first: usize,
        count: usize,
        chunks: Option<usize>,
        stream: Stream,
    ) -> Result<Parts> {
        let (asked, capacity) = (self.asked, self.chunks * capacity(self.asked.k));
        let (least, counts) = (&self.least, self.counts.at());
        join::start(card, least, counts, count, asked.floor(), stream)?;
        let pass = sm90::Wave {
            sides: [self.left, self.right],
            least: [least.at(), 0],
            candidates: self.candidates.at(),
            counts,
            queries: (first, count),
            capacity,
            squares: 0,
        };
        let tiles = self.right.rows.div_ceil(sm90::WIDTH);
        for wave in join::gallery_waves(tiles, sm90::WIDTH, capacity, asked.k) {
            let parts = join::parts(card, count.div_ceil(TILE), wave, chunks);
            pass.queue(card, asked.depth, wave, parts, stream)?;
            let args = Args::default()
                .address(self.candidates.at())
                .address(counts)
                .address(least.at())
                .int(capacity)?
                .int(asked.k)?
                .float(asked.slack());
            let how = Launch::linear(blocks(count)?, THREADS as u32, 4 * RADIX_WORDS);
            // SAFETY: the arguments are those of topk_wave_settle_large: a buffer, a count and a
            // threshold for every query of a slab.
            unsafe { card.launch(SETTLE, &how, args, stream) }?;
        }
        Ok(Parts {
            chunks: 1,
            capacity,
        })
    }

    /// The lists of the queries `first .. first + count` from what a first pass left.
    fn rescore(
        &self,
        card: &Card,
        first: usize,
        count: usize,
        parts: Parts,
        stream: Stream,
    ) -> Result<()> {
        let (left, right, asked) = (self.left, self.right, self.asked);
        let sides = || {
            Args::default()
                .address(left.raw + (first * asked.dims * 4) as u64)
                .address(left.norms.at() + (first * 8) as u64)
                .address(right.raw)
                .address(right.norms.at())
        };
        let results = |args: Args| {
            args.address(self.flags.at())
                .address(self.found.rows.at())
                .address(self.found.scores.at())
                .address(self.found.found.at())
        };
        let args = sides().address(self.candidates.at());
        let args = results(args.address(self.counts.at()))
            .int(asked.dims)?
            .int(asked.k)?
            .int(parts.chunks)?
            .int(parts.capacity)?
            .float(asked.slack())
            .double(asked.min_score);
        let each = Launch::linear(blocks(count)?, THREADS as u32, LIST_SHARED);
        // SAFETY: the arguments are those of topk_rescore_large: both sides' rows and norms, what the
        // first pass left, and room for k neighbours of every query.
        unsafe { card.launch(RESCORE, &each, args, stream) }?;
        let args = results(sides())
            .int(right.rows)?
            .int(asked.dims)?
            .int(asked.k)?
            .double(asked.min_score);
        // SAFETY: the arguments are those of topk_brute_large, on the same memory.
        unsafe { card.launch(BRUTE, &each, args, stream) }
    }
}
