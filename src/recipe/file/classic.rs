//! The keys of the classical systems' spaces: word2vec, colours, and a classifier of pairs.

use std::path::Path;

use super::print::{braced, float, name_in, quoted};
use super::space::{Keys, Names, place};
use super::table::Value;
use crate::error::{Error, Result};
use crate::recipe::{DEFAULT_PAIRS, Of, PairSpec};
use crate::text::word2vec::{Kind, Pool, Word2VecOptions};

/// What says how vectors are learnt, and has no place where they are read from a file.
const LEARNING: [&str; 9] = [
    "size",
    "window",
    "kind",
    "negative",
    "epochs",
    "min_count",
    "sample",
    "alpha",
    "seed",
];
const OTHERS: [&str; 4] = ["vectors", "sum", "lowercase", "decode_escapes"];
const KINDS: [(&str, Kind); 2] = [("skip-gram", Kind::SkipGram), ("cbow", Kind::Cbow)];
const POOLS: [(&str, Pool); 2] = [("sum", Pool::Sum), ("mean", Pool::Mean)];

pub fn read_word2vec(value: &Value<'_>, folder: &Path) -> Result<Of> {
    let keys = Keys::of(value)?;
    keys.only("word2vec", &[&LEARNING[..], &OTHERS[..]].concat())?;
    if keys.get("vectors").is_some()
        && let Some(useless) = LEARNING.iter().find_map(|key| keys.get(key))
    {
        return Err(useless
            .wrong("is about learning, and the vectors come from a file")
            .mend("leave it out, or vectors"));
    }
    let default = Word2VecOptions::default();
    let count = |key: &str, default| Ok::<_, Error>(keys.count(key)?.unwrap_or(default));
    let options = Word2VecOptions {
        size: count("size", default.size)?,
        window: count("window", default.window)?,
        kind: keys.one_of("kind", &KINDS)?.unwrap_or(default.kind),
        negative: count("negative", default.negative)?,
        epochs: count("epochs", default.epochs)?,
        min_count: count("min_count", default.min_count)?,
        sample: keys.number("sample")?.unwrap_or(default.sample),
        alpha: keys.number("alpha")?.unwrap_or(default.alpha),
        seed: count("seed", default.seed as usize)? as u64,
        pool: keys.one_of("sum", &POOLS)?.unwrap_or(default.pool),
        lowercase: keys.flag("lowercase", default.lowercase)?,
        vectors: keys.path("vectors", folder)?,
    };
    options.check().map_err(|e| value.refused(&e))?;
    Ok(Of::Word2Vec {
        options,
        decode_escapes: keys.flag("decode_escapes", false)?,
    })
}

pub fn check_word2vec(options: &Word2VecOptions) -> Result<()> {
    options.check()?;
    let learning = Word2VecOptions {
        pool: options.pool,
        lowercase: options.lowercase,
        vectors: options.vectors.clone(),
        ..Word2VecOptions::default()
    };
    match &options.vectors {
        Some(path) if path.as_os_str().is_empty() => {
            Err(Error::input("the file of word vectors has no name").mend("name one"))
        }
        Some(_) if *options != learning => Err(Error::input(
            "vectors come from a file, and it is said how they are learnt",
        )
        .mend("leave one of the two out")),
        _ => Ok(()),
    }
}

pub fn word2vec(options: &Word2VecOptions, decode_escapes: bool) -> String {
    let default = Word2VecOptions::default();
    let mut entries = Vec::new();
    let mut put = |key: &str, differs: bool, value: String| {
        if differs {
            entries.push(format!("{key} = {value}"));
        }
    };
    let o = options;
    for (key, value, usual) in [
        ("size", o.size, default.size),
        ("window", o.window, default.window),
        ("negative", o.negative, default.negative),
        ("epochs", o.epochs, default.epochs),
        ("min_count", o.min_count, default.min_count),
        ("seed", o.seed as usize, default.seed as usize),
    ] {
        put(key, value != usual, value.to_string());
    }
    let kind = name_in(&KINDS, &o.kind).unwrap_or_default();
    put("kind", o.kind != default.kind, kind);
    put("sample", o.sample != default.sample, float(o.sample));
    put("alpha", o.alpha != default.alpha, float(o.alpha));
    let pool = name_in(&POOLS, &o.pool).unwrap_or_default();
    put("sum", o.pool != default.pool, pool);
    put("lowercase", !o.lowercase, "false".to_string());
    if let Some(path) = &o.vectors {
        put("vectors", true, quoted(&path.to_string_lossy()));
    }
    put("decode_escapes", decode_escapes, "true".to_string());
    braced(&entries)
}

/// Clusters of the slides' pictures, the middle one.
const CLUSTERS: usize = 3;

pub fn read_colours(value: &Value<'_>) -> Result<Of> {
    let keys = Keys::of(value)?;
    keys.only("colours", &["clusters", "seed"])?;
    Ok(Of::Colours {
        clusters: keys.count("clusters")?.unwrap_or(CLUSTERS),
        seed: keys.count("seed")?.unwrap_or(0) as u64,
    })
}

pub fn colours(clusters: usize, seed: u64) -> String {
    let mut entries = vec![format!("clusters = {clusters}")];
    if seed != 0 {
        entries.push(format!("seed = {seed}"));
    }
    braced(&entries)
}

pub fn read_pair(value: &Value<'_>, keys: &Keys<'_>, names: &Names<'_>) -> Result<Of> {
    let spaces = value.list()?;
    let spaces = spaces.iter().map(|v| place(v.string()?, v, names));
    Ok(Of::Pair {
        spaces: spaces.collect::<Result<_>>()?,
        classifier: PairSpec {
            weights: keys.path("weights", names.folder)?.unwrap_or_default(),
            pairs: keys.count("pairs")?.map_or(DEFAULT_PAIRS, |n| n as u64),
        },
    })
}

pub fn check_pairs(classifier: &PairSpec) -> Result<()> {
    match classifier.pairs {
        0 => Err(Error::limit("0 pairs may be judged").mend("give 1 or more")),
        _ => Ok(()),
    }
}
