//! `engine match`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use doppel::error::{Error, Result};
use doppel::files::Partial;
use doppel::listings::Listings;
use doppel::matching::{Ids, write_matches, write_pairs};
use doppel::recipe::{self, Job, Of, Outcome, Side, Watch};
use serde_json::{Value, json};

use crate::common::{Common, Done, Progress, peak_memory, seconds, stages_json};
use crate::pipeline::{self, Keep, Pipeline};

#[derive(Args)]
#[command(
    after_help = "Example:\n  engine match listings.csv --images photos/ --out matches.csv \
    --pairs pairs.csv\n\nThe evidence: equal perceptual hashes (from the image_phash column, else from \
    the images) and TF-IDF of the titles, fused by a dynamic threshold. With --encoder, what the \
    encoder sees in the images (timm:) or reads in the titles (hf:) joins the threshold:\n  engine \
    match listings.csv --images photos/ --encoder timm:efficientnet_b0 --weights weights/ --out \
    matches.csv\n  engine match listings.csv --encoder hf: --weights minilm/ --out matches.csv\n\nOne of \
    each kind work together; each has its own --weights, in the same order:\n  engine match listings.csv \
    --images photos/ --encoder timm:efficientnet_b0 --weights weights/ --encoder hf: --weights minilm/ \
    --out matches.csv\n\nAnother pipeline, from a file, and rows from elsewhere for one of its \
    spaces:\n  engine match listings.csv --recipe recipes/inb.toml --embeddings title=titles.npy --out \
    matches.csv\n\nNew listings, answered from a gallery:\n  engine match new.csv --against listings.csv --out \
    matches.csv\n\nWhat the stages make is kept in OUT.work; after an interruption the same command goes on \
    from there."
)]
pub struct Arguments {
    /// The listings: posting_id and one of image, image_phash, title
    #[arg(value_name = "LISTINGS.csv")]
    pub listings: PathBuf,
    /// The folder that the image column's names are in
    #[arg(long, value_name = "DIR")]
    pub images: Option<PathBuf>,
    /// Answer the listings from these, and not from one another
    #[arg(long, value_name = "GALLERY.csv")]
    pub against: Option<PathBuf>,
    /// The folder of the gallery's images [default: that of --images]
    #[arg(long, value_name = "DIR", requires = "against")]
    pub against_images: Option<PathBuf>,
    /// As --embeddings, of the gallery
    #[arg(long, value_name = "NAME=FILE", requires = "against", value_parser = pipeline::named)]
    pub against_embeddings: Vec<(String, PathBuf)>,
    /// Where the matches go: posting_id,matches
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Where the pairs go: from,to,score,source,threshold
    #[arg(long, value_name = "FILE")]
    pub pairs: Option<PathBuf>,
    #[command(flatten)]
    pub pipeline: Pipeline,
    #[command(flatten)]
    pub keep: Keep,
    #[command(flatten)]
    pub common: Common,
}

/// What a finished match run tells.
pub struct Summary {
    pub listings: usize,
    pub matched: usize,
    pub pairs: usize,
    pub rejects: usize,
    pub seconds: f64,
    pub device: &'static str,
    pub recipe: String,
    pub outcome: Outcome,
}

