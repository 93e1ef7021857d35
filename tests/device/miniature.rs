//! A miniature network, written once, lowered for inference and for training, on every device.

use std::sync::Arc;

use doppel::device::{
    Act, Buf, CpuDevice, DType, Desc, Device, Epilogue, Graph, Lower, NaiveDevice, Op, Plan,
    Precision, Stream, Value, Weights, alloc, bytes_of, values_of,
};

use crate::harness::{cards, devices, light, values};

const BATCH: usize = 12;
const WIDTHS: [usize; 3] = [10, 24, 3];
const BARE: Op = Op::Gemm {
    trans_a: false,
    trans_b: true,
    epilogue: Epilogue::BARE,
};

/// Linear, batch norm as scale and shift, ReLU, a residual block, linear: logits.
fn network(graph: &mut Graph) -> Value {
    let [inner, hidden, classes] = WIDTHS;
    let x = graph.input("x", Desc::new(&[BATCH, inner], DType::F32));
    let fc1 = graph.param("fc1.weight", &[hidden, inner]).unwrap();
    let b1 = graph.param("fc1.bias", &[hidden]).unwrap();
    let gamma = graph.param("bn.weight", &[hidden]).unwrap();
    let beta = graph.param("bn.bias", &[hidden]).unwrap();
    let mut h = graph.push(BARE, &[x, fc1]).unwrap();
    h = graph.push(Op::Bias, &[h, b1]).unwrap();
    h = graph.push(Op::Scale, &[h, gamma]).unwrap();
    h = graph.push(Op::Bias, &[h, beta]).unwrap();
    h = graph.push(Op::Activation(Act::Relu), &[h]).unwrap();
    let fc2 = graph.param("block.weight", &[hidden, hidden]).unwrap();
    let mut r = graph.push(BARE, &[h, fc2]).unwrap();
    r = graph.push(Op::Add, &[r, h]).unwrap();
    r = graph.push(Op::Activation(Act::Mish), &[r]).unwrap();
    let fc3 = graph.param("fc3.weight", &[classes, hidden]).unwrap();
    let b3 = graph.param("fc3.bias", &[classes]).unwrap();
    let logits = graph.push(BARE, &[r, fc3]).unwrap();
    graph.push(Op::Bias, &[logits, b3]).unwrap()
}

fn weights() -> Weights {
    let mut graph = Graph::new();
    network(&mut graph);
    let mut weights = Weights::new();
    for (i, &value) in graph.params().iter().enumerate() {
        let doppel::device::Origin::Param(key) = graph.origin(value).clone() else {
            continue;
        };
        let dims = graph.desc(value).dims.clone();
        let n = dims.iter().product();
        let scale = if dims.len() == 2 {
            (2.0 / dims[1] as f32).sqrt()
        } else {
            0.5
        };
        let mut data: Vec<f32> = values(n, 77 + i as u64).iter().map(|v| v * scale).collect();
        if key == "bn.weight" {
            data.iter_mut().for_each(|v| *v += 1.0);
        }
        weights.insert(key, (dims, data));
    }
    weights
}

fn batch() -> (Vec<f32>, Vec<u32>) {
    let x = values(BATCH * WIDTHS[0], 5);
    let labels = x
        .chunks(WIDTHS[0])
        .map(|r| ((r[0] + r[1] * 2.0 + 3.0).abs() as u32) % 3)
        .collect();
    (x, labels)
}

fn give(device: &dyn Device, desc: Desc, bytes: &[u8]) -> Buf {
    let buf = alloc(device, desc).unwrap();
    device.upload(bytes, &buf, Stream::DEFAULT).unwrap();
    buf
}

