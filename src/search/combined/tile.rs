//! A block of queries against the gallery, one tile of scores at a time.
//!
//! A tile of `f32` values is filled by matrix products for the dense spaces and by posting lists for
//! the sparse ones: in one layer where a score is a sum, in one a space where it is not. What [`Fusion`]
//! makes of them, a strength, only decides which rows become candidates; candidates are few, and are
//! scored exactly in `f64` once at the end (or earlier, where ties are so many that they would not
//! stay few).

use std::ops::Range;

use super::fuse::{Fusion, Layers};
use super::side::{Ready, Side};
use super::sparse::Postings;
use crate::search::TopK;
use crate::search::sparse::best::Best;

/// Queries of one tile.
pub(super) const BLOCK: usize = 256;
/// Gallery rows of one tile.
const WIDTH: usize = 1024;

/// A combined search: everything that stays the same between blocks.
pub(super) struct Tiles<'a> {
    pub queries: &'a Side<'a>,
    gallery: &'a Side<'a>,
    postings: &'a [Postings],
    fusion: &'a Fusion,
    k: usize,
    floor: f64,
}

/// What a block writes on.
#[derive(Default)]
pub(super) struct Scratch {
    scores: Vec<f32>,
    line: Vec<f32>,
    left: Vec<f32>,
    right: Vec<f32>,
}

/// A query on its way through the gallery.
struct Query {
    row: usize,
    /// How far a strength in a tile may be off.
    margin: f64,
    /// What is less strong is no candidate.
    low: f32,
    candidates: Vec<(u32, f32)>,
    best: Best,
}

/// Where the posting lists of a block's sparse rows stand: for each query its terms in one space.
struct Cursor<'a> {
    layer: usize,
    weight: f32,
    list: &'a [(u32, f32)],
}

impl<'a> Tiles<'a> {
    pub fn new(
        queries: &'a Side<'a>,
        gallery: &'a Side<'a>,
        postings: &'a [Postings],
        fusion: &'a Fusion,
        opt: &TopK,
    ) -> Self {
        Tiles {
            queries,
            gallery,
            postings,
            fusion,
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
            let stride = rows.len() * tile.len();
            s.scores.clear();
            s.scores.resize(self.fusion.layers() * stride, 0.0);
            self.add_dense(rows.clone(), tile.clone(), s);
            for (n, (query, cursors)) in queries.iter_mut().zip(&mut cursors).enumerate() {
                let first = n * tile.len();
                for cursor in cursors {
                    let line = cursor.layer * stride + first;
                    add_sparse(&mut s.scores[line..][..tile.len()], start, cursor);
                }
                let layers = Layers {
                    scores: &s.scores,
                    first,
                    stride,
                    width: tile.len(),
                };
                self.pick(&layers, start, query, &mut s.line);
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
        let margin = self.fusion.margin(self.queries.products(row));
        let low = match self.queries.has(row) {
            true => (self.fusion.bar(self.floor) - margin) as f32,
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
            for (m, (space, postings)) in spaces.enumerate() {
                if let Ready::Sparse(x) = space {
                    let share = self.fusion.share(m);
                    cursors.extend(x.unit_row(row).map(|(column, value)| Cursor {
                        layer: self.fusion.layer(m),
                        weight: share * value,
                        list: postings.list(column),
                    }));
                }
            }
            cursors
        };
        rows.map(of).collect()
    }

    /// Adds the weighted cosines of the dense spaces to their layers of the tile.
    fn add_dense(&self, rows: Range<usize>, tile: Range<usize>, s: &mut Scratch) {
        let spaces = self.queries.spaces.iter().zip(&self.gallery.spaces);
        let stride = rows.len() * tile.len();
        for (m, (query, gallery)) in spaces.enumerate() {
            let (Ready::Dense(query), Ready::Dense(gallery)) = (query, gallery) else {
                continue;
            };
            query.unit_rows(rows.clone(), &mut s.left);
            gallery.unit_rows(tile.clone(), &mut s.right);
            let layer = &mut s.scores[self.fusion.layer(m) * stride..][..stride];
            let share = self.fusion.share(m);
            add_product(layer, &s.left, &s.right, query.dims(), share);
        }
    }

    /// Makes candidates of the gallery rows from `start` on that are strong enough.
    fn pick(&self, layers: &Layers, start: usize, query: &mut Query, room: &mut Vec<f32>) {
        const STEP: usize = 32;
        // A row of zeros has a bar that nothing reaches.
        if query.low.is_nan() {
            return;
        }
        let full = 4 * self.k + 256;
        let sieve = self.fusion.sieve(layers, query.low, room);
        for (n, chunk) in sieve.line.chunks(STEP).enumerate() {
            let low = query.low;
            let bar = sieve.bar.unwrap_or(low);
            if !chunk.iter().fold(false, |any, &x| any | (x >= bar)) {
                continue;
            }
            for (i, &value) in chunk.iter().enumerate() {
                if value < bar {
                    continue;
                }
                let place = n * STEP + i;
                let (row, strength) = (start + place, self.fusion.strength(layers, &sieve, place));
                if strength >= low && self.gallery.has(row) {
                    query.candidates.push((row as u32, strength));
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
        let sure = f64::from(kth) - query.margin;
        if !self.fusion.tells_apart(sure) {
            return;
        }
        query.low = query.low.max((sure - query.margin) as f32);
        let low = query.low;
        query.candidates.retain(|c| c.1 >= low);
    }

    /// Scores all candidates exactly.
    fn settle(&self, query: &mut Query) {
        for (row, _) in query.candidates.drain(..) {
            let cosines = self.queries.cosines(query.row, self.gallery, row as usize);
            let score = self.fusion.score(cosines);
            query.best.push(row, score);
        }
        query.best.shrink();
        let low = self.fusion.bar(query.best.floor()) - query.margin;
        query.low = query.low.max(low as f32);
    }
}

/// Adds one term's products to one query's line of the tile from `start`; tiles come in ascending order.
fn add_sparse(line: &mut [f32], start: usize, cursor: &mut Cursor) {
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
