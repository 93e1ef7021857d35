//! The two layers of squeeze and excite as one operation.

use std::sync::Arc;

use doppel::device::{
    Act, CpuDevice, DType, Desc, Device, Epilogue, Graph, Lower, NaiveDevice, Op, Plan, Precision,
    Support, Window,
};
use doppel::nn::formula::{self, Stats};

use crate::harness::{cards, compare, inputs, run, run_at, thin};

/// Images, channels, channels between the layers, channels of the result.
type Case = (usize, usize, usize, usize);

/// Lines that one lane reads alone and that a warp reads in several steps; those that begin at no more than
/// two elements, or at one; more lines than a block takes at a time.
fn cases() -> Vec<Case> {
    vec![
        (3, 8, 1, 9),
        (2, 33, 5, 40),
        (1, 672, 28, 672),
        (5, 96, 4, 96),
        (2, 522, 72, 37),
        (1, 16, 264, 600),
    ]
}

fn full(act: Act) -> Epilogue {
    Epilogue {
        scale: true,
        bias: true,
        residual: false,
        act,
    }
}

fn descs(&(n, c, s, o): &Case, squeeze: &Epilogue, excite: &Epilogue, dtype: DType) -> Vec<Desc> {
    let mut all = vec![
        Desc::new(&[n, 1, 1, c], dtype),
        Desc::new(&[s, c, 1, 1], dtype),
        Desc::new(&[o, s, 1, 1], dtype),
    ];
    all.extend((0..squeeze.inputs()).map(|_| Desc::new(&[s], dtype)));
    all.extend((0..excite.inputs()).map(|_| Desc::new(&[o], dtype)));
    all
}

/// Everything, biases alone as in networks, and nothing.
fn epilogues(i: usize) -> (Epilogue, Epilogue) {
    let bias = |act| Epilogue {
        scale: false,
        ..full(act)
    };
    match i % 3 {
        0 => (full(Act::Relu), full(Act::Sigmoid)),
        1 => (bias(Act::Silu), bias(Act::Sigmoid)),
        _ => (Epilogue::BARE, Epilogue::BARE),
    }
}

#[test]
fn both_layers_at_once() {
    let naive = NaiveDevice::default();
    for (i, case) in thin(cases()).enumerate() {
        for (j, dtype) in [DType::F16, DType::BF16, DType::F32]
            .into_iter()
            .enumerate()
        {
            let (squeeze, excite) = epilogues(i + j);
            let op = Op::SqueezeExcite { squeeze, excite };
            let descs = descs(&case, &squeeze, &excite, dtype);
            let ins = inputs(&descs, (i * 3 + j) as u64);
            let want = run(&naive, &op, &ins).unwrap();
            for card in cards() {
                assert_eq!(card.supports(&op, &descs), Support::Native, "{op:?}");
                let have = run(&*card, &op, &ins).unwrap();
                compare(&op, &ins, &have, &want, "aligned");
                for at in [dtype.size(), 2 * dtype.size()] {
                    let have = run_at(&*card, &op, &ins, at).unwrap();
                    compare(&op, &ins, &have, &want, "unaligned");
                }
            }
        }
    }
}

/// Layers that a block alone would read too long, and where there is no such kernel.
#[test]
fn elsewhere_it_is_two_convolutions() {
    let (squeeze, excite) = epilogues(1);
    let op = Op::SqueezeExcite { squeeze, excite };
    let large = descs(&(1, 1536, 768, 1536), &squeeze, &excite, DType::F16);
    for card in cards() {
        assert_eq!(card.supports(&op, &large), Support::Unfuse);
    }
    let small = descs(&(1, 16, 4, 16), &squeeze, &excite, DType::F16);
    assert_eq!(CpuDevice::default().supports(&op, &small), Support::Unfuse);
    let mut images = small.clone();
    images[0] = Desc::new(&[1, 2, 2, 16], DType::F16);
    let refused = op.infer(&images).unwrap_err().to_string();
    assert!(refused.contains("[n, 1, 1, c]"), "{refused}");
}

/// A gate of two layers; `twice` gives the layer between them away too.
fn gate(twice: bool, last: Act) -> Graph {
    let mut graph = Graph::new();
    let x = graph.input("x", Desc::new(&[2, 5, 5, 16], DType::F32));
    let conv = Op::Conv {
        window: Window::square(1, 1, 0),
        groups: 1,
        gate: false,
        epilogue: Epilogue::BARE,
    };
    let first = graph.param("first.weight", &[4, 16, 1, 1]).unwrap();
    let second = graph.param("second.weight", &[16, 4, 1, 1]).unwrap();
    let bias = graph.param("second.bias", &[16]).unwrap();
    let mean = graph.push(Op::GlobalAverage, &[x]).unwrap();
    let small = graph.push(conv, &[mean, first]).unwrap();
    let small = graph.push(Op::Activation(Act::Silu), &[small]).unwrap();
    let g = graph.push(conv, &[small, second]).unwrap();
    let g = graph.push(Op::Bias, &[g, bias]).unwrap();
    let g = graph.push(Op::Activation(last), &[g]).unwrap();
    let gated = graph.push(Op::Gate, &[x, g]).unwrap();
    graph.output(&[gated]);
    if twice {
        graph.output(&[small]);
    }
    graph
}

#[test]
fn plans_join_the_layers_of_gates_alone() {
    let names = |graph: &Graph, device: Arc<dyn Device>| -> Vec<&'static str> {
        let weights = formula::weights(graph, &Stats::default());
        let plan = Plan::new(graph, &weights, device, Lower::Infer(Precision::F16)).unwrap();
        plan.shapes().iter().map(|(op, _)| op.name()).collect()
    };
    let apart = ["global_average", "conv", "conv", "gate"];
    let joined = ["global_average", "squeeze_excite", "gate"];
    for (twice, last, want) in [
        (false, Act::Sigmoid, &joined[..]),
        (true, Act::Sigmoid, &apart[..]),
        (false, Act::Relu, &apart[..]),
    ] {
        let graph = gate(twice, last);
        assert_eq!(names(&graph, Arc::new(CpuDevice::default())), apart);
        for card in cards() {
            assert_eq!(names(&graph, card), want, "{twice} {last:?}");
        }
    }
}
