//! Labels by the nearest labelled rows: a k-nearest-neighbours classifier, and how often it is right.
//!
//! As scikit-learn's `KNeighborsClassifier` with equal weights and brute force: the `k` nearest rows vote, and of
//! labels with as many votes the one that sorts first wins. Each row is answered from all others (leave one
//! out), for every `k` at once.

mod chart;
mod distances;

use std::collections::HashMap;
use std::ops::RangeInclusive;

use rayon::prelude::*;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::limits::MAX_K;
use crate::tensor::Rows;
use distances::Distances;

pub use chart::chart;

/// How far two rows are from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// One less their cosine, which is 0 where a row is all zeros.
    Cosine,
    /// The length of their difference, the rows as they stand.
    Euclidean,
}

/// How often a classifier is right.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Curve {
    /// How many rows were answered: those with a label.
    pub rows: usize,
    /// Of those, the rows whose label another row has too: no others can be answered rightly.
    pub answerable: usize,
    /// For each `k` in ascending order.
    pub points: Vec<Point>,
}

/// How often a classifier is right with one `k`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Point {
    /// Neighbours that vote.
    pub k: usize,
    /// Rows that got their own label.
    pub right: usize,
    /// Their share of all rows.
    pub accuracy: f64,
}

impl Curve {
    /// The point of the highest accuracy, of several the one with the smallest `k`.
    pub fn best(&self) -> Option<Point> {
        let better = |best: Point, point: &Point| match point.right > best.right {
            true => *point,
            false => best,
        };
        let (first, rest) = self.points.split_first()?;
        Some(rest.iter().fold(*first, better))
    }
}

/// Answers each row that has a label from all others that have one, with the `k` nearest for every `k` of `ks`;
/// gives for each row its answers in the order of `ks`, and none for a row without a label.
///
/// `labels` are compared by their order, which settles ties of votes. Of rows that are equally far the one with
/// the lower number is nearer; scikit-learn leaves that to chance. Products are summed in `f64` in one order,
/// and Euclidean distances are `sqrt(aa + bb - 2ab)`, as scikit-learn has them. All pairs are looked at:
/// `O(rows^2)` products.
///
/// # Errors
/// [`Kind::Shape`](crate::error::Kind::Shape) unless there is a label, or `None`, a row;
/// [`Kind::Limit`](crate::error::Kind::Limit) for a `k` outside 1 to [`MAX_K`];
/// [`Kind::Input`](crate::error::Kind::Input) where fewer than two rows have a label, fewer others than the
/// largest `k`, or a row holds what is not finite.
pub fn leave_one_out(
    rows: &Rows,
    labels: &[Option<u32>],
    ks: RangeInclusive<usize>,
    metric: Metric,
) -> Result<Vec<Option<Vec<u32>>>> {
    if labels.len() != rows.rows() {
        return Err(Error::shape("classify", &[rows.rows()], &[labels.len()]));
    }
    let (least, most) = (*ks.start(), *ks.end());
    if least == 0 || least > most || most > MAX_K {
        return Err(
            Error::limit(format!("k from {least} to {most}")).mend(format!(
                "give numbers from 1 to {MAX_K}, the smaller one first"
            )),
        );
    }
    let labelled: Vec<(usize, u32)> = labels
        .iter()
        .enumerate()
        .filter_map(|(row, label)| Some((row, (*label)?)))
        .collect();
    if labelled.len() <= most {
        let message = format!(
            "{} rows have a label, and k goes up to {most}",
            labelled.len()
        );
        return Err(Error::input(message).mend("label more listings, or end with a smaller k"));
    }
    let distances = Distances::new(rows, metric)?;
    let answer = |&(row, _): &(usize, u32)| {
        let mut near: Vec<(f64, u32)> = (0u32..)
            .zip(&labelled)
            .filter(|(_, other)| other.0 != row)
            .map(|(place, _)| (0.0, place))
            .collect();
        distances.fill(row, &mut near, |place| labelled[place as usize].0);
        let by = |a: &(f64, u32), b: &(f64, u32)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
        if near.len() > most {
            near.select_nth_unstable_by(most - 1, by);
            near.truncate(most);
        }
        near.sort_unstable_by(by);
        let voters = near.iter().map(|&(_, place)| labelled[place as usize].1);
        votes(voters, least)
    };
    let answers: Vec<Vec<u32>> = labelled.par_iter().map(answer).collect();
    let mut out = vec![None; labels.len()];
    for ((row, _), answer) in labelled.iter().zip(answers) {
        out[*row] = Some(answer);
    }
    Ok(out)
}

/// The winner after each voter from number `least` on.
fn votes(voters: impl Iterator<Item = u32>, least: usize) -> Vec<u32> {
    let mut counts: HashMap<u32, usize> = HashMap::new();
    let (mut winner, mut most) = (u32::MAX, 0);
    let mut answers = Vec::new();
    for (number, label) in voters.enumerate() {
        let count = counts.entry(label).or_insert(0);
        *count += 1;
        if *count > most || (*count == most && label < winner) {
            (winner, most) = (label, *count);
        }
        if number + 1 >= least {
            answers.push(winner);
        }
    }
    answers
}

