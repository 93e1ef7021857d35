//! Whole encoders out of files: what loading one costs, and what a file lacks or has too much.

use std::sync::Arc;

use doppel::device::CpuDevice;
use doppel::nn::{self, Build, ImageEncoder, ImageOptions};

use super::live::{again, child, cut};
use super::*;
use crate::memory;

/// A file of the architecture's weights, all zero, which take no room on the disk; `change` edits the
/// list of names and shapes first.
fn zeros(place: &Place, arch: &str, change: impl Fn(&mut Vec<(String, Vec<usize>)>)) -> PathBuf {
    let graph = nn::graph(nn::arch(arch).unwrap(), &Build::new(1, 64)).unwrap();
    let mut list = nn::params(&graph);
    change(&mut list);
    let (mut entries, mut at) = (Vec::new(), 0u64);
    for (name, dims) in &list {
        let dims: Vec<u64> = dims.iter().map(|&d| d as u64).collect();
        let end = at + 4 * dims.iter().product::<u64>();
        entries.push(entry(name, "F32", &dims, at, end));
        at = end;
    }
    let start = raw(&format!("{{{}}}", entries.join(",")), &[]);
    let path = place.put("model.safetensors", &start);
    cut(&path, start.len() as u64 + at);
    path
}

fn open(arch: &str, path: &Path, how: OpenOptions) -> Result<(ImageEncoder, String), Error> {
    let mut options = ImageOptions::new(arch);
    options.size = Some(33);
    let device = Arc::new(CpuDevice::default());
    let (encoder, extras) = ImageEncoder::open(&options, path, how, device)?;
    Ok((encoder, extras.to_string()))
}

/// The design's bound: while an encoder loads, no more anonymous memory than 1.2 times its packed size.
#[cfg(target_os = "linux")]
#[test]
fn an_encoder_loads_in_little_more_than_its_packed_size() {
    const ARCHS: [&str; 3] = ["resnet18", "resnet50", "efficientnet_b0"];
    const NAME: &str = "encoder::an_encoder_loads_in_little_more_than_its_packed_size";
    if let Some(folder) = child() {
        let arch = std::fs::read_to_string(folder.join("arch")).unwrap();
        for how in [MAP, READ] {
            let path = folder.join("model.safetensors");
            let (loaded, grown) = memory::peak_growth(|| open(&arch, &path, how).unwrap());
            println!("grown {} {}", grown.unwrap(), loaded.0.plan().packed());
        }
        return;
    }
    for arch in ARCHS {
        let place = Place::new();
        zeros(&place, arch, |_| {});
        place.put("arch", arch.as_bytes());
        let output = again(NAME, place.path());
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let pairs: Vec<(u64, u64)> = text
            .lines()
            .filter_map(|l| {
                let mut numbers = l.split("grown ").nth(1)?.split_whitespace();
                let mut next = || numbers.next()?.parse().ok();
                Some((next()?, next()?))
            })
            .collect();
        assert_eq!(pairs.len(), 2, "{text}");
        let graph = nn::graph(nn::arch(arch).unwrap(), &Build::new(1, 64)).unwrap();
        let sizes = nn::params(&graph)
            .into_iter()
            .map(|(_, d)| 4 * d.iter().product::<usize>());
        let published: usize = sizes.sum();
        for (grown, packed) in pairs {
            println!("{arch}: {grown} bytes for {packed} packed, {published} published");
            assert!(grown * 10 <= packed * 12, "{arch}: {grown} for {packed}");
            // Filters of 3x3 at 36 points for 9 taps, where there are many; the rest padded to whole
            // vectors, and every small vector in a line of its own: no more.
            assert!(
                packed < 4 * published as u64,
                "{arch}: {packed} for {published}"
            );
            assert!(
                grown * 2 > published as u64,
                "{arch}: {grown}: was it loaded?"
            );
        }
    }
}

#[test]
fn a_files_tensors_are_all_accounted_for() {
    let place = Place::new();
    let arch = "resnet18";
    let path = zeros(&place, arch, |list| {
        list.push(("fc.weight".into(), vec![1000, 512]));
        list.push(("fc.bias".into(), vec![1000]));
    });
    let (encoder, ignored) = open(arch, &path, MAP).unwrap();
    assert_eq!(encoder.dims(), 512);
    assert!(ignored.contains("ignored 2 tensors"), "{ignored}");
    // A folder does as well as the file in it.
    assert!(open(arch, place.path(), READ).is_ok());

    let path = zeros(&place, arch, |list| {
        list.iter_mut()
            .for_each(|(name, _)| *name = format!("backbone.{name}"));
    });
    assert!(
        open(arch, &path, MAP).is_ok(),
        "a common prefix is taken off"
    );

    let file = "model.safetensors";
    let path = zeros(&place, arch, |list| {
        list.retain(|(n, _)| n != "layer2.0.bn2.running_var")
    });
    says(open(arch, &path, MAP), file, "layer2.0.bn2.running_var");
    let path = zeros(&place, arch, |list| {
        list.push(("fc2.weight".into(), vec![3]))
    });
    says(open(arch, &path, MAP), file, "fc2.weight");
    let path = zeros(&place, arch, |list| list[0].1 = vec![64, 3, 7, 5]);
    says(open(arch, &path, MAP), file, "conv1.weight");
    let path = zeros(&place, "resnet50", |_| {});
    says(open(arch, &path, MAP), file, "tensor");
}

/// A head in the file is used, unless raw features are asked for.
#[test]
fn a_head_in_the_file_is_used() {
    let place = Place::new();
    let path = zeros(&place, "resnet18", |list| {
        list.push(("embed.fc.weight".into(), vec![40, 512]));
        list.push(("embed.fc.bias".into(), vec![40]));
        for part in ["weight", "bias", "running_mean", "running_var"] {
            list.push((format!("embed.bn.{part}"), vec![40]));
        }
        list.push(("embed.pool.p".into(), vec![1]));
    });
    let (encoder, ignored) = open("resnet18", &path, MAP).unwrap();
    assert_eq!((encoder.dims(), encoder.pool()), (40, nn::GlobalPool::Gem));
    assert_eq!(ignored, "");
    let mut options = ImageOptions::new("resnet18");
    options.size = Some(33);
    options.raw = true;
    options.pool = Some(nn::GlobalPool::Average);
    let device = Arc::new(CpuDevice::default());
    let (encoder, extras) = ImageEncoder::open(&options, &path, MAP, device).unwrap();
    assert_eq!(
        (encoder.dims(), encoder.pool()),
        (512, nn::GlobalPool::Average)
    );
    assert_eq!(extras.ignored.len(), 7, "{extras}");
}
