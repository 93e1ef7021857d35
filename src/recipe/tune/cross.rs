//! Thresholds on listings that they were not chosen on.

use serde::Serialize;

use super::choose::{Start, choose};
use super::sample::Leaves;
use super::size::distances;
use crate::error::Result;
use crate::listings::folds::{NO_FOLD, label_k_fold};
use crate::recipe::job::Job;

/// F1 over held-out folds.
#[derive(Debug, Clone, Serialize)]
pub struct Folds {
    /// The mean over folds of F1 with the thresholds that were chosen on the other folds.
    pub f1: f64,
    /// The standard deviation of these over folds (of the sample: divided by one less than there are).
    pub deviation: f64,
    /// The mean of F1 with the recipe as it is written.
    pub before: f64,
    /// Each fold.
    pub folds: Vec<Fold>,
}

/// One fold that was held out. Its listings are answered from one another alone.
#[derive(Debug, Clone, Serialize)]
pub struct Fold {
    /// How many listings it has.
    pub listings: usize,
    /// F1 with the thresholds that were chosen on the other folds.
    pub f1: f64,
    /// F1 with the recipe as it is written.
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

/// Chooses thresholds on all folds but one, and scores them on that one.
pub(super) fn validate(leaves: &mut Leaves<'_>, fold_of: &[u32], only: &[usize]) -> Result<Folds> {
    let count = fold_of.iter().filter(|&&f| f != NO_FOLD).max();
    let count = count.map_or(0, |&last| last + 1);
    let recipe = leaves.job.recipe;
    let mut folds = Vec::new();
    for fold in 0..count {
        let rows = |held: bool| -> Vec<usize> {
            let of = |&i: &usize| fold_of[i] != NO_FOLD && (fold_of[i] == fold) == held;
            (0..fold_of.len()).filter(of).collect()
        };
        let (rest, held) = (leaves.sample(&rows(false))?, leaves.sample(&rows(true))?);
        if held.labels.iter().all(Option::is_none) || rest.labels.iter().all(Option::is_none) {
            // A fold of listings without a label says nothing.
            continue;
        }
        let items = held.len();
        let scored = leaves.clock.run("fold", items, || {
            let chosen = choose(&rest, recipe, only, Start::Written)?;
            let (f1, before) = (held.figures(&chosen.recipe)?.f1, held.figures(recipe)?.f1);
            Ok::<_, crate::Error>(Fold {
                listings: items,
                f1,
                before,
                thresholds: distances(&chosen.recipe),
            })
        })?;
        folds.push(scored);
    }
    let mean =
        |of: &dyn Fn(&Fold) -> f64| folds.iter().map(of).sum::<f64>() / folds.len().max(1) as f64;
    let f1 = mean(&|f| f.f1);
    let squares: f64 = folds.iter().map(|f| (f.f1 - f1).powi(2)).sum();
    Ok(Folds {
        f1,
        deviation: (squares / (folds.len().max(2) - 1) as f64).sqrt(),
        before: mean(&|f| f.before),
        folds,
    })
}
