//! Chains of nodes that become one fused operation: a product with what follows it, a gate with what
//! follows it, a batch norm with the concatenation before and the activation behind it, a layer norm
//! with the lookups before it.

use std::collections::HashMap;

use super::{Builder, Fold, formula};
use crate::device::graph::{Graph, Node, Origin, Value};
use crate::device::op::{Act, Epilogue, Op, Window};
use crate::error::{Error, Result};

/// What a chain begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Head {
    /// A bare product or convolution.
    Product,
    /// A gate.
    Gate,
    /// A batch norm that stands behind no product.
    Norm,
    /// A layer norm over a sum of lookups.
    Lookups,
}

/// Nodes that become one, by their place in the graph.
#[derive(Debug)]
pub(super) struct Chain {
    pub head: Head,
    first: usize,
    pub last: usize,
    /// A gate or a concatenation right before the first node, which goes in too.
    before: Option<usize>,
    /// Whether the product's weight is a formula that scales can fold into.
    foldable: bool,
    weight_scale: Option<Fold>,
    scale: Option<Value>,
    bias: Option<Fold>,
    bias_value: Option<Value>,
    residual: Option<Value>,
    act: Option<Act>,
}

/// The chains of a graph.
pub(super) struct Links {
    by_last: HashMap<usize, Chain>,
    absorbed: Vec<bool>,
}

impl Links {
    pub fn none(graph: &Graph) -> Links {
        Links {
            by_last: HashMap::new(),
            absorbed: vec![false; graph.nodes.len()],
        }
    }

    pub fn find(graph: &Graph) -> Links {
        let mut links = Links::none(graph);
        let uses = graph.uses();
        for head in [Head::Product, Head::Gate, Head::Norm, Head::Lookups] {
            for at in 0..graph.nodes.len() {
                if links.absorbed[at] {
                    continue;
                }
                if let Some((chain, members)) = links.follow(graph, &uses, head, at) {
                    members.iter().for_each(|&m| links.absorbed[m] = true);
                    links.by_last.insert(chain.last, chain);
                }
            }
        }
        links
    }

    pub fn ending(&self, at: usize) -> Option<&Chain> {
        self.by_last.get(&at)
    }

    pub fn absorbed(&self, at: usize) -> bool {
        self.absorbed[at]
    }

    /// The chain that begins at node `at`, and its members.
    fn follow(
        &self,
        graph: &Graph,
        uses: &HashMap<Value, usize>,
        head: Head,
        at: usize,
    ) -> Option<(Chain, Vec<usize>)> {
        let node = &graph.nodes[at];
        let begins = match node.op {
            Op::Gemm { epilogue, .. } => head == Head::Product && epilogue == Epilogue::BARE,
            Op::Conv { epilogue, gate, .. } => {
                head == Head::Product && epilogue == Epilogue::BARE && !gate
            }
            Op::Gate => head == Head::Gate,
            Op::BatchNorm { .. } => {
                head == Head::Norm && node.ins[1..].iter().all(|&v| formula(graph, v).is_some())
            }
            _ => false,
        };
        if head == Head::Lookups {
            return self.lookups(graph, uses, at);
        }
        if !begins {
            return None;
        }
        let only = |v: Value| uses.get(&v) == Some(&1) && !graph.outputs.contains(&v);
        let mut chain = Chain {
            before: self.before(graph, &only, node),
            foldable: head == Head::Product && formula(graph, node.ins[1]).is_some(),
            ..Chain::begin(head, at)
        };
        let mut members = vec![at];
        members.extend(chain.before);
        let mut value = node.outs[0];
        while only(value) {
            let next =
                (chain.last + 1..graph.nodes.len()).find(|&n| graph.nodes[n].ins.contains(&value));
            let Some(next) = next else { break };
            if self.absorbed[next] || !chain.absorb(graph, &graph.nodes[next], value) {
                break;
            }
            chain.last = next;
            members.push(next);
            value = graph.nodes[next].outs[0];
        }
        // A product alone is a chain too: constants owed on its input fold into its weight.
        (head != Head::Gate || members.len() > 1).then_some((chain, members))
    }

    /// The chain of a layer norm at `at` over lookups, and its members.
    fn lookups(
        &self,
        graph: &Graph,
        uses: &HashMap<Value, usize>,
        at: usize,
    ) -> Option<(Chain, Vec<usize>)> {
        let node = &graph.nodes[at];
        if !matches!(node.op, Op::LayerNorm { .. }) {
            return None;
        }
        let (mut members, mut open) = (vec![at], vec![node.ins[0]]);
        while let Some(value) = open.pop() {
            let &Origin::Node(from, _) = graph.origin(value) else {
                return None;
            };
            let alone = uses.get(&value) == Some(&1) && !graph.outputs.contains(&value);
            if !alone || self.absorbed[from] {
                return None;
            }
            match graph.nodes[from].op {
                Op::Add => open.extend(&graph.nodes[from].ins),
                Op::Lookup => {}
                _ => return None,
            }
            members.push(from);
        }
        Some((Chain::begin(Head::Lookups, at), members))
    }

