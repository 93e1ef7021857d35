//! The shape checks of the catalogue.

use super::{Epilogue, Margin, Op, Window};
use crate::device::desc::{DType, Desc};
use crate::error::{Error, Result};

/// The outputs' shapes and types; see [`Op::infer`].
pub(super) fn infer(op: &Op, ins: &[Desc]) -> Result<Vec<Desc>> {
    let name = op.name();
    count(op, ins)?;
    types(op, ins)?;
    let one = |desc: Desc| Ok(vec![desc]);
    let column = |x: &Desc, v: &Desc| match v.dims[..] == [columns(x)] {
        true => Ok(()),
        false => Err(Error::shape(name, &x.dims, &v.dims)),
    };
    match *op {
        Op::Gemm {
            trans_a,
            trans_b,
            epilogue,
        } => one(gemm(trans_a, trans_b, &epilogue, ins)?),
        Op::Conv {
            window,
            groups,
            gate,
            epilogue,
        } => one(conv(&window, groups, gate, &epilogue, ins)?),
        Op::ConvAverage {
            window,
            groups,
            epilogue,
        } => {
            let out = conv(&window, groups, false, &epilogue, ins)?;
            let pooled = Desc::new(&[out.dims[0], 1, 1, out.dims[3]], out.dtype);
            Ok(vec![out, pooled])
        }
        Op::ExpandDepthwise { .. } | Op::SqueezeExcite { .. } => {
            let (extra, rest) = ins[3..].split_at(op.first_extras());
            let fault = || Error::shape(name, &ins[0].dims, &ins[1].dims);
            let single = |d: &Desc| d.dims.len() == 4 && d.dims[1..3] == [1, 1];
            if matches!(op, Op::SqueezeExcite { .. }) && !single(&ins[0]) {
                return Err(fault().mend("the means of images are [n, 1, 1, c]"));
            }
            let (first, second) = op.conv_parts(&ins[1]).ok_or_else(fault)?;
            let wide = first.infer(&[&ins[..2], extra].concat())?;
            second.infer(&[&wide, &ins[2..3], rest].concat())
        }
        Op::Scale | Op::Bias => column(ranked(&ins[0], name)?, &ins[1]).and(one(ins[0].clone())),
        Op::Add | Op::ActivationGrad(_) => same(name, &ins[0], &ins[1]).and(one(ins[0].clone())),
        Op::Activation(_) | Op::Multiply(_) => one(ins[0].clone()),
        Op::Gain => match ins[1].len() {
            1 => one(ins[0].clone()),
            _ => Err(Error::shape(name, &ins[0].dims, &ins[1].dims)),
        },
        Op::RowNormalize => ins[0].matrix(name).and(one(ins[0].clone())),
        Op::ColumnSum => one(Desc::new(&[ins[0].matrix(name)?.1], ins[0].dtype)),
        Op::ColumnDot => {
            same(name, &ins[0], &ins[1])?;
            one(Desc::new(&[ins[0].matrix(name)?.1], ins[0].dtype))
        }
        Op::SoftmaxCrossEntropy => match ins[1].dims[..] == [ins[0].matrix(name)?.0] {
            true => Ok(vec![Desc::new(&[1], DType::F32), ins[0].clone()]),
            false => Err(Error::shape(name, &ins[0].dims, &ins[1].dims)),
        },
        Op::RowProducts => {
            let ((m, k), (n, kb)) = (ins[0].matrix(name)?, ins[1].matrix(name)?);
            match k == kb {
                true => one(Desc::new(&[m, n], DType::F32)),
                false => Err(Error::shape(name, &ins[0].dims, &ins[1].dims)),
            }
        }
        Op::Margin(margin) => margined(name, margin, ins, ins[0].clone()),
        Op::MarginLoss(margin) => margined(name, margin, ins, Desc::new(&[1], DType::F32)),
        Op::BatchNorm { .. } => {
            let x = ranked(&ins[0], name)?;
            ins[1..].iter().try_for_each(|v| column(x, v))?;
            one(x.clone())
        }
        Op::Standardize { .. } => match ins[0].dims.first() == Some(&ins[1].len()) {
            true => one(ins[0].clone()),
            false => Err(Error::shape(name, &ins[0].dims, &ins[1].dims)),
        },
        Op::Pool { window, .. } => {
            let [n, h, w, c] = image(&ins[0], name)?;
            let (h, w) = window.out(name, h, w)?;
            one(Desc::new(&[n, h, w, c], ins[0].dtype))
        }
        Op::GlobalAverage | Op::GlobalGem { .. } => {
            let [n, _, _, c] = image(&ins[0], name)?;
            if ins.len() > 1 && ins[1].len() != 1 {
                return Err(Error::shape(name, &ins[0].dims, &ins[1].dims));
            }
            one(Desc::new(&[n, 1, 1, c], ins[0].dtype))
        }
        Op::ChannelConv => channel_conv(ins),
        Op::Gate => gate(name, &ins[0], &ins[1]).and(one(ins[0].clone())),
        Op::Gated {
            factor, residual, ..
        } => {
            gate(name, &ins[0], &ins[1])?;
            if factor && ins[2].len() != 1 {
                return Err(Error::shape(name, &ins[0].dims, &ins[2].dims));
            }
            if residual {
                same(name, &ins[0], &ins[2 + usize::from(factor)])?;
            }
            one(ins[0].clone())
        }
        Op::Concat => one(concat(name, ins)?),
        Op::Affine { .. } => {
            let (parts, vectors) = ins.split_at(ins.len() - 2);
            let x = concat(name, parts)?;
            vectors.iter().try_for_each(|v| column(&x, v))?;
            one(x)
        }
        Op::Flatten => {
            let rows = *ranked(&ins[0], name)?.dims.first().unwrap_or(&1);
            let rest = ins[0].dims[1..].iter().product();
            one(Desc::new(&[rows, rest], ins[0].dtype))
        }
        Op::Lookup => one(lookup(name, &ins[0], &ins[1])?),
        Op::Embed { tables, .. } => {
            let first = lookup(name, &ins[0], &ins[tables])?;
            for (table, rows) in ins[1..tables].iter().zip(&ins[tables + 1..]) {
                same(name, &first, &lookup(name, table, rows)?)?;
            }
            ins[2 * tables..]
                .iter()
                .try_for_each(|v| column(&first, v))?;
            one(first)
        }
        Op::LayerNorm { .. } => {
            let (_, n) = ins[0].matrix(name)?;
            ins[1..].iter().try_for_each(|v| column(&ins[0], v))?;
            match n {
                0 => Err(Error::shape(name, &ins[0].dims, &[0, 1])),
                _ => one(ins[0].clone()),
            }
        }
        Op::Attention { heads, .. } => {
            let (_, n) = ins[0].matrix(name)?;
            ins[1..3].iter().try_for_each(|v| same(name, &ins[0], v))?;
            offsets(name, &ins[0], &ins[3])?;
            match heads > 0 && n.is_multiple_of(heads) {
                true => one(ins[0].clone()),
                false => Err(Error::shape(name, &ins[0].dims, &[heads])
                    .mend("the columns are divided among the heads")),
            }
        }
        Op::SegmentMean => {
            let (_, n) = ins[0].matrix(name)?;
            one(Desc::new(
                &[offsets(name, &ins[0], &ins[1])?, n],
                ins[0].dtype,
            ))
        }
    }
}

