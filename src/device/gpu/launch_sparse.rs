//! The sparse search: `kernels/neighbours/topk_sparse.cu`.

use std::sync::Arc;

use super::driver::{Kernel, Launch, Stream};
use super::launch::{Args, blocks};
use super::launch_topk::check_asked;
use super::memory::{Card, CardMem};
use super::search_plan::{Found, SearchPlan, fitting, slab};
use crate::device::spaces::{SparseRows, SparseSearch};
use crate::error::{Error, Result};
use crate::limits::MAX_CARD_SIDE;
use crate::lists::Lists;

pub(super) const KERNEL: Kernel = Kernel {
    family: "neighbours",
    symbol: "topk_sparse",
};

const THREADS: usize = 256;
/// Rows that are looked at between two looks at the buffer: `STEP` of the kernel.
const STEP: usize = 1024;
/// Rows of a chunk of the gallery.
const WIDTH: usize = 8192;
/// Queries of a slab, and the most bytes of its lists.
const SLAB: usize = 65_536;
/// The queries of a slab that a search goes down to where memory is short.
const LEAST_SLAB: usize = 64;
const SLAB_BYTES: usize = 256 << 20;

/// How a sparse search is cut; no setting changes a result.
#[derive(Debug, Clone)]
pub struct SparseTuning {
    /// Queries that are searched at a time.
    pub slab: usize,
    /// Rows of the gallery whose sums a block holds, a multiple of 256 up to 8,192.
    pub width: usize,
}

impl Default for SparseTuning {
    fn default() -> Self {
        SparseTuning {
            slab: SLAB,
            width: WIDTH,
        }
    }
}

/// How large one side of a sparse search is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SparseSize {
    /// Rows, equal ones folded or not.
    pub rows: usize,
    /// Values that are not 0.
    pub values: usize,
}

/// What a sparse search takes: `queries` against `gallery`, or among themselves, over so many columns in
/// use.
pub fn plan_sparse(
    queries: SparseSize,
    gallery: Option<SparseSize>,
    terms: usize,
    k: usize,
    tuning: &SparseTuning,
) -> SearchPlan {
    let others = gallery.unwrap_or(queries);
    let k = k.min(others.rows);
    let slab = slab(queries.rows, tuning.slab, Found::bytes(k), SLAB_BYTES, 1);
    let mut buffers = vec![
        ("query starts", (queries.rows + 1) * 8),
        ("query terms", queries.values * 4),
        ("query values", queries.values * 8),
        ("query norms", queries.rows * 8),
        ("list starts", (terms + 1) * 8),
        ("list rows", others.values * 4),
        ("list values", others.values * 8),
        ("gallery norms", others.rows * 8),
    ];
    buffers.extend(Found::buffers(slab, k));
    SearchPlan {
        rows: queries.rows,
        slab,
        chunks: 1,
        launches: [0, 1],
        buffers,
    }
}

fn size(rows: &SparseRows) -> SparseSize {
    SparseSize {
        rows: rows.rows(),
        values: rows.terms.len(),
    }
}

/// The rows that hold each term, ascending, and their values.
struct Postings {
    starts: Vec<u64>,
    rows: Vec<u32>,
    values: Vec<f64>,
}

impl Postings {
    fn new(rows: &SparseRows, terms: usize) -> Postings {
        let mut starts = vec![0u64; terms + 1];
        rows.terms.iter().for_each(|&t| starts[t as usize + 1] += 1);
        for t in 0..terms {
            starts[t + 1] += starts[t];
        }
        let mut next = starts.clone();
        let (mut list, mut weights) = (vec![0u32; rows.terms.len()], vec![0f64; rows.terms.len()]);
        for g in 0..rows.rows() {
            let range = rows.starts[g] as usize..rows.starts[g + 1] as usize;
            for (&t, &value) in rows.terms[range.clone()].iter().zip(&rows.values[range]) {
                let at = &mut next[t as usize];
                list[*at as usize] = g as u32;
                weights[*at as usize] = value;
                *at += 1;
            }
        }
        Postings {
            starts,
            rows: list,
            values: weights,
        }
    }
}

