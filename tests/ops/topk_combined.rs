//! ops: topk_combined
//!
//! Checked against a brute force over all pairs that shares no code with the search: the same rows,
//! the same order and the same bits of every score.

use doppel::error::Kind;
use doppel::limits::MAX_K;
use doppel::lists::Lists;
use doppel::search::{Fuse, Space, TopK, combined, combined_against, sparse};
use doppel::tensor::{Csr, Matrix};

mod fused;

type Terms = Vec<(u32, f64)>;

/// A space as a test holds it: rows of numbers, or rows of terms.
#[derive(Clone)]
enum Made {
    Dense(usize, Vec<Vec<f32>>),
    Sparse(usize, Vec<Terms>),
}

enum Owned {
    Dense(Matrix),
    Sparse(Csr),
}

impl Owned {
    fn space(&self) -> Space<'_> {
        match self {
            Owned::Dense(x) => Space::Dense(x),
            Owned::Sparse(x) => Space::Sparse(x),
        }
    }
}

impl Made {
    fn own(&self) -> Owned {
        match self {
            Made::Dense(dims, rows) => {
                Owned::Dense(Matrix::new(rows.len(), *dims, rows.concat()).unwrap())
            }
            Made::Sparse(cols, rows) => {
                let mut indptr = vec![0];
                for row in rows {
                    indptr.push(indptr[indptr.len() - 1] + row.len());
                }
                let (indices, values) = rows.iter().flatten().copied().unzip();
                Owned::Sparse(Csr::new(*cols, indptr, indices, values).unwrap())
            }
        }
    }

    fn rows(&self) -> usize {
        match self {
            Made::Dense(_, rows) => rows.len(),
            Made::Sparse(_, rows) => rows.len(),
        }
    }

    fn is_zero(&self, i: usize) -> bool {
        match self {
            Made::Dense(_, rows) => rows[i].iter().all(|&x| x == 0.0),
            Made::Sparse(_, rows) => rows[i].iter().all(|e| e.1 == 0.0),
        }
    }

    fn dot(&self, i: usize, other: &Made, j: usize) -> f64 {
        match (self, other) {
            (Made::Dense(_, a), Made::Dense(_, b)) => lanes(&a[i], &b[j]),
            (Made::Sparse(_, a), Made::Sparse(_, b)) => a[i].iter().fold(0.0, |sum, x| {
                sum + b[j].iter().find(|y| y.0 == x.0).map_or(0.0, |y| x.1 * y.1)
            }),
            _ => unreachable!("spaces of one kind"),
        }
    }

    fn norms(&self) -> Vec<f64> {
        (0..self.rows()).map(|i| self.dot(i, self, i)).collect()
    }
}

/// The documented order of a dense dot product, written as naively as it reads.
fn lanes(a: &[f32], b: &[f32]) -> f64 {
    let lane = |l: usize| {
        let at = (l..a.len()).step_by(32);
        at.fold(0.0, |sum, t| sum + f64::from(a[t]) * f64::from(b[t]))
    };
    let mut sums: Vec<f64> = (0..32).map(lane).collect();
    while sums.len() > 1 {
        let half = sums.len() / 2;
        sums = (0..half).map(|l| sums[l] + sums[l + half]).collect();
    }
    sums[0]
}

fn brute(queries: &[Made], gallery: &[Made], weights: &[f64], opt: &TopK) -> Vec<Terms> {
    brute_by(queries, gallery, weights, None, opt)
}

/// The documented score of weighted cosines; the plain sum when `by` is none.
fn fuse(weighted: &[f64], weights: &[f64], by: Option<Fuse>) -> f64 {
    let mut sum = 0.0;
    match by {
        None => weighted.iter().for_each(|x| sum += x),
        Some(Fuse::Mean) => {
            let mut total = 0.0;
            for (x, w) in weighted.iter().zip(weights) {
                (sum, total) = (sum + x, total + w);
            }
            sum /= total;
        }
        Some(Fuse::Either) => {
            let mut rest = 1.0;
            for &x in weighted {
                rest *= if x > 0.0 { 1.0 - x } else { 1.0 };
            }
            sum = 1.0 - rest;
        }
        Some(Fuse::Power(p)) => {
            for &x in weighted.iter().filter(|&&x| x > 0.0) {
                sum += x.powf(p);
            }
            sum = sum / (1.0 + sum);
        }
    }
    sum
}

