//! A model of pairs from labelled listings.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{SpaceFacts, candidates, facts, features};
use crate::error::{Error, Result};
use crate::listings::folds::{NO_FOLD, label_k_fold};
use crate::matching::{Source, resolve_capped};
use crate::pairs::{BoostOptions, PairModel, Table, calibrated};
use crate::recipe::job::Job;
use crate::recipe::run::{Run, unable};
use crate::recipe::stages::Watch;

/// How a model of pairs is trained.
#[derive(Debug, Clone, Copy)]
pub struct PairOptions {
    /// Folds of groups, from 3: thresholds are chosen, and F1 is told, on pairs that a model has not seen.
    pub folds: usize,
    /// A second model over percentiles.
    pub twin: bool,
    /// Probabilities are shifted; see [`calibrated`].
    pub calibrated: bool,
    /// How the trees are fitted.
    pub boost: BoostOptions,
}

/// What [`train_pairs`] found.
#[derive(Debug, Clone)]
pub struct PairOutcome {
    /// The model of all pairs, with its threshold.
    pub model: PairModel,
    /// How many candidates there were, and how many of them are of one group.
    pub pairs: (usize, usize),
    /// Each fold.
    pub folds: Vec<PairFold>,
}

/// The mean F1 of one fold's listings, answered from all listings.
#[derive(Debug, Clone, Serialize)]
pub struct PairFold {
    /// How many listings it has.
    pub listings: usize,
    /// By the rule alone.
    pub before: f64,
    /// By the rule and a model of the other folds, with the threshold that was best on those.
    pub f1: f64,
    /// That threshold.
    pub above: f64,
}

/// Trains a model on the pairs that the recipe's rule matches: a loose rule gives it more to judge.
///
/// Folds are of whole groups. For each fold a model is fitted to the pairs of the others; its threshold is
/// chosen on pairs of these, judged by models that have seen neither their fold nor the held one.
///
/// # Errors
/// No labels; fewer than 3 folds, or fewer groups than folds; pairs of one kind alone; as
/// [`run`](crate::recipe::run()).
pub fn train_pairs(job: &Job<'_>, opt: &PairOptions, watch: &dyn Watch) -> Result<PairOutcome> {
    let listings = job.side.listings;
    listings.require_labels()?;
    if opt.folds < 3 || job.against.is_some() {
        let error = Error::input(format!("a pair model with {} folds", opt.folds));
        return Err(error.mend("give --folds 3 or more, and no gallery"));
    }
    let folds = label_k_fold(listings, opt.folds)?;
    let Candidates {
        names,
        table,
        pairs,
    } = gather(job, watch)?;
    let labels = listings.labels();
    let same = |&(a, b): &(u32, u32)| {
        let (a, b) = (labels[a as usize], labels[b as usize]);
        a.is_some() && a == b
    };
    let positive: Vec<bool> = pairs.iter().map(same).collect();
    let ends = pairs
        .iter()
        .map(|&(a, b)| (folds[a as usize], folds[b as usize]));
    let trial = Trial {
        names: &names,
        table: &table,
        pairs: &pairs,
        ends: ends.collect(),
        positive: &positive,
        labels: &labels,
        folds: &folds,
        opt,
    };
    let mut models: BTreeMap<(u32, u32), Vec<f64>> = BTreeMap::new();
    let count = opt.folds as u32;
    for f in 0..count {
        for g in f..count {
            models.insert((f, g), trial.without(f, g)?);
        }
    }
    let by = |f: u32, g: u32| &models[&(f.min(g), f.max(g))];
    let mut told = Vec::new();
    for f in 0..count {
        // On the other folds, by models that saw neither their fold nor this one.
        let unseen = trial.unseen(&|fold| by(f, fold));
        let rest = |fold: u32| fold != f && fold != NO_FOLD;
        let above = trial.best(&unseen, &rest);
        let held = |fold: u32| fold == f;
        let all = vec![1.0; pairs.len()];
        told.push(PairFold {
            listings: folds.iter().filter(|fold| **fold == f).count(),
            before: trial.f1(&all, 0.0, &held),
            f1: trial.f1(by(f, f), above, &held),
            above,
        });
    }
    let unseen = trial.unseen(&|fold| by(fold, fold));
    let all: Vec<usize> = (0..pairs.len()).collect();
    let mut model = trial.fit(&all)?;
    model.above = trial.best(&unseen, &|fold| fold != NO_FOLD) as f32;
    Ok(PairOutcome {
        model,
        pairs: (pairs.len(), positive.iter().filter(|p| **p).count()),
        folds: told,
    })
}

/// The pairs that the rule matches, and their features.
struct Candidates {
    names: Vec<String>,
    table: Table,
    pairs: Vec<(u32, u32)>,
}

