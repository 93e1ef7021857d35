//! What stages made, and where it is: on the host, in a file, on the run's card, or on several of these.
//!
//! ```text
//!   given, embedded ──up, once──► rows ──near──► lists ──mix──► rows ──near──► lists ──fire──► matches
//!        host, files              └───────────────── the card ─────────────────┘               host
//! ```
//!
//! What was made on a card stays there, and what was made elsewhere goes up once, when a stage on the card
//! first wants it. The host reads a result of the card when it must: for a folder of kept results, for a
//! search or a step that the card has no form of, and when the card's memory is wanted for something else.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::super::work::{Kept, Made};
use super::read_rows;
use crate::device::{CardLists, CardRows, Device, Fusion, Mixing, Stream};
use crate::error::{Error, Kind, Result};
use crate::lists::Lists;
use crate::search::TopK;
use crate::tensor::Rows;

/// Rows or neighbours that can be read when they are wanted. Copies of it are one thing.
#[derive(Clone)]
pub(super) struct Held(Arc<Inner>);

struct Inner {
    /// What stands for it in the keys of stages that read it.
    digest: String,
    places: Mutex<Places>,
    /// The card of what is there, or was.
    card: Option<Arc<dyn Device>>,
}

/// Where it is; one of the two at least.
struct Places {
    host: Option<Host>,
    card: Option<OnCard>,
}

#[derive(Clone)]
enum Host {
    Kept(Kept),
    /// A file of somebody else's.
    File(PathBuf),
    Rows(Arc<Rows>),
    Lists(Arc<Lists>),
}

/// What stays on a card.
#[derive(Clone)]
pub(super) enum OnCard {
    Rows(CardRows),
    Lists(CardLists),
}

/// What a stage made just now.
pub(super) enum Fresh {
    Host(Made),
    Card(OnCard),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What the locks guard is changed in single steps, so a panic elsewhere leaves it whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl OnCard {
    fn bytes(&self) -> u64 {
        match self {
            OnCard::Rows(rows) => rows.bytes(),
            OnCard::Lists(lists) => lists.bytes(),
        }
    }

    fn to_host(&self, card: &dyn Fusion) -> Result<Made> {
        match self {
            OnCard::Rows(rows) => card.rows_to_host(rows, Stream::DEFAULT).map(Made::Rows),
            OnCard::Lists(lists) => card.lists_to_host(lists, Stream::DEFAULT).map(Made::Lists),
        }
    }
}

impl OnCard {
    /// The neighbours, on the host.
    pub fn lists(&self, keeper: Option<&Keeper>) -> Result<Lists> {
        let keeper = keeper.ok_or_else(|| Error::internal("a result on no card"))?;
        match self.to_host(keeper.fusion()?)? {
            Made::Lists(lists) => Ok(lists),
            _ => Err(Error::internal("a stage's result is not neighbours")),
        }
    }
}

impl Held {
    fn new(digest: String, host: Host) -> Held {
        Held(Arc::new(Inner {
            digest,
            places: Mutex::new(Places {
                host: Some(host),
                card: None,
            }),
            card: None,
        }))
    }

    /// A stage's result on the host, or in the folder of results.
    pub fn kept(kept: Kept) -> Held {
        Held::new(kept.digest.clone(), Host::Kept(kept))
    }

    /// Somebody else's file, whose SHA-256 is known.
    pub fn file(path: PathBuf, sha256: String) -> Held {
        Held::new(sha256, Host::File(path))
    }

    /// Somebody else's rows.
    pub fn shared(rows: Arc<Rows>) -> Held {
        Held::new(String::new(), Host::Rows(rows))
    }

    /// What stands for it in the keys of stages that read it.
    pub fn digest(&self) -> &str {
        &self.0.digest
    }

    /// What the host has of it; it is brought there if it is on the card alone.
    fn host(&self) -> Result<Host> {
        let mut places = lock(&self.0.places);
        if let Some(host) = &places.host {
            return Ok(host.clone());
        }
        let nowhere = || Error::internal("a stage's result is nowhere");
        let card = self.0.card.as_ref().ok_or_else(nowhere)?;
        let made = places.card.as_ref().ok_or_else(nowhere)?;
        let host = match made.to_host(card.fusion()?)? {
            Made::Rows(rows) => Host::Rows(Arc::new(rows)),
            Made::Lists(lists) => Host::Lists(Arc::new(lists)),
            Made::Hashes(_) => return Err(nowhere()),
        };
        places.host = Some(host.clone());
        Ok(host)
    }

