//! The join: a search of rows among themselves that computes each pair once, on every card and on the
//! simulated one as a card of either kind.

use std::sync::Arc;

use doppel::device::gpu::driver_simt::{Schedule, SimtDriver};
use doppel::device::gpu::{TopKTuning, plan_dense};
use doppel::device::{Device, GpuDevice, Stream};
use doppel::lists::Lists;

use crate::harness::{cards, light, sanitized, simulated_driver, thin, values};
use crate::neighbours::{Rows, brute, near_ties, same};

/// The simulated card with and without Hopper's kernels, on a driver of its own.
fn simulated() -> Vec<(Arc<SimtDriver>, Arc<GpuDevice>)> {
    let Some(driver) = simulated_driver() else {
        return Vec::new();
    };
    let path = std::env::var_os("DOPPEL_SIMT").unwrap_or_default();
    let open = |arch| {
        let own = Arc::new(SimtDriver::open_as(&path, arch).unwrap());
        own.set_schedule(driver.schedule());
        (Arc::clone(&own), Arc::new(GpuDevice::new(own)))
    };
    vec![open(80), open(90)]
}

/// The same, and the real cards.
pub fn both() -> Vec<Arc<GpuDevice>> {
    let real = cards().into_iter().filter(|c| c.card().driver == "cuda");
    simulated().into_iter().map(|s| s.1).chain(real).collect()
}

fn join(chunks: Option<usize>) -> TopKTuning {
    TopKTuning {
        slab: 128,
        chunks,
        join: Some(true),
    }
}

/// The join against the brute force.
fn check(x: &Rows, k: usize, min_score: Option<f64>, what: &str) {
    let all = both();
    let too_many = light() && x.len() > 140 || sanitized() && x.len() > 600;
    if all.is_empty() || too_many {
        return;
    }
    let want = brute(x, x, k, min_score);
    for card in all {
        let rows = x.put(&*card);
        // Large ones in one way alone.
        let ways = if x.len() > 150 || sanitized() {
            vec![Some(2)]
        } else {
            vec![None, Some(2)]
        };
        for tuning in thin(ways.into_iter().map(join).collect()) {
            let lists = card.topk_tuned(&rows, None, k, min_score, &tuning).unwrap();
            let arch = card.card().arch;
            let what = format!("{what}, k {k}, {:?} parts, arch {arch}", tuning.chunks);
            same(&lists, &want, &what);
            lists.check(x.len()).unwrap();
        }
    }
}

#[test]
fn odd_counts_of_rows_and_dimensions() {
    for (rows, dims, k) in [
        (129, 33, 50),
        (1, 1, 1),
        (2, 3, 1),
        (127, 5, 64),
        (128, 31, 7),
        (257, 65, 20),
        (300, 8, 64),
    ] {
        let x = Rows::spread(rows, dims, rows as u64);
        check(&x, k, None, &format!("{rows} x {dims}"));
    }
    check(&Rows::spread(9, 20, 4), 64, None, "more than there are");
}

#[test]
fn several_waves_and_an_even_number_of_squares() {
    // 8 tiles and 4 squares, of which the last meet half way round; 6 and 3.
    for (rows, k) in [(1000, 64), (700, 10)] {
        let x = Rows::spread(rows, 4, rows as u64);
        check(&x, k, None, &format!("{rows} rows"));
    }
}

#[test]
fn near_ties_come_in_the_order_of_their_exact_scores() {
    for (near, k) in [(60, 50), (100, 50)] {
        check(
            &near_ties(300, near, 40),
            k,
            None,
            &format!("{near} near-ties"),
        );
    }
}

#[test]
fn each_row_of_a_pair_has_its_own_threshold() {
    // Every other row has 40 near ones, so that its threshold rises to nearly 1 in the first wave; the rest
    // are far from all, and find their neighbours below that in later waves.
    let (rows, dims, each) = (600, 16, 40);
    let mut x = Rows::spread(rows, dims, 71);
    let (centres, nudge) = (values(rows / each * dims, 72), values(rows * dims, 73));
    for i in (0..rows).step_by(2) {
        let centre = &centres[i / 2 % (rows / each / 2) * dims..][..dims];
        let near = nudge[i * dims..].iter().zip(centre);
        x.set(i, &near.map(|(n, c)| c + 1e-2 * n).collect::<Vec<_>>());
    }
    check(&x, 10, None, "rows with 40 near ones, and rows with none");
}

