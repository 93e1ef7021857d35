//! The means over pixels that a convolution of one filter a channel can sum as it stores its result.

use std::collections::HashMap;

use crate::device::graph::{Graph, Origin, Value};
use crate::device::op::Op;
use crate::error::Result;

/// The graph with [`Op::ConvAverage`] wherever a global average reads the result of a depthwise
/// convolution.
pub(super) fn averaged(graph: Graph) -> Result<Graph> {
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
        if pairs.values().any(|&average| average == at) {
            continue;
        }
        let ins: Vec<Value> = node.ins.iter().map(|v| map[v]).collect();
        let mut outs = node.outs.clone();
        let mut op = node.op;
        if let (
            Some(&average),
            Op::Conv {
                window,
                groups,
                epilogue,
                ..
            },
        ) = (pairs.get(&at), op)
        {
            op = Op::ConvAverage {
                window,
                groups,
                epilogue,
            };
            outs.extend(&graph.nodes[average].outs);
        }
        let new = out.push_all(op, &ins)?;
        map.extend(outs.into_iter().zip(new));
    }
    let outputs: Vec<Value> = graph.outputs().iter().map(|v| map[v]).collect();
    out.output(&outputs);
    Ok(out)
}

/// Depthwise convolutions and the averages of their results, by their places.
fn pairs(graph: &Graph) -> HashMap<usize, usize> {
    let mut pairs = HashMap::new();
    for (at, node) in graph.nodes.iter().enumerate() {
        let &Origin::Node(from, 0) = graph.origin(node.ins[0]) else {
            continue;
        };
        let Op::Conv {
            groups,
            gate: false,
            ..
        } = graph.nodes[from].op
        else {
            continue;
        };
        let filters = &graph.desc(graph.nodes[from].ins[1]).dims;
        let each = groups > 1 && filters[0] == groups && filters[1] == 1;
        if node.op == Op::GlobalAverage && each {
            pairs.entry(from).or_insert(at);
        }
    }
    pairs
}
