//! A run's evidence as packed arrays.

use serde_json::{Value, json};

use super::{Page, Pictures, rule};
use crate::error::Result;
use crate::evaluate::{Figures, evaluate};
use crate::groups::Grouping;
use crate::listings::{Ledger, Listing};
use crate::lists::Lists;
use crate::matching::{ITSELF, Match, Matches};
use crate::recipe::{After, Evidence, Job, Outcome, rule_to_text};

/// Distances are packed as `floor(SCALE * d)`: exact against any threshold that is a multiple of
/// `1 / SCALE`.
const SCALE: f64 = 20_000.0;
/// A distance that is not known.
const UNKNOWN: u16 = u16::MAX;
/// The most neighbours of all kinds together; with more, each listing keeps its nearest.
const NEIGHBOURS: usize = 2_400_000;
/// The most rejects that are listed.
const REJECTS: usize = 20_000;

/// The distance of a similarity, packed.
fn packed(score: f64) -> u16 {
    let d = (1.0 - score).clamp(0.0, 2.0);
    if d.is_nan() {
        UNKNOWN
    } else {
        (d * SCALE) as u16
    }
}

/// What a report shows.
pub(super) struct Data<'a> {
    job: &'a Job<'a>,
    outcome: &'a Outcome,
    evidence: &'a Evidence,
    labels: Vec<Option<u32>>,
    figures: Option<Figures>,
    /// The most neighbours that a listing keeps of each kind.
    k: usize,
}

impl<'a> Data<'a> {
    pub fn of(job: &'a Job<'a>, outcome: &'a Outcome, evidence: &'a Evidence) -> Result<Self> {
        let labels = job.side.listings.labels();
        let labelled = labels.iter().any(Option::is_some);
        let figures = match labelled {
            true => Some(evaluate(&labels, &outcome.matches.answers())?),
            false => None,
        };
        Ok(Data {
            job,
            outcome,
            evidence,
            labels,
            figures,
            k: fitting(evidence.sources.iter().map(|s| &s.lists), NEIGHBOURS),
        })
    }

