//! The cards' dense search against a brute force over all pairs that shares no code with it: the same
//! rows in the same order, with the same bits of every score.

use std::sync::Arc;

use doppel::device::gpu::TopKTuning;
use doppel::device::{Buf, DType, Desc, Device, GpuDevice, NaiveDevice, Stream, alloc};
use doppel::error::Kind;
use doppel::limits::MAX_CARD_K;
use doppel::lists::Lists;

use crate::harness::{cards, light, thin, values};

/// Rows of equal length, row-major.
#[derive(Clone)]
pub struct Rows {
    pub dims: usize,
    pub data: Vec<f32>,
}

impl Rows {
    pub fn new(rows: &[Vec<f32>]) -> Rows {
        Rows {
            dims: rows[0].len(),
            data: rows.concat(),
        }
    }

    pub fn spread(count: usize, dims: usize, seed: u64) -> Rows {
        Rows {
            dims,
            data: values(count * dims, seed),
        }
    }

    pub fn len(&self) -> usize {
        self.data.len() / self.dims
    }

    pub fn row(&self, i: usize) -> &[f32] {
        &self.data[i * self.dims..][..self.dims]
    }

    pub fn set(&mut self, i: usize, row: &[f32]) {
        self.data[i * self.dims..][..self.dims].copy_from_slice(row);
    }

    pub fn put(&self, device: &dyn Device) -> Buf {
        let desc = Desc::new(&[self.len(), self.dims], DType::F32);
        let buf = alloc(device, desc).unwrap();
        device
            .upload(bytemuck::cast_slice(&self.data), &buf, Stream::DEFAULT)
            .unwrap();
        buf
    }
}

/// The documented dot product: 32 lanes in f64, folded in halves.
pub fn book_dot(a: &[f32], b: &[f32]) -> f64 {
    let mut sums = vec![0f64; 32];
    for (t, (x, y)) in a.iter().zip(b).enumerate() {
        sums[t % 32] += f64::from(*x) * f64::from(*y);
    }
    while sums.len() > 1 {
        let half = sums.len() / 2;
        sums = (0..half).map(|l| sums[l] + sums[l + half]).collect();
    }
    sums[0]
}

pub fn brute(
    queries: &Rows,
    gallery: &Rows,
    k: usize,
    min_score: Option<f64>,
) -> Vec<Vec<(u32, f64)>> {
    let norms =
        |m: &Rows| -> Vec<f64> { (0..m.len()).map(|i| book_dot(m.row(i), m.row(i))).collect() };
    let (qq, gg) = (norms(queries), norms(gallery));
    let row = |i: usize| {
        let mut all = Vec::new();
        for (j, &norm) in gg.iter().enumerate() {
            if qq[i] == 0.0 || norm == 0.0 {
                continue;
            }
            let ratio = book_dot(queries.row(i), gallery.row(j)) / (qq[i] * norm).sqrt();
            let score = ratio.clamp(-1.0, 1.0);
            if min_score.is_none_or(|least| score >= least) {
                all.push((j as u32, score));
            }
        }
        all.sort_by(|a, b| b.1.partial_cmp(&a.1).unwrap().then(a.0.cmp(&b.0)));
        all.truncate(k);
        all
    };
    (0..queries.len()).map(row).collect()
}

pub fn same(lists: &Lists, want: &[Vec<(u32, f64)>], what: &str) {
    assert_eq!(lists.len(), want.len(), "{what}");
    for (i, want) in want.iter().enumerate() {
        let have: Vec<(u32, u64)> = lists.row(i).iter().map(|(r, s)| (r, s.to_bits())).collect();
        let want: Vec<(u32, u64)> = want.iter().map(|(r, s)| (*r, s.to_bits())).collect();
        assert_eq!(have, want, "{what}: row {i}");
    }
}

/// The search on every card, whole and in parts, against the brute force. Where runs are slow, small
/// ones in parts alone.
pub fn check(queries: &Rows, gallery: Option<&Rows>, k: usize, min_score: Option<f64>, what: &str) {
    let all = cards();
    let others = gallery.unwrap_or(queries);
    if all.is_empty() || light() && queries.len() * others.len() > 20_000 {
        return;
    }
    let want = brute(queries, others, k, min_score);
    for card in all {
        let what = format!("{what}, k {k} on {}", card.info().name);
        let (left, right) = (queries.put(&*card), gallery.map(|g| g.put(&*card)));
        // For many neighbours buffers are large: one part of the gallery fills them.
        let parts = TopKTuning {
            slab: 128,
            chunks: Some(if k > 64 { 1 } else { 8 }),
            join: None,
        };
        for tuning in thin(vec![parts, TopKTuning::default()]) {
            let lists = card.topk_tuned(&left, right.as_ref(), k, min_score, &tuning);
            let lists = lists.unwrap();
            same(&lists, &want, &format!("{what}, {tuning:?}"));
            lists.check(others.len()).unwrap();
        }
    }
}

