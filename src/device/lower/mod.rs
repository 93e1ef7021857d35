//! Lowering: for inference, batch norms, scales and constants fold into weights, and what follows a
//! product or a gate becomes its epilogue; for training, neither happens, since backward rules exist
//! for plain operations.

mod average;
mod chain;
mod expand;
mod fold;

use std::collections::HashMap;
use std::fmt;

pub(super) use fold::{Fold, Folds, Rows, check};

use super::desc::{DType, Desc};
use super::graph::{Graph, Node, Origin, Value};
use super::op::{Op, PoolKind};
use crate::error::Result;
use chain::{Chain, Links};

/// The type in which values are stored; accumulators are f32 always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Precision {
    /// Single precision.
    F32,
    /// Half precision.
    F16,
    /// The range of single precision with 8 bits: where half precision overflows.
    BF16,
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.dtype().fmt(f)
    }
}

impl Precision {
    /// The type of stored values.
    pub fn dtype(self) -> DType {
        match self {
            Precision::F32 => DType::F32,
            Precision::F16 => DType::F16,
            Precision::BF16 => DType::BF16,
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

/// A lowered graph and the formulas of its weights, by their key in it.
pub(super) struct Lowered {
    pub graph: Graph,
    pub folds: HashMap<String, Fold>,
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
        carried: HashMap::new(),
        folds: HashMap::new(),
        precision,
        fuse,
    };
    let links = match fuse {
        true => Links::find(graph),
        false => Links::none(graph),
    };
    for input in graph.inputs() {
        out.value(input)?;
    }
    for (at, node) in graph.nodes.iter().enumerate() {
        match links.ending(at) {
            Some(chain) => out.chain(chain)?,
            None if links.absorbed(at) => {}
            None => out.single(node)?,
        }
    }
    let outputs: Vec<Value> = graph
        .outputs
        .iter()
        .map(|&v| out.value(v))
        .collect::<Result<_>>()?;
    out.to.output(&outputs);
    Ok(Lowered {
        graph: match fuse {
            true => expand::expanded(average::averaged(out.to)?)?,
            false => out.to,
        },
        folds: out.folds,
    })
}

/// The formula behind a value that depends on weights alone.
fn formula(graph: &Graph, value: Value) -> Option<Fold> {
    match graph.origin(value) {
        Origin::Param(key) => Some(Fold::Param(key.clone())),
        &Origin::Node(at, _) => {
            let node = &graph.nodes[at];
            let Op::Standardize { eps, scale } = node.op else {
                return None;
            };
            let filters = Box::new(formula(graph, node.ins[0])?);
            let gain = Box::new(formula(graph, node.ins[1])?);
            Some(Fold::Standardize {
                filters,
                gain,
                eps: eps.get(),
                scale: scale.get(),
            })
        }
        Origin::Input(_) => None,
    }
}

struct Builder<'a> {
    from: &'a Graph,
    to: Graph,
    map: HashMap<Value, Value>,
    /// What a value of the old graph is, as a multiple of the one in `map`.
    carried: HashMap<Value, Fold>,
    folds: HashMap<String, Fold>,
    precision: Precision,
    fuse: bool,
}

impl Builder<'_> {
    /// The new graph's value for an old one, as it is and the multiple that is still owed; inputs and
    /// weights come over when first asked for.
    fn owed(&mut self, old: Value) -> Result<(Value, Option<Fold>)> {
        if let Some(&new) = self.map.get(&old) {
            return Ok((new, self.carried.get(&old).cloned()));
        }
        let desc = self.stored(self.from.desc(old));
        let new = match self.from.origin(old) {
            Origin::Input(name) => self.to.input(name, desc),
            Origin::Param(key) => self.weight(&desc.dims, Fold::Param(key.clone()))?,
            Origin::Node(..) => match formula(self.from, old).filter(|_| self.fuse) {
                Some(fold) => self.weight(&desc.dims, fold)?,
                None => return Err(crate::Error::internal("a value before its node")),
            },
        };
        self.map.insert(old, new);
        Ok((new, None))
    }

    /// The new graph's value for an old one, with nothing owed.
    fn value(&mut self, old: Value) -> Result<Value> {
        let (value, owed) = self.owed(old)?;
        let Some(fold) = owed else {
            return Ok(value);
        };
        let factor = self.weight(&[1], fold)?;
        let whole = self.to.push(Op::Gain, &[value, factor])?;
        self.map.insert(old, whole);
        self.carried.remove(&old);
        Ok(whole)
    }

    fn stored(&self, desc: &Desc) -> Desc {
        let dtype = match desc.dtype {
            DType::F32 => self.precision.dtype(),
            other => other,
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

    /// A node that is part of no chain.
    fn single(&mut self, node: &Node) -> Result<()> {
        if self.fuse && formula(self.from, node.outs[0]).is_some() {
            return Ok(());
        }
        let by = match node.op {
            Op::Multiply(by) if self.fuse => Some(Fold::Constant(by.get())),
            Op::Gain if self.fuse => formula(self.from, node.ins[1]),
            _ => None,
        };
        if let Some(by) = by {
            let (value, owed) = self.owed(node.ins[0])?;
            self.map.insert(node.outs[0], value);
            self.carried.insert(node.outs[0], Fold::times(owed, by));
            return Ok(());
        }
        // What is linear in its first input passes on what is owed on it.
        let linear = matches!(
            node.op,
            Op::Pool {
                kind: PoolKind::Average,
                ..
            } | Op::GlobalAverage
                | Op::Gate
                | Op::Flatten
        );
        let mut owed = None;
        let mut ins = Vec::with_capacity(node.ins.len());
        for (i, &old) in node.ins.iter().enumerate() {
            ins.push(match linear && i == 0 {
                true => {
                    let (value, rest) = self.owed(old)?;
                    owed = rest;
                    value
                }
                false => self.value(old)?,
            });
        }
        let outs = self.to.push_all(node.op, &ins)?;
        self.map.extend(node.outs.iter().copied().zip(outs));
        if let Some(rest) = owed {
            self.carried.insert(node.outs[0], rest);
        }
        Ok(())
    }

    /// The fused operation for a chain of nodes.
    fn chain(&mut self, chain: &Chain) -> Result<()> {
        let new = match chain.head {
            chain::Head::Product => self.product(chain)?,
            chain::Head::Gate => self.gated(chain)?,
            chain::Head::Norm => self.affine(chain)?,
            chain::Head::Lookups => self.embedded(chain)?,
        };
        let last = self.from.nodes[chain.last].outs[0];
        self.map.insert(last, new);
        Ok(())
    }
}
