//! Rows seen as unit rows, without a copy of them.

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::tensor::{Csr, Matrix, Rows};

/// How many rows one task of the thread pool takes.
pub(super) const BLOCK: usize = 256;
/// Partial sums that run side by side in a sum of squares.
const LANES: usize = 16;

/// Rows, and what makes each of them a unit row.
pub(super) enum Unit<'a> {
    Dense(UnitDense<'a>),
    Sparse(UnitSparse<'a>),
}

/// A dense matrix; unit row `i` is row `i` times `scale[i]`, which is 0 for a row of zeros.
pub(super) struct UnitDense<'a> {
    pub x: &'a Matrix,
    pub scale: Vec<f64>,
}

/// A sparse matrix and each row's length, which is held as a product, as it may pass the range of `f64`.
pub(super) struct UnitSparse<'a> {
    pub x: &'a Csr,
    /// The largest absolute value, and the length of the row divided by it; zeros for a row of zeros.
    lengths: Vec<(f64, f64)>,
}

impl<'a> Unit<'a> {
    /// # Errors
    /// [`Kind::Input`](crate::error::Kind::Input) naming the first row with a NaN or an infinity; `what`
    /// names the rows.
    pub fn new(x: &'a Rows, op: &'static str, what: &str) -> Result<Self> {
        let wrong = |row: usize| {
            Error::input(format!("a value of {what} is NaN or infinite"))
                .op(op)
                .row(row as u64 + 1)
                .mend("make every value a finite number")
        };
        match x {
            Rows::Dense(x) => {
                // Squares of f32 are far within the range of f64: a sum that is not finite says
                // that a value is not.
                let squares = per_row(x.rows(), |i| square(x.row(i)));
                if let Some(row) = squares.iter().position(|s| !s.is_finite()) {
                    return Err(wrong(row));
                }
                let scale = |s: f64| if s > 0.0 { 1.0 / s.sqrt() } else { 0.0 };
                let scale = squares.into_iter().map(scale).collect();
                Ok(Unit::Dense(UnitDense { x, scale }))
            }
            Rows::Sparse(x) => {
                let lengths = per_row(x.rows(), |i| length(x.row(i).1));
                if let Some(row) = lengths.iter().position(|l| !l.1.is_finite()) {
                    return Err(wrong(row));
                }
                Ok(Unit::Sparse(UnitSparse { x, lengths }))
            }
        }
    }

    pub fn rows(&self) -> usize {
        match self {
            Unit::Dense(unit) => unit.x.rows(),
            Unit::Sparse(unit) => unit.x.rows(),
        }
    }

    pub fn dims(&self) -> usize {
        match self {
            Unit::Dense(unit) => unit.x.dims(),
            Unit::Sparse(unit) => unit.x.cols(),
        }
    }

    /// Whether row `i` is not all zeros.
    pub fn has(&self, i: usize) -> bool {
        match self {
            Unit::Dense(unit) => unit.scale[i] > 0.0,
            Unit::Sparse(unit) => unit.has(i),
        }
    }
}

impl UnitSparse<'_> {
    /// Whether row `i` is not all zeros.
    pub fn has(&self, i: usize) -> bool {
        self.lengths[i].0 > 0.0
    }

    /// Unit row `i`: its columns, ascending, and their values. Nothing for a row of zeros.
    pub fn row(&self, i: usize) -> impl Iterator<Item = (u32, f64)> + '_ {
        let (columns, values) = self.x.row(i);
        let (most, length) = self.lengths[i];
        let columns = if most > 0.0 { columns } else { &[] };
        let unit = move |(&c, &v): (&u32, &f64)| (c, v / most / length);
        columns.iter().zip(values).map(unit)
    }
}

/// `f(i)` for every row.
fn per_row<T: Send>(rows: usize, f: impl Fn(usize) -> T + Send + Sync) -> Vec<T> {
    (0..rows)
        .into_par_iter()
        .with_min_len(BLOCK)
        .map(f)
        .collect()
}

/// The sum of the squares, in one fixed order: value `t` is added in lane `t % 16`, and the lanes in
/// ascending order.
pub(super) fn square<T: Copy + Into<f64>>(row: &[T]) -> f64 {
    let mut sums = [0f64; LANES];
    let chunks = row.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (sum, &x) in sums.iter_mut().zip(chunk) {
            let x: f64 = x.into();
            *sum += x * x;
        }
    }
    for (sum, &x) in sums.iter_mut().zip(rest) {
        let x: f64 = x.into();
        *sum += x * x;
    }
    sums.iter().sum()
}

/// The largest absolute value and the length divided by it; the second is not finite when a value is not.
fn length(values: &[f64]) -> (f64, f64) {
    if values.iter().any(|v| !v.is_finite()) {
        return (0.0, f64::NAN);
    }
    let most = values.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
    if most == 0.0 {
        return (0.0, 0.0);
    }
    let squares = values.iter().map(|v| (v / most) * (v / most));
    (most, squares.sum::<f64>().sqrt())
}
