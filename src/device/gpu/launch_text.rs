//! Operations on sequences: `kernels/attention/`, `kernels/embedding/` and `kernels/norm/layer_norm.cu`.

use super::driver::{CardInfo, Kernel, Launch};
use super::launch::{Args, Call, Family, blocks, by_type};
use crate::device::desc::{Buf, DType, Desc};
use crate::device::op::Op;
use crate::error::{Error, Result};

/// Lookups, embeddings, layer norms, attention and means over sequences.
///
/// Rows and offsets are on the card, where nothing looks at them before: a row that a table does not
/// have gives NaN, as do means over offsets that do not rise over the rows; attention leaves rows of no
/// sequence unwritten or NaN, and rows of two sequences are either's. Nothing is read or written outside
/// the buffers.
pub(super) struct Text;

/// Threads of a block where a warp takes a row.
const THREADS: usize = 256;
/// Warps of a block, and rows of a warp, of `mma_attention.h`.
const ATTENTION_WARPS: usize = 4;
const ATTENTION_TILE: usize = 16;
/// Tables of `embed.cu`.
const TABLES: usize = 4;
/// Columns that `norm/row.h` holds in registers.
const LONGEST_ROW: usize = 1024;
/// What a launch's grid may have in y.
const MAX_GRID_Y: usize = 65_535;

impl Family for Text {
    fn kernels(
        &self,
        op: &Op,
        ins: &[Desc],
        _card: &CardInfo,
        _has: &dyn Fn(Kernel) -> bool,
    ) -> Option<Vec<Kernel>> {
        let dtype = ins[0].dtype;
        let one = |family, symbol| Some(vec![kernel(family, symbol)]);
        match *op {
            Op::Lookup => one("embedding", by_type!(dtype, "lookup")),
            Op::Embed { tables, .. } if tables <= TABLES => {
                one("embedding", by_type!(dtype, "embed"))
            }
            Op::LayerNorm { .. } => one("norm", by_type!(dtype, "layer_norm")),
            Op::SegmentMean => one("attention", by_type!(dtype, "segment_mean")),
            Op::Attention { heads, .. } if heads <= MAX_GRID_Y => {
                let width = ins[0].dims[1] / heads;
                let both = [true, false].map(|whole| attention_kernel(dtype, width, whole));
                Some(both.to_vec())
            }
            _ => None,
        }
    }

    fn run(&self, call: &Call<'_>) -> Result<()> {
        if call.outs[0].desc.is_empty() {
            return Ok(());
        }
        match *call.op {
            Op::Lookup => lookup(call),
            Op::Embed { tables, eps } => embed(call, tables, eps.get()),
            Op::LayerNorm { eps } => layer_norm(call, eps.get()),
            Op::SegmentMean => segment_mean(call),
            Op::Attention { heads, scale } => attention(call, heads, scale.get()),
            _ => Err(Error::internal("has no kernel").op(call.op.name())),
        }
    }
}

fn kernel(family: &'static str, symbol: &'static str) -> Kernel {
    Kernel { family, symbol }
}

/// The kernel of attention by heads of `width` columns, `whole` where all of it is aligned.
fn attention_kernel(dtype: DType, width: usize, whole: bool) -> Kernel {
    let symbol = match (dtype, width) {
        (DType::F16, 32) if whole => "attention_f16_32",
        (DType::F16, 64) if whole => "attention_f16_64",
        (DType::F16, 0..=32) => "attention_f16_32_any",
        (DType::F16, 33..=64) => "attention_f16_64_any",
        (DType::F16, _) => "attention_rows_f16",
        (DType::BF16, 32) if whole => "attention_bf16_32",
        (DType::BF16, 64) if whole => "attention_bf16_64",
        (DType::BF16, 0..=32) => "attention_bf16_32_any",
        (DType::BF16, 33..=64) => "attention_bf16_64_any",
        (DType::BF16, _) => "attention_rows_bf16",
        (DType::F32 | DType::U32, _) => "attention_rows_f32",
    };
    kernel("attention", symbol)
}

/// Whether all floats of a call may move 16 bytes at a time, and rows are whole vectors.
fn whole(call: &Call<'_>, columns: usize) -> bool {
    let floats = call.ins.iter().chain(call.outs);
    let mut floats = floats.filter(|buf| buf.desc.dtype != DType::U32);
    let vector = 16 / call.descs[0].dtype.size();
    columns.is_multiple_of(vector) && floats.all(|buf| buf.address().is_multiple_of(16))
}

/// A warp for each of `rows`.
fn warps(rows: usize) -> Result<Launch> {
    Ok(Launch::linear(
        blocks(rows.div_ceil(THREADS / 32))?,
        THREADS as u32,
        0,
    ))
}

/// The kernel of `call`, which has one.
fn only(call: &Call<'_>) -> Result<Kernel> {
    let kernels = Text.kernels(call.op, call.descs, call.card.driver.info(), &|_| true);
    let first = kernels.and_then(|kernels| kernels.first().copied());
    first.ok_or_else(|| Error::internal("has no kernel").op(call.op.name()))
}

