//! Rules on the cards against `matching` on the host: the same matches and the same evidence, to the bit.

use std::cell::Cell;
use std::sync::Arc;

use doppel::device::gpu::RuleTuning;
use doppel::device::{CardLists, Device, Fired, GpuDevice, RuleOp, RuleProgram, Stream};
use doppel::error::{Kind, Result};
use doppel::limits::{MAX_CARD_FIRED, MAX_MATCHES};
use doppel::lists::{Lists, best_first};
use doppel::matching::{
    Firing, Part, Rule, Source, Steps, Sweeper, Unable, resolve_against, resolve_capped,
    resolve_with,
};
use doppel::recipe::program;
use fastrand::Rng;

use crate::harness::{cards, light, thin};

/// The sources of every random rule: equal rows, and three kinds of evidence.
const SOURCES: usize = 4;

/// A rule of any kind, at most `depth` levels deep.
fn rule(random: &mut Rng, depth: usize, reciprocal: bool) -> Rule {
    let kinds = if depth == 0 { 3 } else { 8 };
    let one = |random: &mut Rng| rule(random, depth - 1, reciprocal);
    let some = |random: &mut Rng| (0..random.usize(1..4)).map(|_| one(random)).collect();
    match random.usize(0..kinds) {
        0 => Rule::Equal { source: 0 },
        1 => Rule::threshold(random.usize(0..SOURCES), distance(random)),
        2 | 3 => {
            let mut parts = Vec::new();
            for _ in 0..random.usize(1..4) {
                parts.push(if depth > 0 && random.u8(0..3) == 0 {
                    Part::Fixed(one(random))
                } else {
                    Part::Swept {
                        source: random.usize(1..SOURCES),
                        steps: steps(random),
                    }
                });
            }
            Rule::Sweep(parts)
        }
        4 => Rule::Union(some(random)),
        5 => Rule::Intersection(some(random)),
        6 if reciprocal => one(random).reciprocal(),
        _ => one(random).min2(random.usize(1..SOURCES), distance(random)),
    }
}

/// Multiples of 1/64, as the scores are, so that many distances are just a threshold.
fn distance(random: &mut Rng) -> f64 {
    f64::from(random.u32(0..48)) / 64.0
}

fn steps(random: &mut Rng) -> Steps {
    let (a, b) = (distance(random), distance(random));
    match random.u8(0..6) {
        0 => Steps::IMAGE,
        1 => Steps::TFIDF,
        2 => Steps::new(a, a, 0.0),
        3 => Steps::new(a.min(b), a.max(b), 1e-5),
        _ => Steps::new(a.min(b), a.max(b), 1.0 / 64.0),
    }
}

/// Evidence over `rows` rows; with `gallery` it names those, and else the rows themselves.
fn sources(random: &mut Rng, rows: usize, gallery: Option<usize>, most: usize) -> Vec<Source> {
    let others = gallery.unwrap_or(rows);
    let mut all = Vec::new();
    for source in 0..SOURCES {
        let score = |random: &mut Rng| {
            let border = 1.0 - distance(random);
            match random.u8(0..8) {
                _ if source == 0 => 1.0,
                0 => border.next_up(),
                1 => border.next_down(),
                2 => 1.0 - Steps::IMAGE.at(random.u32(0..28)),
                _ => border,
            }
        };
        let list = |i: usize, random: &mut Rng| {
            let mut list: Vec<(u32, f64)> = Vec::new();
            for _ in 0..random.usize(0..=most) {
                // Near rows, so that much goes both ways.
                let other = (i + random.usize(0..9)) % others;
                if list.iter().all(|(j, _)| *j as usize != other) {
                    list.push((other as u32, score(random)));
                }
            }
            list.sort_by(best_first);
            list
        };
        let lists = Lists::from_rows((0..rows).map(|i| list(i, random)).collect::<Vec<_>>());
        all.push(Source::new(format!("source {source}"), lists));
    }
    all
}

/// A card as what `matching` runs rules on.
struct OnCard<'a> {
    card: &'a GpuDevice,
    tuning: RuleTuning,
    ran: Cell<usize>,
}

impl<'a> OnCard<'a> {
    fn new(card: &'a Arc<GpuDevice>, tuning: RuleTuning) -> Self {
        let ran = Cell::new(0);
        OnCard { card, tuning, ran }
    }
}

impl Sweeper for OnCard<'_> {
    fn fire(
        &self,
        evidence: &[&Lists],
        rule: &Rule,
        unable: Option<&[bool]>,
        cap: usize,
        row: &mut dyn FnMut(&[Firing]),
    ) -> Result<bool> {
        let kept: Vec<CardLists> = evidence
            .iter()
            .map(|lists| self.card.fusion()?.lists(lists, Stream::DEFAULT))
            .collect::<Result<_>>()?;
        let kept: Vec<&CardLists> = kept.iter().collect();
        let program = program(rule, evidence.len())?;
        let fired = self
            .card
            .fire_tuned(&program, &kept, unable, cap, &self.tuning)?;
        for i in 0..fired.len() {
            let firing = |f: &Fired| Firing {
                row: f.row,
                source: f.source,
                score: f.score,
                threshold: f.threshold,
            };
            row(&fired.row(i).iter().map(firing).collect::<Vec<_>>());
        }
        self.ran.set(self.ran.get() + 1);
        Ok(true)
    }

    fn sweep(
        &self,
        _evidence: &[&Lists],
        _steps: &[Steps],
        _unable: Option<&[bool]>,
    ) -> Result<Vec<Vec<Firing>>> {
        panic!("the rule runs whole")
    }
}

