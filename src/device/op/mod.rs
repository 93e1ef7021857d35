//! The kernel catalogue as data: what can be computed, on which shapes, at what cost.
//!
//! A fused operation is defined by its unfused form ([`Op::unfuse`]), which is also its oracle in
//! tests and its fallback on a device that lacks the fusion.

mod infer;
mod margin;
mod window;

pub use margin::{Margin, MarginKind};
pub use window::{PoolKind, Scalar, Window};

use super::desc::Desc;
use super::graph::{Graph, Value};
use crate::error::{Error, Result};

/// A pointwise activation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Act {
    /// The identity.
    None,
    /// `max(x, 0)`.
    Relu,
    /// `x * sigmoid(x)` (Elfwing et al. 2017).
    Silu,
    /// `x * Phi(x)` with the exact error function (Hendrycks and Gimpel 2016).
    Gelu,
    /// `x * tanh(ln(1 + e^x))` (Misra 2019).
    Mish,
    /// `1 / (1 + e^-x)`.
    Sigmoid,
}

/// What a product does with its accumulator before storing:
/// `act(acc * scale[n] + bias[n] + residual[m, n])`.
///
/// The extra inputs follow the two factors in the order scale, bias, residual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epilogue {
    /// Multiply by a value per column.
    pub scale: bool,
    /// Add a value per column.
    pub bias: bool,
    /// Add a matrix of the result's shape.
    pub residual: bool,
    /// Then apply this.
    pub act: Act,
}

impl Epilogue {
    /// Nothing but the product.
    pub const BARE: Epilogue = Epilogue {
        scale: false,
        bias: false,
        residual: false,
        act: Act::None,
    };

    /// How many extra inputs it takes.
    pub fn inputs(&self) -> usize {
        usize::from(self.scale) + usize::from(self.bias) + usize::from(self.residual)
    }

    /// Every combination, for tests and benches.
    pub fn all() -> Vec<Epilogue> {
        let acts = [
            Act::None,
            Act::Relu,
            Act::Silu,
            Act::Gelu,
            Act::Mish,
            Act::Sigmoid,
        ];
        let flags = [false, true];
        let mut all = Vec::new();
        for act in acts {
            for scale in flags {
                for bias in flags {
                    for residual in flags {
                        all.push(Epilogue {
                            scale,
                            bias,
                            residual,
                            act,
                        });
                    }
                }
            }
        }
        all
    }
}

