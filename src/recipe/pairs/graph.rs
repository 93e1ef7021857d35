//! What neighbour lists say of single listings.

use crate::lists::Lists;

/// How much of a listing's weight goes on to its neighbours in each round.
const DAMPING: f64 = 0.85;
/// How often the weights go round; what they change by then is below one part in a thousand.
const ROUNDS: usize = 40;

/// The PageRank of each row in the graph of its neighbours, weighted by their scores (negative ones count
/// nothing), itself left out; 1 on average.
pub(super) fn page_rank(lists: &Lists) -> Vec<f64> {
    let rows = lists.len();
    let outward = |i: usize| {
        let list = lists.row(i);
        let others = list.rows.iter().zip(list.scores);
        let others = others.filter(move |n| *n.0 as usize != i);
        others.map(|(&j, score)| (j as usize, score.max(0.0)))
    };
    let sums: Vec<f64> = (0..rows).map(|i| outward(i).map(|n| n.1).sum()).collect();
    let mut weights = vec![1.0; rows];
    for _ in 0..ROUNDS {
        // What rows without neighbours have goes to all.
        let lone = (0..rows).filter(|&i| sums[i] <= 0.0).map(|i| weights[i]);
        let all = (1.0 - DAMPING) + DAMPING * lone.sum::<f64>() / rows as f64;
        let mut next = vec![all; rows];
        for i in (0..rows).filter(|&i| sums[i] > 0.0) {
            for (j, score) in outward(i) {
                next[j] += DAMPING * weights[i] * score / sums[i];
            }
        }
        weights = next;
    }
    weights
}

/// The mean score of each row's nearest `k` others; those that are not listed count 0.
pub(super) fn density(lists: &Lists, k: usize) -> Vec<f64> {
    let rows = lists.iter().enumerate();
    let mean = |(i, list): (usize, crate::lists::Neighbours<'_>)| {
        let others = list.iter().filter(|n| n.0 as usize != i).take(k);
        others.map(|n| n.1).sum::<f64>() / k as f64
    };
    rows.map(mean).collect()
}