/// `out` and the running mean, for cosines in f32 and a label a row.
fn margined(name: &'static str, margin: Margin, ins: &[Desc], out: Desc) -> Result<Vec<Desc>> {
    if ins[0].dtype != DType::F32 {
        return Err(Error::unsupported(format!("does not take {}", ins[0])).op(name));
    }
    let (rows, _) = ins[0].matrix(name)?;
    let mean = margin.runs().then(|| Desc::new(&[1], DType::F32));
    if ins[1].dims[..] != [rows] {
        return Err(Error::shape(name, &ins[0].dims, &ins[1].dims));
    }
    if mean.is_some() && ins[2].dims[..] != [1] {
        return Err(Error::shape(name, &ins[2].dims, &[1]));
    }
    Ok([out].into_iter().chain(mean).collect())
}

/// The rows of a table that are looked up.
fn lookup(name: &'static str, table: &Desc, rows: &Desc) -> Result<Desc> {
    let (_, n) = table.matrix(name)?;
    match rows.dims[..] {
        [m] => Ok(Desc::new(&[m, n], table.dtype)),
        _ => Err(Error::shape(name, &table.dims, &rows.dims)),
    }
}

/// How many sequences there are between offsets.
fn offsets(name: &'static str, x: &Desc, offsets: &Desc) -> Result<usize> {
    match offsets.dims[..] {
        [n] if n > 0 => Ok(n - 1),
        _ => Err(Error::shape(name, &x.dims, &offsets.dims)),
    }
}

