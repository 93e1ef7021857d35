//! Counting: each title's terms, the vocabulary, and which terms stay.

use rayon::prelude::*;

use super::analyze::{Analysis, Scratch};
use super::options::{Df, TfidfOptions};
use super::terms::Terms;
use crate::error::{Error, Result};
use crate::limits::{MAX_FEATURES, MAX_FIELD_BYTES};

/// What is known of one term.
#[derive(Debug, Clone, Default)]
struct Stat {
    /// The last title that held it, from 1, and where in that title's list it stands.
    last: u32,
    at: u32,
    /// In how many titles it stands, and how often in all.
    df: u64,
    tf: u64,
}

/// The terms of a run of titles, numbered by first appearance.
#[derive(Debug)]
pub(super) struct Chunk {
    terms: Terms,
    stats: Vec<Stat>,
    /// The distinct terms of each title, title after title, and how often each stands there (left
    /// empty when only presence counts).
    pub(super) ids: Vec<u32>,
    pub(super) counts: Vec<u32>,
    /// Where each title's terms end.
    pub(super) ends: Vec<usize>,
    /// How many titles are not missing.
    present: u64,
}

/// A title that is too long to count.
pub(super) fn check_length(title: &str, row: usize) -> Result<()> {
    if title.len() <= MAX_FIELD_BYTES {
        return Ok(());
    }
    Err(Error::limit(format!("the title has {} bytes", title.len()))
        .op("tfidf")
        .row(row as u64 + 1)
        .mend(format!("shorten it to {MAX_FIELD_BYTES} bytes at most")))
}

fn check_vocabulary(terms: usize) -> Result<()> {
    if terms <= MAX_FEATURES {
        return Ok(());
    }
    Err(
        Error::limit(format!("the titles hold more than {MAX_FEATURES} terms"))
            .op("tfidf")
            .mend("take fewer titles, or a shorter n-gram"),
    )
}

impl Chunk {
    /// Counts the terms of `titles`, of which the first is row `first`.
    fn count(
        titles: &[Option<&str>],
        first: usize,
        binary: bool,
        analysis: &Analysis,
    ) -> Result<Self> {
        let mut terms = Terms::with_capacity(titles.len() / 2);
        let mut stats: Vec<Stat> = Vec::with_capacity(titles.len() / 2);
        let mut ids: Vec<u32> = Vec::with_capacity(titles.len() * 12);
        let mut counts: Vec<u32> = Vec::new();
        let mut ends = Vec::with_capacity(titles.len());
        let mut scratch = Scratch::default();
        let mut present = 0;
        for (row, title) in titles.iter().enumerate() {
            let start = ids.len();
            let stamp = row as u32 + 1;
            if let Some(title) = title {
                present += 1;
                check_length(title, first + row)?;
                analysis.each_term(title, &mut scratch, |key, term| {
                    let id = terms.intern(key, term);
                    if id as usize == stats.len() {
                        stats.push(Stat::default());
                    }
                    let stat = &mut stats[id as usize];
                    if stat.last != stamp {
                        stat.last = stamp;
                        stat.at = (ids.len() - start) as u32;
                        stat.df += 1;
                        stat.tf += 1;
                        ids.push(id);
                        if !binary {
                            counts.push(1);
                        }
                    } else if !binary {
                        stat.tf += 1;
                        counts[start + stat.at as usize] += 1;
                    }
                });
                check_vocabulary(terms.len())?;
            }
            ends.push(ids.len());
        }
        Ok(Chunk {
            terms,
            stats,
            ids,
            counts,
            ends,
            present,
        })
    }

    /// How many of its values are of terms that stay, by their numbers here.
    pub(super) fn kept_values(&self, columns: &[u32]) -> usize {
        let kept = self
            .stats
            .iter()
            .zip(columns)
            .filter(|(_, column)| **column != DROPPED);
        kept.map(|(stat, _)| stat.df as usize).sum()
    }
}

/// The column of a term that went.
pub(super) const DROPPED: u32 = u32::MAX;

/// Why there is no vocabulary.
#[derive(Debug, Clone, Copy)]
pub(super) enum NoTerms {
    /// No title holds any term.
    Empty,
    /// `max_df` stands for fewer titles than `min_df`.
    Crossed,
    /// All terms are too rare or too common.
    Pruned,
}

impl NoTerms {
    pub(super) fn error(self) -> Error {
        let (message, mend) = match self {
            NoTerms::Empty => (
                "no title holds a term",
                "perhaps the titles hold stop words alone, or the token pattern fits none",
            ),
            NoTerms::Crossed => (
                "max_df stands for fewer titles than min_df",
                "lower min_df or raise max_df; a share counts from the number of titles",
            ),
            NoTerms::Pruned => (
                "no term is left after min_df and max_df",
                "lower min_df or raise max_df",
            ),
        };
        Error::input(message).op("tfidf").mend(mend)
    }
}

/// All titles counted, and which terms stay.
#[derive(Debug, Default)]
pub(super) struct Counted {
    pub(super) chunks: Vec<Chunk>,
    /// For each chunk, the column of each of its terms, or [`DROPPED`].
    pub(super) columns: Vec<Vec<u32>>,
    /// The terms that stay, sorted, and in how many titles each stands.
    pub(super) vocabulary: Vec<String>,
    pub(super) df: Vec<u64>,
    /// How many titles are not missing.
    pub(super) titles: u64,
}

