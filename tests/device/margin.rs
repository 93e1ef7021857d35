//! Classification heads: cosines in f32, margins, and their mean loss, on every device.

use std::sync::Arc;

use doppel::device::{
    CpuDevice, DType, Desc, Device, Graph, Lower, Margin, MarginKind, NaiveDevice, Op, Plan,
    Precision, Scalar, Stream, Support, alloc, bytes_of, values_of,
};
use doppel::error::Kind;

use crate::harness::{FLOATS, cards, devices, run, run_at, test, thin, values};
use crate::text::{Filled, floats, words};

pub const KINDS: [MarginKind; 3] = [MarginKind::Arc, MarginKind::Cos, MarginKind::Curricular];

/// The margins of the published systems.
pub fn margin(kind: MarginKind, m: f32) -> Margin {
    Margin {
        kind,
        margin: Scalar::new(m),
        scale: Scalar::new(30.0),
    }
}

/// Cosines with ones, minus ones, and what rounding makes of them, at the labels too.
fn cosines(rows: usize, classes: usize, seed: u64) -> Vec<f32> {
    let odd = [
        1.0,
        -1.0,
        1.000_000_1,
        -1.000_000_1,
        0.0,
        0.999_999_9,
        -0.87,
    ];
    let mut all = values(rows * classes, seed);
    for (i, v) in all.iter_mut().enumerate() {
        *v = match i % 23 {
            3 => odd[i / 23 % odd.len()],
            _ => v.clamp(-1.0, 1.0) * 0.7,
        };
    }
    all
}

fn labels(rows: usize, classes: usize) -> Vec<u32> {
    // The last class, the first, one in the middle, and where the odd cosines are.
    let of = |r: usize| match r % 4 {
        0 => classes - 1,
        1 => 0,
        2 => classes / 2,
        _ => (26 - r * classes % 23) % 23 % classes,
    };
    (0..rows).map(|r| of(r) as u32).collect()
}

pub fn head(how: &Margin, rows: usize, classes: usize, seed: u64) -> Filled {
    let mut ins = vec![
        floats(&[rows, classes], &cosines(rows, classes, seed)),
        words(&labels(rows, classes)),
    ];
    if how.runs() {
        ins.push(floats(&[1], &[0.31]));
    }
    ins
}

/// What f32 loses of a logit: eight roundings of numbers up to two, times the scale; of a loss, as much
/// again for its sum of exponentials and its logarithm.
pub fn limit(how: &Margin) -> f32 {
    how.scale.get() * 8.0 * 2f32.powi(-23)
}

pub fn close(have: &[f32], want: &[f32], limit: f32, what: &str) {
    assert_eq!(have.len(), want.len());
    for (i, (a, b)) in have.iter().zip(want).enumerate() {
        assert!(
            (a - b).abs() <= limit,
            "{what} at {i}: {a} for {b}, within {limit}"
        );
    }
}

pub fn outs(device: &dyn Device, op: &Op, ins: &Filled, at: usize) -> Vec<Vec<f32>> {
    let all = run_at(device, op, ins, at).unwrap();
    all.iter().map(|(d, b)| values_of(b, d.dtype)).collect()
}

const SHAPES: [(usize, usize); 7] = [
    (5, 1025),
    (1, 1),
    (8, 5),
    (3, 1024),
    (256, 37),
    (8, 2060),
    (2, 24),
];

#[test]
fn margins_and_losses_on_odd_shapes() {
    for (s, (rows, classes)) in thin(SHAPES.to_vec()).enumerate() {
        for kind in KINDS {
            // No margin at all, once.
            let angles = if s == 0 { &[0.5, 0.0, 0.9][..] } else { &[0.5] };
            for &m in angles {
                let how = margin(kind, m);
                let ins = head(&how, rows, classes, s as u64);
                let naive = NaiveDevice::default();
                let (one, all) = (Op::Margin(how), Op::MarginLoss(how));
                let want = [outs(&naive, &one, &ins, 0), outs(&naive, &all, &ins, 0)];
                for device in devices() {
                    for (op, want) in [&one, &all].into_iter().zip(&want) {
                        let have = outs(&*device, op, &ins, 4);
                        let what = format!("{op:?} on {} {rows} x {classes}", device.info().name);
                        assert_eq!(have.len(), want.len());
                        close(&have[0], &want[0], 2.0 * limit(&how), &what);
                        if how.runs() {
                            close(&have[1], &want[1], 1e-6, &what);
                        }
                    }
                }
            }
        }
    }
}

