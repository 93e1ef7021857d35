//! The cards' search by Hamming distance against a brute force over all pairs that shares no code with it.

use doppel::device::{Device, NaiveDevice, Stream};
use doppel::error::Kind;
use doppel::limits::MAX_CARD_K;

use crate::harness::{cards, light};
use crate::neighbours::same;

type Hashes = Vec<Option<u64>>;

fn spread(count: usize, seed: u64) -> Hashes {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..count).map(|_| Some(random.u64(..))).collect()
}

/// Hashes some bits away from a few centres: many ties.
fn crowded(count: usize, centres: usize, bits: usize, seed: u64) -> Hashes {
    let mut random = fastrand::Rng::with_seed(seed);
    let centres: Vec<u64> = (0..centres).map(|_| random.u64(..)).collect();
    let mut one = || {
        let mut hash = centres[random.usize(0..centres.len())];
        for _ in 0..random.usize(0..=bits) {
            hash ^= 1 << random.u32(0..64);
        }
        Some(hash)
    };
    (0..count).map(|_| one()).collect()
}

fn brute(q: &Hashes, g: &Hashes, k: usize, least: Option<f64>) -> Vec<Vec<(u32, f64)>> {
    let row = |a: &Option<u64>| {
        let mut all: Vec<(u32, f64)> = Vec::new();
        for (j, b) in g.iter().enumerate() {
            let (Some(a), Some(b)) = (a, b) else { continue };
            let equal = (0..64)
                .filter(|bit| (a >> bit) & 1 == (b >> bit) & 1)
                .count();
            let score = equal as f64 / 64.0;
            if least.is_none_or(|least| score >= least) {
                all.push((j as u32, score));
            }
        }
        all.sort_by(|a, b| b.1.partial_cmp(&a.1).unwrap().then(a.0.cmp(&b.0)));
        all.truncate(k);
        all
    };
    q.iter().map(row).collect()
}

fn check(q: &Hashes, g: Option<&Hashes>, k: usize, least: Option<f64>, what: &str) {
    let others = g.unwrap_or(q);
    if light() && q.len() * others.len() > 2_000 {
        return;
    }
    let want = brute(q, others, k, least);
    for card in cards() {
        let lists = card
            .topk_hamming(q, g.map(|g| &g[..]), k, least, Stream::DEFAULT)
            .unwrap();
        same(
            &lists,
            &want,
            &format!("{what}, k {k} on {}", card.info().name),
        );
        lists.check(others.len()).unwrap();
    }
}

#[test]
fn a_case_worked_by_hand() {
    let hashes = vec![
        Some(0b1111),
        None,
        Some(0b0111),
        Some(u64::MAX),
        Some(0b1111),
    ];
    for card in cards() {
        let lists = card
            .topk_hamming(&hashes, None, 3, None, Stream::DEFAULT)
            .unwrap();
        assert_eq!(lists.row(0).rows, [0, 4, 2]);
        assert_eq!(lists.row(0).scores, [1.0, 1.0, 1.0 - 1.0 / 64.0]);
        assert!(lists.row(1).is_empty());
        assert_eq!(lists.row(3).rows, [3, 0, 4]);
        assert_eq!(lists.row(3).scores, [1.0, 4.0 / 64.0, 4.0 / 64.0]);
    }
}

#[test]
fn odd_counts() {
    for (count, k) in [
        (1, 1),
        (2, 5),
        (31, 7),
        (33, 33),
        (130, 50),
        (90, MAX_CARD_K),
    ] {
        check(&spread(count, count as u64), None, k, None, "spread");
        check(&crowded(count, 3, 4, 7), None, k, None, "crowded");
    }
}

#[test]
fn a_gallery_of_several_tiles() {
    for k in [1, 20, 700] {
        let (queries, gallery) = (spread(9, 1), spread(2100, 2));
        check(&queries, Some(&gallery), k, None, "spread");
        let queries = crowded(3, 2, 3, 5);
        let mut gallery = crowded(2050, 2, 6, 5);
        for i in (0..gallery.len()).step_by(5) {
            gallery[i] = queries[i % 3];
        }
        check(&queries, Some(&gallery), k, None, "crowded");
    }
}

#[test]
fn equal_hashes_come_in_their_order() {
    check(&vec![Some(77); 70], None, 50, None, "all equal");
    let mut two = vec![Some(77); 1100];
    two[3] = Some(76);
    two[1090] = Some(76);
    check(
        &vec![Some(76), Some(77)],
        Some(&two),
        1000,
        None,
        "two kinds",
    );
}

#[test]
fn hashes_that_are_missing_are_nobodys() {
    let mut some = crowded(100, 4, 5, 3);
    some.iter_mut().step_by(3).for_each(|h| *h = None);
    check(&some, None, 20, None, "a third");
    check(&vec![None; 9], None, 3, None, "all");
    check(&some, Some(&vec![None; 4]), 3, None, "the whole gallery");
    check(&Vec::new(), None, 3, None, "no hashes");
}

#[test]
fn scores_below_the_least_are_left_out() {
    let hashes = crowded(120, 5, 12, 9);
    for least in [0.9, 0.875, 0.5, 0.0, 1.0, -1.0, 1.5, f64::NEG_INFINITY] {
        check(&hashes, None, 40, Some(least), &format!("at least {least}"));
    }
    check(&hashes, None, 3, Some(0.875f64.next_up()), "just above");
}

#[test]
fn what_cannot_be_searched_is_an_error() {
    let hashes = [Some(1)];
    let naive = NaiveDevice::default();
    let ask = |device: &dyn Device, k, least| {
        let lists = device.topk_hamming(&hashes, None, k, least, Stream::DEFAULT);
        lists.unwrap_err().kind()
    };
    assert_eq!(ask(&naive, 1, None), Kind::Unsupported);
    for card in cards() {
        assert_eq!(ask(&*card, 0, None), Kind::Input);
        assert_eq!(ask(&*card, 1, Some(f64::NAN)), Kind::Input);
        assert_eq!(ask(&*card, MAX_CARD_K + 1, None), Kind::Unsupported);
    }
}
