//! `engine compare`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use doppel::error::{Error, Result};
use doppel::files::write_whole;
use doppel::listings::Listings;
use doppel::recipe::compare::variant::Variant;
use doppel::recipe::compare::{CompareOptions, Compared, chart, compare};
use doppel::recipe::work::Work;
use doppel::recipe::{Job, Recipe, Side};
use serde_json::json;

use crate::common::{Common, Done, Progress, say};
use crate::matching::different;
use crate::pipeline;

#[derive(Args)]
#[command(
    after_help = "Example:\n  engine compare labelled.csv --recipe default --recipe yang-tfidf\n  engine compare \
    labelled.csv --recipe tan-final --recipe tan-dt-4 --weights weights/ --images photos/ --ablation --out compare.html\n\n\
    Each recipe is run plain, with Min2 and blended with its neighbours (INB). Where a recipe is not written so \
    and has no built-in sibling (NAME-min2, NAME-inb), the form is derived and its thresholds are places to \
    start from; --folds chooses thresholds on the other folds and scores each fold with them. --ablation leaves \
    one kind of evidence out after the other, thresholds as they are."
)]
pub struct Arguments {
    /// The listings with their label_group
    #[arg(value_name = "LISTINGS.csv")]
    listings: PathBuf,
    /// The folder that the image column's names are in
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// A recipe: a built-in one or a file; may be given more than once
    #[arg(long, value_name = "NAME|FILE.toml", required = true)]
    recipe: Vec<String>,
    /// The folder that the recipes' weights are in
    #[arg(long, value_name = "DIR")]
    weights: Option<PathBuf>,
    /// Rows (.npy, .npz) for every space of this name, one a listing
    #[arg(long, value_name = "NAME=FILE", value_parser = pipeline::named)]
    embeddings: Vec<(String, PathBuf)>,
    /// The forms of each recipe
    #[arg(long, value_enum, value_name = "FORM", value_delimiter = ',', default_values_t = [Form::Plain, Form::Min2, Form::Inb])]
    forms: Vec<Form>,
    /// Each recipe without one kind of evidence after the other, too
    #[arg(long)]
    ablation: bool,
    /// Choose thresholds on the other folds of this many, and score each fold with them
    #[arg(long, value_name = "N", default_value_t = 0)]
    folds: usize,
    /// Where what encoders and hashes make is kept, and taken from
    #[arg(long, value_name = "DIR")]
    work: Option<PathBuf>,
    /// Where the chart goes: FILE.html or FILE.svg
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    pub common: Common,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    Plain,
    Min2,
    Inb,
}

/// Which picture a file is to hold.
#[derive(Clone, Copy)]
enum Picture {
    Svg,
    Html,
}

pub fn run(a: &Arguments) -> Result<Done> {
    let picture = a.out.as_deref().map(picture).transpose()?;
    let named = a.recipe.iter();
    let recipes: Vec<Recipe> = named
        .map(|named| pipeline::read(named, a.weights.as_deref()))
        .collect::<Result<_>>()?;
    for (at, recipe) in recipes.iter().enumerate() {
        if recipes[..at].iter().any(|other| other.name == recipe.name) {
            let message = format!("two of the recipes are called {}", recipe.name);
            return Err(Error::input(message).mend("name each once, or call one otherwise"));
        }
    }
    pipeline::once(&a.embeddings)?;
    let files = a.embeddings.iter().map(|(_, file)| file);
    for read in files.chain([&a.listings]) {
        different(&[Some(read), a.out.as_ref()])?;
    }
    let listings = Listings::read(&a.listings)?;
    listings.require_labels()?;
    let work = match &a.work {
        Some(folder) => Work::open(folder)?,
        None => Work::Memory,
    };
    let Some(first) = recipes.first() else {
        return Err(Error::input("there is no recipe to compare").mend("name one with --recipe"));
    };
    let job = Job {
        side: Side {
            listings: &listings,
            images: a.images.as_deref(),
            given: pipeline::given(&a.embeddings),
        },
        insist: a.common.insists_on_card(),
        work: &work,
        ..Job::new(&listings, first, a.common.shared_device()?)
    };
    let mut variants: Vec<Variant> = Vec::new();
    for form in &a.forms {
        let variant = match form {
            Form::Plain => Variant::Plain,
            Form::Min2 => Variant::Min2,
            Form::Inb => Variant::Inb,
        };
        if !variants.contains(&variant) {
            variants.push(variant);
        }
    }
    let options = CompareOptions {
        variants,
        ablation: a.ablation,
        folds: a.folds,
        folder: a.weights.clone().unwrap_or_default(),
    };
    let mut outcome = compare(&job, &recipes, &options, &Progress::new(&a.common))?;
    for note in &outcome.notes {
        a.common.note(note);
    }
    let rows = listings.kept().len();
    if let (Some(path), Some(picture)) = (&a.out, picture) {
        let text = match picture {
            Picture::Svg => chart::svg(&outcome.lines),
            Picture::Html => chart::html(&outcome.lines, rows),
        };
        write_whole(path, |file| file.write_all(text.as_bytes()))?;
    }
    table(a, &outcome.lines);
    a.common.result(&json!({
        "listings": rows,
        "lines": outcome.lines,
        "notes": outcome.notes,
        "out": a.out,
    }));
    if let Some(path) = &a.out {
        return a.common.ledger(&mut outcome.ledger, path);
    }
    for reject in outcome.ledger.iter().take(20) {
        say(&format!("rejected: {reject}"));
    }
    Ok(match outcome.ledger.is_empty() {
        true => Done::Clean,
        false => Done::Rejected,
    })
}

fn picture(path: &Path) -> Result<Picture> {
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or("");
    match ending.to_ascii_lowercase().as_str() {
        "svg" => Ok(Picture::Svg),
        "html" | "htm" => Ok(Picture::Html),
        _ => Err(Error::input("is no kind of picture")
            .path(path)
            .mend("give --out a name that ends in .html or .svg")),
    }
}

fn table(a: &Arguments, lines: &[Compared]) {
    let width = |cell: &dyn Fn(&Compared) -> &str, head: usize| {
        let widths = lines.iter().map(|line| cell(line).chars().count());
        widths.max().unwrap_or(0).max(head)
    };
    let names = width(&|line| &line.recipe, "recipe".len());
    let forms = width(&|line| &line.variant, "form".len());
    let held = match a.folds {
        0 => String::new(),
        folds => format!("  {:16}", format!("F1, {folds} held out")),
    };
    a.common.print(&format!(
        "{:names$}  {:forms$}  F1      precision  recall  pair F1{held}  published",
        "recipe", "form"
    ));
    for line in lines {
        let f = &line.figures;
        let held = match (a.folds, &line.held) {
            (0, _) => String::new(),
            (_, None) => format!("  {:16}", ""),
            (_, Some(held)) => format!("  {:.4} +- {:.4} ", held.f1, held.deviation),
        };
        let published = line.published;
        let published = published.map_or_else(|| "-".to_string(), |score| score.to_string());
        a.common.print(&format!(
            "{:names$}  {:forms$}  {:.4}  {:.4}     {:.4}  {:.4} {held}  {published}",
            line.recipe, line.variant, f.f1, f.precision, f.recall, f.pair_f1
        ));
    }
}
