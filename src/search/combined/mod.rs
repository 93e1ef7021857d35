//! Exact top-k by a weighted sum of cosines over several spaces, dense and sparse together.

mod dense;
mod side;
mod sparse;
mod tile;

use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::lists::Lists;
use crate::search::TopK;
use crate::tensor::{Csr, Matrix};
use side::Side;
use tile::{BLOCK, Scratch, Tiles};

/// A non-zero weight lies between these, so that sums of weighted cosines keep all their digits.
const WEIGHTS: std::ops::RangeInclusive<f64> = 1e-100..=1e100;

/// How the cosines of several spaces become one score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fuse {
    /// The weighted sum, divided by the sum of the weights: the weighted mean.
    Mean,
    /// `a + b - ab` over the positive parts of the weighted cosines, space after space (a probabilistic
    /// or): 1 - the product of `1 - max(0, w_m cos_m)`, with weights within 0 and 1.
    Either,
    /// The sum of `(max(0, w_m cos_m))^power`: a match where it passes 1.
    Power(f64),
}

/// One kind of evidence on the same listings: row `i` is listing `i`'s.
#[derive(Debug, Clone, Copy)]
pub enum Space<'a> {
    /// Embeddings.
    Dense(&'a Matrix),
    /// Term weights.
    Sparse(&'a Csr),
}

impl Space<'_> {
    fn rows(&self) -> usize {
        match self {
            Space::Dense(x) => x.rows(),
            Space::Sparse(x) => x.rows(),
        }
    }

    fn columns(&self) -> usize {
        match self {
            Space::Dense(x) => x.dims(),
            Space::Sparse(x) => x.cols(),
        }
    }

    fn shape(&self) -> [usize; 2] {
        [self.rows(), self.columns()]
    }
}

/// For each row its best rows by `sum over m of w_m * cos_m`, the row itself among them.
///
/// `spaces` are `(space, weight)`, all with the same rows. The scores are combined **before** the
/// top-k is taken: the answer is that of a brute force over all pairs in `f64`, which merging the
/// finished top-k of each space is not. Spaces are added in the order given; a row of zeros in a
/// space adds 0 there. A row that is zero in every space has no neighbours and is nobody's; any
/// other pair has a score, 0 included, and is kept if the score is at least `opt.min_score`. Weights
/// need not sum to 1. A space of weight 0 is left out as if it were not there.
///
/// `cos_m` of a dense space sums products in `f64` in 32 lanes (element `t` in lane `t % 32`,
/// folded in halves), that of a sparse one in ascending column order, each divided by
/// `sqrt(|a|^2 |b|^2)` and clamped to -1..=1. Neighbours are ranked by higher score, then lower row.
/// Memory is `O(rows * k + values)`, and per thread one tile; scores of all pairs are never stored.
///
/// # Errors
/// [`Kind::Input`](crate::error::Kind::Input) for no spaces, a weight that is negative, not finite,
/// or not 0 and outside 1e-100..=1e100, weights that are all 0, and a row with a NaN or an infinity,
/// which is named; [`Kind::Shape`](crate::error::Kind::Shape) when spaces differ in rows; whatever
/// [`TopK::check`] says of `opt`.
pub fn combined(spaces: &[(Space<'_>, f64)], opt: &TopK) -> Result<Lists> {
    opt.check()?;
    let (spaces, weights) = weighted(spaces)?;
    let side = Side::new(&spaces, "")?;
    let postings = side.index();
    Ok(search(&Tiles::new(&side, &side, &postings, &weights, opt)))
}

/// For each row of `queries` its best rows of `gallery` by `sum over m of w_m * cos_m`; otherwise as
/// [`combined`]. The weights stand with the queries; `gallery[m]` is the space of `queries[m]`.
///
/// # Errors
/// As [`combined`], and [`Kind::Shape`](crate::error::Kind::Shape) when the two do not have the same
/// spaces, or a space's two sides differ in columns.
pub fn combined_against(
    queries: &[(Space<'_>, f64)],
    gallery: &[Space<'_>],
    opt: &TopK,
) -> Result<Lists> {
    opt.check()?;
    if queries.len() != gallery.len() {
        return Err(
            Error::shape("combined search", &[queries.len()], &[gallery.len()])
                .mend("give queries and gallery the same spaces"),
        );
    }
    for ((query, _), gallery) in queries.iter().zip(gallery) {
        let same = matches!(
            (query, gallery),
            (Space::Dense(_), Space::Dense(_)) | (Space::Sparse(_), Space::Sparse(_))
        );
        if !same || query.columns() != gallery.columns() {
            return Err(
                Error::shape("combined search", &query.shape(), &gallery.shape())
                    .mend("give queries and gallery the same spaces in the same order"),
            );
        }
    }
    let gallery: Vec<(Space, f64)> = gallery
        .iter()
        .zip(queries)
        .map(|(&space, query)| (space, query.1))
        .collect();
    let (queries, weights) = weighted(queries)?;
    let (gallery, _) = weighted(&gallery)?;
    let queries = Side::new(&queries, " of the queries")?;
    let gallery = Side::new(&gallery, " of the gallery")?;
    let postings = gallery.index();
    Ok(search(&Tiles::new(
        &queries, &gallery, &postings, &weights, opt,
    )))
}

/// The spaces whose weight is not 0, with their weights.
fn weighted<'a>(spaces: &[(Space<'a>, f64)]) -> Result<(Vec<Space<'a>>, Vec<f64>)> {
    let first = spaces.first().ok_or_else(|| {
        Error::input("no spaces to search")
            .op("combined search")
            .mend("give at least one space")
    })?;
    for (m, (space, weight)) in spaces.iter().enumerate() {
        if space.rows() != first.0.rows() {
            return Err(
                Error::shape("combined search", &first.0.shape(), &space.shape())
                    .mend("give every space one row a listing"),
            );
        }
        if *weight != 0.0 && !WEIGHTS.contains(weight) {
            return Err(
                Error::input(format!("the weight of space {} is {weight}", m + 1))
                    .op("combined search")
                    .mend("use 0, or a positive weight of common size such as 1"),
            );
        }
    }
    let kept: (Vec<_>, Vec<_>) = spaces.iter().copied().filter(|s| s.1 != 0.0).unzip();
    if kept.0.is_empty() {
        return Err(Error::input("the weight of every space is 0")
            .op("combined search")
            .mend("give at least one space a positive weight"));
    }
    Ok(kept)
}

fn search(tiles: &Tiles) -> Lists {
    let pool: Mutex<Vec<Scratch>> = Mutex::new(Vec::new());
    let lock = || pool.lock().unwrap_or_else(PoisonError::into_inner);
    let rows = tiles.queries.rows();
    let blocks: Vec<Vec<Vec<(u32, f64)>>> = (0..rows.div_ceil(BLOCK))
        .into_par_iter()
        .map(|block| {
            let mut scratch = lock().pop().unwrap_or_default();
            let best = tiles.run(block * BLOCK..rows.min((block + 1) * BLOCK), &mut scratch);
            lock().push(scratch);
            best
        })
        .collect();
    Lists::from_rows(blocks.into_iter().flatten())
}
