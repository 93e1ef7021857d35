//! Operations on elements, rows and columns: `kernels/pointwise/` and `kernels/norm/`.

use super::driver::{CardInfo, Kernel, Launch, Stream};
use super::launch::{Args, Call, Family, blocks, by_type};
use super::launch_gemm::number;
use super::memory::Card;
use crate::device::desc::{Buf, DType, Desc};
use crate::device::op::Op;
use crate::error::{Error, Result};

/// Elementwise operations, sums over rows, and row normalisation.
pub(super) struct Pointwise;

impl Family for Pointwise {
    fn kernels(
        &self,
        op: &Op,
        ins: &[Desc],
        _card: &CardInfo,
        _has: &dyn Fn(Kernel) -> bool,
    ) -> Option<Vec<Kernel>> {
        let dtype = ins[0].dtype;
        match op {
            Op::ColumnSum | Op::ColumnDot => Some(column_kernels(op, dtype).to_vec()),
            Op::RowNormalize => Some(vec![normalize_kernel(dtype)]),
            _ => Some(vec![pointwise_kernel(op, dtype)?]),
        }
    }

    fn workspace(&self, op: &Op, ins: &[Desc], card: &CardInfo) -> usize {
        match op {
            Op::ColumnSum | Op::ColumnDot => column_workspace(&ins[0], card.multiprocessors),
            _ => 0,
        }
    }

    fn run(&self, call: &Call<'_>) -> Result<()> {
        let (card, out, stream) = (call.card, call.outs[0], call.stream);
        match call.op {
            Op::ColumnSum | Op::ColumnDot => {
                columns(card, call.op, call.ins, out, call.scratch, stream)
            }
            Op::RowNormalize => normalize(card, call.ins[0], out, stream),
            op => {
                let kernel = pointwise_kernel(op, call.descs[0].dtype)
                    .ok_or_else(|| Error::internal("has no kernel").op(op.name()))?;
                pointwise(card, op, kernel, call.ins, out, stream)
            }
        }
    }
}

const THREADS: usize = 256;

/// Columns of a strip and rows of a step of `kernels/pointwise/columns.cu`.
const STRIP: usize = 32;
const LINES: usize = 8;

/// The kernels of an elementwise operation.
fn pointwise_kernel(op: &Op, dtype: DType) -> Option<Kernel> {
    let symbol = match op {
        Op::Scale => by_type!(dtype, "scale"),
        Op::Bias => by_type!(dtype, "bias"),
        Op::Add => by_type!(dtype, "add"),
        Op::Activation(_) => by_type!(dtype, "activation"),
        Op::ActivationGrad(_) => by_type!(dtype, "activation_grad"),
        _ => return None,
    };
    Some(Kernel {
        family: "pointwise",
        symbol,
    })
}

/// Queues an elementwise operation. `ins` were checked by `Op::infer` and are of one type.
fn pointwise(
    card: &Card,
    op: &Op,
    kernel: Kernel,
    ins: &[&Buf],
    out: &Buf,
    stream: Stream,
) -> Result<()> {
    let count = out.desc.len();
    if count == 0 {
        return Ok(());
    }
    let columns = out.desc.dims.last().copied().unwrap_or(1);
    let vector = 16 / out.desc.dtype.size();
    let by_column = matches!(op, Op::Scale | Op::Bias);
    let aligned = |b: &&Buf| b.address().is_multiple_of(16);
    let whole =
        ins.iter().all(aligned) && aligned(&out) && (!by_column || columns.is_multiple_of(vector));
    let mut args = Args::default().address(out.address());
    for buf in ins {
        args = args.address(buf.address());
    }
    args = args.long(count);
    args = match *op {
        Op::Scale | Op::Bias => args.int(columns)?,
        Op::Activation(act) | Op::ActivationGrad(act) => args.int(number(act))?,
        _ => args,
    };
    args = args.int(usize::from(whole))?;
    // Enough threads for one vector each, up to some waves of blocks.
    let most = card.driver.info().multiprocessors as usize * 16;
    let grid = count.div_ceil(THREADS * vector).clamp(1, most.max(1));
    let how = Launch::linear(blocks(grid)?, THREADS as u32, 0);
    // SAFETY: the arguments are those of kernels/pointwise/pointwise.cu, in order; the engine checked
    // that the buffers are this card's, of one type and of the shapes that `Op::infer` asks for;
    // `whole` promises no more than addresses and columns hold.
    unsafe { card.launch(kernel, &how, args, stream) }
}

