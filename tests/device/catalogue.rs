//! Each operation, in every form, on odd shapes.

use doppel::device::{Act, DType, Desc, Epilogue, Graph, NaiveDevice, Op, Stream, alloc};
use doppel::error::Kind;

use crate::harness::{FLOATS, inputs, run, test};

const ACTS: [Act; 6] = [
    Act::None,
    Act::Relu,
    Act::Silu,
    Act::Gelu,
    Act::Mish,
    Act::Sigmoid,
];
const SHAPES: [(usize, usize, usize); 9] = [
    (1, 1, 1),
    (1, 7, 3),
    (5, 1, 2),
    (16, 8, 16),
    (17, 9, 33),
    (64, 64, 32),
    (65, 130, 31),
    (3, 200, 64),
    (128, 16, 48),
];

fn gemm_inputs(op: &Op, m: usize, n: usize, k: usize, dtype: DType) -> Vec<Desc> {
    let Op::Gemm {
        trans_a,
        trans_b,
        epilogue,
    } = *op
    else {
        unreachable!()
    };
    let mut ins = vec![
        Desc::new(&if trans_a { [k, m] } else { [m, k] }, dtype),
        Desc::new(&if trans_b { [n, k] } else { [k, n] }, dtype),
    ];
    if epilogue.scale {
        ins.push(Desc::new(&[n], dtype));
    }
    if epilogue.bias {
        ins.push(Desc::new(&[n], dtype));
    }
    if epilogue.residual {
        ins.push(Desc::new(&[m, n], dtype));
    }
    ins
}

#[test]
fn products_in_every_epilogue_and_layout() {
    let mut compared = 0;
    for (s, &(m, n, k)) in SHAPES.iter().enumerate() {
        for (e, epilogue) in Epilogue::all().into_iter().enumerate() {
            for layout in 0..4 {
                // Every epilogue meets every layout, over the shapes.
                if (s + e + layout) % 4 != 0 {
                    continue;
                }
                let (trans_a, trans_b) = (layout & 1 == 1, layout & 2 == 2);
                let op = Op::Gemm {
                    trans_a,
                    trans_b,
                    epilogue,
                };
                for dtype in FLOATS {
                    compared += test(&op, &gemm_inputs(&op, m, n, k, dtype), (s * 100 + e) as u64);
                }
            }
        }
    }
    assert!(
        compared >= 2 * SHAPES.len() * Epilogue::all().len(),
        "{compared}"
    );
}

#[test]
fn the_other_operations_on_odd_shapes() {
    let mut ops = vec![
        Op::Scale,
        Op::Bias,
        Op::Add,
        Op::ColumnSum,
        Op::ColumnDot,
        Op::RowNormalize,
        Op::SoftmaxCrossEntropy,
    ];
    ops.extend(
        ACTS.iter()
            .flat_map(|&a| [Op::Activation(a), Op::ActivationGrad(a)]),
    );
    for op in ops {
        for (s, &(m, n, _)) in SHAPES.iter().enumerate() {
            // The labels of the harness are below 3.
            let n = if op == Op::SoftmaxCrossEntropy {
                n.max(3)
            } else {
                n
            };
            for dtype in FLOATS {
                let x = Desc::new(&[m, n], dtype);
                let descs = match op {
                    Op::Scale | Op::Bias => vec![x, Desc::new(&[n], dtype)],
                    Op::Add | Op::ActivationGrad(_) | Op::ColumnDot => vec![x.clone(), x],
                    Op::SoftmaxCrossEntropy => vec![x, Desc::new(&[m], DType::U32)],
                    _ => vec![x],
                };
                assert!(test(&op, &descs, s as u64) >= 1);
            }
        }
    }
}

#[test]
fn a_fused_product_equals_its_unfused_form() {
    let naive = NaiveDevice::default();
    for epilogue in Epilogue::all() {
        let op = Op::Gemm {
            trans_a: false,
            trans_b: true,
            epilogue,
        };
        let descs = gemm_inputs(&op, 9, 11, 5, DType::F32);
        let ins = inputs(&descs, 3);
        let fused = run(&naive, &op, &ins).unwrap();
        let mut graph = Graph::new();
        let values: Vec<_> = descs
            .iter()
            .enumerate()
            .map(|(i, d)| graph.input(&i.to_string(), d.clone()))
            .collect();
        let out = op.unfuse(&mut graph, &values).unwrap()[0];
        let mut done: std::collections::HashMap<_, _> =
            values.into_iter().zip(ins.clone()).collect();
        for node in graph.nodes() {
            let from: Vec<_> = node.ins.iter().map(|v| done[v].clone()).collect();
            let to = run(&naive, &node.op, &from).unwrap();
            done.extend(node.outs.iter().copied().zip(to));
        }
        crate::harness::compare(&op, &ins, &fused, &[done[&out].clone()], "unfused");
    }
}