/// Everything at once, and a row at a time by one block.
fn tunings() -> impl Iterator<Item = RuleTuning> {
    let cut = RuleTuning {
        slab: 5000,
        scratch: 1,
    };
    thin(vec![RuleTuning::default(), cut])
}

/// Compares one rule on every card; gives how much fired.
fn check(
    sources: &[Source],
    rule: &Rule,
    rows: usize,
    unable: Option<&[bool]>,
    cap: usize,
) -> usize {
    let want = resolve_capped(sources, rule, rows, unable, cap).unwrap();
    for card in cards() {
        for tuning in tunings() {
            let on = OnCard::new(&card, tuning);
            let have = resolve_with(sources, rule, rows, unable, cap, Some(&on)).unwrap();
            assert_eq!(on.ran.get(), 1);
            for i in 0..rows {
                assert_eq!(have.firings(i), want.firings(i), "row {i} under {rule:?}");
            }
            assert_eq!(have, want, "{rule:?}");
        }
    }
    (0..rows).map(|i| want.firings(i).len()).sum()
}

#[test]
fn a_case_worked_by_hand() {
    let near = Lists::from_rows([
        vec![(0, 1.0), (1, 0.75), (2, 0.5)],
        vec![(2, 0.7501), (0, 0.75)],
        vec![(0, 0.45)],
        vec![],
    ]);
    let equal = Lists::from_rows([vec![(3, 1.0)], vec![], vec![], vec![(0, 1.0)]]);
    let sources = [Source::new("equal", equal), Source::new("near", near)];
    let sweep = Rule::sweep().over(1, Steps::new(0.25, 0.5, 0.125)).rule();
    let rule = Rule::Equal { source: 0 }.or(sweep.min2(1, 0.6));
    for card in cards() {
        let on = OnCard::new(&card, RuleTuning::default());
        let have = resolve_with(&sources, &rule, 4, None, 50, Some(&on)).unwrap();
        assert_eq!(have.rows(0).collect::<Vec<_>>(), [0, 3, 1]);
        assert_eq!(have.row(0)[2].threshold, 0.625);
        assert_eq!(have.rows(1).collect::<Vec<_>>(), [1, 2]);
        // Left alone, and its nearest has d = .55 < .6.
        assert_eq!(have.rows(2).collect::<Vec<_>>(), [2, 0]);
        assert_eq!(have.rows(3).collect::<Vec<_>>(), [3, 0]);
    }
    assert!(check(&sources, &rule, 4, None, 50) > 0);
    // 1 - .75 is not below .25, and 1 - .7501 is.
    let border = Rule::threshold(1, 0.0).min2(1, 0.25);
    assert_eq!(check(&sources, &border, 4, None, 50), 1);
}

#[test]
fn random_rules_over_random_lists() {
    let mut random = Rng::with_seed(17);
    let mut fired = 0;
    for case in 0..if light() { 6 } else { 120 } {
        let rows = [1, 7, 13][case % 3];
        let sources = sources(&mut random, rows, None, [3, 8][case % 2]);
        let unable: Vec<bool> = (0..rows).map(|_| random.u8(0..6) == 0).collect();
        let rule = rule(&mut random, 3, true);
        let unable = random.bool().then_some(&unable[..]);
        fired += check(&sources, &rule, rows, unable, [50, 3, 1, 2][case % 4]);
    }
    assert!(fired > 300 || light(), "{fired}");
}

#[test]
fn queries_against_a_gallery() {
    let mut random = Rng::with_seed(23);
    for _ in 0..if light() { 2 } else { 30 } {
        let (queries, gallery) = (random.usize(1..6), random.usize(1..9));
        let sources = sources(&mut random, queries, Some(gallery), 7);
        let mark = |random: &mut Rng, n: usize| -> Vec<bool> {
            (0..n).map(|_| random.u8(0..5) == 0).collect()
        };
        let (left, right) = (mark(&mut random, queries), mark(&mut random, gallery));
        let unable = Unable {
            queries: &left,
            gallery: &right,
        };
        let rule = rule(&mut random, 3, false);
        let want = resolve_against(&sources, &rule, unable, 50, None).unwrap();
        for card in cards() {
            let on = OnCard::new(&card, RuleTuning::default());
            let have = resolve_against(&sources, &rule, unable, 50, Some(&on)).unwrap();
            assert_eq!(have, want, "{rule:?}");
            assert_eq!(on.ran.get(), 1);
        }
    }
}

