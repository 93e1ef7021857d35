//! `engine tfidf`.

use std::path::PathBuf;
use std::time::Instant;

use clap::{Args, ValueEnum};
use doppel::embed::store;
use doppel::error::{Error, Result};
use doppel::files::write_whole;
use doppel::listings::Listings;
use doppel::text::clean::decode_escapes;
use doppel::text::tfidf::{
    Analyzer, Df, Norm, StopWords, StripAccents, Tfidf, TfidfOptions, TokenPattern,
};
use serde_json::json;

use crate::common::{Common, Done, peak_memory, seconds};
use crate::matching::different;

#[derive(Args)]
#[command(
    after_help = "Example:\n  engine tfidf listings.csv --stop-words english --max-features \
    25000 --out titles.npz\n\nscipy.sparse.load_npz reads the result: one row a listing, in input order."
)]
pub struct Arguments {
    /// The listings; their title column is used
    #[arg(value_name = "LISTINGS.csv")]
    listings: PathBuf,
    /// What a feature is made of
    #[arg(long, value_enum, default_value = "word")]
    analyzer: AnalyzerName,
    /// The shortest and the longest n-gram
    #[arg(long, value_name = "A,B", default_value = "1,1", value_parser = ngram)]
    ngram: (usize, usize),
    /// Words to leave out: `english` (scikit-learn's list) or a file with one word a line
    #[arg(long, value_name = "english|FILE")]
    stop_words: Option<String>,
    /// Keep the N most frequent features; ties at the cut go to the one that sorts first
    #[arg(long, value_name = "N")]
    max_features: Option<usize>,
    /// Leave out features in fewer documents: a count, or a share with a point (0.01)
    #[arg(long, value_name = "N|F", default_value = "1", value_parser = df)]
    min_df: Df,
    /// Leave out features in more documents: a count, or a share with a point (0.5)
    #[arg(long, value_name = "N|F", default_value = "1.0", value_parser = df)]
    max_df: Df,
    /// Count a feature once a title
    #[arg(long)]
    binary: bool,
    /// Use 1 + ln(count) for the count
    #[arg(long)]
    sublinear: bool,
    /// The length that a row is given
    #[arg(long, value_enum, default_value = "l2")]
    norm: NormName,
    /// Do not add one to document frequencies
    #[arg(long)]
    no_smooth_idf: bool,
    /// Keep upper case
    #[arg(long)]
    no_lowercase: bool,
    /// Remove accents
    #[arg(long, value_enum)]
    strip_accents: Option<AccentsName>,
    /// What a token is, as a regular expression (for --analyzer word)
    #[arg(long, value_name = "REGEX")]
    token_pattern: Option<String>,
    /// Turn literal \xNN escapes of a title into text first
    #[arg(long)]
    decode_escapes: bool,
    /// Where the features' names go, as a JSON list in column order
    #[arg(long, value_name = "FILE")]
    vocabulary: Option<PathBuf>,
    /// Where the rows go
    #[arg(long, value_name = "X.npz")]
    out: PathBuf,
    #[command(flatten)]
    pub common: Common,
}

#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum AnalyzerName {
    Word,
    Char,
    CharWb,
}

#[derive(Clone, Copy, ValueEnum)]
enum NormName {
    L2,
    L1,
    None,
}

#[derive(Clone, Copy, ValueEnum)]
enum AccentsName {
    Ascii,
    Unicode,
}

fn ngram(text: &str) -> std::result::Result<(usize, usize), String> {
    let parsed = text
        .split_once(',')
        .and_then(|(a, b)| Some((a.trim().parse().ok()?, b.trim().parse().ok()?)));
    parsed.ok_or_else(|| "give the shortest and the longest, as in 1,2".to_string())
}

fn df(text: &str) -> std::result::Result<Df, String> {
    if let Ok(count) = text.parse() {
        return Ok(Df::Count(count));
    }
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(Df::Fraction(share)),
        _ => Err("give a whole number of documents, or a share from 0.0 to 1.0".to_string()),
    }
}

