//! The blocked join behind the dense and the Hamming search.
//!
//! Rows and columns are cut into blocks. A task scans one block of rows against one block of
//! columns, group by group, with the floors as they stood a moment ago, and hands its hits to the
//! two blocks' [`Keep`]s, each under its own lock. In a self-join a task feeds both its rows and
//! its columns, so only the tasks on and above the diagonal are run. Hits that an old floor let
//! through are refused later: which candidates are looked at depends on the schedule, but what is
//! kept at the end does not.

use super::dense_keep::Keep;
use crate::device::cpu::Kernel;
use crate::device::cpu::tile::Hit;
use rayon::prelude::*;
use std::ops::Range;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// Rows of a block at most: a block of 512 dimensions is then about a megabyte, packed.
const BLOCK: usize = 960;
/// A task hands its hits over when it has this many.
const HITS: usize = 8192;

/// How a search runs; [`Default`] is what everybody but a test wants. No setting changes a result,
/// except that a `bound` below 1 makes it wrong.
#[derive(Debug, Clone)]
pub struct Tuning {
    /// The form of the kernels.
    pub kernel: Kernel,
    /// Rows of a block, rounded up to whole groups.
    pub block: Option<usize>,
    /// What the error bound is multiplied with.
    pub bound: f64,
}

impl Default for Tuning {
    fn default() -> Self {
        Tuning {
            kernel: Kernel::best(),
            block: None,
            bound: 1.0,
        }
    }
}

/// What is joined: rows, columns, a fast integer score for tiles of them, and the exact score.
pub(super) trait Source: Sync {
    /// Whether scan scores order pairs exactly as scores do.
    const EXACT: bool;
    /// Columns of a group: how many a scan takes.
    const GROUP: usize;

    /// How many rows and columns there are.
    fn shape(&self) -> (usize, usize);

    /// Appends the pairs of `rows` and the group from `first_col` on whose scan score reaches the
    /// row's or the column's floor; may name rows and columns beyond the shape.
    fn scan(
        &self,
        rows: Range<usize>,
        row_floors: &[i32],
        first_col: usize,
        col_floors: &[i32],
        hits: &mut Vec<Hit>,
    );

    /// Appends `(col, exact score)` for the columns whose score is at least `min_score`.
    fn score_all(
        &self,
        row: usize,
        cols: impl Iterator<Item = u32>,
        min_score: f64,
        out: &mut Vec<(u32, f64)>,
    );

    /// How far a scan score of `row` may be from the exact score, in the scan's units.
    fn slack(&self, row: usize) -> i32;

    /// The least scan score that a pair of `row` with an exact score of `score` or more can have.
    fn floor(&self, row: usize, score: f64) -> i32;
}

/// The best neighbours of consecutive rows.
pub(super) struct Found {
    offsets: Vec<usize>,
    pairs: Vec<(u32, f64)>,
}

impl Found {
    pub(super) fn with_capacity(rows: usize, each: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Found {
            offsets,
            pairs: Vec::with_capacity(rows * each),
        }
    }

    pub(super) fn push(&mut self, pairs: &[(u32, f64)]) {
        self.pairs.extend_from_slice(pairs);
        self.offsets.push(self.pairs.len());
    }

    fn row(&self, i: usize) -> &[(u32, f64)] {
        &self.pairs[self.offsets[i]..self.offsets[i + 1]]
    }
}

/// The answer of a join.
pub(super) struct Joined {
    block: usize,
    blocks: Vec<Found>,
}

impl Joined {
    /// The best neighbours of row `i`.
    pub(super) fn row(&self, i: usize) -> &[(u32, f64)] {
        self.blocks[i / self.block].row(i % self.block)
    }
}

/// The best `k` columns of every row of `source`, of those with a score of at least `min_score`.
/// `symmetric` says that rows and columns are the same, and scores too: a self-join.
pub(super) fn join<S: Source>(
    source: &S,
    symmetric: bool,
    k: usize,
    min_score: Option<f64>,
    tuning: &Tuning,
) -> Joined {
    let (rows, cols) = source.shape();
    let block = block_size(rows.max(cols), tuning.block, S::GROUP);
    let min_score = min_score.unwrap_or(f64::NEG_INFINITY);
    let floors: Vec<AtomicI32> = (0..rows)
        .into_par_iter()
        .map(|i| AtomicI32::new(source.floor(i, min_score)))
        .collect();
    let keeps: Vec<Mutex<Keep<'_>>> = floors
        .chunks(block)
        .enumerate()
        .map(|(b, floors)| Mutex::new(Keep::new(b * block, floors, k, min_score, cols)))
        .collect();
    let join = Join {
        source,
        symmetric,
        block,
        floors: &floors,
        keeps: &keeps,
        next: Mutex::new((0, 0)),
    };
    rayon::scope(|scope| {
        for _ in 0..rayon::current_num_threads() {
            scope.spawn(|_| join.work());
        }
    });
    let blocks = keeps
        .into_par_iter()
        .map(|keep| {
            let keep = keep.into_inner().unwrap_or_else(PoisonError::into_inner);
            keep.finish(source)
        })
        .collect();
    Joined { block, blocks }
}

