//! The one loop of expansion and blending: each row and some weighted others, summed and of unit length.

use rayon::prelude::*;

use super::unit::{BLOCK, Unit, UnitDense, UnitSparse, square};
use crate::error::{Error, Result};
use crate::lists::{Lists, Neighbours};
use crate::tensor::{Csr, Matrix, Rows};

/// A sum shorter than this share of its weights has cancelled out: its direction is rounding alone.
const CANCELLED: f64 = 1e-12;

/// Which rows are mixed: each of `own` with some of `others`, which `lists` names.
pub(super) struct Mix<'a> {
    pub own: &'a Unit<'a>,
    pub others: &'a Unit<'a>,
    pub lists: &'a Lists,
    /// Whether the two sides are the same rows, so that a row's list may name the row itself.
    pub same: bool,
}

impl Mix<'_> {
    /// # Errors
    /// Two sides of other kinds or columns; a list too many or too few; lists that no search makes.
    pub fn check(&self, op: &'static str) -> Result<()> {
        let shape = |x: &Unit| [x.rows(), x.dims()];
        let kinds = matches!(
            (self.own, self.others),
            (Unit::Dense(_), Unit::Dense(_)) | (Unit::Sparse(_), Unit::Sparse(_))
        );
        if !kinds || self.own.dims() != self.others.dims() {
            let error = Error::shape(op, &shape(self.own), &shape(self.others));
            return Err(error.mend("give queries and gallery rows of one space"));
        }
        if self.lists.len() != self.own.rows() {
            let error = Error::shape(op, &shape(self.own), &[self.lists.len()]);
            return Err(error.mend("give one list of neighbours for each row"));
        }
        check_lists(op, self.lists, self.others.rows())
    }

    /// Each row with the others that `choose` takes from those that its list names: rows of zeros and
    /// the row itself are left out before. A row of zeros stays one.
    pub fn run<C>(&self, choose: C) -> Result<Rows>
    where
        C: Fn(&mut dyn Iterator<Item = (u32, f64)>, &mut Vec<(u32, f64)>) + Sync,
    {
        let chosen = |i: usize, out: &mut Vec<(u32, f64)>| {
            out.clear();
            let mut others =
                self.lists.row(i).iter().filter(|&(j, _)| {
                    !(self.same && j as usize == i) && self.others.has(j as usize)
                });
            choose(&mut others, out);
            out.retain(|&(_, weight)| weight > 0.0);
        };
        match (self.own, self.others) {
            (Unit::Dense(own), Unit::Dense(others)) => dense(own, others, chosen),
            (Unit::Sparse(own), Unit::Sparse(others)) => sparse(own, others, chosen),
            // `check` lets only rows of one kind meet.
            _ => Err(Error::internal("dense rows met sparse ones").op("refine")),
        }
    }
}

fn dense(
    own: &UnitDense,
    others: &UnitDense,
    chosen: impl Fn(usize, &mut Vec<(u32, f64)>) + Sync,
) -> Result<Rows> {
    let (rows, dims) = (own.x.rows(), own.x.dims());
    let mut data = vec![0f32; rows * dims];
    // Without columns there is nothing to write, and chunks must not be empty.
    let chunks = data.par_chunks_mut((BLOCK * dims).max(1)).enumerate();
    chunks.for_each_init(
        || (Vec::new(), vec![0f64; dims]),
        |(parts, sum), (block, out)| {
            for (n, out) in out.chunks_exact_mut(dims).enumerate() {
                let i = block * BLOCK + n;
                let scale = own.scale[i];
                if scale == 0.0 {
                    continue;
                }
                let x = own.x.row(i);
                for (sum, &x) in sum.iter_mut().zip(x) {
                    *sum = scale * f64::from(x);
                }
                chosen(i, parts);
                for &(j, weight) in &*parts {
                    let weight = weight * others.scale[j as usize];
                    for (sum, &x) in sum.iter_mut().zip(others.x.row(j as usize)) {
                        *sum += weight * f64::from(x);
                    }
                }
                match shrink(square(sum), parts) {
                    Some(shrink) => {
                        for (out, sum) in out.iter_mut().zip(&*sum) {
                            *out = (shrink * sum) as f32;
                        }
                    }
                    None => {
                        for (out, &x) in out.iter_mut().zip(x) {
                            *out = (scale * f64::from(x)) as f32;
                        }
                    }
                }
            }
        },
    );
    Ok(Rows::Dense(Matrix::new(rows, dims, data)?))
}

