//! Operations on sequences on the cards at hand, in every precision, against the naive twin; and whole
//! text encoders in miniature.

use std::sync::Arc;

use doppel::device::{
    CpuDevice, DType, Desc, Device, GpuDevice, NaiveDevice, Op, Precision, Scalar, Stream, Support,
    alloc, bytes_of, values_of,
};
use doppel::error::Kind;
use doppel::nn;
use doppel::nn::formula;
use doppel::nn::text::{TextBuild, TextConfig, TextEncoder, TextPool, text_graph};

use crate::harness::{FLOATS, Guarded, SHORTS, cards, compare, rounding, run, run_at, thin};
use crate::text::{Filled, NORM, attention, embedding, floats, heads_of, offsets, seeded, words};

/// The same values in `dtype`; rows and offsets stay.
fn stored(ins: &Filled, dtype: DType) -> Filled {
    let one = |(desc, bytes): &(Desc, Vec<u8>)| match desc.dtype {
        DType::U32 => (desc.clone(), bytes.clone()),
        from => {
            let values = values_of(bytes, from);
            (Desc::new(&desc.dims, dtype), bytes_of(&values, dtype))
        }
    };
    ins.iter().map(one).collect()
}

/// Every card against the naive twin, aligned and not.
fn check(op: &Op, ins: &Filled, dtype: DType) {
    let ins = stored(ins, dtype);
    let descs: Vec<Desc> = ins.iter().map(|(d, _)| d.clone()).collect();
    let cards = cards();
    if cards.is_empty() {
        return;
    }
    let want = run(&NaiveDevice::default(), op, &ins).unwrap();
    for card in cards {
        assert_eq!(card.supports(op, &descs), Support::Native, "{op:?}");
        for at in [0, dtype.size()] {
            let have = run_at(&*card, op, &ins, at).unwrap();
            compare(
                op,
                &ins,
                &have,
                &want,
                &format!("{} at {at}", card.info().name),
            );
        }
    }
}

/// On the borders of fragments, tiles and steps of keys; empty ones first and within.
const LENGTHS: [usize; 10] = [0, 1, 2, 15, 16, 0, 17, 33, 65, 3];

/// Heads of the tuned widths, and of widths that fill no fragment, one fragment, and no kernel's.
#[test]
fn attention_on_every_width_and_length() {
    let widths = vec![(2, 64), (2, 32), (3, 8), (1, 33), (1, 64), (1, 130), (1, 1)];
    for (i, (heads, width)) in thin(widths).enumerate() {
        let op = attention(heads, 1.0 / (width as f32).sqrt());
        let ins = heads_of(heads, width, &LENGTHS, 1.5, 7 * i as u64);
        for dtype in FLOATS {
            check(&op, &ins, dtype);
        }
    }
}

/// Lengths on the borders of tiles and of steps of keys, one sequence of the usual greatest length, and
/// hundreds of sequences, empty ones among them.
#[test]
fn attention_over_long_and_many_sequences() {
    for (width, lengths) in thin(vec![
        (64, vec![33, 48]),
        (32, vec![65, 512]),
        (64, vec![257]),
    ]) {
        for dtype in SHORTS {
            check(
                &attention(1, 0.15),
                &heads_of(1, width, &lengths, 2.0, 3),
                dtype,
            );
        }
    }
    let many: Vec<usize> = (0..400).map(|i| [0, 1, 3, 0, 17][i % 5]).collect();
    for dtype in thin(FLOATS.to_vec()) {
        check(&attention(1, 0.2), &heads_of(1, 32, &many, 1.0, 4), dtype);
    }
}

