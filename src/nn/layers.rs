//! What the backbones are built of: operations with the weights that belong to them, by their keys.

use crate::device::{Act, DType, Desc, Epilogue, Graph, Op, PoolKind, Scalar, Value, Window};
use crate::error::Result;

/// A graph under construction, and what holds for all of a backbone's layers.
pub(super) struct Net {
    pub graph: Graph,
    /// Stands in for the backbone's own activation.
    swap: Option<Act>,
    /// Added to the variance by batch norms.
    eps: Scalar,
    /// TensorFlow's "same" padding.
    same: bool,
}

/// The shape of a convolution.
#[derive(Clone, Copy)]
pub(super) struct Conv {
    pub filters: usize,
    pub kernel: usize,
    pub stride: usize,
    pub groups: usize,
}

impl Conv {
    /// `filters` windows of `kernel` x `kernel`, step by step.
    pub fn new(filters: usize, kernel: usize) -> Self {
        Conv {
            filters,
            kernel,
            stride: 1,
            groups: 1,
        }
    }

    pub fn stride(mut self, stride: usize) -> Self {
        self.stride = stride;
        self
    }

    pub fn groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
    }
}

impl Net {
    pub fn new(swap: Option<Act>, eps: f32, same: bool) -> Self {
        Net {
            graph: Graph::new(),
            swap,
            eps: Scalar::new(eps),
            same,
        }
    }

    /// The images, channels last.
    pub fn image(&mut self, batch: usize, size: usize) -> Value {
        let desc = Desc::new(&[batch, size, size, 3], DType::F32);
        self.graph.input("image", desc)
    }

    /// The channels of a value.
    pub fn channels(&self, x: Value) -> usize {
        self.graph.desc(x).dims.last().copied().unwrap_or(0)
    }

    /// Height and width of images.
    fn sides(&self, x: Value) -> (usize, usize) {
        match self.graph.desc(x).dims[..] {
            [_, h, w, _] => (h, w),
            _ => (0, 0),
        }
    }

    /// A convolution without bias; `{key}.weight`.
    pub fn conv(&mut self, x: Value, key: &str, conv: Conv) -> Result<Value> {
        let filters = self.filters(x, key, conv)?;
        self.convolve(x, filters, conv)
    }

    /// The filters of a convolution over `x`, as published.
    pub fn filters(&mut self, x: Value, key: &str, conv: Conv) -> Result<Value> {
        let inner = self.channels(x) / conv.groups;
        let dims = [conv.filters, inner, conv.kernel, conv.kernel];
        self.graph.param(&format!("{key}.weight"), &dims)
    }

    /// A convolution with filters that may have been computed.
    pub fn convolve(&mut self, x: Value, filters: Value, conv: Conv) -> Result<Value> {
        let (h, w) = self.sides(x);
        let window = match self.same {
            true => Window::same(conv.kernel, conv.stride, h, w),
            false => Window::square(conv.kernel, conv.stride, conv.kernel / 2),
        };
        let op = Op::Conv {
            window,
            groups: conv.groups,
            gate: false,
            epilogue: Epilogue::BARE,
        };
        self.graph.push(op, &[x, filters])
    }

    /// `{key}.bias`, one value a channel.
    pub fn bias(&mut self, x: Value, key: &str) -> Result<Value> {
        let bias = self
            .graph
            .param(&format!("{key}.bias"), &[self.channels(x)])?;
        self.graph.push(Op::Bias, &[x, bias])
    }

    /// Batch normalisation with the statistics of training.
    pub fn norm(&mut self, x: Value, key: &str) -> Result<Value> {
        self.norm_with(x, key, self.eps)
    }

    pub fn norm_with(&mut self, x: Value, key: &str, eps: Scalar) -> Result<Value> {
        let mut ins = vec![x];
        for part in ["weight", "bias", "running_mean", "running_var"] {
            let dims = [self.channels(x)];
            ins.push(self.graph.param(&format!("{key}.{part}"), &dims)?);
        }
        self.graph.push(Op::BatchNorm { eps }, &ins)
    }

    /// The backbone's activation, `own` unless it is swapped.
    pub fn act(&mut self, x: Value, own: Act) -> Result<Value> {
        match self.swap.unwrap_or(own) {
            Act::None => Ok(x),
            act => self.graph.push(Op::Activation(act), &[x]),
        }
    }

    pub fn norm_act(&mut self, x: Value, key: &str, own: Act) -> Result<Value> {
        let x = self.norm(x, key)?;
        self.act(x, own)
    }

    pub fn sigmoid(&mut self, x: Value) -> Result<Value> {
        self.graph.push(Op::Activation(Act::Sigmoid), &[x])
    }

    pub fn add(&mut self, x: Value, y: Value) -> Result<Value> {
        self.graph.push(Op::Add, &[x, y])
    }

    /// Pooling with a window of its own.
    pub fn pool(&mut self, x: Value, kind: PoolKind, window: Window) -> Result<Value> {
        self.graph.push(Op::Pool { kind, window }, &[x])
    }

    /// Average pooling in steps of two, where the last window may be partial.
    pub fn halve_up(&mut self, x: Value) -> Result<Value> {
        let (h, w) = self.sides(x);
        self.pool(x, PoolKind::Average, Window::ceil(2, 2, h, w))
    }
}