    /// The rows, on the host.
    pub fn rows(&self) -> Result<Arc<Rows>> {
        let wrong = || Err(Error::internal("a stage's result is not rows"));
        let made = match self.host()? {
            Host::Kept(kept) => kept.read()?,
            Host::File(path) => return read_rows(&path).map(Arc::new),
            Host::Rows(rows) => return Ok(rows),
            Host::Lists(_) => return wrong(),
        };
        match Arc::try_unwrap(made) {
            Ok(Made::Rows(rows)) => Ok(Arc::new(rows)),
            Err(made) => match &*made {
                Made::Rows(rows) => Ok(Arc::new(rows.clone())),
                _ => wrong(),
            },
            Ok(_) => wrong(),
        }
    }

    /// What `read` makes of the neighbours, on the host.
    fn with_lists<T>(&self, read: impl FnOnce(&Lists) -> Result<T>) -> Result<T> {
        match self.host()? {
            Host::Lists(lists) => read(&lists),
            Host::Kept(kept) => match &*kept.read()? {
                Made::Lists(lists) => read(lists),
                _ => Err(Error::internal("a stage's result is not neighbours")),
            },
            _ => Err(Error::internal("a stage's result is not neighbours")),
        }
    }

    /// The neighbours, on the host, without a copy where nobody else holds them.
    pub fn lists(self) -> Result<Lists> {
        let host = self.host()?;
        drop(self);
        let wrong = || Err(Error::internal("a stage's result is not neighbours"));
        match host {
            Host::Lists(lists) => Ok(Arc::unwrap_or_clone(lists)),
            Host::Kept(kept) => {
                let made = kept.read()?;
                drop(kept);
                match Arc::unwrap_or_clone(made) {
                    Made::Lists(lists) => Ok(lists),
                    _ => wrong(),
                }
            }
            _ => wrong(),
        }
    }
}

/// The card of a run, and all that stays on it.
pub(super) struct Keeper {
    device: Arc<dyn Device>,
    there: Mutex<Vec<Weak<Inner>>>,
}

impl Keeper {
    /// None where the device keeps nothing.
    pub fn of(device: &Arc<dyn Device>) -> Option<Arc<Keeper>> {
        let keeps = device.info().is_card() && device.fusion().is_ok();
        keeps.then(|| {
            Arc::new(Keeper {
                device: Arc::clone(device),
                there: Mutex::default(),
            })
        })
    }

    pub fn fusion(&self) -> Result<&dyn Fusion> {
        self.device.fusion()
    }

    /// Keeps what a stage made on the card; `kept` is what the folder of results has of it.
    pub fn keep(&self, kept: Option<Kept>, made: OnCard) -> Held {
        let held = Held(Arc::new(Inner {
            digest: kept.as_ref().map(|k| k.digest.clone()).unwrap_or_default(),
            places: Mutex::new(Places {
                host: kept.map(Host::Kept),
                card: Some(made),
            }),
            card: Some(Arc::clone(&self.device)),
        }));
        self.note(&held);
        held
    }

    /// What was made on the card, for the folder of results.
    pub fn to_host(&self, made: &OnCard) -> Result<Made> {
        made.to_host(self.fusion()?)
    }

    /// Waits for what a stage put on the card, so that its errors and its seconds are its own.
    pub fn finish(&self) -> Result<()> {
        self.device.sync(Stream::DEFAULT)
    }

    fn note(&self, held: &Held) {
        let mut there = lock(&self.there);
        there.retain(|it| it.strong_count() > 0);
        there.push(Arc::downgrade(&held.0));
    }

    /// The rows on the card; they go there if they are not there yet.
    pub fn rows(&self, held: &Held) -> Result<CardRows> {
        if let Some(OnCard::Rows(rows)) = &lock(&held.0.places).card {
            return Ok(rows.clone());
        }
        self.put(held, &*held.rows()?)
    }

    fn put(&self, held: &Held, rows: &Rows) -> Result<CardRows> {
        let rows = self.fusion()?.rows(rows, Stream::DEFAULT)?;
        lock(&held.0.places).card = Some(OnCard::Rows(rows.clone()));
        self.note(held);
        Ok(rows)
    }

    /// The rows on the card, if they are dense; sparse ones stay where they are.
    fn dense(&self, held: &Held) -> Result<Option<CardRows>> {
        if let Some(OnCard::Rows(rows)) = &lock(&held.0.places).card {
            return Ok(matches!(rows, CardRows::Dense(_)).then(|| rows.clone()));
        }
        let rows = held.rows()?;
        match &*rows {
            Rows::Dense(_) => self.put(held, &rows).map(Some),
            Rows::Sparse(_) => Ok(None),
        }
    }

