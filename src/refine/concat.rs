//! Several spaces' rows as one.

use rayon::prelude::*;

use super::mix::{blocks, join};
use super::unit::{BLOCK, Unit, UnitDense, UnitSparse};
use crate::error::{Error, Result};
use crate::limits::{MAX_DIMS, MAX_FEATURES};
use crate::tensor::{Matrix, Rows};

/// Each row of every part made unit and multiplied by the part's weight, side by side, and the whole of unit
/// length again.
///
/// Tan (section 3.1, weights in 4.2) joins EfficientNet-B3, -B5 and NFNet so, by .7, .8 and 1. The cosine
/// of two joined rows is the mean of the parts' cosines weighted by the **squares** of these weights. A row
/// of zeros in a part gives zeros there, and the other parts the whole length; a row of zeros in every part
/// is one of zeros. Of sparse parts stored zeros are left out.
///
/// ```
/// use doppel::refine::concat;
/// use doppel::tensor::{Matrix, Rows};
///
/// let a = Rows::Dense(Matrix::new(2, 2, vec![3.0, 4.0, 0.0, 5.0])?);
/// let b = Rows::Dense(Matrix::new(2, 1, vec![-7.0, 0.0])?);
/// let Rows::Dense(both) = concat(&[(&a, 3.0), (&b, 4.0)])? else { unreachable!() };
/// assert_eq!(both.row(0), [0.36, 0.48, -0.8]);
/// assert_eq!(both.row(1), [0.0, 1.0, 0.0]);
/// # Ok::<(), doppel::Error>(())
/// ```
///
/// # Errors
/// [`Kind::Input`](crate::error::Kind::Input) for no parts, a weight that is not finite and above 0, and a
/// row with a NaN or an infinity, which is named; [`Kind::Shape`](crate::error::Kind::Shape) when parts
/// differ in rows; [`Kind::Unsupported`](crate::error::Kind::Unsupported) for dense and sparse parts
/// together, whose similarities are fused instead; [`Kind::Limit`](crate::error::Kind::Limit) beyond
/// [`MAX_DIMS`] columns of dense parts, or [`MAX_FEATURES`] of sparse ones.
pub fn concat(parts: &[(&Rows, f64)]) -> Result<Rows> {
    check(parts)?;
    let (mut dense, mut sparse) = (Vec::new(), Vec::new());
    for (m, &(x, weight)) in parts.iter().enumerate() {
        match Unit::new(x, "concat", &format!("part {}", m + 1))? {
            Unit::Dense(unit) => dense.push((unit, weight)),
            Unit::Sparse(unit) => sparse.push((unit, weight)),
        }
    }
    match sparse.is_empty() {
        true => join_dense(&dense),
        false => join_sparse(&sparse),
    }
}

fn check(parts: &[(&Rows, f64)]) -> Result<()> {
    let Some(&(first, _)) = parts.first() else {
        return Err(Error::input("no parts")
            .op("concat")
            .mend("give at least one"));
    };
    let mut columns = 0usize;
    for (m, &(x, weight)) in parts.iter().enumerate() {
        if !weight.is_finite() || weight <= 0.0 {
            return Err(
                Error::input(format!("the weight of part {} is {weight}", m + 1))
                    .op("concat")
                    .mend("give a positive weight of common size such as 1"),
            );
        }
        if x.rows() != first.rows() {
            let shape = |x: &Rows| [x.rows(), x.dims()];
            let error = Error::shape("concat", &shape(first), &shape(x));
            return Err(error.mend("give every part one row a listing"));
        }
        if std::mem::discriminant(x) != std::mem::discriminant(first) {
            return Err(
                Error::unsupported("dense and sparse rows do not stand side by side")
                    .op("concat")
                    .mend(
                        "fuse their similarities instead, with the squares of these weights (w^2)",
                    ),
            );
        }
        columns = columns.saturating_add(x.dims());
    }
    let most = match first {
        Rows::Dense(_) => MAX_DIMS,
        Rows::Sparse(_) => MAX_FEATURES,
    };
    if columns > most {
        return Err(Error::limit(format!("{columns} columns are more than {most}")).op("concat"));
    }
    Ok(())
}

/// What a row's parts are multiplied by so that the whole has length 1: weights of parts that have no row
/// are taken as 0. Nothing for a row that no part has.
fn shares(weights: impl Iterator<Item = f64> + Clone) -> Option<(f64, f64)> {
    let most = weights.clone().fold(0.0, f64::max);
    let square: f64 = weights.map(|w| (w / most) * (w / most)).sum();
    (most > 0.0).then(|| (most, square.sqrt()))
}

fn join_dense(parts: &[(UnitDense, f64)]) -> Result<Rows> {
    let rows = parts.first().map_or(0, |p| p.0.x.rows());
    let dims: usize = parts.iter().map(|p| p.0.x.dims()).sum();
    let mut data = vec![0f32; rows * dims];
    let chunks = data.par_chunks_mut((BLOCK * dims).max(1)).enumerate();
    chunks.for_each(|(block, out)| {
        for (n, mut out) in out.chunks_exact_mut(dims).enumerate() {
            let i = block * BLOCK + n;
            let has = |(unit, w): &(UnitDense, f64)| if unit.scale[i] > 0.0 { *w } else { 0.0 };
            let Some((most, length)) = shares(parts.iter().map(has)) else {
                continue;
            };
            for (unit, weight) in parts {
                let scale = unit.scale[i] * (weight / most / length);
                let (own, rest) = out.split_at_mut(unit.x.dims());
                for (out, &x) in own.iter_mut().zip(unit.x.row(i)) {
                    *out = (scale * f64::from(x)) as f32;
                }
                out = rest;
            }
        }
    });
    Ok(Rows::Dense(Matrix::new(rows, dims, data)?))
}

fn join_sparse(parts: &[(UnitSparse, f64)]) -> Result<Rows> {
    let rows = parts.first().map_or(0, |p| p.0.x.rows());
    let blocks = blocks(rows, |range| {
        let (mut counts, mut columns, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for i in range {
            let start = columns.len();
            let has = |(unit, w): &(UnitSparse, f64)| if unit.has(i) { *w } else { 0.0 };
            if let Some((most, length)) = shares(parts.iter().map(has)) {
                let mut before = 0;
                for (unit, weight) in parts {
                    let share = weight / most / length;
                    for (column, value) in unit.row(i).filter(|t| t.1 != 0.0) {
                        columns.push(before + column);
                        values.push(share * value);
                    }
                    before += unit.x.cols() as u32;
                }
            }
            counts.push(columns.len() - start);
        }
        (counts, columns, values)
    });
    join(parts.iter().map(|p| p.0.x.cols()).sum(), blocks)
}
