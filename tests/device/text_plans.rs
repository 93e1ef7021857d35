//! A miniature text encoder: what lowering fuses, and plans of other sizes over the same weights.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use doppel::device::{
    Act, Buf, CpuDevice, DType, Desc, Device, DeviceInfo, Epilogue, Graph, Lower, Mem, NaiveDevice,
    Op, Origin, Plan, Precision, Scalar, Stream, Support, Value, Weights, Window, alloc, bytes_of,
    values_of,
};
use doppel::error::{Kind, Result};

use crate::harness::{cards, values};

const INFER: Lower = Lower::Infer(Precision::F32);
const TRAIN: Lower = Lower::Train(Precision::F32);
const WORDS: usize = 40;
const PLACES: usize = 16;
const WIDTH: usize = 24;
const HIDDEN: usize = 50;
const HEADS: usize = 3;

const BARE: Op = Op::Gemm {
    trans_a: false,
    trans_b: true,
    epilogue: Epilogue::BARE,
};

fn norm() -> Op {
    Op::LayerNorm {
        eps: Scalar::new(1e-12),
    }
}

/// A graph under construction.
struct Net(Graph);

impl Net {
    fn rows(&mut self, name: &str, n: usize) -> Value {
        self.0.input(name, Desc::new(&[n], DType::U32))
    }

    fn lookup(&mut self, key: &str, size: usize, rows: Value) -> Value {
        let table = self.0.param(key, &[size, WIDTH]).unwrap();
        self.0.push(Op::Lookup, &[table, rows]).unwrap()
    }

    fn add(&mut self, a: Value, b: Value) -> Value {
        self.0.push(Op::Add, &[a, b]).unwrap()
    }

    fn norm(&mut self, key: &str, x: Value) -> Value {
        let gamma = self.0.param(&format!("{key}.weight"), &[WIDTH]).unwrap();
        let beta = self.0.param(&format!("{key}.bias"), &[WIDTH]).unwrap();
        self.0.push(norm(), &[x, gamma, beta]).unwrap()
    }

    fn linear(&mut self, key: &str, x: Value, n: usize) -> Value {
        let depth = self.0.desc(x).dims[1];
        let w = self.0.param(&format!("{key}.weight"), &[n, depth]).unwrap();
        let b = self.0.param(&format!("{key}.bias"), &[n]).unwrap();
        let y = self.0.push(BARE, &[x, w]).unwrap();
        self.0.push(Op::Bias, &[y, b]).unwrap()
    }

    fn finish(mut self, outputs: &[Value]) -> Graph {
        self.0.output(outputs);
        self.0
    }
}

/// One layer of BERT over `rows` tokens in `sequences`, its keys behind `prefix`.
fn encoder_of(prefix: &str, rows: usize, sequences: usize) -> Graph {
    let mut net = Net(Graph::new());
    let key = |name: &str| format!("{prefix}{name}");
    let (tokens, places) = (net.rows("tokens", rows), net.rows("places", rows));
    let offsets = net.rows("offsets", sequences + 1);
    let words = net.lookup(&key("words"), WORDS, tokens);
    let places = net.lookup(&key("places"), PLACES, places);
    let sum = net.add(words, places);
    let mut x = net.norm(&key("embed"), sum);
    let [q, k, v] = ["query", "key", "value"].map(|name| net.linear(&key(name), x, WIDTH));
    let op = Op::Attention {
        heads: HEADS,
        scale: Scalar::new(0.35),
    };
    let y = net.0.push(op, &[q, k, v, offsets]).unwrap();
    let y = net.linear(&key("out"), y, WIDTH);
    let y = net.add(y, x);
    x = net.norm(&key("first"), y);
    let y = net.linear(&key("up"), x, HIDDEN);
    let y = net.0.push(Op::Activation(Act::Gelu), &[y]).unwrap();
    let y = net.linear(&key("down"), y, WIDTH);
    let y = net.add(y, x);
    x = net.norm(&key("second"), y);
    let mean = net.0.push(Op::SegmentMean, &[x, offsets]).unwrap();
    net.finish(&[mean, x])
}

