//! Rows made ready for a sparse search: without zeros, without repeats, with their norms.

use std::collections::HashMap;

use crate::device::SparseRows;
use crate::error::{Error, Result};
use crate::tensor::Csr;

/// Stands for "no group" in [`Rows::group_of`].
pub(in crate::search) const NO_GROUP: u32 = u32::MAX;

/// The distinct non-zero rows of a matrix. Equal rows form a *group* that is searched once; groups
/// are numbered by their first member, so a lower group has a lower first row.
pub(in crate::search) struct Rows {
    /// Group `g` has the terms `terms[starts[g]..starts[g + 1]]`, ascending, and values beside.
    starts: Vec<usize>,
    terms: Vec<u32>,
    values: Vec<f64>,
    /// The sum of squares of each group's values, taken in ascending column order.
    norms: Vec<f64>,
    /// For each row of the matrix its group, or [`NO_GROUP`] for a row of zeros.
    group_of: Vec<u32>,
    /// Group `g` has the rows `members[member_starts[g]..member_starts[g + 1]]`, ascending.
    member_starts: Vec<usize>,
    members: Vec<u32>,
}

impl Rows {
    /// Reads a matrix; `what` names it in errors.
    ///
    /// # Errors
    /// [`Kind::Input`](crate::error::Kind::Input) naming the first row with a NaN or an infinity.
    pub fn new(x: &Csr, what: &str) -> Result<Self> {
        if let Some(row) = x.first_not_finite() {
            return Err(
                Error::input(format!("a value of {what} is NaN or infinite"))
                    .row(row as u64 + 1)
                    .mend("make every value a finite number"),
            );
        }
        let mut rows = Rows {
            starts: vec![0],
            terms: Vec::with_capacity(x.nnz()),
            values: Vec::with_capacity(x.nnz()),
            norms: Vec::new(),
            group_of: Vec::with_capacity(x.rows()),
            member_starts: Vec::new(),
            members: Vec::new(),
        };
        // The last group with a hash, and for each group the one before it with the same hash.
        let mut last: HashMap<u64, u32> = HashMap::new();
        let mut before: Vec<u32> = Vec::new();
        for i in 0..x.rows() {
            let hash = rows.append(x, i);
            let start = rows.starts[rows.starts.len() - 1];
            if rows.terms.len() == start {
                rows.group_of.push(NO_GROUP);
                continue;
            }
            let head = last.get(&hash).copied().unwrap_or(NO_GROUP);
            let mut same = head;
            while same != NO_GROUP && !rows.tail_equals(same as usize) {
                same = before[same as usize];
            }
            if same == NO_GROUP {
                same = before.len() as u32;
                before.push(head);
                last.insert(hash, same);
                rows.close();
            } else {
                rows.terms.truncate(start);
                rows.values.truncate(start);
            }
            rows.group_of.push(same);
        }
        rows.list_members();
        Ok(rows)
    }

