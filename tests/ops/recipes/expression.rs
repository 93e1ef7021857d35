//! Fusion expressions.

use doppel::limits::{MAX_EXPRESSION_BYTES, MAX_RULE_DEPTH};
use doppel::matching::{Part, Rule, Steps};
use doppel::recipe::{rule_from_text, rule_to_text};

const NAMES: [&str; 4] = ["phash", "photo", "words", "title"];

#[track_caller]
fn rule(text: &str) -> Rule {
    rule_from_text(text, &NAMES).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

fn below(source: usize, distance: f64) -> Rule {
    Rule::threshold(source, distance)
}

#[test]
fn tans_ladder() {
    // Table 4: ECA-NFNet-L0 is photo, TFIDF words, SBert title.
    let (image, tfidf, bert) = (Steps::IMAGE, Steps::TFIDF, Steps::BERT);
    let dt = |source, steps| Rule::sweep().over(source, steps).rule();
    let both = || Rule::sweep().over(1, image).over(2, tfidf);
    let ladder = [
        (
            "photo < .24 or words < .25",
            below(1, 0.24).or(below(2, 0.25)),
        ),
        (
            "sweep(photo < .24 to .50 by .01) or sweep(words < .25 to .50 by .20)",
            dt(1, image).or(dt(2, tfidf)),
        ),
        (
            "sweep(photo < .24 to .50 by .01) or words < .25",
            dt(1, image).or(below(2, 0.25)),
        ),
        (
            "sweep(photo < .24 to .50 by .01, words < .25 to .50 by .20)",
            both().rule(),
        ),
        (
            "sweep(photo < .24 to .50 by .01, words < .25 to .50 by .20) or title < .08",
            both().rule().or(below(3, 0.08)),
        ),
        (
            "sweep(photo < .24 to .50 by .01, words < .25 to .50 by .20, title < .08 to .30 by .01)",
            both().over(3, bert).rule(),
        ),
    ];
    for (text, expected) in ladder {
        assert_eq!(rule(text), expected, "{text}");
        assert_eq!(rule(&rule_to_text(&expected, &NAMES)), expected);
    }
    // What stays as it is counts for the company inside the sweep, and does not outside.
    let inside = rule("sweep(photo < .24 to .50 by .01, words < .25)");
    let fixed = Rule::sweep().over(1, image).with(below(2, 0.25));
    assert_eq!(inside, fixed.rule());
    assert_ne!(
        inside,
        rule("sweep(photo < .24 to .50 by .01) or words < .25")
    );
}

#[test]
fn every_form_means_what_it_says() {
    let either = || below(1, 0.3).or(below(2, 0.4));
    for (text, expected) in [
        ("photo < .3", below(1, 0.3)),
        ("photo<0.3", below(1, 0.3)),
        ("  photo\n<\t3e-1 ", below(1, 0.3)),
        ("photo < +.3", below(1, 0.3)),
        ("photo > 0.75", below(1, 0.25)),
        ("photo > -1", below(1, 2.0)),
        ("(((photo < .3)))", below(1, 0.3)),
        ("equal(phash)", Rule::Equal { source: 0 }),
        ("equal ( phash )", Rule::Equal { source: 0 }),
        ("photo < .3 or words < .4", either()),
        (
            "reciprocal(photo < .3 or words < .4)",
            either().reciprocal(),
        ),
        (
            "min2(photo < .3 or words < .4, title < .6)",
            either().min2(3, 0.6),
        ),
        (
            "min2(photo < .3 or words < .4, title > .5)",
            either().min2(3, 0.5),
        ),
        (
            "photo < .3 and words < .4 or title < .1",
            below(1, 0.3).and(below(2, 0.4)).or(below(3, 0.1)),
        ),
        (
            "title < .1 or photo < .3 and words < .4",
            below(3, 0.1).or(below(1, 0.3).and(below(2, 0.4))),
        ),
        (
            "title < .1 and (photo < .3 or words < .4)",
            below(3, 0.1).and(either()),
        ),
        (
            "title < .1 or photo < .3 or words < .4",
            Rule::Union(vec![below(3, 0.1), below(1, 0.3), below(2, 0.4)]),
        ),
        (
            "title < .1 or (photo < .3 or words < .4)",
            below(3, 0.1).or(either()),
        ),
        (
            "sweep(photo < .3 or words < .4, sweep(title < .1 to .2 by .1), equal(phash))",
            Rule::Sweep(vec![
                Part::Fixed(either()),
                Part::Fixed(Rule::sweep().over(3, Steps::new(0.1, 0.2, 0.1)).rule()),
                Part::Fixed(Rule::Equal { source: 0 }),
            ]),
        ),
    ] {
        assert_eq!(rule(text), expected, "{text}");
    }
}

#[test]
fn printed_forms_are_short() {
    for (printed, same) in [
        ("photo < 0.25", "photo > .75"),
        ("photo < 1e-7", "((photo < .0000001))"),
        (
            "equal(phash) or (photo < 0.3 or words < 0.4)",
            "(equal(phash) or ((photo < .3 or words < .4)))",
        ),
        (
            "equal(phash) or photo < 0.3 and words < 0.4",
            "equal(phash) or (photo < .3 and words < .4)",
        ),
        (
            "(equal(phash) or photo < 0.3) and (words < 0.4 and title < 0.1)",
            "(equal(phash) or photo < .3) and (words < .4 and title < .1)",
        ),
        (
            "min2(sweep(photo < 0.24 to 0.5 by 0.01, words < 2 or title < 0), photo < 0.6)",
            "min2(sweep(photo<.24 to .5 by .01,words<2 or title<0),photo<.6)",
        ),
    ] {
        assert_eq!(rule_to_text(&rule(same), &NAMES), printed);
        assert_eq!(rule(printed), rule(same));
    }
    // A union of one rule is that rule.
    let one = Rule::Union(vec![Rule::Intersection(vec![below(1, 0.3)])]);
    assert_eq!(rule_to_text(&one, &NAMES), "photo < 0.3");
    let kept = Rule::Union(vec![below(1, 0.3).and(below(2, 0.3))]).and(below(3, 0.1));
    let printed = rule_to_text(&kept, &NAMES);
    assert_eq!(printed, "(photo < 0.3 and words < 0.3) and title < 0.1");
}

/// A random rule that is valid.
pub fn random_rule(random: &mut fastrand::Rng, depth: usize) -> Rule {
    let source = random.usize(0..NAMES.len());
    let distance = |random: &mut fastrand::Rng| match random.u8(0..5) {
        0 => f64::from(random.u32(0..=200)) / 100.0,
        1 => random.f64() * 2.0,
        2 => 1.0 - random.f64(),
        3 => random.f64() * 1e-9,
        _ => [0.0, 2.0, 1.0, 0.1 + 0.2, f64::MIN_POSITIVE][random.usize(0..5)],
    };
    let several = |random: &mut fastrand::Rng| -> Vec<Rule> {
        let many = random.usize(2..4);
        (0..many).map(|_| random_rule(random, depth + 1)).collect()
    };
    match if depth > 5 {
        random.u8(0..2)
    } else {
        random.u8(0..8)
    } {
        0 => Rule::Equal { source },
        1 => below(source, distance(random)),
        2 | 3 => Rule::Union(several(random)),
        4 => Rule::Intersection(several(random)),
        5 => random_rule(random, depth + 1).reciprocal(),
        6 => random_rule(random, depth + 1).min2(source, distance(random)),
        _ => {
            let mut sweep = Rule::sweep();
            for _ in 0..random.usize(1..4) {
                let (a, b) = (distance(random), distance(random));
                sweep = match random.u8(0..4) {
                    0 => sweep.with(random_rule(random, depth + 1)),
                    1 => sweep.over(random.usize(0..4), Steps::new(a, a, 0.0)),
                    _ => {
                        let step = 1e-3 + random.f64();
                        sweep.over(random.usize(0..4), Steps::new(a.min(b), a.max(b), step))
                    }
                };
            }
            sweep.rule()
        }
    }
}

#[test]
fn what_is_printed_reads_back() {
    let mut random = fastrand::Rng::with_seed(71);
    let (mut nested, mut longest) = (0, 0);
    for _ in 0..3000 {
        let made = random_rule(&mut random, 0);
        made.validate(NAMES.len()).unwrap();
        let text = rule_to_text(&made, &NAMES);
        if text.len() > MAX_EXPRESSION_BYTES {
            continue;
        }
        assert_eq!(rule(&text), made, "{text}");
        nested += usize::from(text.matches("sweep(").count() > 1);
        longest = longest.max(text.len());
    }
    assert!(nested > 300, "{nested} with several sweeps");
    assert!(longest > 1000, "{longest} bytes");
}

#[test]
fn the_deepest_rules_read_back() {
    let mut deep = below(1, 0.3);
    for i in 2..=MAX_RULE_DEPTH {
        deep = match i % 3 {
            0 => deep.reciprocal(),
            1 => deep.or(below(2, 0.1)),
            _ => below(3, 0.2).and(deep),
        };
    }
    deep.validate(NAMES.len()).unwrap();
    assert_eq!(rule(&rule_to_text(&deep, &NAMES)), deep);
    let deeper = deep.reciprocal();
    assert!(deeper.validate(NAMES.len()).is_err());
    let error = rule_from_text(&rule_to_text(&deeper, &NAMES), &NAMES).unwrap_err();
    assert!(error.to_string().contains("deeper than 64"), "{error}");
}

/// What is wrong with an expression.
#[track_caller]
fn wrong(text: &str) -> String {
    match rule_from_text(text, &NAMES) {
        Ok(rule) => panic!("{text}: {rule:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn errors_name_the_character_and_what_was_expected() {
    for (text, said) in [
        (
            "",
            "fusion: character 1: the expression ends where a rule (as in `NAME < .3`",
        ),
        (
            "photo",
            "character 6: the expression ends where `<` and a distance",
        ),
        (
            "photo <",
            "character 8: the expression ends where a distance was expected",
        ),
        (
            "photo < words",
            "character 9: `words` stands where a distance was expected",
        ),
        (
            "photo < .3 words < .4",
            "character 12: `words` stands where `and`, `or` or the end",
        ),
        ("photo < .3 OR words < .4", "did you mean `or`?"),
        (
            "photo < .3 or",
            "character 14: the expression ends where a rule",
        ),
        ("photo < .3)", "no parenthesis is open here"),
        (
            "(photo < .3",
            "the expression ends where `and`, `or` or `)` was expected",
        ),
        (
            "foto < .3",
            "character 1: there is no space `foto`; did you mean photo?",
        ),
        (
            "x < .3",
            "there is no space `x`; the spaces are phash, photo, words, title",
        ),
        (
            "equals(phash)",
            "there is no function `equals`; did you mean `equal`?",
        ),
        ("Sweep(photo < .1 to .2 by .1)", "did you mean `sweep`?"),
        ("frob(photo)", "there are equal, sweep, reciprocal, min2"),
        (
            "equal(phash < .1)",
            "character 13: `<` stands where `)` was expected",
        ),
        (
            "equal",
            "character 6: the expression ends where `(` behind `equal`",
        ),
        (
            "photo = .3",
            "character 7: `=` means nothing here; write `<` for a distance",
        ),
        ("photo <= .3", "character 8: `=` means nothing here"),
        ("photo < .3 | words < .2", "write `or`"),
        ("\"photo\" < .3", "write names without quotes"),
        ("photo < 3.4.5", "character 9: `3.4.5` is no number"),
        ("photo < 1e400", "`1e400` is no number"),
        ("photo < -.3", "a threshold is -0.3; give a distance"),
        ("photo < 2.5", "character 9: a threshold is 2.5"),
        ("photo > 3", "a threshold is -2"),
        ("photo < nan", "`nan` stands where a distance was expected"),
        ("photo < inf", "`inf` stands where a distance was expected"),
        (
            "photo < .2 to .3 by .1",
            "thresholds go from one to another in a part of sweep",
        ),
        (
            "sweep(photo < .2 to .3)",
            "character 23: `)` stands where `by` and a step",
        ),
        (
            "sweep(photo > .8 to .7 by .1)",
            "in a part of sweep(...) alone",
        ),
        (
            "sweep(photo < .3 to .2 by .1)",
            "character 15: a sweep goes from 0.3 down to 0.2",
        ),
        ("sweep(photo < .2 to .3 by 0)", "step of 0 is too small"),
        ("sweep(photo < .2 to .3 by -1)", "a sweep's step is -1"),
        ("sweep()", "character 7: `)` stands where a rule"),
        ("min2(photo < .3)", "`,` and the second threshold"),
        (
            "reciprocal(photo < .3, words < .1)",
            "`and`, `or` or `)` was expected",
        ),
        ("photo < .3 or and", "`and` stands where a rule"),
        ("写真 < .3", "character 1: `写` means nothing here"),
        ("photo < .3 or 写真 < .3", "character 15: `写`"),
    ] {
        let error = wrong(text);
        assert!(error.contains(said), "{text}: {error}");
        assert_eq!(error.lines().count(), 1);
    }
    let deep = format!("{}photo < .3{}", "(".repeat(5000), ")".repeat(5000));
    assert!(wrong(&deep).contains("nests deeper than 64"));
    let long = "photo < .3 or ".repeat(10_000);
    assert!(wrong(&long).contains("the expression has"));
}
