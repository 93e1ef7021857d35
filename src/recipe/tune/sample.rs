//! Part of the listings, and what a recipe makes of them.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::evaluate::{Figures, evaluate};
use crate::listings::{Ledger, Listings};
use crate::lists::Lists;
use crate::matching::{Source, resolve_capped};
use crate::recipe::job::{Given, Job, Side};
use crate::recipe::run::Run;
use crate::recipe::spec::{Of, Recipe};
use crate::recipe::stages::{Clock, Quiet, Stage, Watch};
use crate::recipe::work::{Made, Work};
use crate::tensor::{Csr, Matrix, Rows};

/// How far lists for tuning reach, unless the recipe looks farther: rows with nothing in common, whose
/// cosine is 0, are left out.
const REACH: f64 = 0.99;

/// What the spaces that are made of no others hold for all listings, before any step.
pub(super) struct Leaves<'a> {
    pub job: &'a Job<'a>,
    /// The spaces that the rule rests on, each behind those that it is made of.
    pub reached: Vec<usize>,
    /// Stages so far.
    pub clock: Clock<'a>,
    rows: Vec<(usize, Arc<Rows>)>,
    hashes: Option<Arc<Made>>,
    ledger: Ledger,
    notes: Vec<String>,
    stages: Vec<Stage>,
}

impl<'a> Leaves<'a> {
    /// Makes them, or takes them from the folder of kept results.
    pub fn gather(job: &'a Job<'a>, reached: &[usize], watch: &'a dyn Watch) -> Result<Self> {
        let bare = bare(job.recipe);
        let job_bare = Job {
            recipe: &bare,
            ..job.clone()
        };
        let leaf = |space: &usize| {
            let given = job.side.given.iter();
            let mut given = given.filter(|(name, _)| *name == bare.spaces[*space].name);
            match bare.spaces[*space].of {
                Of::Fused { .. } | Of::Pair { .. } | Of::Ranked(_) => false,
                Of::Concat(_) => given.next().is_some(),
                _ => true,
            }
        };
        let leaves: Vec<usize> = reached.iter().copied().filter(leaf).collect();
        let mut run = Run::new(&job_bare, watch)?;
        run.plan(&leaves)?;
        let (mut rows, mut hashes) = (Vec::new(), None);
        for &space in &leaves {
            run.gather(space)?;
            if let Some(made) = run.hashes_of(space)? {
                hashes = Some(made);
            }
            let learnt = bare.spaces[space].of.is_learnt();
            let given = job.side.given.iter();
            let given = given.filter(|(name, _)| *name == bare.spaces[space].name);
            if (!learnt || given.count() > 0)
                && let Some(it) = run.rows(space)?
            {
                rows.push((space, it));
            }
        }
        let (ledger, notes, stages) = run.said();
        Ok(Leaves {
            job,
            reached: reached.to_vec(),
            clock: Clock::new(watch),
            rows,
            hashes,
            ledger,
            notes,
            stages,
        })
    }

    /// The listings of some rows and what belongs to them. TF-IDF and word2vec are learnt anew: they depend
    /// on what listings there are.
    pub fn sample(&self, rows: &[usize]) -> Result<Sample> {
        let mut listings = self.job.side.listings.select(rows)?;
        if let Some(made) = &self.hashes {
            let Made::Hashes(hashes) = &**made else {
                return Err(Error::internal("a stage's result is not hashes"));
            };
            for (item, &row) in listings.items.iter_mut().zip(rows) {
                item.phash = hashes[row];
            }
        }
        let recipe = self.job.recipe;
        let mut given = Vec::new();
        for (space, all) in &self.rows {
            let name = recipe.spaces[*space].name.clone();
            given.push((name, Given::Rows(Arc::new(some_rows(all, rows)?))));
        }
        let mut sample = Sample {
            labels: listings.labels(),
            listings,
            given,
            reached: self.reached.clone(),
            device: Arc::clone(&self.job.device),
        };
        let bare = bare(recipe);
        for &space in &self.reached {
            let it = &bare.spaces[space];
            let known = sample.given.iter().any(|(name, _)| *name == it.name);
            if it.of.is_learnt() && !known {
                let learnt = sample.with_run(&bare, |run| {
                    run.gather(space)?;
                    run.rows(space)
                })?;
                let learnt =
                    learnt.ok_or_else(|| Error::internal("a space of titles gave no rows"))?;
                sample.given.push((it.name.clone(), Given::Rows(learnt)));
            }
        }
        Ok(sample)
    }

    /// Rejects, notes and stages.
    pub fn said(mut self) -> (Ledger, Vec<String>, Vec<Stage>) {
        self.stages.append(&mut self.clock.stages);
        (self.ledger, self.notes, self.stages)
    }
}

