//! How good the answers are.
//!
//! The score of the competition, row by row: for a listing with true set `X` (all rows of its label,
//! itself included) and predicted set `Y`, precision `|X∩Y| / |Y|`, recall `|X∩Y| / |X|` and
//! `F1 = 2 |X∩Y| / (|X| + |Y|)`; the figures are means over listings. Beside them stand
//! `2PR / (P + R)` of the mean precision and recall (Gupta, Lee and Kim), and pair counts.

mod answers;
mod csv;
pub mod tune;

use std::collections::HashMap;

use serde::Serialize;

pub use answers::{Notes, evaluate_file, read_matches};

use crate::error::{Error, Result};
use crate::limits::MAX_ROWS;

/// How good a set of answers is. Every mean is over the scored listings, those with a label.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Figures {
    /// The mean of each listing's `2 |X∩Y| / (|X| + |Y|)`: the competition's score.
    pub f1: f64,
    /// The mean of each listing's `|X∩Y| / |Y|`, the share of its predicted rows that are true; 0 for
    /// an empty answer.
    pub precision: f64,
    /// The mean of each listing's `|X∩Y| / |X|`, the share of its true rows that are predicted.
    pub recall: f64,
    /// `2PR / (P + R)` of [`Figures::precision`] and [`Figures::recall`]; 0 when both are 0.
    pub f1_of_means: f64,
    /// How many listings are scored.
    pub listings: usize,
    /// How many listings have no label and are not scored.
    pub unlabelled: usize,
    /// Ordered pairs `i -> j` without `i -> i`, over the scored listings `i`.
    pub pairs: PairCounts,
    /// `tp / (tp + fp)`; 0 when no pair is predicted.
    pub pair_precision: f64,
    /// `tp / (tp + fn)`; 0 when no pair is true.
    pub pair_recall: f64,
    /// `2 tp / (2 tp + fp + fn)`; 0 when no pair is true or predicted.
    pub pair_f1: f64,
}

/// Counts of ordered pairs: `i -> j` and `j -> i` are two, and `i -> i` is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PairCounts {
    /// Predicted and true.
    pub tp: u64,
    /// Predicted, not true.
    pub fp: u64,
    /// True, not predicted.
    #[serde(rename = "fn")]
    pub fn_: u64,
}

/// Scores `answers[i]`, the rows predicted for row `i`, against the rows with the label of row `i`.
///
/// An answer is a set: a row that stands in it twice counts once. It is taken as given, so an answer
/// without the row itself misses that one. A predicted row without a label is a wrong one.
///
/// # Errors
/// As many answers as labels there must be; a predicted row that is not there; no label at all.
pub fn evaluate(labels: &[Option<u32>], answers: &[Vec<u32>]) -> Result<Figures> {
    if labels.len() != answers.len() {
        let error = Error::shape("evaluate", &[labels.len()], &[answers.len()]);
        return Err(error.mend("give one answer for each listing"));
    }
    let outside = |answer: &Vec<u32>| answer.iter().any(|&j| j as usize >= labels.len());
    if let Some(i) = answers.iter().position(outside) {
        return Err(Error::input("the answer names a row that is not there")
            .op("evaluate")
            .row(i as u64 + 1));
    }
    score(labels, |i| (&answers[i], 0))
}

/// Scores the answers `answer(i)`: rows, and how many more things were predicted that are no rows.
fn score<'a>(
    labels: &[Option<u32>],
    answer: impl Fn(usize) -> (&'a [u32], usize),
) -> Result<Figures> {
    if labels.len() > MAX_ROWS {
        return Err(Error::limit(format!("more than {MAX_ROWS} listings")).op("evaluate"));
    }
    let mut sizes: HashMap<u32, u64> = HashMap::new();
    for label in labels.iter().flatten() {
        *sizes.entry(*label).or_default() += 1;
    }
    let mut totals = Totals::default();
    let mut seen_by = vec![0u32; labels.len()];
    for (i, label) in labels.iter().enumerate() {
        let Some(label) = label else { continue };
        let (rows, others) = answer(i);
        let mut row = Row {
            truth: sizes[label],
            predicted: others as u64,
            both: 0,
            itself: false,
        };
        for &j in rows {
            // Rows number at most MAX_ROWS, so `i + 1` is a u32, and 0 means nobody.
            let seen = std::mem::replace(&mut seen_by[j as usize], i as u32 + 1);
            if seen != i as u32 + 1 {
                row.predicted += 1;
                row.both += u64::from(labels[j as usize] == Some(*label));
                row.itself |= j as usize == i;
            }
        }
        totals.add(row);
    }
    if totals.listings == 0 {
        return Err(Error::input("no listing has a label to score against")
            .op("evaluate")
            .column("label_group")
            .mend("give listings with a label_group"));
    }
    Ok(totals.figures(labels.len()))
}

/// One scored listing.
struct Row {
    truth: u64,
    predicted: u64,
    both: u64,
    itself: bool,
}

#[derive(Default)]
struct Totals {
    f1: f64,
    precision: f64,
    recall: f64,
    listings: usize,
    pairs: PairCounts,
}

impl Totals {
    fn add(&mut self, row: Row) {
        self.f1 += ratio(2 * row.both, row.truth + row.predicted);
        self.precision += ratio(row.both, row.predicted);
        self.recall += ratio(row.both, row.truth);
        self.listings += 1;
        // A row's own label is true for it, so `itself` is one of `both`.
        let tp = row.both - u64::from(row.itself);
        self.pairs.tp += tp;
        self.pairs.fp += row.predicted - row.both;
        self.pairs.fn_ += row.truth - 1 - tp;
    }

    fn figures(&self, rows: usize) -> Figures {
        let mean = |sum: f64| sum / self.listings as f64;
        let (precision, recall) = (mean(self.precision), mean(self.recall));
        let PairCounts { tp, fp, fn_ } = self.pairs;
        let f1_of_means = match precision + recall {
            0.0 => 0.0,
            sum => 2.0 * precision * recall / sum,
        };
        Figures {
            f1: mean(self.f1),
            precision,
            recall,
            f1_of_means,
            listings: self.listings,
            unlabelled: rows - self.listings,
            pairs: self.pairs,
            pair_precision: ratio(tp, tp + fp),
            pair_recall: ratio(tp, tp + fn_),
            pair_f1: ratio(2 * tp, 2 * tp + fp + fn_),
        }
    }
}

/// `a / b`, and 0 of nothing.
fn ratio(a: u64, b: u64) -> f64 {
    if b == 0 { 0.0 } else { a as f64 / b as f64 }
}