/// One operation. Inputs and outputs are matrices `[rows, columns]`, vectors `[columns]`, or images
/// `[n, height, width, channels]`; operations on columns take the channels of images as such.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Op {
    /// `op(A) op(B)` with the [`Epilogue`]; `op` transposes where asked. A is `[M, K]` (or `[K, M]`
    /// transposed), B `[K, N]` (or `[N, K]`), the result `[M, N]`. Accumulates in f32.
    Gemm {
        /// A is stored `[K, M]`.
        trans_a: bool,
        /// B is stored `[N, K]`.
        trans_b: bool,
        /// What is done before storing.
        epilogue: Epilogue,
    },
    /// `(x [n, h, w, c], filters [o, c / groups, kh, kw], ...) -> [n, oh, ow, o]`, filters as
    /// published (PyTorch's `conv2d`); further inputs: the gate, then the epilogue's.
    Conv {
        /// Size, steps and padding (zeros) of the window.
        window: Window,
        /// Groups of channels and filters.
        groups: usize,
        /// Multiply x by a value per image and channel `[n, 1, 1, c]` first; for 1x1 windows.
        gate: bool,
        /// What is done before storing.
        epilogue: Epilogue,
    },
    /// `(x, filters, ...) -> (y, [n, 1, 1, o])`: [`Op::Conv`] without a gate, and
    /// [`Op::GlobalAverage`] of its result.
    ConvAverage {
        /// Size, steps and padding (zeros) of the window.
        window: Window,
        /// Groups of channels and filters.
        groups: usize,
        /// What is done before storing.
        epilogue: Epilogue,
    },
    /// `(x, filters [o, c, 1, 1], filters [o, 1, kh, kw], ...) -> (y, [n, 1, 1, o]?)`: a 1x1 [`Op::Conv`]
    /// that widens x, then one of one filter a channel, and [`Op::GlobalAverage`] of its result where that
    /// is asked for; further inputs: the first one's epilogue's, then the second one's.
    ExpandDepthwise {
        /// Size, steps and padding (zeros) of the second one's window.
        window: Window,
        /// What is done with the wide images.
        expand: Epilogue,
        /// What is done before storing.
        epilogue: Epilogue,
        /// Give the average too.
        average: bool,
    },
    /// `(x [n, 1, 1, c], filters [s, c, 1, 1], filters [o, s, 1, 1], ...) -> [n, 1, 1, o]`: squeeze and
    /// excite (Hu et al. 2018) behind the means: two 1x1 [`Op::Conv`]s of single pixels; further inputs: the
    /// first one's epilogue's, then the second one's.
    SqueezeExcite {
        /// What is done with the first one's result; it has no residual.
        squeeze: Epilogue,
        /// What is done before storing; it has no residual.
        excite: Epilogue,
    },
    /// `x[m, n] * s[n]`.
    Scale,
    /// `x[m, n] + b[n]`.
    Bias,
    /// `x + y`, elementwise.
    Add,
    /// Pointwise activation.
    Activation(Act),
    /// `(x, dy) -> dx` of [`Op::Activation`], x being its input.
    ActivationGrad(Act),
    /// `[M, N] -> [N]`: the sum over rows, in f32.
    ColumnSum,
    /// `(x, y) -> [N]`: the sum over rows of `x * y`, in f32.
    ColumnDot,
    /// Each row divided by its Euclidean length; a row of zeros stays.
    RowNormalize,
    /// `(logits [M, N], labels u32 [M]) -> (loss f32 [1], dlogits [M, N])`: the mean over rows of
    /// softmax cross-entropy, and its gradient. Computed in f32, and `p - 1` formed before rounding.
    SoftmaxCrossEntropy,
    /// `(a [m, k], b [n, k]) -> f32 [m, n]`: the products of the rows of a and of b, in f32 whatever their
    /// type: the cosines, where both are unit rows ([`Op::RowNormalize`]).
    RowProducts,
    /// `(cosines f32 [m, n], labels u32 [m], t?) -> (logits f32 [m, n], t?)`: the [`Margin`] of the true
    /// classes, and the scale. `t`, f32 `[1]`, is [`MarginKind::Curricular`]'s alone: it comes as it was
    /// before this batch, goes as `0.01 * mean of the true classes' cosines + 0.99 * t`, and that is the
    /// one that the logits have.
    Margin(Margin),
    /// `(cosines, labels, t?) -> (loss f32 [1], t?)`: [`Op::Margin`], then the mean over rows of softmax
    /// cross-entropy, no logit being stored.
    MarginLoss(Margin),
    /// `(x, gamma, beta, mean, variance) -> (x - mean) / sqrt(variance + eps) * gamma + beta`, each
    /// of the four a value per column: batch normalisation at inference (Ioffe and Szegedy 2015).
    BatchNorm {
        /// Added to the variance.
        eps: Scalar,
    },
    /// `(filters [o, ...], gain of o values) -> filters`: each filter less its mean, divided by
    /// `sqrt(variance + eps)`, times `gain[o] * scale`: scaled weight standardisation (Brock et al.
    /// 2021, equation 1; scale is gamma / sqrt(fan-in)).
    Standardize {
        /// Added to the (biased) variance.
        eps: Scalar,
        /// Multiplied with every gain.
        scale: Scalar,
    },
    /// Max or average pooling of images.
    Pool {
        /// What is kept.
        kind: PoolKind,
        /// Size, steps and padding of the window.
        window: Window,
    },
    /// `[n, h, w, c] -> [n, 1, 1, c]`: the mean over the pixels.
    GlobalAverage,
    /// `(x [n, h, w, c], p) -> [n, 1, 1, c]`: `mean(max(x, eps)^p)^(1/p)`, the generalised mean of
    /// Radenovic et al. 2018.
    GlobalGem {
        /// The least value.
        eps: Scalar,
    },
    /// `(x [n, 1, 1, c], w [1, 1, k]) -> [n, 1, 1, c]`: a convolution along the channels, padded with
    /// zeros: the heart of efficient channel attention (Wang et al. 2020).
    ChannelConv,
    /// `(x [n, h, w, c], g [n, 1, 1, c]) -> x * g`.
    Gate,
    /// `(x, g, factor?, residual?) -> act(x * g * factor + residual)`: [`Op::Gate`] and what follows.
    Gated {
        /// Multiply by one value.
        factor: bool,
        /// Add a value like x.
        residual: bool,
        /// Then apply this.
        act: Act,
    },
    /// `x * constant`.
    Multiply(Scalar),
    /// `(x, s) -> x * s`, s being one value.
    Gain,
    /// Values side by side along the columns.
    Concat,
    /// `(parts..., scale, bias) -> act(concat(parts) * scale + bias)`.
    Affine {
        /// Applied last.
        act: Act,
    },
    /// `[n, ...] -> [n, rest]`, the same values.
    Flatten,
    /// `(table [v, n], rows u32 [m]) -> [m, n]`: the rows of the table, as they are named.
    Lookup,
    /// `(tables [v, n]..., rows u32 [m]..., gamma, beta) -> [m, n]`: the sum of one row of each table,
    /// then [`Op::LayerNorm`].
    Embed {
        /// How many tables.
        tables: usize,
        /// Added to the variance.
        eps: Scalar,
    },
    /// `(x [m, n], gamma, beta) -> (x - mean) / sqrt(variance + eps) * gamma + beta`, mean and (biased)
    /// variance being those of the row (Ba et al. 2016).
    LayerNorm {
        /// Added to the variance.
        eps: Scalar,
    },
    /// `(q, k, v: [m, n], offsets u32 [s + 1]) -> [m, n]`: multi-head self-attention over `s` sequences
    /// that stand one after the other, sequence `i` in the rows from `offsets[i]` to `offsets[i + 1]`:
    /// `softmax(q k^T * scale) v` within the sequence, for each run of `n / heads` columns by itself
    /// (Vaswani et al. 2017, equation 1). Rows attend to their own sequence alone; nothing is padded.
    Attention {
        /// Runs of columns.
        heads: usize,
        /// Multiplied with every product of q and k; published models have `1 / sqrt(n / heads)`.
        scale: Scalar,
    },
    /// `(x [m, n], offsets u32 [s + 1]) -> [s, n]`: the mean over the rows of each sequence, as in
    /// [`Op::Attention`].
    SegmentMean,
}