/// The formulas by hand: cos(60 degrees + m), its border, the line beyond pi, and what is hard.
#[test]
fn hand_worked_margins() {
    let m = std::f64::consts::FRAC_PI_6;
    let x = floats(&[2, 3], &[0.5, 0.1, -0.2, 0.3, -0.95, -0.4]);
    let y = words(&[0, 1]);
    let border = -0.95 * m.cos() - (1.0f64 - 0.9025).sqrt() * m.sin();
    let beyond = -0.95 - m * m.sin();
    let t = 0.01 * (0.5 - 0.95) / 2.0 + 0.99 * 0.2;
    let curricular = |v: f64| if v > border { v * (t + v) } else { v };
    let expected = [
        (MarginKind::Arc, [0.0, 0.1, -0.2, 0.3, beyond, -0.4]),
        (MarginKind::Cos, [0.5 - m, 0.1, -0.2, 0.3, -0.95 - m, -0.4]),
        (
            MarginKind::Curricular,
            [
                0.0,
                0.1 * (t + 0.1),
                -0.2,
                curricular(0.3),
                beyond,
                curricular(-0.4),
            ],
        ),
    ];
    assert!(border < -0.4 && t > 0.19);
    for (kind, want) in expected {
        let how = margin(kind, m as f32);
        let mut ins = vec![x.clone(), y.clone()];
        if how.runs() {
            ins.push(floats(&[1], &[0.2]));
        }
        let want: Vec<f32> = want.iter().map(|v| (30.0 * v) as f32).collect();
        for device in devices() {
            let have = outs(&*device, &Op::Margin(how), &ins, 0);
            close(
                &have[0],
                &want,
                limit(&how),
                &format!("{kind:?} on {}", device.info().name),
            );
            if how.runs() {
                close(&have[1], &[t as f32], 1e-7, "t");
            }
        }
    }
}

#[test]
fn a_loss_is_the_cross_entropy_of_its_logits() {
    for kind in KINDS {
        let how = margin(kind, 0.5);
        let ins = head(&how, 9, 1030, 3);
        for device in devices() {
            let logits = run(&*device, &Op::Margin(how), &ins).unwrap().remove(0);
            let apart = [logits, ins[1].clone()];
            let apart = run(&*device, &Op::SoftmaxCrossEntropy, &apart).unwrap();
            let apart = values_of(&apart[0].1, DType::F32);
            let loss = outs(&*device, &Op::MarginLoss(how), &ins, 0);
            close(&loss[0], &apart, limit(&how), &device.info().name);
        }
        // The naive twin's own unfused form.
        let mut graph = Graph::new();
        let x = graph.input("x", ins[0].0.clone());
        let y = graph.input("y", ins[1].0.clone());
        let mut from = vec![x, y];
        if how.runs() {
            from.push(graph.input("t", ins[2].0.clone()));
        }
        let made = Op::MarginLoss(how).unfuse(&mut graph, &from).unwrap();
        assert_eq!(made.len(), 1 + usize::from(how.runs()));
        let names: Vec<_> = graph.nodes().iter().map(|n| n.op.name()).collect();
        assert_eq!(names, ["margin", "softmax_cross_entropy"]);
        assert_eq!(graph.desc(made[0]).dims, [1]);
    }
}

/// A running mean, and a loss, are the same from run to run, whatever the schedule.
#[test]
fn the_same_inputs_give_the_same_bits() {
    let how = margin(MarginKind::Curricular, 0.4);
    let ins = head(&how, 70, 1100, 8);
    for device in devices() {
        let op = Op::MarginLoss(how);
        let first = run(&*device, &op, &ins).unwrap();
        assert_eq!(run(&*device, &op, &ins).unwrap(), first);
        let apart = run(&*device, &Op::Margin(how), &ins).unwrap();
        assert_eq!(apart[1], first[1], "t");
    }
}

