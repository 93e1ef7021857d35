//! Thresholds for another number of listings: the more there are, the nearer the wrong ones come.

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::choose::{Start, choose};
use super::sample::Leaves;
use crate::error::{Error, Result};
use crate::limits::MAX_ROWS;
use crate::matching::What;
use crate::recipe::spec::{Recipe, Step, Tuned};

/// Parts of the listings that thresholds are chosen on: an eighth, a quarter, half, all.
const PARTS: [usize; 4] = [8, 4, 2, 1];

/// The fewest listings of a part.
const FEWEST: usize = 50;

/// How thresholds moved with the number of listings.
#[derive(Debug, Clone, Serialize)]
pub struct Sizes {
    /// The number of listings that they are extrapolated to.
    pub listings: usize,
    /// The numbers of listings that they were chosen on.
    pub from: Vec<usize>,
    /// Each threshold.
    pub fits: Vec<Fit>,
}

/// A threshold by the number of listings, as a line over its logarithm.
#[derive(Debug, Clone, Serialize)]
pub struct Fit {
    /// Which threshold it is.
    pub name: String,
    /// What it was at each of [`Sizes::from`].
    pub chosen: Vec<f64>,
    /// What the line says at [`Sizes::listings`].
    pub distance: f64,
}

/// The recipe for `size` listings: its thresholds are chosen on nested parts of the groups, in a random
/// order that `seed` gives, and follow a straight line over the logarithm of the number of listings. The
/// steps of sweeps stay.
///
/// # Errors
/// Fewer than two parts of enough listings; a size of 0 or beyond [`MAX_ROWS`].
pub(super) fn extrapolate(
    leaves: &mut Leaves<'_>,
    (kept, seed): (&[usize], u64),
    whole: &Recipe,
    only: &[usize],
    size: usize,
) -> Result<(Recipe, Sizes)> {
    if size == 0 || size > MAX_ROWS {
        return Err(Error::limit(format!("thresholds for {size} listings"))
            .mend(format!("give from 1 to {MAX_ROWS}")));
    }
    let groups = groups(leaves, kept, seed);
    let (mut from, mut chosen) = (Vec::new(), Vec::new());
    for part in PARTS {
        let rows = first(&groups, kept.len().div_ceil(part));
        if rows.len() < FEWEST || from.last() == Some(&rows.len()) {
            continue;
        }
        let recipe = if rows.len() == kept.len() {
            whole.clone()
        } else {
            let sample = leaves.sample(&rows)?;
            let choose = || choose(&sample, whole, only, Start::Anything);
            leaves.clock.run("size", rows.len(), choose)?.recipe
        };
        from.push(rows.len());
        chosen.push(distances(&recipe));
    }
    if from.len() < 2 {
        return Err(Error::input(format!(
            "{} listings are too few to extrapolate thresholds from",
            kept.len()
        ))
        .path(&leaves.job.side.listings.path)
        .mend(format!("give at least {} listings", 2 * FEWEST)));
    }
    let names = names(whole);
    let fits: Vec<Fit> = names
        .into_iter()
        .enumerate()
        .map(|(n, (name, moves))| {
            let chosen: Vec<f64> = chosen.iter().map(|all| all[n]).collect();
            let last = chosen[chosen.len() - 1];
            let distance = if moves {
                line(&from, &chosen, size)
            } else {
                last
            };
            Fit {
                name,
                chosen,
                distance,
            }
        })
        .collect();
    let values: Vec<f64> = fits.iter().map(|f| f.distance).collect();
    let mut recipe = with_distances(whole, &values);
    recipe.tuned = Some(Tuned {
        listings: size,
        f1: None,
    });
    let fits = fits.into_iter().filter(|f| !f.name.is_empty()).collect();
    let sizes = Sizes {
        listings: size,
        from,
        fits,
    };
    Ok((recipe, sizes))
}

/// The rows of each group, in an order by the SHA-256 of the seed and the group's name, which does not
/// depend on the order of the listings; a row without a label is a group of its own.
fn groups(leaves: &Leaves<'_>, kept: &[usize], seed: u64) -> Vec<Vec<usize>> {
    let items = &leaves.job.side.listings.items;
    let mut groups: BTreeMap<(bool, &str), Vec<usize>> = BTreeMap::new();
    for &row in kept {
        let item = &items[row];
        let name = match &item.label_group {
            Some(label) => (true, label.as_str()),
            None => (false, item.posting_id.as_str()),
        };
        groups.entry(name).or_default().push(row);
    }
    let mixed = |(labelled, name): (bool, &str)| {
        let mut hasher = Sha256::new();
        hasher.update(seed.to_le_bytes());
        hasher.update([u8::from(labelled)]);
        hasher.update(name.as_bytes());
        hasher.finalize().to_vec()
    };
    let mut groups: Vec<(Vec<u8>, Vec<usize>)> = groups
        .into_iter()
        .map(|(name, rows)| (mixed(name), rows))
        .collect();
    groups.sort();
    groups.into_iter().map(|group| group.1).collect()
}

