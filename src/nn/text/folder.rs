//! A Hugging Face folder: which encoder is in it, and how sentence-transformers runs it.

use std::path::{Component, Path, PathBuf};

use serde_json::{Map, Value};

use super::config::TextConfig;
use super::json::{self, DAMAGED, shown};
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
    /// The folder with config.json, the weights and the tokenizer: the one that was opened, or the one
    /// within it that modules.json names (`0_Transformer` in older ones).
    pub path: PathBuf,
    /// The encoder.
    pub config: TextConfig,
    /// What the pooling's config.json says; the mean where there is none.
    pub pool: TextPool,
    /// Tokens that a title is cut to, special ones included.
    pub max_tokens: usize,
    /// Whether titles are lower-cased first.
    pub lowercase: bool,
    /// What modules.json has behind the pooling that is not run (Dense, LayerNorm): a line that names the
    /// module and the file. [`TextEncoder::open`](super::TextEncoder::open) refuses such a folder; who
    /// wants the pooled vectors before that module, as `--raw` does, sets this to `None` first.
    pub refused: Option<String>,
}

impl TextFolder {
    /// Reads config.json and, where they are there, modules.json, the pooling's config.json,
    /// sentence_bert_config.json, config_sentence_transformers.json and tokenizer_config.json.
    ///
    /// As sentence-transformers has it, a title is cut to `max_seq_length`, or where no file has one to
    /// the tokenizer's `model_max_length`; never to more than the encoder has positions for. Without a
    /// modules.json the pooling is that of `1_Pooling`, or the mean.
    ///
    /// # Errors
    /// A file that is missing or malformed, named; see [`TextConfig::parse`]; modules other than a
    /// transformer with its pooling; a pooling that is neither CLS nor mean, or of another size; a
    /// prompt that is put before each title. What stands behind the pooling is no error here: see
    /// [`TextFolder::refused`].
    pub fn open(folder: impl AsRef<Path>) -> Result<TextFolder> {
        TextFolder::open_with(folder, None)
    }

    /// The same with `pool` instead of what the folder says of pooling, which is not read then.
    ///
    /// # Errors
    /// As [`TextFolder::open`], but for pooling.
    pub fn open_with(folder: impl AsRef<Path>, pool: Option<TextPool>) -> Result<TextFolder> {
        let root = folder.as_ref();
        let modules = Modules::read(root)?;
        let path = modules.transformer.clone();
        let file = path.join("config.json");
        let Some(text) = json::text(&file)? else {
            return Err(no_config(&path, &file));
        };
        let config = TextConfig::parse(&text).map_err(|e| e.path(&file))?;
        let pool = match pool {
            Some(pool) => pool,
            None => modules.pool(config.hidden)?,
        };
        prompts(&root.join("config_sentence_transformers.json"))?;
        let (length, lowercase) = sentence(&path)?;
        let length = match length {
            Some(length) => Some(length),
            None => tokenizer_length(&path.join("tokenizer_config.json"))?,
        };
        let most = config.max_tokens();
        Ok(TextFolder {
            max_tokens: length.map_or(most, |n| n.min(most)),
            path,
            config,
            pool,
            lowercase,
            refused: modules.refused,
        })
    }
}

/// The error for a folder without a config.json.
fn no_config(folder: &Path, file: &Path) -> Error {
    match folder.is_dir() {
        true => Error::input("is missing").path(file).mend(
            "name a Hugging Face folder: config.json, model.safetensors and a tokenizer's files",
        ),
        false => Error::input("is no folder")
            .path(folder)
            .mend("name a Hugging Face folder, with config.json and model.safetensors"),
    }
}

/// What modules.json lists.
struct Modules {
    /// The transformer's folder.
    transformer: PathBuf,
    pooling: Pooling,
    refused: Option<String>,
}

/// Where it is said how tokens become one vector.
enum Pooling {
    /// In this config.json, which must be there.
    Named(PathBuf),
    /// In this config.json, if it is there.
    Perhaps(PathBuf),
    /// Nowhere: this modules.json has no such module.
    Missing(PathBuf),
}

impl Modules {
    fn read(root: &Path) -> Result<Modules> {
        let file = root.join("modules.json");
        match json::text(&file)? {
            None => Ok(Modules {
                transformer: root.to_path_buf(),
                pooling: Pooling::Perhaps(root.join("1_Pooling").join("config.json")),
                refused: None,
            }),
            Some(text) => Modules::parse(root, &file, &text).map_err(|e| e.path(&file)),
        }
    }

