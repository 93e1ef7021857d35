//! ops: refine
//!
//! Checked against an oracle in `f64` that goes over all rows and all pairs, and shares no code with
//! the library.

use doppel::error::Kind;
use doppel::limits::{MAX_DIMS, MAX_FEATURES, MAX_K, MAX_POWER};
use doppel::lists::{Lists, best_first};
use doppel::refine::{
    Blend, Expand, blend, blend_against, blend_stages, concat, expand, expand_against,
    neighbourhoods,
};
use doppel::search::{TopK, dense, sparse};
use doppel::tensor::{Csr, Matrix, Rows};

mod hostile;

type Vectors = Vec<Vec<f64>>;

fn blend_of(distance: f64, min2: Option<f64>) -> Blend {
    Blend { distance, min2 }
}

fn dense_rows(rows: &[Vec<f64>]) -> Rows {
    let data = rows.iter().flatten().map(|&x| x as f32).collect();
    let dims = rows.first().map_or(0, Vec::len);
    Rows::Dense(Matrix::new(rows.len(), dims, data).unwrap())
}

fn sparse_rows(rows: &[Vec<f64>]) -> Rows {
    let (mut indptr, mut indices, mut values) = (vec![0], Vec::new(), Vec::new());
    for row in rows {
        for (c, &v) in row.iter().enumerate().filter(|t| *t.1 != 0.0) {
            indices.push(c as u32);
            values.push(v);
        }
        indptr.push(indices.len());
    }
    let cols = rows.first().map_or(0, Vec::len);
    Rows::Sparse(Csr::new(cols, indptr, indices, values).unwrap())
}

