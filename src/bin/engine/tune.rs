//! `engine tune`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf, absolute};

use clap::Args;
use doppel::error::{Error, Result};
use doppel::evaluate::tune::Curve;
use doppel::files::write_whole;
use doppel::listings::Listings;
use doppel::recipe::work::Work;
use doppel::recipe::{self, Held, Job, Of, Recipe, Side, TuneOptions, TuneOutcome};
use serde_json::{Value, json};

use crate::common::{Common, Done, Progress, out, say, stages_json};
use crate::matching::different;
use crate::pipeline::{self, Pipeline};

#[derive(Args)]
#[command(
    after_help = "Example:\n  engine tune labelled.csv --recipe recipes/inb.toml --folds 5 --out tuned.toml\n  \
    engine match listings.csv --recipe tuned.toml --out matches.csv\n\nThe thresholds of blending are chosen \
    stage by stage, each on rows that the stages before it have blended; then those of the rule, one after \
    the other, for the highest mean F1 on all listings. --folds says what they are worth on listings that \
    they were not chosen on: with thresholds from the other folds, each fold's listings are answered from \
    all listings, and once more from themselves alone, which are fewer and so want looser thresholds.\n\nThresholds depend on the number of listings. --for-size chooses them on an eighth, a \
    quarter, half and all of the groups, and follows each along a straight line over the logarithm of the \
    number of listings:\n  engine tune labelled.csv --for-size 70000 --out for-70000.toml\n\nA model of pairs judges what the \
    rule matches:\n  engine tune labelled.csv --recipe loose.toml --pair-model pairs.json --out judged.toml"
)]
pub struct Arguments {
    /// The listings with their label_group
    #[arg(value_name = "LISTINGS.csv")]
    listings: PathBuf,
    /// The folder that the image column's names are in
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    #[command(flatten)]
    pipeline: Pipeline,
    /// Where what encoders and hashes make is kept, and taken from; `match` uses the same
    #[arg(long, value_name = "DIR")]
    work: Option<PathBuf>,
    /// Hold out each of this many folds of groups in turn, to say what the thresholds are worth
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub folds: usize,
    /// Change the numbers of these spaces alone
    #[arg(long, value_name = "NAME", num_args = 1..)]
    only: Vec<String>,
    /// Print the recipe for this many listings, extrapolated
    #[arg(long, value_name = "N")]
    for_size: Option<usize>,
    /// Which groups the parts of --for-size are made of
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    seed: u64,
    /// Train a model of pairs instead, on what the recipe's rule matches (a loose rule gives it more to
    /// judge), and write it here; the recipe that is printed uses it
    #[arg(long, value_name = "FILE.json", conflicts_with_all = ["only", "for_size", "curve"])]
    pub pair_model: Option<PathBuf>,
    /// Average that model with one over percentiles of its features
    #[arg(long, requires = "pair_model")]
    pub pair_twin: bool,
    /// Shift probabilities to a prior of half as many pairs of one group: p / (p + 2 (1 - p))
    #[arg(long, requires = "pair_model")]
    pub pair_prior: bool,
    /// Where the recipe goes, instead of stdout
    #[arg(long, value_name = "FILE.toml")]
    pub out: Option<PathBuf>,
    /// Where the curves go: source,distance,f1,precision,recall
    #[arg(long, value_name = "FILE.csv")]
    curve: Option<PathBuf>,
    #[command(flatten)]
    pub common: Common,
}

