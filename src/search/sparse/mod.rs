//! Exact top-k by cosine between sparse rows.

pub(in crate::search) mod best;
mod filter;
mod index;
mod query;
pub(in crate::search) mod rows;
mod sweep;

use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use crate::device::{Device, SparseSearch, Stream};
use crate::error::{Error, Result};
use crate::lists::{Lists, Neighbours};
use crate::search::TopK;
use crate::tensor::Csr;
pub(in crate::search) use index::unit;

use index::Index;
use query::Search;
use rows::{NO_GROUP, Rows, Terms};

/// Query groups that one task searches.
const BLOCK: usize = 64;

/// For each row of `x` its best rows of `x` by cosine, the row itself among them.
///
/// The score of two rows is the sum of `a[c] * b[c]` over the columns `c` in which both are not
/// zero, taken in ascending order in `f64`, divided by `sqrt(|a|^2 |b|^2)` (both sums of squares
/// taken the same way) and clamped to -1..=1. Equal rows score exactly 1.0. Neighbours are ranked by
/// higher score, then lower row, and the answer is that of a brute force over all pairs.
///
/// **A pair without a common non-zero column is never listed**, whatever `min_score` says: it is no
/// evidence of anything. So `min_score: None` lists every pair that shares a column, whose scores
/// are negative where values are; a row without any non-zero value has no neighbours and is
/// nobody's. A row stands in its own list unless `k` lower rows are equal to it.
///
/// The work shrinks with a rising `min_score`, and without one with the score of each row's k-th
/// best (see the module `index`). Memory is `O(rows * k + values)`, and per thread `O(rows)`.
///
/// # Errors
/// [`Kind::Input`](crate::error::Kind::Input) naming the row that holds a NaN or an infinity, and
/// whatever [`TopK::check`] says of `opt`.
pub fn sparse(x: &Csr, opt: &TopK) -> Result<Lists> {
    opt.check()?;
    Ok(search(&Prepared::new(x, None)?, opt))
}

/// For each row of `queries` its best rows of `gallery` by cosine: as [`sparse`] says, with a row's
/// neighbours taken from `gallery` alone.
///
/// # Errors
/// As [`sparse`], and [`Kind::Shape`](crate::error::Kind::Shape) when the two have different
/// numbers of columns.
pub fn sparse_against(queries: &Csr, gallery: &Csr, opt: &TopK) -> Result<Lists> {
    opt.check()?;
    Ok(search(&Prepared::new(queries, Some(gallery))?, opt))
}

/// Both sides of a sparse search made ready for whoever runs it: equal rows folded into groups, columns
/// numbered as terms of the gallery.
struct Prepared {
    queries: Rows,
    /// None where the queries are the gallery.
    gallery: Option<Rows>,
    terms: Terms,
}

impl Prepared {
    /// # Errors
    /// As [`sparse_against`], but for what [`TopK::check`] says.
    fn new(queries: &Csr, gallery: Option<&Csr>) -> Result<Self> {
        let Some(gallery) = gallery else {
            let columns = queries.cols();
            let mut queries = Rows::new(queries, "the matrix")?;
            let terms = Terms::new(&queries, columns);
            queries.renumber(&terms);
            return Ok(Prepared {
                queries,
                gallery: None,
                terms,
            });
        };
        if queries.cols() != gallery.cols() {
            let shape = |x: &Csr| [x.rows(), x.cols()];
            return Err(
                Error::shape("sparse search", &shape(queries), &shape(gallery))
                    .mend("make both with one vocabulary"),
            );
        }
        let mut queries = Rows::new(queries, "the queries")?;
        let columns = gallery.cols();
        let mut gallery = Rows::new(gallery, "the gallery")?;
        let terms = Terms::new(&gallery, columns);
        queries.renumber(&terms);
        gallery.renumber(&terms);
        Ok(Prepared {
            queries,
            gallery: Some(gallery),
            terms,
        })
    }

    /// How many terms there are.
    fn terms(&self) -> usize {
        self.terms.len()
    }

