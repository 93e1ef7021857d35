//! The cards' threshold sweep against a literal walk over the steps: the same bits of everything.

use doppel::device::{Device, Fired, NaiveDevice, Stream, SweepSteps};
use doppel::error::Kind;
use doppel::lists::{Lists, best_first};

use crate::harness::cards;

const fn steps(low: f64, high: f64, step: f64) -> SweepSteps {
    SweepSteps { low, high, step }
}

/// Tan, table 1: image, TF-IDF and BERT.
const TAN: [SweepSteps; 3] = [
    steps(0.24, 0.50, 0.01),
    steps(0.25, 0.50, 0.20),
    steps(0.08, 0.30, 0.01),
];

/// The design's formula, step by step.
fn walk(
    evidence: &[&Lists],
    steps: &[SweepSteps],
    unable: Option<&[bool]>,
    row: usize,
) -> Vec<Fired> {
    let able = |i: usize| unable.is_none_or(|unable| !unable[i]);
    if !able(row) {
        return Vec::new();
    }
    for t in 0u32.. {
        let mut fired = Vec::new();
        let mut all_at_high = true;
        for (source, (lists, steps)) in evidence.iter().zip(steps).enumerate() {
            let threshold = (steps.low + f64::from(t) * steps.step).min(steps.high);
            all_at_high &= threshold == steps.high;
            for (other, score) in lists.row(row).iter() {
                if other as usize != row && able(other as usize) && 1.0 - score < threshold {
                    let (source, threshold) = (source as u16, 1.0 - threshold);
                    fired.push(Fired {
                        row: other,
                        source,
                        score,
                        threshold,
                    });
                }
            }
        }
        if !fired.is_empty() || all_at_high {
            return fired;
        }
    }
    unreachable!()
}

fn check(evidence: &[&Lists], steps: &[SweepSteps], unable: Option<&[bool]>, what: &str) -> usize {
    let mut found = 0;
    for card in cards() {
        let have = card
            .sweep(evidence, steps, unable, Stream::DEFAULT)
            .unwrap();
        assert_eq!(have.len(), evidence[0].len(), "{what}");
        for (row, have) in have.iter().enumerate() {
            assert_eq!(
                *have,
                walk(evidence, steps, unable, row),
                "{what}: row {row}"
            );
            found += have.len();
        }
    }
    found
}

/// A counter-based random number below `bound`.
fn random(seed: &mut u64, bound: u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) % bound
}

/// Lists of up to `most` neighbours of `rows` rows, with scores that `score` draws; about half of the
/// rows stand in their own list.
fn lists(rows: usize, most: u64, seed: &mut u64, score: impl Fn(&mut u64) -> f64) -> Lists {
    let mut all = Vec::new();
    for row in 0..rows as u64 {
        let mut list: Vec<(u32, f64)> = Vec::new();
        for _ in 0..random(seed, most + 1) {
            let other = random(seed, rows as u64) as u32;
            if u64::from(other) != row && list.iter().all(|(r, _)| *r != other) {
                list.push((other, score(seed)));
            }
        }
        if random(seed, 2) == 0 {
            // Nearest as a rule, but not always.
            let own = if random(seed, 4) == 0 {
                score(seed)
            } else {
                1.0
            };
            list.push((row as u32, own));
        }
        list.sort_by(best_first);
        all.push(list);
    }
    Lists::from_rows(all)
}

#[test]
fn cases_worked_by_hand() {
    let a = Lists::from_rows([
        vec![(0, 1.0), (1, 0.75), (2, 0.5)],
        vec![(1, 1.0), (2, 0.7501), (0, 0.75)],
        vec![(0, 0.5)],
        vec![],
    ]);
    for card in cards() {
        // From .25 by .125 to .5: 1 - .75 is not below .25, and is below .375.
        let have = card
            .sweep(&[&a], &[steps(0.25, 0.5, 0.125)], None, Stream::DEFAULT)
            .unwrap();
        let fired = |row, score, threshold| Fired {
            row,
            source: 0,
            score,
            threshold,
        };
        assert_eq!(have[0], [fired(1, 0.75, 0.625)]);
        assert_eq!(have[1], [fired(2, 0.7501, 0.75)]);
        assert_eq!(have[2], [], "1 - .5 is not below .5");
        assert_eq!(have[3], []);
    }
    assert_eq!(steps(0.25, 0.5, 0.2).table().unwrap(), [0.25, 0.45, 0.5]);
    assert_eq!(steps(0.3, 0.3, 0.0).table().unwrap(), [0.3]);
}

#[test]
fn scores_on_the_borders() {
    // Scores and thresholds are multiples of 1/64, so that many distances are just a threshold.
    let mut seed = 1;
    for case in 0..6 {
        let draw = |seed: &mut u64| 1.0 - random(seed, 40) as f64 / 64.0;
        let (a, b) = (lists(40, 6, &mut seed, draw), lists(40, 3, &mut seed, draw));
        let s = [steps(0.25, 0.5, 0.0625), steps(0.125, 0.375, 0.015_625)];
        let found = check(&[&a, &b], &s, None, &format!("multiples of 1/64, {case}"));
        assert!(found > 20 || cards().is_empty(), "{found}");
    }
}

