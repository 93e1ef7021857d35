//! Operations of the catalogue, and plans of them, against plain loops.

use std::sync::Arc;

use doppel::device::{
    Act, Buf, DType, Desc, Device, Epilogue, Graph, Lower, Op, Plan, PoolKind, Precision, Scalar,
    Stream, Support, Weights, Window, alloc,
};
use doppel_backend_test::{buffer, devices, noise, read};

/// Runs an operation, unless the device has no form of it.
fn run(device: &Arc<dyn Device>, op: Op, ins: &[(&[usize], &[f32])]) -> Option<Vec<f32>> {
    let from: Vec<Buf> = ins
        .iter()
        .map(|(dims, values)| buffer(&**device, dims, DType::F32, values))
        .collect();
    let descs: Vec<Desc> = from.iter().map(|b| b.desc.clone()).collect();
    if device.supports(&op, &descs) != Support::Native {
        println!("{} has no {} of its own", device.info().name, op.name());
        return None;
    }
    let to = alloc(&**device, op.infer(&descs).unwrap().remove(0)).unwrap();
    let scratch = match device.workspace(&op, &descs) {
        0 => None,
        n => Some(alloc(&**device, Desc::new(&[n.div_ceil(4)], DType::F32)).unwrap()),
    };
    let from: Vec<&Buf> = from.iter().collect();
    device
        .run(&op, &from, &[&to], scratch.as_ref(), Stream::DEFAULT)
        .unwrap();
    Some(read(&**device, &to))
}

fn near(have: &[f32], want: &[f64], what: &str) {
    assert_eq!(have.len(), want.len(), "{what}");
    for (i, (&a, &b)) in have.iter().zip(want).enumerate() {
        assert!(
            (f64::from(a) - b).abs() < 1e-5 * (1.0 + b.abs()),
            "{what} at {i}: {a}, not {b}"
        );
    }
}

#[test]
fn a_product_with_all_that_can_follow_it() {
    let (m, n, k) = (5, 7, 11);
    let (a, b) = (noise(m * k, 1), noise(n * k, 2));
    let (scale, bias, residual) = (noise(n, 3), noise(n, 4), noise(m * n, 5));
    let epilogue = Epilogue {
        scale: true,
        bias: true,
        residual: true,
        act: Act::Relu,
    };
    let op = Op::Gemm {
        trans_a: false,
        trans_b: true,
        epilogue,
    };
    let f = f64::from;
    let mut want = Vec::new();
    for i in 0..m {
        for j in 0..n {
            let dot: f64 = (0..k).map(|l| f(a[i * k + l]) * f(b[j * k + l])).sum();
            want.push((dot * f(scale[j]) + f(bias[j]) + f(residual[i * n + j])).max(0.0));
        }
    }
    for device in devices() {
        let ins: [(&[usize], &[f32]); 5] = [
            (&[m, k], &a),
            (&[n, k], &b),
            (&[n], &scale),
            (&[n], &bias),
            (&[m, n], &residual),
        ];
        let have = run(&device, op, &ins).expect("every device has products");
        near(&have, &want, &device.info().name);
    }
}

