//! Who is a neighbour of whom, and how much.

use rayon::prelude::*;

use crate::tensor::Matrix;

/// For each point its neighbours and their shares, symmetric, 1 in all.
#[derive(Debug, Clone, PartialEq)]
pub struct Affinities {
    starts: Vec<usize>,
    rows: Vec<u32>,
    shares: Vec<f64>,
}

impl Affinities {
    /// Gaussian neighbourhoods of the nearest `3 * perplexity + 1` points, each as wide as the perplexity asks for.
    pub fn of(rows: &Matrix, perplexity: f64) -> Affinities {
        let n = rows.rows();
        let perplexity = perplexity.min((n - 1) as f64 / 3.0).max(1.0);
        let k = ((3.0 * perplexity + 1.0) as usize).clamp(1, n - 1);
        let lists: Vec<Vec<(u32, f64)>> = (0..n)
            .into_par_iter()
            .map(|i| widths(nearest(rows, i, k), perplexity))
            .collect();
        symmetric(&lists)
    }

    /// The neighbours of point `i` and their shares.
    pub fn row(&self, i: usize) -> impl Iterator<Item = (usize, f64)> + '_ {
        let range = self.starts[i]..self.starts[i + 1];
        let rows = self.rows[range.clone()].iter().map(|&j| j as usize);
        rows.zip(self.shares[range].iter().copied())
    }
}

/// The `k` nearest other rows and the squares of their distances, in the order of the rows.
fn nearest(rows: &Matrix, i: usize, k: usize) -> Vec<(u32, f64)> {
    let own = rows.row(i);
    let square = |j: usize| -> f64 {
        let pairs = own.chunks(16).zip(rows.row(j).chunks(16));
        let part = |(a, b): (&[f32], &[f32])| {
            let each = a.iter().zip(b).map(|(x, y)| (x - y) * (x - y));
            f64::from(each.sum::<f32>())
        };
        pairs.map(part).sum()
    };
    let others = (0..rows.rows()).filter(|&j| j != i);
    let mut near: Vec<(u32, f64)> = others.map(|j| (j as u32, square(j))).collect();
    let order = |a: &(u32, f64), b: &(u32, f64)| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0));
    if near.len() > k {
        near.select_nth_unstable_by(k - 1, order);
        near.truncate(k);
    }
    near.sort_unstable_by_key(|&(j, _)| j);
    near
}

/// Shares of the neighbours whose entropy is the logarithm of the perplexity, by bisection.
fn widths(near: Vec<(u32, f64)>, perplexity: f64) -> Vec<(u32, f64)> {
    let wanted = perplexity.ln();
    let least = near.iter().map(|n| n.1).fold(f64::INFINITY, f64::min);
    let (mut low, mut high, mut beta) = (0.0f64, f64::INFINITY, 1.0f64);
    let mut shares = vec![0.0; near.len()];
    for _ in 0..100 {
        let (mut sum, mut weighed) = (0.0, 0.0);
        for (share, (_, d)) in shares.iter_mut().zip(&near) {
            // Distances count from the least, which changes no share and keeps the sum above zero.
            *share = (-beta * (d - least)).exp();
            sum += *share;
            weighed += *share * (d - least);
        }
        shares.iter_mut().for_each(|s| *s /= sum);
        let entropy = sum.ln() + beta * weighed / sum;
        if (entropy - wanted).abs() < 1e-5 {
            break;
        }
        if entropy > wanted {
            low = beta;
            beta = if high.is_infinite() {
                beta * 2.0
            } else {
                (beta + high) / 2.0
            };
        } else {
            high = beta;
            beta = (beta + low) / 2.0;
        }
    }
    near.into_iter()
        .zip(shares)
        .map(|((j, _), share)| (j, share))
        .collect()
}

/// `(p + p^T) / 2n`.
fn symmetric(lists: &[Vec<(u32, f64)>]) -> Affinities {
    let n = lists.len();
    let mut both: Vec<Vec<(u32, f64)>> = lists.to_vec();
    for (i, list) in lists.iter().enumerate() {
        for &(j, share) in list {
            both[j as usize].push((i as u32, share));
        }
    }
    let mut made = Affinities {
        starts: vec![0],
        rows: Vec::new(),
        shares: Vec::new(),
    };
    for list in &mut both {
        list.sort_by_key(|&(j, _)| j);
        for &(j, share) in list.iter() {
            let share = share / (2.0 * n as f64);
            let start = made.starts.last().copied().unwrap_or(0);
            if made.rows.len() > start && made.rows.last() == Some(&j) {
                if let Some(last) = made.shares.last_mut() {
                    *last += share;
                }
            } else {
                made.rows.push(j);
                made.shares.push(share);
            }
        }
        made.starts.push(made.rows.len());
    }
    made
}
