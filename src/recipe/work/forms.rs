//! How results stand on disk.

use std::cmp::Ordering;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Made, Told};
use crate::embed::store::{
    Manifest, NpyDtype, Shape, read_npy, read_npz, write_npy, write_npz_stored,
};
use crate::error::{Error, Result};
use crate::files::write_whole;
use crate::limits::MAX_ROWS;
use crate::listings::Reject;
use crate::lists::{Lists, best_first};
use crate::tensor::{Csr, Rows};

/// What a file of results holds, and how much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Form {
    pub kind: FormKind,
    pub rows: usize,
    pub dims: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FormKind {
    /// `.npy` of `float32`.
    Dense,
    /// SciPy's CSR.
    Sparse,
    /// SciPy's CSR of scores: a row's neighbours by their rows.
    Lists(Ties),
    /// `row,image_phash`, as a CSV.
    Hashes,
}

/// How a row's neighbours stand, apart from the better score first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ties {
    /// By [`best_first`]: 0 stands before -0.
    BestFirst,
    /// 0 and -0 are one number.
    OneZero,
}

impl Ties {
    fn compare(self, a: &(u32, f64), b: &(u32, f64)) -> Ordering {
        match self {
            Ties::BestFirst => best_first(a, b),
            Ties::OneZero => {
                let better = b.1.partial_cmp(&a.1).unwrap_or(Ordering::Equal);
                better.then(a.0.cmp(&b.0))
            }
        }
    }

    /// The order that `lists` are in, from which they can be made again.
    fn of(lists: &Lists) -> Result<Self> {
        let ordered = |ties: Ties| {
            lists.iter().all(|list| {
                let pairs: Vec<(u32, f64)> = list.iter().collect();
                pairs
                    .windows(2)
                    .all(|w| ties.compare(&w[0], &w[1]) == Ordering::Less)
            })
        };
        let ties = [Ties::BestFirst, Ties::OneZero];
        ties.into_iter()
            .find(|&ties| ordered(ties))
            .ok_or_else(|| Error::internal("neighbours are not best first").op("keep"))
    }
}

/// The endings of the files of results.
pub(super) const ENDINGS: [&str; 3] = [".npy", ".npz", ".csv"];

