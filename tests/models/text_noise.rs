//! The goldens of text encoders notice every tensor: 30 % noise on any one of them moves a title's
//! vector by more than the goldens allow, whichever way it is pooled.
//!
//! A layer's tensors are tried together: one graph holds the layer once for each of them, with that one
//! noisy, on values that are computed once; the results then run through the rest of the network as
//! that many titles. Small encoders are tried whole, of others the first layer, the middle one and the
//! last. Of the table of words only those rows are held that the title has, so the noise is on these; on
//! tables of positions and types it is on all rows.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use doppel::Result;
use doppel::device::{Graph, Lower, Op, Origin, Plan, Precision, Source, Value};
use doppel::nn::formula::{self, TITLES};
use doppel::nn::params;
use doppel::nn::text::{TextConfig, TextEncoder, TextPool};

use crate::common::{LIMIT, apart, cpu, farthest};
use crate::text::{both, config, references, rows, run};

/// Which of the six titles is looked at; a miss on one is a miss of the comparison.
const TITLE: usize = 2;
/// The noise's largest value, in root mean squares of the tensor.
const NOISE: f64 = 0.3;
/// What a noisy tensor is called.
const NOISY: &str = " with noise";
/// Tensors whose noise cannot move a vector, by the end of their key, and why. Beside them stand the
/// pooler, which is no part of an encoder's graph, and rows that no title has: see the tests below.
const IDLE: &[(&str, &str)] = &[
    (
        "attention.self.key.bias",
        "adds the same to all of a query's scores, and softmax takes it out again",
    ),
    ("attention.k_lin.bias", "DistilBERT's name for it"),
];

const WORDS: &str = "embeddings.word_embeddings.weight";

/// Seeded weights, each once more with noise; the table of words has these rows alone.
struct Noisy {
    clean: formula::Text,
    noise: formula::Text,
    words: Vec<u32>,
    dims: HashMap<String, Vec<usize>>,
}

impl Noisy {
    /// `config` has the vocabulary as published, `graph` as many words as there are in `words`.
    fn new(config: &TextConfig, graph: &Graph, words: &[u32]) -> Noisy {
        let (mut clean, mut noise, mut dims) = (Vec::new(), Vec::new(), HashMap::new());
        for (key, shape) in params(graph) {
            let full = match &key[..] {
                WORDS => vec![config.vocabulary, config.hidden],
                _ => shape.clone(),
            };
            noise.push((format!("{key}.noise"), vec![full.iter().product()]));
            clean.push((key.clone(), full));
            dims.insert(format!("{key}{NOISY}"), shape.clone());
            dims.insert(key, shape);
        }
        Noisy {
            clean: formula::Text::of(clean),
            noise: formula::Text::of(noise),
            words: words.to_vec(),
            dims,
        }
    }

    /// The noise's largest value.
    fn size(&self, key: &str) -> Result<f64> {
        let len: usize = self.dims[key].iter().product();
        let mut values = vec![0.0; len.min(1 << 12)];
        self.clean.read(key, 0, &mut values)?;
        let squares: f64 = values.iter().map(|&x| f64::from(x).powi(2)).sum();
        Ok(NOISE * (squares / values.len() as f64).sqrt())
    }
}

impl Source for Noisy {
    fn dims(&self, key: &str) -> Option<&[usize]> {
        self.dims.get(key).map(|dims| &dims[..])
    }

    fn read(&self, key: &str, from: usize, out: &mut [f32]) -> Result<()> {
        let bare = key.strip_suffix(NOISY).unwrap_or(key);
        if bare == WORDS {
            let hidden = self.dims[WORDS][1];
            // Row by row: neighbours here are none in the table.
            if from % hidden + out.len() > hidden {
                let split = hidden - from % hidden;
                let (first, rest) = out.split_at_mut(split);
                self.read(key, from, first)?;
                return self.read(key, from + split, rest);
            }
        }
        let at = match bare {
            WORDS => {
                let hidden = self.dims[WORDS][1];
                self.words[from / hidden] as usize * hidden + from % hidden
            }
            _ => from,
        };
        self.clean.read(bare, at, out)?;
        if bare != key {
            let size = self.size(bare)?;
            let mut noise = vec![0.0; out.len()];
            self.noise.read(&format!("{bare}.noise"), at, &mut noise)?;
            for (x, u) in out.iter_mut().zip(noise) {
                // The formula's biases are tenths.
                *x = (f64::from(*x) + size * 10.0 * f64::from(u)) as f32;
            }
        }
        Ok(())
    }
}

