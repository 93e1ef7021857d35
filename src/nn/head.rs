//! From the features of an image's pixels to its embedding.

use super::layers::Net;
use crate::device::{Epilogue, Op, Scalar, Value};
use crate::error::{Error, Result};
use crate::limits;

/// How the features of all pixels become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum GlobalPool {
    /// The mean.
    #[default]
    Average,
    /// The generalised mean of Radenovic et al. 2018, with the power `embed.pool.p` (one value) and
    /// values below 1e-6 counted as that.
    Gem,
}

/// The head of an embedding learner: pool, dropout (nothing at inference), a fully connected layer
/// (`embed.fc.weight [dims, width]`, `embed.fc.bias`) and batch norm (`embed.bn.*`, eps 1e-5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Head {
    /// How many dimensions the embedding has; 512 in the published systems.
    pub dims: usize,
}

/// Added to the variance by the head's batch norm, whatever the backbone's.
const EPS: f32 = 1e-5;
const GEM_EPS: f32 = 1e-6;

/// `[n, h, w, c]` to `[n, c]`.
pub(super) fn pooled(net: &mut Net, x: Value, pool: GlobalPool) -> Result<Value> {
    let pooled = match pool {
        GlobalPool::Average => net.graph.push(Op::GlobalAverage, &[x])?,
        GlobalPool::Gem => {
            let p = net.graph.param("embed.pool.p", &[1])?;
            let eps = Scalar::new(GEM_EPS);
            net.graph.push(Op::GlobalGem { eps }, &[x, p])?
        }
    };
    net.graph.push(Op::Flatten, &[pooled])
}

/// `[n, c]` to `[n, dims]`.
pub(super) fn embedded(net: &mut Net, x: Value, head: Head) -> Result<Value> {
    if head.dims == 0 || head.dims > limits::MAX_DIMS {
        return Err(
            Error::limit(format!("an embedding of {} dimensions", head.dims))
                .mend(format!("give 1 to {}", limits::MAX_DIMS)),
        );
    }
    let dims = [head.dims, net.channels(x)];
    let weight = net.graph.param("embed.fc.weight", &dims)?;
    let product = Op::Gemm {
        trans_a: false,
        trans_b: true,
        epilogue: Epilogue::BARE,
    };
    let mut y = net.graph.push(product, &[x, weight])?;
    y = net.bias(y, "embed.fc")?;
    net.norm_with(y, "embed.bn", Scalar::new(EPS))
}
