//! Thresholds on listings that they were not chosen on.

use serde::Serialize;

use super::choose::{Start, choose};
use super::sample::{Leaves, Sample};
use super::size::distances;
use crate::error::Result;
use crate::listings::folds::{NO_FOLD, label_k_fold};
use crate::recipe::job::Job;
use crate::recipe::spec::Recipe;

/// F1 over held-out folds, in two ways. Thresholds depend on the number of listings, so the figures of the
/// two differ; [`Folds::whole`] is the one to lay beside the F1 of all listings.
#[derive(Debug, Clone, Serialize)]
pub struct Folds {
    /// All listings are compared, and the labels of the fold are taken away while thresholds are chosen;
    /// then its listings alone are scored.
    pub whole: Held,
    /// The other folds are compared with one another while thresholds are chosen; then the fold's listings
    /// are, which are fewer.
    pub alone: Held,
    /// Each fold.
    pub folds: Vec<Fold>,
}

/// F1 over folds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Held {
    /// The mean over folds with the thresholds that were chosen on the other folds.
    pub f1: f64,
    /// The standard deviation of these (of a sample: divided by one less than there are).
    pub deviation: f64,
    /// The mean with the recipe as it is written.
    pub before: f64,
}

/// One fold that was held out.
#[derive(Debug, Clone, Serialize)]
pub struct Fold {
    /// How many listings it has.
    pub listings: usize,
    /// As [`Folds::whole`].
    pub whole: Score,
    /// As [`Folds::alone`].
    pub alone: Score,
}

/// F1 of one fold.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Score {
    /// With the thresholds that were chosen on the other folds.
    pub f1: f64,
    /// With the recipe as it is written.
    pub before: f64,
    /// The thresholds that were chosen on the other folds: those of blending, space by space, then the
    /// rule's numbers.
    pub thresholds: Vec<f64>,
}

/// Each row's fold; whole groups each.
///
/// # Errors
/// More folds than groups, or one fold.
pub(super) fn folds(job: &Job<'_>, folds: usize) -> Result<Vec<u32>> {
    match folds {
        0 => Ok(Vec::new()),
        _ => label_k_fold(job.side.listings, folds),
    }
}

/// Chooses thresholds on all folds but one, and scores them on that one. `whole` is the sample of all
/// rows that have a fold.
pub(super) fn validate(
    leaves: &mut Leaves<'_>,
    mut whole: Sample,
    fold_of: &[u32],
    only: &[usize],
) -> Result<Folds> {
    let count = fold_of.iter().filter(|&&f| f != NO_FOLD).max();
    let count = count.map_or(0, |&last| last + 1);
    let recipe = leaves.job.recipe;
    let of_row: Vec<u32> = fold_of.iter().copied().filter(|&f| f != NO_FOLD).collect();
    let all = whole.labels.clone();
    let mut folds = Vec::new();
    for fold in 0..count {
        let rows = |held: bool| -> Vec<usize> {
            let of = |&i: &usize| fold_of[i] != NO_FOLD && (fold_of[i] == fold) == held;
            (0..fold_of.len()).filter(of).collect()
        };
        let labels = |held: bool| -> Vec<Option<u32>> {
            let label = |(l, f): (&Option<u32>, &u32)| l.filter(|_| (*f == fold) == held);
            all.iter().zip(&of_row).map(label).collect()
        };
        let (rest, held) = (leaves.sample(&rows(false))?, leaves.sample(&rows(true))?);
        let unlabelled = |sample: &Sample| sample.labels.iter().all(Option::is_none);
        if unlabelled(&rest) || unlabelled(&held) {
            // A fold of listings without a label says nothing.
            continue;
        }
        let listings = held.len();
        let scored = leaves.clock.run("fold", listings, || {
            let chosen = choose(&rest, recipe, only, Start::Written)?.recipe;
            let alone = score(&held, recipe, &chosen)?;
            whole.labels = labels(false);
            let chosen = choose(&whole, recipe, only, Start::Written)?.recipe;
            whole.labels = labels(true);
            let whole = score(&whole, recipe, &chosen)?;
            Ok::<_, crate::Error>(Fold {
                listings,
                whole,
                alone,
            })
        })?;
        folds.push(scored);
    }
    Ok(Folds {
        whole: held(folds.iter().map(|f| &f.whole)),
        alone: held(folds.iter().map(|f| &f.alone)),
        folds,
    })
}

fn score(sample: &Sample, written: &Recipe, chosen: &Recipe) -> Result<Score> {
    Ok(Score {
        f1: sample.figures(chosen)?.f1,
        before: sample.figures(written)?.f1,
        thresholds: distances(chosen),
    })
}

fn held<'a>(scores: impl ExactSizeIterator<Item = &'a Score> + Clone) -> Held {
    let count = scores.len();
    let mean =
        |of: &dyn Fn(&Score) -> f64| scores.clone().map(of).sum::<f64>() / count.max(1) as f64;
    let f1 = mean(&|s| s.f1);
    let squares: f64 = scores.clone().map(|s| (s.f1 - f1).powi(2)).sum();
    Held {
        f1,
        deviation: (squares / (count.max(2) - 1) as f64).sqrt(),
        before: mean(&|s| s.before),
    }
}
