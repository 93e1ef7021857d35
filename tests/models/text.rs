//! Every text encoder against transformers' own model, with the same seeded weights and titles; its
//! keys, shapes and number of parameters.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use doppel::device::{
    Act, Buf, DType, Desc, Device, Graph, Op, Origin, Plan, Source, Stream, alloc, values_of,
};
use doppel::nn::formula::{self, TITLES};
use doppel::nn::params;
use doppel::nn::text::{TextBuild, TextConfig, TextEncoder, TextFamily, TextPool, text_graph};
use sha2::{Digest, Sha256};

use crate::common::{LIMIT, apart, cpu, farthest, published};

pub const NAMES: [&str; 9] = [
    "bert-base-uncased",
    "bert-large-uncased",
    "bert-base-multilingual-uncased",
    "distilbert-base-uncased",
    "roberta-base",
    "distilroberta-base",
    "xlm-roberta-base",
    "MiniLM-L6-H384-uncased",
    "MiniLM-L12-H384-uncased",
];

pub fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/text/{name}"))
}

pub fn config(name: &str) -> TextConfig {
    let text = fs::read_to_string(file(&format!("configs/{name}.json"))).unwrap();
    TextConfig::parse(&text).unwrap()
}

/// What transformers says of the six titles: the means, then the first tokens.
pub fn references(name: &str, hidden: usize) -> [Vec<Vec<f32>>; 2] {
    let bytes = fs::read(file(&format!("features/{name}.f32"))).unwrap();
    let values = values_of(&bytes, DType::F32);
    let block = TITLES.len() * hidden;
    assert_eq!(values.len(), 2 * block, "{name}");
    // The file has them the other way round.
    [1, 0].map(|pool| {
        let rows = values[pool * block..][..block].chunks(hidden);
        rows.map(<[f32]>::to_vec).collect()
    })
}

/// The graph over titles of these many tokens, with both ways of pooling: means, then first tokens.
pub fn both(config: &TextConfig, lengths: &[usize]) -> Graph {
    let mut graph = text_graph(config, &build(lengths, TextPool::Mean)).unwrap();
    let Origin::Node(at, _) = *graph.origin(graph.outputs()[0]) else {
        panic!("the output is no node's");
    };
    let last = graph.nodes()[at].ins[0];
    let starts = graph.input("starts", Desc::new(&[lengths.len()], DType::U32));
    let cls = graph.push(Op::Lookup, &[last, starts]).unwrap();
    graph.output(&[cls]);
    graph
}

fn build(lengths: &[usize], pool: TextPool) -> TextBuild {
    TextBuild {
        tokens: lengths.iter().sum(),
        titles: lengths.len(),
        pool,
    }
}

/// What an input of the graph holds for these titles.
pub fn rows(config: &TextConfig, name: &str, titles: &[Vec<u32>]) -> Vec<u32> {
    let first = config.first_position as u32;
    let mut offsets = vec![0];
    for title in titles {
        offsets.push(offsets[offsets.len() - 1] + title.len() as u32);
    }
    let tokens = titles.iter().flat_map(|t| 0..t.len() as u32);
    match name {
        "words" => titles.concat(),
        "positions" => tokens.map(|i| first + i).collect(),
        "types" => tokens.map(|_| 0).collect(),
        "offsets" => offsets,
        "starts" => offsets[..titles.len()].to_vec(),
        other => panic!("what is {other}?"),
    }
}

/// Runs a plan on inputs of any type, given as bytes.
pub fn run(plan: &Plan, device: &Arc<dyn Device>, ins: &[&[u8]]) -> Vec<Vec<f32>> {
    let buffer = |desc| alloc(&**device, desc).unwrap();
    let from: Vec<Buf> = plan
        .inputs()
        .iter()
        .map(|(_, d)| buffer(d.clone()))
        .collect();
    let to: Vec<Buf> = plan.outputs().iter().cloned().map(buffer).collect();
    assert_eq!(from.len(), ins.len());
    for (bytes, buf) in ins.iter().zip(&from) {
        device.upload(bytes, buf, Stream::DEFAULT).unwrap();
    }
    let (ins, outs): (Vec<&Buf>, Vec<&Buf>) = (from.iter().collect(), to.iter().collect());
    plan.run(&ins, &outs, Stream::DEFAULT).unwrap();
    let read = |buf: &Buf| {
        let mut bytes = vec![0; buf.desc.bytes()];
        device.download(buf, &mut bytes, Stream::DEFAULT).unwrap();
        values_of(&bytes, DType::F32)
    };
    to.iter().map(read).collect()
}