fn brute_by(
    queries: &[Made],
    gallery: &[Made],
    weights: &[f64],
    by: Option<Fuse>,
    opt: &TopK,
) -> Vec<Terms> {
    let used: Vec<usize> = (0..weights.len()).filter(|&m| weights[m] != 0.0).collect();
    let gone = |side: &[Made], i: usize| used.iter().all(|&m| side[m].is_zero(i));
    let norms = |side: &[Made]| side.iter().map(Made::norms).collect::<Vec<_>>();
    let (left, right) = (norms(queries), norms(gallery));
    let cosine = |m: usize, i: usize, j: usize| {
        if queries[m].is_zero(i) || gallery[m].is_zero(j) {
            return 0.0;
        }
        let dot = queries[m].dot(i, &gallery[m], j);
        (dot / (left[m][i] * right[m][j]).sqrt()).clamp(-1.0, 1.0)
    };
    let score = |i: usize, j: usize| {
        let weighted: Vec<f64> = used.iter().map(|&m| weights[m] * cosine(m, i, j)).collect();
        let weights: Vec<f64> = used.iter().map(|&m| weights[m]).collect();
        fuse(&weighted, &weights, by)
    };
    let list = |i: usize| {
        let mut all: Terms = (0..gallery[0].rows())
            .filter(|&j| !gone(queries, i) && !gone(gallery, j))
            .map(|j| (j as u32, score(i, j)))
            .filter(|n| opt.min_score.is_none_or(|s| n.1 >= s))
            .collect();
        all.sort_by(|a, b| b.1.partial_cmp(&a.1).unwrap().then(a.0.cmp(&b.0)));
        all.truncate(opt.k);
        all
    };
    (0..queries[0].rows()).map(list).collect()
}

#[track_caller]
fn assert_same(got: &Lists, want: &[Terms], what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    let bits = |n: (u32, f64)| (n.0, (n.1 + 0.0).to_bits());
    for (i, want) in want.iter().enumerate() {
        let got: Vec<_> = got.row(i).iter().map(bits).collect();
        let want: Vec<_> = want.iter().copied().map(bits).collect();
        assert_eq!(got, want, "{what}: row {i}");
    }
}

fn run(side: &[Made], weights: &[f64], opt: &TopK) -> doppel::Result<Lists> {
    let owned: Vec<Owned> = side.iter().map(Made::own).collect();
    let spaces: Vec<_> = owned
        .iter()
        .map(Owned::space)
        .zip(weights.iter().copied())
        .collect();
    combined(&spaces, opt)
}

#[track_caller]
fn check_self(side: &[Made], weights: &[f64], k: usize, min_score: Option<f64>) -> Lists {
    let opt = TopK { k, min_score };
    let lists = run(side, weights, &opt).unwrap();
    lists.check(side[0].rows()).unwrap();
    assert_same(
        &lists,
        &brute(side, side, weights, &opt),
        &format!("{weights:?} {opt:?}"),
    );
    lists
}

fn dense(rng: &mut fastrand::Rng, rows: usize, dims: usize) -> Made {
    let mut all: Vec<Vec<f32>> = Vec::new();
    for i in 0..rows {
        let near = (i > 0 && rng.f64() < 0.4).then(|| all[rng.usize(0..i)].clone());
        let mut row = near.unwrap_or_else(|| (0..dims).map(|_| rng.f32() - 0.4).collect());
        let scale = 10f32.powi(rng.i32(-3..4));
        row.iter_mut()
            .for_each(|x| *x = (*x + 0.1 * (rng.f32() - 0.5)) * scale);
        all.push(if rng.f64() < 0.1 {
            vec![0.0; dims]
        } else {
            row
        });
    }
    Made::Dense(dims, all)
}

fn terms(rng: &mut fastrand::Rng, rows: usize, cols: usize) -> Made {
    let row = |rng: &mut fastrand::Rng| {
        let count = rng.usize(0..9);
        let mut columns: Vec<u32> = (0..count)
            .map(|_| ((cols as f64).powf(rng.f64()) as u32).min(cols as u32) - 1)
            .collect();
        columns.sort_unstable();
        columns.dedup();
        columns
            .iter()
            .map(|&c| (c, 1.0 + (f64::from(c) + 1.0).ln()))
            .collect()
    };
    Made::Sparse(cols, (0..rows).map(|_| row(rng)).collect())
}

