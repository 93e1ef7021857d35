//! Operations on images in half precision and in bf16: what cards have kernels of their own for, by kernel.

use doppel::device::{
    Act, DType, Desc, Device, Epilogue, NaiveDevice, Op, PoolKind, Support, Window, bytes_of,
    values_of,
};

use crate::harness::{
    cards, compare, inputs, inputs_for, light, run, run_at, run_packed, test, thin,
};
use crate::images::{Case, conv_cases, conv_inputs, others};

/// The same shapes in another type.
fn stored(descs: &[Desc], dtype: DType) -> Vec<Desc> {
    let one = |d: &Desc| Desc::new(&d.dims, dtype);
    descs.iter().map(one).collect()
}

const FULL: Epilogue = Epilogue {
    scale: true,
    bias: true,
    residual: true,
    act: Act::Silu,
};

fn plain(window: Window, groups: usize, gate: bool, epilogue: Epilogue) -> Op {
    Op::Conv {
        window,
        groups,
        gate,
        epilogue,
    }
}

/// Each case bare, with everything and with one more epilogue, gated too where that is possible; the
/// number of images changes. In bf16, which has the same code, with one of the three.
fn convolve(cases: &[Case], dtype: DType) {
    let all = Epilogue::all();
    let (mut compared, mut wanted) = (0, 0);
    let devices = 2 + if light() { 0 } else { cards().len() };
    for (i, case) in cases.iter().enumerate() {
        let (window, groups) = (case.4, case.5);
        let gated = window == Window::square(1, 1, 0) && groups == 1;
        for gate in [false, true].into_iter().take(1 + usize::from(gated)) {
            let three = [Epilogue::BARE, FULL, all[(i * 5 + 1) % all.len()]];
            let (skip, count) = match dtype {
                DType::BF16 => ((i + usize::from(gate)) % 3, 1),
                _ => (0, 3),
            };
            for epilogue in three.into_iter().skip(skip).take(count) {
                let op = plain(window, groups, gate, epilogue);
                let descs = stored(&conv_inputs(case, 1 + i % 3, gate, &epilogue), dtype);
                compared += test(&op, &descs, i as u64);
                wanted += devices;
            }
        }
    }
    assert!(compared >= wanted, "{compared} of {wanted}");
}

/// More than a tile of pixels, of filters and of k, in one group and in two; and small tiles.
fn tiles() -> Vec<Case> {
    vec![
        (12, 11, 72, 136, Window::square(1, 1, 0), 1),
        (13, 12, 16, 130, Window::square(3, 1, 1), 1),
        (12, 12, 64, 128, Window::square(3, 2, 1), 2),
        (9, 15, 48, 24, Window::square(2, 2, 0), 1),
        (5, 4, 104, 72, Window::square(1, 1, 0), 1),
    ]
}

fn few_pixels() -> Vec<Case> {
    vec![
        (1, 1, 296, 24, Window::square(1, 1, 0), 1),
        (3, 3, 40, 33, Window::square(3, 2, 1), 1),
    ]
}

/// Of more channels than a block's too, and more pixels than a tile's.
fn small_groups() -> Vec<Case> {
    vec![
        (9, 10, 72, 72, Window::square(3, 1, 1), 18),
        (10, 17, 80, 80, Window::square(3, 2, 1), 10),
        (5, 9, 48, 48, Window::square(3, 1, 1), 3),
        (11, 3, 96, 96, Window::square(5, 1, 2), 3),
    ]
}

/// One filter a channel: strips that end early, many channels, both windows and steps.
fn depthwise() -> Vec<Case> {
    vec![
        (19, 18, 8, 8, Window::square(3, 1, 1), 8),
        (5, 35, 16, 16, Window::same(3, 2, 5, 35), 16),
        (6, 5, 264, 264, Window::square(5, 1, 2), 264),
        (7, 9, 24, 24, Window::same(5, 2, 7, 9), 24),
        (4, 4, 16, 16, Window::square(2, 1, 0), 16),
    ]
}

#[test]
fn tiles_of_pixels_and_filters() {
    convolve(&tiles(), DType::F16);
}

#[test]
fn convolutions_over_few_pixels() {
    convolve(&few_pixels(), DType::F16);
}

#[test]
fn convolutions_in_small_groups() {
    convolve(&small_groups(), DType::F16);
}

#[test]
fn convolutions_of_one_filter_a_channel() {
    convolve(&depthwise(), DType::F16);
}

#[test]
fn convolutions_of_all_kinds() {
    convolve(&conv_cases(), DType::F16);
}

#[test]
fn convolutions_in_bf16() {
    for cases in [
        tiles(),
        few_pixels(),
        small_groups(),
        depthwise(),
        conv_cases(),
    ] {
        convolve(&cases, DType::BF16);
    }
}

#[test]
fn the_other_operations_in_half_precision() {
    the_others(DType::F16);
}

#[test]
fn the_other_operations_in_bf16() {
    the_others(DType::BF16);
}

