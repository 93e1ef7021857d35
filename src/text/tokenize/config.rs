//! What `tokenizer_config.json`, `special_tokens_map.json`, `added_tokens.json` and `config.json` say
//! of a tokenizer, read as transformers 5 reads them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};
use tokenizers::{AddedToken, TruncationDirection};

use super::scan::check_id;
use crate::error::{Error, Result};
use crate::limits::{MAX_TOKENIZER_BYTES, MAX_VOCABULARY};

/// The classes of transformers that make their steps themselves, whatever `tokenizer.json` says of
/// them; the last are those that take `tokenizer.json` as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Class {
    Bert,
    Roberta,
    XlmRoberta,
    /// Another class, by its name, or none that is named.
    File(Option<String>),
}

impl Class {
    /// The class that transformers 5 takes for this name.
    fn named(name: &str) -> Class {
        match name.strip_suffix("Fast").unwrap_or(name) {
            "BertTokenizer"
            | "DistilBertTokenizer"
            | "ElectraTokenizer"
            | "MobileBertTokenizer"
            | "SqueezeBertTokenizer"
            | "LayoutLMTokenizer" => Class::Bert,
            "RobertaTokenizer" | "LongformerTokenizer" | "BartTokenizer" => Class::Roberta,
            "XLMRobertaTokenizer" => Class::XlmRoberta,
            _ => Class::File(Some(name.to_owned())),
        }
    }

    /// The class of a model whose folder names none.
    fn of_model(model_type: &str) -> Class {
        match model_type {
            "bert" | "distilbert" | "electra" | "convbert" | "squeezebert" | "megatron-bert"
            | "ernie" | "layoutlm" | "nomic_bert" => Class::Bert,
            "roberta" | "bart" | "longformer" | "data2vec-text" | "roberta-prelayernorm" => {
                Class::Roberta
            }
            "xlm-roberta" | "xmod" => Class::XlmRoberta,
            _ => Class::File(None),
        }
    }

    /// The special tokens that the class has when nothing names others.
    fn defaults(&self) -> &'static [(&'static str, &'static str)] {
        match self {
            Class::Bert => &[
                ("unk_token", "[UNK]"),
                ("sep_token", "[SEP]"),
                ("pad_token", "[PAD]"),
                ("cls_token", "[CLS]"),
                ("mask_token", "[MASK]"),
            ],
            Class::Roberta | Class::XlmRoberta => &[
                ("bos_token", "<s>"),
                ("eos_token", "</s>"),
                ("unk_token", "<unk>"),
                ("sep_token", "</s>"),
                ("pad_token", "<pad>"),
                ("cls_token", "<s>"),
                ("mask_token", "<mask>"),
            ],
            Class::File(_) => &[],
        }
    }
}

/// The attributes of special tokens, in the order in which transformers adds them.
const NAMES: [&str; 7] = [
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
];

/// What the files beside the vocabulary say.
#[derive(Debug)]
pub(super) struct Config {
    pub(super) class: Class,
    options: Map<String, Value>,
    /// Special tokens by the attribute that they stand for.
    named: BTreeMap<&'static str, AddedToken>,
    /// All tokens that are added to the vocabulary, in order.
    pub(super) added: Vec<AddedToken>,
}

