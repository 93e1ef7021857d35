//! The distances of one row to others.

use super::Metric;
use crate::error::{Error, Result};
use crate::tensor::{Csr, Matrix, Rows};

/// Sums that run side by side.
const LANES: usize = 8;

/// Rows, and what their distances need of each.
pub(super) struct Distances<'a> {
    rows: &'a Rows,
    metric: Metric,
    /// The squared lengths.
    squares: Vec<f64>,
    /// For each column of sparse rows the rows that have it, with their values, ascending.
    columns: Vec<Vec<(u32, f64)>>,
}

impl<'a> Distances<'a> {
    pub fn new(rows: &'a Rows, metric: Metric) -> Result<Self> {
        let bad = match rows {
            Rows::Dense(x) => x.first_not_finite(),
            Rows::Sparse(x) => x.first_not_finite(),
        };
        if let Some(row) = bad {
            return Err(
                Error::input(format!("row {row} holds a NaN or an infinity"))
                    .mend("make the rows again"),
            );
        }
        let count = rows.rows();
        let (squares, columns) = match rows {
            Rows::Dense(x) => (
                (0..count).map(|i| dot(x.row(i), x.row(i))).collect(),
                Vec::new(),
            ),
            Rows::Sparse(x) => {
                let square = |i| x.row(i).1.iter().map(|v| v * v).sum();
                ((0..count).map(square).collect(), turned(x))
            }
        };
        Ok(Distances {
            rows,
            metric,
            squares,
            columns,
        })
    }

    /// Writes the distances of `row` into the first values of `to`, of which the second ones are places of rows
    /// as `row_of` has them.
    pub fn fill(&self, row: usize, to: &mut [(f64, u32)], row_of: impl Fn(u32) -> usize) {
        match self.rows {
            Rows::Dense(x) => {
                for (distance, place) in to {
                    let other = row_of(*place);
                    *distance = self.distance(row, other, dot_of(x, row, other));
                }
            }
            Rows::Sparse(x) => {
                let mut products = vec![0.0; x.rows()];
                let (columns, values) = x.row(row);
                for (&column, value) in columns.iter().zip(values) {
                    for &(other, of_other) in &self.columns[column as usize] {
                        products[other as usize] += value * of_other;
                    }
                }
                for (distance, place) in to {
                    let other = row_of(*place);
                    *distance = self.distance(row, other, products[other]);
                }
            }
        }
    }

    fn distance(&self, a: usize, b: usize, product: f64) -> f64 {
        let (aa, bb) = (self.squares[a], self.squares[b]);
        match self.metric {
            Metric::Euclidean => (aa + bb - 2.0 * product).max(0.0).sqrt(),
            Metric::Cosine if aa > 0.0 && bb > 0.0 => {
                1.0 - (product / (aa * bb).sqrt()).clamp(-1.0, 1.0)
            }
            Metric::Cosine => 1.0,
        }
    }
}

fn turned(x: &Csr) -> Vec<Vec<(u32, f64)>> {
    let mut columns = vec![Vec::new(); x.cols()];
    for row in 0..x.rows() {
        let (places, values) = x.row(row);
        for (&column, &value) in places.iter().zip(values) {
            columns[column as usize].push((row as u32, value));
        }
    }
    columns
}

/// The product of two rows, whichever stands first.
fn dot_of(x: &Matrix, a: usize, b: usize) -> f64 {
    dot(x.row(a), x.row(b))
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    let (a, rest_a) = a.as_chunks::<LANES>();
    let (b, rest_b) = b.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for (lane, (x, y)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane += f64::from(*x) * f64::from(*y);
        }
    }
    for (lane, (x, y)) in lanes.iter_mut().zip(rest_a.iter().zip(rest_b)) {
        *lane += f64::from(*x) * f64::from(*y);
    }
    lanes.iter().sum()
}
