//! ops: topk_sparse
//!
//! Everything is checked against a brute force over all pairs that shares no code with the search:
//! the same rows, the same order and the same bits of every score.

use doppel::error::Kind;
use doppel::limits::MAX_K;
use doppel::lists::Lists;
use doppel::search::{TopK, sparse, sparse_against};
use doppel::tensor::Csr;

type Rows = Vec<Vec<(u32, f64)>>;

fn csr(cols: usize, rows: &Rows) -> Csr {
    let mut indptr = vec![0];
    for row in rows {
        indptr.push(indptr[indptr.len() - 1] + row.len());
    }
    let flat = || rows.iter().flatten();
    let indices = flat().map(|e| e.0).collect();
    let values = flat().map(|e| e.1).collect();
    Csr::new(cols, indptr, indices, values).unwrap()
}

/// The cosine as the definition says it, or `None` without a common non-zero column.
fn cosine(a: &[(u32, f64)], b: &[(u32, f64)]) -> Option<f64> {
    let norm = |row: &[(u32, f64)]| row.iter().fold(0.0, |sum, e| sum + e.1 * e.1);
    let (mut dot, mut common) = (0.0, false);
    for (c, v) in a.iter().filter(|e| e.1 != 0.0) {
        if let Some((_, w)) = b.iter().find(|e| e.0 == *c && e.1 != 0.0) {
            dot += v * w;
            common = true;
        }
    }
    common.then(|| (dot / (norm(a) * norm(b)).sqrt()).clamp(-1.0, 1.0))
}

fn brute(queries: &Rows, gallery: &Rows, opt: &TopK) -> Vec<Vec<(u32, f64)>> {
    let list = |q: &Vec<(u32, f64)>| {
        let mut all: Vec<(u32, f64)> = (0..gallery.len())
            .filter_map(|j| Some((j as u32, cosine(q, &gallery[j])?)))
            .filter(|n| opt.min_score.is_none_or(|s| n.1 >= s))
            .collect();
        all.sort_by(|a, b| b.1.partial_cmp(&a.1).unwrap().then(a.0.cmp(&b.0)));
        all.truncate(opt.k);
        all
    };
    queries.iter().map(list).collect()
}

fn bits(list: impl Iterator<Item = (u32, f64)>) -> Vec<(u32, u64)> {
    list.map(|(row, score)| (row, (score + 0.0).to_bits()))
        .collect()
}

#[track_caller]
fn assert_same(got: &Lists, want: &[Vec<(u32, f64)>], what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, want) in want.iter().enumerate() {
        let (got, want) = (bits(got.row(i).iter()), bits(want.iter().copied()));
        assert_eq!(got, want, "{what}: row {i}");
    }
}

#[track_caller]
fn check_self(cols: usize, rows: &Rows, k: usize, min_score: Option<f64>) -> Lists {
    let opt = TopK { k, min_score };
    let lists = sparse(&csr(cols, rows), &opt).unwrap();
    lists.check(rows.len()).unwrap();
    assert_same(&lists, &brute(rows, rows, &opt), &format!("{opt:?}"));
    lists
}

/// Rows whose columns follow Zipf's law, with weights like those of TF-IDF and near duplicates.
fn zipf(rng: &mut fastrand::Rng, rows: usize, cols: usize, terms: usize) -> Rows {
    let column = |rng: &mut fastrand::Rng| {
        let x = (cols as f64).powf(rng.f64());
        (x as usize - 1).min(cols - 1) as u32
    };
    let mut all: Rows = Vec::new();
    for _ in 0..rows {
        let mut columns: Vec<u32> = match rng.usize(0..4) {
            0 if !all.is_empty() => all[rng.usize(0..all.len())].iter().map(|e| e.0).collect(),
            _ => Vec::new(),
        };
        if !columns.is_empty() {
            columns.remove(rng.usize(0..columns.len()));
        }
        let wanted = 1 + rng.usize(0..terms);
        while columns.len() < wanted {
            columns.push(column(rng));
        }
        columns.sort_unstable();
        columns.dedup();
        let weight = |c: u32| 1.0 + (f64::from(c) + 1.0).ln();
        all.push(columns.iter().map(|&c| (c, weight(c))).collect());
    }
    all
}

