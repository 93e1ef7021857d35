//! The kernel catalogue as data: what can be computed, on which shapes, at what cost.
//!
//! A fused operation is defined by its unfused form ([`Op::unfuse`]), which is also its oracle in
//! tests and its fallback on a device that lacks the fusion.

use super::desc::{DType, Desc};
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

/// One operation. Inputs and outputs are matrices `[rows, columns]` or vectors `[columns]`.
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
            Op::Scale => "scale",
            Op::Bias => "bias",
            Op::Add => "add",
            Op::Activation(_) => "activation",
            Op::ActivationGrad(_) => "activation_grad",
            Op::ColumnSum => "column_sum",
            Op::ColumnDot => "column_dot",
            Op::RowNormalize => "row_normalize",
            Op::SoftmaxCrossEntropy => "softmax_cross_entropy",
        }
    }

    /// The outputs' shapes and types; every shape check of the catalogue is here.
    ///
    /// # Errors
    /// [`Kind::Shape`](crate::error::Kind::Shape) naming the operation and the two shapes that do
    /// not go together; [`Kind::Unsupported`](crate::error::Kind::Unsupported) for a wrong type.
    pub fn infer(&self, ins: &[Desc]) -> Result<Vec<Desc>> {
        let name = self.name();
        let wanted = match self {
            Op::Gemm { epilogue, .. } => 2 + epilogue.inputs(),
            Op::Activation(_) | Op::ColumnSum | Op::RowNormalize => 1,
            _ => 2,
        };
        if ins.len() != wanted {
            let message = format!("takes {wanted} inputs, not {}", ins.len());
            return Err(Error::internal(message).op(name));
        }
        let labels = matches!(self, Op::SoftmaxCrossEntropy);
        for (i, d) in ins.iter().enumerate() {
            let is_label = labels && i == 1;
            if (d.dtype == DType::U32) != is_label {
                return Err(Error::unsupported(format!("does not take {d}")).op(name));
            }
        }
        let same = |a: &Desc, b: &Desc| match a.dims == b.dims {
            true => Ok(()),
            false => Err(Error::shape(name, &a.dims, &b.dims)),
        };
        let column = |x: &Desc, v: &Desc| -> Result<()> {
            let (_, n) = x.matrix(name)?;
            match v.dims[..] == [n] {
                true => Ok(()),
                false => Err(Error::shape(name, &x.dims, &v.dims)),
            }
        };
        match self {
            Op::Gemm {
                trans_a,
                trans_b,
                epilogue,
            } => gemm_shape(*trans_a, *trans_b, epilogue, ins).map(|d| vec![d]),
            Op::Scale | Op::Bias => column(&ins[0], &ins[1]).map(|()| vec![ins[0].clone()]),
            Op::Add | Op::ActivationGrad(_) => {
                same(&ins[0], &ins[1]).map(|()| vec![ins[0].clone()])
            }
            Op::Activation(_) => Ok(vec![ins[0].clone()]),
            Op::RowNormalize => ins[0].matrix(name).map(|_| vec![ins[0].clone()]),
            Op::ColumnSum => {
                let (_, n) = ins[0].matrix(name)?;
                Ok(vec![Desc::new(&[n], ins[0].dtype)])
            }
            Op::ColumnDot => {
                same(&ins[0], &ins[1])?;
                let (_, n) = ins[0].matrix(name)?;
                Ok(vec![Desc::new(&[n], ins[0].dtype)])
            }
            Op::SoftmaxCrossEntropy => {
                let (m, _) = ins[0].matrix(name)?;
                match ins[1].dims[..] == [m] {
                    true => Ok(vec![Desc::new(&[1], DType::F32), ins[0].clone()]),
                    false => Err(Error::shape(name, &ins[0].dims, &ins[1].dims)),
                }
            }
        }
    }

    /// What it costs on these inputs, which [`Op::infer`] accepts.
    pub fn cost(&self, ins: &[Desc]) -> Result<Cost> {
        let outs = self.infer(ins)?;
        let bytes = ins.iter().chain(&outs).map(|d| d.bytes() as u64).sum();
        let elements = ins[0].len() as u64;
        let flops = match self {
            Op::Gemm { trans_a, .. } => {
                let k = if *trans_a {
                    ins[0].dims[0]
                } else {
                    ins[0].dims[1]
                };
                2 * outs[0].len() as u64 * k as u64
            }
            Op::ColumnDot | Op::RowNormalize => 2 * elements,
            Op::SoftmaxCrossEntropy => 4 * elements,
            _ => elements,
        };
        Ok(Cost { flops, bytes })
    }

    /// Pushes the plain operations that a fused one stands for, and gives its outputs. A plain
    /// operation pushes itself.
    pub fn unfuse(&self, graph: &mut Graph, ins: &[Value]) -> Result<Vec<Value>> {
        let Op::Gemm {
            trans_a,
            trans_b,
            epilogue,
        } = *self
        else {
            return graph.push_all(*self, ins);
        };
        let bare = Op::Gemm {
            trans_a,
            trans_b,
            epilogue: Epilogue::BARE,
        };
        let mut extra = ins[2.min(ins.len())..].iter().copied();
        let mut take = || {
            extra
                .next()
                .ok_or_else(|| Error::internal("too few inputs").op("gemm"))
        };
        let mut value = graph.push(bare, &ins[..2.min(ins.len())])?;
        if epilogue.scale {
            value = graph.push(Op::Scale, &[value, take()?])?;
        }
        if epilogue.bias {
            value = graph.push(Op::Bias, &[value, take()?])?;
        }
        if epilogue.residual {
            value = graph.push(Op::Add, &[value, take()?])?;
        }
        if epilogue.act != Act::None {
            value = graph.push(Op::Activation(epilogue.act), &[value])?;
        }
        Ok(vec![value])
    }
}

fn gemm_shape(trans_a: bool, trans_b: bool, epilogue: &Epilogue, ins: &[Desc]) -> Result<Desc> {
    let fault = |a: &Desc, b: &Desc| Err(Error::shape("gemm", &a.dims, &b.dims));
    let (a, b) = (&ins[0], &ins[1]);
    let (a0, a1) = a.matrix("gemm")?;
    let (b0, b1) = b.matrix("gemm")?;
    let (m, k) = if trans_a { (a1, a0) } else { (a0, a1) };
    let (kb, n) = if trans_b { (b1, b0) } else { (b0, b1) };
    if k != kb || a.dtype != b.dtype {
        return fault(a, b);
    }
    let columns = usize::from(epilogue.scale) + usize::from(epilogue.bias);
    for vector in &ins[2..2 + columns] {
        if vector.dims[..] != [n] {
            return fault(b, vector);
        }
    }
    if epilogue.residual && ins[2 + columns].dims[..] != [m, n] {
        return fault(a, &ins[2 + columns]);
    }
    Ok(Desc::new(&[m, n], a.dtype))
}