    /// The gate or concatenation that `node` alone reads.
    fn before(&self, graph: &Graph, only: &dyn Fn(Value) -> bool, node: &Node) -> Option<usize> {
        let &Origin::Node(at, _) = graph.origin(node.ins[0]) else {
            return None;
        };
        let fits = match (node.op, graph.nodes[at].op) {
            (Op::Conv { window, groups, .. }, Op::Gate) => {
                window == Window::square(1, 1, 0) && groups == 1
            }
            (Op::BatchNorm { .. }, Op::Concat) => true,
            _ => false,
        };
        (fits && only(node.ins[0]) && !self.absorbed[at]).then_some(at)
    }
}

impl Chain {
    /// A chain of one node.
    fn begin(head: Head, at: usize) -> Self {
        Chain {
            head,
            first: at,
            last: at,
            before: None,
            foldable: false,
            weight_scale: None,
            scale: None,
            bias: None,
            bias_value: None,
            residual: None,
            act: None,
        }
    }

    /// Takes one more node in, when it fits behind what is there.
    fn absorb(&mut self, graph: &Graph, node: &Node, value: Value) -> bool {
        let first = node.ins[0] == value;
        let late = self.residual.is_some() || self.act.is_some();
        match node.op {
            Op::Activation(act) if self.act.is_none() => {
                self.act = Some(act);
                true
            }
            Op::Add if self.head != Head::Norm && !late && node.ins[0] != node.ins[1] => {
                self.residual = Some(if first { node.ins[1] } else { node.ins[0] });
                true
            }
            Op::Multiply(by) if self.head != Head::Norm && !late => {
                self.times(Fold::Constant(by.get()))
            }
            Op::Gain if self.head != Head::Norm && !late && first => {
                formula(graph, node.ins[1]).is_some_and(|by| self.times(by))
            }
            _ if self.head != Head::Product || late || !first => false,
            Op::Scale => match formula(graph, node.ins[1]) {
                Some(by) if self.foldable && self.scale.is_none() => self.times(by),
                _ if self.scale.is_none() && self.bias.is_none() && self.bias_value.is_none() => {
                    self.scale = Some(node.ins[1]);
                    true
                }
                _ => false,
            },
            Op::Bias => match formula(graph, node.ins[1]) {
                Some(b) if self.bias_value.is_none() => {
                    self.bias = Some(Fold::plus(self.bias.take(), b));
                    true
                }
                None if self.bias.is_none() && self.bias_value.is_none() => {
                    self.bias_value = Some(node.ins[1]);
                    true
                }
                _ => false,
            },
            Op::BatchNorm { .. } => match norm(graph, node) {
                Some((scale, shift)) if self.times(scale.clone()) => {
                    self.bias = Some(Fold::plus(self.bias.take(), shift));
                    true
                }
                _ => false,
            },
            _ => false,
        }
    }

    /// Multiplies everything so far by a vector or a value, when that folds into weights.
    fn times(&mut self, by: Fold) -> bool {
        let product = self.head == Head::Product;
        if product && (!self.foldable || self.scale.is_some() || self.bias_value.is_some()) {
            return false;
        }
        self.weight_scale = Some(Fold::times(self.weight_scale.take(), by.clone()));
        self.bias = self.bias.take().map(|b| Fold::times(Some(b), by));
        true
    }
}

/// What a batch norm multiplies by and adds, when its statistics are weights.
fn norm(graph: &Graph, node: &Node) -> Option<(Fold, Fold)> {
    let Op::BatchNorm { eps } = node.op else {
        return None;
    };
    let part = |i: usize| formula(graph, node.ins[i]).map(Box::new);
    let (gamma, beta, mean, variance) = (part(1)?, part(2)?, part(3)?, part(4)?);
    let scale = Fold::NormScale {
        gamma,
        variance,
        eps: eps.get(),
    };
    let shift = Fold::NormShift {
        beta,
        mean,
        scale: Box::new(scale.clone()),
    };
    Some((scale, shift))
}

