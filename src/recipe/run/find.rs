//! The neighbours of a space's rows.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::work::{Kept, Made, Told};
use super::{Data, Held, Run, Which};
use crate::device::{CpuDevice, Device};
use crate::error::{Error, Kind, Result};
use crate::lists::Lists;
use crate::search::{self, Fuse, Space, TopK};
use crate::tensor::Rows;

/// What a search takes, and how its result is called.
pub(super) struct Search {
    /// Whose neighbours are searched, for people.
    pub label: String,
    /// What the result is called.
    pub file: String,
    /// The most neighbours of a row, itself included.
    pub k: usize,
    /// Neighbours are nearer than this distance, or equal rows alone; all are where it is infinite.
    pub below: Option<f64>,
}

impl Run<'_> {
    /// The neighbours of each listing in `space`, which was gathered: those nearer than `below`, or equal
    /// rows alone.
    ///
    /// # Errors
    /// A search refuses its input; what the disk says.
    pub fn neighbours(&mut self, space: usize, below: Option<f64>) -> Result<Kept> {
        let queries = self.data_of(space, Which::Queries)?;
        let gallery = match self.job.against {
            Some(_) => Some(self.data_of(space, Which::Gallery)?),
            None => None,
        };
        let search = Search {
            label: self.label(space, Which::Queries),
            file: format!("{}.nn", self.file(space, Which::Queries)),
            k: self.job.recipe.neighbours,
            below,
        };
        self.search(&queries, gallery.as_ref(), &search)
    }

    /// What a gathered space compares.
    pub(super) fn data_of(&self, space: usize, which: Which) -> Result<Data> {
        let data = self.data.get(&(space, which)).cloned();
        data.ok_or_else(|| Error::internal("a space is searched before it was gathered"))
    }

    /// The neighbours of `queries` among `gallery`, or among themselves.
    pub(super) fn search(
        &mut self,
        queries: &Data,
        gallery: Option<&Data>,
        search: &Search,
    ) -> Result<Kept> {
        let key = self.key(|| {
            Ok(json!({
                "stage": "search",
                "of": of(queries),
                "against": gallery.map(of),
                "k": search.k,
                // As text, since JSON has no infinity.
                "below": search.below.map(|d| d.to_string()),
            }))
        })?;
        let device = Arc::clone(&self.job.device);
        let items = match queries {
            _ if search.file.starts_with("gallery.") => self.side(Which::Gallery),
            _ => self.side(Which::Queries),
        };
        let items = items.listings.items.len();
        let name = ("search", search.label.as_str());
        self.stage(name, (&search.file, &key), items, || {
            let lists = find(&*device, queries, gallery, search)?;
            let told = Told {
                items,
                ..Told::default()
            };
            Ok((Made::Lists(lists), told))
        })
    }
}

/// What stands for rows in a key.
fn of(data: &Data) -> Value {
    match data {
        Data::Hashes(kept) => json!(kept.digest),
        Data::Rows(held) => json!(held.digest()),
        Data::Fused(parts, by) => {
            let parts: Vec<Value> = parts.iter().map(|(h, w)| json!([h.digest(), w])).collect();
            json!({"fused": parts, "by": format!("{by:?}")})
        }
    }
}