#[test]
fn rows_columns_and_images() {
    let x = noise(2 * 4 * 4 * 3, 6);
    let f = f64::from;
    let images: &[usize] = &[2, 4, 4, 3];
    let mut sums = 0;
    for device in devices() {
        let name = &device.info().name;
        if let Some(have) = run(&device, Op::RowNormalize, &[(&[8, 12], &x)]) {
            let want: Vec<f64> = x
                .chunks(12)
                .flat_map(|row| {
                    let length = row.iter().map(|&v| f(v) * f(v)).sum::<f64>().sqrt();
                    row.iter().map(move |&v| f(v) / length)
                })
                .collect();
            near(&have, &want, name);
            sums += 1;
        }
        if let Some(have) = run(&device, Op::ColumnSum, &[(&[8, 12], &x)]) {
            let column = |j: usize| (0..8).map(|i| f(x[i * 12 + j])).sum();
            near(&have, &(0..12).map(column).collect::<Vec<f64>>(), name);
        }
        if let Some(have) = run(&device, Op::GlobalAverage, &[(images, &x)]) {
            let mean = |i: usize| {
                (0..16)
                    .map(|p| f(x[i / 3 * 48 + p * 3 + i % 3]))
                    .sum::<f64>()
                    / 16.0
            };
            near(&have, &(0..6).map(mean).collect::<Vec<f64>>(), name);
        }
        let pool = Op::Pool {
            kind: PoolKind::Max,
            window: Window::square(2, 2, 0),
        };
        if let Some(have) = run(&device, pool, &[(images, &x)]) {
            let value =
                |n: usize, y: usize, u: usize, c: usize| f(x[((n * 4 + y) * 4 + u) * 3 + c]);
            let most = |i: usize| {
                let (n, y, u, c) = (i / 12, 2 * (i / 6 % 2), 2 * (i / 3 % 2), i % 3);
                let four = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(a, b)| value(n, y + a, u + b, c));
                four.into_iter().fold(f64::MIN, f64::max)
            };
            near(&have, &(0..24).map(most).collect::<Vec<f64>>(), name);
        }
        let norm = Op::LayerNorm {
            eps: Scalar::new(1e-5),
        };
        let ones = vec![1.0; 12];
        if let Some(have) = run(
            &device,
            norm,
            &[(&[8, 12], &x), (&[12], &ones), (&[12], &ones)],
        ) {
            let want: Vec<f64> = x
                .chunks(12)
                .flat_map(|row| {
                    let mean = row.iter().map(|&v| f(v)).sum::<f64>() / 12.0;
                    let square = row.iter().map(|&v| (f(v) - mean).powi(2)).sum::<f64>() / 12.0;
                    row.iter()
                        .map(move |&v| (f(v) - mean) / (square + 1e-5).sqrt() + 1.0)
                })
                .collect();
            near(&have, &want, name);
        }
    }
    assert!(sums > 0, "no device normalises rows");
}

#[test]
fn a_graph_is_lowered_once_and_run_on_every_device() {
    let mut graph = Graph::new();
    let x = graph.input("x", Desc::new(&[6, 16], DType::F32));
    let (w, b) = (
        graph.param("w", &[8, 16]).unwrap(),
        graph.param("b", &[8]).unwrap(),
    );
    let bare = Op::Gemm {
        trans_a: false,
        trans_b: true,
        epilogue: Epilogue::BARE,
    };
    let y = graph.push(bare, &[x, w]).unwrap();
    let y = graph.push(Op::Bias, &[y, b]).unwrap();
    let y = graph.push(Op::Activation(Act::Silu), &[y]).unwrap();
    graph.output(&[y]);
    let weights = Weights::from([
        ("w".to_string(), (vec![8, 16], noise(128, 1))),
        ("b".to_string(), (vec![8], noise(8, 2))),
    ]);
    let values = noise(96, 3);
    let mut all = Vec::new();
    for device in devices() {
        let how = Lower::Infer(Precision::F32);
        let plan = Plan::new(&graph, &weights, Arc::clone(&device), how).unwrap();
        assert_eq!(
            plan.launches(),
            1,
            "the bias and the activation are in the product"
        );
        let from = buffer(&*device, &[6, 16], DType::F32, &values);
        let to = alloc(&*device, plan.outputs()[0].clone()).unwrap();
        plan.run(&[&from], &[&to], Stream::DEFAULT).unwrap();
        all.push(
            read(&*device, &to)
                .into_iter()
                .map(f64::from)
                .collect::<Vec<f64>>(),
        );
    }
    for other in &all[1..] {
        near(
            &all[0].iter().map(|&v| v as f32).collect::<Vec<f32>>(),
            other,
            "another device",
        );
    }
}
