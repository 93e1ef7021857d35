//! `engine classify`.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Instant;

use clap::{Args, ValueEnum};
use doppel::classify::{Metric, chart, curve, ranked};
use doppel::error::{Error, Result};
use doppel::files::write_whole;
use doppel::listings::Listings;
use doppel::matching::Rule;
use doppel::recipe::{Job, Of, Recipe, Side, Space, space_rows, work::Work};
use doppel::text::tfidf::{Norm, TfidfOptions};
use serde_json::json;

use crate::common::{Common, Done, Progress, peak_memory, seconds};
use crate::matching::different;
use crate::pipeline::{self, Pipeline};

#[derive(Args)]
#[command(
    after_help = "Example:\n  engine classify listings.csv --space counts -k 1..100 --metric euclidean --out curve.csv\n\n\
    Each labelled listing gets the label that most of its k nearest others have (leave one out), and the curve \
    says how often that is its own; ties go to the label that sorts first, as in scikit-learn. The best k is \
    printed."
)]
pub struct Arguments {
    /// The listings with their label_group
    #[arg(value_name = "LISTINGS.csv")]
    listings: PathBuf,
    /// The folder of the images
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// What listings are compared by: a space of the recipe; without one `counts` or `tfidf` of the titles, or
    /// a name that --embeddings gives rows for
    #[arg(long, value_name = "NAME", default_value = "tfidf")]
    space: String,
    /// How many neighbours vote: a number, or all from one to another
    #[arg(short, value_name = "K|A..B", default_value = "1..100", value_parser = ks)]
    k: RangeInclusive<usize>,
    /// How far two listings are from each other
    #[arg(long, value_enum, default_value = "cosine")]
    metric: MetricName,
    #[command(flatten)]
    pipeline: Pipeline,
    /// Where the curve goes: k,right,accuracy
    #[arg(long, value_name = "CURVE.csv")]
    out: PathBuf,
    /// Where its picture goes
    #[arg(long, value_name = "CURVE.svg")]
    chart: Option<PathBuf>,
    #[command(flatten)]
    pub common: Common,
}

#[derive(Clone, Copy, ValueEnum)]
enum MetricName {
    Cosine,
    Euclidean,
}

fn ks(text: &str) -> std::result::Result<RangeInclusive<usize>, String> {
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    let last = last.strip_prefix('=').unwrap_or(last);
    match (first.trim().parse(), last.trim().parse()) {
        (Ok(first), Ok(last)) => Ok(first..=last),
        _ => Err("give a number, or two as in 1..100".to_string()),
    }
}

impl Arguments {
    fn recipe(&self) -> Result<Recipe> {
        if self.pipeline.recipe.is_some() || !self.pipeline.encoder.is_empty() {
            return self.pipeline.recipe();
        }
        let options = match self.space.as_str() {
            "counts" => TfidfOptions {
                use_idf: false,
                norm: Norm::None,
                ..TfidfOptions::default()
            },
            _ => TfidfOptions::default(),
        };
        let given = self
            .pipeline
            .embeddings
            .iter()
            .any(|(n, _)| *n == self.space);
        let of = match self.space.as_str() {
            _ if given => Of::Given,
            "counts" | "tfidf" => Of::Tfidf {
                options,
                decode_escapes: false,
            },
            other => {
                return Err(Error::input(format!("--space {other} without a recipe"))
                    .mend("give counts, tfidf, a --recipe, or --embeddings for it"));
            }
        };
        let mut recipe = self.pipeline.default_recipe(Default::default());
        recipe.name = self.space.clone();
        recipe.spaces = vec![Space::new(&self.space, of)];
        recipe.fusion = Rule::threshold(0, 0.5);
        Ok(recipe)
    }
}

pub fn run(a: &Arguments) -> Result<Done> {
    let recipe = a.recipe()?;
    let outs = [Some(&a.out), a.chart.as_ref()];
    different(&[Some(&a.listings), outs[0], outs[1]])?;
    for read in a.pipeline.files() {
        different(&[Some(&read), outs[0], outs[1]])?;
    }
    pipeline::once(&a.pipeline.embeddings)?;
    let listings = Listings::read(&a.listings)?;
    listings.require_labels()?;
    let start = Instant::now();
    let job = Job {
        recipe: &recipe,
        side: Side {
            listings: &listings,
            images: a.images.as_deref(),
            given: a.pipeline.given(),
        },
        against: None,
        device: a.common.shared_device()?,
        insist: a.common.insists_on_card(),
        work: &Work::Memory,
    };
    let mut made = space_rows(&job, &a.space, &Progress::new(&a.common))?;
    let items = listings.items.iter();
    let labels = items.map(|l| l.label_group.as_deref().filter(|_| !l.rejected));
    let labels = ranked(&labels.collect::<Vec<_>>());
    let metric = match a.metric {
        MetricName::Cosine => Metric::Cosine,
        MetricName::Euclidean => Metric::Euclidean,
    };
    let curve = curve(&made.rows, &labels, a.k.clone(), metric)?;
    let took = start.elapsed().as_secs_f64();
    write_whole(&a.out, |out| {
        out.write_all(b"k,right,accuracy\n")?;
        for p in &curve.points {
            writeln!(out, "{},{},{}", p.k, p.right, p.accuracy)?;
        }
        Ok(())
    })?;
    if let Some(path) = &a.chart {
        let metric = match a.metric {
            MetricName::Cosine => "cosine",
            MetricName::Euclidean => "Euclidean",
        };
        let title = format!(
            "Accuracy of k nearest neighbours: {}, {metric}, {} listings",
            a.space, curve.rows
        );
        let svg = chart(&curve, &title);
        write_whole(path, |out| out.write_all(svg.as_bytes()))?;
    }
    for note in &made.notes {
        a.common.note(note);
    }
    let done = a.common.ledger(&mut made.ledger, &a.out)?;
    let best = curve
        .best()
        .ok_or_else(|| Error::internal("a curve without a point"))?;
    a.common.print(&format!(
        "best k {}: accuracy {:.2} % of {} listings, {} of which share their label with another ({})",
        best.k,
        best.accuracy * 100.0,
        curve.rows,
        curve.answerable,
        seconds(took)
    ));
    a.common.result(&json!({
        "space": a.space,
        "metric": metric,
        "rows": curve.rows,
        "answerable": curve.answerable,
        "best": best,
        "points": curve.points,
        "seconds": took,
        "peak_memory_bytes": peak_memory(),
        "rejects": made.ledger.len(),
        "out": a.out,
    }));
    Ok(done)
}
