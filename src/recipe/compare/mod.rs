//! Several recipes on the same labelled listings: what `engine compare` does.
//!
//! The rows of the spaces that are made of no others are made once for all recipes that have the same space,
//! whatever they call it; each form of a recipe then refines, searches and fuses them.

pub mod chart;
pub mod variant;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use super::job::{Given, Job, Side};
use super::run::{Run, run};
use super::spec::{Of, Recipe, Space};
use super::stages::Watch;
use super::tune::{Held, TuneOptions, reached, tune};
use super::work::Work;
use crate::error::{Error, Result};
use crate::evaluate::{Figures, evaluate};
use crate::listings::Ledger;
use crate::tensor::Rows;
use variant::Variant;

/// What is compared.
#[derive(Debug, Clone)]
pub struct CompareOptions {
    /// The forms of each recipe.
    pub variants: Vec<Variant>,
    /// Each recipe as it is written without one kind of evidence after the other, too.
    pub ablation: bool,
    /// In how many folds thresholds are chosen on the others, for F1 on listings that they were not chosen
    /// on; 0 for none.
    pub folds: usize,
    /// What relative paths of built-in recipes are taken from.
    pub folder: PathBuf,
}

/// One line of a comparison.
#[derive(Debug, Clone, Serialize)]
pub struct Compared {
    /// The recipe.
    pub recipe: String,
    /// Its form: `plain`, `Min2`, `INB`, or `without words`.
    pub variant: String,
    /// How good its answers are, with its own thresholds.
    pub figures: Figures,
    /// F1 over held-out folds with thresholds from the others.
    pub held: Option<Held>,
    /// The published score of just this form, on other listings.
    pub published: Option<f64>,
    /// How long the form took, its rows at hand.
    pub seconds: f64,
}

/// What a comparison gives.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// The lines, recipe after recipe.
    pub lines: Vec<Compared>,
    /// The listings' own rejects and those of the runs.
    pub ledger: Ledger,
    /// What the reader should know.
    pub notes: Vec<String>,
}

/// Rows of a space that is made of no others.
struct Made {
    of: Space,
    rows: Arc<Rows>,
}

/// Compares `recipes` on `job`'s listings, which have labels; the recipe of `job` itself is not looked at. Given
/// rows go to every recipe that has a space of the name.
///
/// # Errors
/// No labels; rows for a space that no recipe has; as [`run`] and [`tune`].
pub fn compare(
    job: &Job<'_>,
    recipes: &[Recipe],
    opt: &CompareOptions,
    watch: &dyn Watch,
) -> Result<Comparison> {
    job.side.listings.require_labels()?;
    for (name, _) in &job.side.given {
        let has = |recipe: &Recipe| recipe.spaces.iter().any(|space| space.name == *name);
        if !recipes.iter().any(has) {
            return Err(
                Error::input(format!("rows are given for {name}, a space of no recipe"))
                    .mend("name a space of one of the recipes"),
            );
        }
    }
    let mut all = All {
        job,
        opt,
        watch,
        made: Vec::new(),
        out: Comparison {
            lines: Vec::new(),
            ledger: job.side.listings.ledger.clone(),
            notes: Vec::new(),
        },
    };
    for recipe in recipes {
        all.recipe(recipe)?;
    }
    Ok(all.out)
}

struct All<'a> {
    job: &'a Job<'a>,
    opt: &'a CompareOptions,
    watch: &'a dyn Watch,
    made: Vec<Made>,
    out: Comparison,
}