/// Scores of nothing and of thousands, of both signs: what half precision could not hold.
#[test]
fn attention_with_scores_of_all_sizes() {
    for (i, by) in thin(vec![100.0, 0.0, 1e-3, 5.0]).enumerate() {
        for scale in [0.18, -0.18, 0.0] {
            for width in [32, 64, 20] {
                let ins = heads_of(1, width, &[5, 33, 70], by, i as u64);
                for dtype in SHORTS {
                    check(&attention(1, scale), &ins, dtype);
                }
            }
        }
    }
    // 200 * 200 * 64 is 39 times the largest half.
    let (rows, width) = (20, 64);
    let row = |r: usize, by: f32| (0..width).map(move |_| if r == 7 { 200.0 } else { by });
    let of = |by: f32| (0..rows).flat_map(|r| row(r, by)).collect::<Vec<_>>();
    let v = crate::harness::values(rows * width, 5);
    let dims = [rows, width];
    let ins = vec![
        floats(&dims, &vec![200.0; rows * width]),
        floats(&dims, &of(190.0)),
        floats(&dims, &v),
        offsets(&[rows]),
    ];
    for (card, dtype) in cards().iter().flat_map(|c| SHORTS.map(|d| (c, d))) {
        let ins = stored(&ins, dtype);
        let have = run(&**card, &attention(1, 1.0), &ins).unwrap();
        let have = values_of(&have[0].1, dtype);
        let v = values_of(&ins[2].1, dtype);
        for row in have.chunks_exact(width) {
            assert_eq!(
                row,
                &v[7 * width..8 * width],
                "the seventh key is the only one"
            );
        }
    }
}

#[test]
fn a_sequence_is_its_own_bit_for_bit_and_keeps_its_nan() {
    let lengths = [3, 0, 64, 17, 31, 130, 1, 16];
    for (heads, width, dtype) in thin(vec![
        (2, 32, DType::F16),
        (1, 64, DType::F16),
        (2, 20, DType::F16),
        (2, 32, DType::BF16),
        (1, 64, DType::BF16),
        (2, 20, DType::BF16),
        (1, 40, DType::F32),
    ]) {
        let n = heads * width;
        let op = attention(heads, 0.2);
        let ins = stored(&heads_of(heads, width, &lengths, 1.5, 11), dtype);
        let size = dtype.size();
        for card in cards() {
            let all = run(&*card, &op, &ins).unwrap().remove(0).1;
            let means = run(&*card, &Op::SegmentMean, &[ins[0].clone(), ins[3].clone()]);
            let means = means.unwrap().remove(0).1;
            let mut start = 0;
            for (i, &len) in lengths.iter().enumerate() {
                let part = |bytes: &[u8]| bytes[size * n * start..][..size * n * len].to_vec();
                let desc = Desc::new(&[len, n], dtype);
                let three = ins[..3].iter().map(|(_, b)| (desc.clone(), part(b)));
                let mut one: Filled = three.collect();
                one.push(offsets(&[len]));
                let single = run(&*card, &op, &one).unwrap();
                assert_eq!(single[0].1, part(&all), "sequence {i}");
                let mean = run(&*card, &Op::SegmentMean, &[one[0].clone(), one[3].clone()]);
                assert_eq!(mean.unwrap()[0].1, means[size * n * i..][..size * n]);
                start += len;
            }
            // A NaN in a query stays in its row and head.
            let (row, mut bad) = (3 + 64 + 5, ins.clone());
            let at = size * (row * n + 3);
            bad[0].1[at..at + size].copy_from_slice(&bytes_of(&[f32::NAN], dtype));
            let have = values_of(&run(&*card, &op, &bad).unwrap()[0].1, dtype);
            for (i, (a, b)) in have.iter().zip(values_of(&all, dtype)).enumerate() {
                let hit = i / n == row && i % n < width;
                assert!(if hit { a.is_nan() } else { *a == b }, "{i}: {a} for {b}");
            }
        }
    }
}

const ROWS: [usize; 7] = [384, 1, 5, 33, 64, 1024, 1100];

#[test]
fn layer_norms_on_odd_rows() {
    for (i, n) in thin(ROWS.to_vec()).enumerate() {
        for (by, add) in [(1.0, 0.0), (1e-3, 100.0), (1e3, -5e3)] {
            let mut x = crate::harness::values(9 * n, i as u64);
            x.iter_mut().for_each(|v| *v = *v * by + add);
            // A row of equal values, and one of zeros.
            x[2 * n..3 * n].fill(0.1);
            x[4 * n..5 * n].fill(0.0);
            let weights = [seeded(&[n], 50, 1.0), seeded(&[n], 51, 1.0)];
            let [gamma, beta] = weights;
            let ins = vec![floats(&[9, n], &x), gamma, beta];
            for dtype in FLOATS {
                let eps = Scalar::new(1e-5);
                check(&Op::LayerNorm { eps }, &ins, dtype);
            }
        }
    }
}