/// Blocks of [`BLOCK`] rows, or smaller where that leaves too few tasks to share: with `b` blocks
/// a self-join has `b^2 / 2` tasks.
fn block_size(rows: usize, wanted: Option<usize>, group: usize) -> usize {
    let tasks = 16 * rayon::current_num_threads();
    let blocks = (2 * tasks).isqrt() + 1;
    let block = wanted.unwrap_or_else(|| rows.div_ceil(blocks).min(BLOCK));
    block.max(1).next_multiple_of(group)
}

struct Join<'a, 'f, S> {
    source: &'a S,
    symmetric: bool,
    block: usize,
    floors: &'f [AtomicI32],
    keeps: &'a [Mutex<Keep<'f>>],
    /// The next task: outer and inner count.
    next: Mutex<(usize, usize)>,
}

/// A thread's own memory.
struct Scratch {
    hits: Vec<Hit>,
    row_floors: Vec<i32>,
    col_floors: Vec<i32>,
}

impl<S: Source> Join<'_, '_, S> {
    /// Takes tasks until none is left.
    fn work(&self) {
        let mut scratch = Scratch {
            hits: Vec::with_capacity(2 * HITS),
            row_floors: vec![i32::MAX; self.block],
            col_floors: vec![i32::MAX; self.block],
        };
        while let Some((rows, cols)) = self.task() {
            self.run(rows, cols, &mut scratch);
        }
    }

    /// The next pair of blocks. A self-join goes diagonal by diagonal, so that tasks under way at
    /// one time seldom share a block and all rows have good floors early.
    fn task(&self) -> Option<(usize, usize)> {
        let row_blocks = self.keeps.len();
        let col_blocks = self.source.shape().1.div_ceil(self.block);
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let (outer, inner) = *next;
        if outer >= col_blocks || inner >= row_blocks {
            return None;
        }
        let last = if self.symmetric {
            row_blocks - outer - 1
        } else {
            row_blocks - 1
        };
        *next = if inner == last {
            (outer + 1, 0)
        } else {
            (outer, inner + 1)
        };
        Some((inner, if self.symmetric { inner + outer } else { outer }))
    }

    /// Scans row block `b` against column block `c`.
    fn run(&self, b: usize, c: usize, scratch: &mut Scratch) {
        let (rows, cols) = self.source.shape();
        let rows = b * self.block..rows.min((b + 1) * self.block);
        let cols = c * self.block..cols.min((c + 1) * self.block);
        let diagonal = self.symmetric && b == c;
        self.read_floors(&rows, &cols, scratch);
        for first_col in cols.clone().step_by(S::GROUP) {
            // On the diagonal, rows below the group were met as its columns.
            let end = if diagonal {
                rows.end.min(first_col + S::GROUP)
            } else {
                rows.end
            };
            self.source.scan(
                rows.start..end,
                &scratch.row_floors,
                first_col,
                &scratch.col_floors[first_col - cols.start..],
                &mut scratch.hits,
            );
            if scratch.hits.len() >= HITS {
                self.hand_over(b, c, &mut scratch.hits);
                self.read_floors(&rows, &cols, scratch);
            }
        }
        self.hand_over(b, c, &mut scratch.hits);
    }

    fn read_floors(&self, rows: &Range<usize>, cols: &Range<usize>, scratch: &mut Scratch) {
        let read = |range: &Range<usize>, to: &mut [i32]| {
            let floors = self.floors[range.clone()].iter().map(|f| f.load(Relaxed));
            let padded = floors.chain(std::iter::repeat(i32::MAX));
            to.iter_mut()
                .zip(padded)
                .for_each(|(to, floor)| *to = floor);
        };
        read(rows, &mut scratch.row_floors);
        if self.symmetric {
            read(cols, &mut scratch.col_floors);
        }
    }

    /// Gives the hits to the rows' block, and in a self-join to the columns' block.
    fn hand_over(&self, b: usize, c: usize, hits: &mut Vec<Hit>) {
        let (rows, cols) = self.source.shape();
        let diagonal = self.symmetric && b == c;
        if diagonal || b + 1 == self.keeps.len() || (c + 1) * self.block > cols {
            // Padding, and what the diagonal block sees twice.
            hits.retain(|h| {
                (h.row as usize) < rows && (h.col as usize) < cols && !(diagonal && h.col < h.row)
            });
        }
        let lock = |b: usize| self.keeps[b].lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut keep = lock(b);
            for h in hits.iter() {
                keep.add(self.source, h.row as usize, h.col, h.dot);
            }
        }
        if self.symmetric {
            let mut keep = lock(c);
            for h in hits.iter().filter(|h| h.row != h.col) {
                keep.add(self.source, h.col as usize, h.row, h.dot);
            }
        }
        hits.clear();
    }
}
