//! Operations on images: each on odd shapes on every device, and small networks that show what
//! lowering folds and fuses.

use std::sync::Arc;

use doppel::device::{
    Act, Buf, CpuDevice, DType, Desc, Device, Epilogue, Graph, Lower, NaiveDevice, Op, Origin,
    Plan, PoolKind, Precision, Scalar, Stream, Value, Weights, Window, alloc, bytes_of, values_of,
};

use crate::harness::{compare, inputs, inputs_for, run, test, thin, values};

fn images(n: usize, h: usize, w: usize, c: usize) -> Desc {
    Desc::new(&[n, h, w, c], DType::F32)
}

fn vector(n: usize) -> Desc {
    Desc::new(&[n], DType::F32)
}

/// A convolution with all its inputs: height, width, channels, filters, window, groups.
pub type Case = (usize, usize, usize, usize, Window, usize);

pub fn conv_cases() -> Vec<Case> {
    let skew = Window {
        kernel: [3, 2],
        stride: [2, 1],
        pad: [0, 1, 2, 0],
    };
    vec![
        (1, 1, 1, 1, Window::square(1, 1, 0), 1),
        (5, 7, 3, 17, Window::square(1, 1, 0), 1),
        (9, 8, 40, 24, Window::square(1, 1, 0), 1),
        (9, 9, 16, 33, Window::square(1, 2, 0), 1),
        (7, 6, 5, 19, Window::square(3, 1, 1), 1),
        (8, 11, 16, 32, Window::square(3, 2, 1), 1),
        (17, 15, 3, 20, Window::square(7, 2, 3), 1),
        (9, 10, 3, 24, Window::same(3, 2, 9, 10), 1),
        (6, 5, 4, 6, skew, 2),
        (6, 5, 32, 32, Window::square(3, 1, 1), 8),
        (5, 5, 64, 64, Window::square(3, 2, 1), 2),
        (9, 7, 24, 24, Window::square(3, 1, 1), 24),
        (9, 7, 17, 17, Window::square(5, 2, 2), 17),
        (8, 8, 40, 40, Window::same(5, 2, 8, 8), 40),
        (4, 4, 6, 12, Window::square(3, 1, 1), 6),
        // Large enough for the transforms of the 3x3 filters.
        (14, 13, 64, 64, Window::square(3, 1, 1), 1),
        (12, 12, 48, 40, Window::square(3, 1, 1), 1),
    ]
}

pub fn conv_inputs(case: &Case, n: usize, gate: bool, epilogue: &Epilogue) -> Vec<Desc> {
    let &(h, w, c, o, window, groups) = case;
    let (oh, ow) = window.out("conv", h, w).unwrap();
    let filters = [o, c / groups, window.kernel[0], window.kernel[1]];
    let mut ins = vec![images(n, h, w, c), Desc::new(&filters, DType::F32)];
    ins.extend(gate.then(|| images(n, 1, 1, c)));
    ins.extend(epilogue.scale.then(|| vector(o)));
    ins.extend(epilogue.bias.then(|| vector(o)));
    ins.extend(epilogue.residual.then(|| images(n, oh, ow, o)));
    ins
}

#[test]
fn convolutions_in_every_epilogue() {
    let all = Epilogue::all();
    let mut compared = 0;
    for (i, case) in conv_cases().iter().enumerate() {
        for (e, epilogue) in all.iter().enumerate() {
            // Every third epilogue, each of them at some case.
            if (i + e) % 3 != 0 {
                continue;
            }
            for gate in [false, true] {
                let (window, groups) = (case.4, case.5);
                if gate && (window != Window::square(1, 1, 0) || groups != 1) {
                    continue;
                }
                let op = Op::Conv {
                    window,
                    groups,
                    gate,
                    epilogue: *epilogue,
                };
                let n = 1 + (i + e) % 2;
                compared += test(
                    &op,
                    &conv_inputs(case, n, gate, epilogue),
                    (i * 64 + e) as u64,
                );
            }
        }
    }
    assert!(compared >= 2 * 15 * all.len() / 3, "{compared}");
}

