//! The goldens notice every tensor: 30 % noise on any one of them moves the features by more than the
//! goldens allow.
//!
//! To try a thousand tensors, a graph is cut into segments. A tensor's noise changes its own segment
//! alone, on values that are computed once; the results of all tensors of a segment then run through
//! the rest of the graph together, as one batch.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use doppel::Result;
use doppel::device::{Device, Graph, Origin, Source, Value, Weights};
use doppel::nn::formula;

use crate::common::{Case, LIMIT, ODD, apart, cpu, farthest, plan, run};

/// Which of the six images is looked at; a miss on one is a miss of the comparison.
const IMAGE: usize = 1;
/// The noise's largest value, in root mean squares of the tensor.
const NOISE: f64 = 0.3;
/// Tensors whose noise cannot move the features, and why: none. Every one of the catalogue does.
const IDLE: &[(&str, &str, &str)] = &[];

/// Weights of which one has been changed.
struct Changed<'a> {
    base: &'a Weights,
    key: &'a str,
    values: Vec<f32>,
}

impl Source for Changed<'_> {
    fn dims(&self, key: &str) -> Option<&[usize]> {
        self.base.dims(key)
    }

    fn read(&self, key: &str, from: usize, out: &mut [f32]) -> Result<()> {
        if key != self.key {
            return self.base.read(key, from, out);
        }
        out.copy_from_slice(&self.values[from..from + out.len()]);
        Ok(())
    }
}

/// The tensor with noise of its own on each value.
fn noisy(base: &Weights, key: &str) -> Vec<f32> {
    let values = &base[key].1;
    let squares: f64 = values.iter().map(|&x| f64::from(x).powi(2)).sum();
    let size = NOISE * (squares / values.len() as f64).sqrt();
    let mut rng = fastrand::Rng::with_seed(key.bytes().map(u64::from).sum());
    let mut one = |x: &f32| {
        let by = match values.len() {
            1 => 1.0,
            _ => 2.0 * rng.f64() - 1.0,
        };
        (f64::from(*x) + size * by) as f32
    };
    values.iter().map(&mut one).collect()
}

/// Where each value of the graph was made: at which node; the images before all.
fn made(graph: &Graph, value: Value) -> Option<usize> {
    match graph.origin(value) {
        Origin::Node(at, _) => Some(*at + 1),
        Origin::Input(_) => Some(0),
        Origin::Param(_) => None,
    }
}

