//! A graph lowered onto a device: its weights packed, its values placed in one arena, its
//! operations a list of launches.

use std::collections::HashMap;
use std::sync::Arc;

use super::api::{Device, Support, alloc};
use super::desc::{Buf, DType, Desc};
use super::gpu::driver::Stream;
use super::graph::{Graph, Origin, Value};
use super::lower::{Fold, Lower, lower};
use super::op::{Cost, Op};
use super::weights::Weights;
use crate::error::{Error, Result};

/// Where a step finds a value.
#[derive(Debug, Clone)]
enum Place {
    Arena(Buf),
    Param(Buf),
    Input(usize),
    Output(usize),
}

struct Step {
    op: Op,
    ins: Vec<Place>,
    outs: Vec<Place>,
}

/// A graph lowered onto a device, ready to run.
pub struct Plan {
    device: Arc<dyn Device>,
    steps: Vec<Step>,
    inputs: Vec<(String, Desc)>,
    outputs: Vec<Desc>,
    workspace: Option<Buf>,
    arena: usize,
    shapes: Vec<(Op, Vec<Desc>)>,
}

impl Plan {
    /// Lowers `graph` onto `device`, with `weights` folded and packed.
    ///
    /// # Errors
    /// A weight that is missing or has another shape (named), an operation that the device runs in
    /// no form (named), or too little memory.
    pub fn new(
        graph: &Graph,
        weights: &Weights,
        device: Arc<dyn Device>,
        how: Lower,
    ) -> Result<Plan> {
        let lowered = lower(graph, how)?;
        let graph = native(&lowered.graph, &*device)?;
        let mut places = HashMap::new();
        let mut inputs = Vec::new();
        for value in graph.inputs() {
            let Origin::Input(name) = graph.origin(value) else {
                continue;
            };
            places.insert(value, Place::Input(inputs.len()));
            inputs.push((name.clone(), graph.desc(value).clone()));
        }
        for value in graph.params() {
            let Origin::Param(key) = graph.origin(value) else {
                continue;
            };
            let fold = lowered
                .folds
                .get(key)
                .ok_or_else(|| Error::internal("no formula").column(key))?;
            let desc = graph.desc(value).clone();
            let (_, values) = evaluate(fold, weights)?;
            if values.len() != desc.len() {
                return Err(Error::shape("weights", &desc.dims, &[values.len()]).column(key));
            }
            let buf = alloc(&*device, desc)?;
            device.upload(&bytes_of(&values, buf.desc.dtype), &buf, Stream::DEFAULT)?;
            places.insert(value, Place::Param(buf));
        }
        let mut outputs = Vec::new();
        for &value in graph.outputs() {
            if !matches!(graph.origin(value), Origin::Node(..)) {
                return Err(Error::unsupported(
                    "an input or a weight cannot be an output",
                ));
            }
            places.insert(value, Place::Output(outputs.len()));
            outputs.push(graph.desc(value).clone());
        }
        let (offsets, size) = arrange(&graph, &places);
        let memory = device.alloc(size)?;
        for (value, at) in offsets {
            let desc = graph.desc(value).clone();
            places.insert(
                value,
                Place::Arena(Buf::new(desc, Arc::clone(&memory), at)?),
            );
        }
        let of = |values: &[Value]| values.iter().map(|v| places[v].clone()).collect::<Vec<_>>();
        let steps: Vec<Step> = graph
            .nodes()
            .iter()
            .map(|n| Step {
                op: n.op,
                ins: of(&n.ins),
                outs: of(&n.outs),
            })
            .collect();
        let shapes: Vec<(Op, Vec<Desc>)> = graph
            .nodes()
            .iter()
            .map(|n| (n.op, n.ins.iter().map(|&v| graph.desc(v).clone()).collect()))
            .collect();
        let scratch = shapes
            .iter()
            .map(|(op, ins)| device.workspace(op, ins))
            .max()
            .unwrap_or(0);
        let workspace = match scratch {
            0 => None,
            n => Some(alloc(&*device, Desc::new(&[n.div_ceil(4)], DType::F32))?),
        };
        Ok(Plan {
            device,
            steps,
            inputs,
            outputs,
            workspace,
            arena: size,
            shapes,
        })
    }