#[test]
fn a_case_worked_by_hand() {
    let x = Rows::new(&[
        vec![3.0, 4.0],
        vec![4.0, 3.0],
        vec![-3.0, -4.0],
        vec![0.0, 7.0],
    ]);
    for card in cards() {
        let lists = card
            .topk_dense(&x.put(&*card), None, 3, None, Stream::DEFAULT)
            .unwrap();
        assert_eq!(lists.row(0).rows, [0, 1, 3]);
        assert_eq!(lists.row(0).scores, [1.0, 0.96, 0.8]);
        assert_eq!(lists.row(2).rows, [2, 3, 1]);
        assert_eq!(lists.row(2).scores, [1.0, -0.8, -0.96]);
    }
}

#[test]
fn odd_counts_of_rows_and_dimensions() {
    for (rows, dims, k) in [
        (1, 1, 1),
        (2, 3, 1),
        (5, 31, 5),
        (33, 33, 7),
        (129, 65, 50),
        (301, 40, 64),
    ] {
        check(
            &Rows::spread(rows, dims, rows as u64),
            None,
            k,
            None,
            &format!("{rows} x {dims}"),
        );
    }
    // Fewer rows than neighbours asked for: all of them, the row itself first.
    check(
        &Rows::spread(9, 20, 4),
        None,
        64,
        None,
        "more than there are",
    );
}

#[test]
fn queries_against_a_gallery() {
    for (queries, rows) in [(1, 300), (130, 7), (40, 261)] {
        let (q, g) = (Rows::spread(queries, 48, 1), Rows::spread(rows, 48, 2));
        check(&q, Some(&g), 10, None, &format!("{queries} against {rows}"));
    }
}

/// Rows around one direction that the approximate scores cannot tell apart, among others.
pub fn near_ties(count: usize, near: usize, dims: usize) -> Rows {
    let mut x = Rows::spread(count, dims, 11);
    let base = x.row(0).to_vec();
    let nudge = values(near * dims, 12);
    for i in 0..near {
        let row: Vec<f32> = base
            .iter()
            .zip(&nudge[i * dims..])
            .map(|(b, n)| b + 2e-4 * n)
            .collect();
        // All over the matrix, so that they come in many tiles.
        x.set(i * (count / near), &row);
    }
    x
}

#[test]
fn near_ties_come_in_the_order_of_their_exact_scores() {
    // 60 rows of which 50 are the answer, and 100 which more than fill what a buffer may keep.
    for (near, k) in [(60, 50), (100, 50), (60, 20)] {
        check(
            &near_ties(420, near, 40),
            None,
            k,
            None,
            &format!("{near} near-ties"),
        );
    }
}

#[test]
fn equal_rows_come_in_their_order() {
    let mut x = Rows::spread(320, 24, 21);
    let row = x.row(3).to_vec();
    for i in 0..60 {
        x.set(5 * i + 4, &row);
    }
    check(&x, None, 50, None, "60 equal rows");
    // Scaled by a power of two a row has the same cosine to the bit.
    let half: Vec<f32> = row.iter().map(|v| v * 0.5).collect();
    for i in 0..30 {
        x.set(10 * i + 4, &half);
    }
    check(&x, None, 50, None, "30 equal rows and 31 half as long");
}

#[test]
fn all_rows_equal_is_more_than_a_buffer_holds() {
    for rows in [127, 129, 300] {
        let x = Rows::new(&vec![values(20, 5); rows]);
        check(&x, None, 10, None, &format!("{rows} equal rows"));
    }
    let x = near_ties(290, 290, 20);
    check(&x, None, 33, None, "near-ties alone");
    // In a part of the gallery alone, and for some queries alone.
    let (mut gallery, queries) = (Rows::spread(400, 20, 8), Rows::spread(6, 20, 9));
    for i in 140..400 {
        gallery.set(i, queries.row(2));
    }
    check(
        &queries,
        Some(&gallery),
        12,
        None,
        "one query's row, 260 times",
    );
}

#[test]
fn rows_of_zeros_have_no_neighbours_and_are_nobodys() {
    let mut x = Rows::spread(150, 12, 31);
    for i in (0..150).step_by(7) {
        x.set(i, &[0.0; 12]);
    }
    check(&x, None, 9, None, "some rows of zeros");
    check(
        &Rows {
            dims: 5,
            data: vec![0.0; 40],
        },
        None,
        3,
        None,
        "zeros alone",
    );
    // All scores are negative: neither rows of zeros nor what lies behind the gallery's end may take
    // the place of a neighbour.
    let query = Rows::new(&[values(16, 3).iter().map(|v| v.abs() + 0.1).collect()]);
    let mut gallery = Rows {
        dims: 16,
        data: vec![0.0; 16 * 390],
    };
    for i in (0..390).step_by(4) {
        let row: Vec<f32> = values(16, 100 + i as u64)
            .iter()
            .map(|v| -v.abs() - 0.1)
            .collect();
        gallery.set(i, &row);
    }
    check(
        &query,
        Some(&gallery),
        20,
        None,
        "negative scores and zeros",
    );
}

