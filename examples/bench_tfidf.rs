//! Times TF-IDF's `fit_transform` for `benches/peers/tfidf.py`.
//!
//! usage: bench_tfidf TITLES.txt [OUT.npz]
//!
//! Reads one title a line, then answers each line on standard input with one run: a line of JSON
//! with the seconds that `fit_transform` took on titles already in memory. With OUT.npz the matrix
//! of a first run is written there.

use std::error::Error;
use std::io::BufRead;
use std::time::Instant;

use doppel::embed::store::write_npz;
use doppel::text::tfidf::{StopWords, Tfidf, TfidfOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let path = arguments
        .get(1)
        .ok_or("usage: bench_tfidf TITLES.txt [OUT.npz]")?;
    let text = std::fs::read_to_string(path)?;
    let titles: Vec<Option<&str>> = text.lines().map(Some).collect();
    let options = TfidfOptions {
        stop_words: StopWords::English,
        binary: true,
        max_features: Some(25_000),
        ..TfidfOptions::default()
    };
    if let Some(out) = arguments.get(2) {
        write_npz(out, &Tfidf::fit_transform(&titles, &options)?.1)?;
    }
    for line in std::io::stdin().lock().lines() {
        line?;
        let start = Instant::now();
        let (tfidf, matrix) = Tfidf::fit_transform(&titles, &options)?;
        let seconds = start.elapsed().as_secs_f64();
        let (features, nnz) = (tfidf.vocabulary().len(), matrix.nnz());
        println!(r#"{{"seconds": {seconds}, "features": {features}, "nnz": {nnz}}}"#);
    }
    Ok(())
}
