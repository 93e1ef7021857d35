//! Pairs of listings, judged by a model: the candidates are what the fusion rule matches.

mod features;
mod graph;
mod train;

use std::path::PathBuf;

pub(super) use features::{SpaceFacts, facts, features};
pub use train::{PairFold, PairOptions, PairOutcome, train_pairs};

use super::run::Run;
use crate::error::{Error, Result};
use crate::lists::Lists;
use crate::matching::{Firing, ITSELF, Matches};
use crate::pairs::{PairModel, calibrated};

/// The name of a model's evidence.
pub const PAIRS: &str = "pairs";

/// Which model judges the pairs that the rule matches, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct PairRule {
    /// The model.
    pub file: PathBuf,
    /// Pairs of a probability above this match; the model's own threshold if there is none.
    pub above: Option<f64>,
    /// Probabilities are shifted first; see [`calibrated`].
    pub calibrated: bool,
}

/// The candidates: pairs of rows in order, the lower row first, each once.
pub(super) fn candidates(matches: &Matches) -> Vec<(u32, u32)> {
    let rows = matches.iter().enumerate();
    let others = rows.flat_map(|(i, row)| {
        let others = row.iter().filter(|m| m.source != ITSELF);
        others.map(move |m| (m.row.min(i as u32), m.row.max(i as u32)))
    });
    let mut pairs: Vec<(u32, u32)> = others.collect();
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}

/// The matches of the rule as a model sees them: a pair matches both ways when its probability is high enough,
/// at most `cap` a listing. The evidence has the number `source`.
///
/// # Errors
/// The model cannot be read, or expects other features than the recipe gives; what the disk says.
pub(super) fn judge(
    run: &Run<'_>,
    (used, lists): (&[usize], Vec<Lists>),
    matches: &Matches,
    (rule, source, cap): (&PairRule, u16, usize),
) -> Result<Matches> {
    let model = PairModel::read(&rule.file)?;
    let pairs = candidates(matches);
    let spaces = SpaceFacts::all(run, used, lists)?;
    let titles = facts(run.listings());
    let (names, table) = features(&spaces, &titles, &pairs)?;
    if names != model.features {
        let first = names.iter().zip(&model.features).find(|(a, b)| a != b);
        let (gives, expects) = match first {
            Some((a, b)) => (a.clone(), b.clone()),
            None => (names.len().to_string(), model.features.len().to_string()),
        };
        let message = format!("expects the feature {expects:?} where the recipe gives {gives:?}");
        return Err(Error::input(message)
            .path(&rule.file)
            .mend("train it with this recipe: engine tune --pair-model"));
    }
    let above = rule.above.unwrap_or(f64::from(model.above));
    let probabilities = model.probabilities(&table)?;
    let mut near: Vec<Vec<Firing>> = vec![Vec::new(); matches.len()];
    for (&(a, b), p) in pairs.iter().zip(probabilities) {
        let p = if rule.calibrated { calibrated(p) } else { p };
        if p > above {
            let firing = |row| Firing {
                row,
                score: p,
                source,
                threshold: above,
            };
            near[a as usize].push(firing(b));
            near[b as usize].push(firing(a));
        }
    }
    Ok(Matches::from_firings(matches.len(), cap, &|row, out| {
        out.extend_from_slice(&near[row]);
    }))
}

#[cfg(test)]
mod tests;
