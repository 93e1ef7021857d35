//! `engine match`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use doppel::error::{Error, Result};
use doppel::files::Partial;
use doppel::listings::Listings;
use doppel::matching::{write_matches, write_pairs};
use doppel::recipe::{self, Job, Outcome};
use serde_json::{Value, json};

use crate::common::{Common, Done, Progress, peak_memory, seconds, stages_json};
use crate::encoder::{self, Chosen, Settings};

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
    --out matches.csv"
)]
pub struct Arguments {
    /// The listings: posting_id and one of image, image_phash, title
    #[arg(value_name = "LISTINGS.csv")]
    pub listings: PathBuf,
    /// The folder that the image column's names are in
    #[arg(long, value_name = "DIR")]
    pub images: Option<PathBuf>,
    /// Where the matches go: posting_id,matches
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Where the pairs go: from,to,score,source,threshold
    #[arg(long, value_name = "FILE")]
    pub pairs: Option<PathBuf>,
    /// An encoder whose vectors are evidence too: timm:ARCH of the images (`engine info` lists them),
    /// hf: or hf:NAME of the titles; may be given once for each
    #[arg(long, value_name = "NAME")]
    pub encoder: Vec<String>,
    #[command(flatten)]
    pub settings: Settings,
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
    pub outcome: Outcome,
}

pub fn run(a: &Arguments) -> Result<Done> {
    let chosen = Chosen::of(&a.encoder, &a.settings, false)?;
    let named = [Some(&a.listings), Some(&a.out), a.pairs.as_ref()];
    let weights = a.settings.weights.iter().map(Some);
    different(&named.into_iter().chain(weights).collect::<Vec<_>>())?;
    if chosen.image.is_some() && a.images.is_none() {
        return Err(
            Error::input("an encoder of images (timm:) needs their folder")
                .mend("name it with --images DIR"),
        );
    }
    let start = Instant::now();
    let listings = Listings::read(&a.listings)?;
    let read = start.elapsed().as_secs_f64();
    let mut summary = match_listings(
        &listings,
        a.images.as_deref(),
        (&a.out, a.pairs.as_deref()),
        (&chosen, &a.settings),
        &a.common,
    )?;
    summary.seconds = start.elapsed().as_secs_f64();
    summary.outcome.stages.insert(
        0,
        recipe::Stage {
            name: "read",
            seconds: read,
            items: listings.items.len(),
        },
    );
    for note in &summary.outcome.notes {
        a.common.note(note);
    }
    let done = a.common.ledger(&mut summary.outcome.ledger, &a.out)?;
    a.common.print(&format!(
        "{} listings, {} of them matched, {} pairs, {} ({})",
        summary.listings,
        summary.matched,
        summary.pairs,
        seconds(summary.seconds),
        a.out.display()
    ));
    a.common
        .result(&to_json(&summary, &a.out, a.pairs.as_deref()));
    Ok(done)
}

/// Runs the pipeline, the default one or with encoders, and writes its files: the matches, and the
/// pairs where they are wanted.
pub fn match_listings(
    listings: &Listings,
    images: Option<&Path>,
    (out, pairs): (&Path, Option<&Path>),
    (chosen, settings): (&Chosen, &Settings),
    common: &Common,
) -> Result<Summary> {
    let progress = Progress::new(common);
    if !chosen.is_empty() {
        // Before hours of work: whether the answer can stand where it is wanted.
        for path in [Some(out), pairs].into_iter().flatten() {
            if path.metadata().is_ok_and(|m| !m.is_file() && !m.is_dir()) {
                continue; // A pipe or a device is written straight.
            }
            drop(Partial::create(path)?);
        }
    }
    let opened = encoder::open(chosen, common)?;
    let image = opened.image.as_ref();
    let image = image.map(|(open, _)| settings.image_work(open));
    let title = opened.title.as_ref();
    let title = title.map(|(open, _)| settings.title_work(open));
    let job = Job {
        images,
        image: image.as_ref(),
        title: title.as_ref(),
        ..Job::new(listings, common.device()?)
    };
    let mut outcome = recipe::run(&job, &progress)?;
    let start = Instant::now();
    let ids: Vec<&str> = listings
        .items
        .iter()
        .map(|l| l.posting_id.as_str())
        .collect();
    write_matches(out, &ids, &outcome.matches)?;
    if let Some(pairs) = pairs {
        let names: Vec<&str> = outcome.sources.iter().map(String::as_str).collect();
        write_pairs(pairs, &ids, &outcome.matches, &names)?;
    }
    outcome.stages.push(recipe::Stage {
        name: "write",
        seconds: start.elapsed().as_secs_f64(),
        items: ids.len(),
    });
    let sizes = || outcome.matches.iter().map(<[_]>::len);
    Ok(Summary {
        listings: listings.items.iter().filter(|l| l.usable()).count(),
        matched: sizes().filter(|&n| n > 1).count(),
        pairs: sizes().map(|n| n.saturating_sub(1)).sum(),
        rejects: outcome.ledger.len(),
        seconds: 0.0,
        device: common.device()?.info().kind,
        outcome,
    })
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
