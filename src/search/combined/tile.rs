//! A block of queries against the gallery, one tile of scores at a time.
//!
//! A tile of `f32` scores is filled by matrix products for the dense spaces and by posting lists for
//! the sparse ones. The scores only decide which rows become candidates; candidates are few, and are
//! scored exactly in `f64` once at the end (or earlier, where ties are so many that they would not
//! stay few).

use std::ops::Range;

use super::side::{Ready, Side};
use super::sparse::Postings;
use crate::search::TopK;
use crate::search::sparse::best::Best;

/// Queries of one tile.
pub(super) const BLOCK: usize = 256;
/// Gallery rows of one tile.
const WIDTH: usize = 1024;

/// The most that a weighted sum of cosines computed in `f32` is away from the same sum in exact
/// arithmetic, when the weights sum to 1 and at most `products` products are added in any order.
///
/// With `u = 2^-24`: a unit value carries a relative error of little more than `u`, a product of two
/// one more, the weight and its product two, and every addition one, fused or not. That is at most
/// `(products + spaces + 6) u / (1 - ...)` times the sum of the absolute products, which Cauchy and
/// Schwarz bound by 1. Twice `(products + 8 spaces) u` is above it for up to 2^20 products, and
/// holds what lies below the normal range of `f32`; for more products nothing is ruled out.
fn margin(products: usize, spaces: usize) -> f64 {
    if products > 1 << 20 {
        return f64::INFINITY;
    }
    2.0 * (products + 8 * spaces) as f64 * 2f64.powi(-24)
}

/// A combined search: everything that stays the same between blocks.
pub(super) struct Tiles<'a> {
    pub queries: &'a Side<'a>,
    gallery: &'a Side<'a>,
    postings: &'a [Postings],
    weights: &'a [f64],
    /// The sum of the weights.
    total: f64,
    k: usize,
    floor: f64,
}

/// What a block writes on.
#[derive(Default)]
pub(super) struct Scratch {
    scores: Vec<f32>,
    left: Vec<f32>,
    right: Vec<f32>,
}

/// A query on its way through the gallery.
struct Query {
    row: usize,
    /// How far a score in a tile may be off.
    margin: f64,
    /// Scores below this are no candidates.
    low: f32,
    candidates: Vec<(u32, f32)>,
    best: Best,
}

/// Where the posting lists of a block's sparse rows stand: for each query its terms in one space.
struct Cursor<'a> {
    weight: f32,
    list: &'a [(u32, f32)],
}

impl<'a> Tiles<'a> {
    pub fn new(
        queries: &'a Side<'a>,
        gallery: &'a Side<'a>,
        postings: &'a [Postings],
        weights: &'a [f64],
        opt: &TopK,
    ) -> Self {
        Tiles {
            queries,
            gallery,
            postings,
            weights,
            total: weights.iter().sum(),
            k: opt.k,
            floor: opt.floor(),
        }
    }

    /// The best rows for each of the queries `rows`.
    pub fn run(&self, rows: Range<usize>, s: &mut Scratch) -> Vec<Vec<(u32, f64)>> {
        let mut queries: Vec<Query> = rows.clone().map(|row| self.query(row)).collect();
        let mut cursors = self.cursors(rows.clone());
        for start in (0..self.gallery.rows()).step_by(WIDTH) {
            let tile = start..self.gallery.rows().min(start + WIDTH);
            s.scores.clear();
            s.scores.resize(rows.len() * tile.len(), 0.0);
            self.add_dense(rows.clone(), tile.clone(), s);
            let lines = s.scores.chunks_exact_mut(tile.len());
            for ((line, query), cursors) in lines.zip(&mut queries).zip(&mut cursors) {
                add_sparse(line, start, cursors);
                self.pick(line, start, query);
            }
        }
        let finish = |mut query: Query| {
            self.tighten(&mut query);
            self.settle(&mut query);
            query.best.take()
        };
        queries.into_iter().map(finish).collect()
    }

    fn query(&self, row: usize) -> Query {
        let margin = margin(self.queries.products(row), self.weights.len());
        let low = match self.queries.has(row) {
            true => (self.floor / self.total - margin) as f32,
            false => f32::NAN,
        };
        Query {
            row,
            margin,
            low,
            candidates: Vec::new(),
            best: Best::new(self.k, self.floor),
        }
    }

