//! Operations on sequences, one plain loop each, in f64; and what every device checks of their rows and
//! offsets, whose values no shape can tell.

use crate::device::cpu::host::indices;
use crate::device::desc::Buf;
use crate::device::op::Op;
use crate::error::{Error, Result};

/// The rows that `op` looks up in `table`.
///
/// # Errors
/// [`Kind::Input`](crate::error::Kind::Input) for a row that the table does not have.
pub(in crate::device) fn rows(op: &Op, table: &Buf, rows: &Buf) -> Result<Vec<u32>> {
    // SAFETY: callers order the calls that share a buffer, as `Device` asks.
    let rows = unsafe { indices(rows) }?;
    let count = table.desc.dims[0];
    match rows.iter().find(|&&r| r as usize >= count) {
        Some(row) => {
            let message = format!("row {row} is not below the {count} of the table");
            Err(Error::input(message).op(op.name()))
        }
        None => Ok(rows),
    }
}

/// The offsets of the sequences of `op`: its last input, over the rows of its first one.
///
/// # Errors
/// [`Kind::Input`](crate::error::Kind::Input) for offsets that do not begin at 0, fall, or do not end
/// at the number of rows.
pub(in crate::device) fn offsets(op: &Op, ins: &[&Buf]) -> Result<Vec<u32>> {
    let (x, last) = (ins[0], ins[ins.len() - 1]);
    // SAFETY: callers order the calls that share a buffer, as `Device` asks.
    let offsets = unsafe { indices(last) }?;
    let rows = x.desc.dims[0];
    let ends = offsets.first() == Some(&0) && offsets.last().is_some_and(|&e| e as usize == rows);
    match ends && offsets.is_sorted() {
        true => Ok(offsets),
        false => {
            let message = format!("offsets do not rise from 0 to the {rows} rows");
            Err(Error::input(message).op(op.name()))
        }
    }
}

pub(super) fn lookup(op: &Op, (table, values): (&Buf, &[f64]), which: &Buf) -> Result<Vec<f64>> {
    let n = table.desc.dims[1];
    let rows = rows(op, table, which)?;
    Ok(rows
        .iter()
        .flat_map(|&r| &values[r as usize * n..][..n])
        .copied()
        .collect())
}

pub(super) fn layer_norm(eps: f32, x: &[f64], gamma: &[f64], beta: &[f64]) -> Vec<f64> {
    let n = gamma.len();
    let mut out = Vec::with_capacity(x.len());
    for row in x.chunks(n) {
        let mean = row.iter().sum::<f64>() / n as f64;
        let variance = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64;
        let by = 1.0 / (variance + f64::from(eps)).sqrt();
        out.extend((0..n).map(|j| (row[j] - mean) * by * gamma[j] + beta[j]));
    }
    out
}

pub(super) fn attention(
    heads: usize,
    scale: f64,
    n: usize,
    [q, k, v]: [&[f64]; 3],
    offsets: &[u32],
) -> Vec<f64> {
    let mut out = vec![0.0; q.len()];
    let width = n / heads;
    for pair in offsets.windows(2) {
        let sequence = pair[0] as usize..pair[1] as usize;
        for (row, head) in sequence
            .clone()
            .flat_map(|r| (0..heads).map(move |h| (r, h)))
        {
            let part = |x: &[f64], r: usize| x[r * n + head * width..][..width].to_vec();
            let mine = part(q, row);
            let score = |other: usize| -> f64 {
                let theirs = part(k, other);
                mine.iter().zip(&theirs).map(|(a, b)| a * b).sum::<f64>() * scale
            };
            let scores: Vec<f64> = sequence.clone().map(score).collect();
            let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let weights: Vec<f64> = scores.iter().map(|s| (s - most).exp()).collect();
            let sum: f64 = weights.iter().sum();
            for (other, weight) in sequence.clone().zip(weights) {
                let to = &mut out[row * n + head * width..][..width];
                to.iter_mut()
                    .zip(part(v, other))
                    .for_each(|(o, x)| *o += weight / sum * x);
            }
        }
    }
    out
}

/// A sequence without rows gives zeros.
pub(super) fn segment_mean(n: usize, x: &[f64], offsets: &[u32]) -> Vec<f64> {
    let mut out = Vec::with_capacity((offsets.len() - 1) * n);
    for pair in offsets.windows(2) {
        let (from, to) = (pair[0] as usize, pair[1] as usize);
        let count = (to - from).max(1) as f64;
        out.extend((0..n).map(|j| (from..to).map(|r| x[r * n + j]).sum::<f64>() / count));
    }
    out
}
