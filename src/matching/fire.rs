//! Rules made ready to run: one row at a time, without state between rows.

use super::matches::{Firing, strongest_first};
use super::rule::{Part, Rule, Steps};
use super::{Match, Source};
use crate::error::Result;

/// The sources, and the rows that may not match.
#[derive(Clone, Copy)]
pub(super) struct Evidence<'a> {
    pub(super) sources: &'a [Source],
    pub(super) unable: Option<&'a [bool]>,
}

impl Evidence<'_> {
    pub(super) fn is_unable(&self, row: usize) -> bool {
        self.unable.is_some_and(|unable| unable[row])
    }

    /// The neighbours of `row` in `source` that may match it, nearest first, with `d = 1 - s`.
    fn others(&self, source: usize, row: usize) -> impl Iterator<Item = (u32, f64, f64)> + '_ {
        let list = self.sources[source].lists.row(row);
        let pairs = list.rows.iter().copied().zip(list.scores.iter().copied());
        pairs
            .filter(move |&(j, _)| j as usize != row && !self.is_unable(j as usize))
            .map(|(j, score)| (j, score, 1.0 - score))
    }

    /// Fires for the neighbours with `d < distance`: a prefix of the list, which is best first.
    fn below(&self, source: usize, distance: f64, row: usize, out: &mut Vec<Firing>) {
        let near = self
            .others(source, row)
            .take_while(|&(_, _, d)| d < distance);
        out.extend(near.map(|(j, score, _)| firing(j, score, source, 1.0 - distance)));
    }
}

fn firing(row: u32, score: f64, source: usize, threshold: f64) -> Firing {
    Match {
        row,
        score,
        source: source as u16,
        threshold,
    }
}

/// A rule whose parts that need all rows at once are resolved already.
pub(super) enum Node {
    Threshold {
        source: usize,
        distance: f64,
    },
    Equal {
        source: usize,
    },
    Sweep {
        swept: Vec<(usize, Steps)>,
        fixed: Vec<Node>,
    },
    Union(Vec<Node>),
    Intersection(Vec<Node>),
    Known(Relation),
    Min2 {
        node: Box<Node>,
        source: usize,
        distance: f64,
    },
}

/// How what needs all rows at once is run, while a rule is made ready.
pub(super) trait Runner {
    /// What a node fires over all rows.
    fn relation(&self, node: &Node) -> Relation;
    /// What a sweep over modalities alone fires over all rows, where something else than this module
    /// runs it.
    fn sweep(&self, swept: &[(usize, Steps)]) -> Option<Result<Relation>>;
}

impl Node {
    /// Makes `rule` ready; what needs all rows is run by `runner` on the way.
    pub(super) fn ready(rule: &Rule, runner: &impl Runner) -> Result<Node> {
        let all = |rules: &[Rule]| -> Result<Vec<Node>> {
            rules.iter().map(|r| Node::ready(r, runner)).collect()
        };
        Ok(match rule {
            &Rule::Threshold { source, distance } => Node::Threshold { source, distance },
            &Rule::Equal { source } => Node::Equal { source },
            Rule::Sweep(parts) => {
                let (mut swept, mut fixed) = (Vec::new(), Vec::new());
                for part in parts {
                    match part {
                        Part::Swept { source, steps } => swept.push((*source, *steps)),
                        Part::Fixed(rule) => fixed.push(Node::ready(rule, runner)?),
                    }
                }
                match if fixed.is_empty() {
                    runner.sweep(&swept)
                } else {
                    None
                } {
                    Some(relation) => Node::Known(relation?),
                    None => Node::Sweep { swept, fixed },
                }
            }
            Rule::Union(rules) => Node::Union(all(rules)?),
            Rule::Intersection(rules) => Node::Intersection(all(rules)?),
            Rule::Reciprocal(rule) => {
                Node::Known(runner.relation(&Node::ready(rule, runner)?).both_ways())
            }
            Rule::Min2 {
                rule,
                source,
                distance,
            } => Node::Min2 {
                node: Box::new(Node::ready(rule, runner)?),
                source: *source,
                distance: *distance,
            },
        })
    }

