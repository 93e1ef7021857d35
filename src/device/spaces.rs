//! What searches over sparse rows, and over several spaces, read: rows made ready on the host.

use crate::error::{Error, Result};

/// Stands for "no group" in [`FusedSparse::group_of`].
pub const NO_GROUP: u32 = u32::MAX;

/// Sparse rows without zeros, and their sums of squares.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SparseRows {
    /// Row `i` has the places `starts[i]..starts[i + 1]` of `terms` and `values`.
    pub starts: Vec<u64>,
    /// Ascending within a row.
    pub terms: Vec<u32>,
    /// Beside the terms.
    pub values: Vec<f64>,
    /// The sum of squares of each row, above 0.
    pub norms: Vec<f64>,
}

impl SparseRows {
    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.norms.len()
    }

    /// Checks what a kernel relies on: that the parts go together and terms are below `terms`.
    pub(super) fn check(&self, terms: usize) -> Result<()> {
        let sound = self.values.len() == self.terms.len()
            && starts_fit(&self.starts, self.rows(), self.terms.len())
            && self.terms.iter().all(|&t| (t as usize) < terms);
        fit(sound, "sparse rows")
    }
}

/// A sparse search.
#[derive(Debug, Clone)]
pub struct SparseSearch<'a> {
    /// Whose neighbours are searched; only terms that the gallery holds are left.
    pub queries: &'a SparseRows,
    /// None where the queries are the gallery.
    pub gallery: Option<&'a SparseRows>,
    /// Terms are below this.
    pub terms: usize,
    /// The most neighbours of a row.
    pub k: usize,
    /// Neighbours have at least this score.
    pub min_score: Option<f64>,
    /// Queries at a time, and rows of the gallery whose sums a block holds; none for what suits the device.
    pub cut: Option<[usize; 2]>,
}

/// Lists of numbers with weights: terms of rows, or rows of terms.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WeightLists {
    /// List `i` has the places `starts[i]..starts[i + 1]`.
    pub starts: Vec<u64>,
    /// Ascending within a list.
    pub numbers: Vec<u32>,
    /// Beside the numbers.
    pub weights: Vec<f32>,
}

impl WeightLists {
    /// Checks that there are `lists` lists of numbers below `below`.
    pub(super) fn check(&self, lists: usize, below: usize) -> Result<()> {
        let sound = self.weights.len() == self.numbers.len()
            && starts_fit(&self.starts, lists, self.numbers.len())
            && self.numbers.iter().all(|&n| (n as usize) < below);
        fit(sound, "lists of weights")
    }
}

/// One side of a sparse space.
#[derive(Debug, Clone, PartialEq)]
pub struct FusedSparse {
    /// The distinct rows, by column.
    pub distinct: SparseRows,
    /// For each row its distinct row, or [`NO_GROUP`] for a row of zeros.
    pub group_of: Vec<u32>,
}

/// One side of a space.
#[derive(Debug, Clone)]
pub enum FusedRows<'a> {
    /// Rows of so many values, and their sums of squares.
    Dense {
        /// Values of a row.
        dims: usize,
        /// Row after row.
        rows: &'a [f32],
        /// Sums of squares.
        norms: &'a [f64],
    },
    /// Sparse rows.
    Sparse(FusedSparse),
}

impl FusedRows<'_> {
    /// Checks that there are `rows` rows.
    pub(super) fn check(&self, count: usize) -> Result<()> {
        match self {
            FusedRows::Dense { dims, rows, norms } => fit(
                norms.len() == count && dims.checked_mul(count) == Some(rows.len()),
                "dense rows",
            ),
            FusedRows::Sparse(x) => {
                x.distinct.check(usize::MAX)?;
                let groups = x.distinct.rows();
                let sound = |&g: &u32| g == NO_GROUP || (g as usize) < groups;
                let sound = x.group_of.len() == count && x.group_of.iter().all(sound);
                fit(sound, "groups of sparse rows")
            }
        }
    }
}