/// How often [`leave_one_out`] is right, for every `k` of `ks`.
///
/// # Errors
/// As [`leave_one_out`].
pub fn curve(
    rows: &Rows,
    labels: &[Option<u32>],
    ks: RangeInclusive<usize>,
    metric: Metric,
) -> Result<Curve> {
    let answers = leave_one_out(rows, labels, ks.clone(), metric)?;
    let mut sizes: HashMap<u32, usize> = HashMap::new();
    for label in labels.iter().flatten() {
        *sizes.entry(*label).or_insert(0) += 1;
    }
    let rows = labels.iter().flatten().count();
    let mut right = vec![0; ks.clone().count()];
    for (answers, label) in answers.iter().zip(labels) {
        let (Some(answers), Some(label)) = (answers, label) else {
            continue;
        };
        for (right, answer) in right.iter_mut().zip(answers) {
            *right += usize::from(answer == label);
        }
    }
    let point = |(k, right)| Point {
        k,
        right,
        accuracy: right as f64 / rows as f64,
    };
    Ok(Curve {
        rows,
        answerable: sizes.values().filter(|&&n| n > 1).sum(),
        points: ks.zip(right).map(point).collect(),
    })
}

/// The places of labels in their order: by number where all are whole numbers, as a program that reads the
/// same CSV sorts them, else as text by code points.
pub fn ranked(labels: &[Option<&str>]) -> Vec<Option<u32>> {
    let numbers: Option<Vec<i64>> = labels
        .iter()
        .flatten()
        .map(|l| l.trim().parse().ok())
        .collect();
    let mut order: Vec<&str> = labels.iter().flatten().copied().collect();
    match numbers {
        Some(_) => order.sort_unstable_by_key(|l| l.trim().parse::<i64>().unwrap_or(i64::MAX)),
        None => order.sort_unstable(),
    }
    let mut places: HashMap<&str, u32> = HashMap::new();
    for label in order {
        let next = places.len() as u32;
        places.entry(label).or_insert(next);
    }
    let place = |label: &Option<&str>| label.and_then(|l| places.get(l).copied());
    labels.iter().map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_label_wins_a_tie() {
        assert_eq!(votes([3, 1, 3, 1, 2].into_iter(), 1), [3, 1, 3, 1, 1]);
        assert_eq!(votes([3, 1, 3].into_iter(), 3), [3]);
        // Every prefix, by counting.
        let mut rng = crate::random::Rng::of(1, 1, 1);
        let voters: Vec<u32> = (0..200).map(|_| rng.below(6) as u32).collect();
        for (k, answer) in (1..).zip(votes(voters.iter().copied(), 1)) {
            let count = |label: u32| voters[..k].iter().filter(|&&v| v == label).count();
            let wanted = (0..6).rev().max_by_key(|&label| count(label));
            assert_eq!(Some(answer), wanted, "{k}");
        }
    }

    #[test]
    fn labels_rank_by_number_or_by_text() {
        let ranks = |labels: &[&str]| -> Vec<u32> {
            let labels: Vec<Option<&str>> = labels.iter().copied().map(Some).collect();
            ranked(&labels).into_iter().flatten().collect()
        };
        assert_eq!(ranks(&["10", "9", "10", "-1"]), [2, 1, 2, 0]);
        assert_eq!(ranks(&["10", "9", "x"]), [0, 1, 2]);
        assert_eq!(
            ranked(&[None, Some("b"), Some("a")]),
            [None, Some(1), Some(0)]
        );
    }

    #[test]
    fn what_cannot_be_answered_is_one_line() {
        let rows = Rows::Dense(crate::tensor::Matrix::zeros(3, 2));
        let all = [Some(0), Some(0), Some(1)];
        let said = |labels: &[Option<u32>], ks| {
            leave_one_out(&rows, labels, ks, Metric::Cosine)
                .unwrap_err()
                .to_string()
        };
        assert!(said(&all, 1..=3).contains("3 rows have a label"));
        assert!(said(&all, 0..=1).contains("k from 0 to 1"));
        assert!(said(&all[..2], 1..=1).contains("[3]"));
        let none = [None, Some(0), None];
        assert!(said(&none, 1..=1).contains("1 rows have a label"));
        // All are equally far: the first other row votes.
        let answers = leave_one_out(&rows, &all, 1..=2, Metric::Euclidean).unwrap();
        assert_eq!(answers[0], Some(vec![0, 0]));
        assert_eq!(answers[2], Some(vec![0, 0]));
        let curve = curve(&rows, &all, 1..=2, Metric::Euclidean).unwrap();
        assert_eq!((curve.rows, curve.answerable), (3, 2));
        assert_eq!((curve.points[0].right, curve.best().unwrap().k), (2, 1));
    }
}
