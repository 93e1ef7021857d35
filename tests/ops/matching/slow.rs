//! Matching against an independent version, written from the formulas: every step walked, every pair
//! looked at. And the same matches from any number of threads.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use doppel::Result;
use doppel::lists::{Lists, best_first};
use doppel::matching::{
    Firing, ITSELF, Match, Part, Rule, Source, Steps, Sweeper, resolve, resolve_capped,
    resolve_with,
};

struct Case {
    rows: u32,
    /// For each source, the score of each listed pair.
    scores: Vec<BTreeMap<(u32, u32), f64>>,
    unable: Vec<bool>,
    /// How often a distance met a threshold that it equals.
    borders: Cell<usize>,
}

/// What fired for each pair: (source, bits of the distance threshold; none for equality).
type Fired = BTreeMap<(u32, u32), BTreeSet<(usize, Option<u64>)>>;

impl Case {
    fn d(&self, source: usize, i: u32, j: u32) -> Option<f64> {
        let able = !self.unable[i as usize] && !self.unable[j as usize];
        let score = self.scores[source]
            .get(&(i, j))
            .filter(|_| i != j && able)?;
        Some(1.0 - score)
    }

    fn below(&self, source: usize, i: u32, threshold: f64, fired: &mut Fired) {
        for j in 0..self.rows {
            let Some(d) = self.d(source, i, j) else {
                continue;
            };
            if d < threshold {
                let evidence = (source, Some(threshold.to_bits()));
                fired.entry((i, j)).or_default().insert(evidence);
            }
            self.borders
                .set(self.borders.get() + usize::from(d == threshold));
        }
    }

    fn slow(&self, rule: &Rule) -> Fired {
        let mut fired = Fired::new();
        match rule {
            Rule::Threshold { source, distance } => {
                (0..self.rows).for_each(|i| self.below(*source, i, *distance, &mut fired));
            }
            Rule::Equal { source } => {
                for i in 0..self.rows {
                    for j in 0..self.rows {
                        if self.d(*source, i, j).is_some() {
                            fired.entry((i, j)).or_default().insert((*source, None));
                        }
                    }
                }
            }
            Rule::Sweep(parts) => {
                (0..self.rows).for_each(|i| self.slow_sweep(parts, i, &mut fired));
            }
            Rule::Union(rules) => {
                for rule in rules {
                    merge(&mut fired, self.slow(rule), |_| true);
                }
            }
            Rule::Intersection(rules) => {
                let all: Vec<_> = rules.iter().map(|rule| self.slow(rule)).collect();
                for one in &all {
                    let common = |pair: &_| all.iter().all(|other| other.contains_key(pair));
                    merge(&mut fired, one.clone(), common);
                }
            }
            Rule::Reciprocal(rule) => {
                let inner = self.slow(rule);
                merge(&mut fired, inner.clone(), |&(i, j)| {
                    inner.contains_key(&(j, i))
                });
            }
            Rule::Min2 {
                rule,
                source,
                distance,
            } => {
                fired = self.slow(rule);
                for i in 0..self.rows {
                    if fired.keys().any(|&(from, _)| from == i) {
                        continue;
                    }
                    let listed = (0..self.rows).filter_map(|j| Some((self.d(*source, i, j)?, j)));
                    let score = |j: u32| self.scores[*source][&(i, j)];
                    let nearest =
                        listed.max_by(|a, b| score(a.1).total_cmp(&score(b.1)).then(b.1.cmp(&a.1)));
                    if let Some((_, j)) = nearest.filter(|&(d, _)| d < *distance) {
                        let evidence = (*source, Some(distance.to_bits()));
                        fired.entry((i, j)).or_default().insert(evidence);
                    }
                }
            }
        }
        fired
    }

    fn slow_sweep(&self, parts: &[Part], i: u32, fired: &mut Fired) {
        for t in 0.. {
            let mut matches = Fired::new();
            let mut all_at_high = true;
            for part in parts {
                match part {
                    Part::Swept { source, steps } => {
                        let threshold = (steps.low + t as f64 * steps.step).min(steps.high);
                        all_at_high &= threshold >= steps.high;
                        self.below(*source, i, threshold, &mut matches);
                    }
                    Part::Fixed(rule) => {
                        merge(&mut matches, self.slow(rule), |&(from, _)| from == i);
                    }
                }
            }
            let members = 1 + matches.len();
            if members >= 2 || all_at_high {
                merge(fired, matches, |_| true);
                return;
            }
        }
    }

