//! Weights of a lowered graph as formulas over the published ones, computed in f64 and rounded once.

use std::collections::HashMap;

use crate::device::graph::{Graph, Origin, Value};
use crate::device::weights::{Source, missing};
use crate::error::{Error, Result};

/// A weight of the lowered graph, as a formula over the published ones. Evaluated once, on the host.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::device) enum Fold {
    /// A published weight.
    Param(String),
    /// One value.
    Constant(f32),
    /// A matrix or filters, whose rows (columns, when `rows` is not set) are multiplied by a vector.
    Spread {
        matrix: Box<Fold>,
        by: Box<Fold>,
        rows: bool,
    },
    /// Two vectors multiplied; one of them may be a single value.
    Times(Box<Fold>, Box<Fold>),
    /// Two vectors added; one of them may be a single value.
    Plus(Box<Fold>, Box<Fold>),
    /// `gamma / sqrt(variance + eps)`: what batch norm multiplies by.
    NormScale {
        gamma: Box<Fold>,
        variance: Box<Fold>,
        eps: f32,
    },
    /// `beta - mean * scale`: what batch norm adds.
    NormShift {
        beta: Box<Fold>,
        mean: Box<Fold>,
        scale: Box<Fold>,
    },
    /// [`Op::Standardize`](crate::device::Op::Standardize) of filters.
    Standardize {
        filters: Box<Fold>,
        gain: Box<Fold>,
        eps: f32,
        scale: f32,
    },
}

impl Fold {
    pub(super) fn times(a: Option<Fold>, b: Fold) -> Fold {
        match a {
            Some(a) => Fold::Times(Box::new(a), Box::new(b)),
            None => b,
        }
    }

    pub(super) fn plus(a: Option<Fold>, b: Fold) -> Fold {
        match a {
            Some(a) => Fold::Plus(Box::new(a), Box::new(b)),
            None => b,
        }
    }
}

/// Refuses weights that are missing or have another shape than the graph asks for.
pub(in crate::device) fn check(graph: &Graph, source: &dyn Source) -> Result<()> {
    for value in graph.params() {
        let Origin::Param(key) = graph.origin(value) else {
            continue;
        };
        let wanted = &graph.desc(value).dims;
        let have = source.dims(key).ok_or_else(|| missing(key))?;
        if have != wanted {
            return Err(Error::shape("weights", wanted, have).column(key));
        }
    }
    Ok(())
}

/// The formulas of a lowered graph's weights, by their key in it, over a source.
pub(in crate::device) struct Folds<'a> {
    pub folds: &'a HashMap<String, Fold>,
    pub source: &'a dyn Source,
}

impl<'a> Folds<'a> {
    /// The rows of the weight behind `value`: its first dimension, the rest being a row's values.
    pub fn rows(&self, graph: &Graph, value: Value) -> Result<Rows<'a>> {
        let Origin::Param(key) = graph.origin(value) else {
            return Err(Error::internal("not a weight"));
        };
        let no_formula = || Error::internal("no formula").column(key);
        let fold = self.folds.get(key).ok_or_else(no_formula)?;
        let dims = &graph.desc(value).dims;
        let count = dims.first().copied().unwrap_or(1);
        let depth = dims.iter().skip(1).product();
        let source = self.source;
        let maker = match dims.len() {
            0 | 1 => Maker::Whole(vector(fold, source)?),
            _ => Maker::of(fold, source)?,
        };
        Ok(Rows {
            maker,
            source,
            count,
            depth,
        })
    }
}

/// The rows of one weight, made one at a time.
pub(in crate::device) struct Rows<'a> {
    maker: Maker,
    source: &'a dyn Source,
    count: usize,
    depth: usize,
}

enum Maker {
    /// Rows of a published weight.
    Param(String),
    /// All values.
    Whole(Vec<f64>),
    /// Each row multiplied by its value, or by the only one.
    Rows(Box<Maker>, Vec<f64>),
    /// Each row multiplied elementwise.
    Columns(Box<Maker>, Vec<f64>),
    Standardized {
        filters: Box<Maker>,
        gain: Vec<f64>,
        eps: f64,
        scale: f64,
    },
}

impl Maker {
    fn of(fold: &Fold, source: &dyn Source) -> Result<Maker> {
        Ok(match fold {
            Fold::Param(key) => Maker::Param(key.clone()),
            Fold::Spread { matrix, by, rows } => {
                let (matrix, by) = (Box::new(Maker::of(matrix, source)?), vector(by, source)?);
                match rows {
                    true => Maker::Rows(matrix, by),
                    false => Maker::Columns(matrix, by),
                }
            }
            Fold::Standardize {
                filters,
                gain,
                eps,
                scale,
            } => Maker::Standardized {
                filters: Box::new(Maker::of(filters, source)?),
                gain: vector(gain, source)?,
                eps: f64::from(*eps),
                scale: f64::from(*scale),
            },
            other => Maker::Whole(vector(other, source)?),
        })
    }
}

