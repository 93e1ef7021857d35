//! ops: evaluate

use std::collections::{BTreeSet, HashMap};

use doppel::error::Kind;
use doppel::evaluate::{Figures, Notes, PairCounts, evaluate, evaluate_file, read_matches};

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-12
}

#[test]
fn hand_worked_figures() {
    // Groups {0, 1, 2}, {3}, {4, 5}; row 6 has no label.
    let labels = [
        Some(7),
        Some(7),
        Some(7),
        Some(u32::MAX),
        Some(0),
        Some(0),
        None,
    ];
    let answers = vec![
        vec![0, 1],          // P 1, R 2/3, F1 4/5; pairs: 1 true, 0 false, 1 missed
        vec![1, 0, 2, 3, 3], // P 3/4, R 1, F1 6/7; 2, 1, 0 (the second 3 counts for nothing)
        vec![],              // P 0, R 0, F1 0; 0, 0, 2
        vec![3],             // P 1, R 1, F1 1; 0, 0, 0
        vec![5, 6],          // without itself: P 1/2, R 1/2, F1 1/2; 1, 1, 0
        vec![5],             // P 1, R 1/2, F1 2/3; 0, 0, 1
        vec![6, 0],          // not scored
    ];
    let figures = evaluate(&labels, &answers).unwrap();
    let (p, r) = (
        (1.0 + 0.75 + 1.0 + 0.5 + 1.0) / 6.0,
        (2.0 / 3.0 + 1.0 + 1.0 + 1.0) / 6.0,
    );
    let f1 = (0.8 + 6.0 / 7.0 + 1.0 + 0.5 + 2.0 / 3.0) / 6.0;
    assert!(close(figures.precision, p), "{figures:?}");
    assert!(close(figures.recall, r), "{figures:?}");
    assert!(close(figures.f1, f1), "{figures:?}");
    assert!(close(figures.f1_of_means, 2.0 * p * r / (p + r)));
    assert_eq!((figures.listings, figures.unlabelled), (6, 1));
    let pairs = PairCounts {
        tp: 4,
        fp: 2,
        fn_: 4,
    };
    assert_eq!(figures.pairs, pairs);
    assert!(close(figures.pair_precision, 4.0 / 6.0));
    assert!(close(figures.pair_recall, 0.5));
    assert!(close(figures.pair_f1, 8.0 / 14.0));
}

#[test]
fn precision_is_over_what_is_predicted_and_recall_over_what_is_true() {
    let labels = [Some(1); 4];
    let one = evaluate(&labels, &(0..4).map(|i| vec![i]).collect::<Vec<_>>()).unwrap();
    assert_eq!((one.precision, one.recall, one.f1), (1.0, 0.25, 0.4));
    let labels = [Some(0), Some(1), Some(2), Some(3)];
    let all = evaluate(&labels, &vec![vec![0, 1, 2, 3]; 4]).unwrap();
    assert_eq!((all.precision, all.recall, all.f1), (0.25, 1.0, 0.4));
    assert_eq!(
        (all.pair_precision, all.pair_recall, all.pair_f1),
        (0.0, 0.0, 0.0)
    );
}

#[test]
fn nothing_is_nan() {
    let figures = evaluate(&[Some(3), Some(3)], &[vec![], vec![]]).unwrap();
    let all = [
        figures.f1,
        figures.precision,
        figures.recall,
        figures.f1_of_means,
        figures.pair_precision,
        figures.pair_recall,
        figures.pair_f1,
    ];
    assert_eq!(all, [0.0; 7]);
    let alone = evaluate(&[Some(3)], &[vec![0]]).unwrap();
    assert_eq!(
        (alone.f1, alone.pair_f1, alone.pairs),
        (1.0, 0.0, PairCounts::default())
    );
}

#[test]
fn what_cannot_be_scored_is_refused() {
    assert_eq!(evaluate(&[Some(1)], &[]).unwrap_err().kind(), Kind::Shape);
    let outside = evaluate(&[Some(1), None], &[vec![0], vec![2]]).unwrap_err();
    assert!(outside.to_string().contains("row 2"), "{outside}");
    for labels in [&[][..], &[None, None]] {
        let error = evaluate(labels, &vec![vec![]; labels.len()]).unwrap_err();
        assert!(error.to_string().contains("label_group"), "{error}");
    }
}

#[test]
fn figures_as_json() {
    let figures = evaluate(&[Some(1), Some(1), None], &[vec![0, 1], vec![1], vec![]]).unwrap();
    let json = serde_json::to_string(&figures).unwrap();
    assert!(json.starts_with("{\"f1\":0.83"), "{json}");
    for part in [
        "\"precision\":1.0,\"recall\":0.75,",
        "\"listings\":2,\"unlabelled\":1,",
        "\"pairs\":{\"tp\":1,\"fp\":0,\"fn\":1}",
    ] {
        assert!(json.contains(part), "{json}: {part}");
    }
}

