//! Listings' titles to vectors, one row a listing.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::embed::{finish, reject};
use super::stages::Watch;
use super::work::Collect;
use crate::embed::{EncodeTitles, Failure, Sink, TitleFlow, Window, stream_titles_into};
use crate::error::{Error, Result};
use crate::listings::{Listing, Listings, Reject, TITLE};
use crate::text::clean::{self, CleanStep};

/// How listings' titles become vectors.
pub struct TitleWork<'a> {
    /// The encoder.
    pub encoder: &'a dyn EncodeTitles,
    /// Turn literal `\xNN` escapes into text first.
    pub decode_escapes: bool,
    /// What is done to titles then, in this order.
    pub clean: &'a [CleanStep],
    /// Leave the vectors at the length that they come with.
    pub raw: bool,
    /// The largest value that the rows can hold; 65,504 for float16.
    pub ceiling: f32,
    /// How much is held at a time.
    pub window: Window,
}

impl<'a> TitleWork<'a> {
    /// Unit rows of float32 of the titles as they stand.
    pub fn new(encoder: &'a dyn EncodeTitles) -> Self {
        TitleWork {
            encoder,
            decode_escapes: false,
            clean: &[],
            raw: false,
            ceiling: f32::MAX,
            window: Window::default(),
        }
    }
}

/// What became of the titles.
#[derive(Debug)]
pub struct EmbeddedTitles {
    /// Different titles that the listings have.
    pub titles: usize,
    /// Rows that got a vector.
    pub rows: usize,
    /// Listings without a title.
    pub without: usize,
    /// Listings whose title could not be used, by row.
    pub rejects: Vec<Reject>,
    /// How it went.
    pub flow: TitleFlow,
}

/// Takes vectors to the rows of their titles, and makes rejects of the titles that have none.
struct Gather<'a> {
    unique: &'a Unique<'a>,
    listings: &'a Listings,
    work: &'a TitleWork<'a>,
    into: &'a mut dyn Collect,
    /// What could not be used, in an earlier run too.
    rejects: Vec<Reject>,
    /// The rows of those.
    known: HashSet<u64>,
}

impl Gather<'_> {
    fn reject(&mut self, item: usize, error: &Error) {
        for &row in self.unique.rows(item) {
            let reject = reject(&self.listings.items[row as usize], TITLE, error);
            if self.known.insert(reject.row) {
                self.rejects.push(reject);
            }
        }
    }
}

impl Sink for Gather<'_> {
    fn take(&mut self, item: usize, vector: &mut [f32]) -> Result<()> {
        if let Err(error) = finish(vector, self.work.raw, self.work.ceiling, MEND) {
            self.reject(item, &error);
            return Ok(());
        }
        let same = self.unique.rows(item).iter();
        let mut rows = same.map(|&row| row as usize);
        rows.try_for_each(|row| self.into.put(row, vector))
    }

    fn reached(&mut self, done: usize, failures: &[Failure]) -> Result<()> {
        for failure in failures {
            self.reject(failure.item, &failure.error);
        }
        let Gather { into, rejects, .. } = self;
        into.reached(done, &mut || rejects.clone())
    }
}

/// Embeds the titles of `listings` and hands each vector to `sink(row, vector)`, for every row that has
/// the title; rows count from 0. Equal titles are encoded once. Rows are not handed over when they were
/// rejected, have no title (one of white space is none), or have one that cannot be tokenised: those
/// are told in [`EmbeddedTitles::rejects`].
///
/// The vectors, and the order in which they come, do not depend on the number of threads.
///
/// # Errors
/// Those of the encoder and of `sink`.
pub fn embed_titles(
    listings: &Listings,
    work: &TitleWork<'_>,
    sink: &mut (dyn FnMut(usize, &[f32]) -> Result<()> + Send),
    watch: &dyn Watch,
) -> Result<EmbeddedTitles> {
    let mut sink = |row: usize, vector: &[f32]| sink(row, vector);
    embed_titles_into(listings, work, &mut sink, watch)
}

