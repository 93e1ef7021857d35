//! The dense and the Hamming top-k on made-up rows.
//!
//! ```text
//! cargo bench --bench search_dense
//! ```

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use doppel::device::cpu::Kernel;
use doppel::search::{TopK, Tuning, dense_tuned, hamming};
use doppel::tensor::Matrix;
use std::hint::black_box;

fn gauss(rows: usize, dims: usize) -> Matrix {
    let mut rng = fastrand::Rng::with_seed(7);
    let normal = |rng: &mut fastrand::Rng| (0..12).map(|_| rng.f32()).sum::<f32>() - 6.0;
    let data = (0..rows * dims).map(|_| normal(&mut rng)).collect();
    Matrix::new(rows, dims, data).expect("rows x dims values")
}

fn dense_join(c: &mut Criterion) {
    let opt = TopK {
        k: 50,
        min_score: None,
    };
    let mut group = c.benchmark_group("dense top-50 self-join");
    group.sample_size(10);
    for (rows, dims) in [(8192, 512), (34_250, 512), (8192, 1536)] {
        let x = gauss(rows, dims);
        // Two operations for each dimension of each pair above the diagonal.
        group.throughput(Throughput::Elements((rows * rows * dims) as u64));
        for kernel in Kernel::available() {
            // The portable form is there to be right.
            if rows > 10_000 && kernel != Kernel::best() || kernel.name() == "portable" {
                continue;
            }
            let id = BenchmarkId::new(kernel.name(), format!("{rows} x {dims}"));
            let tuning = Tuning {
                kernel,
                ..Tuning::default()
            };
            group.bench_function(id, |b| {
                b.iter(|| dense_tuned(black_box(&x), None, &opt, &tuning).expect("a search"));
            });
        }
    }
    group.finish();
}

fn hamming_join(c: &mut Criterion) {
    let mut rng = fastrand::Rng::with_seed(7);
    let opt = TopK {
        k: 50,
        min_score: None,
    };
    let mut group = c.benchmark_group("hamming top-50 self-join");
    group.sample_size(10);
    for rows in [10_000usize, 70_000] {
        let hashes: Vec<Option<u64>> = (0..rows).map(|_| Some(rng.u64(..))).collect();
        group.throughput(Throughput::Elements((rows * rows / 2) as u64));
        group.bench_function(BenchmarkId::from_parameter(rows), |b| {
            b.iter(|| hamming(black_box(&hashes), &opt).expect("a search"));
        });
    }
    group.finish();
}

criterion_group!(benches, dense_join, hamming_join);
criterion_main!(benches);
