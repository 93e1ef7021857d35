//! Thresholds from labelled listings: the mean row-wise F1 as a function of them.
//!
//! [`curve`] is exact for one threshold over one set of lists, with and without Min2: it looks at every
//! distance that occurs. [`rule`] raises F1 over all the numbers of a rule, one after the other.
//!
//! A threshold depends on the number of listings that it was chosen on: the more there are, the nearer
//! the wrong ones come.

mod curve;
mod place;
mod search;

pub use curve::{Curve, Point, Second, curve};
pub use search::{Bounds, Tuning, rule};

use crate::error::{Error, Result};
use crate::limits::MAX_MATCHES;

/// What a threshold is chosen for.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// Rows that take no part, as [`resolve_capped`](crate::matching::resolve_capped) has them.
    pub unable: Option<&'a [bool]>,
    /// The most matches of a row, itself included.
    pub cap: usize,
    /// How many points a curve is drawn with, beside the best one.
    pub points: usize,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Options {
            unable: None,
            cap: MAX_MATCHES,
            points: 201,
        }
    }
}

/// No label at all, as [`evaluate`](super::evaluate) says it.
fn no_labels() -> Error {
    Error::input("no listing has a label to score against")
        .op("tune")
        .column("label_group")
        .mend("give listings with a label_group")
}

/// The true number of rows of each row's label; 0 where it has none.
///
/// # Errors
/// No label at all.
fn truths(labels: &[Option<u32>]) -> Result<Vec<u32>> {
    let mut sizes = std::collections::HashMap::new();
    for label in labels.iter().flatten() {
        *sizes.entry(*label).or_insert(0u32) += 1;
    }
    if sizes.is_empty() {
        return Err(no_labels());
    }
    let of = |label: &Option<u32>| label.map_or(0, |l| sizes[&l]);
    Ok(labels.iter().map(of).collect())
}
