//! The fusion expression: [`Rule`] to text.

use std::fmt::Write;

use crate::matching::{Part, Rule};

/// The expression of `rule`, with the sources called `names`; the one that
/// [`rule_from_text`](super::rule_from_text) reads it back from.
///
/// Thresholds are written as distances, numbers with the fewest digits that give the same number back. A
/// union or an intersection of one rule is written as that rule, which means the same.
pub fn rule_to_text(rule: &Rule, names: &[&str]) -> String {
    let mut text = String::new();
    write_rule(rule, names, Tight::No, &mut text);
    text
}

/// What a rule stands in, and so whether it needs parentheses.
#[derive(Clone, Copy, PartialEq)]
enum Tight {
    /// Nothing binds it.
    No,
    /// A union: a union needs them.
    Or,
    /// An intersection: so does an intersection.
    And,
}

fn write_rule(rule: &Rule, names: &[&str], inside: Tight, text: &mut String) {
    match rule {
        Rule::Threshold { source, distance } => below(*source, *distance, names, text),
        Rule::Equal { source } => {
            text.push_str("equal(");
            name(*source, names, text);
            text.push(')');
        }
        Rule::Union(rules) | Rule::Intersection(rules) if rules.len() == 1 => {
            write_rule(&rules[0], names, inside, text);
        }
        Rule::Union(rules) => joined(rules, " or ", Tight::Or, inside, names, text),
        Rule::Intersection(rules) => joined(rules, " and ", Tight::And, inside, names, text),
        Rule::Reciprocal(rule) => {
            text.push_str("reciprocal(");
            write_rule(rule, names, Tight::No, text);
            text.push(')');
        }
        Rule::Min2 {
            rule,
            source,
            distance,
        } => {
            text.push_str("min2(");
            write_rule(rule, names, Tight::No, text);
            text.push_str(", ");
            below(*source, *distance, names, text);
            text.push(')');
        }
        Rule::Sweep(parts) => {
            text.push_str("sweep(");
            for (i, part) in parts.iter().enumerate() {
                text.push_str(if i > 0 { ", " } else { "" });
                match part {
                    Part::Swept { source, steps } => {
                        below(*source, steps.low, names, text);
                        let (high, step) = (number(steps.high), number(steps.step));
                        let _ = write!(text, " to {high} by {step}");
                    }
                    Part::Fixed(rule) => write_rule(rule, names, Tight::No, text),
                }
            }
            text.push(')');
        }
    }
}

/// Rules with a word between them, in parentheses where what is around them would take them apart.
fn joined(
    rules: &[Rule],
    word: &str,
    tight: Tight,
    inside: Tight,
    names: &[&str],
    text: &mut String,
) {
    let apart = !matches!((tight, inside), (_, Tight::No) | (Tight::And, Tight::Or));
    text.push_str(if apart { "(" } else { "" });
    for (i, rule) in rules.iter().enumerate() {
        text.push_str(if i > 0 { word } else { "" });
        write_rule(rule, names, tight, text);
    }
    text.push_str(if apart { ")" } else { "" });
}

fn below(source: usize, distance: f64, names: &[&str], text: &mut String) {
    name(source, names, text);
    let _ = write!(text, " < {}", number(distance));
}

fn name(source: usize, names: &[&str], text: &mut String) {
    match names.get(source) {
        Some(name) => text.push_str(name),
        None => {
            let _ = write!(text, "source {source}");
        }
    }
}

/// The fewest digits that read back as `x`.
pub(super) fn number(x: f64) -> String {
    let (plain, scientific) = (format!("{x}"), format!("{x:e}"));
    match scientific.len() < plain.len() {
        true => scientific,
        false => plain,
    }
}