/// Refuses another number of inputs than the operation takes.
fn count(op: &Op, ins: &[Desc]) -> Result<()> {
    let (least, most) = match op {
        Op::Gemm { epilogue, .. } => (2 + epilogue.inputs(), 2 + epilogue.inputs()),
        Op::Conv { gate, epilogue, .. } => {
            let n = 2 + usize::from(*gate) + epilogue.inputs();
            (n, n)
        }
        Op::ConvAverage { epilogue, .. } => (2 + epilogue.inputs(), 2 + epilogue.inputs()),
        Op::ExpandDepthwise {
            expand, epilogue, ..
        } => {
            let n = 3 + expand.inputs() + epilogue.inputs();
            (n, n)
        }
        Op::SqueezeExcite { squeeze, excite } => {
            let n = 3 + squeeze.inputs() + excite.inputs();
            (n, n)
        }
        Op::Activation(_)
        | Op::ColumnSum
        | Op::RowNormalize
        | Op::Multiply(_)
        | Op::Pool { .. }
        | Op::GlobalAverage
        | Op::Flatten => (1, 1),
        Op::BatchNorm { .. } => (5, 5),
        Op::Margin(margin) | Op::MarginLoss(margin) => {
            let n = 2 + usize::from(margin.runs());
            (n, n)
        }
        Op::LayerNorm { .. } => (3, 3),
        Op::Attention { .. } => (4, 4),
        // No table would have no columns.
        Op::Embed { tables, .. } => {
            let n = 2 * (*tables).max(1) + 2;
            (n, n)
        }
        Op::Gated {
            factor, residual, ..
        } => {
            let n = 2 + usize::from(*factor) + usize::from(*residual);
            (n, n)
        }
        Op::Concat => (1, usize::MAX),
        Op::Affine { .. } => (3, usize::MAX),
        _ => (2, 2),
    };
    if (least..=most).contains(&ins.len()) {
        return Ok(());
    }
    let message = format!("takes {least} inputs, not {}", ins.len());
    Err(Error::internal(message).op(op.name()))
}

/// Refuses labels where floats belong, floats where labels belong, and, but for products and plain
/// arithmetic (which have their own checks), inputs of several types.
fn types(op: &Op, ins: &[Desc]) -> Result<()> {
    for (i, d) in ins.iter().enumerate() {
        if (d.dtype == DType::U32) != op.is_index(i) {
            return Err(Error::unsupported(format!("does not take {d}")).op(op.name()));
        }
    }
    let image = !matches!(
        op,
        Op::Gemm { .. }
            | Op::Scale
            | Op::Bias
            | Op::Add
            | Op::ActivationGrad(_)
            | Op::ColumnDot
            | Op::SoftmaxCrossEntropy
    );
    let unlike = |(i, d): &(usize, &Desc)| !op.is_index(*i) && d.dtype != ins[0].dtype;
    match ins.iter().enumerate().find(|at| image && unlike(at)) {
        Some((_, d)) => {
            Err(Error::unsupported(format!("does not take {d} with {}", ins[0])).op(op.name()))
        }
        None => Ok(()),
    }
}

fn same(name: &'static str, a: &Desc, b: &Desc) -> Result<()> {
    match a.dims == b.dims {
        true => Ok(()),
        false => Err(Error::shape(name, &a.dims, &b.dims)),
    }
}

/// The last dimension.
fn columns(x: &Desc) -> usize {
    x.dims.last().copied().unwrap_or(1)
}

/// A value with rows: two dimensions or more.
fn ranked<'a>(x: &'a Desc, name: &'static str) -> Result<&'a Desc> {
    match x.dims.len() {
        0 | 1 => Err(Error::shape(name, &x.dims, &[0, 0]).mend("this operation takes rows")),
        _ => Ok(x),
    }
}

