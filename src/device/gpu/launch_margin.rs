//! Classification heads and their losses: `kernels/margin/`.

use super::driver::{CardInfo, Kernel, Launch, Stream};
use super::launch::{Args, Call, Family, blocks, by_type};
use super::launch_gemm::{Gemm, width};
use super::memory::Card;
use crate::device::desc::{Buf, DType, Desc};
use crate::device::naive::PRODUCTS;
use crate::device::op::{Margin, MarginKind, Op};
use crate::error::{Error, Result};

/// [`Op::SoftmaxCrossEntropy`], [`Op::RowProducts`], [`Op::Margin`] and [`Op::MarginLoss`].
///
/// Labels are on the card, where nothing looks at them before: a label that is no class makes the loss
/// NaN and its row's gradient 0; its row's logits, and a running mean, become NaN.
pub(super) struct Losses;

/// Columns of a block of `margin.cu`, and its threads.
const COLUMNS: usize = 1024;
const THREADS: u32 = 256;
/// What a launch's grid may have in y.
const MAX_GRID_Y: usize = 65_535;
/// The side of a block's tile of `row_products.cu`, its threads, and its shared memory: three stages of
/// two tiles, lines of 32 halves and 8 between them.
const TILE: usize = 64;
const TILE_THREADS: u32 = 128;
const TILE_SHARED: usize = 3 * 2 * TILE * (32 + 8) * 2;

impl Family for Losses {
    fn kernels(
        &self,
        op: &Op,
        ins: &[Desc],
        card: &CardInfo,
        has: &dyn Fn(Kernel) -> bool,
    ) -> Option<Vec<Kernel>> {
        let fits = || ins[0].dims[1].div_ceil(COLUMNS) <= MAX_GRID_Y;
        match op {
            Op::SoftmaxCrossEntropy => Some(kernels(ins[0].dtype).to_vec()),
            Op::RowProducts if ins[0].dtype == DType::F32 => {
                Gemm.kernels(&PRODUCTS, ins, card, has)
            }
            Op::RowProducts => Some(vec![products_kernel(ins[0].dtype)]),
            Op::Margin(_) if fits() => Some(["margin_mean", "margin_logits"].map(kernel).to_vec()),
            Op::MarginLoss(_) if fits() => Some(
                ["margin_mean", "margin_parts", "margin_loss"]
                    .map(kernel)
                    .to_vec(),
            ),
            _ => None,
        }
    }

    fn workspace(&self, op: &Op, ins: &[Desc], _card: &CardInfo) -> usize {
        match op {
            Op::SoftmaxCrossEntropy => ins[0].dims[0] * 4,
            Op::MarginLoss(_) => ins[0].dims[0] * ins[0].dims[1].div_ceil(COLUMNS) * 8,
            _ => 0,
        }
    }

    fn run(&self, call: &Call<'_>) -> Result<()> {
        match *call.op {
            Op::SoftmaxCrossEntropy => cross_entropy(
                call.card,
                call.ins[0],
                call.ins[1],
                call.outs,
                call.scratch,
                call.stream,
            ),
            Op::RowProducts if call.descs[0].dtype == DType::F32 => Gemm.run(&Call {
                op: &PRODUCTS,
                tile: None,
                ..*call
            }),
            Op::RowProducts => row_products(call),
            Op::Margin(margin) | Op::MarginLoss(margin) => head(call, &margin),
            _ => Err(Error::internal("has no kernel").op(call.op.name())),
        }
    }
}

fn kernel(symbol: &'static str) -> Kernel {
    Kernel {
        family: "margin",
        symbol,
    }
}

/// The kernels of the softmax cross-entropy: rows, then the mean.
fn kernels(dtype: DType) -> [Kernel; 2] {
    let rows = by_type!(dtype, "softmax_cross_entropy");
    [rows, "softmax_cross_entropy_mean"].map(kernel)
}

/// The kernel of products of rows with 16-bit values.
fn products_kernel(dtype: DType) -> Kernel {
    kernel(by_type!(dtype, "row_products"))
}

/// Threads of a block that takes a row of `columns`: some columns each.
fn threads(columns: usize) -> u32 {
    (columns / 4).next_power_of_two().clamp(32, 512) as u32
}

/// Queues the mean loss of `logits` and its gradient. `scratch` has `workspace` bytes.
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

