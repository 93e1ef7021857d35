//! ops: topk_hamming
//!
//! Every case is compared with a brute force that counts bits one by one.

use doppel::device::cpu::Kernel;
use doppel::lists::Lists;
use doppel::search::{TopK, Tuning, equal_hashes, hamming, hamming_against, hamming_tuned};
use fastrand::Rng;

type Hash = Option<u64>;

fn brute(queries: &[Hash], gallery: &[Hash], opt: &TopK) -> Vec<Vec<(u32, f64)>> {
    let differing = |a: u64, b: u64| {
        (0..64)
            .filter(|bit| (a >> bit) & 1 != (b >> bit) & 1)
            .count()
    };
    let row = |q: &Hash| {
        let Some(q) = *q else { return Vec::new() };
        let mut all: Vec<(u32, f64)> = Vec::new();
        for (j, g) in gallery.iter().enumerate() {
            let Some(g) = *g else { continue };
            let score = 1.0 - differing(q, g) as f64 / 64.0;
            if opt.min_score.is_none_or(|least| score >= least) {
                all.push((j as u32, score));
            }
        }
        all.sort_by(|a, b| b.1.partial_cmp(&a.1).unwrap().then(a.0.cmp(&b.0)));
        all.truncate(opt.k);
        all
    };
    queries.iter().map(row).collect()
}

fn same(lists: &Lists, want: &[Vec<(u32, f64)>], what: &str) {
    assert_eq!(lists.len(), want.len(), "{what}");
    for (i, want) in want.iter().enumerate() {
        assert_eq!(
            &lists.row(i).iter().collect::<Vec<_>>(),
            want,
            "{what}: row {i}"
        );
    }
}

fn top(k: usize) -> TopK {
    TopK { k, min_score: None }
}

fn check(queries: &[Hash], gallery: Option<&[Hash]>, opt: &TopK, what: &str) {
    let want = brute(queries, gallery.unwrap_or(queries), opt);
    for kernel in Kernel::available() {
        for block in [None, Some(64)] {
            let tuning = Tuning {
                kernel,
                block,
                ..Tuning::default()
            };
            let lists = hamming_tuned(queries, gallery, opt, &tuning).unwrap();
            let (n, k) = (queries.len(), opt.k);
            same(
                &lists,
                &want,
                &format!("{what}, {n}, k {k}, {kernel:?} {block:?}"),
            );
            lists.check(gallery.unwrap_or(queries).len()).unwrap();
        }
    }
}

/// Random hashes, some near another, some equal, some missing.
fn draw(rng: &mut Rng, n: usize) -> Vec<Hash> {
    let mut all: Vec<Hash> = Vec::with_capacity(n);
    for i in 0..n {
        let before = if i == 0 { None } else { all[rng.usize(0..i)] };
        all.push(match (rng.u32(0..10), before) {
            (0, _) => None,
            (1, Some(hash)) => Some(hash),
            (2..5, Some(hash)) => Some(hash ^ (1 << rng.u32(0..64)) ^ (1 << rng.u32(0..64))),
            _ => Some(rng.u64(..)),
        });
    }
    all
}

#[test]
fn a_case_worked_by_hand() {
    let hashes = [Some(0), Some(u64::MAX), Some(1), None, Some(0)];
    let lists = hamming(&hashes, &top(4)).unwrap();
    assert_eq!(lists.row(0).rows, [0, 4, 2, 1]);
    assert_eq!(lists.row(0).scores, [1.0, 1.0, 0.984375, 0.0]);
    assert_eq!(lists.row(1).rows, [1, 2, 0, 4]);
    assert_eq!(lists.row(1).scores, [1.0, 0.015625, 0.0, 0.0]);
    assert!(lists.row(3).is_empty());
}

#[test]
fn rows_of_every_count() {
    let mut rng = Rng::with_seed(1);
    for n in [0, 1, 2, 3, 31, 32, 33, 63, 64, 65, 127, 128, 500] {
        let hashes = draw(&mut rng, n);
        for k in [1, 2, 50, 1024] {
            check(&hashes, None, &top(k), "self-join");
        }
    }
    check(&draw(&mut rng, 2500), None, &top(20), "self-join");
}

