//! The references, and a plan's way from images to features.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use doppel::device::{
    Act, Buf, CpuDevice, DType, Desc, Device, Graph, Lower, Plan, Precision, Source, Stream, alloc,
    bytes_of, values_of,
};
use doppel::nn::formula::{self, Stats};
use doppel::nn::{self, Arch, Build, GlobalPool, Head};

/// Every reference, in pixels: the model's own size and 512, and the one that variants have too.
pub const LARGE: usize = 512;
pub const ODD: usize = 75;
/// What a result may be off by, relative to how far the images' references are apart.
pub const LIMIT: f64 = 5e-4;

/// What the published model of a name has, sorted: `key [shape]`, from a zip of such lists.
pub fn published(shapes: &Path, name: &str) -> Vec<String> {
    let mut all = zip::ZipArchive::new(File::open(shapes).unwrap()).unwrap();
    let mut text = String::new();
    let mut entry = all.by_name(&format!("{name}.txt")).unwrap();
    entry.read_to_string(&mut text).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_string).collect();
    lines.sort();
    lines
}

pub fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/models/{name}"))
}

/// An encoder of the references: an architecture's name, with `.mish` or `.gem` behind for a variant.
#[derive(Clone, Copy)]
pub struct Case {
    pub label: &'static str,
    pub arch: &'static Arch,
    pub variant: Option<&'static str>,
}

impl Case {
    pub fn new(label: &'static str) -> Case {
        let (name, variant) = match label.split_once('.') {
            Some((name, variant)) => (name, Some(variant)),
            None => (label, None),
        };
        Case {
            label,
            arch: nn::arch(name).unwrap(),
            variant,
        }
    }

    pub fn graph(&self, batch: usize, size: usize) -> Graph {
        let mut build = Build::new(batch, size);
        match self.variant {
            Some("mish") => build.activation = Some(Act::Mish),
            Some("gem") => {
                build.pool = GlobalPool::Gem;
                build.head = Some(Head { dims: 512 });
            }
            _ => {}
        }
        nn::graph(self.arch, &build).unwrap()
    }

    /// The calibrated statistics; the networks without batch norm have none.
    pub fn stats(&self) -> Stats {
        if self.arch.name.contains("nfnet") {
            return Stats::default();
        }
        let text = fs::read_to_string(file(&format!("stats/{}.txt", self.label))).unwrap();
        Stats::parse(&text).unwrap()
    }

    pub fn sizes(&self) -> Vec<usize> {
        match self.variant {
            None => vec![self.arch.size, LARGE, ODD],
            Some(_) => vec![ODD],
        }
    }

    pub fn width(&self) -> usize {
        if self.variant == Some("gem") {
            512
        } else {
            self.arch.width
        }
    }

    /// What timm says at one of the sizes: the features of the six images.
    pub fn reference(&self, size: usize) -> Vec<Vec<f32>> {
        let bytes = fs::read(file(&format!("features/{}.f32", self.label))).unwrap();
        let values = values_of(&bytes, DType::F32);
        let (sizes, block) = (self.sizes(), formula::IMAGES * self.width());
        assert_eq!(values.len(), sizes.len() * block, "{}", self.label);
        let at = sizes.iter().rposition(|&s| s == size).unwrap();
        let rows = values[at * block..(at + 1) * block].chunks(self.width());
        rows.map(<[f32]>::to_vec).collect()
    }
}

pub fn cpu() -> Arc<dyn Device> {
    Arc::new(CpuDevice::default())
}

pub fn plan(graph: &Graph, source: &dyn Source, device: &Arc<dyn Device>) -> Plan {
    Plan::new(graph, source, device.clone(), Lower::Infer(Precision::F32)).unwrap()
}

/// Runs a plan of f32 values.
pub fn run(plan: &Plan, device: &Arc<dyn Device>, ins: &[&[f32]]) -> Vec<Vec<f32>> {
    let buffer = |desc: &Desc| alloc(&**device, desc.clone()).unwrap();
    let from: Vec<Buf> = plan.inputs().iter().map(|(_, d)| buffer(d)).collect();
    let to: Vec<Buf> = plan.outputs().iter().map(buffer).collect();
    for (values, buf) in ins.iter().zip(&from) {
        let bytes = bytes_of(values, DType::F32);
        device.upload(&bytes, buf, Stream::DEFAULT).unwrap();
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

/// `max|b - mean of b over the images|`: how far the references are apart.
pub fn apart(want: &[Vec<f32>]) -> f64 {
    let mut most = 0.0f64;
    for i in 0..want[0].len() {
        let mean = want.iter().map(|r| f64::from(r[i])).sum::<f64>() / want.len() as f64;
        most = want
            .iter()
            .map(|r| (f64::from(r[i]) - mean).abs())
            .fold(most, f64::max);
    }
    most
}

/// `max|a - b|`; what is not finite is as far off as can be.
pub fn farthest(got: &[f32], want: &[f32]) -> f64 {
    assert_eq!(got.len(), want.len());
    let off = |(a, b): (&f32, &f32)| (f64::from(*a) - f64::from(*b)).abs();
    got.iter().zip(want).map(off).fold(0.0, |most, x| {
        if x.is_nan() {
            f64::INFINITY
        } else {
            most.max(x)
        }
    })
}
