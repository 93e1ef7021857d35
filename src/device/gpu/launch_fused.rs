//! The search by one score from several spaces: `kernels/neighbours/topk_fused.cu`.
//!
//! The card gives each query's candidates and their exact cosines; whoever asked makes scores of those, by
//! the very function that the CPU's search ranks by.

use std::sync::Arc;

use super::driver::{Kernel, Launch, Stream};
use super::fused_spaces::Spaces;
use super::launch::{Args, blocks};
use super::launch_topk::{self, TILE as COLUMNS, check_asked, kernel, round_down, score_bound};
use super::launch_topk_large::{RADIX_WORDS, ROOM, capacity};
use super::memory::{Card, CardMem};
use super::search_plan::{SearchPlan, fitting, slab};
use crate::device::spaces::{FusedFound, FusedRows, FusedSearch, FusedSpace, Strength};
use crate::error::{Error, Result};
use crate::limits::{MAX_CARD_SIDE, MAX_CARD_SPACES};

pub(super) const PREPARE: Kernel = kernel("fused_prepare");
const MEAN: Kernel = kernel("fused_scan_mean");
const EITHER: Kernel = kernel("fused_scan_either");
const POWER: Kernel = kernel("fused_scan_power");
const COSINES: Kernel = kernel("fused_cosines");
const EVERY: Kernel = kernel("fused_every");
pub(super) const KERNELS: [Kernel; 6] = [PREPARE, MEAN, EITHER, POWER, COSINES, EVERY];

const THREADS: usize = 256;
/// Queries of a tile.
const TILE: usize = 64;
/// Three stages of tiles of 64 and 128 lines of 40 halves, a tile of sums, thresholds and counts.
const SCAN_SHARED: usize = 3 * (64 + 128) * 40 * 2 + 64 * 128 * 4 + 64 * 8 + 4 * RADIX_WORDS;
const LIST_SHARED: usize = 4 * RADIX_WORDS;
/// Queries of a slab, the most bytes of its buffers, and parts of a gallery that run side by side.
const SLAB: usize = 32_768;
/// The queries of a slab that a search goes down to where memory is short.
const LEAST_SLAB: usize = TILE;
const SLAB_BYTES: usize = 512 << 20;
const MOST_CHUNKS: usize = 4;
/// What a count says of a query whose candidates did not fit.
const OVERFLOW: u32 = u32::MAX;

/// How large one space of a fused search is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FusedSize {
    /// So many values a row.
    Dense(usize),
    /// Values that are not 0, of the queries and of the gallery (0 where there is no other), over so many
    /// columns in use.
    Sparse([usize; 2], usize),
}

impl FusedSize {
    /// Bytes on the card, for `queries` rows against `others` others, with room to align each array.
    fn bytes(self, queries: usize, others: usize) -> usize {
        let rows = queries + others;
        let aligned = 16 * 256;
        match self {
            FusedSize::Dense(dims) => rows * (dims * 4 + depth(dims) * 2 + 8) + aligned,
            FusedSize::Sparse([left, right], terms) => {
                // Distinct rows of both sides: values, columns, norms, starts and groups.
                let sides = (left + right) * 12 + rows * 20 + 16;
                // Terms of queries, and the lists of the gallery.
                let listed = if right == 0 { left } else { right };
                sides + left * 8 + (queries + 1) * 8 + listed * 8 + (terms + 1) * 8 + aligned
            }
        }
    }
}

/// Values of a unit row: whole steps of the product.
pub(super) fn depth(dims: usize) -> usize {
    dims.max(1).next_multiple_of(launch_topk::DEPTH)
}

/// What a fused search takes on a card with so many multiprocessors: `queries` rows against `gallery`
/// others or among themselves. `slab_rows` is how many queries are searched at a time, none for what suits
/// the card.
pub fn plan_fused(
    queries: usize,
    gallery: Option<usize>,
    spaces: &[FusedSize],
    k: usize,
    multiprocessors: u32,
    slab_rows: Option<usize>,
) -> SearchPlan {
    let slab = slab_rows.unwrap_or(SLAB);
    plan_parts(queries, gallery, spaces, k, multiprocessors, slab, None)
}

