//! Folds against scikit-learn's GroupKFold (`data/folds.json`, made by `scripts/folds.py`).

use doppel::listings::folds::group_k_fold;

#[derive(serde::Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(serde::Deserialize)]
struct Case {
    k: usize,
    /// No two groups have the same size, so that the folds are settled.
    distinct: bool,
    groups: Vec<u32>,
    folds: Vec<u32>,
}

#[test]
fn equal_to_scikit_learn_but_for_ties() {
    let golden: Golden = serde_json::from_str(include_str!("data/folds.json")).unwrap();
    let mut settled = 0;
    for case in &golden.cases {
        let names: Vec<String> = case.groups.iter().map(u32::to_string).collect();
        let groups: Vec<Option<&str>> = names.iter().map(|n| Some(n.as_str())).collect();
        let folds = group_k_fold(&groups, case.k).unwrap();
        let sizes = |folds: &[u32]| -> Vec<usize> {
            let rows = |fold| folds.iter().filter(|f| **f == fold).count();
            (0..case.k as u32).map(rows).collect()
        };
        assert_eq!(sizes(&folds), sizes(&case.folds));
        if case.distinct {
            settled += 1;
            assert_eq!(folds, case.folds);
        }
    }
    assert_eq!((golden.cases.len(), settled), (24, 12));
}