#[test]
fn a_handful_of_distances_makes_ties_of_all() {
    let mut rng = Rng::with_seed(2);
    // 11 free bits: every distance is shared by hundreds of rows, and no hash stands twice.
    let mut hashes: Vec<Hash> = (0..1500).map(|i| Some(i * 0x0010_0100_1001)).collect();
    rng.shuffle(&mut hashes);
    check(&hashes, None, &top(50), "ties");
    check(
        &hashes,
        None,
        &TopK {
            k: 50,
            min_score: Some(0.95),
        },
        "ties",
    );
    check(&vec![Some(7); 700], None, &top(50), "all equal");
    check(&[None; 70], None, &top(50), "none");
}

#[test]
fn the_lowest_score_is_kept_and_what_is_below_is_not() {
    let hashes = draw(&mut Rng::with_seed(3), 300);
    for bits in [0, 1, 2, 20, 32, 64] {
        let score = 1.0 - f64::from(bits) / 64.0;
        for least in [score, score.next_up(), score.next_down()] {
            check(
                &hashes,
                None,
                &TopK {
                    k: 40,
                    min_score: Some(least),
                },
                "lowest score",
            );
        }
    }
    for least in [f64::NEG_INFINITY, -0.5, 1.5, f64::INFINITY] {
        check(
            &hashes,
            None,
            &TopK {
                k: 40,
                min_score: Some(least),
            },
            "lowest score",
        );
    }
}

#[test]
fn queries_against_a_gallery() {
    let mut rng = Rng::with_seed(4);
    for (n, m) in [(1, 500), (500, 1), (0, 10), (10, 0), (70, 900), (900, 70)] {
        let mut gallery = draw(&mut rng, m);
        let queries = draw(&mut rng, n);
        gallery
            .iter_mut()
            .zip(&queries)
            .step_by(3)
            .for_each(|(g, q)| *g = *q);
        for k in [1, 9, 1024] {
            check(&queries, Some(&gallery), &top(k), "against");
        }
    }
    let x = draw(&mut rng, 200);
    same(
        &hamming_against(&x, &x, &top(5)).unwrap(),
        &brute(&x, &x, &top(5)),
        "against itself",
    );
}

#[test]
fn the_same_for_any_number_of_threads() {
    let hashes = draw(&mut Rng::with_seed(5), 3000);
    let want = brute(&hashes, &hashes, &top(30));
    for threads in [1, 2, 3, 8] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let lists = pool.install(|| hamming(&hashes, &top(30)).unwrap());
        same(&lists, &want, &format!("{threads} threads"));
    }
}

#[test]
fn equal_hashes_are_listed_in_row_order() {
    let hashes = [Some(5), Some(9), None, Some(5), Some(5), Some(9), None];
    let lists = equal_hashes(&hashes, 50);
    let rows: Vec<Vec<u32>> = lists.iter().map(|l| l.rows.to_vec()).collect();
    let five = vec![0, 3, 4];
    let nine = vec![1, 5];
    assert_eq!(
        rows,
        [
            five.clone(),
            nine.clone(),
            vec![],
            five.clone(),
            five.clone(),
            nine,
            vec![]
        ]
    );
    assert!(lists.iter().all(|l| l.scores.iter().all(|&s| s == 1.0)));
    let lists = equal_hashes(&hashes, 2);
    assert_eq!(lists.row(4).rows, [0, 3]);
    assert_eq!(equal_hashes(&hashes, 0).pairs(), 0);
    assert_eq!(equal_hashes(&hashes, 0).len(), 7);
    assert!(equal_hashes(&[], 3).is_empty());

    let hashes = draw(&mut Rng::with_seed(6), 800);
    let opt = TopK {
        k: 50,
        min_score: Some(1.0),
    };
    assert_eq!(equal_hashes(&hashes, 50), hamming(&hashes, &opt).unwrap());
    // A cap far above the rows asks for no memory.
    assert_eq!(
        equal_hashes(&hashes, usize::MAX),
        equal_hashes(&hashes, 800)
    );
}

#[test]
fn what_cannot_be_searched_is_an_error() {
    for opt in [
        top(0),
        top(1025),
        TopK {
            k: 5,
            min_score: Some(f64::NAN),
        },
    ] {
        assert!(hamming(&[Some(1)], &opt).is_err());
        assert!(hamming_against(&[], &[], &opt).is_err());
    }
}