/// The same with the gallery in so many parts, or as many as suit the card.
fn plan_parts(
    queries: usize,
    gallery: Option<usize>,
    spaces: &[FusedSize],
    k: usize,
    multiprocessors: u32,
    wanted: usize,
    parts: Option<usize>,
) -> SearchPlan {
    let others = gallery.unwrap_or(queries);
    let (capacity, room) = (capacity(k), room(k));
    let tiles = others.div_ceil(COLUMNS).max(1);
    let listed = room * (4 + 8 * spaces.len());
    let slab = slab(queries, wanted, capacity * 8 + listed, SLAB_BYTES, TILE);
    let chunks = launch_topk::chunks(slab.div_ceil(TILE), tiles, multiprocessors, parts);
    let spare = (SLAB_BYTES / slab).saturating_sub(listed) / (capacity * 8);
    let chunks = chunks.clamp(1, spare.clamp(1, MOST_CHUNKS));
    let cursors: usize = spaces
        .iter()
        .map(|space| match space {
            FusedSize::Dense(_) => 0,
            FusedSize::Sparse([left, _], _) => left * chunks * 8 + 256,
        })
        .sum();
    let bytes = |space: &FusedSize| space.bytes(queries, gallery.unwrap_or(0));
    let dense = spaces.iter().filter(|s| matches!(s, FusedSize::Dense(_)));
    SearchPlan {
        rows: queries,
        slab,
        chunks,
        launches: [dense.count() * (1 + usize::from(gallery.is_some())), 2],
        buffers: vec![
            ("spaces", spaces.iter().map(bytes).sum::<usize>()),
            ("cursors", cursors),
            ("table", spaces.len() * Spaces::WORDS * 8),
            ("there", queries + gallery.unwrap_or(0) + 512),
            ("candidates", slab * chunks * capacity * 8),
            ("counts", slab * chunks * 4),
            ("rows", slab * room * 4),
            ("cosines", slab * room * spaces.len() * 8),
            ("found", slab * 4),
        ],
    }
}

/// Candidates of a query that are scored exactly.
fn room(k: usize) -> usize {
    capacity(k).min(ROOM)
}

/// As [`Device::topk_fused`](crate::device::Device::topk_fused).
pub(super) fn topk(
    card: &Arc<Card>,
    asked: &FusedSearch<'_>,
    each: &mut dyn FnMut(&FusedFound) -> Result<()>,
    stream: Stream,
) -> Result<()> {
    check_asked(asked.k, None)?;
    let spaces = asked.spaces.len();
    if spaces > MAX_CARD_SPACES {
        let message = format!("{spaces} spaces are more than a search on a card takes");
        return Err(Error::unsupported(message)
            .op("topk")
            .mend(format!("use at most {MAX_CARD_SPACES}, or the CPU")));
    }
    let (rows, others) = (asked.rows(), asked.others().unwrap_or(asked.rows()));
    if rows.max(others) > MAX_CARD_SIDE {
        return Err(Error::limit(format!("{} rows are too many", rows.max(others))).op("topk"));
    }
    asked.check()?;
    if rows == 0 || others == 0 {
        return each(&FusedFound {
            found: vec![Some(0); rows],
            ..FusedFound::default()
        });
    }
    search(card, asked, each, stream)
}

/// The bounds that a scan works with.
struct Bounds {
    slack: f32,
    sure: f32,
    floor: f32,
}

impl Bounds {
    fn new(asked: &FusedSearch<'_>) -> Bounds {
        let error = |space: &FusedSpace<'_>| {
            let cosine = match &space.queries {
                FusedRows::Dense { dims, .. } => score_bound(*dims),
                FusedRows::Sparse(x) => {
                    let terms = x.distinct.starts.windows(2).map(|w| w[1] - w[0]).max();
                    terms.unwrap_or(0) as f64 * 2f64.powi(-31) + 5.0 * 2f64.powi(-24)
                }
            };
            f64::from(space.share) * (1.0 + 2f64.powi(-20)) * cosine
        };
        let formula = (24 * asked.spaces.len() + 40) as f64 * 2f64.powi(-24);
        let margin = asked.spaces.iter().map(error).sum::<f64>() + formula;
        Bounds {
            // Rounded away from losing anything, with room for the rounding of a threshold.
            slack: -round_down(-(2.0 * margin + 2f64.powi(-22))),
            sure: -round_down(-(asked.sure + margin)),
            floor: round_down(asked.bar - margin),
        }
    }
}

fn scan_of(by: Strength) -> (Kernel, f32) {
    match by {
        Strength::Mean => (MEAN, 1.0),
        Strength::Either => (EITHER, 1.0),
        Strength::Power(p) => (POWER, p as f32),
    }
}