/// The candidates and their features.
fn gather(job: &Job<'_>, watch: &dyn Watch) -> Result<Candidates> {
    let mut run = Run::new(job, watch)?;
    let rule = &job.recipe.fusion;
    let used = rule.sources();
    run.plan(&used)?;
    let mut kept = Vec::new();
    for &space in &used {
        run.gather(space)?;
        let below = rule.reach(space).and_then(|r| r.below);
        kept.push(run.neighbours(space, below.map(|_| f64::INFINITY))?);
    }
    let sources = kept.iter().map(|lists| Source::new("", lists.clone()));
    let sources: Vec<Source> = sources.collect();
    let place = |space: usize| used.binary_search(&space).unwrap_or(0);
    let rule = rule.map_sources(&place);
    let rows = job.side.listings.items.len();
    let unable = unable(&job.side);
    let matches = resolve_capped(&sources, &rule, rows, Some(&unable), job.recipe.matches)?;
    drop(sources);
    let pairs = candidates(&matches);
    let spaces = SpaceFacts::all(&run, &used, kept)?;
    let (names, table) = features(&spaces, &facts(&job.side.listings.items), &pairs)?;
    Ok(Candidates {
        names,
        table,
        pairs,
    })
}

struct Trial<'a> {
    names: &'a [String],
    table: &'a Table,
    pairs: &'a [(u32, u32)],
    /// The folds of each pair's listings.
    ends: Vec<(u32, u32)>,
    positive: &'a [bool],
    labels: &'a [Option<u32>],
    folds: &'a [u32],
    opt: &'a PairOptions,
}

impl Trial<'_> {
    fn fit(&self, rows: &[usize]) -> Result<PairModel> {
        let positive: Vec<bool> = rows.iter().map(|&i| self.positive[i]).collect();
        let table = self.table.select(rows);
        let how = (&self.opt.boost, self.opt.twin);
        PairModel::fit(self.names.to_vec(), &table, &positive, how)
    }

    /// The probabilities of all pairs, by a model of those that have no listing in the folds `f` and `g`.
    fn without(&self, f: u32, g: u32) -> Result<Vec<f64>> {
        let apart = |&i: &usize| {
            let (a, b) = self.ends[i];
            [a, b]
                .iter()
                .all(|fold| *fold != f && *fold != g && *fold != NO_FOLD)
        };
        let rows: Vec<usize> = (0..self.pairs.len()).filter(apart).collect();
        let mut all = self.fit(&rows)?.probabilities(self.table)?;
        if self.opt.calibrated {
            all.iter_mut().for_each(|p| *p = calibrated(*p));
        }
        Ok(all)
    }

    /// Each pair's probability by the models of its listings' folds: the mean of both.
    fn unseen<'m>(&self, by: &dyn Fn(u32) -> &'m Vec<f64>) -> Vec<f64> {
        let pairs = self.ends.iter().enumerate();
        pairs
            .map(|(i, &(a, b))| match (a, b) {
                (NO_FOLD, _) | (_, NO_FOLD) => 0.0,
                _ => (by(a)[i] + by(b)[i]) / 2.0,
            })
            .collect()
    }

    /// The threshold of the highest mean F1 over the listings of some folds.
    fn best(&self, probabilities: &[f64], of: &dyn Fn(u32) -> bool) -> f64 {
        let steps = (1..100).map(|step| f64::from(step) / 100.0);
        let scored = steps.map(|above| (self.f1(probabilities, above, of), above));
        let best = scored.reduce(|a, b| if b.0 > a.0 { b } else { a });
        best.map_or(0.5, |b| b.1)
    }

    /// The mean F1 over the listings of some folds.
    fn f1(&self, probabilities: &[f64], above: f64, of: &dyn Fn(u32) -> bool) -> f64 {
        let mut sizes: BTreeMap<u32, usize> = BTreeMap::new();
        for label in self.labels.iter().flatten() {
            *sizes.entry(*label).or_default() += 1;
        }
        let mut found = vec![(1usize, 1usize); self.labels.len()];
        for ((&(a, b), &p), &same) in self.pairs.iter().zip(probabilities).zip(self.positive) {
            if p > above {
                for row in [a, b] {
                    let (all, right) = &mut found[row as usize];
                    *all += 1;
                    *right += usize::from(same);
                }
            }
        }
        let (mut sum, mut count) = (0.0, 0usize);
        for ((label, &(all, right)), &fold) in self.labels.iter().zip(&found).zip(self.folds) {
            if let Some(label) = label.filter(|_| of(fold)) {
                sum += 2.0 * right as f64 / (sizes[&label] + all) as f64;
                count += 1;
            }
        }
        sum / count.max(1) as f64
    }
}
