//! A recipe, run: every space's rows, their neighbours, and the rule over them.
//!
//! ```text
//!   listings --[gather]--> rows of a space --[refine]--> better rows --[find]--> Lists --> matching
//!        (hashes, TF-IDF, encoders, files)      (expand, blend: search, then average)
//! ```
//!
//! Each arrow is a stage: what it makes is asked of the [`Work`](super::work::Work) first, under a key of
//! all that it depends on, and kept there when it had to be made. On a card what a stage made stays there
//! for the next (`held`).

mod after;
mod classic;
mod encoders;
mod evidence;
mod find;
mod gather;
mod held;
mod inputs;
mod ranked;
mod refine;
mod resolve;

pub(super) use resolve::unable;

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

pub use evidence::{Evidence, run_with_evidence};

use super::job::{Job, Outcome, Side};
use super::stages::{Clock, Watch};
use super::work::{Kept, Key, Made, Told, Work};
use crate::embed::store;
use crate::error::{Error, Result};
use crate::listings::Ledger;
use crate::tensor::Rows;
use crate::text::tfidf::Tfidf;
use crate::text::word2vec::Word2Vec;
use held::{Fresh, Held, Keeper};

/// How much larger or smaller than the gallery that they were tuned on listings may be, before a note says
/// so.
const TUNED_WITHIN: f64 = 1.5;

/// Matches `job`'s listings by its recipe. At most [`MAX_MATCHES`](crate::limits::MAX_MATCHES) a listing.
///
/// A listing without a hash gets one from its image where images are given. An image or a title that
/// cannot be read goes to the ledger and loses that evidence alone; a listing without one has no such
/// evidence. Each file and each title is encoded once an encoder.
///
/// # Errors
/// A recipe that does not check; the image folder cannot be opened, or an image encoder has none; given
/// rows that are not one a listing; a search refuses its input; whatever an encoder or the disk ends with.
pub fn run(job: &Job<'_>, watch: &dyn Watch) -> Result<Outcome> {
    run_on(job, watch, None)
}

/// [`run`]; what it rests on goes to `told`, with neighbours so much farther away than the rule looks.
fn run_on(
    job: &Job<'_>,
    watch: &dyn Watch,
    mut told: Option<(f64, &mut Evidence)>,
) -> Result<Outcome> {
    let mut run = Run::new(job, watch)?;
    let rule = &job.recipe.fusion;
    let used = rule.sources();
    run.plan(&used)?;
    for &space in &used {
        run.gather(space)?;
    }
    let mut found = Vec::new();
    // What the rule takes by equality alone, as a report wants it.
    let mut wider = Vec::new();
    // A model of pairs is told of all neighbours.
    let all = job.recipe.after.pair_model.is_some();
    for (place, &space) in used.iter().enumerate() {
        let below = rule.reach(space).unwrap_or_default().below;
        let mut below = below.map(|below| if all { f64::INFINITY } else { below });
        if let Some((beyond, _)) = &told {
            match &mut below {
                Some(_) if all => {}
                Some(below) => *below = (*below + beyond).min(2.0),
                None => wider.push((place, run.almost_equal(space, *beyond)?)),
            }
        }
        found.push(run.near_in(space, below)?);
    }
    let place = |space: usize| used.binary_search(&space).unwrap_or(0);
    let rule = rule.map_sources(&place);
    let told = told.as_mut().map(|t| (&mut *t.1, wider));
    run.finish(&used, found, &rule, told)
}

/// Which listings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Which {
    /// Those that are answered.
    Queries,
    /// Those that answer, where these are others.
    Gallery,
}

/// What a space compares.
#[derive(Clone)]
enum Data {
    Hashes(Kept),
    Rows(Held),
    /// Rows as they stand, by Euclidean distance over a scale.
    Euclidean(Held, f64),
    Fused(Vec<(Held, f64)>, crate::search::Fuse),
    Pairs(Arc<classic::Pairs>),
    /// Percentiles of the similarities of something else.
    Ranked(Box<Data>),
}

