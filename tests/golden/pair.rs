//! The classifier of pairs against NumPy.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use doppel::device;
use doppel::listings::Listings;
use doppel::recipe::{Given, Job, PairSpec, Quiet, Recipe, Side, run};
use doppel::search::{PairClassifier, TopK, classified};
use doppel::tensor::{Matrix, Rows};
use safetensors::tensor::{Dtype, TensorView, serialize};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    photo: Vec<Vec<f32>>,
    title: Vec<Vec<f32>>,
    listings: usize,
    gallery: usize,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    weights: HashMap<String, Tensor>,
    directed: Vec<f64>,
    joined: Vec<f64>,
    against: Vec<f64>,
    matches: Vec<Vec<u32>>,
}

#[derive(Deserialize)]
struct Tensor {
    shape: Vec<usize>,
    values: Vec<f32>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("data/pair.json")).unwrap()
}

fn matrix(rows: &[Vec<f32>]) -> Matrix {
    Matrix::new(rows.len(), rows[0].len(), rows.concat()).unwrap()
}

/// Photos and titles side by side, each of unit length.
fn joined(golden: &Golden) -> Vec<Vec<f32>> {
    let unit = |row: &[f32]| -> Vec<f32> {
        let length: f64 = row.iter().map(|&x| f64::from(x).powi(2)).sum();
        let by = if length > 0.0 { length.sqrt() } else { 1.0 };
        row.iter().map(|&x| (f64::from(x) / by) as f32).collect()
    };
    let both = golden.photo.iter().zip(&golden.title);
    both.map(|(photo, title)| [unit(photo), unit(title)].concat())
        .collect()
}

fn classifier(case: &Case) -> PairClassifier {
    let of = |name: &str| &case.weights[name];
    let layer = |name: &str| {
        let tensor = of(&format!("{name}.weight"));
        Matrix::new(tensor.shape[0], tensor.shape[1], tensor.values.clone()).unwrap()
    };
    let (first, last) = (layer("fc1"), layer("fc2"));
    let biases = (&of("fc1.bias").values, &of("fc2.bias").values);
    PairClassifier::new((&first, biases.0), (&last, biases.1)).unwrap()
}

/// The weights as a file.
fn file(case: &Case, path: &Path) {
    let bytes: HashMap<&String, Vec<u8>> = case
        .weights
        .iter()
        .map(|(name, t)| {
            (
                name,
                t.values.iter().flat_map(|x| x.to_le_bytes()).collect(),
            )
        })
        .collect();
    let views = case.weights.iter().map(|(name, t)| {
        let view = TensorView::new(Dtype::F32, t.shape.clone(), &bytes[name]).unwrap();
        (name.clone(), view)
    });
    std::fs::write(path, serialize(views, None).unwrap()).unwrap();
}

const ALL: TopK = TopK {
    k: 50,
    min_score: None,
};

#[test]
fn probabilities_equal_numpys() {
    let golden = golden();
    let x = joined(&golden);
    let n = golden.listings;
    let close = |a: f64, b: f64, what: &str| assert!((a - b).abs() < 1e-6, "{what}: {a} and {b}");
    for case in &golden.cases {
        let judge = classifier(case);
        for i in 0..n {
            for j in 0..n {
                let p = judge.probability(&x[i], &x[j]).unwrap();
                close(p, case.directed[i * n + j], "probability");
            }
        }
        let (ours, gallery) = (matrix(&x[..n]), matrix(&x[n..]));
        let lists = classified(&ours, None, &judge, &ALL).unwrap();
        for (i, list) in lists.iter().enumerate() {
            assert_eq!(list.len(), n);
            assert!(list.scores.windows(2).all(|w| w[0] >= w[1]));
            list.iter()
                .for_each(|(j, p)| close(p, case.joined[i * n + j as usize], "joined"));
        }
        let lists = classified(&ours, Some(&gallery), &judge, &ALL).unwrap();
        for (i, list) in lists.iter().enumerate() {
            assert_eq!(list.len(), golden.gallery);
            list.iter().for_each(|(j, p)| {
                close(p, case.against[i * golden.gallery + j as usize], "against");
            });
        }
        let few = TopK {
            k: 3,
            min_score: Some(0.4),
        };
        for (i, list) in classified(&ours, None, &judge, &few)
            .unwrap()
            .iter()
            .enumerate()
        {
            let mut wanted: Vec<f64> = case.joined[i * n..][..n].to_vec();
            wanted.retain(|&p| p >= 0.4);
            wanted.sort_by(|a, b| b.total_cmp(a));
            wanted.truncate(3);
            assert_eq!(list.len(), wanted.len());
            (list.scores.iter().zip(wanted)).for_each(|(&p, wanted)| close(p, wanted, "the best"));
        }
    }
}

