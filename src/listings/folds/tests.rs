use std::collections::HashSet;

use super::*;

fn listings(text: &str) -> Listings {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("l.csv");
    std::fs::write(&path, text).unwrap();
    Listings::read(&path).unwrap()
}

/// Rows in each of `k` folds.
fn sizes(folds: &[u32], k: usize) -> Vec<usize> {
    (0..k as u32)
        .map(|fold| folds.iter().filter(|f| **f == fold).count())
        .collect()
}

#[test]
fn worked_by_hand() {
    // Sizes: c 3, a 2, b 2, and two rows alone; c to 0, a to 1, b to 1 (2 < 3), then 0, then 0.
    let groups = [
        Some("a"),
        Some("b"),
        Some("c"),
        None,
        Some("c"),
        Some("a"),
        Some("b"),
        Some("c"),
        None,
    ];
    let folds = group_k_fold(&groups, 2).unwrap();
    assert_eq!(folds, [1, 1, 0, 0, 0, 1, 1, 0, 0]);
    // All of one size: in the order of the rows, to the first of the lightest.
    let folds = group_k_fold(&[None; 7], 3).unwrap();
    assert_eq!(folds, [0, 1, 2, 0, 1, 2, 0]);
}

#[test]
fn too_few_or_too_many_folds_are_errors() {
    let groups = [Some("a"), Some("a"), Some("b"), None];
    for (k, word) in [(0, "2 or more"), (1, "2 or more"), (4, "at most 3")] {
        let error = group_k_fold(&groups, k).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
    assert!(group_k_fold(&groups, 3).is_ok());
    assert!(group_k_fold(&[], 2).is_err());
    assert!(group_k_fold(&groups, usize::MAX).is_err());
}

#[test]
fn random_groups_stay_whole_and_folds_even() {
    let mut rng = fastrand::Rng::with_seed(3);
    for round in 0..200 {
        let rows = rng.usize(30..600);
        let kinds = rng.usize(12..80);
        let names: Vec<Option<String>> = (0..rows)
            .map(|_| (rng.u8(..) > 40).then(|| rng.usize(0..kinds).to_string()))
            .collect();
        let groups: Vec<Option<&str>> = names.iter().map(Option::as_deref).collect();
        let k = 2 + round % 5;
        let folds = group_k_fold(&groups, k).unwrap();
        assert_eq!(folds, group_k_fold(&groups, k).unwrap());
        let mut fold_of = HashMap::new();
        let mut largest = HashMap::new();
        for (group, fold) in groups.iter().zip(&folds) {
            if let Some(name) = group {
                assert_eq!(fold_of.insert(*name, fold).unwrap_or(fold), fold);
                *largest.entry(*name).or_insert(0) += 1;
            }
        }
        // The fullest fold took its last group when it was the lightest.
        let sizes = sizes(&folds, k);
        assert_eq!(sizes.iter().sum::<usize>(), rows);
        let spread = sizes.iter().max().unwrap() - sizes.iter().min().unwrap();
        assert!(
            spread <= largest.values().copied().max().unwrap_or(1),
            "{sizes:?}"
        );
    }
}

#[test]
fn equal_to_a_slow_greedy() {
    let mut rng = fastrand::Rng::with_seed(5);
    for _ in 0..100 {
        let rows: Vec<String> = (0..rng.usize(10..90))
            .map(|_| rng.usize(0..25).to_string())
            .collect();
        let groups: Vec<Option<&str>> = rows.iter().map(|r| Some(r.as_str())).collect();
        let mut left: Vec<&str> = rows.iter().map(String::as_str).collect();
        let mut expected = vec![NO_FOLD; rows.len()];
        let k = 3;
        while !left.is_empty() {
            let size = |g: &str| left.iter().filter(|l| **l == g).count();
            // The first row of the largest group; `max_by_key` would take the last.
            let mut group = left[0];
            for other in &left {
                if size(other) > size(group) {
                    group = other;
                }
            }
            let full = sizes(&expected, k);
            let fold = (0..k).min_by_key(|f| full[*f]).unwrap();
            for (row, name) in rows.iter().enumerate() {
                if name == group {
                    expected[row] = fold as u32;
                }
            }
            left.retain(|l| *l != group);
        }
        match group_k_fold(&groups, k) {
            Ok(folds) => assert_eq!(folds, expected),
            Err(_) => assert!(rows.iter().collect::<HashSet<_>>().len() < k),
        }
    }
}

#[test]
fn links_run_through_label_hash_image_and_title() {
    let csv = "posting_id,image,image_phash,title,label_group\n\
        1,a.jpg,,Red Shoe,10\n\
        2,b.jpg,94974f937d4c2433,,10\n\
        3,c.jpg,94974F937D4C2433,,11\n\
        4,c.jpg,,\"Blue\u{a0}\n  SHOE \",12\n\
        5,d.jpg,,blue shoe,\n\
        6,e.jpg,, ,13\n\
        7,f.jpg,, ,14\n\
        7,a.jpg,,red shoe,13\n\
        8,A.jpg,,,\n";
    let listings = listings(csv);
    assert_eq!(listings.ledger.len(), 1);
    // 1 to 5 hang together; 6, 7 and 8 are alone; the second 7 was rejected and links nothing.
    let folds = linked_k_fold(&listings, 2).unwrap();
    assert_eq!(folds, [0, 0, 0, 0, 0, 1, 1, NO_FOLD, 1]);
    assert!(linked_k_fold(&listings, 4).is_ok());
    let error = linked_k_fold(&listings, 5).unwrap_err().to_string();
    assert!(
        error.contains("l.csv") && error.contains("at most 4"),
        "{error}"
    );
    // By label alone: {1, 2}, then one by one.
    let folds = label_k_fold(&listings, 2).unwrap();
    assert_eq!(folds, [0, 0, 1, 1, 0, 1, 0, NO_FOLD, 1]);
}

#[test]
fn labels_are_required_for_folds_by_label_alone() {
    let listings = listings("posting_id,title\n1,a\n2,b\n");
    let error = label_k_fold(&listings, 2).unwrap_err().to_string();
    assert!(error.contains("label_group"), "{error}");
    assert_eq!(linked_k_fold(&listings, 2).unwrap(), [0, 1]);
}

#[test]
fn random_linked_folds_share_no_key() {
    let mut rng = fastrand::Rng::with_seed(11);
    let mut split = 0;
    for _ in 0..60 {
        let rows = rng.usize(40..200);
        let mut csv = String::from("label_group,title,image,posting_id,image_phash\n");
        for id in 0..rows {
            let mut key = |many: usize| match rng.u8(0..3) {
                0 => String::new(),
                _ => rng.usize(0..many).to_string(),
            };
            let (label, image, title) = (key(rows), key(2 * rows), key(2 * rows));
            let title = match rng.u8(0..4) {
                _ if title.is_empty() => title,
                0 => format!("Tas {title}"),
                1 => format!("TAS  {title} "),
                _ => format!("tas\t{title}"),
            };
            let hash = match rng.u8(0..3) {
                0 => format!("{:016X}", rng.usize(0..2 * rows)),
                1 => format!("{:016x}", rng.usize(0..2 * rows)),
                _ => String::new(),
            };
            csv += &format!("{label},{title},{image},{id},{hash}\n");
        }
        let listings = listings(&csv);
        assert!(listings.ledger.is_empty());
        let Ok(folds) = linked_k_fold(&listings, 4) else {
            continue;
        };
        split += 1;
        for (a, x) in listings.items.iter().enumerate() {
            for (b, y) in listings.items.iter().enumerate().skip(a + 1) {
                let same = |p: &Option<String>, q: &Option<String>| p.is_some() && p == q;
                let words = |t: &Option<String>| {
                    t.as_ref().map(|t| {
                        let lower = t.to_lowercase();
                        lower
                            .split_whitespace()
                            .map(String::from)
                            .collect::<Vec<_>>()
                    })
                };
                let linked = same(&x.label_group, &y.label_group)
                    || same(&x.image, &y.image)
                    || (x.phash.is_some() && x.phash == y.phash)
                    || (x.title.is_some() && words(&x.title) == words(&y.title));
                assert!(!linked || folds[a] == folds[b], "rows {a} and {b}");
            }
        }
        assert!(sizes(&folds, 4).iter().all(|n| *n > 0));
    }
    assert!(split > 20, "only {split} could be split");
}