impl Rows<'_> {
    /// Values of a row; of a vector 1.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Writes row `i`; `out` has as many values as a row.
    pub fn row(&self, i: usize, out: &mut [f32]) -> Result<()> {
        if i >= self.count || out.len() != self.depth {
            return Err(Error::shape(
                "fold",
                &[self.count, self.depth],
                &[i, out.len()],
            ));
        }
        if let Maker::Param(key) = &self.maker {
            return self.source.read(key, i * self.depth, out);
        }
        let mut row = vec![0.0; self.depth];
        self.make(&self.maker, i, &mut row)?;
        out.iter_mut().zip(row).for_each(|(o, v)| *o = v as f32);
        Ok(())
    }

    /// All values.
    pub fn whole(&self) -> Result<Vec<f32>> {
        let mut all = vec![0.0; self.count * self.depth];
        match &self.maker {
            Maker::Whole(values) if values.len() == all.len() => {
                all.iter_mut().zip(values).for_each(|(o, &v)| *o = v as f32);
            }
            Maker::Whole(values) => {
                return Err(Error::shape(
                    "fold",
                    &[self.count, self.depth],
                    &[values.len()],
                ));
            }
            Maker::Param(key) => self.source.read(key, 0, &mut all)?,
            _ if self.depth > 0 => {
                for (i, row) in all.chunks_exact_mut(self.depth).enumerate() {
                    self.row(i, row)?;
                }
            }
            _ => {}
        }
        Ok(all)
    }

    fn make(&self, maker: &Maker, i: usize, out: &mut [f64]) -> Result<()> {
        let at = |values: &[f64], i: usize| match values {
            [only] => Ok(*only),
            _ => values
                .get(i)
                .copied()
                .ok_or_else(|| Error::shape("fold", &[self.count], &[values.len()])),
        };
        match maker {
            Maker::Param(key) => {
                let mut row = vec![0.0f32; out.len()];
                self.source.read(key, i * self.depth, &mut row)?;
                out.iter_mut().zip(row).for_each(|(o, v)| *o = f64::from(v));
            }
            Maker::Whole(values) => {
                let row = values.get(i * self.depth..(i + 1) * self.depth);
                let wrong = || Error::shape("fold", &[self.count, self.depth], &[values.len()]);
                out.copy_from_slice(row.ok_or_else(wrong)?);
            }
            Maker::Rows(inner, by) => {
                self.make(inner, i, out)?;
                let by = at(by, i)?;
                out.iter_mut().for_each(|v| *v *= by);
            }
            Maker::Columns(inner, by) => {
                self.make(inner, i, out)?;
                for (j, v) in out.iter_mut().enumerate() {
                    *v *= at(by, j)?;
                }
            }
            Maker::Standardized {
                filters,
                gain,
                eps,
                scale,
            } => {
                self.make(filters, i, out)?;
                let n = out.len().max(1) as f64;
                let mean = out.iter().sum::<f64>() / n;
                let variance = out.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
                let by = at(gain, i)? * scale / (variance + eps).sqrt();
                out.iter_mut().for_each(|v| *v = (*v - mean) * by);
            }
        }
        Ok(())
    }
}

/// A vector's formula, evaluated.
fn vector(fold: &Fold, source: &dyn Source) -> Result<Vec<f64>> {
    let pair = |a: &Fold, b: &Fold, f: fn(f64, f64) -> f64| -> Result<Vec<f64>> {
        let (a, b) = (vector(a, source)?, vector(b, source)?);
        match (&a[..], &b[..]) {
            ([a], b) => Ok(b.iter().map(|&b| f(*a, b)).collect()),
            (a, [b]) => Ok(a.iter().map(|&a| f(a, *b)).collect()),
            (x, y) if x.len() == y.len() => Ok(x.iter().zip(y).map(|(&x, &y)| f(x, y)).collect()),
            (x, y) => Err(Error::shape("fold", &[x.len()], &[y.len()])),
        }
    };
    match fold {
        Fold::Param(key) => {
            let dims = source.dims(key).ok_or_else(|| missing(key))?;
            let mut values = vec![0.0f32; dims.iter().product()];
            source.read(key, 0, &mut values)?;
            Ok(values.into_iter().map(f64::from).collect())
        }
        Fold::Constant(c) => Ok(vec![f64::from(*c)]),
        Fold::Times(a, b) => pair(a, b, |x, y| x * y),
        Fold::Plus(a, b) => pair(a, b, |x, y| x + y),
        Fold::NormScale {
            gamma,
            variance,
            eps,
        } => {
            let (gamma, variance) = (vector(gamma, source)?, vector(variance, source)?);
            let one = |(g, v): (&f64, &f64)| g / (v + f64::from(*eps)).sqrt();
            Ok(gamma.iter().zip(&variance).map(one).collect())
        }
        Fold::NormShift { beta, mean, scale } => {
            let (beta, mean) = (vector(beta, source)?, vector(mean, source)?);
            let scale = vector(scale, source)?;
            let one = |((b, m), s): ((&f64, &f64), &f64)| b - m * s;
            Ok(beta.iter().zip(&mean).zip(&scale).map(one).collect())
        }
        Fold::Spread { .. } | Fold::Standardize { .. } => {
            Err(Error::internal("a matrix where a vector belongs").op("fold"))
        }
    }
}
