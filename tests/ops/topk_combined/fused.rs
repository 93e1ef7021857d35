//! Scores that are not sums: as many spaces, the same brute force.

use doppel::limits::MAX_POWER;
use doppel::search::{fused, fused_against};

use super::*;

const ALL: [Fuse; 6] = [
    Fuse::Mean,
    Fuse::Either,
    Fuse::Power(1.0),
    Fuse::Power(2.5),
    Fuse::Power(6.0),
    Fuse::Power(MAX_POWER),
];

fn run_by(side: &[Made], weights: &[f64], by: Fuse, opt: &TopK) -> doppel::Result<Lists> {
    let owned: Vec<Owned> = side.iter().map(Made::own).collect();
    let spaces = owned.iter().map(Owned::space);
    let spaces: Vec<_> = spaces.zip(weights.iter().copied()).collect();
    fused(&spaces, by, opt)
}

#[track_caller]
fn check_by(side: &[Made], weights: &[f64], by: Fuse, k: usize, min_score: Option<f64>) -> Lists {
    let opt = TopK { k, min_score };
    let lists = run_by(side, weights, by, &opt).unwrap();
    lists.check(side[0].rows()).unwrap();
    let want = brute_by(side, side, weights, Some(by), &opt);
    assert_same(&lists, &want, &format!("{by:?} {weights:?} {opt:?}"));
    lists
}

#[test]
fn equals_brute_force_over_dense_and_sparse_spaces() {
    let mut rng = fastrand::Rng::with_seed(11);
    let side = [
        dense(&mut rng, 300, 37),
        terms(&mut rng, 300, 90),
        dense(&mut rng, 300, 64),
    ];
    for by in ALL {
        for (k, min_score) in [
            (1, None),
            (50, None),
            (MAX_K, None),
            (50, Some(0.5)),
            (7, Some(0.0)),
            (7, Some(1e-9)),
            (7, Some(-0.3)),
            (5, Some(2.0)),
        ] {
            check_by(&side, &[0.7, 0.8, 1.0], by, k, min_score);
        }
        check_by(&side, &[1.0, 2e-3, 0.5], by, 20, None);
        check_by(&side, &[0.0, 1.0, 0.5], by, 20, None);
        check_by(&side, &[0.0, 1.0, 0.0], by, 20, Some(0.25));
        check_by(&side, &[1.0, 0.0, 0.0], by, 20, None);
    }
    check_by(&side, &[1e-90, 2e-90, 1e-95], Fuse::Mean, 20, Some(0.5));
    check_by(&side, &[1e-90, 1.0, 1e-95], Fuse::Either, 20, None);
    check_by(
        &side,
        &[1.0 / 0.84, 1.0 / 0.84, 1.1],
        Fuse::Power(6.0),
        20,
        Some(0.5),
    );
    check_by(&side, &[1e3, 30.0, 1e-3], Fuse::Power(2.5), 20, None);
}

#[test]
fn equals_brute_force_over_several_blocks_and_tiles() {
    let mut rng = fastrand::Rng::with_seed(12);
    let side = [dense(&mut rng, 1_300, 19), terms(&mut rng, 1_300, 400)];
    for by in [Fuse::Either, Fuse::Power(6.0), Fuse::Power(3.5)] {
        check_by(&side, &[1.0, 0.9], by, 30, None);
        check_by(&side, &[1.0, 0.9], by, 30, Some(0.6));
    }
}

/// The mean ranks as the sum does, and its scores are the sum's by the weights' sum.
#[test]
fn the_mean_is_the_sum_divided() {
    let mut rng = fastrand::Rng::with_seed(13);
    let side = [dense(&mut rng, 300, 16), terms(&mut rng, 300, 40)];
    let opt = TopK {
        k: 20,
        min_score: None,
    };
    let weights = [3.0, 1.0];
    let (sum, mean) = (
        run(&side, &weights, &opt).unwrap(),
        run_by(&side, &weights, Fuse::Mean, &opt).unwrap(),
    );
    for (sum, mean) in sum.iter().zip(mean.iter()) {
        assert_eq!(sum.rows, mean.rows);
        for (s, m) in sum.scores.iter().zip(mean.scores) {
            assert_eq!(s / 4.0, *m);
        }
    }
}

