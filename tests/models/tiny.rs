//! Whole folders as they are published, small: what is in them, and sentence-transformers' token ids and
//! vectors.

use std::fs;

use doppel::nn::text::{TextEncoder, TextFolder, TextPool};
use doppel::nn::weights::OpenOptions;
use doppel::text::tokenize::{TokenizeOptions, Tokenizer};
use serde::Deserialize;

use crate::common::{cpu, farthest};
use crate::text::file;

/// What sentence-transformers says of a folder.
#[derive(Deserialize)]
struct Expected {
    titles: Vec<String>,
    ids: Vec<Vec<u32>>,
    raw: Vec<Vec<f32>>,
    unit: Vec<Vec<f32>>,
}

fn check(name: &str, pool: TextPool, max_tokens: usize, ignored: usize) {
    let folder = TextFolder::open(file(&format!("tiny/{name}"))).unwrap();
    assert_eq!(folder.pool, pool, "{name}");
    assert_eq!(folder.max_tokens, max_tokens, "{name}");
    assert_eq!(folder.lowercase, name == "roberta");
    let text = fs::read_to_string(file(&format!("tiny/{name}/expected.json"))).unwrap();
    let want: Expected = serde_json::from_str(&text).unwrap();
    assert_eq!(want.titles.len(), 40);
    let options = TokenizeOptions {
        max_tokens,
        lowercase: folder.lowercase,
    };
    let tokenizer = Tokenizer::open(&folder.path, &options).unwrap();
    for (title, ids) in want.titles.iter().zip(&want.ids) {
        assert_eq!(tokenizer.encode(title).unwrap(), *ids, "{name}: {title:?}");
    }
    let (encoder, extras) =
        TextEncoder::open(&folder, pool, OpenOptions::default(), cpu()).unwrap();
    assert_eq!(extras.ignored.len(), ignored, "{name}: {extras:?}");
    let titles: Vec<&[u32]> = want.ids.iter().map(|t| &t[..]).collect();
    let mut got = vec![0.0; titles.len() * encoder.dims()];
    encoder.encode(&titles, &mut got).unwrap();
    let error = farthest(&got, &want.raw.concat());
    println!("{name}: {error:.1e}");
    assert!(error < 1e-5, "{name}: {error:.1e}");
    for row in got.chunks_mut(encoder.dims()) {
        let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        row.iter_mut().for_each(|x| *x /= length);
    }
    assert!(farthest(&got, &want.unit.concat()) < 1e-5, "{name}");
}

#[test]
fn bert_of_older_files() {
    check("bert", TextPool::Mean, 32, 7);
}

#[test]
fn distilbert_without_a_tokenizer_json() {
    check("distil", TextPool::Cls, 48, 0);
}

#[test]
fn roberta_with_its_head() {
    check("roberta", TextPool::Mean, 56, 2);
}

#[test]
fn xlm_roberta_of_newer_files() {
    check("xlmr", TextPool::Cls, 48, 2);
}