fn find(
    device: &dyn Device,
    queries: &Data,
    gallery: Option<&Data>,
    search: &Search,
) -> Result<Lists> {
    let top = TopK {
        k: search.k,
        // A distance below d is a score above 1 - d; the rule itself decides at the edge.
        min_score: match search.below {
            None => Some(1.0),
            Some(d) if d == f64::INFINITY => None,
            Some(d) => Some(1.0 - d),
        },
    };
    match (queries, gallery) {
        (Data::Hashes(a), None) => {
            let made = a.read()?;
            match search.below {
                None => Ok(search::equal_hashes(hashes(&made)?, search.k)),
                Some(_) => near_hashes(device, hashes(&made)?, None, &top),
            }
        }
        (Data::Hashes(a), Some(Data::Hashes(b))) => {
            let (a, b) = (a.read()?, b.read()?);
            near_hashes(device, hashes(&a)?, Some(hashes(&b)?), &top)
        }
        (Data::Rows(a), None) => near(device, &*a.read()?, None, &top),
        (Data::Rows(a), Some(Data::Rows(b))) => near(device, &*a.read()?, Some(&*b.read()?), &top),
        (Data::Fused(a, by), None) => near_fused(device, &read(a)?, None, *by, &top),
        (Data::Fused(a, by), Some(Data::Fused(b, _))) => {
            near_fused(device, &read(a)?, Some(&read(b)?), *by, &top)
        }
        _ => Err(Error::internal("the two sides of a search differ in kind")),
    }
}

fn hashes(made: &Made) -> Result<&[Option<u64>]> {
    match made {
        Made::Hashes(hashes) => Ok(hashes),
        _ => Err(Error::internal("a stage's result is not hashes")),
    }
}

/// What a search gave on the device, or on the CPU where the device has no such search.
fn or_on_cpu(on: impl Fn(&dyn Device) -> Result<Lists>, device: &dyn Device) -> Result<Lists> {
    match on(device) {
        Err(e) if e.kind() == Kind::Unsupported => on(&CpuDevice::default()),
        done => done,
    }
}

fn near_hashes(
    device: &dyn Device,
    hashes: &[Option<u64>],
    gallery: Option<&[Option<u64>]>,
    top: &TopK,
) -> Result<Lists> {
    or_on_cpu(|on| search::hamming_on(on, hashes, gallery, top), device)
}

/// The nearest rows by cosine.
pub(super) fn near(
    device: &dyn Device,
    rows: &Rows,
    gallery: Option<&Rows>,
    top: &TopK,
) -> Result<Lists> {
    match (rows, gallery) {
        (Rows::Dense(x), None) => or_on_cpu(|on| search::dense_on(on, x, None, top), device),
        (Rows::Dense(x), Some(Rows::Dense(y))) => {
            or_on_cpu(|on| search::dense_on(on, x, Some(y), top), device)
        }
        (Rows::Sparse(x), None) => or_on_cpu(|on| search::sparse_on(on, x, None, top), device),
        (Rows::Sparse(x), Some(Rows::Sparse(y))) => {
            or_on_cpu(|on| search::sparse_on(on, x, Some(y), top), device)
        }
        _ => Err(
            Error::input("the rows of the listings and of the gallery are of two kinds")
                .mend("give both as .npy, or both as .npz"),
        ),
    }
}

fn read(parts: &[(Held, f64)]) -> Result<Vec<(Arc<Rows>, f64)>> {
    parts.iter().map(|(h, w)| Ok((h.read()?, *w))).collect()
}

fn space(rows: &Rows) -> Space<'_> {
    match rows {
        Rows::Dense(x) => Space::Dense(x),
        Rows::Sparse(x) => Space::Sparse(x),
    }
}

fn weighted(parts: &[(Arc<Rows>, f64)]) -> Vec<(Space<'_>, f64)> {
    parts.iter().map(|(rows, w)| (space(rows), *w)).collect()
}

/// The nearest rows by one score from several spaces.
fn near_fused(
    device: &dyn Device,
    queries: &[(Arc<Rows>, f64)],
    gallery: Option<&[(Arc<Rows>, f64)]>,
    by: Fuse,
    top: &TopK,
) -> Result<Lists> {
    let gallery: Option<Vec<Space<'_>>> =
        gallery.map(|parts| parts.iter().map(|(rows, _)| space(rows)).collect());
    let (queries, gallery) = (weighted(queries), gallery.as_deref());
    or_on_cpu(
        |on| search::fused_on(on, &queries, gallery, Some(by), top),
        device,
    )
}
