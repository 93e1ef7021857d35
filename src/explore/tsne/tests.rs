use super::*;

/// Gaussian blobs around random places, point by point in turn.
fn blobs(count: usize, per: usize, dims: usize, spread: f32) -> Matrix {
    let mut random = fastrand::Rng::with_seed(11);
    let mut normal = move || (0..6).map(|_| random.f32() - 0.5).sum::<f32>();
    let centres: Vec<Vec<f32>> = (0..count)
        .map(|_| (0..dims).map(|_| normal()).collect())
        .collect();
    let mut rows = Matrix::zeros(count * per, dims);
    for i in 0..count * per {
        for (x, c) in rows.row_mut(i).iter_mut().zip(&centres[i % count]) {
            *x = c + spread * normal();
        }
    }
    rows
}

fn square(a: [f64; 2], b: [f64; 2]) -> f64 {
    (a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2)
}

/// Each point's others, the nearest on the map first.
fn orders(points: &[[f64; 2]]) -> Vec<Vec<usize>> {
    let order = |i: usize| {
        let mut others: Vec<usize> = (0..points.len()).filter(|&j| j != i).collect();
        others.sort_by(|&a, &b| {
            square(points[i], points[a]).total_cmp(&square(points[i], points[b]))
        });
        others
    };
    (0..points.len()).map(order).collect()
}

#[test]
fn blobs_come_apart_and_the_divergence_falls() {
    let rows = blobs(5, 40, 12, 0.25);
    let options = Options {
        steps: 500,
        ..Options::default()
    };
    let map = tsne(&rows, &options).unwrap();
    let same: usize = orders(&map.points)
        .iter()
        .enumerate()
        .map(|(i, order)| order[..10].iter().filter(|&&j| j % 5 == i % 5).count())
        .sum();
    let purity = same as f64 / (10.0 * 200.0);
    assert!(purity > 0.98, "{purity}");
    let [early, last] = map.divergence;
    assert!(last < 0.8 * early && last > 0.0, "{early} {last}");
    assert!(map.points.iter().flatten().all(|x| x.is_finite()));
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let rows = blobs(3, 50, 6, 0.3);
    let options = Options {
        steps: 60,
        ..Options::default()
    };
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| tsne(&rows, &options).unwrap())
    };
    assert_eq!(on(1), on(3));
}

#[test]
fn shares_are_symmetric_and_one_in_all() {
    let rows = blobs(3, 20, 6, 0.4);
    let p = Affinities::of(&rows, 10.0);
    let mut total = 0.0;
    for i in 0..60 {
        for (j, share) in p.row(i) {
            total += share;
            let back = p.row(j).find(|(k, _)| *k == i).unwrap().1;
            assert!((share - back).abs() < 1e-15);
        }
    }
    assert!((total - 1.0).abs() < 1e-9, "{total}");
}

#[test]
fn few_and_equal_points_make_a_map() {
    for n in [0, 1, 3, 4, 5] {
        let map = tsne(&Matrix::zeros(n, 3), &Options::default()).unwrap();
        assert_eq!(map.points.len(), n);
        assert!(map.points.iter().flatten().all(|x| x.is_finite()), "{n}");
    }
    let mut bad = Matrix::zeros(5, 2);
    bad.row_mut(3)[1] = f32::NAN;
    let error = tsne(&bad, &Options::default()).unwrap_err().to_string();
    assert!(error.contains('4'), "{error}");
}

/// How well neighbours on the map are neighbours in the rows (Venna and Kaski 2001), as scikit-learn has it.
fn trustworthiness(rows: &Matrix, points: &[[f64; 2]], k: usize) -> f64 {
    let n = rows.rows();
    let mut lost = 0.0;
    for (i, near) in orders(points).iter().enumerate() {
        let far = |j: usize| -> f64 {
            let pairs = rows.row(i).iter().zip(rows.row(j));
            pairs.map(|(a, b)| f64::from(a - b).powi(2)).sum()
        };
        let mut others: Vec<usize> = (0..n).filter(|&j| j != i).collect();
        others.sort_by(|&a, &b| far(a).total_cmp(&far(b)));
        let mut rank = vec![0; n];
        others
            .iter()
            .enumerate()
            .for_each(|(r, &j)| rank[j] = r + 1);
        lost += near[..k]
            .iter()
            .map(|&j| rank[j].saturating_sub(k) as f64)
            .sum::<f64>();
    }
    let (n, k) = (n as f64, k as f64);
    1.0 - lost * 2.0 / (n * k * (2.0 * n - 3.0 * k - 1.0))
}

#[test]
fn maps_are_as_trustworthy_as_scikit_learns() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/data/tsne");
    let rows = crate::tensor::Matrix::new(300, 16, read_f32(&folder.join("rows.f32"))).unwrap();
    let golden = std::fs::read_to_string(folder.join("sklearn.json")).unwrap();
    let golden: serde_json::Value = serde_json::from_str(&golden).unwrap();
    let map = tsne(&rows, &Options::default()).unwrap();
    for k in [5, 12] {
        let theirs = golden["trustworthiness"][k.to_string()].as_f64().unwrap();
        let ours = trustworthiness(&rows, &map.points, k);
        assert!((ours - theirs).abs() < 0.02, "{k}: {ours} {theirs}");
    }
    let theirs = golden["divergence"].as_f64().unwrap();
    assert!(
        (map.divergence[1] / theirs - 1.0).abs() < 0.1,
        "{:?} {theirs}",
        map.divergence
    );
    // The measure itself: of random places it is about a half, and scikit-learn's own map scores what it says.
    let points: Vec<[f64; 2]> = serde_json::from_value(golden["map"].clone()).unwrap();
    let again = trustworthiness(&rows, &points, 5);
    let said = golden["trustworthiness"]["5"].as_f64().unwrap();
    assert!((again - said).abs() < 1e-3, "{again} {said}");
}

fn read_f32(path: &std::path::Path) -> Vec<f32> {
    let bytes = std::fs::read(path).unwrap();
    let word = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
    bytes.chunks_exact(4).map(word).collect()
}
