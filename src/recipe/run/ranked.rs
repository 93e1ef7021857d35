//! Percentiles in the place of scores.

use rayon::prelude::*;

use crate::lists::{Lists, best_first};

/// The lists with the distance of each pair as the share of all pairs that are more similar, as far as that is
/// below `below`. A row's pair with itself has distance 0 and counts nothing, where rows are compared with one
/// another (`same`).
///
/// Scores of two markets, or of two encoders, are seldom of one scale; their percentiles are.
pub(super) fn percentiles(lists: &Lists, same: bool, below: f64) -> Lists {
    let others = |i: usize, j: u32| !same || j as usize != i;
    let mut scores: Vec<f64> = Vec::with_capacity(lists.pairs());
    for (i, list) in lists.iter().enumerate() {
        scores.extend(list.iter().filter(|n| others(i, n.0)).map(|n| n.1));
    }
    scores.par_sort_unstable_by(|a, b| b.total_cmp(a));
    let all = scores.len().max(1) as f64;
    let rank = |i: usize, (j, score): (u32, f64)| match others(i, j) {
        true => scores.partition_point(|&s| s > score) as f64 / all,
        false => 0.0,
    };
    let rows: Vec<Vec<(u32, f64)>> = (0..lists.len())
        .into_par_iter()
        .map(|i| {
            let list = lists.row(i).iter().map(|n| (n.0, rank(i, n)));
            let near = list.filter(|&(_, distance)| distance < below);
            let mut row: Vec<(u32, f64)> = near.map(|(j, distance)| (j, 1.0 - distance)).collect();
            row.sort_by(best_first);
            row
        })
        .collect();
    Lists::from_rows(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_similar_pairs_have_the_smallest_distances() {
        let lists = Lists::from_rows([
            vec![(0, 1.0), (1, 0.9), (2, 0.3)],
            vec![(1, 1.0), (0, 0.9)],
            vec![(2, 1.0), (0, 0.3)],
        ]);
        let ranked = percentiles(&lists, true, f64::INFINITY);
        ranked.check(3).unwrap();
        let expected = Lists::from_rows([
            vec![(0, 1.0), (1, 1.0), (2, 0.5)],
            vec![(0, 1.0), (1, 1.0)],
            vec![(2, 1.0), (0, 0.5)],
        ]);
        assert_eq!(ranked, expected);
        let near = percentiles(&lists, true, 0.5);
        assert_eq!(near.row(0).rows, [0, 1]);
        assert_eq!(near.row(2).rows, [2]);
        // Against a gallery all pairs count: two of seven are above.
        let against = percentiles(&lists, false, f64::INFINITY);
        assert_eq!(against.row(1).scores, [1.0, 1.0 - 3.0 / 7.0]);
        assert!(percentiles(&Lists::default(), true, 1.0).is_empty());
    }
}
