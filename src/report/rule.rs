//! A rule as JSON, for the page to run.

use serde_json::{Value, json};

use crate::matching::{Part, Rule, What};

/// The rule's tree. `n` is the place of a node's first number among [`Rule::numbers`].
pub(super) fn tree(rule: &Rule) -> Value {
    node(rule, &mut 0)
}

fn node(rule: &Rule, next: &mut usize) -> Value {
    let mut take = |count: usize| {
        let at = *next;
        *next += count;
        at
    };
    match rule {
        Rule::Threshold { source, .. } => json!({"t": "threshold", "s": source, "n": take(1)}),
        Rule::Equal { source } => json!({"t": "equal", "s": source}),
        Rule::Sweep(parts) => {
            let parts = parts.iter().map(|part| match part {
                Part::Swept { source, .. } => {
                    let at = *next;
                    *next += 3;
                    json!({"s": source, "n": at})
                }
                Part::Fixed(rule) => json!({"rule": node(rule, next)}),
            });
            json!({"t": "sweep", "parts": parts.collect::<Vec<_>>()})
        }
        Rule::Union(rules) => json!({"t": "or", "of": all(rules, next)}),
        Rule::Intersection(rules) => json!({"t": "and", "of": all(rules, next)}),
        Rule::Reciprocal(rule) => json!({"t": "both", "of": node(rule, next)}),
        Rule::Min2 { rule, source, .. } => {
            let of = node(rule, next);
            let at = *next;
            *next += 1;
            json!({"t": "min2", "of": of, "s": source, "n": at})
        }
    }
}

fn all(rules: &[Rule], next: &mut usize) -> Vec<Value> {
    rules.iter().map(|rule| node(rule, next)).collect()
}

/// The rule's numbers, in its order.
pub(super) fn numbers(rule: &Rule) -> Vec<Value> {
    let what = |what| match what {
        What::Threshold => "threshold",
        What::Low => "low",
        What::High => "high",
        What::Step => "step",
        What::Min2 => "min2",
    };
    let numbers = rule.numbers().into_iter();
    numbers
        .map(|n| json!({"s": n.source, "what": what(n.what), "value": n.value}))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::Steps;

    #[test]
    fn numbers_are_counted_as_the_rule_counts_them() {
        let sweep = Rule::sweep()
            .over(1, Steps::IMAGE)
            .with(Rule::threshold(2, 0.1).and(Rule::threshold(1, 0.6)))
            .over(3, Steps::BERT);
        let rule = Rule::Equal { source: 0 }.or(sweep.rule().reciprocal().min2(2, 0.7));
        let (tree, numbers) = (tree(&rule), numbers(&rule));
        let mut seen = Vec::new();
        walk(&tree, &mut |s, n| seen.push((s, n)));
        assert_eq!(seen, [(1, 0), (2, 3), (1, 4), (3, 5), (2, 8)]);
        for (s, n) in seen {
            assert_eq!(numbers[n]["s"], s, "{n}");
        }
        assert_eq!(numbers.len(), 9);
        assert_eq!(numbers[8]["what"], "min2");
    }

    /// All `(s, n)`, by ascending `n`.
    fn walk(value: &Value, seen: &mut impl FnMut(usize, usize)) {
        let mut all = Vec::new();
        collect(value, &mut all);
        all.sort_by_key(|&(_, n)| n);
        all.into_iter().for_each(|(s, n)| seen(s, n));
    }

    fn collect(value: &Value, all: &mut Vec<(usize, usize)>) {
        if let (Some(s), Some(n)) = (value["s"].as_u64(), value["n"].as_u64()) {
            all.push((s as usize, n as usize));
        }
        match value {
            Value::Array(items) => items.iter().for_each(|v| collect(v, all)),
            Value::Object(items) => items.values().for_each(|v| collect(v, all)),
            _ => {}
        }
    }
}