fn search(
    card: &Arc<Card>,
    asked: &FusedSearch<'_>,
    each: &mut dyn FnMut(&FusedFound) -> Result<()>,
    stream: Stream,
) -> Result<()> {
    let (rows, apart) = (asked.rows(), asked.others());
    let others = apart.unwrap_or(rows);
    let sizes = super::fused_spaces::sizes(asked);
    let multiprocessors = card.driver.info().multiprocessors;
    let wanted = asked.slab.unwrap_or(SLAB);
    let plan = fitting(card.left()?, wanted, LEAST_SLAB, |slab, parts| {
        plan_parts(rows, apart, &sizes, asked.k, multiprocessors, slab, parts)
    });
    let spaces = Spaces::put(card, &plan, asked, stream)?;
    let marks = plan.memory(card, "there")?;
    card.write(&marks, &asked.there[0], stream)?;
    let mut gallery_marks = 0;
    if apart.is_some() {
        gallery_marks = rows.next_multiple_of(256);
        card.write_at(&marks, gallery_marks, &asked.there[1], stream)?;
    }
    let [table, candidates, counts] =
        ["table", "candidates", "counts"].map(|name| plan.memory(card, name));
    let [listed, cosines, found] = ["rows", "cosines", "found"].map(|name| plan.memory(card, name));
    let (table, candidates, counts) = (table?, candidates?, counts?);
    let (listed, cosines, found) = (listed?, cosines?, found?);
    let bounds = Bounds::new(asked);
    let (scan, power) = scan_of(asked.by);
    let (count_spaces, capacity, room) = (sizes.len(), capacity(asked.k), room(asked.k));
    for (first, count) in plan.cuts() {
        card.write(&table, &spaces.table(first), stream)?;
        let args = Args::default()
            .address(table.at())
            .address(marks.at() + first as u64)
            .address(marks.at() + gallery_marks as u64)
            .address(candidates.at())
            .address(counts.at())
            .int(count_spaces)?
            .int(count)?
            .int(others)?
            .int(asked.k)?
            .float(bounds.slack)
            .float(bounds.sure)
            .float(bounds.floor)
            .int(plan.chunks)?
            .int(capacity)?
            .float(power);
        let tiles = blocks(count.div_ceil(TILE) * plan.chunks)?;
        let how = Launch::linear(tiles, THREADS as u32, SCAN_SHARED);
        // SAFETY: the arguments are those of fused_scan_*: the spaces' table for the queries from `first`,
        // a mark for every row, and room for every query of a slab and every chunk.
        unsafe { card.launch(scan, &how, args, stream) }?;
        let args = Args::default()
            .address(table.at())
            .address(candidates.at())
            .address(counts.at())
            .address(listed.at())
            .address(cosines.at())
            .address(found.at())
            .int(count_spaces)?
            .int(asked.k)?
            .float(bounds.slack)
            .float(bounds.sure)
            .int(plan.chunks)?
            .int(capacity)?
            .int(room)?;
        let how = Launch::linear(blocks(count)?, THREADS as u32, LIST_SHARED);
        // SAFETY: the arguments are those of fused_cosines: the same table, what the scan left, and
        // `room` places for every query of a slab.
        unsafe { card.launch(COSINES, &how, args, stream) }?;
        let mut counted = vec![0u32; count];
        let mut result = FusedFound {
            first,
            found: Vec::new(),
            room,
            rows: vec![0; count * room],
            cosines: vec![0.0; count * room * count_spaces],
        };
        card.read(&found, &mut counted, stream)?;
        card.read(&listed, &mut result.rows, stream)?;
        card.read(&cosines, &mut result.cosines, stream)?;
        let fits = |&count: &u32| (count != OVERFLOW).then_some((count as usize).min(room));
        result.found = counted.iter().map(fits).collect();
        each(&result)?;
        let over = (0..count).filter(|&i| result.found[i].is_none());
        let rest = Rest {
            table: &table,
            queries: &counts,
            rows: &listed,
            cosines: &cosines,
            first,
            spaces: count_spaces,
            room,
        };
        let over: Vec<u32> = over.map(|i| i as u32).collect();
        rest.answer(card, asked, &over, each, stream)?;
    }
    Ok(())
}

/// What the queries of a slab are answered on whose candidates did not fit: buffers of the slab, used anew.
struct Rest<'a> {
    table: &'a CardMem,
    queries: &'a CardMem,
    rows: &'a CardMem,
    cosines: &'a CardMem,
    first: usize,
    spaces: usize,
    room: usize,
}

impl Rest<'_> {
    /// Gives `each` the queries `over` of the slab with every row of the gallery, part by part.
    fn answer(
        &self,
        card: &Card,
        asked: &FusedSearch<'_>,
        over: &[u32],
        each: &mut dyn FnMut(&FusedFound) -> Result<()>,
        stream: Stream,
    ) -> Result<()> {
        if over.is_empty() {
            return Ok(());
        }
        card.write(self.queries, over, stream)?;
        let there = &asked.there[usize::from(asked.others().is_some())];
        let rows: Vec<u32> = (0u32..)
            .zip(there)
            .filter(|r| *r.1 != 0)
            .map(|r| r.0)
            .collect();
        for part in rows.chunks(self.room) {
            card.write(self.rows, part, stream)?;
            let args = Args::default()
                .address(self.table.at())
                .address(self.queries.at())
                .address(self.rows.at())
                .address(self.cosines.at())
                .int(self.spaces)?
                .int(part.len())?;
            let how = Launch::linear(blocks(over.len())?, THREADS as u32, 0);
            // SAFETY: the arguments are those of fused_every: the slab's table, queries of the slab, rows of
            // the gallery, and `room` places for every query of a slab, of which no more are taken.
            unsafe { card.launch(EVERY, &how, args, stream) }?;
            let values = part.len() * self.spaces;
            let mut cosines = vec![0.0; over.len() * values];
            card.read(self.cosines, &mut cosines, stream)?;
            for (&query, cosines) in over.iter().zip(cosines.chunks(values)) {
                each(&FusedFound {
                    first: self.first + query as usize,
                    found: vec![Some(part.len())],
                    room: part.len(),
                    rows: part.to_vec(),
                    cosines: cosines.to_vec(),
                })?;
            }
        }
        Ok(())
    }
}