fn the_others(dtype: DType) {
    let pool = |kind| {
        let window = Window::square(3, 2, 1);
        (
            Op::Pool { kind, window },
            vec![Desc::new(&[3, 9, 6, 24], dtype)],
        )
    };
    let mut cases = vec![pool(PoolKind::Max), pool(PoolKind::Average)];
    // More matrices than one launch takes.
    let parts: Vec<Desc> = (0..19)
        .map(|i| Desc::new(&[2, 3, 1, 8 * (1 + i % 3)], dtype))
        .collect();
    let columns: usize = parts.iter().map(|d| d.dims[3]).sum();
    let mut joined = parts.clone();
    joined.resize(parts.len() + 2, Desc::new(&[columns], dtype));
    cases.push((Op::Concat, parts));
    cases.push((Op::Affine { act: Act::Relu }, joined));
    // More pixels than one part of a global average.
    cases.push((Op::GlobalAverage, vec![Desc::new(&[2, 40, 17, 40], dtype)]));
    cases.extend(others().into_iter().map(|(op, d)| (op, stored(&d, dtype))));
    for (seed, (op, descs)) in thin(cases).enumerate() {
        test(&op, &descs, 1000 + seed as u64);
    }
}

/// Buffers that begin at no more than the alignment of an element.
#[test]
fn images_need_no_more_than_the_alignment_of_an_element() {
    let mut cases: Vec<(Op, Vec<Desc>)> = [tiles(), few_pixels(), small_groups(), depthwise()]
        .concat()
        .into_iter()
        .map(|case| {
            let gate = case.4 == Window::square(1, 1, 0);
            let op = plain(case.4, case.5, gate, FULL);
            (op, conv_inputs(&case, 1, gate, &FULL))
        })
        .collect();
    cases.extend(others());
    let both =
        |(op, d): (Op, Vec<Desc>)| [DType::F16, DType::BF16].map(|dtype| (op, stored(&d, dtype)));
    let cases = cases.into_iter().flat_map(both).collect();
    for (i, (op, descs)) in thin(cases).enumerate() {
        let ins = inputs_for(&op, &descs, i as u64);
        for card in cards() {
            let want = run(&NaiveDevice::default(), &op, &ins).unwrap();
            if card.supports(&op, &descs) != Support::Native {
                assert_eq!(descs[0].dtype, DType::BF16, "{op:?}");
                continue;
            }
            let have = run_at(&*card, &op, &ins, 2).unwrap();
            compare(&op, &ins, &have, &want, "unaligned");
        }
    }
}

/// The means that a convolution of one filter a channel sums on the way: those of its result as stored.
#[test]
fn depthwise_convolutions_with_the_average_of_their_result() {
    let all = Epilogue::all();
    let mut fused = 0;
    let cases = depthwise().into_iter().flat_map(|case| [case, case]);
    for (i, case) in thin(cases.collect()).enumerate() {
        let (window, groups, epilogue) = (case.4, case.5, all[i / 2 * 5 + 3]);
        let op = Op::ConvAverage {
            window,
            groups,
            epilogue,
        };
        let conv = plain(window, groups, false, epilogue);
        let dtype = [DType::F16, DType::BF16][i % 2];
        let descs = stored(&conv_inputs(&case, 2, false, &epilogue), dtype);
        let ins = inputs(&descs, i as u64);
        let naive = NaiveDevice::default();
        let want = run(&naive, &op, &ins).unwrap();
        for card in cards() {
            if card.supports(&op, &descs) != Support::Native {
                continue;
            }
            fused += 1;
            let mut results = vec![run(&*card, &op, &ins).unwrap()];
            results.extend(run_packed(&*card, &op, &ins).map(|r| r.unwrap()));
            for have in results {
                compare(&conv, &ins, &have[..1], &want[..1], "fused");
                let mean = run(&naive, &Op::GlobalAverage, &have[..1]).unwrap();
                compare(&Op::GlobalAverage, &have[..1], &have[1..], &mean, "fused");
            }
        }
    }
    assert!(fused >= cards().len(), "{fused}");
}

/// One 5x5 window of ones over `pixels`, on every card: 8 equal channels.
fn window_of_ones(pixels: &[f32; 25]) -> Vec<(f32, f64)> {
    let op = plain(Window::square(5, 1, 0), 8, false, Epilogue::BARE);
    let x: Vec<f32> = pixels.iter().flat_map(|&v| [v; 8]).collect();
    let half = |dims: &[usize], values: &[f32]| {
        let bytes = bytes_of(values, DType::F16);
        (Desc::new(dims, DType::F16), bytes)
    };
    let ins = [half(&[1, 5, 5, 8], &x), half(&[8, 1, 5, 5], &[1.0; 200])];
    let want = run(&NaiveDevice::default(), &op, &ins).unwrap();
    let mut results = Vec::new();
    for card in cards() {
        let have = run(&*card, &op, &ins).unwrap();
        let value = values_of(&have[0].1, DType::F16)[7];
        let used = match value.is_finite() {
            true => compare(&op, &ins, &have, &want, "a window of ones"),
            false => f64::INFINITY,
        };
        results.push((value, used));
    }
    results
}

/// 5x5 windows are summed in pairs of halves row by row: a row that has room for no more than its first
/// value takes nothing from the others.
#[test]
fn rows_of_large_windows_are_summed_by_themselves() {
    let mut pixels = [0.75; 25];
    pixels[0] = 2048.0;
    for (value, used) in window_of_ones(&pixels) {
        assert!((value - 2066.0).abs() <= 5.0 && used < 1.0, "{value}");
    }
}

/// What does not fit into half precision is no number in the result, even if a later row takes it back.
#[test]
fn a_row_beyond_half_precision_shows() {
    let mut pixels = [0.0; 25];
    pixels[..2].fill(40_000.0);
    pixels[5..7].fill(-20_000.0);
    for (value, _) in window_of_ones(&pixels) {
        assert!(!value.is_finite(), "{value}");
    }
}
