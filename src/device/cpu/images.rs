//! The catalogue's operations on f32 values in host memory, each handed to its kernel, image by image.

use super::conv;
use super::depthwise;
use super::host::{f32s, f32s_mut, whole};
use super::kernel::Kernel;
use super::pointwise;
use super::pool::{self, PoolShape};
use super::shape::{ConvShape, Tail};
use crate::device::desc::{Buf, DType, Desc};
use crate::device::op::{Act, Epilogue, Op, PoolKind, Window};
use crate::error::{Error, Result};

/// Whether the kernels here run `op`: on f32 alone.
pub(super) fn runs(op: &Op, ins: &[&Buf]) -> bool {
    let known = match *op {
        Op::Gemm {
            trans_a, trans_b, ..
        } => !trans_a && trans_b && ins[1].is_packed(),
        Op::Conv { .. }
        | Op::Activation(_)
        | Op::Add
        | Op::Scale
        | Op::Bias
        | Op::BatchNorm { .. }
        | Op::Affine { .. }
        | Op::Concat
        | Op::Gate
        | Op::Gated { .. }
        | Op::Pool { .. }
        | Op::GlobalAverage
        | Op::GlobalGem { .. }
        | Op::ChannelConv
        | Op::Multiply(_)
        | Op::Gain
        | Op::Flatten => true,
        _ => false,
    };
    known && ins.iter().all(|b| b.desc.dtype == DType::F32)
}

/// The convolution that `op` is on one image, where it is one with weights of its own layout.
fn shape(op: &Op, ins: &[Desc]) -> Option<ConvShape> {
    match *op {
        Op::Conv { window, groups, .. } => conv_shape(&window, groups, &ins[0], &ins[1]),
        Op::Gemm {
            trans_a: false,
            trans_b: true,
            ..
        } => {
            let (a, b) = (&ins[0].dims, &ins[1].dims);
            Some(ConvShape::product(a[0], a[1], b[0]))
        }
        _ => None,
    }
}

fn conv_shape(window: &Window, groups: usize, x: &Desc, filters: &Desc) -> Option<ConvShape> {
    let (out_height, out_width) = window.out("conv", x.dims[1], x.dims[2]).ok()?;
    Some(ConvShape {
        height: x.dims[1],
        width: x.dims[2],
        channels: x.dims[3],
        out_height,
        out_width,
        filters: filters.dims[0],
        kernel: window.kernel,
        stride: window.stride,
        pad: [window.pad[0], window.pad[1]],
        groups,
    })
}

/// Floats of the packed weights of a convolution: the one place, with [`pack`] and [`convolve`], that
/// a layout for other units (bf16 tiles) has to be told in.
fn packed_len(kernel: Kernel, shape: &ConvShape) -> usize {
    match shape.is_depthwise() {
        true => depthwise::packed_len(shape),
        false => conv::packed_len(kernel, shape),
    }
}

/// Bytes of weight `at` of `op` in the kernels' layout.
pub(super) fn packed(kernel: Kernel, op: &Op, ins: &[Desc], at: usize) -> Option<usize> {
    let single = at == 1 && ins.iter().all(|d| d.dtype == DType::F32);
    let shape = shape(op, ins).filter(|_| single)?;
    Some(4 * packed_len(kernel, &shape))
}

/// Fills `to` with the filters that `row` writes.
pub(super) fn pack(
    kernel: Kernel,
    op: &Op,
    ins: &[Desc],
    row: &mut dyn FnMut(usize, &mut [f32]) -> Result<()>,
    to: &Buf,
) -> Result<()> {
    let shape = shape(op, ins).ok_or_else(|| Error::unsupported("has no layout").op(op.name()))?;
    let len = packed_len(kernel, &shape);
    // SAFETY: the buffer is new: nobody else reads or writes it.
    let all = unsafe { whole(to) }?;
    let room = all.len();
    let packed = all
        .get_mut(..len)
        .ok_or_else(|| Error::shape("pack", &[len], &[room]))?;
    match shape.is_depthwise() {
        true => depthwise::pack(&shape, row, packed),
        false => conv::pack(kernel, &shape, row, packed),
    }
}