    /// Appends all that fires for `row`, itself left out, in no particular order.
    pub(super) fn fire(&self, evidence: &Evidence, row: usize, out: &mut Vec<Firing>) {
        let start = out.len();
        match self {
            Node::Threshold { source, distance } => evidence.below(*source, *distance, row, out),
            Node::Equal { source } => {
                let equal = evidence.others(*source, row);
                out.extend(equal.map(|(j, score, _)| firing(j, score, *source, 1.0)));
            }
            Node::Sweep { swept, fixed } => sweep(swept, fixed, evidence, row, out),
            Node::Union(nodes) => nodes.iter().for_each(|n| n.fire(evidence, row, out)),
            Node::Intersection(nodes) => {
                let mut common: Option<Vec<u32>> = None;
                for node in nodes {
                    let from = out.len();
                    node.fire(evidence, row, out);
                    let mut rows: Vec<u32> = out[from..].iter().map(|f| f.row).collect();
                    rows.sort_unstable();
                    if let Some(common) = &common {
                        rows.retain(|r| common.binary_search(r).is_ok());
                    }
                    common = Some(rows);
                }
                let common = common.unwrap_or_default();
                let fired = out.split_off(start);
                out.extend(
                    fired
                        .into_iter()
                        .filter(|f| common.binary_search(&f.row).is_ok()),
                );
            }
            Node::Known(relation) => out.extend_from_slice(relation.row(row)),
            Node::Min2 {
                node,
                source,
                distance,
            } => {
                node.fire(evidence, row, out);
                if out.len() == start {
                    let nearest = evidence.others(*source, row).next();
                    if let Some((j, score, _)) = nearest.filter(|&(_, _, d)| d < *distance) {
                        out.push(firing(j, score, *source, 1.0 - distance));
                    }
                }
            }
        }
    }
}

/// The dynamic threshold for one row.
///
/// The step at which the sweep ends is known without walking: the fixed parts have company for the
/// row at step 0 or never, and a modality has it from the first step that reaches its nearest
/// neighbour. When nothing ever has, the sweep ends with every modality at its `high`, and empty.
fn sweep(
    swept: &[(usize, Steps)],
    fixed: &[Node],
    evidence: &Evidence,
    row: usize,
    out: &mut Vec<Firing>,
) {
    let start = out.len();
    fixed.iter().for_each(|n| n.fire(evidence, row, out));
    let last = if out.len() > start {
        Some(0)
    } else {
        let first = |(source, steps): &(usize, Steps)| {
            let (_, _, d) = evidence.others(*source, row).next()?;
            steps.first_below(d)
        };
        swept.iter().filter_map(first).min()
    };
    if let Some(t) = last {
        for (source, steps) in swept {
            evidence.below(*source, steps.at(t), row, out);
        }
    }
}

/// What a rule fired over all rows, each row's firings in the order of the rows they name.
#[derive(Default)]
pub(super) struct Relation {
    offsets: Vec<usize>,
    firings: Vec<Firing>,
}

impl Relation {
    /// One relation from the firings of all rows, block by block in order: each block has its rows'
    /// numbers of firings, and the firings.
    pub(super) fn join(blocks: Vec<(Vec<usize>, Vec<Firing>)>) -> Relation {
        let mut relation = Relation {
            offsets: vec![0],
            firings: Vec::new(),
        };
        let mut end = 0;
        for (counts, firings) in blocks {
            for count in counts {
                end += count;
                relation.offsets.push(end);
            }
            relation.firings.extend(firings);
        }
        relation
    }

    /// Puts one row's firings in the order that a relation keeps them in.
    pub(super) fn order(firings: &mut [Firing]) {
        firings.sort_unstable_by(|a, b| a.row.cmp(&b.row).then_with(|| strongest_first(a, b)));
    }

    fn row(&self, i: usize) -> &[Firing] {
        &self.firings[self.offsets[i]..self.offsets[i + 1]]
    }

    /// Keeps what fires from `i` to `j` where something fires from `j` to `i`.
    fn both_ways(&self) -> Relation {
        let mut kept = Relation {
            offsets: vec![0],
            firings: Vec::new(),
        };
        for i in 0..self.offsets.len() - 1 {
            let back = |f: &&Firing| {
                let there = self.row(f.row as usize);
                there.binary_search_by_key(&(i as u32), |b| b.row).is_ok()
            };
            kept.firings.extend(self.row(i).iter().filter(back));
            kept.offsets.push(kept.firings.len());
        }
        kept
    }
}