    fn gallery(&self) -> &Rows {
        self.gallery.as_ref().unwrap_or(&self.queries)
    }

    /// The lists of all rows, when `best(g)` are the `k` best groups of query group `g`, best first.
    fn unfold(&self, k: usize, best: impl Fn(usize) -> Vec<(u32, f64)>) -> Lists {
        let mut groups = Lists::default();
        for g in 0..self.queries.len() {
            groups.push(members(&best(g), self.gallery(), k));
        }
        rows_of(&self.queries, |g| groups.row(g))
    }
}

/// [`sparse`], or with a gallery [`sparse_against`], on a card; `cut` as in [`SparseSearch`].
pub(in crate::search) fn on_card(
    device: &dyn Device,
    queries: &Csr,
    gallery: Option<&Csr>,
    opt: &TopK,
    cut: Option<[usize; 2]>,
) -> Result<Lists> {
    opt.check()?;
    let prepared = Prepared::new(queries, gallery)?;
    let (left, right) = (
        prepared.queries.pack(),
        prepared.gallery.as_ref().map(Rows::pack),
    );
    let asked = SparseSearch {
        queries: &left,
        gallery: right.as_ref(),
        terms: prepared.terms(),
        k: opt.k,
        min_score: opt.min_score,
        cut,
    };
    let found = device.topk_sparse(&asked, Stream::DEFAULT)?;
    Ok(prepared.unfold(opt.k, |g| found.row(g).iter().collect()))
}

/// The list of its group for each row.
fn rows_of<'a>(queries: &Rows, list: impl Fn(usize) -> Neighbours<'a>) -> Lists {
    let mut lists = Lists::with_capacity(queries.group_of().len(), 0);
    for &group in queries.group_of() {
        match group {
            NO_GROUP => lists.push([]),
            group => lists.push(list(group as usize).iter()),
        }
    }
    lists
}

/// The cosine of two rows from their dot product and their sums of squares.
pub(in crate::search) fn cosine(dot: f64, norm_a: f64, norm_b: f64) -> f64 {
    (dot / (norm_a * norm_b).sqrt()).clamp(-1.0, 1.0)
}

fn search(prepared: &Prepared, opt: &TopK) -> Lists {
    let (queries, gallery) = (&prepared.queries, prepared.gallery());
    let index = Index::new(gallery, &prepared.terms);
    let search = Search {
        queries,
        gallery,
        index: &index,
        terms: prepared.terms(),
        k: opt.k,
        floor: opt.floor(),
        signed: queries.signed() || gallery.signed(),
    };
    let pool = Mutex::new(Vec::new());
    let lock = || pool.lock().unwrap_or_else(PoisonError::into_inner);
    let blocks: Vec<Lists> = (0..queries.len().div_ceil(BLOCK))
        .into_par_iter()
        .map(|block| {
            let mut scratch = lock().pop().unwrap_or_else(|| search.scratch());
            let mut lists = Lists::default();
            for q in block * BLOCK..queries.len().min((block + 1) * BLOCK) {
                let best = search.run(q, &mut scratch);
                lists.push(members(&best, gallery, opt.k));
            }
            lock().push(scratch);
            lists
        })
        .collect();
    rows_of(queries, |g| blocks[g / BLOCK].row(g % BLOCK))
}

/// The best `k` rows of the best groups: equal scores by ascending row. Every group that has a row
/// among the best `k` is among the best `k` groups, for its first row then is too.
fn members(best: &[(u32, f64)], gallery: &Rows, k: usize) -> Vec<(u32, f64)> {
    let mut rows = Vec::with_capacity(best.len().min(k));
    let mut tied = Vec::new();
    for tie in best.chunk_by(|a, b| a.1 == b.1) {
        let room = k - rows.len();
        if room == 0 {
            break;
        }
        tied.clear();
        for &(group, _) in tie {
            tied.extend(gallery.members(group as usize).iter().take(room));
        }
        if tie.len() > 1 {
            tied.sort_unstable();
        }
        rows.extend(tied.iter().take(room).map(|&row| (row, tie[0].1)));
    }
    rows
}