#[test]
fn equals_brute_force_over_dense_and_sparse_spaces() {
    let mut rng = fastrand::Rng::with_seed(1);
    let side = [
        dense(&mut rng, 700, 37),
        terms(&mut rng, 700, 90),
        dense(&mut rng, 700, 64),
    ];
    for (k, min_score) in [
        (1, None),
        (50, None),
        (MAX_K, None),
        (50, Some(0.9)),
        (7, Some(0.0)),
    ] {
        check_self(&side, &[0.7, 0.8, 1.0], k, min_score);
    }
    check_self(&side, &[3.0, 1e-3, 250.0], 20, None);
    check_self(&side, &[1e-90, 2e-90, 1e-95], 20, Some(1e-90));
    check_self(&side, &[0.0, 1.0, 0.5], 20, None);
    check_self(&side, &[0.0, 1.0, 0.0], 20, Some(0.25));
    check_self(&side, &[1.0, 0.0, 0.0], 20, None);
}

#[test]
fn equals_brute_force_over_several_blocks_and_tiles() {
    let mut rng = fastrand::Rng::with_seed(2);
    let side = [dense(&mut rng, 1_600, 19), terms(&mut rng, 1_600, 400)];
    check_self(&side, &[1.0, 1.5], 30, None);
    check_self(&side, &[1.0, 1.5], 30, Some(1.2));
}

/// Merging the finished top-k of each space gives another answer: what is second in both spaces is
/// first in the sum, and with k = 2 it is in neither top-k.
#[test]
fn scores_are_combined_before_the_top_k() {
    // Row 0 asks. Rows 1 and 2 win the dense space, rows 3 and 4 the sparse one; row 5 is a close
    // loser in both, and the best but for row 0 in the sum.
    let towards = |cos: f32| vec![cos, (1.0 - cos * cos).sqrt()];
    let images = [1.0, 0.95, 0.94, 0.0, 0.0, 0.9].map(towards).to_vec();
    let words = |cos: f64| vec![(0, cos), (1, (1.0 - cos * cos).sqrt())];
    let titles = [1.0, 0.0, 0.0, 0.95, 0.94, 0.9].map(words).to_vec();
    let side = [Made::Dense(2, images), Made::Sparse(2, titles)];
    let opt = TopK {
        k: 3,
        min_score: None,
    };
    let each = |weights: [f64; 2]| run(&side, &weights, &opt).unwrap().row(0).rows.to_vec();
    assert_eq!(each([1.0, 0.0]), [0, 1, 2]);
    assert_eq!(each([0.0, 1.0]), [0, 3, 4]);
    let both = check_self(&side, &[1.0, 1.0], 3, None);
    assert_eq!(both.row(0).rows[..2], [0, 5]);
}

#[test]
fn missing_rows_add_nothing_and_rows_missing_everywhere_match_nobody() {
    let images = vec![
        vec![1.0, 0.0],
        vec![0.0, 0.0],
        vec![0.0, 0.0],
        vec![0.6, 0.8],
    ];
    let titles = vec![vec![], vec![], vec![(1, 2.0)], vec![(1, 1.0), (2, 0.0)]];
    let side = [Made::Dense(2, images), Made::Sparse(3, titles)];
    for min_score in [None, Some(0.0), Some(-1.0)] {
        let lists = check_self(&side, &[2.0, 1.0], 10, min_score);
        assert_eq!(lists.row(0).rows, [0, 3, 2]);
        approx::assert_relative_eq!(lists.row(0).scores[1], 1.2, max_relative = 1e-6);
        assert_eq!(lists.row(0).scores[2], 0.0);
        assert!(lists.row(1).is_empty());
        assert_eq!(lists.row(2).rows, [2, 3, 0]);
        assert_eq!(lists.row(2).scores, [1.0, 1.0, 0.0]);
        assert_eq!(lists.row(3).rows, [3, 0, 2]);
        assert_eq!(lists.row(3).scores[0], 3.0);
    }
}