#[test]
fn equals_brute_force_on_zipf_rows_for_every_k_and_floor() {
    let mut rng = fastrand::Rng::with_seed(1);
    let rows = zipf(&mut rng, 700, 300, 12);
    for k in [1, 2, 50, 701, MAX_K] {
        for floor in [
            None,
            Some(0.0),
            Some(0.1),
            Some(0.3),
            Some(0.6),
            Some(0.95),
            Some(1.0),
        ] {
            check_self(300, &rows, k, floor);
        }
    }
}

#[test]
fn equals_brute_force_when_searches_sweep_over_several_tiles() {
    let mut rng = fastrand::Rng::with_seed(2);
    let gallery = zipf(&mut rng, 20_000, 2_000, 10);
    let queries: Rows = gallery.iter().step_by(200).cloned().collect();
    let (x, y) = (csr(2_000, &queries), csr(2_000, &gallery));
    for (k, min_score) in [
        (1, None),
        (50, None),
        (50, Some(0.3)),
        (7, Some(0.6)),
        (1024, None),
    ] {
        let opt = TopK { k, min_score };
        let lists = sparse_against(&x, &y, &opt).unwrap();
        assert_same(
            &lists,
            &brute(&queries, &gallery, &opt),
            &format!("{opt:?}"),
        );
    }
    let own = sparse(
        &y,
        &TopK {
            k: 5,
            min_score: None,
        },
    )
    .unwrap();
    let against = sparse_against(
        &y,
        &y,
        &TopK {
            k: 5,
            min_score: None,
        },
    )
    .unwrap();
    assert_eq!(own, against);
}

#[test]
fn equals_brute_force_on_rows_of_many_frequent_terms() {
    let mut rng = fastrand::Rng::with_seed(3);
    let rows: Rows = (0..300)
        .map(|_| {
            (0..90)
                .map(|c| (c, rng.f64()))
                .filter(|e| e.1 < 0.5)
                .collect()
        })
        .collect();
    for floor in [None, Some(0.3), Some(0.75), Some(0.9)] {
        check_self(90, &rows, 20, floor);
    }
}

#[test]
fn negative_values_give_negative_scores_and_cancel() {
    let mut rng = fastrand::Rng::with_seed(4);
    let mut rows = zipf(&mut rng, 400, 60, 8);
    for entry in rows.iter_mut().flatten() {
        entry.1 *= f64::from(rng.i32(-2..=2)) * 0.5;
    }
    for k in [1, 10, 500] {
        for floor in [
            None,
            Some(-1.0),
            Some(-0.4),
            Some(0.0),
            Some(0.2),
            Some(0.7),
        ] {
            check_self(60, &rows, k, floor);
        }
    }
    // Orthogonal by cancelling: they share columns, so they are listed with a score of 0.
    let rows = vec![
        vec![(0, 1.0), (1, 1.0)],
        vec![(0, 1.0), (1, -1.0)],
        vec![(2, 1.0)],
    ];
    let lists = check_self(3, &rows, 3, None);
    assert_eq!(
        bits(lists.row(0).iter()),
        bits([(0, 1.0), (1, 0.0)].into_iter())
    );
    assert_eq!(bits(lists.row(2).iter()), bits([(2, 1.0)].into_iter()));
}

/// Products so small that `f32` rounds them to -0.0 are shared columns all the same, and count once.
#[test]
fn products_that_vanish_in_f32_are_shared_columns() {
    for others in [0, 800] {
        let tiny = |sign: f64| vec![(0, sign * 1e-30), (1, 1e-30), (2, sign * 1e-30)];
        let mut rows = vec![tiny(1.0), tiny(-1.0), tiny(1.0), tiny(-1.0)];
        for i in 0..others {
            rows.push(vec![(10 + i / 2, 1.0)]);
        }
        for (i, row) in rows.iter_mut().enumerate().take(4) {
            row.push((3 + i as u32, 1.0));
        }
        for k in [2, 4, 50] {
            let lists = check_self(900, &rows, k, None);
            assert_eq!(lists.row(1).len(), k.min(4));
        }
    }
}

