//! The naive twin of every device: one plain loop an operation, f64 throughout. The oracle of tests.

mod images;
pub(super) mod margin;
pub(super) mod text;

use std::sync::Arc;

use super::api::{Device, DeviceInfo, Support, check};
use super::cpu::host::{HostMem, bytes, bytes_mut, floats, indices, store};
use super::desc::{Buf, Desc, Mem};
use super::gpu::driver::Stream;
use super::op::{Act, Epilogue, Op};
use crate::error::{Error, Result};

/// A device that is slow and right.
#[derive(Debug)]
pub struct NaiveDevice {
    info: DeviceInfo,
}

impl Default for NaiveDevice {
    fn default() -> Self {
        NaiveDevice {
            info: DeviceInfo {
                kind: "naive",
                name: "the naive twin".into(),
            },
        }
    }
}

/// The value of an activation at `x`.
pub fn activate(act: Act, x: f64) -> f64 {
    match act {
        Act::None => x,
        Act::Relu if x < 0.0 => 0.0,
        Act::Relu => x,
        Act::Silu => x * sigmoid(x),
        Act::Gelu => 0.5 * x * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2)),
        Act::Mish => x * softplus(x).tanh(),
        Act::Sigmoid => sigmoid(x),
    }
}

/// The derivative of an activation at `x`.
pub fn activate_grad(act: Act, x: f64) -> f64 {
    let s = sigmoid(x);
    match act {
        Act::None => 1.0,
        Act::Relu => f64::from(u8::from(x > 0.0)),
        Act::Silu => s * (1.0 + x * (1.0 - s)),
        Act::Gelu => {
            let density = (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
            0.5 * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2)) + x * density
        }
        Act::Mish => {
            let t = softplus(x).tanh();
            t + x * s * (1.0 - t * t)
        }
        Act::Sigmoid => s * (1.0 - s),
    }
}

fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + (-x).exp())
    } else {
        x.exp() / (1.0 + x.exp())
    }
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// The error function, by its Maclaurin series near zero and a continued fraction beyond; within
/// 1e-14 of the true value (Abramowitz and Stegun 7.1.5 and 7.1.14).
pub fn erf(x: f64) -> f64 {
    let a = x.abs();
    if a < 2.5 {
        let (mut term, mut sum, mut n) = (a, a, 0.0);
        while term.abs() > 1e-17 * sum.abs() {
            n += 1.0;
            term *= -a * a / n;
            sum += term / (2.0 * n + 1.0);
        }
        return (2.0 / std::f64::consts::PI.sqrt() * sum).copysign(x);
    }
    if a > 6.5 {
        return 1.0f64.copysign(x);
    }
    let mut fraction = a;
    for n in (1..=120).rev() {
        fraction = a + f64::from(n) / 2.0 / fraction;
    }
    (1.0 - (-a * a).exp() / (std::f64::consts::PI.sqrt() * fraction)).copysign(x)
}

impl Device for NaiveDevice {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn supports(&self, _: &Op, _: &[Desc]) -> Support {
        Support::Native
    }

    fn alloc(&self, bytes: usize) -> Result<Arc<dyn Mem>> {
        HostMem::shared(bytes)
    }

    fn upload(&self, from: &[u8], to: &Buf, _: Stream) -> Result<()> {
        upload(from, to)
    }

    fn download(&self, from: &Buf, to: &mut [u8], _: Stream) -> Result<()> {
        download(from, to)
    }

    fn run(&self, op: &Op, ins: &[&Buf], outs: &[&Buf], _: Option<&Buf>, _: Stream) -> Result<()> {
        check(op, ins, outs)?;
        plain(op, ins, outs)
    }

    fn sync(&self, _: Stream) -> Result<()> {
        Ok(())
    }
}

pub(super) fn upload(from: &[u8], to: &Buf) -> Result<()> {
    if from.len() != to.desc.bytes() {
        return Err(Error::shape("upload", &[from.len()], &[to.desc.bytes()]));
    }
    // SAFETY: callers order the calls that share a buffer, as `Device` asks.
    unsafe { bytes_mut(to) }?.copy_from_slice(from);
    Ok(())
}

pub(super) fn download(from: &Buf, to: &mut [u8]) -> Result<()> {
    if to.len() != from.desc.bytes() {
        return Err(Error::shape("download", &[from.desc.bytes()], &[to.len()]));
    }
    // SAFETY: callers order the calls that share a buffer, as `Device` asks.
    to.copy_from_slice(unsafe { bytes(from) }?);
    Ok(())
}

