//! Thresholds of a recipe from labelled listings: what `engine tune` does.
//!
//! Each space's own rows are made once. The thresholds of blending come first, stage by stage: those of a
//! stage are chosen on the rows that it will get, **blended by the stages before it** with the thresholds
//! that were chosen for these (one published run chose them so, and then applied them to plain rows: its
//! F1 fell from .80 to .65). Then come the numbers of the rule, over the neighbours of the refined spaces.
//! Query expansion has no thresholds and stays as it is written.
//!
//! Whatever else is asked (folds, other numbers of listings) does the same on part of the listings, with
//! TF-IDF learnt on that part; labels outside it are not there at all.

mod choose;
mod cross;
mod sample;
mod size;

use std::collections::BTreeSet;

use serde::Serialize;

pub use cross::{Fold, Folds, Held, Score};
pub use size::{Fit, Sizes};

use super::job::{Job, Side};
use super::spec::{Of, Recipe, Step, Tuned};
use super::stages::{Stage, Watch};
use crate::error::{Error, Result};
use crate::evaluate::Figures;
use crate::evaluate::tune::Curve;
use crate::listings::Ledger;
use sample::Leaves;

/// What is asked of [`tune`] beside better thresholds.
#[derive(Debug, Clone, Default)]
pub struct TuneOptions {
    /// In how many folds thresholds are chosen and held out, to say what they are worth; 0 for none.
    pub folds: usize,
    /// The names of the spaces whose numbers may change; all when empty.
    pub only: Vec<String>,
    /// Another number of listings, which thresholds are extrapolated to.
    pub for_size: Option<usize>,
    /// Which groups smaller numbers of listings are made of.
    pub seed: u64,
}

/// What [`tune`] found.
#[derive(Debug, Clone)]
pub struct TuneOutcome {
    /// The recipe with the thresholds that were chosen on all listings.
    pub recipe: Recipe,
    /// The recipe for [`TuneOptions::for_size`] listings.
    pub sized: Option<Recipe>,
    /// The figures of the recipe as it was given.
    pub before: Figures,
    /// Those of [`TuneOutcome::recipe`], on the listings that it was chosen on; F1 is never below `before`.
    pub after: Figures,
    /// For each space that the rule compares distances in: F1 by one threshold on that space alone.
    pub curves: Vec<SpaceCurve>,
    /// For each stage of blending: F1 by its threshold, on the rows that it gets.
    pub stages: Vec<StageCurve>,
    /// How good thresholds are on listings that they were not chosen on.
    pub folds: Option<Folds>,
    /// What the extrapolation rests on.
    pub sizes: Option<Sizes>,
    /// How many listings thresholds were chosen on; rejected rows are none.
    pub listings: usize,
    /// The listings' own rejects and those of this run.
    pub ledger: Ledger,
    /// How long what took long.
    pub clock: Vec<Stage>,
    /// What the reader should know.
    pub notes: Vec<String>,
}

/// One space's curve.
#[derive(Debug, Clone, Serialize)]
pub struct SpaceCurve {
    /// The space.
    pub name: String,
    /// F1 by threshold.
    pub curve: Curve,
}

/// The curve of one stage of blending.
#[derive(Debug, Clone, Serialize)]
pub struct StageCurve {
    /// The space that is blended.
    pub name: String,
    /// Which of its steps it is, from 1.
    pub step: usize,
    /// F1 of the neighbourhoods by threshold.
    pub curve: Curve,
}

