//! Listings' images to vectors, one row a listing.

use std::sync::Mutex;

use super::stages::Watch;
use crate::embed::{Encode, Flow, Items, batch_for, normalize, stream};
use crate::error::{Error, Result};
use crate::image::{ImageFolder, Prepare, Unique, decode_prepare};
use crate::listings::{IMAGE, Listing, Listings, Reject};

/// How listings' images become vectors.
pub struct ImageWork<'a> {
    /// The encoder; it takes what `prepare` makes.
    pub encoder: &'a dyn Encode,
    /// How images are prepared.
    pub prepare: Prepare,
    /// Turn images as their EXIF says.
    pub orient: bool,
    /// Leave the vectors at the length that they come with.
    pub raw: bool,
    /// The largest value that the rows can hold; 65,504 for float16.
    pub ceiling: f32,
    /// Images that are encoded together; see [`batch_for`].
    pub batch: Option<usize>,
}

/// What became of the images.
#[derive(Debug)]
pub struct Embedded {
    /// Different files that the listings name.
    pub images: usize,
    /// Rows that got a vector.
    pub rows: usize,
    /// Listings without an image.
    pub without: usize,
    /// Listings whose image could not be used, by row.
    pub rejects: Vec<Reject>,
    /// How the pipeline went.
    pub flow: Flow,
}

/// The files to be embedded, for the pipeline.
struct Files<'a> {
    folder: &'a ImageFolder,
    unique: &'a Unique,
    work: &'a ImageWork<'a>,
}

impl Items for Files<'_> {
    fn count(&self) -> usize {
        self.unique.files.len()
    }

    fn load(&self, item: usize, out: &mut [f32]) -> Result<()> {
        let file = &self.unique.files[item];
        let (prepare, orient) = (&self.work.prepare, self.work.orient);
        decode_prepare(self.folder, (&file.name, &file.file), orient, prepare, out)
    }
}

/// Embeds the images of `listings` and hands each vector to `sink(row, vector)`, for every row that
/// names its file; rows count from 0. Each file is decoded and encoded once, and no more than a few
/// batches of pixels are held. Rows are not handed over when they were rejected, have no image, or
/// have one that cannot be used: those are told in [`Embedded::rejects`].
///
/// The vectors do not depend on the number of threads.
///
/// # Errors
/// Those of the encoder and of `sink`, and of [`batch_for`].
pub fn embed_images(
    listings: &Listings,
    folder: &ImageFolder,
    work: &ImageWork<'_>,
    sink: &mut (dyn FnMut(usize, &[f32]) -> Result<()> + Send),
    watch: &dyn Watch,
) -> Result<Embedded> {
    if work.prepare.values()? != work.encoder.item_len() {
        let lengths = [[work.prepare.values()?], [work.encoder.item_len()]];
        return Err(Error::shape("embed", &lengths[0], &lengths[1]));
    }
    let batch = batch_for(work.batch, work.encoder.item_len())?;
    let names: Vec<Option<&str>> = listings.items.iter().map(name).collect();
    let unique = Unique::of(folder, &names);
    let files = Files {
        folder,
        unique: &unique,
        work,
    };
    let mut rows = 0;
    let unfit = Mutex::new(Vec::new());
    watch.begin("embed", files.count());
    let flow = stream(
        &files,
        work.encoder,
        batch,
        &mut |item, vector| {
            if let Err(error) = finish(vector, work.raw, work.ceiling, MEND) {
                lock(&unfit).push((item, error));
                return Ok(());
            }
            let same = &unique.files[item].rows;
            rows += same.len();
            same.iter().try_for_each(|&row| sink(row, vector))
        },
        &|done| watch.reached(done),
    );
    watch.end();
    let mut flow = flow?;
    let failures = flow.failures.drain(..).map(|f| (f.item, f.error));
    let failed: Vec<(usize, Error)> = failures.chain(lock(&unfit).drain(..)).collect();
    let by_row = failed
        .iter()
        .flat_map(|(item, error)| unique.errors(folder, &names, *item, error));
    let mut errors: Vec<(usize, Error)> = by_row.collect();
    errors.extend(unique.failures);
    errors.sort_by_key(|(row, _)| *row);
    let rejects = errors
        .iter()
        .map(|(row, e)| reject(&listings.items[*row], IMAGE, e));
    let without = |l: &&Listing| !l.rejected && l.image.is_none();
    Ok(Embedded {
        images: unique.files.len(),
        rows,
        without: listings.items.iter().filter(without).count(),
        rejects: rejects.collect(),
        flow,
    })
}

/// The name of a listing's image.
fn name(listing: &Listing) -> Option<&str> {
    listing.image.as_deref().filter(|_| !listing.rejected)
}

/// What may help an image whose vector is of no use.
const MEND: &str = "encode it at another --size, or leave the image out";

/// Makes a vector a row: of unit length unless `raw`, and of values up to `ceiling`.
pub(super) fn finish(vector: &mut [f32], raw: bool, ceiling: f32, mend: &str) -> Result<()> {
    if vector.iter().any(|x| !x.is_finite()) {
        return Err(Error::input("the encoder's answer is not finite").mend(mend));
    }
    if !raw {
        normalize(vector);
    }
    match vector.iter().find(|x| x.abs() > ceiling) {
        Some(value) => Err(Error::limit(format!(
            "the encoder's answer has {value}, more than float16 can hold"
        ))
        .mend("use --dtype f32")),
        None => Ok(()),
    }
}

/// The entry of the ledger for a listing whose `column` could not be used.
pub(super) fn reject(listing: &Listing, column: &str, error: &Error) -> Reject {
    Reject {
        row: listing.row,
        line: listing.line,
        posting_id: listing.posting_id.clone(),
        column: column.into(),
        reason: error.to_string(),
    }
}

/// The list, even after a panic of another thread, which goes on by itself.
fn lock<T>(list: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    list.lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
