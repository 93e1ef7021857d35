//! Query expansion.

use super::Expand;
use super::mix::Mix;
use super::power::power;
use super::unit::Unit;
use crate::error::Result;
use crate::lists::Lists;
use crate::tensor::Rows;

/// Each row of `x` moved towards the rows nearest to it: alpha query expansion, applied to every row.
///
/// Tan, section 3.3, equation 2 (after Radenovic et al.): `f(q) <- 1/n sum_i [f(q)^T f(top_i)]^alpha
/// f(top_i)` over the `k` best rows, here brought to unit length again, so that `1/n` does not matter.
/// With `alpha` 0 it is equation 1, average query expansion. All rows move at once: every one sees the
/// others as they stand in `x`.
///
/// The row itself is the first of the `k`, with similarity 1, also where rows equal to it have pushed it
/// out of its own list; the other `k - 1` are the best that `lists` has for it, with the scores there.
/// A score is held to `0..=1`, so a negative one weighs `0^alpha`: nothing, and 1 when `alpha` is 0, as
/// AQE weighs all alike. Rows of `x` count as unit rows whatever their length, and so do the rows that
/// come back. A row of zeros stays zeros, and nobody is moved towards it. A row without neighbours stays
/// itself, and so does one whose neighbours take all of it away (a sum that cancels out).
///
/// Sums run in `f64`, the row first and its neighbours in the order of the list; a column of sparse rows
/// that adds up to 0 is left out. Memory is `O(rows * dims)`.
///
/// ```
/// use doppel::lists::Lists;
/// use doppel::refine::{Expand, expand};
/// use doppel::tensor::{Matrix, Rows};
///
/// let x = Rows::Dense(Matrix::new(2, 2, vec![1.0, 0.0, 0.6, 0.8])?);
/// let lists = Lists::from_rows([[(0, 1.0), (1, 0.6)], [(1, 1.0), (0, 0.6)]]);
/// let Rows::Dense(y) = expand(&x, &lists, &Expand { k: 2, alpha: 3.0 })? else { unreachable!() };
/// // (1, 0) + 0.6^3 (0.6, 0.8) = (1.1296, 0.1728), of unit length (0.9885, 0.1512).
/// assert!((y.row(0)[0] - 0.9885).abs() < 1e-4 && (y.row(0)[1] - 0.1512).abs() < 1e-4);
/// # Ok::<(), doppel::Error>(())
/// ```
///
/// The second-placed system puts the expanded row beside the row as it was; that is
/// [`concat`](super::concat) of `(x, 1)` and `(y, 1)`.
///
/// # Errors
/// What [`Expand::check`] says; a row with a NaN or an infinity, which is named;
/// [`Kind::Shape`](crate::error::Kind::Shape) unless there is one list for each row;
/// [`Kind::Input`](crate::error::Kind::Input) for lists that no search makes (a score that is not finite,
/// a neighbour outside the rows, not best first), naming the row.
pub fn expand(x: &Rows, lists: &Lists, e: &Expand) -> Result<Rows> {
    e.check()?;
    let unit = Unit::new(x, "expand", "the rows")?;
    run(&unit, &unit, lists, e, true)
}

/// Each row of `queries` moved towards the rows of `gallery` nearest to it: as [`expand`], with the query
/// itself the first of the `k` and the other `k - 1` from `gallery`, which `lists` names.
///
/// # Errors
/// As [`expand`], and [`Kind::Shape`](crate::error::Kind::Shape) when the two sides are not rows of one
/// kind with the same columns.
pub fn expand_against(queries: &Rows, gallery: &Rows, lists: &Lists, e: &Expand) -> Result<Rows> {
    e.check()?;
    let queries = Unit::new(queries, "expand", "the queries")?;
    let gallery = Unit::new(gallery, "expand", "the gallery")?;
    run(&queries, &gallery, lists, e, false)
}

fn run(own: &Unit, others: &Unit, lists: &Lists, e: &Expand, same: bool) -> Result<Rows> {
    let mix = Mix {
        own,
        others,
        lists,
        same,
    };
    mix.check("expand")?;
    mix.run(|others, chosen| {
        let weight = |(j, score): (u32, f64)| (j, power(score.clamp(0.0, 1.0), e.alpha));
        chosen.extend(others.take(e.k - 1).map(weight));
    })
}
