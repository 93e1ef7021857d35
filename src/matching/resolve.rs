//! Runs a rule over all rows.

use rayon::prelude::*;

use super::fire::{Evidence, Node, Relation, Runner};
use super::matches::{Firing, Matches};
use super::{ITSELF, Rule, Source, Steps};
use crate::error::{Error, Result};
use crate::limits::{MAX_MATCHES, MAX_ROWS};
use crate::lists::Lists;

/// How many rows one task of the thread pool takes.
const BLOCK: usize = 512;

/// The matches of all rows under `rule`, at most [`MAX_MATCHES`] a row, itself included.
///
/// # Errors
/// As [`resolve_capped`].
pub fn resolve(sources: &[Source], rule: &Rule, rows: usize) -> Result<Matches> {
    resolve_capped(sources, rule, rows, None, MAX_MATCHES)
}

/// The matches of all rows under `rule`, at most `cap` a row, itself included.
///
/// `unable` marks rows that take no part (a listing without usable data): such a row matches itself
/// alone, stands in no other row's matches, and is nobody's nearest neighbour.
///
/// Over the cap, the matches with the highest score stay, and of equal scores those of the lowest
/// rows. Only the answer is capped, not what rules inside `rule` pass on.
///
/// # Errors
/// A rule that [`Rule::validate`] rejects; a source or mask that is not for `rows` rows; lists that
/// break the contract of [`Lists`](crate::lists::Lists) (a score that is not finite, neighbours not
/// best first or outside the rows); an [`Rule::Equal`] over lists with a score below 1; a cap of 0 or
/// above [`MAX_MATCHES`].
pub fn resolve_capped(
    sources: &[Source],
    rule: &Rule,
    rows: usize,
    unable: Option<&[bool]>,
    cap: usize,
) -> Result<Matches> {
    resolve_with(sources, rule, rows, unable, cap, None)
}

/// Runs a rule somewhere else than on this module's own loops: on a card.
pub trait Sweeper {
    /// Hands each row's evidence for its matches to `row`, one row after the other, in the order of
    /// [`Matches::firings`]; of the matches at most `cap`, the row itself included. Gives false, and hands
    /// over nothing, where it cannot run such a rule. All was checked; `unable` is as in
    /// [`resolve_capped`].
    ///
    /// # Errors
    /// What the device says.
    fn fire(
        &self,
        _evidence: &[&Lists],
        _rule: &Rule,
        _unable: Option<&[bool]>,
        _cap: usize,
        _row: &mut dyn FnMut(&[Firing]),
    ) -> Result<bool> {
        Ok(false)
    }

    /// For each row what a sweep over these modalities fires, as [`Rule::Sweep`] defines it: the
    /// neighbours below the thresholds of the first step that has any. `evidence` and `steps` stand
    /// side by side; a firing's `source` is the place in them. `unable` is as in [`resolve_capped`].
    ///
    /// # Errors
    /// What the device says.
    fn sweep(
        &self,
        evidence: &[&Lists],
        steps: &[Steps],
        unable: Option<&[bool]>,
    ) -> Result<Vec<Vec<Firing>>>;
}

/// [`resolve_capped`] with the rule, or else its sweeps over modalities alone, run by `sweeper`, when one
/// is given.
///
/// # Errors
/// As [`resolve_capped`], and what the sweeper says.
pub fn resolve_with(
    sources: &[Source],
    rule: &Rule,
    rows: usize,
    unable: Option<&[bool]>,
    cap: usize,
    sweeper: Option<&dyn Sweeper>,
) -> Result<Matches> {
    if cap == 0 || cap > MAX_MATCHES {
        return Err(Error::limit(format!(
            "{cap} matches a row are not from 1 to {MAX_MATCHES}"
        ))
        .op("match"));
    }
    run(sources, rule, rows, unable, cap, sweeper)
}

/// [`resolve_with`] for any cap.
pub(super) fn run(
    sources: &[Source],
    rule: &Rule,
    rows: usize,
    unable: Option<&[bool]>,
    cap: usize,
    sweeper: Option<&dyn Sweeper>,
) -> Result<Matches> {
    check_sizes(sources, rows, unable)?;
    rule.validate(sources.len())?;
    sources.iter().try_for_each(check_lists)?;
    check_equalities(rule, sources)?;

    if let Some(sweeper) = sweeper {
        let lists: Vec<&Lists> = sources.iter().map(|source| &source.lists).collect();
        let mut matches = Matches::default();
        let mut push = |fired: &[Firing]| matches.push_ordered(matches.len() as u32, fired);
        if sweeper.fire(&lists, rule, unable, cap, &mut push)? {
            return Ok(matches);
        }
    }
    let evidence = Evidence { sources, unable };
    let all = All {
        evidence: &evidence,
        rows,
        sweeper,
    };
    let node = Node::ready(rule, &all)?;
    let blocks = blocks(rows, |range| {
        let (mut block, mut fired, mut groups) = (Matches::default(), Vec::new(), Vec::new());
        for row in range {
            fired.clear();
            if !evidence.is_unable(row) {
                node.fire(&evidence, row, &mut fired);
            }
            block.push(row as u32, &mut fired, &mut groups, cap);
        }
        block
    });
    let mut matches = Matches::default();
    blocks.iter().for_each(|block| matches.append(block));
    Ok(matches)
}

/// All rows, and what runs sweeps over them.
struct All<'a> {
    evidence: &'a Evidence<'a>,
    rows: usize,
    sweeper: Option<&'a dyn Sweeper>,
}