#[test]
fn scores_below_the_least_are_left_out() {
    let x = Rows::spread(140, 16, 41);
    for min_score in thin(vec![0.25, -1.0, 0.0, 0.9, 1.0, 1.5, f64::INFINITY]) {
        check(
            &x,
            None,
            15,
            Some(min_score),
            &format!("at least {min_score}"),
        );
    }
    // A score that is just the least one stays, and the next number above it drops it.
    let pair = Rows::new(&[vec![3.0, 4.0], vec![4.0, 3.0]]);
    for (least, found) in [(0.96, 2), (0.96f64.next_up(), 1)] {
        check(&pair, None, 2, Some(least), "on the border");
        for card in cards() {
            let buf = pair.put(&*card);
            let lists = card
                .topk_dense(&buf, None, 2, Some(least), Stream::DEFAULT)
                .unwrap();
            assert_eq!(lists.row(0).len(), found);
        }
    }
}

#[test]
fn lengths_do_not_matter() {
    let x = Rows::spread(140, 30, 51);
    let mut scaled = x.clone();
    for i in 0..x.len() {
        let by = 2f32.powi((i as i32 * 37) % 200 - 100);
        let row: Vec<f32> = x.row(i).iter().map(|v| v * by).collect();
        scaled.set(i, &row);
    }
    check(&scaled, None, 10, None, "lengths from 2^-100 to 2^100");
    let mut tiny = x;
    tiny.data.iter_mut().for_each(|v| *v *= 1e-43);
    check(&tiny, None, 10, None, "subnormal rows");
}

fn error(
    card: &Arc<GpuDevice>,
    x: &Rows,
    g: Option<&Rows>,
    k: usize,
    s: Option<f64>,
) -> doppel::Error {
    let (left, right) = (x.put(&**card), g.map(|g| g.put(&**card)));
    card.topk_dense(&left, right.as_ref(), k, s, Stream::DEFAULT)
        .unwrap_err()
}

#[test]
fn what_cannot_be_searched_is_an_error_that_names_it() {
    let x = Rows::spread(40, 8, 1);
    let naive = NaiveDevice::default();
    let unknown = naive
        .topk_dense(&x.put(&naive), None, 1, None, Stream::DEFAULT)
        .unwrap_err();
    assert_eq!(unknown.kind(), Kind::Unsupported);
    for card in cards() {
        assert_eq!(error(&card, &x, None, 0, None).kind(), Kind::Input);
        let many = error(&card, &x, None, MAX_CARD_K + 1, None);
        assert_eq!(many.kind(), Kind::Unsupported);
        assert!(many.to_string().contains("1024"), "{many}");
        assert_eq!(
            error(&card, &x, None, 1, Some(f64::NAN)).kind(),
            Kind::Input
        );
        let other = Rows::spread(3, 9, 1);
        assert_eq!(error(&card, &x, Some(&other), 1, None).kind(), Kind::Shape);
        let mut broken = x.clone();
        broken.data[17 * 8 + 3] = f32::NAN;
        broken.data[30 * 8] = f32::NEG_INFINITY;
        for (q, g, who) in [
            (&broken, None, "an embedding"),
            (&broken, Some(&x), "a query"),
            (&x, Some(&broken), "a gallery row"),
        ] {
            let line = error(&card, q, g, 1, None).to_string();
            assert!(line.contains("row 18") && line.contains(who), "{line}");
        }
        let host = x.put(&naive);
        let foreign = card
            .topk_dense(&host, None, 1, None, Stream::DEFAULT)
            .unwrap_err();
        assert_eq!(foreign.kind(), Kind::Internal);
    }
}

#[test]
fn nothing_to_search_gives_empty_lists() {
    for card in cards() {
        for (rows, dims) in [(0, 4), (3, 0)] {
            let buf = alloc(&*card, Desc::new(&[rows, dims], DType::F32)).unwrap();
            let lists = card
                .topk_dense(&buf, None, 5, None, Stream::DEFAULT)
                .unwrap();
            assert_eq!((lists.len(), lists.pairs()), (rows, 0));
        }
        let (left, none) = (
            Rows::spread(3, 4, 1).put(&*card),
            Desc::new(&[0, 4], DType::F32),
        );
        let none = alloc(&*card, none).unwrap();
        let lists = card
            .topk_dense(&left, Some(&none), 5, None, Stream::DEFAULT)
            .unwrap();
        assert_eq!((lists.len(), lists.pairs()), (3, 0));
    }
}
