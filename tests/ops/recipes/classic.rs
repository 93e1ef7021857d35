//! Keys of the classical systems: word2vec, colours, a classifier of pairs.

use std::path::Path;

use doppel::recipe::{Of, PairSpec, Recipe, Space};
use doppel::text::word2vec::{Kind, Pool, Word2VecOptions};

use super::{comes_back, parsed};

fn with(lines: &str) -> String {
    format!("name = 'x'\nfusion = 'a < .1'\n{lines}\n")
}

#[track_caller]
fn refused(lines: &str, said: &str) {
    match Recipe::parse(&with(lines), Path::new("")) {
        Ok(recipe) => panic!("{lines}: {recipe:?}"),
        Err(error) => assert!(error.to_string().contains(said), "{lines}: {error}"),
    }
}

#[test]
fn word2vec_reads_and_comes_back() {
    let plain = parsed(&with("[spaces.a]\nword2vec = {}"));
    let of = Of::Word2Vec {
        options: Word2VecOptions::default(),
        decode_escapes: false,
    };
    assert_eq!(plain.spaces, [Space::new("a", of)]);
    comes_back(&plain);
    let every = parsed(&with(
        "[spaces.a]\nclean = ['lower']\nword2vec = { size = 20, window = 3, kind = 'skip-gram', \
         negative = 7, epochs = 9, min_count = 2, sample = 0.01, alpha = 0.05, seed = 4, sum = 'mean', \
         lowercase = false, decode_escapes = true }",
    ));
    let options = Word2VecOptions {
        size: 20,
        window: 3,
        kind: Kind::SkipGram,
        negative: 7,
        epochs: 9,
        min_count: 2,
        sample: 0.01,
        alpha: 0.05,
        seed: 4,
        pool: Pool::Mean,
        lowercase: false,
        vectors: None,
    };
    let of = Of::Word2Vec {
        options,
        decode_escapes: true,
    };
    assert_eq!(every.spaces[0].of, of);
    comes_back(&every);
    let file = parsed(&with(
        "[spaces.a]\nword2vec = { vectors = 'v.bin', sum = 'mean' }",
    ));
    comes_back(&file);
    refused(
        "[spaces.a]\nword2vec = { vectors = 'v', epochs = 3 }",
        "epochs is about learning",
    );
    refused(
        "[spaces.a]\nword2vec = { vectors = '' }",
        "vectors is empty",
    );
    refused(
        "[spaces.a]\nword2vec = { kind = 'glove' }",
        "\"skip-gram\" or \"cbow\"",
    );
    refused("[spaces.a]\nword2vec = { size = 0 }", "size 0");
    refused(
        "[spaces.a]\nword2vec = { dims = 5 }",
        "is no key of word2vec",
    );
    let mut wrong = file.clone();
    let Of::Word2Vec { options, .. } = &mut wrong.spaces[0].of else {
        panic!("{wrong:?}");
    };
    options.epochs = 7;
    let error = wrong.check().unwrap_err().to_string();
    assert!(
        error.contains("space a: vectors come from a file"),
        "{error}"
    );
}

#[test]
fn colours_read_and_come_back() {
    let of = |text: &str| parsed(&with(text)).spaces[0].of.clone();
    let three = Of::Colours {
        clusters: 3,
        seed: 0,
    };
    assert_eq!(of("[spaces.a]\ncolours = {}"), three);
    let five = Of::Colours {
        clusters: 5,
        seed: 2,
    };
    assert_eq!(of("[spaces.a]\ncolours = { clusters = 5, seed = 2 }"), five);
    comes_back(&parsed(&with(
        "[spaces.a]\ncolours = { clusters = 5, seed = 2 }",
    )));
    refused(
        "[spaces.a]\ncolours = { clusters = 0 }",
        "0 clusters of colours",
    );
    refused("[spaces.a]\ncolours = { clusters = 65 }", "give 1 to 64");
    refused("[spaces.a]\ncolours = 3", "colours is a whole number");
    refused(
        "[spaces.a]\ncolours = {}\nclean = ['lower']",
        "clean is no key",
    );
}

#[test]
fn a_classifier_of_pairs_reads_and_comes_back() {
    let parts = "[spaces]\nb.given = true\nc.given = true\nw.tfidf = {}\nh.phash = true\n";
    let two = parsed(&with(&format!(
        "{parts}a = {{ pair = ['c', 'b'], weights = 'w.st', pairs = 5 }}"
    )));
    let at = |name: &str| two.spaces.iter().position(|s| s.name == name).unwrap();
    let of = Of::Pair {
        spaces: vec![at("c"), at("b")],
        classifier: PairSpec {
            weights: "w.st".into(),
            pairs: 5,
        },
    };
    assert_eq!(two.spaces[at("a")].of, of);
    comes_back(&two);
    comes_back(&parsed(&with(&format!("{parts}a.pair = ['b']"))));
    let refused = |lines: &str, said: &str| refused(&format!("{parts}{lines}"), said);
    refused("a.pair = []", "made of no spaces");
    refused("a.pair = ['b', 'b']", "made of b twice");
    refused("a.pair = ['d']", "there is no space \"d\"");
    refused("a.pair = ['w']", "its part w has sparse rows");
    refused("a.pair = ['h']", "its part h holds hashes");
    refused("a = { pair = ['b'], pairs = 0 }", "0 pairs");
    refused(
        "a = { pair = ['b'], refine = [{ expand = { k = 2, alpha = 1 } }] }",
        "no rows to refine",
    );
    refused(
        "p.pair = ['b']\na.concat = { p = 1 }",
        "its part p judges pairs",
    );
    refused(
        "p.pair = ['b']\na.fused = { p = 1 }",
        "its part p judges pairs",
    );
    refused("p.pair = ['b']\na.pair = ['p']", "its part p has no rows");
}