/// Every other operation on images, with inputs.
pub fn others() -> Vec<(Op, Vec<Desc>)> {
    let mut cases = Vec::new();
    let act = Act::Silu;
    for (h, w, c) in [(1, 1, 1), (7, 5, 3), (6, 9, 17), (4, 4, 64)] {
        let x = images(2, h, w, c);
        let (g, one, v) = (images(2, 1, 1, c), vector(1), vector(c));
        let norm = Op::BatchNorm {
            eps: Scalar::new(1e-3),
        };
        cases.push((
            norm,
            vec![x.clone(), v.clone(), v.clone(), v.clone(), v.clone()],
        ));
        for kind in [PoolKind::Max, PoolKind::Average] {
            for window in [
                Window::square(3, 2, 1),
                Window::ceil(2, 2, h, w),
                Window::square(1, 3, 0),
            ] {
                if window.out("pool", h, w).is_ok() {
                    cases.push((Op::Pool { kind, window }, vec![x.clone()]));
                }
            }
        }
        cases.push((Op::GlobalAverage, vec![x.clone()]));
        let eps = Scalar::new(1e-6);
        cases.push((Op::GlobalGem { eps }, vec![x.clone(), one.clone()]));
        for k in [1, 3, 5] {
            let taps = Desc::new(&[1, 1, k], DType::F32);
            cases.push((Op::ChannelConv, vec![g.clone(), taps]));
        }
        cases.push((Op::Gate, vec![x.clone(), g.clone()]));
        for (factor, residual) in [(false, false), (true, false), (false, true), (true, true)] {
            let mut ins = vec![x.clone(), g.clone()];
            ins.extend(factor.then(|| one.clone()));
            ins.extend(residual.then(|| x.clone()));
            cases.push((
                Op::Gated {
                    factor,
                    residual,
                    act,
                },
                ins,
            ));
        }
        cases.push((Op::Multiply(Scalar::new(-1.75)), vec![x.clone()]));
        cases.push((Op::Gain, vec![x.clone(), Desc::new(&[], DType::F32)]));
        cases.push((Op::Concat, vec![x.clone(), images(2, h, w, 5), x.clone()]));
        let joined = vector(c + 5);
        cases.push((
            Op::Affine { act: Act::Relu },
            vec![x.clone(), images(2, h, w, 5), joined.clone(), joined],
        ));
        cases.push((Op::Flatten, vec![x.clone()]));
        for plain in [Op::Scale, Op::Bias] {
            cases.push((plain, vec![x.clone(), v.clone()]));
        }
        cases.push((Op::Add, vec![x.clone(), x.clone()]));
        cases.push((Op::Activation(Act::Mish), vec![x.clone()]));
    }
    let filters = Desc::new(&[6, 4, 3, 3], DType::F32);
    let (eps, scale) = (Scalar::new(1e-6), Scalar::new(0.3));
    let gain = Desc::new(&[6, 1, 1, 1], DType::F32);
    cases.push((Op::Standardize { eps, scale }, vec![filters, gain]));
    cases
}

#[test]
fn the_other_operations_on_images() {
    let cases = others();
    let mut compared = 0;
    for (seed, (op, descs)) in cases.iter().enumerate() {
        compared += test(op, descs, seed as u64);
    }
    assert!(compared >= 2 * cases.len(), "{compared}");
}

/// Runs a graph of plain operations on the naive twin, node by node.
fn walk(graph: &Graph, ins: &[(Desc, Vec<u8>)], out: Value) -> (Desc, Vec<u8>) {
    let naive = NaiveDevice::default();
    let mut done: std::collections::HashMap<Value, (Desc, Vec<u8>)> = graph
        .inputs()
        .into_iter()
        .zip(ins.iter().cloned())
        .collect();
    for node in graph.nodes() {
        let from: Vec<_> = node.ins.iter().map(|v| done[v].clone()).collect();
        let to = run(&naive, &node.op, &from).unwrap();
        done.extend(node.outs.iter().copied().zip(to));
    }
    done[&out].clone()
}

