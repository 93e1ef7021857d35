//! Counts: what repeats, and how often.

use std::collections::{BTreeMap, HashMap};

use rayon::prelude::*;
use serde_json::{Value, json};

use crate::error::Result;
use crate::listings::{Listing, Listings};
use crate::report::Pictures;

/// The most galleries of a kind.
const GALLERIES: usize = 10;
/// The most listings of a gallery.
const SHOWN: usize = 60;

/// Rows with equal keys: the largest set first, then the one that comes first.
fn together<K: std::hash::Hash + Eq>(keys: impl Iterator<Item = (u32, K)>) -> Vec<Vec<u32>> {
    let mut place: HashMap<K, usize> = HashMap::new();
    let mut sets: Vec<Vec<u32>> = Vec::new();
    for (row, key) in keys {
        let next = sets.len();
        let at = *place.entry(key).or_insert(next);
        if at == next {
            sets.push(Vec::new());
        }
        sets[at].push(row);
    }
    sets.sort_by(|a, b| b.len().cmp(&a.len()).then(a[0].cmp(&b[0])));
    sets
}

fn rows(items: &[Listing]) -> impl Iterator<Item = (u32, &Listing)> {
    let rows = items.iter().enumerate().map(|(i, l)| (i as u32, l));
    rows.filter(|(_, l)| !l.rejected)
}

/// The labelled groups' listings, the largest first.
pub(super) fn groups(items: &[Listing], labels: &[Option<u32>]) -> Vec<Vec<u32>> {
    together(rows(items).filter_map(|(i, _)| Some((i, labels[i as usize]?))))
}

/// The listings in the order in which their pictures are wanted: of the galleries, then all.
pub(super) fn first_shown(
    items: &[Listing],
    groups: &[Vec<u32>],
    hashes: &[Option<u64>],
) -> Vec<u32> {
    let shown = |sets: &[Vec<u32>]| -> Vec<u32> {
        let sets = sets.iter().take(GALLERIES);
        sets.flat_map(|s| s.iter().take(SHOWN).copied()).collect()
    };
    let mut order = shown(groups);
    order.extend(shown(&by_title(items)));
    order.extend(shown(&by_hash(hashes)));
    order.extend(groups.iter().flatten());
    order.extend(0..items.len() as u32);
    order
}

fn by_title(items: &[Listing]) -> Vec<Vec<u32>> {
    together(rows(items).filter_map(|(i, l)| Some((i, l.title.as_deref()?))))
}

fn by_hash(hashes: &[Option<u64>]) -> Vec<Vec<u32>> {
    let hashes = hashes.iter().enumerate();
    together(hashes.filter_map(|(i, hash)| Some((i as u32, (*hash)?))))
}

/// The listings' perceptual hashes: those of the file, else those of their pictures.
pub(super) fn all_hashes(items: &[Listing], pictures: &Pictures) -> Vec<Option<u64>> {
    let mut wanted = vec![false; pictures.files()];
    for (row, _) in rows(items).filter(|(_, l)| l.phash.is_none()) {
        if let Some(file) = pictures.file(row as usize) {
            wanted[file] = true;
        }
    }
    let hash = |(file, wanted): (usize, bool)| wanted.then(|| pictures.hash(file)).flatten();
    let made: Vec<Option<u64>> = wanted.into_par_iter().enumerate().map(hash).collect();
    let hash = |(row, item): (usize, &Listing)| {
        let known = item.phash.or_else(|| made[pictures.file(row)?]);
        known.filter(|_| !item.rejected)
    };
    items.iter().enumerate().map(hash).collect()
}

