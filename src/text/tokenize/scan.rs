//! What a `tokenizer.json` holds, looked at before anything is built from it.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::error::{Error, Result};
use crate::limits::{MAX_TOKEN_BYTES, MAX_UNIGRAM_BYTES, MAX_VOCABULARY, MAX_WORD_CHARS};

/// The kinds of models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    WordPiece,
    WordLevel,
    Bpe,
    Unigram,
}

/// What the scan found.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) kind: Kind,
    pub(super) unk_id: Option<u64>,
    /// Whether a Unigram model falls back on bytes.
    pub(super) byte_fallback: bool,
    /// The side that a baked-in truncation cuts.
    pub(super) cut: Option<String>,
}

#[derive(Deserialize)]
struct Top {
    model: Option<Model>,
    /// Looked at while it is read.
    #[serde(rename = "added_tokens")]
    _added: Option<Added>,
    truncation: Option<Truncation>,
}

#[derive(Deserialize)]
struct Truncation {
    direction: Option<String>,
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type")]
    kind: Option<String>,
    unk_id: Option<u64>,
    byte_fallback: Option<bool>,
    max_input_chars_per_word: Option<usize>,
    continuing_subword_prefix: Option<String>,
    vocab: Option<Vocabulary>,
    merges: Option<Merges>,
}

/// Checks the text of a `tokenizer.json`: its kind, its numbers and its ids.
///
/// # Errors
/// One line, without the path.
pub(super) fn scan(text: &str) -> Result<Scan> {
    let top: Top = serde_json::from_str(text).map_err(not_json)?;
    let Some(model) = top.model else {
        return Err(Error::input("has no \"model\"").mend(RESAVE));
    };
    let kind = model.kind()?;
    let Some(vocabulary) = &model.vocab else {
        return Err(Error::input("its model has no \"vocab\"").mend(RESAVE));
    };
    if (kind == Kind::Unigram) != vocabulary.is_list {
        return Err(Error::input(format!(
            "the vocabulary of its {kind:?} model has another kind's form"
        ))
        .mend(RESAVE));
    }
    if kind == Kind::Unigram {
        let Some(unk_id) = model.unk_id else {
            return Err(missing_unk("its Unigram model has no unk_id"));
        };
        if unk_id >= vocabulary.tokens as u64 {
            let tokens = vocabulary.tokens;
            return Err(missing_unk(format!(
                "unk_id is {unk_id}, the vocabulary has {tokens} tokens"
            )));
        }
        if vocabulary.bytes > MAX_UNIGRAM_BYTES {
            return Err(Error::limit(format!(
                "the tokens of its Unigram vocabulary take {} bytes, the most are {MAX_UNIGRAM_BYTES}",
                vocabulary.bytes
            )));
        }
    }
    let word = model.max_input_chars_per_word.unwrap_or(0);
    if kind == Kind::WordPiece && word > MAX_WORD_CHARS {
        return Err(Error::limit(format!(
            "max_input_chars_per_word is {word}, the most is {MAX_WORD_CHARS}"
        )));
    }
    if kind == Kind::Bpe {
        model.check_merges()?;
    }
    Ok(Scan {
        kind,
        unk_id: model.unk_id,
        byte_fallback: model.byte_fallback.unwrap_or(false),
        cut: top.truncation.and_then(|t| t.direction),
    })
}

/// How to get a `tokenizer.json` of the form that is read here.
pub(super) const RESAVE: &str = "save it anew with a current transformers: \
    AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)";

/// A vocabulary without the token for what it does not know.
pub(super) fn missing_unk(message: impl Into<String>) -> Error {
    Error::input(message).mend("the vocabulary must hold the token for what it does not know")
}

fn not_json(error: serde_json::Error) -> Error {
    let what = match error.is_data() {
        true => "is not a tokenizer",
        false => "is not JSON",
    };
    Error::input(format!("{what}: {error}")).mend("fetch the file anew")
}

impl Model {
    /// The kind that it names; older files name none, and its fields tell.
    fn kind(&self) -> Result<Kind> {
        Ok(match self.kind.as_deref() {
            Some("WordPiece") => Kind::WordPiece,
            Some("WordLevel") => Kind::WordLevel,
            Some("BPE") => Kind::Bpe,
            Some("Unigram") => Kind::Unigram,
            Some(other) => {
                let shown: String = other.chars().take(60).collect();
                return Err(Error::unsupported(format!(
                    "the kind of its model, {shown:?}, is none of BPE, Unigram, WordLevel, WordPiece"
                )));
            }
            None if self.merges.is_some() => Kind::Bpe,
            None if self.vocab.as_ref().is_some_and(|v| v.is_list) => Kind::Unigram,
            None if self.max_input_chars_per_word.is_some() => Kind::WordPiece,
            None => Kind::WordLevel,
        })
    }

