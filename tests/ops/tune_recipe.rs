//! ops: a recipe's thresholds from labels

use std::path::Path;
use std::sync::Arc;

use doppel::evaluate::tune::{Curve, Options, curve};
use doppel::listings::Listings;
use doppel::listings::folds::label_k_fold;
use doppel::recipe::{self, Given, Job, Quiet, Recipe, Side, Step, TuneOptions, TuneOutcome};
use doppel::refine::{self, Blend};
use doppel::search::{self, TopK};
use doppel::tensor::{Matrix, Rows};

/// Noisy unit rows around the centre of each group, and the groups' labels.
fn made_up(groups: &[u32], dims: usize, noise: f32, seed: u64) -> Matrix {
    let mut rng = fastrand::Rng::with_seed(seed);
    let most = groups.iter().max().map_or(0, |&g| g as usize + 1);
    let mut random =
        |scale: f32| -> Vec<f32> { (0..dims).map(|_| (rng.f32() - 0.5) * scale).collect() };
    let centres: Vec<Vec<f32>> = (0..most).map(|_| random(1.0)).collect();
    let mut rows = Matrix::zeros(groups.len(), dims);
    for (i, &group) in groups.iter().enumerate() {
        let noisy: Vec<f32> = centres[group as usize]
            .iter()
            .zip(random(noise))
            .map(|(c, n)| c + n)
            .collect();
        let norm = noisy.iter().map(|v| v * v).sum::<f32>().sqrt();
        for (to, from) in rows.row_mut(i).iter_mut().zip(noisy) {
            *to = from / norm;
        }
    }
    rows
}

/// Listings with these labels and nothing else to say.
fn listings(folder: &Path, labels: &[u32]) -> Listings {
    let path = folder.join("listings.csv");
    let mut text = String::from("posting_id,title,label_group\n");
    for (i, label) in labels.iter().enumerate() {
        text += &format!("p{i},,g{label}\n");
    }
    std::fs::write(&path, text).unwrap();
    Listings::read(&path).unwrap()
}

fn tune(
    labels: &[u32],
    rows: &Matrix,
    recipe: &str,
    opt: &TuneOptions,
) -> doppel::Result<TuneOutcome> {
    let folder = tempfile::tempdir().unwrap();
    let listings = listings(folder.path(), labels);
    let recipe = Recipe::parse(recipe, Path::new("")).unwrap();
    let device = doppel::device::open("cpu").unwrap();
    let given = Given::Rows(Arc::new(Rows::Dense(rows.clone())));
    let job = Job {
        side: Side {
            given: vec![("photo".into(), given)],
            ..Side::new(&listings)
        },
        ..Job::new(&listings, &recipe, device)
    };
    recipe::tune(&job, opt, &Quiet)
}

const INB: &str = r#"
name = "inb"
fusion = "photo < .2"
[spaces.photo]
given = true
refine = [
  { blend = { distance = 0.05, min2 = 0.1 } },
  { expand = { k = 2, alpha = 1 } },
  { blend = { distance = 0.05 } },
]
"#;

/// The curve of the neighbourhoods of `rows`.
fn neighbourhoods(rows: &Matrix, labels: &[u32]) -> Curve {
    let top = TopK {
        k: 50,
        min_score: Some(1.0 - 0.99),
    };
    let lists = search::dense(rows, &top).unwrap();
    let labels: Vec<Option<u32>> = labels.iter().map(|&l| Some(l)).collect();
    curve(&lists, &labels, 0.99, &Options::default()).unwrap()
}

fn dense(rows: Rows) -> Matrix {
    match rows {
        Rows::Dense(x) => x,
        Rows::Sparse(_) => panic!("dense rows became sparse"),
    }
}

#[test]
fn a_stage_of_blending_is_tuned_on_what_the_stages_before_it_blended() {
    let labels: Vec<u32> = (0..150).map(|i| i % 50).collect();
    let plain = made_up(&labels, 12, 1.1, 3);
    let found = tune(&labels, &plain, INB, &TuneOptions::default()).unwrap();

    // By hand: search, choose, blend; expand; search, choose.
    let first = neighbourhoods(&plain, &labels);
    let blend = Blend {
        distance: first.min2.first.distance,
        min2: Some(first.min2.distance),
    };
    let near = |x: &Matrix, k: usize, below: f64| {
        let top = TopK {
            k,
            min_score: below.is_finite().then_some(1.0 - below),
        };
        search::dense(x, &top).unwrap()
    };
    let rows = Rows::Dense(plain.clone());
    let lists = near(&plain, 50, blend.distance.max(first.min2.distance));
    let blended = dense(refine::blend(&rows, &lists, &blend).unwrap());
    let expand = refine::Expand { k: 2, alpha: 1.0 };
    let lists = near(&blended, 2, f64::INFINITY);
    let expanded = dense(refine::expand(&Rows::Dense(blended), &lists, &expand).unwrap());
    let second = neighbourhoods(&expanded, &labels);

    assert_eq!(found.stages.len(), 2);
    assert_eq!((found.stages[0].step, found.stages[1].step), (1, 3));
    assert_eq!(found.stages[0].curve, first);
    assert_eq!(found.stages[1].curve, second);
    // The stage looked at other rows than the first one did, and wants another threshold.
    assert_ne!(first.best.distance, second.best.distance);
    assert!(
        second.best.f1 > first.best.f1,
        "{:?} {:?}",
        first.best,
        second.best
    );
    let blends: Vec<Blend> = found.recipe.spaces[0]
        .refine
        .iter()
        .filter_map(|step| match step {
            Step::Blend { blend, .. } => Some(*blend),
            Step::Expand(e) => {
                assert_eq!(*e, expand);
                None
            }
            Step::ExpandBy(_) => None,
        })
        .collect();
    let last = Blend {
        distance: second.best.distance,
        min2: None,
    };
    assert_eq!(blends, [blend, last]);
    assert!(found.after.f1 > found.before.f1);
}