fn encoder(rows: usize, sequences: usize) -> Graph {
    encoder_of("", rows, sequences)
}

fn weights(graph: &Graph) -> Weights {
    let mut all = Weights::new();
    for (i, value) in graph.params().into_iter().enumerate() {
        let Origin::Param(key) = graph.origin(value).clone() else {
            continue;
        };
        let dims = graph.desc(value).dims.clone();
        let by = match dims[..] {
            [_, depth] => 1.5 / (depth as f32).sqrt(),
            _ => 0.5,
        };
        let mut data = values(dims.iter().product(), 3 + i as u64);
        data.iter_mut().for_each(|v| *v *= by);
        all.insert(key, (dims, data));
    }
    all
}

fn plan(graph: &Graph, device: impl Device + 'static, how: Lower) -> Plan {
    Plan::new(graph, &weights(graph), Arc::new(device), how).unwrap()
}

fn names(plan: &Plan) -> Vec<&'static str> {
    plan.shapes().iter().map(|(op, _)| op.name()).collect()
}

/// Rows or offsets for the input `name` of `n` words.
fn given(name: &str, n: usize, rows: usize) -> Vec<u32> {
    let word = |i: usize| match name {
        // The first sequence is the longest, the last one empty where there are several.
        "offsets" if n == 2 => [0, rows][i],
        "offsets" => match i {
            0 => 0,
            i if i + 1 >= n - 1 => rows,
            i => rows / 2 + i * (rows - rows / 2) / n,
        },
        "places" => i * 5 % PLACES,
        _ => i * 7 % WORDS,
    };
    (0..n).map(|i| word(i) as u32).collect()
}

/// What a plan gives on seeded rows, output by output.
fn outcome(plan: &Plan) -> Vec<Vec<f32>> {
    let device = &**plan.device();
    let rows = plan.inputs()[0].1.dims[0];
    let put = |(name, desc): &(String, Desc)| {
        let bytes = match desc.dtype {
            DType::U32 => given(name, desc.len(), rows)
                .iter()
                .flat_map(|v| v.to_le_bytes())
                .collect(),
            dtype => bytes_of(&values(desc.len(), 1), dtype),
        };
        let buf = alloc(device, desc.clone()).unwrap();
        device.upload(&bytes, &buf, Stream::DEFAULT).unwrap();
        buf
    };
    let ins: Vec<Buf> = plan.inputs().iter().map(put).collect();
    let outs = plan.outputs().iter();
    let outs: Vec<Buf> = outs.map(|d| alloc(device, d.clone()).unwrap()).collect();
    let (from, to): (Vec<&Buf>, Vec<&Buf>) = (ins.iter().collect(), outs.iter().collect());
    plan.run(&from, &to, Stream::DEFAULT).unwrap();
    let read = |buf: &Buf| {
        let mut bytes = vec![0; buf.desc.bytes()];
        device.download(buf, &mut bytes, Stream::DEFAULT).unwrap();
        values_of(&bytes, buf.desc.dtype)
    };
    outs.iter().map(read).collect()
}

fn agree(have: &[Vec<f32>], want: &[Vec<f32>]) {
    assert_eq!(have.len(), want.len());
    for (have, want) in have.iter().zip(want) {
        let size = want.iter().fold(0f32, |m, v| m.max(v.abs()));
        assert!(size > 1e-3 && size.is_finite(), "{want:?}");
        assert_eq!(have.len(), want.len());
        for (a, b) in have.iter().zip(want) {
            assert!((a - b).abs() <= 2e-6 * size, "{a} for {b} of {size}");
        }
    }
}

