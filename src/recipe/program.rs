//! Rules as programs for a card.

use crate::device::{RuleOp, RuleProgram};
use crate::error::Result;
use crate::limits::MAX_SWEEP_STEPS;
use crate::matching::{Part, Rule, Steps};

/// `rule`, over `sources` sources, in the postfix form that a card runs
/// ([`Fusion::fire`](crate::device::Fusion::fire)).
///
/// ```
/// use doppel::matching::Rule;
/// use doppel::recipe::program;
///
/// let rule = Rule::default_text_phash(0, 1).min2(1, 0.6);
/// let program = program(&rule, 2)?;
/// assert!(program.relations.is_empty());
/// assert_eq!(program.answer.len(), 6);
/// # Ok::<(), doppel::Error>(())
/// ```
///
/// # Errors
/// What [`Rule::validate`] says.
pub fn program(rule: &Rule, sources: usize) -> Result<RuleProgram> {
    rule.validate(sources)?;
    let (mut relations, mut answer) = (Vec::new(), Vec::new());
    compile(rule, &mut answer, &mut relations);
    Ok(RuleProgram { relations, answer })
}

fn compile(rule: &Rule, out: &mut Vec<RuleOp>, relations: &mut Vec<Vec<RuleOp>>) {
    match rule {
        &Rule::Threshold { source, distance } => out.push(RuleOp::Threshold { source, distance }),
        &Rule::Equal { source } => out.push(RuleOp::Equal { source }),
        Rule::Sweep(parts) => {
            out.push(RuleOp::Mark);
            let mut swept = Vec::new();
            for part in parts {
                match part {
                    Part::Swept { source, steps } => swept.push(modality(*source, steps)),
                    Part::Fixed(rule) => compile(rule, out, relations),
                }
            }
            out.push(RuleOp::Sweep { parts: swept.len() });
            out.append(&mut swept);
        }
        Rule::Union(rules) => rules.iter().for_each(|r| compile(r, out, relations)),
        Rule::Intersection(rules) => {
            for rule in rules {
                out.push(RuleOp::Mark);
                compile(rule, out, relations);
            }
            out.push(RuleOp::Intersect { parts: rules.len() });
        }
        Rule::Reciprocal(rule) => {
            let mut inner = Vec::new();
            compile(rule, &mut inner, relations);
            let relation = relations.len();
            relations.push(inner);
            out.push(RuleOp::Both { relation });
        }
        Rule::Min2 {
            rule,
            source,
            distance,
        } => {
            out.push(RuleOp::Mark);
            compile(rule, out, relations);
            out.push(RuleOp::Min2 {
                source: *source,
                distance: *distance,
            });
        }
    }
}

fn modality(source: usize, steps: &Steps) -> RuleOp {
    RuleOp::Swept {
        source,
        low: steps.low,
        high: steps.high,
        step: steps.step,
        last: last(steps),
    }
}

/// The first step at `high`: thresholds never fall, so by halves.
fn last(steps: &Steps) -> u32 {
    // A rule that checks is there within MAX_SWEEP_STEPS, give or take a rounding.
    let (mut low, mut high) = (0, MAX_SWEEP_STEPS + 1);
    while low < high {
        let middle = (low + high) / 2;
        if steps.at(middle) < steps.high {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_step_is_the_first_at_high() {
        for steps in [
            Steps::IMAGE,
            Steps::TFIDF,
            Steps::BERT,
            Steps::new(0.3, 0.3, 0.0),
            Steps::new(0.0, 2.0, 0.007),
            Steps::new(0.0, 0.0, 0.0),
        ] {
            let RuleOp::Swept { last, high, .. } = modality(0, &steps) else {
                panic!("a modality is one")
            };
            assert_eq!(steps.at(last), high);
            assert!(last == 0 || steps.at(last - 1) < high, "{steps:?}");
        }
    }

    #[test]
    fn a_rule_that_does_not_check_is_no_program() {
        assert!(program(&Rule::threshold(1, 0.2), 1).is_err());
        let endless = Rule::sweep().over(0, Steps::new(0.1, 0.2, 0.0)).rule();
        assert!(program(&endless, 1).is_err());
    }

    #[test]
    fn relations_stand_in_the_order_of_their_need() {
        let inner = Rule::threshold(0, 0.2).reciprocal();
        let rule = inner.and(Rule::threshold(1, 0.3)).reciprocal();
        let program = program(&rule, 2).unwrap();
        assert_eq!(program.answer, [RuleOp::Both { relation: 1 }]);
        assert_eq!(program.relations[1][1], RuleOp::Both { relation: 0 });
        assert_eq!(program.relations[1][4], RuleOp::Intersect { parts: 2 });
    }
}
