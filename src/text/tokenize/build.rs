//! Tokenizers from `tokenizer.json`, `vocab.txt`, or `vocab.json` and `merges.txt`.
//!
//! transformers 5 takes no more than the vocabulary from the `tokenizer.json` of its classes for BERT,
//! RoBERTa and XLM-RoBERTa, and makes the steps around it from `tokenizer_config.json`; so does this.

use std::path::Path;

use serde_json::Value;
use tokenizers::decoders::DecoderWrapper;
use tokenizers::models::ModelWrapper;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::models::unigram::Unigram;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::{BertNormalizer, NormalizerWrapper};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::pre_tokenizers::whitespace::WhitespaceSplit;
use tokenizers::processors::PostProcessorWrapper;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::{AddedToken, AddedVocabulary, Model, TokenizerImpl, TruncationDirection};

use super::config::{self, Class, Config};
use super::scan::{self, Kind, Scan, missing_unk, scan};
use super::steps::{Normalize, PreTokenize};
use crate::error::{Error, Result};
use crate::limits::{MAX_TOKEN_BYTES, MAX_VOCABULARY};
use crate::quiet::quietly;

/// The crate's tokenizer with doppel's steps.
pub(super) type Inner =
    TokenizerImpl<ModelWrapper, Normalize, PreTokenize, PostProcessorWrapper, DecoderWrapper>;

/// A tokenizer and the side that it cuts.
pub(super) struct Built {
    pub(super) inner: Inner,
    pub(super) cut: TruncationDirection,
}

/// Builds what `folder` holds.
pub(super) fn build(folder: &Path) -> Result<Built> {
    let has = |name: &str| folder.join(name).exists();
    if has("tokenizer.json") {
        return from_json(folder);
    }
    if has("vocab.txt") {
        return from_vocab_txt(folder);
    }
    if has("vocab.json") && has("merges.txt") {
        return from_merges(folder);
    }
    let sentencepiece = ["sentencepiece.bpe.model", "spiece.model", "tokenizer.model"];
    if let Some(name) = sentencepiece.into_iter().find(|name| has(name)) {
        return Err(
            Error::unsupported(format!("holds {name} and no tokenizer.json"))
                .path(folder)
                .mend(CONVERT),
        );
    }
    let mend = "fetch the model's tokenizer.json (or vocab.txt, or vocab.json and merges.txt)";
    Err(Error::input("holds no tokenizer").path(folder).mend(mend))
}

/// How a folder without `tokenizer.json` gets one.
const CONVERT: &str = "make a tokenizer.json, with transformers and sentencepiece: \
    AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)";

fn from_json(folder: &Path) -> Result<Built> {
    let path = folder.join("tokenizer.json");
    let text = config::read(&path)?;
    let found = scan(&text).map_err(|e| e.path(&path))?;
    let config = Config::read(folder, Some(&text))?;
    let broken = |what: String| Error::input(what).path(&path).mend(scan::RESAVE);
    let inner: Inner = quietly(|| serde_json::from_str(&text))
        .map_err(|panic| broken(format!("broke the tokenizer's reader: {panic}")))?
        .map_err(|e| broken(format!("is not a tokenizer: {e}")))?;
    drop(text);
    let cut = config
        .cut(found.cut.as_deref())
        .map_err(|e| e.path(&path))?;
    let class = match (&config.class, found.kind) {
        (Class::Bert, Kind::WordPiece)
        | (Class::Roberta, Kind::Bpe)
        | (Class::XlmRoberta, Kind::Unigram) => config.class.clone(),
        _ => Class::File(None),
    };
    let inner = match class {
        Class::File(_) => as_it_stands(inner, &config),
        _ => as_the_class_has_it(inner, &found, &config),
    };
    let inner = inner.map_err(|e| e.path(&path))?;
    check_unk(&inner).map_err(|e| e.path(&path))?;
    Ok(Built { inner, cut })
}

/// `tokenizer.json` as it stands, with the tokens that the configuration adds.
fn as_it_stands(mut inner: Inner, config: &Config) -> Result<Inner> {
    if let ModelWrapper::BPE(bpe) = inner.get_model()
        && bpe.dropout.is_some()
    {
        // Dropout is for training: the same title would get other ids each time.
        let mut bpe = bpe.clone();
        bpe.dropout = None;
        inner.with_model(bpe);
    }
    add(&mut inner, config.added.clone())?;
    Ok(inner)
}

