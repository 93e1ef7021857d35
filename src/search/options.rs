//! What a caller asks of a search.

use crate::error::{Error, Result};
use crate::limits;

/// How many neighbours a row may have, and from which score on.
#[derive(Debug, Clone, Copy)]
pub struct TopK {
    /// The most neighbours of a row, from 1 to [`limits::MAX_K`]; it may pass the number of rows.
    pub k: usize,
    /// Keeps the neighbours whose score is at least this; `None` keeps every score.
    pub min_score: Option<f64>,
}

impl TopK {
    /// Checks both fields.
    ///
    /// # Errors
    /// [`Kind::Limit`](crate::error::Kind::Limit) when `k` is 0 or passes [`limits::MAX_K`], and
    /// [`Kind::Input`](crate::error::Kind::Input) when `min_score` is NaN or infinite.
    pub fn check(&self) -> Result<()> {
        if self.k == 0 || self.k > limits::MAX_K {
            return Err(
                Error::limit(format!("k is {}", self.k)).mend(format!(
                    "ask for 1 to {} neighbours",
                    limits::MAX_K
                )),
            );
        }
        match self.min_score {
            Some(score) if !score.is_finite() => {
                Err(Error::input(format!("the lowest score is {score}"))
                    .mend("give a finite number, or none to keep every score"))
            }
            _ => Ok(()),
        }
    }

    /// The lowest score that is kept.
    pub(in crate::search) fn floor(&self) -> f64 {
        self.min_score.unwrap_or(f64::NEG_INFINITY)
    }
}
