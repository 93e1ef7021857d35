//! word2vec: a vector for each word, learnt from the words that stand beside it, and titles as the sums of
//! their words' vectors.
//!
//! Training is skip-gram or CBOW with negative sampling, as gensim 4 has them (see `train.rs`
//! for what is the same and what is not). Vectors may come from a file instead, in the text or the binary
//! format that word2vec's own program and gensim write.
//!
//! ```
//! use doppel::text::word2vec::{Word2Vec, Word2VecOptions};
//!
//! let titles = [Some("Double tape 3M"), Some("double foam tape"), None];
//! let options = Word2VecOptions { min_count: 1, ..Word2VecOptions::default() };
//! let model = Word2Vec::train(&titles, &options)?;
//! assert_eq!(model.words(), ["double", "tape", "3m", "foam"]); // the most frequent ones first
//! let rows = model.rows(&titles, &options)?;
//! assert_eq!((rows.rows(), rows.dims()), (3, 50));
//! assert!(rows.row(2).iter().all(|&x| x == 0.0));
//! # Ok::<(), doppel::Error>(())
//! ```

mod file;
mod options;
mod train;
mod vocabulary;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::Path;

use crate::error::{Error, Result};
use crate::limits::{MAX_FIELD_BYTES, MAX_VECTOR_BYTES};
use crate::tensor::Matrix;
use crate::text::python::{is_word, lower_into};

pub use options::{Kind, Pool, Word2VecOptions};

/// Words and their vectors.
#[derive(Debug, Clone)]
pub struct Word2Vec {
    words: Vec<String>,
    places: HashMap<String, usize>,
    vectors: Matrix,
}

impl Word2Vec {
    /// Learns the vectors of the words of `titles`, on one thread: the same titles and options give the same
    /// vectors. Without a word that is frequent enough there are none.
    ///
    /// # Errors
    /// Those of [`Word2VecOptions::check`]; [`Kind::Limit`](crate::error::Kind::Limit) for a title beyond
    /// [`MAX_FIELD_BYTES`] or vectors beyond [`MAX_VECTOR_BYTES`].
    pub fn train(titles: &[Option<&str>], options: &Word2VecOptions) -> Result<Self> {
        options.check()?;
        let split = titles
            .iter()
            .enumerate()
            .filter_map(|(row, title)| Some((row, (*title)?)));
        let split = split
            .map(|(row, title)| words_of(row, title, options.lowercase))
            .collect::<Result<Vec<_>>>()?;
        let (vocabulary, sentences) = vocabulary::learn(split, options);
        check_room(vocabulary.words.len(), options.size)?;
        let vectors = train::train(&vocabulary, &sentences, options);
        let vectors = Matrix::new(vocabulary.words.len(), options.size, vectors)?;
        Ok(Self::of(vocabulary.words, vectors))
    }

    /// The vectors of a file in word2vec's text or binary format, of which only words that `wanted` says yes
    /// to are held. A word that stands there twice has its first vector.
    ///
    /// # Errors
    /// What the disk says; a file in neither format, named with what is wrong;
    /// [`Kind::Limit`](crate::error::Kind::Limit) for a size beyond
    /// [`MAX_DIMS`](crate::limits::MAX_DIMS) or vectors beyond [`MAX_VECTOR_BYTES`].
    pub fn read(path: impl AsRef<Path>, wanted: &dyn Fn(&str) -> bool) -> Result<Self> {
        let path = path.as_ref();
        let (words, vectors) = file::read(path, wanted).map_err(|e| e.path(path))?;
        Ok(Self::of(words, vectors))
    }

    /// The vectors of `options.vectors` for the words of `titles`, or those that are learnt from them where no
    /// file is named.
    ///
    /// # Errors
    /// As [`train`](Self::train) and [`read`](Self::read).
    pub fn fit(titles: &[Option<&str>], options: &Word2VecOptions) -> Result<Self> {
        options.check()?;
        let Some(path) = &options.vectors else {
            return Self::train(titles, options);
        };
        let mut wanted = std::collections::HashSet::new();
        for (row, title) in titles.iter().enumerate() {
            if let Some(title) = title {
                wanted.extend(words_of(row, title, options.lowercase)?);
            }
        }
        Self::read(path, &|word| wanted.contains(word))
    }

