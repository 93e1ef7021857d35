//! The encoders of images in miniature: every one of the catalogue in half precision, and one of each kind in
//! bf16, on the cards at hand, beside the CPU in single precision, with seeded weights.

use std::collections::HashMap;
use std::env;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use doppel::device::{
    Buf, CpuDevice, Device, GpuDevice, Graph, Lower, Plan, Precision, Stream, alloc, bytes_of,
    values_of,
};
use doppel::nn::formula::{self, Stats};
use doppel::nn::{self, Arch, Build};

use crate::gemm_sm90::hoppers;
use crate::harness::{cards, light, simulated_driver};

/// Pixels of a side, odd so that windows end unevenly, and images.
const SIDE: usize = 33;
const IMAGES: usize = 2;

/// The features of each image.
fn features(plan: &Plan, images: &[f32]) -> Vec<Vec<f32>> {
    let device = Arc::clone(plan.device());
    let from = alloc(&*device, plan.inputs()[0].1.clone()).unwrap();
    let to = alloc(&*device, plan.outputs()[0].clone()).unwrap();
    let bytes = bytes_of(images, from.desc.dtype);
    device.upload(&bytes, &from, Stream::DEFAULT).unwrap();
    let (ins, outs): ([&Buf; 1], [&Buf; 1]) = ([&from], [&to]);
    plan.run(&ins, &outs, Stream::DEFAULT).unwrap();
    let mut bytes = vec![0; to.desc.bytes()];
    device.download(&to, &mut bytes, Stream::DEFAULT).unwrap();
    let values = values_of(&bytes, to.desc.dtype);
    values
        .chunks(values.len() / plan.outputs()[0].dims[0])
        .map(<[f32]>::to_vec)
        .collect()
}

