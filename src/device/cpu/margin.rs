//! Margins on f32 values in host memory, rows shared by the threads.

use rayon::prelude::*;

use super::host::{f32s, f32s_mut};
use crate::device::desc::Buf;
use crate::device::naive::margin::{labels, running};
use crate::device::op::{Margin, MarginKind, Op};
use crate::error::Result;

/// Runs [`Op::Margin`] or [`Op::MarginLoss`], whose inputs and outputs were checked.
pub(super) fn run(op: &Op, margin: &Margin, ins: &[&Buf], outs: &[&Buf]) -> Result<()> {
    let classes = ins[0].desc.dims[1];
    let labels = labels(op, ins)?;
    // SAFETY: callers order the calls that share a buffer, as `Device` asks.
    let cosines = unsafe { f32s(ins[0]) }?;
    let rows = || cosines.par_chunks(classes.max(1)).zip(&labels);
    let mut how = Row::new(margin);
    if margin.runs() {
        let targets = cosines.chunks(classes.max(1)).zip(&labels);
        let targets: Vec<f32> = targets.map(|(row, &y)| row[y as usize]).collect();
        // SAFETY: as above.
        let before = unsafe { f32s(ins[2]) }?[0];
        how.t = running(f64::from(before), targets.iter().map(|&c| f64::from(c))) as f32;
        // SAFETY: `check` found the outputs apart from the inputs and each other.
        unsafe { f32s_mut(outs[1]) }?[0] = how.t;
    }
    // SAFETY: as above.
    let out = unsafe { f32s_mut(outs[0]) }?;
    if let Op::Margin(_) = op {
        out.par_chunks_mut(classes.max(1))
            .zip(rows())
            .for_each(|(to, (row, &label))| how.logits(row, label as usize, to));
        return Ok(());
    }
    let loss = |(row, &label): (&[f32], &u32)| {
        let mut logits = vec![0.0; row.len()];
        how.logits(row, label as usize, &mut logits);
        let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = logits.iter().map(|v| f64::from((v - most).exp())).sum();
        sum.ln() + f64::from(most - logits[label as usize])
    };
    // Each row's loss by itself, then their sum in order: the number of threads changes no bit.
    let losses: Vec<f64> = rows().map(loss).collect();
    out[0] = (losses.iter().sum::<f64>() / losses.len().max(1) as f64) as f32;
    Ok(())
}

/// A margin's constants.
#[derive(Clone, Copy)]
struct Row {
    kind: MarginKind,
    margin: f32,
    cosine: f32,
    sine: f32,
    scale: f32,
    t: f32,
}

impl Row {
    fn new(how: &Margin) -> Row {
        let m = f64::from(how.margin.get());
        Row {
            kind: how.kind,
            margin: how.margin.get(),
            cosine: m.cos() as f32,
            sine: m.sin() as f32,
            scale: how.scale.get(),
            t: 0.0,
        }
    }

    fn logits(&self, row: &[f32], label: usize, out: &mut [f32]) {
        let c = row[label];
        // 1 - c is exact near 1, where the square would have lost it.
        let sine = ((1.0 - c) * (1.0 + c)).max(0.0).sqrt();
        let border = c * self.cosine - sine * self.sine;
        let target = match self.kind {
            MarginKind::Cos => c - self.margin,
            _ if c > -self.cosine => border,
            _ => c - self.margin * self.sine,
        };
        for (to, &v) in out.iter_mut().zip(row) {
            let hard = self.kind == MarginKind::Curricular && v > border;
            *to = self.scale * if hard { v * (self.t + v) } else { v };
        }
        out[label] = self.scale * target;
    }
}