    fn parse(root: &Path, file: &Path, text: &str) -> Result<Modules> {
        let wrong = |message: String| Error::input(message).mend(DAMAGED);
        let Value::Array(list) = json::value(text)? else {
            return Err(wrong("is not a list of modules".into()));
        };
        if list.len() > limits::MAX_TEXT_MODULES {
            let message = format!("lists {} modules", list.len());
            let most = format!("{} are possible", limits::MAX_TEXT_MODULES);
            return Err(Error::limit(message).mend(most));
        }
        let (mut transformer, mut pooling, mut refused) = (None, None, None);
        for (at, module) in list.iter().enumerate() {
            let Some(kind) = module.get("type").and_then(Value::as_str) else {
                return Err(wrong(format!("module {at} has no type")));
            };
            let path = match module.get("path") {
                None => PathBuf::new(),
                Some(path) => plain(path).ok_or_else(|| {
                    wrong(format!(
                        "module {at} is at {}, outside the folder",
                        shown(path)
                    ))
                })?,
            };
            // The class was in several Python modules over the years; its name stayed.
            let class = match kind.split_once('.') {
                Some(("sentence_transformers", rest)) => rest.rsplit('.').next().unwrap_or(""),
                _ => "",
            };
            match (class, &transformer, &pooling) {
                ("Transformer", None, _) => {
                    // Without a "/" at its end, or a "./" within.
                    transformer = Some(root.join(path).components().collect());
                }
                ("Pooling", Some(_), None) => pooling = Some(root.join(path).join("config.json")),
                // Vectors are made unit in any case, and nothing is dropped when nothing is trained.
                ("Normalize" | "Dropout", Some(_), Some(_)) => {}
                (_, Some(_), Some(_)) => {
                    let what = format!("module {at}, {}, is not run", module_name(kind));
                    refused.get_or_insert(format!("{}: {what}", file.display()));
                }
                _ => {
                    let message = format!("module {at}, {}, is not known here", module_name(kind));
                    let mend = "take an encoder of a Transformer and a Pooling module";
                    return Err(Error::unsupported(message).mend(mend));
                }
            }
        }
        let Some(transformer) = transformer else {
            return Err(wrong("lists no Transformer module".into()));
        };
        let missing = || Pooling::Missing(file.to_path_buf());
        Ok(Modules {
            transformer,
            pooling: pooling.map_or_else(missing, Pooling::Named),
            refused,
        })
    }

    /// How tokens become one vector of an encoder with `hidden` values a token.
    fn pool(&self, hidden: usize) -> Result<TextPool> {
        let mend = "fetch the file, or say which: cls or mean";
        match &self.pooling {
            Pooling::Missing(file) => {
                let message = "lists no Pooling module";
                Err(Error::input(message)
                    .path(file)
                    .mend("say which: cls or mean"))
            }
            Pooling::Perhaps(file) => match json::object_in(file)? {
                Some(fields) => pooling(&fields, hidden).map_err(|e| e.path(file)),
                None => Ok(TextPool::Mean),
            },
            Pooling::Named(file) => match json::object_in(file)? {
                Some(fields) => pooling(&fields, hidden).map_err(|e| e.path(file)),
                None => Err(
                    Error::input("is missing, and modules.json names its folder")
                        .path(file)
                        .mend(mend),
                ),
            },
        }
    }
}

/// The name of a module's class, for a message.
fn module_name(kind: &str) -> String {
    shown(&Value::String(kind.to_string()))
}

/// A path that stays in the folder that it is in.
fn plain(path: &Value) -> Option<PathBuf> {
    let path = PathBuf::from(path.as_str()?);
    let inside = |c: Component| matches!(c, Component::Normal(_) | Component::CurDir);
    let text = path.to_str().is_some_and(|p| !p.contains('\0'));
    (text && path.components().all(inside)).then_some(path)
}

/// The older names of the ways of pooling, each true or not.
const MODES: [(&str, &str); 6] = [
    ("pooling_mode_cls_token", "cls"),
    ("pooling_mode_max_tokens", "max"),
    ("pooling_mode_mean_tokens", "mean"),
    ("pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens"),
    ("pooling_mode_weightedmean_tokens", "weightedmean"),
    ("pooling_mode_lasttoken", "lasttoken"),
];

/// What a pooling's config.json says: `pooling_mode` with a name or a list of them, else the older
/// fields; the mean where neither says anything.
fn pooling(fields: &Map<String, Value>, hidden: usize) -> Result<TextPool> {
    for key in ["embedding_dimension", "word_embedding_dimension"] {
        let Some(value) = fields.get(key) else {
            continue;
        };
        if value.as_u64() != Some(hidden as u64) {
            let message = format!("{key} is {}, but the encoder's is {hidden}", shown(value));
            return Err(Error::input(message).mend("fetch all files of one encoder"));
        }
    }
    // Without a prompt, of which `prompts` makes sure, this changes nothing.
    json::flag(fields, "include_prompt")?;
    let mut modes: Vec<String> = Vec::new();
    match fields.get("pooling_mode") {
        Some(Value::String(mode)) => modes.push(mode.clone()),
        Some(Value::Array(several)) => modes.extend(
            several
                .iter()
                .map(|mode| mode.as_str().map_or_else(|| shown(mode), str::to_owned)),
        ),
        Some(other) => modes.push(shown(other)),
        None => {
            for (key, mode) in MODES {
                if json::flag(fields, key)? {
                    modes.push(mode.to_owned());
                }
            }
            if modes.is_empty() {
                modes.push("mean".to_owned());
            }
        }
    }
    match modes.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["cls"] => Ok(TextPool::Cls),
        ["mean"] => Ok(TextPool::Mean),
        _ => {
            let all = shown(&Value::String(modes.join(" and ")));
            let message = format!("pools by {all}, which is not known");
            Err(Error::unsupported(message).mend("say cls or mean, or take another encoder"))
        }
    }
}