/// One space of a fused search.
#[derive(Debug, Clone)]
pub struct FusedSpace<'a> {
    /// Of the queries.
    pub queries: FusedRows<'a>,
    /// None where the queries are the gallery.
    pub gallery: Option<FusedRows<'a>>,
    /// Of a sparse space, the terms of each query as a unit row, and for each term the rows of the gallery
    /// that hold it, as unit rows.
    pub lists: Option<[WeightLists; 2]>,
    /// What a cosine is multiplied by in a strength.
    pub share: f32,
}

/// What a strength is made of: see `kernels/neighbours/topk_fused.cu`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Strength {
    /// The sum of shares.
    Mean,
    /// One minus the product of what each leaves.
    Either,
    /// The power norm of the positive shares.
    Power(f64),
}

/// A search by one score from several spaces.
#[derive(Debug, Clone)]
pub struct FusedSearch<'a> {
    /// The spaces, all with the same rows.
    pub spaces: Vec<FusedSpace<'a>>,
    /// A byte a query, and a byte a row of the gallery where that is another: 0 for what is nobody's.
    pub there: [Vec<u8>; 2],
    /// The formula.
    pub by: Strength,
    /// No pair below this strength is asked for.
    pub bar: f64,
    /// Strengths below this do not tell scores apart.
    pub sure: f64,
    /// The most neighbours of a row.
    pub k: usize,
    /// Queries at a time; none for what suits the device.
    pub slab: Option<usize>,
}

impl FusedSearch<'_> {
    /// How many queries there are.
    pub fn rows(&self) -> usize {
        self.there[0].len()
    }

    /// How many rows the gallery has, where it is another.
    pub fn others(&self) -> Option<usize> {
        let apart = self.spaces.iter().any(|space| space.gallery.is_some());
        apart.then_some(self.there[1].len())
    }

    /// Checks what kernels rely on.
    pub(super) fn check(&self) -> Result<()> {
        let (rows, others) = (self.rows(), self.others());
        for space in &self.spaces {
            space.queries.check(rows)?;
            fit(space.gallery.is_some() == others.is_some(), "two sides")?;
            if let (Some(gallery), Some(others)) = (&space.gallery, others) {
                gallery.check(others)?;
            }
            let sparse = matches!(space.queries, FusedRows::Sparse(_));
            let same = match (&space.queries, &space.gallery) {
                (FusedRows::Dense { dims: a, .. }, Some(FusedRows::Dense { dims: b, .. })) => {
                    a == b
                }
                (FusedRows::Sparse(_), Some(FusedRows::Sparse(_))) | (_, None) => true,
                _ => false,
            };
            fit(same && sparse == space.lists.is_some(), "spaces")?;
            if let Some([terms, lists]) = &space.lists {
                let count = lists.starts.len().saturating_sub(1);
                terms.check(rows, count)?;
                lists.check(count, others.unwrap_or(rows))?;
            }
        }
        Ok(())
    }
}

/// What a fused search found for some queries: candidates, and their exact cosines in every space. All rows
/// that can be among the `k` best are there, of a query in one part or in several.
#[derive(Debug, Clone, Default)]
pub struct FusedFound {
    /// The first query.
    pub first: usize,
    /// How many candidates each query has; none where they were too many to keep. Such a query comes
    /// again, alone, with a part of the gallery at a time.
    pub found: Vec<Option<usize>>,
    /// Places of a query.
    pub room: usize,
    /// `room` rows a query.
    pub rows: Vec<u32>,
    /// For each of those a cosine in every space.
    pub cosines: Vec<f64>,
}

fn starts_fit(starts: &[u64], count: usize, values: usize) -> bool {
    starts.len() == count + 1
        && starts[0] == 0
        && starts[count] == values as u64
        && starts.is_sorted()
}

fn fit(sound: bool, what: &str) -> Result<()> {
    match sound {
        true => Ok(()),
        false => Err(Error::internal(format!("{what} do not go together")).op("topk")),
    }
}
