//! How the cosines of several spaces become one score, and what that means for a tile.

use crate::error::{Error, Result};
use crate::limits::MAX_POWER;

/// A non-zero weight lies between these, so that sums of weighted cosines keep all their digits.
const WEIGHTS: std::ops::RangeInclusive<f64> = 1e-100..=1e100;
/// A non-zero weight under a power lies between these.
const POWER_WEIGHTS: std::ops::RangeInclusive<f64> = 1e-3..=1e3;
/// The most that weights, each to the power, may sum to. `s / (1 + s)` still tells sums apart there.
const POWER_SUM: f64 = 1e8;
/// A sum of powers from here up is far from where `f64` loses digits.
const POWER_LEAST: f64 = 1e-300;

/// How the cosines of several spaces become one score.
///
/// Every one grows, or stays, with each cosine, and never leaves -1 to 1, so that `1 - score` is a distance
/// from 0 to 2, as rules take them. A space in which either row is all zeros counts as a cosine of 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fuse {
    /// The weighted mean, -1 to 1: `sum w_m cos_m / sum w_m`. The weights of all spaces count, also where a
    /// row is missing from one.
    Mean,
    /// `a + b - ab` over the positive parts of the weighted cosines, space after space (a probabilistic
    /// or), 0 to 1: `1 - product of (1 - max(0, w_m cos_m))`. Weights are at most 1.
    Either,
    /// From the sum of powers `s = sum of (max(0, w_m cos_m))^power` the score `s / (1 + s)`, 0 to 1: it
    /// grows with `s`, and passes 1/2 exactly where `s` passes 1. So a published rule "match where
    /// `(cos_image / .84)^6 + (cos_title / .84)^6 > 1`" is the power 6, both weights `1 / .84`, and a
    /// distance below .5. A power lies within 1 and [`MAX_POWER`], its weights within .001 and 1000 such
    /// that `sum of w_m^power` is at most 1e8.
    Power(f64),
}

impl Fuse {
    /// Checks the power, and one weight a space; a space of weight 0 is left out.
    ///
    /// # Errors
    /// [`Kind::Input`](crate::error::Kind::Input) for no weights or none above 0, a weight that is negative,
    /// not finite, or beyond what the variant says (for [`Fuse::Mean`]: not 0 and outside 1e-100..=1e100),
    /// and a power that is; the space is named, counted from 1.
    pub fn check(&self, weights: &[f64]) -> Result<()> {
        let fused = |message: String, mend: String| {
            Err(Error::input(message).op("fused search").mend(mend))
        };
        if weights.is_empty() {
            return Err(none().op("fused search"));
        }
        if let Fuse::Power(p) = self
            && !(1.0..=MAX_POWER).contains(p)
        {
            let mend = format!("give a power from 1 to {MAX_POWER}");
            return fused(format!("the power is {p}"), mend);
        }
        for (m, &weight) in weights.iter().enumerate() {
            check_weight(m, weight)?;
            let (fits, mend) = match self {
                Fuse::Mean => (true, ""),
                Fuse::Either => (weight <= 1.0, "use a weight from 0 to 1"),
                Fuse::Power(_) => (
                    weight == 0.0 || POWER_WEIGHTS.contains(&weight),
                    "use 0, or a weight from 0.001 to 1000",
                ),
            };
            if !fits {
                let what = format!("the weight of space {} is {weight}", m + 1);
                return fused(what, mend.to_string());
            }
        }
        if weights.iter().all(|&w| w == 0.0) {
            return Err(no_weight().op("fused search"));
        }
        if let Fuse::Power(p) = self {
            let sum: f64 = weights.iter().map(|w| w.powf(*p)).sum();
            if sum > POWER_SUM {
                return fused(
                    format!("weights to the power {p} sum to {sum:e}"),
                    format!("use smaller weights or a smaller power: at most {POWER_SUM:e}"),
                );
            }
        }
        Ok(())
    }
}

/// That there are no spaces.
pub(super) fn none() -> Error {
    Error::input("no spaces to search").mend("give at least one space")
}

/// That no space has a weight.
pub(super) fn no_weight() -> Error {
    Error::input("the weight of every space is 0").mend("give at least one space a positive weight")
}

/// Checks the weight of space `m`, counted from 0.
pub(super) fn check_weight(m: usize, weight: f64) -> Result<()> {
    if weight == 0.0 || WEIGHTS.contains(&weight) {
        return Ok(());
    }
    Err(
        Error::input(format!("the weight of space {} is {weight}", m + 1))
            .op("combined search")
            .mend("use 0, or a positive weight of common size such as 1"),
    )
}

/// What a combined search ranks by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum By {
    /// The weighted sum as it stands.
    Sum,
    Fuse(Fuse),
}

