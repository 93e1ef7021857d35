//! What is particular to cards: alignment, schedules, labels that nothing looked at, and memory.

use std::sync::Arc;

use doppel::device::gpu::TopKTuning;
use doppel::device::gpu::driver_simt::{Schedule, SimtDriver};
use doppel::device::{
    Act, Buf, DType, Desc, Device, Epilogue, GpuDevice, NaiveDevice, Op, Stream, SweepSteps, alloc,
    bytes_of, values_of,
};
use doppel::error::Kind;
use doppel::lists::Lists;

use crate::harness::{
    FLOATS, SHORTS, cards, compare, inputs, light, rounding, run, run_at, simulated_driver, thin,
    values,
};

const BARE: Op = gemm(false, true, Epilogue::BARE);

const fn gemm(trans_a: bool, trans_b: bool, epilogue: Epilogue) -> Op {
    Op::Gemm {
        trans_a,
        trans_b,
        epilogue,
    }
}

/// `op` on every card with its buffers `at` bytes behind an aligned address, against the naive twin.
fn check(op: &Op, ins: &[(Desc, Vec<u8>)], at: usize) {
    let want = run(&NaiveDevice::default(), op, ins).unwrap();
    for card in cards() {
        let have = run_at(&*card, op, ins, at).unwrap();
        compare(
            op,
            ins,
            &have,
            &want,
            &format!("{} at {at}", card.info().name),
        );
    }
}

#[test]
fn buffers_need_no_more_than_the_alignment_of_an_element() {
    let epilogue = Epilogue {
        scale: true,
        bias: true,
        residual: true,
        act: Act::Silu,
    };
    for at in thin(vec![2, 4, 6, 8, 16]) {
        for (trans_a, trans_b) in [(false, false), (false, true), (true, false), (true, true)] {
            // Lines of 72, 66 and 70 halves: none, some and all of the widths fit.
            for (m, n, k) in [(72, 72, 72), (66, 70, 34)] {
                let a = if trans_a { [k, m] } else { [m, k] };
                let b = if trans_b { [n, k] } else { [k, n] };
                let dims: [&[usize]; 5] = [&a, &b, &[n], &[n], &[m, n]];
                for dtype in SHORTS {
                    let descs = dims.map(|d| Desc::new(d, dtype));
                    check(&gemm(trans_a, trans_b, epilogue), &inputs(&descs, 1), at);
                }
            }
        }
        for dtype in FLOATS {
            if !at.is_multiple_of(dtype.size()) {
                continue;
            }
            let (x, column) = (Desc::new(&[5, 24], dtype), Desc::new(&[24], dtype));
            let two = [x.clone(), column];
            for op in [Op::Scale, Op::Bias] {
                check(&op, &inputs(&two, 2), at);
            }
            let same = [x.clone(), x];
            for op in [Op::Add, Op::ActivationGrad(Act::Mish), Op::ColumnDot] {
                check(&op, &inputs(&same, 3), at);
            }
            for op in [Op::Activation(Act::Gelu), Op::RowNormalize, Op::ColumnSum] {
                check(&op, &inputs(&same[..1], 4), at);
            }
        }
    }
}

#[test]
fn long_sums_and_results_of_several_tiles() {
    for (trans_a, trans_b) in [(false, false), (false, true), (true, false), (true, true)] {
        let (m, n, k) = (150, 270, 333);
        let a = if trans_a { [k, m] } else { [m, k] };
        let b = if trans_b { [n, k] } else { [k, n] };
        for dtype in FLOATS {
            let descs = [Desc::new(&a, dtype), Desc::new(&b, dtype)];
            check(
                &gemm(trans_a, trans_b, Epilogue::BARE),
                &inputs(&descs, 5),
                0,
            );
        }
    }
    for dtype in FLOATS {
        let x = Desc::new(&[701, 37], dtype);
        check(&Op::ColumnSum, &inputs(std::slice::from_ref(&x), 6), 0);
        check(&Op::ColumnDot, &inputs(&[x.clone(), x], 7), 0);
        let wide = [Desc::new(&[3, 2500], dtype), Desc::new(&[3], DType::U32)];
        check(&Op::SoftmaxCrossEntropy, &inputs(&wide, 8), 0);
    }
}

