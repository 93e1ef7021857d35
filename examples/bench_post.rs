//! Times what comes after the searches, at the competition's size, from made-up neighbours:
//!
//! ```text
//! bench_post [ROWS [DIMS]]
//! ```
//!
//! `ROWS` (70,000) rows of `DIMS` (1,536, three image encoders side by side), 50 neighbours a row for image,
//! TF-IDF and title. Steps: alpha query expansion (k 2, alpha 3), one stage of blending, Tan's final sweep
//! with Min2, and writing matches.csv and pairs.csv to a temporary folder. One line of JSON: the seconds of
//! each step and of all of them (what is made up is not timed), and what came out. `RAYON_NUM_THREADS` sets
//! the threads.

use std::time::Instant;

use doppel::lists::{Lists, best_first};
use doppel::matching::{Ids, Rule, Source, resolve, write_matches, write_pairs};
use doppel::refine::{Blend, Expand, blend, expand, neighbourhoods};
use doppel::tensor::{Matrix, Rows};

const NEIGHBOURS: usize = 50;
/// Rows of one product.
const GROUP: u32 = 3;

/// Lists in which a row's own group is near (at about `spread`) and 50 neighbours stand in all.
fn made_up(rows: u32, spread: f64, seed: u64) -> Lists {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut lists = Lists::with_capacity(rows as usize, NEIGHBOURS);
    for i in 0..rows {
        let mut list = vec![(i, 1.0)];
        for j in (i - i % GROUP)..(i - i % GROUP + GROUP).min(rows) {
            if j != i {
                list.push((j, 1.0 - spread * (0.2 + 1.6 * random.f64())));
            }
        }
        let far = random.u32(0..rows);
        for n in list.len() as u32..NEIGHBOURS as u32 {
            let j = (far + n * 7) % rows;
            if list.iter().all(|&(known, _)| known != j) {
                list.push((j, 0.55 * random.f64()));
            }
        }
        list.sort_by(best_first);
        lists.push(list);
    }
    lists
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, usual: usize| args.get(at).map_or(Ok(usual), |a| a.parse::<usize>());
    let (rows, dims) = (number(0, 70_000)?, number(1, 1_536)?);

    let image = made_up(u32::try_from(rows)?, 0.3, 1);
    let tfidf = made_up(u32::try_from(rows)?, 0.4, 2);
    let title = made_up(u32::try_from(rows)?, 0.12, 3);
    let mut random = fastrand::Rng::with_seed(4);
    let values = (0..rows * dims).map(|_| random.f32() - 0.5).collect();
    let x = Rows::Dense(Matrix::new(rows, dims, values)?);
    let ids: Vec<String> = (0..rows).map(|i| format!("train_{i:010}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let stage = Blend {
        distance: 0.5,
        min2: Some(0.6),
    };
    let blended_rows = neighbourhoods(&image, &stage)?.pairs();

    let mut steps: Vec<(&str, f64)> = Vec::new();
    let mut begun = Instant::now();
    let mut step = |name| {
        steps.push((name, begun.elapsed().as_secs_f64()));
        begun = Instant::now();
    };
    let expanded = expand(&x, &image, &Expand::TAN)?;
    step("expand");
    drop(x);
    let blended = blend(&expanded, &image, &stage)?;
    step("blend");
    drop(expanded);
    let sources = [
        Source::new("image", image),
        Source::new("tfidf", tfidf),
        Source::new("title", title),
    ];
    let rule = Rule::tan_final(0, 1, 2).min2(0, 0.6);
    let matches = resolve(&sources, &rule, rows)?;
    step("sweep");
    let folder = tempfile::tempdir()?;
    write_matches(folder.path().join("matches.csv"), Ids::of(&ids), &matches)?;
    step("write_matches");
    let names = ["image", "tfidf", "title"];
    write_pairs(
        folder.path().join("pairs.csv"),
        Ids::of(&ids),
        &matches,
        &names,
    )?;
    step("write_pairs");

    let Rows::Dense(blended) = blended else {
        return Err("dense rows stay dense".into());
    };
    if blended.first_not_finite().is_some() {
        return Err("the blended rows are not numbers".into());
    }
    let all: f64 = steps.iter().map(|s| s.1).sum();
    let found: usize = (0..rows).map(|i| matches.row(i).len()).sum();
    let steps: Vec<String> = steps
        .iter()
        .map(|(n, s)| format!("\"{n}\": {s:.3}"))
        .collect();
    println!(
        "{{\"rows\": {rows}, \"dims\": {dims}, \"threads\": {}, \"seconds\": {{{}, \"all\": {all:.3}}}, \"blended\": {blended_rows}, \"matches\": {found}}}",
        rayon::current_num_threads(),
        steps.join(", ")
    );
    Ok(())
}
