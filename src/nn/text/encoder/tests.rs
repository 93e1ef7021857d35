use super::*;
use crate::device::{CpuDevice, Graph, NaiveDevice, Op, Weights};

const BERT: &str = r#"{"model_type": "bert", "hidden_size": 48, "num_hidden_layers": 3,
    "num_attention_heads": 4, "intermediate_size": 112, "vocab_size": 97,
    "max_position_embeddings": 600}"#;
const ROBERTA: &str = r#"{"model_type": "roberta", "hidden_size": 24, "num_hidden_layers": 2,
    "num_attention_heads": 2, "intermediate_size": 40, "vocab_size": 50, "type_vocab_size": 1,
    "max_position_embeddings": 40, "layer_norm_eps": 1e-5}"#;

fn config(text: &str) -> TextConfig {
    TextConfig::parse(text).unwrap()
}

fn weights(config: &TextConfig) -> Weights {
    let mut random = fastrand::Rng::with_seed(5);
    let list = params(&text_graph(config, &one(TextPool::Mean)).unwrap());
    list.into_iter()
        .map(|(key, dims)| {
            let norm = key.contains("LayerNorm.weight") as u8 as f32;
            let value = |_| norm + random.f32() * 0.4 - 0.2;
            let values = (0..dims.iter().product()).map(value).collect();
            (key, (dims, values))
        })
        .collect()
}

fn encoder(config: &TextConfig, pool: TextPool) -> TextEncoder {
    let device = Arc::new(CpuDevice::default());
    TextEncoder::new(config, pool, &weights(config), device).unwrap()
}

fn titles(config: &TextConfig, lengths: &[usize]) -> Vec<Vec<u32>> {
    let mut random = fastrand::Rng::with_seed(9);
    let words = config.vocabulary as u32;
    lengths
        .iter()
        .map(|&n| (0..n).map(|_| random.u32(2..words)).collect())
        .collect()
}

fn run(encoder: &TextEncoder, titles: &[Vec<u32>]) -> Vec<f32> {
    let titles: Vec<&[u32]> = titles.iter().map(|t| &t[..]).collect();
    let mut out = vec![f32::NAN; titles.len() * encoder.dims()];
    encoder.encode(&titles, &mut out).unwrap();
    out
}

fn threads<T: Send>(n: usize, work: impl FnOnce() -> T + Send) -> T {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build();
    pool.unwrap().install(work)
}

/// Bit for bit the vector that the title has alone, whatever stands beside it and however many threads
/// there are.
#[test]
fn a_titles_vector_is_its_own() {
    let lengths: Vec<usize> = (0..140)
        .map(|i| [26, 3, 64, 1, 7, 31, 19, 12][i % 8] + i % 5)
        .chain([600, 2, 599, 513, 512])
        .collect();
    let config = config(BERT);
    let all = titles(&config, &lengths);
    for pool in [TextPool::Mean, TextPool::Cls] {
        let encoder = encoder(&config, pool);
        let alone: Vec<f32> = all
            .iter()
            .flat_map(|t| run(&encoder, std::slice::from_ref(t)))
            .collect();
        assert!(alone.iter().all(|x| x.is_finite()));
        for n in 1..=3 {
            let (together, kept) = threads(n, || {
                let fresh = super::tests::encoder(&config, pool);
                let got = run(&fresh, &all);
                let kept = fresh.idle.lock().unwrap().len();
                (got, kept)
            });
            assert!(together == alone, "{pool:?}, {n} threads");
            assert!((1..=n).contains(&kept), "{kept} plans for {n} threads");
        }
        let dims = encoder.dims();
        for part in [0..1, 3..10, 100..145, 140..142] {
            let rows = &alone[part.start * dims..part.end * dims];
            assert!(
                run(&encoder, &all[part.clone()]) == rows,
                "{pool:?} {part:?}"
            );
        }
    }
}

/// Callers on many threads at once, each with titles of its own, and within a pool's own work.
#[test]
fn many_callers_get_their_own_vectors() {
    let config = config(BERT);
    let encoder = &encoder(&config, TextPool::Mean);
    let sets: Vec<Vec<Vec<u32>>> = (0..12)
        .map(|i| {
            titles(
                &config,
                &(0..40)
                    .map(|j| 1 + (i * 7 + j * 5) % 60)
                    .collect::<Vec<_>>(),
            )
        })
        .collect();
    let want: Vec<Vec<f32>> = sets.iter().map(|s| run(encoder, s)).collect();
    let got: Vec<Vec<f32>> = threads(3, || {
        sets.par_iter()
            .with_max_len(1)
            .map(|s| run(encoder, s))
            .collect()
    });
    assert!(got == want);
    std::thread::scope(|scope| {
        for (set, want) in sets.iter().zip(&want) {
            scope.spawn(move || assert!(run(encoder, set) == *want));
        }
    });
}

#[test]
fn no_titles_and_very_many() {
    let config = config(
        r#"{"model_type": "distilbert", "dim": 8, "n_layers": 1, "n_heads": 2, "hidden_dim": 8,
            "vocab_size": 30, "max_position_embeddings": 4}"#,
    );
    let encoder = encoder(&config, TextPool::Cls);
    encoder.encode(&[], &mut []).unwrap();
    assert!(encoder.encode(&[], &mut [0.0; 8]).is_err());
    let some = titles(&config, &[1, 2, 3, 4, 2]);
    let want = run(&encoder, &some);
    let many: Vec<Vec<u32>> = some.iter().cycle().take(100_000).cloned().collect();
    let got = run(&encoder, &many);
    assert!(got.chunks_exact(want.len()).all(|part| part == want));
}