    /// The neighbours on the card; they go there if they are not there yet.
    pub fn lists(&self, held: &Held) -> Result<CardLists> {
        if let Some(OnCard::Lists(lists)) = &lock(&held.0.places).card {
            return Ok(lists.clone());
        }
        let card = self.fusion()?;
        let lists = held.with_lists(|lists| card.lists(lists, Stream::DEFAULT))?;
        lock(&held.0.places).card = Some(OnCard::Lists(lists.clone()));
        self.note(held);
        Ok(lists)
    }

    /// A search over dense rows on the card; none where these are not dense, or the card has no such search.
    pub fn near(
        &self,
        queries: &Held,
        gallery: Option<&Held>,
        top: &TopK,
    ) -> Result<Option<Fresh>> {
        top.check()?;
        let Some(left) = self.dense(queries)? else {
            return Ok(None);
        };
        let right = match gallery {
            None => None,
            Some(gallery) => match self.dense(gallery)? {
                None => return Ok(None),
                right => right,
            },
        };
        let (k, least) = (top.k, top.min_score);
        let stays = self.fusion()?;
        match stays.near(&left, right.as_ref(), k, least, Stream::DEFAULT) {
            Err(e) if e.kind() == Kind::Unsupported => {}
            found => return found.map(|lists| Some(Fresh::Card(OnCard::Lists(lists)))),
        }
        // So many neighbours come to the host.
        let (CardRows::Dense(left), right) = (left, right) else {
            return Ok(None);
        };
        let right = match right {
            Some(CardRows::Dense(right)) => Some(right),
            _ => None,
        };
        let found = (self.device).topk_dense(&left, right.as_ref(), k, least, Stream::DEFAULT);
        match found {
            Err(e) if e.kind() == Kind::Unsupported => Ok(None),
            found => found.map(|lists| Some(Fresh::Host(Made::Lists(lists)))),
        }
    }

    /// A step on the card; none where it has no form of it.
    pub fn mix(
        &self,
        own: &Held,
        others: Option<&Held>,
        lists: &Held,
        how: &Mixing,
    ) -> Result<Option<Fresh>> {
        let (rows, near) = (self.rows(own)?, self.lists(lists)?);
        let others = others.map(|others| self.rows(others)).transpose()?;
        let card = self.fusion()?;
        supported(card.mix(&rows, others.as_ref(), &near, how, Stream::DEFAULT))
    }

    /// Rows side by side, with their weights; none where the card has no form of it.
    pub fn concat(&self, parts: &[(Held, f64)]) -> Result<Option<Fresh>> {
        let rows = parts.iter().map(|(held, _)| self.rows(held));
        let rows = rows.collect::<Result<Vec<CardRows>>>()?;
        let weights = parts.iter().map(|(_, weight)| *weight);
        let parts: Vec<(&CardRows, f64)> = rows.iter().zip(weights).collect();
        supported(self.fusion()?.concat(&parts, Stream::DEFAULT))
    }

    /// How much of the card's memory is taken by what stays there.
    pub fn bytes(&self) -> u64 {
        let there = lock(&self.there);
        let bytes = |it: Arc<Inner>| lock(&it.places).card.as_ref().map_or(0, OnCard::bytes);
        there.iter().filter_map(Weak::upgrade).map(bytes).sum()
    }

    /// Frees the card's memory of all that stays there: what the host has not goes to the host.
    pub fn spill(&self) -> Result<bool> {
        let there = std::mem::take(&mut *lock(&self.there));
        let mut any = false;
        for it in there.iter().filter_map(Weak::upgrade) {
            let held = Held(it);
            if lock(&held.0.places).card.is_some() {
                held.host()?;
                lock(&held.0.places).card = None;
                any = true;
            }
        }
        Ok(any)
    }

    /// Frees the card's memory where what stays there would be in the way of an encoder: more than an
    /// eighth of what is left.
    pub fn make_room(&self) -> Result<()> {
        let left = match self.device.streams() {
            Some(streams) => streams.memory_left()?,
            None => return Ok(()),
        };
        if self.bytes() > left / 8 {
            self.spill()?;
        }
        Ok(())
    }
}

/// Rows of the card; none where it has no form of what makes them.
fn supported(made: Result<CardRows>) -> Result<Option<Fresh>> {
    match made {
        Err(e) if e.kind() == Kind::Unsupported => Ok(None),
        made => made.map(|rows| Some(Fresh::Card(OnCard::Rows(rows)))),
    }
}

/// What `make` makes; where the card's memory does not suffice, once more with nothing else kept there.
pub(super) fn with_room<T>(
    keeper: Option<&Keeper>,
    mut make: impl FnMut() -> Result<T>,
) -> Result<T> {
    match (make(), keeper) {
        (Err(e), Some(keeper)) if e.kind() == Kind::Limit => match keeper.spill()? {
            true => make(),
            false => Err(e),
        },
        (done, _) => done,
    }
}