fn near(what: &str, got: &[f32], want: &[Vec<f32>]) {
    let error = farthest(got, &want.concat()) / apart(want);
    println!("{what}: {error:.1e}");
    assert!(error < LIMIT, "{what}: {error:.1e}");
}

/// The means through the encoder, of all titles at once and of one at a time; the first tokens through
/// the graph, all in one run.
fn check(name: &'static str) {
    let (config, device) = (config(name), cpu());
    let [mean, cls] = references(name, config.hidden);
    let source = formula::Text::of(params(&both(&config, &[1])));
    let encoder = TextEncoder::new(&config, TextPool::Mean, &source, device.clone()).unwrap();
    let titles: Vec<Vec<u32>> = (0..TITLES.len())
        .map(|i| formula::title(i, config.vocabulary))
        .collect();
    let all: Vec<&[u32]> = titles.iter().map(|t| &t[..]).collect();
    let mut got = vec![0.0; titles.len() * encoder.dims()];
    encoder.encode(&all, &mut got).unwrap();
    near(&format!("{name}, all titles"), &got, &mean);
    for (title, out) in all.iter().zip(got.chunks_mut(encoder.dims())) {
        encoder.encode(&[title], out).unwrap();
    }
    near(&format!("{name}, one title at a time"), &got, &mean);

    // The same weights serve any graph that asks for them.
    let graph = text_graph(&config, &build(&TITLES, TextPool::Cls)).unwrap();
    let plan = encoder.plan().resized(&graph).unwrap();
    let inputs: Vec<Vec<u32>> = plan
        .inputs()
        .iter()
        .map(|(input, _)| rows(&config, input, &titles))
        .collect();
    let inputs: Vec<&[u8]> = inputs.iter().map(|v| bytemuck::cast_slice(v)).collect();
    let got = run(&plan, &device, &inputs);
    near(&format!("{name}, first tokens"), &got[0], &cls);
}

macro_rules! goldens {
    ($($test:ident $name:literal)*) => {
        $(
            #[test]
            fn $test() {
                check($name);
            }
        )*
    };
}

goldens! {
    bert_base "bert-base-uncased"
    bert_large "bert-large-uncased"
    bert_base_multilingual "bert-base-multilingual-uncased"
    distilbert_base "distilbert-base-uncased"
    roberta_base "roberta-base"
    distilroberta_base "distilroberta-base"
    xlm_roberta_base "xlm-roberta-base"
    minilm_of_6_layers "MiniLM-L6-H384-uncased"
    minilm_of_12_layers "MiniLM-L12-H384-uncased"
}

/// The first token's vector through the encoder, which the graph alone gave above.
#[test]
fn first_tokens_through_the_encoder() {
    let name = "MiniLM-L6-H384-uncased";
    let config = config(name);
    let source = formula::Text::of(params(&both(&config, &[1])));
    let encoder = TextEncoder::new(&config, TextPool::Cls, &source, cpu()).unwrap();
    let titles: Vec<Vec<u32>> = (0..TITLES.len())
        .map(|i| formula::title(i, config.vocabulary))
        .collect();
    let all: Vec<&[u32]> = titles.iter().map(|t| &t[..]).collect();
    let mut got = vec![0.0; titles.len() * encoder.dims()];
    encoder.encode(&all, &mut got).unwrap();
    near(name, &got, &references(name, config.hidden)[1]);
}