    fn of(words: Vec<String>, vectors: Matrix) -> Self {
        let mut places = HashMap::with_capacity(words.len());
        for (place, word) in words.iter().enumerate() {
            places.entry(word.clone()).or_insert(place);
        }
        Word2Vec {
            words,
            places,
            vectors,
        }
    }

    /// The words, the most frequent ones first where they were learnt.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// The vectors, one a word.
    pub fn vectors(&self) -> &Matrix {
        &self.vectors
    }

    /// The vector of a word.
    pub fn get(&self, word: &str) -> Option<&[f32]> {
        self.places.get(word).map(|&place| self.vectors.row(place))
    }

    /// The cosine of two words' vectors, if both are known.
    pub fn similarity(&self, a: &str, b: &str) -> Option<f64> {
        let (a, b) = (self.get(a)?, self.get(b)?);
        let dot = |a: &[f32], b: &[f32]| -> f64 {
            a.iter()
                .zip(b)
                .map(|(x, y)| f64::from(*x) * f64::from(*y))
                .sum()
        };
        let squares = dot(a, a) * dot(b, b);
        (squares > 0.0).then(|| dot(a, b) / squares.sqrt())
    }

    /// A row for each title: the sum, or the mean, of the vectors of its words, each as often as it stands
    /// there; words that are not known do not count. Zeros where there is no title or no known word. Of
    /// `options` the words and [`Pool`] count.
    ///
    /// # Errors
    /// [`Kind::Limit`](crate::error::Kind::Limit) for a title beyond [`MAX_FIELD_BYTES`].
    pub fn rows(&self, titles: &[Option<&str>], options: &Word2VecOptions) -> Result<Matrix> {
        let mut rows = Matrix::zeros(titles.len(), self.vectors.dims());
        let mut sum = vec![0.0f64; self.vectors.dims()];
        for (row, title) in titles.iter().enumerate() {
            let Some(title) = title else { continue };
            sum.fill(0.0);
            let mut known = 0.0;
            for word in words_of(row, title, options.lowercase)? {
                if let Some(vector) = self.get(&word) {
                    known += 1.0;
                    for (sum, x) in sum.iter_mut().zip(vector) {
                        *sum += f64::from(*x);
                    }
                }
            }
            let share = match options.pool {
                Pool::Mean if known > 0.0 => 1.0 / known,
                _ => 1.0,
            };
            for (out, sum) in rows.row_mut(row).iter_mut().zip(&sum) {
                *out = (sum * share) as f32;
            }
        }
        Ok(rows)
    }
}

/// The runs of word characters of a title; what Python's `re.findall(r"\w+", title.lower())` gives.
fn words_of(row: usize, title: &str, lowercase: bool) -> Result<Vec<String>> {
    if title.len() > MAX_FIELD_BYTES {
        let message = format!("the title of row {} has {} bytes", row + 1, title.len());
        return Err(Error::limit(message).mend(format!("{MAX_FIELD_BYTES} are the most")));
    }
    let mut lower = String::new();
    let text = match lowercase {
        true => {
            lower_into(title, &mut lower);
            lower.as_str()
        }
        false => title,
    };
    let words = text.split(|c| !is_word(c)).filter(|word| !word.is_empty());
    Ok(words.map(str::to_string).collect())
}

fn check_room(words: usize, size: usize) -> Result<()> {
    let bytes = (words as u64).saturating_mul(size as u64).saturating_mul(4);
    match bytes > MAX_VECTOR_BYTES {
        true => Err(Error::limit(format!(
            "{words} words with vectors of {size} values take {bytes} bytes"
        ))
        .mend(format!("{MAX_VECTOR_BYTES} are the most: raise min_count"))),
        false => Ok(()),
    }
}