/// Runs an operation that [`runs`] says yes to; its inputs and outputs were checked.
pub(super) fn run(kernel: Kernel, op: &Op, ins: &[&Buf], out: &Buf) -> Result<()> {
    // SAFETY: callers order the calls that share a buffer, as `Device` asks, and `check` found the
    // output apart from every input.
    let y = unsafe { f32s_mut(out) }?;
    let read = |i: usize| {
        // SAFETY: as above.
        unsafe { f32s(ins[i]) }
    };
    let columns = out.desc.dims.last().copied().unwrap_or(1);
    if y.is_empty() {
        return Ok(());
    }
    match *op {
        Op::Gemm { epilogue, .. } => convolve(kernel, op, ins, None, &epilogue, y)?,
        Op::Conv { gate, epilogue, .. } => {
            let gate = if gate { Some(read(2)?) } else { None };
            convolve(kernel, op, ins, gate, &epilogue, y)?;
        }
        Op::Activation(act) => pointwise::activation(kernel, act, read(0)?, y),
        Op::Add => pointwise::add(kernel, read(0)?, read(1)?, Act::None, y),
        Op::Scale => {
            let zeros = vec![0.0; columns];
            pointwise::scale_bias(kernel, read(0)?, read(1)?, &zeros, Act::None, y);
        }
        Op::Bias => {
            let ones = vec![1.0; columns];
            pointwise::scale_bias(kernel, read(0)?, &ones, read(1)?, Act::None, y);
        }
        Op::BatchNorm { eps } => {
            let (gamma, beta, mean, variance) = (read(1)?, read(2)?, read(3)?, read(4)?);
            let by = |i: usize| f64::from(gamma[i]) / f64::from(variance[i] + eps.get()).sqrt();
            let scale: Vec<f32> = (0..columns).map(|i| by(i) as f32).collect();
            let add = |i: usize| f64::from(beta[i]) - f64::from(mean[i]) * by(i);
            let bias: Vec<f32> = (0..columns).map(|i| add(i) as f32).collect();
            pointwise::scale_bias(kernel, read(0)?, &scale, &bias, Act::None, y);
        }
        Op::Affine { act } => {
            let last = ins.len() - 2;
            let parts = parts(&ins[..last])?;
            pointwise::affine(kernel, &parts, read(last)?, read(last + 1)?, act, y);
        }
        Op::Concat => pointwise::concat(&parts(ins)?, y),
        Op::Gate => gated(kernel, ins, None, None, Act::None, y)?,
        Op::Gated {
            factor,
            residual,
            act,
        } => {
            let by = if factor { Some(read(2)?[0]) } else { None };
            let residual = match residual {
                true => Some(read(2 + usize::from(factor))?),
                false => None,
            };
            gated(kernel, ins, by, residual, act, y)?;
        }
        Op::Multiply(by) => multiply(kernel, read(0)?, by.get(), columns, y),
        Op::Gain => multiply(kernel, read(0)?, read(1)?[0], columns, y),
        Op::Flatten => y.copy_from_slice(read(0)?),
        _ => pools(kernel, op, ins, out, y)?,
    }
    Ok(())
}

fn convolve(
    kernel: Kernel,
    op: &Op,
    ins: &[&Buf],
    gate: Option<&[f32]>,
    epilogue: &Epilogue,
    y: &mut [f32],
) -> Result<()> {
    let descs: Vec<Desc> = ins.iter().map(|b| b.desc.clone()).collect();
    let shape =
        shape(op, &descs).ok_or_else(|| Error::internal("not a convolution").op(op.name()))?;
    // SAFETY: callers order the calls that share a buffer, as `Device` asks.
    let read = |i: usize| unsafe { f32s(ins[i]) };
    let x = read(0)?;
    let mut own = Vec::new();
    let packed = match ins[1].is_packed() {
        // SAFETY: as above; nobody writes packed weights.
        true => &unsafe { whole(ins[1]) }?[..packed_len(kernel, &shape)],
        false => {
            let (filters, depth) = (read(1)?, shape.depth());
            own.resize(packed_len(kernel, &shape), 0.0);
            let mut row = |i: usize, out: &mut [f32]| {
                out.copy_from_slice(&filters[i * depth..(i + 1) * depth]);
                Ok(())
            };
            match shape.is_depthwise() {
                true => depthwise::pack(&shape, &mut row, &mut own)?,
                false => conv::pack(kernel, &shape, &mut row, &mut own)?,
            }
            &own[..]
        }
    };
    let mut next = 2 + usize::from(gate.is_some());
    let mut extra = |present: bool| -> Result<Option<&[f32]>> {
        let at = next;
        next += usize::from(present);
        if present {
            read(at).map(Some)
        } else {
            Ok(None)
        }
    };
    let (scale, bias) = (extra(epilogue.scale)?, extra(epilogue.bias)?);
    let residual = extra(epilogue.residual)?;
    let size = shape.height * shape.width * shape.channels;
    let to = shape.out_height * shape.out_width * shape.filters;
    for (n, y) in y.chunks_exact_mut(to).enumerate() {
        let x = &x[n * size..(n + 1) * size];
        let tail = Tail {
            scale,
            bias,
            residual: residual.map(|r| &r[n * to..(n + 1) * to]),
            act: epilogue.act,
        };
        if shape.is_depthwise() {
            depthwise::depthwise(kernel, &shape, x, packed, &tail, y, None);
        } else {
            let gate = gate.map(|g| &g[n * shape.channels..(n + 1) * shape.channels]);
            conv::conv(kernel, &shape, x, packed, gate, &tail, y);
        }
    }
    Ok(())
}