/// Where the embeddings and each layer end: behind the first layer norm and every second one after it.
fn ends(graph: &Graph) -> Vec<usize> {
    let norm = |at: &usize| matches!(graph.nodes()[*at].op, Op::LayerNorm { .. });
    let norms = (0..graph.nodes().len()).filter(norm);
    norms.step_by(2).map(|at| at + 1).collect()
}

/// A run of nodes once for each of `keys`, which has noise there, or once without.
fn copies(whole: &Graph, range: Range<usize>, keys: &[String]) -> Graph {
    let mut graph = Graph::new();
    let once = [String::new()];
    let mut inputs = HashMap::new();
    for noisy in if keys.is_empty() { &once[..] } else { keys } {
        let mut map: HashMap<Value, Value> = HashMap::new();
        for node in &whole.nodes()[range.clone()] {
            for &v in &node.ins {
                let desc = whole.desc(v).clone();
                let new = match (map.get(&v), whole.origin(v)) {
                    (Some(&known), _) => known,
                    (None, Origin::Param(key)) if key == noisy => {
                        let key = format!("{key}{NOISY}");
                        graph.param(&key, &desc.dims).unwrap()
                    }
                    (None, Origin::Param(key)) => graph.param(key, &desc.dims).unwrap(),
                    (None, origin) => *inputs.entry(v).or_insert_with(|| {
                        let name = match origin {
                            Origin::Input(name) => name,
                            _ => "x",
                        };
                        graph.input(name, desc)
                    }),
                };
                map.insert(v, new);
            }
            let ins: Vec<Value> = node.ins.iter().map(|v| map[v]).collect();
            let outs = graph.push_all(node.op, &ins).unwrap();
            map.extend(node.outs.iter().copied().zip(outs));
        }
        let made: Vec<Value> = match range.end == whole.nodes().len() {
            true => whole.outputs().to_vec(),
            false => whole.nodes()[range.end - 1].outs.clone(),
        };
        graph.output(&made.iter().map(|v| map[v]).collect::<Vec<_>>());
    }
    graph
}

struct Bench {
    config: TextConfig,
    /// Over the one title, with the words it has alone.
    whole: Graph,
    plan: Plan,
    source: Noisy,
    words: Vec<u32>,
    /// What goes into each segment, as bytes; then the output.
    clean: Vec<Vec<u8>>,
    ends: Vec<usize>,
}

impl Bench {
    fn new(config: TextConfig) -> Bench {
        let title = formula::title(TITLE, config.vocabulary);
        let used: BTreeSet<u32> = title.iter().copied().collect();
        let used: Vec<u32> = used.into_iter().collect();
        let place = |id: &u32| used.binary_search(id).unwrap() as u32;
        let words: Vec<u32> = title.iter().map(place).collect();
        let small = TextConfig {
            vocabulary: used.len(),
            ..config.clone()
        };
        let whole = both(&small, &[words.len()]);
        let source = Noisy::new(&config, &whole, &used);
        let how = Lower::Infer(Precision::F32);
        let plan = Plan::new(&whole, &source, cpu(), how).unwrap();
        let ends = ends(&whole);
        assert_eq!(ends.len(), config.layers + 1);
        let mut bench = Bench {
            config,
            plan,
            source,
            words,
            clean: vec![Vec::new()],
            ends,
            whole,
        };
        let mut graph = bench.whole.clone();
        let between: Vec<Value> = bench
            .ends
            .iter()
            .map(|&end| bench.whole.nodes()[end - 1].outs[0])
            .collect();
        graph.output(&between);
        let values = bench.rest(&graph, 1, &[]);
        let bytes = |x: &Vec<f32>| bytemuck::cast_slice(x).to_vec();
        bench.clean.extend(values[2..].iter().map(bytes));
        bench.clean.extend(values[..2].iter().map(bytes));
        bench
    }

    /// Runs a graph over as many copies of the title, with `x` where it begins in the middle.
    fn rest(&self, graph: &Graph, count: usize, x: &[u8]) -> Vec<Vec<f32>> {
        self.run(&self.plan.resized(graph).unwrap(), count, x)
    }

