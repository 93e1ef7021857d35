//! The cards' search by one score from several spaces against a brute force over all pairs that shares no
//! code with it: the same rows in the same order, with the same bits of every score.

use doppel::device::Device;
use doppel::device::gpu::{FusedSize, plan_fused};
use doppel::error::Kind;
use doppel::limits::{MAX_CARD_K, MAX_CARD_SPACES};
use doppel::search::{Fuse, Space, TopK, fused_cut_on, fused_on};
use doppel::tensor::{Csr, Matrix};

use crate::harness::{cards, light, thin, values};
use crate::neighbours::{book_dot, same};
use crate::neighbours_sparse::{Rows, csr, zipf};

/// One space, with what the brute force reads.
#[derive(Clone)]
enum Of {
    Dense(Vec<Vec<f32>>),
    Sparse(Rows),
}

impl Of {
    fn spread(rows: usize, dims: usize, seed: u64) -> Of {
        let all = values(rows * dims, seed);
        Of::Dense(all.chunks(dims).map(<[f32]>::to_vec).collect())
    }

    fn len(&self) -> usize {
        match self {
            Of::Dense(rows) => rows.len(),
            Of::Sparse(rows) => rows.len(),
        }
    }

    fn zero(&self, i: usize) -> bool {
        match self {
            Of::Dense(rows) => rows[i].iter().all(|v| *v == 0.0),
            Of::Sparse(rows) => rows[i].iter().all(|e| e.1 == 0.0),
        }
    }

    fn cosine(&self, i: usize, other: &Of, j: usize) -> f64 {
        if self.zero(i) || other.zero(j) {
            return 0.0;
        }
        let (ab, aa, bb) = match (self, other) {
            (Of::Dense(a), Of::Dense(b)) => {
                let (a, b) = (&a[i], &b[j]);
                (book_dot(a, b), book_dot(a, a), book_dot(b, b))
            }
            (Of::Sparse(a), Of::Sparse(b)) => {
                let find = |c: u32| b[j].iter().find(|e| e.0 == c).map_or(0.0, |e| e.1);
                let norm = |row: &[(u32, f64)]| row.iter().fold(0.0, |sum, e| sum + e.1 * e.1);
                let ab = a[i].iter().fold(0.0, |sum, e| sum + e.1 * find(e.0));
                (ab, norm(&a[i]), norm(&b[j]))
            }
            _ => unreachable!("the sides have the same kinds"),
        };
        (ab / (aa * bb).sqrt()).clamp(-1.0, 1.0)
    }
}

/// Owned forms of the spaces.
enum Held {
    Dense(Matrix),
    Sparse(Csr),
}

impl Held {
    fn of(space: &Of, cols: usize) -> Held {
        match space {
            Of::Dense(rows) => {
                let dims = rows.first().map_or(0, Vec::len);
                Held::Dense(Matrix::new(rows.len(), dims, rows.concat()).unwrap())
            }
            Of::Sparse(rows) => Held::Sparse(csr(cols, rows)),
        }
    }

    fn space(&self) -> Space<'_> {
        match self {
            Held::Dense(x) => Space::Dense(x),
            Held::Sparse(x) => Space::Sparse(x),
        }
    }
}

/// Columns of every sparse space here.
const COLS: usize = 60;

fn score(by: Option<Fuse>, parts: &[(f64, f64)]) -> f64 {
    let weighted = parts.iter().map(|(cosine, w)| w * cosine);
    let total: f64 = parts.iter().map(|p| p.1).sum();
    match by {
        None => weighted.fold(0.0, |sum, x| sum + x),
        Some(Fuse::Mean) => weighted.fold(0.0, |sum, x| sum + x) / total,
        Some(Fuse::Either) => 1.0 - weighted.fold(1.0, |rest, x| rest * (1.0 - x.max(0.0))),
        Some(Fuse::Power(p)) => {
            let sum = weighted.fold(0.0, |sum, x| sum + x.max(0.0).powf(p));
            sum / (1.0 + sum)
        }
    }
}

struct Case<'a> {
    queries: &'a [(Of, f64)],
    gallery: Option<&'a [Of]>,
    by: Option<Fuse>,
    k: usize,
    least: Option<f64>,
}

