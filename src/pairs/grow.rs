//! One tree, level by level, over histograms.

use rayon::prelude::*;

use super::boost::Node;
use super::{BoostOptions, Table};

/// Features as small numbers: which of its intervals each value lies in.
pub(super) struct Bins {
    /// For each feature, the upper ends of its intervals but the last.
    cuts: Vec<Vec<f32>>,
    /// For each feature, each row's interval.
    codes: Vec<Vec<u8>>,
}

impl Bins {
    /// Intervals of about as many rows each, at most `most` a feature.
    pub fn of(rows: &Table, most: usize) -> Self {
        let coded: Vec<(Vec<f32>, Vec<u8>)> = (0..rows.columns())
            .into_par_iter()
            .map(|column| {
                let values: Vec<f32> = rows.column(column).collect();
                let mut sorted = values.clone();
                sorted.sort_unstable_by(f32::total_cmp);
                let ends = (1..most)
                    .map(|b| b * sorted.len() / most)
                    .filter(|&at| at > 0);
                // Values up to an end lie below it; the last value has nothing above.
                let mut cuts: Vec<f32> = ends.map(|at| sorted[at - 1]).collect();
                cuts.dedup();
                cuts.retain(|cut| sorted.last().is_some_and(|last| cut < last));
                let code = |&x: &f32| cuts.partition_point(|&cut| cut < x) as u8;
                let codes = values.iter().map(code).collect();
                (cuts, codes)
            })
            .collect();
        let (cuts, codes) = coded.into_iter().unzip();
        Bins { cuts, codes }
    }
}

/// A node's sums of first and second derivatives.
#[derive(Clone, Copy, Default)]
struct Sums {
    slope: f64,
    curve: f64,
}

impl Sums {
    fn add(&mut self, (slope, curve): (f64, f64)) {
        self.slope += slope;
        self.curve += curve;
    }

    fn minus(self, other: Sums) -> Sums {
        Sums {
            slope: self.slope - other.slope,
            curve: self.curve - other.curve,
        }
    }

    /// What the loss falls by, apart from a factor, when rows of these sums get the best answer.
    fn gain(self, lambda: f64) -> f64 {
        self.slope * self.slope / (self.curve + lambda)
    }
}

/// A question: its gain, the feature, and the interval up to which rows go left.
#[derive(Clone, Copy)]
struct Split {
    gain: f64,
    feature: usize,
    upto: usize,
}

/// The least gain that is worth a question.
const LEAST_GAIN: f64 = 1e-9;

/// The tree for rows with these first and second derivatives, and the leaf of each row.
pub(super) fn grow(bins: &Bins, slopes: &[(f64, f64)], o: &BoostOptions) -> (Vec<Node>, Vec<u32>) {
    let mut total = Sums::default();
    slopes.iter().for_each(|&s| total.add(s));
    let mut tree = vec![answer(total, o)];
    let mut at = vec![0u32; slopes.len()];
    let mut open = vec![(0u32, total)];
    for _ in 0..o.depth {
        if open.is_empty() {
            break;
        }
        let splits = best(bins, slopes, &at, &open, o);
        let mut next = Vec::new();
        let mut turns: Vec<Option<(usize, u8, u32)>> = vec![None; tree.len()];
        for (&(node, sums), split) in open.iter().zip(splits) {
            let Some((split, left)) = split else { continue };
            let first = tree.len() as u32;
            tree.push(answer(left, o));
            tree.push(answer(sums.minus(left), o));
            tree[node as usize] = Node {
                feature: split.feature as u32,
                above: bins.cuts[split.feature][split.upto],
                left: first,
                right: first + 1,
                value: 0.0,
            };
            turns[node as usize] = Some((split.feature, split.upto as u8, first));
            next.extend([(first, left), (first + 1, sums.minus(left))]);
        }
        for (row, at) in at.iter_mut().enumerate() {
            if let Some((feature, upto, first)) = turns.get(*at as usize).copied().flatten() {
                *at = first + u32::from(bins.codes[feature][row] > upto);
            }
        }
        open = next;
    }
    (tree, at)
}

fn answer(sums: Sums, o: &BoostOptions) -> Node {
    Node {
        feature: 0,
        above: 0.0,
        left: 0,
        right: 0,
        value: (-o.rate * sums.slope / (sums.curve + o.lambda)) as f32,
    }
}

/// The best question for each of the open nodes, with the sums of the rows that go left.
fn best(
    bins: &Bins,
    slopes: &[(f64, f64)],
    at: &[u32],
    open: &[(u32, Sums)],
    o: &BoostOptions,
) -> Vec<Option<(Split, Sums)>> {
    let last = open.iter().map(|n| n.0 as usize + 1).max().unwrap_or(0);
    let mut place = vec![usize::MAX; last];
    for (p, (node, _)) in open.iter().enumerate() {
        place[*node as usize] = p;
    }
    // Each feature's sums run over the rows in order, so threads change nothing.
    let of_features: Vec<Vec<Option<(Split, Sums)>>> = (0..bins.cuts.len())
        .into_par_iter()
        .map(|feature| {
            let (cuts, codes) = (&bins.cuts[feature], &bins.codes[feature]);
            let width = cuts.len() + 1;
            let mut sums = vec![Sums::default(); width * open.len()];
            for ((&code, &node), &slope) in codes.iter().zip(at).zip(slopes) {
                if let Some(&p) = place.get(node as usize).filter(|p| **p != usize::MAX) {
                    sums[p * width + usize::from(code)].add(slope);
                }
            }
            let of_node = sums.chunks_exact(width).zip(open);
            of_node
                .map(|(sums, &(_, all))| divide(feature, sums, all, o))
                .collect()
        })
        .collect();
    (0..open.len())
        .map(|node| {
            let of = of_features.iter().filter_map(|splits| splits[node]);
            // Of equal gains the first feature.
            of.reduce(|a, b| if b.0.gain > a.0.gain { b } else { a })
        })
        .collect()
}

/// The best end of an interval to divide a node's rows at.
fn divide(feature: usize, sums: &[Sums], all: Sums, o: &BoostOptions) -> Option<(Split, Sums)> {
    let mut best: Option<(Split, Sums)> = None;
    let mut left = Sums::default();
    for (upto, sum) in sums.iter().enumerate().take(sums.len() - 1) {
        left.add((sum.slope, sum.curve));
        let right = all.minus(left);
        if left.curve < o.least || right.curve < o.least {
            continue;
        }
        let gain = left.gain(o.lambda) + right.gain(o.lambda) - all.gain(o.lambda);
        if gain > LEAST_GAIN && best.is_none_or(|(split, _)| gain > split.gain) {
            best = Some((
                Split {
                    gain,
                    feature,
                    upto,
                },
                left,
            ));
        }
    }
    best
}
