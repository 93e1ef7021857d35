//! A dense space made ready: norms, unit rows of a tile, exact cosines.

use crate::device::cpu::Kernel;
use crate::device::cpu::dot::dot;
use crate::error::{Error, Result};
use crate::search::sparse::cosine;
use crate::tensor::Matrix;

/// A matrix and the sums of squares of its rows.
pub(super) struct Dense<'a> {
    x: &'a Matrix,
    kernel: Kernel,
    norms: Vec<f64>,
}

impl<'a> Dense<'a> {
    /// # Errors
    /// [`Kind::Input`](crate::error::Kind::Input) naming the first row with a NaN or an infinity;
    /// `what` names the matrix.
    pub fn new(x: &'a Matrix, what: &str) -> Result<Self> {
        if let Some(row) = x.first_not_finite() {
            return Err(
                Error::input(format!("a value of {what} is NaN or infinite"))
                    .op("combined search")
                    .row(row as u64 + 1)
                    .mend("make every value a finite number"),
            );
        }
        let kernel = Kernel::best();
        let norms = (0..x.rows())
            .map(|i| dot(kernel, x.row(i), x.row(i)))
            .collect();
        Ok(Dense { x, kernel, norms })
    }

    /// Whether row `i` is not all zeros.
    pub fn has(&self, i: usize) -> bool {
        self.norms[i] > 0.0
    }

    /// The matrix, and the sums of squares of its rows.
    pub fn rows(&self) -> (&'a Matrix, &[f64]) {
        (self.x, &self.norms)
    }

    pub fn dims(&self) -> usize {
        self.x.dims()
    }

    /// Writes the unit rows of `rows` into `out`, to the nearest `f32`; rows of zeros stay zeros.
    pub fn unit_rows(&self, rows: std::ops::Range<usize>, out: &mut Vec<f32>) {
        out.clear();
        out.reserve(rows.len() * self.dims());
        for i in rows {
            let scale = if self.has(i) {
                1.0 / self.norms[i].sqrt()
            } else {
                0.0
            };
            let unit = |&x: &f32| (f64::from(x) * scale) as f32;
            out.extend(self.x.row(i).iter().map(unit));
        }
    }

    /// The cosine of row `i` here and row `j` of `other`; 0 when either is all zeros.
    pub fn cosine(&self, i: usize, other: &Dense, j: usize) -> f64 {
        if !self.has(i) || !other.has(j) {
            return 0.0;
        }
        let dot = dot(self.kernel, self.x.row(i), other.x.row(j));
        cosine(dot, self.norms[i], other.norms[j])
    }
}
