//! A dense, row-major matrix of `f32`.

use crate::error::{Error, Result};
use crate::limits;

/// Row-major `rows x dims` of `f32`; row `i` is listing `i`'s embedding.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    rows: usize,
    dims: usize,
    data: Vec<f32>,
}

impl Matrix {
    /// Takes `data` as `rows x dims`.
    ///
    /// # Errors
    /// [`Kind::Shape`](crate::error::Kind::Shape) when `data.len() != rows * dims`, and
    /// [`Kind::Limit`](crate::error::Kind::Limit) beyond the bounds of [`crate::limits`].
    pub fn new(rows: usize, dims: usize, data: Vec<f32>) -> Result<Self> {
        if rows > limits::MAX_ROWS || dims > limits::MAX_DIMS {
            return Err(Error::limit(format!(
                "{rows} x {dims} is more than a matrix may hold"
            )));
        }
        if rows * dims != data.len() {
            return Err(Error::shape("matrix", &[rows, dims], &[data.len()]));
        }
        Ok(Matrix { rows, dims, data })
    }

    /// A matrix of zeros.
    pub fn zeros(rows: usize, dims: usize) -> Self {
        Matrix {
            rows,
            dims,
            data: vec![0.0; rows * dims],
        }
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many dimensions a row has.
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// Row `i`.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.data[i * self.dims..(i + 1) * self.dims]
    }

    /// Row `i`, to be written.
    pub fn row_mut(&mut self, i: usize) -> &mut [f32] {
        &mut self.data[i * self.dims..(i + 1) * self.dims]
    }

    /// All values, row after row.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// The values, row after row.
    pub fn into_data(self) -> Vec<f32> {
        self.data
    }

    /// The first row (from 0) that holds a NaN or an infinity.
    pub fn first_not_finite(&self) -> Option<usize> {
        (0..self.rows).find(|&i| self.row(i).iter().any(|x| !x.is_finite()))
    }
}