/// Runs a plan on the batch (with labels where it wants them) and gives each output's values.
fn run(plan: &Plan, device: &dyn Device, x: &[f32], labels: &[u32]) -> Vec<Vec<f32>> {
    let ins: Vec<Buf> = plan
        .inputs()
        .iter()
        .map(|(name, desc)| match name.as_str() {
            "x" => give(device, desc.clone(), &bytes_of(x, desc.dtype)),
            _ => give(device, desc.clone(), bytemuck::cast_slice(labels)),
        })
        .collect();
    let outs: Vec<Buf> = plan
        .outputs()
        .iter()
        .map(|d| alloc(device, d.clone()).unwrap())
        .collect();
    plan.run(
        &ins.iter().collect::<Vec<_>>(),
        &outs.iter().collect::<Vec<_>>(),
        Stream::DEFAULT,
    )
    .unwrap();
    device.sync(Stream::DEFAULT).unwrap();
    outs.iter()
        .map(|b| {
            let mut bytes = vec![0; b.desc.bytes()];
            device.download(b, &mut bytes, Stream::DEFAULT).unwrap();
            values_of(&bytes, b.desc.dtype)
        })
        .collect()
}

fn inference() -> Graph {
    let mut graph = Graph::new();
    let logits = network(&mut graph);
    graph.output(&[logits]);
    graph
}

/// The loss and the gradients of all weights, in the order of `Graph::params`.
fn training() -> Graph {
    let mut graph = Graph::new();
    let logits = network(&mut graph);
    let labels = graph.input("labels", Desc::new(&[BATCH], DType::U32));
    let loss = graph
        .push_all(Op::SoftmaxCrossEntropy, &[logits, labels])
        .unwrap()[0];
    let params = graph.params();
    let grads = graph.backward(loss, &params).unwrap();
    graph.output(&[loss]);
    graph.output(&grads);
    graph
}

fn largest(a: &[f32], b: &[f32]) -> f64 {
    a.iter()
        .zip(b)
        .map(|(x, y)| f64::from((x - y).abs()) / (1.0 + f64::from(y.abs())))
        .fold(0.0, f64::max)
}

#[test]
fn inference_is_folded_and_fused_and_gives_the_same() {
    let (x, labels) = batch();
    let naive: Arc<dyn Device> = Arc::new(NaiveDevice::default());
    let plain = Plan::new(
        &inference(),
        &weights(),
        Arc::clone(&naive),
        Lower::Train(Precision::F32),
    )
    .unwrap();
    assert_eq!(plain.launches(), 10);
    let want = run(&plain, &*naive, &x, &labels);
    for device in devices() {
        let plan = Plan::new(
            &inference(),
            &weights(),
            Arc::clone(&device),
            Lower::Infer(Precision::F32),
        )
        .unwrap();
        // Three products with everything else in their epilogues; the batch norm is in the weights.
        assert_eq!(plan.launches(), 3, "{:?}", plan.shapes());
        let epilogues: Vec<Epilogue> = plan
            .shapes()
            .iter()
            .map(|(op, _)| match op {
                Op::Gemm { epilogue, .. } => *epilogue,
                other => panic!("{other:?} is left"),
            })
            .collect();
        let expect = |bias, residual, act| Epilogue {
            scale: false,
            bias,
            residual,
            act,
        };
        assert_eq!(
            epilogues,
            [
                expect(true, false, Act::Relu),
                expect(false, true, Act::Mish),
                expect(true, false, Act::None)
            ]
        );
        let have = run(&plan, &*device, &x, &labels);
        assert!(largest(&have[0], &want[0]) < 2e-6, "{}", device.info().name);
        let half = Plan::new(
            &inference(),
            &weights(),
            Arc::clone(&device),
            Lower::Infer(Precision::F16),
        )
        .unwrap();
        let have = run(&half, &*device, &x, &labels);
        assert!(largest(&have[0], &want[0]) < 1e-2, "{}", device.info().name);
        assert!(largest(&have[0], &want[0]) > 0.0, "f16 was not used");
    }
}