/// The figures by sets, looking at every pair of rows.
fn slow(labels: &[Option<u32>], answers: &[Vec<u32>]) -> Figures {
    let n = labels.len();
    let scored: Vec<usize> = (0..n).filter(|&i| labels[i].is_some()).collect();
    let truth =
        |i: usize| -> BTreeSet<usize> { (0..n).filter(|&j| labels[j] == labels[i]).collect() };
    let answer = |i: usize| -> BTreeSet<usize> { answers[i].iter().map(|&j| j as usize).collect() };
    let mean = |f: &dyn Fn(f64, f64, f64) -> f64| -> f64 {
        let of = |&i: &usize| {
            let (x, y) = (truth(i), answer(i));
            f(
                x.intersection(&y).count() as f64,
                x.len() as f64,
                y.len() as f64,
            )
        };
        scored.iter().map(of).sum::<f64>() / scored.len() as f64
    };
    let precision = mean(&|both, _, y| if y == 0.0 { 0.0 } else { both / y });
    let recall = mean(&|both, x, _| both / x);
    let mut pairs = PairCounts::default();
    for &i in &scored {
        for j in (0..n).filter(|&j| j != i) {
            match (truth(i).contains(&j), answer(i).contains(&j)) {
                (true, true) => pairs.tp += 1,
                (false, true) => pairs.fp += 1,
                (true, false) => pairs.fn_ += 1,
                (false, false) => {}
            }
        }
    }
    let over = |a: u64, b: u64| if b == 0 { 0.0 } else { a as f64 / b as f64 };
    let both = precision + recall;
    Figures {
        f1: mean(&|both, x, y| 2.0 * both / (x + y)),
        precision,
        recall,
        f1_of_means: if both == 0.0 {
            0.0
        } else {
            2.0 * precision * recall / both
        },
        listings: scored.len(),
        unlabelled: n - scored.len(),
        pairs,
        pair_precision: over(pairs.tp, pairs.tp + pairs.fp),
        pair_recall: over(pairs.tp, pairs.tp + pairs.fn_),
        pair_f1: over(2 * pairs.tp, 2 * pairs.tp + pairs.fp + pairs.fn_),
    }
}

#[test]
fn random_answers_equal_the_slow_version() {
    let mut random = fastrand::Rng::with_seed(11);
    let mut scored = 0;
    for _ in 0..1500 {
        let n = random.u32(1..12);
        let groups = random.u32(1..6);
        let labels: Vec<Option<u32>> = (0..n)
            .map(|_| {
                random
                    .u8(0..5)
                    .gt(&0)
                    .then(|| random.u32(0..groups) * 1_000_000)
            })
            .collect();
        let answers: Vec<Vec<u32>> = (0..n)
            .map(|_| (0..random.usize(0..8)).map(|_| random.u32(0..n)).collect())
            .collect();
        if labels.iter().all(Option::is_none) {
            assert!(evaluate(&labels, &answers).is_err());
            continue;
        }
        let (fast, slow) = (
            evaluate(&labels, &answers).unwrap(),
            slow(&labels, &answers),
        );
        let counts = |f: &Figures| (f.listings, f.unlabelled, f.pairs);
        assert_eq!(counts(&fast), counts(&slow));
        let means = |f: &Figures| {
            [
                f.f1,
                f.precision,
                f.recall,
                f.f1_of_means,
                f.pair_precision,
                f.pair_recall,
                f.pair_f1,
            ]
        };
        for (a, b) in means(&fast).into_iter().zip(means(&slow)) {
            assert!(close(a, b), "{fast:?} {slow:?}");
        }
        scored += fast.listings;
    }
    assert!(scored > 5000, "{scored}");
}

fn read(bytes: &[u8]) -> doppel::Result<Vec<(String, Vec<String>)>> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("matches.csv");
    std::fs::write(&path, bytes).unwrap();
    read_matches(&path)
}

#[test]
fn a_file_of_matches_is_read_in_its_common_forms() {
    let of = |pairs: &[(&str, &[&str])]| -> Vec<(String, Vec<String>)> {
        let owned = |others: &[&str]| others.iter().map(|s| s.to_string()).collect();
        pairs
            .iter()
            .map(|(id, others)| (id.to_string(), owned(others)))
            .collect()
    };
    let expected = of(&[("a", &["a", "b"]), ("b", &["b"])]);
    for text in [
        "posting_id,matches\na,a b\nb,b\n",
        "posting_id,matches\na,a b\nb,b",
        "\u{feff}posting_id,matches\r\na,a b\r\nb,b\r\n",
        "\"posting_id\",\"matches\"\n\"a\",\"a b\"\nb,\"b\"\n\n",
        "posting_id,matches\n\na, a  b \nb,b\n",
    ] {
        assert_eq!(read(text.as_bytes()).unwrap(), expected, "{text:?}");
    }
    let odd = "posting_id,matches\n\"x\ny\",\"1,2 \"\"q\"\"\"\nz,\n\u{fc},\u{fc}\n";
    let expected = of(&[
        ("x\ny", &["1,2", "\"q\""]),
        ("z", &[]),
        ("\u{fc}", &["\u{fc}"]),
    ]);
    assert_eq!(read(odd.as_bytes()).unwrap(), expected);
    assert_eq!(read(b"posting_id,matches\n").unwrap(), []);
}

