//! Hopper's convolutions, on the simulated card as a Hopper card and on a real one: every tile, alone and in
//! clusters, over windows that reach beside the image.

use doppel::device::gpu::driver_simt::{Copies, Matrices, Order, Schedule};
use doppel::device::gpu::heuristics_gemm::{GemmPlan, TILES, Tile};
use doppel::device::{
    Act, DType, Desc, Device, Epilogue, GpuDevice, NaiveDevice, Op, Stream, Window, alloc,
};

use crate::gemm_sm90::{full, hoppers, simulated};
use crate::harness::{Guarded, compare, inputs, light, run, thin};

type Filled = Vec<(Desc, Vec<u8>)>;

/// Images, height, width, channels, filters, window, groups.
pub type Case = (usize, usize, usize, usize, usize, Window, usize);

pub fn conv(case: &Case, gate: bool, epilogue: Epilogue, dtype: DType) -> (Op, Filled) {
    let &(n, h, w, c, o, window, groups) = case;
    let (oh, ow) = window.out("conv", h, w).unwrap();
    let mut dims = vec![
        vec![n, h, w, c],
        vec![o, c / groups, window.kernel[0], window.kernel[1]],
    ];
    dims.extend(gate.then(|| vec![n, 1, 1, c]));
    dims.extend(epilogue.scale.then(|| vec![o]));
    dims.extend(epilogue.bias.then(|| vec![o]));
    dims.extend(epilogue.residual.then(|| vec![n, oh, ow, o]));
    let descs: Vec<Desc> = dims.iter().map(|d| Desc::new(d, dtype)).collect();
    let op = Op::Conv {
        window,
        groups,
        gate,
        epilogue,
    };
    (op, inputs(&descs, 23))
}

/// The tile with so many columns, one cluster of so many blocks for all of the result.
fn plan(columns: usize, cluster: usize) -> GemmPlan {
    let tile: &'static Tile = TILES.iter().find(|t| t.sides().1 == columns).unwrap();
    GemmPlan {
        tile,
        cluster,
        grid: cluster,
    }
}

fn planned(card: &GpuDevice, op: &Op, ins: &Filled, plan: &GemmPlan) -> Filled {
    let descs: Vec<Desc> = ins.iter().map(|(d, _)| d.clone()).collect();
    let from: Vec<Guarded> = ins
        .iter()
        .map(|(desc, bytes)| {
            let guarded = Guarded::new_at(card, desc.clone(), 0);
            card.upload(bytes, &guarded.buf, Stream::DEFAULT).unwrap();
            guarded
        })
        .collect();
    let out = Guarded::new_at(card, op.infer(&descs).unwrap().remove(0), 0);
    let bytes = card.workspace(op, &descs);
    let scratch = alloc(card, Desc::new(&[bytes.div_ceil(4)], DType::F32)).unwrap();
    let all: Vec<_> = from.iter().map(|g| &g.buf).collect();
    card.conv_planned(op, &all, &out.buf, Some(&scratch), plan)
        .unwrap();
    vec![(out.buf.desc.clone(), out.bytes(card, &format!("{plan:?}")))]
}

fn check(case: &Case, gate: bool, epilogue: Epilogue, plans: &[GemmPlan]) {
    for (i, dtype) in [DType::F16, DType::BF16].into_iter().enumerate() {
        let (op, ins) = conv(case, gate, epilogue, dtype);
        let all = hoppers();
        if all.is_empty() {
            return;
        }
        let want = run(&NaiveDevice::default(), &op, &ins).unwrap();
        for card in all {
            // Both types have the same code but for the products: one plan will do for the second.
            for plan in plans.iter().skip(i) {
                let have = planned(&card, &op, &ins, plan);
                compare(
                    &op,
                    &ins,
                    &have,
                    &want,
                    &format!("{case:?} {plan:?} {dtype}"),
                );
            }
        }
    }
}

#[test]
fn every_tile_alone_and_in_clusters() {
    // Two images of 9 x 9: a tile of 128 pixels goes over the end of a line and of an image.
    let window = Window::square(3, 1, 1);
    for columns in thin(vec![64, 128, 256]) {
        let plans = [plan(columns, 1), plan(columns, 2)];
        let case = (2, 9, 9, 64, columns + 8, window, 1);
        check(&case, false, full(Act::Silu), &plans);
    }
}

#[test]
fn windows_that_reach_beside_the_image() {
    let skew = Window {
        kernel: [3, 2],
        stride: [2, 1],
        pad: [0, 1, 2, 0],
    };
    let cases: [Case; 6] = [
        (1, 7, 6, 72, 20, Window::square(1, 1, 0), 1),
        (3, 5, 4, 8, 6, Window::square(3, 1, 1), 1),
        (1, 12, 11, 24, 64, Window::same(3, 2, 12, 11), 1),
        (2, 6, 5, 16, 10, skew, 1),
        (1, 9, 10, 8, 66, Window::square(7, 2, 3), 1),
        (1, 5, 5, 136, 2, Window::square(1, 2, 0), 1),
    ];
    for case in thin(cases.to_vec()) {
        check(&case, false, Epilogue::BARE, &[plan(64, 1), plan(64, 2)]);
    }
}

#[test]
fn groups_of_64_channels() {
    for stride in thin(vec![1, 2]) {
        let case = (1, 8, 7, 192, 192, Window::square(3, stride, 1), 3);
        check(&case, false, full(Act::Gelu), &[plan(64, 1), plan(64, 2)]);
    }
}

#[test]
fn gates_multiply_on_the_way() {
    // Images of 35 pixels: the rows of a fragment belong to different images.
    for columns in thin(vec![64, 128, 256]) {
        let case = (5, 5, 7, 88, columns - 6, Window::square(1, 1, 0), 1);
        let plans = [plan(columns, 1), plan(columns, 2)];
        check(&case, true, full(Act::None), &plans);
    }
}

#[test]
fn the_card_chooses_these_kernels() {
    let case = (1, 8, 8, 64, 64, Window::square(3, 1, 1), 1);
    let (op, ins) = conv(&case, false, full(Act::Relu), DType::F16);
    let want = run(&NaiveDevice::default(), &op, &ins).unwrap();
    for card in hoppers() {
        let have = run(&*card, &op, &ins).unwrap();
        compare(&op, &ins, &have, &want, "chosen");
    }
    if let Some((driver, card)) = simulated() {
        let before = driver.launches();
        run(&*card, &op, &ins).unwrap();
        // The filters are packed, then one launch.
        assert_eq!(driver.launches() - before, 2);
    }
}

#[test]
fn every_schedule_gives_the_same() {
    let Some((driver, card)) = simulated().filter(|_| !light()) else {
        return;
    };
    let case = (2, 5, 5, 72, 72, Window::square(3, 2, 1), 1);
    // More steps than the ring has stages.
    let gated = (3, 2, 3, 520, 66, Window::square(1, 1, 0), 1);
    for (case, gate) in [(case, false), (gated, true)] {
        let (op, ins) = conv(&case, gate, full(Act::Mish), DType::F16);
        let mut first = None;
        for schedule in Schedule::all() {
            driver.set_schedule(schedule);
            let have = planned(&card, &op, &ins, &plan(64, 2));
            let want = first.get_or_insert_with(|| have.clone());
            assert_eq!(&have, want, "{schedule:?}");
        }
    }
    driver.set_schedule(Schedule {
        order: Order::Forward,
        copies: Copies::Early,
        matrices: Matrices::Early,
    });
}
