//! Losses over classes: `kernels/margin/`.

use super::driver::{CardInfo, Kernel, Launch, Stream};
use super::launch::{Args, Call, Family, blocks, by_type};
use super::memory::Card;
use crate::device::desc::{Buf, DType, Desc};
use crate::device::op::Op;
use crate::error::Result;

/// [`Op::SoftmaxCrossEntropy`].
pub(super) struct Losses;

impl Family for Losses {
    fn kernels(
        &self,
        op: &Op,
        ins: &[Desc],
        _card: &CardInfo,
        _has: &dyn Fn(Kernel) -> bool,
    ) -> Option<Vec<Kernel>> {
        matches!(op, Op::SoftmaxCrossEntropy).then(|| kernels(ins[0].dtype).to_vec())
    }

    fn workspace(&self, _op: &Op, ins: &[Desc], _card: &CardInfo) -> usize {
        workspace(&ins[0])
    }

    fn run(&self, call: &Call<'_>) -> Result<()> {
        let [logits, labels] = [call.ins[0], call.ins[1]];
        cross_entropy(
            call.card,
            logits,
            labels,
            call.outs,
            call.scratch,
            call.stream,
        )
    }
}

/// The kernels of the softmax cross-entropy: rows, then the mean.
fn kernels(dtype: DType) -> [Kernel; 2] {
    let rows = by_type(
        dtype,
        "softmax_cross_entropy_f16",
        "softmax_cross_entropy_f32",
    );
    [rows, "softmax_cross_entropy_mean"].map(|symbol| Kernel {
        family: "margin",
        symbol,
    })
}

/// Bytes of scratch memory: a loss a row.
fn workspace(logits: &Desc) -> usize {
    logits.dims[0] * 4
}

/// Threads of a block that takes a row of `columns`: some columns each.
fn threads(columns: usize) -> u32 {
    (columns / 4).next_power_of_two().clamp(32, 512) as u32
}

/// Queues the mean loss of `logits` and its gradient. `scratch` has `workspace` bytes.
///
/// Labels are on the card, where nothing looks at them before: a label that is no class makes the
/// loss NaN and its row's gradient 0.
fn cross_entropy(
    card: &Card,
    logits: &Buf,
    labels: &Buf,
    outs: &[&Buf],
    scratch: u64,
    stream: Stream,
) -> Result<()> {
    let (rows, columns) = logits.desc.matrix("softmax_cross_entropy")?;
    let [each, mean] = kernels(logits.desc.dtype);
    if rows == 0 || columns == 0 {
        // No row has a class: the loss of nothing is 0, as the naive twin has it.
        card.upload(&0f32.to_ne_bytes(), outs[0], stream)?;
        return Ok(());
    }
    let args = Args::default()
        .address(logits.address())
        .address(labels.address())
        .address(scratch)
        .address(outs[1].address())
        .int(rows)?
        .int(columns)?;
    let how = Launch::linear(blocks(rows)?, threads(columns), 0);
    // SAFETY: the arguments are those of kernels/margin/softmax_cross_entropy.cu; the engine checked
    // buffers, types and shapes, and that `scratch` has a f32 for each row.
    unsafe { card.launch(each, &how, args, stream) }?;
    let args = Args::default()
        .address(scratch)
        .address(outs[0].address())
        .int(rows)?;
    let how = Launch::linear(1, 256, 0);
    // SAFETY: as above, for softmax_cross_entropy_mean; the loss has one f32.
    unsafe { card.launch(mean, &how, args, stream) }
}
