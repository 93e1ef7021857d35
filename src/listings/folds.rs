//! Folds that never tear apart what belongs together.
//!
//! The greedy of scikit-learn's `GroupKFold`: the groups, largest first, go one by one to the fold
//! with the fewest rows. scikit-learn breaks ties by whatever order numpy's sort leaves; here
//! **groups of one size come in the order of their first rows, and of folds with as few rows the
//! first takes the group**. The sizes of the folds are the same either way.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::Hash;

use super::Listings;
use crate::error::{Error, Result};

/// Stands for the fold of a rejected row: it is in none.
pub const NO_FOLD: u32 = u32::MAX;

/// The fold (0 to `k` - 1) of each row, by the group of each row. A row without a group is a group
/// of its own.
///
/// # Errors
/// `k` below 2, or above the number of groups.
pub fn group_k_fold(groups: &[Option<&str>], k: usize) -> Result<Vec<u32>> {
    let mut numbers = HashMap::new();
    let mut next = 0;
    let mut fresh = || {
        next += 1;
        next - 1
    };
    let of_row: Vec<usize> = groups
        .iter()
        .map(|group| match group {
            Some(name) => *numbers.entry(*name).or_insert_with(&mut fresh),
            None => fresh(),
        })
        .collect();
    greedy(&of_row, next, k)
}

/// The fold of each of the listings' items by `label_group`; [`NO_FOLD`] for rejected rows.
///
/// # Errors
/// No column `label_group`; those of [`group_k_fold`].
pub fn label_k_fold(listings: &Listings, k: usize) -> Result<Vec<u32>> {
    listings.require_labels()?;
    let kept = listings.kept();
    let labels: Vec<_> = kept
        .iter()
        .map(|&i| listings.items[i].label_group.as_deref())
        .collect();
    let folds = group_k_fold(&labels, k).map_err(|e| e.path(&listings.path))?;
    Ok(spread(&kept, &folds, listings.items.len()))
}

/// The fold of each of the listings' items such that no two folds share a `label_group`, an
/// `image_phash`, an `image` or a title (lower-cased, its white space collapsed), not even by way
/// of other listings; [`NO_FOLD`] for rejected rows.
///
/// # Errors
/// `k` below 2, or above the number of such linked groups.
pub fn linked_k_fold(listings: &Listings, k: usize) -> Result<Vec<u32>> {
    let kept = listings.kept();
    let items = || kept.iter().map(|&i| &listings.items[i]);
    let mut sets = Sets::new(kept.len());
    sets.join(items().map(|l| l.label_group.as_deref()));
    sets.join(items().map(|l| l.image.as_deref()));
    sets.join(items().map(|l| l.phash));
    sets.join(items().map(|l| l.title.as_deref().and_then(plain_title)));
    let (of_row, groups) = sets.numbers();
    let folds = greedy(&of_row, groups, k).map_err(|e| e.path(&listings.path))?;
    Ok(spread(&kept, &folds, listings.items.len()))
}

/// A title for comparing: lower case, white space collapsed; `None` when nothing is left.
fn plain_title(title: &str) -> Option<String> {
    let lower = title.to_lowercase();
    let words: Vec<&str> = lower.split_whitespace().collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// Folds of the `kept` items as folds of all.
fn spread(kept: &[usize], folds: &[u32], all: usize) -> Vec<u32> {
    let mut of_item = vec![NO_FOLD; all];
    for (&i, &fold) in kept.iter().zip(folds) {
        of_item[i] = fold;
    }
    of_item
}

/// `of_row` holds group numbers below `groups`, which count up by first row.
fn greedy(of_row: &[usize], groups: usize, k: usize) -> Result<Vec<u32>> {
    if k < 2 {
        return Err(Error::input(format!("{k} folds")).mend("ask for 2 or more"));
    }
    if k > groups {
        return Err(
            Error::input(format!("{k} folds of {groups} groups")).mend(format!(
                "ask for at most {groups}: a group is never torn apart"
            )),
        );
    }
    let mut sizes = vec![0_u64; groups];
    for &group in of_row {
        sizes[group] += 1;
    }
    let mut order: Vec<usize> = (0..groups).collect();
    order.sort_by_key(|&group| Reverse(sizes[group]));
    let mut folds: BinaryHeap<_> = (0..k as u32).map(|fold| Reverse((0, fold))).collect();
    let mut fold_of = vec![0; groups];
    for group in order {
        if let Some(Reverse((rows, fold))) = folds.pop() {
            fold_of[group] = fold;
            folds.push(Reverse((rows + sizes[group], fold)));
        }
    }
    Ok(of_row.iter().map(|&group| fold_of[group]).collect())
}

/// Disjoint sets of rows: a union-find forest, by size, with path halving.
struct Sets {
    parent: Vec<usize>,
    size: Vec<usize>,
}

impl Sets {
    fn new(rows: usize) -> Sets {
        Sets {
            parent: (0..rows).collect(),
            size: vec![1; rows],
        }
    }

    fn root(&mut self, mut row: usize) -> usize {
        while self.parent[row] != row {
            self.parent[row] = self.parent[self.parent[row]];
            row = self.parent[row];
        }
        row
    }

    /// Joins the rows that have the same key.
    fn join<K: Hash + Eq>(&mut self, keys: impl Iterator<Item = Option<K>>) {
        let mut first = HashMap::new();
        for (row, key) in keys.enumerate() {
            let Some(key) = key else { continue };
            let (a, b) = (*first.entry(key).or_insert(row), row);
            let (a, b) = (self.root(a), self.root(b));
            if a != b {
                let (small, large) = if self.size[a] < self.size[b] {
                    (a, b)
                } else {
                    (b, a)
                };
                self.parent[small] = large;
                self.size[large] += self.size[small];
            }
        }
    }

    /// The number of each row's set, counting up by first row, and how many there are.
    fn numbers(mut self) -> (Vec<usize>, usize) {
        let mut number = HashMap::new();
        let mut of_row = Vec::with_capacity(self.parent.len());
        for row in 0..self.parent.len() {
            let root = self.root(row);
            let next = number.len();
            of_row.push(*number.entry(root).or_insert(next));
        }
        (of_row, number.len())
    }
}

#[cfg(test)]
mod tests;