/// What rounding leaves of a mean of equal values must not be taken for a deviation.
#[test]
fn layer_norms_of_equal_values_are_beta() {
    for n in thin(ROWS.to_vec()) {
        let equal = [1000.0f32, -3.3e4, 1e-4, 7.0 / 3.0];
        let x: Vec<f32> = equal.iter().flat_map(|&v| vec![v; n]).collect();
        let ones = floats(&[n], &vec![1.0; n]);
        let ins = vec![floats(&[4, n], &x), ones, seeded(&[n], 8, 1.0)];
        for (card, dtype) in cards().iter().flat_map(|c| FLOATS.map(|d| (c, d))) {
            let ins = stored(&ins, dtype);
            let have = values_of(&run(&**card, &NORM, &ins).unwrap()[0].1, dtype);
            let beta = values_of(&ins[2].1, dtype);
            for (i, (y, b)) in have.iter().zip(beta.iter().cycle()).enumerate() {
                assert!(
                    (y - b).abs() < 1e-4 + 1e-3 * b.abs(),
                    "{n}, {i}: {y} is not {b}"
                );
            }
        }
    }
}

#[test]
fn lookups_embeddings_and_means_on_odd_rows() {
    for n in thin(ROWS.to_vec()) {
        for dtype in FLOATS {
            for (m, tables) in [(9, 3), (1, 1), (9, 2), (0, 2)] {
                let (op, ins) = embedding(tables, n, m);
                check(&op, &ins, dtype);
            }
            let (_, ins) = embedding(1, n, 9);
            check(&Op::Lookup, &ins[..2].to_vec(), dtype);
            let lengths = [0, 1, 17, 3];
            let x = seeded(&[21, n], n as u64, 3.0);
            check(&Op::SegmentMean, &vec![x, offsets(&lengths)], dtype);
        }
    }
}

#[test]
fn nothing_is_a_batch() {
    let none = floats(&[0, 6], &[]);
    for dtype in FLOATS {
        for ends in [&[0][..], &[0, 0, 0]] {
            let three = [none.clone(), none.clone(), none.clone()];
            let ins: Filled = three.into_iter().chain([words(ends)]).collect();
            check(&attention(2, 1.0), &ins, dtype);
            check(&Op::SegmentMean, &vec![none.clone(), words(ends)], dtype);
        }
        let [gamma, beta] = [seeded(&[6], 1, 1.0), seeded(&[6], 2, 1.0)];
        check(&NORM, &vec![none.clone(), gamma, beta], dtype);
    }
}

/// Nobody looks at rows on a card: one that a table does not have reads nothing, and its result is NaN.
#[test]
fn rows_that_a_table_does_not_have_are_nan() {
    for (card, dtype) in cards().iter().flat_map(|c| FLOATS.map(|d| (c, d))) {
        for (n, at) in [(64, 0), (5, 0), (64, dtype.size())] {
            let (op, ins) = embedding(2, n, 9);
            let mut ins = stored(&ins, dtype);
            let mut rows = [0, 3, 11, 1, 2, u32::MAX, 10, 4, 5];
            ins[2] = words(&rows);
            let bad = |r: usize| r == 2 || r == 5;
            let lookup = [ins[0].clone(), ins[2].clone()];
            let copied = run_at(&**card, &Op::Lookup, &lookup, at).unwrap();
            let normed = run_at(&**card, &op, &ins, at).unwrap();
            for (_, bytes) in copied.iter().chain(&normed) {
                for (r, row) in values_of(bytes, dtype).chunks_exact(n).enumerate() {
                    assert!(row.iter().all(|v| v.is_nan() == bad(r)), "row {r}: {row:?}");
                }
            }
            // The good rows are what they are beside good ones.
            (rows[2], rows[5]) = (0, 0);
            ins[2] = words(&rows);
            let good = run_at(&**card, &op, &ins, at).unwrap();
            let (a, b) = (values_of(&normed[0].1, dtype), values_of(&good[0].1, dtype));
            let pairs = a.chunks_exact(n).zip(b.chunks_exact(n)).enumerate();
            pairs
                .filter(|(r, _)| !bad(*r))
                .for_each(|(_, (a, b))| assert_eq!(a, b));
        }
    }
}