impl Runner for All<'_> {
    fn relation(&self, node: &Node) -> Relation {
        relation(node, self.evidence, self.rows)
    }

    fn sweep(&self, swept: &[(usize, Steps)]) -> Option<Result<Relation>> {
        let sweeper = self.sweeper?;
        let lists: Vec<&Lists> = swept
            .iter()
            .map(|&(s, _)| &self.evidence.sources[s].lists)
            .collect();
        let steps: Vec<Steps> = swept.iter().map(|&(_, steps)| steps).collect();
        let fired = sweeper.sweep(&lists, &steps, self.evidence.unable);
        Some(fired.map(|rows| {
            let counts = rows.iter().map(Vec::len).collect();
            let name = |f: Firing| Firing {
                source: swept[usize::from(f.source)].0 as u16,
                ..f
            };
            let firings = rows.into_iter().flat_map(|mut row| {
                row.iter_mut().for_each(|f| *f = name(*f));
                Relation::order(&mut row);
                row
            });
            Relation::join(vec![(counts, firings.collect())])
        }))
    }
}

/// What `node` fires over all rows.
fn relation(node: &Node, evidence: &Evidence, rows: usize) -> Relation {
    Relation::join(blocks(rows, |range| {
        let (mut counts, mut firings) = (Vec::with_capacity(range.len()), Vec::new());
        for row in range {
            let start = firings.len();
            if !evidence.is_unable(row) {
                node.fire(evidence, row, &mut firings);
            }
            Relation::order(&mut firings[start..]);
            counts.push(firings.len() - start);
        }
        (counts, firings)
    }))
}

/// Runs `work` on blocks of rows in parallel; the results come in the order of the rows.
fn blocks<T: Send>(rows: usize, work: impl Fn(std::ops::Range<usize>) -> T + Sync) -> Vec<T> {
    (0..rows.div_ceil(BLOCK))
        .into_par_iter()
        .map(|b| work(b * BLOCK..rows.min((b + 1) * BLOCK)))
        .collect()
}

fn check_sizes(sources: &[Source], rows: usize, unable: Option<&[bool]>) -> Result<()> {
    let limit = |message: String| Err(Error::limit(message).op("match"));
    if rows > MAX_ROWS {
        return limit(format!("{rows} rows are more than {MAX_ROWS}"));
    }
    if sources.len() > usize::from(ITSELF) {
        return limit(format!("{} sources are too many", sources.len()));
    }
    for source in sources {
        if source.lists.len() != rows {
            let error = Error::shape("match", &[source.lists.len()], &[rows]);
            return Err(error.mend(format!(
                "source {} needs one list for each row",
                source.name
            )));
        }
    }
    match unable {
        Some(unable) if unable.len() != rows => {
            let error = Error::shape("match", &[unable.len()], &[rows]);
            Err(error.mend("mark each row as able or unable"))
        }
        _ => Ok(()),
    }
}

/// Checks what running a rule rests on: finite scores, best first, neighbours among the rows.
fn check_lists(source: &Source) -> Result<()> {
    let lists = &source.lists;
    let rows = lists.len();
    let wrong = |i: usize| -> Option<&'static str> {
        let list = lists.row(i);
        // Folds without an early exit, so that the compiler can use wide instructions.
        let finite = list.scores.iter().fold(true, |ok, s| ok & s.is_finite());
        let inside = list
            .rows
            .iter()
            .fold(true, |ok, &j| ok & ((j as usize) < rows));
        let pairs = list.scores.windows(2).zip(list.rows.windows(2));
        // Of equal scores only the two zeros differ in their bits; they may stand as one number or,
        // as `total_cmp` has them, 0 before -0.
        let ordered = pairs.fold(true, |ok, (s, r)| {
            let tie = (r[0] < r[1]) | (s[0].to_bits() < s[1].to_bits());
            ok & ((s[0] > s[1]) | ((s[0] == s[1]) & tie))
        });
        match (finite, inside, ordered) {
            (false, _, _) => Some("a score is not finite"),
            (_, false, _) => Some("a neighbour lies outside the rows"),
            (_, _, false) => Some("neighbours are not best first, ties by lower row"),
            _ => None,
        }
    };
    let first = (0..rows)
        .into_par_iter()
        .with_min_len(BLOCK)
        .find_map_first(|i| wrong(i).map(|what| (i, what)));
    match first {
        Some((i, what)) => Err(Error::input(format!("source {}: {what}", source.name))
            .op("match")
            .row(i as u64 + 1)
            .mend("give lists as doppel's searches make them")),
        None => Ok(()),
    }
}

/// Checks that the lists which [`Rule::Equal`] takes whole hold equal rows alone.
fn check_equalities(rule: &Rule, sources: &[Source]) -> Result<()> {
    match rule {
        Rule::Threshold { .. } => Ok(()),
        Rule::Equal { source } => {
            let source = &sources[*source];
            let unequal =
                |list: crate::lists::Neighbours| list.scores.last().is_some_and(|&s| s < 1.0);
            match source.lists.iter().position(unequal) {
                Some(i) => Err(Error::input(format!(
                    "source {} is matched by equality, and lists a neighbour with a score below 1",
                    source.name
                ))
                .op("match")
                .row(i as u64 + 1)
                .mend("search it for equal rows alone, or use a threshold")),
                None => Ok(()),
            }
        }
        Rule::Sweep(parts) => parts.iter().try_for_each(|part| match part {
            super::Part::Swept { .. } => Ok(()),
            super::Part::Fixed(rule) => check_equalities(rule, sources),
        }),
        Rule::Union(rules) | Rule::Intersection(rules) => {
            rules.iter().try_for_each(|r| check_equalities(r, sources))
        }
        Rule::Reciprocal(rule) | Rule::Min2 { rule, .. } => check_equalities(rule, sources),
    }
}
