//! From a [`Recipe`] to the text of a recipe file.

use std::fmt::Write;

use super::space::{
    ACCENTS, ACTIVATIONS, ANALYZERS, CROPS, IMAGE_POOLS, NORMS, TEXT_POOLS, WEIGHTS,
};
use super::{classic, rule_to_text};
use crate::recipe::{DEFAULT_PAIRS, Framing, Of, Recipe, Space, Step, Weight};
use crate::search::Fuse;
use crate::text::tfidf::{Df, StopWords, TfidfOptions, TokenPattern};

/// The file of `recipe`.
pub fn recipe(recipe: &Recipe) -> String {
    let names: Vec<&str> = recipe.spaces.iter().map(|s| s.name.as_str()).collect();
    let mut out = Lines::default();
    out.put("name", quoted(&recipe.name));
    out.put_some("about", recipe.about.as_deref().map(quoted));
    out.put_some("source", recipe.source.as_deref().map(quoted));
    out.put("neighbours", recipe.neighbours);
    out.put("matches", recipe.matches);
    out.put("fusion", quoted(&rule_to_text(&recipe.fusion, &names)));
    for (key, value) in super::after::print(&recipe.after) {
        out.put(key, value);
    }
    for one in &recipe.spaces {
        out.section(&format!("spaces.{}", key(&one.name)));
        space(one, &names, &mut out);
    }
    if let Some(tuned) = &recipe.tuned {
        out.section("tuned");
        out.put("listings", tuned.listings);
        out.put_some("f1", tuned.f1.map(float));
    }
    if let Some(published) = &recipe.published {
        super::published::print(published, &mut out);
    }
    out.text
}

#[derive(Default)]
pub struct Lines {
    text: String,
}

impl Lines {
    pub fn put(&mut self, key: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.text, "{key} = {value}");
    }

    pub fn put_some(&mut self, key: &str, value: Option<impl std::fmt::Display>) {
        if let Some(value) = value {
            self.put(key, value);
        }
    }

    /// Puts a flag that is not at its default.
    fn put_flag(&mut self, key: &str, value: bool, default: bool) {
        self.put_some(key, (value != default).then_some(value));
    }

    pub fn section(&mut self, name: &str) {
        let _ = writeln!(self.text, "\n[{name}]");
    }
}

/// A string of TOML.
pub fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A key of TOML: bare where it may be.
pub fn key(name: &str) -> String {
    match !name.is_empty() && name.chars().all(super::expression::named) {
        true => name.to_string(),
        false => quoted(name),
    }
}

/// A number of TOML; a whole one without a fraction.
pub fn float(x: f64) -> String {
    match x == x.trunc() && x.abs() < 1e15 {
        true => format!("{x}"),
        false => format!("{x:?}"),
    }
}

