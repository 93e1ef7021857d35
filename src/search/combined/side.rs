//! The queries or the gallery of a combined search: every space made ready.

use super::Space;
use super::dense::Dense;
use super::sparse::{Postings, Sparse};
use crate::error::Result;
use crate::search::sparse::rows::Rows;

/// A space made ready.
pub(super) enum Ready<'a> {
    Dense(Dense<'a>),
    Sparse(Sparse),
}

/// The spaces of one side, all with the same rows.
pub(super) struct Side<'a> {
    rows: usize,
    pub spaces: Vec<Ready<'a>>,
}

impl<'a> Side<'a> {
    /// Makes the spaces ready; `of` says whose they are.
    ///
    /// # Errors
    /// [`Kind::Input`](crate::error::Kind::Input) naming a row with a NaN or an infinity.
    pub fn new(spaces: &[Space<'a>], of: &str) -> Result<Self> {
        let ready = spaces.iter().enumerate().map(|(m, space)| {
            let what = format!("space {}{of}", m + 1);
            Ok(match space {
                Space::Dense(x) => Ready::Dense(Dense::new(x, &what)?),
                Space::Sparse(x) => Ready::Sparse(Sparse::new(Rows::new(x, &what)?, x.cols())),
            })
        });
        Ok(Side {
            rows: spaces.first().map_or(0, Space::rows),
            spaces: ready.collect::<Result<_>>()?,
        })
    }

    /// How many rows every space has.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Whether row `i` is not all zeros in every space.
    pub fn has(&self, i: usize) -> bool {
        self.spaces.iter().any(|space| match space {
            Ready::Dense(x) => x.has(i),
            Ready::Sparse(x) => x.has(i),
        })
    }

    /// The inverted index of each space, empty for the dense ones.
    pub fn index(&self) -> Vec<Postings> {
        let index = |space: &Ready| match space {
            Ready::Dense(_) => Postings::default(),
            Ready::Sparse(x) => x.index(),
        };
        self.spaces.iter().map(index).collect()
    }

    /// How many products the scores of row `i` are summed from, at most.
    pub fn products(&self, i: usize) -> usize {
        let products = |space: &Ready| match space {
            Ready::Dense(x) => x.dims(),
            Ready::Sparse(x) => x.terms(i),
        };
        self.spaces.iter().map(products).sum()
    }

    /// The cosines of row `i` here and row `j` of `other`, space after space.
    pub fn cosines<'b>(
        &'b self,
        i: usize,
        other: &'b Side,
        j: usize,
    ) -> impl Iterator<Item = f64> + 'b {
        let cosine = move |(a, b): (&Ready, &Ready)| match (a, b) {
            (Ready::Dense(a), Ready::Dense(b)) => a.cosine(i, b, j),
            (Ready::Sparse(a), Ready::Sparse(b)) => a.cosine(i, b, j),
            // Searches let only spaces of one kind meet.
            _ => 0.0,
        };
        self.spaces.iter().zip(&other.spaces).map(cosine)
    }
}