/// Lists of more than a warp's width, and more matches than a listing may have.
#[test]
fn long_lists_are_capped() {
    let mut random = Rng::with_seed(31);
    let rows = 90;
    let mut lists = |most: usize| {
        Lists::from_rows((0..rows).map(|i| {
            let mut others: Vec<usize> = (0..rows).filter(|&j| j != i).collect();
            random.shuffle(&mut others);
            let all = others.into_iter().take(most);
            let mut list: Vec<(u32, f64)> = all
                .map(|j| (j as u32, 1.0 - f64::from(random.u32(0..40)) / 64.0))
                .collect();
            list.push((i as u32, 1.0));
            list.sort_by(best_first);
            list
        }))
    };
    let two = [Source::new("a", lists(80)), Source::new("b", lists(50))];
    let both = Rule::threshold(0, 0.5).and(Rule::threshold(1, 0.4));
    let all = [
        Rule::threshold(0, 0.7),
        both.clone(),
        Rule::threshold(0, 0.6)
            .or(Rule::threshold(1, 0.6))
            .or(both.reciprocal()),
        Rule::sweep()
            .over(0, Steps::IMAGE)
            .over(1, Steps::IMAGE)
            .rule(),
    ];
    for rule in thin(all.to_vec()) {
        assert!(check(&two, &rule, rows, None, MAX_MATCHES) > 90, "{rule:?}");
    }
}

/// Tan's ladder: DT(a, b) with c fixed, DT(a) united with DT(b), and the final system.
#[test]
fn the_rows_of_the_ladder() {
    let mut random = Rng::with_seed(37);
    let sources = sources(&mut random, 16, None, 8);
    let dt = |parts: &[usize]| {
        let sweep = parts
            .iter()
            .fold(Rule::sweep(), |sweep, &s| sweep.over(s, Steps::IMAGE));
        sweep.rule()
    };
    let fixed = Rule::sweep().over(1, Steps::IMAGE).over(2, Steps::TFIDF);
    let nested = Rule::sweep()
        .over(1, Steps::BERT)
        .with(dt(&[2]).and(dt(&[3])));
    for rule in thin(vec![
        fixed.with(Rule::threshold(3, 0.3)).rule(),
        dt(&[1]).or(dt(&[2])),
        Rule::tan_final(1, 2, 3).or(Rule::Equal { source: 0 }),
        nested.rule().min2(1, 0.7),
        dt(&[1, 2]).reciprocal().min2(3, 0.6).reciprocal(),
    ]) {
        assert!(check(&sources, &rule, 16, None, 50) > 0, "{rule:?}");
    }
}

#[test]
fn what_does_not_run_is_an_error() {
    let lists = Lists::from_rows([vec![(1, 0.9)], vec![(0, 0.9)]]);
    for card in cards() {
        let fusion = card.fusion().unwrap();
        let kept = fusion.lists(&lists, Stream::DEFAULT).unwrap();
        let one = fusion
            .lists(&Lists::from_rows([[(0, 1.0)]]), Stream::DEFAULT)
            .unwrap();
        let kind = |answer: Vec<RuleOp>, sources: &[&CardLists], unable: Option<&[bool]>, cap| {
            let relations = Vec::new();
            let rule = RuleProgram { relations, answer };
            let fired = fusion.fire(&rule, sources, unable, cap, Stream::DEFAULT);
            fired.unwrap_err().kind()
        };
        let near = RuleOp::Threshold {
            source: 0,
            distance: 0.5,
        };
        let part = RuleOp::Swept {
            source: 0,
            low: 0.1,
            high: 0.1,
            step: 0.0,
            last: 0,
        };
        assert_eq!(kind(vec![near], &[&kept, &one], None, 5), Kind::Shape);
        assert_eq!(kind(vec![near], &[&kept], Some(&[true]), 5), Kind::Shape);
        assert_eq!(kind(vec![near], &[&kept], None, 0), Kind::Input);
        assert_eq!(kind(vec![near], &[], None, 5), Kind::Unsupported);
        let min2 = RuleOp::Min2 {
            source: 0,
            distance: 0.5,
        };
        for broken in [
            vec![RuleOp::Equal { source: 1 }],
            vec![min2],
            vec![RuleOp::Both { relation: 0 }],
            vec![RuleOp::Mark, RuleOp::Intersect { parts: 2 }],
            vec![RuleOp::Intersect { parts: 0 }],
            vec![part],
            vec![RuleOp::Mark, RuleOp::Sweep { parts: 2 }, part],
            vec![RuleOp::Mark, RuleOp::Sweep { parts: 1 }, near],
            vec![RuleOp::Sweep { parts: 1 }, part],
        ] {
            assert_eq!(
                kind(broken.clone(), &[&kept], None, 5),
                Kind::Internal,
                "{broken:?}"
            );
        }
        let many = vec![near; MAX_CARD_FIRED + 1];
        assert_eq!(kind(many, &[&kept], None, 5), Kind::Unsupported);
        assert_eq!(
            kind(vec![RuleOp::Mark; 257], &[&kept], None, 5),
            Kind::Unsupported
        );
    }
}