/// For each column how many values there are, and how many repeat.
pub(super) fn columns(listings: &Listings) -> Vec<Value> {
    let items = &listings.items;
    let column = |name: &str, there: bool, value: &dyn Fn(&Listing) -> Option<String>| {
        let sets = together(rows(items).filter_map(|(i, l)| Some((i, value(l)?))));
        let filled: usize = sets.iter().map(Vec::len).sum();
        json!({
            "name": name,
            "there": there,
            "filled": filled,
            "empty": rows(items).count() - filled,
            "unique": sets.len(),
            "repeated": sets.iter().filter(|s| s.len() > 1).count(),
            "most": sets.first().map_or(0, Vec::len),
        })
    };
    let id = |l: &Listing| l.usable().then(|| l.posting_id.clone());
    let hash = |l: &Listing| l.phash.map(|h| format!("{h:016x}"));
    vec![
        column("posting_id", true, &id),
        column("image", listings.has_images(), &|l| l.image.clone()),
        column("image_phash", listings.has_phashes(), &hash),
        column("title", listings.has_titles(), &|l| l.title.clone()),
        column("label_group", listings.has_labels(), &|l| {
            l.label_group.clone()
        }),
    ]
}

/// Rows that are equal in all but the id, and rows whose ids stand in earlier ones.
///
/// # Errors
/// As [`Listings::repeated_ids`].
pub(super) fn duplicates(listings: &Listings) -> Result<Value> {
    let items = &listings.items;
    let again = listings.repeated_ids()?;
    let sets = together(rows(items).map(|(i, l)| {
        (
            i,
            (
                l.image.as_deref(),
                l.phash,
                l.title.as_deref(),
                l.label_group.as_deref(),
            ),
        )
    }));
    let repeated: Vec<&Vec<u32>> = sets.iter().filter(|s| s.len() > 1).collect();
    let shown = repeated.iter().take(GALLERIES);
    Ok(json!({
        "sets": repeated.len(),
        "rows": repeated.iter().map(|s| s.len() - 1).sum::<usize>(),
        "largest": shown.map(|s| gallery(s)).collect::<Vec<_>>(),
        "repeated_ids": again.len(),
        "whole_rows": again.iter().filter(|(_, _, equal)| *equal).count(),
    }))
}

fn gallery(set: &[u32]) -> Value {
    json!({"count": set.len(), "rows": &set[..set.len().min(SHOWN)]})
}

/// How many sets there are of which size, ascending.
fn histogram(sizes: impl Iterator<Item = usize>) -> Vec<(usize, usize)> {
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    sizes.for_each(|size| *counts.entry(size).or_default() += 1);
    counts.into_iter().collect()
}

/// The groups by size.
pub(super) fn sizes(groups: &[Vec<u32>], labels: &[Option<u32>]) -> Option<Value> {
    if groups.is_empty() {
        return None;
    }
    let listings: usize = groups.iter().map(Vec::len).sum();
    let largest = groups.iter().take(GALLERIES).map(|set| {
        let mut gallery = gallery(set);
        gallery["label"] = json!(labels[set[0] as usize]);
        gallery
    });
    Some(json!({
        "count": groups.len(),
        "mean": listings as f64 / groups.len() as f64,
        "single": groups.iter().filter(|s| s.len() == 1).count(),
        "sizes": histogram(groups.iter().map(Vec::len)),
        "largest": largest.collect::<Vec<_>>(),
    }))
}

/// How many groups the labelled rows of a set are of.
fn products(set: &[u32], labels: &[Option<u32>]) -> usize {
    let mut seen: Vec<u32> = set.iter().filter_map(|&i| labels[i as usize]).collect();
    seen.sort_unstable();
    seen.dedup();
    seen.len()
}

/// Values that repeat, and what they say of the groups.
fn repeats(sets: &[Vec<u32>], labels: &[Option<u32>], name: &dyn Fn(u32) -> Value) -> Value {
    let repeated: Vec<&Vec<u32>> = sets.iter().filter(|s| s.len() > 1).collect();
    let shown = repeated.iter().take(GALLERIES).map(|set| {
        let mut gallery = gallery(set);
        gallery["name"] = name(set[0]);
        gallery["products"] = json!(products(set, labels));
        gallery
    });
    let of_one = repeated.iter().filter(|s| products(s, labels) == 1).count();
    json!({
        "unique": sets.len(),
        "repeated": repeated.len(),
        "rows": repeated.iter().map(|s| s.len()).sum::<usize>(),
        "of_one_product": of_one,
        "counts": histogram(sets.iter().map(Vec::len)),
        "largest": shown.collect::<Vec<_>>(),
    })
}

