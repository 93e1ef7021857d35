//! Decoding and hashing photographs: `cargo bench --bench phash`.
//!
//! The pictures are the twelve photographs of the golden tests, 348 x 348 pixels each.

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use doppel::image::{ImageFolder, decode, luma, phash, phash_gray, phash_many, resize_lanczos_u8};

fn photographs() -> (ImageFolder, Vec<String>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/data/phash");
    let names = (0..12).map(|n| format!("photo-{n:02}.jpg")).collect();
    (
        ImageFolder::open(folder).expect("the golden pictures"),
        names,
    )
}

fn one_photograph(c: &mut Criterion) {
    let (folder, names) = photographs();
    let bytes = folder.read(&names[0]).expect("a photograph");
    let decoded = decode(&bytes).expect("a photograph");
    let grey = luma(&decoded);
    let mut group = c.benchmark_group("one");
    group.bench_function("decode", |b| b.iter(|| decode(black_box(&bytes))));
    group.bench_function("luma", |b| b.iter(|| luma(black_box(&decoded))));
    group.bench_function("resize to 32 x 32", |b| {
        b.iter(|| resize_lanczos_u8(black_box(&grey), 32, 32));
    });
    group.bench_function("phash of grey pixels", |b| {
        b.iter(|| phash_gray(black_box(&grey)));
    });
    group.bench_function("phash", |b| b.iter(|| phash(black_box(&bytes))));
    group.finish();
}

fn many_photographs(c: &mut Criterion) {
    let (folder, names) = photographs();
    let names: Vec<Option<&str>> = names.iter().map(|name| Some(name.as_str())).collect();
    let mut group = c.benchmark_group("many");
    group.throughput(Throughput::Elements(names.len() as u64));
    group.bench_function("phash_many", |b| {
        b.iter(|| phash_many(&folder, black_box(&names), &|_| ()));
    });
    group.finish();
}

criterion_group!(benches, one_photograph, many_photographs);
criterion_main!(benches);