#[test]
fn a_label_that_is_no_class_is_an_error_or_nan() {
    for (kind, bad) in KINDS.into_iter().flat_map(|k| [(k, 7), (k, u32::MAX)]) {
        let how = margin(kind, 0.5);
        let mut ins = head(&how, 3, 7, 1);
        ins[1] = words(&[2, bad, 6]);
        let hosts: [Arc<dyn Device>; 2] = [
            Arc::new(NaiveDevice::default()),
            Arc::new(CpuDevice::default()),
        ];
        for (device, op) in hosts
            .iter()
            .flat_map(|d| [(d, Op::Margin(how)), (d, Op::MarginLoss(how))])
        {
            let error = run(&**device, &op, &ins).unwrap_err();
            assert_eq!(error.kind(), Kind::Input, "{error}");
            let line = error.to_string();
            assert!(
                line.contains(op.name()) && line.contains(&bad.to_string()),
                "{line}"
            );
        }
        for card in cards() {
            let logits = outs(&*card, &Op::Margin(how), &ins, 0);
            let rows: Vec<&[f32]> = logits[0].chunks_exact(7).collect();
            assert!(rows[1].iter().all(|v| v.is_nan()), "{:?}", rows[1]);
            if !how.runs() {
                assert!([rows[0], rows[2]].concat().iter().all(|v| v.is_finite()));
            }
            let loss = outs(&*card, &Op::MarginLoss(how), &ins, 0);
            assert!(loss.iter().flatten().all(|v| v.is_nan()), "{loss:?}");
        }
    }
}

#[test]
fn nothing_is_a_batch() {
    for kind in KINDS {
        let how = margin(kind, 0.5);
        let mut ins = vec![floats(&[0, 5], &[]), words(&[])];
        if how.runs() {
            ins.push(floats(&[1], &[0.25]));
        }
        for device in devices() {
            let loss = outs(&*device, &Op::MarginLoss(how), &ins, 0);
            assert_eq!(loss[0], [0.0]);
            let logits = outs(&*device, &Op::Margin(how), &ins, 0);
            assert!(logits[0].is_empty());
            if how.runs() {
                assert_eq!((loss[1][0], logits[1][0]), (0.25, 0.25));
            }
        }
    }
}

#[test]
fn products_of_rows_are_f32() {
    for (i, (m, n, k)) in thin(vec![
        (65, 70, 40),
        (1, 1, 1),
        (8, 130, 33),
        (3, 5, 0),
        (17, 9, 96),
        (70, 3, 7),
        (0, 3, 7),
    ])
    .enumerate()
    {
        for dtype in FLOATS {
            let ins = [Desc::new(&[m, k], dtype), Desc::new(&[n, k], dtype)];
            let out = Op::RowProducts.infer(&ins).unwrap();
            assert_eq!(out[0], Desc::new(&[m, n], DType::F32));
            if k > 0 {
                test(&Op::RowProducts, &ins, i as u64);
            }
        }
    }
    // Nothing of a sum is rounded to half precision.
    let ins = vec![
        (
            Desc::new(&[1, 3], DType::F16),
            bytes_of(&[1.0, 1.0, 1.0], DType::F16),
        ),
        (
            Desc::new(&[1, 3], DType::F16),
            bytes_of(&[2048.0, 1.0, 0.125], DType::F16),
        ),
    ];
    for device in devices() {
        for at in [0, 2] {
            let have = outs(&*device, &Op::RowProducts, &ins, at);
            assert_eq!(have, [[2049.125]], "{}", device.info().name);
        }
    }
}

/// Unit rows, their cosines, the margin and the loss, as a head at inference runs them, over the classes
/// of the published systems: half precision where it is stored, f32 from the cosines on.
#[test]
fn a_head_over_eleven_thousand_classes() {
    let (rows, dims) = (8, 24);
    for classes in thin(vec![77, 11_014]) {
        let half = |dims: &[usize], seed| {
            let n = dims.iter().product();
            let bytes = bytes_of(&values(n, seed), DType::F16);
            (Desc::new(dims, DType::F16), bytes)
        };
        let (x, w) = (half(&[rows, dims], 1), half(&[classes, dims], 2));
        let losses = |device: &dyn Device| {
            let unit = |v: &(Desc, Vec<u8>)| {
                let made = run(device, &Op::RowNormalize, std::slice::from_ref(v));
                made.unwrap().remove(0)
            };
            let pair = [unit(&x), unit(&w)];
            let cosines = run(device, &Op::RowProducts, &pair).unwrap().remove(0);
            KINDS.map(|kind| {
                let how = margin(kind, 0.5);
                let mut ins = vec![cosines.clone(), words(&labels(rows, classes))];
                if how.runs() {
                    ins.push(floats(&[1], &[0.1]));
                }
                outs(device, &Op::MarginLoss(how), &ins, 0)[0][0]
            })
        };
        let want = losses(&NaiveDevice::default());
        assert!(want.iter().all(|&loss| loss > 5.0), "{want:?}");
        for card in cards() {
            // A unit row's values may round to the neighbouring half: 2^-11 of some cosines' terms.
            let limit = 30.0 * 2f32.powi(-11);
            close(&losses(&*card), &want, limit, &format!("{classes} classes"));
        }
    }
}

