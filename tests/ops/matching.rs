//! ops: matching

mod slow;

use doppel::error::Kind;
use doppel::limits::MAX_MATCHES;
use doppel::limits::MAX_RULE_DEPTH;
use doppel::lists::{Lists, best_first};
use doppel::matching::{
    ITSELF, Ids, Match, Matches, Rule, Source, Steps, resolve, resolve_capped, write_matches,
    write_pairs,
};

/// A source in which row 0 of `rows` has neighbours at the given distances, and others have none.
fn of_row_0(name: &str, rows: usize, distances: &[(u32, f64)]) -> Source {
    let mut list: Vec<_> = distances.iter().map(|&(j, d)| (j, 1.0 - d)).collect();
    list.push((0, 1.0));
    list.sort_by(best_first);
    let mut lists = vec![list];
    lists.resize(rows, Vec::new());
    Source::new(name, Lists::from_rows(lists))
}

/// The rows that row 0 matches, itself left out, in ascending order.
fn found(sources: &[Source], rule: &Rule) -> Vec<u32> {
    let matches = resolve(sources, rule, sources[0].lists.len()).unwrap();
    assert_eq!(matches.row(0)[0].row, 0);
    let mut rows: Vec<u32> = matches.rows(0).skip(1).collect();
    rows.sort_unstable();
    rows
}

fn error(sources: &[Source], rule: &Rule, rows: usize) -> (Kind, String) {
    let error = resolve(sources, rule, rows).unwrap_err();
    (error.kind(), error.to_string())
}

// Hand-worked cases.

#[test]
fn three_modalities_loosen_together_and_stop_at_their_high() {
    let image = [(1, 0.255), (2, 0.265)];
    let tfidf = [(3, 0.47), (4, 0.55)];
    let bert = [(5, 0.095), (6, 0.105)];
    let sources = [
        of_row_0("image", 9, &image),
        of_row_0("tfidf", 9, &tfidf),
        of_row_0("bert", 9, &bert),
    ];
    // Steps 0 and 1 (.24 .25 .08, then .25 .45 .09) find nothing. Step 2 is .26, .50 (not .65) and
    // .10: one row each, and row 4 at .55 stays out as TF-IDF has reached its high.
    let rule = Rule::tan_final(0, 1, 2);
    assert_eq!(found(&sources, &rule), [1, 3, 5]);
    let matches = resolve(&sources, &rule, 9).unwrap();
    let order: Vec<_> = matches.row(0).iter().map(|m| (m.row, m.source)).collect();
    assert_eq!(order, [(0, ITSELF), (5, 2), (1, 0), (3, 1)]);
    for (m, threshold) in matches.row(0)[1..].iter().zip([0.90, 0.74, 0.50]) {
        assert!((m.threshold - threshold).abs() < 1e-12, "{m:?}");
    }

    // Image alone needs step 26, its high; by then the others have stood at theirs for long, and
    // neither .50 for TF-IDF nor .30 for BERT lets its row in.
    let late = [
        of_row_0("image", 9, &[(1, 0.495), (2, 0.505)]),
        of_row_0("tfidf", 9, &[(3, 0.505)]),
        of_row_0("bert", 9, &[(4, 0.305)]),
    ];
    assert_eq!(found(&late, &rule), [1]);
    // Nothing lies below the highs.
    let never = [
        of_row_0("image", 9, &[(1, 0.501)]),
        of_row_0("tfidf", 9, &[(2, 0.75)]),
        of_row_0("bert", 9, &[]),
    ];
    assert_eq!(found(&never, &rule), Vec::<u32>::new());
    // Company at step 0 leaves the looser neighbours out.
    let early = [
        of_row_0("image", 9, &[(1, 0.2), (2, 0.245)]),
        of_row_0("tfidf", 9, &[(3, 0.24), (4, 0.26)]),
        of_row_0("bert", 9, &[(5, 0.085)]),
    ];
    assert_eq!(found(&early, &rule), [1, 3]);
}