#[test]
fn a_layer_of_an_encoder_is_fused_and_agrees_with_the_naive_twin() {
    let graph = encoder(31, 4);
    let fast = plan(&graph, CpuDevice::default(), INFER);
    assert_eq!(
        names(&fast),
        [
            "embed",
            "gemm",
            "gemm",
            "gemm",
            "attention",
            "gemm",
            "layer_norm",
            "gemm",
            "gemm",
            "layer_norm",
            "segment_mean"
        ]
    );
    let acts: Vec<_> = fast
        .shapes()
        .iter()
        .filter_map(|(op, _)| match op {
            Op::Gemm { epilogue, .. } => Some((epilogue.bias, epilogue.residual, epilogue.act)),
            _ => None,
        })
        .collect();
    let bias = (true, false, Act::None);
    let residual = (true, true, Act::None);
    let gelu = (true, false, Act::Gelu);
    assert_eq!(acts, [bias, bias, bias, residual, gelu, residual]);
    let want = outcome(&plan(&graph, NaiveDevice::default(), TRAIN));
    agree(&outcome(&fast), &want);
    agree(&outcome(&plan(&graph, CpuDevice::default(), TRAIN)), &want);
    assert_eq!(outcome(&fast.twin().unwrap()), outcome(&fast));
}

#[test]
fn a_layer_norm_over_a_sum_of_lookups_is_one_embedding() {
    for tables in 1..=4 {
        for right in [false, true] {
            let mut net = Net(Graph::new());
            let rows = net.rows("tokens", 9);
            let parts: Vec<Value> = (0..tables)
                .map(|t| net.lookup(&format!("table{t}"), WORDS, rows))
                .collect();
            let add = |net: &mut Net, a: Value, &b: &Value| match right {
                true => net.add(b, a),
                false => net.add(a, b),
            };
            let mut sum = parts[0];
            for part in &parts[1..] {
                sum = add(&mut net, sum, part);
            }
            let y = net.norm("norm", sum);
            let graph = net.finish(&[y]);
            let fast = plan(&graph, CpuDevice::default(), INFER);
            assert_eq!(names(&fast), ["embed"]);
            let (Op::Embed { tables: found, .. }, _) = fast.shapes()[0] else {
                unreachable!()
            };
            assert_eq!(found, tables);
            let want = outcome(&plan(&graph, NaiveDevice::default(), TRAIN));
            agree(&outcome(&fast), &want);
        }
    }
}

#[test]
fn a_sum_that_others_read_is_no_embedding() {
    let base = || {
        let mut net = Net(Graph::new());
        let rows = net.rows("tokens", 9);
        let words = net.lookup("words", WORDS, rows);
        let more = net.lookup("more", WORDS, rows);
        let sum = net.add(words, more);
        let y = net.norm("norm", sum);
        (net, words, sum, y)
    };
    let mut graphs = Vec::new();
    // The sum is an output, is read twice, and a part of it is.
    let (net, _, sum, y) = base();
    graphs.push(net.finish(&[y, sum]));
    let (mut net, _, sum, y) = base();
    let z = net.add(y, sum);
    graphs.push(net.finish(&[z]));
    let (mut net, words, _, y) = base();
    let z = net.add(y, words);
    graphs.push(net.finish(&[z]));
    // A part is no lookup.
    let mut net = Net(Graph::new());
    let rows = net.rows("tokens", 9);
    let given = net.0.input("given", Desc::new(&[9, WIDTH], DType::F32));
    let words = net.lookup("words", WORDS, rows);
    let sum = net.add(words, given);
    let y = net.norm("norm", sum);
    graphs.push(net.finish(&[y]));
    for (i, graph) in graphs.iter().enumerate() {
        let fast = plan(graph, CpuDevice::default(), INFER);
        let names = names(&fast);
        assert!(!names.contains(&"embed"), "{i}: {names:?}");
        assert!(names.contains(&"layer_norm"), "{i}: {names:?}");
        let want = outcome(&plan(graph, NaiveDevice::default(), TRAIN));
        agree(&outcome(&fast), &want);
    }
}

/// The CPU, counting what is packed and uploaded.
#[derive(Default)]
struct Counting {
    cpu: CpuDevice,
    brought: Arc<AtomicUsize>,
}

impl Device for Counting {
    fn info(&self) -> &DeviceInfo {
        self.cpu.info()
    }

    fn supports(&self, op: &Op, ins: &[Desc]) -> Support {
        self.cpu.supports(op, ins)
    }

    fn alloc(&self, bytes: usize) -> Result<Arc<dyn Mem>> {
        self.cpu.alloc(bytes)
    }

    fn upload(&self, from: &[u8], to: &Buf, stream: Stream) -> Result<()> {
        self.brought.fetch_add(1, Ordering::Relaxed);
        self.cpu.upload(from, to, stream)
    }

