//! A text encoder as a run names it: its folder, and what of the folder's settings is overridden.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use super::encoder::weights_sha256;
use crate::device::Device;
use crate::embed::{EncodeTitles, TitleLane, TitleLanes, TitlesAhead, store};
use crate::error::{Error, Result};
use crate::nn::text::{self, TextEncoder, TextFamily, TextFolder, TextPool};
use crate::nn::weights::OpenOptions;
use crate::text::tokenize::{TokenizeOptions, Tokenizer};

/// A text encoder and all that its vectors depend on, but the titles.
#[derive(Debug, Clone, PartialEq)]
pub struct TextSpec {
    /// A Hugging Face folder: config.json, model.safetensors, and tokenizer.json or vocab.txt; the
    /// settings of sentence-transformers where they are there.
    pub weights: PathBuf,
    /// How a title's tokens become one vector, in the place of what the folder says.
    pub pool: Option<TextPool>,
    /// Tokens that a title is cut to, special ones included, in the place of what the folder says.
    pub max_tokens: Option<usize>,
    /// The pooled vectors, before what the folder has behind its pooling (a Dense layer, say), which is
    /// refused otherwise.
    pub raw: bool,
    /// Map the weights; else they are read.
    pub mmap: bool,
}

/// The settings and the tokenizer of a folder, which go together; no weight is read yet.
pub struct ReadText {
    folder: TextFolder,
    tokenizer: Arc<Tokenizer>,
    mmap: bool,
}

/// A text encoder that is ready to run.
pub struct OpenText {
    /// The encoder.
    pub encoder: TextEncoder,
    /// How titles become its tokens.
    pub tokenizer: Arc<Tokenizer>,
    /// What the weights hold that was not used: a line, or nothing.
    pub ignored: String,
    folder: TextFolder,
}

impl TextSpec {
    /// The folder at `weights`, with everything as it says.
    pub fn new(weights: impl Into<PathBuf>) -> Self {
        TextSpec {
            weights: weights.into(),
            pool: None,
            max_tokens: None,
            raw: false,
            mmap: true,
        }
    }

    /// Reads the settings and the tokenizer, and checks that they go together.
    ///
    /// # Errors
    /// What is no folder; a file that is missing or malformed, named; more tokens than the encoder has
    /// positions for; a tokenizer with ids beyond the encoder's table.
    pub fn read(&self) -> Result<ReadText> {
        if !self.weights.is_dir() {
            let error = match self.weights.metadata() {
                Ok(_) => Error::input("is not a folder").path(&self.weights),
                Err(e) => Error::io(e, &self.weights),
            };
            return Err(error.mend(format!("give the folder with {NEEDED}")));
        }
        let mut folder = TextFolder::open_with(&self.weights, self.pool)?;
        if self.raw {
            folder.refused = None;
        }
        let most = folder.config.max_tokens();
        let max_tokens = self.max_tokens.unwrap_or(folder.max_tokens);
        if max_tokens == 0 || max_tokens > most {
            let message = format!("--max-tokens {max_tokens}: the encoder takes 1 to {most}");
            return Err(Error::limit(message).path(&self.weights));
        }
        let options = TokenizeOptions {
            max_tokens,
            lowercase: folder.lowercase,
        };
        let tokenizer = Tokenizer::open(&folder.path, &options)?;
        let fits = folder.config.check_ids(tokenizer.ids());
        fits.map_err(|e| e.path(&self.weights))?;
        Ok(ReadText {
            mmap: self.mmap,
            folder,
            tokenizer: Arc::new(tokenizer),
        })
    }
}

/// What a folder must hold.
pub const NEEDED: &str = "config.json, model.safetensors and tokenizer.json or vocab.txt";

