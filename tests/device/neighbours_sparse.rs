//! The cards' sparse search against a brute force over all pairs that shares no code with it: the same
//! rows in the same order, with the same bits of every score.

use doppel::device::{Device, NaiveDevice, SparseRows, SparseSearch, Stream};
use doppel::error::Kind;
use doppel::limits::MAX_CARD_K;
use doppel::search::{TopK, sparse_cut_on, sparse_on};
use doppel::tensor::Csr;

use crate::harness::{cards, light, thin};
use crate::neighbours::same;

pub type Rows = Vec<Vec<(u32, f64)>>;

pub fn csr(cols: usize, rows: &Rows) -> Csr {
    let mut starts = vec![0];
    for row in rows {
        starts.push(starts[starts.len() - 1] + row.len());
    }
    let (columns, values) = rows.iter().flatten().copied().unzip();
    Csr::new(cols, starts, columns, values).unwrap()
}

/// The cosine as it is documented, or `None` without a common non-zero column.
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

fn brute(q: &Rows, g: &Rows, k: usize, least: Option<f64>) -> Vec<Vec<(u32, f64)>> {
    let list = |a: &Vec<(u32, f64)>| {
        let mut all: Vec<(u32, f64)> = (0..g.len())
            .filter_map(|j| Some((j as u32, cosine(a, &g[j])?)))
            .filter(|n| least.is_none_or(|s| n.1 >= s))
            .collect();
        all.sort_by(|a, b| b.1.partial_cmp(&a.1).unwrap().then(a.0.cmp(&b.0)));
        all.truncate(k);
        all
    };
    q.iter().map(list).collect()
}

/// Rows whose columns follow Zipf's law: the first columns are in many rows.
pub fn zipf(rows: usize, cols: usize, terms: usize, seed: u64) -> Rows {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut row = || {
        let mut columns: Vec<u32> = (0..random.usize(1..=terms))
            .map(|_| ((cols as f64).powf(random.f64()) as usize - 1).min(cols - 1) as u32)
            .collect();
        columns.sort_unstable();
        columns.dedup();
        let weight = |c: u32| 1.0 + (f64::from(c) + 1.0).ln();
        columns.iter().map(|&c| (c, weight(c))).collect()
    };
    (0..rows).map(|_| row()).collect()
}

fn check(cols: usize, q: &Rows, g: Option<&Rows>, k: usize, least: Option<f64>, what: &str) {
    let others = g.unwrap_or(q);
    if light() && q.len() * others.len() > 2_000 {
        return;
    }
    let want = brute(q, others, k, least);
    let (left, right) = (csr(cols, q), g.map(|g| csr(cols, g)));
    let opt = TopK {
        k,
        min_score: least,
    };
    for card in cards() {
        for cut in thin(vec![Some([17, 256]), None]) {
            let lists = sparse_cut_on(&*card, &left, right.as_ref(), &opt, cut).unwrap();
            let what = format!("{what}, k {k} on {}, {cut:?}", card.info().name);
            same(&lists, &want, &what);
            lists.check(others.len()).unwrap();
        }
    }
}

#[test]
fn a_case_worked_by_hand() {
    let rows = vec![
        vec![(0, 3.0), (2, 4.0)],
        vec![(2, 2.0)],
        vec![],
        vec![(1, 9.0)],
    ];
    for card in cards() {
        let x = csr(3, &rows);
        let opt = TopK {
            k: 4,
            min_score: None,
        };
        let lists = sparse_on(&*card, &x, None, &opt).unwrap();
        assert_eq!(lists.row(0).rows, [0, 1]);
        assert_eq!(lists.row(0).scores, [1.0, 0.8]);
        assert_eq!(lists.row(1).rows, [1, 0]);
        assert!(lists.row(2).is_empty());
        assert_eq!(lists.row(3).rows, [3]);
    }
}

#[test]
fn odd_counts_of_rows_and_neighbours() {
    for (rows, cols, terms) in [(1, 1, 1), (2, 3, 2), (45, 30, 6), (130, 60, 9)] {
        let x = zipf(rows, cols, terms, rows as u64);
        for k in [1, 7, MAX_CARD_K] {
            check(cols, &x, None, k, None, &format!("{rows} rows"));
        }
    }
}

#[test]
fn several_chunks_of_a_gallery() {
    let (queries, gallery) = (zipf(20, 80, 9, 1), zipf(600, 80, 9, 2));
    for k in [5, 400] {
        check(
            80,
            &queries,
            Some(&gallery),
            k,
            None,
            "queries and a gallery",
        );
    }
    // Few columns: long lists, and more ties than a buffer holds at a time.
    let (queries, gallery) = (zipf(4, 5, 4, 3), zipf(2600, 5, 4, 4));
    check(5, &queries, Some(&gallery), 30, None, "frequent terms");
    let one: Rows = (0..2500).map(|i| vec![(0, 1.0 + f64::from(i))]).collect();
    check(1, &vec![vec![(0, 1.0)]], Some(&one), 900, None, "one term");
}

#[test]
fn a_query_of_more_terms_than_a_block_has_threads() {
    let long: Vec<(u32, f64)> = (0..700)
        .map(|c| (c, 1.0 + f64::from(c % 7) / 3.0))
        .collect();
    let mut rows = zipf(40, 700, 12, 5);
    rows[7] = long;
    check(700, &rows, None, 20, None, "a row of 700 terms");
}