/// As [`embed_titles`], without the titles that `into` has of an earlier run: those count as done, and
/// their rejects are told again.
///
/// # Errors
/// As [`embed_titles`].
pub fn embed_titles_into(
    listings: &Listings,
    work: &TitleWork<'_>,
    into: &mut dyn Collect,
    watch: &dyn Watch,
) -> Result<EmbeddedTitles> {
    let decoded: Vec<Option<Cow<str>>> = listings
        .items
        .iter()
        .map(|l| title(l, work.decode_escapes, work.clean))
        .collect();
    let unique = Unique::of(&decoded);
    let skip = into.resumed();
    let rejects = into.earlier().to_vec();
    let mut gather = Gather {
        unique: &unique,
        listings,
        work,
        into,
        known: rejects.iter().map(|r| r.row).collect(),
        rejects,
    };
    watch.begin("titles", unique.titles.len());
    let flow = stream_titles_into(
        &unique.titles,
        work.encoder,
        (work.window, skip),
        &mut gather,
        &|done| watch.reached(done),
    );
    watch.end();
    let mut rejects = gather.rejects;
    rejects.sort_by_key(|r| r.row);
    let without = |(l, title): &(&Listing, &Option<_>)| !l.rejected && title.is_none();
    Ok(EmbeddedTitles {
        titles: unique.titles.len(),
        rows: unique.by_title.len().saturating_sub(rejects.len()),
        without: listings.items.iter().zip(&decoded).filter(without).count(),
        rejects,
        flow: flow?,
    })
}

/// What may help a title whose vector is of no use.
const MEND: &str = "change the title, or leave it out";

/// A listing's title as it is read, if it says anything: decoded where that is asked for, then cleaned.
fn title<'a>(
    listing: &'a Listing,
    decode_escapes: bool,
    steps: &[CleanStep],
) -> Option<Cow<'a, str>> {
    let title = listing.title.as_deref().filter(|_| !listing.rejected)?;
    let mut title = match decode_escapes && title.contains("\\x") {
        true => Cow::Owned(clean::decode_escapes(title)),
        false => Cow::Borrowed(title),
    };
    if !steps.is_empty() {
        title = Cow::Owned(clean::clean(&title, steps).into_owned());
    }
    (!title.trim().is_empty()).then_some(title)
}

/// The different titles of a table, in the order of their first rows, and the rows of each.
struct Unique<'a> {
    titles: Vec<&'a str>,
    /// Where each title's rows begin in `by_title`; one more than there are titles.
    starts: Vec<usize>,
    by_title: Vec<u32>,
}

impl<'a> Unique<'a> {
    fn of(titles: &'a [Option<Cow<'a, str>>]) -> Self {
        let (mut different, mut places) = (Vec::new(), HashMap::new());
        let mut counts: Vec<usize> = Vec::new();
        let place_of_row: Vec<Option<u32>> = titles
            .iter()
            .map(|title| {
                let title: &str = title.as_deref()?;
                let place = *places.entry(title).or_insert_with(|| {
                    different.push(title);
                    counts.push(0);
                    (different.len() - 1) as u32
                });
                counts[place as usize] += 1;
                Some(place)
            })
            .collect();
        let mut starts = vec![0];
        for count in &counts {
            starts.push(starts.last().unwrap_or(&0) + count);
        }
        let mut next = starts.clone();
        let mut by_title = vec![0; place_of_row.iter().flatten().count()];
        for (row, place) in place_of_row.into_iter().enumerate() {
            if let Some(place) = place {
                let at = &mut next[place as usize];
                by_title[*at] = row as u32;
                *at += 1;
            }
        }
        Unique {
            titles: different,
            starts,
            by_title,
        }
    }

    /// The rows that have title number `item`, in order.
    fn rows(&self, item: usize) -> &[u32] {
        &self.by_title[self.starts[item]..self.starts[item + 1]]
    }
}

#[cfg(test)]
mod tests;