/// What is ranked by, with the weights of the spaces, all positive.
///
/// A tile does not hold scores but *strengths*, computed in `f32` from cosines in `f32`: a number between
/// -1 and 1 that a higher score never has less of, and that moves by no more than the error of the cosines
/// (it is 1-Lipschitz in `sum share_m |error of cos_m|`).
///
/// - `Sum` and `Mean`: `sum w_m cos_m / sum w_m`; shares `w_m / sum w_m`.
/// - `Either`: the score itself. With `a_m = max(0, w_m cos_m)` within 0 and 1 its derivative by `a_m` is
///   the product of the other `1 - a`, at most 1; shares `w_m`, at most 1.
/// - `Power`: `s^(1 / power) / sum w_m`, the power norm of the `a_m`, which a power of 1 or more makes move
///   by no more than the sum of what the `a_m` do; shares `w_m / sum w_m`. The score `s / (1 + s)` would
///   crowd what it has to tell apart near 0 and 1, the norm does not.
pub(super) struct Fusion {
    by: By,
    weights: Vec<f64>,
    total: f64,
}

/// The values of one query in a tile, a line for each layer.
pub(super) struct Layers<'a> {
    pub scores: &'a [f32],
    /// Where the query's line starts in the first layer, and how far one layer is from the next.
    pub first: usize,
    pub stride: usize,
    pub width: usize,
}

impl<'a> Layers<'a> {
    fn line(&self, m: usize) -> &'a [f32] {
        &self.scores[self.first + m * self.stride..][..self.width]
    }
}

/// A line over which candidates are looked for: where it does not reach `bar` there is none.
pub(super) struct Sieve<'a> {
    pub line: &'a [f32],
    /// None when the line is the strengths themselves.
    pub bar: Option<f32>,
}

/// The most that a weighted mean of cosines computed in `f32` is away from the same mean in exact
/// arithmetic, when at most `products` products are added in any order.
///
/// With `u = 2^-24`: a unit value carries a relative error of little more than `u`, a product of two
/// one more, the weight and its product two, and every addition one, fused or not. That is at most
/// `(products + spaces + 6) u / (1 - ...)` times the sum of the absolute products, which Cauchy and
/// Schwarz bound by 1. Twice `(products + 8 spaces) u` is above it for up to 2^20 products, and
/// holds what lies below the normal range of `f32`; for more products nothing is ruled out.
fn margin(products: usize, spaces: usize) -> f64 {
    if products > 1 << 20 {
        return f64::INFINITY;
    }
    2.0 * (products + 8 * spaces) as f64 * 2f64.powi(-24)
}

impl Fusion {
    pub fn new(by: By, weights: Vec<f64>) -> Self {
        let total = weights.iter().sum();
        Fusion { by, weights, total }
    }

    /// The score of a pair from its cosines, space after space, in `f64`.
    pub fn score(&self, cosines: impl Iterator<Item = f64>) -> f64 {
        let weighted = cosines.zip(&self.weights).map(|(cosine, w)| w * cosine);
        match self.by {
            By::Sum => weighted.fold(0.0, |sum, x| sum + x),
            By::Fuse(Fuse::Mean) => weighted.fold(0.0, |sum, x| sum + x) / self.total,
            By::Fuse(Fuse::Either) => 1.0 - weighted.fold(1.0, |rest, x| rest * (1.0 - x.max(0.0))),
            By::Fuse(Fuse::Power(p)) => {
                let sum = weighted.fold(0.0, |sum, x| sum + x.max(0.0).powf(p));
                sum / (1.0 + sum)
            }
        }
    }

    /// What is ranked by.
    pub fn by(&self) -> By {
        self.by
    }

    /// A strength from which on [`Fusion::tells_apart`] holds, and some more for rounding.
    pub fn sure(&self) -> f64 {
        match self.by {
            By::Fuse(Fuse::Power(p)) => 1.001 * POWER_LEAST.powf(1.0 / p) / self.total,
            _ => f64::NEG_INFINITY,
        }
    }

    /// How many lines of values a query has in a tile: one to which all spaces are added, or one a space.
    pub fn layers(&self) -> usize {
        match self.by {
            By::Sum | By::Fuse(Fuse::Mean) => 1,
            By::Fuse(Fuse::Either | Fuse::Power(_)) => self.weights.len(),
        }
    }

    /// The layer that space `m` is added to.
    pub fn layer(&self, m: usize) -> usize {
        m.min(self.layers() - 1)
    }

    /// What the cosines of space `m` are multiplied by in its layer.
    pub fn share(&self, m: usize) -> f32 {
        match self.by {
            By::Fuse(Fuse::Either) => self.weights[m] as f32,
            _ => (self.weights[m] / self.total) as f32,
        }
    }

    /// How far a strength in a tile may be off, when the cosines are summed from at most `products`
    /// products.
    ///
    /// For `Either` the spaces' own margins, `2 (products_m + 8) u` times a share of at most 1, add up to
    /// `margin(products, spaces)`; holding values within 0 and 1 only brings them nearer, and each of the
    /// `2 spaces + 1` further operations, all on values within 0 and 1, adds at most `u`. For `Power` the
    /// shares sum to 1, so no more than the largest of those margins comes through; the norm is computed
    /// in `f64`, and rounded once.
    pub fn margin(&self, products: usize) -> f64 {
        let spaces = self.weights.len();
        let more = match self.by {
            By::Sum | By::Fuse(Fuse::Mean) => 0,
            By::Fuse(Fuse::Either | Fuse::Power(_)) => 4 * spaces,
        };
        margin(products, spaces) + more as f64 * 2f64.powi(-24)
    }

