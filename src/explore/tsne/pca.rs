//! The two principal components, by power iteration.

use rayon::prelude::*;

use crate::tensor::Matrix;

const ROUNDS: usize = 300;
const NEAR: f64 = 1e-9;

/// The rows' coordinates along their two principal components, each component with its largest entry
/// positive.
pub(super) fn plane(rows: &Matrix, seed: u64) -> Vec<[f64; 2]> {
    let (n, dims) = (rows.rows(), rows.dims());
    let mut mean = vec![0.0f64; dims];
    for i in 0..n {
        mean.iter_mut()
            .zip(rows.row(i))
            .for_each(|(m, &x)| *m += f64::from(x) / n as f64);
    }
    let mut points = vec![[0.0; 2]; n];
    let mut found: Vec<Vec<f64>> = Vec::new();
    for c in 0..2.min(dims) {
        let mut axis = start(dims, seed.wrapping_add(c as u64));
        let mut along = Vec::new();
        for _ in 0..ROUNDS {
            apart(&mut axis, &found);
            along = project(rows, &mean, &axis);
            let mut next = back(rows, &mean, &along);
            apart(&mut next, &found);
            if !unit(&mut next) {
                break;
            }
            let moved: f64 = axis.iter().zip(&next).map(|(a, b)| (a - b) * (a - b)).sum();
            axis = next;
            if moved < NEAR * NEAR {
                break;
            }
        }
        if !axis.is_empty() {
            along = project(rows, &mean, &axis);
        }
        let largest = axis
            .iter()
            .copied()
            .fold(0.0f64, |a, b| if b.abs() > a.abs() { b } else { a });
        let sign = if largest < 0.0 { -1.0 } else { 1.0 };
        points
            .iter_mut()
            .zip(&along)
            .for_each(|(p, x)| p[c] = sign * x);
        found.push(axis);
    }
    points
}

/// Numbers that a seed gives, of unit length together.
fn start(dims: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x2545_f491_4f6c_dd1d;
    let mut axis: Vec<f64> = (0..dims)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5
        })
        .collect();
    unit(&mut axis);
    axis
}

fn unit(axis: &mut [f64]) -> bool {
    let length = axis.iter().map(|x| x * x).sum::<f64>().sqrt();
    if length > 1e-12 {
        axis.iter_mut().for_each(|x| *x /= length);
    }
    length > 1e-12
}

/// Takes the parts along `found`, which are of unit length, out of `axis`.
fn apart(axis: &mut [f64], found: &[Vec<f64>]) {
    for other in found {
        let along: f64 = axis.iter().zip(other).map(|(a, b)| a * b).sum();
        axis.iter_mut()
            .zip(other)
            .for_each(|(a, b)| *a -= along * b);
    }
}

fn project(rows: &Matrix, mean: &[f64], axis: &[f64]) -> Vec<f64> {
    let along = |i: usize| {
        let each = rows.row(i).iter().zip(mean).zip(axis);
        each.map(|((&x, m), a)| (f64::from(x) - m) * a).sum::<f64>()
    };
    (0..rows.rows())
        .into_par_iter()
        .with_min_len(32)
        .map(along)
        .collect()
}

/// The transposed rows times `along`, in fixed blocks so that the sum does not depend on threads.
fn back(rows: &Matrix, mean: &[f64], along: &[f64]) -> Vec<f64> {
    const BLOCK: usize = 256;
    let blocks: Vec<Vec<f64>> = along
        .par_chunks(BLOCK)
        .enumerate()
        .map(|(b, along)| {
            let mut sum = vec![0.0; mean.len()];
            for (i, weight) in along.iter().enumerate() {
                let row = rows.row(b * BLOCK + i);
                let each = sum.iter_mut().zip(row).zip(mean);
                each.for_each(|((s, &x), m)| *s += weight * (f64::from(x) - m));
            }
            sum
        })
        .collect();
    let mut sum = vec![0.0; mean.len()];
    for block in blocks {
        sum.iter_mut().zip(block).for_each(|(s, x)| *s += x);
    }
    sum
}