#[test]
fn scores_next_to_the_borders() {
    // Distances from steps of Tan's tables, and the numbers right below and above.
    let mut seed = 7;
    for case in 0..4 {
        let near = |table: SweepSteps| {
            move |seed: &mut u64| {
                let border = 1.0 - table.at(random(seed, 30) as u32);
                match random(seed, 3) {
                    0 => border.next_down(),
                    1 => border,
                    _ => border.next_up(),
                }
            }
        };
        let all: Vec<Lists> = TAN
            .iter()
            .map(|s| lists(30, 5, &mut seed, near(*s)))
            .collect();
        let evidence: Vec<&Lists> = all.iter().collect();
        check(
            &evidence,
            &TAN,
            None,
            &format!("around Tan's thresholds, {case}"),
        );
    }
}

#[test]
fn long_lists_many_modalities_and_rows_that_may_not_match() {
    let mut seed = 3;
    let draw = |seed: &mut u64| 1.0 - random(seed, 1 << 20) as f64 / f64::from(1 << 20);
    // Lists of several warps' width, the row itself somewhere within.
    let long = lists(150, 120, &mut seed, draw);
    check(&[&long], &[steps(0.5, 0.9, 0.05)], None, "long lists");
    let all: Vec<Lists> = (0..8).map(|_| lists(21, 3, &mut seed, draw)).collect();
    let evidence: Vec<&Lists> = all.iter().collect();
    let s: Vec<SweepSteps> = (0..8)
        .map(|m| steps(0.01 * f64::from(m), 0.6, 0.003))
        .collect();
    check(&evidence, &s, None, "eight modalities");
    let unable: Vec<bool> = (0..21).map(|i| i % 4 == 1).collect();
    check(&evidence, &s, Some(&unable), "some rows unable");
    check(
        &evidence[..1],
        &s[..1],
        Some(&[true; 21]),
        "all rows unable",
    );
    let one = Lists::from_rows([vec![(0, 1.0)]]);
    check(&[&one], &[TAN[0]], None, "one row");
    let none = Lists::default();
    check(&[&none], &[TAN[0]], None, "no rows");
}

#[test]
fn modalities_end_together() {
    // The first reaches its neighbour at step 1; by then the second has loosened to .45.
    let a = Lists::from_rows([vec![(1, 0.755)], vec![]]);
    let b = Lists::from_rows([vec![(1, 0.56), (0, 0.55)], vec![(0, 0.56)]]);
    assert_eq!(check(&[&a, &b], &TAN[..2], None, "two"), 3 * cards().len());
    for card in cards() {
        let have = card
            .sweep(&[&a, &b], &TAN[..2], None, Stream::DEFAULT)
            .unwrap();
        assert_eq!(have[0].iter().map(|f| f.source).collect::<Vec<_>>(), [0, 1]);
    }
}

#[test]
fn a_modality_that_has_reached_its_end_stays_there() {
    // The first stays at .3, just below its neighbour's distance; the second needs 31 steps.
    let a = Lists::from_rows([vec![(0, 1.0), (1, 0.65)], vec![(0, 0.75)]]);
    let b = Lists::from_rows([vec![(1, 0.595)], vec![(0, 0.595)]]);
    let (short, long) = (steps(0.3, 0.3, 0.0), steps(0.1, 0.5, 0.01));
    assert_eq!(
        check(&[&a, &b], &[short, long], None, "short, long"),
        2 * cards().len()
    );
    assert_eq!(
        check(&[&b, &a], &[long, short], None, "long, short"),
        2 * cards().len()
    );
}

#[test]
fn what_cannot_be_swept_is_an_error() {
    let a = Lists::from_rows([vec![(0, 1.0)], vec![]]);
    let b = Lists::from_rows([vec![(0, 1.0)]]);
    let naive = NaiveDevice::default();
    let unknown = naive
        .sweep(&[&a], &TAN[..1], None, Stream::DEFAULT)
        .unwrap_err();
    assert_eq!(unknown.kind(), Kind::Unsupported);
    for card in cards() {
        let kind = |evidence: &[&Lists], s: &[SweepSteps], unable: Option<&[bool]>| {
            card.sweep(evidence, s, unable, Stream::DEFAULT)
                .unwrap_err()
                .kind()
        };
        assert_eq!(kind(&[&a], &TAN, None), Kind::Shape);
        assert_eq!(kind(&[&a, &b], &TAN[..2], None), Kind::Shape);
        assert_eq!(kind(&[&a], &TAN[..1], Some(&[true])), Kind::Shape);
        assert_eq!(kind(&[], &[], None), Kind::Unsupported);
        assert_eq!(kind(&[&a; 9], &[TAN[0]; 9], None), Kind::Unsupported);
        for wrong in [
            steps(0.5, 0.2, 0.1),
            steps(f64::NAN, 0.2, 0.1),
            steps(0.1, 0.2, 0.0),
            steps(0.1, 0.2, 1e-10),
            steps(0.1, 0.2, f64::INFINITY),
            steps(0.1, 0.2, -0.1),
        ] {
            assert_eq!(kind(&[&a], &[wrong], None), Kind::Input, "{wrong:?}");
        }
    }
}