/// Groups of two to four whose first rows stand first.
fn some_groups() -> Vec<u32> {
    let round = |n: u32| (0..20).filter(move |group| n < 2 + group % 3);
    (0..4).flat_map(round).collect()
}

fn two_folds(labels: &[u32]) -> Vec<u32> {
    let folder = tempfile::tempdir().unwrap();
    label_k_fold(&listings(folder.path(), labels), 2).unwrap()
}

#[test]
fn held_out_labels_change_no_threshold() {
    let labels = some_groups();
    let folds = two_folds(&labels);
    let rows = made_up(&labels, 10, 1.0, 9);
    let opt = TuneOptions {
        folds: 2,
        ..TuneOptions::default()
    };
    let told = tune(&labels, &rows, INB, &opt).unwrap().folds.unwrap();
    // Members of the groups of fold 0 change places. Sizes and first rows stay, and so do the folds.
    let held: Vec<usize> = (20..labels.len()).filter(|&i| folds[i] == 0).collect();
    let mut other = labels.clone();
    for pair in held.windows(2) {
        other.swap(pair[0], pair[1]);
    }
    assert_eq!(two_folds(&other), folds);
    assert_ne!(other, labels);
    let changed = tune(&other, &rows, INB, &opt).unwrap().folds.unwrap();
    assert_eq!(told.folds.len(), 2);
    // Thresholds for fold 0 come from fold 1 alone: they stay, and the scores do not.
    let (a, b) = (&told.folds[0], &changed.folds[0]);
    assert_eq!(a.listings, b.listings);
    for (a, b) in [(&a.alone, &b.alone), (&a.whole, &b.whole)] {
        assert_eq!(a.thresholds, b.thresholds);
        assert_ne!(a.f1, b.f1);
    }
    // Those for fold 1 come from the labels that changed.
    let (a, b) = (&told.folds[1], &changed.folds[1]);
    assert_ne!(a.alone.thresholds, b.alone.thresholds);
    assert_ne!(a.whole.thresholds, b.whole.thresholds);
    let mean = (told.folds[0].whole.f1 + told.folds[1].whole.f1) / 2.0;
    assert!((told.whole.f1 - mean).abs() < 1e-12 && told.whole.deviation > 0.0);
    // Among all listings there is more to be wrong with.
    assert!(told.whole.f1 < told.alone.f1, "{told:?}");
}

#[test]
fn the_named_spaces_alone_change() {
    let labels: Vec<u32> = (0..60).map(|i| i % 20).collect();
    let rows = made_up(&labels, 10, 0.8, 5);
    let two = r#"
name = "two"
fusion = "photo < .02 or wide < .03"
[spaces.photo]
given = true
[spaces.wide]
concat = { photo = 1 }
refine = [{ blend = { distance = 0.05, by = "photo" } }]
"#;
    let opt = TuneOptions {
        only: vec!["photo".into()],
        ..TuneOptions::default()
    };
    let found = tune(&labels, &rows, two, &opt).unwrap();
    assert!(found.stages.is_empty());
    let numbers = found.recipe.fusion.numbers();
    assert_eq!(numbers[1].value, 0.03);
    assert_ne!(numbers[0].value, 0.02);
    assert!(found.after.f1 > found.before.f1);

    // With all of them, the stage looks at the other space.
    let found = tune(&labels, &rows, two, &TuneOptions::default()).unwrap();
    assert_eq!(found.stages.len(), 1);
    assert_eq!(found.stages[0].curve, neighbourhoods(&rows, &labels));

    let opt = TuneOptions {
        only: vec!["words".into()],
        ..TuneOptions::default()
    };
    let error = tune(&labels, &rows, two, &opt).unwrap_err().to_string();
    assert!(
        error.contains("words") && error.contains("photo, wide"),
        "{error}"
    );
}
