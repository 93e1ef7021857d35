//! A run that also tells what its answers rest on, and what they only just do not: for a report.

use super::{Data, Run, run_on, unable};
use crate::error::{Error, Result};
use crate::matching::{Match, Matches, Rule, Source};
use crate::recipe::job::{Job, Outcome};
use crate::recipe::stages::Watch;
use crate::recipe::work::Made;
use crate::search::{TopK, cosine};
use crate::tensor::{Csr, Rows};

/// The evidence of a run, for whoever wants to look at it.
pub struct Evidence {
    /// Each kind's neighbours: those that the rule could use, and those a little farther away.
    pub sources: Vec<Source>,
    /// The rule over those sources.
    pub rule: Rule,
    /// The rows that take no part.
    pub unable: Vec<bool>,
    /// For each source, the similarities of the pairs that matched, in the order of
    /// [`Evidence::pairs`]; NaN where the source has no rows of its own, or either row no evidence.
    pub scores: Vec<Vec<f64>>,
    /// The pairs that matched either way, the lower row first, ascending.
    pub pairs: Vec<(u32, u32)>,
}

/// [`run`](super::run), and what it rests on, with neighbours `beyond` farther away than the rule looks.
///
/// The answers are those of [`run`](super::run).
///
/// # Errors
/// As [`run`](super::run); a run against a gallery.
pub fn run_with_evidence(
    job: &Job<'_>,
    watch: &dyn Watch,
    beyond: f64,
) -> Result<(Outcome, Evidence)> {
    if job.against.is_some() {
        return Err(
            Error::input("a report shows listings matched with one another")
                .mend("leave --against out, or --report"),
        );
    }
    let mut evidence = Evidence {
        sources: Vec::new(),
        rule: Rule::Union(Vec::new()),
        unable: unable(&job.side),
        scores: Vec::new(),
        pairs: Vec::new(),
    };
    let outcome = run_on(job, watch, Some((beyond, &mut evidence)))?;
    Ok((outcome, evidence))
}

impl Evidence {
    /// Takes down what a finished run rests on.
    pub(super) fn tell(
        &mut self,
        run: &Run<'_>,
        used: &[usize],
        matches: &Matches,
        sources: Vec<Source>,
        rule: &Rule,
    ) -> Result<()> {
        let both = |(i, row): (usize, &[Match])| {
            let i = i as u32;
            let others = row.iter().map(|m| m.row).filter(move |&j| j != i);
            others
                .map(move |j| (i.min(j), i.max(j)))
                .collect::<Vec<_>>()
        };
        self.pairs = matches.iter().enumerate().flat_map(both).collect();
        self.pairs.sort_unstable();
        self.pairs.dedup();
        let scores = used
            .iter()
            .map(|&space| run.similarities(space, &self.pairs));
        self.scores = scores.collect::<Result<_>>()?;
        self.sources = sources;
        self.rule = rule.clone();
        Ok(())
    }
}

impl Run<'_> {
    /// The neighbours in `space` of which the rule takes equal rows alone, and those that differ by less
    /// than `beyond`; none where a space has no such search.
    pub(super) fn almost_equal(&mut self, space: usize, beyond: f64) -> Result<Source> {
        let name = self.job.recipe.spaces[space].name.clone();
        if let Some(made) = self.hashes_of(space)?
            && let Made::Hashes(hashes) = &*made
        {
            let top = TopK {
                k: self.job.recipe.neighbours,
                min_score: Some(1.0 - beyond),
            };
            return Ok(Source::new(name, crate::search::hamming(hashes, &top)?));
        }
        Ok(Source::new(name, self.neighbours(space, None)?))
    }

    /// The similarities of `pairs` in a gathered space.
    pub(super) fn similarities(&self, space: usize, pairs: &[(u32, u32)]) -> Result<Vec<f64>> {
        let each = |score: &dyn Fn(usize, usize) -> Option<f64>| {
            let pairs = pairs.iter();
            let score = |&(a, b): &(u32, u32)| score(a as usize, b as usize).unwrap_or(f64::NAN);
            pairs.map(score).collect::<Vec<f64>>()
        };
        if let Some(made) = self.hashes_of(space)?
            && let Made::Hashes(hashes) = &*made
        {
            return Ok(each(&|a, b| {
                let bits = (hashes[a]? ^ hashes[b]?).count_ones();
                Some(1.0 - f64::from(bits) / 64.0)
            }));
        }
        if let Some(Data::Fused(..)) = self.data.get(&(space, super::Which::Queries)) {
            return Ok(vec![f64::NAN; pairs.len()]);
        }
        Ok(match self.rows(space)?.as_deref() {
            Some(Rows::Dense(x)) => each(&|a, b| cosine(x.row(a), x.row(b))),
            Some(Rows::Sparse(x)) => each(&|a, b| sparse_cosine(x, a, b)),
            None => vec![f64::NAN; pairs.len()],
        })
    }
}

/// The cosine of two sparse rows; none for a row of zeros.
fn sparse_cosine(x: &Csr, a: usize, b: usize) -> Option<f64> {
    let ((ac, av), (bc, bv)) = (x.row(a), x.row(b));
    let (mut i, mut j, mut dot) = (0, 0, 0.0);
    while i < ac.len() && j < bc.len() {
        match ac[i].cmp(&bc[j]) {
            std::cmp::Ordering::Less => i += 1,
            std::cmp::Ordering::Greater => j += 1,
            std::cmp::Ordering::Equal => {
                dot += av[i] * bv[j];
                i += 1;
                j += 1;
            }
        }
    }
    let norm = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>();
    let both = norm(av) * norm(bv);
    (both > 0.0).then(|| (dot / both.sqrt()).clamp(-1.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sparse_rows_are_compared_by_their_common_columns() {
        let x = Csr::new(4, vec![0, 2, 4, 4], vec![0, 2, 2, 3], vec![3., 4., 1., 0.]).unwrap();
        assert_eq!(sparse_cosine(&x, 0, 1), Some(0.8));
        assert_eq!(sparse_cosine(&x, 0, 0), Some(1.0));
        assert_eq!(sparse_cosine(&x, 0, 2), None);
    }
}
