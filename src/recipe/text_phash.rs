//! Equal perceptual hashes united with Tan's TF-IDF sweep, with an image encoder in it or without.

use std::collections::HashSet;
use std::path::Path;
use std::time::Instant;

use super::embed::{ImageWork, embed_images, reject};
use super::stages::{Clock, Stage, Watch};
use super::sweep::OnCard;
use crate::device::Device;
use crate::error::{Error, Kind, Result};
use crate::image::{self, ImageFolder};
use crate::limits;
use crate::listings::{IMAGE, Ledger, Listings};
use crate::lists::Lists;
use crate::matching::{self, Matches, Rule, Source, Steps, Sweeper};
use crate::search::{self, TopK};
use crate::tensor::{Csr, Matrix};
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
    run(job, None, watch)
}

/// [`text_phash`] with an image encoder in the sweep: its neighbours with the steps of Tan's Table 1
/// (L .24, H .50, S .01) beside those of TF-IDF. The encoder's rows stand in memory, its images do
/// not; each file is encoded once.
///
/// # Errors
/// As [`text_phash`]; no folder of images; whatever the encoder ends with.
pub fn image_text_phash(job: &Job<'_>, work: &ImageWork<'_>, watch: &dyn Watch) -> Result<Outcome> {
    run(job, Some(work), watch)
}

fn run(job: &Job<'_>, work: Option<&ImageWork<'_>>, watch: &dyn Watch) -> Result<Outcome> {
    let mut clock = Clock::new(watch);
    let mut notes = Vec::new();
    let mut ledger = job.listings.ledger.clone();
    let rows = job.listings.items.len();

    let hashes = gather_hashes(job, &mut clock, &mut ledger, &mut notes, watch)?;
    let titles = clock.run("tfidf", rows, || gather_titles(job.listings, &mut notes))?;
    let vectors = work
        .map(|work| gather_vectors(job, work, &mut clock, &mut ledger, watch))
        .transpose()?;
    let sources = clock.run("search", rows, || -> Result<Vec<Source>> {
        let within = |steps: Steps| TopK {
            k: limits::MAX_MATCHES,
            min_score: Some(1.0 - steps.high),
        };
        let equal = search::equal_hashes(&hashes, limits::MAX_MATCHES);
        let near = search::sparse(&titles, &within(Steps::TFIDF))?;
        let mut sources = vec![Source::new("phash", equal), Source::new("tfidf", near)];
        if let Some(vectors) = &vectors {
            let alike = dense(job.device, vectors, &within(Steps::IMAGE))?;
            sources.push(Source::new("image", alike));
        }
        Ok(sources)
    })?;
    drop(vectors);

    let unable: Vec<bool> = job
        .listings
        .items
        .iter()
        .map(|l| l.rejected || !l.usable())
        .collect();
    let matches = clock.run("match", rows, || {
        let rule = match sources.len() {
            2 => Rule::default_text_phash(0, 1),
            _ => Rule::default_image_text_phash(2, 0, 1),
        };
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

/// Dense neighbours on the device, or on the CPU where the device has no such search.
fn dense(device: &dyn Device, vectors: &Matrix, top: &TopK) -> Result<Lists> {
    match search::dense_on(device, vectors, None, top) {
        Err(e) if e.kind() == Kind::Unsupported => search::dense(vectors, top),
        done => done,
    }
}

/// Each row's vector; rows of zeros, which are nobody's neighbours, where there is none.
fn gather_vectors(
    job: &Job<'_>,
    work: &ImageWork<'_>,
    clock: &mut Clock<'_>,
    ledger: &mut Ledger,
    watch: &dyn Watch,
) -> Result<Matrix> {
    let Some(folder) = job.images else {
        return Err(
            Error::input("an encoder needs the folder of the images").mend("name it with --images")
        );
    };
    let folder = ImageFolder::open(folder)?;
    let rows = job.listings.items.len();
    let mut vectors = Matrix::zeros(rows, work.encoder.dims());
    let mut sink = |row: usize, vector: &[f32]| {
        vectors.row_mut(row).copy_from_slice(vector);
        Ok(())
    };
    let start = Instant::now();
    let embedded = embed_images(job.listings, &folder, work, &mut sink, watch)?;
    clock.note("embed", start, embedded.images);
    // An image that gave no hash is in the ledger already.
    let known: HashSet<u64> = ledger
        .iter()
        .filter(|r| r.column == IMAGE)
        .map(|r| r.row)
        .collect();
    for reject in embedded.rejects {
        if !known.contains(&reject.row) {
            ledger.push(reject);
        }
    }
    ledger.sort();
    Ok(vectors)
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
            Some(Err(error)) => ledger.push(reject(&items[i], &error)),
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