/// The values made before node `at` that it or a later one reads.
fn live(graph: &Graph, at: usize) -> Vec<Value> {
    let later = graph.nodes()[at..].iter().flat_map(|n| &n.ins);
    let mut all: Vec<Value> = later
        .copied()
        .filter(|&v| made(graph, v).is_some_and(|m| m <= at))
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Runs of nodes with few values between them, none of them computed weights.
fn segments(graph: &Graph) -> Vec<Range<usize>> {
    let end = graph.nodes().len();
    let (mut all, mut from) = (Vec::new(), 0);
    while from < end {
        let fits = |at: &usize| live(graph, *at).iter().all(|&v| graph.desc(v).dims[0] == 1);
        let candidates = (from + 12..(from + 30).min(end)).filter(fits);
        let to = candidates
            .min_by_key(|&at| (live(graph, at).len(), std::cmp::Reverse(at)))
            .unwrap_or(end);
        all.push(from..to);
        from = to;
    }
    all
}

/// A part of a graph, over `batch` images: what it reads, and what it makes for later nodes.
struct Part {
    graph: Graph,
    ins: Vec<Value>,
    outs: Vec<Value>,
    keys: Vec<String>,
}

fn part(whole: &Graph, range: Range<usize>, batch: usize) -> Part {
    let (mut graph, mut map) = (Graph::new(), HashMap::new());
    let (mut ins, mut keys) = (Vec::new(), Vec::new());
    for node in &whole.nodes()[range.clone()] {
        let mut mapped = Vec::new();
        for &v in &node.ins {
            let new = *map.entry(v).or_insert_with(|| {
                let mut desc = whole.desc(v).clone();
                match whole.origin(v) {
                    Origin::Param(key) => {
                        keys.push(key.clone());
                        graph.param(key, &desc.dims).unwrap()
                    }
                    _ => {
                        ins.push(v);
                        desc.dims[0] = batch;
                        graph.input(&format!("value {}", ins.len()), desc)
                    }
                }
            });
            mapped.push(new);
        }
        let outs = graph.push_all(node.op, &mapped).unwrap();
        map.extend(node.outs.iter().copied().zip(outs));
    }
    let inside = |v: &Value| made(whole, *v).is_some_and(|m| m > range.start && m <= range.end);
    let mut outs = match range.end == whole.nodes().len() {
        true => whole.outputs().to_vec(),
        false => live(whole, range.end),
    };
    outs.retain(inside);
    let new: Vec<Value> = outs.iter().map(|v| map[v]).collect();
    graph.output(&new);
    Part {
        graph,
        ins,
        outs,
        keys,
    }
}

struct Bench {
    whole: Graph,
    weights: Weights,
    device: Arc<dyn Device>,
    /// Every value between two segments, with clean weights.
    clean: HashMap<Value, Vec<f32>>,
}

impl Bench {
    fn run(&self, part: &Part, source: &dyn Source) -> Vec<Vec<f32>> {
        let ins: Vec<&[f32]> = part.ins.iter().map(|v| &self.clean[v][..]).collect();
        run(&plan(&part.graph, source, &self.device), &self.device, &ins)
    }

    /// The features with each tensor of a segment noisy in turn.
    fn noisy(&self, range: &Range<usize>) -> Vec<(String, Vec<f32>)> {
        let own = part(&self.whole, range.clone(), 1);
        let results: Vec<Vec<Vec<f32>>> = own
            .keys
            .iter()
            .map(|key| {
                let values = noisy(&self.weights, key);
                let base = &self.weights;
                self.run(&own, &Changed { base, key, values })
            })
            .collect();
        let count = own.keys.len();
        let end = self.whole.nodes().len();
        if range.end == end {
            let last = results.into_iter().map(|mut r| r.remove(0));
            return own.keys.into_iter().zip(last).collect();
        }
        if count == 0 {
            return Vec::new();
        }
        let rest = part(&self.whole, range.end..end, count);
        let ins: Vec<Vec<f32>> = rest
            .ins
            .iter()
            .map(|v| match own.outs.iter().position(|o| o == v) {
                Some(at) => results.iter().flat_map(|r| r[at].clone()).collect(),
                None => self.clean[v].repeat(count),
            })
            .collect();
        let ins: Vec<&[f32]> = ins.iter().map(|v| &v[..]).collect();
        let plan = plan(&rest.graph, &self.weights, &self.device);
        let features = run(&plan, &self.device, &ins).remove(0);
        let rows = features.chunks(features.len() / count).map(<[f32]>::to_vec);
        own.keys.into_iter().zip(rows).collect()
    }
}

fn check(label: &'static str) {
    let case = Case::new(label);
    let whole = case.graph(1, ODD);
    let want = case.reference(ODD);
    let mut bench = Bench {
        weights: formula::weights(&whole, &case.stats()),
        device: cpu(),
        clean: HashMap::from([(whole.inputs()[0], formula::image(IMAGE, ODD))]),
        whole,
    };
    let segments = segments(&bench.whole);
    for range in &segments {
        let own = part(&bench.whole, range.clone(), 1);
        let values = bench.run(&own, &bench.weights);
        bench.clean.extend(own.outs.into_iter().zip(values));
    }
    let scale = apart(&want);
    let error = |features: &[f32]| farthest(features, &want[IMAGE]) / scale;
    let clean = error(&bench.clean[&bench.whole.outputs()[0]]);
    assert!(clean < LIMIT, "{label}, without noise: {clean:.1e}");
    let mut seen = Vec::new();
    for range in &segments {
        for (key, features) in bench.noisy(range) {
            let idle = IDLE.iter().any(|(l, k, _)| *l == label && *k == key);
            let error = error(&features);
            assert!(
                idle == (error < LIMIT),
                "{label}: 30 % noise on {key} gives {error:.1e}"
            );
            seen.push((error, key));
        }
    }
    seen.sort_by(|a, b| a.0.total_cmp(&b.0));
    println!(
        "{label}: {clean:.1e}; {} tensors, the least {:?}",
        seen.len(),
        seen[0]
    );
    assert_eq!(seen.len(), bench.weights.len(), "{label}: every tensor");
}

macro_rules! noise {
    ($($test:ident $label:literal)*) => {
        $(
            #[test]
            fn $test() {
                check($label);
            }
        )*
    };
}

noise! {
    resnet18 "resnet18"
    resnet50 "resnet50"
    resnext50_32x4d "resnext50_32x4d"
    densenet121 "densenet121"
    efficientnet_b0 "efficientnet_b0"
    efficientnet_b1 "efficientnet_b1"
    efficientnet_b2 "efficientnet_b2"
    efficientnet_b3 "efficientnet_b3"
    efficientnet_b4 "efficientnet_b4"
    efficientnet_b5 "efficientnet_b5"
    tf_efficientnet_b3 "tf_efficientnet_b3"
    tf_efficientnet_b5_ns "tf_efficientnet_b5_ns"
    eca_nfnet_l0 "eca_nfnet_l0"
    eca_nfnet_l1 "eca_nfnet_l1"
    efficientnet_b0_with_mish "efficientnet_b0.mish"
    eca_nfnet_l0_with_mish "eca_nfnet_l0.mish"
    resnet18_with_gem_and_head "resnet18.gem"
    efficientnet_b0_with_gem_and_head "efficientnet_b0.gem"
}
