//! A 1x1 convolution that widens and the one of one filter a channel behind it, as one operation.

use std::sync::Arc;

use doppel::device::{
    Act, Buf, CpuDevice, DType, Desc, Device, Epilogue, Graph, Lower, NaiveDevice, Op, Plan,
    Precision, Stream, Support, Window, alloc, bytes_of, values_of,
};
use doppel::nn::formula::{self, Stats};

use crate::harness::{cards, compare, inputs, light, run, run_at, run_packed, thin};

/// Images, height, width, channels, wide channels, window.
type Case = (usize, usize, usize, usize, usize, Window);

/// Odd sizes, tails of tiles and of channels, both windows and steps, and every kind of padding.
fn cases() -> Vec<Case> {
    vec![
        (2, 17, 16, 8, 24, Window::square(3, 1, 1)),
        (1, 18, 19, 24, 72, Window::same(3, 2, 18, 19)),
        (1, 16, 17, 16, 64, Window::square(5, 1, 2)),
        (1, 20, 13, 40, 136, Window::same(5, 2, 20, 13)),
        (1, 16, 16, 96, 16, Window::square(3, 2, 1)),
        (1, 16, 18, 88, 8, Window::square(5, 2, 0)),
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

fn descs(case: &Case, expand: &Epilogue, epilogue: &Epilogue, dtype: DType) -> Vec<Desc> {
    let &(n, h, w, c, o, window) = case;
    let [kh, kw] = window.kernel;
    let mut all = vec![
        Desc::new(&[n, h, w, c], dtype),
        Desc::new(&[o, c, 1, 1], dtype),
        Desc::new(&[o, 1, kh, kw], dtype),
    ];
    let vectors = expand.inputs() + epilogue.inputs();
    all.resize(3 + vectors, Desc::new(&[o], dtype));
    all
}

fn joined(case: &Case, expand: Epilogue, epilogue: Epilogue, average: bool) -> Op {
    Op::ExpandDepthwise {
        window: case.5,
        expand,
        epilogue,
        average,
    }
}

/// Everything, nothing, and biases alone.
fn epilogues(i: usize) -> (Epilogue, Epilogue) {
    let bias = Epilogue {
        scale: false,
        ..full(Act::Silu)
    };
    match i % 3 {
        0 => (full(Act::Sigmoid), full(Act::Silu)),
        1 => (bias, bias),
        _ => (Epilogue::BARE, full(Act::Gelu)),
    }
}

#[test]
fn widened_and_convolved() {
    let naive = NaiveDevice::default();
    for (i, case) in thin(cases()).enumerate() {
        for (j, dtype) in [DType::F16, DType::BF16].into_iter().enumerate() {
            let (expand, epilogue) = epilogues(i + j);
            let op = joined(&case, expand, epilogue, false);
            let descs = descs(&case, &expand, &epilogue, dtype);
            let ins = inputs(&descs, i as u64);
            let want = run(&naive, &op, &ins).unwrap();
            for card in cards() {
                assert_eq!(card.supports(&op, &descs), Support::Native, "{op:?}");
                if dtype == DType::F16 {
                    let have = run(&*card, &op, &ins).unwrap();
                    compare(&op, &ins, &have, &want, "published");
                }
                let have = run_packed(&*card, &op, &ins).unwrap().unwrap();
                compare(&op, &ins, &have, &want, "packed");
                let have = run_at(&*card, &op, &ins, 2).unwrap();
                compare(&op, &ins, &have, &want, "unaligned");
            }
        }
    }
}

/// The mean is that of the result as it was stored.
#[test]
fn with_the_average_of_the_result() {
    let naive = NaiveDevice::default();
    for (i, case) in thin(cases()).enumerate() {
        let (expand, epilogue) = epilogues(i + 1);
        let op = joined(&case, expand, epilogue, true);
        let alone = joined(&case, expand, epilogue, false);
        let dtype = [DType::F16, DType::BF16][i % 2];
        let descs = descs(&case, &expand, &epilogue, dtype);
        let ins = inputs(&descs, 100 + i as u64);
        let want = run(&naive, &op, &ins).unwrap();
        for card in cards() {
            let mut results = vec![run(&*card, &op, &ins).unwrap()];
            results.extend(run_packed(&*card, &op, &ins).map(|r| r.unwrap()));
            for have in results {
                compare(&alone, &ins, &have[..1], &want[..1], "fused");
                let mean = run(&naive, &Op::GlobalAverage, &have[..1]).unwrap();
                compare(&Op::GlobalAverage, &have[..1], &have[1..], &mean, "mean");
            }
        }
    }
}

/// Where two kernels are better, or the only ones there are.
#[test]
fn elsewhere_it_is_two_operations() {
    let bare = Epilogue::BARE;
    let window = Window::square(3, 1, 1);
    let refused = [
        ((1, 7, 7, 16, 64, window), DType::F16),
        ((1, 16, 16, 104, 64, window), DType::F16),
        ((1, 16, 16, 12, 64, window), DType::F16),
        ((1, 16, 16, 16, 20, window), DType::F16),
        ((1, 16, 16, 16, 64, Window::square(7, 1, 3)), DType::F16),
        ((1, 16, 16, 16, 64, window), DType::F32),
    ];
    for (case, dtype) in refused {
        let op = joined(&case, bare, bare, true);
        let descs = descs(&case, &bare, &bare, dtype);
        for card in cards() {
            assert_eq!(card.supports(&op, &descs), Support::Unfuse, "{case:?}");
        }
        assert_eq!(CpuDevice::default().supports(&op, &descs), Support::Unfuse);
    }
}

/// A widening block with its average on images of `side`; `twice` gives the wide images away too.
fn block(side: usize, twice: bool) -> Graph {
    let mut graph = Graph::new();
    let x = graph.input("x", Desc::new(&[1, side, side, 8], DType::F32));
    let wide = graph.param("wide.weight", &[16, 8, 1, 1]).unwrap();
    let each = graph.param("each.weight", &[16, 1, 3, 3]).unwrap();
    let conv = |window, groups| Op::Conv {
        window,
        groups,
        gate: false,
        epilogue: Epilogue::BARE,
    };
    let y = graph
        .push(conv(Window::square(1, 1, 0), 1), &[x, wide])
        .unwrap();
    let y = graph.push(Op::Activation(Act::Silu), &[y]).unwrap();
    let z = graph
        .push(conv(Window::square(3, 1, 1), 16), &[y, each])
        .unwrap();
    let mean = graph.push(Op::GlobalAverage, &[z]).unwrap();
    let gated = graph.push(Op::Gate, &[z, mean]).unwrap();
    graph.output(&[gated]);
    if twice {
        graph.output(&[y]);
    }
    graph
}

/// The operations of a plan, and its first output.
fn outcome(
    graph: &Graph,
    device: Arc<dyn Device>,
    how: Precision,
) -> (Vec<&'static str>, Vec<f32>) {
    let weights = formula::weights(graph, &Stats::default());
    let plan = Plan::new(graph, &weights, Arc::clone(&device), Lower::Infer(how)).unwrap();
    let from = alloc(&*device, plan.inputs()[0].1.clone()).unwrap();
    let values = crate::harness::values(from.desc.len(), 7);
    let bytes = bytes_of(&values, from.desc.dtype);
    device.upload(&bytes, &from, Stream::DEFAULT).unwrap();
    let to: Vec<Buf> = plan
        .outputs()
        .iter()
        .map(|desc| alloc(&*device, desc.clone()).unwrap())
        .collect();
    let outs: Vec<&Buf> = to.iter().collect();
    plan.run(&[&from], &outs, Stream::DEFAULT).unwrap();
    let mut bytes = vec![0; to[0].desc.bytes()];
    device
        .download(&to[0], &mut bytes, Stream::DEFAULT)
        .unwrap();
    let names = plan.shapes().iter().map(|(op, _)| op.name()).collect();
    (names, values_of(&bytes, to[0].desc.dtype))
}

#[test]
fn plans_join_what_pays_and_nothing_that_others_read() {
    // As for encoders: the kernels' races show in the tests above.
    if light() {
        return;
    }
    let cases: [(usize, bool, &[&str]); 3] = [
        (16, false, &["expand_depthwise", "gate"]),
        (6, false, &["conv", "conv_average", "gate"]),
        (16, true, &["conv", "conv_average", "gate"]),
    ];
    for (side, twice, names) in cases {
        let graph = block(side, twice);
        let cpu: Arc<dyn Device> = Arc::new(CpuDevice::default());
        let (plain, want) = outcome(&graph, cpu, Precision::F32);
        assert_eq!(plain, ["conv", "conv", "global_average", "gate"]);
        for card in cards() {
            let (have, values) = outcome(&graph, card, Precision::F16);
            assert_eq!(have, names, "{side} {twice}");
            let size = want.iter().fold(0f32, |m, v| m.max(v.abs()));
            for (a, b) in values.iter().zip(&want) {
                assert!((a - b).abs() <= 4e-3 * size, "{a} for {b} of {size}");
            }
        }
    }
}
