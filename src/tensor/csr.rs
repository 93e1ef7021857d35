//! A sparse matrix in compressed sparse row form, as SciPy lays it out.

use crate::error::{Error, Result};
use crate::limits;

/// Compressed sparse rows: row `i` has the columns `indices[indptr[i]..indptr[i + 1]]`, ascending
/// and without repeats, with the values beside them.
#[derive(Debug, Clone, PartialEq)]
pub struct Csr {
    cols: usize,
    indptr: Vec<usize>,
    indices: Vec<u32>,
    values: Vec<f64>,
}

impl Csr {
    /// Takes the three arrays of a `rows x cols` matrix, `rows = indptr.len() - 1`.
    ///
    /// # Errors
    /// [`Kind::Input`](crate::error::Kind::Input) when `indptr` does not start at 0, descends or
    /// does not end at the number of values, when a row's columns are not strictly ascending or lie
    /// outside `cols`.
    pub fn new(
        cols: usize,
        indptr: Vec<usize>,
        indices: Vec<u32>,
        values: Vec<f64>,
    ) -> Result<Self> {
        if cols > limits::MAX_FEATURES || indptr.len() > limits::MAX_ROWS {
            return Err(Error::limit(
                "a sparse matrix of this size is more than doppel takes",
            ));
        }
        if indices.len() != values.len() {
            return Err(Error::shape("csr", &[indices.len()], &[values.len()]));
        }
        if indptr.first() != Some(&0)
            || indptr.last() != Some(&values.len())
            || indptr.windows(2).any(|w| w[0] > w[1])
        {
            return Err(Error::input(
                "row pointers do not ascend from 0 to the number of values",
            ));
        }
        let matrix = Csr {
            cols,
            indptr,
            indices,
            values,
        };
        for i in 0..matrix.rows() {
            let (columns, _) = matrix.row(i);
            if columns.windows(2).any(|w| w[0] >= w[1])
                || columns.last().is_some_and(|&c| c as usize >= cols)
            {
                return Err(Error::input("columns are not ascending within bounds")
                    .op("csr")
                    .row(i as u64 + 1));
            }
        }
        Ok(matrix)
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.indptr.len() - 1
    }

    /// How many columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// How many stored values.
    pub fn nnz(&self) -> usize {
        self.values.len()
    }

    /// Row `i`: its columns, ascending, and the values beside them.
    pub fn row(&self, i: usize) -> (&[u32], &[f64]) {
        let range = self.indptr[i]..self.indptr[i + 1];
        (&self.indices[range.clone()], &self.values[range])
    }

    /// Row pointers, `rows + 1` of them.
    pub fn indptr(&self) -> &[usize] {
        &self.indptr
    }

    /// Columns of all values.
    pub fn indices(&self) -> &[u32] {
        &self.indices
    }

    /// All values.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The first row (from 0) that holds a NaN or an infinity.
    pub fn first_not_finite(&self) -> Option<usize> {
        (0..self.rows()).find(|&i| self.row(i).1.iter().any(|x| !x.is_finite()))
    }
}