fn lookup(call: &Call<'_>) -> Result<()> {
    let [table, rows] = [call.ins[0], call.ins[1]];
    let (size, n) = table.desc.matrix("lookup")?;
    let m = rows.desc.len();
    let args = Args::default()
        .address(table.address())
        .address(rows.address())
        .address(call.outs[0].address())
        .int(size)?
        .int(m)?
        .int(n)?
        .int(usize::from(whole(call, n)))?;
    // SAFETY: the arguments are those of kernels/embedding/lookup.cu; the engine checked that the buffers
    // are this card's and of the shapes and types of `Op::infer`; `whole` promises what addresses hold.
    unsafe { call.card.launch(only(call)?, &warps(m)?, args, call.stream) }
}

fn embed(call: &Call<'_>, tables: usize, eps: f32) -> Result<()> {
    let (from, vectors) = call.ins.split_at(2 * tables);
    let (table, rows) = from.split_at(tables);
    let (m, n) = call.outs[0].desc.matrix("embed")?;
    let at = |bufs: &[&Buf], t: usize| bufs.get(t).map_or(0, |buf| buf.address());
    let mut args = Args::default();
    for which in [table, rows] {
        for t in 0..TABLES {
            args = args.address(at(which, t));
        }
    }
    for t in 0..TABLES {
        args = args.int(table.get(t).map_or(0, |buf| buf.desc.dims[0]))?;
    }
    let args = args
        .address(vectors[0].address())
        .address(vectors[1].address())
        .address(call.outs[0].address())
        .int(tables)?
        .int(m)?
        .int(n)?
        .float(eps)
        .int(usize::from(n <= LONGEST_ROW && whole(call, n)))?;
    // SAFETY: the arguments are those of kernels/embedding/embed.cu, null where there is no table; the
    // engine checked that the buffers are this card's and of the shapes and types of `Op::infer`; `whole`
    // promises what addresses and columns hold.
    unsafe { call.card.launch(only(call)?, &warps(m)?, args, call.stream) }
}

fn layer_norm(call: &Call<'_>, eps: f32) -> Result<()> {
    let (rows, n) = call.outs[0].desc.matrix("layer_norm")?;
    let mut args = Args::default();
    for buf in call.ins.iter().chain(call.outs) {
        args = args.address(buf.address());
    }
    let args = args
        .int(rows)?
        .int(n)?
        .float(eps)
        .int(usize::from(n <= LONGEST_ROW && whole(call, n)))?;
    // SAFETY: the arguments are those of kernels/norm/layer_norm.cu; the rest as for `embed`.
    unsafe {
        call.card
            .launch(only(call)?, &warps(rows)?, args, call.stream)
    }
}

fn segment_mean(call: &Call<'_>) -> Result<()> {
    let (rows, columns) = call.ins[0].desc.matrix("segment_mean")?;
    let whole = whole(call, columns);
    let each = match whole {
        true => 16 / call.descs[0].dtype.size(),
        false => 1,
    };
    let threads = columns.div_ceil(each);
    let block = threads.next_multiple_of(32).min(THREADS);
    let args = Args::default()
        .address(call.ins[0].address())
        .address(call.ins[1].address())
        .address(call.outs[0].address())
        .int(rows)?
        .int(columns)?
        .int(usize::from(whole))?;
    let how = Launch {
        grid: [
            blocks(call.outs[0].desc.dims[0])?,
            across(threads.div_ceil(block))?,
            1,
        ],
        block: [block as u32, 1, 1],
        shared: 0,
        cluster: [1, 1, 1],
    };
    // SAFETY: the arguments are those of kernels/attention/segment_mean.cu; the rest as for `embed`.
    unsafe { call.card.launch(only(call)?, &how, args, call.stream) }
}

fn attention(call: &Call<'_>, heads: usize, scale: f32) -> Result<()> {
    let (rows, columns) = call.ins[0].desc.matrix("attention")?;
    let sequences = call.ins[3].desc.len() - 1;
    if sequences == 0 {
        let message = format!("{rows} rows are of no sequence");
        return Err(Error::input(message).op("attention"));
    }
    let width = columns / heads;
    let kernel = attention_kernel(call.descs[0].dtype, width, whole(call, width));
    let tiles = |rows: usize| (rows / ATTENTION_TILE + sequences).div_ceil(ATTENTION_WARPS);
    let (grid, block) = match kernel.symbol {
        "attention_rows_f16" | "attention_rows_bf16" | "attention_rows_f32" => {
            (rows.div_ceil(THREADS / 32), THREADS)
        }
        _ => (tiles(rows), ATTENTION_WARPS * 32),
    };
    let args = Args::default()
        .address(call.ins[0].address())
        .address(call.ins[1].address())
        .address(call.ins[2].address())
        .address(call.outs[0].address())
        .address(call.ins[3].address())
        .int(sequences)?
        .int(rows)?
        .int(columns)?
        .int(width)?
        .float(scale);
    let how = Launch {
        grid: [blocks(grid)?, across(heads)?, 1],
        block: [block as u32, 1, 1],
        shared: 0,
        cluster: [1, 1, 1],
    };
    // SAFETY: the arguments are those of kernels/attention/mma_attention.h and attention_rows.cu; the
    // rest as for `embed`, a head's columns being whole vectors too.
    unsafe { call.card.launch(kernel, &how, args, call.stream) }
}

/// A number of blocks in y.
fn across(count: usize) -> Result<u32> {
    match u32::try_from(count) {
        Ok(n) if count <= MAX_GRID_Y => Ok(n),
        _ => Err(Error::limit(format!("{count} blocks in y are too many")).op("launch")),
    }
}
