//! What a rule asks of which source, and its numbers, to be read and replaced.

use super::{Part, Rule, Steps};

/// A number of a [`Rule`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Number {
    /// The source that it is about.
    pub source: usize,
    /// What it is.
    pub what: What,
    /// Its value: a cosine distance, or for [`What::Step`] a difference of two.
    pub value: f64,
}

/// What a [`Number`] of a rule is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The distance of a [`Rule::Threshold`].
    Threshold,
    /// Where a modality of a sweep starts; its high and its step are the next two numbers.
    Low,
    /// Where a modality of a sweep ends.
    High,
    /// How fast a modality of a sweep loosens.
    Step,
    /// The second threshold of a [`Rule::Min2`].
    Min2,
}

/// How far a rule looks into a source; see [`Rule::reach`].
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Reach {
    /// Whether a [`Rule::Equal`] takes it.
    pub equal: bool,
    /// The loosest distance that the rule ever compares it with: neighbours that are not nearer
    /// change nothing. None when only [`Rule::Equal`] takes it.
    pub below: Option<f64>,
}

impl Rule {
    /// The sources that the rule names, ascending, each once.
    pub fn sources(&self) -> Vec<usize> {
        let mut named = Vec::new();
        self.changed(&mut |source| push(&mut named, source), &mut |n| n.value);
        named.sort_unstable();
        named.dedup();
        named
    }

    /// The same rule over other sources: `to` says which one takes a source's place.
    #[must_use]
    pub fn map_sources(&self, to: &dyn Fn(usize) -> usize) -> Rule {
        self.changed(&mut |source| to(source), &mut |n| n.value)
    }

    /// How far the rule looks into `source`; none when it does not name it.
    ///
    /// With `below`, a search for neighbours with a score of at least `1 - below` finds all that the
    /// rule can use.
    pub fn reach(&self, source: usize) -> Option<Reach> {
        if !self.sources().contains(&source) {
            return None;
        }
        let mut reach = Reach {
            equal: self.takes_equal(source),
            below: None,
        };
        for number in self.numbers() {
            if number.source == source && number.what != What::Step {
                let farthest = reach.below.unwrap_or(number.value).max(number.value);
                reach.below = Some(farthest);
            }
        }
        Some(reach)
    }

    /// Whether the rule asks anywhere that a match goes both ways, so that one row's matches depend on
    /// other rows' lists.
    pub fn has_reciprocal(&self) -> bool {
        matches!(self, Rule::Reciprocal(_)) || self.inner().any(Rule::has_reciprocal)
    }

    /// The rule's numbers as they stand in it, from left to right; those of a swept modality are its low,
    /// its high and its step, and a Min2's threshold stands behind the rule's.
    pub fn numbers(&self) -> Vec<Number> {
        let mut numbers = Vec::new();
        self.changed(&mut |source| source, &mut |number| {
            numbers.push(number);
            number.value
        });
        numbers
    }

    /// The same rule with other numbers, in the order of [`Rule::numbers`]. Numbers that `values` is too
    /// short for stay; what is more than there are is left out. Nothing is checked: see
    /// [`Rule::validate`].
    #[must_use]
    pub fn with_numbers(&self, values: &[f64]) -> Rule {
        let mut values = values.iter();
        self.changed(&mut |source| source, &mut |number| {
            values.next().copied().unwrap_or(number.value)
        })
    }

    fn takes_equal(&self, wanted: usize) -> bool {
        matches!(self, Rule::Equal { source } if *source == wanted)
            || self.inner().any(|rule| rule.takes_equal(wanted))
    }

    /// The rules that this one is made of.
    fn inner(&self) -> Box<dyn Iterator<Item = &Rule> + '_> {
        match self {
            Rule::Threshold { .. } | Rule::Equal { .. } => Box::new(std::iter::empty()),
            Rule::Sweep(parts) => Box::new(parts.iter().filter_map(|part| match part {
                Part::Swept { .. } => None,
                Part::Fixed(rule) => Some(rule),
            })),
            Rule::Union(rules) | Rule::Intersection(rules) => Box::new(rules.iter()),
            Rule::Reciprocal(rule) | Rule::Min2 { rule, .. } => Box::new(std::iter::once(&**rule)),
        }
    }

    /// The rule with each source and each number replaced, from left to right.
    fn changed(
        &self,
        source: &mut dyn FnMut(usize) -> usize,
        number: &mut dyn FnMut(Number) -> f64,
    ) -> Rule {
        let new = |number: &mut dyn FnMut(Number) -> f64, source, what, value| {
            number(Number {
                source,
                what,
                value,
            })
        };
        match self {
            Rule::Threshold {
                source: of,
                distance,
            } => Rule::Threshold {
                source: source(*of),
                distance: new(number, *of, What::Threshold, *distance),
            },
            Rule::Equal { source: of } => Rule::Equal {
                source: source(*of),
            },
            Rule::Sweep(parts) => Rule::Sweep(
                parts
                    .iter()
                    .map(|part| match part {
                        Part::Swept { source: of, steps } => Part::Swept {
                            source: source(*of),
                            steps: Steps {
                                low: new(number, *of, What::Low, steps.low),
                                high: new(number, *of, What::High, steps.high),
                                step: new(number, *of, What::Step, steps.step),
                            },
                        },
                        Part::Fixed(rule) => Part::Fixed(rule.changed(source, number)),
                    })
                    .collect(),
            ),
            Rule::Union(rules) => {
                Rule::Union(rules.iter().map(|r| r.changed(source, number)).collect())
            }
            Rule::Intersection(rules) => {
                Rule::Intersection(rules.iter().map(|r| r.changed(source, number)).collect())
            }
            Rule::Reciprocal(rule) => Rule::Reciprocal(Box::new(rule.changed(source, number))),
            Rule::Min2 {
                rule,
                source: of,
                distance,
            } => Rule::Min2 {
                rule: Box::new(rule.changed(source, number)),
                source: source(*of),
                distance: new(number, *of, What::Min2, *distance),
            },
        }
    }
}