/// Refuses a prompt that sentence-transformers puts before every title.
fn prompts(file: &Path) -> Result<()> {
    let Some(fields) = json::object_in(file)? else {
        return Ok(());
    };
    let no = |error: Error| Err(error.path(file));
    match fields.get("model_type") {
        None | Some(Value::Null) => {}
        Some(kind) if kind.as_str() == Some("SentenceTransformer") => {}
        Some(kind) => {
            let message = format!("model_type {} is not known", shown(kind));
            return no(Error::unsupported(message).mend("SentenceTransformer is"));
        }
    }
    let name = match fields.get("default_prompt_name") {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::String(name)) if name.is_empty() => return Ok(()),
        Some(name) => name,
    };
    let prompts = fields.get("prompts").and_then(Value::as_object);
    let prompt = name.as_str().and_then(|n| prompts?.get(n));
    match prompt {
        Some(Value::Null) => Ok(()),
        Some(Value::String(text)) if text.is_empty() => Ok(()),
        Some(prompt) => no(Error::unsupported(format!(
            "puts the prompt {} before each title, which is not done here",
            shown(prompt)
        ))
        .mend("take default_prompt_name out of the file, and put the prompt into the titles")),
        None => no(Error::input(format!("its prompts have no {}", shown(name))).mend(DAMAGED)),
    }
}

/// The tokens of a title and whether it is lower-cased, of sentence_bert_config.json or one of its older
/// names.
fn sentence(folder: &Path) -> Result<(Option<usize>, bool)> {
    const NAMES: [&str; 7] = [
        "bert",
        "roberta",
        "distilbert",
        "camembert",
        "albert",
        "xlm-roberta",
        "xlnet",
    ];
    for name in NAMES {
        let file = folder.join(format!("sentence_{name}_config.json"));
        let Some(fields) = json::object_in(&file)?.filter(|f| !f.is_empty()) else {
            continue;
        };
        return settings(&fields).map_err(|e| e.path(&file));
    }
    Ok((None, false))
}

fn settings(fields: &Map<String, Value>) -> Result<(Option<usize>, bool)> {
    let length = match fields.get("max_seq_length") {
        None | Some(Value::Null) => None,
        Some(value) => Some(length("max_seq_length", value)?),
    };
    let task = fields.get("transformer_task").unwrap_or(&Value::Null);
    if !task.is_null() && task.as_str() != Some("feature-extraction") {
        let message = format!("transformer_task {} is not known", shown(task));
        return Err(Error::unsupported(message).mend("feature-extraction is"));
    }
    // They change the encoder's own files on the way in.
    for key in [
        "config_args",
        "config_kwargs",
        "tokenizer_args",
        "processor_kwargs",
        "processing_kwargs",
    ] {
        let value = fields.get(key).unwrap_or(&Value::Null);
        let set = match value {
            Value::Null => false,
            Value::Object(set) => set.keys().any(|k| k != "trust_remote_code"),
            _ => true,
        };
        if set {
            let message = format!("{key} {} is not known", shown(value));
            let mend = "write these settings into config.json or the tokenizer's own files";
            return Err(Error::unsupported(message).mend(mend));
        }
    }
    Ok((length, json::flag(fields, "do_lower_case")?))
}

/// The tokens of a title, of tokenizer_config.json.
fn tokenizer_length(file: &Path) -> Result<Option<usize>> {
    let Some(fields) = json::object_in(file)? else {
        return Ok(None);
    };
    for key in ["model_max_length", "max_len"] {
        match fields.get(key) {
            None | Some(Value::Null) => {}
            Some(value) => return length(key, value).map(Some).map_err(|e| e.path(file)),
        }
    }
    Ok(None)
}

/// A number of tokens. 1e30, as tokenizers without a bound have it, is as good as any large one.
fn length(key: &str, value: &Value) -> Result<usize> {
    let n = match (value.as_u64(), value.as_f64()) {
        (Some(n), _) => n as usize,
        (None, Some(n)) if n >= 1e9 => usize::MAX,
        _ => 0,
    };
    match n {
        0 => {
            let message = format!("{key} is {}, not a whole number above 0", shown(value));
            Err(Error::input(message).mend(DAMAGED))
        }
        n => Ok(n),
    }
}
