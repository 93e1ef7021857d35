//! From neighbour lists to matches.
//!
//! Matching works on `(row, row, score)` alone: it gets one set of neighbour lists for each kind of
//! evidence (a [`Source`]: an image encoder, TF-IDF, equal hashes) and an expression over them (a
//! [`Rule`]), and answers which rows sell the same thing ([`Matches`]).
//!
//! Scores are similarities; distances are `d = 1 - s`, computed in f64, and every comparison is
//! `d < threshold`, strictly. Every row matches itself. Ties go to the higher score, then to the
//! lower row. The same input gives the same matches whatever the thread count.
//!
//! ```
//! use doppel::lists::Lists;
//! use doppel::matching::{Rule, Source, resolve};
//!
//! // Three listings; a title search found that 0 and 1 are alike.
//! let titles = Lists::from_rows([
//!     vec![(0, 1.0), (1, 0.8)],
//!     vec![(1, 1.0), (0, 0.8), (2, 0.3)],
//!     vec![(2, 1.0), (1, 0.3)],
//! ]);
//! let hashes = Lists::from_rows([vec![(0, 1.0)], vec![(1, 1.0)], vec![(2, 1.0)]]);
//! let sources = [Source::new("phash", hashes), Source::new("tfidf", titles)];
//! let matches = resolve(&sources, &Rule::default_text_phash(0, 1), 3)?;
//! assert_eq!(matches.rows(1).collect::<Vec<_>>(), [1, 0]);
//! assert_eq!(matches.rows(2).collect::<Vec<_>>(), [2]);
//! # Ok::<(), doppel::Error>(())
//! ```

mod against;
mod change;
mod fire;
mod matches;
pub mod output;
mod resolve;
mod rule;

pub use against::{Unable, resolve_against};
pub use matches::{Firing, ITSELF, Match, Matches};
pub use output::{Ids, write_matches, write_pairs};
pub use resolve::{Sweeper, resolve, resolve_capped, resolve_with};
pub use rule::{Number, Part, Reach, Rule, Steps, SweepBuilder, What};

use crate::lists::Lists;

/// One kind of evidence: neighbour lists for every row, and the name it goes by in `pairs.csv`.
///
/// The lists keep the contract of [`Lists`]: finite scores, best first, ties by lower row. A row may
/// stand in its own list or not; it matches itself either way.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// What the evidence is called, such as `tfidf` or `phash`.
    pub name: String,
    /// Each row's neighbours; `lists.len()` is the number of rows, the same for all sources.
    pub lists: Lists,
}

impl Source {
    /// Evidence called `name`.
    pub fn new(name: impl Into<String>, lists: Lists) -> Self {
        Source {
            name: name.into(),
            lists,
        }
    }
}
