//! Equal perceptual hashes united with Tan's sweep over TF-IDF and what encoders there are.

use std::collections::HashSet;
use std::path::Path;

use super::embed::{ImageWork, embed_images, reject};
use super::stages::{Clock, Stage, Watch};
use super::sweep::OnCard;
use super::titles::{TitleWork, embed_titles};
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
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// The listings, as read from their CSV.
    pub listings: &'a Listings,
    /// The folder of images; `None` ignores the image column.
    pub images: Option<&'a Path>,
    /// An encoder of the images; it needs their folder.
    pub image: Option<&'a ImageWork<'a>>,
    /// An encoder of the titles.
    pub title: Option<&'a TitleWork<'a>>,
    /// Where the sweep and the search over encoders' vectors run; the hashes, TF-IDF and its search
    /// have no card form yet and run on the CPU.
    pub device: &'a dyn Device,
}

impl<'a> Job<'a> {
    /// By titles' TF-IDF and the hashes in the file alone, until more is said.
    pub fn new(listings: &'a Listings, device: &'a dyn Device) -> Self {
        Job {
            listings,
            images: None,
            image: None,
            title: None,
            device,
        }
    }
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

/// Matches `job.listings` by equal perceptual hash united with one sweep (Tan, section 3.3 and Table 1)
/// over what there is of: the image encoder's vectors (L .24, H .50, S .01 in cosine distance), the
/// titles' TF-IDF (.25, .50, .20) and the title encoder's vectors (.08, .30, .01). See
/// [`Rule::default_fusion`].
///
/// A listing without a hash gets one from its image where images are given. An image or a title that
/// cannot be read goes to the ledger and loses that evidence alone; a listing without one has no such
/// evidence. An encoder's rows stand in memory, its images and tokens do not; each file and each title is
/// encoded once. At most [`limits::MAX_MATCHES`] matches a listing, itself included.
///
/// # Errors
/// The image folder cannot be opened, or an image encoder has none; a search refuses its input;
/// whatever an encoder ends with.
pub fn run(job: &Job<'_>, watch: &dyn Watch) -> Result<Outcome> {
    let mut clock = Clock::new(watch);
    let mut notes = Vec::new();
    let mut ledger = job.listings.ledger.clone();
    let rows = job.listings.items.len();

    let hashes = gather_hashes(job, &mut clock, &mut ledger, &mut notes, watch)?;
    let words = clock.run("tfidf", rows, || gather_words(job.listings, &mut notes))?;
    let images = job
        .image
        .map(|work| gather_images(job, work, &mut clock, &mut ledger, watch))
        .transpose()?;
    let titles = job
        .title
        .map(|work| gather_titles(job, work, &mut clock, &mut ledger, watch))
        .transpose()?;
    let (sources, rule) = clock.run("search", rows, || -> Result<(Vec<Source>, Rule)> {
        let within = |steps: Steps| TopK {
            k: limits::MAX_MATCHES,
            min_score: Some(1.0 - steps.high),
        };
        let equal = search::equal_hashes(&hashes, limits::MAX_MATCHES);
        let near = search::sparse(&words, &within(Steps::TFIDF))?;
        let mut sources = vec![Source::new("phash", equal), Source::new("tfidf", near)];
        let mut encoded = |name: &str, vectors: Option<Matrix>, steps: Steps| {
            let Some(vectors) = vectors else {
                return Ok(None);
            };
            let alike = dense(job.device, &vectors, &within(steps))?;
            sources.push(Source::new(name, alike));
            Ok::<_, Error>(Some(sources.len() - 1))
        };
        let image = encoded("image", images, Steps::IMAGE)?;
        let title = encoded("title", titles, Steps::BERT)?;
        Ok((sources, Rule::default_fusion(0, 1, image, title)))
    })?;

    let unable: Vec<bool> = job
        .listings
        .items
        .iter()
        .map(|l| l.rejected || !l.usable())
        .collect();
    let matches = clock.run("match", rows, || {
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

/// Each row's image as a vector; rows of zeros, which are nobody's neighbours, where there is none.
fn gather_images(
    job: &Job<'_>,
    work: &ImageWork<'_>,
    clock: &mut Clock<'_>,
    ledger: &mut Ledger,
    watch: &dyn Watch,
) -> Result<Matrix> {
    let Some(folder) = job.images else {
        return Err(
            Error::input("an encoder of images needs their folder").mend("name it with --images")
        );
    };
    let folder = ImageFolder::open(folder)?;
    let mut vectors = Matrix::zeros(job.listings.items.len(), work.encoder.dims());
    let mut sink = |row: usize, vector: &[f32]| {
        vectors.row_mut(row).copy_from_slice(vector);
        Ok(())
    };
    let embedded = embed_images(job.listings, &folder, work, &mut sink, watch)?;
    clock.note("embed", embedded.images);
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

/// Each row's title as a vector; rows of zeros, which are nobody's neighbours, where there is none.
fn gather_titles(
    job: &Job<'_>,
    work: &TitleWork<'_>,
    clock: &mut Clock<'_>,
    ledger: &mut Ledger,
    watch: &dyn Watch,
) -> Result<Matrix> {
    let mut vectors = Matrix::zeros(job.listings.items.len(), work.encoder.dims());
    let mut sink = |row: usize, vector: &[f32]| {
        vectors.row_mut(row).copy_from_slice(vector);
        Ok(())
    };
    let embedded = embed_titles(job.listings, work, &mut sink, watch)?;
    clock.note("titles", embedded.titles);
    embedded.rejects.into_iter().for_each(|r| ledger.push(r));
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
            Some(Err(error)) => ledger.push(reject(&items[i], IMAGE, &error)),
        }
    }
    ledger.sort();
    Ok(hashes)
}

/// The titles' TF-IDF rows; rows of zeros where there is no title or nothing is left of it.
fn gather_words(listings: &Listings, notes: &mut Vec<String>) -> Result<Csr> {
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