impl Arguments {
    fn options(&self) -> Result<TfidfOptions> {
        let stop_words = match self.stop_words.as_deref() {
            None => StopWords::None,
            Some("english") => StopWords::English,
            Some(file) => {
                let text = std::fs::read_to_string(file).map_err(|e| {
                    Error::io(e, file).mend("--stop-words takes `english` or a file of words")
                })?;
                StopWords::List(text.split_whitespace().map(str::to_string).collect())
            }
        };
        let options = TfidfOptions {
            analyzer: match self.analyzer {
                AnalyzerName::Word => Analyzer::Word,
                AnalyzerName::Char => Analyzer::Char,
                AnalyzerName::CharWb => Analyzer::CharWb,
            },
            ngram: self.ngram,
            stop_words,
            max_features: self.max_features,
            min_df: self.min_df,
            max_df: self.max_df,
            binary: self.binary,
            sublinear_tf: self.sublinear,
            smooth_idf: !self.no_smooth_idf,
            norm: match self.norm {
                NormName::L2 => Norm::L2,
                NormName::L1 => Norm::L1,
                NormName::None => Norm::None,
            },
            lowercase: !self.no_lowercase,
            strip_accents: match self.strip_accents {
                None => StripAccents::None,
                Some(AccentsName::Ascii) => StripAccents::Ascii,
                Some(AccentsName::Unicode) => StripAccents::Unicode,
            },
            token_pattern: match &self.token_pattern {
                None => TokenPattern::Default,
                Some(pattern) => TokenPattern::Regex(pattern.clone()),
            },
            ..TfidfOptions::default()
        };
        options.validate()?;
        Ok(options)
    }
}

pub fn run(a: &Arguments) -> Result<Done> {
    different(&[Some(&a.listings), Some(&a.out), a.vocabulary.as_ref()])?;
    let options = a.options()?;
    let mut listings = Listings::read(&a.listings)?;
    if !listings.has_titles() {
        return Err(Error::input("has no column title")
            .path(&a.listings)
            .mend("tfidf works on titles: add that column"));
    }
    let start = Instant::now();
    let decoded: Vec<Option<String>> = listings
        .items
        .iter()
        .map(|l| {
            l.title
                .as_deref()
                .filter(|_| a.decode_escapes && !l.rejected)
                .map(decode_escapes)
        })
        .collect();
    let titles: Vec<Option<&str>> = listings
        .items
        .iter()
        .zip(&decoded)
        .map(|(l, d)| {
            d.as_deref()
                .or(if l.rejected { None } else { l.title.as_deref() })
        })
        .collect();
    let (model, matrix) = Tfidf::fit_transform(&titles, &options)?;
    let took = start.elapsed().as_secs_f64();
    store::write_npz(&a.out, &matrix)?;
    let settings = json!({"options": options, "decode_escapes": a.decode_escapes});
    store::Manifest::of_npz(&a.out, &matrix, settings)?.write(&a.out)?;
    if let Some(path) = &a.vocabulary {
        let text = serde_json::to_string(model.vocabulary())
            .map_err(|e| Error::internal(e.to_string()))?;
        write_whole(path, |w| writeln!(w, "{text}"))?;
    }
    let done = a.common.ledger(&mut listings.ledger, &a.out)?;
    a.common.print(&format!(
        "{} rows, {} features, {} values, {} ({})",
        matrix.rows(),
        matrix.cols(),
        matrix.nnz(),
        seconds(took),
        a.out.display()
    ));
    a.common.result(&json!({
        "rows": matrix.rows(),
        "features": matrix.cols(),
        "values": matrix.nnz(),
        "seconds": took,
        "peak_memory_bytes": peak_memory(),
        "rejects": listings.ledger.len(),
        "out": a.out,
    }));
    Ok(done)
}