/// A recipe's run over its spaces; `tune` uses it to look at them one by one.
pub struct Run<'a> {
    job: &'a Job<'a>,
    watch: &'a dyn Watch,
    clock: Clock<'a>,
    ledgers: HashMap<Which, Ledger>,
    notes: Vec<String>,
    /// Rows as their source has them.
    base: HashMap<(usize, Which), Data>,
    /// Rows as the steps left them.
    data: HashMap<(usize, Which), Data>,
    /// Vocabularies of the gallery.
    words: HashMap<usize, Arc<Tfidf>>,
    /// Word vectors of the gallery.
    vectors: HashMap<usize, Arc<Word2Vec>>,
    encoders: encoders::Encoders,
    /// What stays on the card, where the run has one.
    keeper: Option<Arc<Keeper>>,
}

impl<'a> Run<'a> {
    /// A run that has not gathered anything.
    ///
    /// # Errors
    /// A recipe that does not check; given rows for a space that the recipe has not.
    pub fn new(job: &'a Job<'a>, watch: &'a dyn Watch) -> Result<Self> {
        job.recipe.check()?;
        for side in [Some(&job.side), job.against.as_ref()]
            .into_iter()
            .flatten()
        {
            for (name, _) in &side.given {
                if !job.recipe.spaces.iter().any(|s| s.name == *name) {
                    return Err(no_such_space(name, job));
                }
            }
        }
        if job.against.is_some() && job.recipe.fusion.has_reciprocal() {
            return Err(
                Error::input("a reciprocal rule has no meaning against a gallery")
                    .mend("leave `reciprocal` out, or match all listings in one file"),
            );
        }
        if job.against.is_some() {
            job.recipe.after.check_against_gallery()?;
        }
        let mut ledgers = HashMap::from([(Which::Queries, job.side.listings.ledger.clone())]);
        if let Some(gallery) = &job.against {
            ledgers.insert(Which::Gallery, gallery.listings.ledger.clone());
        }
        let mut notes = Vec::new();
        if let Some(tuned) = &job.recipe.tuned {
            let (then, now) = (
                tuned.listings as f64,
                job.gallery().listings.items.len() as f64,
            );
            if now > then * TUNED_WITHIN || now * TUNED_WITHIN < then {
                notes.push(format!(
                    "the thresholds of {} were tuned on {then} listings, and these are {now}: \
                     thresholds depend on that (`engine tune --for-size {now}`)",
                    job.recipe.name
                ));
            }
        }
        Ok(Run {
            job,
            watch,
            clock: Clock::new(watch),
            ledgers,
            notes,
            base: HashMap::new(),
            data: HashMap::new(),
            words: HashMap::new(),
            vectors: HashMap::new(),
            encoders: encoders::Encoders::default(),
            keeper: Keeper::of(&job.device),
        })
    }

