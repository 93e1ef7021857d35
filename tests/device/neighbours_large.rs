//! The cards' dense search for more than 64 neighbours, and what any search takes before it is launched.

use doppel::device::gpu::{
    SparseSize, SparseTuning, TopKTuning, plan_dense, plan_hamming, plan_sparse,
};
use doppel::limits::MAX_CARD_K;

use crate::gemm_sm90::hoppers;
use crate::harness::{light, thin, values};
use crate::neighbours::{Rows, brute, check, near_ties, same};

#[test]
fn odd_counts_of_rows_and_neighbours() {
    for (rows, dims, k) in [(80, 9, 65), (131, 33, 100), (301, 20, 300), (257, 8, 255)] {
        let x = Rows::spread(rows, dims, rows as u64);
        check(&x, None, k, None, &format!("{rows} x {dims}"));
    }
    // Fewer rows than neighbours asked for: all of them.
    for (rows, k) in [(1, 65), (3, MAX_CARD_K), (66, 67)] {
        let x = Rows::spread(rows, 12, 4);
        check(&x, None, k, None, "more than there are");
    }
}

#[test]
fn buffers_are_cut_back_and_nothing_is_lost() {
    // A buffer for 65 neighbours holds 512 candidates; near-ties around one direction come all over.
    let (queries, gallery) = (Rows::spread(5, 16, 1), Rows::spread(1300, 16, 2));
    check(
        &queries,
        Some(&gallery),
        65,
        None,
        "1,300 rows in any order",
    );
    let mut near = near_ties(1200, 300, 24);
    near.data.truncate(1200 * 24);
    let queries = Rows::new(&[near.row(0).to_vec(), near.row(7).to_vec()]);
    check(&queries, Some(&near), 100, None, "300 near-ties");
    check(&queries, Some(&near), 299, None, "299 of 300 near-ties");
}

#[test]
fn rows_that_come_ever_nearer_fill_buffers_often() {
    // Each row is nearer to the query than the one before it: every one passes the threshold.
    let dims = 8;
    let query = values(dims, 3);
    let away = values(dims, 9);
    let rows: Vec<Vec<f32>> = (0..1400)
        .map(|i| {
            let far = 2.0 * (1400 - i) as f32 / 1400.0;
            query.iter().zip(&away).map(|(q, a)| q + far * a).collect()
        })
        .collect();
    check(
        &Rows::new(&[query]),
        Some(&Rows::new(&rows)),
        70,
        None,
        "ever nearer",
    );
}

#[test]
fn equal_rows_that_no_buffer_holds_come_in_their_order() {
    // 700 equal rows are more than 512 candidates, 4,260 more than are scored in one go.
    let equal = |count: usize| Rows::new(&vec![values(4, 5); count]);
    let queries = Rows::spread(2, 4, 6);
    check(&queries, Some(&equal(700)), 65, None, "700 equal rows");
    let mut some = equal(4300);
    for i in 0..40 {
        some.set(100 * i + 3, &values(4, 50 + i as u64));
    }
    let one = Rows::new(&[values(4, 5)]);
    check(&one, Some(&some), 200, None, "4,260 equal rows");
    // Rows that halves cannot tell apart, the best of them last.
    let (base, away) = (values(8, 5), values(8, 6));
    let near = |i: usize| {
        let far = 1e-3 * (700 - i) as f32 / 700.0;
        base.iter().zip(&away).map(|(b, a)| b + far * a).collect()
    };
    let near = Rows::new(&(0..700).map(near).collect::<Vec<_>>());
    let query = Rows::new(std::slice::from_ref(&base));
    check(
        &query,
        Some(&near),
        65,
        None,
        "the best of 700 near-ties last",
    );
}

#[test]
fn zeros_and_least_scores() {
    let mut x = Rows::spread(230, 6, 31);
    for i in (0..230).step_by(3) {
        x.set(i, &[0.0; 6]);
    }
    check(&x, None, 180, None, "a third of the rows are zeros");
    for least in [0.5, -0.25, 1.0, f64::INFINITY] {
        check(&x, None, 90, Some(least), &format!("at least {least}"));
    }
    let zeros = Rows {
        dims: 3,
        data: vec![0.0; 240],
    };
    check(&zeros, None, 70, None, "zeros alone");
}