#[test]
fn wrong_inputs_are_errors_that_carry_the_shapes() {
    let f = |dims: &[usize]| Desc::new(dims, DType::F32);
    let u = |n: usize| Desc::new(&[n], DType::U32);
    let half = Desc::new(&[4, 3], DType::F16);
    let arc = Op::Margin(margin(MarginKind::Arc, 0.5));
    let curricular = Op::MarginLoss(margin(MarginKind::Curricular, 0.5));
    let cases = [
        (arc, vec![f(&[4, 3]), u(3)], Kind::Shape, "[4, 3] and [3]"),
        (arc, vec![f(&[4]), u(4)], Kind::Shape, "[4]"),
        (
            arc,
            vec![half.clone(), u(4)],
            Kind::Unsupported,
            "f16[4, 3]",
        ),
        (arc, vec![f(&[4, 3]), f(&[4])], Kind::Unsupported, "f32[4]"),
        (arc, vec![f(&[4, 3])], Kind::Internal, "takes 2"),
        (
            curricular,
            vec![f(&[4, 3]), u(4)],
            Kind::Internal,
            "takes 3",
        ),
        (
            curricular,
            vec![f(&[4, 3]), u(4), f(&[2])],
            Kind::Shape,
            "[2] and [1]",
        ),
        (
            Op::RowProducts,
            vec![f(&[4, 3]), f(&[5, 4])],
            Kind::Shape,
            "[4, 3] and [5, 4]",
        ),
        (
            Op::RowProducts,
            vec![half, f(&[5, 3])],
            Kind::Unsupported,
            "f32[5, 3]",
        ),
    ];
    for (op, ins, kind, words) in cases {
        let error = op.infer(&ins).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        let line = error.to_string();
        assert!(line.contains(op.name()) && line.contains(words), "{line}");
    }
    for card in cards() {
        let ins = [f(&[4, 3]), u(4), f(&[1])];
        assert_eq!(card.supports(&curricular, &ins), Support::Native);
        assert_eq!(card.supports(&arc, &ins[..2]), Support::Native);
    }
}

/// A head in a plan: f32, as it will train.
#[test]
fn a_head_in_a_plan() {
    let how = margin(MarginKind::Curricular, 0.5);
    let (rows, classes, dims) = (5, 40, 12);
    let mut graph = Graph::new();
    let x = graph.input("x", Desc::new(&[rows, dims], DType::F32));
    let y = graph.input("y", Desc::new(&[rows], DType::U32));
    let t = graph.input("t", Desc::new(&[1], DType::F32));
    let w = graph.param("head.weight", &[classes, dims]).unwrap();
    let [x, w] = [x, w].map(|v| graph.push(Op::RowNormalize, &[v]).unwrap());
    let cosines = graph.push(Op::RowProducts, &[x, w]).unwrap();
    let made = graph
        .push_all(Op::MarginLoss(how), &[cosines, y, t])
        .unwrap();
    graph.output(&made);
    let weights = doppel::device::Weights::from([(
        "head.weight".to_owned(),
        (vec![classes, dims], values(classes * dims, 3)),
    )]);
    let mut results = Vec::new();
    for device in devices() {
        let how = Lower::Train(Precision::F32);
        let plan = Plan::new(&graph, &weights, Arc::clone(&device), how).unwrap();
        let put = |(desc, bytes): (Desc, Vec<u8>)| {
            let buf = alloc(&*device, desc).unwrap();
            device.upload(&bytes, &buf, Stream::DEFAULT).unwrap();
            buf
        };
        let ins = [
            put(floats(&[rows, dims], &values(rows * dims, 1))),
            put(words(&labels(rows, classes))),
            put(floats(&[1], &[0.2])),
        ];
        let outs = [0, 1].map(|_| alloc(&*device, Desc::new(&[1], DType::F32)).unwrap());
        let from: Vec<_> = ins.iter().collect();
        plan.run(&from, &[&outs[0], &outs[1]], Stream::DEFAULT)
            .unwrap();
        let read = |buf| {
            let mut bytes = [0; 4];
            device.download(buf, &mut bytes, Stream::DEFAULT).unwrap();
            f32::from_le_bytes(bytes)
        };
        results.push([read(&outs[0]), read(&outs[1])]);
    }
    for result in &results {
        assert!(result[0] > 1.0 && result[0].is_finite());
        close(result, &results[0], 4.0 * limit(&how), "a plan");
    }
}