#[test]
fn a_fused_operation_equals_its_unfused_form() {
    let full = Epilogue {
        scale: true,
        bias: true,
        residual: true,
        act: Act::Mish,
    };
    let case = (3, 4, 5, 7, Window::square(1, 1, 0), 1);
    let conv = Op::Conv {
        window: case.4,
        groups: 1,
        gate: true,
        epilogue: full,
    };
    let mut cases = others();
    cases.push((conv, conv_inputs(&case, 2, true, &full)));
    let mut fused = 0;
    for (op, descs) in cases {
        let ins = inputs_for(&op, &descs, 9);
        let have = run(&NaiveDevice::default(), &op, &ins).unwrap();
        let mut graph = Graph::new();
        let given: Vec<Value> = descs
            .iter()
            .enumerate()
            .map(|(i, d)| graph.input(&i.to_string(), d.clone()))
            .collect();
        let out = op.unfuse(&mut graph, &given).unwrap()[0];
        fused += usize::from(graph.nodes().len() > 1);
        // Between the plain operations values are rounded to f32; one more sum at most each.
        compare(&op, &ins, &have, &[walk(&graph, &ins, out)], "unfused");
    }
    assert!(fused >= 20, "{fused}");
}

#[test]
fn wrong_images_are_errors_that_carry_both_shapes() {
    let conv = |groups, gate| Op::Conv {
        window: Window::square(3, 1, 1),
        groups,
        gate,
        epilogue: Epilogue::BARE,
    };
    let (x, one) = (images(1, 5, 5, 4), images(1, 1, 1, 3));
    let filters = |dims: [usize; 4]| Desc::new(&dims, DType::F32);
    let norm = Op::BatchNorm {
        eps: Scalar::new(0.1),
    };
    let v = vector(4);
    let cases = [
        (conv(1, false), vec![x.clone(), filters([8, 3, 3, 3])]),
        (conv(3, false), vec![x.clone(), filters([6, 1, 3, 3])]),
        (conv(2, false), vec![x.clone(), filters([7, 2, 3, 3])]),
        (conv(1, false), vec![x.clone(), filters([8, 4, 1, 3])]),
        (conv(0, false), vec![x.clone(), filters([8, 4, 3, 3])]),
        (
            norm,
            vec![x.clone(), v.clone(), v.clone(), v.clone(), vector(5)],
        ),
        (Op::Gate, vec![x.clone(), one.clone()]),
        (Op::Concat, vec![x.clone(), images(1, 5, 4, 4)]),
        (Op::Gain, vec![x.clone(), v.clone()]),
        (
            Op::ChannelConv,
            vec![x.clone(), Desc::new(&[1, 1, 3], DType::F32)],
        ),
        (
            Op::ChannelConv,
            vec![one, Desc::new(&[1, 1, 4], DType::F32)],
        ),
        (Op::GlobalAverage, vec![Desc::new(&[2, 3], DType::F32)]),
        (Op::Flatten, vec![v]),
    ];
    for (op, ins) in cases {
        let line = op.infer(&ins).unwrap_err().to_string();
        assert!(line.contains(op.name()), "{line}");
        assert!(line.contains(&format!("{:?}", ins[0].dims)), "{line}");
    }
    let gated = conv(1, true);
    let ins = [x.clone(), filters([8, 4, 3, 3]), images(1, 1, 1, 4)];
    assert!(gated.infer(&ins).unwrap_err().to_string().contains("1x1"));
    let small = Op::Pool {
        kind: PoolKind::Max,
        window: Window::square(7, 1, 0),
    };
    assert!(small.infer(&[x]).is_err());
}