/// The search on every Hopper card, in one part and in two, against the brute force.
fn check_waves(queries: &Rows, gallery: Option<&Rows>, k: usize, what: &str) {
    let all = hoppers();
    let others = gallery.unwrap_or(queries);
    if all.is_empty() || light() && queries.len() * others.len() > 20_000 {
        return;
    }
    let want = brute(queries, others, k, None);
    for card in all {
        let (left, right) = (queries.put(&*card), gallery.map(|g| g.put(&*card)));
        for parts in thin(vec![1, 2]) {
            let tuning = TopKTuning {
                slab: 128,
                chunks: Some(parts),
                join: None,
            };
            let lists = card.topk_tuned(&left, right.as_ref(), k, None, &tuning);
            same(
                &lists.unwrap(),
                &want,
                &format!("{what}, k {k}, {parts} parts"),
            );
        }
    }
}

#[test]
fn waves_on_hopper_cards_give_the_same() {
    check_waves(&Rows::spread(131, 33, 1), None, 100, "two slabs");
    check_waves(&Rows::spread(66, 12, 4), None, 67, "more than there are");
    let (queries, gallery) = (Rows::spread(5, 16, 1), Rows::spread(1800, 16, 2));
    check_waves(&queries, Some(&gallery), 65, "1,800 rows in any order");
    check_waves(&gallery, Some(&queries), 65, "a gallery of five");
}

#[test]
fn waves_that_no_buffer_holds_lose_nothing() {
    let near = near_ties(1200, 300, 24);
    let queries = Rows::new(&[near.row(0).to_vec(), near.row(7).to_vec()]);
    check_waves(&queries, Some(&near), 100, "300 near-ties");
    // 1,100 equal rows are more than two parts of 512.
    let mut gallery = Rows::new(&vec![values(4, 5); 1100]);
    gallery.set(3, &[0.0; 4]);
    check_waves(&Rows::spread(3, 4, 6), Some(&gallery), 65, "equal rows");
}

/// Bytes that the lists themselves take: a row and a score for each neighbour.
fn lists(rows: usize, k: usize) -> usize {
    rows * k * 12
}

#[test]
fn a_search_of_70_000_rows_is_planned_in_memory_that_grows_with_rows_and_neighbours() {
    let (rows, dims) = (70_000, 1536);
    let tuning = TopKTuning {
        join: Some(false),
        ..TopKTuning::default()
    };
    let plan = plan_dense(rows, None, dims, 50, 132, &tuning);
    // f32 and f16 embeddings are 645 MB; lists, candidates and the rest less than that again.
    let input = rows * dims * 6;
    assert!(
        plan.bytes() >= input && plan.bytes() < 2 * input,
        "{plan:?}"
    );
    assert!(plan.all_launches() <= 10, "{plan:?}");
    let large = plan_dense(rows, None, dims, MAX_CARD_K, 132, &tuning);
    let most = input + lists(rows, MAX_CARD_K) + (64 << 20);
    assert!(
        large.bytes() < most,
        "{} of {most}: {large:?}",
        large.bytes()
    );
    assert!(large.all_launches() <= 30, "{large:?}");

    let size = SparseSize {
        rows,
        values: rows * 40,
    };
    let sparse = plan_sparse(size, None, 100_000, 50, &SparseTuning::default());
    let input = 2 * size.values * 12 + 4 * rows * 8 + 100_000 * 8;
    let most = input + lists(rows, 50) + (1 << 20);
    assert!(
        sparse.bytes() < most,
        "{} of {most}: {sparse:?}",
        sparse.bytes()
    );
    assert!(sparse.all_launches() <= 2, "{sparse:?}");
    let hashes = plan_hamming(rows, None, 50);
    assert!(hashes.bytes() < rows * 8 + lists(rows, 50), "{hashes:?}");
    assert!(hashes.all_launches() <= 2, "{hashes:?}");
    for k in [50, MAX_CARD_K] {
        let (once, twice) = (plan_hamming(rows, None, k), plan_hamming(2 * rows, None, k));
        assert!(twice.bytes() <= 2 * once.bytes(), "{once:?} {twice:?}");
    }
}

#[test]
fn memory_and_launches_grow_no_faster_than_rows() {
    let tuning = TopKTuning {
        join: Some(false),
        ..TopKTuning::default()
    };
    for k in [1, 50, 64, 65, 300, MAX_CARD_K] {
        for rows in [1, 1000, 70_000, 1_000_000] {
            let plan = plan_dense(rows, None, 256, k, 132, &tuning);
            // A row: its embedding twice, its list, and a bounded buffer of a slab's share.
            let each = 256 * 6 + 8 + 12 * k;
            let slab = (8 * (3 * k + 512) + 64) * plan.slab * plan.chunks;
            assert!(plan.bytes() <= rows * each + slab + 4096 * k, "{plan:?}");
            assert!(plan.bytes() <= rows * each + (1 << 30), "{plan:?}");
            assert_eq!(plan.slabs(), rows.div_ceil(plan.slab));
            assert_eq!(plan.all_launches(), 1 + 3 * plan.slabs());
        }
    }
}
