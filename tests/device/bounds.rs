//! What rounding may do to the operations on sequences, and to two convolutions as one, value by value, in units of `2^-24` times the
//! number of terms that the rule of the harness counts (see `allowed` there).

use doppel::device::{Act, DType, Desc, Epilogue, NaiveDevice, Op, Window, bytes_of, values_of};

use crate::harness::{allowed, paired, rounding, run};

/// The unit roundoff of f32.
const U: f64 = 1.0 / (1u64 << 24) as f64;

/// Inputs with their shapes.
type Filled = [(Desc, Vec<u8>)];

/// The terms of such an operation.
pub fn terms(op: &Op, ins: &[Desc]) -> Option<usize> {
    match op {
        Op::Lookup => Some(0),
        Op::LayerNorm { .. } | Op::Embed { .. } => Some(ins[0].dims[1]),
        Op::Attention { heads, .. } => Some(ins[0].dims[1] / heads),
        Op::SegmentMean => Some(ins[0].dims[0]),
        Op::ExpandDepthwise { .. } | Op::SqueezeExcite { .. } => {
            Some(ins[2].dims[1..].iter().product())
        }
        _ => None,
    }
}

/// The size of every value of such an operation, so that `(terms + 4) * U * size` is its bound.
pub fn sizes(op: &Op, ins: &Filled) -> Option<Vec<f64>> {
    let descs: Vec<Desc> = ins.iter().map(|(d, _)| d.clone()).collect();
    let unit = (terms(op, &descs)? + 4) as f64 * U;
    if let Op::ExpandDepthwise { .. } | Op::SqueezeExcite { .. } = op {
        let bounds = two_convolutions(op, ins, unit);
        return Some(bounds.into_iter().map(|b| b / unit).collect());
    }
    let n = descs[0].dims[1];
    let bounds = match *op {
        // A copy.
        Op::Lookup => vec![0.0; descs[1].len() * n],
        Op::LayerNorm { eps } => {
            let x = floats(&ins[0]);
            let weights = [floats(&ins[1]), floats(&ins[2])];
            let rows = x.chunks_exact(n);
            rows.flat_map(|row| layer_norm(row, 0.0, f64::from(eps.get()), &weights))
                .collect()
        }
        Op::Embed { tables, eps } => {
            let weights = [floats(&ins[2 * tables]), floats(&ins[2 * tables + 1])];
            let from: Vec<_> = (0..tables)
                .map(|t| (floats(&ins[t]), indices(&ins[tables + t])))
                .collect();
            let mut bounds = Vec::new();
            for i in 0..from[0].1.len() {
                let (mut sum, mut size) = (vec![0.0; n], vec![0.0f64; n]);
                for (table, rows) in &from {
                    for (j, v) in table[rows[i] * n..][..n].iter().enumerate() {
                        sum[j] += v;
                        size[j] += v.abs();
                    }
                }
                let lost = tables as f64 * U * size.iter().fold(0.0, |m, &v| v.max(m));
                bounds.extend(layer_norm(&sum, lost, f64::from(eps.get()), &weights));
            }
            bounds
        }
        Op::Attention { heads, scale } => {
            let qkv = [&ins[0], &ins[1], &ins[2]].map(floats);
            let scale = f64::from(scale.get());
            attention(n, heads, scale, &qkv, &indices(&ins[3]), descs[0].dtype)
        }
        _ => {
            let (x, offsets) = (floats(&ins[0]), indices(&ins[1]));
            let mut bounds = Vec::new();
            for pair in offsets.windows(2) {
                // The sum of so many values, and the division.
                let count = (pair[1] - pair[0]).max(1) as f64;
                let column = |j: usize| (pair[0]..pair[1]).map(move |r| r * n + j);
                bounds.extend((0..n).map(|j| {
                    let size: f64 = column(j).map(|i| x[i].abs()).sum();
                    (count + 4.0) * U * size / count
                }));
            }
            bounds
        }
    };
    Some(bounds.into_iter().map(|b| b / unit).collect())
}

