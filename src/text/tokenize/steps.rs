//! Normalizers and pre-tokenizers of `tokenizer.json`, with patterns that say when they fail.
//!
//! The crate's own `Split` and `Replace` take a pattern that ran into its backtracking limit for one
//! that did not match, which gives other ids than asked for. Here it is an error. Text that a
//! normalizer makes too long is one too; the rest is the crate's.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use fancy_regex::Regex;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use tokenizers::normalizers::{Lowercase, NormalizerWrapper, Precompiled};
use tokenizers::pattern::{Invert, Pattern};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::{
    NormalizedString, Normalizer, Offsets, PreTokenizedString, PreTokenizer, SplitDelimiterBehavior,
};

use crate::limits::{MAX_NORMALIZED_BYTES, MAX_PATTERN_SECONDS, MAX_REPLACEMENT_BYTES};

type Outcome<T> = tokenizers::Result<T>;

thread_local! {
    /// What a normalizer could not do: the crate drops what normalizers return.
    static FAULT: RefCell<Option<String>> = const { RefCell::new(None) };
    /// When the text in hand must be done with patterns.
    static DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Runs `encode` for one text: a fault of a normalizer becomes its error.
pub(super) fn watched<T>(encode: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    FAULT.set(None);
    DEADLINE.set(Some(
        Instant::now() + Duration::from_secs(MAX_PATTERN_SECONDS),
    ));
    let outcome = encode();
    DEADLINE.set(None);
    match FAULT.take() {
        Some(fault) => Err(fault.into()),
        None => outcome,
    }
}

/// A pattern whose failures are errors.
#[derive(Debug)]
struct Honest<'r>(&'r Regex);

impl Pattern for Honest<'_> {
    fn find_matches(&self, inside: &str) -> Outcome<Vec<(Offsets, bool)>> {
        if inside.is_empty() {
            return Ok(vec![((0, 0), false)]);
        }
        let deadline = DEADLINE.get();
        let mut pieces = Vec::new();
        let mut done = 0;
        for found in self.0.find_iter(inside) {
            let found =
                found.map_err(|e| format!("the pattern {}: {e}", short(self.0.as_str())))?;
            if deadline.is_some_and(|at| Instant::now() > at) {
                let pattern = short(self.0.as_str());
                return Err(format!("the pattern {pattern} took {MAX_PATTERN_SECONDS} s").into());
            }
            if done != found.start() {
                pieces.push(((done, found.start()), false));
            }
            pieces.push(((found.start(), found.end()), true));
            done = found.end();
        }
        if done != inside.len() {
            pieces.push(((done, inside.len()), false));
        }
        Ok(pieces)
    }
}

fn short(pattern: &str) -> String {
    let mut shown: String = pattern.chars().take(60).collect();
    if shown.len() < pattern.len() {
        shown.push_str("...");
    }
    format!("`{shown}`")
}

/// The pattern in the form that `Split` and `Replace` write: `{"Regex": ".."}` or `{"String": ".."}`.
fn pattern_of<E: serde::de::Error>(pattern: Option<&Value>) -> Result<Regex, E> {
    let field = |name| pattern.and_then(|p| p.get(name)).and_then(Value::as_str);
    let text = match (field("Regex"), field("String")) {
        (Some(text), _) => text.to_owned(),
        (None, Some(text)) => regex::escape(text),
        (None, None) => return Err(E::custom("a pattern is neither a Regex nor a String")),
    };
    Regex::new(&text).map_err(|e| E::custom(format!("the pattern {}: {e}", short(&text))))
}

fn kind(value: &Value) -> Option<&str> {
    value.get("type").and_then(Value::as_str)
}

/// A normalizer of `tokenizer.json`.
#[derive(Debug, Clone)]
pub(super) enum Normalize {
    Crate(NormalizerWrapper),
    Replace { pattern: Regex, content: String },
    Sequence(Vec<Normalize>),
}

impl Normalize {
    /// This one after lower-casing, unless it lower-cases by a step of its own.
    pub(super) fn after_lowercase(this: Option<Normalize>) -> Normalize {
        let lowers = |n: &Normalize| matches!(n, Normalize::Crate(NormalizerWrapper::Lowercase(_)));
        let lowercase = Normalize::Crate(Lowercase.into());
        match this {
            None => lowercase,
            Some(own) if lowers(&own) => own,
            Some(Normalize::Sequence(steps)) if steps.iter().any(lowers) => {
                Normalize::Sequence(steps)
            }
            Some(own) => Normalize::Sequence(vec![lowercase, own]),
        }
    }

    /// The character map of SentencePiece, when this is one or has one as a step.
    pub(super) fn precompiled(&self) -> Option<Precompiled> {
        match self {
            Normalize::Crate(NormalizerWrapper::Precompiled(map)) => Some(map.clone()),
            Normalize::Sequence(steps) => steps.iter().find_map(|step| match step {
                Normalize::Crate(NormalizerWrapper::Precompiled(map)) => Some(map.clone()),
                _ => None,
            }),
            _ => None,
        }
    }

    fn run(&self, text: &mut NormalizedString) -> Outcome<()> {
        match self {
            Normalize::Crate(step) => step.normalize(text)?,
            Normalize::Replace { pattern, content } => text.replace(Honest(pattern), content)?,
            Normalize::Sequence(steps) => {
                for step in steps {
                    step.run(text)?;
                }
            }
        }
        if text.get().len() > MAX_NORMALIZED_BYTES {
            return Err(format!("normalized it takes over {MAX_NORMALIZED_BYTES} bytes").into());
        }
        Ok(())
    }
}

