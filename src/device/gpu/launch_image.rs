//! Operations on images but for convolutions: `kernels/pool/` and `kernels/gate/`.

use super::driver::{CardInfo, Kernel, Launch};
use super::launch::{Args, Call, Family, blocks, by_type};
use super::launch_gemm::number;
use crate::device::desc::{Buf, DType, Desc};
use crate::device::op::{Act, Op, PoolKind, Scalar, Window};
use crate::error::{Error, Result};

/// Pools, gates, what joins and what scales.
pub(super) struct Images;

impl Family for Images {
    fn kernels(
        &self,
        op: &Op,
        ins: &[Desc],
        _card: &CardInfo,
        _has: &dyn Fn(Kernel) -> bool,
    ) -> Option<Vec<Kernel>> {
        let dtype = ins[0].dtype;
        let first = kernel(op, dtype)?;
        Some(match op {
            Op::GlobalAverage | Op::GlobalGem { .. } => vec![first, finish_kernel(dtype)],
            _ => vec![first],
        })
    }

    fn workspace(&self, op: &Op, ins: &[Desc], card: &CardInfo) -> usize {
        match (op, &ins[0].dims[..]) {
            (Op::GlobalAverage | Op::GlobalGem { .. }, &[n, h, w, c]) => {
                n * c * parts(n, h * w, c, card.multiprocessors) * 4
            }
            _ => 0,
        }
    }

    fn run(&self, call: &Call<'_>) -> Result<()> {
        if call.outs[0].desc.is_empty() {
            return Ok(());
        }
        match *call.op {
            Op::Pool { window, .. } => pool(call, &window),
            Op::GlobalAverage => global(call, None),
            Op::GlobalGem { eps } => global(call, Some(eps)),
            Op::Gate => gated(call, true, false, false, Act::None, 1.0),
            Op::Gated {
                factor,
                residual,
                act,
            } => gated(call, true, factor, residual, act, 1.0),
            Op::Multiply(by) => gated(call, false, false, false, Act::None, by.get()),
            Op::Gain => gated(call, false, true, false, Act::None, 1.0),
            Op::Flatten => gated(call, false, false, false, Act::None, 1.0),
            Op::Concat => affine(call, call.ins, None, Act::None),
            Op::Affine { act } => {
                let (parts, vectors) = call.ins.split_at(call.ins.len() - 2);
                affine(call, parts, Some([vectors[0], vectors[1]]), act)
            }
            Op::BatchNorm { eps } => batch_norm(call, eps),
            Op::ChannelConv => channel_conv(call),
            Op::Standardize { eps, scale } => standardize(call, eps, scale),
            _ => Err(Error::internal("has no kernel").op(call.op.name())),
        }
    }
}

const THREADS: usize = 256;
/// Channels of a strip and pixels of a step of `kernels/pool/global.cu`.
const STRIP: usize = 32;
const LINES: usize = 8;
/// Matrices that one launch of `affine` takes.
const PARTS: usize = 8;

fn kernel(op: &Op, dtype: DType) -> Option<Kernel> {
    let (family, symbol) = match op {
        Op::Pool {
            kind: PoolKind::Max,
            ..
        } => ("pool", by_type!(dtype, "max_pool")),
        Op::Pool { .. } => ("pool", by_type!(dtype, "average_pool")),
        Op::GlobalAverage => ("pool", by_type!(dtype, "global_average")),
        Op::GlobalGem { .. } => ("pool", by_type!(dtype, "global_gem")),
        Op::Gate | Op::Gated { .. } | Op::Multiply(_) | Op::Gain | Op::Flatten => {
            ("gate", by_type!(dtype, "gated"))
        }
        Op::Concat | Op::Affine { .. } => ("gate", by_type!(dtype, "affine")),
        Op::BatchNorm { .. } => ("gate", by_type!(dtype, "batch_norm")),
        Op::ChannelConv => ("gate", by_type!(dtype, "channel_conv")),
        Op::Standardize { .. } => ("gate", by_type!(dtype, "standardize")),
        _ => return None,
    };
    Some(Kernel { family, symbol })
}

/// The kernel that ends a sum over pixels.
pub(super) fn finish_kernel(dtype: DType) -> Kernel {
    Kernel {
        family: "pool",
        symbol: by_type!(dtype, "global_finish"),
    }
}

fn known(call: &Call<'_>) -> Result<Kernel> {
    kernel(call.op, call.descs[0].dtype)
        .ok_or_else(|| Error::internal("has no kernel").op(call.op.name()))
}

/// Elements in 16 bytes.
fn vector(desc: &Desc) -> usize {
    16 / desc.dtype.size()
}

fn aligned(buf: &Buf) -> bool {
    buf.address().is_multiple_of(16)
}