/// Tan, table of the dynamic threshold's results: six ways to fuse, in the order printed there.
#[test]
fn the_six_rows_of_the_ladder_give_six_answers() {
    let sources = [
        of_row_0("image", 7, &[(1, 0.275), (2, 0.33)]),
        of_row_0("tfidf", 7, &[(3, 0.30), (4, 0.44)]),
        of_row_0("sbert", 7, &[(5, 0.07), (6, 0.19)]),
    ];
    let image = || Rule::sweep().over(0, Steps::IMAGE);
    let tfidf = || Rule::sweep().over(1, Steps::TFIDF);
    let both = || image().over(1, Steps::TFIDF);
    let fixed_tfidf = || Rule::threshold(1, 0.35);
    let fixed_sbert = || Rule::threshold(2, 0.2);
    let ladder = [
        Rule::threshold(0, 0.34).or(fixed_tfidf()),
        image().rule().or(tfidf().rule()),
        image().rule().or(fixed_tfidf()),
        both().rule(),
        both().rule().or(fixed_sbert()),
        Rule::tan_final(0, 1, 2),
    ];
    let answers: Vec<_> = ladder.iter().map(|rule| found(&sources, rule)).collect();
    // The image sweep alone stops at .28, the TF-IDF sweep alone at .45; together they stop when
    // TF-IDF has company at .45 and image stands at .25; with SBERT in, at step 0.
    let expected: [&[u32]; 6] = [
        &[1, 2, 3],
        &[1, 3, 4],
        &[1, 3],
        &[3, 4],
        &[3, 4, 5, 6],
        &[5],
    ];
    assert_eq!(answers, expected);
    // A fixed part inside the sweep counts for the two members; outside it does not.
    assert_eq!(found(&sources, &both().with(fixed_sbert()).rule()), [5, 6]);
    // A sweep inside a sweep runs to its own end first, and then holds the outer one at step 0.
    let nested = Rule::sweep().over(0, Steps::IMAGE).with(tfidf().rule());
    assert_eq!(found(&sources, &nested.rule()), [3, 4]);
    let nothing_inside = both().with(Rule::threshold(2, 0.05)).rule();
    assert_eq!(found(&sources, &nothing_inside), [3, 4]);
}

#[test]
fn a_distance_at_the_threshold_does_not_match() {
    // 1 - 0.75 is 0.25 exactly, and 0.25 + 1 * 0.25 is 0.5 exactly.
    let sources = [of_row_0("tfidf", 3, &[(1, 0.25), (2, 0.5)])];
    assert_eq!(
        found(&sources, &Rule::threshold(0, 0.25)),
        Vec::<u32>::new()
    );
    assert_eq!(found(&sources, &Rule::threshold(0, 0.25f64.next_up())), [1]);
    assert_eq!(found(&sources, &Rule::threshold(0, 0.5)), [1]);
    let sweep = |low, high, step| Rule::sweep().over(0, Steps::new(low, high, step)).rule();
    assert_eq!(found(&sources, &sweep(0.25, 0.5, 0.25)), [1]);
    assert_eq!(found(&sources, &sweep(0.25, 0.25, 0.0)), Vec::<u32>::new());
    assert_eq!(found(&sources, &sweep(0.0, 1.0, 0.25)), [1]);
    // A step wider than the span goes to the high at once.
    assert_eq!(found(&sources, &sweep(0.25, 0.75, 100.0)), [1, 2]);
}

#[test]
fn min2_gives_company_to_rows_left_alone_and_to_no_other() {
    let source = || of_row_0("image", 4, &[(1, 0.3), (2, 0.3), (3, 0.35)]);
    let rule = |first, second| Rule::threshold(0, first).min2(0, second);
    assert_eq!(
        found(&[source()], &rule(0.2, 0.4)),
        [1],
        "the lower of two as near"
    );
    assert_eq!(found(&[source()], &rule(0.2, 0.3)), Vec::<u32>::new());
    assert_eq!(
        found(&[source()], &rule(0.32, 0.4)),
        [1, 2],
        "not left alone"
    );
    // Its nearest neighbour may come from other evidence than the rule's.
    let sources = [source(), of_row_0("text", 4, &[(3, 0.6), (2, 0.7)])];
    let other = Rule::threshold(0, 0.2).min2(1, 0.65);
    assert_eq!(found(&sources, &other), [3]);
    let matches = resolve(&sources, &other, 4).unwrap();
    assert_eq!(matches.row(0)[1].source, 1);
    assert_eq!(matches.row(0)[1].threshold, 1.0 - 0.65);
}

