//! ops: topk_dense
//!
//! Every case is compared with a brute force over all pairs that shares no code with the library:
//! same rows, same order, same bits of every score.

use doppel::device::cpu::{Kernel, dot, pack};
use doppel::error::Kind;
use doppel::lists::Lists;
use doppel::search::{TopK, Tuning, cosine, dense, dense_against, dense_tuned};
use doppel::tensor::Matrix;
use fastrand::Rng;

/// The documented dot product: 32 lanes, folded in halves.
fn book_dot(a: &[f32], b: &[f32]) -> f64 {
    let mut sums = vec![0f64; 32];
    for (t, (x, y)) in a.iter().zip(b).enumerate() {
        sums[t % 32] += f64::from(*x) * f64::from(*y);
    }
    while sums.len() > 1 {
        let half = sums.len() / 2;
        sums = (0..half).map(|l| sums[l] + sums[l + half]).collect();
    }
    sums[0]
}

fn brute(queries: &Matrix, gallery: &Matrix, opt: &TopK) -> Vec<Vec<(u32, f64)>> {
    let norms = |m: &Matrix| -> Vec<f64> {
        (0..m.rows())
            .map(|i| book_dot(m.row(i), m.row(i)))
            .collect()
    };
    let (qq, gg) = (norms(queries), norms(gallery));
    let row = |i: usize| {
        let mut all = Vec::new();
        for (j, g) in gg.iter().enumerate() {
            if qq[i] == 0.0 || *g == 0.0 {
                continue;
            }
            let ratio = book_dot(queries.row(i), gallery.row(j)) / (qq[i] * g).sqrt();
            let score = ratio.clamp(-1.0, 1.0);
            if opt.min_score.is_none_or(|least| score >= least) {
                all.push((j as u32, score));
            }
        }
        all.sort_by(|a, b| b.1.partial_cmp(&a.1).unwrap().then(a.0.cmp(&b.0)));
        all.truncate(opt.k);
        all
    };
    (0..queries.rows()).map(row).collect()
}

fn same(lists: &Lists, want: &[Vec<(u32, f64)>], what: &str) {
    assert_eq!(lists.len(), want.len(), "{what}");
    for (i, want) in want.iter().enumerate() {
        let got: Vec<(u32, u64)> = lists.row(i).iter().map(|(r, s)| (r, s.to_bits())).collect();
        let want: Vec<(u32, u64)> = want.iter().map(|(r, s)| (*r, s.to_bits())).collect();
        assert_eq!(got, want, "{what}: row {i}");
    }
}

fn top(k: usize) -> TopK {
    TopK { k, min_score: None }
}

/// The search, in every kernel, against the brute force.
fn check(x: &Matrix, gallery: Option<&Matrix>, opt: &TopK, what: &str) {
    let want = brute(x, gallery.unwrap_or(x), opt);
    for kernel in Kernel::available() {
        for block in [None, Some(48)] {
            let tuning = Tuning {
                kernel,
                block,
                ..Tuning::default()
            };
            let lists = dense_tuned(x, gallery, opt, &tuning).unwrap();
            let (n, d, k) = (x.rows(), x.dims(), opt.k);
            same(
                &lists,
                &want,
                &format!("{what}, {n} x {d}, k {k}, {kernel:?} {block:?}"),
            );
            lists.check(gallery.unwrap_or(x).rows()).unwrap();
        }
    }
}

fn normal(rng: &mut Rng) -> f32 {
    // Twelve uniforms: near enough to a Gaussian, and tails are bounded.
    (0..12).map(|_| rng.f32()).sum::<f32>() - 6.0
}

fn gauss(rng: &mut Rng, rows: usize, dims: usize) -> Matrix {
    let data = (0..rows * dims).map(|_| normal(rng)).collect();
    Matrix::new(rows, dims, data).unwrap()
}

fn from_rows(rows: Vec<Vec<f32>>) -> Matrix {
    let dims = rows.first().map_or(0, Vec::len);
    Matrix::new(rows.len(), dims, rows.concat()).unwrap()
}