    /// What `Matches` should hold for row `i`: its matches and its firings.
    fn expected(&self, fired: &Fired, i: u32, cap: usize) -> (Vec<Match>, Vec<Match>) {
        let mut members = Vec::new();
        for ((_, j), evidence) in fired.range((i, 0)..=(i, u32::MAX)) {
            let mut evidence: Vec<_> = evidence
                .iter()
                .map(|&(source, distance)| Match {
                    row: *j,
                    score: self.scores[source][&(i, *j)],
                    source: source as u16,
                    threshold: distance.map_or(1.0, |bits| 1.0 - f64::from_bits(bits)),
                })
                .collect();
            // A floor of 1 first, then the larger margin, the lower source, the higher threshold: the
            // sorts are stable, so the last one weighs most.
            evidence.sort_by(|a, b| b.threshold.total_cmp(&a.threshold));
            evidence.sort_by_key(|m| m.source);
            let margin = |m: &Match| m.score - m.threshold;
            evidence.sort_by(|a, b| margin(b).partial_cmp(&margin(a)).unwrap());
            evidence.sort_by_key(|m| m.threshold != 1.0);
            evidence.dedup();
            members.push(evidence);
        }
        members.sort_by(|a, b| b[0].score.partial_cmp(&a[0].score).unwrap());
        members.truncate(cap - 1);
        let itself = Match {
            row: i,
            score: 1.0,
            source: ITSELF,
            threshold: 1.0,
        };
        let matches = std::iter::once(itself).chain(members.iter().map(|m| m[0]));
        (matches.collect(), members.concat())
    }
}

fn merge(into: &mut Fired, from: Fired, keep: impl Fn(&(u32, u32)) -> bool) {
    for (pair, evidence) in from {
        if keep(&pair) {
            into.entry(pair).or_default().extend(evidence);
        }
    }
}

struct Made {
    random: fastrand::Rng,
}

impl Made {
    /// A distance on a coarse grid, the borders of the usual sweeps among it.
    fn distance(&mut self) -> f64 {
        match self.random.u8(0..4) {
            0 => f64::from(self.random.u8(0..=20)) * 0.05,
            1 => f64::from(self.random.u8(0..=8)) * 0.25,
            2 => Steps::IMAGE.at(self.random.u32(0..28)),
            _ => Steps::TFIDF.at(self.random.u32(0..3)),
        }
    }

    /// A score on the grid, or one rounding away from it.
    fn score(&mut self) -> f64 {
        let score = 1.0 - self.distance();
        match self.random.u8(0..6) {
            0 => score.next_up(),
            1 => score.next_down(),
            _ => score,
        }
    }

    fn steps(&mut self) -> Steps {
        match self.random.u8(0..4) {
            0 => Steps::IMAGE,
            1 => Steps::TFIDF,
            2 => {
                let low = self.distance().min(1.0);
                Steps::new(low, low, 0.0)
            }
            _ => {
                let (a, b) = (self.distance(), self.distance());
                Steps::new(
                    a.min(b),
                    a.max(b),
                    [0.01, 0.05, 0.125, 0.3][self.random.usize(0..4)],
                )
            }
        }
    }

    /// A rule over sources 1 to 3; source 0 is for equality.
    fn rule(&mut self, depth: usize) -> Rule {
        let source = self.random.usize(1..4);
        let kind = self.random.u8(0..if depth == 0 { 3 } else { 8 });
        let some = self.random.usize(1..4);
        match kind {
            0 => Rule::threshold(source, self.distance()),
            1 => Rule::Equal { source: 0 },
            2 => Rule::sweep().over(source, self.steps()).rule(),
            3 | 4 => {
                let mut sweep = Rule::sweep().over(source, self.steps());
                for _ in 0..some {
                    sweep = match self.random.bool() {
                        true => sweep.over(self.random.usize(1..4), self.steps()),
                        false => sweep.with(self.rule(depth - 1)),
                    };
                }
                sweep.rule()
            }
            5 => Rule::Union((0..some).map(|_| self.rule(depth - 1)).collect()),
            6 => match self.random.bool() {
                true => Rule::Intersection((0..some).map(|_| self.rule(depth - 1)).collect()),
                false => self.rule(depth - 1).reciprocal(),
            },
            _ => self.rule(depth - 1).min2(source, self.distance()),
        }
    }

    fn case(&mut self, rows: u32, density: f64) -> (Case, Vec<Source>) {
        let mut case = Case {
            rows,
            scores: Vec::new(),
            unable: (0..rows).map(|_| self.random.u8(0..8) == 0).collect(),
            borders: Cell::new(0),
        };
        let mut sources = Vec::new();
        for source in 0..4 {
            let mut scores = BTreeMap::new();
            for i in 0..rows {
                for j in 0..rows {
                    if self.random.f64() < density {
                        let score = if source == 0 { 1.0 } else { self.score() };
                        scores.insert((i, j), score);
                    }
                }
            }
            let lists = Lists::from_rows((0..rows).map(|i| {
                let of_row = scores.range((i, 0)..=(i, u32::MAX));
                let mut list: Vec<_> = of_row.map(|((_, j), s)| (*j, *s + 0.0)).collect();
                list.sort_by(best_first);
                list
            }));
            sources.push(Source::new(format!("s{source}"), lists));
            case.scores.push(scores);
        }
        (case, sources)
    }
}

