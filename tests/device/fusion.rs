//! Refining on the cards against the host's `refine`: the same bits of everything.

use std::sync::Arc;

use doppel::device::{CardRows, Device, GpuDevice, Mixing, NaiveDevice, Stream};
use doppel::error::Kind;
use doppel::lists::{Lists, best_first};
use doppel::refine::{
    Blend, Expand, blend, blend_against, blend_on, blend_stages, blend_stages_kept, concat,
    concat_on, expand, expand_against, expand_on,
};
use doppel::search::{TopK, dense};
use doppel::tensor::{Csr, Matrix, Rows};

use crate::harness::{cards, light, thin, values};

/// Rows of all lengths, some of zeros, some equal, some opposite.
pub fn rows(count: usize, dims: usize, seed: u64) -> Rows {
    let mut data = values(count * dims, seed);
    for i in 0..count {
        let row = &mut data[i * dims..(i + 1) * dims];
        match i % 9 {
            3 => row.fill(0.0),
            4 => row.iter_mut().for_each(|v| *v *= 1e-30),
            _ => {}
        }
    }
    if count > 8 {
        data.copy_within(..dims, 7 * dims);
        for c in 0..dims {
            data[5 * dims + c] = -data[c];
        }
    }
    Rows::Dense(Matrix::new(count, dims, data).unwrap())
}

/// Lists of `count` rows among `others`, with scores from -.3 to 1.1 and ties; some are empty.
pub fn lists(count: usize, others: usize, most: usize, seed: u64) -> Lists {
    let mut random = fastrand::Rng::with_seed(seed);
    Lists::from_rows((0..count).map(|i| {
        let mut list: Vec<(u32, f64)> = Vec::new();
        for _ in 0..random.usize(0..=most) {
            let other = random.usize(0..others) as u32;
            if list.iter().all(|(j, _)| *j != other) {
                list.push((other, f64::from(random.i32(-6..22)) / 20.0));
            }
        }
        if others == count && random.bool() && list.iter().all(|(j, _)| *j as usize != i) {
            list.push((i as u32, 1.0));
        }
        list.sort_by(best_first);
        list
    }))
}

/// Sparse rows with stored zeros, some rows without values, some of zeros alone, some equal or opposite,
/// and lengths whose squares are beyond f64.
pub fn sparse_rows(count: usize, dims: usize, seed: u64) -> Rows {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut all: Vec<Vec<(u32, f64)>> = Vec::new();
    for i in 0..count {
        let size = match i % 9 {
            1 => 1e200,
            2 => 1e-200,
            3 => 0.0,
            _ => 1.0,
        };
        let mut row = Vec::new();
        for c in 0..dims as u32 {
            match random.u8(0..9) {
                0 => row.push((c, 0.0)),
                1..=3 => row.push((c, size * (random.f64() - 0.3))),
                _ => {}
            }
        }
        match i % 9 {
            4 => row.clear(),
            5 => row = all[i - 5].iter().map(|&(c, v)| (c, -v)).collect(),
            7 => row.clone_from(&all[i - 1]),
            _ => {}
        }
        all.push(row);
    }
    let (mut indptr, mut indices, mut data) = (vec![0], Vec::new(), Vec::new());
    for row in all {
        indices.extend(row.iter().map(|t| t.0));
        data.extend(row.iter().map(|t| t.1));
        indptr.push(indices.len());
    }
    Rows::Sparse(Csr::new(dims, indptr, indices, data).unwrap())
}

pub fn bits(rows: &Rows) -> Vec<u64> {
    match rows {
        Rows::Dense(x) => x.data().iter().map(|v| u64::from(v.to_bits())).collect(),
        Rows::Sparse(x) => {
            let places = x.indptr().iter().map(|&p| p as u64);
            let columns = x.indices().iter().map(|&c| u64::from(c));
            let values = x.values().iter().map(|v| v.to_bits());
            places.chain(columns).chain(values).collect()
        }
    }
}