impl Normalizer for Normalize {
    fn normalize(&self, text: &mut NormalizedString) -> Outcome<()> {
        let outcome = self.run(text);
        if let Err(error) = &outcome {
            FAULT.set(Some(error.to_string()));
        }
        outcome
    }
}

impl<'de> Deserialize<'de> for Normalize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        if let Some(Value::Array(steps)) = value.get("normalizers") {
            let steps = steps.iter().map(Normalize::deserialize);
            let steps = steps.collect::<Result<_, _>>().map_err(D::Error::custom)?;
            return Ok(Normalize::Sequence(steps));
        }
        let put_in = ["content", "prepend"].map(|name| value.get(name).and_then(Value::as_str));
        if let Some(long) = put_in
            .iter()
            .flatten()
            .find(|t| t.len() > MAX_REPLACEMENT_BYTES)
        {
            return Err(D::Error::custom(format!(
                "a normalizer puts in {} bytes, the most are {MAX_REPLACEMENT_BYTES}",
                long.len()
            )));
        }
        if let ("Replace", [Some(content), _]) = (kind(&value).unwrap_or("Replace"), put_in) {
            let pattern = pattern_of(value.get("pattern"))?;
            let content = content.to_owned();
            return Ok(Normalize::Replace { pattern, content });
        }
        let step = serde_json::from_value(value).map_err(D::Error::custom)?;
        Ok(Normalize::Crate(step))
    }
}

/// A pre-tokenizer of `tokenizer.json`.
#[derive(Debug)]
pub(super) enum PreTokenize {
    Crate(PreTokenizerWrapper),
    Split {
        pattern: Regex,
        behavior: SplitDelimiterBehavior,
        invert: bool,
    },
    Sequence(Vec<PreTokenize>),
}

impl PreTokenizer for PreTokenize {
    fn pre_tokenize(&self, text: &mut PreTokenizedString) -> Outcome<()> {
        match self {
            PreTokenize::Crate(step) => step.pre_tokenize(text),
            PreTokenize::Split {
                pattern,
                behavior,
                invert: false,
            } => text.split(|_, piece| piece.split(Honest(pattern), *behavior)),
            PreTokenize::Split {
                pattern, behavior, ..
            } => text.split(|_, piece| piece.split(Invert(Honest(pattern)), *behavior)),
            PreTokenize::Sequence(steps) => steps.iter().try_for_each(|s| s.pre_tokenize(text)),
        }
    }
}

impl<'de> Deserialize<'de> for PreTokenize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        if let Some(Value::Array(steps)) = value.get("pretokenizers") {
            let steps = steps.iter().map(PreTokenize::deserialize);
            let steps = steps.collect::<Result<_, _>>().map_err(D::Error::custom)?;
            return Ok(PreTokenize::Sequence(steps));
        }
        if kind(&value) == Some("Split") {
            #[derive(Deserialize)]
            struct Rest {
                behavior: SplitDelimiterBehavior,
                invert: bool,
            }
            let pattern = pattern_of(value.get("pattern"))?;
            let Rest { behavior, invert } =
                serde_json::from_value(value).map_err(D::Error::custom)?;
            return Ok(PreTokenize::Split {
                pattern,
                behavior,
                invert,
            });
        }
        let step = serde_json::from_value(value).map_err(D::Error::custom)?;
        Ok(PreTokenize::Crate(step))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str) -> Normalize {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn lower_casing_comes_first_and_once() {
        let lowercase = r#"{"type":"Lowercase"}"#;
        let steps = |n: Normalize| match n {
            Normalize::Sequence(steps) => steps.len(),
            _ => 1,
        };
        assert_eq!(steps(Normalize::after_lowercase(None)), 1);
        assert_eq!(steps(Normalize::after_lowercase(Some(of(lowercase)))), 1);
        let has = format!(r#"{{"type":"Sequence","normalizers":[{{"type":"NFC"}},{lowercase}]}}"#);
        assert_eq!(steps(Normalize::after_lowercase(Some(of(&has)))), 2);
        // A dotted capital I becomes two characters in lower case: too late for a step before.
        let own = r#"{"type":"Replace","pattern":{"String":"i\u0307"},"content":"!"}"#;
        let mut text = NormalizedString::from("İA");
        Normalize::after_lowercase(Some(of(own)))
            .run(&mut text)
            .unwrap();
        assert_eq!(text.get(), "!a");
    }

    #[test]
    fn faults_of_normalizers_are_those_of_their_text() {
        let long = "a".repeat(MAX_NORMALIZED_BYTES + 1);
        let step = of(r#"{"type":"NFC"}"#);
        let mut text = NormalizedString::from(long.as_str());
        let outcome = watched(|| {
            // As the crate does.
            let _ = step.normalize(&mut text);
            Ok(())
        });
        assert!(outcome.unwrap_err().to_string().contains("bytes"));
        assert!(watched(|| Ok(())).is_ok());
        assert!(DEADLINE.get().is_none());
    }

    #[test]
    fn patterns_are_shown_short() {
        let long = format!(r#"{{"Regex":"({}"}}"#, "é".repeat(100));
        let long: Value = serde_json::from_str(&long).unwrap();
        let shown = pattern_of::<serde_json::Error>(Some(&long)).unwrap_err();
        assert!(shown.to_string().contains("ééé...`"), "{shown}");
        assert!(pattern_of::<serde_json::Error>(None).is_err());
    }
}