/// Every score is a cosine's kind of number: 1 - score is a distance from 0 to 2.
#[test]
fn scores_stay_within_their_ranges() {
    let mut rng = fastrand::Rng::with_seed(14);
    let mut side = [dense(&mut rng, 200, 9), terms(&mut rng, 200, 30)];
    if let Made::Dense(_, rows) = &mut side[0] {
        rows[1] = rows[0].iter().map(|x| -x).collect();
    }
    let range = |by: Fuse, weights: &[f64]| {
        let lists = check_by(&side, weights, by, 200, None);
        let scores: Vec<f64> = lists.iter().flat_map(|l| l.scores.to_vec()).collect();
        let least = scores.iter().copied().fold(f64::INFINITY, f64::min);
        (
            least,
            scores.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        )
    };
    let (least, most) = range(Fuse::Mean, &[0.3, 0.1]);
    assert!(
        (-1.0..-0.3).contains(&least) && most == 1.0,
        "{least} {most}"
    );
    assert_eq!(range(Fuse::Either, &[1.0, 1.0]), (0.0, 1.0));
    let (least, most) = range(Fuse::Either, &[0.5, 0.25]);
    assert!(least == 0.0 && most == 0.625, "{most}");
    let (least, most) = range(Fuse::Power(6.0), &[2.0, 2.0]);
    assert!(least == 0.0 && most == 128.0 / 129.0, "{most}");
}

/// The published rule, (cos_image / .84)^6 + (cos_title / .84)^6 > 1, is a distance below .5.
#[test]
fn a_power_sum_passes_one_where_the_distance_is_below_a_half() {
    let mut rng = fastrand::Rng::with_seed(15);
    let side = [dense(&mut rng, 400, 6), terms(&mut rng, 400, 12)];
    let weights = [1.0 / 0.84; 2];
    let lists = check_by(&side, &weights, Fuse::Power(6.0), 400, None);
    let cosine = |m: usize| {
        let opt = TopK {
            k: 400,
            min_score: None,
        };
        let mut one = [0.0; 2];
        one[m] = 1.0;
        run(&side, &one, &opt).unwrap()
    };
    let cosines = [cosine(0), cosine(1)];
    let of = |m: usize, i: usize, j: u32| {
        let mut list = cosines[m].row(i).iter();
        list.find(|n| n.0 == j).map_or(0.0, |n| n.1)
    };
    let (mut passed, mut both) = (0, 0);
    for (i, list) in lists.iter().enumerate() {
        for (j, score) in list.iter() {
            let power = |m| (of(m, i, j) / 0.84).max(0.0).powi(6);
            let sum: f64 = power(0) + power(1);
            // The test's own sum is rounded elsewhere.
            if (sum - 1.0).abs() > 1e-12 {
                assert_eq!(1.0 - score < 0.5, sum > 1.0, "{i} {j} {sum} {score}");
            }
            passed += usize::from(sum > 1.0);
            both += usize::from(sum > 1.0 && power(0) < 1.0 && power(1) < 1.0);
        }
    }
    assert!(passed > 500 && both > 20, "{passed} {both}");
}

#[test]
fn fused_before_the_top_k() {
    // Row 5 is second in neither space, and first in the fused score.
    let towards = |cos: f32| vec![cos, (1.0 - cos * cos).sqrt()];
    let images = [1.0, 0.95, 0.94, 0.0, 0.0, 0.9].map(towards).to_vec();
    let words = |cos: f64| vec![(0, cos), (1, (1.0 - cos * cos).sqrt())];
    let titles = [1.0, 0.0, 0.0, 0.95, 0.94, 0.9].map(words).to_vec();
    let side = [Made::Dense(2, images), Made::Sparse(2, titles)];
    for by in [Fuse::Mean, Fuse::Either, Fuse::Power(6.0)] {
        let lists = check_by(&side, &[0.9, 0.9], by, 2, None);
        assert_eq!(lists.row(0).rows, [0, 5], "{by:?}");
    }
}