/// What is in a config.json but in no weight shows as well: each setting by itself, wrong.
#[test]
fn the_goldens_notice_every_setting() {
    let name = "distilroberta-base";
    let (right, which) = (config(name), 2);
    let want = &references(name, right.hidden)[0];
    let source = formula::Text::of(params(&both(&right, &[1])));
    let encoder = |config| TextEncoder::new(config, TextPool::Mean, &source, cpu()).unwrap();
    let titles = [formula::title(which, right.vocabulary)];
    let error = |encoder: &TextEncoder, config: &TextConfig| {
        let build = build(&[titles[0].len()], TextPool::Mean);
        let graph = text_graph(config, &build).unwrap();
        let plan = encoder.plan().resized(&graph).unwrap();
        let inputs: Vec<Vec<u32>> = plan
            .inputs()
            .iter()
            .map(|(input, _)| rows(config, input, &titles))
            .collect();
        let inputs: Vec<&[u8]> = inputs.iter().map(|v| bytemuck::cast_slice(v)).collect();
        farthest(&run(&plan, plan.device(), &inputs)[0], &want[which]) / apart(want)
    };
    let weights = encoder(&right);
    assert!(error(&weights, &right) < LIMIT);
    let mut wrong = vec![right.clone(); 4];
    wrong[0].heads = 6;
    wrong[1].eps = 1e-12;
    wrong[2].first_position = 0;
    wrong[3].act = Act::Relu;
    for config in &wrong {
        let error = match config.act == right.act {
            true => error(&weights, config),
            // The activation is part of how a product's weights are kept.
            false => error(&encoder(config), config),
        };
        println!("{error:.1e} with {config:?}");
        assert!(error > LIMIT, "{error:.1e} with {config:?}");
    }
}

#[test]
fn every_encoder_wants_the_published_keys_and_shapes_and_no_pooler() {
    let text = fs::read_to_string(file("counts.json")).unwrap();
    let counts: BTreeMap<String, usize> = serde_json::from_str(&text).unwrap();
    assert_eq!(counts.len(), NAMES.len());
    for name in NAMES {
        let config = config(name);
        let mut all = params(&both(&config, &[1]));
        if config.family != TextFamily::DistilBert {
            let hidden = config.hidden;
            all.push(("pooler.dense.weight".into(), vec![hidden, hidden]));
            all.push(("pooler.dense.bias".into(), vec![hidden]));
        }
        let count: usize = all.iter().map(|(_, d)| d.iter().product::<usize>()).sum();
        assert_eq!(count, counts[name], "{name}");
        let mut lines: Vec<String> = all
            .iter()
            .map(|(key, dims)| format!("{key} {dims:?}").replace(", ", ","))
            .collect();
        lines.sort();
        let want = published(&file("shapes.zip"), name);
        let beside = |a: &[String], b: &[String]| -> Vec<String> {
            a.iter().filter(|x| !b.contains(x)).cloned().collect()
        };
        let (more, less) = (beside(&lines, &want), beside(&want, &lines));
        assert!(
            lines == want,
            "{name}: not transformers': {more:?}; missing: {less:?}"
        );
    }
    assert_eq!(counts["bert-large-uncased"], 335_141_888);
}

/// The formula's bits are the same in both languages.
#[test]
fn weights_and_titles_have_the_bits_of_the_script() {
    let text = fs::read_to_string(file("bits.json")).unwrap();
    let want: BTreeMap<String, String> = serde_json::from_str(&text).unwrap();
    for (what, hash) in &want {
        let words: Vec<&str> = what.split(' ').collect();
        let number = |w: &&str| w.parse::<usize>().unwrap();
        let bytes: Vec<u8> = match words[0] {
            "title" => {
                let ids = formula::title(number(&words[1]), number(&words[2]));
                bytemuck::cast_slice(&ids).to_vec()
            }
            key => {
                let dims: Vec<usize> = words[1..].iter().map(number).collect();
                let mut values = vec![0.0f32; dims.iter().product()];
                let source = formula::Text::of([(key.to_string(), dims)]);
                source.read(key, 0, &mut values).unwrap();
                bytemuck::cast_slice(&values).to_vec()
            }
        };
        let got: String = Sha256::digest(&bytes)
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        assert_eq!(got, *hash, "{what}");
    }
    assert!(want.len() > 25);
}
