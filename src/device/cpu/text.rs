//! The catalogue's operations on sequences, on f32 values in host memory, each handed to its kernel.

use super::attention;
use super::host::{f32s, f32s_mut};
use super::kernel::Kernel;
use super::rows;
use crate::device::desc::{Buf, DType};
use crate::device::naive::text;
use crate::device::op::Op;
use crate::error::{Error, Result};

/// Whether the kernels here run `op`: on f32 alone.
pub(super) fn runs(op: &Op, ins: &[&Buf]) -> bool {
    let known = matches!(
        op,
        Op::Lookup
            | Op::Embed { .. }
            | Op::LayerNorm { .. }
            | Op::Attention { .. }
            | Op::SegmentMean
    );
    let single = |(i, b): (usize, &&Buf)| op.is_index(i) || b.desc.dtype == DType::F32;
    known && ins.iter().enumerate().all(single)
}

/// Runs an operation that [`runs`] says yes to; its inputs and outputs were checked.
pub(super) fn run(kernel: Kernel, op: &Op, ins: &[&Buf], out: &Buf) -> Result<()> {
    // SAFETY: callers order the calls that share a buffer, as `Device` asks, and `check` found the
    // output apart from every input.
    let y = unsafe { f32s_mut(out) }?;
    // SAFETY: as above.
    let read = |i: usize| unsafe { f32s(ins[i]) };
    let columns = out.desc.dims[1];
    match *op {
        Op::Lookup => {
            let which = text::rows(op, ins[0], ins[1])?;
            rows::lookup(columns, read(0)?, &which, y);
        }
        Op::Embed { tables, eps } => {
            let from =
                (0..tables).map(|i| Ok((read(i)?, text::rows(op, ins[i], ins[tables + i])?)));
            let from: Vec<_> = from.collect::<Result<_>>()?;
            let from: Vec<_> = from.iter().map(|(t, rows)| (*t, &rows[..])).collect();
            let norm = (read(2 * tables)?, read(2 * tables + 1)?, eps.get());
            rows::embed(kernel, &from, norm, y);
        }
        Op::LayerNorm { eps } => {
            rows::layer_norm(kernel, read(0)?, (read(1)?, read(2)?, eps.get()), y);
        }
        Op::Attention { heads, scale } => {
            let offsets = text::offsets(op, ins)?;
            let qkv = [read(0)?, read(1)?, read(2)?];
            attention::attention(kernel, heads, scale.get(), qkv, columns, &offsets, y);
        }
        Op::SegmentMean => {
            let offsets = text::offsets(op, ins)?;
            rows::segment_mean(kernel, columns, read(0)?, &offsets, y);
        }
        _ => return Err(Error::internal("has no kernel here").op(op.name())),
    }
    Ok(())
}
