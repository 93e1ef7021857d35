//! The published all-MiniLM-L6-v2 against sentence-transformers, on 1,000 made-up titles.
//!
//! The model is in target/minilm (`cargo xtask minilm`), or where `DOPPEL_MINILM` says. Without it the
//! test is skipped, or fails where `DOPPEL_MINILM_REQUIRED` is 1.

use std::fs;
use std::path::PathBuf;

use doppel::device::{DType, values_of};
use doppel::nn::text::{TextEncoder, TextFolder, TextPool};
use doppel::nn::weights::OpenOptions;
use doppel::text::tokenize::{TokenizeOptions, Tokenizer};

use crate::common::{cpu, farthest};
use crate::text::file;

const DIMS: usize = 384;

fn folder() -> Option<PathBuf> {
    let folder = match std::env::var_os("DOPPEL_MINILM") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/minilm"),
    };
    if folder.join("model.safetensors").is_file() {
        return Some(folder);
    }
    let required = std::env::var("DOPPEL_MINILM_REQUIRED").is_ok_and(|v| v == "1");
    assert!(
        !required,
        "no model in {}, and DOPPEL_MINILM_REQUIRED=1",
        folder.display()
    );
    println!("skipped: no MiniLM (cargo xtask minilm)");
    None
}

/// Vectors of length 1, the titles in this order.
fn embed(encoder: &TextEncoder, titles: &[Vec<u32>], order: &[usize]) -> Vec<f32> {
    let ids: Vec<&[u32]> = order.iter().map(|&i| &titles[i][..]).collect();
    let mut vectors = vec![0.0; ids.len() * DIMS];
    encoder.encode(&ids, &mut vectors).unwrap();
    for row in vectors.chunks_mut(DIMS) {
        let squares: f64 = row.iter().map(|&x| f64::from(x).powi(2)).sum();
        let by = 1.0 / squares.sqrt();
        row.iter_mut()
            .for_each(|x| *x = (f64::from(*x) * by) as f32);
    }
    vectors
}

#[test]
fn a_thousand_titles_have_sentence_transformers_vectors() {
    let Some(path) = folder() else {
        return;
    };
    let text = fs::read_to_string(file("minilm/titles.json")).unwrap();
    let (titles, ids): (Vec<String>, Vec<Vec<u32>>) =
        serde_json::from_str::<Vec<(String, Vec<u32>)>>(&text)
            .unwrap()
            .into_iter()
            .unzip();
    let want = values_of(&fs::read(file("minilm/vectors.f32")).unwrap(), DType::F32);
    assert_eq!((titles.len(), want.len()), (1000, 1000 * DIMS));

    let folder = TextFolder::open(&path).unwrap();
    assert_eq!((folder.pool, folder.max_tokens), (TextPool::Mean, 256));
    let options = TokenizeOptions {
        max_tokens: folder.max_tokens,
        lowercase: folder.lowercase,
    };
    let tokenizer = Tokenizer::open(&path, &options).unwrap();
    for (title, ids) in titles.iter().zip(&ids) {
        assert_eq!(tokenizer.encode(title).unwrap(), *ids, "{title:?}");
    }
    assert!(ids.iter().filter(|ids| ids.len() == 256).count() > 10);

    let how = OpenOptions::default();
    let (encoder, extras) = TextEncoder::open(&folder, folder.pool, how, cpu()).unwrap();
    // The pooler's two, and the positions' numbers.
    assert_eq!(extras.ignored.len(), 3, "{extras}");
    let all: Vec<usize> = (0..titles.len()).collect();
    let got = embed(&encoder, &ids, &all);
    let error = farthest(&got, &want);
    println!("1,000 titles: at most {error:.2e} off");
    assert!(error < 1e-5, "{error:.2e}");

    // In another order, and alone.
    let mut order = all.clone();
    fastrand::Rng::with_seed(7).shuffle(&mut order);
    let shuffled = embed(&encoder, &ids, &order);
    let row = |of: &[f32], i: usize| of[i * DIMS..][..DIMS].to_vec();
    let moved = order
        .iter()
        .enumerate()
        .map(|(at, &i)| farthest(&row(&shuffled, at), &row(&got, i)))
        .fold(0.0, f64::max);
    let alone = (0..titles.len())
        .step_by(20)
        .map(|i| farthest(&embed(&encoder, &ids, &[i]), &row(&got, i)))
        .fold(0.0, f64::max);
    println!("in another order {moved:.1e}, alone {alone:.1e}");
    assert!(moved < 1e-6 && alone < 1e-6, "{moved:.1e} {alone:.1e}");
}
