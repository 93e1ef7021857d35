//! Equal perceptual hashes united with Tan's TF-IDF sweep.

use std::path::Path;

use super::stages::{Clock, Stage, Watch};
use super::sweep::OnCard;
use crate::device::Device;
use crate::error::{Kind, Result};
use crate::image::{self, ImageFolder};
use crate::limits;
use crate::listings::{Ledger, Listings, Reject};
use crate::lists::Lists;
use crate::matching::{self, Matches, Rule, Source, Steps, Sweeper};
use crate::search::{self, TopK};
use crate::tensor::Csr;
use crate::text::tfidf::{StopWords, Tfidf, TfidfOptions};

/// What to match and with what.
pub struct Job<'a> {
    /// The listings, as read from their CSV.
    pub listings: &'a Listings,
    /// The folder of images; `None` ignores the image column.
    pub images: Option<&'a Path>,
    /// Where the sweep runs; the hashes, TF-IDF and its search have no card form yet and run on the
    /// CPU.
    pub device: &'a dyn Device,
}

/// What a pipeline run gives.
pub struct Outcome {
    /// Each listing's matches, itself first.
    pub matches: Matches,
    /// The names of the evidence, as `pairs.csv` gives them.
    pub sources: Vec<String>,
    /// The listings' own rejects and those of this run (unreadable images), by row.
    pub ledger: Ledger,
    /// The stages, in order.
    pub stages: Vec<Stage>,
    /// What the reader should know: evidence that was not used, and why. One line each.
    pub notes: Vec<String>,
}

/// The TF-IDF settings of Tan's paper (section 4.2): English stop words, at most 25,000 features.
pub fn tfidf_options() -> TfidfOptions {
    TfidfOptions {
        stop_words: StopWords::English,
        max_features: Some(25_000),
        ..TfidfOptions::default()
    }
}

/// Matches `job.listings` by equal perceptual hash united with the TF-IDF sweep of Tan, Table 1
/// (L .25, H .50, S .20 in cosine distance).
///
/// A listing without a hash gets one from its image where images are given. An image that cannot be
/// read goes to the ledger and loses that evidence alone. At most [`limits::MAX_MATCHES`] matches a
/// listing, itself included.
///
/// # Errors
/// The image folder cannot be opened, or a search refuses its input.
pub fn text_phash(job: &Job<'_>, watch: &dyn Watch) -> Result<Outcome> {
    let mut clock = Clock::new(watch);
    let mut notes = Vec::new();
    let mut ledger = job.listings.ledger.clone();
    let rows = job.listings.items.len();

    let hashes = gather_hashes(job, &mut clock, &mut ledger, &mut notes, watch)?;
    let titles = clock.run("tfidf", rows, || gather_titles(job.listings, &mut notes))?;
    let (equal, near) = clock.run("search", rows, || -> Result<(Lists, Lists)> {
        let floor = 1.0 - Steps::TFIDF.high;
        let top = TopK {
            k: limits::MAX_MATCHES,
            min_score: Some(floor),
        };
        let equal = search::equal_hashes(&hashes, limits::MAX_MATCHES);
        Ok((equal, search::sparse(&titles, &top)?))
    })?;

    let sources = [Source::new("phash", equal), Source::new("tfidf", near)];
    let unable: Vec<bool> = job
        .listings
        .items
        .iter()
        .map(|l| l.rejected || !l.usable())
        .collect();
    let matches = clock.run("match", rows, || {
        let rule = Rule::default_text_phash(0, 1);
        let card = OnCard(job.device);
        let sweeper = job.device.info().is_card().then_some(&card as &dyn Sweeper);
        let cap = limits::MAX_MATCHES;
        matching::resolve_with(&sources, &rule, rows, Some(&unable), cap, sweeper)
    })?;
    Ok(Outcome {
        matches,
        sources: sources.into_iter().map(|s| s.name).collect(),
        ledger,
        stages: clock.stages,
        notes,
    })
}

/// Each row's hash: from its cell, else from its image.
fn gather_hashes(
    job: &Job<'_>,
    clock: &mut Clock<'_>,
    ledger: &mut Ledger,
    notes: &mut Vec<String>,
    watch: &dyn Watch,
) -> Result<Vec<Option<u64>>> {
    let items = &job.listings.items;
    let mut hashes: Vec<Option<u64>> = items
        .iter()
        .map(|l| if l.rejected { None } else { l.phash })
        .collect();
    let Some(folder) = job.images else {
        if items.iter().any(|l| l.image.is_some()) {
            notes.push("the image column is ignored: no --images folder was given".into());
        }
        return Ok(hashes);
    };
    let folder = ImageFolder::open(folder)?;
    let wanted: Vec<Option<&str>> = items
        .iter()
        .zip(&hashes)
        .map(|(l, hash)| {
            if l.rejected || hash.is_some() {
                None
            } else {
                l.image.as_deref()
            }
        })
        .collect();
    let count = wanted.iter().flatten().count();
    let found = clock.run("phash", count, || {
        image::phash_many(&folder, &wanted, &|done| watch.reached(done))
    });
    for (i, result) in found.into_iter().enumerate() {
        match result {
            None => {}
            Some(Ok(hash)) => hashes[i] = Some(hash),
            Some(Err(error)) => ledger.push(Reject {
                row: items[i].row,
                line: items[i].line,
                posting_id: items[i].posting_id.clone(),
                column: "image".into(),
                reason: error.to_string(),
            }),
        }
    }
    ledger.sort();
    Ok(hashes)
}

/// The titles' TF-IDF rows; rows of zeros where there is no title or nothing is left of it.
fn gather_titles(listings: &Listings, notes: &mut Vec<String>) -> Result<Csr> {
    let titles: Vec<Option<&str>> = listings
        .items
        .iter()
        .map(|l| if l.rejected { None } else { l.title.as_deref() })
        .collect();
    match Tfidf::fit_transform(&titles, &tfidf_options()) {
        Ok((_, matrix)) => Ok(matrix),
        Err(error) if error.kind() == Kind::Input => {
            notes.push(format!("the titles give no evidence: {error}"));
            Csr::new(0, vec![0; titles.len() + 1], Vec::new(), Vec::new())
        }
        Err(error) => Err(error),
    }
}
