//! Decoding photographs and preparing them for encoders: `cargo bench --bench decode`.
//!
//! The pictures are the twelve photographs of the golden tests, 348 x 348 pixels each.
//! `benches/peers/decode.py` runs torchvision beside the same steps.

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};
use doppel::image::{
    Crop, Filter, IMAGENET, ImageFolder, Prepare, decode_rgb, prepare, resize_rgb,
};

fn one_photograph(c: &mut Criterion) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/data/phash");
    let folder = ImageFolder::open(folder).expect("the golden pictures");
    let bytes = folder.read("photo-00.jpg").expect("a photograph");
    let rgb = decode_rgb(&bytes, true).expect("a photograph");
    let mut group = c.benchmark_group("one");
    group.bench_function("decode", |b| b.iter(|| decode_rgb(black_box(&bytes), true)));
    for filter in [Filter::Bilinear, Filter::Bicubic, Filter::Lanczos] {
        for size in [224, 512] {
            group.bench_function(format!("resize to {size}, {filter:?}"), |b| {
                b.iter(|| resize_rgb(black_box(&rgb), size, size, filter));
            });
        }
    }
    let how = Prepare {
        size: 512,
        crop: Crop::Timm { crop_pct: 0.9 },
        filter: Filter::Bicubic,
        normal: IMAGENET,
    };
    let mut out = vec![0.0; how.values().expect("a size")];
    group.bench_function("prepare at 512", |b| {
        b.iter(|| prepare(black_box(&rgb), &how, &mut out));
    });
    group.finish();
}

criterion_group!(benches, one_photograph);
criterion_main!(benches);