/// Bounds of a layer norm of a row whose values are known within `lost`.
///
/// A first mean is off by at most `n + 2` units of the mean size; differences from it are `d`, their
/// mean and rounding lose `n + 4` units of the largest. So every numerator is off by `e` at most. The
/// deviation is a norm, 1-Lipschitz: it is off by `e` too, and by half of the `n + 4` units that the sum
/// of squares loses. The last operations cost four units.
fn layer_norm(x: &[f64], lost: f64, eps: f64, [gamma, beta]: &[Vec<f64>; 2]) -> Vec<f64> {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    let variance = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
    let off = (n + 2.0) * U * x.iter().map(|v| v.abs()).sum::<f64>() / n;
    let largest = x.iter().map(|v| (v - mean).abs()).fold(0.0, f64::max) + off;
    let e = lost + (n + 4.0) * U * largest;
    let by = 1.0 / ((variance + eps).sqrt() - e).max(eps.sqrt());
    let one = |(i, v): (usize, &f64)| {
        let z = (v - mean).abs() * by;
        let numerator = e * by * (2.0 + z);
        let rest = (n + 4.0) * U * z + 4.0 * U * z;
        gamma[i].abs() * (numerator + rest) + 4.0 * U * beta[i].abs()
    };
    x.iter().enumerate().map(one).collect()
}

/// Bounds of attention.
///
/// A score is a sum of `width` products, scaled, less the largest one: it is off by `s`, `width + 4`
/// units of the largest sum of absolute products. That changes every weight by a factor within
/// `e^(2 s)`; exponentials, their sum, the division and the sum of weighted values lose `2 rows + 8`
/// units more.
///
/// In 16 bits, matrix units take the weights as such too, which are at most 1: each is off by one unit
/// roundoff of it, or by half of the smallest subnormal below the normal range, as are the values that they
/// multiply and the sum that divides.
fn attention(
    n: usize,
    heads: usize,
    scale: f64,
    [q, k, v]: &[Vec<f64>; 3],
    offsets: &[usize],
    dtype: DType,
) -> Vec<f64> {
    let width = n / heads;
    let (share, least) = match dtype {
        DType::F32 | DType::U32 => (0.0, 0.0),
        DType::F16 | DType::BF16 => {
            let (unit, least) = rounding(dtype);
            (2.0 * unit, least)
        }
    };
    let mut bounds = vec![0.0; q.len()];
    for (pair, head) in offsets
        .windows(2)
        .flat_map(|pair| (0..heads).map(move |h| (pair, h)))
    {
        let part = |x: &'_ [f64], r: usize| x[r * n + head * width..][..width].to_vec();
        for row in pair[0]..pair[1] {
            let mine = part(q, row);
            let (mut scores, mut most) = (Vec::new(), 0.0f64);
            for other in pair[0]..pair[1] {
                let theirs = part(k, other);
                let products = mine.iter().zip(&theirs).map(|(a, b)| a * b * scale);
                most = most.max(products.clone().map(f64::abs).sum());
                scores.push(products.sum::<f64>());
            }
            let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let weights: Vec<f64> = scores.iter().map(|s| (s - top).exp()).collect();
            let sum: f64 = weights.iter().sum();
            let s = (width + 4) as f64 * U * most;
            let lost = (2.0 * s).exp_m1() + (2 * weights.len() + 8) as f64 * U;
            for c in 0..width {
                let values = (pair[0]..pair[1]).map(|r| v[r * n + head * width + c].abs());
                let small = least * values.clone().sum::<f64>() / sum;
                let size: f64 = values.zip(&weights).map(|(v, w)| v * w / sum).sum();
                let weighed = least * weights.len() as f64 * size / sum;
                bounds[row * n + head * width + c] = (lost + share) * size + small + weighed;
            }
        }
    }
    bounds
}

fn floats((desc, bytes): &(Desc, Vec<u8>)) -> Vec<f64> {
    let values = values_of(bytes, desc.dtype);
    values.into_iter().map(f64::from).collect()
}