    fn download(&self, from: &Buf, to: &mut [u8], stream: Stream) -> Result<()> {
        self.cpu.download(from, to, stream)
    }

    fn packed(&self, op: &Op, ins: &[Desc], at: usize) -> Option<usize> {
        self.cpu.packed(op, ins, at)
    }

    fn pack(
        &self,
        op: &Op,
        ins: &[Desc],
        at: usize,
        row: &mut dyn FnMut(usize, &mut [f32]) -> Result<()>,
        to: &Buf,
    ) -> Result<()> {
        self.brought.fetch_add(1, Ordering::Relaxed);
        self.cpu.pack(op, ins, at, row, to)
    }

    fn run(
        &self,
        op: &Op,
        ins: &[&Buf],
        outs: &[&Buf],
        workspace: Option<&Buf>,
        stream: Stream,
    ) -> Result<()> {
        self.cpu.run(op, ins, outs, workspace, stream)
    }

    fn sync(&self, stream: Stream) -> Result<()> {
        self.cpu.sync(stream)
    }
}

#[test]
fn a_resized_plan_equals_a_fresh_one_over_the_same_weights() {
    let device = Counting::default();
    let brought = Arc::clone(&device.brought);
    let first = plan(&encoder(30, 4), device, INFER);
    let once = brought.load(Ordering::Relaxed);
    assert!(once > 10, "{once}");
    let before = outcome(&first);
    let mut last = first.twin().unwrap();
    for (rows, sequences) in [(7, 2), (64, 5), (1, 1), (301, 9), (30, 4)] {
        let graph = encoder(rows, sequences);
        let count = brought.load(Ordering::Relaxed);
        let from_first = first.resized(&graph).unwrap();
        // A plan that was made so gives others too.
        let from_last = last.resized(&graph).unwrap();
        assert_eq!(
            brought.load(Ordering::Relaxed),
            count,
            "no weight is brought again"
        );
        let fresh = plan(&graph, CpuDevice::default(), INFER);
        let want = outcome(&fresh);
        assert_eq!(want[0].len(), sequences * WIDTH);
        for other in [&from_first, &from_last] {
            assert_eq!(outcome(other), want, "{rows} rows");
            assert_eq!(other.packed(), first.packed());
            assert_eq!(other.packed(), fresh.packed());
            assert_eq!(names(other), names(&fresh));
        }
        last = from_last;
    }
    assert_eq!(outcome(&first), before, "the first plan is as it was");
    // The memory lives as long as one of the plans does.
    drop(first);
    assert_eq!(outcome(&last), before);
}

#[test]
fn sequences_in_a_plan_do_not_depend_on_their_neighbours() {
    let (rows, sequences) = (101, 7);
    let graph = encoder(rows, sequences);
    let all = plan(&graph, CpuDevice::default(), INFER);
    let offsets = given("offsets", sequences + 1, rows);
    let want = outcome(&all);
    let cpu = CpuDevice::default();
    for (i, pair) in offsets.windows(2).enumerate() {
        let (from, to) = (pair[0] as usize, pair[1] as usize);
        let one = all.resized(&encoder(to - from, 1)).unwrap();
        let put = |words: &[u32]| {
            let buf = alloc(&cpu, Desc::new(&[words.len()], DType::U32)).unwrap();
            cpu.upload(bytemuck::cast_slice(words), &buf, Stream::DEFAULT)
                .unwrap();
            buf
        };
        let ins = [
            put(&given("tokens", rows, rows)[from..to]),
            put(&given("places", rows, rows)[from..to]),
            put(&[0, (to - from) as u32]),
        ];
        let outs = one.outputs().iter();
        let outs: Vec<Buf> = outs.map(|d| alloc(&cpu, d.clone()).unwrap()).collect();
        let (a, b): (Vec<&Buf>, Vec<&Buf>) = (ins.iter().collect(), outs.iter().collect());
        one.run(&a, &b, Stream::DEFAULT).unwrap();
        let mut bytes = vec![0; outs[0].desc.bytes()];
        cpu.download(&outs[0], &mut bytes, Stream::DEFAULT).unwrap();
        let have = values_of(&bytes, DType::F32);
        assert_eq!(have, want[0][i * WIDTH..][..WIDTH], "sequence {i}");
    }
}