    /// Appends the non-zero values of row `i` behind the last group and returns their hash.
    fn append(&mut self, x: &Csr, i: usize) -> u64 {
        let (columns, values) = x.row(i);
        let mut hash = 0u64;
        for (&c, &v) in columns.iter().zip(values) {
            if v != 0.0 {
                self.terms.push(c);
                self.values.push(v);
                for word in [u64::from(c), v.to_bits()] {
                    hash = (hash.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                }
            }
        }
        hash ^ (hash >> 32)
    }

    /// Whether the values behind the last group are those of group `g`. Compares what was read, so
    /// it must come before [`Rows::close`] scales anything: groups whose rows were scaled never
    /// compare equal and only cost time.
    fn tail_equals(&self, g: usize) -> bool {
        let tail = self.starts[self.starts.len() - 1]..;
        let range = self.starts[g]..self.starts[g + 1];
        self.terms[range.clone()] == self.terms[tail.clone()]
            && self.values[range] == self.values[tail]
    }

    /// Makes a group of the values behind the last group. Values so large or small that products of
    /// two sums of squares would leave the range of `f64` are scaled by a power of two, which
    /// changes no other digit of any cosine.
    fn close(&mut self) {
        let tail = self.starts[self.starts.len() - 1]..self.terms.len();
        let squares = |values: &[f64]| values.iter().fold(0.0, |sum, v| sum + v * v);
        let mut norm = squares(&self.values[tail.clone()]);
        if !(1e-120..=1e120).contains(&norm) {
            let values = &mut self.values[tail.clone()];
            let largest = values.iter().fold(0.0f64, |m, v| m.max(v.abs()));
            let exponent = largest.log2().floor() as i32;
            let (half, rest) = (-exponent / 2, -exponent - -exponent / 2);
            for v in values.iter_mut() {
                *v = *v * 2f64.powi(half) * 2f64.powi(rest);
            }
            norm = squares(values);
        }
        self.norms.push(norm);
        self.starts.push(tail.end);
    }

    fn list_members(&mut self) {
        let mut starts = vec![0usize; self.len() + 1];
        for &g in self.group_of.iter().filter(|&&g| g != NO_GROUP) {
            starts[g as usize + 1] += 1;
        }
        for g in 0..self.len() {
            starts[g + 1] += starts[g];
        }
        let mut next = starts.clone();
        self.members = vec![0; starts[self.len()]];
        for (row, &g) in self.group_of.iter().enumerate() {
            if g != NO_GROUP {
                self.members[next[g as usize]] = row as u32;
                next[g as usize] += 1;
            }
        }
        self.member_starts = starts;
    }

    /// How many groups there are.
    pub fn len(&self) -> usize {
        self.norms.len()
    }

    /// For each row of the matrix its group, or [`NO_GROUP`].
    pub fn group_of(&self) -> &[u32] {
        &self.group_of
    }

    /// The rows of group `g`, ascending.
    pub fn members(&self, g: usize) -> &[u32] {
        &self.members[self.member_starts[g]..self.member_starts[g + 1]]
    }

    /// The terms of group `g`, ascending, and their values.
    pub fn row(&self, g: usize) -> (&[u32], &[f64]) {
        let range = self.starts[g]..self.starts[g + 1];
        (&self.terms[range.clone()], &self.values[range])
    }

    /// The sum of squares of group `g`.
    pub fn norm(&self, g: usize) -> f64 {
        self.norms[g]
    }

    /// The groups as a device reads them.
    pub fn pack(&self) -> SparseRows {
        SparseRows {
            starts: self.starts.iter().map(|&s| s as u64).collect(),
            terms: self.terms.clone(),
            values: self.values.clone(),
            norms: self.norms.clone(),
        }
    }

    /// Whether any value is negative.
    pub fn signed(&self) -> bool {
        self.values.iter().any(|&v| v < 0.0)
    }

    /// How many values all groups have together.
    pub fn nnz(&self) -> usize {
        self.terms.len()
    }

    /// Renumbers columns as terms; values in columns that have no term are dropped, while the
    /// groups and their norms stay as they are.
    pub fn renumber(&mut self, terms: &Terms) {
        let (mut to, mut from) = (0, 0);
        for g in 0..self.len() {
            let end = self.starts[g + 1];
            for p in from..end {
                if let Some(term) = terms.of(self.terms[p]) {
                    self.terms[to] = term;
                    self.values[to] = self.values[p];
                    to += 1;
                }
            }
            from = end;
            self.starts[g + 1] = to;
        }
        self.terms.truncate(to);
        self.values.truncate(to);
    }
}

/// The columns that occur in a gallery, numbered in ascending order: its *terms*. Memory is
/// `O(values)` however many columns the matrix claims to have.
pub(in crate::search) enum Terms {
    /// For each column its term, or `u32::MAX`.
    Direct(Vec<u32>, usize),
    /// The columns in use, ascending.
    Sorted(Vec<u32>),
}

impl Default for Terms {
    fn default() -> Self {
        Terms::Sorted(Vec::new())
    }
}

impl Terms {
    /// The terms of `rows`, which come from a matrix of `columns` columns.
    pub fn new(rows: &Rows, columns: usize) -> Self {
        if columns > (1 << 20) && columns / 4 > rows.nnz() {
            let mut used = rows.terms.clone();
            used.sort_unstable();
            used.dedup();
            return Terms::Sorted(used);
        }
        let mut table = vec![u32::MAX; columns];
        for &c in &rows.terms {
            table[c as usize] = 0;
        }
        let mut count = 0;
        for slot in table.iter_mut().filter(|slot| **slot == 0) {
            *slot = count;
            count += 1;
        }
        Terms::Direct(table, count as usize)
    }

    /// How many terms there are.
    pub fn len(&self) -> usize {
        match self {
            Terms::Direct(_, count) => *count,
            Terms::Sorted(used) => used.len(),
        }
    }

    /// The term of a column.
    pub fn of(&self, column: u32) -> Option<u32> {
        match self {
            Terms::Direct(table, _) => table
                .get(column as usize)
                .copied()
                .filter(|&term| term != u32::MAX),
            Terms::Sorted(used) => used.binary_search(&column).ok().map(|term| term as u32),
        }
    }
}