/// Columns and values of a block of rows, and how many each row has.
type SparseBlock = (Vec<usize>, Vec<u32>, Vec<f64>);

fn sparse(
    own: &UnitSparse,
    others: &UnitSparse,
    chosen: impl Fn(usize, &mut Vec<(u32, f64)>) + Sync,
) -> Result<Rows> {
    let rows = own.x.rows();
    let blocks = blocks(rows, |range| {
        let mut block: SparseBlock = Default::default();
        let (mut parts, mut terms) = (Vec::new(), Vec::new());
        for i in range {
            let start = block.1.len();
            if own.has(i) {
                chosen(i, &mut parts);
                terms.clear();
                terms.extend(own.row(i));
                for &(j, weight) in &parts {
                    terms.extend(others.row(j as usize).map(|(c, v)| (c, weight * v)));
                }
                // Stable, so that a column's values are added in the order of the rows.
                terms.sort_by_key(|t| t.0);
                for column in terms.chunk_by(|a, b| a.0 == b.0) {
                    let sum: f64 = column.iter().map(|t| t.1).sum();
                    if sum != 0.0 {
                        block.1.push(column[0].0);
                        block.2.push(sum);
                    }
                }
                match shrink(square(&block.2[start..]), &parts) {
                    Some(shrink) => block.2[start..].iter_mut().for_each(|v| *v *= shrink),
                    None => {
                        block.1.truncate(start);
                        block.2.truncate(start);
                        for (column, value) in own.row(i).filter(|t| t.1 != 0.0) {
                            block.1.push(column);
                            block.2.push(value);
                        }
                    }
                }
            }
            block.0.push(block.1.len() - start);
        }
        block
    });
    join(own.x.cols(), blocks)
}

/// What makes a sum of length `sqrt(square)` a unit row; none when it has cancelled out.
fn shrink(square: f64, parts: &[(u32, f64)]) -> Option<f64> {
    let weights = parts.iter().fold(1.0, |sum, part| sum + part.1);
    let length = square.sqrt();
    (length > CANCELLED * weights).then(|| 1.0 / length)
}

/// Runs `work` on blocks of rows in parallel; the results come in the order of the rows.
pub(super) fn blocks<T: Send>(
    rows: usize,
    work: impl Fn(std::ops::Range<usize>) -> T + Sync,
) -> Vec<T> {
    (0..rows.div_ceil(BLOCK))
        .into_par_iter()
        .map(|b| work(b * BLOCK..rows.min((b + 1) * BLOCK)))
        .collect()
}

/// One sparse matrix from blocks of rows.
pub(super) fn join(columns: usize, blocks: Vec<SparseBlock>) -> Result<Rows> {
    let total = blocks.iter().map(|b| b.1.len()).sum();
    let mut indptr = vec![0];
    let (mut indices, mut values) = (Vec::with_capacity(total), Vec::with_capacity(total));
    let mut end = 0;
    for (counts, columns, block) in blocks {
        for count in counts {
            end += count;
            indptr.push(end);
        }
        indices.extend(columns);
        values.extend(block);
    }
    Ok(Rows::Sparse(Csr::new(columns, indptr, indices, values)?))
}

/// Checks what taking the best of a list rests on: finite scores, best first, neighbours among `rows`.
pub(super) fn check_lists(op: &'static str, lists: &Lists, rows: usize) -> Result<()> {
    let wrong = |list: Neighbours| -> Option<&'static str> {
        if !list.scores.iter().all(|s| s.is_finite()) {
            return Some("a score is not finite");
        }
        if list.rows.iter().any(|&j| j as usize >= rows) {
            return Some("a neighbour lies outside the rows");
        }
        let pairs = list.scores.windows(2).zip(list.rows.windows(2));
        // Of equal scores only the two zeros differ in their bits; either order of those will do.
        let ordered = |(s, r): (&[f64], &[u32])| {
            s[0] > s[1] || (s[0] == s[1] && (r[0] < r[1] || s[0].to_bits() != s[1].to_bits()))
        };
        (!pairs.into_iter().all(ordered))
            .then_some("neighbours are not best first, ties by lower row")
    };
    let first = (0..lists.len())
        .into_par_iter()
        .with_min_len(BLOCK)
        .find_map_first(|i| wrong(lists.row(i)).map(|what| (i, what)));
    match first {
        Some((i, what)) => Err(Error::input(what)
            .op(op)
            .row(i as u64 + 1)
            .mend("give lists as doppel's searches make them")),
        None => Ok(()),
    }
}
