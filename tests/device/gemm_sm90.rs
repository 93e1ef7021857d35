//! Hopper's products and its top-k scan, on the simulated card as a Hopper card and on a real one.
//!
//! Which tile a product gets is a matter of speed; here every tile computes, in clusters and alone.

use std::sync::Arc;

use doppel::device::gpu::TopKTuning;
use doppel::device::gpu::driver_simt::{Schedule, SimtDriver};
use doppel::device::gpu::heuristics_gemm::{GemmPlan, SPLIT, TILES, Tile};
use doppel::device::{
    Act, DType, Desc, Device, Epilogue, GpuDevice, NaiveDevice, Op, Stream, alloc,
};
use doppel::lists::Lists;

use crate::harness::{
    Guarded, SHORTS, cards, compare, inputs, light, run, run_at, simulated_driver, thin, values,
};

/// The simulated card as a Hopper card, if it is there.
pub fn simulated() -> Option<(Arc<SimtDriver>, Arc<GpuDevice>)> {
    simulated_driver()?;
    let path = std::env::var_os("DOPPEL_SIMT")?;
    let driver = Arc::new(SimtDriver::open_as(path, 90).unwrap());
    driver.set_schedule(simulated_driver()?.schedule());
    Some((Arc::clone(&driver), Arc::new(GpuDevice::new(driver))))
}

/// All Hopper cards of this run.
pub fn hoppers() -> Vec<Arc<GpuDevice>> {
    let real = cards().into_iter();
    let real = real.filter(|card| card.card().arch == 90 && card.card().driver == "cuda");
    simulated()
        .map(|(_, card)| card)
        .into_iter()
        .chain(real)
        .collect()
}

pub fn gemm(epilogue: Epilogue) -> Op {
    Op::Gemm {
        trans_a: false,
        trans_b: true,
        epilogue,
    }
}

pub fn full(act: Act) -> Epilogue {
    Epilogue {
        scale: true,
        bias: true,
        residual: true,
        act,
    }
}

pub type Filled = Vec<(Desc, Vec<u8>)>;

pub fn factors(epilogue: Epilogue, [m, n, k]: [usize; 3], dtype: DType, seed: u64) -> Filled {
    let mut dims = vec![vec![m, k], vec![n, k]];
    dims.extend(epilogue.scale.then(|| vec![n]));
    dims.extend(epilogue.bias.then(|| vec![n]));
    dims.extend(epilogue.residual.then(|| vec![m, n]));
    let descs: Vec<Desc> = dims.iter().map(|d| Desc::new(d, dtype)).collect();
    inputs(&descs, seed)
}

/// The product on a plan, with guards around all buffers.
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
    let all: Vec<_> = from.iter().map(|g| &g.buf).collect();
    card.gemm_planned(op, &all, &out.buf, plan).unwrap();
    vec![(out.buf.desc.clone(), out.bytes(card, &format!("{plan:?}")))]
}

/// A product of both types on these plans, against the naive twin, on every Hopper card.
fn check(epilogue: Epilogue, shape: [usize; 3], plans: &[GemmPlan]) {
    let op = gemm(epilogue);
    let all = hoppers();
    if all.is_empty() {
        return;
    }
    for dtype in SHORTS {
        let ins = factors(epilogue, shape, dtype, 11);
        let want = run(&NaiveDevice::default(), &op, &ins).unwrap();
        for card in &all {
            for plan in plans {
                let have = planned(card, &op, &ins, plan);
                let what = format!("{dtype} {shape:?} {plan:?}");
                compare(&op, &ins, &have, &want, &what);
            }
        }
    }
}

/// One cluster for all tiles, and clusters for some of them each.
fn persistent(tile: &'static Tile, cluster: usize, clusters: usize) -> GemmPlan {
    GemmPlan {
        tile,
        cluster,
        grid: cluster * clusters,
    }
}

fn split(parts: usize, [m, n, _]: [usize; 3]) -> GemmPlan {
    GemmPlan {
        tile: &SPLIT,
        cluster: parts,
        grid: parts * m.div_ceil(64) * n.div_ceil(64),
    }
}