#[test]
fn thousands_of_small_cases_equal_the_slow_version() {
    let mut made = Made {
        random: fastrand::Rng::with_seed(20_240_607),
    };
    let (mut pairs, mut alone, mut borders) = (0, 0, 0);
    for n in 0..6000 {
        let (rows, density) = (made.random.u32(1..9), made.random.f64());
        let (case, sources) = made.case(rows, density);
        let rule = made.rule(n % 4);
        let cap = if n % 5 == 0 { 3 } else { 50 };
        let matches =
            resolve_capped(&sources, &rule, rows as usize, Some(&case.unable), cap).unwrap();
        let fired = case.slow(&rule);
        for i in 0..rows {
            let (expected, evidence) = case.expected(&fired, i, cap);
            assert_eq!(
                matches.row(i as usize),
                expected,
                "case {n}, row {i}, {rule:?}"
            );
            assert_eq!(
                matches.firings(i as usize),
                evidence,
                "case {n}, row {i}, {rule:?}"
            );
            pairs += expected.len() - 1;
            alone += usize::from(expected.len() == 1);
        }
        borders += case.borders.get();
    }
    // The cases are worth something: many pairs, rows left alone, distances at the threshold.
    assert!(
        pairs > 10_000 && alone > 3000 && borders > 5000,
        "{pairs} {alone} {borders}"
    );
}

#[test]
fn the_thread_count_changes_nothing() {
    let mut made = Made {
        random: fastrand::Rng::with_seed(3),
    };
    let rows = 3000;
    let sources: Vec<Source> = (0..3)
        .map(|source| {
            let lists = (0..rows).map(|i| {
                let near: BTreeSet<u32> = (0..30)
                    .map(|_| (i + made.random.u32(0..40)) % rows)
                    .collect();
                let mut list: Vec<_> = near.into_iter().map(|j| (j, made.score())).collect();
                list.sort_by(best_first);
                list
            });
            let lists = lists.collect::<Vec<_>>();
            Source::new(format!("s{source}"), Lists::from_rows(lists))
        })
        .collect();
    let rule = Rule::tan_final(0, 1, 2)
        .reciprocal()
        .or(Rule::threshold(1, 0.3).and(Rule::threshold(2, 0.4)))
        .min2(0, 0.6);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap()
            .install(|| resolve(&sources, &rule, rows as usize).unwrap())
    };
    let one = run(1);
    assert!(one.pairs() > 2 * rows as usize);
    assert_eq!(run(2), one);
    assert_eq!(run(5), one);
}

/// A sweeper that walks every step, and counts how often it is asked.
#[derive(Default)]
struct Walker {
    asked: Cell<usize>,
}

impl Sweeper for Walker {
    fn sweep(
        &self,
        evidence: &[&Lists],
        steps: &[Steps],
        unable: Option<&[bool]>,
    ) -> Result<Vec<Vec<Firing>>> {
        self.asked.set(self.asked.get() + 1);
        let able = |i: usize| !unable.is_some_and(|u| u[i]);
        let row = |i: usize| {
            for t in 0.. {
                let mut fired = Vec::new();
                for (source, (lists, steps)) in evidence.iter().zip(steps).enumerate() {
                    let threshold = (steps.low + t as f64 * steps.step).min(steps.high);
                    for (j, score) in lists.row(i).iter() {
                        if j as usize != i && able(i) && able(j as usize) && 1.0 - score < threshold
                        {
                            let (source, threshold) = (source as u16, 1.0 - threshold);
                            fired.push(Match {
                                row: j,
                                score,
                                source,
                                threshold,
                            });
                        }
                    }
                }
                let over = |s: &Steps| s.low + t as f64 * s.step >= s.high;
                if !fired.is_empty() || steps.iter().all(over) {
                    return fired;
                }
            }
            Vec::new()
        };
        Ok((0..evidence[0].len()).map(row).collect())
    }
}

#[test]
fn a_sweeper_of_its_own_gives_the_same_matches() {
    let mut made = Made {
        random: fastrand::Rng::with_seed(77),
    };
    let (walker, mut pairs) = (Walker::default(), 0);
    for n in 0..1500 {
        let rows = made.random.u32(1..9);
        let (case, sources) = made.case(rows, 0.5);
        let rule = made.rule(n % 4);
        let unable = Some(&case.unable[..]);
        let own = resolve_capped(&sources, &rule, rows as usize, unable, 50).unwrap();
        let other =
            resolve_with(&sources, &rule, rows as usize, unable, 50, Some(&walker)).unwrap();
        assert_eq!(own, other, "case {n}, {rule:?}");
        pairs += own.pairs();
    }
    assert!(
        walker.asked.get() > 300 && pairs > 3000,
        "{} {pairs}",
        walker.asked.get()
    );
}

/// A sweeper that fails, as a card may.
struct Broken;

impl Sweeper for Broken {
    fn sweep(&self, _: &[&Lists], _: &[Steps], _: Option<&[bool]>) -> Result<Vec<Vec<Firing>>> {
        Err(doppel::Error::internal("the card fell off the bus"))
    }
}

#[test]
fn what_a_sweeper_says_comes_through() {
    let sources = [Source::new("s", Lists::from_rows([vec![(0, 1.0)]]))];
    let rule = Rule::sweep().over(0, Steps::TFIDF).rule().reciprocal();
    let error = resolve_with(&sources, &rule, 1, None, 50, Some(&Broken)).unwrap_err();
    assert!(error.to_string().contains("fell off"), "{error}");
}