impl Form {
    pub fn ending(&self) -> &'static str {
        match self.kind {
            FormKind::Dense => ".npy",
            FormKind::Sparse | FormKind::Lists(_) => ".npz",
            FormKind::Hashes => ".csv",
        }
    }

    /// The form of `made`.
    pub fn of(made: &Made) -> Result<Self> {
        let (kind, rows, dims) = match made {
            Made::Rows(rows @ Rows::Dense(_)) => (FormKind::Dense, rows.rows(), rows.dims()),
            Made::Rows(rows @ Rows::Sparse(_)) => (FormKind::Sparse, rows.rows(), rows.dims()),
            Made::Hashes(hashes) => (FormKind::Hashes, hashes.len(), 1),
            Made::Lists(lists) => {
                let ties = Ties::of(lists)?;
                (FormKind::Lists(ties), lists.len(), columns(lists))
            }
        };
        Ok(Form { kind, rows, dims })
    }

    /// Writes `made`, whole or not at all.
    pub fn write(&self, path: &Path, made: &Made) -> Result<()> {
        match made {
            Made::Rows(Rows::Dense(rows)) => write_npy(path, rows, NpyDtype::F32),
            Made::Rows(Rows::Sparse(rows)) => write_npz_stored(path, rows),
            Made::Hashes(hashes) => write_hashes(path, hashes),
            Made::Lists(lists) => write_npz_stored(path, &by_neighbour(lists)?),
        }
    }

    /// The manifest of the file at `path`, which has this form.
    pub fn manifest(&self, path: &Path, settings: serde_json::Value) -> Result<Manifest> {
        self.shape().manifest(path, settings)
    }

    fn shape(&self) -> Shape {
        let (kind, dtype) = match self.kind {
            FormKind::Dense => ("dense", "float32"),
            FormKind::Sparse => ("sparse", "float64"),
            FormKind::Lists(Ties::BestFirst) => ("neighbours", "float64"),
            FormKind::Lists(Ties::OneZero) => ("neighbours, one zero", "float64"),
            FormKind::Hashes => ("hashes", "uint64"),
        };
        Shape {
            kind,
            rows: self.rows,
            dims: self.dims,
            dtype: dtype.into(),
        }
    }

    /// The form that `manifest` tells, if the file at `path` has it, as far as its headers show.
    pub fn told_by(manifest: &Manifest, path: &Path) -> Option<Self> {
        let kind = match manifest.kind.as_str() {
            "dense" => FormKind::Dense,
            "sparse" => FormKind::Sparse,
            "neighbours" => FormKind::Lists(Ties::BestFirst),
            "neighbours, one zero" => FormKind::Lists(Ties::OneZero),
            "hashes" => FormKind::Hashes,
            _ => return None,
        };
        let [rows, dims] =
            [manifest.rows, manifest.dims].map(|n| usize::try_from(n).unwrap_or(usize::MAX));
        let form = Form { kind, rows, dims };
        let there = match kind {
            FormKind::Hashes => Shape {
                rows: read_hashes(path).ok()?.len(),
                ..Form { dims: 1, ..form }.shape()
            },
            FormKind::Lists(_) => Shape {
                kind: form.shape().kind,
                ..Shape::of(path).ok()?
            },
            FormKind::Dense | FormKind::Sparse => Shape::of(path).ok()?,
        };
        (there == form.shape() && there.is_of(manifest)).then_some(form)
    }

    /// What the file at `path` holds.
    pub fn read(&self, path: &Path) -> Result<Made> {
        let made = match self.kind {
            FormKind::Dense => Made::Rows(Rows::Dense(read_npy(path)?)),
            FormKind::Sparse => Made::Rows(Rows::Sparse(read_npz(path)?)),
            FormKind::Lists(ties) => {
                let lists = by_score(&read_npz(path)?, ties);
                if lists.iter().any(|l| l.scores.iter().any(|s| s.is_nan())) {
                    return Err(changed(path));
                }
                Made::Lists(lists)
            }
            FormKind::Hashes => Made::Hashes(read_hashes(path)?),
        };
        let (rows, dims) = match &made {
            Made::Rows(made) => (made.rows(), made.dims()),
            Made::Hashes(made) => (made.len(), 1),
            Made::Lists(made) => (made.len(), self.dims),
        };
        match (rows, dims) == (self.rows, self.dims) {
            true => Ok(made),
            false => Err(changed(path)),
        }
    }
}

fn changed(path: &Path) -> Error {
    Error::input("was changed while it was in use")
        .path(path)
        .mend("run again: it will be made anew")
}

/// How many columns the matrix of `lists` has: as many as it takes.
fn columns(lists: &Lists) -> usize {
    let most = lists.iter().flat_map(|l| l.rows.iter().copied()).max();
    most.map_or(0, |row| row as usize + 1).max(lists.len())
}

/// The lists as a matrix: each row's neighbours by their rows, with their scores.
fn by_neighbour(lists: &Lists) -> Result<Csr> {
    let mut indptr = Vec::with_capacity(lists.len() + 1);
    indptr.push(0);
    let (mut indices, mut values) = (Vec::new(), Vec::new());
    indices.reserve_exact(lists.pairs());
    values.reserve_exact(lists.pairs());
    let mut row = Vec::new();
    for list in lists.iter() {
        row.clear();
        row.extend(list.iter());
        row.sort_unstable_by_key(|&(neighbour, _)| neighbour);
        indices.extend(row.iter().map(|pair| pair.0));
        values.extend(row.iter().map(|pair| pair.1));
        indptr.push(indices.len());
    }
    Csr::new(columns(lists), indptr, indices, values)
}