#[test]
fn a_broken_file_of_matches_is_one_line_that_says_where() {
    let long = format!("posting_id,matches\na,{}\n", "b ".repeat(1 << 20));
    let wide = format!("posting_id,matches{}\n", ",x".repeat(2000));
    let broken: [(&[u8], &str); 16] = [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"a,a b\nb,b\n", "header"),
        (b"posting_id,match\na,a\n", "header"),
        (b"posting_id,matches\na\n", "row 1 (line 2): has 1 fields"),
        (
            b"posting_id,matches\na,a,b\n",
            "row 1 (line 2): has 3 fields",
        ),
        (
            b"posting_id,matches\na,a\n\n,b\n",
            "row 2 (line 4): column posting_id: has no id",
        ),
        (
            b"posting_id,matches\na,a\nb,b\na,c\n",
            "row 3 (line 4): column posting_id: the id a",
        ),
        (
            b"posting_id,matches\n\"a,a\nb,b\n",
            "row 1 (line 2): a quote is opened",
        ),
        (
            b"posting_id,matches\na,a\"b\n",
            "row 1 (line 2): a quote stands",
        ),
        (
            b"posting_id,matches\n\"a\"b,c\n",
            "row 1 (line 2): text follows",
        ),
        (
            b"posting_id,matches\na,\xfc\n",
            "row 1 (line 2): the text is not UTF-8",
        ),
        (
            b"posting_id,matches\na,b\0\n",
            "row 1 (line 2): a field holds a NUL",
        ),
        (
            b"posting_id,matches\na,b\rc,d\n",
            "row 1 (line 2): a carriage return",
        ),
        (long.as_bytes(), "row 1 (line 2): a field is too long"),
        (wide.as_bytes(), "too many fields"),
    ];
    for (bytes, part) in broken {
        let error = read(bytes).unwrap_err().to_string();
        assert!(error.contains(part), "{error}: {part}");
        assert!(
            error.contains("matches.csv: ") && !error.contains('\n'),
            "{error}"
        );
    }
    let dir = tempfile::tempdir().unwrap();
    assert!(
        read_matches(dir.path())
            .unwrap_err()
            .to_string()
            .contains("folder")
    );
    let absent = read_matches(dir.path().join("none.csv")).unwrap_err();
    assert_eq!(absent.kind(), Kind::Io);
}

#[test]
fn a_file_with_gaps_and_strangers_is_scored_and_noted() {
    let ids: HashMap<&str, usize> = [("a", 0), ("b", 1), ("c", 2), ("d", 3)].into();
    let labels = [Some(1), Some(1), Some(2), None, None];
    let of = |text: &str| read(format!("posting_id,matches\n{text}").as_bytes()).unwrap();
    // b is missing (0), c's two strangers are wrong predictions (1 of 3 right; F1 2/4), z is unknown.
    let file = of("c,c x y x\na,a b\nz,a\nd,d\n");
    let (figures, notes) = evaluate_file(&file, &ids, &labels).unwrap();
    let expected = Notes {
        missing: 1,
        unknown_ids: 2,
        unknown_listings: 1,
    };
    assert_eq!(notes, expected);
    assert_eq!((figures.listings, figures.unlabelled), (3, 2));
    assert!(close(figures.f1, (1.0 + 0.0 + 0.5) / 3.0), "{figures:?}");
    assert!(close(figures.precision, (1.0 + 1.0 / 3.0) / 3.0));
    assert!(close(figures.recall, 2.0 / 3.0));
    assert_eq!(
        figures.pairs,
        PairCounts {
            tp: 1,
            fp: 2,
            fn_: 1
        }
    );

    let whole = of("a,a b\nb,b a\nc,c\n");
    let (figures, notes) = evaluate_file(&whole, &ids, &labels).unwrap();
    assert_eq!((figures.f1, notes), (1.0, Notes::default()));
    let (figures, notes) = evaluate_file(&[], &ids, &labels).unwrap();
    assert_eq!(
        (figures.f1, figures.precision, notes.missing),
        (0.0, 0.0, 3)
    );

    let mut twice = whole.clone();
    twice.push(whole[0].clone());
    assert!(evaluate_file(&twice, &ids, &labels).is_err());
    assert!(evaluate_file(&whole, &ids, &labels[..2]).is_err());
}
