//! TF-IDF over made-up titles: `cargo bench --bench tfidf`.
//!
//! For the ratio to scikit-learn see `peers/tfidf.py`.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use doppel::text::tfidf::{Analyzer, StopWords, Tfidf, TfidfOptions};
use fastrand::Rng;

/// Titles of 5 to 15 words, common ones more often than rare ones, in groups of near-duplicates.
fn titles(count: usize, seed: u64) -> Vec<String> {
    let mut random = Rng::with_seed(seed);
    let letters = [
        "ba", "di", "ka", "le", "mo", "nu", "pa", "ri", "sa", "tu", "wa", "yu",
    ];
    let words: Vec<String> = (0..40_000)
        .map(|i| {
            let syllables = random.usize(2..5);
            let word: String = (0..syllables)
                .map(|_| letters[random.usize(0..12)])
                .collect();
            if i % 8 == 0 {
                format!("{word}{}", random.u32(1..999))
            } else {
                word
            }
        })
        .collect();
    // Rank by a power of a uniform number: close to Zipf's law.
    let word = |random: &mut Rng| {
        let rank = (words.len() as f64).powf(random.f64()) as usize;
        words[rank.min(words.len() - 1)].clone()
    };
    let mut out = Vec::with_capacity(count);
    while out.len() < count {
        let length = random.usize(5..16);
        let base: Vec<String> = (0..length).map(|_| word(&mut random)).collect();
        for _ in 0..random.usize(1..6) {
            let mut title = base.clone();
            let at = random.usize(0..title.len());
            title[at] = word(&mut random);
            out.push(title.join(" "));
        }
    }
    out.truncate(count);
    random.shuffle(&mut out);
    out
}

fn fit(c: &mut Criterion) {
    let rows = titles(70_000, 7);
    let given: Vec<Option<&str>> = rows.iter().map(|t| Some(t.as_str())).collect();
    let competition = TfidfOptions {
        stop_words: StopWords::English,
        binary: true,
        max_features: Some(25_000),
        ..TfidfOptions::default()
    };
    let bigrams = TfidfOptions {
        ngram: (1, 2),
        ..TfidfOptions::default()
    };
    let borders = TfidfOptions {
        analyzer: Analyzer::CharWb,
        ngram: (3, 3),
        max_features: Some(25_000),
        ..TfidfOptions::default()
    };
    let mut group = c.benchmark_group("tfidf fit_transform 70,000 titles");
    group
        .sample_size(20)
        .throughput(Throughput::Elements(given.len() as u64));
    let all = [
        ("competition", competition),
        ("bigrams", bigrams),
        ("char_wb 3", borders),
    ];
    for (name, options) in all {
        group.bench_function(name, |b| {
            b.iter(|| Tfidf::fit_transform(black_box(&given), &options));
        });
    }
    group.finish();
}

criterion_group!(benches, fit);
criterion_main!(benches);