#[test]
fn negative_values_over_several_tiles() {
    let mut rng = fastrand::Rng::with_seed(5);
    let mut gallery = zipf(&mut rng, 18_000, 500, 8);
    for entry in gallery.iter_mut().flatten() {
        entry.1 *= if rng.f64() < 0.3 { -1.0 } else { 1.0 };
    }
    let queries: Rows = gallery.iter().step_by(300).cloned().collect();
    let (x, y) = (csr(500, &queries), csr(500, &gallery));
    for (k, min_score) in [(3, None), (50, None), (50, Some(-0.1)), (50, Some(0.4))] {
        let opt = TopK { k, min_score };
        let lists = sparse_against(&x, &y, &opt).unwrap();
        assert_same(
            &lists,
            &brute(&queries, &gallery, &opt),
            &format!("{opt:?}"),
        );
    }
}

#[test]
fn identical_rows_score_one_and_come_in_order() {
    let mut rng = fastrand::Rng::with_seed(6);
    let mut rows = zipf(&mut rng, 200, 100, 8);
    let twin = vec![(3, 0.1), (40, 0.7), (77, 1.3)];
    for i in 0..60 {
        rows.insert(i * 4, twin.clone());
    }
    for k in [1, 50, 60, 61] {
        let lists = check_self(100, &rows, k, None);
        let last = lists.row(59 * 4);
        assert_eq!(
            &last.rows[..k.min(60)],
            &(0..60).map(|i| i * 4).collect::<Vec<_>>()[..k.min(60)]
        );
        assert!(last.scores[..k.min(60)].iter().all(|&s| s == 1.0));
    }
    let all = vec![twin; 2000];
    let lists = sparse(
        &csr(100, &all),
        &TopK {
            k: 50,
            min_score: Some(1.0),
        },
    )
    .unwrap();
    for list in lists.iter() {
        assert_eq!(list.rows, (0..50).collect::<Vec<u32>>());
        assert!(list.scores.iter().all(|&s| s == 1.0));
    }
}

#[test]
fn parallel_rows_of_other_lengths_are_not_merged() {
    // All point the same way; rounding leaves some scores a digit below 1.
    let rows: Rows = (1..300)
        .map(|i| {
            let scale = f64::from(i) * 0.1;
            vec![(0, 0.3 * scale), (1, 0.7 * scale), (2, 1.1 * scale)]
        })
        .collect();
    for k in [1, 50, 400] {
        check_self(3, &rows, k, None);
        check_self(3, &rows, k, Some(1.0));
    }
}

#[test]
fn zero_rows_have_no_neighbours_and_are_nobodys() {
    let rows = vec![
        vec![],
        vec![(0, 1.0), (2, 0.0)],
        vec![(2, 0.0), (3, -0.0)],
        vec![(2, 2.0), (3, 1.0)],
        vec![],
    ];
    for floor in [None, Some(-1.0), Some(0.0)] {
        let lists = check_self(4, &rows, 5, floor);
        assert_eq!(
            lists.iter().map(|l| l.len()).collect::<Vec<_>>(),
            [0, 1, 0, 1, 0]
        );
    }
}

#[test]
fn single_terms_and_one_column_shared_by_all() {
    let mut rng = fastrand::Rng::with_seed(7);
    let single: Rows = (0..500)
        .map(|_| vec![(rng.u32(0..9), 0.5 + rng.f64())])
        .collect();
    let shared: Rows = (0..500)
        .map(|_| vec![(0, 0.2), (1 + rng.u32(0..50), 1.0)])
        .collect();
    for floor in [None, Some(0.05), Some(0.3), Some(1.0)] {
        check_self(9, &single, 50, floor);
        check_self(60, &shared, 50, floor);
        check_self(60, &shared, 600, floor);
    }
}

#[test]
fn a_score_equal_to_the_floor_is_kept() {
    let mut rng = fastrand::Rng::with_seed(8);
    let rows = zipf(&mut rng, 300, 80, 9);
    let all = brute(
        &rows,
        &rows,
        &TopK {
            k: 300,
            min_score: None,
        },
    );
    let scores: Vec<f64> = all.iter().flatten().map(|n| n.1).collect();
    for _ in 0..40 {
        let score = scores[rng.usize(0..scores.len())];
        for floor in [score, score.next_up().min(1.0), score.next_down()] {
            check_self(80, &rows, 300, Some(floor));
            check_self(80, &rows, 5, Some(floor));
        }
    }
    // 3-4-5: the score is exactly 0.6.
    let rows = vec![vec![(0, 1.0)], vec![(0, 3.0), (1, 4.0)]];
    assert_eq!(check_self(2, &rows, 2, Some(0.6)).pairs(), 4);
    assert_eq!(check_self(2, &rows, 2, Some(0.6f64.next_up())).pairs(), 2);
}