    fn cursors(&self, rows: Range<usize>) -> Vec<Vec<Cursor<'_>>> {
        let of = |row: usize| {
            let spaces = self.queries.spaces.iter().zip(self.postings);
            let mut cursors = Vec::new();
            for ((space, postings), weight) in spaces.zip(self.weights) {
                if let Ready::Sparse(x) = space {
                    let share = (weight / self.total) as f32;
                    cursors.extend(x.unit_row(row).map(|(column, value)| Cursor {
                        weight: share * value,
                        list: postings.list(column),
                    }));
                }
            }
            cursors
        };
        rows.map(of).collect()
    }

    /// Adds the weighted cosines of the dense spaces to the tile's scores.
    fn add_dense(&self, rows: Range<usize>, tile: Range<usize>, s: &mut Scratch) {
        let spaces = self.queries.spaces.iter().zip(&self.gallery.spaces);
        for ((query, gallery), weight) in spaces.zip(self.weights) {
            let (Ready::Dense(query), Ready::Dense(gallery)) = (query, gallery) else {
                continue;
            };
            query.unit_rows(rows.clone(), &mut s.left);
            gallery.unit_rows(tile.clone(), &mut s.right);
            let share = (weight / self.total) as f32;
            add_product(&mut s.scores, &s.left, &s.right, query.dims(), share);
        }
    }

    /// Makes candidates of the gallery rows from `start` on whose scores are high enough.
    fn pick(&self, line: &[f32], start: usize, query: &mut Query) {
        const STEP: usize = 32;
        let full = 4 * self.k + 256;
        for (n, chunk) in line.chunks(STEP).enumerate() {
            let low = query.low;
            if !chunk.iter().fold(false, |any, &x| any | (x >= low)) {
                continue;
            }
            for (i, &score) in chunk.iter().enumerate() {
                let row = start + n * STEP + i;
                if score >= low && self.gallery.has(row) {
                    query.candidates.push((row as u32, score));
                }
            }
            if query.candidates.len() >= full {
                self.tighten(query);
                if query.candidates.len() > full / 2 {
                    self.settle(query);
                }
            }
        }
    }

    /// Raises the bar to what the k-th best candidate shows and drops the candidates below it.
    fn tighten(&self, query: &mut Query) {
        if query.candidates.len() <= self.k {
            return;
        }
        let descending = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1);
        let kth = query
            .candidates
            .select_nth_unstable_by(self.k - 1, descending)
            .1
            .1;
        query.low = query.low.max((f64::from(kth) - 2.0 * query.margin) as f32);
        let low = query.low;
        query.candidates.retain(|c| c.1 >= low);
    }

    /// Scores all candidates exactly.
    fn settle(&self, query: &mut Query) {
        for (row, _) in query.candidates.drain(..) {
            let score = self
                .queries
                .score(query.row, self.gallery, row as usize, self.weights);
            query.best.push(row, score);
        }
        query.best.shrink();
        let low = query.best.floor() / self.total - query.margin;
        query.low = query.low.max(low as f32);
    }
}

/// Adds the weighted cosines of the sparse spaces to one query's scores of the tile from `start`;
/// tiles come in ascending order.
fn add_sparse(line: &mut [f32], start: usize, cursors: &mut [Cursor]) {
    for cursor in cursors {
        let mut taken = 0;
        for &(row, value) in cursor.list {
            let Some(score) = line.get_mut(row as usize - start) else {
                break;
            };
            *score += cursor.weight * value;
            taken += 1;
        }
        cursor.list = &cursor.list[taken..];
    }
}

/// `scores += share * left * right^T`, all row-major with rows of `dims`.
fn add_product(scores: &mut [f32], left: &[f32], right: &[f32], dims: usize, share: f32) {
    if dims == 0 {
        return;
    }
    let (rows, columns) = (left.len() / dims, right.len() / dims);
    assert_eq!(
        scores.len(),
        rows * columns,
        "a tile of rows x columns scores"
    );
    // SAFETY: the three slices hold rows x columns, rows x dims and columns x dims values in row
    // order (left and right by the divisions, the scores as just asserted), the strides say so, and
    // the scores are borrowed mutably, so they overlap neither operand.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            dims,
            scores.as_mut_ptr(),
            1,
            columns as isize,
            true,
            left.as_ptr(),
            1,
            dims as isize,
            right.as_ptr(),
            dims as isize,
            1,
            1.0,
            share,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