/// Threads for `count` elements, one vector each, up to some waves of blocks.
fn linear(call: &Call<'_>, count: usize) -> Result<Launch> {
    let most = call.card.driver.info().multiprocessors as usize * 16;
    let each = THREADS * vector(&call.outs[0].desc);
    let grid = count.div_ceil(each).clamp(1, most.max(1));
    Ok(Launch::linear(blocks(grid)?, THREADS as u32, 0))
}

/// Images, pixels of each, and channels.
fn sizes(desc: &Desc) -> [usize; 3] {
    match desc.dims[..] {
        [n, h, w, c] => [n, h * w, c],
        _ => [1, 1, desc.len()],
    }
}

fn pool(call: &Call<'_>, window: &Window) -> Result<()> {
    let (x, out) = (call.ins[0], call.outs[0]);
    let (from, to) = (&x.desc.dims, &out.desc.dims);
    let whole = aligned(x) && aligned(out) && from[3].is_multiple_of(vector(&x.desc));
    let frame = [
        from[1],
        from[2],
        from[3],
        to[1],
        to[2],
        window.kernel[0],
        window.kernel[1],
        window.stride[0],
        window.stride[1],
        window.pad[0],
        window.pad[1],
    ];
    let args = Args::default()
        .address(x.address())
        .address(out.address())
        .int(from[0])?
        .ints(&frame)?
        .int(usize::from(whole))?;
    let how = linear(call, out.desc.len())?;
    // SAFETY: the arguments are those of kernels/pool/pool.cu, in order; the engine checked buffers, types
    // and shapes; padding is less than the window, so that every window holds a pixel; `whole` promises no
    // more than addresses and channels hold.
    unsafe { call.card.launch(known(call)?, &how, args, call.stream) }
}

/// How many parts the pixels of an image are cut into: some waves of blocks, and no part without a few
/// steps of pixels.
fn parts(images: usize, pixels: usize, channels: usize, multiprocessors: u32) -> usize {
    let strips = (channels.div_ceil(STRIP) * images).max(1);
    let wanted = (multiprocessors as usize * 8).div_ceil(strips);
    wanted.min(pixels.div_ceil(LINES * 8)).clamp(1, 1024)
}

/// The mean over the pixels, or the generalised mean of values from `least` on.
fn global(call: &Call<'_>, least: Option<Scalar>) -> Result<()> {
    let [n, pixels, c] = sizes(&call.ins[0].desc);
    let parts = parts(n, pixels, c, call.card.driver.info().multiprocessors);
    let mut args = Args::default()
        .address(call.ins[0].address())
        .address(call.scratch)
        .int(pixels)?
        .int(c)?;
    if let Some(least) = least {
        args = args.address(call.ins[1].address()).float(least.get());
    }
    let images = u32::try_from(n).ok().filter(|&n| n <= 65_535);
    let many = || Error::limit(format!("{n} images are too many")).op(call.op.name());
    let how = Launch {
        grid: [
            blocks(c.div_ceil(STRIP))?,
            parts as u32,
            images.ok_or_else(many)?,
        ],
        block: [STRIP as u32, LINES as u32, 1],
        shared: STRIP * LINES * 4,
        cluster: [1, 1, 1],
    };
    // SAFETY: the arguments are those of the sums of kernels/pool/global.cu, in order; the engine checked
    // buffers, types and shapes, and that the scratch memory has images x parts x c f32.
    unsafe { call.card.launch(known(call)?, &how, args, call.stream) }?;
    let power = least.map(|_| call.ins[1]);
    finish(
        call,
        call.scratch,
        call.outs[0],
        power,
        [n, c, parts, pixels],
    )
}

/// Queues the end of a sum over pixels: `partial` holds images x parts x c f32.
pub(super) fn finish(
    call: &Call<'_>,
    partial: u64,
    out: &Buf,
    power: Option<&Buf>,
    [images, c, parts, pixels]: [usize; 4],
) -> Result<()> {
    let args = Args::default()
        .address(partial)
        .address(out.address())
        .address(power.map_or(0, Buf::address))
        .int(images)?
        .int(c)?
        .int(parts)?
        .int(pixels)?;
    let how = Launch::linear(blocks((images * c).div_ceil(THREADS))?, THREADS as u32, 0);
    // SAFETY: the arguments are those of global_finish in kernels/pool/global.cu, in order; callers give
    // the sums that they have just queued, and `out` has images x c elements.
    unsafe {
        call.card
            .launch(finish_kernel(out.desc.dtype), &how, args, call.stream)
    }
}

