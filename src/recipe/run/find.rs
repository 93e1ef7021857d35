//! The neighbours of a space's rows.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::work::Made;
use super::classic::Pairs;
use super::held::{Fresh, Keeper};
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
    pub fn neighbours(&mut self, space: usize, below: Option<f64>) -> Result<Lists> {
        self.near_in(space, below)?.lists()
    }

    /// The same, where they were found.
    pub(super) fn near_in(&mut self, space: usize, below: Option<f64>) -> Result<Held> {
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
    ) -> Result<Held> {
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
        if let Data::Pairs(pairs) = queries {
            let gallery = gallery
                .is_some()
                .then(|| self.side(Which::Gallery).listings.items.len());
            self.tell_cost(pairs, &search.label, items, gallery)?;
        }
        let (insist, mut left) = (self.job.insist, None);
        let keeper = self.keeper.clone();
        let found = self.stage_held(name, (&search.file, &key), items, || {
            let card = Card {
                device: &*device,
                keeper: keeper.as_deref(),
                insist,
                left: &mut left,
            };
            find(card, queries, gallery, search)
        })?;
        left.into_iter().for_each(|note| self.note(note));
        Ok(found)
    }
}

/// The device of a run, and what becomes of a search that it has no form of.
struct Card<'a> {
    device: &'a dyn Device,
    keeper: Option<&'a Keeper>,
    /// Whether that is an error; else the search runs on the CPU.
    insist: bool,
    /// A note where that happened.
    left: &'a mut Option<String>,
}

impl Card<'_> {
    /// What `on` finds on the device, or on the CPU where the device has no such search.
    fn search(self, on: impl Fn(&dyn Device) -> Result<Lists>) -> Result<Lists> {
        let kind = self.device.info().kind;
        match on(self.device) {
            Err(e) if e.kind() == Kind::Unsupported && self.insist => {
                let message = format!("--device {kind}: {}", e.message());
                Err(Error::unsupported(message).mend("use --device cpu"))
            }
            Err(e) if e.kind() == Kind::Unsupported => {
                *self.left = Some(format!("a search runs on the CPU: {}", e.message()));
                on(&CpuDevice::default())
            }
            done => done,
        }
    }
}

/// What stands for rows in a key.
fn of(data: &Data) -> Value {
    match data {
        Data::Hashes(kept) => json!(kept.digest),
        Data::Rows(held) => json!(held.digest()),
        Data::Euclidean(held, scale) => json!({"euclidean": held.digest(), "scale": scale}),
        Data::Fused(parts, by) => {
            let parts: Vec<Value> = parts.iter().map(|(h, w)| json!([h.digest(), w])).collect();
            json!({"fused": parts, "by": format!("{by:?}")})
        }
        Data::Ranked(data) => json!({"ranked": of(data)}),
        Data::Pairs(pairs) => pairs.key(),
    }
}

fn find(card: Card<'_>, queries: &Data, gallery: Option<&Data>, search: &Search) -> Result<Fresh> {
    let top = TopK {
        k: search.k,
        // A distance below d is a score above 1 - d; the rule itself decides at the edge.
        min_score: match search.below {
            None => Some(1.0),
            Some(d) if d == f64::INFINITY => None,
            Some(d) => Some(1.0 - d),
        },
    };
    let found = match (queries, gallery) {
        (Data::Hashes(a), None) => {
            let made = a.read()?;
            match search.below {
                None => Ok(search::equal_hashes(hashes(&made)?, search.k)),
                Some(_) => near_hashes(card, hashes(&made)?, None, &top),
            }
        }
        (Data::Hashes(a), Some(Data::Hashes(b))) => {
            let (a, b) = (a.read()?, b.read()?);
            near_hashes(card, hashes(&a)?, Some(hashes(&b)?), &top)
        }
        (Data::Rows(a), None) => return near_rows(card, a, None, &top),
        (Data::Rows(a), Some(Data::Rows(b))) => return near_rows(card, a, Some(b), &top),
        (Data::Euclidean(a, scale), None) => near_as_they_stand(&*a.rows()?, None, *scale, &top),
        (Data::Euclidean(a, scale), Some(Data::Euclidean(b, _))) => {
            near_as_they_stand(&*a.rows()?, Some(&*b.rows()?), *scale, &top)
        }
        (Data::Fused(a, by), None) => near_fused(card, &read(a)?, None, *by, &top),
        (Data::Fused(a, by), Some(Data::Fused(b, _))) => {
            near_fused(card, &read(a)?, Some(&read(b)?), *by, &top)
        }
        (Data::Ranked(a), None) => ranked(card, a, None, search),
        (Data::Ranked(a), Some(Data::Ranked(b))) => ranked(card, a, Some(&**b), search),
        (Data::Pairs(a), None) => judged(card, a, None, &top),
        (Data::Pairs(a), Some(Data::Pairs(b))) => judged(card, a, Some(b), &top),
        _ => Err(Error::internal("the two sides of a search differ in kind")),
    };
    found.map(|lists| Fresh::Host(Made::Lists(lists)))
}