/// The recipe over given embeddings: what NumPy's script matches.
#[test]
fn a_recipe_matches_what_numpys_script_does() {
    let golden = golden();
    let folder = tempfile::tempdir().unwrap();
    let csv: String = (0..golden.listings)
        .map(|i| format!("p{i},title {i}\n"))
        .collect();
    let path = folder.path().join("listings.csv");
    std::fs::write(&path, format!("posting_id,title\n{csv}")).unwrap();
    let listings = Listings::read(&path).unwrap();
    let text = "name = 'naive'\nfusion = 'same > .5'\n[spaces]\nphoto.given = true\n\
                title.given = true\nsame = { pair = ['photo', 'title'], weights = 'w.safetensors' }\n";
    let recipe = Recipe::parse(text, folder.path()).unwrap();
    let given =
        |rows: &[Vec<f32>]| Given::Rows(Arc::new(Rows::Dense(matrix(&rows[..golden.listings]))));
    let side = Side {
        given: vec![
            ("photo".into(), given(&golden.photo)),
            ("title".into(), given(&golden.title)),
        ],
        ..Side::new(&listings)
    };
    for case in &golden.cases {
        file(case, &folder.path().join("w.safetensors"));
        let job = Job {
            side: side.clone(),
            ..Job::new(&listings, &recipe, device::open("cpu").unwrap())
        };
        let outcome = run(&job, &Quiet).unwrap();
        for (i, wanted) in case.matches.iter().enumerate() {
            let matches: Vec<u32> = outcome.matches.rows(i).collect();
            assert_eq!(&matches, wanted, "listing {i}");
        }
        let mut small = recipe.clone();
        let doppel::recipe::Of::Pair { classifier, .. } = &mut small.spaces[2].of else {
            panic!("{small:?}");
        };
        classifier.pairs = 90;
        let job = Job {
            recipe: &small,
            ..job
        };
        let error = run(&job, &Quiet).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("14 listings make 91 pairs"), "{error}");
    }
}

#[test]
fn what_does_not_fit_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let mut case = golden().cases.remove(1);
    let open = |case: &Case| {
        file(case, &path);
        let spec = PairSpec {
            weights: path.clone(),
            pairs: 10,
        };
        spec.open().map_err(|e| e.to_string())
    };
    assert_eq!(open(&case).unwrap(), classifier(&case));
    let judge = classifier(&case);
    let cost = judge.cost(1000, None);
    assert_eq!(
        (cost.pairs, cost.multiplications),
        (499_500, 499_500 * 11 + 1000 * 99)
    );
    assert_eq!(judge.cost(10, Some(20)).pairs, 200);
    let wrong = classified(&Matrix::zeros(2, 3), None, &judge, &ALL).unwrap_err();
    assert!(wrong.to_string().contains("[2, 3]"), "{wrong}");
    let bias = case.weights.remove("fc2.bias").unwrap();
    assert!(open(&case).unwrap_err().contains("fc2.bias"));
    case.weights.insert("fc2.bias".into(), bias);
    case.weights.get_mut("fc1.bias").unwrap().shape = vec![11, 1];
    assert!(open(&case).unwrap_err().contains("fc1.bias"));
    case.weights.get_mut("fc1.bias").unwrap().shape = vec![11];
    case.weights.get_mut("fc2.weight").unwrap().shape = vec![22];
    assert!(open(&case).unwrap_err().contains("fc2.weight"));
}
