//! Exact top-k by Euclidean distance over dense rows as they stand.

use rayon::prelude::*;

use super::TopK;
use crate::device::cpu::Kernel;
use crate::device::cpu::dot::dot;
use crate::error::{Error, Result};
use crate::lists::Lists;
use crate::tensor::Matrix;

/// How many rows one task of the thread pool takes.
const BLOCK: usize = 64;

/// The `k` best neighbours of every row of `queries` among the rows of `gallery`, or among `queries`
/// themselves: by the score `1 - d / scale`, where `d` is the Euclidean distance of the rows as they stand.
/// Higher score first, then lower row; a row is its own neighbour with score 1. A row of zeros has no
/// neighbours and is nobody's.
///
/// Distances are `sqrt(|a|^2 - 2ab + |b|^2)` in `f64`, 0 where rounding would take that below 0 and for
/// equal rows. A row whose length differs by more than the largest wanted distance is not looked at, since
/// `d >= ||a| - |b||`; else all pairs are, in `O(rows^2 dims)`, on the CPU.
///
/// # Errors
/// As [`TopK`]'s bounds say; a scale that is not above 0; [`Kind::Shape`](crate::error::Kind::Shape) when the
/// dimensions differ; [`Kind::Input`](crate::error::Kind::Input) for a NaN or an infinity, naming the row.
pub fn euclidean(
    queries: &Matrix,
    gallery: Option<&Matrix>,
    scale: f64,
    opt: &TopK,
) -> Result<Lists> {
    opt.check()?;
    if !scale.is_finite() || scale <= 0.0 {
        return Err(Error::input(format!("the scale is {scale}"))
            .op("topk")
            .mend("divide distances by a number above 0"));
    }
    let others = gallery.unwrap_or(queries);
    if others.dims() != queries.dims() {
        let shape = |m: &Matrix| [m.rows(), m.dims()];
        return Err(Error::shape("topk", &shape(queries), &shape(others)));
    }
    let kernel = Kernel::best();
    let own = squares(kernel, queries, "a row")?;
    let their = match gallery {
        Some(gallery) => squares(kernel, gallery, "a gallery row")?,
        None => own.clone(),
    };
    // By length, so that those too long and too short are left out at once.
    let mut order: Vec<u32> = (0..others.rows() as u32)
        .filter(|&j| their[j as usize] > 0.0)
        .collect();
    order.par_sort_unstable_by(|&a, &b| {
        let (x, y) = (their[a as usize], their[b as usize]);
        x.total_cmp(&y).then(a.cmp(&b))
    });
    let floor = opt.floor();
    // A little more than the largest distance that is wanted, for the rounding of lengths.
    let reach = (1.0 - floor) * scale * (1.0 + 1e-9) + 1e-9;
    let row = |i: usize| -> Vec<(u32, f64)> {
        let aa = own[i];
        if aa == 0.0 {
            return Vec::new();
        }
        let (least, most) = (aa.sqrt() - reach, aa.sqrt() + reach);
        let from = order.partition_point(|&j| their[j as usize].sqrt() < least);
        let to = order.partition_point(|&j| their[j as usize].sqrt() <= most);
        let a = queries.row(i);
        let mut found: Vec<(u32, f64)> = Vec::new();
        for &j in order.get(from..to).unwrap_or_default() {
            let b = others.row(j as usize);
            let squared = aa - 2.0 * dot(kernel, a, b) + their[j as usize];
            let distance = if a == b { 0.0 } else { squared.max(0.0).sqrt() };
            let score = 1.0 - distance / scale;
            if score >= floor {
                found.push((j, score));
            }
        }
        let before = |x: &(u32, f64), y: &(u32, f64)| y.1.total_cmp(&x.1).then(x.0.cmp(&y.0));
        if found.len() > opt.k {
            found.select_nth_unstable_by(opt.k - 1, before);
            found.truncate(opt.k);
        }
        found.sort_unstable_by(before);
        found
    };
    let blocks: Vec<Vec<Vec<(u32, f64)>>> = (0..queries.rows().div_ceil(BLOCK))
        .into_par_iter()
        .map(|block| {
            let end = ((block + 1) * BLOCK).min(queries.rows());
            (block * BLOCK..end).map(row).collect()
        })
        .collect();
    Ok(Lists::from_rows(blocks.into_iter().flatten()))
}

/// The squared length of each row.
fn squares(kernel: Kernel, x: &Matrix, what: &str) -> Result<Vec<f64>> {
    let squares: Vec<f64> = (0..x.rows())
        .into_par_iter()
        .map(|i| dot(kernel, x.row(i), x.row(i)))
        .collect();
    match squares.iter().position(|s| !s.is_finite()) {
        Some(row) => Err(
            Error::input(format!("{what} ({row}) has a value that is not finite"))
                .op("topk")
                .mend("leave the row at zeros"),
        ),
        None => Ok(squares),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_to_brute_force() {
        let mut random = fastrand::Rng::with_seed(4);
        let (rows, dims) = (150, 9);
        let mut data: Vec<f32> = (0..rows * dims).map(|_| random.f32() * 4.0).collect();
        data.copy_within(0..dims, 5 * dims);
        data[7 * dims..8 * dims].fill(0.0);
        let x = Matrix::new(rows, dims, data).unwrap();
        for (k, floor) in [
            (5, None),
            (150, Some(0.2)),
            (3, Some(-1.0)),
            (150, Some(1.0)),
        ] {
            let opt = TopK {
                k,
                min_score: floor,
            };
            let lists = euclidean(&x, None, 6.0, &opt).unwrap();
            let mut pairs = 0;
            for i in 0..rows {
                let zero = |i: usize| x.row(i).iter().all(|&v| v == 0.0);
                let distance = |j: usize| -> f64 {
                    let both = x.row(i).iter().zip(x.row(j));
                    let squared: f64 = both
                        .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2))
                        .sum();
                    squared.sqrt()
                };
                let mut all: Vec<(usize, f64)> = (0..rows)
                    .filter(|&j| !zero(i) && !zero(j))
                    .map(|j| (j, 1.0 - distance(j) / 6.0))
                    .filter(|&(_, score)| floor.is_none_or(|floor| score >= floor))
                    .collect();
                all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
                all.truncate(k);
                let found: Vec<usize> = lists.row(i).rows.iter().map(|&j| j as usize).collect();
                let wanted: Vec<usize> = all.iter().map(|&(j, _)| j).collect();
                assert_eq!(found, wanted, "row {i}, k {k}");
                for ((_, found), (_, wanted)) in lists.row(i).iter().zip(&all) {
                    assert!((found - wanted).abs() < 1e-7, "{found} {wanted}");
                }
                pairs += found.len();
            }
            assert!(pairs >= rows - 1, "{pairs}");
        }
        let against = euclidean(
            &x,
            Some(&x),
            6.0,
            &TopK {
                k: 5,
                min_score: None,
            },
        );
        assert_eq!(against.unwrap().row(5).rows[..2], [0, 5]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let x = Matrix::zeros(2, 3);
        let opt = TopK {
            k: 2,
            min_score: None,
        };
        assert!(euclidean(&x, None, 0.0, &opt).is_err());
        assert!(euclidean(&x, Some(&Matrix::zeros(1, 2)), 1.0, &opt).is_err());
        let broken = Matrix::new(1, 1, vec![f32::NAN]).unwrap();
        assert!(euclidean(&broken, None, 1.0, &opt).is_err());
    }
}