#[test]
fn union_intersection_and_reciprocal() {
    let a = Lists::from_rows([vec![(1, 0.9), (2, 0.8)], vec![(0, 0.9)], vec![(1, 0.8)]]);
    let b = Lists::from_rows([vec![(2, 0.7)], vec![(2, 0.7)], vec![]]);
    let sources = [Source::new("a", a), Source::new("b", b)];
    let rows = |rule: &Rule| resolve(&sources, rule, 3).unwrap().answers();
    let (a, b) = (|| Rule::threshold(0, 0.5), || Rule::threshold(1, 0.5));
    assert_eq!(rows(&a()), [vec![0, 1, 2], vec![1, 0], vec![2, 1]]);
    assert_eq!(rows(&a().and(b())), [vec![0, 2], vec![1], vec![2]]);
    assert_eq!(rows(&a().reciprocal()), [vec![0, 1], vec![1, 0], vec![2]]);
    // 1 -> 2 is b's and 2 -> 1 is a's: together they go both ways.
    let both = a().or(b()).reciprocal();
    assert_eq!(rows(&both), [vec![0, 1], vec![1, 0, 2], vec![2, 1]]);
    // In 0 -> 2, a fired with margin .3 and b with .2.
    let matches = resolve(&sources, &a().or(b()), 3).unwrap();
    let of = |row, score, source| Match {
        row,
        score,
        source,
        threshold: 0.5,
    };
    assert_eq!(matches.row(0)[1..], [of(1, 0.9, 0), of(2, 0.8, 0)]);
    let fired = [of(1, 0.9, 0), of(2, 0.8, 0), of(2, 0.7, 1)];
    assert_eq!(matches.firings(0), fired);
    // Evidence that a rule names twice is one piece of evidence.
    let twice = resolve(&sources, &a().or(b()).or(a()), 3).unwrap();
    assert_eq!(twice, matches);
}

#[test]
fn equal_hashes_join_the_text_sweep_without_ending_it() {
    let hashes = of_row_0("phash", 5, &[(3, 0.0), (4, 0.0)]);
    let titles = of_row_0("tfidf", 5, &[(3, 0.1), (1, 0.3), (2, 0.47)]);
    let sources = [hashes, titles];
    // The title sweep has company (row 3) at step 0 and leaves rows 1 and 2 out.
    let rule = Rule::default_text_phash(0, 1);
    assert_eq!(found(&sources, &rule), [3, 4]);
    let matches = resolve(&sources, &rule, 5).unwrap();
    let first = matches.row(0)[1];
    assert_eq!(
        (first.row, first.source, first.score),
        (3, 0, 1.0),
        "equality is strongest"
    );
    assert_eq!(first.threshold, 1.0);
    assert_eq!(matches.firings(0).len(), 3);
    // Without row 3 the sweep does not see row 4's equal hash, and goes on to row 1 at .45.
    let titles = of_row_0("tfidf", 5, &[(1, 0.3), (2, 0.47)]);
    let sources = [sources[0].clone(), titles];
    assert_eq!(found(&sources, &rule), [1, 3, 4]);
    // Lists with other scores were not searched for equality.
    let (kind, text) = error(&sources, &Rule::Equal { source: 1 }, 5);
    assert_eq!(kind, Kind::Input);
    assert!(text.contains("row 1") && text.contains("tfidf"), "{text}");
}