/// The steps that are tried.
fn steps() -> (Vec<Expand>, Vec<Blend>) {
    let expand = |(k, alpha)| Expand { k, alpha };
    let expands = [(1, 3.0), (2, 3.0), (4, 0.0), (5, 2.5), (60, 0.7), (3, 64.0)];
    let blend = |(distance, min2)| Blend { distance, min2 };
    let blends = [
        (0.5, None),
        (0.2, Some(0.55)),
        (0.0, Some(2.0)),
        (2.0, None),
    ];
    (expands.map(expand).to_vec(), blends.map(blend).to_vec())
}

/// Checks every step over one pair of sides on one card.
fn check(card: &Arc<GpuDevice>, own: &Rows, gallery: Option<&Rows>, lists: &Lists, what: &str) {
    let (expands, blends) = steps();
    for e in thin(expands) {
        let want = match gallery {
            None => expand(own, lists, &e),
            Some(gallery) => expand_against(own, gallery, lists, &e),
        };
        let have = expand_on(&**card, own, gallery, lists, &e).unwrap();
        assert_eq!(bits(&have), bits(&want.unwrap()), "{what}: {e:?}");
    }
    for b in thin(blends) {
        let want = match gallery {
            None => blend(own, lists, &b),
            Some(gallery) => blend_against(own, gallery, lists, &b),
        };
        let have = blend_on(&**card, own, gallery, lists, &b).unwrap();
        assert_eq!(bits(&have), bits(&want.unwrap()), "{what}: {b:?}");
    }
}

#[test]
fn a_case_worked_by_hand() {
    let x = Rows::Dense(Matrix::new(3, 2, vec![2.0, 0.0, 0.6, 0.8, 0.0, 0.0]).unwrap());
    let near = Lists::from_rows([
        vec![(0, 1.0), (1, 0.6), (2, 0.5)],
        vec![(1, 1.0), (0, 0.6)],
        vec![(0, 0.9)],
    ]);
    for card in cards() {
        let e = Expand { k: 3, alpha: 3.0 };
        let Rows::Dense(y) = expand_on(&*card, &x, None, &near, &e).unwrap() else {
            panic!("dense rows stay dense")
        };
        // (1, 0) + 0.6^3 (0.6, 0.8) = (1.1296, 0.1728), of unit length (0.9885, 0.1512).
        assert!((y.row(0)[0] - 0.9885).abs() < 1e-4 && (y.row(0)[1] - 0.1512).abs() < 1e-4);
        assert_eq!(y.row(2), [0.0, 0.0]);
    }
}

#[test]
fn odd_counts_of_rows_columns_and_neighbours() {
    for card in cards() {
        for (count, dims, most) in thin(vec![(40, 33, 5), (1, 1, 1), (19, 130, 40), (12, 515, 3)]) {
            let x = rows(count, dims, dims as u64);
            let near = lists(count, count, most, 7 + most as u64);
            check(&card, &x, None, &near, &format!("{count} x {dims}"));
        }
    }
}

#[test]
fn queries_against_a_gallery() {
    for card in cards() {
        for (queries, gallery) in thin(vec![(7, 23), (21, 1)]) {
            let (q, g) = (rows(queries, 17, 1), rows(gallery, 17, 2));
            let near = lists(queries, gallery, 6, 3);
            check(
                &card,
                &q,
                Some(&g),
                &near,
                &format!("{queries} against {gallery}"),
            );
        }
    }
}

#[test]
fn wide_rows_are_summed_in_parts() {
    if light() {
        return;
    }
    for card in cards() {
        for dims in [4096, 4097, 9000] {
            let x = rows(3, dims, 5);
            let near = Lists::from_rows([
                vec![(0, 1.0), (1, 0.5)],
                vec![(2, 0.9), (0, 0.5)],
                vec![(1, 0.9)],
            ]);
            let b = Blend {
                distance: 0.6,
                min2: None,
            };
            let have = blend_on(&*card, &x, None, &near, &b).unwrap();
            assert_eq!(bits(&have), bits(&blend(&x, &near, &b).unwrap()), "{dims}");
        }
    }
}

