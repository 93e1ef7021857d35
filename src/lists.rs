//! Neighbour lists: the one shape in which evidence travels from search to matching.

use crate::error::{Error, Result};

/// For each of `len()` rows, its neighbours as `(row, score)`, best first.
///
/// Scores are similarities (cosine unless said otherwise). The order is the contract of every
/// search in doppel: higher score first, then lower row.
#[derive(Debug, Clone, PartialEq)]
pub struct Lists {
    offsets: Vec<usize>,
    rows: Vec<u32>,
    scores: Vec<f64>,
}

/// One row's neighbours, best first; both slices have the same length.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbours<'a> {
    /// The neighbours' rows.
    pub rows: &'a [u32],
    /// Their similarities.
    pub scores: &'a [f64],
}

impl<'a> Neighbours<'a> {
    /// How many neighbours there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// `(row, score)`, best first.
    pub fn iter(&self) -> impl Iterator<Item = (u32, f64)> + 'a {
        self.rows.iter().copied().zip(self.scores.iter().copied())
    }
}

impl Default for Lists {
    fn default() -> Self {
        Lists {
            offsets: vec![0],
            rows: Vec::new(),
            scores: Vec::new(),
        }
    }
}

impl Lists {
    /// Empty lists with room for `rows` rows of `per_row` neighbours.
    pub fn with_capacity(rows: usize, per_row: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        let total = rows.saturating_mul(per_row);
        Lists {
            offsets,
            rows: Vec::with_capacity(total),
            scores: Vec::with_capacity(total),
        }
    }

    /// Lists from one vector of `(row, score)` a row, taken as they stand.
    pub fn from_rows<I, R>(rows: I) -> Self
    where
        I: IntoIterator<Item = R>,
        R: IntoIterator<Item = (u32, f64)>,
    {
        let mut lists = Lists::default();
        for row in rows {
            lists.push(row);
        }
        lists
    }

    /// Appends the next row's neighbours, which must be best first.
    pub fn push(&mut self, neighbours: impl IntoIterator<Item = (u32, f64)>) {
        for (row, score) in neighbours {
            self.rows.push(row);
            self.scores.push(score);
        }
        self.offsets.push(self.rows.len());
    }

    /// How many rows have a list.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many neighbours all rows have together.
    pub fn pairs(&self) -> usize {
        self.rows.len()
    }

    /// The neighbours of row `i`. Panics when `i >= len()`, as indexing a slice does.
    pub fn row(&self, i: usize) -> Neighbours<'_> {
        let range = self.offsets[i]..self.offsets[i + 1];
        Neighbours {
            rows: &self.rows[range.clone()],
            scores: &self.scores[range],
        }
    }

    /// All rows' neighbours, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Neighbours<'_>> {
        (0..self.len()).map(|i| self.row(i))
    }

    /// Checks the contract: scores finite, best first, ties by lower row, no row twice, and every
    /// neighbour below `gallery` rows. `O(pairs)` apart from the check for repeats.
    pub fn check(&self, gallery: usize) -> Result<()> {
        let mut seen = Vec::new();
        for (i, list) in self.iter().enumerate() {
            let bad = |what: &str| Err(Error::internal(what).op("lists").row(i as u64 + 1));
            if list.scores.iter().any(|s| !s.is_finite()) {
                return bad("a score is not finite");
            }
            if list.rows.iter().any(|&r| r as usize >= gallery) {
                return bad("a neighbour lies outside the gallery");
            }
            for w in 1..list.len() {
                let (a, b) = (list.scores[w - 1], list.scores[w]);
                if a < b || (a == b && list.rows[w - 1] >= list.rows[w]) {
                    return bad("neighbours are not best first");
                }
            }
            seen.clear();
            seen.extend_from_slice(list.rows);
            seen.sort_unstable();
            if seen.windows(2).any(|w| w[0] == w[1]) {
                return bad("a neighbour stands twice");
            }
        }
        Ok(())
    }
}

/// The order of every search: higher score first, then lower row. Scores must not be NaN.
pub fn best_first(a: &(u32, f64), b: &(u32, f64)) -> std::cmp::Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_pushed_and_the_contract_is_checked() {
        let lists = Lists::from_rows([vec![(0, 1.0), (2, 0.5)], vec![], vec![(1, 0.5), (2, 0.5)]]);
        assert_eq!(lists.len(), 3);
        assert_eq!(lists.pairs(), 4);
        assert_eq!(
            lists.row(0).iter().collect::<Vec<_>>(),
            [(0, 1.0), (2, 0.5)]
        );
        assert!(lists.row(1).is_empty());
        lists.check(3).unwrap();
        assert!(lists.check(2).is_err());
        assert!(
            Lists::from_rows([vec![(1, 0.5), (0, 0.5)]])
                .check(3)
                .is_err()
        );
        assert!(
            Lists::from_rows([vec![(1, 0.5), (0, 0.6)]])
                .check(3)
                .is_err()
        );
        assert!(
            Lists::from_rows([vec![(1, 0.5), (0, 0.4), (1, 0.3)]])
                .check(3)
                .is_err()
        );
        assert!(Lists::from_rows([vec![(1, f64::NAN)]]).check(3).is_err());
    }
}
