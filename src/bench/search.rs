//! Searches of other kinds than dense rows: their inputs, one run, and how far it is from the CPU's.

use super::cases::Search;
use super::fill::spread;
use crate::device::{CpuDevice, Device};
use crate::error::Result;
use crate::lists::Lists;
use crate::search::{Fuse, Space, TopK, fused_on, hamming_on, sparse_on};
use crate::tensor::{Csr, Matrix};

/// Terms of a title's row, and columns for each row: those of TF-IDF over short titles.
pub const TERMS: usize = 10;
const COLUMNS: usize = 30_000;

/// The inputs of a search.
pub struct Ready {
    kind: Search,
    images: Option<Matrix>,
    titles: Option<Csr>,
    hashes: Vec<Option<u64>>,
}

impl Ready {
    /// Makes them up, the same for the same case.
    ///
    /// # Errors
    /// Sizes beyond the limits.
    pub fn new(kind: Search) -> Result<Ready> {
        let mut ready = Ready {
            kind,
            images: None,
            titles: None,
            hashes: Vec::new(),
        };
        match kind {
            Search::Sparse { rows, .. } => ready.titles = Some(titles(rows)?),
            Search::Hamming { rows, .. } => ready.hashes = hashes(rows),
            Search::Fused { rows, dims, .. } => {
                let values = spread(rows * dims, 5).collect();
                ready.images = Some(Matrix::new(rows, dims, values)?);
                ready.titles = Some(titles(rows)?);
            }
        }
        Ok(ready)
    }

    /// Searches all rows among themselves, from the host and back.
    ///
    /// # Errors
    /// As the search.
    pub fn run(&self, device: &dyn Device) -> Result<Lists> {
        let opt = TopK {
            k: self.kind.k(),
            min_score: None,
        };
        match (self.kind, &self.images, &self.titles) {
            (Search::Fused { .. }, Some(images), Some(titles)) => {
                let spaces = [(Space::Dense(images), 1.0), (Space::Sparse(titles), 0.5)];
                fused_on(device, &spaces, None, Some(Fuse::Mean), &opt)
            }
            (_, _, Some(titles)) => sparse_on(device, titles, None, &opt),
            _ => hamming_on(device, &self.hashes, None, &opt),
        }
    }

    /// The largest difference of a score from the CPU's at the same place; infinite where a row is another.
    ///
    /// # Errors
    /// As the search.
    pub fn distance(&self, device: &dyn Device) -> Result<f64> {
        let (have, want) = (self.run(device)?, self.run(&CpuDevice::default())?);
        let mut worst: f64 = 0.0;
        for i in 0..want.len() {
            let (have, want) = (have.row(i), want.row(i));
            if have.rows != want.rows {
                return Ok(f64::INFINITY);
            }
            for (a, b) in have.scores.iter().zip(want.scores) {
                worst = worst.max((a - b).abs());
            }
        }
        Ok(worst)
    }
}

/// Rows of terms that follow Zipf's law, as words of titles do.
fn titles(rows: usize) -> Result<Csr> {
    let (mut starts, mut columns, mut values) = (vec![0], Vec::new(), Vec::new());
    let draws: Vec<f32> = spread(rows * TERMS, 6).collect();
    for row in draws.chunks(TERMS) {
        let column = |x: &f32| {
            let part = f64::from(*x).mul_add(0.5, 0.5);
            ((COLUMNS as f64).powf(part) as u32).min(COLUMNS as u32 - 1)
        };
        let mut own: Vec<u32> = row.iter().map(column).collect();
        own.sort_unstable();
        own.dedup();
        values.extend(own.iter().map(|&c| 1.0 + (f64::from(c) + 1.0).ln()));
        columns.extend(own);
        starts.push(columns.len());
    }
    Csr::new(COLUMNS, starts, columns, values)
}

fn hashes(rows: usize) -> Vec<Option<u64>> {
    let mix = |x: f32| {
        let bits = u64::from(x.to_bits()).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Some((bits ^ bits >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9))
    };
    spread(rows, 7).map(mix).collect()
}
