use super::features::edit_distance;
use super::graph::{density, page_rank};
use crate::lists::Lists;

#[test]
fn edits_are_counted() {
    let distance = |a: &str, b: &str| {
        let chars = |s: &str| s.chars().collect::<Vec<char>>();
        edit_distance(&chars(a), &chars(b))
    };
    for (a, b, edits) in [
        ("", "", 0),
        ("", "ab", 2),
        ("kitten", "sitting", 3),
        ("é", "e", 1),
    ] {
        assert_eq!(distance(a, b), edits, "{a} {b}");
        assert_eq!(distance(b, a), edits, "{b} {a}");
    }
}

#[test]
fn rank_goes_to_those_that_many_are_near_to() {
    // 1 and 2 point to 0, which points to 1; nobody points to 2, and 3 to nobody.
    let lists = Lists::from_rows([
        vec![(0, 1.0), (1, 0.5)],
        vec![(1, 1.0), (0, 0.9)],
        vec![(2, 1.0), (0, 0.6), (1, 0.2)],
        vec![(3, 1.0)],
    ]);
    let ranks = page_rank(&lists);
    assert!((ranks.iter().sum::<f64>() - 4.0).abs() < 1e-9, "{ranks:?}");
    assert!(ranks[0] > ranks[1] && ranks[1] > ranks[2], "{ranks:?}");
    assert!((ranks[2] - ranks[3]).abs() < 1e-12);
    // Solved by hand: x = .15 + .85 d, with d the mean of what 3 has, and so on.
    let x = ranks[3];
    assert!((x - (0.15 + 0.85 * x / 4.0)).abs() < 1e-6, "{x}");
    assert!((ranks[0] - (x + 0.85 * (ranks[1] + 0.75 * ranks[2]))).abs() < 1e-2);
    assert_eq!(density(&lists, 2), [0.25, 0.45, 0.4, 0.0]);
    assert!(page_rank(&Lists::default()).is_empty());
}
