//! Rows of either kind.

use super::{Csr, Matrix};

/// One row a listing, dense or sparse.
#[derive(Debug, Clone, PartialEq)]
pub enum Rows {
    /// Embeddings.
    Dense(Matrix),
    /// Term weights.
    Sparse(Csr),
}

impl Rows {
    /// How many rows.
    pub fn rows(&self) -> usize {
        match self {
            Rows::Dense(x) => x.rows(),
            Rows::Sparse(x) => x.rows(),
        }
    }

    /// How many columns.
    pub fn dims(&self) -> usize {
        match self {
            Rows::Dense(x) => x.dims(),
            Rows::Sparse(x) => x.cols(),
        }
    }
}
