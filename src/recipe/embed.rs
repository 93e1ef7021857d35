//! Listings' images to vectors, one row a listing.

use std::collections::HashSet;

use super::stages::Watch;
use super::work::Collect;
use crate::embed::{
    Encode, Failure, Flow, Items, Sink, batch_for, normalize, stream_ahead, stream_into,
};
use crate::error::{Error, Result};
use crate::image::{ImageFolder, Prepare, Unique, decode_prepare, decode_stage};
use crate::listings::{IMAGE, Listing, Listings, Reject};
use crate::nn::{Normal, Picture};

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
    /// How many of them an earlier run embedded.
    first: usize,
}

impl Items for Files<'_> {
    fn count(&self) -> usize {
        self.unique.files.len() - self.first
    }

    fn load(&self, item: usize, out: &mut [f32]) -> Result<()> {
        let file = &self.unique.files[self.first + item];
        let (prepare, orient) = (&self.work.prepare, self.work.orient);
        decode_prepare(self.folder, (&file.name, &file.file), orient, prepare, out)
    }

    fn normal(&self) -> Option<Normal> {
        let normal = self.work.prepare.normal;
        Some((normal.mean, normal.std))
    }

    fn picture(
        &self,
        item: usize,
        put: &mut dyn FnMut(&Picture<'_>) -> Result<bool>,
    ) -> Result<()> {
        let file = &self.unique.files[self.first + item];
        let (prepare, orient) = (&self.work.prepare, self.work.orient);
        decode_stage(self.folder, (&file.name, &file.file), orient, prepare, put)
    }
}

/// Takes vectors to the rows of their files, and makes rejects of the files that have none.
struct Gather<'a> {
    files: &'a Files<'a>,
    listings: &'a Listings,
    names: &'a [Option<&'a str>],
    into: &'a mut dyn Collect,
    /// What could not be used, in an earlier run too.
    rejects: Vec<Reject>,
}

impl Gather<'_> {
    fn reject(&mut self, item: usize, error: &Error) {
        let Files { folder, unique, .. } = self.files;
        let errors = unique.errors(folder, self.names, item, error);
        let errors = errors.into_iter().map(|(row, e)| {
            let listing = &self.listings.items[row];
            reject(listing, IMAGE, &e)
        });
        self.rejects.extend(errors);
    }
}

impl Sink for Gather<'_> {
    fn take(&mut self, item: usize, vector: &mut [f32]) -> Result<()> {
        let (work, item) = (self.files.work, self.files.first + item);
        if let Err(error) = finish(vector, work.raw, work.ceiling, MEND) {
            self.reject(item, &error);
            return Ok(());
        }
        let same = &self.files.unique.files[item].rows;
        same.iter().try_for_each(|&row| self.into.put(row, vector))
    }

    fn reached(&mut self, done: usize, failures: &[Failure]) -> Result<()> {
        for failure in failures {
            self.reject(self.files.first + failure.item, &failure.error);
        }
        let Gather { into, rejects, .. } = self;
        into.reached(self.files.first + done, &mut || rejects.clone())
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
    let mut sink = |row: usize, vector: &[f32]| sink(row, vector);
    embed_images_into(listings, folder, work, &mut sink, watch)
}

/// As [`embed_images`], without the files that `into` has of an earlier run: those count as done, and
/// their rejects are told again.
///
/// # Errors
/// As [`embed_images`].
pub fn embed_images_into(
    listings: &Listings,
    folder: &ImageFolder,
    work: &ImageWork<'_>,
    into: &mut dyn Collect,
    watch: &dyn Watch,
) -> Result<Embedded> {
    if work.prepare.values()? != work.encoder.item_len() {
        let lengths = [[work.prepare.values()?], [work.encoder.item_len()]];
        return Err(Error::shape("embed", &lengths[0], &lengths[1]));
    }
    let batch = batch_for(work.batch, work.encoder.item_len())?;
    let names: Vec<Option<&str>> = listings.items.iter().map(name).collect();
    let unique = Unique::of(folder, &names);
    let images = unique.files.len();
    let unnamed = unique.failures.iter();
    let unnamed = unnamed.map(|(row, e)| reject(&listings.items[*row], IMAGE, e));
    let unnamed: Vec<Reject> = unnamed.collect();
    let known: HashSet<u64> = unnamed.iter().map(|r| r.row).collect();
    let earlier = into.earlier().iter().filter(|r| !known.contains(&r.row));
    let rejects = earlier.cloned().collect();
    let first = into.resumed().min(images);
    let files = Files {
        folder,
        unique: &unique,
        work,
        first,
    };
    let mut gather = Gather {
        files: &files,
        listings,
        names: &names,
        into,
        rejects,
    };
    watch.begin("embed", images);
    let reached = |done: usize| watch.reached(first + done);
    let flow = match work.encoder.ahead() {
        Some(ahead) => stream_ahead(&files, ahead, work.batch, &mut gather, &reached),
        None => stream_into(&files, work.encoder, batch, &mut gather, &reached),
    };
    watch.end();
    let mut rejects = gather.rejects;
    let flow = flow?;
    let named: usize = unique.files.iter().map(|f| f.rows.len()).sum();
    let rows = named.saturating_sub(rejects.len());
    rejects.extend(unnamed);
    rejects.sort_by_key(|r| r.row);
    let without = |l: &&Listing| !l.rejected && l.image.is_none();
    Ok(Embedded {
        images,
        rows,
        without: listings.items.iter().filter(without).count(),
        rejects,
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