#[test]
fn identical_rows_near_ties_and_rows_that_are_missing() {
    let mut rng = fastrand::Rng::with_seed(16);
    let row: Vec<f32> = (0..24).map(|_| rng.f32()).collect();
    let mut images = vec![row; 900];
    let mut titles = vec![vec![(0, 0.3), (4, 0.7)]; 900];
    for i in 0..120 {
        images.push((0..24).map(|_| rng.f32() * (i % 4) as f32).collect());
        titles.push(if i % 3 == 0 {
            vec![]
        } else {
            vec![(rng.u32(0..5), 1.0)]
        });
    }
    let equal = [Made::Dense(24, images), Made::Sparse(5, titles)];
    // Scores that f32 cannot tell apart.
    let images = (0..500)
        .map(|i| vec![1.0, 1.0 + (i * 37 % 500) as f32 * f32::EPSILON, 0.5])
        .collect();
    let titles = (0..500)
        .map(|i| vec![(0, 1.0), (1, 1.0 + f64::from(i * 7 % 500) * f64::EPSILON)])
        .collect();
    let near = [Made::Dense(3, images), Made::Sparse(2, titles)];
    for by in ALL {
        let lists = check_by(&equal, &[0.5, 0.5], by, 50, None);
        assert_eq!(lists.row(899).rows, (0..50).collect::<Vec<u32>>(), "{by:?}");
        check_by(&equal, &[0.5, 0.5], by, 3, Some(lists.row(0).scores[0]));
        for k in [1, 10, 300] {
            check_by(&near, &[1.0, 1.0], by, k, None);
        }
    }
}

/// Powers below the range of f64 are 0, and ties go to the lower row, whatever the cosines are; near the
/// upper end scores of s / (1 + s) crowd below 1.
#[test]
fn powers_that_vanish_tie_and_large_ones_are_told_apart() {
    // Few rows, whose candidates are looked at together, and more than are held at a time.
    for (count, tiny) in [
        (20, 6e-6f32),
        (20, 1e-6),
        (20, 1e-5),
        (20, 3e-5),
        (600, 6e-6),
    ] {
        let mut images = vec![vec![1.0, 0.0]];
        images.extend(vec![vec![0.0, 1.0]; count]);
        images.extend(vec![vec![tiny, 1.0]; count]);
        let side = [Made::Dense(2, images)];
        let lists = check_by(&side, &[1.0], Fuse::Power(MAX_POWER), 3, None);
        if tiny <= 6e-6 {
            assert_eq!(lists.row(0).rows, [0, 1, 2]);
        }
        check_by(&side, &[1.0], Fuse::Power(2.0), 3, None);
    }
    let mut rng = fastrand::Rng::with_seed(17);
    let towards = |_| {
        let angle = 0.01 * rng.f32();
        vec![angle.cos(), angle.sin()]
    };
    let side = [Made::Dense(2, (0..900).map(towards).collect())];
    for (weight, power) in [(1.33, MAX_POWER), (1e3, 2.6), (21.0, 6.0)] {
        check_by(&side, &[weight], Fuse::Power(power), 5, None);
    }
}

#[test]
fn a_score_equal_to_the_floor_is_kept() {
    let mut rng = fastrand::Rng::with_seed(18);
    let side = [dense(&mut rng, 120, 16), terms(&mut rng, 120, 40)];
    let weights = [0.6, 0.4];
    for by in ALL {
        let opt = TopK {
            k: 120,
            min_score: None,
        };
        let all = brute_by(&side, &side, &weights, Some(by), &opt);
        let scores: Vec<f64> = all.iter().flatten().map(|n| n.1).collect();
        for _ in 0..6 {
            let score = scores[rng.usize(0..scores.len())];
            for floor in [score, score.next_up(), score.next_down()] {
                check_by(&side, &weights, by, 120, Some(floor));
                check_by(&side, &weights, by, 4, Some(floor));
            }
        }
    }
}