impl Builder<'_> {
    /// A product with its epilogue.
    pub(super) fn product(&mut self, chain: &Chain) -> Result<Value> {
        let node = &self.from.nodes[chain.first];
        let (mut x, mut gate) = (node.ins[0], None);
        if let Some(at) = chain.before {
            let before = &self.from.nodes[at];
            (x, gate) = (before.ins[0], Some(before.ins[1]));
        }
        let (value, owed) = match chain.foldable {
            true => self.owed(x)?,
            false => (self.value(x)?, None),
        };
        let mut ins = vec![value];
        let by = match (chain.weight_scale.clone(), owed) {
            (Some(a), Some(b)) => Some(Fold::times(Some(a), b)),
            (a, b) => a.or(b),
        };
        ins.push(self.factor(node, by)?);
        if let Some(gate) = gate {
            ins.push(self.value(gate)?);
        }
        if let Some(scale) = chain.scale {
            ins.push(self.value(scale)?);
        }
        let columns = self.from.desc(node.outs[0]).dims.last().copied();
        let bias = match (chain.bias.clone(), chain.bias_value) {
            (Some(fold), _) => Some(self.weight(&[columns.unwrap_or(1)], fold)?),
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
        let op = match node.op {
            Op::Gemm {
                trans_a, trans_b, ..
            } => Op::Gemm {
                trans_a,
                trans_b,
                epilogue,
            },
            Op::Conv { window, groups, .. } => Op::Conv {
                window,
                groups,
                gate: gate.is_some(),
                epilogue,
            },
            _ => return Err(Error::internal("a chain begins with a product")),
        };
        self.to.push(op, &ins)
    }

    /// The second factor of a product, multiplied by a value per result column, or by one value.
    fn factor(&mut self, node: &Node, by: Option<Fold>) -> Result<Value> {
        let (Some(by), Some(matrix)) = (by, formula(self.from, node.ins[1])) else {
            return self.value(node.ins[1]);
        };
        let dims = self.from.desc(node.ins[1]).dims.clone();
        let rows = !matches!(node.op, Op::Gemm { trans_b: false, .. });
        let (matrix, by) = (Box::new(matrix), Box::new(by));
        self.weight(&dims, Fold::Spread { matrix, by, rows })
    }

    /// A gate with what follows it.
    pub(super) fn gated(&mut self, chain: &Chain) -> Result<Value> {
        let node = &self.from.nodes[chain.first];
        let (x, owed) = self.owed(node.ins[0])?;
        let mut ins = vec![x, self.value(node.ins[1])?];
        let by = match (chain.weight_scale.clone(), owed) {
            (Some(a), Some(b)) => Some(Fold::times(Some(a), b)),
            (a, b) => a.or(b),
        };
        let factor = by.is_some();
        if let Some(fold) = by {
            ins.push(self.weight(&[1], fold)?);
        }
        if let Some(residual) = chain.residual {
            ins.push(self.value(residual)?);
        }
        let op = Op::Gated {
            factor,
            residual: chain.residual.is_some(),
            act: chain.act.unwrap_or(Act::None),
        };
        self.to.push(op, &ins)
    }

    /// A batch norm as scale and bias, with the concatenation before it.
    pub(super) fn affine(&mut self, chain: &Chain) -> Result<Value> {
        let node = &self.from.nodes[chain.first];
        let parts = match chain.before {
            Some(at) => self.from.nodes[at].ins.clone(),
            None => vec![node.ins[0]],
        };
        let mut ins = Vec::with_capacity(parts.len() + 2);
        for part in parts {
            ins.push(self.value(part)?);
        }
        let (scale, shift) =
            norm(self.from, node).ok_or_else(|| Error::internal("not a batch norm"))?;
        let columns = self.from.desc(node.ins[1]).dims.clone();
        ins.push(self.weight(&columns, scale)?);
        ins.push(self.weight(&columns, shift)?);
        let act = chain.act.unwrap_or(Act::None);
        self.to.push(Op::Affine { act }, &ins)
    }

    /// A layer norm with the lookups whose sum it normalises.
    pub(super) fn embedded(&mut self, chain: &Chain) -> Result<Value> {
        let node = &self.from.nodes[chain.first];
        let Op::LayerNorm { eps } = node.op else {
            return Err(Error::internal("not a layer norm"));
        };
        let (mut tables, mut rows) = (Vec::new(), Vec::new());
        let mut open = vec![node.ins[0]];
        while let Some(value) = open.pop() {
            let &Origin::Node(at, _) = self.from.origin(value) else {
                return Err(Error::internal("not a sum of lookups"));
            };
            let from = &self.from.nodes[at];
            match from.op {
                Op::Lookup => {
                    tables.push(self.value(from.ins[0])?);
                    rows.push(self.value(from.ins[1])?);
                }
                _ => open.extend(from.ins.iter().rev()),
            }
        }
        let op = Op::Embed {
            tables: tables.len(),
            eps,
        };
        let mut ins = tables;
        ins.append(&mut rows);
        for &vector in &node.ins[1..] {
            ins.push(self.value(vector)?);
        }
        self.to.push(op, &ins)
    }
}