/// A recipe without its steps.
fn bare(recipe: &Recipe) -> Recipe {
    let mut bare = recipe.clone();
    bare.spaces.iter_mut().for_each(|s| s.refine.clear());
    // It says nothing of the listings that a part of them is.
    bare.tuned = None;
    bare
}

fn some_rows(all: &Rows, rows: &[usize]) -> Result<Rows> {
    Ok(match all {
        Rows::Dense(x) => {
            let mut some = Matrix::zeros(rows.len(), x.dims());
            for (to, &from) in rows.iter().enumerate() {
                some.row_mut(to).copy_from_slice(x.row(from));
            }
            Rows::Dense(some)
        }
        Rows::Sparse(x) => {
            let mut starts = vec![0];
            let (mut columns, mut values) = (Vec::new(), Vec::new());
            for &row in rows {
                let (c, v) = x.row(row);
                columns.extend_from_slice(c);
                values.extend_from_slice(v);
                starts.push(columns.len());
            }
            Rows::Sparse(Csr::new(x.cols(), starts, columns, values)?)
        }
    })
}

/// Listings with all that a recipe needs of them.
pub(super) struct Sample {
    pub labels: Vec<Option<u32>>,
    /// As [`Leaves::reached`].
    pub reached: Vec<usize>,
    listings: Listings,
    given: Vec<(String, Given)>,
    device: Arc<dyn crate::device::Device>,
}

impl Sample {
    /// How many listings there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    fn with_run<T>(
        &self,
        recipe: &Recipe,
        act: impl FnOnce(&mut Run<'_>) -> Result<T>,
    ) -> Result<T> {
        let recipe = Recipe {
            tuned: None,
            published: None,
            ..recipe.clone()
        };
        let job = Job {
            side: Side {
                listings: &self.listings,
                images: None,
                given: self.given.clone(),
            },
            work: &Work::Memory,
            ..Job::new(&self.listings, &recipe, Arc::clone(&self.device))
        };
        let mut run = Run::new(&job, &Quiet)?;
        act(&mut run)
    }

    /// The neighbours in some of a recipe's spaces, which are gathered as the recipe says; each with the
    /// distance that it reaches.
    pub fn lists(&self, recipe: &Recipe, spaces: &[(usize, Option<f64>)]) -> Result<Vec<Lists>> {
        self.with_run(recipe, |run| {
            let mut all = Vec::new();
            for &(space, below) in spaces {
                run.gather(space)?;
                all.push(run.neighbours(space, below)?);
            }
            Ok(all)
        })
    }

    /// Rows without evidence of their own; those that were rejected are none of a sample.
    pub fn unable(&self) -> Vec<bool> {
        let items = self.listings.items.iter();
        items.map(|l| l.rejected || !l.usable()).collect()
    }

    /// The figures of a recipe.
    pub fn figures(&self, recipe: &Recipe) -> Result<Figures> {
        let used = recipe.fusion.sources();
        let wanted: Vec<(usize, Option<f64>)> = used
            .iter()
            .map(|&s| (s, recipe.fusion.reach(s).and_then(|r| r.below)))
            .collect();
        let lists = self.lists(recipe, &wanted)?;
        let sources: Vec<Source> = lists.into_iter().map(|l| Source::new("", l)).collect();
        let place = |space: usize| used.binary_search(&space).unwrap_or(0);
        let rule = recipe.fusion.map_sources(&place);
        let matches = resolve_capped(
            &sources,
            &rule,
            self.len(),
            Some(&self.unable()),
            recipe.matches,
        )?;
        let items = &self.listings.items;
        let matches = recipe
            .after
            .apply(matches, items, used.len() as u16, recipe.matches)?;
        evaluate(&self.labels, &matches.answers())
    }
}

/// How far lists of `space` reach while thresholds are chosen: as far as any that is tried, and as far as
/// the recipe's own.
pub(super) fn reach(written: impl IntoIterator<Item = f64>) -> f64 {
    written.into_iter().fold(REACH, f64::max).min(2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_picked_in_order() {
        let dense = Rows::Dense(Matrix::new(3, 2, vec![1., 2., 3., 4., 5., 6.]).unwrap());
        let Rows::Dense(some) = some_rows(&dense, &[2, 0]).unwrap() else {
            panic!("not dense");
        };
        assert_eq!(some.data(), [5., 6., 1., 2.]);
        let sparse = Csr::new(4, vec![0, 1, 1, 3], vec![2, 0, 3], vec![1., 2., 3.]).unwrap();
        let Rows::Sparse(some) = some_rows(&Rows::Sparse(sparse), &[2, 1]).unwrap() else {
            panic!("not sparse");
        };
        assert_eq!(some.row(0), (&[0, 3][..], &[2., 3.][..]));
        assert_eq!((some.rows(), some.row(1).0.len(), some.cols()), (2, 0, 4));
        assert_eq!(reach([0.5]), REACH);
        assert_eq!(reach([0.5, 1.5]), 1.5);
    }
}
