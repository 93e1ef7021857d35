//! ops: thresholds from labels

use doppel::evaluate::tune::{Bounds, Options, Second, curve, rule};
use doppel::evaluate::{Figures, evaluate};
use doppel::lists::{Lists, best_first};
use doppel::matching::{Rule, Source, Steps, resolve_capped};

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-12
}

/// Random lists, labels and unable rows. Scores are few, so that many are tied; some lie below 0, some
/// above 1; some rows have no neighbours, and some stand in their own lists.
fn random(random: &mut fastrand::Rng) -> (Lists, Vec<Option<u32>>, Vec<bool>) {
    let rows = random.usize(1..40);
    let few = [
        -1.0, -0.25, -0.0, 0.0, 0.125, 0.5, 0.75, 0.9, 0.99, 1.0, 1.5,
    ];
    let lists = Lists::from_rows((0..rows).map(|_| {
        let some = random.usize(0..=rows);
        let mut list = Vec::new();
        for j in 0..rows as u32 {
            if random.usize(0..rows) < some {
                let score = match random.bool() {
                    true => few[random.usize(0..few.len())],
                    false => random.f64() * 2.0 - 1.0,
                };
                list.push((j, score));
            }
        }
        list.sort_by(best_first);
        list.truncate(random.usize(0..60));
        list
    }));
    let groups = random.u32(1..12);
    let mut labels: Vec<Option<u32>> = (0..rows)
        .map(|_| (random.u32(0..10) > 0).then(|| random.u32(0..groups)))
        .collect();
    labels[0] = Some(0);
    let unable = (0..rows).map(|_| random.u32(0..12) == 0).collect();
    (lists, labels, unable)
}

struct Case<'a> {
    sources: Vec<Source>,
    labels: &'a [Option<u32>],
    opt: Options<'a>,
}

impl Case<'_> {
    fn figures(&self, rule: &Rule) -> Figures {
        let (unable, cap) = (self.opt.unable, self.opt.cap);
        let rows = self.labels.len();
        let matches = resolve_capped(&self.sources, rule, rows, unable, cap).unwrap();
        evaluate(self.labels, &matches.answers()).unwrap()
    }

    fn at(&self, distance: f64) -> Figures {
        self.figures(&Rule::threshold(0, distance))
    }

    fn with_min2(&self, first: f64, second: f64) -> Figures {
        self.figures(&Rule::threshold(0, first).min2(0, second))
    }

    /// All thresholds that could differ: each distance, and what lies just above it.
    fn thresholds(&self, within: f64) -> Vec<f64> {
        let scores = self.sources[0].lists.iter();
        let distances = scores.flat_map(|l| l.scores.iter().map(|s| 1.0 - s).collect::<Vec<_>>());
        let mut all: Vec<f64> = distances.flat_map(|d| [d, d.next_up()]).collect();
        all.extend([0.0, within]);
        all.retain(|t| (0.0..=within).contains(t));
        all.sort_by(f64::total_cmp);
        all.dedup();
        all
    }
}

#[test]
fn the_curve_is_what_evaluate_says_at_every_threshold() {
    let mut rng = fastrand::Rng::with_seed(11);
    let (mut inside, mut gained) = (0, 0);
    for round in 0..200 {
        let (lists, labels, unable) = random(&mut rng);
        let within = [2.0, 2.0, 1.0, 0.4][rng.usize(0..4)];
        let case = Case {
            sources: vec![Source::new("it", lists)],
            labels: &labels,
            opt: Options {
                unable: rng.bool().then_some(&unable[..]),
                cap: [1, 2, 3, 10, 50][rng.usize(0..5)],
                points: 23,
            },
        };
        let found = curve(&case.sources[0].lists, &labels, within, &case.opt).unwrap();
        for point in found.points.iter().chain([&found.best]) {
            let slow = case.at(point.distance);
            assert!(close(point.f1, slow.f1), "{round}: {point:?} {slow:?}");
            assert!(close(point.precision, slow.precision), "{round}");
            assert!(close(point.recall, slow.recall), "{round}");
        }
        let by_distance = found.points.is_sorted_by(|a, b| a.distance < b.distance);
        assert!(by_distance && found.points.len() >= 23, "{round}");
        let thresholds = case.thresholds(within);
        let slow: Vec<f64> = thresholds.iter().map(|&t| case.at(t).f1).collect();
        let highest = slow.iter().copied().fold(0.0, f64::max);
        assert!(close(found.best.f1, highest), "{round}: {found:?}");
        assert!((0.0..=within).contains(&found.best.distance), "{round}");
        // The lowest of equal ones, and between two distances.
        let first = slow.iter().position(|f| close(*f, highest)).unwrap();
        assert!(found.best.distance >= thresholds[first], "{round}");
        if let Some(&next) = thresholds[first..]
            .iter()
            .find(|t| case.at(**t) != case.at(thresholds[first]))
        {
            assert!(
                found.best.distance < next || next == thresholds[first].next_up(),
                "{round}"
            );
        }
        inside += usize::from(first > 0);

        let Second { first, distance } = found.min2;
        let slow = case.with_min2(first.distance, distance);
        assert!(close(first.f1, slow.f1), "{round}: {found:?} {slow:?}");
        assert!(close(first.precision, slow.precision), "{round}");
        assert!(close(first.recall, slow.recall), "{round}");
        assert!(first.distance <= distance && distance <= within, "{round}");
        let pairs = thresholds.iter().flat_map(|&a| {
            let from = thresholds.iter().filter(move |&&b| b >= a);
            from.map(move |&b| (a, b))
        });
        let thin = if thresholds.len() > 60 { 17 } else { 1 };
        for (a, b) in pairs.skip(round % thin).step_by(thin) {
            let f1 = case.with_min2(a, b).f1;
            assert!(
                f1 <= first.f1 + 1e-12,
                "{round}: {a} {b} gives {f1}: {found:?}"
            );
        }
        gained += usize::from(first.f1 > found.best.f1 + 1e-9);
    }
    assert!(inside > 50 && gained > 8, "{inside} {gained}");
}

