//! How far a device is from the naive twin, on the shapes that are measured but small.

use std::sync::Arc;

use super::cases::{Case, Work};
use super::fill;
use super::record::family;
use super::search::Ready;
use super::time::Bench;
use crate::device::{
    Buf, DType, Desc, Device, Fired, NaiveDevice, Op, Stream, Support, alloc, bytes_of, values_of,
};
use crate::error::{Error, Kind, Result};
use crate::lists::Lists;

/// The errors of one case.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// As [`Case::name`].
    pub name: String,
    /// The family of kernels that ran.
    pub family: String,
    /// The largest difference over the largest value of either, over all outputs: symmetric, and 0 is
    /// the best. What is not finite in one alone is infinitely far.
    pub error: f64,
}

/// Runs a case on the device and on the naive twin; `None` where the device does not run it.
///
/// # Errors
/// Too little memory, or a failing device.
pub fn check(bench: &Bench, case: &Case) -> Result<Option<Checked>> {
    let card = bench.card.as_deref();
    let checked = |error| Checked {
        name: case.name.clone(),
        family: family(card, &case.work).to_string(),
        error,
    };
    let (op, ins) = match &case.work {
        Work::Op(op, ins) => (op, ins),
        &Work::TopK { rows, dims, k } => {
            return Ok(search(&*bench.device, rows, dims, k)?.map(checked));
        }
        &Work::Search(search) => {
            let far = Ready::new(search)?.distance(&*bench.device);
            return match far {
                Err(e) if e.kind() == Kind::Unsupported => Ok(None),
                far => Ok(Some(checked(far?))),
            };
        }
        &Work::Sweep { rows, spaces } => {
            return Ok(sweep(&*bench.device, rows, spaces)?.map(checked));
        }
    };
    if bench.device.supports(op, ins) != Support::Native {
        return Ok(None);
    }
    let naive: Arc<dyn Device> = Arc::new(NaiveDevice::default());
    let have = outputs(&*bench.device, op, ins)?;
    let want = outputs(&*naive, op, ins)?;
    let mut error: f64 = 0.0;
    for (a, b) in have.iter().zip(&want) {
        error = error.max(distance(a, b)?);
    }
    Ok(Some(checked(error)))
}

/// How far a search's scores are from those of all pairs in f64, place by place and pair by pair: a
/// neighbour that is missing or wrong shows as a score that is. `None` where the device has no search.
fn search(device: &dyn Device, rows: usize, dims: usize, k: usize) -> Result<Option<f64>> {
    let x = alloc(device, Desc::new(&[rows, dims], DType::F32))?;
    let values: Vec<f32> = fill::spread(rows * dims, 5).collect();
    device.upload(&bytes_of(&values, DType::F32), &x, Stream::DEFAULT)?;
    let found = match device.topk_dense(&x, None, k, None, Stream::DEFAULT) {
        Err(e) if e.kind() == Kind::Unsupported => return Ok(None),
        other => other?,
    };
    let row = |i: usize| {
        values[i * dims..(i + 1) * dims]
            .iter()
            .map(|&v| f64::from(v))
    };
    let dot = |i: usize, j: usize| row(i).zip(row(j)).map(|(a, b)| a * b).sum::<f64>();
    let length: Vec<f64> = (0..rows).map(|i| dot(i, i).sqrt()).collect();
    let mut worst: f64 = 0.0;
    for i in 0..rows {
        let all: Vec<f64> = (0..rows)
            .map(|j| dot(i, j) / (length[i] * length[j]))
            .collect();
        let mut best = all.clone();
        best.sort_by(|a, b| b.total_cmp(a));
        let list = found.row(i);
        if list.len() != k.min(rows) {
            return Ok(Some(f64::INFINITY));
        }
        for (hit, best) in list.iter().zip(&best) {
            let true_score = all.get(hit.0 as usize).copied().unwrap_or(f64::NAN);
            for other in [true_score, *best] {
                let far = (hit.1 - other).abs();
                worst = if far.is_nan() {
                    f64::INFINITY
                } else {
                    worst.max(far)
                };
            }
        }
    }
    Ok(Some(worst))
}

