//! Maps of many dimensions on two: t-SNE (van der Maaten and Hinton 2008) with the Barnes-Hut
//! approximation (van der Maaten 2014), started from the principal components.
//!
//! The settings and their defaults are scikit-learn's. The same rows and options give the same map
//! whatever the number of threads: each point's forces are its own sum, and sums over points run in order.

mod affinity;
mod pca;
mod tree;

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::limits::MAX_MAP_POINTS;
use crate::tensor::Matrix;

pub use affinity::Affinities;
use tree::Tree;

/// How a map is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// About how many neighbours a point has; at most a third of the points is used.
    pub perplexity: f64,
    /// Steps in all; the first quarter of a thousand exaggerates what attracts.
    pub steps: usize,
    /// How coarse the repulsion of far points may be: 0 is exact.
    pub theta: f64,
    /// Another seed, another start where the principal components leave one open.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            perplexity: 30.0,
            steps: 1000,
            theta: 0.5,
            seed: 0,
        }
    }
}

/// A finished map.
#[derive(Debug, Clone, PartialEq)]
pub struct Map {
    /// The points.
    pub points: Vec<[f64; 2]>,
    /// The Kullback-Leibler divergence of the map from the neighbourhoods, at the end of the exaggeration
    /// and at the end.
    pub divergence: [f64; 2],
}

const EXAGGERATION: f64 = 12.0;
const EARLY: usize = 250;
const START: f64 = 1e-4;

/// A map of `rows`; near means near by Euclidean distance.
///
/// # Errors
/// More rows than [`MAX_MAP_POINTS`]; a NaN or an infinity.
pub fn tsne(rows: &Matrix, options: &Options) -> Result<Map> {
    let n = rows.rows();
    if n > MAX_MAP_POINTS {
        return Err(Error::limit(format!("{n} points are too many for a map"))
            .op("tsne")
            .mend(format!("choose at most {MAX_MAP_POINTS}")));
    }
    if let Some(row) = rows.first_not_finite() {
        return Err(Error::input("a value is not finite")
            .op("tsne")
            .row(row as u64 + 1));
    }
    if n < 4 {
        let points = (0..n).map(|i| [i as f64, 0.0]).collect();
        return Ok(Map {
            points,
            divergence: [0.0; 2],
        });
    }
    let affinities = Affinities::of(rows, options.perplexity);
    let mut points = pca::plane(rows, options.seed);
    scale(&mut points);
    let divergence = descend(&affinities, &mut points, options);
    Ok(Map { points, divergence })
}

/// The first coordinate gets the standard deviation that a start has.
fn scale(points: &mut [[f64; 2]]) {
    let n = points.len() as f64;
    let mean = points.iter().map(|p| p[0]).sum::<f64>() / n;
    let deviation = (points.iter().map(|p| (p[0] - mean).powi(2)).sum::<f64>() / n).sqrt();
    if deviation > 0.0 {
        for p in points.iter_mut() {
            *p = [p[0] / deviation * START, p[1] / deviation * START];
        }
    }
}

/// Gradient descent with momentum and a gain for each coordinate.
fn descend(p: &Affinities, points: &mut [[f64; 2]], options: &Options) -> [f64; 2] {
    let n = points.len();
    let rate = (n as f64 / EXAGGERATION / 4.0).max(50.0);
    let mut velocity = vec![[0.0f64; 2]; n];
    let mut gains = vec![[1.0f64; 2]; n];
    let mut early = f64::NAN;
    for step in 0..options.steps {
        let exaggerate = step < EARLY;
        if step == EARLY {
            early = divergence(p, points, options.theta);
            velocity.fill([0.0; 2]);
            gains.fill([1.0; 2]);
        }
        let (factor, momentum) = match exaggerate {
            true => (EXAGGERATION, 0.5),
            false => (1.0, 0.8),
        };
        let gradient = gradient(p, points, options.theta, factor);
        for i in 0..n {
            for c in 0..2 {
                let (g, v) = (gradient[i][c], &mut velocity[i][c]);
                let gain = &mut gains[i][c];
                *gain = match *v * g < 0.0 {
                    true => *gain + 0.2,
                    false => (*gain * 0.8).max(0.01),
                };
                *v = momentum * *v - rate * *gain * g;
                points[i][c] += *v;
            }
        }
    }
    let last = divergence(p, points, options.theta);
    [if early.is_nan() { last } else { early }, last]
}

/// What repels each point, and the sum over all pairs that makes it a share.
fn repulsion(points: &[[f64; 2]], theta: f64) -> (Vec<[f64; 2]>, f64) {
    let tree = Tree::of(points);
    let each: Vec<([f64; 2], f64)> = points
        .par_iter()
        .with_min_len(64)
        .map_init(Vec::new, |open, p| tree.forces(*p, theta, open))
        .collect();
    let z = each
        .iter()
        .map(|(_, z)| z)
        .sum::<f64>()
        .max(f64::MIN_POSITIVE);
    (each.into_iter().map(|(f, _)| f).collect(), z)
}

fn gradient(p: &Affinities, points: &[[f64; 2]], theta: f64, factor: f64) -> Vec<[f64; 2]> {
    let (repelled, z) = repulsion(points, theta);
    let at = |i: usize| {
        let mut sum = [0.0; 2];
        for (j, share) in p.row(i) {
            let d = [points[i][0] - points[j][0], points[i][1] - points[j][1]];
            let q = factor * share / (1.0 + d[0] * d[0] + d[1] * d[1]);
            sum = [sum[0] + q * d[0], sum[1] + q * d[1]];
        }
        [
            4.0 * (sum[0] - repelled[i][0] / z),
            4.0 * (sum[1] - repelled[i][1] / z),
        ]
    };
    (0..points.len())
        .into_par_iter()
        .with_min_len(64)
        .map(at)
        .collect()
}

/// How far the map's neighbourhoods are from those of the rows.
fn divergence(p: &Affinities, points: &[[f64; 2]], theta: f64) -> f64 {
    let (_, z) = repulsion(points, theta);
    let at = |i: usize| {
        let each = p.row(i).map(|(j, share)| {
            let d = [points[i][0] - points[j][0], points[i][1] - points[j][1]];
            let q = 1.0 / (1.0 + d[0] * d[0] + d[1] * d[1]) / z;
            share * (share.max(f64::MIN_POSITIVE) / q.max(f64::MIN_POSITIVE)).ln()
        });
        each.sum::<f64>()
    };
    let each: Vec<f64> = (0..points.len()).into_par_iter().map(at).collect();
    each.iter().sum()
}

#[cfg(test)]
mod tests;