impl Case<'_> {
    fn brute(&self) -> Vec<Vec<(u32, f64)>> {
        let rows = self.queries[0].0.len();
        let other = |m: usize| self.gallery.map_or(&self.queries[m].0, |g| &g[m]);
        let spaces = self.queries.len();
        let row = |i: usize| {
            let mut all = Vec::new();
            for j in 0..other(0).len() {
                let blank = |side: &dyn Fn(usize) -> bool| (0..spaces).all(side);
                if blank(&|m| self.queries[m].0.zero(i)) || blank(&|m| other(m).zero(j)) {
                    continue;
                }
                let cosine =
                    |m: usize| (self.queries[m].0.cosine(i, other(m), j), self.queries[m].1);
                let score = score(self.by, &(0..spaces).map(cosine).collect::<Vec<_>>());
                if self.least.is_none_or(|least| score >= least) {
                    all.push((j as u32, score));
                }
            }
            all.sort_by(|a, b| b.1.partial_cmp(&a.1).unwrap().then(a.0.cmp(&b.0)));
            all.truncate(self.k);
            all
        };
        (0..rows).map(row).collect()
    }

    fn check(&self, what: &str) {
        let held: Vec<(Held, f64)> = self
            .queries
            .iter()
            .map(|(s, w)| (Held::of(s, COLS), *w))
            .collect();
        let queries: Vec<(Space, f64)> = held.iter().map(|(h, w)| (h.space(), *w)).collect();
        let others: Option<Vec<Held>> = self
            .gallery
            .map(|g| g.iter().map(|s| Held::of(s, COLS)).collect());
        let others: Option<Vec<Space>> = others
            .as_ref()
            .map(|held| held.iter().map(Held::space).collect());
        let all = cards();
        let pairs =
            self.queries[0].0.len() * self.gallery.unwrap_or(&[]).first().map_or(1, Of::len);
        if all.is_empty() || light() && pairs > 400 {
            return;
        }
        let want = self.brute();
        for card in all {
            let slabs = match want.len() > 64 {
                true => vec![64, 1 << 20],
                false => vec![64],
            };
            for slab in thin(slabs) {
                let opt = TopK {
                    k: self.k,
                    min_score: self.least,
                };
                let others = others.as_deref();
                let lists =
                    fused_cut_on(&*card, &queries, others, self.by, &opt, Some(slab)).unwrap();
                let (by, k, name) = (self.by, self.k, &card.info().name);
                same(
                    &lists,
                    &want,
                    &format!("{what}, {by:?}, k {k}, slab {slab} on {name}"),
                );
            }
        }
    }
}

const EVERY: [Option<Fuse>; 5] = [
    None,
    Some(Fuse::Mean),
    Some(Fuse::Either),
    Some(Fuse::Power(6.0)),
    Some(Fuse::Power(1.5)),
];

fn check_all(queries: &[(Of, f64)], gallery: Option<&[Of]>, k: usize, what: &str) {
    for by in thin(EVERY.to_vec()) {
        let case = Case {
            queries,
            gallery,
            by,
            k,
            least: None,
        };
        case.check(what);
    }
}

/// Two dense spaces and a sparse one between them, some of whose rows are missing.
fn mixed(rows: usize, seed: u64) -> Vec<(Of, f64)> {
    let mut a = Of::spread(rows, 20, seed);
    let (b, mut c) = (
        Of::Sparse(zipf(rows, COLS, 6, seed)),
        Of::spread(rows, 33, seed + 1),
    );
    for i in (0..rows).step_by(5) {
        if let Of::Dense(rows) = &mut a {
            rows[i].fill(0.0);
        }
    }
    if let Of::Dense(rows) = &mut c {
        rows.iter_mut().step_by(7).for_each(|row| row.fill(0.0));
    }
    vec![(a, 0.8), (b, 0.5), (c, 0.3)]
}

fn spaces(of: Vec<(Of, f64)>) -> Vec<Of> {
    of.into_iter().map(|s| s.0).collect()
}