#[test]
fn sparse_spaces_alone_agree_with_the_sparse_search() {
    let mut rng = fastrand::Rng::with_seed(3);
    let side = [terms(&mut rng, 900, 200)];
    let Owned::Sparse(x) = side[0].own() else {
        unreachable!("made of terms");
    };
    let opt = TopK {
        k: 40,
        min_score: Some(0.2),
    };
    assert_eq!(run(&side, &[1.0], &opt).unwrap(), sparse(&x, &opt).unwrap());
}

#[test]
fn a_dense_space_alone_equals_the_dense_search_to_the_bit() {
    let mut rng = fastrand::Rng::with_seed(90);
    for (rows, dims) in [(1, 3), (70, 17), (300, 65)] {
        let data = (0..rows * dims).map(|_| rng.f32() - 0.5).collect();
        let mut x = doppel::tensor::Matrix::new(rows, dims, data).unwrap();
        if rows > 9 {
            let twin = x.row(3).to_vec();
            x.row_mut(9).copy_from_slice(&twin);
        }
        for min_score in [None, Some(0.1)] {
            let opt = TopK { k: 20, min_score };
            let combined = doppel::search::combined(&[(Space::Dense(&x), 1.0)], &opt).unwrap();
            assert_eq!(
                combined,
                doppel::search::dense(&x, &opt).unwrap(),
                "{rows} x {dims}"
            );
        }
    }
}

#[test]
fn identical_rows_and_near_ties() {
    let mut rng = fastrand::Rng::with_seed(4);
    // 60 equal rows among others, then 1,500 equal rows: more than candidates are kept.
    for (equal, others) in [(60, 300), (1_500, 20)] {
        let row: Vec<f32> = (0..24).map(|_| rng.f32()).collect();
        let mut images = vec![row; equal];
        let mut titles = vec![vec![(0, 0.3), (4, 0.7)]; equal];
        for _ in 0..others {
            images.push((0..24).map(|_| rng.f32()).collect());
            titles.push(vec![(rng.u32(0..5), 1.0)]);
        }
        let side = [Made::Dense(24, images), Made::Sparse(5, titles)];
        let lists = check_self(&side, &[0.5, 0.5], 50, None);
        assert_eq!(lists.row(equal - 1).rows, (0..50).collect::<Vec<u32>>());
        assert!(lists.row(equal - 1).scores.iter().all(|&s| s == 1.0));
        check_self(&side, &[0.5, 0.5], 3, Some(1.0));
    }
    // Scores that f32 cannot tell apart.
    let images = (0..600)
        .map(|i| vec![1.0, 1.0 + (i * 37 % 600) as f32 * f32::EPSILON, 0.5])
        .collect();
    let titles = (0..600)
        .map(|i| vec![(0, 1.0), (1, 1.0 + f64::from(i * 7 % 600) * f64::EPSILON)])
        .collect();
    let side = [Made::Dense(3, images), Made::Sparse(2, titles)];
    for k in [1, 10, 50, 300] {
        check_self(&side, &[1.0, 1.0], k, None);
    }
}

#[test]
fn a_score_equal_to_the_floor_is_kept() {
    let mut rng = fastrand::Rng::with_seed(5);
    let side = [dense(&mut rng, 200, 16), terms(&mut rng, 200, 40)];
    let weights = [0.6, 0.4];
    let all = brute(
        &side,
        &side,
        &weights,
        &TopK {
            k: 200,
            min_score: None,
        },
    );
    let scores: Vec<f64> = all.iter().flatten().map(|n| n.1).collect();
    for _ in 0..12 {
        let score = scores[rng.usize(0..scores.len())];
        for floor in [score, score.next_up(), score.next_down()] {
            check_self(&side, &weights, 200, Some(floor));
            check_self(&side, &weights, 4, Some(floor));
        }
    }
}

#[test]
fn queries_find_their_neighbours_in_the_gallery() {
    let mut rng = fastrand::Rng::with_seed(6);
    let gallery = [terms(&mut rng, 400, 60), dense(&mut rng, 400, 12)];
    let queries = [terms(&mut rng, 77, 60), dense(&mut rng, 77, 12)];
    let weights = [0.3, 2.0];
    let (own_q, own_g) = (
        queries.each_ref().map(Made::own),
        gallery.each_ref().map(Made::own),
    );
    let q: Vec<_> = own_q.iter().map(Owned::space).zip(weights).collect();
    let g: Vec<_> = own_g.iter().map(Owned::space).collect();
    for (k, min_score) in [(5, None), (500, None), (20, Some(1.0))] {
        let opt = TopK { k, min_score };
        let lists = combined_against(&q, &g, &opt).unwrap();
        lists.check(400).unwrap();
        assert_same(
            &lists,
            &brute(&queries, &gallery, &weights, &opt),
            &format!("{opt:?}"),
        );
    }
}