/// Runs any operation of the catalogue in plain loops over host memory.
pub(super) fn plain(op: &Op, ins: &[&Buf], outs: &[&Buf]) -> Result<()> {
    if let Op::ConvAverage {
        window,
        groups,
        epilogue,
    } = *op
    {
        let gate = false;
        let conv = Op::Conv {
            window,
            groups,
            gate,
            epilogue,
        };
        plain(&conv, ins, &outs[..1])?;
        return plain(&Op::GlobalAverage, &outs[..1], &outs[1..]);
    }
    if let Op::ExpandDepthwise { .. } | Op::SqueezeExcite { .. } = op
        && let Some((first, second)) = op.conv_parts(&ins[1].desc)
    {
        // What lies between the two is rounded as if it were stored.
        let (extra, rest) = ins[3..].split_at(op.first_extras());
        let from = [&ins[..2], extra].concat();
        let descs: Vec<Desc> = from.iter().map(|b| b.desc.clone()).collect();
        let desc = first.infer(&descs)?.swap_remove(0);
        let mem = HostMem::shared(desc.bytes())?;
        let wide = Buf::new(desc, mem, 0)?;
        plain(&first, &from, &[&wide])?;
        return plain(&second, &[&[&wide, ins[2]], rest].concat(), outs);
    }
    // Rows, labels and offsets are read where they are used.
    let read = |(i, b): (usize, &&Buf)| -> Result<Vec<f64>> {
        if op.is_index(i) {
            return Ok(Vec::new());
        }
        // SAFETY: callers order the calls that share a buffer, as `Device` asks.
        Ok(unsafe { floats(b) }?.into_iter().map(f64::from).collect())
    };
    let x = ins
        .iter()
        .enumerate()
        .map(read)
        .collect::<Result<Vec<Vec<f64>>>>()?;
    let columns = ins[0].desc.dims.last().copied().unwrap_or(1);
    let each = |f: &dyn Fn(usize, f64) -> f64| -> Vec<f64> {
        x[0].iter().enumerate().map(|(i, &v)| f(i, v)).collect()
    };
    let result = match *op {
        Op::Gemm { .. } => gemm(op, ins, &x),
        Op::Scale => each(&|i, v| v * x[1][i % columns]),
        Op::Bias => each(&|i, v| v + x[1][i % columns]),
        Op::Add => each(&|i, v| v + x[1][i]),
        Op::Activation(act) => each(&|_, v| activate(act, v)),
        Op::ActivationGrad(act) => each(&|i, v| activate_grad(act, v) * x[1][i]),
        Op::ColumnSum => column_sum(columns, x[0].iter().copied()),
        Op::ColumnDot => column_sum(columns, x[0].iter().zip(&x[1]).map(|(a, b)| a * b)),
        Op::RowNormalize => x[0].chunks(columns.max(1)).flat_map(unit).collect(),
        Op::RowProducts => gemm(&PRODUCTS, ins, &x),
        Op::Margin(how) | Op::MarginLoss(how) => return margin::plain(op, &how, ins, outs, &x),
        Op::SoftmaxCrossEntropy => return cross_entropy(&x[0], ins[1], columns, outs),
        Op::Conv { .. }
        | Op::ConvAverage { .. }
        | Op::ExpandDepthwise { .. }
        | Op::SqueezeExcite { .. } => images::conv(op, ins, outs[0], &x),
        Op::BatchNorm { eps } => images::batch_norm(columns, eps.get(), &x),
        Op::Standardize { eps, scale } => images::standardize(eps.get(), scale.get(), &x),
        Op::Pool { kind, window } => images::pool(kind, &window, ins[0], outs[0], &x[0]),
        Op::GlobalAverage => images::global(ins[0], &x[0], |v| v, |v| v),
        Op::GlobalGem { eps } => {
            let (least, p) = (f64::from(eps.get()), x[1][0]);
            images::global(ins[0], &x[0], |v| v.max(least).powf(p), |v| v.powf(1.0 / p))
        }
        Op::ChannelConv => images::channel_conv(columns, &x[0], &x[1]),
        Op::Gate => images::gate(ins[0], &x[0], &x[1]),
        Op::Gated {
            factor,
            residual,
            act,
        } => {
            let by = if factor { x[2][0] } else { 1.0 };
            let gated = images::gate(ins[0], &x[0], &x[1])
                .into_iter()
                .map(|v| v * by);
            let rest = Epilogue {
                residual,
                act,
                ..Epilogue::BARE
            };
            epilogue(
                gated.collect(),
                columns,
                &rest,
                &x[2 + usize::from(factor)..],
            )
        }
        Op::Multiply(by) => each(&|_, v| v * f64::from(by.get())),
        Op::Gain => each(&|_, v| v * x[1][0]),
        Op::Concat => images::concat(ins, &x),
        Op::Affine { act } => {
            let parts = ins.len() - 2;
            let rest = Epilogue {
                scale: true,
                bias: true,
                act,
                ..Epilogue::BARE
            };
            let side = images::concat(&ins[..parts], &x);
            epilogue(side, x[parts].len(), &rest, &x[parts..])
        }
        Op::Flatten => x[0].clone(),
        Op::Lookup => text::lookup(op, (ins[0], &x[0]), ins[1])?,
        Op::Embed { tables, eps } => {
            let mut sum = vec![0.0; outs[0].desc.len()];
            for t in 0..tables {
                let rows = text::lookup(op, (ins[t], &x[t]), ins[tables + t])?;
                sum.iter_mut().zip(rows).for_each(|(s, v)| *s += v);
            }
            text::layer_norm(eps.get(), &sum, &x[2 * tables], &x[2 * tables + 1])
        }
        Op::LayerNorm { eps } => text::layer_norm(eps.get(), &x[0], &x[1], &x[2]),
        Op::Attention { heads, scale } => {
            let by = f64::from(scale.get());
            text::attention(
                heads,
                by,
                columns,
                [&x[0], &x[1], &x[2]],
                &text::offsets(op, ins)?,
            )
        }
        Op::SegmentMean => text::segment_mean(columns, &x[0], &text::offsets(op, ins)?),
    };
    // SAFETY: `check` found the output apart from every input, and callers order shared buffers.
    unsafe { store(outs[0], &result) }
}