#[test]
fn a_resized_plan_has_no_other_weights_than_the_first() {
    let first = plan(&encoder(30, 4), CpuDevice::default(), INFER);
    let line = |graph: &Graph| {
        let error = first.resized(graph).map(|_| ()).unwrap_err();
        let line = error.to_string();
        assert!(!line.contains('\n'), "{line}");
        (error.kind(), line)
    };
    let (kind, unknown) = line(&encoder_of("other.", 30, 4));
    assert_eq!(kind, Kind::Unsupported);
    assert!(unknown.contains("other."), "{unknown}");
    // The same key with another shape: a table with more rows, a product with more columns.
    let mut net = Net(Graph::new());
    let rows = net.rows("tokens", 9);
    let words = net.lookup("words", WORDS + 1, rows);
    let y = net.norm("embed", words);
    let (kind, larger) = line(&net.finish(&[y]));
    assert_eq!(kind, Kind::Shape, "{larger}");
    assert!(
        larger.contains("words") && larger.contains("[41, 24]"),
        "{larger}"
    );
    let mut net = Net(Graph::new());
    let rows = net.rows("tokens", 9);
    let words = net.lookup("words", WORDS, rows);
    let y = net.linear("up", words, HIDDEN + 1);
    let (_, wider) = line(&net.finish(&[y]));
    assert!(wider.contains("up.weight"), "{wider}");
}

#[test]
fn a_resized_plan_refuses_convolutions_of_another_size() {
    let network = |n: usize, side: usize| {
        let mut graph = Graph::new();
        let x = graph.input("image", Desc::new(&[n, side, side, 3], DType::F32));
        let w = graph.param("conv.weight", &[8, 3, 3, 3]).unwrap();
        let op = Op::Conv {
            window: Window::square(3, 1, 1),
            groups: 1,
            gate: false,
            epilogue: Epilogue::BARE,
        };
        let x = graph.push(op, &[x, w]).unwrap();
        let x = graph.push(Op::GlobalAverage, &[x]).unwrap();
        let x = graph.push(Op::Flatten, &[x]).unwrap();
        graph.output(&[x]);
        graph
    };
    let graph = network(2, 6);
    let first = plan(&graph, CpuDevice::default(), INFER);
    let same = first.resized(&graph).unwrap();
    assert_eq!(outcome(&same), outcome(&first));
    assert_eq!(same.packed(), first.packed());
    // More images of the size share the weights.
    let more = first.resized(&network(3, 6)).unwrap();
    let fresh = plan(&network(3, 6), CpuDevice::default(), INFER);
    assert_eq!(outcome(&more), outcome(&fresh));
    let error = first.resized(&network(2, 9)).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported, "{error}");
    let line = error.to_string();
    assert!(
        line.contains("conv.weight") && !line.contains('\n'),
        "{line}"
    );
}

/// A layer on a card in both precisions: its launches are those of the CPU's plan, and f32 is as near to
/// the naive twin as the CPU is, half precision within its own rounding.
#[test]
fn a_layer_on_a_card_agrees_with_the_naive_twin() {
    let graph = encoder(31, 4);
    let want = outcome(&plan(&graph, NaiveDevice::default(), TRAIN));
    let cpu = names(&plan(&graph, CpuDevice::default(), INFER));
    for card in cards() {
        for (precision, share) in [(Precision::F32, 1e-5), (Precision::F16, 8e-3)] {
            let device = Arc::clone(&card);
            let how = Lower::Infer(precision);
            let fast = Plan::new(&graph, &weights(&graph), device, how).unwrap();
            assert_eq!(names(&fast), cpu);
            for (have, want) in outcome(&fast).iter().zip(&want) {
                let size = want.iter().fold(0f32, |m, v| m.max(v.abs()));
                for (a, b) in have.iter().zip(want) {
                    assert!((a - b).abs() <= share * size, "{a} for {b} of {size}");
                }
            }
        }
    }
}