fn indices((desc, bytes): &(Desc, Vec<u8>)) -> Vec<usize> {
    assert_eq!(desc.dtype, DType::U32);
    let words = bytes.chunks_exact(4);
    words
        .map(|w| u32::from_le_bytes([w[0], w[1], w[2], w[3]]) as usize)
        .collect()
}

/// What the sums of the second convolution may lose (`unit` of their size), and what its window makes of what
/// the wide images may be apart: that is what a 1x1 convolution may by itself, two roundings included. 5x5
/// windows are summed in pairs of halves.
fn two_convolutions(op: &Op, ins: &Filled, unit: f64) -> Vec<f64> {
    let (window, expand, epilogue, groups) = match *op {
        Op::ExpandDepthwise {
            window,
            expand,
            epilogue,
            ..
        } => (window, expand, epilogue, ins[1].0.dims[0]),
        Op::SqueezeExcite { squeeze, excite } => (Window::square(1, 1, 0), squeeze, excite, 1),
        _ => return Vec::new(),
    };
    let naive = NaiveDevice::default();
    let single = |values: Vec<f32>, desc: &Desc| {
        let bytes = bytes_of(&values, DType::F32);
        (Desc::new(&desc.dims, DType::F32), bytes)
    };
    let values = |at: usize| values_of(&ins[at].1, ins[at].0.dtype);
    let absolute = |at: usize| single(values(at).iter().map(|v| v.abs()).collect(), &ins[at].0);
    let plain = |epilogue| Op::Conv {
        window: Window::square(1, 1, 0),
        groups: 1,
        gate: false,
        epilogue,
    };
    let linear = |epilogue| Epilogue {
        act: Act::None,
        ..epilogue
    };
    let extra = expand.inputs();
    let first: Vec<usize> = [0, 1].into_iter().chain(3..3 + extra).collect();
    let from: Vec<_> = first
        .iter()
        .map(|&i| single(values(i), &ins[i].0))
        .collect();
    let wide = run(&naive, &plain(expand), &from).unwrap().swap_remove(0);
    let from: Vec<_> = first.iter().map(|&i| absolute(i)).collect();
    let sizes = run(&naive, &plain(linear(expand)), &from)
        .unwrap()
        .swap_remove(0);
    let (wide_values, sizes) = (floats(&wide), floats(&sizes));
    let apart = wide_values
        .iter()
        .zip(&sizes)
        .map(|(&value, &size)| allowed(ins[0].0.dtype, ins[1].0.dims[1], value, size) as f32);
    let apart = single(apart.collect(), &wide.0);
    let size = single(
        wide_values.iter().map(|v| v.abs() as f32).collect(),
        &wide.0,
    );
    let each = |epilogue: Epilogue, of: (Desc, Vec<u8>)| {
        let second = Op::Conv {
            window,
            groups,
            gate: false,
            epilogue,
        };
        let mut from = vec![of, absolute(2)];
        from.extend((3 + extra..3 + extra + epilogue.inputs()).map(absolute));
        floats(&run(&naive, &second, &from).unwrap().swap_remove(0))
    };
    // The scale comes first among the inputs; what is added behind it is the same on both sides.
    let scaled = Epilogue {
        bias: false,
        residual: false,
        ..linear(epilogue)
    };
    let sums = each(linear(epilogue), size);
    let carried = each(scaled, apart);
    let (share, least) = match (window.kernel, ins[0].0.dtype) {
        ([5, 5], DType::F16) => paired(5),
        _ => (0.0, 0.0),
    };
    let scale = match epilogue.scale {
        true => values(3 + extra)
            .iter()
            .fold(0.0, |m: f32, v| m.max(v.abs())),
        false => 1.0,
    };
    let lost = least * f64::from(scale);
    sums.iter()
        .zip(&carried)
        .map(|(sum, far)| (unit + share) * sum + far + lost)
        .collect()
}