pub fn run(a: &Arguments) -> Result<Done> {
    let recipe = a.pipeline.recipe()?;
    let written = [a.out.as_ref(), a.curve.as_ref()];
    for read in a.pipeline.files().iter().chain([&a.listings]) {
        different(&[Some(read), a.out.as_ref(), a.curve.as_ref()])?;
    }
    different(&written)?;
    pipeline::once(&a.pipeline.embeddings)?;
    let listings = Listings::read(&a.listings)?;
    listings.require_labels()?;
    let work = match &a.work {
        Some(folder) => Work::open(folder)?,
        None => Work::Memory,
    };
    let job = Job {
        side: Side {
            listings: &listings,
            images: a.images.as_deref(),
            given: a.pipeline.given(),
        },
        insist: a.common.insists_on_card(),
        work: &work,
        ..Job::new(&listings, &recipe, a.common.shared_device()?)
    };
    if let Some(model) = &a.pair_model {
        different(&[Some(&a.listings), a.out.as_ref(), Some(model)])?;
        return crate::tune_pairs::run(a, &job, model);
    }
    let options = TuneOptions {
        folds: a.folds,
        only: a.only.clone(),
        for_size: a.for_size,
        seed: a.seed,
    };
    let mut outcome = recipe::tune(&job, &options, &Progress::new(&a.common))?;
    for note in &outcome.notes {
        a.common.note(note);
    }
    let summary = summary(&recipe, &outcome);
    let toml = toml(&summary, &outcome)?;
    if let Some(path) = &a.curve {
        write_curves(path, &outcome)?;
    }
    match &a.out {
        Some(path) => {
            write_whole(path, |file| file.write_all(toml.as_bytes()))?;
            a.common.print(summary.trim_end());
        }
        None if !a.common.json => out(toml.trim_end()),
        None => {}
    }
    a.common.result(&to_json(a, &outcome, &toml));
    if let Some(path) = &a.out {
        return a.common.ledger(&mut outcome.ledger, path);
    }
    for reject in outcome.ledger.iter().take(20) {
        say(&format!("rejected: {reject}"));
    }
    Ok(if outcome.ledger.is_empty() {
        Done::Clean
    } else {
        Done::Rejected
    })
}

/// What was found, for people.
fn summary(given: &Recipe, o: &TuneOutcome) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let mut line = |words: String| {
        let _ = writeln!(text, "{words}");
    };
    line(format!(
        "{} on {} listings: F1 {:.4} as written, {:.4} tuned (precision {:.4}, recall {:.4})",
        given.name, o.listings, o.before.f1, o.after.f1, o.after.precision, o.after.recall
    ));
    if let Some(folds) = &o.folds {
        let held = |held: &Held| {
            format!(
                "F1 {:.4} as written, {:.4} +- {:.4} tuned on the others",
                held.before, held.f1, held.deviation
            )
        };
        let count = folds.folds.len();
        line(format!(
            "{count} folds held out, each answered from all listings: {}",
            held(&folds.whole)
        ));
        line(format!(
            "{count} folds held out, each answered from itself alone: {}",
            held(&folds.alone)
        ));
    }
    for stage in &o.stages {
        line(format!(
            "{}, step {}, neighbourhoods on the rows before it: {}",
            stage.name,
            stage.step,
            best(&stage.curve)
        ));
        draw(&stage.curve, &mut line);
    }
    for space in &o.curves {
        line(format!("{} alone: {}", space.name, best(&space.curve)));
        draw(&space.curve, &mut line);
    }
    if let Some(sizes) = &o.sizes {
        let from: Vec<String> = sizes.from.iter().map(usize::to_string).collect();
        line(format!(
            "the thresholds below are extrapolated to {} listings from {}:",
            sizes.listings,
            from.join(", ")
        ));
        for fit in &sizes.fits {
            let chosen: Vec<String> = fit.chosen.iter().map(f64::to_string).collect();
            line(format!(
                "  {}: {} at {}; from {}",
                fit.name,
                fit.distance,
                sizes.listings,
                chosen.join(", ")
            ));
        }
    }
    text
}