/// The titles' lengths, and the most repeated ones.
pub(super) fn titles(items: &[Listing], labels: &[Option<u32>]) -> Value {
    let titles = || rows(items).filter_map(|(_, l)| l.title.as_deref());
    let name = |row: u32| json!(items[row as usize].title);
    let mut value = repeats(&by_title(items), labels, &name);
    let (count, chars, words) = titles().fold((0usize, 0usize, 0usize), |(n, c, w), t| {
        (
            n + 1,
            c + t.chars().count(),
            w + t.split_whitespace().count(),
        )
    });
    let mean = |sum: usize| {
        if count == 0 {
            0.0
        } else {
            sum as f64 / count as f64
        }
    };
    value["mean_characters"] = json!(mean(chars));
    value["mean_words"] = json!(mean(words));
    value["characters"] = json!(histogram(titles().map(|t| t.chars().count())));
    value["words"] = json!(histogram(titles().map(|t| t.split_whitespace().count())));
    value
}

/// The hashes that repeat.
pub(super) fn hashes(hashes: &[Option<u64>], labels: &[Option<u32>]) -> Value {
    let name = |row: u32| json!(hashes[row as usize].map(|h| format!("{h:016x}")));
    repeats(&by_hash(hashes), labels, &name)
}

/// What each fold is like.
pub(super) fn folds(
    items: &[Listing],
    labels: &[Option<u32>],
    name: &str,
    fold: &[Option<String>],
) -> Value {
    let mut parts: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for (i, _) in rows(items) {
        let key = fold
            .get(i as usize)
            .and_then(|f| f.as_deref())
            .filter(|f| !f.is_empty());
        parts.entry(key.unwrap_or("none")).or_default().push(i);
    }
    let part = |(name, part): (&&str, &Vec<u32>)| {
        let groups = together(part.iter().filter_map(|&i| Some((i, labels[i as usize]?))));
        let titles = || {
            part.iter()
                .filter_map(|&i| items[i as usize].title.as_deref())
        };
        let words: usize = titles().map(|t| t.split_whitespace().count()).sum();
        let labelled: usize = groups.iter().map(Vec::len).sum();
        let share = |a: usize, b: usize| if b == 0 { 0.0 } else { a as f64 / b as f64 };
        json!({
            "name": name,
            "listings": part.len(),
            "groups": groups.len(),
            "mean_group": share(labelled, groups.len()),
            "largest_group": groups.first().map_or(0, Vec::len),
            "mean_words": share(words, titles().count()),
            "with_image": part.iter().filter(|&&i| items[i as usize].image.is_some()).count(),
            "sizes": histogram(groups.iter().map(Vec::len)),
        })
    };
    let mut all: Vec<(&&str, &Vec<u32>)> = parts.iter().collect();
    // Numbers as numbers: 2 before 10.
    all.sort_by_key(|(name, _)| (name.parse::<u64>().unwrap_or(u64::MAX), name.to_string()));
    json!({"by": name, "folds": all.into_iter().map(part).collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_keys_come_together_the_largest_first() {
        let keys = ["a", "b", "a", "c", "b", "a"];
        let sets = together(keys.iter().enumerate().map(|(i, k)| (i as u32, *k)));
        assert_eq!(sets, [vec![0, 2, 5], vec![1, 4], vec![3]]);
        assert_eq!(
            histogram(sets.iter().map(Vec::len)),
            [(1, 1), (2, 1), (3, 1)]
        );
        let labels = [Some(4), None, Some(4), Some(1), Some(2), Some(7)];
        assert_eq!(products(&sets[0], &labels), 2);
        assert_eq!(products(&sets[1], &labels), 1);
    }
}
