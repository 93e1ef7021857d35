//! All the numbers of a rule, one after the other.

use std::collections::HashMap;

use rayon::prelude::*;

use super::{Curve, Options, curve, no_labels};
use crate::error::{Error, Result};
use crate::evaluate::{Figures, evaluate};
use crate::limits::{MAX_TUNE_PASSES, MAX_TUNE_TRIALS};
use crate::matching::{Number, Rule, Source, What, resolve_capped};

/// Distances are tried this far apart: over all there are at first, then around the best so far.
const GRIDS: [f64; 4] = [0.05, 0.01, 0.002, 0.0005];

/// Steps of a sweep that are tried.
const STEPS: [f64; 9] = [0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.15, 0.2, 0.25];

/// F1 counts as higher from here on; sums of the same fractions in another order differ by less.
const HIGHER: f64 = 1e-12;

/// How many rules are tried at a time; each holds its matches meanwhile.
const AT_ONCE: usize = 8;

/// A rule with better numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Tuning {
    /// The rule with the best numbers that were found.
    pub rule: Rule,
    /// The figures of the rule as it was given.
    pub before: Figures,
    /// Those of [`Tuning::rule`]: its F1 is never below that of `before`.
    pub after: Figures,
    /// For each source that the rule compares distances in: the curve of one threshold on it alone.
    pub curves: Vec<(usize, Curve)>,
    /// How many rules were tried.
    pub tried: usize,
}

/// Which numbers may move, and how far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bounds<'a> {
    /// For each source the distance up to which its lists are whole.
    pub within: &'a [f64],
    /// Places, in [`Rule::numbers`], of numbers that stay as they are.
    pub fixed: &'a [usize],
}

/// Raises the mean F1 of `rule` over `sources` by its numbers: distances, and the steps of sweeps.
///
/// A search along one coordinate after the other: for each number all distances on a grid of .05 are
/// tried, and those that are best for its source alone, then finer ones around the best, down to .0005.
/// That is repeated until a pass raises nothing (at most [`MAX_TUNE_PASSES`] passes and
/// [`MAX_TUNE_TRIALS`] rules). Of equal F1 the value nearest to the one that was given stays. What
/// [`Rule::validate`] rejects is left out. A rule that is one threshold, alone or within Min2 over the same
/// source, takes the exact best of [`curve`]. The same input gives the same numbers whatever the thread
/// count.
///
/// # Errors
/// As [`resolve_capped`], [`evaluate`] and [`curve`] have them; bounds that are not one a source.
pub fn rule(
    sources: &[Source],
    rule: &Rule,
    labels: &[Option<u32>],
    bounds: &Bounds<'_>,
    opt: &Options<'_>,
) -> Result<Tuning> {
    if bounds.within.len() != sources.len() {
        return Err(Error::shape(
            "tune",
            &[sources.len()],
            &[bounds.within.len()],
        ));
    }
    rule.validate(sources.len())?;
    if labels.iter().all(Option::is_none) {
        return Err(no_labels());
    }
    let numbers = rule.numbers();
    let mut named: Vec<usize> = numbers.iter().map(|n| n.source).collect();
    named.sort_unstable();
    named.dedup();
    let curves = named.into_iter().map(|source| {
        let lists = &sources[source].lists;
        let curve = curve(lists, labels, bounds.within[source], opt);
        Ok((source, curve?))
    });
    let curves: Vec<(usize, Curve)> = curves.collect::<Result<_>>()?;
    let mut search = Search {
        sources,
        rule,
        labels,
        opt,
        numbers: &numbers,
        known: HashMap::new(),
    };
    let start: Vec<f64> = numbers.iter().map(|n| n.value).collect();
    let before = search.figures(&start)?;
    let mut best = (before.f1, start.clone());
    let free: Vec<usize> = (0..numbers.len())
        .filter(|place| !bounds.fixed.contains(place))
        .collect();
    if let Some(exact) = exact(rule, &free, &curves) {
        search.climb(&mut best, &[exact], None)?;
    } else {
        for _ in 0..MAX_TUNE_PASSES {
            let f1 = best.0;
            for &place in &free {
                search.along(&mut best, place, &start, bounds, &curves)?;
            }
            if best.0 <= f1 || search.known.len() >= MAX_TUNE_TRIALS {
                break;
            }
        }
    }
    let after = search.figures(&best.1)?;
    Ok(Tuning {
        rule: rule.with_numbers(&best.1),
        before,
        after,
        tried: search.known.len(),
        curves,
    })
}