/// Seeded weights for all of a graph's: variances positive, the rest as it comes.
fn weights(graph: &Graph) -> Weights {
    let mut all = Weights::new();
    for (i, value) in graph.params().into_iter().enumerate() {
        let Origin::Param(key) = graph.origin(value).clone() else {
            continue;
        };
        let dims = graph.desc(value).dims.clone();
        let depth: usize = dims.iter().skip(1).product();
        let by = 1.0 / (depth as f32).sqrt();
        let mut data = values(dims.iter().product(), 3 + i as u64);
        data.iter_mut().for_each(|v| *v *= by);
        if key.ends_with("var") {
            data.iter_mut().for_each(|v| *v = v.abs() + 0.2);
        }
        all.insert(key, (dims, data));
    }
    all
}

/// What a plan gives on seeded images.
fn outcome(plan: &Plan) -> Vec<f32> {
    let device = Arc::clone(plan.device());
    let (_, desc) = plan.inputs()[0].clone();
    let x = alloc(&*device, desc.clone()).unwrap();
    let bytes = bytes_of(&values(desc.len(), 1), DType::F32);
    device.upload(&bytes, &x, Stream::DEFAULT).unwrap();
    let outs: Vec<Buf> = plan
        .outputs()
        .iter()
        .map(|d| alloc(&*device, d.clone()).unwrap())
        .collect();
    let to: Vec<&Buf> = outs.iter().collect();
    plan.run(&[&x], &to, Stream::DEFAULT).unwrap();
    let mut bytes = vec![0; outs[0].desc.bytes()];
    device
        .download(&outs[0], &mut bytes, Stream::DEFAULT)
        .unwrap();
    values_of(&bytes, DType::F32)
}

/// A builder of small networks.
struct Net {
    graph: Graph,
    x: Value,
    layers: usize,
}

impl Net {
    fn new(n: usize, side: usize, channels: usize) -> Net {
        let mut graph = Graph::new();
        let x = graph.input("image", images(n, side, side, channels));
        Net {
            graph,
            x,
            layers: 0,
        }
    }

    fn push(&mut self, op: Op, rest: &[Value]) -> Value {
        let mut ins = vec![self.x];
        ins.extend_from_slice(rest);
        self.x = self.graph.push(op, &ins).unwrap();
        self.x
    }

    fn channels(&self) -> usize {
        self.graph.desc(self.x).dims[3]
    }

    fn param(&mut self, name: &str, dims: &[usize]) -> Value {
        self.graph
            .param(&format!("{}.{name}", self.layers), dims)
            .unwrap()
    }

    fn conv(&mut self, filters: usize, kernel: usize, groups: usize) -> Value {
        self.layers += 1;
        let dims = [filters, self.channels() / groups, kernel, kernel];
        let w = self.param("conv", &dims);
        self.conv_by(w, kernel, groups)
    }

    fn conv_by(&mut self, w: Value, kernel: usize, groups: usize) -> Value {
        let op = Op::Conv {
            window: Window::square(kernel, 1, kernel / 2),
            groups,
            gate: false,
            epilogue: Epilogue::BARE,
        };
        self.push(op, &[w])
    }

    fn norm(&mut self) -> Value {
        let c = [self.channels()];
        let parts = ["gamma", "beta", "mean", "var"].map(|n| self.param(n, &c));
        let eps = Scalar::new(1e-3);
        self.push(Op::BatchNorm { eps }, &parts)
    }

    fn act(&mut self, act: Act) -> Value {
        self.push(Op::Activation(act), &[])
    }

    /// Squeeze and excitation.
    fn excite(&mut self) -> Value {
        let (x, c) = (self.x, self.channels());
        self.push(Op::GlobalAverage, &[]);
        self.conv(3, 1, 1);
        let b = self.param("bias", &[3]);
        self.push(Op::Bias, &[b]);
        self.act(Act::Silu);
        self.conv(c, 1, 1);
        let b = self.param("bias", &[c]);
        self.push(Op::Bias, &[b]);
        let g = self.act(Act::Sigmoid);
        self.x = x;
        self.push(Op::Gate, &[g])
    }