    fn items(&self) -> &'a [Listing] {
        &self.job.side.listings.items
    }

    /// Adds all but the names of it to `page`; gives the number of neighbours.
    pub fn pack(&self, page: &mut Page) -> Result<usize> {
        let items = self.items();
        let mut names: Vec<&str> = Vec::new();
        for (item, label) in items.iter().zip(&self.labels) {
            if label.is_some_and(|l| l as usize == names.len()) {
                names.push(item.label_group.as_deref().unwrap_or_default());
            }
        }
        let ids: Vec<&str> = items.iter().map(|l| l.posting_id.as_str()).collect();
        let titles: Vec<Option<&str>> = items.iter().map(|l| l.title.as_deref()).collect();
        page.json(
            "listings",
            &json!({"id": ids, "title": titles, "labels": names}),
        )?;
        let labels: Vec<u32> = self.labels.iter().map(|l| l.unwrap_or(u32::MAX)).collect();
        page.words("label-of", &labels)?;
        let unable: Vec<u8> = self.evidence.unable.iter().map(|&u| u8::from(u)).collect();
        page.bytes("unable", &unable)?;
        let mut neighbours = 0;
        for (number, source) in self.evidence.sources.iter().enumerate() {
            let (mut starts, mut rows, mut distances) = (vec![0], Vec::new(), Vec::new());
            for (i, list) in source.lists.iter().enumerate() {
                let others = list.iter().filter(|&(j, _)| j as usize != i).take(self.k);
                for (j, score) in others {
                    rows.push(j);
                    distances.push(packed(score));
                }
                starts.push(rows.len() as u32);
            }
            neighbours += rows.len();
            page.words(&format!("near-at-{number}"), &starts)?;
            page.words(&format!("near-{number}"), &rows)?;
            page.shorts(&format!("near-d-{number}"), &distances)?;
        }
        self.pack_matches(page, &self.outcome.matches)?;
        self.pack_pairs(page)?;
        Ok(neighbours)
    }

    /// What the run answered, with all that fired.
    fn pack_matches(&self, page: &mut Page, matches: &Matches) -> Result<()> {
        let (mut starts, mut rows, mut sources) = (vec![0], Vec::new(), Vec::new());
        let (mut distances, mut thresholds) = (Vec::new(), Vec::new());
        for i in 0..matches.len() {
            let fired = matches.firings(i);
            // A match without a firing would be lost here; rules give each match one.
            for f in fired.iter().filter(|f| f.source != ITSELF) {
                rows.push(f.row);
                sources.push(f.source as u8);
                distances.push(packed(f.score));
                thresholds.push(threshold(f));
            }
            starts.push(rows.len() as u32);
        }
        page.words("match-at", &starts)?;
        page.words("match-row", &rows)?;
        page.bytes("match-source", &sources)?;
        page.shorts("match-d", &distances)?;
        page.shorts("match-below", &thresholds)
    }

    /// Each modality's score of the pairs that matched.
    fn pack_pairs(&self, page: &mut Page) -> Result<()> {
        let evidence = self.evidence;
        let mut starts = vec![0u32; self.items().len() + 1];
        for &(a, _) in &evidence.pairs {
            starts[a as usize + 1] += 1;
        }
        for i in 1..starts.len() {
            starts[i] += starts[i - 1];
        }
        let rows: Vec<u32> = evidence.pairs.iter().map(|&(_, b)| b).collect();
        page.words("pair-at", &starts)?;
        page.words("pair-row", &rows)?;
        for (number, scores) in evidence.scores.iter().enumerate() {
            let distances: Vec<u16> = scores.iter().map(|&s| packed(s)).collect();
            page.shorts(&format!("pair-d-{number}"), &distances)?;
        }
        Ok(())
    }

    /// Names, the rule, the figures, what was rejected.
    pub fn meta(&self, pictures: &Pictures) -> Value {
        let (recipe, evidence) = (self.job.recipe, self.evidence);
        let rule = &evidence.rule;
        let names = &self.outcome.sources;
        let texts: Vec<&str> = names.iter().map(String::as_str).collect();
        // What comes behind the rule's own sources was added by what follows the rule.
        let after = &names[evidence.sources.len().min(names.len())..];
        let sources = evidence.sources.iter().enumerate().map(|(number, source)| {
            let reach = rule.reach(number).unwrap_or_default();
            let (name, lists) = (&source.name, &source.lists);
            json!({
                "name": name,
                "equal": reach.below.is_none(),
                "below": reach.below,
                "reach": reach.below.map_or(super::BEYOND, |d| (d + super::BEYOND).min(2.0)),
                "cut": lists.iter().any(|l| l.len() > self.k + 1),
            })
        });
        let rejects = &self.outcome.ledger;
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "listings": self.items().len(),
            "file": self.job.side.listings.path.file_name().map(|n| n.to_string_lossy()),
            "recipe": {"name": recipe.name, "about": recipe.about, "source": recipe.source},
            "rule": {
                "text": rule_to_text(rule, &texts),
                "tree": rule::tree(rule),
                "numbers": rule::numbers(rule),
            },
            "sources": sources.collect::<Vec<_>>(),
            "after": after,
            "more": !recipe.after.is_empty(),
            "steps": steps(&recipe.after),
            "cap": recipe.matches,
            "k": self.k,
            "scale": SCALE,
            "figures": self.figures,
            "images": pictures.files() > 0,
            "notes": self.outcome.notes,
            "rejects": rejects_json(rejects),
            "rejected": rejects.len(),
        })
    }

    /// The listings in the order in which pictures of them are wanted: those of the worst groups first
    /// where labels tell, then those of large groups, then the rest. Groups are those that the page makes.
    pub fn first_shown(&self) -> Vec<u32> {
        let n = self.items().len();
        let mut parent: Vec<u32> = (0..n as u32).collect();
        let mut held = vec![1u32; n];
        let most = self.job.recipe.matches as u32;
        for (a, b) in by_strength(&self.outcome.matches) {
            let (a, b) = (root(&mut parent, a), root(&mut parent, b));
            let size = held[a as usize] + held[b as usize];
            if a != b && size <= most {
                parent[a.max(b) as usize] = a.min(b);
                held[a.min(b) as usize] = size;
            }
        }
        let mut sizes = vec![0u32; n];
        let mut losses = vec![0.0f64; n];
        let roots: Vec<u32> = (0..n as u32).map(|i| root(&mut parent, i)).collect();
        let losing = self.losses();
        for (i, &root) in roots.iter().enumerate() {
            sizes[root as usize] += 1;
            losses[root as usize] += losing.get(i).copied().unwrap_or(0.0);
        }
        let mut order: Vec<u32> = (0..n as u32).collect();
        let key = |i: u32| {
            let root = roots[i as usize] as usize;
            (sizes[root] > 1, losses[root], sizes[root])
        };
        order.sort_by(|&a, &b| {
            let ((am, al, asz), (bm, bl, bsz)) = (key(a), key(b));
            bm.cmp(&am)
                .then(bl.total_cmp(&al))
                .then(bsz.cmp(&asz))
                .then(roots[a as usize].cmp(&roots[b as usize]))
                .then(a.cmp(&b))
        });
        order
    }

    /// What each listing lacks of an F1 of 1; empty without labels.
    fn losses(&self) -> Vec<f64> {
        if self.figures.is_none() {
            return Vec::new();
        }
        let groups = self
            .labels
            .iter()
            .flatten()
            .max()
            .map_or(0, |&m| m as usize + 1);
        let mut sizes = vec![0u32; groups];
        self.labels
            .iter()
            .flatten()
            .for_each(|&l| sizes[l as usize] += 1);
        let loss = |(i, label): (usize, &Option<u32>)| {
            let Some(label) = label else { return 0.0 };
            let answer = self.outcome.matches.row(i);
            let same = |m: &&Match| self.labels[m.row as usize] == Some(*label);
            let both = answer.iter().filter(same).count() as f64;
            1.0 - 2.0 * both / (f64::from(sizes[*label as usize]) + answer.len() as f64)
        };
        self.labels.iter().enumerate().map(loss).collect()
    }
}

