//! The parameters of margins: what classification heads do to the cosine of the true class.

use super::Scalar;

/// Which margin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MarginKind {
    /// `cos(theta + m)` for the true class (Deng et al. 2019, equation 3).
    Arc,
    /// `cos(theta) - m` for the true class (Wang et al. 2018, equation 4).
    Cos,
    /// `cos(theta + m)` for the true class, and `cos(theta_j) (t + cos(theta_j))` for every other class j
    /// with `cos(theta_j) > cos(theta + m)`, `t` being a running mean of the true classes' cosines (Huang et
    /// al. 2020, section 3.2 and equation 9).
    Curricular,
}

/// A margin: from the cosines between rows and classes to logits.
///
/// Angles are never formed: `cos(theta + m) = c cos m - sqrt(max(1 - c^2, 0)) sin m`. Where `theta + m` would
/// pass pi, which is `c <= -cos m`, the true class has `c - m sin m` instead, which goes on falling with
/// `c`, as the papers' authors have it in their programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Margin {
    /// Which one.
    pub kind: MarginKind,
    /// `m`: an angle in radians from 0 to pi, or for [`MarginKind::Cos`] a cosine.
    pub margin: Scalar,
    /// What logits are multiplied by.
    pub scale: Scalar,
}

impl Margin {
    /// The share of a batch's mean in the running mean `t`.
    pub const MOMENTUM: f64 = 0.01;

    /// Whether it keeps a running mean: a further input and output `[1]`.
    pub fn runs(&self) -> bool {
        self.kind == MarginKind::Curricular
    }
}