#[test]
fn a_sum_that_cancels_out_leaves_the_row_itself() {
    let x = Rows::Dense(Matrix::new(2, 3, vec![1.0, 2.0, -0.5, -1.0, -2.0, 0.5]).unwrap());
    let near = Lists::from_rows([vec![(1, 1.0)], vec![(0, 1.0)]]);
    for card in cards() {
        check(&card, &x, None, &near, "opposite rows");
        let e = Expand { k: 2, alpha: 1.0 };
        let y = expand_on(&*card, &x, None, &near, &e).unwrap();
        let same = concat(&[(&x, 1.0)]).unwrap();
        assert_eq!(bits(&y), bits(&same));
        // What is left of a sum whose terms are rounded is no direction either.
        let left = (0..9u8).map(|i| f32::from(i * 7 % 11 + 1) / 16.0);
        let pair: Vec<f32> = left.clone().chain(left.map(|v| -3.0 * v)).collect();
        let x = Rows::Dense(Matrix::new(2, 9, pair).unwrap());
        check(&card, &x, None, &near, "nearly opposite rows");
        let y = expand_on(&*card, &x, None, &near, &e).unwrap();
        assert_eq!(bits(&y), bits(&concat(&[(&x, 1.0)]).unwrap()));
    }
}

#[test]
fn sparse_rows_are_mixed_too() {
    for card in cards() {
        for (count, dims, most) in thin(vec![(30, 11, 5), (1, 1, 1), (19, 90, 19), (40, 5, 12)]) {
            let x = sparse_rows(count, dims, dims as u64);
            let near = lists(count, count, most, 7 + most as u64);
            check(&card, &x, None, &near, &format!("{count} x {dims}"));
            let g = sparse_rows(13, dims, 77);
            let near = lists(count, 13, most, 8);
            check(
                &card,
                &x,
                Some(&g),
                &near,
                &format!("{count} x {dims} against 13"),
            );
        }
        // Opposite rows cancel out but for the first's stored zeros.
        let x = Csr::new(
            3,
            vec![0, 3, 5],
            vec![0, 1, 2, 0, 2],
            vec![1.0, 0.0, 2.0, -1.0, -2.0],
        );
        let near = Lists::from_rows([vec![(1, 1.0)], vec![(0, 1.0)]]);
        check(
            &card,
            &Rows::Sparse(x.unwrap()),
            None,
            &near,
            "opposite rows",
        );
    }
}

#[test]
fn sparse_rows_go_from_step_to_step() {
    // What a mix leaves stands in an order of its own, and is taken as it is.
    let (x, near) = (sparse_rows(50, 30, 3), lists(50, 50, 6, 4));
    let (e, how) = (
        Expand { k: 4, alpha: 1.0 },
        Mixing::Expand {
            most: 3,
            alpha: 1.0,
        },
    );
    let one = expand(&x, &near, &e).unwrap();
    let two = expand(&one, &near, &e).unwrap();
    let both = concat(&[(&one, 0.5), (&two, 2.0)]).unwrap();
    for card in cards() {
        let fusion = card.fusion().unwrap();
        let mix = |x: &CardRows| {
            let near = fusion.lists(&near, Stream::DEFAULT).unwrap();
            fusion.mix(x, None, &near, &how, Stream::DEFAULT).unwrap()
        };
        let first = mix(&fusion.rows(&x, Stream::DEFAULT).unwrap());
        let second = mix(&first);
        let parts = [(&first, 0.5), (&second, 2.0)];
        let joined = fusion.concat(&parts, Stream::DEFAULT).unwrap();
        for (have, want) in [(&first, &one), (&second, &two), (&joined, &both)] {
            let have = fusion.rows_to_host(have, Stream::DEFAULT).unwrap();
            assert_eq!(bits(&have), bits(want));
        }
    }
}