    fn run(&self, plan: &Plan, count: usize, x: &[u8]) -> Vec<Vec<f32>> {
        let titles = vec![self.words.clone(); count];
        let input = |(name, _): &(String, _)| match &name[..] {
            "x" => x.to_vec(),
            name => bytemuck::cast_slice(&rows(&self.config, name, &titles)).to_vec(),
        };
        let ins: Vec<Vec<u8>> = plan.inputs().iter().map(input).collect();
        let ins: Vec<&[u8]> = ins.iter().map(|v| &v[..]).collect();
        run(plan, plan.device(), &ins)
    }

    /// The vectors with each tensor of a segment noisy in turn: by mean, then by first token.
    fn noisy(&self, segment: usize) -> Vec<(String, [Vec<f32>; 2])> {
        let end = self.ends[segment];
        let from = segment.checked_sub(1).map_or(0, |before| self.ends[before]);
        let keys: Vec<String> = params(&copies(&self.whole, from..end, &[]))
            .into_iter()
            .map(|(key, _)| key)
            .collect();
        let graph = copies(&self.whole, from..end, &keys);
        let how = Lower::Infer(Precision::F32);
        let plan = Plan::new(&graph, &self.source, cpu(), how).unwrap();
        let results = self.run(&plan, 1, &self.clean[segment]).concat();
        let all = self.whole.nodes().len();
        let rest = resize(&copies(&self.whole, end..all, &[]), keys.len());
        let vectors = self.rest(&rest, keys.len(), bytemuck::cast_slice(&results));
        let row = |pool: usize, i: usize| {
            let width = self.config.hidden;
            vectors[pool][i * width..][..width].to_vec()
        };
        let of = |(i, key): (usize, String)| (key, [row(0, i), row(1, i)]);
        keys.into_iter().enumerate().map(of).collect()
    }
}

/// A graph over one title, over `count` of them.
fn resize(graph: &Graph, count: usize) -> Graph {
    let mut new = Graph::new();
    let mut map: HashMap<Value, Value> = HashMap::new();
    for v in graph.inputs().into_iter().chain(graph.params()) {
        let mut desc = graph.desc(v).clone();
        let value = match graph.origin(v) {
            Origin::Param(key) => new.param(key, &desc.dims).unwrap(),
            Origin::Input(name) => {
                desc.dims[0] = match &name[..] {
                    "offsets" => count + 1,
                    _ => desc.dims[0] * count,
                };
                new.input(name, desc)
            }
            Origin::Node(..) => panic!("neither given nor a weight"),
        };
        map.insert(v, value);
    }
    for node in graph.nodes() {
        let ins: Vec<Value> = node.ins.iter().map(|v| map[v]).collect();
        let outs = new.push_all(node.op, &ins).unwrap();
        map.extend(node.outs.iter().copied().zip(outs));
    }
    new.output(&graph.outputs().iter().map(|v| map[v]).collect::<Vec<_>>());
    new
}

/// A key without its layer's number.
fn kind(key: &str) -> String {
    let words = key.split('.').filter(|w| w.parse::<usize>().is_err());
    words.collect::<Vec<_>>().join(".")
}

fn check(name: &'static str, whole: bool) {
    let bench = Bench::new(config(name));
    let layers = bench.config.layers;
    let want = references(name, bench.config.hidden);
    let error =
        |pool: usize, vector: &[f32]| farthest(vector, &want[pool][TITLE]) / apart(&want[pool]);
    let last = &bench.clean[bench.clean.len() - 2..];
    let clean = [0, 1].map(|pool| error(pool, bytemuck::cast_slice(&last[pool])));
    assert!(
        clean.iter().all(|&e| e < LIMIT),
        "{name}, without noise: {clean:?}"
    );
    let segments: Vec<usize> = match whole {
        true => (0..=layers).collect(),
        false => vec![0, 1, layers / 2 + 1, layers],
    };
    let mut seen = Vec::new();
    for segment in segments {
        for (key, vectors) in bench.noisy(segment) {
            let idle = IDLE.iter().any(|(end, _)| key.ends_with(end));
            for (pool, vector) in vectors.iter().enumerate() {
                let error = error(pool, vector);
                assert!(
                    idle == (error < LIMIT),
                    "{name}: 30 % noise on {key} gives {error:.1e}"
                );
                if !idle {
                    seen.push((error, key.clone()));
                }
            }
            if idle {
                seen.push((f64::INFINITY, key));
            }
        }
    }
    let all: Vec<String> = params(&bench.whole).into_iter().map(|(k, _)| k).collect();
    assert!(!all.iter().any(|key| key.contains("pooler")));
    let tried: BTreeSet<&String> = seen.iter().map(|(_, key)| key).collect();
    match whole {
        true => assert_eq!(tried, all.iter().collect(), "{name}: every tensor"),
        false => {
            let kinds = |keys: &mut dyn Iterator<Item = &String>| -> BTreeSet<String> {
                keys.map(|key| kind(key)).collect()
            };
            let (tried, all) = (kinds(&mut tried.iter().copied()), kinds(&mut all.iter()));
            assert_eq!(tried, all, "{name}: every kind of tensor");
        }
    }
    let least = seen.iter().min_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
    println!(
        "{name}: {:.1e}; {} tensors, the least {least:?}",
        clean[0].max(clean[1]),
        tried.len()
    );
}