#[test]
fn a_case_worked_by_hand() {
    let x = from_rows(vec![
        vec![3.0, 4.0],
        vec![4.0, 3.0],
        vec![-3.0, -4.0],
        vec![0.0, 7.0],
    ]);
    let lists = dense(&x, &top(3)).unwrap();
    assert_eq!(lists.row(0).rows, [0, 1, 3]);
    assert_eq!(lists.row(0).scores, [1.0, 0.96, 0.8]);
    assert_eq!(lists.row(2).rows, [2, 3, 1]);
    assert_eq!(lists.row(2).scores, [1.0, -0.8, -0.96]);
    assert_eq!(cosine(x.row(0), x.row(1)), Some(0.96));
    assert_eq!(cosine(x.row(0), &[0.0, 0.0]), None);
    assert_eq!(cosine(x.row(0), &[f32::NAN, 0.0]), None);
}

#[test]
fn rows_of_every_count() {
    let mut rng = Rng::with_seed(1);
    for n in [0, 1, 2, 3, 31, 32, 33, 47, 48, 49, 63, 64, 65, 127, 500] {
        let x = gauss(&mut rng, n, 24);
        for k in [1, 2, 50] {
            check(&x, None, &top(k), "gauss");
        }
    }
    check(&gauss(&mut rng, 1100, 20), None, &top(10), "gauss");
}

#[test]
fn dimensions_of_every_count() {
    let mut rng = Rng::with_seed(2);
    for d in [1, 2, 3, 15, 16, 17, 31, 64, 100, 512, 1537] {
        let n = if d > 500 { 150 } else { 260 };
        check(&gauss(&mut rng, n, d), None, &top(7), "gauss");
    }
    // Without dimensions every row is a row of zeros.
    check(&Matrix::zeros(5, 0), None, &top(3), "no dimensions");
}

#[test]
fn few_and_many_neighbours() {
    let mut rng = Rng::with_seed(3);
    let x = gauss(&mut rng, 300, 16);
    for k in [1, 2, 50, 299, 300, 301, 1024] {
        check(&x, None, &top(k), "gauss");
    }
    check(&gauss(&mut rng, 2300, 8), None, &top(1024), "gauss");
}

#[test]
fn scores_agree_with_a_plain_sum() {
    let x = gauss(&mut Rng::with_seed(4), 200, 300);
    let lists = dense(&x, &top(20)).unwrap();
    for (i, list) in lists.iter().enumerate() {
        for (j, score) in list.iter() {
            let sum = |a: &[f32], b: &[f32]| -> f64 {
                a.iter()
                    .zip(b)
                    .map(|(x, y)| f64::from(*x) * f64::from(*y))
                    .sum()
            };
            let (a, b) = (x.row(i), x.row(j as usize));
            let plain = sum(a, b) / (sum(a, a).sqrt() * sum(b, b).sqrt());
            assert!((score - plain).abs() < 1e-13, "{score} {plain}");
        }
        assert_eq!((list.rows[0], list.scores[0]), (i as u32, 1.0));
    }
}

/// Groups of near duplicates, some of them exact.
fn groups(rng: &mut Rng, rows: usize, dims: usize, noise: f32) -> Matrix {
    let mut all: Vec<Vec<f32>> = Vec::new();
    while all.len() < rows {
        let base: Vec<f32> = (0..dims).map(|_| normal(rng)).collect();
        for _ in 0..rng.usize(1..60) {
            let noise = if rng.f32() < 0.2 { 0.0 } else { noise };
            all.push(base.iter().map(|x| x + noise * normal(rng)).collect());
        }
    }
    all.truncate(rows);
    rng.shuffle(&mut all);
    from_rows(all)
}

#[test]
fn clusters_of_near_duplicates() {
    let mut rng = Rng::with_seed(5);
    for noise in [0.3, 1e-3, 1e-6, 0.0] {
        for k in [3, 50] {
            check(&groups(&mut rng, 700, 33, noise), None, &top(k), "groups");
        }
    }
}

/// Rows whose cosines with each other differ by about 1e-9, too little for the fast pass.
fn near_ties(rng: &mut Rng, rows: usize, dims: usize) -> Matrix {
    let base: Vec<f32> = (0..dims).map(|_| normal(rng)).collect();
    let mut steps: Vec<usize> = (0..rows).collect();
    rng.shuffle(&mut steps);
    let all = steps.iter().map(|&step| {
        let mut row = base.clone();
        row[0] = 0.1 + 1e-8 * step as f32;
        row
    });
    from_rows(all.collect())
}