#[test]
fn equal_rows_come_in_their_order() {
    let mut x = Rows::spread(320, 24, 21);
    let row = x.row(3).to_vec();
    let half: Vec<f32> = row.iter().map(|v| v * 0.5).collect();
    (0..60).for_each(|i| x.set(5 * i + 4, &row));
    (0..30).for_each(|i| x.set(10 * i + 4, &half));
    check(&x, 50, None, "30 equal rows and 31 half as long");
}

#[test]
fn rows_that_no_buffer_holds_are_answered_all_the_same() {
    for rows in [129, 600] {
        let x = Rows::new(&vec![values(6, 5); rows]);
        check(&x, 10, None, &format!("{rows} equal rows"));
    }
    // Some rows overflow and others do not.
    let mut x = near_ties(700, 700, 8);
    let other = Rows::spread(150, 8, 8);
    (0..150).for_each(|i| x.set(i, other.row(i)));
    check(&x, 12, None, "550 near-ties of 700 rows");
}

#[test]
fn rows_of_zeros_and_scores_below_the_least_are_left_out() {
    let mut x = Rows::spread(150, 12, 31);
    (0..150).step_by(7).for_each(|i| x.set(i, &[0.0; 12]));
    check(&x, 9, None, "some rows of zeros");
    check(&x, 64, Some(0.2), "at least 0.2");
    check(&x, 5, Some(f64::INFINITY), "nothing is so near");
    // All scores are negative but a row's own: what lies behind the last row would score 0.
    let apart = Rows::new(&[vec![1.0, 0.5], vec![-1.0, -0.5], vec![-1.0, -0.75]]);
    check(&apart, 3, None, "rows that turn from each other");
}

#[test]
fn a_row_that_is_no_number_is_named() {
    let mut x = Rows::spread(40, 8, 1);
    x.data[17 * 8 + 3] = f32::NAN;
    for card in both() {
        let rows = x.put(&*card);
        let error = card.topk_tuned(&rows, None, 3, None, &join(None));
        let line = error.unwrap_err().to_string();
        assert!(
            line.contains("row 18") && line.contains("an embedding"),
            "{line}"
        );
    }
}

#[test]
fn every_schedule_and_every_cut_finds_the_same() {
    let x = near_ties(300, 80, 16);
    for (driver, card) in simulated() {
        let rows = x.put(&*card);
        let scan = card.topk_dense(&rows, None, 20, None, Stream::DEFAULT);
        let want: Lists = scan.unwrap();
        let every = if sanitized() { 11 } else { 1 };
        for (i, schedule) in Schedule::all().into_iter().enumerate().step_by(every) {
            driver.set_schedule(schedule);
            let chunks = [None, Some(1), Some(8)][i % 3];
            let tuning = TopKTuning {
                slab: 128 << (i % 2),
                ..join(chunks)
            };
            let lists = card.topk_tuned(&rows, None, 20, None, &tuning).unwrap();
            assert!(lists == want, "{schedule:?}, {tuning:?}");
        }
    }
}

#[test]
fn the_join_of_70_000_rows_is_planned_without_a_launch() {
    let (rows, dims, k) = (70_000, 1536, 50);
    let plan = plan_dense(rows, None, dims, k, 132, &TopKTuning::default());
    assert!(plan.joins() && plan.rows == rows);
    // Beside the embeddings: unit rows in half precision, 512 candidates a row, the lists of a slab.
    let most = rows * (dims * 2 + 512 * 8 + 32) + plan.slab * (k * 12 + 8);
    assert!(
        plan.needs() <= most + 2048,
        "{} of {most}: {plan:?}",
        plan.needs()
    );
    // Nothing grows with the square of the rows.
    let twice = plan_dense(2 * rows, None, dims, k, 132, &TopKTuning::default());
    assert!(twice.needs() <= 2 * plan.needs());
    assert!(plan.all_launches() <= 30, "{plan:?}");
    let many = plan_dense(1_000_000, None, 256, k, 132, &TopKTuning::default());
    let each = 256 * 6 + 8 + 512 * 8 + 16;
    assert!(many.bytes() <= 1_000_000 * each + many.slab * (k * 12 + 8) + 2048);
    assert!(many.all_launches() <= 90, "{many:?}");
    let apart = plan_dense(rows, Some(rows), dims, k, 132, &TopKTuning::default());
    let few = plan_dense(1000, None, dims, k, 132, &TopKTuning::default());
    assert!(!apart.joins() && !few.joins());
}