/// What batch norms have seen, so that they fit what the layers give: calibrated statistics stand beside
/// the goldens. An encoder without its own has those of the nearest one, and a block that this one lacks
/// those of the block before it.
fn stats(arch: &Arch, graph: &Graph) -> Stats {
    if arch.name.contains("nfnet") {
        return Stats::default();
    }
    let donor = match arch.name.trim_end_matches("_ns") {
        "tf_efficientnet_b3" => "tf_efficientnet_b3",
        "tf_efficientnet_b5" | "tf_efficientnet_b6" | "tf_efficientnet_b7" => {
            "tf_efficientnet_b5_ns"
        }
        name => name.trim_start_matches("tf_"),
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = root.join(format!("tests/golden/models/stats/{donor}.txt"));
    let text = fs::read_to_string(file).unwrap();
    let known: HashMap<&str, &str> = text.lines().filter_map(|l| l.split_once(' ')).collect();
    let mut lines = String::new();
    for (key, _) in nn::params(graph) {
        let Some(layer) = key.strip_suffix(".running_var") else {
            continue;
        };
        let mut from = layer.to_owned();
        while !known.contains_key(&*from) {
            let mut parts: Vec<String> = from.split('.').map(str::to_owned).collect();
            let block: usize = parts[2].parse().unwrap();
            parts[2] = (block - 1).to_string();
            from = parts.join(".");
        }
        lines += &format!("{layer} {}\n", known[&*from]);
    }
    Stats::parse(&lines).unwrap()
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter()
            .zip(b)
            .map(|(&a, &b)| f64::from(a) * f64::from(b))
            .sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn less(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

/// One encoder on all cards. Features are mostly positive, so that any two have a large cosine: what
/// tells the images apart, the difference of their features, must agree too.
fn miniature(name: &str, how: Precision, launches: usize, cards: Vec<Arc<GpuDevice>>) {
    let least = match how {
        Precision::BF16 => 0.99,
        _ => 0.999,
    };
    let arch = nn::arch(name).unwrap();
    let graph = nn::graph(arch, &Build::new(IMAGES, SIDE)).unwrap();
    let weights = formula::weights(&graph, &stats(arch, &graph));
    let images: Vec<f32> = (0..IMAGES).flat_map(|i| formula::image(i, SIDE)).collect();
    let cpu: Arc<dyn Device> = Arc::new(CpuDevice::default());
    let single = Lower::Infer(Precision::F32);
    let want = features(&Plan::new(&graph, &weights, cpu, single).unwrap(), &images);
    for card in cards {
        let plan = Plan::new(&graph, &weights, card, Lower::Infer(how)).unwrap();
        let have = features(&plan, &images);
        let apart = cosine(&less(&have[0], &have[1]), &less(&want[0], &want[1]));
        for (a, b) in have.iter().zip(&want) {
            let same = cosine(a, b);
            println!("{name} {how:?}: {same}");
            assert!(same > least, "{name}: {same}");
        }
        println!("{name} {how:?}: apart {apart} {}", plan.launches());
        assert!(apart > least, "{name}: {apart}");
        assert_eq!(plan.launches(), launches, "{name}");
    }
}

/// The encoders whose graphs are unlike: the `_ns` names differ from their twins in the weights alone.
fn unlike() -> Vec<&'static Arch> {
    let graph = |arch: &Arch| nn::graph(arch, &Build::new(1, SIDE)).unwrap();
    let same = |a: &Graph, b: &Graph| {
        a.nodes() == b.nodes() && (a.params().len(), a.outputs()) == (b.params().len(), b.outputs())
    };
    let mut all: Vec<(&Arch, Graph)> = Vec::new();
    for arch in nn::architectures() {
        let own = graph(arch);
        if !all.iter().any(|(_, other)| same(&own, other)) {
            all.push((arch, own));
        }
    }
    all.into_iter().map(|(arch, _)| arch).collect()
}

/// Whether the encoder is tried under this schedule: all where threads and copies come in their plain
/// order, one of each kind elsewhere, none where runs are slow.
fn tried(name: &str) -> bool {
    let is = |key: &str, plain: &str| env::var(key).is_ok_and(|value| value != plain);
    let reordered = is("DOPPEL_SIMT_ORDER", "fwd") || is("DOPPEL_SIMT_COPY", "early");
    let few = ["resnet18", "efficientnet_b0"].contains(&name);
    let plain = simulated_driver().is_none_or(|driver| driver.build() == "plain");
    !cards().is_empty() && !light() && (few || plain && !reordered)
}

/// Every encoder whose graph is unlike the others', and its launches on a card in half precision.
const ENCODERS: [(&str, usize); 20] = [
    ("resnet18", 23),
    ("resnet50", 56),
    ("resnext50_32x4d", 56),
    ("densenet121", 188),
    ("efficientnet_b0", 66),
    ("efficientnet_b1", 93),
    ("efficientnet_b2", 93),
    ("efficientnet_b3", 105),
    ("efficientnet_b4", 130),
    ("efficientnet_b5", 158),
    ("tf_efficientnet_b0", 66),
    ("tf_efficientnet_b1", 93),
    ("tf_efficientnet_b2", 93),
    ("tf_efficientnet_b3", 105),
    ("tf_efficientnet_b4", 130),
    ("tf_efficientnet_b5", 158),
    ("tf_efficientnet_b6", 182),
    ("tf_efficientnet_b7", 222),
    ("eca_nfnet_l0", 130),
    ("eca_nfnet_l1", 250),
];

#[test]
fn the_encoders_in_the_table_are_all_that_there_are() {
    let names: Vec<&str> = unlike().iter().map(|arch| arch.name).collect();
    assert_eq!(names, ENCODERS.map(|(name, _)| name));
}

#[test]
fn residual_and_dense_encoders() {
    miniatures(&["resn", "dense"]);
}

#[test]
fn norm_free_encoders() {
    miniatures(&["eca"]);
}

#[test]
fn efficient_encoders() {
    miniatures(&["eff", "tf"]);
}

#[test]
fn a_hopper_card_runs_one_of_each_kind() {
    for name in ["resnet18", "efficientnet_b0", "eca_nfnet_l0"] {
        if tried(name) {
            let known = ENCODERS.iter().find(|(other, _)| *other == name);
            miniature(name, Precision::F16, known.unwrap().1, hoppers());
        }
    }
}

#[test]
fn one_of_each_kind_in_bf16() {
    for name in [
        "resnet18",
        "resnext50_32x4d",
        "densenet121",
        "efficientnet_b0",
        "eca_nfnet_l0",
    ] {
        if tried(name) {
            let known = ENCODERS.iter().find(|(other, _)| *other == name);
            let all = cards().into_iter().chain(hoppers()).collect();
            miniature(name, Precision::BF16, known.unwrap().1, all);
        }
    }
}

#[test]
fn a_plan_for_fewer_images_has_the_weights_of_the_first() {
    for name in ["resnet18", "efficientnet_b0"]
        .into_iter()
        .filter(|n| tried(n))
    {
        let arch = nn::arch(name).unwrap();
        let graph = |images| nn::graph(arch, &Build::new(images, SIDE)).unwrap();
        let both = graph(IMAGES);
        let weights = formula::weights(&both, &stats(arch, &both));
        let images: Vec<f32> = (0..IMAGES).flat_map(|i| formula::image(i, SIDE)).collect();
        for card in cards().into_iter().chain(hoppers()) {
            let how = Lower::Infer(Precision::F16);
            let plan = Plan::new(&both, &weights, card, how).unwrap();
            let want = features(&plan, &images);
            let one = plan.resized(&graph(1)).unwrap();
            assert_eq!(one.packed(), plan.packed(), "{name}");
            for (image, want) in images.chunks(images.len() / IMAGES).zip(&want) {
                // Sums over another grid of tiles may be rounded apart.
                let same = cosine(&features(&one, image)[0], want);
                assert!(same > 0.99999, "{name}: {same}");
            }
        }
    }
}

fn miniatures(kinds: &[&str]) {
    for (name, launches) in ENCODERS {
        if kinds.iter().any(|kind| name.starts_with(kind)) && tried(name) {
            miniature(name, Precision::F16, launches, cards());
        }
    }
}