#[test]
fn near_ties_are_told_apart() {
    let mut rng = Rng::with_seed(6);
    // (1, t) with t = 0.1, 0.1 + 1e-8, ...: consecutive cosines differ by 1e-9 and less.
    let x = near_ties(&mut rng, 600, 2);
    let scores: Vec<f64> = brute(&x, &x, &top(600))[0].iter().map(|p| p.1).collect();
    let gaps = scores
        .windows(2)
        .filter(|w| w[0] != w[1] && w[0] - w[1] < 1e-9)
        .count();
    assert!(gaps > 50, "the rows are not near ties: {gaps}");
    for dims in [2, 3, 40] {
        for k in [1, 5, 50] {
            check(&near_ties(&mut rng, 600, dims), None, &top(k), "near ties");
        }
    }
    // Near ties far from 1, for queries that are not among them.
    let gallery = near_ties(&mut rng, 900, 24);
    check(
        &gauss(&mut rng, 40, 24),
        Some(&gallery),
        &top(9),
        "near ties of others",
    );
}

#[test]
fn without_the_bound_near_ties_are_lost() {
    let mut rng = Rng::with_seed(7);
    let gallery = near_ties(&mut rng, 900, 24);
    let queries = gauss(&mut rng, 40, 24);
    let want = brute(&queries, &gallery, &top(9));
    for (bound, right) in [(0.0, false), (1.0, true)] {
        let tuning = Tuning {
            bound,
            ..Tuning::default()
        };
        let lists = dense_tuned(&queries, Some(&gallery), &top(9), &tuning).unwrap();
        let equal = (0..40).all(|i| lists.row(i).iter().eq(want[i].iter().copied()));
        assert_eq!(equal, right, "bound times {bound}");
    }
}

#[test]
fn sixty_identical_rows() {
    let mut rng = Rng::with_seed(8);
    let mut rows: Vec<Vec<f32>> = (0..340)
        .map(|_| (0..40).map(|_| normal(&mut rng)).collect())
        .collect();
    let one = rows[0].clone();
    for i in 0..60 {
        rows.insert(i * 6 + 3, one.clone());
    }
    let x = from_rows(rows);
    for k in [1, 50, 60, 61, 62] {
        check(&x, None, &top(k), "60 identical");
    }
    // The list is the lowest fifty of the equal rows, each exactly 1.
    let lists = dense(&x, &top(50)).unwrap();
    let last = lists.row(59 * 6 + 3);
    assert_eq!(last.scores, [1.0; 50]);
    assert_eq!(last.rows[..3], [0, 3, 9]);
}

#[test]
fn all_rows_identical() {
    let x = from_rows(vec![vec![0.3f32, -1.7, 2.2, 1e-3, 5.0]; 3000]);
    let lists = dense(&x, &top(50)).unwrap();
    let first: Vec<u32> = (0..50).collect();
    for list in lists.iter() {
        assert_eq!(list.rows, first);
        assert_eq!(list.scores, [1.0; 50]);
    }
}

#[test]
fn all_rows_parallel_but_not_identical() {
    // Nothing folds here, and no bound tells the rows apart: everything is settled exactly.
    let mut rng = Rng::with_seed(9);
    let base: Vec<f32> = (0..19).map(|_| normal(&mut rng)).collect();
    let rows = (0..3000).map(|i| base.iter().map(|x| x * (1.0 + i as f32 * 1e-3)).collect());
    let x = from_rows(rows.collect());
    let want = brute(&x, &x, &top(20));
    same(&dense(&x, &top(20)).unwrap(), &want, "parallel");
    let opt = TopK {
        k: 20,
        min_score: Some(1.0),
    };
    same(
        &dense(&x, &opt).unwrap(),
        &brute(&x, &x, &opt),
        "parallel, exactly 1",
    );
}

#[test]
fn one_hot_rows() {
    let mut rng = Rng::with_seed(10);
    let rows = (0..400).map(|_| {
        let mut row = vec![0f32; 37];
        row[rng.usize(0..37)] = if rng.bool() { 2.0 } else { -0.5 };
        row
    });
    let x = from_rows(rows.collect());
    for k in [1, 13, 400] {
        check(&x, None, &top(k), "one hot");
    }
}