#[test]
fn the_tape_gives_the_gradients_that_finite_differences_give() {
    let (x, labels) = batch();
    let device: Arc<dyn Device> = Arc::new(NaiveDevice::default());
    let graph = training();
    let plan = Plan::new(
        &graph,
        &weights(),
        Arc::clone(&device),
        Lower::Train(Precision::F32),
    )
    .unwrap();
    let base = run(&plan, &*device, &x, &labels);
    let mut checked = 0;
    for (p, &value) in graph.params().iter().enumerate() {
        let doppel::device::Origin::Param(key) = graph.origin(value).clone() else {
            continue;
        };
        let n = weights()[&key].1.len();
        for i in (0..n).step_by((n / 7).max(1)) {
            let nudged = |by: f32| {
                let mut w = weights();
                w.get_mut(&key).unwrap().1[i] += by;
                let plan = Plan::new(
                    &graph,
                    &w,
                    Arc::clone(&device),
                    Lower::Train(Precision::F32),
                )
                .unwrap();
                f64::from(run(&plan, &*device, &x, &labels)[0][0])
            };
            let step = 4e-3;
            let slope = (nudged(step) - nudged(-step)) / (2.0 * f64::from(step));
            let have = f64::from(base[1 + p][i]);
            assert!(
                (slope - have).abs() < 2e-4 + 0.01 * slope.abs(),
                "{key}[{i}]: {have} for {slope}"
            );
            checked += 1;
        }
    }
    assert!(checked > 40, "{checked}");
}

/// Steps of a training: few where runs are slow.
fn steps() -> usize {
    if light() { 3 } else { 25 }
}

/// What share of the first loss is left at most after these.
fn fallen() -> f32 {
    if light() { 0.9 } else { 0.5 }
}

#[test]
fn every_device_trains_alike_and_the_loss_falls() {
    let (x, labels) = batch();
    let mut last = Vec::new();
    for device in devices() {
        let graph = training();
        let mut w = weights();
        let mut losses = Vec::new();
        for _ in 0..steps() {
            let plan = Plan::new(
                &graph,
                &w,
                Arc::clone(&device),
                Lower::Train(Precision::F32),
            )
            .unwrap();
            let outs = run(&plan, &*device, &x, &labels);
            losses.push(outs[0][0]);
            step_down(&graph, &mut w, &outs);
        }
        let end = losses[losses.len() - 1];
        let name = &device.info().name;
        assert!(end < fallen() * losses[0], "{name}: {losses:?}");
        last.push(end);
    }
    assert!(
        last.windows(2)
            .all(|l| (l[0] - l[1]).abs() < 1e-3 * l[0].abs().max(1e-3)),
        "{last:?}"
    );
}

#[test]
fn cards_train_in_half_precision_as_the_naive_twin_does() {
    let (x, labels) = batch();
    let naive: Arc<dyn Device> = Arc::new(NaiveDevice::default());
    let graph = training();
    for card in cards() {
        let card: Arc<dyn Device> = card;
        let mut w = weights();
        let (mut first, mut last, mut worst) = (0.0, 0.0, 0.0f64);
        for step in 0..steps() {
            let both = [&card, &naive].map(|device| {
                let how = Lower::Train(Precision::F16);
                let plan = Plan::new(&graph, &w, Arc::clone(device), how).unwrap();
                run(&plan, &**device, &x, &labels)
            });
            // Before each rounding to half precision the two are within f32 of one another: few values
            // round apart, and those by one unit, 2^-10 of them.
            for (have, want) in both[0].iter().zip(&both[1]) {
                let size = want.iter().fold(0f32, |m, v| m.max(v.abs()));
                let apart = have
                    .iter()
                    .zip(want)
                    .fold(0f32, |m, (a, b)| m.max((a - b).abs()));
                worst = worst.max(f64::from(apart / size.max(1e-6)));
            }
            last = both[0][0][0];
            if step == 0 {
                first = last;
            }
            step_down(&graph, &mut w, &both[0]);
        }
        assert!(worst <= 2f64.powi(-10), "{}: {worst}", card.info().name);
        assert!(
            last < fallen() * first,
            "{}: {first} to {last}",
            card.info().name
        );
    }
}