#[test]
fn a_curve_by_hand() {
    // Rows 0 and 1 sell the same, and so do 2 and 3; 1 and 2 are as near as 2 and 3.
    let near = |pairs: &[(u32, f64)]| -> Vec<(u32, f64)> {
        pairs.iter().map(|&(j, d)| (j, 1.0 - d)).collect()
    };
    let lists = Lists::from_rows([
        near(&[(0, 0.0), (1, 0.25)]),
        near(&[(1, 0.0), (0, 0.25), (2, 0.5)]),
        near(&[(2, 0.0), (1, 0.5), (3, 0.5)]),
        near(&[(3, 0.0), (2, 0.5)]),
    ]);
    let labels = [Some(0), Some(0), Some(1), Some(1)];
    let found = curve(
        &lists,
        &labels,
        2.0,
        &Options {
            points: 3,
            ..Options::default()
        },
    )
    .unwrap();
    // Up to .25 all are alone: F1 2/3. From there to .5 rows 0 and 1 are right. Beyond, rows 1 and 2 have
    // one wrong row each.
    let expected = (1.0 + 0.8 + 0.8 + 1.0) / 4.0;
    assert!(close(found.best.f1, expected), "{found:?}");
    assert_eq!(found.best.distance, 0.51);
    assert_eq!(found.points.len(), 3);
    assert!(close(found.points[0].f1, 2.0 / 3.0), "{found:?}");
    // With Min2 from .25 on: row 2 takes row 1, of two as near, and row 3 takes row 2. That is worse.
    let case = Case {
        sources: vec![Source::new("it", lists.clone())],
        labels: &labels,
        opt: Options::default(),
    };
    assert!(close(case.with_min2(0.3, 0.6).f1, 3.5 / 4.0));
    assert_eq!(found.min2.first, found.best);
    assert_eq!(found.min2.distance, found.best.distance);
    assert!(curve(&lists, &[None; 4], 2.0, &Options::default()).is_err());
    assert!(curve(&lists, &labels[..3], 2.0, &Options::default()).is_err());
    assert!(curve(&lists, &labels, f64::NAN, &Options::default()).is_err());
    let none = Options {
        cap: 0,
        ..Options::default()
    };
    assert!(curve(&lists, &labels, 2.0, &none).is_err());
}

/// Two kinds of evidence over groups of three: `a` is right below .3 and wrong above, `b` below .12.
fn made_up(groups: usize) -> (Vec<Source>, Vec<Option<u32>>) {
    let mut rng = fastrand::Rng::with_seed(4);
    let rows = groups * 3;
    let mut source = |name: &str, border: f64, share: f64| {
        let lists = (0..rows as u32).map(|i| {
            let mut list = vec![(i, 1.0)];
            for j in (i / 3 * 3)..(i / 3 * 3 + 3) {
                if j != i && rng.f64() < share {
                    list.push((j, 1.0 - rng.f64() * border));
                }
            }
            for _ in 0..3 {
                let j = rng.u32(0..rows as u32);
                if list.iter().all(|l| l.0 != j) && j / 3 != i / 3 {
                    list.push((j, 1.0 - border - rng.f64() * (0.9 - border)));
                }
            }
            list.sort_by(best_first);
            list
        });
        Source::new(name, Lists::from_rows(lists.collect::<Vec<_>>()))
    };
    let sources = vec![source("a", 0.3, 0.7), source("b", 0.12, 0.7)];
    let labels = (0..rows as u32).map(|i| Some(i / 3)).collect();
    (sources, labels)
}