fn add(inner: &mut Inner, tokens: Vec<AddedToken>) -> Result<()> {
    let outcome = quietly(|| inner.add_tokens(tokens).map(|_| ()));
    let fault = match outcome {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => error.to_string(),
        Err(panic) => panic,
    };
    Err(Error::input(format!("its added tokens: {fault}")))
}

/// The model with the settings that its class gives it, and the class's steps around it.
fn as_the_class_has_it(mut inner: Inner, found: &Scan, config: &Config) -> Result<Inner> {
    // A large vocabulary is not copied when its settings are the class's already.
    let model: Option<ModelWrapper> = match inner.get_model() {
        ModelWrapper::WordPiece(model) => {
            let mut model = model.clone();
            model.unk_token = config.token("unk_token").to_owned();
            model.continuing_subword_prefix = "##".to_owned();
            model.max_input_chars_per_word = 100;
            Some(model.into())
        }
        ModelWrapper::BPE(model) => {
            let mut model = model.clone();
            model.dropout = None;
            model.unk_token = None;
            model.continuing_subword_prefix = Some(String::new());
            model.end_of_word_suffix = Some(String::new());
            model.fuse_unk = false;
            model.byte_fallback = false;
            model.ignore_merges = false;
            Some(model.into())
        }
        ModelWrapper::Unigram(model) if found.unk_id != Some(XLM_UNK) || found.byte_fallback => {
            let vocabulary = model.iter().cloned().collect();
            let model = Unigram::from(vocabulary, Some(XLM_UNK as usize), false);
            Some(model.map_err(|e| missing_unk(e.to_string()))?.into())
        }
        _ => None,
    };
    if let Some(model) = model {
        inner.with_model(model);
    }
    let map = inner.get_normalizer().and_then(Normalize::precompiled);
    assemble(inner, config, map.map(NormalizerWrapper::from))
}

/// The number of `<unk>` in every vocabulary of XLM-RoBERTa.
const XLM_UNK: u64 = 3;

/// The class's steps around the model of `inner`; `map` is SentencePiece's.
fn assemble(mut inner: Inner, config: &Config, map: Option<NormalizerWrapper>) -> Result<Inner> {
    inner.with_added_vocabulary(AddedVocabulary::new());
    let prefix_space = config.switch("add_prefix_space");
    let byte_level = |space| ByteLevel::default().add_prefix_space(space);
    let (normalizer, steps): (Option<NormalizerWrapper>, Vec<PreTokenizerWrapper>) =
        match &config.class {
            Class::Bert => {
                let lower = config.switch("do_lower_case").unwrap_or(true);
                let chinese = config.switch("tokenize_chinese_chars").unwrap_or(true);
                let accents = config.switch("strip_accents");
                let normalizer = BertNormalizer::new(true, chinese, accents, lower);
                (Some(normalizer.into()), vec![BertPreTokenizer.into()])
            }
            Class::Roberta => (None, vec![byte_level(prefix_space.unwrap_or(false)).into()]),
            Class::XlmRoberta => {
                let scheme = match prefix_space.unwrap_or(true) {
                    true => PrependScheme::Always,
                    false => PrependScheme::Never,
                };
                let words = Metaspace::new('\u{2581}', scheme, true);
                (map, vec![WhitespaceSplit.into(), words.into()])
            }
            Class::File(_) => return Err(Error::internal("a class without steps of its own")),
        };
    let fault = |e: tokenizers::Error| Error::input(e.to_string());
    inner
        .with_normalizer(normalizer.map(Normalize::Crate))
        .map_err(fault)?;
    let steps = steps.into_iter().map(PreTokenize::Crate).collect();
    inner.with_pre_tokenizer(Some(PreTokenize::Sequence(steps)));
    add(&mut inner, config.added.clone())?;

    let (first, last) = match config.class {
        Class::XlmRoberta => (config.token("bos_token"), config.token("eos_token")),
        _ => (config.token("cls_token"), config.token("sep_token")),
    };
    let id = |token: &str| {
        let absent = || Error::input(format!("has no special token {token:?}"));
        inner.token_to_id(token).ok_or_else(absent)
    };
    let ends = BertProcessing::new((last.to_owned(), id(last)?), (first.to_owned(), id(first)?));
    inner.with_post_processor(Some(ends));
    Ok(inner)
}

/// Every model must know what to do with what it does not know.
fn check_unk(inner: &Inner) -> Result<()> {
    let model = inner.get_model();
    let unk = match model {
        ModelWrapper::WordPiece(m) => Some(m.unk_token.clone()),
        ModelWrapper::WordLevel(m) => Some(m.unk_token.clone()),
        ModelWrapper::BPE(m) => m.unk_token.clone(),
        ModelWrapper::Unigram(_) => None,
    };
    match unk {
        Some(unk) if model.token_to_id(&unk).is_none() => {
            Err(missing_unk(format!("its vocabulary has no {unk}")))
        }
        _ => Ok(()),
    }
}