    /// The crate cuts the prefix off the right part of each merge without looking.
    fn check_merges(&self) -> Result<()> {
        let prefix = self.continuing_subword_prefix.as_deref().unwrap_or("");
        let Some(merges) = &self.merges else {
            return Err(Error::input("its BPE model has no \"merges\"").mend(RESAVE));
        };
        if !prefix.is_empty() && !merges.rights_begin_with(prefix) {
            return Err(Error::input(format!(
                "a merge's right part does not begin with the prefix {prefix:?}"
            ))
            .mend(RESAVE));
        }
        Ok(())
    }
}

/// A vocabulary, counted and let go.
#[derive(Debug, Default)]
struct Vocabulary {
    is_list: bool,
    tokens: usize,
    bytes: usize,
}

impl Vocabulary {
    fn count<E: serde::de::Error>(&mut self, token: &str) -> Result<(), E> {
        self.tokens += 1;
        self.bytes += token.len();
        if token.len() > MAX_TOKEN_BYTES {
            return Err(E::custom(format!(
                "a token of the vocabulary has {} bytes, the most are {MAX_TOKEN_BYTES}",
                token.len()
            )));
        }
        if self.tokens > MAX_VOCABULARY {
            return Err(E::custom(format!(
                "the vocabulary has over {MAX_VOCABULARY} tokens"
            )));
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Vocabulary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Vocabulary;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a vocabulary")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vocabulary, A::Error> {
                let mut vocabulary = Vocabulary::default();
                while let Some(token) = map.next_key::<Text>()? {
                    let id = map.next_value::<serde_json::Number>()?;
                    check_id(&id).map_err(|m| A::Error::custom(format!("{m} of {:?}", token.0)))?;
                    vocabulary.count(&token.0)?;
                }
                Ok(vocabulary)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vocabulary, A::Error> {
                let mut vocabulary = Vocabulary {
                    is_list: true,
                    ..Vocabulary::default()
                };
                while let Some((token, _score)) = list.next_element::<(Text, f64)>()? {
                    vocabulary.count(&token.0)?;
                }
                Ok(vocabulary)
            }
        }
        deserializer.deserialize_any(Visit)
    }
}

/// Ids are 32 bits wide, and one more must fit.
pub(super) fn check_id(id: &serde_json::Number) -> Result<u32, String> {
    id.as_u64()
        .and_then(|id| u32::try_from(id).ok())
        .filter(|id| *id < u32::MAX)
        .ok_or_else(|| format!("{id} is not a token's number"))
}

/// A string, borrowed from the file where it has no escapes.
struct Text<'a>(std::borrow::Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(text.into()))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(text.to_owned().into()))
            }
        }
        deserializer.deserialize_str(Visit)
    }
}

/// Merges: how many, and what all right parts have in common.
#[derive(Debug, Default)]
struct Merges {
    count: usize,
    common: Option<String>,
}

impl Merges {
    fn add(&mut self, right: &str) {
        self.count += 1;
        match &mut self.common {
            None => self.common = Some(right.to_owned()),
            Some(common) => {
                let same = common
                    .chars()
                    .zip(right.chars())
                    .take_while(|(a, b)| a == b);
                let length = same.map(|(a, _)| a.len_utf8()).sum();
                common.truncate(length);
            }
        }
    }

    fn rights_begin_with(&self, prefix: &str) -> bool {
        self.common.as_deref().is_none_or(|c| c.starts_with(prefix))
    }
}

impl<'de> Deserialize<'de> for Merges {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Merge {
            Line(String),
            Pair([String; 2]),
        }
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Merges;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a list of merges")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Merges, A::Error> {
                let mut merges = Merges::default();
                while let Some(merge) = list.next_element::<Merge>()? {
                    match &merge {
                        Merge::Pair([_, right]) => merges.add(right),
                        Merge::Line(line) => merges.add(line.split_once(' ').map_or("", |l| l.1)),
                    }
                    if merges.count > MAX_VOCABULARY {
                        return Err(A::Error::custom(format!("over {MAX_VOCABULARY} merges")));
                    }
                }
                Ok(merges)
            }
        }
        deserializer.deserialize_seq(Visit)
    }
}

/// Added tokens: no more than a vocabulary may have.
struct Added;

impl<'de> Deserialize<'de> for Added {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Added;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a list of added tokens")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Added, A::Error> {
                #[derive(Deserialize)]
                struct One {
                    id: serde_json::Number,
                }
                let mut count = 0;
                while let Some(one) = list.next_element::<One>()? {
                    check_id(&one.id).map_err(A::Error::custom)?;
                    count += 1;
                    if count > MAX_VOCABULARY {
                        return Err(A::Error::custom(format!(
                            "over {MAX_VOCABULARY} added tokens"
                        )));
                    }
                }
                Ok(Added)
            }
        }
        deserializer.deserialize_seq(Visit)
    }
}