#[test]
fn activations_of_every_size() {
    let mut x: Vec<f32> = (-60..=60).map(|i| i as f32 * 0.5).collect();
    x.extend([
        0.0, -0.0, 1e-7, -1e-7, 3e4, -3e4, 65504.0, -65504.0, 88.7, -88.7, -103.9,
    ]);
    for dtype in FLOATS {
        let desc = Desc::new(&[x.len()], dtype);
        let ones = vec![1.0; x.len()];
        let ins = [
            (desc.clone(), bytes_of(&x, dtype)),
            (desc, bytes_of(&ones, dtype)),
        ];
        for act in [
            Act::None,
            Act::Relu,
            Act::Silu,
            Act::Gelu,
            Act::Mish,
            Act::Sigmoid,
        ] {
            for (op, ins) in [
                (Op::Activation(act), &ins[..1]),
                (Op::ActivationGrad(act), &ins),
            ] {
                let want = run(&NaiveDevice::default(), &op, ins).unwrap();
                for card in cards() {
                    let have = run(&*card, &op, ins).unwrap();
                    let pairs = values_of(&have[0].1, dtype)
                        .into_iter()
                        .zip(values_of(&want[0].1, dtype));
                    for (i, (a, b)) in pairs.enumerate() {
                        // Rounding when stored, and a few units of f32 of the argument before.
                        let stored = match dtype {
                            DType::F32 | DType::U32 => 0.0,
                            short => 2.0 * rounding(short).0 as f32,
                        };
                        let limit = b.abs() * stored
                            + 2f32.powi(-24)
                            + 8.0 * 2f32.powi(-24) * b.abs().max(1.0);
                        assert!(
                            (a - b).abs() <= limit,
                            "{op:?} {dtype} of {}: {a} for {b}",
                            x[i]
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn rows_of_zeros_stay() {
    for dtype in FLOATS {
        let mut x = values(3 * 5, 1);
        x[5..10].fill(0.0);
        let ins = [(Desc::new(&[3, 5], dtype), bytes_of(&x, dtype))];
        check(&Op::RowNormalize, &ins, 0);
        for card in cards() {
            let unit = values_of(&run(&*card, &Op::RowNormalize, &ins).unwrap()[0].1, dtype);
            assert_eq!(unit[5..10], [0.0; 5]);
        }
    }
}

#[test]
fn a_row_that_is_nearly_right_keeps_its_gradient() {
    // p of the label is 1 - 2.3e-4 to 1 - 7e-6: rounded to half precision first, p - 1 would be 0.
    let (rows, columns) = (8, 6);
    let logits: Vec<f32> = (0..rows * columns)
        .map(|i| {
            if i % columns == i / columns % 3 {
                10.0 + 0.5 * (i / columns) as f32
            } else {
                0.0
            }
        })
        .collect();
    let labels: Vec<u8> = (0..rows as u32)
        .flat_map(|m| (m % 3).to_le_bytes())
        .collect();
    for dtype in FLOATS {
        let ins = [
            (Desc::new(&[rows, columns], dtype), bytes_of(&logits, dtype)),
            (Desc::new(&[rows], DType::U32), labels.clone()),
        ];
        check(&Op::SoftmaxCrossEntropy, &ins, 0);
        for card in cards() {
            let have = run(&*card, &Op::SoftmaxCrossEntropy, &ins).unwrap();
            let grads = values_of(&have[1].1, dtype);
            for m in 0..rows {
                let own = grads[m * columns + m % 3];
                assert!(own < 0.0, "row {m}: {own}");
            }
        }
    }
}

#[test]
fn a_label_that_is_no_class_reads_nothing_and_makes_the_loss_nan() {
    for label in [3u32, 4, u32::MAX] {
        for dtype in FLOATS {
            let labels = [1, label].into_iter().flat_map(u32::to_le_bytes).collect();
            let ins = [
                (Desc::new(&[2, 3], dtype), bytes_of(&values(6, 1), dtype)),
                (Desc::new(&[2], DType::U32), labels),
            ];
            for card in cards() {
                let have = run(&*card, &Op::SoftmaxCrossEntropy, &ins).unwrap();
                assert!(values_of(&have[0].1, DType::F32)[0].is_nan());
                let grads = values_of(&have[1].1, dtype);
                assert!(
                    grads[..3].iter().all(|g| *g != 0.0) && grads[3..] == [0.0; 3],
                    "{grads:?}"
                );
            }
        }
    }
}

/// A little of everything on one card.
fn a_little_of_everything(card: &GpuDevice, what: &str) {
    let naive = NaiveDevice::default();
    let epilogue = Epilogue {
        scale: true,
        bias: true,
        residual: true,
        act: Act::Mish,
    };
    let f16 = |dims: &[usize]| Desc::new(dims, DType::F16);
    let cases = [
        (
            gemm(false, true, epilogue),
            vec![
                f16(&[70, 100]),
                f16(&[66, 100]),
                f16(&[66]),
                f16(&[66]),
                f16(&[70, 66]),
            ],
        ),
        (
            gemm(true, false, Epilogue::BARE),
            vec![f16(&[75, 40]), f16(&[75, 33])],
        ),
        (
            gemm(false, false, Epilogue::BARE),
            vec![f16(&[66, 96]), f16(&[96, 72])],
        ),
        (
            BARE,
            vec![
                Desc::new(&[9, 40], DType::F32),
                Desc::new(&[70, 40], DType::F32),
            ],
        ),
        (Op::ColumnSum, vec![f16(&[131, 34])]),
        (Op::RowNormalize, vec![f16(&[9, 33])]),
        (
            Op::SoftmaxCrossEntropy,
            vec![f16(&[5, 77]), Desc::new(&[5], DType::U32)],
        ),
        (Op::Bias, vec![f16(&[9, 33]), f16(&[33])]),
    ];
    for (op, descs) in cases {
        let ins = inputs(&descs, 9);
        let want = run(&naive, &op, &ins).unwrap();
        let have = run(card, &op, &ins).unwrap();
        compare(&op, &ins, &have, &want, what);
    }
}

/// The search and the sweep on one card, to be compared among schedules.
fn lists_and_matches(card: &GpuDevice) -> (Lists, String) {
    // 30 equal rows, 105 near-equal ones (more than a buffer keeps) and others.
    let (rows, dims) = (150, 33);
    let mut x = values(rows * dims, 61);
    let (base, nudge) = (values(dims, 62), values(rows * dims, 63));
    for i in 0..135 {
        for d in 0..dims {
            let by = if i < 30 {
                0.0
            } else {
                1e-3 * nudge[i * dims + d]
            };
            x[(i * 7 % rows) * dims + d] = base[d] + by;
        }
    }
    let buf = alloc(card, Desc::new(&[rows, dims], DType::F32)).unwrap();
    card.upload(bytemuck::cast_slice(&x), &buf, Stream::DEFAULT)
        .unwrap();
    let tuning = TopKTuning {
        slab: 128,
        chunks: Some(2),
        join: None,
    };
    let lists = card.topk_tuned(&buf, None, 20, None, &tuning).unwrap();
    let steps = [SweepSteps {
        low: 0.0,
        high: 0.5,
        step: 1e-3,
    }];
    let fired = card
        .sweep(&[&lists], &steps, None, Stream::DEFAULT)
        .unwrap();
    (lists, format!("{fired:?}"))
}

#[test]
fn every_schedule_gives_the_same() {
    let Some(path) = simulated_driver().and_then(|_| std::env::var_os("DOPPEL_SIMT")) else {
        return;
    };
    let driver = Arc::new(SimtDriver::open(path).unwrap());
    let card = GpuDevice::new(Arc::clone(&driver) as _);
    let mut first = None;
    // Where runs are slow: the first, and the last, which is random and late.
    let every = if light() { 11 } else { 1 };
    for schedule in Schedule::all().into_iter().step_by(every) {
        driver.set_schedule(schedule);
        a_little_of_everything(&card, &format!("{schedule:?}"));
        let have = lists_and_matches(&card);
        let first = first.get_or_insert_with(|| have.clone());
        assert!(*first == have, "{schedule:?}");
    }
}

#[test]
fn buffers_of_another_device_and_missing_scratch_memory_are_refused() {
    let naive = NaiveDevice::default();
    let desc = Desc::new(&[40, 4], DType::F32);
    let host = alloc(&naive, desc.clone()).unwrap();
    for card in cards() {
        let x = alloc(&*card, desc.clone()).unwrap();
        let out = alloc(&*card, desc.clone()).unwrap();
        let relu = Op::Activation(Act::Relu);
        let refused = |ins: &[&Buf], outs: &[&Buf]| {
            card.run(&relu, ins, outs, None, Stream::DEFAULT)
                .unwrap_err()
                .kind()
        };
        assert_eq!(refused(&[&host], &[&out]), Kind::Internal);
        assert_eq!(refused(&[&x], &[&host]), Kind::Internal);
        assert!(
            naive
                .run(&relu, &[&x], &[&host], None, Stream::DEFAULT)
                .is_err()
        );
        assert!(card.upload(&[0; 640], &host, Stream::DEFAULT).is_err());
        assert!(
            card.download(&host, &mut [0; 640], Stream::DEFAULT)
                .is_err()
        );
        let sums = alloc(&*card, Desc::new(&[4], DType::F32)).unwrap();
        let small = alloc(&*card, Desc::new(&[3], DType::F32)).unwrap();
        assert!(card.workspace(&Op::ColumnSum, std::slice::from_ref(&desc)) > 12);
        for scratch in [None, Some(&small)] {
            let error = card.run(&Op::ColumnSum, &[&x], &[&sums], scratch, Stream::DEFAULT);
            assert!(error.unwrap_err().to_string().contains("scratch memory"));
        }
        // Another type for the second input is nothing that the kernels take.
        let half = Desc::new(&[40, 4], DType::F16);
        let mixed = alloc(&*card, half).unwrap();
        let error = card
            .run(&Op::Add, &[&x, &mixed], &[&out], None, Stream::DEFAULT)
            .unwrap_err();
        assert_eq!(error.kind(), Kind::Unsupported);
    }
}

#[test]
fn memory_is_freed_with_its_last_buffer_and_its_end_is_an_error() {
    for card in cards() {
        if card.info().kind != "simt" {
            continue;
        }
        let memory = card.card().memory as usize;
        let error = card.alloc(memory + 1).err().unwrap();
        assert_eq!(error.kind(), Kind::Limit, "{error}");
        // Each takes a sixteenth, forty times over.
        for _ in 0..40 {
            let part = card.alloc(memory / 16).unwrap();
            drop(part);
        }
    }
}

#[test]
fn nothing_to_compute_is_no_launch() {
    for card in cards() {
        for (op, dims) in [
            (gemm(false, true, Epilogue::BARE), [[0, 5], [3, 5]]),
            (gemm(false, true, Epilogue::BARE), [[4, 5], [0, 5]]),
            (Op::Add, [[0, 3], [0, 3]]),
            (Op::ColumnDot, [[0, 3], [0, 3]]),
            (Op::ColumnDot, [[3, 0], [3, 0]]),
        ] {
            let descs = dims.map(|d| Desc::new(&d, DType::F16));
            check(&op, &inputs(&descs, 1), 0);
            assert!(run(&*card, &op, &inputs(&descs, 1)).is_ok());
        }
        // A product over no values is its epilogue of zeros.
        let bias = Epilogue {
            bias: true,
            ..Epilogue::BARE
        };
        let dims: [&[usize]; 3] = [&[4, 0], &[7, 0], &[7]];
        for dtype in FLOATS {
            let descs = dims.map(|d| Desc::new(d, dtype));
            check(&gemm(false, true, bias), &inputs(&descs, 2), 0);
        }
        check(
            &Op::RowNormalize,
            &inputs(&[Desc::new(&[0, 4], DType::F16)], 1),
            0,
        );
    }
}