#[test]
fn the_answer_does_not_depend_on_the_number_of_threads() {
    let mut rng = fastrand::Rng::with_seed(7);
    let side = [dense(&mut rng, 1_300, 33), terms(&mut rng, 1_300, 100)];
    let opt = TopK {
        k: 20,
        min_score: None,
    };
    let threads = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| run(&side, &[1.0, 1.0], &opt).unwrap())
    };
    let one = threads(1);
    assert_eq!(one, threads(2));
    assert_eq!(one, threads(3));
}

#[test]
fn none_and_one_row_and_no_dimensions() {
    let opt = TopK {
        k: 3,
        min_score: None,
    };
    let none = [Made::Dense(4, vec![]), Made::Sparse(3, vec![])];
    assert!(run(&none, &[1.0, 1.0], &opt).unwrap().is_empty());
    let one = [
        Made::Dense(4, vec![vec![1.0, 2.0, 0.0, 0.0]]),
        Made::Sparse(3, vec![vec![]]),
    ];
    let lists = check_self(&one, &[0.7, 0.3], 3, None);
    assert_eq!(
        (lists.row(0).rows, lists.row(0).scores),
        (&[0][..], &[0.7][..])
    );
    let flat = [
        Made::Dense(0, vec![vec![]; 2]),
        Made::Sparse(1, vec![vec![(0, 1.0)]; 2]),
    ];
    assert_eq!(check_self(&flat, &[1.0, 1.0], 3, None).pairs(), 4);
}

#[test]
fn bad_input_is_an_error_that_names_the_place() {
    let opt = TopK {
        k: 3,
        min_score: None,
    };
    let error = |side: &[Made], weights: &[f64]| run(side, weights, &opt).unwrap_err();
    let image = |x: f32| Made::Dense(2, vec![vec![1.0, 0.0], vec![0.5, x]]);
    let title = |x: f64| Made::Sparse(2, vec![vec![(0, 1.0)], vec![(1, x)]]);
    assert_eq!(error(&[], &[]).kind(), Kind::Input);
    for bad in [-1.0, f64::NAN, f64::INFINITY, 1e-200, 1e200] {
        let error = error(&[image(1.0), title(1.0)], &[1.0, bad]);
        assert_eq!(error.kind(), Kind::Input, "{bad}");
        assert!(
            error.to_string().contains("space 2") && error.mending().is_some(),
            "{error}"
        );
    }
    assert_eq!(
        error(&[image(1.0), title(1.0)], &[0.0, 0.0]).kind(),
        Kind::Input
    );
    for side in [
        [image(f32::NAN), title(1.0)],
        [image(1.0), title(f64::NEG_INFINITY)],
    ] {
        let error = error(&side, &[1.0, 1.0]);
        assert_eq!(error.kind(), Kind::Input);
        assert!(error.to_string().starts_with("row 2: "), "{error}");
    }
    let three = Made::Sparse(2, vec![vec![]; 3]);
    assert_eq!(
        error(&[image(1.0), three.clone()], &[1.0, 1.0]).kind(),
        Kind::Shape
    );
    for k in [0, MAX_K + 1] {
        assert!(run(&[image(1.0)], &[1.0], &TopK { k, min_score: None }).is_err());
    }
    let (image, title, three) = (image(1.0).own(), title(1.0).own(), three.own());
    let against = |q: &Owned, g: &[Space]| combined_against(&[(q.space(), 1.0)], g, &opt);
    assert_eq!(
        against(&image, &[title.space()]).unwrap_err().kind(),
        Kind::Shape
    );
    assert_eq!(against(&image, &[]).unwrap_err().kind(), Kind::Shape);
    assert!(against(&title, &[three.space()]).is_ok());
    let wide = Made::Dense(3, vec![vec![1.0; 3]]).own();
    assert_eq!(
        against(&image, &[wide.space()]).unwrap_err().kind(),
        Kind::Shape
    );
}
