use super::*;

/// Rows of three features; a row is positive by the first two together, but for some noise.
fn made(rows: usize, seed: u64) -> (Table, Vec<bool>) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut data = Vec::new();
    let mut positive = Vec::new();
    for _ in 0..rows {
        let (a, b, c) = (rng.f32(), rng.f32(), rng.f32());
        positive.push((a > 0.5) != (b > 0.3) && rng.f32() < 0.95);
        data.extend([a, b, c]);
    }
    (Table::new(3, data).unwrap(), positive)
}

fn names() -> Vec<String> {
    ["a", "b", "c"].map(String::from).to_vec()
}

fn right(model: &PairModel, rows: &Table, positive: &[bool]) -> f64 {
    let p = model.probabilities(rows).unwrap();
    let right = p.iter().zip(positive).filter(|(p, y)| (**p > 0.5) == **y);
    right.count() as f64 / positive.len() as f64
}

#[test]
fn what_no_single_feature_tells_is_learnt() {
    let (rows, positive) = made(2000, 1);
    let (others, truth) = made(2000, 2);
    for twin in [false, true] {
        let o = BoostOptions::default();
        let model = PairModel::fit(names(), &rows, &positive, (&o, twin)).unwrap();
        let share = right(&model, &others, &truth);
        assert!(share > 0.93, "{share}");
    }
    // One question cannot tell.
    let stumps = BoostOptions {
        depth: 1,
        ..BoostOptions::default()
    };
    let model = PairModel::fit(names(), &rows, &positive, (&stumps, false)).unwrap();
    assert!(right(&model, &others, &truth) < 0.9);
}

#[test]
fn probabilities_are_calibrated_and_move_with_the_prior() {
    let (rows, positive) = made(4000, 3);
    let model =
        PairModel::fit(names(), &rows, &positive, (&BoostOptions::default(), false)).unwrap();
    let p = model.probabilities(&rows).unwrap();
    let mean = p.iter().sum::<f64>() / p.len() as f64;
    let share = positive.iter().filter(|y| **y).count() as f64 / p.len() as f64;
    assert!((mean - share).abs() < 0.01, "{mean} {share}");
    assert_eq!(calibrated(0.0), 0.0);
    assert_eq!(calibrated(1.0), 1.0);
    assert!((calibrated(0.5) - 1.0 / 3.0).abs() < 1e-15);
}

#[test]
fn threads_change_nothing_and_files_come_back() {
    let (rows, positive) = made(700, 4);
    let fit = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let o = BoostOptions::default();
        pool.install(|| PairModel::fit(names(), &rows, &positive, (&o, true)).unwrap())
    };
    let model = fit(1);
    assert_eq!(model, fit(3));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pairs.json");
    model.write(&path).unwrap();
    let read = PairModel::read(&path).unwrap();
    assert_eq!(read, model);
    assert_eq!(
        read.probabilities(&rows).unwrap(),
        model.probabilities(&rows).unwrap()
    );
}

#[test]
fn percentiles_share_equal_values() {
    let table = Table::new(2, vec![5.0, 1.0, 7.0, 1.0, 5.0, 0.0, 9.0, 2.0]).unwrap();
    let ranks = table.percentiles();
    let column = |c| ranks.column(c).collect::<Vec<f32>>();
    assert_eq!(column(0), [0.375, 0.75, 0.375, 1.0]);
    assert_eq!(column(1), [0.625, 0.625, 0.25, 1.0]);
    assert_eq!(table.select(&[3, 0]).row(0), [9.0, 2.0]);
}

#[test]
fn what_is_no_model_is_refused() {
    let (rows, positive) = made(50, 5);
    let o = BoostOptions::default();
    assert!(Boosted::fit(&rows, &positive[1..], &o).is_err());
    assert!(Boosted::fit(&rows, &[true; 50], &o).is_err());
    assert!(Boosted::fit(&rows, &positive, &BoostOptions { trees: 0, ..o }).is_err());
    assert!(
        Boosted::fit(
            &rows,
            &positive,
            &BoostOptions {
                rate: f64::NAN,
                ..o
            }
        )
        .is_err()
    );
    assert!(Table::new(3, vec![1.0; 4]).is_err());
    assert!(Table::new(1, vec![f32::NAN]).is_err());

    let model = PairModel::fit(names(), &rows, &positive, (&o, false)).unwrap();
    let text = serde_json::to_string(&model).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.json");
    let read = |text: &str| {
        std::fs::write(&path, text).unwrap();
        PairModel::read(&path)
    };
    read(&text).unwrap();
    for broken in [
        "".to_string(),
        "{}".to_string(),
        text.replacen("\"above\":0.5", "\"above\":1.5", 1),
        text.replacen("[\"a\",\"b\",\"c\"]", "[]", 1),
        text.replacen("\"left\":1,", "\"left\":0,", 1),
        text.replacen("\"left\":1,", "\"left\":99999,", 1),
        text.replacen("\"feature\":", "\"feature\":7", 1),
        text.replacen("\"raw\"", "\"row\"", 1),
    ] {
        assert_ne!(broken, text);
        let error = read(&broken).unwrap_err().to_string();
        assert!(
            error.lines().count() == 1 && error.contains("m.json"),
            "{error}"
        );
    }
    assert!(
        model
            .probabilities(&Table::new(2, vec![0.0; 4]).unwrap())
            .is_err()
    );
}
