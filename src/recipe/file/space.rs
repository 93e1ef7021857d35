//! A `[spaces.NAME]` of a recipe file.

use std::path::{Path, PathBuf};

use super::table::{Table, Value, cut};
use super::{after, classic, no_space};
use crate::device::Act;
use crate::error::{Error, Result};
use crate::limits::{MAX_CLEAN_STEPS, MAX_STEPS};
use crate::nn::text::TextPool;
use crate::nn::{self, GlobalPool, ImageOptions};
use crate::recipe::{Conflicts, EncoderSpec, Expansion, Framing, Of, Step, TextSpec, Weight};
use crate::refine::{Blend, Expand};
use crate::search::Fuse;
use crate::text::clean::{CLEAN_STEPS, CleanStep};
use crate::text::tfidf::{Analyzer, Df, Norm, StopWords, StripAccents, TfidfOptions, TokenPattern};

/// What the names and the paths of a space mean.
pub struct Names<'a> {
    /// The names of all spaces; a space's place is its place here.
    pub all: &'a [&'a str],
    /// What relative paths are relative to.
    pub folder: &'a Path,
}

/// The kinds of spaces: the key that makes a space one, what errors call it, and its other keys.
const KINDS: [(&str, &str, &[&str]); 12] = [
    ("phash", "a space of hashes", &["refine"]),
    ("tfidf", "a space of TF-IDF", &["clean", "refine"]),
    ("word2vec", "a space of word2vec", &["clean", "refine"]),
    ("colours", "a space of colours", &["refine"]),
    ("image", "a space of images", &IMAGE),
    ("text", "a space of titles", &TEXT),
    ("file", "a space from a file", &["refine", "euclidean"]),
    ("given", "a space that is given", &["refine", "euclidean"]),
    ("concat", "a concatenation", &["refine"]),
    (
        "pair",
        "a classifier of pairs",
        &["refine", "weights", "pairs"],
    ),
    ("fused", "a fused space", &["refine", "by", "power"]),
    ("ranked", "a ranked space", &["refine"]),
];

const IMAGE: [&str; 11] = [
    "weights",
    "size",
    "crop",
    "activation",
    "pool",
    "raw",
    "exif",
    "batch",
    "mmap",
    "refine",
    "euclidean",
];

const TEXT: [&str; 9] = [
    "weights",
    "pool",
    "max_tokens",
    "raw",
    "decode_escapes",
    "mmap",
    "clean",
    "refine",
    "euclidean",
];

const TFIDF: [&str; 15] = [
    "analyzer",
    "ngram",
    "stop_words",
    "max_features",
    "min_df",
    "max_df",
    "binary",
    "sublinear_tf",
    "smooth_idf",
    "use_idf",
    "norm",
    "lowercase",
    "strip_accents",
    "token_pattern",
    "decode_escapes",
];

pub const ANALYZERS: [(&str, Analyzer); 3] = [
    ("word", Analyzer::Word),
    ("char", Analyzer::Char),
    ("char_wb", Analyzer::CharWb),
];
pub const NORMS: [(&str, Norm); 3] = [("l2", Norm::L2), ("l1", Norm::L1), ("none", Norm::None)];
pub const ACCENTS: [(&str, StripAccents); 3] = [
    ("none", StripAccents::None),
    ("ascii", StripAccents::Ascii),
    ("unicode", StripAccents::Unicode),
];
pub const CROPS: [(&str, Framing); 2] = [("squash", Framing::Squash), ("timm", Framing::Timm)];
pub const ACTIVATIONS: [(&str, Act); 6] = [
    ("mish", Act::Mish),
    ("relu", Act::Relu),
    ("silu", Act::Silu),
    ("gelu", Act::Gelu),
    ("sigmoid", Act::Sigmoid),
    ("none", Act::None),
];
pub const WEIGHTS: [(&str, Weight); 2] = [
    ("similarity", Weight::Similarity),
    ("one_plus", Weight::OnePlus),
];
pub const IMAGE_POOLS: [(&str, GlobalPool); 2] =
    [("avg", GlobalPool::Average), ("gem", GlobalPool::Gem)];
pub const TEXT_POOLS: [(&str, TextPool); 2] = [("cls", TextPool::Cls), ("mean", TextPool::Mean)];

/// A table, and the way to its keys.
pub struct Keys<'a> {
    table: Table<'a>,
    at: String,
}

impl<'a> Keys<'a> {
    pub fn of(value: &Value<'a>) -> Result<Self> {
        Ok(Keys {
            table: value.table()?,
            at: format!("{}.", value.key),
        })
    }