#[test]
fn every_tile_alone_and_in_clusters() {
    for tile in thin(TILES.iter().rev().collect()) {
        let (m, n) = tile.sides();
        // Three rows of tiles, so that a cluster's second block has none in the end; two of columns; a
        // last step along k that is not whole, and more steps in all than stages.
        let shape = [2 * m + 6, n + 24, 136];
        let plans = [
            persistent(tile, 1, 1),
            persistent(tile, 1, 4),
            persistent(tile, 2, 1),
            persistent(tile, 2, 3),
        ];
        check(
            full(Act::Gelu),
            shape,
            if light() { &plans[2..3] } else { &plans },
        );
        // Lines of the result that the copy engine does not store.
        let narrow = [m - 1, n - 6, 72];
        check(full(Act::Silu), narrow, &plans[..1]);
    }
}

#[test]
fn every_epilogue_of_a_tile() {
    let acts = [
        Act::None,
        Act::Relu,
        Act::Silu,
        Act::Gelu,
        Act::Mish,
        Act::Sigmoid,
    ];
    let flags = (0..8).map(|bits| (bits & 1 != 0, bits & 2 != 0, bits & 4 != 0));
    let cases: Vec<Epilogue> = flags
        .zip(acts.into_iter().cycle())
        .map(|((scale, bias, residual), act)| Epilogue {
            scale,
            bias,
            residual,
            act,
        })
        .collect();
    for epilogue in thin(cases) {
        let shape = [70, 72, 40];
        check(
            epilogue,
            shape,
            &[persistent(&TILES[3], 1, 1), split(1, shape)],
        );
    }
}

#[test]
fn a_cluster_goes_round_its_ring() {
    // Three tiles of four steps each for a ring of six stages.
    check(
        full(Act::Relu),
        [200, 136, 200],
        &[persistent(&TILES[3], 2, 1)],
    );
}

#[test]
fn sums_of_two_parts_are_exchanged() {
    let shape = [66, 62, 200];
    check(full(Act::Relu), shape, &[split(2, shape)]);
}

#[test]
fn k_is_shared_by_a_cluster() {
    // Nine steps: for 8 blocks, 3 and 2 of them, and for one.
    for parts in thin(vec![3, 8, 2, 1]) {
        let shape = [70, 134, 9 * 64 - 24];
        check(full(Act::Relu), shape, &[split(parts, shape)]);
    }
    check(Epilogue::BARE, [1, 2, 8], &[split(1, [1, 2, 8])]);
}

#[test]
fn every_schedule_gives_the_same() {
    let Some((driver, card)) = simulated() else {
        return;
    };
    let cases = [
        ([200, 136, 200], persistent(&TILES[3], 2, 1)),
        // The last tile of a row has one panel, the others two.
        ([130, 152, 72], persistent(&TILES[2], 1, 1)),
        ([66, 62, 200], split(2, [66, 62, 200])),
    ]
    .map(|(shape, plan)| (shape, plan, DType::F16));
    let cases =
        cases
            .into_iter()
            .chain([([130, 152, 72], persistent(&TILES[2], 1, 1), DType::BF16)]);
    for (shape, plan, dtype) in thin(cases.collect()) {
        let (op, ins) = (
            gemm(full(Act::Relu)),
            factors(full(Act::Relu), shape, dtype, 12),
        );
        let schedules = thin(Schedule::all());
        let results: Vec<Filled> = schedules
            .map(|schedule| {
                driver.set_schedule(schedule);
                planned(&card, &op, &ins, &plan)
            })
            .collect();
        let want = run(&NaiveDevice::default(), &op, &ins).unwrap();
        compare(&op, &ins, &results[0], &want, "the first schedule");
        for (i, result) in results.iter().enumerate() {
            assert!(*result == results[0], "schedule {i}: {shape:?} {plan:?}");
        }
    }
}

#[test]
fn the_plan_that_is_chosen_and_what_the_twin_takes() {
    // Tiles of the model's own choice; k and n that are odd; buffers that are not aligned.
    let cases = [
        ([300, 200, 264], 0),
        ([5, 1000, 512], 0),
        ([33, 65, 72], 0),
        ([33, 66, 71], 0),
        ([33, 64, 72], 2),
        ([33, 64, 72], 8),
    ];
    let cases = SHORTS.map(|dtype| cases.map(|(shape, at)| (shape, at, dtype)));
    for (shape, at, dtype) in thin(cases.concat()) {
        let ins = factors(full(Act::Silu), shape, dtype, 13);
        let op = gemm(full(Act::Silu));
        let want = run(&NaiveDevice::default(), &op, &ins).unwrap();
        for card in hoppers() {
            let have = run_at(&*card, &op, &ins, at).unwrap();
            compare(&op, &ins, &have, &want, &format!("{shape:?} at {at}"));
        }
    }
}