#[test]
fn queries_find_their_neighbours_in_the_gallery() {
    let mut rng = fastrand::Rng::with_seed(19);
    let gallery = [terms(&mut rng, 400, 60), dense(&mut rng, 400, 12)];
    let queries = [terms(&mut rng, 77, 60), dense(&mut rng, 77, 12)];
    let weights = [0.3, 0.9];
    let (own_q, own_g) = (
        queries.each_ref().map(Made::own),
        gallery.each_ref().map(Made::own),
    );
    let q: Vec<_> = own_q.iter().map(Owned::space).zip(weights).collect();
    let g: Vec<_> = own_g.iter().map(Owned::space).collect();
    for by in ALL {
        for (k, min_score) in [(5, None), (500, None), (20, Some(0.3))] {
            let opt = TopK { k, min_score };
            let lists = fused_against(&q, &g, by, &opt).unwrap();
            lists.check(400).unwrap();
            let want = brute_by(&queries, &gallery, &weights, Some(by), &opt);
            assert_same(&lists, &want, &format!("{by:?} {opt:?}"));
        }
    }
    let opt = TopK {
        k: 5,
        min_score: None,
    };
    let error = fused_against(&q, &g[..1], Fuse::Either, &opt).unwrap_err();
    assert_eq!(error.kind(), Kind::Shape);
    let heavy: Vec<_> = own_q.iter().map(Owned::space).zip([1.0, 2.0]).collect();
    assert!(fused_against(&heavy, &g, Fuse::Either, &opt).is_err());
    assert!(fused_against(&heavy, &g, Fuse::Mean, &opt).is_ok());
}

#[test]
fn the_answer_does_not_depend_on_the_number_of_threads() {
    let mut rng = fastrand::Rng::with_seed(20);
    let side = [dense(&mut rng, 900, 33), terms(&mut rng, 900, 100)];
    let opt = TopK {
        k: 20,
        min_score: None,
    };
    for by in [Fuse::Mean, Fuse::Either, Fuse::Power(6.0)] {
        let threads = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| run_by(&side, &[1.0, 1.0], by, &opt).unwrap())
        };
        let one = threads(1);
        assert_eq!(one, threads(4));
        assert_eq!(one, threads(3));
    }
}

#[test]
fn none_and_one_row() {
    let opt = TopK {
        k: 3,
        min_score: None,
    };
    for by in ALL {
        let none = [Made::Dense(4, vec![]), Made::Sparse(3, vec![])];
        assert!(run_by(&none, &[1.0, 1.0], by, &opt).unwrap().is_empty());
        let one = [
            Made::Dense(4, vec![vec![1.0, 2.0, 0.0, 0.0]]),
            Made::Sparse(3, vec![vec![]]),
        ];
        assert_eq!(check_by(&one, &[0.7, 0.3], by, 3, None).pairs(), 1);
        let gone = [
            Made::Dense(1, vec![vec![0.0]; 3]),
            Made::Sparse(1, vec![vec![]; 3]),
        ];
        assert_eq!(check_by(&gone, &[0.7, 0.3], by, 3, None).pairs(), 0);
    }
}

#[test]
fn bad_weights_and_powers_are_errors_that_name_the_place() {
    let opt = TopK {
        k: 3,
        min_score: None,
    };
    let side = [
        Made::Dense(1, vec![vec![1.0]]),
        Made::Dense(1, vec![vec![1.0]]),
    ];
    let error = |by: Fuse, weights: [f64; 2]| {
        let error = run_by(&side, &weights, by, &opt).unwrap_err();
        assert_eq!(error.kind(), Kind::Input, "{error}");
        assert!(error.mending().is_some(), "{error}");
        assert_eq!(
            by.check(&weights).unwrap_err().to_string(),
            error.to_string()
        );
        error.to_string()
    };
    for by in ALL {
        for bad in [-1.0, f64::NAN, f64::INFINITY, 1e-200, 1e200] {
            let error = error(by, [1.0, bad]);
            assert!(error.contains("space 2"), "{error}");
        }
        error(by, [0.0, 0.0]);
        assert!(by.check(&[]).is_err());
        assert!(by.check(&[0.0, 1.0, 0.5]).is_ok());
        assert!(fused(&[], by, &opt).is_err());
        assert!(
            run_by(
                &side,
                &[1.0, 1.0],
                by,
                &TopK {
                    k: 0,
                    min_score: None
                }
            )
            .is_err()
        );
    }
    assert!(error(Fuse::Either, [1.0, 1.0f64.next_up()]).contains("0 to 1"));
    for bad in [1e-4, 1e4] {
        assert!(error(Fuse::Power(2.0), [1.0, bad]).contains("0.001 to 1000"));
    }
    for bad in [0.5, -1.0, 64.5, f64::NAN, f64::INFINITY] {
        assert!(error(Fuse::Power(bad), [1.0, 1.0]).contains("the power is"));
    }
    assert!(error(Fuse::Power(MAX_POWER), [1.0, 2.0]).contains("smaller weights"));
}
