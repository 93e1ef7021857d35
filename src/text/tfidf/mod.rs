//! TF-IDF, equal to scikit-learn's `TfidfVectorizer` in vocabulary, order and values.
//!
//! Each title becomes a sparse row over the vocabulary. With `tf` the count of a term in a title,
//! `df` the number of titles that hold it and `n` the number of titles:
//!
//! - `binary` makes every `tf` 1; `sublinear_tf` makes it `1 + ln(tf)`;
//! - `idf = ln((n + 1) / (df + 1)) + 1`, without `smooth_idf` `ln(n / df) + 1`, without `use_idf` 1;
//! - the row is `tf * idf`, divided by its norm.
//!
//! Values are `f64` and made in scikit-learn's order of operations; what differs is the last bit of a
//! logarithm or of a sum. Lower case, word characters, white space and accents are those of CPython
//! 3.11 (see [`crate::text::python`]). What differs by choice:
//!
//! - a missing title (`None`) is a row of zeros and no document: it does not count into `n`. An
//!   empty title is a document, as in scikit-learn;
//! - ties at the cut of `max_features` go to the term that sorts first;
//! - patterns other than runs of word characters are those of the crate `regex`
//!   (see [`TokenPattern::Regex`]);
//! - no titles at all give a matrix without columns and no error.
//!
//! Results are the same, bit for bit, whatever the number of threads.

mod analyze;
mod count;
mod options;
mod terms;
mod weigh;

use std::sync::OnceLock;

use rayon::prelude::*;

use crate::error::Result;
use crate::tensor::Csr;
use analyze::{Analysis, Scratch};
use count::{NoTerms, check_length, count};
use terms::Terms;
use weigh::Weights;

pub use options::{Analyzer, Df, Norm, StopWords, StripAccents, TfidfOptions, TokenPattern};

/// A vocabulary with its weights: what scikit-learn calls a fitted vectorizer.
///
/// ```
/// use doppel::text::tfidf::{Tfidf, TfidfOptions};
///
/// let titles = [Some("Susu bubuk 400gr"), Some("SUSU BUBUK 400 gr"), None];
/// let (tfidf, matrix) = Tfidf::fit_transform(&titles, &TfidfOptions::default())?;
/// assert_eq!(tfidf.vocabulary(), ["400", "400gr", "bubuk", "gr", "susu"]);
/// assert_eq!(matrix.row(0).0, [1, 2, 4]);
/// assert!(matrix.row(2).0.is_empty());
/// # Ok::<(), doppel::Error>(())
/// ```
#[derive(Debug)]
pub struct Tfidf {
    vocabulary: Vec<String>,
    weights: Weights,
    analysis: Analysis,
    /// The vocabulary as a set with the numbers of the columns, made when it is first needed.
    lookup: OnceLock<Terms>,
}

impl Tfidf {
    /// Learns the vocabulary of `titles` and returns it with their matrix: one row for each title,
    /// one column for each term, sorted by code points.
    ///
    /// # Errors
    /// Those of [`TfidfOptions::validate`]; where scikit-learn raises `ValueError` because no term is
    /// left (no title holds one, `max_df` stands for fewer titles than `min_df`, all are pruned)
    /// [`Kind::Input`](crate::error::Kind::Input), unless there are no titles at all;
    /// [`Kind::Limit`](crate::error::Kind::Limit) for a title beyond
    /// [`MAX_FIELD_BYTES`](crate::limits::MAX_FIELD_BYTES) or more terms than
    /// [`MAX_FEATURES`](crate::limits::MAX_FEATURES).
    pub fn fit_transform(titles: &[Option<&str>], options: &TfidfOptions) -> Result<(Self, Csr)> {
        let (tfidf, matrix, none) = Self::fit(titles, options)?;
        match none {
            Some(why) if titles.iter().any(Option::is_some) => Err(why.error()),
            _ => Ok((tfidf, matrix)),
        }
    }

    /// [`fit_transform`](Self::fit_transform) for a caller that goes on without titles: when no term
    /// is left, the vocabulary is empty and the matrix has no columns.
    ///
    /// # Errors
    /// Those of [`fit_transform`](Self::fit_transform) apart from "no term is left".
    pub fn fit_transform_or_empty(
        titles: &[Option<&str>],
        options: &TfidfOptions,
    ) -> Result<(Self, Csr)> {
        let (tfidf, matrix, _) = Self::fit(titles, options)?;
        Ok((tfidf, matrix))
    }

    fn fit(
        titles: &[Option<&str>],
        options: &TfidfOptions,
    ) -> Result<(Self, Csr, Option<NoTerms>)> {
        options.validate()?;
        let analysis = Analysis::new(options)?;
        let (counted, none) = count(titles, options, &analysis)?;
        let weights = Weights::new(options, counted.titles, &counted.df);
        let matrix = weights.matrix(&counted)?;
        let tfidf = Tfidf {
            vocabulary: counted.vocabulary,
            weights,
            analysis,
            lookup: OnceLock::new(),
        };
        Ok((tfidf, matrix, none))
    }

    /// The matrix of other titles over this vocabulary; terms outside it do not count.
    ///
    /// # Errors
    /// [`Kind::Limit`](crate::error::Kind::Limit) for a title that is too long.
    pub fn transform(&self, titles: &[Option<&str>]) -> Result<Csr> {
        let lookup = self.lookup.get_or_init(|| {
            let mut lookup = Terms::with_capacity(self.vocabulary.len());
            for term in &self.vocabulary {
                lookup.intern(&self.analysis.key(term.as_bytes()), term.as_bytes());
            }
            lookup
        });
        let size = titles
            .len()
            .div_ceil(rayon::current_num_threads() * 4)
            .max(64);
        let parts = titles
            .par_chunks(size)
            .enumerate()
            .map(|(i, part)| self.transform_part(part, i * size, lookup))
            .collect::<Result<Vec<_>>>()?;
        let mut indptr = vec![0];
        let (mut indices, mut values) = (Vec::new(), Vec::new());
        for (part_ends, part_indices, part_values) in parts {
            let base = indices.len();
            indptr.extend(part_ends.iter().map(|end| base + end));
            indices.extend_from_slice(&part_indices);
            values.extend_from_slice(&part_values);
        }
        Csr::new(self.vocabulary.len(), indptr, indices, values)
    }

    /// The rows of `titles`, of which the first is row `first`: where each ends, columns and values.
    fn transform_part(
        &self,
        titles: &[Option<&str>],
        first: usize,
        lookup: &Terms,
    ) -> Result<(Vec<usize>, Vec<u32>, Vec<f64>)> {
        let (mut ends, mut indices, mut values) = (Vec::new(), Vec::new(), Vec::new());
        let mut scratch = Scratch::default();
        let mut found: Vec<u32> = Vec::new();
        for (row, title) in titles.iter().enumerate() {
            let start = values.len();
            if let Some(title) = title {
                check_length(title, first + row)?;
                found.clear();
                self.analysis.each_term(title, &mut scratch, |key, term| {
                    found.extend(lookup.find(key, term));
                });
                found.sort_unstable();
                for same in found.chunk_by(|a, b| a == b) {
                    indices.push(same[0]);
                    values.push(self.weights.value(same[0], same.len() as u32));
                }
                self.weights.normalise(&mut values[start..]);
            }
            ends.push(values.len());
        }
        Ok((ends, indices, values))
    }

    /// The terms, by column.
    pub fn vocabulary(&self) -> &[String] {
        &self.vocabulary
    }

    /// The inverse document frequency of each column; all 1 without `use_idf`.
    pub fn idf(&self) -> &[f64] {
        self.weights.idf()
    }
}