/// What an operation costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Floating-point operations; a multiply-add is two.
    pub flops: u64,
    /// Bytes read and written, each value once.
    pub bytes: u64,
}

impl Op {
    /// The name in errors, benches and the table of tolerances.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Gemm { .. } => "gemm",
            Op::Conv { .. } => "conv",
            Op::ConvAverage { .. } => "conv_average",
            Op::ExpandDepthwise { .. } => "expand_depthwise",
            Op::SqueezeExcite { .. } => "squeeze_excite",
            Op::BatchNorm { .. } => "batch_norm",
            Op::Standardize { .. } => "standardize",
            Op::Pool {
                kind: PoolKind::Max,
                ..
            } => "max_pool",
            Op::Pool {
                kind: PoolKind::Average,
                ..
            } => "average_pool",
            Op::GlobalAverage => "global_average",
            Op::GlobalGem { .. } => "global_gem",
            Op::ChannelConv => "channel_conv",
            Op::Gate => "gate",
            Op::Gated { .. } => "gated",
            Op::Multiply(_) => "multiply",
            Op::Gain => "gain",
            Op::Concat => "concat",
            Op::Affine { .. } => "affine",
            Op::Flatten => "flatten",
            Op::Lookup => "lookup",
            Op::Embed { .. } => "embed",
            Op::LayerNorm { .. } => "layer_norm",
            Op::Attention { .. } => "attention",
            Op::SegmentMean => "segment_mean",
            Op::Scale => "scale",
            Op::Bias => "bias",
            Op::Add => "add",
            Op::Activation(_) => "activation",
            Op::ActivationGrad(_) => "activation_grad",
            Op::ColumnSum => "column_sum",
            Op::ColumnDot => "column_dot",
            Op::RowNormalize => "row_normalize",
            Op::SoftmaxCrossEntropy => "softmax_cross_entropy",
            Op::RowProducts => "row_products",
            Op::Margin(_) => "margin",
            Op::MarginLoss(_) => "margin_loss",
        }
    }

    /// The outputs' shapes and types; every shape check of the catalogue is here.
    ///
    /// # Errors
    /// [`Kind::Shape`](crate::error::Kind::Shape) naming the operation and the two shapes that do
    /// not go together; [`Kind::Unsupported`](crate::error::Kind::Unsupported) for a wrong type.
    pub fn infer(&self, ins: &[Desc]) -> Result<Vec<Desc>> {
        infer::infer(self, ins)
    }

    /// Whether input `at` holds rows, labels or offsets (u32) rather than numbers to compute with.
    pub fn is_index(&self, at: usize) -> bool {
        match *self {
            Op::SoftmaxCrossEntropy | Op::Margin(_) | Op::MarginLoss(_) => at == 1,
            Op::Lookup | Op::SegmentMean => at == 1,
            Op::Embed { tables, .. } => (tables..2 * tables).contains(&at),
            Op::Attention { .. } => at == 3,
            _ => false,
        }
    }

    /// What it costs on these inputs, which [`Op::infer`] accepts; attention as if all sequences were
    /// of one length.
    pub fn cost(&self, ins: &[Desc]) -> Result<Cost> {
        let outs = self.infer(ins)?;
        let bytes = ins.iter().chain(&outs).map(|d| d.bytes() as u64).sum();
        let elements = ins[0].len() as u64;
        let flops = match self {
            Op::Gemm { trans_a, .. } => {
                let k = ins[0].dims[usize::from(!trans_a)];
                2 * outs[0].len() as u64 * k as u64
            }
            Op::Conv { .. } => {
                let depth: usize = ins[1].dims[1..].iter().product();
                2 * outs[0].len() as u64 * depth as u64
            }
            Op::ConvAverage { .. } => {
                let depth: usize = ins[1].dims[1..].iter().product();
                outs[0].len() as u64 * (2 * depth as u64 + 1)
            }
            Op::ExpandDepthwise { average, .. } => {
                let [places, depth] = [2, 1].map(|i| ins[i].dims[1..].iter().product::<usize>());
                let pixels: usize = ins[0].dims[..3].iter().product();
                let wide = 2 * (pixels * ins[1].dims[0] * depth) as u64;
                wide + outs[0].len() as u64 * (2 * places as u64 + u64::from(*average))
            }
            Op::SqueezeExcite { .. } => 2 * (ins[0].dims[0] * (ins[1].len() + ins[2].len())) as u64,
            Op::RowProducts => 2 * outs[0].len() as u64 * ins[0].dims[1] as u64,
            Op::Margin(_) => 2 * elements,
            Op::MarginLoss(_) => 6 * elements,
            Op::Pool { window, .. } => (outs[0].len() * window.kernel[0] * window.kernel[1]) as u64,
            Op::ColumnDot | Op::RowNormalize | Op::BatchNorm { .. } => 2 * elements,
            Op::Gated { .. } | Op::GlobalGem { .. } => 2 * elements,
            Op::ChannelConv => 2 * elements * ins[1].len() as u64,
            Op::Standardize { .. } | Op::SoftmaxCrossEntropy => 4 * elements,
            Op::Affine { .. } => 2 * outs[0].len() as u64,
            Op::Attention { .. } => {
                let sequences = ins[3].len().saturating_sub(1).max(1);
                4 * elements * ins[0].dims[0].div_ceil(sequences) as u64
            }
            Op::LayerNorm { .. } => 4 * elements,
            Op::Embed { tables, .. } => (*tables as u64 + 3) * outs[0].len() as u64,
            Op::Concat | Op::Flatten | Op::Lookup => 0,
            _ => elements,
        };
        Ok(Cost { flops, bytes })
    }

    /// Pushes the plain operations that a fused one stands for, and gives its outputs. A plain
    /// operation pushes itself.
    pub fn unfuse(&self, graph: &mut Graph, ins: &[Value]) -> Result<Vec<Value>> {
        let name = self.name();
        let few = || Error::internal("too few inputs").op(name);
        let mut rest = ins.iter().copied();
        let mut take = || rest.next().ok_or_else(few);
        match *self {
            Op::Gemm {
                trans_a,
                trans_b,
                epilogue,
            } => {
                let bare = Op::Gemm {
                    trans_a,
                    trans_b,
                    epilogue: Epilogue::BARE,
                };
                let value = graph.push(bare, &[take()?, take()?])?;
                epilogue.unfuse(graph, value, take)
            }
            Op::Conv {
                window,
                groups,
                gate,
                epilogue,
            } => {
                let (mut x, filters) = (take()?, take()?);
                if gate {
                    x = graph.push(Op::Gate, &[x, take()?])?;
                }
                let bare = Op::Conv {
                    window,
                    groups,
                    gate: false,
                    epilogue: Epilogue::BARE,
                };
                let value = graph.push(bare, &[x, filters])?;
                epilogue.unfuse(graph, value, take)
            }
            Op::ConvAverage {
                window,
                groups,
                epilogue,
            } => {
                let conv = Op::Conv {
                    window,
                    groups,
                    gate: false,
                    epilogue,
                };
                let value = graph.push(conv, ins)?;
                Ok(vec![value, graph.push(Op::GlobalAverage, &[value])?])
            }
            Op::ExpandDepthwise { .. } | Op::SqueezeExcite { .. } => {
                let (extra, rest) = ins
                    .get(3..)
                    .and_then(|extras| extras.split_at_checked(self.first_extras()))
                    .ok_or_else(few)?;
                let (first, second) = self.conv_parts(graph.desc(ins[1])).ok_or_else(few)?;
                let wide = graph.push(first, &[&ins[..2], extra].concat())?;
                graph.push_all(second, &[&[wide, ins[2]], rest].concat())
            }
            Op::Gated {
                factor,
                residual,
                act,
            } => {
                let mut value = graph.push(Op::Gate, &[take()?, take()?])?;
                if factor {
                    value = graph.push(Op::Gain, &[value, take()?])?;
                }
                let rest = Epilogue {
                    residual,
                    act,
                    ..Epilogue::BARE
                };
                rest.unfuse(graph, value, take)
            }
            Op::Affine { act } => {
                let (parts, vectors) = ins.split_at(ins.len().checked_sub(2).ok_or_else(few)?);
                let value = graph.push(Op::Concat, parts)?;
                let rest = Epilogue {
                    scale: true,
                    bias: true,
                    act,
                    ..Epilogue::BARE
                };
                let mut vectors = vectors.iter().copied();
                rest.unfuse(graph, value, || vectors.next().ok_or_else(few))
            }
            Op::Embed { tables, eps } => {
                let (from, vectors) = ins.split_at_checked(2 * tables).ok_or_else(few)?;
                let mut sum = None;
                for (&table, &rows) in from[..tables].iter().zip(&from[tables..]) {
                    let value = graph.push(Op::Lookup, &[table, rows])?;
                    sum = Some(match sum {
                        Some(before) => graph.push(Op::Add, &[before, value])?,
                        None => value,
                    });
                }
                let mut norm = vec![sum.ok_or_else(few)?];
                norm.extend_from_slice(vectors);
                graph.push_all(Op::LayerNorm { eps }, &norm)
            }
            Op::MarginLoss(margin) => {
                let made = graph.push_all(Op::Margin(margin), ins)?;
                let labels = *ins.get(1).ok_or_else(few)?;
                let losses = graph.push_all(Op::SoftmaxCrossEntropy, &[made[0], labels])?;
                Ok([&losses[..1], &made[1..]].concat())
            }
            _ => graph.push_all(*self, ins),
        }
    }
}

