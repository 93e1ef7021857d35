//! The k-nearest-neighbours classifier against scikit-learn's.

use doppel::classify::{Metric, curve, leave_one_out, ranked};
use doppel::tensor::{Matrix, Rows};
use doppel::text::tfidf::{Norm, Tfidf, TfidfOptions};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    titles: Vec<String>,
    labels: Vec<i64>,
    dense: Vec<Vec<f32>>,
    most: usize,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    space: String,
    metric: String,
    /// A label for each row and k; none where scikit-learn leaves it to chance.
    answers: Vec<Vec<Option<i64>>>,
}

#[test]
fn answers_equal_scikit_learns() {
    let golden: Golden = serde_json::from_str(include_str!("data/knn.json")).unwrap();
    let texts: Vec<String> = golden.labels.iter().map(i64::to_string).collect();
    let texts: Vec<Option<&str>> = texts.iter().map(|l| Some(l.as_str())).collect();
    let labels = ranked(&texts);
    let titles: Vec<Option<&str>> = golden.titles.iter().map(|t| Some(t.as_str())).collect();
    // Counts are TF-IDF without weights and without a norm.
    let counts = TfidfOptions {
        use_idf: false,
        norm: Norm::None,
        ..TfidfOptions::default()
    };
    let mut told = 0;
    for case in &golden.cases {
        let rows = match case.space.as_str() {
            "counts" => Rows::Sparse(Tfidf::fit_transform(&titles, &counts).unwrap().1),
            "tfidf" => {
                let options = TfidfOptions::default();
                Rows::Sparse(Tfidf::fit_transform(&titles, &options).unwrap().1)
            }
            _ => {
                let (rows, dims) = (golden.dense.len(), golden.dense[0].len());
                Rows::Dense(Matrix::new(rows, dims, golden.dense.concat()).unwrap())
            }
        };
        let metric = match case.metric.as_str() {
            "cosine" => Metric::Cosine,
            _ => Metric::Euclidean,
        };
        let ks = 1..=golden.most;
        let found = leave_one_out(&rows, &labels, ks.clone(), metric).unwrap();
        let mut right = vec![0; golden.most];
        for (row, (found, wanted)) in found.iter().zip(&case.answers).enumerate() {
            let found = found.as_ref().unwrap();
            for (k, (found, wanted)) in found.iter().zip(wanted).enumerate() {
                let place = labels.iter().position(|l| *l == Some(*found)).unwrap();
                let found = golden.labels[place];
                right[k] += usize::from(found == golden.labels[row]);
                if let Some(wanted) = wanted {
                    let at = (&case.space, &case.metric, row, k + 1);
                    assert_eq!(found, *wanted, "{at:?}");
                    told += 1;
                }
            }
        }
        let curve = curve(&rows, &labels, ks, metric).unwrap();
        let points: Vec<usize> = curve.points.iter().map(|p| p.right).collect();
        assert_eq!(points, right);
        assert!(right[0] > 10, "{right:?}");
    }
    assert!(told > 2000, "{told}");
}