/// How many parts the rows of a column sum are cut into: some waves of blocks, and no part without a
/// few steps of rows.
fn chunks(rows: usize, columns: usize, multiprocessors: u32) -> usize {
    let strips = columns.div_ceil(STRIP).max(1);
    let wanted = (multiprocessors as usize * 8).div_ceil(strips);
    wanted.min(rows.div_ceil(LINES * 8)).clamp(1, 1024)
}

/// Bytes of scratch memory of a column sum over `x`.
fn column_workspace(x: &Desc, multiprocessors: u32) -> usize {
    match x.dims[..] {
        [rows, columns] => chunks(rows, columns, multiprocessors) * columns * 4,
        _ => 0,
    }
}

/// The two kernels of a column sum.
fn column_kernels(op: &Op, dtype: DType) -> [Kernel; 2] {
    let sum = match op {
        Op::ColumnDot => by_type!(dtype, "column_dot"),
        _ => by_type!(dtype, "column_sum"),
    };
    let finish = by_type!(dtype, "column_finish");
    [sum, finish].map(|symbol| Kernel {
        family: "pointwise",
        symbol,
    })
}

/// Queues a column sum or dot. `scratch` has `column_workspace` bytes.
fn columns(
    card: &Card,
    op: &Op,
    ins: &[&Buf],
    out: &Buf,
    scratch: u64,
    stream: Stream,
) -> Result<()> {
    let (rows, columns) = ins[0].desc.matrix(op.name())?;
    if columns == 0 {
        return Ok(());
    }
    let chunks = chunks(rows, columns, card.driver.info().multiprocessors);
    let [sum, finish] = column_kernels(op, out.desc.dtype);
    let mut args = Args::default();
    for buf in ins {
        args = args.address(buf.address());
    }
    args = args.address(scratch).int(rows)?.int(columns)?;
    let how = Launch {
        grid: [blocks(columns.div_ceil(STRIP))?, chunks as u32, 1],
        block: [STRIP as u32, LINES as u32, 1],
        shared: 0,
        cluster: [1, 1, 1],
    };
    // SAFETY: the arguments are those of column_sum and column_dot in kernels/pointwise/columns.cu;
    // the engine checked buffers, types and shapes, and that `scratch` has chunks x columns f32.
    unsafe { card.launch(sum, &how, args, stream) }?;
    let args = Args::default()
        .address(scratch)
        .address(out.address())
        .int(columns)?
        .int(chunks)?;
    let how = Launch::linear(blocks(columns.div_ceil(THREADS))?, THREADS as u32, 0);
    // SAFETY: as above, for column_finish; `out` has `columns` elements.
    unsafe { card.launch(finish, &how, args, stream) }
}

/// The kernel of `row_normalize` for one type.
fn normalize_kernel(dtype: DType) -> Kernel {
    Kernel {
        family: "norm",
        symbol: match dtype {
            DType::F16 => "row_normalize_f16_f16",
            DType::BF16 => "row_normalize_bf16_bf16",
            DType::F32 | DType::U32 => "row_normalize_f32_f32",
        },
    }
}

/// Queues a row normalisation of `x` into `out`, both of one shape and type.
fn normalize(card: &Card, x: &Buf, out: &Buf, stream: Stream) -> Result<()> {
    let (rows, dims) = x.desc.matrix("row_normalize")?;
    if x.desc.is_empty() {
        return Ok(());
    }
    let args = Args::default()
        .address(x.address())
        .address(out.address())
        .address(0)
        .int(rows)?
        .int(dims)?
        .int(dims)?
        .int(dims)?;
    let how = Launch::linear(blocks(rows.div_ceil(THREADS / 32))?, THREADS as u32, 0);
    // SAFETY: the arguments are those of kernels/norm/row_normalize.cu without `inverse`; the engine
    // checked that both buffers are this card's and of this shape and type.
    unsafe { card.launch(normalize_kernel(x.desc.dtype), &how, args, stream) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::op::Act;

    #[test]
    fn rows_are_cut_as_the_card_wants_and_no_finer() {
        assert_eq!(chunks(1, 1, 132), 1);
        assert_eq!(chunks(1 << 20, 32, 132), 1024);
        assert_eq!(chunks(1 << 20, 4096, 132), 9);
        assert_eq!(chunks(640, 32, 132), 10);
        let acts = [
            Act::None,
            Act::Relu,
            Act::Silu,
            Act::Gelu,
            Act::Mish,
            Act::Sigmoid,
        ];
        assert_eq!(acts.map(number), [0, 1, 2, 3, 4, 5]);
    }
}