/// Chooses the thresholds of `job`'s recipe for the highest mean F1 on its own labels.
///
/// # Errors
/// No column `label_group`, or no two groups in it, or no group of two; a gallery; more folds than groups;
/// a space of another name; too few listings to extrapolate from; as [`run`](super::run()).
pub fn tune(job: &Job<'_>, opt: &TuneOptions, watch: &dyn Watch) -> Result<TuneOutcome> {
    let listings = job.side.listings;
    listings.require_labels()?;
    if job.against.is_some() {
        return Err(Error::input(
            "thresholds are chosen on listings without a gallery",
        ));
    }
    job.recipe.check()?;
    let only = spaces_named(job.recipe, &opt.only)?;
    let kept = listings.kept();
    check_groups(job)?;
    let folds = cross::folds(job, opt.folds)?;

    let mut leaves = Leaves::gather(job, &reached(job.recipe, &job.side)?, watch)?;
    let whole = leaves.sample(&kept)?;
    let chosen = leaves.clock.run("tune", kept.len(), || {
        choose::choose(&whole, job.recipe, &only, choose::Start::Written)
    })?;
    let held = match opt.folds {
        0 => None,
        _ => Some(cross::validate(&mut leaves, whole, &folds, &only)?),
    };
    let mut recipe = chosen.recipe.clone();
    recipe.tuned = Some(Tuned {
        listings: kept.len(),
        f1: Some(chosen.after.f1),
    });
    if let Some(published) = &mut recipe.published {
        published.unscored();
    }
    let sized = opt
        .for_size
        .map(|size| size::extrapolate(&mut leaves, (&kept, opt.seed), &recipe, &only, size))
        .transpose()?;
    let (sized, sizes) = sized.unzip();
    let (ledger, mut notes, clock) = leaves.said();
    if chosen.kept_stages {
        notes.push(
            "the stages of blending stay as they are written: with the thresholds that are best for \
             each of them, F1 is lower in the end"
                .into(),
        );
    }
    if !recipe.after.is_empty() {
        notes.push(
            "thresholds are chosen for the rule alone: conflicts, groups and chisel come behind it, and \
             count in the folds' figures"
                .into(),
        );
    }
    Ok(TuneOutcome {
        recipe,
        sized,
        before: chosen.before,
        after: chosen.after,
        curves: chosen.curves,
        stages: chosen.stages,
        folds: held,
        sizes,
        listings: kept.len(),
        ledger,
        clock,
        notes,
    })
}

/// The places of the named spaces; all when there is no name.
fn spaces_named(recipe: &Recipe, names: &[String]) -> Result<Vec<usize>> {
    if names.is_empty() {
        return Ok((0..recipe.spaces.len()).collect());
    }
    let place = |name: &String| {
        let found = recipe.spaces.iter().position(|s| s.name == *name);
        found.ok_or_else(|| {
            let all: Vec<&str> = recipe.spaces.iter().map(|s| s.name.as_str()).collect();
            Error::input(format!("{name} is no space of the recipe {}", recipe.name))
                .mend(format!("its spaces are {}", all.join(", ")))
        })
    };
    names.iter().map(place).collect()
}

/// Thresholds need something to find and something to leave out.
fn check_groups(job: &Job<'_>) -> Result<()> {
    let labels = job.side.listings.labels();
    let mut known: Vec<u32> = labels.iter().flatten().copied().collect();
    known.sort_unstable();
    let wrong = |what: &str| {
        Err(Error::input(what)
            .path(&job.side.listings.path)
            .column(crate::listings::LABEL_GROUP)
            .mend("give listings of several products, some of them more than once"))
    };
    match (known.first(), known.last()) {
        (None, _) | (_, None) => wrong("no listing has a label"),
        (Some(a), Some(b)) if a == b => wrong("all listings are of one group"),
        _ if known.is_sorted_by(|a, b| a < b) => wrong("no two listings are of one group"),
        _ => Ok(()),
    }
}

/// The spaces that a recipe's rule rests on, each behind those that it is made of.
pub(super) fn reached(recipe: &Recipe, side: &Side<'_>) -> Result<Vec<usize>> {
    let mut order = Vec::new();
    let mut open: Vec<(usize, bool)> = recipe
        .fusion
        .sources()
        .iter()
        .rev()
        .map(|&s| (s, false))
        .collect();
    let mut seen = BTreeSet::new();
    while let Some((space, made)) = open.pop() {
        if made {
            order.push(space);
        } else if seen.insert(space) {
            open.push((space, true));
            open.extend(made_of(recipe, side, space).into_iter().map(|s| (s, false)));
        }
    }
    Ok(order)
}

/// The spaces that `space` is made of.
fn made_of(recipe: &Recipe, side: &Side<'_>, space: usize) -> Vec<usize> {
    let it = &recipe.spaces[space];
    let given = side.given.iter().any(|(name, _)| *name == it.name);
    let mut of: Vec<usize> = match &it.of {
        Of::Concat(parts) if !given => parts.iter().map(|p| p.0).collect(),
        Of::Fused { spaces, .. } => spaces.iter().map(|p| p.0).collect(),
        Of::Ranked(of) => vec![*of],
        Of::Pair { spaces, .. } => spaces.clone(),
        _ => Vec::new(),
    };
    of.extend(it.refine.iter().filter_map(|step| match step {
        Step::Blend { by, .. } => *by,
        Step::Expand(_) | Step::ExpandBy(_) => None,
    }));
    of
}
