//! The sparse search: `kernels/neighbours/topk_sparse.cu`.

use std::sync::Arc;

use super::driver::{Kernel, Launch, Stream};
use super::launch::{Args, blocks};
use super::launch_topk::check_asked;
use super::memory::{Card, CardMem};
use super::search_plan::{Found, SearchPlan, slab};
use crate::error::{Error, Result};
use crate::limits::MAX_CARD_SIDE;
use crate::lists::Lists;
use crate::search::sparse::Prepared;
use crate::search::sparse::rows::Rows;
use crate::tensor::Csr;

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

fn size(rows: &Rows) -> SparseSize {
    SparseSize {
        rows: rows.len(),
        values: rows.nnz(),
    }
}

/// A side's rows as the kernel reads queries.
struct Packed {
    starts: Vec<u64>,
    terms: Vec<u32>,
    values: Vec<f64>,
    norms: Vec<f64>,
}

impl Packed {
    fn new(rows: &Rows) -> Packed {
        let mut packed = Packed {
            starts: vec![0],
            terms: Vec::with_capacity(rows.nnz()),
            values: Vec::with_capacity(rows.nnz()),
            norms: (0..rows.len()).map(|g| rows.norm(g)).collect(),
        };
        for g in 0..rows.len() {
            let (terms, values) = rows.row(g);
            packed.terms.extend(terms);
            packed.values.extend(values);
            packed.starts.push(packed.terms.len() as u64);
        }
        packed
    }
}

/// The rows that hold each term, ascending, and their values.
struct Postings {
    starts: Vec<u64>,
    rows: Vec<u32>,
    values: Vec<f64>,
}

impl Postings {
    fn new(rows: &Rows, terms: usize) -> Postings {
        let mut starts = vec![0u64; terms + 1];
        for g in 0..rows.len() {
            rows.row(g)
                .0
                .iter()
                .for_each(|&t| starts[t as usize + 1] += 1);
        }
        for t in 0..terms {
            starts[t + 1] += starts[t];
        }
        let mut next = starts.clone();
        let (mut list, mut weights) = (vec![0u32; rows.nnz()], vec![0f64; rows.nnz()]);
        for g in 0..rows.len() {
            let (terms, values) = rows.row(g);
            for (&t, &value) in terms.iter().zip(values) {
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
pub(super) fn topk(
    card: &Arc<Card>,
    queries: &Csr,
    gallery: Option<&Csr>,
    k: usize,
    min_score: Option<f64>,
    tuning: &SparseTuning,
    stream: Stream,
) -> Result<Lists> {
    check_asked(k, min_score)?;
    for side in [queries].into_iter().chain(gallery) {
        if side.rows() > MAX_CARD_SIDE {
            return Err(Error::limit(format!("{} rows are too many", side.rows())).op("topk"));
        }
    }
    let prepared = Prepared::new(queries, gallery)?;
    let found = search(card, &prepared, k, min_score, tuning, stream)?;
    Ok(prepared.unfold(k, |g| found.row(g).iter().collect()))
}

/// The lists of all groups of queries.
fn search(
    card: &Arc<Card>,
    prepared: &Prepared,
    k: usize,
    min_score: Option<f64>,
    tuning: &SparseTuning,
    stream: Stream,
) -> Result<Lists> {
    let (left, right) = prepared.sides();
    let others = right.unwrap_or(left);
    if left.len() == 0 || others.len() == 0 {
        return Ok(Lists::from_rows((0..left.len()).map(|_| [])));
    }
    let plan = plan_sparse(size(left), right.map(size), prepared.terms(), k, tuning);
    let k = k.min(others.len());
    let memory = upload(card, &plan, left, others, prepared.terms(), stream)?;
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
    let width = width.min(others.len().next_multiple_of(THREADS));
    let room = (k + STEP).next_power_of_two();
    // Sums, the buffer, and for each of 256 terms its part of a list, its length and its weight.
    let shared = width * 8 + room * 12 + THREADS * 20 + 64;
    let mut lists = Lists::with_capacity(left.len(), k);
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
            .int(others.len())?
            .int(k)?
            .double(min_score.unwrap_or(f64::NEG_INFINITY))
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
    left: &Rows,
    others: &Rows,
    terms: usize,
    stream: Stream,
) -> Result<[Arc<CardMem>; 8]> {
    let queries = Packed::new(left);
    let lists = Postings::new(others, terms);
    let norms: Vec<f64> = (0..others.len()).map(|g| others.norm(g)).collect();
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
    card.write(&all[0], &queries.starts, stream)?;
    card.write(&all[1], &queries.terms, stream)?;
    card.write(&all[2], &queries.values, stream)?;
    card.write(&all[3], &queries.norms, stream)?;
    card.write(&all[4], &lists.starts, stream)?;
    card.write(&all[5], &lists.rows, stream)?;
    card.write(&all[6], &lists.values, stream)?;
    card.write(&all[7], &norms, stream)?;
    Ok(all)
}