/// Offsets that fall, or reach over the rows, lead nowhere: the guards around all buffers stay, and what
/// belongs to good offsets is as it should be.
#[test]
fn offsets_that_do_not_rise_over_the_rows_touch_nothing() {
    let (rows, n) = (40, 64);
    let cases: [&[u32]; 5] = [
        &[0, 41],
        &[0, 20, 10],
        &[0, u32::MAX, 40],
        &[5, 40],
        &[u32::MAX, 0, 7, 3, 1 << 31, 40],
    ];
    for (card, dtype) in cards().iter().flat_map(|c| FLOATS.map(|d| (c, d))) {
        let ins = stored(&heads_of(1, n, &[rows], 1.0, 6), dtype);
        for bad in cases {
            let mut ins = ins.clone();
            ins[3] = words(bad);
            // The harness checks the guards and the inputs.
            run(&**card, &attention(1, 0.1), &ins).unwrap();
            let mean = run(&**card, &Op::SegmentMean, &[ins[0].clone(), ins[3].clone()]);
            let mean = values_of(&mean.unwrap()[0].1, dtype);
            for (pair, row) in bad.windows(2).zip(mean.chunks_exact(n)) {
                let known = pair[0] <= pair[1] && pair[1] <= rows as u32;
                assert!(row.iter().all(|v| v.is_nan() != known), "{pair:?}: {row:?}");
            }
        }
        let mut none = ins.clone();
        none[3] = words(&[0]);
        let error = run(&**card, &attention(1, 0.1), &none).unwrap_err();
        assert_eq!(error.kind(), Kind::Input, "{error}");
    }
}

/// A stream's second operation finds what the first has written.
#[test]
fn operations_run_in_the_order_of_their_stream() {
    for card in cards() {
        let desc = Desc::new(&[3, 64], DType::F16);
        let [gamma, beta] = [1.0, 0.0].map(|v| bytes_of(&[v; 64], DType::F16));
        let x = bytes_of(&crate::harness::values(192, 1), DType::F16);
        let put = |bytes: &[u8], dims: &[usize]| {
            let buf = alloc(&*card, Desc::new(dims, DType::F16)).unwrap();
            card.upload(bytes, &buf, Stream::DEFAULT).unwrap();
            buf
        };
        let (x, gamma, beta) = (put(&x, &[3, 64]), put(&gamma, &[64]), put(&beta, &[64]));
        let once = Guarded::new_at(&*card, desc.clone(), 0);
        let twice = Guarded::new_at(&*card, desc, 0);
        for (from, to) in [(&x, &once), (&once.buf, &twice)] {
            let ins = [from, &gamma, &beta];
            card.run(&NORM, &ins, &[&to.buf], None, Stream::DEFAULT)
                .unwrap();
        }
        let once = values_of(&once.bytes(&*card, "once"), DType::F16);
        let twice = values_of(&twice.bytes(&*card, "twice"), DType::F16);
        assert!(once.iter().any(|v| *v != 0.0));
        for (a, b) in once.iter().zip(&twice) {
            assert!((a - b).abs() < 4e-3, "{a} and {b}");
        }
    }
}

/// Published encoders with two layers and few columns: their families, heads and activations.
const ENCODERS: [(&str, &str); 5] = [
    (
        "bert",
        r#"{"model_type": "bert", "hidden_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 2, "intermediate_size": 160, "vocab_size": 90,
        "max_position_embeddings": 80}"#,
    ),
    (
        "distilbert",
        r#"{"model_type": "distilbert", "dim": 64, "n_layers": 2, "n_heads": 2,
        "hidden_dim": 96, "vocab_size": 70, "max_position_embeddings": 80}"#,
    ),
    (
        "roberta",
        r#"{"model_type": "roberta", "hidden_size": 60, "num_hidden_layers": 2,
        "num_attention_heads": 3, "intermediate_size": 100, "vocab_size": 50, "type_vocab_size": 1,
        "max_position_embeddings": 82, "layer_norm_eps": 1e-5}"#,
    ),
    (
        "xlm-roberta",
        r#"{"model_type": "xlm-roberta", "hidden_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 1, "intermediate_size": 72, "vocab_size": 120, "type_vocab_size": 1,
        "max_position_embeddings": 82, "layer_norm_eps": 1e-5}"#,
    ),
    (
        "minilm",
        r#"{"model_type": "bert", "hidden_size": 96, "num_hidden_layers": 2,
        "num_attention_heads": 3, "intermediate_size": 192, "vocab_size": 80,
        "max_position_embeddings": 80}"#,
    ),
];