    /// A strength that every pair has whose score, as [`Fusion::score`] rounds it, is at least `floor`; what
    /// `f64` rounds is far below the margin.
    pub fn bar(&self, floor: f64) -> f64 {
        match self.by {
            By::Sum => floor / self.total,
            By::Fuse(Fuse::Mean | Fuse::Either) => floor,
            By::Fuse(Fuse::Power(p)) => {
                if floor < POWER_LEAST {
                    return f64::NEG_INFINITY;
                }
                // A score is within 2^-50 of `s / (1 + s)`, and none is above 1.
                let score = floor.min(1.0) * (1.0 - 2f64.powi(-50));
                let norm = (score / (1.0 - score)).powf(1.0 / p);
                norm * (1.0 - 2f64.powi(-40)) / self.total
            }
        }
    }

    /// Whether of two pairs, one with at least this strength and the other with less by a margin, the first
    /// has the higher score as [`Fusion::score`] rounds it. A score from powers so small that `f64` does
    /// not tell them from 0 ties with others.
    pub fn tells_apart(&self, strength: f64) -> bool {
        match self.by {
            By::Fuse(Fuse::Power(p)) => strength * self.total >= POWER_LEAST.powf(1.0 / p),
            _ => true,
        }
    }

    /// Where candidates may be that are at least as strong as `low`; `room` is written on.
    pub fn sieve<'a>(&self, layers: &Layers<'a>, low: f32, room: &'a mut Vec<f32>) -> Sieve<'a> {
        match self.by {
            By::Sum | By::Fuse(Fuse::Mean) => Sieve {
                line: layers.line(0),
                bar: None,
            },
            By::Fuse(Fuse::Either) => {
                room.clear();
                room.resize(layers.width, 1.0);
                for m in 0..self.weights.len() {
                    for (rest, a) in room.iter_mut().zip(layers.line(m)) {
                        *rest *= 1.0 - a.clamp(0.0, 1.0);
                    }
                }
                room.iter_mut().for_each(|x| *x = 1.0 - *x);
                Sieve {
                    line: room,
                    bar: None,
                }
            }
            By::Fuse(Fuse::Power(p)) => {
                room.clear();
                room.resize(layers.width, 0.0);
                // As shares of `low` the values sum to 1 where the norm reaches it: no power of
                // them passes the range of f32 unseen. Tiny or negative bars sift nothing.
                if low < 1e-6 {
                    return Sieve {
                        line: room,
                        bar: Some(0.0),
                    };
                }
                for m in 0..self.weights.len() {
                    add_powers(room, layers.line(m), 1.0 / low, p);
                }
                // Each of the sum's terms is within (3 power + 2) u of what it should be, each
                // addition within u.
                let slack = (4.0 * p + 2.0 * self.weights.len() as f64 + 8.0) * 2f64.powi(-24);
                Sieve {
                    line: room,
                    bar: Some((1.0 - 2.0 * slack) as f32),
                }
            }
        }
    }

    /// The strength at place `i` of a query's lines, of which `sieve` is made.
    pub fn strength(&self, layers: &Layers, sieve: &Sieve, i: usize) -> f32 {
        let By::Fuse(Fuse::Power(p)) = self.by else {
            return sieve.line[i];
        };
        let values = || (0..self.weights.len()).map(|m| f64::from(layers.line(m)[i].max(0.0)));
        let most = values().fold(0.0, f64::max);
        if most == 0.0 {
            return 0.0;
        }
        let sum: f64 = values().map(|a| (a / most).powf(p)).sum();
        (most * sum.powf(1.0 / p)) as f32
    }
}

/// Adds `(scale a)^power` for every positive `a` of `line` to `sums`, or, for a power that is not whole, the
/// least product of whole powers that is not below it.
fn add_powers(sums: &mut [f32], line: &[f32], scale: f32, power: f64) {
    const STEP: usize = 64;
    let whole = power as u32;
    let broken = power.fract() != 0.0;
    let (mut base, mut result) = ([0f32; STEP], [0f32; STEP]);
    for (sums, line) in sums.chunks_mut(STEP).zip(line.chunks(STEP)) {
        for (base, a) in base.iter_mut().zip(line) {
            *base = a.max(0.0) * scale;
        }
        // Below 1 the whole power below is the larger one, above 1 the next.
        for (result, base) in result.iter_mut().zip(&base) {
            *result = if broken { base.max(1.0) } else { 1.0 };
        }
        let mut left = whole;
        while left > 0 {
            if left & 1 == 1 {
                result.iter_mut().zip(&base).for_each(|(r, b)| *r *= b);
            }
            base.iter_mut().for_each(|b| *b *= *b);
            left >>= 1;
        }
        sums.iter_mut().zip(&result).for_each(|(sum, r)| *sum += r);
    }
}
