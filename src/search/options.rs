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
    /// [`Kind::Input`](crate::error::Kind::Input) when `k` is 0 or `min_score` is NaN,
    /// [`Kind::Limit`](crate::error::Kind::Limit) when `k` is above [`limits::MAX_K`].
    pub fn check(&self) -> Result<()> {
        let mend = format!("ask for 1 to {} neighbours", limits::MAX_K);
        if self.k == 0 {
            return Err(Error::input("k is 0").op("topk").mend(mend));
        }
        if self.k > limits::MAX_K {
            return Err(Error::limit(format!("k is {}", self.k))
                .op("topk")
                .mend(mend));
        }
        if self.min_score.is_some_and(f64::is_nan) {
            return Err(Error::input("the lowest score is not a number").op("topk"));
        }
        Ok(())
    }

    /// The lowest score that is kept.
    pub(in crate::search) fn floor(&self) -> f64 {
        self.min_score.unwrap_or(f64::NEG_INFINITY)
    }
}