    /// Runs all operations, in order, on `stream`. Inputs and outputs stand in the graph's order.
    ///
    /// # Errors
    /// A buffer of another shape or type, or a failing device.
    pub fn run(&self, ins: &[&Buf], outs: &[&Buf], stream: Stream) -> Result<()> {
        let wanted: Vec<&Desc> = self
            .inputs
            .iter()
            .map(|(_, d)| d)
            .chain(&self.outputs)
            .collect();
        let given: Vec<&Desc> = ins.iter().chain(outs).map(|b| &b.desc).collect();
        if ins.len() != self.inputs.len() || outs.len() != self.outputs.len() {
            return Err(Error::shape(
                "plan",
                &[self.inputs.len(), self.outputs.len()],
                &[ins.len(), outs.len()],
            ));
        }
        for (want, have) in wanted.iter().zip(&given) {
            if want != have {
                return Err(Error::shape("plan", &want.dims, &have.dims));
            }
        }
        let find = |place: &Place| match place {
            Place::Arena(buf) | Place::Param(buf) => buf.clone(),
            Place::Input(i) => ins[*i].clone(),
            Place::Output(i) => outs[*i].clone(),
        };
        for step in &self.steps {
            let from: Vec<Buf> = step.ins.iter().map(find).collect();
            let to: Vec<Buf> = step.outs.iter().map(find).collect();
            let (from, to): (Vec<&Buf>, Vec<&Buf>) = (from.iter().collect(), to.iter().collect());
            self.device
                .run(&step.op, &from, &to, self.workspace.as_ref(), stream)?;
        }
        Ok(())
    }

    /// The inputs' names and shapes, in order.
    pub fn inputs(&self) -> &[(String, Desc)] {
        &self.inputs
    }

    /// The outputs' shapes, in order.
    pub fn outputs(&self) -> &[Desc] {
        &self.outputs
    }

    /// Every operation with its inputs' shapes, in order: what the benches measure.
    pub fn shapes(&self) -> &[(Op, Vec<Desc>)] {
        &self.shapes
    }

    /// How many operations a run launches.
    pub fn launches(&self) -> usize {
        self.steps.len()
    }

    /// Bytes of the arena that all values between the operations share.
    pub fn arena(&self) -> usize {
        self.arena
    }

    /// What one run costs.
    ///
    /// # Errors
    /// As [`Op::cost`].
    pub fn cost(&self) -> Result<Cost> {
        self.shapes
            .iter()
            .try_fold(Cost { flops: 0, bytes: 0 }, |sum, (op, ins)| {
                let cost = op.cost(ins)?;
                Ok(Cost {
                    flops: sum.flops + cost.flops,
                    bytes: sum.bytes + cost.bytes,
                })
            })
    }
}

/// The graph with every operation that the device wants unfused in its plain form.
fn native(graph: &Graph, device: &dyn Device) -> Result<Graph> {
    let mut out = Graph::new();
    let mut map: HashMap<Value, Value> = HashMap::new();
    for (at, (desc, origin)) in graph.values.iter().enumerate() {
        let new = match origin {
            Origin::Input(name) => out.input(name, desc.clone()),
            Origin::Param(key) => {
                let value = out.param(key, &desc.dims)?;
                out.values[value.0 as usize].0.dtype = desc.dtype;
                value
            }
            Origin::Node(..) => continue,
        };
        map.insert(Value(at as u32), new);
    }
    for node in graph.nodes() {
        let ins: Vec<Value> = node.ins.iter().map(|v| map[v]).collect();
        let descs: Vec<Desc> = node.ins.iter().map(|&v| graph.desc(v).clone()).collect();
        let outs = match device.supports(&node.op, &descs) {
            Support::Native => out.push_all(node.op, &ins)?,
            Support::Unfuse => node.op.unfuse(&mut out, &ins)?,
            Support::No(why) => {
                return Err(
                    Error::unsupported(format!("{}: {why}", device.info().name)).op(node.op.name())
                );
            }
        };
        map.extend(node.outs.iter().copied().zip(outs));
    }
    let outputs: Vec<Value> = graph.outputs().iter().map(|v| map[v]).collect();
    out.output(&outputs);
    Ok(out)
}

