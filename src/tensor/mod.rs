//! Host matrices: dense rows of `f32` and compressed sparse rows.

mod csr;
mod matrix;

pub use csr::Csr;
pub use matrix::Matrix;
