//! Token ids of titles beside transformers' fast tokenizers, as sentence-transformers calls them.
//!
//! `tokenize/make.py` trained the tokenizers and wrote the titles and their ids. Every id is compared.

use std::path::{Path, PathBuf};

use doppel::text::tokenize::{TokenizeOptions, Tokenizer};
use serde_json::Value;

const LIMITS: [usize; 3] = [256, 128, 16];

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/tokenize")
        .join(name)
}

fn json(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(data(name)).unwrap()).unwrap()
}

fn texts() -> Vec<String> {
    serde_json::from_value(json("texts.json")).unwrap()
}

fn array(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

/// The folder of one case, as the script laid it out for transformers.
fn laid_out(case: &Value) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let trained = data(case["folder"].as_str().unwrap());
    for file in array(&case["files"]) {
        let file = file.as_str().unwrap();
        let mut bytes = std::fs::read(trained.join(file)).unwrap();
        if file == "tokenizer.json" {
            let mut tokenizer: Value = serde_json::from_slice(&bytes).unwrap();
            for (key, value) in case["patch"].as_object().unwrap() {
                tokenizer[key] = value.clone();
            }
            bytes = tokenizer.to_string().into_bytes();
        }
        std::fs::write(folder.path().join(file), bytes).unwrap();
    }
    for (file, value) in case["written"].as_object().unwrap() {
        std::fs::write(folder.path().join(file), value.to_string()).unwrap();
    }
    folder
}

fn ids(value: &Value) -> Vec<u32> {
    array(value)
        .iter()
        .map(|id| id.as_u64().unwrap() as u32)
        .collect()
}

/// The ids of one case: its own, or those of the case that it names.
fn rows_of<'c>(cases: &'c Value, case: &'c Value) -> &'c [Value] {
    match &case["ids"] {
        Value::String(name) => {
            let same = array(cases).iter().find(|c| c["name"] == **name);
            array(&same.unwrap()["ids"])
        }
        own => array(own),
    }
}

/// What is wrong with one case, and how many ids were compared.
fn compare(case: &Value, rows: &[Value], texts: &[&str]) -> (Vec<String>, usize) {
    let folder = laid_out(case);
    let name = case["name"].as_str().unwrap();
    assert_eq!(rows.len(), texts.len());
    let (mut faults, mut compared) = (Vec::new(), 0);
    for (n, limit) in LIMITS.into_iter().enumerate() {
        let options = TokenizeOptions {
            max_tokens: limit,
            lowercase: case["lowercase"].as_bool().unwrap(),
        };
        let tokenizer = Tokenizer::open(folder.path(), &options).unwrap();
        assert_eq!(tokenizer.max_tokens(), limit);
        let given = tokenizer.encode_many(texts);
        for ((text, row), given) in texts.iter().zip(rows).zip(given) {
            let given = given.unwrap();
            let expected = match &row[n] {
                Value::Null => ids(&row[0]),
                own => ids(own),
            };
            compared += expected.len();
            assert!(given.iter().all(|id| (*id as usize) < tokenizer.ids()));
            if given != expected {
                let text: String = text.chars().take(40).collect();
                faults.push(format!(
                    "{name} at {limit}: {text:?}: {given:?}, not {expected:?}"
                ));
            }
        }
    }
    (faults, compared)
}

#[test]
fn every_id_is_that_of_transformers() {
    let texts = texts();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let cases = json("cases.json");
    let (mut faults, mut compared) = (Vec::new(), 0);
    for case in array(&cases) {
        let (own, count) = compare(case, rows_of(&cases, case), &texts);
        faults.extend(own);
        compared += count;
    }
    let shown: Vec<&String> = faults.iter().take(20).collect();
    assert!(
        faults.is_empty(),
        "{} titles differ: {shown:#?}",
        faults.len()
    );
    assert!(
        array(&cases).len() >= 20 && texts.len() >= 300 && compared > 300_000,
        "{compared}"
    );
}

/// The comparison above would see a tokenizer that does otherwise.
#[test]
fn cases_differ_from_each_other() {
    let cases = json("cases.json");
    let named = |name: &str| {
        let of = |c: &&Value| c["name"] == name;
        rows_of(&cases, array(&cases).iter().find(of).unwrap())
    };
    for (one, other) in [
        ("bert", "bert, baked left"),
        ("bert", "bert, accents"),
        ("bert", "bert, left named"),
        ("bert", "bert, added tokens"),
        ("bert", "bert, older files"),
        ("cased", "cased, do_lower_case"),
        ("roberta", "roberta, merges"),
        ("roberta", "roberta, prefix space"),
        ("roberta", "roberta, split"),
        ("roberta, merges", "roberta, do_lower_case"),
        ("xlm-roberta", "unigram"),
        ("unigram", "unigram, do_lower_case"),
    ] {
        assert_ne!(named(one), named(other), "{one} and {other}");
    }
    assert_eq!(named("bert"), named("bert, vocab.txt"));
}