    /// The features, and both plans: plain on the naive twin, lowered on the CPU.
    fn finish(mut self) -> (Plan, Plan) {
        self.push(Op::GlobalAverage, &[]);
        let out = self.push(Op::Flatten, &[]);
        self.graph.output(&[out]);
        let w = weights(&self.graph);
        let naive: Arc<dyn Device> = Arc::new(NaiveDevice::default());
        let cpu: Arc<dyn Device> = Arc::new(CpuDevice::default());
        let plain = Plan::new(&self.graph, &w, naive, Lower::Train(Precision::F32)).unwrap();
        let fast = Plan::new(&self.graph, &w, cpu, Lower::Infer(Precision::F32)).unwrap();
        (plain, fast)
    }
}

fn names(plan: &Plan) -> Vec<&'static str> {
    plan.shapes().iter().map(|(op, _)| op.name()).collect()
}

fn epilogues(plan: &Plan) -> Vec<(bool, Epilogue)> {
    plan.shapes()
        .iter()
        .filter_map(|(op, _)| match *op {
            Op::Conv { gate, epilogue, .. } => Some((gate, epilogue)),
            _ => None,
        })
        .collect()
}

fn agree(plain: &Plan, fast: &Plan) {
    let (want, have) = (outcome(plain), outcome(fast));
    let size = want.iter().fold(0f32, |m, v| m.max(v.abs()));
    assert!(size > 1e-3 && size.is_finite(), "{want:?}");
    for (a, b) in have.iter().zip(&want) {
        assert!(
            (a - b).abs() <= 2e-6 * size.max(b.abs()),
            "{a} for {b} of {size}"
        );
    }
    // Twins share weights and nothing else.
    let twin = fast.twin().unwrap();
    assert_eq!(outcome(&twin), have);
}

#[test]
fn batch_norms_fold_and_gates_go_into_the_next_product() {
    let mut net = Net::new(2, 6, 3);
    net.conv(8, 3, 1);
    net.norm();
    let short = net.act(Act::Silu);
    net.conv(16, 1, 1);
    net.norm();
    net.act(Act::Silu);
    net.conv(16, 3, 16);
    net.norm();
    net.act(Act::Silu);
    net.excite();
    net.conv(8, 1, 1);
    net.norm();
    net.push(Op::Add, &[short]);
    net.act(Act::Relu);
    let (plain, fast) = net.finish();
    assert_eq!(
        names(&fast),
        [
            "conv",
            "conv",
            "conv",
            "global_average",
            "conv",
            "conv",
            "conv",
            "global_average",
            "flatten"
        ]
    );
    let with = |bias, residual, act| Epilogue {
        scale: false,
        bias,
        residual,
        act,
    };
    assert_eq!(
        epilogues(&fast),
        [
            (false, with(true, false, Act::Silu)),
            (false, with(true, false, Act::Silu)),
            (false, with(true, false, Act::Silu)),
            (false, with(true, false, Act::Silu)),
            (false, with(true, false, Act::Sigmoid)),
            (true, with(true, true, Act::Relu)),
        ]
    );
    agree(&plain, &fast);
}

