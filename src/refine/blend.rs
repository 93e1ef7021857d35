//! Neighbourhood blending, one stage or several.

use super::Blend;
use super::mix::{Mix, check_lists};
use super::unit::Unit;
use crate::error::Result;
use crate::lists::{Lists, best_first};
use crate::tensor::Rows;

/// Each row's neighbourhood: itself with weight 1, and the others with `d < distance`, or, where there are
/// none, the nearest one with `d < min2` (`d = 1 - score`; scores above 1 count as 1, those below 0 as 0).
///
/// These are the neighbours, and the weights, that [`blend`] sums, but for rows of zeros, which it leaves
/// out.
///
/// # Errors
/// What [`Blend::check`] says, and lists that no search makes, as in [`blend`].
pub fn neighbourhoods(lists: &Lists, b: &Blend) -> Result<Lists> {
    b.check()?;
    check_lists("blend", lists, lists.len())?;
    let mut near = Vec::new();
    let mut out = Lists::with_capacity(lists.len(), 2);
    for (i, list) in lists.iter().enumerate() {
        near.clear();
        near.push((i as u32, 1.0));
        let mut others = list.iter().filter(|&(j, _)| j as usize != i);
        neighbours(&mut others, b, &mut near);
        near.sort_by(best_first);
        out.push(near.iter().copied());
    }
    Ok(out)
}

/// Appends the neighbours among `others`, which come best first.
fn neighbours(others: &mut dyn Iterator<Item = (u32, f64)>, b: &Blend, out: &mut Vec<(u32, f64)>) {
    let weighed = |(j, score): (u32, f64)| (j, score.clamp(0.0, 1.0));
    let Some(nearest) = others.next() else {
        return;
    };
    if 1.0 - nearest.1 < b.distance {
        out.push(weighed(nearest));
        let near = others.take_while(|n| 1.0 - n.1 < b.distance);
        out.extend(near.map(weighed));
    } else if b.min2.is_some_and(|min2| 1.0 - nearest.1 < min2) {
        out.push(weighed(nearest));
    }
}

/// One stage of neighbourhood blending: `e_i <- normalise(e_i + sum_j s_ij e_j)` over the row's neighbours
/// `j`, all rows at once, so that every one sees the others as they stand in `x`.
///
/// Neighbours are the others with `d = 1 - s < distance`; a row without any takes its nearest when that has
/// `d < min2` (Yang, section 4.4, after the winner of the competition). Yang's equation 40 is an example
/// that contradicts the text before it: it gives `D` the similarity .94 and `B` .93 where the text has
/// `B` .94, `C` .93 and `D` .53, and it adds all three to `A` where the figure leaves one unconnected. The
/// text, and the code that the systems share, are what this follows: each neighbour with its own
/// similarity.
///
/// `lists` may come from a search in another space than `x`, as where a system blends image and title rows
/// by one combined graph. Scores above 1 weigh 1, and negative ones nothing. Rows count as unit rows, and
/// rows of zeros, rows without neighbours, sums that cancel out, the order of sums and memory are as in
/// [`expand`](super::expand).
///
/// ```
/// use doppel::lists::Lists;
/// use doppel::refine::{Blend, blend};
/// use doppel::tensor::{Matrix, Rows};
///
/// let x = Rows::Dense(Matrix::new(2, 2, vec![1.0, 0.0, 0.6, 0.8])?);
/// let lists = Lists::from_rows([[(0, 1.0), (1, 0.6)], [(1, 1.0), (0, 0.6)]]);
/// let stage = Blend { distance: 0.5, min2: None };
/// let Rows::Dense(y) = blend(&x, &lists, &stage)? else { unreachable!() };
/// // (1, 0) + 0.6 (0.6, 0.8) = (1.36, 0.48), of unit length (0.9430, 0.3328).
/// assert!((y.row(0)[0] - 0.9430).abs() < 1e-4 && (y.row(0)[1] - 0.3328).abs() < 1e-4);
/// # Ok::<(), doppel::Error>(())
/// ```
///
/// # Errors
/// What [`Blend::check`] says, and otherwise as [`expand`](super::expand).
pub fn blend(x: &Rows, lists: &Lists, b: &Blend) -> Result<Rows> {
    b.check()?;
    let unit = Unit::new(x, "blend", "the rows")?;
    run(&unit, &unit, lists, b, true)
}

/// One stage of blending for rows that are not in the gallery: as [`blend`], each query with weight 1 and
/// its neighbours from `gallery`, which `lists` names.
///
/// Over several stages `gallery` is the gallery as this stage finds it, blended by the stages before and not
/// by this one, under the same thresholds as the queries: what a query would get as a row of the gallery
/// that is no other row's neighbour.
///
/// # Errors
/// As [`blend`], and [`Kind::Shape`](crate::error::Kind::Shape) when the two sides are not rows of one
/// kind with the same columns.
pub fn blend_against(queries: &Rows, gallery: &Rows, lists: &Lists, b: &Blend) -> Result<Rows> {
    b.check()?;
    let queries = Unit::new(queries, "blend", "the queries")?;
    let gallery = Unit::new(gallery, "blend", "the gallery")?;
    run(&queries, &gallery, lists, b, false)
}

fn run(own: &Unit, others: &Unit, lists: &Lists, b: &Blend, same: bool) -> Result<Rows> {
    let mix = Mix {
        own,
        others,
        lists,
        same,
    };
    mix.check("blend")?;
    mix.run(|others, chosen| neighbours(others, b, chosen))
}

/// Iterative neighbourhood blending (INB): stage after stage, each over neighbours that `search` finds among
/// the rows **as the stage before left them**.
///
/// A stage's thresholds belong to the rows that it searches, so those of the second stage are distances
/// between rows that are blended once. One published run searched its later thresholds on blended rows and
/// applied them to the neighbours of the unblended ones; that is another, and a worse, result. What the
/// last stage leaves is not searched here: the answer is a search over the rows that come back.
///
/// Without stages the answer is `x` as it stands.
///
/// ```
/// use doppel::refine::{Blend, blend_stages};
/// use doppel::search::{TopK, dense};
/// use doppel::tensor::{Matrix, Rows};
///
/// let x = Rows::Dense(Matrix::new(3, 2, vec![1.0, 0.0, 0.8, 0.6, 0.0, 1.0])?);
/// let stages = [Blend { distance: 0.3, min2: Some(0.45) }, Blend { distance: 0.1, min2: None }];
/// let opt = TopK { k: 50, min_score: None };
/// let blended = blend_stages(&x, &stages, &|x| match x {
///     Rows::Dense(x) => dense(x, &opt),
///     Rows::Sparse(x) => doppel::search::sparse(x, &opt),
/// })?;
/// assert_eq!(blended.rows(), 3);
/// # Ok::<(), doppel::Error>(())
/// ```
///
/// # Errors
/// What [`Blend::check`] says of any stage, before anything is searched; what `search` says; as [`blend`].
pub fn blend_stages(
    x: &Rows,
    stages: &[Blend],
    search: &dyn Fn(&Rows) -> Result<Lists>,
) -> Result<Rows> {
    stages.iter().try_for_each(Blend::check)?;
    let mut blended: Option<Rows> = None;
    for stage in stages {
        let x = blended.as_ref().unwrap_or(x);
        blended = Some(blend(x, &search(x)?, stage)?);
    }
    Ok(blended.unwrap_or_else(|| x.clone()))
}