impl Config {
    /// Reads the files of `folder`, each of which may be absent; `json` is its `tokenizer.json`.
    ///
    /// # Errors
    /// A file that is there and is not what it should be.
    pub(super) fn read(folder: &Path, json: Option<&str>) -> Result<Config> {
        let path = folder.join("tokenizer_config.json");
        let mut options = object(&path)?.unwrap_or_default();
        let model = object(&folder.join("config.json"))?.unwrap_or_default();
        let class = class_of(&options, &model);

        let mut decoder = BTreeMap::new();
        match options.remove("added_tokens_decoder") {
            Some(Value::Object(tokens)) => {
                for (id, token) in &tokens {
                    let id: serde_json::Number = id.parse().map_err(|_| {
                        Error::input(format!(
                            "added_tokens_decoder: {id:?} is not a token's number"
                        ))
                        .path(&path)
                    })?;
                    decoder.insert(number(&id.into(), &path)?, added_token(token, None, &path)?);
                }
            }
            _ => older(folder, json, &class, &mut options, &mut decoder)?,
        }
        let by_content = |content: &str| decoder.values().find(|t| t.content == content).cloned();
        let mut named = BTreeMap::new();
        for name in NAMES {
            let default = class.defaults().iter().find(|(n, _)| *n == name);
            let default = default.map(|(_, content)| Value::from(*content));
            let given = options.get(name).filter(|v| !v.is_null()).cloned();
            let Some(token) = given.or(default) else {
                continue;
            };
            let own = added_token(&token, Some(true), &path)?;
            let mut token = by_content(&own.content).unwrap_or(own);
            token.special = true;
            named.insert(name, token);
        }
        let mut added: Vec<AddedToken> = decoder.into_values().collect();
        let specials = NAMES.iter().filter_map(|name| named.get(name).cloned());
        let mut extra = Vec::new();
        for list in ["additional_special_tokens", "extra_special_tokens"] {
            for token in options
                .get(list)
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                extra.push(added_token(token, Some(true), &path)?);
            }
        }
        for token in specials.chain(extra) {
            if added.iter().all(|t| t.content != token.content) {
                added.push(token);
            }
        }
        for token in &mut added {
            token.special |= named.values().any(|n| n.content == token.content);
        }
        if added.len() > MAX_VOCABULARY {
            return Err(Error::limit(format!("over {MAX_VOCABULARY} added tokens")).path(&path));
        }
        Ok(Config {
            class,
            options,
            named,
            added,
        })
    }

    /// The same settings for another class, when none is named: what a vocabulary alone is for.
    pub(super) fn for_class(mut self, class: Class) -> Config {
        for (name, content) in class.defaults() {
            let token = || AddedToken::from(*content, true);
            let token = self.named.entry(name).or_insert_with(token).clone();
            if self.added.iter().all(|t| t.content != token.content) {
                self.added.push(token);
            }
        }
        self.class = class;
        self
    }

    /// The special token of an attribute, such as `cls_token`.
    pub(super) fn token(&self, name: &str) -> &str {
        self.named.get(name).map_or("", |t| t.content.as_str())
    }

    /// A switch of `tokenizer_config.json`.
    pub(super) fn switch(&self, name: &str) -> Option<bool> {
        self.options.get(name).and_then(Value::as_bool)
    }

    /// Which end of a text is cut off: `truncation_side`, or what `tokenizer.json` bakes in.
    ///
    /// # Errors
    /// A side that is neither `left` nor `right`.
    pub(super) fn cut(&self, baked: Option<&str>) -> Result<TruncationDirection> {
        let side = self.options.get("truncation_side").filter(|v| !v.is_null());
        match (side.map(Value::as_str), baked) {
            (Some(Some("left")), _) | (None, Some("Left")) => Ok(TruncationDirection::Left),
            (Some(Some("right")), _) | (None, _) => Ok(TruncationDirection::Right),
            (Some(_), _) => Err(Error::input(
                "truncation_side is neither \"left\" nor \"right\"",
            )),
        }
    }
}

fn class_of(options: &Map<String, Value>, model: &Map<String, Value>) -> Class {
    let name =
        |map: &Map<String, Value>, key| map.get(key).and_then(Value::as_str).map(str::to_owned);
    let class = name(options, "tokenizer_class").or_else(|| name(model, "tokenizer_class"));
    match (class, name(model, "model_type")) {
        (Some(class), _) => Class::named(&class),
        (None, Some(model_type)) => Class::of_model(&model_type),
        (None, None) => Class::File(None),
    }
}