#[test]
fn a_case_worked_by_hand() {
    let images = Matrix::new(2, 2, vec![1.0, 0.0, 0.6, 0.8]).unwrap();
    let titles = Csr::new(2, vec![0, 1, 3], vec![0, 0, 1], vec![1.0, 4.0, 3.0]).unwrap();
    let spaces = [(Space::Dense(&images), 1.0), (Space::Sparse(&titles), 1.0)];
    for card in cards() {
        for (by, want) in [
            (Fuse::Mean, 0.7),
            (Fuse::Either, 0.92),
            (Fuse::Power(2.0), 0.5),
        ] {
            let opt = TopK {
                k: 9,
                min_score: None,
            };
            let lists = fused_on(&*card, &spaces, None, Some(by), &opt).unwrap();
            assert_eq!(lists.row(0).rows, [0, 1]);
            assert!((lists.row(0).scores[1] - want).abs() < 1e-7, "{by:?}");
        }
    }
}

#[test]
fn dense_and_sparse_spaces_by_every_formula() {
    for (rows, k) in [(1, 1), (2, 5), (70, 9), (131, 50)] {
        check_all(&mixed(rows, 3), None, k, &format!("{rows} rows"));
    }
}

#[test]
fn queries_against_a_gallery_of_several_tiles() {
    for (queries, rows, k) in [(3, 300, 20), (66, 7, 4), (1, 290, 100)] {
        let (q, g) = (mixed(queries, 5), spaces(mixed(rows, 9)));
        check_all(&q, Some(&g), k, &format!("{queries} against {rows}"));
    }
}

#[test]
fn spaces_of_one_kind() {
    let dense = vec![(Of::spread(90, 8, 1), 1.0), (Of::spread(90, 40, 2), 0.25)];
    check_all(&dense, None, 12, "dense alone");
    let sparse = vec![
        (Of::Sparse(zipf(90, COLS, 5, 1)), 0.7),
        (Of::Sparse(zipf(90, 9, 3, 2)), 1.0),
    ];
    check_all(&sparse, None, 12, "sparse alone");
    check_all(&dense[..1], None, 12, "one dense space");
}

#[test]
fn buffers_are_cut_back_and_nothing_is_lost() {
    let (q, g) = (mixed(2, 5), spaces(mixed(2100, 9)));
    check_all(&q, Some(&g), 10, "2,100 rows");
    // Near-ties in the dense space, told apart by the sparse one.
    let base = values(12, 4);
    let nudge = values(12 * 700, 5);
    let near: Vec<Vec<f32>> = nudge
        .chunks(12)
        .map(|n| base.iter().zip(n).map(|(b, n)| b + 1e-4 * n).collect())
        .collect();
    let g = [Of::Dense(near), Of::Sparse(zipf(700, COLS, 6, 8))];
    let q = [
        (Of::Dense(vec![base; 2]), 1.0),
        (Of::Sparse(zipf(2, COLS, 6, 7)), 0.5),
    ];
    check_all(&q, Some(&g), 25, "near-ties");
}

/// A row that is about at a right angle to `row`.
fn row_away(row: &[f32]) -> Vec<f32> {
    let turned = |pair: &[f32]| [-pair[1], pair[0] + 0.1];
    row.chunks_exact(2).flat_map(turned).collect()
}

#[test]
fn ties_that_no_buffer_holds_come_in_their_order() {
    let row = values(6, 1);
    let q = [(Of::Dense(vec![row.clone(), values(6, 2)]), 1.0)];
    check_all(&q, Some(&[Of::Dense(vec![row; 800])]), 30, "equal rows");
    // The second query alone has too many: the first has nearer ones, and they differ.
    let (base, nudge) = (values(6, 7), values(6 * 40, 8));
    let near = nudge
        .chunks(6)
        .map(|n| base.iter().zip(n).map(|(b, n)| b + 0.3 * n).collect());
    let mut rows: Vec<Vec<f32>> = near.collect();
    rows.extend(vec![row_away(&base); 760]);
    let q = [(Of::Dense(vec![base.clone(), row_away(&base)]), 1.0)];
    check_all(&q, Some(&[Of::Dense(rows)]), 30, "one query's equal rows");
    // Cosines of 0 everywhere but in a few rows.
    let mut g: Rows = vec![vec![(50, 1.0)]; 900];
    g[7] = vec![(3, 1.0), (50, 1.0)];
    g[801] = vec![(3, 2.0)];
    let q = [(Of::Sparse(vec![vec![(3, 1.0), (4, 1.0)]]), 1.0)];
    check_all(&q, Some(&[Of::Sparse(g)]), 40, "mostly strangers");
}

