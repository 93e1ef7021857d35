//! Nothing to refine, and what cannot be refined.

use super::*;

#[test]
fn none_and_no_columns() {
    let none = Lists::default();
    let (e, b) = (Expand::TAN, blend_of(0.3, None));
    for x in [
        Rows::Dense(Matrix::zeros(0, 4)),
        Rows::Sparse(Csr::new(4, vec![0], vec![], vec![]).unwrap()),
    ] {
        assert_eq!(expand(&x, &none, &e).unwrap(), x);
        assert_eq!(blend(&x, &none, &b).unwrap(), x);
        assert_eq!(concat(&[(&x, 1.0), (&x, 2.0)]).unwrap().dims(), 8);
    }
    let flat = Rows::Dense(Matrix::zeros(2, 0));
    let lists = Lists::from_rows([vec![(1, 1.0)], vec![(0, 1.0)]]);
    assert_eq!(expand(&flat, &lists, &e).unwrap(), flat);
    assert_eq!(blend(&flat, &lists, &b).unwrap(), flat);
    assert_eq!(concat(&[(&flat, 1.0), (&flat, 1.0)]).unwrap(), flat);
}

#[track_caller]
fn refused(got: doppel::Result<Rows>, kind: Kind, says: &str) {
    let error = got.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    let line = error.to_string();
    assert!(line.contains(says) && !line.contains('\n'), "{line}");
}

#[test]
fn bad_settings_are_errors() {
    let x = dense_rows(&[vec![1.0, 0.0]]);
    let lists = Lists::from_rows([vec![(0, 1.0)]]);
    let e = |k, alpha| expand(&x, &lists, &Expand { k, alpha });
    refused(e(0, 3.0), Kind::Input, "k is 0");
    refused(e(MAX_K + 1, 3.0), Kind::Limit, "k is 1025");
    for alpha in [-1.0, f64::NAN, f64::INFINITY] {
        refused(e(2, alpha), Kind::Input, "alpha is");
    }
    refused(e(2, MAX_POWER + 1.0), Kind::Limit, "alpha is 65");
    let b = |distance, min2| blend(&x, &lists, &blend_of(distance, min2));
    for bad in [-0.1, 2.1, f64::NAN, f64::INFINITY] {
        refused(b(bad, None), Kind::Input, "distance is");
        refused(b(0.1, Some(bad)), Kind::Input, "min2 is");
    }
    refused(
        b(0.5, Some(0.4)),
        Kind::Input,
        "min2 is 0.4, below the distance 0.5",
    );
    assert!(b(0.5, Some(0.5)).is_ok());
}

#[test]
fn rows_and_lists_that_do_not_fit_are_errors_and_not_panics() {
    let x = dense_rows(&[vec![1.0, 0.0], vec![0.0, 1.0]]);
    let good = Lists::from_rows([vec![(0, 1.0)], vec![(1, 1.0)]]);
    let (e, b) = (Expand::TAN, blend_of(0.3, None));
    let each = |x: &Rows, lists: &Lists, kind: Kind, says: &str| {
        refused(expand(x, lists, &e), kind, says);
        refused(blend(x, lists, &b), kind, says);
        refused(expand_against(x, x, lists, &e), kind, says);
        refused(blend_against(x, x, lists, &b), kind, says);
    };
    let short = Lists::from_rows([vec![(0, 1.0)]]);
    each(&x, &short, Kind::Shape, "one list of neighbours");
    for (list, says) in [
        (vec![(2, 1.0)], "outside"),
        (vec![(u32::MAX, 1.0)], "outside"),
        (vec![(0, f64::NAN)], "not finite"),
        (vec![(0, f64::INFINITY)], "not finite"),
        (vec![(0, 0.5), (1, 0.6)], "best first"),
        (vec![(1, 0.5), (0, 0.5)], "best first"),
        (vec![(0, 0.5), (0, 0.5)], "best first"),
    ] {
        let lists = Lists::from_rows([vec![], list]);
        each(&x, &lists, Kind::Input, says);
        each(&x, &lists, Kind::Input, "row 2: ");
        assert!(neighbourhoods(&lists, &b).is_err());
    }
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let rows = [vec![1.0, 0.0], vec![bad, 1.0]];
        each(&dense_rows(&rows), &good, Kind::Input, "row 2: ");
        each(&sparse_rows(&rows), &good, Kind::Input, "row 2: ");
        refused(concat(&[(&dense_rows(&rows), 1.0)]), Kind::Input, "row 2: ");
    }
    // Scores far outside the cosines weigh 1 or nothing.
    let wild = Lists::from_rows([vec![(1, f64::MAX)], vec![(0, f64::MIN)]]);
    let y = vectors(&blend(&x, &wild, &blend_of(2.0, None)).unwrap());
    assert!((y[0][0] - 0.5f64.sqrt()).abs() < 1e-6);
    assert_eq!(y[1], [0.0, 1.0]);

    let wide = dense_rows(&vec![vec![1.0; 3]; 2]);
    let words = sparse_rows(&[vec![1.0, 0.0], vec![0.0, 1.0]]);
    for gallery in [&wide, &words] {
        refused(
            expand_against(&x, gallery, &good, &e),
            Kind::Shape,
            "one space",
        );
        refused(
            blend_against(&x, gallery, &good, &b),
            Kind::Shape,
            "one space",
        );
    }
}

#[test]
fn parts_that_do_not_fit_are_errors() {
    let x = dense_rows(&[vec![1.0, 0.0], vec![0.0, 1.0]]);
    let words = sparse_rows(&[vec![1.0, 0.0], vec![0.0, 1.0]]);
    refused(concat(&[]), Kind::Input, "no parts");
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        refused(concat(&[(&x, 1.0), (&x, bad)]), Kind::Input, "part 2");
    }
    refused(
        concat(&[(&x, 1.0), (&words, 1.0)]),
        Kind::Unsupported,
        "w^2",
    );
    refused(
        concat(&[(&words, 1.0), (&x, 1.0)]),
        Kind::Unsupported,
        "fuse their similarities",
    );
    let three = dense_rows(&vec![vec![1.0]; 3]);
    refused(
        concat(&[(&x, 1.0), (&three, 1.0)]),
        Kind::Shape,
        "[2, 2] and [3, 1]",
    );
    let wide = Rows::Dense(Matrix::zeros(1, MAX_DIMS));
    refused(
        concat(&[(&wide, 1.0), (&wide, 1.0)]),
        Kind::Limit,
        "131072 columns",
    );
    let wide = Rows::Sparse(Csr::new(MAX_FEATURES, vec![0, 0], vec![], vec![]).unwrap());
    assert!(concat(&[(&wide, 1.0)]).is_ok());
    refused(
        concat(&[(&wide, 1.0), (&wide, 1.0)]),
        Kind::Limit,
        "columns",
    );
}