fn encoder(config: &TextConfig, pool: TextPool, device: Arc<dyn Device>) -> TextEncoder {
    let build = TextBuild {
        tokens: 1,
        titles: 1,
        pool,
    };
    let graph = text_graph(config, &build).unwrap();
    let weights = formula::Text::of(nn::params(&graph));
    TextEncoder::new(config, pool, &weights, device).unwrap()
}

fn embedded(encoder: &TextEncoder, titles: &[Vec<u32>]) -> Vec<f32> {
    let titles: Vec<&[u32]> = titles.iter().map(|t| &t[..]).collect();
    let mut out = vec![f32::NAN; titles.len() * encoder.dims()];
    encoder.encode(&titles, &mut out).unwrap();
    out
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter()
            .zip(b)
            .map(|(x, y)| f64::from(*x) * f64::from(*y))
            .sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// A card in 16 bits against f32 on the CPU, and packed titles against single ones.
///
/// 1 - cosine is half the square of what the types' rounding moves a unit vector by, and so grows with the
/// square of the unit roundoff: bf16, whose is 8 times that of f16, is given 64 times as much. The largest
/// of these titles: 4.7e-7 in f16 and 4.9e-5 in bf16, on the simulated card.
fn agrees(
    config: &TextConfig,
    pool: TextPool,
    titles: &[Vec<u32>],
    card: &Arc<GpuDevice>,
    stored: Precision,
) {
    let device = GpuDevice::new(Arc::clone(card.driver())).storing(stored);
    let own = encoder(config, pool, Arc::new(device));
    assert_eq!(own.plan().outputs()[0].dtype, stored.dtype());
    let more = (rounding(stored.dtype()).0 / rounding(DType::F16).0).powi(2);
    let cpu = encoder(config, pool, Arc::new(CpuDevice::default()));
    let (have, want) = (embedded(&own, titles), embedded(&cpu, titles));
    let rows = have
        .chunks_exact(own.dims())
        .zip(want.chunks_exact(own.dims()));
    for (i, (a, b)) in rows.enumerate() {
        let off = 1.0 - cosine(a, b);
        assert!(
            off < 1e-4 * more,
            "title {i} of {config:?} in {stored}: {off:e}"
        );
        let alone = embedded(&own, &titles[i..=i]);
        let off = 1.0 - cosine(a, &alone);
        assert!(off < 1e-6 * more, "title {i} alone in {stored}: {off:e}");
    }
}

#[test]
fn encoders_in_miniature_agree_with_the_cpu() {
    for (name, text) in thin(ENCODERS.to_vec()) {
        let config = TextConfig::parse(text).unwrap();
        let titles: Vec<Vec<u32>> = [3, 1, 4]
            .into_iter()
            .map(|which| formula::title(which, config.vocabulary))
            .collect();
        for card in cards() {
            let pool = match name {
                "roberta" => TextPool::Cls,
                _ => TextPool::Mean,
            };
            for stored in [Precision::F16, Precision::BF16] {
                agrees(&config, pool, &titles, &card, stored);
            }
        }
    }
}

/// Weights far beyond half precision end in one line, not in NaN.
#[test]
fn an_encoder_that_overflows_half_precision_is_an_error() {
    let config = TextConfig::parse(ENCODERS[1].1).unwrap();
    let build = TextBuild {
        tokens: 1,
        titles: 1,
        pool: TextPool::Mean,
    };
    let graph = text_graph(&config, &build).unwrap();
    let weights: doppel::device::Weights = nn::params(&graph)
        .into_iter()
        .map(|(key, dims)| {
            let by = if key.contains("lin2") { 3e4 } else { 0.5 };
            let mut data = crate::harness::values(dims.iter().product(), 5);
            data.iter_mut().for_each(|v| *v *= by);
            (key, (dims, data))
        })
        .collect();
    for card in cards() {
        let own = TextEncoder::new(&config, TextPool::Mean, &weights, card).unwrap();
        let mut out = vec![0.0; own.dims()];
        let error = own.encode(&[&[1, 2, 3]], &mut out).unwrap_err();
        assert_eq!(error.kind(), Kind::Unsupported, "{error}");
        let line = error.to_string();
        assert!(
            line.contains("half precision") && !line.contains('\n'),
            "{line}"
        );
    }
}