pub(super) fn name_in<T: PartialEq>(names: &[(&'static str, T)], value: &T) -> Option<String> {
    let found = names.iter().find(|(_, meaning)| meaning == value);
    found.map(|(name, _)| quoted(name))
}

fn space(space: &Space, names: &[&str], out: &mut Lines) {
    let name = |place: usize| names.get(place).map_or_else(String::new, |name| key(name));
    let parts = |parts: &[(usize, f64)]| {
        let part = |&(place, weight): &(usize, f64)| format!("{} = {}", name(place), float(weight));
        braced(&parts.iter().map(part).collect::<Vec<_>>())
    };
    match &space.of {
        Of::Phash => out.put("phash", true),
        Of::Given => out.put("given", true),
        Of::File(path) => out.put("file", quoted(&path.to_string_lossy())),
        Of::Tfidf {
            options,
            decode_escapes,
        } => out.put("tfidf", tfidf(options, *decode_escapes)),
        Of::Word2Vec {
            options,
            decode_escapes,
        } => out.put("word2vec", classic::word2vec(options, *decode_escapes)),
        Of::Colours { clusters, seed } => out.put("colours", classic::colours(*clusters, *seed)),
        Of::Pair { spaces, classifier } => {
            let parts: Vec<String> = spaces
                .iter()
                .map(|&s| quoted(names.get(s).unwrap_or(&"")))
                .collect();
            out.put("pair", format!("[{}]", parts.join(", ")));
            weights(&classifier.weights, out);
            out.put_some(
                "pairs",
                (classifier.pairs != DEFAULT_PAIRS).then_some(classifier.pairs),
            );
        }
        Of::Image { encoder, batch } => {
            let options = &encoder.options;
            out.put("image", quoted(&format!("timm:{}", options.arch)));
            weights(&encoder.weights, out);
            out.put_some("size", options.size);
            if encoder.framing != Framing::default() {
                out.put_some("crop", name_in(&CROPS, &encoder.framing));
            }
            let activation = options.activation.as_ref();
            out.put_some(
                "activation",
                activation.and_then(|a| name_in(&ACTIVATIONS, a)),
            );
            let pool = options.pool.as_ref();
            out.put_some("pool", pool.and_then(|pool| name_in(&IMAGE_POOLS, pool)));
            out.put_flag("raw", options.raw, false);
            out.put_flag("exif", encoder.orient, true);
            out.put_some("batch", *batch);
            out.put_flag("mmap", encoder.mmap, true);
        }
        Of::Text {
            encoder,
            decode_escapes,
        } => {
            out.put("text", quoted("hf:"));
            weights(&encoder.weights, out);
            let pool = encoder.pool.as_ref();
            out.put_some("pool", pool.and_then(|pool| name_in(&TEXT_POOLS, pool)));
            out.put_some("max_tokens", encoder.max_tokens);
            out.put_flag("raw", encoder.raw, false);
            out.put_flag("decode_escapes", *decode_escapes, false);
            out.put_flag("mmap", encoder.mmap, true);
        }
        Of::Ranked(place) => {
            out.put_some("ranked", names.get(*place).map(|name| quoted(name)));
        }
        Of::Concat(of) => out.put("concat", parts(of)),
        Of::Fused { spaces, by } => {
            out.put("fused", parts(spaces));
            match *by {
                Fuse::Mean => out.put("by", quoted("mean")),
                Fuse::Either => out.put("by", quoted("either")),
                Fuse::Power(power) => {
                    out.put("by", quoted("power"));
                    out.put("power", float(power));
                }
            }
        }
    }
    out.put_some("euclidean", space.euclidean.map(float));
    if !space.clean.is_empty() {
        let steps: Vec<String> = space.clean.iter().map(|s| quoted(s.name())).collect();
        out.put("clean", format!("[{}]", steps.join(", ")));
    }
    if !space.refine.is_empty() {
        let steps: Vec<String> = space.refine.iter().map(|s| step(s, names)).collect();
        out.put("refine", format!("[{}]", steps.join(", ")));
    }
}

/// Where an encoder's weights are, when it is said.
fn weights(path: &std::path::Path, out: &mut Lines) {
    if !path.as_os_str().is_empty() {
        out.put("weights", quoted(&path.to_string_lossy()));
    }
}

pub(super) fn braced(entries: &[String]) -> String {
    match entries.is_empty() {
        true => "{}".to_string(),
        false => format!("{{ {} }}", entries.join(", ")),
    }
}

fn step(step: &Step, names: &[&str]) -> String {
    match step {
        Step::Expand(expand) => format!(
            "{{ expand = {{ k = {}, alpha = {} }} }}",
            expand.k,
            float(expand.alpha)
        ),
        Step::ExpandBy(by) => {
            let mut entries = vec![format!("k = {}", by.expand.k)];
            entries.push(format!("alpha = {}", float(by.expand.alpha)));
            if by.weight != Weight::default() {
                let weight = name_in(&WEIGHTS, &by.weight);
                entries.extend(weight.map(|weight| format!("weight = {weight}")));
            }
            entries.extend(by.beside.then(|| "beside = true".to_string()));
            format!("{{ expand = {} }}", braced(&entries))
        }
        Step::Blend {
            blend,
            by,
            conflicts,
        } => {
            let mut entries = vec![format!("distance = {}", float(blend.distance))];
            entries.extend(blend.min2.map(|min2| format!("min2 = {}", float(min2))));
            let by = by.and_then(|by| names.get(by));
            entries.extend(by.map(|by| format!("by = {}", quoted(by))));
            let named = (!conflicts.is_empty()).then(|| super::after::named(conflicts));
            entries.extend(named.map(|named| format!("conflicts = {named}")));
            format!("{{ blend = {} }}", braced(&entries))
        }
    }
}

fn tfidf(options: &TfidfOptions, decode_escapes: bool) -> String {
    let default = TfidfOptions::default();
    let mut entries = Vec::new();
    let mut put = |key: &str, value: Option<String>| {
        entries.extend(value.map(|value| format!("{key} = {value}")));
    };
    let flag = |value: bool, default: bool| (value != default).then(|| value.to_string());
    let df = |df: Df, default: Df| match df {
        same if same == default => None,
        Df::Count(n) => Some(n.to_string()),
        // With a fraction even where it is whole: 1.0 are all titles, 1 is one.
        Df::Fraction(f) => Some(format!("{f:?}")),
    };
    if options.analyzer != default.analyzer {
        put("analyzer", name_in(&ANALYZERS, &options.analyzer));
    }
    let (low, high) = options.ngram;
    let ngram = (options.ngram != default.ngram).then(|| format!("[{low}, {high}]"));
    put("ngram", ngram);
    let stop_words = match &options.stop_words {
        StopWords::None => None,
        StopWords::English => Some(quoted("english")),
        StopWords::List(words) => {
            let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
            Some(format!("[{}]", words.join(", ")))
        }
    };
    put("stop_words", stop_words);
    put("max_features", options.max_features.map(|n| n.to_string()));
    put("min_df", df(options.min_df, default.min_df));
    put("max_df", df(options.max_df, default.max_df));
    put("binary", flag(options.binary, default.binary));
    put(
        "sublinear_tf",
        flag(options.sublinear_tf, default.sublinear_tf),
    );
    put("smooth_idf", flag(options.smooth_idf, default.smooth_idf));
    put("use_idf", flag(options.use_idf, default.use_idf));
    if options.norm != default.norm {
        put("norm", name_in(&NORMS, &options.norm));
    }
    put("lowercase", flag(options.lowercase, default.lowercase));
    if options.strip_accents != default.strip_accents {
        put("strip_accents", name_in(&ACCENTS, &options.strip_accents));
    }
    let pattern = match &options.token_pattern {
        TokenPattern::Default => None,
        TokenPattern::Regex(pattern) => Some(quoted(pattern)),
    };
    put("token_pattern", pattern);
    put("decode_escapes", flag(decode_escapes, false));
    braced(&entries)
}
