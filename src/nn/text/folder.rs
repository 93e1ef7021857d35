//! A Hugging Face folder: which encoder is in it, and how sentence-transformers runs it.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::config::TextConfig;
use crate::error::{Error, Result};
use crate::limits;

/// How a title's tokens become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TextPool {
    /// The first token's.
    Cls,
    /// The mean over the tokens, special ones included.
    #[default]
    Mean,
}

/// What the files of a folder say; no weight is read yet.
#[derive(Debug, Clone, PartialEq)]
pub struct TextFolder {
    /// The folder.
    pub path: PathBuf,
    /// The encoder.
    pub config: TextConfig,
    /// What 1_Pooling/config.json says; the mean where there is none.
    pub pool: TextPool,
    /// Tokens that a title is cut to, special ones included.
    pub max_tokens: usize,
    /// Whether titles are lower-cased first.
    pub lowercase: bool,
}

impl TextFolder {
    /// Reads config.json and what else is there of modules.json, the pooling's config.json and
    /// sentence_bert_config.json.
    ///
    /// # Errors
    /// A file that is missing or malformed, named; see [`TextConfig::parse`].
    pub fn open(folder: impl AsRef<Path>) -> Result<TextFolder> {
        let path = folder.as_ref().to_path_buf();
        let file = path.join("config.json");
        let config = TextConfig::parse(&text(&file)?).map_err(|e| e.path(&file))?;
        let max_tokens = config.max_tokens();
        let mut found = TextFolder {
            path,
            config,
            pool: TextPool::Mean,
            max_tokens,
            lowercase: false,
        };
        let sentence = found.path.join("sentence_bert_config.json");
        if sentence.is_file() {
            let value = json(&sentence)?;
            if let Some(n) = value.get("max_seq_length").and_then(Value::as_u64) {
                found.max_tokens = max_tokens.min(n as usize);
            }
            found.lowercase = value.get("do_lower_case").and_then(Value::as_bool) == Some(true);
        }
        let pooling = found.path.join("1_Pooling").join("config.json");
        if pooling.is_file() {
            let value = json(&pooling)?;
            let set = |key: &str| value.get(key).and_then(Value::as_bool) == Some(true);
            found.pool = match (
                set("pooling_mode_cls_token"),
                set("pooling_mode_mean_tokens"),
            ) {
                (true, false) => TextPool::Cls,
                (false, true) => TextPool::Mean,
                _ => return Err(Error::unsupported("has no CLS or mean pooling").path(&pooling)),
            };
        }
        Ok(found)
    }
}

fn text(path: &Path) -> Result<String> {
    let size = path.metadata().map_err(|e| Error::io(e, path))?.len();
    if size > limits::MAX_CONFIG_BYTES {
        return Err(Error::limit(format!("has {size} bytes")).path(path));
    }
    std::fs::read_to_string(path).map_err(|e| Error::io(e, path))
}

fn json(path: &Path) -> Result<Value> {
    serde_json::from_str(&text(path)?)
        .map_err(|e| Error::input(format!("is not JSON: {e}")).path(path))
}
