//! A sparse space made ready: its distinct rows, an inverted index by row, exact cosines.

use crate::search::sparse::rows::{NO_GROUP, Rows, Terms};
use crate::search::sparse::{cosine, unit};

/// The distinct non-zero rows of a sparse matrix; see [`Rows`].
pub(super) struct Sparse {
    rows: Rows,
    columns: usize,
}

impl Sparse {
    pub fn new(rows: Rows, columns: usize) -> Self {
        Sparse { rows, columns }
    }

    fn group(&self, i: usize) -> Option<usize> {
        let group = self.rows.group_of()[i];
        (group != NO_GROUP).then_some(group as usize)
    }

    /// Whether row `i` is not all zeros.
    pub fn has(&self, i: usize) -> bool {
        self.group(i).is_some()
    }

    /// The terms of row `i` and the values of the unit row there.
    pub fn unit_row(&self, i: usize) -> impl Iterator<Item = (u32, f32)> + '_ {
        self.group(i).into_iter().flat_map(|g| {
            let (terms, values) = self.rows.row(g);
            let norm = self.rows.norm(g);
            let unit = move |(&t, &v)| (t, unit(v, norm));
            terms.iter().zip(values).map(unit)
        })
    }

    /// How many terms row `i` has.
    pub fn terms(&self, i: usize) -> usize {
        self.group(i).map_or(0, |g| self.rows.row(g).0.len())
    }

    /// The distinct rows.
    pub fn distinct(&self) -> &Rows {
        &self.rows
    }

    /// The cosine of row `i` here and row `j` of `other`, common columns summed in ascending order;
    /// 0 when either is all zeros.
    pub fn cosine(&self, i: usize, other: &Sparse, j: usize) -> f64 {
        let (Some(g), Some(h)) = (self.group(i), other.group(j)) else {
            return 0.0;
        };
        let ((a, x), (b, y)) = (self.rows.row(g), other.rows.row(h));
        let (mut p, mut q, mut dot) = (0, 0, 0.0);
        while p < a.len() && q < b.len() {
            let (left, right) = (a[p], b[q]);
            if left == right {
                dot += x[p] * y[q];
            }
            p += usize::from(left <= right);
            q += usize::from(right <= left);
        }
        cosine(dot, self.rows.norm(g), other.rows.norm(h))
    }

    /// The inverted index of these rows.
    pub fn index(&self) -> Postings {
        let terms = Terms::new(&self.rows, self.columns);
        let mut starts = vec![0usize; terms.len() + 1];
        let all = || 0..self.rows.group_of().len() as u32;
        let numbered = |i: u32| {
            let of = |(c, w)| Some((terms.of(c)? as usize, w));
            self.unit_row(i as usize).filter_map(of)
        };
        for i in all() {
            for (t, _) in numbered(i) {
                starts[t + 1] += 1;
            }
        }
        for t in 0..terms.len() {
            starts[t + 1] += starts[t];
        }
        let mut next = starts.clone();
        let mut entries = vec![(0u32, 0f32); starts[terms.len()]];
        for i in all() {
            for (t, weight) in numbered(i) {
                entries[next[t]] = (i, weight);
                next[t] += 1;
            }
        }
        Postings {
            terms,
            starts,
            entries,
        }
    }
}

/// For each column in use, the rows that hold it, ascending, and their unit values.
#[derive(Default)]
pub(super) struct Postings {
    terms: Terms,
    starts: Vec<usize>,
    entries: Vec<(u32, f32)>,
}

impl Postings {
    /// The columns in use, numbered, where each one's list begins, and all lists.
    pub fn lists(&self) -> (&Terms, &[usize], &[(u32, f32)]) {
        (&self.terms, &self.starts, &self.entries)
    }

    /// The rows that hold column `column`.
    pub fn list(&self, column: u32) -> &[(u32, f32)] {
        match self.terms.of(column) {
            Some(t) => &self.entries[self.starts[t as usize]..self.starts[t as usize + 1]],
            None => &[],
        }
    }
}
