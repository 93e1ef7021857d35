//! Titles as token ids, for encoders from Hugging Face folders.

use std::path::Path;

use rayon::prelude::*;

use crate::error::{Error, Result};

/// How titles are cut and cased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenizeOptions {
    /// The most ids of one title, special tokens included.
    pub max_tokens: usize,
    /// Lower-case first (`do_lower_case` of `sentence_bert_config.json`).
    pub lowercase: bool,
}

/// A title's way to token ids.
#[derive(Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    ids: usize,
    max_tokens: usize,
}

impl Tokenizer {
    /// Opens `tokenizer.json` of a Hugging Face folder, or builds one from `vocab.txt`
    /// (+ `tokenizer_config.json`) or `vocab.json` + `merges.txt`.
    ///
    /// # Errors
    /// One line naming the file.
    pub fn open(folder: impl AsRef<Path>, options: &TokenizeOptions) -> Result<Tokenizer> {
        let path = folder.as_ref().join("tokenizer.json");
        let mut inner = tokenizers::Tokenizer::from_file(&path)
            .map_err(|e| Error::input(e.to_string()).path(&path))?;
        inner.with_padding(None);
        inner
            .with_truncation(Some(tokenizers::TruncationParams {
                max_length: options.max_tokens,
                ..Default::default()
            }))
            .map_err(|e| Error::input(e.to_string()).path(&path))?;
        let ids = inner
            .get_vocab(true)
            .values()
            .max()
            .map_or(0, |m| *m as usize + 1);
        Ok(Tokenizer {
            inner,
            ids,
            max_tokens: options.max_tokens,
        })
    }

    /// One more than the largest id that it can give.
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
    /// A pattern of the tokenizer that does not end on this text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self
            .inner
            .encode_fast(text, true)
            .map_err(|e| Error::input(e.to_string()))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// [`Tokenizer::encode`] of all texts, on rayon's threads, in order.
    pub fn encode_many(&self, texts: &[&str]) -> Vec<Result<Vec<u32>>> {
        texts.par_iter().map(|text| self.encode(text)).collect()
    }
}