/// What the graph of `graph` gives for these titles in f64.
fn naive(config: &TextConfig, graph: &Graph, inputs: &[(&str, Vec<u32>)]) -> Vec<f32> {
    let device: Arc<dyn Device> = Arc::new(NaiveDevice::default());
    let how = Lower::Infer(Precision::F32);
    let plan = Plan::new(graph, &weights(config), Arc::clone(&device), how).unwrap();
    let buffers: Vec<Buf> = plan
        .inputs()
        .iter()
        .map(|(name, desc)| {
            let (_, rows) = inputs.iter().find(|(n, _)| n == name).unwrap();
            let buf = alloc(&*device, desc.clone()).unwrap();
            device
                .upload(bytemuck::cast_slice(rows), &buf, Stream::DEFAULT)
                .unwrap();
            buf
        })
        .collect();
    let output = alloc(&*device, plan.outputs()[0].clone()).unwrap();
    let ins: Vec<&Buf> = buffers.iter().collect();
    plan.run(&ins, &[&output], Stream::DEFAULT).unwrap();
    let mut out = vec![0.0f32; output.desc.len()];
    device
        .download(&output, bytemuck::cast_slice_mut(&mut out), Stream::DEFAULT)
        .unwrap();
    out
}

/// The first tokens' vectors are those of the graph that computes all tokens in every layer.
#[test]
fn the_last_layer_of_first_tokens_alone_changes_nothing() {
    let config = config(ROBERTA);
    let build = TextBuild {
        tokens: 12,
        titles: 3,
        pool: TextPool::Mean,
    };
    let all = titles(&config, &[5, 1, 6]);
    let mut graph = text_graph(&config, &build).unwrap();
    let last = graph.nodes().last().unwrap().ins[0];
    let rows = crate::device::Desc::new(&[3], crate::device::DType::U32);
    let starts = graph.input("starts", rows);
    let first = graph.push(Op::Lookup, &[last, starts]).unwrap();
    let mut whole = Graph::new();
    std::mem::swap(&mut whole, &mut graph);
    whole.output(&[first]);
    let inputs = [
        ("words", all.concat()),
        ("positions", vec![2, 3, 4, 5, 6, 2, 2, 3, 4, 5, 6, 7]),
        ("types", vec![0; 12]),
        ("offsets", vec![0, 5, 6, 12]),
        ("starts", vec![0, 5, 6]),
    ];
    let device: Arc<dyn Device> = Arc::new(NaiveDevice::default());
    let how = Lower::Infer(Precision::F32);
    let plan = Plan::new(&whole, &weights(&config), device, how).unwrap();
    assert_eq!(plan.outputs().len(), 2);
    let cls = TextBuild {
        pool: TextPool::Cls,
        ..build
    };
    let short = naive(&config, &text_graph(&config, &cls).unwrap(), &inputs);
    let encoder = encoder(&config, TextPool::Cls);
    let got = run(&encoder, &all);
    let off = |a: &[f32], b: &[f32]| {
        let pairs = a.iter().zip(b);
        pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    };
    assert!(off(&got, &short) < 1e-5, "{}", off(&got, &short));
    // Each row of the short graph against the whole one's.
    let buffers = |name: &str| inputs.iter().find(|(n, _)| *n == name).unwrap().1.clone();
    let device = Arc::clone(plan.device());
    let ins: Vec<Buf> = plan
        .inputs()
        .iter()
        .map(|(name, desc)| {
            let buf = alloc(&*device, desc.clone()).unwrap();
            let rows = buffers(name);
            device
                .upload(bytemuck::cast_slice(&rows), &buf, Stream::DEFAULT)
                .unwrap();
            buf
        })
        .collect();
    let outs: Vec<Buf> = plan
        .outputs()
        .iter()
        .map(|d| alloc(&*device, d.clone()).unwrap())
        .collect();
    let (ins, to): (Vec<&Buf>, Vec<&Buf>) = (ins.iter().collect(), outs.iter().collect());
    plan.run(&ins, &to, Stream::DEFAULT).unwrap();
    let mut want = vec![0.0f32; 3 * config.hidden];
    device
        .download(
            &outs[1],
            bytemuck::cast_slice_mut(&mut want),
            Stream::DEFAULT,
        )
        .unwrap();
    assert!(short == want, "{}", off(&short, &want));
}

/// transformers does not count padding that stands in a title, whatever the mask says.
#[test]
fn robertas_padding_in_a_title_is_not_counted() {
    let roberta = config(ROBERTA);
    let of = |ids: &[u32]| positions(&roberta, ids).collect::<Vec<_>>();
    assert_eq!(of(&[0, 9, 9, 2]), [2, 3, 4, 5]);
    assert_eq!(of(&[0, 1, 9, 1, 2]), [2, 1, 3, 1, 4]);
    let bert: Vec<u32> = positions(&config(BERT), &[0, 1, 9]).collect();
    assert_eq!(bert, [0, 1, 2]);
}

#[test]
fn a_title_that_cannot_run_is_one_line() {
    let config = config(ROBERTA);
    let encoder = encoder(&config, TextPool::Mean);
    let mut out = vec![0.0; encoder.dims()];
    for (title, words) in [
        (vec![], "0 tokens; give 1 to 38"),
        (vec![3; 39], "39 tokens; give 1 to 38"),
        (vec![3, 50], "token 50 is beyond the encoder's 50"),
        (vec![u32::MAX], "token 4294967295 is beyond"),
    ] {
        let line = encoder.encode(&[&title], &mut out).unwrap_err().to_string();
        assert!(line.contains(words) && !line.contains('\n'), "{line}");
    }
    encoder.encode(&[&[3; 38]], &mut out).unwrap();
}