pub fn run(a: &Arguments) -> Result<Done> {
    let recipe = a.pipeline.recipe()?;
    let named = [Some(&a.listings), Some(&a.out), a.pairs.as_ref()];
    let given = a.against_embeddings.iter().map(|(_, file)| file);
    let files = a.pipeline.files();
    let read = files.iter().chain(given).chain(&a.against);
    // A file may well be read twice.
    for read in read {
        different(&[Some(read), Some(&a.out), a.pairs.as_ref()])?;
    }
    different(&named)?;
    pipeline::once(&a.pipeline.embeddings)?;
    pipeline::once(&a.against_embeddings)?;
    let images = |of: &Of| matches!(of, Of::Image { .. });
    if a.images.is_none()
        && a.pipeline.recipe.is_none()
        && recipe.spaces.iter().any(|s| images(&s.of))
    {
        return Err(
            Error::input("an encoder of images (timm:) needs their folder")
                .mend("name it with --images DIR"),
        );
    }
    for path in [Some(&a.out), a.pairs.as_ref()].into_iter().flatten() {
        // Before hours of work: whether the answer can stand where it is wanted. A pipe or a device is
        // written straight.
        if !path.metadata().is_ok_and(|m| !m.is_file() && !m.is_dir()) {
            drop(Partial::create(path)?);
        }
    }
    let start = Instant::now();
    let listings = Listings::read(&a.listings)?;
    let gallery = a.against.as_deref().map(Listings::read).transpose()?;
    let read = start.elapsed().as_secs_f64();
    let side = Side {
        listings: &listings,
        images: a.images.as_deref(),
        given: a.pipeline.given(),
    };
    let against = gallery.as_ref().map(|listings| Side {
        listings,
        images: a.against_images.as_deref().or(a.images.as_deref()),
        given: pipeline::given(&a.against_embeddings),
    });
    let work = a.keep.open(&a.out)?;
    let job = Job {
        recipe: &recipe,
        side,
        against,
        device: a.common.shared_device()?,
        insist: a.common.insists_on_card(),
        work: &work,
    };
    let mut summary = match_listings(&job, (&a.out, a.pairs.as_deref()), &a.common)?;
    summary.seconds = start.elapsed().as_secs_f64();
    let items = listings.items.len() + gallery.as_ref().map_or(0, |g| g.items.len());
    let stages = &mut summary.outcome.stages;
    stages.insert(0, recipe::Stage::new("read", read, items));
    for note in &summary.outcome.notes {
        a.common.note(note);
    }
    let mut done = a.common.ledger(&mut summary.outcome.ledger, &a.out)?;
    if gallery.is_some() {
        let beside = doppel::files::beside(&a.out, ".gallery");
        let of_gallery = a
            .common
            .ledger(&mut summary.outcome.gallery_ledger, &beside)?;
        if let Done::Rejected = of_gallery {
            done = of_gallery;
        }
    }
    let reused = summary.outcome.stages.iter().filter(|s| s.reused).count();
    a.common.print(&format!(
        "{} listings, {} of them matched, {} pairs, {}{} ({})",
        summary.listings,
        summary.matched,
        summary.pairs,
        seconds(summary.seconds),
        match reused {
            0 => String::new(),
            1 => ", 1 stage reused".to_string(),
            n => format!(", {n} stages reused"),
        },
        a.out.display()
    ));
    let mut value = to_json(&summary, &a.out, a.pairs.as_deref());
    value["work"] = json!(work.folder());
    value["peak_device_memory_bytes"] = json!(a.common.peak_device_memory());
    a.common.result(&value);
    Ok(done)
}

/// Runs a job and writes its files: the matches, and the pairs where they are wanted.
pub fn match_listings(
    job: &Job<'_>,
    (out, pairs): (&Path, Option<&Path>),
    common: &Common,
) -> Result<Summary> {
    let progress = Progress::new(common);
    let mut outcome = recipe::run(job, &progress)?;
    let (rows, others) = (ids(job.side.listings), ids(job.gallery().listings));
    let ids = Ids {
        rows: &rows,
        others: &others,
    };
    let start = Instant::now();
    progress.begin("write", rows.len());
    write_matches(out, ids, &outcome.matches)?;
    if let Some(pairs) = pairs {
        let names: Vec<&str> = outcome.sources.iter().map(String::as_str).collect();
        write_pairs(pairs, ids, &outcome.matches, &names)?;
    }
    progress.end();
    let took = start.elapsed().as_secs_f64();
    let written = recipe::Stage::new("write", took, rows.len());
    outcome.stages.push(written);
    // A listing matches itself; against a gallery it is in no answer.
    let itself = usize::from(job.against.is_none());
    let sizes = || {
        outcome
            .matches
            .iter()
            .map(|m| m.len().saturating_sub(itself))
    };
    Ok(Summary {
        listings: job
            .side
            .listings
            .items
            .iter()
            .filter(|l| l.usable())
            .count(),
        matched: sizes().filter(|&n| n > 0).count(),
        pairs: sizes().sum(),
        rejects: outcome.ledger.len(),
        seconds: 0.0,
        device: common.device()?.info().kind,
        recipe: job.recipe.name.clone(),
        outcome,
    })
}

fn ids(listings: &Listings) -> Vec<&str> {
    let items = listings.items.iter();
    items.map(|l| l.posting_id.as_str()).collect()
}

pub fn to_json(s: &Summary, out: &Path, pairs: Option<&Path>) -> Value {
    json!({
        "listings": s.listings,
        "matched": s.matched,
        "matched_pairs": s.pairs,
        "rejects": s.rejects,
        "seconds": s.seconds,
        "stages": stages_json(&s.outcome.stages),
        "peak_memory_bytes": peak_memory(),
        "device": s.device,
        "recipe": s.recipe,
        "sources": s.outcome.sources,
        "notes": s.outcome.notes,
        "out": out,
        "pairs": pairs,
    })
}

/// Refuses to write one file over another.
pub fn different(paths: &[Option<&PathBuf>]) -> Result<()> {
    let named: Vec<&PathBuf> = paths.iter().flatten().copied().collect();
    let whole = |p: &PathBuf| p.canonicalize().unwrap_or_else(|_| p.clone());
    for (i, a) in named.iter().enumerate() {
        let device = a.metadata().is_ok_and(|m| !m.is_file());
        if !device && named[..i].iter().any(|b| whole(a) == whole(b)) {
            return Err(Error::input("is named twice, for two different files")
                .path(a)
                .mend("name another file for the output"));
        }
    }
    Ok(())
}