/// The rows of the first groups that have at least `rows`, ascending.
fn first(groups: &[Vec<usize>], rows: usize) -> Vec<usize> {
    let mut some = Vec::new();
    for group in groups {
        if some.len() >= rows {
            break;
        }
        some.extend_from_slice(group);
    }
    some.sort_unstable();
    some
}

/// The straight line of least squares through thresholds over the logarithm of the number of listings, at
/// `size`; a distance of four digits.
fn line(from: &[usize], chosen: &[f64], size: usize) -> f64 {
    let count = from.len() as f64;
    let x: Vec<f64> = from.iter().map(|&n| (n as f64).ln()).collect();
    let (mx, my) = (
        x.iter().sum::<f64>() / count,
        chosen.iter().sum::<f64>() / count,
    );
    let across: f64 = x.iter().zip(chosen).map(|(x, y)| (x - mx) * (y - my)).sum();
    let along: f64 = x.iter().map(|x| (x - mx).powi(2)).sum();
    let slope = if along > 0.0 { across / along } else { 0.0 };
    let at = my + slope * ((size as f64).ln() - mx);
    ((at * 1e4).round() / 1e4).clamp(0.0, 2.0)
}

/// All thresholds of a recipe: those of blending, space by space, then the rule's numbers.
pub(super) fn distances(recipe: &Recipe) -> Vec<f64> {
    let steps = recipe.spaces.iter().flat_map(|s| &s.refine);
    let blends = steps.flat_map(|step| match step {
        Step::Blend { blend, .. } => std::iter::once(blend.distance).chain(blend.min2).collect(),
        Step::Expand(_) | Step::ExpandBy(_) => Vec::new(),
    });
    let numbers = recipe.fusion.numbers().into_iter().map(|n| n.value);
    blends.chain(numbers).collect()
}

/// What each of [`distances`] is called, and whether it moves; the steps of sweeps have no name.
fn names(recipe: &Recipe) -> Vec<(String, bool)> {
    let mut names = Vec::new();
    for space in &recipe.spaces {
        for (at, step) in space.refine.iter().enumerate() {
            if let Step::Blend { blend, .. } = step {
                names.push((format!("{} blend {}", space.name, at + 1), true));
                if blend.min2.is_some() {
                    names.push((format!("{} blend {} min2", space.name, at + 1), true));
                }
            }
        }
    }
    for number in recipe.fusion.numbers() {
        let what = match number.what {
            What::Threshold => "threshold",
            What::Low => "low",
            What::High => "high",
            What::Min2 => "min2",
            What::Step => {
                names.push((String::new(), false));
                continue;
            }
        };
        let space = &recipe.spaces[number.source].name;
        names.push((format!("{space} {what}"), true));
    }
    names
}

/// The recipe with other [`distances`]; a high is at least its low, and a second threshold of blending at
/// least the first.
fn with_distances(recipe: &Recipe, values: &[f64]) -> Recipe {
    let mut recipe = recipe.clone();
    let mut values = values.iter().copied();
    let mut next = || values.next().unwrap_or(0.0);
    for step in recipe.spaces.iter_mut().flat_map(|s| &mut s.refine) {
        if let Step::Blend { blend, .. } = step {
            blend.distance = next();
            if let Some(min2) = &mut blend.min2 {
                *min2 = next().max(blend.distance);
            }
        }
    }
    let mut low = 0.0;
    let numbers = recipe.fusion.numbers();
    let numbers = numbers.iter().map(|number| match number.what {
        What::Low => {
            low = next();
            low
        }
        What::High => next().max(low),
        _ => next(),
    });
    let numbers: Vec<f64> = numbers.collect();
    recipe.fusion = recipe.fusion.with_numbers(&numbers);
    recipe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_through_its_points() {
        // .59 at 6,851 and .47 at 34,250, as published for TF-IDF.
        let at = |size| line(&[6_851, 34_250], &[0.59, 0.47], size);
        assert_eq!((at(6_851), at(34_250)), (0.59, 0.47));
        assert!(at(70_000) < 0.43 && at(70_000) > 0.40, "{}", at(70_000));
        assert_eq!(line(&[100, 200], &[0.1, 0.9], 1), 0.0);
        assert_eq!(line(&[100, 100], &[0.3, 0.5], 9), 0.4);
    }

    #[test]
    fn parts_are_nested_and_whole_groups() {
        let groups = vec![vec![4, 5, 6], vec![1], vec![0, 3], vec![2]];
        assert_eq!(first(&groups, 2), [4, 5, 6]);
        assert_eq!(first(&groups, 4), [1, 4, 5, 6]);
        assert_eq!(first(&groups, 7), [0, 1, 2, 3, 4, 5, 6]);
    }
}