/// Queues the products of rows of 16-bit values.
fn row_products(call: &Call<'_>) -> Result<()> {
    let [a, b, out] = [call.ins[0], call.ins[1], call.outs[0]];
    let (m, n) = out.desc.matrix("row_products")?;
    if out.desc.is_empty() {
        return Ok(());
    }
    let pairs = n.is_multiple_of(2) && out.address().is_multiple_of(8);
    let args = Args::default()
        .address(a.address())
        .address(b.address())
        .address(out.address())
        .int(m)?
        .int(n)?
        .int(a.desc.dims[1])?
        .int(width(a))?
        .int(width(b))?
        .int(usize::from(pairs))?;
    let tiles = m.div_ceil(TILE) * n.div_ceil(TILE);
    let how = Launch::linear(blocks(tiles)?, TILE_THREADS, TILE_SHARED);
    // SAFETY: the arguments are those of kernels/margin/row_products.cu; the engine checked that the
    // buffers are this card's and of the shapes and types of `Op::infer`; `width` and `pairs` promise no
    // more than addresses and lines hold.
    unsafe {
        call.card
            .launch(products_kernel(a.desc.dtype), &how, args, call.stream)
    }
}

/// Queues a margin's logits or its loss, behind the running mean where it has one.
fn head(call: &Call<'_>, margin: &Margin) -> Result<()> {
    let [cosines, labels] = [call.ins[0], call.ins[1]];
    let (rows, columns) = cosines.desc.matrix(call.op.name())?;
    let loss = matches!(call.op, Op::MarginLoss(_));
    if cosines.desc.is_empty() {
        return nothing(call, margin, loss);
    }
    let base = || {
        Args::default()
            .address(cosines.address())
            .address(labels.address())
    };
    let mean = match margin.runs() {
        true => call.outs[1].address(),
        false => 0,
    };
    let one = Launch::linear(1, THREADS, 0);
    if margin.runs() {
        let args = base()
            .address(call.ins[2].address())
            .address(mean)
            .int(rows)?
            .int(columns)?;
        // SAFETY: the arguments are those of margin_mean in kernels/margin/margin.cu; the engine checked
        // that the buffers are this card's and of the shapes and types of `Op::infer`.
        unsafe {
            call.card
                .launch(kernel("margin_mean"), &one, args, call.stream)
        }?;
    }
    let m = f64::from(margin.margin.get());
    let how = |args: Args| {
        let number = match margin.kind {
            MarginKind::Arc => 0,
            MarginKind::Cos => 1,
            MarginKind::Curricular => 2,
        };
        let args = args.int(columns)?.int(number)?.float(m as f32);
        Ok::<_, Error>(
            args.float(m.cos() as f32)
                .float(m.sin() as f32)
                .float(margin.scale.get()),
        )
    };
    let grid = Launch {
        grid: [blocks(rows)?, blocks(columns.div_ceil(COLUMNS))?, 1],
        ..Launch::linear(1, THREADS, 0)
    };
    let to = match loss {
        true => call.scratch,
        false => call.outs[0].address(),
    };
    let each = kernel(if loss {
        "margin_parts"
    } else {
        "margin_logits"
    });
    let args = how(base().address(mean).address(to))?;
    // SAFETY: as above, for margin_parts, whose parts fit the scratch memory of `workspace` bytes, or
    // margin_logits; the mean was written before on this stream.
    unsafe { call.card.launch(each, &grid, args, call.stream) }?;
    if !loss {
        return Ok(());
    }
    let args = base()
        .address(mean)
        .address(call.scratch)
        .address(call.outs[0].address())
        .int(rows)?;
    // SAFETY: as above, for margin_loss.
    unsafe {
        call.card
            .launch(kernel("margin_loss"), &one, how(args)?, call.stream)
    }
}

/// No row has a class: the loss of nothing is 0, and a running mean stays, as the naive twin has it.
fn nothing(call: &Call<'_>, margin: &Margin, loss: bool) -> Result<()> {
    if loss {
        let zero = 0f32.to_ne_bytes();
        call.card.upload(&zero, call.outs[0], call.stream)?;
    }
    if margin.runs() {
        let mut before = [0; 4];
        call.card.download(call.ins[2], &mut before, call.stream)?;
        call.card.upload(&before, call.outs[1], call.stream)?;
    }
    Ok(())
}