/// The four dimensions of images, channels last.
fn image(x: &Desc, name: &'static str) -> Result<[usize; 4]> {
    match x.dims[..] {
        [n, h, w, c] if h > 0 && w > 0 => Ok([n, h, w, c]),
        _ => Err(Error::shape(name, &x.dims, &[0, 0, 0, 0])
            .mend("this operation takes images [n, height, width, channels]")),
    }
}

fn gemm(trans_a: bool, trans_b: bool, epilogue: &Epilogue, ins: &[Desc]) -> Result<Desc> {
    let fault = |a: &Desc, b: &Desc| Err(Error::shape("gemm", &a.dims, &b.dims));
    let (a, b) = (&ins[0], &ins[1]);
    let (a0, a1) = a.matrix("gemm")?;
    let (b0, b1) = b.matrix("gemm")?;
    let (m, k) = if trans_a { (a1, a0) } else { (a0, a1) };
    let (kb, n) = if trans_b { (b1, b0) } else { (b0, b1) };
    if k != kb || a.dtype != b.dtype {
        return fault(a, b);
    }
    let out = Desc::new(&[m, n], a.dtype);
    extras("gemm", epilogue, &ins[2..], b, &out)?;
    Ok(out)
}

/// The epilogue's inputs: a value per column for scale and bias, and a residual like the result.
fn extras(
    name: &'static str,
    epilogue: &Epilogue,
    extra: &[Desc],
    weight: &Desc,
    out: &Desc,
) -> Result<()> {
    let vectors = usize::from(epilogue.scale) + usize::from(epilogue.bias);
    for vector in &extra[..vectors] {
        if vector.dims[..] != [columns(out)] {
            return Err(Error::shape(name, &weight.dims, &vector.dims));
        }
    }
    match epilogue.residual {
        true => same(name, out, &extra[vectors]),
        false => Ok(()),
    }
}

fn conv(
    window: &Window,
    groups: usize,
    gated: bool,
    epilogue: &Epilogue,
    ins: &[Desc],
) -> Result<Desc> {
    let name = "conv";
    let [n, h, w, c] = image(&ins[0], name)?;
    let fault = || Err(Error::shape(name, &ins[0].dims, &ins[1].dims));
    let [filters, inner, kh, kw] = ins[1].dims[..] else {
        return fault();
    };
    let whole = groups > 0 && c == inner * groups && filters.is_multiple_of(groups);
    if !whole || filters == 0 || [kh, kw] != window.kernel {
        return fault();
    }
    let (oh, ow) = window.out(name, h, w)?;
    let out = Desc::new(&[n, oh, ow, filters], ins[0].dtype);
    if gated {
        if *window != Window::square(1, 1, 0) || groups != 1 {
            return Err(Error::unsupported("a gate goes with 1x1 windows alone").op(name));
        }
        gate(name, &ins[0], &ins[2])?;
    }
    extras(
        name,
        epilogue,
        &ins[2 + usize::from(gated)..],
        &ins[1],
        &out,
    )?;
    Ok(out)
}

/// A gate has one value an image and channel.
fn gate(name: &'static str, x: &Desc, g: &Desc) -> Result<()> {
    let [n, _, _, c] = image(x, name)?;
    match g.dims[..] == [n, 1, 1, c] {
        true => Ok(()),
        false => Err(Error::shape(name, &x.dims, &g.dims)),
    }
}

fn channel_conv(ins: &[Desc]) -> Result<Vec<Desc>> {
    let [_, h, w, _] = image(&ins[0], "channel_conv")?;
    match ins[1].dims[..] {
        [1, 1, k] if h == 1 && w == 1 && k % 2 == 1 => Ok(vec![ins[0].clone()]),
        _ => Err(Error::shape("channel_conv", &ins[0].dims, &ins[1].dims)),
    }
}

fn concat(name: &'static str, parts: &[Desc]) -> Result<Desc> {
    let first = ranked(&parts[0], name)?;
    let rows = &first.dims[..first.dims.len() - 1];
    let mut all = 0;
    for part in parts {
        match part.dims.split_last() {
            Some((&c, outer)) if outer == rows => all += c,
            _ => return Err(Error::shape(name, &first.dims, &part.dims)),
        }
    }
    let mut dims = rows.to_vec();
    dims.push(all);
    Ok(Desc::new(&dims, first.dtype))
}
