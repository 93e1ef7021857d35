//! Lowering: for inference, per-column scales fold into weights and what follows a product becomes
//! its epilogue; for training, neither happens, since backward rules exist for plain operations.

use std::collections::HashMap;

use super::desc::{DType, Desc};
use super::graph::{Graph, Node, Origin, Value};
use super::op::{Act, Epilogue, Op};
use crate::error::Result;

/// The type in which values are stored; accumulators are f32 always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Precision {
    /// Single precision.
    F32,
    /// Half precision.
    F16,
}

impl Precision {
    fn dtype(self) -> DType {
        match self {
            Precision::F32 => DType::F32,
            Precision::F16 => DType::F16,
        }
    }
}

/// How a graph is lowered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lower {
    /// Folded and fused.
    Infer(Precision),
    /// As it was written.
    Train(Precision),
}

/// A weight of the lowered graph, as a formula over the published ones. Evaluated once, on the host.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fold {
    /// A published weight.
    Param(String),
    /// A matrix whose columns (rows, when it is stored transposed) are multiplied by a vector.
    Columns {
        matrix: Box<Fold>,
        by: Box<Fold>,
        transposed: bool,
    },
    /// Two vectors multiplied.
    Times(Box<Fold>, Box<Fold>),
    /// Two vectors added.
    Plus(Box<Fold>, Box<Fold>),
}

/// A lowered graph and the formulas of its weights, by their key in it.
pub(super) struct Lowered {
    pub graph: Graph,
    pub folds: HashMap<String, Fold>,
}

/// A bare product and the nodes after it that become its epilogue, by their place in the graph.
#[derive(Default)]
struct Chain {
    last: usize,
    weight_scale: Option<Fold>,
    scale: Option<Value>,
    bias: Option<Fold>,
    bias_value: Option<Value>,
    residual: Option<Value>,
    act: Option<Act>,
}

pub(super) fn lower(graph: &Graph, how: Lower) -> Result<Lowered> {
    let (precision, fuse) = match how {
        Lower::Infer(precision) => (precision, true),
        Lower::Train(precision) => (precision, false),
    };
    let mut out = Builder {
        from: graph,
        to: Graph::new(),
        map: HashMap::new(),
        folds: HashMap::new(),
        precision,
    };
    let uses = graph.uses();
    let mut ends: HashMap<usize, (usize, Chain)> = HashMap::new();
    let mut absorbed = vec![false; graph.nodes.len()];
    if fuse {
        for at in 0..graph.nodes.len() {
            if let Some((chain, members)) = out.chain(at, &uses, &absorbed) {
                members.iter().for_each(|&m| absorbed[m] = true);
                ends.insert(chain.last, (at, chain));
            }
        }
    }
    for input in graph.inputs() {
        out.value(input)?;
    }
    for (at, node) in graph.nodes.iter().enumerate() {
        match ends.remove(&at) {
            Some((product, chain)) => out.fused(&graph.nodes[product], node, chain)?,
            None if absorbed[at] => {}
            None => out.plain(node)?,
        }
    }
    let outputs: Vec<Value> = graph
        .outputs
        .iter()
        .map(|&v| out.value(v))
        .collect::<Result<_>>()?;
    out.to.output(&outputs);
    Ok(Lowered {
        graph: out.to,
        folds: out.folds,
    })
}

struct Builder<'a> {
    from: &'a Graph,
    to: Graph,
    map: HashMap<Value, Value>,
    folds: HashMap<String, Fold>,
    precision: Precision,
}

