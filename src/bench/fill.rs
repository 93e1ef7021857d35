//! Inputs to measure on: random values, and rows, labels and offsets that are some.

use std::sync::Arc;

use crate::device::{Buf, DType, Desc, Device, Op, Stream, SweepSteps, alloc, bytes_of};
use crate::error::{Error, Result};
use crate::lists::Lists;

/// Values in [-1, 1), the same for the same seed.
pub fn spread(count: usize, seed: u64) -> impl Iterator<Item = f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..count).map(move |_| {
        // xorshift64* (Vigna 2016).
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let bits = state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40;
        bits as f32 / (1u64 << 23) as f32 - 1.0
    })
}

/// The values of input `at` of `op`. Numbers are of a size that keeps sums of their products near 1;
/// variances are positive; rows, labels and offsets are valid.
pub fn values(op: &Op, ins: &[Desc], at: usize) -> Vec<u8> {
    let desc = &ins[at];
    let count = desc.len();
    if desc.dtype == DType::U32 {
        let indices = indices(op, ins, at);
        return indices.iter().flat_map(|i| i.to_le_bytes()).collect();
    }
    let depth = match op {
        Op::Gemm { trans_a, .. } => ins[0].dims[usize::from(!trans_a)],
        Op::Conv { .. } | Op::ConvAverage { .. } => ins[1].dims[1..].iter().product(),
        Op::ExpandDepthwise { .. } | Op::SqueezeExcite { .. } => {
            ins[at.clamp(1, 2)].dims[1..].iter().product()
        }
        // Rows about as long as unit rows are.
        Op::RowProducts => ins[0].dims[1],
        _ => 1,
    };
    let two = matches!(op, Op::ExpandDepthwise { .. } | Op::SqueezeExcite { .. });
    let second = at == 2 && two;
    let scale = if at == 1 || second {
        (3.0 / depth.max(1) as f32).sqrt()
    } else {
        1.0
    };
    let positive = match op {
        Op::BatchNorm { .. } => at == 4,
        Op::GlobalGem { .. } => at == 1,
        _ => false,
    };
    let made = spread(count, 1 + at as u64);
    let values: Vec<f32> = match positive {
        true => made.map(|x| 2.0 + x).collect(),
        false => made.map(|x| x * scale).collect(),
    };
    bytes_of(&values, desc.dtype)
}

/// Rows of a table, labels, or offsets of sequences of one length.
fn indices(op: &Op, ins: &[Desc], at: usize) -> Vec<u32> {
    let count = ins[at].len();
    let below = |most: usize| -> Vec<u32> {
        let most = most.max(1) as u64;
        let numbers = (1..=count as u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33);
        numbers.map(|n| (n % most) as u32).collect()
    };
    match *op {
        Op::Attention { .. } | Op::SegmentMean => {
            let rows = ins[0].dims[0];
            let last = count.saturating_sub(1).max(1);
            (0..count).map(|i| (rows * i / last) as u32).collect()
        }
        Op::Embed { tables, .. } => below(ins[at.saturating_sub(tables)].dims[0]),
        Op::SoftmaxCrossEntropy | Op::Margin(_) | Op::MarginLoss(_) => below(ins[0].dims[1]),
        _ => below(ins[0].dims[0]),
    }
}

/// Neighbour lists as searches make them, one list of spaces: 50 a row, itself first, scores falling.
pub fn evidence(rows: usize, spaces: usize) -> Vec<Lists> {
    let lists = |space: usize| {
        let mut lists = Lists::with_capacity(rows, NEIGHBOURS);
        for row in 0..rows {
            let strangers = (1..NEIGHBOURS.min(rows)).map(|i| {
                // Steps that never come back to a row before the rows are through.
                let other = (row + i) % rows;
                let fall = 0.9 / NEIGHBOURS as f64 * (i as f64 + (row % 7 + space) as f64 / 8.0);
                (other as u32, 0.95 - fall)
            });
            lists.push(std::iter::once((row as u32, 1.0)).chain(strangers));
        }
        lists
    };
    (0..spaces).map(lists).collect()
}

/// Neighbours of a row.
const NEIGHBOURS: usize = 50;

/// The thresholds of Tan's image sweep, for each space.
pub fn steps(spaces: usize) -> Vec<SweepSteps> {
    let image = SweepSteps {
        low: 0.24,
        high: 0.5,
        step: 0.01,
    };
    vec![image; spaces]
}

/// Buffers for the inputs of `op`, filled; weights in the device's own layout where it has one.
///
/// # Errors
/// Too little memory, or a failing device.
pub fn filled(device: &dyn Device, op: &Op, ins: &[Desc]) -> Result<Vec<Buf>> {
    let fill = |at: usize| {
        let desc = ins[at].clone();
        let own = device.packed(op, ins, at).filter(|_| at > 0);
        let Some(bytes) = own else {
            let buf = alloc(device, desc)?;
            device.upload(&values(op, ins, at), &buf, Stream::DEFAULT)?;
            return Ok(buf);
        };
        let published = values(op, ins, at);
        let values = crate::device::values_of(&published, desc.dtype);
        let depth = values.len() / desc.dims[0].max(1);
        let mut row = |i: usize, out: &mut [f32]| {
            let from = values.get(i * depth..(i + 1) * depth);
            let few = || Error::internal("has no such row").op(op.name());
            out.copy_from_slice(from.filter(|f| f.len() == out.len()).ok_or_else(few)?);
            Ok(())
        };
        let mem: Arc<dyn crate::device::Mem> = device.alloc(bytes.max(desc.bytes()))?;
        let buf = Buf::packed(desc, mem)?;
        device.pack(op, ins, at, &mut row, &buf)?;
        Ok(buf)
    };
    (0..ins.len()).map(fill).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_name_rows_that_are_there() {
        let u32s = |n: usize| Desc::new(&[n], DType::U32);
        let f = |dims: &[usize]| Desc::new(dims, DType::F16);
        let eps = crate::device::Scalar::new(1e-5);
        let embed = Op::Embed { tables: 2, eps };
        let ins = [f(&[7, 4]), f(&[3, 4]), u32s(50), u32s(50), f(&[4]), f(&[4])];
        assert!(indices(&embed, &ins, 2).iter().all(|&i| i < 7));
        assert!(indices(&embed, &ins, 3).iter().all(|&i| i < 3));
        let mean = indices(&Op::SegmentMean, &[f(&[60, 4]), u32s(4)], 1);
        assert_eq!(mean, [0, 20, 40, 60]);
        let labels = indices(&Op::SoftmaxCrossEntropy, &[f(&[9, 5]), u32s(9)], 1);
        assert!(labels.iter().all(|&i| i < 5) && labels.iter().any(|&i| i != labels[0]));
    }

    #[test]
    fn values_are_spread_and_the_same_again() {
        let a: Vec<f32> = spread(10_000, 3).collect();
        assert!(a.iter().all(|x| (-1.0..1.0).contains(x)));
        assert!(a.iter().sum::<f32>().abs() < 200.0);
        assert!(spread(10_000, 3).eq(a.iter().copied()));
        assert!(!spread(10_000, 4).eq(a.iter().copied()));
    }
}