/// Values side by side, with their columns.
fn parts<'a>(ins: &[&'a Buf]) -> Result<Vec<(&'a [f32], usize)>> {
    let one = |b: &&'a Buf| {
        // SAFETY: callers order the calls that share a buffer, as `Device` asks.
        let values = unsafe { f32s(b) }?;
        Ok((values, b.desc.dims.last().copied().unwrap_or(1)))
    };
    ins.iter().map(one).collect()
}

fn gated(
    kernel: Kernel,
    ins: &[&Buf],
    factor: Option<f32>,
    residual: Option<&[f32]>,
    act: Act,
    y: &mut [f32],
) -> Result<()> {
    // SAFETY: callers order the calls that share a buffer, as `Device` asks.
    let (x, gates) = unsafe { (f32s(ins[0])?, f32s(ins[1])?) };
    let (n, channels) = (ins[0].desc.dims[0], ins[0].desc.dims[3]);
    let size = y.len() / n.max(1);
    for (i, y) in y.chunks_exact_mut(size.max(1)).enumerate() {
        let gate = &gates[i * channels..(i + 1) * channels];
        let (x, residual) = (
            &x[i * size..(i + 1) * size],
            residual.map(|r| &r[i * size..(i + 1) * size]),
        );
        pointwise::gated(
            kernel,
            channels,
            x,
            gate,
            factor.unwrap_or(1.0),
            residual,
            act,
            y,
        );
    }
    Ok(())
}

fn multiply(kernel: Kernel, x: &[f32], by: f32, columns: usize, y: &mut [f32]) {
    let (scale, zeros) = (vec![by; columns], vec![0.0; columns]);
    pointwise::scale_bias(kernel, x, &scale, &zeros, Act::None, y);
}

/// Pools, and the convolution along channels.
fn pools(kernel: Kernel, op: &Op, ins: &[&Buf], out: &Buf, y: &mut [f32]) -> Result<()> {
    // SAFETY: callers order the calls that share a buffer, as `Device` asks.
    let read = |i: usize| unsafe { f32s(ins[i]) };
    let x = read(0)?;
    let [n, height, width, channels] = ins[0].desc.dims[..] else {
        return Err(Error::internal("takes images").op(op.name()));
    };
    let size = height * width * channels;
    let to = y.len() / n.max(1);
    for (x, y) in x.chunks_exact(size).zip(y.chunks_exact_mut(to)) {
        match *op {
            Op::Pool { kind, window } => {
                let shape = PoolShape {
                    height,
                    width,
                    channels,
                    out_height: out.desc.dims[1],
                    out_width: out.desc.dims[2],
                    kernel: window.kernel,
                    stride: window.stride,
                    pad: [window.pad[0], window.pad[1]],
                };
                match kind {
                    PoolKind::Max => pool::max_pool(kernel, &shape, x, y),
                    PoolKind::Average => pool::average_pool(kernel, &shape, x, y),
                }
            }
            Op::GlobalAverage => pool::global_average(kernel, height * width, channels, x, y),
            Op::GlobalGem { eps } => {
                let (p, eps) = (read(1)?[0], eps.get());
                pool::global_gem(kernel, height * width, channels, p, eps, x, y);
            }
            Op::ChannelConv => pool::channel_conv(channels, x, read(1)?, y),
            _ => return Err(Error::internal("has no kernel here").op(op.name())),
        }
    }
    Ok(())
}