/// The lists that [`by_neighbour`] made a matrix of.
fn by_score(matrix: &Csr, ties: Ties) -> Lists {
    let per_row = matrix.nnz().div_ceil(matrix.rows().max(1));
    let mut lists = Lists::with_capacity(matrix.rows(), per_row);
    let mut row: Vec<(u32, f64)> = Vec::new();
    for i in 0..matrix.rows() {
        let (neighbours, scores) = matrix.row(i);
        row.clear();
        row.extend(neighbours.iter().copied().zip(scores.iter().copied()));
        row.sort_unstable_by(|a, b| ties.compare(a, b));
        lists.push(row.iter().copied());
    }
    lists
}

const HASHES: &str = "row,image_phash\n";

/// A line a row: its number, from 1, and its hash in hexadecimal, if it has one.
fn write_hashes(path: &Path, hashes: &[Option<u64>]) -> Result<()> {
    write_whole(path, |out| {
        out.write_all(HASHES.as_bytes())?;
        for (row, hash) in hashes.iter().enumerate() {
            match hash {
                Some(hash) => writeln!(out, "{},{hash:016x}", row + 1)?,
                None => writeln!(out, "{},", row + 1)?,
            }
        }
        Ok(())
    })
}

/// What [`write_hashes`] wrote.
fn read_hashes(path: &Path) -> Result<Vec<Option<u64>>> {
    let fail = |e| Error::io(e, path);
    let metadata = path.metadata().map_err(fail)?;
    // The longest line: a row, a comma, a hash, a line break.
    if !metadata.is_file() || metadata.len() > (MAX_ROWS as u64 + 1) * 28 {
        return Err(changed(path));
    }
    let text = std::fs::read_to_string(path).map_err(fail)?;
    parse_hashes(&text).ok_or_else(|| changed(path))
}

fn parse_hashes(text: &str) -> Option<Vec<Option<u64>>> {
    let lines = text.strip_prefix(HASHES)?;
    if !lines.is_empty() && !lines.ends_with('\n') {
        return None;
    }
    let hash = |(at, line): (usize, &str)| {
        let (row, hash) = line.split_once(',')?;
        match (row.parse() == Ok(at + 1), hash.len()) {
            (true, 0) => Some(None),
            (true, 16) => u64::from_str_radix(hash, 16).ok().map(Some),
            _ => None,
        }
    };
    lines.lines().enumerate().map(hash).collect()
}

/// [`Told`] as JSON has it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ToldFile {
    items: usize,
    rejects: Vec<RejectFile>,
    notes: Vec<String>,
}

/// [`Reject`] as JSON has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct RejectFile {
    row: u64,
    line: u64,
    posting_id: String,
    column: String,
    reason: String,
}

impl From<&Reject> for RejectFile {
    fn from(reject: &Reject) -> Self {
        let Reject {
            row,
            line,
            posting_id,
            column,
            reason,
        } = reject.clone();
        RejectFile {
            row,
            line,
            posting_id,
            column,
            reason,
        }
    }
}

impl From<RejectFile> for Reject {
    fn from(file: RejectFile) -> Self {
        let RejectFile {
            row,
            line,
            posting_id,
            column,
            reason,
        } = file;
        Reject {
            row,
            line,
            posting_id,
            column,
            reason,
        }
    }
}

impl From<&Told> for ToldFile {
    fn from(told: &Told) -> Self {
        ToldFile {
            items: told.items,
            rejects: told.rejects.iter().map(RejectFile::from).collect(),
            notes: told.notes.clone(),
        }
    }
}

impl From<ToldFile> for Told {
    fn from(file: ToldFile) -> Self {
        Told {
            items: file.items,
            rejects: file.rejects.into_iter().map(Reject::from).collect(),
            notes: file.notes,
        }
    }
}