/// As [`Device::topk_sparse`](crate::device::Device::topk_sparse).
pub(super) fn topk(card: &Arc<Card>, asked: &SparseSearch<'_>, stream: Stream) -> Result<Lists> {
    check_asked(asked.k, asked.min_score)?;
    let (left, right) = (asked.queries, asked.gallery);
    for side in [left].into_iter().chain(right) {
        if side.rows() > MAX_CARD_SIDE {
            return Err(Error::limit(format!("{} rows are too many", side.rows())).op("topk"));
        }
        side.check(asked.terms)?;
    }
    let others = right.unwrap_or(left);
    if left.rows() == 0 || others.rows() == 0 {
        return Ok(Lists::from_rows((0..left.rows()).map(|_| [])));
    }
    let tuning = match asked.cut {
        Some([slab, width]) => SparseTuning { slab, width },
        None => SparseTuning::default(),
    };
    let width = tuning.width;
    let plan = fitting(card.left()?, tuning.slab, LEAST_SLAB, |slab, _| {
        let tuning = SparseTuning { slab, width };
        plan_sparse(size(left), right.map(size), asked.terms, asked.k, &tuning)
    });
    let k = asked.k.min(others.rows());
    let memory = upload(card, &plan, left, others, asked.terms, stream)?;
    let [
        starts,
        terms,
        values,
        norms,
        list_starts,
        list_rows,
        list_values,
        gallery_norms,
    ] = &memory;
    let found = Found::new(&plan, card, k)?;
    let width = tuning.width.clamp(THREADS, WIDTH).next_multiple_of(THREADS);
    let width = width.min(others.rows().next_multiple_of(THREADS));
    let room = (k + STEP).next_power_of_two();
    // Sums, the buffer, and for each of 256 terms its part of a list, its length and its weight.
    let shared = width * 8 + room * 12 + THREADS * 20 + 64;
    let mut lists = Lists::with_capacity(left.rows(), k);
    for (first, count) in plan.cuts() {
        let args = Args::default()
            .address(starts.at() + (first * 8) as u64)
            .address(terms.at())
            .address(values.at())
            .address(norms.at() + (first * 8) as u64)
            .address(list_starts.at())
            .address(list_rows.at())
            .address(list_values.at())
            .address(gallery_norms.at())
            .address(found.rows.at())
            .address(found.scores.at())
            .address(found.found.at())
            .int(others.rows())?
            .int(k)?
            .double(asked.min_score.unwrap_or(f64::NEG_INFINITY))
            .int(width)?
            .int(room)?;
        let how = Launch::linear(blocks(count)?, THREADS as u32, shared);
        // SAFETY: the arguments are those of topk_sparse: `count` queries from `first`, whose starts count
        // from the front of all terms; a list for every term; room for k neighbours of every query of a
        // slab.
        unsafe { card.launch(KERNEL, &how, args, stream) }?;
        found.append(card, count, stream, &mut lists)?;
    }
    Ok(lists)
}

/// Both sides on the card, in the order of the kernel's arguments.
fn upload(
    card: &Arc<Card>,
    plan: &SearchPlan,
    left: &SparseRows,
    others: &SparseRows,
    terms: usize,
    stream: Stream,
) -> Result<[Arc<CardMem>; 8]> {
    let lists = Postings::new(others, terms);
    let memory = |name: &str| plan.memory(card, name);
    let all = [
        memory("query starts")?,
        memory("query terms")?,
        memory("query values")?,
        memory("query norms")?,
        memory("list starts")?,
        memory("list rows")?,
        memory("list values")?,
        memory("gallery norms")?,
    ];
    card.write(&all[0], &left.starts, stream)?;
    card.write(&all[1], &left.terms, stream)?;
    card.write(&all[2], &left.values, stream)?;
    card.write(&all[3], &left.norms, stream)?;
    card.write(&all[4], &lists.starts, stream)?;
    card.write(&all[5], &lists.rows, stream)?;
    card.write(&all[6], &lists.values, stream)?;
    card.write(&all[7], &others.norms, stream)?;
    Ok(all)
}