#[test]
fn wrong_shapes_are_errors_that_carry_them() {
    let f = |dims: &[usize]| Desc::new(dims, DType::F32);
    let bare = Op::Gemm {
        trans_a: false,
        trans_b: false,
        epilogue: Epilogue::BARE,
    };
    let biased = Op::Gemm {
        trans_a: false,
        trans_b: false,
        epilogue: Epilogue {
            bias: true,
            ..Epilogue::BARE
        },
    };
    let cases = [
        (bare, vec![f(&[2, 3]), f(&[4, 5])], "[2, 3] and [4, 5]"),
        (
            biased,
            vec![f(&[2, 3]), f(&[3, 5]), f(&[4])],
            "[3, 5] and [4]",
        ),
        (bare, vec![f(&[2, 3, 1]), f(&[3, 5])], "[2, 3, 1]"),
        (Op::Add, vec![f(&[2, 3]), f(&[3, 2])], "[2, 3] and [3, 2]"),
        (Op::Scale, vec![f(&[2, 3]), f(&[2])], "[2, 3] and [2]"),
        (
            Op::SoftmaxCrossEntropy,
            vec![f(&[2, 3]), Desc::new(&[3], DType::U32)],
            "[2, 3] and [3]",
        ),
    ];
    for (op, ins, shapes) in cases {
        let error = op.infer(&ins).unwrap_err();
        assert_eq!(error.kind(), Kind::Shape, "{error}");
        let line = error.to_string();
        assert!(line.contains(op.name()) && line.contains(shapes), "{line}");
    }
    assert_eq!(
        Op::Add.infer(&[f(&[1])]).unwrap_err().kind(),
        Kind::Internal
    );
    let labels = Desc::new(&[2, 3], DType::U32);
    assert_eq!(
        Op::RowNormalize.infer(&[labels]).unwrap_err().kind(),
        Kind::Unsupported
    );
}

#[test]
fn an_output_over_an_input_is_refused() {
    use doppel::device::Device;
    for device in crate::harness::devices() {
        let x = alloc(&*device, Desc::new(&[4, 4], DType::F32)).unwrap();
        let error = device.run(
            &Op::Activation(Act::Relu),
            &[&x],
            &[&x],
            None,
            Stream::DEFAULT,
        );
        assert!(error.unwrap_err().to_string().contains("overlaps"));
        let short: &dyn Device = &*device;
        assert!(short.upload(&[0; 3], &x, Stream::DEFAULT).is_err());
        assert!(short.download(&x, &mut [0; 65], Stream::DEFAULT).is_err());
    }
}

#[test]
fn labels_outside_the_classes_are_an_error() {
    let naive = NaiveDevice::default();
    let ins = [
        (Desc::new(&[1, 2], DType::F32), vec![0; 8]),
        (Desc::new(&[1], DType::U32), 2u32.to_le_bytes().to_vec()),
    ];
    let error = run(&naive, &Op::SoftmaxCrossEntropy, &ins).unwrap_err();
    assert!(error.to_string().contains("label 2"), "{error}");
}

#[test]
fn the_error_function_is_right() {
    // Abramowitz and Stegun, table 7.1, and the limits.
    let table = [
        (0.0, 0.0),
        (0.5, 0.520_499_877_8),
        (1.0, 0.842_700_792_9),
        (1.5, 0.966_105_146_5),
        (2.0, 0.995_322_265_0),
        (2.4, 0.999_311_486_1),
        (3.0, 0.999_977_909_5),
        (7.0, 1.0),
    ];
    for (x, want) in table {
        assert!((doppel::device::naive::erf(x) - want).abs() < 1e-10, "{x}");
        assert!((doppel::device::naive::erf(-x) + want).abs() < 1e-10, "{x}");
    }
    let (below, above) = (
        doppel::device::naive::erf(2.5 - 1e-12),
        doppel::device::naive::erf(2.5),
    );
    assert!((below - above).abs() < 1e-12, "the two forms meet");
}