/// 0 where a sweep gives what its definition does, else infinity. `None` where the device has none.
fn sweep(device: &dyn Device, rows: usize, spaces: usize) -> Result<Option<f64>> {
    let (evidence, steps) = (fill::evidence(rows, spaces), fill::steps(spaces));
    let lists: Vec<&Lists> = evidence.iter().collect();
    let have = match device.sweep(&lists, &steps, None, Stream::DEFAULT) {
        Err(e) if e.kind() == Kind::Unsupported => return Ok(None),
        other => other?,
    };
    // All spaces have the same steps here.
    let thresholds = steps.first().map_or(Ok(Vec::new()), |s| s.table())?;
    let fired = |row: usize, threshold: f64| -> Vec<Fired> {
        let of = |(source, lists): (usize, &&Lists)| {
            let near = lists
                .row(row)
                .iter()
                .filter(move |hit| 1.0 - hit.1 < threshold);
            let others = near.filter(move |hit| hit.0 as usize != row);
            let fire = move |(row, score)| Fired {
                row,
                source: source as u16,
                score,
                threshold: 1.0 - threshold,
            };
            others.map(fire).collect::<Vec<_>>()
        };
        lists.iter().enumerate().flat_map(of).collect()
    };
    let first = |row| {
        let mut steps = thresholds.iter().map(|&t| fired(row, t));
        steps.find(|found| !found.is_empty()).unwrap_or_default()
    };
    let same = have
        .iter()
        .enumerate()
        .all(|(row, found)| *found == first(row));
    Ok(Some(if same && have.len() == rows {
        0.0
    } else {
        f64::INFINITY
    }))
}

fn outputs(device: &dyn Device, op: &Op, ins: &[Desc]) -> Result<Vec<Vec<f32>>> {
    let from = fill::filled(device, op, ins)?;
    let descs = op.infer(ins)?;
    let to: Vec<Buf> = descs
        .into_iter()
        .map(|desc| alloc(device, desc))
        .collect::<Result<_>>()?;
    let scratch = match device.workspace(op, ins) {
        0 => None,
        n => Some(alloc(device, Desc::new(&[n.div_ceil(4)], DType::F32))?),
    };
    let (ins, outs): (Vec<&Buf>, Vec<&Buf>) = (from.iter().collect(), to.iter().collect());
    device.run(op, &ins, &outs, scratch.as_ref(), Stream::DEFAULT)?;
    device.sync(Stream::DEFAULT)?;
    let read = |buf: &Buf| {
        let mut bytes = vec![0; buf.desc.bytes()];
        device.download(buf, &mut bytes, Stream::DEFAULT)?;
        Ok(match buf.desc.dtype {
            DType::U32 => bytes
                .chunks_exact(4)
                .map(|w| u32::from_le_bytes([w[0], w[1], w[2], w[3]]) as f32)
                .collect(),
            dtype => values_of(&bytes, dtype),
        })
    };
    to.iter().map(read).collect()
}

/// The largest difference over the largest value of either.
fn distance(a: &[f32], b: &[f32]) -> Result<f64> {
    if a.len() != b.len() {
        return Err(Error::shape("check", &[a.len()], &[b.len()]));
    }
    let (mut size, mut far) = (0f64, 0f64);
    for (&x, &y) in a.iter().zip(b) {
        let (x, y) = (f64::from(x), f64::from(y));
        let same = x == y || x.is_nan() && y.is_nan();
        match x.is_finite() && y.is_finite() {
            true => {
                size = size.max(x.abs()).max(y.abs());
                far = far.max((x - y).abs());
            }
            false if same => {}
            false => return Ok(f64::INFINITY),
        }
    }
    Ok(if far == 0.0 { 0.0 } else { far / size })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_symmetric_and_see_everything() {
        let d = |a: &[f32], b: &[f32]| distance(a, b).unwrap();
        assert_eq!(d(&[1.0, -2.0], &[1.0, -2.0]), 0.0);
        assert_eq!(d(&[1.0, 0.0], &[1.0, 0.5]), 0.5);
        assert_eq!(d(&[1.0, 0.5], &[1.0, 0.0]), 0.5);
        // Too small counts as much as too large.
        assert_eq!(d(&[0.0], &[4.0]), 1.0);
        assert_eq!(d(&[f32::NAN], &[1.0]), f64::INFINITY);
        assert_eq!(d(&[1.0], &[f32::INFINITY]), f64::INFINITY);
        assert_eq!(d(&[f32::NAN], &[f32::NAN]), 0.0);
        assert!(distance(&[1.0], &[]).is_err());
    }
}