impl Builder<'_> {
    /// The new graph's value for an old one; inputs and weights come over when first asked for.
    fn value(&mut self, old: Value) -> Result<Value> {
        if let Some(&new) = self.map.get(&old) {
            return Ok(new);
        }
        let desc = self.stored(self.from.desc(old));
        let new = match self.from.origin(old) {
            Origin::Input(name) => self.to.input(name, desc),
            Origin::Param(key) => self.weight(&desc.dims, Fold::Param(key.clone()))?,
            Origin::Node(..) => return Err(crate::Error::internal("a value before its node")),
        };
        self.map.insert(old, new);
        Ok(new)
    }

    fn stored(&self, desc: &Desc) -> Desc {
        let dtype = if desc.dtype == DType::F32 {
            self.precision.dtype()
        } else {
            desc.dtype
        };
        Desc {
            dims: desc.dims.clone(),
            dtype,
        }
    }

    /// A weight of the new graph; its key is its formula, so that the same one is made once.
    fn weight(&mut self, dims: &[usize], fold: Fold) -> Result<Value> {
        let key = match &fold {
            Fold::Param(key) => key.clone(),
            other => format!("{other:?}"),
        };
        let value = self.to.param(&key, dims)?;
        self.to.values[value.0 as usize].0.dtype = self.precision.dtype();
        self.folds.insert(key, fold);
        Ok(value)
    }

    fn param(&self, value: Value) -> Option<Fold> {
        match self.from.origin(value) {
            Origin::Param(key) => Some(Fold::Param(key.clone())),
            _ => None,
        }
    }

    fn plain(&mut self, node: &Node) -> Result<()> {
        let ins: Vec<Value> = node
            .ins
            .iter()
            .map(|&v| self.value(v))
            .collect::<Result<_>>()?;
        let outs = self.to.push_all(node.op, &ins)?;
        self.map.extend(node.outs.iter().copied().zip(outs));
        Ok(())
    }

    /// What follows the bare product at `at` and is read nowhere else.
    fn chain(
        &self,
        at: usize,
        uses: &HashMap<Value, usize>,
        absorbed: &[bool],
    ) -> Option<(Chain, Vec<usize>)> {
        let nodes = &self.from.nodes;
        let Op::Gemm {
            epilogue: Epilogue::BARE,
            ..
        } = nodes[at].op
        else {
            return None;
        };
        let weight = self.param(nodes[at].ins[1]);
        let mut chain = Chain {
            last: at,
            ..Chain::default()
        };
        let mut members = vec![at];
        let mut value = nodes[at].outs[0];
        while uses.get(&value) == Some(&1) && !self.from.outputs.contains(&value) {
            let next = (chain.last + 1..nodes.len()).find(|&n| nodes[n].ins.contains(&value));
            let Some(next) = next else { break };
            if absorbed[next] || !self.absorb(&mut chain, &nodes[next], value, weight.is_some()) {
                break;
            }
            chain.last = next;
            members.push(next);
            value = nodes[next].outs[0];
        }
        (members.len() > 1).then_some((chain, members))
    }

    /// Takes one more node into the epilogue, when it fits behind what is there.
    fn absorb(&self, c: &mut Chain, node: &Node, value: Value, weight: bool) -> bool {
        let late = c.residual.is_some() || c.act.is_some();
        let times = |a: Option<Fold>, b: &Fold| match a {
            Some(a) => Fold::Times(Box::new(a), Box::new(b.clone())),
            None => b.clone(),
        };
        match node.op {
            Op::Scale if !late && node.ins[0] == value && c.bias_value.is_none() => {
                match self.param(node.ins[1]) {
                    Some(by) if weight && c.scale.is_none() => {
                        c.weight_scale = Some(times(c.weight_scale.take(), &by));
                        c.bias = c.bias.take().map(|b| times(Some(b), &by));
                        true
                    }
                    _ if c.scale.is_none() && c.bias.is_none() => {
                        c.scale = Some(node.ins[1]);
                        true
                    }
                    _ => false,
                }
            }
            Op::Bias if !late && node.ins[0] == value => match self.param(node.ins[1]) {
                Some(b) if c.bias_value.is_none() => {
                    c.bias = Some(match c.bias.take() {
                        Some(a) => Fold::Plus(Box::new(a), Box::new(b)),
                        None => b,
                    });
                    true
                }
                None if c.bias.is_none() && c.bias_value.is_none() => {
                    c.bias_value = Some(node.ins[1]);
                    true
                }
                _ => false,
            },
            Op::Add if !late && node.ins[0] != node.ins[1] => {
                let other = if node.ins[0] == value {
                    node.ins[1]
                } else {
                    node.ins[0]
                };
                c.residual = Some(other);
                true
            }
            Op::Activation(act) if c.act.is_none() => {
                c.act = Some(act);
                true
            }
            _ => false,
        }
    }

    fn fused(&mut self, product: &Node, last: &Node, chain: Chain) -> Result<()> {
        let Op::Gemm {
            trans_a, trans_b, ..
        } = product.op
        else {
            return Err(crate::Error::internal("a chain begins with a product"));
        };
        let mut ins = vec![self.value(product.ins[0])?];
        let columns = self.from.desc(product.outs[0]).dims[1];
        match (chain.weight_scale, self.param(product.ins[1])) {
            (Some(by), Some(matrix)) => {
                let dims = self.from.desc(product.ins[1]).dims.clone();
                let (matrix, by) = (Box::new(matrix), Box::new(by));
                ins.push(self.weight(
                    &dims,
                    Fold::Columns {
                        matrix,
                        by,
                        transposed: trans_b,
                    },
                )?);
            }
            _ => ins.push(self.value(product.ins[1])?),
        }
        if let Some(scale) = chain.scale {
            ins.push(self.value(scale)?);
        }
        let bias = match (chain.bias, chain.bias_value) {
            (Some(fold), _) => Some(self.weight(&[columns], fold)?),
            (None, Some(value)) => Some(self.value(value)?),
            (None, None) => None,
        };
        ins.extend(bias);
        if let Some(residual) = chain.residual {
            ins.push(self.value(residual)?);
        }
        let epilogue = Epilogue {
            scale: chain.scale.is_some(),
            bias: bias.is_some(),
            residual: chain.residual.is_some(),
            act: chain.act.unwrap_or(Act::None),
        };
        let new = self.to.push(
            Op::Gemm {
                trans_a,
                trans_b,
                epilogue,
            },
            &ins,
        )?;
        self.map.insert(last.outs[0], new);
        Ok(())
    }
}