/// Counts the terms of `titles` on all threads.
///
/// The cut into chunks follows the number of threads; nothing that is returned depends on it, apart
/// from the chunks themselves.
pub(super) fn count(
    titles: &[Option<&str>],
    options: &TfidfOptions,
    analysis: &Analysis,
) -> Result<(Counted, Option<NoTerms>)> {
    let parts = (rayon::current_num_threads() * 2)
        .min(titles.len().div_ceil(512))
        .max(1);
    let size = titles.len().div_ceil(parts).max(1);
    let chunks = titles
        .par_chunks(size)
        .enumerate()
        .map(|(i, part)| Chunk::count(part, i * size, options.binary, analysis))
        .collect::<Result<Vec<_>>>()?;
    let present = chunks.iter().map(|c| c.present).sum();
    let merged = Merged::new(&chunks)?;
    let mut counted = Counted {
        titles: present,
        ..Counted::default()
    };
    let chosen = match merged.choose(present, options) {
        Ok(chosen) => chosen,
        Err(why) => {
            counted.columns = chunks
                .iter()
                .map(|c| vec![DROPPED; c.terms.len()])
                .collect();
            counted.chunks = chunks;
            return Ok((counted, Some(why)));
        }
    };
    let mut column_of = vec![DROPPED; merged.df.len()];
    for (column, &id) in chosen.iter().enumerate() {
        column_of[id as usize] = column as u32;
    }
    counted.columns = merged
        .numbers
        .par_iter()
        .map(|numbers| numbers.iter().map(|&id| column_of[id as usize]).collect())
        .collect();
    counted.df = chosen.iter().map(|&id| merged.df[id as usize]).collect();
    let text = |&id: &u32| String::from_utf8(merged.terms.get(id).to_vec());
    let vocabulary: std::result::Result<Vec<String>, _> = chosen.par_iter().map(text).collect();
    counted.vocabulary =
        vocabulary.map_err(|_| Error::internal("a term was cut within a character").op("tfidf"))?;
    counted.chunks = chunks;
    Ok((counted, None))
}

/// The terms of all chunks.
struct Merged {
    terms: Terms,
    df: Vec<u64>,
    tf: Vec<u64>,
    /// For each chunk, the number here of each of its terms.
    numbers: Vec<Vec<u32>>,
}

impl Merged {
    fn new(chunks: &[Chunk]) -> Result<Self> {
        let most = chunks.iter().map(|c| c.terms.len()).max().unwrap_or(0);
        let mut merged = Merged {
            terms: Terms::with_capacity(most * 3 / 2),
            df: Vec::with_capacity(most),
            tf: Vec::with_capacity(most),
            numbers: Vec::with_capacity(chunks.len()),
        };
        for chunk in chunks {
            let mut numbers = Vec::with_capacity(chunk.terms.len());
            for (local, stat) in chunk.stats.iter().enumerate() {
                let local = local as u32;
                let id = merged
                    .terms
                    .intern(&chunk.terms.key_of(local), chunk.terms.get(local));
                if id as usize == merged.df.len() {
                    merged.df.push(0);
                    merged.tf.push(0);
                }
                merged.df[id as usize] += stat.df;
                merged.tf[id as usize] += stat.tf;
                numbers.push(id);
            }
            check_vocabulary(merged.terms.len())?;
            merged.numbers.push(numbers);
        }
        Ok(merged)
    }

    /// The terms that stay, in the order of their columns: by code points.
    fn choose(
        &self,
        titles: u64,
        options: &TfidfOptions,
    ) -> std::result::Result<Vec<u32>, NoTerms> {
        let (low, high): (Df, Df) = (options.min_df, options.max_df);
        let (low, high) = (low.titles(titles), high.titles(titles));
        if self.df.is_empty() {
            return Err(NoTerms::Empty);
        }
        if high < low {
            return Err(NoTerms::Crossed);
        }
        let fits = |id: &u32| (low..=high).contains(&(self.df[*id as usize] as f64));
        let mut ids: Vec<u32> = (0..self.df.len() as u32).filter(fits).collect();
        let limit = options.max_features.unwrap_or(usize::MAX);
        let mut least = 0;
        if ids.len() > limit {
            // Only what ties with the last that stays, or beats it, has to be sorted.
            let mut totals: Vec<u64> = ids.iter().map(|&id| self.tf[id as usize]).collect();
            let at = totals.len() - limit;
            least = *totals.select_nth_unstable(at).1;
            ids.retain(|&id| self.tf[id as usize] >= least);
        }
        let ids = self.sorted(ids);
        let beats = ids
            .iter()
            .filter(|&&id| self.tf[id as usize] > least)
            .count();
        let mut ties = limit.saturating_sub(beats);
        let stays = |id: &u32| {
            if self.tf[*id as usize] > least {
                return true;
            }
            let room = ties > 0;
            ties -= usize::from(room);
            room
        };
        let chosen: Vec<u32> = ids.into_iter().filter(stays).collect();
        if chosen.is_empty() {
            Err(NoTerms::Pruned)
        } else {
            Ok(chosen)
        }
    }

    /// `ids` in the order of their terms: UTF-8 sorts as code points do.
    fn sorted(&self, ids: Vec<u32>) -> Vec<u32> {
        let mut keyed: Vec<(u64, u32)> = ids
            .into_iter()
            .map(|id| (head(self.terms.get(id)), id))
            .collect();
        keyed.par_sort_unstable_by(|a, b| {
            let whole = || self.terms.get(a.1).cmp(self.terms.get(b.1));
            a.0.cmp(&b.0).then_with(whole)
        });
        keyed.into_iter().map(|(_, id)| id).collect()
    }
}

/// The first eight bytes as a number that sorts as they do; the ends of shorter terms count as NUL.
fn head(term: &[u8]) -> u64 {
    let mut eight = [0; 8];
    let length = term.len().min(8);
    eight[..length].copy_from_slice(&term[..length]);
    u64::from_be_bytes(eight)
}