fn vectors(x: &Rows) -> Vectors {
    match x {
        Rows::Dense(x) => (0..x.rows())
            .map(|i| x.row(i).iter().map(|&v| f64::from(v)).collect())
            .collect(),
        Rows::Sparse(x) => (0..x.rows())
            .map(|i| {
                let mut row = vec![0.0; x.cols()];
                let (columns, values) = x.row(i);
                for (&c, &v) in columns.iter().zip(values) {
                    row[c as usize] = v;
                }
                row
            })
            .collect(),
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn unit(row: &[f64]) -> Vec<f64> {
    let length = dot(row, row).sqrt();
    let scale = if length > 0.0 { 1.0 / length } else { 0.0 };
    row.iter().map(|x| x * scale).collect()
}

fn is_zero(row: &[f64]) -> bool {
    row.iter().all(|&x| x == 0.0)
}

/// Every pair of rows that are not zeros, with its cosine; best first.
fn all_pairs(x: &Vectors) -> Lists {
    let x: Vectors = x.iter().map(|r| unit(r)).collect();
    Lists::from_rows((0..x.len()).map(|i| {
        let mut list: Vec<(u32, f64)> = (0..x.len())
            .filter(|&j| !is_zero(&x[i]) && !is_zero(&x[j]))
            .map(|j| (j as u32, if i == j { 1.0 } else { dot(&x[i], &x[j]) }))
            .collect();
        list.sort_by(best_first);
        list
    }))
}

/// What `weights` says of row `i`: the sum of the unit rows, each times its weight, of unit length.
fn summed(x: &Vectors, weights: impl Fn(usize) -> Vec<(usize, f64)>) -> Vectors {
    let units: Vectors = x.iter().map(|r| unit(r)).collect();
    let row = |i: usize| {
        let mut sum = units[i].clone();
        if is_zero(&sum) {
            return sum;
        }
        for (j, weight) in weights(i) {
            for (s, u) in sum.iter_mut().zip(&units[j]) {
                *s += weight * u;
            }
        }
        unit(&sum)
    };
    (0..x.len()).map(row).collect()
}

fn others(x: &Vectors, lists: &Lists, i: usize) -> Vec<(usize, f64)> {
    let list = lists.row(i).iter().map(|(j, s)| (j as usize, s));
    list.filter(|&(j, _)| j != i && !is_zero(&x[j])).collect()
}

fn expanded(x: &Vectors, lists: &Lists, e: &Expand) -> Vectors {
    summed(x, |i| {
        let mut others = others(x, lists, i);
        others.truncate(e.k - 1);
        let weight = |s: f64| {
            if e.alpha == 0.0 {
                1.0
            } else {
                s.clamp(0.0, 1.0).powf(e.alpha)
            }
        };
        others.into_iter().map(|(j, s)| (j, weight(s))).collect()
    })
}

fn blended(x: &Vectors, lists: &Lists, b: &Blend) -> Vectors {
    summed(x, |i| {
        let others = others(x, lists, i);
        let below = |d: f64| {
            let near = others.iter().copied().filter(move |n| 1.0 - n.1 < d);
            near.collect::<Vec<_>>()
        };
        let mut near = below(b.distance);
        if near.is_empty() {
            near = below(b.min2.unwrap_or(0.0));
            near.truncate(1);
        }
        near.iter().map(|&(j, s)| (j, s.clamp(0.0, 1.0))).collect()
    })
}

#[track_caller]
fn assert_near(got: &Rows, want: &Vectors, within: f64, what: &str) {
    let got = vectors(got);
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        assert_eq!(got.len(), want.len(), "{what}: row {i}");
        for (c, (g, w)) in got.iter().zip(want).enumerate() {
            assert!(
                (g - w).abs() <= within,
                "{what}: row {i}, column {c}: {g} for {w}"
            );
        }
        if !is_zero(want) {
            assert!(
                (dot(got, got) - 1.0).abs() < 1e-6,
                "{what}: row {i} is not a unit row"
            );
        }
    }
}

/// Groups of rows around common directions, with twins, rows of zeros, lengths of all sizes, and holes.
fn made(rng: &mut fastrand::Rng, rows: usize, dims: usize) -> Vectors {
    let mut centre = vec![0.0; dims];
    let mut all: Vectors = Vec::new();
    for i in 0..rows {
        if i % 3 == 0 {
            centre = (0..dims).map(|_| rng.f64() - 0.4).collect();
        }
        let spread = rng.f64();
        let scale = 10f64.powi(rng.i32(-3..4));
        let mut row: Vec<f64> = centre
            .iter()
            .map(|c| f64::from(((c + spread * (rng.f64() - 0.5)) * scale) as f32))
            .collect();
        row.iter_mut()
            .for_each(|x| *x = if rng.f64() < 0.3 { 0.0 } else { *x });
        all.push(match rng.u8(0..12) {
            0 => vec![0.0; dims],
            1 if i > 0 => all[rng.usize(0..i)].clone(),
            _ => row,
        });
    }
    all
}

#[test]
fn expansion_equals_the_oracle_for_dense_and_sparse_rows() {
    let mut rng = fastrand::Rng::with_seed(1);
    for (rows, dims) in [(1, 3), (40, 1), (300, 37), (600, 16)] {
        let x = made(&mut rng, rows, dims);
        let lists = all_pairs(&x);
        for (k, alpha) in [
            (1, 3.0),
            (2, 3.0),
            (2, 0.5),
            (5, 0.0),
            (MAX_K, 1.0),
            (9, MAX_POWER),
        ] {
            let e = Expand { k, alpha };
            let want = expanded(&x, &lists, &e);
            let what = format!("{rows} x {dims}, {e:?}");
            let dense = expand(&dense_rows(&x), &lists, &e).unwrap();
            assert_near(&dense, &want, 1e-6, &what);
            let sparse = expand(&sparse_rows(&x), &lists, &e).unwrap();
            assert_near(&sparse, &want, 1e-12, &what);
            assert_near(&sparse, &vectors(&dense), 1e-6, &what);
        }
    }
}

#[test]
fn blending_equals_the_oracle_for_dense_and_sparse_rows() {
    let mut rng = fastrand::Rng::with_seed(2);
    for (rows, dims) in [(1, 3), (40, 1), (300, 37), (600, 16)] {
        let x = made(&mut rng, rows, dims);
        let lists = all_pairs(&x);
        for (distance, min2) in [
            (0.0, None),
            (0.0, Some(0.5)),
            (0.2, None),
            (0.2, Some(0.2)),
            (0.4, Some(2.0)),
            (2.0, None),
        ] {
            let b = blend_of(distance, min2);
            let want = blended(&x, &lists, &b);
            let what = format!("{rows} x {dims}, {b:?}");
            let dense = blend(&dense_rows(&x), &lists, &b).unwrap();
            assert_near(&dense, &want, 1e-6, &what);
            let sparse = blend(&sparse_rows(&x), &lists, &b).unwrap();
            assert_near(&sparse, &want, 1e-12, &what);
        }
    }
}

/// Tan, equation 2, by hand: (1, 0) + 0.6^3 (0.6, 0.8), and with alpha 0 equation 1's plain mean.
#[test]
fn expansion_by_hand() {
    let x = dense_rows(&[vec![2.0, 0.0], vec![0.3, 0.4], vec![-1.0, 0.0]]);
    let lists = Lists::from_rows([
        vec![(0, 1.0), (1, 0.6), (2, -1.0)],
        vec![(1, 1.0), (0, 0.6), (2, -0.6)],
        vec![(2, 1.0), (1, -0.6), (0, -1.0)],
    ]);
    let run = |k, alpha| expand(&x, &lists, &Expand { k, alpha }).unwrap();
    let mean = |a: [f64; 2], w: f64, b: [f64; 2]| unit(&[a[0] + w * b[0], a[1] + w * b[1]]);
    let (a, b, c) = ([1.0, 0.0], [0.6, 0.8], [-1.0, 0.0]);
    // Row 2 has only neighbours on the other side: with a power they weigh nothing.
    let want = vec![mean(a, 0.216, b), mean(b, 0.216, a), c.to_vec()];
    assert_near(&run(2, 3.0), &want, 1e-7, "alpha QE");
    assert_eq!(run(2, 3.0), run(3, 3.0));
    let plain = vec![mean(a, 1.0, b), mean(b, 1.0, a), mean(c, 1.0, b)];
    assert_near(&run(2, 0.0), &plain, 1e-7, "AQE");
    let alone = run(1, 3.0);
    assert_near(
        &alone,
        &vec![a.to_vec(), b.to_vec(), c.to_vec()],
        1e-7,
        "k = 1",
    );
}

#[test]
fn a_row_counts_as_its_own_first_where_ties_have_pushed_it_out() {
    // Row 3's list of two holds two rows equal to it, and not itself.
    let x = dense_rows(&[
        vec![1.0, 0.0],
        vec![1.0, 0.0],
        vec![0.0, 1.0],
        vec![1.0, 1.0],
    ]);
    let lists = Lists::from_rows([
        vec![(0, 1.0), (1, 1.0)],
        vec![(0, 1.0), (1, 1.0)],
        vec![(2, 1.0)],
        vec![(0, 1.0), (2, 1.0)],
    ]);
    let y = expand(&x, &lists, &Expand { k: 2, alpha: 1.0 }).unwrap();
    let want = unit(&[1.0 + 0.5f64.sqrt(), 0.5f64.sqrt()]);
    assert_near(
        &y,
        &vec![vec![1.0, 0.0], vec![1.0, 0.0], vec![0.0, 1.0], want],
        1e-7,
        "row 3 takes itself and row 0, not rows 0 and 2",
    );
    let near = neighbourhoods(&lists, &blend_of(0.1, None)).unwrap();
    assert_eq!(near.row(3).rows, [0, 2, 3]);
    near.check(4).unwrap();
}

#[test]
fn rows_of_zeros_stay_zeros_and_are_nobodys() {
    // The lists come from another space, in which row 1 is there.
    let x = [vec![1.0, 0.0], vec![0.0, 0.0], vec![0.6, 0.8]];
    let lists = Lists::from_rows([
        vec![(0, 1.0), (1, 0.9), (2, 0.5)],
        vec![(1, 1.0), (0, 0.9), (2, 0.9)],
        vec![(2, 1.0), (1, 0.9)],
    ]);
    let want = vec![unit(&[1.3, 0.4]), vec![0.0, 0.0], vec![0.6, 0.8]];
    for x in [dense_rows(&x), sparse_rows(&x)] {
        let e = Expand { k: 2, alpha: 1.0 };
        assert_near(&expand(&x, &lists, &e).unwrap(), &want, 1e-7, "expand");
        let b = blend_of(0.6, None);
        assert_near(&blend(&x, &lists, &b).unwrap(), &want, 1e-7, "blend");
        // A row of zeros is no company: row 0 takes its nearest other.
        let b = blend_of(0.2, Some(0.6));
        assert_near(&blend(&x, &lists, &b).unwrap(), &want, 1e-7, "min2");
    }
}

#[test]
fn what_cancels_out_stays_itself() {
    let x = [
        vec![3.0, 0.0, 4.0],
        vec![-6.0, 0.0, -8.0],
        vec![0.0, 1.0, 0.0],
    ];
    let lists = Lists::from_rows([vec![(1, 1.0)], vec![(0, 1.0)], vec![]]);
    let want: Vectors = x.iter().map(|r| unit(r)).collect();
    for rows in [dense_rows(&x), sparse_rows(&x)] {
        let y = blend(&rows, &lists, &blend_of(0.5, None)).unwrap();
        assert_near(&y, &want, 1e-7, "opposite rows");
    }
    // A column that cancels out alone is no longer stored.
    let x = sparse_rows(&[vec![1.0, 1.0], vec![-1.0, 1.0]]);
    let lists = Lists::from_rows([vec![(1, 1.0)], vec![]]);
    let Rows::Sparse(y) = blend(&x, &lists, &blend_of(0.5, None)).unwrap() else {
        unreachable!("sparse rows stay sparse");
    };
    assert_eq!(y.row(0), (&[1][..], &[1.0][..]));
}

#[test]
fn neighbourhoods_are_those_that_are_blended() {
    let lists = Lists::from_rows([
        vec![(0, 1.0), (1, 0.8), (2, 0.7), (3, -0.5)],
        vec![(1, 1.0), (0, 0.8)],
        vec![(2, 1.0), (0, 0.7), (3, 0.65)],
        vec![(2, 0.65)],
    ]);
    let near = |distance, min2| {
        let lists = neighbourhoods(&lists, &blend_of(distance, min2)).unwrap();
        lists.iter().map(|l| l.rows.to_vec()).collect::<Vec<_>>()
    };
    // 1 - 0.8 is a little below 0.2; a distance equal to the threshold is no neighbour.
    assert_eq!(near(1.0 - 0.8, None), [vec![0], vec![1], vec![2], vec![3]]);
    assert_eq!(near(0.25, None), [vec![0, 1], vec![1, 0], vec![2], vec![3]]);
    assert_eq!(
        near(0.25, Some(0.32)),
        [vec![0, 1], vec![1, 0], vec![2, 0], vec![3]]
    );
    assert_eq!(
        near(0.0, Some(2.0)),
        [vec![0, 1], vec![1, 0], vec![2, 0], vec![3, 2]]
    );
    assert_eq!(near(2.0, None)[0], [0, 1, 2, 3]);
    let all = neighbourhoods(&lists, &blend_of(2.0, None)).unwrap();
    assert_eq!(all.row(0).scores, [1.0, 0.8, 0.7, 0.0]);
}

/// Stage after stage as the competition's winner has it: search, threshold, blend, and again.
fn stages_by_oracle(x: &Vectors, stages: &[Blend]) -> Vectors {
    stages
        .iter()
        .fold(x.clone(), |x, b| blended(&x, &all_pairs(&x), b))
}

fn search(x: &Rows) -> doppel::Result<Lists> {
    let opt = TopK {
        k: MAX_K,
        min_score: None,
    };
    match x {
        Rows::Dense(x) => dense(x, &opt),
        Rows::Sparse(x) => sparse(x, &opt),
    }
}

/// Three rows 0, 30 and 60 degrees apart. The ends are no neighbours at first (a distance of .5), and are
/// once each has moved towards the middle. A later stage's threshold, .2, applied to the neighbours of the
/// unblended rows, as one published run has it, does not find them.
#[test]
fn a_stages_thresholds_apply_to_what_the_stage_before_blended() {
    let at = |degrees: f64| vec![degrees.to_radians().cos(), degrees.to_radians().sin()];
    let x: Vectors = vec![at(0.0), at(30.0), at(60.0)];
    let stages = [blend_of(0.15, None), blend_of(0.2, None)];
    let want = stages_by_oracle(&x, &stages);

    let unblended = all_pairs(&x);
    let first = blended(&x, &unblended, &stages[0]);
    let again = all_pairs(&first);
    let near = |lists: &Lists| {
        let near = neighbourhoods(lists, &stages[1]).unwrap();
        near.row(0).rows.to_vec()
    };
    assert_eq!(
        (near(&unblended), near(&again)),
        (vec![0, 1], vec![0, 1, 2])
    );
    // The published wrong order: the second threshold on the first graph.
    let wrong = blended(&first, &unblended, &stages[1]);
    // Another: the second threshold finds the neighbours, and the first rows are blended.
    let other = blended(&x, &again, &stages[1]);
    let away = |y: &Vectors| dot(&want[0], &y[0]) < 0.9999;
    assert!(
        away(&wrong) && away(&other),
        "the orders must differ: {want:?} {wrong:?}"
    );

    let mut searched = Vec::new();
    let order = std::cell::RefCell::new(&mut searched);
    for rows in [dense_rows(&x), sparse_rows(&x)] {
        let y = blend_stages(&rows, &stages, &|x| {
            order.borrow_mut().push(vectors(x));
            search(x)
        })
        .unwrap();
        assert_near(&y, &want, 1e-6, "two stages");
    }
    // Each stage searched what the stage before left.
    assert_eq!(searched.len(), 4);
    for (n, seen) in searched.iter().enumerate() {
        let expected = if n % 2 == 0 { &x } else { &first };
        assert_near(&dense_rows(seen), expected, 1e-6, "searched");
    }
}

#[test]
fn stages_equal_the_oracle_on_many_rows() {
    let mut rng = fastrand::Rng::with_seed(3);
    let x = made(&mut rng, 240, 24);
    let stages = [
        blend_of(0.3, Some(0.5)),
        blend_of(0.12, Some(0.2)),
        blend_of(0.05, None),
    ];
    let want = stages_by_oracle(&x, &stages);
    // Each stage changes something, so that none could be left out.
    for n in 0..stages.len() {
        let fewer = stages_by_oracle(&x, &stages[..n]);
        let moved = |i: &usize| dot(&unit(&fewer[*i]), &want[*i]) < 0.999 && !is_zero(&want[*i]);
        assert!((0..x.len()).filter(moved).count() > 5, "stage {}", n + 1);
    }
    let y = blend_stages(&dense_rows(&x), &stages, &search).unwrap();
    assert_near(&y, &want, 1e-5, "three stages");
    let none = blend_stages(&dense_rows(&x), &[], &search).unwrap();
    assert_eq!(none, dense_rows(&x));
    // A stage that cannot be is told before anything is searched.
    let bad = [stages[0], blend_of(3.0, None)];
    let told = blend_stages(&dense_rows(&x), &bad, &|_| {
        unreachable!("nothing to search")
    });
    assert_eq!(told.unwrap_err().kind(), Kind::Input);
}

/// Queries and gallery as one matrix, of which the queries are nobody's neighbours, give the same.
#[test]
fn queries_move_towards_the_gallery_as_rows_of_it_would() {
    let mut rng = fastrand::Rng::with_seed(4);
    let all = made(&mut rng, 260, 20);
    let (queries, gallery) = all.split_at(60);
    // The gallery first, so that its rows keep their numbers.
    let joined: Vectors = gallery.iter().chain(queries).cloned().collect();
    let both = all_pairs(&joined);
    let rows = (0..joined.len()).map(|i| {
        let list = both.row(i).iter();
        list.filter(|n| (n.0 as usize) < gallery.len())
            .take(50)
            .collect::<Vec<_>>()
    });
    let joined_lists = Lists::from_rows(rows);
    let lists = Lists::from_rows(
        (gallery.len()..joined.len()).map(|i| joined_lists.row(i).iter().collect::<Vec<_>>()),
    );
    for kind in [dense_rows, sparse_rows] {
        let (q, g) = (kind(queries), kind(gallery));
        let tail = |x: Rows| vectors(&x)[gallery.len()..].to_vec();
        let e = Expand { k: 4, alpha: 2.0 };
        let want = tail(expand(&kind(&joined), &joined_lists, &e).unwrap());
        assert_eq!(vectors(&expand_against(&q, &g, &lists, &e).unwrap()), want);
        let b = blend_of(0.2, Some(0.6));
        let want = tail(blend(&kind(&joined), &joined_lists, &b).unwrap());
        assert_eq!(vectors(&blend_against(&q, &g, &lists, &b).unwrap()), want);
    }
}

/// A query equal to a gallery row takes both, itself and that row: rows of two sides are never the same.
#[test]
fn a_query_is_not_the_gallery_row_of_its_number() {
    let rows = dense_rows(&[vec![1.0, 0.0], vec![0.0, 1.0]]);
    let lists = Lists::from_rows([vec![(0, 1.0), (1, 0.5)], vec![(1, 1.0), (0, 0.5)]]);
    let e = Expand { k: 2, alpha: 1.0 };
    assert_eq!(expand_against(&rows, &rows, &lists, &e).unwrap(), rows);
    assert_ne!(expand(&rows, &lists, &e).unwrap(), rows);
}

/// Tan's ensemble: unit rows times .7, .8 and 1, side by side, of unit length.
#[test]
fn concatenation_equals_the_oracle() {
    let mut rng = fastrand::Rng::with_seed(5);
    let parts = [
        made(&mut rng, 300, 12),
        made(&mut rng, 300, 7),
        made(&mut rng, 300, 20),
    ];
    for weights in [[0.7, 0.8, 1.0], [1e-3, 1.0, 40.0], [1e200, 1e200, 1e199]] {
        let want: Vectors = (0..300)
            .map(|i| {
                let side = parts.iter().zip(&weights).flat_map(|(part, w)| {
                    let w = w / weights.iter().copied().fold(0.0, f64::max);
                    unit(&part[i]).into_iter().map(move |x| w * x)
                });
                unit(&side.collect::<Vec<_>>())
            })
            .collect();
        let dense = parts.each_ref().map(|p| dense_rows(p));
        let sparse = parts.each_ref().map(|p| sparse_rows(p));
        for (kind, within) in [(dense, 1e-6), (sparse, 1e-12)] {
            let parts: Vec<_> = kind.iter().zip(weights).collect();
            let y = concat(&parts).unwrap();
            assert_eq!((y.rows(), y.dims()), (300, 39));
            assert_near(&y, &want, within, &format!("{weights:?}"));
        }
    }
    // One part alone: its unit rows; a part that a row lacks leaves the others all of the length.
    let tiny = sparse_rows(&[vec![1e-200, 0.0], vec![0.0, 0.0], vec![1e300, -1e300]]);
    let want = vec![vec![1.0, 0.0], vec![0.0, 0.0], unit(&[1.0, -1.0])];
    assert_near(
        &concat(&[(&tiny, 1e-300)]).unwrap(),
        &want,
        1e-15,
        "far from 1",
    );
    let lacking = sparse_rows(&[vec![0.0], vec![0.0], vec![5.0]]);
    let y = concat(&[(&tiny, 1e-300), (&lacking, 1e300)]).unwrap();
    assert_eq!(vectors(&y)[0], [1.0, 0.0, 0.0]);
    assert_eq!(vectors(&y)[2], [0.0, 0.0, 1.0]);
}

#[test]
fn the_answer_does_not_depend_on_the_number_of_threads() {
    let mut rng = fastrand::Rng::with_seed(6);
    let x = made(&mut rng, 1_100, 33);
    let lists = all_pairs(&x);
    let run = |x: &Rows| {
        let moved = expand(x, &lists, &Expand { k: 3, alpha: 3.0 }).unwrap();
        let blended = blend(&moved, &lists, &blend_of(0.3, Some(0.5))).unwrap();
        concat(&[(&moved, 0.3), (&blended, 1.0)]).unwrap()
    };
    let bits = |x: Rows| match x {
        Rows::Dense(x) => x
            .data()
            .iter()
            .map(|v| u64::from(v.to_bits()))
            .collect::<Vec<_>>(),
        Rows::Sparse(x) => {
            let values = x.values().iter().map(|v| v.to_bits());
            values
                .chain(x.indices().iter().map(|&c| u64::from(c)))
                .collect()
        }
    };
    for x in [dense_rows(&x), sparse_rows(&x)] {
        let threads = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            bits(pool.install(|| run(&x)))
        };
        let one = threads(1);
        assert!(!one.is_empty());
        assert_eq!(one, threads(4));
        assert_eq!(one, threads(2));
    }
}
