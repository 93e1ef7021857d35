//! Exact top-k by one score from the cosines of several spaces, dense and sparse together.

mod card;
mod dense;
mod fuse;
mod side;
mod sparse;
mod tile;

use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::lists::Lists;
use crate::search::TopK;
use crate::tensor::{Csr, Matrix};
pub(in crate::search) use card::on_card;
pub use fuse::Fuse;
use fuse::{By, Fusion};
use side::Side;
use tile::{BLOCK, Scratch, Tiles};

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
    join(spaces, By::Sum, opt)
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
    against(queries, gallery, By::Sum, opt)
}

/// For each row its best rows by one score from the cosines of all spaces, as `by` has it, the row itself
/// among them; otherwise as [`combined`], whose score is the plain sum.
///
/// The scores are fused **before** the top-k is taken: the answer is that of a brute force over all pairs
/// in `f64`, spaces one after the other in the order given, powers by [`f64::powf`]. As in [`combined`] any
/// two rows that are not zero in every space have a score, 0 included, and cosines are as it says. Memory
/// is `O(rows * k + values)`, and per thread one tile, or one a space where `by` is not the mean.
///
/// ```
/// use doppel::search::{Fuse, Space, TopK, fused};
/// use doppel::tensor::{Csr, Matrix};
///
/// let images = Matrix::new(2, 2, vec![1.0, 0.0, 0.6, 0.8])?; // a cosine of .6
/// let titles = Csr::new(2, vec![0, 1, 3], vec![0, 0, 1], vec![1.0, 4.0, 3.0])?; // and one of .8
/// let spaces = [(Space::Dense(&images), 1.0), (Space::Sparse(&titles), 1.0)];
/// let opt = TopK { k: 50, min_score: None };
/// let score = |by: Fuse| fused(&spaces, by, &opt).map(|lists| lists.row(0).scores[1]);
/// assert!((score(Fuse::Mean)? - 0.7).abs() < 1e-7); // (.6 + .8) / 2
/// assert!((score(Fuse::Either)? - 0.92).abs() < 1e-7); // .6 + .8 - .6 * .8
/// assert!((score(Fuse::Power(2.0))? - 0.5).abs() < 1e-7); // .36 + .64 is 1, and 1 / (1 + 1)
/// # Ok::<(), doppel::Error>(())
/// ```
///
/// # Errors
/// As [`combined`], and what [`Fuse::check`] says.
pub fn fused(spaces: &[(Space<'_>, f64)], by: Fuse, opt: &TopK) -> Result<Lists> {
    by.check(&weights_of(spaces))?;
    join(spaces, By::Fuse(by), opt)
}

/// For each row of `queries` its best rows of `gallery` by one score from the cosines of all spaces;
/// otherwise as [`fused`]. The weights stand with the queries, as in [`combined_against`].
///
/// # Errors
/// As [`combined_against`], and what [`Fuse::check`] says.
pub fn fused_against(
    queries: &[(Space<'_>, f64)],
    gallery: &[Space<'_>],
    by: Fuse,
    opt: &TopK,
) -> Result<Lists> {
    by.check(&weights_of(queries))?;
    against(queries, gallery, By::Fuse(by), opt)
}

fn weights_of(spaces: &[(Space<'_>, f64)]) -> Vec<f64> {
    spaces.iter().map(|s| s.1).collect()
}

fn join(spaces: &[(Space<'_>, f64)], by: By, opt: &TopK) -> Result<Lists> {
    opt.check()?;
    Ok(search(&Prepared::new(spaces, None, by)?, opt))
}

fn against(
    queries: &[(Space<'_>, f64)],
    gallery: &[Space<'_>],
    by: By,
    opt: &TopK,
) -> Result<Lists> {
    opt.check()?;
    Ok(search(&Prepared::new(queries, Some(gallery), by)?, opt))
}

/// Both sides of a search made ready for whoever runs it.
struct Prepared<'a> {
    queries: Side<'a>,
    /// None where the queries are the gallery.
    gallery: Option<Side<'a>>,
    fusion: Fusion,
}

impl<'a> Prepared<'a> {
    /// What [`fused`] does, or [`combined`] without `by`; its checks are made, but for those of `opt`.
    fn fused(
        queries: &[(Space<'a>, f64)],
        gallery: Option<&[Space<'a>]>,
        by: Option<Fuse>,
    ) -> Result<Self> {
        let Some(by) = by else {
            return Prepared::new(queries, gallery, By::Sum);
        };
        by.check(&weights_of(queries))?;
        Prepared::new(queries, gallery, By::Fuse(by))
    }

    fn new(queries: &[(Space<'a>, f64)], gallery: Option<&[Space<'a>]>, by: By) -> Result<Self> {
        let Some(gallery) = gallery else {
            let (spaces, weights) = weighted(queries)?;
            return Ok(Prepared {
                queries: Side::new(&spaces, "")?,
                gallery: None,
                fusion: Fusion::new(by, weights),
            });
        };
        check_sides(queries, gallery)?;
        let gallery: Vec<(Space, f64)> = gallery
            .iter()
            .zip(queries)
            .map(|(&space, query)| (space, query.1))
            .collect();
        let (queries, weights) = weighted(queries)?;
        let (gallery, _) = weighted(&gallery)?;
        Ok(Prepared {
            queries: Side::new(&queries, " of the queries")?,
            gallery: Some(Side::new(&gallery, " of the gallery")?),
            fusion: Fusion::new(by, weights),
        })
    }

    fn gallery(&self) -> &Side<'a> {
        self.gallery.as_ref().unwrap_or(&self.queries)
    }
}

fn check_sides(queries: &[(Space<'_>, f64)], gallery: &[Space<'_>]) -> Result<()> {
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
    Ok(())
}

/// The spaces whose weight is not 0, with their weights.
fn weighted<'a>(spaces: &[(Space<'a>, f64)]) -> Result<(Vec<Space<'a>>, Vec<f64>)> {
    let op = "combined search";
    let first = spaces.first().ok_or_else(|| fuse::none().op(op))?;
    for (m, (space, weight)) in spaces.iter().enumerate() {
        if space.rows() != first.0.rows() {
            return Err(Error::shape(op, &first.0.shape(), &space.shape())
                .mend("give every space one row a listing"));
        }
        fuse::check_weight(m, *weight)?;
    }
    let kept: (Vec<_>, Vec<_>) = spaces.iter().copied().filter(|s| s.1 != 0.0).unzip();
    if kept.0.is_empty() {
        return Err(fuse::no_weight().op(op));
    }
    Ok(kept)
}

fn search(prepared: &Prepared, opt: &TopK) -> Lists {
    let postings = prepared.gallery().index();
    let (queries, gallery) = (&prepared.queries, prepared.gallery());
    let tiles = Tiles::new(queries, gallery, &postings, &prepared.fusion, opt);
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
