//! A dense space made ready: norms, unit rows of a tile, exact cosines.

use crate::error::{Error, Result};
use crate::search::sparse::cosine;
use crate::tensor::Matrix;

const LANES: usize = 32;

/// A matrix and the sums of squares of its rows.
pub(super) struct Dense<'a> {
    x: &'a Matrix,
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
        let norms = (0..x.rows()).map(|i| dot(x.row(i), x.row(i))).collect();
        Ok(Dense { x, norms })
    }

    /// Whether row `i` is not all zeros.
    pub fn has(&self, i: usize) -> bool {
        self.norms[i] > 0.0
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
        let dot = dot(self.x.row(i), other.x.row(j));
        cosine(dot, self.norms[i], other.norms[j])
    }
}

/// `sum a[t] * b[t]` in `f64`: element `t` goes to lane `t % 32`, each lane adds in ascending `t`,
/// and the lanes are folded in halves. A product of two `f32` is exact in `f64`, so the order of the
/// additions is all that decides the result, which is the same whichever form runs.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, as was just asked.
        return unsafe { dot_avx2(a, b) };
    }
    dot_any(a, b)
}

/// [`dot_any`] compiled for AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn dot_avx2(a: &[f32], b: &[f32]) -> f64 {
    dot_any(a, b)
}

#[inline(always)]
fn dot_any(a: &[f32], b: &[f32]) -> f64 {
    let mut sums = [0f64; LANES];
    let ((a, a_tail), (b, b_tail)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += f64::from(a[lane]) * f64::from(b[lane]);
        }
    }
    for (sum, (&a, &b)) in sums.iter_mut().zip(a_tail.iter().zip(b_tail)) {
        *sum += f64::from(a) * f64::from(b);
    }
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            sums[lane] += sums[lane + half];
        }
        half /= 2;
    }
    sums[0]
}