    pub fn only(&self, of: &str, known: &[&str]) -> Result<()> {
        self.table.only(&self.at, of, known)
    }

    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        self.table.get(&self.at, key)
    }

    pub fn flag(&self, key: &str, default: bool) -> Result<bool> {
        self.get(key).map_or(Ok(default), |v| v.boolean())
    }

    pub fn count(&self, key: &str) -> Result<Option<usize>> {
        self.get(key).map(|v| v.count()).transpose()
    }

    pub fn number(&self, key: &str) -> Result<Option<f64>> {
        self.get(key).map(|v| v.number()).transpose()
    }

    pub fn one_of<T: Copy>(&self, key: &str, names: &[(&str, T)]) -> Result<Option<T>> {
        self.get(key).map(|v| v.one_of(names)).transpose()
    }

    pub fn path(&self, key: &str, folder: &Path) -> Result<Option<PathBuf>> {
        self.get(key).map(|v| path(&v, folder)).transpose()
    }
}

pub fn path(value: &Value<'_>, folder: &Path) -> Result<PathBuf> {
    match value.string()? {
        "" => Err(value.wrong("is empty").mend("name a file or a folder")),
        text => Ok(folder.join(text)),
    }
}

/// A space as it is written.
pub struct Read {
    /// Where its rows come from.
    pub of: Of,
    /// How titles are cleaned.
    pub clean: Vec<CleanStep>,
    /// The steps, with the lines that they stand on.
    pub refine: Vec<(Step, u64)>,
    /// The scale of Euclidean distances.
    pub euclidean: Option<f64>,
}

/// The space of `value`, with the places of other spaces as [`Names::all`] has them.
pub fn read(value: &Value<'_>, names: &Names<'_>) -> Result<Read> {
    let keys = Keys::of(value)?;
    let kinds: Vec<_> = KINDS
        .iter()
        .filter_map(|kind| Some((kind, keys.get(kind.0)?)))
        .collect();
    let ((kind, what, others), of) = match &kinds[..] {
        [(kind, of)] => (*kind, of),
        [] => {
            let every = KINDS.iter().flat_map(|kind| kind.2.iter().chain([&kind.0]));
            let every: Vec<&str> = every.copied().collect();
            keys.only("a space", &every)?;
            let list: Vec<&str> = KINDS.iter().map(|kind| kind.0).collect();
            return Err(value
                .wrong("does not say what it is")
                .mend(format!("give one of {}", list.join(", "))));
        }
        [(one, _), (two, second), ..] => {
            let message = format!("{} is both {} and {}", value.key, one.1, two.1);
            let error = Error::input(message).line(second.line());
            return Err(error.mend(format!("leave {} or {} out", one.0, two.0)));
        }
    };
    let known: Vec<&str> = std::iter::once(*kind)
        .chain(others.iter().copied())
        .collect();
    keys.only(what, &known)?;
    let made = match *kind {
        "phash" => switch(of).map(|()| Of::Phash),
        "given" => switch(of).map(|()| Of::Given),
        "tfidf" => tfidf(of),
        "word2vec" => classic::read_word2vec(of, names.folder),
        "colours" => classic::read_colours(of),
        "pair" => classic::read_pair(of, &keys, names),
        "image" => image(of, &keys, names.folder),
        "text" => text(of, &keys, names.folder),
        "file" => path(of, names.folder).map(Of::File),
        "concat" => parts(of, names).map(Of::Concat),
        "ranked" => place(of.string()?, of, names).map(Of::Ranked),
        _ => fused(of, &keys, names),
    };
    let steps = match keys.get("refine") {
        Some(value) => {
            let steps = value.list()?;
            if steps.len() > MAX_STEPS {
                let message = format!("{} has {} steps", value.key, steps.len());
                let error = Error::limit(message).line(value.line());
                return Err(error.mend(format!("{MAX_STEPS} are the most")));
            }
            steps
        }
        None => Vec::new(),
    };
    let steps = steps.iter().map(|v| Ok((step(v, names)?, v.line())));
    Ok(Read {
        of: made?,
        clean: keys.get("clean").map_or(Ok(Vec::new()), |v| clean(&v))?,
        refine: steps.collect::<Result<_>>()?,
        euclidean: keys.number("euclidean")?,
    })
}

/// The steps of cleaning, in the order given.
fn clean(value: &Value<'_>) -> Result<Vec<CleanStep>> {
    let steps = value.list()?;
    if steps.len() > MAX_CLEAN_STEPS {
        let message = format!("{} has {} steps", value.key, steps.len());
        let error = Error::limit(message).line(value.line());
        return Err(error.mend(format!("{MAX_CLEAN_STEPS} are the most")));
    }
    steps.iter().map(|step| step.one_of(CLEAN_STEPS)).collect()
}