#[test]
fn at_most_fifty_stay_the_best_and_of_equals_the_lowest_rows() {
    // Row 0 has rows 1..=60 at one score, and row 70 at a better one.
    let mut list: Vec<(u32, f64)> = (1..=60).map(|j| (j, 0.75)).collect();
    list.insert(0, (70, 0.8));
    let mut lists = vec![list];
    lists.resize(71, Vec::new());
    let sources = [Source::new("image", Lists::from_rows(lists))];
    let rule = Rule::threshold(0, 0.5);
    let matches = resolve(&sources, &rule, 71).unwrap();
    let expected: Vec<u32> = [0, 70].into_iter().chain(1..=48).collect();
    assert_eq!(matches.rows(0).collect::<Vec<_>>(), expected);
    assert_eq!(matches.row(0).len(), MAX_MATCHES);
    assert_eq!(matches.firings(0).len(), MAX_MATCHES - 1);
    assert_eq!(matches.pairs(), MAX_MATCHES + 70);
    let rows = |cap| {
        resolve_capped(&sources, &rule, 71, None, cap)
            .unwrap()
            .row(0)
            .len()
    };
    assert_eq!([1, 2, 49].map(rows), [1, 2, 49]);
    for cap in [0, MAX_MATCHES + 1] {
        let error = resolve_capped(&sources, &rule, 71, None, cap).unwrap_err();
        assert_eq!(error.kind(), Kind::Limit);
    }
}

#[test]
fn rows_that_are_unable_match_themselves_alone() {
    let near = of_row_0("image", 4, &[(1, 0.1), (2, 0.3), (3, 0.31)]);
    let mut lists: Vec<Vec<_>> = near.lists.iter().map(|l| l.iter().collect()).collect();
    lists[1] = vec![(0, 0.9)];
    let sources = [Source::new("image", Lists::from_rows(lists))];
    let unable = [false, true, false, false];
    let rows = |rule: Rule| {
        let matches = resolve_capped(&sources, &rule, 4, Some(&unable), 50).unwrap();
        matches.answers()[..2].to_vec()
    };
    assert_eq!(rows(Rule::threshold(0, 0.2)), [vec![0], vec![1]]);
    // Row 1 is no company, so the sweep goes on, and it is not the nearest neighbour either.
    let sweep = Rule::sweep().over(0, Steps::new(0.2, 0.5, 0.105)).rule();
    assert_eq!(rows(sweep), [vec![0, 2], vec![1]]);
    assert_eq!(
        rows(Rule::threshold(0, 0.2).min2(0, 0.4)),
        [vec![0, 2], vec![1]]
    );
    assert_eq!(
        rows(Rule::threshold(0, 0.2).reciprocal()),
        [vec![0], vec![1]]
    );
    let error = resolve_capped(&sources, &Rule::threshold(0, 0.2), 4, Some(&[true]), 50);
    assert_eq!(error.unwrap_err().kind(), Kind::Shape);
}