#[test]
fn rows_that_are_zero_everywhere_are_nobodys() {
    let mut q = mixed(60, 11);
    for (space, _) in &mut q {
        match space {
            Of::Dense(rows) => rows[30..40].iter_mut().for_each(|r| r.fill(0.0)),
            Of::Sparse(rows) => rows[30..40].iter_mut().for_each(Vec::clear),
        }
    }
    check_all(&q, None, 55, "ten rows of zeros");
    let zeros = [
        (Of::Dense(vec![vec![0.0; 3]; 5]), 1.0),
        (Of::Sparse(vec![vec![]; 5]), 1.0),
    ];
    check_all(&zeros, None, 3, "zeros alone");
    check_all(&[(Of::Sparse(Vec::new()), 1.0)], None, 3, "no rows");
}

#[test]
fn many_neighbours_and_least_scores() {
    let (q, g) = (mixed(4, 21), spaces(mixed(500, 22)));
    check_all(&q, Some(&g), 300, "300 neighbours");
    for (by, least) in [
        (None, 0.4),
        (Some(Fuse::Mean), 0.2),
        (Some(Fuse::Either), 0.3),
        (Some(Fuse::Power(3.0)), 0.01),
        (Some(Fuse::Mean), -1.0),
        (Some(Fuse::Either), 2.0),
    ] {
        let case = Case {
            queries: &q,
            gallery: Some(&g),
            by,
            k: 40,
            least: Some(least),
        };
        case.check(&format!("at least {least}"));
    }
}

#[test]
fn what_cannot_be_searched_is_an_error() {
    let x = Matrix::new(2, 1, vec![1.0, 2.0]).unwrap();
    let one = [(Space::Dense(&x), 1.0)];
    for card in cards() {
        let fails = |spaces: &[(Space, f64)], gallery: Option<&[Space]>, by, k| {
            let opt = TopK { k, min_score: None };
            let lists = fused_on(&*card, spaces, gallery, by, &opt);
            lists.unwrap_err().kind()
        };
        assert_eq!(fails(&one, None, None, 0), Kind::Input);
        assert_eq!(fails(&one, None, None, MAX_CARD_K + 1), Kind::Limit);
        assert_eq!(fails(&[], None, None, 1), Kind::Input);
        assert_eq!(fails(&one, None, Some(Fuse::Power(0.5)), 1), Kind::Input);
        let many = vec![one[0]; MAX_CARD_SPACES + 1];
        assert_eq!(fails(&many, None, None, 1), Kind::Unsupported);
        let y = Matrix::new(1, 2, vec![1.0, 2.0]).unwrap();
        let apart = [Space::Dense(&y)];
        assert_eq!(fails(&one, Some(&apart), None, 1), Kind::Shape);
    }
}

#[test]
fn a_fused_search_is_planned_in_memory_that_grows_with_rows() {
    let rows = 70_000;
    let spaces = [
        FusedSize::Dense(1536),
        FusedSize::Dense(384),
        FusedSize::Sparse([rows * 20, 0], 30_000),
    ];
    let input = rows * (1920 * 6 + 20 * 36 + 64);
    for k in [50, MAX_CARD_K] {
        let plan = plan_fused(rows, None, &spaces, k, 132, None);
        // What is beyond the inputs and their lists is a slab's.
        let most = input + rows * 20 * 8 * plan.chunks + (600 << 20);
        assert!(plan.bytes() < most, "{} of {most}: {plan:?}", plan.bytes());
        assert!(plan.all_launches() <= 2 + 2 * plan.slabs(), "{plan:?}");
        let more = plan_fused(4 * rows, None, &spaces, k, 132, None);
        assert_eq!(more.slab, plan.slab, "the slab does not grow with the rows");
    }
}