impl ReadText {
    /// Opens, checks and packs the weights for `device`.
    ///
    /// # Errors
    /// Whatever is wrong with the weights; [`Kind::Unsupported`](crate::error::Kind::Unsupported) for
    /// a device that lacks an operation of text encoders.
    pub fn open(&self, device: Arc<dyn Device>) -> Result<OpenText> {
        let how = OpenOptions { mmap: self.mmap };
        let (encoder, extras) = TextEncoder::open(&self.folder, self.folder.pool, how, device)?;
        Ok(OpenText {
            encoder,
            tokenizer: Arc::clone(&self.tokenizer),
            ignored: extras.to_string(),
            folder: self.folder.clone(),
        })
    }
}

impl ReadText {
    /// What makes the vectors, for a manifest. Reads all of the weights for their SHA-256.
    ///
    /// # Errors
    /// Weights or a tokenizer that cannot be read.
    pub fn settings(&self) -> Result<Value> {
        settings(&self.folder, &self.tokenizer)
    }
}

impl OpenText {
    /// What made the vectors, for their manifest. Reads all of the weights for their SHA-256.
    ///
    /// # Errors
    /// Weights or a tokenizer that cannot be read any more.
    pub fn settings(&self) -> Result<Value> {
        settings(&self.folder, &self.tokenizer)
    }
}

fn settings(folder: &TextFolder, tokenizer: &Tokenizer) -> Result<Value> {
    let config = &folder.config;
    let family = match config.family {
        TextFamily::Bert => "bert",
        TextFamily::DistilBert => "distilbert",
        TextFamily::Roberta => "roberta",
    };
    Ok(json!({
        "encoder": format!("hf:{family}"),
        "weights_sha256": weights_sha256(&folder.path)?,
        "config_sha256": sha256(folder, &["config.json"])?,
        "tokenizer_sha256": sha256(folder, &["tokenizer.json", "vocab.txt", "vocab.json"])?,
        "tokenizer_config_sha256": sha256(folder, &["tokenizer_config.json"])?,
        "special_tokens_sha256": sha256(folder, &["special_tokens_map.json"])?,
        "merges_sha256": sha256(folder, &["merges.txt"])?,
        "layers": config.layers,
        "pool": match folder.pool {
            TextPool::Cls => "cls",
            TextPool::Mean => "mean",
        },
        "max_tokens": tokenizer.max_tokens(),
        "lowercase": folder.lowercase,
    }))
}

/// The SHA-256 of the first of these files of the folder that is there.
fn sha256(folder: &TextFolder, names: &[&str]) -> Result<Option<String>> {
    let mut files = names.iter().map(|name| folder.path.join(name));
    files
        .find(|file| file.is_file())
        .map(store::sha256)
        .transpose()
}

impl EncodeTitles for OpenText {
    fn dims(&self) -> usize {
        self.encoder.dims()
    }

    fn tokens(&self, titles: &[&str]) -> Vec<Result<Vec<u32>>> {
        self.tokenizer.encode_many(titles)
    }

    fn encode(&self, titles: &[&[u32]], out: &mut [f32]) -> Result<()> {
        self.encoder.encode(titles, out)
    }

    fn note(&self) -> Option<String> {
        self.encoder.note()
    }

    fn ahead(&self) -> Option<&dyn TitlesAhead> {
        let streams = self.encoder.plan().device().streams();
        streams.map(|_| self as &dyn TitlesAhead)
    }
}

impl TitlesAhead for OpenText {
    fn lanes(&self, tokens: usize) -> Result<TitleLanes<'_>> {
        let Some(made) = self.encoder.lanes(tokens)? else {
            return Err(Error::internal("the device has no streams").op("embed"));
        };
        let lanes = made.lanes.into_iter().map(|lane| Box::new(lane) as _);
        Ok(TitleLanes {
            tokens: made.tokens,
            titles: made.titles,
            lanes: lanes.collect(),
            note: made.note,
        })
    }
}

impl TitleLane for text::TitleLane<'_> {
    fn submit(&mut self, titles: &[&[u32]]) -> Result<()> {
        text::TitleLane::submit(self, titles)
    }

    fn collect(&mut self, out: &mut [f32]) -> Result<()> {
        text::TitleLane::collect(self, out)
    }
}
