//! What word2vec may be asked for, and whether it makes sense.

use std::path::PathBuf;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::limits::{MAX_DIMS, MAX_EPOCHS, MAX_NEGATIVE, MAX_WINDOW};

/// What is predicted from what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Each word from each of those around it, one at a time.
    SkipGram,
    /// Each word from the mean of those around it.
    Cbow,
}

/// How the vectors of a title's words become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Pool {
    /// Their sum.
    Sum,
    /// Their mean: of the same direction, and so of the same cosines.
    Mean,
}

/// What a model is made of. The defaults are gensim's, with 50 values in the place of 100.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Word2VecOptions {
    /// Values of a vector: gensim's `vector_size`.
    pub size: usize,
    /// The most words on each side that a word is seen with.
    pub window: usize,
    /// What is predicted from what: gensim's `sg`.
    pub kind: Kind,
    /// Words drawn for each pair as ones that do not belong.
    pub negative: usize,
    /// Passes over the titles.
    pub epochs: usize,
    /// Only words that stand so often.
    pub min_count: usize,
    /// Words whose share of all is larger are sometimes passed over; 0 passes over none.
    pub sample: f64,
    /// The learning rate at the start; it falls in a line to 0.0001 at the end.
    pub alpha: f64,
    /// What the draws follow.
    pub seed: u64,
    /// How a title's words become one vector.
    pub pool: Pool,
    /// Lower case first.
    pub lowercase: bool,
    /// A file of vectors, with which nothing is learnt.
    pub vectors: Option<PathBuf>,
}

impl Default for Word2VecOptions {
    fn default() -> Self {
        Word2VecOptions {
            size: 50,
            window: 5,
            kind: Kind::Cbow,
            negative: 5,
            epochs: 5,
            min_count: 5,
            sample: 1e-3,
            alpha: 0.025,
            seed: 1,
            pool: Pool::Sum,
            lowercase: true,
            vectors: None,
        }
    }
}

impl Word2VecOptions {
    /// Whether training can be done so.
    ///
    /// # Errors
    /// The first number that is out of its bounds, with those.
    pub fn check(&self) -> Result<()> {
        within("size", self.size, 1, MAX_DIMS)?;
        within("window", self.window, 1, MAX_WINDOW)?;
        within("negative", self.negative, 1, MAX_NEGATIVE)?;
        within("epochs", self.epochs, 1, MAX_EPOCHS)?;
        within("min_count", self.min_count, 1, u32::MAX as usize)?;
        share("sample", self.sample, 0.0)?;
        share("alpha", self.alpha, 1e-4)
    }
}

fn within(what: &str, found: usize, least: usize, most: usize) -> Result<()> {
    match (least..=most).contains(&found) {
        true => Ok(()),
        false => Err(Error::limit(format!("word2vec with {what} {found}"))
            .mend(format!("give {least} to {most}"))),
    }
}

fn share(what: &str, found: f64, least: f64) -> Result<()> {
    match (least..=1.0).contains(&found) {
        true => Ok(()),
        false => Err(Error::limit(format!("word2vec with {what} {found}"))
            .mend(format!("give {least} to 1"))),
    }
}