macro_rules! noise {
    ($($test:ident $name:literal $whole:literal)*) => {
        $(
            #[test]
            fn $test() {
                check($name, $whole);
            }
        )*
    };
}

noise! {
    bert_base "bert-base-uncased" false
    bert_large "bert-large-uncased" false
    bert_base_multilingual "bert-base-multilingual-uncased" false
    distilbert_base "distilbert-base-uncased" false
    roberta_base "roberta-base" false
    distilroberta_base "distilroberta-base" false
    xlm_roberta_base "xlm-roberta-base" false
    minilm_of_6_layers "MiniLM-L6-H384-uncased" true
    minilm_of_12_layers "MiniLM-L12-H384-uncased" true
}

/// Seeded tables with noise on the rows that a title does not have, or on one that it has.
struct Rows<'a> {
    clean: &'a formula::Text,
    /// By table, the rows that are left alone.
    kept: HashMap<&'static str, Range<usize>>,
    words: BTreeSet<u32>,
    hidden: usize,
}

impl Source for Rows<'_> {
    fn dims(&self, key: &str) -> Option<&[usize]> {
        self.clean.dims(key)
    }

    fn read(&self, key: &str, from: usize, out: &mut [f32]) -> Result<()> {
        self.clean.read(key, from, out)?;
        for (x, at) in out.iter_mut().zip(from..) {
            let row = at / self.hidden;
            let keep = match key {
                WORDS => self.words.contains(&(row as u32)),
                _ => self.kept.get(key).is_none_or(|rows| rows.contains(&row)),
            };
            if !keep {
                *x += 0.03;
            }
        }
        Ok(())
    }
}

/// The rows of tables that a title does not have are the last exception, and there are no more: with
/// noise on all of them not a bit changes, and with noise on any row that it has, the vector does.
#[test]
fn rows_that_no_token_names_do_not_matter_and_all_others_do() {
    for name in [
        "MiniLM-L6-H384-uncased",
        "distilroberta-base",
        "distilbert-base-uncased",
    ] {
        // What rows are for does not hang on how many layers or words there are.
        let config = TextConfig {
            layers: 1,
            vocabulary: 2000,
            ..config(name)
        };
        let title = formula::title(TITLE, config.vocabulary);
        let clean = formula::Text::of(params(&both(&config, &[1])));
        let first = config.first_position;
        let vector = |words: &[u32], positions: Range<usize>| {
            let source = Rows {
                clean: &clean,
                kept: HashMap::from([
                    ("embeddings.position_embeddings.weight", positions),
                    ("embeddings.token_type_embeddings.weight", 0..1),
                ]),
                words: words.iter().copied().collect(),
                hidden: config.hidden,
            };
            let encoder = TextEncoder::new(&config, TextPool::Mean, &source, cpu()).unwrap();
            let mut out = vec![0.0; config.hidden];
            encoder.encode(&[&title], &mut out).unwrap();
            out
        };
        let all = first..first + title.len();
        let all_words: Vec<u32> = (0..config.vocabulary as u32).collect();
        let want = vector(&all_words, 0..config.positions);
        assert_eq!(want, vector(&title, all.clone()), "{name}");
        assert_ne!(want, vector(&title, first + 1..all.end), "{name}");
        assert_ne!(want, vector(&title, first..all.end - 1), "{name}");
        assert_ne!(want, vector(&title[1..], all.clone()), "{name}");
        assert_ne!(want, vector(&title[..TITLES[TITLE] - 1], all), "{name}");
    }
}