    /// The sides that a run has.
    fn sides(&self) -> &'static [Which] {
        match self.job.against {
            Some(_) => &[Which::Gallery, Which::Queries],
            None => &[Which::Queries],
        }
    }

    fn side(&self, which: Which) -> &'a Side<'a> {
        match (which, &self.job.against) {
            (Which::Gallery, Some(gallery)) => gallery,
            _ => &self.job.side,
        }
    }

    /// What a stage of a side is called after its space: `photo`, `gallery photo`.
    fn label(&self, space: usize, which: Which) -> String {
        let name = &self.job.recipe.spaces[space].name;
        match which {
            Which::Queries => name.clone(),
            Which::Gallery => format!("gallery {name}"),
        }
    }

    /// What the result of a stage is called: `photo`, `gallery.photo`; space names have no points.
    fn file(&self, space: usize, which: Which) -> String {
        let name = &self.job.recipe.spaces[space].name;
        match which {
            Which::Queries => name.clone(),
            Which::Gallery => format!("gallery.{name}"),
        }
    }

    /// A key, where results are kept; what is costly to tell is not asked for where they are not.
    fn key(&self, settings: impl FnOnce() -> Result<Value>) -> Result<Key> {
        match self.job.work {
            Work::Memory => Ok(Key::new(Value::Null)),
            _ => settings().map(Key::new),
        }
    }

    /// Adds a note, once.
    fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// What stage `name` made of `label`, from an earlier run or from `make`.
    fn stage(
        &mut self,
        (name, label): (&'static str, &str),
        (file, key): (&str, &Key),
        items: usize,
        make: impl FnOnce() -> Result<(Made, Told)>,
    ) -> Result<Kept> {
        self.clock.begin();
        if let Some(kept) = self.job.work.find(file, key)? {
            self.clock.reused(name, Some(label), kept.told.items);
            return Ok(kept);
        }
        let work = self.job.work;
        self.clock.run_of(name, Some(label), items, || {
            let (made, told) = make()?;
            work.keep(file, key, made, told)
        })
    }

    /// As [`Run::stage`], of what the card may keep. `make` may be called twice: see
    /// [`with_room`](held::with_room).
    fn stage_held(
        &mut self,
        (name, label): (&'static str, &str),
        (file, key): (&str, &Key),
        items: usize,
        make: impl FnMut() -> Result<Fresh>,
    ) -> Result<Held> {
        self.clock.begin();
        if let Some(kept) = self.job.work.find(file, key)? {
            self.clock.reused(name, Some(label), kept.told.items);
            return Ok(Held::kept(kept));
        }
        let (work, keeper) = (self.job.work, self.keeper.clone());
        self.clock.run_of(name, Some(label), items, || {
            let told = Told {
                items,
                ..Told::default()
            };
            let made = match (held::with_room(keeper.as_deref(), make)?, &keeper) {
                (Fresh::Host(made), _) => {
                    return work.keep(file, key, made, told).map(Held::kept);
                }
                (Fresh::Card(made), Some(keeper)) => (made, keeper),
                (Fresh::Card(_), None) => {
                    return Err(Error::internal("a result on no card"));
                }
            };
            let (made, keeper) = made;
            keeper.finish()?;
            let kept = match work {
                Work::Memory => None,
                Work::Folder(_) => Some(work.keep(file, key, keeper.to_host(&made)?, told)?),
            };
            Ok(keeper.keep(kept, made))
        })
    }

    /// Takes down what a stage said; what an earlier one said of the same cell is not said twice.
    fn heed(&mut self, which: Which, told: &Told) {
        let items = &self.side(which).listings.items;
        let ledger = self.ledgers.entry(which).or_default();
        let known: std::collections::HashSet<(u64, String)> =
            ledger.iter().map(|r| (r.row, r.column.clone())).collect();
        for reject in &told.rejects {
            if !known.contains(&(reject.row, reject.column.clone())) {
                let mut reject = reject.clone();
                // An earlier run may have seen the listing under another id, on another line.
                if let Some(listing) = items.get((reject.row as usize).wrapping_sub(1)) {
                    reject.line = listing.line;
                    reject.posting_id.clone_from(&listing.posting_id);
                }
                ledger.push(reject);
            }
        }
        ledger.sort();
        for note in &told.notes {
            self.note(note.clone());
        }
    }

    /// The rows of a gathered space, as its steps left them; none where it has no rows of its own.
    ///
    /// # Errors
    /// What the disk says.
    pub(super) fn rows(&self, space: usize) -> Result<Option<Arc<Rows>>> {
        match self.data.get(&(space, Which::Queries)) {
            Some(Data::Rows(held) | Data::Euclidean(held, _)) => held.rows().map(Some),
            _ => Ok(None),
        }
    }

    /// The hashes of a gathered space; none where it is another kind.
    ///
    /// # Errors
    /// What the disk says.
    pub(super) fn hashes_of(&self, space: usize) -> Result<Option<Arc<Made>>> {
        match self.data.get(&(space, Which::Queries)) {
            Some(Data::Hashes(kept)) => kept.read().map(Some),
            _ => Ok(None),
        }
    }

    /// What there is to say of what was gathered: rejects, notes and stages.
    pub(super) fn said(mut self) -> (Ledger, Vec<String>, Vec<super::Stage>) {
        let ledger = self.ledgers.remove(&Which::Queries).unwrap_or_default();
        (ledger, self.notes, self.clock.stages)
    }
}

/// Rows of a file, told apart by its ending.
fn read_rows(path: &std::path::Path) -> Result<Rows> {
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or("");
    match ending.to_ascii_lowercase().as_str() {
        "npy" => store::read_npy(path).map(Rows::Dense),
        "npz" => store::read_npz(path).map(Rows::Sparse),
        _ => Err(Error::input("is not a kind of file that holds rows")
            .path(path)
            .mend("give an .npy or an .npz, one row a listing")),
    }
}

fn no_such_space(name: &str, job: &Job<'_>) -> Error {
    let names: Vec<&str> = job.recipe.spaces.iter().map(|s| s.name.as_str()).collect();
    Error::input(format!(
        "rows are given for {name}, which is no space of the recipe {}",
        job.recipe.name
    ))
    .mend(format!("its spaces are {}", names.join(", ")))
}
