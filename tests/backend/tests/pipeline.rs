//! What a marketplace needs: encoders with seeded weights, nearest neighbours, and matches.

use doppel::device::SweepSteps;
use doppel::device::{Lower, Plan, Precision, Stream, Weights};
use doppel::lists::Lists;
use doppel::matching::{Rule, Source, resolve};
use doppel::nn::text::{TextBuild, TextConfig, TextEncoder, TextPool, text_graph};
use doppel::nn::{self, Build, ImageEncoder, ImageOptions};
use doppel::search::{TopK, dense_on};
use doppel::tensor::Matrix;
use doppel_backend_test::{devices, noise};

/// Weights for all of a graph's keys: filters of a size that keeps values near 1, and norms that do
/// little.
fn seeded(graph: &doppel::device::Graph) -> Weights {
    let one = |(at, (key, dims)): (usize, (String, Vec<usize>))| {
        let count: usize = dims.iter().product();
        let depth: usize = dims[1..].iter().product();
        let values: Vec<f32> = match dims.len() {
            1 if key.ends_with("bias") || key.ends_with("mean") => vec![0.1; count],
            1 => vec![1.0; count],
            _ => {
                let size = (3.0 / depth as f32).sqrt();
                noise(count, at as u64).iter().map(|v| v * size).collect()
            }
        };
        (key, (dims, values))
    };
    nn::params(graph).into_iter().enumerate().map(one).collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter()
            .zip(b)
            .map(|(&x, &y)| f64::from(x) * f64::from(y))
            .sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn an_image_encoder_runs_from_seeded_weights() {
    let options = ImageOptions {
        size: Some(32),
        ..ImageOptions::new("resnet18")
    };
    let graph = nn::graph(nn::arch("resnet18").unwrap(), &Build::new(1, 32)).unwrap();
    let weights = seeded(&graph);
    let images = noise(2 * 32 * 32 * 3, 9);
    // The simulated card takes seconds for each image of a batch; the CPU shows the interface.
    let device = doppel::device::open("cpu").unwrap();
    let encoder = ImageEncoder::new(&options, &weights, device).unwrap();
    let mut out = vec![0.0; 2 * encoder.dims()];
    encoder.encode(&images, &mut out).unwrap();
    assert!(out.iter().all(|v| v.is_finite()));
    assert!(
        cosine(&out[..512], &out[512..]) < 0.999_999,
        "the images differ"
    );
    let mut again = vec![0.0; encoder.dims()];
    encoder.encode(&images[32 * 32 * 3..], &mut again).unwrap();
    assert_eq!(
        again,
        out[512..],
        "an image's embedding does not depend on its neighbours"
    );
}

#[test]
fn a_text_encoder_gives_the_same_titles_everywhere() {
    let config = TextConfig::parse(
        r#"{"model_type": "bert", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
            "intermediate_size": 64, "hidden_act": "gelu", "layer_norm_eps": 1e-12, "vocab_size": 50,
            "max_position_embeddings": 16, "type_vocab_size": 2, "pad_token_id": 0}"#,
    )
    .unwrap();
    let build = TextBuild {
        tokens: 1,
        titles: 1,
        pool: TextPool::Mean,
    };
    let graph = text_graph(&config, &build).unwrap();
    let weights = seeded(&graph);
    let titles: [&[u32]; 3] = [&[1, 7, 9, 2], &[1, 30, 2], &[1, 7, 9, 44, 2]];
    let mut first: Option<Vec<f32>> = None;
    for device in devices() {
        let name = device.info().name.clone();
        let how = Lower::Infer(Precision::F32);
        if let Err(error) = Plan::new(&graph, &weights, device.clone(), how) {
            assert!(device.info().is_card(), "{name}: {error}");
            println!("skipped: {error}");
            continue;
        }
        let encoder = TextEncoder::new(&config, TextPool::Mean, &weights, device).unwrap();
        let mut out = vec![0.0; 3 * encoder.dims()];
        encoder.encode(&titles, &mut out).unwrap();
        let cpu = first.get_or_insert_with(|| out.clone());
        for (a, b) in out.chunks(32).zip(cpu.chunks(32)) {
            assert!(cosine(a, b) > 0.9999, "{name}");
        }
    }
}

#[test]
fn neighbours_are_the_same_to_the_bit_on_every_device() {
    let (rows, dims, k) = (40, 24, 5);
    let mut values = noise(rows * dims, 11);
    values.copy_within(3 * dims..4 * dims, 17 * dims);
    let x = Matrix::new(rows, dims, values).unwrap();
    let opt = TopK { k, min_score: None };
    let mut first: Option<Lists> = None;
    for device in devices() {
        let lists = dense_on(&*device, &x, None, &opt).unwrap();
        let own: Vec<(u32, f64)> = lists.row(3).iter().collect();
        assert_eq!((own[0].0, own[1].0), (3, 17), "the copy comes next");
        let cpu = first.get_or_insert_with(|| lists.clone());
        assert_eq!(*cpu, lists, "{}", device.info().name);
    }
}

#[test]
fn evidence_is_fused_to_matches() {
    let list = |rows: [&[(u32, f64)]; 4]| Lists::from_rows(rows.map(|row| row.to_vec()));
    let images = list([
        &[(0, 1.0), (1, 0.80)],
        &[(1, 1.0), (0, 0.80)],
        &[(2, 1.0), (3, 0.40)],
        &[(3, 1.0), (2, 0.40)],
    ]);
    let titles = list([
        &[(0, 1.0), (2, 0.10)],
        &[(1, 1.0)],
        &[(2, 1.0), (3, 0.60)],
        &[(3, 1.0), (2, 0.60)],
    ]);
    let (image, title) = (
        SweepSteps {
            low: 0.24,
            high: 0.5,
            step: 0.01,
        },
        SweepSteps {
            low: 0.25,
            high: 0.5,
            step: 0.2,
        },
    );
    let steps = |s: SweepSteps| doppel::matching::Steps {
        low: s.low,
        high: s.high,
        step: s.step,
    };
    let rule = Rule::sweep()
        .over(0, steps(image))
        .over(1, steps(title))
        .rule();
    let sources = [
        Source::new("image", images.clone()),
        Source::new("title", titles.clone()),
    ];
    let matches = resolve(&sources, &rule, 4).unwrap();
    let answers: Vec<Vec<u32>> = matches.answers();
    assert_eq!(answers, [vec![0, 1], vec![1, 0], vec![2, 3], vec![3, 2]]);
    // The device's own sweep, where it has one, finds the same neighbours.
    for device in devices() {
        let evidence = [&images, &titles];
        match device.sweep(&evidence, &[image, title], None, Stream::DEFAULT) {
            Err(e) => assert_eq!(e.kind(), doppel::error::Kind::Unsupported, "{e}"),
            Ok(fired) => {
                let rows: Vec<Vec<u32>> = fired
                    .iter()
                    .map(|row| row.iter().map(|f| f.row).collect())
                    .collect();
                assert_eq!(rows, [[1], [0], [3], [2]], "{}", device.info().name);
                assert_eq!((fired[0][0].source, fired[2][0].source), (0, 1));
            }
        }
    }
}