/// Rows `skip ..` of `x`, so that rows of zeros stand elsewhere.
fn behind(x: &Rows, skip: usize) -> Rows {
    match x {
        Rows::Dense(x) => {
            let data = x.data()[skip * x.dims()..].to_vec();
            Rows::Dense(Matrix::new(x.rows() - skip, x.dims(), data).unwrap())
        }
        Rows::Sparse(x) => {
            let first = x.indptr()[skip];
            let indptr = x.indptr()[skip..].iter().map(|p| p - first).collect();
            let (indices, values) = (x.indices()[first..].to_vec(), x.values()[first..].to_vec());
            Rows::Sparse(Csr::new(x.cols(), indptr, indices, values).unwrap())
        }
    }
}

#[test]
fn parts_side_by_side() {
    let dense = [
        rows(20, 5, 1),
        behind(&rows(22, 33, 2), 2),
        behind(&rows(29, 1, 3), 9),
    ];
    let sparse = [
        sparse_rows(20, 5, 1),
        behind(&sparse_rows(22, 40, 2), 2),
        behind(&sparse_rows(29, 1, 3), 9),
    ];
    for card in cards() {
        for weights in thin(vec![
            [0.7, 0.8, 1.0],
            [1e-3, 1.0, 40.0],
            [1e200, 1e200, 1e199],
        ]) {
            for parts in [&dense, &sparse] {
                let parts: Vec<(&Rows, f64)> = parts.iter().zip(weights).collect();
                for few in [&parts[..], &parts[2..]] {
                    let (have, want) = (concat_on(&*card, few).unwrap(), concat(few).unwrap());
                    assert_eq!(bits(&have), bits(&want), "{weights:?}");
                }
            }
        }
    }
}

#[test]
fn stages_that_stay_on_the_card() {
    let x = rows(60, 24, 9);
    let opt = TopK {
        k: 9,
        min_score: None,
    };
    let stages = [
        Blend {
            distance: 0.8,
            min2: Some(0.9),
        },
        Blend {
            distance: 0.5,
            min2: None,
        },
    ];
    let search = |x: &Rows| match x {
        Rows::Dense(x) => dense(x, &opt),
        Rows::Sparse(_) => panic!("dense rows stay dense"),
    };
    let want = blend_stages(&x, &stages, &search).unwrap();
    assert_ne!(bits(&want), bits(&x));
    for card in cards() {
        let have = blend_stages_kept(&*card, &x, &stages, 9, None).unwrap();
        assert_eq!(bits(&have), bits(&want));
    }
}

#[test]
fn lists_and_rows_come_back_as_they_went() {
    for card in cards() {
        let kept = card.fusion().unwrap();
        for (count, most) in [(0, 0), (1, 0), (30, 11)] {
            let near = lists(count, count.max(1), most, 4);
            let there = kept.lists(&near, Stream::DEFAULT).unwrap();
            assert_eq!(there.len(), count);
            assert_eq!(kept.lists_to_host(&there, Stream::DEFAULT).unwrap(), near);
        }
        for x in [
            rows(0, 3, 1),
            rows(5, 7, 1),
            sparse_rows(0, 3, 1),
            sparse_rows(9, 7, 1),
        ] {
            let there = kept.rows(&x, Stream::DEFAULT).unwrap();
            assert_eq!(there.shape(), [x.rows(), x.dims()]);
            assert_eq!(kept.rows_to_host(&there, Stream::DEFAULT).unwrap(), x);
        }
        let x = rows(33, 12, 8);
        let opt = TopK {
            k: 5,
            min_score: Some(0.1),
        };
        let Rows::Dense(matrix) = &x else {
            panic!("dense rows are made")
        };
        let there = kept.rows(&x, Stream::DEFAULT).unwrap();
        let near = kept
            .near(&there, None, 5, opt.min_score, Stream::DEFAULT)
            .unwrap();
        let near = kept.lists_to_host(&near, Stream::DEFAULT).unwrap();
        assert_eq!(near, dense(matrix, &opt).unwrap());
    }
}

