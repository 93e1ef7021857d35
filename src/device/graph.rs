//! An architecture as one static graph, written once and lowered to inference or to training.

use std::collections::HashMap;

use super::desc::{DType, Desc};
use super::op::Op;
use crate::error::{Error, Result};

/// A value of a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(pub(super) u32);

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Given at each run, under this name.
    Input(String),
    /// A weight, under timm's or Hugging Face's key.
    Param(String),
    /// Output `1` of node `0`.
    Node(usize, usize),
}

/// One operation with its inputs and outputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What is computed.
    pub op: Op,
    /// From what.
    pub ins: Vec<Value>,
    /// Into what.
    pub outs: Vec<Value>,
}

/// Operations in an order in which they can run; values are f32 until a plan gives a precision.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    pub(super) nodes: Vec<Node>,
    pub(super) values: Vec<(Desc, Origin)>,
    pub(super) outputs: Vec<Value>,
    /// The weights by key.
    weights: HashMap<String, Value>,
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Self {
        Graph::default()
    }

    /// A value given at each run.
    pub fn input(&mut self, name: &str, desc: Desc) -> Value {
        self.value(desc, Origin::Input(name.to_string()))
    }

    /// A weight of shape `dims`, known by its published key. The same key gives the same value.
    ///
    /// # Errors
    /// The key was asked for before with another shape.
    pub fn param(&mut self, key: &str, dims: &[usize]) -> Result<Value> {
        if let Some(&known) = self.weights.get(key) {
            let have = &self.desc(known).dims;
            return match have == dims {
                true => Ok(known),
                false => Err(Error::shape("param", have, dims).column(key)),
            };
        }
        let value = self.value(Desc::new(dims, DType::F32), Origin::Param(key.to_string()));
        self.weights.insert(key.to_string(), value);
        Ok(value)
    }

    /// Appends an operation with one output.
    ///
    /// # Errors
    /// What [`Op::infer`] says of the shapes.
    pub fn push(&mut self, op: Op, ins: &[Value]) -> Result<Value> {
        match self.push_all(op, ins)?[..] {
            [value] => Ok(value),
            _ => Err(Error::internal("has more than one output").op(op.name())),
        }
    }

    /// Appends an operation and gives all its outputs.
    ///
    /// # Errors
    /// What [`Op::infer`] says of the shapes.
    pub fn push_all(&mut self, op: Op, ins: &[Value]) -> Result<Vec<Value>> {
        let descs: Vec<Desc> = ins.iter().map(|&v| self.desc(v).clone()).collect();
        let at = self.nodes.len();
        let outs: Vec<Value> = op
            .infer(&descs)?
            .into_iter()
            .enumerate()
            .map(|(i, desc)| self.value(desc, Origin::Node(at, i)))
            .collect();
        self.nodes.push(Node {
            op,
            ins: ins.to_vec(),
            outs: outs.clone(),
        });
        Ok(outs)
    }

    /// Says which values a run gives, in order; called again, it adds.
    pub fn output(&mut self, values: &[Value]) {
        self.outputs.extend_from_slice(values);
    }

    /// Which values a run gives.
    pub fn outputs(&self) -> &[Value] {
        &self.outputs
    }

    /// Shape and type of a value.
    pub fn desc(&self, value: Value) -> &Desc {
        &self.values[value.0 as usize].0
    }

    /// Where a value comes from.
    pub fn origin(&self, value: Value) -> &Origin {
        &self.values[value.0 as usize].1
    }

    /// The operations, in order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The inputs, in the order they were made.
    pub fn inputs(&self) -> Vec<Value> {
        self.all(|origin| matches!(origin, Origin::Input(_)))
    }

    /// The weights, in the order they were first asked for.
    pub fn params(&self) -> Vec<Value> {
        self.all(|origin| matches!(origin, Origin::Param(_)))
    }

    /// How often each value is read, outputs of the graph counted once each.
    pub fn uses(&self) -> HashMap<Value, usize> {
        let mut uses = HashMap::new();
        for &v in self.nodes.iter().flat_map(|n| &n.ins).chain(&self.outputs) {
            *uses.entry(v).or_insert(0) += 1;
        }
        uses
    }

    fn all(&self, wanted: impl Fn(&Origin) -> bool) -> Vec<Value> {
        let at = |i: usize| Value(i as u32);
        (0..self.values.len())
            .filter(|&i| wanted(&self.values[i].1))
            .map(at)
            .collect()
    }

    fn value(&mut self, desc: Desc, origin: Origin) -> Value {
        self.values.push((desc, origin));
        Value(self.values.len() as u32 - 1)
    }
}
