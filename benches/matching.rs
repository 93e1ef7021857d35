//! Matching at the competition's size: 70,000 rows, three sources, 50 neighbours each.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use doppel::evaluate::evaluate;
use doppel::lists::{Lists, best_first};
use doppel::matching::{Rule, Source, resolve};

const ROWS: u32 = 70_000;
const NEIGHBOURS: usize = 50;
/// Rows of one product, on average.
const GROUP: u32 = 3;

/// Lists in which a row's own group is near (at about `spread`) and 50 neighbours stand in all.
fn source(name: &str, spread: f64, seed: u64) -> Source {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut lists = Lists::with_capacity(ROWS as usize, NEIGHBOURS);
    for i in 0..ROWS {
        let mut list = vec![(i, 1.0)];
        for j in (i - i % GROUP)..(i - i % GROUP + GROUP).min(ROWS) {
            if j != i {
                list.push((j, 1.0 - spread * (0.2 + 1.6 * random.f64())));
            }
        }
        let far = random.u32(0..ROWS);
        for n in list.len() as u32..NEIGHBOURS as u32 {
            let j = (far + n * 7) % ROWS;
            if list.iter().all(|&(known, _)| known != j) {
                list.push((j, 0.55 * random.f64()));
            }
        }
        list.sort_by(best_first);
        lists.push(list);
    }
    Source::new(name, lists)
}

fn matching(c: &mut Criterion) {
    let sources = [
        source("image", 0.3, 1),
        source("tfidf", 0.4, 2),
        source("bert", 0.12, 3),
    ];
    let rows = ROWS as usize;
    let mut group = c.benchmark_group("matching/70000x3x50");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(5));
    let sweep = Rule::tan_final(0, 1, 2);
    let rules = [
        ("sweep+min2", sweep.clone().min2(0, 0.6)),
        ("sweep+min2, reciprocal", sweep.min2(0, 0.6).reciprocal()),
        // Every listed neighbour of every source fires: the most that there is to put in order.
        (
            "all fire",
            Rule::threshold(0, 2.0)
                .or(Rule::threshold(1, 2.0))
                .or(Rule::threshold(2, 2.0)),
        ),
    ];
    for (name, rule) in &rules {
        group.bench_function(*name, |b| {
            b.iter(|| {
                resolve(black_box(&sources), rule, rows).expect("the rule and lists are sound")
            });
        });
    }
    let labels: Vec<_> = (0..ROWS).map(|i| Some(i / GROUP)).collect();
    let answers = resolve(&sources, &rules[0].1, rows)
        .expect("the rule and lists are sound")
        .answers();
    group.bench_function("evaluate", |b| {
        b.iter(|| evaluate(black_box(&labels), &answers).expect("all rows have labels"));
    });
    group.finish();
}

criterion_group!(benches, matching);
criterion_main!(benches);