impl All<'_> {
    fn recipe(&mut self, recipe: &Recipe) -> Result<()> {
        let mut forms: Vec<(String, Recipe)> = Vec::new();
        for variant in &self.opt.variants {
            let form = variant.of(recipe, &self.opt.folder);
            forms.push((variant.name().to_string(), form));
        }
        if self.opt.ablation {
            for modality in variant::modalities(recipe) {
                if let Some(less) = variant::without(recipe, &modality) {
                    forms.push((format!("without {modality}"), less));
                }
            }
        }
        for (name, form) in forms {
            let given = self.leaves(&form)?;
            let start = Instant::now();
            let job = Job {
                recipe: &form,
                side: Side {
                    given,
                    ..self.job.side.clone()
                },
                work: &Work::Memory,
                ..self.job.clone()
            };
            let outcome = run(&job, self.watch)?;
            let answers: Vec<Vec<u32>> = (0..outcome.matches.len())
                .map(|i| outcome.matches.rows(i).collect())
                .collect();
            let figures = evaluate(&job.side.listings.labels(), &answers)?;
            let seconds = start.elapsed().as_secs_f64();
            let held = match self.opt.folds {
                0 => None,
                folds => {
                    let opt = TuneOptions {
                        folds,
                        ..TuneOptions::default()
                    };
                    let tuned = tune(&job, &opt, self.watch)?;
                    tuned.folds.map(|folds| folds.whole)
                }
            };
            self.heed(outcome.ledger, outcome.notes);
            self.out.lines.push(Compared {
                recipe: recipe.name.clone(),
                variant: name,
                figures,
                held,
                published: form.published.as_ref().and_then(|p| p.score),
                seconds,
            });
        }
        Ok(())
    }

    /// The rows of all spaces of `recipe` that are made of no others, each made once.
    fn leaves(&mut self, recipe: &Recipe) -> Result<Vec<(String, Given)>> {
        let has = |name: &String| recipe.spaces.iter().any(|space| space.name == *name);
        let mut given: Vec<(String, Given)> = self.job.side.given.clone();
        given.retain(|(name, _)| has(name));
        let mut bare = recipe.clone();
        bare.spaces.iter_mut().for_each(|s| s.refine.clear());
        bare.tuned = None;
        let mut wanted = Vec::new();
        let side = Side {
            given: given.clone(),
            ..self.job.side.clone()
        };
        for space in reached(recipe, &side)? {
            let it = &bare.spaces[space];
            let known = given.iter().any(|(name, _)| *name == it.name);
            let made = matches!(it.of, Of::Phash | Of::Concat(_)) || it.of.is_scores();
            if known || made {
                continue;
            }
            match self.made.iter().find(|made| same(&made.of, it)) {
                Some(made) => given.push((it.name.clone(), Given::Rows(Arc::clone(&made.rows)))),
                None => wanted.push(space),
            }
        }
        if wanted.is_empty() {
            return Ok(given);
        }
        let job = Job {
            recipe: &bare,
            side: Side {
                given: given.clone(),
                ..self.job.side.clone()
            },
            ..self.job.clone()
        };
        let mut run = Run::new(&job, self.watch)?;
        run.plan(&wanted)?;
        for space in wanted {
            run.gather(space)?;
            let it = &bare.spaces[space];
            if let Some(rows) = run.rows(space)? {
                given.push((it.name.clone(), Given::Rows(Arc::clone(&rows))));
                let of = it.clone();
                self.made.push(Made { of, rows });
            }
        }
        let (ledger, notes, _) = run.said();
        self.heed(ledger, notes);
        Ok(given)
    }

    /// Takes down what a run said, once.
    fn heed(&mut self, ledger: Ledger, notes: Vec<String>) {
        for reject in ledger.iter() {
            let ours = &mut self.out.ledger;
            let known = ours
                .iter()
                .any(|r| r.row == reject.row && r.column == reject.column);
            if !known {
                ours.push(reject.clone());
            }
        }
        self.out.ledger.sort();
        for note in notes {
            if !self.out.notes.contains(&note) {
                self.out.notes.push(note);
            }
        }
    }
}

/// Whether two spaces have the same rows.
fn same(a: &Space, b: &Space) -> bool {
    a.of == b.of && a.clean == b.clean && a.euclidean.is_some() == b.euclidean.is_some()
}
