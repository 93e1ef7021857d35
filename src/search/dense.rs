//! Exact top-k by cosine over dense rows.
//!
//! A fast pass in exact integer arithmetic over rounded rows finds every pair that the error bound
//! of [`pack`](crate::device::cpu::pack) cannot rule out; those are scored in `f64` and ranked by
//! that score. The result is that of scoring all pairs in `f64`, near-ties included.

use super::TopK;
use super::dense_join::{Source, Tuning, join};
use super::dense_rows::Rows;
use crate::device::cpu::Kernel;
use crate::device::cpu::dot::{dot, prefetch};
use crate::device::cpu::pack;
use crate::device::cpu::tile::{self, Hit, Packed, STRIP};
use crate::error::{Error, Result};
use crate::lists::Lists;
use crate::tensor::Matrix;
use std::ops::Range;

/// The cosine of two rows as every dense search ranks and returns it:
/// `dot(a, b) / sqrt(dot(a, a) * dot(b, b))`, clamped to `[-1, 1]`, with
/// [`dot`](crate::device::cpu::dot::dot)'s fixed order of additions in `f64`. `None` for a row of
/// zeros, and for one with a NaN or an infinity.
///
/// It is symmetric to the bit, and exactly 1 for equal rows, since `sqrt(x * x)` is `x`.
pub fn cosine(a: &[f32], b: &[f32]) -> Option<f64> {
    let kernel = Kernel::best();
    let (aa, bb) = (dot(kernel, a, a), dot(kernel, b, b));
    let usable = |norm: f64| norm > 0.0 && norm.is_finite();
    (usable(aa) && usable(bb)).then(|| ratio(dot(kernel, a, b), aa, bb))
}

#[inline]
fn ratio(ab: f64, aa: f64, bb: f64) -> f64 {
    // Squares of f32 norms lie between 1e-90 and 1e82: their product neither underflows nor
    // overflows.
    (ab / (aa * bb).sqrt()).clamp(-1.0, 1.0)
}

/// The `k` best neighbours of every row of `x` among all rows of `x`, the row itself included, by
/// cosine: higher score first, then lower row. A row of zeros has no neighbours and is nobody's.
///
/// The result is that of a brute force over all pairs with [`cosine`], for any number of threads.
/// Memory is `O(rows * (dims + k))`.
///
/// # Errors
/// As [`TopK`]'s bounds say, and [`Kind::Input`](crate::error::Kind::Input) for a NaN or an
/// infinity, naming the row.
///
/// ```
/// use doppel::search::{TopK, dense};
/// use doppel::tensor::Matrix;
///
/// let x = Matrix::new(3, 2, vec![1.0, 0.0, 0.6, 0.8, 0.0, 2.0])?;
/// let lists = dense(&x, &TopK { k: 2, min_score: None })?;
/// assert_eq!(lists.row(0).rows, [0, 1]);
/// assert_eq!(lists.row(2).rows, [2, 1]);
/// # Ok::<(), doppel::Error>(())
/// ```
pub fn dense(x: &Matrix, opt: &TopK) -> Result<Lists> {
    dense_tuned(x, None, opt, &Tuning::default())
}

/// The `k` best neighbours of every row of `queries` among the rows of `gallery`; otherwise as
/// [`dense`].
///
/// # Errors
/// As [`dense`], and [`Kind::Shape`](crate::error::Kind::Shape) when the dimensions differ.
pub fn dense_against(queries: &Matrix, gallery: &Matrix, opt: &TopK) -> Result<Lists> {
    dense_tuned(queries, Some(gallery), opt, &Tuning::default())
}

/// [`dense`] (without a gallery) and [`dense_against`] with a tuning.
#[doc(hidden)]
pub fn dense_tuned(
    queries: &Matrix,
    gallery: Option<&Matrix>,
    opt: &TopK,
    tuning: &Tuning,
) -> Result<Lists> {
    opt.check()?;
    if let Some(gallery) = gallery
        && gallery.dims() != queries.dims()
    {
        let shape = |m: &Matrix| [m.rows(), m.dims()];
        return Err(Error::shape("topk", &shape(queries), &shape(gallery)));
    }
    let what = if gallery.is_some() {
        "a query"
    } else {
        "an embedding"
    };
    let left = Rows::new(queries, tuning.kernel, what)?;
    let right = gallery
        .map(|gallery| Rows::new(gallery, tuning.kernel, "a gallery row"))
        .transpose()?;
    let right = right.as_ref().unwrap_or(&left);
    let pairs = Pairs {
        left: &left,
        right,
        kernel: tuning.kernel,
        worst: right.worst(),
        bound: tuning.bound,
    };
    let joined = join(&pairs, gallery.is_none(), opt.k, opt.min_score, tuning);
    Ok(left
        .classes
        .unfold(|class| joined.row(class), &right.classes, opt.k))
}

/// Queries and gallery (the same in a self-join), classes of equal rows each.
struct Pairs<'a> {
    left: &'a Rows<'a>,
    right: &'a Rows<'a>,
    kernel: Kernel,
    /// The largest rounding error of `right`.
    worst: f64,
    bound: f64,
}

impl Source for Pairs<'_> {
    const EXACT: bool = false;
    const GROUP: usize = tile::GROUP;

    fn shape(&self) -> (usize, usize) {
        (self.left.classes.len(), self.right.classes.len())
    }

    fn scan(
        &self,
        rows: Range<usize>,
        row_floors: &[i32],
        first_col: usize,
        col_floors: &[i32],
        hits: &mut Vec<Hit>,
    ) {
        tile::scan(
            self.kernel,
            Packed {
                lines: self.left.lines(),
                depth: self.left.depth(),
            },
            rows.start..rows.end.next_multiple_of(STRIP),
            row_floors,
            Packed {
                lines: self.right.lines(),
                depth: self.right.depth(),
            },
            first_col,
            col_floors,
            hits,
        );
    }

    fn score_all(
        &self,
        row: usize,
        cols: impl Iterator<Item = u32>,
        min_score: f64,
        out: &mut Vec<(u32, f64)>,
    ) {
        let (a, aa) = (self.left.row(row), self.left.norm2(row));
        let mut cols = cols.peekable();
        while let Some(col) = cols.next() {
            if let Some(&next) = cols.peek() {
                prefetch(self.right.row(next as usize));
            }
            let ab = dot(self.kernel, a, self.right.row(col as usize));
            let score = ratio(ab, aa, self.right.norm2(col as usize));
            if score >= min_score {
                out.push((col, score));
            }
        }
    }

    fn slack(&self, row: usize) -> i32 {
        let bound = self.bound * pack::bound(self.left.error(row), self.worst);
        (bound * pack::SCALE * pack::SCALE).ceil() as i32
    }

    fn floor(&self, row: usize, score: f64) -> i32 {
        // One more unit than the slack, for the rounding of the product.
        let dot = (score * pack::SCALE * pack::SCALE).floor();
        (dot - f64::from(self.slack(row)) - 1.0) as i32
    }
}
