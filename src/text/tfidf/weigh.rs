//! From counts to values: idf, sublinear counts, norms, and the matrix.

use rayon::prelude::*;

use super::count::{Chunk, Counted, DROPPED};
use super::options::{Norm, TfidfOptions};
use crate::error::Result;
use crate::tensor::Csr;

/// How counts become values.
#[derive(Debug)]
pub(super) struct Weights {
    idf: Vec<f64>,
    binary: bool,
    sublinear: bool,
    norm: Norm,
}

impl Weights {
    /// For a vocabulary of which each term stands in `df` of `titles` titles.
    pub(super) fn new(options: &TfidfOptions, titles: u64, df: &[u64]) -> Self {
        let more = f64::from(u8::from(options.smooth_idf));
        let idf = |&df: &u64| match options.use_idf {
            true => ((titles as f64 + more) / (df as f64 + more)).ln() + 1.0,
            false => 1.0,
        };
        Weights {
            idf: df.iter().map(idf).collect(),
            binary: options.binary,
            sublinear: options.sublinear_tf,
            norm: options.norm,
        }
    }

    pub(super) fn idf(&self) -> &[f64] {
        &self.idf
    }

    /// The value, before the norm, of a term that stands `count` times in a title.
    #[inline]
    pub(super) fn value(&self, column: u32, count: u32) -> f64 {
        let count = if self.binary { 1.0 } else { f64::from(count) };
        let tf = if self.sublinear {
            count.ln() + 1.0
        } else {
            count
        };
        tf * self.idf[column as usize]
    }

    /// Divides a row by its norm; a row of zeros stays.
    #[inline]
    pub(super) fn normalise(&self, row: &mut [f64]) {
        let norm = match self.norm {
            Norm::L2 => row.iter().map(|x| x * x).sum::<f64>().sqrt(),
            Norm::L1 => row.iter().map(|x| x.abs()).sum::<f64>(),
            Norm::None => return,
        };
        if norm > 0.0 {
            row.iter_mut().for_each(|x| *x /= norm);
        }
    }

    /// The matrix of titles that were counted.
    pub(super) fn matrix(&self, counted: &Counted) -> Result<Csr> {
        let parts: Vec<(&Chunk, &[u32])> = counted
            .chunks
            .iter()
            .zip(counted.columns.iter().map(Vec::as_slice))
            .collect();
        let sizes: Vec<usize> = parts
            .par_iter()
            .map(|(c, columns)| c.kept_values(columns))
            .collect();
        let total = sizes.iter().sum();
        let rows: usize = parts.iter().map(|(c, _)| c.ends.len()).sum();
        let mut indptr = vec![0; rows + 1];
        let mut indices = vec![0; total];
        let mut values = vec![0.0; total];
        let mut jobs = Vec::with_capacity(parts.len());
        let (mut all_ends, mut all_indices, mut all_values) =
            (&mut indptr[1..], &mut indices[..], &mut values[..]);
        let mut base = 0;
        for (&(chunk, columns), &size) in parts.iter().zip(&sizes) {
            let (ends, rest) = all_ends.split_at_mut(chunk.ends.len());
            all_ends = rest;
            let (part_indices, rest) = all_indices.split_at_mut(size);
            all_indices = rest;
            let (part_values, rest) = all_values.split_at_mut(size);
            all_values = rest;
            jobs.push((chunk, columns, base, ends, part_indices, part_values));
            base += size;
        }
        jobs.into_par_iter()
            .for_each(|(chunk, columns, base, ends, indices, values)| {
                self.rows(chunk, columns, base, ends, indices, values);
            });
        Csr::new(self.idf.len(), indptr, indices, values)
    }

    /// The rows of one chunk, whose values start at `base` in the whole.
    fn rows(
        &self,
        chunk: &Chunk,
        columns: &[u32],
        base: usize,
        ends: &mut [usize],
        indices: &mut [u32],
        values: &mut [f64],
    ) {
        // A column above its count sorts as the column does.
        let mut row: Vec<u64> = Vec::new();
        let (mut from, mut at) = (0, 0);
        for (end, &to) in ends.iter_mut().zip(&chunk.ends) {
            row.clear();
            for i in from..to {
                let column = columns[chunk.ids[i] as usize];
                let count = chunk.counts.get(i).copied().unwrap_or(1);
                if column != DROPPED {
                    row.push(u64::from(column) << 32 | u64::from(count));
                }
            }
            row.sort_unstable();
            let start = at;
            for packed in &row {
                let column = (packed >> 32) as u32;
                indices[at] = column;
                values[at] = self.value(column, *packed as u32);
                at += 1;
            }
            self.normalise(&mut values[start..at]);
            *end = base + at;
            from = to;
        }
    }
}