/// Lists of the `k` nearest of each row among the rows themselves, or in a gallery, in `chunks` parts.
fn search(
    card: &GpuDevice,
    rows: &[f32],
    gallery: Option<&[f32]>,
    dims: usize,
    k: usize,
    chunks: usize,
) -> Lists {
    let put = |rows: &[f32]| {
        let desc = Desc::new(&[rows.len() / dims, dims], DType::F32);
        let buf = alloc(card, desc).unwrap();
        card.upload(bytemuck::cast_slice(rows), &buf, Stream::DEFAULT)
            .unwrap();
        buf
    };
    let (left, right) = (put(rows), gallery.map(put));
    let tuning = TopKTuning {
        slab: 256,
        chunks: Some(chunks),
        join: None,
    };
    card.topk_tuned(&left, right.as_ref(), k, None, &tuning)
        .unwrap()
}

fn same_lists(a: &Lists, b: &Lists, what: &str) {
    assert_eq!(a.len(), b.len(), "{what}");
    for i in 0..a.len() {
        let row = |lists: &Lists| -> Vec<(u32, u64)> {
            lists.row(i).iter().map(|(r, s)| (r, s.to_bits())).collect()
        };
        assert_eq!(row(a), row(b), "{what}: row {i}");
    }
}

/// The search on every Hopper card against the portable scan on the simulated one.
fn agree(rows: usize, dims: usize, k: usize, chunks: usize) {
    let Some(portable) = simulated_driver() else {
        return;
    };
    let path = std::env::var_os("DOPPEL_SIMT").unwrap_or_default();
    let driver = SimtDriver::open_as(path, 80).unwrap();
    driver.set_schedule(portable.schedule());
    let data = values(rows * dims, 14);
    let want = search(&GpuDevice::new(Arc::new(driver)), &data, None, dims, k, 1);
    for card in hoppers() {
        let have = search(&card, &data, None, dims, k, chunks);
        same_lists(
            &have,
            &want,
            &format!("{rows} x {dims}, k {k}, {chunks} parts"),
        );
    }
}

#[test]
fn a_scan_of_more_than_a_buffer_holds() {
    agree(290, 12, 5, 1);
}

#[test]
fn rows_that_the_gallery_has_not_are_nobodys() {
    // All scores are negative; what lies behind the gallery's end would score 0.
    let rows = [1.0, 0.5, 2.0, 1.0];
    let gallery = rows.map(|v: f32| -v);
    for card in hoppers() {
        let lists = search(&card, &rows, Some(&gallery), 2, 1, 1);
        assert_eq!(lists.len(), 2);
        for i in 0..2 {
            let row: Vec<(u32, f64)> = lists.row(i).iter().collect();
            assert_eq!(row, [(0, -1.0)], "row {i}");
        }
    }
}

#[test]
fn searches_give_what_the_portable_scan_gives() {
    // A tile of queries; two in a cluster, whose buffers are pruned; three and parts of the gallery;
    // near-equal rows, whose candidates overflow.
    for (rows, dims, k, chunks) in thin(vec![
        (70, 24, 5, 1),
        (300, 40, 64, 2),
        (600, 8, 20, 3),
        (400, 1, 3, 1),
    ]) {
        agree(rows, dims, k, chunks);
    }
}

#[test]
fn every_schedule_finds_the_same() {
    let Some((driver, card)) = simulated() else {
        return;
    };
    let data = values(300 * 16, 15);
    let schedules = thin(Schedule::all());
    let results: Vec<Lists> = schedules
        .map(|schedule| {
            driver.set_schedule(schedule);
            search(&card, &data, None, 16, 10, 1)
        })
        .collect();
    for (i, lists) in results.iter().enumerate() {
        same_lists(lists, &results[0], &format!("schedule {i}"));
    }
}