/// Pairs whose whole score lies in frequent terms, just at and around the floor, among rows that
/// make those terms frequent: what leaving terms out could lose first.
#[test]
fn rows_just_at_the_floor_survive_leaving_terms_out() {
    for floor in [0.3f64, 0.5, 0.8] {
        let mut rng = fastrand::Rng::with_seed(9);
        let heavy = floor.sqrt();
        let light = (1.0 - floor).sqrt();
        let mut rows: Rows = Vec::new();
        for i in 0..600u32 {
            // Score of two such rows: the square of the heavy part, which is the floor, but for
            // a few units in the last place of f32 or of f64.
            let nudge = match rng.u32(0..3) {
                0 => 0.0,
                1 => f64::from(rng.i32(-40..=40)) * f64::EPSILON,
                _ => f64::from(rng.i32(-40..=40)) * f64::from(f32::EPSILON),
            };
            let parts = 1 + rng.usize(0..4);
            let each = (heavy + nudge) / (parts as f64).sqrt();
            let mut row: Vec<(u32, f64)> = (0..parts as u32).map(|c| (c, each)).collect();
            row.push((10 + i, light));
            rows.push(row);
        }
        for k in [3, 50, 600] {
            check_self(700, &rows, k, Some(floor));
            check_self(700, &rows, k, None);
        }
    }
}

#[test]
fn near_ties_are_ranked_by_their_f64_scores() {
    // The scores of row 0 with the others differ in the last digits of f64 only: f32 sees none.
    let mut rows: Rows = vec![vec![(0, 1.0), (1, 1.0)]];
    for i in 0..400 {
        let x = 0.5 + f64::from((i * 7919) % 401) * 4.0 * f64::EPSILON;
        rows.push(vec![(0, x), (1, 0.25), (2, 1.0)]);
    }
    for k in [1, 10, 50, 399] {
        let lists = check_self(3, &rows, k, None);
        check_self(3, &rows, k, Some(0.2));
        assert!(k < 10 || lists.row(0).scores[1] > lists.row(0).scores[9]);
    }
}

#[test]
fn huge_and_tiny_values_neither_overflow_nor_vanish() {
    let base = [(0, 3.0), (1, 4.0), (2, 12.0)];
    let scaled = |s: f64| base.iter().map(|&(c, v)| (c, v * s)).collect::<Vec<_>>();
    let power = |e: i32| 2f64.powi(e / 2) * 2f64.powi(e - e / 2);
    let rows: Rows = [-1060, -600, -300, 0, 300, 600, 1019]
        .iter()
        .map(|&e| scaled(power(e)))
        .chain([
            vec![(0, 5e-324)],
            vec![(0, power(1023))],
            vec![(0, f64::MAX), (5, f64::MAX)],
        ])
        .collect();
    let lists = sparse(
        &csr(6, &rows),
        &TopK {
            k: 20,
            min_score: None,
        },
    )
    .unwrap();
    lists.check(rows.len()).unwrap();
    for i in 0..7 {
        assert_eq!(&lists.row(i).scores[..7], [1.0; 7], "row {i}");
        assert_eq!(&lists.row(i).rows[..7], [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(&lists.row(i).scores[7..9], [3.0 / 13.0; 2]);
    }
    assert_eq!(lists.row(7).scores[..2], [1.0, 1.0]);
    approx::assert_relative_eq!(lists.row(9).scores[1], 0.5f64.sqrt(), max_relative = 1e-15);
}

#[test]
fn queries_find_their_neighbours_in_the_gallery() {
    let mut rng = fastrand::Rng::with_seed(10);
    let gallery = zipf(&mut rng, 500, 150, 10);
    let mut queries = zipf(&mut rng, 90, 200, 10);
    queries.push(vec![]);
    queries.push(vec![(190, 1.0), (199, 2.0)]);
    queries.push(gallery[499].clone());
    queries.push(gallery[499].clone());
    for (k, min_score) in [(1, None), (20, None), (600, Some(0.2)), (20, Some(0.5))] {
        let opt = TopK { k, min_score };
        let lists = sparse_against(&csr(200, &queries), &csr(200, &gallery), &opt).unwrap();
        lists.check(gallery.len()).unwrap();
        assert_same(
            &lists,
            &brute(&queries, &gallery, &opt),
            &format!("{opt:?}"),
        );
    }
}

#[test]
fn the_answer_does_not_depend_on_the_number_of_threads() {
    let mut rng = fastrand::Rng::with_seed(11);
    let rows = zipf(&mut rng, 3_000, 400, 10);
    let x = csr(400, &rows);
    for min_score in [None, Some(0.4)] {
        let opt = TopK { k: 20, min_score };
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| sparse(&x, &opt).unwrap())
        };
        let one = run(1);
        assert_eq!(one, run(2));
        assert_eq!(one, run(3));
    }
}