#[test]
fn small_and_empty_inputs() {
    let rule = Rule::threshold(0, 0.5);
    let none = resolve(&[Source::new("image", Lists::default())], &rule, 0).unwrap();
    assert!(none.is_empty());
    assert_eq!(none, Matches::default());
    // One row; a row alone in its list; a row with no list at all (a TF-IDF row of zeros).
    for list in [vec![(0, 1.0)], vec![], vec![(0, 0.2)]] {
        let sources = [Source::new("image", Lists::from_rows([list]))];
        let matches = resolve(&sources, &rule, 1).unwrap();
        assert_eq!(matches.len(), 1);
        assert_eq!(matches.row(0).len(), 1);
        assert_eq!((matches.row(0)[0].row, matches.row(0)[0].score), (0, 1.0));
        assert!(matches.firings(0).is_empty());
    }
    // Both zeros are the same score, in either order that a search may leave them in.
    for zeros in [[(0, -0.0), (1, 0.0)], [(1, 0.0), (0, -0.0)]] {
        let sources = [Source::new(
            "image",
            Lists::from_rows([vec![], vec![], zeros.to_vec()]),
        )];
        let matches = resolve(&sources, &Rule::threshold(0, 1.5), 3).unwrap();
        assert_eq!(matches.rows(2).collect::<Vec<_>>(), [2, 0, 1]);
    }
    // Rounding may put a cosine above 1; the row itself still comes first.
    let above = Lists::from_rows([vec![(1, 1.0 + 1e-7), (0, 1.0)], vec![]]);
    let matches = resolve(&[Source::new("image", above)], &rule, 2).unwrap();
    assert_eq!(matches.rows(0).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn rules_that_cannot_run_are_refused() {
    let sources = [of_row_0("image", 2, &[(1, 0.5)])];
    let sweep = |low, high, step| Rule::sweep().over(0, Steps::new(low, high, step)).rule();
    let refused = [
        (Rule::threshold(1, 0.5), "source 1 of 1"),
        (Rule::Equal { source: 7 }, "source 7"),
        (Rule::threshold(0, f64::NAN), "NaN"),
        (Rule::threshold(0, -0.1), "-0.1"),
        (Rule::threshold(0, 2.1), "2.1"),
        (Rule::threshold(0, f64::INFINITY), "inf"),
        (sweep(0.5, 0.4, 0.1), "0.5 down to 0.4"),
        (sweep(f64::NAN, 0.4, 0.1), "low is NaN"),
        (sweep(0.1, f64::NAN, 0.1), "high is NaN"),
        (sweep(0.1, 0.4, f64::NAN), "step is NaN"),
        (sweep(0.1, 0.4, -0.1), "step is -0.1"),
        (sweep(0.1, 0.4, f64::INFINITY), "step is inf"),
        (sweep(0.1, 0.4, 0.0), "step of 0"),
        (sweep(0.1, 0.4, 1e-12), "step of 0.000000000001"),
        (sweep(0.1, 2.5, 0.1), "high is 2.5"),
        (Rule::sweep().over(3, Steps::IMAGE).rule(), "source 3"),
        (Rule::sweep().rule(), "sweep of nothing"),
        (Rule::Union(vec![]), "of nothing"),
        (Rule::Intersection(vec![]), "of nothing"),
        (Rule::threshold(0, 0.1).min2(1, 0.5), "source 1"),
        (Rule::threshold(0, 0.1).min2(0, 3.0), "Min2 is 3"),
        (Rule::threshold(4, 0.1).reciprocal(), "source 4"),
        (
            Rule::sweep().with(Rule::threshold(9, 0.1)).rule(),
            "source 9",
        ),
    ];
    for (rule, part) in refused {
        let (kind, text) = error(&sources, &rule, 2);
        assert_eq!(kind, Kind::Input, "{text}");
        assert!(text.contains(part) && text.contains(';'), "{text}: {part}");
    }
    let nested =
        |levels: usize| (1..levels).fold(Rule::threshold(0, 0.6), |rule, _| rule.reciprocal());
    assert!(resolve(&sources, &nested(MAX_RULE_DEPTH), 2).is_ok());
    assert_eq!(
        error(&sources, &nested(MAX_RULE_DEPTH + 1), 2).0,
        Kind::Limit
    );
}

#[test]
fn lists_that_break_their_contract_are_refused() {
    let rule = Rule::threshold(0, 0.5);
    let refused = [
        (vec![(1, f64::NAN)], "not finite"),
        (vec![(1, f64::INFINITY)], "not finite"),
        (vec![(2, 0.5)], "outside"),
        (vec![(u32::MAX, 0.5)], "outside"),
        (vec![(1, 0.5), (0, 0.6)], "best first"),
        (vec![(1, 0.5), (0, 0.5)], "best first"),
    ];
    for (list, part) in refused {
        let sources = [Source::new("odd", Lists::from_rows([vec![], list]))];
        let (kind, text) = error(&sources, &rule, 2);
        assert_eq!(kind, Kind::Input);
        assert!(
            text.contains("row 2: ") && text.contains("source odd"),
            "{text}"
        );
        assert!(text.contains(part), "{text}: {part}");
    }
    let sources = [of_row_0("image", 3, &[(1, 0.1)])];
    let (kind, text) = error(&sources, &rule, 4);
    assert_eq!(kind, Kind::Shape);
    assert!(text.contains("image"), "{text}");
}

// Files.

#[test]
fn matches_and_pairs_as_files() {
    let hashes = Lists::from_rows([vec![(1, 1.0)], vec![(0, 1.0)], vec![], vec![]]);
    let titles = Lists::from_rows([
        vec![(1, 0.9), (3, 0.8), (2, 0.1)],
        vec![(0, 0.9)],
        vec![(1, 1.0 / 3.0)],
        vec![],
    ]);
    let sources = [Source::new("phash", hashes), Source::new("tf,idf", titles)];
    let rule = Rule::Equal { source: 0 }.or(Rule::threshold(1, 0.75));
    let matches = resolve(&sources, &rule, 4).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (m, p) = (dir.path().join("matches.csv"), dir.path().join("pairs.csv"));
    // Row 3 is unusable: no line of its own, in no other line.
    let ids = ["train_1", "a,\"b\"", "ü", ""];
    write_matches(&m, Ids::of(&ids), &matches).unwrap();
    write_pairs(&p, Ids::of(&ids), &matches, &["phash", "tf,idf"]).unwrap();
    let read = |path| std::fs::read_to_string(path).unwrap();
    assert_eq!(
        read(&m),
        "posting_id,matches\n\
         train_1,\"train_1 a,\"\"b\"\"\"\n\
         \"a,\"\"b\"\"\",\"a,\"\"b\"\" train_1\"\n\
         ü,\"ü a,\"\"b\"\"\"\n"
    );
    assert_eq!(
        read(&p),
        "from,to,score,source,threshold\n\
         train_1,\"a,\"\"b\"\"\",1,phash,1\n\
         train_1,\"a,\"\"b\"\"\",0.9,\"tf,idf\",0.25\n\
         \"a,\"\"b\"\"\",train_1,1,phash,1\n\
         \"a,\"\"b\"\"\",train_1,0.9,\"tf,idf\",0.25\n\
         ü,\"a,\"\"b\"\"\",0.3333333333333333,\"tf,idf\",0.25\n"
    );
    let answers = doppel::evaluate::read_matches(&m).unwrap();
    let expected = [
        ("train_1", vec!["train_1", "a,\"b\""]),
        ("a,\"b\"", vec!["a,\"b\"", "train_1"]),
        ("ü", vec!["ü", "a,\"b\""]),
    ];
    assert_eq!(answers.len(), 3);
    for ((id, others), (expected_id, expected_others)) in answers.iter().zip(&expected) {
        assert_eq!(
            (id.as_str(), others),
            (
                *expected_id,
                &expected_others.iter().map(|s| s.to_string()).collect()
            )
        );
    }
}

#[test]
fn files_that_cannot_be_right_are_not_written() {
    let sources = [of_row_0("image", 2, &[(1, 0.1)])];
    let matches = resolve(&sources, &Rule::threshold(0, 0.5), 2).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.csv");
    let short = write_matches(&path, Ids::of(&["a"]), &matches).unwrap_err();
    assert_eq!(short.kind(), Kind::Shape);
    let spaced = write_matches(&path, Ids::of(&["a", "b c"]), &matches).unwrap_err();
    assert!(spaced.to_string().contains("row 2"), "{spaced}");
    let unnamed = write_pairs(&path, Ids::of(&["a", "b"]), &matches, &[]).unwrap_err();
    assert!(unnamed.to_string().contains("row 1"), "{unnamed}");
    assert!(!path.exists());
    // No rows at all: a header.
    let none = Matches::default();
    write_matches(&path, Ids::of(&[]), &none).unwrap();
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        "posting_id,matches\n"
    );
    write_pairs(&path, Ids::of(&[]), &none, &[]).unwrap();
    let header = "from,to,score,source,threshold\n";
    assert_eq!(std::fs::read_to_string(&path).unwrap(), header);
}