/// [`Op::RowProducts`] as a product.
pub(in crate::device) const PRODUCTS: Op = Op::Gemm {
    trans_a: false,
    trans_b: true,
    epilogue: Epilogue::BARE,
};

fn gemm(op: &Op, ins: &[&Buf], x: &[Vec<f64>]) -> Vec<f64> {
    let Op::Gemm {
        trans_a,
        trans_b,
        epilogue: how,
    } = *op
    else {
        return Vec::new();
    };
    let (ad, bd) = (&ins[0].desc.dims, &ins[1].desc.dims);
    let (m, k) = if trans_a {
        (ad[1], ad[0])
    } else {
        (ad[0], ad[1])
    };
    let n = if trans_b { bd[0] } else { bd[1] };
    let a = |i: usize, l: usize| x[0][if trans_a { l * m + i } else { i * k + l }];
    let b = |l: usize, j: usize| x[1][if trans_b { j * k + l } else { l * n + j }];
    let mut sums = Vec::with_capacity(m * n);
    for i in 0..m {
        for j in 0..n {
            sums.push((0..k).map(|l| a(i, l) * b(l, j)).sum());
        }
    }
    epilogue(sums, n, &how, &x[2..])
}

/// `act(sum * scale + bias + residual)`; `extra` holds what the epilogue takes, in order.
fn epilogue(sums: Vec<f64>, columns: usize, how: &Epilogue, extra: &[Vec<f64>]) -> Vec<f64> {
    let mut rest = extra.iter();
    let mut take = |present: bool| if present { rest.next() } else { None };
    let (scale, bias, residual) = (take(how.scale), take(how.bias), take(how.residual));
    let one = |(i, mut v): (usize, f64)| {
        v *= scale.map_or(1.0, |s| s[i % columns]);
        v += bias.map_or(0.0, |s| s[i % columns]);
        v += residual.map_or(0.0, |r| r[i]);
        activate(how.act, v)
    };
    sums.into_iter().enumerate().map(one).collect()
}

fn column_sum(columns: usize, values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut sums = vec![0.0; columns];
    for (i, v) in values.enumerate() {
        sums[i % columns] += v;
    }
    sums
}

fn unit(row: &[f64]) -> Vec<f64> {
    let length = row.iter().map(|v| v * v).sum::<f64>().sqrt();
    row.iter()
        .map(|v| if length > 0.0 { v / length } else { 0.0 })
        .collect()
}

fn cross_entropy(logits: &[f64], labels: &Buf, classes: usize, outs: &[&Buf]) -> Result<()> {
    // SAFETY: callers order the calls that share a buffer, as `Device` asks.
    let labels = unsafe { indices(labels) }?;
    let rows = labels.len().max(1) as f64;
    let (mut loss, mut grads) = (0.0, Vec::with_capacity(logits.len()));
    for (row, &label) in logits.chunks(classes.max(1)).zip(&labels) {
        if label as usize >= classes {
            let message = format!("label {label} is not below {classes} classes");
            return Err(Error::input(message).op("softmax_cross_entropy"));
        }
        let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = row.iter().map(|v| (v - most).exp()).sum();
        loss += sum.ln() + most - row[label as usize];
        grads.extend(row.iter().enumerate().map(|(j, v)| {
            let p = (v - most).exp() / sum;
            (p - f64::from(u8::from(j == label as usize))) / rows
        }));
    }
    // SAFETY: `check` found the outputs apart from the inputs and each other.
    unsafe { store(outs[0], &[loss / rows]) }?;
    // SAFETY: as above.
    unsafe { store(outs[1], &grads) }
}
