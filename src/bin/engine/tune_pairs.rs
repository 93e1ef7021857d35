//! `engine tune --pair-model`.

use std::fmt::Write as _;
use std::path::{Path, absolute};

use doppel::error::{Error, Result};
use doppel::files::write_whole;
use doppel::pairs::BoostOptions;
use doppel::recipe::{Job, PairFold, PairOptions, PairOutcome, PairRule, train_pairs};
use serde_json::{Value, json};

use crate::common::{Done, Progress, out};
use crate::tune::{Arguments, whole_paths};

/// Folds, unless told otherwise.
const FOLDS: usize = 5;

pub fn run(a: &Arguments, job: &Job<'_>, model: &Path) -> Result<Done> {
    let options = PairOptions {
        folds: if a.folds == 0 { FOLDS } else { a.folds },
        twin: a.pair_twin,
        calibrated: a.pair_prior,
        boost: BoostOptions::default(),
    };
    let outcome = train_pairs(job, &options, &Progress::new(&a.common))?;
    outcome.model.write(model)?;
    let mut recipe = job.recipe.clone();
    recipe.after.pair_model = Some(PairRule {
        file: absolute(model).map_err(|e| Error::io(e, model))?,
        above: None,
        calibrated: a.pair_prior,
    });
    whole_paths(&mut recipe)?;
    let summary = summary(&recipe.name, &outcome);
    let mut toml = String::new();
    for line in summary.lines() {
        // Writing to a string does not fail.
        let _ = writeln!(toml, "# {line}");
    }
    toml.push('\n');
    toml.push_str(&recipe.to_toml());
    match &a.out {
        Some(path) => {
            write_whole(path, |file| file.write_all(toml.as_bytes()))?;
            a.common.print(summary.trim_end());
        }
        None if !a.common.json => out(toml.trim_end()),
        None => {}
    }
    a.common.result(&to_json(&outcome, &toml, model));
    Ok(Done::Clean)
}

/// The mean over folds, and the standard deviation.
fn mean(folds: &[PairFold], of: impl Fn(&PairFold) -> f64) -> (f64, f64) {
    let count = folds.len().max(1) as f64;
    let mean = folds.iter().map(&of).sum::<f64>() / count;
    let squares: f64 = folds.iter().map(|f| (of(f) - mean).powi(2)).sum();
    (mean, (squares / (count - 1.0).max(1.0)).sqrt())
}

/// What was found, for people.
fn summary(name: &str, o: &PairOutcome) -> String {
    let (before, after) = (mean(&o.folds, |f| f.before), mean(&o.folds, |f| f.f1));
    let (all, same) = o.pairs;
    format!(
        "{name}: {all} candidate pairs, {same} of them of one group\n\
         {} folds held out, each answered from all listings: F1 {:.4} +- {:.4} by the rule alone, \
         {:.4} +- {:.4} with a model of the others\n\
         pairs match above {:.2}\n",
        o.folds.len(),
        before.0,
        before.1,
        after.0,
        after.1,
        o.model.above
    )
}

fn to_json(o: &PairOutcome, toml: &str, model: &Path) -> Value {
    let (f1, deviation) = mean(&o.folds, |f| f.f1);
    json!({
        "pairs": o.pairs.0,
        "positive": o.pairs.1,
        "folds": o.folds,
        "before": mean(&o.folds, |f| f.before).0,
        "f1": f1,
        "deviation": deviation,
        "above": o.model.above,
        "features": o.model.features,
        "recipe": toml,
        "model": model,
    })
}