#[test]
fn a_union_finds_both_borders() {
    let (sources, labels) = made_up(60);
    let start = Rule::threshold(0, 0.6).or(Rule::threshold(1, 0.02));
    let bounds = Bounds {
        within: &[0.99, 0.99],
        fixed: &[],
    };
    let tuned = rule(&sources, &start, &labels, &bounds, &Options::default()).unwrap();
    let numbers: Vec<f64> = tuned.rule.numbers().iter().map(|n| n.value).collect();
    assert!((numbers[0] - 0.3).abs() < 0.02, "{numbers:?}");
    assert!((numbers[1] - 0.12).abs() < 0.02, "{numbers:?}");
    assert!(tuned.after.f1 > 0.93 && tuned.before.f1 < 0.8, "{tuned:?}");
    let again = Case {
        sources: sources.clone(),
        labels: &labels,
        opt: Options::default(),
    };
    assert_eq!(again.figures(&tuned.rule), tuned.after);
    assert_eq!(again.figures(&start), tuned.before);

    // A number that is fixed stays.
    let bounds = Bounds {
        fixed: &[0],
        ..bounds
    };
    let tuned = rule(&sources, &start, &labels, &bounds, &Options::default()).unwrap();
    assert_eq!(tuned.rule.numbers()[0].value, 0.6);
    // No number goes where the lists are not whole.
    let bounds = Bounds {
        within: &[0.1, 0.05],
        fixed: &[],
    };
    let tuned = rule(
        &sources,
        &Rule::threshold(0, 0.02).or(Rule::threshold(1, 0.02)),
        &labels,
        &bounds,
        &Options::default(),
    )
    .unwrap();
    assert!(tuned.rule.numbers()[0].value <= 0.1 && tuned.rule.numbers()[1].value <= 0.05);
}

#[test]
fn one_threshold_takes_the_exact_best() {
    let mut rng = fastrand::Rng::with_seed(8);
    for _ in 0..40 {
        let (lists, labels, _) = random(&mut rng);
        let opt = Options::default();
        let exact = curve(&lists, &labels, 1.5, &opt).unwrap();
        let sources = [Source::new("it", lists)];
        let bounds = Bounds {
            within: &[1.5],
            fixed: &[],
        };
        let one = rule(&sources, &Rule::threshold(0, 0.4), &labels, &bounds, &opt).unwrap();
        assert!(close(one.after.f1, exact.best.f1), "{one:?}");
        let two = Rule::threshold(0, 0.4).min2(0, 0.5);
        let two = rule(&sources, &two, &labels, &bounds, &opt).unwrap();
        assert!(close(two.after.f1, exact.min2.first.f1), "{two:?}");
    }
}

#[test]
fn f1_never_falls_and_equal_numbers_stay_near() {
    let mut rng = fastrand::Rng::with_seed(21);
    let mut rose = 0;
    for round in 0..12 {
        let (a, labels, unable) = random(&mut rng);
        let b = Lists::from_rows(a.iter().map(|l| l.iter().step_by(2).collect::<Vec<_>>()));
        let sources = [Source::new("a", a), Source::new("b", b)];
        let rules = [
            Rule::sweep()
                .over(0, Steps::IMAGE)
                .over(1, Steps::TFIDF)
                .rule(),
            Rule::threshold(0, 0.3)
                .and(Rule::threshold(1, 0.4))
                .min2(0, 0.6),
            Rule::threshold(0, 0.3)
                .reciprocal()
                .or(Rule::threshold(1, 0.1)),
        ];
        let opt = Options {
            unable: Some(&unable),
            ..Options::default()
        };
        let bounds = Bounds {
            within: &[0.99, 0.99],
            fixed: &[],
        };
        let start = &rules[round % 3];
        let tuned = rule(&sources, start, &labels, &bounds, &opt).unwrap();
        assert!(tuned.after.f1 >= tuned.before.f1, "{tuned:?}");
        assert_eq!(
            tuned,
            rule(&sources, start, &labels, &bounds, &opt).unwrap()
        );
        tuned.rule.validate(2).unwrap();
        rose += usize::from(tuned.after.f1 > tuned.before.f1);
    }
    assert!(rose > 6, "{rose}");
    // Nothing is to be gained: the numbers stay.
    let lists = Lists::from_rows([vec![(0, 1.0)], vec![(1, 1.0)]]);
    let sources = [Source::new("a", lists.clone()), Source::new("b", lists)];
    let bounds = Bounds {
        within: &[0.99, 0.99],
        fixed: &[],
    };
    let start = Rule::threshold(0, 0.33).or(Rule::threshold(1, 0.44));
    let same = rule(
        &sources,
        &start,
        &[Some(0), Some(1)],
        &bounds,
        &Options::default(),
    )
    .unwrap();
    assert_eq!(same.rule, start);
}
