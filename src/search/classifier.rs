//! Exact top-k by a classifier of pairs: every pair is judged.
//!
//! The naive approach of Gupta, Lee and Kim (section 2.4): the signed difference of two listings' embeddings
//! goes through two fully connected layers with a ReLU between them, and becomes the probability that the two
//! are one product. There is no way around looking at all pairs, n(n - 1) / 2 of them. The first layer is
//! linear, so it is applied to the embeddings once and not to the differences of all pairs, which is the same:
//! `W(a - b) = Wa - Wb`. What is left for a pair are three operations for each value between the layers.

use rayon::prelude::*;

use super::TopK;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::limits::{MAX_DIMS, MAX_INNER};
use crate::lists::{Lists, best_first};
use crate::tensor::Matrix;

/// Queries that are judged together.
const BLOCK: usize = 16;
/// Sums of a pair that run side by side.
const LANES: usize = 8;

/// Two fully connected layers over a difference of embeddings, with a ReLU between them.
#[derive(Debug, Clone, PartialEq)]
pub struct PairClassifier {
    dims: usize,
    inner: usize,
    /// `[inner, dims]`.
    weight: Vec<f64>,
    /// `[inner]`.
    bias: Vec<f64>,
    /// What each value between the layers adds to the log odds of a match.
    odds: Vec<f64>,
    /// The log odds without them.
    odds_bias: f64,
}

/// What judging all pairs costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PairCost {
    /// Pairs.
    pub pairs: u64,
    /// Multiplications of all of them, and of the first layer.
    pub multiplications: u64,
}

impl PairClassifier {
    /// The layers `first` (`[inner, dims]`) and `second`, each with its biases. The second has one row, whose
    /// value is the log odds of a match, or two, of which the softmax is taken and the second is the match.
    ///
    /// # Errors
    /// [`Kind::Shape`](crate::error::Kind::Shape) where layers and biases do not go together,
    /// [`Kind::Limit`](crate::error::Kind::Limit) for layers that are too wide,
    /// [`Kind::Input`](crate::error::Kind::Input) for a value that is not finite.
    pub fn new(first: (&Matrix, &[f32]), second: (&Matrix, &[f32])) -> Result<Self> {
        let ((weight, bias), (last, last_bias)) = (first, second);
        let (inner, dims, classes) = (weight.rows(), weight.dims(), last.rows());
        let wrong = |a: &[usize], b: &[usize]| Err(Error::shape("pair classifier", a, b));
        if bias.len() != inner {
            return wrong(&[inner, dims], &[bias.len()]);
        }
        if last.dims() != inner || last_bias.len() != classes || !(1..=2).contains(&classes) {
            return wrong(&[classes, last.dims()], &[last_bias.len(), inner]);
        }
        if inner == 0 || inner > MAX_INNER || dims == 0 || dims > MAX_DIMS {
            let message = format!("a pair classifier of {inner} x {dims}");
            return Err(Error::limit(message).mend(format!(
                "{MAX_INNER} values between the layers and {MAX_DIMS} before them are the most"
            )));
        }
        let all = [weight.data(), bias, last.data(), last_bias];
        if all
            .iter()
            .any(|values| values.iter().any(|x| !x.is_finite()))
        {
            return Err(
                Error::input("a weight of the pair classifier is not finite")
                    .mend("fetch or write the file again"),
            );
        }
        let wide = |values: &[f32]| values.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
        let (mut odds, mut odds_bias) = (wide(last.row(0)), f64::from(last_bias[0]));
        if classes == 2 {
            let no = std::mem::replace(&mut odds, wide(last.row(1)));
            odds.iter_mut().zip(no).for_each(|(yes, no)| *yes -= no);
            odds_bias = f64::from(last_bias[1]) - odds_bias;
        }
        Ok(PairClassifier {
            dims,
            inner,
            weight: wide(weight.data()),
            bias: wide(bias),
            odds,
            odds_bias,
        })
    }

    /// Values of an embedding.
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// What judging all pairs of `rows` listings costs, or all of them with a gallery of `gallery`.
    pub fn cost(&self, rows: usize, gallery: Option<usize>) -> PairCost {
        let (rows, dims, inner) = (rows as u64, self.dims as u64, self.inner as u64);
        let (pairs, sides) = match gallery {
            None => (rows.saturating_mul(rows.saturating_sub(1)) / 2, rows),
            Some(gallery) => {
                let gallery = gallery as u64;
                (rows.saturating_mul(gallery), rows.saturating_add(gallery))
            }
        };
        let first = sides.saturating_mul(dims.saturating_mul(inner));
        PairCost {
            pairs,
            multiplications: pairs.saturating_mul(inner).saturating_add(first),
        }
    }

    /// The probability that two embeddings are of one product; `a` is the one that `b` is taken from.
    ///
    /// # Errors
    /// [`Kind::Shape`](crate::error::Kind::Shape) for embeddings of another length.
    pub fn probability(&self, a: &[f32], b: &[f32]) -> Result<f64> {
        if a.len() != self.dims || b.len() != self.dims {
            let lengths = [a.len(), b.len()];
            return Err(Error::shape("pair classifier", &lengths, &[self.dims]));
        }
        Ok(self.judge(&self.inside(a), &self.inside(b)))
    }