#[test]
fn constants_of_norm_free_networks_fold_into_weights_and_gates() {
    let mut net = Net::new(1, 5, 4);
    net.conv(6, 3, 1);
    for _ in 0..2 {
        let short = net.x;
        net.act(Act::Silu);
        net.push(Op::Multiply(Scalar::new(0.9)), &[]);
        net.layers += 1;
        let (w, gain) = (
            net.param("conv", &[6, 3, 3, 3]),
            net.param("gain", &[6, 1, 1, 1]),
        );
        let standard = Op::Standardize {
            eps: Scalar::new(1e-6),
            scale: Scalar::new(0.4),
        };
        let w = net.graph.push(standard, &[w, gain]).unwrap();
        net.conv_by(w, 3, 2);
        let b = net.param("bias", &[6]);
        let y = net.push(Op::Bias, &[b]);
        net.push(Op::GlobalAverage, &[]);
        let taps = net.param("eca", &[1, 1, 3]);
        net.push(Op::ChannelConv, &[taps]);
        let gate = net.act(Act::Sigmoid);
        net.x = y;
        net.push(Op::Gate, &[gate]);
        net.push(Op::Multiply(Scalar::new(2.0)), &[]);
        let skip = net.param("skip", &[]);
        net.push(Op::Gain, &[skip]);
        net.push(Op::Multiply(Scalar::new(0.2)), &[]);
        net.push(Op::Add, &[short]);
    }
    net.act(Act::Silu);
    // A pool and a constant on the way to a product: owed until then.
    net.push(Op::Multiply(Scalar::new(0.7)), &[]);
    let window = Window::ceil(2, 2, 5, 5);
    net.push(
        Op::Pool {
            kind: PoolKind::Average,
            window,
        },
        &[],
    );
    net.conv(7, 1, 1);
    // A constant that meets something else than a product is multiplied in after all.
    net.push(Op::Multiply(Scalar::new(-3.0)), &[]);
    let twice = net.x;
    net.push(Op::Add, &[twice]);
    let (plain, fast) = net.finish();
    let block = [
        "activation",
        "conv",
        "global_average",
        "channel_conv",
        "activation",
        "gated",
    ];
    let mut want = vec!["conv"];
    want.extend(block);
    want.extend(block);
    // The last activation has no other reader before it: it went into the last gate.
    want.extend(["average_pool", "conv", "add", "global_average", "flatten"]);
    assert_eq!(names(&fast), want);
    agree(&plain, &fast);
}

#[test]
fn a_concatenation_and_its_batch_norm_are_one_pass() {
    let mut net = Net::new(1, 4, 3);
    net.conv(5, 3, 1);
    let mut parts = vec![net.x];
    for _ in 0..3 {
        net.layers += 1;
        net.x = net.graph.push(Op::Concat, &parts).unwrap();
        net.norm();
        net.act(Act::Relu);
        net.conv(6, 1, 1);
        net.norm();
        net.act(Act::Relu);
        parts.push(net.conv(4, 3, 1));
    }
    net.layers += 1;
    net.x = net.graph.push(Op::Concat, &parts).unwrap();
    net.norm();
    net.act(Act::Relu);
    let (plain, fast) = net.finish();
    let mut want = vec!["conv"];
    (0..3).for_each(|_| want.extend(["affine", "conv", "conv"]));
    want.extend(["affine", "global_average", "flatten"]);
    assert_eq!(names(&fast), want);
    agree(&plain, &fast);
}

#[test]
fn rows_of_a_batch_equal_single_runs_bit_for_bit() {
    let cpu = CpuDevice::default();
    for (i, case) in thin(conv_cases()).enumerate() {
        let full = Epilogue {
            scale: false,
            bias: true,
            residual: true,
            act: Act::Silu,
        };
        let op = Op::Conv {
            window: case.4,
            groups: case.5,
            gate: false,
            epilogue: full,
        };
        let ins = inputs(&conv_inputs(&case, 3, false, &full), i as u64);
        let all = run(&cpu, &op, &ins).unwrap();
        let part = |(d, b): &(Desc, Vec<u8>), n: usize| {
            if d.dims.len() != 4 || d.dims[0] != 3 || d.dims[1..] == ins[1].0.dims[1..] {
                return (d.clone(), b.clone());
            }
            let mut dims = d.dims.clone();
            dims[0] = 1;
            let size = b.len() / 3;
            (
                Desc::new(&dims, d.dtype),
                b[n * size..(n + 1) * size].to_vec(),
            )
        };
        for n in 0..3 {
            let mut one: Vec<_> = ins.iter().map(|x| part(x, n)).collect();
            one[1] = ins[1].clone();
            let single = run(&cpu, &op, &one).unwrap();
            assert_eq!(single[0].1, part(&all[0], n).1, "case {i}, image {n}");
        }
    }
}