/// What a recipe does behind its rule, for people.
fn steps(after: &After) -> Vec<String> {
    let mut steps = Vec::new();
    if after.pair_model.is_some() {
        steps.push("a model judges the pairs".to_string());
    }
    if after.conflicts.units {
        steps.push("pairs whose quantities conflict go".to_string());
    }
    if let Some(how) = &after.groups {
        let how = match how {
            Grouping::Components(_) => "components",
            Grouping::Agglomerate(_) => "agglomerate",
            Grouping::Attach(_) => "attach",
        };
        steps.push(format!("matches become groups ({how})"));
    }
    if !after.chisel.is_empty() {
        steps.push("answers are cut to known sizes".to_string());
    }
    steps
}

/// The threshold that fired, packed so that what lies below it has a lower number; 0 for equality.
fn threshold(f: &Match) -> u16 {
    if f.threshold >= 1.0 {
        return 0;
    }
    let below = (1.0 - f.threshold).clamp(0.0, 2.0) * SCALE;
    (below - 1e-6).ceil() as u16
}

/// By how much a firing passed its threshold, as the page counts it.
fn margin(f: &Match) -> u16 {
    match threshold(f) {
        0 => u16::MAX,
        below => below.saturating_sub(packed(f.score)).min(u16::MAX - 1),
    }
}

/// The pairs, each once: those that match both ways first, then the stronger ones.
fn by_strength(matches: &Matches) -> Vec<(u32, u32)> {
    let mut all: Vec<(u32, u32, u16, bool)> = Vec::with_capacity(matches.pairs());
    for i in 0..matches.len() {
        for f in matches.firings(i) {
            let (i, j) = (i as u32, f.row);
            all.push((i.min(j), i.max(j), margin(f), i < j));
        }
    }
    all.sort_unstable();
    let mut pairs: Vec<(bool, u16, u32, u32)> = Vec::new();
    for same in all.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
        let strong = same.iter().map(|p| p.2).max().unwrap_or(0);
        let both = same.iter().any(|p| p.3) && same.iter().any(|p| !p.3);
        pairs.push((!both, u16::MAX - strong, same[0].0, same[0].1));
    }
    pairs.sort_unstable();
    pairs.into_iter().map(|(_, _, a, b)| (a, b)).collect()
}

fn root(parent: &mut [u32], mut i: u32) -> u32 {
    while parent[i as usize] != i {
        parent[i as usize] = parent[parent[i as usize] as usize];
        i = parent[i as usize];
    }
    i
}

fn rejects_json(ledger: &Ledger) -> Vec<Value> {
    let rejects = ledger.iter().take(REJECTS);
    rejects
        .map(|r| json!([r.row, r.posting_id, r.column, r.reason]))
        .collect()
}

/// The most neighbours a listing for which all lists together have at most `most`.
fn fitting<'a>(lists: impl Iterator<Item = &'a Lists>, most: usize) -> usize {
    // lengths[k] rows have exactly k neighbours.
    let mut lengths = vec![0usize; 2];
    for lists in lists {
        for list in lists.iter() {
            if lengths.len() <= list.len() {
                lengths.resize(list.len() + 1, 0);
            }
            lengths[list.len()] += 1;
        }
    }
    let longest = lengths.len() - 1;
    let (mut total, mut longer) = (0, lengths.iter().skip(1).sum::<usize>());
    for (k, &with) in lengths.iter().enumerate().skip(1) {
        total += longer;
        if total > most {
            return k - 1;
        }
        longer -= with;
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_exact_against_thresholds_on_the_grid() {
        for step in 1..200 {
            let threshold = f64::from(step) * 0.01;
            let below = (threshold * SCALE - 1e-6).ceil() as u16;
            for score in [1.0 - threshold - 1e-9, 1.0 - threshold + 1e-9] {
                let near = 1.0 - score < threshold;
                assert_eq!(packed(score) < below, near, "{threshold} {score}");
            }
        }
        assert_eq!(packed(1.0), 0);
        assert_eq!(packed(-1.0), 40_000);
        assert_eq!(packed(f64::NAN), UNKNOWN);
    }

    #[test]
    fn lists_are_cut_to_what_fits() {
        let lists =
            Lists::from_rows((0..10u32).map(|i| (0..i).map(|j| (j, 1.0)).collect::<Vec<_>>()));
        // Cut at 2: 0 + 1 + 8 * 2 = 17.
        assert_eq!(fitting([&lists].into_iter(), 17), 2);
        assert_eq!(fitting([&lists].into_iter(), 16), 1);
        assert_eq!(fitting([&lists].into_iter(), 45), 9);
        assert_eq!(fitting([&lists].into_iter(), 1000), 9);
        assert_eq!(fitting([&lists].into_iter(), 0), 0);
    }
}