/// The files of older folders: `special_tokens_map.json`, `added_tokens.json`, and the added tokens
/// of `tokenizer.json`.
fn older(
    folder: &Path,
    json: Option<&str>,
    class: &Class,
    options: &mut Map<String, Value>,
    decoder: &mut BTreeMap<u32, AddedToken>,
) -> Result<()> {
    let special = object(&folder.join("special_tokens_map.json"))?;
    options.extend(special.unwrap_or_default());
    let path = folder.join("added_tokens.json");
    for (content, id) in object(&path)?.unwrap_or_default() {
        let is_special = NAMES.iter().any(|name| match options.get(*name) {
            Some(Value::Object(token)) => {
                token.get("content").and_then(Value::as_str) == Some(&content)
            }
            Some(token) => token.as_str() == Some(&content),
            None => class.defaults().contains(&(name, content.as_str())),
        });
        let id = number(&id, &path)?;
        decoder.insert(id, AddedToken::from(content, is_special));
    }
    #[derive(Deserialize)]
    struct Added {
        #[serde(default)]
        added_tokens: Vec<Value>,
    }
    let path = folder.join("tokenizer.json");
    let added = json.map(serde_json::from_str::<Added>).transpose();
    let added = added.map_err(|e| Error::input(format!("is not a tokenizer: {e}")).path(&path))?;
    for token in added.map(|a| a.added_tokens).unwrap_or_default() {
        let id = number(token.get("id").unwrap_or(&Value::Null), &path)?;
        decoder.insert(id, added_token(&token, None, &path)?);
    }
    Ok(())
}

/// A token's number.
pub(super) fn number(id: &Value, path: &Path) -> Result<u32> {
    match id {
        Value::Number(id) => check_id(id).map_err(|m| Error::input(m).path(path)),
        other => Err(Error::input(format!("{other} is not a token's number")).path(path)),
    }
}

/// A token as a string or as an object; `special` is what a string is.
fn added_token(token: &Value, special: Option<bool>, path: &Path) -> Result<AddedToken> {
    let content = match token {
        Value::String(content) => Some(content.as_str()),
        token => token.get("content").and_then(Value::as_str),
    };
    let Some(content) = content else {
        return Err(
            Error::input("a special token is neither a string nor has \"content\"").path(path),
        );
    };
    let switch = |name| token.get(name).and_then(Value::as_bool);
    let special = switch("special").or(special).unwrap_or(false);
    let plain = AddedToken::from(content, special);
    let normalized = switch("normalized").unwrap_or(plain.normalized);
    Ok(plain
        .normalized(normalized)
        .single_word(switch("single_word").unwrap_or(false))
        .lstrip(switch("lstrip").unwrap_or(false))
        .rstrip(switch("rstrip").unwrap_or(false)))
}

/// The object of a JSON file; `None` when there is no such file.
fn object(path: &Path) -> Result<Option<Map<String, Value>>> {
    if !path.exists() {
        return Ok(None);
    }
    let text = read(path)?;
    let not_json = |e| {
        Error::input(format!("is not JSON: {e}"))
            .path(path)
            .mend("fetch the file anew")
    };
    match serde_json::from_str(&text).map_err(not_json)? {
        Value::Object(map) => Ok(Some(map)),
        _ => Err(Error::input("is not a JSON object")
            .path(path)
            .mend("fetch the file anew")),
    }
}

/// The text of a file, when it is not too large.
pub(super) fn read(path: &Path) -> Result<String> {
    let io = |e| Error::io(e, path);
    let file = File::open(path).map_err(io)?;
    let size = file.metadata().map_err(io)?;
    if !size.is_file() {
        return Err(Error::input("is not a regular file").path(path));
    }
    let too_large = || {
        Error::limit(format!(
            "is larger than {MAX_TOKENIZER_BYTES} bytes, the most for a tokenizer"
        ))
        .path(path)
    };
    if size.len() > MAX_TOKENIZER_BYTES {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    file.take(MAX_TOKENIZER_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(io)?;
    if bytes.len() as u64 > MAX_TOKENIZER_BYTES {
        return Err(too_large());
    }
    String::from_utf8(bytes).map_err(|_| {
        Error::input("is not UTF-8 text")
            .path(path)
            .mend("fetch the file anew")
    })
}
