//! Features of pairs, a row a pair.

use rayon::prelude::*;

use crate::error::{Error, Result};

/// Values in rows of one length, all finite.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    columns: usize,
    data: Vec<f32>,
}

impl Table {
    /// Rows of `columns` values each, one behind the other.
    ///
    /// # Errors
    /// No columns, a part of a row, a value that is not finite.
    pub fn new(columns: usize, data: Vec<f32>) -> Result<Table> {
        if columns == 0 || !data.len().is_multiple_of(columns) {
            return Err(Error::shape("pair features", &[data.len()], &[columns]));
        }
        match data.iter().position(|x| !x.is_finite()) {
            Some(at) => Err(
                Error::input(format!("feature {} is not finite", at % columns))
                    .op("pair features")
                    .row((at / columns) as u64 + 1),
            ),
            None => Ok(Table { columns, data }),
        }
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.data.len() / self.columns
    }

    /// How many values a row has.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Row `i`. Panics when there is none, as indexing a slice does.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.data[i * self.columns..(i + 1) * self.columns]
    }

    /// The values of a column.
    pub fn column(&self, column: usize) -> impl Iterator<Item = f32> + '_ {
        self.data.iter().skip(column).step_by(self.columns).copied()
    }

    /// Some of the rows.
    #[must_use]
    pub fn select(&self, rows: &[usize]) -> Table {
        Table {
            columns: self.columns,
            data: rows.iter().flat_map(|&i| self.row(i)).copied().collect(),
        }
    }

    /// Each value's percentile in its column, from above 0 to 1; equal values share the mean of theirs.
    #[must_use]
    pub fn percentiles(&self) -> Table {
        let rows = self.rows();
        let columns: Vec<Vec<f32>> = (0..self.columns)
            .into_par_iter()
            .map(|column| {
                let mut sorted: Vec<f32> = self.column(column).collect();
                sorted.sort_unstable_by(f32::total_cmp);
                let share = |x: f32| {
                    let lower = sorted.partition_point(|&y| y < x);
                    let upto = sorted.partition_point(|&y| y <= x);
                    ((lower + upto + 1) as f64 / 2.0 / rows as f64) as f32
                };
                self.column(column).map(share).collect()
            })
            .collect();
        let row = |i: usize| columns.iter().map(move |column| column[i]);
        Table {
            columns: self.columns,
            data: (0..rows).flat_map(row).collect(),
        }
    }
}
