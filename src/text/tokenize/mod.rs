//! Titles as token ids, for encoders from Hugging Face folders: the ids that sentence-transformers 6
//! gives, by the crate `tokenizers`.
//!
//! A folder holds `tokenizer.json`, or the vocabulary that one is built from: `vocab.txt` (BERT's
//! WordPiece) or `vocab.json` and `merges.txt` (RoBERTa's byte-level BPE), with
//! `tokenizer_config.json` and `special_tokens_map.json` beside it.
//!
//! - Truncation and padding that a `tokenizer.json` bakes in are replaced: a title has at most
//!   [`TokenizeOptions::max_tokens`] ids, its special tokens kept, and no padding. `truncation_side`
//!   says which end is cut off; the right one when nothing does.
//! - For the classes of BERT, RoBERTa and XLM-RoBERTa, transformers 5 makes the steps around the
//!   vocabulary from `tokenizer_config.json`, whatever `tokenizer.json` says; so does this. Any other
//!   class is taken as `tokenizer.json` has it.
//! - A title is cut to [`MAX_CHARS_PER_TOKEN`] characters for each token before it is tokenised, at
//!   the end that truncation cuts. Only titles with words of hundreds of characters, or as much white
//!   space, can lose a token by that.
//! - Dropout, which is for training, is off.
//! - Patterns are those of the crate `fancy-regex`; transformers has Oniguruma's, whose `\w` holds
//!   more (`½`, `²`). No published encoder that doppel knows has a pattern where they differ.
//!
//! Files are not trusted: a panic of the crate, or a pattern that does not come to an end, is an
//! error of one line.

mod build;
mod config;
mod scan;
mod steps;

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use tokenizers::{PostProcessor, TruncationDirection, TruncationParams};

use crate::error::{Error, Result};
use crate::limits::MAX_CHARS_PER_TOKEN;
use crate::quiet::quietly;
use build::{Built, Inner, build};
use steps::Normalize;

/// How titles are cut and cased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenizeOptions {
    /// The most ids of one title, special tokens included.
    pub max_tokens: usize,
    /// Lower-case first (`do_lower_case` of `sentence_bert_config.json`).
    pub lowercase: bool,
}

/// A title's way to token ids.
///
/// ```no_run
/// use doppel::text::tokenize::{TokenizeOptions, Tokenizer};
///
/// let options = TokenizeOptions { max_tokens: 256, lowercase: false };
/// let tokenizer = Tokenizer::open("all-MiniLM-L6-v2", &options)?;
/// assert_eq!(tokenizer.encode("Susu bubuk")?.first(), Some(&101)); // [CLS]
/// # Ok::<(), doppel::Error>(())
/// ```
#[derive(Debug)]
pub struct Tokenizer {
    inner: Inner,
    ids: usize,
    max_tokens: usize,
    /// The most characters of a title that are looked at.
    max_chars: usize,
    cut: TruncationDirection,
    folder: PathBuf,
}

impl Tokenizer {
    /// Opens `tokenizer.json` of a Hugging Face folder, or builds one from `vocab.txt`
    /// (+ `tokenizer_config.json`) or `vocab.json` + `merges.txt`.
    ///
    /// # Errors
    /// A folder without any of them, or with SentencePiece's own file alone; a file that is not what
    /// it should be, a kind of model that is not known, a vocabulary without the token for what it
    /// does not know, a pattern that does not compile, ids that are not numbers of 32 bits, sizes
    /// beyond [`crate::limits`]; `max_tokens` too few for the special tokens. All name the file.
    pub fn open(folder: impl AsRef<Path>, options: &TokenizeOptions) -> Result<Tokenizer> {
        let folder = folder.as_ref();
        let Built { mut inner, cut } = build(folder)?;
        let TokenizeOptions {
            max_tokens,
            lowercase,
        } = *options;
        let broken = |what: String| Error::input(format!("its tokenizer: {what}")).path(folder);
        if lowercase {
            let own = inner.get_normalizer().cloned();
            let normalizer = Normalize::after_lowercase(own);
            quietly(|| inner.with_normalizer(Some(normalizer)).map(|_| ()))
                .map_err(broken)?
                .map_err(|e| broken(e.to_string()))?;
        }
        let special = inner
            .get_post_processor()
            .map_or(0, |ends| ends.added_tokens(false));
        if max_tokens < special {
            return Err(Error::input(format!(
                "{max_tokens} tokens a title are too few: the special ones alone are {special}"
            ))
            .path(folder)
            .mend(format!("allow {} or more", special + 1)));
        }
        let truncation = TruncationParams {
            max_length: max_tokens,
            direction: cut,
            ..TruncationParams::default()
        };
        inner
            .with_padding(None)
            .with_truncation(Some(truncation))
            .map_err(|e| broken(e.to_string()))?;
        let mut tokenizer = Tokenizer {
            inner,
            ids: 0,
            max_tokens,
            max_chars: max_tokens.saturating_mul(MAX_CHARS_PER_TOKEN),
            cut,
            folder: folder.to_path_buf(),
        };
        // The special tokens' ids stand in the post-processor by number, in the vocabulary or not.
        let ends = tokenizer.encode("")?;
        let vocabulary = tokenizer.inner.get_vocab(true);
        let largest = vocabulary.values().chain(&ends).max();
        tokenizer.ids = largest.map_or(0, |id| *id as usize + 1);
        Ok(tokenizer)
    }

    /// One more than the largest id that it can give, of the vocabulary and of added tokens.
    pub fn ids(&self) -> usize {
        self.ids
    }

    /// The most ids of one title, special tokens included.
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// The ids of `text`, special tokens included, cut to [`Tokenizer::max_tokens`], never padded.
    ///
    /// # Errors
    /// A text on which the tokenizer breaks, or on which one of its patterns comes to no end. The
    /// error names the folder; which text it was, the caller knows.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let text = self.shortened(text);
        let outcome = quietly(|| {
            steps::watched(|| {
                let encoding = self.inner.encode_fast(text, true)?;
                Ok(encoding.get_ids().to_vec())
            })
        });
        let fault = match outcome {
            Ok(Ok(ids)) if ids.len() <= self.max_tokens => return Ok(ids),
            Ok(Ok(ids)) => format!("it gives {} tokens", ids.len()),
            Ok(Err(error)) => error.to_string(),
            Err(panic) => panic,
        };
        Err(Error::input(format!("cannot tokenise the title: {fault}")).path(&self.folder))
    }

    /// [`Tokenizer::encode`] of all texts, on rayon's threads, in order.
    pub fn encode_many(&self, texts: &[&str]) -> Vec<Result<Vec<u32>>> {
        texts.par_iter().map(|text| self.encode(text)).collect()
    }

    /// The part of `text` that is looked at.
    fn shortened<'t>(&self, text: &'t str) -> &'t str {
        if text.len() <= self.max_chars {
            return text;
        }
        match self.cut {
            TruncationDirection::Right => {
                let end = text.char_indices().nth(self.max_chars);
                end.map_or(text, |(at, _)| &text[..at])
            }
            TruncationDirection::Left => {
                let chars = text.chars().count();
                let start = text
                    .char_indices()
                    .nth(chars.saturating_sub(self.max_chars));
                start.map_or(text, |(at, _)| &text[at..])
            }
        }
    }
}