/// Gradient descent on the weights, from what a training plan gave.
fn step_down(graph: &Graph, w: &mut Weights, outs: &[Vec<f32>]) {
    for (p, &value) in graph.params().iter().enumerate() {
        let doppel::device::Origin::Param(key) = graph.origin(value).clone() else {
            continue;
        };
        let data = &mut w.get_mut(&key).unwrap().1;
        data.iter_mut()
            .zip(&outs[1 + p])
            .for_each(|(v, g)| *v -= 0.2 * g);
    }
}

#[test]
fn values_share_the_arena_and_a_missing_weight_is_named() {
    let device: Arc<dyn Device> = Arc::new(CpuDevice::default());
    let plan = Plan::new(
        &inference(),
        &weights(),
        Arc::clone(&device),
        Lower::Train(Precision::F32),
    )
    .unwrap();
    // Ten values of 12 x 24 f32 in one another's place: never more than three live at once.
    assert!(
        plan.arena() <= 3 * (BATCH * WIDTHS[1] * 4).next_multiple_of(256),
        "{}",
        plan.arena()
    );
    assert!(plan.cost().unwrap().flops > 2 * (BATCH * WIDTHS[1] * WIDTHS[1]) as u64);
    let mut w = weights();
    w.remove("bn.bias");
    let error = Plan::new(
        &inference(),
        &w,
        Arc::clone(&device),
        Lower::Infer(Precision::F32),
    )
    .err()
    .unwrap();
    assert!(error.to_string().contains("bn.bias"), "{error}");
    let mut w = weights();
    w.insert("fc3.bias".into(), (vec![4], vec![0.0; 4]));
    let error = Plan::new(&inference(), &w, device, Lower::Infer(Precision::F32))
        .err()
        .unwrap();
    assert!(error.to_string().contains("fc3.bias"), "{error}");
}

#[test]
fn two_products_that_meet_in_a_sum_are_both_computed() {
    let mut graph = Graph::new();
    let x = graph.input("x", Desc::new(&[4, 5], DType::F32));
    let (a, b) = (
        graph.param("a", &[3, 5]).unwrap(),
        graph.param("b", &[3, 5]).unwrap(),
    );
    let scale = graph.input("s", Desc::new(&[3], DType::F32));
    let (p, q) = (
        graph.push(BARE, &[x, a]).unwrap(),
        graph.push(BARE, &[x, b]).unwrap(),
    );
    let scaled = graph.push(Op::Scale, &[q, scale]).unwrap();
    let sum = graph.push(Op::Add, &[p, scaled]).unwrap();
    let out = graph.push(Op::Activation(Act::Silu), &[sum]).unwrap();
    graph.output(&[out, p]);
    let w: Weights = [("a", 1), ("b", 2)]
        .map(|(k, s)| (k.to_string(), (vec![3, 5], values(15, s))))
        .into();
    let (xs, ss) = (values(20, 9), values(3, 8));
    let mut results = Vec::new();
    for how in [Lower::Train(Precision::F32), Lower::Infer(Precision::F32)] {
        let device: Arc<dyn Device> = Arc::new(NaiveDevice::default());
        let plan = Plan::new(&graph, &w, Arc::clone(&device), how).unwrap();
        let ins = [
            give(
                &*device,
                Desc::new(&[4, 5], DType::F32),
                bytemuck::cast_slice(&xs),
            ),
            give(
                &*device,
                Desc::new(&[3], DType::F32),
                bytemuck::cast_slice(&ss),
            ),
        ];
        let outs = [0, 1].map(|_| alloc(&*device, Desc::new(&[4, 3], DType::F32)).unwrap());
        plan.run(&[&ins[0], &ins[1]], &[&outs[0], &outs[1]], Stream::DEFAULT)
            .unwrap();
        let read = |b: &Buf| {
            let mut bytes = vec![0; b.desc.bytes()];
            device.download(b, &mut bytes, Stream::DEFAULT).unwrap();
            values_of(&bytes, DType::F32)
        };
        results.push((plan.launches(), read(&outs[0]), read(&outs[1])));
    }
    assert_eq!((results[0].0, results[1].0), (5, 2));
    assert!(largest(&results[0].1, &results[1].1) < 1e-6);
    assert_eq!(results[0].2, results[1].2);
}
