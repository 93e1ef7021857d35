//! Operations on images, one plain loop each, in f64.

use super::epilogue;
use crate::device::desc::Buf;
use crate::device::op::{Op, PoolKind, Window};

/// The shape of images, channels last.
#[derive(Clone, Copy)]
struct Image {
    n: usize,
    h: usize,
    w: usize,
    c: usize,
}

impl Image {
    fn of(buf: &Buf) -> Image {
        let at = |i: usize| buf.desc.dims.get(i).copied().unwrap_or(1);
        Image {
            n: at(0),
            h: at(1),
            w: at(2),
            c: at(3),
        }
    }

    fn at(&self, n: usize, y: usize, x: usize, c: usize) -> usize {
        ((n * self.h + y) * self.w + x) * self.c + c
    }
}

/// Where tap `(i, j)` of the window at `(oy, ox)` falls, unless on padding.
fn tap(
    window: &Window,
    image: &Image,
    (oy, ox): (usize, usize),
    (i, j): (usize, usize),
) -> Option<(usize, usize)> {
    let y = (oy * window.stride[0] + i).checked_sub(window.pad[0])?;
    let x = (ox * window.stride[1] + j).checked_sub(window.pad[1])?;
    (y < image.h && x < image.w).then_some((y, x))
}

pub(super) fn conv(op: &Op, ins: &[&Buf], out: &Buf, x: &[Vec<f64>]) -> Vec<f64> {
    let Op::Conv {
        window,
        groups,
        gate,
        epilogue: how,
    } = *op
    else {
        return Vec::new();
    };
    let (image, to) = (Image::of(ins[0]), Image::of(out));
    let (inner, per_group) = (image.c / groups, to.c / groups);
    let [kh, kw] = window.kernel;
    let gates = gate.then(|| &x[2]);
    let mut sums = Vec::with_capacity(out.desc.len());
    for n in 0..to.n {
        for oy in 0..to.h {
            for ox in 0..to.w {
                for o in 0..to.c {
                    let mut sum = 0.0;
                    for (i, j) in (0..kh).flat_map(|i| (0..kw).map(move |j| (i, j))) {
                        let Some((y, xx)) = tap(&window, &image, (oy, ox), (i, j)) else {
                            continue;
                        };
                        for l in 0..inner {
                            let c = o / per_group * inner + l;
                            let g = gates.map_or(1.0, |g| g[n * image.c + c]);
                            let w = x[1][((o * inner + l) * kh + i) * kw + j];
                            sum += x[0][image.at(n, y, xx, c)] * g * w;
                        }
                    }
                    sums.push(sum);
                }
            }
        }
    }
    epilogue(sums, to.c, &how, &x[2 + usize::from(gate)..])
}

pub(super) fn batch_norm(columns: usize, eps: f32, x: &[Vec<f64>]) -> Vec<f64> {
    let one = |(i, v): (usize, &f64)| {
        let j = i % columns;
        (v - x[3][j]) / (x[4][j] + f64::from(eps)).sqrt() * x[1][j] + x[2][j]
    };
    x[0].iter().enumerate().map(one).collect()
}

pub(super) fn standardize(eps: f32, scale: f32, x: &[Vec<f64>]) -> Vec<f64> {
    let filters = x[1].len().max(1);
    let depth = (x[0].len() / filters).max(1);
    let mut out = Vec::with_capacity(x[0].len());
    for (filter, gain) in x[0].chunks(depth).zip(&x[1]) {
        let mean = filter.iter().sum::<f64>() / depth as f64;
        let variance = filter.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / depth as f64;
        let by = gain * f64::from(scale) / (variance + f64::from(eps)).sqrt();
        out.extend(filter.iter().map(|v| (v - mean) * by));
    }
    out
}

pub(super) fn pool(kind: PoolKind, window: &Window, from: &Buf, out: &Buf, x: &[f64]) -> Vec<f64> {
    let (image, to) = (Image::of(from), Image::of(out));
    let mut all = Vec::with_capacity(out.desc.len());
    for n in 0..to.n {
        for oy in 0..to.h {
            for ox in 0..to.w {
                for c in 0..to.c {
                    let taps = (0..window.kernel[0])
                        .flat_map(|i| (0..window.kernel[1]).map(move |j| (i, j)));
                    let seen: Vec<f64> = taps
                        .filter_map(|at| tap(window, &image, (oy, ox), at))
                        .map(|(y, xx)| x[image.at(n, y, xx, c)])
                        .collect();
                    all.push(match kind {
                        PoolKind::Max => seen.iter().copied().fold(f64::NEG_INFINITY, larger),
                        PoolKind::Average => seen.iter().sum::<f64>() / seen.len().max(1) as f64,
                    });
                }
            }
        }
    }
    all
}

/// The mean over the pixels of `value` of each value, then `last` of it.
pub(super) fn global(
    from: &Buf,
    x: &[f64],
    value: impl Fn(f64) -> f64,
    last: impl Fn(f64) -> f64,
) -> Vec<f64> {
    let image = Image::of(from);
    let pixels = image.h * image.w;
    let mut all = Vec::with_capacity(image.n * image.c);
    for n in 0..image.n {
        for c in 0..image.c {
            let at = |p: usize| x[(n * pixels + p) * image.c + c];
            let sum: f64 = (0..pixels).map(|p| value(at(p))).sum();
            all.push(last(sum / pixels as f64));
        }
    }
    all
}

pub(super) fn channel_conv(channels: usize, x: &[f64], w: &[f64]) -> Vec<f64> {
    let half = w.len() / 2;
    let one = |i: usize| {
        let (row, c) = (i / channels * channels, i % channels);
        let tap = |(j, v): (usize, &f64)| match (c + j).checked_sub(half) {
            Some(at) if at < channels => v * x[row + at],
            _ => 0.0,
        };
        w.iter().enumerate().map(tap).sum()
    };
    (0..x.len()).map(one).collect()
}

/// `x * g`, `g` being one value an image and channel.
pub(super) fn gate(from: &Buf, x: &[f64], g: &[f64]) -> Vec<f64> {
    let image = Image::of(from);
    let size = (image.h * image.w * image.c).max(1);
    let one = |(i, v): (usize, &f64)| v * g[i / size * image.c + i % image.c];
    x.iter().enumerate().map(one).collect()
}

/// Matrices side by side.
pub(super) fn concat(parts: &[&Buf], x: &[Vec<f64>]) -> Vec<f64> {
    let columns = |b: &Buf| b.desc.dims.last().copied().unwrap_or(1);
    let rows = x[0].len() / columns(parts[0]).max(1);
    let mut all = Vec::new();
    for r in 0..rows {
        for (part, values) in parts.iter().zip(x) {
            let c = columns(part);
            all.extend_from_slice(&values[r * c..(r + 1) * c]);
        }
    }
    all
}

/// The larger of two; of a NaN and anything the NaN.
fn larger(a: f64, b: f64) -> f64 {
    match b <= a || a.is_nan() {
        true => a,
        false => b,
    }
}