#[test]
fn huge_tiny_subnormal_and_zero_rows() {
    let mut rng = Rng::with_seed(11);
    let mut x = gauss(&mut rng, 330, 45);
    for i in 0..330 {
        let scale = [1e30f32, 1e-30, 3e37, 1e-38, 1e-42, 1e-44, 1.0, 0.0][i % 8];
        x.row_mut(i).iter_mut().for_each(|v| *v *= scale);
    }
    x.row_mut(5)[3] = -f32::MAX;
    for k in [4, 50, 330] {
        check(&x, None, &top(k), "scales");
    }
    let lists = dense(&x, &top(330)).unwrap();
    assert!(lists.row(7).is_empty());
    assert!(lists.iter().all(|l| !l.rows.contains(&7)));
    check(&Matrix::zeros(70, 9), None, &top(4), "all zero");
    // The smallest subnormal is a direction like any other.
    let x = from_rows(vec![
        vec![1e-45, 0.0],
        vec![0.0, 1e-45],
        vec![f32::MAX, f32::MAX],
        vec![-0.0, 0.0],
    ]);
    check(&x, None, &top(4), "subnormal");
}

#[test]
fn equal_up_to_the_sign_of_zero() {
    let x = from_rows(vec![
        vec![0.0, 1.0, 2.0],
        vec![-0.0, 1.0, 2.0],
        vec![0.0, 1.0, 2.0],
    ]);
    let lists = dense(&x, &top(2)).unwrap();
    assert!(
        lists
            .iter()
            .all(|l| l.rows == [0, 1] && l.scores == [1.0, 1.0])
    );
}

#[test]
fn the_lowest_score_is_kept_and_what_is_below_is_not() {
    let mut rng = Rng::with_seed(12);
    let x = groups(&mut rng, 300, 30, 0.4);
    let all = brute(&x, &x, &top(300));
    for (i, place) in [(0, 3), (7, 20), (100, 299), (299, 0)] {
        let Some(&(_, score)) = all[i].get(place) else {
            panic!("no such neighbour")
        };
        for least in [score, score.next_up(), score.next_down()] {
            for k in [5, 50, 1024] {
                let opt = TopK {
                    k,
                    min_score: Some(least),
                };
                check(&x, None, &opt, "lowest score");
            }
        }
        let opt = TopK {
            k: 1024,
            min_score: Some(score),
        };
        assert_eq!(dense(&x, &opt).unwrap().row(i).scores.last(), Some(&score));
    }
    for least in [
        f64::NEG_INFINITY,
        -1.0,
        1.0,
        1.1,
        f64::INFINITY,
        1e300,
        -1e300,
    ] {
        check(
            &x,
            None,
            &TopK {
                k: 9,
                min_score: Some(least),
            },
            "lowest score",
        );
    }
}

#[test]
fn queries_against_a_gallery() {
    let mut rng = Rng::with_seed(13);
    for (n, m) in [
        (1, 500),
        (500, 1),
        (0, 10),
        (10, 0),
        (77, 400),
        (1000, 200),
        (49, 49),
    ] {
        let (queries, mut gallery) = (gauss(&mut rng, n, 21), gauss(&mut rng, m, 21));
        for i in (0..n.min(m)).step_by(3) {
            gallery.row_mut(i).copy_from_slice(queries.row(i / 2));
        }
        for k in [1, 8, 1024] {
            check(&queries, Some(&gallery), &top(k), "against");
        }
        let opt = TopK {
            k: 6,
            min_score: Some(0.25),
        };
        check(
            &queries,
            Some(&gallery),
            &opt,
            "against, with a lowest score",
        );
    }
    let x = groups(&mut rng, 250, 12, 1e-4);
    same(
        &dense_against(&x, &x, &top(11)).unwrap(),
        &brute(&x, &x, &top(11)),
        "against itself",
    );
}