impl Op {
    /// The two convolutions that [`Op::ExpandDepthwise`] or [`Op::SqueezeExcite`] stands for, by the first
    /// one's filters.
    pub(crate) fn conv_parts(&self, filters: &Desc) -> Option<(Op, Op)> {
        let point = |epilogue| Op::Conv {
            window: Window::square(1, 1, 0),
            groups: 1,
            gate: false,
            epilogue,
        };
        let groups = *filters.dims.first()?;
        match *self {
            Op::SqueezeExcite { squeeze, excite } => Some((point(squeeze), point(excite))),
            Op::ExpandDepthwise {
                window,
                expand,
                epilogue,
                average: true,
            } => {
                let second = Op::ConvAverage {
                    window,
                    groups,
                    epilogue,
                };
                Some((point(expand), second))
            }
            Op::ExpandDepthwise {
                window,
                expand,
                epilogue,
                average: false,
            } => {
                let second = Op::Conv {
                    window,
                    groups,
                    gate: false,
                    epilogue,
                };
                Some((point(expand), second))
            }
            _ => None,
        }
    }

    /// How many inputs behind the third belong to the first of [`Op::conv_parts`].
    pub(crate) fn first_extras(&self) -> usize {
        match self {
            Op::ExpandDepthwise { expand, .. } => expand.inputs(),
            Op::SqueezeExcite { squeeze, .. } => squeeze.inputs(),
            _ => 0,
        }
    }
}

impl Epilogue {
    /// Pushes what the epilogue stands for behind `value`, `take` giving its inputs in order.
    fn unfuse(
        &self,
        graph: &mut Graph,
        mut value: Value,
        mut take: impl FnMut() -> Result<Value>,
    ) -> Result<Vec<Value>> {
        if self.scale {
            value = graph.push(Op::Scale, &[value, take()?])?;
        }
        if self.bias {
            value = graph.push(Op::Bias, &[value, take()?])?;
        }
        if self.residual {
            value = graph.push(Op::Add, &[value, take()?])?;
        }
        if self.act != Act::None {
            value = graph.push(Op::Activation(self.act), &[value])?;
        }
        Ok(vec![value])
    }
}