/// The nearest rows by cosine, with rows and lists that stay on the card where it can be so.
fn near_rows(card: Card<'_>, rows: &Held, gallery: Option<&Held>, top: &TopK) -> Result<Fresh> {
    if let Some(keeper) = card.keeper
        && let Some(found) = keeper.near(rows, gallery, top)?
    {
        return Ok(found);
    }
    let (rows, gallery) = (rows.rows()?, gallery.map(Held::rows).transpose()?);
    let found = near(card, &rows, gallery.as_deref(), top)?;
    Ok(Fresh::Host(Made::Lists(found)))
}

/// All neighbours, with percentiles in the place of their scores, as far as the search looks.
fn ranked(
    card: Card<'_>,
    queries: &Data,
    gallery: Option<&Data>,
    search: &Search,
) -> Result<Lists> {
    let keeper = card.keeper;
    let all = Search {
        label: search.label.clone(),
        file: search.file.clone(),
        k: search.k,
        below: Some(f64::INFINITY),
    };
    let lists = match find(card, queries, gallery, &all)? {
        Fresh::Host(Made::Lists(lists)) => lists,
        Fresh::Card(made) => made.lists(keeper)?,
        Fresh::Host(_) => return Err(Error::internal("a search found no lists")),
    };
    let below = search.below.unwrap_or(f64::MIN_POSITIVE);
    Ok(super::ranked::percentiles(&lists, gallery.is_none(), below))
}

fn hashes(made: &Made) -> Result<&[Option<u64>]> {
    match made {
        Made::Hashes(hashes) => Ok(hashes),
        _ => Err(Error::internal("a stage's result is not hashes")),
    }
}

fn near_hashes(
    card: Card<'_>,
    hashes: &[Option<u64>],
    gallery: Option<&[Option<u64>]>,
    top: &TopK,
) -> Result<Lists> {
    card.search(|on| search::hamming_on(on, hashes, gallery, top))
}

/// The nearest rows by cosine.
fn near(card: Card<'_>, rows: &Rows, gallery: Option<&Rows>, top: &TopK) -> Result<Lists> {
    match (rows, gallery) {
        (Rows::Dense(x), None) => card.search(|on| search::dense_on(on, x, None, top)),
        (Rows::Dense(x), Some(Rows::Dense(y))) => {
            card.search(|on| search::dense_on(on, x, Some(y), top))
        }
        (Rows::Sparse(x), None) => card.search(|on| search::sparse_on(on, x, None, top)),
        (Rows::Sparse(x), Some(Rows::Sparse(y))) => {
            card.search(|on| search::sparse_on(on, x, Some(y), top))
        }
        _ => Err(
            Error::input("the rows of the listings and of the gallery are of two kinds")
                .mend("give both as .npy, or both as .npz"),
        ),
    }
}

/// The likeliest rows by a classifier of pairs.
fn judged(card: Card<'_>, a: &Pairs, b: Option<&Pairs>, top: &TopK) -> Result<Lists> {
    let (rows, gallery) = (a.rows()?, b.map(Pairs::rows).transpose()?);
    let classifier = &a.classifier;
    card.search(|on| search::classified_on(on, &rows, gallery.as_ref(), classifier, top))
}

/// The nearest rows by Euclidean distance; the CPU has the only form of it.
fn near_as_they_stand(
    rows: &Rows,
    gallery: Option<&Rows>,
    scale: f64,
    top: &TopK,
) -> Result<Lists> {
    match (rows, gallery) {
        (Rows::Dense(x), None) => search::euclidean(x, None, scale, top),
        (Rows::Dense(x), Some(Rows::Dense(y))) => search::euclidean(x, Some(y), scale, top),
        _ => Err(
            Error::input("Euclidean distances are of dense rows, and these are sparse")
                .mend("give the rows as .npy"),
        ),
    }
}

fn read(parts: &[(Held, f64)]) -> Result<Vec<(Arc<Rows>, f64)>> {
    parts.iter().map(|(h, w)| Ok((h.rows()?, *w))).collect()
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
    card: Card<'_>,
    queries: &[(Arc<Rows>, f64)],
    gallery: Option<&[(Arc<Rows>, f64)]>,
    by: Fuse,
    top: &TopK,
) -> Result<Lists> {
    let gallery: Option<Vec<Space<'_>>> =
        gallery.map(|parts| parts.iter().map(|(rows, _)| space(rows)).collect());
    let (queries, gallery) = (weighted(queries), gallery.as_deref());
    card.search(|on| search::fused_on(on, &queries, gallery, Some(by), top))
}