/// The settings for a vocabulary without `tokenizer.json`, which the class alone explains.
fn config_for(folder: &Path, class: Class) -> Result<Config> {
    let config = Config::read(folder, None)?;
    match &config.class {
        own if *own == class => Ok(config),
        Class::File(None) => Ok(config.for_class(class)),
        Class::File(Some(name)) => Err(Error::unsupported(format!(
            "has no tokenizer.json, and its class {name} is not built here from a vocabulary"
        ))
        .path(folder)
        .mend(CONVERT)),
        other => Err(Error::input(format!(
            "has the vocabulary of {class:?}, its configuration names {other:?}"
        ))
        .path(folder)
        .mend(CONVERT)),
    }
}

/// WordPiece: a token a line, numbered from 0.
fn from_vocab_txt(folder: &Path) -> Result<Built> {
    let config = config_for(folder, Class::Bert)?;
    let path = folder.join("vocab.txt");
    let text = config::read(&path)?;
    let mut tokens = Vec::new();
    for line in text.lines() {
        let token = line.trim_end();
        check_token(token, tokens.len()).map_err(|e| e.path(&path))?;
        tokens.push(token);
    }
    let numbered = tokens.iter().zip(0u32..);
    let model = WordPiece::builder()
        .vocab(
            numbered
                .map(|(token, id)| ((*token).to_owned(), id))
                .collect::<Vocab>(),
        )
        .unk_token(config.token("unk_token").to_owned())
        .build()
        .map_err(|e| Error::input(e.to_string()).path(&path))?;
    finish(model.into(), &config, &path)
}

/// Byte-level BPE: a vocabulary with numbers, and a merge a line.
fn from_merges(folder: &Path) -> Result<Built> {
    let config = config_for(folder, Class::Roberta)?;
    let path = folder.join("vocab.json");
    let text = config::read(&path)?;
    let broken = |e| {
        Error::input(format!("is not a vocabulary: {e}"))
            .path(&path)
            .mend("fetch the file anew")
    };
    let vocabulary: serde_json::Map<String, Value> = serde_json::from_str(&text).map_err(broken)?;
    let mut ids = Vec::with_capacity(vocabulary.len());
    for (token, id) in vocabulary {
        check_token(&token, ids.len()).map_err(|e| e.path(&path))?;
        let id = config::number(&id, &path)?;
        ids.push((token, id));
    }
    let merges_path = folder.join("merges.txt");
    let text = config::read(&merges_path)?;
    let mut merges = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        if line.starts_with("#version") || line.is_empty() {
            continue;
        }
        let here = |e: Error| e.path(&merges_path).line(number);
        let parts: Vec<&str> = line.split(' ').collect();
        let [left, right] = parts[..] else {
            return Err(here(Error::input("is not two tokens with a space between")));
        };
        check_token(line, merges.len()).map_err(here)?;
        merges.push((left.to_owned(), right.to_owned()));
    }
    let model = quietly(|| {
        BPE::builder()
            .vocab_and_merges(ids.into_iter().collect::<Vocab>(), merges)
            .continuing_subword_prefix(String::new())
            .end_of_word_suffix(String::new())
            .build()
    });
    let model = model
        .map_err(Error::input)
        .and_then(|m| m.map_err(|e| Error::input(e.to_string())))
        .map_err(|e| {
            e.path(&merges_path)
                .mend("fetch vocab.json and merges.txt of one model")
        })?;
    finish(model.into(), &config, &path)
}

fn finish(model: ModelWrapper, config: &Config, path: &Path) -> Result<Built> {
    let inner = assemble(Inner::new(model), config, None).map_err(|e| e.path(path))?;
    check_unk(&inner).map_err(|e| e.path(path))?;
    let cut = config.cut(None).map_err(|e| e.path(path))?;
    Ok(Built { inner, cut })
}

fn check_token(token: &str, before: usize) -> Result<()> {
    if token.len() > 2 * MAX_TOKEN_BYTES {
        let bytes = token.len();
        return Err(Error::limit(format!(
            "a token of {bytes} bytes, the most are {MAX_TOKEN_BYTES}"
        )));
    }
    if before >= MAX_VOCABULARY {
        return Err(Error::limit(format!("has over {MAX_VOCABULARY} tokens")));
    }
    Ok(())
}
