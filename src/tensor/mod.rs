//! Host matrices: dense rows of `f32` and compressed sparse rows.

mod csr;
mod matrix;
mod rows;

pub use csr::Csr;
pub use matrix::Matrix;
pub use rows::Rows;