fn push(named: &mut Vec<usize>, source: usize) -> usize {
    named.push(source);
    source
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every kind of rule, over the sources 0 (hashes), 1, 2 and 4.
    fn every_kind() -> Rule {
        let sweep = Rule::sweep()
            .over(1, Steps::IMAGE)
            .with(Rule::threshold(2, 0.1).and(Rule::threshold(1, 0.6)))
            .over(4, Steps::BERT);
        let both_ways = sweep.rule().reciprocal();
        Rule::Equal { source: 0 }.or(both_ways.min2(2, 0.7))
    }

    #[test]
    fn sources_come_once_and_in_order() {
        assert_eq!(every_kind().sources(), [0, 1, 2, 4]);
        let moved = every_kind().map_sources(&|source| 10 - source);
        assert_eq!(moved.sources(), [6, 8, 9, 10]);
        assert_eq!(moved.map_sources(&|source| 10 - source), every_kind());
        let same = Rule::threshold(3, 0.1).or(Rule::threshold(3, 0.2));
        assert_eq!(same.sources(), [3]);
    }

    #[test]
    fn a_reach_is_the_loosest_distance() {
        let below = |source| every_kind().reach(source).unwrap();
        let only = |below| Reach {
            equal: false,
            below: Some(below),
        };
        assert_eq!(
            below(0),
            Reach {
                equal: true,
                below: None
            }
        );
        // 1: swept to .50, and .6 in a fixed part; 2: .1, and .7 as a second threshold.
        assert_eq!(below(1), only(0.6));
        assert_eq!(below(2), only(0.7));
        assert_eq!(below(4), only(0.3));
        assert_eq!(every_kind().reach(3), None);
        let mixed = Rule::Equal { source: 0 }.or(Rule::threshold(0, 0.2));
        let reach = mixed.reach(0).unwrap();
        assert_eq!((reach.equal, reach.below), (true, Some(0.2)));
        // A step that is larger than the thresholds is no distance.
        let wide = Rule::sweep().over(0, Steps::new(0.1, 0.2, 5.0)).rule();
        assert_eq!(wide.reach(0), Some(only(0.2)));
    }

    #[test]
    fn reciprocal_rules_are_found_at_any_depth() {
        assert!(every_kind().has_reciprocal());
        let fixed = Rule::sweep().with(Rule::threshold(0, 0.1).reciprocal());
        assert!(fixed.rule().has_reciprocal());
        assert!(!Rule::tan_final(0, 1, 2).has_reciprocal());
        assert!(!Rule::default_text_phash(0, 1).min2(1, 0.4).has_reciprocal());
    }

    #[test]
    fn numbers_are_read_and_replaced_in_order() {
        use What::{High, Low, Min2, Step, Threshold};
        let numbers = every_kind().numbers();
        let shown: Vec<_> = numbers
            .iter()
            .map(|n| (n.source, n.what, n.value))
            .collect();
        let expected = [
            (1, Low, 0.24),
            (1, High, 0.5),
            (1, Step, 0.01),
            (2, Threshold, 0.1),
            (1, Threshold, 0.6),
            (4, Low, 0.08),
            (4, High, 0.3),
            (4, Step, 0.01),
            (2, Min2, 0.7),
        ];
        assert_eq!(shown, expected);

        let values: Vec<f64> = (0..numbers.len()).map(|i| i as f64 / 100.0).collect();
        let other = every_kind().with_numbers(&values);
        let read: Vec<f64> = other.numbers().iter().map(|n| n.value).collect();
        assert_eq!(read, values);
        let kinds = |rule: &Rule| -> Vec<_> {
            let numbers = rule.numbers();
            numbers.iter().map(|n| (n.source, n.what)).collect()
        };
        assert_eq!(kinds(&other), kinds(&every_kind()));

        // Too few change the first ones alone; too many are left out.
        let first = every_kind().with_numbers(&[0.2]);
        assert_eq!(first.numbers()[0].value, 0.2);
        assert_eq!(first.numbers()[1..], numbers[1..]);
        assert_eq!(every_kind().with_numbers(&[]), every_kind());
        let long: Vec<f64> = values.iter().copied().chain([9.0, 9.0]).collect();
        assert_eq!(every_kind().with_numbers(&long), other);
    }
}