#[test]
fn sums_are_made_in_the_order_of_columns() {
    // Products of such different sizes that another order of additions gives other digits. Rows hold
    // some of the columns, so that one row stands in other places of the columns' lists.
    let mut random = fastrand::Rng::with_seed(6);
    let mut row = || -> Vec<(u32, f64)> {
        let some: Vec<u32> = (0..40).filter(|_| random.f64() < 0.7).collect();
        let mut value = || (random.f64() - 0.4) * 10f64.powi(random.i32(-6..6));
        some.into_iter().map(|c| (c, value())).collect()
    };
    let rows: Rows = (0..50).map(|_| row()).collect();
    check(40, &rows, None, 50, None, "values of any sign and size");
}

#[test]
fn cancelled_scores_and_pairs_without_a_common_column() {
    let rows = vec![
        vec![(0, 1.0), (1, 1.0)],
        vec![(0, 1.0), (1, -1.0)],
        vec![(2, 1.0)],
        vec![(0, -1.0)],
        vec![(1, 0.0), (3, 2.0)],
        vec![(1, -3.0), (2, -1e-300)],
    ];
    check(
        4,
        &rows,
        None,
        6,
        None,
        "a score of 0 is one, no column is none",
    );
    check(4, &rows, None, 6, Some(0.0), "from 0 on");
}

#[test]
fn equal_rows_and_rows_of_zeros() {
    let mut x = zipf(90, 20, 5, 8);
    let row = x[3].clone();
    for i in (4..90).step_by(3) {
        x[i] = row.clone();
    }
    for i in (0..90).step_by(10) {
        x[i] = Vec::new();
    }
    x[11] = vec![(2, 0.0)];
    for k in [1, 9, 40] {
        check(20, &x, None, k, None, "equal rows and zeros");
    }
    check(20, &vec![Vec::new(); 5], None, 3, None, "zeros alone");
    check(20, &Vec::new(), None, 3, None, "no rows");
    check(20, &x, Some(&Vec::new()), 3, None, "no gallery");
    // No column of the query is in the gallery.
    check(
        9,
        &vec![vec![(8, 1.0)]],
        Some(&vec![vec![(1, 1.0)]]),
        3,
        None,
        "strangers",
    );
}

#[test]
fn scores_below_the_least_are_left_out() {
    let x = zipf(100, 40, 6, 9);
    for least in [0.25, 0.0, -1.0, 0.9, 1.0, 1.5, f64::INFINITY] {
        check(40, &x, None, 15, Some(least), &format!("at least {least}"));
    }
}

#[test]
fn lengths_do_not_matter() {
    let mut x = zipf(60, 30, 6, 10);
    for (i, row) in x.iter_mut().enumerate() {
        let by = 2f64.powi((i as i32 * 37) % 300 - 150);
        row.iter_mut().for_each(|e| e.1 *= by);
    }
    check(30, &x, None, 10, None, "lengths from 2^-150 to 2^150");
}

#[test]
fn what_cannot_be_searched_is_an_error_that_names_it() {
    let x = csr(3, &vec![vec![(0, 1.0)], vec![(1, 1.0)]]);
    for card in cards() {
        let fails = |x: &Csr, g: Option<&Csr>, k, min_score| {
            sparse_on(&*card, x, g, &TopK { k, min_score }).unwrap_err()
        };
        assert_eq!(fails(&x, None, 0, None).kind(), Kind::Input);
        assert_eq!(fails(&x, None, 1, Some(f64::NAN)).kind(), Kind::Input);
        assert_eq!(fails(&x, None, MAX_CARD_K + 1, None).kind(), Kind::Limit);
        let other = csr(4, &vec![vec![(0, 1.0)]]);
        assert_eq!(fails(&x, Some(&other), 1, None).kind(), Kind::Shape);
        let bad = csr(3, &vec![vec![(0, 1.0)], vec![(1, f64::NAN)]]);
        let line = fails(&bad, None, 1, None).to_string();
        assert!(line.contains("row 2"), "{line}");
    }
}

#[test]
fn rows_whose_parts_do_not_go_together_are_refused() {
    let sound = SparseRows {
        starts: vec![0, 1, 2],
        terms: vec![0, 1],
        values: vec![1.0, 2.0],
        norms: vec![1.0, 4.0],
    };
    let broken = [
        |x: &mut SparseRows| x.starts[1] = 3,
        |x: &mut SparseRows| x.starts[2] = 1,
        |x: &mut SparseRows| x.terms[1] = 2,
        |x: &mut SparseRows| x.norms.truncate(1),
        |x: &mut SparseRows| x.values.truncate(1),
    ];
    let search = |device: &dyn Device, queries: &SparseRows| {
        let search = SparseSearch {
            queries,
            gallery: None,
            terms: 2,
            k: 2,
            min_score: None,
            cut: None,
        };
        device.topk_sparse(&search, Stream::DEFAULT)
    };
    let naive = search(&NaiveDevice::default(), &sound);
    assert_eq!(naive.unwrap_err().kind(), Kind::Unsupported);
    for card in cards() {
        assert_eq!(search(&*card, &sound).unwrap().row(1).rows, [1]);
        for breaks in broken {
            let mut x = sound.clone();
            breaks(&mut x);
            assert_eq!(search(&*card, &x).unwrap_err().kind(), Kind::Internal);
        }
    }
}