#[test]
fn the_same_bytes_for_any_number_of_threads() {
    let mut rng = Rng::with_seed(14);
    let x = groups(&mut rng, 1500, 40, 1e-3);
    let (queries, gallery) = (gauss(&mut rng, 300, 40), gauss(&mut rng, 1300, 40));
    let want = brute(&x, &x, &top(25));
    let mut first: Option<(Lists, Lists)> = None;
    for threads in [1, 2, 3, 8] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        for _ in 0..3 {
            let both = pool.install(|| {
                let join = dense(&x, &top(25)).unwrap();
                (join, dense_against(&queries, &gallery, &top(25)).unwrap())
            });
            same(&both.0, &want, "threads");
            assert_eq!(
                first.get_or_insert(both.clone()),
                &both,
                "{threads} threads"
            );
        }
    }
}

#[test]
fn the_bound_holds_where_rounding_does_its_worst() {
    let mut rng = Rng::with_seed(15);
    let mut tightest = 0f64;
    for dims in [2usize, 7, 64, 512, 3000] {
        for round in 0..60 {
            // Every value of `a` loses nearly a half in the same direction, and `b` points there.
            let even = pack::SCALE / (dims as f64).sqrt();
            let mut v: Vec<f64> = (0..dims)
                .map(|_| (even * (0.5 + 0.4 * rng.f64())).floor() + 0.49)
                .collect();
            let rest: f64 = v[1..].iter().map(|x| x * x).sum();
            v[0] = (pack::SCALE * pack::SCALE - rest).sqrt();
            let mut a: Vec<f32> = v.iter().map(|&x| x as f32).collect();
            let mut b = vec![1f32; dims];
            match round % 4 {
                0 => {}
                1 => b = a.iter().map(|x| x + rng.f32()).collect(),
                2 => a.iter_mut().step_by(2).for_each(|x| *x = -*x),
                _ => (a, b) = ((0..dims).map(|_| normal(&mut rng)).collect(), a),
            }
            let packed = |row: &[f32]| {
                let mut q = vec![0i16; dims];
                let e = pack::quantise(row, dot::dot(Kernel::best(), row, row), &mut q);
                (q, e)
            };
            let ((qa, ea), (qb, eb)) = (packed(&a), packed(&b));
            let whole: i64 = qa
                .iter()
                .zip(&qb)
                .map(|(x, y)| i64::from(*x) * i64::from(*y))
                .sum();
            let fast = whole as f64 / (pack::SCALE * pack::SCALE);
            let exact = cosine(&a, &b).unwrap();
            let bound = pack::bound(ea, eb);
            assert!((fast - exact).abs() <= bound, "{fast} {exact} {bound}");
            assert!(whole.abs() < i64::from(i32::MAX));
            tightest = tightest.max((fast - exact).abs() / bound);
        }
    }
    // The bound is not merely large.
    assert!(tightest > 0.5, "{tightest}");
}

#[test]
fn what_cannot_be_searched_is_named() {
    let x = gauss(&mut Rng::with_seed(16), 9, 4);
    for (k, kind) in [
        (0, Kind::Input),
        (1025, Kind::Limit),
        (usize::MAX, Kind::Limit),
    ] {
        let error = dense(&x, &top(k)).unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().contains("1 to 1024"), "{error}");
    }
    let opt = TopK {
        k: 3,
        min_score: Some(f64::NAN),
    };
    assert_eq!(dense(&x, &opt).unwrap_err().kind(), Kind::Input);
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut y = x.clone();
        y.row_mut(8)[0] = bad;
        y.row_mut(6)[3] = bad;
        let error = dense(&y, &top(3)).unwrap_err();
        assert!(error.to_string().starts_with("row 7: "), "{error}");
        let error = dense_against(&y, &x, &top(3)).unwrap_err();
        assert!(error.to_string().contains("a query holds a NaN"), "{error}");
        let error = dense_against(&x, &y, &top(3)).unwrap_err();
        assert!(
            error.to_string().contains("a gallery row holds a NaN"),
            "{error}"
        );
    }
    for rows in [0, 3] {
        let error = dense_against(&x, &Matrix::zeros(rows, 5), &top(3)).unwrap_err();
        assert_eq!(error.kind(), Kind::Shape);
        assert!(
            error
                .to_string()
                .contains(&format!("([9, 4] and [{rows}, 5])")),
            "{error}"
        );
    }
}