#[test]
fn columns_may_be_far_apart() {
    let mut rng = fastrand::Rng::with_seed(12);
    let mut rows = zipf(&mut rng, 200, 100, 8);
    for entry in rows.iter_mut().flatten() {
        entry.0 *= 2_600_000;
    }
    check_self(1 << 28, &rows, 10, None);
    let opt = TopK {
        k: 10,
        min_score: None,
    };
    let (left, right) = rows.split_at(50);
    let (left, right) = (left.to_vec(), right.to_vec());
    let lists = sparse_against(&csr(1 << 28, &left), &csr(1 << 28, &right), &opt).unwrap();
    assert_same(&lists, &brute(&left, &right, &opt), "far columns");
}

#[test]
fn none_and_one_row() {
    let opt = TopK {
        k: 50,
        min_score: None,
    };
    assert!(sparse(&csr(5, &vec![]), &opt).unwrap().is_empty());
    assert!(sparse(&csr(0, &vec![]), &opt).unwrap().is_empty());
    let one = vec![vec![(2, 0.3)]];
    assert_eq!(check_self(5, &one, 50, Some(0.5)).row(0).rows, [0]);
    let empty = csr(5, &vec![]);
    assert_eq!(
        sparse_against(&csr(5, &one), &empty, &opt).unwrap(),
        Lists::from_rows([vec![]])
    );
    assert!(
        sparse_against(&empty, &csr(5, &one), &opt)
            .unwrap()
            .is_empty()
    );
}

#[test]
fn bad_input_is_an_error_that_names_the_place() {
    let good = csr(3, &vec![vec![(0, 1.0)], vec![(1, 1.0)]]);
    let opt = |k, min_score| TopK { k, min_score };
    for k in [0, MAX_K + 1] {
        let error = sparse(&good, &opt(k, None)).unwrap_err();
        assert!(error.mending().is_some(), "{error}");
    }
    let error = sparse(&good, &opt(5, Some(f64::NAN))).unwrap_err();
    assert_eq!(error.kind(), Kind::Input);
    assert_eq!(
        sparse(&good, &opt(5, Some(f64::INFINITY))).unwrap().pairs(),
        0
    );
    assert_eq!(
        sparse(&good, &opt(5, Some(f64::NEG_INFINITY)))
            .unwrap()
            .pairs(),
        2
    );
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let bad = csr(3, &vec![vec![(0, 1.0)], vec![(1, 1.0), (2, bad)]]);
        for error in [
            sparse(&bad, &opt(5, None)).unwrap_err(),
            sparse_against(&bad, &good, &opt(5, None)).unwrap_err(),
            sparse_against(&good, &bad, &opt(5, None)).unwrap_err(),
        ] {
            assert_eq!(error.kind(), Kind::Input);
            assert!(error.to_string().starts_with("row 2: "), "{error}");
        }
    }
    let wide = csr(4, &vec![vec![(3, 1.0)]]);
    let error = sparse_against(&good, &wide, &opt(5, None)).unwrap_err();
    assert_eq!(error.kind(), Kind::Shape);
    assert!(error.to_string().contains("([2, 3] and [1, 4])"), "{error}");
}
