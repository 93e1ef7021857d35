//! Thresholds for the highest F1 on one sample.

use super::sample::{Sample, reach};
use super::{SpaceCurve, StageCurve};
use crate::error::Result;
use crate::evaluate::Figures;
use crate::evaluate::tune::{self, Bounds, Options, Tuning};
use crate::matching::{Rule, Source};
use crate::recipe::spec::{Recipe, Step};

/// A recipe's thresholds, chosen.
pub(super) struct Chosen {
    pub recipe: Recipe,
    pub before: Figures,
    pub after: Figures,
    pub curves: Vec<SpaceCurve>,
    pub stages: Vec<StageCurve>,
    /// Whether the stages of blending stay as they were written, since others were worse in the end.
    pub kept_stages: bool,
}

/// What to measure the outcome by.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Start {
    /// F1 may not fall below that of the recipe as it is written, so its own stages of blending are kept
    /// where others are worse in the end.
    Written,
    /// New stages of blending are kept as they come.
    Anything,
}

/// Chooses the thresholds of the spaces `only`, first those of blending, then those of the rule.
pub(super) fn choose(
    sample: &Sample,
    recipe: &Recipe,
    only: &[usize],
    start: Start,
) -> Result<Chosen> {
    let (blended, stages) = blends(sample, recipe, only)?;
    let (tuning, curves) = fuse(sample, &blended, only)?;
    let mut chosen = Chosen {
        before: tuning.before,
        after: tuning.after,
        recipe: Recipe {
            fusion: tuning.rule,
            ..blended
        },
        curves,
        stages,
        kept_stages: false,
    };
    if start == Start::Written && !chosen.stages.is_empty() {
        let (tuning, curves) = fuse(sample, recipe, only)?;
        chosen.before = tuning.before;
        if tuning.after.f1 > chosen.after.f1 {
            chosen.kept_stages = true;
            chosen.after = tuning.after;
            chosen.curves = curves;
            chosen.recipe = Recipe {
                fusion: tuning.rule,
                ..recipe.clone()
            };
        }
    }
    Ok(chosen)
}

/// The recipe with thresholds of blending for the highest F1 of the neighbourhoods: each stage's on the
/// rows that the steps before it leave, with the thresholds that were chosen for them.
pub(super) fn blends(
    sample: &Sample,
    recipe: &Recipe,
    only: &[usize],
) -> Result<(Recipe, Vec<StageCurve>)> {
    let (mut recipe, mut curves) = (recipe.clone(), Vec::new());
    let unable = sample.unable();
    // A space that a stage looks at stands before it.
    for &space in sample.reached.iter().filter(|s| only.contains(s)) {
        for at in 0..recipe.spaces[space].refine.len() {
            let Step::Blend { blend, by, .. } = recipe.spaces[space].refine[at] else {
                continue;
            };
            let below = reach([blend.distance].into_iter().chain(blend.min2));
            let mut so_far = recipe.clone();
            so_far.spaces[space].refine.truncate(at);
            let lists = sample.lists(&so_far, &[(by.unwrap_or(space), Some(below))])?;
            let opt = Options {
                unable: Some(&unable),
                cap: recipe.neighbours,
                ..Options::default()
            };
            let curve = tune::curve(&lists[0], &sample.labels, below, &opt)?;
            if let Step::Blend { blend, .. } = &mut recipe.spaces[space].refine[at] {
                match blend.min2 {
                    None => blend.distance = curve.best.distance,
                    Some(_) => {
                        blend.distance = curve.min2.first.distance;
                        blend.min2 = Some(curve.min2.distance);
                    }
                }
            }
            curves.push(StageCurve {
                name: recipe.spaces[space].name.clone(),
                step: at + 1,
                curve,
            });
        }
    }
    Ok((recipe, curves))
}

/// The recipe's rule with better numbers, over the spaces as the recipe refines them.
fn fuse(sample: &Sample, recipe: &Recipe, only: &[usize]) -> Result<(Tuning, Vec<SpaceCurve>)> {
    let rule = &recipe.fusion;
    let used = rule.sources();
    let below = |space: usize| {
        let far = rule.reach(space)?.below?;
        Some(reach([far]))
    };
    let wanted: Vec<(usize, Option<f64>)> = used.iter().map(|&s| (s, below(s))).collect();
    let lists = sample.lists(recipe, &wanted)?;
    let sources: Vec<Source> = used
        .iter()
        .zip(lists)
        .map(|(&space, lists)| Source::new(recipe.spaces[space].name.as_str(), lists))
        .collect();
    let within: Vec<f64> = wanted.iter().map(|w| w.1.unwrap_or(0.0)).collect();
    let place = |space: usize| used.binary_search(&space).unwrap_or(0);
    let placed: Rule = rule.map_sources(&place);
    let numbers = placed.numbers();
    let fixed: Vec<usize> = (0..numbers.len())
        .filter(|&n| !only.contains(&used[numbers[n].source]))
        .collect();
    let unable = sample.unable();
    let opt = Options {
        unable: Some(&unable),
        cap: recipe.matches,
        ..Options::default()
    };
    let bounds = Bounds {
        within: &within,
        fixed: &fixed,
    };
    let mut tuning = tune::rule(&sources, &placed, &sample.labels, &bounds, &opt)?;
    tuning.rule = tuning.rule.map_sources(&|source| used[source]);
    let curves = tuning.curves.drain(..).map(|(source, curve)| SpaceCurve {
        name: sources[source].name.clone(),
        curve,
    });
    let curves = curves.collect();
    Ok((tuning, curves))
}