/// An infinity and a NaN in sparse rows.
fn hot_sparse() -> Rows {
    let (indptr, values) = ((0..=12).collect(), (0..12).map(f64::from));
    let mut values: Vec<f64> = values.collect();
    (values[8], values[5]) = (f64::NAN, f64::INFINITY);
    Rows::Sparse(Csr::new(4, indptr, vec![2; 12], values).unwrap())
}

/// The same words as the host's.
#[test]
fn what_cannot_be_refined_is_the_hosts_error() {
    let unknown = NaiveDevice::default();
    assert_eq!(unknown.fusion().err().unwrap().kind(), Kind::Unsupported);
    let x = rows(12, 4, 1);
    let Rows::Dense(matrix) = &x else {
        panic!("dense rows are made")
    };
    let mut broken = matrix.clone();
    broken.row_mut(10)[2] = f32::NAN;
    broken.row_mut(6)[0] = f32::INFINITY;
    let broken = Rows::Dense(broken);
    let near = lists(12, 12, 3, 5);
    let e = Expand { k: 3, alpha: 1.0 };
    let wrong = |list: &[(u32, f64)]| {
        let first = (0..4).map(|_| vec![]);
        Lists::from_rows(
            first
                .chain([list.to_vec()])
                .chain((5..12).map(|_| vec![(0, 2.0), (1, 3.0)])),
        )
    };
    let cases: Vec<(&Rows, Option<&Rows>, Lists)> = vec![
        (&broken, None, near.clone()),
        (&broken, Some(&x), near.clone()),
        (&x, Some(&broken), near.clone()),
        (&x, None, wrong(&[(0, f64::NAN)])),
        (&x, None, wrong(&[(1, 0.9), (12, 0.5)])),
        (&x, None, wrong(&[(1, 0.5), (0, 0.5)])),
        (&x, None, lists(11, 12, 3, 5)),
    ];
    for card in cards() {
        let sparse = sparse_rows(12, 4, 1);
        let (few, hot) = (sparse_rows(12, 3, 1), hot_sparse());
        let sparse_cases = [
            (&sparse, None, wrong(&[(1, 0.9), (12, 0.5)])),
            (&sparse, Some(&x), near.clone()),
            (&sparse, Some(&few), near.clone()),
            (&hot, None, near.clone()),
            (&sparse, Some(&hot), near.clone()),
        ];
        for (own, gallery, near) in cases.iter().chain(&sparse_cases) {
            let want = match gallery {
                None => expand(own, near, &e),
                Some(gallery) => expand_against(own, gallery, near, &e),
            };
            let have = expand_on(&*card, own, *gallery, near, &e).unwrap_err();
            assert_eq!(have.to_string(), want.unwrap_err().to_string());
        }
        let (narrow, fewer) = (rows(12, 3, 1), rows(11, 4, 2));
        let have = expand_on(&*card, &x, Some(&narrow), &near, &e).unwrap_err();
        assert_eq!(have.kind(), Kind::Shape);
        let have = concat_on(&*card, &[(&x, 1.0), (&broken, 1.0)]).unwrap_err();
        let want = concat(&[(&x, 1.0), (&broken, 1.0)]).unwrap_err();
        assert_eq!(have.to_string(), want.to_string());
        for parts in [vec![], vec![(&x, 0.0)], vec![(&x, 1.0), (&fewer, 1.0)]] {
            let (have, want) = (concat_on(&*card, &parts), concat(&parts));
            assert_eq!(have.unwrap_err().to_string(), want.unwrap_err().to_string());
        }
    }
}

#[test]
fn neighbours_of_zero_score_by_their_bits() {
    // The two zeros stand for one score in either order.
    let x = rows(4, 3, 1);
    let near = Lists::from_rows([
        vec![(2, -0.0), (1, 0.0)],
        vec![(2, 0.0), (0, -0.0)],
        vec![],
        vec![],
    ]);
    for card in cards() {
        check(&card, &x, None, &near, "zeros");
    }
}