/// The numbers of a rule that the curve of its source knows all of.
fn exact(rule: &Rule, free: &[usize], curves: &[(usize, Curve)]) -> Option<Vec<f64>> {
    let of = |source: usize| curves.iter().find(|c| c.0 == source).map(|c| &c.1);
    match rule {
        Rule::Threshold { source, .. } if free == [0] => Some(vec![of(*source)?.best.distance]),
        Rule::Min2 {
            rule,
            source: nearest,
            ..
        } if free == [0, 1] => match &**rule {
            Rule::Threshold { source, .. } if source == nearest => {
                let min2 = of(*source)?.min2;
                Some(vec![min2.first.distance, min2.distance])
            }
            _ => None,
        },
        _ => None,
    }
}

struct Search<'a> {
    sources: &'a [Source],
    rule: &'a Rule,
    labels: &'a [Option<u32>],
    opt: &'a Options<'a>,
    numbers: &'a [Number],
    /// F1 by the bits of the numbers.
    known: HashMap<Vec<u64>, f64>,
}

/// Numbers and their F1.
type Best = (f64, Vec<f64>);

impl Search<'_> {
    fn figures(&self, values: &[f64]) -> Result<Figures> {
        let rule = self.rule.with_numbers(values);
        let (unable, cap) = (self.opt.unable, self.opt.cap);
        let matches = resolve_capped(self.sources, &rule, self.labels.len(), unable, cap)?;
        evaluate(self.labels, &matches.answers())
    }

    /// Tries one number after the other grid, from the coarsest.
    fn along(
        &mut self,
        best: &mut Best,
        place: usize,
        start: &[f64],
        bounds: &Bounds<'_>,
        curves: &[(usize, Curve)],
    ) -> Result<()> {
        let number = &self.numbers[place];
        let with = |values: &[f64], x: f64| {
            let mut values = values.to_vec();
            values[place] = x;
            values
        };
        let home = Some((place, start[place]));
        if number.what == What::Step {
            let trials: Vec<_> = STEPS.iter().map(|&x| with(&best.1, x)).collect();
            return self.climb(best, &trials, home);
        }
        let within = bounds.within[number.source].min(2.0);
        let mut seeds = vec![start[place]];
        if let Some((_, curve)) = curves.iter().find(|c| c.0 == number.source) {
            let second = curve.min2;
            seeds.extend([curve.best.distance, second.first.distance, second.distance]);
        }
        for (level, &grid) in GRIDS.iter().enumerate() {
            let around = match level {
                0 => (0..=(within / grid) as usize)
                    .map(|i| i as f64 * grid)
                    .chain(seeds.drain(..))
                    .collect(),
                _ => {
                    let reach = (GRIDS[level - 1] / grid).round() as i32;
                    let from = best.1[place];
                    let near = (-reach..=reach).map(|i| from + f64::from(i) * grid);
                    near.collect::<Vec<f64>>()
                }
            };
            let around = around.into_iter().map(short);
            let trials: Vec<_> = around
                .filter(|&x| (0.0..=within).contains(&x))
                .map(|x| with(&best.1, x))
                .collect();
            self.climb(best, &trials, home)?;
        }
        Ok(())
    }

    /// Takes the best of `trials` when it is better than `best`, or as good and, in the number `home.0`,
    /// nearer to `home.1`.
    fn climb(
        &mut self,
        best: &mut Best,
        trials: &[Vec<f64>],
        home: Option<(usize, f64)>,
    ) -> Result<()> {
        let key = |values: &[f64]| -> Vec<u64> { values.iter().map(|x| x.to_bits()).collect() };
        let valid = |values: &&Vec<f64>| {
            let rule = self.rule.with_numbers(values);
            rule.validate(self.sources.len()).is_ok()
        };
        let trials: Vec<&Vec<f64>> = trials.iter().filter(valid).collect();
        let mut new: Vec<&Vec<f64>> = Vec::new();
        for values in &trials {
            let known = self.known.contains_key(&key(values));
            if !known && !new.iter().any(|other| key(other) == key(values)) {
                new.push(values);
            }
        }
        new.truncate(MAX_TUNE_TRIALS.saturating_sub(self.known.len()));
        for some in new.chunks(AT_ONCE) {
            let f1 = some.par_iter().map(|values| Ok(self.figures(values)?.f1));
            let f1: Vec<f64> = f1.collect::<Result<_>>()?;
            let keys = some.iter().map(|values| key(values));
            self.known.extend(keys.zip(f1));
        }
        for values in trials {
            let Some(&f1) = self.known.get(&key(values)) else {
                continue;
            };
            let nearer = home.is_some_and(|(place, at)| {
                (values[place] - at).abs() < (best.1[place] - at).abs() - HIGHER
            });
            if f1 > best.0 + HIGHER || (f1 > best.0 - HIGHER && nearer) {
                *best = (f1.max(best.0), values.clone());
            }
        }
        Ok(())
    }
}

/// `x` without the digits that adding up small steps leaves behind.
fn short(x: f64) -> f64 {
    let short = (x * 1e6).round() / 1e6;
    if (short - x).abs() < 1e-9 { short } else { x }
}
