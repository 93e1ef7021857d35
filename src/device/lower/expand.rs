//! The 1x1 convolutions whose result need not be stored: those that a convolution of one filter a channel
//! alone reads, and those of single pixels that a gate's layer alone reads.

use std::collections::HashMap;

use crate::device::graph::{Graph, Node, Origin, Value};
use crate::device::op::{Act, Epilogue, Op, Window};
use crate::error::Result;

/// The graph with [`Op::ExpandDepthwise`] wherever a 1x1 convolution feeds nothing but a depthwise one, and
/// with [`Op::SqueezeExcite`] wherever one of single pixels feeds nothing but another that ends in a sigmoid.
pub(super) fn expanded(graph: Graph) -> Result<Graph> {
    let pairs = pairs(&graph);
    if pairs.is_empty() {
        return Ok(graph);
    }
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
    for (at, node) in graph.nodes.iter().enumerate() {
        if pairs.values().any(|&(first, _)| first == at) {
            continue;
        }
        let (op, from) = match pairs.get(&at) {
            Some(&(first, op)) => (op, joined(&graph.nodes[first], node)),
            None => (node.op, node.ins.clone()),
        };
        let ins: Vec<Value> = from.iter().map(|v| map[v]).collect();
        let new = out.push_all(op, &ins)?;
        map.extend(node.outs.iter().copied().zip(new));
    }
    let outputs: Vec<Value> = graph.outputs().iter().map(|v| map[v]).collect();
    out.output(&outputs);
    Ok(out)
}

/// The inputs of the two as one operation.
fn joined(first: &Node, second: &Node) -> Vec<Value> {
    let (x, extra) = first.ins.split_at(2);
    [x, &second.ins[1..2], extra, &second.ins[2..]].concat()
}

/// Second convolutions by their places: the place of the 1x1 convolution before each, and what the two are
/// together.
fn pairs(graph: &Graph) -> HashMap<usize, (usize, Op)> {
    let (mut pairs, uses) = (HashMap::new(), graph.uses());
    for (at, node) in graph.nodes.iter().enumerate() {
        let between = node.ins[0];
        let &Origin::Node(first, 0) = graph.origin(between) else {
            continue;
        };
        let Some(before) = point(&graph.nodes[first].op) else {
            continue;
        };
        if uses.get(&between) != Some(&1) || pairs.contains_key(&first) {
            continue;
        }
        let joined = match depthwise(graph, node) {
            Some((window, epilogue, average)) => Some(Op::ExpandDepthwise {
                window,
                expand: before,
                epilogue,
                average,
            }),
            None => excites(graph, node, before),
        };
        pairs.extend(joined.map(|op| (at, (first, op))));
    }
    pairs
}

/// The epilogue of a plain 1x1 convolution.
fn point(op: &Op) -> Option<Epilogue> {
    match *op {
        Op::Conv {
            window,
            groups: 1,
            gate: false,
            epilogue,
        } if window == Window::square(1, 1, 0) => Some(epilogue),
        _ => None,
    }
}

/// Both layers of a gate as one, where `node` is the second and `squeeze` the first one's epilogue.
fn excites(graph: &Graph, node: &Node, squeeze: Epilogue) -> Option<Op> {
    let excite = point(&node.op)?;
    let single = graph.desc(node.ins[0]).dims[1..3] == [1, 1];
    let plain = !squeeze.residual && !excite.residual && excite.act == Act::Sigmoid;
    (single && plain).then_some(Op::SqueezeExcite { squeeze, excite })
}

/// The window and the epilogue of a convolution of one filter a channel, and whether it gives the average.
fn depthwise(graph: &Graph, node: &Node) -> Option<(Window, Epilogue, bool)> {
    let (window, groups, epilogue, average) = match node.op {
        Op::Conv {
            window,
            groups,
            gate: false,
            epilogue,
        } => (window, groups, epilogue, false),
        Op::ConvAverage {
            window,
            groups,
            epilogue,
        } => (window, groups, epilogue, true),
        _ => return None,
    };
    let filters = &graph.desc(node.ins[1]).dims;
    let each = groups > 1 && filters[0] == groups && filters[1] == 1;
    each.then_some((window, epilogue, average))
}
