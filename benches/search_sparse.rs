//! Sparse top-k on made-up TF-IDF rows. For the comparison with another library see
//! `benches/peers/sparse_topk.py`.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use doppel::search::{Space, TopK, combined, sparse};
use doppel::tensor::{Csr, Matrix};

/// `rows` rows of 4 to 14 columns that follow Zipf's law, weighted like TF-IDF; one in two repeats
/// most of an earlier row.
fn rows(rows: usize, cols: usize) -> Csr {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut all: Vec<Vec<u32>> = Vec::new();
    let (mut indptr, mut indices, mut values) = (vec![0], Vec::new(), Vec::new());
    for i in 0..rows {
        let wanted = rng.usize(4..15);
        let mut columns = Vec::new();
        if i > 0 && rng.bool() {
            columns.clone_from(&all[rng.usize(0..i)]);
            columns.remove(rng.usize(0..columns.len()));
        }
        while columns.len() < wanted {
            let column = (cols as f64).powf(rng.f64()) as usize;
            columns.push(column.clamp(1, cols) as u32 - 1);
        }
        columns.sort_unstable();
        columns.dedup();
        indices.extend_from_slice(&columns);
        values.extend(columns.iter().map(|&c| 1.0 + f64::from(c + 1).ln()));
        indptr.push(indices.len());
        all.push(columns);
    }
    Csr::new(cols, indptr, indices, values).expect("ascending columns within bounds")
}

fn search(c: &mut Criterion) {
    let x = rows(20_000, 15_000);
    let mut group = c.benchmark_group("sparse_top50_of_20000");
    group.sample_size(10);
    for min_score in [None, Some(0.3), Some(0.6)] {
        let opt = TopK { k: 50, min_score };
        let id = BenchmarkId::from_parameter(min_score.map_or("none".into(), |s| s.to_string()));
        group.bench_with_input(id, &opt, |b, opt| b.iter(|| sparse(black_box(&x), opt)));
    }
    group.finish();
}

fn combine(c: &mut Criterion) {
    const ROWS: usize = 4_000;
    let mut rng = fastrand::Rng::with_seed(8);
    let data = (0..ROWS * 512).map(|_| rng.f32() - 0.5).collect();
    let images = Matrix::new(ROWS, 512, data).expect("rows x 512 values");
    let titles = rows(ROWS, 6_000);
    let spaces = [(Space::Dense(&images), 1.0), (Space::Sparse(&titles), 0.7)];
    let opt = TopK {
        k: 50,
        min_score: None,
    };
    let mut group = c.benchmark_group("combined_top50_of_4000_x_512");
    group.sample_size(10);
    group.bench_function("dense_and_sparse", |b| {
        b.iter(|| combined(black_box(&spaces), &opt))
    });
    group.finish();
}

criterion_group!(benches, search, combine);
criterion_main!(benches);