    /// The first layer's products with a row.
    fn inside(&self, row: &[f32]) -> Vec<f64> {
        let products = self.weight.chunks_exact(self.dims);
        products
            .map(|line| line.iter().zip(row).map(|(w, &x)| w * f64::from(x)).sum())
            .collect()
    }

    fn judge(&self, a: &[f64], b: &[f64]) -> f64 {
        let mut lanes = [0.0; LANES];
        let (parts, rest) = ((0..self.inner / LANES), self.inner / LANES * LANES);
        for part in parts.map(|part| part * LANES) {
            let of = |values: &'_ [f64]| -> [f64; LANES] {
                std::array::from_fn(|lane| values[part + lane])
            };
            let (a, b, bias, odds) = (of(a), of(b), of(&self.bias), of(&self.odds));
            for lane in 0..LANES {
                lanes[lane] += odds[lane] * (a[lane] - b[lane] + bias[lane]).max(0.0);
            }
        }
        for i in rest..self.inner {
            lanes[i - rest] += self.odds[i] * (a[i] - b[i] + self.bias[i]).max(0.0);
        }
        let odds = lanes.iter().sum::<f64>() + self.odds_bias;
        1.0 / (1.0 + (-odds).exp())
    }
}

/// For each row of `queries` the rows of `gallery`, or the others of `queries`, that are likeliest to be the
/// same product, by `classifier`; itself too, with a score of 1.
///
/// A pair of `queries` is judged once, as the earlier row less the later one; a pair with a gallery as the
/// query less the gallery's row. A row of zeros has no neighbours and is nobody's. Sums are in `f64` in one
/// order, so that the answer does not depend on the number of threads. Memory is `O(rows * (inner + k))`.
/// `reached` is told now and then how many queries are done.
///
/// # Errors
/// [`Kind::Shape`](crate::error::Kind::Shape) for rows of another length than the classifier's,
/// [`Kind::Input`](crate::error::Kind::Input) for a value that is not finite; as [`TopK::check`].
pub fn classified(
    queries: &Matrix,
    gallery: Option<&Matrix>,
    classifier: &PairClassifier,
    opt: &TopK,
) -> Result<Lists> {
    opt.check()?;
    for side in [Some(queries), gallery].into_iter().flatten() {
        if side.dims() != classifier.dims {
            let shape = [side.rows(), side.dims()];
            return Err(Error::shape("pair classifier", &shape, &[classifier.dims])
                .mend("give embeddings of the length that the classifier was trained on"));
        }
        if let Some(row) = side.first_not_finite() {
            return Err(
                Error::input(format!("row {row} holds a NaN or an infinity"))
                    .mend("make the embeddings again"),
            );
        }
    }
    let inside = |side: &Matrix| -> Vec<Option<Vec<f64>>> {
        let rows = (0..side.rows()).into_par_iter().map(|i| side.row(i));
        rows.map(|row| {
            row.iter()
                .any(|&x| x != 0.0)
                .then(|| classifier.inside(row))
        })
        .collect()
    };
    let ours = inside(queries);
    let theirs = gallery.map(inside);
    let lists: Vec<Vec<(u32, f64)>> = ours
        .par_chunks(BLOCK)
        .enumerate()
        .flat_map_iter(|(block, rows)| {
            let first = block * BLOCK;
            let of = |(i, row): (usize, &Option<Vec<f64>>)| match (row, &theirs) {
                (None, _) => Vec::new(),
                (Some(a), Some(gallery)) => best(
                    gallery
                        .iter()
                        .map(|b| Some(classifier.judge(a, b.as_deref()?))),
                    opt,
                ),
                (Some(a), None) => best(
                    ours.iter().enumerate().map(|(j, b)| {
                        let b = b.as_deref()?;
                        Some(match j.cmp(&(first + i)) {
                            std::cmp::Ordering::Less => classifier.judge(b, a),
                            std::cmp::Ordering::Equal => 1.0,
                            std::cmp::Ordering::Greater => classifier.judge(a, b),
                        })
                    }),
                    opt,
                ),
            };
            rows.iter().enumerate().map(of).collect::<Vec<_>>()
        })
        .collect();
    Ok(Lists::from_rows(lists))
}

/// The best of a line of scores.
fn best(scores: impl Iterator<Item = Option<f64>>, opt: &TopK) -> Vec<(u32, f64)> {
    let floor = opt.floor();
    let mut kept: Vec<(u32, f64)> = Vec::new();
    for (row, score) in (0u32..).zip(scores) {
        kept.extend(score.filter(|&s| s >= floor).map(|score| (row, score)));
        if kept.len() >= 4 * opt.k + 64 {
            kept.select_nth_unstable_by(opt.k - 1, best_first);
            kept.truncate(opt.k);
        }
    }
    kept.sort_unstable_by(best_first);
    kept.truncate(opt.k);
    kept
}

/// [`classified`] on a device that the caller opened.
///
/// # Errors
/// As [`classified`]; [`Kind::Unsupported`](crate::error::Kind::Unsupported) on a card, which has no form of
/// it.
pub fn classified_on(
    device: &dyn Device,
    queries: &Matrix,
    gallery: Option<&Matrix>,
    classifier: &PairClassifier,
    opt: &TopK,
) -> Result<Lists> {
    match device.info().is_card() {
        true => Err(
            Error::unsupported("a pair classifier has no form on a card").mend("use --device cpu"),
        ),
        false => classified(queries, gallery, classifier, opt),
    }
}
