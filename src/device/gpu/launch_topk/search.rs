//! The dense search for up to 64 neighbours: a first pass, by slabs of queries or by the join, and exact
//! scores of what it leaves.

use std::sync::Arc;

use super::{
    Asked, BRUTE, CAPACITY, RESCORE, SCAN, SHARED, Side, THREADS, TILE, TopKTuning, chunks, join,
    prepare, sm90,
};
use crate::device::desc::Buf;
use crate::device::gpu::driver::{Launch, Stream};
use crate::device::gpu::launch::{Args, blocks};
use crate::device::gpu::launch_topk_large::{plan_dense, plan_slabs};
use crate::device::gpu::memory::{Card, CardMem};
use crate::device::gpu::search_plan::{Found, SearchPlan, fitting};
use crate::error::Result;

/// The queries of a slab that a search goes down to where memory is short.
pub(in crate::device::gpu) const LEAST_SLAB: usize = TILE;

/// What a first pass left: [query][chunk][[`CAPACITY`]] and [query][chunk], from a first query on.
struct Pass {
    candidates: u64,
    counts: u64,
    chunks: usize,
}

/// Buffers of a search that slabs share.
struct Work {
    candidates: Arc<CardMem>,
    counts: Arc<CardMem>,
    flags: Arc<CardMem>,
    found: Found,
}

/// The plan that the card has memory for: by the join, if that is asked for or pays, or with the largest
/// slab that fits.
fn plan(
    card: &Card,
    queries: usize,
    gallery: Option<usize>,
    asked: &Asked,
    tuning: &TopKTuning,
) -> Result<SearchPlan> {
    let free = card.left()?;
    let multiprocessors = card.driver.info().multiprocessors;
    let (dims, k) = (asked.dims, asked.k);
    let best = plan_dense(queries, gallery, dims, k, multiprocessors, tuning);
    if best.needs() as u64 <= free {
        return Ok(best);
    }
    Ok(fitting(free, tuning.slab, LEAST_SLAB, |slab, parts| {
        let tuning = TopKTuning {
            slab,
            chunks: parts.or(tuning.chunks),
            join: Some(false),
        };
        plan_slabs(queries, gallery, dims, k, multiprocessors, &tuning)
    }))
}

/// Searches slab by slab: `each` gets a slab's first query, its count, and its lists.
pub(super) fn run(
    card: &Arc<Card>,
    queries: &Buf,
    gallery: Option<&Buf>,
    asked: &Asked,
    tuning: &TopKTuning,
    each: &mut dyn FnMut(usize, usize, &Found) -> Result<()>,
    stream: Stream,
) -> Result<()> {
    let rows = queries.desc.dims[0];
    let others = gallery.map(|g| g.desc.dims[0]);
    let plan = plan(card, rows, others, asked, tuning)?;
    let (step, what) = match (plan.joins(), gallery) {
        (true, _) => (join::spread(rows), "an embedding"),
        (false, None) => (1, "an embedding"),
        (false, Some(_)) => (1, "a query"),
    };
    let left = prepare(card, queries, asked, step, what, stream)?;
    let right = gallery
        .map(|g| prepare(card, g, asked, 1, "a gallery row", stream))
        .transpose()?;
    let right = right.as_ref().unwrap_or(&left);
    let work = Work {
        candidates: plan.memory(card, "candidates")?,
        counts: plan.memory(card, "counts")?,
        flags: plan.memory(card, "flags")?,
        found: Found::new(&plan, card, asked.k)?,
    };
    if plan.joins() {
        join::run(
            card,
            &left,
            asked,
            &plan,
            [&work.candidates, &work.counts],
            tuning.chunks,
            stream,
        )?;
    }
    for (first, count) in plan.cuts() {
        let pass = match plan.joins() {
            true => Pass {
                candidates: work.candidates.at() + (first * plan.chunks * CAPACITY * 8) as u64,
                counts: work.counts.at() + (first * plan.chunks * 4) as u64,
                chunks: plan.chunks,
            },
            false => scan(
                card, &left, first, count, right, asked, &work, tuning, stream,
            )?,
        };
        rescore(
            card, &left, first, count, right, asked, &pass, &work, stream,
        )?;
        each(first, count, &work.found)?;
    }
    Ok(())
}