/// Places every value that is neither input, weight nor output in one arena: two values share bytes
/// only when one is read for the last time before the other is written. Largest first, each at the
/// lowest place that is free for its whole life.
fn arrange(graph: &Graph, placed: &HashMap<Value, Place>) -> (Vec<(Value, usize)>, usize) {
    const ALIGN: usize = 256;
    let mut lives: HashMap<Value, (usize, usize)> = HashMap::new();
    for (at, node) in graph.nodes().iter().enumerate() {
        for &value in node.outs.iter().chain(&node.ins) {
            if !placed.contains_key(&value) {
                lives.entry(value).or_insert((at, at)).1 = at;
            }
        }
    }
    let mut order: Vec<Value> = lives.keys().copied().collect();
    order.sort_by_key(|v| (std::cmp::Reverse(graph.desc(*v).bytes()), *v));
    let mut done: Vec<(Value, usize)> = Vec::new();
    let mut size = 0;
    for value in order {
        let bytes = graph.desc(value).bytes().next_multiple_of(ALIGN).max(ALIGN);
        let (from, to) = lives[&value];
        let mut taken: Vec<(usize, usize)> = done
            .iter()
            .filter(|(other, _)| lives[other].0 <= to && from <= lives[other].1)
            .map(|&(other, at)| {
                (
                    at,
                    at + graph.desc(other).bytes().next_multiple_of(ALIGN).max(ALIGN),
                )
            })
            .collect();
        taken.sort_unstable();
        let mut at = 0;
        for (start, end) in taken {
            if at + bytes <= start {
                break;
            }
            at = at.max(end);
        }
        size = size.max(at + bytes);
        done.push((value, at));
    }
    (done, size)
}

/// A weight's formula over the published weights.
fn evaluate(fold: &Fold, weights: &Weights) -> Result<(Vec<usize>, Vec<f32>)> {
    let pair = |a: &Fold, b: &Fold, f: fn(f32, f32) -> f32| {
        let ((dims, a), (other, b)) = (evaluate(a, weights)?, evaluate(b, weights)?);
        match dims == other {
            true => Ok((dims, a.iter().zip(&b).map(|(&x, &y)| f(x, y)).collect())),
            false => Err(Error::shape("fold", &dims, &other)),
        }
    };
    match fold {
        Fold::Param(key) => {
            let missing = || Error::input("this weight is missing").column(key);
            let (dims, values) = weights.get(key).ok_or_else(missing)?;
            match dims.iter().product::<usize>() == values.len() {
                true => Ok((dims.clone(), values.clone())),
                false => Err(Error::shape("weights", dims, &[values.len()]).column(key)),
            }
        }
        Fold::Times(a, b) => pair(a, b, |x, y| x * y),
        Fold::Plus(a, b) => pair(a, b, |x, y| x + y),
        Fold::Columns {
            matrix,
            by,
            transposed,
        } => {
            let ((dims, mut values), (_, by)) =
                (evaluate(matrix, weights)?, evaluate(by, weights)?);
            let columns = *dims.last().unwrap_or(&1);
            let wanted = if *transposed { dims[0] } else { columns };
            if by.len() != wanted {
                return Err(Error::shape("fold", &dims, &[by.len()]));
            }
            for (i, x) in values.iter_mut().enumerate() {
                *x *= if *transposed {
                    by[i / columns]
                } else {
                    by[i % columns]
                };
            }
            Ok((dims, values))
        }
    }
}

/// Values in the bytes of `dtype`, rounded to nearest.
pub fn bytes_of(values: &[f32], dtype: DType) -> Vec<u8> {
    match dtype {
        DType::F16 => values
            .iter()
            .flat_map(|&x| half::f16::from_f32(x).to_le_bytes())
            .collect(),
        _ => bytemuck::cast_slice(values).to_vec(),
    }
}

/// The values of bytes of `dtype`, widened.
pub fn values_of(bytes: &[u8], dtype: DType) -> Vec<f32> {
    let words = bytes.chunks_exact(dtype.size());
    match dtype {
        DType::F16 => words
            .map(|w| half::f16::from_le_bytes([w[0], w[1]]).to_f32())
            .collect(),
        _ => words
            .map(|w| f32::from_le_bytes([w[0], w[1], w[2], w[3]]))
            .collect(),
    }
}
