//! Margins, one plain loop each, in f64; and what every host checks of labels.

use crate::device::cpu::host::{indices, store};
use crate::device::desc::Buf;
use crate::device::op::{Margin, MarginKind, Op};
use crate::error::{Error, Result};

/// The labels of `op`: its second input, over the columns of its first one.
///
/// # Errors
/// [`Kind::Input`](crate::error::Kind::Input) for a label that is no class.
pub(in crate::device) fn labels(op: &Op, ins: &[&Buf]) -> Result<Vec<u32>> {
    let classes = ins[0].desc.dims[1];
    // SAFETY: callers order the calls that share a buffer, as `Device` asks.
    let labels = unsafe { indices(ins[1]) }?;
    match labels.iter().find(|&&label| label as usize >= classes) {
        Some(label) => {
            let message = format!("label {label} is not below {classes} classes");
            Err(Error::input(message).op(op.name()))
        }
        None => Ok(labels),
    }
}

/// The running mean behind a batch whose true classes have these cosines.
pub(in crate::device) fn running(before: f64, targets: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = targets.len() as f64;
    match targets.len() {
        0 => before,
        _ => Margin::MOMENTUM * targets.sum::<f64>() / count + (1.0 - Margin::MOMENTUM) * before,
    }
}

pub(super) fn plain(
    op: &Op,
    how: &Margin,
    ins: &[&Buf],
    outs: &[&Buf],
    x: &[Vec<f64>],
) -> Result<()> {
    let classes = ins[0].desc.dims[1];
    let labels = labels(op, ins)?;
    let rows = || x[0].chunks(classes.max(1)).zip(&labels);
    let targets: Vec<f64> = rows().map(|(row, &y)| row[y as usize]).collect();
    let t = how
        .runs()
        .then(|| running(x[2][0], targets.iter().copied()));
    let logits = rows().flat_map(|(row, &y)| logits(how, row, y as usize, t.unwrap_or(0.0)));
    let result: Vec<f64> = match op {
        Op::Margin(_) => logits.collect(),
        _ => {
            let logits: Vec<f64> = logits.collect();
            let loss = |(row, &y): (&[f64], &u32)| {
                let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = row.iter().map(|v| (v - most).exp()).sum();
                sum.ln() + most - row[y as usize]
            };
            let sum: f64 = logits.chunks(classes.max(1)).zip(&labels).map(loss).sum();
            vec![sum / labels.len().max(1) as f64]
        }
    };
    // SAFETY: `check` found the outputs apart from the inputs and each other.
    unsafe { store(outs[0], &result) }?;
    match t {
        // SAFETY: as above.
        Some(t) => unsafe { store(outs[1], &[t]) },
        None => Ok(()),
    }
}

/// The logits of one row.
fn logits(how: &Margin, row: &[f64], label: usize, t: f64) -> Vec<f64> {
    let (m, scale) = (f64::from(how.margin.get()), f64::from(how.scale.get()));
    let c = row[label];
    let border = c * m.cos() - (1.0 - c * c).max(0.0).sqrt() * m.sin();
    let target = match how.kind {
        MarginKind::Cos => c - m,
        _ if c > -m.cos() => border,
        _ => c - m * m.sin(),
    };
    let one = |(j, &v): (usize, &f64)| match how.kind {
        _ if j == label => target,
        MarginKind::Curricular if v > border => v * (t + v),
        _ => v,
    };
    row.iter().enumerate().map(|at| scale * one(at)).collect()
}