/// `act(x * gate * factor * constant + residual)`, of the inputs those that there are.
fn gated(
    call: &Call<'_>,
    gate: bool,
    factor: bool,
    residual: bool,
    act: Act,
    constant: f32,
) -> Result<()> {
    let (x, out) = (call.ins[0], call.outs[0]);
    let mut rest = call.ins[1..].iter().copied();
    let mut take = |present: bool| if present { rest.next() } else { None };
    let (gate, factor, residual) = (take(gate), take(factor), take(residual));
    let [_, pixels, c] = sizes(&x.desc);
    let shaped = [Some(x), Some(out), gate, residual];
    let whole = shaped.into_iter().flatten().all(aligned) && c.is_multiple_of(vector(&x.desc));
    let address = |buf: Option<&Buf>| buf.map_or(0, Buf::address);
    let args = Args::default()
        .address(x.address())
        .address(out.address())
        .address(address(gate))
        .address(address(factor))
        .address(address(residual))
        .float(constant)
        .long(out.desc.len())
        .long(pixels * c)
        .int(c)?
        .int(number(act))?
        .int(usize::from(whole))?;
    let how = linear(call, out.desc.len())?;
    // SAFETY: the arguments are those of kernels/gate/gated.cu, in order; the engine checked buffers, types
    // and shapes; `whole` promises no more than addresses and channels hold.
    unsafe { call.card.launch(known(call)?, &how, args, call.stream) }
}

/// Matrices side by side, scaled and shifted; 8 of them a launch.
fn affine(call: &Call<'_>, parts: &[&Buf], vectors: Option<[&Buf; 2]>, act: Act) -> Result<()> {
    let out = call.outs[0];
    let width = |buf: &Buf| buf.desc.dims.last().copied().unwrap_or(1);
    let columns = width(out);
    let rows = out.desc.len() / columns;
    let [scale, bias] = vectors.map_or([0; 2], |v| v.map(Buf::address));
    let mut first = 0;
    for some in parts.chunks(PARTS) {
        let mut end = 0;
        let mut ends: Vec<usize> = Vec::with_capacity(PARTS);
        for part in some {
            end += width(part);
            ends.push(end);
        }
        ends.resize(PARTS, end);
        let whole = some.iter().all(|b| aligned(b))
            && aligned(out)
            && ends
                .iter()
                .chain([&first, &columns])
                .all(|n| n.is_multiple_of(vector(&out.desc)));
        let mut args = Args::default();
        for i in 0..PARTS {
            args = args.address(some.get(i).map_or(0, |b| b.address()));
        }
        let args = args
            .ints(&ends)?
            .address(scale)
            .address(bias)
            .address(out.address())
            .int(rows)?
            .int(first)?
            .int(columns)?
            .int(number(act))?
            .int(usize::from(whole))?;
        first += end;
        if end == 0 {
            continue;
        }
        let how = linear(call, rows * end)?;
        // SAFETY: the arguments are those of `affine` in kernels/gate/affine.cu, in order; the engine
        // checked buffers, types and shapes; `whole` promises no more than addresses and columns hold.
        unsafe { call.card.launch(known(call)?, &how, args, call.stream) }?;
    }
    Ok(())
}

fn batch_norm(call: &Call<'_>, eps: Scalar) -> Result<()> {
    let out = call.outs[0];
    let mut args = Args::default();
    for buf in call.ins.iter().chain([&out]) {
        args = args.address(buf.address());
    }
    let columns = out.desc.dims.last().copied().unwrap_or(1);
    let args = args.long(out.desc.len()).int(columns)?.float(eps.get());
    let how = linear(call, out.desc.len())?;
    // SAFETY: the arguments are those of batch_norm in kernels/gate/affine.cu, in order; the engine checked
    // buffers, types and shapes.
    unsafe { call.card.launch(known(call)?, &how, args, call.stream) }
}

fn channel_conv(call: &Call<'_>) -> Result<()> {
    let [_, _, c] = sizes(&call.ins[0].desc);
    let args = Args::default()
        .address(call.ins[0].address())
        .address(call.ins[1].address())
        .address(call.outs[0].address())
        .long(call.outs[0].desc.len())
        .int(c)?
        .int(call.ins[1].desc.len())?;
    let how = linear(call, call.outs[0].desc.len())?;
    // SAFETY: the arguments are those of channel_conv in kernels/gate/channels.cu, in order; the engine
    // checked buffers, types and shapes.
    unsafe { call.card.launch(known(call)?, &how, args, call.stream) }
}

fn standardize(call: &Call<'_>, eps: Scalar, scale: Scalar) -> Result<()> {
    let filters = call.ins[1].desc.len();
    let args = Args::default()
        .address(call.ins[0].address())
        .address(call.ins[1].address())
        .address(call.outs[0].address())
        .int(call.outs[0].desc.len() / filters)?
        .float(eps.get())
        .float(scale.get());
    let how = Launch::linear(blocks(filters)?, THREADS as u32, 32);
    // SAFETY: the arguments are those of standardize in kernels/gate/channels.cu, in order; the engine
    // checked buffers, types and shapes: as many filters as gains, of one depth.
    unsafe { call.card.launch(known(call)?, &how, args, call.stream) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_are_cut_as_the_card_wants_and_no_finer() {
        assert_eq!(parts(16, 49, 2048, 132), 1);
        assert_eq!(parts(1, 256 * 256, 32, 132), 1024);
        assert_eq!(parts(16, 256 * 256, 96, 132), 22);
        assert_eq!(parts(1, 1, 1, 132), 1);
    }
}