fn best(curve: &Curve) -> String {
    let (one, two) = (&curve.best, &curve.min2);
    let mut text = format!(
        "F1 {:.4} below {} (precision {:.4}, recall {:.4})",
        one.f1, one.distance, one.precision, one.recall
    );
    if two.first.f1 > one.f1 {
        let _ = write!(
            text,
            "; {:.4} below {} with the nearest below {}",
            two.first.f1, two.first.distance, two.distance
        );
    }
    text
}

/// F1 from 0 up by distance, eight steps high, and where the best is.
fn draw(curve: &Curve, line: &mut impl FnMut(String)) {
    const WIDTH: usize = 60;
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let Some(last) = curve.points.last().map(|p| p.distance).filter(|&d| d > 0.0) else {
        return;
    };
    let column = |distance: f64| ((distance / last * WIDTH as f64) as usize).min(WIDTH - 1);
    let mut heights = [0.0f64; WIDTH];
    for point in &curve.points {
        let height = &mut heights[column(point.distance)];
        *height = height.max(point.f1);
    }
    let top = curve.best.f1.max(f64::MIN_POSITIVE);
    let bars = heights
        .iter()
        .map(|h| BARS[((h / top * 7.0).round() as usize).min(7)]);
    line(format!("  {}", bars.collect::<String>()));
    let at = column(curve.best.distance);
    line(format!(
        "  {}^ {}{}{last:.2}",
        " ".repeat(at),
        curve.best.distance,
        " ".repeat(WIDTH.saturating_sub(at + 7 + curve.best.distance.to_string().len())),
    ));
}

/// The recipe as a file, with what was found as comments.
fn toml(summary: &str, o: &TuneOutcome) -> Result<String> {
    let mut recipe = o.sized.as_ref().unwrap_or(&o.recipe).clone();
    whole_paths(&mut recipe)?;
    let mut text = String::new();
    for line in summary.lines() {
        let _ = writeln!(text, "# {line}");
    }
    text.push('\n');
    text.push_str(&recipe.to_toml());
    Ok(text)
}

/// Makes paths absolute, since the file may come to stand in another folder.
pub fn whole_paths(recipe: &mut Recipe) -> Result<()> {
    let whole = |path: &mut PathBuf| -> Result<()> {
        if !path.as_os_str().is_empty() {
            *path = absolute(&*path).map_err(|e| Error::io(e, &*path))?;
        }
        Ok(())
    };
    if let Some(rule) = &mut recipe.after.pair_model {
        whole(&mut rule.file)?;
    }
    recipe
        .spaces
        .iter_mut()
        .try_for_each(|space| match &mut space.of {
            Of::Image { encoder, .. } => whole(&mut encoder.weights),
            Of::Text { encoder, .. } => whole(&mut encoder.weights),
            Of::File(path) => whole(path),
            _ => Ok(()),
        })
}

fn write_curves(path: &Path, o: &TuneOutcome) -> Result<()> {
    let spaces = o.curves.iter().map(|s| (s.name.clone(), &s.curve));
    let stages = o
        .stages
        .iter()
        .map(|s| (format!("{}.{}", s.name, s.step), &s.curve));
    let curves: Vec<(String, &Curve)> = stages.chain(spaces).collect();
    write_whole(path, |file| {
        writeln!(file, "source,distance,f1,precision,recall")?;
        for (name, curve) in &curves {
            for p in &curve.points {
                writeln!(
                    file,
                    "{name},{},{},{},{}",
                    p.distance, p.f1, p.precision, p.recall
                )?;
            }
        }
        Ok(())
    })
}

fn to_json(a: &Arguments, o: &TuneOutcome, toml: &str) -> Value {
    json!({
        "listings": o.listings,
        "before": o.before,
        "after": o.after,
        "f1": o.after.f1,
        "folds": o.folds,
        "sizes": o.sizes,
        "curves": o.curves,
        "blends": o.stages,
        "recipe": toml,
        "rejects": o.ledger.len(),
        "stages": stages_json(&o.clock),
        "notes": o.notes,
        "out": a.out,
        "curve": a.curve,
    })
}