/// The first pass for the queries `first .. first + count` against the whole gallery.
#[expect(
    clippy::too_many_arguments,
    reason = "the sides, the part and the settings of one search, used once"
)]
fn scan(
    card: &Card,
    left: &Side,
    first: usize,
    count: usize,
    right: &Side,
    asked: &Asked,
    work: &Work,
    tuning: &TopKTuning,
    stream: Stream,
) -> Result<Pass> {
    let hopper = sm90::suits(card);
    let width = if hopper { sm90::WIDTH } else { TILE };
    let (row_tiles, gallery_tiles) = (count.div_ceil(TILE), right.rows.div_ceil(width));
    let multiprocessors = card.driver.info().multiprocessors;
    // As many as the plan has room for at most: tiles of its width are no fewer.
    let chunks = chunks(row_tiles, gallery_tiles, multiprocessors, tuning.chunks)
        .min(work.counts.size() / (count * 4));
    let pass = Pass {
        candidates: work.candidates.at(),
        counts: work.counts.at(),
        chunks,
    };
    if hopper {
        sm90::scan(
            card,
            left,
            first,
            count,
            right,
            asked,
            [pass.candidates, pass.counts],
            chunks,
            stream,
        )?;
        return Ok(pass);
    }
    let args = Args::default()
        .address(left.unit.at() + (first * asked.depth * 2) as u64)
        .address(right.unit.at())
        .address(pass.candidates)
        .address(pass.counts)
        .int(count)?
        .int(right.rows)?
        .int(asked.depth)?
        .int(asked.k)?
        .float(asked.slack())
        .float(asked.floor())
        .int(chunks)?;
    let how = Launch::linear(blocks(row_tiles * chunks)?, THREADS as u32, SHARED);
    // SAFETY: the arguments are those of topk_scan: unit rows of `count` queries from `first` (memory
    // and lines are aligned to 16 bytes) and of the gallery, and room for every query and chunk.
    unsafe { card.launch(SCAN, &how, args, stream) }?;
    Ok(pass)
}

/// The lists of the queries `first .. first + count` from what a first pass left.
#[expect(
    clippy::too_many_arguments,
    reason = "the sides, the part and the buffers of one search, used once"
)]
fn rescore(
    card: &Card,
    left: &Side,
    first: usize,
    count: usize,
    right: &Side,
    asked: &Asked,
    pass: &Pass,
    work: &Work,
    stream: Stream,
) -> Result<()> {
    let sides = || {
        Args::default()
            .address(left.raw + (first * asked.dims * 4) as u64)
            .address(left.norms.at() + (first * 8) as u64)
            .address(right.raw)
            .address(right.norms.at())
    };
    let results = |args: Args| {
        args.address(work.flags.at())
            .address(work.found.rows.at())
            .address(work.found.scores.at())
            .address(work.found.found.at())
    };
    let args = results(sides().address(pass.candidates).address(pass.counts))
        .int(asked.dims)?
        .int(asked.k)?
        .int(pass.chunks)?
        .float(asked.slack())
        .double(asked.min_score);
    let each = Launch::linear(blocks(count)?, THREADS as u32, 0);
    // SAFETY: the arguments are those of topk_rescore: both sides' rows and norms, what the first pass
    // left, and room for k neighbours of every query of a slab.
    unsafe { card.launch(RESCORE, &each, args, stream) }?;
    let args = results(sides())
        .int(right.rows)?
        .int(asked.dims)?
        .int(asked.k)?
        .double(asked.min_score);
    // SAFETY: the arguments are those of topk_brute, on the same memory.
    unsafe { card.launch(BRUTE, &each, args, stream) }
}