/// A key that is either true or not there.
fn switch(value: &Value<'_>) -> Result<()> {
    match value.boolean()? {
        true => Ok(()),
        false => Err(value
            .wrong("is false")
            .mend("give true, or make the space another kind")),
    }
}

fn tfidf(value: &Value<'_>) -> Result<Of> {
    let keys = Keys::of(value)?;
    keys.only("TF-IDF", &TFIDF)?;
    let default = TfidfOptions::default();
    let df = |key, default| match keys.get(key) {
        Some(v) if v.is_whole() => Ok(Df::Count(v.count()? as u64)),
        Some(v) => v.number().map(Df::Fraction),
        None => Ok(default),
    };
    let options = TfidfOptions {
        analyzer: keys
            .one_of("analyzer", &ANALYZERS)?
            .unwrap_or(default.analyzer),
        ngram: keys.get("ngram").map_or(Ok(default.ngram), |v| ngram(&v))?,
        stop_words: match keys.get("stop_words") {
            Some(v) => stop_words(&v)?,
            None => default.stop_words,
        },
        max_features: keys.count("max_features")?,
        min_df: df("min_df", default.min_df)?,
        max_df: df("max_df", default.max_df)?,
        binary: keys.flag("binary", default.binary)?,
        sublinear_tf: keys.flag("sublinear_tf", default.sublinear_tf)?,
        smooth_idf: keys.flag("smooth_idf", default.smooth_idf)?,
        use_idf: keys.flag("use_idf", default.use_idf)?,
        norm: keys.one_of("norm", &NORMS)?.unwrap_or(default.norm),
        lowercase: keys.flag("lowercase", default.lowercase)?,
        strip_accents: keys
            .one_of("strip_accents", &ACCENTS)?
            .unwrap_or(default.strip_accents),
        token_pattern: match keys.get("token_pattern") {
            Some(v) => TokenPattern::Regex(v.string()?.to_string()),
            None => default.token_pattern,
        },
    };
    options.validate().map_err(|e| value.refused(&e))?;
    Ok(Of::Tfidf {
        options,
        decode_escapes: keys.flag("decode_escapes", false)?,
    })
}

fn ngram(value: &Value<'_>) -> Result<(usize, usize)> {
    match &value.list()?[..] {
        [low, high] => Ok((low.count()?, high.count()?)),
        other => Err(value
            .wrong(&format!("has {} numbers", other.len()))
            .mend("give the shortest and the longest, as in [1, 2]")),
    }
}

fn stop_words(value: &Value<'_>) -> Result<StopWords> {
    if value.is_string() {
        let english = value.one_of(&[("english", true), ("none", false)])?;
        return Ok(match english {
            true => StopWords::English,
            false => StopWords::None,
        });
    }
    let words = value.list()?;
    let words = words.iter().map(|word| Ok(word.string()?.to_string()));
    words.collect::<Result<_>>().map(StopWords::List)
}

/// What stands behind `prefix` in an encoder's name.
fn encoder<'a>(value: &Value<'a>, prefix: &str, mend: &str) -> Result<&'a str> {
    let name = value.string()?;
    name.strip_prefix(prefix)
        .map(str::trim)
        .ok_or_else(|| value.wrong(&format!("is {:?}", cut(name))).mend(mend))
}

fn image(value: &Value<'_>, keys: &Keys<'_>, folder: &Path) -> Result<Of> {
    let name = encoder(
        value,
        "timm:",
        "give \"timm:ARCH\", as in \"timm:efficientnet_b0\"",
    )?;
    let arch = nn::arch(name).map_err(|e| value.refused(&e))?;
    let options = ImageOptions {
        size: keys.count("size")?,
        activation: keys.one_of("activation", &ACTIVATIONS)?,
        pool: keys.one_of("pool", &IMAGE_POOLS)?,
        raw: keys.flag("raw", false)?,
        ..ImageOptions::new(arch.name)
    };
    Ok(Of::Image {
        encoder: EncoderSpec {
            options,
            weights: keys.path("weights", folder)?.unwrap_or_default(),
            mmap: keys.flag("mmap", true)?,
            framing: keys.one_of("crop", &CROPS)?.unwrap_or_default(),
            orient: keys.flag("exif", true)?,
        },
        batch: keys.count("batch")?,
    })
}

