//! Encoders whose values overflow half precision: the rows that do are made again in bf16, and no others.

use std::sync::Arc;

use doppel::Result;
use doppel::device::{CpuDevice, Device, GpuDevice, Precision, Source};
use doppel::error::Kind;
use doppel::nn::formula;
use doppel::nn::text::{TextBuild, TextConfig, TextEncoder, TextPool, text_graph};
use doppel::nn::{self, Reopen};

use crate::gemm_sm90::hoppers;
use crate::harness::{cards, light};

/// The token whose embedding is beyond half precision, though not beyond f32.
const LOUD: u32 = 7;

/// Made-up weights with a loud token.
struct Loud(formula::Text);

impl Source for Loud {
    fn dims(&self, key: &str) -> Option<&[usize]> {
        self.0.dims(key)
    }

    fn read(&self, key: &str, from: usize, out: &mut [f32]) -> Result<()> {
        self.0.read(key, from, out)?;
        let columns = self.0.dims(key).map_or(1, |dims| dims[dims.len() - 1]);
        if key.ends_with("word_embeddings.weight") {
            for (i, value) in out.iter_mut().enumerate() {
                if (from + i) / columns == LOUD as usize {
                    *value *= 1e8;
                }
            }
        }
        Ok(())
    }
}

fn config() -> TextConfig {
    TextConfig::parse(
        r#"{"model_type": "bert", "hidden_size": 64, "num_hidden_layers": 2,
            "num_attention_heads": 2, "intermediate_size": 96, "vocab_size": 50,
            "max_position_embeddings": 40}"#,
    )
    .unwrap()
}

fn loud() -> Loud {
    let build = TextBuild {
        tokens: 1,
        titles: 1,
        pool: TextPool::Mean,
    };
    let graph = text_graph(&config(), &build).unwrap();
    Loud(formula::Text::of(nn::params(&graph)))
}

fn encoder(device: Arc<dyn Device>) -> TextEncoder {
    TextEncoder::new(&config(), TextPool::Mean, &loud(), device).unwrap()
}

fn reopen() -> Reopen {
    Box::new(|| Ok(Box::new(loud())))
}

fn embedded(encoder: &TextEncoder, titles: &[&[u32]]) -> Vec<f32> {
    let mut out = vec![f32::NAN; titles.len() * encoder.dims()];
    encoder.encode(titles, &mut out).unwrap();
    out
}

/// 1 - cosine.
fn off(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        let products = a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y));
        products.sum()
    };
    1.0 - dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// Titles with the loud token and without.
const TITLES: [&[u32]; 5] = [
    &[1, 2, 3, 4],
    &[5, LOUD, 6],
    &[9, 9],
    &[LOUD],
    &[10, 11, 12, 13, 14, 15, 16],
];

/// Rows that overflow are near the CPU's within what bf16 may lose, the others within what f16 may: the
/// bounds of `text_cards`.
fn near_the_cpu(have: &[f32], want: &[f32], dims: usize) {
    let rows = have.chunks_exact(dims).zip(want.chunks_exact(dims));
    for (i, (a, b)) in rows.enumerate() {
        assert!(a.iter().all(|v| v.is_finite()), "title {i}");
        let most = match TITLES[i].contains(&LOUD) {
            true => 64e-4,
            false => 1e-4,
        };
        let off = off(a, b);
        assert!(off < most, "title {i}: {off:e}");
    }
}

fn all_cards() -> Vec<Arc<GpuDevice>> {
    let more = if light() { Vec::new() } else { hoppers() };
    cards().into_iter().chain(more).collect()
}

#[test]
fn titles_that_overflow_are_made_again_in_bf16() {
    let want = embedded(&encoder(Arc::new(CpuDevice::default())), &TITLES);
    for card in all_cards() {
        let own = encoder(card.clone()).reopened_by(reopen());
        let have = embedded(&own, &TITLES);
        near_the_cpu(&have, &want, own.dims());
        let note = own.note().unwrap();
        assert!(
            note.starts_with("2 rows overflow half precision")
                && note.contains("bf16")
                && !note.contains('\n'),
            "{note}"
        );
        assert_eq!(own.note(), None);
        // A row does not depend on those beside it: without the loud ones, nothing else changes.
        let quiet: Vec<&[u32]> = [0, 2, 4].map(|i| TITLES[i]).to_vec();
        let alone = embedded(&own, &quiet);
        assert_eq!(own.note(), None);
        let dims = own.dims();
        for (row, i) in alone.chunks_exact(dims).zip([0, 2, 4]) {
            assert!(off(row, &have[i * dims..(i + 1) * dims]) < 1e-6);
        }
        // Without weights to open again it is one line.
        let mut out = vec![0.0; TITLES.len() * dims];
        let error = encoder(card).encode(&TITLES, &mut out).unwrap_err();
        assert_eq!(error.kind(), Kind::Unsupported, "{error}");
        assert!(error.to_string().contains("--precision bf16"), "{error}");
    }
}

#[test]
fn lanes_of_titles_make_them_again_too() {
    let want = embedded(&encoder(Arc::new(CpuDevice::default())), &TITLES);
    for card in cards() {
        let own = encoder(card.clone()).reopened_by(reopen());
        let mut lanes = own.lanes(2000).unwrap().unwrap();
        for _ in 0..2 {
            let lane = &mut lanes.lanes[0];
            let mut out = vec![f32::NAN; TITLES.len() * own.dims()];
            lane.submit(&TITLES).unwrap();
            lane.collect(&mut out).unwrap();
            near_the_cpu(&out, &want, own.dims());
            assert!(own.note().unwrap().starts_with("2 rows"));
        }
        // In bf16 from the start nothing is made again.
        let stored = GpuDevice::new(Arc::clone(card.driver())).storing(Precision::BF16);
        let wide = encoder(Arc::new(stored));
        let have = embedded(&wide, &TITLES);
        for (a, b) in have.chunks_exact(64).zip(want.chunks_exact(64)) {
            assert!(off(a, b) < 64e-4);
        }
        assert_eq!(wide.note(), None);
    }
}