fn text(value: &Value<'_>, keys: &Keys<'_>, folder: &Path) -> Result<Of> {
    encoder(
        value,
        "hf:",
        "give \"hf:\", and the model's folder in weights",
    )?;
    Ok(Of::Text {
        encoder: TextSpec {
            weights: keys.path("weights", folder)?.unwrap_or_default(),
            pool: keys.one_of("pool", &TEXT_POOLS)?,
            max_tokens: keys.count("max_tokens")?,
            raw: keys.flag("raw", false)?,
            mmap: keys.flag("mmap", true)?,
        },
        decode_escapes: keys.flag("decode_escapes", false)?,
    })
}

/// Spaces and their weights, in the order of the file.
fn parts(value: &Value<'_>, names: &Names<'_>) -> Result<Vec<(usize, f64)>> {
    let entries = value.table()?.entries(&format!("{}.", value.key));
    let part = |(name, weight): &(&str, Value<'_>)| {
        let place = place(name, weight, names)?;
        Ok((place, weight.number()?))
    };
    entries.iter().map(part).collect()
}

/// The place of the space `name`, which stands at `value`.
pub fn place(name: &str, value: &Value<'_>, names: &Names<'_>) -> Result<usize> {
    let found = names.all.iter().position(|&other| other == name);
    found.ok_or_else(|| {
        let message = format!("{}: there is no space {:?}", value.key, cut(name));
        let error = Error::input(message);
        no_space(error.line(value.line()), name, names.all)
    })
}

fn fused(value: &Value<'_>, keys: &Keys<'_>, names: &Names<'_>) -> Result<Of> {
    let power = keys.number("power")?;
    let by = keys.one_of(
        "by",
        &[("mean", "mean"), ("either", "either"), ("power", "power")],
    )?;
    let by = match (by, power) {
        (None | Some("mean"), None) => Fuse::Mean,
        (Some("either"), None) => Fuse::Either,
        (Some("power"), Some(power)) => Fuse::Power(power),
        (Some("power"), None) => {
            let message = format!("{} is by \"power\", and does not say which", trimmed(keys));
            let error = Error::input(message).line(value.line());
            return Err(error.mend("give power = 6, say"));
        }
        _ => {
            let message = format!("{} has a power, and is not by \"power\"", trimmed(keys));
            let error = Error::input(message).line(value.line());
            return Err(error.mend("give by = \"power\", or leave the power out"));
        }
    };
    Ok(Of::Fused {
        spaces: parts(value, names)?,
        by,
    })
}

fn trimmed<'a>(keys: &'a Keys<'_>) -> &'a str {
    keys.at.trim_end_matches('.')
}

fn step(value: &Value<'_>, names: &Names<'_>) -> Result<Step> {
    let keys = Keys::of(value)?;
    keys.only("a step", &["expand", "blend"])?;
    match (keys.get("expand"), keys.get("blend")) {
        (Some(expand), None) => {
            let keys = Keys::of(&expand)?;
            keys.only("expand", &["k", "alpha", "weight", "beside"])?;
            let needed = |key: &str| {
                let message = format!("has no {key}");
                keys.get(key).ok_or_else(|| {
                    expand
                        .wrong(&message)
                        .mend("give expand = { k = 2, alpha = 3 }, say")
                })
            };
            let by = Expansion {
                expand: Expand {
                    k: needed("k")?.count()?,
                    alpha: needed("alpha")?.number()?,
                },
                weight: keys.one_of("weight", &WEIGHTS)?.unwrap_or_default(),
                beside: keys.flag("beside", false)?,
            };
            Ok(match by.weight == Weight::default() && !by.beside {
                true => Step::Expand(by.expand),
                false => Step::ExpandBy(by),
            })
        }
        (None, Some(blend)) => {
            let keys = Keys::of(&blend)?;
            keys.only("blend", &["distance", "min2", "by", "conflicts"])?;
            let distance = keys.number("distance")?.ok_or_else(|| {
                let mend = "give blend = { distance = 0.4 }, say";
                blend.wrong("has no distance").mend(mend)
            })?;
            let by = match keys.get("by") {
                Some(by) => Some(place(by.string()?, &by, names)?),
                None => None,
            };
            Ok(Step::Blend {
                blend: Blend {
                    distance,
                    min2: keys.number("min2")?,
                },
                by,
                conflicts: keys
                    .get("conflicts")
                    .map_or(Ok(Conflicts::default()), |v| after::conflicts(&v))?,
            })
        }
        (None, None) => Err(value
            .wrong("is no step")
            .mend("give { expand = ... } or { blend = ... }")),
        _ => Err(value
            .wrong("is two steps in one")
            .mend("write [{ expand = ... }, { blend = ... }]")),
    }
}
